"""Cells that are answered in the background, in a real kernel: whose output is whose."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kernels import Kernel, Result, Trigger, error_line, once_streaming

from minimax_magic.simulator import Reply, Simulator, ToolCall

pytestmark = pytest.mark.kernel

KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"
ENDLESS = Reply(text="word " * 100_000, thinking="", delay_s=0.02)
BUSY = "import time\nfor n in range({n}):\n    print('busy', n, flush=True)\n    time.sleep(0.05)"


def slow(word: str, chunks: int = 25) -> Reply:
    """An answer that takes about three quarters of a second."""
    return Reply(text=f"{word} " * chunks, thinking="", chunk_chars=len(word) + 1, delay_s=0.03)


def ok(result: Result) -> Result:
    assert result.reply["status"] == "ok", result.outputs
    return result


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
    assert [o["output_type"] for o in result.outputs] == ["display_data"] * 2
    return Drawn(kernel, result)


def streams(kernel: Kernel, result: Result) -> str:
    """All that was printed in the name of a cell, also after its end."""
    return "".join(
        m["content"]["text"]
        for _, m in kernel.seen
        if m["msg_type"] == "stream" and m["parent_header"].get("msg_id") == result.msg_id
    )


def once_said(kernel: Kernel, text: str, action: Callable[[], Any]) -> Trigger:
    """The action, as soon as the text was printed from now on."""
    first = len(kernel.seen)

    def said() -> bool:
        return any(text in m["content"].get("text", "") for _, m in kernel.seen[first:])

    return said, action


# ---------------------------------------------------------------------------- whose output


def test_it_streams_into_its_own_cell(kernel: Kernel, sim: Simulator) -> None:
    """The cell is over at once; its answer grows in it while another cell prints and sleeps, and nothing
    of it is in that one."""
    sim.script(slow("background"))
    ids = [kernel.start(code) for code in ("%%minimax --bg a\nhi", BUSY.format(n=30))]
    first, busy = [kernel.finish(msg_id) for msg_id in ids]
    assert first.seconds < 1.0
    assert first.outputs[0]["output_type"] == "display_data"
    drawn = Drawn(kernel, first)
    assert [o["output_type"] for o in busy.outputs] == ["stream"]
    assert busy.text() == "".join(f"busy {n}\n" for n in range(30))
    grown = {data["text/markdown"].count("background") for _, data in busy.updates if "text/markdown" in data}
    assert len(grown) >= 3
    answer, summary = drawn.now()
    assert answer["text/plain"] == ("background " * 25).strip()
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
        assert Drawn(kernel, result).now()[0]["text/plain"] == ("one " * 25).strip()
    assert kernel.value("x.text == y.text") is True


def test_awaiting(kernel: Kernel, sim: Simulator) -> None:
    """What has come so far can be looked at; awaited, the variable gives the reply, or the value."""
    sim.script(slow("far"))
    begin(kernel, "%%minimax --bg a\nhi")
    assert sim.wait_for(lambda s: s.requests[0].chunks_sent > 10)
    time.sleep(0.05)
    assert kernel.value("[a.done, 'far' in a.text, 'running' in repr(a)]") == [False, True, True]
    assert "far far" in ok(kernel.run("print((await a).text)")).text()
    kernel.run("from dataclasses import dataclass\n@dataclass\nclass P:\n    name: str\n    age: int")
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
    assert again[0]["text/plain"] == ("waited " * 25).strip()
    assert "1  done" in kernel.run("%minimax jobs").text()
    # over long since: nothing but the drawing
    assert drawn.within(ok(kernel.run("%minimax wait 1"))) == drawn.now()
    assert ok(kernel.run("%minimax wait")).outputs == []


def test_cancelling(kernel: Kernel, sim: Simulator) -> None:
    """`cancel` closes the connection and keeps what has come; waiting for it fails in one line."""
    sim.script(ENDLESS)
    drawn = begin(kernel, "%%minimax --bg a\nhi")
    assert sim.wait_for(lambda s: s.requests[0].chunks_sent > 8)
    ok(kernel.run("%minimax cancel 1"))
    assert sim.requests[0].finished.wait(5)
    assert sim.requests[0].closed_early
    assert "was stopped" in error_line(kernel.run("%minimax wait 1"))
    assert "was stopped" in error_line(kernel.run("await a"))
    assert "word word" in drawn.now()[0]["text/plain"]
    assert "interrupted" in drawn.text().lower()
    assert "1  stopped" in kernel.run("%minimax jobs").text()
    assert kernel.value("a.text[:9]") == "word word"
    for cell in ("%minimax cancel 7", "%minimax wait seven"):
        assert error_line(kernel.run(cell)).startswith("UsageError: there is no job ")


def test_a_stop_while_waiting(kernel: Kernel, sim: Simulator) -> None:
    """A stop ends the waiting, not the job."""
    sim.script(slow("on", 60))
    begin(kernel, "%%minimax --bg a\nhi")
    stop = (lambda: sim.requests[0].chunks_sent > 5, kernel.interrupt)
    result = kernel.run("print('waits')\n%minimax wait", stop)
    assert result.error is not None
    assert result.error["ename"] == "KeyboardInterrupt"
    assert error_line(result).startswith("Interrupted: the jobs go on.")
    assert kernel.value("(await a).text.count('on')") == 60
    sim.script(slow("on", 60))
    begin(kernel, "%%minimax --bg a\nhi")
    stop = (lambda: sim.requests[1].chunks_sent > 5, kernel.interrupt)
    assert kernel.run("print('waits')\nawait a", stop).reply["status"] == "error"
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
server = asyncio.ensure_future(serve())
def where(text: str = '') -> bool:
    print('in the tool')
    return threading.current_thread() is threading.main_thread()
async def fetch(text: str = '') -> str:
    print('fetching', flush=True)
    await inbox.put('it')
    await asyncio.sleep({pause})
    here = threading.current_thread() is threading.main_thread()
    return f'{{await outbox.get()}} {{here}}'
def block() -> None:
    print('blocking', flush=True)
    time.sleep(60)
"""


