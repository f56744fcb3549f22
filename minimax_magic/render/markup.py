"""Mime bundles: the forms in which an answer reaches a front end.

While text streams, markdown only, so that no byte goes twice; at the end every bundle has a
`text/plain` form. Colours come from the theme by way of opacity, which suits light and dark alike.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any, Literal

from minimax_magic.render.blocks import Fence
from minimax_magic.render.dollars import dollar_math, plain_money
from minimax_magic.render.safety import escape_html
from minimax_magic.render.transcript import Transcript

Bundle = dict[str, Any]
Format = Literal["markdown", "text", "code", "json"]

# Together with its markdown a plain form of this size still fits into one message of at most
# 140 KB; beyond, the markdown alone is the whole text and the plain form says so.
_WHOLE_BUNDLE_BYTES = 136_000
_FENCE = re.compile(r"^(`{3,}|~{3,})[^\n]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)

INSTRUCTIONS: dict[Format, str] = {
    "markdown": "",
    "text": "",
    "code": "Answer with one fenced code block and nothing else.",
    "json": "Answer with one JSON value and nothing else: no prose, no code fence.",
}

# Names that MathJax passes by: a price and a thought may hold dollar signs.
_CLASSES = "minimax-summary mathjax_ignore tex2jax_ignore"
_QUIET = "opacity:.7;font-size:.85em;line-height:1.6"
_QUOTED = "border-left:2px solid rgba(128,128,128,.5);padding-left:.8em;overflow-wrap:anywhere"
_BADGE = "border:1px solid;border-radius:.6em;padding:0 .45em;margin-right:.5em"
_THOUGHTS = "max-height:3.2em;overflow:hidden;display:flex;flex-direction:column-reverse"
_WINDOW = "height:16em;overflow:hidden;display:flex;flex-direction:column-reverse"
# How much of a thought is sent while it goes on; two lines of it are seen.
_THOUGHT_CHARS = 700


# ------------------------------------------------------------------------------ while it streams


def live(text: str, below: str, form: Format = "markdown") -> Bundle:
    """Unfinished text, as `visible` returns it, over what `below` returns."""
    if form in ("text", "json") and not below:
        return {"text/plain": text}
    return {"text/markdown": "\n\n".join(filter(None, (text, below)))}


def below(transcript: Transcript, now: float) -> str:
    """What stands below the answer while it grows: as high as it will be at the end."""
    rows = [f"<div>{html.escape(text)}</div>" for text in _notices(transcript)]
    if transcript.phase == "thinking":
        rows.append(_folded("Thinking", ""))
        rows.append(
            f'<div style="{_QUOTED}"><div style="{_THOUGHTS}">'
            f"<div>{html.escape(_last_thoughts(transcript))}</div></div></div>"
        )
    elif len(transcript.thinking):
        rows.append(_folded(_thought(transcript), ""))
    rows.append(_status_row(transcript, now))
    return _quiet(rows)


def _last_thoughts(transcript: Transcript) -> str:
    """The end of the thinking. Its first word changes seldom, so that lines do not wrap anew."""
    thinking = str(transcript.thinking)
    start = max(0, len(thinking) - _THOUGHT_CHARS) // _THOUGHT_CHARS * _THOUGHT_CHARS
    return " ".join(thinking[start:].split())


def visible(
    text: str, *, fence: Fence | None, room: int, finished: int = 0, mark: str = "", number: int = 0
) -> str:
    """An unfinished stretch of markdown, fit and safe to be drawn by itself.

    Two outputs cannot be changed at once, so a tail disappears by itself: as a whole where there is no
    head any more, and its finished blocks when a later head brings them. Browsers that do not know
    `:has` show them twice for a moment.

    Args:
        fence: The fence in which the text ends; None if it ends outside of one.
        room: Most bytes; of longer text the last lines are shown, under a note that says so.
        finished: How much of it is finished blocks, the next to go into the head.
        mark: Name of the answer, as in `head`; empty where there is no head.
        number: Which head it continues.
    """
    close = f"\n{' ' * fence.column}{fence.mark}" if fence is not None else ""
    done = ""
    if len(text.encode()) <= room:
        done, rest = drawable(text[:finished]), drawable(f"{text[finished:].rstrip()}{close}")
    else:
        rest = _last_lines_drawn(text, fence, close, room)
    if not mark:
        return f"{done}{rest}"
    hide = (
        f"<style>body:not(:has(.{mark}h{number})) .{mark}f,"
        f"body:not(:has(.{mark}h)) .{mark}t{{display:none}}</style>"
    )
    kept = f'<div class="{mark}f {mark}t">\n\n{done.rstrip()}\n\n</div>' if done else ""
    return f'{hide}{kept}<div class="{mark}t">\n\n{rest}\n\n</div>'


def _last_lines_drawn(text: str, fence: Fence | None, close: str, room: int) -> str:
    shown, hidden = _last_lines(text, room)
    if fence is not None and text.rfind(fence.line) < len(text) - len(shown):
        # the fence opened above
        shown = f"{fence.mark}{fence.line.split(fence.mark, 1)[1].strip()}\n{shown}"
        close = f"\n{fence.mark}"
    note = f'<div style="{_QUIET}">⋯ {hidden:,} characters above follow soon</div>'
    shown = drawable(f"{shown.rstrip()}{close}")
    return f'{note}\n\n<div style="{_WINDOW}"><div>\n\n{shown}\n\n</div></div>'


def visible_plain(text: str, *, room: int) -> str:
    """The same for text that is not markdown."""
    if len(text.encode()) <= room:
        return text
    shown, hidden = _last_lines(text, room)
    return f"[{hidden:,} characters above follow soon]\n{shown}"


def _last_lines(text: str, room: int) -> tuple[str, int]:
    """As much of the end as there is room for, and how many characters are left out."""
    shown = text.encode()[-room:].decode("utf-8", "ignore")
    line_end = shown.find("\n")
    if 0 <= line_end < len(shown) - 1:
        shown = shown[line_end + 1 :]
    return shown, len(text) - len(shown)


def head(text: str, mark: str, number: int) -> Bundle:
    """The finished part of the answer, marked as the one of that number for the tail to know."""
    return {"text/markdown": f'{drawable(text)}\n\n<div class="{mark}h {mark}h{number}"></div>'}


def drawable(text: str) -> str:
    """A model's markdown, safe and with its dollar signs right."""
    return plain_money(escape_html(dollar_math(text)))


