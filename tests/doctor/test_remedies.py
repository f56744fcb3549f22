"""The table of troubles."""

from __future__ import annotations

import re
import ssl
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from pydantic import SecretStr

from minimax_magic import errors, transport
from minimax_magic.auth.bundle import parse_bundle
from minimax_magic.auth.sources import clean_key
from minimax_magic.doctor.remedies import TROUBLES, Trouble, trouble, trouble_of
from minimax_magic.errors import MinimaxError
from minimax_magic.events import ChatReply
from minimax_magic.ipython.arguments import COMMAND_OPTIONS, OPTIONS, SUBCOMMANDS
from minimax_magic.wire import failures
from minimax_magic.wire.failures import error_from_response, error_from_words, not_an_answer

URL = "https://api.minimax.io/anthropic/v1/messages"


def every(cls: type[MinimaxError]) -> list[type[MinimaxError]]:
    return [cls, *(below for direct in cls.__subclasses__() for below in every(direct))]


# ------------------------------------------------------------------------------------- the table


def test_every_trouble_has_causes_and_steps() -> None:
    """No trouble is without cause, step and the words by which it is found; names are unique."""
    assert len({one.name for one in TROUBLES}) == len(TROUBLES)
    for one in TROUBLES:
        assert one.causes, one.name
        assert one.steps, one.name
        assert one.seen, one.name
        assert trouble(one.name) is one


@pytest.mark.parametrize("one", TROUBLES, ids=lambda one: one.name)
def test_causes_and_steps_are_sentences(one: Trouble) -> None:
    """Each begins with a capital letter, ends with a full stop, and is one line."""
    for words in (*one.causes, *one.steps):
        assert re.fullmatch(r"[A-Z][^\n]+\.", words), words
        assert words.count("`") % 2 == 0
    assert not any("`" in words for words in one.seen)


@pytest.mark.parametrize("one", TROUBLES, ids=lambda one: one.name)
def test_commands_of_the_steps_exist(one: Trouble) -> None:
    """A step names only commands and options that there are."""
    flags = {option.flag for option in OPTIONS}
    for code in re.findall(r"`([^`]+)`", " ".join((*one.causes, *one.steps))):
        if found := re.match(r"%minimax (\S+)((?: .*)?)$", code):
            assert found[1] in SUBCOMMANDS
            for flag in re.findall(r"--[a-z-]+", found[2]):
                assert flag in COMMAND_OPTIONS[found[1]], code
        elif code.startswith("--") and code != "--user":
            assert code.split()[0] in flags, code
        elif found := re.match(r"python -m minimax_magic (\S+)", code):
            assert found[1] in (*SUBCOMMANDS, "aider", "gateway")


def test_it_is_told_about_one_server() -> None:
    """What is not given follows from base_url: host, root and the platform page of the region."""
    told = trouble("not_found").told(base_url="https://api.minimaxi.com/anthropic")
    assert told.steps[0].startswith("Set base_url to https://api.minimaxi.com alone")
    assert "ANTHROPIC_BASE_URL to https://api.minimaxi.com/anthropic." in told.steps[1]
    told = trouble("forbidden").told(root="https://api.minimax.cn")
    assert "https://platform.minimax.cn" in told.steps[0]
    told = trouble("unreachable").told(host="api.minimax.io")
    assert told.title == "Connection error, or cannot reach api.minimax.io"


def test_nonsense_as_base_url_is_told_as_it_is() -> None:
    """A base_url that is no address does not keep the table from being shown."""
    told = trouble("unreachable").told(base_url="ftp://nowhere/")
    assert "ftp://nowhere/" in told.steps[4]


@pytest.mark.parametrize("one", TROUBLES, ids=lambda one: one.name)
def test_nothing_is_left_to_fill_in(one: Trouble) -> None:
    """Without any word given, the global region's stand in all places."""
    told = one.told()
    assert not re.search(r"[{}]", " ".join((told.title, *told.causes, *told.steps)))


