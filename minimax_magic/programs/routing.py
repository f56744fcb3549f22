"""Where another program would send a chat request, and which of its variables decide that.

What is written here was measured with a recording server: Aider 0.86.2 with the LiteLLM 1.81.10 that it
pins, LiteLLM 1.106.2, anthropic 2.11, openai 3.52 and llm 0.32; Claude Code is by its documents.
`tests/programs/test_litellm.py` measures LiteLLM again. Pure: the environment comes in as a mapping.

Files of those programs are not looked at. Aider loads `.env` from the home folder, the repository and
the current folder over its environment; whoever reads those files can lay them over `environ` first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from minimax_magic.auth.regions import Region, resolve_region
from minimax_magic.masked import MaskedStr
from minimax_magic.messages import ApiFlavor
from minimax_magic.models import DEFAULT_MODEL
from minimax_magic.programs.addresses import (
    Base,
    base_problems,
    bases_of,
    chat_url,
    host_of,
    is_minimax,
    litellm_messages,
    litellm_minimax,
    messages_url,
    overridden,
    shown,
    suffixed,
)
from minimax_magic.programs.program_keys import (
    aider_key_problems,
    aider_setter,
    as_aider,
    key_problems,
    set_by_aider,
)
from minimax_magic.programs.routes import (
    LITELLM,
    Conflict,
    Header,
    Route,
    merged,
    names,
    unknown_program,
)
from minimax_magic.wire.http import short

__all__ = ["Conflict", "Header", "Route", "conflicts", "route", "unknown_program"]

_ANTHROPIC: Final = ApiFlavor.ANTHROPIC_MESSAGES
_OPENAI: Final = ApiFlavor.OPENAI_COMPAT


_MINIMAX_V1: Final = "https://api.minimax.io/v1"
# the models that Aider chooses for itself, by the first of these keys that is set
_AIDER_CHOICES: Final = (
    ("OPENROUTER_API_KEY", "openrouter/anthropic/claude-sonnet-4"),
    ("ANTHROPIC_API_KEY", "anthropic/claude-sonnet-4-5"),
    ("DEEPSEEK_API_KEY", "deepseek/deepseek-chat"),
    ("OPENAI_API_KEY", "openai/gpt-4o"),
)


def route(
    program: str,
    environ: Mapping[str, str],
    *,
    model: str | None = None,
    root: str | None = None,
    messages: bool = False,
) -> Route:
    """What a program would do with an environment.

    Args:
        program: One of `names.PROGRAMS`.
        model: As the program is given it, `anthropic/MiniMax-M2.5`; None: what its variables say.
            LiteLLM has no variable for it: then the route whose variables are set.
        root: The API root that the credential belongs to; None: not known, so that a wrong region is
            not noticed.
        messages: LiteLLM's `anthropic.messages` instead of `completion`.

    Raises:
        ConfigError: There is no such program, or `root` is no address.
    """
    region = resolve_region(root) if root else None
    match program:
        case "aider":
            return _aider(environ, model, region)
        case "litellm":
            return _litellm(program, environ, model or _litellm_model(environ), region, messages)
        case "claude-code" | "anthropic-sdk":
            return _anthropic_client(program, environ, model, region)
        case "openai-sdk":
            return _openai_sdk(environ, model, region)
        case "llm":
            return _llm(environ, model)
    raise unknown_program(program)


def conflicts(environ: Mapping[str, str], *, root: str) -> tuple[Conflict, ...]:
    """What is wrong with an environment for whichever program uses it.

    Only what would break a request that is meant for MiniMax: variables that lead elsewhere are left
    alone, and so is a program that has no variables at all.

    Args:
        root: The API root that the credential belongs to.

    Raises:
        ConfigError: `root` is no address.
    """
    region = resolve_region(root)
    applied = as_aider(environ)
    found: list[Conflict] = []
    if lost := overridden(applied, region):
        found.append(lost)
    for base in bases_of(applied):
        found.extend(base_problems(base, region))
    addresses = [base.value for base in bases_of(applied) if base.flavor is _ANTHROPIC]
    if any(is_minimax(address, region) for address in addresses if address):
        found.extend(key_problems(environ))
        found.extend(aider_key_problems(environ))
    if (named := applied.get("AIDER_MODEL", "")) and _is_bare_minimax(named):
        found.append(_bare_model("AIDER_MODEL", named))
    return merged(found)


def _aider(environ: Mapping[str, str], model: str | None, region: Region | None) -> Route:
    applied = as_aider(environ)
    named = model or applied.get("AIDER_MODEL", "")
    missing: tuple[Conflict, ...] = ()
    if not named:
        named = next((m for key, m in _AIDER_CHOICES if applied.get(key)), "")
        missing = (
            Conflict(
                ("AIDER_MODEL",),
                "Unless --model is given on the command line, Aider "
                + (f"asks for {named.rpartition('/')[2]}" if named else "does not start")
                + ": AIDER_MODEL is not set.",
                "missing_model",
                ("aider",),
            ),
        )
    found = _litellm("aider", applied, named, region, messages=False)
    key_from = found.key_from
    if (setter := aider_setter(environ, key_from.removeprefix("environment "))) is not None:
        key_from = f"environment {setter}"
    base_from = found.base_from
    if set_by_aider(environ, base_from.removeprefix("environment ")):
        base_from = "environment AIDER_SET_ENV"
    problems = found.problems
    if named.startswith("anthropic/"):
        problems += tuple(aider_key_problems(environ))
    return replace(found, base_from=base_from, key_from=key_from, problems=missing + problems)


def _litellm(
    program: str,
    environ: Mapping[str, str],
    model: str,
    region: Region | None,
    messages: bool,
) -> Route:
    provider, slash, name = model.partition("/")
    if not slash:
        said = _bare_model("AIDER_MODEL" if program == "aider" else "", model)
        problem = (said,) if model else ()
        return Route(program, "", "default", "nothing", "none", "", problem, "")
    if provider not in ("anthropic", "minimax", "openai"):
        return Route(program, "", "default", "nothing", "none", name, (), "")
    variables: tuple[str, ...] = {
        "anthropic": ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
        "minimax": ("MINIMAX_API_BASE",),
        "openai": ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    }[provider]
    variable = _first(environ, variables)
    base = environ.get(variable, "")
    keys: tuple[tuple[str, Header], ...]
    if provider == "anthropic":
        url = litellm_messages(base or "https://api.anthropic.com", environ)
        keys = (("ANTHROPIC_API_KEY", "x-api-key"),)
        if program == "litellm":  # the LiteLLM of Aider does not know it
            keys += (("ANTHROPIC_AUTH_TOKEN", "bearer"),)
    elif provider == "minimax":
        default = "https://api.minimax.io/anthropic/v1/messages" if messages else _MINIMAX_V1
        url = (suffixed if messages else litellm_minimax)(base or default)
        keys = (("MINIMAX_API_KEY", "x-api-key" if messages else "bearer"),)
    else:
        url = chat_url(base or "https://api.openai.com/v1")
        keys = (("OPENAI_API_KEY", "bearer"),)
    key, header = _key_of(keys, environ)
    flavor = _ANTHROPIC if provider == "anthropic" or messages else _OPENAI
    used = Base(variable or variables[-1], base or None, url, flavor, (program,))
    problems = [*base_problems(used, region)] if _is_meant(used, name, region) else []
    if provider in ("anthropic", "openai") and (lost := overridden(environ, region, provider)):
        problems.insert(0, lost)
    problems += _no_key(program, keys, key, provider, environ)
    # without a key LiteLLM sends nothing to Anthropic's and OpenAI's APIs
    sent = key or provider == "minimax"
    return Route(
        program,
        url if sent else "",
        f"environment {variable}" if variable else "default",
        f"environment {key}" if key else "nothing",
        header,
        name if sent else "",
        merged(problems),
        MaskedStr(environ.get(key, "")),
    )


def _anthropic_client(
    program: str, environ: Mapping[str, str], model: str | None, region: Region | None
) -> Route:
    """Claude Code and Anthropic's SDK: only one variable for the address, a token or a key."""
    base = environ.get("ANTHROPIC_BASE_URL", "")
    url = messages_url(base or "https://api.anthropic.com")
    keys: list[tuple[str, Header]] = [
        # SDKs before 2.0 send a key as x-api-key, later ones as Bearer; the stricter is assumed
        ("ANTHROPIC_API_KEY", "x-api-key"),
        ("ANTHROPIC_AUTH_TOKEN", "bearer"),
    ]
    if program == "claude-code":
        keys.reverse()
        model = model or environ.get("ANTHROPIC_MODEL", "")
    key, header = _key_of(keys, environ)
    used = Base("ANTHROPIC_BASE_URL", base or None, url, _ANTHROPIC, (program,))
    problems: list[Conflict] = []
    if not base and "ANTHROPIC_BASE_URL" in environ and program == "anthropic-sdk":
        problems.append(
            Conflict(
                ("ANTHROPIC_BASE_URL",),
                "ANTHROPIC_BASE_URL is set to nothing, which the SDK takes for an address.",
                "base_url_missing",
                (program,),
                "ANTHROPIC_BASE_URL is there, but empty.",
                "Set ANTHROPIC_BASE_URL to {root}/anthropic.",
            )
        )
        url = ""
    else:
        problems += base_problems(used, region)
    if base and is_minimax(base, region):
        problems += [c for c in key_problems(environ) if program in c.programs]
        if program == "claude-code" and not model:
            problems.append(
                Conflict(
                    ("ANTHROPIC_MODEL",),
                    "ANTHROPIC_MODEL is not set, so Claude Code asks MiniMax for a model of Anthropic.",
                    "missing_model",
                    (program,),
                    "Claude Code asks for its maker's models unless ANTHROPIC_MODEL names another.",
                    "Set ANTHROPIC_MODEL to {model}.",
                )
            )
    return Route(
        program,
        url,
        "environment ANTHROPIC_BASE_URL" if "ANTHROPIC_BASE_URL" in environ else "default",
        f"environment {key}" if key else "nothing",
        header,
        model or "",
        merged(problems),
        MaskedStr(environ.get(key, "")),
    )


