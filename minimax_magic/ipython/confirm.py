"""`--confirm`: the person says yes before a tool runs."""

from __future__ import annotations

from IPython.core.interactiveshell import InteractiveShell

from minimax_magic.errors import ConfigError
from minimax_magic.ipython.hands import Confirm
from minimax_magic.ipython.whereabouts import somebody_is_there
from minimax_magic.messages import ToolCall
from minimax_magic.render.history import call_words


def may_call(shell: InteractiveShell) -> Confirm:
    """Asks for each call of a cell, until the answer is "all".

    Raises:
        ConfigError: Nobody is there to answer, as in nbclient or CI.
    """
    if not somebody_is_there(shell):
        raise ConfigError(
            "--confirm needs somebody to answer, and this runs unattended. Nothing was sent.",
            hint="Leave it out where nobody watches.",
        )
    all_of_them = False

    def ask(call: ToolCall) -> bool:
        nonlocal all_of_them
        if not all_of_them:
            try:
                answer = input(f"Run {call_words(call)}? [y]es, [n]o, [a]ll: ").strip().lower()
            except EOFError:  # Ctrl-D
                answer = "no"
            all_of_them = answer in ("a", "all")
            return all_of_them or answer in ("y", "yes")
        return True

    return ask
