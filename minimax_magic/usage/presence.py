"""Which processes still live: each holds a lock that the system takes away when it dies.

A process id alone does not tell, since it is used again; nor does a time, since a laptop sleeps.
"""

from __future__ import annotations

import atexit
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

# What a killed process leaves is empty; it is looked for no sooner than this.
_LEFTOVER_S = 86_400.0


class Presence:
    """This process among those that share a folder.

    Args:
        folder: Holds a file for each live process; None: nobody else looks, and nobody else is there.

    Attributes:
        process: Id of this process, never used twice.
    """

    def __init__(self, folder: Path | None) -> None:
        self.process = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._pid = os.getpid()
        self._folder = folder
        self._lock: BaseFileLock | None = None

    def announce(self) -> None:
        """Takes the lock. To be done before anything is written in the name of `process`.

        Raises:
            OSError: The folder cannot be written.
        """
        if self._folder is None or self._lock is not None:
            return
        from filelock import FileLock

        self._folder.mkdir(parents=True, exist_ok=True)
        self._clear()
        path = self._path(self.process)
        # not thread-local: whichever thread leaves may let go of it
        lock = FileLock(path, thread_local=False)
        lock.acquire()
        while not path.exists():  # another has just taken the file for a leftover
            lock.release()
            lock.acquire()
        self._lock = lock
        atexit.register(self.leave)

    def lives(self, process: str) -> bool:
        """Whether that process has not ended. Only of one that had announced itself."""
        if process == self.process:
            return True
        if self._folder is None or not (path := self._path(process)).exists():
            return False
        from filelock import FileLock, Timeout

        lock = FileLock(path, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        with suppress(OSError):  # a system that keeps open files: the lock tells all the same
            path.unlink(missing_ok=True)
        lock.release()
        return False

    def leave(self) -> None:
        """Lets go of the lock and takes its file away."""
        # a fork inherits this with all that is to be done at its exit; the lock is not its own
        if self._lock is not None and self._pid == os.getpid():
            atexit.unregister(self.leave)
            self._path(self.process).unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    def _clear(self) -> None:
        assert self._folder is not None
        for path in self._folder.glob("*.lock"):
            with suppress(OSError):  # gone meanwhile
                if path.stat().st_mtime < time.time() - _LEFTOVER_S:
                    self.lives(path.stem)

    def _path(self, process: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{process}.lock"
