"""What the two wires have in common: the protocol of a codec, and the rules for histories.

A codec is a pair of pure directions. `encode` makes the JSON body of a request. `decoder` makes an
object that is fed the `data` of stream events, or one whole answer, and gives the common events of
`minimax_magic.events`. Which HTTP call carries it is the client's business.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict
from urllib.parse import urlsplit

from minimax_magic.errors import ConfigError, ProtocolError
from minimax_magic.events import StreamEvent
from minimax_magic.messages import (
    ApiFlavor,
    Block,
    ChatRequest,
    ImageBlock,
    Message,
    TextBlock,
    ToolCall,
)
from minimax_magic.models import MODELS, ModelInfo, model_info
from minimax_magic.text import whole
from minimax_magic.wire.http import mask


@dataclass(frozen=True, slots=True)
class Encoded:
    """A body to send, and what the person should know of what could not be sent as asked."""

    body: bytes
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerInfo:
    """What the HTTP head already tells of an answer.

    Attributes:
        url: Where it came from, for the words of errors.
        secrets: What must be masked in those words.
    """

    url: str = ""
    request_id: str | None = None
    simulated: bool = False
    secrets: tuple[str, ...] = ()


class ErrorContext(TypedDict):
    """What the words of an error need beside the server's own."""

    url: str
    request_id: str | None
    secrets: tuple[str, ...]


# What reading a frame of the wrong shape raises. Each decoder reads a frame inside one `try` with
# these: that costs nothing where all is well, and looking at every field's type first would.
MALFORMED = (ValueError, TypeError, AttributeError, LookupError, RecursionError)


class Decoder(Protocol):
    """Turns one answer into events.

    `feed` takes the data of one stream event, `feed_whole` a complete JSON answer; `close` says that
    nothing more comes. Each returns what became known, perhaps nothing. A `StreamFailed` or
    `Finished` is the last event given. `finished` tells whether the answer came to its own end.
    """

    finished: bool

    def feed(self, data: str) -> list[StreamEvent]: ...

    def feed_whole(self, payload: dict[str, Any]) -> list[StreamEvent]: ...

    def close(self) -> list[StreamEvent]: ...


class Codec(Protocol):
    """One wire format."""

    flavor: ApiFlavor

    def encode(self, request: ChatRequest, *, stream: bool) -> Encoded:
        """The body for this wire.

        Raises:
            ConfigError: The request cannot be made on this wire or for this model.
        """
        ...

    def decoder(self, info: AnswerInfo) -> Decoder: ...


# ------------------------------------------------------------------------------- histories


@dataclass(frozen=True, slots=True)
class Turn:
    """One or more messages of a role, merged, for a wire that wants roles to alternate."""

    role: str
    blocks: tuple[Block, ...]


def split_system(request: ChatRequest) -> str | None:
    """The single system text: `request.system`, then every system turn, wherever it stood.

    More than one system message, or one that is not first, is refused by the server (2013).
    """
    texts = [request.system or ""]
    texts += [message.text for message in request.messages if message.role == "system"]
    return "\n\n".join(text for text in texts if text) or None


def turns(messages: Sequence[Message], sendable: Callable[[Block], bool]) -> list[Turn]:
    """The conversation without system turns, consecutive same-role turns merged.

    Args:
        sendable: Whether the wire can carry a block. What it cannot is left out before turns are
            merged, since a turn of nothing is refused (2013).
    """
    merged: list[Turn] = []
    for message in messages:
        if message.role == "system":
            continue
        blocks = tuple(block for block in message.content if sendable(block))
        if merged and merged[-1].role == message.role:
            merged[-1] = Turn(message.role, join_texts(merged[-1].blocks, blocks))
        elif blocks:
            merged.append(Turn(message.role, blocks))
    if not merged:
        raise ConfigError("The prompt is empty.", hint="Write something below the magic.")
    return merged


def join_texts(first: tuple[Block, ...], second: tuple[Block, ...]) -> tuple[Block, ...]:
    """Blocks of two merged messages; two texts that meet are kept apart by a blank line."""
    if first and second and isinstance(first[-1], TextBlock) and isinstance(second[0], TextBlock):
        text = TextBlock(text=f"{first[-1].text}\n\n{second[0].text}")
        return (*first[:-1], text, *second[1:])
    return first + second


