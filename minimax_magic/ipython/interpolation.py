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
# Each possible end costs a compilation; a text full of braces that are no expressions must not hang.
_MOST_ENDS = 50
# Of what an expression raised; some libraries write pages.
_MOST_CHARS = 200


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
    end = text.find("}}", begin + 2)
    line = text.count("\n", 0, begin) + 1
    if end < 0:
        raise ConfigError(f"The '{{{{' on line {line} of the prompt has no '}}}}'.", hint=_RAW)
    first = text[begin + 2 : end].strip()
    if not first:
        raise ConfigError(f"The '{{{{}}}}' on line {line} of the prompt is empty.", hint=_RAW)
    problem = ""
    for _ in range(_MOST_ENDS):
        source = text[begin + 2 : end].strip()
        try:
            return source, compile(source, "<prompt>", "eval"), end + 2
        except SyntaxError as error:
            problem = problem or error.msg
        except (ValueError, RecursionError, MemoryError) as error:  # a NUL byte, too deep
            problem = problem or str(error) or "too deep"
        end = text.find("}}", end + 1)
        if end < 0:
            break
    raise ConfigError(f"{_show(first)} is not a Python expression: {problem}.", hint=_RAW)


def _value(source: str, code: CodeType, evaluate: Callable[[CodeType], Any]) -> str:
    try:
        return str(evaluate(code))
    except NameError as error:
        name = error.name or source
        raise ConfigError(
            f"{_show(source)}: {name!r} is not defined.", hint=f"Define it first. {_RAW}"
        ) from None
    except Exception as error:
        raised = f"{type(error).__name__}: {_said(error)}".rstrip(": ")
        raise ConfigError(f"{_show(source)} raised {raised}.", hint="Nothing was sent.") from None


def _said(error: Exception) -> str:
    try:
        return _shortened(str(error), _MOST_CHARS).rstrip(".")
    except Exception:
        return ""


def _show(source: str) -> str:
    return "{{" + _shortened(source, 60) + "}}"


def _shortened(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
