"""Answers played by hand, for tests of the loop of a conversation itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any, Self, TypeVar

import pytest
from pydantic import BaseModel

from minimax_magic.chats import unpaired
from minimax_magic.client.conversation import Conversation
from minimax_magic.errors import (
    MinimaxError,
    StreamInterrupted,
)
from minimax_magic.events import (
    ChatReply,
    Finished,
    ReplyBuilder,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ThinkingDone,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    UsageUpdate,
)
from minimax_magic.messages import (
    ChatRequest,
    FinishReason,
    Message,
    ToolCall,
    ToolResult,
)
from minimax_magic.structured import output_type
from minimax_magic.tokens import TokenUsage
from minimax_magic.tools.functions import as_tool
from minimax_magic.usage.rows import Booked

T = TypeVar("T")
Step = Sequence[StreamEvent | MinimaxError]
PRICE = Decimal("0.25")


class Played:
    """An answer that gives its events; it costs PRICE as soon as it says its usage."""

    def __init__(self, request: ChatRequest, step: Step) -> None:
        self.request = request
        self.closed = False
        self._builder = ReplyBuilder(request.model)
        self._events = self._play(step)

    async def _play(self, step: Step) -> AsyncGenerator[StreamEvent, None]:
        for event in step:
            await asyncio.sleep(0)
            if isinstance(event, StreamInterrupted):
                event.partial = self.reply
            if isinstance(event, MinimaxError):
                raise event
            self._builder.apply(event)
            yield event

    @property
    def reply(self) -> ChatReply:
        return self._builder.build(PRICE if self._builder.usage is not None else None)

    @property
    def booked(self) -> Booked | None:
        usage = self._builder.usage
        return Booked(usage, PRICE, True, "per_token") if usage is not None else None

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self._events

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.closed = True
        await self._events.aclose()


class Model:
    """Plays one step for each request; keeps them and their streams."""

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self.streams: list[Played] = []

    def __call__(self, request: ChatRequest) -> Played:
        self.streams.append(Played(request, self._steps.pop(0)))
        return self.streams[-1]

    @property
    def told(self) -> list[Message]:
        """What the last request carries behind the prompt."""
        return [*self.streams[-1].request.messages[1:]]


def end(finish: FinishReason = "stop") -> Step:
    return [UsageUpdate(TokenUsage(10, 5)), Finished(finish)]


def says(text: str, finish: FinishReason = "stop") -> Step:
    return [Started("M", "r"), TextDelta(text), *end(finish)]


def calls(*wanted: tuple[str, Any], finish: FinishReason = "tool_calls") -> Step:
    """Thinking, text, and calls `c0`, `c1`, ...; arguments that are a string are no JSON object."""
    events: list[StreamEvent] = [Started("M", "r"), ThinkingDelta("Hm."), ThinkingDone("seal")]
    events.append(TextDelta("Let me see."))
    for index, (name, arguments) in enumerate(wanted):
        broken = isinstance(arguments, str)
        given: dict[str, Any] = {"invalid_arguments": arguments} if broken else {}
        call = ToolCall(id=f"c{index}", name=name, arguments={} if broken else arguments, **given)
        text = arguments if broken else json.dumps(arguments)
        events += [
            ToolCallStarted(index, call.id, name),
            ToolCallDelta(index, text),
            ToolCallDone(index, call),
        ]
    return [*events, *end(finish)]


def double(x: int) -> int:
    """Twice x."""
    return 2 * x


class Person(BaseModel):
    name: str
    age: int


ADA = {"name": "Ada", "age": 36}
WRONG = {"name": "Ada", "age": "old"}


def talk(model: Model, *functions: Callable[..., Any], **options: Any) -> Conversation:
    request = options.pop("request", None) or ChatRequest(messages="Go")
    if "output" in options and isinstance(options["output"], type):
        options["output"] = output_type(options["output"])
    return Conversation(model, request, functions=[as_tool(f) for f in functions], **options)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    async def go() -> T:
        async with asyncio.timeout(10):  # in the same task, so that it can be counted
            return await coroutine

    return asyncio.run(go())


def collect(conversation: Conversation) -> list[Any]:
    """All events; all that a conversation leaves behind must be able to go on."""

    async def go() -> list[Any]:
        async with conversation:
            return [event async for event in conversation]

    try:
        return run(go())
    finally:
        assert unpaired(conversation.history) is None


def fail(conversation: Conversation, kind: type[T]) -> T:
    with pytest.raises(kind) as caught:  # type: ignore[type-var]
        collect(conversation)
    return caught.value


def of(events: list[Any], kind: type[T]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]


def results(model: Model) -> list[str]:
    """What the last request tells of the calls before it."""
    last = model.told[-1]
    assert last.role == "tool"
    return [block.content for block in last.content if isinstance(block, ToolResult)]
