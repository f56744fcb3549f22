"""The official SDKs complete against the simulator from what is printed for them, as it is printed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minimax_magic.programs.environment import environment_for, header_of
from minimax_magic.programs.routing import route
from minimax_magic.programs.shells import written
from minimax_magic.simulator import Reply, Simulator

MODEL = "MiniMax-M2.5"
# left over from other days, with Anthropic's and OpenAI's own servers
LEFT_OVER = {
    "ANTHROPIC_API_KEY": "sk-ant-old",
    "ANTHROPIC_API_BASE": "http://127.0.0.1:1/v1",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:1",
    "ANTHROPIC_CUSTOM_HEADERS": "Authorization: Bearer old",
    "OPENAI_API_KEY": "sk-old",
    "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
    "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer old",
}
PATHS = {"anthropic-sdk": "/anthropic/v1/messages", "openai-sdk": "/v1/chat/completions"}


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """With a `python` in it that is the one of these tests, which has the SDKs."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    return python.parent


def typed(script: str, environ: dict[str, str], bin_folder: Path) -> str:
    """What a shell prints that evaluates a script; only these variables are set."""
    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": f"{bin_folder}:/usr/bin:/bin", "HOME": str(bin_folder), **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("program", sorted(PATHS))
def test_the_printed_text_and_command_line_work(
    sim: Simulator, bin_folder: Path, program: str
) -> None:
    """Evaluated and typed into a shell they give an answer, in spite of what was set there before."""
    sim.script(Reply("It works", thinking=""))
    env = environment_for(program, root=sim.url, key=sim.key, model=MODEL, environ=LEFT_OVER)
    text = written(env, "sh", reveal=True)
    (command,) = [line[6:] for line in text.splitlines() if line.startswith(": #   python ")]
    assert typed(text + command, LEFT_OVER, bin_folder).strip() == "It works"
    (received,) = sim.requests
    assert received.path == PATHS[program]
    assert received.headers["Authorization"] == f"Bearer {sim.key}"
    assert "X-Api-Key" not in received.headers
    assert received.body["model"] == MODEL
    found = route(program, env.applied_to(LEFT_OVER), root=sim.url)
    assert found.url == sim.url + received.path
    assert (found.header, found.problems) == (header_of(program), ())


@pytest.mark.parametrize("program", sorted(PATHS))
def test_the_masked_text_changes_nothing(sim: Simulator, bin_folder: Path, program: str) -> None:
    """Evaluated by mistake it neither replaces a good key nor sends another one here."""
    env = environment_for(program, root=sim.url, key=sim.key, model=MODEL)
    text = written(env, "sh", reveal=False)
    assert typed(f"{text}\nexport -p", LEFT_OVER, bin_folder) == typed(
        "export -p", LEFT_OVER, bin_folder
    )
