"""HTTP of the account side: the OAuth endpoints, their old addresses, the consent page.

Routes that take a bearer are in `app`, where bearers are checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from urllib.parse import parse_qsl

from aiohttp import web

from minimax_magic.simulator import consent
from minimax_magic.simulator.account import CONSENT_PATH, Account
from minimax_magic.simulator.account_checks import client_name
from minimax_magic.simulator.account_values import DeviceCode, Form
from minimax_magic.simulator.behaviours import Drop, Raw
from minimax_magic.simulator.exchange import Exchange

FORM_TYPE = "application/x-www-form-urlencoded"
CODE_PATH = "/oauth2/device/code"
GRANT_PATH = "/oauth2/token"
# MiniMax's old addresses, and where they lead
MOVED = {"/oauth/code": CODE_PATH, "/oauth/token": GRANT_PATH}
TOO_LATE = {
    "approved": "This code was approved already.",
    "denied": "This code was denied already.",
    "used": "This code was used already.",
    "expired": "This code has expired. Start a new login in the notebook.",
}

Route = Callable[[Account, Exchange], Awaitable[web.StreamResponse]]


async def answer_account(account: Account, exchange: Exchange) -> web.StreamResponse | None:
    """The answer if it is one of these routes, else None."""
    request = exchange.request
    route = ROUTES.get((request.method, request.path))
    if route is None:
        return None
    return dated(account, await route(account, exchange))


def dated(account: Account, response: web.StreamResponse) -> web.StreamResponse:
    """Give it the time that the account's server believes in."""
    response.headers["Date"] = formatdate(account.server_now, usegmt=True)
    return response


async def _form(exchange: Exchange) -> Form:
    raw = await exchange.request.read()
    is_form = exchange.request.content_type == FORM_TYPE
    form = Form(parse_qsl(raw.decode("utf-8", "replace")) if is_form else ())
    exchange.record.body = form
    return form


async def _code(account: Account, exchange: Exchange) -> web.StreamResponse:
    form = await _form(exchange)
    return exchange.raw(account.device_code(form, exchange.origin))


async def _token(account: Account, exchange: Exchange) -> web.StreamResponse:
    form = await _form(exchange)
    granted = account.token(form, exchange.origin)
    if granted.delay_s > 0:
        await asyncio.sleep(granted.delay_s)
    if granted.lost:
        return await exchange.break_off(Drop())
    return exchange.raw(granted.answer)


async def _moved(account: Account, exchange: Exchange) -> web.StreamResponse:
    target = MOVED[exchange.request.path]
    if not account.redirect:
        serve = _code if target == CODE_PATH else _token
        return await serve(account, exchange)
    await _form(exchange)
    origin = account.redirect_to or exchange.origin
    location = origin.rstrip("/") + target
    return exchange.raw(Raw(307, "text/html", headers=(("Location", location),)))


async def _show_consent(account: Account, exchange: Exchange) -> web.StreamResponse:
    typed = exchange.request.query.get("user_code", "")
    if not typed.strip():
        return _html(exchange, 200, consent.ask_for_code())
    code = account.find(typed)
    if code is None or account.standing(code) != "pending":
        return _too_late(account, exchange, code)
    page = consent.ask_for_consent(code, client_name(code.client_id))
    return _html(exchange, 200, page)


async def _take_consent(account: Account, exchange: Exchange) -> web.StreamResponse:
    form = await _form(exchange)
    decision = form.get("decision")
    code = account.find(form.get("user_code", ""))
    if code is None:
        return _too_late(account, exchange, code)
    if decision not in ("approve", "deny"):
        return _html(exchange, 400, consent.result("Neither approved nor denied."))
    try:
        done = account.decide(code, form.get("nonce", ""), decision == "approve")
    except LookupError:
        return _too_late(account, exchange, code)
    if not done:
        text = "That did not come from this page. Open the address again."
        return _html(exchange, 403, consent.result(text))
    said = "Denied." if decision == "deny" else "Approved: you can go back to the notebook."
    return _html(exchange, 200, consent.result(said))


def _too_late(account: Account, exchange: Exchange, code: DeviceCode | None) -> web.Response:
    if code is None:
        return _html(exchange, 404, consent.result("This code is not known."))
    return _html(exchange, 410, consent.result(TOO_LATE[account.standing(code)]))


def _html(exchange: Exchange, status: int, page: str) -> web.Response:
    headers = (("Content-Security-Policy", consent.POLICY), ("Cache-Control", "no-store"))
    return exchange.raw(Raw(status, consent.CONTENT_TYPE, page, headers))


ROUTES: dict[tuple[str, str], Route] = {
    ("POST", CODE_PATH): _code,
    ("POST", GRANT_PATH): _token,
    **{("POST", path): _moved for path in MOVED},
    ("GET", CONSENT_PATH): _show_consent,
    ("POST", CONSENT_PATH): _take_consent,
}
