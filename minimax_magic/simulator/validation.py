"""What MiniMax refuses with 400 (2013), in its own words.

Two passes over a decoded body, one for each wire; each gives the text of the first thing wrong or
None. Texts that public threads quote are quoted here; those marked "ours" are for mistakes that no
thread shows. Fields that nobody here knows pass, as they do there.
"""

from __future__ import annotations

import json
from typing import Any

from minimax_magic.simulator.seen_images import IMAGE_KINDS, image_problem
from minimax_magic.simulator.turn import is_m2

EMPTY = "chat content is empty"
BAD_SETTING = "invalid chat setting"
NOT_FOLLOWED = "tool call result does not follow tool call"


def _bad_role(role: Any) -> str:
    return f"chat content has invalid message role: {role}"


def _unknown_call(call_id: Any) -> str:
    return f"tool result's tool id({call_id}) not found"


def _bad_arguments(call_id: Any) -> str:
    return f"invalid function arguments json string, tool_call_id: {call_id}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_common(body: Any) -> str | None:
    """What both wires ask of the top level; the texts are ours."""
    if not isinstance(body, dict):
        return "request body is not a JSON object"
    if not isinstance(body.get("model"), str) or not body["model"]:
        return "model is empty"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages is empty"
    if not all(isinstance(message, dict) for message in messages):
        return "messages is not a list of objects"
    for name, low, high in (("temperature", 0, 2), ("top_p", 0, 1)):
        value = body.get(name)
        if value is not None and not (_is_number(value) and low <= value <= high):
            return f"{name} must be in [{low}, {high}]"
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is not None and not (isinstance(value, int) and value > 0):
            return f"{name} must be greater than 0"
    if not isinstance(body.get("tools") or [], list):
        return "invalid tool type"
    return None


class _Calls:
    """Tool calls waiting for their results; a result may only follow its call."""

    def __init__(self) -> None:
        self._waiting: set[str] = set()
        self._known: set[str] = set()

    def made(self, ids: list[Any]) -> None:
        self._waiting.update(ids)
        self._known.update(ids)

    def answered(self, call_id: Any) -> str | None:
        if call_id not in self._known:
            return _unknown_call(call_id)
        if call_id not in self._waiting:
            return NOT_FOLLOWED
        self._waiting.discard(call_id)
        return None

    def must_be_done(self) -> str | None:
        return NOT_FOLLOWED if self._waiting else None


def check_openai(body: Any) -> str | None:
    """The first thing wrong with a request of the OpenAI wires, or None."""
    return _check_common(body) or _check_openai_tools(body) or _check_openai_messages(body)


def _check_openai_tools(body: dict[str, Any]) -> str | None:
    tools = body.get("tools") or []
    if body.get("tool_choice") not in (None, "none") and not tools:
        return BAD_SETTING
    for tool in tools:
        if not isinstance(tool, dict) or tool.get("type") != "function":
            return "invalid tool type"
        function = tool.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            return "function name is empty"
        if not isinstance(function.get("parameters"), dict) or not function["parameters"]:
            return "function parameters is empty"
    return None


def _check_openai_messages(body: dict[str, Any]) -> str | None:
    calls = _Calls()
    for position, message in enumerate(body["messages"]):
        role = message.get("role")
        content = message.get("content")
        if role not in ("system", "user", "assistant", "tool"):
            return _bad_role(role)
        if role == "system" and position:
            return BAD_SETTING
        if role == "tool":
            problem = calls.answered(message.get("tool_call_id")) or _openai_images(content)
            if problem:
                return problem
            continue
        if problem := calls.must_be_done():
            return problem
        made = message.get("tool_calls") if role == "assistant" else None
        if made:
            if problem := _check_openai_calls(made) or _openai_images(content):
                return problem
            calls.made([call["id"] for call in made])
        elif not _openai_content(content, body["model"]):
            return EMPTY
        elif problem := _openai_images(content):
            return problem
    return calls.must_be_done()


def _check_openai_calls(made: Any) -> str | None:
    if not isinstance(made, list):
        return BAD_SETTING
    for call in made:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(call.get("id"), str):
            return BAD_SETTING
        if not isinstance(function.get("name"), str) or not function["name"]:
            return "function name is empty"
        if not _is_json_object(function.get("arguments")):
            return _bad_arguments(call["id"])
    return None


def _is_json_object(text: Any) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        return False


def _openai_content(content: Any, model: str) -> bool:
    """Whether something is left; an image sent to a model that cannot see is taken out."""
    if isinstance(content, str):
        return bool(content)
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        return False
    if is_m2(model) and any(part.get("type") != "text" for part in content):
        return False
    return any(part.get("text") or part.get("type") != "text" for part in content)


def _openai_images(content: Any) -> str | None:
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, dict):
            return EMPTY
        if part.get("type") in IMAGE_KINDS and (problem := image_problem(part)):
            return problem
    return None


def check_anthropic(body: Any) -> str | None:
    """The first thing wrong with a request of the Anthropic wire, or None."""
    return _check_common(body) or _check_anthropic_tools(body) or _check_anthropic_messages(body)


def _check_anthropic_tools(body: dict[str, Any]) -> str | None:
    for tool in body.get("tools") or []:
        if not isinstance(tool, dict) or tool.get("type") == "function":
            return "invalid tool type"
        if not isinstance(tool.get("name"), str) or not tool["name"]:
            return "function name is empty"
        if str(tool.get("type") or "custom").startswith("web_search"):
            continue
        if not isinstance(tool.get("input_schema"), dict) or not tool["input_schema"]:
            return "function parameters is empty"
    choice = body.get("tool_choice")
    if choice is not None and not isinstance(choice, dict):
        return BAD_SETTING
    return None


def _check_anthropic_messages(body: dict[str, Any]) -> str | None:
    if not isinstance(body.get("system") or "", str | list):
        return BAD_SETTING
    calls = _Calls()
    for message in body["messages"]:
        role = message.get("role")
        content = message.get("content")
        if role not in ("user", "assistant"):
            return _bad_role(role)
        if role == "assistant" and (problem := calls.must_be_done()):
            return problem
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            return EMPTY
        if not any(block.get("text") or block.get("type") != "text" for block in blocks):
            return EMPTY
        for block in blocks:
            if problem := _check_block(block, role, body["model"], calls):
                return problem
    return calls.must_be_done()


def _check_block(block: dict[str, Any], role: str, model: str, calls: _Calls) -> str | None:
    kind = block.get("type")
    match role, kind:
        case "user", "tool_result":
            return calls.answered(block.get("tool_use_id"))
        case "assistant", "tool_use":
            if not isinstance(block.get("id"), str) or not isinstance(block.get("name"), str):
                return BAD_SETTING
            if not isinstance(block.get("input"), dict):
                return _bad_arguments(block["id"])
            calls.made([block["id"]])
        case "user", "image" | "video":
            if is_m2(model):
                return EMPTY
            return image_problem(block) if kind == "image" else None
        case (_, "text") | ("assistant", "thinking" | "redacted_thinking"):
            return None
        case _:
            return f"unsupported content type: {kind}"
    return None
