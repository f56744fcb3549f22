"""Bytes over real sockets: timing, silence, broken lines, proxies, connections kept and closed."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from minimax_magic.client.client import Client
from minimax_magic.client.rate_limit import NoLimit
from minimax_magic.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    ConfigError,
    StreamInterrupted,
)
from minimax_magic.events import Finished, TextDelta
from minimax_magic.simulator import Drop, Fail, Reply, Silence, Simulator
from minimax_magic.testing import FakeAuth, FakeClock
from minimax_magic.transport import AiohttpTransport
from minimax_magic.wire.address import resolve_endpoint
from minimax_magic.wire.http import HttpRequest

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RawHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, 20))


@asynccontextmanager
async def transport() -> AsyncGenerator[AiohttpTransport, None]:
    made = AiohttpTransport()
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def serving(handler: Handler) -> AsyncGenerator[str, None]:
    """A server that answers everything with the handler; gives its address."""
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app, handler_cancellation=True) as server:
        yield str(server.make_url("/"))


@asynccontextmanager
async def raw_server(handler: RawHandler) -> AsyncGenerator[str, None]:
    """A server that is given bare bytes; gives `host:port`."""
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"{host}:{port}"
    finally:
        server.close()
        for writer in writers:
            writer.close()


def post(
    url: str, body: bytes = b"{}", silence_s: float | None = 5.0, **headers: str
) -> HttpRequest:
    return HttpRequest("POST", url, headers, body, silence_s)


def stream_of(*steps: bytes | float) -> Handler:
    """A handler that streams: bytes are written, numbers are seconds to wait."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for step in steps:
            if isinstance(step, bytes):
                await response.write(step)
            else:
                await asyncio.sleep(step)
        return response

    return handler


async def read(url: str, silence_s: float | None = 5.0) -> bytes:
    async with transport() as sender:
        response = await sender.send(post(url, silence_s=silence_s))
        try:
            return await response.read()
        finally:
            response.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def refused(sender: AiohttpTransport) -> None:
    with pytest.raises(APIConnectionError):
        await sender.send(post(f"http://127.0.0.1:{free_port()}/"))


def make_client(sender: AiohttpTransport, base_url: str, **more: Any) -> Client:
    parts: dict[str, Any] = {
        "endpoint": resolve_endpoint(base_url),
        "auth": FakeAuth("simulated-key"),
        "transport": sender,
        "limiter": NoLimit(),
        "clock": FakeClock(),
        "model": "MiniMax-M2.5",
        "user_agent": "test",
    }
    return Client(**{**parts, **more})


async def collect(client: Client) -> list[Any]:
    async with client.stream("Hi") as stream:
        return [event async for event in stream]


# ----------------------------------------------------------------------------- what is sent


def test_a_request_arrives_as_given() -> None:
    """Method, headers and body reach the server; header names of the answer match in lower case."""

    async def handler(request: web.Request) -> web.StreamResponse:
        sent = [request.method, request.headers["Authorization"], (await request.read()).decode()]
        return web.json_response(sent, headers={"Retry-After": "7"})

    async def go() -> None:
        async with serving(handler) as url, transport() as sender:
            response = await sender.send(post(url, b'{"a": 1}', Authorization="Bearer k"))
            assert (response.status, response.headers["retry-after"]) == (200, "7")
            assert response.headers.get("content-type", "").startswith("application/json")
            assert await response.read() == b'["POST", "Bearer k", "{\\"a\\": 1}"]'

    run(go())


def test_a_body_of_many_megabytes_is_sent_quietly() -> None:
    """Images make large bodies; they arrive whole, with their length, and without a warning."""
    body = b"x" * (5 * 1024 * 1024)

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.content_length == len(body)
        return web.Response(text=str(len(await request.read())))

    async def go() -> bytes:
        async with serving(handler) as url, transport() as sender:
            return await (await sender.send(post(url, body))).read()

    assert run(go()) == str(len(body)).encode()


