"""Files of the secrets folder: who may see them, and how they are written so that a kill at any moment
leaves either the old file or the new one. The only place that opens them."""

from __future__ import annotations

import codecs
import glob
import logging
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from minimax_magic.errors import ConfigError
from minimax_magic.words import system_reason

_log = logging.getLogger(__name__)

# a key has about a hundred characters; whoever puts a larger file there has taken the wrong one
_MAX_BYTES = 64 * 1024
_TEMPORARY = ".tmp"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_IGNORED = ("minimax*", ".minimax*")


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
            raise ConfigError(
                f"{self.label_of(name)} cannot be read: {system_reason(error)}.",
                hint="Check that it is a file you may read.",
            ) from None
        if text is None:
            raise ConfigError(
                f"{self.label_of(name)} is not a text file.",
                hint="It should hold the key and nothing else.",
            )
        self._warn_if_open(path, status.st_mode)
        return text

    def write(self, name: str, secret: SecretStr) -> None:
        """Writes a file that only its owner can read, in one step.

        Raises:
            ConfigError: It cannot be written.
        """
        write_private(
            self.folder / name, f"{secret.get_secret_value()}\n".encode(), self.label_of(name)
        )

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


def write_private(path: Path, data: bytes, label: str) -> None:
    """Writes a file for its owner alone (0600): whole, on the disk, or not at all.

    A kill in the middle may leave a temporary file beside it, see `leftovers`.

    Args:
        label: The file as people know it.

    Raises:
        ConfigError: It cannot be written.
    """
    data = _Unshown(data)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{_TEMPORARY}")
    try:
        prepare_folder(path.parent)
        try:
            # O_EXCL: never through a link that somebody else put there
            with open(os.open(temporary, _NEW_FILE, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise ConfigError(
            f"{label} cannot be written: {system_reason(error)}.",
            hint="Check the folder's permissions and the space on the disk.",
        ) from None


class _Unshown(bytes):
    """Bytes whose repr is `b'***'`: a traceback may show local variables."""

    def __repr__(self) -> str:
        return "b'***'"


def leftovers(path: Path) -> list[Path]:
    """Temporary files that a killed writer of this file left behind."""
    return sorted(path.parent.glob(f".{glob.escape(path.name)}.{'?' * 12}{_TEMPORARY}"))


def prepare_folder(folder: Path) -> None:
    """Makes a folder of secrets: for its owner alone (0700), and with all in it ignored by git.

    A folder that is there already is only changed if it is called `secrets`: somebody may keep a
    bundle in their home folder.

    Raises:
        OSError: It cannot be made.
    """
    made = not folder.is_dir()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not made and folder.name != "secrets":
        return
    if os.name == "posix" and folder.stat().st_mode & 0o077:
        with suppress(PermissionError):  # somebody else's folder: the file itself is 0600
            folder.chmod(0o700)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    elif "*" not in (lines := ignore.read_text(errors="replace").splitlines()):
        # whoever keeps other files here in git still must not commit ours
        missing = [line for line in _IGNORED if line not in lines]
        if missing:
            with ignore.open("a") as file:
                file.write("\n" + "\n".join(missing) + "\n")


def _sync_folder(folder: Path) -> None:
    """Puts the replacing itself on the disk; Windows has no such thing."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
