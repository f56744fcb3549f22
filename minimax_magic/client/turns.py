"""From what a program says to `Client.chat` to the conversation that answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minimax_magic.client.conversation import Conversation
from minimax_magic.client.streams import AnswerStream
from minimax_magic.errors import ConfigError
from minimax_magic.images import image_block
from minimax_magic.messages import (
    ChatOptions,
    ChatRequest,
    ImageBlock,
    Message,
    Prompt,
    Tool,
    make_request,
)
from minimax_magic.structured import output_type
from minimax_magic.tools.functions import ToolFunction, as_tool
from minimax_magic.wire.codec import check_images


def conversation(
    ask: Callable[[ChatRequest], AnswerStream],
    prompt: Prompt,
    options: ChatOptions,
    *,
    default_model: str,
) -> Conversation:
    """The conversation for a prompt and its options.

    Raises:
        ConfigError: An option is wrong, an image cannot be read, a function cannot be offered.
    """
    given: dict[str, Any] = dict(options)
    functions: list[ToolFunction] = []
    if (offered := _listed(given, "tools")) is not None:
        plain = [tool for tool in offered if isinstance(tool, Tool | dict)]
        functions = [as_tool(tool) for tool in offered if not isinstance(tool, Tool | dict)]
        given["tools"] = plain
    images = _listed(given, "images")
    kind = given.pop("output", None)
    max_steps = _count(given, "max_steps", 1)
    repair = _count(given, "repair", 0)
    request = make_request(prompt, given, default_model=default_model)  # type: ignore[arg-type]
    if images:
        request = with_images(request, images)
    names = {function.spec.name for function in functions} | {tool.name for tool in request.tools}
    return Conversation(
        ask,
        request,
        functions=functions,
        max_steps=max_steps,
        output=output_type(kind, taken=names) if kind is not None else None,
        repair=repair,
    )


def _listed(given: dict[str, Any], name: str) -> Any:
    """Takes an option that is a list; None if it is not given."""
    value = given.pop(name, None)
    if value is not None and not isinstance(value, list | tuple):
        raise ConfigError(f"{name} must be a list.", hint=f"Write {name}=[...].")
    return value


def _count(given: dict[str, Any], name: str, least: int) -> int | None:
    """Takes an option that is a number; None if it is not given."""
    value = given.pop(name, None)
    if value is not None and (not isinstance(value, int) or value < least):
        raise ConfigError(f"{name} must be a whole number from {least} on, not {value!r}.")
    return value


def with_images(request: ChatRequest, images: Any) -> ChatRequest:
    """The request with images before the text of its last message, where models look first.

    Raises:
        ConfigError: The model takes no images, one cannot be read, or there is no message.
    """
    if not request.messages:
        raise ConfigError("The prompt is empty.", hint="Say what to do with the images.")
    # a model that does not see is refused before anything is read
    check_images(_showing(request, (ImageBlock(url="https://example.com"),)))
    return _showing(
        request, tuple(image_block(image, name=str(n)) for n, image in enumerate(images, 1))
    )


def _showing(request: ChatRequest, images: tuple[ImageBlock, ...]) -> ChatRequest:
    *before, last = request.messages
    shown = Message(role=last.role, content=(*images, *last.content))
    return request.model_copy(update={"messages": (*before, shown)})
