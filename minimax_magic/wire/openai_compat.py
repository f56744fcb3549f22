"""The OpenAI-compatible wire: `/v1/text/chatcompletion_v2` and `/v1/chat/completions`.

Facts that shape the code (facts page, sections 4, 5, 11): `usage` is null in every chunk but one,
which has empty `choices`; the last text comes together with `finish_reason`; thinking stands inside
the content between `<think>` tags, or in `reasoning_content` and `reasoning_details`, or in both;
deltas may be snapshots; arguments of parallel calls arrive interleaved; the last frame of the native
path may be a whole `message` that repeats the text.
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
from minimax_magic.models import model_info
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
from minimax_magic.wire.thinking import ClosingTagTrimmer, SnapshotFilter, ThinkSplitter

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "max_output": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


_ALL_WELL = {"status_code": 0, "status_msg": ""}


class OpenAICompatCodec:
    """Speaks OpenAI's chat completions as MiniMax does."""

    flavor = ApiFlavor.OPENAI_COMPAT

    def encode(self, request: ChatRequest, *, stream: bool) -> Encoded:
        check_images(request)
        info = model_info(request.model)
        messages: list[dict[str, Any]] = []
        system = split_system(request)
        if system:
            messages.append({"role": "system", "content": system})
        for turn in turns(request.messages, _sendable):
            messages += _encode_turn(turn)
        body: dict[str, Any] = {"model": request.model, "messages": messages}
        if stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        # output format only: thinking in fields of its own instead of inside the content
        body["reasoning_split"] = True
        thinking, thinking_notice = thinking_field(request, info)
        if thinking:
            body["thinking"] = thinking
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.max_tokens is not None:
            body["max_completion_tokens"] = request.max_tokens
        if request.service_tier is not None:
            body["service_tier"] = request.service_tier
        if request.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool_parameters(tool.parameters),
                    },
                }
                for tool in request.tools
            ]
            # only `auto` and `none` are honoured, and without tools the field itself is refused
            if request.tool_choice is not None:
                body["tool_choice"] = "none" if request.tool_choice == "none" else "auto"
        return Encoded(dump(body), notices(thinking_notice, forced_tool_notice(request)))

    def decoder(self, info: AnswerInfo) -> OpenAICompatDecoder:
        return OpenAICompatDecoder(info)


def _sendable(block: Block) -> bool:
    match block:
        case TextBlock(text=text):
            return bool(text)
        case ThinkingBlock(text=text, details=details):
            return bool(text or details)
        case _:
            return True


def _encode_turn(turn: Turn) -> list[dict[str, Any]]:
    if turn.role == "assistant":
        return [_encode_assistant(turn.blocks)]
    results = [b for b in turn.blocks if isinstance(b, ToolResult)]
    messages: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": result.tool_call_id, "content": result.content}
        for result in results
    ]
    parts = [_encode_part(b) for b in turn.blocks if isinstance(b, TextBlock | ImageBlock)]
    if len(parts) == 1 and parts[0]["type"] == "text":
        messages.append({"role": "user", "content": parts[0]["text"]})
    elif parts:
        messages.append({"role": "user", "content": parts})
    return messages


def _encode_part(block: TextBlock | ImageBlock) -> dict[str, Any]:
    if isinstance(block, TextBlock):
        return {"type": "text", "text": block.text}
    url = block.url or f"data:{block.media_type};base64,{block.data}"
    return {"type": "image_url", "image_url": {"url": url}}


def _encode_assistant(blocks: tuple[Block, ...]) -> dict[str, Any]:
    """The complete turn: leaving thinking out makes the model worse, leaving calls out is refused."""
    content = "".join(block.text for block in blocks if isinstance(block, TextBlock))
    details: list[dict[str, Any]] = []
    inline = ""
    for block in blocks:
        if isinstance(block, ThinkingBlock):
            if block.details:
                details += block.details
            elif block.text:
                inline += f"<think>\n{block.text}\n</think>\n"
    message: dict[str, Any] = {"role": "assistant", "content": inline + content}
    if details:
        message["reasoning_details"] = details
    calls = [block for block in blocks if isinstance(block, ToolCall)]
    if calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(sent_arguments(call), ensure_ascii=False),
                },
            }
            for call in calls
        ]
    return message


