"""Which of a login and the keys is used, and where a login's requests go."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from auth_fakes import MARK, NOW, REFRESH, bundle, shown
from pydantic import SecretStr

from minimax_magic.auth.bundle import bundle_text
from minimax_magic.auth.bundle_file import BUNDLE_FILE, NEXO_BUNDLE_FILE, BundleFile
from minimax_magic.auth.sources import (
    KEY_FILE,
    KEY_VARIABLES,
    Candidate,
    Credential,
    Given,
    Login,
    LoginElsewhere,
    bundle_files,
    candidates,
    find_credential,
    user_secrets_dir,
)
from minimax_magic.config import Settings, load_settings
from minimax_magic.errors import ConfigError, CredentialsMissing

ENV_1 = "MINIMAX_CODE_PLAN_KEY"
OWN = "https://api.minimax.io/anthropic"
LOGIN = f"secrets/{BUNDLE_FILE}"
NEXO = f"secrets/{NEXO_BUNDLE_FILE}"


class Places:
    """A project in which logins and keys can be put."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ: dict[str, str] = {"MINIMAX_DATA_DIR": str(root / "data")}
        self.given = Given()

    def login(self, name: str = LOGIN, **more: Any) -> Path:
        path = self.root / name
        BundleFile(path).write(bundle(**more))
        return path

    def key(self) -> None:
        self.environ[ENV_1] = f"sk-cp-{MARK}"

    def llm(self, text: str) -> None:
        folder = self.root / "config"
        folder.mkdir(exist_ok=True)
        (folder / "llm.yaml").write_text(f"providers:\n  minimax:\n{text}")

    def mode(self, mode: str, more: str = "") -> None:
        self.llm(f"    auth:\n      mode: {mode}\n{more}")

    def settings(self) -> Settings:
        return load_settings(self.root, self.environ, user_config_dir=self.root / "none")

    def find(self) -> Credential | Login:
        return find_credential(self.settings(), self.environ, self.given)

    def used(self) -> str:
        """Where the credential is from; `candidates` marks the same place."""
        source = self.find().source
        assert [place.source for place in self.candidates() if place.used] == [source]
        return source

    def candidates(self) -> list[Candidate]:
        return candidates(self.settings(), self.environ, self.given, now=NOW)

    def base_url(self) -> str:
        found = self.find()
        assert isinstance(found, Login)
        return found.base_url


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


# -------------------------------------------------------------------------------- precedence

FILL: dict[str, Callable[[Places], object]] = {
    "argument": lambda p: setattr(p, "given", Given(api_key=SecretStr(MARK), session_key=_key())),
    "session": lambda p: setattr(p, "given", Given(session_key=_key())),
    "login": lambda p: p.login(LOGIN),
    "nexo": lambda p: p.login(NEXO),
    "user": lambda p: p.login(f"data/secrets/{BUNDLE_FILE}"),
    "key": lambda p: p.key(),
}


def _key() -> SecretStr:
    return SecretStr(f"sk-{MARK}")


@pytest.mark.parametrize(
    ("filled", "source"),
    [
        ("argument login key", "argument api_key"),
        ("session login key", "this session"),
        ("login nexo user key", LOGIN),
        ("nexo user key", NEXO),
        ("user key", f"data/secrets/{BUNDLE_FILE}"),
        ("key", f"environment {ENV_1}"),
    ],
)
def test_precedence(places: Places, filled: str, source: str) -> None:
    """An argument, the session's key, the project's login, nexo's, the user's, then keys."""
    for which in filled.split():
        FILL[which](places)
    assert places.used().endswith(source)


def test_a_bundle_given_in_code_goes_before_all(places: Places) -> None:
    """It is the only one that counts: if it is missing, nothing else is tried."""
    places.login()
    places.given = Given(bundle=places.login("mine.json"), session_key=_key())
    assert places.used().endswith("mine.json")
    places.given = Given(bundle=places.root / "none.json")
    with pytest.raises(CredentialsMissing, match=r"none\.json does not exist"):
        places.find()
    assert not any(place.used for place in places.candidates())


def test_a_blank_session_key_is_none(places: Places) -> None:
    """It is passed over like any other blank place."""
    places.login()
    places.given = Given(session_key=SecretStr(" \n"))
    assert places.used() == LOGIN


@pytest.mark.parametrize(
    ("mode", "source"),
    [("auto", LOGIN), ("token_plan", LOGIN), ("static", f"environment {ENV_1}")],
)
def test_auth_mode(places: Places, mode: str, source: str) -> None:
    """`static` leaves logins out, `token_plan` leaves keys out."""
    places.mode(mode)
    places.login()
    places.key()
    assert places.used() == source
    shown_sources = {place.source for place in places.candidates()}
    assert (LOGIN in shown_sources) is (mode != "static")
    assert (f"environment {ENV_1}" in shown_sources) is (mode != "token_plan")


