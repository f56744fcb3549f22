"""An environment as text for a shell, a batch file or a `.env`: quoted, explained, masked.

The text can be evaluated as a whole: it sets and unsets variables, and starts nothing. The command line
stands in a comment.
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
from minimax_magic.wire.http import short

SHELLS: Final = ("sh", "powershell", "cmd", "dotenv")
MASK: Final = "***"

_PLAIN: Final = re.compile(r"[\w./:@+,=-]+", re.ASCII)
# PowerShell takes typographic quotes for straight ones
_SINGLE_QUOTES: Final = re.compile("(['\u2018\u2019\u201a\u201b])")
_CMD_SPECIAL: Final = re.compile(r'([\^&|<>()"])')
_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class _Shell:
    """How one of them writes.

    Attributes:
        unset: None where there is no way to say it.
        word: One word of a command line.
    """

    comment: str
    set: Callable[[str, str], str]
    unset: Callable[[str], str] | None
    word: Callable[[str], str]


def usual_shell(platform: str) -> str:
    """The one that people of a system most likely use.

    Args:
        platform: `sys.platform`.
    """
    return "powershell" if platform == "win32" else "sh"


def written(env: ProgramEnvironment, shell: str, *, reveal: bool) -> str:
    """The environment as text; ends with a line break.

    Args:
        shell: One of `SHELLS`: `cmd` is for a `.bat` file, `dotenv` as python-dotenv reads it.
        reveal: With the keys; else `***` stands for them, and the text says so.

    Raises:
        ConfigError: There is no such shell, or a value cannot be written in it.
    """
    if shell not in _SHELLS:
        raise ConfigError(
            f"There is no shell {short(shell, 40)!r}.", hint=f"Use one of {', '.join(SHELLS)}."
        )
    how = _SHELLS[shell]
    lines = _comment(how, f"{env.title} with MiniMax.")
    if not reveal and any(variable.secret for variable in env.variables):
        lines += _comment(how, f"The key is masked: with --reveal it stands where {MASK} is.")
    for variable in env.variables:
        lines += [
            "",
            *_comment(how, variable.why),
            how.set(variable.name, _value(variable, reveal)),
        ]
    if env.unset:
        lines.append("")
    for name, why in env.unset:
        lines += _comment(how, f"{name} must not be set. {why}")
        if how.unset is not None:
            lines.append(how.unset(name))
    lines += ["", *_comment(how, "Then:")]
    lines.append(f"{how.comment}   {' '.join(map(how.word, _checked(env.command)))}")
    for file in env.files:
        lines += ["", *_comment(how, f"{file.name}, in {file.place}, has to have this in it:")]
        lines += [f"{how.comment}   {line}" for line in file.text.splitlines()]
    for note in env.notes:
        lines += ["", *_comment(how, note)]
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


def _comment(how: _Shell, said: str) -> list[str]:
    """Lines of a comment that no shell takes for anything else."""
    import textwrap

    # a batch file expands variables in remarks, too, and may end them at an ampersand
    said = re.sub(r"[%&|<>^]", " ", said) if how.comment == "rem" else said
    said = re.sub(r"[\x00-\x1f\x7f]", " ", said)
    # an address or a command is never cut in two
    wrapped = textwrap.wrap(
        said, _WIDTH - len(how.comment), break_long_words=False, break_on_hyphens=False
    )
    return [f"{how.comment} {line}" for line in wrapped]


# --- sh --------------------------------------------------------------------------------------------


def _sh_set(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


# --- PowerShell ------------------------------------------------------------------------------------


def _powershell_quoted(text: str) -> str:
    return "'" + _SINGLE_QUOTES.sub(r"\1\1", text) + "'"


def _powershell_word(word: str) -> str:
    # a bare comma makes an array, and @ splats
    plain = _PLAIN.fullmatch(word) and not set(word) & set(",@=")
    return word if plain else _powershell_quoted(word)


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
    "sh": _Shell("#", _sh_set, lambda name: f"unset {name}", shlex.quote),
    "powershell": _Shell(
        "#",
        lambda name, value: f"$env:{name} = {_powershell_quoted(value)}",
        lambda name: f"Remove-Item Env:{name} -ErrorAction SilentlyContinue",
        _powershell_word,
    ),
    "cmd": _Shell("rem", _cmd_set, lambda name: f'set "{name}="', _cmd_word),
    # Nothing can be unset there. Setting it to nothing is not the same: some programs take that for an
    # address, and it would overwrite nothing unless the reader overrides.
    "dotenv": _Shell("#", _dotenv_set, None, shlex.quote),
}
