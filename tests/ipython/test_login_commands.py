"""`%minimax login`, `logout`, `status`, `setup` in a real shell without a kernel, over HTTP to the
simulator. What is printed or logged in any of these tests is searched for secrets at its end."""

from __future__ import annotations

import asyncio
import builtins
import getpass
import json
import os
import signal
import stat
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minimax_magic.auth.bundle_file import BUNDLE_FILE
from minimax_magic.auth.sources import KEY_FILE, Credential, Login
from minimax_magic.errors import (
    ConfigError,
    CredentialInvalid,
    CredentialsMissing,
    LoginDenied,
    LoginExpired,
)
from minimax_magic.ipython.arguments import SUBCOMMANDS, Command, parse_command
from minimax_magic.ipython.cell_errors import CellError, CellInterrupted, LineError
from minimax_magic.ipython.login_commands import LoginCommands
from minimax_magic.session import Session
from minimax_magic.simulator import PORTAL_CLIENT_ID, Simulator
from minimax_magic.testing import FakeClock
from minimax_magic.widgets.view_models import LoginModel

KEY = "sk-cp-PLANTED-0123456789abcdefghijklmnop"
BUNDLE = Path("secrets") / BUNDLE_FILE
KEY_PATH = Path("secrets") / KEY_FILE
USERS_BUNDLE = Path("data/secrets") / BUNDLE_FILE


@pytest.fixture
def shell(shell: Any, sim: Simulator, caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """The shell, whose waits are jumped over; at the end nothing it said may hold a secret."""
    caplog.set_level("DEBUG")
    said: list[str] = []
    run_cell = shell.run

    def run(code: str) -> Any:
        ran = run_cell(code)
        said.append(f"{ran.out}\n{ran.error}\n{ran.error!r}")
        return ran

    shell.run = run
    shell.magics._session = Session(clock=FakeClock(time.time()))
    yield shell
    said += [f"{record.getMessage()} {record.exc_info}" for record in caplog.get_records("call")]
    secrets = {KEY, "sim-at-", "sim-rt-"}
    for request in sim.requests:
        if isinstance(request.body, dict):
            secrets |= {request.body.get(name, KEY) for name in ("code_verifier", "state")}
    assert not [secret for secret in secrets if secret in "\n".join(said)]


@pytest.fixture(autouse=True)
def _nobody_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks a question fails the test; nobody is there unless a test says so."""

    def asked(*args: object, **options: object) -> Any:
        raise AssertionError("a question was asked")

    monkeypatch.setattr(builtins, "input", asked)
    monkeypatch.setattr(getpass, "getpass", asked)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Somebody at a terminal; gives a function that sets what is typed as a key."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    def types(key: str | type[BaseException]) -> None:
        def answer(prompt: str) -> str:
            if isinstance(key, str):
                return key
            raise key

        monkeypatch.setattr(getpass, "getpass", answer)

    return types


def configure(text: str) -> None:
    Path("config/llm.yaml").write_text(f"providers: {{minimax: {{{text}}}}}\n")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def failed(ran: Any, kind: type[Exception]) -> str:
    """The one line of a cell that failed with one of our errors."""
    assert isinstance(ran.error, CellError)
    assert type(ran.error.error) is kind
    assert len(ran.lines) == 1
    return str(ran.lines[0])


def refused(ran: Any) -> str:
    """The one line of a cell whose line is wrong."""
    assert isinstance(ran.error, LineError)
    assert len(ran.lines) == 1
    return str(ran.lines[0])


def at_rest(shell: Any) -> bool:
    """Whether nothing of a login is left on the background loop."""

    async def look() -> bool:
        for _ in range(20):
            await asyncio.sleep(0)
        return len(asyncio.all_tasks()) == 1

    return bool(shell.magics.background.submit(look()).result(5))


def new_code(sim: Simulator) -> str:
    """Asks for a code as any client does."""
    form = {
        "response_type": "code",
        "client_id": PORTAL_CLIENT_ID,
        "scope": "profile",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
        "state": "s",
    }
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{sim.url}/oauth2/device/code", data, timeout=5) as answer:
        return str(json.load(answer)["user_code"])


def standing(sim: Simulator, user_code: str) -> str:
    code = sim.account.find(user_code)
    assert code is not None
    return sim.account.standing(code)


# ---------------------------------------------------------------------------------- what is typed


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("login", {}),
        ("  login  ", {}),
        ("login --text", {"--text": True}),
        ("login --key --region china", {"--key": True, "--region": "china"}),
        ("login --region=china --user", {"--user": True, "--region": "china"}),
        ("login --region 'china'", {"--region": "china"}),
        ("logout", {}),
        ("logout --yes", {"--yes": True}),
        ("status", {}),
        ("setup --force", {"--force": True}),
        ("simulator   off", {}),
        ("simulator approve", {}),
        ("simulator deny", {}),
    ],
)
def test_commands(line: str, options: dict[str, Any]) -> None:
    """A command stands alone on the line, or with options of its own."""
    command = parse_command(line)
    assert command is not None
    name = " ".join(word for word in line.split() if word in " ".join(SUBCOMMANDS).split())
    assert command == Command(name, options)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "login pages: how do they work",
        "login with an eye on risk-assessment-management-systems-of-the-year",
        "logout buttons --yes or no?",
        "status of the union",
        "status --yes",
        "setup a task-management-system",
        "simulator games",
        "simulator off or on?",
        "the login",
        f"what is {KEY}?",
    ],
)
def test_prompts_that_begin_like_commands(line: str) -> None:
    """Words behind a command's name make it a prompt."""
    assert parse_command(line) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("login --regoin china", "no option --regoin. Did you mean --region?"),
        ("login --yes", "%minimax login has no option --yes."),
        ("login --region", "--region needs a value: --region NAME."),
        ("login --region=", "--region needs a value"),
        ("login --region --key", "--region needs a value"),
        ("login --key=yes", "--key takes no value."),
        ("login --key china", "has no option china."),
        ("logout --force", "has no option --force. There are --yes."),
        ("setup --yes", "has no option --yes. There are --force."),
    ],
)
def test_wrong_commands(line: str, message: str) -> None:
    """A wrong option is a usage error of one line that names it."""
    with pytest.raises(LineError) as caught:
        parse_command(line)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", [KEY, "eyJhbGciOiJSUzI1NiJ9.eyJzdWIi.c2ln", "a1B2" * 12])
