"""Binder's files make an environment in which the quickstart runs."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
# what repo2docker puts into every image before it looks at binder/
BASE = ["ipykernel", "nbclient", "nbformat"]


def run(*command: str | Path, cwd: Path) -> str:
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.install
def test_binder_installs_and_streams(tmp_path: Path) -> None:
    """A clean environment made from binder/requirements.txt runs the quickstart to its end."""
    venv.create(tmp_path / "env", with_pip=True)
    bin_dir = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    pip = (bin_dir / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, *BASE, cwd=tmp_path)
    run(*pip, "-r", "binder/requirements.txt", cwd=ROOT)
    printed = run(
        bin_dir / "python", "notebooks/demo.py", "notebooks/01_quickstart.ipynb", cwd=ROOT
    )
    assert "A simulated answer" in printed
    assert "all cells ran" in printed


def test_binder_asks_for_a_python_that_we_support() -> None:
    """runtime.txt names Python 3.11 or newer; without it Binder would take 3.10."""
    version = (ROOT / "binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    assert tuple(map(int, version.split("."))) >= (3, 11)