# --------------------------------------------------------------------------------- decoding


class _Channel:
    """One stream of text: snapshots undone, then cut characters joined."""

    def __init__(self) -> None:
        self._filter = SnapshotFilter()
        self._joiner = SurrogateJoiner()

    def feed(self, piece: str) -> str:
        if not isinstance(piece, str):
            raise TypeError("a text is no text")
        return self._joiner.feed(piece if self._filter.deltas else self._filter.feed(piece))

    def flush(self) -> str:
        return self._joiner.feed(self._filter.flush()) + self._joiner.flush()

    @property
    def repeats(self) -> bool:
        return self._filter.snapshots


class _Detail:
    """One entry of `reasoning_details`: its fields as received, its text growing."""

    def __init__(self, channel: _Channel | None = None) -> None:
        self.fields: dict[str, Any] = {}
        self.channel = channel or _Channel()
        self.text = TextBuffer()
        self.is_echo = channel is not None  # until it says more, it repeats an earlier stretch

    def whole(self) -> dict[str, Any]:
        return {**self.fields, "text": str(self.text)}


class _Call:
    """A tool call whose pieces are arriving."""

    def __init__(self, index: int, call_id: str) -> None:
        self.index = index
        self.id = call_id
        self.name = ""
        self.arguments = TextBuffer()
        self.joiner = SurrogateJoiner()


