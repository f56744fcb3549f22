"""Tables of the dashboard, as HTML and as plain text.

Estimates and unknown prices are marked as in the usage table, by the same code. "Input" is fresh input
everywhere; what came from the cache or was written to it has columns of its own.
The HTML is dressed by `widgets/static/dashboard.css` where that is there, and readable without.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePath
from typing import Final
from urllib.parse import quote

from minimax_magic.pricing import usd_words
from minimax_magic.render.usage_table import (
    cost_words,
    is_rough,
    replayed_words,
    tokens_words,
)
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.rows import Group, GroupBy, Record, Totals

NONE: Final = "(none)"
SIMULATED: Final = "simulated, nothing was charged"
# A year of days goes on the page, and is scrolled; more is for a program.
_MOST_ROWS: Final = 400
_TEXT_WIDTH: Final = 44
# Words of this length, a time or the name of a model, stay on one line.
_WHOLE_CHARS: Final = 24
# Names that MathJax passes by: money has dollar signs.
_CLASSES: Final = "mm-dash-tables mathjax_ignore tex2jax_ignore"

_BUCKETS: Final = {
    "input_tokens": "Input",
    "cache_read_tokens": "Cache read",
    "cache_write_tokens": "Cache write",
    "output_tokens": "Output",
}
_SELDOM: Final = ("cache_read_tokens", "cache_write_tokens")


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of a table; `more` is read when the pointer rests on it."""

    text: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts.

    Attributes:
        words: How many columns, from the left, hold words; the others hold numbers.
        foot: The sums below; None: no such row.
        note: A sentence below; empty: none.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1
    foot: tuple[Cell, ...] | None = None
    note: str = ""


# -------------------------------------------------------------------------- what is in the tables


def groups_table(groups: Sequence[Group], by: GroupBy, totals: Totals) -> Table:
    """The sums of each group, in the order given, over those of all."""
    shown, rest = list(groups[:_MOST_ROWS]), groups[_MOST_ROWS:]
    buckets = _buckets(totals.usage)
    named = [(name_of(group.key), group.totals) for group in shown]
    if rest:
        others = sum((group.totals for group in rest), Totals())
        named.append((f"{len(rest):,} others", others))
    named.append(("All", totals))
    # most people never replay anything
    replays = ("Replayed",) if totals.replayed else ()
    *rows, foot = [
        (Cell(name), *_sums(sums, buckets), *(_replays(sums) for _ in replays))
        for name, sums in named
    ]
    return Table(
        caption=f"By {by}",
        columns=(by.capitalize(), "Requests", *buckets.values(), "Cost", *replays),
        rows=tuple(rows),
        foot=foot if len(rows) > 1 else None,
    )


def dearest_table(records: Sequence[Record]) -> Table:
    """Single requests, in the order given; what was refused or replayed cost nothing, and is left out.

    What they cost comes early: a narrow page cuts the end of its lines off.
    """
    records = [record for record in records if record.cost != 0]
    buckets = _buckets(sum((record.usage for record in records), TokenUsage()))
    rows = tuple(
        (
            Cell(f"{record.started_at.astimezone():%Y-%m-%d %H:%M}"),
            money(record.cost, rough=not record.measured),
            Cell(record.model),
            Cell(_whose(record)),
            Cell(_state(record)),
            *(
                Cell(tokens_words(getattr(record.usage, bucket), rough=not record.measured))
                for bucket in buckets
            ),
        )
        for record in records
    )
    return Table(
        caption="Most expensive request" if len(rows) == 1 else "Most expensive requests",
        columns=(
            *("Time", "Cost", "Model", "Chat, agent, notebook", "Status"),
            *buckets.values(),
        ),
        rows=rows,
        words=5,
    )


def facts(totals: Totals) -> list[tuple[str, Cell]]:
    """The sums of all, each with its name: cost, requests, then every kind of token."""
    usage = totals.usage
    named = [("Cost", cost_of(totals)), ("Requests", Cell(f"{totals.requests:,}"))]
    named += [
        (f"{name} tokens", _tokens(getattr(usage, bucket), totals))
        for bucket, name in _buckets(usage).items()
    ]
    if usage.reasoning_tokens:
        named.append(("of it thinking", _tokens(usage.reasoning_tokens, totals)))
    return named


