"""Tool calls written as XML into the text."""

from __future__ import annotations

import json
import re
import time
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_streams import cut, fold, merged

from minimax_magic.events import (
    Finished,
    Notice,
    Started,
    StreamEvent,
    TextDelta,
    TextWasThinking,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    UsageUpdate,
)
from minimax_magic.messages import Tool, ToolCall
from minimax_magic.tokens import TokenUsage
from minimax_magic.wire.xml_calls import XmlCalls

MODEST = settings(max_examples=200, deadline=None, derandomize=True)
OPEN, CLOSE = "<minimax:tool_call>", "</minimax:tool_call>"
MARKER = "]<]minimax[>["
LS = f'{OPEN}<invoke name="exec"><parameter name="command">ls</parameter></invoke>{CLOSE}'
EXEC = Tool(
    name="exec", parameters={"type": "object", "properties": {"command": {"type": "string"}}}
)
NOW = Tool(name="now")


def stage(*tools: Tool) -> XmlCalls:
    numbers = count(1)
    return XmlCalls(tools or (EXEC, NOW), lambda: f"id-{next(numbers)}")


def run(pieces: list[str], *tools: Tool) -> list[StreamEvent]:
    calls = stage(*tools)
    events = [e for piece in pieces if piece for e in calls.feed([TextDelta(piece)])]
    return merged(events + calls.flush())


def read(text: str, *tools: Tool) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    """The text that is left, and the calls; the same at every cut."""
    whole = run([text], *tools)
    assert run(list(text), *tools) == whole
    for at in range(len(text) + 1):
        assert run([text[:at], text[at:]], *tools) == whole
    reply = fold(whole)
    return reply.text, [(call.name, call.arguments) for call in reply.tool_calls]


def test_a_block_becomes_the_events_of_a_call() -> None:
    """They are those of a real call, far from the indices of real ones, and a notice says so once."""
    calls = stage()
    block = LS.replace("</invoke>", '</invoke><invoke name="now"></invoke>')
    assert calls.feed([TextDelta(f"Look: {block}"), Finished("stop")]) == [
        TextDelta("Look: "),
        Notice("The model wrote tool calls as text; they are taken as calls."),
        ToolCallStarted(1000, "id-1", "exec"),
        ToolCallDelta(1000, '{"command": "ls"}'),
        ToolCallDone(1000, ToolCall(id="id-1", name="exec", arguments={"command": "ls"})),
        ToolCallStarted(1001, "id-2", "now"),
        ToolCallDelta(1001, "{}"),
        ToolCallDone(1001, ToolCall(id="id-2", name="now")),
        Finished("tool_calls"),
    ]
    again = calls.feed([TextDelta(LS)])
    assert not any(isinstance(event, Notice) for event in again)
    assert again[0] == ToolCallStarted(1002, "id-3", "exec")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (LS, ""),
        (f"{LS}\n", ""),
        (f"a\n{LS}\nb", "a\n\nb"),
        (f"a <b> {LS} c < d", "a <b>  c < d"),
        (f"{MARKER}{LS}{MARKER}", ""),
        (f"a{MARKER}{MARKER}\n{LS}{MARKER}\n{MARKER}b", "a\nb"),
        (f"a{MARKER}b {MARKER} c ]<]m {LS}d", f"a{MARKER}b {MARKER} c ]<]m d"),
        (LS.replace("><", f">{MARKER}\n<").replace("ls<", f"ls{MARKER}<"), ""),
        (LS.replace("><", ">\n  <"), ""),
        (LS.replace('"', "'"), ""),
        (LS.replace('name="command"', ' type = "string"  name = "command" '), ""),
        (f"{OPEN}{LS}", OPEN),
        (f"{OPEN} is the tag. {LS}", f"{OPEN} is the tag. "),
        (f"```\nx\n```\n{LS}", "```\nx\n```\n"),
        (f"Use `x` or ``` y\n{LS}", "Use `x` or ``` y\n"),
        (f"`{LS}` {LS}", f"`{LS}` "),
        (f"```xml\n{LS}\n```\n{LS}", f"```xml\n{LS}\n```\n"),
    ],
)
def test_the_block_is_taken_out_of_the_text(text: str, left: str) -> None:
    """What stands around it is text, to the letter; blanks and markers at its edges go with it."""
    assert read(text) == (left, [("exec", {"command": "ls"})])


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "x[0]",
        f"{MARKER} and ]<]",
        f"{OPEN}{CLOSE}",
        OPEN,
        LS.removesuffix(">"),
        LS.removesuffix(CLOSE),
        f"{MARKER}{LS.removesuffix(CLOSE)}\n",
        LS.replace("exec", "rm"),
        LS.replace("</invoke>", '</invoke><invoke name="rm"></invoke>'),
        LS.replace("</invoke>", "</invoke>and"),
        LS.replace("<parameter", "so <parameter"),
        LS.replace("<parameter", "<argument"),
        LS.replace(' name="command"', ""),
        LS.replace(' name="command"', ' name=""'),
        LS.replace(' name="command"', f' name="{"x" * 400}"'),
        LS.replace(' name="command"', ' name="x'),
        f"```xml\n{LS}\n```",
        f"~~~~\n```\n{LS}\n~~~\n",
        f"- so:\n\n  ```\n  {LS}\n",
        f"``` {LS}",
        f"The form is `{LS}`.",
        f"\n<minimax:tool_cal>{LS[19:]}",
    ],
)
def test_anything_else_stays_text_to_the_letter(text: str) -> None:
    """Unknown tools, broken or unfinished markup, and what is shown as code."""
    assert read(text) == (text, [])


