"""What another program needs to reach MiniMax with the credential that cells use.

A key is given as it is. A login is not: its token lasts for minutes, and a program knows one for as long
as it runs. Such a program gets a gateway's address and key instead.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal

from minimax_magic.assembly import USER_AGENT, endpoint_for, region_name, token_plan
from minimax_magic.auth.key_check import check_key
from minimax_magic.auth.sources import AuthSource, Credential, Login, StaticKey
from minimax_magic.config import Settings
from minimax_magic.errors import ConfigError
from minimax_magic.masked import MaskedStr
from minimax_magic.programs.gateway_file import GatewayFile
from minimax_magic.programs.routing import Header
from minimax_magic.session import Session
from minimax_magic.transport import AiohttpTransport, Transport
from minimax_magic.wire.failures import is_missing_route
from minimax_magic.wire.http import HttpRequest

START_GATEWAY: Final = "python -m minimax_magic gateway"
_SILENCE_S: Final = 20.0
_NO_MODEL: Final = {"model": "", "max_tokens": 1, "messages": [{"role": "user", "content": "."}]}


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach MiniMax from another program.

    Attributes:
        root: What comes before `/anthropic` and `/v1`: MiniMax's address, or a gateway's.
        key: What to send there.
        kind: What is behind it.
        source: Where the credential was found: `environment MINIMAX_API_KEY`.
        model: The id, as it was given or set: `MiniMax-M2.5`.
        region: `global`, `china`, or the host and port of another server.
        server: MiniMax's address, also where `root` is a gateway's.
        gateway: Whether `root` and `key` are a gateway's.
    """

    root: str
    key: MaskedStr
    kind: Literal["key", "login"]
    source: str
    model: str
    region: str
    server: str
    gateway: bool


async def access(
    session: Session,
    *,
    model: str | None = None,
    agent: str | None = None,
    header: Header = "bearer",
    transport: Transport | None = None,
) -> Access:
    """The access of a program that somebody else starts.

    Args:
        model: None: the agent's, or that of the settings.
        agent: Whose model it is; None: nobody's.
        header: How the program sends its key. For `x-api-key` the server is asked whether it takes
            that, without spending tokens; if it does not, a gateway is needed as for a login.
        transport: Asks the server and the gateway; None: one for this call.

    Raises:
        ConfigError: A gateway is needed and none is running, or settings are wrong.
        AuthError: There is no credential, or (with `x-api-key`) the server refuses it.
        APIConnectionError: The server was to be asked and cannot be reached.
    """
    settings, credential = _found(session)
    async with _given_or_own(transport) as sender:
        direct = _direct(settings, credential, _model(settings, model, agent))
        if isinstance(credential, Credential):
            if header != "x-api-key" or await takes_x_api_key(direct.key, direct.root, sender):
                return direct
            now = session.clock.time()
            await check_key(credential.secret, direct.root, sender, USER_AGENT, now)
        running = await GatewayFile(settings.data_dir).running(sender)
    if running is None or running.root != direct.root:
        why = (
            "A login's token lasts for minutes, so that other programs need the gateway, which "
            "renews it"
            if direct.kind == "login"
            else f"{direct.region} does not take the key in the header that this program sends, so "
            "that it needs the gateway"
        )
        other = f"; one for {running.root} is running" if running is not None else ""
        raise ConfigError(f"{why}{other}.", hint=f"Start `{START_GATEWAY}` and ask again.")
    return _through(direct, running.url, running.key)


@asynccontextmanager
async def own_access(
    session: Session,
    *,
    model: str | None = None,
    agent: str | None = None,
    header: Header = "x-api-key",
    make_transport: Callable[[], Transport] = AiohttpTransport,
) -> AsyncGenerator[Access, None]:
    """The access of a program that we start, with a gateway of its own for as long, if it needs one.

    Args:
        header: As of `access`. A server that does not tell gets a gateway.

    Raises:
        ConfigError: Settings are wrong.
        AuthError: There is no credential, or the server refuses it.
        APIConnectionError: The server cannot be reached.
    """
    from minimax_magic.programs.gateway import Gateway

    settings, credential = _found(session)
    direct = _direct(settings, credential, _model(settings, model, agent))
    async with _closing(make_transport()) as transport:
        if isinstance(credential, Credential):
            taken = header != "x-api-key" or await takes_x_api_key(
                direct.key, direct.root, transport
            )
            if taken:
                yield direct
                return
            now = session.clock.time()
            await check_key(credential.secret, direct.root, transport, USER_AGENT, now)
        async with auth_for(session, settings, credential, transport) as auth:
            await auth.fresh_bearer()  # a login that has ended says so now
            async with Gateway(direct.server, auth, transport) as gateway:
                yield _through(direct, gateway.url, gateway.key)


async def takes_x_api_key(key: str, root: str, transport: Transport) -> bool | None:
    """Whether a server takes a key in `x-api-key` alone; None if its answer does not tell.

    MiniMax looks at the key before the parameters, so a message for no model spends no tokens.

    Raises:
        APIConnectionError: It cannot be reached.
    """
    headers = {
        "x-api-key": MaskedStr(key),
        "Content-Type": "application/json",
        "anthropic-version": "2023-06-01",
        "User-Agent": USER_AGENT,
    }
    url = f"{root}/anthropic/v1/messages"
    body = json.dumps(_NO_MODEL).encode()
    response = await transport.send(HttpRequest("POST", url, headers, body, _SILENCE_S))
    try:
        answer = await response.read()
    finally:
        response.close()
    if response.status == 401:
        return False
    if is_missing_route(response.status, answer) or response.status >= 429:
        return None
    return True


@asynccontextmanager
async def auth_for(
    session: Session, settings: Settings, credential: Credential | Login, transport: Transport
) -> AsyncGenerator[AuthSource, None]:
    """What gives the bearers of a credential, for as long as it is entered.

    Not the session's own source: that one belongs to the loop of the cells. Where both renew the same
    login, the bundle's lock keeps them apart.
    """
    auth: AuthSource
    if isinstance(credential, Login):
        auth = token_plan(settings, credential, transport, session.clock)
    else:
        auth = StaticKey(credential)
    try:
        yield auth
    finally:
        await auth.close()


def _found(session: Session) -> tuple[Settings, Credential | Login]:
    world = session.world  # which one is in use may change from another thread
    settings = world.settings()
    return settings, world.credential(settings)


def _model(settings: Settings, model: str | None, agent: str | None) -> str:
    if model is not None:
        return model
    return (settings.agent(agent).model if agent is not None else None) or settings.model


def _direct(settings: Settings, credential: Credential | Login, model: str) -> Access:
    """The access without a gateway; of a login without a key."""
    endpoint = endpoint_for(settings, credential)
    key = ""
    if isinstance(credential, Credential):
        key = MaskedStr(credential.secret.get_secret_value())
    return Access(
        root=endpoint.root,
        key=MaskedStr(key),
        kind="key" if isinstance(credential, Credential) else "login",
        source=credential.source,
        model=model,
        region=region_name(endpoint),
        server=endpoint.root,
        gateway=False,
    )


def _through(direct: Access, url: str, key: str) -> Access:
    return replace(direct, root=url, key=MaskedStr(key), gateway=True)


@asynccontextmanager
async def _closing(transport: Transport) -> AsyncGenerator[Transport, None]:
    try:
        yield transport
    finally:
        await transport.close()


@asynccontextmanager
async def _given_or_own(transport: Transport | None) -> AsyncGenerator[Transport, None]:
    if transport is not None:
        yield transport
        return
    async with _closing(AiohttpTransport()) as own:
        yield own
