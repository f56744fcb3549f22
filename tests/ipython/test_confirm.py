"""`--confirm`: the question before each call, and where nobody can answer it."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from minimax_magic.errors import ConfigError
from minimax_magic.ipython import confirm
from minimax_magic.ipython.confirm import may_call
from minimax_magic.messages import ToolCall
from minimax_magic.simulator import Reply, Simulator
from minimax_magic.simulator import ToolCall as Called


class Person:
    """Types what it is told to, and notes what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.words: Iterator[str] = iter(())
        monkeypatch.setattr(builtins, "input", self._answer)
        monkeypatch.setattr(confirm, "somebody_is_there", lambda shell: True)

    def says(self, *words: str) -> None:
        self.words = iter(words)

    def _answer(self, question: str = "") -> str:
        self.asked.append(question)
        word = next(self.words)
        if word == "EOF":
            raise EOFError
        return word


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    return Person(monkeypatch)


def call(name: str = "look", **arguments: Any) -> ToolCall:
    return ToolCall(id="1", name=name, arguments=arguments)


@pytest.mark.parametrize(
    ("word", "allowed"),
    [
        ("y", True),
        ("yes", True),
        (" YES ", True),
        ("n", False),
        ("No", False),
        ("EOF", False),
    ],
)
def test_an_answer(person: Person, word: str, allowed: bool) -> None:
    """A yes is one in any spelling; the end of the input is a no."""
    person.says(word)
    assert may_call(SimpleNamespace())(call(city="Rome")) is allowed  # type: ignore[arg-type]
    (question,) = person.asked
    assert "look" in question
    assert "Rome" in question
    assert "[y]es, [n]o, [a]ll" in question


@pytest.mark.parametrize(("word", "allowed"), [("y", True), ("n", False), ("EOF", False)])
def test_what_is_no_answer_is_asked_about_again(person: Person, word: str, allowed: bool) -> None:
    """An empty line or another word decides nothing: the question is asked until it is answered."""
    person.says("", "what?", "yess", "nope", word)
    assert may_call(SimpleNamespace())(call(city="Rome")) is allowed  # type: ignore[arg-type]
    assert len(person.asked) == 5
    assert person.asked[1:] == ["Please answer [y]es, [n]o, [a]ll: "] * 4


def asked_about(person: Person, called: ToolCall) -> str:
    person.says("n")
    may_call(SimpleNamespace())(called)  # type: ignore[arg-type]
    return person.asked[-1].removeprefix("Run ").removesuffix("? [y]es, [n]o, [a]ll: ")


def test_all_arguments_are_shown(person: Person) -> None:
    """What is agreed to is seen: few arguments in one line, many in a line each, none left out."""
    assert (
        asked_about(person, call(city="Rome", days=[1, None]))
        == 'look(city="Rome", days=[1, null])'
    )
    many = {f"argument_{n}": "word " * 9 for n in range(40)}
    lines = asked_about(person, call(**many)).splitlines()
    assert len(lines) == 40
    assert lines[0] == f'look(argument_0="{"word " * 9}",'
    assert lines[-1] == f'    argument_39="{"word " * 9}")'
    invalid = ToolCall(id="1", name="look", invalid_arguments='{"city": ')
    assert asked_about(person, invalid) == 'look("{\\"city\\": ")'


def test_a_long_value_shows_both_ends(person: Person) -> None:
    """What stands at the end of a long value is not hidden by its beginning; what is left out is
    counted."""
    assert "..." not in asked_about(person, call(code="x" * 598))
    lines = asked_about(person, call(code="print(1); " * 500 + "rm -rf /")).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith('look(code="print(1); ')
    assert lines[1] == "    [... 4,460 characters are not shown ...]"
    assert lines[2].endswith('print(1); rm -rf /")')
    shown = len(lines[0]) - len("look(code=") + len(lines[2][4:]) - len(")")
    assert shown + 4460 == len("print(1); " * 500 + "rm -rf /") + 2


