"""Estimates of tokens, and the bounds that a budget reckons with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minimax_magic.messages import (
    ApiFlavor,
    ChatRequest,
    ImageBlock,
    Message,
    TextBlock,
    ThinkingBlock,
    Tool,
    ToolCall,
    ToolResult,
)
from minimax_magic.usage.estimate import (
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    MOST_BLOCK_TOKENS,
    MOST_IMAGE_TOKENS,
    MOST_MESSAGE_TOKENS,
    MOST_TEMPLATE_TOKENS,
    estimate_input,
    estimate_tokens,
    most_input,
    most_output,
)
from minimax_magic.wire.anthropic_messages import AnthropicMessagesCodec
from minimax_magic.wire.openai_compat import OpenAICompatCodec

OPENAI, ANTHROPIC = ApiFlavor.OPENAI_COMPAT, ApiFlavor.ANTHROPIC_MESSAGES
M3 = "MiniMax-M3"


def asked(*blocks: Any, **fields: Any) -> ChatRequest:
    """A request with one user message of these blocks."""
    message = Message(role="user", content=blocks or (TextBlock(text="Hi"),))
    return ChatRequest(messages=(message,), **fields)


# ------------------------------------------------------------------------------ estimates


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        (" ", 1),
        ("four", 1),
        ("fives", 2),
        ("x" * 4000, 1000),
        ("naïve café “quoted” – so", 6),  # 24 letters and marks of Latin scripts
        ("今日は世界", 4),  # 5 / 1.5
        ("안녕하세요!", 4),  # 5 / 1.5 and 1 / 4
        ("Привет", 3),  # 6 / 2
        ("🙂", 1),
        ("\ud83d", 1),
        ("𠀀𠀁𠀂", 2),
    ],
)
def test_tokens_of_a_text(text: str, tokens: int) -> None:
    """4 characters a token in Latin, 1.5 in CJK, 2 elsewhere, rounded up."""
    assert estimate_tokens(text) == tokens


@settings(deadline=None, derandomize=True)
@given(text=st.text(), more=st.text())
def test_more_text_is_not_fewer_tokens(text: str, more: str) -> None:
    """Only no text has no tokens; a longer text has no fewer, and the whole no more than its parts."""
    assert (estimate_tokens(text) == 0) == (text == "")
    whole = estimate_tokens(text + more)
    assert estimate_tokens(text) <= whole <= estimate_tokens(text) + estimate_tokens(more)


def test_a_request_is_the_sum_of_its_texts() -> None:
    """System, messages, calls and results, each message with a little for its template."""
    call = ToolCall(id="1", name="look", arguments={"at": "x"})
    request = ChatRequest(
        system="s" * 40,
        messages=(
            Message(role="user", content="u" * 400),
            Message(
                role="assistant",
                content=(ThinkingBlock(text="t" * 80), TextBlock(text="a" * 120), call),
            ),
            Message(role="tool", content=(ToolResult(tool_call_id="1", content="r" * 160),)),
        ),
    )
    # look: 1, {"at": "x"}: 11 characters are 3
    assert estimate_input(request) == 10 + 100 + 20 + 30 + 1 + 3 + 40 + 4 * MESSAGE_TOKENS


def test_tools_count_with_their_json() -> None:
    """Name, description and schema are sent with every request."""
    tool = Tool(name="look", description="d" * 400, parameters={"type": "object"})
    described = {"name": "look", "description": "d" * 400, "parameters": {"type": "object"}}
    more = estimate_input(asked(tools=(tool,))) - estimate_input(asked())
    assert more == estimate_tokens(json.dumps(described))


def test_an_image_is_a_stated_number() -> None:
    """However large its data are: base64 is no text to the model."""
    image = ImageBlock(data="A" * 100_000, media_type="image/png")
    text = TextBlock(text="Hi")
    assert estimate_input(asked(text, image)) == estimate_input(asked(text)) + IMAGE_TOKENS


# ------------------------------------------------------------------------------ bounds


def test_the_bound_of_the_input_by_hand() -> None:
    """Bytes of UTF-8, and what the template may add."""
    request = ChatRequest(system="é", messages=(Message(role="user", content="今日🙂x"),))
    assert most_input(request) == (
        MOST_TEMPLATE_TOKENS + 2 + MOST_MESSAGE_TOKENS + MOST_BLOCK_TOKENS + 3 + 3 + 4 + 1
    )


def test_the_bound_counts_the_longest_form() -> None:
    """JSON with every letter escaped, as a server may write it; of a thought the longer of its forms."""
    fixed = MOST_TEMPLATE_TOKENS + MOST_MESSAGE_TOKENS + MOST_BLOCK_TOKENS
    call = ToolCall(id="1", name="n", arguments={"é": "今"})  # {"\\u00e9": "\\u4eca"}
    assert most_input(asked(call)) == fixed + 2 + MOST_BLOCK_TOKENS + 20
    details = ({"text": "t" * 50},)  # [{"text": "..."}]
    assert most_input(asked(ThinkingBlock(text="t" * 50, details=details))) == fixed + 50 + 14
    sealed = ThinkingBlock(text="t" * 50, signature="s" * 64)
    assert most_input(asked(sealed)) == fixed + 114
    tool = Tool(name="é", parameters={})
    more = most_input(asked(tools=(tool,))) - most_input(asked())
    assert more == MOST_BLOCK_TOKENS + len(
        r'{"name": "\u00e9", "description": "", "parameters": {}}'
    )


@pytest.mark.parametrize(
    "image",
    [ImageBlock(data="A" * 90_000, media_type="image/png"), ImageBlock(url="https://x/y.png")],
    ids=["inline", "address"],
)
def test_the_bound_of_an_image(image: ImageBlock) -> None:
    """An image is bounded by one number, both inline and by its address."""
    more = most_input(asked(image)) - MOST_TEMPLATE_TOKENS - MOST_MESSAGE_TOKENS - MOST_BLOCK_TOKENS
    assert MOST_IMAGE_TOKENS <= more <= MOST_IMAGE_TOKENS + len("https://x/y.png")


TEXTS = st.text(max_size=30) | st.text('今é🙂 \\"\n\ud83d', max_size=30)
JSON = st.dictionaries(TEXTS, TEXTS | st.integers() | st.lists(TEXTS, max_size=3), max_size=3)
BLOCKS = (
    st.builds(TextBlock, text=TEXTS)
    | st.builds(
        ThinkingBlock,
        text=TEXTS,
        signature=st.none() | TEXTS,
        details=st.none() | st.lists(JSON, min_size=1, max_size=2).map(tuple),
    )
    | st.builds(ToolCall, id=TEXTS, name=TEXTS, arguments=JSON)
    | st.builds(ToolCall, id=TEXTS, name=TEXTS, invalid_arguments=TEXTS)
    | st.builds(ToolResult, tool_call_id=TEXTS, content=TEXTS)
)
REQUESTS = st.builds(
    ChatRequest,
    system=st.none() | TEXTS,
    messages=st.lists(
        st.builds(
            Message,
            role=st.sampled_from(["user", "assistant", "tool"]),
            content=st.lists(BLOCKS, min_size=1, max_size=3).map(tuple),
        ),
        min_size=1,
        max_size=4,
    ).map(lambda some: (Message(role="user", content="Hi"), *some)),
    tools=st.lists(st.builds(Tool, name=TEXTS, description=TEXTS, parameters=JSON), max_size=3).map(
        tuple
    ),
)


def strings(value: Any) -> int:
    """Bytes of all texts in some JSON: what a tokeniser can get to see, at most a token each."""
    match value:
        case str():
            return len(value.encode())
        case dict():
            return sum(strings(key) + strings(item) for key, item in value.items())
        case list():
            return sum(map(strings, value))
        case _:
            return len(str(value))


@settings(deadline=None, derandomize=True)
@given(request=REQUESTS)
def test_no_wire_sends_more_than_the_bound(request: ChatRequest) -> None:
    """The bytes of all that is in a body, the names of its fields too, stay within the bound."""
    for codec in (OpenAICompatCodec(), AnthropicMessagesCodec()):
        body = json.loads(codec.encode(request, stream=True).body)
        sent = {name: body[name] for name in ("system", "messages", "tools") if name in body}
        assert strings(sent) <= most_input(request)


@settings(deadline=None, derandomize=True)
@given(request=REQUESTS)
def test_the_estimate_is_within_the_bound(request: ChatRequest) -> None:
    """What is expected is never more than what is possible."""
    assert 0 < estimate_input(request) <= most_input(request)


def test_odd_values_do_not_break_an_estimate() -> None:
    """NaN and what is no JSON are refused later, in a sentence; half a character is sent as one."""
    tool = Tool(name="x", parameters={"default": float("nan"), "odd": object()})
    request = asked(TextBlock(text="\ud83d"), tools=(tool,))
    assert estimate_input(request) < most_input(request)


@pytest.mark.parametrize(
    ("model", "max_tokens", "flavor", "tokens"),
    [
        ("MiniMax-M2.5", 100, OPENAI, 100),
        ("MiniMax-M2.5", 100, ANTHROPIC, 100),
        ("own-model", 100, OPENAI, 100),
        ("MiniMax-M2.5", None, OPENAI, 204_800),
        (M3, None, OPENAI, 524_288),
        ("MiniMax-M2.5-lightning", None, OPENAI, 204_800),
        ("own-model", None, OPENAI, None),
        ("MiniMax-M2.5", None, ANTHROPIC, 65_536),
        (M3, None, ANTHROPIC, 131_072),
        ("own-model", None, ANTHROPIC, 8_192),
    ],
)
def test_the_bound_of_the_output(
    model: str, max_tokens: int | None, flavor: ApiFlavor, tokens: int | None
) -> None:
    """What was asked for, what the wire sends, or what the model can; else nobody knows."""
    request = asked(model=model, max_tokens=max_tokens)
    assert most_output(request, flavor) == tokens
    if flavor is ANTHROPIC:
        body = json.loads(AnthropicMessagesCodec().encode(request, stream=True).body)
        assert body["max_tokens"] == tokens
