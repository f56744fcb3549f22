"""Sending bytes. The only place of the client that knows aiohttp."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from minimax_magic.errors import APIConnectionError, APITimeoutError, ConfigError
from minimax_magic.masked import MaskedStr
from minimax_magic.wire.address import is_loopback
from minimax_magic.wire.http import HttpRequest, mask

# Long enough for a slow TLS handshake through a proxy, short enough to be noticed.
_CONNECT_TIMEOUT_S = 30.0
# aiohttp's own limit for a body in one piece
_LARGE_BODY_BYTES = 1024 * 1024


class HttpResponse(Protocol):
    """An answer whose head has arrived.

    `headers` have lower-case names. `chunks` gives the body as it comes, empty pieces left out;
    `read` all of it. Both raise `APIConnectionError` when the line breaks and `APITimeoutError`
    when it stays silent for longer than the request allowed. `close` drops the connection at once
    unless the body was read to its end; it may be called twice.
    """

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncGenerator[bytes, None]: ...

    async def read(self) -> bytes: ...

    def close(self) -> None: ...


class Transport(Protocol):
    """Sends one request and waits for the head of its answer.

    Redirects are answers like any other and never followed. `send` raises `APIConnectionError` or
    `APITimeoutError` when no answer came. Cancelling it drops the connection.
    """

    async def send(self, request: HttpRequest) -> HttpResponse: ...

    async def close(self) -> None: ...


async def start_of(response: HttpResponse, most_bytes: int) -> bytes:
    """The beginning of a body: what goes on after so many bytes is not waited for. Closes the answer.

    Raises:
        APIConnectionError: The line broke, or went silent.
    """
    body = b""
    try:
        async with aclosing(response.chunks()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > most_bytes:
                    break
    finally:
        response.close()
    return body


class AiohttpTransport:
    """HTTP through aiohttp: keep-alive, proxies from the environment, no cookies, no redirects.

    A session belongs to the loop it was made on, so there is one for each loop that sends.
    """

    def __init__(self) -> None:
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._proxies: dict[str, str | None] = {}  # URL -> its proxy, as last looked up

    async def send(self, request: HttpRequest) -> HttpResponse:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop) or await self._open(loop)
        try:
            async with asyncio.timeout(request.silence_s):
                response = await session.request(
                    request.method,
                    request.url,
                    data=_payload(request.body),
                    headers=request.headers,
                    allow_redirects=False,
                    proxy=self._proxy_for(request.url),
                )
        except (aiohttp.ClientError, ValueError, OSError) as error:
            self._proxies.clear()  # whoever now sets or mends a proxy variable is heard
            host = _place(request.url)
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise _silent(host, request.silence_s) from _bare(error)
            raise _unreachable(host, error) from _bare(error)
        return _AiohttpResponse(response, request.url, request.silence_s)

    async def close(self) -> None:
        here = asyncio.get_running_loop()
        sessions, self._sessions = self._sessions, {}
        for loop, session in sessions.items():
            if loop is here or loop.is_closed():
                await session.close()
            else:
                asyncio.run_coroutine_threadsafe(session.close(), loop)

    async def _open(self, loop: asyncio.AbstractEventLoop) -> aiohttp.ClientSession:
        self._sessions[loop] = session = aiohttp.ClientSession(
            # no total and no read timeout: a long answer is no fault, and aiohttp's own read
            # timeout misses a broken chunk size, so silence is measured here
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            # not trust_env: it looks into ~/.netrc as well, which clashes with the bearer, and it
            # hops to a thread twice for every request
            trust_env=False,
        )
        for ended in [known for known in self._sessions if known.is_closed()]:
            await self._sessions.pop(ended).close()
        return session

    def _proxy_for(self, url: str) -> str | None:
        try:
            return self._proxies[url]
        except KeyError:
            proxy = self._proxies[url] = proxy_from_environment(url)
            return proxy


class _AiohttpResponse:
    def __init__(self, response: aiohttp.ClientResponse, url: str, silence_s: float | None) -> None:
        self._response = response
        self._url = url
        self._silence_s = silence_s
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers  # finds names in any case

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        while chunk := await self._next():
            yield chunk
            del chunk  # it may hold a token, and be a variable of a traceback when the line breaks

    async def read(self) -> bytes:
        chunks = []
        while chunk := await self._next():
            chunks.append(chunk)
        return b"".join(chunks)

    async def _next(self) -> bytes:
        """All that has arrived, waiting if nothing has; empty at the end."""
        content = self._response.content
        try:
            chunk = content.read_nowait()
            if chunk or content.at_eof():
                return chunk
            async with asyncio.timeout(self._silence_s):  # only now is there anything to time
                return await content.readany()
        except TimeoutError as error:
            raise _silent(_place(self._url), self._silence_s) from _bare(error)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            # RuntimeError is what aiohttp raises after our own close(). Once the line broke, it keeps
            # to itself what had arrived and was not yet fetched; there is no public way to that.
            if rest := content._read_nowait(-1):
                return rest
            raise APIConnectionError(
                f"The connection to {_place(self._url)} broke in the middle of the answer.",
                hint="Check the network and try again.",
            ) from _bare(error)

    def close(self) -> None:
        self._response.close()


def _payload(body: bytes) -> bytes | io.BytesIO | None:
    """The body as aiohttp wants it: it warns of large ones in one piece, which block the loop."""
    if len(body) > _LARGE_BODY_BYTES:
        return io.BytesIO(body)
    return body or None


def proxy_from_environment(url: str) -> str | None:
    """The proxy that HTTP(S)_PROXY and NO_PROXY, or the system's settings, name for an address.

    This machine is never reached through a proxy, which could not know what is meant, and would
    read a key that is sent over plain http.

    Raises:
        ConfigError: It is of a kind that cannot be used here.
    """
    parts = urlsplit(url)
    scheme, host = parts.scheme, parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxy = getproxies().get(scheme)
    if not proxy:
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    kind = urlsplit(proxy).scheme
    if kind not in ("http", "https"):
        raise ConfigError(
            f"{scheme.upper()}_PROXY names a {kind} proxy, which is not supported.",
            hint=f"Set it to an http proxy, or add {host} to NO_PROXY.",
        )
    return MaskedStr(proxy)  # it may hold a password


def _place(url: str) -> str:
    """Host, and port if one is named, for the words of an error."""
    return urlsplit(url).netloc.rpartition("@")[2] or url


def _bare(error: BaseException) -> BaseException:
    """The error without the frames of the HTTP library, whose variables hold the request's headers."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _silent(host: str, silence_s: float | None) -> APITimeoutError:
    pause = f" for {silence_s:g} s" if silence_s is not None else ", and the system gave up"
    return APITimeoutError(
        f"{host} sent nothing{pause}.",
        hint="Try again; if long pauses are normal here, raise idle_timeout_s.",
    )


