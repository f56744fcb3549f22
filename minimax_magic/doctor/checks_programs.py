"""What other programs would make of the same environment, and what is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from minimax_magic.assembly import USER_AGENT
from minimax_magic.auth.regions import resolve_region
from minimax_magic.auth.sources import masked
from minimax_magic.doctor.checks import Case, Facts, Found, by_error, listed
from minimax_magic.doctor.findings import State
from minimax_magic.doctor.probe import Answered, probe
from minimax_magic.errors import ConfigError, MinimaxError
from minimax_magic.masked import MaskedStr
from minimax_magic.programs.routing import Route, conflicts, route
from minimax_magic.wire.address import DEFAULT_BASE_URL, is_loopback

_FROM_ENVIRONMENT: Final = "environment "
# Variables of Aider with several values, of which only it knows how it reads them.
_LISTS: Final = ("AIDER_API_KEY", "AIDER_SET_ENV")


async def environment(case: Case) -> Sequence[Found]:
    """Variables of which one defeats another, for programs that also use this key."""
    _keep_secrets(case)
    found = conflicts(case.environ, root=case.root() or DEFAULT_BASE_URL)
    if not found:
        return [Found("ok", "No variables that conflict.")]
    return [
        Found(
            "warning",
            conflict.said,
            (
                ("Variables", ", ".join(conflict.variables)),
                ("Programs", ", ".join(conflict.programs)),
            ),
            conflict.trouble,
        )
        for conflict in found
    ]


def _keep_secrets(case: Case) -> None:
    """Values of other programs' keys never stand in a finding, whatever a sentence is made of."""
    for name in case.environ:
        ours = name.startswith(("ANTHROPIC_", "LITELLM_", "LLM_", "MINIMAX_", "OPENAI_"))
        if ours and name.endswith(("_KEY", "_TOKEN")) and (value := case.environ[name].strip()):
            case.secrets.add(value)


# ---------------------------------------------------------------------------- one program


async def program(case: Case) -> Found:
    """Where one program would send its requests, with what, and what would be answered there."""
    assert case.program is not None  # else this is not asked
    _keep_secrets(case)
    way = route(case.program, case.environ, root=case.root())
    facts: Facts = (
        ("URL", way.url or "none"),
        ("Base URL from", way.base_from),
        ("Key from", way.key_from),
        ("Header", way.header),
        ("Model", way.model or "not named"),
    )
    key = _key_of(way, case.environ)
    if key is not None:
        facts = (*facts, ("Key", masked(key)))
    if not way.url and not way.problems:
        said = (
            f"Where {case.program} sends requests stands in the {way.base_from}, which is not read."
        )
        return Found("note", said, facts)
    said, name, error = await _outcome(case, way, key)
    works = not name
    if way.problems:
        first = way.problems[0]
        rest = tuple(("Also", problem.said) for problem in way.problems[1:])
        facts = (*facts, ("Answer", said), *rest)
        state: State = "warning" if works else "failed"
        return Found(state, f"{_lead(case, works)}{first.said}", facts, first.trouble, error)
    if works:
        return Found("ok", f"{case.program} would ask {way.url} ({way.base_from}). {said}", facts)
    return Found("failed", f"{_lead(case, works)}{said}", facts, name, error)


def _lead(case: Case, works: bool) -> str:
    return f"The test works, but {case.program} fails: " if case.taken and not works else ""


async def _outcome(case: Case, way: Route, key: SecretStr | None) -> tuple[str, str, str]:
    """What would be answered: in words, the trouble or nothing, the error's name or nothing."""
    if not way.url:
        return f"{case.program} would send nothing.", way.problems[0].trouble, ""
    if key is None and way.key_from.startswith(_FROM_ENVIRONMENT):
        return f"Not tried: its key stands among others in {way.key_from}.", "", ""
    if key is None:
        return f"{case.program} finds no key.", "key_missing", ""
    if not _may_be_asked(way.url):
        host = urlsplit(way.url).hostname or way.url
        said = (
            f"It would ask {host} ({way.base_from}), which is not MiniMax; no key was sent there."
        )
        return said, "aider_fails" if case.program == "aider" else "not_found", ""
    secret = MaskedStr(key.get_secret_value())
    try:
        answered = await _ask(case, way, secret)
    except MinimaxError as unasked:
        found = by_error(unasked)
        return found.said, str(found.trouble), found.error
    error = answered.error
    name = type(error).__name__ if error is not None else ""
    match answered.outcome:
        case "taken":
            return "The server takes its key there.", "", ""
        case "no_route":
            said = f"There is nothing at {way.url} ({way.base_from}): it is answered with "
            return f"{said}{answered.status}.", "not_found", name
        case "refused":
            assert error is not None
            why = await _refused(case, way, secret)
            return f"{error.message} {why}".strip(), "unauthorized", name
        case _:
            assert error is not None
            found = by_error(error)
            return found.said, str(found.trouble), name


async def _refused(case: Case, way: Route, secret: str) -> str:
    """More of why, if that can be told."""
    if way.header == "x-api-key":
        answered = await _ask(case, replace(way, header="bearer"), secret)
        if answered.outcome == "taken":
            return (
                f"The key is good, but {case.program} sends it as x-api-key, and this server reads "
                "only Authorization: Bearer."
            )
    if secret not in case.secrets_in_use:
        return f"It is not the key that is used here: look at {way.key_from}."
    return ""


async def _ask(case: Case, way: Route, secret: str) -> Answered:
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": USER_AGENT,
        "anthropic-version": "2023-06-01",
    }
    if way.header == "x-api-key":
        headers["X-Api-Key"] = secret
    elif way.header == "bearer":
        headers["Authorization"] = MaskedStr(f"Bearer {secret}")
    return await probe(way.url, headers, secret, case.transport, case.clock.time())


def _key_of(way: Route, environ: Mapping[str, str]) -> SecretStr | None:
    """The key that it would send; None if it finds none, or one in a list."""
    variable = way.key_from.removeprefix(_FROM_ENVIRONMENT)
    if variable == way.key_from or variable in _LISTS:
        return None
    value = environ.get(variable, "").strip()
    return SecretStr(value) if value else None


def _may_be_asked(url: str) -> bool:
    """Whether a key may be sent there to try it: to MiniMax's own servers and to this machine."""
    host = urlsplit(url).hostname or ""
    if is_loopback(host):
        return True
    try:
        region = resolve_region(url)
    except ConfigError:
        return False  # plain http, or no address at all
    return bool(region.domains) and region.trusts(url)


# ---------------------------------------------------------------------------- versions


async def versions(case: Case) -> Found:
    """What is installed, and whether that is new enough."""
    here = case.versions
    facts: Facts = (*here.packages, ("front end", here.front_end), ("system", here.system))
    if old := here.too_old():
        said = listed([f"{name} {version} (at least {least})" for name, version, least in old])
        return Found("warning", f"Too old: {said}.", facts, "versions")
    known = dict(here.packages)
    shown = [
        f"{name} {known[name]}" for name in ("minimax-magic", "python", "ipython") if name in known
    ]
    return Found("ok", f"{', '.join(shown)}; {here.front_end}.", facts)
