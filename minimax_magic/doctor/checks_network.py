"""The way to the server: its name, a connection, TLS, the proxy, and what time it is there."""

from __future__ import annotations

import ipaddress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from minimax_magic.assembly import USER_AGENT
from minimax_magic.auth.regions import resolve_region
from minimax_magic.auth.sources import Login
from minimax_magic.doctor.checks import AskOne, Case, Facts, Found, by_error, first, listed
from minimax_magic.doctor.findings import SIMULATED
from minimax_magic.doctor.network import TLSFailed
from minimax_magic.doctor.remedies import Trouble, trouble
from minimax_magic.errors import APIConnectionError, ConfigError, MinimaxError
from minimax_magic.wire.address import is_loopback
from minimax_magic.wire.http import HttpRequest
from minimax_magic.wire.remains import REMAINS_PATH
from minimax_magic.words import duration

_SOON_S: Final = 14 * 86400.0
# A header has whole seconds, and answers take some: less than this is no fault.
_SKEW_S: Final = 120.0
# Tokens of a login live for minutes: with this much they seem to have ended, or not to have begun.
_FAR_OFF_S: Final = 300.0
_SILENCE_S: Final = 10.0
_PROXY_VARIABLES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


def _where(case: Case) -> tuple[str, int, str]:
    """Host and port that a connection is opened to, and what they are called: the proxy's, if any."""
    proxy = case.proxy()
    if proxy is None:
        return case.host, case.port, case.host
    parts = urlsplit(proxy)
    host = parts.hostname or ""
    return host, parts.port or (443 if parts.scheme == "https" else 80), f"the proxy {host}"


def _past_a_bad_proxy(ask: AskOne) -> AskOne:
    """A proxy that cannot be used has a finding of its own, and this is not asked."""

    async def asked(case: Case) -> Found:
        try:
            case.proxy()
        except ConfigError:
            return Found("skipped", "Not asked: the proxy's setting cannot be used, see Proxy.")
        return await ask(case)

    return asked


@_past_a_bad_proxy
async def dns(case: Case) -> Found:
    """The addresses behind the name."""
    host, port, called = _where(case)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass  # a name
    else:
        return Found("ok", f"{called} is an address already: there is no name to resolve.")
    try:
        addresses = await case.network.resolve(host, port)
    except APIConnectionError as error:
        return _unreached(error, called, host)
    facts: Facts = (("Addresses", ", ".join(addresses)),)
    more = len(addresses) - 2
    shown = [*addresses[:2], *([f"{more} more"] if more > 0 else [])]
    said = f"{called[0].upper()}{called[1:]}" if called != host else host
    said = f"{said} is {listed(shown)}."
    if (
        called == host
        and resolve_region(case.target.root).domains
        and all(map(_is_inside, addresses))
    ):
        return Found("note", f"{said} That is inside your own network: a VPN, or a filter.", facts)
    return Found("ok", said, facts)


