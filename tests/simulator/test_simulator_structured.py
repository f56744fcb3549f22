"""Answers in a shape that was asked for: by a tool, as text, or simply as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
ADD = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
PROMPT = "Ada Lovelace was 36 when she died in London"
ADA = {"name": "Ada Lovelace", "age": 36}
WRONG = {"name": ["wrong"], "age": 36}
FENCE = re.compile(r"[^\n]+\n\n```json\n(.*?)\n```\n\n[^\n]+\n", re.DOTALL)


@pytest.fixture
def talk(dialogue: Any) -> Any:
    dialogue.tools = {"add": ADD, "give_answer": PERSON}
    return dialogue


@pytest.fixture
def wants_json(dialogue: Any) -> Any:
    dialogue.system = "Be brief.\n\nAnswer with one JSON value and nothing else: no prose."
    return dialogue


def _fenced(text: str) -> Any:
    found = FENCE.fullmatch(text)
    assert found is not None, text
    return json.loads(found.group(1))


def test_an_ordinary_prompt_is_answered_by_the_tool(talk: Any) -> None:
    """With values read from the prompt."""
    answer = talk.ask(PROMPT)
    assert answer.calls == ["give_answer"]
    assert answer.values == [ADA]
    assert answer.text == ""


def test_any_name_that_begins_so_will_do(talk: Any) -> None:
    """Where a tool of the user's has the name already."""
    talk.tools = {"give_answer_2": PERSON}
    assert talk.ask(PROMPT).calls == ["give_answer_2"]


def test_other_tools_come_first(talk: Any) -> None:
    """Those that the prompt names, with what goes with them; the answer is right at once."""
    answer = talk.ask("[[steps 2]] [[badargs]] add 2 and 40, then give answer")
    for values in ({"a": "wrong", "b": 40}, {"a": 2, "b": 40}, {"a": 2, "b": 40}):
        assert answer.calls == ["add"]
        assert answer.values == [values]
        answer = talk.give(answer, "x")
    assert answer.calls == ["give_answer"]
    assert answer.values == [{"name": "example", "age": 2}]


def test_the_first_offered_tool_is_not_the_answer(talk: Any) -> None:
    """`[[tool]]` means one that does something."""
    talk.tools = {"give_answer": PERSON, "add": ADD}
    answer = talk.ask("[[tool]]")
    assert answer.calls == ["add"]
    assert talk.give(answer, "x").calls == ["give_answer"]


def test_invalid_answers_first(talk: Any) -> None:
    """So many calls do not fit the schema; after their results comes one that does."""
    answer = talk.ask(f"[[invalid 2]] {PROMPT}")
    for _ in range(2):
        assert answer.values == [WRONG]
        answer = talk.give(answer, "name: Input should be a valid string")
    assert answer.values == [ADA]


def test_a_broken_answer_first(talk: Any) -> None:
    """`[[badjson]]` is about the answer if there is no other tool to be called."""
    talk.tools = {"give_answer": PERSON}
    answer = talk.ask(f"[[badjson]] {PROMPT}")
    assert answer.calls == ["give_answer"]
    assert answer.arguments[0] in ('{"name": "Ada Lovelace", "age": 36', "{}")
    assert talk.give(answer, "not JSON").values == [ADA]


def test_as_text_in_a_fence(talk: Any) -> None:
    """The model does not call: it writes the value, with a sentence before and after."""
    answer = talk.ask(f"[[astext]] {PROMPT}")
    assert answer.calls == []
    assert _fenced(answer.text) == ADA


def test_as_text_after_a_tool(talk: Any) -> None:
    """Tools are called as ever."""
    answer = talk.ask("[[astext]] add 2 and 40")
    assert answer.calls == ["add"]
    assert _fenced(talk.give(answer, "42").text) == {"name": "example", "age": 2}


def test_a_tool_is_not_called_again_when_text_is_mended(talk: Any) -> None:
    """Its round was before the answer that the client sends back."""
    answer = talk.give(talk.ask("[[astext]] [[invalid]] add 2 and 40"), "42")
    assert _fenced(answer.text) == {"name": ["wrong"], "age": 2}
    assert _fenced(talk.ask("name: not a string").text) == {"name": "example", "age": 2}


