"""What the simulator answers when nobody scripted it. Words in the last prompt choose:

    ordinary text        a markdown answer that shows one of everything
    [[long 120000]]      that many characters of varied markdown
    [[slow 50]]          50 ms between chunks; goes with any other
    [[chunk 6]]          6 characters in each chunk; goes with any other
    [[echo]] any text    exactly the text that follows
    [[tool]]             calls the first offered tool
    use a tool           the same; a tool's name in the prompt calls that one, several names several
    [[length]]           an answer cut off at max_tokens
    [[thinkonly]]        thinking that leaves no room for text
    [[error 429]]        an HTTP status: 400 401 403 404 413 429 500 502 503 504 529
    [[error 2056]]       a MiniMax code: 1002 1004 1008 1026 1027 1039 2049 2056 2061 ...
    [[error 429 once]]   the same, but the next try of the same request is answered
    [[error midstream]]  the stream begins and then brings an error
    [[base_resp 1002]]   the older form of an error: HTTP 200 with base_resp
    [[drop]]             the connection is lost in the middle
    [[truncate]]         the stream ends in order, but in the middle
    [[silence]]          the stream stops and the connection stays open
    [[json]]             a whole JSON answer although a stream was asked for

A turn that brings tool results is answered from them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus

from minimax_magic.simulator.arguments import plausible_arguments
from minimax_magic.simulator.behaviours import (
    Behaviour,
    Drop,
    Fail,
    FailMidStream,
    Reply,
    Silence,
    ToolCall,
)
from minimax_magic.simulator.failures import CODES, STATUSES, nginx_page
from minimax_magic.simulator.samples import MAX_LONG_CHARS, long_markdown, sample
from minimax_magic.simulator.turn import OfferedTool, Turn

TRIGGER = re.compile(r"\[\[\s*([a-z_]+)((?:\s+[\w.]+)*)\s*\]\]")
ECHO = re.compile(r"\[\[\s*echo\s*\]\][ \n]?")
USE_A_TOOL = re.compile(r"\buse (?:a|the|your|any) tools?\b", re.IGNORECASE)
# far enough into the ordinary answer for some text to be there
MIDDLE = 40


def choose(turn: Turn) -> Behaviour:
    """The behaviour for a request that has passed validation."""
    prompt, echo = turn.prompt, None
    if found := ECHO.search(prompt):
        prompt, echo = prompt[: found.start()], prompt[found.end() :]
    words = {name: rest.split() for name, rest in TRIGGER.findall(prompt)}
    try:
        return _chosen(turn, prompt, echo, words)
    except ValueError as error:
        return Reply(
            text=f"The simulator did not understand: {error}. `--help` lists what it does."
        )


def ordinary(turn: Turn) -> Reply:
    """The answer when nothing was asked for: what a fault interrupts, for one."""
    chosen = choose(turn)
    return chosen if isinstance(chosen, Reply) else Reply(text=sample(turn))


def _chosen(turn: Turn, prompt: str, echo: str | None, words: dict[str, list[str]]) -> Behaviour:
    plain = Reply()
    if "slow" in words:
        plain = replace(plain, delay_s=_number("slow", words["slow"], 60_000) / 1000)
    if "chunk" in words:
        plain = replace(plain, chunk_chars=max(1, _number("chunk", words["chunk"], 1_000_000)))
    if turn.tool_results:
        return replace(plain, text=_from_results(turn))
    if echo is not None:
        return replace(plain, text=echo)
    if calls := _calls(turn, prompt, "tool" in words):
        return replace(plain, text="I will look that up with a tool.\n", tool_calls=calls)
    if "long" in words:
        plain = replace(plain, text=long_markdown(_number("long", words["long"], MAX_LONG_CHARS)))
    else:
        plain = replace(plain, text=sample(turn))
    return _with_fault(plain, words)


def _with_fault(plain: Reply, words: dict[str, list[str]]) -> Behaviour:
    middle = min(MIDDLE, max(2, len(plain.text) // plain.chunk_chars // 2))
    for name, rest in words.items():
        match name:
            case "error" if rest[:1] == ["midstream"]:
                return FailMidStream(middle, of=plain)
            case "error":
                return _error(rest)
            case "base_resp":
                return Fail(200, _number(name, rest, 99_999))
            case "drop":
                return Drop(middle, plain)
            case "truncate":
                return Drop(middle, plain, clean=True)
            case "silence":
                return Silence(middle, plain)
            case "length":
                text = plain.text[: len(plain.text) // 2]
                return replace(plain, text=text, finish_reason="length")
            case "thinkonly":
                return replace(plain, text="", thinking=THINK_ONLY, finish_reason="length")
            case "json":
                return replace(plain, stream=False)
            case _:
                pass  # not ours: people do write [[links]]
    return plain


THINK_ONLY = "This takes all the tokens there are, and so nothing is left for an answer. " * 3


def _number(name: str, rest: list[str], most: int) -> int:
    if not rest or not rest[0].isdecimal():
        raise ValueError(f"`[[{name} …]]` takes a number")
    return min(int(rest[0]), most)


def _error(rest: list[str]) -> Behaviour:
    number = _number("error", rest, 99_999)
    once = rest[1:] == ["once"]
    if number in STATUSES:
        return Fail(number, STATUSES[number][0], once=once)
    if number in CODES or number > 999:
        return Fail(code=number, once=once)
    if number not in (502, 503, 504):
        raise ValueError(f"`[[error {number}]]`")
    # what stands before the service answers these, with a page
    return nginx_page(number, HTTPStatus(number).phrase)


def _spoken(name: str) -> re.Pattern[str]:
    """A tool's name as people write it: `get_weather`, "get weather"."""
    parts = [re.escape(part) for part in re.split(r"[_\s-]+", name) if part]
    return re.compile(r"(?<!\w)" + r"[_\s-]+".join(parts) + r"(?!\w)", re.IGNORECASE)


def _calls(turn: Turn, prompt: str, asked: bool) -> tuple[ToolCall, ...]:
    named: list[OfferedTool] = [
        tool for tool in turn.tools if tool.name and _spoken(tool.name).search(prompt)
    ]
    if not named and (asked or USE_A_TOOL.search(prompt)):
        named = list(turn.tools[:1])
    said = TRIGGER.sub("", prompt)
    return tuple(ToolCall(tool.name, plausible_arguments(tool.parameters, said)) for tool in named)


def _from_results(turn: Turn) -> str:
    lines = ["The simulated answer, from what the tools returned:", ""]
    for result in turn.tool_results:
        text = " ".join(result.text.replace("`", "'").split())
        lines.append(f"- `{result.name}` returned `{text[:300]}`" if text else f"- `{result.name}`")
    return "\n".join(lines) + "\n"
