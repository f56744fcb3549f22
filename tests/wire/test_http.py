"""Addresses, headers, masking, and what an error answer means."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_streams import any_json

from minimax_magic.errors import (
    APIError,
    ConfigError,
    ContentRefused,
    CredentialInvalid,
    InsufficientBalance,
    MinimaxError,
    QuotaExceeded,
    RateLimitError,
    RequestRejected,
    ServerError,
)
from minimax_magic.messages import ApiFlavor
from minimax_magic.wire.address import is_loopback, resolve_endpoint
from minimax_magic.wire.failures import (
    error_from_response,
    error_from_words,
    error_in,
    is_missing_route,
    not_an_answer,
    parse_json,
    retry_after_ms,
)
from minimax_magic.wire.http import bearer_headers, mask, remaining_quota

MODEST = settings(max_examples=150, deadline=None, derandomize=True)
NOW = datetime(2026, 5, 15, 12, 0, tzinfo=UTC).timestamp()
IN_30_S = datetime(2026, 5, 15, 12, 0, 30, tzinfo=UTC)
URL = "https://api.minimax.io/v1/chat/completions"
KEY = "sk-cp-0123456789abcdef"

# ------------------------------------------------------------------------------- addresses

ROOT = "https://api.minimax.io"
OPENAI_URLS = (
    f"{ROOT}/v1/text/chatcompletion_v2",
    f"{ROOT}/v1/chat/completions",
    f"{ROOT}/text/chatcompletion_v2",
)
ANTHROPIC_URLS = (f"{ROOT}/anthropic/v1/messages", f"{ROOT}/v1/messages")


@pytest.mark.parametrize(
    ("base_url", "api_flavor", "candidates"),
    [
        (ROOT, None, OPENAI_URLS),
        (f"{ROOT}/", None, OPENAI_URLS),
        (f"{ROOT}/v1", None, OPENAI_URLS),
        (f"{ROOT}/v1/", None, OPENAI_URLS),
        ("api.minimax.io", None, OPENAI_URLS),
        ("  HTTPS://api.minimax.io  ", None, OPENAI_URLS),
        (f"{ROOT}/anthropic", None, ANTHROPIC_URLS),
        (f"{ROOT}/anthropic/", None, ANTHROPIC_URLS),
        (f"{ROOT}/anthropic/v1", None, ANTHROPIC_URLS),
        (ROOT, "anthropic_messages", ANTHROPIC_URLS),
        (f"{ROOT}/v1", "anthropic_messages", ANTHROPIC_URLS),
        (f"{ROOT}/anthropic", "openai_compat", OPENAI_URLS),
        (ROOT, "openai_compat", OPENAI_URLS),
        (f"{ROOT}/v1/text/chatcompletion_v2", None, OPENAI_URLS[:1]),
        (f"{ROOT}/v1/chat/completions", None, OPENAI_URLS[1:2]),
        (f"{ROOT}/v1/chat/completions/", "openai_compat", OPENAI_URLS[1:2]),
        (f"{ROOT}/anthropic/v1/messages", None, ANTHROPIC_URLS[:1]),
        (f"{ROOT}/anthropic/v1/messages", "anthropic_messages", ANTHROPIC_URLS[:1]),
    ],
)
def test_every_form_of_base_url_leads_to_the_endpoint(
    base_url: str, api_flavor: str | None, candidates: tuple[str, ...]
) -> None:
    """With or without scheme, slash, version, flavour or the whole path."""
    endpoint = resolve_endpoint(base_url, api_flavor)
    assert endpoint.candidates == candidates
    assert endpoint.root == ROOT
    assert endpoint.host == "api.minimax.io"
    is_anthropic = candidates[0].endswith("/messages")
    assert endpoint.flavor is (
        ApiFlavor.ANTHROPIC_MESSAGES if is_anthropic else ApiFlavor.OPENAI_COMPAT
    )


def test_a_prefix_before_the_api_is_kept() -> None:
    """A gateway may serve the API below a path, with or without a version of its own."""
    endpoint = resolve_endpoint("https://gw.example.com:8443/llm")
    assert endpoint.root == "https://gw.example.com:8443/llm"
    assert endpoint.candidates == tuple(
        f"https://gw.example.com:8443/llm{path}"
        for path in (
            "/v1/text/chatcompletion_v2",
            "/v1/chat/completions",
            "/text/chatcompletion_v2",
            "/chat/completions",
        )
    )


def test_anthropic_counts_as_a_part_of_the_path_only() -> None:
    """A gateway called anthropic-proxy says nothing of the flavour."""
    flavor = resolve_endpoint("https://example.com/anthropic-proxy").flavor
    assert flavor is ApiFlavor.OPENAI_COMPAT
    assert (
        resolve_endpoint("https://example.com/anthropic/proxy").flavor
        is ApiFlavor.ANTHROPIC_MESSAGES
    )
    assert resolve_endpoint("https://anthropic.example.com").flavor is ApiFlavor.OPENAI_COMPAT


@pytest.mark.parametrize(
    ("base_url", "api_flavor", "words"),
    [
        ("", None, "not an http"),
        ("ftp://api.minimax.io", None, "not an http"),
        ("https://", None, "not an http"),
        ("https://[::1", None, "not an http"),
        ("https://host:port", None, "not an http"),
        ("https://api minimax.io", None, "not an http"),
        ("not a url", None, "not an http"),
        ("https://user:pw@api.minimax.io", None, "address alone"),
        ("https://@api.minimax.io", None, "address alone"),
        ("https://api.minimax.io?key=1", None, "address alone"),
        ("https://api.minimax.io#x", None, "address alone"),
        ("http://api.minimax.io", None, "plain http"),
        ("http://127.example.com", None, "plain http"),
        ("http://localhost.example.com", None, "plain http"),
        ("http://192.168.0.1:8000", None, "plain http"),
        (ROOT, "openai", "not known"),
        (f"{ROOT}/v1/chat/completions", "anthropic_messages", "names an endpoint"),
        (f"{ROOT}/anthropic/v1/messages", "openai_compat", "names an endpoint"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(
    base_url: str, api_flavor: str | None, words: str
) -> None:
    """One sentence and a hint, before anything is sent."""
    with pytest.raises(ConfigError, match=words) as refused:
        resolve_endpoint(base_url, api_flavor)
    assert refused.value.hint
    assert "pw" not in str(refused.value)


def test_a_key_in_the_address_is_not_shown() -> None:
    """Somebody pasted the key where the address belongs."""
    for base_url in (
        f"ftp://{KEY}",
        f"https://{KEY}@api.minimax.io",
        f"https://api.minimax.io?k={KEY}",
    ):
        with pytest.raises(ConfigError) as refused:
            resolve_endpoint(base_url)
        assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("bare", "root"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("127.0.0.1:8000/v1", "http://127.0.0.1:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("api.minimax.io", "https://api.minimax.io"),
    ],
)
def test_a_host_without_scheme_is_https_but_on_this_machine(bare: str, root: str) -> None:
    """A server on this machine rarely has a certificate; every other host gets https."""
    assert resolve_endpoint(bare).root == root


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "sim.localhost"])
def test_plain_http_is_allowed_to_this_machine(host: str) -> None:
    """The simulator and a local vLLM need no certificate."""
    assert (
        resolve_endpoint(f"http://{host}:8000").candidates[0].startswith(f"http://{host}:8000/v1")
    )
    assert is_loopback(host.strip("[]"))


@MODEST
@given(base_url=st.text(max_size=20) | st.text("htps:/[]@?#.:a1", max_size=20))
def test_no_address_makes_it_fall_over(base_url: str) -> None:
    """Any text is either an endpoint or a ConfigError."""
    with suppress(ConfigError):
        assert resolve_endpoint(base_url).candidates


@pytest.mark.parametrize(
    ("status", "body", "missing"),
    [
        (404, b"404 page not found", True),
        (404, b"<html><head><title>404 Not Found</title></head></html>", True),
        (404, b"", True),
        (404, b'{"detail":"Not Found"}', True),
        (404, b'{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}', True),
        (404, b'{"timestamp":"x","status":404,"error":"Not Found","path":"/v1/chat"}', True),
        (404, b'{"message":"no such thing"}', True),
        (
            404,
            b'{"type":"error","error":{"type":"not_found_error","message":"model: x (2013)"}}',
            False,
        ),
        (404, b'{"error":{"message":"The model `x` does not exist.","code":404}}', False),
        (404, b'{"object":"error","message":"The model `x` does not exist.","code":404}', False),
        (404, b'{"base_resp":{"status_code":2061,"status_msg":"not in your plan"}}', False),
        (404, b'{"detail":"Model not found"}', False),
        (400, b"404 page not found", False),
        (500, b"", False),
    ],
)
def test_only_a_missing_route_leads_to_the_next_candidate(
    status: int, body: bytes, missing: bool
) -> None:
    """A 404 of the API itself (unknown model) is an answer; a framework's 404 is none."""
    assert is_missing_route(status, body) is missing


