"""The calls of tools in an answer, as far as each has come, and a call in a few words. How they look is
said in `cards`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from minimax_magic.messages import ToolCall
from minimax_magic.text import TextBuffer, whole

CallState = Literal[
    "arguments", "waiting", "running", "done", "failed", "refused", "not run", "stopped"
]
_UNFINISHED: dict[CallState, CallState] = {
    "arguments": "not run",
    "waiting": "not run",
    "running": "stopped",
}

_NAME_CHARS, _ARGUMENT_CHARS, _ARGUMENTS_CHARS = 64, 40, 90
# Of arguments that arrive the end is shown; its beginning stays for so many characters.
_ARRIVING_CHARS = 60
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(slots=True)
class Card:
    """One call.

    Attributes:
        step: Number of the request that asked for it, from 1.
        state: `arguments` while they arrive, `waiting` when they are whole, `refused` if there is an
            error though it was not run; `not run` and `stopped` where the answer ended before it.
        given: The arguments; None until they are whole, or if they are no JSON object.
        result: What the model is told; empty before.
        duration_s: Seconds it ran; None if it did not, or still does.
        began_at: When it began to run, by the clock of the transcript; None before.
    """

    id: str
    name: str
    step: int
    state: CallState = "arguments"
    given: dict[str, Any] | None = None
    result: str = ""
    is_error: bool = False
    duration_s: float | None = None
    began_at: float | None = None
    arriving: TextBuffer = field(default_factory=TextBuffer)

    @property
    def arguments(self) -> str:
        """Their JSON text, as far as it has come."""
        return str(self.arriving) if self.given is None else as_json(self.given)

    @property
    def over(self) -> bool:
        return self.state not in _UNFINISHED


class Calls:
    """All calls of a turn, in the order in which they were asked for.

    Indexes begin anew with each request, and some servers give the same id again in each: only calls
    that are not over are looked at, and when a request begins all before it are.
    """

    def __init__(self) -> None:
        self.cards: list[Card] = []
        self._step = 1
        self._by_index: dict[int, Card] = {}

    def next_step(self) -> None:
        """Another request begins; what was not called by now never will be."""
        self.end()
        self._step += 1
        self._by_index.clear()

    def started(self, index: int, call_id: str, name: str) -> None:
        card = Card(call_id, whole(name), self._step)
        self._by_index[index] = card
        self.cards.append(card)

    def arrived(self, index: int, arguments: str) -> None:
        if card := self._by_index.get(index):
            card.arriving.append(whole(arguments))

    def complete(self, index: int, call: ToolCall) -> None:
        """The arguments are whole. A call that was never announced is one, too."""
        if index not in self._by_index:
            self.started(index, call.id, call.name)
        card = self._by_index[index]
        card.id, card.name, card.state = call.id, whole(call.name), "waiting"
        if call.invalid_arguments is None:
            card.given = call.arguments
        else:
            card.arriving = TextBuffer()
            card.arriving.append(whole(call.invalid_arguments))

    def begun(self, call_id: str, now: float) -> None:
        for card in self.cards:
            if card.id == call_id and card.state in ("arguments", "waiting"):
                card.state, card.began_at = "running", now
                return

    def ended(self, call_id: str, result: str, *, is_error: bool, duration_s: float | None) -> None:
        mine = [card for card in self.cards if card.id == call_id and not card.over]
        mine.sort(key=lambda card: card.state != "running")
        for card in mine[:1]:
            card.result, card.is_error, card.duration_s = whole(result), is_error, duration_s
            if not is_error:
                card.state = "done"
            else:
                card.state = "refused" if duration_s is None else "failed"

    def end(self) -> None:
        """Nothing more happens to the calls so far."""
        for card in self.cards:
            card.state = _UNFINISHED.get(card.state, card.state)


def call_words(call: Card | ToolCall) -> str:
    """`find(name="Ada", most=3)`, or `find {"name": "A` if that is no JSON; a line of limited length."""
    name = cut(one_line(whole(call.name)), _NAME_CHARS)
    if isinstance(call, ToolCall):
        given = call.arguments if call.invalid_arguments is None else None
        written = whole(call.invalid_arguments or "")
    else:
        given, written = call.given, call.arguments
    if given is not None:
        return f"{name}({_arguments(given)})"
    written = one_line(written)
    if isinstance(call, Card) and call.state == "arguments":
        start = max(0, len(written) - _ARRIVING_CHARS) // _ARRIVING_CHARS * _ARRIVING_CHARS
        return f"{name} {'…' if start else ''}{written[start:]}"
    return f"{name} {cut(written, _ARGUMENTS_CHARS)}"


def _arguments(given: dict[str, Any]) -> str:
    """As many of them as there is room for, the first in any case."""
    shown = ""
    for name, value in given.items():
        name = cut(one_line(whole(name)), _ARGUMENT_CHARS)
        part = f"{name}={cut(one_line(as_json(value)), _ARGUMENT_CHARS)}"
        if shown and len(shown) + len(part) > _ARGUMENTS_CHARS:
            return f"{shown}, …"
        shown = f"{shown}, {part}" if shown else part
    return shown


def one_line(text: str) -> str:
    """The text without line breaks and signs that are not seen."""
    return _UNSEEN.sub("\ufffd", " ".join(text.split()))


def cut(text: str, most: int) -> str:
    """The text, or its beginning, of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def as_json(value: Any, *, indent: int | None = None) -> str:
    """JSON text for people; half characters, which a display cannot carry, are mended."""
    return whole(json.dumps(value, indent=indent, ensure_ascii=False, default=repr))
