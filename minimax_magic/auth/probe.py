"""One question that costs nothing: a message for no model.

MiniMax looks at the route first, then at the key, then at the parameters. So the answer tells whether
there is such a route and whether the key is taken there, and no model is ever asked. Whoever wants to
know whether a key is good asks here: login, the access of other programs, and the doctor.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from minimax_magic.errors import (
    APITimeoutError,
    ContentRefused,
    CredentialInvalid,
    InsufficientBalance,
    MinimaxError,
    ProtocolError,
    QuotaExceeded,
    RateLimitError,
    RequestRejected,
    ServerError,
)
from minimax_magic.transport import Transport, start_of
from minimax_magic.wire.failures import (
    error_from_response,
    error_from_words,
    error_in,
    is_missing_route,
    not_an_answer,
    parse_json,
)
from minimax_magic.wire.http import HttpRequest, mask, short

_SILENCE_S: Final = 15.0
# In all: a server may also send one byte a second for ever.
_LONGEST_S: Final = 20.0
_NO_MODEL: Final[Mapping[str, Any]] = {
    "model": "",
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "."}],
}
_MAX_BYTES: Final = 256 * 1024
# What an answer of the API has, one of them at least: others answer in JSON too.
_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "POST": frozenset(("choices", "content", "usage")),
    "GET": frozenset(("data",)),
}

Outcome = Literal["taken", "empty", "refused", "no_route", "unclear", "failed"]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a server said to it.

    Attributes:
        outcome: `taken`: the key is good there. `empty`: it is good, and nothing is left of the money
            or the plan. `refused`: it is not good. `no_route`: there is nothing at this address.
            `unclear`: it is busy, which says nothing of the key. `failed`: anything else.
        error: What the answer stands for; None if it was an ordinary one.
        status: Of HTTP.
    """

    outcome: Outcome
    error: MinimaxError | None
    status: int

    @property
    def key_is_good(self) -> bool:
        return self.outcome in ("taken", "empty")


async def probe(
    url: str, headers: Mapping[str, str], secret: str, transport: Transport, now: float
) -> Answered:
    """Asks one chat route. A refusal is given, not raised: servers echo keys, and a traceback may show
    the variables here.

    Args:
        headers: With the key in whichever one.
        secret: The key, to be masked in the server's words.
        now: Seconds since 1970.

    Raises:
        APIConnectionError: No answer came.
    """
    body = json.dumps(_NO_MODEL).encode()
    return await _asked(HttpRequest("POST", url, headers, body, _SILENCE_S), secret, transport, now)


async def probe_models(
    url: str, headers: Mapping[str, str], secret: str, transport: Transport, now: float
) -> Answered:
    """Asks for a list of models, which some servers give to everybody. All else is as of `probe`."""
    return await _asked(
        HttpRequest("GET", url, headers, silence_s=_SILENCE_S), secret, transport, now
    )


async def _asked(request: HttpRequest, secret: str, transport: Transport, now: float) -> Answered:
    url = request.url
    try:
        async with asyncio.timeout(_LONGEST_S):
            response = await transport.send(request)
            start = await start_of(response, _MAX_BYTES)
    except TimeoutError:
        raise APITimeoutError(
            f"{urlsplit(url).hostname} did not finish its answer within {_LONGEST_S:g} s.",
            hint="Try again in some minutes.",
        ) from None
    status = response.status
    answer = mask(start.decode("utf-8", "replace"), (secret,)).encode()
    del start  # servers echo keys
    payload = parse_json(answer)
    words = error_in(payload)
    if 200 <= status < 300 and words is None:
        if isinstance(payload, dict) and not _PARTS[request.method].isdisjoint(payload):
            return Answered("taken", None, status)
        content_type = response.headers.get("content-type", "")
        return Answered("failed", not_an_answer(content_type, answer, url=url), status)
    if status == 403 and words is None:
        return Answered("failed", _refused_by_another(answer, url), status)
    error: MinimaxError
    if 200 <= status < 300 and words is not None:
        error = error_from_words(words, url=url)
    else:
        error = error_from_response(status, response.headers, answer, url=url, now=now)
    # a 404 in the API's own words is about the model, if one could be named
    if is_missing_route(status, answer) or (status == 404 and request.method == "GET"):
        return Answered("no_route", error, status)
    return Answered(_outcome(error), error, status)


def _refused_by_another(answer: bytes, url: str) -> ProtocolError:
    """A 403 that is not in the API's words: it says nothing of key and account."""
    said = short(answer[:4000].decode("utf-8", "replace"), 120)
    return ProtocolError(
        f"{urlsplit(url).hostname} answered 403, but not as the API does: {said or 'nothing'}",
        hint="A firewall or filter may refuse this machine: try another network.",
        status=403,
    )


def _outcome(error: MinimaxError) -> Outcome:
    match error:
        case CredentialInvalid():
            return "refused"
        case InsufficientBalance() | QuotaExceeded():
            return "empty"
        case RequestRejected(status=405):
            return "no_route"
        case RequestRejected(status=200 | 400 | 404 | 422) | ContentRefused():
            return "taken"
        case ServerError() | RateLimitError():
            return "unclear"
        case _:
            return "failed"
