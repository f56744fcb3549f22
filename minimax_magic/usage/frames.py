"""The ledger's records for programs: dicts, a pandas DataFrame, CSV.

pandas has its only home here and is imported when a DataFrame is asked for.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TextIO

from minimax_magic.errors import ConfigError
from minimax_magic.usage.rows import Selection

if TYPE_CHECKING:
    import pandas

    from minimax_magic.usage.ledger import Ledger

COLUMNS: Final = {
    "id": "int64",
    "started_at": "datetime64[ns, UTC]",
    "model": "string",
    "flavor": "string",
    "region": "string",
    "process": "string",
    "agent": "string",
    "chat": "string",
    "notebook": "string",
    "kernel": "string",
    "cell": "string",
    "input_tokens": "int64",
    "output_tokens": "int64",
    "cache_read_tokens": "int64",
    "cache_write_tokens": "int64",
    "reasoning_tokens": "int64",
    "cost": "float64",
    "billing": "string",
    "status": "string",
    "measured": "bool",
    "simulated": "bool",
    "latency_s": "float64",
    "first_token_s": "float64",
    "output_tps": "float64",
    "request_id": "string",
    "currency": "string",
    "replayed": "bool",
    "avoided": "float64",
}
"""The keys of `Record.row()` in their order, with the dtypes that they have in a DataFrame."""

# A spreadsheet takes a cell that begins with one of these for a formula, also from a CSV file.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def records(ledger: Ledger, selection: Selection) -> list[dict[str, Any]]:
    """One flat dict per request or replayed answer, the oldest first.

    `cost` and `avoided` are exact Decimals in US dollars, None where no price is known; `started_at`
    is an aware datetime in UTC.
    """
    return [record.row() for record in reversed(ledger.records(selection))]


def dataframe(ledger: Ledger, selection: Selection) -> pandas.DataFrame:
    """The same as a pandas DataFrame.

    `cost` and `avoided` are floats here, NaN where no price is known, because that is what sums and
    plots want; `records` has them exactly.

    Raises:
        ConfigError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise ConfigError(
            "pandas is not installed.",
            hint="Use minimax_magic.usage.records(), which needs nothing, or pip install pandas.",
        ) from None
    frame = pandas.DataFrame(records(ledger, selection), columns=list(COLUMNS))
    return frame.astype(COLUMNS)


def to_csv(rows: Iterable[dict[str, Any]], file: TextIO) -> int:
    """Writes what `records` gives, with a line of names, and returns how many rows there were.

    Times are ISO, costs are exact, what is None is empty. Text that a spreadsheet would take for a
    formula gets an apostrophe before it.

    Args:
        file: Opened with `newline=""`.
    """
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    count = 0
    for row in rows:
        writer.writerow([_cell(row[name]) for name in COLUMNS])
        count += 1
    return count


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"  # never 1E-7
        case str():
            return f"'{value}" if value.startswith(_FORMULA) else value
        case _:
            return str(value)
