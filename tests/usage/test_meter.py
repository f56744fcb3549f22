"""Booking one request: which figures it ends with, and what the ledger has on the way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from minimax_magic.config_schema import BudgetSettings
from minimax_magic.errors import BudgetExceeded, ConfigError
from minimax_magic.events import (
    Finished,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    UsageUpdate,
)
from minimax_magic.messages import ApiFlavor, ChatRequest
from minimax_magic.testing import FakeClock
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.estimate import estimate_input
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.meter import Booking, Books, Meter, Purpose
from minimax_magic.usage.rows import Booked, Label, Record

T = TypeVar("T")
REQUEST = ChatRequest(messages="Hello there", model="MiniMax-M2.5", max_tokens=100)
INPUT = estimate_input(REQUEST)
# 0.30 and 1.20 dollars per million tokens
IN, OUT = Decimal("0.0000003"), Decimal("0.0000012")


@pytest.fixture(params=["file", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    path = str(tmp_path / "usage.sqlite3") if request.param == "file" else ":memory:"
    ledger = Ledger(path)
    yield ledger
    ledger.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def books(ledger: Ledger, clock: FakeClock) -> Books:
    return Books(ledger, clock)


def meter(books: Books, **more: Any) -> Meter:
    return Meter(books, ApiFlavor.OPENAI_COMPAT, region="global", **more)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, 10))


def opened(books: Books, purpose: Purpose | None = None, **more: Any) -> Booking:
    return run(meter(books, **more).open(REQUEST, purpose or Purpose()))


def only(ledger: Ledger) -> Record:
    [record] = ledger.records()
    return record


def text(tokens: int) -> TextDelta:
    """A text that is estimated at so many tokens."""
    return TextDelta("abcd" * tokens)


# -------------------------------------------------------------------------------- the ends


def test_an_open_booking_holds_an_estimate(books: Books, ledger: Ledger) -> None:
    """Before the request goes out its row is there, with what the input will take."""
    label = Label("agent", "chat", "nb", "kernel", "cell")
    booking = opened(books, Purpose(label), billing=lambda: "plan")
    record = only(ledger)
    assert (record.status, record.measured, record.simulated) == ("open", False, False)
    assert (record.usage, record.cost) == (TokenUsage(INPUT), INPUT * IN)
    assert (record.label, record.billing) == (label, "plan")
    assert (record.model, record.flavor, record.region) == (
        "MiniMax-M2.5",
        "openai_compat",
        "global",
    )
    assert record.started_at.timestamp() == 1_750_000_000
    assert books.under_way == [booking]
    assert books.last == Purpose(label)
    booking.void()


def test_what_the_server_counted_is_what_is_booked(
    books: Books, ledger: Ledger, clock: FakeClock
) -> None:
    """A whole answer has the server's own figures, when it came and how fast."""
    booking = opened(books)
    booking.saw([Started("m", "id-1")])
    clock.now += 2
    booking.saw([ThinkingDelta("abcd")])
    clock.now += 4
    usage = TokenUsage(100, 80, 20, 3, 40)
    booking.saw([text(20), UsageUpdate(usage), Finished("stop")])
    booking.finish()
    record = only(ledger)
    assert (record.status, record.measured, record.usage) == ("ok", True, usage)
    assert record.cost == Decimal("0.00012772500") + 0 * OUT
    assert (record.latency_s, record.first_token_s, record.output_tps) == (6, 2, 20)
    assert record.request_id == "id-1"
    assert booking.booked.usage == usage
    assert books.last_tps == 20
    assert books.under_way == []


def test_an_answer_without_figures_is_estimated(books: Books, ledger: Ledger) -> None:
    """Where the server says nothing of tokens, text, thinking and arguments are counted here."""
    booking = opened(books)
    booking.saw([Started("m", None), ThinkingDelta("abcd"), text(2), ToolCallDelta(0, "abcd")])
    booking.finish()
    record = only(ledger)
    assert (record.status, record.measured) == ("ok", False)
    assert record.usage == TokenUsage(INPUT, 4)
    assert record.cost == INPUT * IN + 4 * OUT


def test_an_answer_that_was_cut_here_is_estimated(books: Books, ledger: Ledger) -> None:
    """What was said before the stop string was met is of no whole answer."""
    booking = opened(books)
    booking.saw([UsageUpdate(TokenUsage(50, 1)), text(30)])
    booking.finish(cut=True)
    record = only(ledger)
    assert (record.status, record.measured, record.usage) == ("ok", False, TokenUsage(50, 30))


