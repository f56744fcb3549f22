"""A Python function as a tool: its JSON schema, and a model's arguments made into a call.

The schema comes from type hints and docstring, by way of pydantic. Nothing is called here: `bind`
gives the arguments, and whoever runs the tool decides on which thread or loop. What becomes of the
value is in `results`.
"""

from __future__ import annotations

import copy
import difflib
import functools
import inspect
import json
import re
import types
import typing
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, TypeVar, overload

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from minimax_magic.errors import ConfigError
from minimax_magic.messages import Tool, ToolCall
from minimax_magic.text import whole
from minimax_magic.tools.schemas import QuietSchemas, plain_default, settled

F = TypeVar("F", bound=Callable[..., Any])

_Kind = inspect.Parameter
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# a model mends a few mistakes at a time; a list of hundreds only fills its context
_MOST_PROBLEMS = 8
_MOST_SHOWN = 120  # characters of a value, of a schema or of a reason in a problem
_MOST_DEFAULT = 200  # characters of a default in the schema


class ArgumentsInvalid(Exception):
    """What a model gave does not fit the function. The text is for the model."""


@dataclass(frozen=True, slots=True)
class _Argument:
    """One thing that the model can fill.

    Attributes:
        parameter: Where it goes; for a field of `**options: Unpack[...]` one of that name.
        adapter: Validates a value; for `*args` the whole list.
        supplied: Whether the default is pydantic's (`Field(default_factory=list)`) and must be
            passed, as Python does not know it.
    """

    parameter: inspect.Parameter
    adapter: TypeAdapter[Any]
    description: str
    required: bool
    supplied: bool


@dataclass(frozen=True, slots=True)
class _Arguments:
    """All that a model can fill.

    Attributes:
        hidden: Names that are not for the model: fixed by a partial, or of no describable type.
        extra: Validates each value of `**kwargs`; None if the function takes no others.
    """

    signature: inspect.Signature
    named: Mapping[str, _Argument]
    hidden: frozenset[str]
    extra: TypeAdapter[Any] | None


