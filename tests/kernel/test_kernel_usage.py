"""What is used, budgets and dry runs in a real kernel, whose ledger other kernels share."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from kernels import Kernel, Result

from minimax_magic.simulator import Reply, Simulator, Usage
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.rows import Record

pytestmark = pytest.mark.kernel

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
NOTEBOOK = "/home/somebody/work/notes.ipynb"
PROMPT, ANSWER = "MARKER-prompt-7d1e", "MARKER-answer-7d1e"
ENDLESS = Reply(text="word " * 100_000, thinking="", delay_s=0.02)

Start = Callable[[], Kernel]


@pytest.fixture
def settings(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The variables of a kernel that the front end has told its notebook, with a ledger of its own."""
    return {
        **environment,
        "MINIMAX_LEDGER": str(tmp_path / "ledger" / "usage.sqlite3"),
        "MINIMAX_DATA_DIR": str(tmp_path / "data"),
        "JPY_SESSION_NAME": NOTEBOOK,
    }


@pytest.fixture
def start(settings: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts a kernel with the extension loaded, and ends it after the test."""
    kernels: list[Kernel] = []

    def start() -> Kernel:
        folder = tmp_path / f"kernel-{len(kernels)}"
        folder.mkdir()
        kernel = Kernel(sys.executable, folder, settings)
        kernels.append(kernel)
        result = kernel.run("%load_ext minimax_magic\n%xmode Context")
        assert result.error is None, result.outputs
        return kernel

    yield start
    for kernel in kernels:
        kernel.close()


@pytest.fixture
def ledger(settings: dict[str, str]) -> Iterator[Ledger]:
    """The kernels' ledger, as another process sees it."""
    ledger = Ledger(settings["MINIMAX_LEDGER"])
    yield ledger
    ledger.close()


def wait_for(condition: Callable[[], object], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def only(ledger: Ledger) -> Record:
    [record] = ledger.records()
    return record


def line_of(result: Result) -> str:
    """The single line of a failed cell."""
    assert result.error is not None, result.outputs
    text = COLOURS.sub("", "\n".join(result.error["traceback"]))
    [line] = [line for line in text.splitlines() if line.strip()]
    return line


def row(result: Result, name: str) -> str:
    """The row of that name in the table."""
    found: str = next(line for line in result.text().splitlines() if line.startswith(name))
    return found


def test_what_a_cell_used_is_shown_and_kept(start: Start, sim: Simulator, ledger: Ledger) -> None:
    """The table has the server's figures in every scope, and the row says which notebook and kernel it
    was, but nothing of what was said, nor the key."""
    kernel = start()
    sim.script(Reply(ANSWER, thinking="", usage=Usage(1000, 500)))
    assert ANSWER in kernel.run(f"%%minimax\n{PROMPT}").text()
    shown = kernel.run("%minimax usage --text")
    assert shown.error is None
    for scope in ("This cell", "This kernel", "Today", "This month", "All time"):
        assert "$0.00090" in row(shown, scope), shown.text()
        assert "1,000" in row(shown, scope)
        assert "500" in row(shown, scope)
    assert "simulated" in shown.text()
    record = only(ledger)
    assert (record.status, record.measured, record.simulated) == ("ok", True, True)
    assert record.cost == Decimal("0.0009")
    assert record.label.notebook == NOTEBOOK
    assert record.label.kernel == Path(kernel.km.connection_file).stem.removeprefix("kernel-")
    assert record.label.cell
    kernel.run("%%minimax --chat talk\nhi")
    second = ledger.records()[0]
    assert second.label.chat == "talk"
    assert second.label.cell != record.label.cell
    assert second.process == record.process

    written = b"".join(
        file.read_bytes() for file in Path(ledger.path).parent.rglob("*") if file.is_file()
    )
    assert b"notes.ipynb" in written
    for secret in (PROMPT, ANSWER, sim.key):
        assert secret.encode() not in written


def test_a_killed_kernel(start: Start, sim: Simulator, ledger: Ledger) -> None:
    """What a kernel had under way when it was killed is interrupted to the next one, with the output
    that had come until shortly before, and marked as simulated though it never ended."""
    first = start()
    sim.script(ENDLESS)
    first.start("%%minimax\nhi")
    wait_for(lambda: [it for it in ledger.records() if it.usage.output_tokens > 50])
    assert only(ledger).status == "open"
    os.kill(first.km.provisioner.pid, signal.SIGKILL)
    wait_for(lambda: only(ledger).status == "interrupted")
    record = only(ledger)
    assert record.simulated
    assert not record.measured
    assert record.cost is not None
    assert record.cost > Decimal("0.00005")

    second = start()
    sim.script(Reply("hello", thinking="", usage=Usage(1, 1)))
    second.run("%%minimax\nhi")
    shown = second.run("%minimax usage --text")
    assert "1 interrupted" in shown.text(), shown.text()
    assert "~" in row(shown, "Today")
    assert "~" not in row(shown, "This kernel")


def test_an_interrupted_cell(start: Start, sim: Simulator, ledger: Ledger) -> None:
    """Stopping leaves a row with an estimate, and the cell says that its figures are one."""
    kernel = start()
    sim.script(ENDLESS)
    before = len(sim.requests)
    result = kernel.run(
        "%%minimax\nhi",
        (lambda: any(it.chunks_sent > 20 for it in sim.requests[before:]), kernel.interrupt),
    )
    assert "Interrupted" in line_of(result)
    assert "estimated" in result.displays[-1]["text/plain"], result.displays
    record = only(ledger)
    assert (record.status, record.measured) == ("interrupted", False)
    assert record.usage.output_tokens >= 20
    assert "~" in row(kernel.run("%minimax usage --text"), "This cell")


def test_a_budget_that_does_not_allow_it(start: Start, sim: Simulator, ledger: Ledger) -> None:
    """A cell that could cost more than its budget ends in one line, and nothing is sent."""
    kernel = start()
    line = line_of(kernel.run("%%minimax --budget 0.000001\nhi"))
    assert "this cell's budget" in line
    assert "Nothing was sent." in line
    assert sim.requests == []
    assert ledger.records() == []
    sim.script(Reply("allowed", thinking=""))
    assert "allowed" in kernel.run("%%minimax --budget 1\nhi").text()


def test_a_dry_run(start: Start, sim: Simulator, ledger: Ledger) -> None:
    """It shows the body and what it could cost, without a key that was typed into the prompt; nothing
    is sent and nothing booked."""
    kernel = start()
    result = kernel.run(f"%%minimax --dry-run --system brief\nmy key is {sim.key}, {PROMPT}")
    assert result.error is None, result.outputs
    shown = "".join(str(bundle) for bundle in result.displays) + result.text()
    assert PROMPT in shown
    assert "brief" in shown
    assert "$" in shown
    assert sim.key not in shown
    assert sim.requests == []
    assert ledger.records() == []


def test_the_other_commands(start: Start, sim: Simulator) -> None:
    """A forecast and the dashboard's text work before the first request and after some."""
    kernel = start()
    for _ in range(2):
        for command in ("cost --budget 25", "dashboard --text", "usage --text"):
            result = kernel.run(f"%minimax {command}")
            assert result.error is None, (command, result.outputs)
            assert result.text().strip()
        sim.script(Reply("hello", thinking="", usage=Usage(1000, 500)))
        kernel.run("%%minimax\nhi")
    assert "MiniMax-M2.5" in kernel.run("%minimax dashboard --text").text()
    assert "$25" in kernel.run("%minimax cost --budget 25").text()


def test_a_simulator_of_the_magics_has_figures_of_its_own(start: Start, ledger: Ledger) -> None:
    """What the built-in simulator answers is told apart from all else, from the first request on."""
    kernel = start()
    result = kernel.run("%minimax simulator\n%minimax hello there")
    assert result.error is None, result.outputs
    shown = kernel.run("%minimax usage --text").text()
    assert "simulated" in shown
    record = only(ledger)
    assert (record.simulated, record.region, record.status) == (True, "simulator", "ok")


def test_a_restarted_kernel_begins_anew(start: Start, sim: Simulator, ledger: Ledger) -> None:
    """After a restart the sums of this kernel are its own, and those of today go on."""
    kernel = start()
    for _ in range(2):
        sim.script(Reply("hello", thinking="", usage=Usage(1000, 500)))
        kernel.run("%%minimax\nhi")
        shown = kernel.run("%minimax usage --text")
        assert "$0.00090" in row(shown, "This kernel")
        kernel.km.restart_kernel(now=False)
        kernel.kc.wait_for_ready(timeout=60)
        kernel.run("%load_ext minimax_magic")
    assert "$0.0018" in row(shown, "Today")
    first, second = ledger.records()
    assert first.process != second.process
    assert first.label.kernel == second.label.kernel
    assert ledger.totals().open == ledger.totals().interrupted == 0
