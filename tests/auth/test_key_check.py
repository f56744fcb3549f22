"""Checking an API key without spending tokens."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from minimax_magic.auth.key_check import check_key
from minimax_magic.errors import APIConnectionError, CredentialInvalid
from minimax_magic.simulator import Served, Simulator
from minimax_magic.testing import Answer, FakeTransport, json_answer
from minimax_magic.transport import AiohttpTransport, Transport

KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"
ROOT = "https://api.minimax.io"
MODELS = json_answer({"object": "list", "data": []})
WRONG = json_answer({"type": "error", "error": {"type": "authentication_error"}}, 401)
NGINX = Answer(404, {"content-type": "text/html"}, (b"<html>404 Not Found</html>",))


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


def check(transport: Transport, root: str = ROOT, key: str = KEY) -> bool:
    async def run() -> bool:
        try:
            return await check_key(SecretStr(key), root, transport, "test/1", 1_750_000_000.0)
        finally:
            await transport.close()

    return asyncio.run(asyncio.wait_for(run(), 20))


def base_resp(code: int, said: str = "no", status: int = 200) -> Answer:
    return json_answer({"base_resp": {"status_code": code, "status_msg": said}}, status)


# ------------------------------------------------------------------------------ at a server


def test_a_right_key_is_good_and_costs_nothing(sim: Simulator) -> None:
    """The question for no model is refused for its parameters: the key is good, nothing is spent."""
    assert check(AiohttpTransport(), sim.url, sim.key) is True
    (asked,) = sim.requests
    assert (asked.path, asked.body["model"]) == ("/anthropic/v1/messages", "")
    assert asked.headers["Authorization"] == f"Bearer {sim.key}"
    assert sim.served == Served()


def test_a_wrong_key_is_refused(sim: Simulator) -> None:
    """A key that both wires refuse is wrong; nothing is spent to learn that."""
    with pytest.raises(CredentialInvalid) as caught:
        check(AiohttpTransport(), sim.url)
    assert (caught.value.status, caught.value.code) == (401, 2049)
    assert caught.value.hint
    assert [asked.path for asked in sim.requests] == ["/anthropic/v1/messages", "/v1/models"]
    assert sim.served == Served()


def test_the_model_list_alone_suffices(sim: Simulator) -> None:
    """A server that has only a list of models can tell as well."""
    paths: list[str] = []

    class OnlyModels(AiohttpTransport):
        async def send(self, request: Any) -> Any:
            paths.append(request.url.removeprefix(sim.url))
            return NGINX if "anthropic" in request.url else await super().send(request)

    assert check(OnlyModels(), sim.url, sim.key) is True
    assert paths == ["/anthropic/v1/messages", "/v1/models"]
    with pytest.raises(CredentialInvalid):
        check(OnlyModels(), sim.url)


def test_without_network_there_is_no_verdict() -> None:
    """A server that cannot be reached is said to be so; the key is not called wrong."""
    with Simulator() as gone:
        url = gone.url
    with pytest.raises(APIConnectionError) as caught:
        check(AiohttpTransport(), url)
    assert KEY not in str(caught.value)


# --------------------------------------------------------------------------------- the verdict


@pytest.mark.parametrize(
    "answer",
    [
        json_answer({"type": "error", "error": {"message": "model is required"}}, 400),
        json_answer({"error": {"message": "unknown model ''"}}, 422),
        base_resp(2013, "invalid params"),
        base_resp(1008, "insufficient balance", 403),
        json_answer({"error": {"message": "insufficient balance (1008)"}}, 403),
        base_resp(2056, "usage limit exceeded", 429),
        json_answer({}, 402),
        json_answer({"type": "message", "content": []}),
    ],
    ids=["400", "422", "2013 in 200", "1008 in 403", "1008 in words", "2056", "402", "an answer"],
)
def test_a_key_is_good_if_something_else_is_wrong(answer: Answer) -> None:
    """A server that complains of parameters or money has accepted the key; one question suffices."""
    transport = FakeTransport(answer)
    assert check(transport) is True
    assert len(transport.sent) == 1
    assert answer.closed


def test_a_key_of_the_other_wire_is_good() -> None:
    """A pay-as-you-go key that is refused on /anthropic is good if the list of models is given."""
    transport = FakeTransport(WRONG, MODELS)
    assert check(transport) is True
    assert [(sent.method, sent.url) for sent in transport.sent] == [
        ("POST", f"{ROOT}/anthropic/v1/messages"),
        ("GET", f"{ROOT}/v1/models"),
    ]


@pytest.mark.parametrize("second", [WRONG, NGINX, json_answer({}, 503), base_resp(1004)])
def test_a_refusal_that_nothing_contradicts_counts(second: Answer) -> None:
    """Refused first, and not taken anywhere else, the key is wrong."""
    with pytest.raises(CredentialInvalid):
        check(FakeTransport(WRONG, second))


def test_a_refusal_inside_a_200_is_one() -> None:
    """MiniMax's numbers for a wrong key count under HTTP 200 too."""
    with pytest.raises(CredentialInvalid) as caught:
        check(FakeTransport(base_resp(2049, "invalid api key")))
    assert caught.value.code == 2049