# --------------------------------------------------------------------------------- headers


def test_headers_of_a_chat_request() -> None:
    """Bearer on both wires; the group id and a version only where they belong."""
    plain = bearer_headers(
        KEY, ApiFlavor.OPENAI_COMPAT, stream=False, group_id=None, user_agent="u"
    )
    assert plain == {
        "Authorization": f"Bearer {KEY}",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": "u",
    }
    full = bearer_headers(
        KEY, ApiFlavor.ANTHROPIC_MESSAGES, stream=True, group_id="7", user_agent="u"
    )
    assert full["Accept"] == "text/event-stream"
    assert full["Accept-Encoding"] == "identity"
    assert full["anthropic-version"] == "2023-06-01"
    assert full["X-MiniMax-Group-Id"] == "7"
    assert KEY not in repr(plain) + repr(full)


# --------------------------------------------------------------------------------- masking


@pytest.mark.parametrize(
    ("text", "secrets", "masked"),
    [
        (f"your key {KEY} is bad", (), "your key *** is bad"),
        ("key sk-api-abc_DEF-123.", (), "key ***."),
        ("token eyJhbGciOiJSUzI1.eyJzdWIi_x-1.c2ln", (), "token ***"),
        ("Authorization: Bearer abcdefgh12345=", (), "Authorization: Bearer ***"),
        ("the odd secret hunter22 here", ("hunter22",), "the odd secret *** here"),
        ("abcd abcdef", ("abcd", "abcdef"), "*** ***"),
        ("a b c", ("a", ""), "a b c"),
        ("ask-me about risk-free eyJ", (), "ask-me about risk-free eyJ"),
    ],
)
def test_credentials_are_masked(text: str, secrets: tuple[str, ...], masked: str) -> None:
    """What is known to be secret, and what looks like a key or token; ordinary words stay."""
    assert mask(text, secrets) == masked


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"error": {"message": "bad key hunter22 (2049)"}}),
        json.dumps({"error": "hunter22"}),
        json.dumps({"base_resp": {"status_code": 1004, "status_msg": "hunter22"}}),
        json.dumps({"detail": [{"msg": "hunter22"}]}),
        "<p>hunter22</p>",
        " " * 3990 + "hunter22",
    ],
)
@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 429, 500])
def test_no_error_shows_a_secret(status: int, body: str) -> None:
    """Whatever shape the server quotes it in: neither text, hint, body nor repr hold it."""
    secrets = iter(["hunter22"])
    headers = {"location": "https://hunter22@evil.example/?k=hunter22"}
    error = error_from_response(status, headers, body.encode(), url=URL, now=NOW, secrets=secrets)
    assert "hunter22" not in f"{error} {error!r} {error.hint} {getattr(error, 'body', '')}"
    words = error_in(parse_json(body.encode()))
    if words is not None:
        inside = error_from_words(words, url=URL, secrets=("hunter22",))
        assert "hunter22" not in f"{inside} {inside!r} {getattr(inside, 'body', '')}"
    page = not_an_answer("text/html", body.encode(), url=URL, secrets=("hunter22",))
    assert "hunter22" not in str(page)


