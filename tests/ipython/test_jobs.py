"""Cells in the background, with made-up turns."""

from __future__ import annotations

import asyncio
import gc
import io
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

import pytest
from made_up_cells import wait_for

from minimax_magic.errors import APIConnectionError, ConfigError
from minimax_magic.events import ChatReply, Finished, ReplyBuilder, StreamEvent, TextDelta
from minimax_magic.ipython.bridge import BackgroundLoop
from minimax_magic.ipython.cell_errors import CellError, LineError, ToolStopped
from minimax_magic.ipython.hands import _Work
from minimax_magic.ipython.jobs import HeldOutput, Jobs, KernelHands, PendingReply
from minimax_magic.ipython.runner import CellRun
from minimax_magic.messages import ToolCall
from minimax_magic.render.transcript import Transcript
from minimax_magic.tools.functions import as_tool
from minimax_magic.usage.rows import Booked


class Turn:
    """Says a text, calls a tool if there is one, waits until it may go on, and ends or fails."""

    model, chat, number, booked = "model", None, 1, None

    def __init__(
        self,
        text: str = "some",
        fails: BaseException | None = None,
        hands: KernelHands | None = None,
        function: Any = None,
    ) -> None:
        self.go, self.said, self.closed = (threading.Event() for _ in range(3))
        self.kept: list[bool] = []
        self._text, self._fails, self._hands, self._function = text, fails, hands, function
        self.value: Any = None
        self._builder = ReplyBuilder("model")

    @property
    def reply(self) -> ChatReply:
        return replace(self._builder.build(), value=self.value)

    def _say(self, text: str) -> TextDelta:
        self._builder.apply(TextDelta(text))
        return TextDelta(text)

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        try:
            yield self._say(self._text)
            self.said.set()
            if self._hands is not None:
                tool = as_tool(self._function)
                bound = tool.bind(ToolCall(id="1", name=tool.spec.name, arguments={}))
                outcome = await self._hands.run(tool, bound)
                yield self._say(outcome.text)
            else:
                while not self.go.is_set():
                    await asyncio.sleep(0.005)
            if self._fails is not None:
                raise self._fails
            yield Finished("stop")
        finally:
            self.closed.set()

    def keep(self, *, whole: bool = True) -> bool:
        self.kept.append(whole)
        return False


class Output:
    """Notes what a job says and how often it is shown."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.phases: list[str] = []
        self.shown_again = 0

    def begin(self) -> None: ...

    def feed(self, events: Any) -> None: ...

    def draw(self) -> None: ...

    def draw_now(self) -> None: ...

    def due_in(self) -> float:
        return 0.02

    def settle_in(self) -> float:
        return 0.0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def redraw(self) -> None:
        self.shown_again += 1

    def finish(
        self, phase: str, reply: ChatReply, booked: Booked | None = None, *, typed: bool = False
    ) -> None:
        self.phases.append(phase)


class Office:
    """The jobs of a session, and what makes one."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.background = BackgroundLoop()

    def begin(
        self,
        turn: Turn,
        output: Any = None,
        hands: KernelHands | None = None,
        prompt: str = "hi",
        *,
        typed: bool = False,
    ) -> PendingReply:
        output = output or Output()
        run = CellRun(self.background, turn, output, typed=typed, alone=True)  # type: ignore[arg-type]
        return self.jobs.begin(prompt, run, hands or KernelHands(None))

    def close(self) -> None:
        self.jobs.close()
        self.background.stop()


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.close()


async def value_of(pending: PendingReply) -> Any:
    async with asyncio.timeout(10):
        return await pending


def test_it_begins_and_ends(office: Office) -> None:
    """A job is begun at once, says what has come so far, and gives its reply when awaited."""
    turn, output = Turn("so far"), Output()
    pending = office.begin(turn, output, prompt="tell\n me  more")
    wait_for(lambda: pending.text == "so far")
    assert not pending.done
    assert repr(pending) == "<answer of job 1: running, 6 characters>"
    assert office.jobs.numbers() == ["1"]
    turn.go.set()
    assert asyncio.run(value_of(pending)).text == "so far"
    assert asyncio.run(value_of(pending)) is pending.reply  # awaited again
    assert pending.done
    assert office.jobs.numbers() == []
    assert output.phases == ["done"]
    assert turn.kept == [True]
    assert "1  done" in office.jobs.text()
    assert office.jobs.text().endswith("tell me more")


