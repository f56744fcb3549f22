r"""An answer that is nothing but formulas, as LaTeX for a front end.

JupyterLab typesets `text/latex` with MathJax in its safe mode (links, styles and classes are filtered).
Other front ends do not promise that, so what could make a link, style or class is disarmed before, as
in `safety`; HTML has no way in, since the text is never parsed as HTML.
"""

from __future__ import annotations

import re

from minimax_magic.render.safety import escape_math

# One that is not closed goes on to the end: looking for the end of each would take for ever.
_FENCE = re.compile(
    r"^ {0,3}(`{3,}+|~{3,}+)[^\n]*\n(.*?)(?:^ {0,3}\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
# Environments that are math by themselves, and wrong between dollars for LaTeX.
_DISPLAYED = r"(?:equation|align|gather|multline|eqnarray|flalign|alignat)\*?"
_DELIMITED = re.compile(
    r"\s*(?:\$\$(?P<a>[^$]+)\$\$|\\\[(?P<b>.+?)\\\]|\$(?P<c>[^$\n]+)\$|\\\((?P<d>.+?)\\\)"
    rf"|(?P<e>\\begin\{{(?P<name>{_DISPLAYED})\}}.+?\\end\{{(?P=name)\}}))\s*[.,;]?\s*",
    re.DOTALL,
)
_WORDS_IN_MATH = re.compile(
    r"\\(?:text|textrm|textbf|textit|mathrm|mathbf|operatorname|begin|end)\*?\s*\{[^{}]*\}|\\[A-Za-z]+"
)
_PROSE = re.compile(
    r"(?<![^\W\d_])[^\W\d_]{3,}+[,;:]?\s+[^\W\d_]{2,}|^#{1,6}\s|^[ \t]*+[-*]\s|[.:]\s+[A-Z][a-z]",
    re.MULTILINE,
)
_MATH_SIGN = re.compile(r"\\[A-Za-z]|[=^_+<>]")


def formulas(text: str) -> list[str] | None:
    """The formulas of an answer, without what stood around them; None if there is anything else."""
    text = _FENCE.sub(lambda fence: f"\n{fence[2]}\n", text).strip()
    found: list[str] = []
    at = 0
    while at < len(text) and (match := _DELIMITED.match(text, at)):
        formula = match["a"] or match["b"] or match["c"] or match["d"] or match["e"]
        found.append(formula.strip())
        at = match.end()
    if at < len(text):
        found = [] if found else [text]
        if not found or "$" in text or _is_prose(text):
            return None
    return found if found and all(map(_is_whole, found)) else None


def latex(found: list[str]) -> str:
    """Formulas as LaTeX, each displayed by itself."""
    return "\n\n".join(
        formula if re.match(rf"\\begin\{{{_DISPLAYED}\}}", formula) else f"$${formula}$$"
        for formula in map(escape_math, found)
    )


def _is_prose(text: str) -> bool:
    bare = _WORDS_IN_MATH.sub(" ", text)
    return bool(_PROSE.search(bare) or "\n\n" in text or not _MATH_SIGN.search(text))


def _is_whole(formula: str) -> bool:
    """Whether its braces pair up: one that is cut off would swallow what stands below it."""
    depth = 0
    for sign in re.sub(r"\\.", "", formula, flags=re.DOTALL):
        depth += (sign == "{") - (sign == "}")
        if depth < 0:
            return False
    return not depth and bool(formula) and formula.count("\\begin{") == formula.count("\\end{")
