"""The simulator's account side from outside: login, tokens, consent page, what the plan has left."""

from __future__ import annotations

import http.client
import re
import secrets
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from minimax_magic.simulator import PORTAL_CLIENT_ID, Reply, Simulator, Usage

CODE_PATH, TOKEN_PATH = "/oauth2/device/code", "/oauth2/token"
REMAINS_PATH = "/v1/token_plan/remains"
GRANT = "urn:ietf:params:oauth:grant-type:"
OTHER_CLIENT = "coding-plan-cli"


def result_of(page: Any) -> str:
    found = re.search(r'id="result"[^>]*>([^<]*)<', page.body.decode())
    assert found is not None
    return unescape(found.group(1))


# the user code


def test_a_code_comes_with_all_that_a_client_needs(sim: Simulator, client: Any) -> None:
    """A code without vowels, our consent page, an end in epoch milliseconds, the same state."""
    before = time.time()
    got = client.ask_code()
    assert got.status == 200
    answer = got.json
    assert re.fullmatch(r"[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}", answer["user_code"])
    uri = urlsplit(answer["verification_uri"])
    assert f"{uri.scheme}://{uri.netloc}{uri.path}" == f"{sim.url}/oauth-authorize"
    assert parse_qs(uri.query) == {"user_code": [answer["user_code"]], "client": ["OpenClaw"]}
    assert before + 600 <= answer["expired_in"] / 1000 + 0.001 <= time.time() + 600.002
    assert answer["interval"] == 3000
    assert answer["state"] == "a-state"
    assert answer["base_resp"] == {"status_code": 0, "status_msg": "success"}
    assert sim.account.codes_issued == 1


@pytest.mark.parametrize(
    "name", ["client_id", "scope", "code_challenge", "code_challenge_method", "state"]
)
def test_every_field_is_required(sim: Simulator, client: Any, name: str) -> None:
    """A request without one of its fields is refused by name, and no code is given."""
    got = client.ask_code(**{name: None})
    assert got.status == 400
    assert got.json == {"error": "invalid_request", "error_description": f"{name} is required"}
    assert sim.account.codes_issued == 0


def test_an_empty_request_is_told_about_pkce_first(client: Any) -> None:
    """As MiniMax answers to a client of old; JSON is no form and counts as empty."""
    expected = {"error": "invalid_request", "error_description": "code_challenge is required"}
    assert client.send(CODE_PATH, {}).json == expected
    got = client.send(CODE_PATH, client.code_form(), "application/json")
    assert (got.status, got.json) == (400, expected)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
    ],
)
def test_a_wrong_field_is_refused(client: Any, changed: dict[str, str | None], error: str) -> None:
    """Only S256, only a real challenge, and from the portal client only `response_type=code`."""
    got = client.ask_code(**changed)
    assert (got.status, got.json["error"]) == (400, error)


def test_other_clients_need_no_response_type(sim: Simulator, new_client: Any) -> None:
    """The coding-plan clients send none; they are named by their id."""
    got = new_client(sim, OTHER_CLIENT).ask_code(response_type=None)
    assert got.status == 200
    assert "client=coding-plan-cli" in got.json["verification_uri"]


def test_any_client_may_log_in_unless_a_list_says_otherwise(
    sim: Simulator, new_client: Any
) -> None:
    """`client_ids` closes both endpoints to the others."""
    stranger = new_client(sim, "stranger")
    code = stranger.new_code()
    sim.account.client_ids = {PORTAL_CLIENT_ID}
    for got in (stranger.ask_code(), stranger.poll(code), stranger.refresh("x")):
        assert (got.status, got.json) == (400, {"error": "invalid_client"})
    assert new_client(sim).ask_code().status == 200


def test_the_answer_can_name_another_host_another_state_another_pace(
    sim: Simulator, client: Any
) -> None:
    """Knobs for what MiniMax got wrong once, and for what a client must check."""
    sim.account.verification_host = "www.minimax.io"
    sim.account.wrong_state = True
    sim.account.interval_ms = 20
    answer = client.ask_code().json
    assert answer["verification_uri"].startswith("https://www.minimax.io/oauth-authorize?user_code")
    assert answer["state"] != "a-state"
    assert answer["interval"] == 20


