"""The Anthropic Messages wire: bodies that are sent, streams and answers that come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_streams import (
    ANTHROPIC,
    INFO,
    MESSAGE_DELTA,
    MESSAGE_START,
    MESSAGE_STOP,
    any_json,
    cut,
    cut_characters,
    decode,
    decode_frames,
    decode_whole,
    delta,
    fold,
    sent,
    shown,
    start,
    stop,
)

from minimax_magic.errors import (
    ConfigError,
    ContentRefused,
    CredentialInvalid,
    ProtocolError,
    QuotaExceeded,
    RateLimitError,
    RequestRejected,
    ServerError,
)
from minimax_magic.events import (
    Finished,
    Started,
    StreamFailed,
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
    ImageBlock,
    Message,
    TextBlock,
    ThinkingBlock,
    Tool,
    ToolCall,
    ToolResult,
)
from minimax_magic.tokens import TokenUsage
from minimax_magic.wire.anthropic_messages import decode_usage

MODEST = settings(max_examples=60, deadline=None, derandomize=True)
DATA = Path(__file__).parent.parent / "data"
STREAMS = sorted(DATA.glob("anthropic_*.sse"))
CALL = ToolCall(id="call_1", name="look", arguments={"at": "здесь"})
USAGE = UsageUpdate(TokenUsage(1252, 213, 114))


def text_frame(text: str | None, index: int = 0) -> dict[str, Any]:
    return delta(index, type="text_delta", text=text)


def json_frame(text: str | None, index: int = 0) -> dict[str, Any]:
    return delta(index, type="input_json_delta", partial_json=text)


# ------------------------------------------------------------------------ recorded streams


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_a_recorded_stream_gives_its_events(path: Path) -> None:
    """Whole input, byte by byte, cut at every position and with CR: the events beside the file."""
    stream = path.read_bytes()
    expected = path.with_suffix(".events").read_text(encoding="utf-8")
    assert shown(decode(ANTHROPIC, [stream])) == expected
    assert shown(decode(ANTHROPIC, (bytes([byte]) for byte in stream))) == expected
    assert shown(decode(ANTHROPIC, [stream.replace(b"\n", b"\r")])) == expected
    for at in range(len(stream)):
        assert shown(decode(ANTHROPIC, [stream[:at], stream[at:]])) == expected


@MODEST
@given(path=st.sampled_from(STREAMS), places=st.lists(st.integers(0, 3000), max_size=10))
def test_any_split_of_the_bytes_gives_the_same_events(path: Path, places: list[int]) -> None:
    """The network's cuts are not seen in the events."""
    stream = path.read_bytes()
    assert shown(decode(ANTHROPIC, cut(stream, places))) == shown(decode(ANTHROPIC, [stream]))


@MODEST
@given(
    text=st.text(st.sampled_from("a😀\u2028é<think>"), max_size=12),
    places=st.lists(st.integers(0, 30), max_size=6),
)
def test_any_split_of_the_text_gives_the_same_reply(text: str, places: list[int]) -> None:
    """Text may be dealt out in any pieces, a character's two halves in different ones."""
    pieces = cut_characters(text, places)
    reply = fold(decode_frames(ANTHROPIC, MESSAGE_START, *map(text_frame, pieces), MESSAGE_STOP))
    assert (reply.text, reply.thinking, reply.finish_reason) == (text, "", "stop")


# -------------------------------------------------------------------------------- decoding


