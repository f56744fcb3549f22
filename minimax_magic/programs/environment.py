"""What to set, to unset and to type so that another program reaches MiniMax.

Each program gets the variables that make it send `Authorization: Bearer`, where it can: MiniMax has
refused keys that came as x-api-key alone. `programs.routing` has what was measured about them.
Pure: keys come in as text and leave it masked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from minimax_magic.errors import ConfigError
from minimax_magic.masked import MaskedStr
from minimax_magic.messages import ApiFlavor
from minimax_magic.models import DEFAULT_MODEL
from minimax_magic.programs.names import PROGRAMS
from minimax_magic.programs.routing import Header, unknown_program
from minimax_magic.wire.address import checked_url, is_loopback, resolve_endpoint
from minimax_magic.wire.http import short

_ANTHROPIC: Final = ApiFlavor.ANTHROPIC_MESSAGES
_OPENAI: Final = ApiFlavor.OPENAI_COMPAT
_ROUTES: Final = ("anthropic", "minimax")
_MODEL: Final = re.compile(r"[A-Za-z0-9][\w.:@+-]*", re.ASCII)
# Claude Code's own limit of ten minutes is less than a long answer takes; MiniMax's guide has this.
_CLAUDE_TIMEOUT_MS: Final = "3000000"
# shortcuts of Aider's, as variables: each of them chooses a model of somebody else
_AIDER_SHORTCUTS: Final = (
    "AIDER_OPUS",
    "AIDER_SONNET",
    "AIDER_HAIKU",
    "AIDER_4",
    "AIDER_4O",
    "AIDER_MINI",
    "AIDER_4_TURBO",
    "AIDER_35TURBO",
    "AIDER_DEEPSEEK",
    "AIDER_O1_MINI",
    "AIDER_O1_PREVIEW",
)
_LLM_PLACE: Final = "in the folder of the file that the command llm logs path prints"
_SUFFIX_SWITCH: Final = "LITELLM_ANTHROPIC_DISABLE_URL_SUFFIX"
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
_CLOUDS: Final = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable to set.

    Attributes:
        why: One line.
        secret: Its value is a key, and a `MaskedStr`.
    """

    name: str
    value: str
    why: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class ProgramFile:
    """A file that the program needs besides.

    Attributes:
        place: Where it belongs, in words: `in the folder ...`.
        text: What is to be in it, nothing secret; ends with a line break.
    """

    name: str
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class ProgramEnvironment:
    """What makes a program work.

    Attributes:
        title: For people: `Aider`.
        variables: To be set, in the order in which they are best read.
        unset: Names of variables that would defeat those, and why.
        command: What to start, word by word; no secret in it.
        notes: What else there is to know, one sentence or two each.
    """

    program: str
    title: str
    variables: tuple[Variable, ...]
    unset: tuple[tuple[str, str], ...]
    command: tuple[str, ...]
    notes: tuple[str, ...] = ()
    files: tuple[ProgramFile, ...] = ()

    def applied_to(self, environ: Mapping[str, str]) -> dict[str, str]:
        """That environment with ours in it."""
        gone = {name for name, _ in self.unset}
        kept = {name: value for name, value in environ.items() if name not in gone}
        return kept | {variable.name: variable.value for variable in self.variables}


def header_of(program: str, model: str = "") -> Header:
    """How a program sends its key if it is started with the environment that is made here.

    Args:
        model: As it is given the program; its route may decide.
    """
    return "x-api-key" if program == "aider" and not model.startswith("minimax/") else "bearer"


