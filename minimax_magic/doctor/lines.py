"""Findings as lines of a terminal or a pipe, each as it comes."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

from minimax_magic.doctor import report
from minimax_magic.doctor.findings import Finding, State

_GREEN, _YELLOW, _RED, _DIM, _OFF = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m", "\x1b[0m"
_COLOURS: Final[dict[State, str]] = {
    "ok": _GREEN,
    "note": "",
    "warning": _YELLOW,
    "failed": _RED,
    "skipped": _DIM,
}
# Longer lines are hard to read, however wide the window is.
_WIDEST: Final = 100
_MARK = re.compile(r"\S+")
# Back to the beginning of the line, and away with what stands there.
_AGAIN = "\r\x1b[K"


class FindingLines:
    """Writes findings.

    Args:
        out: Where to. Only on a terminal marks have a colour, and the running check is shown, on a
            line that is replaced.
        environ: Says what the terminal can do, and whether colours are wanted: https://no-color.org.
    """

    def __init__(self, out: TextIO, environ: Mapping[str, str]) -> None:
        self._out = out
        self._terminal = out.isatty() and _obeys(environ)
        self._coloured = self._terminal and not environ.get("NO_COLOR")
        self._running = ""
        # a pipe may end in a file that is read anywhere
        self._width = min(_columns(), _WIDEST) if self._terminal else report.WIDTH

    def running(self, title: str) -> None:
        """Says which check runs now; empty: none does."""
        if not self._terminal or title == self._running:
            return
        before = _AGAIN if self._running else ""
        now = f"...   {title}" if title else ""
        self._out.write(before + (f"{_DIM}{now}{_OFF}" if now and self._coloured else now))
        self._out.flush()
        self._running = title

    def add(self, finding: Finding) -> None:
        """Writes what one found, with causes and steps if it failed."""
        self.running("")
        line = report.line(finding, width=self._width)
        if self._coloured and (colour := _COLOURS[finding.state]):
            line = _MARK.sub(lambda mark: f"{colour}{mark[0]}{_OFF}", line, count=1)
        below = report.under(finding, width=self._width)
        self._write(f"{line}\n{below}" if below else line)

    def end(self, findings: Sequence[Finding]) -> None:
        """Writes what all of them mean together."""
        self.running("")
        self._write(report.closing(findings, width=self._width))

    def stop(self) -> None:
        """Leaves the terminal as it is expected, whatever happened."""
        self.running("")

    def _write(self, text: str) -> None:
        self._out.write(f"{text}\n")
        self._out.flush()


def _columns() -> int:
    return shutil.get_terminal_size((report.WIDTH, 24)).columns


def _obeys(environ: Mapping[str, str]) -> bool:
    """Whether a terminal takes colours and goes back in a line; the old console of Windows does not."""
    if sys.platform == "win32":
        return bool(environ.get("WT_SESSION"))
    return environ.get("TERM") != "dumb"
