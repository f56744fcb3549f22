"""A forecast in words."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from minimax_magic.pricing import BUILT_IN
from minimax_magic.render.forecast import basis, forecast_bundle, forecast_text
from minimax_magic.usage.forecast import Forecast, Pace

M2_5 = "MiniMax-M2.5"
EXAMPLE: dict[str, Any] = {
    "budget": Decimal(25),
    "cost_per_query": Decimal("0.03012"),
    "input_per_query": 96_000,
    "output_per_query": 1_100,
    "queries": 833,
    "own": None,
    "paces": (Pace(Fraction(10), 83), Pace(Fraction(50), 16)),
    "prices": ((M2_5, BUILT_IN.find(M2_5)),),
}
OWN: dict[str, Any] = {
    **EXAMPLE,
    "own": Pace(Fraction(42, 31), 614),
    "requests": 42,
    "since": date(2026, 10, 22),
    "elapsed_days": 31,
}


def test_an_example_says_that_it_is_one() -> None:
    """First of all, and at the end why; the cost is shown as $0.03 as in the guide."""
    assert forecast_text(Forecast(**EXAMPLE)).splitlines() == [
        "An example, not your figures: $25.00 lasts for about 833 queries.",
        "A query costs $0.03: 96,000 tokens in, 1,100 out.",
        "At 10 queries a day: about 83 days.",
        "At 50 queries a day: about 16 days.",
        "From the guide's worked example, since no finished request with a price is on record for "
        "the last 30 days.",
        "MiniMax-M2.5: $0.30 in, $1.20 out per million tokens (price list of 2026-09-29)",
    ]


def test_a_forecast_from_records() -> None:
    """The own pace says over which days; the basis says how many requests."""
    told = forecast_text(Forecast(**OWN)).splitlines()
    assert told[0] == "$25.00 lasts for about 833 queries."
    assert told[1] == "A query costs $0.03 on average: 96,000 tokens in, 1,100 out."
    assert told[2] == (
        "At your own pace, 1.4 a day over the 31 days from 2026-10-22 to today: about 614 days."
    )
    assert told[5] == "From 42 requests since 2026-10-22."


def test_the_basis_names_all_that_was_left_out() -> None:
    """What is not counted, what is no bill, and that a simulator answered."""
    more = {"unpriced": 3, "unfinished": 2, "estimated": 5, "planned": 4, "simulated": True}
    assert basis(Forecast(**OWN, **more)) == (
        "From 42 requests since 2026-10-22; 4 covered by a plan, with what they would have cost; "
        "5 with estimated tokens; 3 without a price left out; 2 not finished left out; "
        "simulated: nothing was charged."
    )
    assert basis(Forecast(**{**OWN, "requests": 1})) == "From 1 request since 2026-10-22."


def test_what_interrupted_and_failed_requests_cost_is_told() -> None:
    """Included in the averages; where there are none to include it in, told as left out."""
    spoilt = {"spoilt": 3, "spoilt_cost": Decimal("0.30")}
    assert basis(Forecast(**OWN, **spoilt)) == (
        "From 42 requests since 2026-10-22; the cost of 3 interrupted or failed requests included."
    )
    assert basis(Forecast(**EXAMPLE, **{**spoilt, "spoilt": 1})).endswith(
        "for the last 30 days; 1 interrupted or failed request, $0.30 in all, left out."
    )


def test_an_estimated_cost_has_a_wave() -> None:
    """As everywhere."""
    assert "A query costs ~$0.03 on average" in forecast_text(Forecast(**OWN, estimated=1))


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"queries": None}, "$25.00 does not run out: these queries cost nothing."),
        ({"queries": 0}, "$25.00 lasts for less than one query."),
        ({"queries": 1}, "$25.00 lasts for about 1 query."),
        ({"queries": 8330}, "$25.00 lasts for about 8,330 queries."),
    ],
)
def test_how_many_queries(fields: dict[str, Any], line: str) -> None:
    """Zero, one, many, and without end."""
    assert forecast_text(Forecast(**{**OWN, **fields})).splitlines()[0] == line


@pytest.mark.parametrize(
    ("pace", "days", "told"),
    [
        (Pace(Fraction(7), 0), 1, "At your own pace, 7 a day today: less than one day."),
        (Pace(Fraction(7), 1), 1, "At your own pace, 7 a day today: about 1 day."),
        (Pace(Fraction(1, 30), 9), 30, "0.033 a day over the 30 days"),
        (Pace(Fraction(4001, 2), 9), 2, "2,000.5 a day over the 2 days"),
    ],
)
def test_the_own_pace(pace: Pace, days: int, told: str) -> None:
    """A pace below one a day keeps two digits; days are whole."""
    assert told in forecast_text(Forecast(**{**OWN, "own": pace, "elapsed_days": days}))


def test_free_queries_have_no_paces() -> None:
    """There is nothing to say of days."""
    free = Forecast(**{**OWN, "queries": None, "own": Pace(Fraction(1), None)})
    assert "pace" not in forecast_text(free)


def test_many_models_are_not_all_listed() -> None:
    """Three prices, and how many models there are besides."""
    many = tuple((f"m{number}", None) for number in range(5))
    lines = forecast_text(Forecast(**{**OWN, "prices": many})).splitlines()
    assert lines[-4:] == [
        *(f"m{number}: no price known" for number in range(3)),
        "and 2 more models",
    ]


def test_the_forms_for_a_cell() -> None:
    """The same lines as HTML, safe from a model's name, and out of reach of MathJax."""
    hostile = Forecast(**{**OWN, "prices": (("<img src=x>", None),)})
    bundle = forecast_bundle(hostile)
    assert bundle["text/plain"] == forecast_text(hostile)
    shown = bundle["text/html"]
    assert "<img" not in shown
    assert "&lt;img src=x&gt;: no price known" in shown
    assert "mathjax_ignore" in shown
    assert shown.count("<div>") == len(forecast_text(hostile).splitlines())
