"""What MiniMax refuses with 2013, in its own words."""

from __future__ import annotations

from typing import Any

import pytest

from minimax_magic.simulator import Simulator
from minimax_magic.simulator.validation import check_anthropic, check_openai

USER = {"role": "user", "content": "Hi"}
SYSTEM = {"role": "system", "content": "Be brief."}
PNG = "iVBORw0KGgo="  # as much of one as is looked at
IMAGE_URL = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
SCHEMA = {"type": "object", "properties": {}}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
TOOL = {"name": "f", "input_schema": SCHEMA}


def _openai(*messages: Any, model: str = "MiniMax-M2.5", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": list(messages), **more}


def _call(arguments: str = "{}", call_id: str = "call_1") -> dict[str, Any]:
    call = {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _result(call_id: str = "call_1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "42"}


def _use(value: Any = None, call_id: str = "call_1") -> dict[str, Any]:
    block = {
        "type": "tool_use",
        "id": call_id,
        "name": "f",
        "input": {} if value is None else value,
    }
    return {"role": "assistant", "content": [block]}


def _used(call_id: str = "call_1") -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": call_id, "content": "42"}
    return {"role": "user", "content": [block]}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (_openai(SYSTEM, SYSTEM, USER), "invalid chat setting"),
        (_openai(USER, SYSTEM), "invalid chat setting"),
        (_openai(USER, tool_choice="auto"), "invalid chat setting"),
        (
            _openai({"role": "developer", "content": "x"}),
            "chat content has invalid message role: developer",
        ),
        (_openai(USER, _result("call_9")), "tool result's tool id(call_9) not found"),
        (
            _openai(USER, _call("{broken"), _result()),
            "invalid function arguments json string, tool_call_id: call_1",
        ),
        (
            _openai(USER, _call("[1]"), _result()),
            "invalid function arguments json string, tool_call_id: call_1",
        ),
        (_openai(USER, _call(), USER), "tool call result does not follow tool call"),
        (_openai(USER, _call()), "tool call result does not follow tool call"),
        (
            _openai(USER, tools=[{"type": "function", "function": {"name": "f"}}]),
            "function parameters is empty",
        ),
        (_openai(USER, tools=[TOOL]), "invalid tool type"),
        (_openai({"role": "user", "content": ""}), "chat content is empty"),
        (_openai({"role": "user", "content": []}), "chat content is empty"),
        (_openai({"role": "user", "content": [IMAGE_URL]}), "chat content is empty"),
        (
            _openai(USER, _call(), _result() | {"content": [{"type": "image_url"}]}),
            "invalid image url",
        ),
        (_openai(USER, _call() | {"content": ["text"]}, _result()), "chat content is empty"),
    ],
)
def test_the_openai_wire_refuses(body: dict[str, Any], text: str) -> None:
    """Each mistake has MiniMax's own text."""
    assert check_openai(body) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (_openai(SYSTEM, USER), "chat content has invalid message role: system"),
        (_openai(USER, _used("call_9")), "tool result's tool id(call_9) not found"),
        (
            _openai(USER, _use("{}"), _used()),
            "invalid function arguments json string, tool_call_id: call_1",
        ),
        (_openai(USER, _use()), "tool call result does not follow tool call"),
        (_openai(USER, tools=[{"name": "f"}]), "function parameters is empty"),
        (_openai(USER, tools=[FUNCTION]), "invalid tool type"),
        (_openai({"role": "user", "content": ""}), "chat content is empty"),
        (
            _openai({"role": "user", "content": [{"type": "text", "text": ""}]}),
            "chat content is empty",
        ),
        (_openai({"role": "user", "content": [IMAGE]}), "chat content is empty"),
        (
            _openai({"role": "user", "content": [{"type": "document"}]}, model="MiniMax-M3"),
            "unsupported content type: document",
        ),
    ],
)
def test_the_anthropic_wire_refuses(body: dict[str, Any], text: str) -> None:
    """Each mistake has MiniMax's own text."""
    assert check_anthropic(body) == text


@pytest.mark.parametrize("check", [check_openai, check_anthropic])
@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        {},
        {"model": "MiniMax-M3"},
        {"model": "MiniMax-M3", "messages": []},
        {"model": "MiniMax-M3", "messages": ["Hi"]},
        {"model": "", "messages": [USER]},
        _openai(USER, temperature=2.1),
        _openai(USER, temperature=-0.1),
        _openai(USER, temperature="hot"),
        _openai(USER, top_p=1.5),
        _openai(USER, max_tokens=0),
        _openai(USER, tools="f"),
    ],
)
def test_both_wires_refuse(check: Any, body: Any) -> None:
    """Missing messages, an empty model, numbers out of range."""
    assert check(body)


@pytest.mark.parametrize(
    "body",
    [
        _openai(SYSTEM, USER, temperature=0, top_p=1, stop=["x"], n=1, unknown={"a": 1}),
        _openai(USER, _call(), _result(), tools=[FUNCTION], tool_choice="auto"),
        _openai(USER, _call(), _result(), {"role": "assistant", "content": "42"}, USER),
        _openai({"role": "user", "content": [IMAGE_URL]}, model="MiniMax-M3"),
        _openai(USER, model="some/other-model"),
    ],
)
def test_the_openai_wire_takes(body: dict[str, Any]) -> None:
    """Good requests pass, unknown fields and models included."""
    assert check_openai(body) is None


@pytest.mark.parametrize(
    "body",
    [
        _openai(USER, system="Be brief.", max_tokens=1, temperature=2),
        _openai(USER, system=[{"type": "text", "text": "x"}]),
        _openai(USER, _use(), _used(), tools=[TOOL], tool_choice={"type": "auto"}),
        _openai(USER, USER),
        _openai({"role": "user", "content": [IMAGE]}, model="MiniMax-M3"),
    ],
)
def test_the_anthropic_wire_takes(body: dict[str, Any]) -> None:
    """Good requests pass."""
    assert check_anthropic(body) is None


def test_a_refusal_is_400_with_the_code_behind_the_text(sim: Simulator, http_client: Any) -> None:
    """What the client sees: HTTP 400, `bad_request_error`, `(2013)`, the status as text."""
    got = http_client.post("/v1/chat/completions", _openai(SYSTEM, SYSTEM, USER))
    assert got.status == 400
    assert got.json["error"] == {
        "type": "bad_request_error",
        "message": "invalid params, invalid chat setting (2013)",
        "http_code": "400",
    }
