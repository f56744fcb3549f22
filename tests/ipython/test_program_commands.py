"""`%minimax env` and `write-script` in a real shell without a kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minimax_magic.errors import ConfigError, CredentialsMissing
from minimax_magic.ipython.cell_errors import CellError, LineError
from minimax_magic.programs.names import PROGRAMS, SHELLS
from minimax_magic.simulator import Simulator

KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"


@pytest.fixture(autouse=True)
def _no_other_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of another program."""
    for name in [*os.environ]:
        if name.startswith(("ANTHROPIC_", "OPENAI_", "AIDER_", "LITELLM_")):
            monkeypatch.delenv(name)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(key=KEY, accept_x_api_key=True) as simulator:
        yield simulator


@pytest.mark.parametrize("program", PROGRAMS)
def test_env_is_masked(shell: Any, program: str) -> None:
    """`env` prints variables and command of each program, without the key."""
    ran = shell.run(f"%minimax env {program} --shell sh")
    assert ran.error is None
    assert "export " in ran.out
    assert KEY not in ran.out


@pytest.mark.parametrize("shell_name", SHELLS)
def test_env_in_all_shells(shell: Any, shell_name: str) -> None:
    """`--shell` says how it is written, and `--reveal` prints the key where there are no widgets."""
    ran = shell.run(f"%minimax env openai-sdk --shell {shell_name} --reveal")
    assert ran.error is None
    assert KEY in ran.out


def test_env_says_how_the_key_is_shown(shell: Any) -> None:
    """Without `--reveal` the text names it, and with it nothing is said of a mask."""
    assert "--reveal gives all of it" in shell.run("%minimax env openai-sdk").out
    assert "masked" not in shell.run("%minimax env openai-sdk --reveal").out


def test_env_with_the_notebooks_simulator(shell: Any) -> None:
    """Who tries it without a key gets an environment, too, since no gateway reaches that simulator."""
    shell.run("%minimax simulator")
    ran = shell.run("%minimax env aider --shell sh")
    shell.run("%minimax simulator off")
    assert ran.error is None
    assert "export ANTHROPIC_BASE_URL=" in ran.out


def test_env_of_a_model(shell: Any) -> None:
    """`--model` goes before the model of the settings."""
    assert "anthropic/MiniMax-M2.1" in shell.run("%minimax env aider --model MiniMax-M2.1").out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("env", "for which program? %minimax env aider|litellm|"),
        ("env emacs", "%minimax env knows aider, litellm,"),
        ("env claude", "not 'claude' (did you mean claude-code?)."),
        ("env variables", "To ask: %minimax -- env variables"),
        ("env aider --shell fish", "--shell is one of sh, powershell, cmd, dotenv, not 'fish'."),
        ("env aider --show", "%minimax env has no option --show."),
        (f"env aider {KEY}", "takes no key"),
        ("write-script", "for which program? %minimax write-script aider"),
    ],
)
def test_wrong_lines(shell: Any, sim: Simulator, line: str, said: str) -> None:
    """A wrong line is one line, and nobody is asked."""
    ran = shell.run(f"%minimax {line}")
    assert isinstance(ran.error, LineError)
    assert len(ran.lines) == 1
    assert said in ran.out
    assert sim.requests == []


def test_env_without_a_credential(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key the error says in one line where one can come from."""
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")
    ran = shell.run("%minimax env openai-sdk")
    assert isinstance(ran.error, CellError)
    assert isinstance(ran.error.error, CredentialsMissing)
    assert len(ran.lines) == 1


def test_env_that_would_not_work(shell: Any) -> None:
    """A combination that fails is refused with what works instead."""
    ran = shell.run("%minimax env aider --model openai/MiniMax-M2.5")
    assert isinstance(ran.error, CellError)
    assert isinstance(ran.error.error, ConfigError)
    assert "anthropic/MiniMax-M2.5" in ran.out


def test_scripts_for_aider(shell: Any) -> None:
    """`write-script` writes both scripts without the key, replaces none, and does so with `--force`."""
    ran = shell.run("%minimax write-script aider")
    assert ran.error is None
    assert ran.lines[0].startswith("Written: start-aider.sh and start-aider.bat.")
    for name in ("start-aider.sh", "start-aider.bat"):
        assert KEY not in Path(name).read_text()
    Path("start-aider.sh").write_text("mine")
    again = shell.run("%minimax write-script aider")
    assert isinstance(again.error, CellError)
    assert "--force" in again.out
    assert Path("start-aider.sh").read_text() == "mine"
    assert shell.run("%minimax write-script aider --force").error is None
    assert "minimax_magic" in Path("start-aider.sh").read_text()


def test_a_script_that_does_not_exist(shell: Any) -> None:
    """There is a script for Aider alone, which is said."""
    ran = shell.run("%minimax write-script litellm")
    assert isinstance(ran.error, CellError)
    assert "aider" in ran.out
    assert [path.name for path in Path().glob("start-*")] == []
