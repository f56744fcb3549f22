"""`%minimax usage`, `dashboard` and `cost` in a real shell, over HTTP to the simulator."""

from __future__ import annotations

import asyncio
import csv
import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.error import UsageError

from minimax_magic.errors import ConfigError
from minimax_magic.ipython import magics
from minimax_magic.ipython.cell_errors import CellError, LineError
from minimax_magic.simulator import Reply, Simulator, Usage
from minimax_magic.usage.view import UsageView
from minimax_magic.widgets import dashboard as dashboards
from minimax_magic.widgets import usage_panel as panels

SCOPES = ["This cell", "This kernel", "Today", "This month", "All time"]


@pytest.fixture
def file(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = isolated / "usage.sqlite3"
    monkeypatch.setenv("MINIMAX_LEDGER", str(path))
    return path


@pytest.fixture(autouse=True)
def _counted(sim: Simulator, file: Path) -> None:
    """Every answer takes the same, far from what an estimate would be."""
    usage = Usage(input_tokens=1_000_000, output_tokens=500_000)
    sim.script(*[Reply(text="hello", usage=usage)] * 9)


def failed(ran: Any, kind: type[Exception] = ConfigError) -> str:
    """The one line of a cell that failed with one of our errors."""
    assert isinstance(ran.error, CellError), ran.error
    assert type(ran.error.error) is kind
    assert len(ran.lines) == 1
    return str(ran.lines[0])


def refused(ran: Any) -> str:
    """The one line of a cell whose line is wrong."""
    assert isinstance(ran.error, LineError)
    assert len(ran.lines) == 1
    return str(ran.lines[0])


def damage(file: Path) -> None:
    file.write_bytes(b"no ledger at all" * 500)


# ------------------------------------------------------------------------------------ without kernel


@pytest.mark.parametrize("line", ["usage", "usage --text"])
def test_usage_is_a_table(shell: Any, sim: Simulator, line: str) -> None:
    """Without a kernel the figures are a table, in text: every scope, the plan, the price."""
    shell.run("%%minimax\nhi")
    ran = shell.run(f"%minimax {line}")
    assert ran.error is None
    for name in SCOPES:
        (row,) = [line for line in ran.lines if line.startswith(name)]
        assert "1,000,000" in row
        assert "500,000" in row
        assert "$0.90" in row
    assert "imulat" in ran.out
    assert "Plan" in ran.out
    assert "%" in ran.out
    assert "<" not in ran.out


def test_usage_before_anything(shell: Any, sim: Simulator) -> None:
    """Before the first request it says so; nobody but the account is asked."""
    ran = shell.run("%minimax usage")
    assert ran.error is None
    assert {request.method for request in sim.requests} <= {"GET"}


def test_usage_without_a_key(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger can be looked at without any key."""
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")
    assert shell.run("%minimax usage").error is None


def test_a_server_that_does_not_answer(
    shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is waited for a moment only."""
    monkeypatch.setattr("minimax_magic.ipython.usage_commands._ACCOUNT_S", 0.2)
    shell.run("%%minimax\nhi")
    _hang(shell)
    begun = time.monotonic()
    ran = shell.run("%minimax usage")
    assert ran.error is None
    assert time.monotonic() - begun < 3
    assert "$0.90" in ran.out


def _hang(shell: Any) -> None:
    async def never(request: Any) -> Any:
        await asyncio.Event().wait()

    shell.magics.session.account_transport.send = never


def test_usage_tells_what_is_wrong(shell: Any, file: Path) -> None:
    """With a damaged ledger, or an llm.yaml that cannot be read, the table says so and no traceback
    is shown; mended, it is a table again."""
    damage(file)
    ran = shell.run("%minimax usage")
    assert ran.error is None
    assert "is damaged" in ran.out
    file.unlink()
    Path("config/llm.yaml").write_text("providers: [")
    ran = shell.run("%minimax usage")
    assert ran.error is None
    assert "config/llm.yaml" in ran.out
    Path("config/llm.yaml").unlink()
    ran = shell.run("%minimax usage")
    assert "damaged" not in ran.out
    assert "llm.yaml" not in ran.out


@pytest.mark.parametrize("line", ["dashboard", "dashboard --text"])
def test_the_dashboard_is_text(shell: Any, line: str) -> None:
    """Without a kernel the dashboard is sums and tables in text."""
    shell.run("%%minimax --chat trip\nhi")
    ran = shell.run(f"%minimax {line}")
    assert ran.error is None
    assert "MiniMax-M2.5" in ran.out
    assert "$0.90" in ran.out
    assert "<" not in ran.out


@pytest.mark.parametrize("amount", ["25", "$25", "25.00"])
def test_the_cost(shell: Any, amount: str) -> None:
    """It says how long an amount lasts, by what was used."""
    shell.run("%%minimax\nhi")
    for line in (f"cost --budget {amount}", f"cost --budget={amount}"):
        ran = shell.run(f"%minimax {line}")
        assert ran.error is None
        assert "$25" in ran.lines[0]
        assert "27 queries" in ran.lines[0]


def test_the_cost_before_anything(shell: Any) -> None:
    """Without records it is the guide's example, and is said to be one."""
    assert "example" in shell.run("%minimax cost --budget 25").lines[0]


# ------------------------------------------------------------------------------------------ CSV


def test_csv(shell: Any, file: Path) -> None:
    """All records go into a new file, one line each; none that is there is touched."""
    shell.run("%%minimax --chat trip\nhi")
    assert shell.run("%minimax dashboard --csv all.csv").lines == [
        "1 simulated request is in all.csv."
    ]
    with open("all.csv", newline="", encoding="utf-8") as source:
        (row,) = csv.DictReader(source)
    assert (row["chat"], row["output_tokens"], row["cost"]) == ("trip", "500000", "0.9")
    before = Path("all.csv").read_bytes()
    shell.run("%%minimax\nhi")
    assert "all.csv cannot be written: file exists" in failed(
        shell.run("%minimax dashboard --csv=all.csv")
    )
    assert Path("all.csv").read_bytes() == before
    assert shell.run("%minimax dashboard --csv two.csv").lines == [
        "2 simulated requests are in two.csv."
    ]


@pytest.mark.parametrize("name", ["no/such/folder.csv", ".", "~nobody-of-that-name/all.csv"])
def test_csv_that_cannot_be_written(shell: Any, name: str) -> None:
    """Where nothing can be written, one line says so."""
    said = failed(shell.run(f"%minimax dashboard --csv {name}"))
    assert f"{name} cannot be written" in said


def test_csv_of_a_damaged_ledger(shell: Any, file: Path) -> None:
    """A ledger that cannot be read leaves no empty file behind, which would be in the way later."""
    damage(file)
    assert "is damaged" in failed(shell.run("%minimax dashboard --csv all.csv"))
    assert not Path("all.csv").exists()


# --------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cost", "say how much"),
        ("cost --budget", "--budget needs a value: --budget USD."),
        ("cost --budget much", "--budget takes an amount in US dollars, such as 25, not 'much'."),
        ("cost --budget -5", "not '-5'"),
        ("cost --budget nan", "not 'nan'"),
        ("cost --bugdet 5", "no option --bugdet. Did you mean --budget?"),
        ("usage --csv x", "%minimax usage has no option --csv. There are --text."),
        ("usage --text=no", "--text takes no value."),
        ("dashboard --csv", "--csv needs a value: --csv FILE."),
    ],
)
def test_wrong_options(shell: Any, sim: Simulator, line: str, said: str) -> None:
    """A wrong option is one line that names it; nothing is asked."""
    assert said in refused(shell.run(f"%minimax {line}"))
    assert sim.requests == []


