"""One request, read off either wire: what `choose`, `answer` and the wires need to know of it.

Runs after `validation`, so shapes are taken as right. Each message becomes one line of text, a
segment: the unit in which tokens are counted and prefixes are found again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from minimax_magic.simulator.seen_images import IMAGE_KINDS, SeenImage, read_image
from minimax_magic.simulator.talk import Ask, Talk, ToolResult

Wire = Literal["anthropic", "openai", "native"]

# 1,000 tokens by the rule of `answer`; MiniMax publishes none
IMAGE_CHARS = 4_000
MODEL_IDS = (
    "MiniMax-M3",
    "MiniMax-M3.1-Flash-Preview",
    "MiniMax-M2.7",
    "MiniMax-M2.7-highspeed",
    "MiniMax-M2.5",
    "MiniMax-M2.5-highspeed",
    "MiniMax-M2.1",
    "MiniMax-M2.1-highspeed",
    "MiniMax-M2",
)


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool of the request; `parameters` is its JSON schema."""

    name: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """One request.

    Attributes:
        thinks: Whether this model thinks, asked this way, on this wire.
        split_reasoning: Where thinking goes on the OpenAI wires: False in `<think>` tags.
        reasoning_details: Whether the split form also has the list of details.
        max_tokens: None for no limit.
        asks: What the person said, oldest first; not empty.
        tool_results: Not empty when the last turn brings results and nothing new from the person.
        segments: Tools and system, then every message, as text.
        written: How many segments `cache_control` asks to be written to the cache.
        always: Words of the simulator that come before those of any prompt.
    """

    wire: Wire
    model: str
    stream: bool
    include_usage: bool
    thinks: bool
    split_reasoning: bool
    reasoning_details: bool
    max_tokens: int | None
    system: str
    asks: tuple[Ask, ...]
    tool_results: tuple[ToolResult, ...]
    tools: tuple[OfferedTool, ...]
    segments: tuple[str, ...]
    written: int
    always: str = ""

    @property
    def prompt(self) -> str:
        """The last that the person said."""
        return self.asks[-1].prompt

    @property
    def earlier_prompts(self) -> tuple[str, ...]:
        """What the person said before that, oldest first."""
        return tuple(ask.prompt for ask in self.asks[:-1])

    @property
    def images(self) -> tuple[SeenImage, ...]:
        """All images of the request, oldest first."""
        return tuple(image for ask in self.asks for image in ask.images)


def is_m2(model: str) -> bool:
    """The models that always think and see no images."""
    return model.lower().startswith("minimax-m2")


def _is_m3(model: str) -> bool:
    return model.lower().startswith("minimax-m3")


def _thinks(model: str, wire: Wire, thinking: Any) -> bool:
    """M2.x always; M3 is off unless asked on the Anthropic wire, on unless refused on the others."""
    if is_m2(model):
        return True
    if not _is_m3(model):
        return False
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    return kind in ("adaptive", "enabled") if wire == "anthropic" else kind != "disabled"


