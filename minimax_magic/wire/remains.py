"""What is left of a Token Plan: the answer of `GET /v1/token_plan/remains`.

The percent fields say what *remains*, of the boosted allowance where there is a boost. The counts are
0 today; they are named usage and used to mean what remains, and some accounts saw the contrary, so they
only count where there is no percent. Status 3 means that there is no limit to draw, whatever stands
beside it; of the other statuses only 1, or none at all, surely goes with a limit that is in force, and
only then a bar is drawn. Each pool of models is counted by itself; the one of text is the one that
matters here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from minimax_magic.clock import utc
from minimax_magic.wire.balance import amount
from minimax_magic.wire.failures import error_from_words, error_in
from minimax_magic.wire.http import short

REMAINS_PATH: Final = "/v1/token_plan/remains"
# in MiniMax's documents until April 2026; some servers still have only this one
LEGACY_REMAINS_PATH: Final = "/v1/api/openplatform/coding_plan/remains"

# The pool that chat draws from, best first; older answers call it after the models. Not "MiniMax-M"
# alone: music is made by models of MiniMax, too.
_TEXT_POOLS: Final = tuple(
    re.compile(name, re.IGNORECASE) for name in ("general", r"minimax-m\*", r"minimax-m\d.*")
)
_IN_FORCE: Final = 1
_NO_LIMIT: Final = 3
_HOUR_MS: Final = 3_600_000
# longer ones, a month, are not what an interval is
_MAX_HOURS: Final = 31 * 24
# in milliseconds the year 33658
_TOO_LARGE: Final = 1e15
# a percent is rounded, and what it and a count say may be a request apart
_SAME_PERCENT: Final = 2.0
_MAX_BOOST_PERMILLE: Final = 100_000


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """One allowance that starts anew after a while.

    Attributes:
        name: `5 hours`, `week`: how long it is, as the server says.
        remaining_percent: 0 to 100; None: unknown, or without limit.
        resets_at: Aware, UTC; None if the server did not say.
        limited: False: the plan has no such limit.
        boost: What the allowance is multiplied with at present; `remaining_percent` is of the
            multiplied one already.
        uncertain: The percent comes from a count that may mean the contrary on this server.
        bar: Whether the percent may be drawn, and warned of. False: there is no limit, or the server
            gives it a status whose meaning is not known.
    """

    name: str
    remaining_percent: float | None
    resets_at: datetime | None
    limited: bool
    boost: float = 1.0
    uncertain: bool = False
    bar: bool = True


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left.

    Attributes:
        windows: Those of the pool for text, the shortest first; none if there is no such pool.
        fetched_at: When the server was asked; it counts with a lag of minutes.
        plan: The plan's name; empty if the server did not say.
        credits: Points bought, which are used after the plan, 1,000 for a dollar; None if the server
            did not say.
    """

    windows: tuple[QuotaWindow, ...]
    fetched_at: datetime
    plan: str = ""
    credits: Decimal | None = None


def read_remains(
    payload: Any, *, url: str, now: float, secrets: Iterable[str] = ()
) -> Quota | None:
    """The quota in a decoded answer; None if it is no such answer.

    Args:
        url: Where it comes from; at the legacy path a count surely is what remains.
        now: Seconds since 1970.
        secrets: Values to mask in the server's words.

    Raises:
        MinimaxError: The answer is an error: MiniMax sends them with HTTP 200 here.
    """
    secrets = tuple(secrets)
    if not isinstance(payload, dict):
        return None
    inner = payload.get("data")
    data = inner if isinstance(inner, dict) else payload
    words = error_in(payload) or error_in(data)
    if words is not None:
        raise error_from_words(words, url=url, secrets=secrets)
    pools = data.get("model_remains")
    if not isinstance(pools, list):
        return None
    pool = _text_pool([pool for pool in pools if isinstance(pool, dict)])
    legacy = urlsplit(url).path.endswith(LEGACY_REMAINS_PATH)
    return Quota(
        windows=() if pool is None else _windows(pool, now, legacy),
        fetched_at=utc(now),
        plan=_title(data, payload),
        credits=amount(data.get("points_balance")),
    )


