"""What is told about a value: its shape always, its content only when it is asked for."""

from __future__ import annotations

import argparse
import asyncio
import contextvars
import dataclasses
import datetime
import functools
import itertools
import linecache
import os
import subprocess
import sys
import warnings
from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Iterator
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from pydantic import BaseModel, SecretStr

from minimax_magic.context.describe import Piece, context_text, describe

SECRET = "sesame"
OTHER = "tahini"


def told(value: Any, rows: int = 0) -> str:
    return describe("x", value, rows=rows).text


def pandas_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "word": [SECRET, OTHER, None],
            "kind": pd.Categorical([SECRET, OTHER, SECRET]),
            "number": [1.5, None, 3.5],
            "count": [1, 2, 30_000_000],
            "day": pd.to_datetime(["2020-01-01", None, "2021-01-01"]),
            "items": [[SECRET], {}, OTHER],
            "yes": [True, False, True],
        },
        index=[SECRET, OTHER, "third"],
    )


def polars_frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "word": [SECRET, OTHER, None],
            "kind": pl.Series([SECRET, OTHER, SECRET], dtype=pl.Enum([SECRET, OTHER])),
            "number": [1.5, float("nan"), 3.5],
            "count": [1, None, 3],
            "items": [[SECRET], [], [OTHER]],
            "record": [{"a": SECRET}] * 3,
            "day": [datetime.date(2020, 1, 1), None, datetime.date(2021, 1, 1)],
        }
    )


# ---------------------------------------------------------------------------------------- tables


def test_a_pandas_frame_is_told_by_its_schema() -> None:
    """Size, index, and for each column type, missing, statistics or the number of distinct ones."""
    text = told(pandas_frame())
    assert "pandas.DataFrame with 3 rows and 7 columns" in text
    assert "Index: Index, str, 3 entries" in text or "Index: Index, object, 3 entries" in text
    assert "1 missing, 2 distinct" in text
    assert "- 'kind': category, 0 missing, 2 distinct" in text
    assert "- 'number': float64, 1 missing, min 1.5, 25% 2, median 2.5" in text
    assert "max 30000000" in text
    assert "min 2020-01-01 00:00:00" in text
    assert "- 'items': object, 0 missing" in text
    assert text.count("\n- ") == 7


def test_a_polars_frame_is_told_by_its_schema() -> None:
    """The same for polars; NaN is counted apart and left out of the statistics."""
    text = told(polars_frame())
    assert "polars.DataFrame with 3 rows and 7 columns" in text
    assert "- 'word': String, 1 missing, 2 distinct" in text
    assert "- 'kind': Enum of 2 categories, 0 missing, 2 distinct" in text
    assert "- 'number': Float64, 0 missing, 1 NaN, min 1.5" in text
    assert "max 3.5, mean 2.5" in text
    assert "Struct('a': String)" in text
    assert "min 2020-01-01, max 2021-01-01" in text


