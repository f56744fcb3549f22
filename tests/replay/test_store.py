"""Where recorded answers are kept: what goes in comes out, and no file is harmed."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minimax_magic
from minimax_magic.errors import ConfigError
from minimax_magic.events import ChatReply
from minimax_magic.messages import TextBlock, ThinkingBlock, ToolCall
from minimax_magic.replay.recording import Recording
from minimax_magic.replay.store import (
    JsonStore,
    MemoryStore,
    ReplayStore,
    SqliteStore,
    open_store,
)
from minimax_magic.tokens import TokenUsage

ROOT = Path(minimax_magic.__file__).parents[1]
AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = "a" * 64
posix = pytest.mark.skipif(os.name != "posix", reason="file modes and links of POSIX")


def recording(text: str = "Hello", **changes: Any) -> Recording:
    reply = ChatReply(
        blocks=(
            ThinkingBlock(text="Hm.", signature="seal", details=({"a": None},)),
            TextBlock(text=text),
        ),
        usage=TokenUsage(10, 5),
        finish_reason="stop",
        model="MiniMax-M2.5",
        request_id="id",
        warnings=("careful",),
    )
    return Recording(replace(reply, **changes), "openai_compat", AT)


REAL, SIMULATED = recording("real"), recording("simulated", simulated=True)


@pytest.fixture(params=["answers.json", "replay.sqlite3"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / "data" / str(request.param)


@pytest.fixture(params=["answers.json", "replay.sqlite3", ":memory:"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ReplayStore:
    return MemoryStore() if request.param == ":memory:" else at(tmp_path / request.param)


def at(path: Path, label: str | None = None) -> ReplayStore:
    """A store of its own, as another process has it."""
    return JsonStore(path, label) if path.suffix == ".json" else SqliteStore(path, label)


def get(store: ReplayStore, key: str = KEY, *, simulated: bool | None = None) -> Recording | None:
    return store.get(key, simulated=simulated)


def told(call: Callable[[], object]) -> str:
    """The one line of an error."""
    with pytest.raises(ConfigError) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


def data_of(recording: Recording) -> Any:
    """As it is after it was in a file."""
    return json.loads(json.dumps(recording.to_json()))


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ------------------------------------------------------------------------------ what is kept


def test_what_was_put_is_what_is_found(store: ReplayStore) -> None:
    """A recording comes back equal; another key has none, and a second one replaces the first."""
    assert get(store) is None
    store.put(KEY, REAL)
    assert get(store) == REAL
    assert get(store, "b" * 64) is None
    newer = recording("newer")
    store.put(KEY, newer)
    store.put("b" * 64, REAL)
    assert (get(store), get(store, "b" * 64)) == (newer, REAL)


def test_real_and_simulated_answers_are_side_by_side(store: ReplayStore) -> None:
    """Neither replaces the other; if both will do, the real one is taken."""
    store.put(KEY, SIMULATED)
    assert get(store) == SIMULATED
    assert get(store, simulated=False) is None
    store.put(KEY, REAL)
    assert get(store) == REAL
    assert get(store, simulated=False) == REAL
    assert get(store, simulated=True) == SIMULATED


@pytest.mark.parametrize("reason", [None, "content_filter"])
def test_only_whole_answers_are_kept(store: ReplayStore, reason: Any) -> None:
    """One that was cut off or withheld is refused, and what was there stays."""
    store.put(KEY, REAL)
    with pytest.raises(ValueError, match="whole"):
        store.put(KEY, recording("half", finish_reason=reason))
    assert get(store) == REAL


TEXTS = st.text(max_size=30) | st.sampled_from(["\ud800", "a\udfffb", "\x00", "\u2028", "```\r\n"])


@given(st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]
) -> None:
    """Half characters and control characters too, whatever the file."""
    folder = tmp_path_factory.mktemp("any")
    call = ToolCall(id="1", name="f", arguments=dict(texts))
    kept = recording("".join(texts.values()))
    kept = replace(kept, reply=replace(kept.reply, blocks=(*kept.reply.blocks, call)))
    for name in ("a.json", "a.sqlite3"):
        at(folder / name).put(KEY, kept)
        assert get(at(folder / name)) == kept


def test_another_store_of_the_file_sees_it_at_once(path: Path) -> None:
    """As another process would: each sees what the other has written since."""
    one, other = at(path), at(path)
    assert get(one) is None
    other.put(KEY, REAL)
    assert get(one) == REAL
    one.put("b", SIMULATED)
    other.put("c", REAL)
    assert [get(at(path), key) for key in (KEY, "b", "c")] == [REAL, SIMULATED, REAL]
    path.unlink()
    assert get(one) is None


def test_looking_makes_no_file(path: Path) -> None:
    """Neither the file nor its folder; an empty file has nothing in it, and is used."""
    assert get(at(path)) is None
    assert not path.parent.exists()
    path.parent.mkdir()
    path.touch()
    assert get(at(path)) is None
    at(path).put(KEY, REAL)
    assert get(at(path)) == REAL


def test_a_store_has_one_object_for_its_path(tmp_path: Path) -> None:
    """What the name ends in decides of what kind it is; what is in memory is found again."""
    assert isinstance(open_store(str(tmp_path / "a.json")), JsonStore)
    assert isinstance(open_store(str(tmp_path / "A.JSON")), JsonStore)
    assert isinstance(open_store(str(tmp_path / "a.sqlite3")), SqliteStore)
    assert isinstance(open_store(str(tmp_path / "a")), SqliteStore)
    memory = open_store(":memory:")
    assert isinstance(memory, MemoryStore)
    assert open_store(":memory:") is memory
    assert files(tmp_path) == set()


# ------------------------------------------------------------------------ several at the same time


WRITER = """
import sys, time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from minimax_magic.events import ChatReply
from minimax_magic.messages import TextBlock
from minimax_magic.replay.recording import Recording
from minimax_magic.replay.store import open_store
path, go, name = sys.argv[1:]
reply = ChatReply((TextBlock(text="x" * 2000),), finish_reason="stop", model="m")
store = open_store(path)
print("ready", flush=True)
while not Path(go).exists():
    time.sleep(0.001)