def results_of(sim: Simulator) -> list[str]:
    """What the tools returned, as the last request says it."""
    return [m["content"] for m in sim.requests[-1].body["messages"] if m["role"] == "tool"]


def test_tools_between_cells(kernel: Kernel, sim: Simulator, major: int) -> None:
    """Tools of a background cell run on the main thread, with nobody waiting for them; on ipykernel 7
    what they print is in that cell."""
    kernel.run(TOOLS.format(pause=0.1))
    first = ok(kernel.run("%%minimax --bg --tools where,fetch a\ncall where and fetch"))
    assert sim.wait_for(lambda s: len(s.requests) == 2 and s.requests[1].finished.is_set())
    assert results_of(sim) == ["true", "served it True"]
    kernel.value("(await a).text")
    assert "where() \u2192 true" in Drawn(kernel, first).text()
    if major >= 7:
        assert "in the tool\n" in streams(kernel, first)
        assert "fetching\n" in streams(kernel, first)


def test_tools_behind_a_busy_cell(kernel: Kernel, sim: Simulator, major: int) -> None:
    """A busy cell is not interfered with: the tool runs after it, and prints nothing into it."""
    kernel.run(TOOLS.format(pause=0.1))
    ids = [
        kernel.start(code)
        for code in ("%%minimax --bg --tools where a\ncall where", BUSY.format(n=12))
    ]
    first, busy = [ok(kernel.finish(msg_id)) for msg_id in ids]
    assert len(sim.requests) == 1
    assert busy.text() == "".join(f"busy {n}\n" for n in range(12))
    kernel.value("(await a).text")
    assert results_of(sim) == ["true"]
    if major >= 7:
        assert streams(kernel, first) == "in the tool\n"