def test_no_cookies_are_kept() -> None:
    """What a server sets is not sent back."""
    cookies = []

    async def handler(request: web.Request) -> web.StreamResponse:
        cookies.append(request.headers.get("Cookie"))
        response = web.Response(text="x")
        response.set_cookie("session", "1")
        return response

    async def go() -> None:
        async with serving(handler) as url, transport() as sender:
            url = url.replace("127.0.0.1", "localhost")  # bare addresses get no cookies anyway
            for _ in range(2):
                await (await sender.send(post(url))).read()

    run(go())
    assert cookies == [None, None]


def test_netrc_does_not_touch_the_bearer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password for the same host in ~/.netrc neither replaces the key nor stops the request."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=request.headers["Authorization"])

    async def go() -> bytes:
        async with serving(handler) as url, transport() as sender:
            return await (await sender.send(post(url, Authorization="Bearer k"))).read()

    assert run(go()) == b"Bearer k"


# --------------------------------------------------------------------------- time and silence


def test_chunks_come_when_they_are_sent() -> None:
    """Each piece is given as it arrives, not at the end."""

    async def go() -> list[tuple[bytes, float]]:
        async with serving(stream_of(b"a", 0.15, b"b", 0.15, b"c")) as url, transport() as sender:
            response = await sender.send(post(url))
            return [(chunk, time.monotonic()) async for chunk in response.chunks()]

    chunks = run(go())
    assert chunks[0][0] == b"a"
    assert b"".join(chunk for chunk, _ in chunks) == b"abc"
    assert chunks[-1][1] - chunks[0][1] > 0.1


def test_a_silent_stream_ends_in_a_timeout() -> None:
    """Silence inside an answer is measured from its last byte and named with its limit."""

    async def go() -> None:
        async with serving(stream_of(b"a", 60.0)) as url, transport() as sender:
            response = await sender.send(post(url, silence_s=0.5))
            chunks = response.chunks()
            assert await anext(chunks) == b"a"
            with pytest.raises(APITimeoutError, match=r"sent nothing for 0\.5 s"):
                await anext(chunks)
            response.close()

    run(go())


def test_a_dribbling_stream_may_last_longer_than_the_limit() -> None:
    """Only silence counts, never the total time."""

    async def go() -> bytes:
        steps = [step for _ in range(8) for step in (b"x", 0.15)]
        async with serving(stream_of(*steps)) as url:
            return await read(url, silence_s=0.8)

    assert run(go()) == b"x" * 8


def test_a_slow_reader_is_no_silent_server() -> None:
    """Time that the caller spends between two chunks does not count."""

    async def go() -> bytes:
        async with serving(stream_of(b"a", 0.02, b"b")) as url, transport() as sender:
            response = await sender.send(post(url, silence_s=0.5))
            got = b""
            async for chunk in response.chunks():
                got += chunk
                await asyncio.sleep(0.6)
            return got

    assert run(go()) == b"ab"


def test_a_server_that_never_answers_ends_in_a_timeout() -> None:
    """Silence before the head of an answer is limited as well."""

    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    async def go() -> None:
        async with serving(handler) as url:
            with pytest.raises(APITimeoutError):
                await read(url, silence_s=0.1)

    run(go())


def test_no_limit_means_no_limit() -> None:
    """With silence_s None a pause is waited out."""

    async def go() -> bytes:
        async with serving(stream_of(b"a", 0.2, b"b")) as url:
            return await read(url, silence_s=None)

    assert run(go()) == b"ab"


def test_a_broken_chunk_size_is_not_waited_for_for_ever() -> None:
    """aiohttp waits on such a stream without end, whatever its own read timeout says."""

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz")
        await reader.read()

    async def go() -> None:
        async with raw_server(broken) as address:
            with pytest.raises(APIConnectionError):
                await read(f"http://{address}/", silence_s=0.2)

    run(go())


# ------------------------------------------------------------------------------ broken lines


