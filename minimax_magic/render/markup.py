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
from minimax_magic.render.safety import escape_html
from minimax_magic.render.transcript import Transcript

Bundle = dict[str, Any]
Format = Literal["markdown", "text", "code", "json"]

# Together with its markdown a plain form of this size still fits into one message of at most
# 140 KB; beyond, the markdown alone is the whole text and the plain form says so.
_WHOLE_BUNDLE_BYTES = 136_000
_DIM = "opacity:.65;font-size:.85em"
_FENCE = re.compile(r"^(`{3,}|~{3,})[^\n]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)

INSTRUCTIONS: dict[Format, str] = {
    "markdown": "",
    "text": "",
    "code": "Answer with one fenced code block and nothing else.",
    "json": "Answer with one JSON value and nothing else: no prose, no code fence.",
}


# ------------------------------------------------------------------------------ while it streams


def live(text: str, status: str) -> Bundle:
    """Unfinished text with the status below it."""
    return {"text/markdown": f"{text}\n\n{_dim(status)}" if text else _dim(status)}


def live_thinking(thinking: str, status: str) -> Bundle:
    """The folded form of thinking while it goes on: its last lines, dimmed."""
    last = " ".join(thinking[-400:].split())
    shown = last if len(last) <= 240 else f"…{last[-240:]}"
    return {
        "text/html": (
            f'<div style="{_DIM}"><div>{html.escape(status)}</div>'
            f'<div style="border-left:2px solid;padding-left:.6em;margin-top:.3em;font-style:italic">'
            f"{html.escape(shown)}</div></div>"
        )
    }


def visible(text: str, *, fence: Fence | None, room: int) -> str:
    """An unfinished stretch of markdown, fit to be drawn by itself.

    Args:
        fence: The fence in which the text ends; None if it ends outside.
        room: Most bytes; of longer text the last lines are shown, under a note that says so.
    """
    encoded = text.encode()
    if len(encoded) > room:
        shown = encoded[-room:].decode("utf-8", "ignore")
        line_end = shown.find("\n")
        if 0 <= line_end < len(shown) - 1:
            shown = shown[line_end + 1 :]
        note = _dim(f"⋯ {len(text) - len(shown):,} characters above follow in a moment")
        if fence is not None and fence.line not in shown:
            shown = f"{fence.line.strip()}\n{shown}"
        text = f"{note}\n\n{shown}"
    if fence is not None:
        text = f"{text.rstrip()}\n{' ' * fence.column}{fence.mark}"
    return text


def head(text: str) -> Bundle:
    """The finished part of the answer."""
    return {"text/markdown": text}


def safe(text: str) -> str:
    return escape_html(text)


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
            return {"text/markdown": escape_html(text), "text/plain": _plain(text)}


def _plain(text: str) -> str:
    room = _WHOLE_BUNDLE_BYTES - len(text.encode())
    if len(text.encode()) <= room:
        return text
    kept = text.encode()[: max(0, min(room, 20_000))].decode("utf-8", "ignore")
    return f"{kept}\n\n[... {len(text) - len(kept):,} more characters in the Markdown form]"


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
    status = transcript.status(now)
    notices = [f"Note: {text}" for text in transcript.notices]
    thinking = str(transcript.thinking).strip()
    plain, rows = list(notices), [f"<div>{html.escape(text)}</div>" for text in notices]
    if thinking:
        label = f"Thinking · {transcript.thought_s:.1f} s · {len(thinking.split()):,} words"
        plain.append(f"[{label}]")
        rows.append(
            f'<details><summary style="cursor:pointer">{label}</summary>'
            '<div style="white-space:pre-wrap;overflow-wrap:anywhere;border-left:2px solid;'
            f'padding-left:.6em;margin:.3em 0">{html.escape(thinking)}</div></details>'
        )
    plain.append(f"[{status}]")
    if transcript.simulated:
        status = status.removeprefix("simulated · ")
        badge = (
            '<span style="border:1px solid;border-radius:3px;padding:0 .35em;margin-right:.4em">'
            "simulated</span>"
        )
    else:
        badge = ""
    rows.append(f"<div>{badge}{html.escape(status)}</div>")
    return {
        "text/html": f'<div class="minimax-summary" style="{_DIM}">{"".join(rows)}</div>',
        "text/plain": "\n".join(plain),
    }


def _dim(text: str) -> str:
    return f'<span style="{_DIM}">{html.escape(text)}</span>'
