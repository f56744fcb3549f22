"""`--dry-run` on cells and lines, in a real shell beside a simulator that must hear nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from minimax_magic.errors import ConfigError
from minimax_magic.ipython.cell_errors import CellError, LineError
from minimax_magic.simulator import Simulator
from minimax_magic.usage.ledger import Ledger

AGENT = """
agents:
  - id: ana
    model: {provider: minimax, model: MiniMax-M3}
    system_prompt: You are Ana.
    temperature: 0.25
"""


@pytest.fixture(autouse=True)
def file(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = isolated / "usage.sqlite3"
    monkeypatch.setenv("MINIMAX_LEDGER", str(path))
    return path


def body(ran: Any) -> Any:
    """The JSON that a dry run has printed."""
    assert ran.error is None, ran.error
    assert ran.lines[0] == "Dry run: nothing was sent."
    return json.loads(ran.out[ran.out.index("\n{") :])


def rows(file: Path) -> int:
    ledger = Ledger(str(file))
    try:
        return ledger.totals().requests
    finally:
        ledger.close()


@pytest.mark.parametrize("flavor", ["openai_compat", "anthropic_messages"])
def test_what_a_cell_would_send(shell: Any, sim: Simulator, flavor: str) -> None:
    """The body shown is, key for key, that of the cell without --dry-run: chat, agent, options and
    the values in the prompt included."""
    Path("config/agents.d").mkdir()
    Path("config/agents.d/a.yaml").write_text(AGENT)
    shell.run("%config MiniMaxMagics.top_p = 0.5")
    shell.run(f"%%minimax --chat trip --flavor {flavor}\nhi")
    shell.ns["n"] = 42
    line = f"--chat trip --agent ana --system 'Be brief.' --max-tokens 77 --flavor {flavor}"
    cell = "what is {{n}}?\nand {this}?"
    shown = body(shell.run(f"%%minimax {line} --dry-run\n{cell}"))
    assert len(sim.requests) == 1
    shell.run(f"%%minimax {line}\n{cell}")
    assert shown == sim.requests[-1].body
    assert "what is 42?" in json.dumps(shown)


def test_a_dry_line(shell: Any, sim: Simulator) -> None:
    """`%minimax --dry-run` shows the same for a line, and has no value."""
    ran = shell.run("%minimax --dry-run hello there")
    assert body(ran)["messages"] == [{"role": "user", "content": "hello there"}]
    assert ran.value is None
    assert sim.requests == []


def test_a_dry_run_leaves_no_trace(shell: Any, sim: Simulator, file: Path) -> None:
    """Nothing is sent, no row is written, the variable stays as it was or is not made, and the chat
    goes on as if it had not been."""
    shell.ns["kept"] = "before"
    assert shell.run("%%minimax kept --chat c --dry-run\nhi").error is None
    assert shell.run("%%minimax made --chat c --new --dry-run\nhi").error is None
    assert shell.ns["kept"] == "before"
    assert "made" not in shell.ns
    assert shell.magics.session.chats == {}
    assert sim.requests == []
    assert rows(file) == 0
    shell.run("%%minimax --chat c\nhi")
    assert len(sim.requests[0].body["messages"]) == 1
    assert rows(file) == 1


def test_new_begins_anew(shell: Any, sim: Simulator) -> None:
    """With --new the history is not in it, and is still there afterwards."""
    shell.run("%%minimax --chat c\nfirst")
    assert "2 earlier messages" in shell.run("%%minimax --chat c --dry-run\nhi").out
    assert len(body(shell.run("%%minimax --chat c --new --dry-run\nhi"))["messages"]) == 1
    assert len(shell.magics.session.chats["c"]) == 2


def test_secrets_are_masked(shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key in use, and whatever looks like a key, is not shown, wherever it was written."""
    monkeypatch.setenv("MINIMAX_CODE_PLAN_KEY", "quite-without-a-shape")
    ran = shell.run(
        "%%minimax --system 'quite-without-a-shape' --dry-run\n"
        "sk-cp-PLANTED-0123456789 and quite-without-a-shape"
    )
    assert body(ran)["messages"][1]["content"].strip() == "*** and ***"
    assert "without-a-shape" not in ran.out
    assert "PLANTED" not in ran.out


