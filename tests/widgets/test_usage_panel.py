"""The usage panel without a browser: what it sends for each state, and what it must not hold."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ipywidgets import Widget

from minimax_magic.render.usage_table import NOTHING_YET, age_words, span_words, usage_table
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.account import AccountState
from minimax_magic.usage.rows import BudgetState, Totals
from minimax_magic.usage.view import LiveAnswer, UsageView
from minimax_magic.widgets.usage_panel import UsagePanel, content_of
from minimax_magic.wire.balance import Balance
from minimax_magic.wire.remains import Quota, QuotaWindow

NOW = datetime(2026, 11, 21, 14, 2, tzinfo=UTC)
# figures that nothing else has
SUM = Totals(requests=7, usage=TokenUsage(1_840, 612, 8_192, 60, 212), cost=Decimal("77.31"))
HOURS = QuotaWindow("5 hours", 70.0, NOW + timedelta(hours=2), True, boost=1.5, uncertain=False)
FIGURES = ("1,840", "8.19k", "77.31", "MiniMax-M3")


def view(totals: Totals = SUM, **more: Any) -> UsageView:
    scopes = (("This cell", Totals()), ("All time", totals))
    return UsageView(**{"at": NOW, "simulated": False, "scopes": scopes, **more})


def account(**more: Any) -> AccountState:
    return AccountState(**{"quota": None, "balance": None, "fetched_at": NOW, **more})


def plan(*windows: QuotaWindow, **more: Any) -> AccountState:
    return account(quota=Quota(windows, NOW, "Max"), **more)


def content(shown: UsageView) -> dict[str, Any]:
    """As the page gets it."""
    made = content_of(shown)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    return made


def scope(totals: Totals) -> Any:
    return content(view(totals))["scopes"][1]


# ---------------------------------------------------------------------------- what is to be drawn


def test_sums() -> None:
    """Cost first, tokens in three words, and all buckets in full."""
    shown = scope(SUM)
    assert (shown["name"], shown["used"], shown["known"]) == ("All time", True, True)
    assert (shown["cost"], shown["unpriced"]) == ("$77.31", "")
    assert shown["tokens"] == [["1.90k", "in"], ["8.19k", "cached"], ["612", "out"]]
    assert [(part["kind"], part["tokens"]) for part in shown["parts"]] == [
        ("input", "1,840"),
        ("read", "8,192"),
        ("write", "60"),
        ("output", "612"),
        ("thinking", "212"),
    ]
    assert (shown["counts"], shown["notes"]) == (["7 requests"], [])


def test_replays() -> None:
    """They are told with the counts; a scope with nothing else is used, and costs nothing."""
    shown = scope(Totals(replayed=2, avoided=Decimal("0.5")))
    assert (shown["used"], shown["known"], shown["cost"]) == (True, True, "$0")
    assert shown["counts"] == ["0 requests", "2 replayed, $0.50 avoided"]


def test_the_parts_of_the_bar_are_one_whole() -> None:
    """Thinking is drawn apart, so it is not drawn as output too; nothing of nothing has no length."""
    shares = [part["share"] for part in scope(SUM)["parts"]]
    assert sum(shares) == pytest.approx(1)
    assert shares[3] == pytest.approx(400 / SUM.usage.total_tokens)
    assert {part["share"] for part in content(view())["scopes"][0]["parts"]} == {0}


def test_nothing_yet_is_a_sentence() -> None:
    """Instead of sums, and without a plot of nothing."""
    days = (("2026-11-20", Totals()), ("2026-11-21", Totals()))
    shown = content(view(Totals(), days=days))
    assert (shown["empty"], shown["scopes"], shown["days"]) == (NOTHING_YET, [], None)
    assert (shown["account"], shown["budgets"], shown["problem"]) == (None, [], "")
    assert content(view())["empty"] == ""


def test_the_simulator_has_a_badge() -> None:
    """With the reason why nothing was charged; real figures have none."""
    shown = content(view(simulated=True))
    assert shown["badge"] == "simulated"
    assert "nothing was charged" in shown["badge_title"]
    assert content(view())["badge"] == ""


def test_what_streams_is_seen() -> None:
    """The speed of all together, each of them in the tooltip; afterwards the speed of the last."""
    one = LiveAnswer("MiniMax-M3", 512, Decimal("0.0006"), 9.4, 54.2)
    state = content(view(live=(one,)))["state"]
    assert (state["live"], state["text"]) == (True, "streaming · 54 tok/s")
    assert state["title"] == "MiniMax-M3 · ~512 tokens out · ~$0.00060 · 9 s · 54 tok/s"
    two = content(view(live=(one, replace(one, output_tps=None))))["state"]
    assert two["text"] == "2 streaming · 54 tok/s"
    assert len(two["title"].splitlines()) == 2
    assert content(view(live=(replace(one, output_tps=None),)))["state"]["text"] == "streaming"
    assert content(view(last_tps=54.2))["state"]["text"] == "54 tok/s"
    assert content(view())["state"] == {"live": False, "text": "", "title": ""}


def test_estimates_are_marked() -> None:
    """Cost and tokens have a `~` while a request is under way, and where counts were never told."""
    for totals in (replace(SUM, open=1), replace(SUM, estimated=1)):
        shown = scope(totals)
        assert shown["cost"] == "~$77.31"
        assert shown["tokens"][0] == ["~1.90k", "in"]
        assert shown["parts"][0]["tokens"] == "~1,840"
    assert scope(replace(SUM, estimated=2))["counts"] == ["7 requests", "2 estimated"]


def test_a_missing_price_is_seen() -> None:
    """A part without price leaves a question mark, all without price is no sum at all."""
    some = scope(replace(SUM, unpriced=2))
    assert (some["cost"], some["unpriced"], some["known"]) == ("$77.31", " + ?", True)
    assert some["notes"] == ["2 requests have no known price: not in the sum."]
    none = scope(replace(SUM, cost=Decimal(0), unpriced=7))
    assert (none["cost"], none["unpriced"], none["known"]) == ("no price known", "", False)


def test_what_a_plan_covers_is_explained() -> None:
    """The cost of those sums is a value, not a bill."""
    notes = scope(replace(SUM, plan_cost=SUM.cost))["notes"]
    assert notes == ["Equivalent pay-as-you-go value, covered by the plan."]


def test_a_window_is_what_remains() -> None:
    """Share, words and seconds until it starts anew, which the page counts down."""
    shown = content(view(account=plan(HOURS)))["account"]
    assert shown["title"] == "Plan Max"
    assert shown["windows"] == [
        {
            "name": "5 hours",
            "left": "70 % left",
            "share": 0.7,
            "level": "good",
            "boost": "1.5×",
            "resets_in_s": 7200,
        }
    ]
    assert shown["age"] == {
        "text": age_words(NOW, NOW, stale=False),
        "seconds": 0,
        "stale": False,
    }


@pytest.mark.parametrize(
    ("percent", "level"),
    [(100, "good"), (20, "good"), (19.9, "low"), (5, "low"), (4.9, "bad"), (0, "bad")],
)
def test_a_bar_warns_in_time(percent: float, level: str) -> None:
    """Below 20 %, and again below 5 %."""
    window = replace(HOURS, remaining_percent=percent)
    assert content(view(account=plan(window)))["account"]["windows"][0]["level"] == level


def test_without_a_limit_there_is_no_bar() -> None:
    """Neither a time nor a boost: there is nothing they were of."""
    window = QuotaWindow("week", 0.0, NOW, False, boost=1.5, uncertain=False)
    assert content(view(account=plan(window)))["account"]["windows"] == [
        {
            "name": "Week",
            "left": "no limit",
            "share": None,
            "level": "",
            "boost": "",
            "resets_in_s": None,
        }
    ]


def test_a_window_of_an_unknown_status_has_words_alone() -> None:
    """Its percent is told; nothing is drawn, and nothing calms or alarms."""
    window = replace(HOURS, remaining_percent=3.0, bar=False)
    (shown,) = content(view(account=plan(window)))["account"]["windows"]
    assert (shown["left"], shown["share"], shown["level"]) == ("3 % left", None, "")
    assert shown["resets_in_s"] == 7200


def test_what_is_not_known_of_a_window_is_not_drawn() -> None:
    """An unknown percent has no bar; a doubtful one has one without colour, and a sentence."""
    unknown = replace(HOURS, remaining_percent=None)
    assert content(view(account=plan(unknown)))["account"]["windows"][0]["share"] is None
    doubtful = content(view(account=plan(replace(HOURS, remaining_percent=3.0, uncertain=True))))
    assert doubtful["account"]["windows"][0]["level"] == ""
    assert doubtful["account"]["windows"][0]["left"] == "perhaps 3 % left"
    assert "may also mean" in doubtful["account"]["notes"][0]


def test_a_stale_account_says_how_old_it_is() -> None:
    """In seconds, on which the page counts, with the reason."""
    then = NOW - timedelta(minutes=12)
    shown = content(view(account=plan(HOURS, fetched_at=then, stale=True, problem="No answer.")))
    assert (shown["account"]["age"]["seconds"], shown["account"]["age"]["stale"]) == (720, True)
    assert shown["account"]["notes"] == ["No answer."]


def test_a_balance() -> None:
    """In the currency of the account, without bars."""
    shown = content(view(account=account(balance=Balance(Decimal("98"), "CNY", NOW))))["account"]
    assert (shown["title"], shown["balance"]) == ("Balance", "¥98.00 left")
    assert shown["windows"] == []


def test_an_account_that_is_not_known() -> None:
    """Not asked yet, no answer, no limits: words, never figures."""
    assert content(view(billing="plan"))["account"]["notes"] == ["Plan: not asked for yet."]
    failed = content(view(account=account(problem="No answer.", fetched_at=None)))["account"]
    assert (failed["title"], failed["age"], failed["notes"]) == ("Account", None, ["No answer."])
    assert content(view(account=plan()))["account"]["notes"] == ["the server named no limits"]


def test_budgets() -> None:
    """Shares of the limit, never more than it; the colour follows what is left."""
    half = BudgetState("day", Decimal(5), Decimal(2), Decimal("0.5"))
    over = BudgetState("cell", Decimal(1), Decimal(3), Decimal(0))
    none = BudgetState("month", Decimal(0), Decimal(0), Decimal(0))
    shown = content(view(budgets=(half, over, none)))["budgets"]
    assert shown[0] == {
        "name": "Today",
        "figure": "$2.00 of $5.00",
        "spent": 0.4,
        "reserved": 0.1,
        "level": "good",
        "rest": ["$0.50 reserved", "$2.50 left"],
    }
    assert (shown[1]["spent"], shown[1]["level"], shown[1]["rest"]) == (1, "bad", ["nothing left"])
    assert (shown[2]["spent"], shown[2]["level"]) == (0, "bad")


def test_a_budget_says_how_sure_it_is() -> None:
    """Estimates have a wave, and what has no known price a question mark."""
    rough = BudgetState("day", Decimal(5), Decimal(2), Decimal(0), unpriced=1, estimated=2)
    (shown,) = content(view(budgets=(rough,)))["budgets"]
    assert shown["figure"] == "~$2.00 + ? of $5.00"
    assert shown["rest"] == ["at most ~$3.00 left"]


def test_the_last_days() -> None:
    """Bars as high as their share of the highest, which is named, as is today."""
    costs = ["0.10", "0.40", "0"]
    days = tuple((f"2026-11-{19 + i}", Totals(cost=Decimal(c))) for i, c in enumerate(costs))
    shown = content(view(days=days))["days"]
    assert [bar["share"] for bar in shown["bars"]] == [0.25, 1, 0]
    assert [bar["day"] for bar in shown["bars"]] == ["19 Nov", "20 Nov", "21 Nov"]
    assert shown["highest"] == 1
    assert shown["label"] == "Cost of each of the last 3 days: today $0, most $0.40 on 20 Nov."


def test_the_last_days_say_how_sure_they_are() -> None:
    """An unknown cost is never $0, and what streams is an estimate, today's label included."""
    days = (
        ("2026-11-19", Totals(2, cost=Decimal("0.10"), unpriced=1)),
        ("2026-11-20", Totals(1, unpriced=1)),
        ("2026-11-21", Totals(1, cost=Decimal("0.40"), open=1)),
    )
    shown = content(view(days=days))["days"]
    assert [bar["cost"] for bar in shown["bars"]] == ["$0.10 + ?", "no price known", "~$0.40"]
    assert shown["label"].endswith("today ~$0.40, most ~$0.40 today.")


