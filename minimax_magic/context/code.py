"""Functions, classes and modules: their source, or signature and documentation without one."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import linecache
import textwrap
import types
import typing
from typing import Any, Final

from minimax_magic.context.pieces import MOST_TEXT, attempt, cut, is_a, listed, repr_text, type_name

_FUNCTIONS = (types.FunctionType, types.MethodType)
_BUILTINS = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
)


def describe_code(value: Any) -> str | None:
    """What is told about code; None if the value is none."""
    if is_a(value, functools.partial):
        given = [f"{len(value.args)} positional", *(f"{name}=…" for name in value.keywords)]
        inner = describe_code(value.func) or f"of a callable of type {type_name(value.func)}"
        # the arguments that are bound may be any values of the user's: only their names
        return f"functools.partial with arguments given: {', '.join(given)}\n{inner}"
    if is_a(value, property):
        return describe_code(value.fget) if value.fget is not None else None
    if is_a(value, type):
        return _source_text("class", value)
    if is_a(value, types.ModuleType):
        return _source_text("module", value)
    if is_a(value, _FUNCTIONS + _BUILTINS) or _is_wrapper(value):
        return _source_text("function", value)
    return None


def _is_wrapper(value: Any) -> bool:
    """Whether it wraps a function, as `functools.cache` does.

    The object itself is asked: proxies and mocks answer to every name.
    """
    own = attempt(lambda: object.__getattribute__(value, "__dict__"), None)
    return callable(value) and isinstance(own, dict) and "__wrapped__" in own


def _source_text(kind: str, value: Any) -> str:
    name = attempt(lambda: str(getattr(value, "__qualname__", value.__name__)), kind)
    source = attempt(lambda: inspect.getsource(value), None)
    if source is None and is_a(value, type):
        source = attempt(lambda: _class_source(value), None)
    if source is not None:
        return f"{kind} {name}, its source:\n{cut(textwrap.dedent(source).rstrip(), MOST_TEXT)}"
    signature = attempt(lambda: _signature_text(value), "")
    lines = [f"{kind} {name}{signature}, whose source is not available"]
    doc = attempt(lambda: inspect.getdoc(value), None)
    # a dataclass without a docstring gets its signature as one, defaults included
    made_up = dataclasses.is_dataclass(value) and (doc or "").startswith(f"{name}(")
    if doc and not made_up:
        lines.append(cut(doc, MOST_TEXT // 2))
    if kind != "function":
        public = [n for n in attempt(lambda: dir(value), list[str]()) if not n.startswith("_")]
        lines.append(f"Public names: {listed(public, len(public))}")
    return "\n".join(lines)


class _LeftOut:
    """Stands for a default that is not told."""

    def __repr__(self) -> str:
        return "..."


_PLAIN_DEFAULTS: Final = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
_MOST_DEFAULT: Final = 100


def _signature_text(value: Any) -> str:
    """The signature with defaults that are plain values; any other may be a table of the user's."""
    signature = inspect.signature(value)
    parameters = [
        parameter.replace(
            default=_told_default(parameter.default),
            annotation=_told_annotation(parameter.annotation),
        )
        for parameter in signature.parameters.values()
    ]
    answer = _told_annotation(signature.return_annotation)
    return str(signature.replace(parameters=parameters, return_annotation=answer))


def _told_default(default: Any) -> Any:
    if default is inspect.Parameter.empty:
        return default
    # the very types: a subclass may say anything of itself
    plain = type(default) in _PLAIN_DEFAULTS and len(repr_text(default)) <= _MOST_DEFAULT
    return default if plain else _LeftOut()


def _told_annotation(annotation: Any) -> Any:
    return annotation if _is_plain_type(annotation) else inspect.Parameter.empty


def _is_plain_type(annotation: Any) -> bool:
    """Whether it names types only; `Annotated` may hold values of any kind."""
    if is_a(annotation, (type, str, typing.TypeVar, typing.ParamSpec)):
        return True
    if annotation is None or annotation is ...:
        return True
    if is_a(annotation, list):
        return all(map(_is_plain_type, annotation))
    arguments = typing.get_args(annotation)
    return typing.get_origin(annotation) is not typing.Annotated and (
        bool(arguments) and all(map(_is_plain_type, arguments))
    )


def _class_source(kind: type) -> str | None:
    """The source of a class made in a cell, which `inspect` looks for in a file of `__main__`.

    Its methods know the cell that they come from.
    """
    for member in vars(kind).values():
        code = getattr(inspect.unwrap(member), "__code__", None) if callable(member) else None
        if code is None:
            continue
        source = "".join(linecache.getlines(code.co_filename))
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.ClassDef) or node.name != kind.__name__:
                continue
            if node.lineno <= code.co_firstlineno <= (node.end_lineno or 0):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                return "".join(source.splitlines(keepends=True)[first - 1 : node.end_lineno])
    return None
