"""What a pay-as-you-go account has left, in the shape of `/account/query_balance`."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

# what an account begins with, in dollars
BEGIN = Decimal(100)
CENT = Decimal("0.01")
# dollars per million tokens of MiniMax-M2.5, whatever the model; kept here, since nothing of ours may
# be used that this server is to prove
INPUT, OUTPUT, CACHE_READ, CACHE_WRITE = map(Decimal, ("0.30", "1.20", "0.03", "0.375"))
MTOK = 1_000_000


def available(
    input_tokens: int, output_tokens: int, cache_read_tokens: int, cache_write_tokens: int
) -> Decimal:
    """What is left after so many tokens, in cents, never below 0."""
    cost = (
        input_tokens * INPUT
        + output_tokens * OUTPUT
        + cache_read_tokens * CACHE_READ
        + cache_write_tokens * CACHE_WRITE
    ) / MTOK
    return max(Decimal(0), BEGIN - cost).quantize(CENT, ROUND_HALF_UP)


def balance(amount: Decimal | str) -> dict[str, Any]:
    """The answer; all of it counts as a voucher."""
    return {
        "available_amount": str(amount),
        "cash_balance": "0.00",
        "voucher_balance": str(amount),
        "credit_balance": "0.00",
        "owed_amount": "0.00",
        "balance_alert_switch": False,
        "balance_alert_threshold": "",
        "base_resp": {"status_code": 0, "status_msg": "success"},
    }
