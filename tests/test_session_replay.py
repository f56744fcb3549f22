"""Cells that are recorded and replayed: same answers, nothing sent, nothing spent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from session_cells import ask, finder, read, rows, run, stop_at, write

from minimax_magic.ask import Ask
from minimax_magic.errors import BudgetExceeded, ConfigError, CredentialsMissing, MinimaxError
from minimax_magic.events import Started, TextDelta
from minimax_magic.messages import ApiFlavor
from minimax_magic.session import Session
from minimax_magic.simulator import Drop, Fail, Reply, Simulator
from minimax_magic.simulator import ToolCall as Calls
from minimax_magic.structured import output_type
from minimax_magic.testing import FakeTransport, json_answer
from minimax_magic.usage.ledger import open_ledger
from minimax_magic.usage.rows import Totals

FILE = "answers.json"
Env = Callable[..., None]


class City(BaseModel):
    name: str
    people: int


@pytest.fixture
def ledger(env: Env, tmp_path: Path) -> Path:
    path = tmp_path / "usage.sqlite3"
    env(ledger=str(path), cache_file=str(tmp_path / FILE))
    return path


@pytest.fixture(params=[*ApiFlavor])
def sim(ledger: Path, env: Env, request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """The simulator as the configured server, on each wire."""
    with Simulator() as simulator:
        env(base_url=simulator.url, code_plan_key=simulator.key, api_flavor=request.param)
        yield simulator


def offline(env: Env) -> Session:
    """A session on a machine without any key, of which nothing can be sent."""
    env(code_plan_key="", base_url="", api_flavor="")

    def refuse(*_: Any) -> Any:
        raise AssertionError("something was sent")

    return Session(make_transport=lambda: FakeTransport(refuse))


def totals(path: Path) -> Totals:
    return open_ledger(str(path)).totals()


def recorded() -> list[dict[str, Any]]:
    """What is in the file, as anybody reads it."""
    document = json.loads(Path(FILE).read_text())
    return [kinds for _, kinds in sorted(document["answers"].items())]


# ------------------------------------------------------------------------------------ round trips


@pytest.mark.parametrize("whole", [False, True])
def test_the_same_answer(sim: Simulator, env: Env, whole: bool) -> None:
    """A replayed answer is what was recorded, thinking and tokens included, but that it costs nothing
    and says what was avoided. It needs no key and no server."""
    said = Reply("It is **4**.\n" * 40, thinking="Two and two.", finish_reason="length")
    sim.script(said)
    session = Session()
    first = ask(session, "2+2?", cache="record", whole=whole)
    again = ask(offline(env), "2+2?", cache="replay")
    assert again.text == first.text == said.text
    assert again.thinking == first.thinking == "Two and two."
    assert (again.blocks, again.usage) == (first.blocks, first.usage)
    assert (again.finish_reason, again.model) == (first.finish_reason, first.model)
    assert again.warnings == first.warnings
    assert first.warnings  # that it was cut
    assert (first.replayed, first.avoided) == (False, None)
    assert (again.replayed, again.simulated, again.cost) == (True, True, 0)
    assert first.cost
    assert again.avoided == first.cost
    assert len(sim.requests) == 1


def test_it_is_seen_at_once_that_an_answer_is_replayed(sim: Simulator, env: Env) -> None:
    """The first event says so, and a long answer comes in pieces."""
    sim.script(Reply("word " * 200))
    ask(Session(), cache="record")
    session = offline(env)

    async def cell() -> list[Any]:
        return [event async for event in session.prepare(Ask("hi", cache="replay")).events()]

    events = run(session, cell())
    assert isinstance(events[0], Started)
    assert events[0].replayed
    assert len([event for event in events if isinstance(event, TextDelta)]) > 2


def test_the_ledger_says_the_same(sim: Simulator, ledger: Path, env: Env) -> None:
    """A replay is a row of its own: no tokens, no cost, and what it would have cost; the figures of the
    cell are those."""
    first = ask(Session(), cache="record")
    session = offline(env)

    async def cell() -> Any:
        turn = session.prepare(Ask("hi", cache="replay", cell="one", chat="c"))
        await read(turn)
        return turn.booked

    booked = run(session, cell())
    real, replayed = rows(ledger)
    assert (real.replayed, real.avoided, real.cost) == (False, None, first.cost)
    assert (replayed.replayed, replayed.avoided, replayed.cost) == (True, first.cost, 0)
    assert (replayed.usage.total_tokens, replayed.status) == (0, "ok")
    assert (replayed.label.cell, replayed.label.chat, replayed.simulated) == ("one", "c", True)
    assert replayed.flavor == real.flavor
    assert (booked.cost, booked.avoided) == (0, first.cost)
    summed = totals(ledger)
    assert (summed.replayed, summed.avoided, summed.cost) == (1, first.cost, first.cost)


def test_recording_asks_once(sim: Simulator) -> None:
    """What was recorded is replayed, also by another session; another prompt or option is asked."""
    session = Session()
    first = ask(session, cache="record")
    assert ask(session, cache="record").replayed
    assert ask(Session(), cache="record").text == first.text
    assert len(sim.requests) == 1
    for options in ({"prompt": "ho"}, {"temperature": 0.0}, {"system": "Be kind."}, {"model": "M"}):
        assert not ask(session, cache="record", **options).replayed
    assert len(sim.requests) == 5


def test_neither_the_key_nor_the_wire_matters(sim: Simulator, env: Env) -> None:
    """What was recorded with one key over one wire answers another key over the other wire."""
    first = ask(Session(), cache="record")
    env(code_plan_key="sk-cp-ANOTHER-0123456789")
    for flavor in ApiFlavor:
        assert ask(Session(), cache="record", flavor=flavor).text == first.text
        assert ask(Session(), cache="replay", flavor=flavor, whole=True).text == first.text
    assert len(sim.requests) == 1
    assert "sk-cp" not in Path(FILE).read_text()


def test_refreshing_asks_again(sim: Simulator) -> None:
    """`refresh` asks although there is an answer, and puts the new one in its place."""
    sim.script(Reply("old"), Reply("new"))
    session = Session()
    ask(session, cache="record")
    assert ask(session, cache="refresh").text == "new"
    assert ask(session, cache="replay").text == "new"
    assert len(sim.requests) == 2


def test_a_miss(sim: Simulator, env: Env) -> None:
    """Nothing is sent for a request that was not recorded: it is an error of one line that says what to
    do. No chat is begun by it."""
    ask(Session(), cache="record")
    session = Session()
    with pytest.raises(ConfigError, match=rf"^{FILE} holds no answer.*--cache record") as caught:
        ask(session, "another", cache="replay", chat="c")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="holds no answer"):
        ask(offline(env), "another", cache="replay")
    assert session.chats == {}
    assert len(sim.requests) == 1


@pytest.mark.parametrize("mode", ["record", "refresh", "off"])
def test_the_other_modes_need_a_key(sim: Simulator, env: Env, mode: Any) -> None:
    """Only a replay can do without."""
    with pytest.raises(CredentialsMissing):
        offline(env).prepare(Ask("hi", cache=mode))


@pytest.mark.parametrize("options", [{"flavor": "soap"}, {"temperature": 9.0}, {"agent": "nobody"}])
def test_what_is_wrong_is_told_without_a_key_too(
    ledger: Path, env: Env, options: dict[str, Any]
) -> None:
    """An option that cannot be is one line of ConfigError where answers are replayed, too."""
    with pytest.raises(ConfigError) as caught:
        offline(env).prepare(Ask("hi", cache="replay", **options))
    assert "\n" not in str(caught.value)


# --------------------------------------------------------------------------- chats, tools, values


def test_a_chat_is_replayed(sim: Simulator, env: Env) -> None:
    """Each turn of a chat is found again, since the turns before it are the same."""
    session = Session()
    texts = [ask(session, text, chat="c", cache="record").text for text in ("one", "two", "three")]
    session = offline(env)
    for text, answer in zip(("one", "two", "three"), texts, strict=True):
        assert ask(session, text, chat="c", cache="replay").text == answer
    assert len(sim.requests) == 3


def test_a_loop_is_replayed(sim: Simulator, env: Env, ledger: Path) -> None:
    """All requests of a loop are replayed; the tools run again, as the cell says. When one returns
    something else, there is no answer to that, and nothing is sent."""
    hours = [12]

    def clock() -> int:
        """The hour."""
        calls.append(hours[0])
        return hours[0]

    calls: list[int] = []
    wish = {"tools": ("clock",), "find_tool": finder(clock), "chat": "c"}
    first = ask(Session(), "[[steps 2]] clock", cache="record", **wish)
    session = offline(env)
    again = ask(session, "[[steps 2]] clock", cache="replay", **wish)
    assert again.text == first.text
    assert again.turn == first.turn
    assert len(again.messages) == 5
    assert (again.replayed, again.cost, again.avoided) == (True, 0, first.cost)
    assert again.usage == first.usage
    assert calls == [12] * 4
    assert totals(ledger).replayed == 3
    hours[0] = 13
    with pytest.raises(ConfigError, match=r"holds no answer.*what a tool returned"):
        ask(session, "[[steps 2]] clock", new=True, cache="replay", **wish)
    assert len(sim.requests) == 3


def test_calls_are_replayed(sim: Simulator, env: Env) -> None:
    """Calls come back as they were made, side by side, and in broken JSON."""

    def clock(hour: int = 0) -> int:
        """The hour."""
        return hour

    sim.script(Reply(tool_calls=(Calls("clock", {"hour": 3}), Calls("clock", '{"hour": '))))
    wish = {"tools": ("clock",), "find_tool": finder(clock)}
    first = ask(Session(), cache="record", **wish)
    again = ask(offline(env), cache="replay", **wish)
    assert len(first.turn[0].content) > 1
    assert again.turn == first.turn
    assert again.text == first.text


@pytest.mark.parametrize("words", ["", "[[invalid]]", "[[astext]] [[invalid]]"])
def test_a_value_is_replayed(sim: Simulator, env: Env, words: str) -> None:
    """Structured output is read from the recording, repairs included."""
    wish = {"prompt": f"a city {words}", "output": output_type(City)}
    first = ask(Session(), cache="record", **wish)
    again = ask(offline(env), cache="replay", **wish)
    assert isinstance(again.value, City)
    assert again.value == first.value
    assert again.avoided == first.cost
    assert len(sim.requests) == (2 if words else 1)


# ------------------------------------------------------------------------------ what is recorded


def test_an_answer_that_was_not_whole(sim: Simulator) -> None:
    """A stopped answer, one that broke off, one that failed and one that was withheld are not kept."""
    write("retry: {max_attempts: 1}")
    session = Session()
    sim.script(Reply("word " * 300, delay_s=0.01))

    async def cell() -> None:
        turn = session.prepare(Ask("hi", cache="record"))
        await stop_at(turn, lambda _: bool(turn.reply.text))

    run(session, cell())
    for odd in (Drop(6, Reply("word " * 50)), Fail(code=1026)):
        sim.script(odd)
        with pytest.raises(MinimaxError):
            ask(session, cache="record")
    withheld = "refusal" if sim.requests[0].path.startswith("/anthropic") else "content_filter"
    sim.script(Reply("wo", finish_reason=withheld))
    ask(session, cache="record")
    assert not Path(FILE).exists()
    assert not ask(session, cache="record").replayed
    assert len(recorded()) == 1


def real(text: str) -> Session:
    """A session with a real server, as far as it knows."""
    message = {"role": "assistant", "content": text}
    body = {"choices": [{"message": message, "finish_reason": "stop"}]}
    return Session(make_transport=lambda: FakeTransport(json_answer(body)))


def test_real_and_simulated_answers_do_not_mix(ledger: Path, env: Env) -> None:
    """A real answer is never replayed where the simulator is asked, nor the other way round; both are
    kept. Who only replays, and asks nobody, gets the real one."""
    env(code_plan_key="sk-cp-x")
    with Simulator() as simulator:
        simulator.script(Reply("made up"))
        session = real("genuine")
        session.simulator = simulator
        with pytest.raises(ConfigError, match=r"nothing to replay.*does not exist"):
            ask(session, cache="replay")
        session.simulator = None
        assert ask(session, cache="record").text == "genuine"
        session.simulator = simulator
        with pytest.raises(ConfigError, match="holds no answer"):
            ask(session, cache="replay")
        with Simulator() as other:
            other.script(Reply("made up"))
            mixed = Session()
            mixed.simulator = other
            assert ask(mixed, cache="record").text == "made up"
            assert ask(mixed, cache="replay").simulated
        assert ask(session, cache="replay").text == "made up"
        session.simulator = None
        assert ask(session, cache="record").text == "genuine"
        assert simulator.requests == []
    assert [sorted(kinds) for kinds in recorded()] == [["real", "simulated"]]
    answer = ask(offline(env), cache="replay")
    assert (answer.text, answer.simulated) == ("genuine", False)


def test_a_budget_counts_nothing_of_it(sim: Simulator, ledger: Path, env: Env) -> None:
    """What a budget would refuse is replayed all the same, and uses up nothing of it."""
    first = ask(Session(), cache="record")
    write("budget: {day: 0.01}")
    with pytest.raises(BudgetExceeded):
        ask(Session(), "another", cache="record", budget=Decimal("0.0000001"))
    for _ in range(3):
        assert ask(Session(), cache="record", budget=Decimal("0.0000001")).replayed
    assert totals(ledger).cost == first.cost
    shown = Session().preview(Ask("hi", max_tokens=5))
    assert [budget.limit - budget.left for budget in shown.budgets] == [first.cost]


# ------------------------------------------------------------------------------ where and whether


@pytest.mark.parametrize("place", ["file", "variable"])
def test_what_is_configured(sim: Simulator, env: Env, place: str) -> None:
    """llm.yaml or a variable turns it on for all cells; the cell's own option wins."""
    if place == "file":
        write("cache: record")
    else:
        env(cache="record")
    session = Session()
    ask(session)
    assert ask(session).replayed
    assert not ask(session, cache="off").replayed
    with pytest.raises(ConfigError):
        ask(session, "another", cache="replay")
    env(cache="replay")
    with pytest.raises(ConfigError, match="holds no answer"):
        ask(session, "another")
    assert len(sim.requests) == 2


