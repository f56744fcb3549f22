"""The way to a server, one step at a time: its name, a connection, TLS, the proxy between.

The transport does all of this at once and says one sentence when it fails. Here each step is asked by
itself, with the standard library and by the transport's own rules for proxies.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from minimax_magic.errors import APIConnectionError, APITimeoutError
from minimax_magic.masked import MaskedStr
from minimax_magic.transport import proxy_from_environment

# Shorter than the transport's: whoever asks the doctor sits in front of it.
CONNECT_S: Final = 10.0
# How long the other side may take to say goodbye.
_GOODBYE_S: Final = 0.25
# As aiohttp does: the next address is tried beside one that does not answer, such as a broken IPv6.
_NEXT_ADDRESS_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server showed of itself.

    Attributes:
        issuer: Who signed it, for people: `DigiCert Inc`.
        expires_at: Aware, UTC; None if it does not say.
        version: Of the protocol: `TLSv1.3`.
    """

    issuer: str
    expires_at: datetime | None
    version: str


class TLSFailed(APIConnectionError):
    """The server was reached, but not securely.

    Attributes:
        issuer: Who signed the certificate that was refused; empty if that cannot be told.
    """

    issuer = ""


class Network(Protocol):
    """The steps to a server. Each takes some seconds at most and leaves nothing open.

    They raise `APIConnectionError` where they fail, `APITimeoutError` where nothing comes.
    """

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses behind a name, best first."""
        ...

    async def connect(self, host: str, port: int) -> None:
        """Opens a connection and closes it."""
        ...

    async def handshake(self, host: str, port: int, proxy: str | None = None) -> Certificate:
        """Opens a secure connection and closes it.

        Args:
            proxy: Address of an http proxy to go through; None: directly.

        Raises:
            TLSFailed: The certificate is not to be trusted, or both speak no common language.
        """
        ...

    def proxy_for(self, url: str) -> str | None:
        """The proxy that requests to an address go through; None: none.

        Raises:
            ConfigError: It is of a kind that cannot be used.
        """
        ...


class SystemNetwork:
    """The machine's own."""

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(CONNECT_S):
                found = await _looked_up(host, port)
        except TimeoutError:
            raise APITimeoutError(
                f"The name {host} was not found within {CONNECT_S:g} s.",
                hint="Check the network and its name server.",
            ) from None
        except (OSError, UnicodeError) as error:
            # what the system says: "Name or service not known", "Temporary failure in ..."
            why = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
            raise APIConnectionError(
                f"The name {host} was not found{why}.", hint="Check base_url and the network."
            ) from None
        return tuple(dict.fromkeys(str(address[0]) for *_, address in found))

    async def connect(self, host: str, port: int) -> None:
        async with _opened(host, port):
            pass

    async def handshake(self, host: str, port: int, proxy: str | None = None) -> Certificate:
        context = ssl.create_default_context()  # as aiohttp makes it
        try:
            async with _secured(host, port, proxy, context) as writer:
                return _certificate(writer)
        except TimeoutError:
            raise APITimeoutError(
                f"{host} did not finish the TLS handshake within {CONNECT_S:g} s.",
                hint="Check the network, VPN and firewall.",
            ) from None
        except ssl.SSLError as error:
            failed = TLSFailed(
                f"The secure connection to {host} failed: {_reason(error)}.",
                hint="A company proxy may need its certificate: set SSL_CERT_FILE to it.",
            )
            if isinstance(error, ssl.SSLCertVerificationError):
                failed.issuer = await _shown_issuer(host, port, proxy)
            raise failed from None
        except OSError as error:
            raise TLSFailed(
                f"The secure connection to {host} failed: {_system(error)}.",
                hint="Something between may forbid it: check VPN, firewall and proxy.",
            ) from None

    def proxy_for(self, url: str) -> str | None:
        return proxy_from_environment(url)


