"""The OpenAI-compatible wire: bodies that are sent, streams and answers that come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from wire_streams import (
    INFO,
    OPENAI,
    any_json,
    content,
    cut,
    cut_characters,
    decode,
    decode_frames,
    decode_whole,
    fold,
    merged,
    oa,
    sent,
    shown,
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
from minimax_magic.wire.openai_compat import decode_usage

MODEST = settings(max_examples=60, deadline=None, derandomize=True)
DATA = Path(__file__).parent.parent / "data"
STREAMS = sorted(DATA.glob("openai_*.sse"))
CALL = ToolCall(id="call_1", name="look", arguments={"at": "здесь"})
DETAILS = ({"type": "reasoning.text", "id": "reasoning-text-1", "index": 0, "text": "Hm."},)

# ------------------------------------------------------------------------ recorded streams


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_a_recorded_stream_gives_its_events(path: Path) -> None:
    """Whole input, byte by byte, cut at every position and with CRLF: the events beside the file."""
    stream = path.read_bytes()
    expected = path.with_suffix(".events").read_text(encoding="utf-8")
    assert shown(decode(OPENAI, [stream])) == expected
    assert shown(decode(OPENAI, (bytes([byte]) for byte in stream))) == expected
    assert shown(decode(OPENAI, [stream.replace(b"\n", b"\r\n")])) == expected
    for at in range(len(stream)):
        assert shown(decode(OPENAI, [stream[:at], stream[at:]])) == expected


@MODEST
@given(path=st.sampled_from(STREAMS), places=st.lists(st.integers(0, 3000), max_size=10))
def test_any_split_of_the_bytes_gives_the_same_events(path: Path, places: list[int]) -> None:
    """The network's cuts are not seen in the events."""
    stream = path.read_bytes()
    assert shown(decode(OPENAI, cut(stream, places))) == shown(decode(OPENAI, [stream]))


def reply_text(pieces: list[str]) -> tuple[str, str]:
    chunks = [content(piece) for piece in pieces]
    reply = fold(decode_frames(OPENAI, *chunks, oa({}, finish_reason="stop"), "[DONE]"))
    return reply.thinking, reply.text


@MODEST
@given(
    text=st.lists(
        st.sampled_from(["<think>", "\n</think>\n\n", "a", "😀", "\u2028", "`", " b", "<", "é"]),
        max_size=8,
    ).map("".join),
    places=st.lists(st.integers(0, 60), max_size=6),
)
def test_any_split_of_the_text_gives_the_same_reply(text: str, places: list[int]) -> None:
    """Content may be dealt out in any pieces, a character's two halves in different ones."""
    pieces = cut_characters(text, places)
    assume(len(pieces) < 2 or not pieces[1].startswith(pieces[0]))  # which looks like snapshots
    assert reply_text(pieces) == reply_text([text])


# -------------------------------------------------------------------------------- decoding