# polling


@pytest.mark.parametrize("grant", ["user_code", "device_code"])
def test_a_login_is_pending_until_it_is_approved_and_works_once(
    sim: Simulator, client: Any, grant: str
) -> None:
    """Both grant types; the second success of a code would be somebody else's."""
    client.grant = f"{GRANT}{grant}"
    code = client.new_code()
    got = client.poll(code)
    assert (got.status, got.json) == (200, {"status": "pending"})
    sim.account.approve()
    got = client.poll(code)
    assert got.status == 200
    assert got.headers["Cache-Control"] == "no-store"
    answer = got.json
    assert answer["status"] == "success"
    assert re.fullmatch(r"sim-at-[\w-]{40,}", answer["access_token"])
    assert re.fullmatch(r"sim-rt-[\w-]{40,}", answer["refresh_token"])
    assert answer["token_type"] == "Bearer"
    assert answer["resource_url"] == f"{sim.url}/anthropic"
    assert isinstance(answer["notification_message"], str)
    assert abs(answer["expired_in"] / 1000 - time.time() - 900) < 5
    again = client.poll(code)
    assert (again.status, again.json) == (400, {"error": "invalid_grant"})
    assert sim.account.polls == 3


def test_a_poll_must_prove_that_it_asked_for_the_code(sim: Simulator, client: Any) -> None:
    """Another verifier, client or code is no grant, and spends nothing."""
    code = client.new_code()
    sim.account.approve(code)
    wrong = [
        client.poll(code, code_verifier=secrets.token_urlsafe(48)),
        client.poll(code, code_verifier=""),
        client.poll(code, client_id=OTHER_CLIENT),
        client.poll("BBBB-BBBB"),
    ]
    for got in wrong:
        assert (got.status, got.json) == (400, {"error": "invalid_grant"})
    assert client.poll(code).json["status"] == "success"


def test_a_verifier_has_43_characters_at_least(sim: Simulator, new_client: Any) -> None:
    """A short one is no grant although its digest fits."""
    for length, status in ((42, 400), (43, 200), (128, 200), (129, 400)):
        client = new_client(sim, verifier="v" * length)
        assert client.poll(client.new_code()).status == status


def test_a_grant_needs_a_known_type_and_a_client(client: Any) -> None:
    """Anything else is refused in the words of RFC 6749."""
    assert client.poll("x", grant_type="password").json == {"error": "unsupported_grant_type"}
    assert client.poll("x", client_id="").json["error_description"] == "client_id is required"


def test_a_denied_login_is_an_error_under_200(sim: Simulator, client: Any) -> None:
    """`status: error` and a `base_resp`, as MiniMax says it."""
    code = client.new_code()
    sim.account.deny(code)
    got = client.poll(code)
    assert got.status == 200
    assert got.json["status"] == "error"
    assert got.json["base_resp"]["status_code"] != 0
    assert got.json["base_resp"]["status_msg"] == "access_denied"


def test_an_expired_code_is_refused_even_if_approved(sim: Simulator, client: Any) -> None:
    """Its time counts from when it was given."""
    sim.account.code_lifetime_s = 0.5
    code = client.new_code()
    sim.account.approve(code)
    time.sleep(0.51)
    got = client.poll(code)
    assert (got.status, got.json) == (400, {"error": "expired_token"})


def test_haste_is_punished_only_if_asked(sim: Simulator, client: Any) -> None:
    """`strict_interval` answers `slow_down` to a poll that does not wait."""
    code = client.new_code()
    assert [client.poll(code).json for _ in range(2)] == [{"status": "pending"}] * 2
    sim.account.strict_interval = True
    got = client.poll(code)
    assert (got.status, got.json) == (400, {"error": "slow_down"})
    sim.account.interval_ms = 40
    time.sleep(0.05)
    assert client.poll(code).json == {"status": "pending"}


