"""`%%minimax` in a real ipykernel, the newest and 6.29, over real HTTP to the simulator."""

from __future__ import annotations

import json

import pytest
from kernels import BLOCKS, COLOURS, Kernel, Result, error_line, once_streaming

from minimax_magic.ipython.arguments import OPTIONS
from minimax_magic.simulator import Drop, Fail, Reply, Silence, Simulator

pytestmark = pytest.mark.kernel

KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"
# long enough that no test waits for its end
ENDLESS = Reply(text="word " * 100_000, thinking="", delay_s=0.02)


def slow(chunks: int = 25, delay_s: float = 0.03) -> Reply:
    """An answer that takes a while."""
    return Reply(text="some words. " * chunks, thinking="", chunk_chars=12, delay_s=delay_s)


def stopped_cleanly(kernel: Kernel, sim: Simulator, result: Result) -> None:
    """What every interrupted cell must be like."""
    assert result.error is not None
    assert result.error["ename"] == "KeyboardInterrupt"
    assert error_line(result).startswith("Interrupted: ")
    request = sim.requests[-1]
    assert request.finished.wait(5)
    assert request.closed_early
    assert request.chunks_sent < 1000
    assert kernel.value("6 * 7") == 42
    sim.script(Reply(text="alive", thinking=""))
    assert "alive" in kernel.run("%%minimax\nstill there?").text()


# ---------------------------------------------------------------------------------- drawing


def test_the_answer_grows_while_it_streams(kernel: Kernel, sim: Simulator) -> None:
    """Text is drawn as it comes: many growing states, spread over the time of the answer."""
    sim.script(slow(chunks=40, delay_s=0.03))
    result = kernel.run("%%minimax\nhi")
    sizes = [
        (at, data["text/markdown"].count("some words."))
        for at, data in result.updates
        if "text/markdown" in data
    ]
    growing = [size for _, size in sizes if size > 0]
    assert len(set(growing)) >= 4
    assert growing == sorted(growing)
    first = next(at for at, size in sizes if size)
    last = next(at for at, size in sizes if size == 40)
    assert last - first > 0.5
    assert result.seconds > 1


def test_what_the_notebook_keeps(kernel: Kernel, sim: Simulator) -> None:
    """In the end there are two outputs: the clean answer in Markdown and plain text, and one
    summary, marked as simulated. Nothing of the live status is left."""
    text = "# Title\n\nLine with `code` & <b>.\n\n```python\nx = 1\n```"
    sim.script(Reply(text=text, thinking="some thought", delay_s=0.01))
    result = kernel.run("%%minimax\nhi")
    assert result.reply["status"] == "ok"
    assert [o["output_type"] for o in result.outputs] == ["display_data"] * 2
    answer, summary = result.displays
    assert set(answer) == {"text/markdown", "text/plain"}
    assert answer["text/plain"] == text
    assert answer["text/markdown"] == text.replace("<b>", "&lt;b>")
    assert set(summary) == {"text/html", "text/plain"}
    assert "simulated" in summary["text/plain"]
    assert "MiniMax-M2.5" in summary["text/plain"]
    assert "some thought" in summary["text/html"]


def test_a_long_answer(kernel: Kernel, sim: Simulator) -> None:
    """A long answer in a burst ends in the same two outputs, whole."""
    result = kernel.run("%%minimax x\n[[long 120000]]")
    assert result.reply["status"] == "ok"
    assert len(result.outputs) == 2
    assert len(result.displays[0]["text/markdown"]) >= 120_000
    assert kernel.value("len(x.text)") == 120_000


def test_the_variable(kernel: Kernel, sim: Simulator) -> None:
    """The named variable holds the reply, and shows it as Markdown in a cell of its own."""
    sim.script(Reply(text="**42**"))
    kernel.run("%%minimax answer --model MiniMax-M2.5\nhi")
    assert kernel.value("[answer.text, answer.finish_reason]") == ["**42**", "stop"]
    shown = kernel.run("answer")
    assert shown.displays[0]["text/markdown"] == "**42**"


def test_a_line_prompt(kernel: Kernel, sim: Simulator) -> None:
    """`%minimax` draws its answer once, and its value is not shown a second time."""
    sim.script(Reply(text="Rome", thinking=""), Reply(text="Paris", thinking=""))
    result = kernel.run("%minimax capital of Italy?")
    assert [o["output_type"] for o in result.outputs] == ["display_data"] * 2
    assert result.text().count("Rome") == 1
    assert kernel.run("x = %minimax of France?\nx").text().count("Paris") == 1
    assert kernel.value("x.text") == "Paris"