def test_the_true_usage_comes_at_the_end() -> None:
    """`message_start` says 0 and a cache figure that is wrong: it is not reported, nor added."""
    events = decode_frames(
        ANTHROPIC,
        MESSAGE_START,
        start(0, type="text", text="A"),
        stop(0),
        MESSAGE_DELTA,
        MESSAGE_STOP,
    )
    assert events == [
        Started("MiniMax-M3", "066a3766d21ce23c8afc5e85a427036c"),
        TextDelta("A"),
        USAGE,
        Finished("stop"),
    ]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ({"input_tokens": 9, "output_tokens": 1}, {"output_tokens": 5}, TokenUsage(9, 5)),
        ({"input_tokens": 9}, {"input_tokens": None, "output_tokens": 5}, TokenUsage(9, 5)),
        ({"input_tokens": 0, "cache_read_input_tokens": 99}, {"input_tokens": 7}, TokenUsage(7)),
        (
            {"input_tokens": 9, "output_tokens": 1},
            {"input_tokens": 10, "output_tokens": 5},
            TokenUsage(10, 5),
        ),
        ({"input_tokens": 9}, None, TokenUsage(9)),
        ({"input_tokens": 9}, [1], TokenUsage(9)),
        (None, {"input_tokens": "9", "output_tokens": 5.0}, TokenUsage(9, 5)),
        ({"input_tokens": 9}, {"cache_creation_input_tokens": 4}, TokenUsage(9, 0, 0, 4)),
    ],
)
def test_later_usage_replaces_earlier(first: Any, last: Any, expected: TokenUsage) -> None:
    """Field by field, or all of it where the input is told anew; null and nonsense tell nothing."""
    begin = {"type": "message_start", "message": {"model": "m", "usage": first}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": last}
    events = decode_frames(ANTHROPIC, begin, end, MESSAGE_STOP)
    assert fold(events).usage == expected


def test_usage_that_was_never_told_is_unknown() -> None:
    """An answer cut off before `message_delta` has no usage, not one of 0."""
    assert fold(decode_frames(ANTHROPIC, MESSAGE_START, text_frame("A"))).usage is None


def test_usage_buckets_are_disjoint_on_this_wire() -> None:
    """Cache reads and writes stand beside the input."""
    usage = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3}
    usage["cache_creation_input_tokens"] = 4
    assert decode_usage(usage) == TokenUsage(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_reasons_to_finish_have_one_vocabulary(reason: str, expected: str) -> None:
    """What the server calls it becomes one of our four, in streams and whole answers."""
    frame = {"type": "message_delta", "delta": {"stop_reason": reason}}
    assert decode_frames(ANTHROPIC, MESSAGE_START, frame, MESSAGE_STOP)[-1] == Finished(expected)  # type: ignore[arg-type]
    whole = {"content": [], "stop_reason": reason}
    assert decode_whole(ANTHROPIC, whole)[-1] == Finished(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "end", [[MESSAGE_STOP], ["[DONE]"], [MESSAGE_DELTA], [MESSAGE_STOP, "[DONE]"]]
)
def test_an_answer_ends_with_its_reason_its_stop_or_with_done(end: list[Any]) -> None:
    """Each is enough, and the end comes once; an open block is closed by it."""
    events = decode_frames(ANTHROPIC, MESSAGE_START, text_frame("A\ud83d"), *end)
    assert fold(events).text == "A\ufffd"
    assert [e for e in events if isinstance(e, Finished)] == [Finished("stop")]


@pytest.mark.parametrize(
    "payloads",
    [[MESSAGE_START, text_frame("A")], [], ["[DONE]"], [MESSAGE_STOP], [{"choices": []}, "[DONE]"]],
    ids=["cut off", "empty", "only done", "only a stop", "another wire"],
)
def test_a_stream_that_just_ends_is_not_finished(payloads: list[Any]) -> None:
    """Without a beginning and an end there is no answer; the client calls it truncated."""
    decoder = ANTHROPIC.decoder(INFO)
    events = [e for p in payloads for e in decoder.feed(p if isinstance(p, str) else json.dumps(p))]
    events += decoder.close()
    assert not decoder.finished
    assert not any(isinstance(event, Finished | StreamFailed) for event in events)


def test_nothing_is_given_after_the_end() -> None:
    """What a server sends after its end, or after an error, is not read."""
    for last in (
        json.dumps(MESSAGE_STOP),
        '{"type": "error", "error": {"message": "x"}}',
        "no JSON",
    ):
        decoder = ANTHROPIC.decoder(INFO)
        decoder.feed(json.dumps(text_frame("A")))
        assert decoder.feed(last)
        assert decoder.feed(json.dumps(text_frame("B"))) == decoder.close() == []


def test_frames_are_told_apart_by_their_json() -> None:
    """The `event:` line may be missing or wrong; an empty line of data is nothing."""
    stream = (
        b'event: ping\ndata: {"index":0,"delta":{"text":"A","type":"text_delta"},'
        b'"type":"content_block_delta"}\n\n'
        b'event: message_stop\ndata:\n\ndata: {"type":"message_stop"}\n\n'
    )
    assert decode(ANTHROPIC, [stream]) == [TextDelta("A"), Finished("stop")]


@pytest.mark.parametrize(
    ("signatures", "expected"),
    [(["abc"], "abc"), (["a", "b", "c"], "abc"), ([], ""), ([None], ""), (["\ud83d"], "\ufffd")],
)
def test_thinking_is_sealed_with_its_signature(signatures: list[Any], expected: str) -> None:
    """The signature may come in pieces; without one it is empty, which still is this wire's mark."""
    events = decode_frames(
        ANTHROPIC,
        MESSAGE_START,
        start(0, type="thinking", thinking=""),
        delta(0, type="thinking_delta", thinking="Hm"),
        *(delta(0, type="signature_delta", signature=signature) for signature in signatures),
        stop(0),
    )
    assert events[1:] == [ThinkingDelta("Hm"), ThinkingDone(signature=expected)]
    assert fold(events).blocks == (ThinkingBlock(text="Hm", signature=expected),)


def test_a_delta_without_a_start_opens_its_block() -> None:
    """Its kind is that of the delta; a missing or null index is 0."""
    thought = {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "Hm"}}
    sealed = {
        "type": "content_block_delta",
        "index": None,
        "delta": {"type": "signature_delta", "signature": "s"},
    }
    events = decode_frames(ANTHROPIC, thought, sealed, stop(0), text_frame("A", 1), MESSAGE_STOP)
    assert fold(events).blocks == (ThinkingBlock(text="Hm", signature="s"), TextBlock(text="A"))


