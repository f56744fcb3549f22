"""One prompt, its requests and its calls, with answers played by hand: what the loop itself does."""

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
    APIConnectionError,
    ConfigError,
    MinimaxError,
    OutputInvalid,
    RateLimitError,
    StreamInterrupted,
)
from minimax_magic.events import (
    CallBegun,
    CallEnded,
    ChatReply,
    Finished,
    Notice,
    ReplyBuilder,
    Started,
    StepBegun,
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
    TextBlock,
    Tool,
    ToolCall,
    ToolResult,
)
from minimax_magic.structured import ANY_JSON, output_type
from minimax_magic.tokens import TokenUsage
from minimax_magic.tools.calls import DECLINED, STOPPED, OwnHands
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


def test_notices_come_first() -> None:
    conversation = talk(Model(says("Hi")), notices=["two turns were left out"])
    assert collect(conversation)[0] == Notice("two turns were left out")
    assert conversation.reply.warnings == ("two turns were left out",)


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


# --------------------------------------------------------------------- structured output


def test_the_answer_is_the_call_of_its_tool() -> None:
    """The loop ends with it, and it has a result, so that the chat can go on."""
    conversation = talk(model := Model(calls(("give_answer", ADA))), output=Person)
    collect(conversation)
    assert conversation.reply.value == Person(name="Ada", age=36)
    assert [m.role for m in conversation.reply.messages] == ["assistant", "tool"]
    assert model.streams[0].request.tools[-1].name == "give_answer"
    assert "give_answer" in str(model.streams[0].request.system)


def test_an_answer_in_text_is_read_too() -> None:
    conversation = talk(Model(says(f"Here:\n```json\n{json.dumps(ADA)}\n```")), output=Person)
    collect(conversation)
    assert conversation.reply.value == Person(name="Ada", age=36)


def test_a_wrong_call_goes_back_and_a_right_one_ends_it() -> None:
    """The text of the reply has nothing of the wrong one."""
    right: Step = [e for e in calls(("give_answer", ADA)) if not isinstance(e, TextDelta)]
    conversation = talk(model := Model(calls(("give_answer", WRONG)), right), output=Person)
    begun = of(collect(conversation), StepBegun)
    assert "age" in begun[0].reason
    assert "age" in results(model)[0]
    assert conversation.reply.value == Person(name="Ada", age=36)
    assert conversation.reply.text == ""


def test_wrong_texts_are_forgotten_once_there_is_a_right_one() -> None:
    """They and what was said to them are in the requests, not in the history."""
    empty: Step = [Started("M", "r"), *end()]
    model = Model(says("Ada, 36"), empty, says(json.dumps(ADA)))
    conversation = talk(model, output=Person)
    collect(conversation)
    assert [m.role for m in model.told] == ["assistant", "user", "user"]
    assert conversation.reply.value == Person(name="Ada", age=36)
    assert [m.text for m in conversation.reply.messages] == [json.dumps(ADA)]


def test_an_answer_that_is_never_valid_is_an_error_with_its_text() -> None:
    """It is sent back twice; then its text is what was last given, whether as a call or not."""
    model = Model(*[calls(("give_answer", WRONG))] * 3)
    conversation = talk(model, output=Person)
    error = fail(conversation, OutputInvalid)
    assert len(model.streams) == 3
    assert json.loads(error.text) == WRONG
    assert conversation.reply.text == error.text
    assert conversation.reply.thinking == "Hm."
    assert "Person" in str(error)
    assert conversation.reply.value is None


def test_a_cut_answer_is_not_sent_back() -> None:
    """It would be cut again: the error names what to raise, and has the text."""
    model = Model(says('{"name": "Ada", "a', "length"))
    conversation = talk(model, output=Person, repair=9)
    error = fail(conversation, OutputInvalid)
    assert "max_tokens" in error.hint
    assert error.text == conversation.reply.text == '{"name": "Ada", "a'


def test_the_last_text_is_kept_if_the_repair_breaks_off() -> None:
    """Until the new answer has some text of its own."""
    broken = StreamInterrupted("Lost.", partial=ChatReply(), reason="disconnected")
    for more, text in (([], "Ada, 36"), ([TextDelta("{")], "{")):
        model = Model(says("Ada, 36"), [Started("M", "r"), *more, broken])
        assert fail(talk(model, output=Person), StreamInterrupted).partial.text == text


def test_answers_and_tools_go_together() -> None:
    """The first valid answer of a turn counts; a tool that is called beside it is run."""
    ada, bob = ("give_answer", ADA), ("give_answer", {"name": "Bob", "age": 1})
    turn = calls(("double", {"x": 2}), ("give_answer", WRONG), ada, bob)
    conversation = talk(Model(calls(("double", {"x": 1})), turn), double, output=Person)
    ended = of(collect(conversation), CallEnded)
    assert conversation.reply.value == Person(name="Ada", age=36)
    by_call = {event.call_id: event for event in ended[1:]}
    assert by_call["c0"].result == "4"
    assert [by_call[f"c{n}"].is_error for n in range(4)] == [False, True, False, True]


def test_no_answer_within_the_steps_is_an_error() -> None:
    model = Model(*[calls(("double", {"x": 2}))] * 2)
    conversation = talk(model, double, output=Person, max_steps=2)
    assert "no Person after 2 requests" in str(fail(conversation, OutputInvalid))


def test_json_without_a_schema_is_read_from_the_text() -> None:
    """No tool is offered for it."""
    conversation = talk(model := Model(says("No."), says("[1, 2]")), output=ANY_JSON)
    collect(conversation)
    assert conversation.reply.value == [1, 2]
    assert conversation.reply.blocks == (TextBlock(text="[1, 2]"),)
    assert model.streams[0].request.tools == ()
