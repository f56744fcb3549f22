"""Helpers of the wire tests: bytes in any cut to events, and events in a form that can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, AnyStr

from hypothesis import strategies as st

from minimax_magic.events import (
    ChatReply,
    ReplyBuilder,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from minimax_magic.messages import ChatRequest
from minimax_magic.wire.anthropic_messages import AnthropicMessagesCodec
from minimax_magic.wire.codec import AnswerInfo, Codec
from minimax_magic.wire.openai_compat import OpenAICompatCodec
from minimax_magic.wire.sse import SSEParser

OPENAI = OpenAICompatCodec()
ANTHROPIC = AnthropicMessagesCodec()
INFO = AnswerInfo(url="https://api.minimax.io/v1/chat/completions", secrets=("sk-secret-key-1",))


def decode(codec: Codec, chunks: Iterable[bytes]) -> list[StreamEvent]:
    """The merged events of a stream that arrives in these pieces."""
    parser, decoder = SSEParser(), codec.decoder(INFO)
    data = [text for chunk in chunks for text in parser.feed(chunk)]
    events = [event for text in [*data, *parser.close()] for event in decoder.feed(text)]
    return merged(events + decoder.close())


def frames(*payloads: dict[str, Any] | str) -> bytes:
    """An event stream with these payloads, one event each."""
    texts = [p if isinstance(p, str) else json.dumps(p) for p in payloads]
    return "".join(f"data: {text}\n\n" for text in texts).encode()


def decode_frames(codec: Codec, *payloads: dict[str, Any] | str) -> list[StreamEvent]:
    return decode(codec, [frames(*payloads)])


def decode_whole(codec: Codec, payload: Any) -> list[StreamEvent]:
    return merged(codec.decoder(INFO).feed_whole(payload))


def merged(events: Iterable[StreamEvent]) -> list[StreamEvent]:
    """The events with neighbouring pieces of the same text joined."""
    result: list[StreamEvent] = []
    for event in events:
        last = result[-1] if result else None
        match last, event:
            case TextDelta(before), TextDelta(text):
                result[-1] = TextDelta(before + text)
            case ThinkingDelta(before), ThinkingDelta(text):
                result[-1] = ThinkingDelta(before + text)
            case ToolCallDelta(index, before), ToolCallDelta(same, text) if index == same:
                result[-1] = ToolCallDelta(index, before + text)
            case _:
                result.append(event)
    return result


def fold(events: Iterable[StreamEvent]) -> ChatReply:
    builder = ReplyBuilder("asked-for")
    for event in events:
        builder.apply(event)
    return builder.build()


def shown(events: Iterable[StreamEvent]) -> str:
    """One line per event, as the files in `tests/data` hold them."""
    return "".join(f"{event!r}\n" for event in events)


def sent(codec: Codec, *, stream: bool = False, **fields: Any) -> dict[str, Any]:
    """The JSON body that a request with these fields becomes."""
    request = ChatRequest.model_validate({"messages": "Hi", **fields})
    body: dict[str, Any] = json.loads(codec.encode(request, stream=stream).body)
    return body


def oa(delta: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of the OpenAI wire as MiniMax writes it."""
    choice: dict[str, Any] = {"index": 0, "delta": delta or {}}
    if reason := more.pop("finish_reason", None):
        choice = {"finish_reason": reason, **choice}
    return {
        "id": "0637a1b2c3d4e5f60718293a4b5c6d7e",
        "choices": [choice],
        "created": 1776840041,
        "model": "MiniMax-M2.7",
        "object": "chat.completion.chunk",
        "usage": None,
        "input_sensitive": False,
        "output_sensitive": False,
        **more,
    }


def content(text: str, **more: Any) -> dict[str, Any]:
    extra = {"role": "assistant", "name": "MiniMax AI", "audio_content": ""}
    return oa({"content": text, **extra}, **more)


def delta(index: int, **fields: Any) -> dict[str, Any]:
    """A `content_block_delta` of the Anthropic wire."""
    return {"type": "content_block_delta", "index": index, "delta": fields}


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


MESSAGE_START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "066a3766d21ce23c8afc5e85a427036c",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "MiniMax-M3",
        "stop_reason": None,
        "usage": {
            "input_tokens": 0,
            "output_tokens": 0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 1366,
        },
    },
}
MESSAGE_DELTA: dict[str, Any] = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn"},
    "usage": {
        "input_tokens": 1252,
        "output_tokens": 213,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 114,
    },
}
MESSAGE_STOP: dict[str, Any] = {"type": "message_stop"}


def cut(text: AnyStr, places: Iterable[int]) -> list[AnyStr]:
    """The text in pieces, cut at these places (taken modulo its length)."""
    at = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[a:b] for a, b in pairwise(at)]


def cut_characters(text: str, places: Iterable[int]) -> list[str]:
    """As `cut`, but between UTF-16 units, as servers do that deal out half an emoji."""
    utf16 = text.encode("utf-16-le")
    at = sorted({2 * (place % (len(utf16) // 2 + 1)) for place in places} | {0, len(utf16)})
    return [utf16[a:b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(at)]


def any_json(keys: str) -> st.SearchStrategy[Any]:
    """JSON of every shape whose objects have these keys, given with blanks between them."""
    leaf = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3)
    names = st.sampled_from(keys.split())
    return st.recursive(
        leaf | st.sampled_from(["\ud83d", "1002", 1004, 529]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
        max_leaves=10,
    )
