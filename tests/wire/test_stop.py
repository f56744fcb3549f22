"""Stop strings, which the server ignores and the client cuts at."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_streams import cut

from minimax_magic.wire.stop import StopCutter

MODEST = settings(max_examples=200, deadline=None, derandomize=True)


def run(stop: list[str], pieces: list[str]) -> tuple[str, bool]:
    cutter = StopCutter(stop)
    text = "".join(cutter.feed(piece) for piece in pieces) + cutter.flush()
    return text, cutter.hit


@pytest.mark.parametrize(
    ("stop", "text", "expected", "hit"),
    [
        (["END"], "one END two", "one ", True),
        (["END"], "one EN", "one EN", False),
        (["END"], "END", "", True),
        (["END"], "ENEND x", "EN", True),
        (["\n\n"], "a\nb\n\nc", "a\nb", True),
        (["b", "abc"], "xabc", "xa", True),
        (["cd", "bcd"], "abcde", "a", True),
        (["", "x"], "axb", "a", True),
        ([""], "axb", "axb", False),
        ([], "axb", "axb", False),
        (["🐈"], "a🐈b", "a", True),
    ],
)
def test_text_ends_before_the_stop_string(
    stop: list[str], text: str, expected: str, hit: bool
) -> None:
    """The string that is whole first ends the text, at its own beginning; one piece or many."""
    assert run(stop, [text]) == (expected, hit)
    assert run(stop, list(text)) == (expected, hit)
    for at in range(len(text) + 1):
        assert run(stop, [text[:at], text[at:]]) == (expected, hit)


@MODEST
@given(
    stop=st.lists(st.text("abc", max_size=4), max_size=3),
    text=st.text("abcd", max_size=30),
    places=st.lists(st.integers(0, 30), max_size=6),
)
def test_any_split_gives_the_same_text(stop: list[str], text: str, places: list[int]) -> None:
    """How the text was dealt out in pieces changes nothing, and no stop string is left in it."""
    kept, hit = run(stop, cut(text, places))
    assert (kept, hit) == run(stop, [text])
    assert text.startswith(kept)
    assert not any(s in kept for s in stop if s)
    assert hit or kept == text


def test_only_what_may_be_a_beginning_is_held_back() -> None:
    """Text goes on at once; a possible beginning of the stop string waits for the next piece."""
    cutter = StopCutter(["STOP"])
    assert cutter.feed("hello ST") == "hello "
    assert cutter.feed("ART") == "START"
    assert cutter.feed("STO") == ""
    assert cutter.flush() == "STO"
    assert cutter.feed("PSTOP") == "P"
    assert cutter.hit
    assert cutter.feed("more") == ""
