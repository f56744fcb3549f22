"""Cells that are answered in the background, in a real kernel: whose output is whose."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kernels import BLOCKS, Kernel, Result, Trigger, error_line, ok, once_said

from minimax_magic.simulator import Reply, Simulator, ToolCall

pytestmark = pytest.mark.kernel

ENDLESS = Reply(text="word " * 100_000, thinking="", delay_s=0.02)
BUSY = "import time\nfor n in range({n}):\n    print('busy', n, flush=True)\n    time.sleep(0.05)"


def slow(word: str, chunks: int = 25) -> Reply:
    """An answer that takes about three quarters of a second."""
    return Reply(text=f"{word} " * chunks, thinking="", chunk_chars=len(word) + 1, delay_s=0.03)


def streaming(sim: Simulator, chunks: int) -> None:
    """Waits until more than so many chunks of the first answer were sent."""
    assert sim.wait_for(lambda s: bool(s.requests) and s.requests[0].chunks_sent > chunks)


class Drawn:
    """What stands in the cell of a job, late updates applied, as front ends match them."""

    def __init__(self, kernel: Kernel, cell: Result) -> None:
        self._kernel = kernel
        outputs = [o for o in cell.outputs if o["output_type"] == "display_data"]
        self.ids = [o["transient"]["display_id"] for o in outputs]
        self._first = [o["data"] for o in outputs]

    def now(self) -> list[dict[str, str]]:
        shown = dict(zip(self.ids, self._first, strict=True))
        for _, message in self._kernel.seen:
            display_id = message["content"].get("transient", {}).get("display_id")
            if message["msg_type"] == "update_display_data" and display_id in shown:
                shown[display_id] = message["content"]["data"]
        return list(shown.values())

    def text(self) -> str:
        return "\n".join(data.get("text/plain", "") for data in self.now())

    def within(self, result: Result) -> list[dict[str, str]]:
        """What another cell sent to these displays."""
        return [
            message["content"]["data"]
            for _, message in self._kernel.seen
            if message["msg_type"] == "update_display_data"
            and message["parent_header"].get("msg_id") == result.msg_id
            and message["content"]["transient"]["display_id"] in self.ids
        ]


def begin(kernel: Kernel, cell: str) -> Drawn:
    """Runs a cell with --bg, which is over at once."""
    result = ok(kernel.run(cell))
    assert [o["output_type"] for o in result.outputs][:2] == ["display_data"] * 2
    return Drawn(kernel, result)


def said(kernel: Kernel, text: str) -> None:
    """Waits until the text has been printed, whatever cell it belongs to."""
    printed = [m["content"].get("text", "") for _, m in kernel.seen]
    if not any(text in each for each in printed):
        kernel.watch(lambda m: text in m["content"].get("text", ""))


def streams(kernel: Kernel, result: Result) -> str:
    """All that was printed in the name of a cell, also after its end."""
    return "".join(
        m["content"]["text"]
        for _, m in kernel.seen
        if m["content"].get("name") == "stdout"
        and m["parent_header"].get("msg_id") == result.msg_id
    )


def once_waiting(kernel: Kernel, sim: Simulator) -> Trigger:
    """Presses the stop button a moment after a cell has printed that it waits."""
    printed, _ = once_said(kernel, "waits", kernel.interrupt)
    begun: list[int] = []

    def waits() -> bool:
        sent = sim.requests[0].chunks_sent
        if printed() and not begun:
            begun.append(sent)
        return bool(begun) and sent > begun[0] + 5

    return waits, kernel.interrupt


# ---------------------------------------------------------------------------- whose output


def test_it_streams_into_its_own_cell(kernel: Kernel, sim: Simulator) -> None:
    """The cell is over at once; its answer grows in it while another cell prints and sleeps, and nothing
    of it is in that one."""
    sim.script(slow("background"))
    ids = [kernel.start(code) for code in ("%%minimax --bg a\nhi", BUSY.format(n=30))]
    first, busy = [kernel.finish(msg_id) for msg_id in ids]
    assert first.outputs[0]["output_type"] == "display_data"
    drawn = Drawn(kernel, first)
    assert [o["output_type"] for o in busy.outputs] == ["stream"]
    assert busy.text() == "".join(f"busy {n}\n" for n in range(30))
    grown = {
        data["text/markdown"].count("background")
        for _, data in busy.updates
        if "text/markdown" in data
    }
    assert len(grown) >= 3
    answer, summary = drawn.now()
    assert answer["text/plain"] == "background " * 25
    assert "simulated" in summary["text/plain"]
    assert kernel.value("[a.done, a.text == (await a).text, (await a).finish_reason]") == [
        True,
        True,
        "stop",
    ]
    made = [m for _, m in kernel.seen if m["msg_type"] == "display_data"]
    assert {m["parent_header"]["msg_id"] for m in made} == {first.msg_id}


def test_two_at_once(kernel: Kernel, sim: Simulator) -> None:
    """Two of them go on side by side, each in its cell, and both variables can be awaited."""
    sim.script(slow("one"), slow("one"))
    ids = [
        kernel.start(code)
        for code in ("%%minimax --bg a\nhi", "%minimax --bg hello", "x, y = await a, await _")
    ]
    sent = time.monotonic()
    results = [ok(kernel.finish(msg_id)) for msg_id in ids]
    assert all(r.arrived_at - sent < 1.0 for r in sim.requests)
    assert len(sim.requests) == 2
    for result in results[:2]:
        displays = [o for o in result.outputs if o["output_type"] == "display_data"]
        assert len(displays) == 2
        assert Drawn(kernel, result).now()[0]["text/plain"] == "one " * 25
    assert kernel.value("x.text == y.text") is True


def test_awaiting(kernel: Kernel, sim: Simulator) -> None:
    """What has come so far can be looked at; awaited, the variable gives the reply, or the value."""
    sim.script(slow("far"))
    begin(kernel, "%%minimax --bg a\nhi")
    streaming(sim, 10)
    time.sleep(0.05)
    assert kernel.value("[a.done, 'far' in a.text, 'running' in repr(a)]") == [False, True, True]
    assert "far far" in ok(kernel.run("print((await a).text)")).text()
    kernel.run(
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    name: str\n    age: int"
    )
    begin(kernel, '%%minimax --bg --as P p\n"Ann" is 30')
    assert kernel.value("[(await p).name, (await p).age, p.done]") == ["Ann", 30, True]


# ------------------------------------------------------------------------------- commands


def test_the_list_and_waiting(kernel: Kernel, sim: Simulator) -> None:
    """`jobs` lists them, `wait` blocks until one is over and draws it once more in its own cell."""
    sim.script(slow("waited"))
    drawn = begin(kernel, "%%minimax --bg\nwhat is listed")
    assert "1  running" in (listed := kernel.run("%minimax jobs").text())
    assert "what is listed" in listed
    waited = ok(kernel.run("%minimax wait 1"))
    assert waited.outputs == []
    again = drawn.within(waited)[-2:]
    assert again == drawn.now()
    assert again[0]["text/plain"] == "waited " * 25
    assert "1  done" in kernel.run("%minimax jobs").text()
    # over long since: nothing but the drawing
    assert drawn.within(ok(kernel.run("%minimax wait 1"))) == drawn.now()
    assert ok(kernel.run("%minimax wait")).outputs == []


def test_cancelling(kernel: Kernel, sim: Simulator) -> None:
    """`cancel` closes the connection and keeps what has come; waiting for it fails in one line."""
    sim.script(ENDLESS)
    drawn = begin(kernel, "%%minimax --bg a\nhi")
    streaming(sim, 8)
    ok(kernel.run("%minimax cancel 1"))
    assert sim.requests[0].finished.wait(5)
    assert sim.requests[0].closed_early
    assert "was stopped" in error_line(kernel.run("%minimax wait 1"))
    assert "was stopped" in error_line(kernel.run("await a"))
    assert "word word" in drawn.now()[0]["text/plain"]
    assert "interrupted" in drawn.text().lower()
    assert "1  stopped" in kernel.run("%minimax jobs").text()
    assert kernel.value("a.text[:9]") == "word word"
    for cell in ("%minimax cancel 7", "%minimax wait 7"):
        assert error_line(kernel.run(cell)).startswith("UsageError: there is no job ")


@pytest.mark.parametrize("wait", ["%minimax wait", "await a"])
def test_a_stop_while_waiting(kernel: Kernel, sim: Simulator, wait: str) -> None:
    """A stop ends the waiting, not the job."""
    sim.script(slow("on", 60))
    begin(kernel, "%%minimax --bg a\nhi")
    streaming(sim, 1)
    result = kernel.run(f"print('waits', flush=True)\n{wait}", once_waiting(kernel, sim))
    assert result.reply["status"] == "error"
    if wait != "await a":
        assert result.error is not None
        assert result.error["ename"] == "KeyboardInterrupt"
        assert error_line(result).startswith("Interrupted: the jobs that still run go on.")
    assert kernel.value("(await a).text.count('on')") == 60


def test_one_that_fails(kernel: Kernel, sim: Simulator) -> None:
    """A failure is said in the job's own output, and again in one line to who asks for the answer."""
    drawn = begin(kernel, "%%minimax --bg a\n[[error 2056]]")
    line = error_line(kernel.run("await a"))
    assert line.startswith("QuotaExceeded: ")
    assert line in drawn.text()
    assert error_line(kernel.run("%minimax wait 1")) == line
    assert "1  failed" in kernel.run("%minimax jobs").text()
    broken = begin(kernel, "%%minimax --bg b\n[[drop]]")
    assert error_line(kernel.run("await b")).startswith("StreamInterrupted: ")
    assert broken.now()[0]["text/plain"]
    assert "StreamInterrupted: " in broken.text()


