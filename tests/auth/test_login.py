"""Waiting for somebody to approve, and what is stored then."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from auth_fakes import MARK, USER_CODE, account, bundle_file, form_of, grant, run, shown

from minimax_magic.auth.bundle import TokenBundle
from minimax_magic.auth.bundle_file import BundleFile
from minimax_magic.auth.login import WAITING, PendingLogin, begin_login
from minimax_magic.auth.oauth import CODING_PLAN, PORTAL
from minimax_magic.auth.token_plan import TokenPlan
from minimax_magic.clock import utc
from minimax_magic.errors import (
    APIConnectionError,
    AuthError,
    ConfigError,
    LoginDenied,
    LoginExpired,
    MinimaxError,
    ProtocolError,
)
from minimax_magic.simulator import Simulator
from minimax_magic.testing import Answer, FakeClock, FakeTransport, json_answer
from minimax_magic.transport import AiohttpTransport
from minimax_magic.wire.http import HttpRequest

PENDING = json_answer({"status": "pending"})
SLOW_DOWN = json_answer({"error": "slow_down"}, status=400)
BAD_GATEWAY = Answer(502, {}, (b"<html>",))
NONSENSE = Answer(200, {"content-type": "text/html"}, (f"<html>hotel {MARK}".encode(),))
LOST = APIConnectionError("account.minimax.io cannot be reached.")
TROUBLE = "The server is in trouble at the moment; trying again."
AGAIN = f"{LOST.message} Trying again."
STORING = "Approved; storing the login."


def device_answer(request: HttpRequest) -> Answer:
    return json_answer(
        {
            "user_code": USER_CODE,
            "verification_uri": f"https://platform.minimax.io/oauth-authorize?{USER_CODE}",
            "expired_in": 600,
            "interval": 3000,
            "state": form_of(request)["state"],
        }
    )


class Flow:
    """A login whose polls are answered one after the other."""

    def __init__(self, folder: Path, *polls: Any, **more: Any) -> None:
        self.clock = FakeClock()
        self.file = bundle_file(folder)
        self.transport = FakeTransport(device_answer, *polls)
        self.account = account(self.transport, self.clock, **more)
        self.states: list[str] = []

    async def begin(self) -> PendingLogin:
        return await begin_login(self.account, self.file, self.clock)

    async def login(self, timeout_s: float | None = None) -> TokenBundle:
        return await (await self.begin()).wait(self.states.append, timeout_s)

    @property
    def polls(self) -> int:
        return len(self.transport.sent) - 1


def test_a_login_that_is_approved(tmp_path: Path) -> None:
    """It asks in the server's interval, then stores who, where and until when."""
    flow = Flow(tmp_path, PENDING, PENDING, grant())
    got = run(flow.login())
    assert flow.clock.slept == [3, 3, 3]
    assert flow.states == [WAITING, STORING]
    assert got == flow.file.read()
    assert got.access_token.get_secret_value() == f"access-{MARK}-2"
    assert got.refresh_token is not None
    assert got.refresh_token.get_secret_value() == f"refresh-{MARK}-2"
    assert (got.region, got.resource_url, got.client_id) == (
        "https://api.minimax.io",
        "https://api.minimax.io/anthropic",
        PORTAL.client_id,
    )
    assert got.expires_at == utc(flow.clock.now + 900)
    assert got.lifetime_s == 900


def test_the_bundle_tells_whose_login_it_is(tmp_path: Path) -> None:
    """Region and client id have to be repeated at every refresh."""
    flow = Flow(tmp_path, grant(resource_url=None), region="china", profile=CODING_PLAN)
    got = run(flow.login())
    assert (got.region, got.client_id) == ("https://api.minimaxi.com", CODING_PLAN.client_id)
    assert got.resource_url is None


def test_slow_down_adds_five_seconds_for_good(tmp_path: Path) -> None:
    """Each time, as RFC 8628 says, and 429 means the same."""
    limited = Answer(429, {}, (b"<html>",))
    flow = Flow(tmp_path, PENDING, SLOW_DOWN, PENDING, limited, grant())
    run(flow.login())
    assert flow.clock.slept == [3, 3, 8, 8, 13]
    assert flow.states == [WAITING, STORING]


