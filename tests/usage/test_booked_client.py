"""What a client books: one row for each HTTP attempt that may have cost something."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from minimax_magic import MiniMax
from minimax_magic.assembly import make_meter
from minimax_magic.client.client import Client
from minimax_magic.client.rate_limit import NoLimit
from minimax_magic.errors import (
    APIConnectionError,
    APITimeoutError,
    ConfigError,
    CredentialInvalid,
    MinimaxError,
    RequestRejected,
    StreamInterrupted,
)
from minimax_magic.events import Notice, TextDelta
from minimax_magic.messages import ChatRequest
from minimax_magic.pricing import cost
from minimax_magic.simulator import (
    Drop,
    Fail,
    FailMidStream,
    Frames,
    Reply,
    Served,
    Silence,
    Simulator,
    Usage,
)
from minimax_magic.testing import Answer, FakeAuth, FakeClock, FakeTransport, json_answer, sse
from minimax_magic.tokens import TokenUsage
from minimax_magic.transport import AiohttpTransport
from minimax_magic.usage.estimate import estimate_input
from minimax_magic.usage.ledger import Ledger, open_ledger
from minimax_magic.usage.meter import Books, Purpose
from minimax_magic.usage.rows import Booked, Record, Selection, Totals
from minimax_magic.wire.address import resolve_endpoint

T = TypeVar("T")
OPENAI, ANTHROPIC = "https://api.minimax.io", "https://api.minimax.io/anthropic"
MODEL = "MiniMax-M2.5"
INPUT = estimate_input(ChatRequest(messages="hi", model=MODEL))
BOTH_WIRES = pytest.mark.parametrize("wire", ["", "/anthropic"], ids=["openai", "anthropic"])
BOTH_WAYS = pytest.mark.parametrize("way", ["stream", "whole", "chat"])


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def sim(server: Simulator) -> Simulator:
    server.reset()
    return server


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(str(tmp_path / "usage.sqlite3"))
    yield ledger
    ledger.close()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def make(
    ledger: Ledger, transport: Any = None, *, url: str = OPENAI, auth: Any = None, **more: Any
) -> Client:
    clock, endpoint = FakeClock(), resolve_endpoint(url)
    parts: dict[str, Any] = {
        "endpoint": endpoint,
        "auth": auth or FakeAuth("simulated-key"),
        "transport": transport or AiohttpTransport(),
        "limiter": NoLimit(),
        "clock": clock,
        "model": MODEL,
        "user_agent": "test",
        "meter": make_meter(Books(ledger, clock), endpoint, lambda: "per_token"),
        "uniform": lambda: 0.0,
    }
    return Client(**{**parts, **more})


async def ask(client: Client, way: str = "stream", prompt: Any = "hi", **options: Any) -> Any:
    """Asks in one of the three ways, and closes the client; gives the reply."""
    try:
        if way == "chat":
            return await client.chat(prompt, **options)
        async with client.stream(prompt, whole=way == "whole", **options) as stream:
            async for _ in stream:
                pass
            return stream.reply
    finally:
        await client.close()


def states(ledger: Ledger) -> list[tuple[str, bool, int, int]]:
    """Status, whether measured, tokens in and out; the earliest first."""
    return [
        (it.status, it.measured, it.usage.total_input_tokens, it.usage.output_tokens)
        for it in sorted(ledger.records(), key=lambda record: record.id)
    ]


def one(ledger: Ledger) -> Record:
    [record] = ledger.records()
    return record


def answer(url: str) -> Answer:
    """A whole answer of 10 tokens in and 4 out."""
    if url == OPENAI:
        choice = {"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 4}
        return json_answer({"id": "r1", "model": "m", "choices": [choice], "usage": usage})
    usage = {"input_tokens": 10, "output_tokens": 4}
    content = [{"type": "text", "text": "Hello"}]
    return json_answer({"id": "r1", "content": content, "stop_reason": "end_turn", "usage": usage})


REFUSED = ("failed", True, 0, 0)
OK = ("ok", True, 10, 4)
LIMITED = json_answer({"error": {"message": "rate limit (1002)"}}, status=429)
BAD_KEY = json_answer({"error": {"message": "invalid api key (2049)"}}, status=401)
NO_ROUTE = Answer(404, {"content-type": "text/html"}, (b"<html>404 Not Found</html>",))


# ---------------------------------------------------------------------- whole answers


@BOTH_WIRES
@BOTH_WAYS
def test_what_is_booked_is_what_the_server_served(
    ledger: Ledger, sim: Simulator, wire: str, way: str
) -> None:
    """After many answers, cached and of several models, the sums of the ledger are those of the
    server, to the token, as a whole and for each model, and every reply has the cost of its row."""
    client = make(ledger, url=sim.url + wire)
    history: list[dict[str, str]] = []
    costs = []

    async def go() -> None:
        for number in range(8):
            history.append({"role": "user", "content": f"{number}: tell me more of it, please"})
            model = ("MiniMax-M2.5", "MiniMax-M3")[number // 4]
            reply = await ask(client, way, [*history], model=model, system="Be brief. " * 20)
            history.append({"role": "assistant", "content": reply.text})
            costs.append(reply.cost)

    run(go())
    totals = ledger.totals()
    assert served(totals) == sim.served
    assert totals.usage.cache_read_tokens > 0
    by_model = {it.key: served(it.totals) for it in ledger.groups(Selection(), "model")}
    assert by_model == sim.served_by_model
    assert totals.cost == sum(costs)
    assert (totals.estimated, totals.open, totals.interrupted) == (0, 0, 0)
    for record in ledger.records():
        assert record.cost == cost(record.model, record.usage)
        assert record.simulated
        assert record.request_id


def served(totals: Totals) -> Served:
    usage = totals.usage
    return Served(
        totals.requests,
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
    )


@BOTH_WIRES
def test_many_at_once(ledger: Ledger, sim: Simulator, wire: str) -> None:
    """Concurrent requests have a row each, and their sum is that of the server."""
    client = make(ledger, url=sim.url + wire)

    async def go() -> None:
        await asyncio.gather(*(client.chat(f"number {number}") for number in range(32)))
        await client.close()

    run(go())
    assert served(ledger.totals()) == sim.served
    assert ledger.totals().requests == 32


@BOTH_WAYS
def test_the_row_of_an_answer(ledger: Ledger, sim: Simulator, way: str) -> None:
    """It says where the answer came from, over which wire, and how it was paid."""
    run(ask(make(ledger, url=sim.url), way))
    record = one(ledger)
    assert (record.model, record.flavor) == (MODEL, "openai_compat")
    assert record.region == sim.url.removeprefix("http://")
    assert (record.billing, record.status) == ("per_token", "ok")


def test_prices_of_llm_yaml_hold_for_reply_and_row(
    env: Callable[..., None], sim: Simulator, tmp_path: Path
) -> None:
    """A price that a person has written is what the answer costs, there and in the ledger."""
    env(base_url=sim.url, code_plan_key=sim.key)
    Path("config/llm.yaml").write_text("prices: {MiniMax-M2.5: {input: 1000, output: 2000}}\n")
    sim.script(Reply("hello", usage=Usage(3, 5)))
    client = MiniMax(ledger=tmp_path / "mine.sqlite3")
    reply = run(ask(client, "chat"))
    assert reply.cost == Decimal("0.013")
    ledger = open_ledger(str(tmp_path / "mine.sqlite3"))
    assert one(ledger).cost == Decimal("0.013")
    ledger.close()


# ------------------------------------------------------------------- several attempts


@BOTH_WAYS
@pytest.mark.parametrize("url", [OPENAI, ANTHROPIC])
def test_a_retry_is_a_row_of_its_own(ledger: Ledger, url: str, way: str) -> None:
    """A refused attempt has a row that cost nothing, and the answer another."""
    transport = FakeTransport(LIMITED, LIMITED, answer(url))
    run(ask(make(ledger, transport, url=url), way))
    assert states(ledger) == [REFUSED, REFUSED, OK]
    assert [record.cost for record in ledger.records()][1:] == [Decimal(0)] * 2


@BOTH_WAYS
def test_a_renewed_token_is_another_attempt(ledger: Ledger, way: str) -> None:
    """A 401 that a refresh mends leaves two rows, the first of which cost nothing."""
    transport = FakeTransport(BAD_KEY, answer(OPENAI))
    run(ask(make(ledger, transport, auth=FakeAuth("old", "new")), way))
    assert states(ledger) == [REFUSED, OK]


@BOTH_WAYS
def test_a_route_that_is_missing_is_no_attempt(ledger: Ledger, way: str) -> None:
    """The request that finds the right path is the only one that is booked."""
    transport = FakeTransport(NO_ROUTE, answer(OPENAI))
    run(ask(make(ledger, transport, url="https://proxy.example"), way))
    assert len(transport.sent) == 2
    assert states(ledger) == [OK]


def test_no_route_at_all_is_a_refusal(ledger: Ledger) -> None:
    """Where no path answers, one row says that it failed at no cost."""
    transport = FakeTransport(NO_ROUTE)
    with pytest.raises(MinimaxError):
        run(ask(make(ledger, transport, url="https://proxy.example")))
    assert states(ledger) == [REFUSED]


# -------------------------------------------------------------------------- no answer


@BOTH_WAYS
def test_a_connection_that_was_refused_is_not_booked(ledger: Ledger, way: str) -> None:
    """Where nobody listens nothing was sent, however often it was tried."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(APIConnectionError):
        run(ask(make(ledger, url=url), way))
    assert ledger.records() == []


