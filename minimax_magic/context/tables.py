"""Tables of pandas and polars: schema, size, missing counts and statistics.

Values are told only for the rows that are asked for. Until then no cell, category or label of the
index is named; numbers and dates appear as minimum, mean, maximum and quantiles only. The name of a
pandas Series is such a label if it is a row (`df.loc["Ada"]`), which nothing tells apart: it is
told with rows only.
Both libraries are met through the values alone and are never imported.
"""

from __future__ import annotations

import csv
import io
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from minimax_magic.context.pieces import (
    MOST_NAMES,
    MOST_ROWS_CHARS,
    MOST_VALUE,
    attempt,
    count_text,
    dtype_text,
    is_a,
    lines_within,
    name_text,
    number_text,
    repr_text,
    short,
    type_name,
)
from minimax_magic.context.steady import steady_text

# cells of a whole table: beyond these, distinct values and quantiles take many seconds
_MOST_COUNTED: Final = 2_000_000
_NOT_COUNTED: Final = "Distinct counts and quantiles are left out: the table is large."
_QUANTILES: Final = ((0.25, "25%"), (0.5, "median"), (0.75, "75%"))


def describe_table(value: Any, rows: int) -> str | None:
    """What is told about a table, column, index or grouping; None if the value is none of these.

    Args:
        rows: How many of the first rows to tell with their values.
    """
    for library, describer in (("pandas", _pandas), ("polars", _polars)):
        module = sys.modules.get(library)
        if module is not None:
            with warnings.catch_warnings():
                # means of nothing, overflows: what comes out is told, or left out
                warnings.simplefilter("ignore")
                text = describer(module, value, rows)
            if text is not None:
                return text
    return None


# --------------------------------------------------------------------------------------- pandas


def _pandas(pandas: Any, value: Any, rows: int) -> str | None:
    if _is(value, pandas, "DataFrame"):
        return _pandas_frame(pandas, value, rows)
    if _is(value, pandas, "Series"):
        named = f" named {_label_text(value.name)}" if rows > 0 else ""
        head = f"{type_name(value)}{named} with {count_text(len(value), 'row')}"
        counted = _is_counted(len(value), 1)
        return _joined(
            head,
            _pandas_index(value.index),
            f"Values: {_pandas_column(pandas, value, counted)}",
            "" if counted else _NOT_COUNTED,
            _series_rows(value, rows),
        )
    if _is(value, pandas, "Index"):
        return _joined(_pandas_index(value), _index_rows(value, rows))
    if type_name(value) in _GROUPINGS:
        return _pandas_groups(value)
    return None


_GROUPINGS: Final = ("pandas.DataFrameGroupBy", "pandas.SeriesGroupBy")


def _pandas_frame(pandas: Any, frame: Any, rows: int) -> str:
    height, width = frame.shape
    counted = _is_counted(height, width)
    columns = [
        # by position: names may be there twice
        f"- {_label_text(frame.columns[i])}: {_pandas_column(pandas, frame.iloc[:, i], counted)}"
        for i in range(min(width, MOST_NAMES))
    ]
    head = f"{type_name(frame)} with {_size(height, width)}"
    shown = frame.iloc[: max(rows, 0), :MOST_NAMES]
    names = ["(index)", *map(str, shown.columns)]
    told = _rows_text(names, shown.itertuples(index=True, name=None), len(shown))
    return _joined(
        head,
        _pandas_index(frame.index),
        _columns_text(columns, width),
        "" if counted else _NOT_COUNTED,
        told if rows > 0 else "",
    )


def _label_text(label: Any) -> str:
    """A column's name; the numbers in it as Python's own."""
    if isinstance(label, tuple):
        return f"({', '.join(map(_label_text, label))})"
    return name_text(label.item() if hasattr(label, "item") else label)


def _pandas_column(pandas: Any, column: Any, counted: bool) -> str:
    kinds = pandas.api.types
    dtype = column.dtype
    facts = [dtype_text(dtype), f"{_total(column.isna())} missing"]
    if kinds.is_bool_dtype(dtype) or kinds.is_complex_dtype(dtype):
        return ", ".join(facts)
    ordered = kinds.is_numeric_dtype(dtype) or kinds.is_datetime64_any_dtype(dtype)
    if ordered or kinds.is_timedelta64_dtype(dtype):
        quantiles = [_named(name, column.quantile, q) for q, name in _QUANTILES] if counted else []
        facts += [_named("min", column.min), *quantiles, _named("max", column.max)]
        facts.append(_named("mean", column.mean))
    elif counted:
        facts.append(_distinct(column.nunique))
    return ", ".join(filter(None, facts))


