"""An answer that must be of a type: what the loop does until it is, or cannot be."""

from __future__ import annotations

import json

from played_answers import (
    ADA,
    WRONG,
    Model,
    Person,
    Step,
    calls,
    collect,
    double,
    end,
    fail,
    of,
    results,
    says,
    talk,
)

from minimax_magic.errors import (
    OutputInvalid,
    StreamInterrupted,
)
from minimax_magic.events import (
    CallEnded,
    ChatReply,
    Started,
    StepBegun,
    TextDelta,
)
from minimax_magic.messages import (
    TextBlock,
)
from minimax_magic.structured import ANY_JSON


def test_the_answer_is_the_call_of_its_tool() -> None:
    """The loop ends with it, and it has a result, so that the chat can go on."""
    conversation = talk(model := Model(calls(("give_answer", ADA))), output=Person)
    collect(conversation)
    assert conversation.reply.value == Person(name="Ada", age=36)
    assert [m.role for m in conversation.reply.messages] == ["assistant", "tool"]
    assert model.streams[0].request.tools[-1].name == "give_answer"
    assert "give_answer" in str(model.streams[0].request.system)


def test_an_answer_in_text_is_read_too() -> None:
    conversation = talk(Model(says(f"Here:\n```json\n{json.dumps(ADA)}\n```")), output=Person)
    collect(conversation)
    assert conversation.reply.value == Person(name="Ada", age=36)


def test_a_wrong_call_goes_back_and_a_right_one_ends_it() -> None:
    """The text of the reply has nothing of the wrong one."""
    right: Step = [e for e in calls(("give_answer", ADA)) if not isinstance(e, TextDelta)]
    conversation = talk(model := Model(calls(("give_answer", WRONG)), right), output=Person)
    begun = of(collect(conversation), StepBegun)
    assert "age" in begun[0].reason
    assert "age" in results(model)[0]
    assert conversation.reply.value == Person(name="Ada", age=36)
    assert conversation.reply.text == ""


def test_wrong_texts_are_forgotten_once_there_is_a_right_one() -> None:
    """They and what was said to them are in the requests, not in the history."""
    empty: Step = [Started("M", "r"), *end()]
    model = Model(says("Ada, 36"), empty, says(json.dumps(ADA)))
    conversation = talk(model, output=Person)
    collect(conversation)
    assert [m.role for m in model.told] == ["assistant", "user", "user"]
    assert conversation.reply.value == Person(name="Ada", age=36)
    assert [m.text for m in conversation.reply.messages] == [json.dumps(ADA)]


def test_an_answer_that_is_never_valid_is_an_error_with_its_text() -> None:
    """It is sent back twice; then its text is what was last given, whether as a call or not."""
    model = Model(*[calls(("give_answer", WRONG))] * 3)
    conversation = talk(model, output=Person)
    error = fail(conversation, OutputInvalid)
    assert len(model.streams) == 3
    assert json.loads(error.text) == WRONG
    assert conversation.reply.text == error.text
    assert conversation.reply.thinking == "Hm."
    assert "Person" in str(error)
    assert conversation.reply.value is None


def test_a_cut_answer_is_not_sent_back() -> None:
    """It would be cut again: the error names what to raise, and has the text."""
    model = Model(says('{"name": "Ada", "a', "length"))
    conversation = talk(model, output=Person, repair=9)
    error = fail(conversation, OutputInvalid)
    assert "max_tokens" in error.hint
    assert error.text == conversation.reply.text == '{"name": "Ada", "a'


def test_a_withheld_answer_is_not_sent_back() -> None:
    conversation = talk(Model(says("Ada is", "content_filter")), output=Person)
    error = fail(conversation, OutputInvalid)
    assert "withheld" in str(error)
    assert error.text == "Ada is"


def test_the_last_text_is_kept_if_the_repair_breaks_off() -> None:
    """Until the new answer has some text of its own."""
    broken = StreamInterrupted("Lost.", partial=ChatReply(), reason="disconnected")
    for more, text in (([], "Ada, 36"), ([TextDelta("{")], "{")):
        model = Model(says("Ada, 36"), [Started("M", "r"), *more, broken])
        assert fail(talk(model, output=Person), StreamInterrupted).partial.text == text


def test_the_tool_of_the_answer_is_one_of_those_there_are() -> None:
    """A model that misspells its name is told."""
    model = Model(calls(("give_anser", ADA)), calls(("give_answer", ADA)))
    collect(talk(model, double, output=Person))
    assert results(model) == ["There is no tool 'give_anser'. There are: double, give_answer."]


def test_answers_and_tools_go_together() -> None:
    """The first valid answer of a turn counts; a tool that is called beside it is run."""
    ada, bob = ("give_answer", ADA), ("give_answer", {"name": "Bob", "age": 1})
    turn = calls(("double", {"x": 2}), ("give_answer", WRONG), ada, bob)
    conversation = talk(Model(calls(("double", {"x": 1})), turn), double, output=Person)
    ended = of(collect(conversation), CallEnded)
    assert conversation.reply.value == Person(name="Ada", age=36)
    by_call = {event.call_id: event for event in ended[1:]}
    assert by_call["c0"].result == "4"
    assert [by_call[f"c{n}"].is_error for n in range(4)] == [False, True, False, True]


def test_no_answer_within_the_steps_is_an_error() -> None:
    model = Model(*[calls(("double", {"x": 2}))] * 2)
    conversation = talk(model, double, output=Person, max_steps=2)
    assert "no Person after 2 requests" in str(fail(conversation, OutputInvalid))


def test_json_without_a_schema_is_read_from_the_text() -> None:
    """No tool is offered for it."""
    conversation = talk(model := Model(says("No."), says("[1, 2]")), output=ANY_JSON)
    collect(conversation)
    assert conversation.reply.value == [1, 2]
    assert conversation.reply.blocks == (TextBlock(text="[1, 2]"),)
    assert model.streams[0].request.tools == ()
