"""A throw-away Jupyter server and a Chromium page opened on one notebook.

The system's Chromium is used; MM_CHROMIUM=/path/to/chromium names another. Everything that Jupyter
writes goes to a temporary folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SCREENSHOTS = ROOT / ".artifacts" / "screenshots"
CHROMIUM = os.environ.get("MM_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FRONT_ENDS = {"lab": ("lab", "lab/tree/"), "notebook": ("notebook", "notebooks/")}


class Server:
    """`jupyter lab` or `jupyter notebook` on a free port of this machine."""

    def __init__(self, kind: str, root: Path, settings: dict[str, Any]) -> None:
        self.command, self.prefix = FRONT_ENDS[kind]
        self.root = root
        self.work = root / "work"
        self.work.mkdir(parents=True)
        self.token = secrets.token_hex(16)
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        defaults = {
            "@jupyterlab/apputils-extension:notification": {
                "fetchNews": "false",
                "checkForUpdates": False,
            },
            # draw every cell, also those outside of the window
            "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
        }
        for plugin, value in {**defaults, **settings}.items():
            path = root / "settings" / f"{plugin.replace(':', '/')}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value))
        environ = {name: v for name, v in os.environ.items() if not name.startswith("MINIMAX_")}
        self.environ = {
            **environ,
            "HOME": str(root),
            "PYTHONPATH": str(ROOT),
            "JUPYTER_CONFIG_DIR": str(root / "cfg"),
            "JUPYTER_DATA_DIR": str(root / "data"),
            "JUPYTER_RUNTIME_DIR": str(root / "run"),
            "IPYTHONDIR": str(root / "ipython"),
            "JUPYTERLAB_SETTINGS_DIR": str(root / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(root / "workspaces"),
            "JUPYTER_TOKEN": self.token,  # here, so that it is not in the list of processes
        }

    def write(self, name: str, sources: list[str]) -> None:
        """A notebook with these code cells."""
        cells = [
            {
                "cell_type": "code",
                "id": f"c{place}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
            for place, source in enumerate(sources)
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        content = {
            "cells": cells,
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": kernel},
        }
        (self.work / name).write_text(json.dumps(content))

    def start(self) -> None:
        command = [sys.executable, "-m", "jupyter", self.command, "--no-browser"]
        command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self.port}"]
        command += ["--ServerApp.port_retries=0", f"--ServerApp.root_dir={self.work}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--allow-root")
        self.log = (self.root / "server.log").open("w")
        self.process = subprocess.Popen(
            command, env=self.environ, stdout=self.log, stderr=subprocess.STDOUT
        )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError((self.root / "server.log").read_text()[-2000:])
            try:
                self.api("status")
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
        raise TimeoutError("the server did not start")

    def api(self, path: str) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}",
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{self.prefix}{name}?token={self.token}"

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Notebook:
    """An open notebook; its selectors are those of JupyterLab 4 and Notebook 7 alike."""

    def __init__(self, page: Any, server: Server, name: str) -> None:
        self.page, self.server, self.name = page, server, name

    def open(self) -> Notebook:
        self.page.goto(self.server.url(self.name))
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        self._wait_ready()
        return self

    def _wait_ready(self) -> None:
        """Waits until cells can be run.

        The indicator is drawn as idle before there is a session, and a run key pressed then is
        dropped: a kernel with a connected front end is past that first "idle".
        """
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                sessions = self.server.api("sessions")
            except urllib.error.HTTPError as error:
                if error.code != 500:  # jupyter_server says so while a kernel is starting
                    raise
                sessions = []
            kernels = [each["kernel"] for each in sessions if each["path"].endswith(self.name)]
            if any(k["connections"] and k["execution_state"] == "idle" for k in kernels):
                self.page.wait_for_selector(
                    '.jp-Notebook-ExecutionIndicator[data-status="idle"]',
                    timeout=60_000,
                    state="attached",
                )
                return
            self.page.wait_for_timeout(100)
        raise TimeoutError("no connected idle kernel")

    def cell(self, place: int) -> Any:
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(place)

    def outputs(self, place: int) -> Any:
        return self.cell(place).locator(".jp-OutputArea-output")

    def text(self, place: int) -> str:
        return "\n".join(self.outputs(place).all_inner_texts())

    def run(self, place: int) -> None:
        self.cell(place).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")

    def wait_text(self, place: int, text: str, timeout_s: float = 30) -> None:
        """Waits until the outputs of a cell hold the text."""
        end = time.monotonic() + timeout_s
        while text not in self.text(place):
            assert time.monotonic() < end, f"{text!r} not in {self.text(place)!r}"
            self.page.wait_for_timeout(50)

    def wait_done(self, place: int) -> None:
        """Waits until the prompt shows [n], no longer [*] or [ ]."""
        self.page.wait_for_function(
            """i => /\\[\\d+\\]/.test(document.querySelectorAll('.jp-Notebook .jp-CodeCell')[i]
                     .querySelector('.jp-InputPrompt').textContent)""",
            arg=place,
            timeout=60_000,
        )

    def stop(self) -> None:
        """Presses the stop button of the toolbar."""
        self.page.locator(
            'jp-button[data-command="notebook:interrupt-kernel"], '
            '[data-command="notebook:interrupt-kernel"]'
        ).first.click()

    def shot(self, name: str, page: Any = None) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        (page or self.page).screenshot(path=SCREENSHOTS / f"{name}.png")

    def save(self) -> Any:
        path = self.server.work / self.name
        before = path.stat().st_mtime_ns
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        end = time.monotonic() + 15
        while path.stat().st_mtime_ns == before:
            assert time.monotonic() < end, "the notebook was not saved"
            time.sleep(0.1)
        time.sleep(0.3)
        return json.loads(path.read_text())


# for one module, not the session: while it lives there is a running event loop in this thread, and
# every `asyncio.run` of another test would fail
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium: apt-get install chromium, or set MM_CHROMIUM to its path")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS, headless=True)
        yield browser
        browser.close()


@pytest.fixture
def open_notebook(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Notebook]]:
    """`open_notebook("lab" | "notebook", [cell sources], settings=..., width=...)`."""
    with contextlib.ExitStack() as stack:

        def make(
            kind: str, sources: list[str], settings: dict[str, Any] | None = None, width: int = 1200
        ) -> Notebook:
            server = Server(kind, tmp_path / kind, settings or {})
            server.write("nb.ipynb", sources)
            server.start()
            stack.callback(server.stop)
            context = chromium.new_context(viewport={"width": width, "height": 1100})
            stack.callback(context.close)
            return Notebook(context.new_page(), server, "nb.ipynb").open()

        yield make


@pytest.fixture(scope="module")
def open_shared(
    chromium: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Notebook]]:
    """`open_shared("lab" | "notebook", name, [cell sources])`: the same on one server of each kind."""
    servers: dict[str, Server] = {}
    with contextlib.ExitStack() as stack:

        def make(kind: str, name: str, sources: list[str]) -> Notebook:
            if kind not in servers:
                servers[kind] = Server(kind, tmp_path_factory.mktemp(kind), {})
                servers[kind].start()
                stack.callback(servers[kind].stop)
            servers[kind].write(name, sources)
            context = chromium.new_context(viewport={"width": 1200, "height": 1100})
            stack.callback(context.close)
            return Notebook(context.new_page(), servers[kind], name).open()

        yield make
