"""`gateway` as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import minimax_magic
from minimax_magic.errors import ConfigError, CredentialsMissing
from minimax_magic.programs.gateway_file import GatewayFiles, RunningGateway
from minimax_magic.programs.serve import ending_signals, serve
from minimax_magic.session import Session
from minimax_magic.simulator import Simulator
from minimax_magic.transport import AiohttpTransport

KEY = "sk-api-of-the-simulator"
OUTER = """\
import sys
from minimax_magic.programs.serve import serve
from minimax_magic.session import Session
sys.exit(serve(Session()))
"""


@pytest.fixture
def sim(env: Callable[..., None]) -> Iterator[Simulator]:
    with Simulator(key=KEY) as simulator:
        env(base_url=simulator.url, api_key=KEY)
        yield simulator


def find(folder: Path) -> list[RunningGateway]:
    async def run() -> list[RunningGateway]:
        transport = AiohttpTransport()
        found = await GatewayFiles(folder).running(transport)
        await transport.close()
        return found

    return asyncio.run(run())


@pytest.mark.skipif(os.name != "posix", reason="ends it by a signal")
@pytest.mark.parametrize("number", [2, 15, 1], ids=["Ctrl-C", "termination", "hangup"])
def test_it_serves_until_it_is_told_to_stop(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It says where it listens but not its key, is found by its file, and leaves nothing behind, also
    of a gateway that was killed."""
    GatewayFiles(tmp_path / "data").write("http://127.0.0.1:9", "k", sim.url, "key k")
    package = str(Path(minimax_magic.__file__).parent.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]))
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", OUTER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        guard = threading.Timer(30, process.kill)
        guard.start()
        lines = process.stdout.readline() + process.stdout.readline()
        found = find(tmp_path / "data")
        process.send_signal(number)
        rest, wrong = process.communicate(timeout=20)
        guard.cancel()
    assert len(found) == 1, wrong
    assert found[0].root == sim.url
    assert found[0].sends(f"key {KEY}")
    assert f"Gateway to {sim.url} at {found[0].url}" in lines
    assert found[0].key not in lines + rest + wrong
    assert KEY not in lines + rest + wrong
    assert (process.returncode, rest, wrong) == (0, "", "")
    assert not [*(tmp_path / "data").glob("gateway*")]


@pytest.mark.skipif(os.name != "posix", reason="no such signal")
def test_nohup_is_respected() -> None:
    """A hangup that is ignored stays so."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in ending_signals()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_without_a_credential_it_does_not_start(env: Callable[..., None]) -> None:
    """The same error as in a cell."""
    with pytest.raises(CredentialsMissing):
        serve(Session())


def test_a_taken_port_leaves_no_file(sim: Simulator, tmp_path: Path) -> None:
    """A gateway that cannot listen does not say that it runs."""
    port = int(sim.url.rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"port {port}"):
        serve(Session(), port=port)
    assert not GatewayFiles(tmp_path / "data").read()