def test_the_list(office: Office) -> None:
    """`jobs` has a line for each, by number; long prompts are cut."""
    assert office.jobs.text().startswith("No job was begun")
    turns = [Turn(), Turn()]
    for turn in turns:
        office.begin(turn, prompt="word " * 50)
    lines = office.jobs.text().splitlines()
    assert [text.split()[:2] for text in lines] == [["1", "running"], ["2", "running"]]
    assert all(len(text) < 110 and text.endswith("...") for text in lines)
    turns[0].go.set()
    wait_for(lambda: office.jobs.numbers() == ["2"])


@pytest.mark.parametrize("word", ["3", "0", "one", "-1", "²"])
def test_no_such_job(office: Office, word: str) -> None:
    """What is no number of a job is a usage error that names those there are."""
    with pytest.raises(LineError, match=f"there is no job {word}. There are: none yet."):
        office.jobs.find(word)
    office.begin(Turn())
    with pytest.raises(LineError, match=r"There are: 1\."):
        office.jobs.find(word)
    assert office.jobs.find("1").number == 1


def test_cancelling(office: Office) -> None:
    """A cancelled job closes its request, keeps its part and raises where it is awaited."""
    turn, output = Turn("the part"), Output()
    pending = office.begin(turn, output)
    assert turn.said.wait(10)
    wait_for(lambda: pending.text == "the part")
    pending.cancel()
    with pytest.raises(CellError, match=r"Job 1 was stopped. What had arrived is in `.reply`."):
        asyncio.run(value_of(pending))
    assert turn.closed.is_set()
    assert pending.text == "the part"
    assert output.phases == ["interrupted"]
    assert turn.kept == [False]
    assert "1  stopped" in office.jobs.text()
    pending.cancel()  # once more does no harm


def test_cancelling_at_once(office: Office) -> None:
    """A job that is cancelled before its thread has looked at it does not go on for ever."""
    held = threading.Event()
    office.jobs._drawing.loop.call_soon_threadsafe(held.wait, 10)
    pending = office.begin(Turn())
    pending.cancel()
    held.set()
    with pytest.raises(CellError, match="was stopped"):
        asyncio.run(value_of(pending))


def test_a_failure(office: Office) -> None:
    """A failure is said in the output, since nobody sees what is raised, and raised on `await`."""
    turn, output = Turn(fails=APIConnectionError("No line.", hint="Plug it in.")), Output()
    turn.go.set()
    pending = office.begin(turn, output)
    with pytest.raises(CellError, match=r"^No line. Plug it in.$"):
        asyncio.run(value_of(pending))
    assert output.notes == ["APIConnectionError: No line. Plug it in."]
    assert output.phases == ["failed"]
    assert pending.text == "some"
    assert "1  failed" in office.jobs.text()


def test_a_fault_of_ours(office: Office) -> None:
    """What is none of our errors is said and raised as it is, and the other jobs go on."""
    turn, output = Turn(fails=ZeroDivisionError("ours")), Output()
    turn.go.set()
    other = Turn()
    pending, beside = office.begin(turn, output), office.begin(other)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(value_of(pending))
    assert output.notes == ["ZeroDivisionError: ours"]
    other.go.set()
    assert asyncio.run(value_of(beside)).text == "some"


def test_giving_up_waiting(office: Office) -> None:
    """A timeout around `await answer` leaves the job alone."""
    turn = Turn()
    pending = office.begin(turn)

    async def impatient() -> None:
        async with asyncio.timeout(0.02):
            await pending

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    assert not pending.done
    turn.go.set()
    assert asyncio.run(value_of(pending)).text == "some"


def test_waiting(office: Office) -> None:
    """`wait` blocks until they are over, and shows them once more."""
    turns, outputs = [Turn(), Turn()], [Output(), Output()]
    for turn, output in zip(turns, outputs, strict=True):
        office.begin(turn, output)
    timer = threading.Timer(0.05, lambda: [turn.go.set() for turn in turns])
    timer.start()
    office.jobs.wait([office.jobs.find("1"), office.jobs.find("2")])
    assert office.jobs.running == []
    assert [output.shown_again for output in outputs] == [1, 1]


