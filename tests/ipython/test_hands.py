"""Where tools run: a conversation on the background loop, its hands on this thread."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, cast

import pytest

from minimax_magic.errors import ConfigError
from minimax_magic.ipython.bridge import BackgroundLoop
from minimax_magic.ipython.cell_errors import ToolStopped
from minimax_magic.ipython.hands import CellHands
from minimax_magic.messages import ToolCall
from minimax_magic.tools.calls import Outcome
from minimax_magic.tools.functions import as_tool


class Desk:
    """Hands, and the background loop that asks them."""

    def __init__(self, background: BackgroundLoop, **options: Any) -> None:
        self.hands = CellHands(**options)
        self.news = threading.Semaphore(0)
        self.hands.wake = self.news.release
        self.background = background

    def ask(self, function: Any, **arguments: Any) -> Future[Outcome]:
        """Asks for a call, and returns when it waits to be done."""
        tool = as_tool(function)
        bound = tool.bind(ToolCall(id="1", name=tool.spec.name, arguments=arguments))
        asked = self.background.submit(self.hands.run(tool, bound))
        assert self.news.acquire(timeout=10)
        return asked

    def allow(self, name: str) -> Future[bool]:
        asked = self.background.submit(self.hands.allow(ToolCall(id="1", name=name, arguments={})))
        assert self.news.acquire(timeout=10)
        return asked


@pytest.fixture
def background() -> Iterator[BackgroundLoop]:
    loop = BackgroundLoop()
    yield loop
    loop.stop()


@pytest.fixture
def desk(background: BackgroundLoop) -> Desk:
    return Desk(background)


@pytest.fixture(autouse=True)
def handler_is_restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture(autouse=True)
def asyncio_is_restored() -> Iterator[None]:
    """What nest_asyncio2 changes for good in a kernel, it must not change for other tests."""
    policy = type(asyncio.get_event_loop_policy())
    loop = asyncio.SelectorEventLoop
    places: list[Any] = [asyncio, asyncio.tasks, asyncio.futures, asyncio.events, policy, loop]
    before = [dict(vars(place)) for place in places]
    yield
    for place, names in zip(places, before, strict=True):
        for name in [*vars(place)]:
            if name not in names:
                delattr(place, name)
            elif vars(place)[name] is not names[name]:
                setattr(place, name, names[name])


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def main_of(make: Callable[[], Any]) -> Any:
    """Runs what `make` gives on a new loop of this thread."""
    return asyncio.run(make())


# ---------------------------------------------------------------------------------- sync tools


@pytest.mark.parametrize("blocking", [False, True])
def test_functions_run_here_in_their_order(desk: Desk, blocking: bool) -> None:
    """Sync tools run on the thread that serves, one after the other, as they were asked for."""
    ran: list[tuple[int, int]] = []

    def note(number: int) -> int:
        ran.append((number, threading.get_ident()))
        return number * 2

    asked = [desk.ask(note, number=number) for number in range(4)]
    assert desk.hands.has_work
    assert not any(each.done() for each in asked)
    serve = desk.hands.serve_blocking if blocking else desk.hands.serve
    serve()
    assert ran == [(number, threading.get_ident()) for number in range(4)]
    assert [each.result(10).text for each in asked] == ["0", "2", "4", "6"]
    assert not desk.hands.has_work


def test_the_cell_is_drawn_before_a_tool_blocks(desk: Desk) -> None:
    """Before each function the output gets its chance, after it nobody sees the thread blocked."""
    seen: list[str] = []
    for name in "ab":
        desk.ask(lambda name: seen.append(name), name=name)
    desk.hands.serve(lambda: seen.append("drawn"))
    assert seen == ["drawn", "a", "drawn", "b"]


def test_an_exception_of_a_tool_is_an_outcome(desk: Desk) -> None:
    """What a tool raises is for the model; whoever serves goes on with the next one."""

    def fail() -> None:
        raise LookupError("no such row")

    asked = [desk.ask(fail), desk.ask(lambda: "fine")]
    desk.hands.serve()
    failed, fine = (each.result(10) for each in asked)
    assert failed.is_error
    assert "LookupError: no such row" in failed.text
    assert (fine.text, fine.is_error) == ("fine", False)


def test_an_interrupt_while_a_tool_blocks(desk: Desk) -> None:
    """The stop button ends a function that blocks, even where a kernel's handler would only cancel at
    the next `await`; who asked is told that it was stopped, and the next one does not run."""
    deaf = signal.signal(signal.SIGINT, lambda *_: None)
    ran: list[str] = []
    try:
        stopped = desk.ask(lambda: (press(), ran.append("on")))
        behind = desk.ask(lambda: ran.append("behind"))
        with pytest.raises(KeyboardInterrupt):
            desk.hands.serve()
    finally:
        signal.signal(signal.SIGINT, deaf)
    assert ran == []
    with pytest.raises(ToolStopped):
        stopped.result(10)
    assert not behind.done()


def test_what_is_no_longer_wanted_does_not_run(desk: Desk) -> None:
    """A call that was cancelled while it waited for the thread is left out."""
    ran: list[int] = []
    asked = desk.ask(lambda: ran.append(1))
    asked.cancel()
    desk.background.submit(asyncio.sleep(0)).result(10)
    desk.hands.serve()
    assert ran == []


# --------------------------------------------------------------------------------- async tools


def test_async_tools_are_tasks_of_the_running_loop(desk: Desk) -> None:
    """Async tools run side by side on the loop that serves, with what belongs to it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        meeting = asyncio.Barrier(2)
        seen: list[Any] = []

        async def meet() -> str:
            seen.append(asyncio.get_running_loop())
            await meeting.wait()  # each waits for the other
            return "met"

        asked = [desk.ask(meet), desk.ask(meet)]
        desk.hands.serve()
        async with asyncio.timeout(10):
            both = await asyncio.gather(*map(asyncio.wrap_future, asked))
        assert [outcome.text for outcome in both] == ["met", "met"]
        assert seen == [loop, loop]

    main_of(main)


