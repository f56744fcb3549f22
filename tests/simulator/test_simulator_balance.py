"""What the simulator says is left, by key and address, and how it counts what it served."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from minimax_magic.simulator import Drop, Reply, Served, Simulator, Usage

BALANCE_PATH = "/account/query_balance"
REMAINS_PATH = "/v1/token_plan/remains"
LEGACY_PATH = "/v1/api/openplatform/coding_plan/remains"
PAID_KEY = "sk-api-1"
OK = {"status_code": 0, "status_msg": "success"}


def available(client: Any) -> str:
    amount = client.ask("GET", BALANCE_PATH, key=PAID_KEY).json["available_amount"]
    assert isinstance(amount, str)
    return amount


# the balance


def test_a_balance_has_the_shape_of_the_real_one(client: Any) -> None:
    """Decimal texts, all that MiniMax names beside them, and 100 dollars to begin with."""
    got = client.ask("GET", BALANCE_PATH, key=PAID_KEY)
    assert got.status == 200
    assert got.json == {
        "available_amount": "100.00",
        "cash_balance": "0.00",
        "voucher_balance": "100.00",
        "credit_balance": "0.00",
        "owed_amount": "0.00",
        "balance_alert_switch": False,
        "balance_alert_threshold": "",
        "base_resp": OK,
    }


@pytest.mark.parametrize(
    ("usage", "left"),
    [
        (Usage(input_tokens=1_000_000), "99.70"),
        (Usage(output_tokens=1_000_000), "98.80"),
        (Usage(cache_read_tokens=1_000_000), "99.97"),
        (Usage(cache_write_tokens=2_000_000), "99.25"),
        (Usage(input_tokens=10), "100.00"),
        (Usage(output_tokens=100_000_000), "0.00"),
    ],
)
def test_what_is_served_is_taken_from_the_balance(
    sim: Simulator, client: Any, usage: Usage, left: str
) -> None:
    """At the prices of M2.5, in cents, and never below 0."""
    sim.script(Reply("x", usage=usage))
    client.chat("Hi")
    assert available(client) == left


@pytest.mark.parametrize("amount", ["12.345", Decimal("-3.10"), "nonsense"])
def test_the_balance_can_be_set(sim: Simulator, client: Any, amount: Decimal | str) -> None:
    """It is sent as given, whatever was served."""
    sim.account.available_amount = amount
    client.chat("Hi")
    assert available(client) == str(amount)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (PAID_KEY, 0),
        ("sk-api-anything", 0),
        ("simulated-key", 2049),
        ("sk-cp-anything", 2049),
        ("other", 2049),
        (None, 1004),
    ],
)
def test_the_balance_is_for_keys_that_pay_and_answers_200(
    client: Any, key: str | None, code: int
) -> None:
    """A refusal is in `base_resp` only."""
    got = client.ask("GET", BALANCE_PATH, key=key)
    assert got.status == 200
    assert got.json["base_resp"]["status_code"] == code
    assert ("available_amount" in got.json) == (code == 0)


def test_a_login_has_no_balance(sim: Simulator, client: Any) -> None:
    """A token is of a plan, whether it is valid or not."""
    token = sim.account.issue().access_token
    assert client.ask("GET", BALANCE_PATH, key=token).json["base_resp"]["status_code"] == 2049


def test_a_paying_key_is_good_for_chat_if_it_is_the_simulators(new_client: Any) -> None:
    """It chats, has a balance and no quota; another key of its kind does not chat."""
    with Simulator(key=PAID_KEY) as sim:
        client = new_client(sim)
        body = {"model": "MiniMax-M2.5", "messages": [{"role": "user", "content": "Hi"}]}
        assert client.post("/v1/chat/completions", body, key=PAID_KEY).status == 200
        assert client.post("/v1/chat/completions", body, key="sk-api-2").status == 401
        assert client.ask("GET", BALANCE_PATH, key=PAID_KEY).json["base_resp"] == OK
        refused = client.ask("GET", REMAINS_PATH, key=PAID_KEY).json["base_resp"]
        assert refused["status_code"] == 2049


def test_the_balance_can_only_be_asked_for(client: Any) -> None:
    """A POST is nginx's page."""
    assert client.ask("POST", BALANCE_PATH, b"{}", key=PAID_KEY).status == 404


