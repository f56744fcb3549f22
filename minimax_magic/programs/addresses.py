"""Variables with an address in them: what each program makes of it, and whether MiniMax is there.

How the address of a request is built from the value was measured; see `programs.routing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from minimax_magic.auth.regions import NAMED_REGIONS, Region, resolve_region
from minimax_magic.messages import ApiFlavor
from minimax_magic.programs.routes import ANTHROPIC_CLIENTS, LITELLM, Conflict, names
from minimax_magic.wire.address import DEFAULT_BASE_URL, resolve_endpoint
from minimax_magic.wire.http import short

_ANTHROPIC: Final = ApiFlavor.ANTHROPIC_MESSAGES
_OPENAI: Final = ApiFlavor.OPENAI_COMPAT
_PATHS: Final = {_ANTHROPIC: "/anthropic/v1/messages", _OPENAI: "/v1/chat/completions"}
_NO_SUFFIX: Final = "LITELLM_ANTHROPIC_DISABLE_URL_SUFFIX"
_OPENAI_WINS: Final = (
    "Both variables are set, and Aider and LiteLLM take OPENAI_BASE_URL.",
    "Remove OPENAI_BASE_URL, or give it the same value as OPENAI_API_BASE.",
)


@dataclass(frozen=True, slots=True)
class Base:
    """A variable with an address in it, as one group of programs uses it.

    Attributes:
        value: What is in it; None if it is not set, so that the programs' own default holds.
        url: Where a request would go.
    """

    variable: str
    value: str | None
    url: str
    flavor: ApiFlavor
    programs: tuple[str, ...]


def litellm_messages(base: str, environ: Mapping[str, str]) -> str:
    """Where LiteLLM's route anthropic/ asks."""
    if environ.get(_NO_SUFFIX, "").strip().lower() == "true":
        return base
    return suffixed(base)


def suffixed(base: str) -> str:
    """The same for LiteLLM's messages API with minimax/."""
    # nothing is taken off: /v1 becomes /v1/v1/messages, and a slash at the end two
    return base if base.endswith("/v1/messages") else f"{base}/v1/messages"


def litellm_minimax(base: str) -> str:
    """Where LiteLLM's route minimax/ asks."""
    if base.endswith("/chat/completions"):
        return base
    if base.endswith("/v1"):
        return f"{base}/chat/completions"
    return f"{base.removesuffix('/')}/v1/chat/completions"


def messages_url(base: str) -> str:
    """Where Anthropic's SDK and Claude Code ask."""
    return f"{base.rstrip('/')}/v1/messages"


def chat_url(base: str) -> str:
    """Where OpenAI's SDK asks, and LiteLLM's route openai/."""
    return f"{base.rstrip('/')}/chat/completions"


def bases_of(environ: Mapping[str, str]) -> Iterator[Base]:
    """The variables with an address that some program uses, each with those that use it alike."""
    api_base = environ.get("ANTHROPIC_API_BASE", "")
    base_url = environ.get("ANTHROPIC_BASE_URL", "")
    for name, value in (("ANTHROPIC_API_BASE", api_base), ("ANTHROPIC_BASE_URL", base_url)):
        # LiteLLM's is the first that is set; where that is the other, `overridden` tells
        if value and (name == "ANTHROPIC_API_BASE" or not api_base):
            yield Base(name, value, litellm_messages(value, environ), _ANTHROPIC, LITELLM)
    if base_url:
        url = messages_url(base_url)
        yield Base("ANTHROPIC_BASE_URL", base_url, url, _ANTHROPIC, ANTHROPIC_CLIENTS)
    if value := environ.get("MINIMAX_API_BASE", ""):
        yield Base("MINIMAX_API_BASE", value, litellm_minimax(value), _OPENAI, LITELLM)
    for name, programs in (
        ("OPENAI_BASE_URL", ("openai-sdk", *LITELLM)),
        ("OPENAI_API_BASE", LITELLM),
    ):
        if value := environ.get(name, ""):
            yield Base(name, value, chat_url(value), _OPENAI, programs)


