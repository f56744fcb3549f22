"""An answer as `/v1/chat/completions` and `/v1/text/chatcompletion_v2` give it.

True to what was recorded: `usage` is null in every chunk, the last content comes in the chunk that
has `finish_reason`, `<think>` tags are part of the content and are cut like it, the arguments of
parallel calls come interleaved, cached tokens are part of `prompt_tokens`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minimax_magic.simulator.answer import Answer, pieces
from minimax_magic.simulator.frame import DONE, data, encode, quoted
from minimax_magic.simulator.turn import Turn

SENSITIVE = {
    "input_sensitive": False,
    "output_sensitive": False,
    "input_sensitive_type": 0,
    "output_sensitive_type": 0,
    "output_sensitive_int": 0,
}
AUTHOR = {"role": "assistant", "name": "MiniMax AI", "audio_content": ""}


def _usage(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    value: dict[str, Any] = {
        "total_tokens": prompt + usage.output_tokens,
        "total_characters": 0,
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
    }
    if usage.reasoning_tokens:
        value["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return value


def _content(turn: Turn, answer: Answer) -> str:
    if answer.thinking and not turn.split_reasoning:
        return f"<think>\n{answer.thinking}\n</think>\n\n{answer.text}"
    return answer.text


def _details(text: str) -> list[dict[str, Any]]:
    return [
        {
            "type": "reasoning.text",
            "id": "reasoning-text-1",
            "format": "MiniMax-response-v1",
            "index": 0,
            "text": text,
        }
    ]


def _sensitive(answer: Answer) -> dict[str, Any]:
    if answer.finish_reason != "content_filter":
        return SENSITIVE
    return SENSITIVE | {"output_sensitive": True, "output_sensitive_type": 1}


def whole(turn: Turn, answer: Answer) -> dict[str, Any]:
    """The JSON of an answer that is not streamed."""
    message: dict[str, Any] = {"content": _content(turn, answer), **AUTHOR}
    if answer.thinking and turn.split_reasoning:
        message["reasoning_content"] = answer.thinking
        if turn.reasoning_details:
            message["reasoning_details"] = _details(answer.thinking)
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
                "index": index,
            }
            for index, call in enumerate(answer.tool_calls)
        ]
    return {
        "id": answer.id,
        "choices": [{"finish_reason": answer.finish_reason, "index": 0, "message": message}],
        "created": answer.created,
        "model": answer.model,
        "object": "chat.completion",
        "usage": _usage(answer),
        **_sensitive(answer),
        "base_resp": {"status_code": 0, "status_msg": ""},
    }


def _deltas(turn: Turn, answer: Answer) -> Iterator[bytes]:
    """Every `delta` as JSON, without its closing brace: the author's fields are put behind it."""
    chars = answer.chunk_chars
    if answer.thinking and turn.split_reasoning:
        for piece in pieces(answer.thinking, chars):
            delta = b'{"content":"","reasoning_content":' + quoted(piece)
            if turn.reasoning_details:
                delta += b',"reasoning_details":' + encode(_details(piece))
            yield delta
    for piece in pieces(_content(turn, answer), chars):
        yield b'{"content":' + quoted(piece)
    for index, call in enumerate(answer.tool_calls):
        function = {"name": call.name, "arguments": ""}
        first = {"id": call.id, "type": "function", "function": function, "index": index}
        yield b'{"content":"","tool_calls":' + encode([first])
    # one fragment of each call in turn, until all have ended
    waiting = [
        (index, pieces(call.arguments, chars)) for index, call in enumerate(answer.tool_calls)
    ]
    while waiting:
        still = []
        for index, parts in waiting:
            part = next(parts, None)
            if part is None:
                continue
            still.append((index, parts))
            fragment = [{"function": {"arguments": part}, "index": index}]
            yield b'{"content":"","tool_calls":' + encode(fragment)
        waiting = still


def frames(turn: Turn, answer: Answer) -> Iterator[bytes]:
    """The SSE frames of a streamed answer."""
    head = b'data: {"id":' + quoted(answer.id) + b',"choices":[{'
    author = b"," + encode(AUTHOR)[1:]
    common = {
        "created": answer.created,
        "model": answer.model,
        "object": "chat.completion.chunk",
        "usage": None,
        **SENSITIVE,
    }
    tail = author + b"}]," + encode(common)[1:] + b"\n\n"
    opening = head + b'"index":0,"delta":'
    # one delta is held back, since the last one goes out together with finish_reason
    held: bytes | None = None
    for delta in _deltas(turn, answer):
        if held is not None:
            yield opening + held + tail
        held = delta
    finish = head + b'"finish_reason":' + quoted(answer.finish_reason) + b',"index":0,"delta":'
    last = common | _sensitive(answer) | {"base_resp": {"status_code": 0, "status_msg": ""}}
    held = held if held is not None else b'{"content":""'
    yield finish + held + author + b"}]," + encode(last)[1:] + b"\n\n"
    if turn.include_usage:
        yield data({"id": answer.id, "choices": [], **common, "usage": _usage(answer)})
    yield DONE


def error_frame(body: dict[str, Any]) -> bytes:
    """An error in the middle of a stream: an `error` without choices, or a `base_resp`."""
    return data({key: value for key, value in body.items() if key != "type"})
