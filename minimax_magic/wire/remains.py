"""What is left of a Token Plan: the answer of `GET /v1/token_plan/remains`.

The percent fields say what *remains*. The counts are 0 today; they used to be named usage and to mean
what remains, and some accounts saw the contrary, so they only count where there is no percent. Status 3
means that there is no limit to draw, whatever stands beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from minimax_magic.clock import utc
from minimax_magic.wire.failures import error_from_words, error_in
from minimax_magic.wire.http import number

REMAINS_PATH: Final = "/v1/token_plan/remains"
# the pool that chat draws from; older answers call it after the models
_TEXT_POOLS: Final = ("general", "MiniMax-M*")
_NO_LIMIT: Final = 3
_HOUR_MS: Final = 3_600_000
# in milliseconds the year 33658
_TOO_LARGE: Final = 10**15


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """One allowance that starts anew after a while.

    Attributes:
        name: `5 hours`, `week`: how long it is, as the server says.
        remaining_percent: 0 to 100; None: unknown, or without limit.
        resets_at: Aware, UTC; None if the server did not say.
        limited: False: the plan has no such limit.
    """

    name: str
    remaining_percent: float | None
    resets_at: datetime | None
    limited: bool


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left.

    Attributes:
        windows: Those of the pool for text, the shortest first.
        fetched_at: When the server was asked; it counts with a lag of minutes.
        plan: The plan's name; empty if the server did not say.
    """

    windows: tuple[QuotaWindow, ...]
    fetched_at: datetime
    plan: str = ""


def read_remains(payload: Any, *, url: str, now: float) -> Quota | None:
    """The quota in a decoded answer; None if it is no such answer.

    Raises:
        MinimaxError: The answer is an error: MiniMax sends them with HTTP 200 here.
    """
    words = error_in(payload)
    if words is not None:
        raise error_from_words(words, url=url)
    if not isinstance(payload, dict):
        return None
    inner = payload.get("data")
    data = inner if isinstance(inner, dict) else payload
    pools = data.get("model_remains")
    if not isinstance(pools, list):
        return None
    pools = [pool for pool in pools if isinstance(pool, dict)]
    text = [pool for pool in pools if pool.get("model_name") in _TEXT_POOLS] or pools[:1]
    title = data.get("current_subscribe_title") or data.get("plan_name")
    return Quota(
        tuple(window for pool in text[:1] for window in _windows(pool)),
        utc(now),
        title if isinstance(title, str) else "",
    )


def _windows(pool: dict[str, Any]) -> list[QuotaWindow]:
    return [
        _window(pool, "current_interval", "", "window"),
        _window(pool, "current_weekly", "weekly_", "week"),
    ]


def _window(pool: dict[str, Any], prefix: str, times: str, name: str) -> QuotaWindow:
    start, end = _whole(pool.get(f"{times}start_time")), _whole(pool.get(f"{times}end_time"))
    if name != "week" and start is not None and end is not None and end > start:
        hours = round((end - start) / _HOUR_MS)
        name = f"{hours} hours" if hours != 1 else "hour"
    limited = _whole(pool.get(f"{prefix}_status")) != _NO_LIMIT
    percent = _percent(pool.get(f"{prefix}_remaining_percent"))
    total = _whole(pool.get(f"{prefix}_total_count"))
    count = _whole(pool.get(f"{prefix}_usage_count"))
    left: float | None = None
    if limited and percent is not None:
        left = percent
    elif limited and total is not None and total > 0 and count is not None:
        left = min(max(100 * count / total, 0.0), 100.0)
    try:
        resets_at = utc(end / 1000) if end is not None else None
    except (ValueError, OverflowError, OSError):
        resets_at = None
    return QuotaWindow(name, left, resets_at, limited)


def _whole(value: Any) -> int | None:
    """A number that can be counted with; JSON may hold some of thousands of digits."""
    found = number(value)
    return found if found is not None and abs(found) < _TOO_LARGE else None


def _percent(value: Any) -> float | None:
    """0 to 100, from a number or a text."""
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(found, 0.0), 100.0) if math.isfinite(found) else None
