"""A login that many processes share, any of which may be killed: real processes, a real server.

`process_workers.py` starts the processes and has what kills them at a chosen step.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from process_workers import KILLS, digest

import minimax_magic
from minimax_magic.auth.bundle import TokenBundle, parse_bundle
from minimax_magic.auth.bundle_file import BUNDLE_FILE, BundleFile
from minimax_magic.auth.store import leftovers
from minimax_magic.clock import utc
from minimax_magic.simulator import Simulator

pytestmark = pytest.mark.skipif(os.name != "posix", reason="forks, and kills by signals")

PROCESSES = 20
# what a token has left when it is renewed although it is still good
NEARLY_OVER_S = 50.0
LIFETIME_S = 900.0
# Generous for a busy machine, far below the two minutes that a client waits for the lock.
PATIENCE_S = 60.0
PROMPT_S = 20.0
PACKAGE = Path(minimax_magic.__file__).parent

NOT_SENT = ("before the lock", "after the lock", "before the request")
LOST = ("before the answer", "temporary file made", "temporary file half written")
SAVED = ("temporary file complete", "file replaced")

News = dict[str, Any]


class Workers:
    """The process that forks others, and what they tell."""

    def __init__(self, folder: Path) -> None:
        (folder / "config").mkdir()
        kept = {name: text for name, text in os.environ.items() if not name.startswith("MINIMAX_")}
        self.stderr = folder / "stderr.txt"
        with self.stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", Path(__file__).with_name("process_workers.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=folder,
                env={
                    **kept,
                    "PYTHONPATH": str(PACKAGE.parent),
                    "MINIMAX_CONFIG_DIR": str(folder / "config"),
                    "MINIMAX_DATA_DIR": str(folder / "data"),
                    "MINIMAX_SECRETS_DIR": str(folder / "secrets"),
                },
                start_new_session=True,  # one group, to end whoever is left
            )
        self._told: queue.Queue[News] = queue.Queue()
        self._unread: list[News] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.expect(self._process.pid, at="ready")

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(5)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()

    def start(self, job: str, **options: object) -> int:
        """Starts a process; its id."""
        self._say({"job": job, **{name: _plain(value) for name, value in options.items()}})
        forked: int = self.expect(self._process.pid, at="forked")["forked"]
        return forked

    def expect(self, *pids: int, at: str) -> News:
        """The next thing that one of these processes tells of a place; others are kept for later."""
        deadline = time.monotonic() + PATIENCE_S
        for news in self._unread:
            if news["pid"] in pids and news["at"] == at:
                self._unread.remove(news)
                return news
        while True:
            try:
                news = self._told.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"nobody told of {at!r} but {self._unread}: {self.stderr.read_text()}")
            if news["pid"] in pids and news["at"] == at:
                return news
            self._unread.append(news)

    def result(self, pid: int) -> News:
        """What a process has done, after its end."""
        news = self.expect(pid, at="end")
        assert self.exit_code(pid) == 0, news
        return news

    def exit_code(self, pid: int) -> int:
        self._say({"wait": pid})
        code: int = self.expect(self._process.pid, at="ended")["code"]
        return code

    def run(self, job: str, **options: object) -> News:
        return self.result(self.start(job, **options))

    def has_told(self, pid: int, at: str) -> bool:
        while not self._told.empty():
            self._unread.append(self._told.get())
        return any(news["pid"] == pid and news["at"] == at for news in self._unread)

    def _say(self, line: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._told.put(json.loads(line))


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


@dataclass
class Shared:
    """A login on disk, as its server knows it."""

    server: Simulator
    path: Path
    first: TokenBundle

    def now(self) -> TokenBundle:
        """What is on disk: whole, or this fails."""
        return parse_bundle(self.path.read_text(), "the bundle")

    @property
    def counts(self) -> tuple[int, int]:
        """Refreshes done and refused."""
        account = self.server.account
        return account.refreshes, account.refused_refreshes


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    started = Workers(tmp_path_factory.mktemp("workers"))
    yield started
    started.close()
    said = started.stderr.read_text()  # warnings of the log, but no loose ends and no tokens
    assert [word for word in ("Traceback", "Warning:", "sim-at-", "sim-rt-") if word in said] == []


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def simulator(server: Simulator) -> Simulator:
    server.reset()
    server.account.refresh_delay_s = 0
    server.account.access_token_lifetime_s = LIFETIME_S
    return server


def shared(simulator: Simulator, folder: Path, left_s: float) -> Shared:
    """A login whose token has so much left, as far as the bundle says; its server gives it longer."""
    tokens, now = simulator.account.issue(client_id="a-client"), time.time()
    bundle = TokenBundle(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expires_at=utc(now + left_s),
        region=simulator.url,
        resource_url=f"{simulator.url}/anthropic",
        obtained_at=utc(now + left_s - LIFETIME_S),
        client_id="a-client",
    )
    file = BundleFile(folder / "secrets" / BUNDLE_FILE)
    file.write(bundle)
    return Shared(simulator, file.path, bundle)


@pytest.fixture
def nearly_over(simulator: Simulator, tmp_path: Path) -> Shared:
    """A login whose token is good for the next seconds, but due to be renewed."""
    return shared(simulator, tmp_path, NEARLY_OVER_S)


def access(bundle: TokenBundle) -> str:
    return digest(bundle.access_token.get_secret_value())


def all_at_once(workers: Workers, login: Shared, folder: Path) -> list[News]:
    """Many clients ask at the same moment, and the first may refresh when all others want to."""
    go, refresh_when = folder / "go", folder / "refresh"
    pids = [
        workers.start("chat", bundle=login.path, go=go, refresh_when=refresh_when)
        for _ in range(PROCESSES)
    ]
    for pid in pids:
        workers.expect(pid, at="ready")
    go.touch()
    for pid in pids:
        workers.expect(pid, at="refresh")
    refresh_when.touch()
    return [workers.result(pid) for pid in pids]


def killed(workers: Workers, login: Shared, step: str) -> None:
    pid = workers.start("chat", bundle=login.path, kill_at=step)
    assert workers.exit_code(pid) == -signal.SIGKILL


def check_private_and_whole(login: Shared) -> None:
    login.now()
    for file in (login.path, *leftovers(login.path)):
        assert file.stat().st_mode & 0o777 == 0o600, file


def check_usable(workers: Workers, login: Shared, **options: object) -> News:
    """A new process gets an answer, waits for no lock of the dead, and cleans up if it refreshes."""
    result = workers.run("chat", bundle=login.path, **options)
    assert result.get("text"), result
    assert result["took_s"] < PROMPT_S
    check_private_and_whole(login)
    return result


# ------------------------------------------------------------------------------- many at once


def test_one_of_many_processes_renews_a_token_that_is_nearly_over(
    workers: Workers, nearly_over: Shared, tmp_path: Path
) -> None:
    """Twenty processes that need a fresh token at once make one refresh, and all use its token."""
    nearly_over.server.account.refresh_delay_s = 0.3
    results = all_at_once(workers, nearly_over, tmp_path)
    assert [result for result in results if not result.get("text")] == []
    assert nearly_over.counts == (1, 0)
    fresh = access(nearly_over.now())
    assert fresh != access(nearly_over.first)
    assert [result["sent_with"] for result in results] == [[fresh]] * PROCESSES
    assert leftovers(nearly_over.path) == []


def test_one_of_many_processes_renews_a_token_that_the_server_refused(
    workers: Workers, simulator: Simulator, tmp_path: Path
) -> None:
    """Twenty processes whose token got a 401 make one refresh, and all their chats succeed."""
    login = shared(simulator, tmp_path, LIFETIME_S)
    simulator.account.expire_access_tokens()
    simulator.account.refresh_delay_s = 0.3
    results = all_at_once(workers, login, tmp_path)
    assert [result for result in results if not result.get("text")] == []
    assert login.counts == (1, 0)
    refused, fresh = access(login.first), access(login.now())
    assert [result["sent_with"] for result in results] == [[refused, fresh]] * PROCESSES


def test_a_killed_refresher_leaves_the_refresh_to_one_of_the_others(
    workers: Workers, nearly_over: Shared, tmp_path: Path
) -> None:
    """When the process that refreshes is killed, one of those who wait for it does it instead."""
    refresh_when = tmp_path / "refresh"
    first = workers.start(
        "chat", bundle=nearly_over.path, refresh_when=refresh_when, kill_at="before the request"
    )
    workers.expect(first, at="refresh")
    others = [workers.start("chat", bundle=nearly_over.path) for _ in range(5)]
    for pid in others:
        workers.expect(pid, at="refresh")
    assert nearly_over.counts == (0, 0)
    refresh_when.touch()
    assert workers.exit_code(first) == -signal.SIGKILL
    results = [workers.result(pid) for pid in others]
    assert nearly_over.counts == (1, 0)
    assert [result["sent_with"] for result in results] == [[access(nearly_over.now())]] * 5


# ------------------------------------------------------------------------------- killed


def test_every_step_of_a_refresh_is_among_those_tested() -> None:
    """The three groups of steps below are all there are."""
    assert sorted((*NOT_SENT, *LOST, *SAVED)) == sorted(KILLS)


@pytest.mark.parametrize("step", NOT_SENT)
def test_a_kill_before_the_server_was_asked_changes_nothing(
    workers: Workers, nearly_over: Shared, step: str
) -> None:
    """The old bundle stays, and the next process refreshes it."""
    killed(workers, nearly_over, step)
    assert nearly_over.counts == (0, 0)
    check_private_and_whole(nearly_over)
    assert nearly_over.now() == nearly_over.first
    result = check_usable(workers, nearly_over)
    assert nearly_over.counts == (1, 0)
    assert result["sent_with"] == [access(nearly_over.now())] != [access(nearly_over.first)]
    assert leftovers(nearly_over.path) == []


@pytest.mark.parametrize("step", LOST)
def test_a_kill_before_new_tokens_are_on_disk_costs_no_more_than_the_next_login(
    workers: Workers, nearly_over: Shared, step: str
) -> None:
    """The old token is used while it lasts, though its refresh token is used up; after that the error
    asks for a new login, and the file stays."""
    killed(workers, nearly_over, step)
    assert nearly_over.counts == (1, 0)
    check_private_and_whole(nearly_over)
    assert len(leftovers(nearly_over.path)) == (step != "before the answer")

    result = check_usable(workers, nearly_over)
    assert result["sent_with"] == [access(nearly_over.first)]
    assert nearly_over.counts == (1, 1)
    assert leftovers(nearly_over.path) == []

    result = workers.run("chat", bundle=nearly_over.path, later_s=NEARLY_OVER_S + 1)
    assert result["error"] == "CredentialInvalid"
    assert "%minimax login" in result["hint"]
    assert result["sent_with"] == []
    assert nearly_over.now() == nearly_over.first


@pytest.mark.parametrize("step", LOST)
def test_a_refused_token_whose_refresh_was_lost_asks_for_a_login(
    workers: Workers, nearly_over: Shared, step: str
) -> None:
    """A server that takes neither of the old tokens leads to the same error, and the file stays."""
    killed(workers, nearly_over, step)
    nearly_over.server.account.expire_access_tokens()
    result = workers.run("chat", bundle=nearly_over.path)
    assert result["error"] == "CredentialInvalid"
    assert "%minimax login" in result["hint"]
    assert result["took_s"] < PROMPT_S
    assert nearly_over.now() == nearly_over.first


@pytest.mark.parametrize("step", SAVED)
def test_a_kill_after_new_tokens_are_on_disk_loses_nothing(
    workers: Workers, nearly_over: Shared, step: str
) -> None:
    """The next process uses the new token, from the temporary file if it was not yet in its place, and
    the login goes on with the new refresh token."""
    killed(workers, nearly_over, step)
    assert nearly_over.counts == (1, 0)
    check_private_and_whole(nearly_over)
    left = leftovers(nearly_over.path)
    assert len(left) == (step == "temporary file complete")
    renewed = parse_bundle((left or [nearly_over.path])[0].read_text(), "the new bundle")
    assert renewed.refresh_token != nearly_over.first.refresh_token

    result = check_usable(workers, nearly_over)
    assert nearly_over.counts == (1, 0)
    assert result["sent_with"] == [access(renewed)]
    assert nearly_over.now() == renewed
    assert leftovers(nearly_over.path) == []

    result = check_usable(workers, nearly_over, later_s=LIFETIME_S)
    assert nearly_over.counts == (2, 0)
    assert result["sent_with"] == [access(nearly_over.now())] != [access(renewed)]


def test_new_tokens_of_a_killed_writer_help_whoever_has_none(
    workers: Workers, nearly_over: Shared
) -> None:
    """When the old token is over, those in a complete temporary file need no other refresh."""
    killed(workers, nearly_over, "temporary file complete")
    renewed = parse_bundle(leftovers(nearly_over.path)[0].read_text(), "the new bundle")
    result = check_usable(workers, nearly_over, later_s=NEARLY_OVER_S + 1)
    assert result["sent_with"] == [access(renewed)]
    assert nearly_over.counts == (1, 0)


# ------------------------------------------------------------------------------- stopped, reading


def test_a_stopped_holder_of_the_lock_does_not_hold_up_who_has_a_fresh_token(
    workers: Workers, simulator: Simulator, tmp_path: Path
) -> None:
    """Only who must refresh waits for the lock, and goes on as soon as the holder does."""
    login = shared(simulator, tmp_path, LIFETIME_S)
    stop = tmp_path / "stop"
    holder = workers.start("hold", bundle=login.path, stop=stop)
    workers.expect(holder, at="holding")
    os.kill(holder, signal.SIGSTOP)
    result = check_usable(workers, login)
    assert result["sent_with"] == [access(login.first)]
    waiting = workers.start("chat", bundle=login.path, later_s=LIFETIME_S)
    workers.expect(waiting, at="refresh")
    assert login.counts == (0, 0)
    assert not workers.has_told(waiting, at="end")
    stop.touch()
    os.kill(holder, signal.SIGCONT)
    assert workers.result(waiting)["sent_with"] == [access(login.now())]
    assert login.counts == (1, 0)
    workers.result(holder)


def test_a_reader_never_sees_half_a_bundle(
    workers: Workers, nearly_over: Shared, tmp_path: Path
) -> None:
    """While one process writes the bundle hundreds of times, others read it whole each time."""
    times, go, stop = 300, tmp_path / "go", tmp_path / "stop"
    writer = workers.start("rewrite", bundle=nearly_over.path, times=times, go=go)
    readers = [workers.start("look", bundle=nearly_over.path, stop=stop) for _ in range(2)]
    for pid in readers:
        workers.expect(pid, at="ready")
    go.touch()
    assert workers.result(writer)["written"] == times
    stop.touch()
    for pid in readers:
        result = workers.result(pid)
        assert "error" not in result, result
        assert result["reads"] >= result["seen"] > 10
    names = sorted(file.name for file in nearly_over.path.parent.iterdir())
    assert names == sorted([".gitignore", f".{BUNDLE_FILE}.lock", BUNDLE_FILE])