def test_a_problem_is_told() -> None:
    """As it is; the page makes no markup of it."""
    assert content(view(problem="<b>No</b>"))["problem"] == "<b>No</b>"


def test_a_problem_stands_instead_of_nothing_yet() -> None:
    """Where nothing can be recorded, nothing recorded yet is no news."""
    assert content(view(Totals(), problem="The file is read-only."))["empty"] == ""


# --------------------------------------------------------------------------------------- the panel


class Stage:
    """A panel, and the page's side of its messages."""

    def __init__(self) -> None:
        self.view = view(account=plan(HOURS), live=(LiveAnswer("MiniMax-M3", 1, None, 1, None),))
        self.asked = 0
        self.refreshed = 0
        self.shown: list[dict[str, Any]] = []
        self.panel = UsagePanel(self._ask, self._refresh)
        self.panel.send = self.shown.append

    def _ask(self) -> UsageView:
        self.asked += 1
        return self.view

    def _refresh(self) -> None:
        self.refreshed += 1

    def page_says(self, content: Any) -> None:
        """A custom message, as the kernel hands it over."""
        data = {"method": "custom", "content": content}
        self.panel._handle_msg({"content": {"data": data}, "buffers": []})


@pytest.fixture
def stage() -> Iterator[Stage]:
    yield Stage()
    Widget.close_all()


