"""An examination from beginning to end: the order, what is not asked, and that nothing breaks it."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from desk import GOOD, FakeNetwork, by_check, examine, see, trouble_in

from minimax_magic.doctor import doctor as doctor_module
from minimax_magic.doctor.checks import Case, Check, Found
from minimax_magic.doctor.doctor import CHECKS, Doctor
from minimax_magic.doctor.findings import Finding, verdict
from minimax_magic.doctor.network import Certificate
from minimax_magic.doctor.versions import OLDEST, Versions, front_end, versions_here
from minimax_magic.errors import APIConnectionError
from minimax_magic.session import Session
from minimax_magic.simulator import Simulator
from minimax_magic.simulator.behaviours import Silence

KEY = "sk-cp-PLANTED-0123456789abcdef"

ORDER = [
    "config",
    "credential",
    "region",
    "endpoint",
    "dns",
    "tcp",
    "tls",
    "proxy",
    "clock",
    "bundle",
    "authentication",
    "account",
    "completion",
    "streaming",
    "environment",
    "versions",
]


@pytest.fixture
def sim(env: Callable[..., None]) -> Iterator[Simulator]:
    """A simulator that is configured as MiniMax would be."""
    with Simulator(key=KEY) as simulator:
        env(base_url=simulator.url, code_plan_key=KEY)
        yield simulator


def simulated(sim: Simulator) -> Session:
    """`%minimax simulator`."""
    session = Session()
    session.simulator = sim
    return session


# ---------------------------------------------------------------------------- all is well


def test_all_checks_in_their_order(sim: Simulator) -> None:
    """Every check has its finding, in the order of the steps from a file to an answer."""
    findings = examine()
    assert [finding.check for finding in findings] == ORDER
    assert {finding.state for finding in findings} == {"ok"}
    assert verdict(findings).said == "All is well."
    assert verdict(findings).exit_code == 0
    assert all(finding.seconds >= 0 for finding in findings)


def test_every_finding_is_one_sentence_and_shows_no_key(sim: Simulator) -> None:
    """What is said has one line and a full stop; the key is in no finding at all."""
    for finding in examine():
        assert "\n" not in finding.said
        assert finding.said.endswith((".", "!", "?"))
        assert KEY not in repr(finding)


def test_the_completion_brings_its_tokens(sim: Simulator) -> None:
    """Model, answer and the three counts of the guide are facts, and the counts add up."""
    facts = dict(see()["completion"].facts)
    assert facts["Model"] == "MiniMax-M2.5"
    assert facts["Answer"]
    told = [int(facts[f"{name} tokens"]) for name in ("Input", "Output", "Total")]
    assert told[0] + told[1] == told[2] > 0
    first, second = (one for one in sim.requests if one.body and one.body.get("model"))
    for body, most in ((first.body, 300), (second.body, 64)):
        assert {body.get("max_tokens"), body.get("max_completion_tokens")} == {None, most}
    assert not first.body.get("stream")
    assert second.body["stream"]


def test_both_answers_say_what_they_took(sim: Simulator) -> None:
    """The tokens of the stream are told like those of the whole answer; together they are all that the
    server counted."""
    found = see()
    whole, streamed = dict(found["completion"].facts), dict(found["streaming"].facts)
    assert f"It took {streamed['Total tokens']} tokens." in found["streaming"].said
    total = int(whole["Total tokens"]) + int(streamed["Total tokens"])
    assert total == sim.served.input_tokens + sim.served.output_tokens


def test_both_questions_are_booked(sim: Simulator) -> None:
    """What the doctor spends is in the ledger like what a cell spends."""
    session = Session()

    async def whole() -> int:
        ledger = session.books(session.settings()).ledger
        assert ledger is not None
        before = len(ledger.records())
        try:
            async for _ in Doctor(session, environ={}, versions=GOOD).findings():
                pass
            await asyncio.wrap_future(ledger.written())
            return len(ledger.records()) - before
        finally:
            await session.close()

    assert asyncio.run(whole()) == 2


def test_without_spending_no_model_is_asked(sim: Simulator) -> None:
    """Without spending the two questions are skipped, which is no fault; all else is asked."""
    findings = examine(spend=False)
    assert [finding.check for finding in findings] == ORDER
    found = by_check(findings)
    assert found["completion"].state == found["streaming"].state == "skipped"
    assert "Not wanted" in found["completion"].said
    assert found["authentication"].state == "ok"
    assert sim.served.requests == 0
    assert verdict(findings).exit_code == 0


def test_a_simulator_in_use_is_what_is_examined(env: Callable[..., None]) -> None:
    """`%minimax simulator` and then `%minimax doctor`: the simulator's server and key, not MiniMax's."""
    env(base_url="https://api.minimax.invalid", code_plan_key="sk-cp-of-minimax-itself")
    with Simulator(key="sk-api-of-the-simulator") as server:
        findings = examine(simulated(server))
        found = by_check(findings)
        assert server.url in found["endpoint"].said
    assert verdict(findings).exit_code == 0
    assert "the simulator" in found["credential"].said
    assert "the simulator" in found["region"].said
    assert "100.00 USD left" in found["account"].said
    assert "minimax.invalid" not in repr(findings)


def test_it_may_be_asked_again(sim: Simulator) -> None:
    """One doctor examines as often as it is asked, each time anew."""
    session = Session()
    doctor = Doctor(session, spend=False, environ={}, versions=GOOD)

    async def whole() -> list[str]:
        states: list[str] = []
        try:
            for key in (KEY, "sk-cp-another-key"):
                sim.key = key
                found = by_check([one async for one in doctor.findings()])
                states.append(found["authentication"].state)
        finally:
            await session.close()
        return states

    assert asyncio.run(whole()) == ["ok", "failed"]


# ---------------------------------------------------------------------------- what goes wrong inside


def test_what_a_failure_makes_senseless_is_skipped_and_says_why(env: Callable[..., None]) -> None:
    """The first that failed is named by all that were not asked because of it; the rest is asked."""
    env(base_url="https://api.minimax.io", code_plan_key=KEY)
    network = FakeNetwork(addresses=APIConnectionError("The name api.minimax.io was not found."))
    found = see(network=network)
    assert found["dns"].state == "failed"
    for name in ("tcp", "tls", "clock", "authentication", "account", "completion", "streaming"):
        assert found[name].state == "skipped"
        assert found[name].said == "Not asked, since Name resolution failed."
    assert found["proxy"].state == found["environment"].state == found["versions"].state == "ok"
    assert [step for step, *_ in network.asked] == ["resolve"]


def test_a_fault_of_a_check_is_its_finding(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in one check is said to be one, without its words, and the next checks go on."""

    async def broken(case: Case) -> Found:
        raise ZeroDivisionError(KEY)

    checks = tuple(replace(one, ask=broken) if one.name == "clock" else one for one in CHECKS)
    monkeypatch.setattr(doctor_module, "CHECKS", checks)
    found = see(spend=False)
    assert found["clock"].state == "failed"
    assert found["clock"].error == "ZeroDivisionError"
    assert "fault of its own (ZeroDivisionError)" in found["clock"].said
    assert KEY not in repr(found)
    assert found["authentication"].state == "ok"