def test_zeros_at_the_start_are_no_figures(books: Books, ledger: Ledger) -> None:
    """A stream that began with zeros and broke off is estimated, not free."""
    booking = opened(books)
    booking.saw([UsageUpdate(TokenUsage()), text(30)])
    booking.break_off()
    record = only(ledger)
    assert (record.status, record.measured) == ("interrupted", False)
    assert (record.usage, record.cost) == (TokenUsage(INPUT, 30), INPUT * IN + 30 * OUT)


def test_figures_seen_before_a_break_are_used(books: Books, ledger: Ledger) -> None:
    """What the server said of the input stands, and its count of the output where it is the larger."""
    booking = opened(books)
    booking.saw([UsageUpdate(TokenUsage(7, 1, 5, 3, 1)), text(30)])
    booking.break_off()
    assert only(ledger).usage == TokenUsage(7, 30, 5, 3, 1)
    second = opened(books)
    second.saw([UsageUpdate(TokenUsage(7, 90)), text(30)])
    second.break_off("failed")
    record = ledger.records()[0]
    assert (record.status, record.measured, record.usage) == ("failed", False, TokenUsage(7, 90))


def test_a_refusal_costs_nothing(books: Books, ledger: Ledger) -> None:
    """What the server did not work on has no tokens and costs 0, and that is known."""
    booking = opened(books)
    booking.refuse()
    record = only(ledger)
    assert (record.status, record.measured) == ("failed", True)
    assert (record.usage, record.cost) == (TokenUsage(), Decimal(0))


def test_what_never_went_out_has_no_row(books: Books, ledger: Ledger) -> None:
    """Its row is removed."""
    opened(books).void()
    assert ledger.records() == []
    assert books.under_way == []


@pytest.mark.parametrize("first", ["finish", "refuse", "break_off", "void"])
def test_only_the_first_end_counts(books: Books, ledger: Ledger, first: str) -> None:
    """Whatever comes after an end changes neither the row nor the figures."""
    booking = opened(books)
    booking.saw([text(5)])
    getattr(booking, first)()
    rows, booked = ledger.records(), booking.live()
    for again in ("finish", "refuse", "break_off", "void"):
        getattr(booking, again)()
    assert ledger.records() == rows
    assert booking.live() == booked
    assert books.under_way == []


def test_a_model_without_a_price(books: Books, ledger: Ledger) -> None:
    """Its tokens are booked, and its cost is None at every moment."""
    request = ChatRequest(messages="hi", model="unknown-1")
    booking = run(meter(books).open(request, Purpose()))
    assert (booking.live().cost, only(ledger).cost) == (None, None)
    booking.saw([text(5), UsageUpdate(TokenUsage(1, 5))])
    booking.finish()
    assert only(ledger).cost is None
    assert ledger.totals().unpriced == 1


# --------------------------------------------------------------------------------- on the way


def test_an_estimate_is_written_every_two_seconds(
    books: Books, ledger: Ledger, clock: FakeClock
) -> None:
    """What a killed kernel leaves has all but the last two seconds of its output."""
    booking = opened(books)
    booking.saw([text(5)])
    assert only(ledger).usage == TokenUsage(INPUT)
    clock.now += 1.9
    booking.saw([text(5)])
    assert only(ledger).usage == TokenUsage(INPUT)
    clock.now += 0.1
    booking.saw([text(5)])
    record = only(ledger)
    assert (record.status, record.usage) == ("open", TokenUsage(INPUT, 15))
    assert record.cost == INPUT * IN + 15 * OUT
    clock.now += 1
    booking.saw([text(5)])
    assert only(ledger).usage.output_tokens == 15
    clock.now += 1
    booking.saw([text(5)])
    assert only(ledger).usage.output_tokens == 25
    booking.finish()


def test_figures_while_it_comes(books: Books, clock: FakeClock) -> None:
    """At any moment there is an estimate, the time since it went out, and a rate if one can be said."""
    booking = opened(books)
    assert (booking.output_tps, booking.elapsed_s) == (None, 0)
    clock.now += 1
    booking.saw([text(10)])
    assert booking.live().usage == TokenUsage(INPUT, 10)
    assert booking.output_tps is None  # it has only just begun
    clock.now += 2
    booking.saw([text(10)])
    booked = booking.live()
    assert (booked.usage.output_tokens, booked.measured) == (20, False)
    assert (booking.output_tps, booking.elapsed_s) == (10, 3)
    booking.finish()
    assert booking.live().usage.output_tokens == 20


