"""Whether the server takes the key, without spending anything, and what the account has left."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pydantic import SecretStr

from minimax_magic.assembly import USER_AGENT, billing_of
from minimax_magic.auth.key_check import check_key
from minimax_magic.auth.regions import NAMED_REGIONS, resolve_region
from minimax_magic.auth.sources import Login
from minimax_magic.clock import utc
from minimax_magic.doctor.checks import Case, Facts, Found, by_error, listed
from minimax_magic.doctor.probe import Answered, probe
from minimax_magic.doctor.remedies import Trouble, trouble
from minimax_magic.errors import CredentialInvalid, MinimaxError
from minimax_magic.masked import MaskedStr
from minimax_magic.messages import ApiFlavor
from minimax_magic.usage.account import AccountReader
from minimax_magic.wire.balance import Balance
from minimax_magic.wire.http import bearer_headers
from minimax_magic.wire.remains import Quota, QuotaWindow
from minimax_magic.words import duration

# Below this the next hour may bring the end of it.
_LOW_PERCENT: Final = 10.0


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
    url, answered = await _ask(case, bearer)
    renewed = False
    if answered.outcome == "refused" and await case.auth.force_refresh(bearer):
        renewed = True
        bearer = await _bearer(case)
        url, answered = await _ask(case, bearer)
    facts: Facts = (("Asked", f"POST {url}, for no model: nothing is spent"),)
    if renewed:
        facts = (*facts, ("Renewed", "the first token was refused, and was renewed once"))
    what = "login" if isinstance(case.used, Login) else "key"
    error = answered.error
    case.taken = answered.outcome == "taken"
    match answered.outcome:
        case "taken" if answered.status == 429:
            said = f"The server takes the {what}, but nothing is left: see Account."
            return Found("note", said, facts)
        case "taken":
            again = ", after it was renewed" if renewed else ""
            return Found("ok", f"The server takes the {what}{again}.", facts)
        case "refused":
            assert error is not None
            return await _refused(case, bearer, error, facts)
        case "no_route":
            assert error is not None
            said = f"There is no such route: POST {url} is answered with {answered.status}."
            if len(case.to.candidates) > 1:
                facts = (*facts, ("Tried", ", ".join(case.to.candidates)))
            return Found("failed", said, facts, "not_found", type(error).__name__)
        case "unclear":
            assert error is not None
            found = by_error(error, "warning", facts)
            return replace(found, said=f"The server does not tell now: {found.said}")
        case "failed":
            assert error is not None
            return by_error(error, facts=facts)


async def _bearer(case: Case) -> str:
    bearer = MaskedStr(await case.auth.fresh_bearer())
    case.secrets_in_use.add(str(bearer))
    return bearer


async def _ask(case: Case, bearer: str) -> tuple[str, Answered]:
    """The first address that has a route, and what it said; the first address if none has one."""
    headers = bearer_headers(
        bearer,
        case.to.flavor,
        stream=False,
        group_id=case.set.group_id,
        user_agent=USER_AGENT,
    )
    first: Answered | None = None
    for url in case.to.candidates:
        answered = await probe(url, headers, bearer, case.transport, case.clock.time())
        if answered.outcome != "no_route":
            return url, answered
        first = first or answered
    assert first is not None  # an endpoint has an address
    return case.url, first


async def _refused(case: Case, bearer: str, error: MinimaxError, facts: Facts) -> Found:
    """Why a key is refused, as far as that can be found out without spending."""
    named = trouble("unauthorized")
    name = type(error).__name__
    if isinstance(case.used, Login):
        # a login knows its region, and its tokens go to no other
        return Found("failed", error.message, facts, named, name)
    if await _taken_elsewhere_here(case, bearer):
        other, cause, step = _other_wire(case)
        said = f"{error.message} Another route of this server takes the key ({other})."
        return Found("failed", said, facts, _first(named, cause, step), name)
    asked: list[str] = []
    for root in case.other_roots(case.to.root):
        asked.append(root)
        if await _takes_quota(case, root):
            facts = (*facts, ("Other region", f"{root} was asked for the quota only: takes it"))
            said = (
                f"{error.message} The key is of another region: {root} takes it (only the plan's "
                "quota was read there)."
            )
            cause = f"The key belongs to {root}, and base_url names {case.to.root}."
            step = (
                f"Set base_url to {root}, in config/llm.yaml or as the variable MINIMAX_BASE_URL: that "
                "region takes this key."
            )
            return Found("failed", said, facts, _first(named, cause, step), name)
    if asked:
        tried = (
            f"{listed(asked)}, asked for the quota only: not taken there either, but a pay-as-you-go "
            "key never is for that"
        )
        facts = (*facts, ("Other region", tried))
    return Found("failed", error.message, facts, named, name)


def _first(named: Trouble, cause: str, step: str) -> Trouble:
    """A trouble whose cause is known: that comes before the others."""
    return replace(named, causes=(cause, *named.causes), steps=(step, *named.steps))


async def _taken_elsewhere_here(case: Case, bearer: str) -> bool:
    """Whether another route of the same server takes the key."""
    try:
        key = SecretStr(str(bearer))
        now = case.clock.time()
        return await check_key(key, case.to.root, case.transport, USER_AGENT, now)
    except MinimaxError:
        return False


def _other_wire(case: Case) -> tuple[str, str, str]:
    """The wire that is not used: its name, why that is the cause, and how to use it."""
    root = case.to.root
    if case.to.flavor is ApiFlavor.ANTHROPIC_MESSAGES:
        return (
            str(ApiFlavor.OPENAI_COMPAT),
            "The key is a pay-as-you-go key that this server refuses on /anthropic.",
            f"Set base_url to {root} and leave api_flavor out: then OpenAI's wire is used.",
        )
    return (
        str(ApiFlavor.ANTHROPIC_MESSAGES),
        "The key is one that this server takes on /anthropic only.",
        f"Set base_url to {root}/anthropic: then Anthropic's wire is used.",
    )


async def _takes_quota(case: Case, root: str) -> bool:
    """Whether another region takes the key for a question about the quota: nothing else is asked."""
    auth = case.auth
    reader = AccountReader(root, auth, case.transport, case.clock, USER_AGENT, "plan")
    try:
        await reader.quota()
    except CredentialInvalid:
        return False
    except MinimaxError:
        return False  # it cannot be reached from here, which says nothing
    return True


# ---------------------------------------------------------------------------- account


async def account(case: Case) -> Found:
    """What is left: of the plan, or of the money."""
    reader = AccountReader(
        case.to.root,
        case.auth,
        case.transport,
        case.clock,
        USER_AGENT,
        billing_of(case.used),
    )
    state = await reader.read()
    if state.quota is not None:
        return _of_quota(state.quota, case.clock.time())
    if state.balance is not None:
        return _of_balance(state.balance)
    return Found("note", f"Not known: {state.problem}")


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
