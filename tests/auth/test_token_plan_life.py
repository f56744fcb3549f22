"""A login over time: interrupted, into a full disk, in the background, on several loops."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from pathlib import Path
from typing import Any

import pytest
from auth_fakes import (
    ACCESS,
    MARK,
    ManualClock,
    account,
    bundle,
    bundle_file,
    grant,
    plan,
    run,
    settle,
    shown,
)

from minimax_magic.auth.bundle import TokenBundle
from minimax_magic.auth.bundle_file import BundleBusy, BundleFile
from minimax_magic.auth.token_plan import TokenPlan
from minimax_magic.errors import (
    APIConnectionError,
    ConfigError,
    CredentialsMissing,
)
from minimax_magic.testing import Answer, FakeClock, FakeTransport, json_answer
from minimax_magic.wire.http import HttpRequest

NEW = f"access-{MARK}-2"
DEAD = json_answer({"error": "invalid_grant"}, status=400)
BAD_GATEWAY = Answer(502, {}, (b"<html>",))
NO_CLIENT = json_answer({"error": "invalid_client"}, status=401)


def lost(request: HttpRequest) -> APIConnectionError:
    return APIConnectionError("account.minimax.io cannot be reached.")


class Gate(FakeTransport):
    """Lets nothing through until it is opened."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(*answers)
        self.open = asyncio.Event()

    async def send(self, request: HttpRequest) -> Answer:
        answer = await super().send(request)
        await self.open.wait()
        return answer


class FullDisk(BundleFile):
    """A file that cannot be written for now."""

    full = True

    def write(self, bundle: TokenBundle) -> None:
        if self.full:
            raise ConfigError(f"{self.label} cannot be written: no space left on device.")
        super().write(bundle)


# ------------------------------------------------------------------------------ interrupted


def test_a_refresh_outlives_who_waits_for_it(tmp_path: Path) -> None:
    """The cell is interrupted, the refresh token is used up: the answer is written all the same."""
    file = bundle_file(tmp_path, bundle(0))

    async def go() -> None:
        transport = Gate(grant())
        source = plan(file, transport)
        waiting = [asyncio.create_task(source.fresh_bearer()) for _ in range(3)]
        await settle()
        for task in waiting[:2]:
            task.cancel()
        await settle()
        transport.open.set()
        assert await waiting[2] == NEW
        assert [task.cancelled() for task in waiting] == [True, True, False]
        assert len(transport.sent) == 1

    run(go())
    assert file.read().access_token.get_secret_value() == NEW  # type: ignore[union-attr]


def test_closing_waits_for_a_refresh_under_way(tmp_path: Path) -> None:
    """Also if nobody else waits for it any more."""
    file = bundle_file(tmp_path, bundle(0))

    async def go() -> None:
        transport = Gate(grant())
        source = plan(file, transport, ManualClock(), keep_fresh=True)
        asking = asyncio.create_task(source.fresh_bearer())
        await settle()
        asking.cancel()
        closing = asyncio.create_task(source.close())
        await settle()
        assert not closing.done()
        transport.open.set()
        await closing
        assert await source.fresh_bearer() == NEW
        await source.close()

    run(go())
    assert file.read().access_token.get_secret_value() == NEW  # type: ignore[union-attr]


def test_a_failed_refresh_that_nobody_waits_for_is_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The event loop's log has nothing of it."""

    async def go() -> None:
        transport = Gate(DEAD)
        source = plan(bundle_file(tmp_path, bundle(0)), transport)
        asking = asyncio.create_task(source.fresh_bearer())
        await settle()
        asking.cancel()
        transport.open.set()
        await source.close()

    run(go())
    gc.collect()
    assert caplog.records == []


