"""One prompt, its requests and its calls: what the loop does, and what it leaves when it is stopped."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from played_answers import (
    ADA,
    PRICE,
    WRONG,
    Model,
    Person,
    Step,
    calls,
    collect,
    double,
    end,
    fail,
    of,
    results,
    run,
    says,
    talk,
)

from minimax_magic.chats import unpaired
from minimax_magic.client.conversation import Conversation
from minimax_magic.client.turns import conversation as conversation_for
from minimax_magic.errors import (
    APIConnectionError,
    ConfigError,
    RateLimitError,
    StreamInterrupted,
)
from minimax_magic.events import (
    CallBegun,
    CallEnded,
    ChatReply,
    Notice,
    Started,
    StepBegun,
    TextDelta,
    ThinkingDelta,
    ThinkingDone,
)
from minimax_magic.messages import (
    ChatRequest,
    Tool,
    ToolCall,
    ToolResult,
)
from minimax_magic.tokens import TokenUsage
from minimax_magic.tools.calls import DECLINED, STOPPED, OwnHands
from minimax_magic.usage.rows import Booked

# ------------------------------------------------------------------------------- the loop


def test_it_goes_on_until_the_model_calls_no_more() -> None:
    """Each request carries what went before it, and the reply is the last answer with all of that."""
    model = Model(calls(("double", {"x": 2})), calls(("double", {"x": 4})), says("It is 8."))
    conversation = talk(model, double)
    events = collect(conversation)
    assert [event.step for event in of(events, StepBegun)] == [2, 3]
    assert results(model) == ["8"]
    assert [m.role for m in model.told] == ["assistant", "tool"] * 2
    reply = conversation.reply
    assert (reply.text, reply.finish_reason) == ("It is 8.", "stop")
    assert [m.role for m in reply.messages] == ["assistant", "tool"] * 2 + ["assistant"]
    assert all(stream.closed for stream in model.streams)
    assert conversation.called


def test_turns_are_carried_back_complete() -> None:
    """The turn that calls goes back with its thinking, seal and text, as it came."""
    model = Model(calls(("double", {"x": 2})), says("4"))
    collect(talk(model, double))
    assert model.told[0] == model.streams[0].reply.message
    assert [block.type for block in model.told[0].content] == ["thinking", "text", "tool_call"]


def test_calls_of_one_turn_run_side_by_side() -> None:
    """Two async tools that wait for each other both come to their end; results go to their calls."""
    met: list[asyncio.Event] = []

    async def first() -> str:
        await met[1].wait()
        return "of first"

    async def second() -> str:
        met[1].set()
        return "of second"

    async def go() -> list[Any]:
        met.extend([asyncio.Event(), asyncio.Event()])
        return [event async for event in conversation]

    model = Model(calls(("first", {}), ("second", {}), ("first", {})), says("Done"))
    conversation = talk(model, first, second)
    events = run(go())
    assert [event.call_id for event in of(events, CallBegun)] == ["c0", "c1", "c2"]
    assert of(events, CallEnded)[0].call_id == "c1"  # which was asked for later
    (told,) = [m for m in model.told if m.role == "tool"]  # one message
    ids = [(b.tool_call_id, b.content) for b in told.content if isinstance(b, ToolResult)]
    assert ids == [("c0", "of first"), ("c1", "of second"), ("c2", "of first")]


def test_a_call_of_an_unknown_tool_is_told_which_there_are() -> None:
    model = Model(calls(("halve", {"x": 2}), ("double", {"x": 2})), says("Sorry"))
    ended = of(collect(talk(model, double)), CallEnded)
    assert results(model) == ["There is no tool 'halve'. There are: double.", "4"]
    assert [(e.is_error, e.duration_s is None) for e in ended] == [(True, True), (False, False)]


@pytest.mark.parametrize("arguments", [{"x": "two"}, {}, {"y": 1}, '{"x": 2'])
def test_invalid_arguments_go_back_and_nothing_runs(arguments: Any) -> None:
    model = Model(calls(("double", arguments)), calls(("double", {"x": 2})), says("4"))
    events = collect(talk(model, double))
    assert [event.is_error for event in of(events, CallEnded)] == [True, False]
    assert len(of(events, CallBegun)) == 1
    assert "not" in of(events, CallEnded)[0].result
    assert results(model) == ["4"]


def test_what_a_tool_raises_is_its_result() -> None:
    """In short; also a cancellation of its own, which is none of the conversation."""

    def divide(x: int) -> float:
        return x / 0

    async def awaits() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    model = Model(calls(("divide", {"x": 1}), ("awaits", {})), says("Oh"))
    ended = of(collect(talk(model, divide, awaits)), CallEnded)
    assert "ZeroDivisionError: division by zero" in results(model)[0]
    assert "Traceback" not in results(model)[0]
    assert "CancelledError" in results(model)[1]
    assert all(event.is_error and event.duration_s is not None for event in ended)


def test_no_more_requests_than_allowed() -> None:
    """The calls of the last one are not run, and the person is told what allows more."""
    model = Model(calls(("double", {"x": 2})), calls(("double", {"x": 4})))
    conversation = talk(model, double, max_steps=2)
    events = collect(conversation)
    assert len(of(events, CallBegun)) == 1
    assert of(events, CallEnded)[1].is_error
    (notice,) = of(events, Notice)
    assert "after 2 requests" in notice.text
    assert conversation.reply.warnings == (notice.text,)
    assert [m.role for m in conversation.history] == ["assistant", "tool"] * 2


def test_a_call_of_a_plain_tool_is_left_to_the_caller() -> None:
    """It ends the loop; other calls of the turn are not run either, since their results would wait."""
    model = Model(calls(("double", {"x": 2})), calls(("mine", {}), ("double", {"x": 2})))
    request = ChatRequest(messages="Go", tools=(Tool(name="mine"),))
    conversation = talk(model, double, request=request)

    async def go() -> list[Any]:
        return [event async for event in conversation]

    assert len(of(run(go()), CallBegun)) == 1
    assert [call.name for call in conversation.reply.tool_calls] == ["mine", "double"]
    assert [m.role for m in conversation.reply.messages] == ["assistant", "tool", "assistant"]


def test_hands_are_asked_before_a_call() -> None:
    """What they decline is not run, and the model is told."""

    class Strict(OwnHands):
        async def allow(self, call: ToolCall) -> bool:
            return call.arguments["x"] < 10

    model = Model(calls(("double", {"x": 99}), ("double", {"x": 2})), says("Well"))
    events = collect(talk(model, double, hands=Strict()))
    assert [event.call_id for event in of(events, CallBegun)] == ["c1"]
    assert results(model) == [DECLINED.text, "4"]


def test_a_later_request_may_be_forbidden() -> None:
    """`check` sees it before it is sent; what the tools did is kept."""

    def check(request: ChatRequest) -> None:
        raise ConfigError(f"{len(request.messages)} messages are too long.")

    conversation = talk(model := Model(calls(("double", {"x": 2}))), double, check=check)
    assert "3 messages" in str(fail(conversation, ConfigError))
    assert len(model.streams) == 1
    assert [m.role for m in conversation.history] == ["assistant", "tool"]


def test_two_tools_of_one_name_are_refused() -> None:
    """Also where one of them is the caller's own."""
    request = ChatRequest(messages="Go", tools=(Tool(name="double"),))
    for options in ({"request": request}, {}):
        with pytest.raises(ConfigError, match="Two tools are called 'double'"):
            talk(Model(), double, *([] if options else [double]), **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tools": double}, "tools must be a list"),
        ({"tools": [double, double]}, "Two tools are called 'double'"),
        ({"tools": [double, {"name": "double"}]}, "Two tools are called 'double'"),
        ({"tools": [3]}, "int"),
        ({"images": "plot.png"}, "images must be a list"),
        ({"images": ["missing.png"]}, "image 1"),
        ({"max_steps": 0}, "max_steps must be a whole number from 1 on"),
        ({"repair": -1, "output": int}, "repair must be"),
        ({"output": "Person"}, "is not a type"),
    ],
)
def test_wrong_options_are_refused(options: Any, words: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError, match=words):
        conversation_for(Model(), "Hi", options, default_model="MiniMax-M3")


