"""What the account has left: a plan's quota or a pay-as-you-go balance, asked of MiniMax and kept fresh.

`AccountReader` asks, once for each call. `AccountWatch` decides when, and keeps the last figures when
asking fails. Neither logs or keeps a key: it is taken from the `AuthSource` for each question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

from minimax_magic.auth.sources import AuthSource
from minimax_magic.clock import Clock
from minimax_magic.errors import (
    APITimeoutError,
    AuthError,
    CredentialInvalid,
    MinimaxError,
    ProtocolError,
)
from minimax_magic.masked import MaskedStr
from minimax_magic.messages import ApiFlavor
from minimax_magic.transport import Transport, start_of
from minimax_magic.usage.rows import Billing
from minimax_magic.wire.balance import BALANCE_PATH, Balance, read_balance
from minimax_magic.wire.failures import error_from_response, parse_json
from minimax_magic.wire.http import HttpRequest, bearer_headers, mask
from minimax_magic.wire.remains import LEGACY_REMAINS_PATH, REMAINS_PATH, Quota, read_remains

_SILENCE_S: Final = 10.0
# a server that keeps sending a little must not hold up every later question
_ANSWER_S: Final = 20.0
_MAX_ANSWER_BYTES: Final = 1024 * 1024

# MiniMax counts with a lag of minutes: asking more often shows nothing new
_MIN_PAUSE_S: Final = 60.0
_FRESH_S: Final = 600.0

_T = TypeVar("_T", covariant=True)


class _Read(Protocol[_T]):
    """`read_remains` or `read_balance`."""

    def __call__(
        self, payload: Any, *, url: str, now: float, secrets: tuple[str, ...]
    ) -> _T | None: ...


@dataclass(frozen=True, slots=True)
class AccountState:
    """What is known of the account; both figures None: nothing yet.

    Attributes:
        quota: What is left of the plan.
        balance: What is left of the money.
        problem: One line: why neither is known, or why the last refresh failed; empty if it did not.
        fetched_at: When what is shown was fetched; aware, UTC.
        stale: It is older than it should be, or the last refresh failed.
    """

    quota: Quota | None
    balance: Balance | None
    problem: str = ""
    fetched_at: datetime | None = None
    stale: bool = False


class AccountReader:
    """Asks one server about one credential.

    Args:
        root: Scheme and host, and any prefix before the API's own paths.
        kind_hint: What the credential looks like; with `unknown` both questions are tried.
    """

    def __init__(
        self,
        root: str,
        auth: AuthSource,
        transport: Transport,
        clock: Clock,
        user_agent: str,
        kind_hint: Billing = "unknown",
    ) -> None:
        self._root = root
        self._auth = auth
        self._transport = transport
        self._clock = clock
        self._user_agent = user_agent
        self._kind = kind_hint
        self._remains_paths: tuple[str, ...] = (
            REMAINS_PATH,
            LEGACY_REMAINS_PATH,
        )  # what answered last is first
        self._renewed_in_vain = False

    @property
    def kind(self) -> Billing:
        """How the credential is billed: what it looked like at first, then what was answered."""
        return self._kind

    async def quota(self) -> Quota:
        """What is left of the plan.

        Raises:
            CredentialInvalid: The server does not take the credential, or not as one of a plan.
            ProtocolError: It does not know the question.
            MinimaxError: Anything else that kept it from answering.
        """
        for path in self._remains_paths:
            found = await self._ask(path, read_remains)
            if found is not None:
                if path != self._remains_paths[0]:
                    self._remains_paths = self._remains_paths[::-1]
                self._kind = "plan"
                return found
        raise self._not_told("what is left of a plan")

    async def balance(self) -> Balance:
        """What is left of the money; errors as of `quota`."""
        found = await self._ask(BALANCE_PATH, read_balance)
        if found is None:
            raise self._not_told("what balance is left")
        self._kind = "per_token"
        return found

    async def read(self) -> AccountState:
        """What fits the credential, or else the problem; what goes wrong outside is not raised."""
        try:
            match self._kind:
                case "plan":
                    return _of_quota(await self.quota())
                case "per_token":
                    return _of_balance(await self.balance())
                case "unknown":
                    return await self._either()
        except MinimaxError as error:
            return AccountState(None, None, _said(error))

    async def _either(self) -> AccountState:
        try:
            return _of_quota(await self.quota())
        except (CredentialInvalid, ProtocolError) as error:
            refused = error
        try:
            return _of_balance(await self.balance())
        except (CredentialInvalid, ProtocolError) as error:
            if isinstance(error, CredentialInvalid):
                refused = error
        said = f"Neither the quota of a plan nor a balance is told: {_said(refused)}"
        return AccountState(None, None, said)

    async def _ask(self, path: str, read: _Read[_T]) -> _T | None:
        """One question; None if it is not known at this path.

        A token that is refused is renewed, if that can be done, and sent once more. If that did not
        help, it is not done again before an answer came: each renewal ends an older token.
        """
        renewed = False
        while True:
            bearer = MaskedStr(await self._auth.fresh_bearer())
            try:
                found = await self._send(path, bearer, read)
            except CredentialInvalid:
                if renewed:
                    self._renewed_in_vain = True
                elif not self._renewed_in_vain and await self._auth.force_refresh(bearer):
                    renewed = True
                    continue
                raise
            if found is not None:
                self._renewed_in_vain = False
            return found

    async def _send(self, path: str, bearer: str, read: _Read[_T]) -> _T | None:
        url = self._root + path
        headers = bearer_headers(
            bearer,
            ApiFlavor.OPENAI_COMPAT,
            stream=False,
            group_id=None,
            user_agent=self._user_agent,
        )
        now = self._clock.time()
        try:
            async with asyncio.timeout(_ANSWER_S):
                response = await self._transport.send(
                    HttpRequest("GET", url, headers, silence_s=_SILENCE_S)
                )
                # masked at once, since a traceback may show the variables here; what was cut off is
                # not read as JSON then
                start = start_of(response, _MAX_ANSWER_BYTES)
                body = mask((await start).decode("utf-8", "replace"), (bearer,)).encode()
        except TimeoutError:
            raise APITimeoutError(
                f"{_host(url)} did not finish its answer within {_ANSWER_S:g} s.",
                hint="Try again in a moment.",
            ) from None
        except APITimeoutError as error:
            error.hint = "Try again in a moment."  # no setting changes how long this waits
            raise
        status = response.status
        if status in (404, 405):
            return None
        if not 200 <= status < 300:
            raise error_from_response(
                status, response.headers, body, url=url, now=now, secrets=(bearer,)
            )
        return read(parse_json(body), url=url, now=now, secrets=(bearer,))

    def _not_told(self, what: str) -> ProtocolError:
        return ProtocolError(
            f"{_host(self._root)} does not tell {what}.",
            hint="Only MiniMax's own servers know; a gateway need not pass the question on.",
        )


class AccountWatch:
    """Keeps what is known of the account, and asks again at sensible times.

    `refresh` belongs to one event loop; `state`, `due` and `kind` may be asked from any thread.

    Args:
        on_change: Called on the loop after every question, answered or not.
    """

    def __init__(
        self, reader: AccountReader, clock: Clock, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._on_change = on_change
        self._state = AccountState(None, None)
        self._asked_at: float | None = None
        # since the last question something was used
        self._wanted = False
        self._running: asyncio.Task[None] | None = None
        self._pending: asyncio.Task[None] | None = None

    @property
    def kind(self) -> Billing:
        """As of `AccountReader.kind`."""
        return self._reader.kind

    def state(self, now: float | None = None) -> AccountState:
        """What is known, however old.

        Args:
            now: Seconds since 1970; None: ask the clock.
        """
        state = self._state
        if state.fetched_at is None:
            return state
        now = self._clock.time() if now is None else now
        windows = state.quota.windows if state.quota is not None else ()
        is_reset = any(
            window.limited and window.resets_at is not None and window.resets_at.timestamp() <= now
            for window in windows
        )
        is_old = now - state.fetched_at.timestamp() > _FRESH_S
        return replace(state, stale=bool(state.problem) or is_old or is_reset)

    def due(self) -> bool:
        """Whether nothing is known, or only what is stale, and the server may be asked now."""
        if self._pause_s() > 0 or _is_alive(self._running):
            return False
        state = self.state()
        return state.fetched_at is None or state.stale

    async def refresh(self, force: bool = False) -> None:
        """Asks the server, at most once a minute; never raises, see `AccountState.problem`.

        Meant to be called after every request. Within the minute it returns at once, and one question
        is asked when the minute is over. If one is under way, it waits for that answer.

        Args:
            force: Ask now, for a person who wants to know.
        """
        running = self._running
        if running is not None and _is_alive(running):
            if not force:
                self._ask_later()  # what was just used may be missing from that answer
            if running.get_loop() is asyncio.get_running_loop():
                await asyncio.wait({running})
        elif force or self._pause_s() <= 0:
            await self._ask()
        else:
            self._ask_later()

    async def close(self) -> None:
        """Ends what waits and what is under way; it may be used again."""
        self._wanted = False
        here = asyncio.get_running_loop()
        for task in (self._pending, self._running):
            if task is None or not _is_alive(task):
                continue
            if task.get_loop() is here:
                task.cancel()
                await asyncio.wait({task})
            else:
                with suppress(RuntimeError):  # that loop was closed just now, and the task with it
                    task.get_loop().call_soon_threadsafe(task.cancel)

    def _pause_s(self) -> float:
        """Seconds until the server may be asked again; 0 or less: now."""
        if self._asked_at is None:
            return 0.0
        return self._asked_at + _MIN_PAUSE_S - self._clock.monotonic()

    def _ask_later(self) -> None:
        self._wanted = True
        if not _is_alive(self._pending):
            self._pending = asyncio.get_running_loop().create_task(self._ask_when_due())

    async def _ask_when_due(self) -> None:
        while self._wanted:
            pause_s = self._pause_s()
            if pause_s > 0:
                await self._clock.sleep(pause_s)
            else:
                await self._ask()

    async def _ask(self) -> None:
        """One question in a task of its own: it is for all who wait, so none of them can cancel it."""
        task = self._running
        if task is None or not _is_alive(task):
            self._asked_at = self._clock.monotonic()
            self._wanted = False
            task = self._running = asyncio.get_running_loop().create_task(self._read())
        await asyncio.wait({task})

    async def _read(self) -> None:
        try:
            found = await self._reader.read()
        except Exception as error:  # a fault of ours: an answer to a cell must not fail by it
            found = AccountState(
                None, None, f"What is left could not be read: {type(error).__name__}."
            )
        if found.fetched_at is None:
            found = replace(self._state, problem=found.problem)
        self._state = found
        self._on_change()


def _is_alive(task: asyncio.Task[None] | None) -> bool:
    return task is not None and not task.done() and not task.get_loop().is_closed()


def _of_quota(quota: Quota) -> AccountState:
    return AccountState(quota, None, fetched_at=quota.fetched_at)


def _of_balance(balance: Balance) -> AccountState:
    return AccountState(None, balance, fetched_at=balance.fetched_at)


def _said(error: MinimaxError) -> str:
    """What to show; what to do about it only where it is about signing in."""
    return str(error) if isinstance(error, AuthError) else error.message


def _host(url: str) -> str:
    return urlsplit(url).netloc or url
