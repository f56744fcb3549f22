"""MiniMax's device-code login and the renewing of tokens as values: who asks, for what, and what comes.

What an answer means is in `auth.oauth_answers`; when and how often to ask in `auth.exchange` and
`auth.login`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Final

from pydantic import SecretStr

from minimax_magic.errors import CredentialInvalid
from minimax_magic.masked import MaskedStr

LOGIN_AGAIN: Final = "Log in again with `%minimax login`."


@dataclass(frozen=True, slots=True)
class ClientProfile:
    """How a program introduces itself.

    Attributes:
        response_type: None: the form has no such field.
    """

    client_id: str
    scope: str
    grant_type: str
    response_type: str | None


PORTAL: Final = ClientProfile(
    "78257093-7e40-4613-99e0-527b14b39113",
    "group_id profile model.completion",
    "urn:ietf:params:oauth:grant-type:user_code",
    "code",
)
"""The one of the reference page."""

CODING_PLAN: Final = ClientProfile(
    "659cf4c1-615c-45f6-a5f6-4bf15eb476e5",
    "openid profile coding_plan",
    "urn:ietf:params:oauth:grant-type:device_code",
    None,
)
"""The one of MiniMax's own command line."""


def client_profile(client_id: str | None = None, scope: str | None = None) -> ClientProfile:
    """The profile of a client id.

    Args:
        client_id: None: the portal's, or MiniMax's command line's if the scope is of that kind.
        scope: None: the usual one of the client.
    """
    plan = client_id in (CODING_PLAN.client_id, "coding-plan-cli") or (
        scope is not None and "coding_plan" in scope.split()
    )
    base = CODING_PLAN if plan else PORTAL
    return replace(base, client_id=client_id or base.client_id, scope=scope or base.scope)


@dataclass(frozen=True, slots=True)
class Proof:
    """What ties the answers to the question: PKCE's verifier and the state.

    Args:
        verifier: 43 to 128 characters (RFC 7636).
    """

    verifier: str = field(repr=False)
    state: str = field(repr=False)

    @classmethod
    def new(cls, random_bytes: Callable[[int], bytes]) -> Proof:
        return cls(MaskedStr(_base64url(random_bytes(48))), MaskedStr(_base64url(random_bytes(16))))

    @property
    def challenge(self) -> str:
        return _base64url(hashlib.sha256(self.verifier.encode()).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a person needs to sign in.

    Attributes:
        user_code: To be compared with, or typed into, the page.
        verification_uri: The page.
        expires_at: Aware, UTC, by this machine's clock.
        interval_s: Seconds between two questions whether it was approved.
    """

    user_code: str = field(repr=False)
    verification_uri: str = field(repr=False)
    expires_at: datetime
    interval_s: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a server gives.

    Attributes:
        refresh_token: None: the one that was used stays good.
        expires_at: Aware, UTC, by this machine's clock.
        resource_url: The server to use them at, not yet checked; None if it was not said.
    """

    access_token: SecretStr
    refresh_token: SecretStr | None
    expires_at: datetime
    resource_url: str | None


class NotYet(Enum):
    """Why there are no tokens so far."""

    PENDING = auto()
    SLOW_DOWN = auto()
    SERVER_TROUBLE = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole.

    Attributes:
        headers: With lower-case names.
        url: Who was asked.
        secrets: What the question held that no error may repeat.
        now: Seconds since 1970 by this machine's clock when it came.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    url: str
    now: float
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def server_now(self) -> float:
        """The server's own time, by which it counts: this machine's clock may be an hour off."""
        try:
            at = parsedate_to_datetime(self.headers.get("date", ""))
        except (ValueError, TypeError, IndexError, OverflowError):
            return self.now
        return at.replace(tzinfo=at.tzinfo or UTC).timestamp()


# ------------------------------------------------------------------------------------- forms


def device_code_form(profile: ClientProfile, proof: Proof) -> dict[str, str]:
    form = {
        "client_id": profile.client_id,
        "scope": profile.scope,
        "code_challenge": proof.challenge,
        "code_challenge_method": "S256",
        "state": proof.state,
    }
    return {"response_type": profile.response_type, **form} if profile.response_type else form


def token_form(profile: ClientProfile, proof: Proof, user_code: str) -> dict[str, str]:
    return {
        "grant_type": profile.grant_type,
        "client_id": profile.client_id,
        "user_code": MaskedStr(user_code),
        "code_verifier": proof.verifier,
    }


def refresh_form(client_id: str, refresh_token: SecretStr) -> dict[str, str]:
    return {
        "grant_type": "refresh_token",
        "client_id": client_id,
        "refresh_token": MaskedStr(refresh_token.get_secret_value()),
    }


def login_ended(where: str, status: int | None = None) -> CredentialInvalid:
    """The error for a refresh token that is used up or was revoked.

    Args:
        where: Who says so: a server, or the file that it is in.
    """
    return CredentialInvalid(
        f"The login has ended: its refresh token is not taken any more ({where}).",
        hint=LOGIN_AGAIN,
        status=status,
    )