def test_a_budget_that_is_none(shell: Any) -> None:
    """$0 and what nobody has are refused in one line."""
    failed(shell.run("%minimax cost --budget 0"))
    assert isinstance(shell.run("%minimax cost --budget 1e400").error, UsageError)


@pytest.mark.parametrize("line", ["dashboard", "dashboard --text", "cost --budget 25"])
def test_a_damaged_ledger(shell: Any, file: Path, line: str) -> None:
    """A ledger that cannot be read is one line with what to do."""
    damage(file)
    said = failed(shell.run(f"%minimax {line}"))
    assert "is damaged" in said
    assert "Move it away" in said


@pytest.mark.parametrize("line", ["dashboard", "cost --budget 25", "dashboard --csv all.csv"])
def test_a_broken_llm_yaml(shell: Any, line: str) -> None:
    """So is a mistake in llm.yaml."""
    Path("config/llm.yaml").write_text("providers: [")
    assert "config/llm.yaml" in failed(shell.run(f"%minimax {line}"))


@pytest.mark.parametrize(
    "prompt", ["usage of the word however", "cost of living", "dashboard design for beginners"]
)
def test_prompts_that_begin_like_commands(shell: Any, sim: Simulator, prompt: str) -> None:
    """Words behind the name of a command make it a prompt, and it is sent."""
    assert shell.run(f"%minimax {prompt}").value.text == "hello"
    assert prompt in str(sim.requests[-1].body)


# ------------------------------------------------------------------------------------ with a kernel


class FakePanel:
    """A panel that notes what it is shown."""

    made: list[FakePanel]

    def __init__(self, view: Callable[[], UsageView], on_refresh: Callable[[], None]) -> None:
        self.view, self.on_refresh = view, on_refresh
        self.views: list[UsageView] = []
        type(self).made.append(self)

    def show(self, view: UsageView) -> None:
        self.views.append(view)

    def until(self, condition: Callable[[UsageView], bool]) -> UsageView:
        end = time.monotonic() + 5
        while not (self.views and condition(self.views[-1])):
            assert time.monotonic() < end
            time.sleep(0.005)
        return self.views[-1]


@pytest.fixture
def panels_made(shell: Any, monkeypatch: pytest.MonkeyPatch) -> list[FakePanel]:
    """A shell that has a kernel, as far as the commands ask; gives the panels that are made."""
    FakePanel.made = []
    monkeypatch.setattr(panels, "UsagePanel", FakePanel)
    monkeypatch.setattr(shell.magics.usage.__class__, "_has_widgets", lambda self: True)
    return FakePanel.made


