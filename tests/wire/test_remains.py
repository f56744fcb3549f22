"""What is left of a plan, read from the answers that MiniMax gives and gave."""

from __future__ import annotations

import json
import math
import urllib.request
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from minimax_magic.errors import CredentialInvalid
from minimax_magic.sign_in import quota_words
from minimax_magic.simulator import Simulator
from minimax_magic.wire.remains import (
    LEGACY_REMAINS_PATH,
    REMAINS_PATH,
    Quota,
    QuotaWindow,
    read_remains,
)

URL = f"https://api.minimax.io{REMAINS_PATH}"
LEGACY_URL = f"https://api.minimax.io{LEGACY_REMAINS_PATH}"
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


def read(*pools: Any, url: str = URL, **more: Any) -> Quota:
    quota = read_remains({"model_remains": [*pools], "base_resp": OK, **more}, url=url, now=NOW)
    assert quota is not None
    return quota


def left(pool: dict[str, Any], url: str = URL) -> list[float | None]:
    return [window.remaining_percent for window in read(pool, url=url).windows]


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
        assert (week.limited, week.remaining_percent, week.bar) == (False, None, False)


@pytest.mark.parametrize(
    ("status", "bar"),
    [
        *((1, True), ("1", True), (None, True)),
        *((0, False), (2, False), ("2", False), (7, False), ("soon", False), (math.nan, False)),
    ],
)
def test_any_other_status_leaves_the_percent(status: Any, bar: bool) -> None:
    """But a bar is drawn only of a limit in force: status 1, or none as in older answers."""
    window = read({**GENERAL, "current_interval_status": status}).windows[0]
    assert (window.limited, window.remaining_percent, window.bar) == (True, 93, bar)


def test_a_limit_that_is_used_up_is_not_one_that_is_unknown() -> None:
    """0 percent is 0; no percent and no count is unknown."""
    for percent, expected in ((0, 0.0), (None, None)):
        window = read({**GENERAL, "current_interval_remaining_percent": percent}).windows[0]
        assert (window.limited, window.remaining_percent) == (True, expected)


@pytest.mark.parametrize("spelling", ["permille", "permill"])
def test_a_boost_is_shown_beside_the_percent(spelling: str) -> None:
    """The percent is of the boosted allowance already, so a boost changes no percent."""
    boosted = {**GENERAL, f"weekly_boost_{spelling}": 1500, f"interval_boost_{spelling}": "2000"}
    windows = read(boosted).windows
    assert [window.boost for window in windows] == [2.0, 1.5]
    assert [window.remaining_percent for window in windows] == left(GENERAL)
    assert [window.boost for window in read(GENERAL).windows] == [1.0, 1.0]


@pytest.mark.parametrize("junk", [0, -1500, None, "much", 10**9, math.inf])
def test_a_boost_of_nonsense_is_none(junk: Any) -> None:
    """What cannot be a boost counts as if nothing were said."""
    assert read({**GENERAL, "interval_boost_permille": junk}).windows[0].boost == 1.0


def test_without_an_end_the_time_that_is_left_tells_it() -> None:
    """`remains_time` is milliseconds until the reset, not a quota; 0 is no time."""
    for end in (0, None, -5):
        window = read({**GENERAL, "end_time": end}).windows[0]
        assert window.name == "window"
        assert window.resets_at == datetime.fromtimestamp(NOW + 7003, UTC)
        window = read({**GENERAL, "end_time": end, "remains_time": 0}).windows[0]
        assert window.resets_at is None


def test_other_pools_are_never_taken_for_text() -> None:
    """An account whose pools are all for video, speech, pictures and music has no window for text."""
    names = ("video", "speech-hd", "image-01", "music-2.0", "MiniMax-Music", "MiniMax-Hailuo-2.3")
    media = [{**GENERAL, "model_name": name} for name in names]
    assert read(*media).windows == ()
    assert [read(pool).windows for pool in media] == [()] * len(media)
    assert left(GENERAL) == [w.remaining_percent for w in read(*media, GENERAL).windows]


