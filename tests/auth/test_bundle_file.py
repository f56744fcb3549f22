"""The bundle on disk: who may see it, what a kill leaves, what damage does."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from auth_fakes import ACCESS, MARK, NOW, aged, bundle, bundle_file, enter, leave, run, shown

from minimax_magic.auth.bundle import bundle_text, parse_bundle
from minimax_magic.auth.bundle_file import BUNDLE_FILE, BundleBusy, BundleFile
from minimax_magic.auth.store import leftovers, prepare_folder
from minimax_magic.clock import utc
from minimax_magic.errors import ConfigError
from minimax_magic.testing import FakeClock

POSIX = pytest.mark.skipif(os.name != "posix", reason="permission bits")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ------------------------------------------------------------------------------------- modes


@POSIX
def test_a_new_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Folder 0700, file 0600, lock 0600, and git ignores all of it, whatever the umask."""
    before = os.umask(0)
    try:
        file = bundle_file(tmp_path, bundle())
        run(enter(file))
    finally:
        os.umask(before)
    assert mode(file.path.parent) == 0o700
    assert mode(file.path) == 0o600
    assert {mode(path) for path in file.path.parent.glob(".*lock")} <= {0o600}
    assert (file.path.parent / ".gitignore").read_text() == "*\n"


@POSIX
def test_an_open_secrets_folder_is_closed(tmp_path: Path) -> None:
    """A folder called `secrets` that was made by hand gets the same protection."""
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    bundle_file(tmp_path, bundle())
    assert mode(folder) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


@POSIX
def test_any_other_folder_stays_as_it_is(tmp_path: Path) -> None:
    """Somebody may keep a bundle at home: only the file itself is protected there."""
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    file = BundleFile(home / "b.json")
    file.write(bundle())
    assert mode(home) == 0o755
    assert mode(file.path) == 0o600
    assert [path.name for path in home.iterdir()] == ["b.json"]


@pytest.mark.parametrize("ignored", ["*\n", "!x\n*", ".minimax*\nminimax*\n"])
def test_a_gitignore_that_does_its_work_is_kept(tmp_path: Path, ignored: str) -> None:
    """Nothing is added to one that ignores our files."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / ".gitignore").write_text(ignored)
    prepare_folder(tmp_path / "secrets")
    assert (tmp_path / "secrets" / ".gitignore").read_text() == ignored


def test_a_gitignore_that_does_not_is_extended_once(tmp_path: Path) -> None:
    """Our files are added; what was there stays."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / ".gitignore").write_text("other.txt")
    prepare_folder(tmp_path / "secrets")
    prepare_folder(tmp_path / "secrets")
    text = (tmp_path / "secrets" / ".gitignore").read_text()
    assert text.split() == ["other.txt", "minimax*", ".minimax*"]


# ----------------------------------------------------------------------------------- writing


def test_replacing_leaves_nothing_else(tmp_path: Path) -> None:
    """The file is replaced as a whole; no temporary file stays."""
    file = bundle_file(tmp_path, aged(NOW))
    with file.path.open() as reader:  # whoever has it open reads the old one to its end
        file.write(aged(NOW, "other"))
        assert parse_bundle(reader.read(), "f").access_token.get_secret_value() == ACCESS
    assert leftovers(file.path) == []
    assert {path.name for path in file.path.parent.iterdir()} == {".gitignore", BUNDLE_FILE}


