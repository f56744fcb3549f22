"""The ledger: what is written comes back, sums are exact, and a file that cannot be used says why."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from ledger_rows import DONE, NEW, START, begin, book, end, replay, spent

import minimax_magic
from minimax_magic.assembly import make_meter
from minimax_magic.client.client import Client
from minimax_magic.client.rate_limit import NoLimit
from minimax_magic.errors import ConfigError, MinimaxError
from minimax_magic.testing import FakeAuth, FakeClock, FakeTransport, json_answer
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.ledger import EVERYTHING, Ledger, OverBudget, open_ledger
from minimax_magic.usage.meter import Books
from minimax_magic.usage.rows import Group, Label, Limit, Selection, Totals
from minimax_magic.wire.address import resolve_endpoint

PACKAGE = Path(minimax_magic.__file__).parent
posix = pytest.mark.skipif(os.name != "posix", reason="forks, or file modes")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "usage.sqlite3"


@pytest.fixture(params=["file", "memory"])
def ledger(request: pytest.FixtureRequest, path: Path) -> Iterator[Ledger]:
    """In a file, and in memory."""
    ledger = Ledger(str(path) if request.param == "file" else ":memory:")
    yield ledger
    ledger.close()


@pytest.fixture
def on_disk(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(str(path))
    yield ledger
    ledger.close()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Moves this machine to another time zone."""
    from time import tzset  # which not every system has

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        tzset()

    yield move
    monkeypatch.undo()
    tzset()


def at(second: float) -> datetime:
    return datetime.fromtimestamp(START + second, UTC)


def costs(ledger: Ledger, selection: Selection, **how: object) -> list[Decimal | None]:
    return [record.cost for record in ledger.records(selection, **how)]  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------- rows


def test_all_of_a_request_comes_back(ledger: Ledger) -> None:
    """Every field that was written is read again, and money without a float on the way."""
    label = Label("agent", "chat", "/nb.ipynb", "kernel-id", "cell-id")
    usage = TokenUsage(1, 2, 3, 4, 5)
    row = begin(ledger, label=label, model="M", flavor="f", region="r", billing="plan")
    end(
        ledger,
        row,
        status="failed",
        usage=usage,
        cost=Decimal("0.123456789012"),
        simulated=True,
        latency_s=1.5,
        first_token_s=0.25,
        output_tps=80.5,
        request_id="id-1",
    )
    [record] = ledger.records()
    assert record.id == row
    assert record.started_at == at(0)
    assert (record.model, record.flavor, record.region) == ("M", "f", "r")
    assert record.process == ledger.process
    assert record.label == label
    assert record.usage == usage
    assert record.cost == Decimal("0.123456789012")
    assert (record.billing, record.status, record.currency) == ("plan", "failed", "USD")
    assert (record.measured, record.simulated) == (True, True)
    assert (record.latency_s, record.first_token_s, record.output_tps) == (1.5, 0.25, 80.5)
    assert record.request_id == "id-1"


def test_a_row_is_there_while_its_request_is_under_way(ledger: Ledger) -> None:
    """Before the end it is open, with an estimate that can be made better."""
    row = begin(ledger)
    [record] = ledger.records()
    assert (record.status, record.measured, record.cost) == ("open", False, Decimal("0.000003"))
    assert record.usage == TokenUsage(10)
    assert record.latency_s is None
    ledger.update_row(row, TokenUsage(10, 7), Decimal("0.01"), simulated=True)
    [record] = ledger.records()
    assert (record.status, record.measured, record.simulated) == ("open", False, True)
    assert (record.usage, record.cost) == (TokenUsage(10, 7), Decimal("0.01"))


def test_a_removed_row_is_gone(ledger: Ledger) -> None:
    """A request that never went out leaves nothing."""
    ledger.remove_row(begin(ledger))
    assert ledger.records() == []
    assert ledger.totals() == Totals()


def test_an_empty_ledger(ledger: Ledger) -> None:
    """Without rows all sums are zero, and there are no groups and no models."""
    assert ledger.records() == []
    assert ledger.totals() == Totals()
    assert ledger.groups(Selection(), "day") == []
    assert ledger.grid(Selection(), "model") == []
    assert ledger.models() == []


