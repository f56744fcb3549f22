"""What other programs would make of the same environment, and what is installed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from minimax_magic.assembly import USER_AGENT
from minimax_magic.auth.probe import Answered, probe
from minimax_magic.auth.regions import resolve_region
from minimax_magic.auth.sources import masked
from minimax_magic.doctor.checks import Case, Facts, Found, by_error, listed
from minimax_magic.doctor.checks_setup import OTHERS
from minimax_magic.doctor.findings import State
from minimax_magic.doctor.remedies import Trouble, trouble
from minimax_magic.errors import ConfigError, MinimaxError
from minimax_magic.masked import MaskedStr
from minimax_magic.programs.addresses import host_of, is_minimax, shown
from minimax_magic.programs.program_keys import as_aider
from minimax_magic.programs.routing import Conflict, Route, conflicts, route
from minimax_magic.wire.address import DEFAULT_BASE_URL, is_loopback
from minimax_magic.wire.http import short
from minimax_magic.yaml_file import parse_yaml

_AIDER_FILE: Final = ".aider.conf.yml"
# Values of variables that may be a key, and not a word like `true`.
_LEAST_KEY: Final = 8


async def environment(case: Case) -> Sequence[Found]:
    """Variables of which one defeats another, for programs that also use this key."""
    _keep_secrets(case)
    found = conflicts(case.environ, root=case.root() or DEFAULT_BASE_URL)
    if not found:
        return [Found("ok", "No variables that conflict.")]
    # what the program in question stumbles over is told there
    told = [_id(problem) for problem in _way(case).problems] if case.program else []
    if here := [conflict for conflict in found if _id(conflict) not in told]:
        return [
            Found(
                "warning",
                conflict.said,
                (
                    ("Variables", ", ".join(conflict.variables)),
                    ("Programs", ", ".join(conflict.programs)),
                ),
                _mended(conflict),
            )
            for conflict in here
        ]
    names = listed(list(dict.fromkeys(name for conflict in found for name in conflict.variables)))
    return [Found("note", f"{names} cannot stay so: see Program.")]


def _id(conflict: Conflict) -> tuple[Sequence[str], str]:
    return conflict.variables, conflict.trouble


def _mended(conflict: Conflict, *others: Conflict) -> Trouble:
    """The table's entry; where the cause is known, with nothing else. Others are mended after it."""
    named = trouble(conflict.trouble)
    if conflict.cause:
        named = replace(named, causes=(conflict.cause,))
    if conflict.step:
        lines = f"Or ask `%minimax env {conflict.programs[0]}` for all the lines that it needs."
        named = replace(named, steps=(conflict.step, lines))
    # what the first is about is mended by then
    later = [other.step for other in others if not {*other.variables} & {*conflict.variables}]
    return replace(named, steps=(*named.steps, *filter(None, later)))


def _keep_secrets(case: Case) -> None:
    """Values of other programs' keys never stand in a finding, whatever a sentence is made of."""
    for name, value in as_aider(case.environ).items():
        if name.upper().endswith(("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")):
            case.secrets.update({value.strip()} if len(value.strip()) >= _LEAST_KEY else ())
        elif "_BASE" in name:
            with suppress(ValueError):  # no address
                parts = urlsplit(value)
                queried = [value for _, value in parse_qsl(parts.query) if len(value) >= _LEAST_KEY]
                case.secrets.update(filter(None, (parts.password, *queried)))


# ---------------------------------------------------------------------------- one program


async def program(case: Case) -> Found:
    """Where one program would send its requests, with what, and what would be answered there."""
    assert case.program is not None  # else this is not asked
    _keep_secrets(case)
    way = _way(case)
    facts: Facts = (
        ("URL", shown(way.url) or "none"),
        ("Base URL from", way.base_from),
        ("Key from", way.key_from),
        ("Header", way.header),
        ("Model", way.model or "not named"),
    )
    if way.key:
        facts = (*facts, ("Key", masked(SecretStr(str(way.key)))))
    try:
        found = await _outcome(case, way)
    except MinimaxError as error:
        found = by_error(error)
    facts = (*facts, *found.facts)
    failed = found.state == "failed"
    if way.problems:
        first = way.problems[0]
        rest = tuple(("Also", problem.said) for problem in way.problems[1:])
        facts = (*facts, ("Answer", found.said), *rest)
        lead = _lead(case) if failed else ""
        state: State = "failed" if failed else "warning"
        return Found(state, f"{lead}{first.said}", facts, _mended(*way.problems), found.error)
    said = found.said
    if failed:
        said = f"{_lead(case)}{said}"
    elif found.state == "ok":
        said = f"{case.program} would ask {shown(way.url)} ({way.base_from}). {said}"
    return replace(found, said=said, facts=facts)


def _lead(case: Case) -> str:
    if case.works:
        return f"The test works, but {case.program} fails: "
    return f"The key is good, but {case.program} fails: " if case.taken else ""


