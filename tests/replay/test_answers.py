"""One request that is answered from a store, from a server, or from both."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from minimax_magic.errors import ConfigError, StreamInterrupted
from minimax_magic.events import (
    ChatReply,
    Finished,
    Notice,
    ReplyBuilder,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ThinkingDone,
    ToolCallDone,
    ToolCallStarted,
    UsageUpdate,
)
from minimax_magic.messages import ApiFlavor, ChatRequest, Message, Tool, ToolCall, ToolResult
from minimax_magic.pricing import BUILT_IN
from minimax_magic.replay.answers import Replayer
from minimax_magic.replay.recording import Recording, request_key
from minimax_magic.replay.store import MemoryStore, open_store
from minimax_magic.testing import FakeClock
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.meter import Books, Meter, Purpose
from minimax_magic.usage.rows import Booked, Label

USAGE = TokenUsage(input_tokens=1_000_000, output_tokens=500_000, cache_read_tokens=20)
REQUEST = ChatRequest(messages="hi", model="MiniMax-M2.5")  # type: ignore[arg-type]
CALL = ToolCall(id="c1", name="f", arguments={"a": 1})
ANSWER: list[StreamEvent] = [
    Started("MiniMax-M2.5", "id-1"),
    Notice("this and that is ignored."),
    ThinkingDelta("Hm."),
    ThinkingDone("seal"),
    TextDelta("Hello "),
    TextDelta("there"),
    ToolCallStarted(0, "c1", "f"),
    ToolCallDone(0, CALL),
    UsageUpdate(USAGE),
    Finished("tool_calls"),
]


class Answering:
    """A server: gives these events to every request, and counts."""

    def __init__(self, *events: StreamEvent | Exception) -> None:
        self.events = events or tuple(ANSWER)
        self.asked: list[ChatRequest] = []
        self.closed = 0

    def __call__(self, request: ChatRequest) -> _Answered:
        self.asked.append(request)
        return _Answered(self, request)


class _Answered:
    def __init__(self, server: Answering, request: ChatRequest) -> None:
        self.request = request
        self._server = server
        self._builder = ReplyBuilder(request.model)

    @property
    def reply(self) -> ChatReply:
        return self._builder.build(Decimal("0.5"))

    @property
    def booked(self) -> Booked:
        return Booked(USAGE, Decimal("0.5"), True, "unknown")

    async def _events(self) -> AsyncGenerator[StreamEvent, None]:
        for event in self._server.events:
            if isinstance(event, Exception):
                raise event
            self._builder.apply(event)
            yield event

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self._events()

    async def __aenter__(self) -> _Answered:
        return self

    async def __aexit__(self, *_: Any) -> None:
        self._server.closed += 1


class Desk:
    """A replayer with all that it needs."""

    def __init__(self, server: Answering | None = None, **options: Any) -> None:
        self.server = server
        self.clock = FakeClock()
        self.ledger = Ledger(":memory:")
        self.store = options.pop("store", None) or MemoryStore()
        books = Books(self.ledger, self.clock)
        self.replayer = Replayer(
            **{
                "store": self.store,
                "label": "answers.json",
                "mode": "record",
                "send": server,
                "flavor": "openai_compat",
                "simulated": False,
                "meter": Meter(books, ApiFlavor.OPENAI_COMPAT, region="replay"),
                "purpose": Purpose(Label(cell="one"), BUILT_IN),
                "clock": self.clock,
                **options,
            }
        )

    def answer(self, request: ChatRequest = REQUEST, **options: Any) -> Answer:
        """Reads one to its end; the options are those of the replayer."""

        async def read() -> Answer:
            stream = replace(self.replayer, **options).open(request)
            async with stream:
                events = [event async for event in stream]
            return Answer(stream, events)

        return asyncio.run(read())


class Answer:
    def __init__(self, stream: Any, events: list[Any]) -> None:
        self.reply: ChatReply = stream.reply
        self.booked: Booked | None = stream.booked
        self.events = events


# ---------------------------------------------------------------------------------- what is asked


def test_a_new_answer_passes_unchanged() -> None:
    """What is recorded is on its way as it would be otherwise: events, reply and figures."""
    server = Answering()
    desk = Desk(server)
    answer = desk.answer()
    assert answer.events == ANSWER
    assert (answer.reply.cost, answer.reply.replayed) == (Decimal("0.5"), False)
    assert answer.booked == Booked(USAGE, Decimal("0.5"), True, "unknown")
    assert server.closed == 1
    assert desk.ledger.records() == []  # the client books it


def test_what_is_recorded() -> None:
    """The reply, the wire it came over, and when."""
    desk = Desk(Answering(), flavor="anthropic_messages")
    reply = desk.answer().reply
    kept = desk.store.get(request_key(REQUEST), simulated=False)
    assert kept is not None
    assert kept.reply.blocks == reply.blocks
    assert kept.flavor == "anthropic_messages"
    assert kept.recorded_at == datetime.fromtimestamp(desk.clock.now, UTC)


def test_a_recorded_answer() -> None:
    """It is the recording's events, and a reply that cost nothing; nobody is asked again."""
    server = Answering()
    desk = Desk(server)
    first = desk.answer().reply
    again = desk.answer()
    assert len(server.asked) == 1
    kept = desk.store.get(request_key(REQUEST), simulated=False)
    assert kept is not None
    assert again.events == kept.events()
    assert again.reply == replace(
        first, cost=Decimal(0), replayed=True, avoided=again.reply.avoided
    )


