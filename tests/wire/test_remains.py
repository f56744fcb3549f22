"""What is left of a plan, read from the answers that MiniMax gives and gave."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime
from typing import Any

import pytest

from minimax_magic.errors import CredentialInvalid
from minimax_magic.sign_in import quota_words
from minimax_magic.simulator import Simulator
from minimax_magic.wire.remains import REMAINS_PATH, Quota, QuotaWindow, read_remains

URL = "https://api.minimax.io/v1/token_plan/remains"
NOW = 1_782_050_000.0
OK = {"status_code": 0, "status_msg": "success"}

# facts 8.2, without what nobody reads
GENERAL: dict[str, Any] = {
    "model_name": "general",
    "start_time": 1782043200000,
    "end_time": 1782057600000,
    "remains_time": 7003536,
    "current_interval_total_count": 0,
    "current_interval_usage_count": 0,
    "current_interval_status": 1,
    "current_interval_remaining_percent": 93,
    "weekly_start_time": 1781452800000,
    "weekly_end_time": 1782057600000,
    "weekly_remains_time": 7003536,
    "current_weekly_total_count": 0,
    "current_weekly_usage_count": 0,
    "current_weekly_status": 1,
    "current_weekly_remaining_percent": 70,
}
VIDEO = {
    **GENERAL,
    "model_name": "video",
    "current_interval_remaining_percent": 11,
    "current_weekly_remaining_percent": 12,
}
# facts 8.3
OLDER: dict[str, Any] = {
    "model_name": "MiniMax-M*",
    "start_time": 1776355200000,
    "end_time": 1776373200000,
    "remains_time": 7151954,
    "current_interval_total_count": 1500,
    "current_interval_usage_count": 1495,
    "current_weekly_total_count": 15000,
    "current_weekly_usage_count": 14530,
    "weekly_start_time": 1776009600000,
    "weekly_end_time": 1776614400000,
    "weekly_remains_time": 248351954,
}


def read(*pools: Any, **more: Any) -> Quota:
    quota = read_remains({"model_remains": [*pools], "base_resp": OK, **more}, url=URL, now=NOW)
    assert quota is not None
    return quota


def left(pool: dict[str, Any]) -> list[float | None]:
    return [window.remaining_percent for window in read(pool).windows]


# --------------------------------------------------------------------------------- as of today


def test_the_pool_of_text_is_read() -> None:
    """Of several pools it is the one of text that counts, wherever it stands, with both windows."""
    for pools in ((GENERAL, VIDEO), (VIDEO, GENERAL)):
        quota = read(*pools)
        end = datetime(2026, 6, 21, 16, tzinfo=UTC)
        assert quota.windows == (
            QuotaWindow("4 hours", 93.0, end, True),
            QuotaWindow("week", 70.0, end, True),
        )
        assert quota.fetched_at == datetime.fromtimestamp(NOW, UTC)
        assert quota.plan == ""


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(0, 0), ("0", 0), ("93", 93), (93.5, 93.5), ("93.5", 93.5), (100, 100), (104, 100), (-1, 0)],
)
def test_a_percent_is_a_number_or_a_text(sent: Any, expected: float) -> None:
    """The percent says what remains, is sometimes in quotes, and never leaves 0 to 100."""
    assert left({**GENERAL, "current_interval_remaining_percent": sent}) == [expected, 70]


@pytest.mark.parametrize(
    ("hours", "name"), [(1, "hour"), (4, "4 hours"), (5, "5 hours"), (24, "24 hours")]
)
def test_a_window_is_named_for_its_length(hours: int, name: str) -> None:
    """The last window of a day has 4 hours, those of other pools 24: nothing is taken for granted."""
    end = GENERAL["start_time"] + hours * 3_600_000
    assert read({**GENERAL, "end_time": end}).windows[0].name == name


def test_status_3_is_no_limit() -> None:
    """Status 3 means that there is no such limit, whatever percent or count stands beside it."""
    for status in (3, "3"):
        pool = {
            **GENERAL,
            "current_weekly_status": status,
            "current_weekly_remaining_percent": 0,
            "current_weekly_total_count": 100,
        }
        week = read(pool).windows[1]
        assert (week.limited, week.remaining_percent) == (False, None)


def test_a_boost_changes_nothing() -> None:
    """The percent is of the boosted allowance already."""
    boosted = {**GENERAL, "weekly_boost_permille": 1500, "interval_boost_permill": 2000}
    assert read(boosted) == read(GENERAL)


def test_the_answer_may_be_wrapped_and_name_the_plan() -> None:
    """Some accounts get the same inside `data`, with the plan's title."""
    data = {"current_subscribe_title": "Token Plan Plus", "model_remains": [GENERAL]}
    quota = read_remains({"data": data, "base_resp": OK}, url=URL, now=NOW)
    assert quota is not None
    assert quota.plan == "Token Plan Plus"
    assert quota.windows == read(GENERAL).windows
    assert read(GENERAL, plan_name="Max").plan == "Max"
    assert read(GENERAL, plan_name=7).plan == ""


