"""What a login says of itself, and what it never shows."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from auth_fakes import (
    MARK,
    NOW,
    bundle,
    bundle_file,
    grant,
    plan,
    run,
    shown,
)

from minimax_magic.auth.oauth import LOGIN_AGAIN
from minimax_magic.clock import utc
from minimax_magic.errors import (
    APIConnectionError,
    CredentialInvalid,
    MinimaxError,
)
from minimax_magic.testing import Answer, FakeTransport, json_answer
from minimax_magic.wire.http import HttpRequest

DEAD = json_answer({"error": "invalid_grant"}, status=400)
BAD_GATEWAY = Answer(502, {}, (b"<html>",))
NO_CLIENT = json_answer({"error": "invalid_client"}, status=401)


def lost(request: HttpRequest) -> APIConnectionError:
    return APIConnectionError("account.minimax.io cannot be reached.")


@pytest.mark.parametrize(
    ("left_s", "more", "words"),
    [
        (900, {}, "api.minimax.io from {} (token valid for 15 minutes, renewed by itself)"),
        (-1, {}, "api.minimax.io from {} (token expired, renewed by itself)"),
        (900, {"refresh_token": None}, "api.minimax.io from {} (token valid for 15 minutes, not"),
        (900, {"region": "api.minimaxi.com"}, "api.minimaxi.com from {} "),
    ],
)
def test_it_describes_itself(tmp_path: Path, left_s: float, more: Any, words: str) -> None:
    """Server, file and how long the token is good, without the token."""
    source = plan(bundle_file(tmp_path, bundle(left_s, **more)), FakeTransport(grant()))
    label = "secrets/minimax_token_plan.json"
    assert source.describe().startswith(f"Token Plan login at {words.format(label)}")
    assert repr(source) == f"TokenPlan('{label}')"
    assert MARK not in source.describe()


def test_an_ended_login_has_the_same_words_whoever_says_so(tmp_path: Path) -> None:
    """First the account server, then the file that it is in: only the name at the end differs."""
    transport = FakeTransport(DEAD)
    source = plan(bundle_file(tmp_path, bundle(0)), transport)
    errors: list[CredentialInvalid] = []
    for asking in (source.fresh_bearer(), source.fresh_bearer(), source.force_refresh()):
        with pytest.raises(CredentialInvalid) as caught:
            run(asking)
        errors.append(caught.value)
    words = "The login has ended: its refresh token is not taken any more ({})."
    label = "secrets/minimax_token_plan.json"
    assert [error.message for error in errors] == [
        words.format("account.minimax.io"),
        words.format(label),
        words.format(label),
    ]
    assert {error.hint for error in errors} == {LOGIN_AGAIN}
    assert [error.status for error in errors] == [400, None, None]
    assert len(transport.sent) == 1


@pytest.mark.parametrize("failure", [lost, BAD_GATEWAY, NO_CLIENT, DEAD])
@pytest.mark.parametrize("forced", [False, True])
def test_no_failure_shows_a_token(
    tmp_path: Path, failure: Any, forced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Words, variables of every frame, and logs are free of them; so is the bearer's repr."""
    source = plan(bundle_file(tmp_path, bundle(0, obtained_at=utc(NOW))), FakeTransport(failure))
    asking = source.force_refresh() if forced else source.fresh_bearer()
    with caplog.at_level(logging.DEBUG), pytest.raises(MinimaxError) as caught:
        run(asking)
    assert "_exchange" in shown(caught.value)
    assert MARK not in shown(caught.value)
    assert MARK not in caplog.text
    good = plan(bundle_file(tmp_path, bundle(900)), FakeTransport(failure))
    assert repr(run(good.fresh_bearer())) == "'***'"
