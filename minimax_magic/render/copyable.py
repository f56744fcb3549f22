"""A text that is there to be copied: as it is, in a block of its own."""

from __future__ import annotations

import html

from minimax_magic.render.bundle import Bundle

# Names that MathJax passes by: there are dollar signs in it.
_CLASSES = "minimax-copyable mathjax_ignore tex2jax_ignore"
_BLOCK = (
    "margin:.3em 0;padding:.6em .9em;font-size:var(--jp-code-font-size,13px);"
    # JupyterLab would break in the middle of words
    "white-space:pre-wrap;overflow-wrap:break-word;word-break:normal;"
    "border-left:3px solid rgba(128,128,128,.5);background:rgba(128,128,128,.1);"
    "-webkit-user-select:{select};user-select:{select}"
)
_HINT = "opacity:.7;font-size:.85em;line-height:1.6;overflow-wrap:anywhere"


def copyable(text: str, hint: str = "", *, whole: bool = True) -> Bundle:
    """The text in both forms.

    Args:
        hint: A line below it, which is not copied.
        whole: One click selects all of it, which is said; else any part of it can be selected.
    """
    told = html.escape(f"A click selects all of it. {hint}".strip() if whole else hint)
    block = _BLOCK.format(select="all" if whole else "text")
    below = f'<div style="{_HINT}">{told}</div>' if told else ""
    shown = html.escape(text.strip("\n"))
    return {
        "text/html": f'<div class="{_CLASSES}"><pre style="{block}">{shown}</pre>{below}</div>',
        "text/plain": f"{text.rstrip()}\n\n{hint}".rstrip(),
    }