def test_a_block_that_was_never_closed_ends_where_the_next_begins() -> None:
    """A gateway that leaves out `content_block_stop` and counts every block 0 loses nothing."""
    events = decode_frames(
        ANTHROPIC,
        start(0, type="tool_use", id="x", name="f", input={}),
        json_frame('{"a": 1}'),
        start(0, type="tool_use", id="y", name="g", input={}),
        MESSAGE_STOP,
    )
    assert [(c.id, c.arguments) for c in fold(events).tool_calls] == [("x", {"a": 1}), ("y", {})]


@pytest.mark.parametrize(
    ("given", "deltas", "arguments", "invalid"),
    [
        ({}, ['{"a"', ": 1}"], {"a": 1}, None),
        ({}, [], {}, None),
        ({}, [""], {}, None),
        ({}, [None], {}, None),
        (None, ["null"], {}, None),
        ({"a": 1}, [], {"a": 1}, None),
        ({"a": 1}, ['{"a": 2}'], {"a": 2}, None),
        ('{"a": 1}', [], {"a": 1}, None),
        ({}, ['{"a": '], {}, '{"a": '),
        ({}, ["[1]"], {}, "[1]"),
        ({}, ['{"a": NaN}'], {}, '{"a": NaN}'),
        ([1], [], {}, "[1]"),
        ({}, ['{"a": "\\ud83d"}'], {"a": "\ufffd"}, None),
    ],
)
def test_tool_arguments_are_always_an_object(
    given: Any, deltas: list[Any], arguments: dict[str, Any], invalid: str | None
) -> None:
    """From deltas or from the start; what is no object is kept as the text it was."""
    events = decode_frames(
        ANTHROPIC,
        MESSAGE_START,
        start(0, type="tool_use", id="x", name="f", input=given),
        *map(json_frame, deltas),
        stop(0),
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        MESSAGE_STOP,
    )
    call = ToolCall(id="x", name="f", arguments=arguments, invalid_arguments=invalid)
    text = "".join(part or "" for part in deltas)
    assert events[1:] == [
        ToolCallStarted(0, "x", "f"),
        *([ToolCallDelta(0, text)] if text else []),
        ToolCallDone(0, call),
        Finished("tool_calls"),
    ]


