"""The official `openai` and `anthropic` SDKs work against the simulator.

They know nothing of us: what they accept is the shape of the real services.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from minimax_magic.simulator import Drop, Fail, FailMidStream, Reply, Simulator, ToolCall

MODEL = "MiniMax-M2.5"
HI: Any = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI_TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
ANTHROPIC_TOOLS: Any = [{"name": "weather", "input_schema": SCHEMA}]
QUESTION = "What is the weather in Paris?"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def openai_client(sim: Simulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{sim.url}/v1", api_key=sim.key, max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[anthropic.Anthropic]:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with anthropic.Anthropic(
        base_url=f"{sim.url}/anthropic", auth_token=sim.key, max_retries=0
    ) as client:
        yield client


def test_openai_whole_answer(sim: Simulator, openai_client: openai.OpenAI) -> None:
    """Text, finish reason and usage arrive where the SDK has them."""
    sim.script(Reply("Hello", thinking=""))
    answer = openai_client.chat.completions.create(model=MODEL, messages=HI)
    assert answer.choices[0].message.content == "Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 2 + 2


def test_openai_stream(sim: Simulator, openai_client: openai.OpenAI) -> None:
    """Deltas join to the text, and the usage comes in a chunk of its own at the end."""
    sim.script(Reply("Hello, world, in pieces", thinking="Hm", chunk_chars=3))
    stream = openai_client.chat.completions.create(
        model=MODEL, messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "<think>\nHm\n</think>\n\nHello, world, in pieces"
    assert not chunks[-1].choices
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 1 + 6


def test_openai_stream_helper_assembles_the_same_answer(
    sim: Simulator, openai_client: openai.OpenAI
) -> None:
    """The SDK's own accumulator takes interleaved tool calls together."""
    calls = (ToolCall("weather", {"city": "Paris"}), ToolCall("weather", {"city": "San Francisco"}))
    sim.script(Reply("Looking.", thinking="", tool_calls=calls, chunk_chars=4))
    with openai_client.chat.completions.stream(
        model=MODEL, messages=HI, tools=OPENAI_TOOLS
    ) as stream:
        answer = stream.get_final_completion()
    message = answer.choices[0].message
    assert message.content == "Looking."
    assert [json.loads(c.function.arguments) for c in message.tool_calls or ()] == [
        {"city": "Paris"},
        {"city": "San Francisco"},
    ]
    assert answer.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("stream", [True, False])
def test_openai_tool_round_trip(sim: Simulator, openai_client: openai.OpenAI, stream: bool) -> None:
    """A call, its result, an answer from the result; nothing scripted."""
    messages: Any = [{"role": "user", "content": QUESTION}]
    create: Any = openai_client.chat.completions.create
    if stream:
        with openai_client.chat.completions.stream(
            model=MODEL, messages=messages, tools=OPENAI_TOOLS
        ) as events:
            first = events.get_final_completion().choices[0].message
    else:
        first = create(model=MODEL, messages=messages, tools=OPENAI_TOOLS).choices[0].message
    (call,) = first.tool_calls or ()
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    arguments = {"name": call.function.name, "arguments": call.function.arguments}
    messages += [
        {
            "role": "assistant",
            "content": first.content,
            "tool_calls": [{"id": call.id, "type": "function", "function": arguments}],
        },
        {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"},
    ]
    second = create(model=MODEL, messages=messages, tools=OPENAI_TOOLS).choices[0]
    assert "`weather` returned `21 degrees`" in second.message.content
    assert second.finish_reason == "stop"


def test_openai_lists_models(openai_client: openai.OpenAI) -> None:
    """The model list has OpenAI's shape."""
    assert MODEL in [model.id for model in openai_client.models.list()]
    assert openai_client.models.retrieve("MiniMax-M3").id == "MiniMax-M3"


@pytest.mark.parametrize(
    ("fail", "kind"),
    [
        (Fail(code=2049), openai.AuthenticationError),
        (Fail(code=1002), openai.RateLimitError),
        (Fail(code=2013), openai.BadRequestError),
        (Fail(code=1008), openai.PermissionDeniedError),
        (Fail(529), openai.InternalServerError),
        (Drop(), openai.APIConnectionError),
    ],
)
def test_openai_errors(
    sim: Simulator, openai_client: openai.OpenAI, fail: Any, kind: type[Exception]
) -> None:
    """Every refusal becomes the SDK's own exception."""
    sim.script(fail)
    with pytest.raises(kind) as caught:
        openai_client.chat.completions.create(model=MODEL, messages=HI)
    if isinstance(fail, Fail) and fail.code:
        assert f"({fail.code})" in str(caught.value)


def test_openai_retries_as_it_is_told(sim: Simulator) -> None:
    """The SDK waits out a 429 by Retry-After and gets its answer."""
    sim.script(Fail(code=1002, retry_after="0.01"), Reply("at last", thinking=""))
    with openai.OpenAI(base_url=f"{sim.url}/v1", api_key=sim.key, max_retries=1) as client:
        answer = client.chat.completions.create(model=MODEL, messages=HI)
    assert answer.choices[0].message.content == "at last"
    assert len(sim.requests) == 2


def test_openai_error_in_the_middle(sim: Simulator, openai_client: openai.OpenAI) -> None:
    """A frame with an error object ends the stream with the SDK's exception."""
    sim.script(FailMidStream(2))
    stream = openai_client.chat.completions.create(model=MODEL, messages=HI, stream=True)
    with pytest.raises(openai.APIError, match="1000"):
        list(stream)


def test_anthropic_whole_answer(sim: Simulator, anthropic_client: anthropic.Anthropic) -> None:
    """Thinking with its signature, text, stop reason, usage."""
    sim.script(Reply("Hello", thinking="Hm"))
    answer = anthropic_client.messages.create(model=MODEL, max_tokens=100, messages=HI)
    thinking, text = answer.content
    assert thinking.type == "thinking"
    assert (thinking.thinking, len(thinking.signature)) == ("Hm", 64)
    assert text.type == "text"
    assert text.text == "Hello"
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2, 1 + 2)


