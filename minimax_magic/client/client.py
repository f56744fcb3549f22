"""`Client`: a prompt goes in, events or a reply come out.

`Client._events` is where the order of the parts can be read: limiter, bearer, send, classify,
decode, and what is tried again. The parts know nothing of each other.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias, Unpack

from minimax_magic.auth.sources import AuthSource
from minimax_magic.client.advice import advice_on
from minimax_magic.client.rate_limit import RateLimiter
from minimax_magic.client.retry import Attempts, RetryPolicy
from minimax_magic.client.streams import AnswerStream, ClosedWithBlock
from minimax_magic.clock import Clock
from minimax_magic.errors import (
    APIConnectionError,
    APITimeoutError,
    ConfigError,
    CredentialInvalid,
    InterruptReason,
    MinimaxError,
    StreamInterrupted,
)
from minimax_magic.events import (
    ChatReply,
    Finished,
    Notice,
    ReplyBuilder,
    RetryScheduled,
    Started,
    StreamEvent,
    StreamFailed,
    TextDelta,
    UsageUpdate,
)
from minimax_magic.masked import MaskedStr
from minimax_magic.messages import ApiFlavor, ChatOptions, ChatRequest, Prompt, make_request
from minimax_magic.pricing import PriceTable
from minimax_magic.transport import HttpResponse, Transport
from minimax_magic.usage.account import AccountReader
from minimax_magic.usage.meter import Booking, Meter, Purpose
from minimax_magic.usage.quota import QuotaAlert
from minimax_magic.usage.rows import Booked
from minimax_magic.wire.address import Endpoint
from minimax_magic.wire.anthropic_messages import AnthropicMessagesCodec
from minimax_magic.wire.balance import Balance
from minimax_magic.wire.codec import AnswerInfo, Codec, Decoder, Encoded
from minimax_magic.wire.failures import (
    error_from_response,
    is_missing_route,
    not_an_answer,
    parse_json,
)
from minimax_magic.wire.http import HttpRequest, bearer_headers, mask, remaining_quota
from minimax_magic.wire.openai_compat import OpenAICompatCodec
from minimax_magic.wire.remains import Quota
from minimax_magic.wire.sse import SSEParser
from minimax_magic.wire.stop import StopCutter
from minimax_magic.wire.xml_calls import XmlCalls

Send: TypeAlias = "Callable[[ChatRequest], AnswerStream]"
Replay: TypeAlias = "Callable[[Send, Purpose], Send]"
"""Puts recorded answers before what sends a request for somebody."""

_CODECS: dict[ApiFlavor, Codec] = {
    ApiFlavor.OPENAI_COMPAT: OpenAICompatCodec(),
    ApiFlavor.ANTHROPIC_MESSAGES: AnthropicMessagesCodec(),
}


def codec_for(flavor: ApiFlavor) -> Codec:
    """What speaks a wire format."""
    return _CODECS[flavor]


# A whole answer comes in one piece after the model is done, so silence before it is no fault: the
# longest answers take about this many times the pause that would end a stream.
_WHOLE_ANSWER_PATIENCE = 10
# Options that may take more than one request.
_OF_TURNS = frozenset({"tools", "images", "output", "max_steps", "repair"})
# What is no answer yet: if all fails after it, the request may still be made again.
_PRELUDE = (Started, UsageUpdate)
# How long to wait for the end of a body whose answer is complete, to keep the connection for the
# next request; it is nearly always there already.
_TAIL_S = 0.25
# What belongs to an error status comes at once and is short; more than this is not waited for.
_REFUSAL_S = 10.0
_MAX_REFUSAL_BYTES = 1024 * 1024


class Client:
    """Talks to one endpoint with one credential. `MiniMax` builds one from settings.

    Args:
        endpoint: Where to send, and which wire to speak.
        auth: Gives the bearer, asked anew for every attempt.
        transport: Sends the bytes.
        limiter: Asked before every attempt.
        clock: For waits between attempts.
        model: Used where a request names none.
        idle_timeout_s: Longest silence inside a stream; None: no limit.
        max_retry_wait_s: A server that asks for more patience than this fails the request at once.
        meter: Books every request; None: nothing is booked, and no budget is kept.
        purpose: Of requests that name none: whom they are for, prices and budget.
        replay: Answers requests from what was recorded, and records; None: all are sent.
        uniform: Gives numbers in [0, 1), for jitter.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        auth: AuthSource,
        transport: Transport,
        limiter: RateLimiter,
        clock: Clock,
        model: str,
        user_agent: str,
        group_id: str | None = None,
        retry: RetryPolicy | None = None,
        idle_timeout_s: float | None = 120.0,
        max_retry_wait_s: float = 120.0,
        quota_alert: QuotaAlert | None = None,
        meter: Meter | None = None,
        purpose: Purpose | None = None,
        replay: Replay | None = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self.endpoint = endpoint
        self.model = model
        self._auth = auth
        self._transport = transport
        self._limiter = limiter
        self._clock = clock
        self._user_agent = user_agent
        self._group_id = group_id
        self._retry = retry or RetryPolicy()
        self._idle_timeout_s = idle_timeout_s
        self._max_retry_wait_s = max_retry_wait_s
        self._quota_alert = quota_alert or QuotaAlert(None)
        self._meter = meter
        self._purpose = purpose or Purpose()
        self._replay = replay
        self._uniform = uniform
        self._codec = codec_for(endpoint.flavor)
        self._route = 0  # the candidate that answered last

    async def chat(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> ChatReply:
        """The whole answer, in one piece.

        Args:
            prompt: A string, a list of messages, or a `ChatRequest`.
            **options: See `ChatOptions`; they win over those of a request.

        Raises:
            MinimaxError: Any of the tree in `minimax_magic.errors` but `StreamInterrupted`'s
                `cancelled`.
        """
        if self._replay is not None or options.keys() & _OF_TURNS:
            async with self.stream(prompt, whole=True, **options) as turn:
                async for _ in turn:
                    pass
            return turn.reply
        request = make_request(prompt, options, default_model=self.model)
        encoded = self._codec.encode(request, stream=False)
        tries = self._tries(request, self._purpose)
        while True:
            try:
                return await self._whole(encoded, tries)
            except StreamInterrupted:
                raise  # it was worked on: no second time
            except MinimaxError as error:
                retry = await self._again(error, tries)
            if retry is not None:
                await self._clock.sleep(retry.wait_s)

    def stream(
        self,
        prompt: Prompt,
        *,
        whole: bool = False,
        purpose: Purpose | None = None,
        **options: Unpack[ChatOptions],
    ) -> AnswerStream:
        """The answer as it comes; arguments as for `chat`.

        Use it as `async with client.stream(...) as stream: async for event in stream: ...`. Leaving
        the block closes the connection, which is what stops the server from working on. With functions
        as tools, and with `output`, its events are those of all requests that it takes.

        Args:
            whole: Ask for the answer in one piece; the events are the same, but come at the end.
            purpose: Whom it is for, prices and budget; None: those of the client.
        """
        if options.keys() & _OF_TURNS:
            from minimax_magic.client.turns import conversation  # only those who use it pay for it

            def ask(request: ChatRequest) -> AnswerStream:
                return self.send(request, whole=whole, purpose=purpose)

            return conversation(ask, prompt, options, default_model=self.model)
        request = make_request(prompt, options, default_model=self.model)
        return self.send(request, whole=whole, purpose=purpose)

    def send(
        self, request: ChatRequest, *, whole: bool = False, purpose: Purpose | None = None
    ) -> AnswerStream:
        """The answer to exactly one request; arguments as for `stream`."""
        purpose = purpose or self._purpose
        if self._replay is None:
            return self._open(request, whole=whole, purpose=purpose)
        return self._replay(partial(self._open, whole=whole, purpose=purpose), purpose)(request)

    def _open(self, request: ChatRequest, *, whole: bool, purpose: Purpose) -> ChatStream:
        builder = ReplyBuilder(request.model)
        tries = self._tries(request, purpose)
        return ChatStream(self._events(builder, tries, stream=not whole), builder, tries)

    async def quota(self) -> Quota:
        """What is left of the Token Plan.

        Raises:
            CredentialInvalid: The key belongs to no plan, or to another region.
            MinimaxError: The server could not be asked.
        """
        return await self._account().quota()

    async def balance(self) -> Balance:
        """What is left of the money, for a key that pays as it goes; errors as of `quota`."""
        return await self._account().balance()

    def _account(self) -> AccountReader:
        return AccountReader(
            self.endpoint.root, self._auth, self._transport, self._clock, self._user_agent
        )

    async def close(self) -> None:
        """Closes the connections. The client can be used again; it then opens new ones."""
        await self._auth.close()
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # ---------------------------------------------------------------- the order of the parts

    async def _events(
        self, builder: ReplyBuilder, tries: _Tries, *, stream: bool
    ) -> AsyncGenerator[StreamEvent, None]:
        """One request with its retries. Nothing is retried once part of an answer is out."""
        encoded = self._codec.encode(tries.request, stream=stream)
        begun = False
        while True:
            try:
                async with aclosing(self._attempt(encoded, tries, stream=stream)) as batches:
                    async for batch in batches:
                        begun = True
                        for event in batch:
                            builder.apply(event)
                            yield event
                if advice := advice_on(tries.reply(builder), tries.request):
                    builder.apply(Notice(advice))
                    yield Notice(advice)
                return
            except MinimaxError as error:
                if isinstance(error, _AnswerLost):
                    raise _interrupted(error, tries.reply(builder)) from error.__cause__
                if begun:
                    raise _interrupted(error, tries.reply(builder)) from error
                retry = await self._again(error, tries)
            if retry is not None:
                yield retry
                await self._clock.sleep(retry.wait_s)

    async def _again(self, error: MinimaxError, tries: _Tries) -> RetryScheduled | None:
        """What to do about a failure before any answer: a retry, None to try again at once.

        Raises:
            MinimaxError: The failure itself, if it is not to be tried again.
        """
        if isinstance(error, CredentialInvalid) and tries.bearer is not None:
            if tries.refreshed:
                error.hint = (
                    "It is not taken although it was just renewed: log in again with "
                    "`%minimax login`, and check the region."
                )
            elif await self._auth.force_refresh(tries.bearer):
                tries.refreshed = True
                return None
        wait_s = tries.attempts.after(error)
        if wait_s is None:
            self._add_retry_facts(error, tries.attempts)
            raise error
        return RetryScheduled(error.message, wait_s, tries.attempts.number)

    def _tries(self, request: ChatRequest, purpose: Purpose) -> _Tries:
        attempts = Attempts(self._retry, self._max_retry_wait_s, self._uniform)
        return _Tries(request, purpose, attempts)

    async def _whole(self, encoded: Encoded, tries: _Tries) -> ChatReply:
        """One attempt at an answer in one piece: as `_attempt`, without what streaming needs."""
        response, info, booking = await self._send(encoded.body, tries, stream=False)
        try:
            return await self._read_whole(response, info, booking, encoded, tries)
        finally:
            if booking is not None:
                booking.break_off()  # unless it has ended otherwise

    async def _read_whole(
        self,
        response: HttpResponse,
        info: AnswerInfo,
        booking: Booking | None,
        encoded: Encoded,
        tries: _Tries,
    ) -> ChatReply:
        request = tries.request
        content_type = response.headers.get("content-type", "").lower()
        decoder = self._codec.decoder(info)
        events: list[StreamEvent] = []
        broken: APIConnectionError | None = None
        try:
            if "event-stream" in content_type:  # a server that only streams
                async with aclosing(_read_stream(response, decoder)) as batches:
                    async for batch in batches:
                        events += batch
            else:
                events = _decode_whole(await response.read(), content_type, decoder, info)
        except APIConnectionError as error:
            broken = error
        finally:
            response.close()
        if booking is not None:
            booking.saw(events)
        if request.tools:
            reader = XmlCalls(request.tools)
            events = [*reader.feed(events), *reader.flush()]
        if any(request.stop):
            events = _cut(events, StopCutter(request.stop))
        failed = _pop_failure(events)
        builder = ReplyBuilder(request.model)
        for event in [*events[:1], *tries.notices(encoded), *events[1:]]:
            builder.apply(event)
        reply = tries.reply(builder)
        if advice := advice_on(reply, request):
            builder.apply(Notice(advice))
            reply = tries.reply(builder)
        if failed is not None:
            if all(isinstance(event, _PRELUDE) for event in events):
                if booking is not None:
                    booking.refuse()
                raise failed
            raise _interrupted(failed, reply) from failed
        if reply.finish_reason is None:
            raise _interrupted(_AnswerLost(broken, info), reply) from broken
        if booking is not None:
            booking.finish()
        return reply

    async def _attempt(
        self, encoded: Encoded, tries: _Tries, *, stream: bool
    ) -> AsyncGenerator[list[StreamEvent], None]:
        """Limiter, bearer, send, classify (all in `_send`), decode: one answer in batches of events.

        The first batch holds a piece of the answer: a mere start is kept back, since a failure that
        follows it may still be tried again.
        """
        response, info, booking = await self._send(encoded.body, tries, stream=stream)
        decoder = self._codec.decoder(info)
        cutter = StopCutter(tries.request.stop) if any(tries.request.stop) else None
        batches = _read_answer(response, decoder, info, stream=stream)
        if tries.request.tools:
            batches = _read_xml_calls(batches, XmlCalls(tries.request.tools))
        if cutter is not None:
            batches = _cut_at_stop(batches, cutter)
        held: list[StreamEvent] = []
        begun = False
        try:
            async for batch in batches:
                if booking is not None:
                    booking.saw(batch)
                failed = _pop_failure(batch)
                if not begun:
                    begun = not all(isinstance(event, _PRELUDE) for event in batch)
                    held += batch
                    batch = [*held[:1], *tries.notices(encoded), *held[1:]] if begun else []
                if batch:
                    yield batch
                if failed is not None:
                    if booking is not None and not begun:
                        booking.refuse()
                    raise failed
            cut = cutter is not None and cutter.hit
            if decoder.finished or cut:
                if booking is not None:
                    booking.finish(cut=cut and not decoder.finished)
                return
            broken = None
        except APIConnectionError as error:
            broken = error
        finally:
            if booking is not None:
                booking.break_off()  # unless it has ended otherwise
            await batches.aclose()
            response.close()
        if not begun:
            yield held  # the tokens counted so far
        raise _AnswerLost(broken, info) from broken

    async def _send(
        self, body: bytes, tries: _Tries, *, stream: bool
    ) -> tuple[HttpResponse, AnswerInfo, Booking | None]:
        """Sends to the first route that exists. Any answer but a 2xx is raised."""
        route = self._route
        while True:
            await self._limiter.acquire()
            tries.bearer = None  # what follows is no server's word on a token
            # masked here too, whoever wrote the source: tracebacks may show this variable
            tries.bearer = bearer = MaskedStr(await self._auth.fresh_bearer())
            request = self._http_request(route, bearer, body, stream=stream)
            booking = await self._book(tries, whole=not stream)
            try:
                response = await self._transport.send(request)
                if booking is not None:
                    booking.answered(simulated=_is_simulated(response))
                self._quota_alert.observe(remaining_quota(response.headers))
                if 200 <= response.status < 300:
                    self._route = route
                    return response, _answer_info(response, request.url, bearer), booking
                refusal = await _read_refusal(response, bearer)
                missing = is_missing_route(response.status, refusal)
                if missing and route + 1 < len(self.endpoint.candidates):
                    route += 1
                    if booking is not None:
                        booking.void()
                    continue
                self._route = 0 if missing else route
                raise error_from_response(
                    response.status,
                    response.headers,
                    refusal,
                    url=self.endpoint.candidates[self._route],
                    now=self._clock.time(),
                    secrets=(bearer,),
                )
            except BaseException as error:
                if booking is not None:
                    _end_unanswered(booking, error)
                raise

    async def _book(self, tries: _Tries, *, whole: bool) -> Booking | None:
        if self._meter is None:
            return None
        tries.booking = await self._meter.open(tries.request, tries.purpose, whole=whole)
        tries.unrecorded = self._meter.books.problem
        return tries.booking

    def _http_request(self, route: int, bearer: str, body: bytes, *, stream: bool) -> HttpRequest:
        silence_s = self._idle_timeout_s
        if silence_s is not None and not stream:
            silence_s *= _WHOLE_ANSWER_PATIENCE
        headers = bearer_headers(
            bearer,
            self.endpoint.flavor,
            stream=stream,
            group_id=self._group_id,
            user_agent=self._user_agent,
        )
        return HttpRequest("POST", self.endpoint.candidates[route], headers, body, silence_s)

    def _add_retry_facts(self, error: MinimaxError, attempts: Attempts) -> None:
        """Says in the error how often it was tried, or when to come back."""
        asked_ms = getattr(error, "retry_after_ms", None)
        if asked_ms is not None and asked_ms / 1000 > self._max_retry_wait_s:
            error.hint = f"The server asks to come back {_in(asked_ms, self._clock.time())}."
        elif attempts.number > 2:
            error.message = f"{error.message} (tried {attempts.number - 1} times)"


@dataclass(slots=True)
class _Tries:
    """One request, and what was tried so far for it.

    Attributes:
        bearer: What the last attempt was sent with.
        booking: Of the last attempt; None if nothing is booked.
        unrecorded: Why it could not be recorded; empty if it was.
    """

    request: ChatRequest
    purpose: Purpose
    attempts: Attempts
    refreshed: bool = False
    bearer: str | None = field(default=None, repr=False)
    booking: Booking | None = None
    unrecorded: str = ""

    def notices(self, encoded: Encoded) -> list[Notice]:
        """What the person should know beside the answer."""
        notices = [Notice(text) for text in encoded.notices]
        if self.unrecorded:
            notices.append(Notice(f"usage is not recorded. {self.unrecorded}", local=True))
        return notices

    def reply(self, builder: ReplyBuilder) -> ChatReply:
        """What has been received so far."""
        return builder.build(_cost(builder, self.request, self.purpose.prices))


class ChatStream(ClosedWithBlock[StreamEvent]):
    """An answer on its way; see `Client.stream`.

    Iterating gives events once. `reply` is what has been received so far, and the whole answer
    after the loop.
    """

    def __init__(
        self, events: AsyncGenerator[StreamEvent, None], builder: ReplyBuilder, tries: _Tries
    ) -> None:
        super().__init__(events)
        self.request = tries.request
        self._builder = builder
        self._tries = tries

    @property
    def reply(self) -> ChatReply:
        return self._tries.reply(self._builder)

    @property
    def booked(self) -> Booked | None:
        """The figures as they are booked, estimates where the server said none; None if nothing is."""
        booking = self._tries.booking
        return booking.live() if booking is not None else None


# -------------------------------------------------------------------------------- one answer


async def _read_refusal(response: HttpResponse, bearer: str) -> bytes:
    """The start of what comes with an error status; the status counts even if this breaks off.

    Masked at once, since a traceback may show the caller's variables.
    """
    body = b""
    try:
        async with asyncio.timeout(_REFUSAL_S), aclosing(response.chunks()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > _MAX_REFUSAL_BYTES:
                    break
    except (TimeoutError, APIConnectionError):
        pass
    finally:
        response.close()
    return mask(body.decode("utf-8", "replace"), (bearer,)).encode()


async def _read_answer(
    response: HttpResponse, decoder: Decoder, info: AnswerInfo, *, stream: bool
) -> AsyncGenerator[list[StreamEvent], None]:
    """The events of each network read. A server may answer a stream request with plain JSON."""
    content_type = response.headers.get("content-type", "").lower()
    if "event-stream" not in content_type and (content_type or not stream):
        yield _decode_whole(await response.read(), content_type, decoder, info)
        return
    async with aclosing(_read_stream(response, decoder)) as batches:
        async for batch in batches:
            yield batch


async def _read_stream(
    response: HttpResponse, decoder: Decoder
) -> AsyncGenerator[list[StreamEvent], None]:
    """The events of each network read of an event stream."""
    parser = SSEParser()
    async with aclosing(response.chunks()) as chunks:
        try:
            async for chunk in chunks:
                events: list[StreamEvent] = []
                for data in parser.feed(chunk):
                    events += decoder.feed(data)
                if events:
                    yield events
                if decoder.finished:
                    await _read_to_end(chunks)
                    return
        except APIConnectionError:
            # all of the answer may have come but its closing words
            yield decoder.close()
            if decoder.finished:
                return
            raise
    events = []
    for data in parser.close():
        events += decoder.feed(data)
    yield events + decoder.close()


def _pop_failure(batch: list[StreamEvent]) -> MinimaxError | None:
    """Takes the failure off the end of a batch, if it ends in one."""
    if batch and isinstance(last := batch[-1], StreamFailed):
        batch.pop()
        return last.error
    return None


def _decode_whole(
    body: bytes, content_type: str, decoder: Decoder, info: AnswerInfo
) -> list[StreamEvent]:
    payload = parse_json(body)
    if isinstance(payload, dict):
        return decoder.feed_whole(payload)
    return [StreamFailed(not_an_answer(content_type, body, url=info.url, secrets=info.secrets))]


async def _read_to_end(chunks: AsyncIterator[bytes]) -> None:
    try:
        async with asyncio.timeout(_TAIL_S):
            async for _ in chunks:
                pass
    except (TimeoutError, APIConnectionError):
        return  # the answer is complete; the connection is then simply not used again


async def _read_xml_calls(
    batches: AsyncGenerator[list[StreamEvent], None], reader: XmlCalls
) -> AsyncGenerator[list[StreamEvent], None]:
    """Calls that were written as text become calls."""
    async with aclosing(batches):
        try:
            async for batch in batches:
                yield reader.feed(batch)
        except APIConnectionError:
            yield reader.flush()
            raise
        yield reader.flush()


async def _cut_at_stop(
    batches: AsyncGenerator[list[StreamEvent], None], cutter: StopCutter
) -> AsyncGenerator[list[StreamEvent], None]:
    """Ends the answer at a stop string; the rest is not read."""
    async with aclosing(batches):
        try:
            async for batch in batches:
                yield _cut(batch, cutter)
                if cutter.hit:
                    return
        except APIConnectionError:
            yield _cut_rest(cutter)
            raise
        yield _cut_rest(cutter)


def _cut(batch: list[StreamEvent], cutter: StopCutter) -> list[StreamEvent]:
    """The batch up to the stop string, with what was held back of earlier ones.

    What the server has said of tokens by then is kept, though it stands behind the text.
    """
    events: list[StreamEvent] = []
    for number, event in enumerate(batch):
        match event:
            case TextDelta(text):
                if text := cutter.feed(text):
                    events.append(TextDelta(text))
                if cutter.hit:
                    said = [later for later in batch[number:] if isinstance(later, UsageUpdate)]
                    return [*events, *said, Finished("stop")]
            case UsageUpdate():
                events.append(event)  # may come in the middle of a text
            case _:
                events += [*_cut_rest(cutter), event]
    return events


def _cut_rest(cutter: StopCutter) -> list[StreamEvent]:
    """What was held back as the possible beginning of a stop string and was none."""
    rest = cutter.flush()
    return [TextDelta(rest)] if rest else []


def _answer_info(response: HttpResponse, url: str, bearer: str) -> AnswerInfo:
    headers = response.headers
    request_id = headers.get("trace-id") or headers.get("minimax-request-id")
    return AnswerInfo(url, request_id, _is_simulated(response), (bearer,))


def _is_simulated(response: HttpResponse) -> bool:
    return "x-minimax-simulated" in response.headers


def _in(wait_ms: int, now: float) -> str:
    """`in 300 s, at 12:05:00 UTC`, with the day if it is not today's."""
    wait = f"in {wait_ms / 1000:,.0f} s"
    today = datetime.fromtimestamp(now, UTC)
    try:
        at = today + timedelta(milliseconds=wait_ms)
    except OverflowError:  # the server asks for more years than there are
        return wait
    day = "" if at.date() == today.date() else f"{at:%Y-%m-%d} "
    return f"{wait}, at {day}{at:%H:%M:%S} UTC"


def _cost(builder: ReplyBuilder, request: ChatRequest, prices: PriceTable) -> Decimal | None:
    usage = builder.usage
    if usage is None:
        return None
    return prices.cost(request.model, usage, service_tier=request.service_tier)


def _end_unanswered(booking: Booking, error: BaseException) -> None:
    """What a request took that came to no answer."""
    match error:
        case ConfigError() | APIConnectionError(sent=False):
            booking.void()
        case APIConnectionError() | MinimaxError(status=502 | 504 | 524):
            booking.break_off("failed")  # a gateway's: what is behind it may have worked on
        case MinimaxError():
            booking.refuse()
        case _:
            booking.break_off()


class _AnswerLost(MinimaxError):
    """An answer that was being worked on did not come. Leaves this module as `StreamInterrupted`.

    Args:
        broken: What happened to the connection; None if the stream ended in order, but too early.
    """

    def __init__(self, broken: APIConnectionError | None, info: AnswerInfo) -> None:
        self.reason: InterruptReason
        if broken is None:
            message = "The answer ended in the middle: the server closed it without finishing it."
            self.reason, hint = "truncated", "Try again."
        else:
            message, hint = broken.message, broken.hint
            self.reason = "timeout" if isinstance(broken, APITimeoutError) else "disconnected"
        super().__init__(message, hint=hint, request_id=info.request_id)


def _interrupted(error: MinimaxError, partial: ChatReply) -> StreamInterrupted:
    return StreamInterrupted(
        error.message,
        partial=partial,
        reason=error.reason if isinstance(error, _AnswerLost) else "server_error",
        hint=error.hint,
        status=error.status,
        code=error.code,
        request_id=error.request_id or partial.request_id,
    )
