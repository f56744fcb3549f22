"""What the magics talk to.

`Session` resolves settings, agents and credentials afresh for every cell, keeps one client for each
combination of them, and remembers chats.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydantic import SecretStr

from minimax_magic.assembly import (
    USER_AGENT,
    endpoint_for,
    make_auth,
    make_limiter,
    retry_policy,
)
from minimax_magic.auth.bundle_file import BUNDLE_FILE
from minimax_magic.auth.sources import (
    AuthSource,
    Candidate,
    Credential,
    Given,
    Login,
    StaticKey,
    candidates,
    find_credential,
)
from minimax_magic.auth.store import SecretStore
from minimax_magic.client.client import ChatStream, Client
from minimax_magic.client.rate_limit import RateLimiter
from minimax_magic.clock import Clock, SystemClock
from minimax_magic.config import AgentConfig, AuthSettings, Settings, load_settings
from minimax_magic.errors import ConfigError, CredentialsMissing, MinimaxError
from minimax_magic.events import ChatReply, StreamEvent
from minimax_magic.messages import ChatOptions, Message, ThinkingMode, make_request
from minimax_magic.transport import AiohttpTransport, Transport
from minimax_magic.usage.quota import QuotaAlert
from minimax_magic.wire.address import Endpoint

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Ask:
    """What one cell wants. None everywhere: as configured.

    Attributes:
        chat: Name of the conversation to go on with; None: the cell stands alone.
        new: Begin that conversation anew.
        whole: Ask for the answer in one piece instead of streaming it.
        instruction: Added to the system prompt, for an output format.
    """

    prompt: str
    model: str | None = None
    agent: str | None = None
    flavor: str | None = None
    system: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    thinking: str | None = None
    chat: str | None = None
    new: bool = False
    whole: bool = False
    instruction: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What a cell would use.

    Attributes:
        settings: None: they could not be read.
        endpoint: None: there is nothing to use; `problem` says why.
        credential: In words, masked.
        region: Of a login; empty for a key, which does not say.
        expires_at: Of a login's token; None for a key.
        places: Where a credential was looked for, in their order.
        problem: What is wrong, and what to do; empty if nothing is.
    """

    settings: Settings | None
    endpoint: Endpoint | None
    credential: str
    region: str
    expires_at: datetime | None
    places: tuple[Candidate, ...]
    problem: str


class LocalServer(Protocol):
    """A running simulator: where it is and the key it takes."""

    @property
    def url(self) -> str: ...

    @property
    def key(self) -> str: ...


class Turn:
    """One prepared request: nothing was sent yet, and everything that could be wrong was checked."""

    def __init__(self, session: Session, ask: Ask, stream: ChatStream) -> None:
        self._session = session
        self._ask = ask
        self._stream = stream
        self.model = stream.request.model
        self.chat = ask.chat
        self.number = 1 + sum(m.role == "assistant" for m in stream.request.messages)

    @property
    def reply(self) -> ChatReply:
        """What has been received so far."""
        return self._stream.reply

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        async with self._stream as stream:
            async for event in stream:
                yield event

    def keep(self) -> None:
        """Makes a finished turn part of its chat. An interrupted one is not: it has no whole answer.

        Nor is one that came to no answer, such as thinking that used up all tokens: the server
        refuses empty turns (2013), and the chat could never go on.
        """
        reply = self.reply
        if self._ask.chat is not None and (reply.text.strip() or reply.tool_calls):
            self._session.chats[self._ask.chat] = (*self._stream.request.messages, reply.message)