def test_anthropic_stream(sim: Simulator, anthropic_client: anthropic.Anthropic) -> None:
    """The SDK's accumulator ends with the same answer, true usage included."""
    sim.script(Reply("Hello, world, in pieces", thinking="Hm", chunk_chars=3))
    with anthropic_client.messages.stream(model=MODEL, max_tokens=100, messages=HI) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    assert text == "Hello, world, in pieces"
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2, 1 + 6)


@pytest.mark.parametrize("stream", [True, False])
def test_anthropic_tool_round_trip(
    sim: Simulator, anthropic_client: anthropic.Anthropic, stream: bool
) -> None:
    """A call, its result, an answer from the result; the whole first turn is sent back."""
    messages: Any = [{"role": "user", "content": QUESTION}]
    options: Any = {"model": MODEL, "max_tokens": 1000, "tools": ANTHROPIC_TOOLS}
    if stream:
        with anthropic_client.messages.stream(messages=messages, **options) as events:
            first = events.get_final_message()
    else:
        first = anthropic_client.messages.create(messages=messages, **options)
    assert first.stop_reason == "tool_use"
    (use,) = (block for block in first.content if block.type == "tool_use")
    assert use.input == {"city": "Paris"}
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "21 degrees"}
    messages += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    second = anthropic_client.messages.create(messages=messages, **options)
    assert "`weather` returned `21 degrees`" in second.content[-1].text
    assert second.stop_reason == "end_turn"
    assert sim.requests[-1].body["messages"][1]["content"][0]["type"] == "thinking"


@pytest.mark.parametrize(
    ("fail", "kind"),
    [
        (Fail(code=2049), anthropic.AuthenticationError),
        (Fail(code=1002), anthropic.RateLimitError),
        (Fail(code=2013), anthropic.BadRequestError),
        (Fail(code=1008), anthropic.PermissionDeniedError),
        (Fail(529), anthropic.InternalServerError),
        (Drop(), anthropic.APIConnectionError),
    ],
)
def test_anthropic_errors(
    sim: Simulator,
    anthropic_client: anthropic.Anthropic,
    fail: Any,
    kind: type[Exception],
) -> None:
    """Every refusal becomes the SDK's own exception."""
    sim.script(fail)
    with pytest.raises(kind) as caught:
        anthropic_client.messages.create(model=MODEL, max_tokens=10, messages=HI)
    if isinstance(fail, Fail) and fail.code:
        assert f"({fail.code})" in str(caught.value)


def test_anthropic_error_in_the_middle(
    sim: Simulator, anthropic_client: anthropic.Anthropic
) -> None:
    """`event: error` ends the stream with the SDK's exception."""
    sim.script(FailMidStream(5))
    stream = anthropic_client.messages.create(
        model=MODEL, max_tokens=1000, messages=HI, stream=True
    )
    with pytest.raises(anthropic.APIStatusError, match="1000"):
        list(stream)


def test_a_wrong_key_is_an_authentication_error_in_both(sim: Simulator) -> None:
    """Not scripted: the simulator itself refuses the key."""
    with openai.OpenAI(base_url=f"{sim.url}/v1", api_key="wrong", max_retries=0) as one:
        with pytest.raises(openai.AuthenticationError, match="2049"):
            one.chat.completions.create(model=MODEL, messages=HI)
    with anthropic.Anthropic(
        base_url=f"{sim.url}/anthropic", auth_token="wrong", max_retries=0
    ) as two:
        with pytest.raises(anthropic.AuthenticationError, match="2049"):
            two.messages.create(model=MODEL, max_tokens=10, messages=HI)


def test_leaving_an_openai_stream_is_noticed(sim: Simulator, openai_client: openai.OpenAI) -> None:
    """Closing the stream in the middle closes the connection."""
    sim.script(Reply("x" * 10_000, delay_s=0.01))
    with openai_client.chat.completions.create(model=MODEL, messages=HI, stream=True) as stream:
        next(iter(stream))
    assert sim.wait_for(lambda s: s.requests[0].closed_early)
