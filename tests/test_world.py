"""Signing in at one server never touches what belongs to another: cells, keys and chats of MiniMax, of
another region and of a simulator stay apart, whoever switches when."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sign_in_desk import BUNDLE, KEY, Desk, configure, facts_of, run

from minimax_magic.ask import Ask
from minimax_magic.auth.choices import SignedIn
from minimax_magic.auth.sources import KEY_FILE, Credential, Login
from minimax_magic.errors import (
    APIConnectionError,
    CredentialInvalid,
    LoginDenied,
    LoginExpired,
    MinimaxError,
)
from minimax_magic.session import Session
from minimax_magic.sign_in import SIMULATOR, login
from minimax_magic.simulator import Simulator
from minimax_magic.testing import FakeClock, FakeTransport, json_answer
from minimax_magic.transport import AiohttpTransport
from minimax_magic.turn import Turn
from minimax_magic.widgets.view_models import LoginModel
from minimax_magic.wire.http import HttpRequest
from minimax_magic.wire.remains import REMAINS_PATH


class HeldClock(FakeClock):
    """Jumps only once it is let go."""

    def __init__(self) -> None:
        super().__init__(time.time())
        self.let_go = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.let_go.wait()
        await super().sleep(seconds)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def server(env: Callable[..., None], sim: Simulator) -> Simulator:
    """The configured server, with a key in the environment; for the session it is a real one."""
    sim.key = "sk-cp-of-the-configured-server"
    env(base_url=sim.url, code_plan_key=sim.key)
    return sim


@pytest.fixture
def other(env: Callable[..., None]) -> Iterator[Simulator]:
    """Another region."""
    with Simulator() as simulator:
        simulator.key = "sk-cp-of-the-other-region"
        yield simulator


@pytest.fixture
def desk(env: Callable[..., None]) -> Iterator[Desk]:
    made = Desk()
    yield made
    made.stop()


async def read(turn: Turn) -> None:
    async for _ in turn.events():
        pass


def chats_at(server: Simulator) -> list[str]:
    """The bearers of the cells that came to a server; checks of a key do not stream."""
    return [
        request.headers["Authorization"].removeprefix("Bearer ")
        for request in server.requests
        if isinstance(request.body, dict) and request.body.get("stream")
    ]


# ---------------------------------------------------------------------- trying the simulator


@pytest.mark.parametrize("turned_on", [True, False])
@pytest.mark.parametrize("end", ["denied", "cancelled", "expired"])
def test_a_try_at_the_simulator_is_nothing_for_cells(
    server: Simulator, end: str, turned_on: bool
) -> None:
    """While a login waits there, and after it came to nothing, cells go where they went before; a
    simulator that was turned on meanwhile stays on."""
    clock = HeldClock()
    desk = Desk(clock=clock)

    async def whole() -> None:
        pending = await desk.sign_in.begin(SIMULATOR, "project")
        waiting = asyncio.create_task(pending.wait(lambda state: None))
        await asyncio.sleep(0)
        own = desk.serve()
        await read(desk.session.prepare(Ask("hi")))
        assert not waiting.done()
        assert (chats_at(server), chats_at(own)) == ([server.key], [])
        if turned_on:
            desk.start()
        if end == "cancelled":
            waiting.cancel()
        elif end == "denied":
            own.account.deny()
        clock.let_go.set()
        kinds = {"denied": LoginDenied, "cancelled": asyncio.CancelledError}
        with pytest.raises(kinds.get(end, LoginExpired)):
            await waiting
        assert own.running or not turned_on
        assert desk.session.simulator is (own if turned_on else None)
        await read(desk.session.prepare(Ask("hi")))
        used = [server.key], [own.key]
        assert (chats_at(server), chats_at(own)) == (used if turned_on else ([server.key] * 2, []))

    try:
        desk.run(whole())
    finally:
        desk.stop()


def test_a_wrong_key_for_the_simulator_is_nothing_for_cells(desk: Desk, server: Simulator) -> None:
    """It is neither stored nor a reason to go there."""
    for place in ("project", "session"):
        with pytest.raises(CredentialInvalid):
            desk.key("sk-cp-wrong-wrong-wrong", SIMULATOR, place)
    desk.ask()
    assert (chats_at(server), chats_at(desk.serve())) == ([server.key], [])
    world = desk.session.world_of(desk.serve())
    assert world.session_key is None
    used = world.credential(world.settings())
    assert isinstance(used, Credential)
    assert used.source == "the simulator"


@pytest.mark.parametrize("way", ["plan", "key"])
def test_a_login_at_the_simulator_is_used(desk: Desk, server: Simulator, way: str) -> None:
    """Once it succeeded cells go there with what was signed in with, and what is real is untouched."""
    own = desk.serve()
    done = desk.plan(SIMULATOR) if way == "plan" else desk.key(own.key, SIMULATOR, "session")
    assert done.usable
    assert desk.session.simulator is own
    desk.ask()
    assert chats_at(server) == []
    (bearer,) = chats_at(own)
    assert bearer.startswith("sim-at-" if way == "plan" else own.key)
    assert desk.session.real.session_key is None
    desk.stop()
    desk.ask()
    assert chats_at(server) == [server.key]


# ------------------------------------------------------------------------ a key of another region


def test_a_key_that_does_not_come_first_moves_nothing(
    desk: Desk, server: Simulator, other: Simulator
) -> None:
    """The key in the environment stays with its own server; that of the other region is stored, and it
    is said what is used instead of it."""
    done = desk.key(other.key, other.url)
    assert not done.usable
    assert done.note == (
        "Cells use the API key from environment MINIMAX_CODE_PLAN_KEY instead: remove it to use this "
        "one."
    )
    assert desk.session.settings().base_url == server.url
    desk.ask()
    assert (chats_at(server), chats_at(other)) == ([server.key], [])
    assert server.key not in "".join(f"{dict(r.headers)} {r.body}" for r in other.requests)
    assert (Path("secrets") / KEY_FILE).read_text().strip() == other.key


def test_a_key_for_this_session_goes_to_its_region(
    desk: Desk, server: Simulator, other: Simulator
) -> None:
    """It comes first, so that cells go there with it and nothing else; after a logout they go back."""
    done = desk.key(other.key, other.url, "session")
    assert done.usable
    desk.ask()
    assert (chats_at(server), chats_at(other)) == ([], [other.key])
    desk.log_out()
    desk.ask()
    assert (chats_at(server), chats_at(other)) == ([server.key], [other.key])
    assert server.key not in "".join(f"{dict(r.headers)} {r.body}" for r in other.requests)


def test_a_logout_goes_back_to_the_configured_server(desk: Desk, other: Simulator) -> None:
    """Also where the key of the other region is in a file, and there is nothing else to forget."""
    assert desk.key(other.key, other.url).usable
    assert desk.session.settings().base_url == other.url
    assert desk.log_out() == []
    assert desk.session.settings().sources["base_url"] == "default"


def test_a_key_that_comes_up_later_does_not_move_along(
    desk: Desk, other: Simulator, env: Callable[..., None]
) -> None:
    """A variable set after a key of another region was stored is for the configured server."""
    assert desk.key(other.key, other.url).usable
    env(code_plan_key=KEY)
    status = desk.session.status()
    assert isinstance(status.credential, Credential)
    assert status.credential.source == "environment MINIMAX_CODE_PLAN_KEY"
    assert status.endpoint is not None
    assert status.endpoint.root == "https://api.minimax.io"


# ------------------------------------------------------------------------------------ too late


class NeverTells(AiohttpTransport):
    """Nobody answers what is left of the plan."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def send(self, request: HttpRequest) -> Any:
        if request.url.endswith(REMAINS_PATH):
            self.asked.set()
            await asyncio.Event().wait()
        return await super().send(request)


