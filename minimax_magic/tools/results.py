"""What a model is told of a tool's value, or of its failure.

Any value has a text, within a limit that holds for all of it, and the text says what was cut.
Frames, arrays, figures and the like are recognised by where their class comes from: none of those
libraries is imported here. Nothing raises but an interrupt; a value that cannot show itself is told
by its type. Pictures are not sent: a result is text.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import linecache
import math
import os
import re
import sys
import sysconfig
from collections import deque
from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Set,
    ValuesView,
)
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from numbers import Real
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any
from uuid import UUID

from minimax_magic.text import whole

MOST_CHARS = 20_000
"""Characters of one result: about 5,000 tokens, in each further step of the turn again."""

# beyond these a value is cut before it is text: most of it would be thrown away
_MOST_NODES = 30_000
_MOST_DEEP = 50
_MOST_UNORDERED = 100_000  # nodes of a set whose order is known only when all of it is text
_MOST_ITEMS = 1_000  # taken from an iterator, which may have no end
_MOST_ROWS = 1_000  # looked at on either end of a frame
_MOST_COLUMNS = 50
_MOST_CELL = 200
_MOST_NESTED = 1_500  # of an object inside a list or dict
_MOST_MESSAGE = 500
_MOST_LINE = 200
_MOST_CAUSES = 3  # of an exception group
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+(?=>)")
_NOT_SENT = "the picture itself is not sent, only this description"


def result_text(value: Any, *, most_chars: int = MOST_CHARS) -> str:
    """What the model is told of a tool's value.

    An iterator is consumed up to a limit.

    Args:
        most_chars: Of the whole text, what it says of cuts included.
    """
    most_chars = max(0, most_chars)
    if value is None:
        text = "null (the function returned nothing)"
    elif isinstance(value, str):
        # the server refuses a message without content
        text = _string(value) or "(an empty text)"
    else:
        text = _guarded(value, most_chars)
    return _cut(whole(text), most_chars)


def error_text(error: BaseException) -> str:
    """What the model is told of a tool's exception: type, message, the line of the user's code."""
    lines = [_named(error)]
    leaves = _leaves(error)
    if leaves != [error]:
        told = [_named(leaf) for leaf in leaves[:_MOST_CAUSES]]
        if (more := len(leaves) - _MOST_CAUSES) > 0:
            told.append(f"and {more} more")
        lines = [f"{lines[0]}: {'; '.join(told)}"]
    elif error.__cause__ is not None and (cause := _named(error.__cause__)) != lines[0]:
        lines.append(f"caused by {cause}")
    place = _place(leaves[0]) or _place(error)
    if place:
        lines.insert(1, place)
    return whole("\n".join(lines))


def _cut(text: str, most: int) -> str:
    """Head and tail of the text, and between them how much is gone."""
    if len(text) <= most:
        return text

    def note(cut: int) -> str:
        return f"\n[... {cut:,} of {len(text):,} characters cut]\n"

    kept = most - len(note(len(text)))
    if kept <= 0:
        return text[:most]
    tail = kept // 3
    return text[: kept - tail] + note(len(text) - kept) + text[len(text) - tail :]


def _guarded(value: Any, most: int) -> str:
    """The text of a value whose own code may raise while it is looked at."""
    try:
        special = _special(value, most)
        if special is not None:
            return special
        if _is_plain(value):
            return _json_text(value)
        return _display(value)
    except Exception:
        return _repr(value)


def _json_text(value: Any) -> str:
    plain = _Plain().of(value)
    return plain if isinstance(plain, str) else _dumps(plain)


def _dumps(plain: Any) -> str:
    return json.dumps(plain, ensure_ascii=False, default=str)


def _string(value: str) -> str:
    if isinstance(value, Enum):
        value = value.value
    return str.__str__(value)


# --- values that JSON can say


_PLAIN = (
    *(bool, int, float, complex, Decimal, Enum, UUID, PurePath),
    *(date, time, timedelta),
    *(list, tuple, deque, Set, KeysView, ValuesView, ItemsView),
)


def _is_plain(value: Any) -> bool:
    if isinstance(value, type):
        return False
    return (
        isinstance(value, _PLAIN)
        or _is_mapping(value)
        or dataclasses.is_dataclass(value)
        or _is_model(value)
        or _is_scalar(value)
    )


def _is_mapping(value: Any) -> bool:
    # an xarray Dataset is a mapping too, and shows itself better
    return isinstance(value, Mapping) and not hasattr(type(value), "_repr_html_")


def _is_model(value: Any) -> bool:
    return hasattr(type(value), "model_fields") and hasattr(type(value), "model_dump")


def _is_scalar(value: Any) -> bool:
    of_numpy = _from(value, "numpy") is not None and hasattr(value, "dtype")
    return of_numpy and getattr(value, "shape", None) == ()


class _Plain:
    """Makes dicts, lists and scalars of a value, and stops when it has become too much."""

    def __init__(self, opened: set[int] | None = None) -> None:
        self.nodes = 0
        self._open: set[int] = set() if opened is None else opened

    def of(self, value: Any) -> Any:
        self.nodes += 1
        if isinstance(value, Enum):
            return self.of(value.value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return _string(value)
        if isinstance(value, int):
            # Python refuses to write integers of more than 4,300 digits
            digits = int(value.bit_length() * 0.30103) + 1
            return int(value) if digits < 4000 else f"[an integer of about {digits:,} digits]"
        if isinstance(value, float):
            # JSON has no word for these three
            if math.isnan(value):
                return "NaN"
            return (
                float(value)
                if math.isfinite(value)
                else f"{float(value)}".replace("inf", "Infinity")
            )
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if isinstance(value, complex | Decimal | timedelta | UUID | PurePath) or _is_address(value):
            return str(value)
        if _is_scalar(value):
            item = value.item()
            # times of nanoseconds come as a bare number, long doubles as they are
            odd = value.dtype.kind in "mM" or item is value
            return str(value) if odd else self.of(item)
        return self._inside(value)

    def _inside(self, value: Any) -> Any:
        if id(value) in self._open:
            return "[circular]"
        if len(self._open) >= _MOST_DEEP:
            return "[too deep]"
        self._open.add(id(value))
        try:
            return self._parts(value)
        except Exception:  # one broken part does not cost the others
            return _repr(value)
        finally:
            self._open.discard(id(value))

    def _parts(self, value: Any) -> Any:
        if isinstance(value, type):
            return _repr(value)
        if _is_model(value):
            return self.of(_dumped(value))
        if dataclasses.is_dataclass(value):
            names = [field.name for field in dataclasses.fields(value)]
            return self._mapping({name: getattr(value, name, None) for name in names})
        if _is_mapping(value):
            return self._mapping(value)
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            return self._mapping(value._asdict())
        if isinstance(value, Set) and not isinstance(value, KeysView | ItemsView):
            return self._set(value)
        if isinstance(value, list | tuple | deque | KeysView | ItemsView | ValuesView):
            return self._list(value)
        special = _special(value, _MOST_NESTED)
        text = special if special is not None else _display(value)
        text = _cut(text, _MOST_NESTED)
        self.nodes += len(text)  # frames cost more to look at than data
        return text

    def _mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for number, (key, item) in enumerate(value.items()):
            if self.nodes > _MOST_NODES:
                plain["[cut]"] = f"{len(value) - number:,} more entries"
                break
            name = self.of(key)
            name = name if isinstance(name, str) else _dumps(name)
            plain[name if name not in plain else _repr(key)] = self.of(item)
        return plain

    def _list(self, value: Any) -> list[Any]:
        plain: list[Any] = []
        for number, item in enumerate(value):
            if self.nodes > _MOST_NODES:
                plain.append(f"[cut: {len(value) - number:,} more items]")
                break
            plain.append(self.of(item))
        return plain

    def _set(self, value: Set[Any]) -> list[Any]:
        """The items in one order always: that of a set of texts is another in each process."""
        if all(map(_is_sortable, value)):
            try:
                return self._list(sorted(value))
            except TypeError:  # of several types
                pass
        # looked at one by one, as which are kept must not depend on the order they come in
        looked_at: list[tuple[Any, int]] = []
        nodes = 0
        for item in value:
            part = _Plain(self._open)
            looked_at.append((part.of(item), part.nodes))
            nodes += part.nodes
            if nodes > _MOST_UNORDERED:
                return [f"[cut: {len(value):,} items]"]
        looked_at.sort(key=lambda pair: _dumps(pair[0]))
        plain: list[Any] = []
        for number, (item, nodes) in enumerate(looked_at):
            if self.nodes > _MOST_NODES:
                plain.append(f"[cut: {len(looked_at) - number:,} more items]")
                break
            plain.append(item)
            self.nodes += nodes
        return plain


def _is_sortable(value: Any) -> bool:
    """Whether it has one place among others of its kind, which NaN and sets do not."""
    if type(value) in (str, int):  # most are, and the other questions take their time
        return True
    if isinstance(value, tuple):
        return all(map(_is_sortable, value))
    ordered = isinstance(value, str | bytes | Real | Decimal | date | time | timedelta | UUID)
    return ordered and bool(value == value)  # NaN is not


def _is_address(value: Any) -> bool:
    """Whether it is an URL, IP address or secret, whose text is what JSON has of it."""
    if _from(value, "ipaddress") is not None:
        return True
    name = _from(value, "pydantic") or _from(value, "pydantic_core") or ""
    return name.startswith("Secret") or name.endswith(("Url", "Dsn", "NameEmail"))


def _dumped(model: Any) -> Any:
    """What a pydantic model is as data; not as JSON, where a set would be a list in any order."""
    try:
        return model.model_dump(warnings=False)
    except Exception:  # a set of models, for example: dicts cannot be in a set
        return {name: getattr(model, name, None) for name in type(model).model_fields}


# --- values that other libraries have described


def _from(value: Any, library: str) -> str | None:
    """The name of the class, or of the one it derives from, that comes from the library."""
    for kind in type(value).__mro__:
        if kind.__module__.partition(".")[0] == library:
            return kind.__name__
    return None


def _special(value: Any, most: int) -> str | None:
    """The description of a frame, array, picture, bytes or iterator; None for all else."""
    if isinstance(value, bytes | bytearray | memoryview):
        return _bytes(value)
    for library in ("pandas", "polars"):
        match _from(value, library):
            case "DataFrame":
                return _frame(value, library, "DataFrame", most)
            case "Series":
                return _frame(value.to_frame(), library, "Series", most)
            case "LazyFrame":
                return "polars LazyFrame: nothing was computed. Only .collect() gives its rows."
    match _from(value, "numpy"):
        case "ndarray" if value.shape != ():
            return _array(value)
    if _from(value, "matplotlib") is not None:
        if hasattr(value, "get_axes") and hasattr(value, "get_size_inches"):
            return _figure(value)
        if hasattr(value, "get_xlabel") and hasattr(value, "get_lines"):
            return f"matplotlib Axes ({_NOT_SENT}): {_axes(value)}"
    if _from(value, "PIL") is not None and hasattr(value, "mode") and hasattr(value, "size"):
        width, height = value.size
        return f"PIL image, {width} x {height} pixels, mode {value.mode}; {_NOT_SENT}"
    # a file is an iterator too, and reading it to its end is not asked for
    if isinstance(value, Iterator) and not isinstance(value, io.IOBase):
        return _taken(value, most)
    return None


def _bytes(value: bytes | bytearray | memoryview) -> str:
    view = memoryview(value)
    start = bytes(view[:4096].tobytes() if view.contiguous else view.tobytes()[:4096])
    kind = _kind(start)
    return f"{type(value).__name__}: {_counted(view.nbytes, 'byte')}{kind}; the content is not sent"


def _kind(start: bytes) -> str:
    for magic, name in (
        (b"\x89PNG\r\n", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"%PDF", "a PDF"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b", "gzip data"),
        (b"SQLite format 3", "an SQLite database"),
        (b"PAR1", "a Parquet file"),
    ):
        if start.startswith(magic):
            return f", {name}"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return ", a WebP image"
    return ""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Lines of a table, made as they are asked for: all in one go, or its two ends."""

    count: int
    lines: Callable[[int, int], list[str]]

    def within(self, room: int) -> str:
        """As many lines as fit, from head and tail, and how many do not."""
        ends = min(_MOST_ROWS, self.count)
        head = _fitting(self._from_the_front(min(2 * _MOST_ROWS, self.count)), room)
        if len(head) == self.count:
            return "\n".join(head)
        note = f"[... {self.count:,} of {self.count:,} rows left out]"
        room -= len(note) + 1
        head = _fitting(head[:ends], room * 2 // 3)
        room -= sum(len(line) + 1 for line in head)
        tail = _fitting(self._from_the_back(min(ends, self.count - len(head))), room)[::-1]
        left_out = self.count - len(head) - len(tail)
        note = f"[... {left_out:,} of {self.count:,} rows left out]"
        return "\n".join([*head, note, *tail])

    def _from_the_front(self, most: int) -> Iterator[str]:
        # a few at a time, and more each time: most of a frame has no room, which only its text tells
        for start, stop in _stretches(most):
            yield from self.lines(start, stop)

    def _from_the_back(self, most: int) -> Iterator[str]:
        for start, stop in _stretches(most):
            yield from reversed(self.lines(self.count - stop, self.count - start))


def _stretches(count: int) -> Iterator[tuple[int, int]]:
    """0 to 4, 4 to 12, and so on up to the count, each twice as long as the one before."""
    start, length = 0, 4
    while start < count:
        yield start, min(start + length, count)
        start += length
        length *= 2


def _fitting(lines: Iterable[str], room: int) -> list[str]:
    fitting: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        fitting.append(line)
    return fitting


def _frame(frame: Any, library: str, kind: str, most: int) -> str:
    """Size, columns with their types, and rows as CSV from both ends."""
    count, width = frame.shape
    shown = min(width, _MOST_COLUMNS)
    names = [str(name)[:_MOST_CELL] for name in list(frame.columns)[:shown]]
    types = [str(kind) for kind in list(frame.dtypes)[:shown]]
    size = _counted(count, "row")
    if kind != "Series":
        size += f" x {_counted(width, 'column')}"
    columns = ", ".join(f"{name} ({dtype})" for name, dtype in zip(names, types, strict=True))
    if width > shown:
        columns += f" [... {width - shown:,} more columns left out]"
    top = f"{library} {kind}: {size}\ncolumns: {columns}\n"
    if library == "pandas":
        index = ["index" if name is None else str(name) for name in frame.index.names]
        names = ["/".join(index), *names]

        def cells(start: int, stop: int) -> Iterable[Iterable[Any]]:
            part: Iterable[Iterable[Any]] = frame.iloc[start:stop, :shown].itertuples(name=None)
            return part
    else:

        def cells(start: int, stop: int) -> Iterable[Iterable[Any]]:
            part: Iterable[Iterable[Any]] = frame[:, :shown].slice(start, stop - start).rows()
            return part

    def lines(start: int, stop: int) -> list[str]:
        return [_csv(row) for row in cells(start, stop)]

    top += _csv(names) + "\n"
    return (top + _Rows(count, lines).within(most - len(top))).rstrip("\n")


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _csv(cells: Iterable[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([_cell(cell) for cell in cells])
    # one line a row: a break inside a cell would look like a row
    return buffer.getvalue().replace("\r", " ").replace("\n", " ")


def _cell(value: Any) -> str:
    if isinstance(value, Set):  # its own text has another order in each process
        text = _json_text(value)
    else:
        text = "" if value is None else _string(value) if isinstance(value, str) else _str(value)
    return text if len(text) <= _MOST_CELL else f"{text[: _MOST_CELL - 1]}…"


def _array(array: Any) -> str:
    shape = " x ".join(f"{length:,}" for length in array.shape)
    # it is there: the array came from it
    text = sys.modules["numpy"].array2string(array, threshold=500, edgeitems=3, max_line_width=100)
    return f"numpy array: {shape}, dtype {array.dtype}\n{text}"


def _figure(figure: Any) -> str:
    width, height = (round(inches * figure.dpi) for inches in figure.get_size_inches())
    parts = [f"matplotlib Figure, {width} x {height} pixels ({_NOT_SENT})"]
    title = getattr(figure, "_suptitle", None)
    if title is not None and title.get_text():
        parts.append(f"title {title.get_text()!r}")
    parts += [
        f"axes {number}: {_axes(axes)}" for number, axes in enumerate(figure.get_axes(), start=1)
    ]
    return "\n".join(parts)


def _axes(axes: Any) -> str:
    parts = []
    for what, text in (
        ("title", axes.get_title()),
        ("x label", axes.get_xlabel()),
        ("y label", axes.get_ylabel()),
    ):
        if text:
            parts.append(f"{what} {text!r}")
    for line in axes.get_lines():
        label = line.get_label()
        called = f" {label!r}" if isinstance(label, str) and not label.startswith("_") else ""
        parts.append(f"line{called} of {_counted(len(line.get_xdata()), 'point')}")
    for drawn in axes.collections:
        parts.append(f"{type(drawn).__name__} of {_counted(len(drawn.get_offsets()), 'point')}")
    for what, things in (("patches (bars, areas)", axes.patches), ("images", axes.images)):
        if len(things):
            parts.append(f"{len(things):,} {what}")
    return ", ".join(parts) or "empty"


def _taken(iterator: Iterator[Any], most: int) -> str:
    """The items of an iterator as JSON, and whether that was all."""
    kind = type(iterator).__name__
    items: list[str] = []
    room = most
    end = "its end was reached"
    while True:
        if len(items) >= _MOST_ITEMS or room <= 0:
            end = "not more were taken, there may be others"
            break
        try:
            item = next(iterator)
        except StopIteration:
            break
        except Exception as error:
            # a generator's body runs only now, so this is the tool's own failure
            end = f"then it failed: {error_text(error)}"
            break
        items.append(_dumps(_Plain().of(item)))
        room -= len(items[-1]) + 2
    return f"[{', '.join(items)}]\n[{kind}: {_counted(len(items), 'item')}; {end}]"


# --- everything else


def _display(value: Any) -> str:
    """What the object shows in a notebook as text, else its repr."""
    if not isinstance(value, type):
        for text in _offered(value):
            if isinstance(text, str) and text.strip():
                return text
    return _repr(value)


def _offered(value: Any) -> Iterator[Any]:
    # looked up on the class: some objects answer to every name
    if hasattr(type(value), "_repr_markdown_"):
        yield value._repr_markdown_()
    if hasattr(type(value), "_repr_mimebundle_"):
        bundle = value._repr_mimebundle_()
        bundle = bundle[0] if isinstance(bundle, tuple) else bundle
        if isinstance(bundle, Mapping):
            yield bundle.get("text/markdown")
            yield bundle.get("text/plain")


def _repr(value: Any) -> str:
    """The repr without addresses, which tell nothing and differ in each run."""
    kind: Any = type(value)
    if kind.__repr__ is object.__repr__ and kind.__str__ is not object.__str__:
        return _str(value)
    try:
        return _ADDRESS.sub("", repr(value))
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"


def _str(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose str raises {type(error).__name__}>"


# --- exceptions


def _leaves(error: BaseException) -> list[BaseException]:
    """The exceptions of a group, groups in it opened too; for any other only itself."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]


def _named(error: BaseException) -> str:
    """Type and message on one line."""
    try:
        if type(error).__str__ is KeyError.__str__ and len(error.args) == 1:
            # its text is the bare key
            text = f"there is no key {error.args[0]!r}"
        else:
            text = str(error)
    except Exception as problem:
        text = f"(its text cannot be shown: {type(problem).__name__})"
    text = " ".join(text.split())
    if len(text) > _MOST_MESSAGE:
        text = f"{text[:_MOST_MESSAGE]} [... {len(text) - _MOST_MESSAGE:,} characters cut]"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(error: BaseException) -> str:
    """The innermost line of the user's own code; empty if none took part."""
    found: tuple[TracebackType, str] | None = None
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if _is_users(name):
            found = trace, name
        trace = trace.tb_next
    if found is None:
        return ""
    trace, name = found
    number = trace.tb_lineno
    if not number:
        return ""
    source = linecache.getline(name, number, trace.tb_frame.f_globals).strip()
    if len(source) > _MOST_LINE:
        source = f"{source[:_MOST_LINE]}…"
    file = "the cell" if _is_cell(name) else Path(name).name
    function = trace.tb_frame.f_code.co_name
    within = "" if function.startswith("<module") else f", in {function}"
    return f"line {number} of {file}{within}" + (f": {source}" if source else "")


def _is_cell(file: str) -> bool:
    # ipykernel gives each cell the name of a file that does not exist: /tmp/ipykernel_1234/567.py
    return file.startswith("<ipython") or "ipykernel_" in file


_NOT_USERS = tuple(
    f"{folder}{os.sep}"
    for folder in (
        str(Path(__file__).parent.parent),
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
    )
)


def _is_users(file: str) -> bool:
    """Whether the code is neither ours, nor Python's, nor of an installed library."""
    if _is_cell(file):
        return True
    if file.startswith("<") or "site-packages" in file or "dist-packages" in file:
        return False
    return not file.startswith(_NOT_USERS)
