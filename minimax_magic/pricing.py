"""Prices and what a request cost.

Source: MiniMax's pay-as-you-go page, 2026-09-29, in US dollars per million tokens. A Token Plan is
not billed per token: for it the figure is the equivalent pay-as-you-go value.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from minimax_magic.models import ALIASES
from minimax_magic.tokens import TokenUsage

PRICES_AS_OF = "2026-09-29"
_MTOK = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens of each bucket.

    Attributes:
        cache_write: None where the page lists none; such tokens then cost as input.
        tier_above_input_tokens: A request with more input than this is billed at `tier`.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal | None = None
    tier_above_input_tokens: int | None = None
    tier: Price | None = None


def _price(usd_in: str, usd_out: str, usd_read: str, usd_write: str | None = None) -> Price:
    write = Decimal(usd_write) if usd_write is not None else None
    return Price(Decimal(usd_in), Decimal(usd_out), Decimal(usd_read), write)


_M3 = Price(
    Decimal("0.30"),
    Decimal("1.20"),
    Decimal("0.06"),
    # all input is billed at the tier of the request's total input; 512k read as 524,288
    tier_above_input_tokens=524_288,
    tier=_price("0.60", "2.40", "0.12"),
)

PRICES: dict[str, Price] = {
    "MiniMax-M3": _M3,
    "MiniMax-M2.7": _price("0.30", "1.20", "0.06", "0.375"),
    # the prompt-caching page still says 0.30 for highspeed input; the pricing page is newer
    "MiniMax-M2.7-highspeed": _price("0.60", "2.40", "0.06", "0.375"),
    "MiniMax-M2.5": _price("0.30", "1.20", "0.03", "0.375"),
    "MiniMax-M2.5-highspeed": _price("0.60", "2.40", "0.03", "0.375"),
    "MiniMax-M2.1": _price("0.30", "1.20", "0.03", "0.375"),
    "MiniMax-M2.1-highspeed": _price("0.60", "2.40", "0.03", "0.375"),
    "MiniMax-M2": _price("0.30", "1.20", "0.03", "0.375"),
}

# service_tier "priority" of M3 costs one and a half times as much
_PRIORITY_FACTOR = Decimal("1.5")


def cost(model: str, usage: TokenUsage, *, service_tier: str | None = None) -> Decimal | None:
    """US dollars for one request; None if the model has no known price.

    Args:
        model: The id that was asked for; old aliases are known.
        usage: The request's tokens, in disjoint buckets.
        service_tier: `priority` costs more; None and `standard` do not.
    """
    price = PRICES.get(ALIASES.get(model, model))
    if price is None:
        return None
    if price.tier is not None and usage.total_input_tokens > (price.tier_above_input_tokens or 0):
        price = price.tier
    write = price.cache_write if price.cache_write is not None else price.input
    total = (
        price.input * usage.input_tokens
        + price.output * usage.output_tokens
        + price.cache_read * usage.cache_read_tokens
        + write * usage.cache_write_tokens
    ) / _MTOK
    return total * _PRIORITY_FACTOR if service_tier == "priority" else total


def format_usd(amount: Decimal | None) -> str:
    """`$0.031`: cents, or two significant digits where that is finer; an unknown cost says so."""
    if amount is None:
        return "no price known"
    if amount == 0:
        return "$0"
    if amount >= 1:
        return f"${amount:,.2f}"
    digits = max(2, 1 - amount.adjusted())
    return f"${amount:.{digits}f}"
