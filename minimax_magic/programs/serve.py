"""`python -m minimax_magic gateway`: the gateway alone, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from minimax_magic.assembly import endpoint_for
from minimax_magic.programs.access import auth_for, identity
from minimax_magic.programs.gateway_file import GatewayFiles
from minimax_magic.session import Session
from minimax_magic.transport import AiohttpTransport, Transport


def serve(
    session: Session,
    *,
    port: int = 0,
    say: Callable[[str], None] = print,
    make_transport: Callable[[], Transport] = AiohttpTransport,
) -> int:
    """Serves until Ctrl-C, a termination signal or the end of its terminal; the exit code, which is 0
    then.

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
    files = GatewayFiles(settings.data_dir)
    try:
        async with auth_for(session, settings, credential, transport) as auth:
            await auth.fresh_bearer()
            async with Gateway(root, auth, transport, port=port) as gateway:
                await files.remove_dead(transport)
                files.write(gateway.url, gateway.key, root, identity(credential))
                try:
                    say(f"Gateway to {root} at {gateway.url}, with the {auth.describe()}.")
                    say("`python -m minimax_magic env PROGRAM` shows what to set. Ctrl-C ends it.")
                    sys.stdout.flush()  # whoever waits for these lines may read a pipe
                    await _told_to_stop()
                finally:
                    files.remove(gateway.url)
    finally:
        await transport.close()


async def _told_to_stop() -> None:
    """Waits for a signal to end; Ctrl-C cancels instead."""
    stop = asyncio.Event()
    with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
        for number in ending_signals():
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def ending_signals() -> list[signal.Signals]:
    """What tells a program to end: a termination, and a terminal that was closed, unless `nohup` has it
    go on without one."""
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, hangup]