@pytest.mark.parametrize(
    "name", ["MiniMax-M*", "MiniMax-M2.5", "minimax-m3", " general ", "", None]
)
def test_older_names_of_the_pool_of_text(name: str | None) -> None:
    """It was called after its models; a pool without a name is it if there is no other."""
    assert len(read({**OLDER, "model_name": name}).windows) == 2


def test_the_general_pool_goes_first() -> None:
    """Of several that could be it, `general` is, and nothing is added up."""
    others = [{**OLDER, "model_name": name} for name in ("MiniMax-M2.5", "MiniMax-M*")]
    assert read(*others, GENERAL).windows == read(GENERAL).windows
    assert read(*others).windows == read(others[1]).windows


def test_the_answer_may_be_wrapped_and_name_the_plan() -> None:
    """Some accounts get the same inside `data`, with the plan's title."""
    data = {"current_subscribe_title": "Token Plan Plus", "model_remains": [GENERAL]}
    quota = read_remains({"data": data, "base_resp": OK}, url=URL, now=NOW)
    assert quota is not None
    assert quota.plan == "Token Plan Plus"
    assert quota.windows == read(GENERAL).windows
    assert read(GENERAL, plan_name="Max").plan == "Max"
    assert read(GENERAL, plan_name=7).plan == ""
    assert (
        read(GENERAL, current_subscribe_title=" ", plan_name=" Max\n\x1b[31m ").plan == "Max [31m"
    )


def test_points_that_were_bought_are_told() -> None:
    """`points_balance` comes as a text inside `data`; without it nothing is known."""
    data = {"points_balance": "14000", "model_remains": [GENERAL]}
    quota = read_remains({"data": data, "base_resp": OK}, url=URL, now=NOW)
    assert quota is not None
    assert quota.credits == Decimal(14000)
    assert read(GENERAL, points_balance=12.5).credits == Decimal("12.5")
    for junk in (None, "", "many", "NaN", True, [], 10**400):
        assert read(GENERAL, points_balance=junk).credits is None


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


def test_the_simulators_older_answer_is_understood() -> None:
    """At the legacy address the simulator counts requests, and the same is read from that."""
    with Simulator() as sim:
        sim.account.remaining_percent = 42
        headers = {"Authorization": f"Bearer {sim.key}"}
        url = sim.url + LEGACY_REMAINS_PATH
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=10
        ) as response:
            payload = json.load(response)
    assert "percent" not in json.dumps(payload)
    quota = read_remains(payload, url=url, now=NOW)
    assert quota is not None
    assert [(w.remaining_percent, w.uncertain) for w in quota.windows] == [
        (42, False),
        (100, False),
    ]


# -------------------------------------------------------------------------------- as it was once


def test_without_a_percent_the_count_is_what_remains() -> None:
    """The count that is named usage says how many are left."""
    quota = read(OLDER)
    assert [window.name for window in quota.windows] == ["5 hours", "week"]
    assert left(OLDER) == [pytest.approx(99.67, abs=0.01), pytest.approx(96.87, abs=0.01)]
    assert all(window.limited for window in quota.windows)
    assert left(OLDER, LEGACY_URL) == left(OLDER)


def test_a_count_is_certain_at_the_legacy_path_only() -> None:
    """Some accounts saw the count of the newer path mean what was used: there it is marked."""
    assert [window.uncertain for window in read(OLDER).windows] == [True, True]
    for url in (LEGACY_URL, f"https://www.minimax.io/x{LEGACY_REMAINS_PATH}"):
        assert [window.uncertain for window in read(OLDER, url=url).windows] == [False, False]


def test_a_percent_is_certain() -> None:
    """A percent is taken as it is, whatever count stands beside it, at either path."""
    for url in (URL, LEGACY_URL):
        pool = {**OLDER, "current_interval_remaining_percent": 15}
        window = read(pool, url=url).windows[0]
        assert (window.remaining_percent, window.uncertain) == (15, False)