def environment_for(
    program: str,
    *,
    root: str,
    key: str,
    model: str,
    flavor: ApiFlavor | None = None,
    environ: Mapping[str, str] | None = None,
) -> ProgramEnvironment:
    """The environment and the command line that make a program work.

    Args:
        program: One of `names.PROGRAMS`.
        root: Where the API starts, MiniMax's address or a gateway's. One that ends in `/v1` or
            `/anthropic` also says which wire is meant.
        key: What to send there.
        model: A model's id; LiteLLM's route may stand in front of it, `minimax/MiniMax-M2.5`.
        flavor: The wire that was asked for; None: whichever the program works with.
        environ: What is set now; some variables are to be unset only if they are there.

    Raises:
        ConfigError: There is no such program, no key or model, or the program would fail: the other
            wire, or a route that it does not take.
    """
    if program not in PROGRAMS:
        raise unknown_program(program)
    if not key.strip():
        raise ConfigError("There is no key to give to another program.")
    prefix, name = _model(program, model)
    start = resolve_endpoint(root).root
    wanted = flavor or _wire_of(root)
    own = _OPENAI if program in ("openai-sdk", "llm") or prefix == "minimax" else _ANTHROPIC
    if wanted is not None and wanted is not own and program != "litellm":
        raise _wrong_wire(program, start, name, own)
    parts = _Parts(start, MaskedStr(key), name, {**(environ or {})})
    match program:
        case "aider":
            made = _aider(parts, prefix or "anthropic")
        case "litellm":
            made = _litellm(parts, prefix or ("anthropic" if wanted is _ANTHROPIC else "minimax"))
        case "claude-code":
            made = _claude_code(parts)
        case "anthropic-sdk":
            made = _anthropic_sdk(parts)
        case "openai-sdk":
            made = _openai_sdk(parts)
        case _:
            made = _llm(parts)
    if not parts.is_here:
        return made
    note = f"{start} is on this machine: this works while that server runs."
    return replace(
        made,
        variables=(*made.variables, *_no_proxy(parts)),
        notes=(*made.notes, note),
    )


def _no_proxy(parts: _Parts) -> tuple[Variable, ...]:
    """What makes programs ask this machine themselves where a proxy is set for all else."""
    environ, host = parts.environ, urlsplit(parts.root).hostname or ""
    if not any(environ.get(one) or environ.get(one.upper()) for one in _PROXIES):
        return ()
    # the lower one wins where both are set, also over a longer list
    name = "no_proxy" if "no_proxy" in environ else "NO_PROXY"
    others = environ.get(name, "").strip()
    if others == "*" or host in map(str.strip, others.split(",")):
        return ()
    value = f"{others},{host}" if others else host
    why = "A proxy is set here, which would look for that address on its own machine."
    return (Variable(name, value, why),)


@dataclass(frozen=True, slots=True)
class _Parts:
    root: str
    key: MaskedStr
    model: str
    environ: Mapping[str, str]

    @property
    def is_here(self) -> bool:
        """Whether the server is one of this machine, a gateway or a simulator."""
        return is_loopback(urlsplit(self.root).hostname or "")

    def secret(self, name: str, why: str) -> Variable:
        return Variable(name, self.key, why, secret=True)

    @property
    def messages_base(self) -> Variable:
        return Variable(
            "ANTHROPIC_BASE_URL",
            f"{self.root}/anthropic",
            "The Anthropic-compatible address, without /v1: clients put /v1/messages behind it.",
        )

    @property
    def suffix_switch(self) -> tuple[tuple[str, str], ...]:
        """To unset LiteLLM's switch, if it is there."""
        if _SUFFIX_SWITCH not in self.environ:
            return ()
        return ((_SUFFIX_SWITCH, "It would keep /v1/messages from being put behind the address."),)

    def keyed_headers(self, name: str) -> tuple[tuple[str, str], ...]:
        """To unset a variable with headers, if one of them is a key."""
        lines = self.environ.get(name, "").lower().split("\n")
        keyed = {line.partition(":")[0].strip() for line in lines} & {"authorization", "x-api-key"}
        return ((name, "The key in its headers would be sent instead."),) if keyed else ()


def _aider(parts: _Parts, prefix: str) -> ProgramEnvironment:
    model = f"{prefix}/{parts.model}"
    notes = [
        "Aider loads .env from the home folder, the repository and the current folder, each of which "
        "beats variables that are set: no other key or address may stand there.",
    ]
    unset: list[tuple[str, str]] = []
    variables: tuple[Variable, ...]
    if prefix == "anthropic":
        variables = (
            parts.secret("ANTHROPIC_API_KEY", "The key. Aider sends it as x-api-key."),
            parts.messages_base,
        )
        unset.append(("ANTHROPIC_API_BASE", "It would beat ANTHROPIC_BASE_URL."))
        if not parts.is_here:
            notes.insert(
                0,
                "MiniMax has refused x-api-key at times: 401, carry the API secret key in the "
                "Authorization field. Then start Aider with python -m minimax_magic aider, or get its "
                f"environment anew with --model minimax/{parts.model}: both send Bearer.",
            )
        unset += parts.suffix_switch
    else:
        variables = _minimax_variables(parts)
    chosen = Variable(
        "AIDER_MODEL", model, "Without it and --model Aider would choose a model of Anthropic."
    )
    return ProgramEnvironment(
        "aider",
        "Aider",
        (*variables, chosen),
        (*unset, *_aider_unset(parts.environ)),
        ("aider", "--model", model),
        tuple(notes),
    )


