"""What the panel is shown, and when: the board over a real ledger, without a notebook."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from ledger_rows import begin, book

from minimax_magic.ask import Ask
from minimax_magic.clock import SystemClock
from minimax_magic.events import Started, TextDelta, UsageUpdate
from minimax_magic.messages import ApiFlavor, make_request
from minimax_magic.session import Session
from minimax_magic.simulator import Reply, Simulator
from minimax_magic.testing import FakeClock, FakeTransport, json_answer
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage import board as boards
from minimax_magic.usage.board import UsageBoard
from minimax_magic.usage.ledger import Ledger
from minimax_magic.usage.meter import Booking, Books, Meter, Purpose
from minimax_magic.usage.rows import Label, Totals
from minimax_magic.usage.view import UsageView

T = TypeVar("T")

# 01:00 on the first of December in Auckland, still November in most of the world
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
HALF_HOUR = 1800.0
NAMES = ["This cell", "This kernel", "Today", "This month", "All time"]
REMAINS = "/v1/token_plan/remains"


class Desk:
    """A session whose clock stands still, its ledger and a board."""

    def __init__(self, *answers: Any, clock: Any = None) -> None:
        self.clock = clock or FakeClock(NOW)
        self.transport = FakeTransport(*(answers or (quota(),)))
        self.session = Session(make_transport=lambda: self.transport, clock=self.clock)
        self.board = UsageBoard(self.session)
        self.views: list[UsageView] = []

    @property
    def books(self) -> Books:
        return self.session.books(self.session.settings())

    @property
    def ledger(self) -> Ledger:
        ledger = self.books.ledger
        assert ledger is not None
        return ledger

    @property
    def questions(self) -> list[str]:
        return [sent.url for sent in self.transport.sent if sent.method == "GET"]

    async def open(self, cell: str | None = None, **of_meter: Any) -> Booking:
        """A request under way."""
        meter = Meter(self.books, ApiFlavor.OPENAI_COMPAT, **{"region": "global", **of_meter})
        request = make_request("hello " * 20, {}, default_model="MiniMax-M2.5")
        return await meter.open(request, Purpose(Label(cell=cell)))

    @asynccontextmanager
    async def shown(self, show: Callable[[UsageView], None] | None = None) -> AsyncIterator[Desk]:
        """The board while it runs."""
        running = asyncio.create_task(self.board.run(show or self.views.append))
        try:
            yield self
        finally:
            running.cancel()
            await asyncio.wait({running})
            assert running.cancelled()

    async def until(self, condition: Callable[[UsageView], bool]) -> UsageView:
        """The first view from now on of which that is true; soon, whatever the clock says."""
        async with asyncio.timeout(5):
            while not (self.views and condition(self.views[-1])):
                await asyncio.sleep(0.002)
        return self.views[-1]


def quota() -> Any:
    pool = {
        "model_name": "general",
        "end_time": int((NOW + 7200) * 1000),
        "current_interval_status": 1,
        "current_interval_remaining_percent": 93,
    }
    return json_answer({"model_remains": [pool], "base_resp": {"status_code": 0}})


def scope(view: UsageView, name: str) -> Totals:
    return dict(view.scopes)[name]


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


def view_of(desk: Desk, **options: Any) -> UsageView:
    async def look() -> UsageView:
        try:
            return await desk.board.view(**options)
        finally:
            await desk.session.close()

    view: UsageView = run(look())
    return view


def text_of(tokens: int) -> list[TextDelta]:
    return [TextDelta("four" * tokens)]


@pytest.fixture(autouse=True)
def file(env: Callable[..., None], tmp_path: Path) -> Path:
    """The ledger's file, with a key of a plan and the real server."""
    path = tmp_path / "usage.sqlite3"
    env(ledger=str(path), code_plan_key="sk-cp-planted-0123456789")
    return path


