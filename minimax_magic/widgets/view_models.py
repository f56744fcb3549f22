"""What the login panel knows: a small state machine with traits, without widgets and network.

::

    choose ── sign_in() ──▶ asking ──▶ waiting ──▶ done
       ▲ └──── use_key() ──▶ checking ───────────▶ done
       │                        (any of the three) ──▶ failed
       └── cancel(), again()

Traits are what may be seen by anybody. The key is never kept; the user code is a plain attribute and
gone when the attempt ends. Everything here runs on one thread, that of the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from traitlets import Enum, HasTraits, Unicode

from minimax_magic.auth.choices import Choice, SignedIn, Way
from minimax_magic.errors import MinimaxError

if TYPE_CHECKING:
    from pydantic import SecretStr

Phase = Literal["choose", "asking", "waiting", "checking", "done", "failed"]

_log = logging.getLogger(__name__)


class DeviceCode(Protocol):
    """What the person needs for the sign-in page. `expires_at` is aware."""

    @property
    def user_code(self) -> str: ...

    @property
    def verification_uri(self) -> str: ...

    @property
    def expires_at(self) -> datetime: ...


class PendingLogin(Protocol):
    """A login that waits for a person.

    `wait` returns when the person approved and the login is stored. It tells `on_state` in one
    sentence what it is doing, as often as it likes, on the thread it runs on. Cancelling it ends the
    attempt; nothing is stored then.
    """

    @property
    def code(self) -> DeviceCode: ...

    async def wait(self, on_state: Callable[[str], None]) -> SignedIn: ...


class LoginBackend(Protocol):
    """Does what the panel is asked for.

    `regions` and `places` are asked once and must not wait for anything; each gives at least one
    choice, and the first is preset. `begin` and `use_key` may be cancelled. What they raise is shown:
    a MinimaxError in its own words, anything else by the name of its type.
    """

    def regions(self) -> Sequence[Choice]: ...

    def places(self, way: Way) -> Sequence[Choice]: ...

    async def begin(self, region: str, place: str) -> PendingLogin: ...

    async def use_key(self, key: SecretStr, region: str, place: str) -> SignedIn: ...


class LoginModel(HasTraits):
    """One login at a time.

    Attributes:
        way: A Token Plan login, or an API key.
        region, place: The `value` of the choice.
        phase: See the head of this module.
        status: One sentence about what is going on; may be empty.
        error: Why the last attempt failed, and what to do; empty unless `phase` is `failed`.
        regions: All choices of a region.
        places: All choices of a place, for each way.
        code: What to show while `phase` is `waiting`; None otherwise.
        signed_in: The result while `phase` is `done`; None otherwise.
    """

    way = Enum(get_args(Way), default_value="plan")
    region = Unicode()
    place = Unicode()
    phase = Enum(get_args(Phase), default_value="choose")
    status = Unicode()
    error = Unicode()

    def __init__(self, backend: LoginBackend) -> None:
        super().__init__()
        self.regions: tuple[Choice, ...] = tuple(backend.regions())
        self.places: dict[Way, tuple[Choice, ...]] = {
            way: tuple(backend.places(way)) for way in get_args(Way)
        }
        self.code: DeviceCode | None = None
        self.signed_in: SignedIn | None = None
        self._backend = backend
        self._attempt: asyncio.Task[SignedIn] | None = None
        self.region = self.regions[0].value
        self.place = self.places["plan"][0].value

    def choose(
        self, *, way: Way | None = None, region: str | None = None, place: str | None = None
    ) -> None:
        """Changes what is given. A way that lacks the place chosen before gets its first one."""
        with self.hold_trait_notifications():
            self.way = self.way if way is None else way
            self.region = self.region if region is None else region
            self.place = self.place if place is None else place
            offered = self.places[self.way]
            if self.place not in [choice.value for choice in offered]:
                self.place = offered[0].value

    async def sign_in(self) -> None:
        """Signs in with the Token Plan. Returns when that ended, in whatever way."""
        await self._try("asking", "Asking MiniMax for a code.", self._begin_and_wait)

    async def use_key(self, key: SecretStr) -> None:
        """Tries an API key and keeps it in the chosen place. Returns when that ended."""

        async def check() -> SignedIn:
            return await self._backend.use_key(key, self.region, self.place)

        await self._try("checking", "Checking the key.", check)

    def cancel(self) -> None:
        """Ends the attempt that runs, if any. It is over a moment later."""
        if self._attempt is not None:
            self._attempt.cancel()

    def again(self) -> None:
        """Back to the choices, unless an attempt runs."""
        if self._attempt is None:
            self._to("choose")

    async def _begin_and_wait(self) -> SignedIn:
        pending = await self._backend.begin(self.region, self.place)
        self._to("waiting", status="Waiting for you to approve.", code=pending.code)
        mine = self._attempt

        def on_state(sentence: str) -> None:
            if self._attempt is mine:  # not from an attempt that is over
                self.status = sentence

        return await pending.wait(on_state)

    async def _try(
        self, phase: Phase, status: str, work: Callable[[], Coroutine[Any, Any, SignedIn]]
    ) -> None:
        if self._attempt is not None:
            return  # pressed twice
        self._attempt = asyncio.create_task(work())
        self._to(phase, status=status)
        try:
            signed_in = await self._attempt
        except asyncio.CancelledError:
            self._end("choose", status="Cancelled.")
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # not the button: whoever awaits this was cancelled
        except MinimaxError as error:
            self._end("failed", error=str(error))
        except Exception as error:
            _log_unexpected(error)
            name = type(error).__name__
            self._end("failed", error=f"Logging in failed unexpectedly ({name}).")
        else:
            self._end("done", signed_in=signed_in)

    def _end(
        self, phase: Phase, *, status: str = "", error: str = "", signed_in: SignedIn | None = None
    ) -> None:
        self._attempt = None
        self._to(phase, status=status, error=error, signed_in=signed_in)

    def _to(
        self,
        phase: Phase,
        *,
        status: str = "",
        error: str = "",
        code: DeviceCode | None = None,
        signed_in: SignedIn | None = None,
    ) -> None:
        """The one place where the phase changes; what belongs to another phase is forgotten."""
        self.code, self.signed_in = code, signed_in
        with self.hold_trait_notifications():
            self.phase, self.status, self.error = phase, status, error


def _log_unexpected(error: Exception) -> None:
    """Where it came from, but not its words: they may quote the key."""
    frames = traceback.extract_tb(error.__traceback__)
    _log.error("Logging in ended with %s, raised at %s.", type(error).__name__, _place(frames[-1]))
    _log.debug("By way of %s.", ", ".join(map(_place, frames)))


def _place(frame: traceback.FrameSummary) -> str:
    return f"{frame.filename}:{frame.lineno}"
