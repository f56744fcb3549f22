"""Signing in: a code is shown, a person approves it on a page, tokens are stored.

Nothing here shows anything; who runs it is told what goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from minimax_magic.auth.bundle import TokenBundle
from minimax_magic.auth.bundle_file import BundleFile
from minimax_magic.auth.exchange import AccountClient
from minimax_magic.auth.oauth import DeviceCode, NotYet, Proof, Tokens
from minimax_magic.clock import Clock, utc
from minimax_magic.errors import APIConnectionError, LoginExpired, ProtocolError
from minimax_magic.words import duration

WAITING = "Waiting for you to approve the sign-in."

# RFC 8628, 3.5: what a request to slow down adds to every pause from then on
_SLOWER_S = 5.0
# Answers that are no answers in a row, after which the fault is no passing one.
_MOST_NONSENSE = 3

OnState = Callable[[str], None]


@dataclass
class PendingLogin:
    """A login whose code was given and is not yet approved.

    Attributes:
        code: What to show to the person.
    """

    code: DeviceCode
    file: BundleFile = field(repr=False)
    account: AccountClient = field(repr=False)
    clock: Clock = field(repr=False)
    proof: Proof = field(repr=False)

    async def wait(
        self, on_state: OnState = lambda state: None, timeout_s: float | None = None
    ) -> TokenBundle:
        """Asks until it was approved, then stores the bundle and gives it.

        A lost connection is no failure as long as the code is good: the person may be approving it
        on another machine meanwhile.

        Args:
            on_state: Told in a sentence what goes on, whenever that changes.
            timeout_s: Give up after so long, if the code does not expire before; None: no limit.

        Raises:
            LoginDenied: The person said no.
            LoginExpired: Nobody approved in time.
            MinimaxError: The server refused for another reason, or the bundle cannot be stored.
        """
        tokens = await self._poll(on_state, timeout_s)
        on_state("Approved; storing the login.")
        now = self.clock.time()
        bundle = TokenBundle(
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            expires_at=tokens.expires_at,
            region=self.account.region.root,
            resource_url=tokens.resource_url,
            obtained_at=utc(now),
            client_id=self.account.profile.client_id,
        )
        # however long another process needs: these tokens are nowhere else
        async with self.file.lock(self.clock, patience_s=math.inf):
            self.file.write(bundle)
        return bundle

    async def _poll(self, on_state: OnState, timeout_s: float | None) -> Tokens:
        begin = self.clock.monotonic()
        good_for_s = max(0.0, self.code.expires_at.timestamp() - self.clock.time())
        if timeout_s is not None:
            good_for_s = min(good_for_s, timeout_s)
        interval_s, nonsense, state, told = self.code.interval_s, 0, WAITING, ""
        lost: APIConnectionError | None = None
        while True:
            left_s = begin + good_for_s - self.clock.monotonic()
            if left_s <= 0:
                raise lost or LoginExpired(
                    f"Nobody approved the sign-in within {duration(good_for_s)}.",
                    hint="Get a new code and approve it in time.",
                )
            if state != told:
                on_state(told := state)
            # the last question is asked when the code is just about to end
            await self.clock.sleep(min(interval_s, left_s))
            try:
                result = await self.account.poll(self.code, self.proof)
            except APIConnectionError as error:
                lost, state = error, f"{error.message} Trying again."
                continue
            except ProtocolError:
                nonsense += 1
                if nonsense == _MOST_NONSENSE:
                    raise
                continue
            lost, nonsense, state = None, 0, WAITING
            match result:
                case NotYet.SLOW_DOWN:
                    interval_s += _SLOWER_S
                case NotYet.SERVER_TROUBLE:
                    state = "The server is in trouble at the moment; trying again."
                case NotYet.PENDING:
                    pass
                case tokens:
                    return tokens


async def begin_login(account: AccountClient, file: BundleFile, clock: Clock) -> PendingLogin:
    """Gets a code.

    Args:
        file: Where the bundle will be; tried for writing before anybody is asked to approve.

    Raises:
        MinimaxError: There is no code to be had, or the bundle could not be stored.
    """
    async with file.lock(clock, patience_s=5.0):
        pass
    code, proof = await account.device_code()
    return PendingLogin(code, file, account, clock, proof)
