"""The forms in which an answer reaches a front end."""

from __future__ import annotations

import re

import pytest
from renderers import commonmark, live_tags

from minimax_magic.events import ChatReply, Notice, Started, StreamEvent, TextDelta, ThinkingDelta
from minimax_magic.render import below, markup
from minimax_magic.render.blocks import BlockScanner
from minimax_magic.render.transcript import Transcript


def _transcript(*events: StreamEvent) -> Transcript:
    transcript = Transcript("MiniMax-M2.5", 0.0)
    for event in events:
        transcript.apply(event, 1.0)
    return transcript


def _visible(text: str, room: int = 10_000) -> str:
    scanner = BlockScanner()
    scanner.advance(text)
    return markup.visible(text, fence=scanner.fence, room=room)


# ------------------------------------------------------------------------------ while it streams


def test_an_open_fence_is_closed_for_drawing() -> None:
    """Unfinished code is drawn as code, with whatever stands below it outside."""
    assert _visible("```python\nx = 1\n") == "```python\nx = 1\n```"
    assert _visible("- a\n  ~~~~\n  x\n") == "- a\n  ~~~~\n  x\n  ~~~~"
    assert _visible("Plain.") == "Plain."


def test_too_much_text_is_cut_above() -> None:
    """Of text that does not fit its last lines are drawn, under a note that counts the rest."""
    text = "\n\n".join(f"Line {n}." for n in range(500))
    shown = _visible(text, room=200)
    assert "Line 499." in shown
    assert "Line 400." not in shown
    hidden = int(re.search(r"([\d,]+) characters above follow soon", shown)[1].replace(",", ""))  # type: ignore[index]
    assert text[hidden:].strip() == shown[shown.index("Line") : shown.index("499.") + 4]
    assert live_tags(commonmark(shown), own=True) == []


def test_a_fence_that_opened_above_is_opened_again() -> None:
    """The last lines of a long listing are drawn as code too."""
    text = "```python\n" + "x = 1\n" * 100
    shown = _visible(text, room=60)
    assert commonmark(shown).count('<pre><code class="language-python">x = 1') == 1


@pytest.mark.parametrize("room", range(20, 60))
def test_no_character_is_cut_in_two(room: int) -> None:
    """Cutting by bytes never leaves half of a character."""
    shown = _visible("日本語のテキスト。" * 9, room=room)
    assert "\ufffd" not in shown
    assert "テキスト。" in shown


def test_plain_text_is_cut_above_too() -> None:
    """Text that is no markdown gets a plain note."""
    shown = markup.visible_plain("0123456789\n" * 10, room=30)
    assert shown.splitlines() == ["[88 characters above follow soon]", "0123456789", "0123456789"]


def test_the_preview_of_thinking_begins_seldom_anew() -> None:
    """While thinking grows its shown beginning stays for hundreds of characters: lines stand still."""
    begins = set()
    transcript = Transcript("M", 0.0)
    for n in range(300):
        transcript.apply(ThinkingDelta(f"thought {n} "), 1.0)
        begins.add(below.below(transcript, 1.0).split("<div>")[1][:12])
    assert len(begins) <= 1 + 300 * 12 // 700


def test_the_status_is_laid_out_alike_live_and_saved() -> None:
    """What is below the text has the same rows while it streams as at the end: nothing jumps."""
    transcript = _transcript(Notice("`n` <b>"), ThinkingDelta("hm"), TextDelta("Hi"))
    live = below.below(transcript, 2.0)
    transcript.end("done", ChatReply(), 2.0)
    final = below.summary(transcript, 2.0)["text/html"]
    assert live.count("<div") == 3
    for row in ("<div>Note: <code>n</code> &lt;b&gt;</div>", "<details><summary"):
        assert row in live
        assert row in final


# ------------------------------------------------------------------------------------ at the end


