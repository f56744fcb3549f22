"""`%minimax what is an ant?` is a prompt, although IPython takes a last `?` for its help on `ant`.

`%minimax?` alone still is help. Works on tokens as IPython's own transformers do, so that nothing
inside strings is touched.
"""

from __future__ import annotations

import re
from typing import Any

from IPython.core.inputtransformer2 import EscapedCommand, MagicAssign
from IPython.core.interactiveshell import InteractiveShell

_QUESTION = re.compile(r"%minimax[ \t]+[^\s?].*\?\s*$")


class _BeforeHelp:
    """Finds what its other base finds, if that is a question, and is put before all else there."""

    start_line: int
    start_col: int

    @classmethod
    def find(cls, tokens_by_line: list[list[Any]]) -> Any:
        found = super().find(tokens_by_line)  # type: ignore[misc]
        if found is None:
            return None
        start = (found.start_line + 1, found.start_col)
        text = next(t.line for line in tokens_by_line for t in line if t.start == start)
        if not _QUESTION.match(text.splitlines()[0][found.start_col :]):
            return None
        # help begins where the line does, and the first column is transformed first
        found.column, found.start_col = found.start_col, -1
        return found

    def transform(self, lines: list[str]) -> Any:
        self.start_col = self.column  # type: ignore[attr-defined]
        return super().transform(lines)  # type: ignore[misc]


class Question(_BeforeHelp, EscapedCommand):
    """`%minimax ...?`"""


class AssignedQuestion(_BeforeHelp, MagicAssign):
    """`x = %minimax ...?`"""


_OURS = [Question, AssignedQuestion]


def install(shell: InteractiveShell) -> None:
    shell.input_transformer_manager.token_transformers += _OURS


def remove(shell: InteractiveShell) -> None:
    known = shell.input_transformer_manager.token_transformers
    known[:] = [transformer for transformer in known if transformer not in _OURS]