@pytest.mark.parametrize(
    "line",
    [
        "login {}",
        "login --key {}",
        "login --key={}",
        "login '{}'",
        'login "{}",',
        "login {} please",
        "login --key {} --region china",
        "login --region {}",
        "logout {}",
        "setup {} --force",
    ],
)
def test_a_key_in_the_cell_is_refused(shell: Any, sim: Simulator, line: str, key: str) -> None:
    """Wherever it stands: it is not sent, not repeated, and the person is told to replace it."""
    ran = shell.run(f"%minimax {line.format(key)}")
    said = refused(ran)
    assert "takes no key" in said
    assert "replace that key" in said
    assert key not in ran.out
    assert key not in str(ran.error)
    assert sim.requests == []


# ------------------------------------------------------------------------------ nobody is there


@pytest.mark.parametrize("line", ["login", "login --key", "login --text", "login --region china"])
def test_nobody_is_there(shell: Any, sim: Simulator, line: str) -> None:
    """Without a terminal nothing asks: one line says what to set, and nothing is sent."""
    said = failed(shell.run(f"%minimax {line}"), CredentialsMissing)
    assert "Nobody is there to sign in" in said
    assert "Set MINIMAX_API_KEY" in said
    assert f"secrets/{BUNDLE_FILE} then serves unattended runs too" in said
    assert sim.requests == []


