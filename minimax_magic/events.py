"""What a stream says, piece by piece, and the fold that makes a reply of it.

Events are frozen, slotted dataclasses: some flow once per token, where validation would cost more
than everything else. Both codecs speak only these, for streamed and for whole answers alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias, assert_never

from minimax_magic.errors import MinimaxError
from minimax_magic.messages import (
    Block,
    FinishReason,
    Message,
    TextBlock,
    ThinkingBlock,
    ToolCall,
)
from minimax_magic.text import TextBuffer
from minimax_magic.tokens import TokenUsage


@dataclass(frozen=True, slots=True)
class Started:
    """The server accepted the request.

    Attributes:
        model: The id the server names; None if it names none.
        request_id: Its id of this answer, to quote to support.
        simulated: True if a simulator answered.
        replayed: True if nothing was sent: this answer was recorded earlier.
    """

    model: str | None
    request_id: str | None
    simulated: bool = False
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDone:
    """One stretch of thinking is over; see `ThinkingBlock` for its two seals."""

    signature: str | None = None
    details: tuple[dict[str, Any], ...] | None = None


@dataclass(frozen=True, slots=True)
class TextWasThinking:
    """All text so far was thinking.

    Self-hosted servers put the opening `<think>` into the prompt, so that a stream begins with bare
    thinking and only the closing tag tells.
    """


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A call begins. `index` tells calls apart that arrive interleaved."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the JSON text of the arguments."""

    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolCallDone:
    index: int
    call: ToolCall


@dataclass(frozen=True, slots=True)
class UsageUpdate:
    """Tokens so far. Each one replaces the one before."""

    usage: TokenUsage


@dataclass(frozen=True, slots=True)
class Finished:
    finish_reason: FinishReason


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the person should know that is no error, such as an option that the server ignores.

    Attributes:
        local: It is about this machine, and no part of the answer.
    """

    text: str
    local: bool = field(default=False, repr=False)


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """An attempt failed and will be made again. Only before anything of an answer arrived.

    Attributes:
        reason: One sentence without a hint.
        wait_s: Seconds until the next attempt.
        attempt: Number of the next attempt, 2 for the first retry.
    """

    reason: str
    wait_s: float
    attempt: int


@dataclass(frozen=True, slots=True)
class StreamFailed:
    """The server reported an error inside the answer. The client raises it; callers never see this."""

    error: MinimaxError


@dataclass(frozen=True, slots=True)
class StepBegun:
    """The turn goes on with another request, which carries what the tools returned or what was wrong.

    Attributes:
        step: Its number, 2 or more.
        reason: Empty after calls; else why, in one sentence: an answer that did not validate.
    """

    step: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CallBegun:
    """A tool begins to run."""

    call_id: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A tool came to its end, or was never run.

    Attributes:
        result: What the model is told.
        duration_s: Seconds it ran; None: it was not run.
    """

    call_id: str
    result: str
    is_error: bool = False
    duration_s: float | None = None


StreamEvent: TypeAlias = (
    Started
    | TextDelta
    | ThinkingDelta
    | ThinkingDone
    | TextWasThinking
    | ToolCallStarted
    | ToolCallDelta
    | ToolCallDone
    | UsageUpdate
    | Finished
    | Notice
    | RetryScheduled
    | StreamFailed
)
"""What one request says."""

TurnEvent: TypeAlias = StreamEvent | StepBegun | CallBegun | CallEnded
"""What a turn says, which may be several requests with calls of tools between them."""


@dataclass(frozen=True, slots=True, repr=False)
class ChatReply:
    """An answer, or as much of it as was received.

    Attributes:
        blocks: Thinking, text and tool calls in the order they came.
        usage: Tokens; None if the server had not said when the answer ended.
        cost: US dollars, equivalent value under a Token Plan; None if no price is known.
        finish_reason: None if the answer was cut off.
        model: The id the server named, else the one asked for.
        warnings: What the person should know, in order.
        simulated: True if a simulator answered.
        replayed: True if it was recorded earlier and nothing was sent: `cost` is then 0.
        avoided: US dollars that it would have cost otherwise; None if it was not replayed, or no price
            is known.
        turn: All messages behind the prompt that a later request must carry, where they are more than
            the answer alone: calls of tools with their results. `usage` and `cost` are of all of them.
        value: Structured output, validated; None without.
    """

    blocks: tuple[Block, ...] = ()
    usage: TokenUsage | None = None
    cost: Decimal | None = None
    finish_reason: FinishReason | None = None
    model: str = ""
    request_id: str | None = None
    warnings: tuple[str, ...] = ()
    simulated: bool = False
    replayed: bool = False
    avoided: Decimal | None = None
    turn: tuple[Message, ...] = ()
    value: Any = None

    @property
    def text(self) -> str:
        return "".join([block.text for block in self.blocks if isinstance(block, TextBlock)])

    @property
    def thinking(self) -> str:
        return "\n\n".join(b.text for b in self.blocks if isinstance(b, ThinkingBlock) and b.text)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(block for block in self.blocks if isinstance(block, ToolCall))

    @property
    def message(self) -> Message:
        """The turn as a later request must carry it: complete, thinking and signatures included."""
        return Message.model_construct(role="assistant", content=self.blocks)

    @property
    def messages(self) -> tuple[Message, ...]:
        """All that a later request must carry of it: calls and their results, then the answer.

        Thinking alone is no answer: the server refuses it when it comes back (2013).
        """
        return self.turn or ((self.message,) if self.text.strip() or self.tool_calls else ())

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        text = self.text
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        extra = f", {len(self.tool_calls)} tool calls" if self.tool_calls else ""
        return f"<ChatReply {self.model} {self.finish_reason or 'unfinished'}: {shown!r}{extra}>"


