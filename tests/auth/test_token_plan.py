"""A login as a source of bearers: when it refreshes, how often, and what it does if that fails."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from auth_fakes import (
    ACCESS,
    MARK,
    NOW,
    REFRESH,
    account,
    bundle,
    bundle_file,
    form_of,
    grant,
    plan,
    run,
    settle,
    shown,
)

from minimax_magic.auth.bundle import bundle_text
from minimax_magic.auth.bundle_file import BundleFile
from minimax_magic.auth.sources import AuthSource
from minimax_magic.auth.token_plan import TokenPlan
from minimax_magic.errors import (
    APIConnectionError,
    ConfigError,
    CredentialInvalid,
    CredentialsMissing,
    MinimaxError,
    ServerError,
)
from minimax_magic.testing import Answer, FakeClock, FakeTransport, json_answer
from minimax_magic.wire.http import HttpRequest

NEW = f"access-{MARK}-2"
DEAD = json_answer({"error": "invalid_grant"}, status=400)
BAD_GATEWAY = Answer(502, {}, (b"<html>",))
NO_CLIENT = json_answer({"error": "invalid_client"}, status=401)


def lost(request: HttpRequest) -> APIConnectionError:
    return APIConnectionError("account.minimax.io cannot be reached.")


class Accounts:
    """An account server that rotates: each refresh token is good for one refresh."""

    def __init__(self, lifetime_s: int = 900) -> None:
        self.lifetime_s = lifetime_s
        self.refreshes = 0

    def __call__(self, request: HttpRequest) -> Answer:
        if form_of(request)["refresh_token"] != f"refresh-{MARK}-{self.refreshes + 1}":
            return DEAD
        self.refreshes += 1
        return grant(self.refreshes + 1, expired_in=self.lifetime_s)


# ---------------------------------------------------------------------------- when it is time


@pytest.mark.parametrize(("left_s", "refreshes"), [(900, 0), (61, 0), (60, 1), (59, 1), (-9, 1)])
def test_a_token_is_refreshed_when_a_minute_is_left(
    tmp_path: Path, left_s: float, refreshes: int
) -> None:
    """With more it is used as it is."""
    accounts = Accounts()
    source: AuthSource = plan(bundle_file(tmp_path, bundle(left_s)), FakeTransport(accounts))
    assert run(source.fresh_bearer()) == (NEW if refreshes else ACCESS)
    assert accounts.refreshes == refreshes


def test_a_short_lived_token_is_refreshed_at_half_its_life(tmp_path: Path) -> None:
    """One that never had two minutes would be refreshed for ever otherwise."""
    accounts, clock = Accounts(lifetime_s=50), FakeClock()
    source = plan(bundle_file(tmp_path, bundle(0)), FakeTransport(accounts), clock)
    for later, refreshes in ((0, 1), (24, 1), (2, 2)):
        clock.now += later
        run(source.fresh_bearer())
        assert accounts.refreshes == refreshes


def test_the_new_bundle_is_on_disk_before_the_bearer_is_out(tmp_path: Path) -> None:
    """What the answer leaves out stays as it was."""
    file = bundle_file(tmp_path, bundle(0))
    answer = grant(refresh_token=None, resource_url=None)
    assert run(plan(file, FakeTransport(answer)).fresh_bearer()) == NEW
    kept = json.loads(file.path.read_text())
    assert (kept["access_token"], kept["refresh_token"]) == (NEW, REFRESH)
    assert kept["resource_url"] == "https://api.minimax.io/anthropic"
    assert kept["expires_at"] == "2025-06-15T15:21:40Z"
    assert kept["obtained_at"] == "2025-06-15T15:06:40Z"


def test_nexos_file_keeps_integer_seconds(tmp_path: Path) -> None:
    """nexo-rs can read its file after we refreshed it."""
    file = bundle_file(tmp_path)
    text = json.dumps({"access_token": ACCESS, "refresh_token": REFRESH, "expires_at": int(NOW)})
    file.path.parent.mkdir()
    file.path.write_text(text)
    run(plan(file, FakeTransport(grant())).fresh_bearer())
    assert json.loads(file.path.read_text())["expires_at"] == int(NOW) + 900


def test_the_region_and_client_of_the_bundle_are_asked(tmp_path: Path) -> None:
    """Whoever logs in again elsewhere is refreshed there."""
    asked: list[Any] = []

    def make(found: Any) -> Any:
        asked.append((found.region, found.client_id))
        return account(FakeTransport(grant()))

    file = bundle_file(tmp_path, bundle(0, region="https://api.minimaxi.com", client_id="c"))
    run(TokenPlan(file, make, FakeClock(), keep_fresh=False).fresh_bearer())
    assert asked == [("https://api.minimaxi.com", "c")]


# ---------------------------------------------------------------------------- somewhere else

HERE, ELSEWHERE = "https://api.minimax.io", "https://api.minimaxi.com"
NOT_HERE = rf"is for {ELSEWHERE} now, no longer for {HERE}\."


@pytest.mark.parametrize("left_s", [900, 50, 0])
def test_a_login_elsewhere_gives_no_token(tmp_path: Path, left_s: float) -> None:
    """Good, near its end or ended: it is neither given nor refreshed, and the error names both."""
    file = bundle_file(tmp_path, bundle(900))
    transport = FakeTransport(grant())
    source = plan(file, transport, region=HERE)
    assert run(source.fresh_bearer()) == ACCESS
    there = bundle(left_s, region=ELSEWHERE, access_token="theirs", refresh_token="theirs")
    BundleFile(file.path).write(there)
    for _ in range(2):
        for asking in (source.fresh_bearer(), source.force_refresh(ACCESS), source.force_refresh()):
            with pytest.raises(ConfigError, match=NOT_HERE) as caught:
                run(asking)
            assert "make the client anew" in caught.value.hint
            assert "theirs" not in shown(caught.value)
    with pytest.raises(ConfigError, match=NOT_HERE):
        source.describe()
    assert transport.sent == []
    assert BundleFile(file.path).read() == there


def test_who_signs_in_here_again_is_used_at_once(tmp_path: Path) -> None:
    """The other login leaves nothing behind; a source that is for any region takes both."""
    file = bundle_file(tmp_path, bundle(900, region=ELSEWHERE, access_token="theirs"))
    source = plan(file, FakeTransport(grant()), region=HERE)
    with pytest.raises(ConfigError):
        run(source.fresh_bearer())
    assert run(plan(file, FakeTransport(grant())).fresh_bearer()) == "theirs"
    BundleFile(file.path).write(bundle(900, access_token="new"))
    assert run(source.fresh_bearer()) == "new"


def test_signing_in_elsewhere_while_a_refresh_waits(tmp_path: Path) -> None:
    """What is read again under the lock is looked at again: nothing is sent for it."""
    file = bundle_file(tmp_path, bundle(0))
    transport = FakeTransport(grant())
    source = plan(file, transport, region=HERE)

    async def go() -> None:
        async with BundleFile(file.path).lock(FakeClock()):
            waiting = asyncio.create_task(source.fresh_bearer())
            await settle()
            assert not waiting.done()
            file.write(bundle(900, region=ELSEWHERE, access_token="theirs"))
        with pytest.raises(ConfigError, match=NOT_HERE):
            await waiting

    run(go())
    assert transport.sent == []


@pytest.mark.parametrize("left_s", [900, 0])
def test_signing_in_elsewhere_during_a_refresh(tmp_path: Path, left_s: float) -> None:
    """After `invalid_grant` the other login's tokens are neither used nor refreshed."""
    file = bundle_file(tmp_path, bundle(0))
    there = bundle(left_s, region=ELSEWHERE, access_token="theirs", refresh_token="r")

    def elsewhere(request: HttpRequest) -> Answer:
        file.path.write_text(bundle_text(there))
        return DEAD

    transport = FakeTransport(elsewhere, grant())
    with pytest.raises(ConfigError, match=NOT_HERE):
        run(plan(file, transport, region=HERE).fresh_bearer())
    assert len(transport.sent) == 1
    assert BundleFile(file.path).read() == there


