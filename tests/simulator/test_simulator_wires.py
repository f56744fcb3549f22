"""The shape of answers on both wires, as recorded from MiniMax."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from minimax_magic.simulator import Reply, Simulator, ToolCall, Usage

ANTHROPIC, OPENAI, NATIVE = (
    "/anthropic/v1/messages",
    "/v1/chat/completions",
    "/v1/text/chatcompletion_v2",
)
HEX32 = re.compile(r"[0-9a-f]{32}")
CALL_ID = re.compile(r"call_function_[a-z0-9]{12}_(\d)")
WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def _contents(frames: list[Any], field: str = "content") -> str:
    deltas = [f["choices"][0]["delta"] for f in frames if f != "[DONE]" and f["choices"]]
    return "".join(delta.get(field) or "" for delta in deltas)


def test_anthropic_whole_answer(sim: Simulator, http_client: Any) -> None:
    """Thinking with its signature, text, tool call; ids in MiniMax's shape."""
    call = ToolCall("get_weather", {"location": "Köln"})
    sim.script(Reply("Looking.", thinking="Hm", tool_calls=(call,), usage=Usage(14, 91, 404, 7)))
    answer = http_client.chat("Hi", ANTHROPIC).json
    thinking, text, use = answer["content"]
    assert HEX32.fullmatch(answer["id"])
    assert (thinking["type"], thinking["thinking"]) == ("thinking", "Hm")
    assert len(thinking["signature"]) == 64
    assert text == {"type": "text", "text": "Looking."}
    assert CALL_ID.fullmatch(use["id"])
    assert (use["name"], use["input"]) == ("get_weather", {"location": "Köln"})
    assert answer["stop_reason"] == "tool_use"
    assert answer["usage"] == {
        "input_tokens": 14,
        "output_tokens": 91,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 404,
    }


def test_anthropic_stream_in_its_order(sim: Simulator, http_client: Any) -> None:
    """Start, ping, blocks with deltas, the usage at the end; every frame has its event name."""
    calls = (ToolCall("f", {"a": "long enough to be cut"}), ToolCall("g", {}))
    sim.script(Reply("Some text here.", thinking="A thought.", tool_calls=calls))
    got = http_client.chat("Hi", ANTHROPIC, stream=True)
    frames = got.frames
    names = [line[7:] for line in got.body.decode().split("\n") if line.startswith("event: ")]
    assert names == [frame["type"] for frame in frames]
    assert names[:2] == ["message_start", "ping"]
    assert names[-2:] == ["message_delta", "message_stop"]
    starts = [f["content_block"]["type"] for f in frames if f["type"] == "content_block_start"]
    assert starts == ["thinking", "text", "tool_use", "tool_use"]
    joined: dict[tuple[int, str], str] = {}
    for frame in frames:
        if frame["type"] == "content_block_delta":
            kind = frame["delta"]["type"]
            value = next(v for k, v in frame["delta"].items() if k != "type")
            key = (frame["index"], kind)
            joined[key] = joined.get(key, "") + value
    assert joined[0, "thinking_delta"] == "A thought."
    assert len(joined[0, "signature_delta"]) == 64
    assert joined[1, "text_delta"] == "Some text here."
    assert json.loads(joined[2, "input_json_delta"]) == {"a": "long enough to be cut"}
    assert joined[3, "input_json_delta"] == ""
    assert frames[-2]["delta"] == {"stop_reason": "tool_use"}


def test_anthropic_start_has_no_input_tokens(sim: Simulator, http_client: Any) -> None:
    """`message_start` says 0 and puts all under cache reads; `message_delta` has the truth."""
    sim.script(Reply("x", usage=Usage(1252, 213, 114, 0)))
    frames = http_client.chat("Hi", ANTHROPIC, stream=True).frames
    start = frames[0]["message"]["usage"]
    assert (start["input_tokens"], start["cache_read_input_tokens"]) == (0, 1366)
    end = frames[-2]["usage"]
    assert (end["input_tokens"], end["cache_read_input_tokens"], end["output_tokens"]) == (
        1252,
        114,
        213,
    )


def test_openai_whole_answer(sim: Simulator, http_client: Any) -> None:
    """Thinking inside the content; cached tokens inside the prompt's; MiniMax's own fields."""
    sim.script(Reply("Hello", thinking="Hm", usage=Usage(304, 55, 114, 0, 29)))
    answer = http_client.chat("Hi", OPENAI).json
    assert HEX32.fullmatch(answer["id"])
    assert answer["object"] == "chat.completion"
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"] == {
        "content": "<think>\nHm\n</think>\n\nHello",
        "role": "assistant",
        "name": "MiniMax AI",
        "audio_content": "",
    }
    assert answer["usage"] == {
        "total_tokens": 473,
        "total_characters": 0,
        "prompt_tokens": 418,
        "completion_tokens": 55,
        "prompt_tokens_details": {"cached_tokens": 114},
        "completion_tokens_details": {"reasoning_tokens": 29},
    }
    assert answer["base_resp"] == {"status_code": 0, "status_msg": ""}
    assert answer["output_sensitive"] is False