def test_the_last_text_comes_with_the_reason_to_finish() -> None:
    """Content in the chunk that carries `finish_reason` is not dropped."""
    events = decode_frames(OPENAI, content("A"), content("B", finish_reason="length"))
    assert events[1:] == [TextDelta("AB"), Finished("length")]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("max_output", "length"),
        ("something new", "stop"),
    ],
)
def test_reasons_to_finish_have_one_vocabulary(reason: str, expected: str) -> None:
    """What the server calls it becomes one of our four."""
    assert decode_frames(OPENAI, content("A", finish_reason=reason))[-1] == Finished(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("end", [["[DONE]"], [], [" [DONE] "]], ids=["done", "eof", "blanks"])
def test_an_answer_ends_with_its_reason_or_with_done(end: list[str]) -> None:
    """Either is enough; both together end it once."""
    events = decode_frames(OPENAI, content("A", finish_reason="stop"), *end)
    assert events[1:] == [TextDelta("A"), Finished("stop")]
    assert decode_frames(OPENAI, content("A"), "[DONE]")[-1] == Finished("stop")


@pytest.mark.parametrize(
    "payloads",
    [
        [content("A")],
        [],
        ["[DONE]"],
        [{}, "[DONE]"],
        [{"type": "message_start", "message": {}}, "[DONE]"],
    ],
    ids=["cut off", "empty", "only done", "only a heartbeat", "another wire"],
)
def test_a_stream_that_just_ends_is_not_finished(payloads: list[Any]) -> None:
    """Without a beginning and an end there is no answer; the client calls it truncated."""
    decoder = OPENAI.decoder(INFO)
    events = [e for p in payloads for e in decoder.feed(p if isinstance(p, str) else json.dumps(p))]
    events += decoder.close()
    assert not decoder.finished
    assert not any(isinstance(event, Finished | StreamFailed) for event in events)


def test_nothing_is_given_after_the_end() -> None:
    """What a server sends after its end, or after an error, is not read."""
    for last in ("[DONE]", '{"error": {"message": "x"}}', "no JSON"):
        decoder = OPENAI.decoder(INFO)
        decoder.feed(json.dumps(content("A")))
        assert decoder.feed(last)
        assert decoder.feed(json.dumps(content("B"))) == decoder.close() == []


def test_usage_comes_when_it_is_known() -> None:
    """Null and zeros in the chunks are no usage; cached tokens are taken out of the prompt's."""
    zeros = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    last = {"id": "1", "choices": [], "usage": {"prompt_tokens": 418, "completion_tokens": 55}}
    last["usage"]["prompt_tokens_details"] = {"cached_tokens": 114}  # type: ignore[call-overload]
    events = decode_frames(
        OPENAI, content("A", usage=zeros), content("B", finish_reason="stop"), last
    )
    assert [e for e in events if isinstance(e, UsageUpdate)] == [
        UsageUpdate(TokenUsage(input_tokens=304, output_tokens=55, cache_read_tokens=114))
    ]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5}, TokenUsage(10, 5)),
        ({"prompt_tokens": "10", "completion_tokens": 5.0}, TokenUsage(10, 5)),
        ({"total_tokens": 15, "completion_tokens": 5}, TokenUsage(10, 5)),
        ({"total_tokens": 15}, TokenUsage(15, 0)),
        ({"prompt_tokens": 10, "prompt_tokens_details": None}, TokenUsage(10)),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": None}}, TokenUsage(10)),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 99}},
            TokenUsage(0, 0, 10),
        ),
        (
            {"completion_tokens": 38, "completion_tokens_details": {"reasoning_tokens": 29}},
            TokenUsage(0, 38, reasoning_tokens=29),
        ),
        ({"prompt_tokens": -1, "completion_tokens": True, "total_tokens": "x"}, TokenUsage(0, 1)),
        ({"prompt_tokens": float("nan"), "completion_tokens": [1]}, TokenUsage()),
        ([1], TokenUsage()),
        (None, TokenUsage()),
    ],
)
def test_usage_is_read_whatever_its_form(usage: Any, expected: TokenUsage) -> None:
    """Numbers as strings count; what is no number counts as 0, and no answer fails for it."""
    assert decode_usage(usage) == expected


def details(text: str, index: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "type": "reasoning.text",
            "id": f"reasoning-text-{index + 1}",
            "index": index,
            "text": text,
        }
    ]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_field_of_its_own_is_thinking(field: str) -> None:
    """Plain reasoning without details is sealed by nothing."""
    events = decode_frames(OPENAI, oa({field: "Hm"}), oa({field: "."}), content("Yes"), "[DONE]")
    assert events[1:] == [ThinkingDelta("Hm."), ThinkingDone(), TextDelta("Yes"), Finished("stop")]


def test_reasoning_details_are_kept_as_received() -> None:
    """Their text is shown once, beside `reasoning_content` too, and their fields go back unchanged."""
    events = decode_frames(
        OPENAI,
        oa({"reasoning_content": "Hm", "reasoning_details": details("Hm")}),
        oa({"reasoning_content": ".", "reasoning_details": details(".")}),
        content("Yes"),
        "[DONE]",
    )
    assert events[1:3] == [ThinkingDelta("Hm."), ThinkingDone(details=tuple(details("Hm.")))]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning_details"])
def test_reasoning_repeated_beside_the_text_is_thought_once(field: str) -> None:
    """A server that sends snapshots repeats the last one in every frame of the text."""
    snapshots = ["The user greets me.", "The user greets me. I do too."]
    said = [details(text) if field == "reasoning_details" else text for text in snapshots]
    events = decode_frames(
        OPENAI,
        *(oa({field: value}) for value in said),
        *(oa({field: said[-1], "content": text}) for text in ("Good", " morning")),
        "[DONE]",
    )
    assert fold(events).thinking == snapshots[-1]
    assert fold(events).text == "Good morning"


@pytest.mark.parametrize("second", [False, True])
def test_two_short_snapshots_of_reasoning_are_told_apart_at_its_end(second: bool) -> None:
    """What was held for a third delta belongs to the thinking, and to its details."""
    says = [{"reasoning_details": details(text)} for text in ("The", "The cat")]
    if second:  # the plain field says the same
        says = [
            {**says[0], "reasoning_content": "The"},
            {**says[1], "reasoning_content": "The cat"},
        ]
    events = decode_frames(OPENAI, *map(oa, says), content("Yes"), "[DONE]")
    assert fold(events).blocks == (
        ThinkingBlock(text="The cat", details=tuple(details("The cat"))),
        TextBlock(text="Yes"),
    )


