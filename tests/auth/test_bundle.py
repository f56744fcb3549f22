"""The bundle as text: what is read, what is written, what is damaged."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from auth_fakes import ACCESS, MARK, NOW, REFRESH, bundle, shown

from minimax_magic.auth.bundle import TokenBundle, bundle_text, parse_bundle
from minimax_magic.errors import ConfigError

AT = datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)  # NOW


def text(**fields: Any) -> str:
    whole = {"access_token": ACCESS, "refresh_token": REFRESH, "expires_at": int(NOW)}
    given = {**whole, **fields}
    return json.dumps({name: value for name, value in given.items() if value is not ...})


@pytest.mark.parametrize(
    "written",
    [
        int(NOW),
        NOW,
        int(NOW * 1000),
        str(int(NOW)),
        str(int(NOW * 1000)),
        "2025-06-15T15:06:40Z",
        "2025-06-15T15:06:40",
        " 2025-06-15T17:06:40+02:00\n",
    ],
)
def test_expires_at_is_read_in_every_form(written: Any) -> None:
    """Seconds, milliseconds and ISO 8601, with a zone or without, are the same time."""
    assert parse_bundle(text(expires_at=written), "f").expires_at == AT


def test_what_is_written_is_read_again() -> None:
    """All fields survive; times are ISO 8601 in UTC."""
    kept = bundle(region="https://api.minimaxi.com", obtained_at=AT)
    written = bundle_text(kept)
    assert parse_bundle(written, "f") == kept
    assert json.loads(written) == {
        "access_token": ACCESS,
        "refresh_token": REFRESH,
        "expires_at": "2025-06-15T15:21:40Z",
        "region": "https://api.minimaxi.com",
        "resource_url": "https://api.minimax.io/anthropic",
        "obtained_at": "2025-06-15T15:06:40Z",
        "client_id": kept.client_id,
    }


def test_seconds_stay_seconds() -> None:
    """nexo-rs could not read its own file any more if it were written otherwise."""
    read = parse_bundle(text(), "f")
    assert json.loads(bundle_text(read))["expires_at"] == int(NOW)
    milliseconds = parse_bundle(text(expires_at=int(NOW * 1000)), "f")
    assert json.loads(bundle_text(milliseconds))["expires_at"] == "2025-06-15T15:06:40Z"


def test_what_may_be_left_out() -> None:
    """A token and when it ends are enough; blanks and nulls count as left out."""
    least = parse_bundle(text(refresh_token="", region=None, resource_url="", other=1), "f")
    assert least.refresh_token is None
    assert least.region == "https://api.minimax.io"
    assert (least.resource_url, least.obtained_at, least.client_id) == (None, None, None)
    assert parse_bundle(bundle_text(least), "f") == least
    assert "epoch_seconds" not in json.loads(bundle_text(least))


def test_the_file_cannot_set_how_it_is_written() -> None:
    """`epoch_seconds` is told from the file, not read from it."""
    assert not parse_bundle(text(expires_at="2025-06-15", epoch_seconds=True), "f").epoch_seconds


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        (text()[:-9], "it is cut off or is no JSON"),
        ("[" * 100_000, "it is cut off or is no JSON"),
        (f'["{ACCESS}"]', "it holds no mapping"),
        (text(access_token=...), "access_token is missing"),
        (text(access_token=""), "access_token is missing"),
        (text(access_token=[ACCESS]), "access_token is not valid"),
        (text(access_token=f"{ACCESS}\r\nX-Evil: 1"), "access_token is not valid"),
        (text(access_token=f"{ACCESS} x"), "access_token is not valid"),
        (text(access_token="\ud800"), "access_token is not valid"),
        (text(refresh_token=7), "refresh_token is not valid"),
        (text(expires_at=...), "expires_at is missing"),
        (text(region=7), "region is not valid"),
        (text(obtained_at=MARK), "obtained_at is not valid"),
        *(
            (text(expires_at=value), "expires_at is not valid")
            for value in (
                "soon",
                True,
                [],
                1e300,
                -1e300,
                "nan",
                "inf",
                "0001-01-01T00:00:00+14:00",
                "9999-12-31T23:59:59-14:00",
            )
        ),
    ],
)
def test_what_is_damaged_is_told_without_quoting_it(content: str, problem: str) -> None:
    """The error names the file and the field; neither it nor its traceback shows the content."""
    with pytest.raises(ConfigError) as caught:
        parse_bundle(content, "secrets/x.json")
    assert caught.value.message == f"secrets/x.json is damaged: {problem}."
    assert MARK not in shown(caught.value)
    assert caught.value.__context__ is None


def test_every_cut_is_damage() -> None:
    """No beginning of a bundle is taken for a whole one."""
    whole = bundle_text(bundle()).rstrip()
    for end in range(len(whole)):
        with pytest.raises(ConfigError):
            parse_bundle(whole[:end], "f")


def test_no_repr_shows_a_token() -> None:
    """Neither the value nor its text prints a secret."""
    kept = bundle()
    for thing in (kept, [kept], bundle_text(kept), kept.model_dump()):
        assert MARK not in repr(thing)
    assert MARK not in f"{kept} {kept!s}"


def test_life_and_what_is_left_of_it() -> None:
    """Both are seconds; the first is only known if the file says when the token came."""
    kept = bundle(900)
    assert (kept.seconds_left(NOW), kept.seconds_left(NOW + 1000)) == (900, -100)
    assert kept.lifetime_s is None
    assert TokenBundle(**{**dict(kept), "obtained_at": AT}).lifetime_s == 900
