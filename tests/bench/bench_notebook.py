"""What a cell sends to the browser, and how soon, in a real kernel."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench_figures import Figure, Sizes
from bench_server import MARK, Order, serving
from bench_wires import KEY, WIRES
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

_PACE_S = 0.001
_TIMEOUT_S = 60
_DRAWN = ("display_data", "update_display_data")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of iopub: when it was there, all its bytes on the wire, and what it says."""

    at: float
    size: int
    kind: str
    content: dict[str, Any]


class Kernel:
    """A kernel with the extension loaded and pointed at the server."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def run(self, code: str) -> list[Message]:
        """All iopub messages of one cell, as they came off the socket."""
        client = self._client
        cell = client.execute(code)
        channel = client.iopub_channel
        deadline = time.monotonic() + _TIMEOUT_S
        messages: list[Message] = []
        while True:
            if not channel.socket.poll(int(1000 * (deadline - time.monotonic()))):
                raise TimeoutError(
                    f"the cell did not end in {_TIMEOUT_S} s; {len(messages)} messages came"
                )
            frames = channel.socket.recv_multipart()
            at = time.time()
            _, parts = channel.session.feed_identities(frames)
            message = channel.session.deserialize(parts)
            if message["parent_header"].get("msg_id") != cell:
                continue
            kind, content = message["msg_type"], message["content"]
            messages.append(Message(at, sum(len(frame) for frame in frames), kind, content))
            if kind == "error":
                raise RuntimeError(f"{content['ename']}: {content['evalue']}")
            if kind == "status" and content["execution_state"] == "idle":
                client.get_shell_msg(timeout=10)
                return messages


@contextmanager
def kernel(url: str) -> Iterator[Kernel]:
    """Starts one; its settings say where the server is."""
    with TemporaryDirectory() as folder:
        config = Path(folder, "config")
        config.mkdir()
        config.joinpath("llm.yaml").write_text(
            f"providers: {{minimax: {{base_url: '{url}', api_key: {KEY}}}}}\n"
        )
        manager = KernelManager()
        manager._kernel_spec = KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="bench",
            language="python",
        )
        with Path(folder, "kernel.log").open("w") as log:
            environment = {**os.environ, "IPYTHONDIR": folder, "XDG_CONFIG_HOME": folder}
            environment["MINIMAX_DATA_DIR"] = folder  # where its ledger is
            environment.pop("MINIMAX_LEDGER", None)
            manager.start_kernel(env=environment, cwd=folder, stderr=log)
            client = manager.blocking_client()
            client.start_channels()
            try:
                client.wait_for_ready(timeout=60)
                ready = Kernel(client)
                ready.run("%load_ext minimax_magic")
                ready.run(f"%%minimax --raw\n{Order().prompt}")  # imports what is imported once
                yield ready
            finally:
                client.stop_channels()
                manager.shutdown_kernel(now=True)
                manager.cleanup_resources()


def iopub(sizes: Sizes) -> Iterator[Figure]:
    """Bytes of a long and fast reply, all and in the worst second, and the longest still-stand."""
    with serving() as url, kernel(url) as cell:
        for chunk in sizes.chunk_chars:
            order = Order(chars=sizes.reply_bytes, chunk=chunk, interval_s=_PACE_S)
            messages = cell.run(f"%%minimax --raw\n{order.prompt}")
            times = _times(url)
            text = len(order.text.encode())
            total = sum(message.size for message in messages)
            drawn = [message for message in messages if message.kind in _DRAWN]
            _check_whole(order, drawn)
            label = f"{chunk} characters a chunk"
            took = times["end"] - times["first_text"]
            sent = f"{total / 1000:,.0f} kB for {text / 1000:,.0f} kB"
            detail = f"{sent} in {took:.1f} s, {len(drawn)} draws"
            yield Figure(label, total / text, "x text", bound=6, detail=detail)
            yield Figure(f"{label}, worst second", _worst_second(messages) / 1000, "kB", bound=150)
            longest, when = _longest_gap(drawn, times)
            yield Figure(
                f"{label}, longest gap",
                1000 * longest,
                "ms",
                bound=250,
                detail=f"{when:.1f} s after the first text",
            )


def first_text(sizes: Sizes) -> Iterator[Figure]:
    """From the write of the first content frame in the server to the message that shows it."""
    plain = Order(chars=200, pause_s=0.25)
    with serving() as url, kernel(url) as cell:
        for label, order in {"": plain, ", after thinking": _after_thinking(plain)}.items():
            for wire in WIRES:
                took = []
                for _ in range(sizes.first_texts):
                    messages = cell.run(f"%%minimax --raw --flavor {wire}\n{order.prompt}")
                    took.append(1000 * (_shown_at(messages) - _times(url)["first_text"]))
                detail = f"from {min(took):.0f} to {max(took):.0f} ms"
                yield Figure(wire + label, statistics.median(took), "ms", bound=50, detail=detail)


def _after_thinking(order: Order) -> Order:
    return Order(chars=order.chars, pause_s=order.pause_s, thinking=400)


def _times(url: str) -> dict[str, float]:
    """When the server wrote what, in the last stream."""
    with urllib.request.urlopen(f"{url}/times") as answer:
        return json.load(answer)


def _check_whole(order: Order, drawn: list[Message]) -> None:
    """A benchmark of a display that lost text would be worth nothing."""
    last_words = order.text.split()[-1]
    assert any(last_words in json.dumps(message.content["data"]) for message in drawn[-3:])


def _shown_at(messages: list[Message]) -> float:
    return next(
        message.at
        for message in messages
        if message.kind in _DRAWN and MARK in message.content["data"].get("text/markdown", "")
    )


def _worst_second(messages: list[Message]) -> int:
    """The most bytes in any window of one second."""
    window: deque[Message] = deque()
    worst = inside = 0
    for message in messages:
        window.append(message)
        inside += message.size
        while window[0].at <= message.at - 1.0:
            inside -= window.popleft().size
        worst = max(worst, inside)
    return worst


def _longest_gap(drawn: list[Message], times: dict[str, float]) -> tuple[float, float]:
    """The longest time without an update while text arrives, and when it began after the first text."""
    begin, end = times["first_text"], times["end"]
    moments = [begin, *(m.at for m in drawn if begin < m.at < end), end]
    gaps = [(after - before, before - begin) for before, after in pairwise(moments)]
    return max(gaps)