for number in range(8):
    key = f"{name}-{number}"
    store.put(key, Recording(replace(reply, request_id=key), "x", datetime.now(UTC)))
    assert store.get(key, simulated=None).reply.request_id == key
"""


def test_processes_lose_nothing_of_each_other(path: Path) -> None:
    """Four of them write a new file at the same time: all answers are there, and the file is whole
    whenever somebody looks."""
    path.parent.mkdir()
    go = path.with_name("go")
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(go), str(number)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        go.touch()
        store = at(path)
        while any(worker.poll() is None for worker in workers):
            get(store)
        assert [worker.wait(60) for worker in workers] == [0] * 4
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert all(get(store, f"{name}-{n}") for name in range(4) for n in range(8))


def test_threads_lose_nothing_of_each_other(store: ReplayStore) -> None:
    """One store may be used by several cells at once."""

    def work(name: int) -> None:
        for number in range(10):
            store.put(f"{name}-{number}", REAL)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(get(store, f"{name}-{n}") for name in range(4) for n in range(10))


@pytest.mark.parametrize("name", ["answers.json", "replay.sqlite3"])
def test_who_waits_too_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Another process that never lets go of the file does not stop a cell for good; what is there can
    still be read."""
    monkeypatch.setattr("minimax_magic.replay.store._BUSY_S", 0.1)
    path = tmp_path / name
    at(path).put(KEY, REAL)
    connection: sqlite3.Connection | None = None
    if path.suffix == ".json":
        from filelock import FileLock

        lock = FileLock(tmp_path / f".{name}.lock")
        lock.acquire()
    else:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
    line = told(lambda: at(path, "LABEL").put(KEY, SIMULATED))
    assert line.startswith("The recorded answers in LABEL cannot be written: ")
    assert get(at(path)) == REAL
    if connection is None:
        lock.release()
    else:
        connection.close()
    at(path).put(KEY, SIMULATED)


# ---------------------------------------------------------------------------------- the JSON file


def test_the_json_file_is_for_people_and_git(tmp_path: Path) -> None:
    """Sorted, one value a line, as text and not as escapes; the same answers in another order make the
    same file."""
    path, other = tmp_path / "a.json", tmp_path / "b.json"
    kept = recording("Größe: 数据 😀")
    for file, keys in ((path, "ba"), (other, "ab")):
        for key in keys:
            at(file).put(key, kept)
        at(file).put("a", SIMULATED)
    text = path.read_text(encoding="utf-8")
    assert text == other.read_text(encoding="utf-8")
    assert "Größe: 数据 😀" in text
    assert text.endswith("}\n")
    assert "\r" not in text
    document = json.loads(text)
    assert document == {
        "version": 1,
        "answers": {
            "a": {"real": data_of(kept), "simulated": data_of(SIMULATED)},
            "b": {"real": data_of(kept)},
        },
    }
    assert (
        '\n    "model": "MiniMax-M2.5",\n    "recorded_at": "2026-11-21T12:00:00+00:00",\n' in text
    )


