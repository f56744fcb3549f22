"""How a failed cell looks: one line, and the cell counts as failed.

Front ends and notebook runners stop at an error; IPython asks an exception for its own rendering.
"""

from __future__ import annotations

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
        name = type(self.error).__name__
        return [f"{_RED}{_BOLD}{name}:{_OFF} {self.error.message} {self.error.hint}".rstrip()]


class CellInterrupted(KeyboardInterrupt):
    """The stop button. What had arrived stays in the output."""

    def _render_traceback_(self) -> list[str]:
        return [f"{_BOLD}Interrupted:{_OFF} {self}"]


# the name that front ends, nbclient and tests of kernels know
CellInterrupted.__name__ = "KeyboardInterrupt"
