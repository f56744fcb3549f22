"""Structured output: a Python type as what the model must answer, and its answer as a value of it.

The server ignores `response_format`, so the schema travels as a tool whose call is the answer; a model
that writes the answer as text instead is understood as well. All here is pure: who sends, repairs and
gives up is the conversation's business.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import sys
import types
import typing
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NotRequired, Required

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from minimax_magic.errors import ConfigError
from minimax_magic.messages import Tool, ToolCall
from minimax_magic.text_json import find_json, json_values, with_braces
from minimax_magic.tools.schemas import QuietSchemas, settled

_TOOL_NAME = "give_answer"
# The one argument of the tool for what is no object by itself.
_ANSWER = "answer"
_MOST_PROBLEMS = 8
_MOST_GIVEN_CHARS = 80
_MOST_MESSAGE_CHARS = 300
# A schema longer than this is not sent a second time beside the tool.
_MOST_SCHEMA_CHARS = 4000
_ANY_JSON_INSTRUCTION = "Answer with one JSON value and nothing else: no prose, no code fence."


class NotValid(Exception):
    """The answer is not what was asked for.

    Args:
        message: What is wrong, for the model: each problem with its path, and what to do.
        problem: The same for people, one sentence without a full stop.
    """

    def __init__(self, message: str, *, problem: str) -> None:
        super().__init__(message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class OutputType:
    """What the model must answer; made by `output_type`.

    Attributes:
        label: For people: `Person`, `list[Person]`, `JSON`.
        tool: Carries the schema; None for plain JSON without one.
        instruction: To be added to the system prompt.
    """

    label: str
    tool: Tool | None
    instruction: str
    _adapter: TypeAdapter[Any] | None = field(default=None, repr=False)
    _wrapped: bool = field(default=False, repr=False)

    def read_call(self, call: ToolCall) -> Any:
        """The value that a call of the tool carries.

        Raises:
            NotValid: Its arguments are no JSON object, or do not fit the type.
        """
        if call.invalid_arguments is not None:
            try:
                json.loads(call.invalid_arguments)
                problem = "the arguments are not a JSON object"
            except (ValueError, RecursionError) as error:
                problem = f"the arguments are not JSON: {error}"
            raise self._not_valid([problem])
        return self._value(call.arguments)

    def read_text(self, text: str) -> Any:
        """The value that stands in a text, in whatever surroundings.

        Raises:
            NotValid: There is no JSON in it, or none that fits the type.
        """
        first: NotValid | None = None
        for value in self._candidates(text):
            try:
                return self._value(value)
            except NotValid as error:
                first = first or error
        if first is not None:
            raise first
        try:
            find_json(text)
        except ValueError as error:
            raise self._not_valid([str(error) if text.strip() else "the answer is empty"]) from None
        raise self._not_valid(["there is no JSON object or array in it"])

    def _candidates(self, text: str) -> Iterator[Any]:
        found = False
        for value in json_values(text):
            found = found or isinstance(value, dict | list)
            if self._wrapped or isinstance(value, dict | list):
                yield value
        if (mended := with_braces(text)) is not None:
            yield from (v for v in json_values(mended) if isinstance(v, dict | list))
        elif self._wrapped and not found and text.strip():
            yield text.strip()  # a word of a Literal, a date or a text, without its quotes

    def _value(self, value: Any) -> Any:
        if self._adapter is None:
            if isinstance(value, dict | list):
                return value
            raise self._not_valid(["it is not an object or array"])
        if self._wrapped and isinstance(value, dict) and value.keys() == {_ANSWER}:
            try:
                return self._validated(value[_ANSWER], self._adapter)
            except NotValid:
                with contextlib.suppress(NotValid):  # it may be a map with just that key
                    return self._validated(value, self._adapter)
                raise
        return self._validated(value, self._adapter)

    def _validated(self, value: Any, adapter: TypeAdapter[Any]) -> Any:
        try:
            # as JSON, where strings may stand for dates and arrays for sets even in strict models
            return settled(adapter.validate_json(json.dumps(value)))
        except ValidationError as error:
            raise self._not_valid(_problems(error)) from error
        except Exception as error:  # a validator of the user's
            problem = f"a validator failed: {type(error).__name__}: {error}"
            raise self._not_valid([problem]) from error

    def _not_valid(self, problems: list[str]) -> NotValid:
        lines = [f"- {problem}" for problem in problems[:_MOST_PROBLEMS]]
        if more := len(problems) - len(lines):
            lines.append(f"- and {more} more")
        again = (
            f"Call {self.tool.name} again with the whole answer, corrected."
            if self.tool
            else "Answer again: the whole JSON value, corrected, and nothing else."
        )
        others = len(problems) - 1
        return NotValid(
            "\n".join([f"The answer is not valid as {self.label}:", *lines, again]),
            problem=f"{problems[0]} and {others} more" if others else problems[0],
        )


def output_type(kind: Any, *, taken: Collection[str] = ()) -> OutputType:
    """What makes a type the form of an answer.

    Args:
        kind: A pydantic model, dataclass, TypedDict, enum, `list[Model]`, `Literal`, `int`, ...
        taken: Names of other tools, which that of the answer must not have.

    Raises:
        ConfigError: It is no type, or one that has no JSON schema.
    """
    label = _label(kind)
    if kind is None or isinstance(kind, str | functools.partial) or inspect.isroutine(kind):
        # pydantic would call a function with the answer
        raise ConfigError(f"{label} is not a type.", hint=_HINT)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(_modern(kind))
        schema = adapter.json_schema(schema_generator=QuietSchemas)
    except Exception as error:  # also what the user's own class raises while it is looked at
        reason = " ".join(str(error).split("\n\nFor further")[0].split())
        raise ConfigError(
            f"{label} cannot be the form of an answer: {_short(reason, 200)}", hint=_HINT
        ) from error
    schema = _as_object(_without_titles(schema))
    wrapped = "properties" not in schema
    description = f"Takes the final answer: {label}."
    if about := schema.get("description"):
        description = f"{description} {about}"
    if wrapped:
        definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
        schema = {
            "type": "object",
            "properties": {_ANSWER: schema},
            "required": [_ANSWER],
            **definitions,
        }
    name, number = _TOOL_NAME, 1
    while name in taken:
        number += 1
        name = f"{_TOOL_NAME}_{number}"
    tool = Tool(name=name, description=description, parameters=schema)
    return OutputType(label, tool, _instruction(name, schema), adapter, wrapped)


_HINT = "Use a pydantic model, a dataclass, a TypedDict, list[Model] or a type such as int."

ANY_JSON = OutputType("JSON", None, _ANY_JSON_INSTRUCTION)


def _instruction(name: str, schema: dict[str, Any]) -> str:
    written = json.dumps(schema, ensure_ascii=False, default=str)
    where = f":\n{written}" if len(written) <= _MOST_SCHEMA_CHARS else f" of the tool {name}."
    return (
        f"Do what is asked of you first, with other tools if you need them. Then give your answer by "
        f"calling the tool {name} exactly once, and write nothing after it. If you cannot call tools, "
        f"write only JSON, without prose or code fence, that fits the schema{where}"
    )


# ----------------------------------------------------------------------------------- schemas


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without the titles of classes, which repeat their names."""
    for described in (schema, *schema.get("$defs", {}).values()):
        described.pop("title", None)
    return schema