def test_thinking_between_texts_makes_blocks_of_its_own() -> None:
    """Interleaved thinking is sealed each time with the details that belong to it."""
    events = decode_frames(
        OPENAI,
        oa({"reasoning_details": details("One")}),
        content("A"),
        oa({"reasoning_details": details("Two", 1)}),
        content("B"),
        "[DONE]",
    )
    assert fold(events).blocks == (
        ThinkingBlock(text="One", details=tuple(details("One"))),
        TextBlock(text="A"),
        ThinkingBlock(text="Two", details=tuple(details("Two", 1))),
        TextBlock(text="B"),
    )


def test_thinking_alone_is_an_answer() -> None:
    """Too few tokens leave no text: the thinking and the reason are still there."""
    events = decode_frames(OPENAI, oa({"reasoning_content": "Hm"}), oa({}, finish_reason="length"))
    assert events[1:] == [ThinkingDelta("Hm"), ThinkingDone(), Finished("length")]


def test_content_may_be_a_list_of_parts() -> None:
    """Some gateways write it as OpenAI's requests do."""
    part = [{"type": "text", "text": "A"}, {"type": "other"}, {"type": "text", "text": None}]
    events = decode_frames(OPENAI, oa({"content": part}), "[DONE]")
    assert events[1] == TextDelta("A")


def piece(index: int | None, arguments: Any, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments}
    if "name" in more:
        function["name"] = more.pop("name")
    call = {"type": "function", "function": function, **more}
    return call if index is None else {"index": index, **call}


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        ([[piece(0, '{"a"', id="x", name="f")], [piece(0, ": 1}")]], [("x", "f", {"a": 1})]),
        (
            [[piece(0, '{"a"', id="x", name="f")], [piece(0, ": 1}", id="x", name="f")]],
            [("x", "f", {"a": 1})],
        ),
        (
            [
                [piece(0, '{"a"', id="x", name="f"), piece(1, "{", id="y", name="g")],
                [piece(1, "}"), piece(0, ":2}")],
            ],
            [("x", "f", {"a": 2}), ("y", "g", {})],
        ),
        (
            [[piece(0, "{}", id="x", name="f")], [piece(0, "{}", id="y", name="f")]],
            [("x", "f", {}), ("y", "f", {})],
        ),
        (
            [
                [piece(None, "{}", id="x", name="f"), piece(None, '{"a"', id="y", name="g")],
                [piece(None, ":1}")],
            ],
            [("x", "f", {}), ("y", "g", {"a": 1})],
        ),
        ([[piece(0, '{"a":', id="x")], [piece(0, "1}", name="f")]], [("x", "f", {"a": 1})]),
        ([[piece(0, "{}", name="f")]], [("call_1", "f", {})]),
        ([[piece(0, None, id="x", name="f")], [piece(0, "")]], [("x", "f", {})]),
        ([[piece(0, "null", id="x", name="f")]], [("x", "f", {})]),
        ([[piece(0, {"a": 1}, id="x", name="f")]], [("x", "f", {"a": 1})]),
        ([[piece(0, '{"a": "\\ud83d"}', id="x", name="f")]], [("x", "f", {"a": "\ufffd"})]),
        ([[piece(0, '{"a": "\\ud83d\\ude00"}', id="x", name="f")]], [("x", "f", {"a": "😀"})]),
        ([[piece(0, "{}", id=7, name="f")]], [("7", "f", {})]),
        (
            [[{"index": 0, "id": "x", "function": None}], [piece(0, "{}", name="f")]],
            [("x", "f", {})],
        ),
    ],
    ids=[
        "in pieces",
        "id and name again",
        "interleaved",
        "every call numbered 0",
        "no index",
        "name after arguments",
        "no id",
        "no arguments",
        "null arguments",
        "arguments as an object",
        "half a character",
        "two halves",
        "id as a number",
        "no function at first",
    ],
)
def test_tool_calls_are_put_together(pieces: list[Any], calls: list[Any]) -> None:
    """However a server deals its calls out, each comes whole, announced once, before the end."""
    chunks = [oa({"tool_calls": calls_of_delta}) for calls_of_delta in pieces]
    events = decode_frames(OPENAI, *chunks, oa({}, finish_reason="tool_calls"), "[DONE]")
    reply = fold(events)
    assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == calls
    assert [e.index for e in events if isinstance(e, ToolCallStarted)] == list(range(len(calls)))
    assert events[-1] == Finished("tool_calls")
    for index, call in enumerate(reply.tool_calls):
        text = "".join(
            e.arguments for e in events if isinstance(e, ToolCallDelta) and e.index == index
        )
        assert text.strip() in ("", "null") or isinstance(json.loads(text), dict)
        assert ToolCallDone(index, call) in events


