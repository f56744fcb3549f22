"""Where recorded answers are kept: an SQLite database, a JSON file for git, or this process's memory.

Real and simulated answers to the same request are kept side by side. Several processes may use one file
at the same time. What cannot be read is told, and never replaced.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from minimax_magic.errors import ConfigError
from minimax_magic.replay.recording import Recording, is_whole
from minimax_magic.words import system_reason

MEMORY: Final = ":memory:"
_VERSION: Final = 1
# "MMrp", by which SQLite's files are told apart
_APPLICATION: Final = 0x4D4D7270
# Twenty kernels write within milliseconds; a disk may stand still for longer.
_BUSY_S: Final = 30.0
_SURROGATE = re.compile("[\ud800-\udfff]")

_TABLE: Final = f"""
    CREATE TABLE answers (
        key TEXT NOT NULL,
        simulated INTEGER NOT NULL,
        recording TEXT NOT NULL,
        PRIMARY KEY (key, simulated)
    );
    PRAGMA application_id = {_APPLICATION};
    PRAGMA user_version = {_VERSION};
"""


class ReplayStore(Protocol):
    """Recordings by the key of their request. Both methods may wait for the disk or another process,
    and be called from any thread."""

    def get(self, key: str, *, simulated: bool | None) -> Recording | None:
        """What was recorded; None if nothing was.

        Args:
            simulated: Only a simulator's answer, or only a real one; None: the real one, else the
                simulated one.

        Raises:
            ConfigError: The file cannot be read, or is none of this kind.
        """
        ...

    def put(self, key: str, recording: Recording) -> None:
        """Keeps an answer, instead of one of the same kind that was there.

        Raises:
            ConfigError: The file cannot be written, or is none of this kind.
            ValueError: The answer is not whole.
        """
        ...


def open_store(path: str, label: str | None = None) -> ReplayStore:
    """The store of that path, the same one for all of this process. The file is opened when it is used.

    Args:
        path: Absolute. `*.json` is a readable file, `:memory:` this process, all else SQLite.
        label: The same as errors name it; None: as `path`.
    """
    with _opening:
        store = _stores.get(path)
        if store is None:
            store = _stores[path] = _new_store(path, label)
        return store


def _new_store(path: str, label: str | None) -> ReplayStore:
    if path == MEMORY:
        return MemoryStore()
    kind = JsonStore if path.lower().endswith(".json") else SqliteStore
    return kind(Path(path), label)


_stores: dict[str, ReplayStore] = {}
_opening = threading.Lock()


class MemoryStore:
    """Is gone when the process ends."""

    def __init__(self) -> None:
        self._recordings: dict[tuple[str, bool], Recording] = {}

    def get(self, key: str, *, simulated: bool | None) -> Recording | None:
        found = (self._recordings.get((key, kind)) for kind in _kinds(simulated))
        return next(filter(None, found), None)

    def put(self, key: str, recording: Recording) -> None:
        _check(recording)
        self._recordings[key, recording.reply.simulated] = recording


# --------------------------------------------------------------------------------------- SQLite


class SqliteStore:
    """An SQLite file, for its owner alone.

    Each use opens it afresh, which takes less than a millisecond: so nothing is held that a fork or
    another program could come in the way of.
    """

    def __init__(self, path: Path, label: str | None = None) -> None:
        self.path = path
        self.label = label or str(path)

    def __repr__(self) -> str:
        return f"SqliteStore({self.label!r})"

    def get(self, key: str, *, simulated: bool | None) -> Recording | None:
        with self._told("read"):
            if not self.path.exists():
                return None
            with self._connected() as connection:
                connection.execute("BEGIN")  # all of it as of one moment
                if self._is_new(connection):  # another process is just making it
                    return None
                kinds = _kinds(simulated)
                row = connection.execute(
                    "SELECT recording FROM answers WHERE key = ? AND simulated BETWEEN ? AND ? "
                    "ORDER BY simulated LIMIT 1",
                    (key, kinds[0], kinds[-1]),
                ).fetchone()
        return None if row is None else self._recording(row[0])

    def put(self, key: str, recording: Recording) -> None:
        _check(recording)
        text = json.dumps(recording.to_json())
        with self._told("written"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # what models were told and answered is nobody else's business
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            with self._connected() as connection:
                connection.execute("BEGIN IMMEDIATE")
                if self._is_new(connection):
                    for statement in _TABLE.split(";"):
                        connection.execute(statement)
                connection.execute(
                    "INSERT OR REPLACE INTO answers (key, simulated, recording) VALUES (?, ?, ?)",
                    (key, recording.reply.simulated, text),
                )
                connection.execute("COMMIT")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        # `rw`: one that may only be read is read, and one that is gone is not made
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=_BUSY_S,
            isolation_level=None,
        )
        try:
            yield connection
        finally:
            connection.close()  # what is not committed is undone

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        """Whether nothing at all is in the file.

        Raises:
            ConfigError: Something else is.
        """
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application == _APPLICATION:
            if version > _VERSION:
                raise _newer(self.label)
            return False
        if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None or version:
            raise _alien(self.label)
        return True

    def _recording(self, text: str) -> Recording:
        try:
            return Recording.from_json(json.loads(text))
        except (ValueError, TypeError) as error:
            raise _damaged(self.label, str(error)) from None

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _unusable(self.label, done, system_reason(error)) from None
        except sqlite3.OperationalError as error:  # locked, a full disk, no permission
            raise _unusable(self.label, done, str(error)) from None
        except sqlite3.DatabaseError as error:
            raise _damaged(self.label, str(error)) from None


# ----------------------------------------------------------------------------------------- JSON


@dataclass(frozen=True, slots=True)
class _Content:
    """What was in a JSON file, and of which state of the file that is."""

    state: tuple[int, ...]
    document: dict[str, Any]


class JsonStore:
    """A JSON file for people and git: sorted, one value a line, and always whole.

    It is read again when it has changed: another process, or git, may have written it.
    """

    def __init__(self, path: Path, label: str | None = None) -> None:
        self.path = path
        self.label = label or str(path)
        self._last: _Content | None = None  # replaced as one, since threads read it

    def __repr__(self) -> str:
        return f"JsonStore({self.label!r})"

    def get(self, key: str, *, simulated: bool | None) -> Recording | None:
        answers = self._read()["answers"].get(key, {})
        for kind in _kinds(simulated):
            if (data := answers.get(_NAMES[kind])) is not None:
                try:
                    return Recording.from_json(data)
                except ValueError as error:
                    raise _damaged(self.label, f"answer {key[:12]}: {error}") from None
        return None

    def put(self, key: str, recording: Recording) -> None:
        _check(recording)
        kind = _NAMES[recording.reply.simulated]
        with self._alone():
            document = self._parsed()  # and not what was read before
            answers = document["answers"]
            kinds = {**answers.get(key, {}), kind: recording.to_json()}
            self._write({**document, "answers": {**answers, key: kinds}})

    def _read(self) -> dict[str, Any]:
        try:
            status = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return self._empty()
        except OSError:
            return self._parsed()  # which says why
        state = (status.st_ino, status.st_size, status.st_mtime_ns)
        last = self._last
        if last is None or last.state != state:
            self._last = last = _Content(state, self._parsed())
        return last.document

    def _parsed(self) -> dict[str, Any]:
        try:
            data = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return self._empty()
        except OSError as error:
            raise _unusable(self.label, "read", system_reason(error)) from None
        if not data.strip():
            return self._empty()
        try:
            document = json.loads(data.decode("utf-8-sig"))
        except json.JSONDecodeError as error:
            raise _damaged(f"{self.label} line {error.lineno}", error.msg) from None
        except (ValueError, RecursionError):
            raise _damaged(self.label, "it is no JSON text") from None
        match document:
            case {"version": int(version), "answers": _} if version > _VERSION:
                raise _newer(self.label)
            case {"version": 1, "answers": dict(answers)}:
                if all(isinstance(kinds, dict) for kinds in answers.values()):
                    return {**document}
                raise _damaged(self.label, "an answer is no mapping")
        raise _alien(self.label)

    def _empty(self) -> dict[str, Any]:
        return {"version": _VERSION, "answers": {}}

    def _write(self, document: dict[str, Any]) -> None:
        """All of the file or nothing; who may read it stays as it is."""
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
        # half a character cannot be in a file, but its escape can
        text = _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
        target = Path(os.path.realpath(self.path))  # a link stays one
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
        try:
            mode: int | None = None  # as any file of a project: what the umask leaves
            if target.exists():
                # it would be replaced although nobody may write into it
                os.close(os.open(target, os.O_WRONLY))
                mode = stat.S_IMODE(target.stat().st_mode)
            try:
                with temporary.open("x", encoding="utf-8", newline="\n") as file:
                    if mode is not None:
                        temporary.chmod(mode)
                    file.write(text + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, target)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
        except OSError as error:
            raise _unusable(self.label, "written", system_reason(error)) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one process, and one thread in it, is inside at a time."""
        from filelock import FileLock, Timeout

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # A new object each time: one of them is for one holder. Whom the umask lets write the file
            # may lock it, too.
            name = self.path.with_name(f".{self.path.name}.lock")
            lock = FileLock(name, timeout=_BUSY_S, mode=0o666, thread_local=False)
            lock.acquire()
        except Timeout:
            raise _unusable(
                self.label, "written", f"another process has been writing it for {_BUSY_S:g} s"
            ) from None
        except OSError as error:
            raise _unusable(self.label, "written", system_reason(error)) from None
        try:
            yield
        finally:
            lock.release()


