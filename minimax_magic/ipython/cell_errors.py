"""How a failed cell looks: one line, and the cell counts as failed.

Front ends and notebook runners stop at an error; IPython asks an exception for its own rendering.
"""

from __future__ import annotations

from IPython.core.error import UsageError

from minimax_magic.errors import MinimaxError

_RED, _BOLD, _OFF = "\x1b[31m", "\x1b[1m", "\x1b[0m"


class CellError(Exception):
    """A cell that could not be answered: what happened, and what to do next.

    Attributes:
        error: What was raised underneath.
    """

    def __init__(self, error: MinimaxError) -> None:
        super().__init__(str(error))
        self.error = error

    def _render_traceback_(self) -> list[str]:
        return [_line(type(self.error).__name__, str(self.error))]


class LineError(UsageError):
    """What stands behind `%minimax` or `%%minimax` is wrong.

    IPython only prints its own UsageError to stderr, where runners that look for error outputs
    (papermill before 2.7) miss it.
    """

    def _render_traceback_(self) -> list[str]:
        return [_line("UsageError", str(self))]


class CellInterrupted(KeyboardInterrupt):
    """The stop button. What had arrived stays in the output."""

    def _render_traceback_(self) -> list[str]:
        return [f"{_BOLD}Interrupted:{_OFF} {self}"]


def _line(name: str, text: str) -> str:
    return f"{_RED}{_BOLD}{name}:{_OFF} {' '.join(text.split())}"


# the names that front ends, nbclient and tests of kernels know
CellInterrupted.__name__ = "KeyboardInterrupt"
LineError.__name__ = "UsageError"
