"""What stands below an answer: notices, thinking, calls of tools, what was sent along, the status.

Quiet and folded. Colours come from the theme by way of opacity, which suits light and dark alike. While
an answer streams the same rows are there, without what is folded: nothing jumps at the end.
"""

from __future__ import annotations

import html
import re

from minimax_magic.render.bundle import Bundle, shortened
from minimax_magic.render.calls import one_line
from minimax_magic.render.cards import (
    BOX,
    escape_row,
    folded_rows,
    live_rows,
    plain_rows,
)
from minimax_magic.render.transcript import Transcript

QUIET = "opacity:.7;font-size:.85em;line-height:1.6;margin-top:.3em"
# Names that MathJax passes by: a price and a thought may hold dollar signs.
_CLASSES = "minimax-summary mathjax_ignore tex2jax_ignore"
_QUOTED = "border-left:2px solid rgba(128,128,128,.5);padding-left:.8em;overflow-wrap:anywhere"
_BADGE = "border:1px solid;border-radius:.6em;padding:0 .45em;margin-right:.5em"
_THOUGHTS = "max-height:3.2em;overflow:hidden;display:flex;flex-direction:column-reverse"
# How much of a thought is sent while it goes on; two lines of it are seen.
_THOUGHT_CHARS = 700
# Of what is kept in the notebook.
_MOST_THINKING, _MOST_SENT = 60_000, 20_000
_LIVE_NOTICES = 6


def below(transcript: Transcript, now: float) -> str:
    """The rows while the answer grows: HTML that may stand in markdown."""
    notices = _notices(transcript)
    rows = [f"<div>{_prose(escape_row(text[:400]))}</div>" for text in notices[-_LIVE_NOTICES:]]
    if transcript.phase == "thinking":
        rows.append(_folded("Thinking", ""))
        rows.append(
            f'<div style="{_QUOTED}"><div style="{_THOUGHTS}">'
            f"<div>{escape_row(_last_thoughts(transcript))}</div></div></div>"
        )
    elif len(transcript.thinking):
        rows.append(_folded(_thought(transcript), ""))
    rows += live_rows(transcript.calls, now)
    if label := _sent(transcript):
        rows.append(_folded(escape_row(label), ""))
    rows.append(_status_row(transcript, now))
    return _quiet(rows)


def summary(transcript: Transcript, now: float) -> Bundle:
    """The rows at the end."""
    rows = [f"<div>{_prose(html.escape(text))}</div>" for text in _notices(transcript)]
    thinking = str(transcript.thinking).strip()
    if thinking:
        rows.append(_folded(_thought(transcript), thinking))
    rows += folded_rows(transcript.calls, now)
    if label := _sent(transcript):
        text = transcript.sent
        if len(text) > _MOST_SENT:
            text = shortened(text, _MOST_SENT).removesuffix("]") + "; all of it was sent]"
        rows.append(_folded(html.escape(label), text, style=f"{BOX};max-height:28em"))
    rows.append(_status_row(transcript, now))
    return {"text/html": _quiet(rows), "text/plain": "\n".join(plain_summary(transcript, now))}


def plain_summary(transcript: Transcript, now: float, *, calls: bool = True) -> list[str]:
    """Lines of text for the same.

    Args:
        calls: Whether calls of tools are among them.
    """
    lines = _notices(transcript)
    if str(transcript.thinking).strip():
        lines.append(f"[{_thought(transcript)}]")
    if calls:
        lines += [f"[{line}]" for line in plain_rows(transcript.calls, now)]
    if label := _sent(transcript):
        lines.append(f"[{label}]")
    return [*lines, f"[{transcript.status(now)}]"]


def _quiet(rows: list[str]) -> str:
    return f'<div class="{_CLASSES}" style="{QUIET}">{"".join(rows)}</div>'


def _notices(transcript: Transcript) -> list[str]:
    return [f"Note: {text}" for text in transcript.notices]


def _prose(escaped: str) -> str:
    """What stands in `backticks` as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)


def _thought(transcript: Transcript) -> str:
    if "replayed" in transcript.marks():  # how long it took is not on record
        return "Thought"
    return f"Thought for {transcript.thought_s:.1f} s"


def _last_thoughts(transcript: Transcript) -> str:
    """The end of the thinking. Its first word changes seldom, so that lines do not wrap anew."""
    thinking = str(transcript.thinking)
    start = max(0, len(thinking) - _THOUGHT_CHARS) // _THOUGHT_CHARS * _THOUGHT_CHARS
    return thinking[start:]


def _sent(transcript: Transcript) -> str:
    if not (transcript.sent or transcript.sent_label):
        return ""
    size = f" ({len(transcript.sent):,} characters)" if transcript.sent else ""
    return f"Sent along: {one_line(transcript.sent_label) or 'context'}{size}"


def _folded(label: str, text: str, *, style: str = "") -> str:
    head = f'<summary style="cursor:pointer">{label}</summary>'
    if not text:
        return f"<details>{head}</details>"
    style = style or (
        f"{_QUOTED};white-space:pre-wrap;margin:.3em 0 .6em;max-height:24em;overflow:auto"
    )
    text = html.escape(shortened(text, _MOST_THINKING))
    return f'<details>{head}<div style="{style}">{text}</div></details>'


def _status_row(transcript: Transcript, now: float) -> str:
    badges = "".join(f'<span style="{_BADGE}">{mark}</span>' for mark in transcript.marks())
    return f"<div>{badges}{escape_row(transcript.facts(now))}</div>"
