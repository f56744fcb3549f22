"""Each trouble of the guide, made on purpose: the check that finds it names it, and what mends it."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from desk import FakeNetwork, examine, see, trouble_in

from minimax_magic.auth import probe as probing
from minimax_magic.auth.bundle_file import BUNDLE_FILE
from minimax_magic.doctor import checks_account
from minimax_magic.doctor.checks_account import other_regions
from minimax_magic.doctor.findings import Finding, verdict
from minimax_magic.doctor.network import TLSFailed
from minimax_magic.errors import APIConnectionError, APITimeoutError, ConfigError
from minimax_magic.session import Session
from minimax_magic.simulator import Simulator
from minimax_magic.simulator.behaviours import Drop, Fail, FailMidStream, Raw, Reply
from minimax_magic.testing import Answer, FakeClock, FakeTransport, json_answer, sse_answer
from minimax_magic.transport import AiohttpTransport
from minimax_magic.wire.http import HttpRequest

KEY = "sk-cp-PLANTED-0123456789abcdef"
REFUSED = json_answer({"error": {"message": "invalid api key (2049)"}}, 401)
NO_ROUTE = Answer(404, {"content-type": "text/plain"}, (b"404 page not found",))
NO_MODEL = json_answer({"error": {"message": "no model (2013)"}}, 400)
PAID_KEY = "sk-api-PLANTED-0123456789abcdef"


@pytest.fixture
def sim(env: Callable[..., None]) -> Iterator[Simulator]:
    """A simulator that is configured as MiniMax would be."""
    with Simulator(key=KEY) as simulator:
        env(base_url=simulator.url, code_plan_key=KEY)
        yield simulator


def words(finding: Finding) -> str:
    """All that a person reads of it."""
    told = finding.trouble
    below = (*told.causes, *told.steps) if told is not None else ()
    facts = (f"{label} {value}" for label, value in finding.facts)
    return " ".join((finding.said, *facts, *below))


def failed(found: dict[str, Finding]) -> list[str]:
    return [name for name, finding in found.items() if finding.state == "failed"]


# ---------------------------------------------------------------------------- setting up


def test_no_key_is_named_and_where_it_was_looked_for(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key nothing is asked with one; the way to the server still is examined."""
    monkeypatch.delenv("MINIMAX_CODE_PLAN_KEY")
    found = see()
    assert failed(found) == ["credential"]
    assert trouble_in(found["credential"]) == "key_missing"
    assert found["credential"].error == "CredentialsMissing"
    assert ("environment MINIMAX_CODE_PLAN_KEY", "nothing") in found["credential"].facts
    assert found["authentication"].said == "Not asked, since Credential failed."
    assert found["tcp"].state == found["clock"].state == "ok"


def test_a_file_that_is_wrong_names_its_line(sim: Simulator, tmp_path: Path) -> None:
    """The file and line are said; what needs no settings is asked all the same."""
    (tmp_path / "config" / "llm.yaml").write_text("providers:\n  minimax: {modle: x}\n")
    found = see(environ={"ANTHROPIC_BASE_URL": "https://api.minimax.io/v1"})
    assert failed(found) == ["config"]
    assert trouble_in(found["config"]) == "config_invalid"
    assert "config/llm.yaml line 2" in found["config"].said
    assert found["credential"].said == "Not asked, since Configuration failed."
    assert trouble_in(found["environment"]) == "wrong_wire"
    assert found["versions"].state == "ok"


def test_an_address_that_cannot_be_used(sim: Simulator, env: Callable[..., None]) -> None:
    """Plain http to another machine is refused before anything is sent, once and where it belongs."""
    env(base_url="http://api.minimax.io")
    network = FakeNetwork()
    found = see(network=network)
    assert failed(found) == ["endpoint"]
    assert trouble_in(found["endpoint"]) == "config_invalid"
    assert "plain http" in found["endpoint"].said
    assert network.asked == []


def test_a_key_with_blanks_in_it_is_no_key(sim: Simulator, env: Callable[..., None]) -> None:
    """What cannot be a key is refused before it is sent, and is shown nowhere."""
    env(code_plan_key="Bearer PLANTED-0123")
    found = see()
    assert failed(found) == ["credential"]
    assert trouble_in(found["credential"]) == "key_unusable"
    assert "PLANTED" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        *("your_minimax_api_key_here", "YOUR-API-KEY", "sk-your_key_here", "<your key>", "***"),
        *("sk-cp-...", "sk-api-***", "sk-xxxxxxxx", "%MINIMAX_API_KEY%", "$KEY", "{{ api_key }}"),
    ],
)
def test_a_placeholder_is_no_key(sim: Simulator, env: Callable[..., None], text: str) -> None:
    """What examples have in place of a key, or what was masked, is named as that and sent nowhere."""
    text = text.replace(" ", "_")  # with blanks it is refused as it is
    env(code_plan_key=text)
    found = see()
    assert failed(found) == ["credential"]
    assert "is a placeholder" in found["credential"].said
    assert trouble_in(found["credential"]) == "key_unusable"
    assert not any(one.headers.get("Authorization") for one in sim.requests)


def test_a_variable_without_a_value_is_not_missing(
    sim: Simulator, env: Callable[..., None]
) -> None:
    """A variable that is set to nothing is told from one that is not set."""
    found = see(environ={"MINIMAX_CODING_API_KEY": ""})
    facts = dict(found["credential"].facts)
    assert facts["environment MINIMAX_CODING_API_KEY"] == "set, but empty"
    assert not any("set, but" in value for name, value in facts.items() if "CODING" not in name)


def test_the_hint_of_a_damaged_login_is_whole(sim: Simulator, tmp_path: Path) -> None:
    """What to do about a file that is damaged is not cut off."""
    (tmp_path / "secrets" / BUNDLE_FILE).write_text("{")
    (told,) = [value for _, value in see()["credential"].facts if "damaged" in value]
    assert told.endswith("log in again with `%minimax login`.")


# ---------------------------------------------------------------------------- the login's file


def bundle(
    tmp_path: Path, sim: Simulator | SimpleNamespace, left_s: float = 600, **more: Any
) -> Path:
    """A login on the disk, for its owner alone."""
    folder = tmp_path / "secrets"
    folder.chmod(0o700)
    file = folder / BUNDLE_FILE
    data = {
        "access_token": "PLANTED-access-token",
        "refresh_token": "PLANTED-refresh-token",
        "expires_at": time.time() + left_s,
        "region": sim.url,
        **more,
    }
    file.write_text(json.dumps({name: one for name, one in data.items() if one is not None}))
    file.chmod(0o600)
    return file


