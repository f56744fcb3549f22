"""A made-up turn and output of one cell, so that interrupts land exactly where they hurt."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

from minimax_magic.events import ChatReply, Finished, ReplyBuilder, StreamEvent, TextDelta
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.rows import Booked


class Turn:
    """A turn that streams what it is given, then fails, ends or goes on for ever."""

    def __init__(self, *texts: str, then: str | BaseException = "end") -> None:
        self.texts = texts
        self.then = then
        self.closed = threading.Event()
        self.sent = threading.Event()
        self.kept = False
        self.tools_did = ""
        self.booked = Booked(TokenUsage(1, 2), None, True, "unknown")
        self._builder = ReplyBuilder("model")

    @property
    def reply(self) -> ChatReply:
        return self._builder.build()

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        try:
            for text in self.texts:
                self._builder.apply(TextDelta(text))
                yield TextDelta(text)
            self.sent.set()
            if isinstance(self.then, BaseException):
                raise self.then
            while self.then == "go on":
                await asyncio.sleep(0.01)
            self._builder.apply(Finished("stop"))
            yield Finished("stop")
        finally:
            self.closed.set()

    def keep(self, *, whole: bool = True) -> bool:
        self.kept = whole or bool(self.tools_did)
        return self.kept


class Output:
    """Notes what is drawn; `trouble` is called in the middle of what its name says."""

    def __init__(self, **trouble: Callable[[], Any]) -> None:
        self.trouble = trouble
        self.fed = ""
        self.drawn: list[str] = []
        self.finished: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.drawn_again = 0

    def _now(self, what: str) -> None:
        self.trouble.get(what, lambda: None)()

    def feed(self, events: Iterable[StreamEvent]) -> None:
        for event in events:
            if isinstance(event, TextDelta):
                self._now("feed")
                self.fed += event.text

    def due_in(self) -> float:
        return 0.0 if not self.drawn or self.drawn[-1] != self.fed else 0.02

    def draw_now(self) -> None:
        self.draw()

    def draw(self) -> None:
        if self.fed:
            self._now("draw")
        self.drawn.append(self.fed)

    def settle_in(self) -> float:
        return 0.0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def redraw(self) -> None:
        self.drawn_again += 1

    def finish(
        self, phase: str, reply: ChatReply, booked: Booked | None = None, *, typed: bool = False
    ) -> None:
        self._now("finish")
        assert booked is not None
        self.finished.append((phase, reply.text))


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def once(action: Callable[[], Any], turn: Turn | None = None) -> Callable[[], Any]:
    """The action, the first time only; after the turn has sent its text, if one is given."""
    left = [action]

    def act() -> None:
        if left:
            if turn is not None:
                assert turn.sent.wait(10)
            left.pop()()

    return act


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = threading.Event()
    for _ in range(1000):
        if condition():
            return
        deadline.wait(0.01)
    raise AssertionError("it did not come true")
