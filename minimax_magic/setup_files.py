"""The files of a first setup: `llm.yaml` and one agent, as commented text, and their way to disk.

`llm_text` and `agent_text` are pure and give what `load_settings` reads back as the very `Choices`.
No secret goes in: the key stays a placeholder, and what looks like a key is refused elsewhere too.
Nothing that exists is overwritten unless asked to, and then the old file is kept beside it.
"""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from minimax_magic.auth.regions import NAMED_REGIONS
from minimax_magic.errors import ConfigError
from minimax_magic.messages import ApiFlavor
from minimax_magic.models import DEFAULT_MODEL
from minimax_magic.pricing import PRICES_AS_OF
from minimax_magic.text import whole
from minimax_magic.words import system_reason
from minimax_magic.yaml_file import parse_yaml

REGIONS: Final = tuple(NAMED_REGIONS)
_CHINA: Final = NAMED_REGIONS["china"]

_AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_KEY = re.compile(r"\b(?:sk-(?:\w+-)?|eyJ)\w{20,}")
# what needs no quotes
_PLAIN = re.compile(r"MiniMax-[A-Za-z0-9.-]+|https://[a-z0-9./-]+")
# what YAML does not take as it is, or takes for a line break; beyond what JSON escapes
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person may choose; the rest has the defaults, with a comment on each.

    Attributes:
        base_url: None: for `global` the default, left open for what a login names; for `china`
            its own.
        api_flavor: None: told from base_url.
        model: Of llm.yaml and of the agent.
        agent_id: Also the name of its file.
        system_prompt: Blank: none.

    Raises:
        ConfigError: A region or an agent id that cannot be, no model, or a text that holds a key.
    """

    region: Literal["global", "china"] = "global"
    base_url: str | None = None
    api_flavor: ApiFlavor | None = None
    model: str = DEFAULT_MODEL
    agent_id: str = "ana"
    system_prompt: str = "You answer briefly, and say so when you are not sure."

    def __post_init__(self) -> None:
        if self.region not in REGIONS:
            raise ConfigError("This is no region.", hint=f"Choose {' or '.join(REGIONS)}.")
        if _KEY.search(f"{self.base_url} {self.model} {self.agent_id} {self.system_prompt}"):
            raise ConfigError(
                "This looks like a key, and keys do not belong into these files.",
                hint="Set the environment variable MINIMAX_API_KEY instead.",
            )
        if "@" in (self.base_url or ""):
            raise ConfigError("base_url must be an address alone, without user and password.")
        if not self.model.strip():
            raise ConfigError("A model needs a name.", hint=f"{DEFAULT_MODEL} is one.")
        if not _AGENT_ID.fullmatch(self.agent_id):
            raise ConfigError(
                "An agent's name is also the name of a file: up to 64 of the letters a to z, "
                "digits, - and _.",
                hint="Begin with a letter or a digit.",
            )


def llm_text(choices: Choices) -> str:
    """The text of llm.yaml."""
    china = choices.region == "china"
    base_url = choices.base_url or (_CHINA if china else None)
    return f"""\
# Settings of minimax_magic. A line may be left out or its value be empty: then the default applies,
# here in parentheses. ${{NAME}} is an environment variable, ${{NAME:-text}} has a text for an empty one.
providers:
  minimax:
    # The key. Best set MINIMAX_API_KEY where Jupyter is started, and none is saved here.
    # (MINIMAX_API_KEY, if set)
    api_key: ${{MINIMAX_API_KEY:-}}
    # The account's group, for servers that ask for it. (MINIMAX_GROUP_ID, if set)
    group_id: ${{MINIMAX_GROUP_ID:-}}
    # The server, {_CHINA} in China; a key of one region is not valid in another.
    # (the server that a login names, else https://api.minimax.io)
    {_line("base_url", base_url, "https://api.minimax.io")}
    # The wire format: openai_compat or anthropic_messages. (told from base_url: .../anthropic)
    {_line("api_flavor", choices.api_flavor, "openai_compat")}
    # Used where neither the cell nor its agent names a model. ({DEFAULT_MODEL})
    model: {_scalar(choices.model)}
    rate_limit:
      # Requests a second, of all cells together; 0: no limit. (2.0)
      requests_per_second: 2.0
      # Warn in the log when less than this is left, in the server's own unit. (never)
      # quota_alert_threshold: 100000
    timeouts:
      # Seconds that an answer may be silent before it counts as broken. (120)
      idle_timeout_s: 120
      # Seconds; a server that asks to wait longer fails the request at once. (120)
      max_retry_wait_s: 120
    # Signing in with a Token Plan.
    auth:
      # static: the key; token_plan: the login; auto: the login if there is one. (auto)
      # mode: auto
      # The file that keeps the login; ./ is where config/ is. (the usual one in the secrets folder)
      # bundle: ./secrets/minimax_token_plan.json
      # Where to sign in: global, china or the address of a server. (global)
      {_line("region", "china" if china else None, "global")}
      # The program that signs in, and what it may do. (as MiniMax expects them)
      # client_id:
      # scope:
      # Addresses that give a login code and renew a login. (known from the region)
      # code_endpoint:
      # refresh_endpoint:
