"""One cell, with a made-up turn and output, so that interrupts land exactly where they hurt."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from made_up_cells import Output, Turn, once, press

from minimax_magic.errors import APIConnectionError, MinimaxError, StreamInterrupted
from minimax_magic.events import ChatReply, ReplyBuilder, TextDelta
from minimax_magic.ipython.bridge import BackgroundLoop
from minimax_magic.ipython.cell_errors import CellError, CellInterrupted
from minimax_magic.ipython.runner import CellRun


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


def test_an_answer_is_drawn_and_kept(background: BackgroundLoop) -> None:
    """A whole answer is drawn, finished once, and becomes part of its chat."""
    turn, output = Turn("a", "b"), Output()
    reply = CellRun(background, turn, output).run()
    assert reply.text == "ab"
    assert output.finished == [("done", "ab")]
    assert turn.kept


@pytest.mark.parametrize("where", ["feed", "draw"])
def test_an_interrupt_does_not_land_in_a_drawing(background: BackgroundLoop, where: str) -> None:
    """A stop that comes in the middle of drawing lets it end, then closes the stream: no word of
    what had arrived is missing from the output."""
    turn = Turn("one ", "two ", "three ", then="go on")
    output = Output(**{where: once(press, turn)})
    run = CellRun(background, turn, output)
    with pytest.raises(CellInterrupted, match="cancelled, what had arrived is kept"):
        run.run()
    assert turn.closed.is_set()
    assert output.fed == "one two three "
    assert output.finished == [("interrupted", "one two three ")]
    assert run.reply.text == "one two three "
    assert not turn.kept


def test_an_interrupt_before_the_first_word(background: BackgroundLoop) -> None:
    """Stopped while nothing has come yet, the cell says so."""
    turn = Turn(then="go on")
    timer = threading.Timer(0.05, press)
    timer.start()
    with pytest.raises(CellInterrupted, match="nothing had arrived yet"):
        CellRun(background, turn, Output()).run()
    timer.join()
    assert turn.closed.is_set()


def test_a_second_press_does_not_lose_the_last_drawing(background: BackgroundLoop) -> None:
    """Presses while a stopped answer is finished are ignored, however many."""
    turn = Turn("some", then="go on")
    output = Output(draw=once(press), finish=lambda: [press() for _ in range(9)])
    with pytest.raises(CellInterrupted):
        CellRun(background, turn, output).run()
    assert output.finished == [("interrupted", "some")]


def test_insisting_stops_a_drawing_that_hangs(background: BackgroundLoop) -> None:
    """The third press raises wherever the program is, and the request is still closed."""
    turn = Turn("some", then="go on")
    output = Output(draw=once(lambda: [press() for _ in range(3)]))
    with pytest.raises(CellInterrupted):
        CellRun(background, turn, output).run()
    assert turn.closed.is_set()


def test_a_drawing_that_fails_ends_the_request(background: BackgroundLoop) -> None:
    """If the front end cannot be drawn to, the error is shown and nothing is left running."""

    def fail() -> None:
        raise BrokenPipeError("the front end is gone")

    turn = Turn("some", then="go on")
    with pytest.raises(BrokenPipeError):
        CellRun(background, turn, Output(draw=fail)).run()
    assert turn.closed.is_set()
    assert not turn.kept

    turn = Turn("some", then="go on")
    with pytest.raises(BrokenPipeError):
        asyncio.run(CellRun(background, turn, Output(draw=fail)).run_async())
    assert turn.closed.is_set()


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_decision_about_sigint_is_respected(
    background: BackgroundLoop, handler: signal.Handlers
) -> None:
    """Where the program ignores interrupts, or leaves them to the system, we do not take over."""
    seen: list[Any] = []
    before = signal.signal(signal.SIGINT, handler)
    try:
        turn = Turn("some")
        output = Output(draw=lambda: seen.append(signal.getsignal(signal.SIGINT)))
        assert CellRun(background, turn, output).run().text == "some"
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert set(seen) == {handler}


def test_another_handler_is_back_afterwards(background: BackgroundLoop) -> None:
    """A kernel that awaits a cell has a handler of its own, deaf while we block: ours works, and
    then the other is back."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(1))
    try:
        turn = Turn("some", then="go on")
        with pytest.raises(CellInterrupted):
            CellRun(background, turn, Output(draw=once(press))).run()
        assert not pressed
        press()
        assert pressed
    finally:
        signal.signal(signal.SIGINT, before)


def test_off_the_main_thread(background: BackgroundLoop) -> None:
    """In a thread, where no signal handler can be set, cells are answered just the same."""
    replies: list[str] = []
    thread = threading.Thread(
        target=lambda: replies.append(CellRun(background, Turn("a"), Output()).run().text)
    )
    thread.start()
    thread.join(10)
    assert replies == ["a"]


