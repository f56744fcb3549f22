"""The forms in which a finished answer is shown."""

from __future__ import annotations

import re

import pytest
from renderers import RENDERERS, live_tags

from minimax_magic.render.markup import answer, extract_code, parse_json_answer, unfit


def test_markdown_has_a_plain_form() -> None:
    """Markdown is shown rendered, and as it is where nothing can render."""
    assert answer("**a**", "markdown") == {"text/markdown": "**a**", "text/plain": "**a**"}


def test_text_is_not_rendered() -> None:
    """`--format text` shows the characters of the answer."""
    assert answer("**a**", "text") == {"text/plain": "**a**"}


@pytest.mark.parametrize(
    "text", ['{"a": 1}', '```json\n{"a": 1}\n```', 'Here:\n\n```\n{"a": 1}\n```\nThat is it.']
)
def test_json_is_found_with_and_without_a_fence(text: str) -> None:
    """`--format json` keeps the value, whatever stands around it."""
    shown = answer(text, "json")
    assert shown["application/json"] == {"a": 1}
    assert shown["text/plain"] == '{\n  "a": 1\n}'
    assert unfit(text, "json") == []


@pytest.mark.parametrize("text", ["no JSON", "42", '{"a": 1'])
def test_an_answer_that_is_no_json_is_shown_with_a_notice(text: str) -> None:
    """What is not JSON is shown as it came, and said to be."""
    assert answer(text, "json") == {"text/plain": text}
    assert parse_json_answer(text) is None
    assert "not JSON" in unfit(text, "json")[0]
    assert unfit(text, "markdown") == []


def test_code_is_the_first_block_with_its_language() -> None:
    """`--format code` keeps the code; a fence inside it does not end it."""
    text = "Sure:\n\n````python\nx = '''\n```\n'''\n````\n\nDone."
    assert extract_code(text) == ("x = '''\n```\n'''", "python")
    assert answer(text, "code")["text/markdown"].startswith("````python\n")
    assert answer("x = 1", "code")["text/plain"] == "x = 1"


@pytest.mark.parametrize(
    "text",
    [
        '```x"><img/src=x/onerror=alert(1)>\nc\n```',
        '~~~\\begin{a}"/onclick="alert(1)"/x="\\end{a}\nc\n~~~',
        "```\\begin{a}\n\\end{a}\n```",
        '```a\t"onclick=alert(1)/x="\nc\n```',
    ],
)
def test_the_language_of_code_is_a_plain_word(text: str) -> None:
    """JupyterLab writes it into an attribute as it is: no quote, tag or formula gets there."""
    assert re.fullmatch(r"`{3}[ax]?", str(answer(text, "code")["text/markdown"]).split("\n")[0])
    for render in RENDERERS.values():
        assert live_tags(render(answer(text, "code")["text/markdown"])) == []


def test_a_very_long_answer_fits_one_message() -> None:
    """The plain form of a long answer is cut, and says by how much; the markdown is whole."""
    text = "word " * 24_000
    shown = answer(text, "markdown")
    assert shown["text/markdown"] == text
    assert "more characters" in shown["text/plain"]
    assert len(shown["text/markdown"]) + len(shown["text/plain"]) < 145_000
