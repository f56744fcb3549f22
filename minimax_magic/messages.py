"""What is said: content blocks, messages, tools and the request that goes out.

These are pydantic models because they come from people, files and servers. They are frozen: a
history can be shared between a chat, a request in flight and a saved file without copies.
What flows once per token lives in `events` instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeAlias, TypedDict

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from minimax_magic.errors import ConfigError
from minimax_magic.models import DEFAULT_MODEL

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
ThinkingMode = Literal["on", "off", "auto"]
Role = Literal["system", "user", "assistant", "tool"]


class ApiFlavor(StrEnum):
    """Which of MiniMax's two wire formats is spoken."""

    OPENAI_COMPAT = "openai_compat"
    ANTHROPIC_MESSAGES = "anthropic_messages"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TextBlock(_Frozen):
    type: Literal["text"] = "text"
    text: str


class ThinkingBlock(_Frozen):
    """The model's thinking, kept because a later turn must carry it back unchanged.

    Attributes:
        signature: The Anthropic wire's seal over the text; None if it came over the other wire.
        details: The OpenAI wire's `reasoning_details`, as received; None if there were none.
    """

    type: Literal["thinking"] = "thinking"
    text: str
    signature: str | None = None
    details: tuple[dict[str, Any], ...] | None = None


class ImageBlock(_Frozen):
    """An image, either by address or as base64 with its media type."""

    type: Literal["image"] = "image"
    url: str | None = None
    data: str | None = None
    media_type: str | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        inline = self.data is not None and self.media_type is not None
        if (self.url is not None) == inline:
            raise ValueError("an image needs either url, or data and media_type")
        return self


class ToolCall(_Frozen):
    """A call that the model asks for.

    Attributes:
        arguments: Always an object, `{}` for a call without arguments.
        invalid_arguments: What the model wrote instead, if that was not a JSON object; else None.
    """

    type: Literal["tool_call"] = "tool_call"
    id: str
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    invalid_arguments: str | None = None


class ToolResult(_Frozen):
    """What a called tool gave back, or the short form of its error."""

    type: Literal["tool_result"] = "tool_result"
    tool_call_id: str
    content: str
    is_error: bool = False


Block: TypeAlias = Annotated[
    TextBlock | ThinkingBlock | ImageBlock | ToolCall | ToolResult, Field(discriminator="type")
]


def _as_blocks(value: Any) -> Any:
    return ({"type": "text", "text": value},) if isinstance(value, str) else value


class Message(_Frozen):
    """One turn. `content` may be given as a plain string.

    Tool results are a `tool` message each or together; the codecs put them where a wire wants them.
    """

    role: Role
    content: Annotated[tuple[Block, ...], BeforeValidator(_as_blocks)]

    @property
    def text(self) -> str:
        """The text blocks, joined; thinking and calls left out."""
        return "".join(block.text for block in self.content if isinstance(block, TextBlock))


class Tool(_Frozen):
    """A function offered to the model.

    Attributes:
        parameters: JSON schema of its arguments; empty means none.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)


def _as_messages(value: Any) -> Any:
    return ({"role": "user", "content": value},) if isinstance(value, str) else value


def _as_strings(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class ChatRequest(_Frozen):
    """A request, the same for both wires.

    None always means "not sent": the server's own default holds.

    Attributes:
        messages: The conversation; a string is one user message. System turns in it are merged
            with `system` into the single one that the server accepts.
        temperature: 0 to 2.
        max_tokens: Most output tokens, thinking included; too few leave an answer without text.
            None: the server decides, but on the Anthropic wire, which demands a number, what
            MiniMax recommends for the model.
        stop: Strings that end the answer. Cut by the client: the server ignores them.
        thinking: `on`, `off` or `auto` (on where the model decides). M2.x always thinks.
        tool_choice: The server honours `auto` and `none` only.
        service_tier: `priority` makes M3 faster and dearer.
    """

    messages: Annotated[tuple[Message, ...], BeforeValidator(_as_messages)]
    model: str = DEFAULT_MODEL
    system: str | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0)
    stop: Annotated[tuple[str, ...], BeforeValidator(_as_strings)] = ()
    thinking: ThinkingMode | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["auto", "none", "any"] | None = None
    service_tier: Literal["standard", "priority"] | None = None


Prompt: TypeAlias = str | Sequence[Message | dict[str, Any]] | ChatRequest


class ChatOptions(TypedDict, total=False):
    """What may be said beside the prompt; the fields of `ChatRequest`, with the same meanings, and more.

    Attributes:
        tools: Functions are called when the model asks for it, and the answer comes after that. A call
            of a `Tool`, which has no function, is left to the caller: see `ChatReply.tool_calls`.
        images: Paths, URLs, bytes, PIL images or matplotlib figures that go with the prompt.
        output: A pydantic model, dataclass, TypedDict or any type pydantic knows: the answer is one of
            them, in `ChatReply.value`. Else OutputInvalid is raised.
        max_steps: Most requests for the prompt; 10 if not given.
        repair: How often an answer that is no valid `output` is sent back; 2 if not given.
    """

    model: str
    system: str | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    stop: str | Sequence[str]
    thinking: ThinkingMode | None
    tools: Sequence[Tool | Callable[..., Any]]
    tool_choice: Literal["auto", "none", "any"] | None
    service_tier: Literal["standard", "priority"] | None
    images: Sequence[Any]
    output: Any
    max_steps: int
    repair: int


def make_request(prompt: Prompt, options: ChatOptions, *, default_model: str) -> ChatRequest:
    """The request for a prompt and its options.

    Args:
        prompt: A string, a list of messages, or a request whose fields the options replace.

    Raises:
        ConfigError: Naming the first option that does not exist, or value that is not allowed.
    """
    if isinstance(prompt, ChatRequest):
        fields: dict[str, Any] = dict(prompt)
    else:
        fields = {"messages": prompt, "model": default_model}
    try:
        return ChatRequest.model_validate({**fields, **options})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        for problem in problems:
            if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
                raise _no_option(str(problem["loc"][0])) from None
        first = problems[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"The request is not valid: {where}: {first['msg']}.", hint="Nothing was sent."
        ) from None


def _no_option(name: str) -> ConfigError:
    names = [*ChatOptions.__annotations__]
    near = difflib.get_close_matches(name, names, 1)
    more = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(names)}."
    return ConfigError(f"There is no option {name!r}. {more}", hint="Nothing was sent.")
