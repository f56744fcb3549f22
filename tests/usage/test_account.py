"""Asking what the account has left, and when that is asked again."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr

from minimax_magic.auth.sources import Credential, StaticKey
from minimax_magic.clock import SystemClock, utc
from minimax_magic.errors import (
    APIConnectionError,
    APITimeoutError,
    CredentialInvalid,
    LoginExpired,
    MinimaxError,
    ProtocolError,
    RateLimitError,
    ServerError,
)
from minimax_magic.simulator import Reply, Simulator, Usage
from minimax_magic.testing import Answer, FakeAuth, FakeClock, FakeTransport, json_answer
from minimax_magic.transport import AiohttpTransport, Transport
from minimax_magic.usage.account import AccountReader, AccountState, AccountWatch
from minimax_magic.usage.rows import Billing
from minimax_magic.wire.balance import BALANCE_PATH
from minimax_magic.wire.http import HttpRequest
from minimax_magic.wire.remains import LEGACY_REMAINS_PATH, REMAINS_PATH

ROOT = "https://gateway.example/minimax"
KEY = "PLANTED.key.without.shape"
START = 1_750_000_000.0
OK = {"status_code": 0, "status_msg": "success"}
NGINX = Answer(404, {"content-type": "text/html"}, (b"<html>404 Not Found</html>",))
PAGE = Answer(200, {"content-type": "text/html"}, (b"<html>Welcome to our hotel</html>",))

T = TypeVar("T")


def quota(percent: int = 93, ends_in_s: float = 7200) -> Answer:
    pool = {
        "model_name": "general",
        "end_time": int((START + ends_in_s) * 1000),
        "current_interval_status": 1,
        "current_interval_remaining_percent": percent,
        "weekly_end_time": int((START - 1) * 1000),  # no limit: its end means nothing
        "current_weekly_status": 3,
    }
    return json_answer({"model_remains": [pool], "base_resp": OK})


def balance(available: str = "98.00") -> Answer:
    return json_answer({"available_amount": available, "base_resp": OK})


def refusal(code: int = 2049, said: str = "invalid api key") -> Answer:
    return json_answer({"base_resp": {"status_code": code, "status_msg": said}})


def refused_401() -> Answer:
    return json_answer({"type": "error", "error": {"message": "invalid api key (2049)"}}, 401)


class Desk:
    """A reader with fakes around it."""

    def __init__(self, *answers: Any, kind: Billing = "unknown", auth: Any = None) -> None:
        self.transport = FakeTransport(*answers)
        self.clock = FakeClock(START)
        self.auth = auth or FakeAuth(KEY)
        self.reader = AccountReader(ROOT, self.auth, self.transport, self.clock, "test/1", kind)

    @property
    def paths(self) -> list[str]:
        return [sent.url.removeprefix(ROOT) for sent in self.transport.sent]

    @property
    def bearers(self) -> list[str]:
        return [str(sent.headers["Authorization"]) for sent in self.transport.sent]


def run(work: Awaitable[T]) -> T:
    async def bounded() -> T:
        return await asyncio.wait_for(work, 20)

    return asyncio.run(bounded())


# ---------------------------------------------------------------------------------- the questions


def test_a_quota_is_asked_for_with_the_bearer() -> None:
    """A GET below the root, with the token as a bearer alone; the answer is the plan's quota."""
    desk = Desk(quota())
    found = run(desk.reader.quota())
    assert found.windows[0].remaining_percent == 93
    assert found.fetched_at == utc(START)
    [sent] = desk.transport.sent
    assert (sent.method, sent.url, sent.body) == ("GET", ROOT + REMAINS_PATH, b"")
    assert sent.headers["Authorization"] == f"Bearer {KEY}"
    assert sent.headers["User-Agent"] == "test/1"
    assert "X-Api-Key" not in sent.headers
    assert sent.silence_s == 10


def test_a_balance_is_asked_for() -> None:
    """At its own address, and read as exact money."""
    desk = Desk(balance("12.34"))
    found = run(desk.reader.balance())
    assert (found.available, found.currency) == (Decimal("12.34"), "USD")
    assert desk.paths == [BALANCE_PATH]


