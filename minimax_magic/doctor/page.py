"""Findings as a notebook shows them: a row for each, causes and steps below what failed.

No scripts, and text in the colours of the theme; all words that are not ours are escaped. A front end
that does not draw HTML gets the text of the terminal.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Final

from minimax_magic.doctor import report
from minimax_magic.doctor.findings import Finding, State, verdict
from minimax_magic.doctor.remedies import Trouble
from minimax_magic.render.bundle import Bundle

# Names that MathJax passes by: a balance has a dollar sign.
_CLASSES: Final = "minimax-doctor mathjax_ignore tex2jax_ignore"
# Of dots and bars, which show on black and on white. Not the theme's: `var()` is taken away in a
# notebook that is not trusted.
_COLOURS: Final[dict[State, str]] = {
    "ok": "#388e3c",
    "note": "#0097a7",
    "warning": "#f57c00",
    "failed": "#d32f2f",
    "skipped": "rgba(128,128,128,.6)",
}
_MONO: Final = "font-family:var(--jp-code-font-family,monospace)"
_PAGE: Final = "max-width:60em;line-height:1.45"
_ROW: Final = "display:grid;grid-template-columns:5.5em minmax(0,1fr);gap:0 .75em;padding:.15em 0"
_MARK: Final = "white-space:nowrap"
_DOT: Final = "display:inline-block;width:.65em;height:.65em;border-radius:50%;margin-right:.5em"
# What was said goes below the title where both do not fit beside each other.
_WORDS_OF: Final = "display:flex;flex-wrap:wrap;gap:0 .75em;min-width:0"
_TITLE: Final = "flex:0 0 10.5em;font-weight:600"
_SAID: Final = "flex:1 1 18em;min-width:0;overflow-wrap:anywhere"
_BELOW: Final = "margin:.1em 0 .7em .25em;padding:.1em 0 .1em 1em;border-left:3px solid"
_HEADING: Final = "font-weight:600;margin:.35em 0 .1em"
_LIST: Final = "margin:0;padding-left:1.6em"
_ANSWER: Final = (
    f"{_MONO};white-space:pre-wrap;overflow-wrap:anywhere;max-height:14em;overflow:auto;"
    "background:rgba(128,128,128,.12);border-radius:.3em;padding:.3em .6em;margin:.2em 0 .4em"
)
_FACTS: Final = "display:grid;grid-template-columns:fit-content(14em) 1fr;gap:.05em 1em;margin:0"
_END: Final = "font-weight:600;margin-top:.6em;padding:.35em .8em;border-left:3px solid"
# The theme's colour for links is not the browser's, which is hard to see on black.
_LINK: Final = (
    'style="color:inherit;text-decoration:underline" target="_blank" rel="noopener noreferrer"'
)
# A command of so many signs stays on one line, where that is wide enough.
_SHORT_CODE: Final = 44
_CODE: Final = re.compile(r"`([^`]+)`")
# The platform's pages are where one has to go, and are ours; other addresses are only named.
_CONSOLE: Final = re.compile(r"https://platform\.minimax(?:\.io|i\.com|\.cn)(?![\w.\-/@:])")


def page(findings: Sequence[Finding], running: str = "") -> Bundle:
    """What a notebook shows of the findings so far.

    Args:
        running: What is being asked just now; empty: this is the end, and the verdict is shown.
    """
    plain = [f"{report.line(finding)}\n{report.under(finding)}".rstrip() for finding in findings]
    plain.append(f"...   {report.one_line(running)}" if running else report.closing(findings))
    rows = [_row(finding) for finding in findings]
    rows.append(_running(running) if running else _end(findings))
    return {
        "text/html": f'<div class="{_CLASSES}" style="{_PAGE}">{"".join(rows)}</div>',
        "text/plain": "\n".join(plain),
    }


def _row(finding: Finding) -> str:
    quiet = ";opacity:.7" if finding.state == "skipped" else ""
    mark = f'<span style="{_DOT};background:{_COLOURS[finding.state]}"></span>'
    below = _below(finding)
    return (
        f'<div style="{_ROW}{quiet}"><div style="{_MARK}">{mark}{finding.state}</div>'
        f'<div style="{_WORDS_OF}"><span style="{_TITLE}">{_escaped(finding.title)}</span>'
        f'<div style="{_SAID}">{html.escape(report.said(finding))}{_details(finding)}</div></div></div>'
        + (f'<div style="{_BELOW} {_COLOURS[finding.state]}">{below}</div>' if below else "")
    )


def _details(finding: Finding) -> str:
    """What a check found that went well, for who wants to know."""
    facts = report.facts_of(finding)
    if finding.trouble is not None or report.answered(finding) or not facts:
        return ""
    return (
        '<details><summary style="cursor:pointer;opacity:.75">Details</summary>'
        f"{_facts(facts)}</details>"
    )


def _below(finding: Finding) -> str:
    if report.answered(finding):
        return _completion(finding)
    if finding.trouble is None:
        return ""
    facts = report.facts_of(finding)
    return (_facts(facts) if facts else "") + _trouble(finding.trouble)


def _completion(finding: Finding) -> str:
    tokens, rest = report.tokens_of(finding), report.other_facts(finding)
    return (
        f'<div style="{_HEADING}">{report.SUCCESS}</div>'
        f"<div>Response from {html.escape(report.model_of(finding))}:</div>"
        f'<div style="{_ANSWER}">{html.escape(report.answer_of(finding))}</div>'
        + (f'<div style="{_HEADING}">Token Usage</div>' if tokens else "")
        + (_facts([*tokens, *rest]) if tokens or rest else "")
    )


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    cells = "".join(
        f'<span style="opacity:.75">{html.escape(label)}</span>'
        f'<span style="overflow-wrap:anywhere">{html.escape(value)}</span>'
        for label, value in facts
    )
    return f'<div style="{_FACTS}">{cells}</div>'


def _trouble(trouble: Trouble) -> str:
    return "".join(
        f'<div style="{_HEADING}">{heading}</div><ol style="{_LIST}">'
        + "".join(f"<li>{_marked(item)}</li>" for item in items)
        + "</ol>"
        for heading, items in ((report.CAUSES, trouble.causes), (report.STEPS, trouble.steps))
        if items
    )


def _running(title: str) -> str:
    return (
        f'<div style="{_ROW};opacity:.7" role="status"><div style="{_MARK}">…</div>'
        f'<span style="{_TITLE}">{_escaped(title)}</span></div>'
    )


def _end(findings: Sequence[Finding]) -> str:
    end = verdict(findings)
    state: State = {0: "ok", 3: "warning"}.get(end.exit_code, "failed")  # type: ignore[assignment]
    ready = f"<div>{report.READY}</div>" if report.is_ready(findings) else ""
    said = _escaped(end.said)
    return f'<div style="{_END} {_COLOURS[state]}" role="status"><div>{said}</div>{ready}</div>'


def _escaped(words: str) -> str:
    return html.escape(report.one_line(words))


def _marked(words: str) -> str:
    """A cause or step: its code as code, and the platform's page as a link."""
    marked = _CODE.sub(_code, _escaped(words))
    return _CONSOLE.sub(rf'<a href="\g<0>" {_LINK}>\g<0></a>', marked)


def _code(code: re.Match[str]) -> str:
    whole = ";display:inline-block;max-width:100%" if len(code[1]) <= _SHORT_CODE else ""
    return f'<code style="{_MONO}{whole}">{code[1]}</code>'