def lost(*pieces: bytes) -> RawHandler:
    """Answers with a chunked body that breaks off after these pieces."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await writer.drain()

    return handler


def test_a_line_that_breaks_in_the_middle_is_a_connection_error() -> None:
    """A body that does not come to its end is not taken for a whole one."""

    async def go() -> None:
        async with raw_server(lost(b"a", b"b")) as address:
            with pytest.raises(APIConnectionError, match="broke in the middle") as caught:
                await read(f"http://{address}/")
            assert not isinstance(caught.value, APITimeoutError)

    run(go())


def test_what_arrived_before_the_line_broke_is_given() -> None:
    """A reader that is behind still gets all that was received, and the error after it."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await asyncio.sleep(0.05)
        writer.write(b"1\r\nb\r\n")
        await asyncio.sleep(0.05)
        writer.write(b"1\r\nc\r\n")
        await writer.drain()

    async def go() -> bytes:
        async with raw_server(handler) as address, transport() as sender:
            response = await sender.send(post(f"http://{address}/"))
            chunks = response.chunks()
            got = await anext(chunks)
            await asyncio.sleep(0.3)
            got += await anext(chunks)
            with pytest.raises(APIConnectionError):
                await anext(chunks)
            response.close()
        return got

    assert run(go()) == b"abc"


def test_a_server_that_hangs_up_without_an_answer() -> None:
    """The host is named, with its port, and what it did."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async def go() -> None:
        async with raw_server(handler) as address:
            expected = f"{address} closed the connection without an answer"
            with pytest.raises(APIConnectionError, match=expected):
                await read(f"http://{address}/")

    run(go())


def test_a_server_that_speaks_no_http() -> None:
    """Anything but HTTP is a connection error, not one of the HTTP library."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        await writer.drain()

    async def go() -> None:
        async with raw_server(handler) as address:
            with pytest.raises(APIConnectionError):
                await read(f"http://{address}/")

    run(go())


def test_a_refused_connection_says_so() -> None:
    """Nobody listening: host, port and the system's word for it, with a hint."""
    port = free_port()
    with pytest.raises(APIConnectionError) as caught:
        run(read(f"http://127.0.0.1:{port}/"))
    assert str(caught.value).startswith(f"127.0.0.1:{port} cannot be reached: Connection refused.")
    assert "base_url" in caught.value.hint


def test_localhost_with_nobody_there_says_so_too() -> None:
    """A name with several addresses fails with the same words as one with one."""
    with pytest.raises(APIConnectionError, match="cannot be reached: Connection refused"):
        run(read(f"http://localhost:{free_port()}/"))


def test_an_unknown_host_is_named() -> None:
    """A name without address is told apart from a machine that does not answer."""
    with pytest.raises(APIConnectionError, match=r"name nowhere\.invalid was not found"):
        run(read("http://nowhere.invalid/"))


def test_an_error_has_its_cause_without_the_library_s_frames() -> None:
    """What went wrong stays chained for bug reports, but no frame that holds the headers does."""
    with pytest.raises(APIConnectionError) as caught:
        run(read(f"http://127.0.0.1:{free_port()}/"))
    cause = caught.value.__cause__
    assert type(cause).__name__ == "ClientConnectorError"
    assert cause.__traceback__ is None
    assert cause.__cause__ is None