@pytest.mark.parametrize(
    "text", ['{"a": ', "[1]", "7", '"{}"', '{"a": NaN}', '{"a": 1e999}', "x" * 9]
)
def test_arguments_that_are_no_object_are_kept_as_text(text: str) -> None:
    """A call never holds anything but an object; what the model wrote is there to be shown."""
    events = decode_frames(OPENAI, oa({"tool_calls": [piece(0, text, id="x", name="f")]}), "[DONE]")
    (call,) = fold(events).tool_calls
    assert (call.arguments, call.invalid_arguments) == ({}, text)


def test_a_call_makes_the_reason_tool_calls() -> None:
    """Some versions say `stop` after a call."""
    chunk = oa({"tool_calls": [piece(0, "{}", id="x", name="f")]}, finish_reason="stop")
    assert decode_frames(OPENAI, chunk)[-1] == Finished("tool_calls")


def test_a_call_that_was_cut_off_is_dropped() -> None:
    """Half its arguments would be a wrong call."""
    events = decode_frames(OPENAI, oa({"tool_calls": [piece(0, '{"a', id="x", name="f")]}))
    assert fold(events).tool_calls == ()


def test_text_comes_before_the_calls_that_follow_it() -> None:
    """What was held back as a possible tag or half a character is not given after the call."""
    chunks = [
        content("Look <"),
        content("\n"),
        oa({"tool_calls": [piece(0, "{}", id="x", name="f")]}),
    ]
    reply = fold(decode_frames(OPENAI, *chunks, "[DONE]"))
    assert reply.blocks == (TextBlock(text="Look <\n"), ToolCall(id="x", name="f"))


def test_a_whole_message_at_the_end_repeats_nothing() -> None:
    """The native path's last frame holds the full text again, and the usage."""
    last = {
        "choices": [{"finish_reason": "stop", "message": {"content": "Hello"}}],
        "object": "chat.completion",
    }
    assert fold(decode_frames(OPENAI, content("Hel"), content("lo"), last)).text == "Hello"
    assert fold(decode_frames(OPENAI, last)).text == "Hello"


@pytest.mark.parametrize(
    "frame",
    [
        {"choices": [], "output_sensitive": True},
        {"choices": None, "input_sensitive": True},
        oa({"content": ""}, finish_reason="stop", output_sensitive=True),
    ],
)
def test_an_empty_answer_with_a_flag_was_withheld(frame: dict[str, Any]) -> None:
    """A severe violation is no error of the wire, and not an ordinary end either."""
    assert decode_frames(OPENAI, oa({}), frame)[-1] == Finished("content_filter")
    whole = {**frame, "choices": [{"message": {"content": ""}}] if frame["choices"] else None}
    assert decode_whole(OPENAI, whole)[-1] == Finished("content_filter")


# ----------------------------------------------------------------------------- whole answers

WHOLE: dict[str, Any] = {
    "id": "066b13237d4accbb697b81f696876915",
    "choices": [
        {
            "finish_reason": "tool_calls",
            "index": 0,
            "message": {
                "content": "<think>\nThe user is asking.\n</think>\n",
                "role": "assistant",
                "name": "MiniMax AI",
                "tool_calls": [
                    {
                        "id": "call_function_a1nrtksph4pi_1",
                        "type": "function",
                        "function": {
                            "name": "get_weather",
                            "arguments": '{"location": "San Francisco"}',
                        },
                        "index": 0,
                    }
                ],
                "audio_content": "",
            },
        }
    ],
    "created": 1780211747,
    "model": "MiniMax-M3",
    "object": "chat.completion",
    "usage": {
        "total_tokens": 473,
        "prompt_tokens": 418,
        "completion_tokens": 55,
        "prompt_tokens_details": {"cached_tokens": 114},
    },
    "input_sensitive": False,
    "output_sensitive": False,
    "base_resp": {"status_code": 0, "status_msg": ""},
}


def test_a_whole_answer_gives_the_same_events_as_a_stream() -> None:
    """The documents' example, also when it comes as JSON to a request for a stream."""
    call = ToolCall(
        id="call_function_a1nrtksph4pi_1",
        name="get_weather",
        arguments={"location": "San Francisco"},
    )
    assert decode_whole(OPENAI, WHOLE) == [
        Started("MiniMax-M3", "066b13237d4accbb697b81f696876915"),
        ThinkingDelta("The user is asking."),
        ThinkingDone(),
        ToolCallStarted(0, call.id, call.name),
        ToolCallDelta(0, '{"location": "San Francisco"}'),
        UsageUpdate(TokenUsage(304, 55, 114)),
        ToolCallDone(0, call),
        Finished("tool_calls"),
    ]


def test_a_whole_answer_holds_its_reasoning_apart() -> None:
    """With `reasoning_split` both fields are there; they say the same."""
    message = {"content": "Yes", "reasoning_content": "Hm.", "reasoning_details": details("Hm.")}
    reply = fold(decode_whole(OPENAI, {"model": "m", "choices": [{"message": message}]}))
    assert reply.blocks == (
        ThinkingBlock(text="Hm.", details=tuple(details("Hm."))),
        TextBlock(text="Yes"),
    )
    assert reply.finish_reason == "stop"


