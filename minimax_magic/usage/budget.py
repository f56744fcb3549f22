"""Budgets: which records they are about, and the words of a refusal.

That no two requests pass by the same dollar is the ledger's work, in one step with writing the row.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Final

from minimax_magic.config_schema import BudgetSettings
from minimax_magic.errors import BudgetExceeded
from minimax_magic.messages import ApiFlavor, ChatRequest
from minimax_magic.pricing import PriceTable, format_usd
from minimax_magic.usage.estimate import most_input, most_output
from minimax_magic.usage.ledger import OverBudget
from minimax_magic.usage.ranges import local_day_start, month_start
from minimax_magic.usage.rows import Label, Limit, Selection

# in the order in which they are asked
SCOPES: Final = ("cell", "kernel", "day", "month")
_WHERE: Final = {
    "cell": "--budget",
    "kernel": "budget.kernel in llm.yaml",
    "day": "budget.day in llm.yaml",
    "month": "budget.month in llm.yaml",
}


def limits(
    budget: BudgetSettings, label: Label, process: str, now: datetime, *, simulated: bool
) -> list[Limit]:
    """What a request must stay within.

    A kernel's budget begins anew with a restart; a day and a month are those of the local calendar.
    What a simulator answered and what was real never count for each other. A cell's budget is none
    where there is no cell.
    """
    every = Selection(simulated=simulated)
    selections = {
        "cell": replace(every, cell=label.cell) if label.cell is not None else None,
        "kernel": replace(every, process=process),
        "day": replace(every, since=local_day_start(now)),
        "month": replace(every, since=month_start(now)),
    }
    found: list[Limit] = []
    for scope in SCOPES:
        usd, selection = getattr(budget, scope), selections[scope]
        if usd is not None and selection is not None:
            found.append(Limit(scope, usd, selection))
    return found


def worst_case(request: ChatRequest, flavor: ApiFlavor, prices: PriceTable) -> Decimal | None:
    """What a request can cost at most; None if it has no price, or no bound."""
    output = most_output(request, flavor)
    if output is None:
        return None
    return prices.worst_case(
        request.model, most_input(request), output, service_tier=request.service_tier
    )


def no_worst_case(request: ChatRequest, prices: PriceTable) -> BudgetExceeded:
    """Why a budget cannot be kept with such a request."""
    if prices.find(request.model) is None:
        return BudgetExceeded(
            f"No price is known for {request.model}, so no budget can be kept. Nothing was sent.",
            hint="Add it under `prices` in llm.yaml, or ask without a budget.",
        )
    return BudgetExceeded(
        f"Nobody knows how long an answer of {request.model} may be, so no budget can be kept. "
        "Nothing was sent.",
        hint="Set --max-tokens.",
    )


def refusal(
    over: OverBudget, request: ChatRequest, flavor: ApiFlavor, prices: PriceTable, most: Decimal
) -> BudgetExceeded:
    """The figures of a refusal, and what would fit."""
    budget = over.budget
    left = budget.left
    output = most_output(request, flavor)
    held = f", {format_usd(budget.reserved)} reserved" if budget.reserved else ""
    fits = _output_that_fits(request, prices, left)
    other = f"or raise {_WHERE[budget.scope]}."
    hint = f"--max-tokens {fits} would fit, {other}" if fits else f"Wait, {other}"
    if budget.scope == "cell" and not fits:
        hint = "Ask for less, or raise --budget." if budget.limit else "Raise --budget."
    return BudgetExceeded(
        f"This could cost up to {format_usd(most)} (at most {most_input(request):,} tokens in and "
        f"{output or 0:,} out), but of this {budget.scope}'s budget of "
        f"{format_usd(budget.limit)} there is {format_usd(left)} left ({format_usd(budget.spent)} "
        f"spent{held}). Nothing was sent.",
        hint=hint,
    )


def _output_that_fits(request: ChatRequest, prices: PriceTable, left: Decimal) -> int:
    """How long the answer may be, so that the request fits; 0 if none of any use does."""
    tier = request.service_tier
    asked = prices.worst_case(request.model, most_input(request), 0, service_tier=tier)
    one = prices.worst_case(request.model, most_input(request), 1, service_tier=tier)
    if asked is None or one is None or left <= asked or one == asked:
        return 0
    fits = int(((left - asked) / (one - asked)).to_integral_value(ROUND_DOWN))
    # fewer are hardly an answer, since thinking counts too
    return fits // 100 * 100
