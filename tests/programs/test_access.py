"""How another program reaches MiniMax: with the key as it is, or through a gateway."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from minimax_magic.auth.bundle_file import BUNDLE_FILE
from minimax_magic.errors import (
    APIConnectionError,
    ConfigError,
    CredentialInvalid,
    CredentialsMissing,
)
from minimax_magic.programs.access import Access, access, identity, own_access, takes_x_api_key
from minimax_magic.programs.gateway import Gateway
from minimax_magic.programs.gateway_file import GatewayFiles
from minimax_magic.session import Session
from minimax_magic.simulator import Simulator
from minimax_magic.testing import Answer, FakeAuth, FakeTransport, json_answer

MESSAGES = "/anthropic/v1/messages"
PROMPT = {"model": "MiniMax-M2.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
Env = Callable[..., None]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(key="sk-api-of-the-simulator") as simulator:
        yield simulator


@pytest.fixture
def with_key(env: Env, sim: Simulator) -> None:
    """The simulator as the configured server, with its key."""
    env(base_url=sim.url, api_key=sim.key)


@pytest.fixture
def with_login(env: Env, sim: Simulator, tmp_path: Path) -> None:
    """A login of the simulator."""
    log_in(sim, tmp_path)


def log_in(sim: Simulator, folder: Path, lifetime_s: float | None = None) -> None:
    tokens = sim.account.issue(lifetime_s=lifetime_s)
    bundle = {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "expires_at": tokens.expires_at,
        "region": sim.url,
    }
    path = folder / "secrets" / BUNDLE_FILE
    path.write_text(json.dumps(bundle))
    path.chmod(0o600)


def found(**options: object) -> Access:
    return asyncio.run(access(Session(), **options))  # type: ignore[arg-type]


async def first_word(at: Access, http: aiohttp.ClientSession) -> str:
    """What a program gets that sends its key as x-api-key."""
    url = f"{at.root}{MESSAGES}"
    async with http.post(url, headers={"x-api-key": at.key}, json=PROMPT) as response:
        return f"{response.status} {(await response.json())['type']}"


@pytest.mark.usefixtures("with_key")
def test_a_key_is_given_as_it_is(sim: Simulator) -> None:
    """Root, key, source and model as cells have them; the key shows in no repr."""
    at = found()
    assert (at.root, at.server, str(at.key)) == (sim.url, sim.url, sim.key)
    assert (at.kind, at.gateway, at.model) == ("key", False, "MiniMax-M2.5")
    assert at.source == "environment MINIMAX_API_KEY"
    assert sim.key not in repr(at)
    assert not sim.requests, "nobody was asked"


@pytest.mark.usefixtures("with_key")
def test_the_model_is_the_agents_or_that_of_the_option(tmp_path: Path) -> None:
    """An option goes before the agent, the agent before the settings."""
    agents = tmp_path / "config" / "agents.d"
    agents.mkdir()
    (agents / "ana.yaml").write_text(
        "agents:\n  - id: ana\n    model: {provider: minimax, model: MiniMax-M3}\n"
    )
    assert found(agent="ana").model == "MiniMax-M3"
    assert found(agent="ana", model="MiniMax-M2").model == "MiniMax-M2"
    with pytest.raises(ConfigError, match="no agent 'bob'"):
        found(agent="bob")


def test_without_a_credential_there_is_no_access(env: Env) -> None:
    """The same error as in a cell."""
    with pytest.raises(CredentialsMissing):
        found()


@pytest.mark.usefixtures("with_login")
def test_a_login_needs_a_running_gateway() -> None:
    """Its token is never given away; the error names the command that starts a gateway."""
    with pytest.raises(ConfigError) as told:
        found()
    assert "python -m minimax_magic gateway" in told.value.hint


@pytest.mark.usefixtures("with_login")
def test_a_login_is_reached_through_the_running_gateway(sim: Simulator, tmp_path: Path) -> None:
    """One of a file is given, if it leads to the same server with the same login and still runs."""

    async def run() -> None:
        upstream = FakeTransport(json_answer({}))
        files = GatewayFiles(tmp_path / "data")
        session = Session()
        ours = identity(session.world.credential(session.settings()))
        async with Gateway(sim.url, FakeAuth(), upstream) as gateway:
            url, key = gateway.url, gateway.key
            files.write(url, key, sim.url, ours)
            at = await access(session)
            assert (at.root, at.key, at.server) == (url, key, sim.url)
            assert (at.gateway, at.kind) == (True, "login")
            files.write(url, key, "https://api.minimax.io", ours)
            with pytest.raises(ConfigError, match=r"one for https://api\.minimax\.io is running"):
                await access(session)
            files.write(url, key, sim.url, "login /another/project/secrets/bundle.json")
            with pytest.raises(
                ConfigError, match="one with another credential than that of secrets"
            ):
                await access(session)
            files.write(url, key, sim.url, ours)
        with pytest.raises(ConfigError, match="renews it"):
            await access(session)

    asyncio.run(run())


def test_a_gateway_of_another_key_is_passed_over(env: Env, sim: Simulator, tmp_path: Path) -> None:
    """Data folders are the user's, for all projects: whose key is sent is whose account pays. Of two
    gateways the one with this key is taken, also where it is not the newest."""
    env(base_url=sim.url, api_key=sim.key)

    async def run() -> None:
        files = GatewayFiles(tmp_path / "data")
        upstream = FakeTransport(json_answer({}))
        async with (
            Gateway(sim.url, FakeAuth(), upstream) as ours,
            Gateway(sim.url, FakeAuth(), upstream) as theirs,
        ):
            files.write(theirs.url, theirs.key, sim.url, "key sk-api-of-another-project")
            with pytest.raises(ConfigError, match="another credential") as told:
                await access(Session(), header="x-api-key")
            assert theirs.key not in str(told.value)
            files.write(ours.url, ours.key, sim.url, f"key {sim.key}")
            os.utime(files.path(ours.url), (1, 1))
            at = await access(Session(), header="x-api-key")
            assert (at.root, at.key) == (ours.url, ours.key)
            assert sim.key not in files.path(ours.url).read_text()

    asyncio.run(run())


def test_a_busy_server_is_no_reason_for_a_gateway(env: Env, sim: Simulator) -> None:
    """What it takes cannot be said then, so the key is given as it is."""
    env(base_url=sim.url, api_key=sim.key)
    busy = FakeTransport(json_answer({}, 529))
    assert found(header="x-api-key", transport=busy).root == sim.url


@pytest.mark.usefixtures("with_key")
@pytest.mark.parametrize("accepts", [False, True])
def test_a_program_that_sends_x_api_key_may_need_a_gateway(env: Env, accepts: bool) -> None:
    """The server is asked, without spending, whether it takes the key in that header."""
    with Simulator(key="k-12345678", accept_x_api_key=accepts) as sim:
        env(base_url=sim.url, api_key=sim.key)
        if accepts:
            assert found(header="x-api-key").root == sim.url
        else:
            with pytest.raises(ConfigError, match="does not take the key in the header"):
                found(header="x-api-key")
        assert sim.served.requests == 0


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (json_answer({"error": {"message": "invalid params (2013)"}}, 400), True),
        (json_answer({"error": {"message": "carry the key in Authorization (1004)"}}, 401), False),
        (json_answer({"error": {"message": "insufficient balance (1008)"}}, 403), True),
        (Answer(404, {}, (b"404 page not found",)), None),
        (json_answer({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}), False),
        (json_answer({"base_resp": {"status_code": 2049, "status_msg": "invalid key"}}), False),
        (Answer(307, {"location": "/"}), None),
        (json_answer({}, 408), None),
        (json_answer({}, 429), None),
        (json_answer({}, 529), None),
    ],
)
def test_what_an_answer_tells_of_x_api_key(answer: Answer, taken: bool | None) -> None:
    """Auth comes before parameters, so that any complaint about these means that the key was taken."""
    transport = FakeTransport(answer)
    assert asyncio.run(takes_x_api_key("k", "https://api.minimax.io", transport)) is taken
    (sent,) = transport.sent
    assert sent.headers["x-api-key"] == "k"
    assert "Authorization" not in sent.headers
    assert transport.bodies[0]["model"] == ""


# ---------------------------------------------------------------------------- gateways of one's own


@pytest.mark.usefixtures("with_key")
def test_a_server_of_bearers_gets_a_gateway(sim: Simulator) -> None:
    """A program that sends x-api-key reaches a server that wants a bearer, until the access ends."""

    async def run() -> None:
        async with aiohttp.ClientSession() as http:
            async with own_access(Session()) as at:
                assert at.gateway
                assert str(at.key) != sim.key
                assert await first_word(at, http) == "200 message"
            with pytest.raises(aiohttp.ClientError):
                await first_word(at, http)

    asyncio.run(run())


def test_a_server_of_both_headers_is_reached_directly(env: Env) -> None:
    """Nothing is put in between where nothing is needed."""
    with Simulator(key="k-12345678", accept_x_api_key=True) as sim:
        env(base_url=sim.url, api_key=sim.key)

        async def run() -> None:
            async with own_access(Session()) as at:
                assert (at.root, at.gateway) == (sim.url, False)

        asyncio.run(run())
        assert sim.served.requests == 0


@pytest.mark.usefixtures("with_key")
def test_a_server_that_does_not_tell_gets_a_gateway(sim: Simulator) -> None:
    """A bearer is what every server takes."""

    async def run() -> None:
        busy = FakeTransport(json_answer({}, 529))
        async with own_access(Session(), make_transport=lambda: busy) as at:
            assert at.gateway
        assert busy.closed

    asyncio.run(run())


def entered() -> None:
    async def run() -> None:
        async with own_access(Session()):
            pytest.fail("nothing should have been started")

    asyncio.run(run())


def test_a_wrong_key_is_told_before_anything_is_started(env: Env, sim: Simulator) -> None:
    """The server refuses it in both headers."""
    env(base_url=sim.url, api_key="sk-api-another")
    with pytest.raises(CredentialInvalid):
        entered()


def test_an_unreachable_server_is_told_before_anything_is_started(env: Env, sim: Simulator) -> None:
    """What Aider would call a connection error, and retry."""
    env(base_url=sim.url, api_key=sim.key)
    sim.stop()
    with pytest.raises(APIConnectionError):
        entered()


@pytest.mark.usefixtures("with_login")
def test_a_revoked_login_is_told_before_anything_is_started(sim: Simulator, tmp_path: Path) -> None:
    """A token that is used up and cannot be renewed ends it in one line."""
    log_in(sim, tmp_path, lifetime_s=-10)
    sim.account.revoke_all()
    with pytest.raises(CredentialInvalid):
        entered()


@pytest.mark.usefixtures("env")
def test_a_login_outlives_its_token(sim: Simulator, tmp_path: Path) -> None:
    """Requests before and after the token's end succeed with the same key, by one refresh each."""
    sim.account.access_token_lifetime_s = 1.5
    log_in(sim, tmp_path)

    async def run() -> None:
        async with own_access(Session()) as at, aiohttp.ClientSession() as http:
            assert at.kind == "login"
            assert await first_word(at, http) == "200 message"
            await asyncio.sleep(1.6)
            assert await first_word(at, http) == "200 message"
            refreshes = sim.account.refreshes
            assert refreshes >= 1
            sim.account.expire_access_tokens()  # long before its time: only a 401 tells
            assert await first_word(at, http) == "200 message"
            assert sim.account.refreshes > refreshes

    asyncio.run(run())
