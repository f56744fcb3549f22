"""What goes around the messages: a request's headers, and keeping credentials out of words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from minimax_magic.masked import MaskedStr
from minimax_magic.messages import ApiFlavor
from minimax_magic.text import whole


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request, ready to send.

    Attributes:
        body: Already encoded; empty for GET.
        silence_s: Longest silence to accept, before the answer and within it; None: no limit.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    silence_s: float | None = None


def bearer_headers(
    bearer: str, flavor: ApiFlavor, *, stream: bool, group_id: str | None, user_agent: str
) -> dict[str, str]:
    """Headers of a chat request.

    Bearer on both wires: clients that sent only `x-api-key` were refused for months. The group id
    is in no current document of MiniMax, but the reference page sends it and it does no harm.
    """
    headers = {
        "Authorization": MaskedStr(f"Bearer {bearer}"),
        "Content-Type": "application/json",
        "Accept": "text/event-stream" if stream else "application/json",
        "User-Agent": user_agent,
    }
    if stream:
        headers["Accept-Encoding"] = "identity"  # a compressing proxy would hold tokens back
    if flavor is ApiFlavor.ANTHROPIC_MESSAGES:
        headers["anthropic-version"] = "2023-06-01"
    if group_id:
        headers["X-MiniMax-Group-Id"] = group_id
    return headers


_KEY_SHAPES = re.compile(
    r"\bsk-[A-Za-z0-9_\-]{6,}"
    r"|\beyJ[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]+)*"
    r"|(?<=[Bb]earer )[A-Za-z0-9_\-.~+/]{8,}=*"
)


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without anything that is, or looks like, a credential.

    Args:
        secrets: Values known to be secret here; those under 4 characters would hide ordinary words.
    """
    for secret in sorted(secrets, key=len, reverse=True):  # one may be the beginning of another
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return _KEY_SHAPES.sub("***", text)


def short(text: str, limit: int = 300) -> str:
    text = " ".join(mask(whole(text)).split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        return int(value)
    return None


def remaining_quota(headers: Mapping[str, str]) -> int | None:
    """What the server says is left of the quota; None if it does not say.

    No MiniMax document names such headers; the reference client reads the OpenAI ones and so do we.
    """
    for name in ("x-ratelimit-remaining-tokens", "x-ratelimit-remaining-requests"):
        remaining = number(headers.get(name, "").strip())
        if remaining is not None:
            return remaining
    return None