class OpenAICompatDecoder:
    """Decodes one answer; see `wire.codec.Decoder`."""

    def __init__(self, info: AnswerInfo) -> None:
        self.finished = False
        self._over = False
        self._info = info
        self._started = False
        self._spoke = False  # anything but the start was read
        self._finish_reason: FinishReason | None = None
        self._content = _Channel()
        self._splitter = ThinkSplitter()
        self._reasoning = _Channel()
        self._trimmer = ClosingTagTrimmer()
        self._details: dict[int, _Detail] = {}
        self._reasoning_open = False
        self._plain_reasoning = False  # a `reasoning_content` was seen: details only repeat it
        self._calls: list[_Call] = []
        self._slots: dict[int, _Call] = {}  # the server's index -> the call that is there now

    def feed(self, data: str) -> list[StreamEvent]:
        if self._over:
            return []
        if data[:1] != "{" and data.strip() in ("[DONE]", ""):
            return self._finish() if data.strip() else []
        events: list[StreamEvent] = []
        try:
            self._frame(json.loads(data), events)
        except MALFORMED:
            events += self._broken(data)
        return events

    def feed_whole(self, payload: dict[str, Any]) -> list[StreamEvent]:
        words = error_in(payload)
        if words is not None:
            return self._fail(error_from_words(words, **self._context()))
        events: list[StreamEvent] = []
        try:
            self._start(payload, events)
            if payload.get("choices") or not _is_sensitive(payload):
                choice = payload["choices"][0]
                plain = _plain_answer(choice["message"])
                if plain is None:
                    self._read(choice["message"], events)
                else:
                    events += plain
                self._finish_reason = _finish_reason(choice)
            self._read_rest(payload, events)
        except MALFORMED:
            return self._broken(json.dumps(payload))
        return events + self._finish()

    def close(self) -> list[StreamEvent]:
        if self._over:
            return []
        # all but the closing [DONE] came: that is an answer; without a reason to finish it is none
        return self._finish() if self._finish_reason is not None else self._flush()

    # pieces of a frame

    def _frame(self, frame: dict[str, Any], events: list[StreamEvent]) -> None:
        choices = frame.get("choices")
        base_resp = frame.get("base_resp")
        if not choices or frame.get("error") or (base_resp and base_resp != _ALL_WELL):
            words = error_in(frame)
            if words is not None:
                events += self._fail(error_from_words(words, **self._context()))
                return
        if not self._started and ("choices" in frame or "model" in frame):
            self._start(frame, events)  # else it is a heartbeat, or another wire's frame
        if not choices:
            self._read_rest(frame, events)
            return
        choice = choices[0]
        delta = choice.get("delta")
        if delta:
            self._read(delta, events)
        elif (message := choice.get("message")) and not self._spoke:
            self._read(message, events)  # else it repeats what the deltas said
        if choice.get("finish_reason"):
            self._finish_reason = _finish_reason(choice)
            self._read_rest(frame, events)
        elif frame.get("usage"):
            self._read_rest(frame, events)

    def _start(self, frame: dict[str, Any], events: list[StreamEvent]) -> None:
        self._started = True
        model = word(frame.get("model")) or None
        request_id = self._info.request_id or word(frame.get("id")) or None
        events.append(Started(model, request_id, self._info.simulated))

    def _read_rest(self, frame: dict[str, Any], events: list[StreamEvent]) -> None:
        """What a frame says beside its choice: usage, and that something was withheld."""
        usage = decode_usage(frame.get("usage"))
        if usage.total_tokens:  # zeros stand where nothing was counted yet
            events.append(UsageUpdate(usage))
        if _is_sensitive(frame):
            self._finish_reason = "content_filter"

    def _read(self, delta: dict[str, Any], events: list[StreamEvent]) -> None:
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if reasoning:
            self._plain_reasoning = True
            self._think(self._reasoning.feed(reasoning), events)
        if details := delta.get("reasoning_details"):
            self._read_details(details, events)
        if content := delta.get("content"):
            self._spoke = True
            if not isinstance(content, str):
                content = "".join(part.get("text") or "" for part in content)
            spoken = self._splitter.feed(self._content.feed(content))
            if spoken:
                if self._reasoning_open:
                    self._close_reasoning(events)
                events += spoken
        if calls := delta.get("tool_calls"):
            self._spoke = True
            self._end_text(events)
            for call in calls:
                self._read_call(call, events)

    def _read_details(self, details: list[dict[str, Any]], events: list[StreamEvent]) -> None:
        for position, entry in enumerate(details):
            index = entry.get("index", position)
            detail = self._details.get(index)
            if detail is None:
                detail = self._details[index] = _Detail()
            detail.fields |= entry
            text = detail.channel.feed(entry.get("text") or "")
            if not text:
                continue
            detail.text.append(text)
            detail.is_echo = False
            if not self._plain_reasoning:
                self._think(text, events)

    def _think(self, text: str, events: list[StreamEvent]) -> None:
        # thinking that already came inside the content is only repeated here
        if text and not self._splitter.has_thought:
            self._spoke = True
            self._reasoning_open = True
            self._splitter.thought_elsewhere = True
            text = self._trimmer.feed(text)
            if text:
                events.append(ThinkingDelta(text))

    def _close_reasoning(self, events: list[StreamEvent]) -> None:
        if not self._reasoning_open:
            return
        self._reasoning_open = False
        for detail in self._details.values():
            rest = detail.channel.flush()
            if rest:
                detail.text.append(rest)
                detail.is_echo = False
            if rest and not self._plain_reasoning:
                self._think(rest, events)
        if text := self._trimmer.feed(self._reasoning.flush()) + self._trimmer.flush():
            events.append(ThinkingDelta(text))
        details = tuple(d.whole() for d in self._details.values() if not d.is_echo)
        # a server that repeats all of it in every frame goes on doing so beside the text
        self._details = {
            i: _Detail(d.channel) for i, d in self._details.items() if d.channel.repeats
        }
        if not self._reasoning.repeats:
            self._reasoning = _Channel()
        self._reasoning_open = False
        events.append(ThinkingDone(details=details or None))

    def _read_call(self, piece: dict[str, Any], events: list[StreamEvent]) -> None:
        function = piece.get("function") or {}
        call_id, name = word(piece.get("id")), word(function.get("name"))
        call = self._find_call(piece.get("index"), call_id, name)
        if name and not call.name:
            call.name = name
            events.append(ToolCallStarted(call.index, call.id, name))
            if len(call.arguments):  # arguments that came before the name
                events.append(ToolCallDelta(call.index, str(call.arguments)))
        arguments = function.get("arguments")
        if not arguments:
            return
        if not isinstance(arguments, str):  # some servers send the object itself
            arguments = json.dumps(arguments, ensure_ascii=False)
        arguments = call.joiner.feed(arguments)
        call.arguments.append(arguments)
        if call.name and arguments:
            events.append(ToolCallDelta(call.index, arguments))

    def _find_call(self, index: int | None, call_id: str, name: str) -> _Call:
        """The call a piece belongs to: by index, else by id, else the last one.

        Servers that number every call 0 are told apart by a new id together with a name.
        """
        if index is None:
            known = next((c for c in self._calls if call_id and c.id == call_id), None)
            if known is None and self._calls and not call_id and not name:
                known = self._calls[-1]
            if known is not None:
                return known
            index = len(self._calls)
        here = self._slots.get(index)
        if here is not None and not (name and here.name and call_id and call_id != here.id):
            return here
        number = len(self._calls)
        call = _Call(number, call_id or f"call_{number + 1}")
        self._calls.append(call)
        self._slots[index] = call
        return call

    # the end

    def _end_text(self, events: list[StreamEvent]) -> None:
        """Gives out what was held back: something else begins, or it is over."""
        spoken = self._splitter.feed(self._content.flush()) + self._splitter.flush()
        self._close_reasoning(events)
        events += spoken

    def _flush(self) -> list[StreamEvent]:
        self._over = True
        events: list[StreamEvent] = []
        self._end_text(events)
        return events

    def _finish(self) -> list[StreamEvent]:
        events = self._flush()
        if not self._started:
            return events  # an end without a beginning is no answer
        for call in self._calls:
            rest = call.joiner.flush()
            call.arguments.append(rest)
            if not call.name:
                events.append(ToolCallStarted(call.index, call.id, ""))
            done = make_call(call.id, call.name, str(call.arguments))
            events.append(ToolCallDone(call.index, done))
        reason = self._finish_reason or "stop"
        if self._calls and reason == "stop":
            reason = "tool_calls"
        self.finished = True
        return [*events, Finished(reason)]

    def _fail(self, error: MinimaxError) -> list[StreamEvent]:
        return [*self._flush(), StreamFailed(error)]

    def _broken(self, data: str) -> list[StreamEvent]:
        return self._fail(broken_frame(data, **self._context()))

    def _context(self) -> ErrorContext:
        info = self._info
        return {"url": info.url, "request_id": info.request_id, "secrets": info.secrets}


