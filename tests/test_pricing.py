"""What a request costs."""

from __future__ import annotations

from decimal import Decimal

import pytest

from minimax_magic.models import ALIASES, MODELS, model_info
from minimax_magic.pricing import PRICES, cost, format_usd
from minimax_magic.tokens import TokenUsage


def test_the_worked_example_of_the_guide() -> None:
    """96,000 tokens in and 1,100 out of MiniMax-M2 cost $0.03012, shown as $0.030."""
    usd = cost("MiniMax-M2", TokenUsage(input_tokens=96_000, output_tokens=1_100))
    assert usd == Decimal("0.03012")
    assert format_usd(usd) == "$0.030"


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        ("MiniMax-M2.5", TokenUsage(1_000_000, 0), "0.30"),
        ("MiniMax-M2.5", TokenUsage(0, 1_000_000), "1.20"),
        ("MiniMax-M2.5", TokenUsage(cache_read_tokens=1_000_000), "0.03"),
        ("MiniMax-M2.7", TokenUsage(cache_read_tokens=1_000_000), "0.06"),
        ("MiniMax-M2.7", TokenUsage(cache_write_tokens=1_000_000), "0.375"),
        ("MiniMax-M2.5-highspeed", TokenUsage(1_000_000, 1_000_000), "3.00"),
        ("MiniMax-M2.5-lightning", TokenUsage(1_000_000, 1_000_000), "3.00"),
        ("MiniMax-M2.7", TokenUsage(304, 55, 114), "0.00016404"),
        ("MiniMax-M3", TokenUsage(cache_write_tokens=100_000), "0.03"),
        ("MiniMax-M2.5", TokenUsage(0, 1_000_000, reasoning_tokens=400_000), "1.20"),
        ("MiniMax-M2.5", TokenUsage(), "0"),
    ],
)
def test_each_bucket_has_its_price(model: str, usage: TokenUsage, usd: str) -> None:
    """Buckets are disjoint; thinking is part of the output; writing M3's cache costs as input."""
    assert cost(model, usage) == Decimal(usd)


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (TokenUsage(input_tokens=524_288), "0.1572864"),
        (TokenUsage(input_tokens=524_289), "0.3145734"),
        (TokenUsage(cache_read_tokens=500_000, input_tokens=100_000), "0.12"),
        (TokenUsage(cache_read_tokens=400_000, input_tokens=100_000), "0.054"),
        (TokenUsage(input_tokens=600_000, output_tokens=1_000_000), "2.76"),
    ],
)
def test_a_long_request_to_m3_is_billed_at_the_higher_tier(usage: TokenUsage, usd: str) -> None:
    """All input above 524,288 tokens in sum, cached ones included, lifts every price."""
    assert cost("MiniMax-M3", usage) == Decimal(usd)


@pytest.mark.parametrize(
    ("tier", "usd"), [("priority", "0.45"), ("standard", "0.30"), (None, "0.30")]
)
def test_priority_costs_half_as_much_again(tier: str | None, usd: str) -> None:
    """Only the tier `priority` changes the price."""
    assert cost("MiniMax-M3", TokenUsage(500_000, 125_000), service_tier=tier) == Decimal(usd)


@pytest.mark.parametrize(
    "model", ["gpt-4", "minimax-m2.5", "MiniMax-M3.1-Flash-Preview", "MiniMaxAI/MiniMax-M2.5", ""]
)
def test_an_unknown_price_is_none(model: str) -> None:
    """Ids are case-sensitive, and a plan-only model has no price: never 0."""
    assert cost(model, TokenUsage(1_000, 1_000)) is None


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "no price known"),
        ("0", "$0"),
        ("0.0000004", "$0.00000040"),
        ("0.00016404", "$0.00016"),
        ("0.0312", "$0.031"),
        ("0.25", "$0.25"),
        ("0.999", "$1.00"),
        ("1", "$1.00"),
        ("1234.5", "$1,234.50"),
    ],
)
def test_money_is_shown_short(amount: str | None, text: str) -> None:
    """Cents, or two significant digits where that is finer; an unknown cost says so."""
    assert format_usd(None if amount is None else Decimal(amount)) == text


def test_every_price_is_of_a_known_model() -> None:
    """The two tables and the aliases name the same models."""
    assert set(PRICES) <= set(MODELS)
    assert set(ALIASES.values()) <= set(MODELS)
    assert all(model_info(alias) is MODELS[model] for alias, model in ALIASES.items())


def test_usage_adds_up() -> None:
    """Sums are taken bucket by bucket."""
    total = TokenUsage(1, 2, 3, 4, 1) + TokenUsage(10, 20, 30, 40, 5)
    assert total == TokenUsage(11, 22, 33, 44, 6)
    assert (total.total_input_tokens, total.total_tokens) == (88, 110)