def test_a_balance_can_be_scripted(sim: Simulator, client: Any) -> None:
    """Whatever was asked and with whichever key, once; the quota has a script of its own."""
    sim.account.scripted(503, {"detail": "busy"}, to="balance")
    assert client.ask("GET", REMAINS_PATH).json["base_resp"] == OK
    assert client.ask("GET", BALANCE_PATH, key="other").status == 503
    assert available(client) == "100.00"
    sim.account.scripted(503, {}, to="balance")
    sim.reset()
    assert available(client) == "100.00"


# the plan's old address


def test_the_old_address_counts_requests(sim: Simulator, client: Any) -> None:
    """It has one pool, called after the models, whose usage is what remains, and no percent."""
    sim.account.remaining_percent = 42
    got = client.ask("GET", LEGACY_PATH)
    assert (got.status, got.json["base_resp"]) == (200, OK)
    (pool,) = got.json["model_remains"]
    assert pool["model_name"] == "MiniMax-M*"
    assert pool["current_interval_total_count"] == 1500
    assert pool["current_interval_usage_count"] == 630
    assert pool["current_weekly_usage_count"] == pool["current_weekly_total_count"] == 15_000
    assert not any("percent" in name or "status" in name for name in pool)
    newer = client.ask("GET", REMAINS_PATH).json["model_remains"][0]
    for name in ("start_time", "end_time", "weekly_start_time", "weekly_end_time"):
        assert pool[name] == newer[name]


@pytest.mark.parametrize(
    ("key", "code"),
    [("sk-cp-anything", 0), ("sk-api-anything", 2049), ("other", 2049), (None, 1004)],
)
def test_the_old_address_takes_the_same_keys(client: Any, key: str | None, code: int) -> None:
    """Plans only, and always HTTP 200."""
    got = client.ask("GET", LEGACY_PATH, key=key)
    assert (got.status, got.json["base_resp"]["status_code"]) == (200, code)


def test_the_new_address_can_be_missing(sim: Simulator, client: Any) -> None:
    """A knob makes it nginx's page; the old one goes on."""
    sim.account.only_legacy_remains = True
    got = client.ask("GET", REMAINS_PATH)
    assert (got.status, got.headers["Content-Type"]) == (404, "text/html")
    assert client.ask("GET", LEGACY_PATH).status == 200


# what was served


def test_what_was_served_is_told_by_model(sim: Simulator, client: Any) -> None:
    """The totals of each model, by the id that was asked for, add up to those of all."""
    assert sim.served_by_model == {}
    usages = {
        "MiniMax-M2.5": (Usage(10, 20, 30, 40, 5), Usage(1, 2, 3, 4)),
        "MiniMax-M3": (Usage(100, 200),),
    }
    for model, answers in usages.items():
        for usage in answers:
            sim.script(Reply("x", usage=usage))
            client.chat("Hi", model=model)
    assert sim.served_by_model == {
        "MiniMax-M2.5": Served(2, 11, 33, 44, 22),
        "MiniMax-M3": Served(1, 100, 0, 0, 200),
    }
    assert sim.served == Served(3, 111, 33, 44, 222)
    sim.served_by_model.clear()  # a copy
    assert len(sim.served_by_model) == 2
    sim.reset()
    assert sim.served_by_model == {}


def test_a_broken_answer_counts_the_same_by_model(sim: Simulator, client: Any) -> None:
    """Of an answer that broke off, the totals and those of its model lose the same output."""
    sim.script(Drop(after_chunks=2, of=Reply("x" * 400, thinking="")))
    with pytest.raises(Exception, match=r"."):
        client.chat("Hi", stream=True)
    assert sim.wait_for(lambda s: s.requests[-1].finished.is_set())
    assert sim.served_by_model == {"MiniMax-M2.5": sim.served}
    assert sim.served.requests == 1
    assert sim.served.output_tokens < 100
