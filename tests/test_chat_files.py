"""Chats as files: what is saved is loaded again, and what is wrong is told with its place."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minimax_magic.chat_files import SavedChat, load_chat, save_chat
from minimax_magic.errors import ConfigError
from minimax_magic.messages import (
    Block,
    ImageBlock,
    Message,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
)

POSIX = pytest.mark.skipif(os.name != "posix", reason="file modes, links and pipes of POSIX")
NOW = datetime(2026, 11, 21, 14, 2, tzinfo=UTC)

CHAT = (
    Message(role="system", content="Be brief."),
    Message(
        role="user",
        content=(
            TextBlock(text="Größe? 一 😀 {x} $5\n\u2028<b>"),
            ImageBlock(data="aGVsbG8=", media_type="image/png"),
            ImageBlock(url="https://example.org/a.png"),
        ),
    ),
    Message(
        role="assistant",
        content=(
            ThinkingBlock(text="Hm.", signature="sig", details=({"type": "t", "index": None},)),
            ToolCall(id="c1", name="f", arguments={"a": None, "b": [1.5, {"c": True}]}),
            ToolCall(id="c2", name="g", invalid_arguments='{"a": '),
        ),
    ),
    Message(
        role="tool",
        content=(
            ToolResult(tool_call_id="c1", content="7"),
            ToolResult(tool_call_id="c2", content="no JSON", is_error=True),
        ),
    ),
    Message(role="assistant", content="7."),
)


class FixedClock:
    """It is always NOW."""

    def monotonic(self) -> float:
        return 0.0

    def time(self) -> float:
        return NOW.timestamp()

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits here")


def saved(path: Path, messages: tuple[Message, ...] = CHAT, name: str = "ana") -> SavedChat:
    save_chat(name, messages, path, simulated=True, clock=FixedClock())
    return load_chat(path)


def written(path: Path, **changes: Any) -> Path:
    """A file of a chat with other values."""
    document = {
        "minimax_magic_chat": 1,
        "name": "ana",
        "saved_at": "2026-11-21T14:02:00+00:00",
        "simulated": False,
        "messages": [{"role": "user", "content": "Hello."}],
    }
    path.write_text(json.dumps({**document, **changes}))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_chat(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(path), "FILE")


# ------------------------------------------------------------------------------------ there and back


def test_all_of_a_chat_comes_back(tmp_path: Path) -> None:
    """Images, thinking with its seals, calls and results are loaded as they were saved."""
    assert saved(tmp_path / "a.json") == SavedChat("ana", CHAT, True, NOW)


def test_a_file_is_for_people_too(tmp_path: Path) -> None:
    """It is indented JSON in UTF-8 that says what it is, without escapes and without empty fields."""
    path = tmp_path / "a.json"
    saved(path)
    text = path.read_text(encoding="utf-8")
    head = '{\n  "minimax_magic_chat": 1,\n  "name": "ana",\n'
    assert text.startswith(
        head + '  "saved_at": "2026-11-21T14:02:00+00:00",\n  "simulated": true,'
    )
    assert "Größe? 一 😀" in text
    assert '"invalid_arguments"' in text.split('"c2"')[1]
    assert '"invalid_arguments"' not in text.split('"c2"')[0]
    assert text.endswith("}\n")


def test_half_a_character_is_mended(tmp_path: Path) -> None:
    """Two halves become their character and a lone one U+FFFD, in memory and in a file."""
    texts = ("\ud83d\ude00", "a\ud83d")
    content: tuple[Block, ...] = tuple(TextBlock.model_construct(text=text) for text in texts)
    odd = Message.model_construct(role="user", content=content)
    assert saved(tmp_path / "a.json", (odd,)).messages[0].text == "\U0001f600a\ufffd"
    path = tmp_path / "b.json"
    written(path, messages=[{"role": "user", "content": "\ud83d\ude00 \ud83d"}], name="n\udc00")
    loaded = load_chat(path)
    assert (loaded.messages[0].text, loaded.name) == ("\U0001f600 \ufffd", "n\ufffd")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.text(), st.dictionaries(st.text(), JSON), st.text())
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
def test_any_text_and_arguments_come_back(
    tmp_path: Path, text: str, arguments: dict[str, Any], result: str
) -> None:
    """Whatever was said, with whatever arguments: it is the same after saving and loading."""
    messages = (
        Message(role="user", content=text),
        Message(role="assistant", content=(ToolCall(id="c", name="f", arguments=arguments),)),
        Message(role="tool", content=(ToolResult(tool_call_id="c", content=result),)),
    )
    assert saved(tmp_path / "a.json", messages).messages == messages


def test_what_is_no_json_is_not_saved(tmp_path: Path) -> None:
    """A chat made in Python may hold anything as an argument; a file cannot."""
    path = tmp_path / "a.json"
    odd = Message(role="assistant", content=(ToolCall(id="c", name="f", arguments={"x": {1, 2}}),))
    with pytest.raises(ConfigError, match="cannot be saved: an argument of a call is no JSON"):
        save_chat("ana", [odd], path, simulated=False)
    assert not path.exists()


# -------------------------------------------------------------------------------------------- writing


@POSIX
def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    """A chat may hold private data: 0600, also where the old file was open to others."""
    path = written(tmp_path / "a.json")
    path.chmod(0o644)
    saved(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_saved_chat_is_replaced(tmp_path: Path) -> None:
    """Saving again replaces what was saved there."""
    path = tmp_path / "a.json"
    saved(path)
    assert saved(path, CHAT[:2], "bob").messages == CHAT[:2]


@pytest.mark.parametrize("content", ["", "# notes", "[]", "{}", '{"name": "ana"}', "\ufffe"])
def test_other_files_are_left_alone(tmp_path: Path, content: str) -> None:
    """A file that is no saved chat stays as it is."""
    path = tmp_path / "a.json"
    path.write_text(content, encoding="utf-16" if content == "\ufffe" else "utf-8")
    before = path.read_bytes()
    with pytest.raises(ConfigError) as caught:
        saved(path)
    assert str(caught.value) == (
        f"{path} exists and is no saved chat: it is left as it is. Choose another name."
    )
    assert path.read_bytes() == before


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder's name is refused, for saving and for loading."""
    with pytest.raises(ConfigError, match="exists and is no saved chat"):
        saved(tmp_path)
    assert refusal(tmp_path).startswith("FILE is not a file.")


