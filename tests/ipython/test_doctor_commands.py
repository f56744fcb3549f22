"""`%minimax doctor` in a real shell without a kernel, over HTTP to the simulator."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minimax_magic.ipython.cell_errors import CellInterrupted, LineError
from minimax_magic.simulator import Fail, Silence, Simulator

KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"


@pytest.fixture(autouse=True)
def _no_other_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of another program, which may conflict."""
    for name in [*os.environ]:
        if name.startswith(("ANTHROPIC_", "OPENAI_", "AIDER_", "LITELLM_")):
            monkeypatch.delenv(name)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(key=KEY) as simulator:
        yield simulator


def test_the_findings_come_as_lines(shell: Any) -> None:
    """In a terminal each finding is a line, and the last one says what all mean."""
    ran = shell.run("%minimax doctor")
    assert ran.error is None
    assert ran.value is None
    assert ran.lines[0].startswith("ok    Configuration")
    assert "SUCCESS! API is working!" in ran.out
    assert "All is well" in ran.out
    assert KEY not in ran.out


def test_a_failed_check_is_no_error(shell: Any, sim: Simulator) -> None:
    """A finding that failed has causes and steps below it, and the cell succeeds: it is a report."""
    sim.script(Fail(code=1008))
    ran = shell.run("%minimax doctor")
    assert ran.error is None
    (failed,) = [line for line in ran.lines if line.startswith("FAIL")]
    assert "Completion" in failed
    below = ran.out[ran.out.index(failed) :]
    assert below.index("Likely causes") < below.index("What to do:") < below.index("Streaming")


def test_the_value(shell: Any) -> None:
    """`--json` is the cell's value, and nothing is printed beside it."""
    ran = shell.run("told = get_ipython().run_line_magic('minimax', 'doctor --no-spend --json')")
    assert (ran.error, ran.out) == (None, "")
    told = shell.ns["told"]
    assert told["ok"] is True
    assert told["simulated"] is True
    assert [finding["check"] for finding in told["findings"]][:2] == ["config", "credential"]
    assert shell.run("%minimax doctor --no-spend --json").value["exit_code"] == 0


def test_the_report(shell: Any) -> None:
    """`--report` prints the markdown alone."""
    ran = shell.run("%minimax doctor --no-spend --report")
    assert ran.error is None
    assert ran.out.startswith("<details>")
    assert ran.out.rstrip().endswith("</details>")
    assert KEY not in ran.out


def test_without_spending(shell: Any, sim: Simulator) -> None:
    """`--no-spend` asks the model nothing."""
    assert shell.run("%minimax doctor --no-spend").error is None
    assert sim.served.output_tokens == 0


def test_a_program(shell: Any) -> None:
    """`--for` adds what that program would do."""
    told = shell.run("%minimax doctor --no-spend --json --for aider").value
    assert "program" in [finding["check"] for finding in told["findings"]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("doctor --json --report", "take one of them"),
        ("doctor --for emacs", "--for knows aider, litellm,"),
        ("doctor --spend", "no option --spend. Did you mean --no-spend?"),
        (f"doctor --for {KEY}", "takes no key"),
    ],
)
def test_wrong_lines(shell: Any, sim: Simulator, line: str, said: str) -> None:
    """A wrong line is one line, and nobody is asked."""
    ran = shell.run(f"%minimax {line}")
    assert isinstance(ran.error, LineError)
    assert len(ran.lines) == 1
    assert said in ran.out
    assert sim.requests == []


def test_it_can_be_stopped(shell: Any, sim: Simulator) -> None:
    """Ctrl-C stops the checks and closes what is open; what was found stays, without a verdict."""
    sim.script(Silence())

    def stop() -> None:
        assert sim.wait_for(lambda sim: any(r.body.get("model") for r in sim.requests if r.body))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    ran = shell.run("%minimax doctor")
    thread.join()
    assert isinstance(ran.error, CellInterrupted)
    assert "ok    Authentication" in ran.out
    assert "All is well" not in ran.out
    assert ran.lines[-1] == "Interrupted: the checks that were left did not run."
    assert sim.wait_for(lambda sim: sim.requests[-1].closed_early)


def test_a_broken_file_is_a_finding(shell: Any, configured: Path) -> None:
    """Settings that cannot be read are what the doctor finds, not what ends it."""
    (configured / "config" / "llm.yaml").write_text("retry: {max_attempts: often}\n")
    ran = shell.run("%minimax doctor")
    assert ran.error is None
    assert ran.lines[0].startswith("FAIL  Configuration")
    assert "max_attempts" in ran.out


def test_on_the_simulator(shell: Any, sim: Simulator) -> None:
    """While `%minimax simulator` is on, the doctor looks at that."""
    shell.run("%minimax simulator")
    ran = shell.run("%minimax doctor")
    assert ran.error is None
    assert "the simulator" in ran.out
    assert sim.requests == []
