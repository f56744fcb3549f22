"""What another program needs to reach MiniMax with the credential that cells use.

A key is given as it is. A login is not: its token lasts for minutes, and a program knows one for as long
as it runs. Such a program gets a gateway's address and key instead.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal

from minimax_magic.assembly import USER_AGENT, endpoint_for, region_name, token_plan
from minimax_magic.auth.key_check import check_key
from minimax_magic.auth.probe import Answered, probe
from minimax_magic.auth.sources import AuthSource, Credential, Login, StaticKey, masked
from minimax_magic.config import Settings
from minimax_magic.errors import ConfigError
from minimax_magic.masked import MaskedStr
from minimax_magic.programs.environment import ProgramEnvironment, environment_for, header_of
from minimax_magic.programs.gateway_file import GatewayFiles
from minimax_magic.programs.routing import Header
from minimax_magic.session import Session
from minimax_magic.transport import AiohttpTransport, Transport

START_GATEWAY: Final = "python -m minimax_magic gateway"


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach MiniMax from another program.

    Attributes:
        root: What comes before `/anthropic` and `/v1`: MiniMax's address, or a gateway's.
        key: What to send there.
        kind: What is behind it.
        source: Where the credential was found: `environment MINIMAX_API_KEY`.
        shown: MiniMax's key, masked, also where `key` is a gateway's; empty for a login.
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
    shown: str = ""


async def environment_of(
    session: Session, program: str, environ: Mapping[str, str], *, model: str | None = None
) -> ProgramEnvironment:
    """What makes a program work.

    Args:
        program: One of `PROGRAMS`.
        environ: The variables that it would see, some of which may have to go.
        model: As of `environment_for`; None: that of the settings.

    Raises:
        ConfigError: The program needs a gateway and none is running, or cannot work like this, or
            settings are wrong.
        AuthError: There is no credential, or the server refuses it.
        APIConnectionError: The server was to be asked and cannot be reached.
    """
    found = await access(session, model=model, header=header_of(program, model or ""))
    return environment_for(
        program, root=found.root, key=found.key, model=found.model, environ=environ
    )


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
            that, without spending tokens; if it does not, a gateway is needed as for a login. If
            it does not tell, one that runs is taken, else the key goes there directly.
        transport: Asks the server and the gateway; None: one for this call.

    Raises:
        ConfigError: A gateway is needed and none is running, or settings are wrong.
        AuthError: There is no credential, or (with `x-api-key`) the server refuses it.
        APIConnectionError: The server was to be asked and cannot be reached.
    """
    settings, credential = _found(session)
    async with _given_or_own(transport) as sender:
        direct = _direct(settings, credential, _model(settings, model, agent))
        taken: bool | None = False
        if isinstance(credential, Credential):
            taken = header != "x-api-key" or await takes_x_api_key(direct.key, direct.root, sender)
            if taken:
                return direct
            if taken is False:
                now = session.clock.time()
                await check_key(credential.secret, direct.root, sender, USER_AGENT, now)
        running = await GatewayFiles(settings.data_dir).running(sender)
    there = [gateway for gateway in running if gateway.root == direct.root]
    for gateway in there:
        if gateway.sends(identity(credential)):
            return _through(direct, gateway.url, gateway.key)
    if taken is None:
        return direct
    why = (
        "A login's token lasts for minutes, so that other programs need the gateway, which renews it"
        if direct.kind == "login"
        else f"{direct.region} does not take the key in the header that this program sends, so "
        "that it needs the gateway"
    )
    other = ""
    if there:
        other = f"; one with another credential than that of {direct.source} is running"
    elif running:
        other = f"; one for {running[0].root} is running"
    raise ConfigError(f"{why}{other}.", hint=f"Start `{START_GATEWAY}` and ask again.")


@asynccontextmanager
async def own_access(
    session: Session,
    *,
    model: str | None = None,
    agent: str | None = None,
    make_transport: Callable[[], Transport] = AiohttpTransport,
) -> AsyncGenerator[Access, None]:
    """The access of a program that we start and that sends its key as x-api-key, with a gateway of its
    own for as long, if it needs one. A server that does not tell gets a gateway.

    Raises:
        ConfigError: Settings are wrong.
        AuthError: There is no credential, or the server refuses it.
        InsufficientBalance: Nothing is left.
        QuotaExceeded: Nothing is left of a plan's window.
        APIConnectionError: The server cannot be reached.
    """
    from minimax_magic.programs.gateway import Gateway

    settings, credential = _found(session)
    direct = _direct(settings, credential, _model(settings, model, agent))
    async with _closing(make_transport()) as transport:
        now = session.clock.time()
        if isinstance(credential, Credential):
            answered = await _asked("x-api-key", direct.key, direct.root, transport, now)
            if _with_some_left(answered).key_is_good:
                yield direct
                return
        async with auth_for(session, settings, credential, transport) as auth:
            bearer = MaskedStr(await auth.fresh_bearer())  # a login that has ended says so now
            answered = await _asked("bearer", bearer, direct.root, transport, now)
            good = _with_some_left(answered).key_is_good
            if isinstance(credential, Credential) and not good:
                await check_key(credential.secret, direct.root, transport, USER_AGENT, now)
            async with Gateway(direct.server, auth, transport) as gateway:
                yield _through(direct, gateway.url, gateway.key)


async def takes_x_api_key(key: str, root: str, transport: Transport) -> bool | None:
    """Whether a server takes a key in `x-api-key` alone; None if its answer does not tell. That spends
    no tokens.

    Raises:
        APIConnectionError: It cannot be reached.
    """
    now = 0.0  # it tells only when a busy server may be asked again
    answered = await _asked("x-api-key", MaskedStr(key), root, transport, now)
    if answered.outcome == "refused":
        return False
    return True if answered.key_is_good else None


async def _asked(
    header: Header, key: MaskedStr, root: str, transport: Transport, now: float
) -> Answered:
    """What the server says to a key in this header."""
    own = ("x-api-key", key) if header == "x-api-key" else ("Authorization", f"Bearer {key}")
    headers = {
        own[0]: MaskedStr(own[1]),
        "Content-Type": "application/json",
        "anthropic-version": "2023-06-01",
        "User-Agent": USER_AGENT,
    }
    return await probe(f"{root}/anthropic/v1/messages", headers, key, transport, now)


def _with_some_left(answered: Answered) -> Answered:
    """The same answer; an error if the account is empty, which Aider would ask again for ever."""
    if answered.outcome == "empty" and answered.error is not None:
        raise answered.error
    return answered


def identity(credential: Credential | Login) -> MaskedStr:
    """What tells this credential from others, wherever it was found; as secret as a key itself."""
    if isinstance(credential, Login):
        return MaskedStr(f"login {credential.file.path.resolve()}")
    return MaskedStr(f"key {credential.secret.get_secret_value()}")


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
        shown=masked(credential.secret) if isinstance(credential, Credential) else "",
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
