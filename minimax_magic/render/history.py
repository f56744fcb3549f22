"""The chats there are, and what was said in one of them.

All of it was written by people, models and tools: it is shown as text, escaped, and nothing in it is
drawn or loaded. Code between fences stands apart; that is all that is made of markdown here.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from minimax_magic.chats import ChatSummary, is_prompt, whole_turns
from minimax_magic.messages import (
    ChatRequest,
    ImageBlock,
    Message,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
)
from minimax_magic.render.calls import call_words
from minimax_magic.render.markup import Bundle
from minimax_magic.text import whole
from minimax_magic.usage.estimate import estimate_input

NO_CHATS = "No chats yet: `%%minimax --chat NAME` begins one."
NO_TURNS = "Nothing was said in it yet."
SIMULATED = "simulated"
_HOW = "`%minimax history NAME` shows a chat, `%%minimax --chat NAME` goes on with it."
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

# Of each text so much is shown, and turns, the newest first, until there is this much of all: an output
# is kept in the notebook. A file has the whole.
_MOST_TEXT = 8_000
_MOST_ALL = 200_000
_RESULT_CHARS = 240
_PROMPT_CHARS = 80

# Names that MathJax passes by: there are dollar signs everywhere.
_CLASSES = "minimax-summary mathjax_ignore tex2jax_ignore"
_BADGE = "border:1px solid;border-radius:.6em;padding:0 .45em;font-size:.85em;opacity:.8"
_TABLE = (
    "border-collapse:collapse;table-layout:auto;margin:.3em 0;font-variant-numeric:tabular-nums"
)
_RULE = "border-bottom:1px solid rgba(128,128,128,.4)"
_NAME = "padding:.2em 0;text-align:left;vertical-align:top;font-weight:normal;white-space:nowrap"
_CELL = "padding:.2em 0 .2em 1.3em;text-align:right;vertical-align:top;white-space:nowrap"
_WORDS = (
    "padding:.2em 0 .2em 1.3em;text-align:left;vertical-align:top;min-width:14em;"
    "white-space:normal;overflow-wrap:anywhere"
)
_QUIET = "overflow-wrap:anywhere;white-space:pre-wrap;opacity:.7"
_SMALL = "opacity:.7;font-size:.85em"
_TEXT = "white-space:pre-wrap;overflow-wrap:anywhere;max-height:30em;overflow:auto"
_CODE = (
    "white-space:pre;overflow:auto;max-height:30em;margin:.3em 0;padding:.4em .7em;"
    "background:rgba(128,128,128,.12);border-radius:.3em;font-size:.9em;line-height:1.45"
)
_BAR = "border-left:2px solid rgba(128,128,128,.5);padding-left:.8em;margin:.3em 0"
_PROMPT = "border-left:3px solid;padding-left:.8em;margin:.3em 0"
_CALL = "overflow-wrap:anywhere;font-size:.9em;margin:.15em 0"
_FOLD = "cursor:pointer;overflow-wrap:anywhere"

_FENCE = re.compile(r"^(`{3,}|~{3,})[^\n`]*\n(.*?)(?:^\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
# What a terminal would obey: control characters and those that turn the direction of a line.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


# --------------------------------------------------------------------------------- all chats


def chats_bundle(rows: Sequence[ChatSummary], *, at: datetime, simulated: bool = False) -> Bundle:
    """A table of the chats, or how to begin one.

    Args:
        rows: In the order to show them.
        at: Now (aware).
        simulated: Whether they are a simulator's.
    """
    title = f"Chats ({SIMULATED})" if simulated else "Chats"
    if not rows:
        return {
            "text/html": f'<div class="{_CLASSES}">{_prose(NO_CHATS)}</div>',
            "text/plain": NO_CHATS.replace("`", ""),
        }
    table = [_heading(rows), *(_row(row, at, rows) for row in rows)]
    notes = [_about(rows), _HOW, f"This is the list of {at.astimezone():%Y-%m-%d %H:%M}."]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(table[0]) - 1)]
    lines = [title]
    for name, *figures, words in table:
        aligned = [f"{cell:>{width}}" for cell, width in zip(figures, widths[1:], strict=True)]
        lines.append("  ".join([f"{name:<{widths[0]}}", *aligned, words]).rstrip())
    lines += [note.replace("`", "") for note in notes]
    return {"text/html": _chats_html(table, notes, simulated), "text/plain": "\n".join(lines)}


def _heading(rows: Sequence[ChatSummary]) -> list[str]:
    share = ["of context"] if _share_known(rows) else []
    return ["chat", "turns", "tokens", *share, "last used", "last prompt"]


def _row(row: ChatSummary, at: datetime, rows: Sequence[ChatSummary]) -> list[str]:
    share = [_share(row)] if _share_known(rows) else []
    return [
        _line(row.name, 40),
        f"{row.turns:,}",
        f"~{row.tokens:,}" if row.tokens else "0",
        *share,
        ago_words(at.timestamp() - row.used_at, at),
        _line(row.last_prompt, _PROMPT_CHARS),
    ]


def _share_known(rows: Sequence[ChatSummary]) -> bool:
    return any(row.context_tokens for row in rows)


def _share(row: ChatSummary) -> str:
    if not row.context_tokens:
        return "?"
    percent = 100 * row.tokens / row.context_tokens
    if not percent:
        return "0 %"
    return "<1 %" if percent < 1 else f"~{percent:,.0f} %"


def _about(rows: Sequence[ChatSummary]) -> str:
    """What the figures mean."""
    known = next((row for row in rows if row.context_tokens), None)
    if known is None:
        return "Tokens are estimated."
    return (
        f"Tokens are estimated; the context is that of {_line(known.model, 60)}, "
        f"{known.context_tokens:,} tokens with the answer."
    )


def ago_words(seconds: float, at: datetime) -> str:
    """`just now`, `2 min ago`, `3 h ago`, `4 days ago`, and from a week on the day: `14 Nov`.

    Args:
        seconds: How long ago; less than 0 if a clock was put back.
        at: Now (aware).
    """
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 86400:
        return f"{seconds // 3600:.0f} h ago"
    if seconds < 7 * 86400:
        days = int(seconds // 86400)
        return f"{days} day{'' if days == 1 else 's'} ago"
    then = datetime.fromtimestamp(at.timestamp() - seconds).astimezone()
    year = "" if then.year == at.astimezone().year else f" {then.year}"
    return f"{then.day} {_MONTHS[then.month - 1]}{year}"


def _chats_html(table: list[list[str]], notes: list[str], simulated: bool) -> str:
    last = len(table[0]) - 1
    heading = "".join(
        f'<th scope="col" style="{_style(column, last)};{_RULE};opacity:.7;font-weight:normal">'
        f"{name}</th>"
        for column, name in enumerate(table[0])
    )
    body = ""
    for cells in table[1:]:
        name, *others = map(html.escape, cells)
        body += f'<tr><th scope="row" style="{_NAME}"><bdi><b>{name}</b></bdi></th>'
        for column, cell in enumerate(others, 1):
            body += f'<td style="{_style(column, last)}"><bdi>{cell}</bdi></td>'
        body += "</tr>"
    quiet = "".join(f'<div style="{_QUIET}">{_prose(note)}</div>' for note in notes)
    return (
        f'<div class="{_CLASSES}" style="line-height:1.6"><div><b>Chats</b>{_badge(simulated)}</div>'
        f'<div style="overflow-x:auto"><table style="{_TABLE}"><thead><tr>{heading}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{quiet}</div>"
    )


def _style(column: int, last: int) -> str:
    return _NAME if column == 0 else _WORDS if column == last else _CELL


# --------------------------------------------------------------------------------- one chat


@dataclass(slots=True)
class _Call:
    """A call in one line, and what came of it."""

    words: str
    result: str = "no result"
    failed: bool = False


@dataclass(frozen=True, slots=True)
class _Said:
    """A text of some length, and what it is: `you`, `answer`, `thinking` or `system`."""

    kind: str
    text: str


@dataclass(slots=True)
class _Shown:
    """A turn as it is shown, its parts in the order they came."""

    number: int
    parts: list[_Said | _Call] = field(default_factory=list)

    @property
    def title(self) -> str:
        said = next((p.text for p in self.parts if isinstance(p, _Said) and p.kind == "you"), "")
        return _line(said, _PROMPT_CHARS) or "(begins without a prompt)"


def history_bundle(name: str, messages: Sequence[Message], *, simulated: bool = False) -> Bundle:
    """What was said in a chat: all turns folded but the last.

    Args:
        simulated: Whether a simulator gave the answers.
    """
    turns = [_turn(number, turn) for number, turn in enumerate(whole_turns(messages), 1)]
    system = [
        _Said("system", _clean(m.text)) for m in messages if m.role == "system" and m.text.strip()
    ]
    tokens = estimate_input(ChatRequest.model_construct(messages=tuple(messages)))
    facts = f"{len(turns):,} turn{'' if len(turns) == 1 else 's'}"
    if tokens:
        facts += f", about {tokens:,} token{'' if tokens == 1 else 's'}"
    shown = _newest(turns)
    left_out = ""
    if len(shown) < len(turns):
        count = len(turns) - len(shown)
        left_out = (
            f"[{count:,} earlier turn{' is' if count == 1 else 's are'} not shown; "
            f"%minimax save keeps the whole chat]"
        )
    if not turns:
        left_out = NO_TURNS
    title = _line(name, 60)
    return {
        "text/html": _history_html(title, facts, simulated, system, left_out, shown),
        "text/plain": _history_plain(title, facts, simulated, system, left_out, shown),
    }


def _turn(number: int, messages: Sequence[Message]) -> _Shown:
    shown = _Shown(number)
    calls: dict[str, _Call] = {}
    for message in messages:
        kind = "you" if is_prompt(message) else "answer"
        for block in message.content:
            match block:
                case TextBlock(text=text):
                    _say(shown.parts, kind, text)
                case ThinkingBlock(text=text):
                    _say(shown.parts, "thinking", text)
                case ImageBlock():
                    _say(shown.parts, kind, image_words(block))
                case ToolCall():
                    calls[block.id] = _Call(call_words(block))
                    shown.parts.append(calls[block.id])
                case ToolResult(tool_call_id=call_id):
                    if call_id not in calls:
                        calls[call_id] = _Call("result without a call")
                        shown.parts.append(calls[call_id])
                    call = calls[call_id]
                    call.result = _line(block.content, _RESULT_CHARS) or "(nothing)"
                    call.failed = block.is_error
    return shown


def _say(parts: list[_Said | _Call], kind: str, text: str) -> None:
    """Texts of one kind that follow each other are one, apart by an empty line."""
    text = _clean(text).strip("\n").rstrip()
    if not text.strip():
        return
    if parts and isinstance(last := parts[-1], _Said) and last.kind == kind:
        parts[-1] = _Said(kind, f"{last.text}\n\n{text}")
    else:
        parts.append(_Said(kind, text))


def image_words(image: ImageBlock) -> str:
    """`[image/png, 12 KB]`; of one at an address `[image at https://...]`, of 100 characters."""
    data, media_type = image.data, image.media_type or "image"
    if image.url is not None:
        if not image.url.lower().startswith("data:"):
            return f"[image at {_line(image.url, 100)}]"
        head, _, data = image.url.partition(",")
        media_type = head[5:].split(";")[0] or "image"
    size = len((data or "").rstrip("=")) * 3 // 4
    if size < 1024:
        words = f"{size:,} bytes"
    elif size < 1024**2:
        words = f"{size / 1024:,.0f} KB"
    else:
        words = f"{size / 1024**2:,.1f} MB"
    return f"[{_line(media_type, 40)}, {words}]"


def _newest(turns: list[_Shown]) -> list[_Shown]:
    """The newest turns, at least one, that together are not too long to be kept in a notebook."""
    room = _MOST_ALL
    first = len(turns)
    while first > 0:
        parts = turns[first - 1].parts
        room -= sum(
            min(len(part.text), _MOST_TEXT) if isinstance(part, _Said) else 400 for part in parts
        )
        if room < 0 and first < len(turns):
            break
        first -= 1
    return turns[first:]


def _cut(text: str) -> tuple[str, str]:
    """As much of a text as is shown, and a note on the rest."""
    if len(text) <= _MOST_TEXT:
        return text, ""
    return text[:_MOST_TEXT], f"[... {len(text) - _MOST_TEXT:,} more characters]"


# ------------------------------------------------------------------------------ one chat, as HTML


def _history_html(
    name: str,
    facts: str,
    simulated: bool,
    system: list[_Said],
    note: str,
    turns: list[_Shown],
) -> str:
    rows = [
        f"<div><b>Chat <bdi>{html.escape(name)}</bdi></b>{_badge(simulated)} "
        f'<span style="{_SMALL}">{facts}</span></div>'
    ]
    rows += [_folded("System", said.text) for said in system]
    if note:
        rows.append(f'<div style="{_QUIET}">{html.escape(note)}</div>')
    for turn in turns:
        is_open = " open" if turn is turns[-1] else ""
        # a prompt of one short line is all told by the title
        told = _Said("you", turn.title)
        parts = "".join(_part_html(part) for part in turn.parts if part != told)
        rows.append(
            f'<details{is_open} style="margin:.3em 0"><summary style="{_FOLD}">'
            f'<span style="opacity:.7">{turn.number:,}.</span> <bdi>{html.escape(turn.title)}</bdi>'
            f'</summary><div style="margin:.2em 0 .8em 1.1em">{parts}</div></details>'
        )
    return f'<div class="{_CLASSES}" style="line-height:1.6">{"".join(rows)}</div>'


def _part_html(part: _Said | _Call) -> str:
    if isinstance(part, _Call):
        return (
            f'<div style="{_CALL}"><code>{html.escape(part.words)}</code> '
            f'<span style="opacity:.7">{"failed:" if part.failed else "→"}</span> '
            f"<bdi>{html.escape(part.result)}</bdi></div>"
        )
    if part.kind == "thinking":
        return _folded("Thinking", part.text)
    frame = _PROMPT if part.kind == "you" else "margin:.3em 0"
    return f'<div style="{frame}">{_text_html(part.text)}</div>'


def _folded(label: str, text: str) -> str:
    return (
        f'<details style="{_SMALL}"><summary style="{_FOLD}">{label}</summary>'
        f'<div style="{_BAR}">{_text_html(text)}</div></details>'
    )


def _text_html(text: str) -> str:
    """Escaped; what is between fences is code."""
    shown, note = _cut(text)
    pieces: list[str] = []
    at = 0
    for fenced in _FENCE.finditer(shown):
        pieces.append(_prose_html(shown[at : fenced.start()]))
        code = html.escape(fenced[2].rstrip("\n"))
        pieces.append(f'<pre style="{_CODE}"><code style="background:none">{code}</code></pre>')
        at = fenced.end()
    pieces.append(_prose_html(shown[at:]))
    if note:
        pieces.append(f'<div style="{_SMALL}">{note}</div>')
    return "".join(pieces)


def _prose_html(text: str) -> str:
    text = text.strip("\n")
    return f'<div dir="auto" style="{_TEXT}">{html.escape(text)}</div>' if text.strip() else ""


def _badge(simulated: bool) -> str:
    return f' <span style="{_BADGE}">{SIMULATED}</span>' if simulated else ""


def _prose(text: str) -> str:
    """Escaped; what stands in `backticks` is a command."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