@pytest.fixture
def auckland(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine there."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# ------------------------------------------------------------------------------------ the figures


def test_nothing_used_yet() -> None:
    """At first there are all scopes and 14 days, all of them nothing, and no problem."""
    view = view_of(Desk())
    assert [name for name, _ in view.scopes] == NAMES
    assert all(totals == Totals() for _, totals in view.scopes)
    assert len(view.days) == boards.DAYS
    assert {day.requests for _, day in view.days} == {0}
    assert (view.problem, view.live, view.budgets, view.last_tps) == ("", (), (), None)
    assert view.at == datetime.fromtimestamp(NOW, UTC)


def test_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any key the ledger is shown all the same; nobody is asked for what is left."""
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")
    desk = Desk()
    book(desk.ledger)
    view = view_of(desk, account_s=1.0)
    assert scope(view, "All time").requests == 1
    assert (view.billing, view.account, view.problem) == ("unknown", None, "")
    assert desk.transport.sent == []


def test_days_and_months_are_local(auckland: None) -> None:
    """Today and this month begin at midnight of the machine's own zone, and so do the bars."""
    desk = Desk()
    book(desk.ledger, "0.25", started_at=NOW - HALF_HOUR)
    book(desk.ledger, "0.5", started_at=NOW - 3 * HALF_HOUR)
    view = view_of(desk)
    requests = {name: totals.requests for name, totals in view.scopes}
    assert (requests["Today"], requests["This month"], requests["All time"]) == (1, 1, 2)
    last = [(name, day.cost) for name, day in view.days[-2:]]
    assert last == [("2026-11-30", Decimal("0.5")), ("2026-12-01", Decimal("0.25"))]


def test_this_kernel_is_this_process(file: Path) -> None:
    """What another process spent is not this kernel's, but all else counts it."""
    desk = Desk()
    other = Ledger(str(file))
    book(desk.ledger, started_at=NOW)
    book(other, started_at=NOW)
    other.close()
    requests = [totals.requests for _, totals in view_of(desk).scopes]
    assert requests == [0, 1, 2, 2, 2]


def test_this_cell_is_the_last_one() -> None:
    """The cell that was run last is this cell; one before it is not."""
    desk = Desk()

    async def use() -> UsageView:
        for cell, tokens in (("one", 50), ("two", 70)):
            booking = await desk.open(cell)
            booking.saw([UsageUpdate(TokenUsage(10, tokens))])
            booking.finish()
        return await desk.board.view()

    view = run(use())
    assert scope(view, "This cell").usage.output_tokens == 70
    assert scope(view, "This kernel").usage.output_tokens == 120


def test_a_replay_is_told_and_is_no_use_of_the_account() -> None:
    """The panel hears of it at once and counts it in every scope as replayed; the server is not asked
    again what is left, since nothing of it was taken."""
    desk = Desk()
    request = make_request("hello", {}, default_model="MiniMax-M2.5")

    async def use() -> UsageView:
        async with desk.shown():
            await desk.until(lambda view: view.account is not None)
            desk.clock.now += 90  # it may be asked again
            await Meter(desk.books, ApiFlavor.OPENAI_COMPAT, region="replay").replay(
                *(TokenUsage(10, 5), Decimal("0.25"), request, Purpose(Label(cell="c"))),
                simulated=False,
                recorded_flavor="openai_compat",
            )
            view = await desk.until(lambda view: scope(view, "This cell").replayed == 1)
        await desk.session.close()
        return view

    view = run(use())
    assert {totals for _, totals in view.scopes} == {Totals(replayed=1, avoided=Decimal("0.25"))}
    assert len(desk.questions) == 1


def test_simulated_and_real_are_apart(file: Path) -> None:
    """Real figures have nothing of the simulator in them, and the other way round."""
    desk = Desk()
    book(desk.ledger, "0.5", started_at=NOW)
    book(desk.ledger, "7", started_at=NOW, simulated=True, region="simulator")

    async def look() -> tuple[UsageView, UsageView]:
        real_answer, made_up = await desk.open(), await desk.open(simulated=True)
        real_answer.saw(text_of(30))
        made_up.saw(text_of(900))
        real = await desk.board.view()
        with Simulator() as sim:
            desk.session.simulator = sim
            return real, await desk.board.view()

    real, simulated = run(look())
    assert (real.simulated, simulated.simulated) == (False, True)
    assert [answer.output_tokens for answer in real.live] == [30]
    assert [answer.output_tokens for answer in simulated.live] == [900]
    assert Decimal("0.5") < scope(real, "All time").cost < 1
    assert 7 < scope(simulated, "All time").cost < 8


def test_what_is_under_way_counts_once() -> None:
    """An answer under way is in every sum with its estimate, once: its row in the ledger, which may
    hold an estimate too, is not added, neither to the sums nor to the bar of today."""
    desk = Desk()

    async def look() -> UsageView:
        booking = await desk.open("c")
        desk.clock.now += 3  # long enough for its estimate to be written
        booking.saw(text_of(1000))
        return await desk.board.view()

    view = run(look())
    (live,) = view.live
    assert live.output_tokens == 1000
    assert live.elapsed_s == 3
    for name in NAMES:
        totals = scope(view, name)
        assert (totals.requests, totals.open, totals.estimated) == (1, 1, 1)
        assert totals.usage.output_tokens == 1000
        assert totals.cost == live.cost
    assert view.days[-1][1].cost == live.cost


def test_budgets(file: Path, tmp_path: Path) -> None:
    """Budgets stand with what was spent and what is reserved; --budget is of the cell that was run
    last, and what was changed in llm.yaml holds at once."""
    llm = tmp_path / "config" / "llm.yaml"
    llm.write_text("budget: {day: 5}\n")
    desk = Desk()
    book(desk.ledger, "1.25", started_at=NOW)
    assert [(b.scope, b.limit, b.spent) for b in view_of(desk).budgets] == [
        ("day", Decimal(5), Decimal("1.25"))
    ]
    ask = Ask("hi", cell="c", budget=Decimal("0.5"), max_tokens=100)

    async def use() -> UsageView:
        desk.transport._answers = [
            json_answer({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]})
        ]
        async for _ in desk.session.prepare(ask).events():
            pass
        llm.write_text("budget: {day: 6, month: 7}\n")
        view = await desk.board.view()
        await desk.session.close()
        return view

    assert [(b.scope, b.limit) for b in run(use()).budgets] == [
        ("cell", Decimal("0.5")),
        ("day", Decimal(6)),
        ("month", Decimal(7)),
    ]