def test_the_simulators_own_answer_is_understood() -> None:
    """What the simulator sends over HTTP has two windows that are limited, and a plan's name."""
    with Simulator() as sim:
        sim.account.remaining_percent = 42
        headers = {"Authorization": f"Bearer {sim.account.issue().access_token}"}
        request = urllib.request.Request(sim.url + REMAINS_PATH, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            payload = json.load(response)
    quota = read_remains(payload, url=URL, now=NOW)
    assert quota is not None
    assert [window.remaining_percent for window in quota.windows] == [42, 100]
    assert quota.windows[0].name in ("4 hours", "5 hours")
    assert "simulated" in quota.plan


# -------------------------------------------------------------------------------- as it was once


def test_without_a_percent_the_count_is_what_remains() -> None:
    """The count that is named usage says how many are left."""
    quota = read(OLDER)
    assert [window.name for window in quota.windows] == ["5 hours", "week"]
    assert left(OLDER) == [pytest.approx(99.67, abs=0.01), pytest.approx(96.87, abs=0.01)]
    assert all(window.limited for window in quota.windows)


def test_a_percent_goes_before_the_count() -> None:
    """Whatever the count means, it only counts where there is no percent."""
    assert left({**OLDER, "current_interval_remaining_percent": 1})[0] == 1


@pytest.mark.parametrize("total", [0, -1, None, "many", True])
def test_a_count_of_nothing_says_nothing(total: Any) -> None:
    """Without a total above 0 a count says nothing: unknown, which is neither 0 nor 100 %."""
    window = read({**OLDER, "current_interval_total_count": total}).windows[0]
    assert (window.remaining_percent, window.limited) == (None, True)


# ------------------------------------------------------------------------------- not an answer


@pytest.mark.parametrize(
    ("code", "said"), [(1004, "cookie is missing, log in again"), (2049, "invalid api key")]
)
def test_a_refusal_comes_with_http_200(code: int, said: str) -> None:
    """An error number in `base_resp` is a refusal, even with pools beside it."""
    refusal = {"base_resp": {"status_code": code, "status_msg": said}}
    for payload in (refusal, {"model_remains": [GENERAL], **refusal}):
        with pytest.raises(CredentialInvalid, match=said) as caught:
            read_remains(payload, url=URL, now=NOW)
        assert caught.value.code == code


@pytest.mark.parametrize(
    "payload",
    [None, "", "text", 7, [], [GENERAL], {}, {"model_remains": None}, {"data": []}, {"data": {}}],
)
def test_what_is_no_answer_is_none(payload: Any) -> None:
    """A page of a proxy, or anything else that is not this answer, tells nothing."""
    assert read_remains(payload, url=URL, now=NOW) is None


def test_no_pool_is_no_window() -> None:
    """An account without any pool has a quota without windows."""
    assert read().windows == ()
    assert read("general", None, 7).windows == ()


@pytest.mark.parametrize("junk", [None, "soon", -1, 1.5, [], {}, 10**400, "9" * 400, 10**18, False])
def test_a_field_with_nonsense_is_unknown(junk: Any) -> None:
    """No value of any field, however large, makes reading fail."""
    for name in GENERAL:
        quota = read({**OLDER, name: junk})
        assert len(quota.windows) == 2
        assert all(0 <= (w.remaining_percent or 0) <= 100 for w in quota.windows)
    everything = read(dict.fromkeys(GENERAL, junk))
    assert [window.name for window in everything.windows] == ["window", "week"]


# ------------------------------------------------------------------------------------ in words


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ({}, "4 hours 93 % left, week 70 % left"),
        ({"current_weekly_status": 3}, "4 hours 93 % left, week without limit"),
        ({"current_weekly_remaining_percent": None}, "4 hours 93 % left"),
        (
            {"current_interval_remaining_percent": None, "current_weekly_remaining_percent": None},
            "nothing said of what is left",
        ),
    ],
)
def test_a_quota_in_words(pool: dict[str, Any], words: str) -> None:
    """What is unknown is left out, what has no limit is said to have none."""
    assert quota_words(read({**GENERAL, **pool})) == words
    named = read({**GENERAL, **pool}, plan_name="Token Plan Plus")
    assert quota_words(named) == f"Token Plan Plus: {words}"
