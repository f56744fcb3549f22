"""`python -m minimax_magic`, in this process where that is enough, else as a program of its own."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minimax_magic import sign_in
from minimax_magic.command_line import main
from minimax_magic.programs.names import PROGRAMS
from minimax_magic.simulator import Fail, Silence, Simulator
from minimax_magic.testing import FakeClock

ROOT = Path(__file__).parent.parent
KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"
COMMANDS = (*("doctor", "env", "aider", "gateway", "write-script", "setup", "login", "status"),)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(key=KEY, accept_x_api_key=True) as simulator:
        yield simulator


@pytest.fixture
def here(env: Callable[..., None], sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose settings name the simulator and its key."""
    env(base_url=sim.url, api_key=KEY)
    for name in [*os.environ]:
        if name.startswith(("ANTHROPIC_", "OPENAI_", "AIDER_", "LITELLM_")):
            monkeypatch.delenv(name)
    return Path.cwd()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command; exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(words)
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def start(*words: str, **options: Any) -> subprocess.Popen[str]:
    """The same as a program of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "minimax_magic", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )


# ------------------------------------------------------------------------------ words and errors


def test_no_command_is_the_help(run: Callable[..., Any]) -> None:
    """Without a command the help is shown, and names all of them."""
    code, out, err = run()
    assert (code, err) == (0, "")
    assert out == run("--help")[1]
    for name in COMMANDS:
        assert re.search(rf"^    {name}\s", out, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Callable[..., Any], command: str) -> None:
    """`COMMAND --help` says what it does and which options it has."""
    code, out, _ = run(command, "--help")
    assert code == 0
    assert out.startswith(f"usage: python -m minimax_magic {command}")
    assert "--help" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["frobnicate"], "there is no command 'frobnicate'; known: doctor, env,"),
        (["docter", "--json"], "'docter' (did you mean doctor?)"),
        (["doctor", "--for", "emacs"], "there is no program 'emacs'; known: aider,"),
        (["doctor", "--for", "Aider"], "'Aider' (did you mean aider?)"),
        (["doctor", "--nospend"], "arguments: --nospend (did you mean --no-spend?)"),
        (["doctor", "--nospend"], "usage: python -m minimax_magic doctor"),
        (["status", "extra"], "usage: python -m minimax_magic status"),
        (["write-script", "emacs"], "there is no script for 'emacs'; known: aider"),
        (["doctor", "--json", "--report"], "not allowed with argument"),
        (["env"], "required: PROGRAM"),
        (["env", "emacs"], "there is no program 'emacs'; known: aider,"),
        (["env", "claude"], "'claude' (did you mean claude-code?)"),
        (["env", "aider", "--shell", "fish"], "there is no shell 'fish'"),
        (["gateway", "--port", "99999"], "invalid port value: '99999'"),
        (
            ["aider", "notes.py"],
            "unrecognized arguments: notes.py (what is for Aider stands behind --",
        ),
    ],
)
def test_a_wrong_command_line(run: Callable[..., Any], words: list[str], said: str) -> None:
    """What is wrong with a command line stands on stderr, and the exit code is 2."""
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert said in err


def test_a_terminal_is_told_what_to_type_there(
    env: Callable[..., None], run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors, the doctor and `setup` name commands of the shell, and no magic command but as what there
    is in a notebook."""
    said = [
        run("env", "aider")[2],
        run("doctor", "--no-spend", "--simulator", "--for", "aider")[1],
        run("setup")[1],
        run("status")[1],
    ]
    env(base_url="http://127.0.0.1:9")
    said += [run("doctor")[1], run("doctor", "--json")[1], run("doctor", "--report")[1]]
    assert "Run `python -m minimax_magic login`" in said[0]
    assert "Next: `python -m minimax_magic login`" in said[2]
    for text in said:
        assert not re.search(r"`%%?minimax[^`]*`(?! in a notebook)", " ".join(text.split()))
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    assert "panel" not in run("login", "--key")[2]