@POSIX
def test_a_link_stays_one(tmp_path: Path) -> None:
    """Where the name is a link, the file it leads to is written."""
    target, link = tmp_path / "there" / "a.json", tmp_path / "a.json"
    target.parent.mkdir()
    link.symlink_to(target)
    saved(link)
    assert link.is_symlink()
    assert load_chat(target).name == "ana"


@POSIX
def test_a_new_folder_is_private(tmp_path: Path) -> None:
    """A folder that is made for a chat is its owner's alone, and git ignores what is in it."""
    folder = tmp_path / "chats"
    saved(folder / "a.json")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


@POSIX
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What is no ordinary file is refused instead of read."""
    path = tmp_path / "a.json"
    os.mkfifo(path)
    assert refusal(path).startswith("FILE is not a file.")
    with pytest.raises(ConfigError, match="no saved chat"):
        saved(path)


@POSIX
def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The system's reason is told in one sentence."""
    path = tmp_path / "file" / "a.json"
    path.parent.write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        saved(path)


def test_names_that_no_file_has(tmp_path: Path) -> None:
    """A NUL in a name is an error of ours, and stands in it as a mark."""
    for act in (saved, load_chat):
        with pytest.raises(ConfigError, match="a\ufffdb cannot be a file"):
            act(tmp_path / "a\0b")


