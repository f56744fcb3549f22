"""`%minimax fix`: the last error and its cell, as data; the corrected cell, offered."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from minimax_magic.errors import ConfigError
from minimax_magic.ipython.fix import PROMPT, failed_cell
from minimax_magic.simulator import Reply, Simulator


@pytest.fixture(autouse=True)
def no_error_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("last_exc", "last_value", "last_type", "last_traceback"):
        monkeypatch.delattr(sys, name, raising=False)


@pytest.fixture
def offered(shell: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was put into the next cell."""
    texts: list[str] = []

    def note(text: str, replace: bool = False) -> None:
        texts.append(text)

    monkeypatch.setattr(shell.ip, "set_next_input", note)
    return texts


def asked(sim: Simulator) -> tuple[str, str]:
    """The prompt, and the data behind it."""
    prompt, told = sim.requests[-1].body["messages"][-1]["content"]
    return prompt["text"], told["text"]


CELL = "rows = {'a': 1}\ndef pick(name):\n    return rows[name]  # {{rows}}\n\npick('{b} {{c}}')\n"


@pytest.mark.parametrize("flavor", ["openai_compat", "anthropic_messages"])
def test_the_error_and_its_cell(shell: Any, sim: Simulator, flavor: str) -> None:
    """The whole cell and the exception go along as data, to the letter; the prompt is ours."""
    shell.run(CELL)
    ran = shell.run(f"%minimax --flavor {flavor} fix")
    assert ran.error is None, ran.out
    prompt, told = asked(sim)
    assert prompt == PROMPT
    assert CELL.strip() in told
    assert "KeyError" in told
    assert "{b} {{c}}" in told
    assert "pick" in told
    assert "data" in told.casefold()


def test_the_corrected_cell_is_offered(shell: Any, sim: Simulator, offered: list[str]) -> None:
    """The first Python block of the answer becomes the next cell; the answer is shown whole."""
    shell.run("1/0")
    sim.script(Reply(text="Do not.\n\n```python\nx = 1 / 2\nprint(x)\n```\n\nThat is all."))
    ran = shell.run("%minimax fix")
    assert "Do not." in ran.out
    assert "x = 1 / 2" in ran.out
    assert [text.strip() for text in offered] == ["x = 1 / 2\nprint(x)"]


@pytest.mark.parametrize("answer", ["There is nothing to do.", "```bash\npip install x\n```"])
def test_an_answer_without_python(
    shell: Any, sim: Simulator, offered: list[str], answer: str
) -> None:
    """What is no Python is offered as no cell."""
    shell.run("1/0")
    sim.script(Reply(text=answer))
    assert shell.run("%minimax fix").error is None
    assert offered == []


def test_nothing_has_failed(shell: Any, sim: Simulator) -> None:
    """Without an error there is nothing to send."""
    ran = shell.run("%minimax fix")
    assert "No cell has failed yet. Run `%minimax fix` after an error." in ran.out
    assert len(ran.lines) == 1
    assert sim.requests == []
    with pytest.raises(ConfigError):
        failed_cell()


def test_a_syntax_error(shell: Any, sim: Simulator) -> None:
    """A cell that is no Python has never run, and is sent all the same."""
    shell.run("x = 1\nfor i in range(3) print(i)\n")
    assert shell.run("%minimax fix").error is None
    _, told = asked(sim)
    assert "SyntaxError" in told
    assert "x = 1\nfor i in range(3) print(i)" in told


def test_the_last_error_counts(shell: Any, sim: Simulator) -> None:
    """Of several errors it is the last, whether its cell ran or not."""
    shell.run("for i in range(3) print(i)")
    shell.run("first = 1/0")
    shell.run("fine = 1")
    shell.run("%minimax fix")
    _, told = asked(sim)
    assert "first = 1/0" in told
    assert "SyntaxError" not in told


def test_an_error_in_a_library(shell: Any, sim: Simulator) -> None:
    """Where a library raised, the cell is the user's, which called it."""
    shell.run("import json\ntext = '{broken'\njson.loads(text)")
    shell.run("%minimax fix")
    _, told = asked(sim)
    assert "json.loads(text)" in told
    assert "JSONDecodeError" in told
    assert "def raw_decode" not in told


def test_an_error_of_a_function_of_another_cell(shell: Any, sim: Simulator) -> None:
    """The cell is that which was run, and the frame of the other one is in the traceback."""
    shell.run("def half(x):\n    return x / 0")
    shell.run("y = half(10)  # this one")
    shell.run("%minimax fix")
    cell = failed_cell()[0]
    assert cell.text.strip() == "y = half(10)  # this one"
    _, told = asked(sim)
    assert "return x / 0" in told


def test_a_failed_fix_can_be_tried_again(shell: Any, sim: Simulator) -> None:
    """If it fails itself, the next one is about the same error."""
    from minimax_magic.simulator import Fail

    shell.run("first = 1/0")
    sim.script(Fail(status=401, code=1004))
    assert shell.run("%minimax fix").error is not None
    assert shell.run("%minimax fix").error is None
    assert "first = 1/0" in asked(sim)[1]


def test_options_of_fix(shell: Any, sim: Simulator) -> None:
    """It takes the options of any prompt; more words make it one."""
    shell.run("1/0")
    shell.run("%minimax --model MiniMax-M3 --chat repair fix")
    assert sim.requests[-1].body["model"] == "MiniMax-M3"
    assert list(shell.magics.session.chats) == ["repair"]
    shell.run("%minimax fix my bicycle")
    content = sim.requests[-1].body["messages"][-1]["content"]
    assert "fix my bicycle" in str(content)


def test_the_simulator_corrects_a_cell(shell: Any, sim: Simulator, offered: list[str]) -> None:
    """The answer of the simulator is a cell that runs."""
    shell.run("1/0")
    shell.run("%minimax fix")
    (cell,) = offered
    assert shell.run(cell).error is None
