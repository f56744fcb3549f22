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
        ("no", False),
        ("", False),
        ("what?", False),
        ("EOF", False),
    ],
)
def test_an_answer(person: Person, word: str, allowed: bool) -> None:
    """Only a yes is a yes; an empty line and the end of the input are none."""
    person.says(word)
    assert may_call(SimpleNamespace())(call(city="Rome")) is allowed  # type: ignore[arg-type]
    (question,) = person.asked
    assert "look" in question
    assert "Rome" in question
    assert "[y]es, [n]o, [a]ll" in question


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