# ------------------------------------------------------------------------- the guide's own troubles


# Of the Aider guide: what people saw; causes and steps by a word of each, in the guide's order.
GUIDE: list[tuple[str, str, list[str], list[str]]] = [
    (
        "ERROR: ANTHROPIC_API_KEY not set in environment",
        "key_missing",
        ["No key was entered"],
        ["login", "variables"],
    ),
    (
        "401 Unauthorized",
        "unauthorized",
        ["expired", "region", "other kind"],
        ["Log in at https://platform.minimax.io", "new key", "wherever the old one stands"],
    ),
    (
        "403 Forbidden",
        "forbidden",
        ["$0", "2025-11-07", "2-3 minutes"],
        ["Balance", "$25", "2-3 minutes", "again"],
    ),
    (
        "cannot reach api.minimax.io",
        "unreachable",
        ["Internet", "firewall", "VPN", "down"],
        ["browser", "VPN", "firewall", "5-10 minutes"],
    ),
    (
        "litellm.InternalServerError: InternalServerError: OpenAIException - Connection error.",
        "aider_fails",
        ["base URL is wrong", "--model"],
        ["python -m minimax_magic aider"],
    ),
    (
        "LLM Provider NOT provided",
        "missing_model",
        ["without `--model`"],
        ["aider --model anthropic/MiniMax-M2.5"],
    ),
    (
        "https://api.minimax.io/v1",
        "wrong_wire",
        ["/v1/v1/messages"],
        ["ANTHROPIC_BASE_URL to https://api.minimax.io/anthropic"],
    ),
    (
        "ANTHROPIC_API_BASE beats ANTHROPIC_BASE_URL",
        "base_url_conflict",
        ["Aider and LiteLLM take ANTHROPIC_API_BASE"],
        ["unset ANTHROPIC_API_BASE", "/anthropic"],
    ),
]


@pytest.mark.parametrize(("seen", "name", "causes", "steps"), GUIDE, ids=lambda it: str(it)[:30])
def test_the_guides_troubles_are_in_it(
    seen: str, name: str, causes: list[str], steps: list[str]
) -> None:
    """Each issue of the Aider guide is found by what people saw, with causes and steps in its order."""
    one = trouble(name).told()
    assert seen.lower() in " ".join((one.title, *one.seen)).lower()
    for words, parts in ((one.causes, causes), (one.steps, steps)):
        places = [next(n for n, line in enumerate(words) if part in line) for part in parts]
        assert places == sorted(places)
        assert places[0] <= 2


def test_the_value_is_at_fault_not_the_variable() -> None:
    """The guide blamed the name of the variable; what failed was its value, which ended in /v1."""
    assert "The value is at fault, not the name" in trouble("wrong_wire").causes[0]


# ----------------------------------------------------------------------------- errors to troubles


