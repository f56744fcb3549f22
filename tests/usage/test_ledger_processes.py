"""A ledger that many processes share, any of which may be killed: real processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from ledger_rows import NEW, book, spent

import minimax_magic
from minimax_magic.simulator import Reply, Simulator, Usage
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.rows import Limit, Selection

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills by signals")

HERE = Path(__file__).parent
PACKAGE = Path(minimax_magic.__file__).parent
DAY = Limit("day", Decimal(1), Selection())

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(str(path))
    yield ledger
    ledger.close()


@pytest.fixture
def start(path: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a process with a job, and kills it in the end."""
    started: list[subprocess.Popen[str]] = []
    stderr = (tmp_path / "stderr.txt").open("w")

    def start(job: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, HERE / "ledger_workers.py", job, path, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join((str(PACKAGE.parent), str(HERE))),
                "MINIMAX_CONFIG_DIR": str(tmp_path),
            },
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    stderr.close()
    assert (tmp_path / "stderr.txt").read_text() == ""


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ready(process: subprocess.Popen[str]) -> None:
    assert line(process) == "ready"


def test_twenty_processes(start: Start, ledger: Ledger, tmp_path: Path) -> None:
    """Twenty processes that write 200 rows each at once have all of them there, none twice, none open,
    and their sum to the last digit."""
    go = tmp_path / "go"
    workers = [start("fill", go, name, 200) for name in range(20)]
    for worker in workers:
        ready(worker)
    go.touch()
    assert [worker.wait(120) for worker in workers] == [0] * 20
    totals = ledger.totals()
    assert (totals.requests, totals.open, totals.interrupted) == (4000, 0, 0)
    assert totals.cost == Decimal(400)
    wanted = {f"{name}-{number}" for name in range(20) for number in range(200)}
    records = ledger.records()
    assert {record.model for record in records} == wanted
    assert len({record.process for record in records}) == 20
    assert [file.name for file in Path(f"{ledger.path}.processes").iterdir()] in (
        [],
        [f"{ledger.process}.lock"],
    )


def test_a_live_process_keeps_what_it_has_under_way(start: Start, ledger: Ledger) -> None:
    """Rows of another process that lives stay open and reserved."""
    ready(start("hold", 2))
    assert [record.status for record in ledger.records()] == ["open", "open"]
    assert spent(ledger, DAY) == (Decimal(0), Decimal(1))


def test_a_killed_process(start: Start, ledger: Ledger) -> None:
    """Its open row is interrupted to whoever looks next, with its estimate, which is what it cost as
    far as anybody knows; nothing is reserved any more, and its lock is gone."""
    worker = start("hold", 1)
    ready(worker)
    process = line(worker)
    lock = Path(f"{ledger.path}.processes") / f"{process}.lock"
    assert lock.exists()
    worker.kill()
    worker.wait(10)
    [record] = ledger.records()
    assert (record.status, record.process) == ("interrupted", process)
    assert (record.usage, record.cost, record.measured) == (
        TokenUsage(10),
        Decimal("0.125"),
        False,
    )
    assert spent(ledger, DAY) == (Decimal("0.125"), Decimal(0))
    totals = ledger.totals()
    assert (totals.interrupted, totals.estimated, totals.open) == (1, 1, 0)
    assert not lock.exists()


def test_a_killed_process_frees_its_reservation_for_the_next_request(
    start: Start, ledger: Ledger
) -> None:
    """A request finds the whole budget, but for the estimate of what the dead had under way, without
    anybody having looked before."""
    worker = start("hold", 2)
    ready(worker)
    worker.kill()
    worker.wait(10)
    new = replace(NEW, most=Decimal("0.75"))
    assert ledger.open_row(new, [DAY]).result(60)
    assert spent(ledger, DAY) == (Decimal("0.25"), Decimal("0.75"))


def test_a_stopped_process_lives(start: Start, ledger: Ledger) -> None:
    """A process that is held up, as by a sleeping laptop or a debugger, is not taken for dead."""
    worker = start("hold", 1)
    ready(worker)
    worker.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    assert [record.status for record in ledger.records()] == ["open"]
    assert spent(ledger, DAY)[1] == Decimal("0.5")
    worker.send_signal(signal.SIGCONT)


def test_many_readers_of_a_dead_process(start: Start, ledger: Ledger, path: Path) -> None:
    """Several who find it dead at once all get the same, and none fails."""
    worker = start("hold", 3)
    ready(worker)
    worker.kill()
    worker.wait(10)
    readers = [Ledger(str(path)) for _ in range(4)]
    for reader in readers:
        reader.totals()
    assert [reader.totals().interrupted for reader in readers] == [3] * 4
    for reader in readers:
        reader.close()


def test_processes_killed_while_they_write(start: Start, ledger: Ledger, tmp_path: Path) -> None:
    """However often writers are killed in the middle, the file stays whole, and others go on."""
    go = tmp_path / "go"
    go.touch()
    workers = [start("fill", go, name, 100_000) for name in range(4)]
    for worker in workers:
        ready(worker)
    for worker in workers:
        time.sleep(0.3)
        worker.kill()
        worker.wait(10)
        book(ledger, "0.1", model="mine")
    totals = ledger.totals()
    assert totals.open == 0
    assert totals.interrupted <= 4
    assert len(ledger.records(Selection(models=("mine",)))) == 4
    assert totals.requests > 4
    with sqlite3.connect(ledger.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_no_budget_is_overshot_by_several_processes(
    start: Start, ledger: Ledger, tmp_path: Path
) -> None:
    """Four processes of sixteen requests at once spend no more than the day's budget together, and as
    much of it as fits."""
    one = Usage(input_tokens=100, output_tokens=100)
    with Simulator() as server:
        server.script(*(Reply("hello", usage=one, delay_s=0.05) for _ in range(64)))
        go = tmp_path / "go"
        workers = [start("spend", go, server.url, 16, "0.005") for _ in range(4)]
        for worker in workers:
            ready(worker)
        go.touch()
        answered = [int(line(worker)) for worker in workers]
        assert [worker.wait(60) for worker in workers] == [0] * 4
        served = server.served.requests
    totals = ledger.totals()
    assert sum(answered) == served == totals.requests
    assert 4 <= served < 64
    assert (totals.open, totals.failed, totals.estimated) == (0, 0, 0)
    assert totals.cost == served * Decimal("0.00015")
    assert totals.cost <= Decimal("0.005")
    assert spent(ledger, DAY) == (totals.cost, Decimal(0))