TABLES = {
    "pandas": pandas_frame,
    "polars": polars_frame,
    "pandas column": lambda: pandas_frame()["word"],
    "categories": lambda: pandas_frame()["kind"],
    "polars column": lambda: polars_frame()["kind"],
    "nested enum": lambda: pl.Series([[SECRET, OTHER]], dtype=pl.List(pl.Enum([SECRET, OTHER]))),
    "index": lambda: pandas_frame().index,
    "categorical index": lambda: pd.CategoricalIndex([SECRET, OTHER]),
    "deep index": lambda: pd.MultiIndex.from_tuples([(SECRET, 1), (OTHER, 2)], names=["a", None]),
    "groups": lambda: pandas_frame().groupby("kind", observed=True),
    "groups by value": lambda: pandas_frame().groupby(np.array([SECRET, OTHER, SECRET])),
    "column of groups": lambda: pandas_frame().groupby("kind", observed=True)["word"],
    "polars groups": lambda: polars_frame().group_by("word"),
    "lazy": lambda: polars_frame().lazy(),
    "numpy": lambda: np.array([[SECRET, OTHER]]),
    "numpy objects": lambda: np.array([SECRET, {OTHER: 1}], object),
    "dict": lambda: {"a": SECRET, "b": [OTHER], "c": {"d": SECRET}, "e": pandas_frame()},
    "list": lambda: [SECRET, [OTHER], {"a": SECRET}],
    "set": lambda: {SECRET, OTHER},
    "named tuple": lambda: namedtuple("P", "a b")(SECRET, OTHER),
    "dataclass": lambda: Account(SECRET),
    "pydantic": lambda: Login(user=SECRET, password=OTHER),
    "namespace": lambda: SimpleNamespace(a=SECRET),
    "mapping": lambda: UserDict(a=SECRET),
    "partial": lambda: functools.partial(print, SECRET, sep=OTHER),
    "collection": lambda: Bag(),
    "tensor": lambda: Tensor(),
    "row": lambda: pandas_frame().loc[SECRET],
    "row of unnamed columns": lambda: pd.DataFrame([[1, 2]], index=[SECRET]).loc[SECRET],
    "window over a row": lambda: pd.Series([1.0], index=[SECRET]).rolling(1),
    "categorical array": lambda: pandas_frame()["kind"].array,
    "categorical type": lambda: pandas_frame()["kind"].dtype,
    "sparse array": lambda: pd.arrays.SparseArray([SECRET] * 2, fill_value=SECRET, dtype=object),
    "sparse type": lambda: pd.SparseDtype(object, SECRET),
    "sparse frame": lambda: pd.DataFrame({"a": pd.arrays.SparseArray([SECRET], fill_value=SECRET)}),
    "numpy type": lambda: np.dtype("i4", metadata={"a": SECRET}),
    "enum type": lambda: pl.Enum([SECRET, OTHER]),
    "expression": lambda: pl.lit(SECRET),
    "groups by labels": lambda: pandas_frame().groupby([SECRET, OTHER, SECRET]),
    "column of groups by labels": lambda: pandas_frame()["word"].groupby([SECRET, OTHER, OTHER]),
    "object with a frame": lambda: Holder(pandas_frame()),
    "object with slots": lambda: Slotted(pandas_frame()),
    "object with a length": lambda: Bag(),
    "arguments": lambda: argparse.Namespace(token=SECRET),
    "iterator": lambda: itertools.repeat(pandas_frame()),
    "partial method": lambda: functools.partialmethod(print, pandas_frame()),
    "partial of an object": lambda: functools.partial(Holder(SECRET)),
    "context variable": lambda: contextvars.ContextVar("c", default=Holder(SECRET)),  # noqa: B039
    "future": lambda: done(pandas_frame()),
    "default": lambda: without_source("def f(x=frame, y: frame = 1) -> frame: ...")["f"],
    "default of a lambda": lambda: without_source("f = lambda x=[frame], *, y=list(frame.a): 1")[
        "f"
    ],
    "default of a method": lambda: without_source("class C:\n def __init__(s, x=frame): ...")["C"],
    "default of a field": lambda: dataclasses.make_dataclass(
        "Made", [("a", object, dataclasses.field(default=Holder(SECRET)))]
    ),
    "member": lambda: Enum("Odd", {"A": Holder(SECRET)})["A"],  # type: ignore[misc]
    "record": lambda: np.rec.array([(1, SECRET)], dtype=[("a", int), ("b", "U10")])[0],
    "mock": lambda: MagicMock(return_value=SECRET, token=SECRET, name=SECRET),
}


@dataclasses.dataclass
class Account:
    name: str


class Login(BaseModel):
    user: str
    password: SecretStr


class Bag:
    """A container of somebody's that prints all that it has."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[str]:
        return iter([SECRET, OTHER])

    def __repr__(self) -> str:
        return f"Bag({SECRET}, {OTHER})"


class Holder:
    """An object whose repr is that of what it holds."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __call__(self) -> None: ...

    def __repr__(self) -> str:
        return f"Holder({self.held!r})"

    @property
    def computed(self) -> Any:
        raise AssertionError("no property is asked")


class Slotted:
    __slots__ = ("held", "unset")

    def __init__(self, held: Any) -> None:
        self.held = held

    def __repr__(self) -> str:
        return f"Slotted({self.held!r})"


def done(value: Any) -> Any:
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    future.set_result(value)
    loop.close()
    return future


def without_source(code: str) -> dict[str, Any]:
    """The names of code that nobody keeps the text of."""
    names: dict[str, Any] = {"frame": pd.DataFrame({"a": [SECRET, OTHER]}), "__name__": "gone"}
    exec(compile(code, "<gone>", "exec", dont_inherit=True), names)
    return names