def test_openai_stream(sim: Simulator, http_client: Any) -> None:
    """`usage` is null in each chunk; the last content comes with finish_reason; then `[DONE]`."""
    sim.script(Reply("Hello, world", thinking="Hm", chunk_chars=5))
    *chunks, done = http_client.chat("Hi", OPENAI, stream=True).frames
    assert done == "[DONE]"
    assert all(chunk["usage"] is None for chunk in chunks)
    assert _contents(chunks) == "<think>\nHm\n</think>\n\nHello, world"
    finished = [chunk["choices"][0].get("finish_reason") for chunk in chunks]
    assert finished == [None] * (len(chunks) - 1) + ["stop"]
    assert chunks[-1]["choices"][0]["delta"]["content"] == "rld"


def test_openai_usage_frame_only_when_asked(sim: Simulator, http_client: Any) -> None:
    """`include_usage` adds one frame without choices before `[DONE]`."""
    sim.script(Reply("x", usage=Usage(1, 2)))
    *_, last, _done = http_client.chat("Hi", OPENAI, **WITH_USAGE).frames
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 3


def test_openai_think_tags_are_cut_like_text(sim: Simulator, http_client: Any) -> None:
    """`</think>` may come in two chunks."""
    sim.script(Reply("Hello", thinking="Hm", chunk_chars=4))
    chunks = http_client.chat("Hi", OPENAI, stream=True).frames[:-1]
    contents = [chunk["choices"][0]["delta"]["content"] for chunk in chunks]
    assert not any("</think>" in content for content in contents)
    assert "</think>" in "".join(contents)


@pytest.mark.parametrize("stream", [True, False])
def test_reasoning_split(sim: Simulator, http_client: Any, stream: bool) -> None:
    """Thinking moves to reasoning_content and reasoning_details, and out of the content."""
    sim.script(Reply("Hello", thinking="Some thoughts here"))
    got = http_client.chat("Hi", OPENAI, stream=stream, reasoning_split=True)
    if stream:
        assert _contents(got.frames, "reasoning_content") == "Some thoughts here"
        assert _contents(got.frames) == "Hello"
        detail = got.frames[0]["choices"][0]["delta"]["reasoning_details"][0]
    else:
        message = got.json["choices"][0]["message"]
        assert (message["content"], message["reasoning_content"]) == ("Hello", "Some thoughts here")
        detail = message["reasoning_details"][0]
    assert detail["type"] == "reasoning.text"
    assert detail["format"] == "MiniMax-response-v1"


def test_the_native_endpoint_has_no_think_tags(sim: Simulator, http_client: Any) -> None:
    """It answers in the same shape with reasoning_content alone."""
    sim.script(Reply("Hello", thinking="Hm"))
    message = http_client.chat("Hi", NATIVE).json["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Hello", "Hm")
    assert "reasoning_details" not in message


@pytest.mark.parametrize(
    ("model", "path", "thinking", "thinks"),
    [
        ("MiniMax-M2.5", ANTHROPIC, {"type": "disabled"}, True),
        ("MiniMax-M2.7", OPENAI, {"type": "disabled"}, True),
        ("MiniMax-M3", ANTHROPIC, None, False),
        ("MiniMax-M3", ANTHROPIC, {"type": "adaptive"}, True),
        ("MiniMax-M3", OPENAI, None, True),
        ("MiniMax-M3", OPENAI, {"type": "disabled"}, False),
        ("some-other-model", OPENAI, None, False),
    ],
)
def test_who_thinks_when(
    http_client: Any, model: str, path: str, thinking: Any, thinks: bool
) -> None:
    """M2.x always; M3 by the opposite default on each wire."""
    more = {"thinking": thinking} if thinking else {}
    answer = http_client.chat("Hi", path, **more | {"model": model}).json
    if path == ANTHROPIC:
        assert (answer["content"][0]["type"] == "thinking") is thinks
    else:
        assert answer["choices"][0]["message"]["content"].startswith("<think>") is thinks