def test_a_damaged_bundle_is_named_and_not_passed_over(sim: Simulator, tmp_path: Path) -> None:
    """A login that cannot be read is not replaced by the key behind it, of another account."""
    bundle(tmp_path, sim).write_text('{"access_token": "PLANTED-acc')
    found = see()
    assert failed(found) == ["credential"]
    assert trouble_in(found["credential"]) == "bundle_damaged"
    assert f"secrets/{BUNDLE_FILE} is damaged" in found["credential"].said
    assert "PLANTED" not in repr(found)


def test_an_expired_bundle_that_cannot_be_renewed(sim: Simulator, tmp_path: Path) -> None:
    """Without a refresh token an expired login has ended: sign in again."""
    bundle(tmp_path, sim, left_s=-60, refresh_token=None)
    found = see()
    assert found["bundle"].state == "failed"
    assert trouble_in(found["bundle"]) == "unauthorized"
    assert "has expired and cannot be renewed" in found["bundle"].said
    assert "minimax login" in words(found["bundle"])
    assert trouble_in(found["authentication"]) == "unauthorized"
    assert "PLANTED" not in repr(found)


def test_an_expired_bundle_whose_refresh_token_was_revoked(sim: Simulator, tmp_path: Path) -> None:
    """What the account's server does not renew any more is a 401 with the login as its cause."""
    bundle(tmp_path, sim, left_s=-60)
    found = see()
    assert found["bundle"].state == "ok"
    assert "will be renewed now" in found["bundle"].said
    assert failed(found) == ["authentication"]
    assert trouble_in(found["authentication"]) == "unauthorized"
    assert found["completion"].state == "skipped"


def test_a_login_that_is_refused_is_renewed_once(sim: Simulator, tmp_path: Path) -> None:
    """A token that the server does not take, though it looks good, is renewed, and that one counts."""
    tokens = sim.account.issue()
    bundle(tmp_path, sim, refresh_token=tokens.refresh_token)
    found = see(spend=False)
    assert found["authentication"].state == "ok"
    assert "after it was renewed" in found["authentication"].said
    assert found["account"].state == "ok"
    assert tokens.refresh_token not in repr(found)


@pytest.mark.parametrize(("file", "folder"), [(0o644, 0o700), (0o600, 0o755)])
def test_a_bundle_that_others_may_read(
    sim: Simulator, tmp_path: Path, file: int, folder: int
) -> None:
    """Permissions of the file and of its folder are looked at, and the mode is said."""
    tokens = sim.account.issue()
    path = bundle(tmp_path, sim, access_token=tokens.access_token)
    path.chmod(file)
    path.parent.chmod(folder)
    findings = examine(spend=False)
    finding = next(one for one in findings if one.check == "bundle")
    assert finding.state == "warning"
    assert trouble_in(finding) == "bundle_permissions"
    assert f"({stat.S_IMODE(file if file != 0o600 else folder):04o})" in finding.said
    assert "chmod 600" in words(finding)
    assert verdict(findings).exit_code == 3


def test_a_key_file_that_others_may_read(sim: Simulator, tmp_path: Path, env: Any) -> None:
    """The same is said of a file with a key in it."""
    env(code_plan_key="")
    file = tmp_path / "secrets" / "minimax_code_plan_key.txt"
    file.parent.chmod(0o700)
    file.write_text(KEY)
    file.chmod(0o644)
    finding = see(spend=False)["bundle"]
    assert trouble_in(finding) == "bundle_permissions"


# ---------------------------------------------------------------------------- 401


def test_401_names_key_and_region_and_that_nothing_was_spent(
    sim: Simulator, env: Callable[..., None]
) -> None:
    """A wrong key: causes in order, and what needs it is not asked."""
    env(code_plan_key="sk-cp-PLANTED-wrong-one")
    found = see()
    finding = found["authentication"]
    assert failed(found) == ["authentication"]
    assert trouble_in(finding) == "unauthorized"
    assert finding.error == "CredentialInvalid"
    assert "401" in finding.said
    assert "nothing is spent" in words(finding)
    assert found["account"].state == found["completion"].state == "skipped"
    assert "PLANTED" not in repr(found)
    assert sim.served.requests == 0


def test_401_of_a_key_that_the_other_region_takes(sim: Simulator, env: Callable[..., None]) -> None:
    """The other region is asked for the quota and nothing else; if it takes the key, that is the first
    thing to mend."""
    key = "sk-cp-PLANTED-of-the-other"
    env(code_plan_key=key)
    with Simulator(key=key) as other:
        finding = see(other_roots=lambda root: [other.url])["authentication"]
        asked = [(one.method, one.path) for one in other.requests]
        root = other.url
    assert asked == [("GET", "/v1/token_plan/remains")]
    assert finding.state == "failed"
    assert f"{root} takes it" in finding.said
    assert "only the plan's quota was read there" in finding.said
    assert finding.trouble is not None
    assert finding.trouble.steps[0].startswith(f"Set base_url to {root}")
    assert "PLANTED" not in repr(finding)


def test_401_of_a_key_that_no_region_takes(sim: Simulator, env: Callable[..., None]) -> None:
    """That the other region was asked, and for what, is said also if it was in vain."""
    env(code_plan_key="sk-cp-PLANTED-of-nobody")
    with Simulator(key=KEY) as other:
        finding = see(other_roots=lambda root: [other.url])["authentication"]
        root = other.url
    facts = dict(finding.facts)
    assert root in facts["Other region"]
    assert "asked for the quota only" in facts["Other region"]
    assert "base_url to" not in finding.said


def test_a_login_is_sent_to_no_other_region(env: Callable[..., None], tmp_path: Path) -> None:
    """A login's token goes to its own region alone, though it is refused again after its renewal."""
    renewed = {"access_token": "PLANTED-new", "expired_in": (time.time() + 900) * 1000}

    def answer(request: HttpRequest) -> Answer:
        if request.url.endswith("/oauth/token"):
            return json_answer({"status": "success", "refresh_token": "PLANTED-next", **renewed})
        return json_answer({"error": {"message": "invalid api key (2049)"}}, 401)

    env(base_url="https://gateway.invalid")
    region = SimpleNamespace(url="https://gateway.invalid")
    bundle(tmp_path, region)
    transport = FakeTransport(answer)
    session = Session(make_transport=lambda: transport)
    found = see(session, network=FakeNetwork(), other_roots=lambda root: ["https://other.invalid"])
    assert trouble_in(found["authentication"]) == "unauthorized"
    assert dict(found["authentication"].facts)["Renewed"]
    tokens = [request.headers.get("Authorization", "") for request in transport.sent]
    assert any(token.endswith("PLANTED-new") for token in tokens)
    assert all(request.url.startswith("https://gateway.invalid/") for request in transport.sent)
    assert "PLANTED" not in repr(found)


