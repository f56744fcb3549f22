"""Signing in and out as programs, the panel and the text commands do it, over HTTP to the simulator."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr
from sign_in_desk import BUNDLE, KEY, Desk, configure, facts_of, run

import minimax_magic
from minimax_magic import MiniMax
from minimax_magic.auth.bundle_file import BUNDLE_FILE
from minimax_magic.auth.oauth import DeviceCode
from minimax_magic.auth.sources import KEY_FILE, Credential, Login, LoginElsewhere
from minimax_magic.errors import (
    APIConnectionError,
    ConfigError,
    CredentialInvalid,
    CredentialsMissing,
    LoginDenied,
    LoginExpired,
)
from minimax_magic.session import Session
from minimax_magic.sign_in import SIMULATOR, login
from minimax_magic.simulator import Simulator
from minimax_magic.testing import FakeClock, FakeTransport, json_answer

T = TypeVar("T")
KEY_PATH = Path("secrets") / KEY_FILE
USERS_BUNDLE = Path("data/secrets") / BUNDLE_FILE
IGNORED = {".gitignore", f".{BUNDLE_FILE}.lock"}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def left_in(folder: str) -> set[str]:
    """What a folder of secrets holds besides what git and locks need."""
    return {path.name for path in Path(folder).rglob("*") if path.is_file()} - IGNORED


@pytest.fixture
def sim(caplog: pytest.LogCaptureFixture) -> Iterator[Simulator]:
    """A server; afterwards no log, at any level, may hold a secret."""
    caplog.set_level("DEBUG")
    with Simulator() as simulator:
        yield simulator
        secrets = ["sim-at-", "sim-rt-", KEY]
        for request in simulator.requests:
            if isinstance(request.body, dict):
                secrets += [
                    request.body[name]
                    for name in ("code_verifier", "state")
                    if name in request.body
                ]
    logged = "\n".join(f"{r.getMessage()} {r.exc_info}" for r in caplog.get_records("call"))
    assert not [secret for secret in secrets if secret in logged]


@pytest.fixture
def desk(env: Callable[..., None]) -> Iterator[Desk]:
    made = Desk()
    yield made
    made.stop()


@pytest.fixture
def server(env: Callable[..., None], sim: Simulator) -> Simulator:
    """The simulator as the configured server: for the session it is a real one."""
    env(base_url=sim.url)
    return sim


# ------------------------------------------------------------------------------------- choices


def test_the_regions(desk: Desk) -> None:
    """Without configuration: the world, China, and the simulator last."""
    assert [(c.value, c.label, c.hint) for c in desk.sign_in.regions()] == [
        ("global", "Global", "api.minimax.io"),
        ("china", "China", "api.minimaxi.com"),
        ("simulator", "Simulator", "on this machine, to try it; keeps nothing"),
    ]


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ("auth: {region: china}", "china"),
        ("auth: {region: Global}", "global"),
        ("base_url: https://api.minimaxi.com/anthropic", "china"),
        ("base_url: https://api.minimax.io/v1", "global"),
        ("base_url: https://api.minimax.io, auth: {region: china}", "china"),
    ],
)
def test_a_configured_region_comes_first(desk: Desk, settings: str, first: str) -> None:
    """`auth.region` goes before base_url, and a known host is called by its region's name."""
    configure(settings)
    values = [choice.value for choice in desk.sign_in.regions()]
    assert values[0] == first
    assert sorted(values) == ["china", "global", "simulator"]


def test_another_server_is_a_region_of_its_own(desk: Desk) -> None:
    """A gateway, or a host of China that has no name of its own, is offered by its address."""
    configure("base_url: https://gateway.example/minimax/v1")
    first, *others = desk.sign_in.regions()
    assert (first.value, first.hint) == ("https://gateway.example/minimax", "gateway.example")
    assert [choice.value for choice in others] == ["global", "china", "simulator"]
    configure("base_url: https://api.minimax.cn")
    first = desk.sign_in.regions()[0]
    assert (first.value, first.label, first.hint) == (
        "https://api.minimax.cn",
        "China",
        "api.minimax.cn",
    )


