"""`Simulator`: starts and stops a `Service` on a port, on this loop or on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from minimax_magic.simulator.account import Account
from minimax_magic.simulator.app import Served, Service
from minimax_magic.simulator.behaviours import Behaviour
from minimax_magic.simulator.exchange import Received
from minimax_magic.simulator.planted import PLANTED_PATH
from minimax_magic.simulator.seen_images import SeenImage

DEFAULT_KEY = "simulated-key"
# aiohttp waits this long for handlers that were told to end; they end at once
SHUTDOWN_S = 0.2


class Simulator:
    """A local MiniMax: real HTTP, real SSE, no model.

    Two ways to run it. `async with Simulator() as sim:` serves on the running loop. `with
    Simulator() as sim:` or `start()` and `stop()` serve on a daemon thread with its own loop, so
    that a blocked caller (a synchronous test, a notebook cell) does not block the server. Not both
    at once; after a stop it can be started again.

    Args:
        port: 0 for any free one.
        key: The one bearer that is accepted beside the access tokens of `account`. One that begins
            with `sk-api-` pays as it goes: it has a balance. Any other is of a plan: it has a quota.
        delay_s: Seconds between two chunks where a behaviour says nothing else.
        accept_x_api_key: Take the key from `X-Api-Key` too, on the Anthropic wire. MiniMax's
            document says so, its servers have refused it; the strict answer is the default.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        key: str = DEFAULT_KEY,
        delay_s: float = 0.0,
        accept_x_api_key: bool = False,
    ) -> None:
        self.host = host
        self._wanted_port = port
        self._service = Service(key, delay_s, accept_x_api_key)
        self._runner: web.AppRunner | None = None
        self._port: int | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<Simulator {self.url if self._port else 'stopped'}>"

    @property
    def url(self) -> str:
        """`http://host:port`, without a path.

        Raises:
            RuntimeError: It is not running.
        """
        if self._port is None:
            raise RuntimeError("the simulator is not running")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self._port}"

    @property
    def running(self) -> bool:
        return self._port is not None

    @property
    def key(self) -> str:
        """The accepted key; may be changed while it runs."""
        return self._service.key

    @key.setter
    def key(self, value: str) -> None:
        self._service.key = value

    @property
    def delay_s(self) -> float:
        """Seconds between chunks; may be changed while it runs."""
        return self._service.delay_s

    @delay_s.setter
    def delay_s(self, value: float) -> None:
        self._service.delay_s = value

    @property
    def requests(self) -> list[Received]:
        """The last 10,000 requests, oldest first; a new list each time."""
        return self._service.requests

    @property
    def served(self) -> Served:
        """Totals of what was answered so far."""
        return self._service.served

    @property
    def served_by_model(self) -> dict[str, Served]:
        """The same for each model, by the id that was asked for; a new dict each time."""
        return self._service.served_by_model

    @property
    def images(self) -> list[SeenImage]:
        """The images of those requests, oldest first: one for each time that it was sent."""
        return [image for received in self.requests for image in received.images]

    @property
    def planted_hits(self) -> int:
        """How often an image that answers point at, `/planted.png`, was loaded."""
        return sum(received.path == PLANTED_PATH for received in self.requests)

    @property
    def unknown_routes(self) -> list[str]:
        """Those of `requests` that led nowhere, `POST /v1/v1/messages` for example."""
        return [f"{kept.method} {kept.path}" for kept in self.requests if kept.unknown_route]

    @property
    def always(self) -> Behaviour | str | None:
        """What a valid chat request gets when the script is empty; may be changed while it runs.

        A text is words as a prompt has them, `[[error 1008]]`, which come before those of each
        prompt. None for what the prompt asks for.
        """
        return self._service.always

    @always.setter
    def always(self, value: Behaviour | str | None) -> None:
        self._service.always = value

    def script(self, *behaviours: Behaviour) -> None:
        """Queue what the next valid chat requests get, first come first served."""
        self._service.script.extend(behaviours)

    @property
    def account(self) -> Account:
        """Logins, the Token Plan, the balance: knobs, counts, tokens without a login."""
        return self._service.account

    def reset(self) -> None:
        """Forget requests, totals, script, `always`, cache and logins."""
        self._service.reset()

    def wait_for(self, condition: Callable[[Self], bool], timeout_s: float = 5.0) -> bool:
        """Wait until something is true of it; blocks, so only beside a simulator with a thread.

        Returns:
            Whether it came true in time.
        """
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    # on the running loop

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def _open(self) -> None:
        if self._runner is not None:
            raise RuntimeError("the simulator is already running")
        runner = web.AppRunner(
            self._service.application(),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=SHUTDOWN_S,
        )
        self._runner = runner
        try:
            await runner.setup()
            site = web.TCPSite(runner, self.host, self._wanted_port)
            await site.start()
        except BaseException:
            await self._close()
            raise
        self._port = runner.addresses[0][1]

    async def _close(self) -> None:
        runner, self._runner, self._port = self._runner, None, None
        if runner is not None:
            self._service.interrupt()
            await runner.cleanup()

    # on a thread of its own

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Serve on a daemon thread; returns when the port is open.

        Raises:
            OSError: The port is taken, or the host is not ours.
            RuntimeError: It runs already.
        """
        if self._thread is not None or self._runner is not None:
            raise RuntimeError("the simulator is already running")
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="minimax-simulator", daemon=True)
        thread.start()
        self._thread, self._loop = thread, loop
        try:
            asyncio.run_coroutine_threadsafe(self._open(), loop).result()
        except BaseException:
            self._end_thread()
            raise
        return self

    def stop(self) -> None:
        """Close the port and every connection; does nothing if it does not run."""
        if self._loop is None:
            return
        try:
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(timeout=10)
        finally:
            self._end_thread()

    def _end_thread(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        assert loop is not None
        assert thread is not None
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)
        if not thread.is_alive():
            loop.close()