@dataclass(slots=True)
class _OpenText:
    buffer: TextBuffer


@dataclass(slots=True)
class _OpenThinking:
    buffer: TextBuffer
    sealed: bool = False
    signature: str | None = None
    details: tuple[dict[str, Any], ...] | None = None


class _OpenCall:
    """Holds the place of a tool call whose arguments are still arriving."""


class ReplyBuilder:
    """Folds events into a reply; `build` may be asked at any time.

    Args:
        model: The id asked for, used until the server names one.
    """

    def __init__(self, model: str = "") -> None:
        self._blocks: list[Block | _OpenText | _OpenThinking | _OpenCall] = []
        self._text: TextBuffer | None = None  # what a TextDelta would continue
        self._thinking: TextBuffer | None = None  # what a ThinkingDelta would continue
        self._calls: dict[int, int] = {}  # index of a call -> its place in _blocks
        self._model = model
        self._request_id: str | None = None
        self._simulated = self._replayed = False
        self._warnings: list[str] = []
        self.usage: TokenUsage | None = None
        self.finish_reason: FinishReason | None = None

    def apply(self, event: StreamEvent) -> None:
        if type(event) is TextDelta:  # nearly all events are: looked at first
            if self._text is None:
                self._text = TextBuffer()
                self._thinking = None
                self._blocks.append(_OpenText(self._text))
            self._text.append(event.text)
            return
        if type(event) is ThinkingDelta:
            if self._thinking is None:
                self._thinking = self._open_thinking().buffer
            self._thinking.append(event.text)
            return
        match event:
            case ThinkingDone(signature, details):
                block = self._open_thinking()
                block.sealed, block.signature, block.details = True, signature, details
                self._thinking = None
            case TextWasThinking():
                self._blocks = [
                    _OpenThinking(b.buffer) if isinstance(b, _OpenText) else b for b in self._blocks
                ]
                self._text = self._thinking = None
            case ToolCallStarted(index):
                self._calls[index] = len(self._blocks)
                self._blocks.append(_OpenCall())
                self._text = self._thinking = None
            case ToolCallDone(index, call):
                place = self._calls.get(index)
                if place is None:  # never announced: it still is a call
                    self._blocks.append(call)
                    self._text = self._thinking = None
                else:
                    self._blocks[place] = call
            case UsageUpdate(usage):
                self.usage = usage
            case Finished(reason):
                self.finish_reason = reason
            case Started(model, request_id, simulated, replayed):
                self._model = model or self._model
                self._request_id = request_id or self._request_id
                self._simulated, self._replayed = simulated, replayed
            case Notice(text):
                self._warnings.append(text)
            case (
                TextDelta() | ThinkingDelta() | ToolCallDelta() | RetryScheduled() | StreamFailed()
            ):
                pass
            case _:
                assert_never(event)

    def build(self, cost: Decimal | None = None) -> ChatReply:
        """The reply as far as it has come; a tool call that is not whole is left out."""
        blocks: list[Block] = []
        for block in self._blocks:
            match block:
                case _OpenText(buffer):
                    blocks.append(TextBlock(text=str(buffer)))
                case _OpenThinking(buffer, _, signature, details):
                    blocks.append(
                        ThinkingBlock(text=str(buffer), signature=signature, details=details)
                    )
                case _OpenCall():
                    pass
                case _:
                    blocks.append(block)
        return ChatReply(
            blocks=tuple(blocks),
            usage=self.usage,
            cost=cost,
            finish_reason=self.finish_reason,
            model=self._model,
            request_id=self._request_id,
            warnings=tuple(self._warnings),
            simulated=self._simulated,
            replayed=self._replayed,
        )

    def _open_thinking(self) -> _OpenThinking:
        last = self._blocks[-1] if self._blocks else None
        if not isinstance(last, _OpenThinking) or last.sealed:
            last = _OpenThinking(TextBuffer())
            self._blocks.append(last)
        self._text = None
        return last
