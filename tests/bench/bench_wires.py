"""One answer, three ways: a raw loop as people write it by hand, our client, the official SDKs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import aiohttp
from bench_server import Order

from minimax_magic import MiniMax
from minimax_magic.events import TextDelta, ThinkingDelta
from minimax_magic.usage.ledger import open_ledger

MODEL = "MiniMax-M2.5"
KEY = "bench-key"
MAX_TOKENS = 200_000
OPENAI, ANTHROPIC = "openai_compat", "anthropic_messages"
WIRES = (OPENAI, ANTHROPIC)


class Candidate(Protocol):
    """One way to talk to a server.

    `stream` reads a streamed answer and `chat` a whole one; both give the length of what was said,
    thinking included, so that nobody wins by doing less.
    """

    async def stream(self, order: Order) -> int: ...

    async def chat(self, order: Order) -> int: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    wire: str

    @property
    def base_url(self) -> str:
        return f"{self.url}/anthropic" if self.wire == ANTHROPIC else f"{self.url}/v1"


class Raw:
    """aiohttp and json, nothing else."""

    def __init__(self, target: Target) -> None:
        path = "/v1/messages" if target.wire == ANTHROPIC else "/chat/completions"
        self._url = target.base_url + path
        self._pick = _pick_anthropic if target.wire == ANTHROPIC else _pick_openai
        self._read = _read_anthropic if target.wire == ANTHROPIC else _read_openai
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {KEY}"}, connector=aiohttp.TCPConnector(limit=0)
        )

    async def stream(self, order: Order) -> int:
        pick = self._pick
        said: list[str] = []
        rest = b""
        async with self._session.post(self._url, json=_body(order, stream=True)) as response:
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: {"):
                        text = pick(json.loads(line[6:].decode()))
                        if text:
                            said.append(text)
        return len("".join(said))

    async def chat(self, order: Order) -> int:
        async with self._session.post(self._url, json=_body(order, stream=False)) as response:
            return len(self._read(await response.json()))

    async def close(self) -> None:
        await self._session.close()


def _body(order: Order, *, stream: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": order.prompt}]
    return {"model": MODEL, "max_tokens": MAX_TOKENS, "messages": messages, "stream": stream}


def _pick_openai(frame: dict[str, Any]) -> str:
    choices = frame["choices"]
    if not choices:
        return ""
    delta = choices[0]["delta"]
    return delta.get("content") or delta.get("reasoning_content") or ""


def _pick_anthropic(frame: dict[str, Any]) -> str:
    if frame["type"] != "content_block_delta":
        return ""
    delta = frame["delta"]
    return delta.get("text") or delta.get("thinking") or ""


def _read_openai(answer: dict[str, Any]) -> str:
    return answer["choices"][0]["message"]["content"]


def _read_anthropic(answer: dict[str, Any]) -> str:
    return "".join(block["text"] for block in answer["content"] if block["type"] == "text")


class Ours:
    """`MiniMax`, with its limiter off, and without the ledger that nobody else has."""

    def __init__(self, target: Target, ledger: str | None = None) -> None:
        self._client = MiniMax(
            api_key=KEY,
            base_url=target.base_url,
            model=MODEL,
            requests_per_second=None,
            ledger=ledger,
        )

    async def stream(self, order: Order) -> int:
        said = 0
        async with self._client.stream(order.prompt) as stream:
            async for event in stream:
                if type(event) is TextDelta or type(event) is ThinkingDelta:
                    said += len(event.text)
        return said

    async def chat(self, order: Order) -> int:
        return len((await self._client.chat(order.prompt)).text)

    async def close(self) -> None:
        await self._client.close()


class Booking(Ours):
    """The same with a ledger, in a file."""

    def __init__(self, target: Target) -> None:
        self._folder = TemporaryDirectory()
        self._ledger = f"{self._folder.name}/usage.sqlite3"
        super().__init__(target, self._ledger)

    async def close(self) -> None:
        await super().close()
        open_ledger(self._ledger).close()
        self._folder.cleanup()


class OpenAISDK:
    """The `openai` package."""

    def __init__(self, target: Target) -> None:
        import openai

        self._client = openai.AsyncOpenAI(api_key=KEY, base_url=target.base_url, max_retries=0)

    def _ask(self, order: Order, **more: Any) -> Any:
        messages = [{"role": "user", "content": order.prompt}]
        return self._client.chat.completions.create(model=MODEL, messages=messages, **more)

    async def stream(self, order: Order) -> int:
        said = 0
        async for chunk in await self._ask(order, stream=True):
            for choice in chunk.choices:
                said += len(choice.delta.content or "")
        return said

    async def chat(self, order: Order) -> int:
        return len((await self._ask(order)).choices[0].message.content)

    async def close(self) -> None:
        await self._client.close()


class AnthropicSDK:
    """The `anthropic` package."""

    def __init__(self, target: Target) -> None:
        import anthropic

        self._client = anthropic.AsyncAnthropic(
            auth_token=KEY, api_key=None, base_url=target.base_url, max_retries=0
        )

    def _ask(self, order: Order, **more: Any) -> Any:
        messages = [{"role": "user", "content": order.prompt}]
        # the SDK refuses a whole answer of more tokens, as it might take too long
        return self._client.messages.create(
            model=MODEL, max_tokens=8_000, messages=messages, **more
        )

    async def stream(self, order: Order) -> int:
        said = 0
        async for event in await self._ask(order, stream=True):
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                said += len(event.delta.text)
        return said

    async def chat(self, order: Order) -> int:
        return len((await self._ask(order)).content[0].text)

    async def close(self) -> None:
        await self._client.close()


def sdk_of(target: Target) -> Candidate | None:
    """The official SDK of a wire; None if it is not installed."""
    try:
        return AnthropicSDK(target) if target.wire == ANTHROPIC else OpenAISDK(target)
    except ImportError:
        return None
