"""What a report must not tell to strangers."""

from __future__ import annotations

import base64
import random
import string
import time

import pytest

from minimax_magic.doctor import report
from minimax_magic.doctor.findings import Finding
from minimax_magic.doctor.redacted import Redactor

JWT = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJHcm91cE5hbWUiOiJhbm5hIn0.c2lnbmF0dXJl-_x"
HEX = "9d03a250df6f30e2213bf127689b24db"
URLSAFE = "Zq3vT8-kP_x1LmN0aYcD4eFgH5iJ6oRs"
GROUP = "1782658868262748123"


def redacted(words: str, **given: object) -> str:
    return Redactor([words], **given).line(words)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "secret",
    [
        "sk-cp-abcdefghijklmnopqrstuvwxyz",
        "sk-api-ABCDEFGHIJ0123456789",
        "sk-0123456789abcdef",
        JWT,
        HEX,
        HEX.upper(),
        HEX[:20],
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        URLSAFE,
        f"{URLSAFE}==",
        GROUP,
    ],
)
@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "The key {}.",
        "key={}",
        "'{}'",
        "({})",
        "https://gateway.corp.example/v1?key={}",
        "https://user:{}@api.minimax.io/v1",
        "Bearer {}",
        "x-api-key: {}",
        '{{"access_token": "{}"}}',
        "/tmp/{}/file",
        "{},{}",
    ],
)
def test_no_form_of_a_secret_is_left(secret: str, around: str) -> None:
    """Keys, tokens and ids go wherever they stand: in words, addresses, headers, JSON and paths."""
    shown = redacted(around.format(secret, secret))
    assert secret not in shown
    assert secret[8:] not in shown


def test_random_keys_are_seen() -> None:
    """A gateway's key is taken for one whatever the dice gave, without a digit too."""
    dice = random.Random(7)
    for length in (24, 32, 43):
        for _ in range(300):
            key = "".join(dice.choices(string.ascii_letters + string.digits + "-_", k=length))
            assert key not in redacted(f"The gateway's key is {key}, made now.")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("/home/anna/work/llm.yaml", "~/work/llm.yaml"),
        ("/Users/anna.b/x", "~/x"),
        ("C:\\Users\\Anna\\x.bat", "~\\x.bat"),
        ("c:/Users/Anna/x.bat", "~/x.bat"),
        ("/mnt/c/Users/Anna/x", "~/x"),
        ("/root/secrets and /root", "~/secrets and ~"),
        ("anna@corp.example wrote", "<e-mail> wrote"),
        ("anna%40corp.example", "<e-mail>"),
        ("\\\\server7\\anna\\x", "<host>\\x"),
    ],
)
def test_people_and_their_folders_go(words: str, expected: str) -> None:
    """The home folder is ~, and an e-mail address nobody's."""
    assert redacted(words) == expected


def test_the_name_in_a_home_folder_goes_everywhere() -> None:
    """A user's name that one line gives away is taken out of all lines, but not out of other words."""
    lines = ["/home/anna/x", "Hello anna, savannah and Anna-7 at /srv/anna."]
    redactor = Redactor(lines)
    assert redactor.line(lines[1]) == "Hello <user>, savannah and <user>-7 at /srv/<user>."


def test_common_names_are_no_names() -> None:
    """In a container the user is called like half of the words around."""
    redactor = Redactor(["/home/jovyan/x", "/Users/user/x"])
    assert redactor.line("jovyan is a user of /home/jovyan/x") == "jovyan is a user of ~/x"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "HTTPS_PROXY is http://anna:Pa55word@proxy.corp.example:3128/",
            "HTTPS_PROXY is http://<host>:3128/",
        ),
        ("https://llm.corp.example/anthropic", "https://<host>/anthropic"),
        ("http://[fd00::17]:8080/v1", "http://[<host>]:8080/v1"),
        ("http://intranet/v1", "http://<host>/v1"),
        ("https://api.minimax.io/v1?GroupId=7", "https://api.minimax.io/v1?..."),
        ("http://127.0.0.1:4000/v1", "http://127.0.0.1:4000/v1"),
        ("http://localhost:4000", "http://localhost:4000"),
        ("https://minimax.io.evil.example/x", "https://<host>/x"),
        ("http://us%20er:p%40ss@[2001:db8::1]:3128", "http://[<host>]:3128"),
    ],
)
def test_addresses_keep_their_form(words: str, expected: str) -> None:
    """Of an address scheme, port and path stay; user, password, query and private hosts do not."""
    assert redacted(words) == expected


def test_a_host_goes_from_all_lines() -> None:
    """The name of a company's server is taken out where it stands alone, too."""
    lines = [
        "https://llm.corp.example/v1",
        "llm.corp.example:443 did not answer; LLM.corp.example.",
    ]
    assert Redactor(lines).line(lines[1]) == "<host>:443 did not answer; <host>."


def test_every_name_in_what_a_proxy_is_goes() -> None:
    """What tells of a proxy names no server, with or without an address around."""
    proxied = ["The proxy squid.corp.example answers.", "squid:3128 from the system"]
    redactor = Redactor(proxied, proxied=proxied)
    assert redactor.line(proxied[0]) == "The proxy <host> answers."
    assert redactor.line(proxied[1]) == "<host>:3128 from the system"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("is 10.1.2.3 and 192.168.7.1", "is <private address> and <private address>"),
        ("is fe80::1 and fd12:3456::7", "is <private address> and <private address>"),
        ("is 47.252.1.2 and 127.0.0.1", "is 47.252.1.2 and 127.0.0.1"),
    ],
)
def test_private_addresses_go(words: str, expected: str) -> None:
    """An address inside a company goes; one that all the world has, or this machine's own, stays."""
    assert redacted(words) == expected