def test_cancelling_reaches_an_async_tool(desk: Desk) -> None:
    """If the request is cancelled, so is the tool that runs for it, and it can clean up."""

    async def main() -> None:
        begun, cleaned = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.set()

        asked = desk.ask(wait)
        desk.hands.serve()
        async with asyncio.timeout(10):
            await begun.wait()
            asked.cancel()
            await cleaned.wait()
        with pytest.raises(CancelledError):
            asked.result(0)

    main_of(main)


def test_stopping_lets_async_tools_clean_up(desk: Desk) -> None:
    """`stop` returns when the tools have ended."""

    async def main() -> list[str]:
        done: list[str] = []

        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                done.append("cleaned")

        asked = desk.ask(wait)
        desk.hands.serve()
        await asyncio.sleep(0)
        await desk.hands.stop()
        with pytest.raises(ToolStopped):
            await asyncio.wrap_future(asked)
        return done

    assert main_of(main) == ["cleaned"]


@pytest.mark.parametrize("blocking", [False, True])
def test_a_tool_cannot_end_the_loop(desk: Desk, blocking: bool) -> None:
    """An async tool that raises KeyboardInterrupt counts as stopped; the kernel's loop goes on."""

    async def main() -> str:
        async def leave() -> None:
            raise KeyboardInterrupt

        asked = desk.ask(leave)
        serve = desk.hands.serve_blocking if blocking else desk.hands.serve
        serve()
        with pytest.raises(ToolStopped, match="KeyboardInterrupt"):
            await asyncio.wrap_future(asked)
        await asyncio.sleep(0)
        return "alive"

    assert main_of(main) == "alive"


def test_a_tool_may_end_what_it_awaits(desk: Desk) -> None:
    """A CancelledError of something else that the tool awaits is an error of the tool."""

    async def main() -> Outcome:
        async def give_up() -> None:
            other = asyncio.ensure_future(asyncio.sleep(10))
            other.cancel()
            await other

        asked = desk.ask(give_up)
        desk.hands.serve()
        return await asyncio.wrap_future(asked)

    outcome = main_of(main)
    assert outcome.is_error
    assert "CancelledError" in outcome.text


# ----------------------------------------------------------------------- where nothing runs a loop


