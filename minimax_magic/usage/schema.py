"""The ledger's tables, and how an older file becomes one of today.

The version of a file is SQLite's `user_version`; `MIGRATIONS[n]` leads from version n to n + 1. One
that has been released is never changed: a new one is added behind it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from minimax_magic.errors import ConfigError

MIGRATIONS: tuple[str, ...] = (
    # money in millionths of a millionth of a dollar: whole numbers add up exactly, and the largest
    # that SQLite holds is nine million dollars
    """
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
    """,
    # answers that were recorded earlier, so that nothing was sent
    """
    ALTER TABLE requests ADD COLUMN replayed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE requests ADD COLUMN avoided INTEGER;
    """,
)


def migrate(
    connection: sqlite3.Connection, label: str, migrations: Sequence[str] = MIGRATIONS
) -> None:
    """Brings a file up to date, each step whole or not at all.

    Raises:
        ConfigError: It was written by a newer version of this program.
    """
    version = _version(connection)
    if version > len(migrations):
        raise ConfigError(
            f"The ledger {label} was written by a newer version of minimax_magic.",
            hint="Update it: `pip install -U minimax-magic`, or name another file with MINIMAX_LEDGER.",
        )
    for number, script in enumerate(migrations[version:], start=version):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number + 1}; COMMIT;"
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
