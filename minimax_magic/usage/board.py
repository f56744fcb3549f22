"""The board: puts together what a panel or a table shows, anew whenever something changes.

It lives on the background loop. What the ledger has is read in a thread, and only when rows have
changed; what is under way is added from memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from minimax_magic.clock import utc
from minimax_magic.config_schema import BudgetSettings
from minimax_magic.errors import MinimaxError
from minimax_magic.session import Session
from minimax_magic.usage.account import AccountWatch
from minimax_magic.usage.budget import limits
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.meter import Booking, Books, News
from minimax_magic.usage.ranges import local_day, local_day_start, month_start
from minimax_magic.usage.rows import Billing, Label, Selection, Totals
from minimax_magic.usage.view import LiveAnswer, UsageView

DAYS: Final = 14
# A panel is redrawn no more often than this while an answer comes.
_PACE_S: Final = 0.25
# Days end and other kernels spend without telling: the ledger is read again after so long.
_IDLE_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class _Base:
    """What the ledger had when it was read, without `counted`, which change while this holds."""

    view: UsageView
    counted: tuple[Booking, ...] = ()
    books: Books | None = None
    watch: AccountWatch | None = None
    cell: str | None = None
    # regions that were known to be simulators
    simulators: frozenset[str] = frozenset()


class UsageBoard:
    """What a session has used.

    Attributes:
        current: What was put together last; None before the first time.
    """

    def __init__(self, session: Session) -> None:
        self.current: UsageView | None = None
        self._session = session
        self._news = asyncio.Event()
        self._changed = True
        self._used = False  # since plan or balance were asked for last
        self._base: _Base | None = None
        self._read_at = float("-inf")
        self._asking: set[asyncio.Task[None]] = set()

    async def view(self, *, account_s: float = 0.0) -> UsageView:
        """The figures of now.

        Args:
            account_s: How long to wait for the server's word on plan or balance, if it is due.
        """
        base = await asyncio.to_thread(self._read)
        if base.watch is not None:
            asking = self._ask(base.watch)
            await asyncio.wait({asking}, timeout=account_s)
            base = await asyncio.to_thread(self._read)
        return self._compose(base)

    async def run(self, show: Callable[[UsageView], None]) -> None:
        """Shows the figures now and whenever they change, until it is cancelled."""
        books: Books | None = None
        leave: Callable[[], None] = _nothing
        try:
            while True:
                self._news.clear()  # before reading: what is heard meanwhile is for the next round
                base = await self._renewed()
                if base.books is not books:
                    leave()
                    books = base.books
                    leave = books.listen(self._heard) if books is not None else _nothing
                    self._changed = True  # perhaps, before somebody listened
                    continue
                self.current = self._compose(base)
                show(self.current)
                await self._session.clock.sleep(_PACE_S)
                try:
                    async with asyncio.timeout(_IDLE_S):
                        await self._news.wait()
                except TimeoutError:
                    self._changed = True
        finally:
            leave()
            for task in self._asking:
                task.cancel()

    async def _renewed(self) -> _Base:
        """The base, read again if it has to be."""
        if self._base is not None and not self._is_outdated(self._base):
            return self._base
        self._changed = False
        self._read_at = self._session.clock.monotonic()
        self._base = base = await asyncio.to_thread(self._read)
        if base.watch is not None and (self._used or base.watch.due()):
            self._used = False
            self._ask(base.watch)
        return base

    def _is_outdated(self, base: _Base) -> bool:
        if base.books is not None and base.books.simulators != base.simulators:
            return True  # what passed for real is not
        is_old = self._session.clock.monotonic() - self._read_at >= _IDLE_S
        return self._changed or is_old

    def refresh(self) -> None:
        """Reads all of it again, and asks the server now. On the loop."""
        if self._base is not None and self._base.watch is not None:
            self._ask(self._base.watch, force=True)
        self.look_again()

    def look_again(self) -> None:
        """Reads settings and ledger again. On the loop."""
        self._heard("account")

    def _heard(self, news: News) -> None:
        self._changed = self._changed or news != "text"
        self._used = self._used or news == "rows"
        self._news.set()

    def _ask(self, watch: AccountWatch, *, force: bool = False) -> asyncio.Task[None]:
        task = asyncio.ensure_future(watch.refresh(force))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return task

    # ------------------------------------------------------------------------- in a thread

    def _read(self) -> _Base:
        session = self._session
        now = utc(session.clock.time())
        world = session.world
        view = UsageView(at=now, simulated=world.simulator is not None, scopes=())
        try:
            settings = world.settings()
            books = session.books(settings)
        except MinimaxError as error:
            return _Base(replace(view, problem=str(error)))
        watch: AccountWatch | None = None
        simulators = frozenset(books.simulators)
        problem = books.problem
        billing: Billing = "unknown"
        try:
            credential = world.credential(settings)
            watch = session.watch(settings, credential)
            billing = watch.kind
            view = replace(view, simulated=session.is_simulated(world, settings, credential))
        except MinimaxError:
            pass  # without a key there still is a ledger; a cell will say what is missing
        account = watch.state() if watch is not None else None
        if account is not None and account.fetched_at is None and not account.problem:
            account = None  # nobody asked yet
        view = replace(view, billing=billing, account=account)
        # what was asked of a simulator is no cell of the real world, and the other way round
        last = books.last if books.last_simulated == view.simulated else None
        cell = last.label.cell if last is not None else None
        base = _Base(view, tuple(books.under_way), books, watch, cell, simulators)
        if books.ledger is None:
            return replace(base, view=replace(view, problem=problem))
        try:
            return replace(base, view=self._with_ledger(base, books, settings.budget, problem))
        except MinimaxError as error:
            return replace(base, view=replace(view, problem=str(error)))

    def _with_ledger(
        self, base: _Base, books: Books, budget: BudgetSettings, problem: str
    ) -> UsageView:
        view, cell, ledger = base.view, base.cell, books.ledger
        assert ledger is not None
        every = Selection(simulated=view.simulated)
        today = local_day_start(view.at)
        scopes = {
            "This cell": replace(every, cell=cell) if cell is not None else None,
            "This kernel": replace(every, process=ledger.process),
            "Today": replace(every, since=today),
            "This month": replace(every, since=month_start(view.at)),
            "All time": every,
        }
        rows = [booking.row for booking in base.counted if booking.row is not None]
        totals = tuple(
            (name, ledger.totals(scope, without=rows) if scope is not None else Totals())
            for name, scope in scopes.items()
        )
        label = Label(cell=cell)
        if books.last is not None and cell is not None:  # of the cell its own; the rest as set now
            budget = budget.model_copy(update={"cell": books.last.budget.cell})
        held = limits(budget, label, ledger.process, view.at, simulated=view.simulated)
        budgets = tuple(map(ledger.budget, held))
        return replace(
            view,
            scopes=totals,
            days=_days(ledger, every, view.at, dict(totals)["Today"]),
            budgets=budgets,
            problem=problem,
        )

    # -------------------------------------------------------------------------- on the loop

    def _compose(self, base: _Base) -> UsageView:
        """The base with what is under way."""
        view, books = base.view, base.books
        if books is None:
            return view
        # what has ended since then still is not in the base, and what has begun never was
        begun = [booking for booking in books.under_way if booking not in base.counted]
        ours = [
            booking
            for booking in (*base.counted, *begun)
            if (booking.new.simulated or booking.new.region in books.simulators) == view.simulated
        ]
        live = tuple(_live(booking) for booking in ours if booking.status == "open")
        scopes = tuple(
            (
                name,
                sum(
                    (
                        _totals(booking)
                        for booking in ours
                        if name != "This cell" or booking.new.label.cell == base.cell
                    ),
                    totals,
                ),
            )
            for name, totals in view.scopes
        )
        days = view.days
        if days:
            day, so_far = days[-1]
            days = (*days[:-1], (day, sum(map(_totals, ours), so_far)))
        at = utc(self._session.clock.time())
        tps = books.last_tps if books.last_simulated == view.simulated else None
        return replace(view, at=at, scopes=scopes, live=live, last_tps=tps, days=days)


def _nothing() -> None:
    pass


def _days(
    ledger: Ledger, every: Selection, now: datetime, today_so_far: Totals
) -> tuple[tuple[str, Totals], ...]:
    """The sums of the last days, those without any included.

    Args:
        today_so_far: Without what is under way, which the ledger's own sum of today has, too.
    """
    today = local_day(now)
    names = [str(today - timedelta(days=back)) for back in reversed(range(DAYS))]
    since = local_day_start(now) - timedelta(days=DAYS)  # a day more, for days of 25 hours
    groups = ledger.groups(replace(every, since=since), "day")
    found = {group.key: group.totals for group in groups}
    found[str(today)] = today_so_far
    return tuple((name, found.get(name, Totals())) for name in names)


def _live(booking: Booking) -> LiveAnswer:
    booked = booking.live()
    return LiveAnswer(
        model=booking.new.model,
        output_tokens=booked.usage.output_tokens,
        cost=booked.cost,
        elapsed_s=booking.elapsed_s,
        output_tps=booking.output_tps,
    )


def _totals(booking: Booking) -> Totals:
    if booking.status is None:  # it never went out
        return Totals()
    booked = booking.live()
    cost = booked.cost or Decimal(0)
    return Totals(
        requests=1,
        usage=booked.usage,
        cost=cost,
        plan_cost=cost if booked.billing == "plan" else Decimal(0),
        unpriced=booked.cost is None and booked.usage.total_tokens > 0,
        estimated=not booked.measured,
        open=booking.status == "open",
        interrupted=booking.status == "interrupted",
        failed=booking.status == "failed",
    )