def test_a_page_is_shown_the_figures_when_it_asks(stage: Stage) -> None:
    """Nothing is sent, or even put together, before."""
    assert (stage.asked, stage.shown) == (0, [])
    stage.page_says({"kind": "ready"})
    assert stage.shown == [{"kind": "show", **content_of(stage.view)}]


def test_changes_are_sent_at_once(stage: Stage) -> None:
    """From whatever thread, without asking again."""
    newer = replace(stage.view, at=NOW + timedelta(seconds=1), problem="Full.")
    thread = threading.Thread(target=stage.panel.show, args=(newer,))
    thread.start()
    thread.join()
    assert stage.shown == [{"kind": "show", **content_of(newer)}]
    assert stage.asked == 0


def test_older_figures_never_replace_newer_ones(stage: Stage) -> None:
    """A page that asks while a cell streams gets the newest, whichever thread is faster."""
    newer = replace(stage.view, at=NOW + timedelta(seconds=1), problem="Full.")
    stage.panel.show(newer)
    stage.page_says({"kind": "ready"})
    assert [sent["problem"] for sent in stage.shown] == ["Full.", "Full."]


def test_the_button_asks_for_a_refresh(stage: Stage) -> None:
    """What it finds is shown when it is there, not now."""
    stage.page_says({"kind": "refresh"})
    assert (stage.refreshed, stage.shown) == (1, [])