def test_newest_and_dearest(ledger: Ledger) -> None:
    """The newest first by default, or the dearest with those of no known price last."""
    for second, cost in enumerate(("0.2", None, "0.9", "0.1")):
        book(ledger, cost, started_at=START + second)
    known = [Decimal("0.1"), Decimal("0.9"), None, Decimal("0.2")]
    assert costs(ledger, Selection()) == known
    dearest = [Decimal("0.9"), Decimal("0.2"), Decimal("0.1"), None]
    assert costs(ledger, Selection(), order="dearest") == dearest
    assert costs(ledger, Selection(), order="dearest", limit=2) == dearest[:2]
    assert costs(ledger, Selection(), limit=0) == []


def test_the_first_moment_of_a_selection_is_inside_and_the_last_is_not(ledger: Ledger) -> None:
    """`since` counts in, `until` does not, to the microsecond."""
    for second in (0, 1, 2):
        book(ledger, str(second + 1), started_at=START + second)
    assert costs(ledger, Selection(since=at(1))) == [Decimal(3), Decimal(2)]
    assert costs(ledger, Selection(until=at(1))) == [Decimal(1)]
    assert costs(ledger, Selection(since=at(1), until=at(2))) == [Decimal(2)]
    assert costs(ledger, Selection(since=at(1) + timedelta(microseconds=1), until=at(2))) == []


def test_selections(ledger: Ledger) -> None:
    """By model, real or simulated, process and run of a cell, and all of these together."""
    book(ledger, "1", model="A", label=Label(cell="c1"))
    book(ledger, "2", model="B", label=Label(cell="c2"), simulated=True)
    book(ledger, "4", model="C", label=Label(cell="c1"), simulated=True)

    def total(selection: Selection) -> Decimal:
        found = ledger.totals(selection)
        assert found.cost == sum(filter(None, costs(ledger, selection)), Decimal(0))
        return found.cost

    assert total(Selection(models=("A", "C"))) == 5
    assert total(Selection(models=("A'; --",))) == 0
    assert total(Selection(models=())) == 0
    assert total(Selection(simulated=True)) == 6
    assert total(Selection(simulated=False)) == 1
    assert total(Selection(process=ledger.process)) == 7
    assert total(Selection(process="another")) == 0
    assert total(Selection(cell="c1")) == 5
    assert total(Selection(cell="c1", simulated=True, models=("C",), since=at(0))) == 4


# ----------------------------------------------------------------------------------- sums


def test_totals_of_everything_that_can_become_of_a_request(ledger: Ledger) -> None:
    """Each count and each sum has what belongs to it."""
    book(ledger, "0.25")
    book(ledger, "0.5", billing="plan")
    end(ledger, begin(ledger), status="interrupted", measured=False, cost=Decimal("0.125"))
    end(ledger, begin(ledger), status="failed", usage=TokenUsage(), cost=Decimal(0))
    begin(ledger, usage=TokenUsage(10), cost=Decimal("0.0625"))
    assert ledger.totals() == Totals(
        requests=5,
        usage=TokenUsage(12 * 3 + 10, 15),
        cost=Decimal("0.9375"),
        plan_cost=Decimal("0.5"),
        unpriced=0,
        estimated=2,
        open=1,
        interrupted=1,
        failed=1,
    )


def test_a_replay_is_in_no_figure_but_its_own(ledger: Ledger) -> None:
    """A replayed answer changes neither requests nor tokens, cost or anything else of what was sent,
    whether or not its price is known."""
    book(ledger, "0.5")
    before = ledger.totals()
    replay(ledger, "0.25", billing="plan")
    replay(ledger, None)
    assert ledger.totals() == replace(before, replayed=2, avoided=Decimal("0.25"))
    assert ledger.budget(Limit("day", Decimal(1), Selection())).left == Decimal("0.5")


