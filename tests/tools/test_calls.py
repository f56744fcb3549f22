"""Running one call of a tool."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Generator
from typing import Any

import pytest

from minimax_magic.messages import ToolCall
from minimax_magic.tools.calls import run_sync
from minimax_magic.tools.functions import as_tool

made: list[Any] = []


async def later() -> int:
    """What only an event loop gives."""
    return 7


class Promise:
    def __await__(self) -> Generator[None, None, int]:
        yield
        return 7


@functools.wraps(later)
def of_a_wrapper() -> Any:
    return later()


def of_a_task() -> Any:
    made.append(asyncio.ensure_future(later()))
    return made[-1]


def of_a_future() -> Any:
    made.append(asyncio.get_running_loop().create_future())
    return made[-1]


def of_an_object() -> Any:
    return Promise()


@pytest.mark.parametrize("function", [of_a_wrapper, of_a_task, of_a_future, of_an_object])
def test_what_must_be_awaited_is_no_result(function: Callable[[], Any]) -> None:
    """A plain function that gives a coroutine, task, future or the like is told how to be declared."""
    made.clear()
    tool = as_tool(function)

    async def run() -> str:
        outcome = run_sync(tool, tool.bind(ToolCall(id="1", name=tool.spec.name)))
        assert outcome.is_error
        await asyncio.wait_for(asyncio.gather(*made, return_exceptions=True), 5)
        assert all(future.cancelled() for future in made)
        return outcome.text

    told = asyncio.run(run())
    assert "must be declared with `async def` to be awaited" in told
