"""`%%minimax` and `%minimax` in a real shell without a kernel, over real HTTP to the simulator."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from minimax_magic import load_ipython_extension, unload_ipython_extension
from minimax_magic.errors import CredentialsMissing, RateLimitError
from minimax_magic.ipython.arguments import OPTIONS
from minimax_magic.ipython.cell_errors import CellError
from minimax_magic.simulator import Drop, Fail, Reply, Simulator

KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"


def prompts(sim: Simulator) -> list[str]:
    """The last user message of every request."""
    found = []
    for request in sim.requests:
        content = request.body["messages"][-1]["content"]
        found.append(content if isinstance(content, str) else content[-1]["text"])
    return found


# ------------------------------------------------------------------------------- ordinary use


def test_a_cell(shell: Any, sim: Simulator) -> None:
    """The answer is printed as it comes, then one line of facts, marked as simulated."""
    sim.script(Reply(text="Hello\nthere"))
    ran = shell.run("%%minimax\nsay hello")
    assert ran.error is None
    assert ran.lines[:2] == ["Hello", "there"]
    assert "simulated" in ran.lines[-1]
    assert "MiniMax-M2.5" in ran.lines[-1]
    assert prompts(sim)[0].strip() == "say hello"
    assert sim.requests[0].body["stream"] is True


def test_a_line(shell: Any, sim: Simulator) -> None:
    """A line prompt prints its answer once; its value is the reply."""
    sim.script(Reply(text="Paris"), Reply(text="Rome"))
    ran = shell.run("%minimax capital of France?")
    assert ran.out.count("Paris") == 1
    assert ran.value.text == "Paris"
    ran = shell.run("x = %minimax capital of Italy?\nx")
    assert ran.out.count("Rome") == 1
    assert shell.ns["x"].text == "Rome"
    assert prompts(sim) == ["capital of France?", "capital of Italy?"]


def test_the_variable_receives_the_reply(shell: Any, sim: Simulator) -> None:
    """Named first on the line, a variable gets text, thinking, usage, cost and finish reason."""
    sim.script(Reply(text="42", thinking="hm"))
    shell.run("%%minimax answer --model MiniMax-M2.5\nwhat?")
    answer = shell.ns["answer"]
    assert (answer.text, answer.thinking, answer.finish_reason) == ("42", "hm", "stop")
    assert answer.usage.output_tokens > 0
    assert answer.cost > 0
    assert shell.run("answer").out.count("42") == 1


def test_the_options_reach_the_request(shell: Any, sim: Simulator) -> None:
    """What the line says is what goes out."""
    options = (
        "--model house-model --system 'be brief' --temperature 0.5 --top-p 0.9 --max-tokens 77"
    )
    assert shell.run(f"%%minimax {options} --no-stream\nhi").error is None
    body = sim.requests[0].body
    assert body["model"] == "house-model"
    assert body["messages"][0] == {"role": "system", "content": "be brief"}
    assert (body["temperature"], body["top_p"]) == (0.5, 0.9)
    assert 77 in body.values()
    assert not body.get("stream")
    assert shell.run("%%minimax --flavor anthropic_messages\nhi").error is None
    assert sim.requests[1].path.endswith("/anthropic/v1/messages")


def test_an_agent_of_the_cell_goes_before_defaults_of_the_session(
    shell: Any, sim: Simulator, configured: Path
) -> None:
    """`--agent` brings its own model and system prompt, whatever `%config` says."""
    folder = configured / "config" / "agents.d"
    folder.mkdir(parents=True)
    (folder / "ana.yaml").write_text(
        "agents:\n  - id: ana\n    model: {provider: minimax, model: MiniMax-M2.7}\n"
        "    system_prompt: I am Ana.\n"
    )
    shell.run("%config MiniMaxMagics.model = 'MiniMax-M3'")
    shell.run("%config MiniMaxMagics.system = 'default'")
    assert shell.run("%%minimax --agent ana\nhi").error is None
    body = sim.requests[0].body
    assert (body["model"], body["messages"][0]["content"]) == ("MiniMax-M2.7", "I am Ana.")
    assert shell.run("%%minimax\nhi").error is None
    assert sim.requests[1].body["model"] == "MiniMax-M3"


def test_an_unknown_model_is_sent(shell: Any, sim: Simulator) -> None:
    """A model id that we do not know goes out as it is, with its price unknown."""
    ran = shell.run("%%minimax x --model our-own/llm:7b\nhi")
    assert ran.error is None
    assert sim.requests[0].body["model"] == "our-own/llm:7b"
    assert shell.ns["x"].cost is None


@pytest.mark.parametrize(
    ("form", "answer", "told"),
    [("code", "```python\nx = 1\n```", "fenced code block"), ("json", '{"a": 1}', "JSON value")],
)
def test_a_format_asks_for_itself(
    shell: Any, sim: Simulator, form: str, answer: str, told: str
) -> None:
    """`--format code` and `json` tell the model so, below the system prompt of the cell."""
    sim.script(Reply(text=answer))
    shell.run(f"%%minimax --format {form} --system 'be kind'\nhi")
    system = sim.requests[0].body["messages"][0]["content"]
    assert system.startswith("be kind\n\n")
    assert told in system


def test_windows_line_endings(shell: Any, sim: Simulator) -> None:
    """A cell from Windows works: the line ends are no part of an option or a name."""
    assert shell.run("%%minimax answer --max-tokens 50\r\nline one\r\nline two\r\n").error is None
    assert prompts(sim)[0].split() == ["line", "one", "line", "two"]
    assert shell.ns["answer"].text


def test_blank_lines_before_the_magic(shell: Any, sim: Simulator) -> None:
    """Blank lines above and blanks before the first line do no harm."""
    assert shell.run("\n\n%%minimax x\nhi").error is None
    assert shell.run("  %%minimax y\n  hi").error is None
    assert shell.ns["x"].text
    assert shell.ns["y"].text
    assert len(sim.requests) == 2


def test_any_script_goes_through(shell: Any, sim: Simulator) -> None:
    """Prompts and answers in any writing arrive whole, line separators inside included."""
    text = "größe 漢字 👩‍👩‍👧 \u2028 \x0b end"
    sim.script(Reply(text=text, chunk_chars=1))
    shell.run(f"%%minimax x\n{text}")
    assert prompts(sim)[0].rstrip("\n") == text
    assert shell.ns["x"].text == text


@pytest.mark.parametrize(
    "prompt",
    [
        "what is an ant?",
        "what is f(x)?",
        "really??",
        'what\'s "this"?',
        "wh*t?",
        "warum größer?",
        "(why?",
        "--model M3 and why?",
    ],
)
def test_a_question(shell: Any, sim: Simulator, prompt: str) -> None:
    """A line prompt may end in a question mark, which IPython would take for its help."""
    sent = prompt.removeprefix("--model M3 ")
    for code in (
        f"%minimax {prompt}",
        f"x = %minimax {prompt}  ",
        f"if 1:\n    %minimax {prompt}\n",
    ):
        assert shell.run(code).error is None
    assert prompts(sim) == [sent] * 3


def test_other_question_marks_are_ipythons(shell: Any, sim: Simulator) -> None:
    """Help on anything else works as before, next to our magic and inside strings too."""
    shell.run("import json\nhelp_text = '''\n%minimax what?\n'''\nx = 1")
    assert shell.ns["help_text"] == "\n%minimax what?\n"
    transformed = shell.ip.transform_cell("%minimax what?\njson?\n%minimax?\ny = %who_ls?\n")
    assert transformed.splitlines() == [
        "get_ipython().run_line_magic('minimax', 'what?')",
        "get_ipython().run_line_magic('pinfo', 'json')",
        "get_ipython().run_line_magic('pinfo', '%minimax')",
        "get_ipython().run_line_magic('pinfo', '%who_ls')",
    ]
    assert sim.requests == []


def test_half_a_character(shell: Any, sim: Simulator) -> None:
    """Half a surrogate pair, which no server takes, does not break a cell or its chat."""
    for _ in range(2):
        assert shell.run("%%minimax --chat c\nhalf {{chr(0xD800)}}").error is None
    assert len(sim.requests) == 2


# --------------------------------------------------------------------------------- braces


def test_expressions_are_filled_in(shell: Any, sim: Simulator) -> None:
    """`{{expr}}` is evaluated in the user's namespace, in cells and lines; single braces, dollars
    and the magic's own line are left alone."""
    shell.run("x = 3\nd = {'a': 'b'}")
    shell.run("%%minimax --system 'keep {x} $x {{x}}'\n{x} $x {{x}} {{d['a']}}")
    assert prompts(sim)[0].strip() == "{x} $x 3 b"
    assert sim.requests[0].body["messages"][0]["content"] == "keep {x} $x {{x}}"
    shell.run("%minimax --system 'keep {x} $x' {x} $x {{x}} {{d['a']}} {0!r} $HOME")
    assert prompts(sim)[1] == "{x} $x 3 b {0!r} $HOME"
    assert sim.requests[1].body["messages"][0]["content"] == "keep {x} $x"


