"""One cell from its first event to its last drawing, waiting in one of two ways.

Both ways are the same loop: take what arrived, draw when it is due, wait. They differ in what waiting
means: blocking the thread, or letting the kernel's loop go on.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from minimax_magic.errors import MinimaxError, StreamInterrupted
from minimax_magic.events import StreamEvent
from minimax_magic.ipython.bridge import BackgroundLoop, Run
from minimax_magic.ipython.cell_errors import CellError, CellInterrupted
from minimax_magic.ipython.live_output import Output

if TYPE_CHECKING:
    from minimax_magic.events import ChatReply
    from minimax_magic.session import Turn


class CellRun:
    """Streams one turn into one output.

    Args:
        background: Where the request is made.
        turn: What to ask.
        output: Where to draw.

    Attributes:
        reply: The answer when it is over, also of a stopped or failed one.
    """

    def __init__(self, background: BackgroundLoop, turn: Turn, output: Output) -> None:
        self._background = background
        self._turn = turn
        self._output = output
        self.reply = turn.reply

    def run(self) -> ChatReply:
        """Blocks until the answer is whole and drawn.

        Raises:
            CellError: The request failed; what had arrived is drawn.
            CellInterrupted: It was stopped; likewise.
        """
        run = Run(self._background, self._turn.events)
        try:
            self._output.draw()
            while not run.over:
                run.wait(self._output.due_in())
                self._take(run)
            while wait := self._output.settle_in():
                threading.Event().wait(min(wait, 0.2))
                self._output.draw()
        except KeyboardInterrupt:
            return self._stopped(run)
        return self._ended(run)

    async def run_async(self) -> ChatReply:
        """The same on the kernel's loop, which serves the user's tasks meanwhile."""
        run = Run(self._background, self._turn.events)
        try:
            self._output.draw()
            while not run.over:
                await run.wait_async(self._output.due_in())
                self._take(run)
            while wait := self._output.settle_in():
                await asyncio.sleep(min(wait, 0.2))
                self._output.draw()
        except (asyncio.CancelledError, KeyboardInterrupt):
            return self._stopped(run)
        return self._ended(run)

    def _take(self, run: Run[StreamEvent]) -> None:
        self._output.feed(run.drain())
        if self._output.due_in() <= 0:
            self._output.draw()

    def _stopped(self, run: Run[StreamEvent]) -> ChatReply:
        with _no_second_interrupt():
            run.cancel()
            self._output.feed(run.drain())
            self.reply = reply = self._turn.reply
            self._output.finish("interrupted", reply)
        kept = "what had arrived is kept above" if reply.text else "nothing had arrived yet"
        raise CellInterrupted(f"the request was cancelled, {kept}.") from None

    def _ended(self, run: Run[StreamEvent]) -> ChatReply:
        with _no_second_interrupt():
            self._output.feed(run.drain())
            error = run.error
            reply = error.partial if isinstance(error, StreamInterrupted) else self._turn.reply
            self.reply = reply
            self._output.finish("done" if error is None else "failed", reply)
        if isinstance(error, MinimaxError):
            raise CellError(error) from None
        if error is not None:
            raise error
        self._turn.keep()
        return reply


@contextmanager
def _no_second_interrupt() -> Iterator[None]:
    """An impatient second press must not lose the last drawing. It takes milliseconds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