# ---------------------------------------------------------------------------------- errors


def answer(status: int, payload: Any, **headers: str) -> MinimaxError:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return error_from_response(status, named, body, url=URL, now=NOW)


BY_CODE: dict[int, type[MinimaxError]] = {
    1000: ServerError,
    1001: ServerError,
    1002: RateLimitError,
    1004: CredentialInvalid,
    1008: InsufficientBalance,
    1013: ServerError,
    1024: ServerError,
    1026: ContentRefused,
    1027: ContentRefused,
    1028: QuotaExceeded,
    1030: QuotaExceeded,
    1033: ServerError,
    1039: RateLimitError,
    1041: RateLimitError,
    1042: RequestRejected,
    1043: RequestRejected,
    1044: RequestRejected,
    2013: RequestRejected,
    2037: RequestRejected,
    2045: RateLimitError,
    2049: CredentialInvalid,
    2056: QuotaExceeded,
    2061: RequestRejected,
    20132: RequestRejected,
}


@pytest.mark.parametrize(("code", "kind"), BY_CODE.items())
def test_the_number_decides_under_every_status(code: int, kind: type) -> None:
    """MiniMax's own number is looked at before the status, in each of its three places."""
    payloads: list[dict[str, Any]] = [
        {"type": "error", "error": {"type": "x_error", "message": f"words ({code})"}},
        {"error": {"message": "words", "code": code}},
        {"error": {"message": "words", "code": str(code)}},
        {"base_resp": {"status_code": code, "status_msg": "words"}},
        {"base_resp": {"status_code": str(code), "status_msg": "words"}},
    ]
    for status, payload in product([200, 400, 401, 403, 404, 429, 500, 529], payloads):
        error = answer(status, payload)
        assert type(error) is kind
        assert (error.code, error.status) == (code, status)
        assert "words" in error.message
        assert error.hint


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestRejected),
        (401, CredentialInvalid),
        (402, InsufficientBalance),
        (403, RequestRejected),
        (404, RequestRejected),
        (408, RequestRejected),
        (413, RequestRejected),
        (422, RequestRejected),
        (429, RateLimitError),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
        (529, ServerError),
    ],
)
def test_without_a_number_the_status_decides(status: int, kind: type) -> None:
    """Proxies answer in HTML, plain text, other JSON or nothing at all."""
    page = b"<html><title>502 Bad Gateway</title></html>"
    for body in (b"", b"404 page not found", page, b"\xff\xfe", b'{"odd": 1}', b"[" * 9999):
        error = answer(status, body)
        assert type(error) is kind
        assert (error.status, error.code) == (status, None)
        assert error.message.startswith(("api.minimax.io answered", "MiniMax is overloaded"))
        assert error.hint


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (200, {"type": "authorized_error", "message": "x"}, CredentialInvalid),
        (200, {"type": "authentication_error", "message": "x"}, CredentialInvalid),
        (200, {"type": "rate_limit_error", "message": "x"}, RateLimitError),
        (200, {"type": "overloaded_error", "message": "x"}, ServerError),
        (200, {"type": "api_error", "message": "x"}, ServerError),
        (200, {"type": "invalid_request_error", "message": "x"}, RequestRejected),
        (200, {"type": "bad_request_error", "message": "x", "http_code": "400"}, RequestRejected),
        (200, {"type": "odd", "message": "x", "http_code": "529"}, ServerError),
        (200, {"type": "odd", "message": "x", "http_code": 429}, RateLimitError),
        (200, {"type": "InternalServerError", "message": "x", "code": 500}, ServerError),
        (200, {"message": "usage limit exceeded for Token Plan"}, QuotaExceeded),
        (200, {"message": "Insufficient balance"}, InsufficientBalance),
        (429, {"message": "Token Plan usage limit reached"}, QuotaExceeded),
        (403, {"message": "insufficient balance"}, InsufficientBalance),
        (400, {"type": "x", "message": "x", "code": "invalid_api_key"}, RequestRejected),
        (400, {"message": None}, RequestRejected),
        (400, {"message": {"nested": ["x"]}}, RequestRejected),
        (400, {"message": "in 2024 (a leap year (2024) of sorts)"}, RequestRejected),
    ],
)
def test_without_a_number_the_words_help(status: int, error: dict[str, Any], kind: type) -> None:
    """The names that MiniMax and others give their errors, and the status that a body names."""
    found = answer(status, {"error": error})
    assert type(found) is kind
    assert found.code is None
    assert found.status == status