@pytest.mark.parametrize("awaited", [False, True])
def test_settling_ends(background: BackgroundLoop, awaited: bool) -> None:
    """An output that its own status drawings keep above its byte rate is left in peace after a
    while, so that the whole answer is drawn."""
    output = Output()
    recent = 0

    def draw() -> None:
        nonlocal recent
        recent = 3
        output.drawn.append(output.fed)

    def settle_in() -> float:  # three looks without a drawing, and it has settled
        nonlocal recent
        recent -= 1
        return 0.1 if recent > 0 else 0.0

    output.draw = draw  # type: ignore[method-assign]
    output.settle_in = settle_in  # type: ignore[method-assign]
    run = CellRun(background, Turn("some"), output)
    reply = asyncio.run(run.run_async()) if awaited else run.run()
    assert reply.text == "some"
    assert output.finished == [("done", "some")]
    assert len(output.drawn) < 15


@pytest.mark.parametrize("awaited", [False, True])
def test_a_silent_server_does_not_freeze_the_status(
    background: BackgroundLoop, awaited: bool
) -> None:
    """While nothing arrives, the output is drawn as often as it asks for: its seconds count."""
    turn = Turn(then="go on")
    output = Output()

    def count() -> None:
        if len(output.drawn) > 5:
            turn.then = "end"

    output.draw = lambda: (output.drawn.append(""), count())  # type: ignore[method-assign]
    output.due_in = lambda: 0.02  # type: ignore[method-assign]
    run = CellRun(background, turn, output)
    reply = asyncio.run(run.run_async()) if awaited else run.run()
    assert reply.finish_reason == "stop"
    assert len(output.drawn) > 5


def test_a_failed_request(background: BackgroundLoop) -> None:
    """An error of the client ends the cell in a CellError; the part is kept, the chat is not."""
    turn, output = Turn("some", then=APIConnectionError("No line.", hint="Plug it in.")), Output()
    run = CellRun(background, turn, output)
    with pytest.raises(CellError, match=r"^No line. Plug it in.$") as caught:
        run.run()
    assert caught.value._render_traceback_()[0].endswith(" No line. Plug it in.")
    assert output.finished == [("failed", "some")]
    assert run.reply.text == "some"
    assert not turn.kept


def test_a_broken_stream_gives_its_part(background: BackgroundLoop) -> None:
    """The reply of an answer that broke off is what the error holds of it."""
    part = ReplyBuilder("m")
    part.apply(TextDelta("the part"))
    lost = StreamInterrupted("Lost.", partial=part.build(), reason="disconnected")
    run = CellRun(background, Turn("other", then=lost), Output())
    with pytest.raises(CellError):
        run.run()
    assert run.reply.text == "the part"


def test_an_error_of_several_lines_is_one_line() -> None:
    """Whatever a server writes, the cell shows one line."""
    (line,) = CellError(MinimaxError("two\nlines", hint="a\thint"))._render_traceback_()
    assert line.endswith(" two lines a hint")


def test_a_fault_of_ours_is_not_dressed_up(background: BackgroundLoop) -> None:
    """What is not one of our errors is raised as it is, with its traceback."""
    with pytest.raises(ZeroDivisionError):
        CellRun(background, Turn(then=ZeroDivisionError()), Output()).run()


# ------------------------------------------------------------------------------ awaited


async def outcome(run: CellRun) -> BaseException | ChatReply:
    """What came of it. A KeyboardInterrupt that leaves a task would end the loop with it."""
    try:
        return await run.run_async()
    except (Exception, CellInterrupted) as error:
        return error


def test_awaited_in_the_same_way(background: BackgroundLoop) -> None:
    """Awaited, an answer is drawn, finished and kept as well, and other tasks run meanwhile."""
    turn, output = Turn(*"abc"), Output()

    async def main() -> Any:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(tick())
        reply = await outcome(CellRun(background, turn, output))
        task.cancel()
        return reply, ticks

    reply, ticks = asyncio.run(main())
    assert reply.text == "abc"
    assert output.finished == [("done", "abc")]
    assert turn.kept
    assert ticks > 0


def test_cancelled_while_awaited(background: BackgroundLoop) -> None:
    """The kernel's cancelling of an awaited cell becomes an interrupt like any other."""
    turn, output = Turn("some", then="go on"), Output()

    async def main() -> Any:
        drawn = asyncio.Event()
        output.trouble["draw"] = drawn.set
        run = asyncio.ensure_future(outcome(CellRun(background, turn, output)))
        await drawn.wait()
        run.cancel()
        return await run

    assert isinstance(asyncio.run(main()), CellInterrupted)
    assert turn.closed.is_set()
    assert output.finished == [("interrupted", "some")]
    assert not turn.kept


def test_unloaded_while_awaited(background: BackgroundLoop) -> None:
    """If the background ends under a running cell, that is an interrupt: half an answer is never
    taken for a whole one."""
    turn, output = Turn("some", then="go on"), Output()

    async def main() -> Any:
        drawn = asyncio.Event()
        output.trouble["draw"] = drawn.set
        run = asyncio.ensure_future(outcome(CellRun(background, turn, output)))
        await drawn.wait()
        background.stop()
        return await run

    assert isinstance(asyncio.run(main()), CellInterrupted)
    assert turn.closed.is_set()
    assert not turn.kept