def test_a_login_that_has_ended_is_sent_nowhere_else(sim: Simulator, tmp_path: Path) -> None:
    """One that cannot be renewed any more is not tried in another region either."""
    tokens = sim.account.issue()
    bundle(tmp_path, sim, access_token="PLANTED-x", refresh_token=tokens.refresh_token)
    sim.account.revoke_all()
    with Simulator(key=KEY) as other:
        found = see(other_roots=lambda root: [other.url])
        assert other.requests == []
    assert trouble_in(found["authentication"]) == "unauthorized"


@pytest.mark.parametrize(
    ("root", "others"),
    [
        ("https://api.minimax.io", ("https://api.minimaxi.com",)),
        ("https://api.minimaxi.com", ("https://api.minimax.io",)),
        ("https://api.minimax.cn", ("https://api.minimax.io",)),
        ("http://127.0.0.1:4000", ()),
        ("https://api.minimax.io.example.com", ()),
    ],
)
def test_only_servers_of_minimax_have_another_region(root: str, others: tuple[str, ...]) -> None:
    """A gateway's key is sent to nobody else."""
    assert other_regions(root) == others


def test_401_on_one_wire_of_a_key_that_the_other_takes(env: Callable[..., None]) -> None:
    """Where /anthropic refuses what /v1 takes, the key is of the other kind, and the address is told."""

    def answer(request: HttpRequest) -> Answer:
        if request.url.endswith("/v1/messages"):
            return REFUSED
        return json_answer({"error": {"message": "no model (2013)"}}, 400)

    env(base_url="https://api.minimax.invalid/anthropic", code_plan_key=PAID_KEY)
    session = Session(make_transport=lambda: FakeTransport(answer))
    finding = see(session, network=FakeNetwork())["authentication"]
    assert trouble_in(finding) == "unauthorized"
    other = "https://api.minimax.invalid/v1/text/chatcompletion_v2"
    assert f"Another route of this server takes the key: {other}." in finding.said
    assert finding.trouble is not None
    assert finding.trouble.steps[0].startswith("Set base_url to https://api.minimax.invalid ")


@pytest.mark.parametrize("path", ["", "/anthropic"])
def test_401_where_models_are_public(env: Callable[..., None], path: str) -> None:
    """A list of models that everybody gets is no other route that takes the key."""

    def answer(request: HttpRequest) -> Answer:
        if request.method == "GET":
            return json_answer({"data": []})
        return REFUSED if not path or "/anthropic/" not in request.url else NO_ROUTE

    env(base_url=f"https://gateway.example.com{path}", code_plan_key=PAID_KEY)
    session = Session(make_transport=lambda: FakeTransport(answer))
    finding = see(session, network=FakeNetwork())["authentication"]
    assert trouble_in(finding) == "unauthorized"
    assert "Another route" not in finding.said
    assert finding.trouble is not None
    assert "base_url" not in finding.trouble.causes[0]


def test_401_and_another_region_that_cannot_be_asked(
    sim: Simulator, env: Callable[..., None]
) -> None:
    """A region that was not reached is not said to refuse the key."""
    env(code_plan_key="sk-cp-PLANTED-of-nobody")
    nobody = f"http://127.0.0.1:{closed_port()}"
    finding = see(other_roots=lambda root: [nobody])["authentication"]
    assert ("Other region", f"{nobody} could not be asked") in finding.facts


def test_401_and_another_region_whose_plan_is_used_up(
    sim: Simulator, env: Callable[..., None]
) -> None:
    """Who says that nothing is left knows the key."""
    env(code_plan_key="sk-cp-PLANTED-of-the-other")
    used_up = json_answer({"base_resp": {"status_code": 2056, "status_msg": "usage limit"}})

    def answer(request: HttpRequest) -> Answer:
        return used_up if request.url.startswith("https://other.invalid") else REFUSED

    session = Session(make_transport=lambda: FakeTransport(answer))
    finding = see(session, other_roots=lambda root: ["https://other.invalid"])["authentication"]
    assert "https://other.invalid takes it" in finding.said


# ---------------------------------------------------------------------------- the account


def test_403_an_empty_account(sim: Simulator, env: Callable[..., None]) -> None:
    """A balance of 0 is found before the model is asked: how to add credits, how long to wait."""
    sim.key = PAID_KEY
    env(code_plan_key=PAID_KEY)
    sim.account.available_amount = "0"
    found = see(spend=False)
    assert failed(found) == ["account"]
    assert trouble_in(found["account"]) == "forbidden"
    for part in ("0.00 USD", "$25", "2-3 minutes", "https://platform.minimax.io"):
        assert part in words(found["account"])


def asked_at_a_gateway(env: Callable[..., None], answer: Answer, **options: Any) -> Any:
    """What is found where each request has the same answer."""
    env(base_url="https://gateway.example.com", code_plan_key=KEY)
    session = Session(make_transport=lambda: FakeTransport(lambda request: answer))
    return examine(session, network=FakeNetwork(), **options)


@pytest.mark.parametrize(
    ("status", "code", "trouble"),
    [
        (403, 1008, "forbidden"),
        (200, 1008, "forbidden"),
        (200, 2056, "quota_exceeded"),
        (429, 2056, "quota_exceeded"),
    ],
)
def test_an_account_that_is_empty_is_found_without_spending(
    env: Callable[..., None], status: int, code: int, trouble: str
) -> None:
    """The key is known and nothing is left: that is no good news, whatever the account's figures say."""
    words = json_answer({"base_resp": {"status_code": code, "status_msg": "no"}}, status)
    findings = asked_at_a_gateway(env, words, spend=False)
    found = {one.check: one for one in findings}
    assert found["authentication"].state == "note"
    assert "nothing is left" in found["authentication"].said
    assert failed(found) == ["account"]
    assert trouble_in(found["account"]) == trouble
    assert verdict(findings).exit_code == 1


def test_a_plan_that_is_used_up_although_its_figures_are_good(sim: Simulator) -> None:
    """Figures lag behind: what the server said to the question counts, and they are shown beside it."""
    used_up = json_answer({"base_resp": {"status_code": 2056, "status_msg": "usage limit"}})

    class UsedUp(AiohttpTransport):
        async def send(self, request: HttpRequest) -> Any:
            return used_up if request.method == "POST" else await super().send(request)

    found = see(Session(make_transport=UsedUp), spend=False)
    assert trouble_in(found["account"]) == "quota_exceeded"
    assert dict(found["account"].facts)["5 hours"]


