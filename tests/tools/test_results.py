"""What a model is told of a tool's value, or of its failure."""

from __future__ import annotations

import collections
import dataclasses
import enum
import io
import itertools
import json
import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.figure import Figure
from PIL import Image
from pydantic import BaseModel, HttpUrl, RootModel, SecretStr

from minimax_magic.tools.results import error_text, result_text


class Colour(enum.Enum):
    RED = "red"


class Word(enum.StrEnum):
    YES = "yes"


@dataclasses.dataclass
class Box:
    size: int
    inside: object = None


class Person(BaseModel):
    name: str
    key: SecretStr


Pair = collections.namedtuple("Pair", "left right")


class BadRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class OnlyStr:
    def __str__(self) -> str:
        return "told by str"


class Markdown:
    def _repr_markdown_(self) -> str:
        return "**bold**"


class Bundle:
    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, str], dict[str, str]]:
        return {"text/html": "<b>", "text/plain": "plain"}, {}


class AnyName:
    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: "made up"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is\n", "as it is\n"),
        ("", "(an empty text)"),
        (None, "null (the function returned nothing)"),
        (True, "true"),
        (3, "3"),
        (0.5, "0.5"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (10**5000, "[an integer of about 5,001 digits]"),
        (Decimal("12.50"), "12.50"),
        (datetime(2020, 1, 31, 12), "2020-01-31T12:00:00"),
        (timedelta(days=1), "1 day, 0:00:00"),
        (Colour.RED, "red"),
        (Word.YES, "yes"),
        (PurePosixPath("a/b"), "a/b"),
        ({"é": [1, None, math.nan]}, '{"é": [1, null, "NaN"]}'),
        ({1: "a", "1": "b", (1, 2): "c"}, '{"1": "a", "\'1\'": "b", "[1, 2]": "c"}'),
        ((1, "a"), '[1, "a"]'),
        ({"b", "a"}, '["a", "b"]'),
        ({10, 9}, "[9, 10]"),
        (frozenset({"a", 1}), '["a", 1]'),
        ({frozenset({2, 10}), (1, "b"), (1, "a")}, '[[1, "a"], [1, "b"], [2, 10]]'),
        (collections.deque([1]), "[1]"),
        ({"a": 1}.items(), '[["a", 1]]'),
        (Pair(1, date(2020, 1, 31)), '{"left": 1, "right": "2020-01-31"}'),
        (Box(1, [Box(2)]), '{"size": 1, "inside": [{"size": 2, "inside": null}]}'),
        (Person(name="Ana", key="k"), '{"name": "Ana", "key": "**********"}'),
        (np.float32(1.5), "1.5"),
        (np.bool_(True), "true"),
        ([np.int64(3)], "[3]"),
        (np.datetime64("2020-01-01T00:00:00.000000001"), "2020-01-01T00:00:00.000000001"),
        (pd.Timestamp("2020-01-31"), "2020-01-31T00:00:00"),
        (range(3), "range(0, 3)"),
        (object(), "<object object>"),
        ([object()], '["<object object>"]'),
        (Box, f"<class '{__name__}.Box'>"),
        (BadRepr(), "<BadRepr, whose repr raises RuntimeError>"),
        ([BadRepr(), 1], '["<BadRepr, whose repr raises RuntimeError>", 1]'),
        (OnlyStr(), "told by str"),
        (Markdown(), "**bold**"),
        (Markdown, f"<class '{__name__}.Markdown'>"),
        (Bundle(), "plain"),
        (AnyName(), f"<{__name__}.AnyName object>"),
        (io.StringIO("not read"), "<_io.StringIO object>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_have_a_text(value: Any, text: str) -> None:
    """Texts stay as they are, data is JSON, and everything else shows itself without addresses."""
    assert result_text(value) == text


def test_circles_and_depth_have_an_end() -> None:
    """A list that holds itself is told once, and a very deep one up to some depth."""
    circle: list[Any] = [1]
    circle.append(circle)
    assert result_text(circle) == '[1, "[circular]"]'
    twice = [0]
    assert result_text([twice, twice]) == "[[0], [0]]"
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert "[too deep]" in result_text(deep)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 40_000,
        ["é" * 100] * 900,
        list(range(200_000)),
        {str(number): number for number in range(100_000)},
        set(range(100_000)),
        pd.DataFrame({"a": range(10_000), "b": "text"}),
        pd.DataFrame(np.zeros((50, 3_000))),
        pl.DataFrame({"a": ["y" * 5_000] * 50}),
        np.zeros((1000, 1000)),
        itertools.count(),
        itertools.repeat("z" * 5_000),
        ValueError("q" * 90_000),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("most", [0, 30, 300, 20_000])
def test_the_limit_holds_for_the_whole_text(value: Any, most: int) -> None:
    """No text is longer than it may be, what it says of cuts included."""
    assert len(result_text(value, most_chars=most)) <= most


def test_a_cut_text_keeps_head_and_tail_and_says_how_much_is_gone() -> None:
    """The numbers of the note add up."""
    text = result_text("a" * 20_000 + "b" * 20_000, most_chars=1000)
    head, note, tail = text.split("\n")
    assert set(head) == {"a"}
    assert set(tail) == {"b"}
    gone = 40_000 - len(head) - len(tail)
    assert note == f"[... {gone:,} of 40,000 characters cut]"
    assert 990 <= len(text) <= 1000


def test_a_cut_list_says_how_many_items_are_gone() -> None:
    """A list too long to be written out at all tells the number of the rest."""
    assert result_text(list(range(10**6))).endswith(' more items]"]')
    assert '"[cut]": "' in result_text(dict.fromkeys(range(10**5)))


def test_a_cut_set_is_sorted_before() -> None:
    """Its first items are kept, and the note about the others stands behind them."""
    told = json.loads(result_text({*range(80_000)}, most_chars=10**7))
    assert told[:-1] == [*range(len(told) - 1)]
    assert told[-1] == f"[cut: {80_000 - len(told[:-1]):,} more items]"
    mixed = json.loads(result_text({*range(10**6, 10**6 + 40_000), "a"}, most_chars=10**7))
    assert mixed[:-1] == ["a", *range(10**6, 10**6 + len(mixed) - 2)]
    assert mixed[-1].endswith(" more items]")


def test_a_huge_set_without_an_order_is_only_counted() -> None:
    """To order it, all of it would have to be written out."""
    told = result_text({*range(200_000), "a"})
    assert told == '["[cut: 200,001 items]"]'


def test_a_model_of_any_kind_is_told() -> None:
    """Addresses and secrets are told as JSON has them, sets of models and bare lists too."""

    class Name(BaseModel, frozen=True):
        first: str

    class Site(BaseModel):
        url: HttpUrl
        address: IPv4Address
        people: set[Name]

    class Names(RootModel[list[Name]]):
        pass

    people = {Name(first="Bo"), Name(first="Al")}
    site = Site(url="https://a.b/c", address="10.0.0.1", people=people)
    assert json.loads(result_text(site)) == {
        "url": "https://a.b/c",
        "address": "10.0.0.1",
        "people": [{"first": "Al"}, {"first": "Bo"}],
    }
    assert result_text(Names([Name(first="Al")])) == '[{"first": "Al"}]'


def spent(value: Any) -> float:
    """Seconds of this process to tell a value, the best of three."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        result_text(value)
        times.append(time.process_time() - begun)
    return min(times)


@pytest.mark.parametrize("library", [pd, pl])
def test_rows_without_room_cost_nothing(library: Any) -> None:
    """A frame of many rows takes about as long as one of a few, and a list of many has an end."""
    columns = {f"c{number}": range(2_000) for number in range(50)}
    long = library.DataFrame(columns)
    short = long.head(20)
    assert spent([long]) < 8 * spent([short])
    assert spent([long] * 400) < 8 * spent([long] * 20)


def test_half_a_character_is_replaced() -> None:
    """A lone surrogate cannot be sent, wherever it stands."""
    for value in ("a\ud83d", ["\ud83d"], Box(1, "\ude00"), ValueError("\ud83d")):
        result_text(value).encode()
    error_text(ValueError("\ud83d")).encode()


def test_a_pandas_frame_is_told_with_types_and_rows() -> None:
    """Size, columns with types, then all rows as CSV with their index."""
    frame = pd.DataFrame({"a": [1, 2], "b c": ["x,\ny", None]}, index=["r", "s"])
    lines = result_text(frame).splitlines()
    assert lines[0] == "pandas DataFrame: 2 rows x 2 columns"
    assert lines[1].startswith("columns: a (int64), b c (")
    assert lines[2:4] == ["index,a,b c", 'r,1,"x, y"']
    assert lines[4].startswith("s,2,")
    assert len(lines) == 5


def test_a_polars_frame_is_told_likewise() -> None:
    """polars has no index; a missing value is empty."""
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"]})
    assert result_text(frame) == (
        "polars DataFrame: 2 rows x 2 columns\ncolumns: a (Int64), b (String)\na,b\n1,x\n,y"
    )
    assert result_text(frame["a"]).startswith("polars Series: 2 rows\ncolumns: a (Int64)\na\n1")
    assert "nothing was computed" in result_text(frame.lazy())


def test_rows_left_out_are_counted() -> None:
    """A long frame shows its head and tail; shown and left out rows are all rows."""
    frame = pd.DataFrame({"a": range(10_000)})
    lines = result_text(frame, most_chars=600).splitlines()
    note = next(line for line in lines if line.startswith("[..."))
    rows = [line for line in lines[3:] if line != note]
    assert rows[0] == "0,0"
    assert rows[-1] == "9999,9999"
    assert note == f"[... {10_000 - len(rows):,} of 10,000 rows left out]"


def test_columns_left_out_are_counted() -> None:
    """A very wide frame names the first columns and the number of the others."""
    text = result_text(pd.DataFrame(np.zeros((2, 300))))
    assert "2 rows x 300 columns" in text
    assert "[... 250 more columns left out]" in text


@pytest.mark.parametrize(
    "frame", [pd.DataFrame(), pd.DataFrame(columns=["a"]), pl.DataFrame(), pd.Series([], dtype=int)]
)
def test_a_frame_without_rows_says_so(frame: Any) -> None:
    """Nothing is invented for an empty frame."""
    assert ": 0 rows" in result_text(frame)


def test_frames_inside_data_are_told_too() -> None:
    """A dict of frames tells each of them in short."""
    told = json.loads(result_text({"train": pd.DataFrame({"a": range(5000)}), "n": 1}))
    assert told["train"].startswith("pandas DataFrame: 5,000 rows x 1 column")
    assert "rows left out]" in told["train"]
    assert told["n"] == 1


def test_a_model_with_a_frame_is_told() -> None:
    """A pydantic model tells each field, also one that JSON cannot say."""

    class Report(BaseModel, arbitrary_types_allowed=True):
        day: date
        frame: pd.DataFrame

    told = json.loads(result_text(Report(day=date(2020, 1, 31), frame=pd.DataFrame({"a": [1]}))))
    assert told["day"] == "2020-01-31"
    assert told["frame"].startswith("pandas DataFrame: 1 row x 1 column")


def test_an_array_is_told_by_shape_type_and_corners() -> None:
    """A large array shows its corners only."""
    text = result_text(np.zeros((1000, 2000)))
    assert text.startswith("numpy array: 1,000 x 2,000, dtype float64\n[[0. 0. 0. ... 0. 0. 0.]")
    assert len(text) < 500


def test_a_figure_is_described_and_not_sent() -> None:
    """Titles, labels, lines and numbers of points; and that the picture does not go along."""
    figure = Figure(figsize=(4, 3), dpi=100)
    left, right = figure.subplots(1, 2)
    figure.suptitle("All")
    left.plot([1, 2, 3], label="sales")
    left.set(title="T", xlabel="day", ylabel="money")
    right.scatter([1, 2], [3, 4])
    right.bar([1, 2], [3, 4])
    text = result_text(figure)
    assert "400 x 300 pixels (the picture itself is not sent" in text
    assert "title 'All'" in text
    assert "axes 1: title 'T', x label 'day', y label 'money', line 'sales' of 3 points" in text
    assert "axes 2: PathCollection of 2 points, 2 patches" in text
    assert result_text(left).startswith("matplotlib Axes (the picture")


def test_pictures_and_bytes_are_told_by_size_and_kind() -> None:
    """Their content is of no use as text."""
    assert "PIL image, 3 x 4 pixels, mode RGB" in result_text(Image.new("RGB", (3, 4)))
    png = b"\x89PNG\r\n\x1a\n" + bytes(1492)
    assert result_text(png) == "bytes: 1,500 bytes, a PNG image; the content is not sent"
    assert result_text(memoryview(b"abc")[::2]) == "memoryview: 2 bytes; the content is not sent"


def test_an_iterator_is_consumed_and_that_is_said() -> None:
    """A generator's items are told, and whether there may be more."""
    squares = (number * number for number in range(3))
    assert result_text(squares) == "[0, 1, 4]\n[generator: 3 items; its end was reached]"
    assert list(squares) == []
    endless = result_text(itertools.count())
    assert endless.endswith("999]\n[count: 1,000 items; not more were taken, there may be others]")


def test_a_generator_that_fails_keeps_its_items() -> None:
    """What came before the failure is told, and the failure."""

    def pages() -> Iterator[int]:
        yield 1
        raise ValueError("gone")

    text = result_text(pages())
    assert text.startswith("[1]\n[generator: 1 item; then it failed: ValueError: gone")


def test_a_mapping_that_shows_itself_is_not_taken_apart() -> None:
    """A mapping with a display of its own (an xarray Dataset) is told by that."""

    class Dataset(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            return 1

        def __iter__(self) -> Iterator[str]:
            return iter("ab")

        def __len__(self) -> int:
            return 2

        def __repr__(self) -> str:
            return "<Dataset a b>"

        def _repr_html_(self) -> str:
            return "<b>"

    assert result_text(Dataset()) == "<Dataset a b>"


def test_an_interrupt_is_not_swallowed() -> None:
    """Ctrl-C while a value shows itself stops the cell."""

    class Slow:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        result_text(Slow())


def caught(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def ratio() -> float:
    return 1 / 0


def test_an_error_is_told_with_the_line_of_the_users_code() -> None:
    """Type, message, line number, function and source; nothing else of the traceback."""
    line = traceback.extract_tb(caught(ratio).__traceback__)[-1].lineno
    assert error_text(caught(ratio)) == (
        "ZeroDivisionError: division by zero\n"
        f"line {line} of test_results.py, in ratio: return 1 / 0"
    )


def test_frames_of_libraries_are_not_the_users_code() -> None:
    """What a library raised is placed where the user called it."""

    def read() -> Any:
        return json.loads("{")

    text = error_text(caught(read))
    assert text.startswith("JSONDecodeError: Expecting")
    assert text.endswith('in read: return json.loads("{")')


def test_a_line_of_a_cell_is_found() -> None:
    """A notebook cell has a made-up file name, which is not shown."""
    code = compile("\n\ndef f():\n    return {}['a']\n", "/tmp/ipykernel_12/345.py", "exec")
    cell: dict[str, Any] = {}
    exec(code, cell)
    assert error_text(caught(cell["f"])) == (
        "KeyError: there is no key 'a'\nline 4 of the cell, in f"
    )


def test_a_cause_is_told() -> None:
    """`raise ... from` has a third line; messages take one line each."""

    def read() -> None:
        try:
            int("x")
        except ValueError as error:
            raise RuntimeError("no\nway") from error

    first, _place, cause = error_text(caught(read)).splitlines()
    assert first == "RuntimeError: no way"
    assert cause == "caused by ValueError: invalid literal for int() with base 10: 'x'"


def test_a_group_names_what_is_in_it() -> None:
    """Groups within groups are opened, and of many errors the first are told."""
    inner = ExceptionGroup("inner", [KeyError("k"), TypeError()])
    group = ExceptionGroup("many", [ValueError("a"), inner, OSError(2, "gone")])
    assert error_text(group) == (
        "ExceptionGroup: many (3 sub-exceptions):"
        " ValueError: a; KeyError: there is no key 'k'; TypeError; and 1 more"
    )


class BadStr(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (BadStr(), "BadStr: (its text cannot be shown: RuntimeError)"),
        (KeyError(BadRepr()), "KeyError: (its text cannot be shown: RuntimeError)"),
        (KeyError(), "KeyError"),
        (ValueError(), "ValueError"),
        (ValueError("x" * 5000), f"ValueError: {'x' * 500} [... 4,500 characters cut]"),
    ],
    ids=["str", "key", "empty key", "empty", "long"],
)
def test_odd_messages_are_told(error: BaseException, text: str) -> None:
    """A message that is missing, too long or cannot be made is no trouble."""
    assert error_text(error) == text
