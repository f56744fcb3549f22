"""`%minimax usage`, `dashboard` and `cost`: panels where there are widgets, tables everywhere else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minimax_magic.clock import utc
from minimax_magic.errors import ConfigError, MinimaxError
from minimax_magic.ipython.arguments import Command, dollars
from minimax_magic.ipython.cell_errors import CellError, LineError
from minimax_magic.usage.board import UsageBoard
from minimax_magic.usage.forecast import DAYS, forecast
from minimax_magic.usage.ranges import range_of
from minimax_magic.usage.rows import Selection

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from minimax_magic.ipython.bridge import BackgroundLoop
    from minimax_magic.session import Session
    from minimax_magic.usage.ledger import Ledger
    from minimax_magic.usage.view import UsageView
    from minimax_magic.widgets.usage_panel import UsagePanel

_log = logging.getLogger(__name__)

# A table waits so long for what is left of plan or balance; a panel does not wait at all.
_ACCOUNT_S = 3.0
_ANSWER_S = 60.0
# So many panels are kept up to date; who opens more has forgotten the first.
_PANELS = 8


class UsageCommands:
    """The commands, for one shell.

    Args:
        background: Where figures are put together.
    """

    def __init__(
        self, shell: InteractiveShell, session: Session, background: BackgroundLoop
    ) -> None:
        self._shell = shell
        self._session = session
        self._background = background
        self._showing: Future[None] | None = None
        self._board: UsageBoard | None = None
        self._panels: list[UsagePanel] = []

    def usage(self, command: Command) -> None:
        """Shows the panel and returns at once; a table where there are no widgets."""
        if self._has_widgets() and not command.has("--text"):
            self._show_panel()
        else:
            from minimax_magic.render.usage_table import usage_table

            self._show(usage_table(self._view(_ACCOUNT_S)))

    def dashboard(self, command: Command) -> None:
        """Shows the dashboard, or writes all records to a file.

        Raises:
            CellError: The ledger cannot be read, or the file not be written.
        """
        try:
            ledger, simulated = self._ledger()
            if (name := command.options.get("--csv")) is not None:
                self._write_csv(ledger, simulated, Path(name))
            elif self._has_widgets() and not command.has("--text"):
                self._show_dashboard(ledger, simulated)
            else:
                from minimax_magic.widgets.dashboard import dashboard_text

                since, until = range_of("30 days", self._now())
                recent = Selection(since, until, simulated=simulated)
                print(dashboard_text(ledger, recent, "model"))
        except MinimaxError as error:
            raise CellError(error) from None

    def cost(self, command: Command) -> None:
        """Says how long a budget lasts, by what was used recently.

        Raises:
            LineError: There is no budget.
            CellError: It is none, or the ledger cannot be read.
        """
        from minimax_magic.render.forecast import forecast_bundle

        if not command.has("--budget"):
            raise LineError("say how much: %minimax cost --budget 25.")
        budget = dollars("--budget", command.options["--budget"])
        try:
            ledger, simulated = self._ledger()
            now = self._now()
            recent = Selection(since=now - timedelta(days=DAYS + 1), simulated=simulated)
            prices = self._session.settings().prices
            said = forecast(ledger.records(recent), budget, now=now.astimezone(), prices=prices)
        except MinimaxError as error:
            raise CellError(error) from None
        self._show(forecast_bundle(said))

    def look_again(self) -> None:
        """Lets the panel read everything anew: cells are answered by another server now."""
        if self._board is not None:
            self._on_loop(self._board.look_again)

    def close(self) -> None:
        """Ends the panel's updates."""
        if self._showing is not None:
            self._showing.cancel()

    # ----------------------------------------------------------------------------------- panel

    def _show_panel(self) -> None:
        from IPython.display import display

        from minimax_magic.widgets.usage_panel import UsagePanel

        if self._board is None:
            self._board = UsageBoard(self._session)
        board, first = self._board, self._view(0.0)
        panel = UsagePanel(lambda: board.current or first, lambda: self._on_loop(board.refresh))
        self._panels = [*self._panels[-_PANELS + 1 :], panel]
        if self._showing is None or self._showing.done():
            self._showing = self._background.submit(self._keep_showing(board))
        else:
            self.look_again()
        display(panel)  # type: ignore[no-untyped-call]

    def _on_loop(self, function: Callable[[], None]) -> None:
        self._background.loop.call_soon_threadsafe(function)

    async def _keep_showing(self, board: UsageBoard) -> None:
        def show(view: UsageView) -> None:
            for panel in self._panels:
                panel.show(view)

        try:
            await board.run(show)
        except Exception as error:  # nobody waits for this: it would end unheard
            _log.exception("The usage panel stopped.")
            name = type(error).__name__
            if board.current is not None:
                problem = f"These figures stand still: {name}. Run `%minimax usage` again."
                show(replace(board.current, problem=problem))

    def _view(self, account_s: float) -> UsageView:
        view = UsageBoard(self._session).view(account_s=account_s)
        return self._background.submit(view).result(_ANSWER_S)

    # -------------------------------------------------------------------------------- the rest

    def _ledger(self) -> tuple[Ledger, bool]:
        """The ledger in use, and whether simulated records are meant."""
        session = self._session
        ledger = session.books(session.settings()).ledger
        if ledger is None:
            raise ConfigError("Usage is not recorded.", hint="Set `ledger` in llm.yaml to a file.")
        return ledger, session.simulated

    def _show_dashboard(self, ledger: Ledger, simulated: bool) -> None:
        from IPython.display import DisplayHandle

        from minimax_magic.widgets.dashboard import Dashboard

        dashboard = Dashboard(
            ledger,
            simulated=simulated,
            now=self._now,
            new_display=DisplayHandle,
            csv_dir=Path.cwd(),
        )
        dashboard.show()

    def _write_csv(self, ledger: Ledger, simulated: bool, file: Path) -> None:
        from minimax_magic.usage.frames import records, to_csv
        from minimax_magic.words import system_reason

        rows = records(ledger, Selection(simulated=simulated))  # first: it may fail
        try:
            with file.expanduser().open("x", newline="", encoding="utf-8") as out:
                written = to_csv(rows, out)
        except (OSError, RuntimeError) as error:  # the latter where `~somebody` is nobody
            reason = system_reason(error) if isinstance(error, OSError) else "no such folder"
            raise ConfigError(
                f"{file} cannot be written: {reason}.",
                hint="Name another file; none is overwritten.",
            ) from None
        kind = "simulated " if simulated else ""
        print(f"{written} {kind}{'request is' if written == 1 else 'requests are'} in {file}.")

    def _now(self) -> datetime:
        return utc(self._session.clock.time())

    def _has_widgets(self) -> bool:
        return getattr(self._shell, "kernel", None) is not None

    def _show(self, bundle: dict[str, Any]) -> None:
        from minimax_magic.ipython.live_output import show_once

        show_once(bundle, rich=self._has_widgets())
