"""Tables of the dashboard: exact sums, safe HTML, aligned text."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from minimax_magic.render import dashboard_tables as tables
from minimax_magic.render.dashboard_tables import Cell, Table
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.rows import Group, Label, Record, Totals


def totals(cost: str = "0.5", requests: int = 2, **more: int) -> Totals:
    return Totals(requests, TokenUsage(1000, 200), Decimal(cost), **more)


def test_an_unknown_price_is_said_and_never_a_zero() -> None:
    """A group without any price has no cost; one with some has what is known, and a question mark."""
    assert tables.cost_of(totals("0", unpriced=2)).text == "no price known"
    assert tables.cost_of(totals("0.5", unpriced=1)).text == "$0.50 + ?"
    assert "1 of 2 requests have no known price" in tables.cost_of(totals(unpriced=1)).more
    assert tables.cost_of(totals("0")).text == "$0"


def test_a_rounded_amount_has_all_digits_behind_it() -> None:
    """Resting on `$0.0012` shows the exact sum."""
    assert tables.money(Decimal("0.001234567890")) == Cell("$0.0012", "$0.00123456789")
    assert tables.money(Decimal("1E+2")) == Cell("$100.00", "$100")


def test_groups_that_are_left_out_count_in_a_row_of_their_own() -> None:
    """The rows of a table of a thousand chats still add up to what is below them."""
    groups = [Group(f"chat {number}", totals(requests=1)) for number in range(1000)]
    every = sum((group.totals for group in groups), Totals())
    table = tables.groups_table(groups, "chat", every)
    assert table.rows[-1][0].text == "600 others"
    assert sum(int(row[1].text.replace(",", "")) for row in table.rows) == 1000
    assert table.foot is not None
    assert table.foot[1].text == "1,000"


def test_columns_of_cached_tokens_are_there_if_there_are_any() -> None:
    """Most wires report no cache writes: an empty column would only take room."""
    plain = tables.groups_table([Group("m", totals())], "model", totals())
    assert plain.columns == ("Model", "Requests", "Input", "Output", "Cost")
    cached = Totals(1, TokenUsage(1, 1, cache_write_tokens=7))
    assert "Cache write" in tables.groups_table([Group("m", cached)], "model", cached).columns


def test_a_request_says_whose_it_is_and_what_is_estimated() -> None:
    """Chat, agent and notebook stand together; an estimate is called one."""
    record = Record(
        1,
        datetime(2026, 11, 21, 12, tzinfo=UTC),
        "MiniMax-M3",
        "anthropic",
        "intl",
        "p",
        Label(agent="ana", chat="draft"),
        TokenUsage(10, 5),
        None,
        "unknown",
        "interrupted",
        measured=False,
        simulated=False,
    )
    (row,) = tables.dearest_table([record]).rows
    assert [cell.text for cell in row[1:]] == [
        "no price known",
        "MiniMax-M3",
        "chat draft · agent ana",
        "interrupted, estimated",
        "~10",
        "~5",
    ]


def request(**changes: Any) -> Record:
    values: dict[str, Any] = {
        "id": 1,
        "started_at": datetime(2026, 11, 21, 12, tzinfo=UTC),
        "model": "MiniMax-M3",
        "flavor": "anthropic",
        "region": "intl",
        "process": "p",
        "label": Label(),
        "usage": TokenUsage(10, 5),
        "cost": Decimal("0.25"),
        "billing": "per_token",
        "status": "ok",
        "measured": True,
        "simulated": False,
    }
    return Record(**{**values, **changes})


def test_what_a_plan_covers_is_a_value_and_no_bill() -> None:
    """The status says so, beside a wave where it is estimated too; without a price there is no value."""
    records = [
        request(),
        request(billing="plan"),
        request(billing="plan", measured=False),
        request(billing="plan", cost=None),
    ]
    rows = tables.dearest_table(records).rows
    assert [row[4].text for row in rows] == [
        "ok",
        "ok, plan value",
        "ok, estimated, plan value",
        "ok",
    ]
    assert [row[1].text for row in rows] == ["$0.25", "$0.25", "~$0.25", "no price known"]


def test_what_was_refused_is_no_expensive_request() -> None:
    """What cost nothing is not among those that cost most."""
    refused = request(cost=Decimal(0), usage=TokenUsage(), status="failed")
    assert len(tables.dearest_table([request(), refused]).rows) == 1


def test_input_means_the_same_everywhere() -> None:
    """Fresh input in tiles, groups and single requests; what was cached stands beside it."""
    usage = TokenUsage(10, 5, 700, 30)
    sums = Totals(1, usage, Decimal("0.25"))
    groups = tables.groups_table([Group("m", sums)], "model", sums)
    dearest = tables.dearest_table([request(usage=usage)])
    told = dict(tables.facts(sums))
    for name, tokens in {"Input": "10", "Cache read": "700", "Cache write": "30"}.items():
        assert told[f"{name} tokens"].text == tokens
        for table in (groups, dearest):
            assert table.rows[0][table.columns.index(name)].text == tokens


@pytest.mark.parametrize("mark", ["estimated", "open"])
def test_every_estimate_has_a_wave(mark: str) -> None:
    """In tiles, in the table of groups and below it; a count of requests is exact."""
    rough = Totals(2, TokenUsage(1000, 200, reasoning_tokens=50), Decimal("0.5"), **{mark: 1})
    assert [cell.text for _, cell in tables.facts(rough)] == [
        *("~$0.50", "2", "~1,000", "~200", "~50")
    ]
    table = tables.groups_table([Group("a", rough), Group("b", totals())], "model", rough)
    assert [cell.text for cell in table.rows[0]] == ["a", "2", "~1,000", "~200", "~$0.50"]
    assert [cell.text for cell in table.rows[1]] == ["b", "2", "1,000", "200", "$0.50"]
    assert table.foot is not None
    assert table.foot[-1].text == "~$0.50"
    exact = Totals(1, cost=Decimal("0.123456"), unpriced=1, **{mark: 1})
    assert tables.cost_of(exact).text == "~$0.12 + ?"
    assert tables.cost_of(exact).more.startswith("~$0.123456; ")


def test_names_cannot_write_html() -> None:
    """A chat named like a tag is text, in tables, headings and messages."""
    evil = '<img src=x onerror="alert(1)">'
    table = tables.groups_table([Group(evil, totals())], "chat", totals())
    shown = tables.page(evil, totals(), [tables.table_html(table)], simulated=True)
    shown += tables.message_html(evil, file=evil, link='"><b>', place=evil, bad=True)
    assert "<img" not in shown
    assert '"><b>' not in shown


def test_money_is_not_taken_for_mathematics() -> None:
    """Everything with dollar signs is inside of what MathJax passes by."""
    assert "mathjax_ignore" in tables.page("x", totals(), [], simulated=False)
    assert "mathjax_ignore" in tables.message_html("$1 and $2")


def test_what_sums_leave_out_is_said_in_sentences() -> None:
    """One and many are different words."""
    said = tables.remarks(
        Totals(9, plan_cost=Decimal("0.2"), unpriced=1, estimated=2, interrupted=1, failed=3)
    )
    assert said[0].startswith("~$0.20 of the cost is covered by a plan")
    assert said[1:] == [
        "1 request has no known price; the cost is without it.",
        "2 requests are estimated, marked ~.",
        "1 request was interrupted.",
        "3 requests failed.",
    ]


def test_replays_have_a_column_and_a_sentence_if_there_are_any() -> None:
    """Each group says how many, and what they avoided where the pointer rests; those of the requests
    are as without them."""
    replays = Totals(replayed=3, avoided=Decimal("0.25"))
    groups = [Group("a", totals()), Group("b", replays), Group("c", Totals(replayed=1))]
    every = sum((group.totals for group in groups), Totals())
    table = tables.groups_table(groups, "chat", every)
    without = tables.groups_table(groups[:1], "chat", totals())
    assert table.columns == (*without.columns, "Replayed")
    assert [row[-1] for row in table.rows] == [
        Cell("0"),
        Cell("3", "3 replayed, $0.25 avoided"),
        Cell("1"),
    ]
    assert table.rows[0][:-1] == without.rows[0]
    assert table.foot is not None
    assert table.foot[-1] == Cell("4", "4 replayed, $0.25 avoided")
    assert tables.remarks(every) == ["Beside the requests: 4 replayed, $0.25 avoided."]
    assert tables.facts(every) == tables.facts(totals())


def test_simulated_figures_say_so() -> None:
    """In HTML and in text."""
    assert tables.SIMULATED in tables.page("x", totals(), [], simulated=True)
    assert tables.SIMULATED in tables.page_text("x", totals(), "", [], simulated=True)
    assert tables.SIMULATED not in tables.page("x", totals(), [], simulated=False)


def test_columns_of_text_are_aligned_for_chinese_names_too() -> None:
    """A Chinese character takes two columns, and a long name is cut in the middle."""
    table = Table(
        "By chat",
        ("Chat", "Requests"),
        ((Cell("数据分析"), Cell("1")), (Cell("a" * 99 + "end"), Cell("23"))),
        foot=(Cell("All"), Cell("24")),
    )
    _caption, *lines = tables.table_text(table).splitlines()
    assert len({tables.width_of(line) for line in lines}) == 1
    assert "…" in lines[3]
    assert "end " in lines[3]
