"""Streams read on the background loop, taken by the cell's thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator

import pytest

from minimax_magic.ipython.bridge import BackgroundLoop, Run

LOOP_THREAD = "minimax-magic-loop"


def loop_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == LOOP_THREAD]


@pytest.fixture
def background() -> Iterator[BackgroundLoop]:
    before = loop_threads()
    loop = BackgroundLoop()
    yield loop
    loop.stop()
    assert loop_threads() == before


class Endless:
    """A stream that gives numbers for as long as it is asked, and notes its end."""

    def __init__(self, pause_s: float = 0.001) -> None:
        self.pause_s = pause_s
        self.begun = threading.Event()
        self.closed = threading.Event()

    async def __call__(self) -> AsyncGenerator[int, None]:
        self.begun.set()
        number = 0
        try:
            while True:
                yield number
                number += 1
                await asyncio.sleep(self.pause_s)
        finally:
            self.closed.set()


def three() -> AsyncGenerator[int, None]:
    async def numbers() -> AsyncGenerator[int, None]:
        for number in range(3):
            yield number

    return numbers()


def take_all(run: Run[int]) -> list[int]:
    found: list[int] = []
    while not run.over:
        run.wait(1)
        found += run.drain()
    return found


def test_everything_arrives_in_order(background: BackgroundLoop) -> None:
    """A blocking reader gets every item once, in order, and then the end."""

    async def many() -> AsyncGenerator[int, None]:
        for number in range(10_000):
            yield number
            if number % 1000 == 0:
                await asyncio.sleep(0)

    run = Run(background, many)
    run.start()
    assert take_all(run) == list(range(10_000))
    assert run.error is None


def test_an_awaiting_reader_gets_the_same(background: BackgroundLoop) -> None:
    """On a loop of its own the reader sees the same items and the same end."""

    async def read() -> list[int]:
        run = Run(background, three)
        run.start()
        found: list[int] = []
        while not run.over:
            await run.wait_async(1)
            found += run.drain()
        return found

    assert asyncio.run(read()) == [0, 1, 2]


def test_waiting_without_news_comes_back(background: BackgroundLoop) -> None:
    """A wait ends at its timeout, so that the status can be drawn while nothing arrives."""
    source = Endless(pause_s=60)
    run = Run(background, source)
    run.start()
    assert source.begun.wait(10)

    async def read() -> None:
        while not run.drain():
            await run.wait_async(1)
        await run.wait_async(0.01)
        assert run.drain() == []

    asyncio.run(read())
    run.wait(0.01)
    assert not run.over
    run.cancel()


def test_a_burst_leaves_others_their_turn(background: BackgroundLoop) -> None:
    """A reader that always finds news still lets the other tasks of its loop run."""
    run = Run(background, three)
    run.start()
    assert run._closed.wait(10)
    assert run._news.is_set()

    async def read() -> bool:
        others = asyncio.Event()
        asyncio.get_running_loop().call_soon(others.set)
        await run.wait_async(60)
        return others.is_set()

    assert asyncio.run(read())


@pytest.mark.parametrize("awaited", [False, True])
def test_a_nudge_ends_a_wait(background: BackgroundLoop, awaited: bool) -> None:
    """From any thread, a wait can be ended although nothing has arrived: a tool is to be run."""

    async def silent() -> AsyncGenerator[int, None]:
        await asyncio.sleep(60)
        yield 0

    run = Run(background, silent)
    run.start()

    async def main() -> None:
        timer = threading.Timer(0.02, run.nudge)
        timer.start()
        async with asyncio.timeout(10):
            await run.wait_async(30)

    if awaited:
        asyncio.run(main())
    else:
        run.nudge()
        run.wait(30)
    assert run.drain() == []
    run.cancel()


def test_an_error_ends_the_run(background: BackgroundLoop) -> None:
    """What the stream raised is kept, and what came before it can still be taken."""

    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("broken")

    run = Run(background, broken)
    run.start()
    assert take_all(run) == [1]
    assert isinstance(run.error, ValueError)


def test_cancel_closes_the_stream(background: BackgroundLoop) -> None:
    """When `cancel` returns, the stream is closed; what had arrived can be taken."""
    source = Endless()
    run = Run(background, source)
    run.start()
    while not (found := run.drain()):
        run.wait(1)
    run.cancel()
    assert source.closed.is_set()
    assert found[0] == 0
    run.drain()
    assert run.over
    assert isinstance(run.error, asyncio.CancelledError)


def test_cancel_at_any_time(background: BackgroundLoop) -> None:
    """Before the start, right after it, twice, or when all is over: cancelling is harmless."""
    Run(background, three).cancel()
    for _ in range(50):
        source = Endless()
        run = Run(background, source)
        run.start()
        run.cancel()
        assert run.over or run.drain() is not None
        assert source.closed.is_set() == source.begun.is_set()
        run.cancel()
    run = Run(background, three)
    run.start()
    assert take_all(run) == [0, 1, 2]
    run.cancel()
    assert run.error is None


def test_nothing_runs_before_the_start(background: BackgroundLoop) -> None:
    """Making a run asks for nothing and starts no thread."""
    before = loop_threads()
    source = Endless()
    Run(background, source)
    assert loop_threads() == before
    assert not source.begun.is_set()


def test_a_reader_whose_loop_was_closed(background: BackgroundLoop) -> None:
    """When the kernel's loop is closed under a waiting reader, the stream still ends in order."""
    source = Endless()
    run = Run(background, source)

    async def begin() -> None:
        run.start()
        await run.wait_async(10)

    asyncio.run(begin())
    run.drain()  # from here on every item is news for a loop that is gone
    run.wait(10)
    run.drain()
    run.wait(10)
    assert run.error is None
    run.cancel()
    assert source.closed.is_set()


def test_one_thread_for_all(background: BackgroundLoop) -> None:
    """Runs of several threads share one background thread."""
    before = len(loop_threads())
    loops: set[asyncio.AbstractEventLoop] = set()
    threads = [threading.Thread(target=lambda: loops.add(background.loop)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loops) == 1
    assert len(loop_threads()) == before + 1


def test_stop_ends_everything() -> None:
    """Stopping closes open streams, ends the thread and closes the loop; then it can begin anew."""
    before = loop_threads()
    background = BackgroundLoop()
    background.stop()  # never used: nothing to do
    source = Endless()
    run = Run(background, source)
    run.start()
    assert source.begun.wait(10)
    loop = background.loop
    background.stop()
    assert source.closed.is_set()
    assert loop.is_closed()
    assert loop_threads() == before
    run.drain()
    assert run.over
    run.cancel()
    assert take_after_restart(background) == [0, 1, 2]


def take_after_restart(background: BackgroundLoop) -> list[int]:
    run = Run(background, three)
    run.start()
    try:
        return take_all(run)
    finally:
        background.stop()


def test_a_thread_that_is_gone_is_replaced(background: BackgroundLoop) -> None:
    """In a forked process the thread is missing; the next use makes loop and thread anew."""
    first = background.loop
    (thread,) = [t for t in loop_threads() if t.is_alive()][-1:]
    first.call_soon_threadsafe(first.stop)
    thread.join(10)
    assert background.loop is not first
    run = Run(background, three)
    run.start()
    assert take_all(run) == [0, 1, 2]


def test_submitted_work_gives_its_result(background: BackgroundLoop) -> None:
    """`submit` runs a coroutine on the background thread and gives a future of its result."""

    async def where() -> str:
        return threading.current_thread().name

    assert background.submit(where()).result(10) == LOOP_THREAD