def test_a_stop_ends_the_waiting_only(office: Office) -> None:
    """The stop button ends `wait`, also where the kernel's handler is deaf; the job goes on."""
    import signal

    turn = Turn()
    pending = office.begin(turn)
    deaf = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        timer = threading.Timer(
            0.1, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        )
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            office.jobs.wait(office.jobs.running)
    finally:
        signal.signal(signal.SIGINT, deaf)
    assert not pending.done
    turn.go.set()
    assert asyncio.run(value_of(pending)).text == "some"


def test_tools_run_between_cells(office: Office) -> None:
    """On a kernel's loop, a tool of a job runs as soon as the loop is free, on its thread."""
    ran: list[int] = []

    async def main() -> str:
        hands = KernelHands(asyncio.get_running_loop())
        function = lambda: ran.append(threading.get_ident()) or " and more"  # noqa: E731
        pending = office.begin(Turn(hands=hands, function=function), hands=hands)
        return str((await value_of(pending)).text)

    assert asyncio.run(main()) == "some and more"
    assert ran == [threading.get_ident()]


def test_waiting_runs_tools(office: Office) -> None:
    """While `wait` blocks the kernel, it is who waits that runs the tools of all jobs."""
    ran: list[int] = []

    async def pause() -> str:
        await asyncio.sleep(0)
        return " and that"

    def work() -> str:
        ran.append(threading.get_ident())
        return " and this"

    texts = []
    for function in (work, pause):
        hands = KernelHands(None)
        office.begin(Turn(hands=hands, function=function), hands=hands)
    office.jobs.wait(office.jobs.running)
    texts = [office.jobs.find(word).reply.text for word in "12"]
    assert texts == ["some and this", "some and that"]
    assert ran == [threading.get_ident()]


def test_a_tool_that_is_stopped_stops_its_job(office: Office) -> None:
    """The stop button on a tool that blocks the kernel for a job stops that job, and nothing else."""

    def block() -> None:
        raise KeyboardInterrupt

    async def main() -> PendingReply:
        hands = KernelHands(asyncio.get_running_loop())
        pending = office.begin(Turn(hands=hands, function=block), hands=hands)
        with pytest.raises(CellError, match="Job 1 was stopped"):
            await value_of(pending)
        return pending

    assert asyncio.run(main()).text == "some"
    assert "1  stopped" in office.jobs.text()


def test_an_async_tool_cannot_end_the_kernel(office: Office) -> None:
    """A KeyboardInterrupt of an async tool stops its job; the kernel's loop goes on."""

    async def leave() -> None:
        raise KeyboardInterrupt

    async def main() -> str:
        hands = KernelHands(asyncio.get_running_loop())
        pending = office.begin(Turn(hands=hands, function=leave), hands=hands)
        with pytest.raises(CellError, match="Job 1 was stopped"):
            await value_of(pending)
        return "alive"

    assert asyncio.run(main()) == "alive"


def test_what_leaves_programs_stays_in_the_call(office: Office) -> None:
    """Whatever is raised between cells, `sys.exit` included, does not end the kernel's loop."""

    async def main() -> str:
        hands = KernelHands(asyncio.get_running_loop())
        work = _Work(lambda: sys.exit(3), is_async=False)
        with pytest.raises(ToolStopped, match="SystemExit"):
            await hands._hand_over(work)
        return "alive"

    assert asyncio.run(main()) == "alive"


def test_a_kernel_that_ends(office: Office) -> None:
    """Asking a closed loop for a tool raises nothing on the thread that asks."""
    loop = asyncio.new_event_loop()
    hands = KernelHands(loop)
    loop.close()
    hands.wake()


def test_closing_ends_them(office: Office) -> None:
    """Unloading the extension closes the requests of all jobs."""
    turns = [Turn(), Turn()]
    for turn in turns:
        office.begin(turn)
        assert turn.said.wait(10)
    office.close()
    assert all(turn.closed.wait(10) for turn in turns)


def test_closing_before_it_began(office: Office) -> None:
    """A job whose thread ends before it has looked at it counts as stopped: nobody waits for ever."""
    held, holds = threading.Event(), threading.Event()

    def hold() -> None:
        holds.set()
        held.wait(10)

    office.jobs._drawing.loop.call_soon_threadsafe(hold)
    assert holds.wait(10)  # what comes now is for the round after, in which the thread ends
    pending = office.begin(Turn("the part"))
    timer = threading.Timer(0.1, held.set)  # by then the thread was told to end
    timer.start()
    office.jobs.close()
    assert pending.done
    with pytest.raises(CellError, match="Job 1 was stopped"):
        asyncio.run(value_of(pending))
    assert pending.text == str(pending) == ""


