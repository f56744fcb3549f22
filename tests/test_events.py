"""The fold that makes a reply of events."""

from __future__ import annotations

from decimal import Decimal

import pytest

from minimax_magic.errors import ServerError
from minimax_magic.events import (
    ChatReply,
    Finished,
    Notice,
    ReplyBuilder,
    RetryScheduled,
    Started,
    StreamEvent,
    StreamFailed,
    TextDelta,
    TextWasThinking,
    ThinkingDelta,
    ThinkingDone,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    UsageUpdate,
)
from minimax_magic.messages import TextBlock, ThinkingBlock, ToolCall
from minimax_magic.tokens import TokenUsage

CALL = ToolCall(id="call_1", name="look", arguments={"at": 1})
OTHER = ToolCall(id="call_2", name="look", arguments={"at": 2})


def fold(*events: StreamEvent) -> ChatReply:
    builder = ReplyBuilder("asked-for")
    for event in events:
        builder.apply(event)
    return builder.build()


def test_nothing_makes_an_empty_reply() -> None:
    """A reply can be asked for before anything came; unknown is None, never 0."""
    reply = fold()
    assert (reply.text, reply.thinking, reply.blocks) == ("", "", ())
    assert (reply.usage, reply.cost, reply.finish_reason) == (None, None, None)
    assert reply.model == "asked-for"


def test_blocks_keep_the_order_they_came_in() -> None:
    """Thinking, text and calls stand in the reply as the model wrote them."""
    reply = fold(
        ThinkingDelta("a"),
        ThinkingDelta("b"),
        ThinkingDone(signature="s"),
        TextDelta("c"),
        TextDelta("d"),
        ThinkingDelta("e"),
        ThinkingDone(details=({"text": "e"},)),
        ToolCallStarted(0, "call_1", "look"),
        ToolCallDelta(0, "{}"),
        ToolCallDone(0, CALL),
        TextDelta("f"),
        Finished("tool_calls"),
    )
    assert reply.blocks == (
        ThinkingBlock(text="ab", signature="s"),
        TextBlock(text="cd"),
        ThinkingBlock(text="e", details=({"text": "e"},)),
        CALL,
        TextBlock(text="f"),
    )
    assert reply.text == "cdf"
    assert reply.thinking == "ab\n\ne"
    assert reply.tool_calls == (CALL,)
    assert reply.finish_reason == "tool_calls"


def test_two_stretches_of_thinking_stay_apart() -> None:
    """A seal ends a block: what is thought after it begins another."""
    reply = fold(ThinkingDelta("a"), ThinkingDone("1"), ThinkingDelta("b"), ThinkingDone("2"))
    assert reply.blocks == (
        ThinkingBlock(text="a", signature="1"),
        ThinkingBlock(text="b", signature="2"),
    )


def test_text_that_was_thinking_becomes_thinking() -> None:
    """All text so far changes its kind; what follows is text."""
    reply = fold(
        TextDelta("hm"), TextDelta("."), TextWasThinking(), ThinkingDone(), TextDelta("Yes")
    )
    assert reply.blocks == (ThinkingBlock(text="hm."), TextBlock(text="Yes"))


def test_interleaved_calls_keep_the_place_where_they_began() -> None:
    """Calls that end in another order, with text between, stand where they were announced."""
    reply = fold(
        ToolCallStarted(0, "call_1", "look"),
        TextDelta("between"),
        ToolCallStarted(1, "call_2", "look"),
        ToolCallDone(1, OTHER),
        ToolCallDone(0, CALL),
    )
    assert reply.blocks == (CALL, TextBlock(text="between"), OTHER)


def test_text_after_a_call_is_a_block_of_its_own() -> None:
    """It does not flow back into the text before the call."""
    reply = fold(TextDelta("a"), ToolCallStarted(0, "call_1", "look"), TextDelta("b"))
    assert reply.blocks == (TextBlock(text="a"), TextBlock(text="b"))


def test_a_call_that_is_not_whole_is_left_out() -> None:
    """A reply that was cut off holds no half call, which could not be sent back."""
    reply = fold(TextDelta("a"), ToolCallStarted(0, "call_1", "look"), ToolCallDelta(0, '{"at'))
    assert reply.blocks == (TextBlock(text="a"),)


def test_a_call_that_was_never_announced_is_kept() -> None:
    """It takes its place at the end."""
    reply = fold(TextDelta("a"), ToolCallDone(3, CALL), TextDelta("b"))
    assert reply.blocks == (TextBlock(text="a"), CALL, TextBlock(text="b"))


def test_later_usage_replaces_earlier() -> None:
    """Usage is a state, not an increment."""
    reply = fold(UsageUpdate(TokenUsage(5, 1)), UsageUpdate(TokenUsage(5, 9)))
    assert reply.usage == TokenUsage(5, 9)


def test_the_server_names_model_and_request() -> None:
    """What it leaves out stays as it was."""
    reply = fold(Started("MiniMax-M2.5", "r1", True), Notice("one"), Notice("two"))
    assert (reply.model, reply.request_id, reply.simulated) == ("MiniMax-M2.5", "r1", True)
    assert reply.warnings == ("one", "two")
    assert fold(Started(None, None)).model == "asked-for"


@pytest.mark.parametrize(
    "event",
    [RetryScheduled("busy", 1.0, 2), StreamFailed(ServerError("x")), ToolCallDelta(0, "{}")],
    ids=lambda event: type(event).__name__,
)
def test_some_events_leave_no_trace_in_the_reply(event: StreamEvent) -> None:
    """Waiting, failing and pieces of arguments are no part of what was said."""
    assert fold(TextDelta("a"), event, TextDelta("b")).blocks == (TextBlock(text="ab"),)


def test_a_reply_can_be_built_at_any_time() -> None:
    """Building changes nothing: the events that follow continue the same blocks."""
    builder = ReplyBuilder()
    builder.apply(TextDelta("a"))
    assert builder.build().text == "a"
    builder.apply(TextDelta("b"))
    reply = builder.build(Decimal("0.5"))
    assert (reply.text, reply.cost) == ("ab", Decimal("0.5"))


def test_the_message_of_a_reply_is_the_whole_turn() -> None:
    """The next request carries thinking and signature back unchanged."""
    message = fold(ThinkingDelta("a"), ThinkingDone("s"), TextDelta("b")).message
    assert message.role == "assistant"
    assert message.content == (ThinkingBlock(text="a", signature="s"), TextBlock(text="b"))


def test_a_long_reply_shows_itself_in_one_line() -> None:
    """The repr holds a beginning of the text; `str` is all of it."""
    reply = fold(TextDelta("word " * 40), ToolCallDone(0, CALL), Finished("stop"))
    assert len(repr(reply)) < 130
    assert "1 tool calls" in repr(reply)
    assert str(reply) == "word " * 40
    assert "unfinished" in repr(fold())
