"""`python -m minimax_magic.simulator`."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest

from minimax_magic.simulator import PORTAL_CLIENT_ID
from minimax_magic.simulator.__main__ import main


def test_it_says_where_it_is_and_stops_on_ctrl_c() -> None:
    """The address with a key and without one; an interrupt ends it with 0 and no traceback."""
    command = [sys.executable, "-m", "minimax_magic.simulator", "--delay-ms", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        found = re.search(
            r"MINIMAX_BASE_URL=(http://127\.0\.0\.1:\d+) MINIMAX_CODE_PLAN_KEY=(\S+)", line
        )
        assert found is not None
        url, key = found.groups()
        assert f"MINIMAX_BASE_URL={url} and then %minimax login" in process.stdout.readline()
        request = urllib.request.Request(
            f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            assert response.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) == 0
        assert process.stderr.read() == ""
        assert process.stdout.read() == ""


def test_a_taken_port_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}" in printed.err
    assert "in use" in printed.err


def test_help_has_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """What a prompt can ask for is printed by --help."""
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "[[error midstream]]" in capsys.readouterr().out


@pytest.mark.parametrize(("given", "lifetime_s"), [([], 900), (["--token-lifetime-s", "20"], 20)])
def test_the_lifetime_of_tokens_can_be_set(given: list[str], lifetime_s: int) -> None:
    """A demo of refreshing need not last a quarter of an hour."""
    command = [sys.executable, "-m", "minimax_magic.simulator", *given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split("MINIMAX_BASE_URL=")[1].split()[0]
            verifier = "v" * 43
            login = {
                "response_type": "code",
                "client_id": PORTAL_CLIENT_ID,
                "scope": "profile",
                "code_challenge": b64encode(sha256(verifier.encode()).digest(), b"-_")[:43],
                "code_challenge_method": "S256",
                "state": "s",
            }
            user_code = post(f"{url}/oauth2/device/code", login)["user_code"]
            with urllib.request.urlopen(f"{url}/oauth-authorize?user_code={user_code}") as page:
                nonce = re.search(r'name="nonce" value="([^"]+)"', page.read().decode())
            assert nonce is not None
            consent = {"user_code": user_code, "nonce": nonce.group(1), "decision": "approve"}
            post(f"{url}/oauth-authorize", consent)
            poll = {
                "grant_type": "urn:ietf:params:oauth:grant-type:user_code",
                "client_id": PORTAL_CLIENT_ID,
                "user_code": user_code,
                "code_verifier": verifier,
            }
            success = post(f"{url}/oauth2/token", poll)
            assert abs(success["expired_in"] / 1000 - time.time() - lifetime_s) < 5
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=5)


def post(url: str, form: dict[str, Any]) -> Any:
    """The JSON that a form is answered with; None for a page."""
    with urllib.request.urlopen(url, urlencode(form).encode(), timeout=5) as response:
        is_json = response.headers.get_content_type() == "application/json"
        return json.load(response) if is_json else None
