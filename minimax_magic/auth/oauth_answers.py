"""What the account servers' answers mean.

Rules that look odd are from the field: `expired_in` has three units, `interval` is in milliseconds, an
answer of 200 with any status other than success or error means "not yet", and a refusal may be a 200 as
well.
"""

from __future__ import annotations

import math
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from minimax_magic.auth.oauth import (
    LOGIN_AGAIN,
    Answer,
    DeviceCode,
    NotYet,
    Proof,
    Tokens,
    login_ended,
)
from minimax_magic.auth.regions import consent_page
from minimax_magic.clock import utc
from minimax_magic.errors import (
    AuthError,
    LoginDenied,
    LoginExpired,
    MinimaxError,
    ProtocolError,
    RateLimitError,
    ServerError,
)
from minimax_magic.masked import MaskedStr
from minimax_magic.wire.failures import (
    error_from_words,
    error_in,
    parse_json,
)
from minimax_magic.wire.http import mask, short

_DEFAULT_INTERVAL_S: Final = 2.0
_LONGEST_INTERVAL_S: Final = 60.0
# A lifetime that the server does not say, or that ended before it came (a clock is wrong somewhere):
# the shortest seen in the field. Should it be too long, the 401 that follows renews the token.
_UNKNOWN_LIFETIME_S: Final = 900.0
_UNKNOWN_CODE_LIFETIME_S: Final = 600.0
# more than this is no lifetime but a unit that nobody thought of
_LONGEST_LIFETIME_S: Final = 400 * 86400.0


def read_device_code(answer: Answer, proof: Proof) -> DeviceCode:
    """The code in an answer.

    Raises:
        AuthError: The server refused, or the answer belongs to another question.
        ServerError, RateLimitError: It is in trouble.
        ProtocolError: It is no such answer.
    """
    payload = _object(answer)
    if answer.status >= 300 or error_in(payload) is not None:
        raise _refused(answer, payload, "no sign-in code was given")
    code, page = _text(payload, "user_code"), _page(payload)
    if not code or page is None:
        raise ProtocolError(
            f"{_host(answer)} gave no code, or no page to enter it.", hint="Try again later."
        )
    if payload.get("state") != proof.state:
        raise AuthError(
            "The answer to the sign-in does not belong to this request (its state differs).",
            hint="Try again; if it happens twice, something between here and MiniMax answers instead.",
        )
    lifetime_s = _lifetime_s(payload, answer) or _UNKNOWN_CODE_LIFETIME_S
    return DeviceCode(
        code, page, utc(answer.now + lifetime_s), _interval_s(payload.get("interval"))
    )


def _page(payload: _Payload) -> str | None:
    """Where to approve, with the code in it if the server has such a page."""
    uri = _text(payload, "verification_uri_complete") or _text(payload, "verification_uri")
    page = consent_page(uri)
    return None if page is None else MaskedStr(page)


def read_poll(answer: Answer) -> Tokens | NotYet:
    """What became of a code so far.

    Raises:
        LoginDenied, LoginExpired: That was it.
        AuthError: The server refused for another reason.
        ProtocolError: It is no such answer.
    """
    if answer.status == 429:
        return NotYet.SLOW_DOWN
    if _in_trouble(answer):
        return NotYet.SERVER_TROUBLE
    payload = _object(answer)
    if answer.status < 300 and payload.get("access_token"):
        return _tokens(payload, answer)
    said = _said(payload)
    if "authorization_pending" in said:
        return NotYet.PENDING
    if "slow_down" in said:
        return NotYet.SLOW_DOWN
    if "denied" in said or "rejected" in said:
        raise LoginDenied(
            "The sign-in was declined on the consent page.",
            hint="Start again if that was a mistake.",
        )
    if "expired" in said or "invalid_grant" in said:
        raise LoginExpired(
            "The code is not valid any more.", hint="Get a new one and approve it in time."
        )
    status = payload.get("status")
    if answer.status < 300 and status == "success":
        raise ProtocolError(f"{_host(answer)} says success but gave no token.", hint=LOGIN_AGAIN)
    if answer.status < 300 and status != "error" and error_in(payload) is None:
        return NotYet.PENDING
    raise _refused(answer, payload, "the sign-in was refused")


def read_refresh(answer: Answer) -> Tokens:
    """The new tokens.

    Raises:
        CredentialInvalid: This refresh token will never be taken again.
        ServerError, RateLimitError: Not now; it may be tried again.
        MinimaxError: The server refused for a reason that says nothing of the token.
    """
    payload = _payload(answer)
    if payload is None and answer.status < 300:  # a login page of the network, for instance
        raise _trouble(answer, "answered with something that is no answer")
    if _in_trouble(answer):
        raise _trouble(answer, f"is in trouble at the moment (HTTP {answer.status})")
    if payload is None:
        raise _no_sign_in(answer)
    if answer.status < 300 and payload.get("access_token"):
        return _tokens(payload, answer)
    said = _said(payload)
    dead = any(word in said for word in ("invalid_grant", "reused", "invalid_refresh_token"))
    if not dead and answer.status < 300 and (passing := _passing(payload, answer)) is not None:
        raise passing
    if dead or answer.status < 300:
        raise login_ended(_host(answer), answer.status)
    raise _refused(answer, payload, "the token could not be renewed")


