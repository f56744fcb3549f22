"""Programs whose answers are recorded and replayed: `MiniMax(cache=...)`, or as configured."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel

from minimax_magic import ChatReply, MiniMax
from minimax_magic.errors import BudgetExceeded, ConfigError, CredentialsMissing
from minimax_magic.events import Started
from minimax_magic.messages import ApiFlavor, ChatRequest
from minimax_magic.simulator import Reply, Simulator
from minimax_magic.simulator import ToolCall as Calls
from minimax_magic.testing import FakeTransport
from minimax_magic.usage.ledger import open_ledger

T = TypeVar("T")
Env = Callable[..., None]
FILE = "answers.json"


class Person(BaseModel):
    name: str
    age: int


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


WAYS: list[dict[str, Any]] = [{}, {"tools": [weather]}, {"output": Person}]


@pytest.fixture(params=[*ApiFlavor])
def sim(env: Env, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """The simulator as the configured server, on each wire."""
    with Simulator() as simulator:
        env(base_url=simulator.url, code_plan_key=simulator.key, api_flavor=request.param)
        env(ledger=str(tmp_path / "usage.sqlite3"), cache_file=str(tmp_path / FILE))
        yield simulator


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def chat(prompt: str = "I met Ada, who is 36, in Oslo.", client: Any = None, **options: Any) -> Any:
    """The reply of `MiniMax(**client).chat(prompt, **options)`."""

    async def go() -> ChatReply:
        async with MiniMax(**client or {}) as asked:
            return await asked.chat(prompt, **options)

    return run(go())


def offline(env: Env) -> dict[str, Any]:
    """What makes a client of which nothing can be sent, on a machine without any key."""
    env(code_plan_key="", base_url="", api_flavor="")

    def refuse(*_: Any) -> Any:
        raise AssertionError("something was sent")

    return {"transport": FakeTransport(refuse)}


@pytest.mark.parametrize("options", WAYS, ids=["plain", "tools", "output"])
def test_a_program_in_ci(sim: Simulator, env: Env, options: dict[str, Any]) -> None:
    """With MINIMAX_CACHE, chat and stream give again what was recorded: without a key, and the same."""
    env(cache="record")
    first = chat(**options)
    served = len(sim.requests)
    env(cache="replay")
    given = offline(env)
    again = chat(client=given, **options)
    assert (again.text, again.value, again.messages) == (first.text, first.value, first.messages)
    assert (first.replayed, again.replayed, again.cost) == (False, True, 0)
    assert again.avoided == first.cost

    async def streamed() -> tuple[list[Any], ChatReply]:
        async with MiniMax(**given) as client:
            async with client.stream("I met Ada, who is 36, in Oslo.", **options) as stream:
                events = [event async for event in stream]
            return events, stream.reply

    events, reply = run(streamed())
    assert isinstance(events[0], Started)
    assert events[0].replayed
    assert (reply.text, reply.value, reply.avoided) == (again.text, again.value, again.avoided)
    assert len(sim.requests) == served


def test_recording_asks_once(sim: Simulator) -> None:
    """`record` asks for what is new, `refresh` for everything, `off` for everything without keeping it.
    The arguments win over what is configured."""
    for mode, asked in (("off", 1), ("record", 2), ("record", 2), ("refresh", 3), ("replay", 3)):
        chat(client={"cache": mode, "cache_file": "own.json"})
        assert len(sim.requests) == asked, mode
    assert Path("own.json").exists()
    assert not Path(FILE).exists()


def test_replayed_rows_are_booked(sim: Simulator, tmp_path: Path) -> None:
    """A row without cost says what was avoided, and no budget is asked."""
    first = chat(client={"cache": "record"})
    Path("config/llm.yaml").write_text("budget: {day: 0.0000001}\n")
    chat(client={"cache": "replay"})
    with pytest.raises(BudgetExceeded):
        chat("Something else", client={"cache": "record"})
    totals = open_ledger(str(tmp_path / "usage.sqlite3")).totals()
    assert (totals.requests, totals.replayed) == (1, 1)
    assert (totals.cost, totals.avoided) == (first.cost, first.cost)


def test_without_a_ledger(sim: Simulator, tmp_path: Path) -> None:
    """`ledger=None` records and replays, books nothing, and keeps no budget."""
    Path("config/llm.yaml").write_text("budget: {day: 0}\n")

    async def go() -> list[bool]:
        async with MiniMax(ledger=None, cache="record") as client:
            return [(await client.chat("hi")).replayed for _ in range(3)]

    assert run(go()) == [False, True, True]
    assert chat("hi", client={"ledger": None, "cache": "replay"}).replayed
    assert len(sim.requests) == 1
    assert not (tmp_path / "usage.sqlite3").exists()


def test_what_is_not_recorded(sim: Simulator, env: Env) -> None:
    """It is an error that says what to do, and nothing is sent; not by `send` either."""
    chat(client={"cache": "record"})
    given = {**offline(env), "cache": "replay"}
    with pytest.raises(ConfigError, match=rf"^{FILE} holds no answer.*cache record") as caught:
        chat("Something else", client=given)
    assert "cell" not in str(caught.value)
    with pytest.raises(ConfigError, match="holds no answer"):
        chat("Something else", client=given, tools=[weather])

    request = ChatRequest(messages="Something else")  # type: ignore[arg-type]

    async def send() -> None:
        async with MiniMax(**given) as client:
            async with client.send(request) as stream:
                async for _ in stream:
                    pass

    with pytest.raises(ConfigError, match="holds no answer"):
        run(send())


def test_a_key_is_missed_where_one_is_needed(sim: Simulator, env: Env) -> None:
    """A client that replays needs none; what asks a server misses it. Others need it at once."""
    given = offline(env)
    for name in ("quota", "balance"):

        async def go(name: str = name) -> None:
            async with MiniMax(cache="replay", cache_file=":memory:", **given) as client:
                await getattr(client, name)()

        for _ in range(2):
            with pytest.raises(CredentialsMissing):
                run(go())
    with pytest.raises(CredentialsMissing):
        MiniMax(cache="record", **given)


def test_nothing_to_replay(sim: Simulator, env: Env) -> None:
    """A file that is not there is named at once: it is mistyped, or nothing was recorded yet."""
    with pytest.raises(ConfigError, match=r"nothing to replay: answers\.jsn does not exist"):
        MiniMax(cache="replay", cache_file="answers.jsn", **offline(env))


def test_a_mode_that_does_not_exist(sim: Simulator) -> None:
    """The error names those that do."""
    with pytest.raises(ConfigError, match=r"off, record, replay, refresh, not 'on'"):
        MiniMax(cache="on")  # type: ignore[arg-type]


def test_a_ledger_that_cannot_be_written(sim: Simulator, tmp_path: Path) -> None:
    """What is wrong with this machine is told here, and not to whoever replays the answer elsewhere."""
    sim.script(Reply("cut", finish_reason="length"))
    (tmp_path / "file").touch()
    broken = {"ledger": tmp_path / "file" / "usage.sqlite3", "cache": "record"}
    first = chat(client=broken)
    again = chat(client={"cache": "replay"})
    local, cut = first.warnings
    assert "usage is not recorded" in local
    assert again.warnings == (cut,)
    assert str(tmp_path) not in Path(FILE).read_text()


def test_a_budget_that_ends_a_turn(sim: Simulator) -> None:
    """What stops a later request does not say that nothing was sent; the first was."""
    Path("config/llm.yaml").write_text("budget: {day: 0.002}\n")
    sim.script(Reply("", "", (Calls("weather", {"city": "Oslo"}),)))

    def long(city: str) -> str:
        return "rain " * 4000

    long.__name__ = "weather"
    with pytest.raises(BudgetExceeded) as caught:
        chat(tools=[long], max_tokens=400, client={"model": "MiniMax-M2.5"})
    assert len(sim.requests) == 1
    assert "No more was sent." in str(caught.value)
    assert "Nothing was sent." not in str(caught.value)
    with pytest.raises(BudgetExceeded, match="Nothing was sent"):
        chat(client={"model": "MiniMax-M2.5"}, max_tokens=100_000)


def test_without_cache_nothing_of_it_is_loaded() -> None:
    """A client that does not record does not even import what does."""
    code = (
        "import sys; from minimax_magic import MiniMax; MiniMax(api_key='k', ledger=None, cache='off');"
        "print([m for m in sys.modules if m.startswith('minimax_magic.replay')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
