"""How an older ledger becomes one of today, and what happens to one that cannot."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from ledger_rows import START, book, book_as_first_version, first_version, replay

import minimax_magic
from minimax_magic.errors import ConfigError
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.rows import Totals
from minimax_magic.usage.schema import MIGRATIONS, migrate

HERE = Path(__file__).parent
ONE_MORE = (*MIGRATIONS, "ALTER TABLE requests ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'")
FAILING = (*MIGRATIONS, "ALTER TABLE requests ADD COLUMN mood TEXT; SELECT * FROM nowhere")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.sqlite3"


@pytest.fixture
def old(path: Path) -> Path:
    """A ledger of the first version, with rows."""
    first_version(path, "0.1", "0.2")
    return path


def look(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def version(path: Path) -> object:
    return look(path, "PRAGMA user_version")[0][0]


def test_a_new_file_is_of_this_version(path: Path) -> None:
    """A file that this program makes says which migrations it has had."""
    ledger = Ledger(str(path))
    book(ledger)
    ledger.close()
    assert version(path) == len(MIGRATIONS)


def test_an_older_file_keeps_its_rows(old: Path) -> None:
    """A migration that is added later runs at the next opening, once, and no row is lost."""
    for _ in range(2):
        ledger = Ledger(str(old), migrations=ONE_MORE)
        assert ledger.totals().cost == Decimal("0.3")
        ledger.close()
    assert version(old) == len(ONE_MORE)
    assert look(old, "SELECT mood FROM requests") == [("calm",), ("calm",)]


def test_a_file_of_the_first_version_learns_of_replays(old: Path) -> None:
    """Its requests count as before and none of them as replayed; a replay can stand beside them, and a
    kernel of the first version that still has the file open goes on writing."""
    running = sqlite3.connect(old)
    assert running.execute("SELECT count(*) FROM requests").fetchone() == (2,)
    ledger = Ledger(str(old))
    before = Totals(2, TokenUsage(24, 10), Decimal("0.3"))
    assert ledger.totals() == before
    newest, _ = ledger.records()
    assert (newest.cost, newest.replayed, newest.avoided) == (Decimal("0.2"), False, None)
    assert (newest.started_at.timestamp(), newest.latency_s) == (START, 1.5)
    replay(ledger, "0.25")
    book_as_first_version(running, "0.7")
    running.close()
    assert ledger.totals() == Totals(
        3, TokenUsage(36, 15), Decimal(1), replayed=1, avoided=Decimal("0.25")
    )
    ledger.close()
    assert version(old) == len(MIGRATIONS)


def test_a_process_that_has_an_older_file_open_goes_on(old: Path) -> None:
    """A kernel of an older version still writes its rows after another has migrated the file."""
    running = Ledger(str(old))
    book(running, "0.3")
    newer = Ledger(str(old), migrations=ONE_MORE)
    assert newer.totals().requests == 3
    book(running, "0.4")
    assert newer.totals().cost == Decimal(1)
    running.close()
    newer.close()


def test_a_failing_migration_changes_nothing(old: Path) -> None:
    """A step that fails in its middle is undone as a whole, is told in one sentence, and the version
    before can still read the file."""
    Ledger(str(old)).totals()
    before = look(old, "SELECT * FROM requests")
    ledger = Ledger(str(old), migrations=FAILING)
    with pytest.raises(ConfigError, match="nowhere") as caught:
        ledger.totals()
    assert "\n" not in str(caught.value)
    ledger.close()
    assert version(old) == len(MIGRATIONS)
    assert look(old, "SELECT * FROM requests") == before
    again = Ledger(str(old))
    assert again.totals().cost == Decimal("0.3")
    again.close()


def test_steps_before_a_failing_one_stay(path: Path) -> None:
    """Each step is whole by itself: what worked need not be done again."""
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, "it", (*ONE_MORE, "SELECT * FROM nowhere"))
    connection.close()
    assert version(path) == len(ONE_MORE)


def test_a_newer_file_is_left_alone(old: Path) -> None:
    """What a newer version has written is refused in one sentence that says what to do, for reading
    and for writing, and is not touched."""
    Ledger(str(old), migrations=ONE_MORE).totals()
    ledger = Ledger(str(old), "LEDGER")
    for use in (ledger.totals, lambda: book(ledger)):
        with pytest.raises(ConfigError) as caught:
            use()
        assert caught.value.message == (
            "The ledger LEDGER was written by a newer version of minimax_magic."
        )
        assert "pip install -U" in caught.value.hint
    ledger.close()
    assert version(old) == len(ONE_MORE)


def test_another_database_is_no_ledger(path: Path) -> None:
    """A database of something else is told in one sentence, and keeps what it has."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE requests (url TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(ConfigError, match="cannot be used"):
        Ledger(str(path)).totals()
    assert look(path, "PRAGMA table_info(requests)")[0][1] == "url"
    assert version(path) == 0


@pytest.mark.parametrize("there", [False, True], ids=["new", "old"])
def test_many_processes_migrate_at_once(path: Path, there: bool) -> None:
    """Those that open a ledger at the same moment all succeed, and each step is made once."""
    if there:
        first_version(path, "1")
    go = path.with_name("go")
    environment = os.pathsep.join((str(Path(minimax_magic.__file__).parents[1]), str(HERE)))
    workers = [
        subprocess.Popen(
            [sys.executable, HERE / "ledger_workers.py", "migrate", path, go],
            env={**os.environ, "PYTHONPATH": environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        go.touch()
        assert [worker.wait(60) for worker in workers] == [0] * 6
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert version(path) == len(MIGRATIONS) + 20
    assert look(path, "SELECT count(*) FROM requests") == [(6 + there,)]
    assert look(path, "SELECT count(*), max(number) FROM steps") == [(20, 19)]
