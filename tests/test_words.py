"""Numbers and errors in words."""

from __future__ import annotations

import pytest

from minimax_magic.words import duration, system_reason


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0 seconds"),
        (1, "1 second"),
        (59, "59 seconds"),
        (89, "89 seconds"),
        (899.4, "15 minutes"),
        (3600, "60 minutes"),
        (7200, "2 hours"),
        (35 * 3600, "35 hours"),
        (30 * 86400, "30 days"),
    ],
)
def test_durations(seconds: float, expected: str) -> None:
    """A span is told in the largest unit of which there are two, to the nearest."""
    assert duration(seconds) == expected


def test_reasons_of_the_system() -> None:
    """They can stand in the middle of a sentence, also where the system has no words."""
    assert system_reason(PermissionError(13, "Permission denied")) == "permission denied"
    assert system_reason(OSError()) == "unknown reason"