def test_what_is_wrong_at_once(kernel: Kernel, sim: Simulator) -> None:
    """What can be said before anything is sent fails the cell itself."""
    for cell in (
        "%%minimax --bg --frobnicate\nhi",
        "%%minimax --bg --confirm\nhi",
        "%%minimax --bg\n{{nope}}",
        "%%minimax --bg --tools nope\nhi",
        "%%minimax --bg\n  ",
    ):
        assert error_line(kernel.run(cell))
    assert sim.requests == []


# ---------------------------------------------------------------------------------- tools

TOOLS = """
import asyncio, threading, time
inbox, outbox = asyncio.Queue(), asyncio.Queue()
async def serve():
    while True:
        await outbox.put(f'served {await inbox.get()}')
if 'server' in globals():
    server.cancel()
server = asyncio.ensure_future(serve())
def where(text: str = '') -> bool:
    print('in the tool')
    return threading.current_thread() is threading.main_thread()
async def fetch(text: str = '') -> str:
    print('fetching', flush=True)
    await inbox.put('it')
    await asyncio.sleep(PAUSE)
    here = threading.current_thread() is threading.main_thread()
    return f'{await outbox.get()} {here}'
def block() -> None:
    print('blocking', flush=True)
    BLOCKS
"""


def tools(pause_s: float = 0.1) -> str:
    """The cell that defines them; `fetch` takes so long."""
    return TOOLS.replace("PAUSE", str(pause_s)).replace("BLOCKS", BLOCKS)


