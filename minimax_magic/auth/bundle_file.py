"""The bundle's file: read when it changed, written in one step, changed by one process at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from minimax_magic.auth.bundle import TokenBundle, bundle_text, parse_bundle
from minimax_magic.auth.store import SecretStore, leftovers, prepare_folder, write_private
from minimax_magic.clock import Clock
from minimax_magic.errors import ConfigError
from minimax_magic.words import system_reason

if TYPE_CHECKING:
    from filelock import BaseFileLock

_log = logging.getLogger(__name__)

BUNDLE_FILE = "minimax_token_plan.json"
# what nexo-rs writes
NEXO_BUNDLE_FILE = "minimax_portal.json"

_LOCK_POLL_S = 0.05
# A refresh may take three tries of half a minute; who holds the lock longer than that hangs.
_LOCK_PATIENCE_S = 120.0


class BundleBusy(ConfigError):
    """Another process has been changing the bundle for too long."""


class BundleFile:
    """One login on disk.

    Args:
        label: The file as people know it, `secrets/minimax_token_plan.json`.
    """

    def __init__(self, path: Path, label: str | None = None) -> None:
        self.path = path
        self.label = label or str(path)
        self._store = SecretStore(path.parent, str(Path(self.label).parent))
        # what was read last, and of which state of the file; replaced as one, since two threads read
        self._last: tuple[tuple[int, ...], TokenBundle] | None = None

    def __repr__(self) -> str:
        return f"BundleFile({self.label!r})"

    def read(self) -> TokenBundle | None:
        """What is in the file now; None if there is none.

        Raises:
            ConfigError: It is damaged; a copy of it is kept beside it.
        """
        try:
            status = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return self._parse()  # which says why
        state = (status.st_ino, status.st_size, status.st_mtime_ns)
        last = self._last
        if last is not None and last[0] == state:
            return last[1]
        bundle = self._parse()
        if bundle is not None:
            self._last = state, bundle
        return bundle

    def write(self, bundle: TokenBundle) -> None:
        """Replaces the file. To be called under `lock`.

        Raises:
            ConfigError: It cannot be written; the old one is untouched.
        """
        write_private(self.path, bundle_text(bundle).encode(), self.label)

    def remove(self) -> bool:
        """Deletes the file and all copies of it; False if there was none. To be called under `lock`.

        Raises:
            ConfigError: It cannot be deleted.
        """
        try:
            for other in (*leftovers(self.path), self._damaged):
                other.unlink(missing_ok=True)
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ConfigError(
                f"{self.label} cannot be deleted: {system_reason(error)}.",
                hint="Check the folder's permissions.",
            ) from None
        return True

    @asynccontextmanager
    async def lock(
        self, clock: Clock, patience_s: float = _LOCK_PATIENCE_S
    ) -> AsyncGenerator[None, None]:
        """Only one process, and one task in it, is inside at a time.

        The system drops the lock of a process that ends, however it ends.

        Raises:
            BundleBusy: Somebody else was inside for longer than `patience_s`.
            ConfigError: The folder cannot be written.
        """
        from filelock import FileLock, Timeout

        # a new object each time: one of them is for one holder. In the folder of the bundle, so that
        # whoever can change the bundle can lock it.
        lock: BaseFileLock = FileLock(
            self.path.with_name(f".{self.path.name}.lock"), mode=0o600, thread_local=False
        )
        give_up_at = clock.monotonic() + patience_s
        while True:
            try:
                prepare_folder(self.path.parent)
                lock.acquire(timeout=0)
                break
            except Timeout:
                if clock.monotonic() >= give_up_at:
                    raise BundleBusy(
                        f"Another process has been renewing {self.label} for {patience_s:g} s.",
                        hint="Try again; if it goes on, restart the other kernels.",
                    ) from None
            except OSError as error:
                raise ConfigError(
                    f"{self.label} cannot be locked: {system_reason(error)}.",
                    hint="The folder must be writable, since a token is renewed there.",
                ) from None
            await clock.sleep(_LOCK_POLL_S)
        try:
            self._take_over_leftovers()
            yield
        finally:
            lock.release()

    def _take_over_leftovers(self) -> None:
        """A writer that was killed just before the last step may have left newer tokens than those in
        the file, whose refresh token is used up by then."""
        for left in leftovers(self.path):
            try:
                if self._newer(left):
                    os.replace(left, self.path)
                    _log.info("took over a bundle whose writer was killed: %s", self.label)
                else:
                    left.unlink()
            except OSError as error:  # somebody else's file: in nobody's way
                _log.info("left %s alone: %s", left.name, error.strerror)

    def _newer(self, left: Path) -> bool:
        """Whether a leftover is whole, and newer than the file; no file means a logout.

        By the time of the file, not by what it says: a clock may have been set back, and two refreshes
        may come within a second.
        """
        try:
            found = parse_bundle(left.read_text(), left.name)
        except (ConfigError, UnicodeDecodeError):
            return False
        try:
            current = self.read()
        except ConfigError:
            return True
        if current is None or found.access_token == current.access_token:
            return False
        return left.stat().st_mtime_ns >= self.path.stat().st_mtime_ns

    def _parse(self) -> TokenBundle | None:
        try:
            text = self._store.read(self.path.name)
            return None if text is None else parse_bundle(text.get_secret_value(), self.label)
        except ConfigError as error:
            raise ConfigError(
                f"{error.message} {self._keep_copy()}",
                hint="Mend it, or log in again with `%minimax login`.",
            ) from None

    @property
    def _damaged(self) -> Path:
        return self.path.with_name(f"{self.path.name}.damaged")

    def _keep_copy(self) -> str:
        """Copies the file as it is, since the next login replaces it; says where to."""
        kept = self._store.label_of(self._damaged.name)
        try:
            write_private(self._damaged, self.path.read_bytes(), kept)
        except (ConfigError, OSError):
            return "No copy of it could be made."
        return f"A copy is in {kept}."
