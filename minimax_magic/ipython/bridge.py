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
from concurrent.futures import Future, wait
from contextlib import aclosing, suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")

# Waiting on a lock cannot be interrupted everywhere, and a stop is only noted: look up this often.
_POLL_S = 0.05
# How long a stop waits for the connection to be closed; it takes a millisecond.
_CLOSE_S = 2.0


class BackgroundLoop:
    """An event loop in a daemon thread, started at the first use.

    Args:
        name: What the thread is called.
    """

    def __init__(self, name: str = "minimax-magic-loop") -> None:
        self._name = name
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None
        self._lock = threading.Lock()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            # a forked process has the object, but not the thread
            if self._running is None or not self._running[1].is_alive():
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_serve, args=(loop,), name=self._name, daemon=True)
                thread.start()
                self._running = loop, thread  # only now: an interrupt leaves no loop without thread
            return self._running[0]

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def result_of(
        self, coroutine: Coroutine[Any, Any, T], meanwhile: Callable[[], None] = lambda: None
    ) -> T:
        """What a coroutine gives; blocks this thread. An interrupt cancels it and is raised.

        Args:
            meanwhile: Called now and then while it is waited for, and once more at the end.
        """
        future = self.submit(coroutine)
        try:
            while not future.done():
                wait([future], _POLL_S)
                meanwhile()
            meanwhile()  # what was said just before the end
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def stop(self) -> None:
        """Ends the thread and all that runs on it. Used again, the loop is made anew."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None and running[1].is_alive():
            loop, thread = running
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_CLOSE_S)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=_CLOSE_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


class Run(Generic[T]):
    """One stream to be read in the background, from `start` on.

    Args:
        background: Where it runs.
        source: Makes the stream; called there.

    Attributes:
        error: What ended the stream other than its own end, a CancelledError included; None while
            it runs.
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
        self._background = background
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begins to read. Apart from making the object, so that whoever is interrupted right after
        has something to cancel."""
        self._loop = self._background.loop
        self._loop.call_soon_threadsafe(self._begin, self._loop)

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
            await asyncio.sleep(0)  # even in a burst, others and an interrupt get their turn
            return
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return  # time to draw again, news or not

    def nudge(self) -> None:
        """Ends a wait although nothing arrived. From any thread."""
        self._tell()

    def cancel(self) -> None:
        """Ends the stream and returns when its connection is closed. Nothing to do if it is over."""
        if self._loop is None or self._closed.is_set():
            return
        with suppress(RuntimeError):  # the loop was closed, and the stream with it
            self._loop.call_soon_threadsafe(self._cancel)
            self._closed.wait(_CLOSE_S)

    # on the background loop

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._task = loop.create_task(self._pump())
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
        self.error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._closed.set()
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        if self._waiter is not None:
            loop, event = self._waiter
            with suppress(RuntimeError):  # the kernel's loop was closed: nobody waits any more
                loop.call_soon_threadsafe(event.set)