@pytest.mark.parametrize("error", [APITimeoutError("slow"), APIConnectionError("gone")])
def test_a_request_that_was_sent_and_not_answered(ledger: Ledger, error: MinimaxError) -> None:
    """The server may have worked on it, so its input counts as an estimate."""
    with pytest.raises(APIConnectionError):
        run(ask(make(ledger, FakeTransport(error))))
    assert set(states(ledger)) == {("failed", False, INPUT, 0)}


def test_a_real_timeout_before_the_head(ledger: Ledger, sim: Simulator) -> None:
    """Silence instead of an answer ends as failed, with an estimate."""
    sim.script(Silence(0))
    with pytest.raises(MinimaxError):
        run(ask(make(ledger, url=sim.url, idle_timeout_s=0.2)))
    assert states(ledger)[0][1:] == (False, INPUT, 0)


@BOTH_WIRES
@BOTH_WAYS
@pytest.mark.parametrize("fail", [Fail(200, 2013), Fail(code=2013)], ids=["base_resp", "status"])
def test_a_refused_request(ledger: Ledger, sim: Simulator, wire: str, way: str, fail: Fail) -> None:
    """An error before any answer, under HTTP 200 or not, is a failed row that cost nothing."""
    sim.script(fail)
    with pytest.raises(RequestRejected):
        run(ask(make(ledger, url=sim.url + wire), way))
    assert states(ledger) == [REFUSED]
    assert one(ledger).cost == 0


