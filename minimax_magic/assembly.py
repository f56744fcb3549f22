"""Where the parts are put together: `MiniMax`, the client that programs make, and what it is made of.

Nothing else makes clients, transports and limiters, but for the session, which uses the same pieces for
every cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from pydantic import SecretStr

from minimax_magic import __version__
from minimax_magic.auth.bundle import TokenBundle
from minimax_magic.auth.exchange import AccountClient
from minimax_magic.auth.oauth import client_profile
from minimax_magic.auth.regions import resolve_region
from minimax_magic.auth.sources import (
    AuthSource,
    Credential,
    Given,
    Login,
    StaticKey,
    find_credential,
    region_of,
)
from minimax_magic.auth.token_plan import TokenPlan
from minimax_magic.client.client import Client
from minimax_magic.client.rate_limit import NoLimit, RateLimiter, TokenBucket
from minimax_magic.client.retry import RetryPolicy
from minimax_magic.clock import Clock, SystemClock
from minimax_magic.config import (
    IN_MEMORY,
    BudgetSettings,
    CacheMode,
    RetrySettings,
    Settings,
    load_settings,
)
from minimax_magic.config_folders import absolute, label_of
from minimax_magic.errors import ConfigError, MinimaxError
from minimax_magic.messages import ApiFlavor, ChatRequest
from minimax_magic.transport import AiohttpTransport, Transport
from minimax_magic.usage.ledger import MEMORY, open_ledger
from minimax_magic.usage.meter import Books, Meter, Purpose
from minimax_magic.usage.quota import QuotaAlert
from minimax_magic.usage.rows import Billing
from minimax_magic.wire.address import Endpoint, flavor_named, resolve_endpoint

if TYPE_CHECKING:
    from types import EllipsisType

    from minimax_magic.client.streams import AnswerStream
    from minimax_magic.replay.store import ReplayStore

USER_AGENT = f"minimax-magic/{__version__}"


class MiniMax(Client):
    """A client for MiniMax, configured as the magics are unless told otherwise.

    Args:
        api_key: None: the login or key found in `./secrets`, the environment or llm.yaml.
        bundle: Path of a Token Plan login's bundle, which then is the only one that counts.
        base_url: A host, with or without `/v1` or `/anthropic`, or a full endpoint.
        api_flavor: `openai_compat` or `anthropic_messages`; None: told from base_url.
        group_id: Sent along if given; current MiniMax documents do not ask for it.
        model: Used where a request names none.
        requests_per_second: Slots per second for all requests together; None: no limit.
        idle_timeout_s: Longest silence inside a stream; None: no limit.
        max_retry_wait_s: A server that asks for more patience fails the request at once.
        retry: How often and how patiently to try again.
        ledger: File that usage is recorded in, or `:memory:`; None: it is not recorded, and there are
            no budgets.
        cache: `record` keeps answers and gives again what is kept; `refresh` asks for everything anew
            and keeps it; `replay` gives only what is kept, without a key, and sends no request; `off`.
        cache_file: Where they are kept: `*.json` is a readable file, `:memory:` this process, all else
            SQLite.
        transport: For tests; None: aiohttp.
        clock: For tests; None: the machine's.

    For the arguments from `base_url` on, leaving one out means: as in llm.yaml or the environment.

    Raises:
        CredentialsMissing: No credential was given and none was found. With cache `replay` it is
            raised by what needs one: `quota` and `balance`.
        ConfigError: A setting is wrong, or a file damaged.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        bundle: str | Path | None = None,
        base_url: str | None = None,
        api_flavor: str | None = None,
        group_id: str | None = None,
        model: str | None = None,
        requests_per_second: float | EllipsisType | None = ...,
        idle_timeout_s: float | EllipsisType | None = ...,
        max_retry_wait_s: float | None = None,
        retry: RetryPolicy | None = None,
        ledger: str | Path | EllipsisType | None = ...,
        cache: CacheMode | None = None,
        cache_file: str | Path | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings = load_settings()
        if base_url is not None:
            # a flavour that was set for another address says nothing of this one
            sources = {**settings.sources, "base_url": "the argument base_url"}
            settings = replace(settings, base_url=base_url, api_flavor=None, sources=sources)
        if api_flavor is not None:
            settings = replace(settings, api_flavor=flavor_named(api_flavor))
        mode = settings.cache if cache is None else _cache_mode(cache)
        clock = clock or SystemClock()
        transport = transport or AiohttpTransport()
        given = Given(
            api_key=SecretStr(api_key) if api_key is not None else None,
            bundle=absolute(bundle, settings.start) if bundle is not None else None,
        )
        found = _credential(settings, given, needed=mode != "replay")
        credential = None if isinstance(found, MinimaxError) else found
        rate = settings.requests_per_second if requests_per_second is ... else requests_per_second
        endpoint = endpoint_for(settings, credential)
        purpose = Purpose(prices=settings.prices, budget=settings.budget)
        books = meter = replay = None
        if (file := _ledger_file(settings, ledger)) is not None:
            books = Books(open_ledger(file), clock)
        elif mode != "off":
            # nothing is written and no budget kept, but it is seen whether a simulator answers
            books = Books(None, clock)
            purpose = replace(purpose, budget=BudgetSettings())
        if books is not None:
            meter = make_meter(books, endpoint, lambda: billing_of(credential))
            if mode != "off":
                store, label = replay_store(settings, mode, cache_file)
                replay = _Replay(store, label, mode, endpoint, books, clock)
        super().__init__(
            endpoint=endpoint,
            auth=_auth(settings, found, transport, clock),
            transport=transport,
            limiter=make_limiter(rate, clock),
            clock=clock,
            model=model or settings.model,
            user_agent=USER_AGENT,
            group_id=group_id or settings.group_id,
            retry=retry or retry_policy(settings.retry),
            idle_timeout_s=settings.idle_timeout_s if idle_timeout_s is ... else idle_timeout_s,
            max_retry_wait_s=(
                settings.max_retry_wait_s if max_retry_wait_s is None else max_retry_wait_s
            ),
            quota_alert=QuotaAlert(settings.quota_alert_threshold),
            meter=meter,
            purpose=purpose,
            replay=replay,
        )