def test_a_replay_is_one_row_that_is_over(ledger: Ledger) -> None:
    """It cost nothing, and has what it would have cost; what was sent has neither."""
    book(ledger)
    replay(ledger, "0.25")
    replay(ledger, None)
    unknown, known, sent = ledger.records()
    assert (sent.replayed, sent.avoided) == (False, None)
    assert (known.replayed, known.avoided, known.cost) == (True, Decimal("0.25"), 0)
    assert (known.status, known.measured, known.usage) == ("ok", True, TokenUsage())
    assert (unknown.replayed, unknown.avoided) == (True, None)


def test_replays_make_no_group_dearer_or_larger(ledger: Ledger) -> None:
    """Groups and models are ordered by what was sent, and the dearest requests come before replays,
    those without a price included."""
    for _ in range(3):
        replay(ledger, "9", model="B")
    book(ledger, "0", model="A")
    assert [group.key for group in ledger.groups(EVERYTHING, "model")] == ["A", "B"]
    assert ledger.models() == ["A", "B"]
    book(ledger, None)
    assert [r.replayed for r in ledger.records(order="dearest")] == [False, False, True, True, True]


def test_a_replay_says_nothing_of_who_answers(ledger: Ledger) -> None:
    """That a simulator's answer was replayed does not make its region one of a simulator."""
    book(ledger)
    replay(ledger, simulated=True)
    assert not ledger.was_simulated("global")


def test_tenths_add_up(ledger: Ledger) -> None:
    """0.1 and 0.2 are 0.3, as they are not in floats."""
    book(ledger, "0.1")
    book(ledger, "0.2")
    assert ledger.totals().cost == Decimal("0.3")


def test_very_many_tiny_costs_add_up(on_disk: Ledger, path: Path) -> None:
    """A hundred thousand requests of a third of a ten-thousandth of a cent are their exact sum."""
    book(on_disk, "0.000000333333")
    with sqlite3.connect(path) as other:
        columns = [row[1] for row in other.execute("PRAGMA table_info(requests)")]
        copied = ", ".join(name for name in columns if name != "id")
        other.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99999) "
            f"INSERT INTO requests ({copied}) SELECT {copied} FROM requests, n"
        )
    other.close()
    totals = on_disk.totals()
    assert totals.requests == 100_000
    assert totals.cost == Decimal("0.0333333")


def test_the_dearest_and_the_cheapest_request(ledger: Ledger) -> None:
    """One of thousands of dollars and one of a millionth of a millionth add up, to the last digit."""
    book(ledger, "10000")
    book(ledger, "0.000000000001")
    assert ledger.totals().cost == Decimal("10000.000000000001")


def test_a_cost_beyond_belief_does_not_break_the_sums(ledger: Ledger) -> None:
    """A broken gateway may count what it likes: sums can still be made."""
    for _ in range(20):
        book(ledger, "9e15")
    assert ledger.totals().cost == 20 * 100_000


def test_an_unknown_cost_is_none_and_counted(ledger: Ledger) -> None:
    """What has tokens but no price is None in its record and counted in sums, and never passes for 0;
    a refused request of the same model took nothing, so nothing of it is unknown."""
    book(ledger, None)
    end(ledger, begin(ledger, cost=None), status="failed", usage=TokenUsage(), cost=None)
    book(ledger, "0")
    assert costs(ledger, Selection()) == [Decimal(0), None, None]
    totals = ledger.totals()
    assert (totals.requests, totals.unpriced, totals.cost) == (3, 1, Decimal(0))
    [group] = ledger.groups(Selection(), "model")
    assert group.totals == totals


def test_sums_without_what_this_process_has_under_way(ledger: Ledger) -> None:
    """`without` leaves out open rows of this process's cells, and rows that it names."""
    named = book(ledger, "1")
    begin(ledger, cost=Decimal(2), label=Label(cell="c"))
    assert ledger.totals().cost == 3
    assert ledger.totals(without=()) == Totals(1, TokenUsage(12, 5), Decimal(1))
    assert ledger.totals(Selection(simulated=False), without=()).requests == 1
    assert ledger.totals(without=[named]).requests == 0


def test_open_rows_of_other_clients_are_not_left_out(ledger: Ledger) -> None:
    """What a program's own client has under way in this process is in nobody's memory but its own."""
    begin(ledger, cost=Decimal(2))
    assert ledger.totals(without=()).cost == 2


