"""`python -m minimax_magic.simulator`."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from minimax_magic.simulator.__main__ import main


def test_it_says_where_it_is_and_stops_on_ctrl_c() -> None:
    """One line with the address and what to set; an interrupt ends it with 0 and no traceback."""
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
