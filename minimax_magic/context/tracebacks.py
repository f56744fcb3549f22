"""An exception in words: type, message, causes, and the lines of the user's code it went through.

Code of libraries is told in one line each, and only the innermost of it. No variable is looked at:
what the lines say and the message are all that is told. Their text is data, whatever is in it.
"""

from __future__ import annotations

import linecache
import os
import re
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from minimax_magic.context.pieces import Piece, attempt, cut, short
from minimax_magic.context.steady import steady_text
from minimax_magic.text import whole

SourceOf = Callable[[str], str | None]

_MOST_CHARS: Final = 8_000
_MOST_MESSAGE: Final = 2_000
_MOST_FRAMES_CHARS: Final = 4_500
_MOST_CHAIN: Final = 5
_LIBRARY_FRAMES: Final = 2
_LINES_BEFORE: Final = 3
_LINES_AFTER: Final = 2
_MOST_LINE: Final = 200

_INPUT: Final = re.compile(r"<ipython-input-(\d+)-\w*>")
_KERNEL_CELL: Final = re.compile(r"[/\\]ipykernel_\d+[/\\]\d+\.py$")


class Folders:
    """Folders of code that is not the user's.

    Args:
        paths: The rules for paths; those of another system for tests.
    """

    def __init__(self, folders: Iterable[str], paths: Any = os.path) -> None:
        self._paths = paths
        self._starts = tuple(
            paths.normcase(folder).rstrip(paths.sep) + paths.sep for folder in folders
        )

    def have(self, file: str) -> bool:
        """Whether a file lies in one of the folders or below."""
        return bool(self._paths.normcase(file).startswith(self._starts))


_LIBRARIES: Final = Folders(
    [
        str(Path(__file__).resolve().parent.parent),
        *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")),
    ]
)


@dataclass(frozen=True, slots=True)
class _Frame:
    """A line of a traceback.

    Attributes:
        repeated: How often this very line follows itself; 1 but for recursion.
    """

    file: str
    line: int
    function: str
    repeated: int = 1


def describe_error(error: BaseException, source_of: SourceOf | None = None) -> Piece:
    """What is told about an exception, at most about 8,000 characters; it never raises.

    Args:
        source_of: Gives the source of a file or cell by the name that tracebacks have for it, None
            if it does not know it. Without it, and for those, Python's cache of lines is asked.
    """
    parts = []
    for link, (relation, linked) in enumerate(_chain(error)):
        if relation:
            parts.append(relation)
        parts.append(_error_text(linked, source_of, brief=link > 0))
    return Piece("_error", whole(cut("\n".join(parts), _MOST_CHARS)))


def _chain(error: BaseException) -> list[tuple[str, BaseException]]:
    """The exception and those behind it, the last raised first, each with what joins it."""
    found: list[tuple[str, BaseException]] = [("", error)]
    seen = {id(error)}
    while len(found) < _MOST_CHAIN:
        last = found[-1][1]
        if last.__cause__ is not None:
            relation, behind = "\nIts direct cause was:", last.__cause__
        elif last.__context__ is not None and not last.__suppress_context__:
            relation, behind = "\nIt happened while this was being handled:", last.__context__
        else:
            break
        if id(behind) in seen:
            break
        seen.add(id(behind))
        found.append((relation, behind))
    return found


def _error_text(error: BaseException, source_of: SourceOf | None, *, brief: bool) -> str:
    parts = [_headline(error)]
    parts += attempt(
        lambda: [f"Note: {cut(steady_text(str(n)), 500)}" for n in error.__notes__[:5]], []
    )
    if isinstance(error, BaseExceptionGroup):
        parts += [f"- {short(_headline(e), 300)}" for e in error.exceptions[:10]]
    if isinstance(error, SyntaxError):
        parts.append(attempt(lambda: _syntax_text(error, source_of), ""))
    most = _MOST_FRAMES_CHARS // 3 if brief else _MOST_FRAMES_CHARS
    parts.append(attempt(lambda: _frames_text(error, source_of, most), ""))
    return "\n".join(part for part in parts if part)


def _headline(error: BaseException) -> str:
    kind = type(error)
    module = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    message = attempt(lambda: steady_text(str(error)), "(its message cannot be read)")
    return f"{module}{kind.__qualname__}: {cut(message, _MOST_MESSAGE)}"