def test_a_whole_answer_has_no_rate(books: Books, ledger: Ledger, clock: FakeClock) -> None:
    """An answer that comes at once after a while says nothing of tokens per second."""
    booking = opened(books)
    clock.now += 5
    booking.saw([text(10), UsageUpdate(TokenUsage(1, 10))])
    booking.finish()
    record = only(ledger)
    assert (record.output_tps, record.first_token_s, record.latency_s) == (None, 5, 5)


def test_an_answer_without_text_has_no_first_token(books: Books, ledger: Ledger) -> None:
    """Where nothing came there is no time of it."""
    booking = opened(books)
    booking.saw([Started("m", None)])
    booking.break_off()
    record = only(ledger)
    assert (record.first_token_s, record.output_tps) == (None, None)


def test_many_small_pieces_are_counted_together(books: Books) -> None:
    """Two hundred single letters are fifty-odd tokens, not two hundred."""
    booking = opened(books)
    for _ in range(200):
        booking.saw([TextDelta("a")])
    assert 50 <= booking.live().usage.output_tokens <= 54
    booking.void()


def test_nothing_is_lost_when_another_thread_asks(books: Books) -> None:
    """A cell's thread may ask for the figures at any moment; no piece is missed or counted twice."""
    booking = opened(books)
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            booking.live()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(20_000):
        booking.saw([TextDelta("abcd")])
    over.set()
    for thread in threads:
        thread.join()
    assert booking.live().usage.output_tokens == 20_000
    booking.void()


def test_a_simulator_is_noticed(books: Books, ledger: Ledger) -> None:
    """From the first word of a simulator its row is marked, in case that this process dies, and what is
    sent there next is booked as simulated from the beginning."""
    booking = opened(books)
    assert not only(ledger).simulated
    booking.saw([Started("m", None, simulated=True), text(1)])
    record = only(ledger)
    assert (record.simulated, record.status) == (True, "open")
    booking.finish()
    assert only(ledger).simulated
    assert books.simulators == {"global"}
    opened(books)
    assert [record.simulated for record in ledger.records()] == [True, True]
    other = Meter(books, ApiFlavor.OPENAI_COMPAT, region="china")
    assert not run(other.open(REQUEST, Purpose())).new.simulated


def test_listeners_are_told(books: Books, clock: FakeClock) -> None:
    """Of each row, and of text no more often than five times a second, until they leave."""
    heard: list[str] = []
    leave = books.listen(heard.append)
    booking = opened(books)
    assert heard == ["rows"]
    for _ in range(10):
        clock.now += 0.05
        booking.saw([text(1)])
    assert heard[1:] in (["text"] * 2, ["text"] * 3)
    del heard[:]
    leave()
    booking.finish()
    assert heard == []


# --------------------------------------------------------------- without a ledger that works


@pytest.fixture
def broken(tmp_path: Path) -> Ledger:
    (tmp_path / "file").touch()
    return Ledger(str(tmp_path / "file" / "usage.sqlite3"), "LEDGER")


BUDGET = Purpose(budget=BudgetSettings(day=Decimal(1)))


def test_a_ledger_that_cannot_be_written_stops_nobody(broken: Ledger, clock: FakeClock) -> None:
    """The request goes on with figures of its own, and the problem can be shown."""
    books = Books(broken, clock)
    booking = opened(books)
    assert books.problem.startswith("The ledger LEDGER cannot be written")
    clock.now += 5
    booking.saw([text(5)])
    booking.finish()
    assert booking.booked.usage.output_tokens == 5
    broken.close()


def test_the_problem_goes_when_it_is_mended(
    broken: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    """The next row that can be written clears it."""
    books = Books(broken, clock)
    opened(books)
    (tmp_path / "file").unlink()
    opened(books).finish()
    assert books.problem == ""
    assert broken.totals().requests == 1
    broken.close()


def test_a_budget_needs_a_ledger(broken: Ledger, clock: FakeClock) -> None:
    """With a budget nothing is sent where it cannot be kept, and one sentence says why."""
    with pytest.raises(ConfigError, match="A budget cannot be kept without it") as caught:
        opened(Books(broken, clock), BUDGET)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="no ledger to keep it"):
        opened(Books(None, clock), BUDGET)
    broken.close()


