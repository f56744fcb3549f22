"""Arrays: shape, type, missing count and a few statistics; values only for rows asked for.

numpy is met through the values alone. Arrays of other libraries (torch, xarray, h5py) are told by
shape and type: reading their values could move gigabytes.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from typing import Any, Final

from minimax_magic.context.pieces import (
    MOST_ROWS_CHARS,
    attempt,
    cut,
    dtype_text,
    is_a,
    number_text,
    repr_text,
    type_name,
)
from minimax_magic.context.steady import steady_text

# statistics of more take seconds, and read a whole file if the array is mapped to one
_MOST_COUNTED: Final = 50_000_000


def describe_array(value: Any, rows: int) -> str | None:
    """What is told about an array; None if the value is none.

    Args:
        rows: How many entries of the first dimension to tell with their values.
    """
    numpy = sys.modules.get("numpy")
    kind = getattr(numpy, "ndarray", None)
    if kind is not None and is_a(value, kind):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # minimum of nothing but NaN
            return _numpy(numpy, value, rows)
    if _is_scalar(value) or is_a(value, type):
        return None
    if _is_dtype(value):
        return f"type of values: {type_name(value)}, {dtype_text(value)}"
    # mocks and proxies answer to every name
    if inspect.getattr_static(value, "shape", None) is None:
        return None
    shape = attempt(lambda: tuple(int(n) for n in value.shape), None)
    dtype = attempt(lambda: value.dtype, None)
    if shape is None or dtype is None:
        return None
    lines = [f"{type_name(value)}, shape {shape}, type {dtype_text(dtype)}"]
    if rows > 0 and shape:
        # one by one where it is pandas': the repr of its arrays tells all categories, too
        listed = "pandas.ExtensionArray" in _bases(value)
        shown: Any = attempt(lambda: value[:rows], "not readable")
        shown = attempt(lambda: [*shown], shown) if listed else shown
        lines += [_first(rows, shape[0]), repr_text(shown)]
    return "\n".join(lines)


def _is_dtype(value: Any) -> bool:
    """Whether a value is what an array has as its `dtype`, as pandas and numpy have them."""
    return not _bases(value).isdisjoint({"pandas.ExtensionDtype", "numpy.dtype"})


def _bases(value: Any) -> set[str]:
    """The names of its classes, each with the library that it is from."""
    return {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}


def _is_scalar(value: Any) -> bool:
    """numpy's scalars have a shape, too, but are nothing but their value."""
    generic = getattr(sys.modules.get("numpy"), "generic", None)
    return generic is not None and is_a(value, generic)


def _numpy(numpy: Any, array: Any, rows: int) -> str:
    facts = [type_name(array), f"shape {array.shape}", f"type {dtype_text(array.dtype)}"]
    if array.size and array.size <= _MOST_COUNTED:
        facts += _statistics(numpy, array)
    lines = [", ".join(facts)]
    if rows > 0 and array.ndim:
        shown = attempt(lambda: numpy.array2string(array[:rows], threshold=5_000), "not readable")
        lines += [_first(rows, len(array)), cut(steady_text(shown), MOST_ROWS_CHARS)]
    return "\n".join(lines)


def _statistics(numpy: Any, array: Any) -> list[str]:
    kind = array.dtype.kind
    if hasattr(array, "mask"):
        missing = attempt(lambda: int(numpy.ma.count_masked(array)), None)
        smallest, mean, largest = array.min, array.mean, array.max
    elif kind in "fc":
        missing = attempt(lambda: int(numpy.isnan(array).sum()), None)
        smallest, mean, largest = (
            lambda: numpy.nanmin(array),
            lambda: numpy.nanmean(array),
            lambda: numpy.nanmax(array),
        )
    elif kind in "mM":
        missing = attempt(lambda: int(numpy.isnat(array).sum()), None)
        known = attempt(lambda: array[~numpy.isnat(array)], array)
        smallest, mean, largest = known.min, known.mean, known.max
    else:
        missing = 0 if kind in "iu" else None
        smallest, mean, largest = array.min, array.mean, array.max
    facts = [f"{missing:,} missing"] if missing is not None else []
    if kind in "iufmM":
        for name, statistic in (("min", smallest), ("mean", mean), ("max", largest)):
            found = attempt(statistic, None)
            text = attempt(lambda found=found: number_text(found), "")  # type: ignore[misc]
            if found is not None and text not in ("", "nan", "NaT", "--"):
                facts.append(f"{name} {text}")
    return facts


def _first(rows: int, total: int) -> str:
    return f"The first {min(rows, total):,} of {total:,}:"