def text_of(content: Any) -> str:
    """The text of a `content` field: a string, or the text blocks of a list."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(block.get("text") or "" for block in content if block.get("type") == "text")


def _counted(block: dict[str, Any]) -> str:
    """A block that is not text, as part of a segment: an image has a price whatever its size."""
    if block.get("type") in IMAGE_KINDS:
        return str(read_image(block)).ljust(IMAGE_CHARS)
    return json.dumps({k: v for k, v in block.items() if k != "cache_control"})


def _tools_segment(tools: list[Any]) -> list[str]:
    return [json.dumps(tools, ensure_ascii=False, sort_keys=True)] if tools else []


def _limit(body: dict[str, Any]) -> int | None:
    value = body.get("max_completion_tokens") or body.get("max_tokens")
    return value if isinstance(value, int) else None


def read_openai(body: dict[str, Any], wire: Wire) -> Turn:
    """Read a request of `/v1/chat/completions` or `/v1/text/chatcompletion_v2`."""
    model = body["model"]
    tools = body.get("tools") or []
    segments = _tools_segment(tools)
    system = ""
    talk = Talk()
    for message in body["messages"]:
        role = message["role"]
        text = text_of(message.get("content"))
        segment = f"{role}: {text}"
        for part in message["content"] if isinstance(message.get("content"), list) else ():
            if part.get("type") != "text":
                segment += _counted(part)
        if role == "system":
            system = text
        elif role == "user":
            talk.said(message["content"])
        elif role == "tool":
            talk.returned(message.get("tool_call_id", ""), text)
        else:
            segment += message.get("reasoning_content") or ""
            calls = {}
            for call in message.get("tool_calls") or ():
                function = call["function"]
                calls[call["id"]] = function["name"]
                segment += function["name"] + function["arguments"]
            talk.answered(text, calls)
        segments.append(segment)
    options = body.get("stream_options") or {}
    # M3.1-Flash and the native endpoint know no <think> tags
    always_split = wire == "native" or "M3.1-Flash" in model
    return Turn(
        wire=wire,
        model=model,
        stream=bool(body.get("stream")),
        include_usage=bool(options.get("include_usage")),
        thinks=_thinks(model, wire, body.get("thinking")),
        split_reasoning=always_split or bool(body.get("reasoning_split")),
        reasoning_details=bool(body.get("reasoning_split")),
        max_tokens=_limit(body),
        system=system,
        asks=talk.asks,
        tool_results=talk.results,
        tools=_offered_openai(tools, body.get("tool_choice")),
        segments=tuple(segments),
        written=0,
    )


def _offered_openai(tools: list[Any], choice: Any) -> tuple[OfferedTool, ...]:
    if choice == "none":
        return ()
    return tuple(
        OfferedTool(tool["function"]["name"], tool["function"]["parameters"]) for tool in tools
    )


def _marked(blocks: Any) -> bool:
    return isinstance(blocks, list) and any("cache_control" in block for block in blocks)


def read_anthropic(body: dict[str, Any]) -> Turn:
    """Read a request of `/anthropic/v1/messages`."""
    model = body["model"]
    tools = body.get("tools") or []
    bare_tools = [{k: v for k, v in tool.items() if k != "cache_control"} for tool in tools]
    segments = _tools_segment(bare_tools)
    written = len(segments) if _marked(tools) else 0
    system = text_of(body.get("system"))
    if system:
        segments.append(f"system: {system}")
        written = len(segments) if _marked(body.get("system")) else written
    talk = Talk()
    for message in body["messages"]:
        content = message["content"]
        text = text_of(content)
        segment = f"{message['role']}: {text}"
        blocks = content if isinstance(content, list) else []
        calls = {}
        for block in blocks:
            match block.get("type"):
                case "text":
                    pass
                case "thinking":
                    segment += block.get("thinking") or ""
                case "tool_use":
                    calls[block["id"]] = block["name"]
                    segment += block["name"] + json.dumps(block["input"], ensure_ascii=False)
                case "tool_result":
                    answer = text_of(block.get("content"))
                    talk.returned(block["tool_use_id"], answer)
                    segment += answer
                case _:
                    segment += _counted(block)
        if message["role"] == "assistant":
            talk.answered(text, calls)
        elif not blocks or any(block.get("type") != "tool_result" for block in blocks):
            talk.said(content)
        segments.append(segment)
        written = len(segments) if _marked(content) else written
    choice = body.get("tool_choice") or {}
    offered = () if choice.get("type") == "none" else tools
    return Turn(
        wire="anthropic",
        model=model,
        stream=bool(body.get("stream")),
        include_usage=True,
        thinks=_thinks(model, "anthropic", body.get("thinking")),
        split_reasoning=True,
        reasoning_details=False,
        max_tokens=_limit(body),
        system=system,
        asks=talk.asks,
        tool_results=talk.results,
        tools=tuple(OfferedTool(t["name"], t.get("input_schema") or {}) for t in offered),
        segments=tuple(segments),
        # explicit caching is for the M2 line only
        written=written if is_m2(model) else 0,
    )
