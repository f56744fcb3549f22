"""Booking requests: a row before each goes out, figures while its answer comes, the end of it.

`Books` belong to a session; a `Meter` to a client, whose requests it books there. Nothing of this
waits for a disk, but for the one row before a request goes out.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, Literal

from minimax_magic.clock import Clock, utc
from minimax_magic.config_schema import BudgetSettings
from minimax_magic.errors import ConfigError, MinimaxError
from minimax_magic.events import (
    Finished,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    UsageUpdate,
)
from minimax_magic.messages import ApiFlavor, ChatRequest
from minimax_magic.models import model_info
from minimax_magic.pricing import BUILT_IN, PriceTable
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage import budget as budgets
from minimax_magic.usage.estimate import estimate_input, estimate_tokens, most_output
from minimax_magic.usage.ledger import Ledger, OverBudget
from minimax_magic.usage.rows import Billing, Booked, Label, Limit, NewRequest, Outcome, Status

_log = logging.getLogger(__name__)

# How often an estimate is written for the case that this process is killed.
_WRITE_S: Final = 2.0
# How often a panel is told that text has arrived.
_TELL_S: Final = 0.2
# How many pieces of text are kept before they are counted.
_PIECES: Final = 64
# What a request cannot have: who says so counts wrongly.
_MOST_TOKENS: Final = 10_000_000
# How fast a model writes of which nothing is known.
_TOKENS_PER_SECOND: Final = 60
# In the place of a region: nothing was sent to any.
_REPLAYED: Final = "replay"
# Below this a rate of tokens would be noise: the answer came as a whole.
_SHORTEST_S: Final = 0.05

News = Literal["rows", "text", "account", "replay"]
"""What has changed: the ledger, the length of an answer, what is left of plan or balance, the ledger
without that anything was used."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """Whom a request is for, and on what terms.

    Attributes:
        budget: What it must stay within; nothing by default.
    """

    label: Label = field(default_factory=Label)
    prices: PriceTable = BUILT_IN
    budget: BudgetSettings = field(default_factory=BudgetSettings)


class Books:
    """What a process has under way, and the ledger behind it.

    Args:
        ledger: None: nothing is written.

    Attributes:
        under_way: The bookings that have not ended, the oldest first.
        last_tps: Output tokens per second of the last whole answer; None if that cannot be said.
        problem: Why the ledger could not be written; empty if it could.
        last: What a cell asked for last; None before the first. `last_simulated`: of a simulator.
        simulators: Regions whose last answer was a simulator's.
    """

    def __init__(self, ledger: Ledger | None, clock: Clock) -> None:
        self.ledger = ledger
        self.clock = clock
        self.under_way: list[Booking] = []
        self.last_tps: float | None = None
        self.problem = ""
        self.last: Purpose | None = None
        self.last_simulated = False
        self.simulators: set[str] = set()
        self._asked: set[str] = set()
        self._unwritten: dict[int, Outcome] = {}
        self._listeners: list[Callable[[News], None]] = []
        self._told_at = float("-inf")

    def knows(self, region: str) -> bool:
        """Whether `is_simulator` can tell without asking the ledger."""
        return self.ledger is None or region in self._asked

    def is_simulator(self, region: str) -> bool:
        """Whether a simulator answers there, as far as is known; an earlier kernel may have noticed."""
        if region not in self._asked and self.ledger is not None:
            self._asked.add(region)
            # a ledger that cannot be read says so where it matters
            with suppress(MinimaxError):
                if self.ledger.was_simulated(region):
                    self.simulators.add(region)
        return region in self.simulators

    def listen(self, listener: Callable[[News], None]) -> Callable[[], None]:
        """Calls it on the event loop whenever figures change; gives what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell(self, news: News) -> None:
        now = self.clock.monotonic()
        if news == "text":
            if now - self._told_at < _TELL_S:
                return
            self._told_at = now
        for listener in [*self._listeners]:
            listener(news)

    def failed(self, error: BaseException) -> None:
        """Takes note that a row could not be written."""
        _log.warning("Usage could not be recorded: %s", error)
        self.problem = str(error)

    def close_row(self, row: int, outcome: Outcome) -> None:
        """Writes what became of a request; where that fails it is tried again with the next row."""
        if self.ledger is not None:
            writing = self.ledger.close_row(row, outcome)
            writing.add_done_callback(lambda done: self._closed(row, outcome, done))

    def write_again(self) -> None:
        """The ledger can be written: tries once more what could not be."""
        if not self._unwritten:
            self.problem = ""
        for row in [*self._unwritten]:
            self.close_row(row, self._unwritten.pop(row))

    def _closed(self, row: int, outcome: Outcome, writing: Future[None]) -> None:
        if writing.cancelled():
            return
        if (error := writing.exception()) is not None:
            self._unwritten[row] = outcome
            self.failed(error)
        elif not self._unwritten:
            self.problem = ""


