"""What the live panel and the table show: the figures of one moment, put together elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from minimax_magic.usage.rows import Billing, BudgetState, Totals

if TYPE_CHECKING:  # its module also asks servers; here it is only held
    from minimax_magic.usage.account import AccountState


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """A request under way.

    Attributes:
        output_tokens: Estimated from the text so far.
        cost: US dollars, estimated so far; None: no price is known for the model.
        output_tps: Output tokens per second; None before there is enough text to tell.
    """

    model: str
    output_tokens: int
    cost: Decimal | None
    elapsed_s: float
    output_tps: float | None


@dataclass(frozen=True, slots=True)
class UsageView:
    """All that there is to see of usage.

    Attributes:
        at: When these figures were put together; aware, UTC.
        simulated: Whether they are those of the simulator: nothing was charged.
        scopes: Names with their sums, the narrowest first: `This cell`, ..., `All time`. What is
            under way counts with its estimate.
        last_tps: Output tokens per second of the last finished answer; None if that cannot be said.
        account: None: nobody asked yet.
        days: The last 14 local days as `2026-11-21` with their sums, oldest first; today is the last
            and has what is under way, too.
        problem: Why usage cannot be recorded, for example; one or two sentences, empty if all is well.
        billing: Of the credential in use now.
    """

    at: datetime
    simulated: bool
    scopes: tuple[tuple[str, Totals], ...]
    live: tuple[LiveAnswer, ...] = ()
    last_tps: float | None = None
    account: AccountState | None = None
    days: tuple[tuple[str, Totals], ...] = ()
    budgets: tuple[BudgetState, ...] = ()
    problem: str = ""
    billing: Billing = "unknown"