def _pandas_index(index: Any) -> str:
    """Kind, type and names of the index; its labels are values and are not told."""
    if hasattr(index, "levels"):
        levels = [
            f"{name_text(name)} ({dtype_text(index.levels[i].dtype)})"
            for i, name in enumerate(index.names)
        ]
        return f"Index: {type(index).__name__}, {len(index):,} entries, levels {', '.join(levels)}"
    named = f" named {name_text(index.name)}" if index.name is not None else ""
    unique = "" if attempt(lambda: index.is_unique, True) else ", not unique"
    kind = type(index).__name__
    return f"Index: {kind}{named}, {dtype_text(index.dtype)}, {len(index):,} entries{unique}"


def _series_rows(series: Any, rows: int) -> str:
    shown = series.iloc[: max(rows, 0)]
    return _rows_text(["(index)", "value"], shown.items(), len(shown)) if rows > 0 else ""


def _index_rows(index: Any, rows: int) -> str:
    shown = index[: max(rows, 0)]
    return _rows_text(["label"], ((label,) for label in shown), len(shown)) if rows > 0 else ""


def _pandas_groups(groups: Any) -> str:
    keys = attempt(lambda: groups.keys, None)
    # a list may be of labels, one for each row; then the grouping has no names
    names = attempt(lambda: [*groups._grouper.names], list[Any]())
    plain = isinstance(keys, str) or (isinstance(keys, list) and bool(keys) and keys == names)
    # a function, an array or a Series as key would tell values
    by = repr_text(keys, 500) if plain else f"a {type_name(keys)}"
    size = attempt(lambda: f"{groups.ngroups:,} groups", "an unknown number of groups")
    of = attempt(lambda: f" of a table with {count_text(len(groups.obj), 'row')}", "")
    return f"{type_name(groups)} by {by}: {size}{of}"


# --------------------------------------------------------------------------------------- polars


def _polars(polars: Any, value: Any, rows: int) -> str | None:
    if _is(value, polars, "DataFrame"):
        counted = _is_counted(value.height, value.width)
        columns = [
            f"- {name_text(column.name)}: {_polars_column(column, counted)}"
            for column in value.get_columns()[:MOST_NAMES]
        ]
        shown = value[: max(rows, 0), :MOST_NAMES]
        told = _rows_text(shown.columns, shown.iter_rows(), shown.height) if rows > 0 else ""
        head = f"{type_name(value)} with {_size(value.height, value.width)}"
        note = "" if counted else _NOT_COUNTED
        return _joined(head, _columns_text(columns, value.width), note, told)
    if _is(value, polars, "Series"):
        head = (
            f"{type_name(value)} named {name_text(value.name)} with {count_text(len(value), 'row')}"
        )
        shown = value[: max(rows, 0)]
        told = _rows_text(["value"], ((v,) for v in shown), len(shown)) if rows > 0 else ""
        counted = _is_counted(len(value), 1)
        note = "" if counted else _NOT_COUNTED
        return _joined(head, f"Values: {_polars_column(value, counted)}", note, told)
    if _is(value, polars, "LazyFrame"):
        schema: Any = attempt(value.collect_schema, {})
        columns = [
            f"- {name_text(n)}: {_polars_type(t)}" for n, t in [*schema.items()][:MOST_NAMES]
        ]
        head = f"{type_name(value)}, not computed, with {count_text(len(schema), 'column')}"
        return _joined(head, _columns_text(columns, len(schema)))
    if type_name(value) in ("polars.GroupBy", "polars.DynamicGroupBy", "polars.RollingGroupBy"):
        by = attempt(lambda: [key for key in value.by if isinstance(key, str)], list[str]())
        return f"{type_name(value)} by {repr_text(by, 500)}"
    if _is(value, polars, "DataType"):
        return f"type of values: {type_name(value)}, {_polars_type(value)}"
    return None


