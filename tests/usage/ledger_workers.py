"""Processes for tests of the ledger: `python ledger_workers.py JOB PATH ...`.

Each says `ready` on stdout, and waits for a file to be there before it begins.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from ledger_rows import begin, book

from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.schema import MIGRATIONS


def wait_for(path: str) -> None:
    print("ready", flush=True)
    while not Path(path).exists():
        time.sleep(0.001)


def migrate(path: str, go: str) -> None:
    """Opens a ledger that needs many steps, and writes a row."""
    steps = tuple(
        f"CREATE TABLE IF NOT EXISTS steps (number); INSERT INTO steps VALUES ({number})"
        for number in range(20)
    )
    ledger = Ledger(path, migrations=(*MIGRATIONS, *steps))
    wait_for(go)
    book(ledger, "1")
    ledger.close()


def fill(path: str, go: str, name: str, rows: str) -> None:
    """Opens and closes so many rows, some without waiting, as cells do."""
    ledger = Ledger(path)
    wait_for(go)
    for number in range(int(rows)):
        book(ledger, "0.1", model=f"{name}-{number}")
    ledger.close()


def hold(path: str, rows: str) -> None:
    """Leaves rows open, with a reservation each, until it is killed."""
    ledger = Ledger(path)
    for _ in range(int(rows)):
        begin(ledger, model=str(os.getpid()), most=Decimal("0.5"), cost=Decimal("0.125"))
    print("ready", flush=True)
    print(ledger.process, flush=True)
    time.sleep(600)


def spend(path: str, go: str, url: str, requests: str, day: str) -> None:
    """Asks a simulator so often at once within a budget of the day; tells how many were answered."""
    from minimax_magic.assembly import make_meter
    from minimax_magic.client.client import Client
    from minimax_magic.client.rate_limit import NoLimit
    from minimax_magic.clock import SystemClock
    from minimax_magic.config_schema import BudgetSettings
    from minimax_magic.errors import BudgetExceeded
    from minimax_magic.testing import FakeAuth
    from minimax_magic.transport import AiohttpTransport
    from minimax_magic.usage.meter import Books, Purpose
    from minimax_magic.wire.address import resolve_endpoint

    clock, endpoint = SystemClock(), resolve_endpoint(url)
    books = Books(Ledger(path), clock)
    client = Client(
        endpoint=endpoint,
        auth=FakeAuth("simulated-key"),
        transport=AiohttpTransport(),
        limiter=NoLimit(),
        clock=clock,
        model="MiniMax-M2.5",
        user_agent="test",
        meter=make_meter(books, endpoint, lambda: "per_token", simulated=True),
        purpose=Purpose(budget=BudgetSettings(day=Decimal(day))),
    )
    answered = 0

    async def ask() -> None:
        nonlocal answered
        try:
            await client.chat("hi", max_tokens=200)
        except BudgetExceeded:
            return
        answered += 1

    async def all_at_once() -> None:
        await asyncio.gather(*(ask() for _ in range(int(requests))))
        await client.close()

    wait_for(go)
    asyncio.run(all_at_once())
    assert books.ledger is not None
    books.ledger.close()
    print(answered, flush=True)


JOBS: dict[str, Callable[..., None]] = {
    "migrate": migrate,
    "fill": fill,
    "hold": hold,
    "spend": spend,
}

if __name__ == "__main__":
    JOBS[sys.argv[1]](*sys.argv[2:])