@pytest.mark.parametrize(
    ("answer", "trouble", "cause"),
    [
        (json_answer({}), "no_answer", ""),
        (json_answer({"status": "fine"}), "no_answer", ""),
        (
            Answer(403, {"content-type": "text/html"}, (b"<h1>Sorry, you have been blocked</h1>",)),
            "no_answer",
            "A firewall, a filter or the server's own protection",
        ),
        (Answer(403, {}, (b"no",)), "no_answer", "A firewall, a filter"),
        (NO_ROUTE, "not_found", "gateway.example.com is none of MiniMax's own servers"),
        (json_answer({"error": {"message": "busy"}}, 529), "overloaded", ""),
        (json_answer({"error": {"message": "rate limit (1002)"}}, 429), "rate_limited", ""),
    ],
    ids=["empty", "other JSON", "blocked", "refused", "no route", "busy", "too many"],
)
def test_what_is_no_yes_is_none(
    env: Callable[..., None], answer: Answer, trouble: str, cause: str
) -> None:
    """Whatever else answers than the API, or what does not tell, never makes all well; the likeliest
    cause comes first."""
    findings = asked_at_a_gateway(env, answer, spend=False)
    found = {one.check: one for one in findings}
    assert failed(found) == ["authentication"]
    assert trouble_in(found["authentication"]) == trouble
    assert verdict(findings).exit_code == 1
    assert found["authentication"].trouble is not None
    assert cause in found["authentication"].trouble.causes[0]


def test_a_busy_server_is_a_warning_where_the_model_answers(env: Callable[..., None]) -> None:
    """A moment's overload counts no more than a warning once the model has answered."""

    def answer(request: HttpRequest) -> Answer:
        if not _body(request).get("model"):
            return json_answer({"error": {"message": "busy"}}, 529)
        message = {"role": "assistant", "content": "API test successful"}
        return json_answer({"choices": [{"message": message, "finish_reason": "stop"}]})

    env(base_url="https://gateway.example.com", code_plan_key=KEY)
    session = Session(make_transport=lambda: FakeTransport(answer))
    found = see(session, network=FakeNetwork())
    assert found["authentication"].state == "warning"
    assert found["completion"].state == "ok"


