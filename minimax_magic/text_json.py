"""JSON inside a text that a model wrote, with all that models put around it.

Looked for in this order, and the first that parses is the answer:

1. The whole text.
2. Fenced code blocks: those labelled `json` before others, a later one before an earlier one, since
   a model that corrects itself does so further down.
3. The text itself from front to back: the first object or array that is whole and not part of a
   sentence: an object with keys anywhere, anything else only on lines of its own or behind a colon,
   and nothing that is empty. `[1]`, `- [ ] todo` and `a[0]` are how people write.

Leftovers of thinking are left out. Of a piece that is broken or cut off nothing is taken, not even a
part that would be valid by itself: half an answer must not pass for a whole one. Line breaks inside
strings are let pass, NaN, Infinity and numbers beyond a double are not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from math import isfinite
from typing import Any

_OPEN, _CLOSE = "<think>", "</think>"
_FENCE_LINE = re.compile(r"^[ \t]*(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_BRACKET = re.compile(r"[\[{]")
# A string, closed or not, or a bracket. Possessive, so that nothing is ever read twice.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
# What may stand behind a bracket of JSON: most brackets of prose are told by it.
_LIKELY = re.compile(r'\{\s*+["}]|\[\s*+[\]\[{"\d\-tfn]')
_COLON = re.compile(r"\s*:")
_LINE_ENDS = re.compile(r"[ \t\r.,;]*+(?:\n|\Z)")
_PAIRS = {"]": "[", "}": "{"}
# How often a long text may be read to find where broken pieces end, and how many characters of a
# short one: prose full of half-open intervals passes, a megabyte of brackets is given up at once.
_MOST_READS = 1
_SHORT = 200_000
# Each failure of the decoder counts the lines before it, which takes as long as the text is.
_MOST_TRIES = 200


class _NotJson(ValueError):
    """A number that JSON does not have."""


def _refuse(constant: str) -> Any:
    raise _NotJson(f"{constant} is not JSON")


def _float(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise _NotJson(f"{digits[:40]} is out of range")
    return value


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse, parse_float=_float)


def load_json(text: str) -> Any:
    """The value of a text that is JSON and nothing else, scalars included.

    Raises:
        ValueError: It is not, or nests too deep to be read.
    """
    try:
        return _DECODER.decode(text.strip().removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("the JSON nests too deep") from None


def find_json(text: str) -> Any:
    """The JSON object or array in a text.

    Raises:
        ValueError: There is none that is whole; the text says where the first one breaks.
    """
    for value in json_values(text):
        if isinstance(value, dict | list):
            return value
    raise ValueError(_what_is_wrong(_without_thinking(text)))


def json_values(text: str) -> Iterator[Any]:
    """All JSON values in a text, the likeliest first.

    Scalars count where they are the whole text or all of a fenced block.
    """
    try:
        yield load_json(text)
    except ValueError:
        pass  # nearly always there is something around it
    else:
        return
    body = _without_thinking(text)
    if body is not text:
        try:
            yield load_json(body)
        except ValueError:
            pass
        else:
            return
    for block in _fenced(body):
        try:
            yield load_json(block)
        except ValueError:
            continue
    yield from _in_prose(body)


def with_braces(text: str) -> str | None:
    """The text with the `{` that MiniMax-M2.5 drops in arrays put back; None if none is missing.

    `[ "a": 1}, {"a": 2}]` becomes `[ {"a": 1}, {"a": 2}]`. What comes of it is a guess that has to
    prove itself.
    """
    pieces: list[str] = []
    open_brackets: list[str] = []
    copied, at = 0, 0
    while token := (_TOKEN if open_brackets else _BRACKET).search(text, at):
        at = token.end()
        match token[0]:
            case "[" | "{" as bracket:
                open_brackets.append(bracket)
            case "]" | "}" as bracket:
                if open_brackets[-1] == _PAIRS[bracket]:
                    open_brackets.pop()
            case _ if open_brackets[-1] == "[" and _COLON.match(text, at):
                pieces += [text[copied : token.start()], "{"]
                copied = token.start()
                open_brackets.append("{")
    return "".join([*pieces, text[copied:]]) if pieces else None


def _without_thinking(text: str) -> str:
    """The text after its thinking; the very same object if there is none.

    A closing tag inside a value stays: it counts only if something bracketed follows.
    """
    body = text
    while (start := body.lstrip()).startswith(_OPEN):
        _, closed, body = start.partition(_CLOSE)
        if not closed:
            return ""
    _, closed, after = body.rpartition(_CLOSE)
    return after if closed and _BRACKET.search(after) else body


def _fenced(text: str) -> list[str]:
    """Contents of the complete fenced blocks, in the order they are to be tried."""
    labelled: list[str] = []
    others: list[str] = []
    mark, inside, is_json = "", 0, False
    for line in _FENCE_LINE.finditer(text):
        info = line[2].strip()
        if not mark:
            if "`" not in info:  # else it is inline code
                mark, inside = line[1], line.end()
                is_json = info.lower().split(" ")[0].startswith("json")
        elif line[1].startswith(mark) and not info:
            (labelled if is_json else others).append(text[inside : line.start()])
            mark = ""
    return [*reversed(labelled), *reversed(others)]


def _in_prose(text: str) -> Iterator[Any]:
    """Values that begin at a bracket of the text; none inside another, be that whole or broken."""
    allowance = _MOST_READS * len(text) + _SHORT
    tries = at = 0
    while allowance > 0 and tries < _MOST_TRIES and (bracket := _BRACKET.search(text, at)):
        start = bracket.start()
        error_at = 0
        if _LIKELY.match(text, start):
            try:
                value, at = _DECODER.raw_decode(text, start)
            except RecursionError:
                return
            except ValueError as error:
                if _is_cut_off(error, text):
                    return
                tries += 1
                error_at = getattr(error, "pos", 0)
            else:
                if value and (isinstance(value, dict) or _stands_alone(text, start, at)):
                    yield value
                continue
        closed = _end(text, start)
        allowance -= (closed or len(text)) - start
        at = closed or max(start + 1, error_at)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether it begins its line or follows a colon, perhaps a bold one, and ends its last line."""
    while start and text[start - 1] in " \t":
        start -= 1
    begins = not start or text.endswith(("\n", ":", ":*", ":**", ":__"), 0, start)
    return begins and _LINE_ENDS.match(text, end) is not None