class Session:
    """Answers cells.

    Args:
        load: Reads the settings.
        make_transport: Makes what sends bytes.
        clock: For the limiter and retries.

    Attributes:
        chats: The turns of each conversation by its name; complete turns only. The simulator has
            its own, so that nothing made up, thinking and seals included, ever goes to MiniMax.
        simulator: Where all requests go instead, while it is set: with its own key or a login at it,
            never with a real credential, and with a folder of secrets of its own.
        base_url: Instead of the configured one, for a key that was entered for another region in
            this session; None: as configured.
    """

    def __init__(
        self,
        *,
        load: Callable[[], Settings] = load_settings,
        make_transport: Callable[[], Transport] = AiohttpTransport,
        clock: Clock | None = None,
    ) -> None:
        self.base_url: str | None = None
        self._simulator: LocalServer | None = None
        self._chats: dict[bool, dict[str, tuple[Message, ...]]] = {False: {}, True: {}}
        self._session_keys: dict[bool, SecretStr] = {}
        self._load = load
        self._make_transport = make_transport
        self._clock = clock or SystemClock()
        self._clients: dict[tuple[Any, ...], Client] = {}
        self._limiters: dict[float | None, RateLimiter] = {}
        self._stores: dict[Path, SecretStore] = {}
        self._plans: dict[tuple[Path, AuthSettings], AuthSource] = {}
        self._account_transport: Transport | None = None
        self._sandbox: Path | None = None

    @property
    def simulator(self) -> LocalServer | None:
        return self._simulator

    @simulator.setter
    def simulator(self, server: LocalServer | None) -> None:
        if server is not None and server is not self._simulator:
            self._session_keys.pop(True, None)
            # never real secrets, and gone with this process
            self._sandbox = Path(tempfile.mkdtemp(prefix="minimax-simulator-"))
            weakref.finalize(self, shutil.rmtree, self._sandbox, ignore_errors=True)
        self._simulator = server

    @property
    def chats(self) -> dict[str, tuple[Message, ...]]:
        return self._chats[self.simulator is not None]

    @property
    def session_key(self) -> SecretStr | None:
        """An API key for this session alone, never on disk; None if there is none."""
        return self._session_keys.get(self.simulator is not None)

    @session_key.setter
    def session_key(self, key: SecretStr | None) -> None:
        if key is None:
            self._session_keys.pop(self.simulator is not None, None)
        else:
            self._session_keys[self.simulator is not None] = key

    def settings(self) -> Settings:
        """The settings as of now; with the simulator on its address and its own secrets."""
        if self.simulator is None:
            return self.real_settings()
        settings = self._load()
        assert self._sandbox is not None
        folder = self._sandbox / "secrets"
        return replace(
            settings,
            base_url=self.simulator.url,
            sources={**settings.sources, "base_url": "the simulator"},
            api_key=None,
            auth=AuthSettings(bundle=folder / BUNDLE_FILE, region=self.simulator.url),
            secrets_dir=folder,
            secrets_label="the simulator's secrets",
        )

    def real_settings(self) -> Settings:
        """The settings as of now, whether or not the simulator is on."""
        settings = self._load()
        if self.base_url is None:
            return settings
        sources = {**settings.sources, "base_url": "this session"}
        return replace(settings, base_url=self.base_url, sources=sources)

    def prepare(self, ask: Ask) -> Turn:
        """Everything short of sending.

        Raises:
            ConfigError: An option, a file or a variable is wrong.
            CredentialsMissing: There is no key.
        """
        if not ask.prompt.strip():
            raise ConfigError("The prompt is empty.", hint="Write it below the %%minimax line.")
        settings = self.settings()
        agent = settings.agent(ask.agent) if ask.agent else None
        history = () if ask.new or ask.chat is None else self.chats.get(ask.chat, ())
        request = make_request(
            [*history, {"role": "user", "content": ask.prompt}],
            _options(ask, agent),
            default_model=settings.model,
        )
        client = self._client(settings, ask.flavor)
        return Turn(self, ask, client.stream(request, whole=ask.whole))

    def describe(self) -> str:
        """One line: which model, server, wire and key a cell would use.

        Raises:
            MinimaxError: As `prepare`.
        """
        settings = self.settings()
        credential = self._credential(settings)
        endpoint = endpoint_for(settings, credential)
        auth = self._auth(settings, credential)
        return f"{settings.model} at {endpoint.host} over {endpoint.flavor}, {auth.describe()}."

    def status(self) -> Status:
        """What a cell would use and why. Never raises: what is wrong is part of the answer."""
        settings: Settings | None = None
        endpoint: Endpoint | None = None
        places: tuple[Candidate, ...] = ()
        described, region, expires_at, problem = "", "", None, ""
        try:
            settings = self.settings()
            places = self._places(settings)
            credential = self._credential(settings)
            endpoint = endpoint_for(settings, credential)
            described = self._auth(settings, credential).describe()
            if isinstance(credential, Login) and (bundle := credential.file.read()) is not None:
                region = f"{credential.region.name} ({credential.region.root})"
                expires_at = bundle.expires_at
        except MinimaxError as error:
            problem = str(error)
        return Status(settings, endpoint, described, region, expires_at, places, problem)

    async def close(self) -> None:
        """Closes every connection; a refresh under way comes to its end first."""
        for plan in self._plans.values():
            await plan.close()
        for client in self._clients.values():
            await client.close()
        if self._account_transport is not None:
            await self._account_transport.close()
        self._clients.clear()
        self._plans.clear()
        self._account_transport = None

    @property
    def account_transport(self) -> Transport:
        """For signing in and renewing, apart from the requests' connections."""
        if self._account_transport is None:
            self._account_transport = self._make_transport()
        return self._account_transport

    @property
    def clock(self) -> Clock:
        return self._clock

    def credential(self) -> Credential | Login:
        """What a cell would use now.

        Raises:
            MinimaxError: As `prepare`.
        """
        return self._credential(self.settings())

    def _environ(self) -> Mapping[str, str] | None:
        """None: that of the process, which the simulator must not see."""
        return {} if self.simulator is not None else None

    def _given(self) -> Given:
        return Given(session_key=self.session_key)

    def _places(self, settings: Settings) -> tuple[Candidate, ...]:
        store, now = self._store(settings), self._clock.time()
        found = candidates(settings, self._environ(), self._given(), store=store, now=now)
        if self.simulator is None:
            return tuple(found)
        # the simulator sees no environment, and has a key of its own for want of anything else
        own = [place for place in found if not place.source.startswith("environment ")]
        used = not any(place.used or place.problem for place in own)
        return (*own, Candidate("the simulator's own key", found=True, used=used, shown="..."))

    def _store(self, settings: Settings) -> SecretStore:
        folder = settings.secrets_dir
        return self._stores.setdefault(folder, SecretStore(folder, settings.secrets_label))

    def _credential(self, settings: Settings) -> Credential | Login:
        try:
            return find_credential(
                settings, self._environ(), self._given(), store=self._store(settings)
            )
        except CredentialsMissing:
            if self.simulator is None:
                raise
            return Credential(SecretStr(self.simulator.key), "the simulator")

    def _auth(self, settings: Settings, credential: Credential | Login) -> AuthSource:
        """One source for each login, whatever the wire: it refreshes for all of them."""
        if isinstance(credential, Credential):
            return StaticKey(credential)
        key = (credential.file.path, settings.auth)
        plan = self._plans.get(key)
        if plan is None:
            plan = make_auth(settings, credential, self.account_transport, self._clock)
            self._plans[key] = plan
        return plan

    def _client(self, settings: Settings, flavor: str | None) -> Client:
        """The client for these settings, kept while they stay the same, so that its connections and
        its limiter are shared by all cells."""
        credential = self._credential(settings)
        endpoint = endpoint_for(settings, credential, flavor)
        key = (
            endpoint,
            credential.secret if isinstance(credential, Credential) else credential.file.path,
            settings.auth,
            settings.group_id,
            settings.requests_per_second,
            settings.quota_alert_threshold,
            settings.idle_timeout_s,
            settings.max_retry_wait_s,
            settings.retry,
        )
        client = self._clients.get(key)
        if client is None:
            rate = settings.requests_per_second
            limiter = self._limiters.setdefault(rate, make_limiter(rate, self._clock))
            client = self._clients[key] = Client(
                endpoint=endpoint,
                auth=self._auth(settings, credential),
                transport=self._make_transport(),
                limiter=limiter,
                clock=self._clock,
                model=settings.model,
                user_agent=USER_AGENT,
                group_id=settings.group_id,
                retry=retry_policy(settings.retry),
                idle_timeout_s=settings.idle_timeout_s,
                max_retry_wait_s=settings.max_retry_wait_s,
                quota_alert=QuotaAlert(settings.quota_alert_threshold),
            )
        return client


def _options(ask: Ask, agent: AgentConfig | None) -> ChatOptions:
    """The options of a cell over those of its agent; what neither says is left out."""
    given: dict[str, Any] = {}
    if agent is not None:
        given = {
            "model": agent.model,
            "system": agent.system_prompt,
            "temperature": agent.temperature,
            "top_p": agent.top_p,
            "max_tokens": agent.max_tokens,
        }
    own = {
        "model": ask.model,
        "system": ask.system,
        "temperature": ask.temperature,
        "top_p": ask.top_p,
        "max_tokens": ask.max_tokens,
        "thinking": cast("ThinkingMode | None", ask.thinking),
    }
    merged = _said(given) | _said(own)
    if ask.instruction:
        merged["system"] = "\n\n".join(filter(None, (merged.get("system"), ask.instruction)))
    return cast("ChatOptions", merged)


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
