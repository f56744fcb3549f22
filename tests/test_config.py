"""Settings: which file and which variable, and how mistakes are told."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from minimax_magic.config import BudgetSettings, RetrySettings, Settings, load_settings
from minimax_magic.errors import ConfigError
from minimax_magic.pricing import BUILT_IN, PRICE_PAGE
from minimax_magic.tokens import TokenUsage

# as on the reference page, to the letter
PAGE_LLM = """\
# config/llm.yaml
providers:
  minimax:
    api_key: ${MINIMAX_API_KEY:-}
    group_id: ${MINIMAX_GROUP_ID:-}
    base_url: https://api.minimax.io
    rate_limit:
      requests_per_second: 2.0
      quota_alert_threshold: 100000
"""
PAGE_AGENT = """\
# config/agents.d/ana.yaml
agents:
  - id: ana
    model:
      provider: minimax
      model: MiniMax-M2.5
"""


class Project:
    """A folder with config files, and nothing of the machine that runs the tests."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nowhere = root.parent / "no-user-config"

    def write(self, path: str, text: str | bytes) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    def llm(self, text: str) -> None:
        self.write("config/llm.yaml", text)

    def minimax(self, *lines: str) -> None:
        """llm.yaml whose provider section, from line 3 on, is `lines`."""
        self.llm("providers:\n  minimax:\n" + "".join(f"    {line}\n" for line in lines))

    def agents(self, text: str, name: str = "a.yaml") -> None:
        self.write(f"config/agents.d/{name}", text)

    def load(self, start: Path | None = None, **environ: str) -> Settings:
        environ = {"MINIMAX_DATA_DIR": "data"} | environ
        return load_settings(start or self.root, environ, user_config_dir=self.nowhere)

    def problem(self, **environ: str) -> str:
        with pytest.raises(ConfigError) as caught:
            self.load(**environ)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None or caught.value.__suppress_context__
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    return Project(root)


def key(settings: Settings) -> str | None:
    return settings.api_key.get_secret_value() if settings.api_key else None


# ---------------------------------------------------------------------------- values


def test_without_any_file_the_defaults_are_the_reference_page(project: Project) -> None:
    """No file, no variable: what the page shows, and no key."""
    settings = project.load()
    assert settings.api_key is None
    assert settings.api_key_source is None
    assert settings.group_id is None
    assert settings.base_url == "https://api.minimax.io"
    assert settings.api_flavor is None
    assert settings.model == "MiniMax-M2.5"
    assert settings.requests_per_second == 2.0
    assert settings.quota_alert_threshold is None
    assert (settings.idle_timeout_s, settings.max_retry_wait_s) == (120.0, 120.0)
    assert settings.retry == RetrySettings(
        max_attempts=5, initial_backoff_ms=1000, max_backoff_ms=60000, backoff_multiplier=2.0
    )
    assert settings.auth.mode == "auto"
    assert dict(settings.agents) == {}
    assert settings.sources["model"] == "default"
    assert settings.prices is BUILT_IN
    assert settings.budget == BudgetSettings(cell=None, kernel=None, day=None, month=None)
    assert settings.ledger == str(project.root / "data/usage.sqlite3")
    assert settings.cache == "off"
    assert settings.cache_file == str(project.root / "data/replay.sqlite3")
    names = ("prices", "budget.cell", "budget.kernel", "budget.day", "budget.month", "ledger")
    names += ("cache", "cache_file")
    assert {settings.sources[name] for name in names} == {"default"}


def test_the_examples_of_the_reference_page_load(project: Project) -> None:
    """Both YAML examples are read as the page means them."""
    project.llm(PAGE_LLM)
    project.agents(PAGE_AGENT, "ana.yaml")
    settings = project.load(MINIMAX_API_KEY="sk-1", MINIMAX_GROUP_ID="0123")
    assert key(settings) == "sk-1"
    assert settings.api_key_source == "config/llm.yaml line 4"
    assert settings.group_id == "0123"
    assert settings.requests_per_second == 2.0
    assert settings.quota_alert_threshold == 100000
    ana = settings.agent("ana")
    assert (ana.id, ana.model, ana.system_prompt) == ("ana", "MiniMax-M2.5", None)
    assert ana.source == project.root / "config/agents.d/ana.yaml"
    assert ana.place == "config/agents.d/ana.yaml line 3"


def test_every_setting_of_the_file_arrives(project: Project) -> None:
    """Each key of llm.yaml has its place in Settings."""
    project.llm("""\
schema_version: 11
providers:
  minimax:
    api_key: sk-x
    group_id: 17
    base_url: https://api.minimax.io/anthropic
    api_flavor: anthropic
    model: MiniMax-M3
    rate_limit: {requests_per_second: 0.5, quota_alert_threshold: 9}
    timeouts: {idle_timeout_s: 3, max_retry_wait_s: 0}
    auth:
      mode: token_plan
      bundle: ./secrets/b.json
      client_id: 78257093
      scope: a b
      region: china
      code_endpoint: https://a/code
      refresh_endpoint: https://a/token
retry: {max_attempts: 2, initial_backoff_ms: 5, max_backoff_ms: 6, backoff_multiplier: 1.5}
""")
    settings = project.load()
    assert key(settings) == "sk-x"
    assert settings.group_id == "17"
    assert settings.base_url == "https://api.minimax.io/anthropic"
    assert settings.api_flavor == "anthropic_messages"
    assert settings.model == "MiniMax-M3"
    assert settings.requests_per_second == 0.5
    assert settings.quota_alert_threshold == 9
    assert (settings.idle_timeout_s, settings.max_retry_wait_s) == (3, 0)
    assert settings.auth.mode == "token_plan"
    assert settings.auth.bundle == project.root / "secrets/b.json"
    assert settings.auth.client_id == "78257093"
    assert settings.auth.region == "china"
    assert settings.retry.max_attempts == 2
    assert settings.retry.backoff_multiplier == 1.5
    assert settings.sources["requests_per_second"] == "config/llm.yaml line 9"
    assert settings.sources["max_retry_wait_s"] == "config/llm.yaml line 10"


