"""The composition root: settings to requests, agents, chats, clients that are kept, and `MiniMax`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minimax_magic import MiniMax
from minimax_magic.ask import Ask
from minimax_magic.assembly import retry_policy
from minimax_magic.client.retry import RetryPolicy
from minimax_magic.config import load_settings
from minimax_magic.errors import ConfigError, CredentialsMissing, MinimaxError, StreamInterrupted
from minimax_magic.messages import ApiFlavor
from minimax_magic.session import Session
from minimax_magic.simulator import Drop, Fail, Reply, Simulator
from minimax_magic.testing import FakeClock, FakeTransport, json_answer
from minimax_magic.wire.http import HttpRequest

KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def server(env: Callable[..., None], sim: Simulator) -> Simulator:
    """The simulator as the configured server."""
    env(base_url=sim.url, code_plan_key=sim.key)
    return sim


def write(text: str, name: str = "llm.yaml") -> None:
    path = Path("config") / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def ask(session: Session, prompt: str = "hi", **options: Any) -> Any:
    """Prepares a turn, reads it to its end and keeps it, as a cell does; gives its reply."""

    async def run() -> Any:
        turn = session.prepare(Ask(prompt, **options))
        try:
            async for _ in turn.events():
                pass
        finally:
            await session.close()
        turn.keep()
        return turn.reply

    return asyncio.run(run())


def answer(request: HttpRequest) -> Any:
    """A whole answer on the wire of the request."""
    if "anthropic" in request.url:
        content = [{"type": "text", "text": "hello"}]
        return json_answer(
            {"type": "message", "role": "assistant", "content": content, "stop_reason": "end_turn"}
        )
    message = {"role": "assistant", "content": "hello"}
    return json_answer({"choices": [{"message": message, "finish_reason": "stop"}], "model": "m"})


# ------------------------------------------------------------------------- what is asked for


def test_the_defaults(server: Simulator) -> None:
    """Without any option a cell asks the default model, streamed, over the OpenAI wire."""
    ask(Session())
    (request,) = server.requests
    assert "anthropic" not in request.path
    assert request.body["model"] == "MiniMax-M2.5"
    assert request.body["stream"] is True
    assert [m["role"] for m in request.body["messages"]] == ["user"]


def test_environment_over_file(env: Callable[..., None], server: Simulator) -> None:
    """llm.yaml sets the model, the environment wins over it, and the cell over both."""
    write("providers: {minimax: {model: of-file}}")
    session = Session()
    ask(session)
    env(model="of-env")
    ask(session)
    ask(session, model="of-cell")
    assert [r.body["model"] for r in server.requests] == ["of-file", "of-env", "of-cell"]


def test_changes_take_effect_at_the_next_cell(env: Callable[..., None], server: Simulator) -> None:
    """Files and variables are read anew for every cell of a session."""
    session = Session()
    ask(session)
    write("providers: {minimax: {model: new}}")
    ask(session)
    assert server.requests[1].body["model"] == "new"
    write("providers: [")
    with pytest.raises(ConfigError):
        ask(session)
    assert len(server.requests) == 2


AGENTS = """
agents:
  - id: ana
    model: {provider: minimax, model: MiniMax-M3}
    system_prompt: You are Ana.
    temperature: 0.3
    max_tokens: 123
"""


def test_an_agent(server: Simulator) -> None:
    """An agent brings model, system prompt and settings; the cell's own options win over them."""
    (Path("config") / "agents.d").mkdir()
    write(AGENTS, "agents.d/a.yaml")
    session = Session()
    ask(session, agent="ana")
    ask(session, agent="ana", model="other", system="Be Bob.", temperature=0.0, max_tokens=5)
    ask(session, agent="ana", system="")
    first, second, third = (request.body for request in server.requests)
    assert (first["model"], first["temperature"]) == ("MiniMax-M3", 0.3)
    assert first["messages"][0] == {"role": "system", "content": "You are Ana."}
    assert 123 in first.values()
    assert (second["model"], second["temperature"]) == ("other", 0.0)
    assert second["messages"][0]["content"] == "Be Bob."
    assert 5 in second.values()
    assert [m["role"] for m in third["messages"]] == ["user"]