def test_a_lost_connection_is_no_failure(tmp_path: Path) -> None:
    """It is said, once, and that it is there again; the login goes on."""
    flow = Flow(tmp_path, LOST, LOST, PENDING, grant())
    run(flow.login())
    assert flow.states == [WAITING, AGAIN, WAITING, STORING]
    assert flow.clock.slept == [3, 3, 3, 3]


def test_trouble_of_the_server_is_no_failure(tmp_path: Path) -> None:
    """It is shown until the next answer."""
    flow = Flow(tmp_path, BAD_GATEWAY, BAD_GATEWAY, PENDING, grant())
    run(flow.login())
    assert flow.states == [WAITING, TROUBLE, WAITING, STORING]


def test_nonsense_is_forgiven_twice_in_a_row(tmp_path: Path) -> None:
    """A third time the fault is no passing one."""
    flow = Flow(tmp_path, NONSENSE, NONSENSE, PENDING, NONSENSE, NONSENSE, grant())
    run(flow.login())
    flow = Flow(tmp_path, NONSENSE)
    with pytest.raises(ProtocolError):
        run(flow.login())
    assert flow.polls == 3


def test_nobody_approves(tmp_path: Path) -> None:
    """The code's end is the login's; the last question is asked just then."""
    flow = Flow(tmp_path, PENDING)
    with pytest.raises(LoginExpired, match="Nobody approved the sign-in within 10 minutes"):
        run(flow.login())
    assert sum(flow.clock.slept) == 600
    assert flow.polls == 200
    assert flow.file.read() is None


def test_a_timeout_ends_it_earlier(tmp_path: Path) -> None:
    """It cuts the last pause; a longer one than the code's life changes nothing."""
    flow = Flow(tmp_path, PENDING)
    with pytest.raises(LoginExpired, match="within 10 seconds"):
        run(flow.login(10))
    assert flow.clock.slept == [3, 3, 3, 1]
    flow = Flow(tmp_path, PENDING)
    with pytest.raises(LoginExpired, match="within 10 minutes"):
        run(flow.login(1000))


def test_a_connection_that_stays_lost(tmp_path: Path) -> None:
    """At the end that is the reason, not that nobody approved."""
    flow = Flow(tmp_path, PENDING, LOST)
    with pytest.raises(APIConnectionError, match="cannot be reached"):
        run(flow.login())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (json_answer({"error": "access_denied"}, status=400), LoginDenied),
        (json_answer({"error": "expired_token"}, status=400), LoginExpired),
        (json_answer({"error": "invalid_client"}, status=401), AuthError),
    ],
)
def test_a_final_no(tmp_path: Path, answer: Answer, kind: type[MinimaxError]) -> None:
    """It ends the login at once, and nothing is stored."""
    flow = Flow(tmp_path, PENDING, answer)
    with pytest.raises(kind) as caught:
        run(flow.login())
    assert type(caught.value) is kind
    assert flow.polls == 2
    assert flow.file.read() is None


def test_cancelling_stores_nothing(tmp_path: Path) -> None:
    """Whether it waits or asks; an older login stays."""
    flow = Flow(tmp_path, PENDING)

    async def go() -> None:
        pending = await flow.begin()
        for steps in range(1, 12):
            task = asyncio.create_task(pending.wait())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(go())
    assert flow.file.read() is None
    assert flow.polls > 0


def test_a_login_replaces_another_whatever_its_state(tmp_path: Path) -> None:
    """A damaged file is overwritten by the new login."""
    flow = Flow(tmp_path, grant())
    flow.file.path.parent.mkdir()
    flow.file.path.write_text("{")
    run(flow.login())
    assert flow.file.read() is not None


def test_a_folder_that_cannot_be_written_is_told_before_anybody_signs_in(tmp_path: Path) -> None:
    """No code is asked for."""
    flow = Flow(tmp_path, grant())
    (tmp_path / "secrets").touch()
    with pytest.raises(ConfigError, match="cannot be locked"):
        run(flow.begin())
    assert flow.transport.sent == []


def test_tokens_that_cannot_be_stored(tmp_path: Path) -> None:
    """The login fails, and its traceback does not show what could not be stored."""
    flow = Flow(tmp_path, grant())
    flow.file.path.mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        run(flow.login())
    assert "write_private" in shown(caught.value)
    assert MARK not in shown(caught.value)


