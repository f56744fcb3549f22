"""Tools in a real kernel: where they run, what they may use, and how they are stopped."""

from __future__ import annotations

import json
import queue
import time

import pytest
from kernels import BLOCKS, Kernel, Trigger, error_line, ok, once_said, once_streaming

from minimax_magic.simulator import Reply, Simulator, ToolCall
from minimax_magic.simulator.exchange import Received

pytestmark = pytest.mark.kernel

# long enough that no test waits for their end
ENDLESS = Reply(text="word " * 100_000, thinking="", delay_s=0.02)
ENDLESS_ARGUMENTS = Reply(
    thinking="", tool_calls=(ToolCall("block", {"text": "word " * 100_000}),), delay_s=0.02
)
# a stop takes a fraction of it; what is stopped would take a minute and more
SOON_S = 8.0

# How a cell waits: awaited on the kernel's loop, or blocking it.
AWAITED = "%%minimax {options}\n{prompt}"
BLOCKING = {
    "timed": "%%time\n%%minimax {options}\n{prompt}",
    "called": "get_ipython().run_cell_magic('minimax', '{options}', '{prompt}')",
    "line": "%minimax {options} {prompt}",
}
WAYS = {"awaited": AWAITED, **BLOCKING}

any_way = pytest.mark.parametrize("way", list(WAYS.values()), ids=list(WAYS))

SYNC_TOOL = """
import threading
from IPython.display import display
def look(city: str) -> bool:
    print('looking at', city)
    display({'text/plain': 'a picture'}, raw=True)
    return threading.current_thread() is threading.main_thread()
"""

# Each of the objects is bound to the kernel's loop by its first use, which waits.
ASYNC_TOOL = """
import aiohttp, asyncio, os, threading
url = os.environ['MINIMAX_BASE_URL'] + '/nowhere'
web = aiohttp.ClientSession()
inbox, outbox, lock = asyncio.Queue(), asyncio.Queue(), asyncio.Lock()
ticks = 0
async def serve():
    while True:
        await outbox.put(f'served {await inbox.get()}')
async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.01)
tasks = [asyncio.ensure_future(serve()), asyncio.ensure_future(tick())]
async def fetch(city: str) -> str:
    await lock.acquire()
    asyncio.get_running_loop().call_later(0.2, lock.release)
    async with lock, web.get(url) as answer:
        status = answer.status
    await inbox.put(city)
    here = asyncio.get_running_loop() is loop and threading.current_thread() is main
    return f'{await outbox.get()}, {status}, {here}'
loop, main = asyncio.get_running_loop(), threading.main_thread()
print(await asyncio.wait_for(fetch('first'), 10))
"""
FETCHED = "served Paris, 404, True"

SLOW_TOOLS = """
import asyncio, time
def quick(text: str = '') -> str:
    return 'quickly done'
def block(text: str = '') -> str:
    print('begun', flush=True)
    BLOCKS
async def pause(text: str = '') -> str:
    try:
        print('begun', flush=True)
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.2)
        print('cleaned up')
""".replace("BLOCKS", BLOCKS)


def chats(sim: Simulator) -> list[Received]:
    """The requests for answers, without those that a tool made."""
    return [r for r in sim.requests if r.method == "POST"]


def told(sim: Simulator) -> list[str]:
    """What the tools returned, as the last request says it."""
    return [m["content"] for m in chats(sim)[-1].body["messages"] if m["role"] == "tool"]


# ---------------------------------------------------------------------------------- where


@any_way
def test_a_function_runs_where_cells_run(kernel: Kernel, sim: Simulator, way: str) -> None:
    """A tool is run on the kernel's main thread; what it prints and displays is in that cell."""
    kernel.run(SYNC_TOOL)
    result = ok(kernel.run(way.format(options="--tools look", prompt="look in Paris")))
    assert told(sim) == ["true"]
    assert "looking at Paris\n" in result.text()
    texts = [data["text/plain"] for data in result.displays]
    assert "a picture" in texts
    assert sum('look(city="Paris") \u2192 true' in text for text in texts) == 1


@any_way
def test_an_async_tool_uses_what_belongs_to_the_loop(
    kernel: Kernel, sim: Simulator, way: str
) -> None:
    """A session, a queue and a lock of an earlier cell work in an async tool and again after it, while
    the user's own tasks go on."""
    assert ok(kernel.run(ASYNC_TOOL)).text() == "served first, 404, True\n"
    before = kernel.value("ticks")
    ok(kernel.run(way.format(options="--tools fetch", prompt="fetch from Paris"), timeout=30))
    assert told(sim) == [FETCHED]
    assert kernel.value("ticks") - before > 10
    again = ok(kernel.run("print(await asyncio.wait_for(fetch('again'), 10))"))
    assert again.text() == "served again, 404, True\n"
    ok(kernel.run("[task.cancel() for task in tasks]\nawait web.close()"))


