"""Settings: where they are looked for, and which of them wins.

Folders: see `config_folders`.

Values, the later wins: defaults (those of the reference page) < `llm.yaml` (`providers.minimax`,
`retry`, `prices`, `budget`, `ledger`, `cache`, `cache_file`) < `MINIMAX_BASE_URL`,
`MINIMAX_API_FLAVOR`, `MINIMAX_MODEL`, `MINIMAX_GROUP_ID`, `MINIMAX_BUNDLE`,
`MINIMAX_REQUESTS_PER_SECOND` (0: no limit), `MINIMAX_IDLE_TIMEOUT_S`, `MINIMAX_LEDGER`,
`MINIMAX_CACHE`, `MINIMAX_CACHE_FILE`. Options of a cell come on top, in the session. Which *key* is
used is decided in `auth.sources`; here is only llm.yaml's `api_key`, whose default is
`${MINIMAX_API_KEY:-}`.

Other providers and their agents belong to other programs and are left alone, unset variables and
unknown keys included; asking for such an agent by name says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import SecretStr

from minimax_magic.config_folders import Folders, absolute
from minimax_magic.config_schema import (
    API_FLAVORS,
    AgentModelSection,
    AgentSection,
    AgentsFile,
    AuthSettings,
    BudgetSettings,
    CacheMode,
    LlmFile,
    Location,
    PriceSection,
    ProviderSection,
    RetrySettings,
    S,
    similar,
    validated,
)
from minimax_magic.errors import ConfigError
from minimax_magic.masked import MaskedEnviron, MaskedStr
from minimax_magic.messages import ApiFlavor
from minimax_magic.pricing import BUILT_IN, Price, PriceTable
from minimax_magic.words import system_reason
from minimax_magic.yaml_file import YamlNode, parse_yaml, shown

__all__ = [
    "API_FLAVORS",
    "AgentConfig",
    "AuthSettings",
    "BudgetSettings",
    "CacheMode",
    "RetrySettings",
    "Settings",
    "load_settings",
    "process_environ",
]

PROVIDER: Final = "minimax"
_WHERE: Final = "providers.minimax"
_CACHE_VARIABLE: Final = "MINIMAX_CACHE"
IN_MEMORY: Final = ":memory:"

_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "MINIMAX_BASE_URL": ("base_url",),
    "MINIMAX_API_FLAVOR": ("api_flavor",),
    "MINIMAX_MODEL": ("model",),
    "MINIMAX_GROUP_ID": ("group_id",),
    "MINIMAX_BUNDLE": ("auth", "bundle"),
    "MINIMAX_REQUESTS_PER_SECOND": ("rate_limit", "requests_per_second"),
    "MINIMAX_IDLE_TIMEOUT_S": ("timeouts", "idle_timeout_s"),
}

_SOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    "api_key": ("api_key",),
    "group_id": ("group_id",),
    "base_url": ("base_url",),
    "api_flavor": ("api_flavor",),
    "model": ("model",),
    "requests_per_second": ("rate_limit", "requests_per_second"),
    "quota_alert_threshold": ("rate_limit", "quota_alert_threshold"),
    "idle_timeout_s": ("timeouts", "idle_timeout_s"),
    "max_retry_wait_s": ("timeouts", "max_retry_wait_s"),
}


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """An agent of agents.d whose provider is minimax. None: as without an agent.

    Attributes:
        tools: Names of functions that it may call.
        max_steps: Most requests for one prompt.
        source: The file that it is in.
        place: The same for people, with the line: `config/agents.d/ana.yaml line 3`.
    """

    id: str
    model: str | None
    system_prompt: str | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    source: Path
    place: str
    tools: tuple[str, ...] = ()
    max_steps: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, resolved.

    Attributes:
        api_key: llm.yaml's `api_key` or its default; one of several places, see `auth.sources`.
        api_key_source: `config/llm.yaml line 4` or `environment MINIMAX_API_KEY`; None without key.
        api_flavor: None: to be told from `base_url`.
        requests_per_second: None: no limit.
        quota_alert_threshold: Remaining quota below which a warning is logged; None: never.
        agents: By id, in the order of the files' names.
        foreign_agents: Ids of agents of other providers, each with that provider and its place.
        sources: Where each value came from: `default`, `config/llm.yaml line 7` or
            `environment MINIMAX_MODEL`. Those of the budget are `budget.cell` and so on.
        config_dir: The folder that was read; without any, where one would be made.
        config_label: The same as errors name it: `config`, `../config`, `~/.config/minimax_magic`.
        secrets_dir: Need not exist. `secrets_label` is its name for people.
        data_dir: Need not exist.
        start: The folder from which was searched.
        prices: MiniMax's own, and those of llm.yaml over them.
        budget: What may be spent; each of its fields may be None.
        ledger: Absolute path of the record of what was used, need not exist; or `:memory:`.
        cache: Whether answers are recorded and replayed; `cache_file` is where, likewise.
    """

    api_key: SecretStr | None
    api_key_source: str | None
    group_id: str | None = field(repr=False)
    base_url: str = field(repr=False)  # may hold a password for a proxy
    api_flavor: ApiFlavor | None
    model: str
    requests_per_second: float | None
    quota_alert_threshold: int | None
    idle_timeout_s: float
    max_retry_wait_s: float
    retry: RetrySettings
    auth: AuthSettings
    agents: Mapping[str, AgentConfig]
    foreign_agents: Mapping[str, str]
    sources: Mapping[str, str]
    config_dir: Path
    config_label: str
    secrets_dir: Path
    secrets_label: str
    data_dir: Path
    start: Path
    prices: PriceTable
    budget: BudgetSettings
    ledger: str
    cache: CacheMode
    cache_file: str

    def agent(self, name: str) -> AgentConfig:
        """The agent `name`.

        Raises:
            ConfigError: There is none, or it belongs to another provider.
        """
        if (found := self.agents.get(name)) is not None:
            return found
        if (foreign := self.foreign_agents.get(name)) is not None:
            raise ConfigError(
                f"Agent '{name}' is of {foreign}.",
                hint=f"Only agents with `provider: {PROVIDER}` can be used here.",
            )
        if not self.agents:
            hint = f"Agents are read from {self.config_label}/agents.d/*.yaml; there are none."
        else:
            hint = similar(name, list(self.agents), what="agents")
        raise ConfigError(f"There is no agent '{name}'.", hint=hint)


