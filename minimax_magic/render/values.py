"""How a value is shown that a model gave: as Python would write it, and as a tree where it is JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Set
from enum import Enum
from typing import Any

from minimax_magic.render.bundle import MOST_BYTES, Bundle, shortened
from minimax_magic.text import whole

_WIDTH = 88
_BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}")}
_MOST_DEPTH = 30
_MOST_CHARS = 60_000


def value_bundle(value: Any) -> Bundle:
    """A pydantic model, dataclass, list or dict of them, or any other value.

    The tree is left out for what is no object or array in JSON, and for what is too large for a message.
    """
    bundle: Bundle = {"text/plain": shortened(whole(_pretty(value, 0, 0)), _MOST_CHARS)}
    plain = plain_json(value)
    if isinstance(plain, dict | list):
        size = len(json.dumps(plain, ensure_ascii=False).encode())
        if size + len(bundle["text/plain"].encode()) < MOST_BYTES:
            bundle = {"application/json": plain, **bundle}
    return bundle


def plain_json(value: Any, depth: int = 0) -> Any:
    """The value in JSON's own types: what has no such form becomes a string.

    NaN and infinities, which no browser reads, become strings, too; half characters are mended.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return plain_json(value.value, depth + 1)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return whole(str(value))
    if depth > _MOST_DEPTH:
        return "…"
    if getattr(type(value), "__pydantic_root_model__", False):
        return plain_json(value.root, depth + 1)
    if (fields := _fields(value)) is not None:
        return {name: plain_json(part, depth + 1) for name, part in fields.items()}
    if isinstance(value, Mapping):
        return {_key(key): plain_json(part, depth + 1) for key, part in value.items()}
    if isinstance(value, list | tuple | Set):
        return [plain_json(part, depth + 1) for part in value]
    return _words(value)


def is_json(value: Any) -> bool:
    """Whether it is made of JSON's own types all through: no model, no dataclass in it."""
    if isinstance(value, dict):
        return all(map(is_json, value.values()))
    if isinstance(value, list):
        return all(map(is_json, value))
    return value is None or type(value) in (str, int, float, bool)


def _key(key: Any) -> str:
    return _words(key.value if isinstance(key, Enum) else key)


def _words(value: Any) -> str:
    try:
        return whole(str(value))
    except Exception:  # as in `_repr`
        return _repr(value)


def _fields(value: Any) -> dict[str, Any] | None:
    """Of a model or dataclass; None for anything else. pydantic is known by its shape, not imported."""
    if isinstance(value, type):
        return None
    if isinstance(names := getattr(type(value), "model_fields", None), Mapping):
        extra = getattr(value, "model_extra", None) or {}
        return {name: getattr(value, name) for name in [*names, *extra]}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # whatever a class of the user's does: the answer is there and must be drawn
        return f"<{type(value).__name__}>"


def _pretty(value: Any, indent: int, depth: int, before: int = 0) -> str:
    """As `repr`, over several lines if it is too long for one behind what stands `before` it."""
    line = _repr(value)
    if len(line) + indent + before <= _WIDTH or depth > _MOST_DEPTH:
        return line
    inner = indent + 4
    fields = _fields(value)
    if fields is not None and not isinstance(value, Mapping):
        opening, closing = f"{type(value).__name__}(", ")"
        parts = [f"{n}={_pretty(v, inner, depth + 1, len(n) + 2)}" for n, v in fields.items()]
    elif type(value) is dict:
        opening, closing = "{", "}"
        parts = [f"{_repr(k)}: {_pretty(v, inner, depth + 1)}" for k, v in value.items()]
    elif type(value) in (list, tuple, set):
        opening, closing = _BRACKETS[type(value)]
        parts = [_pretty(part, inner, depth + 1) for part in value]
    else:
        return line
    if not parts:
        return line
    space = " " * inner
    return "\n".join([opening, *[f"{space}{part}," for part in parts], f"{' ' * indent}{closing}"])
