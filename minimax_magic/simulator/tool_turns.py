"""When the simulated model calls which tool, and how well.

What it does is planned from the prompt alone, as a list of rounds. How many of them the request
already brings tells which is next, so nothing is remembered between requests.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from minimax_magic.simulator.arguments import plausible_arguments, wrong_arguments
from minimax_magic.simulator.behaviours import ToolCall
from minimax_magic.simulator.prompt_words import Words
from minimax_magic.simulator.turn import OfferedTool

How = Literal["right", "wrong", "broken"]

# a tool of this name takes the answer itself, in the shape of its schema
ANSWER_TOOL = "give_answer"
USE_A_TOOL = re.compile(r"\buse (?:a|the|your|any) tools?\b", re.IGNORECASE)
# each of them asks for a call, so that no tool need be named
ASKING = ("tool", "steps", "badargs", "badjson", "xml")


@dataclass(frozen=True, slots=True)
class Round:
    """Calls of one turn; `how` is about the arguments of the first, the others are right."""

    tools: tuple[OfferedTool, ...]
    how: How = "right"

    def calls(self, said: str) -> tuple[ToolCall, ...]:
        """The calls, with values read from what was said."""
        first, *others = self.tools
        right = [ToolCall(tool.name, plausible_arguments(tool.parameters, said)) for tool in others]
        return (ToolCall(first.name, self._arguments(first, said)), *right)

    def _arguments(self, tool: OfferedTool, said: str) -> dict[str, object] | str:
        match self.how:
            case "right":
                return plausible_arguments(tool.parameters, said)
            case "wrong":
                return wrong_arguments(tool.parameters, said)
            case "broken":
                return json.dumps(plausible_arguments(tool.parameters, said))[:-1]


def answer_tool(tools: tuple[OfferedTool, ...]) -> OfferedTool | None:
    """The tool that takes the answer, if it is offered."""
    return next((tool for tool in tools if tool.name.startswith(ANSWER_TOOL)), None)


def planned(
    tools: tuple[OfferedTool, ...], words: Words, answer_with: OfferedTool | None
) -> list[Round]:
    """All rounds of calls that a prompt leads to.

    Args:
        answer_with: The tool that is to take the answer; None for an answer as text.
    """
    faults: list[How] = ["wrong"] * words.times("badargs")
    faults += ["broken"] * words.times("badjson")
    rounds: list[Round] = []
    if called := _called(tools, words):
        rounds = [Round(called, how) for how in faults]
        rounds += [Round(called)] * (words.number("steps", 1000) if "steps" in words else 1)
        faults = []
    if answer_with is not None:
        faults += ["wrong"] * words.times("invalid")
        rounds += [Round((answer_with,), how) for how in faults]
        rounds.append(Round((answer_with,)))
    return rounds


def _called(tools: tuple[OfferedTool, ...], words: Words) -> tuple[OfferedTool, ...]:
    """The tools that the prompt names, or the first if it only wants one."""
    usable = tuple(tool for tool in tools if tool.name and not tool.name.startswith(ANSWER_TOOL))
    named = tuple(tool for tool in usable if _spoken(tool.name).search(words.said))
    asked = USE_A_TOOL.search(words.said) or any(name in words for name in ASKING)
    return named or (usable[:1] if asked else ())


def _spoken(name: str) -> re.Pattern[str]:
    """A tool's name as people write it: `get_weather`, "get weather"."""
    parts = [re.escape(part) for part in re.split(r"[_\s-]+", name) if part]
    return re.compile(r"(?<!\w)" + r"[_\s-]+".join(parts) + r"(?!\w)", re.IGNORECASE)


def as_xml(calls: tuple[ToolCall, ...]) -> str:
    """Calls as text, the way M2.5 writes them at times; broken arguments leave it unfinished."""
    text = "<minimax:tool_call>"
    for call in calls:
        text += f'<invoke name="{call.name}">'
        if isinstance(call.arguments, str):
            return text + call.arguments
        for name, value in call.arguments.items():
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            text += f'<parameter name="{name}">{shown}</parameter>'
        text += "</invoke>"
    return text + "</minimax:tool_call>"