def results_of(sim: Simulator) -> list[str]:
    """What the tools returned, as the last request says it."""
    return [m["content"] for m in sim.requests[-1].body["messages"] if m["role"] == "tool"]


def test_tools_between_cells(kernel: Kernel, sim: Simulator) -> None:
    """Tools of a background cell run on the main thread, with nobody waiting for them; what they print
    is in that cell."""
    kernel.run(tools())
    first = ok(kernel.run("%%minimax --bg --tools where,fetch a\ncall where and fetch"))
    assert sim.wait_for(lambda s: len(s.requests) == 2 and s.requests[1].finished.is_set())
    assert results_of(sim) == ["true", "served it True"]
    kernel.value("(await a).text")
    shown = Drawn(kernel, first).text()
    assert ") \u2192 true" in shown
    assert ") \u2192 served it True" in shown
    assert sorted(streams(kernel, first).splitlines()) == ["fetching", "in the tool"]


def test_tools_behind_a_busy_cell(kernel: Kernel, sim: Simulator) -> None:
    """A busy cell is not interfered with: the tool runs after it, and prints nothing into it."""
    kernel.run(tools())
    sim.script(
        Reply(text="a " * 30, thinking="", tool_calls=(ToolCall("where", {}),), delay_s=0.03)
    )
    ids = [
        kernel.start(code)
        for code in ("%%minimax --bg --tools where a\ncall where", BUSY.format(n=15))
    ]
    first, busy = [ok(kernel.finish(msg_id)) for msg_id in ids]
    printed = [at for at, m in kernel.seen if "busy" in m["content"].get("text", "")]
    kernel.value("(await a).text")
    assert results_of(sim) == ["true"]
    assert sim.requests[0].finished.is_set()
    assert sim.requests[1].arrived_at > printed[-1]
    assert busy.text() == "".join(f"busy {n}\n" for n in range(15))
    assert streams(kernel, first) == "in the tool\n"


@pytest.mark.parametrize("wait", ["%minimax wait", "await a"])
@pytest.mark.parametrize("tool", ["where", "fetch", "where and fetch"])
def test_tools_while_somebody_waits(kernel: Kernel, sim: Simulator, tool: str, wait: str) -> None:
    """Whoever waits for the job lets its tools run, on the main thread and the kernel's loop; what they
    print is in the job's cell."""
    kernel.run(tools())
    ids = [
        kernel.start(code)
        for code in (
            f"%%minimax --bg --tools where,fetch a\n[[slow 25]] call {tool}",
            wait,
            "print('after')",
        )
    ]
    results = [ok(kernel.finish(msg_id)) for msg_id in ids]
    assert results[2].text() == "after\n"
    assert len(sim.requests) == 2
    assert set(results_of(sim)) <= {"true", "served it True"}
    names = tool.split(" and ")
    assert len(results_of(sim)) == len(names)
    kernel.value("0")
    assert len(streams(kernel, results[0]).splitlines()) == len(names)
    assert streams(kernel, results[1]) == ""