def test_parallel_arguments_come_interleaved(sim: Simulator, http_client: Any) -> None:
    """Fragments of several calls alternate and are told apart by their index."""
    calls = (ToolCall("f", {"a": 1, "b": 2}), ToolCall("g", {"text": "a longer argument"}))
    sim.script(Reply(thinking="", tool_calls=calls, chunk_chars=5))
    chunks = http_client.chat("Hi", OPENAI, stream=True).frames[:-1]
    parts = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in chunks]
    assert [part["index"] for part in parts[:6]] == [0, 1, 0, 1, 0, 1]
    assert [part.get("function", {}).get("name") for part in parts[:3]] == ["f", "g", None]
    assert CALL_ID.fullmatch(parts[0]["id"])
    arguments = {0: "", 1: ""}
    for part in parts:
        arguments[part["index"]] += part["function"]["arguments"]
    assert json.loads(arguments[0]) == {"a": 1, "b": 2}
    assert json.loads(arguments[1]) == {"text": "a longer argument"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_arguments_may_be_broken_on_purpose(sim: Simulator, http_client: Any) -> None:
    """Text is sent as it is, so that a client can be shown bad JSON."""
    sim.script(Reply(tool_calls=(ToolCall("f", '{"a": ', id="call_7"),)))
    call = http_client.chat("Hi", OPENAI).json["choices"][0]["message"]["tool_calls"][0]
    assert (call["id"], call["function"]["arguments"]) == ("call_7", '{"a": ')


@pytest.mark.parametrize("path", [ANTHROPIC, OPENAI, NATIVE])
def test_half_a_surrogate_pair_can_be_sent(sim: Simulator, http_client: Any, path: str) -> None:
    """An emoji cut in its middle goes out as two escapes, as some servers do."""
    sim.script(Reply("\ud83d\ude00", thinking="", chunk_chars=1))
    got = http_client.chat("Hi", path, stream=True)
    assert b"\\ud83d" in got.body
    assert b"\\ude00" in got.body


def test_content_filter_is_told_by_openai_fields(sim: Simulator, http_client: Any) -> None:
    """Sensitive output comes with the flag set."""
    sim.script(Reply(thinking="", finish_reason="content_filter"))
    answer = http_client.chat("Hi", OPENAI).json
    assert answer["choices"][0]["finish_reason"] == "content_filter"
    assert answer["output_sensitive"] is True


@pytest.mark.parametrize("path", [ANTHROPIC, OPENAI, NATIVE])
def test_streamed_and_whole_count_the_same(http_client: Any, path: str) -> None:
    """One rule for tokens, four characters each, whichever way an answer travels."""

    def usage(**more: Any) -> Any:
        got = http_client.chat("[[long 3000]]", path, **more)
        if not more:
            return got.json["usage"]
        return next(f["usage"] for f in reversed(got.frames) if f != "[DONE]" and f.get("usage"))

    assert usage() == usage(**WITH_USAGE)


def test_a_repeated_beginning_is_read_from_the_cache(http_client: Any) -> None:
    """All but the last message of a request that an earlier one began with counts as read."""
    first = {"role": "user", "content": "a" * 94}  # with its role 100 characters, 25 tokens
    then = [{"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    fresh = http_client.post(OPENAI, {"model": "MiniMax-M3", "messages": [first]})
    assert fresh.json["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    again = http_client.post(OPENAI, {"model": "MiniMax-M3", "messages": [first, *then]})
    usage = again.json["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 25
    assert usage["prompt_tokens"] == 25 + 3 + 2
    other = http_client.post(OPENAI, {"model": "MiniMax-M2", "messages": [first, *then]})
    assert other.json["usage"]["prompt_tokens_details"]["cached_tokens"] == 0


def test_marked_blocks_are_written_to_the_cache(sim: Simulator, http_client: Any) -> None:
    """`cache_control` counts once as written, then as read; the marker may move."""
    system = [{"type": "text", "text": "s" * 92, "cache_control": {"type": "ephemeral"}}]
    first = http_client.chat("Hi", ANTHROPIC, system=system).json["usage"]
    assert (first["cache_creation_input_tokens"], first["cache_read_input_tokens"]) == (25, 0)
    second = http_client.chat("Hi", ANTHROPIC, system="s" * 92).json["usage"]
    assert (second["cache_creation_input_tokens"], second["cache_read_input_tokens"]) == (0, 25)
    assert sim.served.cache_write_tokens == sim.served.cache_read_tokens == 25


@pytest.mark.parametrize("path", [ANTHROPIC, OPENAI])
def test_max_tokens_counts_thinking(http_client: Any, path: str) -> None:
    """Too few tokens leave no text: cut for length with an empty answer."""
    answer = http_client.chat("Hi", path, max_tokens=5).json
    if path == ANTHROPIC:
        assert answer["stop_reason"] == "max_tokens"
        assert [block["type"] for block in answer["content"]] == ["thinking"]
        assert answer["usage"]["output_tokens"] == 5
    else:
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["choices"][0]["message"]["content"].endswith("</think>\n\n")


def test_stop_strings_are_ignored(http_client: Any) -> None:
    """As the real server does: whoever wants them cuts by himself."""
    answer = http_client.chat("[[echo]] one STOP two", OPENAI, stop=["STOP"]).json
    assert answer["choices"][0]["message"]["content"].endswith("one STOP two")


def test_whole_answer_to_a_stream_request(sim: Simulator, http_client: Any) -> None:
    """A server may answer with JSON although SSE was asked for."""
    sim.script(Reply("Hello", stream=False))
    got = http_client.chat("Hi", OPENAI, stream=True)
    assert got.headers["Content-Type"] == "application/json"
    assert got.json["choices"][0]["message"]["content"].endswith("Hello")