@pytest.mark.parametrize(
    "answer",
    [
        NGINX,
        json_answer({"detail": "Not Found"}, 404),
        json_answer({"error": {"message": "down"}}, 500),
        Answer(502, {"content-type": "text/html"}, (b"<html>Bad gateway</html>",)),
        json_answer({}, 429),
        base_resp(1002, "rate limit"),
        Answer(403, {"content-type": "text/html"}, (b"<html>Forbidden</html>",)),
        Answer(302, {"location": "https://login.example/"}),
        Answer(200, {"content-type": "text/html"}, (b"<html>Welcome to our hotel</html>",)),
        json_answer({"status": "fine"}),
    ],
    ids=[
        "no route",
        "no route in JSON",
        "500",
        "502",
        "429",
        "1002",
        "403",
        "302",
        "a login page",
        "JSON",
    ],
)
def test_a_server_may_not_tell(answer: Answer) -> None:
    """Trouble, missing routes and pages of somebody else say nothing of the key."""
    transport = FakeTransport(answer)
    assert check(transport) is False
    assert len(transport.sent) == 2


def test_trouble_at_the_first_question_is_no_verdict() -> None:
    """After a 5xx the list of models is asked and decides."""
    down = json_answer({}, 503)
    assert check(FakeTransport(down, MODELS)) is True
    with pytest.raises(CredentialInvalid):
        check(FakeTransport(down, WRONG))


# ------------------------------------------------------------------------------------ what is sent


def test_what_is_asked() -> None:
    """The key goes as a bearer alone; the question is of one token at most and names no model."""
    transport = FakeTransport(NGINX)
    check(transport, "https://gateway.example/minimax")
    first, second = transport.sent
    assert first.url == "https://gateway.example/minimax/anthropic/v1/messages"
    assert second.url == "https://gateway.example/minimax/v1/models"
    body = json.loads(first.body)
    assert (body["model"], body["max_tokens"]) == ("", 1)
    assert second.body == b""
    for sent in transport.sent:
        assert sent.headers["Authorization"] == f"Bearer {KEY}"
        assert sent.headers["User-Agent"] == "test/1"
        assert sent.silence_s is not None
        assert KEY not in sent.url
        assert KEY not in repr(sent)


def test_an_error_never_repeats_the_key(sim: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """A server that echoes the key does not bring it into words, reprs, tracebacks or logs."""
    caplog.set_level("DEBUG")
    odd_key = "odd.key.without.shape"
    for key in (KEY, odd_key):
        echo = json_answer({"error": {"message": f"key {key} is wrong"}}, 401)
        with pytest.raises(CredentialInvalid) as caught:
            check(FakeTransport(echo), key=key)
        error = caught.value
        trace = traceback.TracebackException(
            type(error), error, error.__traceback__, capture_locals=True
        )
        frames = [frame for frame in trace.stack if "/minimax_magic/" in frame.filename]
        assert [frame.name for frame in frames] == ["check_key"]
        assert key not in f"{error!r} {vars(error)} {[frame.locals for frame in frames]}"
        assert "***" in str(error)
        with pytest.raises(CredentialInvalid) as caught:
            check(AiohttpTransport(), sim.url, key)
        assert key not in f"{caught.value} {vars(caught.value)}"
    assert KEY not in caplog.text
    assert odd_key not in caplog.text
    assert sim.requests  # the second half did ask