# --------------------------------------------------------------------------------- one for all


def test_fifty_at_once_refresh_once(tmp_path: Path) -> None:
    """They all get the same new token."""
    accounts = Accounts()
    source = plan(bundle_file(tmp_path, bundle(10)), FakeTransport(accounts))

    async def go() -> list[str]:
        return await asyncio.gather(*(source.fresh_bearer() for _ in range(50)))

    assert set(run(go())) == {NEW}
    assert accounts.refreshes == 1


def test_fifty_at_once_fail_once(tmp_path: Path) -> None:
    """They all meet the same error after the same three tries."""
    transport = FakeTransport(lost)
    source = plan(bundle_file(tmp_path, bundle(0)), transport)

    async def go() -> list[Any]:
        asking = (source.fresh_bearer() for _ in range(50))
        return await asyncio.gather(*asking, return_exceptions=True)

    assert {type(outcome) for outcome in run(go())} == {APIConnectionError}
    assert len(transport.sent) == 3


def test_sixty_four_refusals_refresh_once(tmp_path: Path) -> None:
    """Requests that were refused with the same token want the same new one."""
    accounts = Accounts()
    source = plan(bundle_file(tmp_path, bundle(900)), FakeTransport(accounts))

    async def go() -> list[bool]:
        return await asyncio.gather(*(source.force_refresh(ACCESS) for _ in range(64)))

    assert all(run(go()))
    assert accounts.refreshes == 1
    assert run(source.force_refresh(ACCESS)) is True
    assert accounts.refreshes == 1
    assert run(source.force_refresh(NEW)) is True
    assert accounts.refreshes == 2


