"""`%load_ext minimax_magic`, then `%%minimax` in a cell: a MiniMax model's answer streams into it.

Without a notebook: `async with MiniMax() as client: reply = await client.chat("...")`.

Nothing heavy is imported here: aiohttp, pydantic and the widgets wait until they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from minimax_magic import usage as usage
    from minimax_magic.assembly import MiniMax as MiniMax
    from minimax_magic.client.retry import RetryPolicy as RetryPolicy
    from minimax_magic.errors import MinimaxError as MinimaxError
    from minimax_magic.events import ChatReply as ChatReply
    from minimax_magic.messages import ChatRequest as ChatRequest
    from minimax_magic.messages import Message as Message
    from minimax_magic.messages import Tool as Tool
    from minimax_magic.sign_in import login as login
    from minimax_magic.tokens import TokenUsage as TokenUsage
    from minimax_magic.tools.functions import tool as tool

__version__ = "0.1.0"

_HOMES = {
    "ChatReply": "events",
    "ChatRequest": "messages",
    "Message": "messages",
    "MiniMax": "assembly",
    "MinimaxError": "errors",
    "RetryPolicy": "client.retry",
    "TokenUsage": "tokens",
    "Tool": "messages",
    "login": "sign_in",
    "tool": "tools.functions",
}

__all__ = ["__version__", "usage", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "usage":
        return import_module(f"{__name__}.usage")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """What `%load_ext minimax_magic` calls."""
    from minimax_magic.ipython.magics import load

    load(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """What `%unload_ext minimax_magic` calls: everything is as before loading."""
    from minimax_magic.ipython.magics import unload

    unload(ipython)
