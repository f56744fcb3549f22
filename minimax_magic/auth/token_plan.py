"""The Token Plan login as a source of bearer tokens: always fresh, refreshed once for everybody.

Refresh tokens are good for one use, several kernels share one bundle, and any of them may be killed
at any moment. Hence the order of every refresh: lock the bundle for this machine, read it again,
refresh only if what is there is still not good enough, write the new bundle, and only then use it.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from typing import Final

from minimax_magic.auth.bundle import TokenBundle
from minimax_magic.auth.bundle_file import BundleFile
from minimax_magic.auth.exchange import AccountClient
from minimax_magic.auth.oauth import LOGIN_AGAIN, Tokens, login_ended
from minimax_magic.clock import Clock, utc
from minimax_magic.errors import (
    APIConnectionError,
    ConfigError,
    CredentialInvalid,
    CredentialsMissing,
    MinimaxError,
    RateLimitError,
    ServerError,
)
from minimax_magic.masked import MaskedStr
from minimax_magic.words import duration

_log = logging.getLogger(__name__)

MARGIN_S: Final = 60.0
"""A token with less left is refreshed before it is used, as the reference page says."""

# The background refresh comes before any request would have to wait for one.
_AHEAD: Final = 1.5
# Pauses between the tries of one refresh.
_PAUSES_S: Final = (0.5, 1.0)
# After a refresh that failed, a token that is still good is used for so long before the next try.
_COOL_DOWN_S: Final = 10.0
# A request with a token that is still good waits so long for a new one: another process may hang with
# the lock in its hands, or the account server be slow.
_PATIENCE_S: Final = 5.0
# The background task looks at the file and the wall clock this often: a laptop may have slept, and
# another process may have refreshed.
_LOOK_S: Final = 30.0

_TROUBLE = (APIConnectionError, ServerError, RateLimitError)

Enough = Callable[[TokenBundle], bool]


class TokenPlan:
    """An `AuthSource` over a bundle on disk. For use on one event loop at a time.

    Args:
        file: The bundle.
        account: Makes who refreshes, for the region and client of a bundle.
        region: What the bundle has to be for: its tokens go to a server that was chosen for that region,
            and somebody may sign in elsewhere with the same file. None: whatever it is for.
        keep_fresh: Refresh ahead of time in a background task, from the first use until `close`.

    Attributes:
        asking: A refresh has the lock, and its answer must not be lost.
    """

    def __init__(
        self,
        file: BundleFile,
        account: Callable[[TokenBundle], AccountClient],
        clock: Clock,
        *,
        region: str | None = None,
        keep_fresh: bool = True,
    ) -> None:
        self.file = file
        self._region = region
        self._account = account
        self._clock = clock
        self._keep_fresh = keep_fresh
        self._refreshing: asyncio.Task[TokenBundle] | None = None
        self._background: asyncio.Task[None] | None = None
        self.asking = False
        self._failed_at: float | None = None
        self._refused: str | None = None  # a refresh token that will never be taken again
        # what could not be written, after the bundle that it is to replace
        self._unsaved: tuple[TokenBundle, TokenBundle] | None = None

    def __repr__(self) -> str:
        return f"TokenPlan({self.file.label!r})"

    async def fresh_bearer(self) -> str:
        await self._save()
        bundle = self._read()
        if self._keep_fresh:
            self._start_background()
        if not self._fresh(bundle):
            bundle = await self._refresh_if_it_can_be(bundle)
        return MaskedStr(bundle.access_token.get_secret_value())

    async def force_refresh(self, refused: str | None = None) -> bool:
        def newer(bundle: TokenBundle) -> bool:
            """What somebody else refreshed meanwhile is as good."""
            token = bundle.access_token.get_secret_value()
            return refused is not None and token != refused and self._left(bundle) > 0

        await self._save()
        if not newer(self._read()):
            await self._refreshed(newer)
        return True

    def describe(self) -> str:
        bundle = self._read()
        host = bundle.region.rpartition("://")[2]
        left = self._left(bundle)
        state = f"valid for {duration(left)}" if left > 0 else "expired"
        how = "renewed by itself" if bundle.refresh_token else "not renewable"
        return f"Token Plan login at {host} from {self.file.label} (token {state}, {how})"

    async def close(self) -> None:
        """Ends the background task, and lets a refresh under way come to its end: its answer must not
        be lost. One that still waits for its turn has nothing to lose."""
        task, self._background = self._background, None
        running = self._running_refresh()
        if running is not None and not self.asking:
            running.cancel()
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait([task])
        if running is not None:
            await asyncio.wait([running])

    # ------------------------------------------------------------------------------- the bundle

    def _read(self) -> TokenBundle:
        bundle = self.file.read()
        if bundle is None:
            raise CredentialsMissing(
                f"The login is gone: there is no {self.file.label} any more.", hint=LOGIN_AGAIN
            )
        if self._region is not None and bundle.region != self._region:
            raise ConfigError(
                f"The login in {self.file.label} is for {bundle.region} now, no longer for "
                f"{self._region}.",
                hint="Run the cell again, or make the client anew.",
            )
        return bundle

    async def _save(self) -> None:
        """Writes what could not be written before, if anything: the disk may have room again."""
        if self._unsaved is not None:
            async with self.file.lock(self._clock):
                self._write_unsaved()

    def _write_unsaved(self) -> None:
        """Under the lock. Whoever logged in or out meanwhile goes first."""
        if self._unsaved is None:
            return
        used_up, renewed = self._unsaved
        bundle = self.file.read()
        if bundle is not None and bundle.access_token == used_up.access_token:
            self.file.write(renewed)
        self._unsaved = None

    def _left(self, bundle: TokenBundle) -> float:
        return bundle.seconds_left(self._clock.time())

    def _fresh(self, bundle: TokenBundle, factor: float = 1.0) -> bool:
        """Whether more than the margin is left, times a factor."""
        return self._left(bundle) > _margin_s(bundle) * factor

    # ------------------------------------------------------------------------------ refreshing

    async def _refresh_if_it_can_be(self, bundle: TokenBundle) -> TokenBundle:
        """A fresh bundle; the old one if a refresh fails while its token is still good."""
        usable = self._left(bundle) > 0
        if usable and (self._is_refused(bundle) or self._cooling_down()):
            return bundle
        try:
            return await self._refreshed(self._fresh, _PATIENCE_S if usable else None)
        except CredentialsMissing:
            raise
        except (MinimaxError, TimeoutError) as error:
            if not usable or self._left(bundle) <= 0 or self._unsaved is not None:
                raise
            why = "takes long" if isinstance(error, TimeoutError) else "failed"
            _log.warning("Renewing the token %s; the old one is used while it lasts.", why)
            self._failed_at = self._clock.monotonic()
            return bundle

    async def _refreshed(self, enough: Enough, patience_s: float | None = None) -> TokenBundle:
        """A bundle that is enough, by one refresh for all who wait.

        A refresh is a task of its own: whoever waits for it may be interrupted or lose patience, but
        its answer is written.

        Raises:
            TimeoutError: It takes longer than `patience_s`, and goes on.
        """
        while True:
            running, ours = self._running_refresh(), False
            if running is None:
                running, ours = asyncio.create_task(self._refresh(enough)), True
                running.add_done_callback(_retrieve)
                self._refreshing = running
            done, _ = await asyncio.wait([running], timeout=patience_s)
            if not done:
                raise TimeoutError
            bundle = running.result()
            if ours or enough(bundle):
                return bundle

    def _running_refresh(self) -> asyncio.Task[TokenBundle] | None:
        task = self._refreshing
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            return None
        return task

    async def _refresh(self, enough: Enough) -> TokenBundle:
        try:
            async with self.file.lock(self._clock):
                self.asking = True
                self._write_unsaved()
                bundle = self._read()
                if enough(bundle):  # another process was faster
                    return bundle
                return await self._exchange(bundle, enough)
        except MinimaxError:
            self._failed_at = self._clock.monotonic()
            raise
        finally:
            self.asking = False

    async def _exchange(self, bundle: TokenBundle, enough: Enough) -> TokenBundle:
        """Asks for new tokens and writes them; under the lock."""
        if bundle.refresh_token is None:
            raise CredentialInvalid(
                f"The token in {self.file.label} is used up and cannot be renewed: the bundle has no "
                "refresh token.",
                hint=LOGIN_AGAIN,
            )
        if self._is_refused(bundle):
            raise login_ended(self.file.label)
        try:
            tokens = await self._ask(bundle)
        except CredentialInvalid:
            # a program that does not know our lock may have won the race
            current = self._read()
            if current.refresh_token != bundle.refresh_token:
                if enough(current):
                    return current
                return await self._exchange(current, enough)
            self._refused = MaskedStr(bundle.refresh_token.get_secret_value())
            raise
        # Nothing may be awaited from here until the file is written: the old refresh token is used up.
        renewed = renew(bundle, tokens, self._clock.time())
        try:
            self.file.write(renewed)
        except ConfigError:
            # it is nowhere else; every later use tries to write it first
            self._unsaved = bundle, renewed
            raise
        self._failed_at = None
        return renewed

    async def _ask(self, bundle: TokenBundle) -> Tokens:
        assert bundle.refresh_token is not None
        account = self._account(bundle)
        for pause_s in (*_PAUSES_S, None):
            try:
                return await account.refresh(bundle.refresh_token)
            except _TROUBLE as error:
                if pause_s is None:
                    error.message = (
                        f"The token could not be renewed: {error.message} (tried 3 times)"
                    )
                    raise
                await self._clock.sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    def _is_refused(self, bundle: TokenBundle) -> bool:
        token = bundle.refresh_token
        return token is not None and token.get_secret_value() == self._refused

    def _cooling_down(self) -> bool:
        failed_at = self._failed_at
        return failed_at is not None and self._clock.monotonic() - failed_at < _COOL_DOWN_S

    # ------------------------------------------------------------------------------ background

    def _start_background(self) -> None:
        loop = asyncio.get_running_loop()
        task = self._background
        if task is None or task.done() or task.get_loop() is not loop:
            self._background = loop.create_task(_keep_fresh(weakref.ref(self), self._clock))

    async def _look_after(self) -> float:
        """Refreshes if it is time; seconds until the next look. Errors end the background task: the
        next request meets the same and says so."""
        bundle = self._read()
        if self._fresh(bundle, _AHEAD):
            return min(_LOOK_S, max(1.0, self._left(bundle) - _margin_s(bundle) * _AHEAD))
        if bundle.refresh_token is None or self._is_refused(bundle) or self._cooling_down():
            return _LOOK_S
        try:
            await self._refreshed(lambda bundle: self._fresh(bundle, _AHEAD))
        except _TROUBLE:
            if self._left(bundle) <= 0:
                raise  # nothing to keep fresh any more; the next request begins again
        return 1.0


async def _keep_fresh(source: weakref.ref[TokenPlan], clock: Clock) -> None:
    """Looks after a source for as long as somebody has it."""
    while (plan := source()) is not None:
        try:
            wait_s = await plan._look_after()
        except MinimaxError as error:
            _log.info("No refresh ahead of time any more: %s", error.message)
            return
        del plan
        await clock.sleep(wait_s)


def _margin_s(bundle: TokenBundle) -> float:
    """A minute; of a token that never had two, half its life, or it would be refreshed for ever."""
    life_s = bundle.lifetime_s
    return MARGIN_S if life_s is None or life_s <= 0 else min(MARGIN_S, life_s / 2)


def renew(bundle: TokenBundle, tokens: Tokens, now: float) -> TokenBundle:
    """The bundle with new tokens; what the answer left out stays."""
    return bundle.model_copy(
        update={
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token or bundle.refresh_token,
            "expires_at": tokens.expires_at,
            "resource_url": tokens.resource_url or bundle.resource_url,
            "obtained_at": utc(now),
        }
    )


def _retrieve(task: asyncio.Task[TokenBundle]) -> None:
    """An error that nobody waits for any more is no news for the event loop's log."""
    if not task.cancelled():
        task.exception()
