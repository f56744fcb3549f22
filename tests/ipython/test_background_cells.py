"""`--bg`, `%minimax jobs`, `wait` and `cancel` in a shell without a kernel."""

from __future__ import annotations

from typing import Any

import pytest
from made_up_cells import wait_for

from minimax_magic.ipython.cell_errors import CellError
from minimax_magic.ipython.jobs import PendingReply
from minimax_magic.simulator import Fail, Reply, Simulator


def test_in_a_terminal(shell: Any, sim: Simulator) -> None:
    """`--bg` returns at once; the answer is printed by `wait`, and the variable can be awaited."""
    sim.script(Reply(text="the answer in the background"))
    ran = shell.run("%%minimax later --bg --chat c\nhi")
    assert ran.error is None
    assert ran.out == "Job 1 answers in the background; %minimax wait shows it.\n"
    pending = shell.ns["later"]
    ran = shell.run("%minimax wait")
    assert ran.error is None
    assert "the answer in the background" in ran.out
    assert pending.done
    ran = shell.run("(await later).text")
    assert ran.value == "the answer in the background"
    assert "1  done" in shell.run("%minimax jobs").out
    assert len(shell.magics.session.chats["c"]) == 2


def test_its_value_is_the_answer_to_come(shell: Any, sim: Simulator) -> None:
    """`%minimax --bg` gives what can be awaited; with `--as` that is a value."""
    sim.script(Reply(text='{"n": 3}'))
    ran = shell.run("p = %minimax --bg --as dict give me one")
    assert ran.error is None
    assert isinstance(shell.ns["p"], PendingReply)
    assert shell.run("await p").value == {"n": 3}


def test_one_that_fails(shell: Any, sim: Simulator) -> None:
    """`wait` for one that fails says what happened in its output and fails in one line."""
    sim.script(Fail(status=401, code=1004))
    shell.run("%%minimax later --bg\nhi")
    ran = shell.run("%minimax wait 1")
    assert isinstance(ran.error, CellError)
    note, _, error = ran.lines
    assert note.startswith("Note: CredentialInvalid: ")
    assert error.startswith("CredentialInvalid: ")
    assert isinstance(shell.run("await later").error, CellError)


def test_those_that_ended_before(shell: Any, sim: Simulator) -> None:
    """`wait` shows the answers that came since, once; a failed one among them fails the cell, but only
    when all were shown."""
    sim.script(Fail(status=401, code=1004))
    shell.run("%%minimax failed --bg\nhi")
    wait_for(lambda: shell.ns["failed"].done)
    sim.script(Reply(text="the second answer"))
    shell.run("%%minimax later --bg\nhi")
    wait_for(lambda: shell.ns["later"].done)
    ran = shell.run("%minimax wait")
    assert isinstance(ran.error, CellError)
    assert ran.lines[0].startswith("Note: CredentialInvalid: ")
    assert "the second answer" in ran.out
    assert ran.lines[-1].startswith("CredentialInvalid: ")
    ran = shell.run("%minimax wait")
    assert (ran.error, ran.out) == (None, "")
    assert "the second answer" in shell.run("%minimax wait 2").out  # if it is asked for


def test_what_was_cancelled_is_no_failure(shell: Any, sim: Simulator) -> None:
    """`wait` for all shows what had come of one that the person stopped, and does not fail for it."""
    sim.script(Reply(text="word " * 10_000, delay_s=0.02))
    shell.run("%%minimax later --bg\nhi")
    wait_for(lambda: shell.ns["later"].text.startswith("word word"))
    shell.run("%minimax cancel 1")
    ran = shell.run("%minimax wait")
    assert ran.error is None
    assert "word word" in ran.out
    assert "interrupted" in ran.out


def test_in_the_next_prompt(shell: Any, sim: Simulator) -> None:
    """`{{answer}}` is the text of a background answer, and says what to do while that still runs."""
    sim.script(Reply(text="word " * 10_000, delay_s=0.02))
    shell.run("%%minimax slow --bg\nhi")
    ran = shell.run("%%minimax\nTranslate {{slow}}")
    assert sim.wait_for(lambda s: bool(s.requests))
    assert "Job 1 still runs. `%minimax wait 1` waits for it." in ran.out
    shell.run("%minimax cancel 1")
    sim.script(Reply(text="the answer"))
    shell.run("%%minimax quick --bg\nhi")
    assert shell.run("%minimax wait 2").error is None
    assert shell.run("%%minimax\nTranslate {{quick}} please").error is None
    assert "Translate the answer please" in str(sim.requests[-1].body["messages"])


def test_cancelling_one(shell: Any, sim: Simulator) -> None:
    """`cancel` stops the job of that number and names those there are otherwise."""
    sim.script(Reply(text="word " * 10_000, delay_s=0.02))
    shell.run("%%minimax later --bg\nhi")
    assert "there is no job 7. There are: 1." in shell.run("%minimax cancel 7").out
    assert "which job?" in shell.run("%minimax cancel").out
    assert sim.wait_for(lambda s: bool(s.requests))
    assert shell.run("%minimax cancel 1").error is None
    assert "Job 1 was stopped" in shell.run("await later").out
    assert shell.run("%minimax wait").error is None  # nothing runs


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("%%minimax --bg\n ", "is empty"),
        ("%%minimax --bg --tools f\nhi", "tools with --bg need a kernel"),
        ("%%minimax --bg --ctx nope\nhi", "'nope' is not defined"),
        ("%%minimax --bg\n{{nope}}", "'nope' is not defined"),
        ("%%minimax --bg --agent nobody\nhi", "There is no agent"),
    ],
)
def test_what_is_wrong_at_once(shell: Any, sim: Simulator, cell: str, told: str) -> None:
    """What can be said before anything is sent fails the cell itself, and there is no job."""
    shell.run("def f(): pass")
    ran = shell.run(cell)
    assert ran.error is not None
    assert told in ran.out
    assert sim.requests == []
    assert "No job was begun" in shell.run("%minimax jobs").out


def test_a_stop_before_it_is_sent(shell: Any, sim: Simulator) -> None:
    """The stop button while a value of the prompt is worked out sends nothing."""
    shell.run("import signal")
    ran = shell.run("%%minimax --bg\n{{signal.raise_signal(signal.SIGINT)}}")
    assert "Interrupted: nothing was sent." in ran.out
    assert sim.requests == []


def test_names_of_jobs_for_tab(shell: Any, sim: Simulator) -> None:
    """Tab offers the numbers of those that run."""
    sim.script(Reply(text="word " * 10_000, delay_s=0.02))
    shell.run("%%minimax later --bg\nhi")
    assert list(shell.magics.names("jobs")) == ["1"]
    shell.run("later.cancel()")
    wait_for(lambda: not list(shell.magics.names("jobs")))
