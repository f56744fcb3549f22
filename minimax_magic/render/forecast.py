"""A forecast in words, as text and as HTML."""

from __future__ import annotations

import html
from decimal import Decimal
from fractions import Fraction

from minimax_magic.pricing import format_usd, price_line
from minimax_magic.render.markup import Bundle
from minimax_magic.usage.forecast import DAYS, Forecast, Pace

# How many models have their price told; more would be a list of its own.
_MODELS = 3
# Names that MathJax passes by: two dollar signs would be math to it.
_CLASSES = "minimax-forecast mathjax_ignore tex2jax_ignore"


def forecast_bundle(forecast: Forecast) -> Bundle:
    """The forecast for a cell's output."""
    title, *rows = _lines(forecast)
    inner = "".join(f"<div>{html.escape(row)}</div>" for row in rows)
    shown = f'<div class="{_CLASSES}"><div><b>{html.escape(title)}</b></div>{inner}</div>'
    return {"text/html": shown, "text/plain": forecast_text(forecast)}


def forecast_text(forecast: Forecast) -> str:
    """The forecast in a few lines: what the budget pays for, for how long, and from what that is."""
    return "\n".join(_lines(forecast))


def _lines(forecast: Forecast) -> list[str]:
    lasts = "does not run out: these queries cost nothing"
    if forecast.queries is not None:
        lasts = f"lasts for {_about(forecast.queries, 'query', 'queries')}"
    told = "An example, not your figures: " if forecast.is_example else ""
    lines = [f"{told}{_usd(forecast.budget)} {lasts}."]
    lines.append(
        f"A query costs {'~' if forecast.estimated else ''}{_usd(forecast.cost_per_query)}"
        f"{'' if forecast.is_example else ' on average'}: "
        f"{forecast.input_per_query:,} tokens in, {forecast.output_per_query:,} out."
    )
    if forecast.queries is not None:
        lines += [_own(forecast, forecast.own)] if forecast.own is not None else []
        lines += [f"{_at(pace)}: {_days(pace)}." for pace in forecast.paces]
    lines.append(basis(forecast))
    lines += [price_line(model, price) for model, price in forecast.prices[:_MODELS]]
    if more := forecast.prices[_MODELS:]:
        lines.append(f"and {len(more)} more models")
    return lines


def basis(forecast: Forecast) -> str:
    """What the figures are from: `From 42 requests since 2026-10-22; 3 without a price left out.`"""
    spoilt = _counted(forecast.spoilt, "interrupted or failed request")
    if forecast.is_example:
        said = [
            "From the guide's worked example, since no finished request with a price is on record "
            f"for the last {DAYS} days"
        ]
        if forecast.spoilt:
            said.append(f"{spoilt}, {_usd(forecast.spoilt_cost)} in all, left out")
    else:
        said = [f"From {_counted(forecast.requests, 'request')} since {forecast.since}"]
        if forecast.spoilt:
            said.append(f"the cost of {spoilt} included")
        if forecast.planned:
            said.append(f"{forecast.planned} covered by a plan, with what they would have cost")
        if forecast.estimated:
            said.append(f"{forecast.estimated} with estimated tokens")
    if forecast.unpriced:
        said.append(f"{forecast.unpriced} without a price left out")
    if forecast.unfinished:
        said.append(f"{forecast.unfinished} not finished left out")
    if forecast.simulated:
        said.append("simulated: nothing was charged")
    return f"{'; '.join(said)}."


def _own(forecast: Forecast, own: Pace) -> str:
    over = f"over the {forecast.elapsed_days} days from {forecast.since} to today"
    if forecast.elapsed_days == 1:
        over = "today"
    return f"At your own pace, {_rate(own.queries_per_day)} a day {over}: {_days(own)}."


def _at(pace: Pace) -> str:
    return f"At {_rate(pace.queries_per_day)} queries a day"


def _rate(per_day: Fraction) -> str:
    """`10`, `5.3`, `0.033`."""
    if per_day.denominator == 1:
        return f"{per_day.numerator:,}"
    return f"{float(per_day):,.1f}" if per_day >= 1 else f"{float(per_day):.2g}"


def _days(pace: Pace) -> str:
    return "without end" if pace.days is None else _about(pace.days, "day", "days")


def _about(number: int, one: str, many: str) -> str:
    if number == 0:
        return f"less than one {one}"
    return f"about {number:,} {one if number == 1 else many}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _usd(amount: Decimal) -> str:
    """As everywhere, but $0.03 for $0.030."""
    text = format_usd(amount)
    whole, _, digits = text.partition(".")
    return f"{whole}.{digits[:2]}{digits[2:].rstrip('0')}" if digits else text