def check_images(request: ChatRequest) -> None:
    """Refuses images for a model that is known not to see: the server drops them without a word.

    Raises:
        ConfigError: Naming the models that take images.
    """
    info = model_info(request.model)
    if info is None or info.vision:
        return
    if any(isinstance(b, ImageBlock) for message in request.messages for b in message.content):
        seeing = ", ".join(m.id for m in MODELS.values() if m.vision)
        raise ConfigError(
            f"{request.model} does not take images.", hint=f"Use a model that does: {seeing}."
        )


def broken_frame(
    data: str, *, url: str, request_id: str | None, secrets: tuple[str, ...]
) -> ProtocolError:
    """The error for a frame that is not what the wire format says."""
    host = urlsplit(url).hostname or "The server"
    start = mask(data[:2000], secrets)[:80]  # a key must not be cut before it is found
    return ProtocolError(
        f"{host} sent something that is no part of an answer: {start!r}.",
        hint="Check base_url and api_flavor; if they are right, try again.",
        status=200,
        request_id=request_id,
    )


# ---------------------------------------------------------------------------------- fields


def thinking_field(
    request: ChatRequest, info: ModelInfo | None
) -> tuple[dict[str, str] | None, str | None]:
    """The `thinking` object to send, or None, and a notice if the wish cannot be met.

    M3 without the field thinks on one wire and not on the other, so it is always sent for M3. M2.x
    always thinks and ignores `disabled`.
    """
    wish = request.thinking
    if info is not None and info.thinking == "always":
        if wish == "off":
            return None, f"{request.model} always thinks: thinking off has no effect."
        return None, None
    if wish is None and info is None:
        return None, None
    return {"type": "disabled" if wish == "off" else "adaptive"}, None


def forced_tool_notice(request: ChatRequest) -> str | None:
    """The notice for a forced tool choice, which the server answers with plain text."""
    if request.tool_choice != "any" or not request.tools:
        return None
    return "The server does not force tool calls: tool_choice any was sent as auto."


def tool_parameters(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that the server accepts: none, or an empty one, is refused (2013)."""
    return {"type": "object", "properties": {}, **schema}


def parse_arguments(text: str) -> tuple[dict[str, Any], str | None]:
    """A tool call's arguments, and the text itself if it is not a JSON object.

    NaN and numbers out of range are no JSON, though Python reads them: carried back, they would
    make the next request invalid. `null` is how some servers write a call without arguments.
    """
    if text.strip() in ("", "null"):
        return {}, None
    try:
        value = json.loads(text)
        again = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if (mended := whole(again)) is not again:  # half a character, written as an escape
            value = json.loads(mended)
    except (ValueError, RecursionError):
        return {}, text
    return (value, None) if isinstance(value, dict) else ({}, text)


def word(value: Any) -> str:
    """A short field such as an id or a name; empty where it is absent, null or no word at all."""
    if isinstance(value, str):
        return whole(value)
    return str(value) if isinstance(value, int) else ""


def make_call(call_id: str, name: str, arguments: str) -> ToolCall:
    """A finished call from the pieces of its arguments, joined."""
    parsed, invalid = parse_arguments(arguments)
    return ToolCall(id=call_id, name=name, arguments=parsed, invalid_arguments=invalid)


def sent_arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments as a later request carries them back: always an object.

    What the model wrote instead is kept under a name of its own, so that it sees its mistake.
    """
    if call.invalid_arguments is not None:
        return {"invalid_json": call.invalid_arguments}
    return call.arguments


# kept: json.dumps makes one for each call that asks for anything special
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def dump(body: dict[str, Any]) -> bytes:
    """The JSON body; half a surrogate pair, which no server can read, becomes U+FFFD.

    Raises:
        ConfigError: A tool's schema or a call's arguments hold what JSON cannot, such as NaN.
    """
    try:
        text = _ENCODER.encode(body)
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"The request cannot be written as JSON: {error}.",
            hint="Look at the schemas of the tools. Nothing was sent.",
        ) from None
    return whole(text).encode()


def notices(*texts: str | None) -> tuple[str, ...]:
    return tuple(text for text in texts if text)


def token_count(usage: dict[str, Any], *path: str) -> int:
    """A count inside a usage object; 0 where it is absent, null or no count.

    Gateways were seen to write numbers as strings or with a fraction of .0.
    """
    value: Any = usage
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return 0
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        return int(value)
    if isinstance(value, int | float) and 0 <= value < 10**15:  # which NaN is not
        return int(value)
    return 0
