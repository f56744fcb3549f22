"""How long a budget lasts: what a query has cost so far, and how many are made in a day.

A query is a request of the last 30 local days that came to its end and has a price. What interrupted
and failed ones cost is paid too, so it is shared out among the queries. Without any query the guide's
worked example stands in, and says that it is one. What was replayed is no query.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from minimax_magic.errors import ConfigError
from minimax_magic.pricing import BUILT_IN, Price, PriceTable
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.ranges import local_day
from minimax_magic.usage.rows import Record

DAYS: Final = 30
"""How far back is looked, today included."""

PACES: Final = (10, 50)
"""Queries a day that the guide reckons with: light and heavy use."""

# The guide's own example. It rounds the cost to cents before it divides, and so it is done here:
# $25 are 833 queries then, and would be 830 without.
_EXAMPLE_MODEL: Final = "MiniMax-M2"
_EXAMPLE_USAGE: Final = TokenUsage(input_tokens=96_000, output_tokens=1_100)
_EXAMPLE_ROUNDED: Final = Decimal("0.03")

_TOO_MUCH: Final = Decimal(10**12)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long it lasts at so many queries a day.

    Attributes:
        days: Whole days; None: it does not run out, since queries cost nothing.
    """

    queries_per_day: Fraction
    days: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long a budget lasts.

    Attributes:
        budget: US dollars.
        cost_per_query: US dollars on average, with what `spoilt` ones cost.
        input_per_query, output_per_query: Tokens on average, cached ones, thinking and those of
            `spoilt` ones included.
        queries: Whole ones that the budget pays for; None: they cost nothing.
        own: At the pace of the records, over all days from the first of them to today; None in the
            example.
        paces: At each of `PACES`.
        prices: The models of the records, most used first, and what they cost now.
        requests: How many queries there were; 0 in the example.
        spoilt, spoilt_cost: How many requests were interrupted or failed and cost something, and how
            many US dollars; in the example they are left out.
        since, elapsed_days: Local day of the first of all these, and the days from it to today, both
            included; None and 0 in the example.
        unpriced, unfinished: Requests left out: without a price; under way, or broken off and free.
        estimated: How many of those counted, `spoilt` ones included, have estimated tokens.
        planned: How many of those a plan covers: they have their pay-as-you-go value.
        simulated: Whether all of it is from a simulator.
    """

    budget: Decimal
    cost_per_query: Decimal
    input_per_query: int
    output_per_query: int
    queries: int | None
    own: Pace | None
    paces: tuple[Pace, ...]
    prices: tuple[tuple[str, Price | None], ...]
    requests: int = 0
    spoilt: int = 0
    spoilt_cost: Decimal = Decimal(0)
    since: date | None = None
    elapsed_days: int = 0
    unpriced: int = 0
    unfinished: int = 0
    estimated: int = 0
    planned: int = 0
    simulated: bool = False

    @property
    def is_example(self) -> bool:
        return not self.requests


def forecast(
    records: Iterable[Record],
    budget: Decimal,
    *,
    now: datetime,
    prices: PriceTable = BUILT_IN,
) -> Forecast:
    """How long `budget` lasts, going by `records`.

    Args:
        records: Older ones than of the last 30 days are passed over. Of real and simulated ones
            together the real ones count.
        budget: US dollars.
        now: Aware.
        prices: For the line about what the models cost now.

    Raises:
        ConfigError: The budget is not above 0, or no sum that anybody has.
    """
    if not budget.is_finite() or not 0 < budget < _TOO_MUCH:
        raise ConfigError(
            "A forecast needs a budget above 0 US dollars, and below a trillion.",
            hint="For instance 25, or 0.50.",
        )
    today = local_day(now)
    oldest = today - timedelta(days=DAYS - 1)
    recent = [r for r in records if not r.replayed and local_day(r.started_at) >= oldest]
    if not all(r.simulated for r in recent):
        recent = [r for r in recent if not r.simulated]
    ended = [r for r in recent if r.status != "open"]
    queries_made = [r for r in ended if r.status == "ok" and r.cost is not None]
    spoilt = [r for r in ended if r.status != "ok" and r.cost]
    counted = queries_made + spoilt
    # what failed before it used anything needs no price
    unpriced = sum(r.cost is None and (r.status == "ok" or r.usage.total_tokens > 0) for r in ended)
    spoilt_cost = _sum(spoilt)
    unfinished = len(recent) - len(counted) - unpriced
    if not queries_made:
        return replace(
            _example(budget),
            spoilt=len(spoilt),
            spoilt_cost=spoilt_cost,
            unpriced=unpriced,
            unfinished=unfinished,
            simulated=any(r.simulated for r in spoilt),
        )
    number = len(queries_made)
    total = _sum(counted)
    usage = sum((r.usage for r in counted), TokenUsage())
    since = min(local_day(r.started_at) for r in counted)
    elapsed = max(1, (today - since).days + 1)
    # in fractions: an average such as 1/3 of a cent has no last digit
    queries = int(Fraction(budget) * number / Fraction(total)) if total else None
    models = [model for model, _ in Counter(r.model for r in counted).most_common()]
    return Forecast(
        budget=budget,
        cost_per_query=total / number,
        input_per_query=round(usage.total_input_tokens / number),
        output_per_query=round(usage.output_tokens / number),
        queries=queries,
        own=_pace(queries, Fraction(number, elapsed)),
        paces=tuple(_pace(queries, Fraction(pace)) for pace in PACES),
        prices=tuple((model, prices.find(model)) for model in models),
        requests=number,
        spoilt=len(spoilt),
        spoilt_cost=spoilt_cost,
        since=since,
        elapsed_days=elapsed,
        unpriced=unpriced,
        unfinished=unfinished,
        estimated=sum(not r.measured for r in counted),
        planned=sum(r.billing == "plan" for r in counted),
        simulated=counted[0].simulated,
    )


def _sum(records: Iterable[Record]) -> Decimal:
    return sum((r.cost for r in records if r.cost is not None), Decimal(0))


def _example(budget: Decimal) -> Forecast:
    cost = BUILT_IN.cost(_EXAMPLE_MODEL, _EXAMPLE_USAGE)
    assert cost is not None
    queries = int(budget / _EXAMPLE_ROUNDED)
    return Forecast(
        budget=budget,
        cost_per_query=cost,
        input_per_query=_EXAMPLE_USAGE.total_input_tokens,
        output_per_query=_EXAMPLE_USAGE.output_tokens,
        queries=queries,
        own=None,
        paces=tuple(_pace(queries, Fraction(pace)) for pace in PACES),
        prices=((_EXAMPLE_MODEL, BUILT_IN.find(_EXAMPLE_MODEL)),),
    )


def _pace(queries: int | None, per_day: Fraction) -> Pace:
    return Pace(per_day, None if queries is None else int(queries / per_day))