def remarks(totals: Totals) -> list[str]:
    """Sentences that say what the sums leave out or are not sure of."""
    found = []
    if totals.plan_cost:
        found.append(
            f"{usd_words(totals.plan_cost, rough=is_rough(totals))} of the cost is covered by a plan: "
            "what it would be if paid per token."
        )
    for number, one, many in (
        (
            totals.unpriced,
            "request has no known price; the cost is without it",
            "requests have no known price; the cost is without theirs",
        ),
        (totals.estimated, "request is estimated, marked ~", "requests are estimated, marked ~"),
        (totals.open, "request is under way", "requests are under way"),
        (totals.interrupted, "request was interrupted", "requests were interrupted"),
        (totals.failed, "request failed", "requests failed"),
    ):
        if number:
            found.append(f"{number:,} {one if number == 1 else many}.")
    if totals.replayed:
        found.append(f"Beside the requests: {replayed_words(totals)}.")
    return found


def name_of(key: str | None) -> str:
    """The key of a group for people."""
    return NONE if key is None or not key.strip() else key


def money(amount: Decimal | None, *, rough: bool = False) -> Cell:
    """An amount, rounded; `more` has all digits where they are not shown.

    Args:
        rough: Whether it is estimated.
    """
    text = usd_words(amount, rough=rough)
    exact = "" if amount is None else _exact(amount, rough=rough)
    return Cell(text, exact if exact != text else "")


def cost_of(totals: Totals) -> Cell:
    """The cost of some records, marked as in the usage table."""
    rough = is_rough(totals)
    if not totals.unpriced:
        return money(totals.cost, rough=rough)
    if not totals.cost:
        return money(None)
    missing = f"{totals.unpriced:,} of {totals.requests:,} requests have no known price"
    return Cell(cost_words(totals), f"{_exact(totals.cost, rough=rough)}; {missing}")


def _exact(amount: Decimal, *, rough: bool) -> str:
    return f"{'~' if rough and amount else ''}${amount.normalize():,f}"


def _tokens(count: int, totals: Totals) -> Cell:
    return Cell(tokens_words(count, rough=is_rough(totals)))


def _buckets(usage: TokenUsage) -> dict[str, str]:
    """The token columns: those that are seldom used only where they are."""
    return {
        bucket: name
        for bucket, name in _BUCKETS.items()
        if bucket not in _SELDOM or getattr(usage, bucket)
    }


def _state(record: Record) -> str:
    """`ok`, `interrupted, estimated`, `ok, plan value`."""
    marks = [] if record.measured else ["estimated"]
    # what a plan covers is no bill
    marks += ["plan value"] if record.billing == "plan" and record.cost is not None else []
    return ", ".join([record.status, *marks])


def _sums(totals: Totals, buckets: Iterable[str]) -> tuple[Cell, ...]:
    tokens = (_tokens(getattr(totals.usage, bucket), totals) for bucket in buckets)
    return (Cell(f"{totals.requests:,}"), *tokens, cost_of(totals))


def _replays(totals: Totals) -> Cell:
    more = replayed_words(totals) if totals.avoided else ""
    return Cell(f"{totals.replayed:,}", more)


def _whose(record: Record) -> str:
    label = record.label
    # its folders would take more room than all the rest
    notebook = PurePath(label.notebook).name if label.notebook else None
    named = {"chat": label.chat, "agent": label.agent, "": notebook}
    return " · ".join(f"{kind} {name}".strip() for kind, name in named.items() if name) or NONE


# ----------------------------------------------------------------------------------------- HTML


def page(heading: str, totals: Totals, tables: Iterable[str], *, simulated: bool) -> str:
    """All of it: heading, sums, remarks, then tables, which are HTML already."""
    badge = f'<span class="mm-dash-badge">{SIMULATED}</span> ' if simulated else ""
    tiles = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{_hinted(cell)}</dd></div>"
        for name, cell in facts(totals)
    )
    notes = html.escape(" ".join(remarks(totals)))
    return (
        f'<div class="{_CLASSES}"><p class="mm-dash-heading">{badge}{html.escape(heading)}</p>'
        f'<dl class="mm-dash-facts">{tiles}</dl>'
        + (f'<p class="mm-dash-remarks">{notes}</p>' if notes else "")
        + "".join(tables)
        + "</div>"
    )


def message_html(
    text: str, *, file: str = "", link: str = "", place: str = "", bad: bool = False
) -> str:
    """One line of news, nothing if it is empty.

    Args:
        file: Name of a file that ends the sentence.
        link: How a page finds that file; empty: it cannot.
        place: The folder it is in, for people.
        bad: Whether something failed.
    """
    if not text:
        return ""
    line = html.escape(text)
    if file:
        name = html.escape(file)
        target = html.escape(quote(link))
        line += f' <a href="{target}" target="_blank">{name}</a>' if link else f" {name}"
    if place:
        line += f" in <code>{html.escape(place)}</code>"
    kind = "mm-dash-message mm-dash-bad" if bad else "mm-dash-message"
    return f'<div class="{kind} mathjax_ignore tex2jax_ignore" role="status">{line}</div>'


