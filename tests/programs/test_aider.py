"""Starting Aider, with a program in its place that writes down how it was started."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import minimax_magic
from minimax_magic.auth.bundle_file import BUNDLE_FILE
from minimax_magic.errors import (
    ConfigError,
    CredentialInvalid,
    InsufficientBalance,
    MinimaxError,
    QuotaExceeded,
)
from minimax_magic.masked import MaskedStr
from minimax_magic.pricing import BUILT_IN
from minimax_magic.programs.access import Access
from minimax_magic.programs.aider import aider_variables, banner, find_aider, run
from minimax_magic.programs.aider_models import model_in, model_metadata
from minimax_magic.session import Session
from minimax_magic.simulator import Simulator
from minimax_magic.testing import Answer, FakeTransport, json_answer

posix = pytest.mark.skipif(os.name != "posix", reason="the fake Aider is a script for sh")
KEY = "sk-api-of-the-simulator"
Env = Callable[..., None]

# Writes down its arguments, variables and the files that it was given; asks as LiteLLM does, if told to.
FAKE = """\
import json, os, pathlib, sys, time, urllib.request
args = sys.argv[1:]
files = {arg: pathlib.Path(arg).read_text() for arg in args if arg.endswith((".json", ".env"))}
told = {"args": args, "variables": dict(os.environ), "files": files, "answers": []}
for _ in range(int(os.environ.get("FAKE_ASKS", 0))):
    body = {"model": "MiniMax-M2.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    request = urllib.request.Request(
        os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", json.dumps(body).encode(),
        {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        told["answers"].append(answer.status)
    time.sleep(float(os.environ.get("FAKE_PAUSE_S", 0)))
pathlib.Path(os.environ["FAKE_TOLD"]).write_text(json.dumps(told))
if os.environ.get("FAKE_WAITS"):
    try:
        time.sleep(30)
    except KeyboardInterrupt:
        sys.exit(99)
sys.exit(int(os.environ.get("FAKE_EXIT", 0)))
"""


class FakeAider:
    """A program in Aider's place.

    Attributes:
        lines: What was said before it started.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        (folder / "fake.py").write_text(FAKE)
        self.path = folder / "aider"
        python, script = shlex.quote(sys.executable), shlex.quote(str(folder / "fake.py"))
        self.path.write_text(f'#!/bin/sh\nexec {python} {script} "$@"\n')
        self.path.chmod(0o755)
        self._told = folder / "told.json"
        self.lines: list[str] = []
        monkeypatch.setenv("MINIMAX_AIDER", str(self.path))
        monkeypatch.setenv("FAKE_TOLD", str(self._told))

    def run(self, *args: str, **options: Any) -> int:
        return run(Session(), args, say=self.lines.append, **options)

    @property
    def started(self) -> bool:
        return self._told.exists()

    @property
    def args(self) -> list[str]:
        return list(self._read()["args"])

    @property
    def variables(self) -> dict[str, str]:
        return dict(self._read()["variables"])

    @property
    def answers(self) -> list[int]:
        return list(self._read()["answers"])

    def file(self, option: str) -> str:
        args = self.args
        return str(self._read()["files"][args[args.index(option) + 1]])

    def _read(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._told.read_text())
        return told


@pytest.fixture
def fake(env: Env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeAider:
    for name in [*os.environ]:
        if name.startswith(("ANTHROPIC_", "AIDER_", "OPENAI_", "LITELLM_")):
            monkeypatch.delenv(name)
    return FakeAider(tmp_path / "fake", monkeypatch)


@pytest.fixture
def sim(fake: FakeAider, env: Env) -> Iterator[Simulator]:
    """A server that takes both headers, configured with its key."""
    with Simulator(key=KEY, accept_x_api_key=True) as simulator:
        env(base_url=simulator.url, api_key=KEY)
        yield simulator


def at_a_gateway() -> Access:
    return Access(
        root="http://127.0.0.1:5000",
        key=MaskedStr("mm-gateway-secret"),
        kind="login",
        source="secrets/minimax_token_plan.json",
        model="MiniMax-M2.5",
        region="global",
        server="https://api.minimax.io",
        gateway=True,
    )


def log_in(sim: Simulator, folder: Path) -> None:
    tokens = sim.account.issue()
    bundle = {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "expires_at": tokens.expires_at,
        "region": sim.url,
    }
    path = folder / "secrets" / BUNDLE_FILE
    path.write_text(json.dumps(bundle))
    path.chmod(0o600)


# ---------------------------------------------------------------------------- how it is started


@posix
def test_it_gets_address_key_and_model(fake: FakeAider, sim: Simulator) -> None:
    """The guide's working configuration; the key is in no argument and no file."""
    assert fake.run("--yes-always", "a file.py") == 0
    assert fake.args[:2] == ["--model", "anthropic/MiniMax-M2.5"]
    assert fake.args[-2:] == ["--yes-always", "a file.py"]
    assert fake.variables["ANTHROPIC_BASE_URL"] == f"{sim.url}/anthropic"
    assert fake.variables["ANTHROPIC_API_KEY"] == KEY
    assert KEY not in " ".join(fake.args)
    assert KEY not in fake.file("--env-file") + fake.file("--model-metadata-file")
    assert sim.served.requests == 0, "nothing was spent"


@posix
def test_files_behind_dashes_of_aider_stay_files(fake: FakeAider, sim: Simulator) -> None:
    """Ours are options although Aider's arguments have a `--`; what is behind that names no model."""
    theirs = ["--message", "hi", "--", "greet.py", "--model", "gpt-4o", "--env-file"]
    assert fake.run(*theirs) == 0
    assert fake.args[-len(theirs) :] == theirs
    assert "--env-file" in fake.args[: -len(theirs)]
    assert fake.args[fake.args.index("--model") + 1] == "anthropic/MiniMax-M2.5"


@posix
def test_the_banner_tells_address_masked_key_and_model(fake: FakeAider, sim: Simulator) -> None:
    """What the guide's script shows, with the key masked."""
    fake.run()
    told = "\n".join(fake.lines)
    assert f"{sim.url}/anthropic" in told
    assert "sk-api-... from environment MINIMAX_API_KEY" in told
    assert "anthropic/MiniMax-M2.5" in told
    assert KEY not in told


@posix
def test_variables_that_would_defeat_it_are_removed(
    fake: FakeAider, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A left-over ANTHROPIC_API_BASE, token or switch of LiteLLM does not reach Aider."""
    left = {
        "ANTHROPIC_API_BASE": "https://api.minimax.io/v1",
        "ANTHROPIC_AUTH_TOKEN": "stale",
        "ANTHROPIC_API_KEY": "sk-ant-other",
        "LITELLM_ANTHROPIC_DISABLE_URL_SUFFIX": "true",
    }
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EDITOR_OF_MINE", "vi")
    fake.run()
    assert not fake.variables.get("ANTHROPIC_API_BASE")
    assert not fake.variables.get("ANTHROPIC_AUTH_TOKEN")
    assert not fake.variables.get("LITELLM_ANTHROPIC_DISABLE_URL_SUFFIX")
    assert fake.variables["ANTHROPIC_API_KEY"] == KEY
    assert fake.variables["EDITOR_OF_MINE"] == "vi", "the rest stays"


@posix
def test_a_dotenv_file_is_overruled(fake: FakeAider, sim: Simulator) -> None:
    """Aider loads ours after every .env; the key is referred to, not written."""
    fake.run()
    lines = dict(line.split("=", 1) for line in fake.file("--env-file").splitlines())
    name = lines["ANTHROPIC_API_KEY"].removeprefix("${").removesuffix("}")
    assert fake.variables[name] == KEY


@posix
@pytest.mark.parametrize("theirs", [[], ["--env-file", "x"], ["--env-fil=x"]], ids=str)
def test_the_address_is_an_option(fake: FakeAider, sim: Simulator, theirs: list[str]) -> None:
    """--set-env beats a set-env of .aider.conf.yml or of a .env; a file that was named stays the last
    one that is loaded."""
    fake.run(*theirs)
    assert " ".join(fake.args).count("--env-fil") == 1
    set_env = [fake.args[place + 1] for place, arg in enumerate(fake.args) if arg == "--set-env"]
    assert set_env == ["ANTHROPIC_API_BASE=", f"ANTHROPIC_BASE_URL={sim.url}/anthropic"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "127.0.0.1"),
        ({"NO_PROXY": ".corp.example"}, ".corp.example,127.0.0.1"),
        ({"NO_PROXY": ".old.example", "no_proxy": ".corp.example"}, ".corp.example,127.0.0.1"),
    ],
)
def test_a_proxy_is_not_asked_for_this_machine(before: dict[str, str], after: str) -> None:
    """Where the address is on this machine, both names have it beside what counted before."""
    variables = aider_variables(at_a_gateway(), before)
    assert (variables["NO_PROXY"], variables["no_proxy"]) == (after, after)


def test_no_proxy_for_anything_stays_so() -> None:
    """A star with something beside it would be no star any more."""
    variables = aider_variables(at_a_gateway(), {"NO_PROXY": "*"})
    assert variables["NO_PROXY"] == "*"
    assert "no_proxy" not in variables


@posix
def test_limits_and_prices_are_given(fake: FakeAider, sim: Simulator, env: Env) -> None:
    """A metadata file has the model's context window and what a token costs here."""
    fake.run()
    entry = json.loads(fake.file("--model-metadata-file"))["anthropic/MiniMax-M2.5"]
    assert entry["max_input_tokens"] == 204_800
    assert entry["input_cost_per_token"] == pytest.approx(0.30e-6)
    assert entry["output_cost_per_token"] == pytest.approx(1.20e-6)
    assert entry["litellm_provider"] == "anthropic"


@posix
@pytest.mark.parametrize("theirs", ["--model-metadata-file=mine.yml", "--model-meta=mine.yml"])
def test_metadata_that_was_named_stays(fake: FakeAider, sim: Simulator, theirs: str) -> None:
    """--model-metadata-file of the arguments is not replaced."""
    fake.run(theirs)
    assert [arg for arg in fake.args if "-meta" in arg] == [theirs]


@posix
def test_an_unknown_model_gets_no_metadata(fake: FakeAider, sim: Simulator) -> None:
    """Nothing is claimed of a model that we know nothing of."""
    fake.run(model="Some-New-Model")
    assert "anthropic/Some-New-Model" in fake.args
    assert "--model-metadata-file" not in fake.args


def test_models_without_a_price_have_none() -> None:
    """An unknown price is left out, never 0."""
    entry = model_metadata("MiniMax-M3.1-Flash-Preview", None)[
        "anthropic/MiniMax-M3.1-Flash-Preview"
    ]
    assert not [name for name in entry if "cost" in name]
    assert entry["max_input_tokens"] == 1_000_000
    no_write = BUILT_IN.find("MiniMax-M3")
    entry = model_metadata("MiniMax-M3", no_write)["anthropic/MiniMax-M3"]
    assert entry["cache_creation_input_token_cost"] == entry["input_cost_per_token"]


# --------------------------------------------------------------------------------------- models


@posix
def test_a_model_of_the_arguments_is_kept(fake: FakeAider, sim: Simulator) -> None:
    """No second --model is added, and limits and banner are of that model."""
    fake.run("--model", "anthropic/MiniMax-M3")
    assert fake.args.count("--model") == 1
    assert "anthropic/MiniMax-M3" in "\n".join(fake.lines)
    assert "anthropic/MiniMax-M3" in json.loads(fake.file("--model-metadata-file"))


@pytest.mark.parametrize(
    ("args", "model"),
    [
        (["--model", "anthropic/MiniMax-M2"], "MiniMax-M2"),
        (["x", "--model=anthropic/my-own"], "my-own"),
        (["--weak-model", "gpt-4o", "--message", "hi"], None),
        (["--message", "hi", "--", "--model", "gpt-4o", "--sonnet"], None),
        ([], None),
    ],
)
def test_models_that_arguments_name(args: list[str], model: str | None) -> None:
    """With `anthropic/`, any name goes; other options name none."""
    assert model_in(args) == model


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--model", "MiniMax-M2.5"], "--model anthropic/MiniMax-M2.5"),
        (["--model=minimax-m9"], "--model anthropic/minimax-m9"),
        (["--model", "minimax/MiniMax-M2.5"], "--model anthropic/MiniMax-M2.5"),
        (["--model", "openai/MiniMax-M2.5"], "--model anthropic/MiniMax-M2.5"),
        (["--model", "gpt-4o"], "gpt-4o is not a model of MiniMax"),
        (["--model"], "not followed by a model"),
        (["--sonnet"], "--sonnet makes Aider ask"),
        (["--sonn"], "--sonn makes Aider ask"),
    ],
)
def test_models_that_do_not_reach_minimax(args: list[str], said: str) -> None:
    """They are refused in one line that names what does."""
    with pytest.raises(ConfigError) as refused:
        model_in(args)
    assert said in str(refused.value)


@posix
def test_our_option_is_no_way_around_that(fake: FakeAider, sim: Simulator, tmp_path: Path) -> None:
    """Neither --model before the `--` nor the model of an agent may have another route."""
    agents = tmp_path / "config" / "agents.d"
    agents.mkdir()
    (agents / "ana.yaml").write_text(
        "agents:\n  - id: ana\n    model: {provider: minimax, model: minimax/MiniMax-M3}\n"
    )
    for options, said in (
        ({"model": "minimax/MiniMax-M2.5"}, "--model anthropic/MiniMax-M2.5"),
        ({"model": "openai/gpt-4o"}, "not a model of MiniMax"),
        ({"agent": "ana"}, "--model anthropic/MiniMax-M3"),
    ):
        with pytest.raises(ConfigError) as refused:
            fake.run(**options)
        assert said in str(refused.value)
    assert not fake.started


@posix
def test_two_different_models_are_refused(fake: FakeAider, sim: Simulator) -> None:
    """Ours and Aider's --model have to agree."""
    args = ("--model", "anthropic/MiniMax-M3")
    with pytest.raises(ConfigError, match="Two models"):
        fake.run(*args, model="MiniMax-M2")
    assert fake.run(*args, model="anthropic/MiniMax-M3") == 0


# -------------------------------------------------------------------------------------- gateway


@posix
def test_a_server_of_bearers_is_reached_through_a_gateway(
    fake: FakeAider, env: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Aider's x-api-key works although the server refuses it, and the real key stays with us."""
    monkeypatch.setenv("FAKE_ASKS", "1")
    with Simulator(key=KEY) as sim:
        env(base_url=sim.url, api_key=KEY)
        assert fake.run() == 0
        assert fake.answers == [200]
        assert sim.served.requests == 1
        assert fake.variables["ANTHROPIC_BASE_URL"] != f"{sim.url}/anthropic"
        assert fake.variables["ANTHROPIC_API_KEY"] != KEY
        told = "\n".join(fake.lines)
        assert f"a gateway to {sim.url}" in told
        assert "in place of sk-api-... from environment MINIMAX_API_KEY" in told
        assert KEY not in fake.variables.values(), "nor do commands that Aider starts see it"


@posix
def test_a_long_session_outlives_its_token(
    fake: FakeAider, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a login whose token ends between two requests, both succeed with the same key."""
    sim.account.access_token_lifetime_s = 1.5
    log_in(sim, tmp_path)
    monkeypatch.setenv("FAKE_ASKS", "2")
    monkeypatch.setenv("FAKE_PAUSE_S", "1.6")
    assert fake.run() == 0
    assert fake.answers == [200, 200]
    assert sim.account.refreshes >= 1
    assert "renews the login" in "\n".join(fake.lines)


@posix
def test_a_wrong_key_does_not_start_it(fake: FakeAider, sim: Simulator, env: Env) -> None:
    """What Aider would retry for minutes is told at once."""
    env(api_key="sk-api-wrong")
    with pytest.raises(CredentialInvalid):
        fake.run()
    assert not fake.started


NO_HEADER = json_answer({"error": {"message": "carry the API secret key (1004)"}}, 401)
NO_MONEY = json_answer({"error": {"message": "insufficient balance (1008)"}}, 403)
NO_QUOTA = json_answer({"base_resp": {"status_code": 2056, "status_msg": "usage limit exceeded"}})


@posix
@pytest.mark.parametrize(
    ("answers", "login", "error"),
    [
        ([NO_MONEY], False, InsufficientBalance),
        ([NO_QUOTA], False, QuotaExceeded),
        ([NO_HEADER, NO_MONEY], False, InsufficientBalance),
        ([NO_QUOTA], True, QuotaExceeded),
    ],
    ids=["balance", "quota", "through a gateway", "login"],
)
def test_an_empty_account_does_not_start_it(
    fake: FakeAider,
    sim: Simulator,
    tmp_path: Path,
    answers: list[Answer],
    login: bool,
    error: type[MinimaxError],
) -> None:
    """Aider would take that for a fault of the line, and ask again for ever."""
    if login:
        log_in(sim, tmp_path)
    with pytest.raises(error) as told:
        fake.run(make_transport=lambda: FakeTransport(*answers))
    assert told.value.hint
    assert not fake.started


# ------------------------------------------------------------------------------ its end, signals


@posix
@pytest.mark.parametrize("code", [0, 3])
def test_its_exit_code_is_ours(
    fake: FakeAider, sim: Simulator, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Scripts see how Aider ended."""
    monkeypatch.setenv("FAKE_EXIT", str(code))
    before = signal.getsignal(signal.SIGINT)
    assert fake.run() == code
    assert signal.getsignal(signal.SIGINT) is before


OUTER = """\
import sys
from minimax_magic.programs.aider import run
from minimax_magic.session import Session
code = run(Session(), sys.argv[1:])
print("our end", code)
sys.exit(code)
"""


@posix
@pytest.mark.parametrize(
    ("number", "to_both", "code"),
    [(2, True, 99), (15, False, 128 + 15), (1, False, 128 + 1)],
    ids=["Ctrl-C", "termination", "hangup"],
)
def test_signals_end_aider_and_then_us(
    fake: FakeAider,
    sim: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    to_both: bool,
    code: int,
) -> None:
    """Ctrl-C is Aider's to handle; a termination of ours is passed on. We end after it, cleanly."""
    monkeypatch.setenv("FAKE_WAITS", "1")
    package = str(Path(minimax_magic.__file__).parent.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]))
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", OUTER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        give_up_at = time.monotonic() + 30
        while not fake.started and process.poll() is None and time.monotonic() < give_up_at:
            time.sleep(0.02)
        time.sleep(0.2)
        if process.poll() is None:
            if to_both:  # as a terminal does
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        said, wrong = process.communicate(timeout=20)
    assert f"our end {code}" in said, wrong
    assert process.returncode == code


# -------------------------------------------------------------------------------- where it is


def test_it_is_found_on_path(tmp_path: Path, env: Env) -> None:
    """`aider` of PATH, unless MINIMAX_AIDER names another."""
    program = tmp_path / ("aider.bat" if os.name == "nt" else "aider")
    program.write_text("")
    program.chmod(0o755)
    assert find_aider({"PATH": str(tmp_path)}) == [str(program)]
    other = {"PATH": str(tmp_path), "MINIMAX_AIDER": sys.executable}
    assert find_aider(other) == [sys.executable]


def test_a_command_with_arguments_may_be_named(env: Env) -> None:
    """MINIMAX_AIDER may be `python -m aider`."""
    named = f"{shlex.quote(sys.executable)} -m aider"
    assert find_aider({"MINIMAX_AIDER": named}) == [sys.executable, "-m", "aider"]


def test_a_missing_aider_is_told_with_how_to_install_it(env: Env, tmp_path: Path) -> None:
    """One line with the ways to install it; a folder of that name is no Aider."""
    (tmp_path / "aider").mkdir()
    with pytest.raises(ConfigError) as told:
        find_aider({"PATH": str(tmp_path)})
    for way in ("uv tool install", "pipx install", "before 3.13"):
        assert way in told.value.hint
    for wrong in ("nowhere", "/x/o'brien/aider", '""'):
        with pytest.raises(ConfigError, match=f"MINIMAX_AIDER names {wrong}"):
            find_aider({"PATH": str(tmp_path), "MINIMAX_AIDER": wrong})


def test_a_login_is_named_in_the_banner_and_no_key_shown() -> None:
    """Through a gateway neither its key nor anything of the login is shown."""
    told = "\n".join(banner(at_a_gateway()))
    assert "secrets/minimax_token_plan.json" in told
    assert "https://api.minimax.io" in told
    assert "mm-gateway-secret" not in told