def test_results_are_ordinary_values(project: Project) -> None:
    """Nothing masked is left in a Settings but the key, so that it prints and compares normally."""
    project.minimax("model: MiniMax-M3", "group_id: '7'")
    project.agents("agents: [{id: a, system_prompt: be kind}]")
    settings = project.load(MINIMAX_BASE_URL="https://x")
    for value in (settings.model, settings.group_id, settings.base_url):
        assert type(value) is str
    assert type(settings.agent("a").system_prompt) is str
    assert "'be kind'" in repr(settings)


def test_variables_win_over_the_file(project: Project) -> None:
    """Every variable of the table replaces what llm.yaml says, and is named as the source."""
    project.minimax(
        "base_url: https://file",
        "api_flavor: openai",
        "model: file",
        "group_id: file",
        "rate_limit: {requests_per_second: 1}",
        "timeouts: {idle_timeout_s: 1, max_retry_wait_s: 1}",
        "auth: {bundle: file}",
    )
    settings = project.load(
        MINIMAX_BASE_URL="https://env",
        MINIMAX_API_FLAVOR="anthropic-messages",
        MINIMAX_MODEL="env",
        MINIMAX_GROUP_ID="env",
        MINIMAX_REQUESTS_PER_SECOND="7",
        MINIMAX_IDLE_TIMEOUT_S="8.5",
        MINIMAX_BUNDLE="b.json",
    )
    assert settings.base_url == "https://env"
    assert settings.api_flavor == "anthropic_messages"
    assert settings.model == "env"
    assert settings.group_id == "env"
    assert settings.requests_per_second == 7
    assert settings.idle_timeout_s == 8.5
    assert settings.max_retry_wait_s == 1
    assert settings.auth.bundle == project.root / "b.json"
    assert settings.sources["idle_timeout_s"] == "environment MINIMAX_IDLE_TIMEOUT_S"
    assert settings.sources["max_retry_wait_s"] == "config/llm.yaml line 8"


def test_empty_means_not_set(project: Project) -> None:
    """Empty and blank values, null, and empty sections leave the default or the file's value."""
    project.llm("""\
providers:
  minimax:
    api_key: ""
    base_url:
    model: file
    api_flavor: ${FLAVOR:-}
    rate_limit:
    timeouts: {idle_timeout_s: "${IDLE:-}"}
retry:
""")
    settings = project.load(MINIMAX_API_KEY="sk-env", MINIMAX_MODEL=" ", MINIMAX_BASE_URL="")
    assert key(settings) == "sk-env"
    assert settings.api_key_source == "environment MINIMAX_API_KEY"
    assert settings.base_url == "https://api.minimax.io"
    assert settings.model == "file"
    assert settings.api_flavor is None
    assert settings.requests_per_second == 2.0
    assert settings.idle_timeout_s == 120.0


@pytest.mark.parametrize("text", ["", "# nothing\n", "providers:\n", "providers: {minimax: }\n"])
def test_an_empty_file_is_no_file(project: Project, text: str) -> None:
    """Nothing, comments or empty sections: the defaults."""
    project.llm(text)
    assert project.load().base_url == "https://api.minimax.io"


def test_placeholders_become_numbers(project: Project) -> None:
    """A number may come from a variable."""
    project.minimax("rate_limit:", "  requests_per_second: ${RPS:-3.5}")
    assert project.load().requests_per_second == 3.5
    assert project.load(RPS="4").requests_per_second == 4


@pytest.mark.parametrize("how", ["file", "environment"])
def test_zero_requests_per_second_is_no_limit(project: Project, how: str) -> None:
    """0 stands for None, in the file and in the variable."""
    if how == "file":
        project.minimax("rate_limit: {requests_per_second: 0}")
        assert project.load().requests_per_second is None
    else:
        assert project.load(MINIMAX_REQUESTS_PER_SECOND="0").requests_per_second is None


@pytest.mark.parametrize(
    ("written", "flavor"),
    [
        ("openai_compat", "openai_compat"),
        ("openai-compat", "openai_compat"),
        ("openai", "openai_compat"),
        ("anthropic_messages", "anthropic_messages"),
        ("anthropic-messages", "anthropic_messages"),
        ("Anthropic", "anthropic_messages"),
    ],
)
def test_spellings_of_api_flavor(project: Project, written: str, flavor: str) -> None:
    """Each flavour has three spellings, in the file and in the variable."""
    assert project.load(MINIMAX_API_FLAVOR=written).api_flavor == flavor
    project.minimax(f"api_flavor: {written}")
    assert project.load().api_flavor == flavor


