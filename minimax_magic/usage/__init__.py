"""What is used and what is left.

For programs: `records()` and `dataframe()` give what the ledger holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

    from minimax_magic.usage.ledger import Ledger
    from minimax_magic.usage.rows import Selection

__all__ = ["dataframe", "records"]

Moment = datetime | date | str | None


def records(
    since: Moment = None,
    until: Moment = None,
    *,
    model: str | Iterable[str] | None = None,
    simulated: bool | None = False,
    ledger: str | Path | None = None,
) -> list[dict[str, Any]]:
    """What the ledger holds, one flat dict per request, the oldest first.

    `cost` is an exact Decimal in US dollars, None where no price is known. Prompts and answers are
    not in the ledger. An answer that was replayed has a row, too: `replayed` is true, tokens and cost
    are 0, and `avoided` is what it would have cost.

    Args:
        since: A datetime, a date, one of them in ISO form, or `today`, `7 days`, `30 days`, `all`,
            which also say where they end. Times without a zone are local ones. None: from the first.
        until: The same; a day is included. None: to the last.
        model: Only of this model, or of these. None: of all.
        simulated: The simulator's requests, which cost nothing, instead of the real ones; None: both.
        ledger: Its file; None: the one of the settings.

    Raises:
        ConfigError: `since` or `until` is none of these, or the ledger cannot be read.
    """
    from minimax_magic.usage import frames

    return frames.records(*_asked(since, until, model, simulated, ledger))


def dataframe(
    since: Moment = None,
    until: Moment = None,
    *,
    model: str | Iterable[str] | None = None,
    simulated: bool | None = False,
    ledger: str | Path | None = None,
) -> pandas.DataFrame:
    """The same as a pandas DataFrame; `cost` is a float in it, NaN where no price is known.

    Raises:
        ConfigError: As `records`; or pandas is not installed.
    """
    from minimax_magic.usage import frames

    return frames.dataframe(*_asked(since, until, model, simulated, ledger))


def _asked(
    since: Moment,
    until: Moment,
    model: str | Iterable[str] | None,
    simulated: bool | None,
    ledger: str | Path | None,
) -> tuple[Ledger, Selection]:
    from datetime import UTC

    from minimax_magic.config import load_settings
    from minimax_magic.config_folders import absolute
    from minimax_magic.usage.ledger import MEMORY, open_ledger
    from minimax_magic.usage.ranges import bounds_of
    from minimax_magic.usage.rows import Selection

    begin, end = bounds_of(since, until, datetime.now(UTC))
    models = (model,) if isinstance(model, str) else None if model is None else tuple(model)
    selection = Selection(since=begin, until=end, models=models, simulated=simulated)
    settings = load_settings()
    if ledger is None:
        file = settings.ledger
    else:
        file = MEMORY if ledger == MEMORY else str(absolute(ledger, settings.start))
    return open_ledger(file), selection
