"""What a writer leaves that was killed before its last step, and what becomes of it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from auth_fakes import MARK, NOW, aged, bundle, bundle_file, enter, leave, run

from minimax_magic.auth.bundle import bundle_text
from minimax_magic.auth.store import leftovers


def test_newer_tokens_of_a_killed_writer_are_taken_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The refresh token in the file is used up by then; the log tells it without a token."""
    file = bundle_file(tmp_path, aged(NOW))
    left = leave(file, bundle_text(aged(NOW + 1, f"newer-{MARK}")))
    with caplog.at_level(logging.DEBUG):
        run(enter(file))
    got = file.read()
    assert got is not None
    assert got.access_token.get_secret_value() == f"newer-{MARK}"
    assert not left.exists()
    assert "took over" in caplog.text
    assert MARK not in caplog.text


def test_a_newer_leftover_is_known_by_its_file(tmp_path: Path) -> None:
    """Two refreshes may come within a second, and a clock may be set back: what the leftover says of
    its age does not count."""
    file = bundle_file(tmp_path, aged(NOW))
    leave(file, bundle_text(aged(NOW - 3600, "clock-set-back")))
    run(enter(file))
    got = file.read()
    assert got is not None
    assert got.access_token.get_secret_value() == "clock-set-back"


@pytest.mark.parametrize(
    "content", ["", bundle_text(aged(NOW + 1))[:-20], bundle_text(aged(NOW))], ids=len
)
def test_any_other_leftover_is_dropped(tmp_path: Path, content: str) -> None:
    """Cut off, or what is in the file anyway: the file stays as it is."""
    file = bundle_file(tmp_path, aged(NOW))
    left = leave(file, content)
    run(enter(file))
    assert file.read() == aged(NOW)
    assert not left.exists()


def test_an_older_leftover_is_dropped(tmp_path: Path) -> None:
    """Somebody has written the file since: a foreign program, which knows nothing of leftovers."""
    file = bundle_file(tmp_path, aged(NOW))
    left = leave(file, bundle_text(aged(NOW + 1, "older")))
    os.utime(left, (1, 1))
    run(enter(file))
    assert file.read() == aged(NOW)
    assert not left.exists()


def test_a_leftover_that_cannot_be_touched_is_in_nobodys_way(tmp_path: Path) -> None:
    """The login goes on beside it."""
    file = bundle_file(tmp_path, aged(NOW))
    left = file.path.with_name(f".{file.path.name}.0123456789ab.tmp")
    left.mkdir()
    run(enter(file))
    assert file.read() == aged(NOW)
    assert left.exists()


def test_a_leftover_does_not_undo_a_logout(tmp_path: Path) -> None:
    """Without a file there is no login, whatever lies beside it."""
    file = bundle_file(tmp_path, bundle())
    file.path.unlink()
    leave(file, bundle_text(aged(NOW + 1)))
    run(enter(file))
    assert file.read() is None
    assert leftovers(file.path) == []


def test_a_leftover_mends_a_damaged_file(tmp_path: Path) -> None:
    """Whole tokens beside a file that cannot be read are better than none."""
    file = bundle_file(tmp_path, bundle())
    file.path.write_text("{")
    leave(file, bundle_text(aged(NOW)))
    run(enter(file))
    assert file.read() == aged(NOW)