_NAMES: Final = {False: "real", True: "simulated"}


def _kinds(simulated: bool | None) -> tuple[bool, ...]:
    """Which recordings are meant, the best first."""
    return (False, True) if simulated is None else (simulated,)


def _check(recording: Recording) -> None:
    if not is_whole(recording.reply):
        raise ValueError("only whole answers are recorded")


# --------------------------------------------------------------------------------------- errors


_ANOTHER: Final = "name another one with --cache-file or MINIMAX_CACHE_FILE"


def _unusable(label: str, done: str, reason: str) -> ConfigError:
    return ConfigError(
        f"The recorded answers in {label} cannot be {done}: {reason}.",
        hint=f"Check file, folder and disk, or {_ANOTHER}.",
    )


def _damaged(label: str, reason: str) -> ConfigError:
    return ConfigError(
        f"The recorded answers in {label} are damaged: {reason}.",
        hint="Mend the file, or move it away, and a new one is begun by `--cache record`.",
    )


def _newer(label: str) -> ConfigError:
    return ConfigError(
        f"The recorded answers in {label} were written by a newer version of minimax_magic.",
        hint=f"Update it: `pip install -U minimax-magic`, or {_ANOTHER}.",
    )


def _alien(label: str) -> ConfigError:
    return ConfigError(
        f"{label} is a file of something else, not of recorded answers.",
        hint=f"It was left as it is; {_ANOTHER}.",
    )