def test_without_a_ledger_figures_are_still_known(clock: FakeClock) -> None:
    """Nothing is written, but what is under way can be shown."""
    books = Books(None, clock)
    booking = opened(books)
    booking.saw([text(5)])
    assert books.under_way == [booking]
    assert booking.live().usage == TokenUsage(INPUT, 5)
    booking.finish()
    assert books.under_way == []
    assert books.problem == ""


def test_a_row_that_cannot_be_closed_is_told(books: Books, ledger: Ledger) -> None:
    """A failure of the disk at the end of a request is a problem that can be shown, not an error."""
    booking = opened(books)
    only(ledger)
    connection = ledger._connection
    assert connection is not None
    connection.execute("PRAGMA query_only = 1")
    booking.finish()
    ledger.written().result(10)
    assert "cannot be used" in books.problem
    connection.execute("PRAGMA query_only = 0")


def test_a_request_given_up_before_it_went_out_leaves_no_row(books: Books, ledger: Ledger) -> None:
    """Cancelled while its row is being written, it is as if it had never been, and reserves nothing."""

    async def give_up() -> None:
        ledger.totals()
        with ledger._lock:  # the disk stands still
            opening = asyncio.ensure_future(meter(books).open(REQUEST, BUDGET))
            await asyncio.sleep(0.05)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening

    run(give_up())
    ledger.written().result(10)
    ledger.written().result(10)
    assert ledger.records() == []
    assert books.under_way == []


def test_a_refused_request_is_not_under_way(books: Books, ledger: Ledger) -> None:
    """What a budget stops has no row, and is not what was asked last."""
    with pytest.raises(BudgetExceeded):
        opened(books, Purpose(budget=BudgetSettings(day=Decimal("0.000001"))))
    assert ledger.records() == []
    assert (books.under_way, books.last) == ([], None)


# ------------------------------------------------------------------------ what can go wrong


def test_a_refusal_that_was_counted_is_booked_with_its_count(books: Books, ledger: Ledger) -> None:
    """An answer that was written and then withheld did cost what the server says."""
    booking = opened(books)
    booking.saw([Started("m", "id"), UsageUpdate(TokenUsage(5000, 4000))])
    booking.refuse()
    record = only(ledger)
    assert (record.status, record.measured) == ("failed", True)
    assert record.cost == 5000 * IN + 4000 * OUT


def test_a_server_is_a_simulator_for_as_long_as_it_says_so(books: Books, ledger: Ledger) -> None:
    """The same address may be a simulator's first and a real gateway's then; each answer tells."""
    first = opened(books)
    first.answered(simulated=True)
    first.finish()
    second = opened(books)
    assert second.new.simulated
    second.answered(simulated=False)
    second.finish()
    third = opened(books)
    third.finish()
    assert [r.simulated for r in ledger.records()] == [False, False, True]


def test_an_unseen_answer_is_estimated_by_its_time(
    books: Books, ledger: Ledger, clock: FakeClock
) -> None:
    """Nobody saw how far an answer in one piece was when it was given up: about so fast it is written,
    and it has no more tokens than it may."""
    for seconds in (1, 1000):
        booking = run(meter(books).open(REQUEST, Purpose(), whole=True))
        clock.now += seconds
        booking.break_off()
    long, short = ledger.records()
    assert (short.usage.output_tokens, long.usage.output_tokens) == (60, 100)
    assert not short.measured


def test_a_count_beyond_belief_is_none(books: Books, ledger: Ledger) -> None:
    """A server that counts more tokens than any request can have is not believed."""
    booking = opened(books)
    booking.saw([text(7), UsageUpdate(TokenUsage(10**14, 10**14))])
    booking.finish()
    record = only(ledger)
    assert (record.usage, record.measured) == (TokenUsage(INPUT, 7), False)


def test_the_end_of_an_answer_ends_its_time(books: Books, ledger: Ledger, clock: FakeClock) -> None:
    """What the connection takes to close is no part of the rate."""
    booking = opened(books)
    booking.saw([text(1)])
    clock.now += 2
    booking.saw([UsageUpdate(TokenUsage(5, 100)), Finished("stop")])
    clock.now += 8
    booking.finish()
    record = only(ledger)
    assert (record.latency_s, record.output_tps) == (2, 50)


def test_figures_that_are_final_stay(books: Books) -> None:
    """`live`, which another thread may ask at any time, never puts an estimate over them."""
    booking = opened(books)
    booking.saw([text(3), UsageUpdate(TokenUsage(5, 5000))])
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            booking.live()

    asking = threading.Thread(target=ask)
    asking.start()
    booking.finish()
    final = booking.booked
    stop.set()
    asking.join()
    assert booking.booked == final == booking.live()
    assert final.usage.output_tokens == 5000