# ------------------------------------------------------------------------------ one chat, as text

_LABELS = {"you": "You:", "answer": "Answer:", "thinking": "Thinking:", "system": "System:"}


def _history_plain(
    name: str,
    facts: str,
    simulated: bool,
    system: list[_Said],
    note: str,
    turns: list[_Shown],
) -> str:
    title = f"Chat {name}: {facts}" + (f" ({SIMULATED})" if simulated else "")
    blocks = [title, *(_part_plain(said) for said in system)]
    if note:
        blocks.append(note)
    for turn in turns:
        blocks.append(f"-- {turn.number:,} --")
        blocks += [_part_plain(part) for part in turn.parts]
    return "\n\n".join(blocks)


def _part_plain(part: _Said | _Call) -> str:
    if isinstance(part, _Call):
        return f"Call: {part.words} {'failed:' if part.failed else '->'} {part.result}"
    if part.kind == "thinking":
        return f"[thinking, {len(part.text):,} characters]"
    shown, note = _cut(part.text)
    return "\n".join(filter(None, (_LABELS[part.kind], shown, note)))


def _clean(text: str) -> str:
    """Without what a terminal would obey; half a character would stop the kernel's output."""
    return _CONTROL.sub("", whole(text.replace("\r\n", "\n").replace("\r", "\n")))


def _line(text: str, most: int) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(_clean(text[: 8 * most + 200]).split())
    short = len(line) <= most and len(text) <= 8 * most + 200
    return line if short else f"{line[: most - 1].rstrip()}…"
