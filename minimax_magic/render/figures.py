"""Tokens and cost of an answer in the words of its status line."""

from __future__ import annotations

from minimax_magic.pricing import cached_share, format_usd
from minimax_magic.usage.rows import Booked


def figures(booked: Booked, *, simulated: bool) -> list[str]:
    """Parts of a line; none if nothing was used. A wave before a number says that it is an estimate.

    Args:
        simulated: Whether a simulator answered, so that nothing is paid whatever it says.
    """
    usage = booked.usage
    if not usage.total_tokens:
        return []
    about = "" if booked.measured else "~"
    cached = f" ({_percent(cached_share(usage) or 0)} cached)" if usage.cache_read_tokens else ""
    return [
        f"{about}{usage.total_input_tokens:,} tokens in{cached}",
        f"{about}{usage.output_tokens:,} out",
        _price(booked, about, simulated=simulated),
        *([] if booked.measured else ["estimated"]),
    ]


def _price(booked: Booked, about: str, *, simulated: bool) -> str:
    price = format_usd(booked.cost)
    if booked.cost:
        price = f"{about}{price}"
        if simulated:
            price = f"{price} if it were real"
        elif booked.billing == "plan":
            price = f"{price} in value, covered by the plan"
    elif booked.cost is not None and booked.avoided is None:
        price = f"{about}{price}"
    if booked.avoided:
        real = " if it were real" if simulated and not booked.cost else ""
        price = f"{price} ({about}{format_usd(booked.avoided)} avoided{real})"
    return price


def _percent(share: float) -> str:
    """`40 %`. All is said only of all, and nothing only of nothing."""
    if 0 < share < 0.01:
        return "less than 1 %"
    return f"{100 if share == 1 else min(round(100 * share), 99)} %"
