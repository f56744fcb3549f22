"""Telling thinking from text: tags inside the content, and deltas that repeat."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from wire_streams import cut, fold, merged

from minimax_magic.events import (
    StreamEvent,
    TextDelta,
    TextWasThinking,
    ThinkingDelta,
    ThinkingDone,
)
from minimax_magic.wire.thinking import ClosingTagTrimmer, SnapshotFilter, ThinkSplitter

MODEST = settings(max_examples=120, deadline=None, derandomize=True)


def split(pieces: list[str], *, elsewhere: bool = False) -> list[StreamEvent]:
    splitter = ThinkSplitter()
    splitter.thought_elsewhere = elsewhere
    return merged([e for piece in pieces for e in splitter.feed(piece)] + splitter.flush())


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("Hello", "", "Hello"),
        ("<think>\nHm.\n</think>\n\nHello", "Hm.", "Hello"),
        ("<think>Hm.</think>Hello", "Hm.", "Hello"),
        ("\n <think>\n\nHm.\n\n</think> Hello ", "\nHm.\n", "Hello "),
        ("<think>a < b </thin k> c\n</think>d", "a < b </thin k> c", "d"),
        ("<think>never closed </th", "never closed </th", ""),
        ("<think>never closed\n", "never closed\n", ""),
        ("<think>\n\n</think>\n\nHello", "", "Hello"),
        ("<think></think>Hello", "", "Hello"),
        ("<think>", "", ""),
        ("</think>\n\nHello", "", "Hello"),
        ("<think>Hm.</think></think>Hello", "Hm.", "Hello"),
        ("Hm.\n</think>\nHello", "Hm.", "Hello"),
        ("Hm </think> Hello </think> you", "Hm ", "Hello </think> you"),
        ("The tag `</think>` ends it. </think>", "", "The tag `</think>` ends it. </think>"),
        ("Use `x` and\n</think>Hello", "Use `x` and", "Hello"),
        ("Write <think> first", "", "Write <think> first"),
        ("<thinking> is no tag", "", "<thinking> is no tag"),
        ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
        ("  indented\n", "", "  indented\n"),
        ("a\n\nb\n", "", "a\n\nb\n"),
        ("1 <", "", "1 <"),
        ("</thin", "", "</thin"),
        ("  ", "", ""),
        ("", "", ""),
    ],
)
def test_content_is_split_into_thinking_and_text(text: str, thinking: str, answer: str) -> None:
    """The tags and their layout are taken off, wherever the deltas cut them."""
    whole = split([text])
    reply = fold(whole)
    assert (reply.thinking, reply.text) == (thinking, answer)
    assert split(list(text)) == whole
    for at in range(len(text) + 1):
        assert split([text[:at], text[at:]]) == whole


PARTS = st.lists(
    st.sampled_from(["<think>", "</think>", "\n", " ", "a", "`", "<", "</th", "ink>", "bc"]),
    max_size=9,
).map("".join)


@MODEST
@given(text=PARTS, places=st.lists(st.integers(0, 60), max_size=8), elsewhere=st.booleans())
def test_any_split_of_the_content_gives_the_same_events(
    text: str, places: list[int], elsewhere: bool
) -> None:
    """Tags, backticks and blanks in any order mean the same in one delta and in many."""
    assert split(cut(text, places), elsewhere=elsewhere) == split([text], elsewhere=elsewhere)


def test_bare_thinking_shows_as_text_until_its_closing_tag() -> None:
    """Nothing is withheld for a tag that may never come; the event afterwards says what it was."""
    splitter = ThinkSplitter()
    assert splitter.feed("Hm. ") == [TextDelta("Hm. ")]
    assert splitter.feed("</think>Yes") == [TextWasThinking(), ThinkingDone(), TextDelta("Yes")]


def test_a_possible_tag_is_held_back() -> None:
    """A beginning of the closing tag waits; all before it is given out at once."""
    splitter = ThinkSplitter()
    assert splitter.feed("<think>Hm</thi") == [ThinkingDelta("Hm")]
    assert splitter.feed("s") == [ThinkingDelta("</this")]


def test_the_copy_in_the_content_is_dropped() -> None:
    """Thinking that came in a field of its own is not given again from between the tags."""
    assert split(["<think>\nHm.", "\n</think>\nYes"], elsewhere=True) == [TextDelta("Yes")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hm.\n</think>", "Hm."),
        ("Hm.</think>\n\n", "Hm."),
        ("Hm.", "Hm."),
        ("Hm.\n", "Hm.\n"),
        ("a </think> b", "a </think> b"),
        ("a </thi", "a </thi"),
        ("</think>", ""),
        ("a <b> </think", "a <b> </think"),
    ],
)
def test_a_closing_tag_at_the_end_of_reasoning_is_taken_off(text: str, expected: str) -> None:
    """Some servers leave it in `reasoning_content`; elsewhere in the thinking it stays."""
    for pieces in ([text], list(text), *([text[:i], text[i:]] for i in range(len(text)))):
        trimmer = ClosingTagTrimmer()
        assert "".join(map(trimmer.feed, pieces)) + trimmer.flush() == expected


@MODEST
@given(text=PARTS, places=st.lists(st.integers(0, 60), max_size=8))
def test_any_split_of_reasoning_is_trimmed_the_same(text: str, places: list[int]) -> None:
    """Where the deltas cut does not decide what counts as the end."""

    def run(pieces: list[str]) -> str:
        trimmer = ClosingTagTrimmer()
        return "".join(map(trimmer.feed, pieces)) + trimmer.flush()

    assert run(cut(text, places)) == run([text])


def unrepeat(pieces: list[str]) -> str:
    snapshots = SnapshotFilter()
    return "".join(map(snapshots.feed, pieces)) + snapshots.flush()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["The", "The cat", "The cat sat"], "The cat sat"),
        (["T", "Th", "The"], "The"),
        (
            ["The cat sat on a mat", "The cat sat on a mat.", "The cat sat on a mat."],
            "The cat sat on a mat.",
        ),
        (
            ["The cat sat on a mat", "The cat sat on a mat", "The cat sat on a mat."],
            "The cat sat on a mat.",
        ),
        (
            ["The cat sat on a mat", "The cat sat on a mat, and", " so on"],
            "The cat sat on a mat, and so on",
        ),
        (["The", "The cat"], "The cat"),
        (["", "The", "", "The cat", "", "The cat sat"], "The cat sat"),
    ],
)
def test_snapshots_become_what_is_new(pieces: list[str], expected: str) -> None:
    """Deltas that each hold all so far are undone, as soon as their growth proves it."""
    assert unrepeat(pieces) == expected


@pytest.mark.parametrize(
    "pieces",
    [
        ["ha", "ha", "ha", "ha"],
        ["haha", "haha", "haha"],
        ["1", "1", "10"],
        ["I will not talk.\n" * 2, "I will not talk.\n" * 2, "I will not talk.\n" * 2],
        ["🎉🎉🎉", "🎉🎉🎉", "🎉🎉🎉"],
        ["a", "ab", "c"],
        ["The", " cat", " cat sat"],
        ["-", "--"],
        ["x"],
        [],
    ],
)
def test_a_text_that_repeats_itself_is_kept(pieces: list[str]) -> None:
    """The same piece again is no sign of snapshots: losing text is worse than showing it twice."""
    assert unrepeat(pieces) == "".join(pieces)


@MODEST
@given(pieces=st.lists(st.text("abc \n", max_size=4), max_size=8))
def test_plain_deltas_are_never_changed(pieces: list[str]) -> None:
    """Unless the second repeats the first, which settles it, nothing is taken away."""
    spoken = [piece for piece in pieces if piece]
    assume(len(spoken) < 2 or not spoken[1].startswith(spoken[0]))
    assert unrepeat(pieces) == "".join(pieces)


@MODEST
@given(text=st.text(min_size=3, max_size=40), places=st.sets(st.integers(1, 40), min_size=3))
def test_growing_snapshots_give_the_text_once(text: str, places: set[int]) -> None:
    """Three or more snapshots of a text that grow give exactly that text."""
    ends = sorted({min(place, len(text)) for place in places} | {len(text)})
    assume(len(ends) >= 3)
    assert unrepeat([text[:end] for end in ends]) == text


def test_snapshots_go_on_and_begin_anew() -> None:
    """An older snapshot gives nothing; one of another text gives all of it."""
    snapshots = SnapshotFilter()
    first = "The user greets me, so I greet back."
    assert snapshots.feed(first[:20]) + snapshots.feed(first) == first
    assert snapshots.snapshots
    assert snapshots.feed(first[:30]) == ""
    assert snapshots.feed(first) == ""
    assert snapshots.feed("Now") == "Now"
    assert snapshots.feed("Now more") == " more"
