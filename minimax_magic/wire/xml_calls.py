"""Tool calls that a model writes as XML into its text, made calls again.

MiniMax-M2.5 sometimes does on the Anthropic wire (github.com/MiniMax-AI/MiniMax-M2.5/issues/10):

    <minimax:tool_call><invoke name="exec"><parameter name="command">ls</parameter></invoke>
    </minimax:tool_call>

A block counts as a whole or not at all: every tool in it must be offered and every tag in its place.
At the first character that does not fit, all of it is text again, to the letter, and so is a block in
code or one that never ends. Only what may still become a block is held back. The values are bare
text; the tool's schema says what they are meant to be.
"""

from __future__ import annotations

import html
import json
import re
import secrets
import string
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Literal

from minimax_magic.events import (
    Finished,
    Notice,
    StreamEvent,
    TextDelta,
    TextWasThinking,
    ThinkingDelta,
    ThinkingDone,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    UsageUpdate,
)
from minimax_magic.messages import Tool
from minimax_magic.text import TextBuffer
from minimax_magic.text_json import load_json
from minimax_magic.wire.codec import make_call

_OPEN, _CLOSE = "<minimax:tool_call>", "</minimax:tool_call>"
_INVOKE, _INVOKE_END = "<invoke", "</invoke>"
_PARAMETER, _PARAMETER_END = "<parameter", "</parameter>"
# Stands before each tag in what newer models write (github.com/github/app/issues/2128).
_MARKER = "]<]minimax[>["
# A flood of them is text: so many belong to a block, and so far before it.
_MOST_MARKERS = 16
_MARKER_REACH = 64
_NAMED = re.compile(
    r"""<(?:invoke|parameter)(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'))*?"""
    r"""\s+name\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')"""
    r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*>"""
)
# Longer than any tag with a name in it.
_MOST_TAG_CHARS = 400
_LAYOUT = re.compile(rf"(?:\s|{re.escape(_MARKER)})*")
_LAYOUT_NEWLINES = re.compile(r"\A\r?\n|\r?\n\Z")
_CDATA, _CDATA_END = "<![CDATA[", "]]>"
# How far around a value the marks of CDATA are looked for.
_EDGE = 32
_FENCE_LINE = re.compile(r"^[ \t>]*(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_RAW_MARKUP = re.compile(r"[<>]|&(?!(?:lt|gt|amp|quot|apos|#39);)")
_MOST_LINE_CHARS = 500
# Indices of real calls of the same answer are far below.
_FIRST_INDEX = 1000
# What may overtake text that is held back.
_PASSING = (UsageUpdate, ThinkingDelta, ThinkingDone)

_NOTICE = "The model wrote tool calls as text; they are taken as calls."


class XmlCalls:
    """A stage between a decoder and its caller.

    Args:
        tools: Those offered. Without any all passes as it is.
        new_id: Makes the id of a call; None: as the server's own look.
    """

    def __init__(self, tools: Sequence[Tool], new_id: Callable[[], str] | None = None) -> None:
        self._schemas = {tool.name: tool.parameters for tool in tools}
        self._new_id = new_id or _ids()
        self._held = ""
        self._block: _Block | None = None
        self._after = False  # only blanks since a block
        self._passed = TextBuffer()  # given out and not yet looked at for fences
        self._fence = ""  # the run that opened the fence before it
        self._calls = 0

    def feed(self, events: list[StreamEvent]) -> list[StreamEvent]:
        """The events with such blocks made calls."""
        if not self._schemas:
            return events
        result: list[StreamEvent] = []
        for event in events:
            if type(event) is TextDelta:
                text = event.text
                held = self._block or self._held or self._after
                if held or "<" in text or text[-1:] == "]":
                    self._text(text, result)
                else:  # nearly always
                    self._passed.append(text)
                    result.append(event)
            elif type(event) in _PASSING:
                result.append(event)
            else:
                result += self.flush()
                if isinstance(event, TextWasThinking):
                    self._passed, self._fence = TextBuffer(), ""
                elif self._calls and event == Finished("stop"):
                    event = Finished("tool_calls")
                result.append(event)
        return result

    def flush(self) -> list[StreamEvent]:
        """What was held back, when the text has ended: it is text, but for blanks behind a block."""
        result: list[StreamEvent] = []
        text, self._held = self._held, ""
        if self._block is not None:
            text, self._block = self._block.source(), None
        elif self._after and not text.strip():
            text = ""
        self._after = False
        self._pass(text, result)
        return result

    def _text(self, piece: str, result: list[StreamEvent]) -> None:
        text, self._held = self._held + piece, ""
        while text:
            if self._block is not None:
                text = self._in_block(self._block, text, result)
            elif self._after:
                text = self._behind_block(text)
            else:
                text = self._before_block(text, result)

    # Each of these deals with the beginning of the text and returns what is left for the next.

    def _before_block(self, text: str, result: list[StreamEvent]) -> str:
        at = text.find(_OPEN)
        if at < 0:
            sure = len(text) - _held_back(text)
            self._held = text[sure:]
            self._pass(text[:sure], result)
            return ""
        begin, end = _without_markers(text, at), at + len(_OPEN)
        self._pass(text[:begin], result)
        if self._in_code():
            self._pass(text[begin:end], result)
            return text[end:]
        self._block = _Block(text[begin:end], self._schemas)
        return text[end:]

    def _in_block(self, block: _Block, text: str, result: list[StreamEvent]) -> str:
        rest = block.feed(text)
        if block.state == "open":
            return ""
        self._block = None
        if block.state == "failed":
            self._pass(block.source(), result)
        else:
            self._give_calls(block, result)
            self._after = True
        return rest

    def _behind_block(self, text: str) -> str:
        rest = text.lstrip()
        while rest.startswith(_MARKER):
            text = text[: len(text) - len(rest)] + rest[len(_MARKER) :]
            rest = text.lstrip()
        if _MARKER.startswith(rest) or (_OPEN.startswith(rest) and rest != _OPEN):
            self._held = text  # also when only blanks came so far
            return ""
        self._after = False
        return rest if rest.startswith(_OPEN) else text

    def _pass(self, text: str, result: list[StreamEvent]) -> None:
        if text:
            self._passed.append(text)
            result.append(TextDelta(text))

    def _give_calls(self, block: _Block, result: list[StreamEvent]) -> None:
        if not self._calls:
            result.append(Notice(_NOTICE))
        for name, values in block.calls:
            index = _FIRST_INDEX + self._calls
            self._calls += 1
            call_id = self._new_id()
            schema = self._schemas[name]
            fields = schema.get("properties")
            fields = fields if isinstance(fields, dict) else {}
            written = {key: _value(raw, fields.get(key), schema) for key, raw in values}
            arguments = json.dumps(written, ensure_ascii=False)
            result += [
                ToolCallStarted(index, call_id, name),
                ToolCallDelta(index, arguments),
                ToolCallDone(index, make_call(call_id, name, arguments)),
            ]

    def _in_code(self) -> bool:
        """Whether all that was given out ends in a fenced block or right behind a backtick."""
        text = str(self._passed)
        start = text.rfind("\n") + 1
        self._fence = _fence(text[:start], self._fence)
        line = text[start:]
        # looked at again with what follows; of a long line its beginning tells
        line = line if len(line) <= _MOST_LINE_CHARS else line[:_MOST_LINE_CHARS] + line[-1]
        self._passed = TextBuffer()
        self._passed.append(line)
        return line.endswith("`") or bool(_fence(f"{line}<", self._fence))


class _Block:
    """One block, read as its characters come.

    Attributes:
        state: `failed`: it is no block; what `feed` returned is not part of what failed.
        calls: Names and raw values, in the order written.
    """

    def __init__(self, opening: str, offered: dict[str, dict[str, Any]]) -> None:
        self.state: Literal["open", "done", "failed"] = "open"
        self.calls: list[tuple[str, list[tuple[str, str]]]] = []
        self._offered = offered
        self._source = TextBuffer()
        self._source.append(opening)
        self._tail = ""  # not decided yet
        self._in_invoke = False
        self._parameter: str | None = None
        self._value: list[str] = []

    def source(self) -> str:
        """All that was read, to the letter."""
        return str(self._source) + self._tail

    def feed(self, piece: str) -> str:
        """Reads on; returns what lies behind the end of the block or of what failed."""
        text, self._tail = self._tail + piece, ""
        at = 0
        while self.state == "open":
            begin = at
            at = self._in_value(text, at) if self._parameter is not None else self._tag(text, at)
            if at == begin:
                break
        self._source.append(text[:at])
        if self.state == "open":
            self._tail = text[at:]
            return ""
        return text[at:]

    def _in_value(self, text: str, at: int) -> int:
        found = text.find(_PARAMETER_END, at)
        if found < 0:
            sure = max(at, len(text) - len(_PARAMETER_END) + 1)
            self._value.append(text[at:sure])
            return sure
        self._value.append(text[at:found])
        end = found + len(_PARAMETER_END)
        if self._in_cdata():
            self._value.append(_PARAMETER_END)
        else:
            assert self._parameter is not None
            self.calls[-1][1].append((self._parameter, "".join(self._value)))
            self._parameter, self._value = None, []
        return end

    def _in_cdata(self) -> bool:
        first = _edge(self._value).lstrip()
        last = _edge(self._value, at_end=True).rstrip()
        return first.startswith(_CDATA) and not last.endswith(_CDATA_END)

    def _tag(self, text: str, at: int) -> int:
        layout = _LAYOUT.match(text, at)
        assert layout is not None  # it matches nothing, too
        start = layout.end()
        rest = text[start : start + _MOST_TAG_CHARS]
        if not rest or _MARKER.startswith(rest):
            return start
        expected = (_PARAMETER, _INVOKE_END) if self._in_invoke else (_INVOKE, _CLOSE)
        end = rest.find(">") + 1
        if not any(rest.startswith(tag[: len(rest)]) for tag in expected) or (
            not end and len(rest) == _MOST_TAG_CHARS
        ):
            self.state = "failed"
            return start
        if not end:
            return start
        if not self._take(rest[:end]):
            self.state = "failed"
            return start
        return start + end

    def _take(self, tag: str) -> bool:
        if tag == _CLOSE:
            self.state = "done"
            return bool(self.calls)
        if tag == _INVOKE_END:
            self._in_invoke = False
            return True
        named = _NAMED.fullmatch(tag)
        if named is None:
            return False
        name = html.unescape(named["double"] or named["single"] or "")
        if self._in_invoke:
            self._parameter = name
            return bool(name)
        self.calls.append((name, []))
        self._in_invoke = True
        return name in self._offered


def _edge(pieces: list[str], *, at_end: bool = False) -> str:
    """The first or the last characters of what the pieces are together."""
    got: list[str] = []
    size = 0
    for piece in reversed(pieces) if at_end else pieces:
        got.append(piece)
        size += len(piece)
        if size >= _EDGE:
            break
    return "".join(reversed(got))[-_EDGE:] if at_end else "".join(got)[:_EDGE]


def _held_back(text: str) -> int:
    """How many characters at the end may be the beginning of a block, markers before it included."""
    size = 0
    if "<" in text[-len(_OPEN) :] or "]" in text[-len(_MARKER) :]:
        size = max(_overlap(text, _OPEN), _overlap(text, _MARKER))
    return len(text) - _without_markers(text, len(text) - size)


def _overlap(text: str, tag: str) -> int:
    longest = min(len(tag) - 1, len(text))
    return next((n for n in range(longest, 0, -1) if text.endswith(tag[:n])), 0)


def _without_markers(text: str, end: int) -> int:
    """Where the markers, with blanks behind them, begin that end at `end`; `end` if there are none."""
    for _ in range(_MOST_MARKERS):
        before = text[max(0, end - _MARKER_REACH) : end]
        bare = before.rstrip()
        if not bare.endswith(_MARKER):
            break
        end -= len(before) - len(bare) + len(_MARKER)
    return end


def _fence(text: str, fence: str) -> str:
    """The run that opened the fence in which the text ends; empty outside of one.

    Args:
        fence: The same where the text begins.
    """
    for line in _FENCE_LINE.finditer(text):
        mark, info = line[1], line[2].strip()
        if not fence:
            if mark[0] == "~" or "`" not in info:
                fence = mark
        elif mark.startswith(fence) and not info:
            fence = ""
    return fence


# ----------------------------------------------------------------------------------- values


def _value(raw: str, schema: Any, root: dict[str, Any]) -> Any:
    """The value that the text stands for, by the parameter's schema; the text itself in doubt."""
    text = _unwrapped(raw)
    types, options = _types(schema, root)
    if text in options:
        return text
    word = text.strip()
    if types - {"string"}:
        try:
            value = load_json(word.lower() if word in ("True", "False") else word)
        except ValueError:
            return text
        if _type_names(value) & types:
            return value
        if "integer" in types and isinstance(value, float) and value.is_integer():
            return int(value)
    return text


def _unwrapped(raw: str) -> str:
    """The value without the newlines of layout, CDATA and entities.

    Entities count only where nothing is left unescaped, for models mostly write values as they are.
    """
    raw = raw.removesuffix(_MARKER)
    stripped = raw.strip()
    if stripped.startswith(_CDATA) and stripped.endswith(_CDATA_END):
        return stripped[len(_CDATA) : -len(_CDATA_END)]
    text = _LAYOUT_NEWLINES.sub("", raw)
    if "&" in text and not _RAW_MARKUP.search(text):
        return html.unescape(text)
    return text


def _types(
    schema: Any, root: dict[str, Any], seen: frozenset[str] = frozenset()
) -> tuple[set[str], set[str]]:
    """The JSON types that a schema allows, as far as it says, and the strings it names."""
    if not isinstance(schema, dict):
        return set(), set()
    types: set[str] = set()
    options: set[str] = set()
    parts: list[Any] = []
    match schema.get("type"):
        case str(name):
            types.add(name)
        case list(names):
            types.update(name for name in names if isinstance(name, str))
    listed = schema.get("enum")
    named = [*listed] if isinstance(listed, list) else []
    if "const" in schema:
        named.append(schema["const"])
    for value in named:
        types |= _type_names(value)
        if isinstance(value, str):
            options.add(value)
    for keyword in ("anyOf", "oneOf", "allOf"):
        below = schema.get(keyword)
        parts += below if isinstance(below, list) else []
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in seen:
        seen = seen | {reference}
        parts.append(_resolved(reference, root))
    for part in parts:
        more_types, more_options = _types(part, root, seen)
        types |= more_types
        options |= more_options
    return types, options


def _resolved(reference: str, root: dict[str, Any]) -> Any:
    target: Any = root
    for key in reference.removeprefix("#/").split("/"):
        key = key.replace("~1", "/").replace("~0", "~")
        target = target.get(key) if isinstance(target, dict) else None
    return target


def _type_names(value: Any) -> set[str]:
    match value:
        case None:
            return {"null"}
        case bool():
            return {"boolean"}
        case int():
            return {"integer", "number"}
        case float():
            return {"number"}
        case str():
            return {"string"}
        case list():
            return {"array"}
        case _:
            return {"object"}


def _ids() -> Callable[[], str]:
    letters = string.ascii_lowercase + string.digits
    base = "".join(secrets.choice(letters) for _ in range(12))
    numbers = count(1)
    return lambda: f"call_function_{base}_{next(numbers)}"
