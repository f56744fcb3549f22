"""Stretches of time as people name them, in the machine's own time zone.

Days are calendar days there, so one of them has 23 or 25 hours where clocks change. Bounds are given
in UTC, as the ledger wants them: the first is inside, the second is not.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal, get_args

from minimax_magic.errors import ConfigError

RangeName = Literal["today", "7 days", "30 days", "all", "custom"]
RANGES: Final[tuple[RangeName, ...]] = get_args(RangeName)

Bounds = tuple[datetime | None, datetime | None]
"""First moment inside and first moment after, aware, in UTC. None: open."""

_NAMED: Final = tuple(name for name in RANGES if name != "custom")
_DAYS: Final = {"today": 1, "7 days": 7, "30 days": 30}
# Somebody who types 2026 into a date field passes through the years 2, 20 and 202. Not every system
# knows its time zone for those, nor for the last days of the calendar.
_FIRST, _LAST = date(1971, 1, 1), date(9998, 12, 31)


def local_day(at: datetime) -> date:
    """The calendar day on which a moment falls here."""
    return at.astimezone().date()


def local_day_start(now: datetime) -> datetime:
    """When the present day began here, in UTC."""
    return _start(local_day(now))


def month_start(now: datetime) -> datetime:
    """When the present month began here, in UTC."""
    return _start(local_day(now).replace(day=1))


def range_of(
    name: str, now: datetime, *, first: date | None = None, last: date | None = None
) -> Bounds:
    """The bounds of a named range.

    Args:
        name: One of `RANGES`; `7 days` are today and the six days before.
        now: Aware.
        first, last: Of `custom`: the days it goes from and to, both inside. None: open.

    Raises:
        ConfigError: There is no such range, or its last day is before its first.
    """
    name = name.strip().lower()
    if name == "all":
        return None, None
    if name in _DAYS:
        last = local_day(now)
        first = last - timedelta(days=_DAYS[name] - 1)
    elif name != "custom":
        raise _unknown(name)
    elif first is not None and last is not None and last < first:
        raise ConfigError(f"The last day, {last}, is before the first, {first}.")
    return (
        None if first is None else _start(first),
        None if last is None else _start(last, days=1),
    )


def bounds_of(
    since: datetime | date | str | None, until: datetime | date | str | None, now: datetime
) -> Bounds:
    """The bounds of what a program asks for.

    Args:
        since: A moment, a day, either of them in ISO form, or the name of a range, which then says
            where it ends, too. Times without a zone are local ones. None: open.
        until: The same. A moment is not inside, a day is.

    Raises:
        ConfigError: A text is none of these, or the end is before the beginning.
    """
    begin, end = _bounds(since, now)[0], _bounds(until, now)[1]
    if until is None and isinstance(since, str) and _is_name(since):
        end = _bounds(since, now)[1]
    if begin is not None and end is not None and end <= begin:
        raise ConfigError(f"until={until} is before since={since}.")
    return begin, end


def _bounds(value: datetime | date | str | None, now: datetime) -> Bounds:
    if isinstance(value, str):
        if _is_name(value):
            return range_of(value, now)
        value = _parsed(value)
    if value is None:
        return None, None
    if isinstance(value, datetime):  # before `date`, which every datetime is
        moment = value.astimezone(UTC)
        return moment, moment
    return range_of("custom", now, first=value, last=value)


def _is_name(text: str) -> bool:
    return text.strip().lower() in _NAMED


def _parsed(text: str) -> datetime | date:
    for parse in (date.fromisoformat, datetime.fromisoformat):
        try:
            return parse(text.strip())
        except ValueError:
            continue
    raise _unknown(text)


def _unknown(name: str) -> ConfigError:
    known = ", ".join(f'"{known}"' for known in _NAMED)
    return ConfigError(
        f'"{name}" is no range of time.',
        hint=f'Known are {known}, days ("2026-11-21") and times ("2026-11-21 14:30").',
    )


def _start(day: date, *, days: int = 0) -> datetime:
    """Midnight of a day, or of one `days` later; the first moment where clocks skip or repeat it."""
    day = min(max(day, _FIRST), _LAST) + timedelta(days=days)
    # not with `astimezone`, which takes a midnight that is skipped for 23:00 of the day before
    return datetime.fromtimestamp(datetime.combine(day, time()).timestamp(), UTC)
