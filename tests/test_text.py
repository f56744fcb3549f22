"""Collecting text, and mending characters that were cut in two."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minimax_magic.text import SurrogateJoiner, TextBuffer, whole

MODEST = settings(max_examples=150, deadline=None, derandomize=True)
HALVES = st.text(st.sampled_from("a\n\ud83d\ude00\udfffé😀"), max_size=12)


def join(pieces: list[str]) -> str:
    joiner = SurrogateJoiner()
    return "".join(joiner.feed(piece) for piece in pieces) + joiner.flush()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["Hi \ud83d", "\ude00!"], "Hi 😀!"),
        (["\ud83d", "", "\ude00"], "😀"),
        (["\ud83d", "a"], "\ufffda"),
        (["\ud83d\n", "\ude00"], "\ufffd\n\ufffd"),
        (["a\ude00b"], "a\ufffdb"),
        (["\ud83d", "\ud83d", "\ude00"], "\ufffd😀"),
        (["end \ud83d"], "end \ufffd"),
        (["plain", " text"], "plain text"),
        (["é", "😀"], "é😀"),
    ],
)
def test_halves_of_a_character_are_joined(pieces: list[str], expected: str) -> None:
    """A pair that came in two deltas is one character; a half without a partner is U+FFFD."""
    assert join(pieces) == expected


@MODEST
@given(pieces=st.lists(HALVES, max_size=6))
def test_any_split_of_halves_gives_the_same_text(pieces: list[str]) -> None:
    """The joined text depends on the characters only, and can always be encoded."""
    text = "".join(pieces)
    assert join(pieces) == join([text]) == join(list(text)) == whole(text)
    whole(text).encode()


@MODEST
@given(text=HALVES)
def test_whole_keeps_everything_else(text: str) -> None:
    """Only lone halves are replaced, each by one U+FFFD."""
    utf16 = text.encode("utf-16-le", "surrogatepass")
    assert len(whole(text).encode("utf-16-le")) == len(utf16)


def test_only_a_trailing_half_waits() -> None:
    """Text before it goes on at once; a newline after it makes it a lone half for good."""
    joiner = SurrogateJoiner()
    assert joiner.feed("ab\ud83d") == "ab"
    assert joiner.feed("\ude00c") == "😀c"
    assert joiner.feed("\ud83d\n") == "\ufffd\n"
    assert joiner.flush() == ""


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 3000])
def test_a_buffer_holds_what_was_appended(count: int) -> None:
    """Text and length are right at every size, also when it is read in between."""
    buffer = TextBuffer()
    for i in range(count):
        buffer.append(str(i))
        if i % 700 == 0:
            assert str(buffer).endswith(str(i))
    expected = "".join(map(str, range(count)))
    assert str(buffer) == expected
    assert len(buffer) == len(expected)


def test_a_buffer_does_not_keep_its_pieces() -> None:
    """20,000 chunks do not leave 20,000 objects."""
    buffer = TextBuffer()
    for _ in range(20_000):
        buffer.append("some words ")
    assert len(buffer._pieces) <= 512
