"""One request and the writing of its answer: whole, streamed, broken off or silent."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NoReturn

from aiohttp import web

from minimax_magic.simulator.answer import new_id
from minimax_magic.simulator.behaviours import Drop, Fail, FailMidStream, Raw, Silence
from minimax_magic.simulator.failures import failure_body, nginx_page, status_of
from minimax_magic.simulator.frame import encode
from minimax_magic.simulator.seen_images import SeenImage

# a burst would keep the loop for itself: let others run after so many writes
FAIRNESS = 32

Fault = Drop | Silence | FailMidStream


@dataclass(slots=True, eq=False)
class Received:
    """One request as it arrived, and what became of it.

    Attributes:
        headers: Found in any case; `Authorization` is kept, so that a test can see it.
        body: The decoded JSON; None if there was none.
        arrived_at: `time.monotonic()`.
        closed_early: The client went away before the answer was finished.
        chunks_sent: Writes of the answer's body: SSE frames, or 1 for a whole answer.
        finished: Set when the answer is done, one way or the other.
        images: Those of a chat request that was not refused, earlier turns included.
        unknown_route: There is nothing at that path, or not for that method.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    arrived_at: float
    body: Any = None
    closed_early: bool = False
    chunks_sent: int = 0
    finished: threading.Event = field(default_factory=threading.Event, repr=False)
    images: tuple[SeenImage, ...] = ()
    unknown_route: bool = False


class Exchange:
    """Writes one answer and keeps the record of it."""

    def __init__(self, request: web.Request) -> None:
        self.request = request
        # nothing is owed to the client any more: all was written, or we cut the connection
        self.settled = False
        self.record = Received(
            request.method, request.path, request.query_string, request.headers, time.monotonic()
        )

    @property
    def origin(self) -> str:
        """`http://host:port` of this server, as the client wrote it."""
        return f"{self.request.scheme}://{self.request.host}"

    def json(self, value: Any, status: int = 200, headers: Any = None) -> web.Response:
        """A whole JSON answer."""
        self.record.chunks_sent = 1
        body = encode(value)
        return web.Response(
            status=status, body=body, content_type="application/json", headers=headers
        )

    def raw(self, raw: Raw) -> web.Response:
        """Bytes as they were given."""
        self.record.chunks_sent = 1
        body = raw.body.encode() if isinstance(raw.body, str) else raw.body
        headers = [("Content-Type", raw.content_type), *raw.headers]
        return web.Response(status=raw.status, body=body, headers=headers)

    def fail(self, fail: Fail) -> web.Response:
        """An error in MiniMax's shape."""
        headers = list(fail.headers)
        if fail.retry_after is not None:
            headers.append(("Retry-After", fail.retry_after))
        body = failure_body(fail, new_id(), datetime.now(UTC))
        return self.json(body, status_of(fail), headers)

    def refuse(self, problem: str) -> web.Response:
        """400 with code 2013."""
        return self.fail(Fail(code=2013, message=f"invalid params, {problem}"))

    def nowhere(self) -> web.Response:
        """nginx's page for a route that does not exist."""
        self.record.unknown_route = True
        return self.raw(nginx_page(404, "Not Found"))

    async def break_off(self, fault: Fault) -> web.Response:
        """A fault where no answer has begun."""
        if isinstance(fault, FailMidStream):
            return self.fail(Fail(code=fault.code, message=fault.message))
        if isinstance(fault, Drop):
            self._cut()
        return await self._hang()

    def _cut(self) -> None:
        self.settled = True
        if self.request.transport is not None:
            self.request.transport.abort()

    async def _hang(self) -> NoReturn:
        """Wait to be cancelled: by aiohttp when the connection is lost, or by a stop."""
        while True:
            await asyncio.Event().wait()

    async def stream(
        self,
        frames: Iterable[bytes],
        delay_s: float,
        fault: Fault | None = None,
        error_frame: bytes = b"",
        status: int = 200,
        content_type: str | None = "text/event-stream",
    ) -> web.StreamResponse:
        """Write frames at a steady pace and end as the fault says.

        Args:
            delay_s: Seconds from one frame to the next. Lateness is made up for, so the whole takes
                what it should however coarse the timer is.
            error_frame: What a `FailMidStream` sends.
        """
        if isinstance(fault, Drop | Silence) and fault.after_chunks == 0:
            return await self.break_off(fault)
        response = web.StreamResponse(status=status, headers={"Cache-Control": "no-cache"})
        if content_type is not None:
            response.headers["Content-Type"] = content_type
        await response.prepare(self.request)
        started = time.monotonic()
        frames = islice(frames, None if fault is None else fault.after_chunks)
        for sent, frame in enumerate(frames):
            if delay_s:
                await asyncio.sleep(started + sent * delay_s - time.monotonic())
            elif sent % FAIRNESS == FAIRNESS - 1:
                await asyncio.sleep(0)
            # before the write: a client on another thread may look as soon as it has the frame
            self.record.chunks_sent = sent + 1
            await response.write(frame)
        self.settled = fault is None
        match fault:
            case Drop(clean=False):
                self._cut()
                await self._hang()
            case Silence():
                await self._hang()
            case FailMidStream():
                await response.write(error_frame)
            case _:
                pass
        await response.write_eof()
        return response
