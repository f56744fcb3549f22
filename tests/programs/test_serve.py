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
from minimax_magic.programs.gateway_file import GatewayFile, RunningGateway
from minimax_magic.programs.serve import serve
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


def find(folder: Path) -> RunningGateway | None:
    async def run() -> RunningGateway | None:
        transport = AiohttpTransport()
        found = await GatewayFile(folder).running(transport)
        await transport.close()
        return found

    return asyncio.run(run())


@pytest.mark.skipif(os.name != "posix", reason="ends it by a signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "termination"])
def test_it_serves_until_it_is_told_to_stop(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It says where it listens but not its key, is found by its file, and leaves nothing behind."""
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
    assert found is not None, wrong
    assert (found.root, found.credential, found.pid) == (sim.url, "key", process.pid)
    assert f"Gateway to {sim.url} at {found.url}" in lines
    assert found.key not in lines + rest + wrong
    assert KEY not in lines + rest + wrong
    assert (process.returncode, rest, wrong) == (0, "", "")
    assert not GatewayFile(tmp_path / "data").path.exists()


def test_without_a_credential_it_does_not_start(env: Callable[..., None]) -> None:
    """The same error as in a cell."""
    with pytest.raises(CredentialsMissing):
        serve(Session())


def test_a_taken_port_leaves_no_file(sim: Simulator, tmp_path: Path) -> None:
    """A gateway that cannot listen does not say that it runs."""
    port = int(sim.url.rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"port {port}"):
        serve(Session(), port=port)
    assert not GatewayFile(tmp_path / "data").path.exists()
