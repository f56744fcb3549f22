"""A local server that lends MiniMax's credential to other programs.

A program knows one key for as long as it runs, but the token of a login lasts for minutes, and some
programs send their key in a header that MiniMax does not take. They talk to the gateway instead: it
listens on this machine only, wants a random key of its own, and sends each request on with the bearer
that is fresh at that moment. Nothing else of a request changes, and answers stream through as they come.

Other pages in a browser, and other users of the machine, are what it guards against: hence the key, the
check of the Host header (a name that somebody else controls may point to 127.0.0.1), and no answer to
anything with an Origin.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
import secrets
from types import TracebackType
from typing import Any, Final, Literal, Self

from aiohttp import hdrs, web

from minimax_magic import __version__
from minimax_magic.auth.sources import AuthSource
from minimax_magic.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthError,
    ConfigError,
    MinimaxError,
)
from minimax_magic.masked import MaskedStr
from minimax_magic.programs.gateway_file import NONCE_HEADER, PROOF_HEADER, proof
from minimax_magic.transport import HttpResponse, Transport
from minimax_magic.wire.http import HttpRequest

HOST: Final = "127.0.0.1"

Wire = Literal["anthropic", "openai"]

# MiniMax's own limit for a request's body
_MAX_BODY_BYTES: Final = 64 * 1024 * 1024
# LiteLLM and the SDKs give up after ten minutes by themselves
_SILENCE_S: Final = 600.0
# Answers under way have so long to end by themselves when the gateway closes.
_SHUTDOWN_S: Final = 0.2
_METHODS: Final = ("DELETE", "GET", "HEAD", "POST")
_ROUTES: Final = ("/anthropic/", "/v1/")
# In a path: what servers differ about, so that some may be led elsewhere. `%`: encoded twice.
_NOT_IN_PATHS: Final = re.compile(r"[\x00-\x1f\x7f%\\]|//|/\.\.?(?=[;/]|$)")

# What the server has to know of a request. The rest says who the program is, or holds its key.
_SENT_ON: Final = ("content-type", "accept", "anthropic-version", "anthropic-beta")
# What a program may need of an answer. Lengths and encodings are those of the line, not of the answer.
_GIVEN_BACK: Final = (
    "content-type",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "request-id",
    "x-request-id",
    "trace-id",
    "minimax-request-id",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-remaining-requests",
    "x-minimax-simulated",
)
_GIVEN_BACK_TOO: Final = "anthropic-ratelimit-"


class Gateway:
    """Serves while it is entered: `async with Gateway(root, auth, transport) as gateway`.

    What it is given stays the caller's: neither `auth` nor `transport` is closed.

    Args:
        root: MiniMax's address, before `/anthropic` and `/v1`.
        auth: Gives the bearer for each request.
        transport: What sends it.
        port: 0 for any free one.
        key: What programs have to send, as `x-api-key` or bearer; None: a random one.
    """

    def __init__(
        self,
        root: str,
        auth: AuthSource,
        transport: Transport,
        *,
        port: int = 0,
        key: str | None = None,
    ) -> None:
        self.root = root.rstrip("/")
        self.key = MaskedStr(key or f"mm-gateway-{secrets.token_urlsafe(32)}")
        self._auth = auth
        self._transport = transport
        self._wanted_port = port
        self._port: int | None = None
        self._runner: web.AppRunner | None = None

    def __repr__(self) -> str:
        return f"<Gateway {self.url if self._port else 'stopped'}>"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:49152`, to be used where MiniMax's root would be.

        Raises:
            RuntimeError: It is not serving.
        """
        if self._port is None:
            raise RuntimeError("the gateway is not running")
        return f"http://{HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        """Opens the port.

        Raises:
            ConfigError: The port is taken.
        """
        if self._runner is not None:
            raise RuntimeError("the gateway is already running")
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        application.router.add_route("*", "/{tail:.*}", self._handle)
        application.on_response_prepare.append(self._mark)
        runner = self._runner = web.AppRunner(
            application,
            handler_cancellation=True,  # a program that goes away ends its request upstream
            access_log=None,
            shutdown_timeout=_SHUTDOWN_S,
            logger=_logger(),
        )
        try:
            await runner.setup()
            await web.TCPSite(runner, HOST, self._wanted_port).start()
        except OSError as error:
            await self._close()
            raise ConfigError(
                f"The gateway cannot listen on port {self._wanted_port}: {error.strerror}.",
                hint="Choose another port, or leave it out for any free one.",
            ) from None
        except BaseException:
            await self._close()
            raise
        self._port = runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        """Closes the port and breaks off every answer under way."""
        runner, self._runner, self._port = self._runner, None, None
        if runner is not None:
            await runner.cleanup()

    async def _mark(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers[hdrs.SERVER] = "minimax-magic"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        return self._own_answer(request) or await self._forward(request)

    # ------------------------------------------------------------------------- who may ask what

    def _own_answer(self, request: web.Request) -> web.Response | None:
        """The answer to whoever is not let through, or looks for this gateway; None for the others."""
        if request.headers.getall(hdrs.HOST, []) not in (
            [f"{HOST}:{self._port}"],
            [f"localhost:{self._port}"],
        ):
            return _fault(request, 403, f"The gateway answers at {self.url} only.")
        if hdrs.ORIGIN in request.headers:
            return _fault(request, 403, "The gateway is not for web pages.")
        if request.method not in _METHODS:
            status = 204 if request.method == hdrs.METH_OPTIONS else 405
            return web.Response(status=status, headers={hdrs.ALLOW: ", ".join(_METHODS)})
        if request.path == "/" and (nonce := request.headers.get(NONCE_HEADER)):
            return web.Response(status=204, headers={PROOF_HEADER: proof(self.key, nonce)})
        if not _is_route(request.path):
            return _fault(
                request,
                404,
                f"The gateway has no such path: use {self.url}/anthropic or {self.url}/v1.",
            )
        if not self._has_key(request):
            return _fault(
                request,
                401,
                "The key of the gateway is wrong: this is the gateway of minimax_magic on this "
                "machine, not MiniMax. `python -m minimax_magic env` shows what to set.",
            )
        return None

    def _has_key(self, request: web.Request) -> bool:
        """Either header will do: a program may send an old key in the other one."""
        scheme, _, bearer = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        given = [MaskedStr(request.headers.get("x-api-key", "").strip())]
        if scheme.lower() == "bearer":
            given.append(MaskedStr(bearer.strip()))
        wanted = self.key.encode()
        fits = [hmac.compare_digest(key.encode(errors="replace"), wanted) for key in given]
        return any(fits)

    # ---------------------------------------------------------------------------- sending it on

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            limit = _MAX_BODY_BYTES // 2**20
            return _fault(request, 413, f"The request is larger than {limit} MB.")
        except web.RequestPayloadError:
            return _fault(request, 400, "The request's body is not what its headers say.")
        try:
            upstream, bearer = await self._send(request, body)
        except APITimeoutError as error:
            return _fault(request, 504, str(error))
        except APIConnectionError as error:
            return _fault(request, 502, str(error))
        except (AuthError, ConfigError) as error:
            return _fault(request, 401, str(error))
        except MinimaxError as error:  # what a renewal met: the account server is busy
            return _fault(request, 503, str(error))
        try:
            return await self._answer(request, upstream, bearer)
        finally:
            upstream.close()  # also when the program went away: what nobody reads costs money

    async def _send(self, request: web.Request, body: bytes) -> tuple[HttpResponse, str]:
        """The head of the answer, and the bearer that it was got with; after a 401 a second try."""
        bearer = await self._auth.fresh_bearer()
        upstream = await self._ask(request, body, bearer)
        if upstream.status != 401:
            return upstream, bearer
        try:
            if not await self._auth.force_refresh(bearer):
                return upstream, bearer
        except BaseException:
            upstream.close()
            raise
        upstream.close()
        bearer = await self._auth.fresh_bearer()
        return await self._ask(request, body, bearer), bearer

    async def _ask(self, request: web.Request, body: bytes, bearer: str) -> HttpResponse:
        given = request.headers
        headers = {name: ", ".join(given.getall(name)) for name in _SENT_ON if name in given}
        headers[hdrs.AUTHORIZATION] = MaskedStr(f"Bearer {bearer}")
        headers[hdrs.USER_AGENT] = f"minimax-magic/{__version__} gateway"
        headers[hdrs.ACCEPT_ENCODING] = "identity"  # a compressing proxy would hold tokens back
        url = f"{self.root}{request.rel_url.raw_path}"
        if query := request.rel_url.raw_query_string:
            url = f"{url}?{query}"
        return await self._transport.send(
            HttpRequest(request.method, url, headers, body, _SILENCE_S)
        )

    async def _answer(
        self, request: web.Request, upstream: HttpResponse, bearer: str
    ) -> web.StreamResponse:
        if 300 <= upstream.status < 400:
            return _fault(request, 502, f"{self.root} redirects, which MiniMax never does.")
        headers = {
            name: value
            for name, value in upstream.headers.items()
            if name.lower() in _GIVEN_BACK or name.lower().startswith(_GIVEN_BACK_TOO)
        }
        if upstream.status >= 400:
            # short, and read whole: servers like to repeat the token that they refuse
            try:
                words = await upstream.read()
            except MinimaxError as error:
                return _fault(request, 502, str(error))
            words = words.replace(bearer.encode(), b"***")
            return web.Response(status=upstream.status, headers=headers, body=words)
        response = web.StreamResponse(status=upstream.status, headers=headers)
        await response.prepare(request)
        try:
            async for chunk in upstream.chunks():
                await response.write(chunk)  # waits while the program does not read
        except MinimaxError:
            # An answer that just ended would pass for a whole one, so the line is broken here, too.
            if request.transport is not None:
                request.transport.close()
            return response
        await response.write_eof()
        return response


def _is_route(path: str) -> bool:
    """Whether this is one of MiniMax's paths; its account and login pages are not, and no way leads
    there by dots.

    Args:
        path: Decoded once.
    """
    return path.startswith(_ROUTES) and not _NOT_IN_PATHS.search(path)


def _fault(request: web.Request, status: int, said: str) -> web.Response:
    """An error of the gateway itself, in the shape that the program knows from its wire."""
    kind = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
    }.get(status, "api_error")
    error: dict[str, Any] = {"type": kind, "message": f"{said} (minimax_magic gateway)"}
    if _wire(request) == "anthropic":
        body: dict[str, Any] = {"type": "error", "error": error}
    else:
        body = {"error": {**error, "param": None, "code": status}}
    return web.Response(
        status=status, body=json.dumps(body).encode() + b"\n", content_type="application/json"
    )


def _wire(request: web.Request) -> Wire:
    speaks = request.path.startswith("/anthropic") or "anthropic-version" in request.headers
    return "anthropic" if speaks else "openai"


def _logger() -> logging.Logger:
    """aiohttp logs the bytes of a request that it cannot read, and these may hold a key."""
    logger = logging.getLogger(f"{__name__}.http")
    if not logger.filters:
        logger.addFilter(_without_details)
    return logger


def _without_details(record: logging.LogRecord) -> bool:
    kind = record.exc_info[0] if isinstance(record.exc_info, tuple) else None
    record.msg = f"The gateway met {kind.__name__ if kind else 'an error'} while it answered."
    record.args = record.exc_info = None
    return True
