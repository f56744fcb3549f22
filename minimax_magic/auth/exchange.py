"""Asking MiniMax's account servers: one question, one answer."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from urllib.parse import urlencode, urljoin, urlsplit

from pydantic import SecretStr

from minimax_magic.auth.oauth import (
    Answer,
    ClientProfile,
    DeviceCode,
    NotYet,
    Proof,
    Tokens,
    device_code_form,
    refresh_form,
    token_form,
)
from minimax_magic.auth.oauth_answers import read_device_code, read_poll, read_refresh
from minimax_magic.auth.regions import Region, redirect_target
from minimax_magic.clock import Clock
from minimax_magic.errors import AuthError, ProtocolError
from minimax_magic.masked import MaskedStr
from minimax_magic.transport import Transport
from minimax_magic.wire.http import HttpRequest

_SILENCE_S = 30.0
# these answers have a few hundred bytes
_MAX_BYTES = 256 * 1024
_SECRET_FIELDS = ("refresh_token", "code_verifier", "user_code", "state")


class AccountClient:
    """Talks to one region's account server as one client.

    Args:
        transport: Sends; it follows no redirects itself.
        user_agent: Whom the server sees.
    """

    def __init__(
        self,
        region: Region,
        profile: ClientProfile,
        transport: Transport,
        clock: Clock,
        user_agent: str,
    ) -> None:
        self.region = region
        self.profile = profile
        self._transport = transport
        self._clock = clock
        self._user_agent = user_agent

    async def device_code(self) -> tuple[DeviceCode, Proof]:
        """A new code, and what proves later that it was asked for here.

        Raises:
            MinimaxError: There is none to be had; see `read_device_code`.
        """
        proof = Proof.new(os.urandom)
        form = device_code_form(self.profile, proof)
        return read_device_code(await self._post(self.region.code_url, form), proof), proof

    async def poll(self, code: DeviceCode, proof: Proof) -> Tokens | NotYet:
        """Whether the code was approved meanwhile; errors as of `read_poll`."""
        form = token_form(self.profile, proof, code.user_code)
        return read_poll(await self._post(self.region.token_url, form))

    async def refresh(self, refresh_token: SecretStr) -> Tokens:
        """New tokens for a refresh token, which is used up by this; errors as of `read_refresh`."""
        form = refresh_form(self.profile.client_id, refresh_token)
        return read_refresh(await self._post(self.region.token_url, form))

    async def _post(self, url: str, form: Mapping[str, str]) -> Answer:
        """Sends a form. A redirect is followed to the region's own account host and nowhere else:
        MiniMax's old addresses answer 307, and the form holds what must not go astray."""
        answer = await self._send(url, form)
        if answer.status not in (307, 308):
            return answer
        location = MaskedStr(answer.headers.get("location", ""))
        try:
            location = MaskedStr(urljoin(url, location))  # it may repeat the form
            there = urlsplit(location).hostname or "another address"
        except ValueError:
            there = "an address that is none"
        target = redirect_target(self.region, location)
        if target is None:
            raise AuthError(
                f"{urlsplit(url).hostname} points to {there} for signing in, which is not "
                f"{urlsplit(self.region.accounts[0]).hostname}: nothing was sent there.",
                hint="Check the region and `auth` in llm.yaml.",
                status=answer.status,
            )
        return await self._send(target, form)

    async def _send(self, url: str, form: Mapping[str, str]) -> Answer:
        response = await self._transport.send(self._request(url, form))
        received = _Received()
        try:
            async for chunk in response.chunks():
                received += chunk
                del chunk  # a traceback may show this function's variables
                if len(received) > _MAX_BYTES:
                    raise ProtocolError(
                        f"{urlsplit(url).hostname} answers a sign-in with more than "
                        f"{_MAX_BYTES // 1024} KB.",
                        hint="Check the region and `auth` in llm.yaml.",
                    )
        finally:
            response.close()
        names = ("date", "location", "content-type")
        kept = {name: response.headers[name] for name in names if name in response.headers}
        secrets = tuple(form[name] for name in _SECRET_FIELDS if name in form)
        return Answer(response.status, kept, bytes(received), url, self._clock.time(), secrets)

    def _request(self, url: str, form: Mapping[str, str]) -> HttpRequest:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            "User-Agent": self._user_agent,
            "x-request-id": str(uuid.uuid4()),
        }
        return HttpRequest("POST", url, headers, urlencode(form).encode(), _SILENCE_S)


class _Received(bytearray):
    """What has come so far. It does not show itself: it may hold tokens."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"