def test_a_call_that_was_cut_off_is_dropped() -> None:
    """Half its arguments would be a wrong call; the text before it is kept."""
    events = decode_frames(
        ANTHROPIC,
        start(0, type="text", text="Look"),
        start(1, type="tool_use", id="x", name="f"),
        json_frame('{"a', 1),
    )
    assert fold(events).blocks == (TextBlock(text="Look"),)


def test_blocks_of_an_unknown_kind_are_passed_over() -> None:
    """A tool that the server runs itself is no call of ours."""
    events = decode_frames(
        ANTHROPIC,
        MESSAGE_START,
        start(0, type="server_tool_use", id="s", name="web_search", input={}),
        json_frame('{"query": "x"}'),
        stop(0),
        start(1, type="web_search_tool_result", content=[{"type": "web_search_result"}]),
        stop(1),
        start(2, type="text", text="", citations=None),
        delta(2, type="citations_delta", citation={}),
        text_frame("A", 2),
        MESSAGE_STOP,
    )
    assert events[1:] == [TextDelta("A"), Finished("stop")]


# ----------------------------------------------------------------------------- whole answers


def test_a_whole_answer_gives_the_same_events_as_a_stream() -> None:
    """The documents' example: keys in any order, `base_resp` beside the content."""
    payload = {
        "id": "066b133406cd8cfd88eb3b2b893a5daa",
        "type": "message",
        "role": "assistant",
        "model": "MiniMax-M3",
        "content": [
            {"thinking": "The user is asking.", "signature": "fa86efec", "type": "thinking"},
            {"text": "I'll check.", "type": "text"},
            {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": "здесь"}},
        ],
        "usage": MESSAGE_DELTA["usage"],
        "stop_reason": "tool_use",
        "base_resp": {"status_code": 0, "status_msg": ""},
    }
    assert decode_whole(ANTHROPIC, payload) == [
        Started("MiniMax-M3", "066b133406cd8cfd88eb3b2b893a5daa"),
        ThinkingDelta("The user is asking."),
        ThinkingDone(signature="fa86efec"),
        TextDelta("I'll check."),
        ToolCallStarted(2, "call_1", "look"),
        ToolCallDone(2, CALL),
        USAGE,
        Finished("tool_calls"),
    ]


# ---------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("frame", "kind", "code"),
    [
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}},
            ServerError,
            None,
        ),
        (
            {"type": "error", "error": {"type": "api_error", "message": "boom (1000)"}},
            ServerError,
            1000,
        ),
        (
            {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}},
            RateLimitError,
            None,
        ),
        (
            {"type": "error", "error": {"message": "usage limit exceeded (2056)"}},
            QuotaExceeded,
            2056,
        ),
        (
            {"type": "error", "error": {"type": "authentication_error", "message": "no"}},
            CredentialInvalid,
            None,
        ),
        ({"type": "error", "error": "plain"}, RequestRejected, None),
        ({"type": "error", "message": "plain"}, RequestRejected, None),
        ({"type": "error"}, RequestRejected, None),
        ({"error": {"message": "input (1026)"}}, ContentRefused, 1026),
        ({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, RateLimitError, 1002),
        ({"type": "message_delta", "base_resp": {"status_code": 1027}}, ContentRefused, 1027),
    ],
)
def test_an_error_under_http_200_is_an_error(
    frame: dict[str, Any], kind: type, code: int | None
) -> None:
    """As the first frame, in the middle, and as the whole answer; nothing claims a start before it."""
    for events in (decode_frames(ANTHROPIC, frame), decode_whole(ANTHROPIC, frame)):
        (failed,) = events
        assert isinstance(failed, StreamFailed)
        assert type(failed.error) is kind
        assert failed.error.code == code
    *before, failed = decode_frames(ANTHROPIC, text_frame("Half"), frame, text_frame("never"))
    assert before == [TextDelta("Half")]
    assert isinstance(failed, StreamFailed)
    assert type(failed.error) is kind


