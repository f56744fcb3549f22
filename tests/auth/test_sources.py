"""Which key is used, and that no key is ever shown. Logins are in `test_login_sources.py`."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from minimax_magic.auth.sources import (
    KEY_FILE,
    AuthSource,
    Credential,
    Given,
    StaticKey,
    candidates,
    find_credential,
    masked,
)
from minimax_magic.auth.store import SecretStore
from minimax_magic.config import Settings, load_settings
from minimax_magic.errors import ConfigError, CredentialsMissing
from minimax_magic.masked import MaskedEnviron, MaskedStr

ENV_1 = "MINIMAX_CODE_PLAN_KEY"
ENV_2 = "MINIMAX_CODING_API_KEY"
SECRET = "sk-cp-0123456789-topsecret"


class Places:
    """A project in which each place for a key can be filled."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ: dict[str, str] = {"MINIMAX_DATA_DIR": str(root / "data")}

    def file(self, content: str | bytes) -> Path:
        path = self.root / "secrets" / KEY_FILE
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def yaml(self, api_key: str) -> None:
        folder = self.root / "config"
        folder.mkdir(exist_ok=True)
        text = f"# config/llm.yaml\nproviders:\n  minimax:\n    api_key: {api_key}\n"
        (folder / "llm.yaml").write_text(text)

    def settings(self) -> Settings:
        return load_settings(self.root, self.environ, user_config_dir=self.root / "none")

    def find(self, api_key: str | SecretStr | None = None) -> Credential:
        key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        found = find_credential(self.settings(), self.environ, Given(api_key=key))
        assert isinstance(found, Credential)
        return found

    def found(self) -> tuple[str, str]:
        credential = self.find()
        return credential.secret.get_secret_value(), credential.source


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


# ---------------------------------------------------------------------------- precedence


def fill(places: Places, which: str) -> None:
    match which:
        case "env1":
            places.environ[ENV_1] = "sk-env1"
        case "env2":
            places.environ[ENV_2] = "sk-env2"
        case "file":
            places.file("sk-file\n")
        case "yaml":
            places.yaml("sk-yaml")
        case "api":
            places.environ["MINIMAX_API_KEY"] = "sk-api"


@pytest.mark.parametrize(
    ("filled", "key", "source"),
    [
        ("env1 env2 file yaml api", "sk-env1", f"environment {ENV_1}"),
        ("env2 file yaml api", "sk-env2", f"environment {ENV_2}"),
        ("file yaml api", "sk-file", f"secrets/{KEY_FILE}"),
        ("yaml api", "sk-yaml", "config/llm.yaml line 4"),
        ("api", "sk-api", "environment MINIMAX_API_KEY"),
        ("env1 api", "sk-env1", f"environment {ENV_1}"),
        ("file api", "sk-file", f"secrets/{KEY_FILE}"),
    ],
)
def test_precedence(places: Places, filled: str, key: str, source: str) -> None:
    """The first of: two variables, the secrets file, llm.yaml, whose default is MINIMAX_API_KEY."""
    for which in filled.split():
        fill(places, which)
    assert places.found() == (key, source)


def test_an_argument_goes_before_all_places(places: Places) -> None:
    """A key given in code is used, a blank one is not."""
    fill(places, "env1")
    assert places.find("sk-mine").source == "argument api_key"
    assert places.find(SecretStr("sk-mine")).secret.get_secret_value() == "sk-mine"
    assert places.find(" ").source == f"environment {ENV_1}"


def test_blank_places_are_passed_over(places: Places) -> None:
    """A variable, file or entry with nothing but blanks or quotes is as good as none."""
    places.environ |= {ENV_1: "", ENV_2: " \n"}
    places.file("\ufeff\n\n")
    places.yaml("'\"\"'")
    places.environ["MINIMAX_API_KEY"] = "sk-api"
    with pytest.raises(CredentialsMissing):
        places.find()
    places.yaml("''")
    assert places.found() == ("sk-api", "environment MINIMAX_API_KEY")