def test_a_server_that_answers_without_end_is_given_up(
    env: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then is no answer either: after some time it is said to be none."""
    monkeypatch.setattr(probing, "_LONGEST_S", 0.1)

    class Dripping(Answer):
        async def chunks(self) -> Any:
            while True:
                yield b" "
                await asyncio.sleep(0.01)

    found = {one.check: one for one in asked_at_a_gateway(env, Dripping(200), spend=False)}
    assert failed(found) == ["authentication"]
    assert trouble_in(found["authentication"]) == "silent"
    assert "did not finish its answer within 0.1 s" in found["authentication"].said


def test_a_login_that_cannot_be_renewed_for_silence(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account's server that is silent is not waited for through all attempts to renew a login."""
    monkeypatch.setattr(checks_account, "_RENEWAL_S", 0.1)
    bundle(tmp_path, sim, left_s=-60)

    class Slow(AiohttpTransport):
        async def send(self, request: HttpRequest) -> Any:
            if request.url.endswith("/oauth/token"):
                await asyncio.sleep(0.5)
            return await super().send(request)

    found = see(Session(make_transport=Slow), spend=False)
    assert failed(found) == ["authentication"]
    assert trouble_in(found["authentication"]) == "silent"
    assert "could not be renewed" in found["authentication"].said


@pytest.mark.parametrize(
    "error",
    [
        APITimeoutError("gateway.example.com sent nothing for 15 s."),
        APIConnectionError("gateway.example.com closed the connection without an answer."),
        APIConnectionError("The connection to gateway.example.com failed: BadStatusLine."),
    ],
    ids=["silent", "closed", "garbage"],
)
def test_after_a_good_connection_the_internet_is_there(
    env: Callable[..., None], error: APIConnectionError
) -> None:
    """What is wrong after the connection was made is no matter of the network's."""
    env(base_url="https://gateway.example.com", code_plan_key=KEY)
    session = Session(make_transport=lambda: FakeTransport(error))
    finding = see(session, network=FakeNetwork())["authentication"]
    assert trouble_in(finding) == "silent"
    assert "Internet" not in words(finding)


@pytest.mark.parametrize(
    ("fail", "name", "part"),
    [
        (Fail(code=1008), "forbidden", "insufficient balance"),
        (Fail(403), "forbidden", "403"),
        (Fail(code=1002), "rate_limited", "429"),
        (Fail(529), "overloaded", "529"),
        (Fail(code=1000), "overloaded", "500"),
        (Fail(code=2061), "plan_model", "does not support this model"),
        (Fail(code=1026), "content_refused", "1026"),
        (Fail(code=2013), "request_rejected", "2013"),
        (Fail(200, 1008), "forbidden", "insufficient balance"),
        (Raw(200, "text/html", "<h1>Sign in to WiFi</h1>"), "no_answer", "text/html"),
    ],
    ids=str,
)
def test_what_a_request_for_an_answer_may_end_in(
    sim: Simulator, fail: Any, name: str, part: str
) -> None:
    """Each refusal of the model's answer has its name and the server's words; nothing is tried twice."""
    sim.script(fail)
    found = see()
    assert failed(found) == ["completion"]
    assert trouble_in(found["completion"]) == name
    assert part in found["completion"].said
    assert found["streaming"].said == "Not asked, since Completion failed."
    assert len([one for one in sim.requests if one.body and one.body.get("model")]) == 1


def test_2056_names_when_it_resets(sim: Simulator) -> None:
    """A plan that is used up: the time of its reset is said, whatever the percent was."""
    sim.script(Fail(code=2056, resets_at="2999-05-15T15:00:00Z"))
    finding = see()["completion"]
    assert trouble_in(finding) == "quota_exceeded"
    assert "resets at 2999-05-15 15:00 UTC" in finding.said
    assert finding.error == "QuotaExceeded"


def test_a_quota_that_is_used_up_is_seen_without_spending(sim: Simulator) -> None:
    """Nothing left of the window: said with the time of its reset, and the answer is still asked for."""
    sim.account.remaining_percent = 0
    found = see(spend=False)
    assert failed(found) == ["account"]
    assert trouble_in(found["account"]) == "quota_exceeded"
    assert "5-hour window is used up; it resets at " in found["account"].said


def test_a_quota_that_is_low_is_a_note(sim: Simulator) -> None:
    """What still works is no fault: it is said with the reset."""
    sim.account.remaining_percent = 4
    finding = see(spend=False)["account"]
    assert finding.state == "note"
    assert "Only 4 % of the 5-hour window" in finding.said


def test_an_account_that_is_not_told_is_a_note(env: Callable[..., None]) -> None:
    """A gateway need not know what is left; that is no fault."""

    def answer(request: HttpRequest) -> Answer:
        if request.method == "POST":
            return json_answer({"error": {"message": "no model (2013)"}}, 400)
        return Answer(404, {"content-type": "text/plain"}, (b"404 page not found",))

    env(base_url="https://gateway.example.com", code_plan_key="abcdefgh")
    session = Session(make_transport=lambda: FakeTransport(answer))
    found = see(session, network=FakeNetwork(), spend=False)
    assert found["authentication"].state == "ok"
    assert found["account"].state == "note"
    assert found["account"].said.startswith("Not known: ")


# ---------------------------------------------------------------------------- the way there


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_port_where_nobody_listens(env: Callable[..., None]) -> None:
    """Connection refused: named with host and port, by the machine's own network."""
    port = closed_port()
    env(base_url=f"http://127.0.0.1:{port}", code_plan_key=KEY)
    found = see()
    assert failed(found) == ["tcp"]
    assert trouble_in(found["tcp"]) == "unreachable"
    assert f"port {port}: Connection refused" in found["tcp"].said
    assert found["tcp"].trouble is not None
    assert "No server runs at that port of this machine" in found["tcp"].trouble.causes[0]
    assert "python -m minimax_magic gateway" in found["tcp"].trouble.steps[0]
    assert found["authentication"].said == "Not asked, since Connection failed."


def test_a_host_that_does_not_exist(env: Callable[..., None]) -> None:
    """A misspelt host ends at its name, which is said and stands in the steps."""
    env(base_url="https://api.minimax.invalid", code_plan_key=KEY)
    found = see()
    assert failed(found) == ["dns"]
    assert trouble_in(found["dns"]) == "unreachable"
    assert "The name api.minimax.invalid was not found" in found["dns"].said
    assert "Ask for api.minimax.invalid to be allowed" in words(found["dns"])


def test_a_certificate_that_is_not_trusted(env: Callable[..., None]) -> None:
    """A company's proxy: who signed the certificate is said, and how to trust it."""
    refused = TLSFailed(
        "The secure connection to api.minimax.invalid failed: self-signed certificate."
    )
    refused.issuer = "Sniffing Ltd"
    env(base_url="https://api.minimax.invalid", code_plan_key=KEY)
    found = see(network=FakeNetwork(shown=refused))
    assert failed(found) == ["tls"]
    assert trouble_in(found["tls"]) == "tls"
    assert "signed by Sniffing Ltd" in found["tls"].said
    assert "SSL_CERT_FILE" in words(found["tls"])
    assert found["authentication"].state == "skipped"


@pytest.mark.parametrize(
    ("said", "environ", "cause"),
    [
        (
            "self-signed certificate",
            {"SSL_CERT_FILE": "/no/such.pem"},
            "SSL_CERT_FILE names a file",
        ),
        ("wrong version number", {}, "The server speaks plain http at port 443"),
        ("the connection was closed", {}, "Something between this machine and the server"),
    ],
)
def test_why_a_connection_is_not_secure(
    env: Callable[..., None], said: str, environ: dict[str, str], cause: str
) -> None:
    """What is known of it comes before what is only likely."""
    env(base_url="https://api.minimax.invalid", code_plan_key=KEY)
    refused = TLSFailed(f"The secure connection to api.minimax.invalid failed: {said}.")
    finding = see(network=FakeNetwork(shown=refused), environ=environ)["tls"]
    assert trouble_in(finding) == "tls"
    assert finding.trouble is not None
    assert finding.trouble.causes[0].startswith(cause)


@pytest.mark.parametrize(
    ("answer", "cause", "step"),
    [
        ("407 Proxy Authentication Required", "wants a user and a password", "USER:PASSWORD"),
        ("403 Forbidden", "The proxy refuses api.minimax.invalid.", "allowed in the proxy"),
        ("502 Bad Gateway", "does not get through to api.minimax.invalid.", "without the proxy"),
    ],
)
def test_why_a_proxy_lets_nothing_through(
    env: Callable[..., None], answer: str, cause: str, step: str
) -> None:
    """A proxy that answers is running: what it says comes first."""
    env(base_url="https://api.minimax.invalid", code_plan_key=KEY)
    refused = APIConnectionError(f"The proxy on the way to x did not ...: it answered {answer}.")
    network = FakeNetwork(proxy="http://proxy.example:3128", shown=refused)
    finding = see(network=network)["tls"]
    assert trouble_in(finding) == "proxy"
    assert finding.trouble is not None
    assert cause in finding.trouble.causes[0]
    assert step in finding.trouble.steps[0]


@pytest.mark.parametrize("step", ["addresses", "connected", "shown"])
def test_a_proxy_that_fails_is_to_blame(env: Callable[..., None], step: str) -> None:
    """Name, connection or tunnel: through a proxy it is the proxy's fault."""
    env(base_url="https://api.minimax.invalid", code_plan_key=KEY)
    network = FakeNetwork(proxy="http://me:PLANTED-pw@proxy.example:3128")
    setattr(network, step, APIConnectionError("It does not answer."))
    found = see(network=network)
    assert len(failed(found)) == 1
    finding = found[failed(found)[0]]
    assert trouble_in(finding) == "proxy"
    assert "HTTPS_PROXY" in words(finding)
    assert "PLANTED" not in repr(found)


def test_a_proxy_that_cannot_be_used(env: Callable[..., None]) -> None:
    """A SOCKS proxy is named by the proxy's own check, and nothing before it pretends to know."""
    env(base_url="https://api.minimax.invalid", code_plan_key=KEY)
    refused = ConfigError("HTTPS_PROXY names a socks5 proxy, which is not supported.")
    found = see(
        network=FakeNetwork(proxy=refused), environ={"HTTPS_PROXY": "socks5://u:pw1234@h:1"}
    )
    assert failed(found) == ["proxy"]
    assert trouble_in(found["proxy"]) == "proxy"
    assert ("HTTPS_PROXY", "socks5://h:1") in found["proxy"].facts
    assert [found[name].state for name in ("dns", "tcp", "tls")] == ["skipped"] * 3
    assert found["authentication"].said == "Not asked, since Proxy failed."


@pytest.mark.parametrize(
    ("path", "asked"),
    [("/v2", "/v2/v1/text/chatcompletion_v2"), ("/v1/v1/messages", "/v1/v1/messages")],
)
def test_404_a_wrong_base_url(
    sim: Simulator, env: Callable[..., None], path: str, asked: str
) -> None:
    """A server without the route: the address that was asked is named, and the right one told."""
    env(base_url=f"{sim.url}{path}")
    found = see()
    assert failed(found) == ["authentication"]
    finding = found["authentication"]
    assert trouble_in(finding) == "not_found"
    assert f"{sim.url}{asked} is answered with 404" in finding.said
    assert "Set base_url to" in words(finding)


def test_a_server_that_redirects(env: Callable[..., None]) -> None:
    """An address that has moved is said, and the key is not sent after it."""
    moved = Answer(307, {"location": "https://elsewhere.example/v1"}, (b"",))
    transport = FakeTransport(moved)
    env(base_url="https://api.minimax.invalid", code_plan_key=KEY)
    found = see(Session(make_transport=lambda: transport), network=FakeNetwork())
    assert trouble_in(found["authentication"]) == "no_answer"
    assert "login page" in words(found["authentication"])
    assert "redirect (307) to elsewhere.example" in found["authentication"].said
    assert all("elsewhere" not in one.url for one in transport.sent)


@pytest.mark.parametrize(
    ("offset", "state", "said"),
    [
        (60, "ok", "agree"),
        (200, "warning", "3 minutes ahead of the server's"),
        (-200, "warning", "3 minutes behind the server's"),
        (7200, "warning", "2 hours ahead of the server's"),
    ],
)
def test_a_clock_that_is_wrong(sim: Simulator, offset: float, state: str, said: str) -> None:
    """By how much and in which direction; a little is no fault, and more is a warning: a key works."""
    finding = see(Session(clock=FakeClock(time.time() + offset)), spend=False)["clock"]
    assert finding.state == state
    assert said in finding.said
    assert trouble_in(finding) == ("clock_skew" if state != "ok" else "")


def test_a_wrong_clock_is_a_fault_where_a_login_is_used(sim: Simulator, tmp_path: Path) -> None:
    """A login's token is taken for over, or not for it, by the clock of this machine."""
    tokens = sim.account.issue()
    later = time.time() + 7200
    bundle(tmp_path, sim, left_s=9000, access_token=tokens.access_token)
    finding = see(Session(clock=FakeClock(later)), spend=False)["clock"]
    assert finding.state == "failed"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"date": "yesterday"},
        {"date": formatdate(0, usegmt=True), "age": "86400"},
        {"date": formatdate(0, usegmt=True), "content-type": "text/html; charset=utf-8"},
    ],
    ids=["none", "nonsense", "cached", "a page"],
)
def test_a_server_that_does_not_tell_the_time(
    env: Callable[..., None], headers: dict[str, str]
) -> None:
    """Without a Date header, with one that is none, from a cache, or from a page of somebody else:
    nothing is said of the clock."""
    env(base_url="https://api.minimax.invalid", code_plan_key=KEY)
    session = Session(make_transport=lambda: FakeTransport(Answer(404, headers)))
    finding = see(session, network=FakeNetwork(), spend=False)["clock"]
    assert finding.state == "note"
    assert "does not say" in finding.said