def test_other_providers_are_left_alone(project: Project) -> None:
    """What another program reads may have any keys, and variables that are not set."""
    project.llm(
        "schema_version: 11\ncontext_optimization: {x: '${NO}'}\ntenants: [1]\n"
        "providers:\n  openai: {key: '${NO}', zzz: [1]}\n  other: text\n"
        "  minimax: {model: m, embedding_model: e}\n"
    )
    assert project.load().model == "m"


def test_bundle_paths(project: Project, tmp_path: Path) -> None:
    """A bundle in llm.yaml is relative to the folder of `config/`; absolute ones stay."""
    nested = project.root / "a/b"
    nested.mkdir(parents=True)
    project.minimax("auth: {bundle: secrets/x.json}")
    assert project.load(nested).auth.bundle == project.root / "secrets/x.json"
    assert project.load(nested, MINIMAX_BUNDLE="x.json").auth.bundle == nested / "x.json"
    absolute = str(tmp_path / "y.json")
    assert project.load(MINIMAX_BUNDLE=absolute).auth.bundle == tmp_path / "y.json"
    home = project.load(MINIMAX_BUNDLE="~/z.json").auth.bundle
    assert home == Path(os.path.expanduser("~/z.json"))


# ---------------------------------------------------------------------------- money


def test_a_known_model_s_price_changes_in_part(project: Project) -> None:
    """Only the fields that are there change, digit for digit, and the note names the line."""
    project.llm("prices:\n  MiniMax-M2.5:\n    input: 0.1\n    cache_read: '0.010'\n")
    settings = project.load()
    price = settings.prices.find("MiniMax-M2.5")
    assert price is not None
    assert (price.input, price.output) == (Decimal("0.1"), Decimal("1.20"))
    assert (price.cache_read, price.cache_write) == (Decimal("0.01"), Decimal("0.375"))
    assert price.source == f"config/llm.yaml line 2; the rest: {PRICE_PAGE}"
    assert settings.sources["prices"] == "config/llm.yaml line 1"
    assert settings.prices.cost("MiniMax-M2.5", TokenUsage(10**6, 10**6)) == Decimal("1.30")
    assert settings.prices.find("MiniMax-M2.7") is BUILT_IN.find("MiniMax-M2.7")


def test_a_new_model_has_the_price_it_is_given(project: Project) -> None:
    """What reads the cache costs as input where nothing is said, and so does what writes to it."""
    project.llm("prices:\n  org/My-M2: {input: 1, output: '${OUT:-2.5}'}\n")
    prices = project.load().prices
    price = prices.find("org/My-M2")
    assert price is not None
    assert (price.input, price.output, price.cache_read) == (1, Decimal("2.5"), 1)
    assert price.cache_write is None
    assert price.source == "config/llm.yaml line 2"
    assert prices.cost("org/My-M2", TokenUsage(10**6, 10**6, 10**6, 10**6)) == Decimal("5.5")
    assert type(list(prices.prices)[-1]) is str
    free = "prices: {free: {input: 0, output: 0}}"
    project.llm(free)
    assert project.load().prices.cost("free", TokenUsage(9, 9)) == 0


def test_an_alias_is_a_known_model(project: Project) -> None:
    """A part of an alias's price may be changed."""
    project.llm("prices: {MiniMax-M2.5-lightning: {input: 0.3}}")
    price = project.load().prices.find("MiniMax-M2.5-lightning")
    assert price is not None
    assert (price.input, price.output) == (Decimal("0.3"), Decimal("2.40"))


@pytest.mark.parametrize(
    "text", ["prices:", "prices: {MiniMax-M2.5: }", "prices: {x: {input: ''}}"]
)
def test_empty_prices_are_none(project: Project, text: str) -> None:
    """Nothing said, nothing changed."""
    project.llm(text)
    settings = project.load()
    assert settings.prices is BUILT_IN
    assert settings.sources["prices"] == "default"


def test_budgets(project: Project) -> None:
    """Each is there or not; 0 is a budget, of nothing; the source is the line."""
    project.llm("budget:\n  cell: 0.10\n  day: '${DAY:-}'\n  month: 0\n")
    settings = project.load()
    assert settings.budget == BudgetSettings(cell=Decimal("0.10"), month=Decimal(0))
    assert str(settings.budget.cell) == "0.10"
    assert settings.sources["budget.cell"] == "config/llm.yaml line 2"
    assert settings.sources["budget.month"] == "config/llm.yaml line 4"
    assert (settings.sources["budget.day"], settings.sources["budget.kernel"]) == (
        "default",
        "default",
    )
    assert project.load(DAY="7.5").budget.day == Decimal("7.5")


FILES = pytest.mark.parametrize(
    ("key", "usual"), [("ledger", "usage.sqlite3"), ("cache_file", "replay.sqlite3")]
)


@FILES
@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("u.db", "{root}/u.db"),
        ("./secrets/../u.db", "{root}/u.db"),
        ("/var/u.db", "/var/u.db"),
        ("~/u.db", "{home}/u.db"),
        ("':memory:'", ":memory:"),
        ("'${WHERE:-}'", "{root}/data/{usual}"),
    ],
)
def test_a_file_that_llm_yaml_names(
    project: Project, key: str, usual: str, written: str, path: str
) -> None:
    """A relative path begins at the folder that holds config/, also for a notebook below it."""
    below = project.root / "a/b"
    below.mkdir(parents=True)
    project.llm(f"{key}: {written}")
    settings = project.load(below, MINIMAX_DATA_DIR=str(project.root / "data"))
    home = os.path.expanduser("~")
    assert getattr(settings, key) == path.format(root=project.root, home=home, usual=usual)
    said = "default" if "WHERE" in written else "../../config/llm.yaml line 1"
    assert settings.sources[key] == said