def test_the_scripts_that_start_aider(here: Path, run: Callable[..., Any]) -> None:
    """`write-script aider` writes both into this folder, and never over one that is there."""
    code, out, err = run("write-script", "aider")
    assert (code, err) == (0, "")
    assert out.startswith("Written: start-aider.sh and start-aider.bat.")
    assert (here / "start-aider.sh").exists()
    assert run("write-script", "aider")[0] == 1
    assert run("write-script", "aider", "--force")[0] == 0


def test_an_early_interrupt_is_quiet(here: Path) -> None:
    """Ctrl-C while the program still loads is no traceback."""
    code = (
        "import runpy, sys\n"
        "class Late:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'minimax_magic.command_line': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Late())\n"
        "runpy.run_module('minimax_magic', run_name='__main__')\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=False
    )
    assert (done.returncode, done.stderr) == (130, "")


def test_the_help_is_there_at_once() -> None:
    """`--help` and `--version` import nothing heavy."""
    heavy = ("aiohttp", "pydantic", "yaml", "IPython", "ipywidgets", "anywidget", "sqlite3")
    check = (
        "import sys; from minimax_magic.command_line import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("words", [["env", "aider"], ["gateway"], ["status"], ["setup"]])
def test_an_error_is_one_line(
    env: Callable[..., None], run: Callable[..., Any], words: list[str]
) -> None:
    """An error of ours is one line on stderr or stdout without a traceback, and the exit code is 1."""
    Path("config/llm.yaml").write_text("retry: {max_attempts: often}\n")
    code, out, err = run(*words)
    assert code == 1
    assert len((out + err).strip().splitlines()) == 1
    assert "max_attempts" in out + err


# ---------------------------------------------------------------------------------------- doctor


def test_doctor_all_well(here: Path, run: Callable[..., Any]) -> None:
    """With a good key the doctor ends in 0, and has the guide's expected result."""
    code, out, err = run("doctor")
    assert (code, err) == (0, "")
    assert "SUCCESS! API is working!" in out
    for label in ("Input tokens:", "Output tokens:", "Total tokens:"):
        assert label in out
    assert "Your MiniMax API is ready for Aider!" in out
    assert "All is well" in out
    assert KEY not in out


def test_doctor_without_spending(here: Path, sim: Simulator, run: Callable[..., Any]) -> None:
    """`--no-spend` asks the model nothing."""
    code, out, _ = run("doctor", "--no-spend")
    assert code == 0
    assert "SUCCESS" not in out
    assert sim.served.output_tokens == 0


def test_doctor_with_a_wrong_key(
    here: Path, env: Callable[..., None], run: Callable[..., Any]
) -> None:
    """A key that is refused ends in 1, with causes and steps below the failed check."""
    env(api_key="sk-cp-WRONG-0123456789abcdef")
    code, out, _ = run("doctor")
    assert code == 1
    failed = next(line for line in out.splitlines() if line.startswith("FAIL"))
    assert "Authentication" in failed
    assert "Likely causes" in out
    assert "What to do:" in out
    assert "WRONG" not in out


def test_doctor_as_json(here: Path, sim: Simulator, run: Callable[..., Any]) -> None:
    """`--json` prints one document and nothing else, also where something failed."""
    code, out, err = run("doctor", "--json")
    told = json.loads(out)
    assert (code, err, told["ok"], told["exit_code"], told["simulated"]) == (0, "", True, 0, True)
    assert "authentication" in [finding["check"] for finding in told["findings"]]
    sim.script(Fail(code=1008))
    code, out, _ = run("doctor", "--json")
    told = json.loads(out)
    assert (code, told["ok"]) == (1, False)
    (failed,) = [finding for finding in told["findings"] if finding["state"] == "failed"]
    assert failed["trouble"]["name"] == "forbidden"
    assert KEY not in out


def test_doctor_as_a_report(here: Path, run: Callable[..., Any], env: Callable[..., None]) -> None:
    """`--report` prints markdown alone, without the key and the group id."""
    env(group_id="1234567890")
    code, out, err = run("doctor", "--report")
    assert (code, err) == (0, "")
    assert out.startswith("<details>")
    assert KEY not in out
    assert "1234567890" not in out
    assert str(Path.home()) not in out or Path.home() == Path("/")


def test_doctor_on_a_simulator(env: Callable[..., None], run: Callable[..., Any]) -> None:
    """`--simulator` needs no key, says that nothing is real, and asks nobody else."""
    env(base_url="http://127.0.0.1:9", api_key=KEY)
    code, out, err = run("doctor", "--simulator")
    assert (code, err) == (0, "")
    assert out.startswith("Simulator at http://127.0.0.1:")
    assert "nothing is sent to MiniMax" in out
    assert json.loads(run("doctor", "--simulator", "--json")[1])["simulated"] is True


@pytest.mark.parametrize("program", PROGRAMS)
def test_doctor_for_a_program(here: Path, run: Callable[..., Any], program: str) -> None:
    """`--for` adds what that program would do."""
    out = run("doctor", "--no-spend", "--for", program, "--json")[1]
    checks = [finding["check"] for finding in json.loads(out)["findings"]]
    assert "program" in checks


def test_each_finding_comes_as_it_is_made(here: Path) -> None:
    """In a pipe each finding is there when its check has ended, not when all have; and Ctrl-C in the
    middle is one line and 130."""
    with Simulator(key=KEY) as slow:
        slow.script(Silence())
        os.environ["MINIMAX_BASE_URL"] = slow.url  # monkeypatch of `here` sets it back
        program = start("doctor")
        assert program.stdout is not None
        seen = []
        while "Account" not in "".join(seen[-1:]):
            seen.append(program.stdout.readline())
            assert seen[-1], "it ended too soon"
        assert program.poll() is None
        time.sleep(0.2)
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=20)
    assert err == "Interrupted.\n"
    assert program.returncode == 130


