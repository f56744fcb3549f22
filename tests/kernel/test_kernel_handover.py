"""What cells hand over in a real kernel: next cells, values, recordings, and never the key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kernels import Kernel, Result, error_line, ok

from minimax_magic.simulator import Simulator

pytestmark = pytest.mark.kernel

KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"
TOOL = "def where(text: str = '') -> str:\n    return 'here'"
PERSON = "from dataclasses import dataclass\n@dataclass\nclass P:\n    name: str\n    age: int"


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
    kernel.run(
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    name: str\n    age: int"
    )
    ok(kernel.run(f'{way} p --as P\n[[invalid 1]] "Ann" is 30'))
    assert len(sim.requests) == 2
    assert kernel.value("[type(p).__name__, p.name, p.age]") == ["P", "Ann", 30]
    ok(kernel.run(f"{way} data --format json\nanything"))
    assert kernel.value("isinstance(data, (dict, list))") is True


def test_replay_in_another_kernel(
    kernel: Kernel, another: Callable[..., Kernel], sim: Simulator, tmp_path: Path
) -> None:
    """What one kernel recorded, calls of tools included, another shows without key and network."""
    # the first kernel may hold `%config` of earlier tests
    options = "--model MiniMax-M2.5 --cache {mode} --cache-file {file}"
    cells = [
        f"%%minimax {options} a\n[[echo]]hello",
        f"%%minimax {options} --tools where --chat c b\ncall where",
        f"%%minimax {options} --chat c\nand on",
    ]
    file = tmp_path / "answers.json"
    kernel.run(TOOL)
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
    second.run(TOOL)
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
        # not into the cell: threads that write there can hang in ipykernel 6.29
        "import io, logging, os\n"
        "log = io.StringIO()\n"
        "logging.basicConfig(level=logging.DEBUG, stream=log, force=True)\n"
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
    logged = kernel.value("log.getvalue()")
    assert "DEBUG" in logged
    everything = json.dumps([replies, [m for _, m in kernel.seen], logged], default=str)
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