@pytest.mark.parametrize(
    ("percent", "week"),
    [
        (100, (100 * 14530 / 15000, False)),  # 1495 of 1500: what remains
        (1, (100 - 100 * 14530 / 15000, False)),  # what is used
        ("0", (100 - 100 * 14530 / 15000, False)),
        (50, (100 * 14530 / 15000, True)),  # neither: still open
    ],
)
def test_a_percent_tells_what_the_other_count_means(percent: Any, week: tuple[float, bool]) -> None:
    """A window with both shows what counts mean on this account; one with a count alone follows."""
    pool = {**OLDER, "current_interval_remaining_percent": percent}
    window = read(pool).windows[1]
    assert (window.remaining_percent, window.uncertain) == (pytest.approx(week[0]), week[1])


def test_a_count_in_the_middle_proves_nothing() -> None:
    """750 of 1500 at 50 % fits both meanings."""
    pool = {
        **OLDER,
        "current_interval_usage_count": 750,
        "current_interval_remaining_percent": 50,
    }
    assert read(pool).windows[1].uncertain


def test_no_limit_proves_nothing_of_the_counts() -> None:
    """The 100 % beside a status 3 is no percent of anything."""
    pool = {
        **OLDER,
        "current_interval_status": 3,
        "current_interval_usage_count": 0,
        "current_interval_remaining_percent": 100,
    }
    assert read(pool).windows[1].remaining_percent == pytest.approx(96.87, abs=0.01)


def test_a_percent_goes_before_the_count() -> None:
    """Whatever the count means, it only counts where there is no percent."""
    assert left({**OLDER, "current_interval_remaining_percent": 1})[0] == 1


@pytest.mark.parametrize("total", [0, "0", -1, None, "many", True, math.nan])
def test_a_count_of_nothing_says_nothing(total: Any) -> None:
    """Without a total above 0 a count says nothing: unknown, which is neither 0 nor 100 %."""
    window = read({**OLDER, "current_interval_total_count": total}).windows[0]
    assert (window.remaining_percent, window.limited, window.uncertain) == (None, True, False)


def test_a_count_stays_within_its_total() -> None:
    """More than there is, is all of it; less than nothing is nonsense."""
    assert left({**OLDER, "current_interval_usage_count": 2000})[0] == 100
    assert left({**OLDER, "current_interval_usage_count": -1})[0] is None


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
    with pytest.raises(CredentialInvalid, match=said):
        read_remains({"data": {**refusal, "model_remains": []}}, url=URL, now=NOW)


def test_what_a_refusal_repeats_is_masked() -> None:
    """A key that the server quotes does not come into the words."""
    refusal = {"base_resp": {"status_code": 2049, "status_msg": "the key odd.key is wrong"}}
    with pytest.raises(CredentialInvalid) as caught:
        read_remains(refusal, url=URL, now=NOW, secrets=("odd.key",))
    assert "odd.key" not in f"{caught.value} {vars(caught.value)}"


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


JUNK = [
    None, "soon", -1, 1.5, [], {}, 10**400, "9" * 400, 10**18, False, math.nan, math.inf, -math.inf,
    "NaN", "1e400", 5e-324, -(10**400), 1e14,
]  # fmt: skip


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: str(junk)[:8])
def test_a_field_with_nonsense_is_unknown(junk: Any) -> None:
    """No value of any field, however large, makes reading fail, or a percent leave its bounds."""
    for name in GENERAL:
        for shape in (GENERAL, OLDER):
            for window in read({**shape, name: junk}, points_balance=junk).windows:
                assert 0 <= (window.remaining_percent or 0) <= 100
                assert window.name in ("window", "week") or window.name.endswith("hours")
    everything = read({**dict.fromkeys(GENERAL, junk), "model_name": "general"})
    assert [window.name for window in everything.windows] == ["window", "week"]


def test_hostile_json_is_read() -> None:
    """What JSON may hold beside numbers arrives as such, and does no harm."""
    text = '{"model_remains": [{"model_name": "general", "end_time": 1e400, "start_time": NaN}]}'
    quota = read_remains(json.loads(text), url=URL, now=NOW)
    assert quota is not None
    assert quota.windows[0] == QuotaWindow("window", None, None, True)


# ------------------------------------------------------------------------------------ in words


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ({}, "4 hours 93 % left, week 70 % left"),
        ({"current_weekly_status": 3}, "4 hours 93 % left, week no limit"),
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