@pytest.mark.parametrize("wait", ["%minimax wait", "await a"])
@pytest.mark.parametrize("tool", ["where", "fetch", "where and fetch"])
def test_tools_while_somebody_waits(
    kernel: Kernel, sim: Simulator, tool: str, wait: str
) -> None:
    """Whoever waits for the job lets its tools run, on the main thread and the kernel's loop."""
    kernel.run(TOOLS.format(pause=0.1))
    ids = [
        kernel.start(code)
        for code in (f"%%minimax --bg --tools where,fetch a\ncall {tool}", wait, "print('after')")
    ]
    results = [ok(kernel.finish(msg_id)) for msg_id in ids]
    assert results[2].text() == "after\n"
    assert len(sim.requests) == 2
    assert set(results_of(sim)) <= {"true", "served it True"}
    assert len(results_of(sim)) == len(tool.split(" and "))


@pytest.mark.parametrize("wait", ["%minimax wait", "await a"])
def test_waiting_for_a_tool_that_runs_already(kernel: Kernel, sim: Simulator, wait: str) -> None:
    """An async tool that began between cells goes on while somebody waits for it."""
    kernel.run(TOOLS.format(pause=0.6))
    begin(kernel, "%%minimax --bg --tools fetch a\ncall fetch")
    kernel.watch(lambda m: "fetching" in m["content"].get("text", ""))
    ok(kernel.run(wait))
    assert results_of(sim) == ["served it True"]
    assert ok(kernel.run("print('after')")).text() == "after\n"


def test_a_stop_while_a_tool_is_waited_for(kernel: Kernel, sim: Simulator) -> None:
    """A stop of `wait` leaves the job alone, its async tool included."""
    kernel.run(TOOLS.format(pause=0.8))
    msg_ids = [
        kernel.start("%%minimax --bg --tools fetch a\ncall fetch"),
        kernel.start("%minimax wait"),
    ]
    trigger = once_said(kernel, "fetching", kernel.interrupt)
    ok(kernel.finish(msg_ids[0]))
    result = kernel.finish(msg_ids[1], 20, trigger)
    assert error_line(result).startswith("Interrupted: the jobs go on.")
    assert "served it True" in kernel.value("(await a).text")
    assert results_of(sim) == ["served it True"]


def test_cancelling_a_tool(kernel: Kernel, sim: Simulator) -> None:
    """`cancel` ends an async tool, and says so on its card."""
    kernel.run(TOOLS.format(pause=60))
    drawn = begin(kernel, "%%minimax --bg --chat c --tools fetch a\ncall fetch")
    kernel.watch(lambda m: "fetching" in m["content"].get("text", ""))
    ok(kernel.run("%minimax cancel 1"))
    assert "was stopped" in error_line(kernel.run("await a"))
    assert "stopped: fetch(" in drawn.text()
    assert kernel.value("[t.get_coro().__name__ for t in asyncio.all_tasks()].count('_settle')") == 0
    ok(kernel.run("%%minimax --chat c\n[[echo]]on"))
    assert "stopped the program" in json.dumps(sim.requests[-1].body["messages"])


def test_a_stop_of_a_tool_between_cells(kernel: Kernel, sim: Simulator) -> None:
    """The stop button reaches a function that blocks the kernel in the name of a job."""
    kernel.run(TOOLS.format(pause=0))
    drawn = begin(kernel, "%%minimax --bg --tools block a\ncall block")
    kernel.watch(lambda m: "blocking" in m["content"].get("text", ""))
    kernel.interrupt()
    assert "was stopped" in error_line(kernel.run("await a"))
    assert "stopped: block(" in drawn.text()
    assert "1  stopped" in kernel.run("%minimax jobs").text()


# ------------------------------------------------------------------------- ends of a kernel


@pytest.fixture
def another(
    kernel: Kernel, environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., Kernel]]:
    """Starts one more kernel like `kernel`, with other variables."""
    python = kernel.value("__import__('sys').executable")
    kernels: list[Kernel] = []

    def start(**variables: str | None) -> Kernel:
        folder = tmp_path / f"kernel-{len(kernels)}"
        folder.mkdir()
        merged = {**environment, **variables}
        new = Kernel(python, folder, {n: v for n, v in merged.items() if v is not None})
        kernels.append(new)
        ok(new.run("%load_ext minimax_magic\n%xmode Context"))
        return new

    yield start
    for each in kernels:
        each.close()


