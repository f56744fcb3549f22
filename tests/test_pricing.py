"""What a request costs."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minimax_magic.models import ALIASES, MODELS, default_output_tokens, model_info
from minimax_magic.pricing import (
    BUILT_IN,
    PRICE_PAGE,
    Price,
    cached_share,
    cost,
    format_price,
    format_usd,
    price_line,
)
from minimax_magic.tokens import TokenUsage

USD = Decimal("0.01")


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
    assert BUILT_IN.find(model) is None
    assert BUILT_IN.worst_case(model, 1_000, 1_000) is None


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "no price known"),
        ("0", "$0"),
        ("0E-8", "$0"),
        ("-0", "$0"),
        ("0.000001", "$0.0000010"),
        ("0.0000004", "$0.00000040"),
        ("0.00999", "$0.010"),
        ("0.0999", "$0.10"),
        ("0.1", "$0.10"),
        ("0.9949", "$0.99"),
        ("0.9999", "$1.00"),
        ("0.00016404", "$0.00016"),
        ("0.0312", "$0.031"),
        ("0.25", "$0.25"),
        ("0.999", "$1.00"),
        ("1", "$1.00"),
        ("1234.5", "$1,234.50"),
        ("999.999", "$1,000.00"),
        ("1E+3", "$1,000.00"),
        ("-0.0312", "-$0.031"),
    ],
)
def test_money_is_shown_short(amount: str | None, text: str) -> None:
    """Cents, or two significant digits where that is finer; an unknown cost says so."""
    assert format_usd(None if amount is None else Decimal(amount)) == text


def test_every_price_is_of_a_known_model() -> None:
    """The two tables and the aliases name the same models."""
    assert set(BUILT_IN.prices) <= set(MODELS)
    assert set(ALIASES.values()) <= set(MODELS)
    assert all(model_info(alias) is MODELS[model] for alias, model in ALIASES.items())


def test_usage_adds_up() -> None:
    """Sums are taken bucket by bucket."""
    total = TokenUsage(1, 2, 3, 4, 1) + TokenUsage(10, 20, 30, 40, 5)
    assert total == TokenUsage(11, 22, 33, 44, 6)
    assert (total.total_input_tokens, total.total_tokens) == (88, 110)


# ------------------------------------------------------------------------------ the table


def test_every_price_says_where_it_is_from() -> None:
    """Each of the built-in prices names the page and its day."""
    assert PRICE_PAGE == "MiniMax pay-as-you-go page, 2026-09-29"
    assert all(price.source == PRICE_PAGE for price in BUILT_IN.prices.values())


def test_tables_do_not_change() -> None:
    """A changed table is another one; neither it nor its mapping can be written to."""
    other = BUILT_IN.with_changes({"m": Price(USD, USD, USD)})
    assert "m" in other.prices
    assert "m" not in BUILT_IN.prices
    with pytest.raises(FrozenInstanceError):
        other.prices = {}  # type: ignore[misc]
    with pytest.raises(TypeError):
        other.prices["n"] = Price(USD, USD, USD)  # type: ignore[index]


def test_an_alias_costs_what_it_stands_for() -> None:
    """Also in a changed table, unless the alias has a price of its own there."""
    assert BUILT_IN.find("MiniMax-M2.5-lightning") is BUILT_IN.find("MiniMax-M2.5-highspeed")
    mine = Price(USD, USD, USD)
    changed = BUILT_IN.with_changes({"MiniMax-M2.5-highspeed": mine})
    assert changed.find("MiniMax-M2.5-lightning") is mine
    changed = BUILT_IN.with_changes({"MiniMax-M2.5-lightning": mine})
    assert changed.find("MiniMax-M2.5-lightning") is mine
    assert changed.find("MiniMax-M2.5-highspeed") is BUILT_IN.find("MiniMax-M2.5-highspeed")


def test_a_changed_field_leaves_the_others() -> None:
    """What is not given stays, and the note says that the rest is MiniMax's."""
    old = BUILT_IN.prices["MiniMax-M2.5"]
    new = old.changed(output=Decimal("1"), source="llm.yaml line 12")
    assert (new.input, new.output, new.cache_read) == (old.input, Decimal("1"), old.cache_read)
    assert new.source == f"llm.yaml line 12; the rest: {PRICE_PAGE}"
    whole = old.changed(input=USD, output=USD, cache_read=USD, cache_write=USD, source="here")
    assert whole.source == "here"


def test_the_tier_for_long_requests_moves_with_the_price() -> None:
    """MiniMax asks twice the price above 512k tokens: twice one's own too, where one has said it."""
    new = BUILT_IN.prices["MiniMax-M3"].changed(
        input=Decimal("0.25"), cache_write=Decimal("0.5"), source="here"
    )
    long = new.for_input(524_289)
    assert (long.input, long.output, long.cache_read) == (
        Decimal("0.5"),
        Decimal("2.40"),
        Decimal("0.12"),
    )
    assert long.cache_write == 1
    free = BUILT_IN.prices["MiniMax-M3"].changed(input=Decimal(0), source="here")
    assert free.for_input(524_289).input == 0
    assert free.changed(input=Decimal(1), source="here").for_input(524_289).input == 1