def test_images_need_a_prompt() -> None:
    with pytest.raises(ConfigError, match="The prompt is empty"):
        conversation_for(Model(), [], {"images": [b""]}, default_model="MiniMax-M3")


def test_notices_come_first() -> None:
    conversation = talk(Model(says("Hi")), double, notices=["two turns were left out"])
    assert collect(conversation)[0] == Notice("two turns were left out")
    assert conversation.reply.warnings == ("two turns were left out",)


def test_an_answer_at_once_is_all_there_is() -> None:
    """It has no turn beside itself, though tools were offered."""
    conversation = talk(Model(says("Hi")), double)
    collect(conversation)
    assert conversation.reply.turn == ()
    assert conversation.reply.messages == (conversation.reply.message,)
    assert not conversation.called


def test_thinking_alone_is_no_turn_to_carry_on() -> None:
    """The server refuses a turn without text and calls."""
    alone: Step = [Started("M", "r"), ThinkingDelta("Hm."), ThinkingDone("seal"), *end()]
    conversation = talk(Model(calls(("double", {"x": 2})), alone), double)
    collect(conversation)
    assert [m.role for m in conversation.history] == ["assistant", "tool"]
    assert conversation.reply.thinking == "Hm."


# ------------------------------------------------------------------------------- stopping


def stories() -> list[tuple[Model, Conversation]]:
    """Three conversations that are the same each time."""
    twice = Model(calls(("double", {"x": 1}), ("double", {"x": 2})), says("2 and 4"))
    mended = Model(calls(("give_answer", WRONG)), says("Ada"), calls(("give_answer", ADA)))
    full = Model(calls(("double", {"x": 1})), calls(("double", {"x": 1})))
    return [
        (twice, talk(twice, double)),
        (mended, talk(mended, output=Person)),
        (full, talk(full, double, max_steps=2)),
    ]


