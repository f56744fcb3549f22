"""When the simulator's model calls tools, how often, and how badly."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError, create_model

from minimax_magic.simulator.arguments import plausible_arguments, wrong_arguments

ADD = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
PING: dict[str, Any] = {"type": "object", "properties": {}}


@pytest.fixture
def talk(dialogue: Any) -> Any:
    dialogue.tools = {"ping": PING, "add": ADD}
    return dialogue


def test_one_round_without_a_word(talk: Any) -> None:
    """A named tool is called once, then its result is answered from."""
    answer = talk.ask("Please add 2 and 40")
    assert answer.calls == ["add"]
    assert answer.values == [{"a": 2, "b": 40}]
    assert answer.finish in ("tool_use", "tool_calls")
    assert "`add` returned `42`" in talk.give(answer, "42").text


def test_steps_are_so_many_rounds(talk: Any) -> None:
    """`[[steps 3]]` calls in three turns, whatever comes back, before it answers."""
    answer = talk.ask("[[steps 3]] add 1 and 2")
    for _ in range(2):
        assert answer.calls == ["add"]
        answer = talk.give(answer, "an error")
    assert answer.calls == ["add"]
    answer = talk.give(answer, "three")
    assert answer.calls == []
    assert "`add` returned `three`" in answer.text
    assert answer.finish in ("end_turn", "stop")


def test_steps_call_the_first_tool_if_none_is_named(talk: Any) -> None:
    """The word itself asks for a call, and several tools are called in each turn."""
    assert talk.ask("[[steps 2]]").calls == ["ping"]
    talk.messages.clear()
    answer = talk.ask("[[steps 2]] ping, then add 1 and 2")
    assert answer.calls == ["ping", "add"]
    assert talk.give(answer, "x").calls == ["ping", "add"]


def test_rounds_are_counted_from_the_last_prompt(talk: Any) -> None:
    """What was called for an earlier prompt of the chat does not count."""
    talk.give(talk.ask("add 1 and 2"), "3")
    answer = talk.ask("[[steps 2]] add 3 and 4")
    assert answer.values == [{"a": 3, "b": 4}]
    answer = talk.give(answer, "7")
    assert answer.calls == ["add"]
    assert talk.give(answer, "7").calls == []


def test_a_prompt_behind_results_is_a_new_one(talk: Any) -> None:
    """Where a chat ended with results, as after an interrupt, the next prompt is answered."""
    first = talk.ask("add 1 and 2")
    talk.give(first, "3")
    talk.messages.pop()
    if talk.anthropic:
        talk.messages[-1]["content"].append({"type": "text", "text": "Now ping, please"})
        answer = talk.send()
    else:
        answer = talk.ask("Now ping, please")
    assert answer.calls == ["ping"]


def test_a_prompt_behind_results_is_not_answered_from_them(talk: Any) -> None:
    """Though both are in one message, as the Anthropic wire has it."""
    talk.give(talk.ask("add 1 and 2"), "3")
    talk.messages.pop()
    if talk.anthropic:
        talk.messages[-1]["content"].append({"type": "text", "text": "Hello"})
        assert "You wrote `Hello`" in talk.send().text
    else:
        assert "You wrote `Hello`" in talk.ask("Hello").text


def test_a_call_is_not_cut(talk: Any) -> None:
    """`[[length]]` is about the text in the end."""
    answer = talk.ask("[[length]] add 1 and 2")
    assert answer.calls == ["add"]
    assert answer.finish in ("tool_use", "tool_calls")
    assert talk.give(answer, "3").finish in ("max_tokens", "length")


@pytest.mark.parametrize(("word", "times"), [("[[badargs]]", 1), ("[[badargs 5]]", 5)])
def test_bad_arguments_are_mended_after_so_many_turns(talk: Any, word: str, times: int) -> None:
    """The first property has a wrong type; the call is made again until it is right."""
    answer = talk.ask(f"{word} add 2 and 40")
    for _ in range(times):
        assert answer.calls == ["add"]
        assert answer.values == [{"a": "wrong", "b": 40}]
        answer = talk.give(answer, "Input should be a valid integer")
    assert answer.values == [{"a": 2, "b": 40}]
    assert talk.give(answer, "42").calls == []


def test_only_the_first_of_parallel_calls_is_bad(talk: Any) -> None:
    """The others are right, as it happens."""
    answer = talk.ask("[[badargs]] add 2 and 40 and ping")
    assert answer.calls == ["ping", "add"]
    assert answer.values == [{"unexpected": True}, {"a": 2, "b": 40}]


def test_broken_json_is_mended(talk: Any) -> None:
    """Arguments that are no JSON; a whole answer of the Anthropic wire has no place for them."""
    answer = talk.ask("[[badjson]] add 2 and 40")
    assert answer.calls == ["add"]
    if talk.anthropic and not talk.stream:
        assert answer.values == [{}]
    else:
        assert answer.arguments == ['{"a": 2, "b": 40']
    answer = talk.give(answer, "not valid JSON")
    assert answer.values == [{"a": 2, "b": 40}]
    assert talk.give(answer, "42").calls == []


def test_faults_and_steps_add_up(talk: Any) -> None:
    """First wrong, then broken, then the steps."""
    answer = talk.ask("[[badjson]] [[badargs 2]] [[steps 2]] add 2 and 40")
    rounds = []
    while answer.calls:
        rounds.append(answer.arguments[0])
        answer = talk.give(answer, "x")
    wrong, right = '{"a": "wrong", "b": 40}', '{"a": 2, "b": 40}'
    broken = "{}" if talk.anthropic and not talk.stream else right[:-1]
    assert rounds == [wrong, wrong, broken, right, right]


def test_calls_as_xml(talk: Any) -> None:
    """M2.5's other form is text, ends as text does, and its result may come as that of a call."""
    answer = talk.ask("[[xml]] [[chunk 5]] add 2 and 40 and ping")
    assert answer.calls == []
    assert answer.finish in ("end_turn", "stop")
    assert answer.text.startswith("I will look that up with a tool.\n<minimax:tool_call>")
    assert answer.text.endswith(
        '<invoke name="ping"></invoke><invoke name="add"><parameter name="a">2</parameter>'
        '<parameter name="b">40</parameter></invoke></minimax:tool_call>'
    )
    talk.messages.pop()
    if talk.anthropic:
        use = {"type": "tool_use", "id": "xml_1", "name": "add", "input": {"a": 2, "b": 40}}
        talk.messages.append({"role": "assistant", "content": [use]})
    else:
        function = {"name": "add", "arguments": '{"a": 2, "b": 40}'}
        call = {"id": "xml_1", "type": "function", "function": function}
        talk.messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
    called = type(answer)("", ["add"], [], ["xml_1"], "")
    assert "`add` returned `42`" in talk.give(called, "42").text