@pytest.mark.parametrize(
    ("text", "code", "language"),
    [
        ("```python\nx = 1\n```", "x = 1", "python"),
        ("Here:\n\n~~~js title=a\na\n\nb\n~~~\nand\n```\nc\n```", "a\n\nb", "js"),
        ("x = 1\n", "x = 1", ""),
        ("```\nopen", "```\nopen", ""),
        ("````\n```\ninner\n```\n````", "```\ninner\n```", ""),
    ],
)
def test_code_is_taken_out(text: str, code: str, language: str) -> None:
    """The first fenced block is the code; an answer without one is code altogether."""
    assert markup.extract_code(text) == (code, language)
    bundle = markup.answer(text, "code")
    assert bundle["text/plain"] == code
    opening = f'<code class="language-{language}">' if language else "<code>"
    assert opening in commonmark(bundle["text/markdown"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1]}', {"a": [1]}),
        ("Sure:\n```json\n[1, 2]\n```", [1, 2]),
        ("42", None),
        ("no", None),
        ('```json\n{"a":\n```', None),
    ],
)
def test_json_is_taken_out(text: str, value: object) -> None:
    """An object or array is found, also in a fence; anything else stays text."""
    assert markup.parse_json_answer(text) == value
    bundle = markup.answer(text, "json")
    if value is None:
        assert bundle == {"text/plain": text}
    else:
        assert bundle["application/json"] == value


def test_text_stays_text() -> None:
    """As text nothing is interpreted and nothing is changed."""
    assert markup.answer("a *b* <c>", "text") == {"text/plain": "a *b* <c>"}


def test_a_long_answer_fits_one_message() -> None:
    """The plain form of 120 KB is cut so that both forms fit 140 KB, and says how much is missing."""
    bundle = markup.answer("wörd " * 20_000, "markdown")
    assert sum(len(part.encode()) for part in bundle.values()) < 140_000
    assert bundle["text/markdown"] == "wörd " * 20_000
    shown = bundle["text/plain"].split("\n\n[...")[0]
    assert bundle["text/plain"].endswith(
        f"[... {100_000 - len(shown):,} more characters in the other form]"
    )


def test_the_summary_has_thinking_folded_and_escaped() -> None:
    """Thinking is there to unfold, as plain text; a price is never taken for math."""
    transcript = _transcript(
        Started(None, None, simulated=True), ThinkingDelta("a <b> & $x$\n\nmore"), TextDelta("Hi")
    )
    transcript.end("done", ChatReply(), 2.0)
    bundle = below.summary(transcript, 2.0)
    assert "a &lt;b&gt; &amp; $x$\n\nmore" in bundle["text/html"]
    assert "mathjax_ignore" in bundle["text/html"]
    assert "<details><summary" in bundle["text/html"]
    assert ">simulated</span>" in bundle["text/html"]
    assert bundle["text/plain"].splitlines() == [
        "[Thought for 0.0 s]",
        "[simulated · MiniMax-M2.5 · tokens unknown · 2.0 s]",
    ]


@pytest.mark.parametrize("phase", ["interrupted", "failed"])
def test_an_unfinished_answer_is_marked(phase: str) -> None:
    """Interrupted and failed answers carry a mark that is seen at once."""
    transcript = _transcript(TextDelta("Hi"))
    transcript.end(phase, ChatReply(), 2.0)  # type: ignore[arg-type]
    bundle = below.summary(transcript, 2.0)
    assert f">{phase}</span>" in bundle["text/html"]
    assert bundle["text/plain"].startswith(f"[{phase} · ")


def test_no_form_lets_html_through() -> None:
    """Notices, model names and answers are escaped wherever they go into HTML or markdown."""
    transcript = Transcript("<img src=x>", 0.0)
    for event in (Notice("<script>"), ThinkingDelta("<b>"), TextDelta("<img src=x>")):
        assert "<img" not in below.below(transcript, 0.0)
        transcript.apply(event, 0.0)
    transcript.end("done", ChatReply(), 1.0)
    html = below.summary(transcript, 1.0)["text/html"]
    assert not any(tag in html for tag in ("<img", "<script", "<b>"))
    assert "<img" not in markup.answer("<img src=x>", "markdown")["text/markdown"]
    assert "<img" not in markup.head("<img src=x>", "m", 1)["text/markdown"]
