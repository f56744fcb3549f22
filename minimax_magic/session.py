"""Where the parts are put together.

`MiniMax` is the client that programs make. `Session` is what the magics talk to: it resolves
settings, agents and credentials afresh for every cell, keeps one client for each combination of them,
and remembers chats. Nothing else creates clients, transports or limiters.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydantic import SecretStr

from minimax_magic import __version__
from minimax_magic.auth.sources import Credential, StaticKey, find_credential
from minimax_magic.auth.store import SecretStore
from minimax_magic.client.client import ChatStream, Client
from minimax_magic.client.rate_limit import NoLimit, RateLimiter, TokenBucket
from minimax_magic.client.retry import RetryPolicy
from minimax_magic.clock import Clock, SystemClock
from minimax_magic.config import AgentConfig, RetrySettings, Settings, load_settings
from minimax_magic.errors import ConfigError
from minimax_magic.events import ChatReply, StreamEvent
from minimax_magic.messages import ChatOptions, Message, ThinkingMode, make_request
from minimax_magic.transport import AiohttpTransport, Transport
from minimax_magic.usage.quota import QuotaAlert
from minimax_magic.wire.address import resolve_endpoint

if TYPE_CHECKING:
    from types import EllipsisType

USER_AGENT = f"minimax-magic/{__version__}"


class MiniMax(Client):
    """A client for MiniMax, configured as the magics are unless told otherwise.

    Args:
        api_key: None: as found in the environment, `./secrets` or llm.yaml.
        base_url: A host, with or without `/v1` or `/anthropic`, or a full endpoint.
        api_flavor: `openai_compat` or `anthropic_messages`; None: told from base_url.
        group_id: Sent along if given; current MiniMax documents do not ask for it.
        model: Used where a request names none.
        requests_per_second: Slots per second for all requests together; None: no limit.
        idle_timeout_s: Longest silence inside a stream; None: no limit.
        max_retry_wait_s: A server that asks for more patience fails the request at once.
        retry: How often and how patiently to try again.
        transport: For tests; None: aiohttp.
        clock: For tests; None: the machine's.

    For the arguments from `base_url` on, leaving one out means: as in llm.yaml or the environment.

    Raises:
        CredentialsMissing: No key was given and none was found.
        ConfigError: A setting is wrong.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        api_flavor: str | None = None,
        group_id: str | None = None,
        model: str | None = None,
        requests_per_second: float | EllipsisType | None = ...,
        idle_timeout_s: float | EllipsisType | None = ...,
        max_retry_wait_s: float | None = None,
        retry: RetryPolicy | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings = load_settings()
        clock = clock or SystemClock()
        rate = settings.requests_per_second if requests_per_second is ... else requests_per_second
        super().__init__(
            endpoint=resolve_endpoint(
                base_url or settings.base_url,
                # a flavour that was set for another address says nothing of this one
                api_flavor or (None if base_url else settings.api_flavor),
            ),
            auth=StaticKey(find_credential(settings, api_key=api_key)),
            transport=transport or AiohttpTransport(),
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
        )


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


# ------------------------------------------------------------------------------ the magics' side


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
        simulator: Where all requests go instead, while it is set; with its own key, never a real one.
    """

    def __init__(
        self,
        *,
        load: Callable[[], Settings] = load_settings,
        make_transport: Callable[[], Transport] = AiohttpTransport,
        clock: Clock | None = None,
    ) -> None:
        self.simulator: LocalServer | None = None
        self._chats: dict[bool, dict[str, tuple[Message, ...]]] = {False: {}, True: {}}
        self._load = load
        self._make_transport = make_transport
        self._clock = clock or SystemClock()
        self._clients: dict[tuple[Any, ...], Client] = {}
        self._limiters: dict[float | None, RateLimiter] = {}
        self._stores: dict[Path, SecretStore] = {}

    @property
    def chats(self) -> dict[str, tuple[Message, ...]]:
        return self._chats[self.simulator is not None]

    def settings(self) -> Settings:
        """The settings as of now, the simulator's address in place of the configured one."""
        settings = self._load()
        if self.simulator is not None:
            settings = replace(settings, base_url=self.simulator.url)
        return settings

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
        endpoint = resolve_endpoint(settings.base_url, settings.api_flavor)
        key = StaticKey(self._credential(settings)).describe()
        return f"{settings.model} at {endpoint.host} over {endpoint.flavor}, {key}."

    async def close(self) -> None:
        """Closes every connection."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    def _credential(self, settings: Settings) -> Credential:
        if self.simulator is not None:
            return Credential(SecretStr(self.simulator.key), "the simulator")
        folder = settings.secrets_dir
        store = self._stores.setdefault(folder, SecretStore(folder, settings.secrets_label))
        return find_credential(settings, store=store)

    def _client(self, settings: Settings, flavor: str | None) -> Client:
        """The client for these settings, kept while they stay the same, so that its connections and
        its limiter are shared by all cells."""
        credential = self._credential(settings)
        key = (
            settings.base_url,
            flavor or settings.api_flavor,
            credential.secret,
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
                endpoint=resolve_endpoint(settings.base_url, flavor or settings.api_flavor),
                auth=StaticKey(credential),
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