def test_a_running_simulator_comes_first(desk: Desk) -> None:
    """Whoever has the simulator on most likely wants to sign in there, whatever is configured."""
    configure("auth: {region: china}")
    desk.start()
    values = [choice.value for choice in desk.sign_in.regions()]
    assert values == ["simulator", "global", "china"]


def test_an_unusable_region_is_an_error_of_ours(desk: Desk) -> None:
    """A region in llm.yaml that is no address is said to be none."""
    configure("auth: {region: 'http://elsewhere.example'}")
    with pytest.raises(ConfigError, match="region"):
        desk.sign_in.regions()


def test_the_places(desk: Desk, env: Callable[..., None], tmp_path: Path) -> None:
    """A login is kept for the project or the user, a key for the project or not at all; a configured
    bundle leaves no choice. Real folders are named although the simulator is on."""
    for _ in range(2):
        assert [(c.value, c.hint) for c in desk.sign_in.places("plan")] == [
            ("project", f"secrets/{BUNDLE_FILE}"),
            ("user", f"{tmp_path}/data/secrets"),
        ]
        assert [(c.value, c.hint) for c in desk.sign_in.places("key")] == [
            ("project", f"secrets/{KEY_FILE}"),
            ("session", "in memory, until the kernel ends"),
        ]
        desk.start()
    desk.stop()
    env(bundle="kept/mine.json")
    assert [(c.value, c.hint) for c in desk.sign_in.places("plan")] == [
        ("project", "kept/mine.json")
    ]


# --------------------------------------------------------------------------------- for programs


def test_a_program_signs_in(env: Callable[..., None], sim: Simulator) -> None:
    """`minimax_magic.login` shows the code, waits for the approval, stores the bundle and gives it."""
    codes: list[DeviceCode] = []

    def show(code: DeviceCode) -> None:
        codes.append(code)
        threading.Thread(target=sim.account.approve, args=(code.user_code,)).start()

    states: list[str] = []
    bundle = run(
        minimax_magic.login(
            sim.url,
            bundle="kept/mine.json",
            on_code=show,
            on_state=states.append,
            clock=FakeClock(time.time()),
        )
    )
    (code,) = codes
    assert code.verification_uri.startswith(f"{sim.url}/oauth-authorize?user_code=")
    assert states[-1] == "Approved; storing the login."
    stored = json.loads(Path("kept/mine.json").read_text())
    assert stored["access_token"] == bundle.access_token.get_secret_value()
    assert stored["region"] == sim.url
    assert stored["expires_at"].endswith("Z")
    assert mode(Path("kept/mine.json")) == 0o600
    assert mode(Path("kept")) == 0o700
    assert not BUNDLE.exists()

    async def use() -> None:
        async with MiniMax(bundle="kept/mine.json") as client:
            await client.chat("hi")

    run(use())
    assert sim.requests[-1].headers["Authorization"].startswith("Bearer sim-at-")