@dataclass(frozen=True, slots=True)
class ToolFunction:
    """A function that a model may call.

    Attributes:
        is_async: Whether calling it gives a coroutine. A plain function can return an awaitable
            all the same, which nobody knows before the call.
    """

    spec: Tool
    function: Callable[..., Any]
    is_async: bool
    _arguments: _Arguments = field(repr=False, compare=False)

    def bind(self, call: ToolCall) -> inspect.BoundArguments:
        """The arguments for `function(*bound.args, **bound.kwargs)`, validated and converted.

        What the model left out is left to the function's own defaults.

        Raises:
            ArgumentsInvalid: Tells the model each problem.
        """
        if call.invalid_arguments is not None:
            raise ArgumentsInvalid(
                f"The arguments of {self.spec.name} are not a JSON object:"
                f" {_brief(call.invalid_arguments)}"
            )
        values, problems = self._validated(call.arguments)
        if problems:
            lines = [f"The arguments of {self.spec.name} are not valid:"]
            lines += [f"- {problem}" for problem in problems[:_MOST_PROBLEMS]]
            if more := len(problems) - _MOST_PROBLEMS:
                lines += [f"- and {more} more problems"] if more > 0 else []
            raise ArgumentsInvalid(whole("\n".join(lines)))
        return _bound(self._arguments.signature, values)

    def _validated(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The converted values by name, and what is wrong with the others."""
        known = self._arguments
        values: dict[str, Any] = {}
        problems: list[str] = []
        for name, value in given.items():
            argument = known.named.get(name)
            adapter = argument.adapter if argument is not None else known.extra
            if adapter is None or (argument is None and name in known.hidden):
                problems.append(self._unknown(name))
                continue
            try:
                # as JSON: a strict model takes a date only from there
                values[name] = settled(adapter.validate_json(_json(value)))
            except ValidationError as error:
                details = error.errors(include_url=False)
                problems += [_problem(name, value, detail) for detail in details]
            except Exception as error:
                # a validator of the user's may raise anything; that is no reason to end the turn
                reason = f"its check failed with {type(error).__name__}: {_reason(error)}"
                problems.append(f"{name}: got {_shown(value)}; {reason}")
        for name, argument in known.named.items():
            if name in given:
                continue
            if argument.required:
                expected = _shown(self.spec.parameters["properties"][name])
                problems.append(f"{name}: missing; expected {expected}")
            elif argument.supplied and (default := argument.adapter.get_default_value()):
                values[name] = default.value
        return values, problems

    def _unknown(self, name: str) -> str:
        names = list(self._arguments.named)
        near = difflib.get_close_matches(name, names, n=1)
        if near:
            return f"{_brief(name)}: there is no such argument; did you mean {near[0]}?"
        rest = f"expected {', '.join(names)}" if names else "the function takes none"
        return f"{_brief(name)}: there is no such argument; {rest}"


def _bound(signature: inspect.Signature, values: dict[str, Any]) -> inspect.BoundArguments:
    """Values by name, put where the signature wants them."""
    arguments: dict[str, Any] = {}
    rest = dict(values)
    gaps: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if parameter.kind is _Kind.VAR_KEYWORD:
            if rest:
                arguments[name] = rest
            continue
        if name not in rest:
            gaps.append(parameter)
            continue
        value = rest.pop(name)
        if parameter.kind is _Kind.VAR_POSITIONAL:
            value = tuple(value)
            if not value:
                continue
        if parameter.kind in (_Kind.POSITIONAL_ONLY, _Kind.VAR_POSITIONAL):
            # what goes by position needs everything before it
            for gap in gaps:
                if gap.kind is not _Kind.VAR_POSITIONAL:
                    arguments[gap.name] = gap.default
        arguments[name] = value
    # BoundArguments reads them in the signature's order
    return inspect.BoundArguments(signature, arguments)


# Here the state of a kernel is kept on purpose: `@tool` in one cell must be known to the next.
_REGISTERED: Final[dict[str, ToolFunction]] = {}


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    function: None = None, *, name: str | None = None, description: str | None = None
) -> Callable[[F], F]: ...
@overload
def tool(function: F, *, name: str | None = None, description: str | None = None) -> F: ...
def tool(
    function: F | None = None, *, name: str | None = None, description: str | None = None
) -> F | Callable[[F], F]:
    """Registers a function as a tool, as `@tool` or `@tool(name="weather")`; it stays as it is.

    Args:
        name: How the model calls it; None: the function's own name. A name that is taken is
            replaced, since cells are run again.
        description: What the model is told it does; None: the docstring.

    Raises:
        ConfigError: The name does not fit, or the function cannot be described.
    """

    def register(function: F) -> F:
        made = _made(function, name=name, description=description)
        # last in the order, so that the newest registration of a function is the one that counts
        _REGISTERED.pop(made.spec.name, None)
        _REGISTERED[made.spec.name] = made
        return function

    if name is not None:
        _check_name(name)
    return register if function is None else register(function)


def registered() -> dict[str, ToolFunction]:
    """The tools that `@tool` has registered, by name; the dict and the schemas are the caller's."""
    return {name: _renamed(made, name) for name, made in _REGISTERED.items()}


def as_tool(value: Any, *, name: str | None = None) -> ToolFunction:
    """A function, method, callable object or partial as a tool.

    Args:
        name: How the model calls it; None: the name it was registered with, or its own, made fit.

    Raises:
        ConfigError: It is nothing to call, or has an argument that a model cannot fill.
    """
    if name is not None:
        _check_name(name)
    if isinstance(value, ToolFunction):
        return _renamed(value, name or value.spec.name)
    for made in reversed(_REGISTERED.values()):
        # each access to a method makes another object of it; of other things, equality may be anything
        if made.function is value or (inspect.ismethod(value) and made.function == value):
            return _renamed(made, name or made.spec.name)
    return _made(value, name=name, description=None)


def _renamed(made: ToolFunction, name: str) -> ToolFunction:
    """A copy whose schema is its own."""
    spec = made.spec
    parameters = copy.deepcopy(spec.parameters)
    return replace(made, spec=Tool(name=name, description=spec.description, parameters=parameters))


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{name!r} cannot be the name of a tool.",
            hint="Use 1 to 64 letters (a to z), digits, '_' or '-'.",
        )