def test_a_login_can_approve_itself(sim: Simulator, client: Any) -> None:
    """So many polls are pending, the next one succeeds, with no user."""
    sim.account.auto_approve_after_polls = 2
    code = client.new_code()
    said = [client.poll(code).json["status"] for _ in range(3)]
    assert said == ["pending", "pending", "success"]


def test_only_an_open_code_can_be_decided(sim: Simulator, client: Any) -> None:
    """No code, an unknown one or a decided one is a LookupError that says which."""
    with pytest.raises(LookupError, match="none was issued"):
        sim.account.approve()
    with pytest.raises(LookupError, match="BBBB-BBBB"):
        sim.account.deny("BBBB-BBBB")
    client.new_code()
    sim.account.deny()
    with pytest.raises(LookupError, match="is denied"):
        sim.account.approve()


# refreshing


def test_a_refresh_ends_the_old_refresh_token_at_once(sim: Simulator, client: Any) -> None:
    """The old access token stays good; the used refresh token is no grant any more."""
    first = client.log_in()
    got = client.refresh(first["refresh_token"])
    assert got.status == 200
    second = got.json
    assert second.keys() == first.keys()
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    again = client.refresh(first["refresh_token"])
    assert (again.status, again.json) == (400, {"error": "invalid_grant"})
    assert client.models(first["access_token"]).status == 200
    assert client.models(second["access_token"]).status == 200
    assert client.refresh(second["refresh_token"]).status == 200
    assert (sim.account.refreshes, sim.account.refused_refreshes) == (2, 1)


def test_a_refresh_token_belongs_to_its_client(sim: Simulator, client: Any) -> None:
    """Another client is refused and does not end it."""
    token = client.log_in()["refresh_token"]
    assert client.refresh(token, client_id=OTHER_CLIENT).json == {"error": "invalid_grant"}
    assert client.refresh(token).status == 200


def test_without_rotation_the_answer_names_no_refresh_token(sim: Simulator, client: Any) -> None:
    """`rotate = False`: the client keeps the one it has."""
    token = client.log_in()["refresh_token"]
    sim.account.rotate = False
    for _ in range(2):
        got = client.refresh(token)
        assert got.status == 200
        assert "refresh_token" not in got.json
        assert client.models(got.json["access_token"]).status == 200


def test_a_slow_refresh_has_rotated_before_it_answers(sim: Simulator, client: Any) -> None:
    """While the answer is on its way the old token is dead already."""
    tokens = sim.account.issue()
    sim.account.refresh_delay_s = 1
    slow: list[Any] = []
    thread = threading.Thread(target=lambda: slow.append(client.refresh(tokens.refresh_token)))
    thread.start()
    assert sim.wait_for(lambda s: s.account.refreshes == 1)
    sim.account.refresh_delay_s = 0
    assert client.refresh(tokens.refresh_token).status == 400
    assert slow == []
    thread.join()
    assert slow[0].json["status"] == "success"


def test_the_answer_to_a_refresh_can_be_lost(sim: Simulator, client: Any) -> None:
    """`hang_up_refreshes`: it was done, the connection ends without a byte, once."""
    tokens = sim.account.issue()
    sim.account.hang_up_refreshes = 1
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        client.refresh(tokens.refresh_token)
    assert sim.account.refreshes == 1
    assert sim.account.hang_up_refreshes == 0
    assert client.refresh(tokens.refresh_token).json == {"error": "invalid_grant"}
    assert client.refresh(sim.account.issue().refresh_token).status == 200


# times


@pytest.mark.parametrize(
    ("unit", "low", "high"),
    [("epoch_ms", 1.7e12, 9e12), ("epoch_s", 1.7e9, 9e9), ("ttl_s", 0, 1000)],
)
def test_expired_in_comes_in_any_unit(
    sim: Simulator, client: Any, unit: Any, low: float, high: float
) -> None:
    """Codes and tokens alike; the number is always whole."""
    sim.account.expired_in_unit = unit
    code = client.ask_code().json
    sim.account.approve()
    for answer, lifetime_s in ((code, 600), (client.poll(code["user_code"]).json, 900)):
        value = answer["expired_in"]
        assert isinstance(value, int)
        assert low < value < high
        left_s = {"epoch_ms": value / 1000 - time.time(), "epoch_s": value - time.time()}
        assert abs(left_s.get(unit, value) - lifetime_s) < 5


