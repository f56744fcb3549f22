"""Two tiny questions to the model, which cost some tokens: one whole answer, and one that streams."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from minimax_magic.client.client import Client
from minimax_magic.doctor.checks import AskOne, Case, Facts, Found, by_error
from minimax_magic.doctor.findings import ANSWER, MODEL, SIMULATED, TOKENS
from minimax_magic.errors import (
    APITimeoutError,
    BudgetExceeded,
    ProtocolError,
    StreamInterrupted,
)
from minimax_magic.events import ChatReply, TextDelta, ThinkingDelta
from minimax_magic.messages import ChatRequest
from minimax_magic.pricing import format_usd
from minimax_magic.text import whole

_PROMPT: Final = "Reply with exactly: API test successful"
# Long enough to come in several pieces, short enough to cost nothing that counts.
_LONGER_PROMPT: Final = "Count from 1 to 20, in digits, separated by commas."
# A model that always thinks needs some of it for that.
_MAX_TOKENS: Final = 300
# Thinking comes in pieces, too, and nobody wants the end: this may be cut off.
_MAX_STREAMED_TOKENS: Final = 64
_SILENCE_S: Final = 20.0
_LONGEST_S: Final = 40.0
_MAX_SHOWN: Final = 400

# A model writes about 100 tokens a second: so many of them within so short a time were collected
# somewhere on the way, if they came late.
_SURE_TOKENS: Final = 30
_AT_ONCE_S: Final = 0.02
_LATE_S: Final = 1.0


def _within_limits(ask: AskOne) -> AskOne:
    """Not asked where a budget forbids it, and not for ever."""

    async def asked(case: Case) -> Found:
        try:
            async with asyncio.timeout(_LONGEST_S):
                return await ask(case)
        except TimeoutError:
            return by_error(
                APITimeoutError(f"{case.host} did not finish its answer within {_LONGEST_S:g} s.")
            )
        except BudgetExceeded as error:
            said = f"Not asked: {error.message}"
            return Found("note", said, error=type(error).__name__)

    return asked


@_within_limits
async def completion(case: Case) -> Found:
    """A whole answer, with what it took."""
    begun = case.clock.monotonic()
    reply = await _client(case).chat(_request(case, _PROMPT, _MAX_TOKENS))
    took = case.clock.monotonic() - begun
    facts = _facts(reply)
    if not reply.text.strip():
        if reply.finish_reason == "length":
            said = f"{reply.model} answered, but thinking used up the {_MAX_TOKENS} tokens of this test."
            return Found("note", said, facts)
        said = f"{reply.model} answered without any text ({reply.finish_reason})."
        return Found("warning", said, facts, "empty_answer")
    case.works = True
    return Found("ok", f"{reply.model} answered in {took:.1f} s.", facts)


def _facts(reply: ChatReply) -> Facts:
    facts: Facts = ((MODEL, reply.model),)
    if text := _start_of(reply.text):
        facts = (*facts, (ANSWER, text))
    return (*facts, *_spent(reply))


def _spent(reply: ChatReply) -> Facts:
    """What the answer took."""
    if (usage := reply.usage) is None:
        facts: Facts = (("Tokens", "not told"),)
    else:
        counts = (usage.total_input_tokens, usage.output_tokens, usage.total_tokens)
        facts = tuple(zip(TOKENS, map(str, counts), strict=True))
    if reply.cost is not None:
        facts = (*facts, ("Cost", format_usd(reply.cost)))
    if reply.simulated:
        facts = (*facts, SIMULATED)
    return facts


def _start_of(text: str) -> str:
    text = whole(text).strip()
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


@_within_limits
async def streaming(case: Case) -> Found:
    """An answer that should come piece by piece."""
    try:
        seen = await _watch(case)
    except (StreamInterrupted, ProtocolError) as error:
        found = by_error(error)
        # an error of the server within the stream is not the line's fault
        broken = isinstance(error, ProtocolError)
        return replace(found, trouble="stream_broken") if broken else found
    facts: Facts = (
        ("First text after", f"{seen.first_s:.2f} s"),
        ("Pieces", str(seen.pieces)),
        ("Whole answer after", f"{seen.whole_s:.2f} s"),
        *_spent(seen.reply),
    )
    if seen.pieces == 0:
        return Found("warning", "The stream brought no text.", facts, "empty_answer")
    if seen.in_one_lump:
        said = f"The answer came in one lump after {seen.first_s:.1f} s, not piece by piece."
        return Found("warning", said, facts, "stream_broken")
    pieces = f"{seen.pieces} pieces" if seen.pieces != 1 else "one piece"
    said = f"The first text came after {seen.first_s:.1f} s, in {pieces} in all."
    if (usage := seen.reply.usage) is not None:
        said += f" It took {usage.total_tokens} tokens."
    return Found("ok", said, facts)


@dataclass(frozen=True, slots=True)
class _Seen:
    """How an answer came.

    Attributes:
        first_s, last_s: When its first and its last piece came, from when it was asked.
    """

    pieces: int
    first_s: float
    last_s: float
    whole_s: float
    reply: ChatReply

    @property
    def in_one_lump(self) -> bool:
        """Whether it surely was collected on the way. Short answers may well come at once."""
        usage = self.reply.usage
        if usage is None or usage.output_tokens < _SURE_TOKENS:
            return False
        if self.pieces == 1:
            return True
        return self.first_s > _LATE_S and self.last_s - self.first_s < _AT_ONCE_S


async def _watch(case: Case) -> _Seen:
    now = case.clock.monotonic
    begun = now()
    pieces, first, last = 0, 0.0, 0.0
    request = _request(case, _LONGER_PROMPT, _MAX_STREAMED_TOKENS)
    async with _client(case).send(request) as stream:
        async for event in stream:
            if isinstance(event, TextDelta | ThinkingDelta):
                last = now() - begun
                first = first if pieces else last
                pieces += 1
    return _Seen(pieces, first, last, now() - begun, stream.reply)


def _client(case: Case) -> Client:
    return case.session.single_try(case.world, case.configured, case.in_use, silence_s=_SILENCE_S)


def _request(case: Case, prompt: str, max_tokens: int) -> ChatRequest:
    return ChatRequest(messages=prompt, model=case.configured.model, max_tokens=max_tokens)  # type: ignore[arg-type]
