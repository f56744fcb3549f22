"""How many tokens a text or a request has, without asking the server.

Two kinds of figures. Estimates (`estimate_tokens`, `estimate_input`) are near the truth, above or
below it, and are shown as estimates. Bounds (`most_input`, `most_output`) are not exceeded and far
from the truth; a budget reckons with them before a request is sent.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from minimax_magic.messages import (
    ApiFlavor,
    Block,
    ChatRequest,
    ImageBlock,
    Message,
    TextBlock,
    ThinkingBlock,
    Tool,
    ToolCall,
    ToolResult,
)
from minimax_magic.models import default_output_tokens, model_info

# Chinese, Japanese and Korean: their letters, marks and full-width forms
_CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff"
    "\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
# letters of the Latin scripts, and the punctuation between them
_LATIN = re.compile("[\x00-\u024f\u1e00-\u1eff\u2000-\u206f]")

MESSAGE_TOKENS: Final = 4
"""Estimate of what the server's template adds to a message: its role and its end."""

IMAGE_TOKENS: Final = 1_000
"""Estimate for an image; MiniMax publishes no rule."""

MOST_TEMPLATE_TOKENS: Final = 512
"""Bound of what the server's template adds to a request: its own words about role and tools."""

MOST_MESSAGE_TOKENS: Final = 64
"""Bound of what it adds to a message."""

MOST_BLOCK_TOKENS: Final = 96
"""Bound of what it adds to a block, to a tool, and to each argument of a call: their markup."""

MOST_IMAGE_TOKENS: Final = 16_384
"""Bound for an image, sent or named by its address."""


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has: at least 1, but 0 for no text at all.

    Reckons with 4 characters a token in Latin scripts, 1.5 in Chinese, Japanese and Korean, and 2 in
    all others. Prose is met within a quarter or so; tables of digits have more tokens than that.
    """
    if text.isascii():
        return -(-len(text) // 4)
    cjk = len(text) - len(_CJK.sub("", text))
    latin = len(text) - len(_LATIN.sub("", text))
    other = len(text) - cjk - latin
    return -(-(3 * latin + 6 * other + 8 * cjk) // 12)


def estimate_input(request: ChatRequest) -> int:
    """About how many tokens of input a request has, tools and images included."""
    texts = [request.system or ""]
    texts += [part for message in request.messages for part in _texts(message)]
    texts += [_json(_described(tool), short=True) for tool in request.tools]
    images = sum(isinstance(block, ImageBlock) for block in _blocks(request))
    messages = len(request.messages) + bool(request.system)
    tokens = sum(estimate_tokens(text) for text in texts)
    return tokens + messages * MESSAGE_TOKENS + images * IMAGE_TOKENS


def most_input(request: ChatRequest) -> int:
    """A number of input tokens that the request does not exceed.

    A token stands for one byte of UTF-8 or more. JSON is counted in its longest form, since the
    server writes it anew.
    """
    total = MOST_TEMPLATE_TOKENS + _bytes(request.system or "")
    for message in request.messages:
        total += MOST_MESSAGE_TOKENS
        total += sum(MOST_BLOCK_TOKENS + _most_of(block) for block in message.content)
    for tool in request.tools:
        total += MOST_BLOCK_TOKENS + len(_json(_described(tool)))
    return total


def most_output(request: ChatRequest, flavor: ApiFlavor) -> int | None:
    """A number of output tokens, thinking included, that the answer does not exceed.

    Args:
        flavor: One wire sends a limit in any case, the other leaves it to the server.

    Returns:
        None: not bounded. The model is not known and the request has no `max_tokens`.
    """
    if request.max_tokens is not None:
        return request.max_tokens
    if flavor is ApiFlavor.ANTHROPIC_MESSAGES:
        return default_output_tokens(request.model)
    info = model_info(request.model)
    return info.max_output_tokens if info is not None else None


def _blocks(request: ChatRequest) -> list[Block]:
    return [block for message in request.messages for block in message.content]


def _described(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}


def _texts(message: Message) -> list[str]:
    found: list[str] = []
    for block in message.content:
        match block:
            case TextBlock(text=text) | ThinkingBlock(text=text) | ToolResult(content=text):
                found.append(text)
            case ToolCall(name=name):
                found += [name, _json(_arguments(block), short=True)]
            case ImageBlock():
                pass
    return found


def _most_of(block: Block) -> int:
    match block:
        case TextBlock(text=text):
            return _bytes(text)
        case ThinkingBlock(text=text, signature=signature, details=details):
            # either form is sent, never both
            return max(_bytes(text) + _bytes(signature or ""), len(_json(details)))
        case ImageBlock(url=url):
            return MOST_IMAGE_TOKENS + _bytes(url or "")
        case ToolCall(id=call_id, name=name):
            arguments = _arguments(block)
            markup = MOST_BLOCK_TOKENS * len(arguments)
            return _bytes(call_id + name) + len(_json(arguments)) + markup
        case ToolResult(tool_call_id=call_id, content=text):
            return _bytes(call_id + text)


def _arguments(call: ToolCall) -> dict[str, Any]:
    if call.invalid_arguments is not None:
        return {"invalid_json": call.invalid_arguments}
    return call.arguments


def _json(value: object, *, short: bool = False) -> str:
    """As the server may write it; what is no JSON at all is refused later, with a sentence."""
    return json.dumps(value, ensure_ascii=not short, default=str)


def _bytes(text: str) -> int:
    """Half a character, which is sent as U+FFFD, counts three as that does."""
    return len(text.encode("utf-8", "surrogatepass"))