def _polars_column(column: Any, counted: bool) -> str:
    dtype = column.dtype
    facts = [_polars_type(dtype), attempt(lambda: f"{column.null_count():,} missing", "")]
    if attempt(dtype.is_numeric, False) or attempt(dtype.is_temporal, False):
        if attempt(dtype.is_float, False):
            facts.append(attempt(lambda: f"{int(column.is_nan().sum()):,} NaN", ""))
            column = attempt(lambda: column.fill_nan(None), column)
        numeric = attempt(dtype.is_numeric, False)
        quantiles = [
            _named(name, column.quantile, q) for q, name in _QUANTILES if numeric and counted
        ]
        facts += [_named("min", column.min), *quantiles, _named("max", column.max)]
        facts.append(_named("mean", column.mean))
    elif str(dtype) != "Boolean" and counted:
        facts.append(_distinct(lambda: column.n_unique() - bool(column.null_count())))
    return ", ".join(filter(None, facts))


def _polars_type(dtype: Any) -> str:
    """The type without the categories of an Enum, which are values."""
    kind: str = getattr(dtype, "__name__", type(dtype).__name__)
    if kind == "Enum":
        return attempt(lambda: f"Enum of {len(dtype.categories):,} categories", "Enum")
    if kind in ("List", "Array"):
        return attempt(lambda: f"{kind}({_polars_type(dtype.inner)})", kind)
    if kind == "Struct":
        fields = attempt(lambda: [(field.name, field.dtype) for field in dtype.fields], list[Any]())
        told = [f"{name_text(name)}: {_polars_type(inner)}" for name, inner in fields[:MOST_NAMES]]
        return f"Struct({', '.join(told)})"
    # others by their name: one of somebody's own may say anything of itself
    return short(str(dtype), 100) if kind in ("Datetime", "Duration", "Decimal") else kind


# --------------------------------------------------------------------------------------- common


def _rows_text(names: Iterable[str], rows: Iterable[Iterable[Any]], total: int) -> str:
    """The rows as CSV, up to a number of characters."""
    if total == 0:
        return "There are no rows."
    body = lines_within(_csv(rows), MOST_ROWS_CHARS, total, "rows")
    return f"The first {count_text(total, 'row')}, as CSV:\n{next(_csv([names]))}\n{body}"


def _csv(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    for row in rows:
        buffer = io.StringIO()
        cells = map(_cell_text, row)
        csv.writer(buffer, lineterminator="").writerow([short(cell, MOST_VALUE) for cell in cells])
        yield buffer.getvalue()


def _cell_text(cell: Any) -> str:
    if is_a(cell, str):
        return str.__str__(cell)
    if is_a(cell, (list, tuple, set, frozenset, dict)):
        return repr_text(cell)
    return steady_text(attempt(lambda: str(cell), "<fails>"))


def _is_counted(height: int, width: int) -> bool:
    """Whether a table, or as much of it as is told, is small enough for what takes long."""
    return height * min(width, MOST_NAMES) <= _MOST_COUNTED


def _columns_text(columns: list[str], total: int) -> str:
    if not total:
        return ""
    more = f"\n[{total - len(columns):,} more columns are left out]" if total > len(columns) else ""
    return "Columns:\n" + "\n".join(columns) + more


def _named(name: str, statistic: Callable[..., Any], *args: Any) -> str:
    """A statistic with its name; empty if the values have none, as a mean of nothing."""
    value = attempt(lambda: statistic(*args), None)
    text = attempt(lambda: number_text(value), "")
    return f"{name} {text}" if value is not None and text not in ("", "nan", "NaT", "<NA>") else ""


def _distinct(count: Callable[[], int]) -> str:
    """How many different values there are; empty where they cannot be compared, as lists."""
    return attempt(lambda: f"{count():,} distinct", "")


def _total(flags: Any) -> str:
    return attempt(lambda: f"{int(flags.sum()):,}", "an unknown number")


def _size(height: int, width: int) -> str:
    return f"{count_text(height, 'row')} and {count_text(width, 'column')}"


def _joined(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _is(value: Any, module: Any, name: str) -> bool:
    kind = getattr(module, name, None)  # None while the module is still being imported
    return isinstance(kind, type) and is_a(value, kind)
