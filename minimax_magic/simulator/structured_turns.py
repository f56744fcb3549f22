"""Answers that have to have a shape, given as text: which are wanted, and what they say.

Where the shape comes as a tool, `tool_turns` plans the call. An answer that is wrong on purpose
says so; by that a message of the client that asks again is told from a new prompt.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from minimax_magic.simulator.arguments import numbers_in, plausible_arguments, wrong_arguments
from minimax_magic.simulator.prompt_words import Words, read_words
from minimax_magic.simulator.tool_turns import answer_tool
from minimax_magic.simulator.turn import Turn

# what our magic adds to the system prompt for `--format json`
JSON_WANTED = "Answer with one JSON value and nothing else"
ON_PURPOSE = "wrong on purpose"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request is about.

    Attributes:
        words: Of the prompt that began it.
        repairs: How often the client asked again, after an answer in text that was wrong.
        rounds: How many turns with tool calls there were since that prompt.
    """

    words: Words
    repairs: int
    rounds: int


def wish_of(turn: Turn) -> Wish:
    """The prompt that is to be answered: the last, or the one that a last message came back to."""
    start = len(turn.asks) - 1
    while start and _asks_again(turn, start):
        start -= 1
    asks = turn.asks[start:]
    words = read_words(asks[0].prompt).under(read_words(turn.always))
    return Wish(words, len(asks) - 1, sum(ask.rounds for ask in asks))


def _asks_again(turn: Turn, position: int) -> bool:
    words = read_words(turn.asks[position].prompt)
    new = words.given or words.echo is not None
    return not new and ON_PURPOSE in turn.asks[position - 1].answer


def structured_text(turn: Turn, wish: Wish) -> str | None:
    """The answer as text in the shape that is wanted; None if none is, or if a tool takes it."""
    words = wish.words
    wrong = wish.repairs < words.times("invalid")
    tool = answer_tool(turn.tools)
    if tool is not None:
        if "astext" not in words:
            return None
        make = wrong_arguments if wrong else plausible_arguments
        return _in_a_fence(make(tool.parameters, words.said), wrong)
    if JSON_WANTED not in turn.system:
        return None
    if wrong:
        return f"This is the simulated answer in words instead of JSON, {ON_PURPOSE}.\n"
    value = _value(turn, words)
    return _in_a_fence(value, False) if "astext" in words else json.dumps(value, ensure_ascii=False)


def _in_a_fence(value: Any, wrong: bool) -> str:
    said = f"Here is the simulated answer, {ON_PURPOSE}:" if wrong else "Here is the answer:"
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return f"{said}\n\n```json\n{text}\n```\n\nAsk if you want to know more.\n"


def _value(turn: Turn, words: Words) -> dict[str, Any]:
    value: dict[str, Any] = {
        "simulated": True,
        "prompt": " ".join(words.said.split())[:200],
        "numbers": list(numbers_in(words.said)),
    }
    if turn.tool_results:
        value["results"] = [result.text[:300] for result in turn.tool_results]
    return value
