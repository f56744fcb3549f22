"""The HTTP side: takes a request, lets the pure modules decide, has the answer written.

Order for a chat request: key, body, validation, then the script, then `always`, then an account
that is empty, then `choose`. So a scripted behaviour never hides that a request was malformed.
Everything that is not a known route gets nginx's page.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from minimax_magic.simulator import balance, wire_anthropic, wire_openai
from minimax_magic.simulator.account import Account
from minimax_magic.simulator.account_routes import answer_account, dated
from minimax_magic.simulator.account_values import is_access_token
from minimax_magic.simulator.answer import Answer, PromptCache, cut_to_limit, new_id, settle
from minimax_magic.simulator.behaviours import (
    Behaviour,
    Drop,
    Fail,
    FailMidStream,
    Frames,
    Raw,
    Reply,
    Silence,
    Usage,
)
from minimax_magic.simulator.choose import choose, ordinary
from minimax_magic.simulator.exchange import Exchange, Fault, Received
from minimax_magic.simulator.exhausted import exhausted
from minimax_magic.simulator.failures import CODES, failure_body
from minimax_magic.simulator.model_list import answer_models, is_models
from minimax_magic.simulator.planted import PLANTED, PLANTED_PATH
from minimax_magic.simulator.turn import Turn, Wire, read_anthropic, read_openai
from minimax_magic.simulator.validation import check_anthropic, check_openai

SERVER = "minimax-simulator"
MARK = "X-MiniMax-Simulated"
CHAT: dict[str, Wire] = {
    "/anthropic/v1/messages": "anthropic",
    "/v1/chat/completions": "openai",
    "/v1/text/chatcompletion_v2": "native",
}
REMAINS_PATH = "/v1/token_plan/remains"
LEGACY_REMAINS_PATH = "/v1/api/openplatform/coding_plan/remains"
BALANCE_PATH = "/account/query_balance"
REMAINS_PATHS = (REMAINS_PATH, LEGACY_REMAINS_PATH)
# A plan's key has a quota whoever it is, a key that pays as it goes a balance; any other key, and a
# login, is of a plan.
PLAN_KEY, PAID_KEY = "sk-cp-", "sk-api-"
# the real limit for a body
MAX_BODY_BYTES = 64 * 1024 * 1024
# a client under benchmark sends some thousands; the log must not grow in a long session
LOG_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Served:
    """Running total of what the model answered; what was refused costs nothing.

    An answer that was broken off counts its whole input and the part of its output that was sent,
    once its request is `finished`.
    """

    requests: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0

    def plus(self, usage: Usage) -> Served:
        """With one more request."""
        return Served(
            self.requests + 1,
            self.input_tokens + usage.input_tokens,
            self.cache_read_tokens + usage.cache_read_tokens,
            self.cache_write_tokens + usage.cache_write_tokens,
            self.output_tokens + usage.output_tokens,
        )

    def without_output(self, tokens: int) -> Served:
        """With so much less output, of a request that is counted already."""
        return replace(self, output_tokens=self.output_tokens - tokens)


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER
    response.headers[MARK] = "1"


class Service:
    """All state of a simulator and its one aiohttp handler; bound to no port.

    `requests`, `served`, `served_by_model`, `script`, `always` and `account` may be used from any
    thread.
    """

    def __init__(self, key: str, delay_s: float, accept_x_api_key: bool) -> None:
        self.key = key
        self.delay_s = delay_s
        self.accept_x_api_key = accept_x_api_key
        self.account = Account()
        self.script: deque[Behaviour] = deque()
        self.always: Behaviour | str | None = None
        self.served = Served()
        self._served_by_model: dict[str, Served] = {}
        self._log: deque[Received] = deque(maxlen=LOG_SIZE)
        self._lock = threading.Lock()
        self._cache = PromptCache()
        self._failed_once: set[bytes] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False

    @property
    def requests(self) -> list[Received]:
        """What was received, oldest first: a copy."""
        with self._lock:
            return list(self._log)

    @property
    def served_by_model(self) -> dict[str, Served]:
        """`served` for each model, by the id that was asked for: a copy."""
        with self._lock:
            return dict(self._served_by_model)

    def reset(self) -> None:
        """Forget requests, totals, script, `always`, cache and logins; key, pace and knobs stay."""
        self.script.clear()
        self.always = None
        self.account.reset()
        with self._lock:
            self._log.clear()
            self.served = Served()
            self._served_by_model = {}
        self._cache = PromptCache()
        self._failed_once = set()

    def application(self) -> web.Application:
        """A fresh aiohttp application that serves from this state."""
        self._stopping = False
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        app.on_response_prepare.append(_mark)
        return app

    def interrupt(self) -> None:
        """End every answer under way, so that a stop need not wait for a silent one."""
        self._stopping = True
        for task in tuple(self._tasks):
            task.cancel()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        exchange = Exchange(request)
        record = exchange.record
        with self._lock:
            self._log.append(record)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await self._route(exchange)
        except (asyncio.CancelledError, ConnectionError):
            record.closed_early = not (self._stopping or exchange.settled)
            raise
        finally:
            self._tasks.discard(task)
            record.finished.set()

    async def _route(self, exchange: Exchange) -> web.StreamResponse:
        if (response := await answer_account(self.account, exchange)) is not None:
            return response
        request = exchange.request
        if request.path == PLANTED_PATH:
            return exchange.raw(PLANTED)
        wire = CHAT.get(request.path) if request.method == "POST" else None
        if request.method == "GET" and request.path in (*REMAINS_PATHS, BALANCE_PATH):
            return dated(self.account, self._left(exchange))
        if wire is None and not (request.method == "GET" and is_models(request.path)):
            return exchange.nowhere()
        if refusal := self._refusal(request, wire):
            return exchange.fail(refusal)
        if wire is None:
            return answer_models(exchange)
        return await self._chat(exchange, wire)

    def _token(self, request: web.Request, wire: Wire | None) -> str:
        """The key or access token that came along; empty for none."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = ""
        token = token.strip()
        if not token and self.accept_x_api_key and wire == "anthropic":
            token = request.headers.get("X-Api-Key", "").strip()
        return token

    def _refusal(self, request: web.Request, wire: Wire | None) -> Fail | None:
        token = self._token(request, wire)
        if token and request.path == BALANCE_PATH:
            return None if token.startswith(PAID_KEY) else Fail(code=2049)
        if is_access_token(token):
            return None if self.account.accepts(token) else Fail(code=1004)
        if not token:
            return Fail(code=1004)
        if request.path in REMAINS_PATHS and token.startswith((PLAN_KEY, PAID_KEY)):
            return None if token.startswith(PLAN_KEY) else Fail(code=2049)
        return None if token == self.key else Fail(code=2049)

    def _left(self, exchange: Exchange) -> web.Response:
        """Always HTTP 200, as MiniMax has it: a refusal is told in `base_resp` only."""
        path = exchange.request.path
        is_balance = path == BALANCE_PATH
        scripted = self.account.scripted_answer("balance" if is_balance else "remains")
        if scripted is not None:
            return exchange.raw(scripted)
        if path == REMAINS_PATH and self.account.only_legacy_remains:
            return exchange.nowhere()
        refusal = self._refusal(exchange.request, None)
        if refusal is not None and refusal.code is not None:
            message = CODES[refusal.code][1]
            base_resp = {"status_code": refusal.code, "status_msg": message}
            return exchange.json({"base_resp": base_resp})
        served = self.served
        if is_balance:
            left = balance.available(
                served.input_tokens,
                served.output_tokens,
                served.cache_read_tokens,
                served.cache_write_tokens,
            )
            return exchange.raw(self.account.balance(left))
        tokens = served.input_tokens + served.cache_write_tokens + served.output_tokens
        legacy = path == LEGACY_REMAINS_PATH
        return exchange.raw(self.account.remains(tokens, legacy=legacy))

    async def _chat(self, exchange: Exchange, wire: Wire) -> web.StreamResponse:
        try:
            raw = await exchange.request.read()
        except web.HTTPRequestEntityTooLarge:
            return exchange.fail(Fail(413))
        try:
            body = json.loads(raw)
        except ValueError:
            return exchange.refuse("request body is not valid JSON")
        exchange.record.body = body
        problem = check_anthropic(body) if wire == "anthropic" else check_openai(body)
        if problem:
            return exchange.refuse(problem)
        turn = read_anthropic(body) if wire == "anthropic" else read_openai(body, wire)
        exchange.record.images = turn.images
        always = self.always
        if isinstance(always, str):
            turn = replace(turn, always=always)
        pays = self._token(exchange.request, wire).startswith(PAID_KEY)
        empty = exhausted(self.account, pays_as_it_goes=pays)
        behaviour = self._next(turn, exchange.origin, always, empty)
        if isinstance(behaviour, Fail) and behaviour.once:
            if raw in self._failed_once:
                self._failed_once.discard(raw)
                behaviour = cut_to_limit(turn, ordinary(turn, exchange.origin))
            else:
                self._failed_once.add(raw)
        return await self._perform(exchange, turn, behaviour)

    def _next(
        self, turn: Turn, origin: str, always: Behaviour | str | None, empty: Fail | None
    ) -> Behaviour:
        try:
            return self.script.popleft()
        except IndexError:
            pass  # nobody scripted this one
        if always is not None and not isinstance(always, str):
            return always
        if empty is not None and not always:
            return empty
        chosen = choose(turn, origin)
        return cut_to_limit(turn, chosen) if isinstance(chosen, Reply) else chosen

    async def _perform(
        self, exchange: Exchange, turn: Turn, behaviour: Behaviour
    ) -> web.StreamResponse:
        match behaviour:
            case Raw():
                return exchange.raw(behaviour)
            case Fail():
                return exchange.fail(behaviour)
            case Reply() as of:
                return await self._reply(exchange, turn, of, None)
            case Frames() as of:
                return await _frames(exchange, turn, of, None)
            case Drop() | Silence() | FailMidStream():
                inner = behaviour.of or ordinary(turn, exchange.origin)
                if isinstance(inner, Frames):
                    return await _frames(exchange, turn, inner, behaviour)
                return await self._reply(exchange, turn, inner, behaviour)

    async def _reply(
        self, exchange: Exchange, turn: Turn, reply: Reply, fault: Fault | None
    ) -> web.StreamResponse:
        wire = wire_anthropic if turn.wire == "anthropic" else wire_openai
        delay_s = self.delay_s if reply.delay_s is None else reply.delay_s
        streamed = turn.stream and reply.stream
        if fault is not None and not streamed:
            return await exchange.break_off(fault)
        answer = settle(turn, reply, self._cache, int(time.time()))
        # booked before the client can have seen the end, corrected if it never gets there
        self._book(answer)
        complete = False
        try:
            if streamed:
                frames = wire.frames(turn, answer)
                error = _error_frame(turn, fault)
                response = await exchange.stream(frames, delay_s, fault, error)
            else:
                if delay_s:
                    await asyncio.sleep(delay_s * _pieces(answer))
                response = exchange.json(wire.whole(turn, answer))
            complete = fault is None
        finally:
            if not complete:
                self._take_back(answer, exchange.record.chunks_sent)
        return response

    def _book(self, answer: Answer) -> None:
        with self._lock:
            self.served = self.served.plus(answer.usage)
            of_model = self._served_by_model.get(answer.model, Served())
            self._served_by_model[answer.model] = of_model.plus(answer.usage)

    def _take_back(self, answer: Answer, chunks_sent: int) -> None:
        """Of a broken answer only what was sent counts, a chunk as full."""
        sent = -(-chunks_sent * answer.chunk_chars // 4)
        unsent = max(0, answer.usage.output_tokens - sent)
        with self._lock:
            self.served = self.served.without_output(unsent)
            if (of_model := self._served_by_model.get(answer.model)) is not None:
                self._served_by_model[answer.model] = of_model.without_output(unsent)


def _pieces(answer: Answer) -> int:
    return -(-(len(answer.thinking) + len(answer.text)) // answer.chunk_chars)


async def _frames(
    exchange: Exchange, turn: Turn, frames: Frames, fault: Fault | None
) -> web.StreamResponse:
    return await exchange.stream(
        frames.chunks,
        frames.delay_s,
        fault,
        _error_frame(turn, fault),
        frames.status,
        frames.content_type,
    )


def _error_frame(turn: Turn, fault: Fault | None) -> bytes:
    if not isinstance(fault, FailMidStream):
        return b""
    now = datetime.now(UTC)
    if turn.wire == "anthropic":
        body = failure_body(Fail(code=fault.code, message=fault.message), new_id(), now)
        return wire_anthropic.error_frame(body)
    status = 200 if fault.style == "base_resp" else None
    body = failure_body(Fail(status, fault.code, fault.message), new_id(), now)
    return wire_openai.error_frame(body)
