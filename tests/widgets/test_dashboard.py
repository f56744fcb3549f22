"""The dashboard without a browser: what its controls change, what is drawn how often, exports."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from minimax_magic.errors import ConfigError
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.rows import Label, NewRequest, Outcome, Selection
from minimax_magic.widgets import usage_charts as charts
from minimax_magic.widgets.dashboard import Dashboard, dashboard_text, read

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def put(
    ledger: Ledger, model: str = "MiniMax-M3", cost: str | None = "0.1", **changes: Any
) -> None:
    """One finished request of so many days before `NOW`."""
    days, simulated = changes.get("days", 0), changes.get("simulated", False)
    usd = None if cost is None else Decimal(cost)
    usage = TokenUsage(10, 5)
    new = NewRequest(
        started_at=NOW.timestamp() - days * 86400,
        model=model,
        flavor="anthropic",
        region="intl",
        label=Label(chat=changes.get("chat")),
        billing="per_token",
        simulated=simulated,
        usage=usage,
        cost=usd,
    )
    row = ledger.open_row(new).result()
    ledger.close_row(row, Outcome("ok", usage, usd, True, simulated)).result()


def put_replay(ledger: Ledger, avoided: str = "0.25") -> None:
    """One replayed answer of `NOW`."""
    new = NewRequest(
        *(NOW.timestamp(), "MiniMax-M3", "anthropic", "replay", Label(), "per_token", False),
        *(TokenUsage(), Decimal(0)),
    )
    usd = Decimal(avoided)
    done = Outcome("ok", TokenUsage(), Decimal(0), True, False, replayed=True, avoided=usd)
    ledger.add_row(new, done).result()


class FakeDisplay:
    """Keeps what an output showed, one after the other."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def display(self, obj: Any, **kwargs: Any) -> None:
        assert not self.shown
        self.update(obj, **kwargs)

    def update(self, obj: Any, **kwargs: Any) -> None:
        self.shown.append(obj)

    @property
    def html(self) -> str:
        return str(self.shown[-1].get("text/html", ""))

    @property
    def text(self) -> str:
        return str(self.shown[-1]["text/plain"])


class Stage:
    """A dashboard that is shown, and its four outputs."""

    def __init__(self, ledger: Ledger, folder: Path, *, simulated: bool = False) -> None:
        outputs: list[FakeDisplay] = []

        def new_display() -> FakeDisplay:
            outputs.append(FakeDisplay())
            return outputs[-1]

        self.dashboard = Dashboard(
            ledger,
            simulated=simulated,
            now=lambda: NOW,
            new_display=new_display,
            csv_dir=folder,
            colab=False,
        )
        self.panel, self.notice, self.chart, self.tables = outputs
        self.dashboard.show()

    def control(self, name: str) -> Any:
        """The control of that name, hidden or not."""
        (found,) = [
            widget
            for widget in descendants(self.dashboard.panel)
            if getattr(widget, "description", "") == name
        ]
        return found

    def visible(self, name: str) -> bool:
        return any(
            getattr(widget, "description", "") == name for widget in shown(self.dashboard.panel)
        )


def descendants(widget: Any) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from descendants(child)


def shown(widget: Any) -> Iterator[Any]:
    if widget.layout.display != "none":
        yield widget
        for child in getattr(widget, "children", ()):
            yield from shown(child)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(":memory:")


def test_one_change_is_one_drawing(ledger: Ledger, tmp_path: Path) -> None:
    """Choosing `Custom` also fills both dates, ticking a model also unticks `All models`."""
    put(ledger)
    put(ledger, "MiniMax-M2")
    stage = Stage(ledger, tmp_path)
    drawn = 1
    for name, value in (
        ("Show", "tokens"),
        ("Group by", "chat"),
        ("Range", "custom"),
        ("From", date(2026, 11, 20)),
        ("MiniMax-M2", True),
        ("All models", True),
    ):
        stage.control(name).value = value
        drawn += 1
        # at the very first a sentence held the chart's place
        assert len(stage.chart.shown) - 1 == len(stage.tables.shown) == drawn, name


def test_dates_are_offered_with_custom_only(ledger: Ledger, tmp_path: Path) -> None:
    """They begin with the days of the range that was shown before."""
    put(ledger)
    stage = Stage(ledger, tmp_path)
    assert not stage.visible("From")
    stage.control("Range").value = "custom"
    assert stage.visible("From")
    assert stage.control("From").value == date(2026, 11, 15)
    assert stage.control("To").value == date(2026, 11, 21)
    assert "2026-11-15 to 2026-11-21" in stage.tables.html