def test_xml_values(http_client: Any) -> None:
    """Text as it is, anything else as JSON."""
    schema = {
        "type": "object",
        "properties": {"query": {"type": "string"}, "tags": {"type": "array"}},
    }
    tools = [{"type": "function", "function": {"name": "find", "parameters": schema}}]
    got = http_client.chat('[[xml]] find "a < b"', tools=tools)
    text = got.json["choices"][0]["message"]["content"]
    assert '<parameter name="query">a < b</parameter>' in text
    assert '<parameter name="tags">["example"]</parameter>' in text


def test_words_without_tools_are_nothing(dialogue: Any) -> None:
    """A combination that has no meaning gets the ordinary answer."""
    for word in ("steps 3", "badargs", "badjson 2", "xml", "invalid", "astext"):
        answer = dialogue.ask(f"[[{word}]] Hello")
        assert answer.calls == []
        assert "A simulated answer" in answer.text


def test_a_fault_goes_with_calls_too(talk: Any) -> None:
    """The first try fails, the second brings the call."""
    talk.messages.append({"role": "user", "content": "[[error 429 once]] add 2 and 40"})
    assert talk.post().status == 429
    assert talk.send().values == [{"a": 2, "b": 40}]


class Colour(BaseModel):
    name: str


KINDS = (
    *(int, float, str, bool, bytes, date, datetime, timedelta, Decimal, UUID, Literal["red"]),
    *(list[int], dict[str, int], tuple[int, str], Colour, list[Colour], int | None),
    *(int | str, Colour | str),
)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_wrong_arguments_are_wrong_and_plausible_ones_right(kind: Any) -> None:
    """Pydantic agrees, as lax as it is: it refuses the one and takes the other."""
    model = create_model("Arguments", value=(kind, ...))
    schema = model.model_json_schema()
    model.model_validate_json(json.dumps(plausible_arguments(schema, "Ada is 36")))
    with pytest.raises(ValidationError):
        model.model_validate_json(json.dumps(wrong_arguments(schema, "Ada is 36")))


def test_what_takes_anything_is_left_out_or_has_too_much() -> None:
    """A first property of any type has no wrong one: a required one goes, or one is added."""
    anything: dict[str, Any] = {"type": "object", "properties": {"x": {}}}
    assert wrong_arguments({**anything, "required": ["x"]}, "") == {}
    assert wrong_arguments(anything, "") == {"x": "example", "unexpected": True}