@any_way
def test_cells_behind_an_async_tool(kernel: Kernel, sim: Simulator, way: str) -> None:
    """Cells queued behind one that runs an async tool all run, in order, and more than once."""
    ok(kernel.run(ASYNC_TOOL))
    ask = way.format(options="--tools fetch", prompt="fetch from Paris")
    cells = [ask, "print('two')", ask, "await asyncio.sleep(0.01)\nprint('four')"]
    results = [kernel.finish(msg_id, 30) for msg_id in map(kernel.start, cells)]
    assert [r.reply["status"] for r in results] == ["ok"] * 4, [r.outputs for r in results]
    assert [results[1].text(), results[3].text()] == ["two\n", "four\n"]
    assert kernel.value("ticks") > 0
    ok(kernel.run("[task.cancel() for task in tasks]\nawait web.close()"))


@any_way
def test_a_comm_during_an_async_tool(kernel: Kernel, sim: Simulator, way: str) -> None:
    """A widget's message that comes while an async tool waits is not lost."""
    ok(
        kernel.run(
            "import asyncio\nfrom comm import create_comm\n"
            "c = create_comm('test')\n"
            "c.on_msg(lambda message: c.send({'echo': message['content']['data']}))\n"
            "async def nap() -> str:\n"
            "    print('begun', flush=True)\n    await asyncio.sleep(0.6)\n    return 'slept'"
        )
    )
    comm_id = kernel.value("c.comm_id")
    ask = way.format(options="--tools nap", prompt="use the nap tool")
    kernel.seen.clear()
    ok(kernel.run(ask, once_said(kernel, "begun", lambda: kernel.comm_msg(comm_id, 7))))
    assert told(sim) == ["slept"]
    kernel.value("0")
    echoed = [m for _, m in kernel.seen if m["content"].get("data") == {"echo": 7}]
    assert len(echoed) == 1


def test_several_calls_at_once(kernel: Kernel, sim: Simulator) -> None:
    """Async tools of one turn wait side by side, with a function among them."""
    ok(
        kernel.run(
            "import asyncio\nboth = asyncio.Barrier(2)\n"
            "async def left() -> str:\n    await both.wait()\n    return 'l'\n"
            "async def right() -> str:\n    await both.wait()\n    return 'r'\n"
            "def middle() -> str:\n    return 'm'"
        )
    )
    for way in (AWAITED, BLOCKING["timed"]):
        ask = way.format(options="--tools left,middle,right", prompt="call left middle right")
        ok(kernel.run(ask))
        assert told(sim) == ["l", "m", "r"]


# ------------------------------------------------------------------------------- stopping


STAGES = {
    "first answer": ([ENDLESS], None, ""),
    "arguments": ([ENDLESS_ARGUMENTS], None, "not run: block {"),
    "function": ([Reply(thinking="", tool_calls=(ToolCall("block", {}),))], "begun", "stopped: "),
    "async tool": ([Reply(thinking="", tool_calls=(ToolCall("pause", {}),))], "begun", "stopped: "),
    "second answer": (
        [Reply(thinking="", tool_calls=(ToolCall("quick", {}),)), ENDLESS],
        None,
        "quick() \u2192 quickly done",
    ),
}


@pytest.mark.parametrize(
    ("way", "wire"),
    [(AWAITED, "openai_compat"), (BLOCKING["timed"], "anthropic_messages")],
    ids=["awaited", "blocking"],
)
@pytest.mark.parametrize("stage", list(STAGES))
def test_the_stop_button(kernel: Kernel, sim: Simulator, stage: str, way: str, wire: str) -> None:
    """Whatever is under way, a stop ends it soon, shows one line and what became of each call; the next
    cell works, and the chat can be gone on with."""
    script, said, card = STAGES[stage]
    options = f"--chat c --tools quick,block,pause --flavor {wire}"
    kernel.run(SLOW_TOOLS)
    sim.script(*script)
    pressed: list[float] = []

    def press() -> None:
        pressed.append(time.monotonic())
        kernel.interrupt()

    if said:
        trigger = once_said(kernel, said, press)
    elif len(script) == 2:
        trigger = (lambda: len(sim.requests) == 2 and sim.requests[1].chunks_sent > 8, press)
    else:
        trigger = once_streaming(sim, press)
    result = kernel.run(way.format(options=options, prompt="hello"), trigger, timeout=40)
    assert time.monotonic() - pressed[0] < SOON_S
    assert result.error is not None
    assert result.error["ename"] == "KeyboardInterrupt"
    assert error_line(result).startswith("Interrupted: ")
    summary = result.displays[-1]["text/plain"]
    assert "interrupted" in summary.lower()
    assert card in summary
    assert "stopped: " in summary or card[:7] != "stopped"
    for request in sim.requests:
        assert request.finished.wait(5)
    assert ("cleaned up" in result.text()) == (stage == "async tool")

    ok(kernel.run(f"%%minimax {options}\n[[echo]]still there"))
    messages = json.dumps(sim.requests[-1].body["messages"])
    happened = stage in ("function", "async tool", "second answer")
    assert ("hello" in messages) == happened
    assert ("stopped the program" in messages) == (card == "stopped: ")
    assert ("quickly done" in messages) == (stage == "second answer")
    assert ok(kernel.run("print('alive')")).text() == "alive\n"