class Tensor:
    """As those of torch: a shape, a type, and a repr with values."""

    shape = (2, 3)
    dtype = "float16"

    def __repr__(self) -> str:
        return SECRET


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_without_rows_no_value_is_told(make: Any) -> None:
    """No cell, category, label, element or field of any container is in the text."""
    text = told(make())
    assert SECRET not in text
    assert OTHER not in text
    assert len(text) > 10


@pytest.mark.parametrize("make", [pandas_frame, polars_frame])
def test_rows_tell_the_first_rows_and_no_more(make: Any) -> None:
    """`rows=1` gives one row of values."""
    text = told(make().drop("kind", axis=1) if make is pandas_frame else make().drop("kind"), 1)
    assert "The first 1 row, as CSV:" in text
    assert SECRET in text
    assert OTHER not in text


@pytest.mark.parametrize(
    "make",
    [lambda: pandas_frame()["word"], lambda: pandas_frame().index, lambda: polars_frame()["word"]],
)
def test_rows_of_a_column_are_told(make: Any) -> None:
    """Columns and indexes have rows, too."""
    text = told(make(), 1)
    assert SECRET in text
    assert OTHER not in text


def test_rows_that_are_too_many_are_cut_and_counted() -> None:
    """What does not fit is left out, and the text says how many rows that are."""
    text = told(pd.DataFrame({"a": ["x" * 5_000] * 2_000}), 1_500)
    assert len(text) < 60_000
    assert "of 1,500 rows are left out]" in text
    assert "x" * 1_001 not in text


def test_wide_frames_are_cut_with_a_note() -> None:
    """Of more than 60 columns the first 60 are told."""
    for frame in (pd.DataFrame(np.zeros((1, 99))), pl.DataFrame(np.zeros((1, 99)))):
        text = told(frame, 1)
        assert text.count("\n- ") == 60
        assert "[39 more columns are left out]" in text


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame(), "0 rows and 0 columns"),
        (pl.DataFrame(), "0 rows and 0 columns"),
        (pd.DataFrame({"a": []}), "0 rows and 1 column"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "- 'a': int64, 0 missing, min 2"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", 1)])), "- ('a', 1): int64"),
        (pd.DataFrame({"a\nb": [1]}), "- 'a\\nb': int64"),
        (pd.DataFrame({"a": [1, 1, 1]}, index=[1, 1, 2]), "not unique"),
        (pd.DataFrame({"a": pd.array([1, None], "Int64")}), "Int64, 1 missing, min 1"),
        (pd.DataFrame({"a": [1j]}), "complex128, 0 missing"),
        (pd.DataFrame({"a": [float("nan")]}), "float64, 1 missing"),
        (pd.DataFrame({"a": pd.to_timedelta([1], "D")}), "min 1 days"),
        (
            pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])),
            "levels None (int64)",
        ),
        (pl.DataFrame({"a": [object()]}, schema={"a": pl.Object}), "- 'a': Object"),
    ],
)
def test_odd_frames_can_be_told(frame: Any, words: str) -> None:
    """Empty frames, names twice, deep indexes, missing values of all kinds."""
    text = told(frame, 1)
    assert words in text
    assert "nan," not in text


def test_the_name_of_a_series_may_be_a_label() -> None:
    """A row's name is its label and is told as other values are: with rows."""
    assert "named 'third'" in told(pandas_frame().loc["third"], 1)
    assert "third" not in told(pandas_frame().loc["third"])
    assert "named 'word'" in told(polars_frame()["word"])


@pytest.mark.parametrize("keys", ["kind", ["kind"], ["yes", "kind"]])
def test_columns_that_group_are_named(keys: Any) -> None:
    """Names of columns, alone or as a list, on a table and on one of its columns."""
    groups = pandas_frame().groupby(keys, observed=True)
    assert f" by {keys!r}: " in told(groups)
    assert f" by {keys!r}: " in told(groups["word"])
    assert " by a list: " in told(pandas_frame().groupby(["yes", "no", "yes"]))


