"""What the account server's answers mean."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from auth_fakes import (
    ACCESS,
    MARK,
    NOW,
    PROOF,
    REFRESH,
    USER_CODE,
    VERIFIER,
    answered,
    granted,
    shown,
)
from pydantic import SecretStr

from minimax_magic.auth.oauth import (
    CODING_PLAN,
    LOGIN_AGAIN,
    PORTAL,
    Answer,
    NotYet,
    Proof,
    Tokens,
    client_profile,
    device_code_form,
    refresh_form,
    token_form,
)
from minimax_magic.auth.oauth_answers import read_device_code, read_poll, read_refresh
from minimax_magic.errors import (
    AuthError,
    CredentialInvalid,
    LoginDenied,
    LoginExpired,
    MinimaxError,
    ProtocolError,
    RateLimitError,
    ServerError,
)

PAGE = f"https://platform.minimax.io/oauth-authorize?user_code={USER_CODE}&client=OpenClaw"
HOUR = 3600


def code(**fields: Any) -> dict[str, Any]:
    """The answer with a device code; `...` leaves a field out."""
    whole = {
        "user_code": USER_CODE,
        "verification_uri": PAGE,
        "expired_in": int((NOW + 600) * 1000),
        "interval": 3000,
        "state": PROOF.state,
    }
    return {name: value for name, value in {**whole, **fields}.items() if value is not ...}


def base_resp(number: int, message: str) -> dict[str, Any]:
    return {"base_resp": {"status_code": number, "status_msg": message}}


# -------------------------------------------------------------------------------------- forms


def test_the_portals_forms() -> None:
    """The fields are those of the reference page."""
    assert device_code_form(PORTAL, PROOF) == {
        "response_type": "code",
        "client_id": "78257093-7e40-4613-99e0-527b14b39113",
        "scope": "group_id profile model.completion",
        "code_challenge": PROOF.challenge,
        "code_challenge_method": "S256",
        "state": PROOF.state,
    }
    assert token_form(PORTAL, PROOF, USER_CODE) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:user_code",
        "client_id": PORTAL.client_id,
        "user_code": USER_CODE,
        "code_verifier": VERIFIER,
    }
    assert refresh_form("c", SecretStr(REFRESH)) == {
        "grant_type": "refresh_token",
        "client_id": "c",
        "refresh_token": REFRESH,
    }


def test_the_command_lines_forms() -> None:
    """MiniMax's own client sends no response_type and another grant type."""
    assert "response_type" not in device_code_form(CODING_PLAN, PROOF)
    form = token_form(CODING_PLAN, PROOF, USER_CODE)
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:device_code"


@pytest.mark.parametrize(
    ("client_id", "scope", "expected"),
    [
        (None, None, PORTAL),
        (PORTAL.client_id, None, PORTAL),
        (CODING_PLAN.client_id, None, CODING_PLAN),
        (None, "openid profile coding_plan", CODING_PLAN),
    ],
)
def test_profiles(client_id: str | None, scope: str | None, expected: Any) -> None:
    """The client id or the scope tells which of the two profiles it is."""
    assert client_profile(client_id, scope) == expected


def test_an_own_client_id_keeps_the_rest_of_the_profile() -> None:
    """Unknown clients are taken for portals, `coding-plan-cli` for the other kind."""
    assert client_profile("mine").scope == PORTAL.scope
    assert client_profile("mine", "a b").scope == "a b"
    assert client_profile("coding-plan-cli").grant_type == CODING_PLAN.grant_type


def test_the_proof_is_pkce() -> None:
    """The verifier has 43 to 128 unreserved characters, the challenge is its S256, both hidden."""
    proof = Proof.new(lambda count: bytes(range(count)))
    assert 43 <= len(proof.verifier) <= 128
    assert proof.verifier.replace("-", "").replace("_", "").isalnum()
    digest = hashlib.sha256(proof.verifier.encode()).digest()
    assert base64.urlsafe_b64decode(proof.challenge + "=") == digest
    assert proof.state
    assert proof.verifier not in repr(proof)
    assert proof.state not in repr(proof)
    assert repr(proof.verifier) == repr(proof.state) == "'***'"


# -------------------------------------------------------------------------------- device code


def test_a_device_code() -> None:
    """Code, page, when it ends and how often to ask; its repr hides the first two."""
    got = read_device_code(answered(code()), PROOF)
    assert (got.user_code, got.verification_uri, got.interval_s) == (USER_CODE, PAGE, 3.0)
    assert got.expires_at.timestamp() == NOW + 600
    assert MARK not in repr(got)


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [(3000, 3), (500, 2), (5, 5), (1, 2), ("4000", 4), (None, 2), (..., 2), (9e9, 60), (-1, 2)],
)
def test_the_interval_is_milliseconds(interval: Any, seconds: float) -> None:
    """At least 2 s and at most 60; a number that small can only be seconds."""
    assert read_device_code(answered(code(interval=interval)), PROOF).interval_s == seconds