def test_a_mode_that_finds_nothing(places: Places) -> None:
    """With `token_plan` a key does not help, with `static` a login does not."""
    places.mode("token_plan")
    places.key()
    with pytest.raises(CredentialsMissing, match=r"auth.mode in llm.yaml is token_plan.*login"):
        places.find()
    places.mode("static")
    places.environ.pop(ENV_1)
    places.login()
    with pytest.raises(CredentialsMissing, match="No MiniMax login and no API key"):
        places.find()


def test_a_bundle_that_is_configured_is_the_only_login(places: Places) -> None:
    """MINIMAX_BUNDLE replaces the three usual places; missing it is an error in token_plan alone."""
    places.login()
    places.key()
    places.environ["MINIMAX_BUNDLE"] = "other/b.json"
    assert places.used() == f"environment {ENV_1}"
    places.login("other/b.json")
    assert places.used() == "other/b.json"
    assert [file.path for file in bundle_files(places.settings())] == [
        places.root / "other" / "b.json"
    ]
    places.environ["MINIMAX_BUNDLE"] = "other/none.json"
    places.mode("token_plan")
    with pytest.raises(CredentialsMissing, match=r"other/none.json does not exist"):
        places.find()


def test_the_users_folder(places: Places) -> None:
    """One login there serves all notebooks."""
    settings = places.settings()
    assert user_secrets_dir(settings) == places.root / "data" / "secrets"
    assert [file.path.name for file in bundle_files(settings)] == [
        BUNDLE_FILE,
        NEXO_BUNDLE_FILE,
        BUNDLE_FILE,
    ]


@pytest.mark.parametrize("name", [LOGIN, NEXO, f"data/secrets/{BUNDLE_FILE}"])
def test_a_damaged_login_is_an_error(places: Places, name: str) -> None:
    """It is not passed over for a key, which may be of another account."""
    path = places.login(name)
    path.write_text(bundle_text(bundle())[:-30])
    places.key()
    with pytest.raises(ConfigError, match="is damaged") as caught:
        places.find()
    assert MARK not in shown(caught.value)
    problems = [place for place in places.candidates() if place.problem]
    assert [place.source for place in problems] == [
        caught.value.message.partition(" is damaged")[0]
    ]
    assert not any(place.used for place in places.candidates())


def test_a_login_of_no_region_is_an_error(places: Places) -> None:
    """Its token could go anywhere."""
    places.login(region="nowhere at all")
    with pytest.raises(ConfigError, match="the region"):
        places.find()


def test_a_found_login_has_what_was_in_its_file(places: Places) -> None:
    """The same bundle that its region and server were told from, also if the file changes."""
    path = places.login(region="https://api.minimaxi.com", resource_url=None)
    found = places.find()
    assert isinstance(found, Login)
    assert found.bundle == BundleFile(path).read()
    assert found.bundle.region == found.region.root == "https://api.minimaxi.com"
    places.login()
    assert found.bundle.region == "https://api.minimaxi.com"
    assert MARK not in repr(found)


# ------------------------------------------------------------------------------- files alone

LOCAL = "http://127.0.0.1:8765"


def _fill_all_but_files(places: Places) -> None:
    for variable in (*KEY_VARIABLES, "MINIMAX_API_KEY"):
        places.environ[variable] = f"sk-{MARK}"
    places.llm(f"    api_key: sk-{MARK}\n")


def test_files_only_looks_into_no_environment_and_no_llm_yaml(places: Places) -> None:
    """What is meant for MiniMax is not there for another server: not found, nor shown as a place."""
    _fill_all_but_files(places)
    assert places.used() == f"environment {KEY_VARIABLES[0]}"
    places.given = Given(files_only=True)
    with pytest.raises(CredentialsMissing):
        places.find()
    looked = [(c.source.removeprefix(f"{places.root}/"), c.found) for c in places.candidates()]
    assert looked == [
        (LOGIN, False),
        (NEXO, False),
        (f"data/secrets/{BUNDLE_FILE}", False),
        (f"secrets/{KEY_FILE}", False),
    ]


def test_files_only_takes_what_is_in_the_secrets_folder(places: Places) -> None:
    """The key's file, and before it a login; arguments still go before both."""
    _fill_all_but_files(places)
    places.given = Given(files_only=True)
    (places.root / "secrets").mkdir()
    (places.root / "secrets" / KEY_FILE).write_text("sk-file")
    assert places.used() == f"secrets/{KEY_FILE}"
    places.login()
    assert places.used() == LOGIN
    places.given = Given(session_key=_key(), files_only=True)
    assert places.used() == "this session"


# ------------------------------------------------------------------------------ where it goes


@pytest.mark.parametrize(
    ("base_url", "resource_url", "goes_to"),
    [
        (None, OWN, OWN),
        (None, None, OWN),
        (None, "https://api.minimax.io/v1", "https://api.minimax.io/v1"),
        (None, "https://evil.example/anthropic", OWN),
        (None, "https://[", OWN),
        (None, f"https://user:{MARK}@api.minimax.io/anthropic", OWN),
        ("https://api.minimax.io", OWN, OWN),
        ("api.minimax.io/", OWN, OWN),
        ("https://api.minimax.chat", OWN, OWN),
        ("https://api.minimax.io/v1", OWN, "https://api.minimax.io/v1"),
        ("https://api.minimax.io/anthropic", None, OWN),
    ],
)
def test_where_a_login_is_used(
    places: Places, base_url: str | None, resource_url: str | None, goes_to: str
) -> None:
    """At the server that came with it, unless base_url has a path; never at a stranger's."""
    if base_url is not None:
        places.environ["MINIMAX_BASE_URL"] = base_url
    places.login(resource_url=resource_url)
    assert places.base_url() == goes_to