def test_a_closed_pipe_is_quiet(here: Path) -> None:
    """`doctor | head -1` ends without a word on stderr."""
    program = start("doctor", "--no-spend")
    assert program.stdout is not None
    assert program.stderr is not None
    assert program.stdout.readline()
    program.stdout.close()
    assert program.stderr.read() == ""
    program.stderr.close()
    assert program.wait(20) != 0


# ------------------------------------------------------------------------------------- the others


@pytest.mark.parametrize("program", PROGRAMS)
def test_env(here: Path, run: Callable[..., Any], program: str) -> None:
    """`env` masks the key; with `--reveal` it is there."""
    code, out, err = run("env", program, "--shell", "sh")
    assert code == 0
    assert KEY not in out
    assert err == "Nothing is set by this: the key is masked. Add --reveal.\n"  # for an eval
    code, out, err = run("env", program, "--shell", "sh", "--reveal")
    assert (code, err) == (0, "")
    assert KEY in out


def test_env_in_a_shell(here: Path, run: Callable[..., Any], sim: Simulator) -> None:
    """What `env --reveal` prints can be evaluated by sh, as its help says."""
    out = run("env", "anthropic-sdk", "--shell", "sh", "--reveal")[1]
    shown = subprocess.run(
        ["sh", "-c", 'eval "$0"; env', out], capture_output=True, text=True, check=True
    )
    assert KEY in shown.stdout
    assert f"{sim.url}/anthropic" in shown.stdout


def test_env_with_another_model(here: Path, run: Callable[..., Any]) -> None:
    """`--model` goes before the configured one."""
    assert "MiniMax-M2.1" in run("env", "aider", "--model", "MiniMax-M2.1")[1]


