"""Usage as a table: what it says of every state, and that it says no more than is known."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from minimax_magic.render.usage_table import (
    NOTHING_YET,
    age_words,
    cost_words,
    counts_words,
    span_words,
    tokens_words,
    usage_table,
)
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.account import AccountState
from minimax_magic.usage.rows import BudgetState, Totals
from minimax_magic.usage.view import LiveAnswer, UsageView
from minimax_magic.wire.balance import Balance
from minimax_magic.wire.remains import Quota, QuotaWindow

NOW = datetime(2026, 11, 21, 14, 2, tzinfo=UTC)
SUM = Totals(requests=3, usage=TokenUsage(1840, 612, 8192, 0, 240), cost=Decimal("0.031"))
HOURS = QuotaWindow(
    "5 hours", 93.0, NOW + timedelta(hours=2, minutes=10), True, boost=1.0, uncertain=False
)


def view(totals: Totals = SUM, **more: Any) -> UsageView:
    return UsageView(NOW, more.pop("simulated", False), (("Today", totals),), **more)


def plain(shown: UsageView) -> str:
    """The table without the line that says when it was made."""
    lines = str(usage_table(shown)["text/plain"]).splitlines()
    return "\n".join(line for line in lines if not line.startswith("These are the figures of"))


def account(**more: Any) -> AccountState:
    return AccountState(**{"quota": None, "balance": None, "fetched_at": NOW, **more})


def plan(*windows: QuotaWindow, **more: Any) -> AccountState:
    return account(quota=Quota(windows, NOW, "Max"), **more)


def test_columns_are_aligned() -> None:
    """All rows of the plain form end at the same column, whatever the figures."""
    small = ("This cell", Totals())
    big = ("All time", replace(SUM, requests=12_345, cost=Decimal("1234.5"), estimated=1))
    lines = plain(UsageView(NOW, False, (small, big))).splitlines()
    rows = lines[1:4]
    assert len({len(row) for row in rows}) == 1
    heading = [
        "requests",
        "input",
        "cache read",
        "cache write",
        "output",
        "of which thinking",
        "cost",
    ]
    assert re.split(r"\s{2,}", rows[0].strip()) == heading
    assert rows[1].split() == ["This", "cell", *["0", "0", "0", "0", "0", "0", "$0"]]
    assert rows[2].split() == [
        "All",
        "time",
        *["12,345", "~1,840", "~8,192", "0", "~612", "~240", "~$1,234.50"],
    ]


def test_thinking_has_a_column_only_if_there_was_some() -> None:
    """It is a part of the output and says so."""
    assert "of which thinking" in plain(view())
    without = replace(SUM, usage=replace(SUM.usage, reasoning_tokens=0))
    assert "thinking" not in plain(view(without))


@pytest.mark.parametrize(
    ("totals", "words"),
    [
        (Totals(), "$0"),
        (SUM, "$0.031"),
        (replace(SUM, estimated=1), "~$0.031"),
        (replace(SUM, open=1), "~$0.031"),
        (replace(SUM, unpriced=1), "$0.031 + ?"),
        (replace(SUM, unpriced=1, estimated=1), "~$0.031 + ?"),
        (replace(SUM, cost=Decimal(0), unpriced=3), "no price known"),
        (replace(SUM, cost=Decimal(0), unpriced=3, open=1), "no price known"),
        (replace(SUM, cost=Decimal(0), estimated=1), "$0"),
    ],
)
def test_a_cost_says_how_sure_it_is(totals: Totals, words: str) -> None:
    """Estimates have a `~`, missing prices a `?`, and an unknown cost is never $0."""
    assert cost_words(totals) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00k"),
        (9994, "9.99k"),
        (9996, "10.0k"),
        (99_960, "100k"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (12_304_000, "12.3M"),
        (2_500_000_000, "2.50G"),
    ],
)
def test_short_counts_have_three_digits(count: int, words: str) -> None:
    """Also where rounding leads to the next power of ten."""
    assert tokens_words(count, rough=False, short=True) == words


def test_tokens_are_marked_like_their_cost() -> None:
    """In a sum with an estimated part every count is one, except none at all."""
    assert tokens_words(1840, rough=True) == "~1,840"
    assert tokens_words(0, rough=True) == "0"
    assert tokens_words(1840, rough=False) == "1,840"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "less than a minute"),
        (59.9, "less than a minute"),
        (60, "1 min"),
        (3599, "59 min"),
        (7200, "2 h"),
        (7800, "2 h 10 min"),
        (86400 * 3 + 7500, "3 d 2 h"),
        (86400 * 3 + 600, "3 d"),
    ],
)
def test_spans_have_two_units(seconds: float, words: str) -> None:
    """Never more than are looked at, and no zero among them."""
    assert span_words(seconds) == words


@pytest.mark.parametrize(
    ("window", "line"),
    [
        (HOURS, "  5 hours: 93 % left, resets in 2 h 10 min"),
        (
            replace(HOURS, boost=1.5),
            "  5 hours: 93 % left, 1.5× the usual allowance, resets in 2 h 10 min",
        ),
        (
            replace(HOURS, remaining_percent=0.4, resets_at=NOW),
            "  5 hours: less than 1 % left, resets now",
        ),
        (replace(HOURS, remaining_percent=0.0, resets_at=None), "  5 hours: 0 % left"),
        (replace(HOURS, remaining_percent=99.6, resets_at=None), "  5 hours: 99 % left"),
        (replace(HOURS, remaining_percent=100.0, resets_at=None), "  5 hours: 100 % left"),
        (
            replace(HOURS, remaining_percent=None),
            "  5 hours: unknown how much is left, resets in 2 h 10 min",
        ),
        (QuotaWindow("week", None, NOW, False, boost=1.5, uncertain=False), "  week: no limit"),
    ],
)
def test_a_window_in_one_line(window: QuotaWindow, line: str) -> None:
    """How much is left, of how much, and until when; nothing of a limit that is none."""
    assert line in plain(view(account=plan(window))).splitlines()


def test_a_doubtful_count_is_told_as_one() -> None:
    """A percent that may mean the contrary has a `perhaps`, and a sentence says why."""
    text = plain(view(account=plan(replace(HOURS, uncertain=True))))
    assert "5 hours: perhaps 93 % left" in text
    assert "may also mean what is used" in text
    assert "may also mean" not in plain(view(account=plan(HOURS)))


@pytest.mark.parametrize(
    ("available", "currency", "words"),
    [
        ("98", "USD", "$98.00 left"),
        ("98", "CNY", "¥98.00 left"),
        ("-3.2", "USD", "-$3.20 left"),
        ("0", "USD", "$0 left"),
        ("98", "EUR", "98.00 EUR left"),
    ],
)
def test_a_balance_has_its_currency(available: str, currency: str, words: str) -> None:
    """That of the account, and a debt has its sign."""
    balance = Balance(Decimal(available), currency, NOW)
    assert f"): {words}" in plain(view(account=account(balance=balance)))


def test_age_is_that_of_local_time() -> None:
    """The hour alone for today, with the day if it was another one, and how old if it is stale."""
    local = datetime(2026, 11, 21, 14, 2).astimezone()
    at = local.astimezone(UTC)
    assert age_words(at, at, stale=False) == "as of 14:02"
    assert age_words(at, at + timedelta(minutes=12), stale=True) == "as of 14:02; 12 minutes old"
    assert age_words(at, at + timedelta(days=1), stale=False) == "as of 21 Nov, 14:02"


def test_what_the_account_could_not_say() -> None:
    """Nobody asked yet, nothing came, no limits, or a problem: each is told, and no figure made up."""
    assert "Plan: not asked for yet." in plain(view(billing="plan"))
    assert "Balance: not asked for yet." in plain(view(billing="per_token"))
    assert "not asked" not in plain(view())
    assert plain(view(account=plan())).endswith("\n  the server named no limits")
    broken = account(problem="The server does not answer.", fetched_at=None)
    assert plain(view(account=broken)).endswith("\nThe server does not answer.")


def test_budgets() -> None:
    """What was spent, what is reserved, what is left; what is not reserved is not named."""
    today = BudgetState("day", Decimal(5), Decimal("1.20"), Decimal("0.08"))
    cell = BudgetState("cell", Decimal("0.10"), Decimal("0.11"), Decimal(0))
    lines = plain(view(budgets=(today, cell))).splitlines()
    assert re.search(
        r"Budget today: \$1\.20 of \$5\.00 spent, \$0\.080? reserved, \$3\.72 left", lines[-2]
    )
    assert lines[-1].startswith("Budget this cell: $0.11 of $0.10 spent, nothing left")


@pytest.mark.parametrize(
    ("spent", "marks", "said"),
    [
        ("1.20", {"estimated": 1}, "~$1.20 of $5.00 spent, ~$3.80 left"),
        ("1.20", {"unpriced": 1}, "$1.20 + ? of $5.00 spent, at most $3.80 left"),
        ("0", {"unpriced": 1}, "? of $5.00 spent, at most $5.00 left"),
        ("6", {"unpriced": 1, "estimated": 1}, "~$6.00 + ? of $5.00 spent, nothing left"),
    ],
)
def test_a_budget_says_how_sure_it_is(spent: str, marks: dict[str, int], said: str) -> None:
    """Of what is estimated and of what has no known price; the latter is never $0."""
    state = BudgetState("day", Decimal(5), Decimal(spent), Decimal(0), **marks)
    assert plain(view(budgets=(state,))).splitlines()[-1] == f"Budget today: {said}"


def test_a_problem_stands_instead_of_nothing_yet() -> None:
    """Where nothing can be recorded, nothing recorded yet is no news."""
    shown = plain(view(Totals(), problem="The file is read-only."))
    assert "Nothing recorded" not in shown
    assert "The file is read-only." in shown


def test_notes_tell_what_the_marks_mean() -> None:
    """Of the widest sums, which hold the others; with the right grammar for one."""
    wide = replace(SUM, requests=9, estimated=1, unpriced=2, interrupted=1, failed=2)
    text = plain(UsageView(NOW, False, (("Today", SUM), ("All time", wide))))
    assert text.splitlines()[-3:] == [
        "1 request is estimated, marked ~.",
        "Of 9 requests: 1 interrupted, 2 failed.",
        "2 requests have no known price: not in the sum.",
    ]
    assert "requests are" not in plain(view())
    assert "What is under way is estimated" in plain(view(replace(SUM, open=1)))


def test_what_a_plan_covers_is_no_bill() -> None:
    """The whole of it, or the part."""
    whole = plain(view(replace(SUM, plan_cost=SUM.cost)))
    assert "Equivalent pay-as-you-go value, covered by the plan." in whole
    part = plain(view(replace(SUM, plan_cost=Decimal("0.01"))))
    assert "$0.010 of it is equivalent pay-as-you-go value, covered by the plan." in part


def test_simulated_figures_say_so() -> None:
    """In the first line, of both forms."""
    bundle = usage_table(view(simulated=True))
    assert bundle["text/plain"].startswith("Usage (simulated: nothing was charged)\n")
    assert "simulated: nothing was charged</span>" in bundle["text/html"]
    assert "simulated" not in str(usage_table(view()))


@pytest.mark.parametrize("simulated", [True, False])
def test_without_a_record_there_is_one_sentence(simulated: bool) -> None:
    """No rows of zeros; but what is left of the plan is known already."""
    bundle = usage_table(view(Totals(), simulated=simulated, account=plan(HOURS)))
    assert bundle["text/plain"].splitlines()[1:] == [
        "Nothing recorded yet: run a %%minimax cell.",
        f"Plan Max ({age_words(NOW, NOW, stale=False)}):",
        "  5 hours: 93 % left, resets in 2 h 10 min",
    ]
    assert "<table" not in bundle["text/html"]
    assert "<code>%%minimax</code>" in bundle["text/html"]
    assert "Nothing" in plain(UsageView(NOW, simulated, ()))


def test_speed() -> None:
    """Of what is under way, in a line each; else of the last answer."""
    live = LiveAnswer("MiniMax-M3", 512, Decimal("0.0006"), 9.4, 54.2)
    assert "Streaming: MiniMax-M3 · ~512 tokens out · ~$0.00060 · 9 s · 54 tok/s" in plain(
        view(live=(live,), last_tps=3)
    )
    slow = replace(live, cost=None, output_tps=None)
    assert "Streaming: MiniMax-M3 · ~512 tokens out · no price known · 9 s\n" in plain(
        view(live=(slow, live))
    )
    assert "Speed of the last answer: 3.2 tok/s" in plain(view(last_tps=3.21))


def test_counts_name_only_what_there_is() -> None:
    """Requests always, the rest if there is any."""
    assert counts_words(Totals(requests=1)) == ["1 request"]
    assert counts_words(Totals(requests=1200, open=1, estimated=2, interrupted=3, failed=4)) == [
        "1,200 requests",
        "1 under way",
        "2 estimated",
        "3 interrupted",
        "4 failed",
    ]


def test_replays_stand_beside_the_requests() -> None:
    """They are named with what they avoided, where there is any and where a price is known; the
    columns stay as they are."""
    replays = replace(SUM, replayed=3, avoided=Decimal("0.0123"))
    assert counts_words(replays) == ["3 requests", "3 replayed, $0.012 avoided"]
    assert counts_words(replace(SUM, replayed=1200)) == ["3 requests", "1,200 replayed"]
    note = "\nBeside the requests: 3 replayed, $0.012 avoided."
    assert plain(view(replays)) == plain(view()) + note
    assert "replayed" not in plain(view())


def test_replays_alone_are_something_to_tell_of() -> None:
    """A notebook that was only replayed has a table, with costs of nothing."""
    shown = plain(view(Totals(replayed=2, avoided=Decimal("0.5"))))
    assert NOTHING_YET.replace("`", "") not in shown
    assert "Beside the requests: 2 replayed, $0.50 avoided." in shown


EVIL = '<img src=x onerror="alert(1)">`<b>` $x$ &lt;'


def test_hostile_text_stays_text() -> None:
    """Names and words of a server are escaped, and MathJax passes the dollar signs by."""
    window = replace(HOURS, name=EVIL)
    shown = UsageView(
        NOW,
        True,
        ((EVIL, SUM),),
        live=(LiveAnswer(EVIL, 1, None, 1.0, None),),
        account=AccountState(Quota((window,), NOW, EVIL), None, EVIL, NOW),
        budgets=(BudgetState(EVIL, Decimal(1), Decimal(0), Decimal(0)),),
        problem=EVIL,
    )
    page = usage_table(shown)["text/html"]
    assert "<img" not in page
    assert "<b>`" not in page
    assert page.count(html.escape("<img src=x")) == 7
    assert page.startswith('<div class="minimax-summary mathjax_ignore tex2jax_ignore"')


def test_colours_come_from_the_theme() -> None:
    """Light and dark alike: no colour of its own but a half-transparent grey."""
    page = usage_table(view(simulated=True, problem="No.", account=plan(HOURS)))["text/html"]
    assert not re.search(r"#[0-9a-f]{3,6}\b|(?<!-)color:|background", page.replace("&#", ""))
    assert "overflow-x:auto" in page


def test_a_table_says_when_it_was_made() -> None:
    """It is kept in notebooks: who opens one later is not to take its figures for today's."""
    shown = usage_table(view())
    for form in ("text/plain", "text/html"):
        assert f"These are the figures of {NOW.astimezone():%Y-%m-%d %H:%M}." in shown[form]
