"""What a Token Plan has left, in the shape of `/v1/token_plan/remains` since June 2026, and in the one
before, which its old address keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

PLAN_TITLE = "Token Plan Plus (simulated)"
# windows follow the clock of Beijing: 00, 05, 10, 15 and 20 o'clock, the last one an hour shorter
BEIJING = timezone(timedelta(hours=8))
WINDOW = timedelta(hours=5)
# slow enough that a demo is not over at once, fast enough that a long answer can be seen
TOKENS_PER_PERCENT = 2_000
TOKENS_PER_WEEKLY_PERCENT = 10 * TOKENS_PER_PERCENT
LIMITED, NOT_LIMITED = 1, 3
# requests that a plan had when it was counted in them
REQUESTS, WEEKLY_REQUESTS = 1_500, 15_000


def percent_left(tokens: int, tokens_per_percent: int) -> int:
    """100 at first, one less for every so many tokens, never below 0."""
    return max(0, 100 - tokens // tokens_per_percent)


def remains(now_s: float, percent: int, weekly_percent: int) -> dict[str, Any]:
    """The answer for one moment.

    Args:
        now_s: The server's clock, epoch seconds.
        percent: What is left of the window of 5 hours.
    """
    now = datetime.fromtimestamp(now_s, UTC).astimezone(BEIJING)
    midnight = _midnight(now)
    week = _week(now)
    pools = [
        {
            "model_name": "general",
            **_interval(now),
            **week,
            **_left("interval", LIMITED, percent),
            **_left("weekly", LIMITED, weekly_percent),
        },
        {
            "model_name": "video",
            **_period("", midnight, midnight + timedelta(days=1), now),
            **week,
            **_left("interval", NOT_LIMITED, 100),
            **_left("weekly", NOT_LIMITED, 100),
        },
    ]
    return {
        "model_remains": pools,
        "current_subscribe_title": PLAN_TITLE,
        "base_resp": {"status_code": 0, "status_msg": "success"},
    }


def legacy_remains(now_s: float, percent: int, weekly_percent: int) -> dict[str, Any]:
    """The older answer; arguments as in `remains`. What is called usage is what remains."""
    now = datetime.fromtimestamp(now_s, UTC).astimezone(BEIJING)
    pool = {
        "model_name": "MiniMax-M*",
        **_interval(now),
        **_week(now),
        "current_interval_total_count": REQUESTS,
        "current_interval_usage_count": REQUESTS * percent // 100,
        "current_weekly_total_count": WEEKLY_REQUESTS,
        "current_weekly_usage_count": WEEKLY_REQUESTS * weekly_percent // 100,
    }
    return {"model_remains": [pool], "base_resp": {"status_code": 0, "status_msg": "success"}}


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def window(now: datetime) -> tuple[datetime, datetime]:
    """When the window of 5 hours began that a moment is in, and when it ends."""
    now = now.astimezone(BEIJING)
    midnight = _midnight(now)
    start = midnight + (now - midnight) // WINDOW * WINDOW
    return start, min(start + WINDOW, midnight + timedelta(days=1))


def _interval(now: datetime) -> dict[str, int]:
    return _period("", *window(now), now)


def _week(now: datetime) -> dict[str, int]:
    monday = _midnight(now) - timedelta(days=now.weekday())
    return _period("weekly_", monday, monday + timedelta(days=7), now)


def _period(prefix: str, start: datetime, end: datetime, now: datetime) -> dict[str, int]:
    return {
        f"{prefix}start_time": _ms(start),
        f"{prefix}end_time": _ms(end),
        f"{prefix}remains_time": _ms(end) - _ms(now),
    }


def _left(period: str, status: int, percent: int) -> dict[str, int]:
    return {
        f"current_{period}_total_count": 0,
        f"current_{period}_usage_count": 0,
        f"current_{period}_status": status,
        f"current_{period}_remaining_percent": percent,
    }


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