@pytest.mark.parametrize(
    "data",
    [
        "<html>",
        "[]",
        "7",
        "null",
        '{"type": "content_block_delta"',
        '{"type": "content_block_delta"}',
        '{"type": "content_block_delta", "delta": null}',
        '{"type": "content_block_delta", "delta": []}',
        '{"type": "content_block_delta", "delta": {"type": "text_delta", "text": 7}}',
        '{"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": {"a": 1}}}',
        '{"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": 7}}',
        '{"type": "content_block_delta", "index": 5, "delta": {"type": "input_json_delta"}}',
        '{"type": "content_block_delta", "index": [], "delta": {"type": "text_delta", "text": "x"}}',
        '{"type": "content_block_delta", "index": "x", "delta": {"type": "text_delta", "text": "x"}}',
        '{"type": "content_block_start", "index": {"a": 1}, "content_block": {}}',
        '{"type": "content_block_start", "index": "x", "content_block": {}}',
        '{"type": "content_block_start", "content_block": [1]}',
        '{"type": "content_block_start", "content_block": {"type": "text", "text": ["x"]}}',
        '{"type": "content_block_stop", "index": [1]}',
        '{"type": "message_start", "message": [1]}',
        '{"type": "message_delta", "delta": [1]}',
        '{"type": "message_delta", "delta": {"stop_reason": ["end_turn"]}}',
        "[" * 100_000,
    ],
)
def test_a_frame_of_the_wrong_shape_is_a_protocol_error(data: str) -> None:
    """Whatever stands where something else should: the text before it is kept, and one error ends it."""
    decoder = ANTHROPIC.decoder(INFO)
    events = decoder.feed(json.dumps(text_frame("Half"))) + decoder.feed(data)
    assert isinstance(events[-1], StreamFailed)
    assert type(events[-1].error) is ProtocolError
    assert fold(events).text == "Half"
    assert decoder.close() == []


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"content": None},
        {"content": "Hi"},
        {"content": [None]},
        {"content": [{"type": "text", "text": 7}]},
        [],
        7,
    ],
)
def test_a_whole_answer_of_the_wrong_shape_is_a_protocol_error(payload: Any) -> None:
    """JSON that is no answer."""
    (failed,) = decode_whole(ANTHROPIC, payload)
    assert isinstance(failed, StreamFailed)
    assert type(failed.error) is ProtocolError


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"type": "ping", "detail": "x"},
        {"type": "something_new", "index": "x"},
        {"type": "message_start", "message": None},
        {"type": "message_start"},
        {"type": "message_delta", "delta": None, "usage": None},
        {"type": "content_block_start", "index": 3, "content_block": None},
        {"type": "content_block_stop", "index": 9},
        {"type": "content_block_stop"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "something_new"}},
        {"type": "content_block_delta", "index": 0, "delta": {}},
        text_frame(None),
        {"error": None, "base_resp": None},
    ],
)
def test_nulls_and_unknown_frames_are_nothing(frame: dict[str, Any]) -> None:
    """What is null, empty or new says nothing, and the answer goes on."""
    events = decode_frames(ANTHROPIC, frame, text_frame("A"), text_frame("B"), MESSAGE_STOP)
    assert fold(events).text == "AB"
    assert events[-1] == Finished("stop")


