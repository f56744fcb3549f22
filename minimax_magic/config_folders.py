"""Which folders are read and written.

Folders (a relative path in a variable starts at `start`, `~` is the home folder):

======== ===================== =========================================== =======================
what     variable              else, nearest upwards from `start`          else
======== ===================== =========================================== =======================
config   MINIMAX_CONFIG_DIR    `config/` with llm.yaml or agents.d in it   the user's config folder
secrets  MINIMAX_SECRETS_DIR   `secrets/` with a `minimax*` file in it,    `start`/secrets
                               else any `secrets/`
data     MINIMAX_DATA_DIR      -                                           the user's data folder
======== ===================== =========================================== =======================

The user's folders are those of platformdirs for `minimax_magic`. Upwards, a folder that another
user has put into a world-writable one (`/tmp/config`) is passed over: its `base_url` would get
our key.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import platformdirs

from minimax_magic.errors import ConfigError

_APP: Final = "minimax_magic"


class Folders:
    """The three folders, and what people call them.

    Args:
        start: None: the working folder.
        user_config_dir: Instead of the user's config folder of platformdirs.

    Raises:
        ConfigError: MINIMAX_CONFIG_DIR names no folder, or the working folder is gone.
    """

    def __init__(
        self, start: Path | None, environ: Mapping[str, str], user_config_dir: Path | None
    ) -> None:
        self.start = start = _absolute_start(start)
        named = _named_folder("MINIMAX_CONFIG_DIR", start, environ)
        if named is not None and not os.path.isdir(named):
            raise ConfigError(
                "The environment variable MINIMAX_CONFIG_DIR does not name a folder that exists.",
                hint="Unset it to use ./config.",
            )
        self.config = named or _config_folder(start, user_config_dir)
        self.secrets = (
            _named_folder("MINIMAX_SECRETS_DIR", start, environ)
            or _upwards(start, "secrets", _holds_our_secrets)
            or _upwards(start, "secrets", os.path.isdir)
            or start / "secrets"
        )
        self.data = _named_folder(
            "MINIMAX_DATA_DIR", start, environ
        ) or platformdirs.user_data_path(_APP, appauthor=False)
        self.config_label = label_of(self.config, start)
        self.secrets_label = label_of(self.secrets, start)

    def project(self) -> Path:
        """What `./` means in llm.yaml: the folder that holds `config/`."""
        return self.config.parent if self.config.name == "config" else self.config


def _absolute_start(start: Path | None) -> Path:
    try:
        return Path(os.path.abspath(start or "."))
    except OSError:
        raise ConfigError(
            "The working folder does not exist any more.", hint="Change to another with %cd."
        ) from None


def _named_folder(variable: str, start: Path, environ: Mapping[str, str]) -> Path | None:
    value = environ.get(variable, "").strip()
    return absolute(value, start) if value else None


def absolute(path: str | Path, base: Path) -> Path:
    """`path` from `base`, with `~` as the home folder and without `..`."""
    return Path(os.path.abspath(base / os.path.expanduser(path)))


def _config_folder(start: Path, user_config_dir: Path | None) -> Path:
    if (found := _upwards(start, "config", _holds_our_config)) is not None:
        return found
    user = user_config_dir or platformdirs.user_config_path(_APP, appauthor=False)
    return user if _holds_our_config(user) else start / "config"


def _upwards(start: Path, name: str, fits: Callable[[Path], bool]) -> Path | None:
    for parent in (start, *start.parents):
        if fits(folder := parent / name) and not _planted(folder):
            return folder
    return None


def _holds_our_config(folder: Path) -> bool:
    # a broken link counts too: reading it gives an error instead of silence
    return os.path.lexists(folder / "llm.yaml") or os.path.isdir(folder / "agents.d")


def _holds_our_secrets(folder: Path) -> bool:
    try:
        return any(name.startswith("minimax") for name in os.listdir(folder))
    except OSError:
        return False


def _planted(folder: Path) -> bool:
    """Whether another user put this folder where everybody may put things."""
    if os.name != "posix" or not os.stat(folder.parent).st_mode & stat.S_IWOTH:
        return False
    return os.lstat(folder).st_uid not in (0, os.getuid())


def label_of(folder: Path, start: Path) -> str:
    """A folder or file as people know it: from `start` if it is near, else from home."""
    if folder.parent in (start, *start.parents):
        return Path(os.path.relpath(folder, start)).as_posix()
    try:
        return f"~/{folder.relative_to(Path.home()).as_posix()}"
    except (ValueError, RuntimeError):  # elsewhere, or no home at all
        return folder.as_posix()