def test_a_stop_after_the_approval_is_too_late(server: Simulator) -> None:
    """The login is stored and used by then: it is reported as done, without the quota that was being
    asked for."""
    transport = NeverTells()
    desk = Desk(make_transport=lambda: transport)

    async def whole() -> SignedIn:
        pending = await desk.sign_in.begin(server.url, "project")
        server.account.approve()
        waiting = asyncio.create_task(pending.wait(lambda state: None))
        await transport.asked.wait()
        waiting.cancel()
        done = await waiting
        assert waiting.cancelling() == 0
        return done

    done = desk.run(whole())
    assert done.usable
    assert "Plan" not in facts_of(done)
    assert facts_of(done)["Server"] == f"{server.url}/anthropic"
    assert BUNDLE.exists()
    assert isinstance(desk.session.credential(), Login)


def test_the_panel_too_shows_it_as_done(server: Simulator) -> None:
    """Its button came too late: what is shown is the login, not that it was cancelled."""
    transport = NeverTells()
    desk = Desk(make_transport=lambda: transport)
    model = LoginModel(desk.sign_in)
    server.account.auto_approve_after_polls = 0

    async def whole() -> None:
        pressed = asyncio.create_task(model.sign_in())
        await transport.asked.wait()
        model.cancel()
        await pressed

    desk.run(whole())
    assert model.phase == "done"
    assert model.signed_in is not None
    assert model.signed_in.usable


# ------------------------------------------------------------------------------- the region


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ("model: any", "minimax.io"),
        ("auth: {region: china}", "minimaxi.com"),
        ("base_url: https://gateway.example/v1", "gateway.example"),
        ("base_url: https://gateway.example/v1, auth: {region: china}", "minimaxi.com"),
    ],
)
def test_a_program_need_not_name_the_region(
    env: Callable[..., None], settings: str, host: str
) -> None:
    """`minimax_magic.login()` asks auth.region for a code, else a base_url that is configured, else
    the world's server."""
    configure(settings)
    transport = FakeTransport(APIConnectionError("no network"))
    with pytest.raises(APIConnectionError):
        run(login(transport=transport, clock=FakeClock()))
    (request,) = transport.sent
    assert request.url.split("/")[2].removeprefix("account.").removeprefix("api.") == host


