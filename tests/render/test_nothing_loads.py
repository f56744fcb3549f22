"""A model's markdown reaches the browser without anything that runs or loads by itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from minimax_magic.render.safety import escape_html

# CommonMark with raw HTML on and no guard of its own: what gets through here gets through everywhere.
RENDERER = MarkdownIt("commonmark", {"html": True}).enable("table")
RENDERER.validateLink = lambda url: True  # type: ignore[method-assign]


def loaded(markdown: str) -> list[str]:
    """Raw HTML, images and scripts that the rendered markdown holds."""
    found: list[str] = []
    for token in RENDERER.parse(markdown):
        for part in [token, *(token.children or [])]:
            if part.type in ("html_block", "html_inline", "image"):
                found.append(part.content)
            target = str(part.attrs.get("href", "")).strip().lower()
            if part.type == "link_open" and target.startswith(
                ("javascript:", "data:", "vbscript:")
            ):
                found.append(target)
    return found


HOSTILE = [
    "<script>alert(1)</script>",
    "Look: <img src=x onerror=alert(1)> here",
    "<!-- comment --> <!DOCTYPE html> <?php ?> <![CDATA[x]]>",
    "- item\n\n  <iframe src='https://example.invalid'></iframe>",
    "> <b>quote</b>\n<b>lazy</b>",
    "| a |\n|---|\n| <img src=x> |",
    "`` <b> `` <b>`",
    "an unclosed `code span <b>here</b>",
    "~~~\n<b>code</b>\n~~~\n<b>text</b>",
    "```\n<b>code</b>\n``` not closed\n<b>code</b>\n```\n<b>text</b>",
    "1. one\n   ```\n   <b>code</b>\n   ```\n   <b>text</b>",
    "    <b>indented</b>\n<b>text</b>",
    "text\n    <b>no code: a paragraph goes on</b>",
    "![x](https://example.invalid/leak?d=1)",
    "![x][1]\n\n[1]: https://example.invalid/leak",
    "[x](javascript:alert(1)) and [y](  JaVaScRiPt:alert(1))",
    "[x][1]\n\n[1]: javascript:alert(1)",
]


@pytest.mark.parametrize("markdown", HOSTILE)
def test_nothing_runs_or_loads(markdown: str) -> None:
    """Tags, images and script links of an answer are shown as text."""
    assert loaded(markdown), "the example is harmless: it tests nothing"
    assert loaded(escape_html(markdown)) == []


@pytest.mark.parametrize("markdown", HOSTILE)
def test_allowed_images_are_all_that_loads(markdown: str) -> None:
    """With images allowed, an inline image is loaded, and nothing else is."""
    found = loaded(escape_html(markdown, remote_images=True))
    assert found == (["x"] if "![x](" in markdown else [])


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.sampled_from(
            [
                "<b>",
                "</b>",
                "<img src=x>",
                "`",
                "``",
                "```\n",
                "~~~\n",
                "\n",
                "\n\n",
                "    ",
                "- ",
                "> ",
                "1. ",
                "text ",
                "![a](b)",
                "$",
                "$$",
                "\\",
                "|",
                "<!--",
                "-->",
                "[a]: <x>\n",
            ]
        ),
        max_size=14,
    )
)
def test_no_combination_of_pieces_lets_a_tag_through(pieces: list[str]) -> None:
    """Whatever is put together, no raw HTML and no image is left for the renderer."""
    assert loaded(escape_html("".join(pieces))) == []


@pytest.mark.parametrize(
    "markdown",
    [
        "```html\n<b>bold</b>\n```",
        "Use `<b>` or `</b>` here.",
        "See <https://example.com/a?b=c> or [here](https://example.com).",
        "1 < 2 and a<-3",
        'He said "yes" & left.',
        "$a < b$ and $$\nx^2\n$$",
    ],
)
def test_code_links_and_comparisons_stay(markdown: str) -> None:
    """Code, web links, quotes and a less-than sign look as the model wrote them."""
    assert RENDERER.render(escape_html(markdown)) == RENDERER.render(markdown)


def test_what_is_escaped_can_still_be_read() -> None:
    """A reader sees the tag that was not obeyed."""
    assert "&lt;img src=x" in RENDERER.render(escape_html("Look: <img src=x onerror=1>"))