def table_html(table: Table, *, folded: bool = False) -> str:
    """A table that scrolls by itself where there is too little room.

    Args:
        folded: Show the caption only, until it is clicked.
    """
    head = "".join(
        f'<th scope="col" style="text-align:{_side(place, table.words)}">{html.escape(name)}</th>'
        for place, name in enumerate(table.columns)
    )
    body = "".join(f"<tr>{_row(row, table.words)}</tr>" for row in table.rows)
    foot = ""
    if table.foot is not None:
        foot = f"<tfoot><tr>{_row(table.foot, table.words)}</tr></tfoot>"
    caption = html.escape(table.caption)
    inner = (
        f'<div class="mm-dash-scroll" tabindex="0" role="region" aria-label="{caption}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        f"{foot}</table></div>"
    )
    if table.note:
        inner += f'<p class="mm-dash-note">{html.escape(table.note)}</p>'
    if folded:
        return f'<details class="mm-dash-table"><summary>{caption}</summary>{inner}</details>'
    return f'<div class="mm-dash-table"><p class="mm-dash-caption">{caption}</p>{inner}</div>'


def _row(row: Sequence[Cell], words: int) -> str:
    parts = []
    for place, cell in enumerate(row):
        tag = 'th scope="row"' if place == 0 else "td"
        style = f"text-align:{_side(place, words)}"
        if place >= words or len(cell.text) <= _WHOLE_CHARS:
            style += ";white-space:nowrap"
        else:
            style += ";min-width:14em"
        parts.append(f'<{tag} style="{style}">{_hinted(cell)}</{tag[:2]}>')
    return "".join(parts)


def _side(place: int, words: int) -> str:
    """In the cell itself, because a saved notebook loses the style sheet."""
    return "left" if place < words else "right"


def _hinted(cell: Cell) -> str:
    text = html.escape(cell.text)
    return f'<span title="{html.escape(cell.more)}">{text}</span>' if cell.more else text


# ----------------------------------------------------------------------------------------- text


def page_text(
    heading: str, totals: Totals, chart: str, tables: Iterable[Table], *, simulated: bool
) -> str:
    """The same for terminals, with the chart, as text, before the tables."""
    parts = [f"{heading} ({SIMULATED})" if simulated else heading]
    named = facts(totals)
    width = max(len(name) for name, _ in named)
    parts.append("\n".join(f"{name:<{width}}  {cell.text}" for name, cell in named))
    parts.append("\n".join(remarks(totals)))
    parts.append(chart)
    parts += [table_text(table) for table in tables if table.rows]
    return "\n\n".join(filter(None, parts))


def table_text(table: Table) -> str:
    """A table in columns of a fixed-width font. Words that are very long are cut."""
    rows = [table.columns, *([cell.text for cell in row] for row in table.rows)]
    if table.foot is not None:
        rows.append([cell.text for cell in table.foot])
    cut = [[shortened(text, _TEXT_WIDTH) for text in row] for row in rows]
    widths = [max(width_of(text) for text in column) for column in zip(*cut, strict=True)]
    lines = [
        "  ".join(
            padded(text, width, left=place < table.words)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cut
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines.insert(1, rule)
    if table.foot is not None:
        lines.insert(-1, rule)
    lines.insert(0, table.caption)
    return "\n".join([*lines, table.note] if table.note else lines)


def shortened(text: str, most: int) -> str:
    """The text in one line of at most `most` columns; what is cut out is in the middle."""
    text = " ".join(text.split())
    if width_of(text) <= most:
        return text
    head = tail = ""
    for letter in text:
        if width_of(head + letter) > (most - 1) - (most - 1) // 2:
            break
        head += letter
    for letter in reversed(text):
        if width_of(letter + tail) > (most - 1) // 2:
            break
        tail = letter + tail
    return f"{head}…{tail}"


def padded(text: str, width: int, *, left: bool = True) -> str:
    """The text, filled with spaces to `width` columns."""
    gap = " " * (width - width_of(text))
    return text + gap if left else gap + text


def width_of(text: str) -> int:
    """Columns in a terminal: two for a Chinese character."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