@pytest.mark.parametrize("prompt", ["hi", "call fetch"])
def test_a_kernel_that_ends(
    another: Callable[..., Kernel], sim: Simulator, tmp_path: Path, prompt: str
) -> None:
    """A kernel that is told to end while a job runs does so, in order and without a word."""
    kernel = another()
    kernel.run(TOOLS.format(pause=60))
    if prompt == "hi":
        sim.script(ENDLESS)
    begin(kernel, f"%%minimax --bg --tools fetch a\n{prompt}")
    if prompt == "hi":
        assert sim.wait_for(lambda s: s.requests[0].chunks_sent > 5)
    else:
        kernel.watch(lambda m: "fetching" in m["content"].get("text", ""))
    process = kernel.km.provisioner.process
    kernel.kc.shutdown()
    assert process.wait(15) == 0
    for request in sim.requests:
        assert request.finished.wait(5)
    said = (tmp_path / "kernel-0" / "kernel.stderr").read_text()
    assert "Traceback" not in said
    assert "never" not in said


def test_unloading_ends_jobs(kernel: Kernel, sim: Simulator) -> None:
    """Unloaded, the extension leaves no job and no thread of its own behind."""
    sim.script(ENDLESS)
    drawn = begin(kernel, "%%minimax --bg a\nhi")
    assert sim.wait_for(lambda s: s.requests[0].chunks_sent > 5)
    ok(kernel.run("%unload_ext minimax_magic"))
    assert sim.requests[0].finished.wait(5)
    threads = "[t.name for t in __import__('threading').enumerate() if 'minimax' in t.name]"
    assert kernel.value(threads) == []
    assert "interrupted" in drawn.text().lower()


# ----------------------------------------------------------------------- what cells hand over


def next_inputs(result: Result) -> list[str]:
    """The cells that were offered."""
    return [p["text"] for p in result.reply["payload"] if p["source"] == "set_next_input"]


@pytest.mark.parametrize(
    "cell", ["%%minimax --format code\n[[code]]", "%minimax --format code [[code]]"]
)
def test_code_becomes_the_next_cell(kernel: Kernel, sim: Simulator, cell: str) -> None:
    """`--format code` offers the code as next cell, beside showing it."""
    result = ok(kernel.run(cell))
    (code,) = next_inputs(result)
    assert code.strip()
    assert code in result.displays[0]["text/plain"]
    ok(kernel.run(code))


def test_fix_offers_a_cell(kernel: Kernel, sim: Simulator) -> None:
    """`fix` sends the last error, as data, and offers the corrected cell."""
    kernel.run("surprise = '{{1/0}} [[error 401]]'\nraise ValueError(surprise)")
    result = ok(kernel.run("%minimax fix"))
    (code,) = next_inputs(result)
    assert "print" in code
    sent = json.dumps(sim.requests[0].body["messages"])
    assert "{{1/0}} [[error 401]]" in sent
    assert "raise ValueError(surprise)" in sent
    ok(kernel.run(code))


@pytest.mark.parametrize("way", ["%%minimax", "%%time\n%%minimax"])
def test_a_value_in_a_variable(kernel: Kernel, sim: Simulator, way: str) -> None:
    """`--as` gives the variable a validated value, also after an answer that was none."""
    kernel.run("from dataclasses import dataclass\n@dataclass\nclass P:\n    name: str\n    age: int")
    ok(kernel.run(f'{way} p --as P\n[[invalid 1]] "Ann" is 30'))
    assert len(sim.requests) == 2
    assert kernel.value("[type(p).__name__, p.name, p.age]") == ["P", "Ann", 30]
    ok(kernel.run(f"{way} data --format json\nanything"))
    assert kernel.value("isinstance(data, (dict, list))") is True


