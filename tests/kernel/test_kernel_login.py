"""The login panel in a real kernel, whose front end is played here: comm messages in both directions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernels import Kernel

from minimax_magic.simulator import Reply, Simulator

pytestmark = pytest.mark.kernel

KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"


class Panel:
    """What a front end knows of a panel: its widgets by name, and what the card was told to show."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        first = len(kernel.seen)
        result = kernel.finish(kernel.start("%minimax login", stdin=True))
        assert result.error is None, result.outputs
        self.result = result
        self.states: dict[str, dict[str, Any]] = {}
        for _, message in kernel.seen[first:]:
            if message["msg_type"] == "comm_open":
                content = message["content"]
                self.states[content["comm_id"]] = content["data"]["state"]

    def find(self, **wanted: str) -> str:
        """The comm id of the widget with these traits."""
        (found,) = [
            comm_id
            for comm_id, state in self.states.items()
            if all(state.get(name) == value for name, value in wanted.items())
        ]
        return found

    def press(self, description: str) -> None:
        comm_id = self.find(_model_name="ButtonModel", description=description)
        self.kernel.comm_msg(comm_id, {"method": "custom", "content": {"event": "click"}})

    def show_again(self) -> dict[str, Any]:
        """What the card answers when a page asks, as after every reload."""
        (card,) = [i for i, s in self.states.items() if "expires_in_s" in s.get("_esm", "")]
        self.kernel.comm_msg(card, {"method": "custom", "content": {"kind": "ready"}})
        return shown(self.kernel.watch(lambda message: bool(shown(message))))

    def enter(self, key: str) -> None:
        (field,) = [i for i, s in self.states.items() if "password" in s.get("_esm", "")]
        content = {"method": "custom", "content": {"kind": "key"}}
        self.kernel.comm_msg(field, content, key.encode())

    def choose(self, **wanted: str) -> None:
        """Sets the index of the radio buttons of that description to the label."""
        for description, label in wanted.items():
            for comm_id, state in self.states.items():
                labels = state.get("_options_labels", [])
                fitting = [i for i, text in enumerate(labels) if text.startswith(label)]
                if state.get("description") == description.replace("_", " ") and fitting:
                    data = {"method": "update", "state": {"index": fitting[0]}, "buffer_paths": []}
                    self.kernel.comm_msg(comm_id, data)

    def wait_phase(self, phase: str) -> dict[str, Any]:
        """What the card shows once it is there."""

        def shows(message: dict[str, Any]) -> bool:
            return shown(message).get("phase") == phase

        return shown(self.kernel.watch(shows))