def test_invalid_as_text_is_mended_when_asked_again(talk: Any) -> None:
    """The client's messages after it count, and values still come from the first prompt."""
    texts = [talk.ask(f"[[astext]] [[invalid 2]] {PROMPT}").text]
    texts += [talk.ask(f"name: not a string, attempt {n}").text for n in (7, 8)]
    assert [_fenced(text) for text in texts] == [WRONG, WRONG, ADA]


def test_a_new_prompt_is_not_taken_for_a_repair(talk: Any) -> None:
    """After a right answer, or with words of its own, a message begins anew."""
    talk.ask(f"[[astext]] [[invalid]] {PROMPT}")
    talk.ask("name: not a string")
    assert talk.ask("Bob is 7").values == [{"name": "Bob", "age": 7}]
    talk.messages.clear()
    talk.ask(f"[[astext]] [[invalid 9]] {PROMPT}")
    assert _fenced(talk.ask("[[astext]] Bob is 7").text) == {"name": "Bob", "age": 7}


def test_a_chat_goes_on_after_the_answer(talk: Any) -> None:
    """The accepted call and its result are history; the next prompt gets a call of its own."""
    first = talk.ask(PROMPT)
    assert talk.give(first, "Accepted.").calls == []
    talk.messages.pop()
    if talk.anthropic:
        talk.messages[-1]["content"].append({"type": "text", "text": "Bob is 7"})
        answer = talk.send()
    else:
        answer = talk.ask("Bob is 7")
    assert answer.values == [{"name": "Bob", "age": 7}]


def test_the_answer_as_xml(talk: Any) -> None:
    """The call of the answer, too, may come as text."""
    talk.tools = {"give_answer": PERSON}
    answer = talk.ask(f"[[xml]] {PROMPT}")
    assert answer.calls == []
    assert '<invoke name="give_answer"><parameter name="name">Ada Lovelace<' in answer.text


def test_plain_json(wants_json: Any) -> None:
    """The system prompt asks for it: a bare object."""
    answer = wants_json.ask("The numbers 36 and 1.5")
    assert json.loads(answer.text) == {
        "simulated": True,
        "prompt": "The numbers 36 and 1.5",
        "numbers": [36, 1.5],
    }


def test_prose_before_plain_json(wants_json: Any) -> None:
    """`[[invalid 1]]` has no JSON in it; asked again there is."""
    answer = wants_json.ask("[[invalid 1]] The number 36")
    assert not set('{}[]`"') & set(answer.text)
    assert json.loads(wants_json.ask("There was no JSON.").text)["numbers"] == [36]


def test_plain_json_in_a_fence(wants_json: Any) -> None:
    """`[[astext]]` says a sentence with it, though told not to."""
    assert _fenced(wants_json.ask("[[astext]] The number 36").text)["numbers"] == [36]


def test_plain_json_from_results(wants_json: Any) -> None:
    """What tools returned is in it."""
    wants_json.tools = {"add": ADD}
    answer = wants_json.give(wants_json.ask("add 2 and 40"), "42")
    assert json.loads(answer.text)["results"] == ["42"]


@pytest.mark.parametrize("word", ["length", "thinkonly"])
def test_a_cut_answer_has_no_call(talk: Any, word: str) -> None:
    """So that a client can be seen to treat it as an error."""
    answer = talk.ask(f"[[{word}]] {PROMPT}")
    assert answer.calls == []
    assert answer.finish in ("max_tokens", "length")
    assert bool(answer.text) is (word == "length")


@pytest.mark.parametrize("word", ["echo", "long 50", "html"])
def test_a_word_for_another_text_wins(talk: Any, word: str) -> None:
    """What is asked for by a word is not turned into a call."""
    answer = talk.ask(f"[[{word}]] {{}}")
    assert answer.calls == []
    assert answer.text
