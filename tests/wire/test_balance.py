"""What a pay-as-you-go account has left, read from the answers of MiniMax."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from minimax_magic.errors import CredentialInvalid, MinimaxError
from minimax_magic.wire.balance import BALANCE_PATH, Balance, amount, read_balance

URL = f"https://api.minimax.io{BALANCE_PATH}"
NOW = 1_782_050_000.7
OK = {"status_code": 0, "status_msg": "success"}
# facts 8.4
ANSWER: dict[str, Any] = {
    "available_amount": "98.00",
    "cash_balance": "0.00",
    "voucher_balance": "97.00",
    "credit_balance": "1.00",
    "owed_amount": "0.50",
    "balance_alert_switch": False,
    "balance_alert_threshold": "",
    "base_resp": OK,
}


def read(url: str = URL, **changed: Any) -> Balance | None:
    return read_balance({**ANSWER, **changed}, url=url, now=NOW)


def test_the_answer_is_read() -> None:
    """All amounts, as exact decimals, and when that was."""
    assert read() == Balance(
        available=Decimal("98.00"),
        currency="USD",
        fetched_at=datetime(2026, 6, 21, 13, 53, 20, tzinfo=UTC),
        cash=Decimal("0.00"),
        voucher=Decimal("97.00"),
        credit=Decimal("1.00"),
        owed=Decimal("0.50"),
    )


def test_an_account_without_its_parts_has_a_balance_all_the_same() -> None:
    """Only what can be spent is needed; what is not said is unknown, not 0."""
    found = read_balance({"available_amount": "3"}, url=URL, now=NOW)
    assert found is not None
    assert found.available == Decimal(3)
    assert (found.cash, found.voucher, found.credit, found.owed) == (None, None, None, None)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("98.00", "98.00"),
        ("-1.25", "-1.25"),
        (98, "98"),
        (98.1, "98.1"),
        (0, "0"),
        ("1e3", "1000"),
        (" 7.5 ", "7.5"),
        ("0.1234567891234", "0.123456789"),
        ("999999999999999", "999999999999999"),
    ],
)
def test_an_amount_is_a_text_or_a_number(sent: Any, expected: str) -> None:
    """It is exact to nine places, and a number is what it reads like."""
    found = amount(sent)
    assert found == Decimal(expected)
    assert f"{found:.2f}"


@pytest.mark.parametrize(
    "junk",
    [
        None, "", "much", True, [], {}, math.nan, math.inf, "NaN", "sNaN", "-Infinity", "1e400", 1e20,
        10**15, 10**5000, "9" * 400, "1e15", "1e999999999", "1e-9999999999999999999", "0" * 41,
    ],
    ids=lambda junk: repr(junk)[:8] if not isinstance(junk, int) else "int",
)  # fmt: skip
def test_what_is_no_amount_is_unknown(junk: Any) -> None:
    """Nothing that a server may send in the place of an amount makes reading fail."""
    assert amount(junk) is None
    assert read(available_amount=junk) is None
    found = read(owed_amount=junk)
    assert found is not None
    assert found.owed is None


def test_the_smallest_amounts_are_nothing() -> None:
    """An amount too small for any currency can still be rounded and shown."""
    for tiny in ("1e-400", "1e-999999", 5e-324):
        assert f"{amount(tiny):.2f}" == "0.00"


@pytest.mark.parametrize(
    ("url", "currency"),
    [
        ("https://api.minimax.io/account/query_balance", "USD"),
        ("https://API.MINIMAXI.COM./account/query_balance", "CNY"),
        ("https://api.minimax.cn:443/account/query_balance", "CNY"),
        ("https://api.minimax.chat/account/query_balance", "CNY"),
        ("https://minimaxi.com", "CNY"),
        ("https://api.minimaxi.chat/account/query_balance", "USD"),
        ("https://notminimax.cn/account/query_balance", "USD"),
        ("https://minimax.cn.example/account/query_balance", "USD"),
        ("https://gateway.example/minimax.cn", "USD"),
        ("http://127.0.0.1:8000/account/query_balance", "USD"),
        ("https://[nonsense", "USD"),
    ],
)
def test_the_host_tells_the_currency(url: str, currency: str) -> None:
    """Chinese hosts bill in yuan; all others, a gateway and the simulator too, count as dollars."""
    found = read(url)
    assert found is not None
    assert found.currency == currency


@pytest.mark.parametrize(
    ("code", "said"), [(1004, "cookie is missing, log in again"), (2049, "invalid api key")]
)
def test_a_refusal_comes_with_http_200(code: int, said: str) -> None:
    """An error number in `base_resp` is a refusal, even with amounts beside it."""
    refusal = {"base_resp": {"status_code": code, "status_msg": f"{said}: odd.key"}}
    for payload in (refusal, {**ANSWER, **refusal}):
        with pytest.raises(CredentialInvalid, match=said) as caught:
            read_balance(payload, url=URL, now=NOW, secrets=("odd.key",))
        assert caught.value.code == code
        assert "odd.key" not in f"{caught.value} {vars(caught.value)}"


def test_any_other_number_is_an_error_too() -> None:
    """An account without money, or a server in trouble, is no balance of 0."""
    for code in (1000, 1002, 1008, 9999):
        with pytest.raises(MinimaxError):
            read(base_resp={"status_code": code, "status_msg": "no"})


@pytest.mark.parametrize("payload", [None, "", "text", 7, [], [ANSWER], {}, {"base_resp": OK}])
def test_what_is_no_answer_is_none(payload: Any) -> None:
    """A page of a proxy, or anything else that is not this answer, tells nothing."""
    assert read_balance(payload, url=URL, now=NOW) is None


def test_hostile_json_is_read() -> None:
    """What JSON may hold beside numbers is no amount."""
    text = '{"available_amount": 5, "cash_balance": NaN, "owed_amount": -1e400}'
    found = read_balance(json.loads(text), url=URL, now=NOW)
    assert found is not None
    assert (found.available, found.cash, found.owed) == (Decimal(5), None, None)