def process_environ() -> Mapping[str, str]:
    """The variables of this process, with a repr that shows none of them."""
    return MaskedEnviron(os.environ)


def load_settings(
    start: Path | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    user_config_dir: Path | None = None,
) -> Settings:
    """Reads all files and variables, afresh at each call.

    Args:
        start: Where the search for `config/` and `secrets/` begins; None: the working folder.
        environ: Environment variables; None: those of the process.
        user_config_dir: Instead of the user's config folder of platformdirs.

    Raises:
        ConfigError: The first mistake found, with file and line or the variable's name.
    """
    environ = process_environ() if environ is None else MaskedEnviron(environ)
    folders = Folders(start, environ, user_config_dir)
    llm = _read(folders.config / "llm.yaml", f"{folders.config_label}/llm.yaml")
    provider_node = _our_part(llm)
    provider, variables = _provider(provider_node, environ)
    retry = _top_section(RetrySettings, "retry", llm, environ)
    budget = _top_section(BudgetSettings, "budget", llm, environ)
    prices = _prices(llm, environ)
    ledger, ledger_source = _file("ledger", "usage.sqlite3", llm, environ, folders)
    cache, cache_source = _cache(llm, environ)
    cache_file, cache_file_source = _file("cache_file", "replay.sqlite3", llm, environ, folders)
    sources = {
        name: _source(location, provider_node, variables, provider)
        for name, location in _SOURCES.items()
    }
    sources["prices"] = _top_source(llm, prices is not BUILT_IN, "prices")
    for name in BudgetSettings.model_fields:
        given = name in budget.model_fields_set
        sources[f"budget.{name}"] = _top_source(llm, given, "budget", name)
    sources["ledger"] = ledger_source
    sources["cache"], sources["cache_file"] = cache_source, cache_file_source
    api_key = provider.api_key
    if api_key is None:
        api_key = _default_api_key(environ)
        sources["api_key"] = "environment MINIMAX_API_KEY"
    agents, foreign_agents = _agents(folders, environ)
    return Settings(
        api_key=api_key,
        api_key_source=sources["api_key"] if api_key is not None else None,
        group_id=provider.group_id,
        base_url=provider.base_url,
        api_flavor=provider.api_flavor,
        model=provider.model,
        requests_per_second=provider.rate_limit.requests_per_second or None,
        quota_alert_threshold=provider.rate_limit.quota_alert_threshold,
        idle_timeout_s=provider.timeouts.idle_timeout_s,
        max_retry_wait_s=provider.timeouts.max_retry_wait_s,
        retry=retry,
        auth=_with_absolute_bundle(provider.auth, folders, variables),
        agents=MappingProxyType(agents),
        foreign_agents=MappingProxyType(foreign_agents),
        sources=MappingProxyType(sources),
        config_dir=folders.config,
        config_label=folders.config_label,
        secrets_dir=folders.secrets,
        secrets_label=folders.secrets_label,
        data_dir=folders.data,
        start=folders.start,
        prices=prices,
        budget=budget,
        ledger=ledger,
        cache=cache,
        cache_file=cache_file,
    )


