"""What a pay-as-you-go account has left: the answer of `GET /account/query_balance`.

Amounts are decimals in text. The answer names no currency: it is the one of the server's region.
Keys of a Token Plan and logins are refused there, under HTTP 200.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import urlsplit

from minimax_magic.clock import utc
from minimax_magic.wire.failures import error_from_words, error_in

BALANCE_PATH: Final = "/account/query_balance"

# All servers that bill in yuan; `minimaxi.chat`, despite its name, was the global one.
_YUAN_DOMAINS: Final = ("minimaxi.com", "minimax.cn", "minimax.chat")
# With these two, an amount fits the precision of the decimal module and can be rounded and shown.
_TOO_LARGE: Final = Decimal(10**15)
_FINEST: Final = Decimal("1e-9")
# more digits than these are no amount of money
_MAX_CHARS: Final = 40


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left.

    Attributes:
        available: What can be spent; below 0 if more was.
        currency: `USD` or `CNY`; that of all amounts.
        fetched_at: When the server was asked.
        cash, voucher, credit: What `available` is made of; None if the server did not say.
        owed: None if the server did not say.
    """

    available: Decimal
    currency: str
    fetched_at: datetime
    cash: Decimal | None = None
    voucher: Decimal | None = None
    credit: Decimal | None = None
    owed: Decimal | None = None


def read_balance(
    payload: Any, *, url: str, now: float, secrets: Iterable[str] = ()
) -> Balance | None:
    """The balance in a decoded answer; None if it is no such answer.

    Args:
        url: Which server was asked; it tells the currency.
        now: Seconds since 1970.
        secrets: Values to mask in the server's words.

    Raises:
        MinimaxError: The answer is an error: MiniMax sends them with HTTP 200 here.
    """
    words = error_in(payload)
    if words is not None:
        raise error_from_words(words, url=url, secrets=secrets)
    if not isinstance(payload, dict):
        return None
    available = amount(payload.get("available_amount"))
    if available is None:
        return None
    return Balance(
        available=available,
        currency=_currency(url),
        fetched_at=utc(now),
        cash=amount(payload.get("cash_balance")),
        voucher=amount(payload.get("voucher_balance")),
        credit=amount(payload.get("credit_balance")),
        owed=amount(payload.get("owed_amount")),
    )


def amount(value: Any) -> Decimal | None:
    """A decimal from a text or a number; None for anything that is no sensible amount."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value) if abs(value) < _TOO_LARGE else None
    if isinstance(value, float):
        value = repr(value)  # 98.1, not the binary fraction beside it
    if not isinstance(value, str) or len(value) > _MAX_CHARS:
        return None
    try:
        found = Decimal(value)
    except InvalidOperation:
        return None
    if not found.is_finite() or found.copy_abs() >= _TOO_LARGE:  # abs() may overflow
        return None
    exponent = found.as_tuple().exponent
    assert isinstance(exponent, int)  # it is finite
    return found if -9 <= exponent <= 0 else found.quantize(_FINEST)


def _currency(url: str) -> str:
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        host = ""
    in_yuan = any(host == name or host.endswith(f".{name}") for name in _YUAN_DOMAINS)
    return "CNY" if in_yuan else "USD"