def test_open_rows_of_others_are_not_left_out(on_disk: Ledger, path: Path) -> None:
    """`without` counts what other processes have under way: nobody else adds it."""
    other = Ledger(str(path))
    begin(other, cost=Decimal(2))
    assert on_disk.totals(without=()).cost == 2
    other.close()


def test_groups(ledger: Ledger) -> None:
    """The dearest group first, those without a name apart from others, each with its own sums."""
    book(ledger, "1", model="A", label=Label("x", "c", "n"))
    book(ledger, "5", model="B", label=Label("y", "c", "n"))
    book(ledger, "2", model="A")
    one = Totals(1, TokenUsage(12, 5), Decimal(1))
    both = Totals(2, TokenUsage(24, 10), Decimal(3))
    five = Totals(1, TokenUsage(12, 5), Decimal(5))
    two = Totals(1, TokenUsage(12, 5), Decimal(2))
    assert ledger.groups(Selection(), "model") == [Group("B", five), Group("A", both)]
    by_agent = [Group("y", five), Group(None, two), Group("x", one)]
    assert ledger.groups(Selection(), "agent") == by_agent
    for by in ("chat", "notebook"):
        keys = [group.key for group in ledger.groups(Selection(), by)]
        assert keys == [{"chat": "c", "notebook": "n"}[by], None]
    assert ledger.groups(Selection(models=("B",)), "model") == [Group("B", five)]


@posix
@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_days_are_those_of_this_place(
    ledger: Ledger, here: Callable[[str], None], zone: str
) -> None:
    """A moment before local midnight and one after are two days, the earlier first."""
    here(zone)
    midnight = datetime.combine(date(2026, 3, 2), time()).astimezone().timestamp()
    book(ledger, "1", started_at=midnight + 1)
    book(ledger, "2", started_at=midnight - 1)
    days = [(group.key, group.totals.cost) for group in ledger.groups(Selection(), "day")]
    assert days == [("2026-03-01", Decimal(2)), ("2026-03-02", Decimal(1))]


def test_the_grid(ledger: Ledger) -> None:
    """Sums by day and model, the earliest day first and in it the dearest."""
    for cost, model, day in (("1", "A", 0), ("3", "B", 0), ("4", "A", 2), ("1", "A", 2)):
        book(ledger, cost, model=model, started_at=START + day * 86_400)
    found = [
        (key, totals.cost, totals.requests) for _, key, totals in ledger.grid(Selection(), "model")
    ]
    assert found == [("B", 3, 1), ("A", 1, 1), ("A", 5, 2)]
    first, second, third = (day for day, _, _ in ledger.grid(Selection(), "model"))
    assert first == second < third


def test_models(ledger: Ledger) -> None:
    """The most used first, whatever they cost; of all records, or only of real or simulated ones."""
    book(ledger, "9", model="A")
    book(ledger, "1", model="B")
    book(ledger, "1", model="B", simulated=True)
    assert ledger.models() == ["B", "A"]
    assert ledger.models(simulated=True) == ["B"]
    assert ledger.models(simulated=False) == ["A", "B"]


# ---------------------------------------------------------------------------------- limits


def limit(usd: str, scope: str = "day", **selection: object) -> Limit:
    return Limit(scope, Decimal(usd), Selection(**selection))  # type: ignore[arg-type]


def reserve(ledger: Ledger, most: str, *limits: Limit, **changes: object) -> int:
    new = replace(NEW, most=Decimal(most), **changes)  # type: ignore[arg-type]
    return ledger.open_row(new, limits).result(60)


def test_what_is_reserved_counts_until_the_end(ledger: Ledger) -> None:
    """A request that could exceed the limit together with one under way writes no row; once that has
    ended, what it really cost counts."""
    first = reserve(ledger, "0.6", limit("1"))
    with pytest.raises(OverBudget) as caught:
        reserve(ledger, "0.5", limit("1"))
    budget = caught.value.budget
    assert (budget.spent, budget.reserved) == (Decimal(0), Decimal("0.6"))
    assert spent(ledger, limit("1")) == (Decimal(0), Decimal("0.6"))
    assert ledger.totals().requests == 1
    end(ledger, first, cost=Decimal("0.1"))
    assert spent(ledger, limit("1")) == (Decimal("0.1"), Decimal(0))
    reserve(ledger, "0.5", limit("1"))