retry:
  # How often a request is sent at most, the first time included; 1: never again. (5)
  max_attempts: 5
  # Milliseconds before the second attempt, and at most before any. (1000 and 60000)
  initial_backoff_ms: 1000
  max_backoff_ms: 60000
  # By how much the wait grows each time, 1 or more. (2.0)
  backoff_multiplier: 2.0
# What may be spent; a request that could cost more than is left is not sent.
budget:
  # US dollars: by one run of a cell, by a kernel until it is restarted, and by all kernels here on
  # a calendar day and in a month; 0: nothing. (no limit)
  # cell: 0.50
  # kernel: 2.00
  # day: 5.00
  # month: 50.00
# What a model costs, if that is not what MiniMax lists; a new one needs input and output.
prices:
  # MiniMax-M2.5:
    # US dollars for a million tokens; the cache is what the server reads again, or writes down to.
    # (MiniMax's list of {PRICES_AS_OF})
    # input: 0.30
    # output: 1.20
    # cache_read: 0.03
    # cache_write: 0.375
# The file that records what every request used; ./ is where config/ is, and ":memory:" (in quotes)
# is a record that ends with the kernel. (MINIMAX_LEDGER, else the usual one in the data folder)
# ledger: ./usage.sqlite3
# Recorded answers, which cost nothing a second time. off: none; record: give those that there are, and
# record the others; replay: give them, and send nothing; refresh: ask for all of them anew.
# (MINIMAX_CACHE, else off)
# cache: record
# The file that keeps them; one that ends in .json is text, for git.
# (MINIMAX_CACHE_FILE, else the usual one in the data folder)
# cache_file: ./replay.json
"""


def agent_text(choices: Choices) -> str:
    """The text of the agent's file."""
    return f"""\
# What goes with the prompt of `%%minimax --agent {choices.agent_id}`; options of the cell go first.
# Any line but the id may be left out or be empty: then what is in parentheses applies.
agents:
  - id: {_scalar(choices.agent_id)}
    model:
      provider: minimax
      # (the model of llm.yaml)
      model: {_scalar(choices.model)}
    # Said to the model before anything else; $${{ stands for a literal ${{. (nothing)
    system_prompt: {_scalar(choices.system_prompt)}
    # How freely words are chosen, 0 to 2. (the server decides)
    # temperature: 0.3
    # Only the likeliest words, up to this share of probability: above 0 to 1. (the server decides)
    # top_p: 0.95
    # Most tokens of an answer, thinking included. (as without an agent)
    # max_tokens: 4096
    # Functions of the notebook that it may call. (those that the cell names)
    # tools: [search]
    # How often it is asked for one prompt at most, 1 to 100: once more after each call. (10)
    # max_steps: 10
"""


def _line(key: str, value: str | None, example: str) -> str:
    return f"# {key}: {example}" if value is None else f"{key}: {_scalar(value)}"