def _end(text: str, start: int) -> int | None:
    """Where the bracket closes that opens at `start`; None if it never does.

    Closing brackets that fit nothing are passed by: they belong to an opening one that was dropped.
    """
    depth = {"[": 0, "{": 0}
    opened: list[str] = []
    for token in _TOKEN.finditer(text, start):
        mark = token[0]
        if mark in depth:
            opened.append(mark)
            depth[mark] += 1
        elif (opening := _PAIRS.get(mark)) and depth[opening]:
            while (last := opened.pop()) != opening:
                depth[last] -= 1
            depth[opening] -= 1
            if not opened:
                return token.end()
    return None


def _is_cut_off(error: ValueError, text: str) -> bool:
    """Whether all was well up to the end of the text."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")


def _what_is_wrong(text: str) -> str:
    bracket = _BRACKET.search(text)
    if bracket is None:
        return "there is no JSON object or array in it"
    try:
        _DECODER.raw_decode(text, bracket.start())
    except RecursionError:
        return "the JSON nests too deep"
    except json.JSONDecodeError as error:
        if _is_cut_off(error, text):
            return "the JSON is not complete: it breaks off at the end"
        near = " ".join(text[max(0, error.pos - 20) : error.pos + 20].split())
        return f"the JSON is broken near {near!r}: {error.msg}"
    except ValueError as error:
        return str(error)
    return "there is no JSON object or array in it that stands by itself"
