"""Whether the server takes the key, without spending anything, and what the account has left."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from minimax_magic.assembly import USER_AGENT, billing_of
from minimax_magic.auth.probe import Answered, probe
from minimax_magic.auth.regions import NAMED_REGIONS, resolve_region
from minimax_magic.auth.sources import Login
from minimax_magic.clock import utc
from minimax_magic.doctor.checks import Case, Facts, Found, by_error, first, listed
from minimax_magic.errors import (
    APITimeoutError,
    CredentialInvalid,
    MinimaxError,
    ProtocolError,
    QuotaExceeded,
)
from minimax_magic.masked import MaskedStr
from minimax_magic.messages import ApiFlavor
from minimax_magic.usage.account import AccountReader
from minimax_magic.wire.address import Endpoint, resolve_endpoint
from minimax_magic.wire.balance import Balance
from minimax_magic.wire.http import bearer_headers
from minimax_magic.wire.remains import Quota, QuotaWindow
from minimax_magic.words import duration

# Below this the next hour may bring the end of it.
_LOW_PERCENT: Final = 10.0
# To renew a login is tried several times, each with a long silence: nobody waits for all of that here.
_RENEWAL_S: Final = 20.0


def other_regions(root: str) -> tuple[str, ...]:
    """API roots of MiniMax's other regions; none for a server that is not MiniMax's own."""
    here = resolve_region(root)
    if not here.domains:
        return ()
    return tuple(
        other for other in NAMED_REGIONS.values() if resolve_region(other).name != here.name
    )


# ---------------------------------------------------------------------------- authentication


async def authentication(case: Case) -> Found:
    """A message for no model: the server looks at the key before it misses the model."""
    bearer = await _bearer(case)
    url, answered = await _ask(case, case.target, bearer)
    renewed = False
    if answered.outcome == "refused" and await case.auth.force_refresh(bearer):
        renewed = True
        bearer = await _bearer(case)
        url, answered = await _ask(case, case.target, bearer)
    facts: Facts = (("Asked", f"POST {url}, for no model: nothing is spent"),)
    if renewed:
        facts = (*facts, ("Renewed", "the first token was refused, and was renewed once"))
    what = "login" if isinstance(case.in_use, Login) else "key"
    error = answered.error
    case.taken = answered.key_is_good
    if answered.outcome == "taken":
        again = ", after it was renewed" if renewed else ""
        return Found("ok", f"The server takes the {what}{again}.", facts)
    assert error is not None  # all other answers stand for one
    match answered.outcome:
        case "empty":
            case.empty = error
            said = f"The server takes the {what}, but nothing is left: see Account."
            return Found("note", said, facts)
        case "refused":
            return await _refused(case, bearer, error, facts)
        case "no_route":
            return _no_route(case, url, answered.status, error, facts)
        case "unclear":
            # where the model is asked next, that tells whether all works
            found = by_error(error, "warning" if case.spend else "failed", facts)
            return replace(found, said=f"The server does not tell now: {found.said}")
        case _:
            found = by_error(error, facts=facts)
            if isinstance(error, ProtocolError) and answered.status == 403:
                cause = (
                    "A firewall, a filter or the server's own protection refuses this machine or "
                    "network, whatever the key is."
                )
                step = "Try again without VPN, or from another network."
                found = replace(found, trouble=first("no_answer", cause, step))
            return found


def _no_route(case: Case, url: str, status: int, error: MinimaxError, facts: Facts) -> Found:
    said = f"There is no such route: POST {url} is answered with {status}."
    if len(case.target.candidates) > 1:
        facts = (*facts, ("Tried", ", ".join(case.target.candidates)))
    if resolve_region(case.target.root).domains:
        return Found("failed", said, facts, "not_found", type(error).__name__)
    cause = f"{case.host} is none of MiniMax's own servers, and has no route of MiniMax's there."
    step = "Set base_url to the address that whoever runs this server gives for it."
    return Found("failed", said, facts, first("not_found", cause, step), type(error).__name__)


async def _bearer(case: Case) -> str:
    try:
        async with asyncio.timeout(_RENEWAL_S):
            bearer = MaskedStr(await case.auth.fresh_bearer())
    except TimeoutError:
        raise APITimeoutError(
            f"The login's token could not be renewed: the account's server sent nothing for "
            f"{_RENEWAL_S:g} s."
        ) from None
    case.secrets_in_use.add(str(bearer))
    return bearer


async def _ask(case: Case, to: Endpoint, bearer: str) -> tuple[str, Answered]:
    """The first address that has a route, and what it said; the first address if none has one."""
    headers = bearer_headers(
        bearer, to.flavor, stream=False, group_id=case.configured.group_id, user_agent=USER_AGENT
    )
    missing: Answered | None = None
    for url in to.candidates:
        answered = await probe(url, headers, bearer, case.transport, case.clock.time())
        if answered.outcome != "no_route":
            return url, answered
        missing = missing or answered
    assert missing is not None  # an endpoint has an address
    return to.candidates[0], missing


async def _refused(case: Case, bearer: str, error: MinimaxError, facts: Facts) -> Found:
    """Why a key is refused, as far as that can be found out without spending."""
    name = type(error).__name__
    if isinstance(case.in_use, Login):
        # a login knows its region, and its tokens go to no other
        return Found("failed", error.message, facts, "unauthorized", name)
    if url := await _other_wire_takes(case, bearer):
        said = f"{error.message} Another route of this server takes the key: {url}."
        return Found("failed", said, facts, first("unauthorized", *_other_wire(case)), name)
    for root in case.other_roots(case.target.root):
        taken = await _takes_quota(case, root)
        if taken:
            facts = (*facts, ("Other region", f"{root} was asked for the quota only: takes it"))
            said = (
                f"{error.message} The key is of another region: {root} takes it (only the plan's "
                "quota was read there)."
            )
            cause = f"The key belongs to {root}, and base_url names {case.target.root}."
            step = (
                f"Set base_url to {root}, in config/llm.yaml or as the variable MINIMAX_BASE_URL: that "
                "region takes this key."
            )
            return Found("failed", said, facts, first("unauthorized", cause, step), name)
        tried = (
            f"{root} could not be asked"
            if taken is None
            else f"{root}, asked for the quota only: not taken there either, but a pay-as-you-go key "
            "never is for that"
        )
        facts = (*facts, ("Other region", tried))
    return Found("failed", error.message, facts, "unauthorized", name)


async def _other_wire_takes(case: Case, bearer: str) -> str:
    """The address of the wire that is not used, if it takes the key; else empty."""
    ours = case.target.flavor
    other = next(flavor for flavor in ApiFlavor if flavor is not ours)
    try:
        url, answered = await _ask(case, resolve_endpoint(case.target.root, other), bearer)
    except MinimaxError:
        return ""  # it was only tried in case it tells more
    return url if answered.key_is_good else ""


def _other_wire(case: Case) -> tuple[str, str]:
    """Why a key is taken on the wire alone that is not used, and how to use that."""
    root = case.target.root
    if case.target.flavor is ApiFlavor.ANTHROPIC_MESSAGES:
        return (
            "The key is a pay-as-you-go key that this server refuses on /anthropic.",
            f"Set base_url to {root} and leave api_flavor out: then OpenAI's wire is used.",
        )
    return (
        "The key is one that this server takes on /anthropic only.",
        f"Set base_url to {root}/anthropic: then Anthropic's wire is used.",
    )


async def _takes_quota(case: Case, root: str) -> bool | None:
    """Whether another region takes the key for a question about the quota: nothing else is asked. None:
    it did not tell."""
    reader = AccountReader(root, case.auth, case.transport, case.clock, USER_AGENT, "plan")
    try:
        await reader.quota()
    except CredentialInvalid:
        return False
    except QuotaExceeded:
        return True  # it knows whose key it is
    except MinimaxError:
        return None
    return True


# ---------------------------------------------------------------------------- account


async def account(case: Case) -> Found:
    """What is left: of the plan, or of the money."""
    reader = AccountReader(
        case.target.root,
        case.auth,
        case.transport,
        case.clock,
        USER_AGENT,
        billing_of(case.in_use),
    )
    state = await reader.read()
    if state.quota is not None:
        found = _of_quota(state.quota, case.clock.time())
    elif state.balance is not None:
        found = _of_balance(state.balance)
    else:
        found = Found("note", f"Not known: {state.problem}")
    if case.empty is not None and found.state != "failed":
        return by_error(case.empty, facts=found.facts)  # figures lag behind
    return found


def _of_quota(quota: Quota, now: float) -> Found:
    facts: Facts = tuple((window.name, _left_of(window, now)) for window in quota.windows)
    if quota.plan:
        facts = (("Plan", quota.plan), *facts)
    if quota.credits is not None:
        facts = (*facts, ("Credits", f"{quota.credits:,}"))
    drawn = [
        window for window in quota.windows if window.bar and window.remaining_percent is not None
    ]
    if not drawn:
        return Found("note", "The server names no limit of the plan.", facts)
    lowest = min(drawn, key=lambda window: window.remaining_percent or 0.0)
    left = lowest.remaining_percent or 0.0
    if left <= 0:
        said = f"The plan's {_named(lowest)} is used up; {_resets(lowest, now)}."
        bought = quota.credits is not None and quota.credits > 0
        if bought:
            said = f"{said} Credits are used until then."
        return Found(
            "warning" if bought else "failed", said, facts, "quota_exceeded", "QuotaExceeded"
        )
    said = listed([f"{window.remaining_percent:.0f} % of the {_named(window)}" for window in drawn])
    if left < _LOW_PERCENT:
        return Found("note", f"Only {said} left; {_resets(lowest, now)}.", facts)
    return Found("ok", f"{said} left.", facts)


def _named(window: QuotaWindow) -> str:
    """`5-hour window`, `week`."""
    if window.name in ("week", "window"):
        return window.name
    return f"{window.name.removesuffix('s').replace(' ', '-')} window"


def _left_of(window: QuotaWindow, now: float) -> str:
    if not window.limited:
        return "no limit"
    left = (
        "not told" if window.remaining_percent is None else f"{window.remaining_percent:.0f} % left"
    )
    return f"{left}, {_resets(window, now)}"


def _resets(window: QuotaWindow, now: float) -> str:
    if window.resets_at is None:
        return "when it resets is not told"
    until = window.resets_at.timestamp() - now
    at = f"it resets at {utc(window.resets_at.timestamp()):%Y-%m-%d %H:%M} UTC"
    return f"{at}, in {duration(until)}" if until > 0 else at


def _of_balance(balance: Balance) -> Found:
    amounts = (
        ("Balance", balance.available),
        ("Cash", balance.cash),
        ("Vouchers", balance.voucher),
        ("Owed", balance.owed),
    )
    currency = balance.currency
    facts = tuple((name, f"{much:,.2f} {currency}") for name, much in amounts if much is not None)
    said = f"{balance.available:,.2f} {currency}"
    if balance.available <= 0:
        said = f"The balance is {said}: nothing is answered until it is topped up."
        return Found("failed", said, facts, "forbidden", "InsufficientBalance")
    return Found("ok", f"{said} left.", facts)