@pytest.mark.parametrize("where", ["name", "key", "value", "inside", "invalid"])
def test_nothing_in_a_call_moves_or_hides(person: Person, where: str) -> None:
    """Control and direction characters and line breaks are escaped, wherever the model wrote them."""
    evil = "a\x1b[2K\r\n\x7f\x9b\u202e\u2066\u200b\u2028\ud800" + "Run f()? "
    called = {
        "name": call(evil),
        "key": call(**{evil: 1}),
        "value": call(city=evil),
        "inside": call(city={"x": [{evil: evil}]}),
        "invalid": ToolCall(id="1", name="look", invalid_arguments=evil),
    }[where]
    question = asked_about(person, called)
    assert question.isascii()
    assert all(character >= " " and character != "\x7f" for character in question)
    for escaped in (r"\u001b", r"\r\n", r"\u007f", r"\u009b", r"\u202e", r"\u2066", r"\u200b"):
        assert escaped in question


@pytest.mark.parametrize("word", ["a", "All"])
def test_all(person: Person, word: str) -> None:
    """After "all" nobody is asked again in this cell; the next cell asks anew."""
    person.says("n", word)
    shell: Any = SimpleNamespace()
    ask = may_call(shell)
    assert [ask(call()) for _ in range(4)] == [False, True, True, True]
    assert len(person.asked) == 2
    person.says("n")
    assert may_call(shell)(call()) is False


@pytest.mark.parametrize("stdin", [None, False, True])
def test_nobody_there(monkeypatch: pytest.MonkeyPatch, stdin: bool | None) -> None:
    """Where the front end says that it cannot answer, the cell is refused before anything is sent."""
    content = {} if stdin is None else {"allow_stdin": stdin}
    kernel = SimpleNamespace(get_parent=lambda: {"content": content})
    shell: Any = SimpleNamespace(kernel=kernel)
    if stdin:
        may_call(shell)
        return
    with pytest.raises(ConfigError, match=r"unattended\. Nothing was sent\. Leave it out"):
        may_call(shell)


def test_a_cell_that_nobody_watches(shell: Any, sim: Simulator) -> None:
    """In a runner without a person, `--confirm` fails the cell in one line."""
    shell.run("def look(city: str) -> str: return city")
    ran = shell.run("%%minimax --confirm --tools look\nuse a tool")
    assert len(ran.lines) == 1
    assert "--confirm needs somebody to answer" in ran.out
    assert sim.requests == []


CALLS = Reply(
    text="", tool_calls=(Called("look", {"city": "Rome"}), Called("look", {"city": "Oslo"}))
)


@pytest.mark.parametrize("flavor", ["openai_compat", "anthropic_messages"])
def test_a_declined_call(shell: Any, sim: Simulator, person: Person, flavor: str) -> None:
    """A call that is declined does not run, the model is told so, and the others go on."""
    shell.run("seen = []\ndef look(city: str) -> str:\n    seen.append(city)\n    return 'sunny'")
    sim.script(CALLS, Reply(text="done"))
    person.says("n", "y")
    ran = shell.run(f"%%minimax --confirm --tools look --flavor {flavor}\nhow is it there?")
    assert ran.error is None, ran.out
    assert shell.ns["seen"] == ["Oslo"]
    assert len(person.asked) == 2
    told = json.dumps(sim.requests[1].body["messages"])
    assert "The user declined this call" in told
    assert "sunny" in told


def test_without_confirm_nobody_is_asked(shell: Any, sim: Simulator, person: Person) -> None:
    """Only `--confirm` asks."""
    shell.run("def look(city: str) -> str: return city")
    sim.script(CALLS, Reply(text="done"))
    assert shell.run("%%minimax --tools look\nhow is it there?").error is None
    assert person.asked == []


def test_a_stop_at_the_question(
    shell: Any, sim: Simulator, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop button at the question ends the cell; the call did not run, and the chat can go on."""

    def stop(question: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(builtins, "input", stop)
    shell.run("seen = []\ndef look(city: str) -> str:\n    seen.append(city)\n    return 'sunny'")
    sim.script(CALLS)
    ran = shell.run("%%minimax --confirm --chat c --tools look\nhow is it there?")
    assert "Interrupted" in ran.out
    assert shell.ns["seen"] == []
    assert shell.run("%%minimax --chat c\ngo on").error is None


def test_not_in_the_background(shell: Any, sim: Simulator) -> None:
    """A job cannot ask."""
    ran = shell.run("%%minimax --bg --confirm\nhi")
    assert "cannot be combined with --confirm" in ran.out
    assert sim.requests == []
