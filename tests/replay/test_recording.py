"""What a request is known by, and that a recorded answer comes back exactly as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minimax_magic
from minimax_magic.errors import ConfigError
from minimax_magic.events import (
    ChatReply,
    Finished,
    ReplyBuilder,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from minimax_magic.messages import (
    Block,
    ChatRequest,
    ImageBlock,
    Message,
    TextBlock,
    ThinkingBlock,
    Tool,
    ToolCall,
    ToolResult,
)
from minimax_magic.replay.recording import Recording, is_whole, request_key
from minimax_magic.tokens import TokenUsage

AT = datetime(2026, 11, 21, 12, 30, 15, 250_000, tzinfo=UTC)
REPLY = ChatReply(
    blocks=(
        ThinkingBlock(text="Hm.", signature="seal"),
        ThinkingBlock(text="", details=({"type": "reasoning.text", "index": None},)),
        TextBlock(text='Die Größe von "数据" ist $x$.\n'),
        ToolCall(id="call_1", name="f", arguments={"a": None, "b": [1, 2.5], "c": "\ud83d"}),
        ToolCall(id="call_2", name="g", invalid_arguments='{"a": '),
        TextBlock(text="More."),
    ),
    usage=TokenUsage(100, 50, 20, 5, 7),
    finish_reason="tool_calls",
    model="MiniMax-M2.5",
    request_id="0123abc",
    warnings=("first", "second"),
    simulated=True,
)


def key(messages: Any = "Hello", **fields: Any) -> str:
    return request_key(ChatRequest(messages=messages, **fields))


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else content}


def system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


# ------------------------------------------------------------------------------------- the key


FULL: dict[str, Any] = {
    "model": "MiniMax-M3",
    "system": "Be brief.",
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": 100,
    "stop": ("END",),
    "thinking": "off",
    "tools": (Tool(name="f", description="d", parameters={"type": "object"}),),
    "tool_choice": "auto",
    "service_tier": "priority",
}


def test_the_key_of_a_known_request() -> None:
    """Keys are those of the last release: answers that people have recorded are still found."""
    assert key("Hello", model="MiniMax-M2.5") == (
        "935700c7de895b31551c5090ddeee5cdaf7583fd7f078f729a1953602475bca1"
    )
    history = [
        user(TextBlock(text="Draw"), ImageBlock(data="QUJD", media_type="image/png")),
        Message(role="assistant", content=REPLY.blocks),
        Message(role="tool", content=(ToolResult(tool_call_id="call_1", content="1"),)),
    ]
    assert key(history, **FULL) == (
        "8e9486fa518cc6f549d698917254908275506734acc3706a85ed1a1e0a07d236"
    )


def test_every_field_counts() -> None:
    """Whatever is asked for differently is another request; nothing is forgotten when a field is added
    to `ChatRequest`."""
    keys = {key(**{name: value}) for name, value in FULL.items()} | {key(), key("Hello ")}
    assert set(FULL) | {"messages"} == set(ChatRequest.model_fields)
    assert len(keys) == len(FULL) + 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"temperature": 0}, {}),
        ({"temperature": 0.1}, {"temperature": 0.2}),
        ({"stop": ("a", "b")}, {"stop": ("b", "a")}),
        ({"tools": (Tool(name="f"), Tool(name="g"))}, {"tools": (Tool(name="g"), Tool(name="f"))}),
        (
            {"tools": (Tool(name="f", parameters={"a": None}),)},
            {"tools": (Tool(name="f", parameters={}),)},
        ),
    ],
)
def test_small_differences_count(one: dict[str, Any], other: dict[str, Any]) -> None:
    """A temperature of 0 is one, an order means something, and a schema's null stays in it."""
    assert key(**one) != key(**other)