def test_secrets_are_masked_whoever_says_them(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that lets a key slip into its words, facts or steps shows none of it."""

    async def careless(case: Case) -> Found:
        key = case.in_use.secret.get_secret_value()  # type: ignore[union-attr]
        return Found("failed", f"It is {key}", (("Key", key),), "unauthorized")

    checks = tuple(replace(one, ask=careless) if one.name == "clock" else one for one in CHECKS)
    monkeypatch.setattr(doctor_module, "CHECKS", checks)
    finding = see(spend=False)["clock"]
    assert KEY not in repr(finding)
    assert finding.said == "It is ***."


def test_a_check_that_never_ends_is_given_up(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever for one check, whatever it waits for."""

    async def endless(case: Case) -> Found:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    checks = tuple(replace(one, ask=endless) if one.name == "clock" else one for one in CHECKS)
    monkeypatch.setattr(doctor_module, "CHECKS", checks)
    monkeypatch.setattr(doctor_module, "_LONGEST_S", 0.1)
    found = see(spend=False)
    assert found["clock"].state == "failed"
    assert found["clock"].said == "Given up after 0.1 s."
    assert found["account"].state == "ok"


def test_interrupting_closes_what_is_open(sim: Simulator) -> None:
    """Stopped in the middle of an answer, the request ends at the server too."""
    sim.script(Silence(3))
    session = Session()
    doctor = Doctor(session, environ={}, versions=GOOD)

    async def whole() -> list[Finding]:
        found: list[Finding] = []

        async def go() -> None:
            async for finding in doctor.findings():
                found.append(finding)

        task = asyncio.create_task(go())
        while not any(one.body and one.body["model"] for one in sim.requests):
            await asyncio.sleep(0.01)
        assert doctor.running == "Completion"
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await session.close()
        return found

    found = asyncio.run(asyncio.wait_for(whole(), 20))
    assert [finding.check for finding in found] == ORDER[: ORDER.index("completion")]
    assert doctor.running == ""
    assert sim.wait_for(lambda server: server.requests[-1].closed_early)


def test_left_early_nothing_more_is_asked(sim: Simulator) -> None:
    """Whoever closes the generator after a finding gets no further request."""
    session = Session()
    doctor = Doctor(session, environ={}, versions=GOOD)

    async def whole() -> None:
        findings = doctor.findings()
        async for finding in findings:
            if finding.check == "endpoint":
                break
        await findings.aclose()
        await session.close()

    asyncio.run(whole())
    assert sim.requests == []
    assert doctor.running == ""


def test_the_titles_tell_what_comes(sim: Simulator) -> None:
    """The titles are those of the findings; the program has one only if it is asked about."""
    doctor = Doctor(Session(), environ={})
    titles = list(dict.fromkeys(finding.title for finding in examine(spend=False)))
    assert list(doctor.titles) == titles
    assert "Program" not in titles
    assert "Program" in Doctor(Session(), environ={}, program="aider").titles


def test_needs_come_before(env: Callable[..., None]) -> None:
    """Each check needs only what was asked before it."""
    seen: set[str] = set()
    for check in CHECKS:
        assert isinstance(check, Check)
        assert seen >= set(check.needs), check.name
        seen.add(check.name)


# ---------------------------------------------------------------------------- single checks


def test_the_files_that_were_read_are_named(sim: Simulator, tmp_path: Path) -> None:
    """Files, agents and variables that win over files are facts; the model is said."""
    (tmp_path / "config" / "llm.yaml").write_text("providers: {minimax: {model: MiniMax-M3}}\n")
    (tmp_path / "config" / "agents.d").mkdir()
    text = "agents: [{id: ana, model: {provider: minimax}}]\n"
    (tmp_path / "config" / "agents.d" / "ana.yaml").write_text(text)
    finding = see(spend=False)["config"]
    facts = dict(finding.facts)
    assert finding.said == (
        "Read config/llm.yaml and config/agents.d/ana.yaml. The model is MiniMax-M3. 1 agent."
    )
    assert facts["Agents"] == "ana"
    assert facts["Variables over files"] == "MINIMAX_BASE_URL"
    assert facts["Model"] == "MiniMax-M3 (config/llm.yaml line 1)"


def test_all_places_of_a_credential_are_shown(
    sim: Simulator, env: Callable[..., None], tmp_path: Path
) -> None:
    """Which one wins, which other is there and not used, and which are empty; all masked."""
    env(coding_api_key="sk-api-another-one-0123")
    finding = see(spend=False)["credential"]
    facts = dict(finding.facts)
    assert facts["environment MINIMAX_CODE_PLAN_KEY"] == "used: sk-cp-..."
    assert facts["environment MINIMAX_CODING_API_KEY"] == "there, but not used: sk-api-..."
    assert facts["secrets/minimax_code_plan_key.txt"] == "nothing"
    assert "another in environment MINIMAX_CODING_API_KEY" in finding.said
    assert "another-one" not in repr(finding)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("sk-cp-abcdefgh", "Token Plan key"),
        ("sk-api-abcdefgh", "pay-as-you-go key"),
        ("eyJabcdefghijkl", "key of the older form (either kind)"),
        ("abcdefgh", "key of unknown kind"),
    ],
)
def test_the_kind_of_a_key_is_only_a_hint(env: Callable[..., None], key: str, kind: str) -> None:
    """A key's beginning tells its kind, and is said to be only a hint."""
    env(base_url="https://api.minimax.io", code_plan_key=key)
    finding = see(spend=False, network=FakeNetwork(connected=APIConnectionError("no")))["region"]
    facts = dict(finding.facts)
    assert facts["Kind"] == kind
    assert "only a hint" in facts["Told from"]
    assert facts["Region"] == "Global"
    assert key not in repr(finding)