@pytest.mark.parametrize(
    "first",
    [NGINX, json_answer({}, 405), json_answer({"error": "no"}, 404), PAGE, json_answer({"a": 1})],
    ids=["404", "405", "404 in JSON", "a page", "another answer"],
)
def test_the_old_address_is_asked_where_the_new_one_is_not_known(first: Answer) -> None:
    """404, 405 and what is no answer lead to the legacy address, which is asked first from then on."""
    desk = Desk(first, quota(1), quota(2))
    assert run(desk.reader.quota()).windows[0].remaining_percent == 1
    assert run(desk.reader.quota()).windows[0].remaining_percent == 2
    assert desk.paths == [REMAINS_PATH, LEGACY_REMAINS_PATH, LEGACY_REMAINS_PATH]


def test_the_new_address_is_found_again() -> None:
    """When the legacy one goes away, the other is tried again."""
    desk = Desk(NGINX, quota(1), NGINX, quota(2), quota(3))
    for percent in (1, 2, 3):
        assert run(desk.reader.quota()).windows[0].remaining_percent == percent
    assert desk.paths[2:] == [LEGACY_REMAINS_PATH, REMAINS_PATH, REMAINS_PATH]


def test_a_server_that_knows_neither_says_so() -> None:
    """One sentence with the host; a balance that is not served is said the same way."""
    desk = Desk(NGINX)
    with pytest.raises(ProtocolError, match=r"^gateway.example does not tell what is left"):
        run(desk.reader.quota())
    with pytest.raises(ProtocolError, match=r"^gateway.example does not tell what balance"):
        run(desk.reader.balance())
    assert desk.paths == [REMAINS_PATH, LEGACY_REMAINS_PATH, BALANCE_PATH]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (json_answer({}, 503), ServerError),
        (json_answer({}, 429), RateLimitError),
        (refusal(1002, "rate limit"), RateLimitError),
        (APIConnectionError("gone"), APIConnectionError),
        (json_answer({}, 307, location="https://evil.example/"), MinimaxError),
        (Answer(200, {}, (b"{", APIConnectionError("broke"))), APIConnectionError),
    ],
    ids=["503", "429", "1002", "no network", "redirect", "broken"],
)
def test_nothing_else_is_tried_again(answer: Any, kind: type[MinimaxError]) -> None:
    """Trouble is reported after one question, of a quota and of a balance."""
    for ask in (AccountReader.quota, AccountReader.balance):
        desk = Desk(answer)
        with pytest.raises(kind):
            run(ask(desk.reader))
        assert len(desk.transport.sent) == 1
        assert desk.clock.slept == []


def test_every_answer_is_let_go_of() -> None:
    """Whatever it was, its connection is not kept."""
    for answer in (quota(), replace(NGINX), json_answer({}, 503), refusal()):
        run(Desk(answer).reader.read())
        assert answer.closed


def test_an_endless_answer_is_given_up() -> None:
    """More than a megabyte is no answer, and is not read to its end."""
    endless = Answer(200, {}, [b" " * 700_000, b" " * 700_000, MinimaxError("read too far")])
    with pytest.raises(ProtocolError):
        run(Desk(endless).reader.quota())


def test_silence_names_no_setting_that_does_not_help() -> None:
    """`idle_timeout_s` has nothing to do with this question."""
    silent = APITimeoutError("x sent nothing.", hint="Raise idle_timeout_s.")
    with pytest.raises(APITimeoutError) as caught:
        run(Desk(silent).reader.quota())
    assert "idle_timeout_s" not in str(caught.value)


