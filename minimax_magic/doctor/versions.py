"""What is installed, and where this runs: for the last line of the doctor and for a report."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Final

from minimax_magic import __version__

# What this program is tried with, beside what pyproject.toml asks for: `tests/doctor` compares both.
OLDEST: Final[Mapping[str, str]] = {
    "python": "3.11",
    "ipython": "8.18",
    "ipywidgets": "8.1",
    "anywidget": "0.9.13",
    "aiohttp": "3.11",
    "pydantic": "2.9",
    "ipykernel": "6.29",
    "jupyterlab": "4.2",
    "notebook": "7.2",
}
"""The oldest versions that are fit, those of front ends and kernels included."""

_PACKAGES: Final = (
    "ipython",
    "ipykernel",
    "ipywidgets",
    "anywidget",
    "aiohttp",
    "pydantic",
    "jupyterlab",
    "notebook",
)

# A variable that a front end sets for its kernels, and what it is. First match wins: VS Code and Colab
# use Jupyter's parts and set its variables as well.
_FRONT_ENDS: Final = (
    ("COLAB_RELEASE_TAG", "Google Colab"),
    ("VSCODE_PID", "VS Code"),
    ("VSCODE_CWD", "VS Code"),
    ("JPY_SESSION_NAME", "JupyterLab or Notebook"),
    ("JPY_PARENT_PID", "Jupyter"),
)


@dataclass(frozen=True, slots=True)
class Versions:
    """What is here.

    Attributes:
        packages: Name and version, `python` first; those that are not installed are left out.
        front_end: For people: `VS Code`, `terminal`.
        system: `Linux 6.1`, without the machine's name.
    """

    packages: tuple[tuple[str, str], ...]
    front_end: str
    system: str

    def too_old(self) -> tuple[tuple[str, str, str], ...]:
        """Name, version and the oldest one that is fit, of what is older."""
        return tuple(
            (name, version, OLDEST[name])
            for name, version in self.packages
            if name in OLDEST and _numbers(version) < _numbers(OLDEST[name])
        )


def versions_here(environ: Mapping[str, str]) -> Versions:
    """Those of this process.

    Args:
        environ: Its environment variables, which tell the front end.
    """
    packages = [("python", platform.python_version()), ("minimax-magic", __version__)]
    for name in _PACKAGES:
        try:
            packages.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue  # most of them are somebody else's choice
    return Versions(tuple(packages), front_end(environ), f"{platform.system()} {_release()}")


def front_end(environ: Mapping[str, str]) -> str:
    """Where this runs, as far as the variables tell."""
    for variable, name in _FRONT_ENDS:
        if environ.get(variable):
            return name
    # a terminal of VS Code is a terminal, but a kernel there sets neither of the above on a server
    if environ.get("TERM_PROGRAM") == "vscode":
        return "VS Code's terminal"
    return "a kernel of Jupyter" if "ipykernel" in sys.modules else "terminal"


def _release() -> str:
    """The system's version without what tells whose machine it is."""
    found = re.match(r"[\d.]+", platform.release())
    return found[0].rstrip(".") if found else ""


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