def test_a_placeholder_of_the_file_is_named_by_its_line(places: Places) -> None:
    """With the reference page's `${MINIMAX_API_KEY:-}` the key's source is the line in the file."""
    places.yaml("${MINIMAX_API_KEY:-}")
    fill(places, "api")
    assert places.found() == ("sk-api", "config/llm.yaml line 4")


def test_without_any_key(places: Places) -> None:
    """One sentence says what to set, and how to try without."""
    with pytest.raises(CredentialsMissing) as caught:
        places.find()
    assert caught.value.message == "No MiniMax login and no API key was found."
    assert caught.value.hint == (
        "Run `%minimax login`, or set the environment variable "
        "MINIMAX_API_KEY. `%minimax simulator` tries it without either."
    )


def test_process_environment_is_the_default(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a mapping the variables of the process are read."""
    monkeypatch.setenv(ENV_1, "sk-process")
    found = find_credential(places.settings())
    assert isinstance(found, Credential)
    assert found.secret.get_secret_value() == "sk-process"
    assert [place.source for place in candidates(places.settings()) if place.used] == [
        f"environment {ENV_1}"
    ]


# ---------------------------------------------------------------------------- what a key looks like


@pytest.mark.parametrize(
    "written",
    [
        "sk-x\n",
        "  sk-x\r\n",
        "\ufeffsk-x",
        '"sk-x"\n',
        "' sk-x '",
        "\u200bsk-x\u200b \n",
        "\xa0sk-x",
        "'\"sk-x\"'",
    ],
)
def test_what_stands_around_a_key_is_taken_off(places: Places, written: str) -> None:
    """Blanks, line ends, byte order marks and quotes do not belong to the key, wherever it is."""
    places.file(written)
    assert places.found()[0] == "sk-x"
    places.environ[ENV_1] = written
    assert places.found() == ("sk-x", f"environment {ENV_1}")


def test_powershell_writes_utf16(places: Places) -> None:
    """`"sk-x" > file` in Windows PowerShell gives UTF-16 with a byte order mark."""
    places.file("sk-x\r\n".encode("utf-16"))
    assert places.found()[0] == "sk-x"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("sk-top secret", "has blanks or line breaks in it"),
        ("sk-top\r\nX-Evil: secret", "has blanks or line breaks in it"),
        ("sk-top\u2028secret", "has blanks or line breaks in it"),
        ("sk-top\x00secret", "has control characters in it"),
        ("sk-top\x7fsecret", "has control characters in it"),
        ("sk-top\u202esecret", "has control characters in it"),
        ("sk-top\u2026secret", "has characters in it that no key has"),
        ("sk-top\u043esecret", "has characters in it that no key has"),
    ],
)
@pytest.mark.parametrize("where", ["env", "file", "argument"])
def test_what_cannot_stand_in_a_header_is_refused(
    places: Places, written: str, told: str, where: str
) -> None:
    """The error names the place and not the value, and later places are not tried instead."""
    fill(places, "api")
    if where == "env":
        places.environ[ENV_2] = written
    if where == "file":
        places.file(written)
    with pytest.raises(ConfigError) as caught:
        places.find(written if where == "argument" else None)
    sources = {
        "env": f"environment {ENV_2}",
        "file": f"secrets/{KEY_FILE}",
        "argument": "argument api_key",
    }
    assert str(caught.value) == (
        f"The API key from {sources[where]} {told}. Copy the key again, without anything around it."
    )


# ---------------------------------------------------------------------------- the file


@pytest.mark.parametrize("content", [b"sk-\xff\xfe", b"x" * 100_000, b"\xff\xfea"])
def test_a_file_that_is_no_key(places: Places, content: bytes) -> None:
    """Binary and huge files are refused by name."""
    places.file(content)
    with pytest.raises(ConfigError, match=f"secrets/{KEY_FILE} is not a text file") as caught:
        places.find()
    assert caught.value.__context__ is None


def test_a_folder_instead_of_the_file(places: Places) -> None:
    """So is a folder."""
    (places.root / "secrets" / KEY_FILE).mkdir(parents=True)
    with pytest.raises(ConfigError, match="is not a text file"):
        places.find()


def test_an_unreadable_file(tmp_path: Path) -> None:
    """A link in a circle, or no permission, is told with its reason."""
    (tmp_path / KEY_FILE).symlink_to(KEY_FILE)
    with pytest.raises(ConfigError, match=r"^secrets/.* cannot be read: too many levels"):
        SecretStore(tmp_path).read(KEY_FILE)


def test_a_store_without_folder_is_empty(tmp_path: Path) -> None:
    """No secrets folder, or a file in its place, is no error."""
    assert SecretStore(tmp_path / "none").read(KEY_FILE) is None
    (tmp_path / "file").touch()
    assert SecretStore(tmp_path / "file").read(KEY_FILE) is None


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_a_file_open_to_everybody_is_warned_about_once(
    places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    """It is used all the same; the warning names the file, once per store."""
    path = places.file(SECRET)
    path.chmod(0o644)
    path.parent.chmod(0o755)
    store = SecretStore(path.parent)
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):
            assert find_credential(places.settings(), {}, store=store)
    assert [record.getMessage() for record in caplog.records] == [
        f"secrets/{KEY_FILE} can be read by every user of this machine; `chmod 600` it."
    ]


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
@pytest.mark.parametrize(("folder", "file"), [(0o700, 0o644), (0o755, 0o640)])
def test_a_protected_file_is_not_warned_about(
    places: Places, caplog: pytest.LogCaptureFixture, folder: int, file: int
) -> None:
    """A closed folder protects what is in it, and so do the file's own bits."""
    path = places.file(SECRET)
    path.chmod(file)
    path.parent.chmod(folder)
    places.find()
    assert caplog.records == []
    assert stat.S_IMODE(path.stat().st_mode) == file


# ---------------------------------------------------------------------------- status


def test_candidates_list_every_place(places: Places) -> None:
    """All places in their order, masked, and which one is used."""
    fill(places, "env2")
    places.file("sk-cp-filesecret")
    found = candidates(places.settings(), places.environ)
    logins, keys = found[:3], found[3:]
    assert [c.source.rpartition("/")[2] for c in logins] == [
        "minimax_token_plan.json",
        "minimax_portal.json",
        "minimax_token_plan.json",
    ]
    assert not any(c.found or c.used for c in logins)
    assert [(c.source, c.found, c.used, c.shown) for c in keys] == [
        (f"environment {ENV_1}", False, False, ""),
        (f"environment {ENV_2}", True, True, "sk-..."),
        (f"secrets/{KEY_FILE}", True, False, "sk-cp-..."),
        ("environment MINIMAX_API_KEY", False, False, ""),
    ]
    with_argument = candidates(
        places.settings(), places.environ, Given(api_key=SecretStr("sk-api-x"))
    )
    assert (with_argument[0].source, with_argument[0].used) == ("argument api_key", True)
    assert sum(candidate.used for candidate in with_argument) == 1


def test_candidates_tell_what_is_wrong_without_raising(places: Places) -> None:
    """A place that would be an error has a problem, and then nothing is used."""
    places.environ[ENV_1] = "sk-a b"
    fill(places, "api")
    found = candidates(places.settings(), places.environ)
    problems = {candidate.source: candidate.problem for candidate in found}
    assert problems[f"environment {ENV_1}"] == "has blanks or line breaks in it"
    assert not any(candidate.used for candidate in found)
    del places.environ[ENV_1]
    places.file(b"\xff")
    found = candidates(places.settings(), places.environ)
    problems = {candidate.source: candidate.problem for candidate in found}
    assert "is not a text file" in problems[f"secrets/{KEY_FILE}"]
    assert not any(candidate.used for candidate in found)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("sk-cp-abc", "sk-cp-..."),
        ("sk-api-abc", "sk-api-..."),
        ("sk-abc", "sk-..."),
        ("eyJabc", "..."),
    ],
)
def test_masked_shows_the_kind_and_nothing_else(key: str, shown: str) -> None:
    """The public prefix is all that is ever shown of a key."""
    assert masked(SecretStr(key)) == shown


