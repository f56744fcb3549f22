"""The dashboard's chart: how sums become few enough bars, and what is put out."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal

import pytest

from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.rows import Totals
from minimax_magic.widgets import usage_charts as charts
from minimax_magic.widgets.usage_charts import Row, arranged


def one(cost: str = "0.1", *, unpriced: int = 0) -> Totals:
    return Totals(1, TokenUsage(10, 5), Decimal(cost), unpriced=unpriced)


def row(day: str, key: str | None, cost: str = "0.1") -> Row:
    return day, key, one(cost)


def test_days_without_requests_have_their_place() -> None:
    """A range of seven days has seven bars, whatever happened in it."""
    bars = arranged(
        [row("2026-11-18", "a")],
        "model",
        "cost",
        first=date(2026, 11, 15),
        last=date(2026, 11, 21),
    )
    assert bars.starts == tuple(f"2026-11-{day}" for day in range(15, 22))


@pytest.mark.parametrize(
    ("days", "period"), [(92, "day"), (93, "week"), (560, "week"), (561, "month")]
)
def test_long_ranges_are_drawn_by_week_or_month(days: int, period: str) -> None:
    """So that bars stay wide enough; none of the sums is lost."""
    begin = date(2024, 1, 31)
    grid = [row(str(begin + timedelta(days=number)), "a") for number in range(days)]
    bars = arranged(grid, "model", "cost")
    assert bars.period == period
    assert len(bars.starts) <= 92
    assert sum((t.cost for t in bars.sums.values()), Decimal(0)) == days * Decimal("0.1")
    assert {start for start, _name in bars.sums} == set(bars.starts)


def test_the_rest_of_many_groups_is_one() -> None:
    """Eight groups have colours of their own; the others are together, in grey and last."""
    grid = [row("2026-11-21", f"m{number:02}", str(40 - number)) for number in range(40)]
    bars = arranged(grid, "model", "cost")
    assert bars.names == (*(f"m{number:02}" for number in range(8)), "32 others")
    assert len(set(bars.colours)) == 9
    assert sum(totals.requests for totals in bars.sums.values()) == 40


def test_groups_are_ordered_by_what_is_measured() -> None:
    """The cheap model with many tokens is first among tokens."""
    many = Totals(1, TokenUsage(1000, 0), Decimal("0.01"))
    grid = [row("2026-11-21", "dear", "9"), ("2026-11-21", "cheap", many)]
    assert arranged(grid, "model", "cost").names == ("dear", "cheap")
    assert arranged(grid, "model", "tokens").names == ("cheap", "dear")


def test_a_chat_may_be_called_as_the_others_are() -> None:
    """Names that would be the same are told apart, and none of the sums is mixed."""
    grid = [row("2026-11-21", None, "2"), row("2026-11-21", "(none)", "1")]
    bars = arranged(grid, "chat", "cost")
    assert bars.names == ("(none)", "(none) (2)")
    assert [bars.sums["2026-11-21", name].cost for name in bars.names] == [2, 1]


def test_a_group_without_a_price_is_in_the_legend() -> None:
    """It has no bar, and its name says why."""
    grid = [row("2026-11-21", "a"), ("2026-11-21", "mine", one("0", unpriced=1))]
    assert arranged(grid, "model", "cost").names == ("a", "mine (no price known)")
    assert arranged(grid, "model", "tokens").names == ("a", "mine")


def test_estimates_have_a_wave_in_tooltips_and_texts() -> None:
    """Cost and tokens alike; requests are counted."""
    pytest.importorskip("altair")
    rough = Totals(2, TokenUsage(1000, 5), Decimal("0.1"), estimated=1)
    told = [charts.text_of(rough, measure).text for measure in ("cost", "tokens", "requests")]
    assert told == ["~$0.10", "~1,005", "2"]
    spec = json.dumps(charts.chart(arranged([("2026-11-21", "a", rough)], "model", "cost")))
    assert '"~1,005"' in spec
    assert '"~$0.10"' in spec


def test_bars_without_height_are_a_sentence() -> None:
    """Instead of an empty picture: unknown prices, or really nothing."""
    unknown = [("2026-11-21", "mine", one("0", unpriced=1))]
    assert arranged(unknown, "model", "cost").nothing.startswith("No price is known")
    assert arranged(unknown, "model", "tokens").nothing == ""
    failed = [("2026-11-21", "a", Totals(1))]
    assert arranged(failed, "model", "cost").nothing == "Nothing was spent in this range."


def test_text_and_table_hold_all_that_the_chart_shows() -> None:
    """Every period and group with its figure."""
    grid = [row("2026-11-20", "a", "0.2"), row("2026-11-21", "a", "0.4"), row("2026-11-21", "b")]
    bars = arranged(grid, "model", "cost")
    assert charts.bars_text(bars).splitlines() == [
        "Cost in US dollars per day",
        f"2026-11-20  {'█' * 12} $0.20  (a $0.20)",
        f"2026-11-21  {'█' * 30} $0.50  (a $0.40, b $0.10)",
    ]
    table = charts.bars_table(bars)
    assert table.columns == ("Day", "a", "b", "All")
    assert [[cell.text for cell in cells] for cells in table.rows] == [
        ["2026-11-21", "$0.40", "$0.10", "$0.50"],
        ["2026-11-20", "$0.20", "", "$0.20"],
    ]


def test_what_is_put_out_is_vega_lite_5_with_its_data() -> None:
    """JupyterLab has a renderer for version 5 only; nothing is fetched, and no page hides it."""
    pytest.importorskip("altair")
    bars = arranged([row("2026-11-20", "a"), row("2026-11-21", "b")], "model", "cost")
    forms = charts.bundle(bars, page=False)
    assert set(forms) == {"application/vnd.vegalite.v5+json", "text/plain"}
    spec = forms["application/vnd.vegalite.v5+json"]
    assert spec["$schema"] == "https://vega.github.io/schema/vega-lite/v5.json"
    assert "url" not in json.dumps(spec["data"])
    assert spec["width"] != "container"  # JupyterLab 4.6 never ends with that
    assert spec["description"].startswith("MiniMax usage")
    assert "text/html" in charts.bundle(bars, page=True)


@pytest.mark.parametrize("by", ["day", "model"])
@pytest.mark.parametrize("measure", ["cost", "tokens", "requests"])
def test_one_day_has_a_bar_per_group(by: str, measure: str) -> None:
    """They lie, so that long names can be read, with their figures at the end."""
    pytest.importorskip("altair")
    key = {"day": "2026-11-21", "model": "a"}[by]
    bars = arranged([row("2026-11-21", key)], by, measure, simulated=True)  # type: ignore[arg-type]
    spec = charts.chart(bars)
    marks = [layer["mark"]["type"] for layer in spec["layer"]]
    assert marks == ["bar", "text"]
    assert "(simulated)" in json.dumps(spec["title"])
    assert charts.bars_text(bars).count("\n") == 1


def test_a_filter_changes_no_colour() -> None:
    """A group keeps the colour that it had, with whatever others it is shown; a new one gets another."""
    many = [
        ("2026-11-21", key, Totals(1, cost=Decimal(cost)))
        for key, cost in zip("abc", "321", strict=True)
    ]
    colours: dict[str | None, str] = {}
    before = arranged(many, "chat", "cost", colours=colours)
    mine = dict(zip(before.names, before.colours, strict=True))
    after = arranged([*many[1:], ("2026-11-21", "d", Totals(1))], "chat", "cost", colours=colours)
    again = dict(zip(after.names, after.colours, strict=True))
    assert {name: again[name] for name in "bc"} == {name: mine[name] for name in "bc"}
    assert again["d"] not in mine.values()
