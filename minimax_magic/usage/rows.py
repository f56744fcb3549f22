"""What the ledger holds and what is asked of it: values, without files and without network.

Money is `Decimal` US dollars, None where no price is known. Times are aware, in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from minimax_magic.tokens import TokenUsage

Status = Literal["open", "ok", "interrupted", "failed"]
"""`open`: under way. One whose process died is `interrupted`."""

Billing = Literal["per_token", "plan", "unknown"]
"""`plan`: covered by a Token Plan, so its cost is the equivalent pay-as-you-go value."""

GroupBy = Literal["day", "model", "agent", "chat", "notebook"]

CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class Label:
    """Who a request belongs to. None: to nobody in particular.

    Attributes:
        notebook: Path of the notebook's file, as Jupyter says it.
        kernel: Jupyter's id of the kernel; it survives a restart.
        cell: Id of one run of one cell.
    """

    agent: str | None = None
    chat: str | None = None
    notebook: str | None = None
    kernel: str | None = None
    cell: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One HTTP request that may have cost something, or an answer that was replayed instead of one.

    Attributes:
        started_at: When it was sent.
        process: Id of the process that sent it: another one after each restart of a kernel.
        usage: Tokens in disjoint buckets; what is known or estimated so far.
        cost: None: no price is known for the model.
        measured: Whether the tokens are the server's own count; if not, they are estimated.
        simulated: Whether a simulator answered: no money was involved.
        latency_s: From sending to the end of the answer; None while it is under way, and if replayed.
        first_token_s: From sending to the first text or thinking; None if there was none.
        output_tps: Output tokens per second after the first; None if that cannot be said.
        request_id: The server's id of the answer; None if it gave none.
        replayed: Nothing was sent, since the answer was recorded earlier: no tokens, and a cost of 0.
        avoided: What it would have cost otherwise; None if it was not replayed, or no price is known.
    """

    id: int
    started_at: datetime
    model: str
    flavor: str
    region: str
    process: str
    label: Label
    usage: TokenUsage
    cost: Decimal | None
    billing: Billing
    status: Status
    measured: bool
    simulated: bool
    latency_s: float | None = None
    first_token_s: float | None = None
    output_tps: float | None = None
    request_id: str | None = None
    currency: str = CURRENCY
    replayed: bool = False
    avoided: Decimal | None = None

    def row(self) -> dict[str, Any]:
        """All of it in one flat dict, for tables and CSV."""
        flat: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Label | TokenUsage):
                flat |= {part.name: getattr(value, part.name) for part in fields(value)}
            else:
                flat[item.name] = value
        return flat


@dataclass(frozen=True, slots=True)
class Booked:
    """The figures of a request, as they are in the ledger.

    Attributes:
        cost: None: no price is known.
        measured: Whether these are the server's own counts; if not, they are estimated.
        avoided: None: it was sent. Of a replayed answer what it would have cost, 0 if no price is known;
            `usage` is then that of the recorded answer, and `cost` is 0.
    """

    usage: TokenUsage
    cost: Decimal | None
    measured: bool
    billing: Billing
    avoided: Decimal | None = None

    def __add__(self, other: Booked) -> Booked:
        """Of two requests together. A cost that is not known makes the sum unknown."""
        known = self.cost is not None and other.cost is not None
        avoids = self.avoided is not None or other.avoided is not None
        return Booked(
            self.usage + other.usage,
            (self.cost or Decimal(0)) + (other.cost or Decimal(0)) if known else None,
            self.measured and other.measured,
            self.billing if self.avoided is None else other.billing,
            (self.avoided or Decimal(0)) + (other.avoided or Decimal(0)) if avoids else None,
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records. None everywhere: all of them.

    Attributes:
        since, until: Started at or after, and before.
        models: Of one of these models.
        simulated: Only simulated ones, or only real ones.
        process, cell: Of one process, or of one run of a cell.
    """

    since: datetime | None = None
    until: datetime | None = None
    models: tuple[str, ...] | None = None
    simulated: bool | None = None
    process: str | None = None
    cell: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over some records.

    Attributes:
        requests: All that were sent, whatever became of them.
        cost: Of those whose price is known; what is covered by a plan counts with its value.
        plan_cost: The part of `cost` that a plan covers.
        unpriced: How many have tokens but no known price: `cost` is too low by theirs.
        estimated: How many are not measured; their tokens and cost are estimates.
        open, interrupted, failed: How many are under way, and how many were not whole.
        replayed: How many answers were replayed; they are in no other of these figures but `avoided`.
        avoided: What those would have cost whose price is known.
    """

    requests: int = 0
    usage: TokenUsage = field(default_factory=TokenUsage)
    cost: Decimal = Decimal(0)
    plan_cost: Decimal = Decimal(0)
    unpriced: int = 0
    estimated: int = 0
    open: int = 0
    interrupted: int = 0
    failed: int = 0
    replayed: int = 0
    avoided: Decimal = Decimal(0)

    def __add__(self, other: Totals) -> Totals:
        return Totals(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Group:
    """The sums of one group.

    Attributes:
        key: The model, agent, ..., or the local day as `2026-11-21`; None: of records that have none.
    """

    key: str | None
    totals: Totals


@dataclass(frozen=True, slots=True)
class BudgetState:
    """How a budget stands.

    Attributes:
        scope: `cell`, `kernel`, `day` or `month`; the last two are calendar ones of local time.
        spent: Of finished requests.
        reserved: The worst case of those under way, on all kernels of this machine.
        unpriced: How many have no known price: more was spent than `spent` says.
        estimated: How many finished ones are not measured.
    """

    scope: str
    limit: Decimal
    spent: Decimal
    reserved: Decimal
    unpriced: int = 0
    estimated: int = 0

    @property
    def left(self) -> Decimal:
        return max(Decimal(0), self.limit - self.spent - self.reserved)


@dataclass(frozen=True, slots=True)
class NewRequest:
    """What is known of a request before it goes out.

    Attributes:
        started_at: Seconds since 1970.
        usage: An estimate; what the row keeps if this process dies.
        cost: Of that estimate; None: no price is known.
        most: What it can cost at most; None if that is not known.
    """

    started_at: float
    model: str
    flavor: str
    region: str
    label: Label
    billing: Billing
    simulated: bool
    usage: TokenUsage
    cost: Decimal | None
    most: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request.

    Attributes:
        cost: None: no price is known.
        replayed, avoided: As of `Record`.
    """

    status: Status
    usage: TokenUsage
    cost: Decimal | None
    measured: bool
    simulated: bool
    latency_s: float | None = None
    first_token_s: float | None = None
    output_tps: float | None = None
    request_id: str | None = None
    replayed: bool = False
    avoided: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget: what the records of a scope may cost together.

    Attributes:
        scope: Its name, `cell`, `kernel`, `day` or `month`.
        usd: US dollars.
        selection: Which records it is about.
    """

    scope: str
    usd: Decimal
    selection: Selection
