"""Usage as a table, and the words for its figures, which the live panel uses too.

What is estimated has a `~` before it, and what is unknown says so: neither is ever shown as 0.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from minimax_magic.pricing import format_usd, usd_words
from minimax_magic.render.markup import Bundle
from minimax_magic.words import duration

if TYPE_CHECKING:  # values that are only read here, from modules that also ask servers
    from minimax_magic.usage.account import AccountState
    from minimax_magic.usage.rows import Billing, BudgetState, Totals
    from minimax_magic.usage.view import LiveAnswer, UsageView
    from minimax_magic.wire.balance import Balance
    from minimax_magic.wire.remains import QuotaWindow

NOTHING_YET = "Nothing recorded yet: run a `%%minimax` cell."
SIMULATED = "simulated: nothing was charged"
NOT_ASKED = {"plan": "Plan: not asked for yet.", "per_token": "Balance: not asked for yet."}
NO_WINDOWS = "the server named no limits"

BUDGET_NAMES = {"cell": "this cell", "kernel": "this kernel", "day": "today", "month": "this month"}
_SIGNS = {"USD": "$", "CNY": "¥"}
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))

# Names that MathJax passes by: there are dollar signs everywhere.
_CLASSES = "minimax-summary mathjax_ignore tex2jax_ignore"
_BADGE = "border:1px solid;border-radius:.6em;padding:0 .45em;font-size:.85em;opacity:.8"
_TABLE = (
    "border-collapse:collapse;table-layout:auto;margin:.3em 0;font-variant-numeric:tabular-nums"
)
_CELL = "padding:.2em 0 .2em 1.3em;text-align:right;white-space:nowrap"
_NAME = "padding:.2em 0;text-align:left;white-space:nowrap;font-weight:normal"
_RULE = "border-bottom:1px solid rgba(128,128,128,.4)"
_PROBLEM = "border-left:3px solid;padding-left:.7em;margin:.4em 0;overflow-wrap:anywhere"
_LINE = "overflow-wrap:anywhere;white-space:pre-wrap"
_QUIET = f"{_LINE};opacity:.7"


def usage_table(view: UsageView) -> Bundle:
    """The table with what there is to say below it, for front ends with and without HTML."""
    rows = [] if is_empty(view) else _rows(view.scopes)
    notes = [] if is_empty(view) else widest_notes(view.scopes)
    lines = _figures(view)
    return {
        "text/html": _html(view, rows, lines, notes),
        "text/plain": _plain(view, rows, [*lines, *notes]),
    }


def is_empty(view: UsageView) -> bool:
    """Whether there is not one request, nor a replayed answer, to tell of."""
    return not any(totals.requests or totals.replayed for _, totals in view.scopes)


# --------------------------------------------------------------------------------- words for sums


def is_rough(totals: Totals) -> bool:
    """Whether a part of the sums is estimated."""
    return bool(totals.estimated or totals.open)


def cost_words(totals: Totals) -> str:
    """`$1.20`, `~$1.20` if a part is estimated, `$1.20 + ?` if a part has no known price."""
    return usd_words(totals.cost, rough=is_rough(totals), unpriced=bool(totals.unpriced))


def tokens_words(tokens: int, *, rough: bool, short: bool = False) -> str:
    """`12,345`, in short `12.3k`; with `~` if it, or a part of it, is estimated."""
    return ("~" if rough and tokens else "") + (_short(tokens) if short else f"{tokens:,}")


def _short(count: int) -> str:
    """Three digits at least, so that a running figure is seen to run."""
    for size, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        # what rounds up to the next unit is told in it
        if (value := count / size) >= 0.9995:
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f}{name}"
    return str(count)


def counts_words(totals: Totals) -> list[str]:
    """`12 requests`, `1 under way`, `2 replayed, $0.01 avoided`, ...: only what there is."""
    counted = (
        (totals.open, "under way"),
        (totals.estimated, "estimated"),
        (totals.interrupted, "interrupted"),
        (totals.failed, "failed"),
    )
    counts = [_count(totals.requests, "request"), *(f"{n:,} {what}" for n, what in counted if n)]
    return [*counts, replayed_words(totals)] if totals.replayed else counts


def replayed_words(totals: Totals) -> str:
    """`2 replayed, $0.01 avoided`; without the amount where no price is known."""
    avoided = f", {format_usd(totals.avoided)} avoided" if totals.avoided else ""
    return f"{totals.replayed:,} replayed{avoided}"


def cost_notes(totals: Totals) -> list[str]:
    """What has to be known to understand the cost: one sentence each."""
    notes = []
    if totals.unpriced:
        have = "has" if totals.unpriced == 1 else "have"
        notes.append(f"{_count(totals.unpriced, 'request')} {have} no known price: not in the sum.")
    if totals.plan_cost and totals.plan_cost == totals.cost:
        notes.append("Equivalent pay-as-you-go value, covered by the plan.")
    elif totals.plan_cost:
        notes.append(
            f"{usd_words(totals.plan_cost, rough=is_rough(totals))} of it is equivalent "
            "pay-as-you-go value, covered by the plan."
        )
    return notes


def widest_notes(scopes: Sequence[tuple[str, Totals]]) -> list[str]:
    """What is to be said of the table as a whole, which is what is to be said of its largest sums."""
    totals = max((totals for _, totals in scopes), key=lambda it: (it.requests, it.replayed))
    notes = []
    if totals.estimated:
        are = "is" if totals.estimated == 1 else "are"
        notes.append(f"{_count(totals.estimated, 'request')} {are} estimated, marked ~.")
    elif totals.open:
        notes.append("What is under way is estimated, marked ~.")
    whole = {"interrupted": totals.interrupted, "failed": totals.failed}
    if any(whole.values()):
        not_whole = ", ".join(f"{number:,} {what}" for what, number in whole.items() if number)
        notes.append(f"Of {_count(totals.requests, 'request')}: {not_whole}.")
    if totals.replayed:
        notes.append(f"Beside the requests: {replayed_words(totals)}.")
    return notes + cost_notes(totals)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# ------------------------------------------------------------------------- words for all the rest


def span_words(seconds: float) -> str:
    """What is left of a time, in two units: `2 h 10 min`. The script of the panel counts it down."""
    if seconds < 60:
        return "less than a minute"
    (size, unit), *finer = [(size, unit) for size, unit in _UNITS if seconds >= size]
    count, rest = divmod(int(seconds), size)
    if finer and (smaller := rest // finer[0][0]):
        return f"{count} {unit} {smaller} {finer[0][1]}"
    return f"{count} {unit}"


def speed_words(tps: float) -> str:
    """Output tokens per second."""
    return f"{tps:.0f} tok/s" if tps >= 9.95 else f"{tps:.1f} tok/s"


def live_words(live: Sequence[LiveAnswer]) -> str:
    """`streaming · 54 tok/s`: all answers under way in a few words; empty if there is none."""
    if not live:
        return ""
    doing = "streaming" if len(live) == 1 else f"{len(live)} streaming"
    speeds = [answer.output_tps for answer in live if answer.output_tps is not None]
    return f"{doing} · {speed_words(sum(speeds))}" if speeds else doing


def live_detail(answer: LiveAnswer) -> str:
    """One answer under way in one line."""
    parts = [
        answer.model,
        f"~{answer.output_tokens:,} tokens out",
        usd_words(answer.cost, rough=True),
        f"{answer.elapsed_s:.0f} s",
    ]
    if answer.output_tps is not None:
        parts.append(speed_words(answer.output_tps))
    return " · ".join(parts)


def percent_words(window: QuotaWindow) -> str:
    """`70 % left`, `no limit`, or that it is unknown; `perhaps` if it may be the contrary."""
    if not window.limited:
        return "no limit"
    percent = window.remaining_percent
    if percent is None:
        return "unknown how much is left"
    about = "perhaps " if window.uncertain else ""
    if 0 < percent < 1:
        return f"{about}less than 1 % left"
    # all is only said of all
    whole = min(round(percent), 99) if percent < 100 else 100
    return f"{about}{whole} % left"


def boost_words(window: QuotaWindow) -> str:
    """`1.5×` for an allowance that is larger than usual; empty for a usual one."""
    return "" if window.boost == 1 else f"{window.boost:g}×"


def window_words(window: QuotaWindow, at: datetime) -> str:
    """`5 hours: 93 % left, resets in 2 h 10 min`."""
    parts = [percent_words(window)]
    if window.limited and (boost := boost_words(window)):
        parts.append(f"{boost} the usual allowance")
    if window.limited and window.resets_at is not None:
        left = (window.resets_at - at).total_seconds()
        parts.append(f"resets in {span_words(left)}" if left > 0 else "resets now")
    return f"{window.name}: {', '.join(parts)}"


def balance_words(balance: Balance) -> str:
    """`$98.00 left`, in the currency of the account."""
    sign = _SIGNS.get(balance.currency)
    amount = format_usd(abs(balance.available)).removeprefix("$")
    money = f"{sign}{amount}" if sign else f"{amount} {balance.currency}"
    return f"{'-' if balance.available < 0 else ''}{money} left"


def age_words(fetched_at: datetime, at: datetime, *, stale: bool) -> str:
    """`as of 14:02`, in local time, with the day if that was another one; and how old if `stale`."""
    then = fetched_at.astimezone()
    day = "" if then.date() == at.astimezone().date() else f"{day_words(then)}, "
    old = f"; {duration((at - fetched_at).total_seconds())} old" if stale else ""
    return f"as of {day}{then:%H:%M}{old}"


def day_words(day: date) -> str:
    """`21 Nov`."""
    return f"{day.day} {_MONTHS[day.month - 1]}"


def account_title(account: AccountState) -> str:
    """`Plan Max`, `Plan`, `Balance`, or `Account` if neither is known."""
    if account.quota is not None:
        name = account.quota.plan
        return name if "plan" in name.lower() else f"Plan {name}".rstrip()
    return "Balance" if account.balance is not None else "Account"


def account_words(account: AccountState | None, billing: Billing, at: datetime) -> list[str]:
    """What is left of the plan or the balance, and how old that is: one line each."""
    if account is None:
        return [ask] if (ask := NOT_ASKED.get(billing, "")) else []
    age = ""
    if account.fetched_at is not None:
        age = f" ({age_words(account.fetched_at, at, stale=account.stale)})"
    lines = []
    if account.quota is not None:
        lines.append(f"{account_title(account)}{age}:")
        lines += [f"  {window_words(window, at)}" for window in account.quota.windows]
        lines += [] if account.quota.windows else [f"  {NO_WINDOWS}"]
    if account.balance is not None:
        lines.append(f"Balance{age}: {balance_words(account.balance)}")
    return [*lines, *account_notes(account)]


def account_notes(account: AccountState) -> list[str]:
    """What has to be known to understand what is left: one sentence each."""
    windows = account.quota.windows if account.quota is not None else ()
    unsure = any(w.uncertain and w.limited and w.remaining_percent is not None for w in windows)
    notes = ["This server's count may also mean what is used, not what is left."] if unsure else []
    return [*notes, account.problem] if account.problem else notes


def budget_words(budget: BudgetState) -> str:
    """`today: $1.20 of $5.00 spent, $0.08 reserved, $3.72 left`."""
    name = BUDGET_NAMES.get(budget.scope, budget.scope)
    spent = f"{spent_words(budget)} of {format_usd(budget.limit)} spent"
    return f"{name}: {', '.join([spent, *budget_rest(budget)])}"


def spent_words(budget: BudgetState) -> str:
    """`$1.20`, `~$1.20 + ?`, or `?` alone where no price is known of anything."""
    if budget.unpriced and not budget.spent:
        return "?"
    return usd_words(budget.spent, rough=bool(budget.estimated), unpriced=bool(budget.unpriced))


def budget_rest(budget: BudgetState) -> list[str]:
    """`$0.08 reserved`, `$3.72 left`; what is not reserved is not named."""
    reserved = [f"{format_usd(budget.reserved)} reserved"] if budget.reserved else []
    if not budget.left:
        return [*reserved, "nothing left"]
    most = "at most " if budget.unpriced else ""
    return [*reserved, f"{most}{usd_words(budget.left, rough=bool(budget.estimated))} left"]


# -------------------------------------------------------------------------------------- the table


def _rows(scopes: Sequence[tuple[str, Totals]]) -> list[list[str]]:
    """The heading and one row for each scope; thinking only if there was any."""
    thought = any(totals.usage.reasoning_tokens for _, totals in scopes)
    thinking = ["of which thinking"] if thought else []
    names = ["requests", "input", "cache read", "cache write", "output", *thinking, "cost"]
    rows = [["", *names]]
    for name, totals in scopes:
        usage = totals.usage
        tokens = [
            usage.input_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.output_tokens,
        ]
        tokens += [usage.reasoning_tokens] if thought else []
        counted = [tokens_words(count, rough=is_rough(totals)) for count in tokens]
        rows.append([name, f"{totals.requests:,}", *counted, cost_words(totals)])
    return rows


def _figures(view: UsageView) -> list[str]:
    """What is under way, account and budgets, one line each."""
    # where nothing can be recorded, a sentence about nothing recorded would mislead
    lines = [NOTHING_YET] if is_empty(view) and not view.problem else []
    lines += [f"Streaming: {live_detail(answer)}" for answer in view.live]
    if view.last_tps is not None and not view.live:
        lines.append(f"Speed of the last answer: {speed_words(view.last_tps)}")
    lines += account_words(view.account, view.billing, view.at)
    return lines + [f"Budget {budget_words(budget)}" for budget in view.budgets]


def _plain(view: UsageView, rows: list[list[str]], lines: list[str]) -> str:
    parts = [f"Usage ({SIMULATED})" if view.simulated else "Usage"]
    if view.problem:
        parts.append(view.problem)
    if rows:
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for name, *cells in rows:
            aligned = [f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True)]
            parts.append("  ".join([f"{name:<{widths[0]}}", *aligned]))
    if rows:
        lines = [*lines, _when(view)]
    return "\n".join([*parts, *(line.replace("`", "") for line in lines)])


def _html(view: UsageView, rows: list[list[str]], lines: list[str], notes: list[str]) -> str:
    badge = f' <span style="{_BADGE}">{SIMULATED}</span>' if view.simulated else ""
    parts = [f"<div><b>Usage</b>{badge}</div>"]
    if view.problem:
        parts.append(f'<div role="alert" style="{_PROBLEM}">{_prose(view.problem)}</div>')
    if rows:
        heading = "".join(_heading(name) for name in rows[0])
        body = "".join(f"<tr>{_row(row)}</tr>" for row in rows[1:])
        parts.append(
            f'<div style="overflow-x:auto"><table style="{_TABLE}"><thead><tr>{heading}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )
    parts += [f'<div style="{_LINE}">{_prose(line)}</div>' for line in lines]
    if rows:
        notes = [*notes, _when(view)]
    parts += [f'<div style="{_QUIET}">{_prose(note)}</div>' for note in notes]
    return f'<div class="{_CLASSES}" style="line-height:1.6">{"".join(parts)}</div>'


def _when(view: UsageView) -> str:
    """A table is kept in notebooks, and read much later."""
    return f"These are the figures of {view.at.astimezone():%Y-%m-%d %H:%M}."


def _heading(name: str) -> str:
    if not name:
        return f'<td style="{_NAME};{_RULE}"></td>'
    return f'<th scope="col" style="{_CELL};{_RULE};font-weight:normal;opacity:.7">{name}</th>'


def _row(row: list[str]) -> str:
    name, *cells, cost = map(html.escape, row)
    return (
        f'<th scope="row" style="{_NAME}">{name}</th>'
        + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells)
        + f'<td style="{_CELL}"><b>{cost}</b></td>'
    )


def _prose(text: str) -> str:
    """Escaped; what stands in `backticks` is a command or a name."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