# ------------------------------------------------------------------------------------ as it changes


def test_estimates_give_way_to_what_was_measured() -> None:
    """While answers come and end, no picture ever has fewer requests or tokens than one before;
    the last one is what the ledger has, to the token."""
    desk = Desk()

    async def use() -> None:
        async with desk.shown():
            for done in range(0, 20, 2):
                bookings = [await desk.open(f"c{done}"), await desk.open(f"c{done + 1}")]
                await desk.until(lambda view: len(view.live) == 2)
                for booking in bookings:
                    booking.saw(text_of(10))
                    desk.clock.now += 0.3
                    await asyncio.sleep(0.004)
                for booking in bookings:
                    booking.saw([UsageUpdate(TokenUsage(200, 40))])
                    booking.finish()
                    await asyncio.sleep(0.002)
                await desk.until(lambda view: not view.live)
        await desk.session.close()

    run(use())
    for name in NAMES[1:]:
        sums = [scope(view, name) for view in desk.views]
        for figure in (
            [s.requests for s in sums],
            [s.usage.input_tokens for s in sums],
            [s.usage.output_tokens for s in sums],
        ):
            assert figure == sorted(figure)
        assert sums[-1] == desk.ledger.totals()
        assert sums[-1].usage == TokenUsage(20 * 200, 20 * 40)
    assert any(view.live for view in desk.views)


class Meddled(UsageBoard):
    """A board that is disturbed while it reads."""

    def __init__(self, session: Session, meddle: Callable[[int], None]) -> None:
        super().__init__(session)
        self.reads = 0
        self._meddle = meddle
        self._loop = asyncio.get_running_loop()

    def _read(self) -> Any:
        base = super()._read()
        self.reads += 1
        done = asyncio.run_coroutine_threadsafe(self._on_loop(self.reads), self._loop)
        done.result(5)
        return base

    async def _on_loop(self, reads: int) -> None:
        self._meddle(reads)


