"""One question that costs nothing: a message for no model.

MiniMax looks at the route first, then at the key, then at the parameters. So the answer tells whether
there is such a route and whether the key is taken there, and no model is ever asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Literal

from minimax_magic.errors import (
    APIError,
    ContentRefused,
    CredentialInvalid,
    InsufficientBalance,
    MinimaxError,
    QuotaExceeded,
    RequestRejected,
)
from minimax_magic.masked import MaskedStr
from minimax_magic.transport import HttpResponse, Transport
from minimax_magic.wire.failures import (
    error_from_response,
    error_from_words,
    error_in,
    is_missing_route,
    not_an_answer,
    parse_json,
)
from minimax_magic.wire.http import HttpRequest, mask

SILENCE_S: Final = 15.0
_BODY: Final[Mapping[str, Any]] = {
    "model": "",
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "."}],
}
_MAX_BYTES: Final = 256 * 1024

Outcome = Literal["taken", "refused", "no_route", "unclear", "failed"]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a server said to it.

    Attributes:
        outcome: `taken`: the key is good there. `refused`: it is not. `no_route`: there is nothing at
            this address. `unclear`: it is busy, which says nothing of the key. `failed`: anything else.
        error: What the answer stands for; None if it was an ordinary one.
        status: Of HTTP.
    """

    outcome: Outcome
    error: MinimaxError | None
    status: int


async def probe(
    url: str, headers: Mapping[str, str], secret: str, transport: Transport, now: float
) -> Answered:
    """Asks one address.

    Args:
        headers: With the key in whichever one.
        secret: The key, to be masked in the server's words.
        now: Seconds since 1970.

    Raises:
        APIConnectionError: No answer came.
    """
    secrets = (MaskedStr(secret),)
    body = json.dumps(_BODY).encode()
    response = await transport.send(HttpRequest("POST", url, headers, body, SILENCE_S))
    status = response.status
    answer = mask((await start_of(response)).decode("utf-8", "replace"), secrets).encode()
    if is_missing_route(status, answer):
        error = error_from_response(status, response.headers, answer, url=url, now=now)
        return Answered("no_route", error, status)
    payload = parse_json(answer)
    if not 200 <= status < 300:
        error = error_from_response(status, response.headers, answer, url=url, now=now)
    elif (words := error_in(payload)) is not None:
        error = error_from_words(words, url=url)
    elif not isinstance(payload, dict):
        content_type = response.headers.get("content-type", "")
        return Answered("failed", not_an_answer(content_type, answer, url=url), status)
    else:
        return Answered("taken", None, status)
    return Answered(_outcome(error), error, status)


def _outcome(error: MinimaxError) -> Outcome:
    match error:
        case CredentialInvalid():
            return "refused"
        case RequestRejected(status=405):
            return "no_route"
        # a 404 in the API's own words is about the model, which we named none
        case RequestRejected(status=200 | 400 | 404 | 422) | ContentRefused():
            return "taken"
        case InsufficientBalance() | QuotaExceeded():
            return "taken"  # the account is known, and empty
        case RequestRejected():
            return "failed"
        case APIError(status=int(status)) if 300 <= status < 400:
            return "failed"
        case _:
            return "unclear"


async def start_of(response: HttpResponse) -> bytes:
    """The beginning of a body; the rest is not waited for."""
    body = b""
    try:
        async with aclosing(response.chunks()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > _MAX_BYTES:
                    break
    finally:
        response.close()
    return body
