"""Which processes live: told by a lock, which the system takes away from the dead."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from minimax_magic.usage.presence import Presence


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "processes"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_id_is_never_used_twice(folder: Path) -> None:
    """Two presences of one process, of which the system knows one id, have two names."""
    assert Presence(folder).process != Presence(folder).process
    assert Presence(folder).process.startswith(f"{os.getpid()}-")


def test_who_has_announced_itself_lives(folder: Path) -> None:
    """Others see it until it leaves, and then its file is gone."""
    one, two = Presence(folder), Presence(folder)
    one.announce()
    assert two.lives(one.process)
    assert names(folder) == {f"{one.process}.lock"}
    one.leave()
    assert not two.lives(one.process)
    assert names(folder) == set()


def test_whoever_never_announced_itself_does_not_live(folder: Path) -> None:
    """A name without a lock is that of a dead process, also where there is no folder yet."""
    assert not Presence(folder).lives("1-abc")
    Presence(folder).announce()
    assert not Presence(folder).lives("1-abc")


def test_one_lives_to_itself(folder: Path) -> None:
    """Its own rows are never those of the dead."""
    one = Presence(folder)
    assert one.lives(one.process)
    nobody = Presence(None)
    nobody.announce()
    assert nobody.lives(nobody.process)
    assert not nobody.lives("another")


def test_announcing_twice_is_once(folder: Path) -> None:
    """It may be said again before every row, and leaving once is enough."""
    one, two = Presence(folder), Presence(folder)
    one.announce()
    one.announce()
    one.leave()
    one.leave()
    assert not two.lives(one.process)
    one.announce()
    assert two.lives(one.process)
    one.leave()


def test_a_leftover_of_the_dead_is_taken_away(folder: Path) -> None:
    """Whoever asks for a dead process removes its file."""
    folder.mkdir()
    (folder / "1-abc.lock").touch()
    assert not Presence(folder).lives("1-abc")
    assert names(folder) == set()


def test_old_leftovers_are_taken_away_at_the_start(folder: Path) -> None:
    """A day later whoever comes next clears up, but leaves alone those that live and what is new."""
    old, alive, fresh = Presence(folder), Presence(folder), Presence(folder)
    alive.announce()
    for other in (old, fresh):
        (folder / f"{other.process}.lock").touch()
    yesterday = time.time() - 2 * 86_400
    for other in (old, alive):
        os.utime(folder / f"{other.process}.lock", (yesterday, yesterday))
    new = Presence(folder)
    new.announce()
    assert names(folder) == {f"{it.process}.lock" for it in (alive, fresh, new)}
    assert new.lives(alive.process)
    alive.leave()
    new.leave()


def test_announcing_while_others_look(folder: Path) -> None:
    """However often others ask at that very moment, whoever has announced itself is seen."""
    stop = threading.Event()
    one = Presence(folder)

    def look() -> None:
        other = Presence(folder)
        while not stop.is_set():
            other.lives(one.process)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(50):
            one.announce()
            assert (folder / f"{one.process}.lock").exists()
            assert Presence(folder).lives(one.process)
            one.leave()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """The system's own error tells why."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Presence(tmp_path / "file" / "processes").announce()