def test_an_unknown_agent(server: Simulator) -> None:
    """An agent that is not there is an error that names those that are; nothing is sent."""
    (Path("config") / "agents.d").mkdir()
    write(AGENTS, "agents.d/a.yaml")
    with pytest.raises(ConfigError, match=r"no agent 'anna'.*ana"):
        ask(Session(), agent="anna")
    assert server.requests == []


@pytest.mark.parametrize("flavor", [None, *ApiFlavor])
def test_the_wire(server: Simulator, flavor: str | None) -> None:
    """The flavour of the cell decides the wire; without one, the address does."""
    ask(Session(), flavor=flavor)
    assert ("anthropic" in server.requests[0].path) == (flavor == "anthropic_messages")


def test_the_wire_is_told_from_the_address(env: Callable[..., None], server: Simulator) -> None:
    """An address that ends in /anthropic speaks that wire."""
    env(base_url=f"{server.url}/anthropic")
    ask(Session())
    assert server.requests[0].path == "/anthropic/v1/messages"


def test_in_one_piece(server: Simulator) -> None:
    """A cell that wants the whole answer asks without streaming, and gets the same text."""
    server.script(Reply(text="same"), Reply(text="same"))
    session = Session()
    assert ask(session).text == ask(session, whole=True).text == "same"
    assert not server.requests[1].body.get("stream")


def test_an_instruction_goes_below_the_system_prompt(server: Simulator) -> None:
    """What a format asks for is added to the system prompt, or is one."""
    session = Session()
    ask(session, instruction="As JSON.", system="Be kind.")
    ask(session, instruction="As JSON.")
    texts = [request.body["messages"][0]["content"] for request in server.requests]
    assert texts == ["Be kind.\n\nAs JSON.", "As JSON."]


@pytest.mark.parametrize(
    "options",
    [
        {"prompt": "  \n "},
        {"temperature": 9.0},
        {"temperature": float("nan")},
        {"top_p": -1.0},
        {"max_tokens": 0},
        {"thinking": "perhaps"},
        {"flavor": "soap"},
        {"agent": "nobody"},
    ],
)
def test_what_is_wrong_is_told_before_sending(server: Simulator, options: dict[str, Any]) -> None:
    """A value that cannot be is one line of ConfigError from `prepare`; the chat stays empty."""
    session = Session()
    with pytest.raises(ConfigError) as caught:
        session.prepare(Ask(**{"prompt": "hi", "chat": "c", **options}))
    assert "\n" not in str(caught.value)
    assert server.requests == []
    assert session.chats == {}


def test_no_key(env: Callable[..., None], sim: Simulator) -> None:
    """Without a key nothing is sent, and `describe` says the same."""
    env(base_url=sim.url)
    session = Session()
    with pytest.raises(CredentialsMissing):
        ask(session)
    with pytest.raises(CredentialsMissing):
        session.describe()
    assert sim.requests == []


# ---------------------------------------------------------------------------------- chats


def test_a_chat_on_the_anthropic_wire(server: Simulator) -> None:
    """The next turn carries the whole one before: its thinking with the signature, and its text."""
    server.script(Reply(text="It is 4.", thinking="Two and two."))
    session = Session()
    ask(session, "2+2?", chat="sums", flavor="anthropic_messages")
    ask(session, "sure?", chat="sums", flavor="anthropic_messages")
    first, second, third = server.requests[1].body["messages"]
    assert first["role"] == third["role"] == "user"
    assert "2+2?" in json.dumps(first)
    assert "sure?" in json.dumps(third)
    thinking, text = second["content"]
    assert thinking["type"] == "thinking"
    assert thinking["thinking"] == "Two and two."
    assert thinking["signature"]
    assert text["text"] == "It is 4."


def test_a_chat_on_the_openai_wire(server: Simulator) -> None:
    """There the next turn carries the thinking too, as details or between the tags."""
    server.script(Reply(text="It is 4.", thinking="Two and two."))
    session = Session()
    ask(session, "2+2?", chat="sums")
    ask(session, "sure?", chat="sums")
    _, second, _ = server.requests[1].body["messages"]
    assert second["role"] == "assistant"
    assert second["content"].endswith("It is 4.")
    assert "Two and two." in json.dumps(second)


