"""The client on mocked HTTP answers, through the real transport but without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import aiohttp
import pytest
from aioresponses import CallbackResult, aioresponses

from minimax_magic.client.client import Client
from minimax_magic.client.rate_limit import NoLimit
from minimax_magic.errors import APIConnectionError, CredentialInvalid, InsufficientBalance
from minimax_magic.testing import FakeAuth, FakeClock
from minimax_magic.transport import AiohttpTransport
from minimax_magic.wire.address import resolve_endpoint

T = TypeVar("T")
ROOT = "https://api.minimax.io"
NATIVE = f"{ROOT}/v1/text/chatcompletion_v2"
OPENAI = f"{ROOT}/v1/chat/completions"
MESSAGES = f"{ROOT}/anthropic/v1/messages"
HELLO = {
    "choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]
}


@pytest.fixture
def web() -> Iterator[aioresponses]:
    with aioresponses() as mocked:
        yield mocked


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, 10))


async def chat(base_url: str = ROOT, clock: FakeClock | None = None) -> str:
    client = Client(
        endpoint=resolve_endpoint(base_url),
        auth=FakeAuth("sk-cp-0123456789"),
        transport=AiohttpTransport(),
        limiter=NoLimit(),
        clock=clock or FakeClock(),
        model="MiniMax-M2.5",
        user_agent="test",
        uniform=lambda: 0.0,
    )
    async with client:
        return (await client.chat("Hi")).text


def test_an_answer_over_the_openai_wire(web: aioresponses) -> None:
    """The native path of the OpenAI wire is asked with the key as bearer."""
    sent = []

    def answer(url: Any, **request: Any) -> CallbackResult:
        sent.append(request["headers"]["Authorization"])
        return CallbackResult(payload=HELLO)

    web.post(NATIVE, callback=answer)
    assert run(chat()) == "Hello"
    assert sent == ["Bearer sk-cp-0123456789"]


def test_an_answer_over_the_anthropic_wire(web: aioresponses) -> None:
    """A base_url that ends in /anthropic speaks Messages."""
    content = [{"type": "text", "text": "Hello"}]
    web.post(MESSAGES, payload={"content": content, "stop_reason": "end_turn"})
    assert run(chat(f"{ROOT}/anthropic")) == "Hello"


def test_the_route_that_is_there_is_found(web: aioresponses) -> None:
    """An nginx page under 404 leads on to OpenAI's own path."""
    web.post(NATIVE, status=404, body="<html>404</html>", content_type="text/html")
    web.post(OPENAI, payload=HELLO)
    assert run(chat()) == "Hello"


def test_a_refused_key_is_asked_with_once(web: aioresponses) -> None:
    """A 401 is final for a static key: a second answer stays unused."""
    web.post(NATIVE, status=401, payload={"error": {"message": "invalid api key (2049)"}})
    web.post(NATIVE, payload=HELLO)
    with pytest.raises(CredentialInvalid):
        run(chat())


def test_an_empty_account_under_http_200(web: aioresponses) -> None:
    """`base_resp` is looked at under HTTP 200, too."""
    says = {"status_code": 1008, "status_msg": "insufficient balance"}
    web.post(NATIVE, payload={"choices": None, "base_resp": says})
    with pytest.raises(InsufficientBalance, match="insufficient balance"):
        run(chat())


def test_retry_after_is_honoured(web: aioresponses) -> None:
    """A 429 waits as long as the header says, then the answer is taken."""
    clock = FakeClock()
    web.post(NATIVE, status=429, headers={"Retry-After": "3"}, payload={})
    web.post(NATIVE, payload=HELLO)
    assert run(chat(clock=clock)) == "Hello"
    assert clock.slept == [3]


def test_errors_of_the_http_library_are_translated(web: aioresponses) -> None:
    """Whatever aiohttp raises before an answer is tried three times and ends as one of ours."""
    clock = FakeClock()
    for _ in range(3):
        web.post(NATIVE, exception=aiohttp.ClientOSError(104, "Connection reset by peer"))
    with pytest.raises(APIConnectionError, match="ClientOSError"):
        run(chat(clock=clock))
    assert clock.slept == [1, 2]
