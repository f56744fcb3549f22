"""The calls of tools in an answer, as far as each has come. How they look is said in `cards`."""

from __future__ import annotations

import json
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


def as_json(value: Any, *, indent: int | None = None) -> str:
    """JSON text for people; half characters, which a display cannot carry, are mended."""
    return whole(json.dumps(value, indent=indent, ensure_ascii=False, default=repr))
