"""The ledger: one row for each HTTP request that may have cost something, in SQLite; and one for each
answer that was replayed instead.

A row is written before its request goes out and closed afterwards, so a kernel that is killed leaves
one that is open; whoever looks next sees that its process is gone and takes it for interrupted, with
the estimate that it holds. Prompts and answers are not in here.

Everything that writes is queued to one thread: what waits for the disk, or for another kernel, is not
the event loop. Reading waits for what this process has queued before.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

from minimax_magic.errors import ConfigError, MinimaxError
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage import sql
from minimax_magic.usage.presence import Presence
from minimax_magic.usage.rows import (
    BudgetState,
    Group,
    GroupBy,
    Limit,
    NewRequest,
    Outcome,
    Record,
    Selection,
    Totals,
)
from minimax_magic.usage.schema import MIGRATIONS, migrate
from minimax_magic.words import system_reason

EVERYTHING: Final = Selection()
MEMORY: Final = ":memory:"
# Twenty kernels write within milliseconds; a disk may stand still for longer.
_BUSY_S: Final = 30.0


class OverBudget(MinimaxError):
    """A row was not written, because its request could exceed this budget.

    Attributes:
        left: What there is; below zero if more was spent than it allows.
    """

    def __init__(self, budget: BudgetState) -> None:
        super().__init__(f"The budget of this {budget.scope} does not allow it.")
        self.budget = budget
        self.left = budget.limit - budget.spent - budget.reserved


@dataclass(frozen=True, slots=True)
class _Job:
    """Something to be written, by `work` with a connection and the arguments; None: nothing is."""

    work: Callable[..., Any] | None
    arguments: tuple[Any, ...]
    done: Future[Any] = field(default_factory=Future)

    def run(self, connection: sqlite3.Connection) -> Any:
        if self.work is None:
            return None
        try:
            return self.work(connection, *self.arguments)
        except OverBudget as over:  # it has written nothing: what is beside it goes on
            return over


class Ledger:
    """One file, shared by all kernels of a machine. All methods may be called from any thread.

    The file is opened at the first use.

    Args:
        path: Where it is, absolute; `:memory:` keeps it in this process.
        label: The same as errors name it; None: as `path`.

    Raises:
        ConfigError: From every method that reads: it cannot be opened, or is damaged.
    """

    def __init__(
        self, path: str, label: str | None = None, *, migrations: Sequence[str] = MIGRATIONS
    ) -> None:
        self.path = path
        self.label = label or path
        self._migrations = migrations
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._jobs: deque[_Job] = deque()
        self._begin()

    def _begin(self) -> None:
        beside = None if self.path == MEMORY else Path(f"{self.path}.processes")
        self._pid = os.getpid()
        self._presence = Presence(beside)
        self._writer = _new_writer()

    def __repr__(self) -> str:
        return f"Ledger({self.label!r})"

    @property
    def process(self) -> str:
        """Id of this process in `Record.process`."""
        self._after_fork()
        return self._presence.process

    # ------------------------------------------------------------------------------- writing

    def open_row(self, new: NewRequest, limits: Sequence[Limit] = ()) -> Future[int]:
        """Writes the row of a request that is about to go out; gives its id.

        With limits its worst case is reserved in the same step, so that no two requests, of whatever
        kernel, are let through by the same dollar. The future fails with `OverBudget`, or with
        ConfigError if the file cannot be written.
        """
        return self._queue(self._insert, new, tuple(limits))

    def add_row(self, new: NewRequest, outcome: Outcome) -> Future[int]:
        """Writes the row of what is over already: an answer that was replayed. Gives its id."""
        return self._queue(self._insert_ended, new, outcome)

    def update_row(
        self, row: int, usage: TokenUsage, cost: Decimal | None, *, simulated: bool
    ) -> Future[None]:
        """Better estimates for a row that is still open, in case that this process dies."""
        return self._queue(sql.update, row, sql.estimated(usage, cost, simulated=simulated))

    def close_row(self, row: int, outcome: Outcome) -> Future[None]:
        """What became of it, and nothing is reserved any more."""
        return self._queue(sql.update, row, sql.closed(outcome))

    def remove_row(self, row: int) -> Future[None]:
        """Forgets a request that never went out."""
        return self._queue(sql.remove, row)

    def written(self) -> Future[None]:
        """Is done when all that was queued before is written, or was refused by the disk."""
        return self._queue(None)

    def warm(self) -> None:
        """Opens the file ahead of its first use, without anybody waiting for it."""
        self._queue(sql.nothing)

    def close(self) -> None:
        """Writes what is queued, ends the thread and lets go of the file; the next use goes on.

        What is under way stays under way, and what is in memory stays there.
        """
        self._after_fork()
        self._writer.shutdown(wait=True)
        with self._lock:
            self._writer = _new_writer()
            if self._connection is None or self.path == MEMORY:
                return
            query = "SELECT 1 FROM requests WHERE status = 'open' AND process = ? LIMIT 1"
            with suppress(sqlite3.Error):  # a damaged file cannot tell, and is let go of
                if self._connection.execute(query, (self.process,)).fetchone() is None:
                    self._presence.leave()
            self._connection.close()
            self._connection = None

    # ------------------------------------------------------------------------------- reading

    def records(
        self,
        selection: Selection = EVERYTHING,
        *,
        order: Literal["newest", "dearest"] = "newest",
        limit: int | None = None,
    ) -> list[Record]:
        """The records of a selection.

        Args:
            order: `dearest`: without a known price last, and then those that were replayed.
            limit: Most of them; None: all.
        """
        where, values = sql.where_of(selection)
        dearest = "replayed, cost DESC, started_at DESC"
        by = dearest if order == "dearest" else "started_at DESC, id DESC"
        query = f"SELECT {sql.COLUMNS} FROM requests{where} ORDER BY {by} LIMIT ?"
        return [
            sql.record_of(row) for row in self._read(query, *values, -1 if limit is None else limit)
        ]

    def totals(
        self, selection: Selection = EVERYTHING, *, without: Collection[int] | None = None
    ) -> Totals:
        """Their sums.

        Args:
            without: Leave out these rows, and all that cells of this process have under way; None:
                nothing.
        """
        where, values = sql.where_of(selection)
        if without is not None:
            marks = ", ".join("?" * len(without))
            ours = f"(status = 'open' AND process = ? AND cell NOTNULL) OR id IN ({marks})"
            where = f"{where} {'AND' if where else 'WHERE'} NOT ({ours})"
            values += [self.process, *without]
        return sql.totals_of(self._read(f"SELECT {sql.SUMS} FROM requests{where}", *values)[0])

    def groups(self, selection: Selection, by: GroupBy) -> list[Group]:
        """Their sums, apart by day (the earliest first) or by something else (the dearest first)."""
        where, values = sql.where_of(selection)
        order = "1" if by == "day" else f"sum(cost) DESC, {sql.COUNT} DESC, 1"
        query = (
            f"SELECT {sql.KEYS[by]}, {sql.SUMS} FROM requests{where} GROUP BY 1 ORDER BY {order}"
        )
        return [Group(key, sql.totals_of(sums)) for key, *sums in self._read(query, *values)]

    def grid(self, selection: Selection, by: GroupBy) -> list[tuple[str, str | None, Totals]]:
        """Their sums by local day and something else; the earliest day first."""
        where, values = sql.where_of(selection)
        query = (
            f"SELECT {sql.DAY}, {sql.KEYS[by]}, {sql.SUMS} FROM requests{where} "
            "GROUP BY 1, 2 ORDER BY 1, sum(cost) DESC, 2"
        )
        return [(day, key, sql.totals_of(sums)) for day, key, *sums in self._read(query, *values)]

    def models(self, *, simulated: bool | None = None) -> list[str]:
        """The models of all records, the one with most requests first."""
        where, values = sql.where_of(Selection(simulated=simulated))
        query = f"SELECT model FROM requests{where} GROUP BY model ORDER BY {sql.COUNT} DESC, model"
        return [model for (model,) in self._read(query, *values)]

    def was_simulated(self, region: str) -> bool:
        """Whether a simulator gave the last answer from that region, whatever kernel had asked."""
        with self._opened() as connection:
            return sql.was_simulated(connection, region)

    def budget(self, limit: Limit) -> BudgetState:
        """How a budget stands."""
        self.written().result()
        with self._opened() as connection:
            self._mourn(connection)
            return sql.budget_of(connection, limit)

    # --------------------------------------------------------------------- on the writer's thread

    def _write(self) -> None:
        """Writes what is queued, all of it in one step: each step is one that other kernels wait for."""
        jobs: list[_Job] = []
        with suppress(IndexError):
            while True:
                job = self._jobs.popleft()
                if job.done.set_running_or_notify_cancel():
                    jobs.append(job)
        self._settle(jobs)

    def _settle(self, jobs: list[_Job]) -> None:
        try:
            outcomes = (
                self._in_one_step(jobs) if any(job.work for job in jobs) else [None] * len(jobs)
            )
        except BaseException as error:
            if len(jobs) == 1:
                jobs[0].done.set_exception(error)
                return
            # nothing is written yet; what can be is, and each is told of its own failure
            for job in jobs:
                self._settle([job])
            return
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, OverBudget):
                job.done.set_exception(outcome)
            else:
                job.done.set_result(outcome)

    def _in_one_step(self, jobs: list[_Job]) -> list[Any]:
        with self._opened() as connection:
            self._presence.announce()
            connection.execute("BEGIN IMMEDIATE")
            try:
                outcomes = [job.run(connection) for job in jobs]
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise
        return outcomes

    def _insert(
        self, connection: sqlite3.Connection, new: NewRequest, limits: tuple[Limit, ...]
    ) -> int:
        if limits:
            self._mourn(connection)
            over = [OverBudget(sql.budget_of(connection, it)) for it in limits]
            # of several the one with least left: what is advised must fit all of them
            tightest = min(over, key=lambda it: it.left)
            assert new.most is not None
            if new.most > tightest.left:
                raise tightest
        return sql.insert(connection, sql.opened(new, self._presence.process))

    def _insert_ended(
        self, connection: sqlite3.Connection, new: NewRequest, outcome: Outcome
    ) -> int:
        begun = sql.opened(new, self._presence.process)
        return sql.insert(connection, {**begun, **sql.closed(outcome)})

    def _mourn(self, connection: sqlite3.Connection) -> None:
        """Takes the open rows of processes that are gone for what they are."""
        query = "SELECT DISTINCT process FROM requests WHERE status = 'open' AND process <> ?"
        for (process,) in connection.execute(query, (self._presence.process,)).fetchall():
            if not self._presence.lives(process):
                connection.execute(
                    "UPDATE requests SET status = 'interrupted', reserved = NULL "
                    "WHERE status = 'open' AND process = ?",
                    (process,),
                )

    # ------------------------------------------------------------------------------- the file

    def _queue(self, work: Callable[..., Any] | None, *arguments: Any) -> Future[Any]:
        self._after_fork()
        job = _Job(work, arguments)
        self._jobs.append(job)
        try:
            self._writer.submit(self._write)
        except RuntimeError:  # the interpreter is ending, and starts nothing on threads any more
            self._write()
        return job.done

    def _read(self, query: str, *values: Any) -> list[Any]:
        self.written().result()
        with self._opened() as connection:
            self._mourn(connection)
            return connection.execute(query, values).fetchall()

    def _after_fork(self) -> None:
        """A forked process has neither the thread nor a right to the connection and the name."""
        if self._pid != os.getpid():
            self._lock = threading.RLock()
            if self._connection is not None:
                self._connection.close()  # before another is opened: SQLite shares what it knows
                self._connection = None
            self._jobs = deque()
            self._begin()

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                yield self._connection
            except sqlite3.Error as error:
                if _is_damage(error) and self._connection is not None and self.path != MEMORY:
                    # whoever moves the file away is to get a new one
                    self._connection.close()
                    self._connection = None
                raise self._trouble(error) from None
            except OSError as error:
                raise ConfigError(
                    f"The ledger {self.label} cannot be written: {system_reason(error)}.",
                    hint="Set MINIMAX_LEDGER to a file that can be, or to :memory:.",
                ) from None

    def _connect(self) -> sqlite3.Connection:
        if self.path == MEMORY:
            address = f"file:{uuid.uuid4().hex}?mode=memory"
            connection = sqlite3.connect(
                address, uri=True, check_same_thread=False, isolation_level=None
            )
            migrate(connection, self.label, self._migrations)
            return connection
        from filelock import FileLock

        _mind_forks(self)
        file = Path(self.path)
        file.parent.mkdir(parents=True, exist_ok=True)
        # switching to WAL does not wait for others, and two must not migrate: one at a time
        with FileLock(f"{self.path}.lock", timeout=_BUSY_S):
            # chat names and what was spent are nobody else's business
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            connection = sqlite3.connect(
                file, timeout=_BUSY_S, check_same_thread=False, isolation_level=None
            )
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                # a killed process loses nothing; only a power failure can take the last rows
                connection.execute("PRAGMA synchronous = NORMAL")
                migrate(connection, self.label, self._migrations)
            except BaseException:
                connection.close()
                raise
        return connection

    def _trouble(self, error: sqlite3.Error) -> ConfigError:
        if _is_damage(error):
            return ConfigError(
                f"The ledger {self.label} is damaged: {error}.",
                hint="Move it away, and a new one is begun.",
            )
        return ConfigError(
            f"The ledger {self.label} cannot be used: {error}.",
            hint="Check the disk, or set MINIMAX_LEDGER to another file or to :memory:.",
        )


def _new_writer() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="minimax-ledger")


_minded: list[Ledger] = []
_held: list[Ledger] = []


def _mind_forks(ledger: Ledger) -> None:
    """Has forks wait until nobody is inside SQLite: its locks would stay locked in the child.

    To be called when filelock is imported: it too holds threads up while a fork is made, and has to
    do so after us.
    """
    if not _minded and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_let_go)
    if ledger not in _minded:
        _minded.append(ledger)


def _hold() -> None:
    for ledger in tuple(_minded):
        ledger._lock.acquire()
        _held.append(ledger)


def _let_go() -> None:
    while _held:
        _held.pop()._lock.release()


_ledgers: dict[str, Ledger] = {}
_opening = threading.Lock()


def open_ledger(path: str, label: str | None = None) -> Ledger:
    """The ledger of that path, the same one for all of this process."""
    with _opening:
        ledger = _ledgers.get(path)
        if ledger is None:
            ledger = _ledgers[path] = Ledger(path, label)
        return ledger


def _is_damage(error: sqlite3.Error) -> bool:
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(
        error, sqlite3.OperationalError
    )
