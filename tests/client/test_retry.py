"""The retry table: what is tried again, how often, and how long is waited."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest

from minimax_magic.client.client import Client
from minimax_magic.client.rate_limit import NoLimit
from minimax_magic.client.retry import Attempts, RetryPolicy, failure_kind
from minimax_magic.errors import (
    APIConnectionError,
    APITimeoutError,
    ContentRefused,
    CredentialInvalid,
    InsufficientBalance,
    MinimaxError,
    ProtocolError,
    QuotaExceeded,
    RateLimitError,
    RequestRejected,
    ServerError,
)
from minimax_magic.testing import (
    Answer,
    FakeAuth,
    FakeClock,
    FakeTransport,
    json_answer,
    sse,
    sse_answer,
)
from minimax_magic.wire.address import resolve_endpoint

NOW = 1_750_000_000.0
GOOD = json_answer(
    {"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
)


def error_json(code: int | None = None, status: int = 400, **headers: str) -> Answer:
    message = "something" if code is None else f"something ({code})"
    return json_answer({"error": {"message": message}}, status=status, **headers)


def in_200(code: int) -> Answer:
    """MiniMax's older way to say it: HTTP 200, the number in `base_resp`."""
    return json_answer({"base_resp": {"status_code": code, "status_msg": "something"}})


def in_stream(code: int) -> Answer:
    """An error as the first frame of a stream that began with HTTP 200."""
    return sse_answer(sse({"error": {"message": f"something ({code})"}}))


class Outcome:
    """What a request came to: attempts, waits, and the error if it failed."""

    def __init__(self, *answers: Any, stream: bool = False, **parts: Any) -> None:
        self.clock = FakeClock(NOW)
        self.transport = FakeTransport(*answers)
        self.error: Any = None
        self.text = ""
        everything: dict[str, Any] = {
            "endpoint": resolve_endpoint("https://api.minimax.io/v1/chat/completions"),
            "auth": FakeAuth(),
            "transport": self.transport,
            "limiter": NoLimit(),
            "clock": self.clock,
            "model": "MiniMax-M2.5",
            "user_agent": "test",
            "uniform": lambda: 0.0,
            **parts,
        }
        asyncio.run(self._run(Client(**everything), stream))

    async def _run(self, client: Client, stream: bool) -> None:
        try:
            if stream:
                async with client.stream("Hi") as events:
                    async for _ in events:
                        pass
                    self.text = events.reply.text
            else:
                self.text = (await client.chat("Hi")).text
        except MinimaxError as error:
            self.error = error

    @property
    def attempts(self) -> int:
        return len(self.transport.sent)

    @property
    def slept(self) -> list[float]:
        return self.clock.slept


# --------------------------------------------------------------------- how often: the table

RATE_LIMITS = (1002, 1039, 1041, 2045)
SERVER_FAULTS = (1000, 1001, 1013, 1024, 1033)


@pytest.mark.parametrize(
    "answer",
    [
        error_json(status=429),
        *(error_json(code, status=429) for code in RATE_LIMITS),
        *(in_200(code) for code in RATE_LIMITS),
    ],
)
def test_too_many_requests_are_tried_five_times(answer: Answer) -> None:
    """429, and its codes under any status, get five attempts with doubling waits."""
    outcome = Outcome(answer)
    assert isinstance(outcome.error, RateLimitError)
    assert outcome.attempts == 5
    assert outcome.slept == [1, 2, 4, 8]
    assert "(tried 5 times)" in str(outcome.error)


@pytest.mark.parametrize(
    "answer",
    [
        *(Answer(status) for status in (500, 502, 503, 504, 529)),
        *(error_json(code, status=500) for code in SERVER_FAULTS),
        *(in_200(code) for code in SERVER_FAULTS),
    ],
)
def test_server_faults_are_tried_three_times(answer: Answer) -> None:
    """5xx, 529 and the codes that mean the same get three attempts."""
    outcome = Outcome(answer)
    assert isinstance(outcome.error, ServerError)
    assert outcome.attempts == 3
    assert outcome.slept == [1, 2]
    assert "(tried 3 times)" in str(outcome.error)


def test_connection_failures_are_tried_three_times() -> None:
    """A request that got no answer at all is sent up to three times."""
    outcome = Outcome(APIConnectionError("refused"))
    assert isinstance(outcome.error, APIConnectionError)
    assert (outcome.attempts, outcome.slept) == (3, [1, 2])


def test_a_silent_server_is_not_asked_again() -> None:
    """Who stays silent took the request and may bill it: that is no connection failure."""
    outcome = Outcome(APITimeoutError("silent"))
    assert isinstance(outcome.error, APITimeoutError)
    assert (outcome.attempts, outcome.slept) == (1, [])


