"""One cell from its first event to its last drawing, waiting in one of two ways.

Both ways are the same loop: take what arrived, draw when it is due, wait. They differ in what waiting
means: blocking the thread, or letting the kernel's loop go on.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from minimax_magic.errors import MinimaxError, StreamInterrupted
from minimax_magic.events import TurnEvent
from minimax_magic.ipython import interrupts
from minimax_magic.ipython.bridge import BackgroundLoop, Run
from minimax_magic.ipython.cell_errors import CellError, CellInterrupted, ToolStopped
from minimax_magic.ipython.live_output import Output

if TYPE_CHECKING:
    from minimax_magic.events import ChatReply
    from minimax_magic.ipython.hands import CellHands
    from minimax_magic.render.transcript import Phase
    from minimax_magic.turn import Turn

# Before the last drawing of a long answer the status goes on counting at this pace, but only so long:
# what it costs is itself part of the byte rate, and must not delay the last drawing for ever.
_SETTLE_S = 0.2
_SETTLE_DRAWN_S = 1.1


class CellRun:
    """Streams one turn into one output.

    Args:
        background: Where the request is made.
        turn: What to ask.
        output: Where to draw.
        hands: Run its tools, here; None: it has none, or they are served by somebody else.
        typed: The answer must be a value, which is what the cell is for.
        alone: Nobody sees what is raised: a failure is said in the output.

    Attributes:
        reply: The answer when it is over, also of a stopped or failed one.
    """

    def __init__(
        self,
        background: BackgroundLoop,
        turn: Turn,
        output: Output,
        hands: CellHands | None = None,
        *,
        typed: bool = False,
        alone: bool = False,
    ) -> None:
        self._background = background
        self._turn = turn
        self._output = output
        self._hands = hands
        self._typed = typed
        self._alone = alone
        self._draw_at = 0.0
        self._valid = False
        self.reply = turn.reply

    @property
    def result(self) -> Any:
        """What the variable receives: the value if one was wanted and given, else the reply."""
        return self.reply.value if self._valid else self.reply

    @property
    def so_far(self) -> ChatReply:
        """What has arrived of an answer under way."""
        return self._turn.reply

    def show_again(self) -> None:
        """Sends the last drawing once more."""
        self._output.redraw()

    def run(self) -> ChatReply:
        """Blocks until the answer is whole and drawn.

        Raises:
            CellError: The request failed; what had arrived is drawn.
            CellInterrupted: It was stopped; likewise.
        """
        run = self._make_run()
        with interrupts.noted() as stop:
            try:
                run.start()
                self._output.draw()
                while not (run.over or stop.pressed):
                    run.wait(self._until_draw())
                    self._take(run)
                    if self._hands is not None and self._hands.has_work:
                        self._hands.serve_blocking(
                            lambda: self._draw_now(run), lambda: self._take(run)
                        )
                drawn_until = time.monotonic() + _SETTLE_DRAWN_S
                while not stop.pressed and (wait_s := self._output.settle_in()):
                    time.sleep(min(wait_s, _SETTLE_S))
                    self._count_on(drawn_until)
            except KeyboardInterrupt:
                return self._stopped(run)
            except MinimaxError as error:
                return self._ended(run, error)
            finally:
                run.cancel()  # whatever went wrong above, nothing is left running
            return self._stopped(run) if stop.pressed else self._ended(run)

    async def run_async(self) -> ChatReply:
        """The same on the kernel's loop, which serves the user's tasks meanwhile."""
        run = self._make_run()
        try:
            run.start()
            self._output.draw()
            while not run.over:
                await run.wait_async(self._until_draw())
                self._take(run)
                if self._hands is not None and self._hands.has_work:
                    self._hands.serve(lambda: self._draw_now(run))
            drawn_until = time.monotonic() + _SETTLE_DRAWN_S
            while wait_s := self._output.settle_in():
                await asyncio.sleep(min(wait_s, _SETTLE_S))
                self._count_on(drawn_until)
        except (asyncio.CancelledError, KeyboardInterrupt):
            if self._hands is not None:
                with suppress(asyncio.CancelledError):  # a second press: do not wait for tools
                    await self._hands.stop()
            return self._stopped(run)
        finally:
            run.cancel()
        return self._ended(run)

    def _make_run(self) -> Run[TurnEvent]:
        run = Run(self._background, self._turn.events)
        if self._hands is not None:
            self._hands.wake = run.nudge
        return run

    def _take(self, run: Run[TurnEvent]) -> None:
        self._output.feed(run.drain())
        now = time.monotonic()
        self._draw_at = min(self._draw_at, now + self._output.due_in())
        if now >= self._draw_at:
            self._output.draw()
            self._draw_at = now + self._output.due_in()

    def _draw_now(self, run: Run[TurnEvent]) -> None:
        """Before the thread is blocked: what is seen for as long as that takes."""
        self._output.feed(run.drain())
        self._output.draw_now()

    def _until_draw(self) -> float:
        """Seconds, counted from when the output said it, so that it comes up while nothing arrives."""
        return max(0.0, self._draw_at - time.monotonic())

    def _count_on(self, until: float) -> None:
        """Draws the status of an answer that has come to its end, at its pace."""
        now = time.monotonic()
        if self._draw_at <= now < until:
            self._output.draw()
            self._draw_at = now + _SETTLE_S

    def _stopped(self, run: Run[TurnEvent]) -> ChatReply:
        with interrupts.ignored():
            run.cancel()
            self._output.feed(run.drain())
            self.reply = reply = self._turn.reply
            self._output.finish("interrupted", reply, self._turn.booked)
            remembered = self._turn.keep(whole=False)
        kept = "what had arrived is kept above" if reply.text else "nothing had arrived yet"
        if remembered:
            kept = f"{kept}, and the chat remembers what the tools did"
        raise CellInterrupted(f"the request was cancelled, {kept}.") from None

    def _ended(self, run: Run[TurnEvent], failed: MinimaxError | None = None) -> ChatReply:
        if failed is not None:
            run.cancel()
        error = failed or run.error
        # the extension was unloaded meanwhile, or a tool was stopped from outside
        if isinstance(error, asyncio.CancelledError | ToolStopped):
            return self._stopped(run)
        with interrupts.ignored():
            self._output.feed(run.drain())
            reply = error.partial if isinstance(error, StreamInterrupted) else self._turn.reply
            self.reply = reply
            self._valid = self._typed and error is None
            if self._alone and error is not None:
                self._output.note(f"{type(error).__name__}: {error}")
            phase: Phase = "done" if error is None else "failed"
            self._output.finish(phase, reply, self._turn.booked, typed=self._valid)
            self._turn.keep(whole=error is None)
        if isinstance(error, MinimaxError):
            raise CellError(error) from None
        if error is not None:
            raise error
        return reply