def _is_inside(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_private
    except ValueError:
        return False


@_past_a_bad_proxy
async def tcp(case: Case) -> Found:
    """Whether anybody listens."""
    host, port, called = _where(case)
    try:
        await case.network.connect(host, port)
    except APIConnectionError as error:
        return _unreached(error, called, host)
    return Found("ok", f"Port {port} of {called} accepts connections.")


def _unreached(error: APIConnectionError, called: str, host: str) -> Found:
    found = by_error(error)
    if called == host and is_loopback(host):
        cause = "No server runs at that port of this machine."
        step = (
            "Start it (`python -m minimax_magic gateway`, or `%minimax simulator`), or correct "
            "base_url ({base_url})."
        )
        named = first("unreachable", cause, step)
        return Found("failed", found.said, found.facts, named, found.error)
    if called == host:
        return Found("failed", found.said, found.facts, "unreachable", found.error)
    said = f"This is the proxy: {found.said}"
    return Found("failed", said, found.facts, "proxy", found.error)


@_past_a_bad_proxy
async def tls(case: Case) -> Found:
    """Whether the connection can be made a secure one, and who vouches for the server."""
    if urlsplit(case.target.root).scheme == "http":
        return Found("ok", "Not needed: plain http on this machine.")
    proxy = case.proxy()
    try:
        shown = await case.network.handshake(case.host, case.port, proxy)
    except TLSFailed as error:
        return _insecure(case, error)
    except APIConnectionError as error:
        found = by_error(error)
        named = _of_the_proxy(case, error) if proxy is not None else trouble("unreachable")
        return Found("failed", found.said, found.facts, named, found.error)
    facts: Facts = (("Signed by", shown.issuer), ("Protocol", shown.version))
    said = f"{shown.version}, certificate signed by {shown.issuer}"
    if shown.expires_at is None:
        return Found("ok", f"{said}.", facts)
    facts = (*facts, ("Valid until", f"{shown.expires_at:%Y-%m-%d}"))
    left = shown.expires_at.timestamp() - case.clock.time()
    if left < _SOON_S:
        return Found("note", f"{said}; it ends in {duration(left)}.", facts)
    return Found("ok", f"{said}, valid until {shown.expires_at:%Y-%m-%d}.", facts)


def _insecure(case: Case, error: TLSFailed) -> Found:
    """Why the connection could not be made a secure one."""
    facts: Facts = (("Signed by", error.issuer),) if error.issuer else ()
    file = case.environ.get("SSL_CERT_FILE", "").strip()
    named = trouble("tls")
    if file and not Path(file).is_file():
        facts = (*facts, ("SSL_CERT_FILE", f"{file}, which does not exist"))
        cause = "SSL_CERT_FILE names a file that does not exist, so that no certificate is trusted."
        named = first("tls", cause, "Correct SSL_CERT_FILE, or remove it.")
    elif "wrong version number" in error.message:
        cause = f"The server speaks plain http at port {case.port}, or is another one."
        named = first("tls", cause, "Check the port and `https` in base_url ({base_url}).")
    elif not error.issuer:
        cause = (
            "Something between this machine and the server breaks the connection off: a firewall, a "
            "VPN or a proxy."
        )
        named = first("tls", cause, "Switch off the VPN for a moment, or try another network.")
    found = by_error(error, facts=facts)
    signed = f" It is signed by {error.issuer}." if error.issuer else ""
    return Found("failed", f"{found.said}{signed}", found.facts, named, found.error)


def _of_the_proxy(case: Case, error: APIConnectionError) -> Trouble:
    """Why a proxy that was reached leads nowhere."""
    if "it answered 407" in error.message:
        cause = "The proxy wants a user and a password."
        return first("proxy", cause, "Set HTTPS_PROXY to `http://USER:PASSWORD@HOST:PORT`.")
    if "it answered 403" in error.message:
        step = f"Ask for {case.host} to be allowed in the proxy, or try another network."
        return first("proxy", f"The proxy refuses {case.host}.", step)
    cause = f"The proxy is there, but does not get through to {case.host}."
    return first("proxy", cause, "Try again without the proxy, or from another network.")


async def proxy(case: Case) -> Found:
    """Which proxy is used, and what says so."""
    facts = tuple((name, value) for name, value in _proxy_settings(case))
    try:
        used = case.proxy()
    except ConfigError as error:
        return Found("failed", error.message, facts, "proxy", type(error).__name__)
    if used is not None:
        facts = (*facts, ("Used", _bare(used)))
        return Found("ok", f"Requests go through {_bare(used)}.", facts)
    if not facts:
        return Found("ok", "None is set.")
    why = "this machine is never reached through one" if is_loopback(case.host) else "not for it"
    names = listed([name for name, _ in facts])
    return Found("ok", f"None is used for {case.host}: {names} set, but {why}.", facts)


def _proxy_settings(case: Case) -> list[tuple[str, str]]:
    """Those variables that are set, in either case of letters, without passwords."""
    found = []
    for name in _PROXY_VARIABLES:
        for spelt in (name, name.lower()):
            if value := case.environ.get(spelt, "").strip():
                found.append((spelt, value if name == "NO_PROXY" else _bare(value)))
    return found


def _bare(proxy: str) -> str:
    """A proxy's address without user and password."""
    scheme, mark, rest = proxy.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


async def clock(case: Case) -> Found:
    """What time it is there, as every answer says, an error too. No key is sent."""
    headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
    url = case.target.root + REMAINS_PATH
    before = case.clock.time()
    try:
        response = await case.transport.send(HttpRequest("GET", url, headers, silence_s=_SILENCE_S))
    except MinimaxError as error:
        # whether anything can be asked at all is for the next check to say
        return Found("note", f"Not told: {error.message}", error=type(error).__name__)
    middle = (before + case.clock.time()) / 2
    said_date, age = response.headers.get("date", ""), response.headers.get("age", "")
    # a login page of the network has a clock of its own
    page = 300 <= response.status < 400 or "html" in response.headers.get("content-type", "")
    response.close()
    facts: Facts = (SIMULATED,) if "x-minimax-simulated" in response.headers else ()
    there = _seconds(said_date)
    if there is None or page or age.strip().isdecimal():
        return Found("note", f"{case.host} does not say what time it is.", facts)
    facts = (("Server's time", said_date), *facts)
    skew = middle - there
    if abs(skew) <= _SKEW_S:
        return Found("ok", f"This machine and {case.host} agree.", facts)
    direction = "ahead of" if skew > 0 else "behind"
    said = f"The clock of this machine is {duration(abs(skew))} {direction} the server's."
    # keys have no times: only a login is taken for over, or not begun
    failed = abs(skew) > _FAR_OFF_S and isinstance(case.credential, Login)
    return Found("failed" if failed else "warning", said, facts, "clock_skew")


def _seconds(date: str) -> float | None:
    """A Date header as seconds since 1970; None if it is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None  # the parser's own ways to say that this is no date