def _as_object(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with what its top refers to put in its place, as arguments need it."""
    reference = schema.get("$ref")
    definitions = schema.get("$defs", {})
    while isinstance(reference, str):
        target = definitions.get(reference.removeprefix("#/$defs/"), {})
        schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
        reference = target.get("$ref")
    return schema


def _modern(kind: Any, seen: tuple[Any, ...] = ()) -> Any:
    """The type with each TypedDict as pydantic needs it before Python 3.12."""
    if sys.version_info >= (3, 12) or kind in seen:
        return kind
    if type(kind).__module__ == "typing" and typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        fields = {}
        for name, hint in hints.items():
            marked: Any = Required if name in kind.__required_keys__ else NotRequired
            if typing.get_origin(hint) in (Required, NotRequired):
                # truer than the keys, where annotations were strings
                marked, (hint,) = typing.get_origin(hint), typing.get_args(hint)
            fields[name] = marked[_modern(hint, (*seen, kind))]
        same = TypedDict(kind.__name__, fields)  # type: ignore[misc]  # made at run time
        same.__module__, same.__doc__ = kind.__module__, kind.__doc__
        return same
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if not args or origin is typing.Literal or origin is typing.Annotated:
        return kind
    changed = tuple(_modern(arg, seen) for arg in args)
    if changed == args:
        return kind
    if origin is types.UnionType:
        return typing.Union[changed]  # noqa: UP007  # made of a tuple
    return kind.copy_with(changed) if hasattr(kind, "copy_with") else origin[changed]


# ----------------------------------------------------------------------------------- words


def _label(kind: Any) -> str:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _label(args[0])
    if origin is typing.Literal:
        return _short(f"Literal[{', '.join(map(repr, args))}]", 60)
    if origin is typing.Union or origin is types.UnionType:
        return _short(" | ".join(map(_label, args)), 60)
    if kind is ... or kind is type(None):
        return "..." if kind is ... else "None"
    if origin is not None and args:
        name = getattr(origin, "__name__", str(origin))
        return _short(f"{name}[{', '.join(map(_label, args))}]", 60)
    if isinstance(kind, type) or hasattr(kind, "__name__"):
        return str(kind.__name__)
    return _given(kind, 60)


def _problems(error: ValidationError) -> list[str]:
    return [_problem(one) for one in error.errors(include_url=False)]


def _problem(error: Any) -> str:
    """`age: Input should be a valid integer (got 'old')`."""
    path = ""
    for part in error["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith("function-"):  # where a validator stands is no path
            path += f".{part}" if path else part
    message = _short(" ".join(str(error["msg"]).split()), _MOST_MESSAGE_CHARS)
    for prefix in ("Value error, ", "Assertion failed, "):
        message = message.removeprefix(prefix)
    if error["type"] != "missing":
        message = f"{message} (got {_given(error['input'])})"
    return f"{path}: {message}" if path else message


def _given(value: Any, most: int = _MOST_GIVEN_CHARS) -> str:
    try:
        return _short(" ".join(repr(value).split()), most)
    except Exception:  # an object that cannot show itself
        return f"a {type(value).__name__}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
