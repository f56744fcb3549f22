"""What is known to be private here, and what stands for it in a report."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from minimax_magic.errors import MinimaxError
from minimax_magic.session import Session


def private_words(session: Session) -> dict[str, str]:
    """For `report.markdown`: each word, and what is to stand instead."""
    found = {}
    with suppress(MinimaxError):  # of settings that cannot be read nothing is shown
        if group_id := session.settings().group_id:
            found[group_id] = "<id>"
    with suppress(RuntimeError):  # nobody's process, as in some containers
        found[str(Path.home())] = "~"
    return found