@pytest.mark.parametrize("content", [{}, "ready", {"kind": "other"}, None], ids=str)
def test_other_messages_are_ignored(
    stage: Stage, content: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """They start nothing and fail nowhere."""
    stage.page_says(content)
    assert (stage.asked, stage.refreshed, stage.shown) == (0, 0, [])
    assert capsys.readouterr().err == ""


def test_no_figure_is_ever_in_the_state_of_a_widget(stage: Stage) -> None:
    """Front ends save this state with the notebook; only script and style are in it."""
    stage.page_says({"kind": "ready"})
    stage.panel.show(stage.view)
    assert all(figure in str(stage.shown) for figure in FIGURES)
    state = json.dumps(Widget.get_manager_state()) + repr(stage.panel)
    assert "mm-usage" in state
    assert [figure for figure in FIGURES if figure in state] == []
    plain = set(Widget.class_traits(sync=True)) | {"layout", "tabbable", "tooltip", "_dom_classes"}
    assert set(stage.panel.get_state()) - plain == {"_esm", "_css", "_anywidget_id"}


def test_a_closed_panel_sends_nothing() -> None:
    """A cell that still streams may show more; nobody minds."""
    panel = UsagePanel(view, lambda: None)
    panel.close()
    panel.show(view())


def test_front_ends_without_widgets_get_the_table(stage: Stage) -> None:
    """In the output itself, beside the widget, so that a saved notebook has it too."""
    data, _metadata = stage.panel._repr_mimebundle_(include=None, exclude=None)
    table = usage_table(stage.view)
    assert (data["text/plain"], data["text/html"]) == (table["text/plain"], table["text/html"])
    assert "application/vnd.jupyter.widget-view+json" in data


def test_the_script_makes_no_markup(stage: Stage) -> None:
    """Text only ever becomes text, and nothing is fetched."""
    script = stage.panel.get_state()["_esm"]
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "fetch",
        "http:",
    ):
        assert way not in script.replace("http://www.w3.org/2000/svg", "")


def test_arguments_are_checked() -> None:
    """The panel takes no keywords that it does not know."""
    with pytest.raises(TypeError):
        UsagePanel(view, lambda: None, title="")  # type: ignore[call-arg]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_page_counts_down_in_the_same_words(tmp_path: Path) -> None:
    """What Python says of a time that is left, the script says a second later."""
    seconds = [0, 59, 60, 3599, 3600, 7200, 7800, 86399, 86400, 86400 * 3 + 7500, 86400 * 3 + 600]
    source = Path(__file__).parents[2] / "minimax_magic/widgets/static/usage_card.js"
    (tmp_path / "card.mjs").write_text(source.read_text())
    (tmp_path / "run.mjs").write_text(
        'import { span } from "./card.mjs";'
        f"console.log(JSON.stringify({json.dumps(seconds)}.map(span)));"
    )
    out = subprocess.run(
        ["node", "run.mjs"], cwd=tmp_path, capture_output=True, check=True, text=True, timeout=60
    )
    assert json.loads(out.stdout) == [span_words(second) for second in seconds]
