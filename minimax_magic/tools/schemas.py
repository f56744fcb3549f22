"""What the schemas of tools and of answers have in common, and the values that pydantic makes of JSON.

A schema goes into the key of a recorded answer, so it must be the same in each process.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Set
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import PydanticSerializationError, to_jsonable_python

_ANYTHING: Final[TypeAdapter[Any]] = TypeAdapter(Any)
# pydantic does not tell its name
_LAZY: Final = type(TypeAdapter(Iterable[int]).validate_python(()))


class QuietSchemas(GenerateJsonSchema):
    """Schemas without titles of fields; a default that JSON cannot say is left out of them."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012  # declared so by pydantic
        "skipped-choice",
        "non-serializable-default",
    }

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # it would only repeat the name

    def encode_default(self, dft: Any) -> Any:
        if _holds_sets(dft):  # a set itself comes here as a sorted list
            raise PydanticSerializationError("there is a set in it, which has no order")
        return super().encode_default(dft)


def plain_default(default: Any) -> Any:
    """A default as JSON says it, a set in order; it raises whatever says that there is no such form.

    What holds sets further inside, such as a model, has none: their order is another in each process.
    """
    if not isinstance(default, Set):
        if _holds_sets(default):
            raise ValueError("there is a set in it, which has no order")
        return to_jsonable_python(default)
    items = [plain_default(item) for item in default]
    try:
        return sorted(items)
    except TypeError:  # of several types
        return sorted(items, key=json.dumps)


def _holds_sets(value: Any) -> bool:
    waiting = [_ANYTHING.dump_python(value, warnings=False)]
    while waiting:
        match waiting.pop():
            case Set():
                return True
            case dict() as parts:
                waiting += parts.values()
            case list() | tuple() as parts:
                waiting += parts
    return False


def settled(value: Any) -> Any:
    """A validated value whose lazy parts are lists.

    For `Iterable[int]` pydantic gives an iterator that looks at an item only when it is taken, so that
    whoever takes it meets what is wrong.

    Raises:
        ValidationError: An item is not valid.
    """
    return _settled(value, set())


def _settled(value: Any, seen: set[int]) -> Any:
    """The value itself, unless there was something lazy in it.

    Args:
        seen: Objects that were looked at: a validator may have made a circle of them.
    """
    if isinstance(value, _LAZY):
        return [_settled(item, seen) for item in value]
    is_model = isinstance(value, BaseModel)
    is_record = dataclasses.is_dataclass(value) and not isinstance(value, type)
    if not is_model and not is_record and type(value) not in (list, tuple, dict):
        return value
    if id(value) in seen:
        return value
    seen.add(id(value))
    if is_model:
        value.__dict__.update(_changed(value.__dict__, seen))
    elif is_record:
        names = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
        for name, part in _changed({name: getattr(value, name) for name in names}, seen).items():
            object.__setattr__(value, name, part)  # it may be frozen
    elif isinstance(value, dict):
        value.update(_changed(value, seen))
    elif changed := _changed(dict(enumerate(value)), seen):
        return type(value)(changed.get(number, part) for number, part in enumerate(value))
    return value


def _changed(parts: dict[Any, Any], seen: set[int]) -> dict[Any, Any]:
    """The parts that are others now."""
    after = {key: _settled(part, seen) for key, part in parts.items()}
    return {key: part for key, part in after.items() if part is not parts[key]}
