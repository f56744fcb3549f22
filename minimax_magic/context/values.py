"""Values of plain Python: scalars by their value, containers and objects by their shape.

Of a container (dict, list, dataclass) keys, types and length are told, of any other object its
attributes and their types; values, and what an object says of itself, only if rows are asked for.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import numbers
import os
import re
import sys
import types
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, time, timedelta, tzinfo
from enum import Enum
from pathlib import PurePath
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
    type_name_of,
)
from minimax_magic.context.steady import SteadyRepr

_SEQUENCES: Final = (list, tuple, set, frozenset, deque)
# elements that are looked at for their types
_MOST_LOOKED_AT: Final = 10_000
_DEEPEST: Final = 2

_SCALARS: Final = (
    *(date, time, timedelta, tzinfo, numbers.Number, PurePath, os.DirEntry, re.Pattern),
    *(uuid.UUID, range, type(None)),
)
# of libraries that are not imported here
_NAMED_SCALARS: Final = frozenset(
    {
        *("pandas.Period", "pandas.Interval", "pandas.NAType"),
        *(f"ipaddress.IPv{n}{kind}" for n in (4, 6) for kind in ("Address", "Network")),
    }
)


class _Brief(SteadyRepr):
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
        return f"str of {len(value):,} characters:\n{cut(str.__str__(value), MOST_TEXT)}"
    if is_a(value, (bytes, bytearray)):
        return f"{type_name(value)} of {len(value):,} bytes: {repr_text(value)}"
    if is_a(value, Enum):
        return f"{type_name(value)}: {_member_text(value)}"
    if is_a(value, _SCALARS) or type_name(value) in _NAMED_SCALARS or _is_numpy_scalar(value):
        return f"{type_name(value)}: {repr_text(value)}"
    return None


def _member_text(member: Enum) -> str:
    """The member with its value if that is plain; it may be a table."""
    name = f"{type(member).__name__}.{member.name}"
    plain = type(member.value) in (bool, int, float, complex, str, bytes, type(None))
    return f"<{name}: {repr_text(member.value)}>" if plain else f"<{name}>"


def _is_numpy_scalar(value: Any) -> bool:
    """Whether it is one value of numpy, a record or an object left out."""
    generic = getattr(sys.modules.get("numpy"), "generic", None)
    return isinstance(generic, type) and is_a(value, generic) and value.dtype.kind in "biufcmMSU"


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
    """Anything else: its type, its attributes by name and type, the public names of its class.

    What it says of itself is told with rows only: the repr of an object that has a table is often
    that of the table.
    """
    lines = [f"object of type {type_name(value)}"]
    length = attempt(lambda: len(value), None) if hasattr(type(value), "__len__") else None
    if length is not None:
        lines.append(f"Length: {length:,}")
    if rows > 0:
        lines.append(f"It says: {repr_text(value, MOST_REPR)}")
    parameters = attempt(lambda: _parameters(value), dict[str, str]())
    if parameters:
        told = (f"{name}={text}" for name, text in parameters.items())
        lines.append(f"Parameters: {listed(told, len(parameters))}")
    own = {name: item for name, item in _own(value).items() if name not in parameters}
    if own:
        lines.append(f"Attributes:\n{_entries(own)}")
    # of the class: what an object lists itself may be values, as the labels of a pandas Series
    names = attempt(lambda: dir(type(value)), list[str]())
    names = [name for name in names if not name.startswith("_") and name not in own]
    if names:
        lines.append(f"Public names: {listed(names, len(names))}")
    return "\n".join(lines)


def _own(value: Any) -> dict[str, Any]:
    """The public attributes that are stored in an object; no property is asked."""
    stored = attempt(lambda: object.__getattribute__(value, "__dict__"), None)
    own = {name: stored[name] for name in stored} if is_a(stored, dict) else {}
    for kind in type(value).__mro__:
        for name, member in vars(kind).items():
            if is_a(member, types.MemberDescriptorType):  # of `__slots__`
                item = attempt(lambda member=member: member.__get__(value), _UNSET)  # type: ignore[misc]
                if item is not _UNSET:
                    own.setdefault(name, item)
    return {name: item for name, item in own.items() if is_a(name, str) and name[:1] != "_"}


_UNSET: Final = object()


def _parameters(value: Any) -> dict[str, str]:
    """The settings of an estimator of scikit-learn, of which the plain ones are told."""
    bases = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(value).__mro__}
    if ("sklearn", "BaseEstimator") not in bases:
        return {}
    return {
        str(name): short(repr(item), 80)
        if type(item) in (bool, int, float, str, type(None))
        else f"<{_shape(item)}>"
        for name, item in value.get_params(deep=False).items()
    }


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
        # which of a set's elements come first is left to chance: all of them are looked at
        is_set = is_a(value, (set, frozenset))
        looked = value if is_set else itertools.islice(value, _MOST_LOOKED_AT)
        kinds: Counter[str] = Counter()
        for kind, count in Counter(map(type, looked)).items():
            kinds[type_name_of(kind)] += count
        told = [f"{n:,} {kind}" for kind, n in sorted(kinds.items(), key=lambda k: (-k[1], k[0]))]
        some = f" (of the first {_MOST_LOOKED_AT:,})" if len(value) > _MOST_LOOKED_AT else ""
        some = "" if is_set else some
        inner = ""
        if len(kinds) == 1 and not is_set and is_a(first := next(iter(value)), (dict, list, tuple)):
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
    texts: Iterable[str] = map(_value_text, itertools.islice(value, rows))
    # a set has another order at each run, and the same request should be the same text
    if is_a(value, Set) and total <= _MOST_LOOKED_AT:
        texts = sorted(map(_value_text, value))[:rows]
    elif is_a(value, Set):
        if len(kinds := set(map(type, value))) != 1 or not kinds <= {str, bytes, int}:
            return f"None of {total:,} elements of many kinds is the first: their order is chance."
        texts = map(_value_text, heapq.nsmallest(rows, value))
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