def test_tls_to_a_server_without_it() -> None:
    """A failed handshake is a connection error that speaks of the secure connection."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async def go() -> None:
        async with raw_server(handler) as address:
            with pytest.raises(APIConnectionError, match="secure connection"):
                await read(f"https://{address}/")

    run(go())


# -------------------------------------------------------------------------------- redirects


def test_a_redirect_is_not_followed_and_names_both_hosts() -> None:
    """The key goes to no other host: the error names where it went and where it was sent on to."""
    asked = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        raise web.HTTPTemporaryRedirect("http://elsewhere.example/v1/steal")

    async def go() -> APIError:
        async with serving(handler) as url, transport() as sender:
            with pytest.raises(APIError) as caught:
                await make_client(sender, url).chat("Hi")
            return caught.value

    error = run(go())
    assert error.status == 307
    assert "127.0.0.1" in error.message
    assert "elsewhere.example" in error.message
    assert len(asked) == 1


# ---------------------------------------------------------------------------------- proxies


class Proxy:
    """Answers every request itself and remembers the request lines."""

    def __init__(self) -> None:
        self.heads: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if head.startswith("CONNECT"):
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy")
        await writer.drain()


def test_a_proxy_from_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY and HTTPS_PROXY are honoured, for plain requests and for tunnels."""
    proxy = Proxy()

    async def go() -> bytes:
        async with raw_server(proxy) as address:
            monkeypatch.setenv("HTTP_PROXY", f"http://{address}")
            monkeypatch.setenv("https_proxy", address)  # without a scheme, as curl takes it
            with pytest.raises(APIConnectionError, match="proxy on the way to minimax"):
                await read("https://minimax.invalid/v1")
            return await read("http://minimax.invalid/v1")

    assert run(go()) == b"proxy"
    assert proxy.heads[0].startswith("CONNECT minimax.invalid:443 HTTP/1.1")
    assert proxy.heads[1].startswith("POST http://minimax.invalid/v1 HTTP/1.1")


def test_a_bearer_is_not_shown_to_a_tunnelling_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers of the request stay inside the tunnel."""
    proxy = Proxy()

    async def go() -> None:
        async with raw_server(proxy) as address, transport() as sender:
            monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
            request = post("https://minimax.invalid/", Authorization="Bearer secret")
            with pytest.raises(APIConnectionError):
                await sender.send(request)

    run(go())
    assert "secret" not in proxy.heads[0]


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that NO_PROXY names is asked directly."""
    proxy = Proxy()

    async def go() -> None:
        async with raw_server(proxy) as address:
            monkeypatch.setenv("HTTP_PROXY", f"http://{address}")
            monkeypatch.setenv("NO_PROXY", ".invalid")
            with pytest.raises(APIConnectionError, match="not found"):
                await read("http://minimax.invalid/")

    run(go())
    assert proxy.heads == []


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_this_machine_is_never_reached_through_a_proxy(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's proxy does not stand between the notebook and a server beside it."""
    proxy = Proxy()

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text="direct")

    async def go() -> bytes:
        async with raw_server(proxy) as address, serving(handler) as url:
            monkeypatch.setenv("HTTP_PROXY", f"http://{address}")
            return await read(url.replace("127.0.0.1", name))

    assert run(go()) == b"direct"
    assert proxy.heads == []


def test_a_proxy_set_after_a_failure_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting the variable in the notebook helps at once, without a restart."""

    async def go() -> bytes:
        async with raw_server(Proxy()) as address, transport() as sender:
            with pytest.raises(APIConnectionError):
                await sender.send(post("http://minimax.invalid/"))
            monkeypatch.setenv("HTTP_PROXY", f"http://{address}")
            return await (await sender.send(post("http://minimax.invalid/"))).read()

    assert run(go()) == b"proxy"


def test_a_proxy_that_is_not_there_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error tells the proxy from the server behind it, and does not show its password."""
    monkeypatch.setenv("HTTP_PROXY", f"http://user:pass-word@127.0.0.1:{free_port()}")
    with pytest.raises(APIConnectionError, match="The proxy on the way to minimax") as caught:
        run(read("http://minimax.invalid/"))
    assert "pass-word" not in str(caught.value)
    assert "HTTPS_PROXY" in caught.value.hint


def test_a_socks_proxy_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be done is said before anything is sent, and what to do instead."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(ConfigError, match="HTTPS_PROXY names a socks5 proxy") as caught:
        run(read("https://minimax.invalid/"))
    assert "NO_PROXY" in caught.value.hint


# -------------------------------------------------------------- connections kept and closed


def test_a_connection_is_used_again_after_a_whole_answer() -> None:
    """Two requests one after the other go over one connection, streams and refusals included."""
    ports = []

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        if len(ports) == 2:
            return web.Response(status=400, text="no")
        return await stream_of(b"a", 0.01, b"b")(request)

    async def go() -> None:
        async with serving(handler) as url, transport() as sender:
            for _ in range(3):
                response = await sender.send(post(url))
                await response.read()
                response.close()
                response.close()  # twice does no harm

    run(go())
    assert len(ports) == 3
    assert len(set(ports)) == 1