def _text_pool(pools: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The pool of text; one without a name if it is the only one."""
    names = [pool.get("model_name") for pool in pools]
    for wanted in _TEXT_POOLS:
        for name, pool in zip(names, pools, strict=True):
            if isinstance(name, str) and wanted.fullmatch(name.strip()):
                return pool
    nameless = len(pools) == 1 and not (isinstance(names[0], str) and names[0].strip())
    return pools[0] if nameless else None


def _title(*places: dict[str, Any]) -> str:
    for place in places:
        for name in ("current_subscribe_title", "plan_name"):
            title = place.get(name)
            if isinstance(title, str) and title.strip():
                return "".join(filter(str.isprintable, short(title, 80)))
    return ""


@dataclass(frozen=True, slots=True)
class _Period:
    """How the fields of one window are called."""

    key: str
    times: str
    name: str

    def is_limit(self, pool: dict[str, Any]) -> bool:
        return _figure(pool.get(f"current_{self.key}_status")) != _NO_LIMIT

    def in_force(self, pool: dict[str, Any]) -> bool:
        """Whether the server says that this limit counts; older ones say nothing of it."""
        said = pool.get(f"current_{self.key}_status")
        return said is None or _figure(said) == _IN_FORCE

    def percent(self, pool: dict[str, Any]) -> float | None:
        found = _figure(pool.get(f"current_{self.key}_remaining_percent"))
        return None if found is None else _bounded(found)

    def share(self, pool: dict[str, Any]) -> float | None:
        """What the count is of its total, in percent; None where they say nothing."""
        total = _figure(pool.get(f"current_{self.key}_total_count"))
        count = _figure(pool.get(f"current_{self.key}_usage_count"))
        if total is None or total <= 0 or count is None or count < 0:
            return None
        return _bounded(100 * (count / total))

    def time_ms(self, pool: dict[str, Any], which: str) -> float | None:
        """`start`, `end` or `remains`, in milliseconds; None where nothing, or 0, is said."""
        found = _figure(pool.get(f"{self.times}{which}_time"))
        return found if found is not None and found > 0 else None

    def boost(self, pool: dict[str, Any]) -> float:
        for spelling in ("permille", "permill"):
            found = _figure(pool.get(f"{self.key}_boost_{spelling}"))
            if found is not None and 0 < found <= _MAX_BOOST_PERMILLE:
                return found / 1000
        return 1.0


_PERIODS: Final = (_Period("interval", "", "window"), _Period("weekly", "weekly_", "week"))


def _windows(pool: dict[str, Any], now: float, legacy: bool) -> tuple[QuotaWindow, ...]:
    counts_used = _counts_used(pool)
    windows = []
    for period in _PERIODS:
        limited = period.is_limit(pool)
        left: float | None = None
        uncertain = False
        if limited:
            left, share = period.percent(pool), period.share(pool)
            if left is None and share is not None:
                left = 100 - share if counts_used else share
                uncertain = counts_used is None and not legacy
        windows.append(
            QuotaWindow(
                _name(period, pool),
                left,
                _resets_at(period, pool, now),
                limited,
                period.boost(pool),
                uncertain,
                bar=period.in_force(pool),
            )
        )
    return tuple(windows)


def _counts_used(pool: dict[str, Any]) -> bool | None:
    """Whether this pool counts what is used, as a percent beside a count proves; None if none does."""
    for period in _PERIODS:
        percent, share = period.percent(pool), period.share(pool)
        if percent is None or share is None or not period.is_limit(pool):
            continue
        as_left = abs(share - percent) <= _SAME_PERCENT
        as_used = abs(100 - share - percent) <= _SAME_PERCENT
        if as_left != as_used:
            return as_used
    return None


def _name(period: _Period, pool: dict[str, Any]) -> str:
    start, end = period.time_ms(pool, "start"), period.time_ms(pool, "end")
    if period.key != "interval" or start is None or end is None:
        return period.name
    # not always 5: the last window of a day has 4
    hours = round((end - start) / _HOUR_MS)
    if not 1 <= hours <= _MAX_HOURS:
        return period.name
    return f"{hours} hours" if hours != 1 else "hour"


def _resets_at(period: _Period, pool: dict[str, Any], now: float) -> datetime | None:
    end = period.time_ms(pool, "end")
    if end is None:
        until = period.time_ms(pool, "remains")
        if until is None:
            return None
        end = now * 1000 + until
    try:
        return utc(end / 1000)
    except (ValueError, OverflowError, OSError):  # a year that no calendar has
        return None


def _figure(value: Any) -> float | None:
    """A number, from a number or a text; None if it is none that can be counted with."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):  # JSON may hold an integer of thousands of digits
        return None
    return found if math.isfinite(found) and abs(found) < _TOO_LARGE else None


def _bounded(percent: float) -> float:
    return min(max(percent, 0.0), 100.0)
