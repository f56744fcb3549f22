"""Words for what programs have as numbers: spans of time, the system's errors; and words that were
mistyped."""

from __future__ import annotations

from collections.abc import Collection


def duration(seconds: float) -> str:
    """A span of time for people, in the largest unit that tells enough: `14 minutes`, `90 seconds`."""
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if (count := round(seconds / size)) >= 2:
            return f"{count} {name}s"
    count = max(0, round(seconds))
    return "1 second" if count == 1 else f"{count} seconds"


def system_reason(error: OSError) -> str:
    """What the system says was wrong, to stand behind a colon: `permission denied`."""
    return (error.strerror or "unknown reason").lower()


def plural(count: int, noun: str) -> str:
    """The noun for so many of them: `plural(2, "request")` is `requests`."""
    return noun if count == 1 else f"{noun}s"


def meant(word: str, known: Collection[str]) -> str:
    """` (did you mean env?)`, to stand behind what is said of a word that nobody knows; empty if it is
    like none."""
    import difflib  # not needed where all is spelled right

    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""
