"""The account side of MiniMax without HTTP: device codes, tokens, what is left to be used.

Follows what MiniMax's account host was seen to do: PKCE is a must, a user code and a refresh token
work once, waiting is HTTP 200 with `pending`. `account_routes` puts it on the network.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlencode

from minimax_magic.simulator import balance, quota
from minimax_magic.simulator.account_checks import client_name, client_refusal, code_refusal
from minimax_magic.simulator.account_knobs import AccountKnobs
from minimax_magic.simulator.account_values import (
    ACCESS_PREFIX,
    REFRESH_PREFIX,
    DeviceCode,
    Granted,
    Standing,
    Tokens,
    new_token,
    new_user_code,
    oauth_error,
    proves,
    says,
    spelled,
)
from minimax_magic.simulator.behaviours import Raw
from minimax_magic.simulator.frame import encode

CONSENT_PATH = "/oauth-authorize"
GRANT = "urn:ietf:params:oauth:grant-type:"
POLL_GRANTS = (f"{GRANT}user_code", f"{GRANT}device_code")
# a poll may come this much early: timers are coarse, and it is haste that we look for
POLL_TOLERANCE = 0.25
ACCESS_DENIED = {"status_code": 1, "status_msg": "access_denied"}

Endpoint = Literal["code", "token", "remains", "balance"]


class Account(AccountKnobs):
    """Logins of a simulator: the knobs of `AccountKnobs`, what tests do, what the routes ask.

    Everything may be used from any thread, as `Simulator.requests` may.

    Attributes:
        codes_issued: User codes given.
        polls: Polls received, those with a scripted answer too.
        refreshes: Refreshes done, also where the answer was lost.
        refused_refreshes: Refreshes refused.

    Args:
        now: The machine's clock, epoch seconds.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._now = now
        self._lock = threading.RLock()
        self.reset()

    def __repr__(self) -> str:
        return f"<Account: {len(self._codes)} codes, {len(self._access)} access tokens>"

    def reset(self) -> None:
        """Forget codes, tokens, counts and what was scripted; the knobs stay as they are."""
        with self._lock:
            self.codes_issued = 0
            self.polls = 0
            self.refreshes = 0
            self.refused_refreshes = 0
            self._codes: dict[str, DeviceCode] = {}
            # when it ends, on the machine's clock
            self._access: dict[str, float] = {}
            # the client that may use it; None for any
            self._refresh: dict[str, str | None] = {}
            self._scripts: dict[Endpoint, deque[Raw]] = {
                "code": deque(),
                "token": deque(),
                "remains": deque(),
                "balance": deque(),
            }

    @property
    def server_now(self) -> float:
        """The server's clock, epoch seconds."""
        return self._now() + self.clock_offset_s

    # what a test or a demo does

    def approve(self, user_code: str | None = None) -> None:
        """Do what the button does; None for the latest code.

        Raises:
            LookupError: There is no such code, or it is decided or expired.
        """
        self._decide(user_code, "approved")

    def deny(self, user_code: str | None = None) -> None:
        """The other button; as `approve`."""
        self._decide(user_code, "denied")

    def issue(self, *, client_id: str | None = None, lifetime_s: float | None = None) -> Tokens:
        """Tokens without a login.

        Args:
            client_id: Who may refresh them; None for any client.
            lifetime_s: Of the access token, may be negative; None for the account's.
        """
        with self._lock:
            if lifetime_s is None:
                lifetime_s = self.access_token_lifetime_s
            access_token, refresh_token = new_token(ACCESS_PREFIX), new_token(REFRESH_PREFIX)
            self._access[access_token] = self._now() + lifetime_s
            self._refresh[refresh_token] = client_id
            return Tokens(access_token, refresh_token, int(self.server_now + lifetime_s))

    def revoke_all(self) -> None:
        """End every access and refresh token."""
        with self._lock:
            self._access.clear()
            self._refresh.clear()

    def expire_access_tokens(self) -> None:
        """End every access token; they can be refreshed."""
        with self._lock:
            self._access.clear()

    def scripted(
        self,
        status: int,
        body: bytes | str | Mapping[str, Any],
        content_type: str | None = None,
        *,
        to: Endpoint = "token",
        times: int = 1,
    ) -> None:
        """Queue an answer that is given whatever was asked, and changes nothing.

        Args:
            content_type: None for JSON if the body is a mapping, else for HTML.
            to: `token` is for polls and refreshes alike, `remains` for both of its addresses.
        """
        if isinstance(body, Mapping):
            raw = Raw(status, content_type or "application/json", encode(dict(body)))
        else:
            raw = Raw(status, content_type or "text/html", body)
        with self._lock:
            self._scripts[to].extend([raw] * times)

    # what the routes ask

    def accepts(self, access_token: str) -> bool:
        with self._lock:
            return self._access.get(access_token, float("-inf")) > self._now()

    def find(self, user_code: str) -> DeviceCode | None:
        """A code, however it was typed."""
        with self._lock:
            return self._codes.get(spelled(user_code))

    def standing(self, code: DeviceCode) -> Standing:
        with self._lock:
            return "expired" if self._now() >= code.expires_at else code.decision

    def decide(self, code: DeviceCode, nonce: str, approved: bool) -> bool:
        """A button of the consent page.

        Returns:
            False if the nonce is not that of the page.

        Raises:
            LookupError: It is too late.
        """
        if not hmac.compare_digest(nonce.encode(), code.nonce.encode()):
            return False
        self._decide(code.user_code, "approved" if approved else "denied")
        return True

    def device_code(self, form: Mapping[str, str], origin: str) -> Raw:
        """The answer to a request for a user code.

        Args:
            origin: `http://host:port` of this server, as the client wrote it.
        """
        with self._lock:
            if self._scripts["code"]:
                return self._scripts["code"].popleft()
            if refusal := code_refusal(form, self.client_ids):
                return refusal
            code = DeviceCode(
                new_user_code(),
                form["client_id"],
                form["scope"],
                self._now() + self.code_lifetime_s,
                form["code_challenge"],
            )
            self._codes[code.user_code] = code
            self.codes_issued += 1
            site = f"https://{self.verification_host}" if self.verification_host else origin
            query = urlencode({"user_code": code.user_code, "client": client_name(code.client_id)})
            state = secrets.token_urlsafe(16) if self.wrong_state else form["state"]
            return says(
                {
                    "user_code": code.user_code,
                    "verification_uri": f"{site}{CONSENT_PATH}?{query}",
                    "expired_in": self._expired_in(self.code_lifetime_s),
                    "interval": self.interval_ms,
                    "state": state,
                    "base_resp": {"status_code": 0, "status_msg": "success"},
                }
            )

    def token(self, form: Mapping[str, str], origin: str) -> Granted:
        """The answer to a poll or a refresh; arguments as in `device_code`."""
        grant = form.get("grant_type", "")
        with self._lock:
            self.polls += grant in POLL_GRANTS
            if self._scripts["token"]:
                return Granted(self._scripts["token"].popleft())
            if refusal := client_refusal(form, self.client_ids):
                return Granted(refusal)
            if grant in POLL_GRANTS:
                return Granted(self._poll(form, origin))
            if grant == "refresh_token":
                return self._refreshed(form, origin)
            return Granted(oauth_error("unsupported_grant_type"))

    def scripted_answer(self, to: Endpoint) -> Raw | None:
        """The next one that was queued; None if there is none."""
        with self._lock:
            return self._scripts[to].popleft() if self._scripts[to] else None

    def remains(self, tokens: int, *, legacy: bool = False) -> Raw:
        """What the plan has left after so many tokens.

        Args:
            legacy: In the shape of the old address, which counts requests.
        """
        percent = self.remaining_percent
        if percent is None:
            percent = quota.percent_left(tokens, quota.TOKENS_PER_PERCENT)
        weekly = quota.percent_left(tokens, quota.TOKENS_PER_WEEKLY_PERCENT)
        shape = quota.legacy_remains if legacy else quota.remains
        return says(shape(self.server_now, percent, weekly))

    def balance(self, served: Decimal) -> Raw:
        """What a pay-as-you-go account has left.

        Args:
            served: What is left after all that was served.
        """
        amount = self.available_amount
        return says(balance.balance(served if amount is None else amount))

    # under the lock

    def _decide(self, user_code: str | None, decision: Literal["approved", "denied"]) -> None:
        with self._lock:
            if user_code is None:
                code = next(reversed(self._codes.values()), None)
            else:
                code = self.find(user_code)
            if code is None:
                raise LookupError(f"no such code: {user_code or 'none was issued'}")
            if (standing := self.standing(code)) != "pending":
                raise LookupError(f"the code {code.user_code} is {standing}")
            code.decision = decision

    def _poll(self, form: Mapping[str, str], origin: str) -> Raw:
        code = self._codes.get(form.get("user_code", ""))
        if (
            code is None
            or code.client_id != form["client_id"]
            or not proves(form.get("code_verifier", ""), code.challenge)
        ):
            return oauth_error("invalid_grant")
        standing = self.standing(code)
        if standing in ("pending", "approved") and self._is_hasty(code):
            return oauth_error("slow_down")
        match standing:
            case "used":
                return oauth_error("invalid_grant")
            case "expired":
                return oauth_error("expired_token")
            case "denied":
                return says({"status": "error", "base_resp": ACCESS_DENIED})
            case "pending" if not self._approves_itself(code):
                code.pending_polls += 1
                return says({"status": "pending"})
            case "pending" | "approved":
                pass
        code.decision = "used"
        return self._success(self.issue(client_id=code.client_id), origin)

    def _is_hasty(self, code: DeviceCode) -> bool:
        last, code.polled_at = code.polled_at, self._now()
        if last is None or not self.strict_interval:
            return False
        return code.polled_at - last < self.interval_ms / 1000 * (1 - POLL_TOLERANCE)

    def _approves_itself(self, code: DeviceCode) -> bool:
        after = self.auto_approve_after_polls
        return after is not None and code.pending_polls >= after

    def _refreshed(self, form: Mapping[str, str], origin: str) -> Granted:
        used = form.get("refresh_token", "")
        owner = self._refresh.get(used, "")
        if owner is not None and owner != form["client_id"]:
            self.refused_refreshes += 1
            return Granted(oauth_error("invalid_grant"), self.refresh_delay_s)
        tokens = self.issue(client_id=owner)
        # one of the two is dead from here on, whether or not the answer arrives
        del self._refresh[used if self.rotate else tokens.refresh_token]
        self.refreshes += 1
        lost = self.hang_up_refreshes > 0
        self.hang_up_refreshes -= lost
        return Granted(self._success(tokens, origin), self.refresh_delay_s, lost)

    def _success(self, tokens: Tokens, origin: str) -> Raw:
        body = {
            "status": "success",
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "expired_in": self._expired_in(self.access_token_lifetime_s),
            "token_type": "Bearer",
            "resource_url": f"{origin}/anthropic",
            "notification_message": "Simulated login: no MiniMax account was touched.",
        }
        if tokens.refresh_token not in self._refresh:
            del body["refresh_token"]
        return says(body)

    def _expired_in(self, lifetime_s: float) -> int:
        match self.expired_in_unit:
            case "ttl_s":
                return int(lifetime_s)
            case "epoch_s":
                return int(self.server_now + lifetime_s)
            case "epoch_ms":
                return int((self.server_now + lifetime_s) * 1000)