# ---------------------------------------------------------------------------- llm.yaml


def _read(path: Path, label: str) -> YamlNode | None:
    """The file's document; None if it does not exist or is empty."""
    if not os.path.lexists(path):
        return None
    try:
        return parse_yaml(path.read_bytes(), label)
    except OSError as error:
        raise ConfigError(
            f"{label} cannot be read: {system_reason(error)}.",
            hint="Check that it is a file you may read.",
        ) from None


def _our_part(llm: YamlNode | None) -> YamlNode | None:
    """`providers.minimax`; the rest is only checked for keys that do not exist."""
    if llm is None:
        return None
    shape = _shape(llm)
    if isinstance(shape, dict):
        for name in ("providers", "prices"):
            if (mapping := llm.get(name)) is not None:
                shape[name] = _shape(mapping)
    validated(LlmFile, shape, where="", node=llm)
    providers = llm.get("providers")
    return providers.get(PROVIDER) if providers else None


def _shape(node: YamlNode) -> Any:
    """A mapping's keys without their values, which may be another program's."""
    return dict.fromkeys(node.content) if isinstance(node.content, dict) else node.content


def _top_section(
    section: type[S], name: str, llm: YamlNode | None, environ: Mapping[str, str]
) -> S:
    node = llm.get(name) if llm is not None else None
    data = (node.value(environ) if node is not None else None) or {}
    return validated(section, data, where=name, node=node)


def _top_source(llm: YamlNode | None, given: bool, *path: str) -> str:
    return llm.nearest(path).place if llm is not None and given else "default"


def _prices(llm: YamlNode | None, environ: Mapping[str, str]) -> PriceTable:
    node = llm.get("prices") if llm is not None else None
    entries = node.content if node is not None and isinstance(node.content, dict) else {}
    changes = {
        str(model): price
        for model, entry in entries.items()
        if (price := _changed_price(model, entry, environ)) is not None
    }
    return BUILT_IN.with_changes(changes) if changes else BUILT_IN


def _changed_price(model: str, node: YamlNode, environ: Mapping[str, str]) -> Price | None:
    """The price that an entry of `prices` makes; None for an empty entry."""
    where = f"prices.{shown(model)[1:-1]}"
    section = validated(PriceSection, node.value(environ) or {}, where=where, node=node)
    if not section.model_fields_set:
        return None
    if (known := BUILT_IN.find(model)) is not None:
        return known.changed(**section.model_dump(), source=node.place)
    if section.input is None or section.output is None:
        missing = "input" if section.input is None else "output"
        raise ConfigError(
            f"{node.place}: {missing} is missing in {where}.",
            hint="MiniMax's list has no such model, so both input and output are needed.",
        )
    read = section.input if section.cache_read is None else section.cache_read
    return Price(section.input, section.output, read, section.cache_write, source=node.place)


def _file(
    key: str, usual: str, llm: YamlNode | None, environ: Mapping[str, str], folders: Folders
) -> tuple[str, str]:
    """The path of a file that llm.yaml or `MINIMAX_...` names, and where that is said.

    Args:
        usual: Its name in the data folder, if neither does.
    """
    variable = f"MINIMAX_{key.upper()}"
    base, source = folders.start, f"environment {variable}"
    named: str | None = environ.get(variable, "").strip()
    if not named and llm is not None and (node := llm.get(key)) is not None:
        base, source = folders.project(), node.place
        section = validated(LlmFile, {key: node.value(environ)}, where="", node=llm)
        named = getattr(section, key)
    if not named:
        return str(folders.data / usual), "default"
    return named if named == IN_MEMORY else str(absolute(named, base)), source


def _cache(llm: YamlNode | None, environ: Mapping[str, str]) -> tuple[CacheMode, str]:
    """What is done about recorded answers, and where that is said."""
    if value := MaskedStr(environ.get(_CACHE_VARIABLE, "").strip()):
        names: dict[Location, str] = {("cache",): _CACHE_VARIABLE}
        section = validated(LlmFile, {"cache": value}, where="", node=None, variables=names)
        return section.cache, f"environment {_CACHE_VARIABLE}"
    node = llm.get("cache") if llm is not None else None
    if node is None:
        return "off", "default"
    section = validated(LlmFile, {"cache": node.value(environ)}, where="", node=llm)
    return section.cache, node.place if section.model_fields_set else "default"


