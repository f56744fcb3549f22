r"""Math that is seen as math, and money that is not."""

from __future__ import annotations

import time

import pytest
from renderers import jupyterlab

from minimax_magic.render.dollars import dollar_math, plain_money

SIGN = "<span class=mathjax_ignore>&#36;</span>"


@pytest.mark.parametrize(
    ("text", "math"),
    [
        (r"so \(x^2\) and \( y \) are", "so $x^2$ and $y$ are"),
        (r"\[ x = 1 \]", "$$ x = 1 $$"),
        ("\\[\nx = \\frac{1}{2}\n\\]", "$$\nx = \\frac{1}{2}\n$$"),
        (r"with \(\alpha_{(1)}\)", r"with $\alpha_{(1)}$"),
    ],
)
def test_latex_brackets_become_dollars(text: str, math: str) -> None:
    """Inline and displayed math in LaTeX's own brackets is written as notebooks render it."""
    assert dollar_math(text) == math


@pytest.mark.parametrize(
    "text",
    [
        r"in `\(code\)` and",
        "```\n\\(x\\)\n```",
        r"a note \[1\] is no math",
        r"notes \[see a\] and \[b c\]",
        r"a double \\(x\\) is JupyterLab's own",
        r"never closed \(x",
        "plain (x) and [y]",
    ],
)
def test_other_brackets_stay(text: str) -> None:
    """Code, escaped brackets and unfinished math are left as they are."""
    assert dollar_math(text) == text


@pytest.mark.parametrize("text", ["\\[" + "=" * 20_000, "\\[" + "x_1 + " * 4000, "\\[a=b " * 4000])
def test_brackets_that_never_close_are_not_slow(text: str) -> None:
    """The work grows with the text and not with its square."""
    start = time.process_time()
    assert dollar_math(text) == text
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("from $5 to $6.", f"from {SIGN}5 to {SIGN}6."),
        ("$1,000 and $x^2$ and $y$", f"{SIGN}1,000 and $x^2$ and $y$"),
        ("| $5 | $6 |", f"| {SIGN}5 | {SIGN}6 |"),
        ("**$5** or **$6**", f"**{SIGN}5** or **{SIGN}6**"),
    ],
)
def test_money_is_no_math(text: str, plain: str) -> None:
    """Two prices in a paragraph are no formula, in JupyterLab neither."""
    assert plain_money(text) == plain
    assert "mathjax_ignore>$</span>" in jupyterlab(plain_money(text))


@pytest.mark.parametrize(
    "text",
    [
        "only $5",
        "$x$ and $y$, $2x$ and $$3$$",
        "`$5 and $6`",
        "```sh\necho $1 $2\n```",
        r"already \$5 and \$6",
        "US$5 and US$6",
    ],
)
def test_math_and_code_keep_their_dollars(text: str) -> None:
    """Formulas, code and what is escaped already are not touched."""
    assert plain_money(text) == text