@pytest.mark.parametrize(
    "payload",
    [
        None,
        7,
        [],
        {},
        {"error": None},
        {"error": {}},
        {"error": ""},
        {"error": False},
        {"base_resp": None},
        {"base_resp": {"status_code": 0, "status_msg": "success"}},
        {"base_resp": {"status_code": "0"}},
        {"base_resp": {"status_code": True}},
        {"base_resp": [1004]},
        {"choices": [], "detail": "x"},
        {"content": [], "detail": "x"},
        {"type": "ping", "detail": "x"},
        {"type": "message"},
    ],
)
def test_what_is_no_error_is_none(payload: Any) -> None:
    """Empty and null errors are no errors, and an answer may have fields of such names."""
    assert error_in(payload) is None


def test_the_documented_errors_are_read() -> None:
    """The bodies of the documents and of the field: words, number, request id."""
    message = "invalid api key (2049)"
    error = answer(
        401,
        {
            "type": "error",
            "error": {"type": "authorized_error", "message": message, "http_code": "401"},
            "request_id": "0620512b477e40b8b39996b15758f133",
        },
    )
    assert (error.code, error.request_id) == (2049, "0620512b477e40b8b39996b15758f133")
    assert error.message == f"api.minimax.io answered 401: {message}."
    assert "region" in error.hint
    overloaded = answer(
        529, {"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}}
    )
    assert overloaded.message == "MiniMax is overloaded: api.minimax.io answered 529: Busy."


def test_a_401_names_both_causes_on_the_anthropic_path() -> None:
    """The kind of the key and its region, and what to set instead."""
    error = error_from_response(
        401, {}, b"", url="https://api.minimax.io/anthropic/v1/messages", now=NOW
    )
    assert "region" in error.hint
    assert "pay-as-you-go" in error.hint
    assert "https://api.minimax.io" in error.hint


@pytest.mark.parametrize(
    ("message", "resets_at"),
    [
        (
            "usage limit exceeded, 5-hour usage limit reached for Token Plan Starter (0/0 used), "
            "resets at 2026-05-15T15:00:00Z (2056)",
            datetime(2026, 5, 15, 15, 0, tzinfo=UTC),
        ),
        ("resets at 2026-05-15T23:00:00+08:00 (2056)", datetime(2026, 5, 15, 15, 0, tzinfo=UTC)),
        (
            "x" * 400 + " resets at 2026-05-15T15:00:00Z (2056)",
            datetime(2026, 5, 15, 15, tzinfo=UTC),
        ),
        ("resets at 2026-13-45T15:00:00Z (2056)", None),
        ("resets at 0001-01-01T00:00:00+14:00 (2056)", None),
        ("resets soon (2056)", None),
    ],
)
def test_a_used_up_plan_says_when_it_resets(message: str, resets_at: datetime | None) -> None:
    """In UTC, in the error and its hint; None where the server's date is none."""
    error = answer(429, {"error": {"type": "rate_limit_error", "message": message}})
    assert isinstance(error, QuotaExceeded)
    assert error.resets_at == resets_at
    if resets_at is not None:
        assert "2026-05-15 15:00 UTC" in error.hint
    assert "Retrying" in error.hint


@pytest.mark.parametrize("name", ["trace-id", "minimax-request-id", "x-request-id", "request-id"])
def test_the_request_id_may_be_a_header(name: str) -> None:
    """The body's own wins."""
    assert error_from_response(500, {name: "h"}, b"", url=URL, now=NOW).request_id == "h"
    body = b'{"error": {"message": "x"}, "request_id": "b"}'
    assert error_from_response(500, {name: "h"}, body, url=URL, now=NOW).request_id == "b"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://account.minimax.io/x?token=1", "account.minimax.io"),
        ("/elsewhere", "another address"),
        ("https://[oops", "another address"),
        ("", "another address"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_that_names_both_hosts(
    status: int, location: str, target: str
) -> None:
    """It is not followed with a key; paths and queries are not repeated."""
    error = answer(status, b"", location=location)
    assert type(error) is APIError
    assert "api.minimax.io" in error.message
    assert target in error.message
    assert "token" not in str(error)


def test_an_error_shows_one_line() -> None:
    """Long and many-lined words are cut; half a character in them becomes U+FFFD."""
    error = answer(400, {"error": {"message": "line\n\n" * 200 + "\ud83d"}})
    assert "\n" not in str(error)
    assert len(error.message) < 400
    half = answer(400, {"error": {"message": "half \ud83d"}})
    assert str(half).encode()
    assert isinstance(half, RequestRejected)
    assert half.body.encode()


def test_a_page_is_not_an_answer() -> None:
    """A login page under HTTP 200 is quoted in one line, with what it claimed to be."""
    error = not_an_answer("text/html", b"<html>\n<title>Sign in</title>", url=URL)
    assert error.message == (
        "api.minimax.io answered with text/html instead of an answer: <html> <title>Sign in</title>"
    )
    assert "no content type" in not_an_answer("", b"", url=URL).message


ANY_JSON = any_json(
    "error message type code http_code base_resp status_code status_msg detail request_id object"
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    payload=ANY_JSON,
    status=st.sampled_from([200, 307, 400, 401, 404, 429, 500]),
    header=st.text(max_size=8),
)
def test_no_body_makes_it_fall_over(payload: Any, status: int, header: str) -> None:
    """Every answer becomes one of our errors, whose text can be printed."""
    error = answer(status, payload, retry_after=header, location=header)
    assert str(error).encode()
    is_missing_route(status, json.dumps(payload).encode())


# ----------------------------------------------------------------------------- Retry-After


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7000),
        ({"retry-after": " 1.5 "}, 1500),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-3"}, 0),
        ({"retry-after-ms": "250"}, 250),
        ({"retry-after-ms": "250", "retry-after": "7"}, 250),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7000),
        ({"retry-after": format_datetime(IN_30_S, usegmt=True)}, 30_000),
        ({"retry-after": "Fri, 15 May 2026 12:00:30 -0000"}, 30_000),
        ({"retry-after": "Fri, 15 May 2026 14:00:30 +0200"}, 30_000),
        ({"retry-after": "Fri, 15 May 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Fri, 99 May 2026 12:00:30 GMT"}, None),
    ],
)
def test_retry_after_in_every_form(headers: dict[str, str], expected: int | None) -> None:
    """Seconds, an HTTP date or milliseconds; the past is 0, nonsense is None."""
    assert retry_after_ms(headers, NOW) == expected