def test_closing_an_answer_in_the_middle_closes_the_connection() -> None:
    """The server notices at once and can stop working."""

    async def go() -> None:
        gone = asyncio.Event()

        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                return await stream_of(b"a", 60.0)(request)
            finally:
                gone.set()

        async with serving(handler) as url, transport() as sender:
            response = await sender.send(post(url))
            async for _ in response.chunks():
                break
            assert not gone.is_set()
            response.close()
            await asyncio.wait_for(gone.wait(), 2)

    run(go())


def test_cancelling_the_wait_for_an_answer_closes_the_connection() -> None:
    """The same before the head of the answer has come."""

    async def go() -> None:
        came, gone = asyncio.Event(), asyncio.Event()

        async def handler(request: web.Request) -> web.StreamResponse:
            came.set()
            try:
                await asyncio.sleep(60)
            finally:
                gone.set()
            raise AssertionError

        async with serving(handler) as url, transport() as sender:
            task = asyncio.create_task(sender.send(post(url)))
            await came.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(gone.wait(), 2)

    run(go())


def test_it_works_on_one_loop_after_another() -> None:
    """A transport whose loop is gone makes new connections on the next, and says nothing of it."""
    server = Simulator()
    with server:
        sender = AiohttpTransport()

        async def once(*, close: bool) -> str:
            client = make_client(sender, server.url)
            text = (await client.chat("Hi")).text
            if close:
                await client.close()
            return text

        assert asyncio.run(once(close=True))
        assert asyncio.run(once(close=True))


def test_a_loop_that_ended_without_close_leaves_no_session_behind() -> None:
    """Connections left over from a dead loop are let go of when the next one starts."""

    async def last(sender: AiohttpTransport) -> None:
        await refused(sender)
        await sender.close()

    sender = AiohttpTransport()
    asyncio.run(refused(sender))
    asyncio.run(refused(sender))
    asyncio.run(last(sender))


def test_two_loops_at_once_do_not_disturb_each_other() -> None:
    """A request on one loop goes on while another loop starts, makes one of its own and ends."""

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/slow":
            return await stream_of(b"a", 0.3, b"b")(request)
        response = web.Response(text="quick")
        response.force_close()
        return response

    async def go() -> tuple[bytes, bytes, bytes]:
        async with serving(handler) as url, transport() as sender:

            async def other() -> bytes:
                return await (await sender.send(post(url))).read()

            chunks = (await sender.send(post(f"{url}slow"))).chunks()
            first = await anext(chunks)
            quick = await asyncio.to_thread(asyncio.run, other())
            return first, quick, await anext(chunks)

    assert run(go()) == (b"a", b"quick", b"b")


def test_close_reaches_the_connections_of_other_loops() -> None:
    """Connections of a loop that runs in another thread are closed there, on its own time."""
    background = asyncio.new_event_loop()
    thread = threading.Thread(target=background.run_forever)
    thread.start()

    async def go() -> None:
        hung_up = asyncio.Event()

        async def keep_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
            await reader.read()
            hung_up.set()

        async with raw_server(keep_alive) as address:
            sender = AiohttpTransport()

            async def there() -> bytes:
                request = HttpRequest("GET", f"http://{address}/", {})
                return await (await sender.send(request)).read()

            asked = asyncio.run_coroutine_threadsafe(there(), background)
            assert await asyncio.wrap_future(asked) == b"x"
            await sender.close()
            await asyncio.wait_for(hung_up.wait(), 2)

    try:
        run(go())
    finally:
        background.call_soon_threadsafe(background.stop)
        thread.join()
        background.close()