# ---------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("frame", "kind", "code"),
    [
        (
            {"error": {"type": "overloaded_error", "message": "busy", "http_code": "529"}},
            ServerError,
            None,
        ),
        ({"error": {"message": "rate limit (1002)"}}, RateLimitError, 1002),
        ({"error": "token limit (1039)"}, RateLimitError, 1039),
        ({"error": {"message": "boom", "code": 500}}, ServerError, None),
        ({"error": ["odd"]}, RequestRejected, None),
        (
            {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400},
            RequestRejected,
            None,
        ),
        (
            {"type": "error", "error": {"type": "authorized_error", "message": "no"}},
            CredentialInvalid,
            None,
        ),
        (
            {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
            RateLimitError,
            1002,
        ),
        (
            {"choices": [], "base_resp": {"status_code": "2056", "status_msg": "used"}},
            QuotaExceeded,
            2056,
        ),
        (
            oa({"content": "x"}, base_resp={"status_code": 1027, "status_msg": "sensitive"}),
            ContentRefused,
            1027,
        ),
        ({"base_resp": {"status_code": 1033}}, ServerError, 1033),
    ],
)
def test_an_error_under_http_200_is_an_error(
    frame: dict[str, Any], kind: type, code: int | None
) -> None:
    """As the first frame, in the middle, and as the whole answer; nothing claims a start before it."""
    for events in (decode_frames(OPENAI, frame), decode_whole(OPENAI, frame)):
        (failed,) = events
        assert isinstance(failed, StreamFailed)
        assert type(failed.error) is kind
        assert failed.error.code == code
    *before, failed = decode_frames(OPENAI, content("Half"), frame, content("never"))
    assert before[1:] == [TextDelta("Half")]
    assert isinstance(failed, StreamFailed)
    assert type(failed.error) is kind


@pytest.mark.parametrize(
    "base_resp",
    [None, {}, {"status_code": 0}, {"status_code": "0", "status_msg": "success"}, [], "ok"],
)
def test_a_base_resp_without_a_number_is_no_error(base_resp: Any) -> None:
    """It is in ordinary answers too."""
    events = decode_frames(OPENAI, content("A", base_resp=base_resp, error=None), "[DONE]")
    assert events[1:] == [TextDelta("A"), Finished("stop")]


@pytest.mark.parametrize(
    "data",
    [
        "<html>",
        "[]",
        "7",
        "null",
        '{"choices": {}, "x": 1',
        '{"choices": {"a": 1}}',
        '{"choices": [null]}',
        '{"choices": [[]]}',
        '{"choices": 7}',
        '{"choices": [{"delta": 7}]}',
        '{"choices": [{"delta": ["content"]}]}',
        '{"choices": [{"delta": {"content": 7}}]}',
        '{"choices": [{"delta": {"content": [7]}}]}',
        '{"choices": [{"delta": {"reasoning_content": {"a": 1}}}]}',
        '{"choices": [{"delta": {"reasoning_content": 7}}]}',
        '{"choices": [{"delta": {"reasoning_details": {"a": 1}}}]}',
        '{"choices": [{"delta": {"reasoning_details": [{"text": 7}]}}]}',
        '{"choices": [{"delta": {"reasoning_details": [{"index": [], "text": "x"}]}}]}',
        '{"choices": [{"delta": {"tool_calls": [null]}}]}',
        '{"choices": [{"delta": {"tool_calls": [{"index": {}, "id": "x"}]}}]}',
        '{"choices": [{"delta": {"tool_calls": 7}}]}',
        '{"choices": [{"delta": {}, "finish_reason": ["stop"]}]}',
        "[" * 100_000,
    ],
)
def test_a_frame_of_the_wrong_shape_is_a_protocol_error(data: str) -> None:
    """Whatever stands where something else should: the text before it is kept, and one error ends it."""
    decoder = OPENAI.decoder(INFO)
    events = decoder.feed(json.dumps(content("Half"))) + decoder.feed(data)
    assert isinstance(events[-1], StreamFailed)
    assert type(events[-1].error) is ProtocolError
    assert fold(events).text == "Half"
    assert decoder.close() == []