@pytest.mark.parametrize(
    ("status", "has_wait"), [(429, True), (503, True), (529, True), (400, False)]
)
def test_errors_that_pass_carry_the_wait(status: int, has_wait: bool) -> None:
    """Rate limits and server errors say how long the server asks to wait."""
    error = answer(status, b"", retry_after="7")
    assert getattr(error, "retry_after_ms", None) == (7000 if has_wait else None)


@MODEST
@given(value=st.text(max_size=30) | st.text("Fri, 15 May 2026 12:00:30 GMT+-", max_size=35))
def test_no_header_makes_it_fall_over(value: str) -> None:
    """Any text is a wait of at least 0, or None."""
    wait = retry_after_ms({"retry-after": value, "retry-after-ms": value}, NOW)
    assert wait is None or wait >= 0


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"x-ratelimit-remaining-tokens": "99500"}, 99_500),
        ({"x-ratelimit-remaining-requests": " 3 "}, 3),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-remaining-requests": "3"}, 5),
        ({"x-ratelimit-remaining-tokens": "many", "x-ratelimit-remaining-requests": "3"}, 3),
        ({"x-ratelimit-remaining-tokens": "9" * 5000}, None),
        ({"x-ratelimit-remaining-tokens": "-1"}, None),
    ],
)
def test_the_remaining_quota_is_optional(headers: dict[str, str], expected: int | None) -> None:
    """No document promises the header: what is not a plain number does not count."""
    assert remaining_quota(headers) == expected
