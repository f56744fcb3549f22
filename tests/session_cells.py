"""What tests of a session share: cells that are run to their end, and tools that count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minimax_magic.ask import Ask
from minimax_magic.errors import ConfigError
from minimax_magic.session import Session
from minimax_magic.tools.functions import ToolFunction, as_tool
from minimax_magic.turn import Turn
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.rows import Record


def write(text: str, name: str = "llm.yaml") -> None:
    """A file of the configuration."""
    path = Path("config") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def finder(*functions: Callable[..., Any]) -> Callable[[str], ToolFunction]:
    """What finds these by their names, as a notebook's namespace does."""
    tools = {function.__name__: as_tool(function) for function in functions}

    def find(name: str) -> ToolFunction:
        if name not in tools:
            raise ConfigError(f"There is no {name} for --tools.", hint="Define it first.")
        return tools[name]

    return find


async def read(turn: Turn) -> Any:
    """What a cell does with a turn; gives its reply."""
    whole = False
    try:
        async for _ in turn.events():
            pass
        whole = True
    finally:
        turn.keep(whole=whole)
    return turn.reply


async def stop_at(turn: Turn, done: Callable[[Any], bool]) -> None:
    """What an interrupt does as soon as an event is the one."""
    events = turn.events()
    async for event in events:
        if done(event):
            break
    else:
        raise AssertionError("it never came to that")
    await events.aclose()
    turn.keep(whole=False)


def run(session: Session, work: Any) -> Any:
    """Runs a coroutine and closes the session."""

    async def whole() -> Any:
        try:
            return await asyncio.wait_for(work, 20)
        finally:
            await session.close()

    return asyncio.run(whole())


def ask(session: Session, prompt: str = "hi", **options: Any) -> Any:
    """One cell; gives its reply."""

    async def cell() -> Any:
        return await read(session.prepare(Ask(prompt, **options)))

    return run(session, cell())


def rows(file: Path) -> list[Record]:
    """What a ledger has on the disk, the oldest first."""
    ledger = Ledger(str(file))
    try:
        return ledger.records()[::-1]
    finally:
        ledger.close()