def test_what_ends_during_the_first_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that ends while the board reads for the first time is not lost until the next one."""
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")  # no word of the account stirs it
    desk = Desk()

    async def use() -> None:
        booking = await desk.open("c")
        desk.board = Meddled(desk.session, lambda _: booking.finish())
        async with desk.shown():
            view = await desk.until(lambda view: scope(view, "All time").requests == 1)
            assert not view.live
        await desk.session.close()

    run(use())
    assert [scope(view, "All time").requests for view in desk.views] == [1] * len(desk.views)


def test_what_changes_during_the_last_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often rows change while it reads, the last change is shown, and soon."""
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")  # no word of the account stirs it
    desk = Desk()

    async def use() -> None:
        bookings = [await desk.open("c") for _ in range(6)]

        def end_one(reads: int) -> None:
            if bookings:
                bookings.pop().finish()

        desk.board = Meddled(desk.session, end_one)
        async with desk.shown():
            view = await desk.until(lambda view: not view.live and not bookings)
            assert (
                await desk.until(lambda view: scope(view, "All time").requests == 6)
            ) is not None
            assert scope(view, "All time").open == 0
        await desk.session.close()

    run(use())


def test_a_long_answer_hides_nobody_else(file: Path) -> None:
    """While text keeps coming, the view is of now, and what other kernels spent is still read."""
    desk = Desk()
    other = Ledger(str(file))

    async def use() -> None:
        booking = await desk.open("c")
        async with desk.shown():
            await desk.until(lambda view: bool(view.live))
            for _ in range(5):  # what the opening has changed is read by then
                desk.clock.now += 0.5
                booking.saw(text_of(1))
                await asyncio.sleep(0.02)
            book(other, started_at=NOW)
            begun = desk.clock.now
            while scope(desk.views[-1], "All time").requests != 2:
                assert desk.clock.now < begun + 60
                desk.clock.now += 0.5
                booking.saw(text_of(1))
                await asyncio.sleep(0.002)
            assert desk.clock.now > begun + 15
            assert desk.views[-1].live
            assert desk.clock.now - desk.views[-1].at.timestamp() < 2
        booking.finish()
        await desk.session.close()

    run(use())
    other.close()
    ages = [view.live[0].elapsed_s - (view.at.timestamp() - NOW) for view in desk.views]
    assert all(abs(age) < 1 for age in ages)


def test_a_simulator_behind_base_url() -> None:
    """That the configured server is a simulator is noticed with the first words of its first answer,
    which then is shown as simulated, not as money."""
    desk = Desk()

    async def use() -> None:
        async with desk.shown():
            booking = await desk.open("c")
            assert not (await desk.until(lambda view: bool(view.live))).simulated
            desk.clock.now += 1
            booking.saw([Started("MiniMax-M2.5", "id", True), *text_of(20)])
            view = await desk.until(lambda view: view.simulated)
            assert [answer.output_tokens for answer in view.live] == [20]
            assert scope(view, "This cell").requests == 1
            booking.finish()
            view = await desk.until(lambda view: not view.live)
            assert view.simulated
            assert scope(view, "All time").requests == 1
        await desk.session.close()

    run(use())