@pytest.mark.parametrize(
    ("base_url", "state", "said"),
    [
        ("https://api.minimax.io", "ok", "https://api.minimax.io/v1/text/chatcompletion_v2"),
        ("https://api.minimax.io/anthropic", "ok", "https://api.minimax.io/anthropic/v1/messages"),
        ("https://api.minimax.io/v2", "warning", "nothing below /v2"),
        ("https://platform.minimax.io", "warning", "a web page"),
        ("https://api.anthropic.com", "failed", "is not MiniMax"),
        ("https://api.minimax.chat/v1", "note", "an old address"),
        ("https://api.minimax.io/anthropic/v1/messages", "note", "a whole endpoint"),
        ("https://gateway.example.com/minimax", "ok", "https://gateway.example.com/minimax/v1/"),
    ],
)
def test_the_address_and_its_traps(
    env: Callable[..., None], base_url: str, state: str, said: str
) -> None:
    """The URL that results is said, and where people are known to set a wrong one, that too."""
    env(base_url=base_url, code_plan_key=KEY)
    network = FakeNetwork(connected=APIConnectionError("no"))
    finding = see(spend=False, network=network)["endpoint"]
    assert finding.state == state
    assert said in finding.said
    assert (finding.trouble is not None) == (state in ("warning", "failed"))