def test_without_a_loop(desk: Desk) -> None:
    """Where no loop runs, as in terminal IPython, async tools run on IPython's own, with sync ones
    between them, and the cell is told of the time."""
    from IPython.core.async_helpers import get_asyncio_loop

    async def pause(text: str) -> str:
        await asyncio.sleep(0.15)
        assert asyncio.get_running_loop() is get_asyncio_loop()
        return text

    ticks: list[int] = []
    asked = [desk.ask(pause, text="a"), desk.ask(lambda: "b"), desk.ask(pause, text="c")]
    desk.hands.serve_blocking(tick=lambda: ticks.append(1))
    assert [each.result(10).text for each in asked] == ["a", "b", "c"]
    assert ticks


def test_inside_a_running_loop(desk: Desk) -> None:
    """In a synchronous cell of a kernel, whose loop runs below it, the loop is run from inside: the
    tool can await what belongs to it, and tasks of the user's go on."""

    async def main() -> tuple[str, bool]:
        loop = asyncio.get_running_loop()
        later = loop.create_future()
        others = asyncio.Event()

        async def user() -> None:
            later.set_result("of this loop")
            others.set()

        async def take() -> str:
            return str(await later)

        task = loop.create_task(user())
        asked = desk.ask(take)
        desk.hands.serve_blocking()  # synchronous: there is no await here
        assert asked.done() or asked.result(10)
        await task
        return asked.result(10).text, others.is_set()

    assert main_of(main) == ("of this loop", True)


def test_it_waits_for_what_had_begun_on_the_loop(desk: Desk) -> None:
    """An async tool that began while the loop ran ends although the thread is then blocked."""

    async def main() -> str:
        async def pause() -> str:
            await asyncio.sleep(0.05)
            return "done"

        asked = desk.ask(pause)
        desk.hands.serve()
        await asyncio.sleep(0)
        desk.hands.serve_blocking()
        return asked.result(10).text

    assert main_of(main) == "done"


def test_an_interrupt_of_an_async_tool(desk: Desk) -> None:
    """Where the thread is blocked for it, the stop button ends an async tool, which cleans up first."""
    done: list[str] = []

    async def wait() -> None:
        asyncio.get_running_loop().call_later(0.05, press)
        try:
            await asyncio.Event().wait()
        finally:
            done.append("cleaned")

    asked = desk.ask(wait)
    with pytest.raises(KeyboardInterrupt):
        desk.hands.serve_blocking()
    assert done == ["cleaned"]
    with pytest.raises(ToolStopped):
        asked.result(10)


class ForeignLoop:
    """A loop that is none of asyncio's own, such as uvloop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def test_a_loop_that_cannot_be_nested(desk: Desk) -> None:
    """Under uvloop and the like, a synchronous cell says what to do instead of hanging, and asyncio is
    left as it is."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        asked = desk.ask(asyncio.sleep, delay=0, result="x")
        asyncio._set_running_loop(cast("Any", ForeignLoop(loop)))
        try:
            with pytest.raises(ConfigError, match="first line of the cell") as caught:
                desk.hands.serve_blocking()
        finally:
            asyncio._set_running_loop(loop)
        asked.cancel()
        return str(caught.value)

    before = asyncio.run
    text = main_of(main)
    assert text.startswith(f"An async tool cannot run inside {__name__}'s loop")
    assert asyncio.run is before


# ----------------------------------------------------------------------------------- asking first


def test_nobody_is_asked_without_confirm(background: BackgroundLoop) -> None:
    """Without `--confirm`, calls are allowed at once, by the reading loop itself."""
    hands = CellHands()
    call = ToolCall(id="1", name="f", arguments={})
    assert background.submit(hands.allow(call)).result(10) is True


def test_the_question_is_asked_here(background: BackgroundLoop) -> None:
    """The person is asked on the thread that serves, where `input` works."""
    asked_on: list[int] = []

    def ask(call: ToolCall) -> bool:
        asked_on.append(threading.get_ident())
        return call.name == "good"

    desk = Desk(background, confirm=ask)
    answers = [desk.allow("good"), desk.allow("bad")]
    desk.hands.serve()
    assert [answer.result(10) for answer in answers] == [True, False]
    assert asked_on == [threading.get_ident()] * 2


def test_tools_see_the_context_of_who_serves(desk: Desk) -> None:
    """Context variables of the cell, by which prints find their cell, are those of the tool."""
    here: contextvars.ContextVar[str] = contextvars.ContextVar("here", default="elsewhere")
    here.set("in the cell")
    asked = desk.ask(lambda: here.get())
    desk.hands.serve()
    assert asked.result(10).text == "in the cell"
