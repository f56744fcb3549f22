"""What is sent to the account server, and where a redirect may lead."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from auth_fakes import (
    MARK,
    PROOF,
    REFRESH,
    USER_CODE,
    account,
    form_of,
    grant,
    granted,
    run,
    shown,
)
from pydantic import SecretStr

from minimax_magic.auth.exchange import AccountClient
from minimax_magic.auth.oauth import CODING_PLAN, PORTAL, DeviceCode, NotYet
from minimax_magic.auth.regions import resolve_region
from minimax_magic.clock import utc
from minimax_magic.errors import APIConnectionError, AuthError, MinimaxError, ProtocolError
from minimax_magic.testing import Answer, FakeClock, FakeTransport, json_answer
from minimax_magic.wire.http import HttpRequest

CODE = DeviceCode(USER_CODE, "https://platform.minimax.io/x", utc(2e9), 3.0)
ACCOUNT = "https://account.minimax.io"


def device_answer(request: HttpRequest) -> Answer:
    """A code for whoever asks."""
    return json_answer(
        {
            "user_code": USER_CODE,
            "verification_uri": "https://platform.minimax.io/oauth-authorize",
            "expired_in": 600,
            "interval": 3000,
            "state": form_of(request)["state"],
        }
    )


def redirect(location: str, status: int = 307) -> Answer:
    return Answer(status, {"location": location})


def test_the_three_questions() -> None:
    """Forms go to the region's two addresses as POST, with the headers that MiniMax expects."""
    transport = FakeTransport(device_answer, json_answer({"status": "pending"}), grant())
    client = account(transport)

    async def go() -> None:
        code, proof = await client.device_code()
        assert form_of(transport.sent[0])["code_challenge"] == proof.challenge
        assert await client.poll(code, proof) is NotYet.PENDING
        assert form_of(transport.sent[1])["code_verifier"] == proof.verifier
        tokens = await client.refresh(SecretStr(REFRESH))
        assert tokens.access_token.get_secret_value() == f"access-{MARK}-2"

    run(go())
    assert [request.url for request in transport.sent] == [
        f"{ACCOUNT}/oauth2/device/code",
        f"{ACCOUNT}/oauth2/token",
        f"{ACCOUNT}/oauth2/token",
    ]
    for request in transport.sent:
        assert request.method == "POST"
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert request.headers["Accept"] == "application/json"
        assert "Authorization" not in request.headers
    assert len({request.headers["x-request-id"] for request in transport.sent}) == 3
    assert form_of(transport.sent[2]) == {
        "grant_type": "refresh_token",
        "client_id": PORTAL.client_id,
        "refresh_token": REFRESH,
    }


def test_every_login_has_its_own_proof() -> None:
    """Verifier and state are random."""
    client = account(FakeTransport(device_answer))

    async def go() -> None:
        proofs = [(await client.device_code())[1] for _ in range(2)]
        assert proofs[0].verifier != proofs[1].verifier
        assert proofs[0].state != proofs[1].state

    run(go())


def test_the_other_profile() -> None:
    """A client of MiniMax's command line asks with its own id, scope and grant type."""
    transport = FakeTransport(device_answer, json_answer({"status": "pending"}))
    client = account(transport, profile=CODING_PLAN)

    async def go() -> None:
        await client.poll(*await client.device_code())

    run(go())
    asked, polled = map(form_of, transport.sent)
    assert (asked["client_id"], asked["scope"]) == (CODING_PLAN.client_id, CODING_PLAN.scope)
    assert "response_type" not in asked
    assert polled["grant_type"] == CODING_PLAN.grant_type


# --------------------------------------------------------------------------------- redirects


@pytest.mark.parametrize("status", [307, 308])
def test_the_old_address_leads_to_the_new_one(status: int) -> None:
    """A redirect to the region's account host is followed, form and all."""
    old = "https://api.minimax.io/oauth/token"
    transport = FakeTransport(redirect(f"{ACCOUNT}/oauth2/token", status), grant())
    region = resolve_region("global", token_endpoint=old)
    client = AccountClient(region, PORTAL, transport, FakeClock(), "test")
    run(client.refresh(SecretStr(REFRESH)))
    assert [request.url for request in transport.sent] == [old, f"{ACCOUNT}/oauth2/token"]
    assert transport.sent[0].body == transport.sent[1].body


@pytest.mark.parametrize(
    ("region", "first", "second"),
    [("china", "minimaxi.com", "minimax.cn"), ("api.minimax.cn", "minimax.cn", "minimaxi.com")],
)
def test_china_may_move_from_one_name_to_the_other(region: str, first: str, second: str) -> None:
    """Both are account hosts of that region: the form goes along unchanged."""
    urls = [f"https://account.{name}/oauth2/token" for name in (first, second)]
    transport = FakeTransport(redirect(urls[1]), grant())
    tokens = run(account(transport, region=region).refresh(SecretStr(REFRESH)))
    assert tokens.access_token.get_secret_value() == f"access-{MARK}-2"
    assert [request.url for request in transport.sent] == urls
    assert transport.sent[0].body == transport.sent[1].body


