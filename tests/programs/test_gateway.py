"""The gateway: who is let through, what is sent on, and how answers stream through it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from minimax_magic.errors import APIConnectionError, APITimeoutError, ConfigError, CredentialInvalid
from minimax_magic.programs.gateway import Gateway
from minimax_magic.programs.gateway_file import NONCE_HEADER, PROOF_HEADER, GatewayFiles, proof
from minimax_magic.simulator import Reply, Simulator
from minimax_magic.testing import Answer, FakeAuth, FakeTransport, json_answer, sse_answer
from minimax_magic.transport import AiohttpTransport, HttpResponse
from minimax_magic.wire.http import HttpRequest

ROOT = "https://api.minimax.io"
MESSAGES = "/anthropic/v1/messages"
CHAT = "/v1/chat/completions"
PROMPT = {"model": "MiniMax-M2.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


class Got:
    """An answer, read to its end."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Program:
    """Another program: it knows the gateway's address and key, and nothing else."""

    def __init__(self, gateway: Gateway, http: aiohttp.ClientSession) -> None:
        self.gateway, self.http = gateway, http

    async def ask(
        self,
        path: str = MESSAGES,
        method: str = "POST",
        body: bytes = b"{}",
        key: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        **more: Any,
    ) -> Got:
        named = CIMultiDict([(name.replace("_", "-"), str(value)) for name, value in more.items()])
        named.extend(headers)
        if key != "":
            named.setdefault("x-api-key", key or self.gateway.key)
        async with self.http.request(
            method,
            URL(f"{self.gateway.url}{path}", encoded=True),
            data=io.BytesIO(body),
            headers=named,
        ) as response:
            return Got(response.status, response.headers, await response.read())


def through(
    transport: Any, auth: Any, use: Callable[[Program], Awaitable[Any]], root: str = ROOT
) -> Any:
    """What `use` gives, with a program before a gateway."""

    async def run() -> Any:
        async with Gateway(root, auth, transport) as gateway, aiohttp.ClientSession() as http:
            return await use(Program(gateway, http))

    return asyncio.run(run())


def ask_once(transport: Any, auth: Any | None = None, **asked: Any) -> Got:
    async def use(program: Program) -> Got:
        return await program.ask(**asked)

    got = through(transport, auth or FakeAuth("the-bearer"), use)
    assert isinstance(got, Got)
    return got


# ---------------------------------------------------------------------------------- sending on


def test_a_request_goes_on_with_the_bearer_and_nothing_of_the_program() -> None:
    """Body, path and query stay; the program's key, name and cookies do not go on."""
    transport = FakeTransport(json_answer({"id": "1"}, request_id="r1", set_cookie="a=b"))
    got = ask_once(
        transport,
        path=f"{MESSAGES}?beta=true",
        body=b'{"a": 1}',
        anthropic_version="2023-06-01",
        headers=[("anthropic-beta", "tools"), ("anthropic-beta", "files")],
        content_type="application/json",
        user_agent="aider",
        cookie="secret=1",
        x_stainless_os="Linux",
    )
    assert (got.status, got.json) == (200, {"id": "1"})
    assert got.headers["request-id"] == "r1"
    assert "set-cookie" not in got.headers
    (sent,) = transport.sent
    assert (sent.method, sent.url, sent.body) == (
        "POST",
        f"{ROOT}{MESSAGES}?beta=true",
        b'{"a": 1}',
    )
    headers = {name.lower(): value for name, value in sent.headers.items()}
    assert headers.pop("user-agent").startswith("minimax-magic/")
    assert headers == {
        "authorization": "Bearer the-bearer",
        "content-type": "application/json",
        "accept": "*/*",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "tools, files",
        "accept-encoding": "identity",
    }


@pytest.mark.parametrize("header", ["x_api_key", "authorization"])
def test_both_headers_of_programs_are_taken(header: str) -> None:
    """The gateway's key may come as x-api-key or as bearer, with an old key in the other one."""

    async def use(program: Program) -> int:
        key = str(program.gateway.key)
        other = "authorization" if header == "x_api_key" else "x_api_key"
        keys = {header: key, other: "Bearer old" if other == "authorization" else "old"}
        if header == "authorization":
            keys[header] = f"Bearer {key}"
        return (await program.ask(CHAT, key="", **keys)).status

    assert through(FakeTransport(json_answer({})), FakeAuth(), use) == 200