# -------------------------------------------------------------------------------- stopping


@pytest.mark.parametrize(
    "cell",
    [
        "%%minimax part\nhi",
        "part = %minimax hi",
        "%%time\n%%minimax part\nhi",
        "import asyncio\nawait asyncio.sleep(0)\n%minimax hi",
        "get_ipython().run_cell('%%minimax part\\nhi').raise_error()",
    ],
    ids=["awaited", "line", "timed", "within an awaited cell", "nested"],
)
def test_the_stop_button(kernel: Kernel, sim: Simulator, cell: str) -> None:
    """However the cell waits, an interrupt closes the connection at once, keeps the partial text,
    shows one line, and the next cell works."""
    sim.script(ENDLESS)
    result = kernel.run(cell, once_streaming(sim, kernel.interrupt))
    assert "word word" in result.displays[0]["text/plain"]
    assert len(result.displays) == 2
    if "run_cell" in cell:  # the inner cell shows the line, the outer one raises it
        result.outputs = result.outputs[:3]
    stopped_cleanly(kernel, sim, result)
    if "%%minimax part" in cell:
        assert kernel.value("part.text").startswith("word word")
        assert kernel.value("part.finish_reason") is None


@pytest.mark.parametrize("cell", ["%%minimax part\nhi", "part = %minimax hi"])
def test_an_impatient_stop(kernel: Kernel, sim: Simulator, cell: str) -> None:
    """Pressed again during the last drawing, the stop still leaves a clean cell."""
    kernel.run(
        "import signal\n"
        "from IPython.display import DisplayHandle\n"
        "drawn = DisplayHandle.update\n"
        "def update(self, obj, **kwargs):\n"
        "    if 'interrupted' in str(obj).lower():\n"
        "        for _ in range(3):\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "    drawn(self, obj, **kwargs)\n"
        "DisplayHandle.update = update"
    )
    sim.script(ENDLESS)
    result = kernel.run(cell, once_streaming(sim, kernel.interrupt, 60))
    kernel.run("DisplayHandle.update = drawn")
    assert "word word" in result.displays[0]["text/plain"]
    assert "interrupted" in result.displays[1]["text/plain"].lower()
    stopped_cleanly(kernel, sim, result)


@pytest.mark.parametrize("cell", ["%%minimax\nhi", "%minimax hi"])
def test_stopped_before_the_first_word(kernel: Kernel, sim: Simulator, cell: str) -> None:
    """While the server is still silent, a stop works just as well."""
    sim.script(Silence())
    result = kernel.run(cell, ((lambda: bool(sim.requests)), kernel.interrupt))
    assert "nothing had arrived yet" in error_line(result)
    stopped_cleanly(kernel, sim, result)


@pytest.mark.parametrize("cell", ["%%minimax\n{{block()}}", "%minimax {{block()}}"])
def test_an_expression_that_blocks(kernel: Kernel, sim: Simulator, cell: str) -> None:
    """An interrupt reaches an expression of the prompt, and nothing is sent."""
    kernel.run(f"import time\ndef block():\n    print('begun', flush=True)\n    {BLOCKS}")
    begun = lambda: any("begun" in str(m["content"]) for _, m in kernel.seen)  # noqa: E731
    kernel.seen.clear()
    result = kernel.run(cell, (begun, kernel.interrupt))
    assert error_line(result) == "Interrupted: nothing was sent."
    assert sim.requests == []
    assert kernel.value("1") == 1


def test_a_stopped_cell_leaves_its_chat(kernel: Kernel, sim: Simulator) -> None:
    """After a stop the chat is as before: neither the question nor the part is sent later."""
    kernel.run("%%minimax --chat c\nfirst")
    sim.script(ENDLESS)
    kernel.run("%%minimax --chat c\nsecond", once_streaming(sim, kernel.interrupt))
    kernel.run("%%minimax --chat c\nthird")
    sent = json.dumps(sim.requests[-1].body["messages"])
    assert len(sim.requests[-1].body["messages"]) == 3
    assert "first" in sent
    assert "second" not in sent


