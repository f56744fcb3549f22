"""`--confirm`: the person says yes before a tool runs."""

from __future__ import annotations

import json
import re
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from minimax_magic.errors import ConfigError
from minimax_magic.ipython.hands import Confirm
from minimax_magic.ipython.whereabouts import somebody_is_there
from minimax_magic.messages import ToolCall

_CHOICES = "[y]es, [n]o, [a]ll: "
_ANSWERS = {"y": "yes", "yes": "yes", "n": "no", "no": "no", "a": "all", "all": "all"}
# A longer value is shown by its beginning and its end.
_MOST_CHARS, _HEAD_CHARS, _TAIL_CHARS = 600, 400, 150
# Arguments together longer than this have a line each.
_LINE_CHARS = 80
_INDENT = "\n    "
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


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
        if all_of_them:
            return True
        answer = _answer(f"Run {_whole_call(call)}? {_CHOICES}")
        all_of_them = answer == "all"
        return answer != "no"

    return ask


def _answer(question: str) -> str:
    """One of `yes`, `no` and `all`. Anything else is asked about again; Ctrl-D is a no."""
    while True:
        try:
            word = input(question)
        except EOFError:
            return "no"
        if answer := _ANSWERS.get(word.strip().lower()):
            return answer
        question = f"Please answer {_CHOICES}"


def _whole_call(call: ToolCall) -> str:
    """The call with all its arguments: what is agreed to must be seen.

    A model writes them. As JSON of ASCII characters, nothing in them hides, moves the text around it,
    or looks like a line of the question.
    """
    if call.invalid_arguments is not None:
        parts = [_value(call.invalid_arguments)]
    else:
        parts = [f"{_name(name)}={_value(value)}" for name, value in call.arguments.items()]
    between = f",{_INDENT}" if sum(map(len, parts)) > _LINE_CHARS else ", "
    return f"{_name(call.name)}({between.join(parts)})"


def _name(name: str) -> str:
    """As it is, if it is nothing but a name."""
    return name if len(name) <= _MOST_CHARS and _BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    # JSON leaves this one control character as it is
    text = json.dumps(value, ensure_ascii=True, default=repr).replace("\x7f", "\\u007f")
    if len(text) <= _MOST_CHARS:
        return text
    left_out = len(text) - _HEAD_CHARS - _TAIL_CHARS
    note = f"[... {left_out:,} characters are not shown ...]"
    return f"{text[:_HEAD_CHARS]}{_INDENT}{note}{_INDENT}{text[-_TAIL_CHARS:]}"