JSON = any_json(
    "delta message content content_block text thinking index signature partial_json name input "
    "id stop_reason usage input_tokens error base_resp status_code model type detail code"
)
KIND = st.sampled_from(
    [
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_start",
        "message_delta",
        "error",
    ]
)
BLOCK = st.sampled_from(
    [
        "text",
        "thinking",
        "tool_use",
        "text_delta",
        "thinking_delta",
        "input_json_delta",
        "signature_delta",
    ]
)
FIELDS = ["text", "thinking", "input", "partial_json", "signature", "id", "name"]
INNER = st.builds(
    lambda kind, more: {**more, "type": kind},
    BLOCK,
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4),
)
FRAMES = JSON | st.builds(
    lambda kind, index, inner: {
        "type": kind,
        "index": index,
        "delta": inner,
        "content_block": inner,
    },
    KIND,
    st.integers(0, 2) | JSON,
    INNER,
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(payloads=st.lists(FRAMES, max_size=6), whole=JSON)
def test_no_json_makes_the_decoder_fall_over(payloads: list[Any], whole: Any) -> None:
    """Only documented outcomes: events that fold into a reply, and one end at most, which is last."""
    decoder = ANTHROPIC.decoder(INFO)
    events = [event for payload in payloads for event in decoder.feed(json.dumps(payload))]
    for given_events in (events + decoder.close(), ANTHROPIC.decoder(INFO).feed_whole(whole)):
        ends = [event for event in given_events if isinstance(event, Finished | StreamFailed)]
        assert ends == given_events[-1:] if ends else True
        begun = {event.index for event in given_events if isinstance(event, ToolCallStarted)}
        pieces = [e for e in given_events if isinstance(e, ToolCallDelta | ToolCallDone)]
        assert begun >= {event.index for event in pieces}
        reply = fold(given_events)
        (reply.text + reply.thinking + str(reply.tool_calls)).encode()


# -------------------------------------------------------------------------------- encoding


def test_a_request_says_no_more_than_it_must() -> None:
    """`max_tokens` is what MiniMax recommends, since other servers of this wire insist on it."""
    assert sent(ANTHROPIC) == {
        "model": "MiniMax-M2.5",
        "max_tokens": 65_536,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    assert sent(ANTHROPIC, stream=True)["stream"] is True


@pytest.mark.parametrize(
    ("model", "asked", "expected"),
    [
        ("MiniMax-M2.5", None, 65_536),
        ("MiniMax-M2.5-lightning", None, 65_536),
        ("MiniMax-M3", None, 131_072),
        ("my-own", None, 8192),
        ("MiniMax-M3", 10, 10),
    ],
)
def test_max_tokens_is_always_sent(model: str, asked: int | None, expected: int) -> None:
    """Thinking counts, so a small default would leave no text."""
    assert sent(ANTHROPIC, model=model, max_tokens=asked)["max_tokens"] == expected


def test_options_are_sent_as_given() -> None:
    """Temperature 0 stays 0; stop strings are not sent, since they would be ignored silently."""
    body = sent(ANTHROPIC, temperature=0, top_p=0.5, stop=["x"], service_tier="priority")
    assert body["temperature"] == 0
    assert (body["top_p"], body["service_tier"]) == (0.5, "priority")
    assert not {"stop", "stop_sequences", "top_k", "metadata", "reasoning_split"} & set(body)


@pytest.mark.parametrize(
    ("model", "wish", "expected"),
    [
        ("MiniMax-M3", None, {"type": "adaptive"}),
        ("MiniMax-M3", "on", {"type": "adaptive"}),
        ("MiniMax-M3", "off", {"type": "disabled"}),
        ("MiniMax-M2.5", "off", None),
        ("my-own", None, None),
    ],
)
def test_thinking_is_always_said_for_m3(model: str, wish: str | None, expected: Any) -> None:
    """On this wire M3 does not think unless it is told; there is no budget to give."""
    assert sent(ANTHROPIC, model=model, thinking=wish).get("thinking") == expected


def test_all_system_texts_become_the_system_field() -> None:
    """A system role inside the messages is refused (2013)."""
    body = sent(
        ANTHROPIC,
        system="One.",
        messages=[
            Message(role="user", content="Hi"),
            Message(role="system", content="Two."),
            Message(role="user", content="there"),
        ],
    )
    assert body["system"] == "One.\n\nTwo."
    assert body["messages"] == [{"role": "user", "content": "Hi\n\nthere"}]


def test_results_of_one_turn_are_one_user_message() -> None:
    """Right after the calls, results first, then what the person said."""
    body = sent(
        ANTHROPIC,
        tools=[Tool(name="look")],
        messages=[
            Message(role="user", content="A"),
            Message(
                role="assistant",
                content=(
                    ThinkingBlock(text="Hm.", signature="s"),
                    TextBlock(text="Looking."),
                    CALL,
                    CALL.model_copy(update={"id": "call_2", "arguments": {}}),
                ),
            ),
            Message(role="user", content="hurry"),
            Message(role="tool", content=(ToolResult(tool_call_id="call_1", content="one"),)),
            Message(
                role="tool",
                content=(ToolResult(tool_call_id="call_2", content="bad", is_error=True),),
            ),
            Message(role="user", content="B"),
        ],
    )
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": "здесь"}},
                {"type": "tool_use", "id": "call_2", "name": "look", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "one"},
                {
                    "type": "tool_result",
                    "tool_use_id": "call_2",
                    "content": "bad",
                    "is_error": True,
                },
                {"type": "text", "text": "hurry"},
                {"type": "text", "text": "B"},
            ],
        },
    ]


