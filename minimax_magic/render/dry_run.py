"""What a dry run shows: the request as it would go out, and what it could cost."""

from __future__ import annotations

import html
from dataclasses import dataclass
from decimal import Decimal

from minimax_magic.pricing import format_usd, usd_words
from minimax_magic.render.markup import Bundle
from minimax_magic.usage.rows import BudgetState

# Names that MathJax passes by: two dollar signs would be math to it.
_CLASSES = "minimax-summary mathjax_ignore tex2jax_ignore"
_BODY = (
    "white-space:pre-wrap;overflow-wrap:anywhere;max-height:30em;overflow:auto;"
    "border-left:2px solid rgba(128,128,128,.5);padding-left:.8em;margin:.4em 0"
)


@dataclass(frozen=True, slots=True)
class Preview:
    """A request that was not sent.

    Attributes:
        url: Where it would go.
        body: The JSON that would be sent, indented, with all that looks like a secret masked.
        notices: What the person should know of what cannot be sent as asked.
        earlier: How many messages of the chat go along.
        input_tokens: Estimated.
        most_output: The longest answer there may be; None: nobody knows.
        least, most: What it costs with hardly an answer, by the estimate, and at most; None: no price
            is known, or no bound.
        budgets: Those that it would have to stay within.
        refused: Why it would not be sent; empty if it would.
    """

    url: str
    model: str
    body: str
    notices: tuple[str, ...]
    earlier: int
    input_tokens: int
    most_output: int | None
    least: Decimal | None
    most: Decimal | None
    budgets: tuple[BudgetState, ...] = ()
    refused: str = ""


def preview(shown: Preview) -> Bundle:
    """The dry run for a cell's output."""
    title, rows = "Dry run: nothing was sent.", _rows(shown)
    lines = [title, *rows, "", shown.body]
    inner = "".join(f"<div>{html.escape(row)}</div>" for row in rows)
    return {
        "text/html": (
            f'<div class="{_CLASSES}" style="line-height:1.6"><div><b>{title}</b></div>{inner}'
            f'<details open><summary style="cursor:pointer">Body</summary>'
            f'<pre style="{_BODY}">{html.escape(shown.body)}</pre></details></div>'
        ),
        "text/plain": "\n".join(lines),
    }


def _rows(shown: Preview) -> list[str]:
    rows = [f"It would go to {shown.url}, for {shown.model}."]
    if shown.earlier:
        rows.append(
            "1 earlier message of the chat goes along."
            if shown.earlier == 1
            else f"{shown.earlier} earlier messages of the chat go along."
        )
    rows.append(f"Input: about {shown.input_tokens:,} tokens (estimated).")
    if shown.most_output is None:
        rows.append("Output: as long as the server lets it be; --max-tokens sets a bound.")
    else:
        rows.append(f"Output: {shown.most_output:,} tokens at most, thinking included.")
    rows.append(f"Cost: {_cost(shown)}.")
    rows += [
        f"Budget of this {budget.scope}: {_left(budget)} of {format_usd(budget.limit)} left."
        for budget in shown.budgets
    ]
    if shown.refused:
        rows.append(f"It would be refused: {shown.refused}")
    return [*rows, *(f"Note: {text}" for text in shown.notices)]


def _left(budget: BudgetState) -> str:
    most = "at most " if budget.unpriced and budget.left else ""
    return most + usd_words(budget.left, rough=bool(budget.estimated))


def _cost(shown: Preview) -> str:
    if shown.least is None:
        return "no price known"
    least = f"about {format_usd(shown.least)} for the prompt alone"
    if shown.most is None:
        return f"{least}; at most: unknown"
    return f"{least}, {format_usd(shown.most)} at most"
