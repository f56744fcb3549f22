"""`%minimax doctor` and `env` in a real kernel: what is drawn, what is saved, and what must not be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from kernels import Kernel, ok

from minimax_magic.simulator import Fail, Silence, Simulator

pytestmark = pytest.mark.kernel

# not the one of test_kernel_login, which looks for its own in the history of the same kernel
KEY = "sk-cp-DOCTORED-0123456789abcdefghijklm"


@pytest.fixture
def planted(kernel: Kernel, sim: Simulator) -> Iterator[Kernel]:
    """The kernel with a key that is easy to find, which the simulator takes."""
    sim.key = KEY
    begins = ("ANTHROPIC_", "OPENAI_", "AIDER_", "MINIMAX_API_BASE")
    ok(
        kernel.run(
            "import os\n"
            "_before = {**os.environ}\n"
            f"for _name in _before:\n    if _name.startswith({begins}): del os.environ[_name]\n"
            f"os.environ['MINIMAX_CODE_PLAN_KEY'] = {KEY!r}"
        )
    )
    kernel.seen.clear()
    yield kernel
    ok(kernel.run("os.environ.update(_before)"))  # other tests use the same kernel


def test_one_display_that_grows(planted: Kernel) -> None:
    """Findings are added to one display, below them the check that runs; the last state is saved, as
    HTML and as text."""
    result = ok(planted.run("%minimax doctor"))
    (display,) = result.displays
    assert set(display) == {"text/html", "text/plain"}
    for shown in display.values():
        assert "SUCCESS! API is working!" in shown
        assert "All is well" in shown
        assert KEY not in shown
    states = [bundle["text/plain"] for _, bundle in result.updates]
    assert len(states) > 5
    assert states[0].startswith("...   ")
    assert "..." in states[-2].splitlines()[-1]
    # what was found is never taken back
    found = ["\n".join(text.splitlines()[:-1]) for text in states[:-1]]
    assert all(later.startswith(earlier) for earlier, later in pairwise(found))


def test_what_failed_is_a_report(planted: Kernel, sim: Simulator) -> None:
    """A failed check says causes and steps in the output, and the cell succeeds."""
    sim.script(Fail(code=1008))
    (display,) = ok(planted.run("%minimax doctor")).displays
    assert "failed" in display["text/html"]
    assert "What to do:" in display["text/plain"]


def test_the_value(planted: Kernel) -> None:
    """`--json` is the cell's value and its only output."""
    result = ok(planted.run("%minimax doctor --no-spend --json"))
    (output,) = result.outputs
    assert output["output_type"] == "execute_result"
    assert planted.value("_['ok']") is True


def test_the_report(planted: Kernel) -> None:
    """`--report` ends as a block of markdown to be copied."""
    (display,) = ok(planted.run("%minimax doctor --no-spend --report")).displays
    assert display["text/plain"].startswith("<details>")
    assert "&lt;details&gt;" in display["text/html"]
    assert "A click selects all of it." in display["text/html"]


def test_the_stop_button(planted: Kernel, sim: Simulator) -> None:
    """The stop button ends the checks, also in a cell that awaits; what was found stays, without a
    verdict, and the next cell works."""
    for code in ("%minimax doctor", "import asyncio\nawait asyncio.sleep(0)\n%minimax doctor"):
        sim.script(Silence())
        asked = len(sim.requests)

        def waits(asked: int = asked) -> bool:
            new = sim.requests[asked:]
            return any((r.body or {}).get("model") for r in new if r.method == "POST")

        result = planted.run(code, (waits, planted.interrupt))
        assert result.error is not None
        assert result.error["ename"] == "KeyboardInterrupt"
        shown = result.displays[0]["text/plain"]
        assert "ok    Authentication" in shown
        assert "Completion: stopped here" in shown
        assert "well" not in shown
    assert planted.value("6 * 7") == 42


def test_env_and_what_is_saved(planted: Kernel, sim: Simulator) -> None:
    """`env --reveal` saves the masked text; the key is in a message that a pressed button asks for, and
    in no other: no output, no state of a widget, no stream."""
    result = ok(planted.run("%minimax env openai-sdk --shell sh --reveal"))
    masked, panel = result.displays
    assert "OPENAI_API_KEY" in masked["text/plain"]
    assert "the button below gives all of it" in masked["text/plain"]
    assert "--reveal" not in masked["text/plain"]
    assert "A click selects" not in masked["text/html"]  # its command line may be wanted alone
    assert "A button shows the key here" in panel["text/plain"]
    comm_id = panel["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert KEY not in json.dumps([m for _, m in planted.seen], default=str)

    first = len(planted.seen)
    planted.comm_msg(comm_id, {"method": "custom", "content": {"kind": "show", "page": "1"}})
    answer = planted.watch(lambda message: message["msg_type"] == "comm_msg")
    data = answer["content"]["data"]
    assert data["method"] == "custom"
    assert f"OPENAI_API_KEY={KEY}" in data["content"]["text"]
    state = planted.value("__import__('ipywidgets').Widget.get_manager_state(drop_defaults=False)")
    assert KEY not in json.dumps(state)
    others = [m for _, m in planted.seen[first:] if m is not answer]
    assert KEY not in json.dumps(others, default=str)


def test_env_without_reveal(planted: Kernel) -> None:
    """Without `--reveal` there is one display, which is masked, and no widget."""
    (display,) = ok(planted.run("%minimax env claude-code")).displays
    assert set(display) == {"text/html", "text/plain"}
    assert KEY not in json.dumps(display)


def test_in_a_notebook_runner(environment: dict[str, str], tmp_path: Path) -> None:
    """Where a program executes the notebook, the findings and the masked environment are in what it
    saves; a failed check does not end it."""
    with Simulator(key=KEY) as sim:
        sim.script(Fail(code=1008))
        env = {**os.environ, **environment}
        env |= {"MINIMAX_CODE_PLAN_KEY": KEY, "MINIMAX_BASE_URL": sim.url}
        cells = ["%load_ext minimax_magic", "%minimax doctor", "%minimax env llm --reveal", "6 * 7"]
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "p", "language": "python"}},
        )
        source, saved = tmp_path / "source.ipynb", tmp_path / "saved.ipynb"
        nbformat.write(notebook, source)
        done = subprocess.run(
            [sys.executable, "-m", "papermill", str(source), str(saved), "--no-progress-bar"],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    text = saved.read_text()
    assert KEY not in text
    ran = nbformat.read(saved, 4)
    (found,) = ran.cells[1].outputs
    assert "What to do:" in found["data"]["text/plain"]
    assert ran.cells[3].outputs[0]["data"]["text/plain"] == "42"