def test_it_is_off_by_default(sim: Simulator, tmp_path: Path) -> None:
    """Without being told, nothing is recorded and nothing replayed."""
    session = Session()
    assert not any(ask(session).replayed for _ in range(2))
    assert not Path(FILE).exists()
    assert not [*(tmp_path / "data").glob("replay*")]


@pytest.mark.parametrize("file", ["own.json", "sub/own.sqlite3", ":memory:"])
def test_a_file_of_the_cell(sim: Simulator, env: Env, tmp_path: Path, file: str) -> None:
    """A cell may name the file, from where the settings start; `:memory:` is none."""
    ask(Session(), f"to {file}", cache="record", cache_file=file)
    assert not Path(FILE).exists()
    assert (tmp_path / file).exists() == (file != ":memory:")
    assert ask(offline(env), f"to {file}", cache="replay", cache_file=file).replayed
    with pytest.raises(ConfigError, match=r"^(own\.json|sub/own\.sqlite3|memory) holds no"):
        ask(offline(env), "another", cache="replay", cache_file=file)


def test_a_readable_file(sim: Simulator) -> None:
    """A .json file can be read by people and git: the text, when it was, which model and wire."""
    answer = ask(Session(), "?", cache="record")
    ((kind, kept),) = recorded()[0].items()
    assert kind == "simulated"
    assert kept["blocks"][-1]["text"] == answer.text
    assert kept["model"] == answer.model
    assert kept["flavor"] in [*ApiFlavor]
    assert kept["recorded_at"].endswith("+00:00")
    assert len(Path(FILE).read_text().splitlines()) > 10


