"""What all checks share: what is known so far, what one of them answers, and when it is not asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from minimax_magic.assembly import endpoint_for
from minimax_magic.auth.sources import AuthSource, Credential, Login
from minimax_magic.clock import Clock
from minimax_magic.config import Settings
from minimax_magic.doctor.findings import Finding, State
from minimax_magic.doctor.network import Network
from minimax_magic.doctor.remedies import Trouble, trouble, trouble_of
from minimax_magic.doctor.versions import Versions
from minimax_magic.errors import ConfigError, MinimaxError, QuotaExceeded
from minimax_magic.session import Session
from minimax_magic.transport import Transport
from minimax_magic.wire.address import Endpoint
from minimax_magic.wire.http import mask, short
from minimax_magic.world import World

Facts = tuple[tuple[str, str], ...]
# One line of a terminal, and what a server may say at most.
_MAX_SAID: Final = 300


@dataclass(frozen=True, slots=True)
class Found:
    """What a check answers, before it is put under its title.

    Attributes:
        trouble: One of the table, or its name; None where nothing is to be mended.
    """

    state: State
    said: str
    facts: Facts = ()
    trouble: Trouble | str | None = None
    error: str = ""


Ask = Callable[["Case"], Awaitable[Found | Sequence[Found]]]
AskOne = Callable[["Case"], Coroutine[Any, Any, Found]]


@dataclass(frozen=True, slots=True)
class Check:
    """One step of the examination.

    Attributes:
        name: As in `Finding.check`.
        ask: Looks, and answers. An error of ours that it raises is its answer.
        needs: Names of earlier ones that must not have failed.
        spends: Whether it uses tokens.
    """

    name: str
    title: str
    ask: Ask
    needs: tuple[str, ...] = ()
    spends: bool = False


@dataclass(eq=False)
class Case:
    """What is examined, and what is known of it so far.

    Attributes:
        world: Held on to, since another thread may change which one the session uses.
        spend: Whether the model may be asked.
        other_roots: Gives the API roots of MiniMax's other regions, for the root of one.
        settings, credential, endpoint: None: not known, since a check failed, or not yet.
        taken: Whether the server is known to take the credential.
        works: Whether the model has answered.
        empty: What it said where it takes it, but nothing is left of money or plan.
        secrets: What must not be in any finding.
        secrets_in_use: Those of the credential itself.
    """

    session: Session
    world: World
    network: Network
    versions: Versions
    environ: Mapping[str, str] = field(repr=False)
    program: str | None
    other_roots: Callable[[str], Sequence[str]]
    spend: bool = True
    settings: Settings | None = None
    credential: Credential | Login | None = None
    endpoint: Endpoint | None = None
    taken: bool = False
    works: bool = False
    empty: MinimaxError | None = None
    secrets: set[str] = field(default_factory=set, repr=False)
    secrets_in_use: set[str] = field(default_factory=set, repr=False)

    @property
    def clock(self) -> Clock:
        return self.session.clock

    @property
    def transport(self) -> Transport:
        return self.session.account_transport

    @property
    def configured(self) -> Settings:
        """The settings, for checks that need them."""
        assert self.settings is not None
        return self.settings

    @property
    def target(self) -> Endpoint:
        """The endpoint, for checks that need it."""
        assert self.endpoint is not None
        return self.endpoint

    @property
    def in_use(self) -> Credential | Login:
        """The credential, for checks that need it."""
        assert self.credential is not None
        return self.credential

    @property
    def auth(self) -> AuthSource:
        return self.session.source(self.configured, self.in_use)

    @property
    def host(self) -> str:
        return self.target.host

    @property
    def port(self) -> int:
        parts = urlsplit(self.target.root)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def url(self) -> str:
        """Where a chat request goes first."""
        return self.target.candidates[0]

    def proxy(self) -> str | None:
        """Address of the proxy that requests go through; None: there is none.

        Raises:
            ConfigError: It is of a kind that cannot be used.
        """
        proxy = self.network.proxy_for(self.url)
        if proxy is not None and (password := urlsplit(proxy).password):
            self.secrets.add(password)
        return proxy

    def root(self) -> str | None:
        """Where the API is; None if that is not known."""
        if self.endpoint is not None:
            return self.endpoint.root
        try:
            return endpoint_for(self.settings, None).root if self.settings is not None else None
        except ConfigError:
            return None

    def told(self, name: Trouble | str) -> Trouble:
        """A trouble of the table in terms of this server and model."""
        found = trouble(name) if isinstance(name, str) else name
        settings = self.settings
        base_url = None
        if isinstance(self.credential, Login):
            base_url = self.credential.base_url
        elif settings is not None:
            base_url = settings.base_url
        return found.told(
            base_url=short(base_url, 120) if base_url else None,
            root=self.root(),
            model=settings.model if settings is not None else None,
        )

    def finding(self, check: Check, found: Found, seconds: float) -> Finding:
        """What is shown: with its title, and with nothing secret in it."""
        told = self.told(found.trouble) if found.trouble is not None else None
        if told is not None:
            told = replace(
                told,
                causes=tuple(map(self.masked, told.causes)),
                steps=tuple(map(self.masked, told.steps)),
            )
        return Finding(
            check.name,
            check.title,
            found.state,
            one_line(self.masked(found.said)),
            tuple((label, self.masked(value)) for label, value in found.facts),
            told,
            found.error,
            seconds,
        )

    def masked(self, text: str) -> str:
        return mask(text, self.secrets | self.secrets_in_use)


def by_error(error: MinimaxError, state: State = "failed", facts: Facts = ()) -> Found:
    """What an error of ours stands for."""
    name = trouble_of(error) or "request_rejected"
    request_id = (("Request id", error.request_id),) if error.request_id else ()
    return Found(state, said_by(error), (*facts, *request_id), name, type(error).__name__)


def first(name: str, cause: str, step: str) -> Trouble:
    """A trouble whose cause is known: that and what mends it come before the others."""
    named = trouble(name)
    return replace(named, causes=(cause, *named.causes), steps=(step, *named.steps))


def said_by(error: MinimaxError) -> str:
    """The error in one line: what to do stands in the trouble, but for when a quota resets."""
    return str(error) if isinstance(error, QuotaExceeded) else error.message


def one_line(text: str) -> str:
    """In one line, which ends with a full stop."""
    line = short(text, _MAX_SAID)
    return line if line.endswith((".", "!", "?", "...")) else f"{line}."


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