def _openai_sdk(environ: Mapping[str, str], model: str | None, region: Region | None) -> Route:
    base = environ.get("OPENAI_BASE_URL", "")
    url = chat_url(base or "https://api.openai.com/v1")
    problems: list[Conflict] = []
    used = Base("OPENAI_BASE_URL", base or None, url, _OPENAI, ("openai-sdk",))
    other = environ.get("OPENAI_API_BASE", "")
    if other and not base and is_minimax(other, region):
        problems.append(
            Conflict(
                ("OPENAI_API_BASE", "OPENAI_BASE_URL"),
                f"The OpenAI SDK does not read OPENAI_API_BASE, so it asks {host_of(url)}.",
                "base_url_missing",
                ("openai-sdk",),
                "The address stands in OPENAI_API_BASE, which only Aider and LiteLLM read.",
                f"Set OPENAI_BASE_URL to {shown(other)}.",
            )
        )
    else:
        problems += base_problems(used, region)
    key = "OPENAI_API_KEY" if environ.get("OPENAI_API_KEY") else ""
    return Route(
        "openai-sdk",
        url,
        "environment OPENAI_BASE_URL" if base else "default",
        f"environment {key}" if key else "nothing",
        "bearer" if key else "none",
        model or "",
        merged(problems),
        MaskedStr(environ.get(key, "")),
    )