def test_the_whole_turn_goes_back_as_it_came() -> None:
    """Blocks, order, signature and ids of an answer are what the next request carries."""
    content = [
        {"type": "thinking", "thinking": "Hm.\n", "signature": "s"},
        {"type": "text", "text": "A"},
        {"type": "tool_use", "id": "x", "name": "f", "input": {"a": [1, None]}},
    ]
    reply = fold(decode_whole(ANTHROPIC, {"content": content}))
    history = [Message(role="user", content="A"), reply.message]
    assert sent(ANTHROPIC, messages=history)["messages"][1]["content"] == content


def test_thinking_of_the_other_wire_is_not_carried_over() -> None:
    """Without this wire's signature it is left out, and a turn of nothing else with it."""
    unsigned = ThinkingBlock(text="Hm.", details=({"text": "Hm."},))
    body = sent(
        ANTHROPIC,
        messages=[
            Message(role="user", content="A"),
            Message(role="assistant", content=(unsigned, TextBlock(text="Yes"))),
            Message(role="user", content="B"),
            Message(role="assistant", content=(unsigned,)),
            Message(role="user", content="C"),
        ],
    )
    assert body["messages"] == [
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": "B\n\nC"},
    ]


def test_invalid_arguments_go_back_as_an_object() -> None:
    """`input` must be one (400 otherwise); the model sees what it wrote."""
    call = ToolCall(id="x", name="f", invalid_arguments='{"a": ')
    history = [Message(role="user", content="A"), Message(role="assistant", content=(call,))]
    (block,) = sent(ANTHROPIC, messages=history)["messages"][1]["content"]
    assert block["input"] == {"invalid_json": '{"a": '}


@pytest.mark.parametrize("schema", [{}, {"type": "object"}])
def test_a_tool_always_has_a_schema(schema: dict[str, Any]) -> None:
    """A tool without parameters is refused (2013)."""
    assert sent(ANTHROPIC, tools=[Tool(name="f", parameters=schema)])["tools"] == [
        {"name": "f", "description": "", "input_schema": {"type": "object", "properties": {}}}
    ]


@pytest.mark.parametrize(
    ("choice", "expected", "noticed"),
    [
        (None, None, False),
        ("auto", {"type": "auto"}, False),
        ("none", {"type": "none"}, False),
        ("any", {"type": "auto"}, True),
    ],
)
def test_a_forced_tool_call_is_asked_for_as_auto(
    choice: str | None, expected: Any, noticed: bool
) -> None:
    """The server answers `any` with plain text; a notice says that it was not sent."""
    fields = {"messages": "Hi", "tools": [Tool(name="f")], "tool_choice": choice}
    encoded = ANTHROPIC.encode(ChatRequest.model_validate(fields), stream=False)
    assert json.loads(encoded.body).get("tool_choice") == expected
    assert bool(encoded.notices) is noticed
    assert "tool_choice" not in sent(ANTHROPIC, tool_choice=choice)


def test_images_go_to_models_that_see() -> None:
    """By address or inline to M3 and unknown models; M2.x drops them silently, so we refuse."""
    images = (
        ImageBlock(url="https://example.com/a.png"),
        ImageBlock(data="aGk=", media_type="image/png"),
    )
    turn = Message(role="user", content=(*images, TextBlock(text="What?")))
    for model in ("MiniMax-M3", "my-own"):
        (message,) = sent(ANTHROPIC, model=model, messages=[turn])["messages"]
        assert message["content"] == [
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
            },
            {"type": "text", "text": "What?"},
        ]
    with pytest.raises(ConfigError, match="does not take images"):
        sent(ANTHROPIC, model="MiniMax-M2.7", messages=[turn])
