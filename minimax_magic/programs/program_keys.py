"""Variables with keys in them, and those that Aider applies to the others before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from minimax_magic.masked import MaskedStr
from minimax_magic.programs.routes import ANTHROPIC_CLIENTS, LITELLM, Conflict


def key_problems(environ: Mapping[str, str]) -> Iterator[Conflict]:
    """What is wrong with Anthropic's variables for keys, where its address is one of MiniMax."""
    key = MaskedStr(environ.get("ANTHROPIC_API_KEY", ""))
    token = MaskedStr(environ.get("ANTHROPIC_AUTH_TOKEN", ""))
    for name, value in (("ANTHROPIC_API_KEY", key), ("ANTHROPIC_AUTH_TOKEN", token)):
        if value.startswith("sk-ant-"):
            programs = ANTHROPIC_CLIENTS if value is token else (*LITELLM, *ANTHROPIC_CLIENTS)
            yield Conflict(
                (name,),
                f"{name} is a key of Anthropic (sk-ant-...), which MiniMax refuses.",
                "stale_token",
                programs,
                f"{name} was set for Anthropic's own service.",
                f"Set {name} to your MiniMax key, or remove it.",
            )
    if key and token and key != token:
        yield Conflict(
            ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"),
            "ANTHROPIC_AUTH_TOKEN and ANTHROPIC_API_KEY differ: Claude Code sends the token, LiteLLM, "
            "Aider and newer SDKs the key, older SDKs both.",
            "stale_token",
            ANTHROPIC_CLIENTS,
        )
    lines = environ.get("ANTHROPIC_CUSTOM_HEADERS", "").split("\n")
    if {line.partition(":")[0].strip().lower() for line in lines} & {"authorization", "x-api-key"}:
        yield Conflict(
            ("ANTHROPIC_CUSTOM_HEADERS",),
            "ANTHROPIC_CUSTOM_HEADERS has a key in it, which is sent instead of the others.",
            "stale_token",
            ANTHROPIC_CLIENTS,
            "ANTHROPIC_CUSTOM_HEADERS was set for another service, or with an old key.",
            "Take the line with the key out of ANTHROPIC_CUSTOM_HEADERS, or remove the variable.",
        )


def aider_key_problems(environ: Mapping[str, str]) -> Iterator[Conflict]:
    setter = aider_setter(environ, "ANTHROPIC_API_KEY")
    applied = as_aider(environ).get("ANTHROPIC_API_KEY", "")
    if setter is not None and (key := environ.get("ANTHROPIC_API_KEY")) and key != applied:
        yield Conflict(
            (setter, "ANTHROPIC_API_KEY"),
            f"{setter} beats ANTHROPIC_API_KEY in Aider, and they differ.",
            "stale_token",
            ("aider",),
            f"Aider takes the key of {setter}, whatever ANTHROPIC_API_KEY says.",
            f"Remove {setter}, or put the same key into it.",
        )


def as_aider(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment after Aider has applied its own variables to it, in its order."""
    applied: dict[str, str] = {name: MaskedStr(value) for name, value in environ.items()}
    for name, value in _pairs(environ.get("AIDER_SET_ENV", "")):
        applied[name] = MaskedStr(value)
    for provider, value in _pairs(environ.get("AIDER_API_KEY", "")):
        applied[f"{provider.upper()}_API_KEY"] = MaskedStr(value)
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_API_BASE"):
        if own := environ.get(f"AIDER_{name}"):
            applied[name] = MaskedStr(own)
    return applied


def aider_setter(environ: Mapping[str, str], name: str) -> str | None:
    """Which of Aider's variables decides about another one; None: none of them."""
    if environ.get(f"AIDER_{name}") and name in (
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "OPENAI_API_BASE",
    ):
        return f"AIDER_{name}"
    providers = [
        f"{provider.upper()}_API_KEY" for provider, _ in _pairs(environ.get("AIDER_API_KEY"))
    ]
    if name in providers:
        return "AIDER_API_KEY"
    return "AIDER_SET_ENV" if set_by_aider(environ, name) else None


def set_by_aider(environ: Mapping[str, str], name: str) -> bool:
    return any(name == other for other, _ in _pairs(environ.get("AIDER_SET_ENV")))


def _pairs(text: str | None) -> Iterator[tuple[str, str]]:
    """`NAME=value`, or several of them as `[NAME=value, NAME=value]`."""
    text = (text or "").strip()
    several = text.startswith("[") and text.endswith("]")
    for item in text[1:-1].split(",") if several else [text]:
        name, equals, value = item.partition("=")
        if equals:
            yield name.strip(), value.strip()
