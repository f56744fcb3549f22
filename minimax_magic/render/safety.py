"""Making a model's markdown harmless before a front end draws it.

Front ends trust the output of a cell that was just run, raw HTML included, and a model can be talked
into writing a `<script>` or an `<img>`. Outside code, a `<` that could open a tag becomes `&lt;`.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"^ *(?:(?:[-*+]|\d{1,9}[.)]|>) +)*(`{3,}|~{3,})")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_AUTOLINK = re.compile(r"<((?:https?|mailto):[^\s<>]*)>")
_CODE_SPAN = re.compile(r"(`+)(?:(?!\1).|(?<=`).)*?(?<!`)\1(?!`)", re.DOTALL)


def escape_html(markdown: str) -> str:
    """The markdown with raw HTML shown instead of obeyed; fences, code spans and `<https://...>`
    stay as they are."""
    if "<" not in markdown:
        return markdown
    out: list[str] = []
    prose: list[str] = []
    mark = ""
    for line in markdown.splitlines(keepends=True):
        fence = _FENCE.match(line)
        if mark:
            out.append(line)
            stripped = line.strip()
            if fence and set(stripped) == {mark[0]} and len(stripped) >= len(mark):
                mark = ""
        elif fence:
            out.append(_escape_prose("".join(prose)))
            prose.clear()
            out.append(line)
            mark = fence[1]
        else:
            prose.append(line)
    out.append(_escape_prose("".join(prose)))
    return "".join(out)


def _escape_prose(text: str) -> str:
    pieces: list[str] = []
    at = 0
    for span in _CODE_SPAN.finditer(text):
        pieces += [_escape_tags(text[at : span.start()]), span[0]]
        at = span.end()
    pieces.append(_escape_tags(text[at:]))
    return "".join(pieces)


def _escape_tags(text: str) -> str:
    kept = _AUTOLINK.sub(lambda link: f"\0{link[1]}\1", text)
    return _TAG.sub("&lt;", kept).replace("\0", "<").replace("\1", ">")