# -------------------------------------------------------------------------------- chats, threads


def test_a_turn_is_kept_where_it_began(server: Simulator) -> None:
    """Switched while it is on its way, an answer is of the chat that it was asked in."""
    with Simulator() as own:
        session = Session()

        async def whole() -> None:
            real = session.prepare(Ask("genuine", chat="c"))
            session.simulator = own
            made_up = session.prepare(Ask("made up", chat="c"))
            await read(real)
            real.keep()
            session.simulator = None
            await read(made_up)
            made_up.keep()
            await session.close()

        run(whole())
        worlds = [session.real, session.world_of(own)]
    questions = [[m.text for m in w.chats["c"] if m.role == "user"] for w in worlds]
    assert questions == [["genuine"], ["made up"]]


@dataclass(frozen=True)
class Made:
    """A simulator that nobody needs to run."""

    url: str = "http://127.0.0.1:9"
    key: str = "the-key-that-it-takes"


def test_worlds_do_not_mix_while_another_thread_switches(env: Callable[..., None]) -> None:
    """Whatever status, introduction and requests say, they are of one world: the real host with the
    real key, the simulator with its own."""
    env(base_url="https://api.minimax.io", code_plan_key=KEY)
    message = {"role": "assistant", "content": "hello"}
    payload = {"choices": [{"message": message, "finish_reason": "stop"}], "model": "m"}
    transport = FakeTransport(lambda request: json_answer(payload))
    session = Session(make_transport=lambda: transport, clock=FakeClock())
    worlds = [session.real, session.world_of(Made())]
    over = threading.Event()

    def switch() -> None:
        while not over.is_set():
            worlds.reverse()
            session.world = worlds[0]

    seen: set[tuple[str, bool]] = set()
    mixed: list[str] = []

    def check(what: str, simulated: bool, consistent: bool) -> None:
        seen.add((what, simulated))
        if not consistent:
            mixed.append(what)

    async def look() -> None:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            status = session.status()
            assert status.problem == ""
            assert isinstance(status.credential, Credential)
            assert status.endpoint is not None
            simulated = status.endpoint.root == Made.url
            same = [
                status.credential.secret.get_secret_value() == (Made.key if simulated else KEY),
                ("the simulator" in status.described) == simulated,
                any(place.source.startswith("the simulator") for place in status.places)
                == simulated,
            ]
            check("status", simulated, all(same))
            said = session.describe()
            simulated = "127.0.0.1" in said
            check("describe", simulated, ("the simulator" in said) == simulated)
            await read(session.prepare(Ask("hi")))
            request = transport.sent.pop()
            simulated = request.url.startswith(Made.url)
            bearer = request.headers["Authorization"]
            check("prepare", simulated, bearer == f"Bearer {Made.key if simulated else KEY}")
        await session.close()

    thread = threading.Thread(target=switch)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        run(look())
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert mixed == []
    assert len(seen) == 6  # each of the three in both worlds, or nothing was tried


# --------------------------------------------------------------------------------- refreshes


def test_closing_waits_for_a_refresh(desk: Desk, server: Simulator) -> None:
    """The session says that an answer is awaited which must not be lost; closing lets it come, although
    the cell that wanted it was stopped."""
    desk.plan(server.url, server=server)
    used_up = json.loads(BUNDLE.read_text())
    BUNDLE.write_text(json.dumps({**used_up, "expires_at": "2026-01-01T00:00:00Z"}))
    server.account.refresh_delay_s = 0.4

    async def whole() -> dict[str, str]:
        session = Session()
        assert not session.refreshing
        cell = asyncio.create_task(read(session.prepare(Ask("hi"))))
        while not session.refreshing:
            await asyncio.sleep(0.01)
        cell.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cell
        assert session.refreshing
        await session.close()
        assert not session.refreshing
        stored: dict[str, str] = json.loads(BUNDLE.read_text())
        return stored

    renewed = run(whole())
    assert renewed["refresh_token"] != used_up["refresh_token"]
    desk.ask()
    assert chats_at(server) == [renewed["access_token"]]


def test_the_keys_of_a_world_are_not_shown(desk: Desk, server: Simulator) -> None:
    """Neither a world's repr nor what it holds tells a key of this session."""
    desk.session.real.session_key = SecretStr(KEY)
    shown = f"{desk.session.real!r} {vars(desk.session.real)} {desk.session.status()!r}"
    assert KEY not in shown
    with pytest.raises(MinimaxError):
        desk.session.prepare(Ask(" "))
