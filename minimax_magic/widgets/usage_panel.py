"""The usage panel: one widget whose page draws what it is sent.

The state of a widget may end up in the notebook file, so no figure is in a trait: they go to the page
in messages, when the page asks and whenever they change. All words are made here; the page only draws,
counts times down and remembers which sums a person picked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anywidget

from minimax_magic.pricing import format_usd
from minimax_magic.render import usage_table as words
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.rows import BudgetState, Totals
from minimax_magic.usage.view import UsageView
from minimax_magic.wire.remains import QuotaWindow

if TYPE_CHECKING:  # its module asks servers; here it is only read
    from minimax_magic.usage.account import AccountState

_STATIC = Path(__file__).parent / "static"

# With less than this percent left a bar warns, and then alarms.
_LOW: Final = 20
_BAD: Final = 5


class UsagePanel(anywidget.AnyWidget):
    """Displays itself as the last value of a cell.

    Args:
        view: What to show, asked for on the kernel's thread when a page wants to know.
        on_refresh: Called there when somebody presses the button; what it finds comes with `show`.
    """

    _esm = _STATIC / "usage_card.js"
    _css = _STATIC / "usage_panel.css"

    def __init__(self, view: Callable[[], UsageView], on_refresh: Callable[[], None]) -> None:
        super().__init__()
        self._view = view
        self._on_refresh = on_refresh
        self._newest: UsageView | None = None
        self._sending = threading.Lock()
        self.on_msg(self._received)

    def show(self, view: UsageView) -> None:
        """Replaces what all pages show. From any thread; older figures never replace newer ones."""
        with self._sending:
            if self._newest is None or view.at >= self._newest.at:
                self._newest = view
            self.send({"kind": "show", **content_of(self._newest)})

    def _received(self, _widget: object, content: object, _buffers: object) -> None:
        match content:
            case {"kind": "ready"}:
                self.show(self._view())
            case {"kind": "refresh"}:
                self._on_refresh()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and the table for front ends without widgets and for a saved notebook."""
        bundle = super()._repr_mimebundle_(**kwargs)
        assert bundle is not None  # this widget has something to show
        data, metadata = bundle
        return {**data, **words.usage_table(self._view())}, metadata


def content_of(view: UsageView) -> dict[str, Any]:
    """What the page needs to draw: words, and shares from 0 to 1 for all that has a length."""
    return {
        "badge": "simulated" if view.simulated else "",
        "badge_title": words.SIMULATED if view.simulated else "",
        "state": _state(view),
        "problem": view.problem,
        "empty": words.NOTHING_YET if words.is_empty(view) and not view.problem else "",
        "scopes": [] if words.is_empty(view) else [_scope(*scope) for scope in view.scopes],
        "account": _account(view),
        "budgets": [_budget(budget) for budget in view.budgets],
        "days": _days(view.days),
    }


def _state(view: UsageView) -> dict[str, Any]:
    if view.live:
        detail = [words.live_detail(answer) for answer in view.live]
        return {"live": True, "text": words.live_words(view.live), "title": "\n".join(detail)}
    if view.last_tps is None:
        return {"live": False, "text": "", "title": ""}
    speed = words.speed_words(view.last_tps)
    return {"live": False, "text": speed, "title": "output tokens per second of the last answer"}


def _scope(name: str, totals: Totals) -> dict[str, Any]:
    usage = totals.usage
    tiles = (
        (usage.input_tokens + usage.cache_write_tokens, "in"),
        (usage.cache_read_tokens, "cached"),
        (usage.output_tokens, "out"),
    )
    rough = words.is_rough(totals)
    cost, sign, more = words.cost_words(totals).partition(" + ")
    return {
        "name": name,
        "used": bool(totals.requests or totals.replayed),
        "cost": cost,
        "unpriced": sign + more,
        "known": bool(totals.cost or not totals.unpriced),
        "tokens": [[words.tokens_words(n, rough=rough, short=True), what] for n, what in tiles],
        "parts": _parts(usage, totals),
        "counts": words.counts_words(totals),
        "notes": words.cost_notes(totals),
    }


