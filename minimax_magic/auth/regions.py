"""Where one signs in, and which servers may be sent the token.

Known MiniMax hosts have an account host of their own; any other region (a gateway, the simulator) has
`{region}/oauth/code` and `{region}/oauth/token`, as the reference page writes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from minimax_magic.errors import ConfigError
from minimax_magic.wire.address import checked_url, is_loopback, resolve_endpoint


@dataclass(frozen=True, slots=True)
class _Family:
    """A region of MiniMax: `root` is its API, `account` where one signs in; all its hosts are below
    `domains`."""

    name: str
    root: str
    account: str
    domains: tuple[str, ...]


# The account host of the first Chinese one is what other clients are known to sign in at; the second
# is in MiniMax's current documents.
_FAMILIES: Final = (
    _Family(
        "Global",
        "https://api.minimax.io",
        "https://account.minimax.io",
        ("minimax.io", "minimax.chat", "minimaxi.chat"),
    ),
    _Family("China", "https://api.minimaxi.com", "https://account.minimaxi.com", ("minimaxi.com",)),
    _Family("China", "https://api.minimax.cn", "https://account.minimax.cn", ("minimax.cn",)),
)
NAMED_REGIONS: Final = {"global": _FAMILIES[0].root, "china": _FAMILIES[1].root}

# for weeks MiniMax handed out an address on a host that only leads to the home page
_DEAD_CONSENT_HOSTS: Final = {
    "www.minimax.io": "platform.minimax.io",
    "www.minimaxi.com": "platform.minimaxi.com",
}

# scheme, and whether it is this machine
_SAFE_PAGES: Final = (("https", True), ("https", False), ("http", True))
# Others, such as a backslash, end the name for some programs and not for others.
_NAME: Final = re.compile(r"[a-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class Region:
    """A region, resolved.

    Attributes:
        name: For people: `Global`, `China`, or the host of another one.
        root: The API root, which the bundle keeps.
        code_url: Where a device code is asked for.
        token_url: Where tokens come from, and are renewed.
        accounts: Where these two may redirect to, and nowhere else: schemes and hosts, the region's own
            first.
        domains: What may be sent the token, with all below; empty for a region that is none of
            MiniMax's own, where it is that one server, port and all.
    """

    name: str
    root: str
    code_url: str
    token_url: str
    accounts: tuple[str, ...]
    domains: tuple[str, ...]

    def trusts(self, url: str) -> bool:
        """Whether a token of this region may be sent there."""
        try:
            parts = checked_url(url)
        except ConfigError:
            return False
        if not self.domains:
            return _origin(parts.geturl()) == _origin(self.root)
        return _is_in((parts.hostname or "").lower(), self.domains)

    def base_url(self, resource_url: str | None) -> str:
        """Where requests go: what the login named, if it may get the token, else the region's own."""
        if resource_url and self.trusts(resource_url):
            return resource_url
        family = _family(urlsplit(self.root).hostname or "")
        return f"{family.root if family else self.root}/anthropic"


def resolve_region(
    region: str, *, code_endpoint: str | None = None, token_endpoint: str | None = None
) -> Region:
    """What a region's name or address stands for.

    Args:
        region: `global`, `china`, or the address of an API root; a path as in base_url is ignored.
        code_endpoint: Instead of the region's own address for device codes.
        token_endpoint: The same for tokens.

    Raises:
        ConfigError: It is no usable address.
    """
    wanted = region.strip()
    address = NAMED_REGIONS.get(wanted.lower(), wanted)
    try:
        root = resolve_endpoint(address).root
    except ConfigError as error:
        raise ConfigError(
            error.message.replace("base_url", "the region"),
            hint="Use global, china, or an address such as https://api.minimax.io.",
        ) from None
    host = (urlsplit(root).hostname or "").lower()
    family = _family(host)
    if family is None:
        name = urlsplit(root).netloc
        accounts: tuple[str, ...] = (root,)
        domains: tuple[str, ...] = ()
        code_url, token_url = f"{root}/oauth/code", f"{root}/oauth/token"
    else:
        name = family.name
        # the two Chinese ones are taken to be one
        same = [family, *(f for f in _FAMILIES if f.name == name and f is not family)]
        accounts = tuple(other.account for other in same)
        domains = tuple(domain for other in same for domain in other.domains)
        code_url = f"{family.account}/oauth2/device/code"
        token_url = f"{family.account}/oauth2/token"
    return Region(
        name=name,
        root=root,
        code_url=_endpoint(code_endpoint, "auth.code_endpoint") or code_url,
        token_url=_endpoint(token_endpoint, "auth.refresh_endpoint") or token_url,
        accounts=accounts,
        domains=domains,
    )


def redirect_target(region: Region, location: str) -> str | None:
    """Where a redirect of one of the two addresses may be followed to; None if it may not."""
    # a bare path stays on the host that answered, which need not be the region's own
    return location if _origin(location) in map(_origin, region.accounts) else None


def consent_page(uri: str) -> str | None:
    """The address of the page where a person approves; None if it is not one to open."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    host = (parts.hostname or "").lower()
    if not host or (parts.scheme, is_loopback(host)) not in _SAFE_PAGES:
        return None
    if host in _DEAD_CONSENT_HOSTS and parts.path.startswith("/oauth-authorize"):
        parts = parts._replace(netloc=_DEAD_CONSENT_HOSTS[host])
    return urlunsplit(parts)


def _family(host: str) -> _Family | None:
    return next((family for family in _FAMILIES if _is_in(host, family.domains)), None)


def _is_in(host: str, domains: tuple[str, ...]) -> bool:
    return _NAME.fullmatch(host) is not None and any(
        host == domain or host.endswith(f".{domain}") for domain in domains
    )


def _endpoint(url: str | None, setting: str) -> str | None:
    return checked_url(url, setting).geturl() if url else None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
        return parts.scheme, parts.hostname, port
    except ValueError:
        return "", None, None
