"""What a chat request gets from an account in which nothing is left."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from minimax_magic.simulator.account_knobs import AccountKnobs
from minimax_magic.simulator.behaviours import Fail


def exhausted(account: AccountKnobs, *, pays_as_it_goes: bool) -> Fail | None:
    """The refusal; None while something is left, and where nobody set how much.

    Args:
        pays_as_it_goes: The key has a balance; any other is of a plan, and so is a login.
    """
    if not pays_as_it_goes:
        percent = account.remaining_percent
        return Fail(code=2056) if percent is not None and percent <= 0 else None
    amount = account.available_amount
    if amount is None:
        return None
    try:
        return Fail(code=1008) if Decimal(amount) <= 0 else None
    except InvalidOperation:
        return None  # a test that sends nonsense does not mean an empty account