def test_the_page_with_the_code_in_it_is_preferred() -> None:
    """`verification_uri_complete` wins, and the dead host is replaced."""
    uri = "https://www.minimax.io/oauth-authorize?complete"
    got = read_device_code(answered(code(verification_uri_complete=uri)), PROOF)
    assert got.verification_uri == "https://platform.minimax.io/oauth-authorize?complete"


CODE_FAILURES = [
    (code(state=f"other-{MARK}"), 200, AuthError, "does not belong to this request"),
    (code(state=...), 200, AuthError, "does not belong to this request"),
    (code(user_code=...), 200, ProtocolError, "gave no code"),
    (code(user_code=" "), 200, ProtocolError, "gave no code"),
    (code(user_code=7), 200, ProtocolError, "gave no code"),
    (code(verification_uri=...), 200, ProtocolError, "or no page"),
    (code(verification_uri=f"javascript:{MARK}"), 200, ProtocolError, "or no page"),
    (code(verification_uri="https://["), 200, ProtocolError, "or no page"),
    (json.dumps(code())[:60], 200, ProtocolError, "that is no answer"),
    ("<html>Log in to the hotel's network</html>", 200, ProtocolError, "text/html that is no"),
    ("[]", 200, ProtocolError, "that is no answer"),
    ("<html>Bad Gateway</html>", 502, ServerError, r"in trouble at the moment \(HTTP 502\)"),
    ("<html>Not Found</html>", 404, AuthError, r"offers no sign-in \(HTTP 404\)"),
    ("<html>Forbidden</html>", 403, AuthError, r"allows no sign-in \(HTTP 403\)"),
    ({"error": "invalid_client"}, 401, AuthError, "invalid_client"),
    (
        {"error": "invalid_request", "error_description": f"bad state {PROOF.state}"},
        400,
        AuthError,
        r"bad state \*\*\*",
    ),
    (base_resp(1004, "login fail"), 200, AuthError, "login fail"),
    (base_resp(1002, "rate limit"), 429, ServerError, r"in trouble at the moment \(HTTP 429\)"),
    ({"error": "server_error"}, 500, ServerError, r"in trouble at the moment \(HTTP 500\)"),
    ("{}", 404, AuthError, "HTTP 404"),
]


@pytest.mark.parametrize(("body", "status", "kind", "words"), CODE_FAILURES)
def test_no_code_was_given(body: Any, status: int, kind: type[MinimaxError], words: str) -> None:
    """Each reason has its own error; none shows the code, the state or what the server repeated."""
    answer = answered(body, status, **{"content-type": "text/html"})
    with pytest.raises(kind, match=words) as caught:
        read_device_code(answer, PROOF)
    assert type(caught.value) is kind
    assert caught.value.hint
    assert MARK not in shown(caught.value)


# -------------------------------------------------------------------------------------- polls


@pytest.mark.parametrize(
    ("body", "status", "outcome"),
    [
        ({"status": "pending"}, 200, NotYet.PENDING),
        ({"status": "waiting"}, 200, NotYet.PENDING),
        ({}, 200, NotYet.PENDING),
        ({"status": "pending", **base_resp(0, "success")}, 200, NotYet.PENDING),
        ({"error": "authorization_pending"}, 400, NotYet.PENDING),
        ({"error": {"type": "authorization_pending", "message": "wait"}}, 428, NotYet.PENDING),
        ({"error": "slow_down"}, 400, NotYet.SLOW_DOWN),
        (base_resp(1, "slow_down"), 200, NotYet.SLOW_DOWN),
        (base_resp(1002, "rate limit"), 429, NotYet.SLOW_DOWN),
        ("<html>Too Many Requests</html>", 429, NotYet.SLOW_DOWN),
        ("<html>Bad Gateway</html>", 502, NotYet.SERVER_TROUBLE),
        ({"error": "server_error"}, 503, NotYet.SERVER_TROUBLE),
        ({"error": "deadline expired, request denied"}, 504, NotYet.SERVER_TROUBLE),
        ("", 408, NotYet.SERVER_TROUBLE),
    ],
)
def test_not_yet(body: Any, status: int, outcome: NotYet) -> None:
    """Any 200 that neither succeeds nor fails is pending; trouble does not end a login."""
    assert read_poll(answered(body, status)) is outcome