def test_what_git_did_to_the_file_does_no_harm(tmp_path: Path) -> None:
    """Other line ends and a byte order mark are read, and a value that a later version adds stays."""
    path = tmp_path / "a.json"
    at(path).put(KEY, REAL)
    document = json.loads(path.read_text())
    document["made by"] = "somebody"
    document["answers"]["odd"] = {"dreamt": {"x": 1}}
    text = json.dumps(document, indent=4).replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    store = at(path)
    assert get(store) == REAL
    assert get(store, "odd") is None
    store.put("new", REAL)
    after = json.loads(path.read_text())
    assert after.pop("answers") == {**document.pop("answers"), "new": {"real": data_of(REAL)}}
    assert after == document


def test_a_file_is_read_once_for_as_long_as_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook with many cells does not parse a large file for each of them."""
    path = tmp_path / "a.json"
    at(path).put(KEY, REAL)
    store = JsonStore(path)
    read: list[Path] = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: [read.append(self), original(self)][1])
    for _ in range(5):
        assert get(store) == REAL
    assert len(read) == 1


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk or a kill in the middle loses nothing, and nothing half-done is left."""
    path = tmp_path / "a.json"
    at(path).put(KEY, REAL)
    before, names = path.read_bytes(), files(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        line = told(lambda: at(path, "a.json").put("b", REAL))
    assert "a.json cannot be written: no space left on device" in line
    assert (path.read_bytes(), files(tmp_path)) == (before, names)


@posix
def test_who_may_read_a_json_file_is_as_for_any_other(tmp_path: Path) -> None:
    """A new one has what the umask leaves, one that is there keeps what it has; a link stays a link."""
    path, link = tmp_path / "a.json", tmp_path / "link.json"
    link.symlink_to(path)
    before = os.umask(0o027)
    try:
        at(link).put(KEY, REAL)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o664)
        at(link).put("b", REAL)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o664
    assert link.is_symlink()
    assert get(at(path), "b") == REAL


def test_only_a_hidden_lock_is_beside_the_file(path: Path) -> None:
    """Nothing else is left in a notebook's folder."""
    at(path).put(KEY, REAL)
    lock = {f".{path.name}.lock"} if path.suffix == ".json" else set()
    assert files(path.parent) == {path.name} | lock


# ----------------------------------------------------------------------------------------- SQLite