@pytest.mark.parametrize("region", ["global", "china"])
def test_no_region_leads_to_another(region: str) -> None:
    """A Chinese refresh token is never sent to the global account host, nor the other way round."""
    there = {"global": "account.minimax.cn", "china": "account.minimax.io"}[region]
    transport = FakeTransport(redirect(f"https://{there}/oauth2/token"), grant())
    with pytest.raises(AuthError, match=f"points to {there} .*nothing was sent there"):
        run(account(transport, region=region).refresh(SecretStr(REFRESH)))
    assert len(transport.sent) == 1


def test_a_relative_redirect_stays_on_its_host() -> None:
    """A gateway may answer with a bare path."""
    transport = FakeTransport(redirect("/oauth2/token"), grant())
    client = account(transport, region="http://127.0.0.1:8765")
    run(client.refresh(SecretStr(REFRESH)))
    assert transport.sent[1].url == "http://127.0.0.1:8765/oauth2/token"


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://evil.example/oauth2/token", "points to evil.example"),
        ("http://account.minimax.io/oauth2/token", "points to account.minimax.io"),
        ("https://account.minimax.io:444/", "points to account.minimax.io"),
        ("https://account.minimax.io@evil.example/", "points to evil.example"),
        ("https://api.minimax.io/oauth2/token", "points to api.minimax.io"),
        ("//evil.example/x", "points to evil.example"),
        ("https://[", "points to an address that is none"),
        ("data:text/plain,x", "points to another address"),
    ],
)
def test_no_other_redirect_is_followed(location: str, told: str) -> None:
    """The refresh token is not sent there, and the error says who wanted it."""
    transport = FakeTransport(redirect(location), grant())
    with pytest.raises(AuthError, match=told) as caught:
        run(account(transport).refresh(SecretStr(REFRESH)))
    assert len(transport.sent) == 1
    assert MARK not in shown(caught.value)


def test_a_second_redirect_is_not_followed() -> None:
    """One is all that MiniMax needs."""
    transport = FakeTransport(redirect(f"{ACCOUNT}/again"))
    with pytest.raises(MinimaxError):
        run(account(transport).refresh(SecretStr(REFRESH)))
    assert len(transport.sent) == 2


@pytest.mark.parametrize("status", [301, 302, 303])
def test_redirects_that_would_drop_the_form_are_not_followed(status: int) -> None:
    """Only 307 and 308 keep a POST what it is."""
    transport = FakeTransport(redirect(f"{ACCOUNT}/x", status), grant())
    with pytest.raises(MinimaxError):
        run(account(transport).refresh(SecretStr(REFRESH)))
    assert len(transport.sent) == 1


# ------------------------------------------------------------------------------------ answers


def test_the_clock_and_the_date_meet() -> None:
    """A lifetime is counted from the moment that the answer is there."""
    clock = FakeClock()
    transport = FakeTransport(grant(expired_in=900))
    tokens = run(account(transport, clock).refresh(SecretStr(REFRESH)))
    assert tokens.expires_at.timestamp() == clock.now + 900


def test_an_endless_answer_is_cut() -> None:
    """More than 256 KB is no answer; the connection is closed."""
    endless = Answer(200, {}, [f"{MARK}{'x' * 65536}".encode()] * 100)
    with pytest.raises(ProtocolError, match="more than 256 KB") as caught:
        run(account(FakeTransport(endless)).refresh(SecretStr(REFRESH)))
    assert endless.closed
    assert MARK not in shown(caught.value)


Asks = Callable[[AccountClient], Coroutine[Any, Any, Any]]
QUESTIONS: dict[str, Asks] = {
    "device code": lambda client: client.device_code(),
    "poll": lambda client: client.poll(CODE, PROOF),
    "refresh": lambda client: client.refresh(SecretStr(REFRESH)),
}
LOST = APIConnectionError("The connection to account.minimax.io failed.")


def echo(request: HttpRequest) -> Answer:
    """A server that repeats what it was told."""
    said = f"what is {' '.join(form_of(request).values())}?"
    return json_answer({"error": "invalid_request", "error_description": said}, status=400)


def echo_in_html(request: HttpRequest) -> Answer:
    """A proxy that does."""
    return Answer(502, {}, (f"<html>{' '.join(form_of(request).values())}</html>".encode(),))


FAILURES: dict[str, Any] = {
    "no connection": LOST,
    "lost in the middle": Answer(200, {}, (str(granted()).encode(), LOST)),
    "redirect": redirect(f"https://evil.example/{MARK}"),
    "echo": echo,
    "echo in HTML": echo_in_html,
    "cut off": Answer(200, {}, (f'{{"access_token": "access-{MARK}'.encode(),)),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("failure", FAILURES)
def test_no_failure_shows_a_secret(
    question: str, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Words, fields, tracebacks with variables and logs have no token, verifier, state or code."""
    transport = FakeTransport(FAILURES[failure])
    client = account(transport)
    with caplog.at_level(logging.DEBUG):
        try:
            outcome = run(QUESTIONS[question](client))
        except MinimaxError as error:
            text = shown(error)
            assert "_post" in text or "read_" in text
            assert MARK not in text
            assert form_of(transport.sent[0]).get("state", MARK) not in text
        else:
            assert outcome is NotYet.SERVER_TROUBLE
    assert MARK not in caplog.text
    assert MARK not in repr(client)
