"""What an error answer means.

HTTP status and MiniMax's own number are both looked at, the number first, since MiniMax answers 200
with an error inside, 403 for an empty account, and numbers of 1008 and above that must not be read as
"a server error". Every text of the server is masked before it goes into an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from minimax_magic.errors import (
    APIError,
    ContentRefused,
    CredentialInvalid,
    InsufficientBalance,
    MinimaxError,
    ProtocolError,
    QuotaExceeded,
    RateLimitError,
    RequestRejected,
    ServerError,
)
from minimax_magic.wire.address import DEFAULT_BASE_URL
from minimax_magic.wire.http import mask, number, short

_REQUEST_ID_HEADERS = ("trace-id", "minimax-request-id", "x-request-id", "request-id")
_CODE_SUFFIX = re.compile(r"\((\d{4,5})\)\s*\.?\s*$")
_RESETS_AT = re.compile(r"resets at (\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d))")

Family = Literal["auth", "rate", "server", "quota", "balance", "content", "request"]

_CODES: dict[Family, tuple[int, ...]] = {
    "auth": (1004, 2049),
    "rate": (1002, 1039, 1041, 2045),
    "server": (1000, 1001, 1013, 1024, 1033),
    "quota": (1028, 1030, 2056),
    "balance": (1008,),
    "content": (1026, 1027),
    "request": (1042, 1043, 1044, 2013, 2037, 2039, 2042, 2048, 2061, 20132),
}
_FAMILY_OF_CODE = {code: family for family, codes in _CODES.items() for code in codes}
_FAMILY_OF_KIND: dict[str, Family] = {
    "authentication_error": "auth",
    "authorized_error": "auth",
    "rate_limit_error": "rate",
    "api_error": "server",
    "overloaded_error": "server",
    "server_error": "server",
}

_HINTS = {
    1004: "It may have expired, or belong to another region: keys of api.minimax.io and of "
    "api.minimaxi.com or api.minimax.cn are not interchangeable. `%minimax login` takes a new one.",
    2049: "It may have expired, belong to another region (.io or .com/.cn), or be a plan key where a "
    "pay-as-you-go key is expected. `%minimax login` takes a new one.",
    1008: "Top up at https://platform.minimax.io and wait 2-3 minutes.",
    1026: "Change the prompt: the server found it sensitive.",
    1027: "Ask differently: the server withheld its own answer as sensitive.",
    1042: "Remove invisible characters from the prompt.",
    2061: "Choose a model that your Token Plan includes.",
}


@dataclass(frozen=True, slots=True)
class ServerWords:
    """What an error body says, whatever its shape.

    Attributes:
        kind: Its `type`, whose names vary.
        code: MiniMax's own number; None if there is none.
        http_status: The HTTP status that the body itself names, which is all there is to go by when
            the error came inside a 200.
    """

    message: str = ""
    kind: str = ""
    code: int | None = None
    request_id: str | None = None
    http_status: int | None = None


def error_in(payload: Any) -> ServerWords | None:
    """The error inside a decoded JSON body or stream frame; None if there is none.

    Knows `{"error": {...}}` of both wires, `{"error": "..."}`, vLLM's `{"object": "error", ...}`,
    FastAPI's `detail`, and MiniMax's `base_resp` with a number other than 0, which comes under HTTP
    200 too.
    """
    if not isinstance(payload, dict):
        return None
    base_resp = payload.get("base_resp")
    base_resp = base_resp if isinstance(base_resp, dict) else {}
    base_code = number(base_resp.get("status_code"))
    error = payload.get("error")
    if not error and "error" in (payload.get("type"), payload.get("object")):
        error = payload
    detail = payload.get("detail")
    http_status = None
    if error and isinstance(error, dict):
        message = _said(error.get("message") or error.get("type"))
        kind = _said(error["type"]) if error.get("type") else ""
        code = number(error.get("code"))
        http_status = number(error.get("http_code"))
        if code is not None and code < 1000:  # other servers write the HTTP status there
            code, http_status = None, http_status or code
    elif error:
        message, kind, code = _said(error), "", None
    elif base_code:
        message, kind, code = _said(base_resp.get("status_msg")), "", None
    elif detail and payload.keys().isdisjoint(("choices", "content", "type")):
        message, kind, code = _said(detail), "", None
    else:
        return None
    suffix = _CODE_SUFFIX.search(message)
    request_id = payload.get("request_id") or payload.get("trace_id")
    return ServerWords(
        message=message,
        kind=kind,
        code=base_code or (int(suffix[1]) if suffix else code),
        request_id=request_id if isinstance(request_id, str) else None,
        http_status=http_status,
    )


def _said(value: Any) -> str:
    """The server's words, which are text nearly always."""
    if isinstance(value, str) or not value:
        return value or "unknown error"
    return json.dumps(value, ensure_ascii=False)