def test_a_clock_that_is_wrong_shows_in_all_that_is_said(sim: Simulator, client: Any) -> None:
    """`expired_in` and `Date` are the server's; what lasts, lasts as long as ever."""
    sim.account.clock_offset_s = -7200
    sim.account.auto_approve_after_polls = 0
    got = client.ask_code()
    success = client.poll(got.json["user_code"])
    remains = client.ask("GET", REMAINS_PATH)
    for dated in (got, success, client.page(), remains):
        behind = datetime.now(UTC) - parsedate_to_datetime(dated.headers["Date"])
        assert abs(behind.total_seconds() - 7200) < 5
    assert abs(got.json["expired_in"] / 1000 - (time.time() - 7200 + 600)) < 5
    assert abs(success.json["expired_in"] / 1000 - (time.time() - 7200 + 900)) < 5
    assert abs(sim.account.issue().expires_at - (time.time() - 7200 + 900)) < 5
    assert client.models(success.json["access_token"]).status == 200


# the old addresses


@pytest.mark.parametrize(("old", "new"), [("/oauth/code", CODE_PATH), ("/oauth/token", TOKEN_PATH)])
def test_the_old_addresses_redirect(sim: Simulator, client: Any, old: str, new: str) -> None:
    """307 to an absolute address; it can be made to lead elsewhere, or not to redirect."""
    got = client.send(old, client.code_form())
    assert (got.status, got.headers["Location"]) == (307, sim.url + new)
    sim.account.redirect_to = "https://evil.example/"
    assert client.send(old, {}).headers["Location"] == f"https://evil.example{new}"
    sim.account.redirect = False
    direct, expected = client.send(old, {}), client.send(new, {})
    assert (direct.status, direct.json) == (expected.status, expected.json)
    assert sim.account.codes_issued == 0


# the consent page


def test_approving_on_the_page_lets_the_client_in(sim: Simulator, client: Any) -> None:
    """The page names code, client and scope, and says that it is the simulator's."""
    answer = client.ask_code().json
    uri = urlsplit(answer["verification_uri"])
    page = client.page(f"?{uri.query}")
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    html = page.body.decode()
    for shown in (answer["user_code"], "OpenClaw", "group_id profile model.completion"):
        assert f">{shown}<" in html
    assert "simulator" in html
    assert "Nothing is sent to MiniMax" in html
    done = client.press(page, "approve")
    assert done.status == 200
    assert result_of(done) == "Approved: you can go back to the notebook."
    assert client.poll(answer["user_code"]).json["status"] == "success"


def test_denying_on_the_page_ends_the_login(client: Any) -> None:
    """The other button."""
    code = client.new_code()
    done = client.press(client.page(f"?user_code={code}"), "deny")
    assert result_of(done) == "Denied."
    assert client.poll(code).json["status"] == "error"


def test_the_page_loads_nothing(client: Any) -> None:
    """No script, no address of another host, and a policy that would forbid them."""
    page = client.page(f"?user_code={client.new_code()}")
    html = page.body.decode()
    assert "<script" not in html
    assert "http://" not in html
    assert "https://" not in html
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "prefers-color-scheme: dark" in html


def test_only_the_page_itself_can_decide(client: Any) -> None:
    """A form without the page's nonce, or without a decision, changes nothing."""
    code = client.new_code()
    fields = {"user_code": code, "decision": "approve"}
    assert client.send("/oauth-authorize", fields).status == 403
    assert client.send("/oauth-authorize", {**fields, "nonce": "guess"}).status == 403
    assert client.send("/oauth-authorize", {"user_code": code}).status == 400
    assert client.poll(code).json == {"status": "pending"}


