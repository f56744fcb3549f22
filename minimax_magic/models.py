"""What is known of each model: its size, whether it sees, whether it can stop thinking.

Source: MiniMax's model and limits pages as of 2026-09-29. An id that is not here is sent as it is
(self-hosted servers and proxies have their own names); only what depends on these facts is left out.
Prices are in `pricing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DEFAULT_MODEL = "MiniMax-M2.5"
# for a model we know nothing of, where a wire insists on a number
_DEFAULT_OUTPUT_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model.

    Attributes:
        context_tokens: Input and output together.
        recommended_output_tokens: What the documents advise for `max_tokens`; thinking counts.
        vision: Whether it takes images. The server drops them silently where it does not.
        thinking: `always` cannot be switched off; `switch` can.
        tokens_per_second: About how fast it writes.
    """

    id: str
    context_tokens: int
    max_output_tokens: int
    recommended_output_tokens: int
    vision: bool
    thinking: Literal["always", "switch"]
    tokens_per_second: int


def _m2(model: str) -> ModelInfo:
    speed = 100 if model.endswith("-highspeed") else 60
    return ModelInfo(model, 204_800, 204_800, 65_536, False, "always", speed)


def _m3(model: str) -> ModelInfo:
    return ModelInfo(model, 1_000_000, 524_288, 131_072, True, "switch", 80)


MODELS: dict[str, ModelInfo] = {
    info.id: info
    for info in (
        _m2("MiniMax-M2.5"),
        _m2("MiniMax-M2.5-highspeed"),
        _m3("MiniMax-M3"),
        _m3("MiniMax-M3.1-Flash-Preview"),
        _m2("MiniMax-M2.7"),
        _m2("MiniMax-M2.7-highspeed"),
        _m2("MiniMax-M2.1"),
        _m2("MiniMax-M2.1-highspeed"),
        _m2("MiniMax-M2"),
    )
}

# the names of early 2026 for what is now called highspeed
ALIASES = {
    "MiniMax-M2.5-lightning": "MiniMax-M2.5-highspeed",
    "MiniMax-M2.1-lightning": "MiniMax-M2.1-highspeed",
}


def model_info(model: str) -> ModelInfo | None:
    """The facts about a model id, an alias included; None if it is not ours."""
    return MODELS.get(ALIASES.get(model, model))


def default_output_tokens(model: str) -> int:
    """What is sent as `max_tokens` on the wire that demands it, if the request has none."""
    info = model_info(model)
    return info.recommended_output_tokens if info is not None else _DEFAULT_OUTPUT_TOKENS
