"""What a benchmark reports, and how a line of it looks."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    Attributes:
        name: What was measured, without its unit.
        unit: As it stands behind the number, `x raw` for a ratio.
        bound: What issue 2 promises; None for a line that is there to compare with.
        at_least: The bound is the least instead of the most.
        detail: The numbers behind it.
    """

    name: str
    value: float
    unit: str
    bound: float | None = None
    at_least: bool = False
    detail: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether the promise is kept; None where there is none."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def line(self) -> str:
        verdict = {None: "", True: "ok", False: "OVER"}[self.ok]
        least = "at least" if self.at_least else "at most"
        bound = "" if self.bound is None else f"{least} {self.bound:g}"
        value = f"{_short(self.value)} {self.unit}"
        return f"  {self.name:<43} {value:>13}  {bound:<13} {verdict:<4}  {self.detail}".rstrip()

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "bound": self.bound,
            "at_least": self.at_least,
            "ok": self.ok,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much work a run does. The defaults are those of the issue; tests use tiny ones.

    Attributes:
        rounds: How often each candidate is measured, taking turns.
        sdk_share: The official SDKs are slow: they get this part of the work.
        reply_bytes: Length of the answer that is watched on iopub.
        starts: Fresh interpreters for the time of `%load_ext`.
    """

    chunks: int = 20_000
    rounds: int = 7
    sdk_share: float = 0.25
    completions: int = 2_000
    completion_rounds: int = 5
    reply_bytes: int = 120_000
    chunk_chars: Sequence[int] = (12, 4, 40)
    first_texts: int = 9
    starts: int = 15
    memory_chunks: Sequence[int] = (2_000, 20_000, 200_000)


TINY = Sizes(
    chunks=50,
    rounds=2,
    sdk_share=1.0,
    completions=8,
    completion_rounds=1,
    reply_bytes=3_000,
    chunk_chars=(40,),
    first_texts=2,
    starts=1,
    memory_chunks=(20, 40, 80),
)


def take_turns(candidates: Sequence[Callable[[], T]], rounds: int) -> list[list[T]]:
    """Runs all candidates once to warm up, then all in turn, round by round.

    A machine that is busy for a while then slows down all of them alike.

    Returns:
        The results of each candidate.
    """
    for candidate in candidates:
        candidate()
    results: list[list[T]] = [[] for _ in candidates]
    for number in range(rounds):
        order = list(enumerate(candidates))
        for place, candidate in order if number % 2 == 0 else reversed(order):
            results[place].append(candidate())
    return results


def median_ratio(ours: Sequence[float], raw: Sequence[float]) -> float:
    """The median of the ratios of each round."""
    return statistics.median(mine / base for mine, base in zip(ours, raw, strict=True))


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
