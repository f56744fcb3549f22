"""Where the tools of a cell run: on the kernel's own thread, and async ones on its loop.

The answer is read on the background loop, which hands a call over and waits; the kernel's thread takes
it whenever it looks. So a tool may draw a figure, use a database connection or a widget of the user's,
and `await` what belongs to the kernel's loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from minimax_magic.errors import ConfigError
from minimax_magic.ipython import interrupts
from minimax_magic.ipython.cell_errors import ToolStopped
from minimax_magic.messages import ToolCall
from minimax_magic.tools.calls import Outcome, run_async, run_sync
from minimax_magic.tools.functions import ToolFunction

Confirm: TypeAlias = Callable[[ToolCall], bool]


@dataclass(slots=True)
class _Work:
    """Something to be done on the kernel's thread.

    Attributes:
        job: Does it, or makes a coroutine that does.
        is_async: Whether it is the latter.
    """

    job: Callable[[], Any]
    is_async: bool
    done: Future[Any] = field(default_factory=Future)
    task: asyncio.Task[Any] | None = None
    loop: asyncio.AbstractEventLoop | None = None


class CellHands:
    """The `Hands` of one cell.

    Args:
        confirm: Asks the person before each call, on the kernel's thread; None: nobody is asked.
        context: What tools print belongs to the cell of this context; None: to that of whoever serves.

    Attributes:
        wake: Makes the kernel's thread look; called from the background loop. Whoever serves sets it.
    """

    def __init__(
        self, confirm: Confirm | None = None, *, context: contextvars.Context | None = None
    ) -> None:
        self.wake: Callable[[], None] = _nobody
        self._confirm = confirm
        self._context = context
        self._waiting: deque[_Work] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()

    # on the background loop

    async def allow(self, call: ToolCall) -> bool:
        confirm = self._confirm
        if confirm is None:
            return True
        return bool(await self._hand_over(_Work(lambda: confirm(call), is_async=False)))

    async def run(self, function: ToolFunction, bound: inspect.BoundArguments) -> Outcome:
        runs = run_async if function.is_async else run_sync
        work = _Work(lambda: runs(function, bound), is_async=function.is_async)
        outcome: Outcome = await self._hand_over(work)
        return outcome

    async def _hand_over(self, work: _Work) -> Any:
        self._waiting.append(work)
        self.wake()
        try:
            return await asyncio.wrap_future(work.done)
        except asyncio.CancelledError:
            if work.loop is not None and work.task is not None:
                with suppress(RuntimeError):  # that loop was closed
                    work.loop.call_soon_threadsafe(work.task.cancel)
            raise

    # on the kernel's thread

    @property
    def has_work(self) -> bool:
        return bool(self._waiting)

    def serve(self, before: Callable[[], None] | None = None) -> None:
        """Does what waits. Async tools become tasks of the running loop, which must go on for them.

        Args:
            before: Called before anything that blocks this thread: the last chance to draw.

        Raises:
            KeyboardInterrupt: The person stopped a tool.
        """
        while self._waiting:
            work = self._waiting.popleft()
            if work.is_async:
                self._begin(work)
                continue
            if before is not None:
                before()
            self._do(work)

    def serve_blocking(
        self,
        before: Callable[[], None] | None = None,
        tick: Callable[[], Any] | None = None,
        *,
        keep: bool = False,
    ) -> None:
        """The same where nothing runs this thread's loop: waits for async tools, too.

        Args:
            tick: Called now and then while it waits for them.
            keep: After a stop those that still run go on, as soon as the loop does.

        Raises:
            ConfigError: There is a loop, and it cannot be run from inside itself.
        """
        while self._waiting or self._tasks:
            if self._waiting and not self._waiting[0].is_async:
                if before is not None:
                    before()
                self._do(self._waiting.popleft())
                continue
            # raised, it could hit one of the user's own tasks, which the loop runs meanwhile
            with interrupts.noted() as stop:
                _run_here(self._serve_until_done(tick, stop, keep=keep))
            if stop.pressed:
                raise KeyboardInterrupt

    async def _serve_until_done(
        self, tick: Callable[[], Any] | None, stop: interrupts.StopButton, *, keep: bool
    ) -> None:
        try:
            self.serve()
            while self._tasks and not stop.pressed:
                await asyncio.wait(self._tasks, timeout=_TICK_S)
                self.serve()
                if tick is not None:
                    tick()
        finally:
            if not keep:
                await self.stop()

    def _do(self, work: _Work) -> None:
        if not work.done.set_running_or_notify_cancel():
            return
        try:
            # the kernel only cancels at the next `await`, too late for a function that blocks, and
            # between cells it does nothing at all
            with interrupts.raised(if_ignored=True):
                context = self._own_context()
                outcome = work.job() if context is None else context.run(work.job)
        except BaseException as error:
            work.done.set_exception(_as_failure(error))
            raise
        work.done.set_result(outcome)

    def _begin(self, work: _Work) -> None:
        if not work.done.set_running_or_notify_cancel():
            return
        work.loop = asyncio.get_running_loop()
        work.task = work.loop.create_task(
            _settle(work.job(), work.done), context=self._own_context()
        )
        self._tasks.add(work.task)
        work.task.add_done_callback(self._tasks.discard)

    def _own_context(self) -> contextvars.Context | None:
        """A copy: tools run side by side, and one context holds one of them at a time."""
        return None if self._context is None else self._context.copy()

    async def stop(self) -> None:
        """Cancels async tools that run on this loop, and lets them clean up for a moment."""
        if tasks := [*self._tasks]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_CLEAN_UP_S)


def _nobody() -> None:
    raise RuntimeError("nobody serves these tools")


# While async tools are waited for, how often the cell is drawn; and how long they have to clean up.
_TICK_S = 0.1
_CLEAN_UP_S = 1.0


async def _settle(coroutine: Coroutine[Any, Any, Any], done: Future[Any]) -> None:
    try:
        done.set_result(await coroutine)
    except BaseException as error:
        done.set_exception(_as_failure(error))
        # anything else that a task lets out, such as KeyboardInterrupt, would end the kernel's loop
        if isinstance(error, asyncio.CancelledError):
            raise


def _as_failure(error: BaseException) -> BaseException:
    """What the reading loop is told; an interrupt or a cancellation must not end that loop itself."""
    if isinstance(error, Exception):
        return error
    return ToolStopped(type(error).__name__)


def _run_here(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs it to its end on this thread's loop, inside of which this may be called."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        from IPython.core.async_helpers import get_asyncio_loop

        # the one on which terminal IPython runs `await` in cells
        _complete(get_asyncio_loop(), coroutine)  # type: ignore[no-untyped-call]
        return
    if not isinstance(loop, asyncio.BaseEventLoop):  # uvloop's, for one, cannot be nested
        coroutine.close()
        raise ConfigError(
            f"An async tool cannot run inside {type(loop).__module__}'s loop from this cell.",
            hint="Put %%minimax on the first line of the cell, without %%time or the like.",
        )
    import nest_asyncio2  # only here: it changes asyncio for good

    nest_asyncio2.apply(loop)
    _complete(loop, coroutine)


def _complete(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> None:
    task = loop.create_task(coroutine)
    try:
        loop.run_until_complete(task)
    except BaseException:  # an interrupt leaves the loop, and would leave the task on it
        task.cancel()
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        raise