@posix
def test_the_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Whatever the umask says: it has what was asked and answered."""
    before = os.umask(0)
    try:
        at(tmp_path / "a.sqlite3").put(KEY, REAL)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.sqlite3").stat().st_mode) == 0o600


def test_a_database_that_is_just_being_made_has_nothing(tmp_path: Path) -> None:
    """Another process has made the file, and not yet the table."""
    path = tmp_path / "a.sqlite3"
    sqlite3.connect(path).close()
    path.touch()
    assert get(at(path)) is None


def test_an_answer_in_a_database_that_is_damaged(tmp_path: Path) -> None:
    """It is told, and the others are still found."""
    path = tmp_path / "a.sqlite3"
    at(path).put(KEY, REAL)
    at(path).put("b", REAL)
    for text in ("{", "[]", '{"blocks": []}'):
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE answers SET recording = ? WHERE key = 'b'", (text,))
        connection.close()
        assert "are damaged" in told(lambda: get(at(path), "b"))
        assert get(at(path)) == REAL


# ----------------------------------------------------------------------- files that cannot be used


def _other_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE requests (x); PRAGMA user_version = 1;")
    connection.close()


def _newer_database(path: Path) -> None:
    at(path).put(KEY, REAL)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()


def _text(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text) and None


DAMAGED, NEWER, ALIEN = "are damaged", "newer version", "of something else"
UNUSABLE: list[tuple[str, Callable[[Path], None], str]] = [
    ("a.sqlite3", _text("this is no database, but it is long enough. " * 100), DAMAGED),
    ("a.sqlite3", _other_database, ALIEN),
    ("a.sqlite3", _newer_database, NEWER),
    ("a.sqlite3", Path.mkdir, "cannot be"),
    ("a.json", _text('{"version": 1,\n"answers": {\n<<<<<<< HEAD\n'), "line 3 are damaged"),
    ("a.json", lambda path: path.write_bytes(b'{"version": 1, "\xff') and None, DAMAGED),
    ("a.json", _text('{"version": 1, "answers": {"x": []}}'), DAMAGED),
    ("a.json", _text("[" * 100_000), DAMAGED),
    ("a.json", _text('{"version": 2, "answers": []}'), NEWER),
    ("a.json", _text('{"version": "1", "answers": {}}'), ALIEN),
    ("a.json", _text('{"version": 1, "answers": []}'), ALIEN),
    ("a.json", _text('{"version": 0, "answers": {}}'), ALIEN),
    ("a.json", _text('{"name": "left-pad", "version": 3}'), ALIEN),
    ("a.json", _text("[1, 2]"), ALIEN),
    ("a.json", _text('"text"'), ALIEN),
    ("a.json", Path.mkdir, "cannot be read"),
]


@pytest.mark.parametrize(("name", "prepare", "problem"), UNUSABLE)
def test_a_file_that_cannot_be_used_is_told_and_left(
    tmp_path: Path, name: str, prepare: Callable[[Path], None], problem: str
) -> None:
    """Damaged, written by a newer version, or something else altogether: one sentence with the file's
    name and what to do, for reading and for writing, and not a byte of it changes."""
    path = tmp_path / name
    prepare(path)
    before = path.read_bytes() if path.is_file() else None
    store = at(path, f"notebooks/{name}")
    for use in (lambda: get(store), lambda: store.put("b", REAL)):
        line = told(use)
        assert problem in line
        assert f"notebooks/{name}" in line
        assert any(word in line for word in ("--cache", "pip install"))
    assert (path.read_bytes() if path.is_file() else None) == before


def test_one_bad_answer_does_not_spoil_the_others(tmp_path: Path) -> None:
    """What somebody has mended by hand and got wrong is told when it is asked for."""
    path = tmp_path / "a.json"
    path.write_text(
        json.dumps({"version": 1, "answers": {KEY: {"real": data_of(REAL)}, "b" * 64: {"real": 1}}})
    )
    assert get(at(path)) == REAL
    line = told(lambda: get(at(path, "a.json"), "b" * 64))
    assert line.startswith("The recorded answers in a.json are damaged: answer bbbbbbbbbbbb: ")
    at(path).put("c", REAL)
    assert json.loads(path.read_text())["answers"]["b" * 64] == {"real": 1}


def test_a_file_where_its_folder_should_be(tmp_path: Path) -> None:
    """There is nothing to be found, and writing is told in one sentence."""
    (tmp_path / "file").write_text("")
    for name in ("a.json", "a.sqlite3"):
        store = at(tmp_path / "file" / name)
        assert get(store) is None
        assert "cannot be written" in told(lambda store=store: store.put(KEY, REAL))


AS_NOBODY = """
import os, sys
sys.path.insert(0, sys.argv[2])
from datetime import UTC, datetime
from pathlib import Path
from minimax_magic.errors import ConfigError
from minimax_magic.events import ChatReply
from minimax_magic.replay.recording import Recording
from minimax_magic.replay.store import open_store
import encodings.utf_8_sig, filelock, sqlite3
reply = ChatReply((), finish_reason="stop", model="m")
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
for name in ("a.json", "a.sqlite3"):
    store = open_store(os.path.join(sys.argv[1], name), name)
    print(store.get("key", simulated=None).reply.text)
    try:
        store.put("other", Recording(reply, "x", datetime.now(UTC)))
    except ConfigError as error:
        print(error)
    print(store.get("key", simulated=None).reply.text)
"""


@posix
@pytest.mark.parametrize("mode", [0o555, 0o777], ids=["folder", "files alone"])
def test_what_may_only_be_read_is_enough_to_replay(tmp_path: Path, mode: int) -> None:
    """As in a container that runs a notebook of somebody else: answers are found, and only recording
    is refused; a file that may only be read is not replaced where its folder would allow it."""
    folder = Path("/tmp") / f"minimax-replay-{os.getpid()}"
    folder.mkdir()
    try:
        for name in ("a.json", "a.sqlite3"):
            at(folder / name).put("key", recording(f"from {name}"))
            (folder / name).chmod(0o444)
        (folder / ".a.json.lock").unlink()
        folder.chmod(mode)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(folder), str(ROOT)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
    finally:
        folder.chmod(0o755)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    said = [
        line
        for name in ("a.json", "a.sqlite3")
        for line in (
            f"from {name}",
            f"The recorded answers in {name} cannot be written: permission denied. Check file, "
            "folder and disk, or name another one with --cache-file or MINIMAX_CACHE_FILE.",
            f"from {name}",
        )
    ]
    assert done.stdout.splitlines() == said, done.stderr


def test_a_store_shows_where_it_is_and_nothing_else(path: Path) -> None:
    """Its repr is the name that people know."""
    store = at(path, "LABEL")
    store.put(KEY, REAL)
    assert repr(store) == f"{type(store).__name__}('LABEL')"
