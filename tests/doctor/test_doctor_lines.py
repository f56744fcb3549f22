"""Findings as lines of a terminal and of a pipe."""

from __future__ import annotations

import io
import re

import pytest

from minimax_magic.doctor import report
from minimax_magic.doctor.findings import Finding
from minimax_magic.doctor.lines import FindingLines
from minimax_magic.doctor.remedies import trouble

GOOD = Finding("dns", "Name resolution", "ok", "api.minimax.io is 47.1.2.3.")
BAD = Finding(
    "authentication",
    "Authentication",
    "failed",
    "The server refused the key.",
    trouble=trouble("unauthorized").told(),
)
ESCAPE = re.compile(r"\x1b\[[0-9;]*[mK]")


class Terminal(io.StringIO):
    """A terminal, and what is to be seen on it."""

    def isatty(self) -> bool:
        return True

    @property
    def seen(self) -> list[str]:
        lines = []
        for line in self.getvalue().split("\n"):
            lines.append(ESCAPE.sub("", line.rpartition("\r")[2]))
        return lines


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")


def played(out: io.StringIO, environ: dict[str, str]) -> None:
    lines = FindingLines(out, environ)
    lines.running("Name resolution")
    lines.add(GOOD)
    lines.running("Authentication")
    lines.add(BAD)
    lines.end([GOOD, BAD])
    lines.stop()


def test_a_pipe_gets_what_the_report_is() -> None:
    """In a pipe all lines together are the text of the report: no colour, no running check."""
    out = io.StringIO()
    played(out, {})
    assert out.getvalue() == report.text([GOOD, BAD]) + "\n"


def test_a_terminal_shows_the_same() -> None:
    """What is to be seen on a terminal at the end is the text of the report in its width."""
    out = Terminal()
    played(out, {"TERM": "xterm"})
    assert "\n".join(out.seen) == report.text([GOOD, BAD], width=90) + "\n"
    assert "\x1b[31mFAIL\x1b[0m" in out.getvalue()


def test_the_running_check_is_on_a_line_that_goes_away() -> None:
    """While a check runs its name is the last line; then nothing is left of it."""
    out = Terminal()
    lines = FindingLines(out, {"TERM": "xterm"})
    lines.running("Name resolution")
    assert out.seen == ["...   Name resolution"]
    lines.running("TCP")
    assert out.seen == ["...   TCP"]
    lines.stop()
    assert out.seen == [""]


@pytest.mark.parametrize(
    ("environ", "coloured", "replaced"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_what_the_terminal_is_sent(environ: dict[str, str], coloured: bool, replaced: bool) -> None:
    """NO_COLOR leaves colours out, and a terminal that obeys nothing gets only words."""
    out = Terminal()
    played(out, environ)
    assert bool(re.search(r"\x1b\[\d*m", out.getvalue())) == coloured
    assert ("\x1b[K" in out.getvalue()) == replaced
