"""What words in a prompt make the simulator do."""

from __future__ import annotations

from typing import Any

import pytest

from minimax_magic.simulator import (
    Behaviour,
    Drop,
    Fail,
    FailMidStream,
    Raw,
    Reply,
    Silence,
    ToolCall,
)
from minimax_magic.simulator.arguments import plausible_arguments
from minimax_magic.simulator.choose import __doc__ as table
from minimax_magic.simulator.choose import choose, ordinary
from minimax_magic.simulator.prompt_words import TRIGGER
from minimax_magic.simulator.turn import read_anthropic, read_openai

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["city", "unit"],
}
ADD = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "number"}}}


def _tools(**schemas: Any) -> list[Any]:
    return [
        {"type": "function", "function": {"name": name, "parameters": schema}}
        for name, schema in schemas.items()
    ]


def _ask(prompt: str, *earlier: Any, **more: Any) -> Behaviour:
    messages = [*earlier, {"role": "user", "content": prompt}]
    return choose(read_openai({"model": "MiniMax-M3", "messages": messages, **more}, "openai"))


def _text(prompt: str, *earlier: Any, **more: Any) -> str:
    answer = _ask(prompt, *earlier, **more)
    assert isinstance(answer, Reply)
    return answer.text


def test_an_ordinary_prompt_gets_one_of_everything() -> None:
    """Heading, list, fence, table, math, the start of the prompt, and no pretence."""
    text = _text("Why is the `sky` $blue$?")
    for part in ("## ", "\n- ", "```python\n", "\n|---|", "$e^{i\\pi}", "simulator"):
        assert part in text
    assert "`Why is the 'sky' $blue$?`" in text
    assert text == _text("Why is the `sky` $blue$?")


def test_the_answer_shows_what_it_remembers() -> None:
    """Earlier turns and the system prompt are visible in the answer."""
    earlier = (
        {"role": "system", "content": "Be a pirate."},
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello Ada"},
    )
    text = _text("What is my name?", *earlier)
    assert "1 earlier turn of" in text
    assert "`My name is Ada.`" in text
    assert "`Be a pirate.`" in text


@pytest.mark.parametrize("chars", [0, 1, 500, 12_345, 120_000])
def test_long_has_exactly_so_many_characters(chars: int) -> None:
    """Varied markdown, and the same each time."""
    text = _text(f"Write [[long {chars}]] please")
    assert len(text) == chars
    if chars > 10_000:
        assert all(part in text for part in ("\n## Part", "```python", "|---|---|", "\n1. "))


def test_echo_is_exact() -> None:
    """Everything behind the marker comes back, other markers included."""
    assert _text("[[chunk 3]] [[echo]] a  b\n[[drop]] \n") == "a  b\n[[drop]] \n"
    assert _text("[[echo]]") == ""


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("[[error 429]]", Fail(429, 1002)),
        ("[[error 401]]", Fail(401, 2049)),
        ("[[error 500]]", Fail(500, 1000)),
        ("[[error 529]]", Fail(529)),
        ("[[error 2056]]", Fail(code=2056)),
        ("[[error 1008]]", Fail(code=1008)),
        ("[[error 1026]]", Fail(code=1026)),
        ("[[error 429 once]]", Fail(429, 1002, once=True)),
        ("[[base_resp 1002]]", Fail(200, 1002)),
    ],
)
def test_errors_by_number(prompt: str, expected: Behaviour) -> None:
    """An HTTP status or one of MiniMax's codes."""
    assert _ask(f"Hello {prompt}") == expected


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("[[error midstream]]", FailMidStream),
        ("[[drop]]", Drop),
        ("[[truncate]]", Drop),
        ("[[silence]]", Silence),
        ("[[error 502]]", Raw),
    ],
)
def test_faults_by_name(prompt: str, kind: type) -> None:
    """The stream is broken in one way or another."""
    assert isinstance(_ask(prompt), kind)


def test_faults_keep_length_and_pace() -> None:
    """Markers go together."""
    answer = _ask("[[drop]] [[long 5000]] [[slow 20]] [[chunk 5]]")
    assert isinstance(answer, Drop)
    assert isinstance(answer.of, Reply)
    assert (len(answer.of.text), answer.of.delay_s, answer.of.chunk_chars) == (5000, 0.02, 5)


def test_a_fault_comes_before_the_end_of_big_chunks(http_client: Any) -> None:
    """The middle is nearer when there are few chunks."""
    got = http_client.chat("[[truncate]] [[chunk 300]]", stream=True)
    assert "[DONE]" not in got.frames
    assert len(got.frames) >= 2


def test_length_and_thinkonly_and_json() -> None:
    """Cut for length with and without text; a whole answer to a stream request."""
    length, thinkonly, whole = _ask("[[length]]"), _ask("[[thinkonly]]"), _ask("[[json]]")
    assert isinstance(length, Reply)
    assert length.text
    assert length.finish_reason == "length"
    assert isinstance(thinkonly, Reply)
    assert not thinkonly.text
    assert thinkonly.thinking
    assert isinstance(whole, Reply)
    assert not whole.stream


@pytest.mark.parametrize("prompt", ["[[long]]", "[[slow x]]", "[[error]]", "[[error 7]]"])
def test_a_marker_it_cannot_read_is_explained(prompt: str) -> None:
    """The answer says so instead of pretending."""
    assert "did not understand" in _text(prompt)


