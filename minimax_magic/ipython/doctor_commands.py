"""`%minimax doctor`: one display that grows where there is a front end, lines everywhere else.

What the doctor finds is a report, not a failure: the cell succeeds whatever is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from minimax_magic.config import process_environ
from minimax_magic.doctor import report
from minimax_magic.doctor.doctor import Doctor
from minimax_magic.doctor.findings import Finding
from minimax_magic.doctor.lines import FindingLines
from minimax_magic.doctor.page import page
from minimax_magic.doctor.private import private_words
from minimax_magic.ipython import interrupts
from minimax_magic.ipython.arguments import Command, check_program
from minimax_magic.ipython.bridge import BackgroundLoop, Run
from minimax_magic.ipython.cell_errors import CellInterrupted, LineError
from minimax_magic.render.bundle import Bundle
from minimax_magic.render.copyable import copyable

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from minimax_magic.session import Session

_WAIT_S = 0.5
_PASTE = "It holds nothing private and can be pasted into an issue."


class Shown(Protocol):
    """What shows findings while they come.

    All three get all there are so far: `show` while the check of that title runs, and at the end either
    `finish`, or `stop` with the check at which they were stopped.
    """

    def show(self, findings: list[Finding], running: str) -> None: ...

    def finish(self, findings: list[Finding]) -> None: ...

    def stop(self, findings: list[Finding], at: str) -> None: ...


class DoctorCommands:
    """The command, for one shell.

    Args:
        background: Where the checks run.
    """

    def __init__(
        self, shell: InteractiveShell, session: Session, background: BackgroundLoop
    ) -> None:
        self._shell = shell
        self._session = session
        self._background = background

    def doctor(self, command: Command) -> dict[str, Any] | None:
        """Shows what each check finds, as it ends.

        Returns:
            With `--json` all of it, and shows nothing.

        Raises:
            LineError: The options do not go together, or there is no such program.
            CellInterrupted: It was stopped; what was found is shown.
        """
        as_value, as_report = command.has("--json"), command.has("--report")
        if as_value and as_report:
            raise LineError("--json gives a value and --report a text: take one of them.")
        program = command.options.get("--for")
        if program is not None:
            check_program(program, "--for")
        doctor = Doctor(
            self._session,
            spend=not command.has("--no-spend"),
            program=program,
            environ=process_environ(),
        )
        shown: Shown
        if as_value:
            shown = _Nothing()
        elif getattr(self._shell, "kernel", None) is not None:
            shown = _Display(self._report if as_report else None)
        else:
            shown = _Lines(self._report if as_report else None)
        findings = self._findings(doctor, shown)
        return report.as_json(findings) if as_value else None

    def _report(self, findings: list[Finding]) -> str:
        return report.markdown(findings, private=private_words(self._session))

    def _findings(self, doctor: Doctor, shown: Shown) -> list[Finding]:
        """Waits for all of them, and shows them meanwhile."""
        run = Run(self._background, doctor.findings)
        found: list[Finding] = []
        running = doctor.titles[0]
        with interrupts.noted() as stop:
            try:
                run.start()
                while not (run.over or stop.pressed):
                    running = doctor.running or running
                    shown.show(found, running)
                    run.wait(_WAIT_S)
                    found += run.drain()
            except KeyboardInterrupt:  # pressed again and again
                pass
            finally:
                running = doctor.running or running  # as of now, before it is ended
                run.cancel()  # whatever went wrong above, nothing is left running
            found += run.drain()
            if stop.pressed:
                shown.stop(found, running)
                raise CellInterrupted("the checks that were left did not run.")
            if run.error is not None:
                shown.stop(found, running)
                raise run.error
            shown.finish(found)
        return found


class _Nothing:
    """Nobody looks: the value is what is wanted."""

    def show(self, findings: list[Finding], running: str) -> None:
        """Nothing to do."""

    def finish(self, findings: list[Finding]) -> None:
        """Nothing to do."""

    def stop(self, findings: list[Finding], at: str) -> None:
        """Nothing to do."""


class _Display:
    """One output, which is replaced. What is there last is what the notebook keeps.

    Args:
        report_of: Makes the report, which is the last state; None: the findings are.
    """

    def __init__(self, report_of: Callable[[list[Finding]], str] | None) -> None:
        self._report_of = report_of
        self._handle: Any = None
        self._drawn: tuple[int, str] | None = None

    def show(self, findings: list[Finding], running: str) -> None:
        if (now := (len(findings), running)) != self._drawn:
            self._replace(page(findings, running))
            self._drawn = now

    def finish(self, findings: list[Finding]) -> None:
        if self._report_of is None:
            self._replace(page(findings))
        else:
            self._replace(copyable(self._report_of(findings), _PASTE))

    def stop(self, findings: list[Finding], at: str) -> None:
        # no verdict: it would speak of checks that nobody made
        self._replace(page(findings, f"{at}: stopped here, what follows was not asked"))

    def _replace(self, bundle: Bundle) -> None:
        if self._handle is None:
            from IPython.display import DisplayHandle

            self._handle = DisplayHandle()  # type: ignore[no-untyped-call]
            self._handle.display(bundle, raw=True)
        else:
            self._handle.update(bundle, raw=True)


class _Lines:
    """Lines of a terminal.

    Args:
        report_of: Makes the report, which is all that is printed; None: the findings are.
    """

    def __init__(self, report_of: Callable[[list[Finding]], str] | None) -> None:
        self._report_of = report_of
        self._written = 0
        self._lines = FindingLines(sys.stdout, process_environ())

    def show(self, findings: list[Finding], running: str) -> None:
        self._add(findings)
        self._lines.running(running)

    def finish(self, findings: list[Finding]) -> None:
        self._add(findings)
        if self._report_of is None:
            self._lines.end(findings)
        else:
            self._lines.stop()
            print(self._report_of(findings), end="")

    def stop(self, findings: list[Finding], at: str) -> None:
        self._add(findings)
        self._lines.stop()

    def _add(self, findings: list[Finding]) -> None:
        if self._report_of is None:
            for finding in findings[self._written :]:
                self._lines.add(finding)
            self._written = len(findings)