def test_no_standard_input_at_all(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without stdin is one where nobody is there."""
    monkeypatch.setattr(sys, "stdin", None)
    failed(shell.run("%minimax login"), CredentialsMissing)


def test_a_broken_setting_is_one_line_there_too(shell: Any) -> None:
    """Also where nobody is there, an error in llm.yaml is said and no traceback shown."""
    Path("config/llm.yaml").write_text("providers: [")
    assert "config/llm.yaml" in failed(shell.run("%minimax login"), ConfigError)
    assert "config/llm.yaml" in failed(shell.run("%minimax logout"), ConfigError)
    assert "config/llm.yaml" in failed(shell.run("%minimax setup"), ConfigError)


# --------------------------------------------------------------------------------- at a terminal


def test_a_login_in_text(shell: Any, sim: Simulator, person: Any) -> None:
    """Where it goes and is kept, page and code, what goes on, then who and what; the next cell uses the
    login."""
    shell.magics._session = None  # waits for real, as a token that is renewed needs it
    sim.account.auto_approve_after_polls = 0
    ran = shell.run("%minimax login")
    assert ran.error is None
    announced, *lines = ran.lines
    host = sim.url.removeprefix("http://")
    assert announced == f"Signing in to {host}; kept in secrets/{BUNDLE_FILE}."
    assert lines[0].startswith(f"Open   {sim.url}/oauth-authorize?user_code=")
    user_code = lines[0].split("user_code=")[1][:9]
    assert lines[1] == f"and confirm the code   {user_code}"
    assert lines[2].startswith("It is good until ")
    assert lines[3:5] == [
        "Waiting for you to approve the sign-in.",
        "Approved; storing the login.",
    ]
    assert lines[5] == f"Signed in to {host}."
    assert [line.split()[0] for line in lines[6:-1]] == [
        "Region",
        "Token",
        "Server",
        "Plan",
        "Stored",
    ]
    assert lines[-1] == "You can run %%minimax now."
    assert mode(BUNDLE) == 0o600
    assert shell.run("%%minimax\nhi").error is None
    token = json.loads(BUNDLE.read_text())["access_token"]
    assert sim.requests[-1].headers["Authorization"] == f"Bearer {token}"


def test_a_login_for_all_notebooks(shell: Any, sim: Simulator, person: Any) -> None:
    """`--user` keeps it in the user's own folder."""
    sim.account.auto_approve_after_polls = 1
    ran = shell.run("%minimax login --user --text")
    assert ran.error is None
    assert str(USERS_BUNDLE) in ran.out
    assert USERS_BUNDLE.exists()
    assert not BUNDLE.exists()


def test_a_login_at_the_simulator(shell: Any, sim: Simulator, person: Any) -> None:
    """With the simulator on, that is where one signs in; the real folder stays as it is."""
    shell.run("%minimax simulator")
    shell.magics.session.simulator.account.auto_approve_after_polls = 1
    ran = shell.run("%minimax login")
    assert ran.lines[0] == "Signing in to the simulator; nothing is kept."
    assert "Signed in to the simulator." in ran.lines
    assert "`%minimax simulator off` goes back to MiniMax." in ran.out
    assert not BUNDLE.exists()
    assert sim.requests == []
    assert isinstance(shell.magics.session.credential(), Login)


def test_the_simulator_can_be_named(shell: Any, person: Any) -> None:
    """`--region simulator` starts it, and a key is checked there."""
    person("simulated-key")
    ran = shell.run("%minimax login --key --region simulator")
    assert "The API key for the simulator is ready." in ran.lines
    assert shell.magics.session.simulator is not None
    assert not KEY_PATH.exists()


@pytest.mark.parametrize(
    ("prepare", "kind", "said"),
    [
        ({"deny": True}, LoginDenied, "declined"),
        ({"code_lifetime_s": 20}, LoginExpired, "Nobody approved the sign-in within"),
    ],
)
def test_a_login_that_fails(
    shell: Any,
    sim: Simulator,
    person: Any,
    monkeypatch: pytest.MonkeyPatch,
    prepare: dict[str, Any],
    kind: type[Exception],
    said: str,
) -> None:
    """Declined or too late: one sentence at the end, nothing stored."""
    if prepare.pop("deny", False):
        monkeypatch.setattr(LoginCommands, "_say", _decide(sim.account.deny))
    for name, value in prepare.items():
        setattr(sim.account, name, value)
    ran = shell.run("%minimax login")
    assert isinstance(ran.error, CellError)
    assert type(ran.error.error) is kind
    assert said in ran.lines[-1]
    assert not BUNDLE.exists()


def _decide(decide: Callable[[], None]) -> Callable[[object], None]:
    """What a person does while the cell waits, once."""
    done: list[None] = []

    def say(commands: object) -> None:
        if not done:
            done.append(decide())

    return say


def test_a_stop_cancels_the_login(
    shell: Any, sim: Simulator, person: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends it with one line; nobody asks any more, and an approval comes too late."""
    monkeypatch.setattr(LoginCommands, "_say", lambda self: signal.raise_signal(signal.SIGINT))
    ran = shell.run("%minimax login")
    assert isinstance(ran.error, CellInterrupted)
    assert ran.lines[-1].startswith("Interrupted: it was cancelled")
    assert len(ran.lines) == 5  # where to, page, code, until when, and this
    assert at_rest(shell)
    polls = sim.account.polls
    sim.account.approve()
    assert at_rest(shell)
    assert sim.account.polls == polls
    assert not BUNDLE.exists()
    assert shell.run("%minimax status").error is None


# --------------------------------------------------------------------------------------- a key


def test_a_key_in_text(
    shell: Any, sim: Simulator, person: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for hidden, checked, stored for its owner alone."""
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")
    person(f" {sim.key}\n")
    ran = shell.run("%minimax login --key")
    assert ran.error is None
    host = sim.url.removeprefix("http://")
    assert ran.lines[:2] == [
        f"Signing in to {host}; kept in secrets/{KEY_FILE}.",
        f"The API key for {host} is ready.",
    ]
    assert ran.lines[-1] == "You can run %%minimax now."
    assert sim.key not in ran.out
    assert KEY_PATH.read_text().strip() == sim.key
    assert mode(KEY_PATH) == 0o600
    used = shell.magics.session.credential()
    assert isinstance(used, Credential)
    assert used.source == f"secrets/{KEY_FILE}"


def test_a_wrong_key_in_text(shell: Any, person: Any) -> None:
    """One line after where it went, in any mode of tracebacks; nothing stored, nothing repeated."""
    person(KEY)
    shell.run("%xmode Verbose")
    ran = shell.run("%minimax login --key")
    assert isinstance(ran.error, CellError)
    assert type(ran.error.error) is CredentialInvalid
    announced, said = ran.lines
    assert announced.startswith("Signing in to ")
    assert said.startswith("CredentialInvalid: ")
    shell.run("%tb")
    assert not KEY_PATH.exists()


def test_a_key_for_this_session(
    shell: Any, sim: Simulator, person: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--key --session` keeps it in memory, which is said before it is asked for; it is used at once."""
    monkeypatch.setenv("MINIMAX_CODE_PLAN_KEY", KEY)
    person(sim.key)
    ran = shell.run("%minimax login --key --session")
    assert ran.error is None
    host = sim.url.removeprefix("http://")
    assert ran.lines[0] == f"Signing in to {host}; kept in memory, until the kernel ends."
    assert ran.lines[-1] == "You can run %%minimax now."
    assert not KEY_PATH.exists()
    assert shell.magics.session.credential().source == "this session"
    assert shell.run("%%minimax\nhi").error is None


def test_a_key_that_is_not_used(
    shell: Any, sim: Simulator, person: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told to go on who would go on with another key than the one just entered."""
    monkeypatch.setenv("MINIMAX_CODE_PLAN_KEY", KEY)
    person(sim.key)
    ran = shell.run("%minimax login --key")
    assert ran.error is None
    assert "from environment MINIMAX_CODE_PLAN_KEY instead" in ran.lines[-1]
    assert "You can run" not in ran.out


@pytest.mark.parametrize("instead", [EOFError, KeyboardInterrupt])
def test_no_key_was_typed(
    shell: Any, sim: Simulator, person: Any, instead: type[BaseException]
) -> None:
    """Ctrl-C or Ctrl-D at the question ends it with one line; nothing is sent."""
    person(instead)
    ran = shell.run("%minimax login --key")
    assert isinstance(ran.error, CellInterrupted)
    assert ran.lines[1:] == ["Interrupted: no key was entered."]
    assert sim.requests == []


# -------------------------------------------------------------------------------------- choices


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("login --region mars", "--region is one of "),
        ("login --region https://evil.example", "Another server's address goes into"),
        ("login --key --user", "--user keeps a Token Plan login"),
        ("login --session", "it goes with --key."),
        ("login --session --region simulator", "it goes with --key."),
        ("login --tex", "Did you mean --text?"),
    ],
)
def test_wrong_choices(shell: Any, sim: Simulator, person: Any, line: str, message: str) -> None:
    """What cannot be is a usage error of one line, before anything is asked or sent."""
    assert message in refused(shell.run(f"%minimax {line}"))
    assert sim.requests == []


def test_a_configured_bundle_leaves_no_choice(
    shell: Any, person: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--user` against MINIMAX_BUNDLE is refused, and it is said why."""
    monkeypatch.setenv("MINIMAX_BUNDLE", "kept/mine.json")
    assert "MINIMAX_BUNDLE" in refused(shell.run("%minimax login --user"))


def test_the_configured_server_is_the_first_region(shell: Any, sim: Simulator, person: Any) -> None:
    """Named in the refusal of another, it is what is used without `--region`."""
    said = refused(shell.run("%minimax login --region mars"))
    assert f"one of {sim.url}, global, china, simulator, not 'mars'" in said


# --------------------------------------------------------------------------------------- logout


def log_in(shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        sim.account.auto_approve_after_polls = 0
        assert shell.run("%minimax login").error is None


def test_logging_out(shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only with `--yes`; then the file is gone, and the key of the environment is used again."""
    log_in(shell, sim, monkeypatch)
    before = BUNDLE.read_bytes()
    ran = shell.run("%minimax logout")
    assert ran.lines == [
        f"This removes secrets/{BUNDLE_FILE}. Run `%minimax logout --yes` to do it."
    ]
    assert BUNDLE.read_bytes() == before
    ran = shell.run("%minimax logout --yes")
    assert ran.error is None
    assert ran.lines[0].startswith(f"secrets/{BUNDLE_FILE} is deleted.")
    assert not BUNDLE.exists()
    assert shell.run("%minimax logout --yes").lines == [
        "There is no login to remove. In use now: the API key from environment MINIMAX_CODE_PLAN_KEY."
    ]
    assert isinstance(shell.magics.session.credential(), Credential)


def test_logging_out_names_all_that_it_removes(
    shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login and a key of the session are both named before, and both gone after."""
    from pydantic import SecretStr

    log_in(shell, sim, monkeypatch)
    shell.magics.session.world.session_key = SecretStr(KEY)
    said = f"This removes secrets/{BUNDLE_FILE} and the API key of this session."
    assert said in shell.run("%minimax logout").out
    assert len(shell.run("%minimax logout --yes").lines) == 2
    shell.magics.session.world.session_key = SecretStr(KEY)
    assert "This removes the API key of this session." in shell.run("%minimax logout").out
    assert shell.run("%minimax logout --yes").lines == ["The API key of this session is forgotten."]


def test_nothing_to_log_out_of(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any credential nothing is said of one."""
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")
    assert shell.run("%minimax logout").lines == ["There is no login to remove."]


def test_a_damaged_login_can_be_removed(shell: Any) -> None:
    """Cells and status name the file; logging out of it works."""
    BUNDLE.write_text('{"access_token": "sim-at-')
    assert BUNDLE_FILE in failed(shell.run("%minimax hi"), ConfigError)
    assert shell.run("%minimax logout --yes").error is None
    assert not BUNDLE.exists()


# --------------------------------------------------------------------------------------- status


def marked(ran: Any) -> list[str]:
    """The places that the status marks as used."""
    return [line.split("->")[1].strip() for line in ran.lines if "->" in line]


def test_the_status_without_a_credential(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no failed cell; it says what to do and where was looked, in that order."""
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")
    ran = shell.run("%minimax status")
    assert ran.error is None
    assert "No MiniMax login and no API key was found. Run `%minimax login`" in ran.out
    assert marked(ran) == []
    places = [
        f"secrets/{BUNDLE_FILE}",
        "secrets/minimax_portal.json",
        "environment MINIMAX_CODE_PLAN_KEY",
        "environment MINIMAX_CODING_API_KEY",
        f"secrets/{KEY_FILE}",
        "environment MINIMAX_API_KEY",
    ]
    found = [line.split("  ")[0] for line in map(str.strip, ran.lines)]
    assert [name for name in found if name in places] == places
    assert "MINIMAX_BASE_URL" in ran.out


def test_the_status_of_a_key(shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Model, server, wire, where the key is from; a key is masked, and those behind it are told."""
    monkeypatch.setenv("MINIMAX_CODE_PLAN_KEY", KEY)
    KEY_PATH.write_text("another-secret-key")
    ran = shell.run("%minimax status")
    rows = dict(line.strip().split(None, 1) for line in ran.lines if not line.startswith("   "))
    assert rows["Model"] == "MiniMax-M2.5"
    assert rows["Server"] == sim.url
    assert rows["Wire"] == "openai_compat"
    assert rows["Credential"] == "API key sk-cp-... from environment MINIMAX_CODE_PLAN_KEY"
    assert rows["base_url"] == f"{sim.url} (environment MINIMAX_BASE_URL)"
    assert [line.split()[:2] for line in marked(ran)] == [["environment", "MINIMAX_CODE_PLAN_KEY"]]
    assert "another" not in ran.out
    assert sim.requests == []


def test_the_status_of_a_login(shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Region, end of the token, the wire of the login's server; nothing is sent."""
    log_in(shell, sim, monkeypatch)
    before = len(sim.requests)
    ran = shell.run("%minimax status")
    assert "Region" in ran.out
    assert f"({sim.url})" in ran.out
    assert f"Token until  {time.strftime('%Y-')}" in ran.out
    assert "anthropic_messages" in ran.out
    (used,) = marked(ran)
    assert used.startswith(f"secrets/{BUNDLE_FILE} ")
    assert "token valid for 1" in used
    assert len(sim.requests) == before


def test_the_status_of_a_damaged_login(shell: Any) -> None:
    """The file is named with what to do; no other credential is marked in its stead."""
    BUNDLE.write_text('{"access_token": "sim-at-secret", "expires_at": "soon"}')
    ran = shell.run("%minimax status")
    assert ran.error is None
    assert f"secrets/{BUNDLE_FILE}" in ran.out
    assert "log in again with `%minimax login`" in ran.out
    assert marked(ran) == []


def test_the_status_of_a_login_for_another_server(
    shell: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login is passed over and says why; a key behind it is used, or it is the problem."""
    log_in(shell, sim, monkeypatch)
    monkeypatch.setenv("MINIMAX_BASE_URL", "https://api.minimax.io")
    ran = shell.run("%minimax status")
    assert f"The login is for {sim.url.removeprefix('http://')}, but base_url" in ran.out
    assert [line.split()[1] for line in marked(ran)] == ["MINIMAX_CODE_PLAN_KEY"]
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")
    ran = shell.run("%minimax status")
    assert "Remove base_url, or log in for that server" in ran.out
    assert marked(ran) == []


# ------------------------------------------------------------------------------- setup, simulator


def test_setting_up_unattended(shell: Any, configured: Path) -> None:
    """Both files are written with the defaults and nothing is asked; a second run leaves them."""
    ran = shell.run("%minimax setup")
    assert ran.error is None
    assert ran.lines[:2] == ["config/llm.yaml: written.", "config/agents.d/ana.yaml: written."]
    settings = Path("config/llm.yaml")
    assert settings.read_text().startswith("#")
    settings.write_text("# mine\n")
    ran = shell.run("%minimax setup")
    assert settings.read_text() == "# mine\n"
    assert "run it with --force" in ran.out
    assert shell.run("%minimax setup --force").error is None
    assert settings.read_text() != "# mine\n"


def test_setting_up_with_a_person(shell: Any, person: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal the questions are asked; Ctrl-C at one of them writes nothing."""
    answers = iter(["china", "", "bert", "-"])
    monkeypatch.setattr(builtins, "input", lambda prompt: next(answers))
    assert shell.run("%minimax setup").error is None
    assert "api.minimaxi.com" in Path("config/llm.yaml").read_text()
    assert Path("config/agents.d/bert.yaml").exists()
    os.unlink("config/llm.yaml")

    def stop(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(builtins, "input", stop)
    ran = shell.run("%minimax setup")
    assert ran.error is None
    assert ran.lines[-1] == "Nothing was written."
    assert not Path("config/llm.yaml").exists()


@pytest.mark.parametrize(
    ("command", "said", "outcome"),
    [("approve", "Approved.", "approved"), ("deny", "Denied.", "denied")],
)
def test_deciding_without_a_browser(shell: Any, command: str, said: str, outcome: str) -> None:
    """`%minimax simulator approve` and `deny` do what the buttons of the page do, once."""
    assert "no sign-in waits" in refused(shell.run(f"%minimax simulator {command}"))
    shell.run("%minimax simulator")
    own = shell.magics.session.simulator
    assert "no sign-in waits" in refused(shell.run(f"%minimax simulator {command}"))
    code = new_code(own)
    assert shell.run(f"%minimax simulator {command}").lines == [said]
    assert standing(own, code) == outcome
    assert "no sign-in waits" in refused(shell.run(f"%minimax simulator {command}"))


class Panel:
    """What `%minimax login` shows in a notebook, without its widgets."""

    def __init__(self, shell: Any, region: str) -> None:
        shell.magics._session = None  # a clock that waits for real
        logins = shell.magics.logins
        self.model = logins._model = LoginModel(logins._sign_in)
        self.model.choose(region=region)
        shell.magics.background.submit(self.model.sign_in())
        self.wait_for("waiting")

    def wait_for(self, phase: str) -> None:
        end = time.monotonic() + 5
        while self.model.phase != phase:
            assert time.monotonic() < end, (self.model.phase, self.model.error)
            time.sleep(0.01)


def test_the_simulators_end_is_that_of_its_login(shell: Any) -> None:
    """A panel that waits at the simulator is cancelled when that goes off, not left to ask a server
    that is gone."""
    panel = Panel(shell, "simulator")
    shell.run("%minimax simulator off")
    panel.wait_for("choose")
    assert panel.model.status == "Cancelled."
    assert at_rest(shell)


def test_the_simulators_end_leaves_other_logins(shell: Any, sim: Simulator) -> None:
    """A panel that waits elsewhere goes on waiting, and its login is used after all."""
    panel = Panel(shell, sim.url)
    shell.run("%minimax simulator")
    shell.run("%minimax simulator off")
    assert not at_rest(shell)
    assert panel.model.phase == "waiting"
    shell.magics.logins.stop_waiting()
    panel.wait_for("choose")