@pytest.mark.parametrize(
    ("path", "shape"),
    [(MESSAGES, {"type": "error"}), (CHAT, {})],
    ids=["anthropic", "openai"],
)
def test_a_wrong_key_is_the_gateways(path: str, shape: dict[str, str]) -> None:
    """401 says that it is the gateway's key that is wrong, in the shape of the wire."""
    transport = FakeTransport(json_answer({}))
    got = ask_once(transport, path=path, key="sk-api-something")
    assert got.status == 401
    error = got.json["error"]
    assert error["type"] == "authentication_error"
    assert "The key of the gateway is wrong" in error["message"]
    assert ("param" in error) is (not shape)
    assert got.json.get("type") == shape.get("type")
    assert b"sk-api-something" not in got.body
    assert not transport.sent


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"path": "/"}, 404),
        ({"path": "/account/query_balance", "method": "GET"}, 404),
        ({"path": "/v1/%2e%2e/account/query_balance", "method": "GET"}, 404),
        ({"path": "/v1/..%2faccount/query_balance", "method": "GET"}, 404),
        ({"path": "/v1x/models", "method": "GET"}, 404),
        ({"path": "/anthropic/..;/account", "method": "GET"}, 404),
        ({"path": "/v1/.%2e;a=b/account", "method": "GET"}, 404),
        ({"path": "/v1/..%5caccount", "method": "GET"}, 404),
        ({"path": "/anthropic/%252e%252e/account", "method": "GET"}, 404),
        ({"path": "/v1/%00", "method": "GET"}, 404),
        ({"path": "/v1//models", "method": "GET"}, 404),
        ({"path": "/", "x_minimax_nonce": "1", "host": "rebound.example.com"}, 403),
        ({"content_encoding": "gzip", "body": b"no gzip"}, 400),
        ({"method": "PUT"}, 405),
        ({"method": "PATCH"}, 405),
        ({"method": "OPTIONS"}, 204),
        ({"origin": "https://example.com"}, 403),
        ({"origin": "null", "method": "OPTIONS"}, 403),
        ({"host": "rebound.example.com"}, 403),
        ({"host": "127.0.0.1"}, 403),
    ],
)
def test_what_is_not_let_through(asked: dict[str, str], status: int) -> None:
    """Other paths, methods, hosts and web pages get an answer of the gateway, and no CORS."""
    transport = FakeTransport(json_answer({}))
    got = ask_once(transport, **asked)
    assert got.status == status
    assert not transport.sent
    assert not [name for name in got.headers if name.lower().startswith("access-control")]
    if status in (400, 403, 404):
        assert got.body.count(b"\n") == 1
        assert got.json["error"]["message"]


def test_localhost_is_the_same_place() -> None:
    """`localhost:port` is as good a Host as the number."""

    async def use(program: Program) -> int:
        port = program.gateway.url.rpartition(":")[2]
        return (await program.ask(host=f"localhost:{port}")).status

    assert through(FakeTransport(json_answer({})), FakeAuth(), use) == 200


def test_head_has_no_body() -> None:
    """HEAD is sent on as HEAD; its answers, also those of the gateway, have no body."""
    transport = FakeTransport(Answer(200, {"content-type": "application/json"}))
    got = ask_once(transport, path="/v1/models", method="HEAD", body=b"")
    assert (got.status, got.body, transport.sent[0].method) == (200, b"", "HEAD")
    got = ask_once(transport, path="/", method="HEAD", body=b"")
    assert (got.status, got.body) == (404, b"")


def test_a_request_of_more_than_64_mb_is_refused() -> None:
    """What MiniMax would not take is not sent."""
    transport = FakeTransport(json_answer({}))
    got = ask_once(transport, body=b" " * (64 * 2**20 + 1))
    assert got.status == 413
    assert not transport.sent


# ------------------------------------------------------------------------------------ refusals


def refused() -> Answer:
    return json_answer({"type": "error", "error": {"message": "no such token the-bearer"}}, 401)


class Noting(FakeAuth):
    """Notes which token was refused."""

    refused: str | None = None

    async def force_refresh(self, refused: str | None = None) -> bool:
        self.refused = refused
        return await super().force_refresh(refused)


