"""A turn may be stopped at any point: the connection is closed, and what is left can be sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel
from simulated import BOTH_WIRES, Dialogue, client_of, run

from minimax_magic.chats import unpaired
from minimax_magic.client.conversation import Conversation
from minimax_magic.client.streams import AnswerStream
from minimax_magic.events import (
    CallBegun,
    CallEnded,
    StepBegun,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from minimax_magic.messages import Message, ToolResult
from minimax_magic.simulator import Behaviour, Reply, Silence, Simulator, ToolCall
from minimax_magic.tools.calls import STOPPED


class Person(BaseModel):
    name: str


@dataclass(frozen=True)
class Stage:
    """Where a turn is stopped.

    Attributes:
        script: What the simulator answers until then.
        reached: Whether an event says that it is there; None: so many requests have arrived and
            nothing of the last one's answer.
        results: What the calls of the turn have returned then.
        hangs: Whether an answer is under way then.
    """

    name: str
    script: tuple[Behaviour, ...]
    reached: Callable[[Any], bool] | None = None
    results: tuple[str, ...] = ()
    hangs: bool = True
    output: Any = None


def an(kind: type) -> Callable[[Any], bool]:
    return lambda event: isinstance(event, kind)


def arguments(event: Any) -> bool:
    return isinstance(event, ToolCallDelta) and event.arguments != ""


def call(*names: str, city: str = "Oslo") -> Reply:
    calls = tuple(ToolCall(name, {"city": city} if name == "weather" else {}) for name in names)
    return Reply("I ask.", "I think.", calls)


def second(event: Any) -> bool:
    return isinstance(event, TextDelta) and event.text.startswith("word")


LONG = Reply("word " * 100, "")
RAIN = "It rains in Oslo."
# in the middle, whichever the wire
MIDDLE = 9
STREAMED = [
    Stage("thinking", (Silence(MIDDLE, Reply("", "think " * 100)),), an(ThinkingDelta)),
    Stage("text", (Silence(MIDDLE, LONG),), an(TextDelta)),
    Stage(
        "arguments",
        (Silence(MIDDLE, Reply("", "", (ToolCall("weather", {"city": "O" * 999}),))),),
        arguments,
    ),
    Stage("second text", (call("weather"), Silence(MIDDLE, LONG)), second, (RAIN,)),
    Stage(
        "arguments of the second call",
        (
            call("weather"),
            Silence(MIDDLE, Reply("", "", (ToolCall("weather", {"city": "O" * 999}),))),
        ),
        # the first has fewer pieces
        lambda event: isinstance(event, ToolCallDelta) and "OOO" in event.arguments,
        (RAIN,),
    ),
    Stage("repair", (Reply("Ada"), Silence(MIDDLE, LONG)), second, output=Person),
]
EITHER = [
    Stage("before the first event", (Silence(0),)),
    Stage("before the second answer", (call("weather"), Silence(0)), None, (RAIN,)),
    Stage("sync tool", (call("stops"),), None, ("stopped it",), hangs=False),
    Stage("async tool", (call("waits"),), an(CallBegun), (STOPPED.text,), hangs=False),
    Stage(
        "between two calls",
        (call("waits", "weather"),),
        an(CallEnded),
        (STOPPED.text, RAIN),
        hangs=False,
    ),
    Stage("between two requests", (call("weather"),), an(StepBegun), (RAIN,), hangs=False),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def sim(server: Simulator) -> Simulator:
    server.reset()
    return server


async def stop(dialogue: Dialogue, stage: Stage, way: str) -> AnswerStream:
    """The turn, stopped. By then its tools have come to their ends, and its connection is closed."""
    dialogue.sim.script(*stage.script)
    reached = asyncio.Event()
    waiting: list[str] = []

    def weather(city: str) -> str:
        return f"It rains in {city}."

    def stops() -> str:
        reading.cancel()  # as an interrupt that comes while it runs
        return "stopped it"

    async def waits() -> None:
        waiting.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(9):  # it takes its time
                await asyncio.sleep(0)
            waiting.append("over")

    async def read() -> None:
        async with stream:
            async for event in stream:
                if stage.reached is not None and stage.reached(event):
                    reached.set()
                    if way == "leave":
                        return

    async with client_of(dialogue.sim, dialogue.wire) as client:
        stream = client.stream(
            "Go",
            whole=dialogue.whole,
            tools=[weather, stops, waits],
            **({"output": stage.output} if stage.output else {}),
        )
        reading = asyncio.create_task(read())
        if stage.reached is None and stage.name != "sync tool":
            while len(dialogue.sim.requests) < len(stage.script):
                await asyncio.sleep(0.002)
            reading.cancel()
        elif way == "cancel" and stage.name != "sync tool":
            await reached.wait()
            reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled() is (way == "cancel")
        assert asyncio.all_tasks() == {asyncio.current_task()}  # nothing goes on
        assert waiting in ([], ["begun", "over"])
        if stage.hangs:  # and while the client is still open
            last = dialogue.sim.requests[-1]
            assert await asyncio.to_thread(last.finished.wait, 5)
            assert last.closed_early
    return stream


def results_in(messages: list[Message]) -> tuple[str, ...]:
    return tuple(b.content for m in messages for b in m.content if isinstance(b, ToolResult))


def check(dialogue: Dialogue, stage: Stage, way: str) -> None:
    stream = run(stop(dialogue, stage, way))
    assert isinstance(stream, Conversation)
    history = stream.history
    assert unpaired(history) is None
    assert results_in(history) == stage.results
    assert stream.reply.finish_reason != "stop"
    requests = len(stage.script)
    assert len(dialogue.sim.requests) == requests
    dialogue.sim.reset()
    dialogue.go_on("Go", history)
    if stage.results:  # and that the model has seen them
        assert all(result in str(dialogue.bodies[-1]) for result in stage.results)


@BOTH_WIRES
@pytest.mark.parametrize("way", ["leave", "cancel"])
@pytest.mark.parametrize("stage", STREAMED, ids=lambda stage: stage.name)
def test_a_stream_may_be_stopped(sim: Simulator, wire: str, stage: Stage, way: str) -> None:
    """In thinking, text or arguments, of the first answer, a later one, or one that is mended."""
    check(Dialogue(sim, wire), stage, way)


@BOTH_WIRES
@pytest.mark.parametrize("whole", [False, True], ids=["streamed", "whole"])
@pytest.mark.parametrize("stage", EITHER, ids=lambda stage: stage.name)
def test_a_turn_may_be_cancelled(sim: Simulator, wire: str, whole: bool, stage: Stage) -> None:
    """While an answer is waited for, while tools run, and between them."""
    check(Dialogue(sim, wire, whole), stage, "cancel")


@BOTH_WIRES
@pytest.mark.parametrize("stage", [s for s in EITHER if s.reached], ids=lambda stage: stage.name)
def test_a_turn_may_be_left(sim: Simulator, wire: str, stage: Stage) -> None:
    """Leaving the block at an event stops the tools that run."""
    check(Dialogue(sim, wire), stage, "leave")


@BOTH_WIRES
def test_a_chat_may_be_cancelled(sim: Simulator, wire: str) -> None:
    """`Client.chat` cannot tell what was there, but leaves no tool and no connection."""
    seen: list[str] = []

    async def waits() -> None:
        seen.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("over")

    async def go() -> None:
        async with client_of(sim, wire) as client:
            asking = asyncio.create_task(client.chat("use a tool", tools=[waits]))
            while not seen:
                await asyncio.sleep(0.002)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert seen == ["begun", "over"]
            assert asyncio.all_tasks() == {asyncio.current_task()}

    run(go())