@pytest.mark.parametrize("library", [pd, pl])
def test_large_tables_are_not_counted(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cells of all columns together decide; a note says what is missing and nothing else is."""
    monkeypatch.setattr("minimax_magic.context.tables._MOST_COUNTED", 20)
    wide = library.DataFrame({f"c{i}": ["a"] * 4 if i % 2 else [1.0] * 4 for i in range(6)})
    for value in (wide, library.Series(["a"] * 21)):
        text = told(value)
        assert "Distinct counts and quantiles are left out: the table is large." in text
        assert "distinct," not in text
        assert "median" not in text
        assert "0 missing" in text
    assert "mean 1" in told(wide)
    for small in (wide[:3], library.Series(["a"] * 20)):
        assert "1 distinct" in told(small)
        assert "left out" not in told(small)


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (pd.CategoricalDtype([SECRET]), "type of values: pandas.CategoricalDtype, category"),
        (pd.SparseDtype("int64", 7), "type of values: pandas.SparseDtype, Sparse[int64]"),
        (np.dtype("f4"), "numpy.dtypes, float32"),
        (pl.Enum([SECRET]), "type of values: polars.Enum, Enum of 1 categories"),
        (pl.List(pl.Datetime("ms")), "List(Datetime(time_unit='ms', time_zone=None))"),
    ],
)
def test_a_type_of_values_is_told_by_its_name(dtype: Any, words: str) -> None:
    """Its repr would tell categories and the value that is not stored."""
    assert words in told(dtype).replace("numpy.Float32DType", "numpy.dtypes")


def test_a_frame_is_not_changed() -> None:
    """Nothing is written into the user's table."""
    frame = pandas_frame()
    told(frame, 2)
    pd.testing.assert_frame_equal(frame, pandas_frame())


# ------------------------------------------------------------------------------- arrays, containers


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([[1.0, np.nan]]), "shape (1, 2), type float64, 1 missing, min 1, mean 1, max 1"),
        (np.array([12345678]), "min 12345678"),
        (np.array(["2020-01-01", "NaT"], "M8[D]"), "1 missing, min 2020-01-01, max 2020-01-01"),
        (np.ma.array([1, 2], mask=[1, 0]), "1 missing, min 2, mean 2, max 2"),
        (np.zeros((0, 3)), "shape (0, 3), type float64"),
        (np.array([np.nan]), "1 missing"),
        (np.array(3), "shape (), type int64, 0 missing, min 3"),
        (np.zeros(2, [("a", "i4"), ("b", "U3")]), "fields 'a' (int32), 'b' (<U3)"),
        (Tensor(), "Tensor, shape (2, 3), type 'float16'"),
    ],
)
def test_arrays_are_told_by_shape_and_type(array: Any, words: str) -> None:
    """Missing ones are counted and left out of minimum, mean and maximum."""
    assert words in told(array)


def test_rows_of_an_array_are_told() -> None:
    """The first entries of the first dimension."""
    text = told(np.array([[11, 12], [21, 22]]), 1)
    assert "The first 1 of 2:\n[[11 12]]" in text
    assert "22" not in text.split("The first")[1]


def test_rows_of_an_array_of_categories_are_told() -> None:
    """The first values, not all the categories or the value that is not stored."""
    for array in (
        pd.Categorical([SECRET, OTHER]),
        pd.arrays.SparseArray([SECRET, OTHER], fill_value=OTHER),
    ):
        text = told(array, 1)
        assert f"The first 1 of 2:\n['{SECRET}']" in text
        assert OTHER not in text


def test_a_dict_is_told_by_keys_and_types() -> None:
    """Names of keys, types and sizes of values, one level into lists and dicts."""
    text = told({"a": 1, "b": [1, "x", 2], "c": {"d": 3}, 4: pandas_frame()})
    assert text.splitlines() == [
        "dict with 4 keys",
        "- 'a': int",
        "- 'b': list of 3: 2 int, 1 str",
        "- 'c': dict with 1 key: 'd'",
        "- 4: pandas.DataFrame of shape (3, 7)",
    ]


def test_rows_of_containers_tell_their_first_entries() -> None:
    """Values as they are, but of a table in a container its shape only."""
    text = told({"a": SECRET, "t": [pandas_frame()], "z": OTHER}, 2)
    assert f"'a': '{SECRET}'" in text
    assert "pandas.DataFrame of shape (3, 7)" in text
    assert OTHER not in text
    assert "The first 1:\n1" in told([1, 2], 1)
    assert "The first 2:\n'a'\n'b'" in told({"b", "a", "c"}, 2)
    assert SECRET in told(Account(SECRET), 1)
    assert SECRET in told(OrderedDict(a=SECRET), 1)


def test_secrets_of_pydantic_stay_masked() -> None:
    """`SecretStr` masks itself, with rows too."""
    text = told(Login(user="ana", password=SecretStr(SECRET)), 5)
    assert "ana" in text
    assert SECRET not in text
    assert SECRET not in told(SecretStr(SECRET))


