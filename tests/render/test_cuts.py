"""A growing text is cut only where both halves look as the whole does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from minimax_magic.render.blocks import BlockScanner

RENDERER = MarkdownIt("commonmark").enable("table")

BLOCKS = [
    "# A heading\n\n",
    "A paragraph\nof two lines.\n\n",
    "- one\n- two\n\n",
    "- loose\n\n- list\n\n  with a paragraph\n\n",
    "3) three\n4) four\n   - nested\n\n",
    "```python\nx = 1\n\n\ny = 2\n```\n\n",
    "~~~\n```\n~~~\n\n",
    "- item\n\n  ```\n  code\n\n  more\n  ```\n\n",
    "> a quote\n> goes on\n\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n",
    "    indented code\n\n    goes on\n\n",
    "---\n\n",
    "Title\n=====\n\n",
    "$$\nx^2\n\ny\n$$\n\n",
]


def cuts(text: str, steps: list[int]) -> set[int]:
    """The cuts that a scanner gives while the text grows by these steps."""
    scanner, at, seen = BlockScanner(), 0, set()
    for step in [*steps, len(text)]:
        at = min(len(text), at + step)
        seen.add(scanner.advance(text[:at]))
    return seen


def bare(html: str) -> str:
    return html.replace("\n", "")


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=8),
    st.lists(st.integers(1, 40), max_size=30),
)
def test_both_halves_render_as_the_whole(blocks: list[str], steps: list[int]) -> None:
    """At every cut, head and tail rendered apart give what the whole text gives."""
    text = "".join(blocks)
    for cut in cuts(text, steps):
        halves = RENDERER.render(text[:cut]) + RENDERER.render(text[cut:])
        if "<ol" not in halves and "<ul" not in halves:
            assert bare(halves) == bare(RENDERER.render(text))
        else:  # a list is never cut in two; whether it is loose may depend on what follows
            assert halves.count("<li>") == RENDERER.render(text).count("<li>")
            assert halves.count("<ol") == RENDERER.render(text).count("<ol")
            assert halves.count("<ul") == RENDERER.render(text).count("<ul")


@pytest.mark.parametrize(
    "inside",
    ["```\na\n\nb\n\nc", "- a\n\n- b\n\n- c", "> a\n>\n> b", "$$\na\n\nb", "| a |\n|---|\n| b |"],
)
def test_no_cut_inside(inside: str) -> None:
    """A fence, list, quote, table or displayed math that goes on is not cut."""
    text = f"Before.\n\n{inside}"
    assert max(cuts(text, [1] * len(text))) <= len("Before.\n\n")


def test_paragraphs_are_cut() -> None:
    """Ordinary text is cut after each paragraph, so that the unfinished part stays short."""
    text = "".join(f"Paragraph {n}.\n\n" for n in range(20)) + "The last one"
    assert BlockScanner().advance(text) == text.index("The last")


def test_an_open_fence_is_known() -> None:
    """The scanner knows the fence in which the text ends, so that it can be closed for display."""
    scanner = BlockScanner()
    scanner.advance("Text\n\n````python\nx = 1\n")
    assert scanner.fence is not None
    assert (scanner.fence.mark, scanner.fence.line) == ("````", "````python")
    scanner.advance("Text\n\n````python\nx = 1\n````\n")
    assert scanner.fence is None
