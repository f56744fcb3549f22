"""What can be set about the account side, and so what can go wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal


@dataclass(repr=False, eq=False)
class AccountKnobs:
    """Plain attributes, to be set at any time and from any thread.

    Attributes:
        client_ids: Who may log in; None for any client.
        access_token_lifetime_s: For tokens that are given from now on.
        code_lifetime_s: The same for user codes.
        interval_ms: How often a client is told to poll.
        strict_interval: Answer `slow_down` to a poll that comes too early.
        auto_approve_after_polls: So many polls are answered `pending`, then the code is approved
            without a user; None waits for one.
        expired_in_unit: What `expired_in` is in: the time it ends, or the seconds that are left.
        verification_host: A host to name in `verification_uri`, with https; None for our own page.
        wrong_state: Answer with a state that was not sent.
        rotate: Whether a refresh gives a new refresh token and ends the old one.
        redirect: Whether the old addresses answer 307, or serve what the new ones do.
        redirect_to: The origin that a 307 points to; None for our own.
        refresh_delay_s: Refresh at once, answer after this long.
        hang_up_refreshes: So many refreshes are done and their answers lost with the connection.
        clock_offset_s: How far the server's clock is ahead of the machine's. It changes what is
            said, not how long anything lasts.
        remaining_percent: What is left of the 5 hours' window; None to count what was served. At 0
            chat requests of a plan are refused with 2056.
        only_legacy_remains: Serve what is left of a plan at its old address only.
        available_amount: What a pay-as-you-go account has left, as it is to be sent; None to take
            what was served from 100 dollars. At 0 its chat requests are refused with 1008.
    """

    client_ids: set[str] | None = None
    access_token_lifetime_s: float = 900
    code_lifetime_s: float = 600
    interval_ms: int = 3000
    strict_interval: bool = False
    auto_approve_after_polls: int | None = None
    expired_in_unit: Literal["epoch_ms", "epoch_s", "ttl_s"] = "epoch_ms"
    verification_host: str | None = None
    wrong_state: bool = False
    rotate: bool = True
    redirect: bool = True
    redirect_to: str | None = None
    refresh_delay_s: float = 0
    hang_up_refreshes: int = 0
    clock_offset_s: float = 0
    remaining_percent: int | None = None
    only_legacy_remains: bool = False
    available_amount: Decimal | str | None = None
