"""Tables of the dashboard: exact sums, safe HTML, aligned text."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from minimax_magic.render import dashboard_tables as tables
from minimax_magic.render.dashboard_tables import Cell, Table
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.rows import Group, Label, Record, Totals


def totals(cost: str = "0.5", requests: int = 2, **more: int) -> Totals:
    return Totals(requests, TokenUsage(1000, 200), Decimal(cost), **more)


def test_an_unknown_price_is_said_and_never_a_zero() -> None:
    """A group without any price has no cost; one with some has at least what is known."""
    assert tables.cost_of(totals("0", unpriced=2)).text == "no price known"
    assert tables.cost_of(totals("0.5", unpriced=1)).text == "≥ $0.50"
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
        "MiniMax-M3",
        "chat draft · agent ana",
        "interrupted, estimated",
        "10",
        "5",
        "no price known",
    ]


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
    assert said[0].startswith("$0.20 of the cost is covered by a plan")
    assert said[1:] == [
        "1 request has no known price; the cost is without it.",
        "2 requests are estimated.",
        "1 request was interrupted.",
        "3 requests failed.",
    ]


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