def _way(case: Case) -> Route:
    """What the program would do."""
    assert case.program is not None
    model = None
    if case.program == "aider" and not as_aider(case.environ).get("AIDER_MODEL"):
        model = _model_of_aider(case.environ)
    return route(case.program, case.environ, model=model, root=case.root())


def _model_of_aider(environ: Mapping[str, str]) -> str | None:
    """The model that Aider's own file names: here, in the repository, or in the home folder."""
    with suppress(OSError):  # the folder is gone
        here = Path.cwd()
        repository = [path for path in (here, *here.parents) if (path / ".git").exists()][:1]
        home = environ.get("USERPROFILE" if os.name == "nt" else "HOME")
        for folder in (here, *repository, *([Path(home)] if home else [])):
            # a file that cannot be read is for Aider to complain of
            with suppress(OSError, ConfigError):
                file = folder / _AIDER_FILE
                read = parse_yaml(file.read_bytes(), _AIDER_FILE) if file.is_file() else None
                model = read.get("model") if read is not None else None
                if model is not None and isinstance(model.content, str) and model.content:
                    return str(model.content)
    return None


async def _outcome(case: Case, way: Route) -> Found:
    """What would be answered: `ok` where that is good."""
    if way.base_from.startswith("file "):
        said = (
            f"Where {case.program} sends requests stands in the {way.base_from}, which is not read."
        )
        return Found("note", said)
    if not way.url and not way.problems:
        said = f"Where {case.program} sends requests for {short(way.model, 60)} is not known here."
        return Found("note", said)
    if not way.url:
        return Found("failed", f"{case.program} would send nothing.")
    key = MaskedStr(way.key.strip())
    if not key:
        return Found("failed", f"{case.program} finds no key.", trouble="key_missing")
    if (unasked := _not_asked(case, way, key)) is not None:
        return unasked
    answered = await _ask(case, way, key)
    error = answered.error
    if answered.outcome == "taken":
        return Found("ok", "The server takes its key there.")
    assert error is not None
    name = type(error).__name__
    if answered.outcome == "no_route":
        said = f"There is nothing at {shown(way.url)} ({way.base_from}): it is answered with "
        return Found("failed", f"{said}{answered.status}.", trouble="not_found", error=name)
    if answered.outcome == "refused":
        return await _refused(case, way, key, error)
    return by_error(error)


def _not_asked(case: Case, way: Route, key: str) -> Found | None:
    """Why a key is not sent there to try it; None: it may be.

    It may be sent to this machine, to the configured server, and to MiniMax's own ones, unless it is
    known to be the configured server's, which is another one.
    """
    host, root = host_of(way.url), case.root()
    hostname = urlsplit(way.url).hostname or ""
    if is_loopback(hostname):
        return None
    if hostname not in OTHERS and root is not None and resolve_region(root).trusts(way.url):
        return None
    if not is_minimax(way.url, None):
        said = (
            f"It would ask {host} ({way.base_from}), which is not MiniMax; no key was sent there."
        )
        cause = f"The address is that of {host} ({way.base_from})."
        name = "aider_fails" if case.program == "aider" else "base_url_missing"
        return Found("failed", said, trouble=_led_here(case, name, cause))
    if key not in case.secrets_in_use:
        return None
    whose = host_of(root) if root is not None else "another server"
    said = f"{case.program} would send the key of {whose} to {host} ({way.base_from}): not tried."
    cause = f"The key is that of {whose}, and the address is that of {host} ({way.base_from})."
    return Found("warning", said, trouble=_led_here(case, "base_url_missing", cause))


def _led_here(case: Case, name: str, cause: str) -> Trouble:
    """A trouble of a program that asks another server than the one that is configured."""
    step = f"Run `%minimax env {case.program}`: its lines lead {case.program} to {{root}}."
    return replace(trouble(name), causes=(cause,), steps=(step,))


async def _refused(case: Case, way: Route, key: str, error: MinimaxError) -> Found:
    """A 401, with more of why, if that can be told."""
    named = trouble("unauthorized")
    why = ""
    if way.header == "x-api-key" and (
        (await _ask(case, replace(way, header="bearer"), key)).key_is_good
    ):
        why = (
            f" The key is good, but {case.program} sends it as x-api-key, and this server reads only "
            "Authorization: Bearer."
        )
        named = replace(named, causes=named.causes[-1:], steps=named.steps[-1:])
    elif key not in case.secrets_in_use:
        why = f" It is not the key that is used here, but that of {way.key_from}."
        look = f"Look at {way.key_from}: {case.program} sends what is in it."
        named = replace(named, steps=(look, *named.steps[1:]))
        if case.taken:
            cause = f"{way.key_from} holds another key than the one that is good here."
            named = replace(named, causes=(cause, *named.causes))
    return Found("failed", f"{error.message}{why}", (), named, type(error).__name__)


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