class Stubborn(Ledger):
    """A disk that refuses so many closing rows."""

    refusals = 1

    def close_row(self, row: int, outcome: Any) -> Any:
        if self.refusals:
            self.refusals -= 1
            refused: Future[None] = Future()
            refused.set_exception(ConfigError("The disk is full."))
            return refused
        return super().close_row(row, outcome)


def test_an_end_that_could_not_be_written_is_written_later(clock: FakeClock) -> None:
    """No count is lost by a disk that was full for a while; until then there is a problem to see."""
    ledger = Stubborn(":memory:")
    books = Books(ledger, clock)
    first = opened(books)
    first.saw([UsageUpdate(TokenUsage(1000, 5000))])
    first.finish()
    assert "The disk is full" in books.problem
    assert only(ledger).status == "open"
    second = opened(books)
    ledger.written().result()
    second.void()
    record = only(ledger)
    assert (record.status, record.usage.output_tokens) == ("ok", 5000)
    assert books.problem == ""


def test_a_simulator_is_remembered_by_the_ledger(ledger: Ledger, clock: FakeClock) -> None:
    """A kernel that was restarted knows from the last answer of a server what it is."""
    first = opened(Books(ledger, clock))
    first.answered(simulated=True)
    first.finish()
    ledger.written().result()
    assert Books(ledger, clock).is_simulator("global")
    assert not Books(ledger, clock).is_simulator("elsewhere")


# ------------------------------------------------------------------------------------- replays


RECORDED = TokenUsage(100, 20, reasoning_tokens=7)


def replayed(books: Books, purpose: Purpose, avoided: str | None = "0.25", **more: Any) -> Booked:
    amount = None if avoided is None else Decimal(avoided)
    options = {"simulated": False, "recorded_flavor": "anthropic_messages", **more}
    return run(meter(books).replay(RECORDED, amount, REQUEST, purpose, **options))


def test_a_replay_is_booked(books: Books, ledger: Ledger, clock: FakeClock) -> None:
    """The row has no tokens and costs nothing, says what was avoided and over which wire it once came,
    and belongs to whom it was for; what is shown has the tokens of the recorded answer."""
    label = Label(agent="ana", chat="a", cell="c")
    booked = replayed(books, Purpose(label, budget=BudgetSettings(cell=Decimal(0))))
    assert booked == Booked(RECORDED, Decimal(0), True, "unknown", Decimal("0.25"))
    row = only(ledger)
    assert (row.status, row.measured, row.usage, row.cost) == ("ok", True, TokenUsage(), 0)
    assert (row.replayed, row.avoided, row.simulated) == (True, Decimal("0.25"), False)
    assert (row.model, row.flavor, row.region) == (REQUEST.model, "anthropic_messages", "replay")
    assert (row.label, row.started_at.timestamp()) == (label, clock.time())
    assert (row.latency_s, row.first_token_s, row.output_tps, row.request_id) == (None,) * 4


def test_an_unknown_price_avoids_nothing_known(books: Books, ledger: Ledger) -> None:
    """The row says that no price is known; what is shown counts it as 0."""
    assert replayed(books, Purpose(), None).avoided == 0
    assert only(ledger).avoided is None


def test_a_replay_is_what_the_cell_did_last(books: Books, clock: FakeClock) -> None:
    """The panel's cell is that of the replay, in the world it was recorded in; nothing is under way,
    the speed shown stays that of the last answer sent, and nobody asks what is left of a plan."""
    heard: list[str] = []
    books.listen(heard.append)
    books.last_tps = 50.0
    purpose = Purpose(Label(cell="c"))
    replayed(books, purpose, simulated=True)
    assert (books.last, books.last_simulated) == (purpose, True)
    assert (books.under_way, books.last_tps, books.simulators) == ([], 50.0, set())
    assert heard == ["replay"]
    replayed(books, Purpose())
    assert books.last is purpose


def test_a_replay_needs_no_ledger(broken: Ledger, clock: FakeClock) -> None:
    """Without one, or with one that cannot be written, it is replayed all the same, and the second is
    told."""
    assert replayed(Books(None, clock), Purpose()).avoided == Decimal("0.25")
    books = Books(broken, clock)
    assert replayed(books, Purpose()).avoided == Decimal("0.25")
    assert books.problem