@pytest.mark.parametrize(
    "payload",
    [{}, {"choices": []}, {"choices": [{}]}, {"choices": [None]}, [], 7, {"x": float("nan")}],
)
def test_a_whole_answer_of_the_wrong_shape_is_a_protocol_error(payload: Any) -> None:
    """JSON that is no answer."""
    (failed,) = decode_whole(OPENAI, payload)
    assert isinstance(failed, StreamFailed)
    assert type(failed.error) is ProtocolError


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"choices": None, "model": "m"},
        {"choices": [], "usage": None},
        {"choices": [{}]},
        {"choices": [{"delta": None, "finish_reason": None}]},
        {"choices": [{"delta": {"content": None, "role": "assistant", "tool_calls": None}}]},
        {"choices": [{"delta": {"reasoning_content": None, "reasoning_details": []}}]},
        {"choices": [{"delta": {"tool_calls": [{}]}}], "usage": {}},
        {"choices": [{"delta": {"new": {"field": 1}}, "logprobs": {}}], "new": [1]},
        {"choices": [], "usage": "none"},
        {"error": None, "error_msg": "", "detail": None},
    ],
)
def test_nulls_and_unknown_fields_are_nothing(frame: dict[str, Any]) -> None:
    """What is null, empty or new says nothing, and the answer goes on."""
    events = decode_frames(OPENAI, frame, content("A"), content("B", finish_reason="stop"))
    assert fold(events).text == "AB"
    assert isinstance(events[-1], Finished)


def test_errors_do_not_show_the_key() -> None:
    """A frame that quotes the key back is masked, also where the quotation is cut."""
    for data in (
        '{"sk-secret-key-1": ',
        "x" * 70 + "sk-secret-key-1",
        '{"error": "sk-secret-key-1"}',
    ):
        (failed,) = OPENAI.decoder(INFO).feed(data)
        assert isinstance(failed, StreamFailed)
        assert "secret" not in str(failed.error)
        assert "***" in str(failed.error)


JSON = any_json(
    "choices delta message content reasoning_content reasoning_details text index tool_calls "
    "function name arguments id finish_reason usage prompt_tokens prompt_tokens_details error "
    "base_resp status_code model type detail code"
)
DELTAS = st.dictionaries(
    st.sampled_from(["content", "reasoning_content", "reasoning_details", "tool_calls"]),
    JSON,
    max_size=3,
)
FRAMES = JSON | DELTAS.map(lambda d: {"choices": [{"delta": d}]}) | st.text(max_size=8).map(content)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(payloads=st.lists(FRAMES, max_size=5), whole=JSON)
def test_no_json_makes_the_decoder_fall_over(payloads: list[Any], whole: Any) -> None:
    """Only documented outcomes: events that fold into a reply, and one end at most, which is last."""
    decoder = OPENAI.decoder(INFO)
    events = [event for payload in payloads for event in decoder.feed(json.dumps(payload))]
    for given_events in (events + decoder.close(), OPENAI.decoder(INFO).feed_whole(whole)):
        ends = [event for event in given_events if isinstance(event, Finished | StreamFailed)]
        assert ends == given_events[-1:] if ends else True
        reply = fold(given_events)
        (reply.text + reply.thinking + str(reply.tool_calls)).encode()


# -------------------------------------------------------------------------------- encoding


def test_a_request_says_no_more_than_it_must() -> None:
    """What is not asked for is left to the server; thinking is asked for in fields of its own."""
    assert sent(OPENAI) == {
        "model": "MiniMax-M2.5",
        "messages": [{"role": "user", "content": "Hi"}],
        "reasoning_split": True,
    }


def test_a_stream_asks_for_usage() -> None:
    """Without `include_usage` no chunk would hold it."""
    body = sent(OPENAI, stream=True)
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


def test_options_are_sent_as_given() -> None:
    """Temperature 0 stays 0; the limit has its current name; stop strings are not sent at all."""
    body = sent(
        OPENAI, temperature=0, top_p=0.5, max_tokens=100, stop=["x"], service_tier="priority"
    )
    assert body["temperature"] == 0
    assert (body["top_p"], body["service_tier"]) == (0.5, "priority")
    assert body["max_completion_tokens"] == 100
    unsupported = {"stop", "max_tokens", "n", "response_format", "top_k", "seed", "logit_bias"}
    assert not unsupported & set(body)


@pytest.mark.parametrize(
    ("model", "wish", "expected", "noticed"),
    [
        ("MiniMax-M3", None, {"type": "adaptive"}, False),
        ("MiniMax-M3", "on", {"type": "adaptive"}, False),
        ("MiniMax-M3", "auto", {"type": "adaptive"}, False),
        ("MiniMax-M3", "off", {"type": "disabled"}, False),
        ("MiniMax-M2.5", None, None, False),
        ("MiniMax-M2.5", "on", None, False),
        ("MiniMax-M2.5", "off", None, True),
        ("my-own", None, None, False),
        ("my-own", "on", {"type": "adaptive"}, False),
        ("my-own", "off", {"type": "disabled"}, False),
    ],
)
def test_thinking_is_always_said_for_m3(
    model: str, wish: str | None, expected: Any, noticed: bool
) -> None:
    """Its default differs between the wires; M2.x cannot stop thinking, which a notice says."""
    request = ChatRequest.model_validate({"messages": "Hi", "model": model, "thinking": wish})
    encoded = OPENAI.encode(request, stream=False)
    assert json.loads(encoded.body).get("thinking") == expected
    assert bool(encoded.notices) is noticed