POLL_FAILURES = [
    ({"error": "access_denied"}, 400, LoginDenied, "declined"),
    ({"status": "error", **base_resp(1, "access_denied")}, 200, LoginDenied, "declined"),
    ({"status": "denied"}, 200, LoginDenied, "declined"),
    ({"error": "expired_token"}, 400, LoginExpired, "not valid any more"),
    ({"status": "expired"}, 200, LoginExpired, "not valid any more"),
    ({"error": "invalid_grant"}, 400, LoginExpired, "not valid any more"),
    (base_resp(1, "invalid_grant"), 400, LoginExpired, "not valid any more"),
    (
        {"error": "invalid_request", "error_description": f"bad {VERIFIER} for {USER_CODE}"},
        400,
        AuthError,
        r"bad \*\*\* for \*\*\*",
    ),
    ({"status": "error", **base_resp(1004, "login fail")}, 200, AuthError, "login fail"),
    ({"status": "error"}, 200, AuthError, "HTTP 200"),
    ({"status": "success"}, 200, ProtocolError, "gave no token"),
    (json.dumps(granted())[:60], 200, ProtocolError, "that is no answer"),
    (granted(access_token=f"{ACCESS}\r\nX-Evil: 1"), 200, ProtocolError, "no usable token"),
    (granted(access_token={"token": ACCESS}), 200, ProtocolError, "no usable token"),
    ("<html>Not Found</html>", 404, AuthError, r"offers no sign-in \(HTTP 404\)"),
    ("<html>Forbidden</html>", 403, AuthError, r"allows no sign-in \(HTTP 403\)"),
]


@pytest.mark.parametrize(("body", "status", "kind", "words"), POLL_FAILURES)
def test_a_login_that_fails(body: Any, status: int, kind: type[MinimaxError], words: str) -> None:
    """Denied, expired, refused and nonsense are told apart, and nothing secret is quoted."""
    with pytest.raises(kind, match=words) as caught:
        read_poll(answered(body, status))
    assert type(caught.value) is kind
    assert MARK not in shown(caught.value)


def test_tokens() -> None:
    """Access and refresh token, when they end, and the server that they are for; no repr shows them."""
    got = read_poll(answered(granted()))
    assert isinstance(got, Tokens)
    assert got.access_token.get_secret_value() == f"access-{MARK}-2"
    assert got.refresh_token is not None
    assert got.refresh_token.get_secret_value() == f"refresh-{MARK}-2"
    assert got.resource_url == "https://api.minimax.io/anthropic"
    assert MARK not in repr(got)


@pytest.mark.parametrize("omitted", [{"refresh_token": None}, {"refresh_token": ""}])
def test_an_omitted_refresh_token_is_none(omitted: dict[str, Any]) -> None:
    """The caller then keeps the one that it has."""
    assert read_refresh(answered(granted(**omitted))).refresh_token is None


@pytest.mark.parametrize("unit", ["ttl_s", "epoch_s", "epoch_ms", "text", "expires_in"])
@pytest.mark.parametrize("skew_s", [0, HOUR, -HOUR])
def test_a_lifetime_in_any_unit_on_any_clock(unit: str, skew_s: int) -> None:
    """The server's Date tells how far its clock is from ours, an hour either way."""
    server_now = NOW + skew_s
    fields: dict[str, Any] = {
        "ttl_s": {"expired_in": 900},
        "epoch_s": {"expired_in": int(server_now + 900)},
        "epoch_ms": {"expired_in": int((server_now + 900) * 1000)},
        "text": {"expired_in": str(int((server_now + 900) * 1000))},
        "expires_in": {"expired_in": None, "expires_in": 900},
    }[unit]
    date = formatdate(server_now, usegmt=True)
    got = read_refresh(answered(granted(**fields), date=date))
    assert got.expires_at.timestamp() == NOW + 900


@pytest.mark.parametrize(
    ("expired_in", "date", "left_s"),
    [
        (int((NOW + 900) * 1000), "yesterday", 900),
        (int((NOW - 900) * 1000), "", 900),
        (None, "", 900),
        ("soon", "", 900),
        (True, "", 900),
        (0, "", 900),
        (1e308, "", 400 * 86400),
        (int((NOW + 10 * 365 * 86400) * 1000), "", 400 * 86400),
    ],
)
def test_a_lifetime_that_cannot_be(expired_in: Any, date: str, left_s: int) -> None:
    """Without a usable number a quarter of an hour is assumed; no unit makes it thousands of years."""
    got = read_refresh(answered(granted(expired_in=expired_in), date=date))
    assert got.expires_at.timestamp() == NOW + left_s


# ------------------------------------------------------------------------------------ refresh

