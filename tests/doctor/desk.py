"""What the tests of the doctor share: an examination from beginning to end, and a network that obeys."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from minimax_magic.doctor.doctor import Doctor
from minimax_magic.doctor.findings import Finding
from minimax_magic.doctor.network import Certificate
from minimax_magic.doctor.versions import Versions
from minimax_magic.errors import MinimaxError
from minimax_magic.session import Session

TRUSTED = Certificate("DigiCert Inc", datetime(2999, 1, 1, tzinfo=UTC), "TLSv1.3")
GOOD = Versions((("python", "3.12.1"), ("minimax-magic", "0.1.0")), "terminal", "Linux 6.1")


@dataclass
class FakeNetwork:
    """A network whose steps go as they are told; `asked` keeps which were taken.

    Attributes:
        addresses, connected, shown: What each step gives, or the error that it raises.
        proxy: The one that requests go through, or the error that it is.
    """

    addresses: tuple[str, ...] | MinimaxError = ("203.0.113.7",)
    connected: MinimaxError | None = None
    shown: Certificate | MinimaxError = TRUSTED
    proxy: str | MinimaxError | None = None
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        self.asked.append(("resolve", host, port))
        if isinstance(self.addresses, MinimaxError):
            raise self.addresses
        return self.addresses

    async def connect(self, host: str, port: int) -> None:
        self.asked.append(("connect", host, port))
        if self.connected is not None:
            raise self.connected

    async def handshake(self, host: str, port: int, proxy: str | None = None) -> Certificate:
        self.asked.append(("handshake", host, port, proxy))
        if isinstance(self.shown, MinimaxError):
            raise self.shown
        return self.shown

    def proxy_for(self, url: str) -> str | None:
        if isinstance(self.proxy, MinimaxError):
            raise self.proxy
        return self.proxy


def examine(
    session: Session | None = None, *, environ: Mapping[str, str] | None = None, **options: Any
) -> list[Finding]:
    """All findings, after which the session is closed."""
    session = session or Session()
    doctor = Doctor(session, environ=environ or {}, **{"versions": GOOD, **options})

    async def whole() -> list[Finding]:
        try:
            async with asyncio.timeout(20):
                return [finding async for finding in doctor.findings()]
        finally:
            await session.close()

    return asyncio.run(whole())


def by_check(findings: list[Finding]) -> dict[str, Finding]:
    """The first finding of each check."""
    return {finding.check: finding for finding in reversed(findings)}


def see(session: Session | None = None, **options: Any) -> dict[str, Finding]:
    return by_check(examine(session, **options))


def trouble_in(finding: Finding) -> str:
    """Name of its trouble; empty for none."""
    return finding.trouble.name if finding.trouble is not None else ""