class TestErrors:
    """Errors as the wire, the transport and the settings really make them."""

    answers: ClassVar[list[tuple[int, str, str]]] = [
        (401, "invalid api key (2049)", "unauthorized"),
        (401, "login fail: Please carry the API secret key (1004)", "unauthorized"),
        (401, "", "unauthorized"),
        (403, "permission denied", "forbidden"),
        (403, "insufficient balance (1008)", "forbidden"),
        (402, "insufficient balance (1008)", "forbidden"),
        (404, "404 page not found", "not_found"),
        (405, "", "not_found"),
        (307, "", "no_answer"),
        (407, "", "proxy"),
        (400, "invalid params (2013)", "request_rejected"),
        (413, "too large", "request_rejected"),
        (400, "not on your plan (2061)", "plan_model"),
        (404, "not on your plan (2061)", "plan_model"),
        (429, "rate limit (1002)", "rate_limited"),
        (429, "", "rate_limited"),
        (429, "usage limit exceeded, resets at 2026-05-15T15:00:00Z (2056)", "quota_exceeded"),
        (400, "input new_sensitive (1026)", "content_refused"),
        (529, "", "overloaded"),
        (500, "unknown error (1000)", "overloaded"),
        (502, "<html>Bad Gateway</html>", "overloaded"),
    ]

    @pytest.mark.parametrize(("status", "said", "name"), answers)
    def test_answers_of_a_server(self, status: int, said: str, name: str) -> None:
        """An error answer leads to the trouble of its number, or of its status."""
        body = b'{"type":"error","error":{"type":"x_error","message":"%s"}}' % said.encode()
        error = error_from_response(status, {}, body, url=URL, now=0.0)
        assert trouble_of(error) == name

    def test_numbers_and_classes_agree(self) -> None:
        """Every number that the wire knows leads to one trouble, whether it comes alone, under HTTP 200,
        or inside of a stream that had begun."""
        for code in failures._FAMILY_OF_CODE:
            words = failures.ServerWords(message="no", code=code)
            error = error_from_words(words, url=URL)
            name = trouble_of(error)
            assert name is not None
            error.code = None
            if code != 2061:  # only its number tells it from other refusals
                assert trouble_of(error) == name, code
            broken = errors.StreamInterrupted(
                "no", partial=ChatReply(), reason="server_error", code=code
            )
            if name not in ("overloaded", "request_rejected"):
                assert trouble_of(broken) == name

    key: ClassVar[ConnectionKey] = ConnectionKey(
        "api.minimax.io", 443, True, True, None, None, None
    )
    lines: ClassVar[list[tuple[Exception, str]]] = [
        (aiohttp.ClientConnectorDNSError(key, OSError(-2, "unknown")), "unreachable"),
        (aiohttp.ClientConnectorError(key, OSError(111, "refused")), "unreachable"),
        (aiohttp.ConnectionTimeoutError(), "unreachable"),
        (aiohttp.ServerDisconnectedError(), "silent"),
        (OSError("no more files"), "silent"),
        (aiohttp.ClientConnectorSSLError(key, ssl.SSLError(1, "bad")), "tls"),
        (aiohttp.ClientConnectorCertificateError(key, ssl.SSLError(1, "self-signed")), "tls"),
        (aiohttp.ClientProxyConnectionError(key, OSError(111, "refused")), "proxy"),
        (
            aiohttp.ClientHttpProxyError(None, (), status=407),  # type: ignore[arg-type]
            "proxy",
        ),
        (ValueError("no address"), "config_invalid"),
    ]

    @pytest.mark.parametrize(("cause", "name"), lines, ids=lambda it: type(it).__name__)
    def test_failures_of_the_connection(self, cause: Exception, name: str) -> None:
        """Network, TLS and proxy are told apart by the words of the transport."""
        assert trouble_of(transport._unreachable("api.minimax.io", cause)) == name

    def test_silence_is_no_matter_of_the_network(self) -> None:
        """A server that is there and sends nothing: nobody is told to look for the Internet."""
        assert trouble_of(transport._silent("api.minimax.io", 10.0)) == "silent"
        late = errors.APITimeoutError("api.minimax.io did not finish its answer within 40 s.")
        assert trouble_of(late) == "silent"
        assert "Internet" not in " ".join(trouble("silent").causes)

    def test_a_line_that_breaks(self) -> None:
        """A connection that breaks in the answer is a matter of streaming, as is one that just ends."""
        words = "The connection to api.minimax.io broke in the middle of the answer."
        assert trouble_of(errors.APIConnectionError(words)) == "stream_broken"
        reasons: list[tuple[Any, str | None]] = [
            ("timeout", "stream_broken"),
            ("disconnected", "stream_broken"),
            ("truncated", "stream_broken"),
            ("server_error", "overloaded"),
            ("cancelled", None),
        ]
        for reason, name in reasons:
            error = errors.StreamInterrupted("x", partial=ChatReply(), reason=reason)
            assert trouble_of(error) == name

    def test_a_login_page_is_no_answer(self) -> None:
        """A page where an answer should be leads to whoever else may have answered."""
        error = not_an_answer("text/html", b"<html>Welcome to the hotel</html>", url=URL)
        assert trouble_of(error) == "no_answer"

    def test_a_socks_proxy_is_a_matter_of_the_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Settings for a proxy that cannot be used lead to the proxy, not to the files."""
        monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1080")
        monkeypatch.delenv("no_proxy", raising=False)
        with pytest.raises(errors.ConfigError) as caught:
            transport.proxy_from_environment(URL)
        assert trouble_of(caught.value) == "proxy"

    @pytest.mark.parametrize("key", ["", " ", "sk cp", "sk-cp-\x07bell"])
    def test_a_key_that_can_be_none(self, key: str) -> None:
        """What cannot be a key leads to copying it again."""
        with pytest.raises(errors.ConfigError) as caught:
            clean_key(SecretStr(key), "environment MINIMAX_API_KEY")
        assert trouble_of(caught.value) == "key_unusable"

    def test_a_damaged_bundle(self) -> None:
        """A file of a login that cannot be read leads to a new login; a damaged ledger does not."""
        with pytest.raises(errors.ConfigError) as caught:
            parse_bundle('{"access_token": ', "secrets/minimax_token_plan.json")
        assert trouble_of(caught.value) == "bundle_damaged"
        ledger = errors.ConfigError("The ledger usage.sqlite3 is damaged: no database.")
        assert trouble_of(ledger) == "config_invalid"

    @pytest.mark.parametrize(
        ("message", "name"),
        [
            ("secrets/x.json cannot be locked: permission denied.", "bundle_permissions"),
            ("secrets/x.json cannot be written: read-only file system.", "bundle_permissions"),
            ("config/llm.yaml, line 4: there is no setting 'modle'.", "config_invalid"),
            ("Aider is not installed.", "aider_missing"),
            ("gpt-4o is not a model of MiniMax.", "missing_model"),
        ],
    )
    def test_settings_that_are_in_the_way(self, message: str, name: str) -> None:
        """A login's file that cannot be kept is told apart from a file with a slip in it, and both from
        an Aider that cannot be started."""
        assert trouble_of(errors.ConfigError(message)) == name

    plain: ClassVar[dict[type[MinimaxError], str | None]] = {
        errors.CredentialsMissing: "key_missing",
        errors.CredentialInvalid: "unauthorized",
        errors.AuthError: "sign_in",
        errors.LoginDenied: "sign_in",
        errors.LoginExpired: "sign_in",
        errors.InsufficientBalance: "forbidden",
        errors.QuotaExceeded: "quota_exceeded",
        errors.RateLimitError: "rate_limited",
        errors.ServerError: "overloaded",
        errors.ContentRefused: "content_refused",
        errors.RequestRejected: "request_rejected",
        errors.APIError: "request_rejected",
        errors.APIConnectionError: "unreachable",
        errors.APITimeoutError: "unreachable",
        errors.ProtocolError: "no_answer",
        errors.ConfigError: "config_invalid",
        errors.BudgetExceeded: "budget_exceeded",
        errors.OutputInvalid: None,
        errors.MinimaxError: None,
        errors.StreamInterrupted: "stream_broken",
    }

    def test_every_class_is_known(self) -> None:
        """No error of the package is without an opinion here, and each opinion is in the table."""
        here = {cls for cls in every(MinimaxError) if cls.__module__ == errors.__name__}
        assert here == set(self.plain)
        more: dict[type[MinimaxError], dict[str, Any]] = {
            errors.OutputInvalid: {"text": ""},
            errors.StreamInterrupted: {"partial": ChatReply(), "reason": "truncated"},
        }
        for cls, name in self.plain.items():
            assert trouble_of(cls("Something.", **more.get(cls, {}))) == name
            assert name is None or trouble(name).name == name
