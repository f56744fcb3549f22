"""Texts of values that are the same at each run: no addresses in memory, sets in one order.

A request that is replayed is found by its text. The order of a set of strings changes from process
to process, and so does the address of an object.
"""

from __future__ import annotations

import ast
import re
import reprlib
from collections.abc import Set
from typing import Any, Final

_ADDRESS: Final = re.compile(
    r" at 0x[0-9a-fA-F]{4,16}\b"  # object.__repr__
    r"| 0x[0-9a-fA-F]{9,16}\b"  # cffi
    r"| id='?\d{9,}'?"  # unittest.mock
)
_BRACES: Final = re.compile(r"\{[^{}]*\}")
# sorting more would take seconds
_MOST_SORTED: Final = 10_000


def steady_text(text: str) -> str:
    """What an object or an error says, without addresses and with its sets in one order.

    Sets are known by their braces: only those of plain values can be put in order.
    """
    return _BRACES.sub(_in_order, _ADDRESS.sub("", text))


def _in_order(braces: re.Match[str]) -> str:
    try:
        found = ast.literal_eval(braces[0])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return braces[0]
    if not isinstance(found, set):
        return braces[0]
    return "{" + ", ".join(sorted(map(repr, found))) + "}"


class SteadyRepr(reprlib.Repr):
    """As the one of Python, but the order of a set is that of its elements' texts."""

    def repr_set(self, x: Set[Any], level: int) -> str:
        return self._set(x, level, "{", "}") if x else "set()"

    def repr_frozenset(self, x: Set[Any], level: int) -> str:
        return self._set(x, level, "frozenset({", "})") if x else "frozenset()"

    def _set(self, x: Set[Any], level: int, opening: str, closing: str) -> str:
        if level <= 0 or len(x) > _MOST_SORTED:
            return f"{opening}...{closing}"
        texts = sorted(self.repr1(item, level - 1) for item in x)
        more = ["..."] if len(texts) > self.maxset else []
        return opening + ", ".join(texts[: self.maxset] + more) + closing
