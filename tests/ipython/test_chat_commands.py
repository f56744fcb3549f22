"""`%minimax chats`, `history`, `forget`, `save` and `load`, and `--fork`, in a real shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minimax_magic.simulator import Reply, Simulator, ToolCall


def talk(shell: Any, sim: Simulator, chat: str, *turns: tuple[str, str]) -> None:
    for said, answered in turns:
        sim.script(Reply(text=answered))
        assert shell.run(f"%%minimax --chat {chat}\n{said}").error is None


def last(sim: Simulator) -> list[str]:
    """What the messages of the last request say, but for the system's."""
    found = []
    for message in sim.requests[-1].body["messages"]:
        content = message["content"]
        text = content if isinstance(content, str) else "".join(b.get("text", "") for b in content)
        found.append(f"{message['role']}: {text.strip()}")
    return [text for text in found if not text.startswith("system")]


def line(ran: Any) -> str:
    assert ran.error is not None
    (text,) = ran.lines
    return str(text)


def test_nothing_yet(shell: Any, sim: Simulator) -> None:
    """Without a chat, the commands say how to begin one."""
    assert shell.run("%minimax chats").error is None
    for command in ("history", "forget --last"):
        assert "There is no chat yet. `%%minimax --chat NAME` begins one." in line(
            shell.run(f"%minimax {command}")
        )
    for command in ("history trip", "forget trip", "save trip a.json"):
        assert "There is no chat trip" in line(shell.run(f"%minimax {command}"))
    assert sim.requests == []


def test_the_list(shell: Any, sim: Simulator) -> None:
    """`chats` lists them, the latest first, with how their last prompt begins."""
    talk(shell, sim, "trip", ("Where to?", "Rome"))
    talk(shell, sim, "work", ("What?", "This"), ("And then?", "That"))
    ran = shell.run("%minimax chats")
    assert ran.error is None
    rows = [text for text in ran.lines if "trip" in text or "work" in text]
    assert [name for row in rows for name in ("trip", "work") if name in row] == ["work", "trip"]
    assert "And then?" in ran.out


def test_what_was_said(shell: Any, sim: Simulator) -> None:
    """`history` shows the chat of that name, or the one used last, with the calls of tools."""
    shell.run("def look(city: str) -> str: return 'sunny in ' + city")
    talk(shell, sim, "trip", ("Where to?", "Rome"))
    sim.script(Reply(tool_calls=(ToolCall("look", {"city": "Rome"}),)), Reply(text="Go."))
    shell.run("%%minimax --chat trip --tools look\nHow is it?")
    talk(shell, sim, "work", ("What?", "This"))
    shown = shell.run("%minimax history trip").out
    for text in ("Where to?", "Rome", "How is it?", "look", "sunny in Rome", "Go."):
        assert text in shown
    assert "What?" not in shown
    assert "What?" in shell.run("%minimax history").out


def test_nothing_said_is_run(shell: Any, sim: Simulator) -> None:
    """What stands in a chat is shown as text."""
    talk(shell, sim, "x", ("<script>alert(1)</script> {x}", "<img src=x onerror=alert(2)>"))
    assert "<script>alert(1)</script> {x}" in shell.run("%minimax history x").out


def test_forgetting(shell: Any, sim: Simulator) -> None:
    """`forget --last` takes back a whole turn, `forget NAME` the chat; the next cell goes on from
    there."""
    talk(shell, sim, "trip", ("one", "1"), ("two", "2"), ("three", "3"))
    assert (
        "The last turn of trip is forgotten: 2 turns left."
        in shell.run("%minimax forget --last").out
    )
    assert "1 turn left" in shell.run("%minimax forget trip --last").out
    talk(shell, sim, "trip", ("four", "4"))
    assert last(sim) == ["user: one", "assistant: 1", "user: four"]
    assert "The chat trip is forgotten, 2 turns." in shell.run("%minimax forget trip").out
    assert shell.magics.session.chats.names() == []
    talk(shell, sim, "trip", ("five", "5"))
    assert last(sim) == ["user: five"]


def test_forgetting_a_turn_with_calls(shell: Any, sim: Simulator) -> None:
    """A call goes with its result: what is left can be sent."""
    shell.run("def look(city: str) -> str: return 'sunny'")
    talk(shell, sim, "trip", ("one", "1"))
    sim.script(Reply(tool_calls=(ToolCall("look", {"city": "Rome"}),)), Reply(text="Go."))
    shell.run("%%minimax --chat trip --tools look\nHow is it?")
    shell.run("%minimax forget --last")
    talk(shell, sim, "trip", ("two", "2"))
    assert last(sim) == ["user: one", "assistant: 1", "user: two"]


def test_forgetting_names_something(shell: Any, sim: Simulator) -> None:
    """A bare `forget` asks what, and deletes nothing."""
    talk(shell, sim, "trip", ("one", "1"))
    assert "what should be forgotten?" in line(shell.run("%minimax forget"))
    assert "has no option --lst. Did you mean --last?" in line(shell.run("%minimax forget --lst"))
    assert list(shell.magics.session.chats) == ["trip"]


