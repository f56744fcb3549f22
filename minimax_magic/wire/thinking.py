"""Telling thinking from text where a server mixes them.

Three troubles, one class each: thinking inside the content between `<think>` tags that may be cut
anywhere, whose opening tag may be missing; and deltas that repeat everything said so far.
"""

from __future__ import annotations

from minimax_magic.events import (
    StreamEvent,
    TextDelta,
    TextWasThinking,
    ThinkingDelta,
    ThinkingDone,
)

_OPEN, _CLOSE = "<think>", "</think>"


def _held_back(text: str, tag: str) -> int:
    """How many characters at the end of the text may be the beginning of the tag."""
    for size in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:size]):
            return size
    return 0


class ThinkSplitter:
    """Splits content into thinking and text.

    A `<think>` counts only where content begins, so that an answer *about* the tag keeps it. A
    `</think>` that was never opened means that all before it was thinking (self-hosted servers put
    the opening tag into the prompt), unless thinking came another way or it stands in `code`; at the
    very beginning it is a stray and dropped.
    """

    def __init__(self) -> None:
        self._state = "start"  # start -> thinking -> after -> text; start -> maybe -> text
        self._held = ""
        self._backticks = 0
        self.thought_elsewhere = False  # reasoning came in a field of its own: drop this copy
        self.has_thought = False  # thinking was given out from here

    def feed(self, piece: str) -> list[StreamEvent]:
        if self._state == "text":
            return [TextDelta(piece)] if piece else []
        events: list[StreamEvent] = []
        text = self._held + piece
        self._held = ""
        while text and self._state != "text":
            text = self._step(text, events)
        if text:
            events.append(TextDelta(text))
        return events

    def flush(self) -> list[StreamEvent]:
        """What was held back when the stream ended."""
        held, self._held = self._held, ""
        events: list[StreamEvent] = []
        if self._state == "thinking":
            self._think(held, events)
            self._end_thinking(events)
        elif held.strip() or (held and self._state == "maybe"):
            events.append(TextDelta(held))
        self._state = "text"
        return events

    def _step(self, text: str, events: list[StreamEvent]) -> str:
        """Deals with the beginning of the text and returns what is left for the next state."""
        if self._state in ("start", "after"):
            return self._at_edge(text)
        if self._state == "thinking":
            before, tag, after = text.partition(_CLOSE)
            if tag:
                self._think(before, events)
                self._end_thinking(events)
                self._state = "after"
                return after
            keep = _held_back(text, _CLOSE)
            self._think(text[: len(text) - keep], events)
            self._held = text[len(text) - keep :]
            return ""
        return self._maybe_thinking(text, events)

    def _at_edge(self, text: str) -> str:
        stripped = text.lstrip()
        if self._state == "start" and stripped.startswith(_OPEN):
            self._state = "thinking"
            return stripped.removeprefix(_OPEN).removeprefix("\n")
        if stripped.startswith(_CLOSE):
            self._state = "after"
            return stripped.removeprefix(_CLOSE)
        tags = (_OPEN, _CLOSE) if self._state == "start" else (_CLOSE,)
        if any(tag.startswith(stripped) for tag in tags):  # also when only blanks came so far
            self._held = text
            return ""
        if self._state == "after":
            self._state = "text"
            return stripped
        self._state = "text" if self.thought_elsewhere else "maybe"
        return text if self._state == "maybe" else stripped

    def _maybe_thinking(self, text: str, events: list[StreamEvent]) -> str:
        before, tag, after = text.partition(_CLOSE)
        in_code = (self._backticks + before.count("`")) % 2 == 1
        if tag and not in_code and not self.thought_elsewhere:
            if before:
                events.append(TextDelta(before))
            events += [TextWasThinking(), ThinkingDone()]
            self._state = "after"
            return after
        if tag:
            self._state = "text"  # the answer speaks of the tag
            return text
        keep = _held_back(text, _CLOSE)
        sent = text[: len(text) - keep]
        self._held = text[len(text) - keep :]
        self._backticks += sent.count("`")
        if sent:
            events.append(TextDelta(sent))
        return ""

    def _think(self, text: str, events: list[StreamEvent]) -> None:
        if text and not self.thought_elsewhere:
            self.has_thought = True
            events.append(ThinkingDelta(text))

    def _end_thinking(self, events: list[StreamEvent]) -> None:
        if not self.thought_elsewhere:
            events.append(ThinkingDone())


class ClosingTagTrimmer:
    """Takes a `</think>` off the end of thinking that came in a field of its own."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        text = self._held + piece
        stripped = text.rstrip()
        if stripped.endswith(_CLOSE):
            keep = len(text) - len(stripped) + len(_CLOSE)
        else:
            keep = _held_back(text, _CLOSE)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        held, self._held = self._held, ""
        return "" if held.strip() == _CLOSE else held


# A first delta shorter than this may begin the second by chance: a third has to tell.
_SURE = 16
# ... but words as short as this already do not repeat at the start of what follows them.
_LIKELY = 3


class SnapshotFilter:
    """Undoes deltas that each repeat all that came before.

    Some models and versions send the text so far instead of what is new. The second delta settles
    it in nearly every stream; where it could be either, it is held until the third.
    """

    def __init__(self) -> None:
        self._mode = "undecided"
        self._first = ""
        self._held = ""
        self._length = 0  # how much of the snapshots was given on

    def feed(self, piece: str) -> str:
        if self._mode == "deltas" or not piece:
            return piece
        if self._mode == "snapshots":
            return self._advance(piece)
        if not self._first:
            self._first = piece
            return piece
        if self._held:
            held, self._held = self._held, ""
            repeats = len(piece) > len(held) or len(held) >= _LIKELY
            if repeats and piece.startswith(held):
                return self._snapshots(piece)
            self._mode = "deltas"
            return held + piece
        if not piece.startswith(self._first):
            self._mode = "deltas"
            return piece
        if len(piece) > len(self._first) >= _SURE:
            return self._snapshots(piece)
        self._held = piece
        return ""

    def flush(self) -> str:
        """What was held, if the stream ended before it was clear."""
        held, self._held = self._held, ""
        if len(held) > len(self._first) >= _LIKELY:
            return held[len(self._first) :]
        return held

    def _snapshots(self, piece: str) -> str:
        self._mode = "snapshots"
        self._length = len(self._first)
        return self._advance(piece)

    def _advance(self, piece: str) -> str:
        if len(piece) < self._length:  # not a snapshot of the same text: take it as it is
            return piece
        new = piece[self._length :]
        self._length = len(piece)
        return new
