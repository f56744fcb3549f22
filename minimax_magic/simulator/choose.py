"""What the simulator answers when nobody scripted it. Words in the last prompt choose:

    ordinary text        a markdown answer that shows one of everything, and names the images sent
    [[long 120000]]      that many characters of varied markdown
    [[slow 50]]          50 ms between chunks; goes with any other
    [[chunk 6]]          6 characters in each chunk; goes with any other
    [[echo]] any text    exactly the text that follows
    [[code]]             a python fence with a sentence before and after
    reply with exactly:  (these words) what follows them, and nothing else
    corrected cell       (these two words) an explanation and a python fence that prints
    [[math]]             LaTeX in \\[..\\] and \\(..\\), and a price in dollars
    [[html]]             a whole HTML page in a fence: styles, svg, script, image, refresh, form
    [[remoteimage]]      images in markdown and HTML whose loading would be seen: `planted_hits`

    use a tool           calls the first offered tool, then answers from what it returned; a tool's
                         name in the prompt calls that one, several names several in one turn
    [[tool]]             the same
    [[steps 3]]          calls in 3 turns, one after the other, before it answers
    [[badargs]]          the first call has arguments that do not fit the schema, and is made again
    [[badargs 5]]        so five times in a row
    [[badjson]]          the first call has broken JSON for arguments, and is made again; [[badjson 2]]
    [[xml]]              calls as text, <minimax:tool_call>, as M2.5 does; goes with the others

    a tool `give_answer…` is offered: an ordinary prompt is answered by calling it, after the tools
                         that the prompt names; [[badargs]] and [[badjson]] then are about it
                         if no other is called
    [[invalid 2]]        its first 2 calls do not fit the schema
    [[astext]]           the same answer as text in a json fence; with [[invalid 2]] the first 2
                         are wrong, each time the client asks again another is given
    the system prompt has "Answer with one JSON value and nothing else": a bare JSON object;
                         [[invalid 1]] gives prose first, [[astext]] puts it into a fence

    [[length]]           an answer cut off at max_tokens, no call of `give_answer`
    [[thinkonly]]        thinking that leaves no room for text, no call of `give_answer`
    [[json]]             a whole JSON answer although a stream was asked for
    [[error 429]]        an HTTP status: 400 401 403 404 413 429 500 502 503 504 529
    [[error 2056]]       a MiniMax code: 1002 1004 1008 1026 1027 1039 2049 2056 2061 ...
    [[error 429 once]]   the same, but the next try of the same request is answered
    [[error midstream]]  the stream begins and then brings an error
    [[base_resp 1002]]   the older form of an error: HTTP 200 with base_resp
    [[drop]]             the connection is lost in the middle
    [[truncate]]         the stream ends in order, but in the middle
    [[silence]]          the stream stops and the connection stays open

The prompt is the first text block of the last message in which a person says something. What
further blocks hold, an error or a table, chooses nothing. A turn that brings tool results is
answered from them unless more calls are due.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from minimax_magic.simulator.behaviours import (
    Behaviour,
    Drop,
    Fail,
    FailMidStream,
    Reply,
    Silence,
)
from minimax_magic.simulator.failures import CODES, STATUSES, nginx_page
from minimax_magic.simulator.prompt_words import Words
from minimax_magic.simulator.samples import sample
from minimax_magic.simulator.set_pieces import set_piece
from minimax_magic.simulator.structured_turns import structured_text, wish_of
from minimax_magic.simulator.tool_turns import answer_tool, as_xml, planned
from minimax_magic.simulator.turn import Turn

# far enough into the ordinary answer for some text to be there
MIDDLE = 40
BEFORE_A_CALL = "I will look that up with a tool.\n"
THINK_ONLY = "This takes all the tokens there are, and so nothing is left for an answer. " * 3


def choose(turn: Turn, origin: str = "") -> Behaviour:
    """The behaviour for a request that has passed validation.

    Args:
        origin: `http://host:port` of this server, for answers that point back to it.
    """
    try:
        return _with_fault(_reply(turn, origin), wish_of(turn).words)
    except ValueError as error:
        return _not_understood(error)


def ordinary(turn: Turn, origin: str = "") -> Reply:
    """The answer without any fault: what a fault interrupts, for one."""
    try:
        return _reply(turn, origin)
    except ValueError as error:
        return _not_understood(error)


def _not_understood(error: ValueError) -> Reply:
    return Reply(text=f"The simulator did not understand: {error}. `--help` lists what it does.")


def _reply(turn: Turn, origin: str) -> Reply:
    wish = wish_of(turn)
    words = wish.words
    plain = _paced(words)
    if words.echo is not None and not turn.tool_results:
        return _shaped(replace(plain, text=words.echo), words)
    fixed = set_piece(words, origin)
    free = fixed is not None or "length" in words or "thinkonly" in words
    answer_with = None if free or "astext" in words else answer_tool(turn.tools)
    rounds = planned(turn.tools, words, answer_with)
    if wish.rounds < len(rounds):
        due = rounds[wish.rounds]
        calls = due.calls(words.said)
        if "xml" in words:
            plain = replace(plain, text=f"{BEFORE_A_CALL}{as_xml(calls)}")
        else:
            # an answer given by a call has no words beside it
            before = "" if answer_with in due.tools else BEFORE_A_CALL
            plain = replace(plain, text=before, tool_calls=calls)
    else:
        structured = None if free else structured_text(turn, wish)
        results = _from_results(turn) if turn.tool_results else None
        wanted = (text for text in (structured, results, fixed) if text is not None)
        text = next(wanted, None)
        plain = replace(plain, text=sample(turn) if text is None else text)
    return _shaped(plain, words)


def _paced(words: Words) -> Reply:
    plain = Reply()
    if "slow" in words:
        plain = replace(plain, delay_s=words.number("slow", 60_000) / 1000)
    if "chunk" in words:
        plain = replace(plain, chunk_chars=max(1, words.number("chunk", 1_000_000)))
    return plain


def _shaped(plain: Reply, words: Words) -> Reply:
    if "length" in words and not plain.tool_calls:
        text = plain.text[: len(plain.text) // 2]
        plain = replace(plain, text=text, finish_reason="length")
    if "thinkonly" in words and not plain.tool_calls:
        plain = replace(plain, text="", thinking=THINK_ONLY, finish_reason="length")
    return replace(plain, stream=False) if "json" in words else plain


def _with_fault(plain: Reply, words: Words) -> Behaviour:
    chars = len(plain.text) + sum(len(str(call.arguments)) for call in plain.tool_calls)
    middle = min(MIDDLE, max(2, chars // plain.chunk_chars // 2))
    for name, rest in words.given.items():
        match name:
            case "error" if rest[:1] == ["midstream"]:
                return FailMidStream(middle, of=plain)
            case "error":
                return _error(words)
            case "base_resp":
                return Fail(200, words.number(name, 99_999))
            case "drop":
                return Drop(middle, plain)
            case "truncate":
                return Drop(middle, plain, clean=True)
            case "silence":
                return Silence(middle, plain)
            case _:
                pass  # not ours: people do write [[links]]
    return plain


def _error(words: Words) -> Behaviour:
    number = words.number("error", 99_999)
    once = words.given["error"][1:] == ["once"]
    if number in STATUSES:
        return Fail(number, STATUSES[number][0], once=once)
    if number in CODES or number > 999:
        return Fail(code=number, once=once)
    if number not in (502, 503, 504):
        raise ValueError(f"`[[error {number}]]`")
    # what stands before the service answers these, with a page
    return nginx_page(number, HTTPStatus(number).phrase)


def _from_results(turn: Turn) -> str:
    lines = ["The simulated answer, from what the tools returned:", ""]
    for result in turn.tool_results:
        text = " ".join(result.text.replace("`", "'").split())
        lines.append(f"- `{result.name}` returned `{text[:300]}`" if text else f"- `{result.name}`")
    return "\n".join(lines) + "\n"