def test_a_wrong_range_is_said_and_what_is_shown_stays(ledger: Ledger, tmp_path: Path) -> None:
    """The next good one takes the sentence away."""
    put(ledger)
    stage = Stage(ledger, tmp_path)
    stage.control("Range").value = "custom"
    before = len(stage.chart.shown)
    stage.control("To").value = date(2026, 11, 1)
    assert "The last day, 2026-11-01, is before the first, 2026-11-15." in stage.notice.html
    assert len(stage.chart.shown) == before
    stage.control("From").value = None
    assert stage.notice.html == ""
    assert "Until 2026-11-01" in stage.tables.html or "no requests" in stage.chart.html


def test_models_are_a_filter(ledger: Ledger, tmp_path: Path) -> None:
    """Without any ticked all are shown, and then `All models` is."""
    put(ledger, "MiniMax-M3", "0.3")
    put(ledger, "MiniMax-M2", "0.2")
    stage = Stage(ledger, tmp_path)
    assert "$0.50" in stage.tables.text
    stage.control("MiniMax-M2").value = True
    assert stage.control("All models").value is False
    assert "$0.20" in stage.tables.text
    assert "MiniMax-M3" not in stage.tables.text
    stage.control("MiniMax-M2").value = False
    assert stage.control("All models").value is True
    assert "$0.50" in stage.tables.text
    stage.control("All models").value = False
    assert stage.control("All models").value is True


def test_one_model_needs_no_filter(ledger: Ledger, tmp_path: Path) -> None:
    """Refresh finds a second one, and what was written since."""
    put(ledger)
    stage = Stage(ledger, tmp_path)
    assert not stage.visible("All models")
    put(ledger, "MiniMax-M2", "0.7")
    stage.control("Refresh").click()
    assert stage.visible("MiniMax-M2")
    assert "$0.80" in stage.tables.text


def test_sums_are_exact_and_those_of_the_rows(ledger: Ledger) -> None:
    """Ten dimes and a ten-billionth are just that, by whatever they are grouped."""
    for number in range(10):
        put(ledger, chat=f"chat {number % 3}" if number else None, days=number)
    put(ledger, cost="0.0000000001")
    put(ledger, cost=None)
    for by in ("day", "model", "agent", "chat", "notebook"):
        figures = read(ledger, Selection(), by)  # type: ignore[arg-type]
        assert figures.totals.cost == Decimal("1.0000000001")
        assert figures.totals == ledger.totals()
        assert sum(group.totals.cost for group in figures.groups) == figures.totals.cost
        assert sum(t.cost for t in figures.bars("cost").sums.values()) == figures.totals.cost


def test_simulated_and_real_figures_never_mix(ledger: Ledger, tmp_path: Path) -> None:
    """Also not among the models that are offered, nor in exports; simulated ones say so."""
    put(ledger, cost="0.3")
    put(ledger, "pretended", cost="0.2", simulated=True)
    real, simulated = Stage(ledger, tmp_path), Stage(ledger, tmp_path, simulated=True)
    assert "$0.30" in real.tables.text
    assert "simulated" not in real.tables.text + real.chart.text
    assert "pretended" not in real.tables.text + real.chart.text
    assert not real.visible("pretended")
    assert "$0.20" in simulated.tables.text
    assert "MiniMax-M3" not in simulated.tables.text + simulated.chart.text
    assert "simulated, nothing was charged" in simulated.tables.html
    simulated.control("Export CSV").click()
    (file,) = tmp_path.glob("*.csv")
    assert file.name == "minimax-usage-simulated-2026-11-15-2026-11-21.csv"
    assert len(file.read_text(encoding="utf-8-sig").splitlines()) == 2


def test_an_empty_ledger_says_what_to_do(ledger: Ledger, tmp_path: Path) -> None:
    """And a range without requests is not taken for an empty ledger."""
    stage = Stage(ledger, tmp_path)
    assert "Nothing is recorded yet. Run a %%minimax cell" in stage.chart.html
    put(ledger, days=20)
    stage.control("Refresh").click()
    assert "There are no requests in this range." in stage.chart.html
    stage.control("Range").value = "all"
    assert "$0.10" in stage.tables.text


