"""Trouble that lasts: `always`, an empty account, and requests that led nowhere."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest

from minimax_magic.simulator import Drop, Fail, Reply, Silence, Simulator
from minimax_magic.simulator.__main__ import main
from minimax_magic.simulator.choose import __doc__ as table
from minimax_magic.simulator.prompt_words import NAMES, TRIGGER

PATHS = ("/anthropic/v1/messages", "/v1/chat/completions", "/v1/text/chatcompletion_v2")
HI = {"model": "MiniMax-M2.5", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 50}
PAID_KEY = "sk-api-mine"


def said(got: Any) -> str:
    text = got.json["choices"][0]["message"]["content"]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("path", PATHS)
def test_always_answers_every_request_until_it_is_unset(
    sim: Simulator, http_client: Any, path: str
) -> None:
    """On each wire, as often as asked, and not longer than it is wanted."""
    sim.always = Fail(code=1008)
    for prompt in ("Hi", "Again", "[[echo]] something"):
        got = http_client.chat(prompt, path)
        assert got.status == 403
        assert got.json["error"]["message"] == "insufficient balance (1008)"
    sim.always = None
    assert http_client.chat("Hi", path).status == 200


def test_the_script_comes_before_always(sim: Simulator, http_client: Any) -> None:
    """A test can let one request through; what is malformed is refused as ever."""
    sim.always = Fail(529)
    sim.script(Reply("scripted", thinking=""))
    assert http_client.post(PATHS[1], {"model": ""}).status == 400
    assert said(http_client.chat("Hi")) == "scripted"
    assert http_client.chat("Hi").status == 529


@pytest.mark.parametrize(
    ("always", "prompt", "status", "part"),
    [
        ("[[error 1008]]", "Hi", 403, "insufficient balance (1008)"),
        ("[[error 403]]", "Hi", 403, "permission denied"),
        ("[[error 404]]", "Hi", 404, "not found"),
        ("[[error 502]]", "Hi", 502, "502 Bad Gateway"),
        ("[[error 1008]]", "[[error 529]] [[echo]] Hi", 403, "1008"),
        ("[[error 1008]]", "[[drop]]", 403, "1008"),
        ("[[echo]] the same", "[[echo]] another", 200, "the same"),
        ("[[length]]", "[[echo]] one two three four", 200, "one two"),
    ],
)
def test_words_count_for_every_prompt(
    sim: Simulator, http_client: Any, always: str, prompt: str, status: int, part: str
) -> None:
    """They mean what they mean in a prompt, and come before those that it has."""
    sim.always = always
    for _ in range(2):
        got = http_client.chat(prompt)
        assert got.status == status
        assert part in got.body.decode()


def test_a_fault_interrupts_what_the_prompt_asked_for(sim: Simulator, http_client: Any) -> None:
    """`[[truncate]]` for every prompt leaves each its own text."""
    sim.always = "[[truncate]]"
    prompt = "[[chunk 2]] [[echo]] abcdefghijkl"
    got = http_client.chat(prompt, model="MiniMax-M3", thinking={"type": "disabled"}, stream=True)
    text = "".join(frame["choices"][0]["delta"]["content"] for frame in got.frames)
    assert text == "abcdef"
    assert "[DONE]" not in got.frames


def test_once_goes_with_it(sim: Simulator, http_client: Any) -> None:
    """Each request fails the first time and is answered the second time."""
    sim.always = "[[error 429 once]]"
    assert [http_client.chat("Hi").status for _ in range(4)] == [429, 200, 429, 200]


@pytest.mark.parametrize("behaviour", [Drop(), Silence(), "[[drop]]"])
def test_reset_ends_it(sim: Simulator, http_client: Any, behaviour: Any) -> None:
    """What was set is forgotten with the rest."""
    sim.always = behaviour
    assert sim.always == behaviour
    sim.reset()
    assert sim.always is None
    assert http_client.chat("Hi").status == 200


@pytest.mark.parametrize(
    ("amount", "status"), [("0", 403), ("-0.01", 403), ("0.01", 200), (None, 200), ("much", 200)]
)
def test_without_a_balance_nothing_is_answered(
    sim: Simulator, http_client: Any, amount: str | None, status: int
) -> None:
    """A key that pays as it goes is refused with 1008 once its account is known to be empty."""
    sim.key = PAID_KEY
    sim.account.available_amount = amount
    got = http_client.post(PATHS[0], HI, key=PAID_KEY)
    assert got.status == status
    assert ("insufficient balance (1008)" in got.body.decode()) == (status == 403)


@pytest.mark.parametrize(("percent", "status"), [(0, 429), (1, 200), (None, 200)])
def test_without_quota_nothing_is_answered(
    sim: Simulator, http_client: Any, percent: int | None, status: int
) -> None:
    """A key of a plan, or a login, is refused with 2056 once its window is used up."""
    sim.account.remaining_percent = percent
    access_token = sim.account.issue().access_token
    for key in (sim.key, access_token):
        got = http_client.post(PATHS[1], HI, key=key)
        assert got.status == status
        assert ("(2056)" in got.body.decode()) == (status == 429)


def test_the_other_kind_of_key_is_not_concerned(sim: Simulator, http_client: Any) -> None:
    """A plan has no balance to run out of, a key that pays as it goes no window."""
    sim.account.available_amount = "0"
    assert http_client.chat("Hi").status == 200
    sim.account.available_amount = None
    sim.account.remaining_percent = 0
    sim.key = PAID_KEY
    assert http_client.post(PATHS[1], HI, key=PAID_KEY).status == 200


def test_always_comes_before_an_empty_account(sim: Simulator, http_client: Any) -> None:
    """What somebody set on purpose is what happens."""
    sim.account.remaining_percent = 0
    sim.always = "[[error 529]]"
    assert http_client.chat("Hi").status == 529


@pytest.mark.parametrize(
    "path",
    [
        "/v1/v1/messages",
        "/v1/messages",
        "/anthropic/v1/chat/completions",
        "/anthropic/chat/completions",
        "/anthropic/v1/v1/messages",
        "/anthropic/v1/messages/v1/chat/completions",
        "/chat/completions",
    ],
)
def test_wrong_routes_are_kept(sim: Simulator, http_client: Any, path: str) -> None:
    """What a wrong base URL makes of a request gets the page, and is listed with its path."""
    got = http_client.post(path, HI)
    assert got.status == 404
    assert got.headers["Content-Type"] == "text/html"
    http_client.chat("Hi")
    http_client.ask("GET", "/v1/models")
    assert sim.unknown_routes == [f"POST {path}"]
    assert [kept.unknown_route for kept in sim.requests] == [True, False, False]


def test_what_cannot_be_answered_is_no_unknown_route(sim: Simulator, http_client: Any) -> None:
    """A refused key, a scripted 404 and an unknown model have found their route."""
    sim.always = Fail(404)
    assert http_client.post(PATHS[0], HI, key="other").status == 401
    assert http_client.chat("Hi").status == 404
    assert http_client.ask("GET", "/v1/models/nope").status == 404
    assert sim.unknown_routes == []


def test_the_names_are_those_of_the_table() -> None:
    """The command line accepts exactly the words that `--help` explains."""
    assert table is not None
    assert {name for name, _ in TRIGGER.findall(table)} == NAMES


@pytest.mark.parametrize(
    ("given", "status", "part"),
    [
        (["--always", "[[error 1008]]"], 403, "insufficient balance (1008)"),
        (["--balance", "0"], 403, "insufficient balance (1008)"),
        (["--quota-left", "0", "--key", "sk-cp-mine"], 429, "(2056)"),
    ],
)
def test_trouble_from_the_command_line(given: list[str], status: int, part: str) -> None:
    """Any program that uses the printed address and key meets it."""
    command = [sys.executable, "-m", "minimax_magic.simulator", *given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"MINIMAX_BASE_URL=(\S+) MINIMAX_CODE_PLAN_KEY=(\S+)", line)
            assert found is not None
            url, key = found.groups()
            headers = {"Authorization": f"Bearer {key}"}
            request = urllib.request.Request(f"{url}{PATHS[0]}", json.dumps(HI).encode(), headers)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=5)
            assert refused.value.code == status
            assert part in refused.value.read().decode()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=5)


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (["--always", "error 1008"], "double brackets"),
        (["--always", "[[eror 1008]]"], "double brackets"),
        (["--balance", "NaN"], "no amount"),
        (["--balance", "much"], "no amount"),
        (["--quota-left", "101"], "from 0 to 100"),
        (["--quota-left", "some"], "from 0 to 100"),
        (["--balance", "0", "--quota-left", "0"], "give one"),
        (["--balance", "0", "--key", "sk-cp-mine"], "sk-api-"),
        (["--quota-left", "0", "--key", "sk-api-mine"], "sk-api-"),
    ],
)
def test_a_wrong_command_line_is_refused(
    capsys: pytest.CaptureFixture[str], given: list[str], part: str
) -> None:
    """Exit code 2 and what would be right, before anything listens."""
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    assert part in capsys.readouterr().err.splitlines()[-1]
