"""What a request is known by, and a recorded answer: as a value, as JSON and as events. No files here.

Who asked, with which key and over which wire is no part of a request, so a recording answers whoever
asks the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, get_args

from minimax_magic.errors import ConfigError
from minimax_magic.events import (
    ChatReply,
    Finished,
    Notice,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ThinkingDone,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    UsageUpdate,
)
from minimax_magic.messages import (
    Block,
    ChatRequest,
    FinishReason,
    ImageBlock,
    Message,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
)
from minimax_magic.tokens import TokenUsage
from minimax_magic.wire.codec import split_system, turns

# What keys are made by; with another one, all that was recorded before is not found any more.
_KEY_FORMAT: Final = 1
# So long a piece is drawn at once: an answer grows before the eye, and ten pages are a hundred pieces.
_PIECE_CHARS: Final = 240
_WHOLE: Final = tuple(reason for reason in get_args(FinishReason) if reason != "content_filter")


def request_key(request: ChatRequest) -> str:
    """What a request is known by: the same for all that a server would be sent the same for.

    Raises:
        ConfigError: It has no prompt, or what JSON cannot hold.
    """
    # What is not set is left out, so a field that a later version adds changes no key.
    fields = {name: _plain(value) for name, value in request if _is_set(value)}
    fields["format"] = _KEY_FORMAT
    fields["system"] = split_system(request)
    # merged as the wires do
    fields["messages"] = [
        {"role": turn.role, "content": _plain(turn.blocks)}
        for turn in turns(request.messages, lambda _block: True)
    ]
    try:
        text = json.dumps(fields, sort_keys=True, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"The request cannot be written as JSON: {error}.",
            hint="Look at the schemas of the tools. Nothing was sent.",
        ) from None
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Values of our own as dicts without what is not set; what others gave stays as it is."""
    match value:
        case tuple():
            return [_plain(item) for item in value]
        case dict():
            return value
        case _ if hasattr(value, "model_fields_set"):
            return {name: _plain(field) for name, field in value if _is_set(field)}
        case _:
            return value


def _is_set(value: Any) -> bool:
    """Whether a field says anything: a temperature of 0 does."""
    return value is not None and value is not False and value not in ("", (), {})


def is_whole(reply: ChatReply) -> bool:
    """Whether an answer may be recorded: it came to its end, and was not withheld."""
    return reply.finish_reason in _WHOLE and all(
        isinstance(block, TextBlock | ThinkingBlock | ToolCall) for block in reply.blocks
    )


@dataclass(frozen=True, slots=True)
class Recording:
    """One answer, exactly as it came.

    Attributes:
        reply: As the request was answered; what it cost, and what was made of it, is not kept. Its
            warnings are those that belong to the answer, whoever asks.
        flavor: The wire it came over.
        recorded_at: Aware.

    Raises:
        ValueError: The time has no zone.
    """

    reply: ChatReply
    flavor: str
    recorded_at: datetime

    def __post_init__(self) -> None:
        if self.recorded_at.tzinfo is None:
            raise ValueError("recorded_at needs a time zone")
        said = self.reply
        kept = ChatReply(
            blocks=said.blocks,
            usage=said.usage,
            finish_reason=said.finish_reason,
            model=said.model,
            request_id=said.request_id,
            warnings=said.warnings,
            simulated=said.simulated,
        )
        object.__setattr__(self, "reply", kept)

    def events(self) -> list[StreamEvent]:
        """The answer once more: `ReplyBuilder` makes the same of it.

        Long texts come in pieces, so that they can be drawn as they would have come.
        """
        reply = self.reply
        events: list[StreamEvent] = [
            Started(reply.model or None, reply.request_id, reply.simulated, replayed=True),
            *map(Notice, reply.warnings),
        ]
        for index, block in enumerate(reply.blocks):
            events += _events_of(index, block)
        if reply.usage is not None:
            events.append(UsageUpdate(reply.usage))
        if reply.finish_reason is not None:
            events.append(Finished(reply.finish_reason))
        return events

    def to_json(self) -> dict[str, Any]:
        """All of it, in what JSON can hold."""
        reply = self.reply
        return {
            "recorded_at": self.recorded_at.astimezone(UTC).isoformat(),
            "flavor": self.flavor,
            "model": reply.model,
            "request_id": reply.request_id,
            "simulated": reply.simulated,
            "finish_reason": reply.finish_reason,
            "usage": None if reply.usage is None else asdict(reply.usage),
            "warnings": list(reply.warnings),
            "blocks": [block.model_dump() for block in reply.blocks],
        }

    @classmethod
    def from_json(cls, data: Any) -> Recording:
        """What `to_json` gave.

        Raises:
            ValueError: It is something else.
        """
        try:
            usage = data["usage"]
            # validated as a turn of the assistant, which is what an answer is
            turn = Message.model_validate({"role": "assistant", "content": data["blocks"]})
            reply = ChatReply(
                blocks=turn.content,
                usage=None if usage is None else _usage(usage),
                finish_reason=data["finish_reason"],
                model=_text(data["model"]),
                request_id=None if data["request_id"] is None else _text(data["request_id"]),
                warnings=tuple(_text(warning) for warning in data["warnings"]),
                simulated=data["simulated"] is True,
            )
            recorded_at = datetime.fromisoformat(data["recorded_at"])
            recording = cls(reply, _text(data["flavor"]), recorded_at)
        except (ValueError, TypeError, LookupError) as error:
            # pydantic's own words would quote the answer
            raise ValueError(f"no recorded answer ({type(error).__name__})") from None
        if not is_whole(reply):
            raise ValueError("not a whole answer")
        return recording


def _events_of(index: int, block: Block) -> list[StreamEvent]:
    match block:
        case TextBlock(text=text):
            return [TextDelta(piece) for piece in _pieces(text)]
        case ThinkingBlock(text=text, signature=signature, details=details):
            thought = [ThinkingDelta(piece) for piece in _pieces(text)]
            return [*thought, ThinkingDone(signature, details)]
        case ToolCall():
            return [
                ToolCallStarted(index, block.id, block.name),
                *(ToolCallDelta(index, piece) for piece in _pieces(_arguments(block))),
                ToolCallDone(index, block),
            ]
        case ImageBlock() | ToolResult():
            return []  # no answer has any


def _arguments(call: ToolCall) -> str:
    """The arguments as the model wrote them, or nearly."""
    if call.invalid_arguments is not None:
        return call.invalid_arguments
    return json.dumps(call.arguments, ensure_ascii=False)


def _pieces(text: str) -> Iterator[str]:
    """At least one, so that an empty text is one, too."""
    yield text[:_PIECE_CHARS]
    for start in range(_PIECE_CHARS, len(text), _PIECE_CHARS):
        yield text[start : start + _PIECE_CHARS]


def _usage(data: dict[str, Any]) -> TokenUsage:
    usage = TokenUsage(**data)
    counts: Sequence[Any] = [*asdict(usage).values()]
    if not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("tokens are whole numbers")
    return usage


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text is needed")
    return value
