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


def _held_back(text: str) -> int:
    """How many characters at the end of the text may be the beginning of a closing tag.

    The newline before the tag counts: it belongs to the tag's layout, and a later turn that carries
    the thinking back sets it again.
    """
    if not text.endswith("\n") and "<" not in text[-len(_CLOSE) :]:
        return 0  # nearly always
    for tag in ("\n" + _CLOSE, _CLOSE):
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
        # start -> opened -> thinking -> after -> text; start -> maybe -> text
        self._state = "start"
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
        if self._state in ("opened", "thinking"):
            self._think(held, events)
            self._end_thinking(events)
        elif held.strip() or (held and self._state == "maybe"):
            events.append(TextDelta(held))
        self._state = "text"
        return events

    def _step(self, text: str, events: list[StreamEvent]) -> str:
        """Deals with the beginning of the text and returns what is left for the next state."""
        match self._state:
            case "opened":
                self._state = "thinking"
                return text.removeprefix("\n")
            case "thinking":
                return self._thinking(text, events)
            case "maybe":
                return self._maybe_thinking(text, events)
            case _:
                return self._at_edge(text)

    def _at_edge(self, text: str) -> str:
        stripped = text.lstrip()
        if self._state == "start" and stripped.startswith(_OPEN):
            self._state = "opened"
            return stripped.removeprefix(_OPEN)
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

    def _thinking(self, text: str, events: list[StreamEvent]) -> str:
        before, tag, after = text.partition(_CLOSE)
        if tag:
            self._think(before.removesuffix("\n"), events)
            self._end_thinking(events)
            self._state = "after"
            return after
        self._think(self._hold_back(text), events)
        return ""

    def _maybe_thinking(self, text: str, events: list[StreamEvent]) -> str:
        before, tag, after = text.partition(_CLOSE)
        in_code = (self._backticks + before.count("`")) % 2 == 1
        if tag and not in_code and not self.thought_elsewhere:
            if before := before.removesuffix("\n"):
                events.append(TextDelta(before))
            events += [TextWasThinking(), ThinkingDone()]
            self.has_thought = True
            self._state = "after"
            return after
        if tag:
            self._state = "text"  # the answer speaks of the tag
            return text
        sent = self._hold_back(text)
        self._backticks += sent.count("`")
        if sent:
            events.append(TextDelta(sent))
        return ""

    def _hold_back(self, text: str) -> str:
        """The text without what may be the beginning of a closing tag, which is kept."""
        sure = len(text) - _held_back(text)
        self._held = text[sure:]
        return text[:sure]

    def _think(self, text: str, events: list[StreamEvent]) -> None:
        if text and not self.thought_elsewhere:
            self.has_thought = True
            events.append(ThinkingDelta(text))

    def _end_thinking(self, events: list[StreamEvent]) -> None:
        if self.has_thought:  # an empty pair of tags is no thinking
            events.append(ThinkingDone())


class ClosingTagTrimmer:
    """Takes a `</think>` off the end of thinking that came in a field of its own."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        if not self._held and "<" not in piece and piece[-1:] != "\n":
            return piece  # nearly always
        text = self._held + piece
        stripped = text.rstrip()
        if stripped.endswith(_CLOSE):
            sure = len(stripped.removesuffix(_CLOSE).removesuffix("\n"))
        else:
            sure = len(text) - _held_back(text)
        self._held = text[sure:]
        return text[:sure]

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
    it in nearly every stream; where it could be either, it is held until the third. Only growth is
    a sign: deltas that are the same are a text that repeats itself.
    """

    def __init__(self) -> None:
        self.deltas = False  # settled: each piece is what is new
        self._first = ""
        self._held = ""
        self._so_far = ""  # settled the other way: the last snapshot

    @property
    def snapshots(self) -> bool:
        """Whether it is settled that pieces repeat."""
        return bool(self._so_far)

    def feed(self, piece: str) -> str:
        if self.deltas or not piece:
            return piece
        if self._so_far:
            return self._advance(piece)
        first = self._first
        if not first:
            self._first = piece
            return piece
        if self._held:
            held, self._held = self._held, ""
            grew = len(first) < len(held) < len(piece)
            if piece.startswith(held) and (
                grew or (len(piece) > len(first) and len(held) >= _SURE)
            ):
                self._so_far = first
                return self._advance(piece)
            self.deltas = True
            return held + piece
        if not piece.startswith(first):
            self.deltas = True
            return piece
        if len(piece) > len(first) >= _SURE:
            self._so_far = first
            return self._advance(piece)
        self._held = piece
        return ""

    def flush(self) -> str:
        """What was held, if the stream ended before it was clear."""
        held, self._held = self._held, ""
        if len(held) > len(self._first) >= _LIKELY:
            self._so_far = self._first
            return self._advance(held)
        return held

    def _advance(self, piece: str) -> str:
        so_far = self._so_far
        if len(piece) >= _SURE and so_far.startswith(piece):
            return ""  # an older snapshot, or the same once more
        self._so_far = piece
        # one that does not go on from the last begins a new text
        return piece[len(so_far) :] if piece.startswith(so_far) else piece
