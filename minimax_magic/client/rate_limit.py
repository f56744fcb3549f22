"""Spacing requests out."""

from __future__ import annotations

import asyncio
from typing import Protocol

from minimax_magic.clock import Clock


class RateLimiter(Protocol):
    """Lets requests pass, first come, first served.

    `acquire` returns when the caller may send one request. Cancelled while waiting, it takes nothing
    away from those behind.
    """

    async def acquire(self) -> None: ...


class TokenBucket:
    """A bucket of one token that fills `requests_per_second` times a second.

    Holds one token, so that there is never a burst: at 2.0 a request may go every 500 ms.
    """

    def __init__(self, requests_per_second: float, clock: Clock) -> None:
        if requests_per_second <= 0:
            raise ValueError("requests_per_second must be above 0; use NoLimit for no limit")
        self._interval_s = 1 / requests_per_second
        self._clock = clock
        self._free_at = float("-inf")
        self._lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def acquire(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a lock belongs to the loop it first waited on
            self._loop, self._lock = loop, asyncio.Lock()
        # Waiters queue at the lock, which is first come, first served. The slot is only taken after
        # the sleep: whoever is cancelled before leaves it to the next.
        async with self._lock:
            # looked at again after the sleep: the slot may have gone to another loop meanwhile
            while (wait_s := self._free_at - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait_s)
            self._free_at = self._clock.monotonic() + self._interval_s


class NoLimit:
    """Lets everything pass at once."""

    async def acquire(self) -> None:
        return