def test_a_program_need_say_nothing(
    env: Callable[..., None], sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a place the bundle is where the magics look; without `on_code` page and code are
    printed, and nothing secret is."""
    sim.account.auto_approve_after_polls = 1
    run(login(sim.url, clock=FakeClock(time.time())))
    assert BUNDLE.exists()
    out = capsys.readouterr().out
    assert f"Open {sim.url}/oauth-authorize?user_code=" in out
    assert "confirm the code" in out
    assert "sim-" not in out
    assert isinstance(Session().credential(), Login)


def test_a_program_waits_no_longer_than_it_wants(env: Callable[..., None], sim: Simulator) -> None:
    """After `timeout_s` without a decision the login is over, and nothing is stored."""
    clock = FakeClock(time.time())
    with pytest.raises(LoginExpired, match="within 7 seconds"):
        run(login(sim.url, on_code=lambda code: None, timeout_s=7, clock=clock))
    assert sum(clock.slept) == 7
    assert left_in("secrets") == set()
    sim.account.code_lifetime_s = 60
    with pytest.raises(LoginExpired):  # the code's own end comes first
        run(login(sim.url, on_code=lambda code: None, clock=clock))
    assert sum(clock.slept) <= 7 + 61


def test_a_program_is_told_of_a_no(env: Callable[..., None], sim: Simulator) -> None:
    """A person who declines ends the login at once."""
    with pytest.raises(LoginDenied):
        run(
            login(
                sim.url,
                on_code=lambda code: sim.account.deny(code.user_code),
                clock=FakeClock(time.time()),
            )
        )
    assert left_in("secrets") == set()


def test_the_transport_is_closed_in_any_case(env: Callable[..., None]) -> None:
    """Also where there is no code to be had."""
    transport = FakeTransport(APIConnectionError("no network"))
    with pytest.raises(APIConnectionError):
        run(login("global", "x/bundle.json", transport=transport, clock=FakeClock()))
    assert transport.closed


# ------------------------------------------------------------------------- with a plan, in steps


def test_signing_in_with_a_plan(desk: Desk, server: Simulator) -> None:
    """Region, token lifetime, server and plan are told; the bundle is for its owner alone, and the
    next cell uses it."""
    server.account.remaining_percent = 64
    done = desk.plan(server.url, server=server)
    host = server.url.removeprefix("http://")
    assert done.title == f"Signed in to {host}"
    facts = facts_of(done)
    assert list(facts) == ["Region", "Token", "Server", "Plan", "Stored in"]
    assert facts["Region"] == host
    assert facts["Token"] in (
        "valid for 15 minutes, renewed by itself",
        "valid for 14 minutes, renewed by itself",
    )
    assert facts["Server"] == f"{server.url}/anthropic"
    assert facts["Plan"].startswith("Token Plan Plus (simulated): ")
    assert "hours 64 % left, week 100 % left" in facts["Plan"]
    assert facts["Stored in"] == f"secrets/{BUNDLE_FILE}"
    assert done.note == ""
    assert desk.states == [
        "Waiting for you to approve the sign-in.",
        "Approved; storing the login.",
    ]
    assert (mode(BUNDLE), mode(BUNDLE.parent)) == (0o600, 0o700)
    assert (BUNDLE.parent / ".gitignore").read_text().split() == ["*"]
    used = desk.session.credential()
    assert isinstance(used, Login)
    assert used.file.path == BUNDLE.absolute()
    desk.ask()
    assert server.requests[-1].path.endswith("/anthropic/v1/messages")
    stored = json.loads(BUNDLE.read_text())
    assert server.requests[-1].headers["Authorization"] == f"Bearer {stored['access_token']}"


def test_a_login_for_all_notebooks(desk: Desk, server: Simulator) -> None:
    """Kept for the user, it is found by a session in another folder."""
    done = desk.plan(server.url, "user", server=server)
    assert (mode(USERS_BUNDLE), mode(USERS_BUNDLE.parent)) == (0o600, 0o700)
    assert left_in("secrets") == set()
    assert facts_of(done)["Stored in"].endswith(str(USERS_BUNDLE))
    assert done.note == ""
    os.chdir("config")
    assert isinstance(Session().credential(), Login)


def test_a_configured_bundle_is_where_it_goes(
    desk: Desk, server: Simulator, env: Callable[..., None]
) -> None:
    """With `auth.bundle` set there is one place, whatever was chosen."""
    env(bundle="kept/mine.json")
    done = desk.plan(server.url, "user", server=server)
    assert facts_of(done)["Stored in"] == "kept/mine.json"
    assert not USERS_BUNDLE.exists()
    assert isinstance(desk.session.credential(), Login)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, "down"),
        (200, "<html>log in</html>"),
        (200, {"base_resp": {"status_code": 1004, "status_msg": "cookie is missing"}}),
        (200, {"model_remains": 10**400}),
    ],
)
def test_an_unreadable_quota_is_left_out(
    desk: Desk, server: Simulator, status: int, body: Any
) -> None:
    """The login is good all the same."""
    server.account.scripted(status, body, to="remains")
    server.account.scripted(status, body, to="remains")  # at the older address, too
    facts = facts_of(desk.plan(server.url, server=server))
    assert "Plan" not in facts
    assert facts["Server"] == f"{server.url}/anthropic"
    assert isinstance(desk.session.credential(), Login)


def test_a_no_and_an_end_store_nothing(desk: Desk, server: Simulator) -> None:
    """Declined or expired, everything is as before, an earlier login included."""
    desk.plan(server.url, server=server)
    before = BUNDLE.read_bytes()
    with pytest.raises(LoginDenied):
        desk.plan(server.url, decide=lambda s: s.account.deny(), server=server)
    server.account.code_lifetime_s = 10
    with pytest.raises(LoginExpired):
        desk.plan(server.url, decide=lambda s: None, server=server)
    assert BUNDLE.read_bytes() == before
    assert left_in("secrets") == {BUNDLE_FILE}


def test_a_folder_that_cannot_be_written_is_said_before_anybody_approves(
    desk: Desk, server: Simulator
) -> None:
    """No code is asked for if the bundle could not be stored."""
    Path("secrets").rmdir()
    Path("secrets").write_text("a file")
    with pytest.raises(ConfigError, match="secrets"):
        desk.plan(server.url, server=server)
    assert server.account.codes_issued == 0


def test_a_new_login_replaces_a_key_of_the_session(desk: Desk, server: Simulator) -> None:
    """What was signed in with last is what is used, not a key that was entered before."""
    desk.key(server.key, server.url, "session")
    desk.plan(server.url, server=server)
    assert desk.session.world.session_key is None
    assert isinstance(desk.session.credential(), Login)


def test_the_reprs_of_a_pending_login_tell_nothing(desk: Desk, server: Simulator) -> None:
    """Neither code nor proof is in the repr of what waits."""

    async def whole() -> Any:
        return await desk.sign_in.begin(server.url, "project")

    pending = desk.run(whole())
    shown = repr(pending) + repr(vars(desk.sign_in))
    asked = server.requests[0].body
    assert pending.code.user_code not in shown
    assert asked["state"] not in shown


# ------------------------------------------------------------------------------- at the simulator


def test_the_simulator_never_meets_anything_real(
    desk: Desk, env: Callable[..., None], sim: Simulator
) -> None:
    """A login at the simulator writes into no real folder and sends no real key, and needs none."""
    env(code_plan_key=KEY, coding_api_key=KEY, api_key=KEY)
    KEY_PATH.write_text(KEY)
    done = desk.plan(SIMULATOR)
    own = desk.own
    assert own is not None
    assert done.title == "Signed in to the simulator"
    assert facts_of(done)["Region"].startswith("Simulator (127.0.0.1:")
    assert facts_of(done)["Stored in"] == "a temporary folder, for this session"
    assert "made up" in done.note
    used = desk.session.credential()
    assert isinstance(used, Login)
    assert mode(used.file.path) == 0o600
    assert left_in(".") == {KEY_FILE}
    desk.key(own.key, SIMULATOR, "project")
    assert KEY_PATH.read_text() == KEY
    assert left_in(".") == {KEY_FILE}
    assert own.requests
    assert KEY not in "".join(f"{dict(r.headers)} {r.body} {r.query}" for r in own.requests)
    desk.stop()
    real = desk.session.credential()
    assert isinstance(real, Credential)
    assert real.source == "environment MINIMAX_CODE_PLAN_KEY"


def test_a_real_region_ends_the_use_of_the_simulator(desk: Desk, server: Simulator) -> None:
    """Cells go on there while a real login waits or fails, not after one succeeded, which is said. It
    is not stopped: that is up to whoever started it."""
    own = desk.start()
    with pytest.raises(LoginDenied):
        desk.plan(server.url, decide=lambda s: s.account.deny(), server=server)
    assert desk.session.simulator is own
    done = desk.plan(server.url, server=server)
    assert desk.session.simulator is None
    assert done.note == "The simulator is not used any more."
    assert own.running
    assert own.requests == []
    assert BUNDLE.exists()
    assert facts_of(done)["Stored in"] == f"secrets/{BUNDLE_FILE}"
    desk.start()
    done = desk.key(server.key, server.url, "session")
    assert done.note == "The simulator is not used any more."
    assert desk.session.simulator is None
    assert desk.session.world.session_key is not None


@pytest.mark.parametrize("on_before", [True, False])
def test_a_login_that_fails_leaves_the_simulator_as_it_was(desk: Desk, on_before: bool) -> None:
    """Whoever tries the simulator and is denied, or enters a wrong key, is where they were before."""
    if on_before:
        desk.start()
    with pytest.raises(LoginDenied):
        desk.plan(SIMULATOR, decide=lambda server: server.account.deny())
    assert (desk.session.simulator is not None) == on_before
    with pytest.raises(CredentialInvalid, match="takes the key simulated-key"):
        desk.key("sk-cp-wrong-wrong-wrong", SIMULATOR)
    assert (desk.session.simulator is not None) == on_before


def test_keys_of_simulator_and_session_are_kept_apart(desk: Desk, server: Simulator) -> None:
    """A session key for the simulator is not one for the real server, nor the other way round."""
    desk.key(server.key, server.url, "session")
    own = desk.start()
    own.key = "another-key-of-the-simulator"
    desk.key(own.key, SIMULATOR, "session")
    used = desk.session.credential()
    assert isinstance(used, Credential)
    assert used.secret.get_secret_value() == own.key
    desk.stop()
    used = desk.session.credential()
    assert isinstance(used, Credential)
    assert used.secret.get_secret_value() == server.key


# ------------------------------------------------------------------------------------- with a key


def test_a_key_for_the_project(desk: Desk, server: Simulator) -> None:
    """Checked without spending tokens, stored for its owner alone, told masked, and used."""
    done = desk.key(f"  '{server.key}'\n", server.url)
    assert KEY_PATH.read_text().strip() == server.key
    assert (mode(KEY_PATH), mode(KEY_PATH.parent)) == (0o600, 0o700)
    host = server.url.removeprefix("http://")
    assert done.title == f"The API key for {host} is ready"
    assert facts_of(done) == {"Region": host, "Key": "...", "Stored in": f"secrets/{KEY_FILE}"}
    assert done.note == ""
    assert server.served.requests == 0
    desk.ask()
    assert server.requests[-1].headers["Authorization"] == f"Bearer {server.key}"


def test_a_key_for_this_session(desk: Desk, server: Simulator, env: Callable[..., None]) -> None:
    """It is never on disk, goes before all else, and is masked."""
    env(code_plan_key=KEY)
    server.key = "sk-api-of-the-session-0123456789"
    done = desk.key(server.key, server.url, "session")
    assert left_in(".") == set()
    assert facts_of(done)["Stored in"] == "memory, until the kernel ends"
    assert facts_of(done)["Key"] == "sk-api-..."
    assert server.key not in repr(done)
    assert done.note == ""
    assert desk.session.credential() == Credential(SecretStr(server.key), "this session")
    desk.ask()
    assert server.requests[-1].headers["Authorization"] == f"Bearer {server.key}"
    desk.key(server.key, server.url, "project")  # another choice ends the earlier one
    assert desk.session.world.session_key is None


def test_a_key_of_another_region(desk: Desk, sim: Simulator) -> None:
    """It is used at its own server in this session, and what others need is said."""
    done = desk.key(sim.key, sim.url)
    assert desk.session.settings().base_url == sim.url
    assert done.note == f"Other notebooks need `base_url: {sim.url}` in config/llm.yaml."
    desk.ask()
    assert sim.requests[-1].headers["Authorization"] == f"Bearer {sim.key}"
    assert desk.sign_in.regions()[0].value == sim.url


def test_a_forgotten_key_takes_its_region_along(desk: Desk, sim: Simulator) -> None:
    """After a logout no other key goes to the server that was of the forgotten one."""
    desk.key(sim.key, sim.url, "session")
    assert desk.session.settings().base_url == sim.url
    assert desk.log_out() == ["The API key of this session is forgotten."]
    assert desk.session.world.session_key is None
    assert desk.session.settings().sources["base_url"] == "default"


def test_a_wrong_key_is_not_kept(desk: Desk, server: Simulator) -> None:
    """Refused by the server, it is stored nowhere, and the simulator says which it takes."""
    for place in ("project", "session"):
        with pytest.raises(CredentialInvalid) as caught:
            desk.key(KEY, server.url, place)
        assert KEY not in f"{caught.value} {vars(caught.value)}"
        with pytest.raises(CredentialInvalid, match="The simulator takes the key simulated-key"):
            desk.key(KEY, SIMULATOR, place)
        desk.stop()
    assert left_in(".") == set()
    assert desk.session.world.session_key is None
    with pytest.raises(CredentialsMissing):
        desk.session.credential()


@pytest.mark.parametrize(
    "text",
    ["", "   ", "PLANTED words", "PLANTED\nkey", "PLANTED\u200bkey", "PLANTED\x00", "PLANTED✓"],
)
def test_what_is_no_key_is_not_sent(desk: Desk, server: Simulator, text: str) -> None:
    """Blanks inside, or characters that no key has, are an error before anything is sent."""
    with pytest.raises(ConfigError) as caught:
        desk.key(text, server.url)
    assert server.requests == []
    assert "PLANTED" not in f"{caught.value!r} {vars(caught.value)}"


def test_a_server_that_does_not_tell_is_not_believed(env: Callable[..., None]) -> None:
    """The key is kept, and it is said that nobody knows whether it is right."""
    desk = Desk(make_transport=lambda: FakeTransport(json_answer({}, 503)))
    done = desk.key(KEY, "global")
    assert "would not say whether the key is right" in done.note
    assert KEY_PATH.read_text().strip() == KEY


def test_a_server_that_is_not_there(env: Callable[..., None]) -> None:
    """Without network nothing is kept."""
    desk = Desk(make_transport=lambda: FakeTransport(APIConnectionError("no network")))
    with pytest.raises(APIConnectionError):
        desk.key(KEY, "global")
    assert left_in(".") == set()


# ----------------------------------------------------------------------------- what goes first


def test_a_key_in_the_environment_goes_before_a_file(
    desk: Desk, server: Simulator, env: Callable[..., None]
) -> None:
    """It is said that the stored key is not the one that is used; one for this session is."""
    env(coding_api_key=KEY)
    done = desk.key(server.key, server.url)
    assert done.note == (
        "Cells use the API key from environment MINIMAX_CODING_API_KEY instead: remove it to use this "
        "one."
    )
    assert not done.usable
    assert desk.key(server.key, server.url, "session").usable


def test_a_login_goes_before_a_key(desk: Desk, server: Simulator) -> None:
    """It is said where the login is, and how to be rid of it."""
    desk.plan(server.url, server=server)
    done = desk.key(server.key, server.url)
    assert done.note == (
        f"Cells use the login in secrets/{BUNDLE_FILE} instead: `%minimax logout` removes it."
    )
    assert not done.usable


def test_a_login_of_the_project_goes_before_one_of_the_user(desk: Desk, server: Simulator) -> None:
    """It is said when the new one is not the one that is used."""
    desk.plan(server.url, server=server)
    done = desk.plan(server.url, "user", server=server)
    assert done.note.startswith(f"Cells use the login in secrets/{BUNDLE_FILE} instead: ")
    assert not done.usable
    done = desk.plan(server.url, server=server)
    assert (done.usable, done.note) == (True, "")


def test_a_mode_of_keys_alone_leaves_a_login_unused(
    desk: Desk, server: Simulator, env: Callable[..., None]
) -> None:
    """With `auth.mode: static` it is said that a login is not used, also if a key is there instead."""
    configure("auth: {mode: static}")
    for _ in range(2):
        done = desk.plan(server.url, server=server)
        assert done.note == "It is not used, since auth.mode in llm.yaml is static."
        assert not done.usable
        env(code_plan_key=KEY)


def test_a_mode_of_logins_alone_leaves_a_key_unused(desk: Desk, server: Simulator) -> None:
    """With `auth.mode: token_plan` that is said of a key in a file, with and without a login; one for
    this session was asked for and is used."""
    configure("auth: {mode: token_plan}")
    unused = "It is not used, since auth.mode in llm.yaml is token_plan."
    done = desk.key(server.key, server.url)
    assert (done.usable, done.note) == (False, unused)
    assert desk.plan(server.url, server=server).usable
    done = desk.key(server.key, server.url)
    assert (done.usable, done.note) == (False, unused)
    done = desk.key(server.key, server.url, "session")
    assert (done.usable, done.note) == (True, "")


def test_a_login_for_another_server_than_the_configured(
    desk: Desk, sim: Simulator, env: Callable[..., None]
) -> None:
    """It is stored, and it is said why it is not used yet and what to do."""
    env(base_url="https://api.minimax.io")
    for _ in range(2):
        done = desk.plan(sim.url, server=sim)
        assert done.note.startswith("It is not used yet: The login is for 127.0.0.1:")
        assert "Remove base_url, or log in for that server with `%minimax login`." in done.note
        assert not done.usable
        assert BUNDLE.exists()
        env(code_plan_key=KEY)  # which then is used, but not for being first


# ------------------------------------------------------------------------------------ logging out


def test_logging_out(desk: Desk, server: Simulator) -> None:
    """The bundle is deleted with all that a killed writer left; there is nothing to use then."""
    desk.plan(server.url, server=server)
    (BUNDLE.parent / f".{BUNDLE_FILE}.0123456789ab.tmp").write_text("half a bun")
    (said,) = desk.log_out()
    assert said.startswith(f"secrets/{BUNDLE_FILE} is deleted.")
    assert left_in(".") == set()
    with pytest.raises(CredentialsMissing):
        desk.session.credential()
    assert desk.sign_in.stored_login() is None
    assert desk.log_out() == []


def test_another_login_is_not_removed_but_told(desk: Desk, server: Simulator) -> None:
    """One logout removes one login; that of the user comes next, which is said."""
    desk.plan(server.url, "user", server=server)
    desk.plan(server.url, "project", server=server)
    removed, another = desk.log_out()
    assert removed.startswith(f"secrets/{BUNDLE_FILE} is deleted.")
    assert str(USERS_BUNDLE) in another
    assert (BUNDLE.exists(), USERS_BUNDLE.exists()) == (False, True)
    assert len(desk.log_out()) == 1
    assert left_in(".") == set()


def test_logging_out_forgets_the_key_too(desk: Desk, server: Simulator) -> None:
    """A key of this session and a login both end; a key in a file is somebody else's to remove."""
    desk.plan(server.url, server=server)
    desk.key(server.key, server.url, "project")
    desk.key(server.key, server.url, "session")
    assert len(desk.log_out()) == 2
    assert left_in("secrets") == {KEY_FILE}
    used = desk.session.credential()
    assert isinstance(used, Credential)
    assert used.source == f"secrets/{KEY_FILE}"


def test_logging_out_of_the_simulator_leaves_the_real_login(desk: Desk, server: Simulator) -> None:
    """What is removed is what is in use."""
    desk.plan(server.url, server=server)
    before = BUNDLE.read_bytes()
    desk.plan(SIMULATOR)
    (said,) = desk.log_out()
    assert said.startswith("the simulator's secrets/")
    assert BUNDLE.read_bytes() == before
    desk.stop()
    assert isinstance(desk.session.credential(), Login)


@pytest.mark.parametrize("damage", ["", "{", '{"access_token": 7}', "\x00\xff"])
def test_a_damaged_login_can_be_removed(desk: Desk, server: Simulator, damage: str) -> None:
    """It is an error to use it, but not to log out of it."""
    desk.plan(server.url, server=server)
    BUNDLE.write_text(damage)
    with pytest.raises(ConfigError, match=BUNDLE_FILE):
        desk.session.credential()
    assert len(desk.log_out()) == 1
    assert not BUNDLE.exists()
    with pytest.raises(CredentialsMissing):
        desk.session.credential()


def test_a_damaged_login_can_be_replaced(desk: Desk, server: Simulator) -> None:
    """A new login mends it; the copy of the damaged one stays, for its owner alone."""
    BUNDLE.write_text("{half")
    assert "damaged" in desk.session.status().problem
    desk.plan(server.url, server=server)
    assert isinstance(desk.session.credential(), Login)
    copy = BUNDLE.with_name(f"{BUNDLE_FILE}.damaged")
    assert copy.read_text() == "{half"
    assert mode(copy) == 0o600


# --------------------------------------------------------------------------------------- status


def test_the_status_of_nothing(desk: Desk) -> None:
    """Without any credential the status says so, and names every place in its order."""
    status = desk.session.status()
    assert status.endpoint is None
    assert "No MiniMax login and no API key was found." in status.problem
    assert [place.source for place in status.places][-4:-1] == [
        "environment MINIMAX_CODE_PLAN_KEY",
        "environment MINIMAX_CODING_API_KEY",
        f"secrets/{KEY_FILE}",
    ]
    assert not any(place.used or place.found for place in status.places)


def test_the_status_of_a_login(desk: Desk, server: Simulator) -> None:
    """Region, end and server of the token; one place is used; no token is told."""
    desk.plan(server.url, server=server)
    status = desk.session.status()
    assert status.problem == ""
    assert status.endpoint is not None
    assert status.endpoint.root == server.url
    assert isinstance(status.credential, Login)
    assert status.credential.region.root == server.url
    assert 800 < status.credential.bundle.expires_at.timestamp() - time.time() < 1000
    assert f"from secrets/{BUNDLE_FILE}" in status.described
    assert [place.source for place in status.places if place.used] == [f"secrets/{BUNDLE_FILE}"]
    assert "sim-" not in repr(status)


def test_the_status_of_the_simulator(desk: Desk, env: Callable[..., None]) -> None:
    """The environment is not looked at; the simulator's own key is used for want of a login."""
    env(code_plan_key=KEY)
    desk.start()
    status = desk.session.status()
    assert not [p for p in status.places if p.source.startswith("environment")]
    assert [p.source for p in status.places if p.used] == ["the simulator's own key"]
    desk.plan(SIMULATOR)
    assert [p.source for p in desk.session.status().places if p.used] == [
        f"the simulator's secrets/{BUNDLE_FILE}"
    ]


def test_the_status_never_raises(desk: Desk, server: Simulator) -> None:
    """Whatever is wrong is part of the answer: the file, and what to do."""
    desk.plan(server.url, server=server)
    good = BUNDLE.read_text()
    BUNDLE.write_text(good[:40])
    problem = desk.session.status().problem
    assert f"secrets/{BUNDLE_FILE}" in problem
    assert "%minimax login" in problem
    assert "sim-" not in repr(desk.session.status())
    BUNDLE.write_text(good)
    configure("base_url: 'http://elsewhere.example'")
    os.environ.pop("MINIMAX_BASE_URL")  # the fixture's, which goes first
    status = desk.session.status()
    assert "plain http" in status.problem
    assert status.endpoint is None
    configure("base_url: https://api.minimax.io")
    with pytest.raises(LoginElsewhere):
        desk.session.credential()
    status = desk.session.status()
    assert "Remove base_url, or log in for that server" in status.problem
    assert not any(place.used for place in status.places)
    Path("config/llm.yaml").write_text("providers: [")
    status = desk.session.status()
    assert "config/llm.yaml" in status.problem
    assert (status.settings, status.places) == (None, ())