def test_a_server_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole answer has a limit in time, beside that of each silence."""
    monkeypatch.setattr("minimax_magic.usage.account._ANSWER_S", 0.05)

    class Dripping(Answer):
        async def chunks(self) -> Any:
            while True:
                await asyncio.sleep(0.01)
                yield b" "

    dripping = Dripping(200)
    with pytest.raises(APITimeoutError, match=r"gateway.example did not finish"):
        run(Desk(dripping).reader.quota())
    assert dripping.closed


# ----------------------------------------------------------------------------------- renewed tokens


@pytest.mark.parametrize("refused", [refused_401, refusal, lambda: refusal(1004)])
def test_a_refused_token_is_renewed_once(refused: Callable[[], Answer]) -> None:
    """After a refusal, under 401 or 200, another token is asked for and sent."""
    desk = Desk(refused(), quota(), auth=FakeAuth("first", "second"))
    assert run(desk.reader.quota()).windows[0].remaining_percent == 93
    assert desk.bearers == ["Bearer first", "Bearer second"]
    assert desk.auth.refreshes == 1


def test_a_second_refusal_is_final_and_no_more_tokens_are_spent() -> None:
    """A renewal that did not help is not done again until an answer came."""
    auth = FakeAuth("first", "second", "third", "fourth")
    desk = Desk(refusal(), refusal(), refusal(), quota(), refusal(), quota(), auth=auth)
    for renewed in (1, 1):
        with pytest.raises(CredentialInvalid):
            run(desk.reader.quota())
        assert auth.refreshes == renewed
    run(desk.reader.quota())
    run(desk.reader.quota())
    assert auth.refreshes == 2
    assert desk.bearers[-2:] == ["Bearer second", "Bearer third"]


def test_a_key_is_sent_once() -> None:
    """A key cannot be renewed: its refusal counts at once."""
    desk = Desk(refusal())
    with pytest.raises(CredentialInvalid):
        run(desk.reader.quota())
    assert len(desk.transport.sent) == 1


def test_a_login_that_ended_is_the_problem() -> None:
    """What the source of tokens says is shown, with what to do about it."""

    class Ended(FakeAuth):
        async def fresh_bearer(self) -> str:
            raise LoginExpired("The login ended.", hint="Log in again.")

    desk = Desk(quota(), kind="plan", auth=Ended())
    assert run(desk.reader.read()) == AccountState(None, None, "The login ended. Log in again.")
    assert desk.transport.sent == []


# ------------------------------------------------------------------------------- what fits a key


@pytest.mark.parametrize(
    ("kind", "answer", "path"),
    [("plan", quota(), REMAINS_PATH), ("per_token", balance(), BALANCE_PATH)],
)
def test_a_known_kind_is_asked_its_own_question(kind: Billing, answer: Answer, path: str) -> None:
    """A plan has a quota, a key that pays has a balance, and only that is asked."""
    desk = Desk(answer, kind=kind)
    assert desk.reader.kind == kind
    state = run(desk.reader.read())
    assert (state.quota is None, state.balance is None) == (kind != "plan", kind == "plan")
    assert (state.problem, state.fetched_at) == ("", utc(START))
    assert desk.paths == [path]


@pytest.mark.parametrize("kind", ["plan", "per_token"])
def test_a_known_kind_that_is_refused_is_the_problem(kind: Billing) -> None:
    """The other question is not tried: the words say what the server said."""
    desk = Desk(refusal(), kind=kind)
    state = run(desk.reader.read())
    assert (state.quota, state.balance, state.fetched_at) == (None, None, None)
    assert "gateway.example answered: invalid api key" in state.problem
    assert "\n" not in state.problem
    assert len(desk.paths) == 1


def test_an_unknown_key_of_a_plan_is_found_out() -> None:
    """The quota is asked first; that it was told is remembered."""
    desk = Desk(quota())
    assert desk.reader.kind == "unknown"
    assert run(desk.reader.read()).quota is not None
    assert desk.reader.kind == "plan"


@pytest.mark.parametrize("refused", [refusal, lambda: refusal(1004), refused_401])
def test_an_unknown_key_that_pays_is_found_out(refused: Callable[[], Answer]) -> None:
    """Refused as a plan's, it has a balance; from then on only that is asked."""
    desk = Desk(refused(), balance())
    for _ in range(2):
        state = run(desk.reader.read())
        assert (state.quota, state.problem) == (None, "")
        assert state.balance is not None
    assert desk.reader.kind == "per_token"
    assert desk.paths == [REMAINS_PATH, BALANCE_PATH, BALANCE_PATH]