def test_a_limit_is_met_exactly(ledger: Ledger) -> None:
    """The whole of a budget may be spent, and not a millionth of a millionth more."""
    book(ledger, "0.4")
    with pytest.raises(OverBudget):
        reserve(ledger, "0.600000000001", limit("1"))
    reserve(ledger, "0.6", limit("1"))


def test_what_was_let_through_without_a_budget_counts_with_its_estimate(ledger: Ledger) -> None:
    """A request under way that reserved nothing still is money that is being spent."""
    begin(ledger, cost=Decimal("0.25"))
    assert spent(ledger, limit("1")) == (Decimal("0.25"), Decimal(0))


def test_of_several_limits_the_tightest_is_named(ledger: Ledger) -> None:
    """A refusal tells of the limit with least left, so that what fits it fits all."""
    book(ledger, "0.9")
    with pytest.raises(OverBudget) as caught:
        reserve(ledger, "2", limit("1.5", "cell", cell="c"), limit("1"), limit("5", "month"))
    assert caught.value.budget.scope == "day"
    assert caught.value.left == Decimal("0.1")


def test_a_removed_row_reserves_nothing(ledger: Ledger) -> None:
    """What never went out gives its reservation back."""
    ledger.remove_row(reserve(ledger, "1", limit("1")))
    reserve(ledger, "1", limit("1"))


# -------------------------------------------------------------------------------- the file


