"""The notebooks that people open first: they run, and they are committed clean."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from minimax_magic.doctor.remedies import trouble

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TROUBLES = ROOT / "notebooks" / "05_troubleshooting.ipynb"
# of other programs too: the doctor looks at them
PREFIXES = ("MINIMAX_", "ANTHROPIC_", "OPENAI_", "AIDER_", "LITELLM_", "LLM_")
LOOK_BEFORE = "import os as _os\n\n_before = dict(_os.environ)"
LOOK_AFTER = "print(sorted(set(_before.items()) ^ set(_os.environ.items())))"
Run = Callable[[Path], Any]


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no settings, no profile of whoever runs the tests; and this checkout."""
    for name in list(os.environ):
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a notebook from top to bottom, between two cells that look at the environment; once."""
    done: dict[Path, Any] = {}

    def run(path: Path) -> Any:
        if path not in done:
            notebook = nbformat.read(path, as_version=4)
            notebook.cells.insert(0, new_code_cell(LOOK_BEFORE))
            notebook.cells.append(new_code_cell(LOOK_AFTER))
            folder = str(tmp_path_factory.mktemp("notebook"))
            resources = {"metadata": {"path": folder}}
            NotebookClient(notebook, timeout=120, resources=resources).execute()
            done[path] = notebook
        return done[path]

    return run


def shown(cell: Any) -> str:
    """What a cell shows, as plain text."""
    texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
    return "\n".join(texts)


@pytest.mark.kernel
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_without_a_key(path: Path, executed: Run) -> None:
    """Every notebook runs from top to bottom on the simulator, and says that it is simulated."""
    plain = [
        shown(cell)
        for cell in executed(path).cells
        if cell.cell_type == "code" and cell.source.startswith("%%minimax")
    ]
    # the line below an answer: who gave it, and what it took
    summaries = re.findall(r"^\[.*MiniMax-.* s(?: · .*)?\]$", "\n".join(plain), re.MULTILINE)
    assert summaries
    assert all(line.startswith("[simulated") for line in summaries)


@pytest.mark.kernel
def test_the_troubles_are_named_with_their_remedies(executed: Run) -> None:
    """Of each trouble that the notebook makes, the doctor names the right one of the table, with its
    causes and steps; first of all it finds nothing wrong."""
    found = [
        shown(cell)
        for cell in executed(TROUBLES).cells
        if cell.cell_type == "code" and "%minimax doctor" in cell.source
    ]
    expected = (
        "key_missing",
        "unauthorized",
        "forbidden",
        "unreachable",
        "unreachable",
        "not_found",
        "base_url_conflict",
        "missing_model",
    )
    well, *troubled, report = found
    assert "SUCCESS! API is working!" in well
    assert "FAIL" not in well
    assert "WARN" not in well
    for text, name in zip(troubled, expected, strict=True):
        flowing = " ".join(text.split())
        told = trouble(name)
        # a cause that is sure stands before those of the table
        assert any(f"{n}. {told.causes[0]}" in flowing for n in (1, 2)), name
        # the others name a server or a model
        plain_steps = [step for step in told.steps if "{" not in step]
        assert plain_steps
        assert all(step in flowing for step in plain_steps), name
    assert report.startswith("<details>")


@pytest.mark.kernel
def test_the_troubles_are_put_away(executed: Run) -> None:
    """After the notebook about troubles the kernel's environment is what it was."""
    assert shown(executed(TROUBLES).cells[-1]).strip() == "[]"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_clean(path: Path) -> None:
    """A notebook in the repository has no outputs and no execution counts."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
