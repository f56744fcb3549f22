"""Functions, classes and modules: their source, or signature and documentation without one."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import textwrap
import types
from typing import Any

from minimax_magic.context.pieces import MOST_TEXT, attempt, cut, is_a, listed, repr_text

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
        inner = describe_code(value.func) or repr_text(value.func)
        # the arguments that are bound may be any values of the user's: only their names
        return f"functools.partial with arguments given: {', '.join(given)}\n{inner}"
    if is_a(value, property):
        return describe_code(value.fget) if value.fget is not None else None
    if is_a(value, type):
        return _source_text("class", value)
    if inspect.ismodule(value):
        return _source_text("module", value)
    if is_a(value, _FUNCTIONS + _BUILTINS) or hasattr(value, "__wrapped__"):
        return _source_text("function", value)
    return None


def _source_text(kind: str, value: Any) -> str:
    name = attempt(lambda: str(getattr(value, "__qualname__", value.__name__)), kind)
    source = attempt(lambda: inspect.getsource(value), None)
    if source is None and is_a(value, type):
        source = attempt(lambda: _class_source(value), None)
    if source is not None:
        return f"{kind} {name}, its source:\n{cut(textwrap.dedent(source).rstrip(), MOST_TEXT)}"
    signature = attempt(lambda: str(inspect.signature(value)), "")
    lines = [f"{kind} {name}{signature}, whose source is not available"]
    if doc := attempt(lambda: inspect.getdoc(value), None):
        lines.append(cut(doc, MOST_TEXT // 2))
    if kind != "function":
        public = [n for n in attempt(lambda: dir(value), list[str]()) if not n.startswith("_")]
        lines.append(f"Public names: {listed(public, len(public))}")
    return "\n".join(lines)


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
