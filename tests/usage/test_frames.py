"""What programs get from the ledger: dicts, a DataFrame, CSV."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import minimax_magic.usage
from minimax_magic.errors import ConfigError
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage import frames
from minimax_magic.usage.ledger import Ledger, open_ledger
from minimax_magic.usage.rows import Label, NewRequest, Outcome, Selection

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


def put_replay(ledger: Ledger, avoided: str | None) -> None:
    new = NewRequest(
        *(AT.timestamp(), "MiniMax-M3", "anthropic", "replay", Label(), "per_token", False),
        *(TokenUsage(), Decimal(0)),
    )
    usd = None if avoided is None else Decimal(avoided)
    done = Outcome("ok", TokenUsage(), Decimal(0), True, False, replayed=True, avoided=usd)
    ledger.add_row(new, done).result()


def put(ledger: Ledger, *, hours: float = 0, chat: str | None = None, **changes: Any) -> None:
    """One finished request of so many hours before `AT`."""
    values = {"model": "MiniMax-M3", "cost": Decimal("0.1"), "simulated": False} | changes
    usage = TokenUsage(10, 5)
    new = NewRequest(
        started_at=AT.timestamp() - hours * 3600,
        flavor="anthropic",
        region="intl",
        label=Label(chat=chat),
        billing="per_token",
        usage=usage,
        **values,
    )
    row = ledger.open_row(new).result()
    done = Outcome("ok", usage, values["cost"], True, values["simulated"], 1.5)
    ledger.close_row(row, done).result()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(":memory:")


def test_columns_are_the_keys_of_a_row(ledger: Ledger) -> None:
    """The columns of CSV and DataFrame are those of `Record.row()`, in its order."""
    put(ledger)
    (row,) = frames.records(ledger, Selection())
    assert list(row) == list(frames.COLUMNS)


def test_records_are_exact_and_the_oldest_is_first(ledger: Ledger) -> None:
    """Costs are Decimal, so three dimes are thirty cents."""
    for hours in (1, 3, 2):
        put(ledger, hours=hours)
    rows = frames.records(ledger, Selection())
    assert [row["started_at"].hour for row in rows] == [9, 10, 11]
    assert sum(row["cost"] for row in rows) == Decimal("0.3")


def test_a_dataframe_has_good_types(ledger: Ledger) -> None:
    """Times are times in UTC, costs are floats, an unknown one is NaN; also if all are unknown."""
    pandas = pytest.importorskip("pandas")
    put(ledger, cost=None)
    frame = frames.dataframe(ledger, Selection())
    assert str(frame["started_at"].dtype) == "datetime64[ns, UTC]"
    assert frame["started_at"][0] == pandas.Timestamp(AT)
    assert frame["cost"].isna().all()
    assert frame["cost"].dtype == "float64"
    assert frame["chat"].dtype == "string"
    assert frame["measured"].dtype == bool


def test_replays_are_marked_everywhere(ledger: Ledger) -> None:
    """Dicts have them exactly, CSV without an exponent, a DataFrame as bool and float."""
    put(ledger)
    put_replay(ledger, "0.00000012")
    put_replay(ledger, None)
    rows = frames.records(ledger, Selection())
    assert [(row["replayed"], row["avoided"]) for row in rows] == [
        (False, None),
        (True, Decimal("0.00000012")),
        (True, None),
    ]
    assert [row["cost"] for row in rows] == [Decimal("0.1"), 0, 0]
    file = io.StringIO(newline="")
    frames.to_csv(rows, file)
    read = list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))
    assert [(row["replayed"], row["avoided"]) for row in read] == [
        ("False", ""),
        ("True", "0.00000012"),
        ("True", ""),
    ]
    pytest.importorskip("pandas")
    frame = frames.dataframe(ledger, Selection())
    assert frame["replayed"].tolist() == [False, True, True]
    assert frame["avoided"].sum() == 1.2e-7


def test_an_empty_dataframe_has_all_columns_with_their_types(ledger: Ledger) -> None:
    """Code that works with records works without."""
    pytest.importorskip("pandas")
    frame = frames.dataframe(ledger, Selection())
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == frames.COLUMNS


def test_without_pandas_one_line_says_what_to_do(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the way that needs no pandas, too."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match=r"pandas is not installed\. Use .*usage\.records\(\)"):
        frames.dataframe(ledger, Selection())


def test_csv_is_exact_and_iso(ledger: Ledger) -> None:
    """A tiny cost has all its digits and no exponent; None is empty."""
    put(ledger, cost=Decimal("0.00000012"), chat='数据, "quoted"\nline')
    put(ledger, cost=None, hours=1)
    file = io.StringIO(newline="")
    assert frames.to_csv(frames.records(ledger, Selection()), file) == 2
    unknown, tiny = csv.DictReader(io.StringIO(file.getvalue(), newline=""))
    assert Decimal(tiny["cost"]) == Decimal("0.00000012")
    assert "E" not in tiny["cost"]
    assert tiny["started_at"] == "2026-11-21T12:00:00+00:00"
    assert tiny["chat"] == '数据, "quoted"\nline'
    assert (unknown["cost"], unknown["chat"]) == ("", "")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_csv_cell_is_no_formula(ledger: Ledger, name: str) -> None:
    """A chat whose name a spreadsheet would run gets an apostrophe before it."""
    put(ledger, chat=name)
    file = io.StringIO(newline="")
    frames.to_csv(frames.records(ledger, Selection()), file)
    (row,) = csv.DictReader(io.StringIO(file.getvalue(), newline=""))
    assert row["chat"] == f"'{name}"


def test_the_public_functions_read_the_ledger_of_the_settings(
    env: Callable[..., None], tmp_path: Path
) -> None:
    """Real and simulated requests are never mixed; models and days select."""
    path = str(tmp_path / "usage.sqlite3")
    env(ledger=path)
    ledger = open_ledger(path)
    put(ledger)
    put(ledger, model="MiniMax-M2", hours=24 * 100)
    put(ledger, simulated=True)
    try:
        assert len(minimax_magic.usage.records()) == 2
        assert len(minimax_magic.usage.records(simulated=True)) == 1
        (old,) = minimax_magic.usage.records(model="MiniMax-M2")
        assert minimax_magic.usage.records(until="2026-10-01") == [old]
        assert len(minimax_magic.usage.records(model=["MiniMax-M2", "MiniMax-M3"])) == 2
        pytest.importorskip("pandas")
        assert len(minimax_magic.usage.dataframe(since="2026-11-01")) == 1
    finally:
        ledger.close()


def test_records_is_the_function_and_the_module_stays_importable() -> None:
    """`usage.records` is the function even after its namesake was imported, and nothing heavy loads."""
    check = (
        "import minimax_magic.usage; from minimax_magic.usage.rows import Record;"
        "import minimax_magic.usage.ledger; assert callable(minimax_magic.usage.records);"
        "import sys; assert not {'pandas', 'altair', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