# ---------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("reason", "state", "trouble", "said"),
    [
        ("length", "note", "", "thinking used up the 300 tokens of this test"),
        ("stop", "warning", "empty_answer", "without any text (stop)"),
    ],
)
def test_an_answer_without_text(
    sim: Simulator, reason: Any, state: str, trouble: str, said: str
) -> None:
    """Thinking that used up the tokens is no fault, silence is a warning; streaming is asked all the
    same."""
    sim.script(Reply("", thinking="Hm. " * 50, finish_reason=reason))
    found = see()
    assert found["completion"].state == state
    assert trouble_in(found["completion"]) == trouble
    assert said in found["completion"].said
    assert "Answer" not in dict(found["completion"].facts)
    assert found["streaming"].state == "ok"


def test_a_stream_that_breaks(sim: Simulator) -> None:
    """An answer that ends in the middle is what a proxy in between does."""
    sim.script(Reply("API test successful"), Drop(4))
    found = see()
    assert failed(found) == ["streaming"]
    assert trouble_in(found["streaming"]) == "stream_broken"
    assert found["streaming"].error == "StreamInterrupted"


@pytest.mark.parametrize(("code", "trouble"), [(1008, "forbidden"), (1000, "overloaded")])
def test_an_error_within_a_stream_is_the_servers(sim: Simulator, code: int, trouble: str) -> None:
    """What the server itself says in the middle of a stream is not blamed on a proxy."""
    sim.script(Reply("API test successful"), FailMidStream(3, code))
    found = see()
    assert failed(found) == ["streaming"]
    assert trouble_in(found["streaming"]) == trouble


def test_a_stream_that_comes_as_a_whole(sim: Simulator) -> None:
    """A long answer in one piece, although a stream was asked for, is a warning."""
    sim.script(Reply("API test successful"), Reply("1, 2, 3, " * 60, stream=False, thinking=""))
    findings = examine()
    finding = next(one for one in findings if one.check == "streaming")
    assert finding.state == "warning"
    assert trouble_in(finding) == "stream_broken"
    assert "in one lump" in finding.said
    assert verdict(findings).exit_code == 3


def test_a_short_answer_in_one_piece_proves_nothing(sim: Simulator) -> None:
    """Few tokens may well come at once: only a long answer in one piece is said to be collected."""
    sim.script(Reply("API test successful"), Reply("1, 2", stream=False, thinking=""))
    finding = see()["streaming"]
    assert finding.state == "ok"
    assert "one piece" in finding.said


def frame(text: str = "", **more: Any) -> bytes:
    """One event of OpenAI's wire."""
    delta = {"content": text} if text else {}
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish", None)}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


@pytest.mark.parametrize(("wait_s", "state"), [(5.0, "warning"), (0.2, "ok")])
def test_a_stream_that_was_held_back(env: Callable[..., None], wait_s: float, state: str) -> None:
    """Many pieces at one moment, seconds after the question: somebody collected them. At once: no."""
    clock = FakeClock(time.time())
    usage = {"prompt_tokens": 5, "completion_tokens": 60, "total_tokens": 65}

    def answer(request: HttpRequest) -> Answer:
        body = json.loads(request.body) if request.body else {}
        if body.get("stream"):
            clock.now += wait_s
            pieces = [frame(f"{number}, ") for number in range(20)]
            return sse_answer(b"".join([*pieces, frame(finish="stop", usage=usage)]))
        if body.get("model") == "":
            return json_answer({"error": {"message": "no model (2013)"}}, 400)
        message = {"role": "assistant", "content": "API test successful"}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return json_answer({"choices": choices, "usage": usage})

    env(base_url="https://api.minimax.invalid", code_plan_key=KEY)
    session = Session(make_transport=lambda: FakeTransport(answer), clock=clock)
    finding = see(session, network=FakeNetwork())["streaming"]
    assert finding.state == state
    assert ("in one lump after 5.0 s" in finding.said) == (state == "warning")


def test_a_budget_that_forbids_the_question_is_no_fault(
    env: Callable[..., None], tmp_path: Path
) -> None:
    """Where a budget says no, the model is not asked, and that is said."""
    (tmp_path / "config" / "llm.yaml").write_text("budget: {kernel: 0.00000001}\n")
    env(base_url="https://api.minimax.invalid", code_plan_key=KEY)
    transport = FakeTransport(json_answer({"error": {"message": "no model (2013)"}}, 400))
    found = see(Session(make_transport=lambda: transport), network=FakeNetwork())
    assert found["completion"].error == "BudgetExceeded", found["completion"]
    assert found["completion"].state == "note"
    assert found["completion"].said.startswith("Not asked: ")
    assert [body for body in map(_body, transport.sent) if body.get("model")] == []