# ---------------------------------------------------------------------------- StaticKey


def test_static_key() -> None:
    """It gives its key, has nothing to refresh, and describes itself without it."""
    source: AuthSource = StaticKey(Credential(SecretStr(SECRET), "environment X"))
    assert asyncio.run(source.fresh_bearer()) == SECRET
    assert asyncio.run(source.force_refresh()) is False
    assert source.describe() == "API key sk-cp-... from environment X"


def test_the_bearer_is_text_that_does_not_show_itself() -> None:
    """A local variable that holds it prints masked, a header built of it is whole."""
    bearer = asyncio.run(StaticKey(Credential(SecretStr(SECRET), "x")).fresh_bearer())
    assert repr(bearer) == "'***'"
    assert f"Bearer {bearer}" == f"Bearer {SECRET}"
    assert bearer.encode() == SECRET.encode()


# ---------------------------------------------------------------------------- leaks


def test_no_object_shows_a_key(places: Places) -> None:
    """repr, str and format of whatever holds a key, and of lists of it, are masked."""
    places.environ["MINIMAX_API_KEY"] = SECRET
    settings = places.settings()
    credential = places.find()
    objects = [
        settings,
        credential,
        StaticKey(credential),
        SecretStore(places.root),
        MaskedEnviron(places.environ),
        candidates(settings, places.environ, Given(api_key=SecretStr(SECRET))),
    ]
    for thing in objects:
        for text in (repr(thing), str(thing), f"{thing}", repr([thing]), "%r" % (thing,)):  # noqa: UP031
            assert "topsecret" not in text
    assert repr(MaskedStr(SECRET)) == "'***'"


