"""What is configured: files, credential, region, address, and the login's file. Nothing is sent."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from minimax_magic.assembly import endpoint_for
from minimax_magic.auth.regions import resolve_region
from minimax_magic.auth.sources import (
    KEY_FILE,
    Candidate,
    Credential,
    Login,
    LoginElsewhere,
    bundle_files,
    masked,
)
from minimax_magic.clock import utc
from minimax_magic.config import Settings
from minimax_magic.doctor.checks import Case, Facts, Found, by_error, listed
from minimax_magic.doctor.findings import State
from minimax_magic.doctor.remedies import Trouble, trouble
from minimax_magic.errors import ConfigError, CredentialsMissing
from minimax_magic.messages import ApiFlavor
from minimax_magic.wire.http import short
from minimax_magic.words import duration, plural

_SOURCES: Final = ("model", "base_url", "api_flavor", "group_id", "cache")

# Not the API, though it looks like it: what people paste from their browser.
_PAGES: Final = ("platform.", "www.", "account.", "docs.")
# Answer no more, or not for long; the ones to use instead are in the table's steps.
_OLD_DOMAINS: Final = ("minimax.chat", "minimaxi.chat")
OTHERS: Final = ("api.anthropic.com", "api.openai.com")
"""Servers that surely are not MiniMax, and get no key."""
_ELSEWHERE: Final = replace(
    trouble("config_invalid"),
    causes=("base_url names the server of another company.",),
    steps=("Set base_url to https://api.minimax.io, or to the server of your own that you mean.",),
)
_PASTED: Final = replace(
    trouble("key_unusable"),
    causes=(
        "What an example has in place of a key (your_minimax_api_key_here), or what masks one, was "
        "pasted as it is.",
    ),
)

# What stands where a key belongs, in examples and in what masks keys: it was pasted as it is.
_PLACEHOLDER: Final = re.compile(
    r"""(sk-)? (cp-|api-)? (
        \*+ | \.{2,} | x{3,} | <.*> | \[.*\] | \{+.*\}+ | \$\w+ | \$\{\w+\} | %\w+%
        | .*(your|my|insert|paste|replace)[-_](.*[-_])?(key|token)([-_]here)?
        | (api[-_]?)?key([-_]here)?
    )""",
    re.VERBOSE | re.IGNORECASE,
)


async def config(case: Case) -> Found:
    """Which files were read, and what they say."""
    settings = case.settings = case.world.settings()
    if settings.group_id:
        case.secrets.add(settings.group_id)
    files = _files(settings)
    changed = [name for name in _SOURCES if settings.sources[name].startswith("environment")]
    facts: Facts = (
        ("Files read", ", ".join(files) or "none"),
        ("Model", f"{settings.model} ({settings.sources['model']})"),
        ("Agents", ", ".join(settings.agents) or "none"),
    )
    if changed:
        names = ", ".join(settings.sources[name].split(" ", 1)[1] for name in changed)
        facts = (*facts, ("Variables over files", names))
    if settings.cache in ("replay", "record", "refresh"):
        facts = (*facts, ("Cache", f"{settings.cache} ({settings.sources['cache']})"))
    said = f"Read {listed(files)}." if files else "No configuration file; defaults are used."
    count = len(settings.agents)
    agents = f" {count} {plural(count, 'agent')}." if count else ""
    return Found("ok", f"{said} The model is {settings.model}.{agents}", facts)


def _files(settings: Settings) -> list[str]:
    found = []
    if (settings.config_dir / "llm.yaml").exists():
        found.append(f"{settings.config_label}/llm.yaml")
    agents = {agent.place.rpartition(" line ")[0] for agent in settings.agents.values()}
    return [*found, *sorted(agents)]


async def credential(case: Case) -> Found:
    """Every place that is searched, and which one wins."""
    settings = case.configured
    places = case.world.places(settings, case.clock.time())
    facts = tuple((place.source, _state_of(place, case)) for place in places)
    try:
        found = case.credential = case.world.credential(settings)
    except CredentialsMissing as error:
        return Found("failed", error.message, facts, "key_missing", type(error).__name__)
    except LoginElsewhere as error:
        return Found("failed", error.message, facts, "config_invalid", type(error).__name__)
    except ConfigError as error:
        files = {file.label for file in bundle_files(settings)}
        broken = next((place.source for place in places if place.problem), "")
        if broken in files and "is damaged" in error.message:
            return Found("failed", error.message, facts, "bundle_damaged", type(error).__name__)
        return by_error(error, facts=facts)
    if isinstance(found, Credential) and _PLACEHOLDER.fullmatch(found.secret.get_secret_value()):
        said = f"What {found.source} holds is a placeholder and no key."
        return Found("failed", said, facts, _PASTED)
    case.secrets_in_use.update(_secrets_of(found))
    if isinstance(found, Login):
        said = f"A Token Plan login from {found.source} is used."
    else:
        prefix = masked(found.secret).removesuffix("...")  # empty for a key of unknown kind
        shown = f"The key {prefix}... from" if prefix else "The key from"
        said = f"{shown} {found.source} is used."
    others = [place.source for place in places if place.found and not place.used]
    if others:
        return Found("ok", f"{said} {_passed_over(others)}", facts)
    return Found("ok", said, facts)


def _state_of(place: Candidate, case: Case) -> str:
    if place.problem:
        return f"cannot be used: {short(place.problem)}"
    if place.used:
        return f"used: {place.shown}"
    if place.found:
        return f"there, but not used: {place.shown}"
    return (
        "set, but empty" if place.source.removeprefix("environment ") in case.environ else "nothing"
    )


def _passed_over(sources: list[str]) -> str:
    if len(sources) == 1:
        return f"There is another in {sources[0]}, which is not used."
    return f"There are {len(sources)} others, which are not used."


def _secrets_of(found: Credential | Login) -> set[str]:
    if isinstance(found, Credential):
        return {found.secret.get_secret_value()}
    tokens = (found.bundle.access_token, found.bundle.refresh_token)
    return {token.get_secret_value() for token in tokens if token is not None}


async def region(case: Case) -> Found:
    """Whose server it is, and what kind of key."""
    found = case.in_use
    try:
        name, own = _region_of(case)
    except ConfigError:
        return Found("skipped", "Not known: base_url is no address to be used, see Endpoint.")
    kind, hint = _kind_of(found)
    facts: Facts = (("Region", name), ("Kind", kind), ("Told from", hint))
    where = f"the {name} region" if own else f"{name}, which is none of MiniMax's own servers"
    if case.world.simulator is not None:
        where = "the simulator"
    return Found("ok", f"{kind[0].upper()}{kind[1:]}, for {where}.", facts)


def _region_of(case: Case) -> tuple[str, bool]:
    found = case.credential
    root = endpoint_for(case.configured, found).root
    where = resolve_region(found.region.root if isinstance(found, Login) else root)
    return where.name, bool(where.domains)


def _kind_of(found: Credential | Login) -> tuple[str, str]:
    if isinstance(found, Login):
        return "Token Plan login", "the bundle"
    hint = "the key's beginning, which is only a hint"
    match masked(found.secret):
        case "sk-cp-...":
            return "Token Plan key", hint
        case "sk-api-...":
            return "pay-as-you-go key", hint
    if found.secret.get_secret_value().startswith("eyJ"):
        return "key of the older form (either kind)", hint
    return "key of unknown kind", f"{hint}: this one says nothing"


async def endpoint(case: Case) -> Found:
    """The address that requests go to, and how it comes from base_url."""
    settings, found = case.configured, case.credential
    to = case.endpoint = endpoint_for(settings, found)
    base_url = found.base_url if isinstance(found, Login) else settings.base_url
    by_login = isinstance(found, Login) and found.base_url != settings.base_url
    source = "the login" if by_login else settings.sources["base_url"]
    chosen = settings.sources["api_flavor"]
    facts: Facts = (
        ("Base URL", f"{short(base_url, 120)} ({source})"),
        ("Flavour", f"{to.flavor} ({chosen if settings.api_flavor else 'told from base_url'})"),
        ("URL", to.candidates[0]),
    )
    if later := to.candidates[1:]:
        facts = (*facts, ("If that is missing", ", ".join(later)))
    said = f"{to.candidates[0]} over {to.flavor}."
    trap = _trap(base_url, to.root, to.flavor)
    if trap is None:
        return Found("ok", said, facts)
    state, why, named = trap
    return Found(state, f"{said} {why}", facts, named)


def _trap(
    base_url: str, root: str, flavor: ApiFlavor
) -> tuple[State, str, Trouble | str | None] | None:
    """A base URL that people are known to set by mistake: state, what is said, and the trouble."""
    parts = urlsplit(base_url if "://" in base_url else f"//{base_url}")
    host, path = (parts.hostname or "").lower(), parts.path.rstrip("/")
    if host in OTHERS:
        return "failed", f"{host} is not MiniMax: no key is sent there.", _ELSEWHERE
    own = bool(resolve_region(root).domains)
    if own and host.startswith(_PAGES):
        return "warning", f"{host} is a web page and not the API.", "not_found"
    left = urlsplit(root).path
    if own and left:
        return "warning", f"MiniMax has nothing below {short(left, 60)}.", "not_found"
    if host.endswith(_OLD_DOMAINS):
        return (
            "note",
            f"{host} is an old address; https://api.minimax.io is the one of today.",
            None,
        )
    if own and path.endswith(("/messages", "/completions", "/chatcompletion_v2")):
        return "note", "base_url is a whole endpoint: it is used as it is.", None
    if flavor is ApiFlavor.OPENAI_COMPAT and "anthropic" in path.split("/"):
        return "note", "api_flavor is OpenAI's, so the /anthropic in base_url is left out.", None
    return None


async def bundle(case: Case) -> Found:
    """The file of the login or the key: what state it is in, and who may read it."""
    found = case.in_use
    if isinstance(found, Credential):
        return _key_file(case, found)
    bundle, now = found.bundle, case.clock.time()
    left = bundle.seconds_left(now)
    renewable = bundle.refresh_token is not None
    facts: Facts = (
        ("File", found.file.label),
        ("Region", bundle.region),
        ("Token", f"valid for {duration(left)}" if left > 0 else "expired"),
        ("Valid until", f"{utc(bundle.expires_at.timestamp()):%Y-%m-%d %H:%M} UTC"),
        ("Refresh token", "there" if renewable else "none"),
    )
    if bundle.resource_url:
        facts = (*facts, ("Server of the login", short(bundle.resource_url, 120)))
    if left <= 0 and not renewable:
        said = f"The token in {found.file.label} has expired and cannot be renewed."
        return Found("failed", said, facts, "unauthorized")
    open_to = _open_to(found.file.path, found.file.label)
    facts = (*facts, *_permissions(open_to))
    if open_to:
        return Found("warning", f"{open_to}.", facts, "bundle_permissions")
    if not renewable:
        said = f"The token is valid for {duration(left)} and cannot be renewed then."
        return Found("note", said, facts)
    if bundle.resource_url and not found.region.trusts(bundle.resource_url):
        said = "The login names a server that is not of its region: the region's own is used."
        return Found("note", said, facts)
    state = f"valid for {duration(left)}" if left > 0 else "expired and will be renewed now"
    return Found("ok", f"The token in {found.file.label} is {state}.", facts)


def _key_file(case: Case, found: Credential) -> Found:
    store = case.world.store(case.configured)
    if found.source != store.label_of(KEY_FILE):
        return Found("ok", "There is none to look at: the key is not kept in a file of secrets.")
    open_to = _open_to(store.folder / KEY_FILE, found.source)
    facts = (("File", found.source), *_permissions(open_to))
    if open_to:
        return Found("warning", f"{open_to}.", facts, "bundle_permissions")
    return Found("ok", f"{found.source} is not open to others.", facts)


def _permissions(open_to: str) -> Facts:
    if os.name != "posix":
        return ()
    return (("Permissions", open_to or "for you alone"),)


def _open_to(path: Path, label: str) -> str:
    """Who else may read a file, in words; empty: nobody, or this system has no such bits."""
    if os.name != "posix":
        return ""
    try:
        mode, folder = path.stat().st_mode, path.parent.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{label} cannot be read: {(error.strerror or '').lower()}.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return f"{label} may be read by others on this machine ({stat.S_IMODE(mode):04o})"
    # a folder of another name may be somebody's home folder, which is theirs to open
    if path.parent.name == "secrets" and folder & (stat.S_IRWXG | stat.S_IRWXO):
        name = label.rpartition("/")[0] or label
        return f"The folder {name} is open to others on this machine ({stat.S_IMODE(folder):04o})"
    return ""
