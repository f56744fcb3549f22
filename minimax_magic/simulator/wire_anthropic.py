"""An answer as `/anthropic/v1/messages` gives it.

True to what was recorded: `input_tokens` is 0 in `message_start` with everything under cache reads,
and right in `message_delta`; a thinking block ends with its signature; blocks have their `type`
last.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from minimax_magic.simulator.answer import Answer, SentCall, pieces, signature
from minimax_magic.simulator.frame import event, quoted
from minimax_magic.simulator.turn import Turn

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
PING = event("ping", {"type": "ping"})


def _usage(answer: Answer) -> dict[str, int]:
    usage = answer.usage
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
    }


def _stop_reason(answer: Answer) -> str:
    return STOP_REASONS.get(answer.finish_reason, answer.finish_reason)


def _input(arguments: str) -> dict[str, Any]:
    try:
        value = json.loads(arguments)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def whole(turn: Turn, answer: Answer) -> dict[str, Any]:
    """The JSON of an answer that is not streamed."""
    content: list[dict[str, Any]] = []
    if answer.thinking:
        content.append(
            {
                "thinking": answer.thinking,
                "signature": signature(answer.thinking),
                "type": "thinking",
            }
        )
    if answer.text:
        content.append({"text": answer.text, "type": "text"})
    for call in answer.tool_calls:
        content.append(
            {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call.arguments)}
        )
    return {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "usage": _usage(answer),
        "stop_reason": _stop_reason(answer),
        "base_resp": {"status_code": 0, "status_msg": ""},
    }


def _start(index: int, block: dict[str, Any]) -> bytes:
    value = {"type": "content_block_start", "index": index, "content_block": block}
    return event("content_block_start", value)


def _stop(index: int) -> bytes:
    return event("content_block_stop", {"type": "content_block_stop", "index": index})


def _deltas(index: int, kind: str, field: str, text: str, chars: int) -> Iterator[bytes]:
    head = (
        "event: content_block_delta\n"
        f'data: {{"type":"content_block_delta","index":{index},'
        f'"delta":{{"type":"{kind}","{field}":'
    ).encode()
    for piece in pieces(text, chars):
        yield head + quoted(piece) + b"}}\n\n"


def _tool_deltas(index: int, call: SentCall, chars: int) -> Iterator[bytes]:
    """Fragments begin with an empty one, and there is no other for a call without arguments."""
    empty = {"type": "input_json_delta", "partial_json": ""}
    value = {"type": "content_block_delta", "index": index, "delta": empty}
    yield event("content_block_delta", value)
    if call.arguments != "{}":
        yield from _deltas(index, "input_json_delta", "partial_json", call.arguments, chars)


def frames(turn: Turn, answer: Answer) -> Iterator[bytes]:
    """The SSE frames of a streamed answer."""
    usage = answer.usage
    everything = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    message: dict[str, Any] = {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": answer.model,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 0,
            "output_tokens": 0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": everything,
        },
        "service_tier": "standard",
    }
    yield event("message_start", {"type": "message_start", "message": message})
    yield PING
    index = 0
    chars = answer.chunk_chars
    if answer.thinking:
        yield _start(index, {"type": "thinking", "thinking": ""})
        yield from _deltas(index, "thinking_delta", "thinking", answer.thinking, chars)
        # in one piece
        yield from _deltas(index, "signature_delta", "signature", signature(answer.thinking), 64)
        yield _stop(index)
        index += 1
    if answer.text:
        yield _start(index, {"type": "text", "text": ""})
        yield from _deltas(index, "text_delta", "text", answer.text, chars)
        yield _stop(index)
        index += 1
    for call in answer.tool_calls:
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        yield _start(index, block)
        yield from _tool_deltas(index, call, chars)
        yield _stop(index)
        index += 1
    delta = {"stop_reason": _stop_reason(answer)}
    end = {"type": "message_delta", "delta": delta, "usage": _usage(answer)}
    yield event("message_delta", end)
    yield event("message_stop", {"type": "message_stop"})


def error_frame(body: dict[str, Any]) -> bytes:
    """An error in the middle of a stream."""
    return event("error", body)
