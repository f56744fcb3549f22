"""`Doctor`: goes through the checks in their order, each of which says one thing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Final

from minimax_magic.doctor import (
    checks_account,
    checks_answer,
    checks_network,
    checks_programs,
    checks_setup,
)
from minimax_magic.doctor.checks import Case, Check, Found, by_error
from minimax_magic.doctor.checks_account import other_regions
from minimax_magic.doctor.findings import Finding
from minimax_magic.doctor.network import Network, SystemNetwork
from minimax_magic.doctor.versions import Versions, versions_here
from minimax_magic.errors import MinimaxError
from minimax_magic.session import Session

# Longer than all but hopeless checks take, which have limits of their own: whoever waits gets an answer.
_LONGEST_S: Final = 45.0

_REACHED: Final = ("endpoint", "dns", "tcp", "tls", "proxy")

CHECKS: Final = (
    Check("config", "Configuration", checks_setup.config),
    Check("credential", "Credential", checks_setup.credential, ("config",)),
    Check("region", "Region and key", checks_setup.region, ("credential",)),
    Check("endpoint", "Endpoint", checks_setup.endpoint, ("config",)),
    Check("dns", "Name resolution", checks_network.dns, ("endpoint",)),
    Check("tcp", "Connection", checks_network.tcp, ("dns",)),
    Check("tls", "TLS", checks_network.tls, ("tcp",)),
    Check("proxy", "Proxy", checks_network.proxy, ("endpoint",)),
    Check("clock", "Clock", checks_network.clock, _REACHED),
    Check("bundle", "Login", checks_setup.bundle, ("credential",)),
    Check(
        "authentication", "Authentication", checks_account.authentication, ("credential", *_REACHED)
    ),
    Check("account", "Account", checks_account.account, ("authentication",)),
    Check("completion", "Completion", checks_answer.completion, ("authentication",), spends=True),
    Check("streaming", "Streaming", checks_answer.streaming, ("completion",), spends=True),
    Check("environment", "Environment", checks_programs.environment),
    Check("program", "Program", checks_programs.program),
    Check("versions", "Versions", checks_programs.versions),
)


class Doctor:
    """Finds out what is wrong with what a session's cells would use.

    Args:
        session: Of which the world in use is examined: MiniMax as configured, or a simulator.
        spend: Also ask the model two tiny questions, which cost some tokens.
        program: One of `programs.names.PROGRAMS`: what would that do here? None: not asked.
        environ: The variables that other programs would see.
        network: None: the machine's.
        versions: None: those of this process.
        other_roots: Gives the API roots of other regions, for the root of one: they are asked for the
            quota when a key is refused.

    Attributes:
        running: Title of the check under way; empty if none is.
    """

    def __init__(
        self,
        session: Session,
        *,
        spend: bool = True,
        program: str | None = None,
        environ: Mapping[str, str],
        network: Network | None = None,
        versions: Versions | None = None,
        other_roots: Callable[[str], Sequence[str]] = other_regions,
    ) -> None:
        self.running = ""
        self._session = session
        self._spend = spend
        self._program = program
        self._environ = environ
        self._network = network or SystemNetwork()
        self._versions = versions
        self._other_roots = other_roots
        self._checks = tuple(
            check for check in CHECKS if check.name != "program" or program is not None
        )

    @property
    def titles(self) -> tuple[str, ...]:
        """What is asked, in order. A check may have several findings."""
        return tuple(check.title for check in self._checks)

    async def findings(self) -> AsyncGenerator[Finding, None]:
        """Each finding as soon as it is there. Raises nothing of ours: what fails is a finding.

        Cancelling it, or closing it early, ends what is under way.
        """
        case = Case(
            session=self._session,
            world=self._session.world,
            network=self._network,
            versions=self._versions or versions_here(self._environ),
            environ=self._environ,
            program=self._program,
            other_roots=self._other_roots,
            spend=self._spend,
        )
        clock = self._session.clock
        # names of those that failed or were not asked because of it, each with the title of the first
        blocked: dict[str, str] = {}
        try:
            for check in self._checks:
                self.running = check.title
                begun = clock.monotonic()
                culprit = next((blocked[name] for name in check.needs if name in blocked), "")
                if culprit:
                    blocked[check.name] = culprit
                    answers = [Found("skipped", f"Not asked, since {culprit} failed.")]
                elif check.spends and not self._spend:
                    answers = [Found("skipped", "Not wanted: it would use some tokens.")]
                else:
                    answers = await _answers(check, case)
                if any(found.state == "failed" for found in answers):
                    blocked[check.name] = check.title
                seconds = clock.monotonic() - begun
                for found in answers:
                    yield case.finding(check, found, seconds)
        finally:
            self.running = ""


async def _answers(check: Check, case: Case) -> list[Found]:
    """What a check says; an error that it raises is an answer, and one of our own faults too."""
    try:
        async with asyncio.timeout(_LONGEST_S) as limit:
            found = await check.ask(case)
    except MinimaxError as error:
        return [by_error(error)]
    except Exception as error:
        if isinstance(error, TimeoutError) and limit.expired():
            said = f"Given up after {_LONGEST_S:g} s."
            return [Found("failed", said, trouble="silent", error="TimeoutError")]
        # no word of the error itself: nobody knows what is in it
        said = (
            f"This check has a fault of its own ({type(error).__name__}), and says nothing of your "
            "setup: please report it."
        )
        return [Found("failed", said, error=type(error).__name__)]
    return [found] if isinstance(found, Found) else list(found)