@FILES
def test_a_file_that_a_variable_names(project: Project, key: str, usual: str) -> None:
    """MINIMAX_LEDGER and MINIMAX_CACHE_FILE win over llm.yaml, and begin at the working folder."""
    below = project.root / "a"
    below.mkdir()
    project.llm(f"{key}: file.db")
    variable = f"MINIMAX_{key.upper()}"
    settings = project.load(below, **{variable: "env.db"})
    assert getattr(settings, key) == str(below / "env.db")
    assert settings.sources[key] == f"environment {variable}"
    assert getattr(project.load(below, **{variable: ":memory:"}), key) == ":memory:"
    assert getattr(project.load(below, **{variable: " "}), key) == str(project.root / "file.db")


@pytest.mark.parametrize("mode", ["off", "record", "replay", "refresh"])
def test_the_cache_of_the_file(project: Project, mode: str) -> None:
    """Each mode as a plain word, `off` too, which other YAML readers take for false."""
    project.llm(f"retry: {{}}\ncache: {mode}")
    settings = project.load()
    assert (settings.cache, settings.sources["cache"]) == (mode, "config/llm.yaml line 2")


def test_the_cache_of_the_variable(project: Project) -> None:
    """MINIMAX_CACHE wins over the file, so that CI can replay what is recorded elsewhere."""
    project.llm("cache: record")
    settings = project.load(MINIMAX_CACHE=" Replay ")
    assert (settings.cache, settings.sources["cache"]) == ("replay", "environment MINIMAX_CACHE")
    assert project.load(MINIMAX_CACHE="").cache == "record"
    project.llm("cache: '${MODE:-}'")
    assert project.load(MODE="refresh").cache == "refresh"
    settings = project.load()
    assert (settings.cache, settings.sources["cache"]) == ("off", "default")


def test_a_cache_that_does_not_exist(project: Project) -> None:
    """The error names all that do, and where the word stands."""
    known = "must be 'off', 'record', 'replay' or 'refresh'"
    project.llm("cache: always")
    assert project.problem() == f"config/llm.yaml line 1: cache {known}, not 'always'."
    assert project.problem(MINIMAX_CACHE="sk-1") == (
        f"The environment variable MINIMAX_CACHE {known}."
    )


def test_the_tools_of_an_agent(project: Project) -> None:
    """Names in their order, each once, and how often it may be asked; none by default."""
    project.agents(
        "agents:\n  - {id: a, tools: [f, ' g ', f], max_steps: 3}\n  - {id: b, tools: , max_steps: }\n"
    )
    settings = project.load()
    a, b = settings.agent("a"), settings.agent("b")
    assert (a.tools, a.max_steps) == (("f", "g"), 3)
    assert (b.tools, b.max_steps) == ((), None)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("tools: f,g", "tools in agents must be a list."),
        ("tools: [f, '']", "tools[1] in agents must not be empty."),
        ("tools: [[f]]", "tools[0] in agents must be text, not a list."),
        ("max_steps: 0", "max_steps in agents must be 1 or more, not '0'."),
        ("max_steps: 101", "max_steps in agents must be 100 or less, not '101'."),
        ("max_steps: many", "max_steps in agents must be a whole number, not 'many'."),
        ("tool: [f]", "unknown key 'tool' in agents. Did you mean 'tools'?"),
    ],
)
def test_mistakes_about_tools(project: Project, line: str, told: str) -> None:
    """Each is one sentence with file and line."""
    project.agents(f"agents:\n  - id: a\n    {line}")
    assert project.problem().endswith(f".yaml line 3: {told}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("buget: {}", "line 1: unknown key 'buget'. Did you mean 'budget'?"),
        ("price: {}", "line 1: unknown key 'price'. Did you mean 'prices'?"),
        ("budget:\n  days: 5", "line 2: unknown key 'days' in budget. Did you mean 'day'?"),
        ("budget:\n  day: 5$", "line 2: day in budget must be a number, not '5$'."),
        ("budget:\n  day: nan", "line 2: day in budget must be a number, not 'nan'."),
        ("budget:\n  day: -1", "line 2: day in budget must be 0 or more, not '-1'."),
        ("budget: 5", "line 1: budget must be a mapping (lines of `key: value`)."),
        ("ledger: [a]", "line 1: ledger must be text, not a list."),
        ("prices: 3", "line 1: prices must be a mapping (lines of `key: value`)."),
        ("prices:\n  m: 3", "line 2: prices.m must be a mapping (lines of `key: value`)."),
        (
            "prices:\n  MiniMax-M2.5:\n    imput: 1",
            "line 3: unknown key 'imput' in prices.MiniMax-M2.5. Did you mean 'input'?",
        ),
        (
            "prices:\n  MiniMax-M2.5:\n    input: 0,30",
            "line 3: input in prices.MiniMax-M2.5 must be a number, not '0,30'.",
        ),
        (
            "prices:\n  MiniMax-M2.5:\n    input: inf",
            "line 3: input in prices.MiniMax-M2.5 must be a number, not 'inf'.",
        ),
        (
            "prices:\n  MiniMax-M2.5:\n    output: -0.1",
            "line 3: output in prices.MiniMax-M2.5 must be 0 or more, not '-0.1'.",
        ),
        (
            "prices:\n  minimax-m2.5:\n    input: 1",
            "line 2: output is missing in prices.minimax-m2.5. "
            "MiniMax's list has no such model, so both input and output are needed.",
        ),
        (
            "prices:\n  m:\n    output: 1",
            "line 2: input is missing in prices.m. "
            "MiniMax's list has no such model, so both input and output are needed.",
        ),
    ],
)
def test_mistakes_about_money(project: Project, text: str, told: str) -> None:
    """Each is one sentence with file and line, as for the rest of the file."""
    project.llm(text)
    assert project.problem() == f"config/llm.yaml {told}"