# what frameworks say of a path they do not serve, beside HTML and plain text
_NO_ROUTE = {"not found", "file not found", "404 page not found", "page not found"}


def is_missing_route(status: int, body: bytes) -> bool:
    """Whether a 404 means that this path does not exist here, not that the API refused something.

    vLLM, SGLang, LiteLLM's proxy (`{"detail": "Not Found"}`) and llama.cpp say the former in JSON.
    """
    if status != 404:
        return False
    words = error_in(parse_json(body))
    return words is None or words.message.strip(" .").lower() in _NO_ROUTE


def parse_json(body: bytes) -> Any:
    """The decoded body; None if it is not JSON (nginx and Go answer 404 in HTML or plain text)."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def error_from_response(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    url: str,
    now: float,
    secrets: Iterable[str] = (),
) -> MinimaxError:
    """The error that an answer outside 2xx stands for.

    Args:
        headers: With lower-case names.
        url: Where the request went, for the words of the error.
        now: Seconds since 1970, to turn a Retry-After date into a wait.
        secrets: Values to mask in the server's words.
    """
    secrets = tuple(secrets)
    text = mask(body[:64_000].decode("utf-8", "replace"), secrets)
    words = error_in(parse_json(body)) or ServerWords()
    host = _host(url, url)
    if 300 <= status < 400:
        target = _host(headers.get("location", ""), "another address")
        return APIError(
            f"{host} answered with a redirect ({status}) to {target}, which is not followed with a "
            "key.",
            hint=f"Set base_url to the address that is meant, if {target} is to be trusted.",
            status=status,
            body=short(text),
        )
    known = next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), None)
    error = _classify(status, words, known, secrets, url=url, body=short(text))
    if isinstance(error, RateLimitError | ServerError):
        error.retry_after_ms = retry_after_ms(headers, now)
    return error


def error_from_words(
    words: ServerWords, *, url: str, request_id: str | None = None, secrets: Iterable[str] = ()
) -> MinimaxError:
    """The error inside a 200 answer or one of its stream frames.

    Args:
        request_id: What the HTTP head said; used if the words themselves hold none.
    """
    body = short(mask(words.message, secrets))
    return _classify(200, words, request_id, secrets, url=url, body=body)


def _host(url: str, otherwise: str) -> str:
    try:
        return urlsplit(url).hostname or otherwise
    except ValueError:  # a redirect to nonsense
        return otherwise


def _family(status: int, words: ServerWords) -> Family:
    """What an error means: MiniMax's number tells first, then its words, then the HTTP status."""
    family = _FAMILY_OF_CODE.get(words.code or 0)
    if family is not None:
        return family
    if status == 200 and words.http_status is not None:
        status = words.http_status
    said = words.message.lower()
    if status == 401:
        return "auth"
    if "usage limit" in said:
        return "quota"
    if status == 402 or "insufficient balance" in said or "insufficient_balance" in said:
        return "balance"
    if status == 429:
        return "rate"
    if status >= 500:
        return "server"
    return _FAMILY_OF_KIND.get(words.kind, "request")