@posix
def test_the_file_and_what_is_beside_it_are_private(on_disk: Ledger, path: Path) -> None:
    """Folders are made as needed, and nobody else may read the ledger, its log included."""
    before = os.umask(0o022)
    try:
        book(on_disk)
    finally:
        os.umask(before)
    kept = [path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")]
    assert [file.stat().st_mode & 0o777 for file in kept] == [0o600] * 3


def test_nothing_is_opened_before_the_first_use(path: Path) -> None:
    """Making a ledger touches no disk."""
    Ledger(str(path))
    assert not path.parent.exists()


def test_warming_opens_the_file(on_disk: Ledger, path: Path) -> None:
    """What warms it need not be waited for, and the file is there."""
    on_disk.warm()
    on_disk.written().result(10)
    assert path.exists()


def test_a_closed_ledger_opens_again(on_disk: Ledger) -> None:
    """After `close` the next use finds all rows, and is of the same process."""
    book(on_disk)
    before = on_disk.process
    on_disk.close()
    assert on_disk.totals().requests == 1
    assert on_disk.process == before
    book(on_disk)
    assert on_disk.totals().requests == 2


def test_closing_leaves_what_is_under_way(on_disk: Ledger, path: Path) -> None:
    """A row that is open when its ledger is closed stays so: its process lives."""
    row = on_disk.open_row(NEW).result()
    on_disk.close()
    other = Ledger(str(path))
    assert other.totals().open == 1
    on_disk.close_row(row, DONE).result()
    assert other.totals().open == 0
    on_disk.close()
    other.close()


def test_closing_keeps_what_is_in_memory() -> None:
    """Rows that are nowhere else survive `close`."""
    ledger = Ledger(":memory:")
    ledger.open_row(NEW).result()
    ledger.close()
    assert ledger.totals().requests == 1


def test_closing_writes_what_is_queued(on_disk: Ledger, path: Path) -> None:
    """Rows that nobody waited for are in the file after `close`."""
    for _ in range(50):
        on_disk.open_row(NEW)
    on_disk.close()
    again = Ledger(str(path))
    assert again.totals().requests == 50
    again.close()


def test_one_ledger_for_each_path(path: Path) -> None:
    """All who name a path in this process share what is open."""
    assert open_ledger(str(path)) is open_ledger(str(path))
    assert open_ledger(":memory:") is open_ledger(":memory:")
    assert open_ledger(str(path)) is not open_ledger(":memory:")


def test_ledgers_in_memory_are_apart() -> None:
    """Two of them share nothing, and nothing is on disk."""
    one, two = Ledger(":memory:"), Ledger(":memory:")
    book(one)
    assert two.totals().requests == 0
    one.close()
    two.close()


def test_many_threads(ledger: Ledger) -> None:
    """Threads that write and read at once lose nothing."""

    def work() -> None:
        for _ in range(25):
            book(ledger, "0.01")
            ledger.totals()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    totals = ledger.totals()
    assert (totals.requests, totals.cost, totals.open) == (200, Decimal(2), 0)


def test_rows_that_are_written_together(ledger: Ledger) -> None:
    """Of rows that waited for the disk together, one that cannot be written and one over budget are
    told so, each by itself, and all others are there."""
    ledger.totals()
    tight = limit("1")
    with ledger._lock:  # the disk stands still
        first = ledger.open_row(replace(NEW, most=Decimal("0.8")), [tight])
        over = ledger.open_row(replace(NEW, most=Decimal("0.8")), [tight])
        bad = ledger.open_row(replace(NEW, started_at=None))  # type: ignore[arg-type]
        given_up = ledger.open_row(NEW)
        given_up.cancel()
        last = ledger.open_row(NEW)
        done = ledger.written()
    assert done.result(10) is None
    assert isinstance(over.exception(), OverBudget)
    assert bad.exception() is not None
    assert {record.id for record in ledger.records()} == {first.result(), last.result()}


def test_closing_while_others_write(on_disk: Ledger) -> None:
    """A ledger that is closed again and again loses nothing of what others queue meanwhile."""
    over = threading.Event()

    def close() -> None:
        while not over.is_set():
            on_disk.close()

    closer = threading.Thread(target=close)
    closer.start()
    try:
        for _ in range(100):
            book(on_disk)
    finally:
        over.set()
        closer.join()
    assert on_disk.totals().requests == 100


# ----------------------------------------------------------------------- what cannot be used


def refused(ledger: Ledger) -> str:
    """The one line that reading ends in; writing ends in the same."""
    with pytest.raises(ConfigError) as caught:
        ledger.totals()
    with pytest.raises(ConfigError) as written:
        begin(ledger)
    line = str(caught.value)
    assert "\n" not in line
    assert caught.value.hint
    assert str(written.value) == line
    ledger.close()
    return line


def test_a_damaged_file(path: Path) -> None:
    """What is no database is named in one sentence, under the name that people know it by."""
    path.parent.mkdir()
    path.write_bytes(b"this is no database, but it is long enough to be one. " * 100)
    line = refused(Ledger(str(path), "data/usage.sqlite3"))
    assert line.startswith("The ledger data/usage.sqlite3 is damaged: ")
    assert "Move it away" in line


def test_a_file_that_is_damaged_while_it_is_open(on_disk: Ledger, path: Path) -> None:
    """Damage that is met later is told, and once the file is moved away a new one is begun."""
    for _ in range(300):
        on_disk.open_row(NEW)
    on_disk.close()
    assert on_disk.totals().requests == 300
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(ConfigError, match="is damaged") as caught:
        on_disk.records()
    assert "Move it away" in caught.value.hint
    for found in path.parent.glob("usage.sqlite3*"):
        if found.is_file():
            found.rename(found.with_name(f"old-{found.name}"))
    book(on_disk)
    assert on_disk.totals().requests == 1


def test_a_folder_in_its_place(path: Path) -> None:
    """A folder where the file should be is told in one sentence."""
    path.mkdir(parents=True)
    assert "cannot be" in refused(Ledger(str(path)))


def test_a_file_where_its_folder_should_be(path: Path) -> None:
    """A folder that cannot be made is told in one sentence."""
    path.parent.write_text("")
    line = refused(Ledger(str(path)))
    assert line.startswith(f"The ledger {path} cannot be written: ")
    assert "MINIMAX_LEDGER" in line


AS_NOBODY = """
import os, sys
sys.path.insert(0, sys.argv[2])
from minimax_magic.errors import ConfigError
from minimax_magic.usage.ledger import Ledger
Ledger  # imported while the folder of the package can still be read
import filelock, sqlite3, concurrent.futures.thread
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    Ledger(sys.argv[1], "LEDGER").totals()
except ConfigError as error:
    print(error)
"""


@posix
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    """Missing permission is told in one sentence, with what to do."""
    folder = Path("/tmp") / f"minimax-ledger-{os.getpid()}"
    folder.mkdir(mode=0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(folder / "usage.sqlite3"), str(PACKAGE.parent)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
    finally:
        folder.rmdir()
    assert done.stdout == (
        "The ledger LEDGER cannot be written: permission denied. "
        "Set MINIMAX_LEDGER to a file that can be, or to :memory:.\n"
    ), done.stderr


def test_a_full_disk(on_disk: Ledger) -> None:
    """What does not fit is told for what it is, and nothing is stuck once there is room again."""
    book(on_disk)
    connection = on_disk._connection
    assert connection is not None
    connection.execute("PRAGMA max_page_count = 8")
    for _ in range(2):
        with pytest.raises(ConfigError, match="is full"):
            begin(on_disk, model="M" * 50_000)
    assert on_disk.totals().requests == 1
    connection.execute("PRAGMA max_page_count = 1000")
    begin(on_disk)
    assert on_disk.totals().requests == 2


def test_a_ledger_that_another_program_holds_for_long(
    on_disk: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits too long for another writer is told in one sentence, and can go on later."""
    monkeypatch.setattr("minimax_magic.usage.ledger._BUSY_S", 0.1)
    book(on_disk)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ConfigError, match="locked"):
        begin(on_disk)
    assert on_disk.totals().requests == 1  # reading waits for no writer
    other.execute("ROLLBACK")
    other.close()
    begin(on_disk)


# ------------------------------------------------------------------- forks and the end


def _child(path: str, ledger: Ledger, answers: object) -> None:
    book(ledger, "1")
    answers.put((ledger.process, ledger.totals().requests))  # type: ignore[attr-defined]


@posix
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forks although there are threads
def test_a_fork_writes_rows_of_its_own(on_disk: Ledger, path: Path) -> None:
    """A forked process writes to the same file under its own name, also while the parent goes on."""
    mine = begin(on_disk)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    children = [
        context.Process(target=_child, args=(str(path), on_disk, answers)) for _ in range(3)
    ]
    for child in children:
        child.start()
    for _ in range(20):
        book(on_disk, "0")
    names = {answers.get(timeout=30)[0] for _ in children}
    for child in children:
        child.join(30)
        assert child.exitcode == 0
    assert len(names | {on_disk.process}) == 4
    records = on_disk.records()
    assert len(records) == 24
    assert {record.process for record in records} == names | {on_disk.process}
    assert next(r.status for r in records if r.id == mine) == "open"


FORKING = """
import os, threading
from ledger_rows import NEW, book
from minimax_magic.usage.ledger import Ledger
ledger, over = Ledger({path!r}), threading.Event()
book(ledger, model="parent")

def write():
    while not over.is_set():
        book(ledger, model="parent")

threads = [threading.Thread(target=write) for _ in range(2)]
for thread in threads:
    thread.start()
children = []
for _ in range(25):
    if (pid := os.fork()) == 0:
        status = 1
        try:
            for _ in range(3):
                ledger.open_row(NEW).result(10)
            status = 0
        finally:
            os._exit(status)
    children.append(pid)
    over.wait(0.01)
print([os.waitpid(pid, 0)[1] for pid in children])
over.set()
"""


@posix
def test_forks_while_rows_are_written(on_disk: Ledger, path: Path) -> None:
    """A child that is forked while threads of its parent are in the middle of writing can write."""
    with _python(FORKING.format(path=str(path))) as parent:
        assert parent.communicate(timeout=60)[0] == f"{[0] * 25}\n"
    assert len(on_disk.records(Selection(models=(NEW.model,)))) == 75
    [(sound,)] = _query(path, "PRAGMA integrity_check")
    assert sound == "ok"


def _query(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@posix
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("use", [False, True], ids=["idle", "writing"])
def test_the_end_of_a_fork_is_not_the_end_of_its_parent(
    on_disk: Ledger, path: Path, use: bool
) -> None:
    """A child that ends in order, with all that is done at its exit, leaves its parent alive."""
    begin(on_disk)
    program = (
        "import os, sys\n"
        "from ledger_rows import begin\n"
        "from minimax_magic.usage.ledger import Ledger\n"
        f"ledger = Ledger({str(path)!r})\n"
        "mine = begin(ledger, model='parent')\n"
        "if (pid := os.fork()) == 0:\n"
        f"    if {use}: begin(ledger, model='child')\n"
        "    sys.exit(0)\n"
        "os.waitpid(pid, 0)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with _python(program) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        found = {record.model: record.status for record in on_disk.records()}
        assert found["parent"] == "open"
        if use:
            assert found["child"] == "interrupted"
        parent.kill()
        parent.wait(10)


@posix
def test_a_killed_parent_is_dead_although_its_fork_lives(on_disk: Ledger, path: Path) -> None:
    """The lock goes with the process that took it, and is not held by a child that was forked."""
    program = (
        "import os, sys, time\n"
        "from ledger_rows import begin\n"
        "from minimax_magic.usage.ledger import Ledger\n"
        f"begin(Ledger({str(path)!r}))\n"
        "if os.fork() == 0:\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "sys.stdin.read()\n"
    )
    with _python(program) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            assert [record.status for record in on_disk.records()] == ["open"]
            parent.kill()
            parent.wait(10)
            assert [record.status for record in on_disk.records()] == ["interrupted"]
        finally:
            os.kill(child, signal.SIGKILL)


def _python(program: str) -> subprocess.Popen[str]:
    here = str(Path(__file__).parent)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(PACKAGE.parent), here))},
    )


def test_what_is_queued_at_the_end_of_a_process_is_written(on_disk: Ledger, path: Path) -> None:
    """Rows that nobody waited for are in the file after an ordinary exit; what is written later
    still, by what runs at exit, is there too; and the process is gone to others."""
    program = (
        "import atexit\n"
        "from ledger_rows import DONE, NEW, begin, book, end\n"
        "from minimax_magic.usage.ledger import Ledger\n"
        f"ledger = Ledger({str(path)!r})\n"
        "row = begin(ledger)\n"
        "atexit.register(lambda: ledger.open_row(NEW))\n"
        "for _ in range(200):\n"
        "    ledger.open_row(NEW)\n"
        "ledger.close_row(row, DONE)\n"
    )
    with _python(program) as process:
        assert process.wait(60) == 0
    totals = on_disk.totals()
    assert (totals.requests, totals.interrupted, totals.open) == (202, 201, 0)


# ---------------------------------------------------------------------------------- privacy


def test_neither_prompts_nor_answers_nor_keys_are_in_the_file(path: Path) -> None:
    """Of a request through a real client nothing that was said is anywhere beside the ledger."""
    ledger = Ledger(str(path))
    secret = {name: f"MARKER-{name}-8c1f" for name in ("prompt", "system", "answer", "key")}
    message = {"content": secret["answer"], "reasoning_content": secret["answer"]}
    answer = json_answer(
        {
            "id": "id-1",
            "choices": [{"message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 7},
        }
    )
    broken = json_answer({"error": {"message": f"no: {secret['prompt']} {secret['key']}"}}, 400)
    endpoint = resolve_endpoint("https://api.minimax.io")
    clock = FakeClock()

    async def ask() -> None:
        client = Client(
            endpoint=endpoint,
            auth=FakeAuth(secret["key"]),
            transport=FakeTransport(answer, broken),
            limiter=NoLimit(),
            clock=clock,
            model="MiniMax-M2.5",
            user_agent="test",
            meter=make_meter(Books(ledger, clock), endpoint, lambda: "unknown"),
        )
        await client.chat(secret["prompt"], system=secret["system"])
        with pytest.raises(MinimaxError):
            await client.chat(secret["prompt"])

    asyncio.run(ask())
    assert ledger.totals().usage.total_tokens == 12
    for _ in range(2):  # with its log, and folded into the file
        files = [file for file in path.parent.rglob("*") if file.is_file()]
        found = b"".join(file.read_bytes() for file in files)
        assert b"MiniMax-M2.5" in found
        assert b"MARKER" not in found
        ledger.close()
