"""The files of a first setup: what they say to our own loader, and what happens to those that exist."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minimax_magic.config import Settings, load_settings
from minimax_magic.config_schema import (
    AgentSection,
    AuthSettings,
    BudgetSettings,
    LlmFile,
    PriceSection,
    ProviderSection,
    RateLimitSection,
    RetrySettings,
    Section,
    TimeoutsSection,
)
from minimax_magic.errors import ConfigError
from minimax_magic.messages import ApiFlavor
from minimax_magic.pricing import BUILT_IN
from minimax_magic.setup_files import Choices, agent_place, agent_text, llm_text, write

POSIX = pytest.mark.skipif(os.name != "posix", reason="file modes and links of POSIX")


def load(root: Path, **environ: str) -> Settings:
    return load_settings(root, environ, user_config_dir=root / "nowhere")


def setup(root: Path, choices: Choices, *, force: bool = False) -> list[str]:
    return [str(outcome) for outcome in write(choices, root / "config", force=force)]


def files(root: Path) -> dict[str, str]:
    found = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_text() for path in found}


# ------------------------------------------------------------------------------ texts


def test_all_defaults_change_no_setting(tmp_path: Path) -> None:
    """The default llm.yaml says what holds without any file."""
    before = load(tmp_path)
    setup(tmp_path, Choices())
    after = load(tmp_path)
    # only where a value is from may differ, and that there is an agent
    told = {"sources", "agents"}
    for name in {field.name for field in fields(Settings)} - told:
        assert getattr(after, name) == getattr(before, name), name


def test_choices_are_read_back(tmp_path: Path) -> None:
    """Every choice is what the loaded settings say."""
    choices = Choices(
        region="china",
        base_url="https://proxy.example/anthropic",
        api_flavor=ApiFlavor.ANTHROPIC_MESSAGES,
        model="my: model #1",
        agent_id="0-bert_2",
        system_prompt="Say: \"yes\".\n- or '#no'",
    )
    setup(tmp_path, choices)
    settings = load(tmp_path)
    assert settings.auth.region == "china"
    assert settings.base_url == "https://proxy.example/anthropic"
    assert settings.api_flavor is ApiFlavor.ANTHROPIC_MESSAGES
    assert settings.model == "my: model #1"
    agent = settings.agent("0-bert_2")
    assert agent.source == tmp_path / "config/agents.d/0-bert_2.yaml"
    assert agent.model == "my: model #1"
    assert agent.system_prompt == "Say: \"yes\".\n- or '#no'"
    assert (agent.temperature, agent.top_p, agent.max_tokens) == (None, None, None)
    assert (agent.tools, agent.max_steps) == ((), None)


def test_the_server_is_left_to_the_login_unless_it_is_known(tmp_path: Path) -> None:
    """base_url is a comment for the global region and an address for China."""
    assert "\n    # base_url: https://api.minimax.io\n" in llm_text(Choices())
    setup(tmp_path, Choices(region="china"))
    settings = load(tmp_path)
    assert (settings.base_url, settings.auth.region) == ("https://api.minimaxi.com", "china")


def test_what_is_commented_out_loads_too(tmp_path: Path) -> None:
    """Every commented line becomes a valid setting when its # is taken away."""
    (tmp_path / "config/agents.d").mkdir(parents=True)
    for name, text in [("llm", llm_text(Choices())), ("agents.d/ana", agent_text(Choices()))]:
        live = re.sub(r"^( *)# ([\w.-]+:)(?= |$)(?! the| what)", r"\1\2", text, flags=re.MULTILINE)
        (tmp_path / f"config/{name}.yaml").write_text(live)
    settings = load(tmp_path)
    assert settings.api_flavor is ApiFlavor.OPENAI_COMPAT
    assert settings.quota_alert_threshold == 100000
    assert settings.auth.bundle == tmp_path / "secrets/minimax_token_plan.json"
    assert (settings.auth.mode, settings.auth.region) == ("auto", "global")
    assert settings.auth.code_endpoint is None
    assert all(getattr(settings.budget, name) > 0 for name in BudgetSettings.model_fields)
    assert settings.ledger == str(tmp_path / "usage.sqlite3")
    assert (settings.cache, settings.cache_file) == ("record", str(tmp_path / "replay.json"))
    price, listed = (t.find("MiniMax-M2.5") for t in (settings.prices, BUILT_IN))
    assert price is not None
    assert listed is not None
    assert replace(price, source=listed.source) == listed  # the example is the list's own
    agent = settings.agent("ana")
    assert (agent.temperature, agent.top_p, agent.max_tokens) == (0.3, 0.95, 4096)
    assert (agent.tools, agent.max_steps) == (("search",), 10)


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        (
            llm_text(Choices()),
            [
                ProviderSection,
                RateLimitSection,
                TimeoutsSection,
                AuthSettings,
                RetrySettings,
                BudgetSettings,
                PriceSection,
                LlmFile,
            ],
        ),
        (agent_text(Choices()), [AgentSection]),
    ],
    ids=["llm", "agent"],
)
def test_every_key_is_there_and_explained(text: str, sections: list[type[Section]]) -> None:
    """Each key that may be set has a comment above, which ends in what holds without it."""
    explained: dict[str, str] = {}
    comment = ""
    for line in text.splitlines():
        if found := re.match(r" *(?:- |# )?([a-z_]+):(?: [^ ]+| \".*\")?$", line):
            explained[found[1]] = comment
        else:
            comment = line
    groups = {"rate_limit", "timeouts", "auth", "id", "providers", "retry", "budget", "prices"}
    for key in {key for section in sections for key in section.model_fields} - groups:
        assert re.search(r"# .*\(.+\)$|^ *# \(.+\)$", explained[key]), key