def _llm(environ: Mapping[str, str], model: str | None) -> Route:
    key = "OPENAI_API_KEY" if environ.get("OPENAI_API_KEY") else ""
    named = model or environ.get("LLM_MODEL", "")
    problem = Conflict(
        ("LLM_MODEL",),
        "Unless -m is given, llm asks OpenAI for a model of its own choice: LLM_MODEL is not set.",
        "missing_model",
        ("llm",),
        "llm knows no model of its own accord but OpenAI's.",
        "Set LLM_MODEL to {model}, or start it with `llm -m {model}`.",
    )
    return Route(
        "llm",
        "",
        "file extra-openai-models.yaml",
        f"environment {key}" if key else "nothing",
        "bearer",
        named,
        () if named else (problem,),
        MaskedStr(environ.get(key, "")),
    )


def _key_of(keys: Sequence[tuple[str, Header]], environ: Mapping[str, str]) -> tuple[str, Header]:
    """The first variable that is set, and how its key is sent."""
    return next(((name, header) for name, header in keys if environ.get(name)), ("", "none"))


def _no_key(
    program: str,
    keys: Sequence[tuple[str, Header]],
    key: str,
    provider: str,
    environ: Mapping[str, str],
) -> list[Conflict]:
    if key:
        return []
    token = provider == "anthropic" and bool(environ.get("ANTHROPIC_AUTH_TOKEN"))
    wanted = keys[0][0]
    said = f"{wanted} is not set, so {names((program,))} has no key for {provider}/."
    if token:
        said = "Aider does not read ANTHROPIC_AUTH_TOKEN, and ANTHROPIC_API_KEY is not set."
    cause = f"{names((program,))} does not see the key that is used here."
    return [
        Conflict(
            (wanted,), said, "key_missing", (program,), cause, f"Set {wanted} to your MiniMax key."
        )
    ]


def _bare_model(variable: str, model: str) -> Conflict:
    return Conflict(
        (variable,) if variable else (),
        f"The model {short(model, 60)!r} has no route in front, so LiteLLM sends nothing; it should be "
        f"anthropic/{_bare(model)}.",
        "missing_model",
        ("aider",) if variable else LITELLM,
        "LiteLLM takes the wire to speak from what stands before the model's name.",
        f"Name the model anthropic/{_bare(model)}.",
    )


def _bare(model: str) -> str:
    return short(model, 60) if _is_bare_minimax(model) else DEFAULT_MODEL


def _is_meant(base: Base, model: str, region: Region | None) -> bool:
    """Whether a request is one for MiniMax, by where it goes or by what it asks for."""
    return is_minimax(base.url, region) or model.lower().startswith("minimax")


def _is_bare_minimax(model: str) -> bool:
    return "/" not in model and model.lower().startswith("minimax")


def _litellm_model(environ: Mapping[str, str]) -> str:
    anthropic = ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")
    if not _first(environ, anthropic) and _first(environ, ("MINIMAX_API_KEY", "MINIMAX_API_BASE")):
        return f"minimax/{DEFAULT_MODEL}"
    return f"anthropic/{DEFAULT_MODEL}"


def _first(environ: Mapping[str, str], names: Sequence[str]) -> str:
    """The first of these variables that is set; LiteLLM takes an empty one for none."""
    return next((name for name in names if environ.get(name)), "")