@pytest.mark.parametrize("first", [*ApiFlavor])
def test_a_chat_may_change_the_wire(server: Simulator, first: str) -> None:
    """A chat begun on one wire goes on over the other, and back."""
    other = next(flavor for flavor in ApiFlavor if flavor != first)
    session = Session()
    for flavor in (first, other, first):
        assert ask(session, chat="c", flavor=flavor).text
    assert len(session.chats["c"]) == 6


@pytest.mark.parametrize("flavor", [*ApiFlavor])
@pytest.mark.parametrize(
    "odd",
    [
        Reply(text="", thinking="only thoughts", finish_reason="length"),
        Reply(text="", thinking=""),
        Reply(text="cut", finish_reason="length"),
        Reply(text=" \n"),
    ],
)
def test_an_odd_answer_does_not_spoil_its_chat(server: Simulator, flavor: str, odd: Reply) -> None:
    """After an answer without text, or cut off, the next turn of the chat is accepted; a turn that
    came to no answer is not kept."""
    session = Session()
    server.script(odd)
    ask(session, chat="c", flavor=flavor)
    assert len(session.chats.get("c", ())) == (2 if odd.text.strip() else 0)
    assert ask(session, "go on", chat="c", flavor=flavor).text


def test_chats_are_apart(server: Simulator) -> None:
    """Each name has its own turns; a cell without a name has none and leaves none."""
    session = Session()
    for chat in ("a", "b", None, "a"):
        ask(session, f"to {chat}", chat=chat)
    assert [len(r.body["messages"]) for r in server.requests] == [1, 1, 1, 3]
    assert "to a" in json.dumps(server.requests[3].body["messages"][0])
    assert {name: len(turns) for name, turns in session.chats.items()} == {"a": 4, "b": 2}


def test_new_begins_anew(server: Simulator) -> None:
    """`new` leaves out what was said, and forgets it once the answer is whole."""
    session = Session()
    ask(session, "old", chat="c")
    kept = session.chats["c"]
    server.script(Fail(code=2056))
    with pytest.raises(MinimaxError):
        ask(session, "failed", chat="c", new=True)
    assert session.chats["c"] == kept
    ask(session, "new", chat="c", new=True)
    assert [m.text for m in session.chats["c"] if m.role == "user"] == ["new"]
    assert len(server.requests[-1].body["messages"]) == 1


@pytest.mark.parametrize(
    "failure",
    [Fail(code=1026), Drop(after_chunks=0), Drop(after_chunks=6, of=Reply("a b c " * 50))],
)
def test_a_failed_turn_leaves_no_trace(server: Simulator, failure: Any) -> None:
    """A turn that failed, before or within its answer, is not in the chat: neither the question nor
    the part."""
    write("retry: {max_attempts: 1}")
    session = Session()
    ask(session, "good", chat="c")
    before = session.chats["c"]
    server.script(failure)
    with pytest.raises(MinimaxError):
        ask(session, "bad", chat="c")
    assert session.chats["c"] == before
    ask(session, "next", chat="c")
    assert "bad" not in json.dumps(server.requests[-1].body)


def test_a_stopped_turn_leaves_no_trace(server: Simulator) -> None:
    """Left in the middle, a turn closes its connection and is not kept."""
    session = Session()
    server.script(Reply(text="word " * 500, thinking="", delay_s=0.01))

    async def stop() -> str:
        turn = session.prepare(Ask("hi", chat="c"))
        events = turn.events()
        async for _ in events:
            if turn.reply.text:
                break
        await events.aclose()
        await session.close()
        return turn.reply.text

    assert asyncio.run(stop()).startswith("word")
    assert server.wait_for(lambda s: s.requests[0].finished.is_set())
    assert server.requests[0].closed_early
    assert session.chats == {}


def test_the_number_of_a_turn(server: Simulator) -> None:
    """A turn knows its chat and its number in it, for the status line."""
    session = Session()
    ask(session, chat="c")
    ask(session, chat="c")
    turn = session.prepare(Ask("third", chat="c"))
    assert (turn.chat, turn.number) == ("c", 3)
    assert session.prepare(Ask("alone")).number == 1