def test_aider_gets_what_stands_behind_the_dashes(
    here: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words behind `--` are Aider's, the model before it is ours, and its exit code is given on."""
    program = here / "fake_aider.py"
    program.write_text(
        "import json, os, sys\n"
        "json.dump([sys.argv[1:], dict(os.environ)], open('seen.json', 'w'))\n"
        "sys.exit(7)\n"
    )
    monkeypatch.setenv("MINIMAX_AIDER", f"{sys.executable} {program}")
    code, out, err = run("aider", "--model", "MiniMax-M2.1", "--", "--yes-always", "--", "a b.py")
    assert (code, err) == (7, "")
    assert "anthropic/MiniMax-M2.1" in out
    assert KEY not in out
    words, environ = json.loads((here / "seen.json").read_text())
    assert words[-3:] == ["--yes-always", "--", "a b.py"]
    assert KEY not in " ".join(words)
    assert environ["ANTHROPIC_API_KEY"] == KEY


def test_a_login_and_the_gateway(
    here: Path, run: Callable[..., Any], sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`login --user` signs in for all folders, and `status` says that this is used; `env` then says how
    to start the gateway, and uses it once it runs."""
    monkeypatch.delenv("MINIMAX_API_KEY")
    assert run("status")[0] == 1
    monkeypatch.setattr(sign_in, "SystemClock", lambda: FakeClock(time.time()))  # no pauses
    sim.account.auto_approve_after_polls = 1
    code, out, err = run("login", "--region", sim.url, "--user")
    assert (code, err) == (0, "")
    assert "confirm the code" in out
    assert "Signed in." in out
    assert (here / "data" / "secrets" / "minimax_token_plan.json").exists()
    code, out, _ = run("status")
    assert code == 0
    assert "Token Plan login" in out
    assert "sim-at-" not in out

    code, out, err = run("env", "aider")
    assert (code, out) == (1, "")
    assert "python -m minimax_magic gateway" in err
    gateway = start("gateway")
    try:
        assert gateway.stdout is not None
        assert "http://127.0.0.1:" in gateway.stdout.readline()
        assert "env PROGRAM" in gateway.stdout.readline()
        code, out, err = run("env", "aider", "--reveal")
        assert (code, err) == (0, "")
        assert "http://127.0.0.1:" in out
        assert sim.url not in out
    finally:
        gateway.send_signal(signal.SIGINT)
        _, err = gateway.communicate(timeout=20)
    assert (gateway.returncode, err) == (0, "")


def test_a_key_from_a_pipe(
    here: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`login --key` takes a key from its input, checks it and keeps it; no other is kept."""
    monkeypatch.delenv("MINIMAX_API_KEY")
    file = here / "secrets" / "minimax_code_plan_key.txt"
    monkeypatch.setattr(sys, "stdin", io.StringIO("sk-cp-WRONG-0123456789abcdef\n"))
    code, out, err = run("login", "--key")
    assert (code, out) == (1, "")
    assert "WRONG" not in err
    assert not file.exists()
    monkeypatch.setattr(sys, "stdin", io.StringIO(f" {KEY}\n"))
    code, out, err = run("login", "--key")
    assert (code, err) == (0, "")
    assert "is ready" in out
    assert KEY not in out
    assert file.read_text().strip() == KEY
    assert run("doctor", "--no-spend")[0] == 0


def test_a_region_that_does_not_exist(here: Path, run: Callable[..., Any]) -> None:
    """Who names no region that exists is told in one line."""
    code, _, err = run("login", "--region", "mars")
    assert code == 1
    assert "mars" in err
    assert len(err.strip().splitlines()) == 1


def test_setup(here: Path, run: Callable[..., Any]) -> None:
    """Where nobody can answer, `setup` writes the files with their defaults."""
    code, out, err = run("setup")
    assert (code, err) == (0, "")
    assert (here / "config" / "llm.yaml").exists()
    assert "llm.yaml" in out