def test_a_real_answer_of_a_simulator(
    env: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP, from the first chunk to the server's own count: one request at all times."""
    with Simulator() as sim:
        env(base_url=sim.url, code_plan_key=sim.key)
        sim.script(Reply(text="word " * 200, thinking="", delay_s=0.005))
        desk = Desk()
        desk.session = Session()
        desk.board = UsageBoard(desk.session)

        async def use() -> None:
            async with desk.shown():
                turn = desk.session.prepare(Ask("hi", cell="c"))
                async for _ in turn.events():
                    pass
                await desk.until(lambda view: scope(view, "This cell").estimated == 0)
                await desk.until(lambda view: scope(view, "This cell").requests == 1)
            await desk.session.close()

        run(use())
        last = scope(desk.views[-1], "This cell")
        assert last.usage.output_tokens == sim.served.output_tokens
        assert (desk.views[-1].simulated, last.open) == (True, 0)
        assert desk.views[-1].last_tps
        assert any(view.live and view.simulated for view in desk.views)


# ---------------------------------------------------------------------------- what the account has


def test_what_is_left_is_waited_for_if_asked() -> None:
    """A table waits for the server's word; what it says is how the key is billed."""
    view = view_of(Desk(), account_s=5.0)
    assert view.account is not None
    assert view.account.quota is not None
    assert view.billing == "plan"


def test_nobody_asked_yet() -> None:
    """Before the first answer there is no account, rather than an empty one."""
    desk = Desk()

    async def look() -> UsageView:
        view = await desk.board.view()
        await desk.session.close()
        return view

    desk.transport.send = _never  # type: ignore[method-assign, assignment]
    assert run(look()).account is None


async def _never(request: Any) -> Any:
    await asyncio.Event().wait()


def test_the_server_is_not_waited_for() -> None:
    """A server that never says what is left does not keep figures from being shown."""
    desk = Desk()
    desk.transport.send = _never  # type: ignore[method-assign, assignment]

    async def use() -> None:
        async with desk.shown():
            await desk.until(lambda view: scope(view, "All time").requests == 0)
            booking = await desk.open("c")
            booking.finish()
            await desk.until(lambda view: scope(view, "All time").requests == 1)
        await desk.session.close()

    run(use())


def test_the_answer_of_the_account_is_shown() -> None:
    """What the server says arrives by itself."""
    desk = Desk()

    async def use() -> None:
        async with desk.shown():
            view = await desk.until(lambda view: view.account is not None)
            assert view.account is not None
            assert view.account.quota is not None
        await desk.session.close()

    run(use())


@pytest.mark.parametrize("answer", [quota(), json_answer({"error": "busy"}, 500)])
def test_asking_does_not_lead_to_asking(answer: Any) -> None:
    """An answer of the account, even a failure, is not itself a reason to ask again: with nothing
    used there is one question, and the panel comes to rest."""
    desk = Desk(answer)

    async def use() -> None:
        async with desk.shown():
            await asyncio.sleep(0.5)
            asked, shown, now = len(desk.questions), len(desk.views), desk.clock.now
            await asyncio.sleep(0.3)
            assert (len(desk.questions), len(desk.views)) == (asked, shown)
            assert (asked, desk.clock.now) == (1, now)
            assert shown <= 4
        await desk.session.close()

    run(use())


def test_once_a_minute() -> None:
    """However much is used, the server is asked no more than once a minute, and not much less."""
    desk = Desk()
    begun = desk.clock.now

    async def use() -> None:
        def show(view: UsageView) -> None:
            desk.views.append(view)
            desk.books.tell("rows")

        async with desk.shown(show):
            while desk.clock.now < begun + 600:
                await asyncio.sleep(0.002)
        await desk.session.close()

    run(use())
    minutes = (desk.clock.now - begun) / 60
    assert minutes / 3 < len(desk.questions) <= minutes + 1
    assert REMAINS in desk.questions[0]


def test_a_simulator_is_not_flooded(
    env: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted at a real server: some fake minutes of a panel that is never at rest."""
    with Simulator() as sim:
        env(base_url=sim.url, code_plan_key=sim.key)
        desk = Desk()
        desk.session = Session(clock=desk.clock)
        desk.board = UsageBoard(desk.session)
        begun = desk.clock.now

        async def use() -> None:
            def show(view: UsageView) -> None:
                desk.books.tell("account")

            async with desk.shown(show):
                while desk.clock.now < begun + 300:
                    await asyncio.sleep(0.002)
            await desk.session.close()

        run(use())
        asked = [request for request in sim.requests if request.method == "GET"]
        assert 1 <= len(asked) <= (desk.clock.now - begun) / 60 + 1


# ---------------------------------------------------------------------------------- pace and end


def test_the_pace() -> None:
    """However fast text comes, a panel is drawn four times a second and no more."""
    desk = Desk()
    drawn: list[float] = []

    async def use() -> None:
        async with desk.shown(lambda _: drawn.append(desk.clock.now)):
            booking = await desk.open("c")
            for _ in range(200):
                booking.saw(text_of(1))
                booking._books.tell("rows")
                await asyncio.sleep(0.001)
            booking.finish()
        await desk.session.close()

    run(use())
    assert len(drawn) > 3
    assert min(b - a for a, b in itertools.pairwise(drawn)) >= 0.25


def test_the_pace_in_real_time() -> None:
    """The same by the machine's clock: in a second at most five pictures."""
    desk = Desk(clock=SystemClock())

    async def use() -> int:
        async with desk.shown():
            await desk.until(lambda view: True)
            desk.views.clear()
            end = time.monotonic() + 1
            while time.monotonic() < end:
                desk.books.tell("rows")
                await asyncio.sleep(0.01)
            shown = len(desk.views)
        await desk.session.close()
        return shown

    assert 2 <= run(use()) <= 5


def test_the_end_leaves_nothing() -> None:
    """Cancelled at any moment, the board hears of nothing more and leaves no task."""
    desk = Desk()

    async def use() -> None:
        before = len(asyncio.all_tasks())
        for steps in (0, 1, 5, 50):
            async with desk.shown():
                for _ in range(steps):
                    await asyncio.sleep(0.001)
                if steps == 50:
                    assert len(desk.books._listeners) == 1
            assert desk.books._listeners == []
        await desk.session.close()
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == before

    run(use())


def test_another_ledger_in_between(
    env: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the ledger is changed, the board listens to the new one and to no other."""
    monkeypatch.setattr(boards, "_IDLE_S", 0.05)
    desk = Desk()

    async def use() -> None:
        async with desk.shown():
            (await desk.open("c")).finish()
            await desk.until(lambda view: scope(view, "All time").requests == 1)
            before = desk.books
            env(ledger=str(tmp_path / "other.sqlite3"))
            await desk.until(lambda view: scope(view, "All time").requests == 0)
            assert before._listeners == []
            assert len(desk.books._listeners) == 1
        assert desk.books._listeners == []
        await desk.session.close()

    run(use())


# ------------------------------------------------------------------------------------ what is wrong


def test_a_damaged_ledger(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that cannot be read is said in the panel and ends nothing; once it is moved away, all
    is well again."""
    monkeypatch.setattr(boards, "_IDLE_S", 0.05)
    file.write_bytes(b"no ledger at all" * 500)
    desk = Desk()

    async def use() -> None:
        async with desk.shown():
            view = await desk.until(lambda view: bool(view.problem))
            assert "usage.sqlite3 is damaged" in view.problem
            os.unlink(file)
            await desk.until(lambda view: not view.problem and len(view.scopes) == 5)
        await desk.session.close()

    run(use())


def test_an_llm_yaml_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with a mistake in llm.yaml, made while the panel is there."""
    monkeypatch.setattr(boards, "_IDLE_S", 0.05)
    llm = tmp_path / "config" / "llm.yaml"
    desk = Desk()

    async def use() -> None:
        async with desk.shown():
            await desk.until(lambda view: not view.problem)
            books = desk.books
            llm.write_text("providers: [")
            view = await desk.until(lambda view: bool(view.problem))
            assert "config/llm.yaml" in view.problem
            assert books._listeners == []
            llm.unlink()
            await desk.until(lambda view: not view.problem)
            assert len(books._listeners) == 1
        await desk.session.close()

    run(use())


def test_a_row_that_could_not_be_written(file: Path) -> None:
    """That usage could not be recorded is said, beside the figures there are."""
    desk = Desk()
    begin(desk.ledger, started_at=NOW)
    desk.books.failed(OSError("the disk is full"))
    view = view_of(desk)
    assert view.problem == "the disk is full"
    assert len(view.scopes) == 5
