"""How a call of a tool looks: one line, and folded below it what went in and what came out.

Arguments come from a model and results from anywhere: all of it is escaped, and cut to what a person
looks at. What the model was told is whole in the reply.
"""

from __future__ import annotations

import html
import re

from minimax_magic.render.bundle import shortened
from minimax_magic.render.calls import CallState, Card, as_json, call_words, cut, one_line

_RESULT_CHARS = 100
# Cards while an answer streams: they are sent again with every draw.
_LIVE_CARDS = 4
# What may be unfolded: characters of a field, and cards; the first that fits its bytes is taken.
_ROOMS = ((4000, 100), (1000, 100), (300, 60), (300, 20), (100, 20))
_CARDS_BYTES = 48_000

_BADGES: tuple[CallState, ...] = ("failed", "refused", "not run", "stopped")
_SECONDS = re.compile(r"(?<=\d) s$")

_MONO = "font-family:var(--jp-code-font-family,monospace)"
_BADGE = "border:1px solid;border-radius:.6em;padding:0 .45em"
_INSIDE = "margin:.2em 0 .6em 1em"
BOX = (
    f"{_MONO};white-space:pre-wrap;overflow-wrap:anywhere;max-height:14em;overflow:auto;"
    "background:rgba(128,128,128,.12);border-radius:.3em;padding:.3em .6em;margin:.1em 0 .4em"
)


def escape_row(text: str) -> str:
    """A text for one line of HTML that stands in markdown: nothing of it is markdown or math there."""
    return html.escape(one_line(text)).replace("$", "&#36;").replace("\\", "&#92;")


# ---------------------------------------------------------------------------------- the one line


def plain_line(card: Card, now: float) -> str:
    """`city(name="Paris") → 2.1 million · 0.3 s`, or `failed: ...`."""
    badge = f"{card.state}: " if card.state in _BADGES else ""
    return f"{badge}{call_words(card)}{_after(card, now)}"


def outcome_words(card: Card) -> str:
    """The first line of the result, and how long it took; empty if there is neither."""
    parts = [cut(one_line(_first_line(card.result)), _RESULT_CHARS)] if card.result else []
    if card.duration_s is not None:
        parts.append(f"{card.duration_s:.1f} s")
    return " · ".join(part for part in parts if part)


def _after(card: Card, now: float) -> str:
    if card.state == "waiting":
        return " · waiting"
    if card.state == "running":
        return f" · running {max(0.0, now - (card.began_at or now)):.0f} s"
    outcome = outcome_words(card)
    return f" → {outcome}" if outcome else ""


def _first_line(text: str) -> str:
    """What a text says first; a line that only announces the next one has that behind it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        return f"{lines[0]} {lines[1].removeprefix('- ')}"
    return lines[0] if lines else ""


def _line(card: Card, now: float) -> str:
    parts = [f'<span style="{_MONO}">{escape_row(call_words(card))}</span>']
    if card.state in _BADGES:
        parts.append(f'<span style="{_BADGE}">{card.state}</span>')
    if after := escape_row(_after(card, now)):
        parts.append(_SECONDS.sub("&nbsp;s", after))  # a narrow line does not end within "0.3 s"
    return " ".join(parts)


# ------------------------------------------------------------------------------------- the cards


def live_rows(cards: list[Card], now: float) -> list[str]:
    """The newest calls, a line each, for HTML in markdown."""
    rows = []
    if earlier := cards[:-_LIVE_CARDS]:
        rows.append(f"<div>{_earlier(len(earlier))}</div>")
    for card in cards[-_LIVE_CARDS:]:
        rows.append(f"<details><summary>{_line(card, now)}</summary></details>")
    return rows


def folded_rows(cards: list[Card], now: float) -> list[str]:
    """All calls, to be unfolded; of very many the newest."""
    rows: list[str] = []
    for chars, count in _ROOMS:
        rows = [_folded(card, now, chars) for card in cards[-count:]]
        if earlier := len(cards) - len(rows):
            rows.insert(0, f"<div>{_earlier(earlier)}</div>")
        if sum(len(row.encode()) for row in rows) <= _CARDS_BYTES:
            break
    return rows


def plain_rows(cards: list[Card], now: float) -> list[str]:
    """The same as lines of text."""
    most = _ROOMS[0][1]
    rows = [_earlier(len(cards) - most)] if len(cards) > most else []
    return [*rows, *[plain_line(card, now) for card in cards[-most:]]]


def _earlier(count: int) -> str:
    return f"{count:,} earlier call{'' if count == 1 else 's'}"


def _folded(card: Card, now: float, most: int) -> str:
    given = card.arguments if card.given is None else as_json(card.given, indent=2)
    parts = [_box("Arguments", given, most)] if card.given != {} else []
    if card.result:
        parts.append(_box("Error" if card.is_error else "Result", card.result, most))
    inside = "".join(parts) or "<div>Without arguments</div>"
    return (
        f'<details><summary style="cursor:pointer">{_line(card, now)}</summary>'
        f'<div style="{_INSIDE}">{inside}</div></details>'
    )


def _box(label: str, text: str, most: int) -> str:
    return f'<div>{label}</div><div style="{BOX}">{html.escape(shortened(text, most))}</div>'