def _made(value: Any, *, name: str | None, description: str | None) -> ToolFunction:
    label = _own_name(value)
    if not callable(value):
        raise ConfigError(
            f"A value of type {type(value).__name__} cannot be a tool.",
            hint="Give a function, without calling it.",
        )
    if isinstance(value, type):
        raise ConfigError(
            f"{label} is a class and cannot be a tool.",
            hint="Write a function that makes one, or give a method of an instance.",
        )
    inner = _innermost(value)
    if inspect.isasyncgenfunction(_called(value)):
        raise ConfigError(
            f"{label} is an async generator and cannot be a tool.",
            hint="Make it an async function that returns a list.",
        )
    name = name or _fitting(label)
    told, of_arguments = _docstring(_documentation(value, inner))
    arguments = _arguments(value, inner, label, of_arguments)
    return ToolFunction(
        spec=Tool(
            name=name,
            description=told if description is None else description,
            parameters=_parameters(arguments),
        ),
        function=value,
        is_async=inspect.iscoroutinefunction(_called(value)),
        _arguments=arguments,
    )


def _called(value: Any) -> Any:
    """The function that runs when `value` is called, decorators included."""
    while isinstance(value, functools.partial):
        value = value.func
    return value if inspect.isroutine(value) else type(value).__call__


def _innermost(value: Any) -> Any:
    """The function whose hints and docstring count: below partials, decorators and objects."""
    for _ in range(100):  # an object may answer to any name, so also to `__wrapped__`, for ever
        if isinstance(value, functools.partial):
            value = value.func
        elif inspect.ismethod(value):
            value = value.__func__
        elif hasattr(value, "__wrapped__"):
            value = value.__wrapped__
        elif not inspect.isroutine(value):
            value = type(value).__call__
        else:
            break
    return value


def _own_name(value: Any) -> str:
    while isinstance(value, functools.partial):
        value = value.func
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) and name else type(value).__name__


def _fitting(name: str) -> str:
    """The name as the server takes it: `grösse` becomes `grosse`, `<lambda>` becomes `lambda`."""
    if _NAME.fullmatch(name):
        return name
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", plain).strip("_")[:64] or "tool"


def _documentation(value: Any, inner: Any) -> str:
    doc = inspect.getdoc(inner)
    while isinstance(value, functools.partial):
        value = value.func
    if not inspect.isroutine(value) and (not doc or doc == type.__call__.__doc__):
        doc = inspect.getdoc(type(value))
    return doc or ""


def _docstring(doc: str) -> tuple[str, dict[str, str]]:
    """Summary with body, and what is said of each argument."""
    if not doc.strip():
        return "", {}
    from docstring_parser import ParseError, parse

    try:
        parsed = parse(doc)
    except ParseError:
        return doc.strip(), {}
    if not (parsed.params or parsed.returns or parsed.raises):
        # nothing to leave out, and a line of the body may only look like a section: ":math:`x`"
        return doc.strip(), {}
    body = parsed.long_description or ""
    # a body that stands right below the summary is one paragraph with it
    gap = "\n\n" if parsed.blank_after_short_description else "\n"
    told = gap.join(part for part in (parsed.short_description or "", body) if part)
    arguments: dict[str, str] = {}
    for entry in parsed.params:
        for name in entry.arg_name.split(","):  # NumPy: "x, y : float"
            arguments[name.strip().lstrip("\\*")] = (entry.description or "").strip()
    return told, arguments