def shown(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"].get("data", {}) if message["msg_type"] == "comm_msg" else {}
    custom = content.get("content") if content.get("method") == "custom" else None
    return custom if isinstance(custom, dict) and custom.get("kind") == "show" else {}


@pytest.fixture(autouse=True)
def no_login(environment: dict[str, str], sim: Simulator) -> Iterator[Path]:
    """The folder of secrets, empty before and after."""
    folder = Path(environment["MINIMAX_SECRETS_DIR"])
    lifetime_s = sim.account.code_lifetime_s
    yield folder
    sim.account.code_lifetime_s = lifetime_s
    shutil.rmtree(folder)
    folder.mkdir()


def test_login_use_and_logout(kernel: Kernel, sim: Simulator, no_login: Path) -> None:
    """The cell returns at once, other cells run while the login waits, and after the approval requests
    are made with the token, until the logout."""
    panel = Panel(kernel)
    assert panel.result.seconds < 10
    assert "%minimax login --text" in panel.result.text()
    panel.press("Sign in")
    waiting = panel.wait_phase("waiting")
    assert waiting["user_code"]
    assert waiting["address"].startswith(f"{sim.url}/oauth-authorize?")
    assert kernel.value("6 * 7") == 42
    sim.account.approve()
    done = panel.wait_phase("done")
    facts = dict(done["facts"])
    assert facts["Token"] == "valid for 15 minutes, renewed by itself"
    assert "100 % left" in facts["Plan"]
    assert facts["Server"] == f"{sim.url}/anthropic"
    assert (no_login / "minimax_token_plan.json").stat().st_mode & 0o777 == 0o600

    sim.script(Reply(text="hello"))
    assert "hello" in kernel.run("%%minimax\nhi").text()
    request = sim.requests[-1]
    assert request.path == "/anthropic/v1/messages"
    assert request.headers["Authorization"].startswith("Bearer sim-at-")
    status = kernel.run("%minimax status").text()
    assert "Token Plan login" in status
    assert "sim-" not in status

    assert "logout --yes" in kernel.run("%minimax logout").text()
    assert (no_login / "minimax_token_plan.json").exists()
    assert "In use now: the login in" in Panel(kernel).show_again()["status"]
    kernel.run("%minimax logout --yes")
    assert not (no_login / "minimax_token_plan.json").exists()
    sim.script(Reply(text="by key"))
    assert "by key" in kernel.run("%%minimax\nhi").text()
    assert sim.requests[-1].headers["Authorization"] == f"Bearer {sim.key}"


def test_a_401_in_the_middle(kernel: Kernel, sim: Simulator) -> None:
    """A token that the server no longer takes is renewed once, unseen by the cell."""
    panel = Panel(kernel)
    panel.press("Sign in")
    panel.wait_phase("waiting")
    sim.account.approve()
    panel.wait_phase("done")
    sim.account.expire_access_tokens()
    sim.script(Reply(text="renewed"))
    assert "renewed" in kernel.run("%%minimax\nhi").text()
    assert sim.account.refreshes == 1
    sim.account.revoke_all()
    result = kernel.run("%%minimax\nhi")
    assert result.error is not None
    assert "%minimax login" in result.error["evalue"]


def test_denied(kernel: Kernel, sim: Simulator, no_login: Path) -> None:
    """No on the consent page ends the attempt with a sentence, and it can be tried again."""
    panel = Panel(kernel)
    panel.press("Sign in")
    panel.wait_phase("waiting")
    sim.account.deny()
    failed = panel.wait_phase("failed")
    assert "declined" in failed["error"]
    assert "user_code" not in failed
    assert not (no_login / "minimax_token_plan.json").exists()
    panel.press("Try again")
    panel.wait_phase("choose")
    panel.press("Sign in")
    assert panel.wait_phase("waiting")["user_code"]
    panel.press("Cancel")
    assert "Cancelled" in panel.wait_phase("choose")["status"]


def test_expired(kernel: Kernel, sim: Simulator, no_login: Path) -> None:
    """A code that nobody approves in time ends the attempt with a sentence."""
    sim.account.code_lifetime_s = 3
    panel = Panel(kernel)
    panel.press("Sign in")
    panel.wait_phase("waiting")
    failed = panel.wait_phase("failed")
    assert "Get a new" in failed["error"]
    assert not (no_login / "minimax_token_plan.json").exists()


def test_a_second_panel_ends_the_first(kernel: Kernel, sim: Simulator) -> None:
    """Whoever runs `%minimax login` again has one login going on, not two."""
    first = Panel(kernel)
    first.press("Sign in")
    early = first.wait_phase("waiting")["user_code"]
    second = Panel(kernel)
    second.press("Sign in")
    late = second.wait_phase("waiting")["user_code"]
    sim.account.approve(early)  # too late: nobody asks for it any more
    sim.account.approve(late)
    second.wait_phase("done")
    assert sim.account.find(early).decision == "approved", "the first panel took its tokens"


def test_headless(kernel: Kernel) -> None:
    """Where nobody can answer there is no panel and no question: one line says what to set."""
    result = kernel.run("%minimax login")
    assert result.error is not None
    assert "MINIMAX_API_KEY" in result.error["evalue"]
    assert not result.displays


def test_nothing_of_a_login_leaks(kernel: Kernel, sim: Simulator, no_login: Path) -> None:
    """Neither tokens nor the typed key are in any message, widget state, log, history or output."""
    kernel.run(
        "import io, logging\n"
        "log_text = io.StringIO()\n"
        "logging.basicConfig(level=logging.DEBUG, stream=log_text, force=True)"
    )
    panel = Panel(kernel)
    panel.press("Sign in")
    code = panel.wait_phase("waiting")["user_code"]
    sim.account.approve()
    panel.wait_phase("done")
    sim.account.expire_access_tokens()
    kernel.run("%%minimax\nhi")
    kernel.run("%xmode Verbose")
    sim.account.revoke_all()
    assert kernel.run("%%minimax\nhi").error is not None
    kernel.run("%minimax logout --yes")

    again = Panel(kernel)
    again.enter(KEY)
    assert KEY not in again.wait_phase("failed")["error"]
    sim.key = KEY
    third = Panel(kernel)
    third.choose(Keep_it_in="This project")
    third.enter(KEY)
    third.wait_phase("done")
    path = no_login / "minimax_code_plan_key.txt"
    assert path.read_text().strip() == KEY
    assert path.stat().st_mode & 0o777 == 0o600
    for cell in ("%minimax status", "%minimax", "%history", "%%minimax\nhi"):
        kernel.run(cell)
    kernel.run("import ipywidgets, IPython")
    state = kernel.value("str(ipywidgets.Widget.get_manager_state())")
    logs = kernel.value("log_text.getvalue()")
    parent = kernel.value("str(get_ipython().kernel.get_parent())")
    # the code is shown in messages, which is what it is for; the state that is saved must not have it
    assert code not in state + logs
    everything = json.dumps([message for _, message in kernel.seen], default=str)
    for secret in ("sim-at-", "sim-rt-", KEY, "code_verifier="):
        for what, text in (("log", logs), ("state", state), ("parent", parent)):
            assert secret not in text, f"{secret} in the {what}"
        assert secret not in everything, f"{secret} in a message"
