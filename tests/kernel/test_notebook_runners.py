"""Programs that execute notebooks stop at a cell of ours that failed, and go through otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
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


GOOD = ("%%minimax answer\nhi", "assert answer.text", "%minimax and why?")
FAILING = {
    "jupyter execute": "%%minimax\n[[error 2056]]",
    "papermill": "%%minimax --frobnicate\nhi",
    "nbclient": "%minimax {{nope}}",
}


class Execution:
    """A notebook that one of the programs executes; all of them do at the same time, to save time."""

    def __init__(
        self, command: str, cells: Iterable[str], folder: Path, env: dict[str, str]
    ) -> None:
        self.behind = folder / "behind"
        self._result = folder / "result.ipynb"
        source = folder / "source.ipynb"
        last = f"open({str(self.behind)!r}, 'w').close()"
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(c) for c in ["%load_ext minimax_magic", *cells, last]],
            metadata={"kernelspec": {"name": "python3", "display_name": "p", "language": "python"}},
        )
        nbformat.write(notebook, source)
        arguments = [a.format(source=source, result=self._result) for a in COMMANDS[command]]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, env=env, stdout=quiet, stderr=quiet
        )

    def finish(self) -> tuple[int, str]:
        """The exit code, and the notebook as it was saved; empty if it was not."""
        code = self._process.wait(120)
        return code, self._result.read_text() if self._result.exists() else ""

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def executions(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, bool], Execution]]:
    """By program, and whether the notebook is a good one. Their server takes the planted key only."""
    with Simulator(key=KEY) as sim:
        env = {**os.environ, **environment}
        env |= {"MINIMAX_CODE_PLAN_KEY": KEY, "MINIMAX_BASE_URL": sim.url}
        started = {
            (command, good): Execution(
                command, GOOD if good else [FAILING[command]], tmp_path_factory.mktemp("run"), env
            )
            for command in COMMANDS
            for good in (True, False)
        }
        yield started
        for execution in started.values():
            execution.stop()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_good_notebook_goes_through(
    command: str, executions: dict[tuple[str, bool], Execution]
) -> None:
    """Answers are saved as Markdown and plain text, without the key."""
    execution = executions[command, True]
    code, saved = execution.finish()
    assert code == 0
    assert execution.behind.exists()
    outputs = json.loads(saved)["cells"][1]["outputs"]
    assert [set(o["data"]) for o in outputs] == [
        {"text/markdown", "text/plain"},
        {"text/html", "text/plain"},
    ]
    assert KEY[6:] not in saved


@pytest.mark.parametrize("command", COMMANDS)
def test_a_failed_cell_stops_a_notebook(
    command: str, executions: dict[tuple[str, bool], Execution]
) -> None:
    """A request that failed, a wrong option or a wrong prompt ends the run with an exit code that is
    not 0, and the cells behind are not run."""
    execution = executions[command, False]
    code, saved = execution.finish()
    assert code != 0
    assert not execution.behind.exists()
    assert KEY[6:] not in saved