def _provider(
    node: YamlNode | None, environ: Mapping[str, str]
) -> tuple[ProviderSection, Mapping[Location, str]]:
    """The section with the variables laid over it, and which variable replaced what."""
    data: Any = (node.value(environ) if node is not None else None) or {}
    variables: dict[Location, str] = {}
    for variable, (*parents, name) in _VARIABLES.items():
        value = MaskedStr(environ.get(variable, "").strip())
        if not value:
            continue
        target = data
        for parent in parents:
            if isinstance(target, dict):
                if target.get(parent) is None:
                    target[parent] = {}
                target = target[parent]
        if isinstance(target, dict):  # else the file is wrong there, and is told so below
            target[name] = value
            variables[(*parents, name)] = variable
    section = validated(ProviderSection, data, where=_WHERE, node=node, variables=variables)
    return section, variables


def _source(
    location: tuple[str, ...],
    node: YamlNode | None,
    variables: Mapping[Location, str],
    provider: ProviderSection,
) -> str:
    if location in variables:
        return f"environment {variables[location]}"
    section: Any = provider
    for name in location:
        if name not in section.model_fields_set:
            return "default"
        section = getattr(section, name)
    assert node is not None
    return node.nearest(location).place


def _default_api_key(environ: Mapping[str, str]) -> SecretStr | None:
    return SecretStr(environ["MINIMAX_API_KEY"]) if environ.get("MINIMAX_API_KEY") else None


def _with_absolute_bundle(
    auth: AuthSettings, folders: Folders, variables: Mapping[Location, str]
) -> AuthSettings:
    if auth.bundle is None:
        return auth
    base = folders.start if ("auth", "bundle") in variables else folders.project()
    return auth.model_copy(update={"bundle": absolute(auth.bundle, base)})


# ---------------------------------------------------------------------------- agents.d


def _agents(
    folders: Folders, environ: Mapping[str, str]
) -> tuple[dict[str, AgentConfig], dict[str, str]]:
    agents: dict[str, AgentConfig] = {}
    foreign: dict[str, str] = {}
    for path in _agent_files(folders.config / "agents.d"):
        label = f"{folders.config_label}/agents.d/{path.name}"
        for node in _agent_nodes(_read(path, label)):
            provider = _provider_of(node, environ)
            if provider != PROVIDER:
                name = node.get("id")
                foreign[str(name.content if name else "")] = f"provider '{provider}' ({node.place})"
                continue
            agent = _agent(node, environ, path)
            if (first := agents.get(agent.id)) is not None:
                raise ConfigError(
                    f"{agent.place}: there already is an agent '{agent.id}' in {first.place}.",
                    hint="Give one of the two another id.",
                )
            agents[agent.id] = agent
    return agents, foreign


def _agent_files(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    # a name with a dot in front is an editor's or file manager's own
    return sorted(
        folder / name
        for name in names
        if name.endswith((".yaml", ".yml")) and not name.startswith(".")
    )


def _agent_nodes(document: YamlNode | None) -> Iterator[YamlNode]:
    if document is None:
        return
    shape = _shape(document)
    agents = document.get("agents")
    if agents is not None:
        shape["agents"] = agents.content
    validated(AgentsFile, shape, where="", node=document)
    if agents is not None and isinstance(agents.content, list):
        yield from agents.content


def _provider_of(node: YamlNode, environ: Mapping[str, str]) -> str:
    """The provider of an agent, in lower case. Whatever is not clearly another's is ours."""
    model = node.get("model")
    provider = model.get("provider") if model is not None else None
    if provider is None:
        return PROVIDER
    name = provider.value(environ)
    return name.strip().lower() or PROVIDER if isinstance(name, str) else PROVIDER


def _agent(node: YamlNode, environ: Mapping[str, str], path: Path) -> AgentConfig:
    section = validated(AgentSection, node.value(environ), where="agents", node=node)
    model: AgentModelSection = section.model
    return AgentConfig(
        id=section.id,
        model=model.model,
        system_prompt=section.system_prompt,
        temperature=section.temperature,
        top_p=section.top_p,
        max_tokens=section.max_tokens,
        source=path,
        place=node.place,
        tools=tuple(dict.fromkeys(section.tools)),
        max_steps=section.max_steps,
    )