# ---------------------------------------------------------------------------------- at the end


def answer(text: str, form: Format) -> Bundle:
    """The whole answer, as the notebook keeps it."""
    match form:
        case "text":
            return {"text/plain": text}
        case "code":
            code, language = extract_code(text)
            return {"text/markdown": _fenced(code, language), "text/plain": code}
        case "json":
            value = parse_json_answer(text)
            if value is not None:
                return {"application/json": value, "text/plain": _pretty(value)}
            return {"text/plain": text}
        case "markdown":
            return {"text/markdown": drawable(text), "text/plain": _plain(text)}


def _plain(text: str) -> str:
    room = _WHOLE_BUNDLE_BYTES - len(text.encode())
    if len(text.encode()) <= room:
        return text
    kept = text.encode()[: max(0, min(room, 20_000))].decode("utf-8", "ignore")
    return f"{kept}\n\n[... {len(text) - len(kept):,} more characters in the Markdown form]"


def unfit(text: str, form: Format) -> list[str]:
    """A notice if the answer is not of the form that was asked for, and is shown as it is."""
    if form == "json" and text and parse_json_answer(text) is None:
        return ["the answer is not JSON; it is shown as it came"]
    return []


def parse_json_answer(text: str) -> Any | None:
    """The JSON object or array in an answer, fences around it left out; None if there is none."""
    fenced = _FENCE.search(text)
    for candidate in (text, fenced[2] if fenced else ""):
        try:
            value = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(value, dict | list):
            return value
    return None


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def extract_code(text: str) -> tuple[str, str]:
    """The first fenced block and its language; all of the text if nothing is fenced."""
    fenced = _FENCE.search(text)
    if fenced is None:
        return text.strip("\n"), ""
    opening = fenced[0].split("\n", 1)[0]
    return fenced[2].rstrip("\n"), opening.lstrip("`~").strip().split(" ")[0]


def _fenced(code: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    mark = "`" * (longest + 1)
    return f"{mark}{language}\n{code}\n{mark}"


def summary(transcript: Transcript, now: float) -> Bundle:
    """What is below the answer: notices, the folded thinking and the status line."""
    notices = _notices(transcript)
    thinking = str(transcript.thinking).strip()
    plain, rows = list(notices), [f"<div>{html.escape(text)}</div>" for text in notices]
    if thinking:
        plain.append(f"[{_thought(transcript)}]")
        rows.append(_folded(_thought(transcript), thinking))
    plain.append(f"[{transcript.status(now)}]")
    rows.append(_status_row(transcript, now))
    return {"text/html": _quiet(rows), "text/plain": "\n".join(plain)}


def _quiet(rows: list[str]) -> str:
    return f'<div class="{_CLASSES}" style="{_QUIET}">{"".join(rows)}</div>'


def _notices(transcript: Transcript) -> list[str]:
    return [f"Note: {text}" for text in transcript.notices]


def _thought(transcript: Transcript) -> str:
    return f"Thought for {transcript.thought_s:.1f} s"


def _folded(label: str, thinking: str) -> str:
    summary = f'<summary style="cursor:pointer">{label}</summary>'
    if not thinking:
        return f"<details>{summary}</details>"
    return (
        f'<details>{summary}<div style="{_QUOTED};white-space:pre-wrap;margin:.3em 0 .6em;'
        f'max-height:24em;overflow:auto">'
        f"{html.escape(thinking)}</div></details>"
    )


def _status_row(transcript: Transcript, now: float) -> str:
    badges = "".join(f'<span style="{_BADGE}">{mark}</span>' for mark in transcript.marks())
    return f"<div>{badges}{html.escape(transcript.facts(now))}</div>"
