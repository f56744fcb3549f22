"""Models in Aider's terms: what its arguments name, and what it should know of a model of MiniMax."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from minimax_magic.errors import ConfigError
from minimax_magic.models import model_info
from minimax_magic.pricing import Price

PREFIX: Final = "anthropic/"
"""LiteLLM's way to the Anthropic wire, which goes where ANTHROPIC_BASE_URL says."""

# Aider's old shortcuts for models of others; they beat --model
_SHORTCUTS: Final = frozenset(
    {
        *("--opus", "--sonnet", "--haiku"),
        *("--4", "-4", "--4o", "--mini", "--4-turbo", "--35turbo", "--35-turbo", "--3", "-3"),
        *("--deepseek", "--o1-mini", "--o1-preview"),
    }
)
_MTOK: Final = Decimal(1_000_000)


def model_in(args: Sequence[str]) -> str | None:
    """The model that Aider's arguments name, without `anthropic/`; None if they name none.

    Raises:
        ConfigError: It does not reach MiniMax.
    """
    named: str | None = None
    for place, arg in enumerate(args):
        if arg in _SHORTCUTS:
            raise ConfigError(
                f"{arg} makes Aider ask for a model that is not MiniMax's.",
                hint="Leave it out; --model chooses among those of MiniMax.",
            )
        option, equals, value = arg.partition("=")
        if option == "--model":
            named = value if equals else next(iter(args[place + 1 : place + 2]), None)
            if not named:
                raise ConfigError("--model is not followed by a model.")
    if named is None or named.startswith(PREFIX):
        return None if named is None else named.removeprefix(PREFIX)
    bare = named.rpartition("/")[2]
    if model_info(bare) is not None or bare.lower().startswith("minimax-"):
        raise ConfigError(
            f"Aider does not reach {bare} as {named}.", hint=f"Use --model {PREFIX}{bare}."
        )
    raise ConfigError(
        f"{named} is not a model of MiniMax.",
        hint=f"Use --model {PREFIX}MiniMax-M2.5, or start Aider itself for other models.",
    )


def model_metadata(model: str, price: Price | None) -> dict[str, Any]:
    """What Aider and its LiteLLM should know of a model: limits, and dollars per token.

    Empty for a model that we know nothing of.
    """
    info = model_info(model)
    if info is None:
        return {}
    entry: dict[str, Any] = {
        "litellm_provider": "anthropic",
        "mode": "chat",
        "max_input_tokens": info.context_tokens,
        # LiteLLM asks for this much where a program names no limit
        "max_output_tokens": info.recommended_output_tokens,
        "max_tokens": info.recommended_output_tokens,
        "supports_vision": info.vision,
        "supports_function_calling": True,
    }
    if price is not None:
        entry["input_cost_per_token"] = _per_token(price.input)
        entry["output_cost_per_token"] = _per_token(price.output)
        entry["cache_read_input_token_cost"] = _per_token(price.cache_read)
        written = price.input if price.cache_write is None else price.cache_write
        entry["cache_creation_input_token_cost"] = _per_token(written)
    return {PREFIX + model: entry}


def _per_token(usd_per_mtok: Decimal) -> float:
    return float(usd_per_mtok / _MTOK)