@pytest.mark.parametrize("way", ["leave", "cancel"])
@pytest.mark.parametrize("story", [0, 1, 2])
def test_it_may_be_stopped_behind_any_event(story: int, way: str) -> None:
    """No call is without its result, every stream is closed, and the loop has no task left."""

    async def go(model: Model, conversation: Conversation, most: int) -> bool:
        task = asyncio.current_task()
        assert task is not None
        count = 0
        try:
            async with conversation:
                async for _ in conversation:
                    count += 1
                    if count == most and way == "leave":
                        return False
                    if count == most:
                        task.cancel()
                await asyncio.sleep(0)  # where the last event came without waiting
        except asyncio.CancelledError:
            task.uncancel()
        assert asyncio.all_tasks() == {task}
        assert all(stream.closed for stream in model.streams)
        return count < most

    for most in range(1, 100):
        model, conversation = stories()[story]
        over = run(go(model, conversation, most))
        history = conversation.history
        assert unpaired(history) is None
        assert conversation.reply.turn == (tuple(history) if len(history) > 1 else ())
        if over:
            return
    raise AssertionError("the story never ended")


def test_stopped_between_two_calls() -> None:
    """The one that returned keeps its result, the other counts as stopped: at once, and afterwards."""
    seen: list[list[str]] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append([b.content for b in conversation.history[-1].content])  # type: ignore[union-attr]

    async def go() -> None:
        task = asyncio.current_task()
        assert task is not None
        async for event in conversation:
            if isinstance(event, CallEnded):
                task.cancel()

    conversation = talk(Model(calls(("waits", {}), ("double", {"x": 2}))), waits, double)
    with pytest.raises(asyncio.CancelledError):
        run(go())
    assert seen == [[STOPPED.text, "4"]]
    last = conversation.history[-1]
    assert [b.content for b in last.content if isinstance(b, ToolResult)] == seen[0]
    assert unpaired(conversation.history) is None


def test_a_second_cancellation_does_not_wait_for_a_tool() -> None:
    """One that takes long to clean up may go on, and its call still has a result."""

    async def go() -> None:
        release = asyncio.Event()

        async def stubborn() -> str:
            try:
                await asyncio.Event().wait()
            finally:
                await release.wait()
            return "too late"

        conversation = talk(Model(calls(("stubborn", {}))), stubborn)

        async def read() -> None:
            async for event in conversation:
                if isinstance(event, CallBegun):
                    reading.cancel()

        reading = asyncio.create_task(read())
        done: set[asyncio.Task[None]] = set()
        while not done:  # the first is on its way already
            done, _ = await asyncio.wait([reading], timeout=0.01)
            reading.cancel()
        assert reading.cancelled()
        assert unpaired(conversation.history) is None
        assert [m.role for m in conversation.history] == ["assistant", "tool"]
        release.set()

    run(go())


def test_an_interrupt_inside_a_tool_ends_the_turn() -> None:
    """It is no result: the person meant the program. The call counts as stopped."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    async def go() -> None:
        async with conversation:
            async for _ in conversation:
                pass

    conversation = talk(
        Model(calls(("interrupted", {}), ("double", {"x": 2}))), interrupted, double
    )
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(go())
    assert unpaired(conversation.history) is None
    first, _ = conversation.history[-1].content
    assert isinstance(first, ToolResult)
    assert first.content == STOPPED.text


# ------------------------------------------------------------------------ errors, figures


def test_a_refused_request_took_nothing() -> None:
    """What there is by then stays, and is counted."""
    conversation = talk(Model(calls(("double", {"x": 2})), [RateLimitError("Too many.")]), double)
    fail(conversation, RateLimitError)
    reply = conversation.reply
    assert (reply.usage, reply.cost) == (TokenUsage(10, 5), PRICE)
    assert [m.role for m in reply.turn] == ["assistant", "tool"]


def test_a_request_that_may_have_been_worked_on_makes_the_sum_unknown() -> None:
    lost = APIConnectionError("Lost.")
    conversation = talk(Model(calls(("double", {"x": 2})), [lost]), double)
    fail(conversation, APIConnectionError)
    assert (conversation.reply.usage, conversation.reply.cost) == (None, None)


def test_an_answer_that_breaks_off_leaves_all_there_was() -> None:
    """The partial reply is that of all requests: the text so far, calls and results before it."""
    broken = StreamInterrupted("Lost.", partial=ChatReply(), reason="disconnected")
    conversation = talk(
        Model(calls(("double", {"x": 2})), [Started("M", "r2"), TextDelta("It "), broken]), double
    )
    partial = fail(conversation, StreamInterrupted).partial
    assert partial.text == "It "
    assert partial.request_id == "r2"
    assert [m.role for m in partial.turn] == ["assistant", "tool"]
    assert partial == conversation.reply


def test_figures_are_sums() -> None:
    model = Model(calls(("double", {"x": 2})), says("4"))
    conversation = talk(model, double)
    assert conversation.booked is None
    collect(conversation)
    both = TokenUsage(20, 10)
    assert (conversation.reply.usage, conversation.reply.cost) == (both, 2 * PRICE)
    assert conversation.booked == Booked(both, 2 * PRICE, True, "per_token")
