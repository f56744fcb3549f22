r"""Answers that are nothing but formulas."""

from __future__ import annotations

import time

import pytest

from minimax_magic.render.formulas import formulas, latex
from minimax_magic.render.markup import answer, unfit


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"$$x^2$$", ["x^2"]),
        (r"\[ x = 1 \]", ["x = 1"]),
        (r"\( x \)", ["x"]),
        ("$a$\n\n$b$.", ["a", "b"]),
        ("```latex\n\\frac{a}{b}\n```", [r"\frac{a}{b}"]),
        ("```math\n$$a$$\n```\n```math\n$$b$$\n```", ["a", "b"]),
        (r"x_1 = \text{the first root of it} + \sin \alpha", None),
        (r"\begin{align}a &= b\\ c &= d\end{align}", [r"\begin{align}a &= b\\ c &= d\end{align}"]),
        ("E = mc^2", ["E = mc^2"]),
        ("```latex\nE = mc^2", ["E = mc^2"]),
    ],
)
def test_formulas_are_found(text: str, found: list[str] | None) -> None:
    """Formulas are found with dollars, brackets, fences or none of them around."""
    assert formulas(text) == (found if found is not None else [text])


@pytest.mark.parametrize(
    "text",
    [
        "The answer is $x$.",
        "The answer is x^2.",
        "$x$ and $y$",
        "# Title\n\n$$x$$",
        "plain words",
        "$$x",
        r"$$\frac{a}{b$$",
        r"$$a}{b$$",
        r"\[ \begin{cases} a \]",
        "",
        "42",
    ],
)
def test_anything_else_is_not_just_formulas(text: str) -> None:
    """Prose, broken formulas and nothing at all are no formulas."""
    assert formulas(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "a" * 20_000 + "=",
        "=a" + "\n" * 20_000 + "b",
        "=a" + "\n " * 20_000 + "b",
        "```\n" + "``` x\n" * 4000,
        "\n".join("`" * length for length in range(3, 200)),
    ],
)
def test_no_text_is_slow_to_look_through(text: str) -> None:
    """The work grows with the text and not with its square."""
    start = time.process_time()
    formulas(text)
    assert time.process_time() - start < 0.5


def test_formulas_are_latex_for_the_front_end() -> None:
    """Each formula is displayed by itself; environments that are math already get no dollars."""
    bundle = answer("$a$\n\\begin{align*}b\\end{align*}", "math")
    assert bundle["text/latex"] == "$$a$$\n\n\\begin{align*}b\\end{align*}"
    assert bundle["text/plain"] == bundle["text/latex"]


def test_formulas_cannot_make_links_or_styles() -> None:
    """What would be a link, style or macro for others is disarmed."""
    for macro in (r"\href{javascript:alert(1)}{x}", r"\class{a}{b}", r"\def\x{y}"):
        assert macro not in latex([f"a + {macro}"])


def test_what_is_not_just_formulas_is_safe_markdown() -> None:
    """Other answers are shown as markdown without a complaint, harmless as ever."""
    bundle = answer("So $x$ <b>!", "math")
    assert bundle["text/markdown"] == "So $x$ &lt;b>!"
    assert unfit("So $x$ <b>!", "math") == []
