"""Running one call of a tool and saying what became of it, in words for the model."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Protocol

from minimax_magic.messages import ToolCall, ToolResult
from minimax_magic.tools.functions import ToolFunction
from minimax_magic.tools.results import error_text, result_text


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call.

    Attributes:
        text: What the model is told.
        duration_s: Seconds it ran; None: it was not run.
    """

    text: str
    is_error: bool = False
    duration_s: float | None = None

    def result(self, call_id: str) -> ToolResult:
        return ToolResult(tool_call_id=call_id, content=self.text, is_error=self.is_error)


DECLINED = Outcome("The user declined this call. Do not repeat it; go on without it.", True)
STOPPED = Outcome("The user stopped the program before this call had returned.", True)


class Hands(Protocol):
    """Where tools run, and who is asked before. Called on the event loop that reads the answer."""

    async def allow(self, call: ToolCall) -> bool:
        """Whether it may run."""
        ...

    async def run(self, function: ToolFunction, bound: inspect.BoundArguments) -> Outcome:
        """Runs it. What it raises is part of the outcome, but for an interrupt."""
        ...


class OwnHands:
    """The loop that reads the answer runs them itself, one after the other up to their first `await`."""

    async def allow(self, call: ToolCall) -> bool:
        return True

    async def run(self, function: ToolFunction, bound: inspect.BoundArguments) -> Outcome:
        if function.is_async:
            return await run_async(function, bound)
        return run_sync(function, bound)


def run_sync(function: ToolFunction, bound: inspect.BoundArguments) -> Outcome:
    begun = time.monotonic()
    try:
        value = function.function(*bound.args, **bound.kwargs)
        if inspect.isawaitable(value):  # a wrapper hid that it is async
            _give_up(value)
            raise TypeError(f"{function.spec.name} must be declared with `async def` to be awaited")
        text, failed = result_text(value), False
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also `sys.exit`, as argparse does it
        text, failed = error_text(error), True
    return Outcome(text, failed, time.monotonic() - begun)


def _give_up(awaitable: Awaitable[Any]) -> None:
    """Nobody waits for it any more: it must not go on, nor warn that it was never awaited."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()
    elif asyncio.isfuture(awaitable):
        awaitable.cancel()


async def run_async(function: ToolFunction, bound: inspect.BoundArguments) -> Outcome:
    begun = time.monotonic()
    try:
        text, failed = result_text(await function.function(*bound.args, **bound.kwargs)), False
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        text, failed = error_text(error), True  # it had awaited what somebody else cancelled
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        text, failed = error_text(error), True
    return Outcome(text, failed, time.monotonic() - begun)
