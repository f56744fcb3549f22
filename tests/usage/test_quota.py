"""The warning about a quota that runs low: once for each crossing, as a structured record."""

from __future__ import annotations

import asyncio
import logging

import pytest

from minimax_magic.client.client import Client
from minimax_magic.client.rate_limit import NoLimit
from minimax_magic.testing import FakeAuth, FakeClock, FakeTransport, json_answer
from minimax_magic.usage.quota import QuotaAlert
from minimax_magic.wire.address import resolve_endpoint

NAME = "minimax_magic.quota"


@pytest.fixture(autouse=True)
def _listen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=NAME)


def observe(alert: QuotaAlert, *remaining: int | None) -> None:
    for number in remaining:
        alert.observe(number)


def seen(caplog: pytest.LogCaptureFixture) -> list[int]:
    """What was left when each warning was given."""
    return [vars(record)["remaining"] for record in caplog.records]


def test_a_crossing_gives_one_structured_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The record names provider, remaining and threshold as fields, and says them in its text."""
    observe(QuotaAlert(100_000), 150_000, 99_500)
    [record] = caplog.records
    assert (record.name, record.levelno) == (NAME, logging.WARNING)
    fields = vars(record)
    assert (fields["provider"], fields["remaining"], fields["threshold"]) == (
        "minimax",
        99_500,
        100_000,
    )
    assert record.getMessage() == (
        "quota threshold crossed provider=minimax remaining=99500 threshold=100000"
    )


def test_further_below_is_no_second_crossing(caplog: pytest.LogCaptureFixture) -> None:
    """Below the threshold nothing more is said, however low it gets."""
    observe(QuotaAlert(100), 150, 90, 50, 0, 99)
    assert seen(caplog) == [90]


def test_a_reset_arms_it_again(caplog: pytest.LogCaptureFixture) -> None:
    """After the quota was above the threshold again, the next crossing is warned of."""
    observe(QuotaAlert(100), 150, 90, 200, 80)
    assert seen(caplog) == [90, 80]


def test_a_first_value_below_is_a_crossing(caplog: pytest.LogCaptureFixture) -> None:
    """A program that starts with little left is told so."""
    observe(QuotaAlert(100), 10)
    assert seen(caplog) == [10]


def test_the_threshold_itself_counts_as_reached(caplog: pytest.LogCaptureFixture) -> None:
    """Exactly the threshold warns, one above does not."""
    observe(QuotaAlert(100), 101, 100)
    assert seen(caplog) == [100]


def test_a_silent_server_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Answers that say nothing of a quota neither warn nor arm the warning again."""
    observe(QuotaAlert(100), None, 90, None, 80)
    assert seen(caplog) == [90]


def test_without_a_threshold_there_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """None means never; 0 means when nothing is left."""
    observe(QuotaAlert(None), 0)
    assert seen(caplog) == []
    observe(QuotaAlert(0), 1, 0)
    assert seen(caplog) == [0]


def test_the_client_watches_every_answer(caplog: pytest.LogCaptureFixture) -> None:
    """Refusals and answers alike carry the number, and it is looked at each time."""
    choice = {"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    header = "x_ratelimit_remaining_tokens"
    limited = json_answer({}, status=429, **{header: "90"})
    plenty = json_answer({"choices": [choice]}, **{header: "500"})
    little = json_answer({"choices": [choice]}, **{header: "80"})
    client = Client(
        endpoint=resolve_endpoint("https://api.minimax.io"),
        auth=FakeAuth(),
        transport=FakeTransport(limited, plenty, little),
        limiter=NoLimit(),
        clock=FakeClock(),
        model="MiniMax-M2.5",
        user_agent="test",
        quota_alert=QuotaAlert(100),
    )

    async def go() -> None:
        await client.chat("Hi")
        await client.chat("Hi")

    asyncio.run(go())
    assert seen(caplog) == [90, 80]