def test_a_file_that_is_none(sim: Simulator) -> None:
    """A damaged file is told before anything is sent, and left as it is."""
    Path(FILE).write_text("{")
    with pytest.raises(ConfigError, match=rf"{FILE} line 1 are damaged"):
        ask(Session(), cache="record")
    assert sim.requests == []
    assert Path(FILE).read_text() == "{"


def test_an_answer_that_cannot_be_kept(sim: Simulator) -> None:
    """It was paid for, so the cell has it, and a warning says that it was not recorded."""
    Path(FILE).mkdir()
    session = Session()
    reply = ask(session, cache="refresh", chat="c")
    assert reply.text
    assert "not recorded" in reply.warnings[-1]
    assert "\n" not in reply.warnings[-1]
    assert len(session.chats["c"]) == 2


def test_a_dry_run(sim: Simulator, env: Env) -> None:
    """It says whether the answer is there to be replayed, or would be missed; no key is."""
    ask(Session(), cache="record")
    for session in (Session(), offline(env)):
        shown = session.preview(Ask("hi", cache="replay"))
        assert (shown.refused, len(shown.notices)) == ("", 1)
        assert shown.notices[0].startswith(f"{FILE} has the answer")
        shown = session.preview(Ask("another", cache="replay"))
        assert (shown.notices, shown.refused) == ((), f"{FILE} holds no answer to this.")
    assert Session().preview(Ask("another", cache="record")).refused == ""
    assert len(sim.requests) == 1


def test_two_sessions_at_once(sim: Simulator) -> None:
    """Cells of several sessions record into one file at the same time, and nothing is lost."""
    sessions = [Session() for _ in range(2)]

    async def cells(session: Session, name: int) -> None:
        for number in range(4):
            await read(session.prepare(Ask(f"{name} asks {number}", cache="record")))

    async def both() -> None:
        await asyncio.gather(*map(cells, sessions, range(2)))
        await sessions[1].close()

    run(sessions[0], both())
    assert len(recorded()) == 8
