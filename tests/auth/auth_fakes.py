"""What the tests of logins share: secrets that are easy to find again, fakes around them."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import SecretStr

from minimax_magic.auth.bundle import TokenBundle
from minimax_magic.auth.bundle_file import BUNDLE_FILE, BundleFile
from minimax_magic.auth.exchange import AccountClient
from minimax_magic.auth.oauth import PORTAL, Answer, ClientProfile, Proof
from minimax_magic.auth.regions import resolve_region
from minimax_magic.auth.store import leftovers
from minimax_magic.auth.token_plan import TokenPlan
from minimax_magic.clock import utc
from minimax_magic.masked import MaskedStr
from minimax_magic.testing import Answer as HttpAnswer
from minimax_magic.testing import FakeClock, json_answer
from minimax_magic.wire.http import HttpRequest

T = TypeVar("T")
NOW = 1_750_000_000.0
MARK = "topsecret"
VERIFIER = f"verifier-{MARK}-".ljust(64, "v")
PROOF = Proof(MaskedStr(VERIFIER), MaskedStr(f"state-{MARK}"))
USER_CODE = f"CODE-{MARK}"
ACCESS, REFRESH = f"access-{MARK}-1", f"refresh-{MARK}-1"
TOKEN_URL = "https://account.minimax.io/oauth2/token"


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(20):
            return await coroutine

    return asyncio.run(limited())


def account(
    transport: Any, clock: Any = None, region: str = "global", profile: ClientProfile = PORTAL
) -> AccountClient:
    return AccountClient(resolve_region(region), profile, transport, clock or FakeClock(), "test")


def form_of(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True))


def answered(body: Any, status: int = 200, **headers: str) -> Answer:
    """An answer as `auth.oauth` gets it; a body that is no text or bytes is JSON."""
    if not isinstance(body, str | bytes):
        body = json_answer(body).body[0]
    data = body.encode() if isinstance(body, str) else body
    secrets = (REFRESH, VERIFIER, USER_CODE, PROOF.state)
    return Answer(status, headers, data, TOKEN_URL, NOW, secrets)


def granted(number: int = 2, **more: Any) -> dict[str, Any]:
    """A success of the token endpoint, good for 15 minutes."""
    return {
        "status": "success",
        "access_token": f"access-{MARK}-{number}",
        "refresh_token": f"refresh-{MARK}-{number}",
        "expired_in": 900,
        "token_type": "Bearer",
        "resource_url": "https://api.minimax.io/anthropic",
        **more,
    }


def grant(number: int = 2, **more: Any) -> HttpAnswer:
    return json_answer(granted(number, **more))


def bundle(left_s: float = 900, now: float = NOW, **more: Any) -> TokenBundle:
    fields: dict[str, Any] = {
        "access_token": SecretStr(ACCESS),
        "refresh_token": SecretStr(REFRESH),
        "expires_at": utc(now + left_s),
        "resource_url": "https://api.minimax.io/anthropic",
        "client_id": PORTAL.client_id,
    }
    return TokenBundle(**{**fields, **more})


def bundle_file(folder: Path, content: TokenBundle | None = None) -> BundleFile:
    file = BundleFile(folder / "secrets" / BUNDLE_FILE, f"secrets/{BUNDLE_FILE}")
    if content is not None:
        file.write(content)
    return file


def plan(
    file: BundleFile,
    transport: Any,
    clock: Any = None,
    *,
    region: str | None = None,
    keep_fresh: bool = False,
) -> TokenPlan:
    """A login whose refreshes go to `transport`."""
    clock = clock or FakeClock()
    return TokenPlan(
        file, lambda _: account(transport, clock), clock, region=region, keep_fresh=keep_fresh
    )


class ManualClock(FakeClock):
    """A clock that only moves when told: who sleeps waits for that."""

    def __init__(self, now: float = NOW) -> None:
        super().__init__(now)
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        woken = asyncio.Event()
        self._sleepers.append((self.now + seconds, woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self.now]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self.now]
        for _, woken in due:
            woken.set()
        await settle()


async def settle() -> None:
    """Lets all that can go on go on."""
    for _ in range(50):
        await asyncio.sleep(0)


def shown(error: BaseException | None) -> str:
    """All that a report of an error may print of our code: words, fields, variables of each frame."""
    parts: list[str] = []
    while error is not None:
        parts += [repr(error), str(error), repr(vars(error))]
        trace = traceback.TracebackException(
            type(error), error, error.__traceback__, capture_locals=True
        )
        frames = [frame for frame in trace.stack if "/minimax_magic/" in frame.filename]
        parts += [f"{frame.name}: {frame.locals}" for frame in frames]
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


def aged(obtained_at: float, token: str = ACCESS) -> TokenBundle:
    fields = {**dict(bundle()), "obtained_at": utc(obtained_at)}
    return TokenBundle.model_validate({**fields, "access_token": token})


def leave(file: BundleFile, content: str) -> Path:
    """What a writer leaves that is killed before its last step."""
    left = file.path.with_name(f".{file.path.name}.0123456789ab.tmp")
    left.write_text(content)
    assert leftovers(file.path) == [left]
    return left


async def enter(file: BundleFile, clock: FakeClock | None = None) -> None:
    async with file.lock(clock or FakeClock()):
        pass
