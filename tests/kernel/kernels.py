"""A real kernel: run cells, fold display updates into final outputs, interrupt, send comms.

A cell that does not go idle raises `CellTimeout`: an empty result never passes for success.
`update_display_data` is matched by display id, not by parent, as front ends do.
"""

from __future__ import annotations

import json
import os
import queue
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpec

from minimax_magic.simulator import Simulator

Trigger = tuple[Callable[[], Any], Callable[[], Any]]
# Blocks for a minute. Not in one sleep: a signal that comes in the instant before that begins is noted
# by Python and seen only after it (5 of 150 stops were late on a busy machine).
BLOCKS = "for _ in range(600): time.sleep(0.1)"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Result:
    """What became of one cell.

    Attributes:
        outputs: As a notebook would save them: display updates applied, streams merged.
        messages: Every iopub message of the cell, with the seconds since it was sent.
        updates: What was drawn: (seconds, mime bundle) of each display and update.
    """

    msg_id: str
    outputs: list[dict[str, Any]] = field(default_factory=list)
    messages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    updates: list[tuple[float, dict[str, str]]] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def text(self, mime: str = "text/plain") -> str:
        return "".join(
            o["text"] if o["output_type"] == "stream" else o.get("data", {}).get(mime, "")
            for o in self.outputs
        )

    @property
    def error(self) -> dict[str, Any] | None:
        return next((o for o in self.outputs if o["output_type"] == "error"), None)

    @property
    def displays(self) -> list[dict[str, str]]:
        return [o["data"] for o in self.outputs if "data" in o]


class CellTimeout(AssertionError):
    """The cell did not go idle."""


class Kernel:
    """One kernel in the interpreter `python`."""

    def __init__(self, python: str, folder: Path, env: dict[str, str]) -> None:
        self.km: Any = KernelManager()
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self.km._kernel_spec = KernelSpec(argv=argv, display_name="test", language="python")
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("MINIMAX_")}
        env = {**inherited, "IPYTHONDIR": str(folder / "ipython"), **env}
        self._stderr = (folder / "kernel.stderr").open("w")
        self.km.start_kernel(env=env, cwd=str(folder), stderr=self._stderr)
        self.kc: Any = self.km.blocking_client()
        self.kc.start_channels()
        self.kc.wait_for_ready(timeout=60)
        self.seen: list[tuple[float, dict[str, Any]]] = []

    def close(self) -> None:
        self.kc.stop_channels()
        self.km.shutdown_kernel(now=True)
        self.km.cleanup_resources()
        self._stderr.close()

    def start(self, code: str, *, stdin: bool = False) -> str:
        """Sends a cell and does not wait, as "Run All" does.

        Args:
            stdin: Says that somebody is there to answer questions, as front ends do.
        """
        msg_id: str = self.kc.execute(code, allow_stdin=stdin)
        return msg_id

    def finish(self, msg_id: str, timeout: float = 20, *triggers: Trigger) -> Result:
        """Collects until the cell is idle.

        Args:
            triggers: (condition, action): each action is called once, when its condition holds.
        """
        result, by_id, todo = Result(msg_id), {}, list(triggers)
        begin = time.monotonic()
        while True:
            now = time.monotonic() - begin
            for trigger in [t for t in todo if t[0]()]:
                todo.remove(trigger)
                trigger[1]()
            if now > timeout:
                raise CellTimeout(f"no idle after {timeout} s; outputs so far: {result.outputs}")
            try:
                message = self.kc.get_iopub_msg(timeout=0.02)
            except queue.Empty:
                continue
            self.seen.append((time.monotonic(), message))
            kind, content = message["msg_type"], message["content"]
            display_id = (content.get("transient") or {}).get("display_id")
            if kind == "update_display_data":
                for output in by_id.get(display_id, ()):
                    output["data"], output["metadata"] = content["data"], content["metadata"]
                result.updates.append((now, content["data"]))
                continue
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            result.messages.append((now, message))
            if kind == "stream":
                last = result.outputs[-1] if result.outputs else {}
                if last.get("output_type") == "stream" and last["name"] == content["name"]:
                    last["text"] += content["text"]
                else:
                    result.outputs.append({"output_type": "stream", **content})
            elif kind in ("display_data", "execute_result"):
                output = {"output_type": kind, **content}
                result.outputs.append(output)
                result.updates.append((now, content["data"]))
                if display_id:
                    by_id.setdefault(display_id, []).append(output)
            elif kind == "error":
                result.outputs.append({"output_type": "error", **content})
            elif kind == "clear_output":
                result.outputs.clear()
            elif kind == "status" and content["execution_state"] == "idle":
                result.seconds = time.monotonic() - begin
                result.reply = self.reply(msg_id)
                return result

    def reply(self, msg_id: str) -> dict[str, Any]:
        """The content of the shell's reply to a request."""
        while True:
            reply = self.kc.get_shell_msg(timeout=10)
            if reply["parent_header"].get("msg_id") == msg_id:
                content: dict[str, Any] = reply["content"]
                return content

    def run(self, code: str, *triggers: Trigger, timeout: float = 20) -> Result:
        return self.finish(self.start(code), timeout, *triggers)

    def interrupt(self) -> None:
        self.km.interrupt_kernel()

    def value(self, expression: str) -> Any:
        """The value of an expression in the kernel, by way of JSON."""
        result = self.run(f"import json as _json; print(_json.dumps({expression}))")
        assert result.error is None, result.outputs
        return json.loads(result.text())

    def watch(self, wanted: Callable[[dict[str, Any]], bool], timeout: float = 20) -> Any:
        """The first message from now on that is wanted, whatever it belongs to."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                message = self.kc.get_iopub_msg(timeout=0.05)
            except queue.Empty:
                continue
            self.seen.append((time.monotonic(), message))
            if wanted(message):
                return message
        raise CellTimeout(f"nothing like that within {timeout} s")

    def comm_msg(self, comm_id: str, data: Any, *buffers: bytes) -> None:
        """Plays the front end's side of a comm."""
        message = self.kc.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        self.kc.session.send(self.kc.shell_channel.socket, message, buffers=list(buffers))


def once_streaming(sim: Simulator, action: Callable[[], object], chunks: int = 8) -> Trigger:
    """The action, as soon as so many chunks of the next request were sent."""
    before = len(sim.requests)
    return (lambda: any(r.chunks_sent >= chunks for r in sim.requests[before:])), action


def error_line(result: Result) -> str:
    """The single line that a failed cell shows."""
    assert result.reply["status"] == "error"
    assert result.error is not None, result.outputs
    text = COLOURS.sub("", "\n".join(result.error["traceback"]))
    (line,) = [line for line in text.splitlines() if line.strip()]
    return line


def ok(result: Result) -> Result:
    """The result of a cell that worked."""
    assert result.reply["status"] == "ok", result.outputs
    return result


def once_said(kernel: Kernel, text: str, action: Callable[[], Any]) -> Trigger:
    """The action, as soon as the text was printed from now on."""
    first = len(kernel.seen)

    def printed() -> bool:
        return any(text in m["content"].get("text", "") for _, m in kernel.seen[first:])

    return printed, action