def test_another_process_holds_the_bundle(tmp_path: Path) -> None:
    """Beginning waits 5 s for it and no longer."""
    flow = Flow(tmp_path, grant())

    async def go() -> None:
        async with BundleFile(flow.file.path).lock(FakeClock()):
            with pytest.raises(ConfigError, match="for 5 s"):
                await flow.begin()

    run(go())


async def storing(flow: Flow, pending: PendingLogin, wait_s: float) -> asyncio.Task[TokenBundle]:
    """An approved login that has been waiting for the lock for so long by its clock."""
    task = asyncio.create_task(pending.wait(flow.states.append))
    while STORING not in flow.states:
        await asyncio.sleep(0)
    begin = flow.clock.now
    while flow.clock.now < begin + wait_s and not task.done():
        await asyncio.sleep(0)
    return task


def test_approved_tokens_wait_for_the_lock_however_long(tmp_path: Path) -> None:
    """They are nowhere else: another process may hang for longer than a refresh would wait."""
    flow = Flow(tmp_path, grant())

    async def go() -> None:
        pending = await flow.begin()
        async with BundleFile(flow.file.path).lock(FakeClock()):
            task = await storing(flow, pending, wait_s=150)
            assert not task.done()
            assert flow.file.read() is None
        assert await task == flow.file.read()

    run(go())
    kept = flow.file.read()
    assert kept is not None
    assert kept.access_token.get_secret_value() == f"access-{MARK}-2"
    assert flow.polls == 1


def test_waiting_for_the_lock_can_be_cancelled(tmp_path: Path) -> None:
    """Nothing is stored then, and the lock is free for others."""
    flow = Flow(tmp_path, grant())

    async def go() -> None:
        pending = await flow.begin()
        async with BundleFile(flow.file.path).lock(FakeClock()):
            task = await storing(flow, pending, wait_s=10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with flow.file.lock(FakeClock(), patience_s=0):
            assert flow.file.read() is None

    run(go())


@pytest.mark.parametrize("failure", [LOST, NONSENSE, json_answer({"error": "no"}, status=400)])
def test_no_failure_shows_a_secret(
    tmp_path: Path, failure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither repr, words, variables, states nor logs have the code, the proof or a token."""
    flow = Flow(tmp_path, PENDING, failure)
    with caplog.at_level(logging.DEBUG):
        pending = run(flow.begin())
        assert pending.code.user_code == USER_CODE
        with pytest.raises(MinimaxError) as caught:
            run(pending.wait(flow.states.append))
    texts = "\n".join([shown(caught.value), repr(pending), str(flow.states), caplog.text])
    for secret in (MARK, pending.proof.verifier, pending.proof.state):
        assert secret not in texts


@pytest.mark.parametrize("skew_s", [0, 3600, -3600])
@pytest.mark.parametrize("unit", ["epoch_ms", "epoch_s", "ttl_s"])
def test_a_login_at_the_simulator(tmp_path: Path, skew_s: int, unit: Any) -> None:
    """Over HTTP, through the old addresses' 307, with a server whose clock is an hour off."""
    with Simulator() as server:
        server.account.clock_offset_s = skew_s
        server.account.expired_in_unit = unit
        server.account.auto_approve_after_polls = 2
        clock, file = FakeClock(time.time()), bundle_file(tmp_path)

        async def go() -> None:
            transport = AiohttpTransport()
            client = account(transport, clock, region=server.url)
            try:
                await (await begin_login(client, file, clock)).wait()
                clock.now = time.time()
                source = TokenPlan(file, lambda _: client, clock, keep_fresh=False)
                first = await source.fresh_bearer()
                assert server.account.accepts(first)
                assert server.account.refreshes == 0
                await source.force_refresh(first)
                assert server.account.accepts(await source.fresh_bearer())
                assert server.account.refreshes == 1
            finally:
                await transport.close()

        run(go())
        kept = file.read()
        assert kept is not None
        assert kept.seconds_left(clock.time()) == pytest.approx(900, abs=5)
        assert kept.resource_url == f"{server.url}/anthropic"
