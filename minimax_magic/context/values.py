"""Values of plain Python: scalars by their value, containers by their shape, objects by their repr.

Of a container (dict, list, dataclass, anything with a length) keys, types and length are told;
values only if rows are asked for.
"""

from __future__ import annotations

import dataclasses
import itertools
import numbers
import os
import re
import reprlib
import types
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, time, timedelta
from enum import Enum
from typing import Any, Final

from minimax_magic.context.pieces import (
    MOST_NAMES,
    MOST_REPR,
    MOST_ROWS_CHARS,
    MOST_TEXT,
    MOST_VALUE,
    attempt,
    count_text,
    cut,
    is_a,
    lines_within,
    listed,
    name_text,
    repr_text,
    short,
    type_name,
)

_SEQUENCES: Final = (list, tuple, set, frozenset, deque)
# elements that are looked at for their types
_MOST_LOOKED_AT: Final = 10_000
_DEEPEST: Final = 2

_SCALARS: Final = (
    *(date, time, timedelta, Enum, numbers.Number, os.PathLike, re.Pattern, uuid.UUID, range),
    type(None),
)


class _Brief(reprlib.Repr):
    """Containers in containers are cut while they are written, not after: a list may be large."""

    def repr_instance(self, x: Any, level: int) -> str:
        return _other_text(x, self.maxother)


_brief = _Brief()
_brief.maxlevel = 4
_brief.maxlist = _brief.maxtuple = _brief.maxset = _brief.maxdict = _brief.maxdeque = 20
_brief.maxstring = _brief.maxother = _brief.maxlong = 300


def describe_scalar(value: Any) -> str | None:
    """Text, numbers and bytes are nothing but their value; None if it is none of them."""
    if is_a(value, str):
        return f"str of {len(value):,} characters:\n{cut(str(value), MOST_TEXT)}"
    if is_a(value, (bytes, bytearray)):
        return f"{type_name(value)} of {len(value):,} bytes: {repr_text(value)}"
    if is_a(value, _SCALARS):
        return f"{type_name(value)}: {repr_text(value)}"
    return None


def describe_container(value: Any, rows: int) -> str | None:
    """Keys, types and length; None if the value is no container.

    Args:
        rows: How many of the first entries to tell with their values.
    """
    fields = _fields(value)
    if fields is not None:
        head = f"{type_name(value)} with {count_text(len(fields), 'field')}"
        return _joined(head, _entries(fields), _rows_of_mapping(fields, rows))
    if is_a(value, Mapping):
        size = attempt(lambda: count_text(len(value), "key"), "an unknown number of keys")
        told = attempt(lambda: _mapping(value), "")
        head = f"{type_name(value)} with {size}"
        return _joined(head, told, attempt(lambda: _rows_of_mapping(value, rows), ""))
    if is_a(value, _SEQUENCES) or (
        is_a(value, (Sequence, Set)) and not is_a(value, (str, bytes, range, memoryview))
    ):
        # of types that are not Python's own, reading the elements may cost much
        shape = attempt(lambda: _shape(value), type_name(value))
        return _joined(shape, attempt(lambda: _rows_of_sequence(value, rows), ""))
    return None