class Meter:
    """Books the requests of one client.

    Args:
        region: Name of the region, or the host, that requests go to.
        billing: Asked for each request, since what a key is may become known later.
    """

    def __init__(
        self,
        books: Books,
        flavor: ApiFlavor,
        *,
        region: str,
        billing: Callable[[], Billing] = lambda: "unknown",
        simulated: bool = False,
    ) -> None:
        self.books = books
        self.flavor = flavor
        self.region = region
        self.billing = billing
        self._simulated = simulated

    async def open(self, request: ChatRequest, purpose: Purpose, *, whole: bool = False) -> Booking:
        """Books a request that is about to go out.

        Args:
            whole: Its answer comes in one piece, so that nobody sees how far it is.

        Raises:
            BudgetExceeded: It could cost more than a budget allows, or that cannot be told.
            ConfigError: There is a budget, but no ledger that keeps it.
        """
        books, prices = self.books, purpose.prices
        now = books.clock.time()
        simulated = await self._is_simulated()
        process = books.ledger.process if books.ledger is not None else ""
        limits = budgets.limits(
            purpose.budget, purpose.label, process, utc(now), simulated=simulated
        )
        # reserved without a budget, too: another kernel may have one
        most = budgets.worst_case(request, self.flavor, prices)
        if limits and most is None:
            raise budgets.no_worst_case(request, prices)
        usage = TokenUsage(input_tokens=estimate_input(request))
        new = NewRequest(
            started_at=now,
            model=request.model,
            flavor=self.flavor.value,
            region=self.region,
            label=purpose.label,
            billing=self.billing(),
            simulated=simulated,
            usage=usage,
            cost=prices.cost(request.model, usage, service_tier=request.service_tier),
            most=most,
        )
        try:
            row = await self._row(new, limits)
        except OverBudget as over:
            assert most is not None
            raise budgets.refusal(over, request, self.flavor, prices, most) from None
        booking = Booking(
            books, request, new, prices, row, most_output(request, self.flavor) if whole else 0
        )
        if purpose.label.cell is not None:
            books.last, books.last_simulated = purpose, new.simulated
        books.under_way.append(booking)
        books.tell("rows")
        return booking

    async def replay(
        self,
        usage: TokenUsage,
        avoided: Decimal | None,
        request: ChatRequest,
        purpose: Purpose,
        *,
        simulated: bool,
        recorded_flavor: str,
    ) -> Booked:
        """Books an answer that was recorded earlier. It costs nothing, so no budget is asked.

        Args:
            usage: Of the recorded answer.
            avoided: US dollars that it would have cost; None: no price is known.
            simulated: Whether a simulator had given it.
            recorded_flavor: The wire it had come over.
        """
        books, free = self.books, Decimal(0)
        new = NewRequest(
            started_at=books.clock.time(),
            model=request.model,
            flavor=recorded_flavor,
            region=_REPLAYED,
            label=purpose.label,
            billing=self.billing(),
            simulated=simulated,
            usage=TokenUsage(),
            cost=free,
        )
        outcome = Outcome("ok", TokenUsage(), free, True, simulated, replayed=True, avoided=avoided)
        if books.ledger is not None:
            try:
                await asyncio.wrap_future(books.ledger.add_row(new, outcome))
                books.write_again()
            except MinimaxError as error:
                books.failed(error)
        if purpose.label.cell is not None:
            books.last, books.last_simulated = purpose, simulated
        books.tell("replay")
        return Booked(usage, free, True, new.billing, avoided or free)

    async def _is_simulated(self) -> bool:
        """Whether a simulator answers, as far as is known before it does."""
        if self._simulated or self.books.knows(self.region):
            return self._simulated or self.books.is_simulator(self.region)
        return await asyncio.to_thread(self.books.is_simulator, self.region)  # it asks the ledger

    async def _row(self, new: NewRequest, limits: list[Limit]) -> int | None:
        """The id of its row; None where nothing can be written, and no budget asks for it."""
        ledger = self.books.ledger
        if ledger is None:
            if limits:
                raise ConfigError(
                    "There is a budget, but no ledger to keep it. Nothing was sent.",
                    hint="Name a file, or `:memory:`, as `ledger` in llm.yaml.",
                )
            return None
        writing = ledger.open_row(new, limits)
        try:
            row = await asyncio.wrap_future(writing)
        except asyncio.CancelledError:
            writing.add_done_callback(lambda done: _forget(ledger, done))
            raise
        except OverBudget:
            raise
        except MinimaxError as error:
            if limits:
                error.message = f"{error.message} A budget cannot be kept without it."
                raise
            self.books.failed(error)
            return None
        self.books.write_again()
        return row


