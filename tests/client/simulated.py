"""A client and a simulator for tests of whole turns: over both wires, streamed and in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from minimax_magic.assembly import make_meter
from minimax_magic.chats import unpaired
from minimax_magic.client.client import Client
from minimax_magic.client.rate_limit import NoLimit
from minimax_magic.client.streams import AnswerStream
from minimax_magic.events import ChatReply
from minimax_magic.messages import Message
from minimax_magic.simulator import Received, Simulator
from minimax_magic.testing import FakeAuth, FakeClock
from minimax_magic.transport import AiohttpTransport
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.meter import Books
from minimax_magic.wire.address import resolve_endpoint

T = TypeVar("T")
BOTH_WIRES = pytest.mark.parametrize("wire", ["openai", "anthropic"])
BOTH_WAYS = pytest.mark.parametrize("whole", [False, True], ids=["streamed", "whole"])


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    async def go() -> T:
        async with asyncio.timeout(20):
            return await coroutine

    return asyncio.run(go())


@asynccontextmanager
async def client_of(sim: Simulator, wire: str, model: str = "MiniMax-M3") -> AsyncIterator[Client]:
    """A client that books in memory and never waits between attempts."""
    clock = FakeClock()
    endpoint = resolve_endpoint(sim.url + ("/anthropic" if wire == "anthropic" else ""))
    ledger = Ledger(":memory:")
    client = Client(
        endpoint=endpoint,
        auth=FakeAuth(sim.key),
        transport=AiohttpTransport(),
        limiter=NoLimit(),
        clock=clock,
        model=model,
        user_agent="test",
        meter=make_meter(Books(ledger, clock), endpoint, lambda: "per_token"),
        uniform=lambda: 0.0,
    )
    try:
        async with client:
            yield client
    finally:
        ledger.close()


@dataclass
class Dialogue:
    """One way to talk with the simulator."""

    sim: Simulator
    wire: str
    whole: bool = False

    def ask(self, prompt: Any, model: str = "MiniMax-M3", **options: Any) -> ChatReply:
        """The reply, by `Client.chat` where the answer comes in one piece."""

        async def go() -> ChatReply:
            async with client_of(self.sim, self.wire, model) as client:
                if self.whole:
                    return await client.chat(prompt, **options)
                async with client.stream(prompt, **options) as stream:
                    async for _ in stream:
                        pass
                return stream.reply

        return run(go())

    def play(self, prompt: str, **options: Any) -> tuple[list[Any], AnswerStream, Exception | None]:
        """All events, the stream they came from, and what it ended in if that is an error."""

        async def go() -> tuple[list[Any], AnswerStream, Exception | None]:
            events: list[Any] = []
            async with client_of(self.sim, self.wire) as client:
                stream = client.stream(prompt, whole=self.whole, **options)
                try:
                    async with stream:
                        async for event in stream:
                            events.append(event)
                except Exception as error:
                    return events, stream, error
                return events, stream, None

        return run(go())

    def go_on(self, prompt: str, history: list[Message]) -> None:
        """Sends what a conversation left, with another prompt, which must be answered."""
        assert unpaired(history) is None
        said = [{"role": "user", "content": prompt}, *history]
        reply = self.ask([*said, {"role": "user", "content": "[[echo]] Go on."}])
        assert reply.text == "Go on."

    # what arrived at the simulator

    @property
    def bodies(self) -> list[Any]:
        return [received.body for received in self.sim.requests]

    def sent(self, request: int = -1) -> list[Any]:
        """The messages of a request, without the system's."""
        return [m for m in self.bodies[request]["messages"] if m["role"] != "system"]

    def results(self, request: int = -1) -> list[tuple[str, str]]:
        """Ids of calls and what they returned, of the last turn of a request."""
        if self.wire == "anthropic":
            blocks = self.sent(request)[-1]["content"]
            assert {block["type"] for block in blocks} == {"tool_result"}
            return [(block["tool_use_id"], block["content"]) for block in blocks]
        found = []
        for message in reversed(self.sent(request)):
            if message["role"] != "tool":
                break
            found.append((message["tool_call_id"], message["content"]))
        return found[::-1]

    def calls(self, request: int = -1) -> list[tuple[str, str]]:
        """Ids and names of the calls of the last turn of the model."""
        last = [m for m in self.sent(request) if m["role"] == "assistant"][-1]
        if self.wire == "anthropic":
            return [(b["id"], b["name"]) for b in last["content"] if b["type"] == "tool_use"]
        return [(call["id"], call["function"]["name"]) for call in last["tool_calls"]]

    def wait_for(self, condition: Callable[[list[Received]], bool]) -> None:
        assert self.sim.wait_for(lambda sim: condition(sim.requests))