def _arguments(value: Any, inner: Any, label: str, docs: Mapping[str, str]) -> _Arguments:
    """What a model can fill of the callable.

    Raises:
        ConfigError: No signature, or an argument that must be filled and cannot be described.
    """
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError, NameError):
        raise ConfigError(
            f"{label} does not say which arguments it takes, so it cannot be a tool.",
            hint="Write a function with type hints around it.",
        ) from None
    _refuse_unbound(inner, signature, label)
    fixed = _fixed(value)
    named: dict[str, _Argument] = {}
    hidden = set(fixed)
    extra: TypeAdapter[Any] | None = None
    for name, parameter in signature.parameters.items():
        if name in fixed:
            continue
        try:
            hint = _hint(parameter, inner)
            if parameter.kind is not _Kind.VAR_KEYWORD:
                named[name] = _argument(parameter, hint, docs)
            elif _is_unpack(hint):
                for option, option_hint in _options(typing.get_args(hint)[0]):
                    named[option.name] = _argument(option, option_hint, docs)
            else:
                extra = _adapter(hint)
        except Exception as error:
            # pydantic, the hint's own code and a name that is not defined raise all kinds
            optional = parameter.kind in (_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD)
            if not optional and parameter.default is _Kind.empty:
                raise ConfigError(
                    f"The argument {name!r} of {label} cannot be a tool's:"
                    f" {_hint_shown(parameter)} has no JSON form ({_reason(error)}).",
                    hint=_way_out(error),
                ) from None
            hidden.add(name)
    return _Arguments(signature, named, frozenset(hidden), extra)


def _refuse_unbound(inner: Any, signature: inspect.Signature, label: str) -> None:
    """A method without its object would ask the model for `self`."""
    name = getattr(inner, "__qualname__", "").rpartition("<locals>.")[2]
    if "." in name and next(iter(signature.parameters), "") == "self":
        raise ConfigError(
            f"{name} is a method without its object, so it cannot be a tool.",
            hint=f"Give the method of an instance: instance.{label}.",
        )


def _fixed(value: Any) -> frozenset[str]:
    """Names that partials have filled. Those filled by position are not in the signature."""
    names: set[str] = set()
    while isinstance(value, functools.partial):
        names |= set(value.keywords)
        value = value.func
    return frozenset(names)


def _hint(parameter: inspect.Parameter, inner: Any) -> Any:
    """The parameter's type, with strings resolved where the function was defined."""
    if parameter.annotation is _Kind.empty:
        return Any
    holder = types.SimpleNamespace(
        __annotations__={"hint": parameter.annotation},
        __type_params__=getattr(inner, "__type_params__", ()),
    )
    return typing.get_type_hints(holder, getattr(inner, "__globals__", {}), include_extras=True)[
        "hint"
    ]


def _argument(parameter: inspect.Parameter, hint: Any, docs: Mapping[str, str]) -> _Argument:
    default = parameter.default
    if isinstance(default, FieldInfo):  # `x: int = Field(3, ge=1)`
        hint = Annotated[hint, default]
        default = _Kind.empty
    is_list = parameter.kind is _Kind.VAR_POSITIONAL
    adapter = _adapter(list[hint] if is_list else hint)
    supplied = default is _Kind.empty and adapter.get_default_value() is not None
    return _Argument(
        parameter=parameter,
        adapter=adapter,
        description=_said(hint) or docs.get(parameter.name, ""),
        required=default is _Kind.empty and not supplied and not is_list,
        supplied=supplied,
    )


def _is_unpack(hint: Any) -> bool:
    # by name: before Python 3.12 typing_extensions has one of its own
    return str(typing.get_origin(hint)).rpartition(".")[2] == "Unpack"


def _options(kind: Any) -> Iterator[tuple[inspect.Parameter, Any]]:
    """The fields of the TypedDict in `**options: Unpack[...]`, as keyword arguments."""
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        while typing.get_origin(hint) in (typing.Required, typing.NotRequired):
            hint = typing.get_args(hint)[0]
        default = _Kind.empty if name in kind.__required_keys__ else None
        yield inspect.Parameter(name, _Kind.KEYWORD_ONLY, default=default), hint


def _said(hint: Any) -> str:
    """The description in `Annotated[int, "..."]`; pydantic knows only that of a Field."""
    for note in reversed(getattr(hint, "__metadata__", ())):
        text = note if isinstance(note, str) else getattr(note, "documentation", None)  # PEP 727
        if isinstance(text, str) and text.strip():
            return text.strip()
    return ""


def _adapter(hint: Any) -> TypeAdapter[Any]:
    """What validates a value of this type; raises whatever says that it has no JSON form."""
    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    adapter.json_schema(schema_generator=QuietSchemas)
    return adapter