def test_all_system_texts_become_the_first_message() -> None:
    """More than one, or one that is not first, is refused (2013)."""
    body = sent(
        OPENAI,
        system="One.",
        messages=[
            Message(role="system", content="Two."),
            Message(role="user", content="Hi"),
            Message(role="system", content="Three."),
            Message(role="user", content="there"),
        ],
    )
    assert body["messages"] == [
        {"role": "system", "content": "One.\n\nTwo.\n\nThree."},
        {"role": "user", "content": "Hi\n\nthere"},
    ]


def test_turns_of_nothing_are_left_out() -> None:
    """Empty text, and thinking without any, is no turn; its neighbours are merged."""
    body = sent(
        OPENAI,
        messages=[
            Message(role="user", content="A"),
            Message(role="assistant", content=""),
            Message(role="assistant", content=(ThinkingBlock(text="", signature="s"),)),
            Message(role="user", content="B"),
        ],
    )
    assert body["messages"] == [{"role": "user", "content": "A\n\nB"}]


@pytest.mark.parametrize("messages", ["", [Message(role="system", content="x")], []])
def test_an_empty_prompt_is_refused(messages: Any) -> None:
    """Nothing is sent for it."""
    with pytest.raises(ConfigError, match="prompt is empty"):
        sent(OPENAI, messages=messages)


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        (
            ThinkingBlock(text="Hm.", details=DETAILS),
            {"content": "Yes", "reasoning_details": list(DETAILS)},
        ),
        (ThinkingBlock(text="Hm."), {"content": "<think>\nHm.\n</think>\nYes"}),
        (ThinkingBlock(text="Hm.", signature="s"), {"content": "<think>\nHm.\n</think>\nYes"}),
        (ThinkingBlock(text="", signature="s"), {"content": "Yes"}),
        (ThinkingBlock(text="Hm.", details=()), {"content": "<think>\nHm.\n</think>\nYes"}),
    ],
)
def test_thinking_is_carried_back(thinking: ThinkingBlock, expected: dict[str, Any]) -> None:
    """As details where it came so, else inline; the other wire's signature is never sent."""
    history = [
        Message(role="user", content="A"),
        Message(role="assistant", content=(thinking, TextBlock(text="Yes"))),
        Message(role="user", content="B"),
    ]
    assert sent(OPENAI, messages=history)["messages"][1] == {"role": "assistant", **expected}


def test_an_inline_turn_goes_back_as_it_came() -> None:
    """What the server wrote between the tags, it reads again, newline for newline."""
    message = {"content": "<think>\nThe user\n\nasks.\n</think>\nYes"}
    reply = fold(decode_whole(OPENAI, {"choices": [{"message": message}]}))
    history = [Message(role="user", content="A"), reply.message, Message(role="user", content="B")]
    assert sent(OPENAI, messages=history)["messages"][1]["content"] == message["content"]