def _body(request: HttpRequest) -> Any:
    return json.loads(request.body) if request.body else {}


# ---------------------------------------------------------------------------- other programs


@pytest.fixture
def aider(sim: Simulator, env: Callable[..., None]) -> Iterator[dict[str, str]]:
    """The guide's variables, with a model, at a server that takes the header that Aider sends."""
    with Simulator(key=KEY, accept_x_api_key=True) as server:
        env(base_url=server.url)
        yield {
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": f"{server.url}/anthropic",
            "AIDER_MODEL": "anthropic/MiniMax-M2.5",
        }


def look(environ: dict[str, str], program: str = "aider") -> dict[str, Finding]:
    return see(environ=environ, program=program, spend=False)


def test_the_guides_configuration_works(aider: dict[str, str]) -> None:
    """Where Aider would ask, by which variable, with which key; it was tried there without spending."""
    finding = look(aider)["program"]
    facts = dict(finding.facts)
    assert finding.state == "ok"
    assert facts["URL"] == f"{aider['ANTHROPIC_BASE_URL']}/v1/messages"
    assert facts["Base URL from"] == "environment ANTHROPIC_BASE_URL"
    assert facts["Key from"] == "environment ANTHROPIC_API_KEY"
    assert facts["Key"] == "sk-cp-..."
    assert "The server takes its key there." in finding.said
    assert KEY not in repr(finding)


def test_the_test_works_but_aider_fails(aider: dict[str, str]) -> None:
    """A leftover ANTHROPIC_API_BASE defeats the right address: which wins, and what is asked for. It is
    told once: under Environment, unless a program is asked about, that stumbles over it."""
    aider["ANTHROPIC_API_BASE"] = aider["ANTHROPIC_BASE_URL"].replace("/anthropic", "/v1")
    assert see(environ=aider, spend=False)["environment"].state == "warning"
    found = see(environ=aider, program="aider")
    assert found["completion"].state == "ok"
    assert found["environment"].state == "note"
    assert found["environment"].said.endswith("see Program.")
    assert found["program"].state == "failed"
    assert found["program"].said.startswith("The test works, but aider fails: ")
    assert trouble_in(found["program"]) == "base_url_conflict"
    assert "/v1/v1/messages" in words(found["program"])
    assert "404" in dict(found["program"].facts)["Answer"]


def test_a_missing_model_is_a_warning(aider: dict[str, str]) -> None:
    """Aider without a model: the flag is told, and that all else is right."""
    del aider["AIDER_MODEL"]
    finding = look(aider)["program"]
    assert finding.state == "warning"
    assert trouble_in(finding) == "missing_model"
    assert finding.said.startswith("Unless --model is given on the command line, Aider asks for ")
    assert "aider --model anthropic/MiniMax-M2.5" in words(finding)


def test_another_key_than_the_one_that_works(aider: dict[str, str]) -> None:
    """Aider's variable holds an old key: it is refused there, and it is not the one of the test."""
    aider["ANTHROPIC_API_KEY"] = "sk-cp-PLANTED-an-old-one"
    finding = look(aider)["program"]
    assert finding.state == "failed"
    assert trouble_in(finding) == "unauthorized"
    assert (
        "not the key that is used here, but that of environment ANTHROPIC_API_KEY" in finding.said
    )
    assert finding.trouble is not None
    assert finding.trouble.steps[0].startswith("Look at environment ANTHROPIC_API_KEY")
    assert finding.said.startswith("The key is good, but aider fails: ")  # no model was asked
    assert "PLANTED" not in repr(finding)


def test_a_header_that_the_server_does_not_read(sim: Simulator) -> None:
    """A key that is good as Bearer and refused as x-api-key: the program's header is at fault."""
    environ = {
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": f"{sim.url}/anthropic",
        "AIDER_MODEL": "anthropic/MiniMax-M2.5",
    }
    finding = look(environ)["program"]
    assert finding.state == "failed"
    assert "sends it as x-api-key" in finding.said
    assert finding.trouble is not None
    assert "x-api-key" in finding.trouble.causes[0]
    assert "gateway" in finding.trouble.steps[0]


def test_a_test_that_failed_does_not_work(aider: dict[str, str], sim: Simulator) -> None:
    """Where the model did not answer, nobody says that the test works."""
    aider["ANTHROPIC_API_KEY"] = "sk-cp-PLANTED-an-old-one"
    transport = AiohttpTransport()

    async def send(request: HttpRequest) -> Any:
        body = json.loads(request.body) if request.body else {}
        if body.get("model"):
            return json_answer({"error": {"message": "insufficient balance (1008)"}}, 403)
        return await transport.send(request)

    fake = SimpleNamespace(send=send, close=transport.close)
    found = see(Session(make_transport=lambda: fake), environ=aider, program="aider")  # type: ignore[arg-type,return-value]
    assert found["completion"].state == "failed"
    assert found["program"].said.startswith("The key is good, but aider fails: ")


def test_a_wrong_key_in_a_list_of_aiders_is_tried(aider: dict[str, str]) -> None:
    """AIDER_API_KEY may hold several keys: the one that Aider would send is asked with."""
    aider["AIDER_API_KEY"] = "anthropic=sk-api-PLANTED-an-old-one"
    found = look(aider)
    assert found["program"].state == "failed"
    assert dict(found["program"].facts)["Key from"] == "environment AIDER_API_KEY"
    assert "PLANTED" not in repr(found)


def test_the_model_in_aiders_own_file(aider: dict[str, str], tmp_path: Path) -> None:
    """A model in .aider.conf.yml is as good as a variable, the nearest file's the best of them."""
    del aider["AIDER_MODEL"]
    home = tmp_path / "home"
    home.mkdir()
    aider["HOME"] = aider["USERPROFILE"] = str(home)
    (home / ".aider.conf.yml").write_text("model: MiniMax-M2\n")
    assert trouble_in(look(aider)["program"]) == "missing_model"
    (tmp_path / ".aider.conf.yml").write_text(
        "model: anthropic/MiniMax-M3 # ours\ndark-mode: true\n"
    )
    finding = look(aider)["program"]
    assert finding.state == "ok"
    assert dict(finding.facts)["Model"] == "MiniMax-M3"
    (tmp_path / ".aider.conf.yml").write_text("model: [\n")
    assert trouble_in(look(aider)["program"]) == "missing_model"


def test_no_key_for_the_program(aider: dict[str, str]) -> None:
    """ANTHROPIC_API_KEY is not set: the guide's first issue, for the program that was asked about."""
    del aider["ANTHROPIC_API_KEY"]
    finding = look(aider)["program"]
    assert finding.state == "failed"
    assert trouble_in(finding) == "key_missing"
    assert "ANTHROPIC_API_KEY is not set" in finding.said


