"""`%minimax env` and `write-script`: the credential of the notebook for programs outside of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minimax_magic.config import process_environ
from minimax_magic.errors import MinimaxError
from minimax_magic.ipython import interrupts
from minimax_magic.ipython.arguments import Command, check_program
from minimax_magic.ipython.cell_errors import CellError, CellInterrupted, LineError
from minimax_magic.ipython.live_output import show_once
from minimax_magic.masked import MaskedStr
from minimax_magic.programs.access import environment_of
from minimax_magic.programs.names import PROGRAMS, SCRIPTED, SHELLS, usual_shell
from minimax_magic.programs.shells import written
from minimax_magic.render.copyable import copyable

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from minimax_magic.ipython.bridge import BackgroundLoop
    from minimax_magic.session import Session


class ProgramCommands:
    """The commands, for one shell.

    Args:
        background: Where the server and the gateway are asked.
    """

    def __init__(
        self, shell: InteractiveShell, session: Session, background: BackgroundLoop
    ) -> None:
        self._shell = shell
        self._session = session
        self._background = background

    def env(self, command: Command) -> None:
        """Shows what makes another program work; the key is masked in what the notebook keeps.

        Raises:
            LineError: There is no such program or shell.
            CellError: There is no credential, or this program cannot work with it.
            CellInterrupted: It was stopped.
        """
        if not command.names:
            raise LineError(f"for which program? %minimax env {'|'.join(PROGRAMS)}")
        program = command.names[0]
        check_program(program, "%minimax env", f" To ask: %minimax -- env {program}")
        shell = command.options.get("--shell", usual_shell(sys.platform))
        if shell not in SHELLS:
            raise LineError(f"--shell is one of {', '.join(SHELLS)}, not {shell!r}.")
        found = self._environment(program, command.options.get("--model"))
        in_kernel = getattr(self._shell, "kernel", None) is not None
        reveal = command.has("--reveal")
        if not in_kernel:
            print(written(found, shell, reveal=reveal), end="")
            return
        if not reveal:
            show_once(copyable(written(found, shell, reveal=False), whole=False), rich=True)
            return
        masked = written(found, shell, reveal=False, revealed_by="the button below gives all of it")
        show_once(copyable(masked, whole=False), rich=True)
        self._show_panel(MaskedStr(written(found, shell, reveal=True)))

    def write_script(self, command: Command) -> None:
        """Writes the scripts that start a program, and says which.

        Raises:
            LineError: There is none for it.
            CellError: They exist, or cannot be written.
        """
        from minimax_magic.programs.scripts import write_scripts, written_words

        if not command.names:
            raise LineError(f"for which program? %minimax write-script {'|'.join(SCRIPTED)}")
        try:
            written_now = write_scripts(Path.cwd(), command.names[0], command.has("--force"))
        except MinimaxError as error:
            raise CellError(error) from None
        print(written_words(written_now))

    def _environment(self, program: str, model: str | None) -> Any:
        work = environment_of(self._session, program, process_environ(), model=model)
        try:
            with interrupts.raised():  # also in a cell that awaits
                return self._background.result_of(work)
        except KeyboardInterrupt:
            raise CellInterrupted("nothing was shown.") from None
        except MinimaxError as error:
            raise CellError(error) from None

    def _show_panel(self, text: MaskedStr) -> None:
        from IPython.display import display

        from minimax_magic.widgets.reveal_panel import RevealPanel

        display(RevealPanel(text))  # type: ignore[no-untyped-call]
