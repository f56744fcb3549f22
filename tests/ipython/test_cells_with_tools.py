"""Cells with tools, images and recordings, in a real shell without a kernel, on both wires."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minimax_magic.simulator import Reply, Simulator, ToolCall

BOTH = pytest.mark.parametrize("flavor", ["openai_compat", "anthropic_messages"])
TOOLS = """
import threading
ran = []
def look(city: str, days: int = 1) -> dict:
    "How the weather is."
    ran.append((city, days))
    return {"city": city, "sky": "{{clear}} {x}"}
async def fetch(city: str) -> str:
    import asyncio
    await asyncio.sleep(0)
    return f"fetched {city}"
def fail(city: str) -> str:
    raise LookupError(f"no {city}")
"""


def results(sim: Simulator, request: int = -1) -> list[str]:
    """What the tools said, as the server got it."""
    found = []
    for message in sim.requests[request].body["messages"]:
        if message["role"] == "tool":
            found.append(message["content"])
        elif isinstance(message["content"], list):
            blocks = [b for b in message["content"] if b["type"] == "tool_result"]
            for block in blocks:
                said = block["content"]
                found.append(said if isinstance(said, str) else said[0]["text"])
    return found


@BOTH
def test_calls_of_one_turn(shell: Any, sim: Simulator, flavor: str) -> None:
    """Sync and async tools of one turn run, and all their results go back at once, to the letter."""
    shell.run(TOOLS)
    calls = tuple(ToolCall(name, {"city": "Rome"}) for name in ("look", "fetch", "fail"))
    sim.script(Reply(tool_calls=calls), Reply(text="It is clear."))
    ran = shell.run(f"%%minimax answer --tools look,fetch,fail --flavor {flavor}\nHow is it?")
    assert ran.error is None, ran.out
    assert shell.ns["ran"] == [("Rome", 1)]
    look, fetch, fail = results(sim)
    assert json.loads(look)["sky"] == "{{clear}} {x}"
    assert fetch == "fetched Rome"
    assert "LookupError: no Rome" in fail
    assert len(sim.requests) == 2
    assert shell.ns["answer"].text == "It is clear."
    for name in ("look", "fetch", "fail"):
        assert name in ran.out


@BOTH
def test_wrong_arguments_go_back(shell: Any, sim: Simulator, flavor: str) -> None:
    """Arguments that do not fit are told to the model, and the tool does not run with them."""
    shell.run(TOOLS)
    sim.script(
        Reply(tool_calls=(ToolCall("look", {"city": "Rome", "days": "many"}),)),
        Reply(tool_calls=(ToolCall("look", {"city": "Rome", "days": "3"}),)),
        Reply(text="Clear."),
    )
    assert shell.run(f"%%minimax --tools look --flavor {flavor}\nHow is it?").error is None
    assert shell.ns["ran"] == [("Rome", 3)]
    assert "days" in results(sim, 1)[0]


def test_most_steps(shell: Any, sim: Simulator) -> None:
    """`--max-steps` ends a model that never has enough, with a warning that says what to do."""
    shell.run(TOOLS)
    ran = shell.run("%%minimax --tools look --max-steps 2\n[[steps 9]] use a tool")
    assert ran.error is None
    assert len(sim.requests) == 2
    assert "max_steps (`--max-steps`) allows more" in " ".join(ran.out.split())


def test_a_stop_in_a_tool(shell: Any, sim: Simulator) -> None:
    """Stopped in a tool, the cell is interrupted, and its chat goes on with a result for each call."""
    shell.run(TOOLS)
    shell.run("import signal\ndef block(city: str) -> str: signal.raise_signal(signal.SIGINT)")
    calls = (ToolCall("look", {"city": "Rome"}), ToolCall("block", {"city": "Oslo"}))
    sim.script(Reply(tool_calls=calls), Reply(text="going on"))
    ran = shell.run("%%minimax --chat c --tools look,block\nHow is it?")
    assert "Interrupted" in ran.out
    assert "the chat remembers what the tools did" in ran.out
    assert shell.run("%%minimax --chat c\ngo on").error is None
    look, block = results(sim)
    assert json.loads(look)["city"] == "Rome"
    assert "stopped" in block


def test_an_agent_with_tools(shell: Any, sim: Simulator, configured: Path) -> None:
    """An agent's file names tools and steps; they are looked up when the cell runs, and one that is
    missing is said to be the file's."""
    folder = configured / "config" / "agents.d"
    folder.mkdir(parents=True)
    (folder / "ana.yaml").write_text(
        "agents:\n  - id: ana\n    model: {provider: minimax, model: MiniMax-M2.7}\n"
        "    tools: [look]\n    max_steps: 1\n"
    )
    ran = shell.run("%%minimax --agent ana\nuse a tool")
    assert "'look' is not defined" in ran.out
    assert "ana.yaml" in ran.out
    assert sim.requests == []
    shell.run(TOOLS)
    assert shell.run("%%minimax --agent ana\nuse a tool").error is None
    assert len(sim.requests) == 1
    assert shell.run("%%minimax --agent ana --max-steps 5\nuse a tool").error is None
    assert len(sim.requests) == 3


