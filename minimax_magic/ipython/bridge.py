"""From the background loop into the cell.

HTTP runs on a private event loop in one daemon thread, so that a busy kernel does not starve it and
a cell's answer does not block the user's own tasks. The cell pulls what has arrived, whenever it is
about to draw: waiting on a thread event where it runs synchronously, on the kernel's loop where it is
awaited. Nothing here draws.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import aclosing
from typing import Any, Generic, TypeVar

T = TypeVar("T")

# A lock held by the main thread cannot be interrupted everywhere (Windows): look up this often.
_POLL_S = 0.1
# How long a stop waits for the connection to be closed; it takes a millisecond.
_CLOSE_S = 2.0


class BackgroundLoop:
    """An event loop in a daemon thread, started at the first use."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name="minimax-magic-loop", daemon=True
                ).start()
            return self._loop

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def stop(self) -> None:
        """Ends the thread. Used again, the loop is made anew."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)


class Run(Generic[T]):
    """One stream being read in the background.

    Args:
        background: Where it runs.
        source: Makes the stream; called there.

    Attributes:
        error: What ended the stream, other than its own end or `cancel`; None while it runs.
    """

    def __init__(
        self, background: BackgroundLoop, source: Callable[[], AsyncGenerator[T, None]]
    ) -> None:
        self.error: BaseException | None = None
        self._source = source
        self._arrived: deque[T] = deque()  # both ends are atomic: no lock
        self._news = threading.Event()
        self._closed = threading.Event()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop = background.loop
        self._loop.call_soon_threadsafe(self._begin)

    @property
    def over(self) -> bool:
        """Whether the stream has ended and everything of it was drained."""
        return self._closed.is_set() and not self._arrived

    def drain(self) -> list[T]:
        """What has arrived since the last call."""
        self._news.clear()  # before taking: what comes after this is news again
        items: list[T] = []
        try:
            while True:
                items.append(self._arrived.popleft())
        except IndexError:
            return items

    def wait(self, timeout_s: float) -> None:
        """Blocks this thread until something arrives, but no longer than the timeout."""
        self._news.wait(min(timeout_s, _POLL_S))

    async def wait_async(self, timeout_s: float) -> None:
        """The same for a coroutine of the caller's loop, which goes on meanwhile."""
        if self._waiter is None:
            self._waiter = (asyncio.get_running_loop(), asyncio.Event())
        event = self._waiter[1]
        event.clear()
        if self._news.is_set():
            return
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return  # time to draw again, news or not

    def cancel(self) -> None:
        """Ends the stream and returns when its connection is closed."""
        self._loop.call_soon_threadsafe(self._cancel)
        self._closed.wait(_CLOSE_S)

    # on the background loop

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._pump())
        self._task.add_done_callback(self._ended)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _pump(self) -> None:
        async with aclosing(self._source()) as stream:
            async for item in stream:
                self._arrived.append(item)
                if not self._news.is_set():
                    self._tell()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self.error = task.exception()
        self._closed.set()
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        if self._waiter is not None:
            loop, event = self._waiter
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)
