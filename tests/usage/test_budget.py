"""Budgets: what passes, the words of a refusal, and that nothing is ever overshot."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from ledger_rows import begin, book, spent

from minimax_magic.assembly import make_meter
from minimax_magic.client.client import Client
from minimax_magic.client.rate_limit import NoLimit
from minimax_magic.clock import SystemClock
from minimax_magic.config_schema import BudgetSettings
from minimax_magic.errors import BudgetExceeded
from minimax_magic.messages import ApiFlavor, ChatRequest
from minimax_magic.pricing import BUILT_IN, Price
from minimax_magic.simulator import Fail, Reply, Simulator, Usage
from minimax_magic.testing import Answer, FakeAuth, FakeClock, FakeTransport, json_answer
from minimax_magic.transport import AiohttpTransport
from minimax_magic.usage.budget import limits, worst_case
from minimax_magic.usage.estimate import most_input
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.meter import Books, Purpose
from minimax_magic.usage.rows import Label
from minimax_magic.wire.address import resolve_endpoint
from minimax_magic.wire.http import HttpRequest

T = TypeVar("T")
OPENAI, ANTHROPIC = "https://api.minimax.io", "https://api.minimax.io/anthropic"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(str(tmp_path / "usage.sqlite3"))
    yield ledger
    ledger.close()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def whole(request: HttpRequest) -> Answer:
    """An answer of ten tokens each way, on the wire of the request."""
    if "anthropic" in request.url:
        content = [{"type": "text", "text": "Hello"}]
        usage = {"input_tokens": 10, "output_tokens": 10}
        return json_answer({"content": content, "stop_reason": "end_turn", "usage": usage})
    choice = {"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 10}
    return json_answer({"id": "r1", "model": "m", "choices": [choice], "usage": usage})


def make(
    ledger: Ledger,
    transport: Any = None,
    *,
    url: str = OPENAI,
    clock: Any = None,
    simulated: bool = False,
    prices: Any = BUILT_IN,
    label: Label | None = None,
    **budget: str,
) -> Client:
    clock = clock or FakeClock(NOW.timestamp())
    endpoint = resolve_endpoint(url)
    limits = BudgetSettings(**{scope: Decimal(usd) for scope, usd in budget.items()})
    return Client(
        endpoint=endpoint,
        auth=FakeAuth("simulated-key"),
        transport=transport or FakeTransport(whole),
        limiter=NoLimit(),
        clock=clock,
        model="MiniMax-M2.5",
        user_agent="test",
        meter=make_meter(Books(ledger, clock), endpoint, lambda: "per_token", simulated=simulated),
        purpose=Purpose(label or Label(), prices, limits),
        uniform=lambda: 0.0,
    )


def refused(client: Client, **options: Any) -> BudgetExceeded:
    """The refusal; nothing was sent and nothing booked for it."""
    transport: Any = client._transport
    assert client._meter is not None
    ledger = client._meter.books.ledger
    assert ledger is not None
    before, sent = ledger.totals().requests, len(transport.sent)
    with pytest.raises(BudgetExceeded) as caught:
        run(client.chat("hi", **options))
    assert len(transport.sent) == sent
    assert ledger.totals().requests == before
    error = caught.value
    assert "\n" not in str(error)
    assert "Nothing was sent." in error.message
    assert error.hint
    return error


# ------------------------------------------------------------------------------- refusals


def test_a_refusal_has_the_figures(ledger: Ledger) -> None:
    """It says what the request could cost, what is left of which budget, and what would fit; nothing
    is sent and nothing is booked."""
    book(ledger, "0.25", started_at=NOW.timestamp())
    error = refused(make(ledger, day="0.3"), max_tokens=100_000)
    assert "could cost up to $0.12 (" in error.message
    assert "at most 674 tokens in and 100,000 out" in error.message
    assert "this day's budget of $0.30" in error.message
    assert "$0.050 left ($0.25 spent)" in error.message
    assert re.search(r"--max-tokens \d+ would fit, or raise budget.day in llm.yaml", error.hint)


@pytest.mark.parametrize("url", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("model", ["MiniMax-M2.5", "MiniMax-M3", "MiniMax-M2.5-highspeed"])
@pytest.mark.parametrize("tier", [None, "priority"])
def test_what_is_advised_fits(ledger: Ledger, url: str, model: str, tier: str | None) -> None:
    """The advised --max-tokens passes all budgets that there are, and a hundred more do not."""
    client = make(ledger, url=url, day="0.0123", month="0.0099", kernel="5")
    error = refused(client, model=model, service_tier=tier)
    found = re.search(r"--max-tokens (\d+) would fit", error.hint)
    assert found
    fits = int(found[1])
    refused(client, model=model, service_tier=tier, max_tokens=fits + 100)
    transport: Any = client._transport
    run(client.chat("hi", model=model, service_tier=tier, max_tokens=fits))
    assert len(transport.sent) == 1


def test_a_budget_that_leaves_no_answer(ledger: Ledger) -> None:
    """Where not even a short answer fits, no number of tokens is advised."""
    error = refused(make(ledger, cell="0.0001", label=Label(cell="c")))
    assert "this cell's budget of $0.00010" in error.message
    assert error.hint == "Ask for less, or raise --budget."
    error = refused(make(ledger, month="0"))
    assert error.hint == "Wait, or raise budget.month in llm.yaml."


def test_what_others_have_reserved_is_told(ledger: Ledger) -> None:
    """A refusal tells apart what is spent and what is reserved by requests under way."""
    begin(ledger, started_at=NOW.timestamp(), most=Decimal("0.2"))
    error = refused(make(ledger, day="0.21"))
    assert "($0 spent, $0.20 reserved)" in error.message


def test_a_model_without_a_price_has_no_budget(ledger: Ledger) -> None:
    """Nobody can say what it costs, so it is refused, with where to write the price."""
    error = refused(make(ledger, day="100"), model="unknown-1", max_tokens=10)
    assert "No price is known for unknown-1" in error.message
    assert "`prices` in llm.yaml" in error.hint


def test_an_answer_without_bound_has_no_budget(ledger: Ledger) -> None:
    """A priced model of unknown length needs --max-tokens, and passes with it."""
    prices = BUILT_IN.with_changes({"my-1": Price(Decimal(1), Decimal(1), Decimal(1))})
    client = make(ledger, day="100", prices=prices)
    error = refused(client, model="my-1")
    assert "how long an answer of my-1 may be" in error.message
    assert error.hint == "Set --max-tokens."
    run(client.chat("hi", model="my-1", max_tokens=10))


def test_without_a_budget_all_of_these_pass(ledger: Ledger) -> None:
    """Where no budget is set nobody asks for a price or a bound."""
    client = make(ledger)
    run(client.chat("hi", model="unknown-1"))
    assert ledger.totals().requests == 1


# ------------------------------------------------------------------------------ what counts


def test_a_reservation_gives_way_to_what_was_used(ledger: Ledger) -> None:
    """A budget of one worst case is good for many real requests, one after the other."""
    request = ChatRequest(messages="hi", model="MiniMax-M2.5", max_tokens=1000)
    most = worst_case(request, ApiFlavor.OPENAI_COMPAT, BUILT_IN)
    assert most is not None
    client = make(ledger, day=str(most + Decimal("0.0001")))
    real = Decimal("0.000015")  # ten tokens each way
    for number in range(1, 8):
        run(client.chat("hi", max_tokens=1000))
        assert ledger.totals().cost == number * real
    assert "this day's budget" in refused(client, max_tokens=1000).message


def test_the_worst_case_is_never_exceeded(ledger: Ledger) -> None:
    """It has all the output that was allowed, and more input than the prompt can have."""
    request = ChatRequest(messages="häßlich 你好" * 50, model="MiniMax-M2.5", max_tokens=300)
    most = worst_case(request, ApiFlavor.OPENAI_COMPAT, BUILT_IN)
    assert most == (most_input(request) * Decimal("0.375") + 300 * Decimal("1.2")) / 1_000_000
    assert most_input(request) > 50 * len("häßlich 你好".encode())


@pytest.mark.parametrize("scope", ["cell", "kernel", "day", "month"])
def test_each_scope_has_its_own_records(ledger: Ledger, scope: str, tmp_path: Path) -> None:
    """What was spent by another cell, another kernel, on another day or in another month does not
    count, and what was spent here and now does."""
    here = Label(cell="here")
    elsewhere: dict[str, Callable[[Ledger], object]] = {
        "cell": lambda it: book(it, "1", started_at=NOW.timestamp(), label=Label(cell="there")),
        "day": lambda it: book(it, "1", started_at=NOW.timestamp() - 86_400, label=here),
        "month": lambda it: book(it, "1", started_at=NOW.timestamp() - 31 * 86_400, label=here),
    }
    if scope == "kernel":
        other = Ledger(ledger.path)
        book(other, "1", started_at=NOW.timestamp(), label=here)
        other.close()
    else:
        elsewhere[scope](ledger)
    client = make(ledger, label=here, **{scope: "0.5"})
    run(client.chat("hi", max_tokens=1000))
    book(ledger, "0.499", started_at=NOW.timestamp(), label=here)
    assert f"this {scope}'s budget of $0.50" in refused(client, max_tokens=1000).message


def test_a_cell_that_is_none_has_no_budget(ledger: Ledger) -> None:
    """Outside of cells a cell's budget says nothing."""
    run(make(ledger, cell="0").chat("hi"))


def test_a_day_ends_at_midnight(ledger: Ledger) -> None:
    """A budget that was used up is whole again on the next local day."""
    clock = FakeClock(NOW.timestamp())
    client = make(ledger, clock=clock, day="0.01")
    book(ledger, "0.01", started_at=NOW.timestamp())
    refused(client, max_tokens=10)
    midnight = NOW.astimezone().replace(hour=0, minute=0, second=0) + timedelta(days=1)
    clock.now = midnight.timestamp() - 1
    refused(client, max_tokens=10)
    clock.now = midnight.timestamp()
    run(client.chat("hi", max_tokens=10))


@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_and_real_do_not_count_for_each_other(ledger: Ledger, simulated: bool) -> None:
    """What a simulator answered uses up no real budget, nor the other way round."""
    book(ledger, "100", started_at=NOW.timestamp(), simulated=not simulated, region="elsewhere")
    client = make(ledger, day="0.01", simulated=simulated)
    run(client.chat("hi", max_tokens=1000))
    book(ledger, "0.0099", started_at=NOW.timestamp(), simulated=simulated)
    refused(client, max_tokens=1000)


def test_limits_are_asked_from_the_narrowest(ledger: Ledger) -> None:
    """All that are set are there, each with the records that it is about."""
    budget = BudgetSettings(cell=Decimal(1), kernel=Decimal(2), day=Decimal(3), month=Decimal(4))
    found = limits(budget, Label(cell="c"), "p", NOW, simulated=True)
    assert [it.scope for it in found] == ["cell", "kernel", "day", "month"]
    assert all(it.selection.simulated for it in found)
    assert limits(BudgetSettings(), Label(), "p", NOW, simulated=False) == []


def test_every_attempt_is_asked_anew(ledger: Ledger) -> None:
    """A retry passes if there is room for it: the failed attempt before cost nothing and reserves
    nothing any more."""
    limited = json_answer({"error": {"message": "rate limit (1002)"}}, status=429)
    transport = FakeTransport(limited, whole)
    client = make(ledger, transport, day="0.002")
    run(client.chat("hi", max_tokens=1000))
    assert [record.status for record in ledger.records()] == ["ok", "failed"]


# --------------------------------------------------------------------------- many at once


def test_many_requests_at_once_do_not_overshoot(ledger: Ledger) -> None:
    """Of 64 requests at the same moment, which all would fit alone, only as many go out as fit in the
    worst case, and what they cost together is within the budget."""
    request = ChatRequest(messages="hi", model="MiniMax-M2.5", max_tokens=200)
    most = worst_case(request, ApiFlavor.OPENAI_COMPAT, BUILT_IN)
    assert most is not None
    fit = 7
    clock = SystemClock()
    with Simulator() as server:
        dear = Usage(input_tokens=most_input(request), output_tokens=200)
        server.script(*(Reply("hello", usage=dear, delay_s=0.3) for _ in range(64)))
        client = make(
            ledger,
            AiohttpTransport(),
            url=server.url,
            clock=clock,
            simulated=True,
            day=str(fit * most),
        )

        async def all_at_once() -> list[Any]:
            asked = [client.chat("hi", max_tokens=200) for _ in range(64)]
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
            await client.close()
            return outcomes

        outcomes = run(all_at_once())
        assert len(server.requests) == server.served.requests == fit
    assert [type(it) for it in outcomes if isinstance(it, BaseException)] == [BudgetExceeded] * (
        64 - fit
    )
    totals = ledger.totals()
    assert (totals.requests, totals.open) == (fit, 0)
    assert totals.cost == sum(it.cost for it in outcomes if not isinstance(it, BaseException))
    assert totals.cost <= fit * most


def test_whatever_becomes_of_requests_the_budget_holds(ledger: Ledger) -> None:
    """Refused, failing, cancelled and whole ones, in waves: nothing stays reserved, and the sum is
    within the budget."""
    with Simulator() as server:
        client = make(
            ledger,
            AiohttpTransport(),
            url=server.url,
            clock=SystemClock(),
            simulated=True,
            day="0.01",
        )

        async def one(number: int) -> object:
            if number % 4 == 0:
                server.script(Fail(code=2013))
            task = asyncio.ensure_future(client.chat("[[slow 2]] hi", max_tokens=300))
            if number % 5 == 0:
                asyncio.get_running_loop().call_later(0.02, task.cancel)
            return (await asyncio.gather(task, return_exceptions=True))[0]

        async def waves() -> None:
            for _ in range(4):
                await asyncio.gather(*(one(number) for number in range(16)))
            await client.close()

        run(waves())
    totals = ledger.totals()
    assert totals.open == 0
    assert totals.requests > 16
    assert totals.cost <= Decimal("0.01")
    [day] = limits(
        BudgetSettings(day=Decimal("0.01")),
        Label(),
        ledger.process,
        datetime.now(UTC),
        simulated=True,
    )
    assert spent(ledger, day) == (totals.cost, Decimal(0))
