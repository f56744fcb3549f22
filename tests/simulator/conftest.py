"""A simulator on a thread of its own, and a client that knows nothing but HTTP."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest

from minimax_magic.simulator import PORTAL_CLIENT_ID, Simulator

OAUTH_PATHS = ("/oauth2/device/code", "/oauth2/token")
GRANT = "urn:ietf:params:oauth:grant-type:"
FORM_TYPE = "application/x-www-form-urlencoded"
CHAT_PATHS = ("/anthropic/v1/messages", "/v1/chat/completions", "/v1/text/chatcompletion_v2")


@dataclass(frozen=True)
class Got:
    """An answer, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> list[Any]:
        """The `data` of every SSE frame; `[DONE]` stays text."""
        found = []
        for block in self.body.decode().split("\n\n"):
            for line in block.split("\n"):
                if line.startswith("data: "):
                    data = line.removeprefix("data: ")
                    found.append(data if data == "[DONE]" else json.loads(data))
        return found


class Http:
    """Asks one simulator, a new connection each time."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.sim.url.removeprefix("http://"), timeout=10)

    def ask(
        self, method: str, path: str, body: bytes | None = None, key: str | None = "simulated-key"
    ) -> Got:
        connection = self.connect()
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Got(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any, key: str | None = "simulated-key") -> Got:
        return self.ask("POST", path, json.dumps(body).encode(), key)

    def chat(self, prompt: str, path: str = CHAT_PATHS[1], **more: Any) -> Got:
        messages = [{"role": "user", "content": prompt}]
        return self.post(path, {"model": "MiniMax-M2.5", "messages": messages, **more})


@dataclass
class OAuthClient(Http):
    """An OAuth client with one verifier, which does what it is told and checks nothing."""

    sim: Simulator
    client_id: str = PORTAL_CLIENT_ID
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    grant: str = f"{GRANT}user_code"

    def send(self, path: str, fields: dict[str, str], content_type: str = FORM_TYPE) -> Got:
        connection = self.connect()
        try:
            connection.request("POST", path, urlencode(fields), {"Content-Type": content_type})
            response = connection.getresponse()
            return Got(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def code_form(self, **changed: str | None) -> dict[str, str]:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        fields: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "scope": "group_id profile model.completion",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "state": "a-state",
        }
        return {name: text for name, text in {**fields, **changed}.items() if text is not None}

    def ask_code(self, **changed: str | None) -> Got:
        return self.send(OAUTH_PATHS[0], self.code_form(**changed))

    def new_code(self) -> str:
        code = self.ask_code().json["user_code"]
        assert isinstance(code, str)
        return code

    def poll(self, user_code: str, **changed: str) -> Got:
        fields = {
            "grant_type": self.grant,
            "client_id": self.client_id,
            "user_code": user_code,
            "code_verifier": self.verifier,
        }
        return self.send(OAUTH_PATHS[1], {**fields, **changed})

    def refresh(self, refresh_token: str, **changed: str) -> Got:
        fields = {
            "grant_type": "refresh_token",
            "client_id": self.client_id,
            "refresh_token": refresh_token,
        }
        return self.send(OAUTH_PATHS[1], {**fields, **changed})

    def log_in(self) -> Any:
        """The success answer of a login."""
        code = self.new_code()
        self.sim.account.approve(code)
        return self.poll(code).json

    def models(self, key: str) -> Got:
        return self.ask("GET", "/v1/models", key=key)

    def page(self, query: str = "") -> Got:
        return self.ask("GET", f"/oauth-authorize{query}", key=None)

    def press(self, page: Got, button: str) -> Got:
        """Send the page's form by one of its buttons."""
        html = page.body.decode()
        inputs = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html)
        pressed = re.search(rf'<button[^>]*id="{button}" name="(\w+)" value="(\w+)"', html)
        assert pressed is not None
        fields = {name: unescape(value) for name, value in [*inputs, pressed.groups()]}
        return self.send("/oauth-authorize", fields)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def http_client(sim: Simulator) -> Http:
    return Http(sim)


@pytest.fixture
def new_client() -> type[OAuthClient]:
    """Tests cannot import from here: takes a simulator, and the client's id or verifier."""
    return OAuthClient


@pytest.fixture
def client(sim: Simulator) -> OAuthClient:
    return OAuthClient(sim)
