"""Token counts of one request, in buckets that never overlap."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one request.

    The four buckets are disjoint, whatever the wire: the OpenAI wire counts cached tokens inside
    `prompt_tokens`, the Anthropic wire beside `input_tokens`; the codecs level that.

    Attributes:
        input_tokens: Read afresh, billed at the input price.
        cache_read_tokens: Served from the prompt cache.
        cache_write_tokens: Written to the prompt cache; automatic caching reports none.
        output_tokens: Produced, thinking included.
        reasoning_tokens: The part of `output_tokens` that was thinking; 0 also if not reported.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_input_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def total_tokens(self) -> int:
        return self.total_input_tokens + self.output_tokens

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )
