"""What a session writes into the ledger, and what it says before anything is sent."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sign_in_desk import BUNDLE, Desk

from minimax_magic.ask import Ask
from minimax_magic.errors import BudgetExceeded
from minimax_magic.session import Session
from minimax_magic.simulator import Reply, Simulator
from minimax_magic.testing import FakeClock, FakeTransport, json_answer
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.rows import Label, Record

PLAN, PAID, OLD = "sk-cp-" + "p" * 30, "sk-api-" + "a" * 30, "eyJ0eXAi.old"
ANSWER = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
ALL = {"agent": "ana", "chat": "c", "notebook": "n.ipynb", "kernel": "k", "cell": "one"}


@pytest.fixture
def file(env: Callable[..., None], tmp_path: Path) -> Path:
    path = tmp_path / "usage.sqlite3"
    env(ledger=str(path))
    return path


@pytest.fixture
def sim(file: Path, env: Callable[..., None]) -> Iterator[Simulator]:
    """The simulator as the configured server."""
    with Simulator() as simulator:
        env(base_url=simulator.url, code_plan_key=simulator.key)
        yield simulator


def write(text: str, name: str = "llm.yaml") -> None:
    path = Path("config") / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


def use(session: Session, *asks: Ask) -> None:
    """What cells do, one after the other; the session is closed at the end."""

    async def whole() -> None:
        try:
            for ask in asks:
                turn = session.prepare(ask)
                async for _ in turn.events():
                    pass
                turn.keep()
        finally:
            await session.close()

    run(whole())


def rows(file: Path) -> list[Record]:
    """What is on the disk, the oldest first."""
    ledger = Ledger(str(file))
    try:
        return ledger.records()[::-1]
    finally:
        ledger.close()


def fake(answer: Any = ANSWER) -> Session:
    """A session of which nothing leaves this process."""
    return Session(make_transport=lambda: FakeTransport(json_answer(answer)), clock=FakeClock())


# -------------------------------------------------------------------------------- what is written


def test_the_labels_of_a_cell(sim: Simulator, file: Path) -> None:
    """Agent, chat, notebook, kernel and cell are in the row; a cell without them has none."""
    Path("config/agents.d").mkdir()
    write("agents: [{id: ana, model: {provider: minimax, model: MiniMax-M3}}]", "agents.d/a.yaml")
    use(Session(), Ask("hi", **ALL), Ask("hi"))
    first, second = rows(file)
    assert first.label == Label(**ALL)
    assert first.model == "MiniMax-M3"
    assert second.label == Label()
    assert first.process == second.process


def test_every_request_of_a_cell_has_a_row(sim: Simulator, file: Path) -> None:
    """The rows on the disk add up to what the server has served, to the token."""
    use(Session(), *(Ask(f"question {number}", chat="c") for number in range(3)))
    found = rows(file)
    assert [row.status for row in found] == ["ok"] * 3
    assert all(row.measured and row.simulated for row in found)
    assert sum(row.usage.output_tokens for row in found) == sim.served.output_tokens
    assert sum(row.usage.total_tokens for row in found) == sum(
        getattr(sim.served, name)
        for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    )


def test_prompts_are_not_in_the_ledger(sim: Simulator, file: Path) -> None:
    """Neither what was asked nor what was answered nor the key is in the file."""
    sim.script(Reply(text="UNMISTAKABLE"))
    use(Session(), Ask("PLANTED question", system="SYSTEM words", chat="trip"))
    (row,) = rows(file)
    assert row.label.chat == "trip"
    whole = b"".join(
        path.read_bytes() for path in file.parent.glob("usage.sqlite3*") if path.is_file()
    )
    assert b"trip" in whole
    for text in (b"PLANTED", b"UNMISTAKABLE", b"SYSTEM words", sim.key.encode()):
        assert text not in whole


@pytest.mark.parametrize(
    ("base_url", "region"),
    [
        ("https://api.minimax.io", "global"),
        ("https://api.minimax.io/anthropic", "global"),
        ("https://api.minimaxi.com", "china"),
        ("https://api.minimax.cn", "china"),
        ("https://gateway.example/minimax", "gateway.example"),
        ("http://127.0.0.1:8123", "127.0.0.1:8123"),
    ],
)
def test_the_region(env: Callable[..., None], file: Path, base_url: str, region: str) -> None:
    """A row names MiniMax's region, or the host of another server."""
    env(base_url=base_url, code_plan_key=PLAN)
    body = ANSWER
    if base_url.endswith("/anthropic"):
        body = {"type": "message", "role": "assistant", "content": [], "stop_reason": "end_turn"}
    use(fake(body), Ask("hi", whole=True))
    assert [row.region for row in rows(file)] == [region]


def test_the_region_of_the_simulator(env: Callable[..., None], file: Path) -> None:
    """What `%minimax simulator` answers is told apart from the start."""
    env(code_plan_key=PLAN)
    session = Session()
    with Simulator() as own:
        session.simulator = own
        use(session, Ask("hi"))
    (row,) = rows(file)
    assert (row.region, row.simulated) == ("simulator", True)


# -------------------------------------------------------------------------------------- billing


@pytest.mark.parametrize(
    ("key", "billing"), [(PLAN, "plan"), (PAID, "per_token"), (OLD, "unknown")]
)
def test_billing_by_the_key(env: Callable[..., None], file: Path, key: str, billing: str) -> None:
    """What a key looks like says how it is billed; one of old says nothing."""
    env(code_plan_key=key)
    use(fake(), Ask("hi"))
    assert [row.billing for row in rows(file)] == [billing]


def test_billing_of_a_login(file: Path) -> None:
    """A login is a plan's."""
    desk = Desk()
    server = desk.serve()
    desk.plan(server.url)
    assert BUNDLE.exists()
    desk.ask()
    assert [row.billing for row in rows(file)] == ["plan"]
    desk.stop()


@pytest.mark.parametrize("kind", ["plan", "per_token"])
def test_billing_is_learned(env: Callable[..., None], file: Path, kind: str) -> None:
    """A key of old is billed as what the account's answer fits, from the next request on."""
    env(code_plan_key=OLD)

    def answer(request: Any) -> Any:
        okay = {"base_resp": {"status_code": 0}}
        refused = {"base_resp": {"status_code": 2049, "status_msg": "invalid api key"}}
        if "remains" in request.url:
            return json_answer({"model_remains": []} | okay if kind == "plan" else refused)
        if "balance" in request.url:
            return json_answer({"available_amount": "5"} | okay)
        return json_answer(ANSWER)

    session = Session(make_transport=lambda: FakeTransport(answer), clock=FakeClock())

    async def learn() -> None:
        settings = session.settings()
        for turn in (1, 2):
            async for _ in session.prepare(Ask(f"{turn}")).events():
                pass
            watch = session.watch(settings, session.credential())
            await watch.refresh()
        await session.close()

    run(learn())
    assert [row.billing for row in rows(file)] == ["unknown", kind]


# -------------------------------------------------------------------------------------- budgets


def test_a_cells_budget(env: Callable[..., None], file: Path) -> None:
    """--budget takes the place of budget.cell, up or down, and leaves the other budgets alone."""
    write("budget: {cell: 0.0001, day: 0.01}")
    env(code_plan_key=PAID)
    session = fake()
    small = {"max_tokens": 1000, "cell": "c"}
    with pytest.raises(BudgetExceeded, match=r"this cell's budget of \$0\.00010"):
        use(session, Ask("hi", **small))
    use(session, Ask("hi", budget=Decimal("0.005"), **small))
    with pytest.raises(BudgetExceeded, match=r"this day's budget of \$0\.01"):
        use(session, Ask("hi", budget=Decimal(5), max_tokens=20_000, cell="d"))
    with pytest.raises(BudgetExceeded, match=r"this cell's budget of \$0 "):
        use(session, Ask("hi", budget=Decimal(0), **small))
    assert len(rows(file)) == 1


def test_the_configured_prices(env: Callable[..., None], file: Path) -> None:
    """A row's cost is by `prices` of llm.yaml as they are when the cell is run."""
    env(code_plan_key=PAID)
    write("prices: {mine: {input: 10000, output: 0}}")
    answer = {**ANSWER, "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}}
    session = fake(answer)
    use(session, Ask("hi", model="mine", whole=True))
    write("prices: {mine: {input: 30000, output: 0}}")
    use(session, Ask("hi", model="mine", whole=True), Ask("hi", model="nobodys", whole=True))
    assert [row.cost for row in rows(file)] == [Decimal("0.02"), Decimal("0.06"), None]


# ------------------------------------------------------------------------------- where and until


def test_another_ledger(
    env: Callable[..., None], sim: Simulator, file: Path, tmp_path: Path
) -> None:
    """A cell writes into the ledger that is set when it is run; going back finds the first again."""
    other = tmp_path / "other" / "usage.sqlite3"
    session = Session()

    async def whole() -> None:
        for number, ledger in enumerate((file, other, file), start=1):
            env(ledger=str(ledger))
            async for _ in session.prepare(Ask("hi", cell=str(number))).events():
                pass
        await session.close()

    run(whole())
    assert [row.label.cell for row in rows(file)] == ["1", "3"]
    assert [row.label.cell for row in rows(other)] == ["2"]


def test_a_ledger_in_llm_yaml(
    env: Callable[..., None], sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ledger` of llm.yaml does the same; the path is that of its own folder, or of the notebook's."""
    monkeypatch.delenv("MINIMAX_LEDGER")
    write("ledger: mine.sqlite3")
    use(Session(), Ask("hi"))
    (found,) = tmp_path.rglob("mine.sqlite3")
    assert len(rows(found)) == 1


def test_closing_writes_what_is_queued(sim: Simulator, file: Path) -> None:
    """When `close` has ended, all rows are on the disk, whoever holds the file up."""
    session = Session()

    async def whole() -> None:
        stopped = session.prepare(Ask("hi"))
        sim.script(Reply(text="word " * 400, delay_s=0.005))
        events = stopped.events()
        async for _ in events:
            if stopped.reply.text:
                break
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        await events.aclose()
        closing = asyncio.create_task(session.close())
        await asyncio.wait({closing}, timeout=0.2)
        assert not closing.done()
        holder.execute("ROLLBACK")
        holder.close()
        await closing
        with sqlite3.connect(file) as reader:
            found = reader.execute("SELECT status, output_tokens > 0 FROM requests").fetchall()
        reader.close()
        assert found == [("interrupted", 1)]

    run(whole())


def test_a_closed_session_goes_on(sim: Simulator, file: Path) -> None:
    """After `close` the next cell is written as ever."""
    session = Session()
    use(session, Ask("one"))
    use(session, Ask("two"))
    assert len(rows(file)) == 2


# --------------------------------------------------------------------------------------- preview


@pytest.mark.parametrize("flavor", ["openai_compat", "anthropic_messages"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_preview_is_what_is_sent(sim: Simulator, flavor: str, whole: bool) -> None:
    """Body and address of a preview are those of the request that is then sent: history, agent,
    system prompt and all options."""
    Path("config/agents.d").mkdir()
    agent = "{id: ana, model: {provider: minimax, model: MiniMax-M3}, temperature: 0.25}"
    write(f"agents: [{agent}]", "agents.d/a.yaml")
    session = Session()
    use(session, Ask("first question", chat="c", flavor=flavor))
    ask = Ask(
        "second question, größer 🙂",
        chat="c",
        agent="ana",
        system="Be brief.",
        max_tokens=99,
        thinking="off",
        flavor=flavor,
        whole=whole,
        instruction="As JSON.",
    )
    shown = session.preview(ask)
    use(session, ask)
    sent = sim.requests[-1]
    assert json.loads(shown.body) == sent.body
    assert shown.url == sim.url + sent.path
    assert shown.earlier == 2
    assert shown.model == "MiniMax-M3"
    assert shown.most_output == 99
    assert "größer 🙂" in shown.body


def test_a_preview_leaves_no_trace(sim: Simulator, file: Path) -> None:
    """A preview sends nothing, writes no row, reserves nothing and is no part of its chat."""
    write("budget: {day: 1}")
    session = Session()
    for _ in range(2):
        shown = session.preview(Ask("hi", chat="c", cell="x"))
        (budget,) = shown.budgets
        assert (budget.spent, budget.reserved) == (0, 0)
    assert sim.requests == []
    assert session.chats == {}
    assert rows(file) == []
    run(session.close())


def test_no_secret_in_a_preview(env: Callable[..., None], file: Path) -> None:
    """The key in use and whatever looks like one are masked in the body; the rest is as it is."""
    key = "no-shape-at-all-but-secret"
    env(code_plan_key=key)
    shown = Session().preview(
        Ask(f"{key} and {PLAN} and eyJhbGciOiJSUzI1NiJ9.eyJzdWIi.c2ln", system=PAID)
    )
    for secret in (key, PLAN, PAID, "eyJ"):
        assert secret not in shown.body
    json.loads(shown.body)
    assert "*** and *** and ***" in shown.body


def test_no_token_in_a_preview(file: Path) -> None:
    """The same holds for the token of a login."""
    desk = Desk()
    desk.plan(desk.serve().url)
    tokens = json.loads(BUNDLE.read_text())
    session = Session()
    shown = session.preview(Ask(f"what is {tokens['access_token']}?"))
    run(session.close())
    desk.stop()
    assert tokens["access_token"] not in shown.body


def test_a_preview_without_a_key(env: Callable[..., None], file: Path) -> None:
    """Without a key it still shows all of it, and says what is missing."""
    shown = Session().preview(Ask("hi"))
    assert shown.url.startswith("https://api.minimax.io/")
    assert any("no API key was found" in notice for notice in shown.notices)


def test_a_preview_says_what_would_be_refused(env: Callable[..., None], file: Path) -> None:
    """What a budget would refuse is said, and only that, by the same reckoning as the refusal."""
    env(code_plan_key=PAID)
    write("budget: {day: 0.01}")
    session = fake()
    for ask in (
        Ask("hi", max_tokens=1000, cell="a"),
        Ask("hi", max_tokens=20_000, cell="b"),
        Ask("hi", max_tokens=1000, budget=Decimal("0.0001"), cell="c"),
        Ask("hi", model="nobodys", max_tokens=5, cell="d"),
    ):
        shown = session.preview(ask)
        if shown.refused:
            with pytest.raises(BudgetExceeded):
                use(session, ask)
        else:
            use(session, ask)
        assert bool(shown.refused) == (ask.cell != "a")
    assert shown.least is None
    assert shown.most is None
    assert "No price is known" in shown.refused


def test_half_an_emoji_in_a_preview(env: Callable[..., None], file: Path) -> None:
    """Half of a surrogate pair, as broken clipboards leave it, can be shown like any text."""
    Session().preview(Ask("half: \ud83d")).body.encode()