def _aider_unset(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Aider's own variables that would give it another key, address or model."""
    found = []
    for name in ("AIDER_ANTHROPIC_API_KEY", "AIDER_API_KEY", "AIDER_SET_ENV"):
        value = environ.get(name, "").lower()
        if value and (name == "AIDER_ANTHROPIC_API_KEY" or re.search("anthropic|minimax", value)):
            found.append((name, "Aider would take a key or an address from it instead."))
    for name in ("AIDER_WEAK_MODEL", "AIDER_EDITOR_MODEL"):
        if environ.get(name) and "minimax" not in environ[name].lower():
            found.append((name, "Aider would ask MiniMax for a model of somebody else."))
    for name in _AIDER_SHORTCUTS:
        if environ.get(name):
            found.append((name, "It would choose another model than --model."))
    return found


def _litellm(parts: _Parts, prefix: str) -> ProgramEnvironment:
    code = (
        "import litellm; print(litellm.completion("
        f"model='{prefix}/{parts.model}', messages=[dict(role='user', content='Hello')]"
        ").choices[0].message.content)"
    )
    return ProgramEnvironment(
        "litellm",
        "LiteLLM",
        (
            *_minimax_variables(parts),
            parts.secret("ANTHROPIC_AUTH_TOKEN", "The key for anthropic/, sent as Bearer."),
            parts.messages_base,
        ),
        (
            ("ANTHROPIC_API_BASE", "It would beat ANTHROPIC_BASE_URL."),
            ("ANTHROPIC_API_KEY", "It would beat ANTHROPIC_AUTH_TOKEN, and be sent as x-api-key."),
            *parts.suffix_switch,
        ),
        ("python", "-c", code),
        (
            f"Both minimax/{parts.model} and anthropic/{parts.model} work. LiteLLM before 1.82 does "
            "not know ANTHROPIC_AUTH_TOKEN: use minimax/ there.",
            "litellm.anthropic.messages with minimax/ reads MINIMAX_API_BASE, too, and needs "
            f"{parts.root}/anthropic in it: use anthropic/ for it.",
        ),
    )


def _minimax_variables(parts: _Parts) -> tuple[Variable, ...]:
    return (
        parts.secret("MINIMAX_API_KEY", "The key for minimax/, sent as Bearer."),
        Variable(
            "MINIMAX_API_BASE",
            f"{parts.root}/v1",
            "The OpenAI-compatible address, for minimax/, which puts /chat/completions behind it.",
        ),
    )


def _claude_code(parts: _Parts) -> ProgramEnvironment:
    roles = (
        "ANTHROPIC_MODEL",
        "ANTHROPIC_SMALL_FAST_MODEL",  # of Claude Code 1
        "ANTHROPIC_DEFAULT_OPUS_MODEL",
        "ANTHROPIC_DEFAULT_SONNET_MODEL",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    )
    role = "The model, in every role: Claude Code would ask for models of Anthropic otherwise."
    clouds = tuple(
        (name, "Claude Code would ask that cloud instead.")
        for name in _CLOUDS
        if parts.environ.get(name)
    )
    return ProgramEnvironment(
        "claude-code",
        "Claude Code",
        (
            parts.messages_base,
            parts.secret("ANTHROPIC_AUTH_TOKEN", "The key, sent as Bearer."),
            *(Variable(name, parts.model, role) for name in roles),
            Variable(
                "API_TIMEOUT_MS",
                _CLAUDE_TIMEOUT_MS,
                "In milliseconds: a long answer takes more than the usual ten minutes.",
            ),
            Variable(
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
                "1",
                "Switches off telemetry and updates, which would go to Anthropic.",
            ),
        ),
        (
            ("ANTHROPIC_API_KEY", "Claude Code would ask which of the two keys to use."),
            *clouds,
            *parts.keyed_headers("ANTHROPIC_CUSTOM_HEADERS"),
        ),
        ("claude",),
        (
            "env in ~/.claude/settings.json may say otherwise: /status in Claude Code shows what holds.",
        ),
    )


def _anthropic_sdk(parts: _Parts) -> ProgramEnvironment:
    code = (
        "import anthropic; print(anthropic.Anthropic().messages.create("
        f"model='{parts.model}', max_tokens=1000, messages=[dict(role='user', content='Hello')]"
        ").content[-1].text)"
    )
    return ProgramEnvironment(
        "anthropic-sdk",
        "The Anthropic SDK",
        (
            parts.messages_base,
            parts.secret("ANTHROPIC_AUTH_TOKEN", "The key, sent as Bearer by every version."),
        ),
        (
            (
                "ANTHROPIC_API_KEY",
                "It would be sent as x-api-key besides or instead.",
            ),
            *parts.keyed_headers("ANTHROPIC_CUSTOM_HEADERS"),
        ),
        ("python", "-c", code),
        ("The model is an argument of each call.",),
    )


def _openai_sdk(parts: _Parts) -> ProgramEnvironment:
    code = (
        "import openai; print(openai.OpenAI().chat.completions.create("
        f"model='{parts.model}', messages=[dict(role='user', content='Hello')]"
        ").choices[0].message.content)"
    )
    return ProgramEnvironment(
        "openai-sdk",
        "The OpenAI SDK",
        (
            Variable(
                "OPENAI_BASE_URL",
                f"{parts.root}/v1",
                "The OpenAI-compatible address: the client puts /chat/completions behind it.",
            ),
            parts.secret("OPENAI_API_KEY", "The key, sent as Bearer."),
        ),
        parts.keyed_headers("OPENAI_CUSTOM_HEADERS"),
        ("python", "-c", code),
        ("The model is an argument of each call.",),
    )


def _llm(parts: _Parts) -> ProgramEnvironment:
    # quoted as JSON is: an address with a colon at its end would be a mapping in YAML
    text = (
        f'- model_id: "{parts.model}"\n'
        f'  model_name: "{parts.model}"\n'
        f'  api_base: "{parts.root}/v1"\n'
        "  api_key_name: minimax\n"
        "  supports_tools: true\n"
    )
    folder = parts.environ.get("LLM_USER_PATH")
    place = "in the folder that LLM_USER_PATH names" if folder else _LLM_PLACE
    return ProgramEnvironment(
        "llm",
        "llm",
        (
            parts.secret(
                "OPENAI_API_KEY", "The key. llm takes it where none named minimax is stored."
            ),
            Variable("LLM_MODEL", parts.model, "The model, where -m is left out."),
        ),
        (),
        ("llm", "-m", parts.model, "Hello"),
        (
            "To store the key instead: llm keys set minimax. Then OPENAI_API_KEY stays free for "
            "models of OpenAI.",
        ),
        (ProgramFile("extra-openai-models.yaml", place, text),),
    )


def _model(program: str, model: str) -> tuple[str, str]:
    """LiteLLM's route, empty if none is named, and the bare id.

    Raises:
        ConfigError: It is no model, or has a route that the program does not take.
    """
    prefix, slash, name = model.strip().rpartition("/")
    if not name:
        raise ConfigError(
            "No model was named, and without one other programs ask for a model of somebody else.",
            hint=f"Use --model {DEFAULT_MODEL}.",
        )
    if not _MODEL.fullmatch(name):
        raise ConfigError(
            f"{short(model, 60)!r} is not the id of a model.", hint=f"Use one as {DEFAULT_MODEL}."
        )
    if slash and prefix not in _ROUTES:
        raise ConfigError(
            f"LiteLLM's route {short(prefix, 40)!r} does not lead to MiniMax.",
            hint=f"Use {' or '.join(f'{one}/{name}' for one in _ROUTES)}.",
        )
    if slash and program not in ("aider", "litellm"):
        prefix = ""  # only LiteLLM has routes; the others want the id alone
    return prefix, name


def _wire_of(root: str) -> ApiFlavor | None:
    """The wire that a path in the address stands for; None for an address without one."""
    parts = [part for part in checked_url(root).path.split("/") if part]
    if "anthropic" in parts:
        return _ANTHROPIC
    return _OPENAI if parts and parts[-1] == "v1" else None


def _wrong_wire(program: str, root: str, model: str, own: ApiFlavor) -> ConfigError:
    if program == "aider" and own is _ANTHROPIC:
        return ConfigError(
            f"Aider with anthropic/ fails at {root}/v1: LiteLLM would ask for /v1/v1/messages.",
            hint=f"Leave the wire out to use {root}/anthropic, or name --model minimax/{model}.",
        )
    base = f"{root}/anthropic" if own is _ANTHROPIC else f"{root}/v1"
    other = "OpenAI" if own is _ANTHROPIC else "Anthropic"
    return ConfigError(
        f"{program} does not speak {other}'s wire; its address is {base}.",
        hint="Leave the wire out.",
    )