def test_large_containers_are_cut() -> None:
    """Keys beyond 60 are counted, long lists are not written out."""
    assert "[40 more keys are left out]" in told({f"k{i}": i for i in range(100)})
    assert "list of 1,000,000: 10,000 int (of the first 10,000)" in told([0] * 1_000_000)
    assert len(told([["x" * 10_000] * 1_000] * 1_000, 1_000)) < 80_000


# ---------------------------------------------------------------------------------- scalars, objects


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", "str of 3 characters:\na\nb"),
        (3, "int: 3"),
        (True, "bool: True"),
        (None, "NoneType: None"),
        (b"ab", "bytes of 2 bytes: b'ab'"),
        (Colour.RED, "Colour: <Colour.RED: 1>"),
        (np.float32(1.5), "numpy.float32: np.float32(1.5)"),
        (datetime.date(2020, 1, 2), "datetime.date: datetime.date(2020, 1, 2)"),
        (Path("a"), "pathlib.PosixPath: PosixPath('a')"),
        (range(3), "range: range(0, 3)"),
        (np.datetime64("2020-01-02"), "numpy.datetime64: np.datetime64('2020-01-02')"),
        (pd.Period("2020-01"), "pandas.Period: Period('2020-01', 'M')"),
        (pd.NaT, "pandas.NaTType: NaT"),
        (datetime.UTC, "datetime.timezone: datetime.timezone.utc"),
        (ip_address("10.0.0.1"), "ipaddress.IPv4Address: IPv4Address('10.0.0.1')"),
    ],
)
def test_scalars_are_told_by_their_value(value: Any, text: str) -> None:
    """They are nothing but a value, and the user has named them."""
    assert told(value).replace("test_describe.", "") == text


def test_a_huge_integer_is_told_by_its_length() -> None:
    """Python refuses to write out integers of so many digits."""
    assert told(10**9000) == "int: an integer of 29,898 bits"


def test_a_long_text_is_cut_and_counted() -> None:
    """8,000 characters, and how many more there were; bytes likewise."""
    text = told("y" * 20_000)
    assert text.count("y") == 8_000
    assert "the other 12,000 of 20,000 characters are left out]" in text
    assert "[cut: 18,000 more]" in told(b"y" * 20_000)


def test_half_characters_can_be_sent() -> None:
    """A lone surrogate is replaced, as it could not be encoded."""
    assert told("a\ud83d").endswith("a\ufffd")
    told({"a\ud83d": 1}).encode()


class Plain:
    """An object of the user's."""

    colour = "red"

    def paint(self) -> None: ...


def test_objects_tell_their_names() -> None:
    """Type, attributes with their types, and the public names of the class; no repr."""
    plain = Plain()
    plain.size = [1, 2]  # type: ignore[attr-defined]
    plain._hidden = 1  # type: ignore[attr-defined]
    text = told(plain)
    assert text.splitlines() == [
        "object of type test_describe.Plain",
        "Attributes:",
        "- 'size': list of 2: 2 int",
        "Public names: colour, paint",
    ]


def test_with_rows_an_object_says_what_it_does() -> None:
    """Its repr, without the address in memory."""
    text = told(Plain(), 1)
    assert "It says: <test_describe.Plain object>" in text
    assert "It says: <MagicMock name='m'>" in told(MagicMock(name="m"), 1)
    assert SECRET in told(Holder(SECRET), 1)


def test_attributes_are_told_by_type() -> None:
    """Those of `__slots__` and of namespaces, too; one that is not set is left out."""
    assert "- 'held': pandas.DataFrame of shape (3, 7)" in told(Slotted(pandas_frame()))
    assert "'unset'" not in told(Slotted(1))
    assert "- 'token': str of length 6" in told(argparse.Namespace(token=SECRET))


