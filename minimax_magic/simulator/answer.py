"""From a `Reply` to what is really sent: thinking filled in, ids given, tokens counted.

The counting rule, the same for streamed and whole answers: a token is four characters, rounded up,
for each message of the request and for each part of the answer; an image is 1,000. Cache: the
longest run of leading segments (tools, system, messages) that an earlier request to the same model
began with counts as read; the last message of a request is always new. What `cache_control` marks
on an M2 model and was not read counts as written. Nothing expires.
"""

from __future__ import annotations

import hashlib
import json
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass

from minimax_magic.simulator.behaviours import Reply, ToolCall, Usage
from minimax_magic.simulator.turn import Turn

THOUGHT = (
    "The user sent a request to a simulator, so nothing needs to be worked out. "
    "I will say so and show what an answer can look like."
)
# prefixes that are remembered; 10,000 requests of a long chat, some MB
MAX_PREFIXES = 200_000


@dataclass(frozen=True, slots=True)
class SentCall:
    """A tool call with its id and its arguments as text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """All that a wire needs to write an answer down."""

    id: str
    created: int
    model: str
    thinking: str
    text: str
    tool_calls: tuple[SentCall, ...]
    finish_reason: str
    usage: Usage
    chunk_chars: int


def count_tokens(text: str) -> int:
    """Four characters are a token; the rest is one more."""
    return -(-len(text) // 4)


class PromptCache:
    """Remembers how requests began."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def count(self, turn: Turn) -> tuple[int, int, int]:
        """Tokens of the request as (new, read, written), and remember it."""
        if len(self._seen) > MAX_PREFIXES:
            self._seen.clear()
        new = read = written = 0
        prefix = hash(turn.model)
        known = True
        last = len(turn.segments) - 1
        for position, segment in enumerate(turn.segments):
            tokens = count_tokens(segment)
            prefix = hash((prefix, segment))
            known = known and position < last and prefix in self._seen
            self._seen.add(prefix)
            if known:
                read += tokens
            elif position < turn.written:
                written += tokens
            else:
                new += tokens
        return new, read, written


def new_id() -> str:
    """32 hexadecimal digits, as MiniMax numbers its answers and errors."""
    return f"{random.getrandbits(128):032x}"


def pieces(text: str, chars: int) -> Iterator[str]:
    """Cut a text for streaming."""
    step = max(1, chars)
    return (text[start : start + step] for start in range(0, len(text), step))


def signature(thinking: str) -> str:
    """64 hexadecimal digits that go with a thinking block."""
    return hashlib.sha256(thinking.encode("utf-8", "surrogatepass")).hexdigest()


def _sent_calls(calls: tuple[ToolCall, ...]) -> tuple[SentCall, ...]:
    stem = "".join(random.choices(string.ascii_lowercase + string.digits, k=12)) if calls else ""
    return tuple(
        SentCall(
            call.id or f"call_function_{stem}_{number}",
            call.name,
            call.arguments
            if isinstance(call.arguments, str)
            else json.dumps(dict(call.arguments), ensure_ascii=False),
        )
        for number, call in enumerate(calls, 1)
    )


def cut_to_limit(turn: Turn, reply: Reply) -> Reply:
    """Keep to `max_tokens`, which counts thinking: it may leave no text at all."""
    if turn.max_tokens is None:
        return reply
    thinking = _thinking(turn, reply)
    left = turn.max_tokens * 4
    if len(thinking) + len(reply.text) <= left:
        return reply
    return Reply(
        text=reply.text[: max(0, left - len(thinking))],
        thinking=thinking[:left],
        chunk_chars=reply.chunk_chars,
        delay_s=reply.delay_s,
        finish_reason="length",
        stream=reply.stream,
    )


def _thinking(turn: Turn, reply: Reply) -> str:
    if reply.thinking is not None:
        return reply.thinking
    return THOUGHT if turn.thinks else ""


def settle(turn: Turn, reply: Reply, cache: PromptCache, created: int) -> Answer:
    """Fix an answer in every detail; the request is counted, so call it once for each.

    Args:
        created: Seconds since 1970, for the OpenAI wire.
    """
    thinking = _thinking(turn, reply)
    calls = _sent_calls(reply.tool_calls)
    new, read, written = cache.count(turn)
    usage = reply.usage
    if usage is None:
        reasoning = count_tokens(thinking)
        output = reasoning + count_tokens(reply.text)
        output += sum(count_tokens(call.name + call.arguments) for call in calls)
        usage = Usage(new, output, read, written, reasoning)
    return Answer(
        id=new_id(),
        created=created,
        model=turn.model,
        thinking=thinking,
        text=reply.text,
        tool_calls=calls,
        finish_reason=reply.finish_reason or ("tool_calls" if calls else "stop"),
        usage=usage,
        chunk_chars=reply.chunk_chars,
    )