# ---------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("%%minimax\n[[error 2056]]", "QuotaExceeded: "),
        ("%minimax [[error 1008]]", "InsufficientBalance: "),
        ("%%minimax\n[[drop]]", "StreamInterrupted: "),
        ("%%minimax\n{{nope}}", "ConfigError: {{nope}}: 'nope' is not defined."),
        ("%%minimax --frobnicate\nhi", "UsageError: unknown option --frobnicate."),
        ("%minimax --frobnicate hi", "UsageError: unknown option --frobnicate."),
        ("%%minimax\n \n", "UsageError: %%minimax: the cell is empty."),
    ],
)
def test_a_failed_cell(kernel: Kernel, sim: Simulator, cell: str, line: str) -> None:
    """A failed cell shows one line and counts as failed, and the next one works."""
    result = kernel.run(cell)
    assert error_line(result).startswith(line)
    assert result.outputs[-1]["output_type"] == "error"
    ename = "UsageError" if line.startswith("UsageError") else "CellError"
    assert result.outputs[-1]["ename"] == ename
    assert kernel.run("%%minimax\nhi").reply["status"] == "ok"


def test_a_cell_without_a_body(kernel: Kernel, sim: Simulator) -> None:
    """The first line alone is refused, and nothing is sent."""
    result = kernel.run("%%minimax answer")
    assert result.reply["status"] == "error"
    assert "empty" in result.text() + str(result.error)
    assert sim.requests == []


def test_a_part_is_kept(kernel: Kernel, sim: Simulator) -> None:
    """When the line breaks, what had arrived stays, above the one line."""
    sim.script(Drop(after_chunks=10, of=Reply(text="word " * 100, thinking="")))
    result = kernel.run("%%minimax part\nhi")
    assert result.displays[0]["text/plain"].startswith("word word")
    assert error_line(result).startswith("StreamInterrupted: ")
    assert kernel.value("part.text").startswith("word word")


# -------------------------------------------------------------------------- with other cells


def test_run_all(kernel: Kernel, sim: Simulator) -> None:
    """Cells queued behind a streaming one all run, in order, each with its own output."""
    sim.script(slow(10), slow(10))
    ids = [
        kernel.start(code)
        for code in (
            "%%minimax a\nhi",
            "print('two')",
            "%%minimax b\nhi",
            "print(b.text == a.text)",
        )
    ]
    results = [kernel.finish(msg_id) for msg_id in ids]
    assert [r.reply["status"] for r in results] == ["ok"] * 4
    assert results[1].text() == "two\n"
    assert results[3].text() == "True\n"
    assert [len(results[n].displays) for n in (0, 2)] == [2, 2]


def test_run_all_stops_at_a_failure(kernel: Kernel, sim: Simulator) -> None:
    """After a failed or wrong cell, what was queued behind it is not run."""
    for failing in ("%%minimax\n[[error 2056]]", "%%minimax --frobnicate\nhi"):
        ids = [kernel.start(code) for code in (failing, "print('too far')")]
        first, second = (kernel.finish(msg_id) for msg_id in ids)
        assert first.reply["status"] == "error"
        assert second.reply["status"] in ("aborted", "error")
        assert "too far" not in second.text()


def test_the_users_tasks_go_on(kernel: Kernel, sim: Simulator) -> None:
    """Tasks on the kernel's loop run while an answer streams, in a burst as well."""
    kernel.run(
        "import asyncio\nticks = 0\n"
        "async def tick():\n    global ticks\n"
        "    while True:\n        ticks += 1\n        await asyncio.sleep(0.01)\n"
        "task = asyncio.ensure_future(tick())"
    )
    sim.script(slow(25, 0.03))
    before = kernel.value("ticks")
    kernel.run("%%minimax\nhi")
    assert kernel.value("ticks") - before > 15
    kernel.run("task.cancel()")


