"""Prices, and what a request cost or may cost at most.

Source: MiniMax's pay-as-you-go page, 2026-09-29, in US dollars per million tokens. A Token Plan is
not billed per token: for it the figure is the equivalent pay-as-you-go value. A model without a
price costs None, "no price known", and never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from minimax_magic.models import ALIASES
from minimax_magic.tokens import TokenUsage

PRICES_AS_OF: Final = "2026-09-29"
PRICE_PAGE: Final = f"MiniMax pay-as-you-go page, {PRICES_AS_OF}"
_MTOK = Decimal(1_000_000)
_CENTS = Decimal("0.01")
# What the parameter's own description says of `priority`, without naming models.
_PRIORITY_FACTOR = Decimal("1.5")
# The prompt-caching page still says 0.30; the pricing page, which is newer, counts.
_INPUT_DOUBT: Final = "MiniMax's pages disagree about the price of input: $0.60 or $0.30"
_TIER_DOUBT: Final = (
    "twice that above 512k tokens of input, read as 524,288: MiniMax gives no exact boundary"
)


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens of each bucket.

    Attributes:
        cache_write: None where the page lists none; such tokens then cost as input.
        tier_above_input_tokens: A request with more input than this, cached included, is billed at
            `tier`, all of it.
        source: Where it is from: `MiniMax pay-as-you-go page, 2026-09-29`, or a file and line.
        doubt: What is not certain about it, for people; empty: nothing.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal | None = None
    tier_above_input_tokens: int | None = None
    tier: Price | None = None
    source: str = PRICE_PAGE
    doubt: str = ""

    def changed(
        self,
        *,
        input: Decimal | None = None,  # noqa: A002 - the name of the field
        output: Decimal | None = None,
        cache_read: Decimal | None = None,
        cache_write: Decimal | None = None,
        source: str,
    ) -> Price:
        """This price with some of its fields replaced; None leaves a field as it is.

        The tier for long requests moves with it, in proportion: it is a multiple of the price.

        Args:
            source: Where the new figures are from; what is left of the old ones is told beside it.
        """
        given = {
            "input": input,
            "output": output,
            "cache_read": cache_read,
            "cache_write": cache_write,
        }
        new: dict[str, Any] = {name: usd for name, usd in given.items() if usd is not None}
        if self.tier is not None:
            factor = self.tier.input / self.input if self.input else 1
            new["tier"] = replace(self.tier, **{name: usd * factor for name, usd in new.items()})
        if input is not None and self.doubt == _INPUT_DOUBT:
            new["doubt"] = ""
        kept = [name for name in given if name not in new and getattr(self, name) is not None]
        note = f"{source}; the rest: {self.source}" if kept else source
        return replace(self, **new, source=note)

    def for_input(self, total_input_tokens: int) -> Price:
        """What holds for a request with this much input, cached included."""
        if self.tier is None or total_input_tokens <= (self.tier_above_input_tokens or 0):
            return self
        return self.tier

    @property
    def dearest_input(self) -> Decimal:
        """The most that a token of input can cost, fresh or by way of the cache."""
        return max(self.input, self.cache_read, self.cache_write or self.input)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices of models by their id; ids are case-sensitive.

    An alias has the price of what it stands for, unless it is in the table itself.
    """

    prices: Mapping[str, Price] = field(default_factory=dict)

    def find(self, model: str) -> Price | None:
        """The price of a model; None if none is known."""
        return self.prices.get(model) or self.prices.get(ALIASES.get(model, model))

    def cost(
        self, model: str, usage: TokenUsage, *, service_tier: str | None = None
    ) -> Decimal | None:
        """US dollars for one request; None if the model has no known price.

        Args:
            model: The id that was asked for; old aliases are known.
            usage: The request's tokens, in disjoint buckets.
            service_tier: `priority` costs more; None and `standard` do not.
        """
        found = self.find(model)
        if found is None:
            return None
        price = found.for_input(usage.total_input_tokens)
        write = price.cache_write if price.cache_write is not None else price.input
        total = (
            price.input * usage.input_tokens
            + price.output * usage.output_tokens
            + price.cache_read * usage.cache_read_tokens
            + write * usage.cache_write_tokens
        ) / _MTOK
        return total * _PRIORITY_FACTOR if service_tier == "priority" else total

    def worst_case(
        self,
        model: str,
        input_tokens: int,
        output_tokens: int,
        *,
        service_tier: str | None = None,
    ) -> Decimal | None:
        """The most that a request within these bounds can cost; None if no price is known.

        Args:
            input_tokens: All input, taken at the dearest of fresh, cache read and cache write.
            output_tokens: Thinking included.
        """
        found = self.find(model)
        if found is None:
            return None
        price = found.for_input(input_tokens)
        total = (price.dearest_input * input_tokens + price.output * output_tokens) / _MTOK
        return total * _PRIORITY_FACTOR if service_tier == "priority" else total

    def with_changes(self, changes: Mapping[str, Price]) -> PriceTable:
        """A table in which these prices stand instead of, or beside, those of this one."""
        return PriceTable(MappingProxyType({**self.prices, **changes}))


