"""Tools, images, forms, typed answers and background cells as a person meets them in the browser."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from minimax_magic.simulator import Simulator

pytestmark = pytest.mark.browser

REMOTE = "%%minimax\nShow the map. [[remoteimage]] [[chunk 6]] [[slow 30]]"
REMOTE_ALLOWED = "%%minimax --allow-remote-images\nShow it to me. [[remoteimage]]"
PAGE = "%%minimax --format html\nA small page. [[html]] [[slow 5]]"

TOOLS = '''
import time

def reading(station: str, days: int) -> str:
    """What was measured at a station."""
    time.sleep(1)
    return "exactly 11.25 degrees"

def stuck() -> str:
    """Never comes back."""
    print("it began")
    time.sleep(60)
    return "too late"
'''
TYPES = """
from dataclasses import dataclass

@dataclass
class Station:
    name: str
    height_m: int
"""
TICKS = 'import time\nfor n in range(25):\n    print(f"tick {n}", flush=True)\n    time.sleep(0.1)'
ASKS_TOOL = '%%minimax --tools reading\nUse a tool for "Hill" and 3 days. [[chunk 6]] [[slow 40]]'
STUCK = "%%minimax --tools stuck\nUse a tool that is stuck."
NEXT = "6 * 7"
STATION = '%%minimax station --as Station\n"Hill" is 240 m high.'
HIGHER = "station.height_m + 1"
FACTS = "%%minimax facts --format json\nTwo numbers: 1851 and 1893."
LATER = "%%minimax later --bg\nSomething long. [[long 2500]] [[slow 60]] [[chunk 30]]"
WRONG = "1 / 0"
FIX = "%minimax fix"
CODE = "%%minimax --format code\nA function, please. [[code]]"
SOURCES = [
    REMOTE,
    REMOTE_ALLOWED,
    PAGE,
    TOOLS,
    ASKS_TOOL,
    STUCK,
    NEXT,
    TYPES,
    STATION,
    HIGHER,
    FACTS,
    LATER,
    TICKS,
    WRONG,
    FIX,
    CODE,
]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def first_cell(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> str:
    variables = {
        "MINIMAX_BASE_URL": simulator.url,
        "MINIMAX_CODE_PLAN_KEY": simulator.key,
        "MINIMAX_LEDGER": str(tmp_path_factory.mktemp("ledger") / "usage.sqlite3"),
    }
    return f"import os\nos.environ.update({variables!r})\n%load_ext minimax_magic"


class Cells:
    """A notebook whose cells are found by what they hold: new ones may come between them."""

    def __init__(self, notebook: Any) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.kind = notebook.server.command

    def place(self, source: str) -> int:
        last_line = source.strip().split("\n")[-1]
        texts = self.page.locator(".jp-Notebook .jp-CodeCell .cm-content").all_inner_texts()
        found = [at for at, text in enumerate(texts) if last_line in text.replace("\u00a0", " ")]
        assert len(found) == 1, f"{last_line!r} is in the cells {found}"
        return found[0]

    def run(self, source: str, *, wait: bool = True) -> int:
        place = self.place(source)
        self.notebook.run(place)
        if wait:
            self.notebook.wait_done(place)
        return place


@pytest.fixture(scope="module")
def open_cells(open_shared: Callable[..., Any], first_cell: str) -> Callable[[str], Cells]:
    """`open_cells("lab" | "notebook")`: one notebook in each for all tests, the extension loaded."""
    made: dict[str, Cells] = {}

    def make(kind: str) -> Cells:
        if kind not in made:
            cells = Cells(open_shared(kind, "nb.ipynb", [first_cell, *SOURCES]))
            made[kind] = cells
            cells.notebook.run(0)
            cells.notebook.wait_done(0)
        return made[kind]

    return make


@pytest.fixture
def lab(open_cells: Callable[[str], Cells]) -> Cells:
    return open_cells("lab")


@pytest.fixture(params=["lab", "notebook"])
def either(open_cells: Callable[[str], Cells], request: pytest.FixtureRequest) -> Cells:
    return open_cells(request.param)


# ----------------------------------------------------------------------------- nothing is loaded


def watched(cells: Cells) -> list[str]:
    """The addresses of pictures that the page asks for from now on, which a list grows by.

    Chromium tells at times of one that a content security policy stopped before it went out.
    """
    asked: list[str] = []

    def see(request: Any) -> None:
        if "planted" in request.url:
            asked.append(request.url)

    def forget(request: Any) -> None:
        if request.url in asked and request.failure == "csp":
            asked.remove(request.url)

    cells.page.on("request", see)
    cells.page.on("requestfailed", forget)
    return asked


def test_images_in_answers_are_not_loaded(either: Cells, simulator: Simulator) -> None:
    """The page asks for no image that an answer links to, by markdown, HTML or reference: not while it
    streams, not at the end, not when the saved notebook is opened. Allowed, the inline ones load."""
    cells = either
    asked = watched(cells)
    hits = simulator.planted_hits
    place = cells.run(REMOTE, wait=False)
    cells.notebook.wait_text(place, "An image by address")
    assert "by reference" not in cells.notebook.text(place), "it did not stream"
    cells.notebook.wait_done(place)
    cells.notebook.wait_text(place, "images were not loaded")
    output = cells.notebook.cell(place).locator(".jp-OutputArea")
    assert output.locator("img").count() == 0
    cells.notebook.shot(f"images-{cells.kind}")

    cells.notebook.save()
    cells.page.reload()
    cells.page.wait_for_selector(".jp-RenderedMarkdown", timeout=60_000)
    cells.notebook.wait_text(place, "An image by address")
    cells.notebook._wait_ready()
    cells.page.wait_for_load_state("networkidle")
    assert asked == []
    assert simulator.planted_hits == hits

    cells.run(REMOTE_ALLOWED)
    assert simulator.wait_for(lambda s: s.planted_hits > hits)
    addresses = {url.split("://")[0]: url.rsplit("=", 1)[1] for url in asked}
    assert addresses == {"http": "secret", "https": "https"}


def test_a_page_is_shown_and_does_nothing(either: Cells, simulator: Simulator) -> None:
    """A page that a model wrote is seen in a frame; its script, image, refresh and form do nothing."""
    cells = either
    asked = watched(cells)
    hits, title = simulator.planted_hits, cells.page.title()
    place = cells.run(PAGE)
    frame = cells.notebook.cell(place).locator("iframe")
    frame.wait_for()
    assert frame.get_attribute("sandbox") == ""
    inside = frame.content_frame
    inside.locator("h1").wait_for()
    assert inside.locator("td").all_inner_texts() == ["North", "12", "South", "7"]
    assert inside.locator("svg rect").count() == 2
    inside.locator("button").click()
    cells.notebook.shot(f"page-{cells.kind}")
    cells.page.wait_for_timeout(1500)  # the page would go elsewhere after a second
    assert inside.locator("h1").inner_text() == "A simulated page"
    assert "script ran" not in cells.page.title()
    assert cells.page.title() == title
    assert asked == []
    assert simulator.planted_hits == hits


# ---------------------------------------------------------------------------------------- tools


def test_a_call_is_a_card(lab: Cells) -> None:
    """A call is seen while its arguments arrive and while it runs, as one folded line; at the end a
    click opens it, with arguments and result."""
    lab.run(TOOLS)
    place = lab.run(ASKS_TOOL, wait=False)
    lab.notebook.wait_text(place, "reading")
    lab.notebook.wait_text(place, "running")
    lab.notebook.wait_text(place, "→ exactly 11.25 degrees")
    lab.notebook.wait_done(place)
    cell = lab.notebook.cell(place)
    card = cell.locator("details").filter(has_text="reading(")
    assert card.count() == 1
    assert 'reading(station="Hill", days=3) → exactly 11.25 degrees · 1.' in card.inner_text()
    result = card.get_by_text("exactly 11.25 degrees", exact=True)
    assert not result.is_visible()
    card.locator("summary").click()
    result.wait_for()
    assert '"station": "Hill"' in card.inner_text()
    lab.notebook.shot("lab-card")
    assert "11.25" in cell.locator(".jp-RenderedMarkdown").inner_text()


def test_a_tool_that_blocks_is_stopped(lab: Cells) -> None:
    """The stop button ends a function that sleeps for a minute; the next cell works."""
    place = lab.run(STUCK, wait=False)
    lab.notebook.wait_text(place, "it began")
    pressed = time.monotonic()
    lab.notebook.stop()
    lab.notebook.wait_text(place, "Interrupted")
    lab.notebook.wait_done(place)
    assert time.monotonic() - pressed < 30
    text = lab.notebook.text(place)
    assert "Traceback" not in text
    assert "stopped" in text
    lab.notebook.wait_text(lab.run(NEXT), "42")


# ------------------------------------------------------------------------------ values and cells


def test_values_are_trees(lab: Cells) -> None:
    """`--as` gives an object, `--format json` a list or dict; both are shown as a tree."""
    lab.run(TYPES)
    place = lab.run(STATION)
    cell = lab.notebook.cell(place)
    tree = cell.locator(".jp-RenderedJSON")
    tree.wait_for()
    assert "height_m" in tree.inner_text()
    lab.notebook.wait_text(lab.run(HIGHER), "241")
    place = lab.run(FACTS)
    tree = lab.notebook.cell(place).locator(".jp-RenderedJSON")
    tree.get_by_text("1893", exact=True).wait_for()  # a small tree is unfolded all through
    lab.notebook.shot("lab-json")


def test_a_background_answer_stays_in_its_cell(lab: Cells) -> None:
    """An answer in the background grows in its own cell while the next one prints and blocks the
    kernel, and neither is found in the other's output."""
    place = lab.run(LATER)
    ticking = lab.run(TICKS, wait=False)
    lab.notebook.wait_text(ticking, "tick 1")
    lengths = set()
    while "tick 24" not in lab.notebook.text(ticking):
        lengths.add(len(lab.notebook.text(place)))
        lab.page.wait_for_timeout(100)
    assert len(lengths) >= 4, f"it did not grow: {lengths}"
    lab.notebook.shot("lab-background")
    lab.notebook.wait_done(ticking)
    assert lab.notebook.text(ticking).split() == " ".join(f"tick {n}" for n in range(25)).split()
    lab.notebook.wait_text(place, "if it were real")
    text = lab.notebook.text(place)
    assert "tick" not in text
    assert len(text) > 2000


def test_code_is_put_into_the_next_cell(lab: Cells) -> None:
    """`fix` explains and puts the corrected cell below, which runs; `--format code` does the same."""
    count = lab.page.locator(".jp-Notebook .jp-CodeCell").count()
    lab.notebook.wait_text(lab.run(WRONG), "ZeroDivisionError")
    place = lab.run(FIX)
    lab.notebook.wait_text(place, "a person would begin at its last line")
    below = lab.notebook.cell(place + 1).locator(".cm-content")
    assert below.inner_text().strip() == 'print("corrected")'
    assert lab.page.locator(".jp-Notebook .jp-CodeCell").count() == count + 1
    lab.notebook.shot("lab-fix")
    lab.notebook.run(place + 1)
    lab.notebook.wait_text(place + 1, "corrected")

    place = lab.run(CODE)
    below = lab.notebook.cell(place + 1).locator(".cm-content")
    assert below.inner_text().strip().startswith("def fibonacci(n: int) -> int:")
    assert lab.page.locator(".jp-Notebook .jp-CodeCell").count() == count + 2