SAME: list[tuple[Any, Any]] = [
    ("Hello", [user("Hello")]),
    ("Hello", [user({"type": "text", "text": "Hello"})]),
    ("Hello", (Message(role="user", content=(TextBlock(text="Hello"),)),)),
    ("Hello", (Message.model_construct(role="user", content=(TextBlock(text="Hello"),)),)),
    ("a\n\nb", [user("a"), user("b")]),
    ([system("S"), user("x")], [user("x"), system("S")]),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_is_sent_the_same_has_one_key(one: Any, other: Any) -> None:
    """However a prompt is written down: what counts is what a server would be sent."""
    assert key(one) == key(other)


def test_system_texts_count_together() -> None:
    """As an option or as turns, joined as the wires join them; and a user's text is none."""
    assert key("x", system="A\n\nB") == key([system("A"), user("x"), system("B")])
    assert key("x", system="A") == key([system("A"), user("x")])
    assert key("x", system="A") != key("A\n\nx")
    assert key("x", system="") == key("x")


def test_results_count_alike_apart_and_together() -> None:
    """Results of one turn are one message or several; an error is another result."""
    first = ToolResult(tool_call_id="1", content="a")
    second = ToolResult(tool_call_id="2", content="b")
    before = [user("x"), Message(role="assistant", content=(TextBlock(text="y"),))]
    apart = [Message(role="tool", content=(it,)) for it in (first, second)]
    together = [Message(role="tool", content=(first, second))]
    assert key([*before, *apart]) == key([*before, *together])
    failed = first.model_copy(update={"is_error": True})
    assert key([*before, Message(role="tool", content=(failed, second))]) != key(
        [*before, *together]
    )


def test_images_count_by_what_is_in_them() -> None:
    """Another picture is another request, as is another type of it or an address."""
    images = (
        ImageBlock(data="QUJD", media_type="image/png"),
        ImageBlock(data="QUJE", media_type="image/png"),
        ImageBlock(data="QUJD", media_type="image/jpeg"),
        ImageBlock(url="https://example.com/a.png"),
    )
    keys = [key([user(TextBlock(text="What?"), image)]) for image in images]
    assert len({*keys, key("What?")}) == 5
    again = ImageBlock(data="QUJD", media_type="image/png")
    assert key([user(TextBlock(text="What?"), again)]) == keys[0]


def test_thinking_and_its_seals_count() -> None:
    """A history is what the server sees of it: text, signature and details."""
    blocks = (
        ThinkingBlock(text="a"),
        ThinkingBlock(text="a", signature="s"),
        ThinkingBlock(text="a", details=()),
        ThinkingBlock(text="a", details=({"x": None},)),
        ThinkingBlock(text="a", details=({},)),
    )
    keys = [key([user("x"), Message(role="assistant", content=(it,)), user("y")]) for it in blocks]
    # an empty list of details says as much as none
    assert keys[0] == keys[2]
    assert len(set(keys)) == 4


def test_the_order_of_a_mapping_does_not_count() -> None:
    """A schema and the arguments of a call are the same in any order."""
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert key(tools=(Tool(name="f", parameters=one),)) == key(
        tools=(Tool(name="f", parameters=other),)
    )


def test_other_processes_have_the_same_keys() -> None:
    """Whatever seed a process has for its hashes."""
    code = (
        "from minimax_magic.messages import ChatRequest, Tool\n"
        "from minimax_magic.replay.recording import request_key\n"
        "tools = (Tool(name='f', parameters={'b': 1, 'a': {'y': 1, 'x': 2}}),)\n"
        "print(request_key(ChatRequest(messages='Grüße', stop=('a', 'b'), tools=tools)))"
    )
    root = str(Path(minimax_magic.__file__).parents[1])
    keys = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_what_json_cannot_hold_is_one_sentence(value: Any) -> None:
    """A schema with such a value could not be sent either."""
    with pytest.raises(ConfigError, match="cannot be written as JSON") as caught:
        key(tools=(Tool(name="f", parameters={"default": value}),))
    assert "\n" not in str(caught.value)


def test_half_a_character_has_a_key() -> None:
    """What no server can read does not stop a key from being made."""
    assert key("\ud800") != key("\udfff")


# --------------------------------------------------------------------------------- the recording


def folded(recording: Recording) -> ChatReply:
    builder = ReplyBuilder("asked-for")
    for event in recording.events():
        builder.apply(event)
    return builder.build()


def through_json(recording: Recording) -> Recording:
    return Recording.from_json(json.loads(json.dumps(recording.to_json())))


def test_an_answer_comes_back_exactly() -> None:
    """Blocks with their seals, calls, usage, id, warnings and all: as JSON and as events."""
    recording = Recording(REPLY, "openai_compat", AT)
    assert through_json(recording) == recording
    assert (recording.reply, recording.flavor, recording.recorded_at) == (
        REPLY,
        "openai_compat",
        AT,
    )
    assert folded(recording) == replace(REPLY, replayed=True)


def test_an_answer_without_figures_comes_back_so() -> None:
    """No usage is not a usage of 0, and no id not an empty one."""
    bare = ChatReply((TextBlock(text="x"),), finish_reason="length", model="m")
    recording = through_json(Recording(bare, "anthropic_messages", AT))
    assert recording.reply == bare
    assert folded(recording) == replace(bare, replayed=True)


def test_what_was_made_of_an_answer_is_not_recorded() -> None:
    """Price, value and what was avoided belong to the run, not to the answer."""
    made = replace(REPLY, cost=Decimal(1), replayed=True, avoided=Decimal(2), value={"a": 1})
    assert Recording(made, "x", AT) == Recording(REPLY, "x", AT)


def test_it_begins_as_a_replay() -> None:
    """The first event says so, the last one how it ended."""
    events = Recording(REPLY, "x", AT).events()
    assert events[0] == Started("MiniMax-M2.5", "0123abc", simulated=True, replayed=True)
    assert events[-1] == Finished("tool_calls")


def test_long_texts_come_in_pieces() -> None:
    """Text, thinking and arguments are dealt out in pieces of some hundred characters; a call is
    announced before its arguments come."""
    long = "0123456789" * 300
    blocks = (
        ThinkingBlock(text=long),
        TextBlock(text=long),
        ToolCall(id="1", name="f", arguments={"text": long}),
    )
    recording = Recording(replace(REPLY, blocks=blocks), "x", AT)
    events = recording.events()
    for kind, field in (
        (TextDelta, "text"),
        (ThinkingDelta, "text"),
        (ToolCallDelta, "arguments"),
    ):
        pieces = [getattr(event, field) for event in events if isinstance(event, kind)]
        assert 10 <= len(pieces) <= 30
        assert long in "".join(pieces)
        assert max(map(len, pieces)) < 500
    assert folded(recording).blocks == blocks


TEXTS = st.text(max_size=600) | st.sampled_from(["", "x" * 240, "x" * 241, "x" * 480])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=3)
BLOCKS: st.SearchStrategy[Block] = st.one_of(
    st.builds(TextBlock, text=TEXTS),
    st.builds(
        ThinkingBlock,
        text=TEXTS,
        signature=st.none() | TEXTS,
        details=st.none() | st.lists(OBJECTS, max_size=2).map(tuple),
    ),
    st.builds(ToolCall, id=TEXTS, name=TEXTS, arguments=OBJECTS),
    st.builds(ToolCall, id=TEXTS, name=TEXTS, invalid_arguments=TEXTS),
)


