"""Files of the secrets folder. The only place that opens them."""

from __future__ import annotations

import codecs
import logging
import os
import stat
from pathlib import Path

from pydantic import SecretStr

from minimax_magic.errors import ConfigError

_log = logging.getLogger(__name__)

# a key has about a hundred characters; whoever puts a larger file there has taken the wrong one
_MAX_BYTES = 64 * 1024


class SecretStore:
    """Reads `./secrets`. Nothing is kept but which files have been warned about.

    Args:
        folder: Need not exist.
        label: The folder as people know it, `secrets`.
    """

    def __init__(self, folder: Path, label: str = "secrets") -> None:
        self.folder = folder
        self.label = label
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        return f"SecretStore({str(self.folder)!r})"

    def label_of(self, name: str) -> str:
        """`secrets/minimax_code_plan_key.txt`."""
        return f"{self.label}/{name}"

    def read(self, name: str) -> SecretStr | None:
        """The text of a file; None if there is no such file.

        A file that every user of the machine may read is used, with one warning in the log.

        Raises:
            ConfigError: It is there, but cannot be read or is not text.
        """
        path = self.folder / name
        try:
            status = path.stat()
            text = _text(path) if stat.S_ISREG(status.st_mode) else None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise ConfigError(
                f"{self.label_of(name)} cannot be read: {reason}.",
                hint="Check that it is a file you may read.",
            ) from None
        if text is None:
            raise ConfigError(
                f"{self.label_of(name)} is not a text file.",
                hint="It should hold the key and nothing else.",
            )
        self._warn_if_open(path, status.st_mode)
        return text

    def _warn_if_open(self, path: Path, mode: int) -> None:
        """Warns when others can read the file: its own bits and the way through the folder."""
        if os.name != "posix" or path.name in self._warned or not mode & stat.S_IROTH:
            return
        if os.stat(path.parent).st_mode & stat.S_IXOTH:
            self._warned.add(path.name)
            _log.warning(
                "%s can be read by every user of this machine; `chmod 600` it.",
                self.label_of(path.name),
            )


def _text(path: Path) -> SecretStr | None:
    """None if this is no text. Bytes are held in no frame that raises anything but OSError."""
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        return None
    # PowerShell 5 writes UTF-16 with `>`
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return SecretStr(data.decode("utf-16" if utf16 else "utf-8-sig"))
    except UnicodeDecodeError:
        return None
