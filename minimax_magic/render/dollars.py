r"""Dollar signs in a model's markdown: math that a front end would miss, money that it takes for math.

Models write `\(x\)` and `\[x\]`, which no notebook renders, and "from $5 to $6", which JupyterLab
renders as math, backslash or not. Code is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from minimax_magic.render.blocks import BlockScanner

_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)")
_INLINE = re.compile(r"(?<!\\)\\\(((?:[^$`\\]|\\[^()\[\]])+?)\\\)")
_DISPLAYED = re.compile(r"(?<!\\)\\\[((?:[^$`\\]|\\[^()\[\]])*+)\\\]")
# Without one of these it is a note in brackets.
_MATH_SIGN = re.compile(r"[=^_{\\]")
# As in pandoc: no space inside of the dollars, no digit behind.
MATH = re.compile(r"\$\$[^$]*\$\$|\$(?=[^\s$])[^$]*?(?<=\S)\$(?!\d)")
_MONEY = re.compile(r"(?<![\\\w$])\$(?=\d)")
# MathJax passes by what has this class, and an entity is no dollar sign to JupyterLab's search.
_SIGN = "<span class=mathjax_ignore>&#36;</span>"


def dollar_math(markdown: str) -> str:
    r"""The markdown with `\(x\)` as `$x$` and `\[x\]` as `$$x$$`."""
    if "\\(" not in markdown and "\\[" not in markdown:
        return markdown
    return _in_prose(markdown, _math_in)


def plain_money(markdown: str) -> str:
    """The markdown with prices that JupyterLab would render as math made into plain text."""
    if markdown.count("$") < 2 or not _MONEY.search(markdown):
        return markdown
    return _in_prose(markdown, _money_in)


def _math_in(text: str) -> str:
    text = _INLINE.sub(lambda math: f"${math[1].strip()}$", text)
    return _DISPLAYED.sub(
        lambda math: f"$${math[1]}$$" if _MATH_SIGN.search(math[1]) else math[0], text
    )


def _money_in(text: str) -> str:
    pieces: list[str] = []
    at = 0
    for math in MATH.finditer(text):
        pieces += [_MONEY.sub(_SIGN, text[at : math.start()]), math[0]]
        at = math.end()
    return "".join([*pieces, _MONEY.sub(_SIGN, text[at:])])


def _in_prose(markdown: str, change: Callable[[str], str]) -> str:
    """Changes each paragraph, where it is not code."""
    out: list[str] = []
    paragraph: list[str] = []
    scanner = BlockScanner()
    for line in markdown.split("\n"):
        if scanner.read(line) == "text":
            paragraph.append(line)
            continue
        if paragraph:
            out.append(_outside_code("\n".join(paragraph), change))
            paragraph.clear()
        out.append(line)
    if paragraph:
        out.append(_outside_code("\n".join(paragraph), change))
    return "\n".join(out)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    pieces: list[str] = []
    at = 0
    for span in _CODE_SPAN.finditer(text):
        pieces += [change(text[at : span.start()]), span[0]]
        at = span.end()
    return "".join([*pieces, change(text[at:])])