def _forget(ledger: Ledger, writing: Future[int]) -> None:
    """Removes a row whose request was given up before it went out."""
    if not writing.cancelled() and writing.exception() is None:
        ledger.remove_row(writing.result())


class Booking:
    """One request under way. All methods are called on the event loop, but `live`.

    It ends with the first of `finish`, `refuse`, `break_off` and `void`; another changes nothing.

    Args:
        unseen: Most tokens of an answer that comes in one piece; None: nobody knows; 0: it is streamed.

    Attributes:
        new: What was known before it went out.
        row: Id of its row in the ledger; None if there is none.
        status: `open` until it has ended; None if it never went out.
        booked: The figures as they are now; final once it has ended.
    """

    def __init__(
        self,
        books: Books,
        request: ChatRequest,
        new: NewRequest,
        prices: PriceTable,
        row: int | None,
        unseen: int | None = 0,
    ) -> None:
        self.new = new
        self.booked = Booked(new.usage, new.cost, False, new.billing)
        self._books = books
        self._request = request
        self._prices = prices
        self.row = row
        self.status: Status | None = "open"
        self._sent_at = self._written_at = books.clock.monotonic()
        self._first_at: float | None = None
        self._pieces: list[str] = []  # what is not counted yet
        self._output = 0
        self._unseen = unseen
        self._counting = threading.RLock()  # `live` is asked by a cell's thread, too
        self._done_at: float | None = None
        self._said: TokenUsage | None = None
        self._request_id: str | None = None
        self._simulated = new.simulated

    @property
    def elapsed_s(self) -> float:
        return self._books.clock.monotonic() - self._sent_at

    @property
    def output_tps(self) -> float | None:
        """Output tokens per second since the first; None if that cannot be said yet."""
        return self._rate(self._books.clock.monotonic())

    def answered(self, *, simulated: bool) -> None:
        """Somebody has answered: a simulator, or not."""
        if simulated != self._simulated:
            self._simulated = simulated
            change = self._books.simulators.add if simulated else self._books.simulators.discard
            change(self.new.region)
            self._books.last_simulated = simulated
            # at once: if this process dies, its row must not pass for what it is not
            self._written_at = float("-inf")

    def saw(self, events: Iterable[StreamEvent]) -> None:
        """Counts along. Called once for each network read, so it must be quick."""
        for event in events:
            match event:
                case TextDelta(text) | ThinkingDelta(text):
                    self._pieces.append(text)
                case ToolCallDelta(_, arguments):
                    self._pieces.append(arguments)
                case UsageUpdate(usage):
                    if usage.total_tokens <= _MOST_TOKENS:
                        self._said = usage
                case Started(_, request_id, simulated):
                    self._request_id = request_id
                    self.answered(simulated=simulated)
                case Finished():
                    self._done_at = self._books.clock.monotonic()
                case _:
                    pass  # nothing of it is counted
        now = self._books.clock.monotonic()
        if self._pieces and self._first_at is None:
            self._first_at = now
        if len(self._pieces) >= _PIECES:
            self._count()
        if now - self._written_at >= _WRITE_S:
            self._written_at = now
            booked = self.live()
            simulated = self._simulated
            self._write(
                lambda ledger, row: ledger.update_row(
                    row, booked.usage, booked.cost, simulated=simulated
                )
            )
        self._books.tell("text")

    def live(self) -> Booked:
        """The figures of this moment."""
        with self._counting:
            if self.status == "open":
                self._count()
                usage = TokenUsage(self.new.usage.input_tokens, self._output)
                if usage != self.booked.usage:
                    self.booked = Booked(usage, self._cost(usage), False, self.new.billing)
            return self.booked

    def finish(self, *, cut: bool = False) -> None:
        """The answer came to its end.

        Args:
            cut: We ended it, at a stop string, before the server could say what it took.
        """
        said, estimated = self._said, self.live().usage
        # some say what the input took when they begin, and never what the output did
        if said is not None and not cut and (said.output_tokens or not estimated.output_tokens):
            self._end("ok", said, measured=True)
        else:
            self._end("ok", _completed(said, estimated), measured=False)

    def refuse(self) -> None:
        """The server did not work on it, so it cost nothing, unless it says what it took: an answer
        that was withheld, for example."""
        self._end("failed", self._said or TokenUsage(), measured=True)

    def break_off(self, status: Status = "interrupted") -> None:
        """It was worked on, and there is no word on what that took."""
        usage = _completed(self._said, self.live().usage)
        if self._unseen != 0 and not usage.output_tokens:
            info = model_info(self._request.model)
            written = int(self.elapsed_s * (info.tokens_per_second if info else _TOKENS_PER_SECOND))
            most = written if self._unseen is None else self._unseen
            usage = replace(usage, output_tokens=min(written, most))
        self._end(status, usage, measured=False)

    def void(self) -> None:
        """It never went out, so there is nothing to account for."""
        if self.status == "open":
            self.status = None
            self._write(lambda ledger, row: ledger.remove_row(row))
            self._leave()

    def _end(self, status: Status, usage: TokenUsage, *, measured: bool) -> None:
        with self._counting:
            if self.status != "open":
                return
            self.booked = booked = Booked(usage, self._cost(usage), measured, self.new.billing)
            self.status = status
        now = self._done_at or self._books.clock.monotonic()
        outcome = Outcome(
            status,
            usage,
            booked.cost,
            measured,
            self._simulated,
            latency_s=now - self._sent_at,
            first_token_s=None if self._first_at is None else self._first_at - self._sent_at,
            output_tps=self._rate(now),
            request_id=self._request_id,
        )
        if status == "ok":
            self._books.last_tps = outcome.output_tps
        if self.row is not None:
            self._books.close_row(self.row, outcome)
        self._leave()

    def _leave(self) -> None:
        self._books.under_way.remove(self)
        self._books.tell("rows")

    def _write(self, write: Callable[[Ledger, int], Future[None]]) -> None:
        ledger = self._books.ledger
        if ledger is not None and self.row is not None:
            write(ledger, self.row).add_done_callback(self._written)

    def _written(self, writing: Future[None]) -> None:
        if not writing.cancelled() and (error := writing.exception()) is not None:
            self._books.failed(error)

    def _count(self) -> None:
        with self._counting:
            if pieces := self._pieces[:]:
                self._output += estimate_tokens("".join(pieces))
                del self._pieces[: len(pieces)]  # and no more: another may have come meanwhile

    def _cost(self, usage: TokenUsage) -> Decimal | None:
        request = self._request
        return self._prices.cost(request.model, usage, service_tier=request.service_tier)

    def _rate(self, now: float) -> float | None:
        if self._first_at is None or now - self._first_at < _SHORTEST_S:
            return None
        return self.booked.usage.output_tokens / (now - self._first_at) or None


def _completed(said: TokenUsage | None, estimated: TokenUsage) -> TokenUsage:
    """What a server said before its answer broke off, with estimates where it had said nothing yet.

    MiniMax begins a stream with zeros.
    """
    if said is None:
        return estimated
    fresh = said.input_tokens if said.total_input_tokens else estimated.input_tokens
    return TokenUsage(
        fresh,
        max(said.output_tokens, estimated.output_tokens),
        said.cache_read_tokens,
        said.cache_write_tokens,
        said.reasoning_tokens,
    )
