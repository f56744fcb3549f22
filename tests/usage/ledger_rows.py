"""Rows for tests of the ledger: what is known of a request, and what became of it; and a ledger as the
first version of this program made it."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.rows import Label, Limit, NewRequest, Outcome

START = 1_750_000_000.0

# Written down here, and not taken from the program: whatever becomes of that, there are such files.
FIRST_VERSION = """
CREATE TABLE requests (
    id INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,
    process TEXT NOT NULL,
    kernel TEXT,
    notebook TEXT,
    cell TEXT,
    chat TEXT,
    agent TEXT,
    model TEXT NOT NULL,
    flavor TEXT NOT NULL,
    region TEXT NOT NULL,
    billing TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    status TEXT NOT NULL,
    measured INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost INTEGER,
    reserved INTEGER,
    currency TEXT NOT NULL,
    latency_s REAL,
    first_token_s REAL,
    output_tps REAL,
    request_id TEXT
);
CREATE INDEX requests_by_time ON requests (started_at);
CREATE INDEX requests_by_process ON requests (process);
CREATE INDEX requests_by_cell ON requests (cell);
CREATE INDEX requests_for_budgets
    ON requests (simulated, started_at, reserved, cost, measured, input_tokens);
CREATE INDEX requests_under_way ON requests (process) WHERE status = 'open';
PRAGMA user_version = 1;
"""

NEW = NewRequest(
    started_at=START,
    model="MiniMax-M2.5",
    flavor="openai_compat",
    region="global",
    label=Label(),
    billing="per_token",
    simulated=False,
    usage=TokenUsage(input_tokens=10),
    cost=Decimal("0.000003"),
)
DONE = Outcome(
    status="ok",
    usage=TokenUsage(input_tokens=12, output_tokens=5),
    cost=Decimal("0.5"),
    measured=True,
    simulated=False,
)


def begin(ledger: Ledger, **changes: Any) -> int:
    """A row of a request under way; its id."""
    return ledger.open_row(replace(NEW, **changes)).result(60)


def end(ledger: Ledger, row: int, **changes: Any) -> None:
    ledger.close_row(row, replace(DONE, **changes)).result(60)


def book(ledger: Ledger, cost: str | None = "0.5", **changes: Any) -> int:
    """A row of a request that has ended, at such a cost; its id."""
    row = begin(ledger, **changes)
    simulated = changes.get("simulated", False)
    end(ledger, row, cost=None if cost is None else Decimal(cost), simulated=simulated)
    return row


def first_version(path: Path, *costs: str) -> None:
    """A ledger of the first version with a finished request at each of these costs."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(FIRST_VERSION)
    for cost in costs:
        book_as_first_version(connection, cost)
    connection.close()


def book_as_first_version(connection: sqlite3.Connection, cost: str) -> None:
    """What a kernel of the first version does, which knows nothing of later columns."""
    row = {
        "started_at": START,
        "process": "old-process",
        "model": "MiniMax-M2.5",
        "flavor": "openai_compat",
        "region": "global",
        "billing": "per_token",
        "simulated": 0,
        "status": "ok",
        "measured": 1,
        "input_tokens": 12,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 5,
        "reasoning_tokens": 0,
        "cost": int(Decimal(cost) * 10**12),
        "currency": "USD",
        "latency_s": 1.5,
    }
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO requests ({', '.join(row)}) VALUES ({marks})", [*row.values()])
    connection.commit()


def replay(ledger: Ledger, avoided: str | None = "0.25", **changes: Any) -> int:
    """A row of a replayed answer that would have cost so much; its id."""
    new = replace(NEW, region="replay", usage=TokenUsage(), cost=Decimal(0), **changes)
    outcome = replace(
        DONE,
        usage=TokenUsage(),
        cost=Decimal(0),
        simulated=new.simulated,
        replayed=True,
        avoided=None if avoided is None else Decimal(avoided),
    )
    return ledger.add_row(new, outcome).result(60)


def spent(ledger: Ledger, limit: Limit) -> tuple[Decimal, Decimal]:
    """What has been spent within a limit, and what is reserved."""
    state = ledger.budget(limit)
    return state.spent, state.reserved
