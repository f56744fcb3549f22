"""The Anthropic Messages wire: `/anthropic/v1/messages`.

Facts that shape the code (facts page, sections 3, 5, 11): frames are told apart by their JSON
`type`, since the `event:` line may be missing; `message_start` says 0 input tokens and the true usage
comes in `message_delta`, every field of which replaces the one before; `stop_sequences` and forced
tool choices are ignored by the server; some deployments end with `data: [DONE]`; blocks carry their
keys in any order.
"""

from __future__ import annotations

import json
from typing import Any

from minimax_magic.errors import MinimaxError
from minimax_magic.events import (
    Finished,
    Started,
    StreamEvent,
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
    ApiFlavor,
    Block,
    ChatRequest,
    FinishReason,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
)
from minimax_magic.models import default_output_tokens, model_info
from minimax_magic.text import SurrogateJoiner, TextBuffer, whole
from minimax_magic.tokens import TokenUsage
from minimax_magic.wire.codec import (
    MALFORMED,
    AnswerInfo,
    Encoded,
    ErrorContext,
    Turn,
    broken_frame,
    check_images,
    dump,
    forced_tool_notice,
    join_texts,
    make_call,
    notices,
    sent_arguments,
    split_system,
    thinking_field,
    token_count,
    tool_parameters,
    turns,
    word,
)
from minimax_magic.wire.failures import error_from_words, error_in

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class AnthropicMessagesCodec:
    """Speaks Anthropic's Messages as MiniMax does."""

    flavor = ApiFlavor.ANTHROPIC_MESSAGES

    def encode(self, request: ChatRequest, *, stream: bool) -> Encoded:
        check_images(request)
        info = model_info(request.model)
        body: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.max_tokens or default_output_tokens(request.model),
            "messages": [
                _encode_turn(turn) for turn in _alternating(turns(request.messages, _sendable))
            ],
        }
        system = split_system(request)
        if system:
            body["system"] = system
        if stream:
            body["stream"] = True
        thinking, thinking_notice = thinking_field(request, info)
        if thinking:
            body["thinking"] = thinking
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.service_tier is not None:
            body["service_tier"] = request.service_tier
        if request.tools:
            body["tools"] = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": tool_parameters(tool.parameters),
                }
                for tool in request.tools
            ]
            if request.tool_choice is not None:
                kind = "none" if request.tool_choice == "none" else "auto"
                body["tool_choice"] = {"type": kind}
        return Encoded(dump(body), notices(thinking_notice, forced_tool_notice(request)))

    def decoder(self, info: AnswerInfo) -> AnthropicMessagesDecoder:
        return AnthropicMessagesDecoder(info)


def _alternating(history: list[Turn]) -> list[Turn]:
    """Tool results become part of the user turn: all of one turn in one message, results first."""
    merged: list[Turn] = []
    for turn in history:
        role = "assistant" if turn.role == "assistant" else "user"
        if merged and merged[-1].role == role:
            merged[-1] = Turn(role, join_texts(merged[-1].blocks, turn.blocks))
        else:
            merged.append(Turn(role, turn.blocks))
    return merged


def _sendable(block: Block) -> bool:
    match block:
        case TextBlock(text=text):
            return bool(text)
        case ThinkingBlock(signature=signature):
            # without this wire's signature the server cannot take it for its own
            return signature is not None
        case _:
            return True


def _encode_turn(turn: Turn) -> dict[str, Any]:
    if len(turn.blocks) == 1 and isinstance(only := turn.blocks[0], TextBlock):
        return {"role": turn.role, "content": only.text}
    blocks = sorted(turn.blocks, key=lambda block: not isinstance(block, ToolResult))
    return {"role": turn.role, "content": [_encode_block(block) for block in blocks]}


def _encode_block(block: Block) -> dict[str, Any]:
    match block:
        case TextBlock(text=text):
            return {"type": "text", "text": text}
        case ThinkingBlock(text=text, signature=signature):
            return {"type": "thinking", "thinking": text, "signature": signature}
        case ImageBlock(url=url, data=data, media_type=media_type):
            if url is not None:
                return {"type": "image", "source": {"type": "url", "url": url}}
            source = {"type": "base64", "media_type": media_type, "data": data}
            return {"type": "image", "source": source}
        case ToolCall(id=call_id, name=name):
            arguments = sent_arguments(block)
            return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
        case ToolResult(tool_call_id=call_id, content=text, is_error=is_error):
            result = {"type": "tool_result", "tool_use_id": call_id, "content": text}
            return {**result, "is_error": True} if is_error else result