def test_a_forced_refresh_does_refresh(tmp_path: Path) -> None:
    """Also a token that is far from its end, and without saying which was refused."""
    accounts = Accounts()
    source = plan(bundle_file(tmp_path, bundle(900)), FakeTransport(accounts))
    assert run(source.force_refresh()) is True
    assert run(source.fresh_bearer()) == NEW
    assert accounts.refreshes == 1


def test_a_newer_token_on_disk_is_used_instead(tmp_path: Path) -> None:
    """Somebody else's refresh is as good; one that has ended is not."""
    file = bundle_file(tmp_path, bundle(900))
    accounts = Accounts()
    source = plan(file, FakeTransport(accounts))
    assert run(source.fresh_bearer()) == ACCESS
    BundleFile(file.path).write(bundle(900, access_token="other"))
    assert run(source.force_refresh(ACCESS)) is True
    assert run(source.fresh_bearer()) == "other"
    assert accounts.refreshes == 0
    file.write(bundle(-1, access_token="ended"))
    run(source.force_refresh("other"))
    assert accounts.refreshes == 1


def test_the_bundle_is_read_again_under_the_lock(tmp_path: Path) -> None:
    """Who waited for another process's refresh does not refresh again."""
    file = bundle_file(tmp_path, bundle(0))
    accounts = Accounts()
    source = plan(file, FakeTransport(accounts))

    async def go() -> str:
        async with BundleFile(file.path).lock(FakeClock()):
            waiting = asyncio.create_task(source.fresh_bearer())
            await asyncio.sleep(0.01)
            file.write(bundle(900, access_token="theirs"))
        return await waiting

    assert run(go()) == "theirs"
    assert accounts.refreshes == 0


def test_a_lock_that_is_never_given_back(tmp_path: Path) -> None:
    """After two minutes it is an error, or the old token while it lasts."""
    file = bundle_file(tmp_path, bundle(0))
    clock = FakeClock()

    async def go(source: TokenPlan) -> str:
        async with BundleFile(file.path).lock(FakeClock()):
            return await source.fresh_bearer()

    with pytest.raises(ConfigError, match="for 120 s"):
        run(go(plan(file, FakeTransport(grant()), clock)))
    file.write(bundle(1e6, now=clock.now))
    assert run(go(plan(file, FakeTransport(grant()), clock))) == ACCESS


# ------------------------------------------------------------------------------- what goes wrong


def test_trouble_is_tried_three_times(tmp_path: Path) -> None:
    """After half a second and a second more; then a token that has ended is an error."""
    clock = FakeClock()
    transport = FakeTransport(lost, BAD_GATEWAY, grant())
    assert run(plan(bundle_file(tmp_path, bundle(0)), transport, clock).fresh_bearer()) == NEW
    assert clock.slept == [0.5, 1.0]
    for answer, kind in ((lost, APIConnectionError), (BAD_GATEWAY, ServerError)):
        transport = FakeTransport(answer)
        source = plan(bundle_file(tmp_path, bundle(0)), transport, FakeClock())
        with pytest.raises(kind, match=r"could not be renewed: account.*tried 3 times"):
            run(source.fresh_bearer())
        assert len(transport.sent) == 3