def test_other_double_brackets_are_just_text() -> None:
    """People write [[links]]."""
    assert "A simulated answer" in _text("See [[my notes]] and [[index]]")


def test_only_the_last_message_chooses() -> None:
    """A marker of an earlier turn is spent."""
    earlier = ({"role": "user", "content": "[[drop]]"}, {"role": "assistant", "content": "x"})
    assert isinstance(_ask("Hello", *earlier), Reply)


def test_the_table_names_every_marker() -> None:
    """What `--help` prints knows all that `choose` knows, and nothing else."""
    assert table is not None
    names = {name for name, _ in TRIGGER.findall(table)}
    assert names == {
        *("long", "slow", "chunk", "echo", "tool", "length", "thinkonly", "error", "base_resp"),
        *("drop", "truncate", "silence", "json", "code", "math", "html", "remoteimage"),
        *("steps", "badargs", "badjson", "xml", "invalid", "astext"),
    }


@pytest.mark.parametrize(
    ("prompt", "calls"),
    [
        (
            "Get weather in New York in celsius",
            (ToolCall("get_weather", {"city": "New York", "unit": "celsius"}),),
        ),
        ("please ADD 2 and 40.5", (ToolCall("add", {"a": 2, "b": 40.5}),)),
        (
            "Use get_weather for Paris, then add 1 and 2",
            (
                ToolCall("get_weather", {"city": "Paris", "unit": "celsius"}),
                ToolCall("add", {"a": 1, "b": 2}),
            ),
        ),
        (
            "Use a tool, it is about Rome",
            (ToolCall("get_weather", {"city": "San Francisco", "unit": "celsius"}),),
        ),
        (
            "[[tool]]",
            (ToolCall("get_weather", {"city": "San Francisco", "unit": "celsius"}),),
        ),
        ("My address is unknown", ()),
    ],
)
def test_tools_are_called_by_name(prompt: str, calls: tuple[ToolCall, ...]) -> None:
    """A name in the prompt calls that tool, several names several, with fitting arguments."""
    answer = _ask(prompt, tools=_tools(get_weather=WEATHER, add=ADD))
    assert isinstance(answer, Reply)
    assert answer.tool_calls == calls


def test_no_tool_is_called_when_none_may_be() -> None:
    """Without tools, or with tool_choice none, the marker gives an ordinary answer."""
    assert _ask("[[tool]]") == _ask("[[tool]]", tools=_tools(add=ADD), tool_choice="none")
    assert "A simulated answer" in _text("[[tool]]")


def test_results_are_answered_not_called_again() -> None:
    """A turn that brings results gets an answer made of them, marker or not."""
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "[[tool]] [[slow 5]]"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "the sum is 42"},
    ]
    body = {"model": "MiniMax-M3", "messages": messages, "tools": _tools(add=ADD)}
    answer = choose(read_openai(body, "openai"))
    assert isinstance(answer, Reply)
    assert answer.tool_calls == ()
    assert "`add` returned `the sum is 42`" in answer.text
    assert answer.delay_s == 0.005


def test_results_on_the_anthropic_wire() -> None:
    """The same there, results of separate turns taken together."""
    uses = [{"type": "tool_use", "id": i, "name": f"tool_{i}", "input": {}} for i in "ab"]
    results = [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": i, "content": i * 3}]}
        for i in "ab"
    ]
    messages = [{"role": "user", "content": "Go"}, {"role": "assistant", "content": uses}, *results]
    answer = choose(read_anthropic({"model": "MiniMax-M3", "messages": messages}))
    assert isinstance(answer, Reply)
    assert "`tool_a` returned `aaa`" in answer.text
    assert "`tool_b` returned `bbb`" in answer.text


def test_plausible_arguments_follow_the_schema() -> None:
    """References, nested objects, arrays, bounds, defaults, and no endless recursion."""
    schema = {
        "type": "object",
        "properties": {
            "node": {"$ref": "#/$defs/Node"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "limit": {"type": "integer", "minimum": 10, "maximum": 20},
            "mode": {"anyOf": [{"type": "null"}, {"const": "fast"}]},
            "page": {"type": "integer", "default": 3},
            "deep": {"type": ["boolean", "null"]},
        },
        "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
    }
    value = plausible_arguments(schema, "")
    assert value["tags"] == ["example", "example"]
    assert (value["limit"], value["mode"], value["page"], value["deep"]) == (10, "fast", 3, True)
    assert str(value["node"]).count("next") == 4
    assert plausible_arguments({"type": "object", "properties": {}}, "x") == {}


def test_a_failure_with_once_is_answered_the_second_time(http_client: Any) -> None:
    """So that a person can watch a retry succeed; the third time it fails again."""
    statuses = [http_client.chat("[[error 429 once]]").status for _ in range(3)]
    assert statuses == [429, 200, 429]


def test_ordinary_never_fails() -> None:
    """What a scripted fault interrupts is an answer even if the prompt asks for an error."""
    messages = [{"role": "user", "content": "[[error 500]]"}]
    body = {"model": "MiniMax-M3", "messages": messages}
    assert ordinary(read_openai(body, "openai")).text