def _passing(payload: _Payload, answer: Answer) -> MinimaxError | None:
    """Trouble that the server tells of under HTTP 200; None if it is none that goes away."""
    words = error_in(payload)
    if words is None:
        return None
    error = error_from_words(words, url=answer.url, secrets=answer.secrets)
    if not isinstance(error, ServerError | RateLimitError):
        return None
    error.hint = "Try again in a minute."
    return error


def _tokens(payload: _Payload, answer: Answer) -> Tokens:
    access, refresh = _text(payload, "access_token"), _text(payload, "refresh_token")
    if not access or not access.isprintable() or " " in access:
        raise ProtocolError(f"{_host(answer)} gave no usable token.", hint=LOGIN_AGAIN)
    lifetime_s = _lifetime_s(payload, answer) or _UNKNOWN_LIFETIME_S
    return Tokens(
        SecretStr(access),
        SecretStr(refresh) if refresh else None,
        utc(answer.now + lifetime_s),
        _text(payload, "resource_url") or None,
    )


# ------------------------------------------------------------------------------------- units


def _lifetime_s(payload: _Payload, answer: Answer) -> float | None:
    """Seconds from now; None if unknown, or over before it began.

    `expired_in` is a time in milliseconds since 1970 in practice, but seconds since 1970 and plain
    seconds to live are in the wild too; `expires_in` is OAuth's own name for the last.
    """
    value = _number(payload.get("expired_in"))
    if value is None:
        value = _number(payload.get("expires_in"))
    if value is None:
        return None
    if value >= 1e9:
        value = (value / 1000 if value >= 1e12 else value) - answer.server_now
    return min(value, _LONGEST_LIFETIME_S) if value > 0 else None


def _interval_s(value: Any) -> float:
    """`interval` is in milliseconds; a number that could be no such pause is taken as seconds."""
    number = _number(value)
    if number is None:
        return _DEFAULT_INTERVAL_S
    seconds = number if number <= _LONGEST_INTERVAL_S else number / 1000
    return min(max(seconds, _DEFAULT_INTERVAL_S), _LONGEST_INTERVAL_S)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


# ------------------------------------------------------------------------------------- words


class _Payload(dict[str, Any]):
    """A decoded answer. It does not show itself: it may hold tokens and codes, or repeat ours."""

    def __repr__(self) -> str:
        return f"<{len(self)} fields>"


def _payload(answer: Answer) -> _Payload | None:
    """The decoded body; None if it is no JSON object."""
    payload = parse_json(answer.body)
    return _Payload(payload) if isinstance(payload, dict) else None


def _object(answer: Answer) -> _Payload:
    payload = _payload(answer)
    if payload is not None:
        return payload
    if _in_trouble(answer):
        raise _trouble(answer, f"is in trouble at the moment (HTTP {answer.status})")
    if answer.status >= 300:
        raise _no_sign_in(answer)
    # not a word of it is quoted: tokens that were cut off on their way look like this
    came = short(answer.headers.get("content-type", ""), 60) or "no content type"
    raise ProtocolError(
        f"{_host(answer)} answered a sign-in with {came} that is no answer.",
        hint="Check the region, and whether a proxy or a login page stands in between.",
        status=answer.status,
    )


def _text(payload: _Payload, name: str) -> str:
    """A field that is text, without blanks around it, masked in reprs; empty if it is none."""
    value = payload.get(name)
    return MaskedStr(value.strip() if isinstance(value, str) else "")


def _said(payload: _Payload) -> str:
    """All that may tell why, in lower case."""
    base_resp = payload.get("base_resp")
    error = payload.get("error")
    parts = [
        payload.get("status"),
        error.get("message") if isinstance(error, dict) else error,
        error.get("type") if isinstance(error, dict) else None,
        payload.get("error_description"),
        base_resp.get("status_msg") if isinstance(base_resp, dict) else None,
    ]
    return MaskedStr(" ".join(part.lower() for part in parts if isinstance(part, str)))


def _in_trouble(answer: Answer) -> bool:
    return answer.status >= 500 or answer.status in (408, 425, 429)


def _trouble(answer: Answer, what: str) -> ServerError:
    return ServerError(
        f"{_host(answer)} {what}.", hint="Try again in a minute.", status=answer.status
    )


def _no_sign_in(answer: Answer) -> AuthError:
    """A refusal that is no JSON comes from a server that knows nothing of signing in."""
    missing = answer.status in (404, 405)
    return AuthError(
        f"{_host(answer)} {'offers' if missing else 'allows'} no sign-in (HTTP {answer.status}).",
        hint="Choose another region, or use an API key.",
        status=answer.status,
    )


def _refused(answer: Answer, payload: _Payload, what: str) -> MinimaxError:
    """The refusal in the server's words; trouble on its side stays what it is."""
    if _in_trouble(answer):
        return _trouble(answer, f"is in trouble at the moment (HTTP {answer.status})")
    words = error_in(payload)
    detail = payload.get("error_description")
    said = detail if isinstance(detail, str) else words.message if words else ""
    said = short(mask(said, answer.secrets), 200) or f"HTTP {answer.status}"
    return AuthError(
        f"{what[0].upper()}{what[1:]}: {_host(answer)} says {said!r}.",
        hint="Check the region, and `auth` in llm.yaml; an API key works without signing in.",
        status=answer.status,
        code=words.code if words else None,
    )


def _host(answer: Answer) -> str:
    return urlsplit(answer.url).hostname or answer.url