@pytest.mark.parametrize("failure", [lost, BAD_GATEWAY, NO_CLIENT, DEAD])
def test_the_old_token_is_used_while_it_lasts(
    tmp_path: Path, failure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the failure; the log says so, and the next try is 10 s later."""
    clock = FakeClock()
    transport = FakeTransport(failure)
    source = plan(bundle_file(tmp_path, bundle(50)), transport, clock)
    assert run(source.fresh_bearer()) == ACCESS
    assert "the old one is used while it lasts" in caplog.text
    assert MARK not in caplog.text
    asked = len(transport.sent)
    for _ in range(20):
        assert run(source.fresh_bearer()) == ACCESS
    assert len(transport.sent) == asked
    clock.now += 10
    assert run(source.fresh_bearer()) == ACCESS
    assert (len(transport.sent) > asked) is (failure is not DEAD)
    clock.now += 40
    with pytest.raises(MinimaxError):
        run(source.fresh_bearer())


def test_a_token_that_ends_during_the_tries_is_not_used(tmp_path: Path) -> None:
    """What is left is looked at after the failure."""
    source = plan(bundle_file(tmp_path, bundle(1)), FakeTransport(lost))
    with pytest.raises(APIConnectionError):
        run(source.fresh_bearer())


def test_an_ended_login_is_remembered(tmp_path: Path) -> None:
    """Nothing is deleted, nobody is asked twice, and a new login helps at once."""
    file = bundle_file(tmp_path, bundle(0))
    before = file.path.read_text()
    transport = FakeTransport(DEAD, grant())
    source = plan(file, transport)
    for _ in range(3):
        with pytest.raises(CredentialInvalid, match=r"login .*has ended.*%minimax login"):
            run(source.fresh_bearer())
        with pytest.raises(CredentialInvalid):
            run(source.force_refresh(ACCESS))
    assert len(transport.sent) == 1
    assert file.path.read_text() == before
    file.write(bundle(0, refresh_token="new"))
    assert run(source.fresh_bearer()) == NEW


@pytest.mark.parametrize("left_s", [900, 0])
def test_a_race_lost_to_somebody_without_our_lock(tmp_path: Path, left_s: float) -> None:
    """After `invalid_grant` the file is read again: its token, or its refresh token, is used."""
    file = bundle_file(tmp_path, bundle(0))

    def theirs(request: HttpRequest) -> Answer:
        file.path.write_text(bundle_text(bundle(left_s, access_token="a", refresh_token="r")))
        return DEAD

    transport = FakeTransport(theirs, grant())
    assert run(plan(file, transport).fresh_bearer()) == ("a" if left_s else NEW)
    assert [form_of(request)["refresh_token"] for request in transport.sent[1:]] == (
        [] if left_s else ["r"]
    )


def test_a_bundle_without_refresh_token(tmp_path: Path) -> None:
    """It is used to its end, and then asks for a login without asking the server."""
    clock = FakeClock()
    transport = FakeTransport(grant())
    source = plan(bundle_file(tmp_path, bundle(50, refresh_token=None)), transport, clock)
    assert run(source.fresh_bearer()) == ACCESS
    clock.now += 51
    with pytest.raises(CredentialInvalid, match="has no refresh token"):
        run(source.fresh_bearer())
    assert transport.sent == []


def test_logging_out_ends_it(tmp_path: Path) -> None:
    """Without the file there is no login, whatever was read before."""
    file = bundle_file(tmp_path, bundle(900))
    source = plan(file, FakeTransport(grant()))
    run(source.fresh_bearer())
    file.remove()
    for asking in (source.fresh_bearer(), source.force_refresh(ACCESS)):
        with pytest.raises(CredentialsMissing, match="The login is gone"):
            run(asking)
    with pytest.raises(CredentialsMissing):
        source.describe()


def test_logging_out_during_a_refresh(tmp_path: Path) -> None:
    """A token that was still good is not used any more."""
    file = bundle_file(tmp_path, bundle(50))

    def logout(request: HttpRequest) -> Answer:
        file.remove()
        return DEAD

    with pytest.raises(CredentialsMissing):
        run(plan(file, FakeTransport(logout)).fresh_bearer())


def test_a_damaged_bundle_is_no_new_login(tmp_path: Path) -> None:
    """The error names the file, and nothing is sent."""
    file = bundle_file(tmp_path)
    file.path.parent.mkdir()
    file.path.write_text("{")
    transport = FakeTransport(grant())
    with pytest.raises(ConfigError, match="is damaged"):
        run(plan(file, transport).fresh_bearer())
    assert transport.sent == []
