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


@dataclass(frozen=True)
class Answered:
    """An answer of the model, taken apart; `arguments` are texts, in the order of `calls`."""

    text: str
    calls: list[str]
    arguments: list[str]
    ids: list[str]
    finish: str

    @property
    def values(self) -> list[Any]:
        return [json.loads(text) for text in self.arguments]


class Dialogue:
    """A conversation over one wire, streamed or whole, by a client that keeps whole turns."""

    def __init__(self, http: Http, wire: str, stream: bool) -> None:
        self.http = http
        self.anthropic = wire == "anthropic"
        self.stream = stream
        self.messages: list[Any] = []
        self.tools: dict[str, Any] = {}
        self.system = ""
        self.model = "MiniMax-M3"

    def ask(self, *texts: str) -> Answered:
        """Say something: one text, or a prompt with further blocks."""
        blocks = [{"type": "text", "text": text} for text in texts]
        return self.say(texts[0] if len(texts) == 1 else blocks)

    def say(self, content: Any) -> Answered:
        self.messages.append({"role": "user", "content": content})
        return self.send()

    def give(self, answered: Answered, text: str) -> Answered:
        """Give every call the same result."""
        if self.anthropic:
            results = [
                {"type": "tool_result", "tool_use_id": call_id, "content": text}
                for call_id in answered.ids
            ]
            self.messages.append({"role": "user", "content": results})
        else:
            self.messages += [
                {"role": "tool", "tool_call_id": call_id, "content": text}
                for call_id in answered.ids
            ]
        return self.send()

    def image(self, media_type: str, data: bytes) -> Any:
        text = base64.b64encode(data).decode()
        if self.anthropic:
            source = {"type": "base64", "media_type": media_type, "data": text}
            return {"type": "image", "source": source}
        return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{text}"}}

    def image_at(self, url: str) -> Any:
        if self.anthropic:
            return {"type": "image", "source": {"type": "url", "url": url}}
        return {"type": "image_url", "image_url": {"url": url}}

    def post(self) -> Got:
        system = [{"role": "system", "content": self.system}] if self.system else []
        body: dict[str, Any] = {"model": self.model, "stream": self.stream}
        if self.anthropic:
            body |= {"messages": self.messages, "system": self.system}
            body["tools"] = [{"name": n, "input_schema": s} for n, s in self.tools.items()]
            return self.http.post(CHAT_PATHS[0], body)
        body |= {"messages": system + self.messages, "reasoning_split": True}
        body["tools"] = [
            {"type": "function", "function": {"name": n, "parameters": s}}
            for n, s in self.tools.items()
        ]
        return self.http.post(CHAT_PATHS[1], body)

    def send(self) -> Answered:
        got = self.post()
        assert got.status == 200, got.body
        read = self._read_anthropic if self.anthropic else self._read_openai
        return read(got)

    def _read_anthropic(self, got: Got) -> Answered:
        if self.stream:
            blocks, texts = [], []
            for frame in got.frames:
                if frame["type"] == "content_block_start":
                    blocks.append(frame["content_block"])
                    texts.append("")
                elif frame["type"] == "content_block_delta":
                    delta = frame["delta"]
                    texts[-1] += delta.get("text", delta.get("partial_json", ""))
            finish = got.frames[-2]["delta"]["stop_reason"]
        else:
            blocks, finish = got.json["content"], got.json["stop_reason"]
            texts = [b.get("text", json.dumps(b.get("input"))) for b in blocks]
        both = list(zip(blocks, texts, strict=True))
        text = "".join(text for block, text in both if block["type"] == "text")
        calls = [(block, text) for block, text in both if block["type"] == "tool_use"]
        kept: list[Any] = [{"type": "text", "text": text}] if text else []
        for block, arguments in calls:
            block = {k: block[k] for k in ("type", "id", "name")}
            kept.append(block | {"input": _object(arguments)})
        self.messages.append({"role": "assistant", "content": kept})
        names = [block["name"] for block, _ in calls]
        ids = [block["id"] for block, _ in calls]
        return Answered(text, names, [arguments for _, arguments in calls], ids, finish)

    def _read_openai(self, got: Got) -> Answered:
        text, finish = "", ""
        calls: dict[int, dict[str, str]] = {}
        for value in got.frames[:-1] if self.stream else [got.json]:
            choice = value["choices"][0]
            finish = choice.get("finish_reason") or finish
            message = choice["delta"] if self.stream else choice["message"]
            text += message.get("content") or ""
            for part in message.get("tool_calls") or ():
                call = calls.setdefault(part["index"], {"name": "", "arguments": "", "id": ""})
                call["id"] += part.get("id", "")
                call["name"] += part["function"].get("name", "")
                call["arguments"] += part["function"]["arguments"]
        made = [
            {
                "id": call["id"],
                "type": "function",
                "function": {
                    "name": call["name"],
                    "arguments": json.dumps(_object(call["arguments"])),
                },
            }
            for call in calls.values()
        ]
        said = {"role": "assistant", "content": text}
        self.messages.append(said | {"tool_calls": made} if made else said)
        return Answered(
            text,
            [call["name"] for call in calls.values()],
            [call["arguments"] for call in calls.values()],
            [call["id"] for call in calls.values()],
            finish,
        )


def _object(arguments: str) -> dict[str, Any]:
    """Arguments as they may go back: always an object."""
    try:
        return dict(json.loads(arguments or "{}"))
    except ValueError:
        return {"invalid_json": arguments}


@pytest.fixture(
    params=[(wire, stream) for wire in ("anthropic", "openai") for stream in (True, False)],
    ids=["anthropic-streamed", "anthropic-whole", "openai-streamed", "openai-whole"],
)
def dialogue(sim: Simulator, request: pytest.FixtureRequest) -> Dialogue:
    return Dialogue(Http(sim), *request.param)


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