def test_two_blocks_are_two_calls() -> None:
    """Blanks between them are layout."""
    assert read(f"{LS}\n\n{MARKER}{LS}!") == ("!", [("exec", {"command": "ls"})] * 2)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "sure": {"type": "boolean"},
        "names": {"type": "array", "items": {"type": "string"}},
        "where": {"$ref": "#/$defs/Where"},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "unit": {"enum": ["c", "f", "1", 2]},
        "fixed": {"const": 7},
        "either": {"type": ["string", "integer"]},
        "loop": {"$ref": "#/properties/loop"},
    },
    "$defs": {"Where": {"type": "object"}},
}


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("text", "42", "42"),
        ("text", "", ""),
        ("text", "\n  two\n lines \n", "  two\n lines "),
        ("text", "\n\na\n\n", "\na\n"),
        ("text", "\r\na\r\n", "a"),
        ("text", " a ", " a "),
        ("text", "a < b && c > d", "a < b && c > d"),
        ("text", "a &lt; b &amp;&amp; c", "a < b && c"),
        ("text", "if a < b: print('&lt;')", "if a < b: print('&lt;')"),
        ("text", "R&D &lt; x", "R&D &lt; x"),
        ("text", "<![CDATA[a </parameter> &lt; ]]>", "a </parameter> &lt; "),
        ("text", "\n<![CDATA[\nx]]>\n", "\nx"),
        ("text", f"a {CLOSE} <invoke name='rm'> b", f"a {CLOSE} <invoke name='rm'> b"),
        ("text", "</invoke>", "</invoke>"),
        ("count", " 42\n", 42),
        ("count", "-3", -3),
        ("count", "5.0", 5),
        ("count", "many", "many"),
        ("count", "2.5", "2.5"),
        ("share", "0.5", 0.5),
        ("share", "2", 2),
        ("share", "NaN", "NaN"),
        ("sure", "true", True),
        ("sure", "False", False),
        ("sure", "yes", "yes"),
        ("names", '["a", "b"]', ["a", "b"]),
        ("names", "a, b", "a, b"),
        ("where", '{"x": 1}', {"x": 1}),
        ("maybe", "null", None),
        ("maybe", "3", 3),
        ("unit", "c", "c"),
        ("unit", "1", "1"),
        ("unit", "2", 2),
        ("fixed", "7", 7),
        ("either", "3", 3),
        ("either", "three", "three"),
        ("loop", "x", "x"),
        ("unheard_of", "3", "3"),
    ],
)
def test_a_value_is_read_by_the_schema_of_the_tool(name: str, raw: str, value: Any) -> None:
    """What does not fit stays the text it is: validation will tell the model."""
    tool = Tool(name="f", parameters=SCHEMA)
    text = f'{OPEN}<invoke name="f"><parameter name="{name}">{raw}</parameter></invoke>{CLOSE}'
    left, calls = read(text, tool)
    assert (left, calls) == ("", [("f", {name: value})])
    assert type(calls[0][1][name]) is type(value)


PARTS = st.lists(
    st.sampled_from(
        [OPEN, CLOSE, '<invoke name="exec">', "<invoke name='rm'>", "</invoke>", LS, MARKER,
         '<parameter name="command">', "</parameter>", "<![CDATA[", "]]>", "\n", " ", "a", "`",
         "\n```\n", "<", "]", "</min", "&lt;"]
    ),
    max_size=9,
).map("".join)  # fmt: skip


@MODEST
@given(text=PARTS, places=st.lists(st.integers(0, 250), max_size=10))
def test_any_cut_gives_the_same_events(text: str, places: list[int]) -> None:
    """Markup and what resembles it mean the same in one delta and in many."""
    whole = run([text])
    assert run(cut(text, places)) == whole
    if not fold(whole).tool_calls:
        assert fold(whole).text == text


