"""What a terminal says instead of the notebook's commands."""

from __future__ import annotations

import re

import pytest

from minimax_magic.doctor.remedies import TROUBLES
from minimax_magic.ipython.arguments import SUBCOMMANDS
from minimax_magic.terminal_words import COMMANDS, for_terminal


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Run `%minimax login`.", "Run `python -m minimax_magic login`."),
        ("Ask `%minimax env aider`.", "Ask `python -m minimax_magic env aider`."),
        (
            "Run `%minimax login` in a notebook, or `python -m minimax_magic login` in a terminal.",
            "Run `python -m minimax_magic login`.",
        ),
        ("`%minimax usage` shows it.", "`%minimax usage` in a notebook shows it."),
        ("Then `%%minimax --agent ana`.", "Then `%%minimax --agent ana` in a notebook."),
        ("`%minimax logout` in a notebook.", "`%minimax logout` in a notebook."),
        ("Nothing of it.", "Nothing of it."),
    ],
)
def test_commands_are_those_of_a_shell(said: str, told: str) -> None:
    """A command that there is in a terminal is named as it is typed there; another one as what it is."""
    assert for_terminal(said) == told
    assert for_terminal(told) == told


def test_no_step_is_for_a_notebook_alone_without_saying_so() -> None:
    """In a terminal no remedy names a magic command without `in a notebook`."""
    assert set(COMMANDS) < set(SUBCOMMANDS)
    for one in TROUBLES:
        for step in map(for_terminal, (*one.causes, *one.steps)):
            assert not re.search(r"`%%?minimax[^`]*`(?! in a notebook)", step), step
