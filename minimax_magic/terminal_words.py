"""Words for a terminal: what is said for notebooks names commands that a shell does not have."""

from __future__ import annotations

import re
from typing import Final

PROGRAM: Final = "python -m minimax_magic"
COMMANDS: Final = ("doctor", "env", "login", "setup", "status", "write-script")
"""Those of `%minimax` that `python -m minimax_magic` has under the same name."""

_COMMAND: Final = rf"`%minimax (?P<words>(?:{'|'.join(COMMANDS)})\b[^`]*)`"
# both are named: the shell's own is enough
_EITHER: Final = re.compile(rf"{_COMMAND} in a notebook, or (`{PROGRAM} [^`]*`) in a terminal")
_HERE: Final = re.compile(_COMMAND)
_ONLY_THERE: Final = re.compile(r"(`%%?minimax\b[^`]*`)(?! in a notebook)")


def for_terminal(text: str) -> str:
    """A text with the commands of `%minimax` as they are typed into a shell. What there is only in a
    notebook is named as that."""
    text = _EITHER.sub(r"\2", text)
    text = _HERE.sub(rf"`{PROGRAM} \g<words>`", text)
    return _ONLY_THERE.sub(r"\1 in a notebook", text)
