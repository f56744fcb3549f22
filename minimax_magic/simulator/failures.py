"""MiniMax's error codes, their words, and the JSON they come in.

Codes, texts and statuses as in MiniMax's table and in public issue threads. The number is the
`(NNNN)` at the end of the message, `http_code` is a string, and the older shape is a `base_resp`
under HTTP 200.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from minimax_magic.simulator.behaviours import Fail, Raw
from minimax_magic.simulator.quota import window

LOGIN_FAIL = (
    "login fail: Please carry the API secret key in the 'Authorization' field of the request header"
)

# code: (HTTP status, text)
CODES: dict[int, tuple[int, str]] = {
    1000: (500, "unknown error"),
    1001: (504, "request timeout"),
    1002: (429, "rate limit exceeded (RPM)"),
    1004: (401, LOGIN_FAIL),
    # 403 as seen by one user; the documents name no status
    1008: (403, "insufficient balance"),
    1013: (500, "internal service error"),
    1024: (500, "internal error"),
    1026: (400, "input new_sensitive"),
    1027: (400, "output new_sensitive"),
    1028: (429, "quota exhausted"),
    1030: (429, "quota exhausted"),
    1033: (500, "system error"),
    1039: (429, "token limit exceeded (TPM)"),
    1041: (429, "conn limit"),
    1042: (400, "invisible character ratio limit"),
    2013: (400, "invalid params"),
    2045: (429, "rate growth limit, avoid sudden increases"),
    2049: (401, "invalid api key"),
    2056: (
        429,
        "usage limit exceeded, 5-hour usage limit reached for Token Plan Plus (0/0 used)",
    ),
    2061: (403, "your current token plan does not support this model"),
}

# what a bare HTTP status stands for: (code, text)
STATUSES: dict[int, tuple[int | None, str]] = {
    400: (2013, "invalid params"),
    401: (2049, "invalid api key"),
    403: (None, "permission denied"),
    404: (None, "not found"),
    413: (None, "request body is larger than 64 MB"),
    429: (1002, "rate limit exceeded (RPM)"),
    500: (1000, "unknown error"),
    529: (None, "Upstream model overloaded; retryable."),
}

TYPES = {
    400: "bad_request_error",
    401: "authorized_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def status_of(fail: Fail) -> int:
    """The HTTP status of a failure that may name only its code."""
    if fail.status is not None:
        return fail.status
    return CODES[fail.code][0] if fail.code in CODES else 500


def _text(fail: Fail, status: int, now: datetime) -> str:
    if fail.message is not None:
        text = fail.message
    elif fail.code in CODES:
        text = CODES[fail.code][1]
    elif status in STATUSES:
        text = STATUSES[status][1]
    else:
        text = "unknown error"
    if fail.code == 2056 and "resets at" not in text:
        end = window(now)[1].astimezone(UTC)
        text += f", resets at {fail.resets_at or end.strftime('%Y-%m-%dT%H:%M:%SZ')}"
    return text


def failure_body(fail: Fail, request_id: str, now: datetime) -> dict[str, Any]:
    """The JSON of a failure.

    Args:
        now: UTC; only 2056 says a time.
    """
    status = status_of(fail)
    text = _text(fail, status, now)
    if status == 200:
        base_resp = {"status_code": fail.code or 0, "status_msg": text}
        return {"id": request_id, "choices": None, "base_resp": base_resp}
    error: dict[str, Any] = {
        "type": TYPES.get(status, "api_error" if status >= 500 else "bad_request_error"),
        "message": text if fail.code is None else f"{text} ({fail.code})",
    }
    if status not in (429, 529):  # as recorded: these two come without it
        error["http_code"] = str(status)
    return {"type": "error", "error": error, "request_id": request_id}


def nginx_page(status: int, reason: str) -> Raw:
    """What answers for a route that does not exist: a page, never JSON."""
    title = f"{status} {reason}"
    body = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Raw(status, "text/html", body)