def test_no_key_is_written() -> None:
    """The file holds the placeholder of the key."""
    assert "\n    api_key: ${MINIMAX_API_KEY:-}\n" in llm_text(Choices())


def test_the_placeholders_work(tmp_path: Path) -> None:
    """Key and group of the environment arrive through the written file."""
    setup(tmp_path, Choices())
    settings = load(tmp_path, MINIMAX_API_KEY="sk-1", MINIMAX_GROUP_ID="0123")
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "sk-1"
    assert (settings.api_key_source or "").startswith("config/llm.yaml line ")
    assert settings.group_id == "0123"


@given(st.text() | st.text("${}:#'\"\\- \n\r\t|>%&*!?,[]~\x00\x85\u2028\ufeffAZ_", max_size=12))
@example("a: b # c")
@example("- 'x' \"y\" \\n\n\nz\n")
@example("${HOME} $${x} $$${ ${")
@example("null")
@example("~")
@example("---\n...")
@example("é 漢 \U0001f600 \x7f\x85\xa0\u2028\u2029\ufeff\ufffe\uffff")
@example("x" * 5000)
@example(" \n ")
@example("")
def test_any_system_prompt_comes_back(prompt: str) -> None:
    """Whatever a prompt is made of, the agent gets it unchanged; a blank one is none."""
    with TemporaryDirectory() as folder:
        setup(Path(folder), Choices(system_prompt=prompt))
        agent = load(Path(folder), HOME="/home/x", x="y").agent("ana")
    assert agent.system_prompt == (prompt if prompt.strip() else None)


@given(st.text(min_size=1).filter(lambda text: text.isprintable() and text.strip()))
@example("true")
@example("MiniMax-M9: new")
@example("${MODEL}")
def test_any_model_comes_back(model: str) -> None:
    """A model's name may hold anything printable; only blanks around it are lost, as in any file."""
    with TemporaryDirectory() as folder:
        setup(Path(folder), Choices(model=model))
        settings = load(Path(folder))
    assert settings.model == settings.agent("ana").model == model.strip()


def test_half_a_character_does_not_break_the_file(tmp_path: Path) -> None:
    """Surrogates that make a pair are joined, and one alone becomes U+FFFD."""
    setup(tmp_path, Choices(system_prompt="\ud83d\ude00 \ud83d"))
    assert load(tmp_path).agent("ana").system_prompt == "\U0001f600 \ufffd"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "a.b", "-a", "é", "a\n", "a" * 65])
def test_an_agent_is_named_as_a_file(name: str) -> None:
    """An id that would be no safe file name is refused."""
    with pytest.raises(ConfigError, match="name of a file"):
        Choices(agent_id=name)


@pytest.mark.parametrize("field", ["base_url", "model", "agent_id", "system_prompt"])
@pytest.mark.parametrize(
    "key",
    ["sk-cp-0123456789abcdefghijklm", "sk-0123456789abcdefghijklm", "eyJhbGciOiJSUzI1NiIsInR5"],
)
def test_a_key_is_refused_wherever_it_is_put(field: str, key: str) -> None:
    """What looks like a key gets into no file, and the error does not repeat it."""
    with pytest.raises(ConfigError, match="looks like a key") as caught:
        replace(Choices(), **{field: key})  # type: ignore[arg-type]
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("region", "moon", "no region. Choose global or china"),
        ("model", " ", "needs a name"),
        ("base_url", "https://a:b@proxy.example", "without user and password"),
    ],
)
def test_other_wrong_choices_are_refused(field: str, value: str, problem: str) -> None:
    """A region must be known, a model named, and an address without password."""
    with pytest.raises(ConfigError, match=problem):
        replace(Choices(), **{field: value})  # type: ignore[arg-type]


# ------------------------------------------------------------------------------ to disk