@pytest.mark.parametrize(
    ("model", "usage", "tier", "usd"),
    [
        # M2.5: writing to the cache is dearest, 0.375; 1.20 out
        ("MiniMax-M2.5", (1_000_000, 1_000_000), None, "1.575"),
        # M3: no price for writing, so input
        ("MiniMax-M3", (524_288, 0), None, "0.1572864"),
        ("MiniMax-M3", (524_289, 0), None, "0.3145734"),
        ("MiniMax-M3", (524_289, 1_000_000), None, "2.7145734"),
        ("MiniMax-M3", (0, 1_000_000), "priority", "1.80"),
    ],
)
def test_the_worst_case(model: str, usage: tuple[int, int], tier: str | None, usd: str) -> None:
    """All input at the dearest of its buckets, at the tier that so much input has."""
    assert BUILT_IN.worst_case(model, *usage, service_tier=tier) == Decimal(usd)


TOKENS = st.integers(0, 700_000)


@settings(deadline=None, derandomize=True)
@given(
    model=st.sampled_from(sorted(BUILT_IN.prices)),
    usage=st.builds(TokenUsage, TOKENS, TOKENS, TOKENS, TOKENS),
    more=st.tuples(TOKENS, TOKENS),
    tier=st.sampled_from([None, "standard", "priority"]),
    changes=st.dictionaries(
        st.sampled_from(["input", "output", "cache_read", "cache_write"]),
        st.decimals(0, 50, places=3),
    ),
)
def test_no_request_costs_more_than_its_worst_case(
    model: str,
    usage: TokenUsage,
    more: tuple[int, int],
    tier: str | None,
    changes: dict[str, Decimal],
) -> None:
    """Whatever the buckets and the prices: bounds that hold give a sum that holds."""
    price = BUILT_IN.prices[model].changed(**changes, source="here")
    table = BUILT_IN.with_changes({model: price})
    bound = table.worst_case(
        model,
        usage.total_input_tokens + more[0],
        usage.output_tokens + more[1],
        service_tier=tier,
    )
    spent = table.cost(model, usage, service_tier=tier)
    assert spent is not None
    assert bound is not None
    assert spent <= bound


def test_the_functions_of_the_module_use_minimax_s_prices() -> None:
    """`cost` is the built-in table's."""
    usage = TokenUsage(123, 456, 789)
    assert cost("MiniMax-M2.7", usage) == BUILT_IN.cost("MiniMax-M2.7", usage)


@pytest.mark.parametrize(
    ("usage", "share"),
    [
        (TokenUsage(), None),
        (TokenUsage(output_tokens=5), None),
        (TokenUsage(10), 0.0),
        (TokenUsage(304, 55, 114), 114 / 418),
        (TokenUsage(cache_read_tokens=7), 1.0),
        (TokenUsage(1, 0, 1, 2), 0.25),
    ],
)
def test_the_share_of_the_input_that_came_from_the_cache(
    usage: TokenUsage, share: float | None
) -> None:
    """Of all input, what was written to the cache included; nothing can be said without input."""
    assert cached_share(usage) == share


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0.3", "$0.30"),
        ("0.375", "$0.375"),
        ("1.20", "$1.20"),
        ("0.0000", "$0.00"),
        ("1E+3", "$1,000.00"),
    ],
)
def test_prices_are_shown_to_their_last_digit(amount: str, text: str) -> None:
    """A price is exact: nothing of it is rounded away."""
    assert format_price(Decimal(amount)) == text


def test_a_price_in_one_line() -> None:
    """Model, price, and where the price is from; a model without one says so."""
    model = "MiniMax-M2.5"
    told = "$1.20 out per million tokens"
    assert price_line(model, BUILT_IN.find(model)) == (
        f"{model}: $0.30 in, {told} (price list of 2026-09-29)"
    )
    mine = BUILT_IN.prices[model].changed(input=Decimal("0.2"), source="config/llm.yaml line 3")
    assert price_line(model, mine) == (
        f"{model}: $0.20 in, {told} (config/llm.yaml line 3; the rest: price list of 2026-09-29)"
    )
    assert price_line("m", None) == "m: no price known"


@pytest.mark.parametrize(
    ("model", "doubt"),
    [
        ("MiniMax-M2.7-highspeed", "MiniMax's pages disagree about the price of input"),
        ("MiniMax-M2.5-highspeed", "MiniMax's pages disagree about the price of input"),
        ("MiniMax-M2.1-lightning", "MiniMax's pages disagree about the price of input"),
        ("MiniMax-M3", "MiniMax gives no exact boundary"),
    ],
)
def test_a_price_that_is_not_certain_says_so(model: str, doubt: str) -> None:
    """In its line, beside where it is from."""
    line = price_line(model, BUILT_IN.find(model))
    assert "(price list of 2026-09-29; " in line
    assert doubt in line


def test_a_price_of_one_s_own_is_certain() -> None:
    """A doubt about input is gone with one's own price of it; where M3's tier begins stays one."""
    fast, long = BUILT_IN.prices["MiniMax-M2.5-highspeed"], BUILT_IN.prices["MiniMax-M3"]
    assert fast.changed(input=USD, source="here").doubt == ""
    assert fast.changed(output=USD, source="here").doubt == fast.doubt
    assert long.changed(input=USD, source="here").doubt == long.doubt


def test_output_that_is_asked_for_by_default() -> None:
    """What the documents recommend for the model, and a moderate number for an unknown one."""
    assert default_output_tokens("MiniMax-M2.5-lightning") == 65_536
    assert default_output_tokens("MiniMax-M3") == 131_072
    assert default_output_tokens("my-model") == 8_192
