"""What the simulator can be told to do with one request.

Values only; `choose` picks one from the words of a prompt, `Simulator.script` takes them as given.
`Drop`, `Silence` and `FailMidStream` wrap what they interrupt, so that the set stays small. A chunk
is one write to the socket: one SSE frame, comments and pings included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, in buckets that do not overlap; `reasoning_tokens` is part of output."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model makes.

    Attributes:
        arguments: A mapping, or the text to send as it is (broken JSON, for instance; the Anthropic
            wire has no place for that in an answer that is not streamed and sends `{}`).
        id: None for one in MiniMax's shape, `call_function_<12>_<n>`.
    """

    name: str
    arguments: Mapping[str, Any] | str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the model.

    Attributes:
        thinking: None for a line of thinking where the model would think; empty for none.
        chunk_chars: Characters of each piece in a stream.
        delay_s: Seconds between two pieces; None for the simulator's own pace. An answer that is
            not streamed takes as long as its pieces would.
        usage: None to count by the simulator's rule (`answer.count_tokens`).
        finish_reason: `stop`, `length`, `tool_calls` or `content_filter`; None for what fits.
        stream: False answers with one JSON body although a stream was asked for.
    """

    text: str = ""
    thinking: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    chunk_chars: int = 12
    delay_s: float | None = None
    usage: Usage | None = None
    finish_reason: str | None = None
    stream: bool = True


@dataclass(frozen=True, slots=True)
class Fail:
    """An error before any answer, in MiniMax's JSON.

    Attributes:
        status: None for the one that goes with the code. 200 gives the older shape, a `base_resp`
            under HTTP 200, also where a stream was asked for.
        code: MiniMax's number, put behind the message; None leaves it out.
        message: None for the text that goes with the code or the status.
        retry_after: The `Retry-After` header as it is; MiniMax itself sends none.
        resets_at: For 2056, an ISO time; None for the end of the plan's window.
        once: Fail the first time a body is seen, answer it the second time.
    """

    status: int | None = None
    code: int | None = None
    message: str | None = None
    retry_after: str | None = None
    resets_at: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    once: bool = False


@dataclass(frozen=True, slots=True)
class Raw:
    """Any answer, byte for byte."""

    status: int = 200
    content_type: str = "application/json"
    body: bytes | str = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Frames:
    """A stream given as its chunks, each one write; it then ends in order.

    Attributes:
        content_type: None sends no such header.
    """

    chunks: tuple[bytes, ...] | list[bytes]
    delay_s: float = 0.0
    status: int = 200
    content_type: str | None = "text/event-stream"


Streamable = Reply | Frames


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection is lost in the middle of an answer.

    Attributes:
        after_chunks: 0 closes before the status line. Not streamed, it always does.
        of: What is interrupted; None for the default answer.
        clean: End the body in order instead, as if that had been all.
    """

    after_chunks: int = 0
    of: Streamable | None = None
    clean: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """The connection stays open and nothing more comes; fields as in `Drop`."""

    after_chunks: int = 0
    of: Streamable | None = None


@dataclass(frozen=True, slots=True)
class FailMidStream:
    """An error inside a stream that began with HTTP 200, which then ends.

    Attributes:
        style: On the OpenAI wire an `error` object without choices, or a `base_resp` that is not 0.
            The Anthropic wire always sends `event: error`.
    """

    after_chunks: int = 0
    code: int | None = 1000
    message: str | None = None
    style: Literal["error", "base_resp"] = "error"
    of: Streamable | None = None


Behaviour = Reply | Fail | Raw | Frames | Drop | Silence | FailMidStream
