"""Where requests go.

People give a host, a host with `/v1` or `/anthropic`, or a whole endpoint; all of them lead to a list
of candidate URLs, to be tried in order as long as the *route* is missing (a 404 without an API error
in it).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from minimax_magic.errors import (
    ConfigError,
)
from minimax_magic.messages import ApiFlavor
from minimax_magic.wire.http import short

DEFAULT_BASE_URL = "https://api.minimax.io"
_OPENAI_ENDPOINTS = ("/chat/completions", "/text/chatcompletion_v2")
_ANTHROPIC_ENDPOINT = "/messages"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where chat requests go.

    Attributes:
        candidates: Full URLs, best first; a later one is tried only if an earlier has no such route.
        root: Scheme, host and any prefix before the API's own paths; account calls start here.
    """

    flavor: ApiFlavor
    root: str
    candidates: tuple[str, ...]

    @property
    def host(self) -> str:
        return urlsplit(self.root).hostname or ""


def resolve_endpoint(base_url: str, api_flavor: str | None = None) -> Endpoint:
    """The flavour and the URLs that a base_url stands for.

    Args:
        base_url: A host, with or without scheme, `/v1`, `/anthropic`, `/anthropic/v1`, or a full
            endpoint, which is used as it is.
        api_flavor: `openai_compat` or `anthropic_messages`; None: the Anthropic wire if the path
            has `/anthropic` in it, else OpenAI's.

    Raises:
        ConfigError: Not an http(s) URL, a credential in the URL, plain http to another machine, an
            unknown flavour, or a full endpoint of the other flavour.
    """
    parts = checked_url(base_url)
    chosen = flavor_named(api_flavor)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    named = _flavor_of_full_endpoint(path)
    if named is not None:
        if chosen is not None and chosen is not named:
            raise ConfigError(
                f"base_url names an endpoint of {named}, but api_flavor is {chosen}.",
                hint=f"Leave api_flavor out, or set base_url to {origin}.",
            )
        root = _strip(path, *_OPENAI_ENDPOINTS, _ANTHROPIC_ENDPOINT, "/v1", "/anthropic")
        return Endpoint(named, origin + root, (origin + path,))
    flavor = chosen or (
        ApiFlavor.ANTHROPIC_MESSAGES if "anthropic" in path.split("/") else ApiFlavor.OPENAI_COMPAT
    )
    prefix = _strip(path, "/v1", "/anthropic")
    root = origin + prefix
    if flavor is ApiFlavor.ANTHROPIC_MESSAGES:
        # the second is where a gateway or the reference page's literal reading has it
        candidates = [f"{root}/anthropic/v1/messages", f"{root}/v1/messages"]
    else:
        candidates = [
            f"{root}/v1/text/chatcompletion_v2",
            f"{root}/v1/chat/completions",
            f"{root}/text/chatcompletion_v2",
        ]
        if prefix:
            candidates.append(f"{root}/chat/completions")
    return Endpoint(flavor, root, tuple(candidates))


def checked_url(address: str, name: str = "base_url") -> SplitResult:
    """An address that requests may go to, split; a bare host gets its scheme.

    Args:
        name: What people call it, for the words of an error.

    Raises:
        ConfigError: Not an http(s) URL, a credential in the URL, or plain http to another machine.
    """
    url = address.strip()
    try:
        if "://" not in url:  # a bare host: a server on this machine rarely has a certificate
            url = f"//{url}"
            url = ("http:" if is_loopback(urlsplit(url).hostname or "") else "https:") + url
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or re.search(r"\s", host):
        raise ConfigError(
            f"{name} {short(address)!r} is not an http or https address.",
            hint=f"Use {DEFAULT_BASE_URL} or {DEFAULT_BASE_URL}/anthropic.",
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            f"{name} for {host} must be an address alone, without user, query or fragment.",
            hint="Give the key as MINIMAX_CODE_PLAN_KEY instead.",
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"{name} is plain http to {host}: the key would be readable on the way.",
            hint=f"Use https://{host}.",
        )
    return parts


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, and one like 127.example.com may be anywhere
        return host == "localhost" or host.endswith(".localhost")


def flavor_named(api_flavor: str | None) -> ApiFlavor | None:
    """The flavour of that name; None for none.

    Raises:
        ConfigError: There is no such flavour.
    """
    if not api_flavor:
        return None
    try:
        return ApiFlavor(api_flavor)
    except ValueError:
        raise ConfigError(
            f"api_flavor {short(api_flavor, 60)!r} is not known.",
            hint=f"Use {' or '.join(ApiFlavor)}, or leave it out.",
        ) from None


def _flavor_of_full_endpoint(path: str) -> ApiFlavor | None:
    if path.endswith(_OPENAI_ENDPOINTS):
        return ApiFlavor.OPENAI_COMPAT
    if path.endswith(_ANTHROPIC_ENDPOINT):
        return ApiFlavor.ANTHROPIC_MESSAGES
    return None


def _strip(path: str, *suffixes: str) -> str:
    for suffix in suffixes:
        path = path.removesuffix(suffix)
    return path