def test_the_settings_of_an_estimator_are_told() -> None:
    """Numbers and short texts by value, all else by type; what it has learnt by type."""
    base = type("BaseEstimator", (), {"__module__": "sklearn.base"})

    class Forest(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            self.trees, self.rule, self.words = 100, "gini", [SECRET]
            self.classes_ = np.array([SECRET])

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            return {"trees": self.trees, "rule": self.rule, "words": self.words}

    text = told(Forest())
    assert "Parameters: trees=100, rule='gini', words=<list of 1: 1 str>" in text
    assert "- 'classes_': numpy.ndarray of shape (1,)" in text
    assert text.count("trees") == 1
    assert SECRET not in text


class Hostile:
    """Everything about it raises."""

    def __getattribute__(self, name: str) -> Any:
        raise SystemError(name)

    def __repr__(self) -> str:
        raise ValueError

    def __len__(self) -> int:
        raise KeyError

    def __dir__(self) -> Any:
        raise OSError

    def __iter__(self) -> Any:
        raise RuntimeError

    def __hash__(self) -> int:
        raise TypeError


class PanicException(BaseException):
    """As polars raises for an error in Rust."""


class Panics:
    def __repr__(self) -> str:
        raise PanicException


class Interrupted:
    def __repr__(self) -> str:
        raise KeyboardInterrupt


@pytest.mark.parametrize("kind", [Hostile, Panics])
def test_a_value_that_raises_is_told_all_the_same(kind: type) -> None:
    """An error in somebody's `__repr__` or property is no error of the cell."""
    for value in (kind(), [kind()], {"a": kind()}, SimpleNamespace(a=kind())):
        assert kind.__name__ in told(value)
        assert kind.__name__ in told(value, 1)


def test_ctrl_c_passes() -> None:
    """Interrupting while a slow repr runs stops the cell."""
    with pytest.raises(KeyboardInterrupt):
        told(Interrupted(), 1)


def test_an_iterator_is_not_used_up() -> None:
    """A generator gives the user all its values afterwards."""
    numbers = (n for n in range(3))
    told(numbers, 2)
    assert list(numbers) == [0, 1, 2]


def test_warnings_of_a_value_are_not_shown() -> None:
    """Means of nothing and overflows of the user's data bother nobody here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told(np.array([np.nan, np.inf, -np.inf]))
        told(pd.DataFrame({"a": np.array([6e4] * 9, "float16"), "b": [np.inf] * 9}))


def test_libraries_are_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is only half there, or not at all, is passed over."""
    for name in ("pandas", "polars", "numpy", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    assert told(3) == "int: 3"
    assert "Plain" in told(Plain())


# ------------------------------------------------------------------------------------ code, figures


def decorated(number: int, word: str = "a") -> str:
    """Its documentation."""
    if number:
        word += "b"
    return word


def test_functions_and_classes_are_told_by_their_source() -> None:
    """The text of the definition, its indentation kept."""
    text = told(decorated)
    assert text.startswith("function decorated, its source:\ndef decorated(number: int")
    assert '\n    if number:\n        word += "b"\n' in text
    assert "class Plain, its source:\nclass Plain:" in told(Plain)
    assert "    def paint" not in told(Plain().paint)
    assert "def paint(self)" in told(Plain().paint)
    assert "module test_describe" in told(sys.modules[__name__])


def test_code_of_a_cell_is_found() -> None:
    """Functions and classes of a notebook have their source in Python's cache of lines."""
    head = "import dataclasses\n@dataclasses.dataclass\nclass Cell:\n"
    source = f"{head}    a: int\n    def f(self): pass\n"
    name = "<ipython-input-7-abc>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), space)
    assert "@dataclasses.dataclass\nclass Cell:\n    a: int" in told(space["Cell"])
    assert "def f(self): pass" in told(space["Cell"].f)


def test_code_without_source_is_told_by_its_signature() -> None:
    """Builtins have a signature and documentation, classes and modules public names."""
    assert "function len(obj, /), whose source is not available\nReturn the number" in told(len)
    assert "Public names: " in told(dict)
    assert "Public names: " in told(sys)
    assert "sep=…" in told(functools.partial(decorated, 1, sep=2))
    assert "def decorated" in told(functools.partial(decorated, 1))


def test_signatures_tell_plain_defaults_only() -> None:
    """Numbers and texts stay, anything else is an ellipsis; annotations name types only."""
    code = (
        "import typing\n"
        "def f(a: int, b: list[str] | None = None, *, c='x', d=frame, "
        "e: typing.Annotated[int, frame] = 1, g=(1, 2)) -> dict[str, int]: ..."
    )
    assert (
        "function f(a: int, b: list[str] | None = None, *, c='x', d=..., e=1, g=...) "
        "-> dict[str, int], whose source" in told(without_source(code)["f"])
    )


class AnswersToAll:
    def __getattr__(self, name: str) -> Any:
        return 1

    def __call__(self) -> None: ...


def test_proxies_are_no_functions() -> None:
    """Who answers to every name wraps nothing; what `functools.cache` makes does."""
    assert told(AnswersToAll()) == "object of type test_describe.AnswersToAll"
    assert told(MagicMock()).startswith("object of type unittest.MagicMock")
    assert "def decorated" in told(functools.cache(decorated))


def test_a_figure_is_told_and_shown() -> None:
    """Titles, labels, legend and lines in words, and the picture."""
    figure = Figure()
    left, right = figure.subplots(1, 2)
    figure.suptitle("Both")
    left.plot([1, 2, 3], label="growth")
    left.set(title="One", xlabel="time", ylabel="size")
    left.legend()
    for value in (figure, left):
        piece = describe("fig", value)
        assert "Title: 'Both'" in piece.text
        assert "title 'One', x label 'time', y label 'size', legend 'growth'" in piece.text
        assert "1 line ('growth', 3 points)" in piece.text
        assert "Axes 2: empty" in piece.text
        assert piece.image is not None
        assert piece.image.media_type == "image/png"
    right.xaxis.set_major_formatter(lambda *_: 1 / 0)
    piece = describe("fig", figure)
    assert piece.image is None
    assert "Its picture is not attached" in piece.text
    assert "ZeroDivisionError" in piece.text


# --------------------------------------------------------------------------------------- context


FENCED = st.lists(
    st.sampled_from(["\n", "\n```", "\n`````", "`", "~~~", "a", "> "]), max_size=9
).map("".join)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(texts=st.lists(FENCED, min_size=1, max_size=3))
def test_no_text_can_end_its_own_block(texts: list[str]) -> None:
    """Read as markdown, there is one block for each piece, with its whole text."""
    # a final newline and none are the same in a block
    text = context_text([Piece(f"n{i}", text) for i, text in enumerate(texts)])
    blocks = [token.content for token in MarkdownIt().parse(text) if token.type == "fence"]
    assert blocks == [f"{text}\n" for text in texts]


def test_pieces_are_said_to_be_data() -> None:
    """One sentence before them all; names stay on their line; no pieces are no text."""
    text = context_text([Piece("In[3]", "1 + 1"), Piece("a`\n```\nb", "")])
    assert text.startswith("What follows is data from the user's notebook")
    assert text.count("What follows is data") == 1
    assert "\nIn[3]:\n```\n1 + 1\n```\n" in text
    assert "\na' ''' b:\n```\n\n```" in text
    assert context_text([]) == ""


def test_the_same_values_give_the_same_text() -> None:
    """A replayed request is found by its text, which must not hold addresses or orders of sets."""
    for make in (Plain, lambda: [Plain()], lambda: {"b", "a", "d", "c"}):
        assert told(make(), 3) == told(make(), 3)


_ORDERS = """
import sys
import pandas as pd
import polars as pl
from minimax_magic.context.describe import describe, describe_error

class Shows:
    def __init__(self, shown):
        self.shown = shown
    def __repr__(self):
        return f"Shows({self.shown})"

words = {"apple", "pear", "fig", "kiwi", "plum"}
mixed = {("a", 1), ("b", "c"), ("d",), frozenset(words), 3, "x"}
values = [
    words, mixed, {"a": mixed}, [mixed], {frozenset(words): 1}, Shows(words),
    Shows({("a", 1), ("b", "c"), 3, "x"}), {Shows: words}, [Shows(words)],
    {str(i) for i in range(11_000)},
    {i if i % 2 else str(i) for i in range(11_000)}, frozenset([frozenset("ab"), frozenset("bc")]),
    {(str(i), 1) for i in range(11_000)}, {(str(i),) * (i % 3) for i in range(99)},
    pd.DataFrame({"a": [words, mixed, Shows(words)]}), pd.Series([words]), pd.Series([1]).array,
    pl.DataFrame({"a": [Shows(words)]}, schema={"a": pl.Object}),
    pd.Series([words]).to_numpy(), ValueError(words), pd.DataFrame({"a": [object()]}),
]
for rows in (0, 3):
    for value in values:
        print(describe("x", value, rows=rows).text)
"""


def test_another_process_gives_the_same_text() -> None:
    """Strings have other hashes there, and so sets another order."""
    texts = {
        subprocess.run(
            [sys.executable, "-c", _ORDERS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1
    assert b"Shows({'apple', 'fig', 'kiwi', 'pear', 'plum'})" in texts.pop()
