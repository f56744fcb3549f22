"""Whether a server takes a key, found out without spending tokens.

MiniMax looks at the key before the parameters: a message for no model is answered 401 if the key is
wrong and 400 if it is right. A key that is refused there may still be a pay-as-you-go key of the other
wire, so the list of models is asked too before a key is called wrong.
"""

from __future__ import annotations

from pydantic import SecretStr

from minimax_magic.auth.probe import probe, probe_models
from minimax_magic.errors import CredentialInvalid
from minimax_magic.masked import MaskedStr
from minimax_magic.messages import ApiFlavor
from minimax_magic.transport import Transport
from minimax_magic.wire.http import bearer_headers


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
    bearer = MaskedStr(key.get_secret_value())
    for ask, path, flavor in (
        (probe, "/anthropic/v1/messages", ApiFlavor.ANTHROPIC_MESSAGES),
        (probe_models, "/v1/models", ApiFlavor.OPENAI_COMPAT),
    ):
        headers = bearer_headers(bearer, flavor, stream=False, group_id=None, user_agent=user_agent)
        answered = await ask(root + path, headers, bearer, transport, now)
        if answered.key_is_good:
            return True
        if isinstance(answered.error, CredentialInvalid):
            refused = refused or answered.error
    if refused is not None:
        raise refused
    return False
