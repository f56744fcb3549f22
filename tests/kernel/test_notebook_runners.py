"""Programs that execute notebooks stop at a cell of ours that failed, and go through otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from minimax_magic.simulator import Simulator

pytestmark = pytest.mark.kernel

KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"
COMMANDS = {
    "jupyter execute": ["-m", "jupyter", "execute", "{source}", "--output={result}"],
    "papermill": ["-m", "papermill", "{source}", "{result}", "--no-progress-bar"],
    "nbclient": [
        "-c",
        "import nbclient, nbformat; n = nbformat.read('{source}', 4); "
        "c = nbclient.NotebookClient(n)\n"
        "try: c.execute()\n"
        "finally: nbformat.write(n, '{result}')",
    ],
}


@pytest.fixture
def sim(simulator: Simulator) -> Iterator[Simulator]:
    """The simulator, with the planted key for the only one."""
    simulator.reset()
    before, simulator.key = simulator.key, KEY
    yield simulator
    simulator.key = before


def execute(
    command: str, cells: list[str], folder: Path, environment: dict[str, str]
) -> tuple[int, str]:
    """Runs a notebook of these cells; gives the exit code and the notebook as it was saved."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(c) for c in ["%load_ext minimax_magic", *cells]],
        metadata={"kernelspec": {"name": "python3", "display_name": "p", "language": "python"}},
    )
    source, result = folder / "source.ipynb", folder / "result.ipynb"
    nbformat.write(notebook, source)
    arguments = [a.format(source=source, result=result) for a in COMMANDS[command]]
    env = {**os.environ, **environment, "MINIMAX_CODE_PLAN_KEY": KEY}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, timeout=120
    )
    return done.returncode, result.read_text() if result.exists() else ""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_good_notebook_goes_through(
    command: str, sim: Simulator, environment: dict[str, str], tmp_path: Path
) -> None:
    """Answers are saved as Markdown and plain text, without the key."""
    cells = ["%%minimax answer\nhi", "assert answer.text", "%minimax and why?"]
    code, saved = execute(command, cells, tmp_path, environment)
    assert code == 0
    assert len(sim.requests) == 2
    outputs = json.loads(saved)["cells"][1]["outputs"]
    assert [set(o["data"]) for o in outputs] == [
        {"text/markdown", "text/plain"},
        {"text/html", "text/plain"},
    ]
    assert KEY[6:] not in saved


@pytest.mark.parametrize(
    ("command", "failing"),
    [
        ("jupyter execute", "%%minimax\n[[error 2056]]"),
        ("papermill", "%%minimax --frobnicate\nhi"),
        ("nbclient", "%minimax {{nope}}"),
    ],
)
def test_a_failed_cell_stops_a_notebook(
    command: str, failing: str, sim: Simulator, environment: dict[str, str], tmp_path: Path
) -> None:
    """A request that failed, a wrong option or a wrong prompt ends the run with an exit code that is
    not 0, and the cells behind are not run."""
    behind = f"open({str(tmp_path / 'behind')!r}, 'w').close()"
    code, saved = execute(command, [failing, behind], tmp_path, environment)
    assert code != 0
    assert not (tmp_path / "behind").exists()
    assert KEY[6:] not in saved
