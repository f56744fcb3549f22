"""Time, passed in: what waits or looks at a clock takes a `Clock`, so that tests need not sleep."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two ways to ask for the time and one to let it pass.

    `monotonic` never goes back and starts anywhere; `time` is seconds since 1970 UTC.
    `sleep` must be cancellable and must let other tasks run even for 0 seconds.
    """

    def monotonic(self) -> float: ...

    def time(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def utc(seconds: float) -> datetime:
    """Seconds since 1970 as an aware time in UTC, of whole seconds."""
    return datetime.fromtimestamp(math.floor(seconds), UTC)