# ---------------------------------------------------------------------------- agents


def test_agents_of_all_files(project: Project) -> None:
    """agents.d is read in the order of its names, hidden files and other endings are not."""
    project.agents(
        "agents:\n"
        "  - {id: b, system_prompt: 'Be ${HOW:-kind}', temperature: 0.5, top_p: 1, max_tokens: 9}\n"
        "  - {id: c, model: {model: MiniMax-M3}}\n",
        "2.yaml",
    )
    project.agents("agents: [{id: a}]", "1.yml")
    project.agents("agents: [{id: no}]", ".#3.yaml")
    project.agents("agents: [{id: no}]", "3.yaml~")
    project.agents("", "4.yaml")
    settings = project.load()
    assert list(settings.agents) == ["a", "b", "c"]
    b = settings.agent("b")
    assert (b.system_prompt, b.temperature, b.top_p, b.max_tokens) == ("Be kind", 0.5, 1.0, 9)
    assert b.model is None
    assert settings.agent("c").model == "MiniMax-M3"
    assert settings.agent("c").place == "config/agents.d/2.yaml line 3"


def test_agents_of_other_providers_are_not_ours(project: Project) -> None:
    """They may be as they like; asking for one says whose it is."""
    project.agents(
        "agents:\n"
        "  - {id: kate, model: {provider: anthropic, model: x}, plugins: [a], key: '${NO}'}\n"
        "  - {id: ana, model: {provider: '${P:-MiniMax}'}}\n"
    )
    settings = project.load()
    assert list(settings.agents) == ["ana"]
    with pytest.raises(ConfigError) as caught:
        settings.agent("kate")
    assert str(caught.value) == (
        "Agent 'kate' is of provider 'anthropic' (config/agents.d/a.yaml line 2). "
        "Only agents with `provider: minimax` can be used here."
    )


def test_an_unknown_agent(project: Project) -> None:
    """The error offers what was meant, else what there is, else where agents would be."""
    with pytest.raises(ConfigError, match=r"no agent 'ana'\. Agents are read from config/agents.d"):
        project.load().agent("ana")
    project.agents("agents: [{id: ana}, {id: bob}]")
    with pytest.raises(ConfigError, match=r"There is no agent 'anna'\. Did you mean 'ana'\?"):
        project.load().agent("anna")
    with pytest.raises(ConfigError, match=r"There is no agent 'zzz'\. Known agents: ana, bob"):
        project.load().agent("zzz")


def test_an_id_twice_names_both_places(project: Project) -> None:
    """The same agent in two files is an error."""
    project.agents("agents: [{id: ana}]", "1.yaml")
    project.agents("agents:\n- id: ana", "2.yaml")
    assert project.problem() == (
        "config/agents.d/2.yaml line 2: there already is an agent 'ana' in "
        "config/agents.d/1.yaml line 1. Give one of the two another id."
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("agent: []", "line 1: unknown key 'agent'. Did you mean 'agents'?"),
        ("- id: a", "line 1: the file must be a mapping (lines of `key: value`), not a list."),
        ("agents:\n  id: a", "line 1: agents must be a list, not a mapping."),
        ("agents:\n  - ana", "line 2: agents must be a mapping (lines of `key: value`)."),
        ("agents:\n  - system_prompt: x", "line 2: id is missing in agents. Add id."),
        ("agents:\n  - idd: a", "line 2: unknown key 'idd' in agents. Did you mean 'id'?"),
        (
            "agents:\n  - id: a\n    sistem_prompt: x",
            "line 3: unknown key 'sistem_prompt' in agents. Did you mean 'system_prompt'?",
        ),
        (
            "agents:\n  - id: a\n    model: m",
            "line 3: model in agents must be a mapping (lines of `key: value`).",
        ),
        (
            "agents:\n  - id: a\n    model:\n      modell: m",
            "line 4: unknown key 'modell' in agents.model. Did you mean 'model'?",
        ),
        (
            "agents:\n  - id: a\n    temperature: hot",
            "line 3: temperature in agents must be a number, not 'hot'.",
        ),
        (
            "agents:\n  - id: a\n    temperature: 3",
            "line 3: temperature in agents must be 2 or less, not '3'.",
        ),
        ("agents:\n  - id: a\n    top_p: 0", "line 3: top_p in agents must be above 0, not '0'."),
        (
            "agents:\n  - id: a\n    max_tokens: 1.5",
            "line 3: max_tokens in agents must be a whole number, not '1.5'.",
        ),
        (
            "agents:\n  - id: a\n    system_prompt: [x]",
            "line 3: system_prompt in agents must be text, not a list.",
        ),
        (
            "agents:\n  - id: a\n    system_prompt: ${WHO}",
            "line 3: the environment variable WHO is not set. "
            "Set it, or give it a default in the file: ${WHO:-default}.",
        ),
    ],
)
def test_mistakes_in_agent_files(project: Project, text: str, told: str) -> None:
    """Each is one sentence with file and line, and a hint where there is one."""
    project.agents(text)
    assert project.problem() == f"config/agents.d/a.yaml {told}"