def test_raw_sends_the_braces(shell: Any, sim: Simulator) -> None:
    """`--raw` evaluates nothing."""
    shell.run("%%minimax --raw\n{{nope}} {{1/0}} {{")
    shell.run("%minimax --raw {{nope}} {x}")
    assert [prompt.strip() for prompt in prompts(sim)] == ["{{nope}} {{1/0}} {{", "{{nope}} {x}"]


def test_an_expression_is_evaluated_once(shell: Any, sim: Simulator) -> None:
    """Evaluating has effects only once for a cell, and values are not looked at again."""
    shell.run("calls = []\ndef value():\n    calls.append(1)\n    return '{{nope}}'")
    shell.run("%%minimax\n{{value()}}")
    assert shell.ns["calls"] == [1]
    assert prompts(sim)[0].strip() == "{{nope}}"


# -------------------------------------------------------------------------------- bad input

BAD = [
    ("%%minimax --frobnicate\nhi", "unknown option --frobnicate"),
    ("%%minimax --modle x\nhi", "Did you mean --model?"),
    ("%%minimax --temperature hot\nhi", "--temperature takes a number"),
    ("%%minimax --temperature 3\nhi", "temperature: Input should be less than or equal to 2"),
    ("%%minimax --temperature nan\nhi", "temperature"),
    ("%%minimax --top-p 1.5\nhi", "top_p"),
    ("%%minimax --max-tokens 0\nhi", "--max-tokens takes a whole number from 1 on, not '0'"),
    ("%%minimax --thinking perhaps\nhi", "--thinking is one of on, off, auto"),
    ("%%minimax --flavor soap\nhi", "--flavor is one of"),
    ("%%minimax --format pdf\nhi", "--format is one of"),
    ("%%minimax a b\nhi", "'b' is neither an option nor a variable name"),
    ("%%minimax --agent nobody\nhi", "There is no agent 'nobody'"),
    ("%%minimax", "cell body is empty"),
    ("%%minimax\n   \n\t\n", "The prompt is empty"),
    ("%%minimax --chat c\n{{''}}", "The prompt is empty"),
    ("%%minimax\nhi {{", "has no '}}'"),
    ("%%minimax\n{{}}", "is empty"),
    ("%%minimax\n{{nope}}", "'nope' is not defined"),
    ("%%minimax\n{{1/0}}", "raised ZeroDivisionError: division by zero"),
    ("%%minimax\n{{no python}}", "is not a Python expression"),
    ("%%minimax --system 'open\nhi", "the quote after --system is not closed"),
    ("%minimax --frobnicate hi", "unknown option --frobnicate"),
    ("%minimax {{nope}}", "'nope' is not defined"),
    ("%minimax --agent nobody hi", "There is no agent 'nobody'"),
]