def _credential(
    settings: Settings, given: Given, *, needed: bool
) -> Credential | Login | MinimaxError:
    """What is found; if it is not needed now, also why there is none."""
    try:
        return find_credential(settings, given=given)
    except MinimaxError as error:
        if needed:
            raise
        return error


def _auth(
    settings: Settings,
    found: Credential | Login | MinimaxError,
    transport: Transport,
    clock: Clock,
) -> AuthSource:
    match found:
        case Login():
            return token_plan(settings, found, transport, clock)
        case Credential():
            return StaticKey(found)
        case _:
            return _NoCredential(found)


class _NoCredential:
    """The `AuthSource` of a client that replays: whatever does ask for a token gets the reason."""

    def __init__(self, error: MinimaxError) -> None:
        self._error = error

    async def fresh_bearer(self) -> str:
        raise self._error.with_traceback(None)

    async def force_refresh(self, refused: str | None = None) -> bool:
        return False

    def describe(self) -> str:
        return "no credential"

    async def close(self) -> None:
        """Nothing is open."""


def _cache_mode(given: str) -> CacheMode:
    modes = get_args(CacheMode)
    if given not in modes:
        raise ConfigError(f"cache must be one of {', '.join(modes)}, not {given!r}.")
    return cast("CacheMode", given)


def replay_store(
    settings: Settings, mode: CacheMode, given: str | Path | None = None
) -> tuple[ReplayStore, str]:
    """Where recorded answers are, and what that is called.

    Args:
        given: A file, from the settings' start folder, or `:memory:`; None: as in the settings.

    Raises:
        ConfigError: There is nothing to replay.
    """
    from minimax_magic.replay.store import open_store  # SQLite, for those who record

    file = str(given) if given is not None else settings.cache_file
    if file == IN_MEMORY:
        return open_store(file), "memory"
    label = str(given) if given is not None else label_of(Path(file), settings.start)
    path = absolute(file, settings.start)
    if mode == "replay" and not path.exists():
        raise ConfigError(
            f"There is nothing to replay: {label} does not exist.",
            hint="Run it once with cache record (`--cache record`).",
        )
    return open_store(str(path), label), label