@pytest.mark.parametrize("wait", ["%minimax wait", "await a"])
def test_waiting_for_a_tool_that_runs_already(kernel: Kernel, sim: Simulator, wait: str) -> None:
    """An async tool that began between cells goes on while somebody waits for it."""
    kernel.run(tools(0.6))
    begin(kernel, "%%minimax --bg --tools fetch a\ncall fetch")
    said(kernel, "fetching")
    ok(kernel.run(wait))
    assert results_of(sim) == ["served it True"]
    assert ok(kernel.run("print('after')")).text() == "after\n"


def test_a_stop_while_a_tool_is_waited_for(kernel: Kernel, sim: Simulator) -> None:
    """A stop of `wait` leaves the job alone, its async tool included."""
    kernel.run(tools(0.8))
    msg_ids = [
        kernel.start("%%minimax --bg --tools fetch a\ncall fetch"),
        kernel.start("%minimax wait"),
    ]
    trigger = once_said(kernel, "fetching", kernel.interrupt)
    ok(kernel.finish(msg_ids[0]))
    result = kernel.finish(msg_ids[1], 20, trigger)
    assert error_line(result).startswith("Interrupted: the jobs that still run go on.")
    assert "served it True" in kernel.value("(await a).text")
    assert results_of(sim) == ["served it True"]


def test_cancelling_a_tool(kernel: Kernel, sim: Simulator) -> None:
    """`cancel` ends an async tool, and says so on its card."""
    kernel.run(tools(60))
    drawn = begin(kernel, "%%minimax --bg --chat c --tools fetch a\ncall fetch")
    said(kernel, "fetching")
    ok(kernel.run("%minimax cancel 1"))
    assert "was stopped" in error_line(kernel.run("await a"))
    assert "stopped: fetch(" in drawn.text()
    assert (
        kernel.value("[t.get_coro().__name__ for t in asyncio.all_tasks()].count('_settle')") == 0
    )
    ok(kernel.run("%%minimax --chat c\n[[echo]]on"))
    assert "stopped the program" in json.dumps(sim.requests[-1].body["messages"])


def test_a_stop_of_a_tool_between_cells(kernel: Kernel, sim: Simulator) -> None:
    """The stop button reaches a function that blocks the kernel in the name of a job."""
    kernel.run(tools(0))
    drawn = begin(kernel, "%%minimax --bg --tools block a\ncall block")
    said(kernel, "blocking")
    kernel.interrupt()
    assert "was stopped" in error_line(kernel.run("await a"))
    assert "stopped: block(" in drawn.text()
    assert "1  stopped" in kernel.run("%minimax jobs").text()


# ------------------------------------------------------------------------- ends of a kernel


@pytest.mark.parametrize("prompt", ["hi", "call fetch"])
def test_a_kernel_that_ends(
    another: Callable[..., Kernel], sim: Simulator, tmp_path: Path, prompt: str
) -> None:
    """A kernel that is told to end while a job runs does so, in order and without a word."""
    kernel = another()
    kernel.run(tools(60))
    if prompt == "hi":
        sim.script(ENDLESS)
    begin(kernel, f"%%minimax --bg --tools fetch a\n{prompt}")
    if prompt == "hi":
        streaming(sim, 5)
    else:
        said(kernel, "fetching")
    process = kernel.km.provisioner.process
    kernel.kc.shutdown()
    assert process.wait(15) == 0
    for request in sim.requests:
        assert request.finished.wait(5)
    stderr = (tmp_path / "kernel-0" / "kernel.stderr").read_text()
    assert "Traceback" not in stderr
    assert "never" not in stderr


def test_unloading_ends_jobs(kernel: Kernel, sim: Simulator) -> None:
    """Unloaded, the extension leaves no job and no thread of its own behind."""
    sim.script(ENDLESS)
    drawn = begin(kernel, "%%minimax --bg a\nhi")
    streaming(sim, 5)
    ok(kernel.run("%unload_ext minimax_magic"))
    assert sim.requests[0].finished.wait(5)
    threads = "[t.name for t in __import__('threading').enumerate() if 'minimax' in t.name]"
    assert kernel.value(threads) == []
    assert "interrupted" in drawn.text().lower()