def test_nobody_waits_long_while_the_old_token_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A slow refresh goes on alone, and its answer is written; an ended token waits for it."""
    monkeypatch.setattr("minimax_magic.auth.token_plan._PATIENCE_S", 0.0)
    file = bundle_file(tmp_path, bundle(50))

    async def go() -> None:
        transport, clock = Gate(grant()), FakeClock()
        source = plan(file, transport, clock)
        for _ in range(3):
            assert await source.fresh_bearer() == ACCESS
        await settle()
        clock.now += 50
        asking = asyncio.create_task(source.fresh_bearer())
        await settle()
        assert not asking.done()
        transport.open.set()
        assert await asking == NEW
        assert len(transport.sent) == 1

    run(go())
    assert caplog.text.count("Renewing the token takes long") == 1  # then it cools down


def test_closing_does_not_wait_for_another_processs_refresh(tmp_path: Path) -> None:
    """One that has not asked yet has nothing to lose."""
    file = bundle_file(tmp_path, bundle(0))
    transport = FakeTransport(grant())

    async def go() -> None:
        source = plan(file, transport, ManualClock())
        async with BundleFile(file.path).lock(FakeClock()):
            asking = asyncio.create_task(source.fresh_bearer())
            await settle()
            await source.close()
            await settle()
            assert asking.done()

    run(go())
    assert transport.sent == []


@pytest.mark.parametrize("answer", [grant(), DEAD, NO_CLIENT])
def test_asking_is_true_while_a_refresh_has_the_lock(tmp_path: Path, answer: Answer) -> None:
    """Not before, while another process has it, and not after, however it ended."""
    file = bundle_file(tmp_path, bundle(0))

    async def go() -> None:
        transport = Gate(answer)
        source = plan(file, transport)
        assert not source.asking
        async with BundleFile(file.path).lock(FakeClock()):
            waiting = asyncio.create_task(source.fresh_bearer())
            await settle()
            assert not waiting.done()
            assert not source.asking
        while not transport.sent:
            await asyncio.sleep(0)
        assert source.asking
        with pytest.raises(BundleBusy):
            async with BundleFile(file.path).lock(FakeClock(), patience_s=0):
                pass
        transport.open.set()
        await asyncio.wait([waiting])
        assert not source.asking
        async with BundleFile(file.path).lock(FakeClock(), patience_s=0):
            pass

    run(go())


def test_asking_is_over_with_an_interrupted_refresh(tmp_path: Path) -> None:
    """A loop that ends takes its refresh with it."""
    source = plan(bundle_file(tmp_path, bundle(0)), Gate(grant()))

    async def interrupted() -> None:
        asking = asyncio.create_task(source.fresh_bearer())
        await settle()
        assert source.asking
        assert not asking.done()

    run(interrupted())
    assert not source.asking


# ------------------------------------------------------------------------------- a full disk


def test_tokens_that_cannot_be_written_are_kept(tmp_path: Path) -> None:
    """It is an error, nothing is refreshed again, and the tokens are saved once there is room."""
    file = FullDisk(bundle_file(tmp_path, bundle(50)).path, "f")
    transport = FakeTransport(grant(), grant(3))
    source = plan(file, transport)
    for _ in range(3):
        with pytest.raises(ConfigError, match="no space left") as caught:
            run(source.fresh_bearer())
        assert MARK not in shown(caught.value)
    file.full = False
    assert run(source.fresh_bearer()) == NEW
    assert len(transport.sent) == 1
    kept = BundleFile(file.path).read()
    assert kept is not None
    assert kept.access_token.get_secret_value() == NEW


def test_unsaved_tokens_do_not_undo_a_new_login(tmp_path: Path) -> None:
    """Nor a logout: what they were to replace is gone."""
    file = FullDisk(bundle_file(tmp_path, bundle(0)).path, "f")
    source = plan(file, FakeTransport(grant()))
    with pytest.raises(ConfigError):
        run(source.fresh_bearer())
    BundleFile(file.path).write(bundle(900, access_token="new-login"))
    file.full = False
    assert run(source.fresh_bearer()) == "new-login"
    file.write(bundle(0))
    file.full = True
    with pytest.raises(ConfigError):
        run(source.fresh_bearer())
    file.full = False
    file.remove()
    with pytest.raises(CredentialsMissing):
        run(source.fresh_bearer())
    assert not file.path.exists()


# -------------------------------------------------------------------------------- background


def test_the_background_refreshes_before_anybody_must_wait(tmp_path: Path) -> None:
    """One and a half minutes before the end, again and again, until it is closed."""
    clock, transport = ManualClock(), FakeTransport(grant(2), grant(3))

    async def go() -> None:
        source = plan(bundle_file(tmp_path, bundle(100)), transport, clock, keep_fresh=True)
        assert await source.fresh_bearer() == ACCESS
        await settle()
        assert clock.slept == [10]
        await clock.advance(9)
        assert transport.sent == []
        await clock.advance(1)
        assert len(transport.sent) == 1
        assert await source.fresh_bearer() == NEW
        for _ in range(30):
            await clock.advance(30)
        assert len(transport.sent) == 2
        await source.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        for _ in range(100):
            await clock.advance(30)
        assert len(transport.sent) == 2

    run(go())


def test_the_background_ends_with_its_object(tmp_path: Path) -> None:
    """A client that is thrown away without closing leaves no task behind for long."""
    clock = ManualClock()

    async def go() -> None:
        source = plan(
            bundle_file(tmp_path, bundle(900)), FakeTransport(lost), clock, keep_fresh=True
        )
        await source.fresh_bearer()
        await settle()
        gone = weakref.ref(source)
        del source
        gc.collect()
        assert gone() is None
        await clock.advance(30)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(go())


def test_a_background_that_fails_goes_on_after_a_pause(tmp_path: Path) -> None:
    """Trouble is tried three times, then again half a minute later."""
    clock, transport = ManualClock(), FakeTransport(lost, lost, lost, grant())

    async def go() -> None:
        source = plan(bundle_file(tmp_path, bundle(80)), transport, clock, keep_fresh=True)
        await source.fresh_bearer()
        for seconds in (0, 0.5, 1, 1):
            await clock.advance(seconds)
        assert len(transport.sent) == 3
        await clock.advance(9)
        assert len(transport.sent) == 3
        await clock.advance(21)
        assert len(transport.sent) == 4
        assert await source.fresh_bearer() == NEW
        await source.close()

    run(go())


def test_a_background_whose_server_is_gone_ends_with_the_token(tmp_path: Path) -> None:
    """There is nothing to keep fresh any more: a stopped simulator is not asked for ever. The next
    request begins again."""
    clock, transport = ManualClock(), FakeTransport(*[lost] * 30, grant())

    async def go() -> None:
        source = plan(bundle_file(tmp_path, bundle(80)), transport, clock, keep_fresh=True)
        await source.fresh_bearer()
        for _ in range(400):
            await clock.advance(0.5)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        asked = len(transport.sent)
        await clock.advance(600)
        assert len(transport.sent) == asked
        waiting = asyncio.create_task(source.fresh_bearer())
        for _ in range(10):
            await clock.advance(0.5)
        with pytest.raises(APIConnectionError):
            await waiting
        assert len(transport.sent) > asked
        await source.close()

    run(go())


@pytest.mark.parametrize("answer", [DEAD, NO_CLIENT])
def test_a_background_that_is_refused_gives_up(
    tmp_path: Path, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    """One request, one line in the log at INFO; the token is used to its end."""
    clock, transport = ManualClock(), FakeTransport(answer)

    async def go() -> None:
        source = plan(bundle_file(tmp_path, bundle(80)), transport, clock, keep_fresh=True)
        with caplog.at_level(logging.INFO):
            for _ in range(5):
                assert await source.fresh_bearer() == ACCESS
                await settle()
        assert len(transport.sent) == 1
        await source.close()

    run(go())
    assert "No refresh ahead of time any more" in caplog.text
    assert MARK not in caplog.text


def test_a_second_event_loop(tmp_path: Path) -> None:
    """A source that was used on a loop that is closed by now works on the next one."""
    clock, transport = ManualClock(), FakeTransport(grant(2), grant(3))
    source = plan(bundle_file(tmp_path, bundle(0)), transport, clock, keep_fresh=True)
    assert run(source.fresh_bearer()) == NEW

    async def go() -> None:
        await source.fresh_bearer()
        await settle()
        clock.now += 880
        assert await source.fresh_bearer() == f"access-{MARK}-3"
        await source.close()

    run(go())
    run(source.close())
    assert len(transport.sent) == 2


def test_a_loop_that_ends_during_a_refresh(tmp_path: Path) -> None:
    """The next loop refreshes anew instead of waiting for a task that will never end."""
    transports = iter([Gate(grant()), FakeTransport(grant())])
    source = TokenPlan(
        bundle_file(tmp_path, bundle(0)),
        lambda _: account(next(transports)),
        FakeClock(),
        keep_fresh=False,
    )

    async def interrupted() -> None:
        asking = asyncio.create_task(source.fresh_bearer())
        await settle()
        assert not asking.done()

    run(interrupted())
    assert run(source.fresh_bearer()) == NEW
