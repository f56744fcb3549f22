"""One cell with tools, with a value, and in the background: made-up turns, and interrupts in them."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
from made_up_cells import Output, Turn, once, press

from minimax_magic.errors import APIConnectionError
from minimax_magic.events import ChatReply, StreamEvent, TextDelta
from minimax_magic.ipython.bridge import BackgroundLoop
from minimax_magic.ipython.cell_errors import CellError, CellInterrupted, ToolStopped
from minimax_magic.ipython.hands import CellHands
from minimax_magic.ipython.runner import CellRun
from minimax_magic.messages import ToolCall
from minimax_magic.tools.functions import as_tool
from minimax_magic.usage.rows import Booked


@pytest.fixture
def background() -> Iterator[BackgroundLoop]:
    loop = BackgroundLoop()
    yield loop
    loop.stop()


@pytest.fixture(autouse=True)
def handler_is_restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


async def outcome(run: CellRun) -> BaseException | ChatReply:
    """What came of it. A KeyboardInterrupt that leaves a task would end the loop with it."""
    try:
        return await run.run_async()
    except (Exception, CellInterrupted) as error:
        return error


def test_what_tools_did_is_remembered(background: BackgroundLoop) -> None:
    """Of a stopped turn the chat keeps what tools did, and the cell says so."""
    turn = Turn("some", then="go on")
    turn.tools_did = "a file was written"
    with pytest.raises(CellInterrupted, match="and the chat remembers what the tools did"):
        CellRun(background, turn, Output(draw=once(press))).run()
    assert turn.kept


class Screen(Output):
    """Notes whether it was told that there is a value."""

    typed: bool | None = None

    def finish(
        self, phase: str, reply: ChatReply, booked: Booked | None = None, *, typed: bool = False
    ) -> None:
        super().finish(phase, reply, booked)
        self.typed = typed


def test_a_value_is_only_one_if_it_is_valid(background: BackgroundLoop) -> None:
    """`result` is the value of a typed cell that succeeded, even None, and is drawn; else the reply."""
    screens = [Screen(), Screen(), Screen(), Screen(draw=once(press))]
    plain = CellRun(background, Turn("a"), screens[0])
    assert plain.run() is plain.result
    typed = CellRun(background, Turn("a"), screens[1], typed=True)
    typed.run()
    assert typed.result is None
    failed = CellRun(background, Turn("a", then=APIConnectionError("No.")), screens[2], typed=True)
    with pytest.raises(CellError):
        failed.run()
    assert failed.result.text == "a"
    stopped = CellRun(background, Turn("a", then="go on"), screens[3], typed=True)
    with pytest.raises(CellInterrupted):
        stopped.run()
    assert stopped.result.text == "a"
    assert [screen.typed for screen in screens] == [False, True, False, False]


@pytest.mark.parametrize("alone", [False, True])
def test_a_failure_that_nobody_sees(background: BackgroundLoop, alone: bool) -> None:
    """In the background a failure is said in the output; in a cell, its error is enough."""
    output = Output()
    turn = Turn("a", then=APIConnectionError("No line."))
    with pytest.raises(CellError):
        CellRun(background, turn, output, alone=alone).run()
    assert output.notes == (["APIConnectionError: No line."] if alone else [])


def test_a_stopped_tool_is_a_stopped_cell(background: BackgroundLoop) -> None:
    """If a tool was ended from outside, the cell counts as stopped, not as failed."""
    turn, output = Turn("a", then=ToolStopped("CancelledError")), Output()
    with pytest.raises(CellInterrupted):
        CellRun(background, turn, output).run()
    assert output.finished == [("interrupted", "a")]


class Asking(Turn):
    """A turn that has a function run by the hands of its cell."""

    def __init__(self, hands: CellHands, function: Any) -> None:
        super().__init__("asked ")
        self._asks = hands
        self._function = as_tool(function)

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        try:
            bound = self._function.bind(ToolCall(id="1", name="f", arguments={}))
            outcome = await self._asks.run(self._function, bound)
            self._builder.apply(TextDelta(outcome.text))
            yield TextDelta(outcome.text)
        finally:
            self.closed.set()


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_tools_run_on_the_thread_of_the_cell(
    background: BackgroundLoop, awaited: bool, kind: str
) -> None:
    """Blocking or awaited, the cell's own thread runs its tools while the answer goes on."""

    def where() -> bool:
        return threading.current_thread() is threading.main_thread()

    async def where_async() -> bool:
        await asyncio.sleep(0)
        return where()

    hands = CellHands()
    turn = Asking(hands, where if kind == "sync" else where_async)
    run = CellRun(background, turn, Output(), hands)
    reply = asyncio.run(run.run_async()) if awaited else run.run()
    assert reply.text == "true"


@pytest.mark.parametrize("awaited", [False, True])
def test_the_stop_button_while_a_tool_blocks(background: BackgroundLoop, awaited: bool) -> None:
    """A function that blocks the thread is ended at once, and the request with it."""

    def block() -> None:
        press()
        raise AssertionError("it went on")

    hands, output = CellHands(), Output()
    turn = Asking(hands, block)
    run = CellRun(background, turn, output, hands)
    got: Any
    if awaited:
        got = asyncio.run(outcome(run))
    else:
        with pytest.raises(CellInterrupted) as caught:
            run.run()
        got = caught.value
    assert isinstance(got, CellInterrupted)
    assert turn.closed.is_set()
    assert output.finished == [("interrupted", "")]


def test_cancelled_while_an_async_tool_runs(background: BackgroundLoop) -> None:
    """The kernel's cancelling of a cell ends its async tools, which may clean up, and leaves none."""
    cleaned: list[str] = []

    async def main() -> Any:
        begun = asyncio.Event()

        async def wait() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                cleaned.append("yes")

        hands = CellHands()
        run = CellRun(background, Asking(hands, wait), Output(), hands)
        task = asyncio.ensure_future(outcome(run))
        await begun.wait()
        task.cancel()
        got = await task
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return got

    assert isinstance(asyncio.run(main()), CellInterrupted)
    assert cleaned == ["yes"]
