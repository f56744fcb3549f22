"""Tab on `%%minimax` and `%minimax` lines: by itself, and through IPython's own completer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from minimax_magic.ipython.arguments import OPTIONS
from minimax_magic.ipython.completion import candidates

NAMES = {
    "models": ["MiniMax-M2.5", "MiniMax-M3"],
    "agents": ["ana", "bob"],
    "chats": ["trip"],
    "regions": ["global", "china", "simulator"],
    "names": ["df", "dfs", "fig"],
    "tools": ["look", "lookup", "query"],
    "jobs": ["1", "12"],
    "programs": ["aider", "anthropic-sdk", "llm"],
    "shells": ["sh", "powershell"],
}


def names(kind: str) -> Iterable[str]:
    return NAMES.get(kind, ())


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("%%minimax --mo", ["--model"]),
        ("%%minimax --t", ["--temperature", "--top-p", "--thinking", "--tools", "--trim"]),
        ("%%minimax --model ", NAMES["models"]),
        ("%%minimax --model MiniMax-M3", ["MiniMax-M3"]),
        ("%%minimax --model=MiniMax-M2", ["MiniMax-M2.5"]),
        ("%%minimax answer --agent ", ["ana", "bob"]),
        ("%%minimax --agent b", ["bob"]),
        ("%%minimax --chat t", ["trip"]),
        ("%%minimax --flavor ", ["openai_compat", "anthropic_messages"]),
        ("%%minimax --format j", ["json"]),
        ("%%minimax --thinking o", ["on", "off"]),
        ("%%minimax --raw --ra", []),
        ("%%minimax --model=M --mo", []),
        ("%%minimax --system ", []),
        ("%%minimax --raw ", []),
        ("%%minimax ans", []),
        ("%minimax sim", ["simulator"]),
        ("%minimax simulator ", ["off", "approve", "deny"]),
        ("%minimax lo", ["login", "logout", "load"]),
        ("%minimax login --r", ["--region"]),
        ("%minimax login --region c", ["china"]),
        ("%minimax logout --", ["--yes"]),
        ("%minimax simulator o", ["off"]),
        ("%%minimax --bud", ["--budget"]),
        ("%%minimax --dr", ["--dry-run"]),
        ("%%minimax --dry-run --d", []),
        ("%%minimax --budget ", []),
        ("%minimax --dry", ["--dry-run"]),
        ("%minimax us", ["usage"]),
        ("%minimax da", ["dashboard"]),
        ("%minimax co", ["cost"]),
        ("%minimax usage --", ["--text"]),
        ("%minimax usage --text --", []),
        ("%minimax dashboard --", ["--text", "--csv"]),
        ("%minimax dashboard --csv ", []),
        ("%minimax dashboard --csv all.csv --", ["--text"]),
        ("%minimax cost --", ["--budget"]),
        ("%minimax cost --budget ", []),
        ("%minimax usage of ", []),
        ("%%minimax --tools ", ["look", "lookup", "query"]),
        ("%%minimax --tools q", ["query"]),
        ("%%minimax --tools look,q", ["query"]),
        ("%%minimax --tools look,", ["look", "lookup", "query"]),
        ("%%minimax --tools=look,look", ["look", "lookup"]),
        ("%%minimax --ctx df,f", ["fig"]),
        ("%%minimax --ctx df --ct", ["--ctx"]),
        ("%%minimax --image a.png --im", ["--image"]),
        ("%%minimax --image f", ["fig"]),
        ("%%minimax --as d", ["df", "dfs"]),
        ("%%minimax --as int --a", ["--agent", "--allow-remote-images"]),
        ("%%minimax --chat a --fork t", ["trip"]),
        ("%%minimax --cache re", ["record", "replay", "refresh"]),
        ("%%minimax --rows ", []),
        ("%%minimax --cache-file ", []),
        ("%minimax hist", ["history"]),
        ("%minimax history ", ["trip"]),
        ("%minimax history t", ["trip"]),
        ("%minimax forget --", ["--last"]),
        ("%minimax forget --last t", ["trip"]),
        ("%minimax forget trip --", ["--last"]),
        ("%minimax save t", ["trip"]),
        ("%minimax save trip t", []),
        ("%minimax save trip ", []),
        ("%minimax load ", []),
        ("%minimax cancel ", ["1", "12"]),
        ("%minimax wait 12", ["12"]),
        ("%minimax wait 1 ", []),
        ("%minimax jo", ["jobs"]),
        ("%minimax do", ["doctor"]),
        ("%minimax doctor --", ["--no-spend", "--for", "--json", "--report"]),
        ("%minimax doctor --for a", ["aider", "anthropic-sdk"]),
        ("%minimax doctor --for=l", ["llm"]),
        ("%minimax env ", ["aider", "anthropic-sdk", "llm"]),
        ("%minimax env a", ["aider", "anthropic-sdk"]),
        ("%minimax env aider ", []),
        ("%minimax env aider --s", ["--shell"]),
        ("%minimax env aider --shell ", ["sh", "powershell"]),
        ("%minimax env --shell sh a", ["aider", "anthropic-sdk"]),
        ("%minimax env aider --model MiniMax-M3", ["MiniMax-M3"]),
        ("%minimax wr", ["write-script"]),
        ("%minimax write-script ", ["aider"]),
        ("%minimax write-script aider ", []),
        ("%minimax write-script aider --", ["--force"]),
        ("%minimax hello", []),
        ("%minimax ", []),
    ],
)
def test_candidates(before: str, expected: list[str]) -> None:
    """Options, their values and the commands complete; nothing else does."""
    assert list(candidates(before, names)) == expected


def complete(shell: Any, text: str) -> list[str]:
    """What the front end offers at the end of a text, as the whole words that would stand there."""
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        found = list(shell.ip.Completer.completions(text, len(text)))
    return [text[: each.start].rpartition(" ")[2] + each.text for each in found]


def complete_with(shell: Any, text: str) -> list[str]:
    """The whole line as it would be."""
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        found = list(shell.ip.Completer.completions(text, len(text)))
    return [text[: each.start] + each.text for each in found]


def test_options_through_ipython(shell: Any) -> None:
    """IPython's completer offers exactly our options after two dashes, not names of files."""
    found = complete(shell, "%%minimax --")
    assert sorted(found) == sorted(option.flag for option in OPTIONS)