def total(view: UsageView) -> int:
    return dict(view.scopes)["All time"].requests


def boards(shell: Any) -> int:
    """How many boards there are at work in the background."""

    async def count() -> int:
        for _ in range(20):
            await asyncio.sleep(0)
        return sum("_keep_showing" in repr(task) for task in asyncio.all_tasks())

    return int(shell.magics.background.submit(count()).result(5))


def test_the_panel(shell: Any, panels_made: list[FakePanel]) -> None:
    """The command returns at once; the panel follows what cells do, without any of them knowing."""
    assert shell.run("%minimax usage").error is None
    (panel,) = panels_made
    assert total(panel.view()) == 0
    panel.until(lambda view: total(view) == 0)
    shell.run("%%minimax\nhi")
    view = panel.until(lambda view: total(view) == 1 and not view.live)
    assert dict(view.scopes)["This cell"].usage.output_tokens == 500_000
    assert panel.view() == panel.views[-1]


def test_text_where_there_are_widgets(shell: Any, panels_made: list[FakePanel]) -> None:
    """--text is a table there, too."""
    shell.run("%%minimax\nhi")
    assert "All time" in shell.run("%minimax usage --text").out
    assert panels_made == []


def test_the_refresh_button(shell: Any, file: Path, panels_made: list[FakePanel]) -> None:
    """It reads the ledger again, from whatever thread it is pressed."""
    shell.run("%minimax usage")
    (panel,) = panels_made
    panel.until(lambda view: view.account is not None)
    time.sleep(0.3)
    shown = len(panel.views)
    panel.on_refresh()
    end = time.monotonic() + 5
    while len(panel.views) == shown:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_all_panels_are_kept_up_to_date(shell: Any, panels_made: list[FakePanel]) -> None:
    """A second panel does not end the first, and both have one listener."""
    shell.run("%minimax usage")
    shell.run("%minimax usage")
    shell.run("%%minimax\nhi")
    for panel in panels_made:
        panel.until(lambda view: total(view) == 1 and not view.live)
    assert len(panels_made) == 2
    books = shell.magics.session.books(shell.magics.session.settings())
    assert len(books._listeners) == 1


def test_the_end_of_the_extension(shell: Any, panels_made: list[FakePanel]) -> None:
    """Unloading ends the panel's updates with all that runs for them."""
    shell.run("%minimax usage")
    (panel,) = panels_made
    panel.until(lambda view: True)
    session, background = shell.magics.session, shell.magics.background
    books = session.books(session.settings())
    thread = background._running[1]
    magics.unload(shell.ip)
    assert not thread.is_alive()
    assert books._listeners == []
    shown = len(panel.views)
    time.sleep(0.1)
    assert len(panel.views) == shown


def test_closing_a_panel(shell: Any, panels_made: list[FakePanel]) -> None:
    """What is closed is not at work any more."""
    shell.run("%minimax usage")
    panels_made[0].until(lambda view: view.account is not None)
    assert boards(shell) == 1
    shell.magics.usage.close()
    assert boards(shell) == 0


def test_the_dashboard_in_a_notebook(
    shell: Any, panels_made: list[FakePanel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With widgets the dashboard is shown, on the ledger and the kind of records in use."""
    shown: list[Any] = []

    class FakeDashboard:
        def __init__(self, ledger: Any, **options: Any) -> None:
            shown.append((ledger, options))

        def show(self) -> None:
            shown.append("shown")

    monkeypatch.setattr(dashboards, "Dashboard", FakeDashboard)
    shell.run("%%minimax\nhi")
    assert shell.run("%minimax dashboard").error is None
    (ledger, options), last = shown
    assert last == "shown"
    assert options["simulated"] is True
    assert options["csv_dir"] == Path.cwd()
    assert options["now"]().tzinfo is not None
    assert len(ledger.records()) == 1


# ------------------------------------------------------------------------------------------ the end


@pytest.mark.parametrize(
    "line", ["%minimax usage", "%%minimax\\nhi", "%minimax dashboard", "%minimax cost --budget 25"]
)
def test_a_process_ends_in_silence(configured: Path, file: Path, line: str) -> None:
    """A program that loads the extension, runs a cell and ends says nothing at its end, and its rows
    are written."""
    code = textwrap.dedent(
        f"""
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance()
        shell.run_line_magic("load_ext", "minimax_magic")
        for code in ("%%minimax\\nhi", "{line}"):
            result = shell.run_cell(code)
            assert result.success, result
        """
    )
    root = str(Path(magics.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    connection = sqlite3.connect(file)
    found = connection.execute("SELECT DISTINCT status FROM requests").fetchall()
    connection.close()
    assert found == [("ok",)]
    assert not [*file.parent.glob("usage.sqlite3.processes/*")]


def test_a_shell_without_widgets_has_none(shell: Any) -> None:
    """What decides is whether there is a kernel."""
    usage = shell.magics.usage
    assert not usage._has_widgets()
    usage._shell = SimpleNamespace(kernel=object())
    assert usage._has_widgets()
