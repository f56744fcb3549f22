"""A client with a login: a token that is refused in the middle of its life."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from auth_fakes import ACCESS, MARK, ManualClock, bundle, bundle_file, grant, run, shown

from minimax_magic import MiniMax
from minimax_magic.auth.bundle import TokenBundle
from minimax_magic.client.client import Client
from minimax_magic.errors import CredentialInvalid, CredentialsMissing, RateLimitError
from minimax_magic.events import RetryScheduled
from minimax_magic.testing import Answer, FakeTransport, json_answer, sse_answer
from minimax_magic.wire.http import HttpRequest

NEW = f"access-{MARK}-2"
CHAT_URL = "https://api.minimax.io/anthropic/v1/messages"
LIMITED = json_answer({"error": {"message": "rate limit (1002)"}}, status=429)
HELLO = json_answer(
    {
        "id": "r1",
        "type": "message",
        "role": "assistant",
        "model": "M",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
)


class Clock(ManualClock):
    """Jumps over the pauses of a request; the background's longer ones never end."""

    async def sleep(self, seconds: float) -> None:
        if seconds >= 20:
            await super().sleep(seconds)
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Server(FakeTransport):
    """Takes the access tokens that it is told to, and gives new ones.

    Args:
        taken: Bearers that are good.
        then: What a good one gets.
    """

    def __init__(self, *taken: str, then: Answer = HELLO) -> None:
        super().__init__(self.answer)
        self.taken = taken
        self.then = then
        self.bearers: list[str] = []
        self.refreshes = 0

    def answer(self, request: HttpRequest) -> Answer:
        if request.url == "https://account.minimax.io/oauth2/token":
            self.refreshes += 1
            return grant(self.refreshes + 1)
        assert request.url == CHAT_URL
        bearer = request.headers["Authorization"].removeprefix("Bearer ")
        self.bearers.append(bearer)
        if bearer in self.taken:
            return self.then
        return json_answer({"error": {"message": f"login fail for {bearer} (1004)"}}, status=401)


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("MINIMAX_")]:
        monkeypatch.delenv(name)
    for name in ("config", "data"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"MINIMAX_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.chdir(tmp_path)


def client(folder: Path, server: Server, content: TokenBundle, **more: Any) -> MiniMax:
    file = bundle_file(folder, content)
    options = {"requests_per_second": None, "clock": Clock(), **more}
    return MiniMax(bundle=file.path, transport=server, **options)


async def chat(client: Client) -> str:
    async with client:
        return (await client.chat("Hi")).text


def test_a_token_refused_before_its_time_is_refreshed_once(tmp_path: Path) -> None:
    """The request is sent again with the new token, and the caller sees nothing of it."""
    server = Server(NEW)
    clock = Clock()
    assert run(chat(client(tmp_path, server, bundle(900), clock=clock))) == "Hello"
    assert server.bearers == [ACCESS, NEW]
    assert server.refreshes == 1
    assert [pause for pause in clock.slept if pause < 20] == []
    kept = bundle_file(tmp_path).read()
    assert kept is not None
    assert kept.access_token.get_secret_value() == NEW


def test_a_second_refusal_is_final(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One refresh, one more request, then CredentialInvalid, which shows no token."""
    server = Server()
    with caplog.at_level(logging.DEBUG), pytest.raises(CredentialInvalid) as caught:
        run(chat(client(tmp_path, server, bundle(900))))
    assert (caught.value.status, caught.value.code) == (401, 1004)
    assert "region" in caught.value.hint
    assert server.bearers == [ACCESS, NEW]
    assert server.refreshes == 1
    assert MARK not in shown(caught.value)
    assert MARK not in caplog.text


def test_the_request_after_a_refresh_takes_a_slot(tmp_path: Path) -> None:
    """The limiter is asked for it as for any other."""
    clock = Clock()
    server = Server(NEW)
    run(chat(client(tmp_path, server, bundle(900), clock=clock, requests_per_second=0.5)))
    assert [pause for pause in clock.slept if pause < 20] == [2.0]


def test_the_request_after_a_refresh_is_no_attempt(tmp_path: Path) -> None:
    """A rate limit that follows still has all of its five attempts."""
    server = Server(NEW, then=LIMITED)
    with pytest.raises(RateLimitError):
        run(chat(client(tmp_path, server, bundle(900))))
    assert server.bearers == [ACCESS] + [NEW] * 5


def test_many_refused_requests_refresh_once(tmp_path: Path) -> None:
    """All requests in flight when a token is revoked go on with the same new one."""
    server = Server(NEW)

    async def go() -> None:
        async with client(tmp_path, server, bundle(900)) as many:
            replies = await asyncio.gather(*(many.chat("Hi") for _ in range(20)))
        assert {reply.text for reply in replies} == {"Hello"}

    run(go())
    assert server.refreshes == 1


def test_a_stream_is_refreshed_too(tmp_path: Path) -> None:
    """No retry is announced for it."""
    frames = [
        '{"type":"message_start","message":{"id":"r","model":"M","usage":{"input_tokens":1}}}',
        '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}',
        '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}',
        '{"type":"message_stop"}',
    ]
    server = Server(NEW, then=sse_answer(*(f"data: {frame}\n\n".encode() for frame in frames)))

    async def go() -> None:
        async with client(tmp_path, server, bundle(900)) as one, one.stream("Hi") as stream:
            events = [event async for event in stream]
        assert stream.reply.text == "Hello"
        assert not any(isinstance(event, RetryScheduled) for event in events)

    run(go())
    assert server.bearers == [ACCESS, NEW]


def test_a_static_key_is_not_sent_twice(tmp_path: Path) -> None:
    """There is no other key to try, so the first refusal is final."""
    server = Server()
    key = f"sk-cp-{MARK}"
    with pytest.raises(CredentialInvalid) as caught:
        run(
            chat(
                MiniMax(
                    api_key=key,
                    base_url="https://api.minimax.io/anthropic",
                    transport=server,
                    clock=Clock(),
                )
            )
        )
    assert server.bearers == [key]
    assert server.refreshes == 0
    assert MARK not in shown(caught.value)


def test_closing_ends_the_background(tmp_path: Path) -> None:
    """A client that is left is gone with all its tasks, and can be used again."""

    async def go() -> None:
        one = client(tmp_path, Server(ACCESS), bundle(900))
        for _ in range(2):
            assert await chat(one) == "Hello"
            assert asyncio.all_tasks() == {asyncio.current_task()}

    run(go())


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    """Asked for by name it is the only one that counts."""
    with pytest.raises(CredentialsMissing, match=r"mine\.json does not exist"):
        MiniMax(bundle=tmp_path / "mine.json", transport=Server(), clock=Clock())


def test_a_hostile_resource_url_gets_no_token(tmp_path: Path) -> None:
    """Requests then go to the region's own server."""
    for url in ("https://evil.example/anthropic", "https://["):
        server = Server(ACCESS)
        one = client(tmp_path, server, bundle(900, resource_url=url))
        assert run(chat(one)) == "Hello"
        assert [request.url for request in server.sent] == [CHAT_URL]