def test_what_was_avoided() -> None:
    """It is what the recorded tokens would cost at the prices of now, for the tier that is asked."""
    for tier in (None, "priority"):
        request = REQUEST.model_copy(update={"service_tier": tier, "model": "MiniMax-M3"})
        desk = Desk(Answering())
        desk.answer(request)
        answer = desk.answer(request)
        expected = BUILT_IN.cost("MiniMax-M3", USAGE, service_tier=tier)
        assert answer.reply.avoided == expected
        assert answer.booked == Booked(USAGE, Decimal(0), True, "unknown", expected)
        (row,) = desk.ledger.records()
        assert (row.replayed, row.cost, row.avoided, row.usage) == (True, 0, expected, TokenUsage())
        assert row.region == "replay"


def test_without_a_price() -> None:
    """Nobody knows what an answer of an unknown model would have cost; it still cost nothing."""
    request = REQUEST.model_copy(update={"model": "my-own"})
    desk = Desk(Answering())
    desk.answer(request)
    reply = desk.answer(request).reply
    assert (reply.cost, reply.avoided) == (0, None)
    (row,) = desk.ledger.records()
    assert (row.cost, row.avoided) == (0, None)


def test_without_tokens() -> None:
    """A server that tells no tokens: the replay is in the ledger all the same."""
    events = [event for event in ANSWER if not isinstance(event, UsageUpdate)]
    desk = Desk(Answering(*events))
    desk.answer()
    reply = desk.answer().reply
    assert (reply.usage, reply.cost, reply.avoided, reply.replayed) == (None, 0, None, True)
    (row,) = desk.ledger.records()
    assert (row.replayed, row.avoided) == (True, None)


def test_refreshing() -> None:
    """It does not even look what there is, and replaces it."""
    server = Answering()
    desk = Desk(server)
    desk.answer()
    server.events = (Started("m", None), TextDelta("new"), Finished("stop"))
    assert desk.answer(mode="refresh").reply.text == "new"
    assert desk.answer(mode="replay").reply.text == "new"
    assert len(server.asked) == 2


@pytest.mark.parametrize("server", [None, Answering()])
def test_replaying_asks_nobody(server: Answering | None) -> None:
    """Also where somebody could be asked, a miss is an error that says what to do."""
    desk = Desk(server, mode="replay")
    with pytest.raises(
        ConfigError, match=r"^answers.json holds no answer.*--cache record"
    ) as caught:
        desk.answer()
    assert "\n" not in str(caught.value)
    assert server is None or server.asked == []
    assert desk.ledger.records() == []


# --------------------------------------------------------------------------- what is not recorded


@pytest.mark.parametrize(
    "events",
    [
        [Started("m", None), TextDelta("secr"), Finished("content_filter")],
        [Started("m", None), TextDelta("half")],
    ],
)
def test_no_whole_answer(events: list[StreamEvent]) -> None:
    """What was withheld, and what has no end, is not recorded."""
    server = Answering(*events)
    desk = Desk(server)
    desk.answer()
    assert desk.store.get(request_key(REQUEST), simulated=None) is None
    desk.answer()
    assert len(server.asked) == 2


def test_what_is_about_this_machine() -> None:
    """It is told where it happens, and is no part of what is recorded; what belongs to the answer is."""
    desk = Desk(Answering(ANSWER[0], Notice("the disk is full.", local=True), *ANSWER[1:]))
    answer = desk.answer()
    assert answer.reply.warnings == ("the disk is full.", "this and that is ignored.")
    assert desk.answer().reply.warnings == ("this and that is ignored.",)


def test_a_broken_answer() -> None:
    """An error passes on, the part is the reply, the connection is closed, and nothing is kept."""
    lost = StreamInterrupted("lost", partial=ChatReply(), reason="disconnected")
    server = Answering(*ANSWER[:6], lost)
    desk = Desk(server)

    async def read() -> Any:
        async with desk.replayer.open(REQUEST) as stream:
            with pytest.raises(StreamInterrupted):
                async for _ in stream:
                    pass
        return stream

    stream = asyncio.run(read())
    assert stream.reply.text == "Hello there"
    assert server.closed == 1
    assert desk.store.get(request_key(REQUEST), simulated=None) is None


