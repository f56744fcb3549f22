"""The Aider guide's "Common issues", one by one, as its reader would check them in a terminal.

Every issue is made on the simulator. `python -m minimax_magic doctor` runs in a process of its own for
the words that a person reads, and once more with `--json` for what exactly was found.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from minimax_magic.command_line import main
from minimax_magic.simulator import Simulator

ROOT = Path(__file__).parent.parent.parent
# more than the doctor waits for anything that is not there
TIMEOUT_S = 60
PLAN_KEY = "sk-cp-of-the-guide-0001"
PAID_KEY = "sk-api-of-the-guide-0002"


@dataclass(frozen=True)
class Examined:
    """What two runs of the doctor gave: one for people, one for programs."""

    exit_code: int
    text: str
    found: Any

    def finding(self, check: str) -> Any:
        (one,) = [one for one in self.found["findings"] if one["check"] == check]
        return one

    @property
    def states(self) -> dict[str, str]:
        return {one["check"]: one["state"] for one in self.found["findings"]}

    @property
    def troubles(self) -> list[str]:
        """Their names, in the order in which they were met."""
        named = [(one["trouble"] or {}).get("name") for one in self.found["findings"]]
        return [name for name in named if name]

    @property
    def flowing(self) -> str:
        """The text without its line breaks."""
        return " ".join(self.text.split())


class Machine:
    """A person's machine: a home folder with nothing in it, and variables."""

    def __init__(
        self,
        home: Path,
        simulator: Simulator,
        monkeypatch: pytest.MonkeyPatch,
        printed: pytest.CaptureFixture[str],
    ) -> None:
        self.simulator = simulator
        self.home = home
        self.variables = {
            "HOME": str(home),
            "MINIMAX_CONFIG_DIR": str(home),
            "MINIMAX_SECRETS_DIR": str(home),
            "MINIMAX_DATA_DIR": str(home),
            "MINIMAX_BASE_URL": simulator.url,
            "MINIMAX_CODE_PLAN_KEY": simulator.key,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
        }
        self._monkeypatch = monkeypatch
        self._printed = printed

    def doctor(self, *words: str, **variables: str | None) -> Examined:
        """Run it with these variables; None takes one away."""
        environ = {
            name: value
            for name, value in {**self.variables, **variables}.items()
            if value is not None
        }
        run = subprocess.run(
            [sys.executable, "-m", "minimax_magic", "doctor", *words],
            env=environ,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        with self._monkeypatch.context() as here:
            here.chdir(self.home)
            for name in [*os.environ]:
                here.delenv(name)
            for name, value in environ.items():
                here.setenv(name, value)
            code = main(["doctor", *words, "--json"])
        printed = self._printed.readouterr().out
        examined = Examined(run.returncode, run.stdout, json.loads(printed))
        assert run.stderr == ""
        assert examined.found["exit_code"] == examined.exit_code == code
        assert examined.found["ok"] == (examined.exit_code == 0)
        assert self.simulator.key not in run.stdout + printed
        return examined


@pytest.fixture
def takes_x_api_key() -> bool:
    """Whether the server takes the header that Aider sends; MiniMax's has done both."""
    return True


@pytest.fixture
def machine(
    takes_x_api_key: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Machine]:
    """One on which all is well, beside a simulator."""
    with Simulator(key=PLAN_KEY, accept_x_api_key=takes_x_api_key) as simulator:
        yield Machine(tmp_path, simulator, monkeypatch, capsys)


def named(examined: Examined, check: str, trouble: str) -> None:
    """That this check says what is wrong, and that a person reads causes and steps below it."""
    finding = examined.finding(check)
    assert finding["state"] in ("failed", "warning")
    assert finding["trouble"]["name"] == trouble
    assert finding["trouble"]["causes"]
    assert finding["trouble"]["steps"]
    for line in (finding["said"], *finding["trouble"]["causes"], *finding["trouble"]["steps"]):
        assert " ".join(line.split()) in examined.flowing


def test_when_all_is_well_the_expected_result_is_printed(machine: Machine) -> None:
    """Success looks as in the guide: the answer, its tokens, and that Aider can be started."""
    examined = machine.doctor()
    assert examined.exit_code == 0, examined.text
    for part in (
        "SUCCESS! API is working!",
        "Response from MiniMax-",
        "API test successful",
        "Token Usage:",
        "Your MiniMax API is ready for Aider!",
    ):
        assert part in examined.text
    counts = [
        int(re.search(rf"{kind} tokens: +([\d,]+)", examined.text)[1].replace(",", ""))  # type: ignore[index]
        for kind in ("Input", "Output", "Total")
    ]
    assert counts[0] + counts[1] == counts[2] > 0
    assert not {"failed", "warning"} & set(examined.states.values())
    assert examined.troubles == []
    assert machine.simulator.unknown_routes == []


def test_no_spend_asks_the_model_nothing(machine: Machine) -> None:
    """All but the answer is examined, and not a token was used."""
    examined = machine.doctor("--no-spend")
    assert examined.exit_code == 0, examined.text
    assert examined.states["completion"] == "skipped"
    assert examined.states["authentication"] == "ok"
    assert machine.simulator.served.requests == 0


def test_issue_key_not_set(machine: Machine) -> None:
    """ "ERROR: ANTHROPIC_API_KEY not set": no key anywhere, and nothing was sent."""
    examined = machine.doctor(MINIMAX_CODE_PLAN_KEY=None)
    assert examined.exit_code == 1
    named(examined, "credential", "key_missing")
    assert machine.simulator.served.requests == 0


def test_issue_401_unauthorized(machine: Machine) -> None:
    """ "401 Unauthorized": a wrong key is told by the check that spends nothing."""
    examined = machine.doctor(MINIMAX_CODE_PLAN_KEY="sk-cp-expired-long-ago-0003")
    assert examined.exit_code == 1
    named(examined, "authentication", "unauthorized")
    assert examined.states["completion"] == "skipped"
    assert "expired-long-ago" not in examined.text
    assert machine.simulator.served.requests == 0


def test_issue_403_forbidden(machine: Machine) -> None:
    """ "403 Forbidden": an account without a balance, and how to add credits."""
    machine.simulator.key = PAID_KEY
    machine.simulator.account.available_amount = "0"
    examined = machine.doctor(MINIMAX_CODE_PLAN_KEY=PAID_KEY)
    assert examined.exit_code == 1
    assert set(examined.troubles) == {"forbidden"}
    named(examined, next(c for c, s in examined.states.items() if s == "failed"), "forbidden")
    for part in ("$25", "2-3 minutes"):
        assert part in examined.flowing


def test_a_403_of_the_model_alone_names_the_balance(machine: Machine) -> None:
    """Where the balance cannot be read, 1008 of the answer itself says it."""
    machine.simulator.always = "[[error 1008]]"
    examined = machine.doctor()
    assert examined.exit_code == 1
    named(examined, "completion", "forbidden")
    assert examined.states["authentication"] == "ok"


def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(
    ("base_url", "check"),
    [(closed_port, "tcp"), (lambda: "https://api.minimax.invalid", "dns")],
    ids=["refused", "unknown"],
)
def test_issue_connection_error(machine: Machine, base_url: Callable[[], str], check: str) -> None:
    """ "Connection error": the step that fails is named, and what lies behind it is not asked."""
    examined = machine.doctor(MINIMAX_BASE_URL=base_url())
    assert examined.exit_code == 1
    named(examined, check, "unreachable")
    assert examined.troubles == ["unreachable"]
    assert examined.states["authentication"] == "skipped"
    for part in ("VPN", "firewall", "5-10 minutes"):
        assert part in examined.flowing


def test_wrong_base_url(machine: Machine) -> None:
    """A server without that route answers 404: the address that was asked is named, and a better one."""
    examined = machine.doctor(MINIMAX_BASE_URL=f"{machine.simulator.url}/proxy")
    assert examined.exit_code == 1
    assert "not_found" in examined.troubles
    assert "/proxy/" in examined.text
    # not the address again that has just failed
    assert f"Set base_url to {machine.simulator.url} alone" in examined.flowing
    assert machine.simulator.unknown_routes


def aider_variables(machine: Machine, **changed: str) -> dict[str, str]:
    """What the guide's script sets."""
    return {
        "ANTHROPIC_API_KEY": machine.simulator.key,
        "ANTHROPIC_BASE_URL": f"{machine.simulator.url}/anthropic",
        **changed,
    }


def test_issue_missing_model(machine: Machine) -> None:
    """Aider without a model: nothing fails here, so it is a warning, with the flag that is missing."""
    examined = machine.doctor("--for", "aider", "--no-spend", **aider_variables(machine))
    assert examined.exit_code == 3, examined.text
    named(examined, "program", "missing_model")
    assert "--model anthropic/MiniMax-M" in examined.text


def test_the_guides_working_configuration(machine: Machine) -> None:
    """Its two variables and its model: all is well, and Aider's own route was looked at."""
    variables = aider_variables(machine, AIDER_MODEL="anthropic/MiniMax-M2")
    examined = machine.doctor("--for", "aider", "--no-spend", **variables)
    assert examined.exit_code == 0, examined.text
    assert examined.states["program"] == "ok"
    assert machine.simulator.unknown_routes == []


@pytest.mark.parametrize(
    ("variable", "trouble"),
    [("ANTHROPIC_API_BASE", "base_url_conflict"), ("ANTHROPIC_BASE_URL", "wrong_wire")],
)
def test_issue_test_works_but_aider_fails(machine: Machine, variable: str, trouble: str) -> None:
    """The API answers, and Aider would ask for `/v1/v1/messages`: the variable at fault is named."""
    variables = aider_variables(machine, AIDER_MODEL="anthropic/MiniMax-M2")
    variables[variable] = f"{machine.simulator.url}/v1"
    examined = machine.doctor("--for", "aider", **variables)
    assert examined.exit_code in (1, 3), examined.text
    assert examined.states["completion"] == "ok"
    assert trouble in examined.troubles
    assert variable in examined.text
    assert "/v1/v1/messages" in examined.text
    assert f"{machine.simulator.url}/anthropic" in examined.text
    assert "ready for Aider" not in examined.text
    assert "POST /v1/v1/messages" in machine.simulator.unknown_routes


@pytest.mark.parametrize("takes_x_api_key", [False])
def test_a_server_that_wants_another_header(machine: Machine) -> None:
    """The key and both variables are right, and Aider still gets a 401: the header is named, and what
    sends the right one."""
    variables = aider_variables(machine, AIDER_MODEL="anthropic/MiniMax-M2")
    examined = machine.doctor("--for", "aider", "--no-spend", **variables)
    assert examined.exit_code == 1
    named(examined, "program", "unauthorized")
    assert examined.states["authentication"] == "ok"
    assert "x-api-key" in examined.finding("program")["said"]
    assert "python -m minimax_magic gateway" in examined.flowing
