"""The ledger's SQL: conditions, sums, and what a row of the table is as a value."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.rows import (
    CURRENCY,
    BudgetState,
    GroupBy,
    Label,
    Limit,
    NewRequest,
    Outcome,
    Record,
    Selection,
    Totals,
)

# money is kept in millionths of a millionth of a dollar
_PICO: Final = 10**12
_MOST_USD: Final = Decimal(100_000)

DAY: Final = "date(started_at, 'unixepoch', 'localtime')"
KEYS: Final[dict[GroupBy, str]] = {
    "day": DAY,
    "model": "model",
    "agent": "agent",
    "chat": "chat",
    "notebook": "notebook",
}
# what was replayed was no request: it has a count of its own
COUNT: Final = "sum(NOT replayed)"
SUMS: Final = f"""
    {COUNT},
    sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens),
    sum(reasoning_tokens),
    sum(cost), sum(CASE WHEN billing = 'plan' THEN cost END),
    sum(cost IS NULL AND input_tokens + output_tokens + cache_read_tokens + cache_write_tokens > 0),
    sum(NOT measured), sum(status = 'open'), sum(status = 'interrupted'), sum(status = 'failed'),
    sum(replayed), sum(avoided)
"""
COLUMNS: Final = """
    id, started_at, model, flavor, region, process, agent, chat, notebook, kernel, cell,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
    cost, billing, status, measured, simulated, latency_s, first_token_s, output_tps, request_id,
    currency, replayed, avoided
"""


def where_of(selection: Selection) -> tuple[str, list[Any]]:
    """A condition, empty for all rows, and the values for its marks."""
    parts: list[str] = []
    values: list[Any] = []
    for condition, value in (
        ("started_at >= ?", selection.since and selection.since.timestamp()),
        ("started_at < ?", selection.until and selection.until.timestamp()),
        ("simulated = ?", selection.simulated),
        ("process = ?", selection.process),
        ("cell = ?", selection.cell),
    ):
        if value is not None:
            parts.append(condition)
            values.append(value)
    if selection.models is not None:
        parts.append(f"model IN ({', '.join('?' * len(selection.models))})")
        values += selection.models
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), values


def budget_of(connection: sqlite3.Connection, limit: Limit) -> BudgetState:
    """How a budget stands."""
    where, values = where_of(limit.selection)
    # of what is under way and has no bound, its estimate counts
    query = (
        "SELECT sum(CASE WHEN reserved IS NULL THEN cost END), sum(reserved), "
        "sum(cost IS NULL AND input_tokens > 0), sum(reserved IS NULL AND NOT measured) "
        f"FROM requests{where}"
    )
    spent, reserved, unpriced, estimated = connection.execute(query, values).fetchone()
    return BudgetState(
        limit.scope, limit.usd, _usd(spent or 0), _usd(reserved or 0), unpriced or 0, estimated or 0
    )


def was_simulated(connection: sqlite3.Connection, region: str) -> bool:
    """Whether a simulator gave the last answer from there."""
    query = "SELECT simulated FROM requests WHERE region = ? ORDER BY id DESC LIMIT 1"
    row = connection.execute(query, (region,)).fetchone()
    return row is not None and bool(row[0])


def totals_of(sums: Sequence[Any]) -> Totals:
    """What `SUMS` gives."""
    requests, fresh, output, read, written, thought, cost, covered, *counts = (
        value or 0 for value in sums
    )
    usage = TokenUsage(fresh, output, read, written, thought)
    unpriced, estimated, under_way, interrupted, failed, replayed, avoided = counts
    return Totals(
        requests,
        usage,
        _usd(cost),
        _usd(covered),
        unpriced,
        estimated,
        under_way,
        interrupted,
        failed,
        replayed,
        _usd(avoided),
    )


def record_of(row: Sequence[Any]) -> Record:
    """What `COLUMNS` give."""
    number, started_at, model, flavor, region, process, *rest = row
    label, usage = Label(*rest[:5]), TokenUsage(*rest[5:10])
    cost, billing, status, measured, simulated, *more = rest[10:]
    latency_s, first_token_s, output_tps, request_id, currency, replayed, avoided = more
    return Record(
        number,
        datetime.fromtimestamp(started_at, UTC),
        model,
        flavor,
        region,
        process,
        label,
        usage,
        None if cost is None else _usd(cost),
        billing,
        status,
        bool(measured),
        bool(simulated),
        latency_s,
        first_token_s,
        output_tps,
        request_id,
        currency,
        bool(replayed),
        None if avoided is None else _usd(avoided),
    )


def opened(new: NewRequest, process: str) -> dict[str, Any]:
    """The columns of a request that goes out now."""
    label = new.label
    return {
        "started_at": new.started_at,
        "process": process,
        "kernel": label.kernel,
        "notebook": label.notebook,
        "cell": label.cell,
        "chat": label.chat,
        "agent": label.agent,
        "model": new.model,
        "flavor": new.flavor,
        "region": new.region,
        "billing": new.billing,
        "status": "open",
        "measured": False,
        "reserved": _pico(new.most),
        "currency": CURRENCY,
        **estimated(new.usage, new.cost, simulated=new.simulated),
    }


def estimated(usage: TokenUsage, cost: Decimal | None, *, simulated: bool) -> dict[str, Any]:
    """What changes while it is under way."""
    return {**_buckets(usage), "cost": _pico(cost), "simulated": simulated}


def closed(outcome: Outcome) -> dict[str, Any]:
    """What changes when it has ended."""
    return {
        **estimated(outcome.usage, outcome.cost, simulated=outcome.simulated),
        "reserved": None,
        "status": outcome.status,
        "measured": outcome.measured,
        "latency_s": outcome.latency_s,
        "first_token_s": outcome.first_token_s,
        "output_tps": outcome.output_tps,
        "request_id": outcome.request_id,
        "replayed": outcome.replayed,
        "avoided": _pico(outcome.avoided),
    }


def insert(connection: sqlite3.Connection, values: dict[str, Any]) -> int:
    """Writes a row and gives its id."""
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    done = connection.execute(f"INSERT INTO requests ({names}) VALUES ({marks})", values)
    assert done.lastrowid is not None
    return done.lastrowid


def update(connection: sqlite3.Connection, row: int, values: dict[str, Any]) -> None:
    changes = ", ".join(f"{name} = :{name}" for name in values)
    connection.execute(f"UPDATE requests SET {changes} WHERE id = :row", {**values, "row": row})


def remove(connection: sqlite3.Connection, row: int) -> None:
    connection.execute("DELETE FROM requests WHERE id = ?", (row,))


def nothing(connection: sqlite3.Connection) -> None:
    """Leaves all as it is: opening the file was what mattered."""


def _buckets(usage: TokenUsage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


def _pico(usd: Decimal | None) -> int | None:
    if usd is None:
        return None
    # no request costs that much; SQLite's sums end at nine million dollars
    return int((min(usd, _MOST_USD) * _PICO).to_integral_value(ROUND_HALF_EVEN))


def _usd(pico: int) -> Decimal:
    return Decimal(pico) / _PICO
