"""What a person sees: a real front end in a real browser, the simulator behind it.

Each test keeps screenshots in `.artifacts/screenshots`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser

LOAD = "%load_ext minimax_magic\n%minimax simulator"
# slow enough for a busy machine to see the thinking, which is a tenth of it
SLOW = "%%minimax answer\nWhat is streaming good for? [[slow 100]]"
QUICK = "%%minimax answer\nWhat is streaming good for?"
ENDLESS = "%%minimax\nA long one, please. [[long 60000]] [[slow 30]]"
WRONG = "%%minimax\n[[error 401]]"
HOSTILE = (
    "%%minimax --raw\n"
    '[[echo]] Look: <img src=x onerror="window.hacked = 1"><script>window.hacked = 2</script> '
    "`<b>code</b>` and <iframe src='https://example.invalid/leak'></iframe> done."
)


@pytest.mark.parametrize("kind", ["lab", "notebook"])
def test_the_answer_grows_in_the_cell(open_notebook: Callable[..., Any], kind: str) -> None:
    """The rendered answer grows while the cell runs, and the file keeps it as one clean output."""
    notebook = open_notebook(kind, [LOAD, SLOW])
    notebook.run(0)
    notebook.wait_text(0, "simulator off")
    notebook.run(1)
    states: list[str] = []
    thinking = False
    end = time.monotonic() + 120
    while "if it were real" not in (text := notebook.text(1)):
        assert time.monotonic() < end, text
        thinking = thinking or ("thinking" in text.lower() and "simulated answer" not in text)
        rendered = notebook.cell(1).locator(".jp-RenderedMarkdown h2")
        if rendered.count() and (not states or len(text) > len(states[-1]) + 20):
            if len(states) == 6:
                notebook.shot(f"{kind}-streaming")
            states.append(text)
        notebook.page.wait_for_timeout(40)
    assert thinking
    assert len(states) >= 5, f"only {len(states)} growing states: it did not stream"
    notebook.wait_done(1)
    notebook.shot(f"{kind}-finished")
    assert notebook.cell(1).locator("h2").inner_text() == "A simulated answer"
    assert notebook.cell(1).locator("details").count() == 1

    saved = notebook.save()
    outputs = saved["cells"][1]["outputs"]
    assert [sorted(output["data"]) for output in outputs] == [
        ["text/markdown", "text/plain"],
        ["text/html", "text/plain"],
    ]
    assert outputs[0]["data"]["text/markdown"][0].startswith("## A simulated answer")
    assert "widgets" not in saved["metadata"]
    assert "simulated-key" not in str(saved)

    notebook.page.reload()
    notebook.page.wait_for_selector(".jp-RenderedMarkdown h2", timeout=60_000)
    assert "if it were real" in notebook.text(1)


def test_the_stop_button_stops(open_notebook: Callable[..., Any]) -> None:
    """Stop keeps the text so far, leaves one line instead of a traceback, and the next cell works."""
    notebook = open_notebook("lab", [LOAD, ENDLESS, WRONG, "6 * 7"])
    notebook.run(0)
    notebook.wait_text(0, "simulator off")
    notebook.run(1)
    notebook.wait_text(1, "Part 1")
    notebook.page.wait_for_timeout(1000)
    notebook.stop()
    notebook.wait_text(1, "Interrupted")
    notebook.wait_done(1)
    text = notebook.text(1)
    assert "Part 1" in text
    assert "Traceback" not in text
    notebook.cell(2).scroll_into_view_if_needed()
    notebook.shot("lab-interrupted")
    notebook.run(2)
    notebook.wait_text(2, "CredentialInvalid")
    assert "Traceback" not in notebook.text(2)
    notebook.cell(3).scroll_into_view_if_needed()
    notebook.shot("lab-error")
    notebook.run(3)
    notebook.wait_text(3, "42")


def test_html_in_an_answer_is_shown_and_not_obeyed(open_notebook: Callable[..., Any]) -> None:
    """Tags that a model writes run no script and load nothing; they can be read as text."""
    notebook = open_notebook("lab", [LOAD, HOSTILE])
    asked: list[str] = []
    notebook.page.on("request", lambda request: asked.append(request.url))
    notebook.run(0)
    notebook.wait_text(0, "simulator off")
    notebook.run(1)
    notebook.wait_text(1, "if it were real")
    notebook.page.wait_for_timeout(500)
    assert notebook.page.evaluate("window.hacked") is None
    assert notebook.cell(1).locator(".jp-OutputArea img, .jp-OutputArea iframe").count() == 0
    assert "onerror" in notebook.text(1)
    assert not any("example.invalid" in url or url.endswith("/x") for url in asked)


@pytest.mark.parametrize(("theme", "width"), [("JupyterLab Dark", 1200), ("JupyterLab Light", 560)])
def test_it_fits_dark_themes_and_narrow_windows(
    open_notebook: Callable[..., Any], theme: str, width: int
) -> None:
    """Nothing of an answer sticks out of a narrow window, and dark themes get their screenshot."""
    settings = {"@jupyterlab/apputils-extension:themes": {"theme": theme}}
    notebook = open_notebook("lab", [LOAD, QUICK], settings, width)
    notebook.run(0)
    notebook.wait_text(0, "simulator off")
    notebook.run(1)
    notebook.wait_text(1, "if it were real")
    notebook.cell(1).locator("summary").click()
    name = "dark" if "Dark" in theme else "narrow"
    notebook.page.wait_for_timeout(300)
    notebook.shot(f"lab-{name}")
    summary = notebook.cell(1).locator(".minimax-summary")
    box, cell = summary.bounding_box(), notebook.cell(1).bounding_box()
    assert box["x"] + box["width"] <= cell["x"] + cell["width"] + 1