@pytest.mark.parametrize(
    "words",
    [
        "api.minimax.io answered 401: invalid api key (2049).",
        "environment MINIMAX_CODE_PLAN_KEY: sk-cp-... (used)",
        "https://api.minimaxi.com/anthropic/v1/messages",
        "MiniMax-M2.5-highspeed answered (1.3 s), resets at 2026-05-15T15:00:00Z.",
        "TLSv1.3, TLS_AES_256_GCM_SHA384, certificate of DigiCert Global G2 until 2027-03-01.",
        "python 3.12.1, aiohttp 3.14.5, Linux 6.1, jupyterlab 4.5.0rc1",
        "secrets/minimax_token_plan.json has mode 0600.",
        "ANTHROPIC_API_BASE beats ANTHROPIC_BASE_URL.",
        "input 1,024 tokens, 123456 in all, 12:30:45",
        "CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate (_ssl.c:992)",
        "Set HTTPS_PROXY if this network has a proxy.",
        "InvalidCertificateHostnameError",
    ],
)
def test_what_tells_nothing_of_anybody_stays(words: str) -> None:
    """A report keeps what it is written for."""
    assert redacted(words) == words


def test_what_is_known_to_be_private_goes() -> None:
    """Words that a caller knows go whatever they look like, the longest first."""
    private = {"/srv/data/anna": "~", "team7": "<id>", "/srv/data": "<data>"}
    redactor = Redactor([], private=private)
    assert redactor.line("/srv/data/anna/x of TEAM7, team77") == "~/x of <id>, team77"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("password=geheim7", "password=***"),
        ("HTTP_PASSWORD = correct-horse", "HTTP_PASSWORD = ***"),
        ("api_key: correcthorse", "api_key: ***"),
        ("group_id=blueteam", "group_id=***"),
        ("Basic YW5uYTpn", "Basic ***"),
        ("key: sk-cp-... (used)", "key: sk-cp-... (used)"),
        (f"group {GROUP}", "group <id>"),
        ("group 178265886826", "group <id>"),
    ],
)
def test_what_is_named_a_secret_is_one(words: str, expected: str) -> None:
    """A value goes if its name says that it is secret, however harmless it looks; a long number is an
    id."""
    assert redacted(words) == expected


@pytest.mark.parametrize(
    "part", ["a", "a.", "http://", "1:", "a-", "/home/", "a@", "key= ", "\\\\a\\", "0f8fad5b-"]
)
def test_endless_words_take_no_time(part: str) -> None:
    """Whatever a server or a file says for how long, a report is made at once: of very long lines the
    first words are kept, and none by half."""
    words = part * (100_000 // len(part))
    begun = time.process_time()
    shown = Redactor([words] * 3, proxied=[words]).line(words)
    assert time.process_time() - begun < 2
    assert shown.endswith("...")
    assert len(shown) <= 700


def test_a_key_at_the_end_of_a_long_line_is_not_cut_in_two() -> None:
    """What is left of a long line ends with a whole word."""
    for before in range(570, 601, 3):
        shown = redacted("x" * (before - 1) + " sk-cp-abcdefghijklmnop " + "y " * 100)
        assert "sk-" not in shown


def test_labels_tell_ids() -> None:
    """What stands behind a label for an id is one, whatever it looks like."""
    redactor = Redactor([])
    assert redactor.value("Group id", "blue") == "<id>"
    assert redactor.value("Request id", "7-x") == "<id>"
    assert redactor.value("Account", "anna") == "<id>"
    assert redactor.value("Input tokens", "51") == "51"


def test_a_whole_report_tells_nothing() -> None:
    """Findings full of secrets, and a report without one of them."""
    basic = base64.b64encode(b"anna:geheim123").decode()
    private = [
        *("anna", "geheim123", "corp.example", "10.20.30.40", "Contoso-Laptop-7"),
        *(JWT, HEX, URLSAFE, GROUP, basic, "sk-cp-abcdefghijklmnopqrstuvwxyz"),
    ]
    findings = [
        Finding(
            "credential",
            "Credential",
            "ok",
            "/home/anna/secrets/minimax_token_plan.json: sk-cp-...",
            facts=(("Group id", GROUP), ("token", JWT), ("gateway key", URLSAFE)),
        ),
        Finding(
            "proxy",
            "Proxy",
            "failed",
            "http://anna:geheim123@squid.corp.example:3128 answered 407.",
            facts=(("HTTPS_PROXY", "squid.corp.example:3128"), ("sent", f"Basic {basic}")),
        ),
        Finding(
            "dns",
            "Name resolution",
            "warning",
            f"llm.corp.example is 10.20.30.40 for anna@corp.example ({HEX}).",
            facts=(("https://llm.corp.example/v1", "sk-cp-abcdefghijklmnopqrstuvwxyz"),),
        ),
    ]
    shown = report.markdown(
        findings, versions=[("here", "Contoso-Laptop-7")], private={"Contoso-Laptop-7": "<host>"}
    )
    for word in private:
        assert word not in shown, word