# --------------------------------------------------------------------------------- decoding


class _OpenBlock:
    """A content block between its start and its stop."""

    def __init__(self, kind: str, index: int, call_id: str = "", name: str = "") -> None:
        self.kind = kind
        self.index = index
        self.id = call_id
        self.name = name
        self.joiner = SurrogateJoiner()
        self.arguments = TextBuffer()
        self.given_arguments = ""  # a whole answer, and some gateways, put them into the start
        self.signature = ""


class AnthropicMessagesDecoder:
    """Decodes one answer; see `wire.codec.Decoder`."""

    def __init__(self, info: AnswerInfo) -> None:
        self.finished = False
        self._over = False
        self._begun = False
        self._info = info
        self._blocks: dict[int, _OpenBlock] = {}
        self._usage: dict[str, Any] = {}
        self._finish_reason: FinishReason | None = None
        self._called = False

    def feed(self, data: str) -> list[StreamEvent]:
        if self._over:
            return []
        if data[:1] != "{" and data.strip() in ("[DONE]", ""):
            return self._finish() if data.strip() else []
        try:
            frame = json.loads(data)
            if frame.get("type") == "content_block_delta":  # nearly all are: looked at first
                return self._delta(frame)
            return self._frame(frame)
        except MALFORMED:
            return self._broken(data)

    def feed_whole(self, payload: dict[str, Any]) -> list[StreamEvent]:
        words = error_in(payload)
        if words is not None:
            return self._fail(error_from_words(words, **self._context()))
        try:
            events = [self._started(payload)]
            for index, block in enumerate(payload["content"]):
                events += self._open(index, block)
                events += self._close_block(index)
            events += self._read_usage(payload)
            self._finish_reason = _FINISH.get(payload.get("stop_reason") or "end_turn", "stop")
        except MALFORMED:
            return self._broken(json.dumps(payload))
        return [*events, *self._finish()]

    def close(self) -> list[StreamEvent]:
        if self._over:
            return []
        # a stop reason came, only the closing message_stop did not: that is an answer
        return self._finish() if self._finish_reason is not None else self._flush()

    # pieces

    def _frame(self, frame: dict[str, Any]) -> list[StreamEvent]:
        words = error_in(frame)
        if words is not None:
            return self._fail(error_from_words(words, **self._context()))
        match frame.get("type"):
            case "content_block_start":
                index = frame.get("index") or 0
                # the one before at this place was never closed
                before = self._close_block(index)
                return before + self._open(index, frame.get("content_block") or {})
            case "content_block_stop":
                return self._close_block(frame.get("index") or 0)
            case "message_start":
                message = frame.get("message") or {}
                return [self._started(message), *self._read_usage(message)]
            case "message_delta":
                reason = (frame.get("delta") or {}).get("stop_reason")
                if reason:
                    self._finish_reason = _FINISH.get(reason, "stop")
                return self._read_usage(frame)
            case "message_stop":
                return self._finish()
            case _:
                return []  # ping, and whatever the API grows

    def _started(self, message: dict[str, Any]) -> StreamEvent:
        self._begun = True
        model = word(message.get("model")) or None
        request_id = self._info.request_id or word(message.get("id")) or None
        return Started(model, request_id, self._info.simulated)

    def _delta(self, frame: dict[str, Any]) -> list[StreamEvent]:
        delta = frame["delta"]
        kind = delta.get("type")
        block = self._blocks.get(frame.get("index", 0))
        if block is None:
            block = self._open_for(kind, frame.get("index") or 0)
        if kind == "text_delta":
            text = block.joiner.feed(delta.get("text") or "")
            return [TextDelta(text)] if text else []
        if kind == "thinking_delta":
            text = block.joiner.feed(delta.get("thinking") or "")
            return [ThinkingDelta(text)] if text else []
        if kind == "input_json_delta" and block.kind == "tool_use":  # not a tool of the server
            text = block.joiner.feed(delta.get("partial_json") or "")
            block.arguments.append(text)
            return [ToolCallDelta(block.index, text)] if text else []
        if kind == "signature_delta":
            block.signature += delta.get("signature") or ""
        return []

    def _open_for(self, kind: str, index: int) -> _OpenBlock:
        """The block of a delta whose start is missing. A call cannot be guessed: it has no name."""
        if index not in self._blocks:
            if kind == "input_json_delta":
                raise ValueError("arguments of no call")
            thinks = kind in ("thinking_delta", "signature_delta")
            self._open(index, {"type": "thinking" if thinks else "text"})
        return self._blocks[index]

    def _open(self, index: int, content: dict[str, Any]) -> list[StreamEvent]:
        if not isinstance(index, int):
            raise TypeError("the index of a block is no number")
        kind = content.get("type") or "text"
        block = _OpenBlock(kind, index, word(content.get("id")), word(content.get("name")))
        if kind == "tool_use":
            if given := content.get("input"):
                block.given_arguments = given if isinstance(given, str) else json.dumps(given)
            events: list[StreamEvent] = [ToolCallStarted(index, block.id, block.name)]
            self._called = True
        elif kind == "thinking":
            block.signature = word(content.get("signature"))
            text = block.joiner.feed(content.get("thinking") or "")
            events = [ThinkingDelta(text)] if text else []
        elif kind == "text":
            text = block.joiner.feed(content.get("text") or "")
            events = [TextDelta(text)] if text else []
        else:
            events = []  # a kind of block the API has grown since
        self._blocks[index] = block
        self._begun = True
        return events

    def _close_block(self, index: int) -> list[StreamEvent]:
        block = self._blocks.pop(index, None)
        if block is None:
            return []
        rest = block.joiner.flush()
        if block.kind == "tool_use":
            block.arguments.append(rest)
            text = str(block.arguments) or block.given_arguments
            return [ToolCallDone(index, make_call(block.id, block.name, text))]
        if block.kind == "thinking":
            events: list[StreamEvent] = [ThinkingDelta(rest)] if rest else []
            return [*events, ThinkingDone(signature=whole(block.signature))]
        return [TextDelta(rest)] if rest and block.kind == "text" else []

    def _read_usage(self, holder: dict[str, Any]) -> list[StreamEvent]:
        usage = holder.get("usage")
        if not isinstance(usage, dict):
            return []
        if token_count(usage, "input_tokens"):
            self._usage = {}  # it speaks of the whole request: what came before is not part of it
        self._usage |= {name: value for name, value in usage.items() if value is not None}
        # message_start says 0 of everything but a cache figure that is wrong: nothing to report yet
        if not token_count(self._usage, "input_tokens") + token_count(self._usage, "output_tokens"):
            return []
        return [UsageUpdate(decode_usage(self._usage))]

    # the end

    def _flush(self) -> list[StreamEvent]:
        """Text and thinking that were still open; a tool call cut off in the middle is dropped."""
        self._over = True
        events: list[StreamEvent] = []
        for index in sorted(self._blocks):
            if self._blocks[index].kind != "tool_use":
                events += self._close_block(index)
        return events

    def _finish(self) -> list[StreamEvent]:
        if not self._begun:
            return self._flush()  # an end without a beginning is no answer
        events: list[StreamEvent] = []
        for index in sorted(self._blocks):
            events += self._close_block(index)
        self._over = self.finished = True
        reason = self._finish_reason or "stop"
        if self._called and reason == "stop":
            reason = "tool_calls"
        return [*events, Finished(reason)]

    def _fail(self, error: MinimaxError) -> list[StreamEvent]:
        return [*self._flush(), StreamFailed(error)]

    def _broken(self, data: str) -> list[StreamEvent]:
        return self._fail(broken_frame(data, **self._context()))

    def _context(self) -> ErrorContext:
        info = self._info
        return {"url": info.url, "request_id": info.request_id, "secrets": info.secrets}


def decode_usage(usage: dict[str, Any]) -> TokenUsage:
    """Disjoint buckets, as this wire counts them itself."""
    return TokenUsage(
        input_tokens=token_count(usage, "input_tokens"),
        output_tokens=token_count(usage, "output_tokens"),
        cache_read_tokens=token_count(usage, "cache_read_input_tokens"),
        cache_write_tokens=token_count(usage, "cache_creation_input_tokens"),
    )
