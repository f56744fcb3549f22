"""What Ctrl-C and the stop button do while a cell of ours runs.

Python raises KeyboardInterrupt between any two lines: a request that was just made would go on, a
drawing would lose the words it held. So it is noted while an answer streams and ignored in the few
milliseconds that end one. A handler that is no Python function (ignored, the system's own) is somebody's
decision and stays; off the main thread nothing is delivered and nothing can be installed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any, TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], Any] | signal.Handlers

# A drawing that hangs must still be stoppable: so many presses raise wherever the program is.
_INSIST = 3


class StopButton:
    """How often it was pressed since `noted` was entered."""

    def __init__(self) -> None:
        self.presses = 0

    @property
    def pressed(self) -> bool:
        return self.presses > 0

    def press(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        self.presses += 1
        if self.presses >= _INSIST:
            signal.default_int_handler(number, frame)


@contextmanager
def noted() -> Iterator[StopButton]:
    """While entered, an interrupt is noted instead of raised."""
    stop = StopButton()
    with _handled_by(stop.press):
        yield stop


def raised(*, if_ignored: bool = False) -> AbstractContextManager[None]:
    """While entered, an interrupt raises KeyboardInterrupt at once.

    A kernel that awaits a cell merely cancels it at its next `await`, which is too late for a
    user's expression that blocks.

    Args:
        if_ignored: Also where it is ignored otherwise, as a kernel does between cells.
    """
    return _handled_by(signal.default_int_handler, if_ignored=if_ignored)


def ignored() -> AbstractContextManager[None]:
    """For the last drawing, which an impatient second press must not lose."""
    return _handled_by(signal.SIG_IGN)


@contextmanager
def _handled_by(handler: Handler, *, if_ignored: bool = False) -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    kept = not callable(before) and not (if_ignored and before is signal.SIG_IGN)
    if threading.current_thread() is not threading.main_thread() or kept:
        yield
        return
    try:
        signal.signal(signal.SIGINT, handler)
        yield
    finally:
        signal.signal(signal.SIGINT, before)