def through_recordings(
    send: Callable[[ChatRequest], AnswerStream] | None,
    recordings: tuple[ReplayStore, str],
    mode: CacheMode,
    *,
    flavor: ApiFlavor,
    simulated: bool | None,
    books: Books,
    purpose: Purpose,
    clock: Clock,
) -> Callable[[ChatRequest], AnswerStream]:
    """What answers requests from recordings where it can; arguments as of `Replayer`.

    Args:
        recordings: As `replay_store` gives them.
        books: Where what is replayed is booked.
    """
    from minimax_magic.replay.answers import Replayer  # for those who record

    store, label = recordings
    return Replayer(
        store=store,
        label=label,
        mode=mode,
        send=send,
        flavor=flavor.value,
        simulated=simulated,
        meter=Meter(books, flavor, region="replay", simulated=bool(simulated)),
        purpose=purpose,
        clock=clock,
    ).open


@dataclass(frozen=True, slots=True)
class _Replay:
    """Puts the recorded answers before a client's requests."""

    store: ReplayStore
    label: str
    mode: CacheMode
    endpoint: Endpoint
    books: Books
    clock: Clock

    def __call__(
        self, send: Callable[[ChatRequest], AnswerStream], purpose: Purpose
    ) -> Callable[[ChatRequest], AnswerStream]:
        asks = self.mode != "replay"
        # what nobody is asked for may be of either kind; else only what the server would say
        simulated = self.books.is_simulator(region_name(self.endpoint)) if asks else None
        return through_recordings(
            send if asks else None,
            (self.store, self.label),
            self.mode,
            flavor=self.endpoint.flavor,
            simulated=simulated,
            books=self.books,
            purpose=purpose,
            clock=self.clock,
        )


def _ledger_file(settings: Settings, given: str | Path | EllipsisType | None) -> str | None:
    if given is None:
        return None
    if given is ...:
        return settings.ledger
    return MEMORY if given == MEMORY else str(absolute(str(given), settings.start))


def make_meter(
    books: Books,
    endpoint: Endpoint,
    billing: Callable[[], Billing],
    *,
    simulated: bool = False,
) -> Meter:
    region = "simulator" if simulated else region_name(endpoint)
    return Meter(books, endpoint.flavor, region=region, billing=billing, simulated=simulated)


def region_name(endpoint: Endpoint) -> str:
    """`global`, `china`, or the host and port of another server."""
    return resolve_region(endpoint.root).name.lower()


def billing_of(credential: Credential | Login | None) -> Billing:
    """What a request costs with a credential, as far as its form tells: keys of old have none."""
    if credential is None:
        return "unknown"
    if isinstance(credential, Login):
        return "plan"
    key = credential.secret.get_secret_value()
    if key.startswith("sk-cp-"):
        return "plan"
    return "per_token" if key.startswith("sk-api-") else "unknown"


def endpoint_for(
    settings: Settings, credential: Credential | Login | None, flavor: str | None = None
) -> Endpoint:
    """Where requests go with a credential: a login brings its own server."""
    base_url = credential.base_url if isinstance(credential, Login) else settings.base_url
    return resolve_endpoint(base_url, flavor or settings.api_flavor)


def token_plan(settings: Settings, login: Login, transport: Transport, clock: Clock) -> TokenPlan:
    """What keeps a login's token fresh."""

    def account(bundle: TokenBundle) -> AccountClient:
        profile = client_profile(bundle.client_id or settings.auth.client_id, settings.auth.scope)
        region = region_of(settings, bundle.region)
        return AccountClient(region, profile, transport, clock, USER_AGENT)

    return TokenPlan(login.file, account, clock, region=login.bundle.region)


def make_limiter(requests_per_second: float | None, clock: Clock) -> RateLimiter:
    return NoLimit() if requests_per_second is None else TokenBucket(requests_per_second, clock)


def retry_policy(settings: RetrySettings) -> RetryPolicy:
    """The policy of llm.yaml's `retry`; its `max_attempts` is the most for any kind of failure."""
    default = RetryPolicy()
    most = settings.max_attempts
    return RetryPolicy(
        rate_limit_attempts=most,
        server_error_attempts=min(most, default.server_error_attempts),
        connection_attempts=min(most, default.connection_attempts),
        initial_backoff_s=settings.initial_backoff_ms / 1000,
        max_backoff_s=settings.max_backoff_ms / 1000,
        backoff_multiplier=settings.backoff_multiplier,
    )