def test_a_name_and_a_certificate_are_told(env: Callable[..., None]) -> None:
    """Addresses, issuer and end of the certificate; nothing of it is asked of the real network."""
    env(base_url="https://api.minimax.invalid", code_plan_key=KEY)
    network = FakeNetwork(("203.0.113.7", "203.0.113.8", "2001:db8::1"))
    found = see(spend=False, network=network)
    assert found["dns"].said == "api.minimax.invalid is 203.0.113.7, 203.0.113.8 and 1 more."
    assert found["tcp"].said == "Port 443 of api.minimax.invalid accepts connections."
    assert "TLSv1.3, certificate signed by DigiCert Inc, valid until 2999" in found["tls"].said
    assert network.asked[-1] == ("handshake", "api.minimax.invalid", 443, None)


def test_a_certificate_that_ends_soon_is_a_note(env: Callable[..., None]) -> None:
    """Within two weeks of its end, it says when that is; nothing is wrong yet."""
    env(base_url="https://api.minimax.invalid", code_plan_key=KEY)
    soon = datetime.now(UTC) + timedelta(days=3, minutes=1)
    network = FakeNetwork(shown=Certificate("Let's Encrypt", soon, "TLSv1.2"))
    finding = see(spend=False, network=network)["tls"]
    assert finding.state == "note"
    assert finding.said.endswith("it ends in 3 days.")