# ---------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            ["model: x", "base_ulr: https://x"],
            "line 4: unknown key 'base_ulr' in providers.minimax. Did you mean 'base_url'?",
        ),
        (["api_kee:"], "line 3: unknown key 'api_kee' in providers.minimax. Did you mean 'api_key'?"),
        (
            ["rate_limit:", "  rps: 1"],
            "line 4: unknown key 'rps' in providers.minimax.rate_limit. "
            "Known keys: requests_per_second, quota_alert_threshold.",
        ),
        (
            ["rate_limit:", "  requests_per_second: fast"],
            "line 4: requests_per_second in providers.minimax.rate_limit must be a number, "
            "not 'fast'.",
        ),
        (
            ["rate_limit:", "  requests_per_second: -1"],
            "line 4: requests_per_second in providers.minimax.rate_limit must be 0 or more, "
            "not '-1'.",
        ),
        (
            ["rate_limit:", "  requests_per_second: nan"],
            "line 4: requests_per_second in providers.minimax.rate_limit must be a number, "
            "not 'nan'.",
        ),
        (
            ["rate_limit: 5"],
            "line 3: rate_limit in providers.minimax must be a mapping (lines of `key: value`).",
        ),
        (["model: [a]"], "line 3: model in providers.minimax must be text, not a list."),
        (
            ["api_flavor: grpc"],
            "line 3: api_flavor in providers.minimax must be "
            "'openai_compat' or 'anthropic_messages', not 'grpc'.",
        ),
        (
            ["auth: {mode: magic}"],
            "line 3: mode in providers.minimax.auth must be 'static', 'token_plan' or 'auto', "
            "not 'magic'.",
        ),
        (
            ["timeouts: {idle_timeout_s: 0}"],
            "line 3: idle_timeout_s in providers.minimax.timeouts must be above 0, not '0'.",
        ),
        (
            ["group_id: ${GROUP}"],
            "line 3: the environment variable GROUP is not set. "
            "Set it, or give it a default in the file: ${GROUP:-default}.",
        ),
        (["model: a", "model: b"], "line 4: the key 'model' is given twice, first in line 3. "
         "Remove one of the two."),
    ],
)  # fmt: skip
def test_mistakes_in_the_provider(project: Project, lines: list[str], told: str) -> None:
    """Each is one sentence with file and line, and a hint where there is one."""
    project.minimax(*lines)
    assert project.problem() == f"config/llm.yaml {told}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("provider: {}", "line 1: unknown key 'provider'. Did you mean 'providers'?"),
        ("[]", "line 1: the file must be a mapping (lines of `key: value`), not a list."),
        ("just text", "line 1: the file must be a mapping (lines of `key: value`)."),
        ("providers: [a]", "line 1: providers must be a mapping (lines of `key: value`), not a list."),
        (
            "providers: {minimax: sk-secret}",
            "line 1: providers.minimax must be a mapping (lines of `key: value`).",
        ),
        (
            "providers:\n  minimax: [a]",
            "line 2: providers.minimax must be a mapping (lines of `key: value`), not a list.",
        ),
        ("\nretry: {max_attempts: 0}", "line 2: max_attempts in retry must be 1 or more, not '0'."),
        ("retry: 3", "line 1: retry must be a mapping (lines of `key: value`)."),
        ("a: [", "line 1: not valid YAML, did not find expected node content. Check indentation, "
         "colons and quotes; text with special characters needs quotes."),
    ],
)  # fmt: skip
def test_mistakes_in_the_file(project: Project, text: str, told: str) -> None:
    """Wrong shapes are told with their line too."""
    project.llm(text)
    assert project.problem() == f"config/llm.yaml {told}"


def test_the_first_of_several_mistakes_is_told(project: Project) -> None:
    """One error at a time, from the top of the file."""
    project.minimax("timeouts: {idle_timeout_s: x}", "rate_limit: {requests_per_second: y}")
    assert project.problem().startswith("config/llm.yaml line 3: idle_timeout_s")


def test_a_wrong_variable_is_told_before_the_file(project: Project) -> None:
    """It is the setting that was made last, and the file may have been fine for months."""
    project.minimax("rate_limit: {requests_per_second: y}", "timeouts: {idle_timeout_s: 1}")
    told = project.problem(MINIMAX_IDLE_TIMEOUT_S="x")
    assert told == "The environment variable MINIMAX_IDLE_TIMEOUT_S must be a number."