def _scalar(text: str) -> str:
    """`text` as a value in one line that our loader gives back unchanged.

    Half a character (a lone surrogate) cannot be in any file and becomes U+FFFD.
    """
    if _PLAIN.fullmatch(text) or text in (*REGIONS, *ApiFlavor):
        return text
    # JSON's escapes are among YAML's; `$${` is our loader's way to write `${`
    quoted = json.dumps(whole(text).replace("${", "$${"), ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


# ------------------------------------------------------------------------------ to disk

Kind: TypeAlias = Literal["written", "already so", "left", "replaced", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file.

    Attributes:
        file: As people know it, `config/llm.yaml`.
        kind: `left`: it exists with another content. `elsewhere`: another file has this agent.
        other: Of `replaced`, where the old one is now; of `elsewhere`, where the agent is; else "".
    """

    file: str
    kind: Kind
    other: str = ""

    def __str__(self) -> str:
        said = {
            "left": "left as it is",
            "replaced": f"replaced; the old one is {self.other}",
            "elsewhere": f"not written, since {self.other} has this agent",
        }
        return f"{self.file}: {said.get(self.kind, self.kind)}."


def write(
    choices: Choices, folder: Path, label: str = "config", *, force: bool = False
) -> list[Outcome]:
    """Writes llm.yaml and the agent's file, unless they exist.

    Args:
        folder: The config folder; made if it does not exist.
        label: What people call it.
        force: Replace what exists, and keep it as `llm.yaml.bak`, `llm.yaml.bak.2` and so on.

    Raises:
        ConfigError: A file cannot be read or written, or one of agents.d is no YAML.
    """
    agent = f"agents.d/{choices.agent_id}.yaml"
    outcomes: list[Outcome] = []
    try:
        holder = agent_place(choices.agent_id, folder, label, besides=folder / agent)
        outcomes.append(_put(folder, "llm.yaml", label, llm_text(choices), force))
        if holder:
            outcomes.append(Outcome(f"{label}/{agent}", "elsewhere", holder))
        else:
            outcomes.append(_put(folder, agent, label, agent_text(choices), force))
    except OSError as error:
        done = " ".join(str(outcome) for outcome in outcomes)
        raise ConfigError(
            f"The files of {label} cannot be read or written: {system_reason(error)}.",
            hint=f"{done} Check that you may write there.".strip(),
        ) from None
    return outcomes


def agent_place(
    agent_id: str, folder: Path, label: str = "config", *, besides: Path | None = None
) -> str:
    """Where there is an agent of this id, `config/agents.d/team.yaml line 3`; empty if nowhere.

    Whose provider it is does not matter: two of one name would confuse everybody.
    """
    for path in sorted((folder / "agents.d").glob("[!.]*")):
        if path == besides or path.suffix not in (".yaml", ".yml"):
            continue
        document = parse_yaml(path.read_bytes(), f"{label}/agents.d/{path.name}")
        agents = document.get("agents") if document is not None else None
        for node in (
            agents.content if agents is not None and isinstance(agents.content, list) else ()
        ):
            held = node.get("id")
            if held is not None and str(held.content).strip() == agent_id:
                return node.place
    return ""


def _put(folder: Path, name: str, label: str, text: str, force: bool) -> Outcome:
    path, shown, data = folder / name, f"{label}/{name}", text.encode()
    if not os.path.lexists(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _swap_in(path, data, 0o666)
        return Outcome(shown, "written")
    target = Path(os.path.realpath(path))  # a link stays one
    old = target.read_bytes()
    if old == data:
        return Outcome(shown, "already so")
    if not force:
        return Outcome(shown, "left")
    mode = stat.S_IMODE(target.stat().st_mode)  # somebody may have put a key into it
    ending = _keep(path, old, mode)
    _swap_in(target, data, mode)
    return Outcome(shown, "replaced", shown + ending)


def _keep(path: Path, old: bytes, mode: int) -> str:
    """Puts `old` beside `path`; gives what the name has more."""
    ending, number = ".bak", 1
    while os.path.lexists(f"{path}{ending}"):
        number += 1
        ending = f".bak.{number}"
    _create(Path(f"{path}{ending}"), old, mode)
    return ending


def _swap_in(path: Path, data: bytes, mode: int) -> None:
    """All of the file or nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _create(temporary, data, mode)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _create(path: Path, data: bytes, mode: int) -> None:
    """A new file; the umask applies to `mode`."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(data)
