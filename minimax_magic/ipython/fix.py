"""`%minimax fix`: what the last error was about, and the cell as it should be."""

from __future__ import annotations

import linecache
from types import TracebackType

from IPython.core.interactiveshell import InteractiveShell

from minimax_magic.context.describe import Piece, describe_error
from minimax_magic.errors import ConfigError
from minimax_magic.ipython.namespace import last_error

PROMPT = (
    "The last cell of this notebook raised the exception that is described below. Explain in a few "
    "sentences what went wrong. Then write the corrected cell, the whole of it, in one ```python block."
)


def failed_cell() -> tuple[Piece, ...]:
    """The last exception and the cell that raised it, as data: nothing in them is evaluated.

    Raises:
        ConfigError: Nothing has failed.
    """
    error = last_error()
    if error is None:
        raise ConfigError("No cell has failed yet.", hint="Run `%minimax fix` after an error.")
    source = source_of(error)
    cell = (Piece("the cell", source.rstrip()),) if source.strip() else ()
    return (*cell, describe_error(error))


def source_of(error: BaseException) -> str:
    """The text of the cell that was run when it was raised; empty if that is not known."""
    if isinstance(error, SyntaxError) and error.filename:
        return "".join(linecache.getlines(error.filename))
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        # the outermost frame of the user's: those before it are IPython's
        if trace.tb_frame.f_globals.get("__name__") == "__main__":
            return "".join(linecache.getlines(name))
        trace = trace.tb_next
    return ""


def offer(shell: InteractiveShell, answer: str) -> None:
    """Puts the first Python block of an answer into the next cell, where a front end does that."""
    from minimax_magic.render.markup import extract_code

    code, language = extract_code(answer)
    if language in ("python", "py", "python3", "ipython"):
        shell.set_next_input(code)