def test_a_tool_that_is_stopped_with_another_behind_it(kernel: Kernel, sim: Simulator) -> None:
    """After a stop no other call of that turn is run, and each has a result."""
    kernel.run(SLOW_TOOLS + "\ncalled = []\ndef note() -> str:\n    called.append(1)")
    calls = (ToolCall("block", {}), ToolCall("note", {}))
    sim.script(Reply(thinking="", tool_calls=calls))
    result = kernel.run(
        "%%minimax --chat c --tools block,note\nhello",
        once_said(kernel, "begun", kernel.interrupt),
    )
    assert error_line(result).startswith("Interrupted: ")
    assert kernel.value("called") == []
    ok(kernel.run("%%minimax --chat c\n[[echo]]on"))
    roles = [m["role"] for m in sim.requests[-1].body["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user"]
    time.sleep(0.2)
    assert kernel.value("called") == []


# -------------------------------------------------------------------------------- consent


def answering(kernel: Kernel, words: list[str], asked: list[str]) -> list[Trigger]:
    """Answers one question after the other, as the person at the front end."""
    left = list(words)

    def waits() -> bool:
        return bool(left) and bool(kernel.kc.stdin_channel.msg_ready())

    def answer() -> None:
        try:
            message = kernel.kc.get_stdin_msg(timeout=0)
        except queue.Empty:
            return
        asked.append(message["content"]["prompt"])
        kernel.kc.input(left.pop(0))

    return [(lambda n=n: len(left) == n and waits(), answer) for n in range(1, len(words) + 1)]


CONFIRMED = "def note(text: str) -> str:\n    noted.append(text)\n    return 'noted'\nnoted = []"


@any_way
@pytest.mark.parametrize("word", ["y", "n"])
def test_a_question_before_a_call(kernel: Kernel, sim: Simulator, way: str, word: str) -> None:
    """With --confirm a call is shown and runs only after a yes; a no is said to the model."""
    kernel.run(CONFIRMED)
    asked: list[str] = []
    ask = way.format(options="--confirm --tools note", prompt="call note")
    msg_id = kernel.start(ask, stdin=True)
    result = ok(kernel.finish(msg_id, 20, *answering(kernel, [word], asked)))
    assert len(asked) == 1
    assert asked[0].startswith("Run note(text=")
    assert len(kernel.value("noted")) == (word == "y")
    assert ("declined" in told(sim)[0]) == (word == "n")
    assert ("refused: note(" in result.displays[-1]["text/plain"]) == (word == "n")


def test_a_yes_for_all(kernel: Kernel, sim: Simulator) -> None:
    """One "all" is enough for the rest of the cell, and is forgotten with it; what is no answer is asked
    about again."""
    kernel.run(CONFIRMED)
    for n in (1, 2):
        asked: list[str] = []
        msg_id = kernel.start("%%minimax --confirm --tools note\n[[steps 3]] call note", stdin=True)
        ok(kernel.finish(msg_id, 20, *answering(kernel, ["maybe", "a"], asked)))
        assert len(asked) == 2
        assert len(kernel.value("noted")) == 3 * n


@pytest.mark.parametrize("way", [AWAITED, BLOCKING["timed"]], ids=["awaited", "blocking"])
def test_a_stop_at_the_question(kernel: Kernel, sim: Simulator, way: str) -> None:
    """A stop while the question waits is a stop: the call does not run."""
    kernel.run(CONFIRMED)
    ask = way.format(options="--chat c --confirm --tools note", prompt="call note")
    msg_id = kernel.start(ask, stdin=True)
    waits = kernel.kc.stdin_channel.msg_ready
    result = kernel.finish(msg_id, 20, (waits, kernel.interrupt))
    kernel.kc.get_stdin_msg(timeout=1)
    assert error_line(result).startswith("Interrupted: ")
    assert kernel.value("noted") == []
    ok(kernel.run("%%minimax --chat c\n[[echo]]on"))
    assert len(sim.requests[-1].body["messages"]) == 1


@any_way
def test_nobody_to_ask(kernel: Kernel, sim: Simulator, way: str) -> None:
    """Where nobody can be asked, --confirm is refused before anything is sent."""
    kernel.run(CONFIRMED)
    result = kernel.run(way.format(options="--confirm --tools note", prompt="call note"))
    assert error_line(result).startswith("ConfigError: --confirm needs somebody to answer")
    assert sim.requests == []