def test_what_a_client_sends_is_escaped(sim: Simulator, new_client: Any) -> None:
    """Client and scope are shown as text, whatever they are."""
    client = new_client(sim, '<b>"x"</b>')
    answer = client.ask_code(scope="<script>alert(1)</script>").json
    html = client.page(f"?user_code={answer['user_code']}").body.decode()
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_without_a_code_the_page_asks_for_one(client: Any) -> None:
    """A code may be typed in small letters, with spaces or without the dash."""
    page = client.page()
    assert page.status == 200
    assert '<input id="user_code" name="user_code"' in page.body.decode()
    typed = client.new_code().lower().replace("-", "+")
    assert 'id="approve"' in client.page(f"?user_code={typed}").body.decode()


def test_a_code_that_cannot_be_decided_says_why(sim: Simulator, client: Any) -> None:
    """404 for an unknown one, 410 for one that is decided, used or expired."""
    unknown = client.page("?user_code=BBBB-BBBB")
    assert (unknown.status, result_of(unknown)) == (404, "This code is not known.")
    code = client.new_code()
    open_page = client.page(f"?user_code={code}")
    sim.account.approve(code)
    assert "approved already" in result_of(client.page(f"?user_code={code}"))
    client.poll(code)
    used = client.page(f"?user_code={code}")
    assert (used.status, result_of(used)) == (410, "This code was used already.")
    late = client.press(open_page, "approve")
    assert (late.status, result_of(late)) == (410, "This code was used already.")
    client.new_code()
    sim.account.deny()
    sim.account.code_lifetime_s = -1
    expired = client.page(f"?user_code={client.new_code()}")
    assert expired.status == 410
    assert "expired" in result_of(expired)
    assert "BBBB" not in unknown.body.decode()


# access tokens at work


@pytest.mark.parametrize("path", ["/anthropic/v1/messages", "/v1/chat/completions"])
def test_an_access_token_is_as_good_as_the_key(sim: Simulator, client: Any, path: str) -> None:
    """Both chat wires and the quota take it; the key stays good."""
    token = client.log_in()["access_token"]
    hi: dict[str, Any] = {"model": "MiniMax-M2.5", "messages": [{"role": "user", "content": "Hi"}]}
    if path.startswith("/anthropic"):
        hi["max_tokens"] = 100
    assert client.post(path, hi, key=token).status == 200
    assert client.post(path, hi).status == 200
    assert client.ask("GET", REMAINS_PATH, key=token).json["base_resp"]["status_code"] == 0


def kill_by_time(sim: Simulator) -> str:
    return sim.account.issue(lifetime_s=-1).access_token


def kill_by_expiry(sim: Simulator) -> str:
    tokens = sim.account.issue()
    sim.account.expire_access_tokens()
    return tokens.access_token


def kill_by_revocation(sim: Simulator) -> str:
    tokens = sim.account.issue()
    sim.account.revoke_all()
    return tokens.access_token


@pytest.mark.parametrize("kill", [kill_by_time, kill_by_expiry, kill_by_revocation])
def test_a_dead_access_token_is_a_failed_login(sim: Simulator, client: Any, kill: Any) -> None:
    """401 with 1004 where an unknown key has 2049; the quota says 1004 under HTTP 200."""
    token = kill(sim)
    for got in (client.models(token), client.post("/v1/chat/completions", {}, key=token)):
        assert got.status == 401
        assert got.json["error"]["message"].endswith("(1004)")
    remains = client.ask("GET", REMAINS_PATH, key=token)
    assert (remains.status, remains.json["base_resp"]["status_code"]) == (200, 1004)


def test_expired_tokens_can_be_refreshed_and_revoked_ones_not(sim: Simulator, client: Any) -> None:
    """`expire_access_tokens` leaves the refresh tokens, `revoke_all` nothing."""
    tokens = sim.account.issue()
    sim.account.expire_access_tokens()
    fresh = client.refresh(tokens.refresh_token).json
    assert client.models(fresh["access_token"]).status == 200
    sim.account.revoke_all()
    assert client.refresh(fresh["refresh_token"]).json == {"error": "invalid_grant"}