@pytest.mark.parametrize(("cell", "message"), BAD)
def test_bad_input(shell: Any, sim: Simulator, cell: str, message: str) -> None:
    """What is wrong in a cell is told in one line, nothing is sent, nothing stays in the chat, and
    the variable of the cell keeps its value."""
    shell.ns["before"] = "untouched"
    first, _, rest = cell.partition("\n")
    if first.startswith("%%minimax") and not first.endswith(" b") and rest:
        cell = f"{first.replace('%%minimax', '%%minimax before', 1)} --chat trip\n{rest}"
    if "'open" in first:
        cell = f"{first}\n{rest}"
    ran = shell.run(cell)
    assert ran.error is not None
    assert message in ran.out
    assert len(ran.lines) == 1, ran.out
    assert sim.requests == []
    assert not any(shell.magics.session.chats.values())
    assert shell.ns["before"] == "untouched"
    assert shell.run("%%minimax\nhi").error is None


def test_no_key(shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key, one line says where to put it and how to try without."""
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")
    for code in ("%%minimax --chat c\nhi", "%minimax hi", "%minimax"):
        ran = shell.run(code)
        assert isinstance(ran.error, CellError)
        assert isinstance(ran.error.error, CredentialsMissing)
        (line,) = ran.lines
        assert line.startswith("CredentialsMissing: ")
        assert "MINIMAX_API_KEY" in line
        assert "%minimax simulator" in line
    assert sim.requests == []
    assert shell.magics.session.chats == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("providers: [", "config/llm.yaml"),
        ("providers:\n  minimax:\n    colour: red\n", "config/llm.yaml line 3"),
        ("providers:\n  minimax:\n    api_key: ${NOT_SET_ANYWHERE}\n", "NOT_SET_ANYWHERE"),
        ("providers:\n  minimax:\n    timeouts: {idle_timeout_s: soon}\n", "llm.yaml line 3"),
    ],
)
def test_wrong_files(shell: Any, sim: Simulator, configured: Path, text: str, message: str) -> None:
    """A configuration that cannot be used is told in one line with its place."""
    (configured / "config" / "llm.yaml").write_text(text)
    ran = shell.run("%%minimax --chat c\nhi")
    assert isinstance(ran.error, CellError)
    assert len(ran.lines) == 1
    assert message in ran.lines[0]
    assert sim.requests == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.com", "plain http to example.com"),
        ("not a url", "base_url|address|URL"),
        ("ftp://127.0.0.1", "ftp|http"),
        ("http://127.0.0.1:99999", "99999|port"),
    ],
)
def test_wrong_addresses(
    shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    """An address that cannot be meant is refused in one line before anything is sent."""
    monkeypatch.setenv("MINIMAX_BASE_URL", url)
    ran = shell.run("%%minimax --chat c\nhi")
    assert isinstance(ran.error, CellError), ran.out
    assert len(ran.lines) == 1, ran.out
    assert any(part in ran.out for part in message.split("|")), ran.out
    assert shell.magics.session.chats == {}


def test_a_server_that_is_not_there(
    shell: Any, monkeypatch: pytest.MonkeyPatch, configured: Path
) -> None:
    """A refused connection is told in one line that names the host and what to check."""
    (configured / "config" / "llm.yaml").write_text("retry: {max_attempts: 1}\n")
    monkeypatch.setenv("MINIMAX_BASE_URL", "http://127.0.0.1:1")
    ran = shell.run("%%minimax --chat c\nhi")
    assert isinstance(ran.error, CellError)
    assert "APIConnectionError: 127.0.0.1:1 cannot be reached" in ran.lines[-1]
    assert "base_url" in ran.lines[-1]
    assert shell.magics.session.chats == {}
    assert len([line for line in ran.lines if "Traceback" in line or "File" in line]) == 0


# ------------------------------------------------------------------------- errors and chats


def test_a_failed_request_is_one_line(shell: Any, sim: Simulator) -> None:
    """A server's refusal ends the cell with its meaning and a hint, and the next cell works."""
    ran = shell.run("%%minimax --chat c\n[[error 2056]]")
    assert isinstance(ran.error, CellError)
    assert ran.lines[-1].startswith("QuotaExceeded: ")
    assert "Traceback" not in ran.out
    assert shell.magics.session.chats == {}
    assert shell.run("%%minimax\nhi").error is None


def test_a_broken_answer_keeps_its_part(shell: Any, sim: Simulator) -> None:
    """Of a connection that is lost, the part is shown and given to the variable; the chat stays
    as it was."""
    shell.run("%%minimax --chat c\nfirst")
    before = shell.magics.session.chats["c"]
    sim.script(Drop(after_chunks=8, of=Reply(text="one two three four " * 20, thinking="")))
    ran = shell.run("%%minimax part --chat c\nsecond")
    assert ran.lines[0].startswith("one two")
    assert ran.lines[-1].startswith("StreamInterrupted: ")
    assert shell.ns["part"].text.startswith("one two")
    assert shell.ns["part"].finish_reason is None
    assert shell.magics.session.chats["c"] == before


def test_a_chat_remembers(shell: Any, sim: Simulator) -> None:
    """Turns of a chat go out again with the next one, by name; `--new` begins anew; other cells
    stand alone."""
    sim.script(Reply(text="one"), Reply(text="two"), Reply(text="alone"), Reply(text="new"))
    for line in ("--chat c", "--chat c", "", "--chat c --new"):
        assert shell.run(f"%%minimax {line}\nhi").error is None
    roles = [[m["role"] for m in r.body["messages"]] for r in sim.requests]
    turns = ["user", "assistant"]
    assert roles == [["user"], [*turns, "user"], ["user"], ["user"]]
    assert [m.role for m in shell.magics.session.chats["c"]] == turns


def test_config_sets_defaults(shell: Any, sim: Simulator) -> None:
    """`%config MiniMaxMagics` sets what a cell does not say; the cell's own options win."""
    shell.run(
        "%config MiniMaxMagics.model = 'MiniMax-M3'\n"
        "%config MiniMaxMagics.temperature = 0.25\n"
        "%config MiniMaxMagics.max_tokens = 99\n"
        "%config MiniMaxMagics.system = 'be kind'\n"
        "%config MiniMaxMagics.stream = False\n"
        "%config MiniMaxMagics.chat = 'diary'\n"
        "%config MiniMaxMagics.flavor = 'anthropic_messages'\n"
    )
    shell.run("%%minimax\nhi")
    shell.run("%%minimax --model MiniMax-M2.5 --temperature 0 --system ''\nhi again")
    first, second = (request.body for request in sim.requests)
    assert (first["model"], first["temperature"], first["max_tokens"]) == ("MiniMax-M3", 0.25, 99)
    assert "be kind" in json.dumps(first["system"])
    assert not first.get("stream")
    assert (second["model"], second["temperature"]) == ("MiniMax-M2.5", 0)
    assert not second.get("system")
    assert len(second["messages"]) == 3
    assert list(shell.magics.session.chats) == ["diary"]


def test_config_refuses_nonsense(shell: Any) -> None:
    """A default that cannot be is refused when it is set."""
    for setting in ("temperature = 5", "thinking = 'maybe'", "max_tokens = 0", "format = 'pdf'"):
        name = setting.split(" ")[0]
        before = getattr(shell.magics, name)
        shell.run(f"%config MiniMaxMagics.{setting}")
        assert getattr(shell.magics, name) == before


def test_retries_are_told(shell: Any, sim: Simulator, configured: Path) -> None:
    """A failure that passes is tried again, and the cell succeeds."""
    (configured / "config" / "llm.yaml").write_text(
        "retry: {max_attempts: 3, initial_backoff_ms: 1, max_backoff_ms: 2}\n"
    )
    sim.script(Fail(code=1002), Reply(text="at last"))
    ran = shell.run("%%minimax\nhi")
    assert ran.error is None
    assert "at last" in ran.out
    sim.script(*[Fail(code=1002)] * 3)
    ran = shell.run("%%minimax\nhi")
    assert isinstance(ran.error, CellError)
    assert isinstance(ran.error.error, RateLimitError)


# --------------------------------------------------------------------------------- commands


def test_the_simulator_command(shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """`%minimax simulator` answers without any key, never sends a real one, and can be switched
    off; its chats do not go to the real server."""
    monkeypatch.setenv("MINIMAX_CODE_PLAN_KEY", KEY)
    ran = shell.run("%minimax simulator")
    assert "nothing is charged" in ran.out
    shell.run("%minimax  simulator ")  # again: no harm
    own = shell.magics.session.simulator
    assert shell.run("%%minimax --chat c\nhi").error is None
    assert len(own.requests) == 1
    assert KEY not in repr(dict(own.requests[0].headers))
    assert sim.requests == []
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")
    assert shell.run("%%minimax\nhi").error is None
    assert "the simulator" in shell.run("%minimax").out
    assert "is off" in shell.run("%minimax simulator   off").out
    assert not own.running
    assert "No simulator was running" in shell.run("%minimax simulator off").out
    assert shell.run("%%minimax\nhi").error is not None
    monkeypatch.setenv("MINIMAX_CODE_PLAN_KEY", sim.key)
    assert shell.run("%%minimax --chat c\nhello").error is None
    assert [m["role"] for m in sim.requests[0].body["messages"]] == ["user"]


def test_the_bare_line_says_what_would_be_used(shell: Any, sim: Simulator) -> None:
    """`%minimax` alone names model, server, wire and where the key is from, and sends nothing."""
    out = shell.run("%minimax").out
    for part in ("MiniMax-M2.5", "127.0.0.1", "openai_compat", "MINIMAX_CODE_PLAN_KEY"):
        assert part in out
    assert sim.key not in out
    assert sim.requests == []


@pytest.mark.parametrize(
    "code",
    [
        "%minimax?",
        "%%minimax?",
        "%minimax --help",
        "%minimax -h",
        "%%minimax --help",
        "%%minimax -h\nhi",
    ],
)
def test_help(shell: Any, sim: Simulator, code: str) -> None:
    """Every way to ask for help shows every option, and sends nothing."""
    shown: list[str] = []
    shell.ip.hooks.set_hook = None
    page = sys.modules["IPython.core.page"]
    original = page.page
    page.page = lambda data, *a, **k: shown.append(data["text/plain"])
    try:
        ran = shell.run(code)
    finally:
        page.page = original
    text = ran.out + "".join(shown)
    assert ran.error is None
    for option in OPTIONS:
        assert option.flag in text
        assert option.help in text
    if code.startswith("%%"):
        assert "%%minimax [variable] [options]" in text
    assert sim.requests == []


# ------------------------------------------------------------------------- odd circumstances


def test_time_and_capture(shell: Any, sim: Simulator) -> None:
    """`%%time` and `%%capture` around the cell work as for any other magic."""
    ran = shell.run("%%time\n%%minimax x\nhi")
    assert "Wall time" in ran.out
    assert shell.ns["x"].text.strip() in ran.out
    ran = shell.run("%%capture caught\n%%minimax x\nhi")
    assert ran.out.strip() == ""
    assert shell.ns["x"].text.strip() in shell.ns["caught"].stdout


def test_in_loops_functions_and_threads(shell: Any, sim: Simulator) -> None:
    """Called from a function, a loop or a thread, the magic answers."""
    code = (
        "def ask(n):\n"
        "    r = %minimax number {{'again'}}\n"
        "    return r.text\n"
        "texts = [ask(n) for n in range(2)]\n"
        "import threading\n"
        "def work():\n"
        "    get_ipython().run_cell_magic('minimax', 'of_thread', 'hi')\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start(); thread.join(20)\n"
    )
    assert shell.run(code).error is None
    assert len(shell.ns["texts"]) == 2
    assert shell.ns["of_thread"].text
    assert prompts(sim)[:2] == ["number again"] * 2


def test_many_threads_at_once(shell: Any, sim: Simulator) -> None:
    """Cells of several threads at the same time each get their own answer."""
    sim.delay_s = 0.002

    def ask(number: int) -> None:
        line = f"v{number}"
        shell.ip.run_cell_magic("minimax", line, f"[[echo]] number {number}")

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [shell.ns[f"v{n}"].text.strip() for n in range(8)] == [f"number {n}" for n in range(8)]


def test_an_interrupted_expression(shell: Any, sim: Simulator) -> None:
    """Ctrl-C while a prompt is being filled in is one line, and nothing was sent."""
    shell.run("import signal\ndef slow():\n    signal.raise_signal(signal.SIGINT)")
    ran = shell.run("%%minimax --chat c\n{{slow()}}")
    assert isinstance(ran.error, KeyboardInterrupt)
    assert ran.lines == ["Interrupted: nothing was sent."]
    assert sim.requests == []


def test_interrupting_an_answer(shell: Any, sim: Simulator) -> None:
    """Ctrl-C closes the connection, leaves what had arrived and one line, and the next cell works."""
    sim.script(Reply(text="word " * 2000, thinking="", delay_s=0.05))

    def press() -> None:
        sim.wait_for(lambda s: bool(s.requests) and s.requests[0].chunks_sent > 8)
        os.kill(os.getpid(), 2)

    thread = threading.Thread(target=press)
    thread.start()
    ran = shell.run("%%minimax part --chat c\nhi")
    thread.join()
    assert isinstance(ran.error, KeyboardInterrupt)
    assert sim.wait_for(lambda s: s.requests[0].finished.is_set())
    assert sim.requests[0].closed_early
    assert ran.lines[0].startswith("word word")
    assert ran.lines[-1].startswith("Interrupted: the request was cancelled")
    assert "Traceback" not in ran.out
    assert shell.ns["part"].text.startswith("word word")
    assert shell.magics.session.chats == {}
    assert shell.run("%%minimax\nhi").error is None


# ------------------------------------------------------------------------- load and unload


def snapshot(ip: Any) -> Any:
    """What loading may touch."""
    display = ip.display_formatter
    formatters = [display.ipython_display_formatter, *display.formatters.values()]
    return (
        {kind: sorted(found) for kind, found in ip.magics_manager.magics.items()},
        [found.get("minimax") for found in ip.magics_manager.magics.values()],
        "MiniMaxMagics" in ip.magics_manager.registry,
        list(ip.input_transformer_manager.token_transformers),
        list(ip.configurables),
        list(ip.input_transformers_cleanup),
        {name: list(found) for name, found in ip.events.callbacks.items()},
        list(ip.Completer.custom_matchers),
        [dict(formatter.type_printers) for formatter in formatters],
        [dict(formatter.deferred_printers) for formatter in formatters],
        {thread.name for thread in threading.enumerate() if thread.name.startswith("minimax")},
    )


def test_unloading_restores_the_shell(bare_shell: Any, configured: Path) -> None:
    """After use and unloading, the shell is as it was, and no thread is left."""
    ip = bare_shell.ip
    ip.register_magic_function(lambda line: "mine", "line", "minimax")
    before = snapshot(ip)
    load_ipython_extension(ip)
    assert bare_shell.run("%minimax simulator").error is None
    bare_shell.run("%%minimax x\nhi")
    bare_shell.run("x")
    assert snapshot(ip) != before
    unload_ipython_extension(ip)
    assert snapshot(ip)[:-1] == before[:-1]
    assert snapshot(ip)[-1] - before[-1] <= {"minimax-simulator"}  # that of the fixture
    assert bare_shell.run("%minimax hi").value == "mine"
    assert bare_shell.run("%%minimax\nhi").error is not None
    unload_ipython_extension(ip)


def test_loading_twice_changes_nothing(shell: Any, sim: Simulator) -> None:
    """A second load, by hand or by `%load_ext`, adds nothing and keeps the chats."""
    shell.run("%load_ext minimax_magic")  # IPython loads its own part of it at the first use
    shell.run("%%minimax --chat c\nhi")
    before = snapshot(shell.ip)
    load_ipython_extension(shell.ip)
    shell.run("%load_ext minimax_magic")
    assert snapshot(shell.ip) == before
    assert list(shell.magics.session.chats) == ["c"]


def test_reloading(shell: Any, sim: Simulator) -> None:
    """`%reload_ext` gives a working extension with empty chats."""
    shell.run("%load_ext minimax_magic")
    shell.run("%%minimax --chat c\nhi")
    assert shell.run("%reload_ext minimax_magic").error is None
    ran = shell.run("%%minimax --chat c\nhi")
    assert ran.error is None
    assert len(sim.requests[-1].body["messages"]) == 1


def test_a_shell_without_a_completer(bare_shell: Any, configured: Path) -> None:
    """Where there is no completer, loading, asking and unloading work without."""
    completer, bare_shell.ip.Completer = bare_shell.ip.Completer, None
    try:
        load_ipython_extension(bare_shell.ip)
        assert bare_shell.run("%%minimax\nhi").error is None
        unload_ipython_extension(bare_shell.ip)
    finally:
        bare_shell.ip.Completer = completer


# ----------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "failure", ["[[error 1004]]", "[[error 401]]", "[[drop]]", "{{1/0}}", "down"]
)
def test_a_key_is_never_shown(
    shell: Any,
    sim: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    configured: Path,
    failure: str,
) -> None:
    """Whatever fails, with verbose tracebacks and debug logging on, no output holds the key."""
    caplog.set_level(logging.DEBUG)
    sim.key = KEY
    (configured / "config" / "llm.yaml").write_text(
        f"providers: {{minimax: {{api_key: {KEY}}}}}\nretry: {{max_attempts: 1}}\n"
    )
    monkeypatch.setenv("MINIMAX_CODE_PLAN_KEY", KEY)
    if failure == "down":
        monkeypatch.setenv("MINIMAX_BASE_URL", "http://127.0.0.1:1")
    out = shell.run("%xmode Verbose").out
    out += shell.run(f"%%minimax x\n{failure}").out
    # one's own code around it: the tracebacks of the errors underneath are shown with variables
    out += shell.run(
        "try:\n"
        f"    get_ipython().run_cell_magic('minimax', '', {failure!r})\n"
        "except Exception as error:\n"
        "    inner = error.error\n"
        "    raise inner\n"
    ).out
    assert "Traceback" in out
    out += shell.run("%tb").out
    out += shell.run("m = get_ipython().magics_manager.registry['MiniMaxMagics']; m.session").out
    out += shell.run("[vars(c) for c in m.session._clients.values()], m.session._clients").out
    out += shell.run("%minimax").out + shell.run("m.session.settings()").out
    assert KEY not in out
    assert KEY not in caplog.text
    assert KEY[8:] not in out + caplog.text