def _parts(usage: TokenUsage, totals: Totals) -> list[dict[str, Any]]:
    """The stacked bar: thinking is a part of the output, so the two stand for what is left apart."""
    answer = usage.output_tokens - usage.reasoning_tokens
    parts = (
        ("input", "Input", usage.input_tokens, usage.input_tokens),
        ("read", "Cache read", usage.cache_read_tokens, usage.cache_read_tokens),
        ("write", "Cache write", usage.cache_write_tokens, usage.cache_write_tokens),
        ("output", "Output", usage.output_tokens, answer),
        ("thinking", "of which thinking", usage.reasoning_tokens, usage.reasoning_tokens),
    )
    whole = max(1, usage.total_tokens)
    return [
        {
            "kind": kind,
            "name": name,
            "tokens": words.tokens_words(tokens, rough=words.is_rough(totals)),
            "share": max(0, length) / whole,
        }
        for kind, name, tokens, length in parts
    ]


def _account(view: UsageView) -> dict[str, Any] | None:
    """None: there is nothing to say, not even that nobody asked."""
    state = view.account
    if state is None:
        note = words.NOT_ASKED.get(view.billing)
        return {**_NOT_ASKED, "notes": [note]} if note else None
    quota, balance = state.quota, state.balance
    empty = [words.NO_WINDOWS] if quota is not None and not quota.windows else []
    return {
        "title": words.account_title(state),
        "notes": [*empty, *words.account_notes(state)],
        "age": _age(state, view.at),
        "windows": [_window(window, view.at) for window in quota.windows] if quota else [],
        "balance": words.balance_words(balance) if balance is not None else "",
    }


_NOT_ASKED: Final[dict[str, Any]] = {"title": "Account", "age": None, "windows": [], "balance": ""}


def _age(state: AccountState, at: datetime) -> dict[str, Any] | None:
    """How old, in seconds, because the page's clock may be another one; the page counts on."""
    if state.fetched_at is None:
        return None
    return {
        "text": words.age_words(state.fetched_at, at, stale=False),
        "seconds": max(0.0, (at - state.fetched_at).total_seconds()),
        "stale": state.stale,
    }


def _window(window: QuotaWindow, at: datetime) -> dict[str, Any]:
    percent = window.remaining_percent if window.limited and window.bar else None
    resets_at = window.resets_at if window.limited else None
    return {
        "name": window.name.capitalize(),
        "left": words.percent_words(window),
        "share": None if percent is None else percent / 100,
        # one that may mean the contrary neither calms nor alarms
        "level": "" if percent is None or window.uncertain else _level(percent),
        "boost": words.boost_words(window) if window.limited else "",
        "resets_in_s": None if resets_at is None else (resets_at - at).total_seconds(),
    }


def _level(percent_left: float) -> str:
    return "bad" if percent_left < _BAD else "low" if percent_left < _LOW else "good"


def _budget(budget: BudgetState) -> dict[str, Any]:
    return {
        "name": words.BUDGET_NAMES.get(budget.scope, budget.scope).capitalize(),
        "figure": f"{words.spent_words(budget)} of {format_usd(budget.limit)}",
        "spent": _share(budget.spent, budget.limit),
        "reserved": _share(budget.reserved, budget.limit),
        "level": _level(100 * _share(budget.left, budget.limit)),
        "rest": words.budget_rest(budget),
    }


def _share(part: Decimal, whole: Decimal) -> float:
    """0 to 1; nothing of nothing is nothing, so that a limit of $0 is used up at once."""
    return min(1.0, float(part / whole)) if whole > 0 else 0.0


def _days(days: tuple[tuple[str, Totals], ...]) -> dict[str, Any] | None:
    """The bars; None if there is no bar to see."""
    most = max((totals.cost for _, totals in days), default=Decimal(0))
    if not most:
        return None
    bars = [
        {
            "day": words.day_words(date.fromisoformat(day)),
            "cost": words.cost_words(totals),
            "share": float(totals.cost / most),
        }
        for day, totals in days
    ]
    highest = max(range(len(days)), key=lambda place: days[place][1].cost)
    today, top = bars[-1], bars[highest]
    when = "today" if highest == len(days) - 1 else f"on {top['day']}"
    return {
        "title": f"Last {len(days)} days",
        "bars": bars,
        "highest": highest,
        "label": f"Cost of each of the last {len(days)} days: "
        f"today {today['cost']}, most {top['cost']} {when}.",
    }
