"""A login backend that does what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from minimax_magic.auth.choices import Choice, SignedIn, Way

USER_CODE = "PLNT-C0DE"
ADDRESS = "https://platform.minimax.io/device?planted=page"
KEY = "sk-planted-key"

SIGNED_IN = SignedIn(
    "Signed in to api.minimax.io",
    (("Region", "Global"), ("Stored in", "secrets/minimax_token_plan.json")),
    note="MINIMAX_API_KEY goes first.",
)
REGIONS = [
    Choice("global", "Global", "api.minimax.io"),
    Choice("china", "China", "api.minimaxi.com"),
]
PLACES: dict[Way, list[Choice]] = {
    "plan": [Choice("project", "This project"), Choice("user", "All my projects")],
    "key": [
        Choice("project", "This project"),
        Choice("user", "All my projects"),
        Choice("session", "This session only"),
    ],
}


@dataclass
class FakeCode:
    user_code: str = USER_CODE
    verification_uri: str = ADDRESS
    expires_at: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(minutes=10))


class FakeLogin:
    """Pending until the test answers."""

    def __init__(self, backend: FakeBackend) -> None:
        self.code = FakeCode()
        self._backend = backend

    async def wait(self, on_state: Callable[[str], None]) -> SignedIn:
        self._backend.on_state = on_state
        return await self._backend.asked("wait")


class FakeBackend:
    """Notes what it is asked for and waits for `answer`, once for every step of a login.

    Attributes:
        calls: `("begin", region, place)`, `("wait",)`, `("use_key", key, region, place)`.
        cancelled: The steps that ended by being cancelled.
        on_state: Of the login that waits.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.cancelled: list[str] = []
        self.on_state: Callable[[str], None] = print
        self._answers: asyncio.Queue[SignedIn | Exception | None] = asyncio.Queue()

    def regions(self) -> Sequence[Choice]:
        return REGIONS

    def places(self, way: Way) -> Sequence[Choice]:
        return PLACES[way]

    async def begin(self, region: str, place: str) -> FakeLogin:
        await self.asked("begin", region, place)
        return FakeLogin(self)

    async def use_key(self, key: SecretStr, region: str, place: str) -> SignedIn:
        return await self.asked("use_key", key.get_secret_value(), region, place)

    async def asked(self, *call: str) -> SignedIn:
        self.calls.append(call)
        try:
            answer = await self._answers.get()
        except asyncio.CancelledError:
            self.cancelled.append(call[0])
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer or SIGNED_IN

    async def answer(self, answer: SignedIn | Exception | None = None) -> None:
        """Lets the step that waits go on, and everything that follows from it happen."""
        self._answers.put_nowait(answer)
        await settle()


async def settle() -> None:
    """Lets every task run until all of them wait."""
    for _ in range(20):
        await asyncio.sleep(0)