def base_problems(base: Base, region: Region | None) -> Iterator[Conflict]:
    """What is wrong with an address where a request for MiniMax goes.

    Nothing of one that was set to a server that is not known: it may be a gateway.
    """
    owner = _owner(base.value or base.url, region)
    if owner is None:
        if base.value is None:
            root = region.root if region is not None else DEFAULT_BASE_URL
            yield Conflict(
                (base.variable,),
                f"{base.variable} is not set, so requests go to {host_of(base.url)}.",
                "base_url_missing",
                base.programs,
                step=f"Set {base.variable} to {_good(root, base.flavor)}.",
            )
        return
    # a server of ones own may have its API below a path, MiniMax has not
    right = _origin(base.url) if owner.domains else owner.root
    candidates = resolve_endpoint(right, base.flavor).candidates
    if owner.domains:  # MiniMax itself has one such address; a gateway may have others
        candidates = tuple(url for url in candidates if url in (f"{right}{_PATHS[base.flavor]}",))
    if base.value == base.url and base.url == f"{right}/anthropic":
        yield Conflict(
            (_NO_SUFFIX,),
            f"{_NO_SUFFIX} is true, so that {names(base.programs)} asks for {shown(base.url)} itself, "
            "which does not exist.",
            "wrong_wire",
            base.programs,
            f"{_NO_SUFFIX} takes away the path that is put behind the base URL.",
            f"Remove {_NO_SUFFIX}.",
        )
    elif base.url not in candidates:
        good = _good(right, base.flavor)
        yield Conflict(
            (base.variable,),
            f"{base.variable} makes {names(base.programs)} ask for {shown(base.url)}, which does not "
            f"exist; it should be {good}.",
            "wrong_wire",
            base.programs,
            f"{base.variable} is {shown(base.value or '')}: the value is at fault, not the name of the "
            "variable, since a program puts its own path behind it.",
            f"Set {base.variable} to {good}.",
        )
    elif region is not None and region.domains and owner.name != region.name:
        state = "is not set" if base.value is None else "is set"
        yield Conflict(
            (base.variable,),
            f"{base.variable} {state}, so requests go to {host_of(base.url)} ({owner.name}), but the "
            f"key is for {host_of(region.root)} ({region.name}).",
            "unauthorized",
            base.programs,
            f"A key is good in its own region only, and {base.variable} {state}.",
            f"Set {base.variable} to {_good(region.root, base.flavor)}.",
        )


def _good(root: str, flavor: ApiFlavor) -> str:
    """What a variable for the address of one wire should hold."""
    return shown(f"{root}/anthropic" if flavor is _ANTHROPIC else f"{root}/v1")


def overridden(
    environ: Mapping[str, str], region: Region | None, provider: str | None = None
) -> Conflict | None:
    """LiteLLM takes one of two variables; the other one, which leads to MiniMax, is lost."""
    for owner, winner, loser in (
        ("anthropic", "ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
        ("openai", "OPENAI_BASE_URL", "OPENAI_API_BASE"),
    ):
        if provider not in (None, owner):
            continue
        wins, loses = environ.get(winner, ""), environ.get(loser, "")
        if not wins or not loses or wins == loses or not is_minimax(loses, region):
            continue
        flavor = _ANTHROPIC if owner == "anthropic" else _OPENAI
        there, here = (
            litellm_messages(value, environ) if owner == "anthropic" else chat_url(value)
            for value in (wins, loses)
        )
        taken = Base(winner, wins, there, flavor, LITELLM)
        # both lead to MiniMax, and the one that wins is right: nothing is lost
        if is_minimax(wins, region) and not [*base_problems(taken, region)]:
            continue
        return Conflict(
            (winner, loser),
            f"{winner} beats {loser} in LiteLLM and Aider, so that they ask for {shown(there)} "
            f"instead of {shown(here)}.",
            "base_url_conflict",
            LITELLM,
            *(() if owner == "anthropic" else _OPENAI_WINS),
        )
    return None


def _owner(url: str, region: Region | None) -> Region | None:
    """The region of MiniMax, or the configured server, that an address leads to; None: another one."""
    known = [resolve_region(name) for name in NAMED_REGIONS]
    # the given one first: it may be a server that is none of MiniMax's
    return next((one for one in [region, *known] if one is not None and one.trusts(url)), None)


def is_minimax(url: str, region: Region | None) -> bool:
    """Whether an address is one of MiniMax's, or of the configured server."""
    return _owner(url, region) is not None


def host_of(url: str) -> str:
    """Its host and port, for people."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or short(url, 60)
    except ValueError:
        return short(url, 60)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def shown(url: str) -> str:
    """An address for people: without a user and a query, which may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return short(url, 60)
    return short(urlunsplit((parts.scheme, host_of(url), parts.path, "", "")), 120)