def test_what_is_wrong_before_sending_has_no_row(ledger: Ledger) -> None:
    """A header that cannot be sent, or no credential, is no request."""

    class NoAuth(FakeAuth):
        async def fresh_bearer(self) -> str:
            raise CredentialInvalid("no key")

    for auth, transport in (
        (NoAuth(), FakeTransport(answer(OPENAI))),
        (FakeAuth(), FakeTransport(ConfigError("bad header"))),
    ):
        with pytest.raises(MinimaxError):
            run(ask(make(ledger, transport, auth=auth)))
    assert ledger.records() == []


# --------------------------------------------------------------------- broken off answers

WORDS = "twelve chars" * 40


def interrupted(ledger: Ledger, tokens: range) -> None:
    [(status, measured, tokens_in, tokens_out)] = states(ledger)
    assert (status, measured) == ("interrupted", False)
    assert tokens_in > 0
    assert tokens_out in tokens
    assert one(ledger).cost == cost(MODEL, one(ledger).usage)


@BOTH_WIRES
@pytest.mark.parametrize("clean", [True, False], ids=["truncated", "dropped"])
def test_a_stream_that_is_lost_in_the_middle(
    ledger: Ledger, sim: Simulator, wire: str, clean: bool
) -> None:
    """What had come is estimated, and the server's own figure is near."""
    sim.script(Drop(20, Reply(WORDS, thinking=""), clean=clean))
    with pytest.raises(StreamInterrupted):
        run(ask(make(ledger, url=sim.url + wire)))
    interrupted(ledger, range(40, 61))
    assert one(ledger).simulated


