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


def options_of(args: Sequence[str]) -> Sequence[str]:
    """The arguments that may be options: behind `--` there are only files."""
    return args[: args.index("--")] if "--" in args else args


def model_in(args: Sequence[str]) -> str | None:
    """The model that Aider's arguments name, without `anthropic/`; None if they name none.

    Raises:
        ConfigError: It does not reach MiniMax.
    """
    args = options_of(args)
    named: str | None = None
    for place, arg in enumerate(args):
        if _is_shortcut(arg):
            raise ConfigError(
                f"{arg} makes Aider ask for a model that is not MiniMax's.",
                hint="Leave it out; --model chooses among those of MiniMax.",
            )
        option, equals, value = arg.partition("=")
        if option == "--model":
            named = value if equals else next(iter(args[place + 1 : place + 2]), None)
            if not named:
                raise ConfigError("--model is not followed by a model.")
    return None if named is None else model_id(named)


def _is_shortcut(arg: str) -> bool:
    """Also one that is cut short, as Aider takes it: `--sonn`."""
    cut = arg.startswith("--") and len(arg) > 4
    return arg in _SHORTCUTS or (cut and any(name.startswith(arg) for name in _SHORTCUTS))


def model_id(named: str) -> str:
    """The id of a model that is named as for Aider, without `anthropic/`.

    Raises:
        ConfigError: It does not reach MiniMax.
    """
    if named.startswith(PREFIX):
        return named.removeprefix(PREFIX)
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