FINAL: list[tuple[int, int, type[MinimaxError]]] = [
    (429, 2056, QuotaExceeded),
    (403, 1008, InsufficientBalance),
    (400, 1026, ContentRefused),
    (400, 1027, ContentRefused),
    (400, 2013, RequestRejected),
    (401, 2049, CredentialInvalid),
    (403, 2061, RequestRejected),
]


@pytest.mark.parametrize(("status", "code", "kind"), FINAL)
def test_codes_that_retrying_does_not_help_fail_at_once(
    status: int, code: int, kind: type[MinimaxError]
) -> None:
    """Quota, balance, content, bad requests and bad keys cost one attempt, whatever the status."""
    for answer in (error_json(code, status), in_200(code), in_stream(code)):
        outcome = Outcome(answer)
        assert type(outcome.error) is kind
        assert (outcome.error.code, outcome.attempts, outcome.slept) == (code, 1, [])
        assert "tried" not in str(outcome.error)


@pytest.mark.parametrize("status", [400, 402, 403, 404, 405, 413, 422])
def test_other_4xx_fail_at_once(status: int) -> None:
    """The request is at fault, and sending it again changes nothing."""
    outcome = Outcome(error_json(status=status))
    assert (outcome.error.status, outcome.attempts) == (status, 1)


def test_a_code_says_more_than_the_status() -> None:
    """An empty account under HTTP 500 is not a server fault: 1008 is not "500 or above" either."""
    outcome = Outcome(error_json(1008, status=500))
    assert isinstance(outcome.error, InsufficientBalance)
    assert outcome.attempts == 1