def test_a_server_with_balances_only_is_found_out() -> None:
    """Where nobody knows the quota's addresses, the balance is asked for."""
    desk = Desk(NGINX, NGINX, balance())
    assert run(desk.reader.read()).balance is not None


def test_an_unknown_key_that_is_refused_everywhere_is_a_problem() -> None:
    """One line, the refusal before a missing route; nothing is learned of its kind."""
    for answers in ([refusal()], [refusal(), NGINX], [NGINX, NGINX, refusal()]):
        desk = Desk(*answers)
        state = run(desk.reader.read())
        assert state.problem.startswith("Neither the quota of a plan nor a balance is told: ")
        assert "invalid api key" in state.problem
        assert desk.reader.kind == "unknown"
    assert "does not tell" in run(Desk(NGINX).reader.read()).problem


def test_trouble_says_nothing_of_a_key() -> None:
    """After a 503 the balance is not asked for, and the kind stays unknown."""
    desk = Desk(json_answer({}, 503))
    assert "503" in run(desk.reader.read()).problem
    assert desk.paths == [REMAINS_PATH]
    assert desk.reader.kind == "unknown"


def test_no_key_comes_into_words_logs_or_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    """A server that echoes the key does not bring it anywhere."""
    caplog.set_level("DEBUG")
    echo = f"the key {KEY} is wrong"
    for answer in (
        refusal(2049, echo),
        json_answer({"error": {"message": echo}}, 401),
        json_answer({"error": {"message": echo}}, 400),
        Answer(502, {}, (echo.encode(),)),
    ):
        for ask in (AccountReader.quota, AccountReader.balance):
            desk = Desk(answer)
            with pytest.raises(MinimaxError) as caught:
                run(ask(desk.reader))
            error = caught.value
            trace = traceback.TracebackException(
                type(error), error, error.__traceback__, capture_locals=True
            )
            frames = [f.locals for f in trace.stack if "/minimax_magic/" in f.filename]
            assert len(frames) >= 3
            assert KEY not in f"{error} {error!r} {vars(error)} {frames}"
        desk = Desk(answer)
        assert KEY not in run(desk.reader.read()).problem
        assert KEY not in f"{vars(desk.reader)}"
    assert KEY not in caplog.text


# ------------------------------------------------------------------------------------------ watching