def _price(
    usd_in: str, usd_out: str, usd_read: str, usd_write: str | None = None, *, doubt: str = ""
) -> Price:
    write = Decimal(usd_write) if usd_write is not None else None
    return Price(Decimal(usd_in), Decimal(usd_out), Decimal(usd_read), write, doubt=doubt)


# MiniMax-M3.1-Flash-Preview is left out on purpose: plans include it, pay-as-you-go does not sell it.
BUILT_IN: Final = PriceTable(
    MappingProxyType(
        {
            "MiniMax-M3": replace(
                _price("0.30", "1.20", "0.06", doubt=_TIER_DOUBT),
                # all input is billed at the tier of the request's total input; 512k read as 524,288
                tier_above_input_tokens=524_288,
                tier=_price("0.60", "2.40", "0.12"),
            ),
            "MiniMax-M2.7": _price("0.30", "1.20", "0.06", "0.375"),
            "MiniMax-M2.7-highspeed": _price("0.60", "2.40", "0.06", "0.375", doubt=_INPUT_DOUBT),
            "MiniMax-M2.5": _price("0.30", "1.20", "0.03", "0.375"),
            "MiniMax-M2.5-highspeed": _price("0.60", "2.40", "0.03", "0.375", doubt=_INPUT_DOUBT),
            "MiniMax-M2.1": _price("0.30", "1.20", "0.03", "0.375"),
            "MiniMax-M2.1-highspeed": _price("0.60", "2.40", "0.03", "0.375", doubt=_INPUT_DOUBT),
            "MiniMax-M2": _price("0.30", "1.20", "0.03", "0.375"),
        }
    )
)
"""MiniMax's own prices."""


def cost(model: str, usage: TokenUsage, *, service_tier: str | None = None) -> Decimal | None:
    """As `PriceTable.cost`, at MiniMax's own prices."""
    return BUILT_IN.cost(model, usage, service_tier=service_tier)


def cached_share(usage: TokenUsage) -> float | None:
    """How much of the input came from the cache, 0 to 1; None if there was no input."""
    total = usage.total_input_tokens
    return usage.cache_read_tokens / total if total else None


def format_usd(amount: Decimal | None) -> str:
    """`$0.031`: cents, or two significant digits where that is finer; an unknown cost says so."""
    if amount is None:
        return "no price known"
    if not amount:
        return "$0"
    if amount < 0:  # a balance may be
        return f"-{format_usd(-amount)}"
    if amount < _CENTS * 10:
        # rounded before digits are counted, so that 0.0999 is $0.10 and not $0.100
        amount = Decimal(f"{amount:.1e}")
    digits = max(2, 1 - amount.adjusted())
    return f"${amount:,.{digits}f}"


def usd_words(amount: Decimal | None, *, rough: bool, unpriced: bool = False) -> str:
    """An amount with its marks; the one place that makes them.

    Args:
        amount: None: no price is known.
        rough: Whether it, or a part of it, is estimated.
        unpriced: Whether a part of what it is for has no known price.
    """
    if amount is None or (unpriced and not amount):
        return format_usd(None)
    return f"{'~' if rough and amount else ''}{format_usd(amount)}{' + ?' if unpriced else ''}"


def format_price(amount: Decimal) -> str:
    """`$0.375`: every digit that there is, and at least the cents. For prices, which are exact."""
    digits = max(2, -int(amount.normalize().as_tuple().exponent))
    return f"${amount:,.{digits}f}"


def price_line(model: str, price: Price | None) -> str:
    """`MiniMax-M2.5: $0.30 in, $1.20 out per million tokens (price list of 2026-09-29)`.

    What is not certain about the price stands there, too.
    """
    if price is None:
        return f"{model}: no price known"
    listed = price.source.replace(PRICE_PAGE, f"price list of {PRICES_AS_OF}")
    figures = f"{format_price(price.input)} in, {format_price(price.output)} out"
    notes = f"{listed}; {price.doubt}" if price.doubt else listed
    return f"{model}: {figures} per million tokens ({notes})"
