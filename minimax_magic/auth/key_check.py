"""Whether a server takes a key, found out without spending tokens.

MiniMax looks at the key before the parameters: a message for no model is answered 401 if the key is
wrong and 400 if it is right. A key that is refused there may still be a pay-as-you-go key of the other
wire, so the list of models is asked too before a key is called wrong.
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import SecretStr

from minimax_magic.errors import (
    CredentialInvalid,
    InsufficientBalance,
    MinimaxError,
    RequestRejected,
)
from minimax_magic.masked import MaskedStr
from minimax_magic.messages import ApiFlavor
from minimax_magic.transport import Transport
from minimax_magic.wire.failures import (
    error_from_response,
    error_from_words,
    error_in,
    is_missing_route,
    parse_json,
)
from minimax_magic.wire.http import HttpRequest, bearer_headers

_SILENCE_S = 20.0
_NO_MODEL = {"model": "", "max_tokens": 1, "messages": [{"role": "user", "content": "."}]}


async def check_key(
    key: SecretStr, root: str, transport: Transport, user_agent: str, now: float
) -> bool:
    """True if the server takes the key, False if it would not tell.

    Args:
        root: Scheme and host, and any prefix before the API's own paths.
        now: Seconds since 1970.

    Raises:
        CredentialInvalid: It does not.
        APIConnectionError: It cannot be reached.
    """
    refused: CredentialInvalid | None = None
    for method, path, body in (
        ("POST", "/anthropic/v1/messages", json.dumps(_NO_MODEL).encode()),
        ("GET", "/v1/models", b""),
    ):
        bearer = MaskedStr(key.get_secret_value())
        headers = bearer_headers(
            bearer,
            ApiFlavor.ANTHROPIC_MESSAGES if "anthropic" in path else ApiFlavor.OPENAI_COMPAT,
            stream=False,
            group_id=None,
            user_agent=user_agent,
        )
        request = HttpRequest(method, root + path, headers, body, _SILENCE_S)
        verdict = await _ask(request, transport, bearer, now)
        if verdict is True:
            return True
        if verdict is not None:
            refused = refused or verdict
    if refused is not None:
        raise refused
    return False


async def _ask(
    request: HttpRequest, transport: Transport, bearer: str, now: float
) -> Literal[True] | CredentialInvalid | None:
    """One question: the key is taken, or why it is not; None if the answer does not tell.

    A refusal is given, not raised: a traceback may show the variables here, and servers echo keys.
    """
    url = request.url
    response = await transport.send(request)
    try:
        answer = await response.read()
    finally:
        response.close()
    if is_missing_route(response.status, answer):
        return None
    payload = parse_json(answer)
    error: MinimaxError | None = None
    if not 200 <= response.status < 300:
        error = error_from_response(
            response.status, response.headers, answer, url=url, now=now, secrets=(bearer,)
        )
    elif (words := error_in(payload)) is not None:
        error = error_from_words(words, url=url, secrets=(bearer,))
    elif not isinstance(payload, dict):
        return None  # a login page of the network, not the API
    match error:
        case None | RequestRejected(status=200 | 400 | 422) | InsufficientBalance():
            return True
        case CredentialInvalid():
            return error
        case _:
            return None  # busy, or a gateway that refuses for reasons of its own