def test_a_comm_during_a_cell(kernel: Kernel, sim: Simulator, major: int) -> None:
    """A widget's message is answered while the cell streams (ipykernel 7), and never lost."""
    kernel.run(
        "from comm import create_comm\n"
        "c = create_comm('test')\n"
        "c.on_msg(lambda message: c.send({'echo': message['content']['data']}))"
    )
    comm_id = kernel.value("c.comm_id")
    sim.script(slow(40, 0.03))
    kernel.seen.clear()
    msg_id = kernel.start("%%minimax\nhi")
    kernel.finish(msg_id, 30, once_streaming(sim, lambda: kernel.comm_msg(comm_id, 7), 5))
    ended = next(
        at
        for at, message in kernel.seen
        if message["parent_header"].get("msg_id") == msg_id
        and message["content"].get("execution_state") == "idle"
    )
    kernel.value("0")
    (echoed,) = [
        at
        for at, message in kernel.seen
        if message["msg_type"] == "comm_msg" and message["content"]["data"] == {"echo": 7}
    ]
    if major >= 7:
        assert echoed < ended - 0.2


def test_time_and_capture(kernel: Kernel, sim: Simulator) -> None:
    """`%%time` and `%%capture` work around the cell."""
    timed = kernel.run("%%time\n%%minimax x\nhi")
    assert timed.reply["status"] == "ok"
    assert "Wall time" in timed.text()
    assert len(timed.displays) == 2
    captured = kernel.run("%%capture caught\n%%minimax x\nhi")
    assert captured.outputs == []
    assert kernel.value("len(caught.outputs)") >= 2
    assert kernel.value("x.text")
    assert len(kernel.run("caught.show()").displays) == 2


def test_cells_within_cells(kernel: Kernel, sim: Simulator) -> None:
    """`run_cell` in a cell, in a function, after an empty one and from a thread all answer."""
    result = kernel.run(
        "import threading\n"
        "shell = get_ipython()\n"
        "shell.run_cell('')\n"
        "first = shell.run_cell('%%minimax a\\nhi').success\n"
        "def ask():\n"
        "    shell.run_cell_magic('minimax', 'b', 'hi')\n"
        "ask()\n"
        "def work():\n"
        "    shell.run_cell_magic('minimax', 'c', 'hi')\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join(20)\n"
    )
    assert result.error is None, result.outputs
    assert kernel.value("[first, bool(a.text), bool(b.text), bool(c.text)]") == [True] * 4


@pytest.mark.parametrize(
    "setting",
    [
        "%autoawait off",
        "get_ipython().loop_runner = lambda coroutine: coroutine.close()",
    ],
)
def test_without_autoawait(kernel: Kernel, sim: Simulator, setting: str) -> None:
    """With autoawait off, or on for another runner than asyncio, cells answer all the same."""
    kernel.run(setting)
    result = kernel.run("%%minimax x\nhi")
    assert result.reply["status"] == "ok", result.outputs
    assert len(result.displays) == 2
    kernel.run("%autoawait asyncio")
    assert kernel.value("bool(x.text)")


# --------------------------------------------------------------------------- the extension


def test_unloading(kernel: Kernel, sim: Simulator) -> None:
    """Unloaded, the magic is unknown, no thread of ours is left, and loading again works. Loading
    twice is harmless."""
    threads = "[t.name for t in __import__('threading').enumerate() if 'minimax' in t.name]"
    kernel.run("%minimax simulator")
    kernel.run("%%minimax\nhi")
    assert len(kernel.value(threads)) == 3
    kernel.run("%unload_ext minimax_magic")
    assert kernel.value(threads) == []
    assert "not found" in kernel.run("%%minimax\nhi").text()
    for _ in range(2):
        kernel.run("%load_ext minimax_magic")
        kernel.run("import minimax_magic; minimax_magic.load_ipython_extension(get_ipython())")
    assert len(kernel.run("%%minimax\nhi").displays) == 2
    transformers = "get_ipython().input_transformers_cleanup"
    ours = f"[t.__qualname__ for t in {transformers} if hasattr(t, '__qualname__')]"
    assert sum("TopLevelAwait" in name for name in kernel.value(ours)) == 1


@pytest.mark.parametrize("code", ["%minimax?", "%%minimax?", "%%minimax --help", "%minimax -h"])
def test_help(kernel: Kernel, sim: Simulator, code: str) -> None:
    """Help shows every option, in the pager or below the cell."""
    result = kernel.run(code)
    assert result.reply["status"] == "ok"
    pages = [p["data"]["text/plain"] for p in result.reply["payload"] if p["source"] == "page"]
    text = COLOURS.sub("", result.text() + "".join(pages))
    for option in OPTIONS:
        assert option.flag in text
        assert option.help in text
    assert sim.requests == []