def test_without_a_key(shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works without any key, and says that one is missing."""
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")
    ran = shell.run("%%minimax --dry-run\nhi")
    assert body(ran)["model"] == "MiniMax-M2.5"
    (note,) = [line for line in ran.lines if line.startswith("Note:")]
    assert "no API key was found" in note


def test_budgets_are_shown(shell: Any, sim: Simulator) -> None:
    """What is left of each budget is shown, and what would be refused; then nothing is refused."""
    Path("config/llm.yaml").write_text("budget: {day: 5}\n")
    ran = shell.run("%%minimax --dry-run --budget $0.05 --max-tokens 100\nhi")
    assert "Budget of this cell: $0.050 of $0.050 left." in ran.lines
    assert "Budget of this day: $5.00 of $5.00 left." in ran.lines
    assert "refused" not in ran.out
    ran = shell.run("%%minimax --dry-run --budget 0.000001 --max-tokens 100\nhi")
    assert "It would be refused: " in ran.out
    assert ran.error is None


def test_an_unknown_price(shell: Any) -> None:
    """A model without a price has none, and a budget then refuses it."""
    ran = shell.run("%%minimax --dry-run --model nobodys --max-tokens 9\nhi")
    assert "Cost: no price known." in ran.lines
    assert "refused" not in ran.out
    ran = shell.run("%%minimax --dry-run --model nobodys --max-tokens 9 --budget 1\nhi")
    assert "It would be refused: No price is known for nobodys" in ran.out


def test_in_one_piece(shell: Any) -> None:
    """--no-stream is in the body."""
    assert body(shell.run("%%minimax --dry-run\nhi"))["stream"] is True
    assert not body(shell.run("%%minimax --dry-run --no-stream\nhi")).get("stream")


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%minimax --dry-run --agent nobody\nhi", "no agent 'nobody'"),
        ("%%minimax --dry-run --temperature 9\nhi", "temperature"),
        ("%%minimax --dry-run\n  \n", "empty"),
    ],
)
def test_mistakes(shell: Any, sim: Simulator, cell: str, said: str) -> None:
    """What would be an error of the cell is one of the dry run, in one line."""
    ran = shell.run(cell)
    assert isinstance(ran.error, CellError | LineError)
    assert said in ran.lines[-1]
    assert len(ran.lines) == 1


def test_a_mistake_in_llm_yaml(shell: Any) -> None:
    """So is a mistake in llm.yaml."""
    Path("config/llm.yaml").write_text("providers: [")
    ran = shell.run("%%minimax --dry-run\nhi")
    assert isinstance(ran.error, CellError)
    assert type(ran.error.error) is ConfigError


def test_an_undefined_name(shell: Any, sim: Simulator) -> None:
    """An undefined name in the prompt is an error here, too."""
    ran = shell.run("%%minimax --dry-run\n{{nowhere}}")
    assert ran.error is not None
    assert "Dry run" not in ran.out


@pytest.mark.parametrize("flavor", ["openai_compat", "anthropic_messages"])
def test_tools_data_and_types(shell: Any, sim: Simulator, flavor: str) -> None:
    """Tools, data and the type of the answer are shown as they would go out; no tool runs, and what is
    wrong with them is told as in any cell."""
    shell.run("ran = []\ndef look(city: str) -> str:\n    ran.append(city)\n    return city")
    shell.run("xs = {'{{a}}': '{b}'}")
    line = f"--flavor {flavor} --tools look --ctx xs --as list[int]"
    shown = body(shell.run(f"%%minimax --dry-run {line}\nuse a tool"))
    shell.run(f"%%minimax {line}\nuse a tool")
    assert shown == sim.requests[0].body
    assert "{{a}}" in json.dumps(shown)
    sent = len(sim.requests)
    del shell.ns["ran"][:]
    for wrong in ("--tools nope", "--ctx nope", "--as nope", "--image nope"):
        assert "nope" in shell.run(f"%%minimax --dry-run {wrong}\nhi").lines[-1]
    assert shell.ns["ran"] == []
    assert len(sim.requests) == sent


def test_images_are_not_printed(shell: Any, sim: Simulator) -> None:
    """Of an image there is its size, not pages of letters."""
    from PIL import Image

    shell.ns["picture"] = Image.effect_noise((200, 200), 50)
    ran = shell.run("%%minimax --dry-run --model MiniMax-M3 --image picture\nwhat is it?")
    assert "characters of base64)" in ran.out
    assert len(ran.out) < 3000
    assert sim.requests == []


def test_a_ledger_that_cannot_be_used(shell: Any, file: Path) -> None:
    """Without budgets a damaged ledger is no matter of a dry run; with one it is said."""
    file.write_bytes(b"no ledger at all" * 500)
    assert shell.run("%%minimax --dry-run\nhi").error is None
    ran = shell.run("%%minimax --dry-run --budget 1\nhi")
    assert isinstance(ran.error, CellError)
    assert "is damaged" in ran.lines[-1]


def test_an_awaited_cell(
    shell: Any, sim: Simulator, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a cell of a kernel becomes does the same, and shows it as HTML and text."""
    shown: list[Any] = []
    monkeypatch.setattr(shell.magics, "_shell", _with_kernel(shell.ip))
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append((bundle, raw)))
    asyncio.run(shell.magics.minimax_awaited("answer --chat c --dry-run", "hi\n"))
    ((bundle, raw),) = shown
    assert raw
    assert set(bundle) == {"text/html", "text/plain"}
    assert "Dry run: nothing was sent." in bundle["text/plain"]
    assert "answer" not in shell.ns
    assert shell.magics.session.chats == {}
    assert sim.requests == []
    assert rows(file) == 0


def _with_kernel(shell: InteractiveShell) -> Any:
    kernel = SimpleNamespace(parent=SimpleNamespace(connection_file="kernel-1.json"))
    return SimpleNamespace(
        kernel=kernel,
        user_ns=shell.user_ns,
        user_global_ns=shell.user_global_ns,
        execution_count=1,
    )