def test_masked_environ_is_a_mapping() -> None:
    """It reads like the mapping under it and sees its changes."""
    below = {"A": "1"}
    environ = MaskedEnviron(below)
    below["B"] = "2"
    assert dict(environ) == {"A": "1", "B": "2"}
    assert environ.get("C") is None
    assert "A" in environ
    assert len(environ) == 2
    assert repr(environ) == "MaskedEnviron(2 variables)"
    assert pickle.loads(pickle.dumps(MaskedStr("x"))) == "x"


BAD = "sk-top secret-topsecret"

FAILURES: dict[str, Callable[[Places], object]] = {
    "argument": lambda places: places.find(BAD),
    "variable": lambda places: (places.environ.update({ENV_1: BAD}), places.find()),
    "file": lambda places: (places.file(BAD), places.find()),
    "binary file": lambda places: (places.file(SECRET.encode() + b"\xff"), places.find()),
    "yaml": lambda places: (places.yaml(f"'{BAD}'"), places.find()),
    "late": lambda places: (
        places.environ.update({"OTHER": SECRET, "MINIMAX_API_KEY": BAD}),
        places.find(),
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_no_traceback_shows_a_key(
    places: Places,
    failure: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Tracebacks with locals (`%xmode Verbose`, reporters), logs at DEBUG and output hold none."""
    from IPython.core.ultratb import VerboseTB

    error: Exception | None = None
    with caplog.at_level(logging.DEBUG):
        try:
            FAILURES[failure](places)
        except ConfigError as raised:
            error = raised
    assert error is not None
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    assert trace is not None
    shown = [
        VerboseTB(theme_name="nocolor", include_vars=True).text(type(error), error, trace),
        *traceback.TracebackException(type(error), error, trace, capture_locals=True).format(),
        repr(vars(error)),
        caplog.text,
        *capsys.readouterr(),
    ]
    assert any("find_credential" in text for text in shown)
    assert "topsecret" not in "\n".join(shown)
