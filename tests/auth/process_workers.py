"""Processes for `test_processes.py`: imports the package once, then forks a process for each job.

Reads jobs from stdin, one JSON object per line, and writes what its processes tell to stdout, one JSON
object per line with the `pid` of who speaks. `{"wait": pid}` waits for one to end and tells how.

What kills or holds up a process is put in here, around what the package calls; the package knows
nothing of it. No token is ever printed, only a digest of it.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401  imported here once, not in every process
import filelock

from minimax_magic import MiniMax
from minimax_magic.auth.bundle import TokenBundle
from minimax_magic.auth.bundle_file import BundleFile
from minimax_magic.clock import SystemClock
from minimax_magic.errors import MinimaxError
from minimax_magic.transport import AiohttpTransport, HttpResponse
from minimax_magic.wire.http import HttpRequest

POLL_S = 0.005
TOKEN_PATH = "/oauth2/token"


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def tell(**news: object) -> None:
    """One line, in one write: the lines of many processes do not mix."""
    os.write(1, (json.dumps({"pid": os.getpid(), **news}) + "\n").encode())


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for(path: str) -> None:
    while not os.path.exists(path):
        time.sleep(POLL_S)


class LaterClock(SystemClock):
    """The machine's clock, so many seconds on."""

    def __init__(self, later_s: float) -> None:
        self._later_s = later_s

    def time(self) -> float:
        return super().time() + self._later_s


class ToldTransport(AiohttpTransport):
    """Notes which tokens chats were sent with, and stops where a job says.

    Args:
        at_refresh: Called before tokens are asked for.
        rotated: Called when the head of the answer with new tokens is there.
    """

    def __init__(self, at_refresh: Callable[[], None], rotated: Callable[[], None]) -> None:
        super().__init__()
        self.bearers: list[str] = []
        self._at_refresh = at_refresh
        self._rotated = rotated

    async def send(self, request: HttpRequest) -> HttpResponse:
        if "/oauth" in request.url:
            self._at_refresh()
        else:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.bearers.append(digest(headers["authorization"].partition(" ")[2]))
        response = await super().send(request)
        if request.url.endswith(TOKEN_PATH) and response.status == 200:
            self._rotated()
        return response


def nothing(*_: object) -> None:
    pass


def around(
    owner: Any,
    name: str,
    *,
    before: Callable[..., None] = nothing,
    after: Callable[..., None] = nothing,
) -> None:
    """Puts calls around a function of a module or class, for the rest of this process."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*args: Any, **options: Any) -> Any:
        before(*args)
        result = original(*args, **options)
        after(*args)
        return result

    setattr(owner, name, wrapped)


def _die(*_: object) -> None:
    die()


def _die_half_written(descriptor: int) -> None:
    os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
    die()


def _die_if_temporary(path: object, *_: object) -> None:
    if str(path).endswith(".tmp"):
        die()


# where a process kills itself, by what the package calls there
KILLS: Mapping[str, Callable[[], None]] = {
    "before the lock": lambda: around(filelock.FileLock, "acquire", before=_die),
    "after the lock": lambda: around(filelock.FileLock, "acquire", after=_die),
    "before the request": nothing,  # the transport does these two
    "before the answer": nothing,
    "temporary file made": lambda: around(os, "open", after=_die_if_temporary),
    "temporary file half written": lambda: around(os, "fsync", before=_die_half_written),
    "temporary file complete": lambda: around(os, "replace", before=_die),
    "file replaced": lambda: around(os, "replace", after=_die),
}


async def chat(job: Mapping[str, Any]) -> dict[str, Any]:
    """A client asks once; all clients of a job ask at the same moment, and reach the refresh too."""
    kill_at = job.get("kill_at")
    told = False

    def tell_once(*_: object) -> None:
        nonlocal told
        if not told:
            told = True
            tell(at="refresh")

    def at_refresh() -> None:
        tell_once()
        if job.get("refresh_when"):
            wait_for(job["refresh_when"])
        if kill_at == "before the request":
            die()

    transport = ToldTransport(at_refresh, die if kill_at == "before the answer" else nothing)
    around(filelock.FileLock, "acquire", before=tell_once)
    if kill_at:
        KILLS[kill_at]()
    client = MiniMax(
        bundle=job["bundle"],
        requests_per_second=None,
        transport=transport,
        clock=LaterClock(job.get("later_s", 0)),
    )
    async with client:
        tell(at="ready")
        if job.get("go"):
            wait_for(job["go"])
        began = time.monotonic()
        try:
            reply = await client.chat("Hello")
        except MinimaxError as error:
            result = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
        else:
            result = {"text": reply.text}
        return {**result, "sent_with": transport.bearers, "took_s": time.monotonic() - began}


async def hold(job: Mapping[str, Any]) -> dict[str, Any]:
    """Takes the lock and keeps it until it is told to stop."""
    async with BundleFile(Path(job["bundle"])).lock(SystemClock()):
        tell(at="holding")
        await asyncio.to_thread(wait_for, job["stop"])
    return {}


async def rewrite(job: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the bundle so many times, both of its tokens with the same number."""
    file = BundleFile(Path(job["bundle"]))
    first = file.read()
    assert first is not None
    data = first.model_dump()
    wait_for(job["go"])
    for number in range(job["times"]):
        tokens = dict.fromkeys(("access_token", "refresh_token"), f"{number}-{'x' * 8000}")
        async with file.lock(SystemClock()):
            file.write(TokenBundle(**{**data, **tokens}))
    return {"written": job["times"]}


async def look(job: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the bundle as fast as it can, one reader that keeps what it knows and one that does not."""
    keeping = BundleFile(Path(job["bundle"]))
    seen, reads = set(), 0
    tell(at="ready")
    while not os.path.exists(job["stop"]):  # noqa: ASYNC240  nothing else runs here
        for file in (keeping, BundleFile(keeping.path)):
            bundle = file.read()
            if bundle is None or bundle.refresh_token is None:
                return {"error": "the bundle was gone"}
            number = bundle.access_token.get_secret_value().partition("-")[0]
            if number != bundle.refresh_token.get_secret_value().partition("-")[0]:
                return {"error": "the tokens of two bundles were mixed"}
            seen.add(number)
            reads += 1
    return {"reads": reads, "seen": len(seen)}


JOBS = {"chat": chat, "hold": hold, "rewrite": rewrite, "look": look}


def run(job: Mapping[str, Any]) -> None:
    """In the new process; never returns."""
    status = 1
    try:
        tell(at="end", **asyncio.run(JOBS[job["job"]](job)))
        status = 0
    except BaseException as error:
        tell(at="end", error=type(error).__name__, message=str(error))
    finally:
        os._exit(status)


def main() -> None:
    tell(at="ready")
    for line in sys.stdin:
        job = json.loads(line)
        if "wait" in job:
            _, status = os.waitpid(job["wait"], 0)
            tell(at="ended", ended=job["wait"], code=os.waitstatus_to_exitcode(status))
        elif (pid := os.fork()) == 0:
            run(job)
        else:
            tell(at="forked", forked=pid)


if __name__ == "__main__":
    main()
