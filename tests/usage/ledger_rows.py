"""Rows for tests of the ledger: what is known of a request, and what became of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.rows import Label, Limit, NewRequest, Outcome

START = 1_750_000_000.0
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


def spent(ledger: Ledger, limit: Limit) -> tuple[Decimal, Decimal]:
    """What has been spent within a limit, and what is reserved."""
    state = ledger.budget(limit)
    return state.spent, state.reserved