def test_preparing_sends_nothing(server: Simulator) -> None:
    """A prepared turn that is never read asks the server nothing and keeps nothing."""
    session = Session()
    session.prepare(Ask("hi", chat="c"))
    assert server.requests == []
    assert session.chats == {}


# ----------------------------------------------------------------------------- the simulator


def test_the_simulator_never_gets_a_key(env: Callable[..., None], sim: Simulator) -> None:
    """While the simulator is on, requests go to it with its own key, whatever is configured."""
    env(base_url="https://api.minimax.io", code_plan_key=KEY)
    session = Session()
    session.simulator = sim
    ask(session)
    ask(session, flavor="anthropic_messages")
    assert len(sim.requests) == 2
    for request in sim.requests:
        assert KEY not in json.dumps(dict(request.headers))
        assert request.headers["Authorization"] == f"Bearer {sim.key}"


def test_the_simulator_needs_no_key(env: Callable[..., None], sim: Simulator) -> None:
    """With the simulator on, a machine without any key gets answers, and `describe` says why."""
    session = Session()
    session.simulator = sim
    assert ask(session).simulated
    assert "the simulator" in session.describe()


def test_simulated_turns_stay_with_the_simulator(server: Simulator) -> None:
    """Made-up turns, with made-up signatures, never go to the configured server, nor the other way
    round; both are there again after switching."""
    with Simulator() as own:
        session = Session()
        ask(session, "genuine", chat="c")
        session.simulator = own
        ask(session, "made up", chat="c")
        session.simulator = None
        ask(session, "genuine again", chat="c")
        session.simulator = own
        ask(session, "made up again", chat="c")
        assert "genuine" not in json.dumps(own.requests[-1].body)
        assert len(own.requests[-1].body["messages"]) == 3
    assert "made up" not in json.dumps([request.body for request in server.requests])
    assert len(server.requests[-1].body["messages"]) == 3


# ------------------------------------------------------------------------------ clients kept


class Transports:
    """Counts what a session makes."""

    def __init__(self) -> None:
        self.made: list[FakeTransport] = []

    def __call__(self) -> FakeTransport:
        self.made.append(FakeTransport(answer))
        return self.made[-1]


def fake_session() -> tuple[Session, Transports]:
    transports = Transports()
    return Session(make_transport=transports, clock=FakeClock()), transports


async def read(session: Session, **options: Any) -> None:
    async for _ in session.prepare(Ask("hi", **options)).events():
        pass


def test_one_client_for_the_same_settings(env: Callable[..., None]) -> None:
    """Cells with the same server, key and limits share one client, whatever model they ask; a change
    of key or wire makes another."""
    env(code_plan_key="first")
    session, transports = fake_session()

    async def cells() -> None:
        await read(session)
        await read(session, model="other", chat="c", temperature=0.5)
        await read(session, flavor="openai_compat", whole=True)
        assert [len(t.sent) for t in transports.made] in ([3], [2, 1])
        made = len(transports.made)
        await read(session, flavor="anthropic_messages")
        env(code_plan_key="second")
        await read(session)
        assert len(transports.made) == made + 2
        env(code_plan_key="first")
        await read(session)
        assert len(transports.made) == made + 2

    asyncio.run(cells())


def test_one_limiter_for_all_keys(env: Callable[..., None]) -> None:
    """The rate of the settings is kept across clients: a second key is no way around it."""
    env(code_plan_key="first", requests_per_second="2")
    clock = FakeClock()
    session = Session(make_transport=Transports(), clock=clock)

    async def cells() -> None:
        await read(session)
        env(code_plan_key="second")
        for _ in range(3):
            await read(session)

    asyncio.run(cells())
    assert sum(clock.slept) >= 1.0


def test_closing_closes_every_connection(env: Callable[..., None]) -> None:
    """`close` closes the transport of each client; the session can be used again."""
    env(code_plan_key="k")
    session, transports = fake_session()

    async def cells() -> None:
        await read(session)
        await read(session, flavor="anthropic_messages")
        await session.close()
        assert all(transport.closed for transport in transports.made)
        await read(session)
        assert len(transports.made) == 3

    asyncio.run(cells())


