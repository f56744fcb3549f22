"""`{{expr}}` in a prompt: evaluated once, in one pass. Single braces are nobody's business.

JSON, f-strings, dicts and LaTeX go through untouched, and a value that holds braces is not looked at
again. Where an expression ends is decided by Python itself: the first `}}` before which the text
compiles, so that `{{ {"a": {"b": 1}} }}` works.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any

from minimax_magic.errors import ConfigError

_RAW = "To send the braces as they are, use --raw."


def interpolate(text: str, evaluate: Callable[[CodeType], Any]) -> str:
    """The text with every `{{expr}}` replaced by the `str` of its value.

    Args:
        evaluate: Runs a compiled expression in the user's namespace.

    Raises:
        ConfigError: An expression is not closed, is no Python, names something undefined or raises.
    """
    pieces: list[str] = []
    at = 0
    while (begin := text.find("{{", at)) >= 0:
        pieces.append(text[at:begin])
        source, code, at = _expression(text, begin)
        pieces.append(_value(source, code, evaluate))
    pieces.append(text[at:])
    return "".join(pieces)


def _expression(text: str, begin: int) -> tuple[str, CodeType, int]:
    """The expression that begins at `{{`: its source, its code, and where the text goes on."""
    problem = ("", "not readable")
    end = text.find("}}", begin + 2)
    if end < 0:
        line = text.count("\n", 0, begin) + 1
        raise ConfigError(f"The '{{{{' on line {line} of the prompt has no '}}}}'.", hint=_RAW)
    while end >= 0:
        source = text[begin + 2 : end].strip()
        try:
            code = compile(source, "<prompt>", "eval")
        except SyntaxError as error:
            problem = problem if problem[0] else (source, error.msg)
            end = text.find("}}", end + 1)
        except ValueError:
            break  # a NUL byte
        else:
            return source, code, end + 2
    source, why = problem
    raise ConfigError(f"{_show(source)} is not a Python expression: {why}.", hint=_RAW)


def _value(source: str, code: CodeType, evaluate: Callable[[CodeType], Any]) -> str:
    try:
        return str(evaluate(code))
    except NameError as error:
        name = error.name or source
        raise ConfigError(
            f"{_show(source)}: {name!r} is not defined.", hint=f"Define it first. {_RAW}"
        ) from None
    except Exception as error:
        raise ConfigError(
            f"{_show(source)} raised {type(error).__name__}: {error}.", hint="Nothing was sent."
        ) from None


def _show(source: str) -> str:
    short = " ".join(source.split())
    return "{{" + (short if len(short) <= 60 else f"{short[:57]}...") + "}}"