def describe_object(value: Any, rows: int) -> str:
    """Anything else: its type, what it says of itself, the names of its public attributes."""
    lines = [f"object of type {type_name(value)}"]
    # what has a length has values, which many print: tables, tensors, collections of others
    length = attempt(lambda: len(value), None) if hasattr(type(value), "__len__") else None
    if length is not None:
        lines.append(f"Length: {length:,}")
    if length is None or rows > 0:
        lines.append(f"It says: {repr_text(value, MOST_REPR)}")
    names = attempt(lambda: [name for name in dir(value) if not name.startswith("_")], list[str]())
    if names:
        lines.append(f"Public attributes: {listed(names, len(names))}")
    return "\n".join(lines)


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of a dataclass, pydantic model, named tuple or namespace; None for others."""
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
    elif is_a(value, types.SimpleNamespace):
        names = attempt(lambda: [*vars(value)], list[str]())
    elif is_a(value, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
        names = [str(name) for name in kind._fields]
    elif isinstance(declared := getattr(kind, "model_fields", None), dict):
        names = [*declared]
    else:
        return None
    return {name: attempt(lambda name=name: getattr(value, name), None) for name in names}  # type: ignore[misc]


def _mapping(value: Mapping[Any, Any]) -> str:
    if is_a(value, dict):
        return _entries(value)
    # the values of others may have to be fetched: from files, from the environment
    return f"Keys: {listed(map(name_text, value), len(value))}"


def _entries(value: Mapping[Any, Any]) -> str:
    lines = [
        f"- {name_text(key)}: {_shape(item)}"
        for key, item in itertools.islice(value.items(), MOST_NAMES)
    ]
    if len(value) > MOST_NAMES:
        lines.append(f"[{len(value) - MOST_NAMES:,} more keys are left out]")
    return "\n".join(lines)


def _shape(value: Any, depth: int = 0) -> str:
    """Type and size without a value: `list of 3: 2 int, 1 str`, `dict with keys 'a', 'b'`."""
    if is_a(value, dict):
        head = f"{type_name(value)} with {count_text(len(value), 'key')}"
        if depth >= _DEEPEST or not value:
            return head
        return f"{head}: {short(listed(map(name_text, value), len(value), 20), 500)}"
    if is_a(value, (str, bytes)):
        return f"{type_name(value)} of length {len(value):,}"
    if is_a(value, _SEQUENCES):
        head = f"{type_name(value)} of {len(value):,}"
        if depth >= _DEEPEST or not value:
            return head
        looked = itertools.islice(value, _MOST_LOOKED_AT)
        kinds = Counter(type_name(item) for item in looked)
        told = [f"{n:,} {kind}" for kind, n in sorted(kinds.items(), key=lambda k: (-k[1], k[0]))]
        some = f" (of the first {_MOST_LOOKED_AT:,})" if len(value) > _MOST_LOOKED_AT else ""
        inner = ""
        if len(kinds) == 1 and is_a(first := next(iter(value)), (dict, list, tuple)):
            inner = f"; the first is {_shape(first, depth + 1)}"
        return f"{head}: {', '.join(told[:10])}{some}{inner}"
    shape = attempt(lambda: tuple(value.shape), None) if _has_shape(value) else None
    return f"{type_name(value)} of shape {shape}" if shape else type_name(value)


def _rows_of_mapping(value: Mapping[Any, Any], rows: int) -> str:
    if rows <= 0 or not value:
        return ""
    lines = (
        f"{name_text(key)}: {_value_text(value[key])}" for key in itertools.islice(value, rows)
    )
    return _rows(lines, min(rows, len(value)))


def _rows_of_sequence(value: Iterable[Any], rows: int) -> str:
    if rows <= 0:
        return ""
    total = len(value)  # type: ignore[arg-type]
    # a set has another order at each run, and the same request should be the same text
    texts: Iterable[str] = map(_value_text, itertools.islice(value, rows))
    if is_a(value, Set) and total <= _MOST_LOOKED_AT:
        texts = sorted(map(_value_text, value))[:rows]
    return _rows(texts, min(rows, total)) if total else ""


def _rows(lines: Iterable[str], total: int) -> str:
    return f"The first {total:,}:\n" + lines_within(lines, MOST_ROWS_CHARS, total, "entries")


def _value_text(value: Any) -> str:
    if is_a(value, (dict, list, tuple, set, frozenset, deque)):
        text = attempt(lambda: _brief.repr(value), f"<{type_name(value)} whose repr fails>")
        return short(" ".join(text.split()), MOST_VALUE)
    return _other_text(value, MOST_VALUE)


def _other_text(value: Any, most: int) -> str:
    """A value in a row; of tables, arrays and the like in it the type and shape, never theirs."""
    if describe_scalar(value) is None and (hasattr(type(value), "__len__") or _has_shape(value)):
        return f"<{_shape(value)}>"
    return short(" ".join(repr_text(value, most).split()), most)


def _has_shape(value: Any) -> bool:
    return hasattr(type(value), "shape")


def _joined(*parts: str) -> str:
    return "\n".join(part for part in parts if part)