class Watched(Desk):
    """A watch with fakes around it, and a count of the changes it told of."""

    def __init__(self, *answers: Any, **more: Any) -> None:
        super().__init__(*answers, **{"kind": "plan", **more})
        self.changes = 0
        self.watch = AccountWatch(self.reader, self.clock, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    @property
    def percent(self) -> float | None:
        found = self.watch.state().quota
        return None if found is None else found.windows[0].remaining_percent


class HeldClock(FakeClock):
    """Sleeps until it is moved."""

    def __init__(self) -> None:
        super().__init__(START)
        self._moved = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until = self.now + seconds
        while self.now < until:
            await self._moved.wait()

    async def move(self, seconds: float) -> None:
        self.now += seconds
        self._moved.set()
        self._moved = asyncio.Event()
        await settle()


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def held(desk: Watched) -> HeldClock:
    """Puts a clock under a watch that only moves when told."""
    clock = HeldClock()
    desk.clock = clock
    desk.reader = AccountReader(ROOT, desk.auth, desk.transport, clock, "test/1", "plan")
    desk.watch = AccountWatch(desk.reader, clock, desk._changed)
    return clock


def test_nothing_is_known_before_it_is_asked() -> None:
    """The state is empty without a problem, and due."""
    desk = Watched(quota())
    assert desk.watch.state() == AccountState(None, None)
    assert desk.watch.due()
    assert desk.watch.kind == "plan"
    assert desk.transport.sent == []


def test_a_refresh_brings_the_figures_and_tells() -> None:
    """Afterwards the figures are there, fresh, and not due; the change was told once."""
    desk = Watched(quota())
    run(desk.watch.refresh())
    state = desk.watch.state()
    assert desk.percent == 93
    assert (state.problem, state.stale, state.fetched_at) == ("", False, utc(START))
    assert not desk.watch.due()
    assert desk.changes == 1


def test_figures_become_stale() -> None:
    """After 10 minutes they are older than they should be, and due."""
    desk = Watched(quota())
    run(desk.watch.refresh())
    assert not desk.watch.state(START + 600).stale
    assert desk.watch.state(START + 601).stale
    assert desk.watch.state(START + 601).quota == desk.watch.state().quota
    desk.clock.now += 600
    assert not desk.watch.due()
    desk.clock.now += 1
    assert desk.watch.due()


def test_a_reset_makes_figures_stale() -> None:
    """What was left of a window says nothing once it ended; one without limit has no end."""
    desk = Watched(quota(5, ends_in_s=120))
    run(desk.watch.refresh())
    assert not desk.watch.state(START + 119).stale
    assert desk.watch.state(START + 120).stale
    desk.clock.now += 120
    assert desk.watch.due()


def test_a_balance_has_no_reset() -> None:
    """It is stale by its age alone."""
    desk = Watched(balance(), kind="per_token")
    run(desk.watch.refresh())
    assert not desk.watch.state(START + 600).stale
    assert desk.watch.state(START + 601).stale


def test_a_failure_keeps_the_old_figures() -> None:
    """They are stale with the reason beside them, until an answer comes; each time it is told."""
    desk = Watched(quota(50), APIConnectionError("The name x was not found."), quota(40))
    run(desk.watch.refresh())
    desk.clock.now += 60
    run(desk.watch.refresh())
    state = desk.watch.state()
    assert (desk.percent, state.stale, state.fetched_at) == (50, True, utc(START))
    assert state.problem == "The name x was not found."
    assert not desk.watch.due()
    desk.clock.now += 60
    assert desk.watch.due()
    run(desk.watch.refresh())
    state = desk.watch.state()
    assert (desk.percent, state.stale, state.problem) == (40, False, "")
    assert desk.changes == 3


def test_a_failure_without_figures_is_a_problem() -> None:
    """There is nothing that could be stale; a minute later it is due again, not sooner."""
    desk = Watched(json_answer({}, 503))
    run(desk.watch.refresh())
    state = desk.watch.state()
    assert (state.quota, state.balance, state.stale, state.fetched_at) == (None, None, False, None)
    assert "503" in state.problem
    assert not desk.watch.due()
    desk.clock.now += 60
    assert desk.watch.due()


def test_a_fault_of_ours_is_a_problem_too() -> None:
    """A refresh never raises, whatever happens below it."""

    class Broken(FakeTransport):
        async def send(self, request: HttpRequest) -> Answer:
            raise ZeroDivisionError("secret words")

    desk = Watched(quota())
    reader = AccountReader(ROOT, desk.auth, Broken(), desk.clock, "test/1", "plan")
    watch = AccountWatch(reader, desk.clock)
    run(watch.refresh())
    assert watch.state().problem == "What is left could not be read: ZeroDivisionError."


@pytest.mark.parametrize("first", [quota(1), json_answer({}, 503)], ids=["answered", "failed"])
def test_within_the_minute_one_question_is_kept_for_its_end(first: Answer) -> None:
    """Many requests in a minute, after an answer or a failure, lead to one question at its end."""

    async def go() -> None:
        desk = Watched(first, quota(2), quota(3))
        clock = held(desk)
        await desk.watch.refresh()
        for _ in range(5):
            await clock.move(1)
            await desk.watch.refresh()  # returns at once
        assert len(desk.transport.sent) == 1
        await clock.move(54.9)
        assert len(desk.transport.sent) == 1
        await clock.move(0.2)
        assert (len(desk.transport.sent), desk.percent) == (2, 2)
        assert len(clock.slept) == 1
        await clock.move(3600)
        assert len(desk.transport.sent) == 2  # nothing was used since
        await desk.watch.refresh()
        assert desk.percent == 3

    run(go())


def test_a_person_need_not_wait() -> None:
    """`force` asks at once; the question that was kept is answered by it."""

    async def go() -> None:
        desk = Watched(quota(1), quota(2), quota(3))
        clock = held(desk)
        await desk.watch.refresh()
        await clock.move(10)
        await desk.watch.refresh()
        await desk.watch.refresh(force=True)
        assert desk.percent == 2
        await clock.move(60)
        assert len(desk.transport.sent) == 2

    run(go())


def test_what_is_used_after_that_is_asked_for_still() -> None:
    """A request between a forced question and the end of the minute gets its own, a minute later."""

    async def go() -> None:
        desk = Watched(quota(1), quota(2), quota(3))
        clock = held(desk)
        await desk.watch.refresh()
        await clock.move(10)
        await desk.watch.refresh()  # kept for 60
        await desk.watch.refresh(force=True)
        await clock.move(10)
        await desk.watch.refresh()
        await clock.move(40)  # 60: wakes, but the last question is 50 s old
        assert len(desk.transport.sent) == 2
        await clock.move(10)
        assert (len(desk.transport.sent), desk.percent) == (3, 3)

    run(go())


class Gate(FakeTransport):
    """Answers when it is opened."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(*answers)
        self.open = asyncio.Event()

    async def send(self, request: HttpRequest) -> Answer:
        self.sent.append(request)
        await self.open.wait()
        self.sent.pop()
        return await super().send(request)


def gated(*answers: Any) -> tuple[Gate, AccountWatch, FakeClock]:
    gate, clock = Gate(*answers), FakeClock(START)
    reader = AccountReader(ROOT, FakeAuth(KEY), gate, clock, "test/1", "plan")
    return gate, AccountWatch(reader, clock), clock


def test_there_are_never_two_questions_at_once() -> None:
    """Whoever comes while one is under way waits for the same answer, forced or not."""

    async def go() -> None:
        gate, watch, _ = gated(quota())
        waiting = [asyncio.create_task(watch.refresh(force=True)) for _ in range(4)]
        await settle()
        assert len(gate.sent) == 1
        assert not watch.due()
        assert not any(task.done() for task in waiting)
        gate.open.set()
        await asyncio.gather(*waiting)
        assert len(gate.sent) == 1
        assert watch.state().quota is not None

    run(go())


def test_a_request_that_ends_while_a_question_is_under_way_is_asked_for_later() -> None:
    """That answer may not count it yet: one more question is asked when the minute is over."""

    async def go() -> None:
        gate, watch, clock = gated(quota(2), quota(1))
        first = asyncio.create_task(watch.refresh())
        await settle()
        second = asyncio.create_task(watch.refresh())
        await settle()
        gate.open.set()
        await asyncio.gather(first, second)
        await settle()
        assert len(gate.sent) == 2
        assert clock.now == START + 60
        found = watch.state().quota
        assert found is not None
        assert found.windows[0].remaining_percent == 1

    run(go())


def test_one_who_gives_up_does_not_end_it_for_the_others() -> None:
    """An interrupted cell leaves the question to whoever waits beside it."""

    async def go() -> None:
        gate, watch, _ = gated(quota())
        first, second = (asyncio.create_task(watch.refresh(force=True)) for _ in range(2))
        await settle()
        first.cancel()
        await settle()
        assert first.cancelled()
        gate.open.set()
        await second
        assert watch.state().quota is not None

    run(go())


def test_closing_ends_what_waits_and_what_is_under_way() -> None:
    """Those who wait get back; nothing is asked afterwards; the watch can be used again."""

    async def go() -> None:
        ours = asyncio.all_tasks()
        gate, watch, clock = gated(quota())
        waiting = asyncio.create_task(watch.refresh())
        await settle()
        await watch.close()
        await waiting
        assert watch.state() == AccountState(None, None)
        gate.open.set()
        clock.now += 60
        await watch.refresh()
        assert watch.state().quota is not None
        assert asyncio.all_tasks() == ours

        desk = Watched(quota())
        held_clock = held(desk)
        await desk.watch.refresh()
        await desk.watch.refresh()
        assert len(asyncio.all_tasks()) == len(ours) + 1
        await desk.watch.close()
        assert asyncio.all_tasks() == ours
        await held_clock.move(60)
        assert len(desk.transport.sent) == 1

    run(go())


def test_a_loop_that_ended_takes_nothing_with_it() -> None:
    """What was under way or waited on a loop of the past does not keep a new one from asking."""
    gate, watch, clock = gated(quota())
    loop = asyncio.new_event_loop()
    left = loop.create_task(watch.refresh())
    for _ in range(5):
        loop.run_until_complete(asyncio.sleep(0))
    assert len(gate.sent) == 1
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.gather(left, return_exceptions=True))
    loop.close()
    clock.now += 60

    async def again() -> None:
        gate.open.set()
        await watch.refresh()
        await watch.close()

    gate.open = asyncio.Event()
    run(again())
    assert watch.state().quota is not None


# ------------------------------------------------------------------------------------- end to end


async def watching(
    sim: Simulator, transport: Transport, key: str, kind: Billing = "unknown"
) -> AccountWatch:
    auth = StaticKey(Credential(SecretStr(key), "a test"))
    reader = AccountReader(sim.url, auth, transport, SystemClock(), "test/1", kind)
    watch = AccountWatch(reader, SystemClock())
    await watch.refresh()
    return watch


def test_at_a_server_all_kinds_of_keys_are_told_what_is_left() -> None:
    """Over real HTTP: a quota, one from the old address, a balance, a refusal, no server."""

    async def go() -> None:
        transport = AiohttpTransport()
        async with Simulator() as sim:
            sim.account.remaining_percent = 42
            watch = await watching(sim, transport, sim.key)
            found = watch.state().quota
            assert found is not None
            assert [w.remaining_percent for w in found.windows] == [42, 100]
            assert abs(found.fetched_at.timestamp() - time.time()) < 10
            assert (watch.kind, watch.state().stale) == ("plan", False)

            sim.account.only_legacy_remains = True
            sim.account.remaining_percent = 41
            await watch.refresh(force=True)
            found = watch.state().quota
            assert found is not None
            assert [w.remaining_percent for w in found.windows] == [41, 100]
            assert not any(window.uncertain for window in found.windows)

            sim.account.scripted(503, "", to="remains")
            await watch.refresh(force=True)
            state = watch.state()
            assert (state.quota, state.stale) == (found, True)
            assert "503" in state.problem

            watch = await watching(sim, transport, "sk-api-1")
            paid = watch.state().balance
            assert paid is not None
            assert (paid.available, paid.currency) == (Decimal("100.00"), "USD")
            assert watch.kind == "per_token"

            watch = await watching(sim, transport, "other")
            state = watch.state()
            assert (state.quota, state.balance) == (None, None)
            assert "invalid api key" in state.problem
        await watch.refresh(force=True)
        assert "cannot be reached" in watch.state().problem
        await transport.close()

    run(go())


def test_at_a_server_what_is_used_goes_down() -> None:
    """Two refreshes with a request between them show less."""

    async def go() -> None:
        transport = AiohttpTransport()
        async with Simulator(key="sk-api-1") as sim:
            watch = await watching(sim, transport, sim.key, "per_token")
            sim.script(Reply("x", usage=Usage(output_tokens=1_000_000)))
            body = b'{"model":"MiniMax-M2.5","messages":[{"role":"user","content":"Hi"}]}'
            headers = {"Authorization": f"Bearer {sim.key}", "Content-Type": "application/json"}
            url = f"{sim.url}/v1/chat/completions"
            answer = await transport.send(HttpRequest("POST", url, headers, body))
            await answer.read()
            answer.close()
            await watch.refresh(force=True)
            state = watch.state()
            assert state.balance is not None
            assert state.balance.available == Decimal("98.80")
        await transport.close()

    run(go())


def test_at_a_server_an_expired_token_is_renewed() -> None:
    """A refusal inside a 200 leads to another token, and to the quota."""

    async def go() -> None:
        transport = AiohttpTransport()
        async with Simulator() as sim:
            stale = sim.account.issue(lifetime_s=-1).access_token
            auth = FakeAuth(stale, sim.account.issue().access_token)
            reader = AccountReader(sim.url, auth, transport, SystemClock(), "test/1", "plan")
            assert (await reader.quota()).windows
            assert auth.refreshes == 1
        await transport.close()

    run(go())
