"""Who said what in the messages of a request, the same for both wires."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from minimax_magic.simulator.seen_images import IMAGE_KINDS, SeenImage, read_image


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered, as the last turn of the request brings it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Ask:
    """What a person said once, and what followed it.

    Attributes:
        prompt: The first text block: further ones are context, data that no word is read from.
        rounds: How many turns with tool calls followed.
        answer: The text of the turn without calls that ended it; empty if there is none yet.
    """

    prompt: str
    images: tuple[SeenImage, ...] = ()
    rounds: int = 0
    answer: str = ""


class Talk:
    """The conversation as it is read, message by message."""

    def __init__(self) -> None:
        self._asks: list[Ask] = []
        self._results: list[ToolResult] = []
        self._names: dict[str, str] = {}

    def said(self, content: Any) -> None:
        """By the person: a string, or blocks with something beside tool results."""
        self._results = []
        self._asks.append(Ask(_first_text(content), _images(content)))

    def answered(self, text: str, calls: dict[str, str]) -> None:
        """By the model; `calls` are names by their ids."""
        self._results = []
        self._names.update(calls)
        if self._asks:
            last = self._asks[-1]
            rounds = last.rounds + bool(calls)
            self._asks[-1] = replace(last, rounds=rounds, answer="" if calls else text)

    def returned(self, call_id: str, text: str) -> None:
        """By a tool."""
        self._results.append(ToolResult(self._names.get(call_id, "tool"), text))

    @property
    def asks(self) -> tuple[Ask, ...]:
        return tuple(self._asks) or (Ask(""),)

    @property
    def results(self) -> tuple[ToolResult, ...]:
        return tuple(self._results)


def _first_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts = (block.get("text") or "" for block in content if block.get("type") == "text")
    return next((text for text in texts if text.strip()), "")


def _images(content: Any) -> tuple[SeenImage, ...]:
    if isinstance(content, str):
        return ()
    return tuple(read_image(block) for block in content if block.get("type") in IMAGE_KINDS)
