"""Slots for requests: how far apart, in which order, and what a cancelled waiter leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any, TypeVar

import pytest

from minimax_magic.client.rate_limit import NoLimit, TokenBucket
from minimax_magic.testing import FakeClock

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, 10))


class HeldClock(FakeClock):
    """A clock whose sleepers sleep until the test lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        woken = asyncio.Event()
        self._sleepers.append((self.now + seconds, woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        self.now += seconds
        for until, woken in self._sleepers:
            if until <= self.now:
                woken.set()
        await settle()


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_the_first_request_goes_at_once() -> None:
    """An unused limiter does not make anybody wait."""
    clock = FakeClock()
    run(TokenBucket(2.0, clock).acquire())
    assert clock.slept == []


def test_two_per_second_are_500_ms_apart() -> None:
    """One slot every 500 ms, and never a burst."""
    clock = FakeClock()
    bucket = TokenBucket(2.0, clock)

    async def go() -> list[float]:
        times = []
        for _ in range(5):
            await bucket.acquire()
            times.append(clock.monotonic())
        return times

    times = run(go())
    assert [later - earlier for earlier, later in pairwise(times)] == [0.5] * 4


def test_a_long_pause_saves_up_one_slot_only() -> None:
    """After an idle hour the second request waits as ever."""
    clock = FakeClock()
    bucket = TokenBucket(2.0, clock)

    async def go() -> None:
        await bucket.acquire()
        clock.now += 3600
        await bucket.acquire()
        assert clock.slept == []
        await bucket.acquire()

    run(go())
    assert clock.slept == [0.5]


def test_a_pause_counts_towards_the_wait() -> None:
    """Whoever comes 0.3 s after the last request waits for the rest of the 0.5 s."""
    clock = FakeClock()
    bucket = TokenBucket(2.0, clock)

    async def go() -> None:
        await bucket.acquire()
        clock.now += 0.3
        await bucket.acquire()

    run(go())
    assert clock.slept == [pytest.approx(0.2)]


def test_who_comes_first_is_served_first() -> None:
    """Waiters get their slots in the order in which they asked."""

    async def go() -> list[int]:
        bucket, served = TokenBucket(2.0, FakeClock()), []

        async def one(number: int) -> None:
            await bucket.acquire()
            served.append(number)

        await asyncio.gather(*(one(number) for number in range(20)))
        return served

    assert run(go()) == list(range(20))


def test_a_late_comer_does_not_overtake() -> None:
    """Whoever asks when a slot has just come free stands behind those who were waiting for it."""

    async def go() -> list[str]:
        clock = HeldClock()
        bucket, served = TokenBucket(2.0, clock), []

        async def one(name: str) -> None:
            await bucket.acquire()
            served.append(name)

        await one("first")
        waiting = [asyncio.create_task(one("second")), asyncio.create_task(one("third"))]
        await settle()
        clock.now += 0.5
        waiting.append(asyncio.create_task(one("late")))
        for _ in range(3):
            await clock.advance(0.5)
        await asyncio.gather(*waiting)
        return served

    assert run(go()) == ["first", "second", "third", "late"]


@pytest.mark.parametrize("asleep", [True, False], ids=["sleeping", "queued"])
def test_a_cancelled_waiter_takes_no_slot(asleep: bool) -> None:
    """Whoever gives up, asleep or still in the queue, delays nobody."""

    async def go() -> float:
        clock = HeldClock()
        bucket = TokenBucket(2.0, clock)
        await bucket.acquire()
        start = clock.now
        tasks = [asyncio.create_task(bucket.acquire()) for _ in range(2)]
        await settle()
        given_up, stays = tasks if asleep else reversed(tasks)
        given_up.cancel()
        await settle()
        assert given_up.cancelled()
        await clock.advance(0.5)
        await stays
        return clock.now - start

    assert run(go()) == 0.5


def test_many_cancelled_waiters_leave_the_rate_alone() -> None:
    """A hundred requests given up at once neither block nor speed up those that stay."""

    async def go() -> list[float]:
        clock = HeldClock()
        bucket, times = TokenBucket(2.0, clock), []

        async def one() -> None:
            await bucket.acquire()
            times.append(clock.now)

        tasks = [asyncio.create_task(one()) for _ in range(103)]
        await settle()
        for task in tasks[1:-2]:
            task.cancel()
        await settle()
        for _ in range(4):
            await clock.advance(0.25)
        assert all(task.done() for task in tasks)
        return [time - times[0] for time in times]

    assert run(go()) == [0.0, 0.5, 1.0]


def test_a_clock_that_wakes_early_does_not_let_anybody_through() -> None:
    """The slot is looked at again after the sleep."""

    class Hasty(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(min(seconds, 0.2))

    clock = Hasty()
    bucket = TokenBucket(2.0, clock)

    async def go() -> float:
        start = clock.now
        await bucket.acquire()
        await bucket.acquire()
        return clock.now - start

    assert run(go()) == pytest.approx(0.5)


def test_it_can_be_used_from_one_loop_after_another() -> None:
    """A limiter outlives the loop it was first waited on, and keeps counting."""
    clock = FakeClock()
    bucket = TokenBucket(2.0, clock)

    async def three() -> None:
        await asyncio.gather(*(bucket.acquire() for _ in range(3)))

    run(three())
    run(three())
    assert clock.slept == [0.5] * 5


def test_a_rate_of_nothing_is_refused() -> None:
    """No limit is a limiter of its own, not a rate of 0."""
    for rate in (0, -1):
        with pytest.raises(ValueError, match="NoLimit"):
            TokenBucket(rate, FakeClock())


def test_no_limit_never_waits() -> None:
    """`NoLimit` passes a thousand at once without a clock."""

    async def go() -> None:
        limiter = NoLimit()
        for _ in range(1000):
            await limiter.acquire()

    run(go())