def test_issued_tokens_need_no_login_and_keep_quiet(sim: Simulator, client: Any) -> None:
    """A test can write them to a file; their repr has the end only."""
    tokens = sim.account.issue(lifetime_s=120)
    assert client.models(tokens.access_token).status == 200
    assert abs(tokens.expires_at - time.time() - 120) < 5
    assert repr(tokens) == f"Tokens(expires_at={tokens.expires_at})"
    bound = sim.account.issue(client_id=OTHER_CLIENT)
    assert client.refresh(bound.refresh_token).status == 400
    assert client.refresh(tokens.refresh_token).status == 200


# the quota


def pool(got: Any) -> Any:
    (general,) = (p for p in got.json["model_remains"] if p["model_name"] == "general")
    return general


@pytest.mark.parametrize(
    ("moment", "start", "end"),
    [
        # hours of Beijing: 15 to 20, and the short window that ends with the day
        ("2026-06-21T08:30:00Z", "2026-06-21T07:00:00Z", "2026-06-21T12:00:00Z"),
        ("2026-06-21T14:03:16Z", "2026-06-21T12:00:00Z", "2026-06-21T16:00:00Z"),
    ],
)
def test_the_quota_has_the_windows_of_the_real_one(
    sim: Simulator, client: Any, moment: str, start: str, end: str
) -> None:
    """Times in epoch milliseconds, the week from Monday in Beijing; all is left at first."""

    def ms(text: str) -> int:
        return int(datetime.fromisoformat(text).timestamp() * 1000)

    sim.account.clock_offset_s = ms(moment) / 1000 - time.time()
    got = client.ask("GET", REMAINS_PATH)
    assert got.status == 200
    assert got.json["base_resp"] == {"status_code": 0, "status_msg": "success"}
    assert "simulated" in got.json["current_subscribe_title"]
    general = pool(got)
    assert (general["start_time"], general["end_time"]) == (ms(start), ms(end))
    assert abs(general["remains_time"] - (ms(end) - ms(moment))) < 5000
    assert general["weekly_start_time"] == ms("2026-06-14T16:00:00Z")
    assert general["weekly_end_time"] == ms("2026-06-21T16:00:00Z")
    assert abs(general["weekly_remains_time"] - (ms("2026-06-21T16:00:00Z") - ms(moment))) < 5000
    for period in ("interval", "weekly"):
        assert general[f"current_{period}_status"] == 1
        assert general[f"current_{period}_remaining_percent"] == 100
        assert general[f"current_{period}_total_count"] == 0


@pytest.mark.parametrize(
    ("tokens", "left", "weekly"),
    [(1_000, 100, 100), (20_000, 90, 99), (10_000_000, 0, 0)],
)
def test_what_is_served_is_taken_from_the_quota(
    sim: Simulator, client: Any, tokens: int, left: int, weekly: int
) -> None:
    """One percent for 2,000 tokens, in a week for ten times as many, never below 0."""
    sim.script(Reply("x", usage=Usage(input_tokens=tokens - 10, output_tokens=10)))
    client.chat("Hi")
    general = pool(client.ask("GET", REMAINS_PATH))
    assert general["current_interval_remaining_percent"] == left
    assert general["current_weekly_remaining_percent"] == weekly
    sim.account.remaining_percent = 7
    general = pool(client.ask("GET", REMAINS_PATH))
    assert general["current_interval_remaining_percent"] == 7


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("simulated-key", 0),
        ("sk-cp-anything", 0),
        ("sk-api-anything", 2049),
        ("other", 2049),
        (None, 1004),
    ],
)
def test_the_quota_is_for_plans_and_answers_200(client: Any, key: str | None, code: int) -> None:
    """A refusal is in `base_resp` only."""
    got = client.ask("GET", REMAINS_PATH, key=key)
    assert got.status == 200
    assert got.json["base_resp"]["status_code"] == code
    assert ("model_remains" in got.json) == (code == 0)