@BOTH
def test_a_figure(shell: Any, sim: Simulator, flavor: str) -> None:
    """A figure of matplotlib goes out as the picture that it is."""
    shell.run(
        "import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\n"
        "fig, ax = plt.subplots(figsize=(2, 1), dpi=50)\n_ = ax.plot([1, 2])"
    )
    options = f"--model MiniMax-M3 --flavor {flavor}"
    assert shell.run(f"%%minimax --image fig {options}\nWhat is it?").error is None
    shell.run("plt.close('all')")
    (image,) = sim.images
    assert image.media_type == "image/png"
    assert image.data is not None
    assert image.data.startswith(b"\x89PNG\r\n\x1a\n")


@BOTH
def test_a_model_that_sees_nothing(shell: Any, sim: Simulator, flavor: str) -> None:
    """An image for a model without vision is refused before sending, and those that see are named."""
    shell.ns["url"] = "https://example.com/a.png"
    ran = shell.run(f"%%minimax --image url --model MiniMax-M2.5 --flavor {flavor}\nWhat is it?")
    assert len(ran.lines) == 1
    assert "MiniMax-M3" in ran.out
    assert sim.requests == []


@BOTH
def test_replayed_without_a_key(
    shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch, flavor: str
) -> None:
    """What was recorded, tools included, is replayed without key and server; another prompt is not."""
    shell.run(TOOLS)
    cell = (
        f"%%minimax x --tools look --flavor {flavor} --cache {{}} --cache-file r.json\nuse a tool"
    )
    assert shell.run(cell.format("record")).error is None
    first, sent = shell.ns["x"].text, len(sim.requests)
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")
    ran = shell.run(cell.format("replay"))
    assert ran.error is None, ran.out
    assert shell.ns["x"].text == first
    assert shell.ns["x"].replayed
    assert "replayed" in ran.lines[-1]
    assert len(shell.ns["ran"]) == 2  # tools run again: they are the user's
    assert shell.run(cell.format("replay") + " twice").error is not None
    assert len(sim.requests) == sent


def test_trimming(shell: Any, sim: Simulator) -> None:
    """A chat that is too long is refused, with what to do; `--trim` leaves out its oldest turns."""
    shell.run("long = 'word ' * 150_000")
    assert shell.run("%%minimax --chat c\nfirst {{long}}").error is None
    ran = shell.run("%%minimax --chat c\nsecond {{long}}")
    assert ran.error is not None
    assert "--trim" in ran.out
    assert len(sim.requests) == 1
    ran = shell.run("%%minimax --chat c --trim\nsecond {{long}}")
    assert ran.error is None
    assert "the oldest turn" in ran.out or "the oldest 1 turn" in ran.out
    assert "first" not in json.dumps(sim.requests[-1].body["messages"])[:200]


@pytest.mark.parametrize(
    ("line", "partner"),
    [
        ("--rows 3", "--ctx"),
        ("--confirm", "--tools"),
        ("--max-steps 3", "--tools"),
        ("--repair 1", "--as"),
        ("--new", "--chat"),
        ("--trim", "--chat"),
    ],
)
def test_options_without_their_partner(shell: Any, sim: Simulator, line: str, partner: str) -> None:
    """An option that says nothing without another one is a mistake, and nothing is sent."""
    ran = shell.run(f"%%minimax {line}\nhi")
    assert f"{line.split()[0]} says nothing without {partner}." in str(ran.error)
    assert sim.requests == []


def test_a_blank_between_names_overwrites_nothing(shell: Any, sim: Simulator) -> None:
    """`--tools look fetch` would put the answer into `fetch`; with a name that is free it is meant."""
    shell.run(TOOLS)
    ran = shell.run("%%minimax --tools look fetch\nhi")
    assert "'fetch' would be overwritten" in str(ran.error)
    assert sim.requests == []
    sim.script(Reply(text="fine"))
    assert shell.run("%%minimax --tools look answer\nhi").error is None
    assert shell.ns["answer"].text == "fine"


def test_a_dry_run_of_fix_sends_nothing(shell: Any, sim: Simulator) -> None:
    """`--dry-run fix` shows the error that would be sent, and sends nothing."""
    shell.run("1 / 0")
    ran = shell.run("%minimax --dry-run fix")
    assert ran.error is None, ran.out
    assert "ZeroDivisionError" in ran.out
    assert sim.requests == []
    assert "leave --bg" in str(shell.run("%minimax --bg fix").error)
