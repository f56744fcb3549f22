"""`%minimax doctor` and `env --reveal` in JupyterLab, and what is saved.

Screenshots are kept in `.artifacts/screenshots`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from minimax_magic.simulator import Simulator

pytestmark = pytest.mark.browser

KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"
SAVE_WIDGETS = {"@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True}}
DOCTOR = "%minimax doctor"
REVEAL = "%minimax env openai-sdk --shell sh --reveal"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(key=KEY) as simulator:
        yield simulator


@pytest.fixture
def setting(sim: Simulator) -> str:
    """A first cell: the extension, and the simulator's key taken from a file beside the notebook."""
    return (
        "import os, pathlib\n"
        f"os.environ.update(MINIMAX_BASE_URL={sim.url!r},\n"
        "    MINIMAX_API_KEY=pathlib.Path('key.txt').read_text())\n"
        "%load_ext minimax_magic"
    )


def begin(notebook: Any, *, key: str = KEY) -> None:
    (notebook.server.work / "key.txt").write_text(key)
    notebook.run(0)
    notebook.wait_done(0)


def test_the_key_is_shown_and_not_saved(open_notebook: Callable[..., Any], setting: str) -> None:
    """The key is on the page only after a click and until it is hidden; the file that is saved
    meanwhile, with the state of widgets, does not hold it. It can be copied without being shown; a page
    that has no right to the clipboard shows it, selected."""
    notebook = open_notebook("lab", [setting, REVEAL], SAVE_WIDGETS)
    begin(notebook)
    notebook.run(1)
    panel = notebook.cell(1).locator(".mm-reveal")
    panel.wait_for(timeout=30_000)
    assert "OPENAI_API_KEY" in notebook.text(1)
    assert KEY not in notebook.page.content()

    panel.get_by_role("button", name="Show the key").click()
    shown = panel.locator(".mm-reveal-text")
    shown.get_by_text(KEY).wait_for(timeout=10_000)
    notebook.shot("env-revealed")
    notebook.cell(1).locator(".cm-content").click()  # keys belong to the notebook again
    saved = notebook.save()
    assert "widgets" in saved["metadata"], "the widget state was to be saved"
    assert KEY not in json.dumps(saved)
    assert "OPENAI_API_KEY" in json.dumps(saved)

    panel.get_by_role("button", name="Hide").click()
    assert KEY not in notebook.page.content()
    assert shown.count() == 0

    copying = panel.locator(".mm-reveal-copy")
    for allowed in (True, False):
        result = "Promise.resolve(window.copied = text)" if allowed else "Promise.reject()"
        notebook.page.evaluate(f"() => {{navigator.clipboard.writeText = text => {result}}}")
        copying.get_by_text("Copy", exact=True).wait_for()
        copying.click()
        copying.get_by_text("Copied").wait_for()
        assert shown.count() == (0 if allowed else 1)
    assert KEY in notebook.page.evaluate("window.copied")
    assert KEY in notebook.page.evaluate("window.getSelection().toString()")


def test_findings_fill_one_output(open_notebook: Callable[..., Any], setting: str) -> None:
    """What was found stands in one output, which fits into a narrow window, and is still there when
    the page is loaded again."""
    notebook = open_notebook("lab", [setting, DOCTOR], None, 700)
    begin(notebook, key="sk-cp-WRONG-0123456789abcdef")
    notebook.run(1)
    notebook.wait_text(1, "1 problem: Authentication.")
    notebook.shot("doctor-wrong-key")
    assert notebook.outputs(1).count() == 1
    report = notebook.cell(1).locator(".minimax-doctor")
    assert report.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    saved = notebook.save()
    assert "WRONG" not in json.dumps(saved)
    notebook.page.reload()
    notebook.wait_text(1, "What to do:", 60)
