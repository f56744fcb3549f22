"""What the magics talk to.

`Session` resolves settings, agents and credentials afresh for every cell, keeps one client for each
combination of them, and remembers chats.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minimax_magic.ask import Ask, make_draft, purpose_of
from minimax_magic.assembly import (
    USER_AGENT,
    billing_of,
    endpoint_for,
    make_limiter,
    make_meter,
    region_name,
    replay_store,
    retry_policy,
    through_recordings,
    token_plan,
)
from minimax_magic.auth.sources import (
    AuthSource,
    Candidate,
    Credential,
    Login,
    StaticKey,
)
from minimax_magic.auth.token_plan import TokenPlan
from minimax_magic.chats import Chats, check_fits
from minimax_magic.client.client import Client, codec_for
from minimax_magic.client.rate_limit import RateLimiter
from minimax_magic.client.retry import RetryPolicy
from minimax_magic.clock import Clock, SystemClock, utc
from minimax_magic.config import Settings, load_settings
from minimax_magic.config_folders import label_of
from minimax_magic.errors import CredentialsMissing, MinimaxError
from minimax_magic.messages import ChatRequest
from minimax_magic.pricing import format_usd
from minimax_magic.render.dry_run import Preview
from minimax_magic.tokens import TokenUsage
from minimax_magic.transport import AiohttpTransport, Transport
from minimax_magic.turn import Turn
from minimax_magic.usage.account import AccountReader, AccountWatch
from minimax_magic.usage.budget import limits, no_worst_case, worst_case
from minimax_magic.usage.estimate import estimate_input, most_output
from minimax_magic.usage.ledger import open_ledger
from minimax_magic.usage.meter import Books, Purpose
from minimax_magic.usage.quota import QuotaAlert
from minimax_magic.usage.rows import Billing
from minimax_magic.wire.address import Endpoint, resolve_endpoint
from minimax_magic.wire.http import mask
from minimax_magic.world import LocalServer, World

if TYPE_CHECKING:  # only cells that use them wait for these to be imported
    from minimax_magic.client.streams import AnswerStream
    from minimax_magic.tools.calls import Hands


@dataclass(frozen=True, slots=True)
class Status:
    """What a cell would use.

    Attributes:
        settings: None: they could not be read.
        endpoint: None: there is nothing to use; `problem` says why.
        credential: None: there is none.
        described: The credential in words, masked.
        places: Where a credential was looked for, in their order.
        problem: What is wrong, and what to do; empty if nothing is.
    """

    settings: Settings | None
    endpoint: Endpoint | None
    credential: Credential | Login | None
    described: str
    places: tuple[Candidate, ...]
    problem: str


class Session:
    """Answers cells.

    Args:
        load: Reads the settings.
        make_transport: Makes what sends bytes.
        clock: For the limiter and retries.

    Attributes:
        real: MiniMax, as configured.
        world: What cells use now: `real`, or a simulator's.
    """

    def __init__(
        self,
        *,
        load: Callable[[], Settings] = load_settings,
        make_transport: Callable[[], Transport] = AiohttpTransport,
        clock: Clock | None = None,
    ) -> None:
        self.real = self.world = World(load)
        self.clock = clock or SystemClock()
        self._load = load
        self._make_transport = make_transport
        self._worlds: dict[LocalServer, World] = {}
        self._clients: dict[tuple[Any, ...], Client] = {}
        self._limiters: dict[float | None, RateLimiter] = {}
        self._plans: dict[tuple[Any, ...], TokenPlan] = {}
        self._books: dict[str, Books] = {}
        self._watches: dict[tuple[Any, ...], AccountWatch] = {}
        self._account_transport: Transport | None = None
        # cells and the usage panel make these from two threads
        self._making = threading.RLock()

    def world_of(self, simulator: LocalServer) -> World:
        """That of a simulator, which need not be in use."""
        world = self._worlds.get(simulator)
        if world is None:
            world = self._worlds[simulator] = World(self._load, simulator)
        return world

    @property
    def simulator(self) -> LocalServer | None:
        """Where all requests go instead, while it is set."""
        return self.world.simulator

    @simulator.setter
    def simulator(self, server: LocalServer | None) -> None:
        self.world = self.real if server is None else self.world_of(server)

    @property
    def chats(self) -> Chats:
        return self.world.chats

    def settings(self) -> Settings:
        """The settings as of now, of what is in use."""
        return self.world.settings()

    def prepare(self, ask: Ask, hands: Hands | None = None) -> Turn:
        """Everything short of sending.

        Args:
            hands: Run tools; None: the loop that reads the answer does.

        Raises:
            ConfigError: An option, a file or a variable is wrong.
            CredentialsMissing: There is no key, and one is needed.
        """
        world = self.world
        settings = world.settings()
        draft = make_draft(world.chats, ask, settings)
        send = self._sender(world, ask, settings)
        if not (draft.functions or ask.output or draft.notices):
            return Turn(send(draft.request), world.chats, ask.chat)
        from minimax_magic.client.conversation import Conversation

        conversation = Conversation(
            send,
            draft.bare,
            functions=draft.functions,
            hands=hands,
            max_steps=draft.max_steps,
            output=ask.output,
            repair=ask.repair,
            check=partial(check_fits, chat=ask.chat),
            notices=draft.notices,
        )
        return Turn(conversation, world.chats, ask.chat, conversation)

    def _sender(
        self, world: World, ask: Ask, settings: Settings
    ) -> Callable[[ChatRequest], AnswerStream]:
        """What answers the requests of a cell: the server, recordings, or both."""
        purpose = purpose_of(ask, settings)
        mode = ask.cache or settings.cache
        send: Callable[[ChatRequest], AnswerStream] | None = None
        simulated: bool | None = None
        if mode != "replay":
            credential = world.credential(settings)
            client = self._client(world, settings, credential, ask.flavor)
            send = partial(client.send, whole=ask.whole, purpose=purpose)
            if mode == "off":
                return send
            flavor = client.endpoint.flavor
            simulated = self.is_simulated(world, settings, credential)
        else:
            flavor = resolve_endpoint(settings.base_url, ask.flavor or settings.api_flavor).flavor
            if world.simulator is not None:
                simulated = True
        return through_recordings(
            send,
            replay_store(settings, mode, ask.cache_file),
            mode,
            flavor=flavor,
            simulated=simulated,
            books=self.books(settings),
            purpose=purpose,
            clock=self.clock,
        )

    def preview(self, ask: Ask) -> Preview:
        """What `prepare` would have sent, and what it could cost. Works without a credential.

        Raises:
            ConfigError: As `prepare`, or recorded answers cannot be read.
        """
        world = self.world
        settings = world.settings()
        draft = make_draft(world.chats, ask, settings)
        request, notices = draft.request, draft.notices
        secrets: tuple[str, ...] = ()
        simulated = world.simulator is not None
        try:
            credential = world.credential(settings)
        except CredentialsMissing as missing:
            endpoint = resolve_endpoint(settings.base_url, ask.flavor or settings.api_flavor)
            if (ask.cache or settings.cache) != "replay":
                notices = (*notices, str(missing))
        else:
            endpoint = endpoint_for(settings, credential, ask.flavor)
            simulated = self.is_simulated(world, settings, credential)
            secrets = _secrets(credential)
        encoded = codec_for(endpoint.flavor).encode(request, stream=not ask.whole)
        body = json.dumps(_shortened(json.loads(encoded.body)), indent=2, ensure_ascii=False)
        prices, tier = settings.prices, request.service_tier
        tokens = TokenUsage(input_tokens=estimate_input(request))
        shown = Preview(
            url=endpoint.candidates[0],
            model=request.model,
            body=mask(body, secrets),
            notices=(*encoded.notices, *notices),
            earlier=len(request.messages) - 1,
            input_tokens=tokens.input_tokens,
            most_output=most_output(request, endpoint.flavor),
            least=prices.cost(request.model, tokens, service_tier=tier),
            most=worst_case(request, endpoint.flavor, prices),
        )
        mode = ask.cache or settings.cache
        if mode in ("record", "replay"):
            from minimax_magic.replay.recording import request_key

            store, label = replay_store(settings, mode, ask.cache_file)
            kind = simulated if mode == "record" or world.simulator is not None else None
            if store.get(request_key(request), simulated=kind) is not None:
                told = f"{label} has the answer to this: it would be replayed, at no cost."
                return replace(shown, notices=(*shown.notices, told))
            if mode == "replay":
                return replace(shown, refused=f"{label} holds no answer to this.")
        return self._with_budgets(shown, request, purpose_of(ask, settings), settings, simulated)

    def _with_budgets(
        self,
        shown: Preview,
        request: ChatRequest,
        purpose: Purpose,
        settings: Settings,
        simulated: bool,
    ) -> Preview:
        """What budgets say to it."""
        ledger = self.books(settings).ledger
        if ledger is None:
            return shown
        now = utc(self.clock.time())
        held = limits(purpose.budget, purpose.label, ledger.process, now, simulated=simulated)
        budgets = tuple(map(ledger.budget, held))
        refused = ""
        if held and shown.most is None:
            refused = str(no_worst_case(request, settings.prices))
        elif shown.most is not None and any(shown.most > budget.left for budget in budgets):
            refused = f"up to {format_usd(shown.most)} is more than is left."
        return replace(shown, budgets=budgets, refused=refused)

    def describe(self) -> str:
        """One line: which model, server, wire and key a cell would use.

        Raises:
            MinimaxError: As `prepare`.
        """
        world = self.world
        settings = world.settings()
        credential = world.credential(settings)
        endpoint = endpoint_for(settings, credential)
        auth = self._auth(settings, credential)
        return f"{settings.model} at {endpoint.host} over {endpoint.flavor}, {auth.describe()}."

    def status(self) -> Status:
        """What a cell would use and why. Never raises: what is wrong is part of the answer."""
        world = self.world
        settings: Settings | None = None
        endpoint: Endpoint | None = None
        credential: Credential | Login | None = None
        places: tuple[Candidate, ...] = ()
        described, problem = "", ""
        try:
            settings = world.settings()
            places = world.places(settings, self.clock.time())
            credential = world.credential(settings)
            endpoint = endpoint_for(settings, credential)
            described = self._auth(settings, credential).describe()
        except MinimaxError as error:
            problem = str(error)
        return Status(settings, endpoint, credential, described, places, problem)

    def source(self, settings: Settings, credential: Credential | Login) -> AuthSource:
        """What gives a credential's tokens: one for each login, shared with the cells."""
        return self._auth(settings, credential)

    def single_try(
        self,
        world: World,
        settings: Settings,
        credential: Credential | Login,
        *,
        silence_s: float,
    ) -> Client:
        """A client for a question that wants its answer now: no retries, no waits, no recordings.

        It is booked like every request and keeps the budgets. Its connections are those of
        `account_transport`, so that it need not be closed.

        Args:
            silence_s: Longest silence in a stream.
        """
        endpoint = endpoint_for(settings, credential)
        return Client(
            endpoint=endpoint,
            auth=self._auth(settings, credential),
            transport=self.account_transport,
            limiter=make_limiter(None, self.clock),
            clock=self.clock,
            model=settings.model,
            user_agent=USER_AGENT,
            group_id=settings.group_id,
            retry=RetryPolicy(1, 1, 1),
            idle_timeout_s=silence_s,
            meter=make_meter(
                self.books(settings),
                endpoint,
                lambda: self._billing(settings, credential),
                simulated=world.simulator is not None,
            ),
            purpose=Purpose(prices=settings.prices, budget=settings.budget),
        )

    def credential(self) -> Credential | Login:
        """What a cell would use now.

        Raises:
            MinimaxError: As `prepare`.
        """
        world = self.world
        return world.credential(world.settings())

    @property
    def refreshing(self) -> bool:
        """Whether an answer is awaited that must not be lost."""
        return any(plan.asking for plan in self._plans.values())

    async def close(self) -> None:
        """Closes every connection; a refresh under way comes to its end first."""
        for plan in self._plans.values():
            await plan.close()
        for watch in [*self._watches.values()]:
            await watch.close()
        for client in [*self._clients.values()]:
            await client.close()
        if self._account_transport is not None:
            await self._account_transport.close()
        for books in [*self._books.values()]:
            if books.ledger is not None:
                books.write_again()
                await asyncio.wrap_future(books.ledger.written())
                books.ledger.close()
        self._clients.clear()
        self._plans.clear()
        self._watches.clear()
        self._account_transport = None

    @property
    def account_transport(self) -> Transport:
        """For signing in and renewing, apart from the requests' connections."""
        with self._making:
            if self._account_transport is None:
                self._account_transport = self._make_transport()
            return self._account_transport

    def _auth(self, settings: Settings, credential: Credential | Login) -> AuthSource:
        """One source for each login, whatever the wire: it refreshes for all of them."""
        if isinstance(credential, Credential):
            return StaticKey(credential)
        key = (credential.file.path, credential.bundle.region, settings.auth)
        with self._making:
            plan = self._plans.get(key)
            if plan is None:
                plan = token_plan(settings, credential, self.account_transport, self.clock)
                self._plans[key] = plan
            return plan

    def books(self, settings: Settings) -> Books:
        """What this session has under way, in the ledger of these settings."""
        with self._making:
            books = self._books.get(settings.ledger)
            if books is None:
                label = label_of(Path(settings.ledger), settings.start)
                ledger = open_ledger(settings.ledger, label)
                ledger.warm()  # while the client is still being made
                books = self._books[settings.ledger] = Books(ledger, self.clock)
            return books

    def watch(self, settings: Settings, credential: Credential | Login) -> AccountWatch:
        """What keeps an eye on what is left of the plan or the balance. Asks nobody by itself."""
        key = _account_key(settings, credential)
        with self._making:
            watch = self._watches.get(key)
            if watch is None:
                reader = AccountReader(
                    endpoint_for(settings, credential).root,
                    self._auth(settings, credential),
                    self.account_transport,
                    self.clock,
                    USER_AGENT,
                    billing_of(credential),
                )
                watch = AccountWatch(reader, self.clock, self.tell_of_account)
                self._watches[key] = watch
            return watch

    def tell_of_account(self) -> None:
        """Says that the account is another, or has told something. On the loop."""
        for books in [*self._books.values()]:
            books.tell("account")

    @property
    def simulated(self) -> bool:
        """Whether cells are answered by a simulator now, as far as is known."""
        world = self.world
        settings = world.settings()
        try:
            return self.is_simulated(world, settings, world.credential(settings))
        except MinimaxError:
            return world.simulator is not None

    def is_simulated(
        self, world: World, settings: Settings, credential: Credential | Login
    ) -> bool:
        """Whether a simulator answers, as far as is known: one may be behind base_url, too."""
        if world.simulator is not None:
            return True
        region = region_name(endpoint_for(settings, credential))
        return self.books(settings).is_simulator(region)

    def _billing(self, settings: Settings, credential: Credential | Login) -> Billing:
        """Whether a plan covers what is asked with a credential, as far as that is known."""
        watch = self._watches.get(_account_key(settings, credential))
        return billing_of(credential) if watch is None else watch.kind

    def _client(
        self,
        world: World,
        settings: Settings,
        credential: Credential | Login,
        flavor: str | None,
    ) -> Client:
        """The client for these settings, kept while they stay the same, so that its connections and
        its limiter are shared by all cells."""
        endpoint = endpoint_for(settings, credential, flavor)
        key = (
            endpoint,
            *_identity(credential),
            settings.ledger,
            settings.auth,
            settings.group_id,
            settings.requests_per_second,
            settings.quota_alert_threshold,
            settings.idle_timeout_s,
            settings.max_retry_wait_s,
            settings.retry,
        )
        with self._making:
            client = self._clients.get(key)
            if client is None:
                rate = settings.requests_per_second
                limiter = self._limiters.setdefault(rate, make_limiter(rate, self.clock))
                client = self._clients[key] = Client(
                    endpoint=endpoint,
                    auth=self._auth(settings, credential),
                    transport=self._make_transport(),
                    limiter=limiter,
                    clock=self.clock,
                    model=settings.model,
                    user_agent=USER_AGENT,
                    group_id=settings.group_id,
                    retry=retry_policy(settings.retry),
                    idle_timeout_s=settings.idle_timeout_s,
                    max_retry_wait_s=settings.max_retry_wait_s,
                    quota_alert=QuotaAlert(settings.quota_alert_threshold),
                    meter=make_meter(
                        self.books(settings),
                        endpoint,
                        lambda: self._billing(settings, credential),
                        simulated=world.simulator is not None,
                    ),
                )
            return client


def _identity(credential: Credential | Login) -> tuple[Any, ...]:
    if isinstance(credential, Credential):
        return (credential.secret,)
    return (credential.file.path, credential.bundle.region)


def _secrets(credential: Credential | Login) -> tuple[str, ...]:
    if isinstance(credential, Credential):
        return (credential.secret.get_secret_value(),)
    tokens = (credential.bundle.access_token, credential.bundle.refresh_token)
    return tuple(token.get_secret_value() for token in tokens if token is not None)


def _account_key(settings: Settings, credential: Credential | Login) -> tuple[Any, ...]:
    return (endpoint_for(settings, credential).root, *_identity(credential))


def _shortened(value: Any) -> Any:
    """A request's body without the data of its images, which nobody can read."""
    if isinstance(value, dict):
        return {name: _shortened(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_shortened(part) for part in value]
    if isinstance(value, str) and len(value) > _MOST_DATA and _DATA.fullmatch(value):
        return f"{value[:40]}... ({len(value):,} characters of base64)"
    return value


_MOST_DATA = 200
_DATA = re.compile(r"(?:data:[\w/+.-]+;base64,)?[A-Za-z0-9+/]+={0,2}")