def test_without_altair_the_tables_are_there(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says what charts need, and the plain form has the bars."""
    monkeypatch.setitem(sys.modules, "altair", None)
    put(ledger)
    stage = Stage(ledger, tmp_path)
    assert "Charts need altair: pip install" in stage.chart.html
    assert "█" in stage.chart.text
    assert "$0.10" in stage.tables.html


def test_the_chart_is_replaced(ledger: Ledger, tmp_path: Path) -> None:
    """The measure changes the chart in the output that it has."""
    pytest.importorskip("altair")
    put(ledger)
    put(ledger, days=1)
    stage = Stage(ledger, tmp_path)
    stage.control("Show").value = "requests"
    assert "Drawing" in stage.chart.shown[0]["text/plain"]
    first, second = (bundle[charts.VEGALITE] for bundle in stage.chart.shown[1:])
    assert first["title"]["text"] == "Cost in US dollars per day"
    assert second["title"]["text"] == "Requests per day"


def test_an_export_holds_what_is_chosen_and_overwrites_nothing(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one gets a number; the page links to the file."""
    monkeypatch.chdir(tmp_path)
    put(ledger, chat="=evil")
    put(ledger, "MiniMax-M2")
    put(ledger, days=10)
    stage = Stage(ledger, tmp_path)
    stage.control("MiniMax-M3").value = True
    for name in (
        "minimax-usage-2026-11-15-2026-11-21.csv",
        "minimax-usage-2026-11-15-2026-11-21-2.csv",
    ):
        stage.control("Export CSV").click()
        with (tmp_path / name).open(newline="", encoding="utf-8-sig") as file:
            (row,) = csv.DictReader(file)
        assert (row["model"], row["cost"], row["chat"]) == ("MiniMax-M3", "0.1", "'=evil")
        assert f'Saved 1 request to <a href="{name}"' in stage.notice.html
    stage.control("Range").value = "all"
    stage.control("Export CSV").click()
    assert (tmp_path / "minimax-usage-2026-11-11-2026-11-21.csv").exists()


def test_replays_are_shown_beside_the_requests(ledger: Ledger, tmp_path: Path) -> None:
    """Sums, tables and export tell them apart from requests, none is among the dearest, and alone they
    are no chart but a sentence."""
    put_replay(ledger)
    stage = Stage(ledger, tmp_path)
    assert stage.chart.text == "Nothing was spent in this range."
    assert "Beside the requests: 1 replayed, $0.25 avoided." in stage.tables.html
    put(ledger)
    stage.control("Refresh").click()
    assert "<dt>Requests</dt><dd>1</dd>" in stage.tables.html
    (row,) = [line for line in stage.tables.text.splitlines() if line.startswith("MiniMax-M3")]
    assert row.split() == ["MiniMax-M3", "1", "10", "5", "$0.10", "1"]
    assert "Most expensive request\n" in stage.tables.text
    stage.control("Export CSV").click()
    assert "Saved 1 request and 1 replayed answer to" in stage.notice.html


def test_an_export_that_fails_is_one_line(ledger: Ledger, tmp_path: Path) -> None:
    """A folder that is not there; nothing to export."""
    stage = Stage(ledger, tmp_path / "nowhere")
    stage.control("Export CSV").click()
    assert "no requests in this range to export" in stage.notice.html
    put(ledger)
    stage.control("Export CSV").click()
    assert "No file could be written in" in stage.notice.html
    assert "no such file" in stage.notice.html.lower()


def test_an_error_of_the_ledger_is_shown(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A button that is pressed has no cell in which it could be raised."""
    put(ledger)
    stage = Stage(ledger, tmp_path)

    def damaged(*_arguments: Any, **_options: Any) -> Any:
        raise ConfigError("The ledger is damaged.", hint="Move it away.")

    monkeypatch.setattr(ledger, "grid", damaged)
    stage.control("Refresh").click()
    assert "The ledger is damaged. Move it away." in stage.notice.html


def test_terminals_get_it_as_text(ledger: Ledger) -> None:
    """Sums, bars and tables; or a sentence."""
    nothing = dashboard_text(ledger, Selection(simulated=False), "model")
    assert nothing.startswith("Nothing is recorded yet.")
    put(ledger)
    put(ledger, days=3, cost=None)
    text = dashboard_text(ledger, Selection(simulated=False), "model")
    for part in ("All time", "$0.10 + ?", "█", "By model", "Most expensive requests"):
        assert part in text