@pytest.mark.parametrize("events", [0, 1, 5, len(ANSWER)])
def test_left_in_the_middle(events: int) -> None:
    """Whoever leaves closes the connection, and nothing is recorded; not even if all was read but the
    end was not waited for."""
    server = Answering()
    desk = Desk(server)

    async def read() -> Any:
        async with desk.replayer.open(REQUEST) as stream:
            iterator = aiter(stream)
            for _ in range(events):
                await anext(iterator)
        assert (
            server.closed == len(server.asked) == min(events, 1)
        )  # and not whenever it is collected
        return stream.reply

    reply = asyncio.run(read())
    assert reply.model == "MiniMax-M2.5"
    assert desk.store.get(request_key(REQUEST), simulated=None) is None


def test_a_replay_left_in_the_middle() -> None:
    """The reply of a replay is what has been read of it so far."""
    desk = Desk(Answering())
    desk.answer()

    async def read() -> Any:
        async with desk.replayer.open(REQUEST) as stream:
            before = stream.reply
            async for event in stream:
                if isinstance(event, TextDelta):
                    break
        return before, stream.reply

    before, part = asyncio.run(read())
    assert before == ChatReply(model="MiniMax-M2.5")
    assert (part.text, part.thinking, part.tool_calls) == ("Hello there", "Hm.", ())
    assert (part.replayed, part.finish_reason) == (True, None)


# ----------------------------------------------------------------------------------------- others


def test_which_recordings_count() -> None:
    """Only those of the kind that would be asked; None: all, the real ones first."""
    desk = Desk(Answering(Started("m", None, simulated=True), TextDelta("fake"), Finished("stop")))
    desk.answer(simulated=True)
    for kind, text in ((True, "fake"), (None, "fake")):
        assert desk.answer(mode="replay", simulated=kind).reply.text == text
    with pytest.raises(ConfigError):
        desk.answer(mode="replay", simulated=False)
    reply = ChatReply(finish_reason="stop", model="real")
    recording = Recording(reply, "openai_compat", datetime.now(UTC))
    desk.store.put(request_key(REQUEST), recording)
    for kind, simulated in ((True, True), (None, False), (False, False)):
        assert desk.answer(mode="replay", simulated=kind).reply.simulated is simulated


def test_results_of_tools_are_part_of_a_request() -> None:
    """An answer to what a tool returned is not the answer to something else that it returned."""
    prompt = Message(role="user", content="hi")  # type: ignore[arg-type]
    called = Message(role="assistant", content=(CALL,))
    server = Answering()
    desk = Desk(server)

    def request(result: str) -> ChatRequest:
        told = Message(role="tool", content=(ToolResult(tool_call_id="c1", content=result),))
        tools = (Tool(name="f"),)
        return ChatRequest(messages=(prompt, called, told), tools=tools)

    desk.answer(request("12"))
    assert desk.answer(request("12")).reply.replayed
    assert not desk.answer(request("13")).reply.replayed
    assert len(server.asked) == 2


@pytest.mark.parametrize("name", ["answers.json", "answers.sqlite3"])
def test_a_store_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    """The answer is there and paid for: it ends with a notice that it was not recorded."""
    (tmp_path / name).mkdir()
    desk = Desk(Answering(), store=open_store(str(tmp_path / name), name), mode="refresh")
    answer = desk.answer()
    assert answer.events[:-1] == ANSWER
    assert isinstance(answer.events[-1], Notice)
    assert answer.reply.warnings[-1] == answer.events[-1].text
    assert answer.reply.warnings[-1].startswith("this answer was not recorded. The recorded")
    with pytest.raises(ConfigError, match=f"{name} cannot be read"):
        desk.answer(mode="record")


def test_a_busy_store_does_not_stand_still_for_others(tmp_path: Path) -> None:
    """While another process has the file, the loop goes on: other answers are not held up."""
    path = tmp_path / "answers.sqlite3"
    desk = Desk(Answering(), store=open_store(str(path)))
    desk.answer()
    turns = 0

    async def read() -> None:
        nonlocal turns
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")

            async def cell() -> None:
                async with desk.replayer.open(REQUEST) as stream:
                    async for _ in stream:
                        pass

            waiting = asyncio.create_task(cell())
            while turns < 20:
                await asyncio.sleep(0.005)
                turns += 1
            assert not waiting.done()
            other.execute("COMMIT")
            await waiting

    asyncio.run(asyncio.wait_for(read(), 20))
    assert turns == 20