def test_a_closed_transport_opens_again() -> None:
    """`close` ends connections, not the object."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text="x")

    async def go() -> None:
        async with serving(handler) as url, transport() as sender:
            for _ in range(2):
                assert await (await sender.send(post(url))).read() == b"x"
                await sender.close()
                await sender.close()

    run(go())


def test_closing_during_an_answer_is_a_broken_line() -> None:
    """Whoever reads then gets one of our errors, not the library's."""

    async def go() -> None:
        async with serving(stream_of(b"a", 60.0)) as url, transport() as sender:
            response = await sender.send(post(url))
            chunks = response.chunks()
            await anext(chunks)
            await sender.close()
            with pytest.raises(APIConnectionError):
                await anext(chunks)
            response.close()

    run(go())


def test_many_first_requests_share_one_session() -> None:
    """Requests that start together open one session, also while an old one is being let go of."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text="x")

    async def go(sender: AiohttpTransport) -> int:
        async with serving(handler) as url:

            async def one() -> None:
                await (await sender.send(post(url))).read()

            await asyncio.gather(*(one() for _ in range(20)))
            sessions = len(sender._sessions)
            await sender.close()
            return sessions

    sender = AiohttpTransport()
    run(refused(sender))  # leaves the session of a loop that is gone
    assert run(go(sender)) == 1


# --------------------------------------------------------- the client on a real, local server


@pytest.mark.parametrize("flavor", ["openai_compat", "anthropic_messages"])
def test_an_answer_streams_from_the_simulator(flavor: str) -> None:
    """Text arrives piece by piece over either wire, and the reply is whole."""

    async def go() -> None:
        async with Simulator() as server, transport() as sender:
            server.script(Reply("Hello there", thinking="", chunk_chars=3, delay_s=0.02))
            client = make_client(sender, server.url, endpoint=resolve_endpoint(server.url, flavor))
            times = []
            async with client.stream("Hi") as stream:
                async for event in stream:
                    if isinstance(event, TextDelta):
                        times.append(time.monotonic())
            assert stream.reply.text == "Hello there"
            assert stream.reply.simulated
            assert len(times) >= 4
            assert times[-1] - times[0] > 0.04

    run(go())


def test_leaving_the_block_is_seen_by_the_server() -> None:
    """The simulator notices that nobody reads on, before the answer is over."""

    async def go() -> None:
        async with Simulator() as server, transport() as sender:
            server.script(Reply("word " * 200, thinking="", chunk_chars=5, delay_s=0.02))
            client = make_client(sender, server.url)
            async with client.stream("Hi") as stream:
                async for event in stream:
                    if isinstance(event, TextDelta):
                        break
            [received] = server.requests
            assert await asyncio.to_thread(received.finished.wait, 2)
            assert received.closed_early
            assert received.chunks_sent < 100

    run(go())


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Silence(after_chunks=3, of=Reply("Hello there", thinking="", chunk_chars=3)), "timeout"),
        (Drop(after_chunks=3, of=Reply("Hello there", thinking="", chunk_chars=3)), "disconnected"),
        (
            Drop(after_chunks=3, of=Reply("Hello there", thinking="", chunk_chars=3), clean=True),
            "truncated",
        ),
    ],
)
def test_an_interrupted_stream_keeps_what_came(behaviour: Any, reason: str) -> None:
    """Silence, a lost line and an early end over real sockets give the text up to there."""

    async def go() -> StreamInterrupted:
        async with Simulator() as server, transport() as sender:
            server.script(behaviour)
            client = make_client(sender, server.url, idle_timeout_s=0.8)
            with pytest.raises(StreamInterrupted) as caught:
                await collect(client)
            assert len(server.requests) == 1
            return caught.value

    error = run(go())
    assert error.reason == reason
    assert error.partial.text
    assert "Hello there".startswith(error.partial.text)


def test_a_failed_attempt_is_made_again_on_the_same_connection() -> None:
    """A 503 and the good answer after it need one connection only."""

    async def go() -> None:
        async with Simulator() as server, transport() as sender:
            server.script(Fail(status=503), Reply("Hello", thinking=""))
            client = make_client(sender, server.url)
            assert isinstance((await collect(client))[-1], Finished)
            assert len(server.requests) == 2

    run(go())
