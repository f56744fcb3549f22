"""The usage panel and the dashboard in the browser, on a simulator whose count is known."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from minimax_magic.simulator import Served, Simulator
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.rows import Selection, Totals

pytestmark = pytest.mark.browser

LONG = "%%minimax --chat sea\nTell me about the sea. [[long 2400]]"
OTHER = "%%minimax --model MiniMax-M3\nAnd about the sky."
DASHBOARD = "%minimax dashboard"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(delay_s=0.015) as simulator:
        yield simulator


def first_cell(simulator: Simulator, ledger: Path) -> str:
    variables = {
        "MINIMAX_BASE_URL": simulator.url,
        "MINIMAX_CODE_PLAN_KEY": simulator.key,
        "MINIMAX_LEDGER": str(ledger),
    }
    return f"import os\nos.environ.update({variables!r})\n%load_ext minimax_magic"


def run(notebook: Any, place: int) -> None:
    notebook.run(place)
    notebook.wait_done(place)


def scope(notebook: Any, place: int, name: str) -> str:
    """What the panel says of one scope, in one line."""
    tab = notebook.cell(place).get_by_role("tab").filter(has_text=name).first
    return " ".join(tab.inner_text().split())


def as_served(totals: Totals) -> Served:
    usage = totals.usage
    return Served(
        totals.requests,
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
    )


@pytest.mark.parametrize("kind", ["lab", "notebook"])
def test_the_panel_counts_along(
    kind: str, open_notebook: Callable[..., Any], simulator: Simulator, tmp_path: Path
) -> None:
    """While a cell streams the panel's figures grow, marked as estimates; at the end they are what the
    simulator served, and the saved notebook has them as a table, and not in the widgets' state."""
    ledger = tmp_path / "usage.sqlite3"
    settings = {"@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True}}
    sources = [first_cell(simulator, ledger), "%minimax usage", LONG, OTHER]
    notebook = open_notebook(kind, sources, settings=settings)
    run(notebook, 0)
    run(notebook, 1)
    notebook.wait_text(1, "Nothing recorded yet")
    notebook.run(2)
    seen: list[str] = []
    notebook.wait_text(1, "streaming")
    while "streaming" in (text := notebook.text(1)):
        if text not in seen:
            seen.append(text)
        if len(seen) == 4:
            notebook.shot(f"usage-streaming-{kind}")
        notebook.page.wait_for_timeout(100)
    notebook.wait_done(2)
    outputs = [int(n) for text in seen for n in re.findall(r"~(\d+) out", text)[:1]]
    assert len(set(outputs)) >= 4
    assert outputs == sorted(outputs)

    run(notebook, 3)
    notebook.page.wait_for_timeout(1000)
    served = simulator.served
    assert served.requests == 2
    book = Ledger(str(ledger))
    assert as_served(book.totals()) == served
    for name in ("This kernel", "Today", "All time"):
        said = scope(notebook, 1, name)
        assert "~" not in said
        assert f"{served.input_tokens + served.cache_write_tokens} in" in said.replace(",", "")
    notebook.shot(f"usage-done-{kind}")
    saved = notebook.save()
    book.close()
    states = json.dumps(saved["metadata"].get("widgets", {}))
    assert "All time" not in states
    table = saved["cells"][1]["outputs"][0]["data"]["text/plain"]
    assert "Usage" in "".join(table)


def chart(notebook: Any, place: int) -> str:
    """All the words in the chart."""
    return " ".join(notebook.cell(place).locator("svg.marks text").all_text_contents())


def test_the_dashboard_is_what_was_served(
    open_notebook: Callable[..., Any], simulator: Simulator, tmp_path: Path
) -> None:
    """Grouped by model its sums are those of the simulator, and its filter changes the chart."""
    ledger = tmp_path / "usage.sqlite3"
    sources = [first_cell(simulator, ledger), LONG, OTHER, DASHBOARD]
    notebook = open_notebook("lab", sources)
    for place in range(3):
        run(notebook, place)
    run(notebook, 3)
    notebook.cell(3).locator("svg.marks").first.wait_for(state="attached")
    words = chart(notebook, 3)
    assert "MiniMax-M2.5" in words
    assert "MiniMax-M3" in words
    notebook.shot("dashboard")

    book = Ledger(str(ledger))
    groups = {group.key: group.totals for group in book.groups(Selection(), "model")}
    book.close()
    assert {model: as_served(totals) for model, totals in groups.items()} == (
        simulator.served_by_model
    )
    page = notebook.text(3).replace(",", "")
    for model, totals in groups.items():
        assert re.search(rf"{model}\s+{totals.requests}\s+{totals.usage.input_tokens}\b", page)
    assert sum((t.cost for t in groups.values()), Decimal(0)) > 0

    box = notebook.cell(3)
    box.get_by_label("MiniMax-M3", exact=True).first.click()
    notebook.page.wait_for_function(
        "() => ![...document.querySelectorAll('svg.marks text')]"
        ".some(text => text.textContent.includes('MiniMax-M2.5'))"
    )
    assert "MiniMax-M3" in chart(notebook, 3)
    notebook.shot("dashboard-filtered")