async def _looked_up(host: str, port: int) -> list[Any]:
    """As `loop.getaddrinfo`, but in a thread that nobody waits for at the end of the program: a name
    server that is silent holds it for half a minute."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[Any]] = loop.create_future()

    def told(addresses: list[Any], error: Exception | None) -> None:
        if found.done():
            return  # given up meanwhile
        if error is not None:
            found.set_exception(error)
        else:
            found.set_result(addresses)

    def look() -> None:
        addresses: list[Any] = []
        failed: Exception | None = None
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            failed = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(told, addresses, failed)

    threading.Thread(target=look, name="minimax-doctor-dns", daemon=True).start()
    return await found


@asynccontextmanager
async def _opened(
    host: str, port: int, **options: Any
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """A connection for a moment."""
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                host, port, happy_eyeballs_delay=_NEXT_ADDRESS_S, interleave=1, **options
            )
    except ssl.SSLError:
        raise
    except TimeoutError:
        raise APITimeoutError(
            f"{host} did not accept a connection to port {port} within {CONNECT_S:g} s.",
            hint="Check the network, VPN and firewall.",
        ) from None
    except OSError as error:
        raise APIConnectionError(
            f"{host} cannot be reached at port {port}: {_system(error)}.",
            hint="Check the network, VPN and firewall, and base_url.",
        ) from None
    try:
        yield reader, writer
    finally:
        writer.close()
        # what was asked is known by now, so nobody is waited for
        with suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(_GOODBYE_S):
                await writer.wait_closed()
        writer.transport.abort()


@asynccontextmanager
async def _secured(
    host: str, port: int, proxy: str | None, context: ssl.SSLContext
) -> AsyncGenerator[asyncio.StreamWriter, None]:
    """A secure connection for a moment, through a proxy or directly."""
    line = _direct(host, port) if proxy is None else _tunnel(proxy, host, port)
    async with line as writer:
        async with asyncio.timeout(CONNECT_S):
            await writer.start_tls(context, server_hostname=host)
        yield writer


@asynccontextmanager
async def _direct(host: str, port: int) -> AsyncGenerator[asyncio.StreamWriter, None]:
    async with _opened(host, port) as (_, writer):
        yield writer


@asynccontextmanager
async def _tunnel(proxy: str, host: str, port: int) -> AsyncGenerator[asyncio.StreamWriter, None]:
    """A connection to a server through a proxy, before TLS.

    Raises:
        APIConnectionError: The proxy cannot be reached, or refuses.
    """
    parts = urlsplit(proxy)
    name = parts.hostname or ""
    at = parts.port or (443 if parts.scheme == "https" else 80)
    options: dict[str, Any] = {}
    if parts.scheme == "https":
        options = {"ssl": ssl.create_default_context(), "server_hostname": name}
    async with _opened(name, at, **options) as (reader, writer):
        lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
        if parts.username is not None:
            user = MaskedStr(f"{unquote(parts.username)}:{unquote(parts.password or '')}")
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        del lines
        try:
            async with asyncio.timeout(CONNECT_S):
                await writer.drain()
                head = await reader.readuntil(b"\r\n\r\n")
        except TimeoutError:
            raise _proxy_failed(host, f"it sent nothing for {CONNECT_S:g} s") from None
        except (OSError, EOFError, asyncio.LimitOverrunError):
            raise _proxy_failed(host, "it closed the connection") from None
        status = head.split(b"\r\n")[0].decode("ascii", "replace").split(" ", 2)
        if len(status) < 2 or not status[1].startswith("2"):
            said = " ".join(status[1:])[:80] or "something that is no HTTP"
            raise _proxy_failed(host, f"it answered {said}")
        yield writer


def _proxy_failed(host: str, why: str) -> APIConnectionError:
    return APIConnectionError(
        f"The proxy on the way to {host} did not let it through: {why}.",
        hint="Check HTTPS_PROXY and NO_PROXY.",
    )


async def _shown_issuer(host: str, port: int, proxy: str | None) -> str:
    """Who signed a certificate that is not trusted; empty if that cannot be told.

    The standard library decodes only what it has verified, so the name is looked for in the bytes.
    Nothing is sent over this connection.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(OSError, APIConnectionError):  # TimeoutError is an OSError
        async with _secured(host, port, proxy, context) as writer:
            return _issuer_in(_der(writer))
    return ""


def _der(writer: asyncio.StreamWriter) -> bytes:
    shown = writer.get_extra_info("ssl_object")
    return (shown.getpeercert(binary_form=True) or b"") if shown is not None else b""


# In DER: the ids of a name's parts, as tag, length and value.
_NAME_PARTS: Final = (b"\x06\x03\x55\x04\x0a", b"\x06\x03\x55\x04\x03")
"""Organisation, common name."""
_TIMES: Final = (b"\x17\x0d", b"\x18\x0f")
"""What stands between the issuer and whom the certificate is for: when it begins."""


def _issuer_in(der: bytes) -> str:
    """The organisation or the name in the first name of a certificate, which is the issuer's."""
    ends = [at for time in _TIMES if (at := der.find(time)) >= 0]
    der = der[: min(ends, default=0)]
    for part in _NAME_PARTS:
        at = der.find(part)
        if at < 0 or at + 7 > len(der):
            continue
        length = der[at + 6]  # short form only: names have at most 64 characters
        text = der[at + 7 : at + 7 + length].decode("utf-8", "replace")
        if length < 128 and text and text.isprintable():
            return text
    return ""


def _certificate(writer: asyncio.StreamWriter) -> Certificate:
    shown = writer.get_extra_info("ssl_object")
    details: dict[str, Any] = (shown.getpeercert() if shown is not None else None) or {}
    issuer = dict(pair for group in details.get("issuer", ()) for pair in group)
    expires_at = None
    if "notAfter" in details:
        expires_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(details["notAfter"]), UTC)
    name = issuer.get("organizationName") or issuer.get("commonName") or "unknown"
    return Certificate(name, expires_at, (shown.version() if shown is not None else "") or "TLS")


def _reason(error: ssl.SSLError) -> str:
    """`self-signed certificate`, without OpenSSL's file names and numbers."""
    said = getattr(error, "verify_message", "") or (error.reason or "").replace("_", " ").lower()
    return str(said or "the handshake was broken off").rstrip(".")


def _system(error: OSError) -> str:
    # asyncio words it "Connect call failed ('127.0.0.1', 9)"; the system's word is clearer
    return os.strerror(error.errno) if error.errno else "the connection was closed"