def test_no_key_is_sent_to_strangers(aider: dict[str, str]) -> None:
    """Without an address the SDK asks Anthropic: that is said, and the key is not tried there."""
    del aider["ANTHROPIC_BASE_URL"]
    transport = FakeTransport(json_answer({"error": {"message": "no model (2013)"}}, 400))
    session = Session(make_transport=lambda: transport)
    found = see(session, environ=aider, program="anthropic-sdk", spend=False)
    assert found["program"].state == "failed"
    assert "api.anthropic.com" in found["program"].said
    assert trouble_in(found["program"]) == "base_url_missing"
    assert "ANTHROPIC_API_BASE" not in words(found["program"])
    assert all("anthropic.com" not in one.url for one in transport.sent)


NO_MODEL = json_answer({"error": {"message": "no model (2013)"}}, 400)


@pytest.mark.parametrize("base_url", ["https://api.openai.com", "https://api.anthropic.com/v1"])
def test_no_key_is_sent_to_a_server_of_somebody_else(
    env: Callable[..., None], base_url: str
) -> None:
    """base_url names another company: that is the fault, and nothing is sent there."""
    env(base_url=base_url, code_plan_key=KEY)
    transport = FakeTransport(NO_MODEL)
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://api.openai.com/v1"}
    session = Session(make_transport=lambda: transport)
    found = see(session, network=FakeNetwork(), environ=environ, program="openai-sdk")
    assert "endpoint" in failed(found)
    assert found["authentication"].state == found["account"].state == "skipped"
    assert trouble_in(found["endpoint"]) == "config_invalid"
    assert transport.sent == []


def test_the_key_of_another_server_is_not_sent_to_minimax(env: Callable[..., None]) -> None:
    """A company's gateway has its own key: that is not tried at MiniMax, where LiteLLM would send it."""
    env(base_url="https://gateway.example.com", code_plan_key=KEY)
    transport = FakeTransport(NO_MODEL)
    session = Session(make_transport=lambda: transport)
    environ = {"MINIMAX_API_KEY": KEY}
    found = see(session, network=FakeNetwork(), environ=environ, program="litellm", spend=False)
    finding = found["program"]
    assert finding.state == "warning"
    assert "the key of gateway.example.com to api.minimax.io (default): not tried" in finding.said
    assert trouble_in(finding) == "base_url_missing"
    assert {urlsplit(one.url).hostname for one in transport.sent} == {"gateway.example.com"}


def test_a_gateway_that_is_configured_is_asked_for_a_program(env: Callable[..., None]) -> None:
    """The configured server gets the key from cells, so that a program may be tried there too."""
    env(base_url="https://gateway.example.com", code_plan_key=KEY)
    session = Session(make_transport=lambda: FakeTransport(NO_MODEL))
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://gateway.example.com/v1"}
    found = see(session, network=FakeNetwork(), environ=environ, program="openai-sdk", spend=False)
    assert found["program"].state == "ok", found["program"]


@pytest.mark.parametrize("program", ["aider", "anthropic-sdk", "claude-code"])
def test_a_password_in_an_address_is_not_shown(sim: Simulator, program: str) -> None:
    """Of another program's address only what is public is told."""
    there = sim.url.replace("//", "//joe-smith:hunter2@")
    environ = {
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": f"{there}/anthropic?token=S3CRETvalue12",
        "AIDER_MODEL": "anthropic/MiniMax-M2.5",
        "ANTHROPIC_MODEL": "MiniMax-M2.5",
    }
    found = look(environ, program)
    assert "127.0.0.1" in dict(found["program"].facts)["URL"]
    for hidden in ("joe-smith", "hunter2", "S3CRET"):
        assert hidden not in repr(found)


def test_keys_of_other_programs_are_not_repeated(sim: Simulator) -> None:
    """Whatever a server says: passwords in addresses, keys in lists, and keys for other servers."""
    hidden = ("hunter2pass", "listed-key-0001", "router-key-0002", "token-in-query")
    environ = {
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": f"{sim.url}/anthropic",
        "OPENAI_API_BASE": "https://joe:hunter2pass@proxy.example.com/v1?token=token-in-query",
        "AIDER_API_KEY": "[gemini=listed-key-0001]",
        "OPENROUTER_API_KEY": "router-key-0002",
        "AIDER_MODEL": "anthropic/MiniMax-M2.5",
    }
    said = {"error": {"message": f"not {', '.join(hidden)}"}}
    session = Session(make_transport=lambda: FakeTransport(json_answer(said, 401)))
    finding = see(session, environ=environ, program="aider", spend=False)["program"]
    assert "not ***, ***, ***, ***" in finding.said
    assert not any(one in repr(finding) for one in hidden)


def test_a_group_id_is_not_shown(env: Callable[..., None]) -> None:
    """A server that repeats the id of the account does not bring it into a finding."""
    env(base_url="https://api.minimax.invalid", code_plan_key=KEY, group_id="1234567890123456")
    said = {"error": {"message": "no such key in group 1234567890123456"}}
    session = Session(make_transport=lambda: FakeTransport(json_answer(said, 401)))
    found = see(session, network=FakeNetwork(), spend=False)
    assert "no such key in group ***" in found["authentication"].said
    assert "1234567890123456" not in repr(found)


def test_a_program_whose_address_stands_in_a_file(sim: Simulator) -> None:
    """llm reads its addresses from a file of its own, which is said and not guessed."""
    finding = look({"OPENAI_API_KEY": KEY, "LLM_MODEL": "m"}, "llm")["program"]
    assert finding.state == "note"
    assert "extra-openai-models.yaml" in finding.said


def test_llm_without_a_model_is_told_in_its_own_words(sim: Simulator) -> None:
    """Its variable and its option, nothing of Aider's."""
    finding = look({"OPENAI_API_KEY": KEY}, "llm")["program"]
    assert (finding.state, trouble_in(finding)) == ("warning", "missing_model")
    assert "llm -m MiniMax-" in words(finding)
    assert "ider" not in words(finding).replace("provider", "")


def test_variables_that_conflict_are_findings_of_their_own(sim: Simulator) -> None:
    """Each conflict is one warning with its name; no value of a key is shown."""
    environ = {
        "ANTHROPIC_BASE_URL": f"{sim.url}/anthropic",
        "ANTHROPIC_API_KEY": "sk-cp-PLANTED-0001",
        "ANTHROPIC_AUTH_TOKEN": "PLANTED-token-0002",
        "MINIMAX_API_BASE": f"{sim.url}/anthropic",
    }
    findings = [one for one in examine(environ=environ, spend=False) if one.check == "environment"]
    assert {trouble_in(one) for one in findings} == {"stale_token", "wrong_wire"}
    assert {one.state for one in findings} == {"warning"}
    assert "PLANTED" not in repr(findings)