def test_values_through_ipython(shell: Any, configured: Path) -> None:
    """Models, agents of the files and the chats there are complete in a real shell."""
    folder = configured / "config" / "agents.d"
    folder.mkdir()
    agent = "agents:\n  - id: ana\n    model: {provider: minimax, model: MiniMax-M3}\n"
    (folder / "a.yaml").write_text(agent)
    assert "MiniMax-M2.5-highspeed" in complete(shell, "%%minimax --model Mini")
    assert complete(shell, "%%minimax --agent a") == ["ana"]
    assert complete(shell, "%%minimax --agent=a") == ["--agent=ana"]
    assert complete(shell, "%minimax login --region sim") == ["simulator"]
    assert complete(shell, "%minimax cost --b") == ["--budget"]
    assert complete(shell, "%minimax dash") == ["dashboard"]
    assert "trip" not in complete(shell, "%%minimax --chat t")
    shell.run("%%minimax --chat trip\nhi")
    assert complete(shell, "%%minimax --chat t") == ["trip"]


def test_names_through_ipython(shell: Any) -> None:
    """Behind a comma it is the next name that completes, and what stands before it stays."""
    shell.run("def unmistakable_tool(): pass\nunmistakable_data = 1")
    assert complete(shell, "%%minimax --tools unmis") == ["unmistakable_tool"]
    text = "%%minimax --ctx x,unmistakable_d"
    (found,) = complete_with(shell, text)
    assert found == "%%minimax --ctx x,unmistakable_data"
    (found,) = complete_with(shell, "%%minimax --tools=f,unmis")
    assert found == "%%minimax --tools=f,unmistakable_tool"


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_the_old_completion_interface(shell: Any) -> None:
    """`shell.complete`, which consoles call, gives the same."""
    _, found = shell.ip.complete("--mo", "%%minimax --mo", 14)
    assert found == ["--model"]


def test_below_the_first_line(shell: Any) -> None:
    """In the body of a cell, Tab completes Python names as ever."""
    shell.ns["unmistakable"] = 1
    assert "unmistakable" in complete(shell, "%%minimax\nthe {{unmis")[-1]
    assert complete(shell, "%%minimax x\n--mo") == []


def test_a_broken_file_is_no_matter_of_tab(
    shell: Any, configured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With an llm.yaml that cannot be read there are no agents to offer, and Tab says nothing."""
    (configured / "config" / "llm.yaml").write_text("providers: [")
    complete(shell, "%%minimax --agent a")
    assert shell.magics.names("agents") == []
    assert capsys.readouterr() == ("", "")


def test_python_lines_complete_as_before(shell: Any) -> None:
    """A line without the magic is none of our business."""
    shell.ns["unmistakable"] = 1
    assert complete(shell, "unmis") == ["unmistakable"]
    assert complete(shell, "x = unmis") == ["unmistakable"]
