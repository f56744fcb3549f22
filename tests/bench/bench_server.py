"""The server of all benchmarks, in a process of its own: bytes that were made before, sent fast.

Frames are those of the simulator. The HTTP around them is the least that aiohttp, httpx and we
understand: a real server framework would be slower than the clients that are measured.

A prompt `bench {...}` says what comes; see `Order`. `GET /times` tells of the last stream.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from minimax_magic.simulator import Reply, wire_anthropic, wire_openai
from minimax_magic.simulator.answer import PromptCache, settle
from minimax_magic.simulator.samples import long_markdown
from minimax_magic.simulator.turn import read_anthropic, read_openai

MARK = "Zap"  # short enough to be whole in the first frame of any chunk size


@dataclass(frozen=True, slots=True)
class Order:
    """What the server is to answer.

    Attributes:
        chars: Length of the text, which begins with `MARK`.
        chunk: Characters in each frame, 3 or more where times matter.
        thinking: Characters of thinking before it.
        interval_s: Seconds between frames; 0 sends all at once.
        pause_s: Seconds of silence before the frame that brings the first text, and after it.
    """

    chars: int = 40
    chunk: int = 12
    thinking: int = 0
    interval_s: float = 0.0
    pause_s: float = 0.0

    @property
    def prompt(self) -> str:
        return _prompt(self)

    @property
    def text(self) -> str:
        return f"{MARK} {long_markdown(max(1, self.chars))}"[: self.chars]


@cache  # it is asked for once for each request, and is no part of what is measured
def _prompt(order: Order) -> str:
    return "bench " + json.dumps(asdict(order))


@contextmanager
def serving() -> Iterator[str]:
    """A running server, as its address."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


# ------------------------------------------------------------------------------- in the process


@cache
def frames(order: Order, anthropic: bool) -> tuple[bytes, ...]:
    """The frames of a streamed answer, each as one HTTP chunk: servers flush after every event."""
    wire = wire_anthropic if anthropic else wire_openai
    return tuple(
        b"%x\r\n%b\r\n" % (len(frame), frame) for frame in wire.frames(*_made(order, anthropic))
    )


@cache
def whole(order: Order, anthropic: bool) -> bytes:
    """The answer in one piece, as an HTTP message."""
    wire = wire_anthropic if anthropic else wire_openai
    body = json.dumps(wire.whole(*_made(order, anthropic)), ensure_ascii=False).encode()
    return b"%b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        _OK,
        len(body),
        body,
    )


def _made(order: Order, anthropic: bool) -> tuple[Any, Any]:
    body = {
        "model": "MiniMax-M2.5",
        "max_tokens": 200_000,
        "messages": [{"role": "user", "content": order.prompt}],
        "reasoning_split": True,
        "stream_options": {"include_usage": True},
    }
    turn = read_anthropic(body) if anthropic else read_openai(body, "openai")
    thinking = long_markdown(order.thinking)[: order.thinking] if order.thinking else ""
    reply = Reply(text=order.text, thinking=thinking, chunk_chars=order.chunk)
    return turn, settle(turn, reply, PromptCache(), 1_780_000_000)


_OK = b"HTTP/1.1 200 OK\r\nServer: bench\r\nX-MiniMax-Simulated: 1"
_STREAM = (
    b"%b\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n" % _OK
)
_times: dict[str, float] = {}


class _Connection(asyncio.Protocol):
    """Reads one request after the other; answers at once or with a task."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._got = b""
        self._task: asyncio.Task[None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, blank, rest = self._got.partition(b"\r\n\r\n")
        if not blank:
            return
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        if len(rest) < length:
            return
        self._got = rest[length:]
        path = head.split(b" ", 2)[1]
        if path == b"/times":
            body = json.dumps(_times).encode()
            self._transport.write(b"%b\r\nContent-Length: %d\r\n\r\n%b" % (_OK, len(body), body))
            return
        self._answer(json.loads(rest[:length]), b"anthropic" in path)

    def _answer(self, body: dict[str, Any], anthropic: bool) -> None:
        prompt = body["messages"][-1]["content"]
        if not isinstance(prompt, str):
            prompt = prompt[0]["text"]
        order = Order(**json.loads(prompt.removeprefix("bench ")))
        if not body.get("stream"):
            self._transport.write(whole(order, anthropic))
        elif order.interval_s or order.pause_s:
            self._task = asyncio.create_task(self._pace(order, frames(order, anthropic)))
        else:
            self._transport.write(b"".join((_STREAM, *frames(order, anthropic), b"0\r\n\r\n")))

    async def _pace(self, order: Order, chunks: tuple[bytes, ...]) -> None:
        self._transport.write(_STREAM)
        _times.clear()
        mark = MARK.encode()
        due = time.monotonic()
        for chunk in chunks:
            first = "first_text" not in _times and mark in chunk
            if first:
                await asyncio.sleep(order.pause_s)
                _times["first_text"] = time.time()
            self._transport.write(chunk)
            if first:
                await asyncio.sleep(order.pause_s)
                due = time.monotonic()
            due += order.interval_s  # lateness is made up for
            if order.interval_s:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        _times["end"] = time.time()
        self._transport.write(b"0\r\n\r\n")


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve())