def _as_answers_are(blocks: list[Block]) -> tuple[Block, ...]:
    """Two texts in a row are one when they arrive, so no answer has them."""
    kept: list[Block] = []
    for block in blocks:
        if not (kept and isinstance(block, TextBlock) and isinstance(kept[-1], TextBlock)):
            kept.append(block)
    return tuple(kept)


@given(st.lists(BLOCKS, max_size=6).map(_as_answers_are))
def test_any_blocks_come_back_in_their_order(blocks: tuple[Block, ...]) -> None:
    """Whatever an answer is made of: through JSON and through the events that replay it."""
    recording = Recording(replace(REPLY, blocks=blocks), "x", AT)
    assert through_json(recording) == recording
    assert folded(recording).blocks == blocks


def test_only_whole_answers_are_worth_it() -> None:
    """One that was cut off in the middle or withheld is none; one that was too long is."""
    for reason, whole in (
        ("stop", True),
        ("length", True),
        ("tool_calls", True),
        ("content_filter", False),
        (None, False),
    ):
        assert is_whole(replace(REPLY, finish_reason=reason)) is whole
    odd = (ToolResult(tool_call_id="1", content="x"),)
    assert not is_whole(replace(REPLY, blocks=odd))


def test_times_are_kept_in_utc() -> None:
    """A file says the same wherever it was made; a time without a zone would say nothing."""
    local = AT.astimezone(timezone(timedelta(hours=8)))
    assert (
        Recording(REPLY, "x", local).to_json()["recorded_at"] == "2026-11-21T12:30:15.250000+00:00"
    )
    with pytest.raises(ValueError, match="time zone"):
        Recording(REPLY, "x", AT.replace(tzinfo=None))


WRONG: list[dict[str, Any]] = [
    {"blocks": None},
    {"blocks": [{"type": "song", "text": "sk-secret"}]},
    {"blocks": [{"type": "tool_result", "tool_call_id": "1", "content": "x"}]},
    {"finish_reason": None},
    {"finish_reason": "content_filter"},
    {"finish_reason": "tired"},
    {"finish_reason": ["stop"]},
    {"usage": {"input_tokens": "many"}},
    {"usage": {"input_tokens": -1}},
    {"usage": {"output_tokens": True}},
    {"usage": {"tokens": 1}},
    {"usage": []},
    {"model": None},
    {"request_id": 5},
    {"warnings": None},
    {"warnings": [1]},
    {"flavor": None},
    {"recorded_at": "yesterday"},
    {"recorded_at": "2026-11-21T12:30:15"},
    {"recorded_at": 5},
]


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_what_is_no_recording_is_refused(change: dict[str, Any]) -> None:
    """A file may have been mended by hand: the reason quotes nothing of it."""
    data = Recording(REPLY, "x", AT).to_json()
    with pytest.raises(ValueError, match="answer") as caught:
        Recording.from_json({**data, **change})
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "x", {}, 5], ids=str)
def test_what_is_no_mapping_is_refused(data: Any) -> None:
    """And what has nothing of a recording in it."""
    with pytest.raises(ValueError, match="no recorded answer"):
        Recording.from_json(data)
