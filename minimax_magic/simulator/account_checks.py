"""What the account's endpoints refuse before they look at any login."""

from __future__ import annotations

from collections.abc import Mapping, Set

from minimax_magic.simulator.account_values import CHALLENGE, oauth_error
from minimax_magic.simulator.behaviours import Raw

# the one client that is known by name: its form has a field more than those of others
PORTAL_CLIENT_ID = "78257093-7e40-4613-99e0-527b14b39113"
REQUIRED = ("code_challenge", "code_challenge_method", "client_id", "scope", "state")


def client_name(client_id: str) -> str:
    """What the consent page calls a client."""
    return "OpenClaw" if client_id == PORTAL_CLIENT_ID else client_id


def client_refusal(form: Mapping[str, str], client_ids: Set[str] | None) -> Raw | None:
    """Whether the client may log in at all; None for `client_ids` lets any."""
    client_id = form.get("client_id")
    if not client_id:
        return oauth_error("invalid_request", "client_id is required")
    if client_ids is not None and client_id not in client_ids:
        return oauth_error("invalid_client")
    return None


def code_refusal(form: Mapping[str, str], client_ids: Set[str] | None) -> Raw | None:
    """What is wrong with a request for a user code."""
    for name in REQUIRED:
        if not form.get(name):
            return oauth_error("invalid_request", f"{name} is required")
    if form["code_challenge_method"] != "S256":
        return oauth_error("invalid_request", "code_challenge_method must be S256")
    if not CHALLENGE.fullmatch(form["code_challenge"]):
        return oauth_error("invalid_request", "code_challenge is invalid")
    may_be_absent = form["client_id"] != PORTAL_CLIENT_ID
    if form.get("response_type", "code" if may_be_absent else "") != "code":
        return oauth_error("unsupported_response_type")
    return client_refusal(form, client_ids)
