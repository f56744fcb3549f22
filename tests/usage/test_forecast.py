"""How long a budget lasts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from minimax_magic.errors import ConfigError
from minimax_magic.pricing import BUILT_IN, Price
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.forecast import Pace, forecast
from minimax_magic.usage.rows import Label, Record

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HUNDRED = Decimal(100)


def record(usd: str | None = "0.02", *, days_ago: float = 0, **fields: Any) -> Record:
    values: dict[str, Any] = {
        "id": 1,
        "started_at": NOW - timedelta(days=days_ago),
        "model": "MiniMax-M2.5",
        "flavor": "openai_compat",
        "region": "global",
        "process": "p",
        "label": Label(),
        "usage": TokenUsage(1_000, 100, 500),
        "cost": None if usd is None else Decimal(usd),
        "billing": "per_token",
        "status": "ok",
        "measured": True,
        "simulated": False,
    }
    return Record(**{**values, **fields})


def test_the_arithmetic_of_the_guide() -> None:
    """$25 at $0.03 a query: 833 queries, 83 days at 10 a day, 16 at 50; and it says whose they are."""
    example = forecast([], Decimal(25), now=NOW)
    assert example.cost_per_query == Decimal("0.03012")
    assert (example.input_per_query, example.output_per_query) == (96_000, 1_100)
    assert example.queries == 833
    assert example.paces == (Pace(Fraction(10), 83), Pace(Fraction(50), 16))
    assert example.is_example
    assert (example.own, example.requests, example.since) == (None, 0, None)
    assert example.prices == (("MiniMax-M2", BUILT_IN.find("MiniMax-M2")),)


def test_the_averages_of_the_records() -> None:
    """Cost and tokens per query are those of the finished requests; the pace is over all days."""
    records = [record("0.03", days_ago=9), record("0.01", days_ago=1), record("0.02")]
    seen = forecast(records, Decimal("10"), now=NOW)
    assert seen.cost_per_query == Decimal("0.02")
    assert (seen.input_per_query, seen.output_per_query) == (1_500, 100)
    assert seen.queries == 500
    # 3 requests in the 10 days from the 12th to the 21st, quiet ones included
    assert (seen.since, seen.elapsed_days) == ((NOW - timedelta(days=9)).date(), 10)
    assert seen.own == Pace(Fraction(3, 10), 1666)
    assert seen.paces == (Pace(Fraction(10), 50), Pace(Fraction(50), 10))
    assert (seen.requests, seen.is_example, seen.simulated) == (3, False, False)


def test_nothing_is_rounded_on_the_way() -> None:
    """Three requests for a dollar: a hundred dollars are 300 of them, not 299."""
    records = [record("0.33"), record("0.33"), record("0.34")]
    assert forecast(records, HUNDRED, now=NOW).queries == 300


def test_what_spoilt_requests_cost_is_paid_by_the_queries() -> None:
    """Interrupted and failed ones with a cost count in cost, tokens and days, and are no queries."""
    records = [
        record("0.02"),
        record("0.02"),
        record("0.05", status="interrupted", days_ago=4, measured=False),
        record("0.01", status="failed", billing="plan"),
    ]
    seen = forecast(records, HUNDRED, now=NOW)
    assert (seen.requests, seen.spoilt, seen.spoilt_cost) == (2, 2, Decimal("0.06"))
    assert seen.cost_per_query == Decimal("0.05")
    assert (seen.input_per_query, seen.output_per_query) == (3_000, 200)
    assert (seen.elapsed_days, seen.own) == (5, Pace(Fraction(2, 5), 5_000))
    assert (seen.estimated, seen.planned) == (1, 1)
    assert (seen.unpriced, seen.unfinished) == (0, 0)


def test_what_cannot_be_counted_is_told() -> None:
    """Each for its reason: no price, or under way, or broken off before it used anything."""
    records = [
        record("0.02"),
        record(None),
        record(None, status="failed"),
        record("9", status="open"),
        record("0", status="failed", usage=TokenUsage()),
        record(None, status="failed", usage=TokenUsage()),
    ]
    seen = forecast(records, HUNDRED, now=NOW)
    assert (seen.requests, seen.spoilt, seen.unpriced, seen.unfinished) == (1, 0, 2, 3)
    assert seen.cost_per_query == Decimal("0.02")
    assert seen.own == Pace(Fraction(1), 5_000)


def test_without_a_query_there_is_the_example() -> None:
    """What was left out is told there too, with what spoilt requests did cost."""
    seen = forecast([record(None), record("1", status="failed")], HUNDRED, now=NOW)
    assert seen.is_example
    assert (seen.unpriced, seen.unfinished) == (1, 0)
    assert (seen.spoilt, seen.spoilt_cost) == (1, Decimal(1))
    assert not seen.simulated
    assert forecast([record("1", status="failed", simulated=True)], HUNDRED, now=NOW).simulated


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Puts the machine into a time zone."""

    def go(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield go
    monkeypatch.undo()
    time.tzset()


needs_tzset = pytest.mark.skipif(not hasattr(time, "tzset"), reason="no tzset here")


@needs_tzset
def test_the_last_thirty_local_days_count(here: Callable[[str], None]) -> None:
    """Days are those of the machine: 23:30 UTC may be tomorrow."""
    here("Asia/Tokyo")  # now is 21:00 of the 21st
    first = datetime(2026, 10, 22, 15, 30, tzinfo=UTC)  # 00:30 of the 23rd there
    assert forecast([record(started_at=first)], HUNDRED, now=NOW).elapsed_days == 30
    before = first - timedelta(hours=1)
    assert forecast([record(started_at=before)], HUNDRED, now=NOW).is_example
    newer = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)  # 00:30 of the 21st there
    assert forecast([record(started_at=newer)], HUNDRED, now=NOW).elapsed_days == 1
    here("UTC")
    assert forecast([record(started_at=newer)], HUNDRED, now=NOW).elapsed_days == 2