def _classify(
    status: int,
    words: ServerWords,
    request_id: str | None,
    secrets: Iterable[str],
    *,
    url: str,
    body: str,
) -> MinimaxError:
    code = words.code
    message = mask(words.message, secrets)
    said = short(message)
    facts: dict[str, Any] = {
        "status": status,
        "code": code,
        "request_id": words.request_id or request_id,
    }
    where = f"{_host(url, url)} answered" + (f" {status}" if status != 200 else "")
    what = f"{where}: {said}" if said else f"{where}."
    if not what.endswith((".", "!", "?")):
        what += "."
    hint = _HINTS.get(code or 0, "")
    family = _family(status, words)
    if family == "auth":
        return CredentialInvalid(what, hint=hint or _hint_401(url), **facts)
    facts["body"] = body
    match family:
        case "quota":
            return _quota_exceeded(what, message, facts)
        case "balance":
            return InsufficientBalance(what, hint=_HINTS[1008], **facts)
        case "content":
            return ContentRefused(what, hint=hint, **facts)
        case "rate":
            hint = "Wait a little, or lower requests_per_second in llm.yaml."
            return RateLimitError(what, hint=hint, **facts)
        case "server":
            if 529 in (status, words.http_status) or words.kind == "overloaded_error":
                what = f"MiniMax is overloaded: {what}"
            hint = "The fault is on the server's side: try again in a few minutes."
            return ServerError(what, hint=hint, **facts)
        case _:
            return RequestRejected(what, hint=hint or _hint_rejected(status, url), **facts)


def _quota_exceeded(what: str, said: str, facts: dict[str, Any]) -> QuotaExceeded:
    match = _RESETS_AT.search(said)
    resets_at = None
    if match:
        try:
            resets_at = datetime.fromisoformat(match[1]).astimezone(UTC)
        except (ValueError, OverflowError):
            resets_at = None  # a date that is none: the words of the server stay in the message
    when = f"It resets at {resets_at:%Y-%m-%d %H:%M} UTC." if resets_at else "Wait for the reset."
    error = QuotaExceeded(what, hint=f"{when} Retrying before then does not help.", **facts)
    error.resets_at = resets_at
    return error


def _hint_401(url: str) -> str:
    if "/anthropic" in url:
        return (
            "The key may have expired or belong to another region; if it is a pay-as-you-go key that is "
            f"refused on /anthropic, set base_url to {DEFAULT_BASE_URL}."
        )
    return _HINTS[2049]


def _hint_rejected(status: int, url: str) -> str:
    match status:
        case 403:
            return (
                "The account may be out of balance (top up at https://platform.minimax.io and wait "
                "2-3 minutes) or the key may lack the right to this model."
            )
        case 404:
            return f"Check base_url: there is nothing at {short(url)}."
        case 413:
            return "Send less: the limit is 64 MB."
        case _:
            return "Change the request: sending it again gives the same answer."


def not_an_answer(
    content_type: str, body: bytes, *, url: str, secrets: Iterable[str] = ()
) -> ProtocolError:
    """The error for a 200 that is neither JSON nor an event stream, such as a login page."""
    start = short(mask(body[:4000].decode("utf-8", "replace"), secrets), 120)
    came = content_type or "no content type"
    return ProtocolError(
        f"{_host(url, url)} answered with {came} instead of an answer: {start}",
        hint="Check base_url, and whether a proxy or a login page stands in between.",
        status=200,
    )


def retry_after_ms(headers: Mapping[str, str], now: float) -> int | None:
    """Milliseconds to wait as asked by the server; None if it did not say.

    Args:
        headers: With lower-case names. `retry-after-ms` wins over `retry-after`, which is seconds
            or an HTTP date.
        now: Seconds since 1970.
    """
    for name, factor in (("retry-after-ms", 1), ("retry-after", 1000)):
        try:
            return max(0, round(float(headers.get(name, "")) * factor))
        except (ValueError, OverflowError):
            continue  # absent, or no number, or "inf"
    try:
        at = parsedate_to_datetime(headers.get("retry-after", "").strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None  # the parser's own ways to say that this is no date
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0, round((at.timestamp() - now) * 1000))