def test_a_flavour_that_is_set_keeps_base_url(places: Places) -> None:
    """Whoever names the wire means the host as it is written."""
    places.login()
    places.environ |= {"MINIMAX_BASE_URL": "https://api.minimax.io"}
    assert places.base_url() == OWN
    places.environ |= {"MINIMAX_API_FLAVOR": "openai_compat"}
    assert places.base_url() == "https://api.minimax.io"


def test_a_simulators_login(places: Places) -> None:
    """A region that is none of MiniMax's is one server, port and all."""
    local = "http://127.0.0.1:8765"
    places.login(region=local, resource_url=f"{local}/anthropic")
    assert places.base_url() == f"{local}/anthropic"
    places.environ["MINIMAX_BASE_URL"] = "http://127.0.0.1:8766"
    with pytest.raises(LoginElsewhere):
        places.find()


ELSEWHERE = r"login is for api.minimax.io, but base_url \(.*MINIMAX_BASE_URL\) is api.minimaxi.com"


def test_a_login_for_another_server(places: Places) -> None:
    """In `auto` it is passed over for a key; if there is none, it is said."""
    places.login()
    places.environ["MINIMAX_BASE_URL"] = "https://api.minimaxi.com/anthropic"
    with pytest.raises(LoginElsewhere, match=ELSEWHERE):
        places.find()
    row = next(place for place in places.candidates() if place.source == LOGIN)
    assert (row.found, row.used, row.shown) == (True, False, "")
    assert row.problem.startswith("The login is for api.minimax.io, but")
    with pytest.raises(LoginElsewhere) as caught:
        places.find()
    assert caught.value.hint
    assert row.problem == f"{caught.value.message} {caught.value.hint}"
    places.key()
    assert places.used() == f"environment {ENV_1}"


def test_a_later_login_for_the_right_server_is_used(places: Places) -> None:
    """The first one is passed over only because it does not fit."""
    places.environ["MINIMAX_BASE_URL"] = "https://api.minimaxi.com/anthropic"
    places.login()
    places.login(NEXO, region="https://api.minimaxi.com", resource_url=None)
    assert places.used() == NEXO


@pytest.mark.parametrize("wanted", ["mode", "configured", "given"])
def test_a_login_that_is_wanted_but_for_another_server(places: Places, wanted: str) -> None:
    """Asked for by name, or with `token_plan`, it is an error whatever else there is."""
    path = places.login()
    places.key()
    places.environ["MINIMAX_BASE_URL"] = "https://api.minimaxi.com/anthropic"
    match wanted:
        case "mode":
            places.mode("token_plan")
        case "configured":
            places.mode("token_plan", f"      bundle: {path}\n")
        case "given":
            places.given = Given(bundle=path)
    with pytest.raises(LoginElsewhere, match=ELSEWHERE):
        places.find()
    assert not any(place.used for place in places.candidates())


# -------------------------------------------------------------------------------------- words


def test_candidates_show_a_login_without_its_token(places: Places) -> None:
    """Host and how long the token is good; each place is there, and one is marked."""
    places.login()
    places.login(NEXO, left_s=-5)
    places.key()
    places.given = Given(api_key=SecretStr(" "))
    found = places.candidates()
    assert [(c.source, c.found, c.used, c.shown) for c in found if c.found] == [
        (LOGIN, True, True, "login at api.minimax.io, token valid for 15 minutes"),
        (NEXO, True, False, "login at api.minimax.io, token to be renewed"),
        (f"environment {ENV_1}", True, False, "sk-cp-..."),
    ]
    assert [c.source for c in found][-1] == "environment MINIMAX_API_KEY"
    assert f"secrets/{KEY_FILE}" in [c.source for c in found]
    for secret in (MARK, REFRESH):
        assert secret not in repr(found)


def test_nothing_shows_a_token(places: Places, caplog: pytest.LogCaptureFixture) -> None:
    """Neither what is found nor an error's variables, nor logs."""
    places.given = Given(api_key=None, session_key=None)
    places.login()
    places.key()
    with caplog.at_level(logging.DEBUG):
        found = places.find()
        assert MARK not in f"{found!r} {places.given!r}"
        places.environ["MINIMAX_BASE_URL"] = "https://api.minimaxi.com/anthropic"
        places.environ[ENV_1] = f"sk-{MARK} two"
        with pytest.raises(ConfigError) as caught:
            places.find()
    assert "find_credential" in "".join(traceback.format_tb(caught.value.__traceback__))
    assert MARK not in shown(caught.value)
    assert MARK not in caplog.text