@BOTH_WIRES
def test_an_error_in_the_middle_of_a_stream(ledger: Ledger, sim: Simulator, wire: str) -> None:
    """It was worked on until then."""
    sim.script(FailMidStream(20, of=Reply(WORDS, thinking="")))
    with pytest.raises(StreamInterrupted):
        run(ask(make(ledger, url=sim.url + wire)))
    interrupted(ledger, range(40, 61))


@BOTH_WIRES
def test_silence_in_the_middle_of_a_stream(ledger: Ledger, sim: Simulator, wire: str) -> None:
    """A stream that stands still too long ends as interrupted."""
    sim.script(Silence(20, Reply(WORDS, thinking="")))
    with pytest.raises(StreamInterrupted):
        run(ask(make(ledger, url=sim.url + wire, idle_timeout_s=0.3)))
    interrupted(ledger, range(40, 61))


@BOTH_WAYS
def test_a_whole_answer_that_is_lost(ledger: Ledger, way: str) -> None:
    """A body that breaks off in the middle was worked on: its input is estimated."""
    lost = Answer(
        200, {"content-type": "application/json"}, (b'{"choi', APIConnectionError("gone"))
    )
    with pytest.raises(StreamInterrupted):
        run(ask(make(ledger, FakeTransport(lost)), way))
    [(status, measured, tokens, _)] = states(ledger)
    assert (status, measured, tokens) == ("interrupted", False, INPUT)


@BOTH_WIRES
@pytest.mark.parametrize("how", ["task cancelled", "block left", "generator closed", "not read on"])
def test_a_stream_that_is_left_early(ledger: Ledger, sim: Simulator, wire: str, how: str) -> None:
    """However somebody stops reading, the row ends as interrupted, with what had come."""
    sim.script(Reply(WORDS * 100, thinking="", delay_s=0.005))
    client = make(ledger, url=sim.url + wire)

    async def some(stream: Any) -> None:
        seen = 0
        async for event in stream:
            seen += isinstance(event, TextDelta)
            if seen == 10:
                return

    async def go() -> None:
        if how == "task cancelled":
            begun = asyncio.Event()

            async def read() -> None:
                async with client.stream("hi") as stream:
                    await some(stream)
                    begun.set()
                    async for _ in stream:
                        pass

            task = asyncio.ensure_future(read())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        elif how == "block left":
            async with client.stream("hi") as stream:
                await some(stream)
        else:
            stream = client.stream("hi")
            events: Any = aiter(stream)
            await some(events)
            if how == "generator closed":
                await events.aclose()
            else:
                del stream, events
                await asyncio.sleep(0.05)
        assert client._meter is not None
        assert client._meter.books.under_way == []
        await client.close()

    run(go())
    interrupted(ledger, range(25, 80))


@BOTH_WAYS
def test_a_task_cancelled_before_the_answer(ledger: Ledger, sim: Simulator, way: str) -> None:
    """A request that was sent and given up is interrupted: the server may work on."""
    sim.script(Silence(0))

    async def go() -> None:
        task = asyncio.ensure_future(ask(make(ledger, url=sim.url), way))
        while not sim.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(go())
    assert states(ledger) == [("interrupted", False, INPUT, 0)]


