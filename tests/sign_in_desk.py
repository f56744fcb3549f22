"""What the tests of signing in share: a session's side of the panel, and where it keeps things."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from minimax_magic.ask import Ask
from minimax_magic.auth.bundle_file import BUNDLE_FILE
from minimax_magic.auth.choices import SignedIn
from minimax_magic.session import Session
from minimax_magic.sign_in import SignIn
from minimax_magic.simulator import Simulator
from minimax_magic.testing import FakeClock

T = TypeVar("T")

KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"

BUNDLE = Path("secrets") / BUNDLE_FILE


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 20))


def facts_of(done: SignedIn) -> dict[str, str]:
    return dict(done.facts)


class Desk:
    """A session's side of the panel, with a simulator of its own as the magics have one."""

    def __init__(self, **options: Any) -> None:
        self.session = Session(**{"clock": FakeClock(time.time()), **options})
        self.own: Simulator | None = None
        self.sign_in = SignIn(self.session, self.serve)

    def serve(self) -> Simulator:
        self.own = self.own or Simulator().start()
        return self.own

    def start(self) -> Simulator:
        """`%minimax simulator`."""
        self.session.simulator = own = self.serve()
        return own

    def stop(self) -> None:
        """`%minimax simulator off`."""
        simulator, self.own, self.session.simulator = self.own, None, None
        if simulator is not None:
            simulator.stop()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def whole() -> T:
            try:
                return await work
            finally:
                await self.session.close()

        return run(whole())

    def plan(
        self,
        region: str,
        place: str = "project",
        decide: Callable[[Simulator], None] = lambda server: server.account.approve(),
        server: Simulator | None = None,
    ) -> SignedIn:
        """Signs in with a plan; the person decides before the first question."""
        self.states: list[str] = []

        async def whole() -> SignedIn:
            pending = await self.sign_in.begin(region, place)
            decide(server or self.serve())
            return await pending.wait(self.states.append)

        return self.run(whole())

    def key(self, key: str, region: str, place: str = "project") -> SignedIn:
        return self.run(self.sign_in.use_key(SecretStr(key), region, place))

    def log_out(self) -> list[str]:
        return self.run(self.sign_in.log_out())

    def ask(self) -> None:
        """Runs a cell, in a session whose clock is real: renewal in the background needs one."""
        session = Session()
        session.world = self.session.world

        async def whole() -> None:
            try:
                async for _ in session.prepare(Ask("hi")).events():
                    pass
            finally:
                await session.close()

        run(whole())


def configure(text: str) -> None:
    Path("config/llm.yaml").write_text(f"providers: {{minimax: {{{text}}}}}\n")
