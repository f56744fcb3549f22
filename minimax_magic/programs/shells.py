"""An environment as text for a shell, a batch file or a `.env`: quoted, explained, masked.

The text can be evaluated or pasted as a whole: it sets and unsets variables, and starts nothing. The
command line stands in a comment. Masked, all of it is comments: half of an environment would send the
key of another service to this address.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from minimax_magic.errors import ConfigError
from minimax_magic.masked import MaskedStr
from minimax_magic.programs.environment import ProgramEnvironment, Variable
from minimax_magic.programs.names import SHELLS
from minimax_magic.wire.http import short

MASK: Final = "***"

_PLAIN: Final = re.compile(r"[\w./:@+,=-]+", re.ASCII)
# PowerShell takes typographic quotes for straight ones
_SINGLE_QUOTES: Final = re.compile("(['\u2018\u2019\u201a\u201b])")
_CMD_SPECIAL: Final = re.compile(r'([\^&|<>()"])')
# What some shell takes for more than text in a comment: a batch file expands variables there, and zsh
# has no comments where people type or paste.
_COMMENT_SPECIAL: Final = re.compile(r"[\x00-\x1f\x7f`'\"$%&|<>^;()\[\]{}*?!\\]")
_WIDTH: Final = 88


@dataclass(frozen=True, slots=True)
class _Shell:
    """How one of them writes.

    Attributes:
        place: What the text is for, where it is not simply a terminal.
        evaluated: How a comment begins in a text that is evaluated or pasted.
        unset: None where there is no way to say it.
        word: One word of a command line.
    """

    place: str
    comment: str
    evaluated: str
    set: Callable[[str, str], str]
    unset: Callable[[str], str] | None
    word: Callable[[str], str]


def written(
    env: ProgramEnvironment,
    shell: str,
    *,
    reveal: bool,
    revealed_by: str = "--reveal gives all of it",
) -> str:
    """The environment as text; ends with a line break.

    Args:
        shell: One of `SHELLS`: `cmd` is for a `.bat` file, `dotenv` as python-dotenv reads it.
        reveal: With the keys; else `***` stands for them, and nothing is set.
        revealed_by: How to get the text with the keys; part of a sentence.

    Raises:
        ConfigError: There is no such shell, or a value cannot be written in it.
    """
    if shell not in _SHELLS:
        raise ConfigError(
            f"There is no shell {short(shell, 40)!r}.", hint=f"Use one of {', '.join(SHELLS)}."
        )
    how = _SHELLS[shell]
    masked = not reveal and any(variable.secret for variable in env.variables)
    mark = how.comment if masked else how.evaluated
    off = f"{mark} " if masked else ""
    lines = _comment(mark, f"{env.title} with MiniMax{how.place}.")
    if masked:
        lines += _comment(mark, f"The key is masked, so nothing is set here: {revealed_by}.")
    why = ""
    for variable in env.variables:
        if variable.why != why:
            why = variable.why
            lines += ["", *_comment(mark, why)]
        lines.append(off + how.set(variable.name, _value(variable, reveal)))
    if env.unset:
        lines.append("")
    for name, why in env.unset:
        lines += _comment(mark, f"{name} must not be set. {why}")
        if how.unset is not None:
            lines.append(off + how.unset(name))
    for file in env.files:
        lines += ["", *_comment(mark, f"{file.name}, {file.place}, has to have this in it:")]
        lines += [f"{mark}   {line}" for line in file.text.splitlines()]
    lines += ["", *_comment(mark, "Then:")]
    lines.append(f"{mark}   {' '.join(map(how.word, _checked(env.command)))}")
    notes = list(env.notes)
    if shell == "dotenv" and env.program != "aider":
        notes.append(f"{env.title} sees this only if something loads the file.")
    for note in notes:
        lines += ["", *_comment(mark, note)]
    text = "\n".join(lines) + "\n"
    return MaskedStr(text) if reveal else text


def _value(variable: Variable, reveal: bool) -> str:
    if variable.secret and not reveal:
        return MASK
    if re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029]", variable.value):
        raise ConfigError(
            f"The value for {variable.name} has a line break or a control character in it.",
            hint="Look at where it comes from: a key or an address is one line.",
        )
    return variable.value


def _checked(words: Sequence[str]) -> Sequence[str]:
    if any(re.search(r"[\x00-\x1f\x7f]", word) for word in words):
        raise ConfigError("The command line has a line break or a control character in it.")
    return words


def _comment(mark: str, said: str) -> list[str]:
    """Lines of a comment that no shell takes for anything else."""
    import textwrap

    # an address or a command is never cut in two
    wrapped = textwrap.wrap(
        _COMMENT_SPECIAL.sub(" ", said),
        _WIDTH - len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [f"{mark} {line}" for line in wrapped]


# --- sh --------------------------------------------------------------------------------------------


def _sh_set(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _sh_word(word: str) -> str:
    # Python code with its strings in it is easier to read in double quotes
    plain = "'" in word and not set(word) & set('"$`\\!')
    return f'"{word}"' if plain else shlex.quote(word)


# --- PowerShell ------------------------------------------------------------------------------------


def _powershell_quoted(text: str) -> str:
    return "'" + _SINGLE_QUOTES.sub(r"\1\1", text) + "'"


def _powershell_word(word: str) -> str:
    # a bare comma makes an array, and @ splats
    if _PLAIN.fullmatch(word) and not set(word) & set(",@="):
        return word
    plain = "'" in word and not set(word) & set('"$`\u201c\u201d\u201e')
    return f'"{word}"' if plain else _powershell_quoted(word)


# --- cmd -------------------------------------------------------------------------------------------


def _cmd_set(name: str, value: str) -> str:
    doubled = value.replace("%", "%%")  # a batch file halves them
    if '"' in value:
        # an odd quote would open the rest of the line to the shell, so each special one is escaped
        escaped = _CMD_SPECIAL.sub(r"^\1", doubled)
        return f"set {name}={escaped}"
    return f'set "{name}={doubled}"'


def _cmd_word(word: str) -> str:
    plain = _PLAIN.fullmatch(word) and not set(word) & set(",=")
    doubled = word.replace("%", "%%").replace('"', '\\"')
    return word if plain else f'"{doubled}"'


# --- dotenv ----------------------------------------------------------------------------------------


def _dotenv_set(name: str, value: str) -> str:
    if "${" in value:
        raise ConfigError(
            f"The value for {name} has ${{ in it, which readers of a .env file expand.",
            hint="Use --shell sh.",
        )
    if _PLAIN.fullmatch(value):
        return f"{name}={value}"
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{escaped}'"


_SHELLS: Final = {
    # `: #` is a comment to all of them but zsh where it is typed or pasted, to which it is a command
    # that does nothing; a # alone is one that it does not find.
    "sh": _Shell("", "#", ": #", _sh_set, lambda name: f"unset {name}", _sh_word),
    "powershell": _Shell(
        "",
        "#",
        "#",
        lambda name, value: f"$env:{name} = {_powershell_quoted(value)}",
        lambda name: f"Remove-Item Env:{name} -ErrorAction SilentlyContinue",
        _powershell_word,
    ),
    "cmd": _Shell(
        ", for a batch file", "rem", "rem", _cmd_set, lambda name: f'set "{name}="', _cmd_word
    ),
    # Nothing can be unset there. Setting it to nothing is not the same: some programs take that for an
    # address, and it would overwrite nothing unless the reader overrides.
    "dotenv": _Shell(", for a .env file", "#", "#", _dotenv_set, None, _sh_word),
}
