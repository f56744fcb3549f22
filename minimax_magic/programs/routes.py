"""What there is to say about another program: where it would go, and what is wrong with that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from minimax_magic.errors import ConfigError
from minimax_magic.programs.names import PROGRAMS
from minimax_magic.wire.http import short

# who reads which variables alike
LITELLM: Final = ("aider", "litellm")
ANTHROPIC_CLIENTS: Final = ("claude-code", "anthropic-sdk")

Header = Literal["x-api-key", "bearer", "none"]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Variables that keep a program from reaching MiniMax.

    Attributes:
        variables: Those to change or to unset, the most effective first.
        said: What wins and what that breaks; one sentence, nothing secret in it.
        trouble: The entry of `doctor.remedies` that mends it.
        programs: Who is affected.
        cause, step: Why, and what mends it, where those of that entry do not fit; empty: they do. They
            may hold its placeholders.
    """

    variables: tuple[str, ...]
    said: str
    trouble: str
    programs: tuple[str, ...]
    cause: str = ""
    step: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """What a program would do.

    Attributes:
        url: Where a chat request would go, whole; empty if none would be sent, or if a file that is
            not looked at decides (llm).
        base_from: `environment ANTHROPIC_API_BASE`, `default`, or the file that decides.
        key_from: `environment ANTHROPIC_API_KEY`; `nothing` where none is set.
        header: How the key would be sent.
        model: The id that the server would see; empty if none would be asked for.
        problems: What is wrong with it, the worst first.
        key: What it would send, a `MaskedStr`; empty if none.
    """

    program: str
    url: str
    base_from: str
    key_from: str
    header: Header
    model: str
    problems: tuple[Conflict, ...]
    key: str


def unknown_program(name: str) -> ConfigError:
    """The error for a program that is not one of `PROGRAMS`."""
    import difflib

    near = difflib.get_close_matches(name.lower(), PROGRAMS, 1)
    # what people call them besides
    near = near or [p for p in PROGRAMS if p.split("-")[0] in re.split(r"\W+", name.lower())][:1]
    return ConfigError(
        f"There is no environment for {short(name, 40)!r}"
        + (f"; did you mean {near[0]}?" if near else "."),
        hint=f"Use one of {', '.join(PROGRAMS)}.",
    )


def names(programs: Sequence[str]) -> str:
    called = {
        "aider": "Aider",
        "litellm": "LiteLLM",
        "claude-code": "Claude Code",
        "openai-sdk": "the OpenAI SDK",
        "anthropic-sdk": "the Anthropic SDK",
        "llm": "llm",
    }
    *most, last = [called[program] for program in programs]
    return f"{', '.join(most)} and {last}" if most else last


def merged(found: Sequence[Conflict]) -> tuple[Conflict, ...]:
    """Without what was found twice, for other programs: they are put together."""
    merged: list[Conflict] = []
    for one in found:
        for index, other in enumerate(merged):
            if (other.variables, other.trouble) == (one.variables, one.trouble):
                programs = tuple(p for p in PROGRAMS if p in other.programs + one.programs)
                merged[index] = replace(other, programs=programs)
                break
        else:
            merged.append(one)
    return tuple(merged)