def _syntax_text(error: SyntaxError, source_of: SourceOf | None) -> str:
    """Where the text cannot be read, with a mark below the place."""
    if error.filename is None or error.lineno is None:
        return ""
    line = error.text
    if line is None:
        lines = _lines(error.filename, source_of)
        line = lines[error.lineno - 1] if 0 < error.lineno <= len(lines) else None
    where = f"In {_place(error.filename)}, line {error.lineno}"
    if line is None:
        return where
    shown = f"-> {error.lineno} | {short(line.rstrip(), _MOST_LINE)}"
    if error.offset is None or not 0 < error.offset <= _MOST_LINE:
        return f"{where}:\n{shown}"
    lead = " " * (len(f"-> {error.lineno} | ") + error.offset - 1)
    return f"{where}:\n{shown}\n{lead}^"


# --------------------------------------------------------------------------------------- frames


def _frames_text(error: BaseException, source_of: SourceOf | None, most: int) -> str:
    """The frames, the outermost first; those that do not fit are left out in the middle."""
    frames = _frames(error)
    users = [at for at, frame in enumerate(frames) if not _is_library(frame.file)]
    # what runs the cell, IPython for example, is of no interest
    if not users and isinstance(error, SyntaxError):
        return ""  # found by the compiler, before there were frames of the user's
    frames = frames[users[0] :] if users else frames
    library = [frame for frame in frames if _is_library(frame.file)][-_LIBRARY_FRAMES:]
    told: list[str] = []
    room = most
    left_out = 0
    # from the innermost on, which says most
    for frame in reversed(frames):
        if _is_library(frame.file):
            text = _library_line(frame) if frame in library else ""
        else:
            text = _user_text(frame, source_of)
        if not text:
            continue
        room -= len(text)
        if room < 0 and told:
            left_out += 1
        else:
            told.append(text)
    if left_out:
        told.append(f"[{left_out:,} outer frames are left out]")
    return "\n".join(reversed(told))


def _frames(error: BaseException) -> list[_Frame]:
    found: list[_Frame] = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        here = _frame(frame, line)
        last = found[-1] if found else None
        if last is not None and (last.file, last.line) == (here.file, here.line):
            found[-1] = _Frame(last.file, last.line, last.function, last.repeated + 1)
        else:
            found.append(here)
    return found


def _frame(frame: FrameType, line: int) -> _Frame:
    code = frame.f_code
    return _Frame(code.co_filename, line, code.co_qualname)


def _is_library(file: str) -> bool:
    if _INPUT.match(file) or _KERNEL_CELL.search(file):
        return False
    if file.startswith("<frozen ") or _LIBRARIES.have(file):
        return True
    if file.endswith((".pyx", ".pxi", ".pxd")):  # compiled code names its source like this
        return True
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _library_line(frame: _Frame) -> str:
    return f"In library {_place(frame.file)}, line {frame.line}, in {frame.function}"


def _user_text(frame: _Frame, source_of: SourceOf | None) -> str:
    inside = "" if frame.function == "<module>" else f", in {frame.function}"
    again = f" ({frame.repeated:,} times in a row)" if frame.repeated > 1 else ""
    head = f"In {_place(frame.file)}, line {frame.line}{inside}{again}"
    body = _source_text(_lines(frame.file, source_of), frame.line)
    return f"{head}:\n{body}" if body else head


def _source_text(lines: Sequence[str], failing: int) -> str:
    """The failing line, marked, between a few of its neighbours; empty if there is no such line."""
    if not 0 < failing <= len(lines):
        return ""
    first = max(1, failing - _LINES_BEFORE)
    last = min(len(lines), failing + _LINES_AFTER)
    width = len(str(last))
    return "\n".join(
        f"{'->' if number == failing else '  '} {number:{width}} | "
        f"{short(lines[number - 1].rstrip(), _MOST_LINE)}"
        for number in range(first, last + 1)
    )


def _lines(file: str, source_of: SourceOf | None) -> list[str]:
    source = attempt(lambda: source_of(file), None) if source_of is not None else None
    if isinstance(source, str):
        return source.splitlines()
    # no globals of the frame: a loader found in them would be asked, which runs code
    return attempt(lambda: linecache.getlines(file), [])


def _place(file: str) -> str:
    """A file or cell for people, without the parts of a path that say nothing."""
    if cell := _INPUT.match(file):
        return f"cell In[{cell[1]}]"
    if _KERNEL_CELL.search(file):
        return "a notebook cell"
    path = Path(file)
    for mark in ("site-packages", "dist-packages"):
        if mark in path.parts:
            return "/".join(path.parts[path.parts.index(mark) + 1 :])
    for base, lead in ((Path.cwd, ""), (Path.home, "~/")):
        folder = attempt(base, None)
        if folder is not None and path.is_relative_to(folder):
            return f"{lead}{path.relative_to(folder).as_posix()}"
    return short(file, _MOST_LINE)
