"""What recorded answers of both wires cost: from the raw frames to dollars, reckoned by hand.

The figures of usage are those of MiniMax's documents. The two wires write the same request down
differently: here cached tokens are part of the prompt, there they stand beside the input.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from wire_streams import (
    ANTHROPIC,
    MESSAGE_DELTA,
    MESSAGE_START,
    MESSAGE_STOP,
    OPENAI,
    content,
    decode,
    decode_frames,
    decode_whole,
    fold,
    oa,
    start,
    stop,
)

from minimax_magic.events import StreamEvent, UsageUpdate
from minimax_magic.pricing import cached_share, cost
from minimax_magic.tokens import TokenUsage
from minimax_magic.wire.codec import Codec
from minimax_magic.wire.openai_compat import decode_usage

DATA = Path(__file__).parent.parent / "data"

# 418 in, of which 114 cached; 55 out, of which 29 thinking
OPENAI_CACHED: dict[str, Any] = {
    "total_tokens": 473,
    "total_characters": 0,
    "prompt_tokens": 418,
    "completion_tokens": 55,
    "prompt_tokens_details": {"cached_tokens": 114},
    "completion_tokens_details": {"reasoning_tokens": 29},
}
OPENAI_FRESH: dict[str, Any] = {
    "total_tokens": 473,
    "prompt_tokens": 418,
    "completion_tokens": 55,
}
# 14 in and 404 cached: also 418 in all; 91 out
ANTHROPIC_CACHED: dict[str, Any] = {
    "input_tokens": 14,
    "output_tokens": 91,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 404,
}
ANTHROPIC_FRESH: dict[str, Any] = {"input_tokens": 418, "output_tokens": 91}
ANTHROPIC_WRITTEN: dict[str, Any] = {
    "input_tokens": 14,
    "output_tokens": 91,
    "cache_creation_input_tokens": 404,
    "cache_read_input_tokens": 0,
}

CASES = [
    # 304 x 0.30 + 114 x 0.06 + 55 x 1.20 = 91.20 + 6.84 + 66.00 = 164.04 millionths
    (OPENAI, OPENAI_CACHED, "MiniMax-M2.7", "0.00016404"),
    # 304 x 0.30 + 114 x 0.03 + 55 x 1.20 = 91.20 + 3.42 + 66.00 = 160.62 millionths
    (OPENAI, OPENAI_CACHED, "MiniMax-M2.5", "0.00016062"),
    # 418 x 0.30 + 55 x 1.20 = 125.40 + 66.00 = 191.40 millionths
    (OPENAI, OPENAI_FRESH, "MiniMax-M2.7", "0.0001914"),
    # 304 x 0.60 + 114 x 0.03 + 55 x 2.40 = 182.40 + 3.42 + 132.00 = 317.82 millionths
    (OPENAI, OPENAI_CACHED, "MiniMax-M2.5-lightning", "0.00031782"),
    # 14 x 0.30 + 404 x 0.06 + 91 x 1.20 = 4.20 + 24.24 + 109.20 = 137.64 millionths
    (ANTHROPIC, ANTHROPIC_CACHED, "MiniMax-M3", "0.00013764"),
    # 418 x 0.30 + 91 x 1.20 = 125.40 + 109.20 = 234.60 millionths
    (ANTHROPIC, ANTHROPIC_FRESH, "MiniMax-M3", "0.0002346"),
    # 14 x 0.30 + 404 x 0.375 + 91 x 1.20 = 4.20 + 151.50 + 109.20 = 264.90 millionths
    (ANTHROPIC, ANTHROPIC_WRITTEN, "MiniMax-M2.7", "0.0002649"),
    # as M3 lists no price for writing: 418 x 0.30 + 91 x 1.20 = 234.60 millionths
    (ANTHROPIC, ANTHROPIC_WRITTEN, "MiniMax-M3", "0.0002346"),
]


def whole(codec: Codec, usage: Any) -> list[StreamEvent]:
    """An answer in one piece."""
    if codec is OPENAI:
        message = {"role": "assistant", "content": "Yes"}
        choice = {"finish_reason": "stop", "index": 0, "message": message}
        return decode_whole(codec, {"id": "1", "model": "m", "choices": [choice], "usage": usage})
    block = {"text": "Yes", "type": "text"}
    head = {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": [block]}
    return decode_whole(codec, {**head, "stop_reason": "end_turn", "usage": usage})


def streamed(codec: Codec, usage: Any) -> list[StreamEvent]:
    """The same in a stream: null and zeros first, the usage at the end."""
    if codec is OPENAI:
        last = {"id": "1", "choices": [], "usage": usage}
        return decode_frames(
            codec, content("Y"), content("es", finish_reason="stop"), last, "[DONE]"
        )
    end = {**MESSAGE_DELTA, "usage": usage}
    text = start(0, type="text", text="Yes")
    return decode_frames(codec, MESSAGE_START, text, stop(0), end, MESSAGE_STOP)


@pytest.mark.parametrize("arrive", [whole, streamed], ids=["whole", "streamed"])
@pytest.mark.parametrize(("codec", "usage", "model", "usd"), CASES)
def test_an_answer_costs_what_its_usage_says(
    codec: Codec, usage: dict[str, Any], model: str, usd: str, arrive: Any
) -> None:
    """Fresh, cached and written tokens each at their price, on both wires, streamed or whole."""
    reply = fold(arrive(codec, usage))
    assert reply.text == "Yes"
    assert reply.usage is not None
    assert cost(model, reply.usage) == Decimal(usd)


def test_both_wires_agree_on_one_request() -> None:
    """418 tokens in, 114 of them cached, and 55 out cost the same however they are written down."""
    there = {"input_tokens": 304, "cache_read_input_tokens": 114, "output_tokens": 55}
    one, other = fold(whole(OPENAI, OPENAI_CACHED)).usage, fold(whole(ANTHROPIC, there)).usage
    assert one is not None
    assert other is not None
    assert cost("MiniMax-M2.7", one) == cost("MiniMax-M2.7", other) == Decimal("0.00016404")
    assert cached_share(one) == cached_share(other) == 114 / 418


@pytest.mark.parametrize(
    ("name", "codec", "model", "usd"),
    [
        # 304 x 0.30 + 114 x 0.06 + 55 x 1.20 = 164.04 millionths
        ("openai_think_tag_split", OPENAI, "MiniMax-M2.7", "0.00016404"),
        # 1252 x 0.30 + 114 x 0.06 + 213 x 1.20 = 375.60 + 6.84 + 255.60 = 638.04 millionths
        ("anthropic_thinking_and_text", ANTHROPIC, "MiniMax-M3", "0.00063804"),
    ],
)
def test_a_recorded_stream_costs(name: str, codec: Codec, model: str, usd: str) -> None:
    """The streams of `tests/data`, byte by byte."""
    stream = (DATA / f"{name}.sse").read_bytes()
    usage = fold(decode(codec, (bytes([byte]) for byte in stream))).usage
    assert usage is not None
    assert cost(model, usage) == Decimal(usd)


def test_the_last_usage_of_an_openai_stream_counts() -> None:
    """Running figures in several chunks replace one another: 10 out, not 5 + 10."""
    first = {"prompt_tokens": 100, "completion_tokens": 5}
    last = {"prompt_tokens": 100, "completion_tokens": 10}
    events = decode_frames(
        OPENAI,
        content("Y", usage=first),
        content("es", finish_reason="stop", usage=None),
        {"id": "1", "choices": [], "usage": last},
        "[DONE]",
    )
    updates = [event.usage for event in events if isinstance(event, UsageUpdate)]
    assert updates == [TokenUsage(100, 5), TokenUsage(100, 10)]
    # 100 x 0.30 + 10 x 1.20 = 42 millionths
    assert cost("MiniMax-M2.5", fold(events).usage or TokenUsage()) == Decimal("0.000042")


def test_the_last_usage_of_an_anthropic_stream_counts() -> None:
    """Neither the start's 1366 cached tokens nor an earlier delta's are added to the last."""
    early = {"input_tokens": 1252, "output_tokens": 7, "cache_read_input_tokens": 114}
    between = {"type": "message_delta", "delta": {}, "usage": early}
    events = decode_frames(
        ANTHROPIC,
        MESSAGE_START,
        start(0, type="text", text="Yes"),
        between,
        stop(0),
        MESSAGE_DELTA,
        MESSAGE_STOP,
    )
    updates = [event.usage for event in events if isinstance(event, UsageUpdate)]
    assert updates == [TokenUsage(1252, 7, 114), TokenUsage(1252, 213, 114)]
    assert cost("MiniMax-M3", fold(events).usage or TokenUsage()) == Decimal("0.00063804")


def test_a_request_served_from_the_cache_alone() -> None:
    """No fresh input is no missing input: the cached tokens are billed."""
    usage = {"input_tokens": 0, "output_tokens": 10, "cache_read_input_tokens": 1000}
    reply = fold(streamed(ANTHROPIC, usage))
    assert reply.usage == TokenUsage(0, 10, 1000)
    # 1000 x 0.06 + 10 x 1.20 = 72 millionths
    assert cost("MiniMax-M3", reply.usage) == Decimal("0.000072")
    same = {
        "prompt_tokens": 1000,
        "completion_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 1000},
    }
    assert fold(streamed(OPENAI, same)).usage == TokenUsage(0, 10, 1000)


def test_thinking_is_part_of_the_output() -> None:
    """29 of the 55 tokens out were thinking: they are billed once, and a part is never more."""
    usage = fold(whole(OPENAI, OPENAI_CACHED)).usage
    assert usage is not None
    assert (usage.output_tokens, usage.reasoning_tokens, usage.total_tokens) == (55, 29, 473)
    more = {"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 29}}
    assert decode_usage(more) == TokenUsage(output_tokens=5, reasoning_tokens=5)
    alone = TokenUsage(output_tokens=55, reasoning_tokens=29)
    assert cost("MiniMax-M2.7", alone) == cost("MiniMax-M2.7", TokenUsage(output_tokens=55))


@pytest.mark.parametrize("arrive", [whole, streamed], ids=["whole", "streamed"])
@pytest.mark.parametrize("codec", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
@pytest.mark.parametrize(
    "usage", [None, {}, {"output_tokens": None, "prompt_tokens": None}, "none"]
)
def test_usage_that_is_absent_is_unknown(codec: Codec, usage: Any, arrive: Any) -> None:
    """Null, empty or nonsense: None, so that no cost of 0 is shown."""
    reply = fold(arrive(codec, usage))
    assert reply.text == "Yes"
    assert reply.usage is None


def test_an_openai_stream_cut_off_before_its_usage() -> None:
    """Null in every chunk so far: nothing is known."""
    assert fold(decode_frames(OPENAI, content("Y"), oa({"content": "e"}))).usage is None