@pytest.mark.parametrize("flavor", ["openai_compat", "anthropic_messages"])
def test_a_file_brings_it_back(shell: Any, sim: Simulator, configured: Path, flavor: str) -> None:
    """Saved, forgotten and loaded, a chat goes on as if nothing had happened: same request."""
    shell.run("def look(city: str) -> str: return 'sunny'")
    sim.script(
        Reply(thinking="Hm.", tool_calls=(ToolCall("look", {"city": "Rome"}),)), Reply(text="Go.")
    )
    shell.run(f"%%minimax --chat trip --flavor {flavor} --tools look\nHow is it? {{x}}")
    shell.run("%minimax save trip kept.json")
    shell.run(f"%%minimax --chat trip --flavor {flavor}\nand now?")
    before = sim.requests[-1].body["messages"]
    shell.run("%minimax forget trip")
    ran = shell.run("%minimax load kept.json")
    assert "The chat trip is loaded: go on with `%%minimax --chat trip`." in ran.out
    shell.run(f"%%minimax --chat trip --flavor {flavor}\nand now?")
    assert sim.requests[-1].body["messages"] == before
    assert json.loads((configured / "kept.json").read_text())["minimax_magic_chat"] == 1


def test_loading_under_another_name(shell: Any, sim: Simulator) -> None:
    """`load NAME FILE` leaves the original alone; an existing chat is replaced, and that is said."""
    talk(shell, sim, "trip", ("one", "1"))
    assert "The chat trip is in a chat.json." in shell.run("%minimax save trip 'a chat.json'").out
    talk(shell, sim, "trip", ("two", "2"))
    ran = shell.run("%minimax load other 'a chat.json'")
    assert "The chat other is loaded" in ran.out
    assert "replaces" not in ran.out
    chats = shell.magics.session.chats
    assert (len(chats["trip"]), len(chats["other"])) == (4, 2)
    assert "It replaces the one of that name." in shell.run("%minimax load 'a chat.json'").out
    assert len(chats["trip"]) == 2


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("save", "a name and a file are needed: %minimax save NAME FILE.json"),
        ("load", "a file is needed: %minimax load [NAME] FILE.json"),
        ("load nothing.json", "nothing.json"),
        ("load ./chat.txt", "ends in .json, not './chat.txt'"),
        ("save trip chat.txt", "ends in .json, not 'chat.txt'"),
        ("save trip broken.json/chat.json", "chat.json"),
        ("load broken.json", "broken.json"),
        ("load other.json", "other.json"),
        ("load big.json --force", "has no option --force"),
    ],
)
def test_wrong_files(shell: Any, sim: Simulator, command: str, told: str) -> None:
    """What is wrong with a name or a file is one line that names it, and no chat is lost."""
    talk(shell, sim, "trip", ("one", "1"))
    Path("broken.json").write_text('{"version": 1, ')
    Path("other.json").write_text('{"cells": []}')
    assert told in line(shell.run(f"%minimax {command}"))
    assert [*shell.magics.session.chats] == ["trip"]
    assert len(sim.requests) == 1


def test_a_simulators_chat_is_not_sent_to_minimax(
    shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with made-up answers is only loaded where they are made up, too."""
    shell.run("%minimax simulator")
    shell.run("%%minimax --chat trip\nhi")
    shell.run("%minimax save trip kept.json")
    shell.run("%minimax simulator off")
    monkeypatch.setenv("MINIMAX_BASE_URL", "http://127.0.0.1:9")  # not known to be one
    assert "which are not sent to MiniMax" in line(shell.run("%minimax load kept.json"))
    shell.run("%minimax simulator")
    assert shell.run("%minimax load kept.json").error is None


def test_a_fork(shell: Any, sim: Simulator) -> None:
    """`--fork` begins a chat with a copy of another, which stays as it is."""
    talk(shell, sim, "trip", ("one", "1"))
    sim.script(Reply(text="2b"))
    assert shell.run("%%minimax --chat other --fork trip\ntwo").error is None
    assert last(sim) == ["user: one", "assistant: 1", "user: two"]
    chats = shell.magics.session.chats
    assert (len(chats["trip"]), len(chats["other"])) == (2, 4)
    assert "There is no chat nope" in line(shell.run("%%minimax --chat o --fork nope\nhi"))


def test_prompts_that_begin_like_commands(shell: Any, sim: Simulator) -> None:
    """More words than a command takes are a prompt, and ` -- ` makes one of anything."""
    talk(shell, sim, "trip", ("one", "1"))
    for prompt in ("history of Rome", "save the whales", "load balancing?", "-- history trip"):
        assert shell.run(f"%minimax {prompt}").error is None
        assert last(sim) == [f"user: {prompt.removeprefix('-- ')}"]