def _plain_answer(message: dict[str, Any]) -> list[StreamEvent] | None:
    """The events of a whole answer with nothing odd about it; None: read it as a stream is read.

    Most are like that, and the care that a stream needs costs more than all the rest of a request.
    """
    content = message.get("content")
    details = message.get("reasoning_details") or []
    thought = message.get("reasoning_content")
    if type(content) is not str or not content.strip() or message.get("tool_calls"):
        return None
    if message.get("reasoning") or len(details) > 1 or "think>" in content:
        return None
    if details and type(details[0].get("text")) is not str:
        return None
    entries = tuple({**entry, "text": whole(entry["text"])} for entry in details)
    if not thought and entries:
        thought = entries[0]["text"]
    if not thought:
        return None if details else [TextDelta(whole(content))]
    if type(thought) is not str or "think>" in thought:
        return None
    return [
        ThinkingDelta(whole(thought)),
        ThinkingDone(details=entries or None),
        TextDelta(whole(content.lstrip())),
    ]


def _finish_reason(choice: dict[str, Any]) -> FinishReason:
    return _FINISH.get(choice.get("finish_reason") or "stop", "stop")


def _is_sensitive(frame: dict[str, Any]) -> bool:
    """A severe violation comes as an empty answer, or none at all, with these flags."""
    return bool(frame.get("input_sensitive") or frame.get("output_sensitive"))


def decode_usage(usage: Any) -> TokenUsage:
    """Disjoint buckets: this wire counts cached tokens inside `prompt_tokens`."""
    output = token_count(usage, "completion_tokens")
    prompt = token_count(usage, "prompt_tokens")
    if not prompt:  # some older answers carry the total alone
        prompt = max(0, token_count(usage, "total_tokens") - output)
    cached = min(prompt, token_count(usage, "prompt_tokens_details", "cached_tokens"))
    reasoning = token_count(usage, "completion_tokens_details", "reasoning_tokens")
    return TokenUsage(
        input_tokens=prompt - cached,
        cache_read_tokens=cached,
        output_tokens=output,
        reasoning_tokens=min(output, reasoning),
    )