def test_an_error_quotes_the_file_and_not_the_variable(project: Project) -> None:
    """What a placeholder holds may be a secret."""
    project.minimax("rate_limit: {requests_per_second: '${RPS}'}")
    told = project.problem(RPS="sk-secret")
    assert told.endswith("must be a number, not '${RPS}'.")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("MINIMAX_REQUESTS_PER_SECOND", "secret", "must be a number."),
        ("MINIMAX_REQUESTS_PER_SECOND", "-2", "must be 0 or more."),
        ("MINIMAX_IDLE_TIMEOUT_S", "0", "must be above 0."),
        (
            "MINIMAX_API_FLAVOR",
            "secret",
            "must be 'openai_compat' or 'anthropic_messages'.",
        ),
        (
            "MINIMAX_CONFIG_DIR",
            "secret",
            "does not name a folder that exists. Unset it to use ./config.",
        ),
    ],
)
def test_a_wrong_variable_is_named(project: Project, variable: str, value: str, told: str) -> None:
    """The error names the variable, whatever the file says, and not its value."""
    project.minimax("rate_limit: {requests_per_second: 1}")
    assert project.problem(**{variable: value}) == f"The environment variable {variable} {told}"


def test_unreadable_files(project: Project) -> None:
    """A folder or a broken link instead of the file is an error, not silence."""
    (project.root / "config/llm.yaml").mkdir(parents=True)
    assert project.problem() == (
        "config/llm.yaml cannot be read: is a directory. Check that it is a file you may read."
    )
    (project.root / "config/llm.yaml").rmdir()
    (project.root / "config/llm.yaml").symlink_to("gone")
    assert "cannot be read: no such file or directory" in project.problem()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(project: Project) -> None:
    """A file that may not be read is an error that says so."""
    project.llm("")
    (project.root / "config/llm.yaml").chmod(0)
    assert "config/llm.yaml cannot be read: permission denied." in project.problem()


# ---------------------------------------------------------------------------- folders


def test_nearest_config_upwards(project: Project) -> None:
    """A notebook below the project uses the project's config; its label says where that is."""
    below = project.root / "a/b"
    below.mkdir(parents=True)
    project.minimax("model: up")
    settings = project.load(below)
    assert settings.model == "up"
    assert settings.config_dir == project.root / "config"
    assert settings.sources["model"] == "../../config/llm.yaml line 3"
    project.write("a/config/llm.yaml", "providers: {minimax: {model: nearer}}")
    assert project.load(below).model == "nearer"


def test_a_config_folder_of_something_else_is_passed_over(project: Project) -> None:
    """`config/` counts only with llm.yaml or agents.d in it."""
    project.write("a/config/webpack.js", "")
    project.minimax("model: up")
    assert project.load(project.root / "a").model == "up"
    (project.root / "a/config/agents.d").mkdir()
    assert project.load(project.root / "a").model == "MiniMax-M2.5"


def test_named_folders(project: Project, tmp_path: Path) -> None:
    """The three variables move the three folders; relative paths begin at `start`."""
    project.minimax("model: near")
    project.write("other/llm.yaml", "providers: {minimax: {model: other}}")
    settings = project.load(
        MINIMAX_CONFIG_DIR="other",
        MINIMAX_SECRETS_DIR=str(tmp_path / "s"),
        MINIMAX_DATA_DIR="~/d",
    )
    assert settings.model == "other"
    assert settings.sources["model"] == "other/llm.yaml line 1"
    assert settings.secrets_dir == tmp_path / "s"
    assert settings.data_dir == Path(os.path.expanduser("~/d"))


def test_the_users_config_is_last(project: Project) -> None:
    """Without a config upwards, the user's folder is read."""
    project.nowhere.mkdir()
    (project.nowhere / "llm.yaml").write_text("providers: {minimax: {model: mine}}")
    assert project.load().model == "mine"
    project.minimax("group_id: 1")
    assert project.load().model == "MiniMax-M2.5"


def test_without_config_the_folder_is_where_one_would_be_made(project: Project) -> None:
    """Nothing found: ./config and ./secrets of the start."""
    settings = project.load()
    assert (settings.config_dir, settings.config_label) == (project.root / "config", "config")
    assert (settings.secrets_dir, settings.secrets_label) == (project.root / "secrets", "secrets")


def test_nearest_secrets_upwards(project: Project) -> None:
    """A secrets folder with a file of ours wins over a nearer one without."""
    below = project.root / "a"
    (below / "secrets").mkdir(parents=True)
    assert project.load(below).secrets_dir == below / "secrets"
    project.write("secrets/minimax_code_plan_key.txt", "sk-x")
    assert project.load(below).secrets_dir == project.root / "secrets"
    assert project.load(below).secrets_label == "../secrets"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs chown")
def test_a_config_that_a_stranger_put_into_a_shared_folder_is_passed_over(project: Project) -> None:
    """/tmp/config of another user would send our key to the base_url of his choice."""
    below = project.root / "a"
    below.mkdir()
    project.minimax("base_url: https://evil")
    os.chown(project.root / "config", 12345, 12345)
    assert project.load(below).base_url == "https://evil"  # a colleague's project, not shared
    project.root.chmod(0o1777)
    assert project.load(below).base_url == "https://api.minimax.io"


def test_the_working_folder_is_the_default_start(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without arguments: the current folder and the variables of the process."""
    project.minimax("model: here")
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("MINIMAX_GROUP_ID", "from-process")
    monkeypatch.delenv("MINIMAX_CONFIG_DIR", raising=False)
    monkeypatch.delenv("MINIMAX_MODEL", raising=False)
    settings = load_settings()
    assert settings.model == "here"
    assert settings.group_id == "from-process"


def test_a_working_folder_that_is_gone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleting the notebook's folder gives a sentence, not a traceback."""
    gone = project.root / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match="The working folder does not exist any more"):
        load_settings(None, {})