@needs_tzset
def test_days_before_a_change_of_clocks_are_as_they_were(here: Callable[[str], None]) -> None:
    """In Berlin's summer 22:30 UTC was the next day already, though in winter it is not."""
    here("Europe/Berlin")
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    summer = datetime(2026, 10, 20, 22, 30, tzinfo=UTC)  # 00:30 of the 21st
    seen = forecast([record(started_at=summer)], HUNDRED, now=now.astimezone())
    assert (seen.since, seen.elapsed_days) == (date(2026, 10, 21), 12)


def test_a_clock_that_was_wrong_does_no_harm() -> None:
    """A record of tomorrow counts as one of today."""
    assert forecast([record(days_ago=-1)], HUNDRED, now=NOW).elapsed_days == 1


def test_simulated_and_real_ones_do_not_mix() -> None:
    """Real ones count where there are any; else the simulator's, and it is said."""
    simulated = record("5", simulated=True)
    assert forecast([simulated], HUNDRED, now=NOW).simulated
    both = forecast([simulated, record("0.02")], HUNDRED, now=NOW)
    assert (both.requests, both.simulated, both.cost_per_query) == (1, False, Decimal("0.02"))


def test_what_is_not_quite_money_is_counted_and_told() -> None:
    """Estimated tokens, and requests that a plan covers."""
    records = [record(measured=False), record(billing="plan"), record()]
    seen = forecast(records, HUNDRED, now=NOW)
    assert (seen.requests, seen.estimated, seen.planned) == (3, 1, 1)


def test_free_queries_do_not_use_up_a_budget() -> None:
    """A model whose price is 0: no end, and no division by it."""
    seen = forecast([record("0")], HUNDRED, now=NOW)
    assert (seen.queries, seen.own) == (None, Pace(Fraction(1), None))
    assert [pace.days for pace in seen.paces] == [None, None]


def test_a_budget_below_one_query() -> None:
    """None can be paid for."""
    seen = forecast([record("3")], Decimal("2.99"), now=NOW)
    assert (seen.queries, seen.paces[0].days) == (0, 0)


def test_the_prices_are_of_the_models_that_were_used() -> None:
    """The one used most first, at the price it has now; None for one without."""
    mine = Price(Decimal(1), Decimal(2), Decimal(1), source="here")
    records = [record(model="x"), record(model="mine"), record(model="mine")]
    table = BUILT_IN.with_changes({"mine": mine})
    assert forecast(records, HUNDRED, now=NOW, prices=table).prices == (("mine", mine), ("x", None))


@pytest.mark.parametrize("budget", ["0", "-1", "NaN", "Infinity", "1E+5000"])
def test_a_budget_must_be_a_sum_of_money(budget: str) -> None:
    """Nothing, less than nothing and no number are refused in a sentence."""
    with pytest.raises(ConfigError, match=r"needs a budget above 0 US dollars"):
        forecast([record()], Decimal(budget), now=NOW)


def test_what_was_replayed_is_no_query() -> None:
    """Replays cost nothing and use nothing, so averages, pace and prices are those without them; alone
    they are no records at all, real or simulated."""
    sent = [record("0.03", days_ago=9), record("0.01")]
    fields = {"usage": TokenUsage(), "replayed": True, "avoided": Decimal("0.5"), "model": "Other"}
    replays = [record("0", days_ago=n, simulated=n == 20, **fields) for n in range(25)]
    assert forecast(sent + replays, HUNDRED, now=NOW) == forecast(sent, HUNDRED, now=NOW)
    assert forecast(replays, HUNDRED, now=NOW) == forecast([], HUNDRED, now=NOW)