def test_a_401_is_tried_once_more_with_a_new_token() -> None:
    """After a refresh of the refused token the same request is sent again, and the program sees only
    the good answer."""
    first = refused()
    transport = FakeTransport(first, json_answer({"id": "1"}))
    auth = Noting("old", "new")
    got = ask_once(transport, auth, body=b"the body")
    assert (got.status, auth.refreshes, auth.refused) == (200, 1, "old")
    assert [sent.headers["Authorization"] for sent in transport.sent] == [
        "Bearer old",
        "Bearer new",
    ]
    assert [sent.body for sent in transport.sent] == [b"the body"] * 2
    assert first.closed


def test_a_second_401_is_passed_on() -> None:
    """One refresh for a request; the token is masked in what the server says of it."""
    transport = FakeTransport(refused())
    auth = FakeAuth("old", "the-bearer", "never")
    got = ask_once(transport, auth)
    assert (got.status, auth.refreshes, len(transport.sent)) == (401, 1, 2)
    assert got.json["error"]["message"] == "no such token ***"


def test_a_static_key_is_not_tried_twice() -> None:
    """Where no other token is to be had, the 401 is passed on at once."""
    transport = FakeTransport(refused())
    assert ask_once(transport).status == 401
    assert len(transport.sent) == 1


class EndedLogin(FakeAuth):
    async def fresh_bearer(self) -> str:
        raise CredentialInvalid("The login has ended.", hint="Log in again.")


def test_a_login_that_has_ended_says_so() -> None:
    """Why there is no token stands in the 401."""
    got = ask_once(FakeTransport(json_answer({})), EndedLogin())
    assert got.status == 401
    assert "The login has ended." in got.json["error"]["message"]


@pytest.mark.parametrize(
    ("error", "status"), [(APIConnectionError("No way."), 502), (APITimeoutError("Silent."), 504)]
)
def test_a_server_out_of_reach_is_told_in_one_line(error: APIConnectionError, status: int) -> None:
    """502 or 504, with what went wrong."""
    got = ask_once(FakeTransport(error))
    assert got.status == status
    assert got.json["error"]["message"].startswith(error.message)


def test_a_redirect_is_not_followed_nor_passed_on() -> None:
    """The bearer goes nowhere else."""
    got = ask_once(FakeTransport(Answer(302, {"location": "https://evil.example"})))
    assert got.status == 502
    assert "location" not in got.headers


def test_other_errors_pass_as_they_are() -> None:
    """Status, Retry-After and words of the server reach the program."""
    words = {"error": {"message": "rate limit (1002)"}}
    told = {
        "retry-after": "3",
        "retry-after-ms": "2900",
        "x-should-retry": "false",
        "anthropic-ratelimit-tokens-remaining": "0",
    }
    got = ask_once(FakeTransport(json_answer(words, 429, **told)))
    assert (got.status, got.json) == (429, words)
    assert {name: got.headers.get(name) for name in told} == told


# ----------------------------------------------------------------------------------- streaming