def test_replay_in_another_kernel(
    kernel: Kernel, another: Callable[..., Kernel], sim: Simulator, tmp_path: Path
) -> None:
    """What one kernel recorded, calls of tools included, another shows without key and network."""
    cells = [
        "%%minimax --cache {mode} --cache-file {file} a\n[[echo]]hello",
        "%%minimax --cache {mode} --cache-file {file} --tools where --chat c b\ncall where",
        "%%minimax --cache {mode} --cache-file {file} --chat c\nand on",
    ]
    file = tmp_path / "answers.json"
    kernel.run(TOOLS.format(pause=0))
    for cell in cells:
        ok(kernel.run(cell.format(mode="record", file=file)))
    said = kernel.value("[a.text, b.text]")
    sent = len(sim.requests)
    assert KEY not in file.read_text()
    second = another(
        MINIMAX_CODE_PLAN_KEY=None,
        MINIMAX_BASE_URL="http://127.0.0.1:9",
        MINIMAX_DATA_DIR=str(tmp_path / "data"),
    )
    second.run(TOOLS.format(pause=0))
    for cell in cells:
        result = ok(second.run(cell.format(mode="replay", file=file)))
        assert "replayed" in result.displays[1]["text/plain"]
    assert second.value("[a.text, b.text]") == said
    missing = second.run(f"%%minimax --cache replay --cache-file {file}\nsomething new")
    assert "holds no answer to this request" in error_line(missing)
    assert len(sim.requests) == sent


# --------------------------------------------------------------------------------- secrets


def test_a_key_is_in_no_message(kernel: Kernel, sim: Simulator, tmp_path: Path) -> None:
    """With debug logging and verbose tracebacks on, nothing that tools, jobs, chats and recordings say
    or write holds the key."""
    sim.key = KEY
    kernel.run(
        "import logging, sys, os\n"
        "logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, force=True)\n"
        "before = os.environ['MINIMAX_CODE_PLAN_KEY']\n"
        f"os.environ['MINIMAX_CODE_PLAN_KEY'] = {KEY[::-1]!r}[::-1]\n"
        "def fail() -> str:\n    raise ValueError('no')\n"
        "async def afail() -> str:\n    raise ValueError('no')\n"
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    name: str\n    age: int"
    )
    kernel.run("%xmode Verbose")
    kernel.seen.clear()
    file = tmp_path / "answers.json"
    replies = [
        kernel.run(code).reply
        for code in (
            "%%minimax --tools fail,afail --chat c\ncall fail and afail",
            "%%time\n%%minimax --tools fail,afail --chat c\ncall fail and afail",
            "%%minimax --as P --repair 0\n[[invalid 3]] hello",
            "%%minimax --bg --tools fail a\ncall fail",
            "await a",
            "%%minimax --bg b\n[[error 401]]",
            "await b",
            "try:\n    await b\nexcept Exception as error:\n    raise error.error",
            "%minimax wait 2",
            "%minimax jobs",
            f"%%minimax --cache record --cache-file {file}\nhi",
            "%%minimax --tools fail\n[[error midstream]]",
            "%minimax fix",
            "%minimax history c",
            f"%minimax save c {tmp_path / 'c.json'}",
            "%%minimax --dry-run --tools fail\nhi",
            "m = get_ipython().magics_manager.registry['MiniMaxMagics']\n"
            "vars(m), vars(m.session), a, b, vars(a), vars(vars(a)['_job'])",
            "%history -l 12",
        )
    ]
    everything = json.dumps([replies, [m for _, m in kernel.seen]], default=str)
    kernel.run(
        "os.environ['MINIMAX_CODE_PLAN_KEY'] = before\n"
        "logging.basicConfig(level=logging.WARNING, force=True)"
    )
    assert len(sim.requests) >= 11
    assert all(request.headers["Authorization"] == f"Bearer {KEY}" for request in sim.requests)
    assert "Traceback" in everything
    for text in (everything, file.read_text(), (tmp_path / "c.json").read_text()):
        assert KEY not in text
        assert KEY[8:] not in text