REFRESH_FAILURES = [
    ({"error": "invalid_grant"}, 400, CredentialInvalid),
    ({"error": "refresh_token_reused"}, 401, CredentialInvalid),
    ({"error": {"message": "invalid_refresh_token"}}, 400, CredentialInvalid),
    ({"error": "invalid_grant", "error_description": f"no {REFRESH}"}, 400, CredentialInvalid),
    (base_resp(1, "invalid_grant"), 400, CredentialInvalid),
    (base_resp(1, "invalid_grant"), 200, CredentialInvalid),
    ({"status": "error", **base_resp(1004, f"no {REFRESH}")}, 200, CredentialInvalid),
    ({"status": "error"}, 200, CredentialInvalid),
    ({"error": "invalid_client"}, 401, AuthError),
    ({"error": "invalid_request", "error_description": f"no {REFRESH}"}, 400, AuthError),
    (base_resp(1000, f"trouble with {REFRESH}"), 200, ServerError),
    (base_resp(1002, "rate limit"), 200, RateLimitError),
    ({"error": "server_error"}, 500, ServerError),
    ({"error": f"invalid_grant of {REFRESH}"}, 503, ServerError),
    (f"<html>Bad Gateway {REFRESH}</html>", 502, ServerError),
    ("<html>hotel</html>", 200, ServerError),
    (json.dumps(granted())[:60], 200, ServerError),
    ("slower", 429, ServerError),
    ({"error": "slow_down"}, 429, ServerError),
    ("", 408, ServerError),
    ("<html>Not Found</html>", 404, AuthError),
    ("<html>Forbidden</html>", 403, AuthError),
    (granted(access_token=f"{ACCESS} x"), 200, ProtocolError),
]


@pytest.mark.parametrize(("body", "status", "kind"), REFRESH_FAILURES)
def test_a_refresh_that_fails(body: Any, status: int, kind: type[MinimaxError]) -> None:
    """Only words that say so, or a plain no under 200, end a login; nothing secret is quoted."""
    with pytest.raises(kind) as caught:
        read_refresh(answered(body, status))
    assert type(caught.value) is kind
    assert caught.value.hint
    assert MARK not in shown(caught.value)


def test_an_ended_login_says_who_ended_it() -> None:
    """The server that refused the refresh token is named, and what to do about it."""
    with pytest.raises(CredentialInvalid, match=r"login has ended.*account.minimax.io") as caught:
        read_refresh(answered({"error": "invalid_grant"}, 400))
    assert caught.value.status == 400
    assert caught.value.hint == LOGIN_AGAIN


# ------------------------------------------------------------- refusals of a server without logins

READERS: dict[str, Callable[[Answer], Any]] = {
    "device code": lambda answer: read_device_code(answer, PROOF),
    "poll": read_poll,
    "refresh": read_refresh,
}
NO_SIGN_IN = {401: "allows", 402: "allows", 403: "allows", 404: "offers", 405: "offers"}
CHAT_HINTS = ("base_url", "balance", "requests_per_second", "api_key", "model")


@pytest.mark.parametrize("status", NO_SIGN_IN)
@pytest.mark.parametrize("body", ["<html>no</html>", "", "[]", "Nope"])
@pytest.mark.parametrize("reader", READERS)
def test_a_refusal_that_is_no_json_has_words_of_its_own(
    reader: str, body: str, status: int
) -> None:
    """The server knows nothing of signing in: none of what helps with a chat request is advised."""
    with pytest.raises(AuthError) as caught:
        READERS[reader](answered(body, status))
    error = caught.value
    assert type(error) is AuthError
    assert error.message == (f"account.minimax.io {NO_SIGN_IN[status]} no sign-in (HTTP {status}).")
    assert error.status == status
    assert error.hint == "Choose another region, or use an API key."
    assert not [word for word in CHAT_HINTS if word in str(error)]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 529])
@pytest.mark.parametrize("body", ["<html>later</html>", "", {"error": "rate limit (1002)"}])
@pytest.mark.parametrize("reader", ["device code", "refresh"])
def test_trouble_of_the_account_server_is_a_server_error(
    reader: str, body: Any, status: int
) -> None:
    """Whatever its body says, it may be tried again, and no limit of ours is to blame."""
    with pytest.raises(ServerError) as caught:
        READERS[reader](answered(body, status))
    error = caught.value
    assert error.message == f"account.minimax.io is in trouble at the moment (HTTP {status})."
    assert (error.status, error.hint) == (status, "Try again in a minute.")


def test_an_answer_does_not_show_itself() -> None:
    """Neither its body nor what was asked is in its repr."""
    assert MARK not in repr(answered(granted()))
