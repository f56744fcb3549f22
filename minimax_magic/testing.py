"""Fakes for tests of programs that use the client: a transport that plays answers, a clock that jumps.

    transport = FakeTransport(json_answer({"choices": [...]}))
    clock = FakeClock()
    client = MiniMax(api_key="k", transport=transport, clock=clock)

What was sent is in `transport.sent`, how long was slept in `clock.slept`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minimax_magic.errors import MinimaxError
from minimax_magic.wire.http import HttpRequest


class FakeClock:
    """A clock that stands still until somebody sleeps, and then jumps there at once."""

    def __init__(self, now: float = 1_750_000_000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class Answer:
    """One answer to play.

    Attributes:
        body: The pieces as the network would deliver them; an error in their place is raised there.
        closed: Set once the client let go of it.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Sequence[bytes | MinimaxError] = field(default=(), repr=False)
    closed: bool = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        for piece in self.body:
            if isinstance(piece, MinimaxError):
                raise piece
            await asyncio.sleep(0)
            yield piece

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])

    def close(self) -> None:
        self.closed = True


def json_answer(payload: Any, status: int = 200, **headers: str) -> Answer:
    """An answer whose body is JSON. Header names are given with underscores."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    body = (json.dumps(payload).encode(),)
    return Answer(status, {"content-type": "application/json", **names}, body)


def sse(*frames: dict[str, Any] | str) -> bytes:
    """The bytes of a stream with one event for each frame; strings are sent as they are."""
    texts = (frame if isinstance(frame, str) else json.dumps(frame) for frame in frames)
    return b"".join(b"data: " + text.encode() + b"\n\n" for text in texts)


def sse_answer(*pieces: bytes | MinimaxError, **headers: str) -> Answer:
    """A streamed answer, in these network reads."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(200, {"content-type": "text/event-stream", **names}, pieces)


class FakeTransport:
    """Plays answers in order and keeps what was sent.

    Args:
        answers: One for each request: an `Answer`, an error to raise instead, or a function of the
            request that gives either. The last one is played again for requests beyond.
    """

    def __init__(
        self, *answers: Answer | MinimaxError | Callable[[HttpRequest], Answer | MinimaxError]
    ) -> None:
        self._answers = list(answers)
        self.sent: list[HttpRequest] = []
        self.closed = False

    @property
    def bodies(self) -> list[Any]:
        """The JSON bodies sent so far."""
        return [json.loads(request.body) for request in self.sent]

    async def send(self, request: HttpRequest) -> Answer:
        self.sent.append(request)
        await asyncio.sleep(0)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, MinimaxError):
            raise answer
        return answer

    async def close(self) -> None:
        self.closed = True


class FakeAuth:
    """A credential that gives its tokens in order: the first until it is refreshed, and so on.

    How often that was asked for is in `refreshes`; without another token it is in vain.
    """

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens or ("fake-key",))
        self.refreshes = 0

    async def fresh_bearer(self) -> str:
        return self._tokens[0]

    async def force_refresh(self, refused: str | None = None) -> bool:
        self.refreshes += 1
        if len(self._tokens) == 1:
            return False
        self._tokens.pop(0)
        return True

    def describe(self) -> str:
        return "a fake credential"

    async def close(self) -> None:
        pass
