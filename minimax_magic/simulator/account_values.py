"""Values of the account side: a device code, a pair of tokens, a form; and how they are made."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from minimax_magic.simulator.behaviours import Raw
from minimax_magic.simulator.frame import encode

# no vowels, so that no word comes out, and nothing that is read as something else
CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
ACCESS_PREFIX = "sim-at-"
REFRESH_PREFIX = "sim-rt-"
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
# RFC 7636, section 4.1
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
SECRET_FIELDS = frozenset({"refresh_token", "access_token", "code_verifier"})

# what the user said, and what became of it; whether it is too late is the account's to know
Decision = Literal["pending", "approved", "denied", "used"]
Standing = Literal["pending", "approved", "denied", "used", "expired"]


class Form(dict[str, str]):
    """A decoded form; its repr hides what a log must not have."""

    def __repr__(self) -> str:
        shown = {name: "***" if name in SECRET_FIELDS else text for name, text in self.items()}
        return repr(shown)


@dataclass(slots=True, eq=False)
class DeviceCode:
    """A login that was asked for.

    Attributes:
        expires_at: On the machine's clock, epoch seconds.
        nonce: In the consent page's form, so that another page cannot send it.
        pending_polls: How often it was answered that nobody has decided.
    """

    user_code: str
    client_id: str
    scope: str
    expires_at: float
    challenge: str = field(repr=False)
    nonce: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(16))
    decision: Decision = "pending"
    pending_polls: int = 0
    polled_at: float | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """A pair of tokens, as a client would keep it.

    Attributes:
        expires_at: When the access token ends on the server's clock, epoch seconds.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True)
class Granted:
    """What the token endpoint says, and how that gets to the client.

    Attributes:
        delay_s: Wait this long before the answer.
        lost: Drop the connection instead.
    """

    answer: Raw
    delay_s: float = 0.0
    lost: bool = False


def new_user_code() -> str:
    """`XXXX-XXXX`."""
    letters = "".join(secrets.choice(CODE_LETTERS) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"


def spelled(user_code: str) -> str:
    """A code as people type it, in the form we keep it in."""
    letters = re.sub(r"[\s-]", "", user_code).upper()
    return f"{letters[:4]}-{letters[4:]}"


def new_token(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(32)


def is_access_token(bearer: str) -> bool:
    """Whether it looks like one of ours, of this run or another."""
    return bearer.startswith(ACCESS_PREFIX)


def proves(verifier: str, challenge: str) -> bool:
    """Whether the verifier is the one that the S256 challenge was made of."""
    if not VERIFIER.fullmatch(verifier):
        return False
    digest = hashlib.sha256(verifier.encode()).digest()
    made = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return hmac.compare_digest(made, challenge)


def says(value: Mapping[str, Any], status: int = 200) -> Raw:
    """A JSON answer that nobody may cache."""
    headers = (("Cache-Control", "no-store"),)
    return Raw(status, "application/json", encode(dict(value)), headers)


def oauth_error(error: str, description: str | None = None) -> Raw:
    """400 in the shape of RFC 6749, section 5.2."""
    body = {"error": error}
    if description is not None:
        body["error_description"] = description
    return says(body, 400)
