"""The notebooks that people open first: they run, and they are committed clean."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no settings, no profile of whoever runs the tests; and this checkout."""
    for name in list(os.environ):
        if name.startswith("MINIMAX_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.kernel
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_without_a_key(path: Path, tmp_path: Path) -> None:
    """Every notebook runs from top to bottom on the simulator, and says that it is simulated."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    plain = [
        output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.startswith("%%minimax")
        for output in cell.outputs
    ]
    # the line below an answer: who gave it, and what it took
    summaries = re.findall(r"^\[.*MiniMax-.* s(?: · .*)?\]$", "\n".join(plain), re.MULTILINE)
    assert summaries
    assert all(line.startswith("[simulated") for line in summaries)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_clean(path: Path) -> None:
    """A notebook in the repository has no outputs and no execution counts."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