# -------------------------------------------------------------------------------------------- reading


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The system's reason is told."""
    assert refusal(tmp_path / "no.json").startswith(
        "FILE cannot be read: no such file or directory."
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "FILE line 1 is not JSON: expecting value."),
        ('{\n"a": 1,\n}', "FILE line 3 is not JSON: "),
        ("[" * 100_000, "FILE is not JSON that can be read."),
        ("9" * 5_000, "FILE is not JSON that can be read."),
        ("[1]", "FILE is no saved chat."),
        ('{"cells": []}', "FILE is no saved chat."),
        ("\udcff", "FILE is not a text file in UTF-8."),
    ],
)
def test_what_is_no_chat(tmp_path: Path, text: str, said: str) -> None:
    """Each kind of file that is no saved chat is told in one line, with how to make one."""
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    # which line a comma too many is found in differs between versions of Python
    told = refusal(path).replace("line 2", "line 3")
    assert told.startswith(said)
    assert told.endswith("`%minimax save NAME FILE` makes one.")


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    """A file of a later format is not guessed at."""
    assert refusal(written(tmp_path / "a.json", minimax_magic_chat=2)) == (
        "FILE was saved by a newer minimax_magic (version 2 of the format). "
        "Upgrade minimax_magic to read it."
    )


@pytest.mark.parametrize("version", [0, -1, True, 1.5, "1", None])
def test_what_is_no_version(tmp_path: Path, version: object) -> None:
    """Only whole numbers from 1 on are versions."""
    path = written(tmp_path / "a.json", minimax_magic_chat=version)
    assert refusal(path) == "FILE: minimax_magic_chat: not a version. It should be 1."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": ""}, "name: string should have at least 1 character"),
        ({"name": "n" * 201}, "name: string should have at most 200 characters"),
        ({"simulated": None}, "simulated: input should be a valid boolean"),
        ({"saved_at": "2026-11-21T14:02:00"}, "saved_at: input should have timezone info"),
        ({"messages": {}}, "messages: input should be a valid tuple"),
        ({"messages": [{"role": "boss", "content": ""}]}, "messages[0].role: input should be"),
        ({"messages": [{"role": "user"}]}, "messages[0].content: field required"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
            "messages[0].content[0].text: input should be a valid string",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
            "messages[0].content[0]: an image needs either url, or data and media_type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "film"}]}]},
            "messages[0].content[0]: input tag 'film'",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_place(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    """The first wrong value is named by its path in the file."""
    told = refusal(written(tmp_path / "a.json", **changes))
    assert told.startswith(f"FILE: {said}")
    assert told.endswith("Nothing was loaded.")


def test_a_missing_value_is_told(tmp_path: Path) -> None:
    """A file that lacks a part is no chat that can be sent."""
    path = tmp_path / "a.json"
    path.write_text('{"minimax_magic_chat": 1}')
    assert refusal(path) == "FILE: name: field required. Nothing was loaded."


ASKED = {"role": "user", "content": "Well?"}
CALL = {"role": "assistant", "content": [{"type": "tool_call", "id": "c", "name": "f"}]}
RESULT = {
    "role": "tool",
    "content": [{"type": "tool_result", "tool_call_id": "c", "content": "7"}],
}


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([CALL], "FILE: messages[0]: the call c has no result."),
        ([CALL, RESULT, RESULT], "FILE: messages[2]: no call before it has the id c"),
        ([RESULT, CALL], "FILE: messages[0]: no call before it has the id c"),
        ([{**CALL, "role": "user"}, RESULT], "FILE: messages[0]: the call c is not the"),
        ([CALL, ASKED, RESULT], "FILE: messages[0]: the call c has no result right behind it."),
        ([CALL, {**RESULT, "role": "system"}], "FILE: messages[1]: a message of role system has"),
    ],
)
def test_calls_need_their_results(
    tmp_path: Path, messages: list[dict[str, Any]], said: str
) -> None:
    """A call without its result, or the reverse, would be refused by the server: it is refused here."""
    assert refusal(written(tmp_path / "a.json", messages=messages)).startswith(said)


def test_errors_do_not_carry_the_file_into_the_output(tmp_path: Path) -> None:
    """An id with line breaks and escapes of a terminal stands in the error as one short line."""
    content = [{"type": "tool_call", "id": "c\n\x1b[31m" + "x" * 5_000, "name": "f"}]
    path = written(tmp_path / "a.json", messages=[{"role": "assistant", "content": content}])
    told = refusal(path)
    assert "\x1b" not in told
    assert len(told) < 400
