"""Cells that are answered in the background, into their own output, while other cells run.

Their answers are drawn by a thread of its own, so that a busy kernel does not hold them up: displays
are made while the cell still runs, and from then on only updated, which lands in the right cell whatever
runs meanwhile. Their tools run on the kernel's thread between cells, or while somebody waits.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import reprlib
import time
from collections.abc import Generator
from concurrent import futures
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from minimax_magic.errors import ConfigError, MinimaxError, StreamInterrupted
from minimax_magic.ipython import interrupts
from minimax_magic.ipython.bridge import BackgroundLoop
from minimax_magic.ipython.cell_errors import CellError, CellInterrupted, LineError
from minimax_magic.ipython.hands import CellHands
from minimax_magic.ipython.live_output import TerminalOutput
from minimax_magic.ipython.runner import CellRun
from minimax_magic.render.markup import Format
from minimax_magic.render.transcript import Transcript

if TYPE_CHECKING:
    from decimal import Decimal

    from minimax_magic.events import ChatReply
    from minimax_magic.messages import FinishReason
    from minimax_magic.tokens import TokenUsage

State = Literal["running", "done", "stopped", "failed"]

# While one waits, how often the kernel's thread looks for tools to run and for the stop button.
_LOOK_S = 0.05
_TITLE_CHARS = 60
# So many that are over can still be named; of older ones only the variable has the answer.
_MOST_OVER = 20


class KernelHands(CellHands):
    """Runs the tools of a background cell on the kernel's loop, as soon as that is free."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        super().__init__(context=contextvars.copy_context())
        self.wake = self._call_kernel
        self._loop = loop

    @property
    def between_cells(self) -> bool:
        """Whether a loop runs then, as in a kernel; in a terminal nothing can be shown then either."""
        return self._loop is not None

    def _call_kernel(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop was closed: the kernel ends
                self._loop.call_soon_threadsafe(self._serve_between)

    def _serve_between(self) -> None:
        # nobody is there to be told, and what leaves a callback may end the kernel's loop; the call
        # itself counts as stopped
        with suppress(BaseException):
            self.serve()


class HeldOutput(TerminalOutput):
    """A terminal's form of an answer in the background: written when somebody waits for it, since it
    would run into what is being typed."""

    def __init__(self, transcript: Transcript, form: Format) -> None:
        self._held = io.StringIO()
        super().__init__(transcript, form, self._held)

    def redraw(self) -> None:
        print(self._held.getvalue(), end="")


class Job:
    """One of them.

    Attributes:
        number: What it is called.
        title: How its prompt begins.
        hands: Run its tools, if it has any.
        told: Whether somebody waited for it since it was over, and so knows what became of it.
    """

    def __init__(self, number: int, prompt: str, run: CellRun, hands: KernelHands) -> None:
        self.number = number
        self.title = _cut(prompt)
        self.hands = hands
        self.state: State = "running"
        self.error: MinimaxError | None = None
        self.told = False
        self._run: CellRun | None = run
        self._reply = run.reply
        self._result: Any = None
        self._began = time.monotonic()
        self._ended: float | None = None
        self._task: asyncio.Task[Any] | None = None
        self._unwanted = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done: futures.Future[Any] = futures.Future()

    def start(self, drawing: BackgroundLoop) -> None:
        """Begins to ask and to draw. Called by the cell that it belongs to."""
        self._loop = drawing.loop
        if self._run is not None:
            drawing.submit(self._work(self._run))

    async def _work(self, run: CellRun) -> None:
        self._task = task = asyncio.current_task()
        if self._unwanted and task is not None:  # since before it began
            # only once it waits: a timeout that is entered later would swallow it
            asyncio.get_running_loop().call_soon(task.cancel)
        state: State = "failed"
        fault: BaseException | None = None
        try:
            await run.run_async()
            state = "done"
        except CellInterrupted:
            state = "stopped"
        except CellError as failed:
            self.error = failed.error
        except BaseException as error:
            fault = error
        self._end(state, run.reply, run.result, fault)

    def _end(
        self, state: State, reply: ChatReply, result: Any, fault: BaseException | None = None
    ) -> None:
        # the thread may come to its end after it was given up: only the first counts
        if self.over:
            return
        self.state, self._reply, self._result = state, reply, result
        self._ended = time.monotonic()
        with suppress(futures.InvalidStateError):
            if fault is not None:
                self._done.set_exception(fault)
            else:
                self._done.set_result(None)

    def abandon(self) -> None:
        """Counts as stopped from now on: the thread that drew it has ended, perhaps before it began."""
        reply = self.reply
        self._end("stopped", reply, reply)

    def let_go(self) -> None:
        """Keeps the answer of one that is over, but neither what was asked nor what was drawn."""
        self._run = None
        if self.error is not None:
            self.error.__traceback__ = None  # its frames hold the request, too

    @property
    def over(self) -> bool:
        return self._done.done()

    @property
    def reply(self) -> ChatReply:
        """The answer, or what has come of it."""
        run = self._run
        return self._reply if self.over or run is None else run.so_far

    @property
    def outcome(self) -> Any:
        """The value that was asked for, if it was given, else the answer. Only once it is over."""
        return self._result

    @property
    def elapsed_s(self) -> float:
        return (self._ended or time.monotonic()) - self._began

    def cancel(self) -> None:
        """Stops it as the stop button would."""
        self._unwanted = True
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # the loop was closed: the extension was unloaded
                self._loop.call_soon_threadsafe(self._task.cancel)

    def show_again(self) -> None:
        """Draws the last state once more: notebook runners only see what a running cell sends."""
        if self._run is not None:
            self._run.show_again()

    def result(self) -> Any:
        """What its variable stands for.

        Raises:
            CellError: It failed, or was stopped.
        """
        self.told = True
        self._done.result()
        if self.state == "done":
            return self._result
        if self.error is not None:
            raise CellError(self.error)
        raise CellError(
            StreamInterrupted(
                f"Job {self.number} was stopped.",
                partial=self._reply,
                reason="cancelled",
                hint="What had arrived is in `.reply`.",
            )
        )

    def wait(self, timeout_s: float) -> None:
        """Blocks until it is over, but no longer than the timeout."""
        futures.wait([self._done], timeout_s)

    async def ended(self) -> None:
        """Waits until it is over; giving up waiting does not stop it."""
        await asyncio.shield(asyncio.wrap_future(self._done))

    def line(self) -> str:
        """One line for a list."""
        said = f"{len(self.reply.text):,} characters"
        return (
            f"{self.number:>3}  {self.state:<8} {self.elapsed_s:6.1f} s  {said:>18}  {self.title}"
        )


class PendingReply:
    """What a variable holds of an answer in the background: `await answer` gives the reply.

    With `--as` and `--format json` it gives the value. `.reply`, `.text` and the like are what has
    come so far. As a string, in a prompt for one, it is the answer itself.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def __await__(self) -> Generator[Any, None, Any]:
        yield from self._job.ended().__await__()
        return self._job.result()

    @property
    def reply(self) -> ChatReply:
        return self._job.reply

    @property
    def text(self) -> str:
        return self._job.reply.text

    @property
    def thinking(self) -> str:
        return self._job.reply.thinking

    @property
    def usage(self) -> TokenUsage | None:
        return self._job.reply.usage

    @property
    def cost(self) -> Decimal | None:
        return self._job.reply.cost

    @property
    def finish_reason(self) -> FinishReason | None:
        return self._job.reply.finish_reason

    @property
    def done(self) -> bool:
        return self._job.over

    def cancel(self) -> None:
        self._job.cancel()

    def __str__(self) -> str:
        """What the same variable would say had the cell not been in the background.

        Raises:
            ConfigError: It is not over yet.
        """
        job = self._job
        if not job.over:
            raise ConfigError(
                f"Job {job.number} still runs.", hint=f"`%minimax wait {job.number}` waits for it."
            )
        return str(job.outcome)

    def __repr__(self) -> str:
        job = self._job
        reply = job.reply
        said = f"{len(reply.text):,} characters"
        if job.over and job.outcome is not reply:
            said = _in_short(job.outcome)
        return f"<answer of job {job.number}: {job.state}, {said}>"


class Jobs:
    """Those of a session, by number."""

    def __init__(self) -> None:
        self._drawing = BackgroundLoop("minimax-magic-drawing")
        self._jobs: dict[int, Job] = {}
        self._begun = 0

    def begin(self, prompt: str, run: CellRun, hands: KernelHands) -> PendingReply:
        self._let_go()
        self._begun += 1
        job = self._jobs[self._begun] = Job(self._begun, prompt, run, hands)
        job.start(self._drawing)
        if not hands.between_cells:
            print(f"Job {job.number} answers in the background; %minimax wait shows it.")
        return PendingReply(job)

    @property
    def running(self) -> list[Job]:
        return [job for job in self._jobs.values() if not job.over]

    @property
    def untold(self) -> list[Job]:
        """Those that run, and those that ended without anybody having waited for them."""
        return [job for job in self._jobs.values() if not (job.over and job.told)]

    def _let_go(self) -> None:
        over = [job for job in self._jobs.values() if job.over]
        for job in over[:-_MOST_OVER]:
            del self._jobs[job.number]
            job.let_go()

    def numbers(self) -> list[str]:
        return [str(job.number) for job in self.running]

    def text(self) -> str:
        """All of them, for `%minimax jobs`."""
        if not self._jobs:
            return "No job was begun: `%%minimax --bg` answers in the background."
        return "\n".join(job.line() for job in self._jobs.values())

    def find(self, word: str) -> Job:
        """The job of a number as it is typed.

        Raises:
            LineError: There is none.
        """
        job = self._jobs.get(int(word)) if word.isdecimal() else None
        if job is None:
            known = ", ".join(map(str, self._jobs)) or "none yet"
            raise LineError(f"there is no job {word}. There are: {known}.")
        return job

    def wait(self, jobs: list[Job]) -> None:
        """Blocks until they are over and shows them, and runs the tools of all that go on meanwhile.

        Raises:
            KeyboardInterrupt: The person does not want to wait any more; they go on.
        """
        with interrupts.raised():
            while waiting := [job for job in jobs if not job.over]:
                for job in self.running:
                    job.hands.serve_blocking(keep=True)
                waiting[0].wait(_LOOK_S)
        for job in jobs:
            job.show_again()
            job.told = True

    def close(self) -> None:
        for job in self.running:
            job.cancel()
        self._drawing.stop()
        for job in self.running:
            job.abandon()


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TITLE_CHARS else f"{line[: _TITLE_CHARS - 3]}..."


def _in_short(value: Any) -> str:
    short = reprlib.Repr()
    short.maxstring = short.maxother = _TITLE_CHARS
    return _cut(short.repr(value))