def _parameters(arguments: _Arguments) -> dict[str, Any]:
    """The JSON schema of all arguments together."""
    adapters = [(name, argument.adapter) for name, argument in arguments.named.items()]
    if arguments.extra is not None:
        adapters.append(("", arguments.extra))
    schemas, shared = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in adapters], schema_generator=QuietSchemas
    )
    of = {name: _tidied(schema) for (name, _mode), schema in schemas.items()}
    # a server may refuse a tool without `properties`, even one that takes nothing
    parameters: dict[str, Any] = {"type": "object", "properties": {}}
    for name, argument in arguments.named.items():
        parameters["properties"][name] = _described(of[name], argument)
    required = [name for name, argument in arguments.named.items() if argument.required]
    if required:
        parameters["required"] = required
    if arguments.extra is not None:
        parameters["additionalProperties"] = of[""] or True
    if "$defs" in shared:
        parameters["$defs"] = _tidied(shared)["$defs"]
    return parameters


def _described(schema: dict[str, Any], argument: _Argument) -> dict[str, Any]:
    if argument.description:
        schema.setdefault("description", argument.description)
    default = argument.parameter.default
    if default is None or default is _Kind.empty or isinstance(default, FieldInfo):
        return schema
    try:
        plain = plain_default(default)
        small = len(json.dumps(plain, allow_nan=False)) <= _MOST_DEFAULT
    except Exception:  # a default that JSON cannot say is the function's own affair
        return schema
    if small:
        schema["default"] = plain
    return schema


def _tidied(schema: Any) -> Any:
    """A copy without titles, which repeat the names, and without defaults that are not JSON."""
    if isinstance(schema, list):
        return [_tidied(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tidied: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "patternProperties", "$defs"):
            # here the keys are names, and `title` may be one
            tidied[key] = {name: _tidied(part) for name, part in value.items()}
        elif key in ("const", "enum", "examples", "required"):
            tidied[key] = copy.deepcopy(value)
        elif key == "default":
            if value is not None and _is_json(value):
                tidied[key] = copy.deepcopy(value)
        elif key != "title":
            tidied[key] = _tidied(value)
    return tidied


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _hint_shown(parameter: inspect.Parameter) -> str:
    hint = parameter.annotation
    if isinstance(hint, str):
        return _brief(hint)
    return _brief(inspect.formatannotation(hint))


def _way_out(error: Exception) -> str:
    if isinstance(error, NameError):
        return "Define the type in an earlier cell, or at the top of the module."
    if "typing_extensions" in str(error):  # what pydantic says of typing.TypedDict before 3.12
        return "Import it from there and run the cell again."
    return (
        "Let the function take a name or plain data instead, or give the argument a default"
        " so that the model does not fill it."
    )


def _problem(name: str, given: Any, detail: ErrorDetails) -> str:
    """One error of pydantic: path, what was given, what is expected."""
    path = name
    at = given
    missing = detail["type"] == "missing"
    steps = detail["loc"]
    for number, step in enumerate(steps, 1):
        # what does not lead further into the value is pydantic's name for a choice of a union
        if isinstance(at, list) and isinstance(step, int) and -len(at) <= step < len(at):
            path += f"[{step}]"
            at = at[step]
        elif isinstance(at, dict) and step in at:
            path += f".{step}"
            at = at[step]
        elif missing and number == len(steps):
            path += f".{step}"
    if missing:
        return f"{path}: missing"
    reason = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{path}: got {_shown(detail['input'])}; {_brief(reason)}"


def _json(value: Any) -> str:
    return whole(json.dumps(value, ensure_ascii=False, default=str))


def _shown(value: Any) -> str:
    return _brief(_json(value))


def _reason(error: Exception) -> str:
    """The first line of an error's text, without where to read about it."""
    try:
        text = str(error)
    except Exception:  # the text is decoration
        text = ""
    line = next(iter(text.strip().splitlines()), "")
    line = re.split(r"\. Set `arbitrary_types_allowed", line)[0]
    return _brief(line.rstrip(".") or type(error).__name__)


def _brief(text: str) -> str:
    text = " ".join(text.split())
    return whole(text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…")