def finished(office: Office, text: str = "some", value: Any = None) -> PendingReply:
    """One that is over; typed if there is a value."""
    turn = Turn(text)
    turn.value = value
    turn.go.set()
    pending = office.begin(turn, typed=value is not None)
    wait_for(lambda: pending.done)
    return pending


def test_not_for_ever(office: Office) -> None:
    """The last 20 that are over can be named; an older one is only its answer, which its variable has,
    and nothing of its request and its drawing. Numbers are not given twice."""
    office.begin(Turn(), prompt="goes on")
    turn, output = Turn("the oldest"), Output()
    turn.go.set()
    pending = office.begin(turn, output)
    wait_for(lambda: pending.done)
    seen: list[Any] = [weakref.ref(turn), weakref.ref(output)]
    failing = Turn("a part", fails=APIConnectionError("No line."))
    failing.go.set()
    failed = office.begin(failing)
    wait_for(lambda: failed.done)
    seen.append(weakref.ref(failing))
    del turn, output, failing
    for _ in range(25):
        finished(office)
    gc.collect()
    assert [each() for each in seen] == [None] * 3
    assert asyncio.run(value_of(pending)).text == "the oldest"
    with pytest.raises(CellError, match="No line"):
        asyncio.run(value_of(failed))
    assert failed.text == "a part"
    assert len(office.jobs.text().splitlines()) <= 22
    assert office.jobs.find("1").title == "goes on"
    assert office.jobs.find("28").number == 28
    with pytest.raises(LineError, match=r"there is no job 2\. There are: 1, "):
        office.jobs.find("2")
    office.jobs.wait([office.jobs.find("28")])


def test_who_was_told(office: Office) -> None:
    """Those that ended since are told of once: by `wait`, or where they are awaited."""
    first, second = finished(office), finished(office)
    running = Turn()
    third = office.begin(running)
    assert [job.number for job in office.jobs.untold] == [1, 2, 3]
    asyncio.run(value_of(first))
    assert [job.number for job in office.jobs.untold] == [2, 3]
    office.jobs.wait([office.jobs.find("2")])
    assert second.done
    assert [job.number for job in office.jobs.untold] == [3]
    running.go.set()
    wait_for(lambda: third.done)
    assert [job.number for job in office.jobs.untold] == [3]


def test_as_a_string(office: Office) -> None:
    """As a string it is the answer, or the value; one that still runs says so instead."""
    turn = Turn("so far")
    pending = office.begin(turn)
    wait_for(lambda: pending.text == "so far")
    with pytest.raises(ConfigError, match=r"^Job 1 still runs. `%minimax wait 1` waits for it.$"):
        str(pending)
    turn.go.set()
    wait_for(lambda: pending.done)
    assert f"{pending}" == "so far"
    typed = finished(office, '{"n": 3}', {"n": 3})
    assert str(typed) == "{'n': 3}"
    assert repr(typed) == "<answer of job 2: done, {'n': 3}>"
    long = finished(office, "", ["word " * 100] * 100)
    assert str(long) == str(["word " * 100] * 100)
    assert len(repr(long)) < 100


def test_it_has_what_a_reply_has(office: Office) -> None:
    """Thinking, tokens, price and how it ended can be asked of the variable itself."""
    pending = finished(office)
    for name in ("text", "thinking", "usage", "cost", "finish_reason"):
        assert getattr(pending, name) == getattr(pending.reply, name)


def test_its_thread_has_a_name(office: Office) -> None:
    """The thread that draws is not called as the one that asks."""
    finished(office)
    names = {thread.name for thread in threading.enumerate()}
    assert {"minimax-magic-loop", "minimax-magic-drawing"} <= names


def test_held_until_it_is_waited_for() -> None:
    """In a terminal nothing is written until somebody waits, and then all of it."""
    from minimax_magic.messages import TextBlock

    out = io.StringIO()
    with redirect_stdout(out):
        output = HeldOutput(Transcript("model", 0.0), "text")
        output.begin()
        output.feed([TextDelta("the answer")])
        output.draw()
        output.finish("done", ChatReply(model="model", blocks=(TextBlock(text="the answer"),)))
        assert out.getvalue() == ""
        output.redraw()
    assert out.getvalue().startswith("the answer\n")
