"""What a Token Plan has left, in the shape of `/v1/token_plan/remains` since June 2026."""

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
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight + (now - midnight) // WINDOW * WINDOW
    end = min(start + WINDOW, midnight + timedelta(days=1))
    monday = midnight - timedelta(days=now.weekday())
    week = _period("weekly_", monday, monday + timedelta(days=7), now)
    pools = [
        {
            "model_name": "general",
            **_period("", start, end, now),
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