def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    """The error names the file, the old content stays, and no traceback shows the tokens."""
    (tmp_path / BUNDLE_FILE / "x").mkdir(parents=True)
    file = BundleFile(tmp_path / BUNDLE_FILE, f"secrets/{BUNDLE_FILE}")
    with pytest.raises(ConfigError, match=f"secrets/{BUNDLE_FILE} cannot be written: ") as caught:
        file.write(bundle())
    assert (tmp_path / BUNDLE_FILE / "x").is_dir()
    assert leftovers(file.path) == []
    assert "write_private" in shown(caught.value)
    assert MARK not in shown(caught.value)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in its place is told when locking, before anybody is asked to sign in."""
    (tmp_path / "secrets").touch()
    file = bundle_file(tmp_path)
    assert file.read() is None
    with pytest.raises(ConfigError, match="cannot be locked: ") as caught:
        run(enter(file))
    assert caught.value.hint


def test_removing(tmp_path: Path) -> None:
    """The bundle and what a killed writer left go; a second time there is nothing to do."""
    file = bundle_file(tmp_path, bundle())
    left = leave(file, bundle_text(aged(NOW)))
    assert file.remove() is True
    assert not file.path.exists()
    assert not left.exists()
    assert file.remove() is False
    assert file.read() is None


def test_what_cannot_be_removed_is_told(tmp_path: Path) -> None:
    """A folder in the file's place is our error, not the system's."""
    (tmp_path / "secrets" / BUNDLE_FILE).mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be deleted"):
        bundle_file(tmp_path).remove()


# ------------------------------------------------------------------------------------ damage


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is damaged: it is empty"),
        (bundle_text(bundle()).encode()[:-30], "is damaged: it is cut off"),
        (f'{{"access_token": "{ACCESS}"}}'.encode(), "is damaged: expires_at is missing"),
        (b"\x00\xff\xfe\x80", "is not a text file"),
        (b"\xff" * 100_000, "is not a text file"),
    ],
)
def test_a_damaged_bundle_is_an_error_and_a_copy_is_kept(
    tmp_path: Path, content: bytes, told: str
) -> None:
    """The error names file and copy, shows nothing of it, and the file itself is untouched."""
    file = bundle_file(tmp_path, bundle())
    file.path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(ConfigError, match=told) as caught:
            file.read()
    text = str(caught.value)
    assert text.startswith(f"secrets/{BUNDLE_FILE} ")
    assert f"A copy is in secrets/{BUNDLE_FILE}.damaged." in text
    assert "%minimax login" in text
    assert MARK not in shown(caught.value)
    copy = file.path.with_name(f"{BUNDLE_FILE}.damaged")
    assert copy.read_bytes() == file.path.read_bytes() == content
    assert os.name != "posix" or mode(copy) == 0o600
    assert leftovers(file.path) == []


def test_damage_that_cannot_be_copied(tmp_path: Path) -> None:
    """The error says so."""
    file = bundle_file(tmp_path)
    file.path.mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"is not a text file\. No copy of it could be made"):
        file.read()


# ------------------------------------------------------------------------------------ reading


def test_no_file_is_no_login(tmp_path: Path) -> None:
    """Nor is a folder that does not exist."""
    assert bundle_file(tmp_path).read() is None


def test_the_file_is_read_once_and_again_when_it_changed(tmp_path: Path) -> None:
    """Unchanged it is the same value; a change by anybody is seen at once."""
    file = bundle_file(tmp_path, aged(NOW))
    first = file.read()
    assert file.read() is first
    BundleFile(file.path).write(aged(NOW, "other"))
    second = file.read()
    assert second is not None
    assert second.access_token.get_secret_value() == "other"
    file.path.write_text(bundle_text(aged(NOW + 60, "other")))  # in place, same size
    os.utime(file.path, ns=(1, 1))
    third = file.read()
    assert third is not None
    assert third.obtained_at == utc(NOW + 60)


def test_threads_see_whole_bundles(tmp_path: Path) -> None:
    """Two readers beside a writer never meet a mixture or an error."""
    file = bundle_file(tmp_path, aged(NOW, "0"))
    seen: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            got = file.read()
            token = got.access_token.get_secret_value() if got else "gone"
            seen.append(token if got == aged(NOW + int(token), token) else "mixed")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(1, 40):
        file.write(aged(NOW + number, str(number)))
    done.set()
    for reader in readers:
        reader.join()
    assert set(seen) <= {str(number) for number in range(40)}
    assert file.read() == aged(NOW + 39, "39")


# ------------------------------------------------------------------------------------ locking


def test_one_at_a_time(tmp_path: Path) -> None:
    """A second holder waits as long as its patience lasts, then says who is in the way."""
    file, clock = bundle_file(tmp_path, bundle()), FakeClock()

    async def go() -> None:
        async with file.lock(clock):
            with pytest.raises(BundleBusy, match=r"renewing secrets/.* for 3 s") as caught:
                async with BundleFile(file.path, file.label).lock(clock, patience_s=3):
                    pass
            assert caught.value.__suppress_context__
        await enter(file, clock)

    run(go())
    assert sum(clock.slept) == pytest.approx(3, abs=0.1)


def test_a_lock_file_that_nobody_holds_blocks_nobody(tmp_path: Path) -> None:
    """What a killed process leaves is a file; the lock itself went with it."""
    file, clock = bundle_file(tmp_path, bundle()), FakeClock()
    file.path.with_name(f".{BUNDLE_FILE}.lock").write_text("4711")
    run(enter(file, clock))
    assert clock.slept == []


def test_an_error_inside_gives_the_lock_back(tmp_path: Path) -> None:
    """So does a cancellation."""
    file = bundle_file(tmp_path, bundle())

    async def go() -> None:
        with pytest.raises(ZeroDivisionError):
            async with file.lock(FakeClock()):
                raise ZeroDivisionError
        await enter(file)

    run(go())
    assert repr(file) == f"BundleFile('secrets/{BUNDLE_FILE}')"