def test_an_address_inside_the_own_network_is_a_note(env: Callable[..., None]) -> None:
    """MiniMax behind a private address means that a VPN or a filter answers for its name."""
    env(base_url="https://api.minimax.io", code_plan_key=KEY)
    network = FakeNetwork(("10.1.2.3",), connected=APIConnectionError("no"))
    finding = see(spend=False, network=network)["dns"]
    assert finding.state == "note"
    assert "VPN" in finding.said


def test_through_a_proxy_its_own_name_and_port_are_asked(env: Callable[..., None]) -> None:
    """Name and connection are the proxy's, the certificate is the server's; no password is shown."""
    env(base_url="https://api.minimax.invalid", code_plan_key=KEY)
    address = "http://me:PLANTED-pw@proxy.example:3128"
    network = FakeNetwork(proxy=address)
    environ = {"https_proxy": address, "NO_PROXY": "localhost"}
    found = see(spend=False, network=network, environ=environ)
    assert network.asked == [
        ("resolve", "proxy.example", 3128),
        ("connect", "proxy.example", 3128),
        ("handshake", "api.minimax.invalid", 443, address),
    ]
    assert found["proxy"].said == "Requests go through http://proxy.example:3128."
    facts = dict(found["proxy"].facts)
    assert facts["https_proxy"] == "http://proxy.example:3128"
    assert facts["NO_PROXY"] == "localhost"
    assert "PLANTED" not in repr(found)


def test_this_machine_is_reached_without_a_proxy(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that is set and not used is said to be that."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    found = see(spend=False, environ={"HTTP_PROXY": "http://proxy.example:3128"})
    assert found["proxy"].state == "ok"
    assert "None is used for 127.0.0.1" in found["proxy"].said
    assert found["authentication"].state == "ok"


def test_what_may_be_asked_of_the_clock_carries_no_key(sim: Simulator) -> None:
    """The time is asked for without a credential."""
    see(spend=False)
    first = sim.requests[0]
    assert first.path == "/v1/token_plan/remains"
    assert not {"authorization", "x-api-key"} & {name.lower() for name in first.headers}


# ---------------------------------------------------------------------------- versions


def test_the_oldest_versions_are_those_of_the_package() -> None:
    """What is called too old here is what cannot be installed beside it."""
    file = Path(__file__).parent.parent.parent / "pyproject.toml"
    project = tomllib.loads(file.read_text())["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    lines.append(f"python{project['requires-python']}")
    oldest = dict(line.split(">=") for line in lines if ">=" in line)
    assert {name: oldest[name] for name in OLDEST} == OLDEST


def test_versions_are_listed_and_what_is_too_old_is_named(sim: Simulator) -> None:
    """What is installed is a fact, something too old a warning with its name."""
    here = Versions((("python", "3.12.1"), ("aiohttp", "3.9.5")), "VS Code", "Linux 6.1")
    finding = see(spend=False, versions=here)["versions"]
    assert finding.state == "warning"
    assert trouble_in(finding) == "versions"
    assert "aiohttp 3.9.5 (at least 3.11)" in finding.said
    assert dict(finding.facts)["front end"] == "VS Code"


def test_this_process_is_new_enough() -> None:
    """The versions here are found, and none of them is too old."""
    here = versions_here({})
    assert {"python", "aiohttp", "pydantic", "ipython"} <= {name for name, _ in here.packages}
    assert here.too_old() == ()


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"JPY_SESSION_NAME": "/x/a.ipynb"}, "JupyterLab or Notebook"),
        ({"VSCODE_PID": "1", "JPY_PARENT_PID": "2"}, "VS Code"),
        ({"COLAB_RELEASE_TAG": "r", "JPY_PARENT_PID": "2"}, "Google Colab"),
        ({"TERM_PROGRAM": "vscode"}, "VS Code's terminal"),
    ],
)
def test_the_front_end_is_told_from_variables(environ: dict[str, str], name: str) -> None:
    """VS Code and Colab set Jupyter's variables too, and are told apart from it."""
    assert front_end(environ) == name