def test_a_key_that_pays_as_it_goes_has_no_quota(new_client: Any) -> None:
    """Not even if it is the simulator's own, which is good for chat."""
    with Simulator(key="sk-api-1") as sim:
        client = new_client(sim)
        assert client.models(sim.key).status == 200
        got = client.ask("GET", REMAINS_PATH, key=sim.key)
        assert got.json["base_resp"] == {"status_code": 2049, "status_msg": "invalid api key"}


# scripts, log, reset, threads


def test_answers_can_be_scripted(sim: Simulator, client: Any) -> None:
    """As given, in order, for one endpoint; they change nothing."""
    tokens = sim.account.issue()
    sim.account.scripted(400, {"error": "authorization_pending"}, times=2)
    sim.account.scripted(500, "<h1>oops</h1>")
    sim.account.scripted(200, b"\xff{", "application/json")
    sim.account.scripted(503, "{}", to="code")
    sim.account.scripted(200, {"model_remains": []}, to="remains")
    for _ in range(2):
        got = client.poll("x")
        assert (got.status, got.json) == (400, {"error": "authorization_pending"})
    got = client.refresh(tokens.refresh_token)
    assert (got.status, got.body) == (500, b"<h1>oops</h1>")
    assert got.headers["Content-Type"] == "text/html"
    got = client.refresh(tokens.refresh_token)
    assert (got.status, got.body) == (200, b"\xff{")
    assert got.headers["Content-Type"] == "application/json"
    assert client.ask_code().status == 503
    assert client.ask("GET", REMAINS_PATH).json == {"model_remains": []}
    assert (sim.account.codes_issued, sim.account.refreshes) == (0, 0)
    assert client.refresh(tokens.refresh_token).status == 200
    assert sim.account.polls == 2


def test_forms_are_in_the_log_and_their_secrets_not_in_its_repr(
    sim: Simulator, client: Any
) -> None:
    """The body is the decoded form; printing a record shows no token."""
    tokens = sim.account.issue()
    client.ask_code(scope="openid profile")
    client.refresh(tokens.refresh_token)
    client.poll("BBBB-BBBB")
    asked, refreshed, polled = sim.requests
    assert asked.body == client.code_form(scope="openid profile")
    assert refreshed.path == TOKEN_PATH
    assert refreshed.body["refresh_token"] == tokens.refresh_token
    assert "refresh_token" in repr(refreshed)
    assert tokens.refresh_token not in repr(refreshed)
    assert client.verifier not in repr(polled)
    assert "sim-" not in repr(sim.account)


def test_a_reset_forgets_logins_and_counts_but_no_knob(sim: Simulator, client: Any) -> None:
    """Codes, tokens, scripts and numbers are gone; what was set stays set."""
    sim.account.interval_ms = 20
    success = client.log_in()
    client.refresh(success["refresh_token"])
    client.refresh("x")
    code = client.new_code()
    sim.account.scripted(500, "")
    sim.reset()
    account = sim.account
    counts = (account.codes_issued, account.polls, account.refreshes, account.refused_refreshes)
    assert counts == (0, 0, 0, 0)
    assert client.poll(code).json == {"error": "invalid_grant"}
    assert client.models(success["access_token"]).status == 401
    assert client.ask_code().json["interval"] == 20


def test_many_refreshes_at_once_let_one_through(sim: Simulator, client: Any) -> None:
    """Two kernels with one bundle: whoever comes second is refused."""
    tokens = sim.account.issue()
    statuses: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: statuses.append(client.refresh(tokens.refresh_token).status)
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [400] * 7
    assert (sim.account.refreshes, sim.account.refused_refreshes) == (1, 7)


@pytest.mark.parametrize("path", [CODE_PATH, TOKEN_PATH, "/oauth/code", "/oauth/token"])
def test_the_endpoints_take_posts_only(client: Any, path: str) -> None:
    """Anything else is nginx's page."""
    assert client.ask("GET", path).status == 404