def test_tool_calls_and_results_follow_each_other() -> None:
    """Calls stay in the assistant's turn; each result is a message of its own, text after them."""
    body = sent(
        OPENAI,
        tools=[Tool(name="look")],
        messages=[
            Message(role="user", content="A"),
            Message(role="assistant", content=(CALL, CALL.model_copy(update={"id": "call_2"}))),
            Message(role="tool", content=(ToolResult(tool_call_id="call_1", content="one"),)),
            Message(role="tool", content=(ToolResult(tool_call_id="call_2", content="two"),)),
            Message(role="user", content="B"),
        ],
    )
    _, assistant, *rest = body["messages"]
    assert [call["id"] for call in assistant["tool_calls"]] == ["call_1", "call_2"]
    assert assistant["tool_calls"][0]["type"] == "function"
    assert json.loads(assistant["tool_calls"][0]["function"]["arguments"]) == {"at": "здесь"}
    assert rest == [
        {"role": "tool", "tool_call_id": "call_1", "content": "one"},
        {"role": "tool", "tool_call_id": "call_2", "content": "two"},
        {"role": "user", "content": "B"},
    ]


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (ToolCall(id="x", name="f"), {}),
        (ToolCall(id="x", name="f", invalid_arguments='{"a": '), {"invalid_json": '{"a": '}),
        (ToolCall(id="x", name="f", arguments={"a": "\ud83d"}), {"a": "\ufffd"}),
    ],
)
def test_arguments_sent_back_are_always_an_object(
    call: ToolCall, arguments: dict[str, Any]
) -> None:
    """An invalid JSON string, or none, is refused (2013)."""
    history = [Message(role="user", content="A"), Message(role="assistant", content=(call,))]
    (sent_call,) = sent(OPENAI, messages=history)["messages"][1]["tool_calls"]
    assert json.loads(sent_call["function"]["arguments"]) == arguments


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, {"type": "object", "properties": {}}),
        ({"type": "object"}, {"type": "object", "properties": {}}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        (
            {"type": "object", "properties": {}, "title": "T"},
            {"type": "object", "properties": {}, "title": "T"},
        ),
    ],
)
def test_a_tool_always_has_parameters(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    """A tool without them is refused: "function parameters is empty (2013)"."""
    (tool,) = sent(OPENAI, tools=[Tool(name="f", description="d", parameters=schema)])["tools"]
    assert tool == {
        "type": "function",
        "function": {"name": "f", "description": "d", "parameters": expected},
    }


@pytest.mark.parametrize(
    ("choice", "expected", "noticed"),
    [(None, None, False), ("auto", "auto", False), ("none", "none", False), ("any", "auto", True)],
)
def test_a_forced_tool_call_is_asked_for_as_auto(
    choice: str | None, expected: str | None, noticed: bool
) -> None:
    """The server answers `any` with plain text; a notice says that it was not sent."""
    for tools in ([Tool(name="f")], []):
        fields = {"messages": "Hi", "tools": tools, "tool_choice": choice}
        encoded = OPENAI.encode(ChatRequest.model_validate(fields), stream=False)
        body = json.loads(encoded.body)
        assert body.get("tool_choice") == (expected if tools else None)
        assert bool(encoded.notices) is (noticed and bool(tools))


def test_images_go_to_models_that_see() -> None:
    """By address or inline; text and images of one turn stay in order."""
    turn = Message(
        role="user",
        content=(
            TextBlock(text="What is this?"),
            ImageBlock(url="https://example.com/a.png"),
            ImageBlock(data="aGk=", media_type="image/png"),
        ),
    )
    for model in ("MiniMax-M3", "MiniMax-M3.1-Flash-Preview", "my-own"):
        (message,) = sent(OPENAI, model=model, messages=[turn])["messages"]
        assert message["content"] == [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        ]
    with pytest.raises(ConfigError, match=r"MiniMax-M2\.5 does not take images") as refused:
        sent(OPENAI, messages=[turn])
    assert "MiniMax-M3" in refused.value.hint


@pytest.mark.parametrize(
    "fields", [{}, {"data": "aGk="}, {"url": "u", "data": "aGk=", "media_type": "image/png"}]
)
def test_an_image_has_exactly_one_source(fields: dict[str, str]) -> None:
    """An address, or data with a media type."""
    with pytest.raises(ValueError, match="url, or data and media_type"):
        ImageBlock(**fields)  # type: ignore[arg-type]


def test_the_body_is_utf_8_without_halves() -> None:
    """Text goes as it is; half a surrogate pair, which no server reads, becomes U+FFFD."""
    request = ChatRequest(messages="Grüße 🐈")  # type: ignore[arg-type]
    assert "Grüße 🐈".encode() in OPENAI.encode(request, stream=False).body
    assert (
        sent(OPENAI, tools=[Tool(name="f", description="\ud83d")])["tools"][0]["function"][
            "description"
        ]
        == "\ufffd"
    )


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"x"], ids=repr)
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    """A schema with NaN or a set is the caller's mistake, said before anything is sent."""
    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        sent(OPENAI, tools=[Tool(name="f", parameters={"default": value})])


@settings(deadline=None, max_examples=150)
@given(
    content=st.sampled_from(
        ["Hi", "  \n\nHi there", "a < b", "`</think>` is a tag", "🎉", "\ud83c", " "]
    ),
    reasoning=st.sampled_from([None, "", "Hm.", "Hm.</think>", "🎉 hm"]),
    detail=st.sampled_from([None, "", "Hm.", "Hm."]),
    beside=st.sampled_from(["reasoning_content", "reasoning"]),
)
def test_the_short_way_through_a_whole_answer_changes_nothing(
    content: str, reasoning: str | None, detail: str | None, beside: str
) -> None:
    """A plain whole answer, which is read without a stream's care, gives the events of a stream."""
    message: dict[str, Any] = {"role": "assistant", "content": content, beside: reasoning}
    if detail is not None:
        message["reasoning_details"] = [{"type": "reasoning.text", "index": 0, "text": detail}]
    head = {"id": "1", "model": "MiniMax-M2.5"}
    whole = {**head, "choices": [{"finish_reason": "stop", "message": message}]}
    frame = {**head, "choices": [{"finish_reason": "stop", "delta": message}]}
    decoder = OPENAI.decoder(INFO)
    streamed = decoder.feed(json.dumps(frame)) + decoder.feed("[DONE]")
    assert merged(OPENAI.decoder(INFO).feed_whole(whole)) == merged(streamed)