def test_a_wait_between_attempts_that_is_given_up(ledger: Ledger) -> None:
    """What had been refused stays refused."""

    class Forever(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(60)

    async def go() -> None:
        task = asyncio.ensure_future(
            ask(make(ledger, FakeTransport(LIMITED), clock=Forever()), "chat")
        )
        await asyncio.to_thread(lambda: _until(lambda: states(ledger) == [REFUSED]))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(go())
    assert states(ledger) == [REFUSED]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ------------------------------------------------------------------- stop strings, no usage


def test_a_stop_string_in_a_stream(ledger: Ledger, sim: Simulator) -> None:
    """An answer that we end has no figures of the server: it is whole, and estimated."""
    sim.script(Reply("one two STOP " + WORDS, thinking="", delay_s=0.01))
    reply = run(ask(make(ledger, url=sim.url), stop=["STOP"]))
    assert reply.text == "one two "
    [(status, measured, tokens, out)] = states(ledger)
    assert (status, measured, tokens) == ("ok", False, INPUT)
    assert 1 <= out < 10


@pytest.mark.parametrize("way", ["whole", "chat"])
def test_a_stop_string_in_a_whole_answer(ledger: Ledger, sim: Simulator, way: str) -> None:
    """All of it was made, and the server said what it took: that is booked, and what the reply says."""
    sim.script(Reply("one two STOP " + WORDS, thinking="", usage=Usage(7, 50)))
    reply = run(ask(make(ledger, url=sim.url), way, stop=["STOP"]))
    assert reply.text == "one two "
    assert states(ledger) == [("ok", True, 7, 50)]
    assert reply.usage == TokenUsage(7, 50)
    assert reply.cost == one(ledger).cost


@BOTH_WAYS
def test_an_answer_without_usage(ledger: Ledger, way: str) -> None:
    """A server that says nothing of tokens is not free: the text is counted here."""
    choice = {"index": 0, "message": {"content": "abcd" * 10}, "finish_reason": "stop"}
    transport = FakeTransport(json_answer({"id": "r1", "model": "m", "choices": [choice]}))
    run(ask(make(ledger, transport), way))
    assert states(ledger) == [("ok", False, INPUT, 10)]


def test_an_anthropic_stream_that_never_says_its_output(ledger: Ledger, sim: Simulator) -> None:
    """Figures of the start, without those of the end, are not the whole count."""
    frames = (
        {"type": "message_start", "message": {"id": "r1", "usage": {"input_tokens": 9}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "abcd" * 25},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    )
    sim.script(Frames((sse(*frames),)))
    run(ask(make(ledger, url=f"{sim.url}/anthropic")))
    assert states(ledger) == [("ok", False, 9, 25)]


# ---------------------------------------------------------------------- ledgers of clients


def test_a_ledger_that_cannot_be_written(tmp_path: Path) -> None:
    """The answer comes all the same, with one notice that usage is not recorded."""
    (tmp_path / "file").touch()
    ledger = Ledger(str(tmp_path / "file" / "usage.sqlite3"), "LEDGER")
    for way in ("chat", "stream"):
        reply = run(ask(make(ledger, FakeTransport(answer(OPENAI))), way))
        assert reply.text == "Hello"
        assert reply.cost is not None
        [notice] = [text for text in reply.warnings if "recorded" in text]
        assert notice.startswith("usage is not recorded. The ledger LEDGER cannot be written")
    ledger.close()


def test_the_notice_is_an_event(tmp_path: Path) -> None:
    """It comes with the first events of a stream."""
    (tmp_path / "file").touch()
    ledger = Ledger(str(tmp_path / "file" / "usage.sqlite3"))

    async def events() -> list[Any]:
        async with make(ledger, FakeTransport(answer(OPENAI))).stream("hi") as stream:
            return [event async for event in stream]

    assert isinstance(run(events())[1], Notice)
    ledger.close()


def test_a_client_without_a_ledger(env: Callable[..., None], sim: Simulator) -> None:
    """`ledger=None` books nothing, and keeps no budget."""
    env(ledger=str(Path("usual.sqlite3").absolute()))
    Path("config/llm.yaml").write_text("budget: {day: 0}\n")
    reply = run(ask(MiniMax(api_key=sim.key, base_url=sim.url, ledger=None), "chat"))
    assert reply.cost is not None
    assert not Path("usual.sqlite3").exists()


def test_a_client_with_a_ledger_of_its_own(env: Callable[..., None], sim: Simulator) -> None:
    """A path, absolute or from here, or memory, in place of the usual file."""
    env(ledger=str(Path("usual.sqlite3").absolute()))
    for given in ("mine.sqlite3", Path("mine.sqlite3").absolute(), ":memory:"):
        run(ask(MiniMax(api_key=sim.key, base_url=sim.url, ledger=given), "chat"))
    assert not Path("usual.sqlite3").exists()
    mine = open_ledger(str(Path("mine.sqlite3").absolute()))
    assert mine.totals().requests == 2
    mine.close()
    open_ledger(":memory:").close()


def test_the_usual_ledger(env: Callable[..., None], sim: Simulator) -> None:
    """Without an argument the configured file is used."""
    path = Path("usual.sqlite3").absolute()
    env(ledger=str(path), base_url=sim.url, code_plan_key=sim.key)
    run(ask(MiniMax(), "chat"))
    ledger = open_ledger(str(path))
    assert served(ledger.totals()) == sim.served
    ledger.close()


def test_budgets_of_llm_yaml_hold_for_programs(env: Callable[..., None], sim: Simulator) -> None:
    """A client of a program keeps the budget that is configured."""
    env(base_url=sim.url, code_plan_key=sim.key)
    Path("config/llm.yaml").write_text("budget: {day: 0.000001}\n")
    with pytest.raises(MinimaxError, match="this day's budget"):
        run(ask(MiniMax(ledger="own.sqlite3"), "chat"))
    assert sim.requests == []
    open_ledger(str(Path("own.sqlite3").absolute())).close()


def test_figures_of_a_stream_as_they_are_booked(ledger: Ledger, sim: Simulator) -> None:
    """`booked` is None before the request is out, an estimate on the way, and what the ledger has in
    the end."""
    sim.script(Reply("abcd" * 50, thinking="", usage=Usage(9, 60), delay_s=0.005))
    seen: list[Booked] = []

    async def go() -> None:
        client = make(ledger, url=sim.url)
        async with client.stream("hi", purpose=Purpose()) as stream:
            assert stream.booked is None
            async for _ in stream:
                assert stream.booked is not None
                seen.append(stream.booked)
            assert stream.booked is not None
            seen.append(stream.booked)
        await client.close()

    run(go())
    assert not seen[0].measured
    assert [it.usage.output_tokens for it in seen] == sorted(it.usage.output_tokens for it in seen)
    assert (seen[-1].measured, seen[-1].usage) == (True, TokenUsage(9, 60))
    assert seen[-1].cost == one(ledger).cost


# ------------------------------------------------------------------------- the account


def test_what_is_left_can_be_asked(env: Callable[..., None], sim: Simulator) -> None:
    """A plan's key has a quota, one that pays as it goes a balance; neither question is booked."""
    path = str(Path("mine.sqlite3").absolute())

    async def quota() -> Any:
        async with MiniMax(api_key=sim.key, base_url=sim.url, ledger=path) as client:
            return await client.quota()

    assert run(quota()).windows
    kept, sim.key = sim.key, "sk-api-0123456789"
    try:

        async def balance() -> Any:
            async with MiniMax(api_key=sim.key, base_url=sim.url, ledger=path) as client:
                return await client.balance()

        found = run(balance())
    finally:
        sim.key = kept
    assert isinstance(found.available, Decimal)
    assert open_ledger(path).records() == []
    open_ledger(path).close()


@pytest.mark.parametrize(("status", "estimated"), [(502, True), (504, True), (500, False)])
def test_a_gateway_that_gave_up(ledger: Ledger, status: int, estimated: bool) -> None:
    """What is behind a gateway may have worked on a request that it gave up: its input is estimated. A
    server's own error costs nothing."""
    answers = [json_answer({"error": {"message": "no"}}, status=status) for _ in range(5)]
    with pytest.raises(MinimaxError):
        run(ask(make(ledger, FakeTransport(*answers))))
    records = ledger.records()
    assert {record.status for record in records} == {"failed"}
    assert {not record.measured for record in records} == {estimated}
    assert {record.usage.input_tokens > 0 for record in records} == {estimated}