def test_ordinary_text_is_not_held_back() -> None:
    """Only what may still become a block waits."""
    calls = stage()
    for piece in ("a < b", " <b>", "x[0] ", "<minimax:tool_call is", f" {MARKER} so"):
        assert calls.feed([TextDelta(piece)]) == [TextDelta(piece)]
    assert calls.feed([TextDelta("x <mini")]) == [TextDelta("x ")]
    assert calls.feed([TextDelta("ature>")]) == [TextDelta("<miniature>")]
    assert calls.feed([TextDelta(OPEN)]) == []
    assert calls.feed([TextDelta("\n<invoke name='rm'>")]) == [
        TextDelta(f"{OPEN}\n"),
        TextDelta("<invoke name='rm'>"),
    ]
    assert calls.feed([TextDelta(f"{OPEN} is")]) == [TextDelta(f"{OPEN} "), TextDelta("is")]


def test_other_events_keep_their_order() -> None:
    """What is held goes out before them; tokens and thinking may overtake it."""
    usage, thought = UsageUpdate(TokenUsage()), ThinkingDelta("Hm.")
    started = Started(None, None)
    calls = stage()
    half = LS[:40]
    assert calls.feed([started, TextDelta("a<"), usage, thought]) == [
        started,
        TextDelta("a"),
        usage,
        thought,
    ]
    assert calls.feed([TextDelta("b"), TextDelta(half), Notice("n"), Finished("stop")]) == [
        TextDelta("<b"),
        TextDelta(half),
        Notice("n"),
        Finished("stop"),
    ]
    assert calls.flush() == []


def test_a_block_goes_on_over_thinking_and_tokens() -> None:
    """Counts of tokens may come in the middle of it."""
    calls = stage()
    events: list[StreamEvent] = [
        TextDelta(LS[:50]), UsageUpdate(TokenUsage()), TextDelta(LS[50:]), Finished("length"),
    ]  # fmt: skip
    result = calls.feed(events)
    assert [call.arguments for call in fold(result).tool_calls] == [{"command": "ls"}]
    assert result[-1] == Finished("length")


def test_fences_of_bare_thinking_do_not_count() -> None:
    """When text turns out to have been thinking, a fence left open in it is over."""
    calls = stage()
    events = calls.feed([TextDelta("```\n"), TextWasThinking(), TextDelta(LS)])
    assert len(fold(events).tool_calls) == 1


def test_without_tools_nothing_is_looked_at() -> None:
    """The very same list comes back."""
    calls = XmlCalls(())
    events: list[StreamEvent] = [TextDelta(LS)]
    assert calls.feed(events) is events
    assert calls.flush() == []


def test_ids_look_like_the_servers() -> None:
    """One random word an answer, and a number a call."""
    events = XmlCalls((EXEC,)).feed([TextDelta(LS + LS)])
    ids = [call.id for call in fold(events).tool_calls]
    assert re.fullmatch(r"call_function_[a-z0-9]{12}_1", ids[0])
    assert ids[1] == ids[0][:-1] + "2"


def test_a_long_value_in_small_deltas_takes_little_longer_than_its_length() -> None:
    """A file written by a call is not read again with every delta."""

    def spent(size: int) -> float:
        value = "<p>x > y</p>\n" * (size // 13)
        text = LS.replace("ls", value)
        calls = stage()
        begin = time.process_time()
        events = [
            e for at in range(0, len(text), 8) for e in calls.feed([TextDelta(text[at : at + 8])])
        ]
        took = time.process_time() - begin
        assert json.loads(events[2].arguments)["command"] == value[:-1]  # type: ignore[union-attr]
        return took

    assert spent(400_000) < 60 * spent(25_000) + 0.2


@pytest.mark.parametrize("unit", [OPEN, f"`{OPEN}", MARKER, "<", "]<", LS[:60], LS])
def test_a_flood_of_markup_takes_little_longer_than_its_length(unit: str) -> None:
    """Nothing is read again and again."""

    def spent(size: int) -> float:
        text = unit * (size // len(unit))
        calls = stage()
        begin = time.process_time()
        for at in range(0, len(text), 20):
            calls.feed([TextDelta(text[at : at + 20])])
        calls.flush()
        return time.process_time() - begin

    assert spent(160_000) < 60 * spent(10_000) + 0.2


def test_text_without_markup_costs_next_to_nothing() -> None:
    """The events themselves are passed on."""
    calls = stage()
    event = TextDelta("word ")
    assert calls.feed([event])[0] is event
    begin = time.process_time()
    for _ in range(100_000):
        calls.feed([event])
    assert time.process_time() - begin < 2
