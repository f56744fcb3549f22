"""`python -m minimax_magic gateway`: the gateway alone, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from minimax_magic.assembly import endpoint_for
from minimax_magic.auth.sources import Login
from minimax_magic.programs.access import auth_for
from minimax_magic.programs.gateway_file import GatewayFile
from minimax_magic.session import Session
from minimax_magic.transport import AiohttpTransport, Transport


def serve(
    session: Session,
    *,
    port: int = 0,
    say: Callable[[str], None] = print,
    make_transport: Callable[[], Transport] = AiohttpTransport,
) -> int:
    """Serves until Ctrl-C or a termination signal; the exit code, which is 0 then.

    Says where it listens, but not its key: `env` shows that to whoever asks for it.

    Raises:
        ConfigError: Settings are wrong, the port is taken, or the state file cannot be written.
        AuthError: There is no credential, or the login has ended.
    """
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(session, port, say, make_transport))
    return 0


async def _serve(
    session: Session,
    port: int,
    say: Callable[[str], None],
    make_transport: Callable[[], Transport],
) -> None:
    from minimax_magic.programs.gateway import Gateway

    world = session.world
    settings = world.settings()
    credential = world.credential(settings)
    root = endpoint_for(settings, credential).root
    transport = make_transport()
    file = GatewayFile(settings.data_dir)
    try:
        async with auth_for(session, settings, credential, transport) as auth:
            await auth.fresh_bearer()
            async with Gateway(root, auth, transport, port=port) as gateway:
                kind = "login" if isinstance(credential, Login) else "key"
                file.write(
                    url=gateway.url, key=gateway.key, root=root, id=gateway.id, credential=kind
                )
                try:
                    say(f"Gateway to {root} at {gateway.url}, with the {auth.describe()}.")
                    say("`python -m minimax_magic env PROGRAM` shows what to set. Ctrl-C ends it.")
                    sys.stdout.flush()  # whoever waits for these lines may read a pipe
                    await _told_to_stop()
                finally:
                    file.remove(gateway.id)
    finally:
        await transport.close()


async def _told_to_stop() -> None:
    """Waits for a termination signal; Ctrl-C cancels instead."""
    stop = asyncio.Event()
    with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