class Dripping:
    """A transport whose answer gives a piece each time that it is told to, and notes its end."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.taken = 0
        self.status = 200
        self.headers: Mapping[str, str] = {"content-type": "text/event-stream"}

    async def send(self, request: HttpRequest) -> HttpResponse:
        return self

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        while piece := await self.pieces.get():
            self.taken += 1
            yield piece

    async def read(self) -> bytes:
        return b""

    def close(self) -> None:
        self.closed.set()


def dripping(use: Callable[[Dripping, aiohttp.ClientResponse], Awaitable[None]]) -> Dripping:
    async def run() -> Dripping:
        upstream = Dripping()
        async with (
            Gateway(ROOT, FakeAuth(), upstream) as gateway,  # type: ignore[arg-type]
            aiohttp.ClientSession() as http,
        ):
            await upstream.pieces.put(b"data: 1\n\n")
            response = await http.post(
                f"{gateway.url}{MESSAGES}", headers={"x-api-key": gateway.key}
            )
            await use(upstream, response)
            response.close()
            async with asyncio.timeout(5):
                await upstream.closed.wait()
            return upstream

    return asyncio.run(run())


def test_pieces_arrive_one_by_one() -> None:
    """A piece is given on before the next one exists."""

    async def use(upstream: Dripping, response: aiohttp.ClientResponse) -> None:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert await response.content.readany() == b"data: 1\n\n"
        await upstream.pieces.put(b"data: 2\n\n")
        assert await response.content.readany() == b"data: 2\n\n"
        await upstream.pieces.put(b"")
        assert await response.content.readany() == b""

    dripping(use)


def test_a_program_that_goes_away_ends_the_request_upstream() -> None:
    """The answer upstream is closed, although nothing more came from there."""

    async def use(upstream: Dripping, response: aiohttp.ClientResponse) -> None:
        await response.content.readany()
        assert not upstream.closed.is_set()

    dripping(use)


def test_who_does_not_read_is_waited_for() -> None:
    """The gateway takes no more from the server than the line to the program holds."""

    async def use(upstream: Dripping, response: aiohttp.ClientResponse) -> None:
        for _ in range(400):
            await upstream.pieces.put(bytes(2**18))
        before = -1
        while before != upstream.taken:
            before = upstream.taken
            await asyncio.sleep(0.2)

    assert dripping(use).taken < 200


def test_a_broken_stream_does_not_pass_for_a_whole_one() -> None:
    """When the line to the server breaks, so does the one to the program."""

    async def use(program: Program) -> None:
        with pytest.raises(aiohttp.ClientError):
            await program.ask()

    through(FakeTransport(sse_answer(b"data: 1\n\n", APIConnectionError("Gone."))), FakeAuth(), use)


def test_closing_breaks_off_open_streams() -> None:
    """A gateway that ends does not wait for a stream that does not."""

    async def run() -> bool:
        upstream = Dripping()
        async with aiohttp.ClientSession() as http:
            async with Gateway(ROOT, FakeAuth(), upstream) as gateway:  # type: ignore[arg-type]
                await upstream.pieces.put(b"data: 1\n\n")
                response = await http.post(
                    f"{gateway.url}{MESSAGES}", headers={"x-api-key": gateway.key}
                )
                await response.content.readany()
                started = asyncio.get_running_loop().time()
            assert asyncio.get_running_loop().time() - started < 2
            with pytest.raises(aiohttp.ClientError):
                await response.content.read()
            response.close()
            return upstream.closed.is_set()

    assert asyncio.run(run())


def test_the_simulator_streams_through_it_and_sees_a_program_leave() -> None:
    """With real HTTP on both sides: an answer arrives, and one nobody waits for is closed."""

    async def run() -> None:
        async with Simulator() as sim, aiohttp.ClientSession() as http:
            transport = AiohttpTransport()
            async with Gateway(sim.url, FakeAuth(sim.key), transport) as gateway:
                sim.script(
                    Reply("Hello there", thinking=""),
                    Reply("x" * 4000, thinking="", chunk_chars=1, delay_s=0.05),
                )
                url, headers = f"{gateway.url}{MESSAGES}", {"x-api-key": gateway.key}
                async with http.post(url, headers=headers, json=PROMPT) as response:
                    answer = await response.json()
                assert answer["content"][0]["text"] == "Hello there"
                response = await http.post(url, headers=headers, json={**PROMPT, "stream": True})
                assert await response.content.readline()
                response.close()
                async with asyncio.timeout(5):
                    while not sim.requests[-1].closed_early:
                        await asyncio.sleep(0.01)
            await transport.close()

    asyncio.run(run())


# ------------------------------------------------------------------------- secrets and its file


def test_nothing_secret_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Neither keys nor bodies are in the log or a repr, not even of a request that is no HTTP."""
    caplog.set_level(logging.DEBUG)

    async def run() -> str:
        transport = FakeTransport(json_answer({}))
        gateway = Gateway(ROOT, FakeAuth("the-bearer"), transport)
        async with gateway, aiohttp.ClientSession() as http:
            await Program(gateway, http).ask(body=b"the-body")
            port = int(gateway.url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /v1/x HTTP/1.1\r\nx-api-key the-broken-key\r\n\r\n")
            assert b"400" in await reader.readline()
            writer.close()
            return f"{gateway!r} {gateway.__dict__!r} {gateway.key}"

    *shown, key = asyncio.run(run()).split()
    everything = caplog.text + " ".join(shown)
    for secret in (key, "the-bearer", "the-body", "the-broken-key"):
        assert secret not in everything


def test_each_gateway_has_a_key_of_its_own() -> None:
    """Keys are long and random; a given one is taken."""
    one, two = (Gateway(ROOT, FakeAuth(), FakeTransport(json_answer({}))) for _ in range(2))
    assert one.key != two.key
    assert len(one.key) > 40
    assert Gateway(ROOT, FakeAuth(), FakeTransport(json_answer({})), key="mine").key == "mine"


def test_a_taken_port_is_told() -> None:
    """Two gateways on one port: the second is refused in one line, and can be left alone."""

    async def use(program: Program) -> None:
        port = int(program.gateway.url.rpartition(":")[2])
        with pytest.raises(ConfigError, match=f"port {port}"):
            await Gateway(ROOT, FakeAuth(), FakeTransport(json_answer({})), port=port).__aenter__()

    through(FakeTransport(json_answer({})), FakeAuth(), use)


def written(folder: Path, gateway: Gateway) -> GatewayFiles:
    files = GatewayFiles(folder)
    files.write(gateway.url, gateway.key, gateway.root, "key k")
    return files


def test_a_running_gateway_is_found_by_its_file(tmp_path: Path) -> None:
    """The file is its owner's alone and leads to the gateway, for as long as it runs."""

    async def run() -> None:
        transport = AiohttpTransport()
        async with Gateway(ROOT, FakeAuth(), FakeTransport(json_answer({}))) as gateway:
            files = written(tmp_path, gateway)
            (found,) = await files.running(transport)
            assert (found.url, found.key, found.root) == (gateway.url, gateway.key, ROOT)
            assert found.sends("key k")
            assert not found.sends("key l")
            assert str(gateway.key) not in repr(found)
            if os.name == "posix":
                assert stat.S_IMODE(files.path(gateway.url).stat().st_mode) == 0o600
            port = int(gateway.url.rpartition(":")[2])
        assert await files.running(transport) == [], "killed: the file is left"
        another = Gateway(ROOT, FakeAuth(), FakeTransport(json_answer({})), port=port)
        async with another:
            assert await files.running(transport) == [], "somebody else is at the port"
            assert files.read(), "looking removes nothing"
            await files.remove_dead(transport)
            assert not files.read()
        await transport.close()

    asyncio.run(run())


def test_two_gateways_have_a_file_each(tmp_path: Path) -> None:
    """The end of one leaves the other to be found; of two the one that was started last comes first."""

    async def run() -> None:
        transport = AiohttpTransport()
        async with Gateway(ROOT, FakeAuth(), FakeTransport(json_answer({}))) as first:
            files = written(tmp_path, first)
            os.utime(files.path(first.url), (1, 1))
            async with Gateway(ROOT, FakeAuth(), FakeTransport(json_answer({}))) as second:
                written(tmp_path, second)
                await files.remove_dead(transport)
                urls = [found.url for found in await files.running(transport)]
                assert urls == [second.url, first.url]
                files.remove(second.url)
            assert [found.url for found in await files.running(transport)] == [first.url]
        await transport.close()

    asyncio.run(run())


def test_only_who_knows_the_key_can_say_that_it_is_the_gateway(tmp_path: Path) -> None:
    """What is told to anybody who asks is of no use for another question, and is no part of the key."""
    assert proof("key", "1") != proof("key", "2") != proof("another", "2")

    async def use(program: Program) -> None:
        head = {"path": "/", "method": "HEAD", "body": b"", "key": ""}
        got = await program.ask(**head, headers=[(NONCE_HEADER, "1")])
        assert got.headers[PROOF_HEADER] == proof(program.gateway.key, "1")
        assert PROOF_HEADER not in (await program.ask(**head)).headers
        # a program that repeats what it was told once
        squatter = FakeTransport(Answer(204, {PROOF_HEADER: got.headers[PROOF_HEADER]}))
        assert await written(tmp_path, program.gateway).running(squatter) == []

    through(FakeTransport(json_answer({})), FakeAuth(), use)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "no json", '{"url": 1, "key": 2}', "[" * 50_000, "\x00"]
)
def test_a_file_of_anything_else_is_no_gateway(tmp_path: Path, text: str) -> None:
    """A damaged file is as good as none."""
    (tmp_path / "gateway-1.json").write_text(text)
    assert GatewayFiles(tmp_path).read() == []


def test_a_file_that_names_another_machine_is_no_gateway(tmp_path: Path) -> None:
    """No program is ever sent away from this machine."""
    files = GatewayFiles(tmp_path)
    files.write("http://example.com:80", "k", ROOT, "key k")
    assert files.read() == []
