"""A real InteractiveShell (no kernel) with the extension, pointed at a simulator by environment."""

from __future__ import annotations

import atexit
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from minimax_magic.ipython import magics
from minimax_magic.simulator import Simulator

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Ran:
    """A cell that was run."""

    out: str
    error: BaseException | None
    value: Any

    @property
    def lines(self) -> list[str]:
        return [line for line in self.out.splitlines() if line.strip()]


class Shell:
    """A shell, and what its cells print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "nocolor"
        self.ip = InteractiveShell(config=config)
        self._capsys = capsys

    def run(self, code: str) -> Ran:
        self._capsys.readouterr()
        result = self.ip.run_cell(code, store_history=True)
        captured = self._capsys.readouterr()
        error = result.error_before_exec or result.error_in_exec
        return Ran(_COLOURS.sub("", captured.out + captured.err), error, result.result)

    @property
    def ns(self) -> dict[str, Any]:
        return self.ip.user_ns

    @property
    def magics(self) -> Any:
        return self.ip.magics_manager.registry["MiniMaxMagics"]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No setting of the machine, folders of its own; gives the working folder."""
    for name in [*os.environ]:
        if name.startswith("MINIMAX_"):
            monkeypatch.delenv(name)
    for name in ("config", "secrets", "data"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"MINIMAX_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("MINIMAX_REQUESTS_PER_SECOND", "0")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def configured(isolated: Path, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with the simulator as the server and its key."""
    monkeypatch.setenv("MINIMAX_BASE_URL", sim.url)
    monkeypatch.setenv("MINIMAX_CODE_PLAN_KEY", sim.key)
    return isolated


@pytest.fixture
def bare_shell(
    isolated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """A shell without the extension."""
    # a shell makes its namespace the main module
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    shell = Shell(capsys)
    yield shell
    magics.unload(shell.ip)
    # else each lives on, and collects all garbage once more when the tests are over: that took minutes
    atexit.unregister(shell.ip.atexit_operations)


@pytest.fixture
def shell(bare_shell: Shell, configured: Path) -> Shell:
    magics.load(bare_shell.ip)
    return bare_shell
