"""How a failed cell looks: one line, and the cell counts as failed.

Front ends and notebook runners stop at an error; IPython asks an exception for its own rendering.
"""

from __future__ import annotations

import sys
from typing import Any

from IPython.core.error import UsageError

from minimax_magic.errors import MinimaxError

_RED, _BOLD, _OFF = "\x1b[31m", "\x1b[1m", "\x1b[0m"


class OfOurs:
    """An error of a cell of ours, which hides the one before from Python, but not from us.

    Attributes:
        before: What had ended a cell last, other than these; None if nothing had.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        last = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        earlier: Any = last.before if isinstance(last, OfOurs) else last
        self.before: BaseException | None = earlier if isinstance(earlier, BaseException) else None


class CellError(OfOurs, Exception):
    """A cell that could not be answered: what happened, and what to do next.

    Attributes:
        error: What was raised underneath.
    """

    def __init__(self, error: MinimaxError) -> None:
        super().__init__(str(error))
        self.error = error

    def _render_traceback_(self) -> list[str]:
        return [_line(type(self.error).__name__, str(self.error))]


class LineError(OfOurs, UsageError):
    """What stands behind `%minimax` or `%%minimax` is wrong.

    IPython only prints its own UsageError to stderr, where runners that look for error outputs
    (papermill before 2.7) miss it.
    """

    def _render_traceback_(self) -> list[str]:
        return [_line("UsageError", str(self))]


class CellInterrupted(OfOurs, KeyboardInterrupt):
    """The stop button. What had arrived stays in the output."""

    def _render_traceback_(self) -> list[str]:
        return [f"{_BOLD}Interrupted:{_OFF} {self}"]


class ToolStopped(Exception):
    """A tool was ended from outside: by the stop button, or by whoever cancelled its task."""


def _line(name: str, text: str) -> str:
    return f"{_RED}{_BOLD}{name}:{_OFF} {' '.join(text.split())}"


# the names that front ends, nbclient and tests of kernels know
CellInterrupted.__name__ = "KeyboardInterrupt"
LineError.__name__ = "UsageError"
