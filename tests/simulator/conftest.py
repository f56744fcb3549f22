"""A simulator on a thread of its own, and a client that knows nothing but HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from minimax_magic.simulator import Simulator

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


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def http_client(sim: Simulator) -> Http:
    return Http(sim)