def test_a_session_shows_no_key(env: Callable[..., None]) -> None:
    """No repr of a session's parts holds the key."""
    env(code_plan_key=KEY)
    session, _ = fake_session()
    turn = session.prepare(Ask("hi", chat="c"))
    parts = [vars(session), vars(turn), [vars(c) for c in session._clients.values()]]
    assert KEY not in f"{parts} {session.settings()} {session.describe()}"


# ---------------------------------------------------------------------------- MiniMax()


def test_the_facade_takes_the_settings_of_the_magics(
    env: Callable[..., None], server: Simulator
) -> None:
    """`MiniMax()` finds server, key and model where the magics do, and what is passed wins."""
    write("providers: {minimax: {model: of-file}}")

    async def chat() -> None:
        async with MiniMax() as client:
            assert (await client.chat("hi")).text
        async with MiniMax(model="mine", api_flavor="anthropic_messages") as client:
            assert (await client.chat("hi")).text
            assert (await client.chat("hi", model="once")).text
        async with MiniMax(api_key=server.key, base_url=f"{server.url}/anthropic/") as client:
            async with client.stream("hi") as stream:
                async for _ in stream:
                    pass
            assert stream.reply.text

    asyncio.run(chat())
    assert [(r.body["model"], "anthropic" in r.path) for r in server.requests] == [
        ("of-file", False),
        ("mine", True),
        ("once", True),
        ("of-file", True),
    ]


def test_a_flavour_belongs_to_its_address(env: Callable[..., None]) -> None:
    """A wire that was configured for one server is not used for another that is passed."""
    write("providers: {minimax: {api_flavor: anthropic_messages}}")
    other = MiniMax(api_key="k", base_url="https://example.com", transport=FakeTransport(answer))
    assert other.endpoint.flavor is ApiFlavor.OPENAI_COMPAT
    same = MiniMax(api_key="k", transport=FakeTransport(answer))
    assert same.endpoint.flavor is ApiFlavor.ANTHROPIC_MESSAGES


def test_limits_of_the_facade(env: Callable[..., None]) -> None:
    """The rate is that of the settings unless one is passed, and None means none."""
    env(requests_per_second="1")

    async def slept(**options: Any) -> float:
        clock = FakeClock()
        client = MiniMax(api_key="k", transport=FakeTransport(answer), clock=clock, **options)
        for _ in range(3):
            await client.chat("hi")
        return sum(clock.slept)

    assert asyncio.run(slept()) >= 2
    assert asyncio.run(slept(requests_per_second=None)) == 0
    assert 0 < asyncio.run(slept(requests_per_second=10)) < 1


def test_the_facade_without_a_key(env: Callable[..., None]) -> None:
    """No key anywhere is an error when the client is made, not at its first use."""
    with pytest.raises(CredentialsMissing):
        MiniMax()


def test_an_interrupted_stream_tells_its_part(server: Simulator) -> None:
    """Through the facade too, a broken answer is an error that holds the part."""
    server.script(Drop(after_chunks=8, of=Reply(text="one two three " * 20, thinking="")))

    async def read(client: MiniMax) -> None:
        async with client.stream("hi") as stream:
            async for _ in stream:
                pass

    async def chat() -> str:
        async with MiniMax() as client:
            with pytest.raises(StreamInterrupted) as caught:
                await read(client)
        return caught.value.partial.text

    assert asyncio.run(chat()).startswith("one two")


def test_the_retry_section(env: Callable[..., None]) -> None:
    """`retry` of llm.yaml bounds every kind of attempt, and never raises a lower bound of ours."""
    write("retry: {max_attempts: 2, initial_backoff_ms: 500, max_backoff_ms: 4000}")
    policy = retry_policy(load_settings().retry)
    assert (policy.rate_limit_attempts, policy.server_error_attempts) == (2, 2)
    assert (policy.initial_backoff_s, policy.max_backoff_s) == (0.5, 4.0)
    write("retry: {max_attempts: 9}")
    policy = retry_policy(load_settings().retry)
    assert policy.rate_limit_attempts == 9
    assert policy.server_error_attempts == RetryPolicy().server_error_attempts
