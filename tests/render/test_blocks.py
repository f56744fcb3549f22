"""Where a growing text is cut, and what is known for sure about its lines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from renderers import RENDERERS

from minimax_magic.render.blocks import BlockScanner
from minimax_magic.render.safety import escape_html
from minimax_magic.simulator.samples import long_markdown

_WORDS = st.sampled_from(["alpha", "**beta**", "`<code>`", "$x<y$", "_it_", "1 < 2", "a|b", "<b>"])
_LINE = st.lists(_WORDS, min_size=1, max_size=5).map(" ".join)


def _paragraph(lines: list[str]) -> str:
    return "\n".join(lines)


def _indent(text: str, by: str) -> str:
    return "\n".join(by + line if line else line for line in text.split("\n"))


def _item(parts: tuple[str, list[str], bool]) -> str:
    marker, blocks, loose = parts
    body = _indent(("\n\n" if loose else "\n").join(blocks), " " * len(marker))
    return marker + body[len(marker) :]


_paragraphs = st.lists(_LINE, min_size=1, max_size=3).map(_paragraph)
_code = st.lists(st.sampled_from(["x = 1", "", "", "# no heading", "- no item", "> no quote"]))
_fences = st.tuples(st.sampled_from(["```", "````", "~~~"]), _code).map(
    lambda parts: "\n".join([f"{parts[0]}python", *parts[1], parts[0]])
)
_simple = st.one_of(
    _paragraphs,
    _fences,
    _LINE.map(lambda line: f"## {line}"),
    _LINE.map(lambda line: f"{line}\n==="),
    st.just("---"),
    st.just("$$\nx < y\n\\frac{a}{b}\n$$"),
    st.just("\\begin{align}\na &= b\n\\end{align}"),
    st.lists(_LINE, min_size=1, max_size=3).map(
        lambda rows: "\n".join(["| a | b |", "|---|---|", *(f"| {row} | 1 |" for row in rows)])
    ),
    _code.map(lambda lines: _indent("\n".join(["code", *lines, "more"]), "    ")),
)


def _lists(blocks: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    item = st.tuples(
        st.sampled_from(["- ", "* ", "1. ", "10. "]),
        st.lists(blocks, min_size=1, max_size=2).filter(lambda inner: inner[0][:1] not in " -|"),
        st.booleans(),
    ).map(_item)
    gap = st.sampled_from(["\n", "\n\n"])
    return st.tuples(st.lists(item, min_size=1, max_size=3), gap).map(
        lambda parts: parts[1].join(parts[0])
    )


_quotes = _simple.map(lambda text: "\n".join(f"> {line}" for line in text.split("\n")))
_blocks = st.one_of(_simple, _simple, _lists(st.one_of(_simple, _lists(_paragraphs))), _quotes)
DOCUMENTS = st.lists(_blocks, min_size=1, max_size=7).map("\n\n".join)


def _cuts(text: str, steps: list[int]) -> list[int]:
    scanner = BlockScanner()
    found: list[int] = []
    at = 0
    while at < len(text):
        at = min(len(text), at + (steps[len(found) % len(steps)] if steps else 1))
        found.append(scanner.advance(text[:at]))
    return found


@settings(max_examples=250, deadline=None)
@given(DOCUMENTS, st.lists(st.integers(1, 60), max_size=6))
def test_both_halves_look_like_the_whole(text: str, steps: list[int]) -> None:
    """At every cut of every growing text, head and tail drawn apart look like the text drawn at once."""
    wholes = {name: render(escape_html(text)) for name, render in RENDERERS.items()}
    for cut in set(_cuts(text, steps)):
        head, tail = escape_html(text[:cut]), escape_html(text[cut:])
        for name, render in RENDERERS.items():
            assert (render(head) + render(tail)).replace("\n", "") == wholes[name].replace("\n", "")


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, st.lists(st.integers(1, 60), max_size=6))
def test_a_cut_never_goes_back(text: str, steps: list[int]) -> None:
    """What is finished stays finished, and a text read in steps is cut as one read at once."""
    cuts = _cuts(text, steps)
    assert cuts == sorted(cuts)
    assert cuts[-1] == BlockScanner().advance(text)


@pytest.mark.parametrize(
    "block",
    [
        "```python\nx = 1\n\ny = 2\n",
        "- one\n\n  still one\n\n",
        "- one\nlazy\n\n  still one\n\n",
        "1. one\n\n2. two\n\n",
        "> one\n>\n> still\n\n>",
        "| a |\n|---|\n| b |\n",
        "$$\na\n\nb\n",
        "\\[\na\n\nb\n",
        "    code\n\n    more\n\n",
        "word\nmore words\n",
    ],
)
def test_nothing_is_cut_in_the_middle(block: str) -> None:
    """While a fence, list, quote, table, math, indented code or paragraph may go on it is not cut."""
    text = f"Before.\n\n{block}"
    assert max(_cuts(text, [1])) == len("Before.\n\n")


def test_a_text_is_cut_where_it_can_be() -> None:
    """The unfinished part of a long answer stays small: no more than a few blocks."""
    text = long_markdown(30_000)
    scanner = BlockScanner()
    open_parts = [at - scanner.advance(text[:at]) for at in range(50, len(text), 50)]
    assert max(open_parts) < 1500


@pytest.mark.parametrize("stray", ["It costs $$.", "$$\nnever closed", "\\begin{x} is LaTeX"])
def test_a_stray_mark_of_math_does_not_hold_up_the_rest(stray: str) -> None:
    """Math that never ends is given up after some empty lines."""
    text = f"{stray}\n\none\n\ntwo\n\nthree\n\nfour\n\nfive"
    assert BlockScanner().advance(text) == text.index("five")


def test_the_open_fence_is_known() -> None:
    """Inside a fence its line, mark and place are known, so that it can be closed; outside, none is."""
    scanner = BlockScanner()
    text = "- a\n  ````python\n  ```\n"
    scanner.advance(text)
    assert scanner.fence is not None
    assert (scanner.fence.line, scanner.fence.mark, scanner.fence.column) == (
        "  ````python",
        "````",
        2,
    )
    scanner.advance(f"{text}  ````\n")
    assert scanner.fence is None


@pytest.mark.parametrize(
    ("lines", "kinds"),
    [
        (["```", "x", "", "```", "y"], ["open", "code", "code", "close", "text"]),
        (["```", "~~~", "````", "y"], ["open", "code", "close", "text"]),
        (["- ```", "  x", "y"], ["open", "code", "text"]),
        (["> ```", "> x", "y"], ["open", "code", "text"]),
        (["para", "    ```", "x"], ["text", "text", "text"]),
        (["", "    x", "", "    y", "z"], ["blank", "code", "blank", "code", "text"]),
        (["```a`b", "x"], ["text", "text"]),
        (["- a", "      ```", "      x"], ["text", "text", "text"]),
    ],
)
def test_lines_are_code_only_if_that_is_certain(lines: list[str], kinds: list[str]) -> None:
    """A fence is one for every renderer or it is text; its lines are code as long as it holds them."""
    scanner = BlockScanner()
    assert [scanner.read(line) for line in lines] == kinds