# ---------------------------------------------------------------------------- secrets


LEAKS: list[tuple[str, Callable[[Project], None]]] = [
    ("unknown key", lambda p: p.minimax("api_key: sk-secretfile", "nope: ${SECRET}")),
    ("bad type", lambda p: p.minimax("api_key: sk-secretfile", "timeouts: ${SECRET}")),
    ("bad number", lambda p: p.minimax("rate_limit: {requests_per_second: '${SECRET}'}")),
    ("bad number as written", lambda p: p.minimax("rate_limit: {requests_per_second: sk-secretx}")),
    ("key as list", lambda p: p.minimax("api_key: [sk-secretfile, '${SECRET}']")),
    ("key as mapping", lambda p: p.minimax("api_key: {sk-secretfile: 1}")),
    ("key as provider", lambda p: p.llm("providers: {minimax: sk-secretfile}")),
    ("key as a key", lambda p: p.minimax("sk-secretfile: 1")),
    ("syntax", lambda p: p.minimax("api_key: sk-secretfile", "a: [")),
    ("encoding", lambda p: p.write("config/llm.yaml", b"k: sk-secretfile\nb: \xff") and None),
    ("twice", lambda p: p.minimax("api_key: sk-secretfile", "api_key: sk-secretfile")),
    ("unset", lambda p: p.minimax("api_key: sk-secretfile${NO}", "group_id: ${SECRET}")),
    (
        "default of placeholder",
        lambda p: p.minimax("timeouts: {idle_timeout_s: '${X:-sk-secrets}'}"),
    ),
    ("price", lambda p: p.llm("prices: {m: {input: '${SECRET}', output: sk-secretx}}")),
    ("key as a model", lambda p: p.llm("prices: {sk-secretfile: 1}")),
    ("key as a model in part", lambda p: p.llm("prices: {sk-secretfile: {input: 1}}")),
    ("budget", lambda p: p.llm("budget: {day: '${SECRET}'}")),
    ("budget as written", lambda p: p.llm("budget: sk-secretfile")),
    ("ledger", lambda p: p.llm("ledger: [sk-secretfile, '${SECRET}']")),
    ("cache", lambda p: p.llm("cache: '${SECRET}'")),
    ("cache as a variable", lambda p: p.llm("cache: off")),
    ("tools", lambda p: p.agents("agents: [{id: a, tools: ['', '${SECRET}', sk-secretx]}]")),
    ("agent", lambda p: p.agents("agents: [{id: a, temperature: '${SECRET}'}]")),
    ("variable", lambda p: p.minimax("api_key: sk-secretfile")),
]


@pytest.mark.parametrize(("what", "prepare"), LEAKS, ids=[what for what, _ in LEAKS])
def test_no_error_shows_a_secret(
    project: Project, what: str, prepare: Callable[[Project], None]
) -> None:
    """Neither the text nor the locals of any frame, as `%xmode Verbose` prints them, hold a key."""
    prepare(project)
    environ = {"SECRET": "sk-secretenv", "MINIMAX_API_KEY": "sk-secretkey"}
    if what == "variable":
        environ["MINIMAX_IDLE_TIMEOUT_S"] = "sk-secretvariable"
    if what == "cache as a variable":
        environ["MINIMAX_CACHE"] = "sk-secretvariable"
    error = caught(lambda: project.load(**environ))
    assert isinstance(error, ConfigError)
    text = shown_everywhere(error)
    assert "load_settings" in text
    assert "sk-secret" not in text


def caught(call: Callable[[], object]) -> Exception:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def shown_everywhere(error: BaseException) -> str:
    """All that a traceback can show of an error, but for the frames of the tests themselves."""
    from IPython.core.ultratb import VerboseTB

    trace = error.__traceback__
    while trace is not None and "/tests/" in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    assert trace is not None
    formatter = VerboseTB(theme_name="nocolor", include_vars=True, long_header=True)
    shown = [str(error), repr(error), formatter.text(type(error), error, trace)]
    shown += [repr(vars(error)), repr(error.__context__), repr(error.__cause__)]
    while trace is not None:
        shown.append(trace.tb_frame.f_code.co_name)
        shown.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(shown))


def test_settings_do_not_show_secrets(project: Project) -> None:
    """repr and str of Settings have no key, group id or address."""
    project.minimax("api_key: sk-secret", "group_id: secretgroup", "base_url: https://u:secret@h")
    settings = project.load()
    assert "secret" not in repr(settings).replace("secrets", "").replace("Secret", "")
    assert "secret" not in str(settings).replace("secrets", "").replace("Secret", "")


def test_loading_is_quick(project: Project) -> None:
    """It happens before every cell: two small files take far less than anyone notices."""
    project.llm(PAGE_LLM)
    project.agents(PAGE_AGENT)
    project.load()
    best = min(timed(project.load) for _ in range(20))
    assert best < 0.05  # about 0.001 here; this only catches a mistake of another order


def timed(call: Callable[[], object]) -> float:
    before = time.perf_counter()
    call()
    return time.perf_counter() - before
