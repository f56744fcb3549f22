"""Named ranges of time: calendar days of the local time zone, as bounds in UTC."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from minimax_magic.errors import ConfigError
from minimax_magic.usage.ranges import bounds_of, local_day_start, month_start, range_of

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Gives a function that moves this process to a time zone."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system's time zone cannot be changed")

    def move(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


def test_days_are_those_of_the_local_time_zone(zone: Callable[[str], None]) -> None:
    """In Shanghai a day begins at 16:00 UTC of the day before."""
    zone("Asia/Shanghai")
    evening = datetime(2026, 11, 20, 17, tzinfo=UTC)
    assert local_day_start(evening) == datetime(2026, 11, 20, 16, tzinfo=UTC)
    assert month_start(evening) == datetime(2026, 10, 31, 16, tzinfo=UTC)
    assert range_of("today", evening) == (
        datetime(2026, 11, 20, 16, tzinfo=UTC),
        datetime(2026, 11, 21, 16, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("place", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/Santiago", date(2026, 9, 6), 23),  # midnight itself is skipped
        ("Atlantic/Azores", date(2026, 10, 25), 25),  # midnight comes twice
        ("Europe/Berlin", date(2026, 6, 1), 24),
    ],
)
def test_a_day_has_23_or_25_hours_where_clocks_change(
    zone: Callable[[str], None], place: str, day: date, hours: int
) -> None:
    """Both ends of a day are midnights of its own, whatever the clocks do between."""
    zone(place)
    since, until = range_of("custom", NOON, first=day, last=day)
    assert since is not None
    assert until is not None
    assert until - since == timedelta(hours=hours)


def test_seven_days_are_today_and_the_six_before(zone: Callable[[str], None]) -> None:
    """A range of n days ends with today, which is whole, and has n days."""
    zone("UTC")
    for name, days in (("7 days", 7), ("30 days", 30)):
        since, until = range_of(name, NOON)
        assert until == datetime(2026, 11, 22, tzinfo=UTC)
        assert since == until - timedelta(days=days)


def test_all_is_open_at_both_ends() -> None:
    """`all` and a custom range without days have no bounds."""
    assert range_of("all", NOON) == range_of("custom", NOON) == (None, None)


def test_a_custom_range_that_ends_before_it_begins_is_refused() -> None:
    """The error says which days were chosen."""
    with pytest.raises(
        ConfigError, match="The last day, 2026-11-01, is before the first, 2026-11-02"
    ):
        range_of("custom", NOON, first=date(2026, 11, 2), last=date(2026, 11, 1))


@pytest.mark.parametrize("year", [1, 2, 20, 202, 9999])
def test_a_year_that_is_still_being_typed_is_no_error(
    zone: Callable[[str], None], year: int
) -> None:
    """A date field passes through the year 2 on the way to 2026."""
    zone("America/New_York")
    since, until = range_of("custom", NOON, first=date(year, 1, 1), last=date(9999, 12, 31))
    assert since is not None
    assert until is not None


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    """So somebody who guesses learns what there is."""
    with pytest.raises(
        ConfigError, match=r'"fortnight" is no range of time\. Known are "today", "7 days"'
    ):
        bounds_of("fortnight", None, NOON)


def test_programs_may_give_moments_days_and_names(zone: Callable[[str], None]) -> None:
    """A moment is a bound, a day is inside, a name also says where it ends."""
    zone("UTC")
    begin, end = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)
    assert bounds_of(date(2026, 11, 20), date(2026, 11, 21), NOON) == (begin, end)
    assert bounds_of("2026-11-20", "2026-11-21", NOON) == (begin, end)
    assert bounds_of(datetime(2026, 11, 20), end, NOON) == (begin, end)
    assert bounds_of("today", None, NOON) == (end - timedelta(days=1), end)
    assert bounds_of("Today ", date(2026, 11, 25), NOON)[1] == datetime(2026, 11, 26, tzinfo=UTC)
    assert bounds_of(None, "2026-11-20 12:00", NOON) == (
        None,
        datetime(2026, 11, 20, 12, tzinfo=UTC),
    )


def test_until_before_since_is_refused(zone: Callable[[str], None]) -> None:
    """It would otherwise look as if nothing had been used."""
    zone("UTC")
    with pytest.raises(ConfigError, match="until=2026-11-01 is before since=2026-11-20"):
        bounds_of("2026-11-20", "2026-11-01", NOON)