def _unreachable(host: str, error: Exception) -> APIConnectionError:
    """What went wrong before the first byte, and where to look for the cause."""
    sent = False
    match error:
        case aiohttp.ClientConnectorDNSError():
            what, hint = f"The name {host} was not found.", "Check base_url and the network."
        case aiohttp.ClientSSLError():
            what = f"The secure connection to {host} failed: {mask(str(error))}."
            hint = "A company proxy may need its certificate: set SSL_CERT_FILE to it."
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            what = f"The proxy on the way to {host} did not answer."
            hint = "Check HTTPS_PROXY and NO_PROXY."
        case aiohttp.ClientConnectorError():
            # asyncio words it "Connect call failed ('127.0.0.1', 9)"; the system's word is clearer
            number = error.os_error.errno
            what = (
                f"{host} cannot be reached: {os.strerror(number) if number else 'no connection'}."
            )
            hint = "Check the network, VPN and firewall, and base_url."
        case aiohttp.ConnectionTimeoutError():
            what = f"{host} did not accept a connection within {_CONNECT_TIMEOUT_S:g} s."
            hint = "Check the network, VPN and firewall."
        case aiohttp.ServerDisconnectedError():
            what = f"{host} closed the connection without an answer."
            hint = "Try again in a moment."
            sent = True
        case ValueError():
            what, hint = f"The address of {host} is not usable.", "Check base_url."
        case _:
            what = f"The connection to {host} failed: {type(error).__name__}."
            hint = "Check the network and try again."
            sent = True
    unreachable = APIConnectionError(what, hint=hint)
    unreachable.sent = sent
    return unreachable