@pytest.mark.parametrize("code", RATE_LIMITS + SERVER_FAULTS)
def test_an_error_as_the_first_frame_of_a_stream_is_retried(code: int) -> None:
    """HTTP 200 and a stream that starts with an error is the same failure as an error status."""
    good = sse_answer(
        sse({"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}, "[DONE]")
    )
    outcome = Outcome(in_stream(code), good, stream=True)
    assert (outcome.text, outcome.attempts, outcome.slept) == ("Hi", 2, [1])


def test_a_protocol_error_is_not_retried() -> None:
    """A first frame that is no JSON is a broken server or a wrong address."""
    outcome = Outcome(sse_answer(sse("nonsense")), stream=True)
    assert isinstance(outcome.error, ProtocolError)
    assert outcome.attempts == 1


def test_success_after_failures_is_a_success() -> None:
    """The reply of the attempt that worked is given, and nothing is said of the others."""
    outcome = Outcome(error_json(status=429), Answer(503), GOOD)
    assert (outcome.text, outcome.error, outcome.attempts) == ("Hi", None, 3)


def test_kinds_of_failure_are_counted_apart() -> None:
    """Each kind has its own number of attempts, and the waits go on growing across them."""
    limited, broken = error_json(status=429), Answer(500)
    outcome = Outcome(limited, broken, limited, broken, APIConnectionError("x"), limited, broken)
    assert isinstance(outcome.error, ServerError)
    assert outcome.attempts == 7
    assert outcome.slept == [1, 2, 4, 8, 16, 32]
    assert "(tried 7 times)" in str(outcome.error)


def test_a_final_failure_after_others_ends_the_request() -> None:
    """An error that retrying does not help ends it, even in the middle of retries."""
    outcome = Outcome(Answer(500), error_json(2013))
    assert isinstance(outcome.error, RequestRejected)
    assert outcome.attempts == 2


def test_a_policy_sets_the_numbers_of_attempts() -> None:
    """Attempts count the first one, and 1 means never again."""
    policy = RetryPolicy(rate_limit_attempts=2, server_error_attempts=1, connection_attempts=4)
    for answer, attempts in (
        (error_json(status=429), 2),
        (Answer(500), 1),
        (APIConnectionError("x"), 4),
    ):
        assert Outcome(answer, retry=policy).attempts == attempts


# -------------------------------------------------------------------------------- how long


def at(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after": "2.5"}, 2.5),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"retry_after_ms": "1500", "retry_after": "60"}, 1.5),
        ({"retry_after": at(30)}, 30),
        ({"retry_after": "120"}, 120),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_server_says_how_long_to_wait(
    headers: dict[str, str], wait_s: float, status: int
) -> None:
    """Retry-After in seconds or as a date, and its form in ms, replace our own backoff."""
    outcome = Outcome(error_json(status=status, **headers), GOOD, uniform=lambda: 0.9)
    assert (outcome.text, outcome.slept) == ("Hi", [wait_s])


@pytest.mark.parametrize("value", ["", "soon", "0", "-5", "nan", "inf", "1e999", at(-60)])
def test_a_retry_after_that_says_nothing_leaves_the_backoff(value: str) -> None:
    """Nonsense, zero and dates that are over do not make the client hammer the server."""
    outcome = Outcome(error_json(status=429, retry_after=value), GOOD)
    assert (outcome.text, outcome.slept) == ("Hi", [1])


def test_a_server_that_asks_for_too_much_patience_is_not_waited_for() -> None:
    """Beyond max_retry_wait_s the request fails at once and says when to come back."""
    outcome = Outcome(error_json(status=429, retry_after="121"))
    assert isinstance(outcome.error, RateLimitError)
    assert outcome.error.retry_after_ms == 121_000
    assert (outcome.attempts, outcome.slept) == (1, [])
    when = datetime.fromtimestamp(NOW + 121, UTC)
    assert f"in 121 s, at {when:%H:%M:%S} UTC" in outcome.error.hint


def test_the_day_to_come_back_is_named_if_it_is_another() -> None:
    """A time of day alone would mislead."""
    outcome = Outcome(error_json(status=429, retry_after="90000"))
    when = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=90_000)
    assert f"in 90,000 s, at {when:%Y-%m-%d %H:%M:%S} UTC" in outcome.error.hint


def test_an_absurd_retry_after_is_survived() -> None:
    """More years than a calendar has are still only an error to report."""
    outcome = Outcome(error_json(status=429, retry_after="1e15"))
    assert isinstance(outcome.error, RateLimitError)
    assert "in 1,000,000,000,000,000 s" in outcome.error.hint


def test_the_longest_wait_can_be_set() -> None:
    """max_retry_wait_s decides, for server faults as well."""
    for limit, attempts in ((10.0, 2), (9.0, 1)):
        outcome = Outcome(Answer(503, {"retry-after": "10"}), GOOD, max_retry_wait_s=limit)
        assert outcome.attempts == attempts


def test_jitter_lengthens_a_wait_by_up_to_a_quarter() -> None:
    """With the highest random number each wait is 1.25 times the plain one."""
    outcome = Outcome(error_json(status=429), uniform=lambda: 1.0)
    assert outcome.slept == [1.25, 2.5, 5, 10]


def test_waits_double_up_to_the_longest() -> None:
    """From 1 s each wait doubles; none is above 60 s, jitter included."""
    policy = RetryPolicy()
    shortest = [policy.backoff_s(n, lambda: 0.0) for n in range(1, 12)]
    longest = [policy.backoff_s(n, lambda: 1.0) for n in range(1, 12)]
    assert shortest[:6] == [1, 2, 4, 8, 16, 32]
    assert all(earlier <= later for earlier, later in pairwise(shortest))
    assert longest[-1] == pytest.approx(60)
    assert max(longest) <= 60


def test_waits_at_the_limit_still_differ() -> None:
    """Many clients that wait for the longest time do not return all at once."""
    policy = RetryPolicy()
    assert policy.backoff_s(10, lambda: 0.0) < policy.backoff_s(10, lambda: 0.9) <= 60


def test_a_wait_stays_finite_after_any_number_of_failures() -> None:
    """Somebody who tries ten thousand times gets the longest wait, not an overflow."""
    assert RetryPolicy().backoff_s(10_000, lambda: 1.0) == pytest.approx(60)


def test_a_longest_wait_below_the_first_one_wins() -> None:
    """max_backoff_s holds for the first wait, too."""
    policy = RetryPolicy(initial_backoff_s=5, max_backoff_s=2)
    assert policy.backoff_s(1, lambda: 1.0) == pytest.approx(2)


# ------------------------------------------------------------------------- the arithmetic


def test_attempts_are_numbered_from_one() -> None:
    """`number` is the attempt under way, and the next one after a failure."""
    attempts = Attempts(RetryPolicy(), 120, lambda: 0.0)
    assert attempts.number == 1
    attempts.after(APIConnectionError("x"))
    assert attempts.number == 2


def test_errors_that_are_never_retried_have_no_kind() -> None:
    """Only the three rows of the table have one."""
    assert failure_kind(RateLimitError("x")) == "rate_limit"
    assert failure_kind(ServerError("x")) == "server_error"
    assert failure_kind(APIConnectionError("x")) == "connection"
    for other in (APITimeoutError("x"), QuotaExceeded("x"), ProtocolError("x"), MinimaxError("x")):
        assert failure_kind(other) is None


def test_a_policy_is_a_value() -> None:
    """It can be compared, printed and used as a key."""
    assert RetryPolicy() == RetryPolicy()
    assert len({RetryPolicy(), RetryPolicy(jitter=0)}) == 2
    assert "rate_limit_attempts=5" in repr(RetryPolicy())
