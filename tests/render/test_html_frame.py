"""A page that a model wrote is shown where it can do nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from minimax_magic.render.html_frame import code_so_far, frame, page_source, remote_images_in
from minimax_magic.render.markup import answer, unfit, visible_code


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))


def _tags(html: str) -> list[tuple[str, dict[str, str]]]:
    parser = _Tags()
    parser.feed(html)
    return parser.tags


def _frame_of(html: str) -> dict[str, str]:
    return next(attrs for tag, attrs in _tags(html) if tag == "iframe")


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("Here:\n\n```html\n<p>a</p>\n```\nDone.", "<p>a</p>"),
        ("<p>a</p>", "<p>a</p>"),
        ("```css\np {}\n```\n```html\n<p>\n```", "<p>"),
        ("```html\n<p>cut of", "<p>cut of"),
        ("~~~\n<!DOCTYPE html>\n```\n~~~", "<!DOCTYPE html>\n```"),
        ("no page, 1 < 2", None),
        ("", None),
    ],
)
def test_the_page_is_found(text: str, page: str | None) -> None:
    """The page is the first fence with a tag in it, else the whole answer if it has one."""
    assert page_source(text) == page


def test_a_page_is_in_a_frame_without_any_permission() -> None:
    """The frame is sandboxed, and the first thing in it is a policy that loads nothing."""
    html = answer('```html\n<p onclick=x>a "b" & c</p>\n```', "html")["text/html"]
    attrs = _frame_of(html)
    assert attrs["sandbox"] == ""
    tags = _tags(attrs["srcdoc"])
    assert tags[0][0] == "meta"
    assert tags[0][1]["http-equiv"] == "Content-Security-Policy"
    policy = tags[0][1]["content"]
    assert "default-src 'none'" in policy
    assert "img-src data:;" in policy
    assert "script" not in policy
    assert attrs["srcdoc"].endswith('<p onclick=x>a "b" & c</p>')
    assert {tag for tag, _ in _tags(html)} == {"div", "iframe"}


def test_the_page_cannot_leave_its_attribute() -> None:
    """Quotes and tags of the page stay inside of the frame."""
    html = frame('"><script>alert(1)</script><img src=x>')
    assert [tag for tag, _ in _tags(html)] == ["div", "iframe", "div"]


@pytest.mark.parametrize(
    "tag",
    [
        '<meta http-equiv="refresh" content="0;url=https://evil.example">',
        "<META charset=utf-8>",
        '<link rel="preconnect" href="https://evil.example">',
        "<LiNk/rel=dns-prefetch href=//evil.example>",
        "<base\nhref='https://evil.example/'>",
        "<base>",
        '<iframe srcdoc="&lt;link rel=preconnect href=//evil.example&gt;">',
        "<FRAME src=x>",
    ],
)
def test_elements_that_act_by_themselves_are_inert(tag: str) -> None:
    """Elements that redirect, connect ahead or move addresses become one that browsers ignore."""
    srcdoc = _frame_of(frame(f"<p>a</p>{tag}<p>b</p>"))["srcdoc"]
    page = re.sub(r"^<!doctype html>(<meta [^>]*>){2}", "", srcdoc)
    assert [name for name, _ in _tags(page)] == ["p", "basefont", "p"]


def test_other_elements_that_begin_alike_stay() -> None:
    """A `<metadata>` of SVG is not a `<meta>`."""
    assert "<metadata>" in _frame_of(frame("<metadata></metadata>"))["srcdoc"]


def test_images_of_a_page_are_loaded_only_if_allowed() -> None:
    """The policy knows of the web only with `--allow-remote-images`, and else the images are counted."""
    page = "<img alt=a src='https://h/1'><img src=x.png><p style='background:url(//h/2)'>"
    assert remote_images_in(page) == 2
    assert "2 images were not loaded (--allow-remote-images)" in unfit(page, "html")
    assert unfit(page, "html", remote_images=True) == []
    html = answer(page, "html", remote_images=True)["text/html"]
    assert "img-src data: https: http:" in _frame_of(html)["srcdoc"]


def test_the_plain_form_of_a_page_is_its_source() -> None:
    """Where no page can be shown, its source is."""
    assert answer("```html\n<p>a</p>\n```", "html")["text/plain"] == "<p>a</p>"


def test_what_is_no_page_is_markdown_with_a_notice() -> None:
    """An answer without a tag is shown as it came, and said to be."""
    assert answer("**no**", "html") == {"text/markdown": "**no**", "text/plain": "**no**"}
    assert unfit("**no**", "html") == ["the answer is not HTML; it is shown as it came"]


def test_a_page_too_large_for_a_message_is_a_listing() -> None:
    """A page that would not fit into one message is shown as code."""
    bundle = answer("<p>" + '"' * 60_000, "html")
    assert sorted(bundle) == ["text/markdown", "text/plain"]
    assert sum(len(part.encode()) for part in bundle.values()) < 140_000


def test_a_page_is_a_listing_while_it_is_written() -> None:
    """While it streams the source is seen as code: without its fence, of a long one the end."""
    text = "Here you are:\n```html\n<p>a"
    assert code_so_far(text) == "<p>a"
    assert visible_code(text, "html", room=5000) == "```html\n<p>a\n```"
    shown = visible_code("<p>\n" * 5000, "html", room=100_000)
    assert "characters above follow soon" in shown
    assert len(shown) < 3200
    assert visible_code("<p>```</p>", "html", room=5000).startswith("````html\n")
