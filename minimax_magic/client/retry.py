"""Which failures are tried again, how often, and how long to wait. Arithmetic only: no waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from minimax_magic.errors import (
    APIConnectionError,
    APITimeoutError,
    MinimaxError,
    RateLimitError,
    ServerError,
)

FailureKind = Literal["rate_limit", "server_error", "connection"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently to try.

    Attributes:
        rate_limit_attempts: Attempts in all when the server says "too many" (429, 1002, ...).
        server_error_attempts: Attempts in all on 5xx, 529 and the codes that mean the same.
        connection_attempts: Attempts in all when no byte of an answer came.
        initial_backoff_s: Seconds before the first retry, where the server names none.
        max_backoff_s: Most seconds between two attempts, where the server names none.
        backoff_multiplier: What each wait is longer than the one before.
        jitter: Up to this share is added to a wait, so that many clients do not return together.
    """

    rate_limit_attempts: int = 5
    server_error_attempts: int = 3
    connection_attempts: int = 3
    initial_backoff_s: float = 1.0
    max_backoff_s: float = 60.0
    backoff_multiplier: float = 2.0
    jitter: float = 0.25

    def attempts(self, kind: FailureKind) -> int:
        match kind:
            case "rate_limit":
                return self.rate_limit_attempts
            case "server_error":
                return self.server_error_attempts
            case "connection":
                return self.connection_attempts

    def backoff_s(self, failures: int, random: Callable[[], float]) -> float:
        """Seconds to wait after that many failures in a row.

        Args:
            failures: 1 after the first.
            random: Gives numbers in [0, 1).
        """
        try:
            wait = self.initial_backoff_s * self.backoff_multiplier ** (failures - 1)
        except OverflowError:
            wait = self.max_backoff_s
        # room is left for the jitter below the longest wait: there, too, many clients must spread
        wait = min(wait, self.max_backoff_s / (1 + self.jitter))
        return wait * (1 + self.jitter * random())


def failure_kind(error: MinimaxError) -> FailureKind | None:
    """The row of the retry table that an error belongs to; None: never tried again."""
    match error:
        case RateLimitError():
            return "rate_limit"
        case ServerError():
            return "server_error"
        case APITimeoutError():
            return None  # the server took the request and may be working on it, at a price
        case APIConnectionError():
            return "connection"
        case _:
            return None


class Attempts:
    """Keeps count for one request.

    Args:
        max_wait_s: A server that asks for more patience than this is not waited for.
    """

    def __init__(self, policy: RetryPolicy, max_wait_s: float, random: Callable[[], float]) -> None:
        self._policy = policy
        self._max_wait_s = max_wait_s
        self._random = random
        self._failures: list[FailureKind] = []

    @property
    def number(self) -> int:
        """Number of the attempt that is next or under way, from 1."""
        return len(self._failures) + 1

    def after(self, error: MinimaxError) -> float | None:
        """Seconds to wait before trying again; None if this was the last attempt."""
        kind = failure_kind(error)
        if kind is None:
            return None
        self._failures.append(kind)
        if self._failures.count(kind) >= self._policy.attempts(kind):
            return None
        asked_ms = getattr(error, "retry_after_ms", None)
        if not asked_ms:  # also 0, or a date that is over by our clock: no reason to hammer
            return self._policy.backoff_s(len(self._failures), self._random)
        asked_s: float = asked_ms / 1000
        return asked_s if asked_s <= self._max_wait_s else None