def test_defaults_by_config(kernel: Kernel, sim: Simulator) -> None:
    """`%config MiniMaxMagics` lists the defaults and sets them."""
    assert "MiniMaxMagics.model" in kernel.run("%config MiniMaxMagics").text()
    kernel.run("%config MiniMaxMagics.model = 'MiniMax-M3'")
    kernel.run("%%minimax\nhi")
    assert sim.requests[0].body["model"] == "MiniMax-M3"


def test_tab(kernel: Kernel) -> None:
    """The front end's completion request gives options and models."""

    def complete(text: str) -> list[str]:
        reply = kernel.kc.complete(text, len(text), reply=True, timeout=20)["content"]
        return [text[: reply["cursor_start"]].rpartition(" ")[2] + m for m in reply["matches"]]

    assert complete("%%minimax --mo") == ["--model"]
    assert "MiniMax-M2.5" in complete("%%minimax --model Mini")
    assert complete("%minimax simulator o") == ["off"]


def test_a_console_lets_the_prompt_be_typed(kernel: Kernel) -> None:
    """A console that asks is told that a cell goes on after its first line."""

    def status(code: str) -> str:
        return str(kernel.reply(kernel.kc.is_complete(code))["status"])

    assert status("%%minimax answer") == "incomplete"
    assert status("%%minimax\nprompt") == "incomplete"
    assert status("%%minimax\nprompt\n\n") == "complete"
    assert status("%minimax what?") == "complete"


def test_history_keeps_what_was_typed(kernel: Kernel, sim: Simulator) -> None:
    """The history has the cell as it was written, not what it became."""
    kernel.run("%%minimax x --system 'be brief'\n{{'unmistakable'}}")
    history = kernel.run("%history -l 2").text()
    assert "%%minimax x --system 'be brief'" in history
    assert "{{'unmistakable'}}" in history
    assert "minimax_awaited" not in history


# ----------------------------------------------------------------------------------- secrets


def test_a_key_is_in_no_message(kernel: Kernel, sim: Simulator) -> None:
    """With debug logging and verbose tracebacks on, no message of a kernel whose requests fail holds
    the key, and the history does not either."""
    sim.key = KEY
    kernel.run(
        # not into the cell: threads that write there can hang in ipykernel 6.29
        "import io, logging, os\n"
        "log = io.StringIO()\n"
        "logging.basicConfig(level=logging.DEBUG, stream=log, force=True)\n"
        "before = os.environ['MINIMAX_CODE_PLAN_KEY']\n"
        f"os.environ['MINIMAX_CODE_PLAN_KEY'] = {KEY[::-1]!r}[::-1]"
    )
    kernel.run("%xmode Verbose")
    kernel.seen.clear()
    replies = [
        kernel.run(code).reply
        for code in (
            "%%minimax\n[[error 1004]]",
            "%%minimax\n[[error 401]]",
            "%%minimax\n[[drop]]",
            "%%minimax --flavor anthropic_messages\n[[error midstream]]",
            "%minimax {{1/0}}",
            "try:\n    get_ipython().run_cell_magic('minimax', '', '[[error 401]]')\n"
            "except Exception as error:\n    raise error.error",
            "%tb",
            "%minimax",
            "m = get_ipython().magics_manager.registry['MiniMaxMagics']\n"
            "vars(m), vars(m.session), [vars(c) for c in m.session._clients.values()]",
            "%history -l 12",
        )
    ]
    logged = kernel.value("log.getvalue()")
    assert "DEBUG" in logged
    everything = json.dumps([replies, [m for _, m in kernel.seen], logged], default=str)
    kernel.run(
        "os.environ['MINIMAX_CODE_PLAN_KEY'] = before\n"
        "logging.basicConfig(level=logging.WARNING, force=True)"
    )
    assert all(request.headers["Authorization"] == f"Bearer {KEY}" for request in sim.requests)
    assert len(sim.requests) == 5
    assert "Traceback" in everything
    assert KEY not in everything
    assert KEY[8:] not in everything


def test_a_failed_attempt_is_tried_again(kernel: Kernel, sim: Simulator) -> None:
    """A key that was wrong and is put right works at the next cell."""
    sim.script(Fail(code=1004))
    assert error_line(kernel.run("%%minimax\nhi")).startswith("CredentialInvalid: ")
    assert kernel.run("%%minimax\nhi").reply["status"] == "ok"