def test_new_files_are_written_and_a_second_time_already_so(tmp_path: Path) -> None:
    """Writing the same again changes nothing, also when forced, and leaves nothing else behind."""
    first = ["config/llm.yaml: written.", "config/agents.d/ana.yaml: written."]
    again = ["config/llm.yaml: already so.", "config/agents.d/ana.yaml: already so."]
    assert setup(tmp_path, Choices()) == first
    assert setup(tmp_path, Choices()) == again
    assert setup(tmp_path, Choices(), force=True) == again
    assert set(files(tmp_path)) == {"config/llm.yaml", "config/agents.d/ana.yaml"}


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    """Files with another content are left as they are, to the byte."""
    setup(tmp_path, Choices())
    before = files(tmp_path)
    said = setup(tmp_path, Choices(model="other"))
    assert said == [
        "config/llm.yaml: left as it is.",
        "config/agents.d/ana.yaml: left as it is.",
    ]
    assert files(tmp_path) == before


def test_what_is_replaced_is_kept(tmp_path: Path) -> None:
    """Each replaced file is kept under a name of its own, and none of these is read as an agent."""
    texts = []
    for model in ("one", "two", "three"):
        said = setup(tmp_path, Choices(model=model), force=True)
        texts.append(llm_text(Choices(model=model)))
    assert said == [
        "config/llm.yaml: replaced; the old one is config/llm.yaml.bak.2.",
        "config/agents.d/ana.yaml: replaced; the old one is config/agents.d/ana.yaml.bak.2.",
    ]
    found = files(tmp_path / "config")
    names = ["llm.yaml.bak", "llm.yaml.bak.2", "llm.yaml"]
    assert [found[name] for name in names] == texts
    assert load(tmp_path).agent("ana").model == "three"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("other", ["team.yaml", "ana.yml"])
def test_an_agent_of_another_file_is_not_doubled(tmp_path: Path, force: bool, other: str) -> None:
    """An id that another file has is told with its place, and the settings still load."""
    team = tmp_path / "config/agents.d" / other
    team.parent.mkdir(parents=True)
    team.write_text("agents:\n  - id: bob\n  - id: ana\n    system_prompt: Mine.\n")
    said = setup(tmp_path, Choices(), force=force)
    place = f"config/agents.d/{other} line 3"
    assert said[1] == f"config/agents.d/ana.yaml: not written, since {place} has this agent."
    assert agent_place("ana", tmp_path / "config") == place
    assert load(tmp_path).agent("ana").system_prompt == "Mine."


def test_files_that_are_not_read_as_agents_hold_none(tmp_path: Path) -> None:
    """Hidden files and other endings are no agents; odd but harmless files do no harm."""
    folder = tmp_path / "config/agents.d"
    folder.mkdir(parents=True)
    for name in (".ana.yaml", "ana.yaml.bak", "notes.txt"):
        (folder / name).write_text("agents:\n  - id: ana\n")
    (folder / "empty.yaml").write_text("# nothing\n")
    (folder / "none.yaml").write_text("agents:\n")
    assert setup(tmp_path, Choices())[1] == "config/agents.d/ana.yaml: written."


def test_a_broken_agents_file_stops_before_anything_is_written(tmp_path: Path) -> None:
    """The error names file and line, and llm.yaml is not there."""
    broken = tmp_path / "config/agents.d/broken.yaml"
    broken.parent.mkdir(parents=True)
    broken.write_text("agents:\n  - id: 'x\n")
    with pytest.raises(ConfigError, match=r"config/agents\.d/broken\.yaml line 2"):
        setup(tmp_path, Choices())
    assert set(files(tmp_path)) == {"config/agents.d/broken.yaml"}


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    """An error of the file system says what was done before it."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/agents.d").write_text("a file in the place of the folder")
    with pytest.raises(ConfigError) as caught:
        setup(tmp_path, Choices())
    assert "cannot be read or written: " in caught.value.message
    assert caught.value.hint.startswith("config/llm.yaml: written. ")


@POSIX
def test_a_replaced_file_keeps_its_mode_and_so_does_the_old_one(tmp_path: Path) -> None:
    """A private file stays private, and its copy is no less so."""
    config = tmp_path / "config"
    config.mkdir()
    (config / "llm.yaml").write_text("# mine\n")
    (config / "llm.yaml").chmod(0o600)
    setup(tmp_path, Choices(), force=True)
    for name in ("llm.yaml", "llm.yaml.bak"):
        assert stat.S_IMODE((config / name).stat().st_mode) == 0o600, name


@POSIX
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Behind a link the file itself is replaced."""
    real = tmp_path / "dotfiles.yaml"
    real.write_text("# mine\n")
    (tmp_path / "config").mkdir()
    (tmp_path / "config/llm.yaml").symlink_to(real)
    setup(tmp_path, Choices(), force=True)
    assert (tmp_path / "config/llm.yaml").is_symlink()
    assert real.read_text() == llm_text(Choices())
    assert (tmp_path / "config/llm.yaml.bak").read_text() == "# mine\n"


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the new file cannot take its place, the old one is whole and nothing half-done is left."""
    setup(tmp_path, Choices())
    before = files(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ConfigError, match="no space left on device"):
        setup(tmp_path, Choices(model="other"), force=True)
    after = files(tmp_path)
    assert after.pop("config/llm.yaml.bak") == before["config/llm.yaml"]
    assert after == before
