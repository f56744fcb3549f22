"""A client with a login: a token that is refused in the middle of its life."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest
from auth_fakes import ACCESS, MARK, ManualClock, bundle, bundle_file, grant, run, shown

from minimax_magic import MiniMax, login
from minimax_magic.auth.bundle import TokenBundle
from minimax_magic.auth.bundle_file import BundleFile
from minimax_magic.auth.oauth import LOGIN_AGAIN
from minimax_magic.client.client import Client
from minimax_magic.errors import (
    ConfigError,
    CredentialInvalid,
    CredentialsMissing,
    RateLimitError,
)
from minimax_magic.events import RetryScheduled
from minimax_magic.simulator import Simulator
from minimax_magic.testing import Answer, FakeClock, FakeTransport, json_answer, sse_answer
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


def client(folder: Path, server: FakeTransport, content: TokenBundle, **more: Any) -> MiniMax:
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
    assert caught.value.hint == (
        "It is not taken although it was just renewed: log in again with `%minimax login`, and check "
        "the region."
    )
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


def test_an_ended_login_keeps_its_own_words(tmp_path: Path) -> None:
    """The refresh was refused before any request: it is not tried twice, nor called a refused key."""
    dead = json_answer({"error": "invalid_grant"}, status=400)
    transport = FakeTransport(dead)
    with pytest.raises(CredentialInvalid, match="The login has ended") as caught:
        run(chat(client(tmp_path, transport, bundle(0))))
    assert caught.value.hint == LOGIN_AGAIN
    assert len(transport.sent) == 1


# ---------------------------------------------------------------------------- signed in elsewhere


def test_a_server_never_sees_a_token_of_another(tmp_path: Path) -> None:
    """Somebody signs in at B with the file of a client that was made for A: A gets no request, B no
    refresh, and a new client goes to B."""
    file = tmp_path / "b.json"

    async def go(a: Simulator, b: Simulator) -> None:
        await login(a.url, file, lambda _: a.account.approve(), clock=FakeClock(time.time()))
        async with MiniMax(bundle=file, requests_per_second=None) as one:
            await one.chat("one")
            await login(b.url, file, lambda _: b.account.approve(), clock=FakeClock(time.time()))
            seen = len(a.requests), len(b.requests)
            for _ in range(2):
                with pytest.raises(ConfigError) as caught:
                    await one.chat("two")
                assert a.url in caught.value.message
                assert b.url in caught.value.message
            assert (len(a.requests), len(b.requests)) == seen
        assert b.account.refreshes == 0
        theirs = json.loads(file.read_text())["access_token"]
        assert theirs not in repr([dict(request.headers) for request in a.requests])
        async with MiniMax(bundle=file, requests_per_second=None) as other:
            await other.chat("three")
        assert len(a.requests) == seen[0]
        assert f"Bearer {theirs}" in [
            request.headers.get("Authorization") for request in b.requests
        ]

    with Simulator() as a, Simulator() as b:
        run(go(a, b))


@pytest.mark.parametrize("left_s", [900, 0])
def test_signing_in_elsewhere_during_a_request(tmp_path: Path, left_s: float) -> None:
    """A 401 of the old server does not lead to the new login's token, nor to its refresh."""
    file = bundle_file(tmp_path)
    there = bundle(left_s, region="https://api.minimaxi.com", access_token=f"theirs-{MARK}")

    def refuse(request: HttpRequest) -> Answer:
        BundleFile(file.path).write(there)
        return json_answer({"error": {"message": "login fail (1004)"}}, status=401)

    transport = FakeTransport(refuse)
    with pytest.raises(ConfigError, match=r"for https://api.minimaxi.com now.*api.minimax.io"):
        run(chat(client(tmp_path, transport, bundle(900))))
    assert [request.headers["Authorization"] for request in transport.sent] == [f"Bearer {ACCESS}"]


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
    assert "renewed" not in caught.value.hint
    assert "key" in caught.value.hint
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
