"""The steps to a server, on this machine: names, ports, certificates, a proxy between."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from minimax_magic.doctor import network as steps
from minimax_magic.doctor.network import SystemNetwork, TLSFailed
from minimax_magic.errors import APIConnectionError, APITimeoutError, ConfigError

PASSWORD = "PLANTED-proxy-password"


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 10))


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that signed itself, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
    words += " -subj /O=Sniffing-Ltd/CN=localhost -addext subjectAltName=DNS:localhost"
    command = [
        "openssl",
        *words.split(),
        "-keyout",
        str(file),
        "-out",
        str(file.with_name("c.pem")),
    ]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text(file.read_text() + file.with_name("c.pem").read_text())
    return file


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve, **options: Any) -> AsyncIterator[int]:
    """Something that listens; gives its port. Who connected is closed at the end."""
    writers: list[asyncio.StreamWriter] = []

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await serve(reader, writer)

    listening = await asyncio.start_server(met, "127.0.0.1", 0, **options)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        for writer in writers:
            writer.close()
        listening.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing."""


def secure(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time is lost on what never answers."""
    monkeypatch.setattr(steps, "CONNECT_S", 0.2)


def test_a_name_has_addresses() -> None:
    """A name is resolved to its addresses, each of them once."""
    addresses = run(SystemNetwork().resolve("localhost", 443))
    assert {"127.0.0.1", "::1"} >= set(addresses) != set()
    assert len(addresses) == len(set(addresses))


@pytest.mark.parametrize("name", ["nowhere.invalid", "two..dots.invalid", "x" * 70 + ".invalid"])
def test_a_name_that_is_none(name: str) -> None:
    """A name without an address, and one that cannot be a name, end in the same sentence."""
    with pytest.raises(APIConnectionError, match=r"The name .* was not found"):
        run(SystemNetwork().resolve(name, 443))


def test_an_open_port_is_reached() -> None:
    """A connection is opened and closed again."""

    async def go() -> None:
        async with server(silent) as port:
            await SystemNetwork().connect("127.0.0.1", port)

    run(go())


def test_a_silent_name_server_holds_nobody_up_at_the_end(tmp_path: Path) -> None:
    """A look-up that was given up does not keep the program from ending."""
    code = """
import asyncio, socket, time
from minimax_magic.doctor import network
network.CONNECT_S = 0.1
socket.getaddrinfo = lambda *_, **__: time.sleep(30)
try:
    asyncio.run(network.SystemNetwork().resolve("api.minimax.io", 443))
except Exception as error:
    print(error.message)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == "The name api.minimax.io was not found within 0.1 s.\n"
    assert done.stderr == ""


def test_an_address_that_does_not_answer_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken IPv6 beside a good IPv4 is no fault, as it is none for requests: both are tried."""

    async def go() -> None:
        loop = asyncio.get_running_loop()
        connect = loop.sock_connect

        async def half(sock: socket.socket, address: Any) -> None:
            if sock.family == socket.AF_INET6:
                await asyncio.Event().wait()
            await connect(sock, address)

        async def both(host: str, port: int, **_: Any) -> list[Any]:
            kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            good = (socket.AF_INET, *kind, ("127.0.0.1", port))
            return [(socket.AF_INET6, *kind, ("::1", port, 0, 0)), good]

        async with server(silent) as port:
            monkeypatch.setattr(loop, "sock_connect", half)
            monkeypatch.setattr(loop, "getaddrinfo", both)
            await SystemNetwork().connect("api.minimax.invalid", port)

    monkeypatch.setattr(steps, "CONNECT_S", 3.0)
    run(go())


def test_a_closed_port_is_refused() -> None:
    """The system's own word for it is said, with host and port."""
    port = closed_port()
    with pytest.raises(
        APIConnectionError, match=rf"127\.0\.0\.1 .* port {port}: Connection refused"
    ):
        run(SystemNetwork().connect("127.0.0.1", port))


@pytest.mark.usefixtures("quiet")
def test_a_handshake_without_answer_is_given_up() -> None:
    """A server that accepts and stays silent is not waited for for ever."""

    async def go() -> None:
        async with server(silent) as port:
            await SystemNetwork().handshake("localhost", port)

    begun = time.monotonic()
    with pytest.raises(APITimeoutError, match=r"TLS handshake within 0\.2 s"):
        run(go())
    assert time.monotonic() - begun < 5


def test_a_certificate_that_signed_itself_is_refused_and_named(certificate: Path) -> None:
    """Who signed it is said although it is not trusted: that tells a company's proxy."""

    async def go() -> None:
        async with server(silent, ssl=secure(certificate)) as port:
            await SystemNetwork().handshake("localhost", port)

    with pytest.raises(TLSFailed, match="self-signed certificate") as caught:
        run(go())
    assert caught.value.issuer == "Sniffing-Ltd"
    assert "SSL_CERT_FILE" in caught.value.hint


def test_a_certificate_for_another_name_is_refused(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is trusted, but for another host, is told as just that."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def go() -> None:
        async with server(silent, ssl=secure(certificate)) as port:
            await SystemNetwork().handshake("127.0.0.1", port)

    with pytest.raises(TLSFailed, match=r"(?i)mismatch") as caught:
        run(go())
    assert ".." not in caught.value.message


def test_a_trusted_certificate_is_shown(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE counts, as it does for requests; issuer, end and protocol are given."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def go() -> Any:
        async with server(silent, ssl=secure(certificate)) as port:
            return await SystemNetwork().handshake("localhost", port)

    shown = run(go())
    assert shown.issuer == "Sniffing-Ltd"
    assert shown.version.startswith("TLSv1")
    assert 29 < (shown.expires_at.timestamp() - time.time()) / 86400 < 31


def test_a_server_without_tls_is_told_apart() -> None:
    """Plain http where https was expected is a TLS failure, in words and not in a code."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async def go() -> None:
        async with server(plain) as port:
            await SystemNetwork().handshake("localhost", port)

    with pytest.raises(TLSFailed, match="The secure connection to localhost failed: wrong version"):
        run(go())


def proxy(to: int, seen: list[bytes], refuse: bytes = b"") -> Serve:
    """A proxy that leads to a port of this machine."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        if refuse:
            writer.write(refuse)
            await writer.drain()
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(4096):
                target.write(data)
            target.close()

        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    return serve


def test_through_a_proxy_the_certificate_of_the_server_is_seen(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is asked for a tunnel, with its user and password, and TLS is spoken with the server."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    seen: list[bytes] = []

    async def go() -> Any:
        async with (
            server(silent, ssl=secure(certificate)) as far,
            server(proxy(far, seen)) as near,
        ):
            address = f"http://me:{PASSWORD}@127.0.0.1:{near}"
            return await SystemNetwork().handshake("localhost", far, address)

    assert run(go()).issuer == "Sniffing-Ltd"
    assert seen[0].startswith(b"CONNECT localhost:")
    assert b"Proxy-Authorization: Basic " in seen[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "407 Proxy Authentication Required",
        ),
        (b"nonsense\r\n\r\n", "something that is no HTTP"),
        (b"HTTP/1.1", "closed the connection"),
    ],
    ids=["refusal", "nonsense", "closed"],
)
def test_a_proxy_that_refuses_is_quoted(answer: bytes, said: str) -> None:
    """What it says is said on, its password never is."""

    async def go() -> None:
        async with server(proxy(0, [], answer)) as near:
            address = f"http://me:{PASSWORD}@127.0.0.1:{near}"
            await SystemNetwork().handshake("api.minimax.io", 443, address)

    with pytest.raises(APIConnectionError, match=said) as caught:
        run(go())
    assert PASSWORD not in str(caught.value)


def test_the_proxy_is_that_of_the_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules are the transport's: NO_PROXY, this machine directly, no SOCKS."""
    network = SystemNetwork()
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "internal.example")
    assert network.proxy_for("https://api.minimax.io/v1") == "http://proxy.example:3128"
    assert network.proxy_for("https://internal.example/v1") is None
    assert network.proxy_for("https://127.0.0.1:1/v1") is None
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example:1080")
    with pytest.raises(ConfigError, match="socks5"):
        network.proxy_for("https://api.minimax.io/v1")
