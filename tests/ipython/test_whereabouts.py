"""Which notebook and which kernel a shell is in."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from minimax_magic.ipython.whereabouts import kernel_of, notebook_of, somebody_is_there


def shell(connection_file: str | None = None, **names: Any) -> Any:
    """As much of a shell as is asked."""
    kernel = None
    if connection_file is not None:
        kernel = SimpleNamespace(parent=SimpleNamespace(connection_file=connection_file))
    return SimpleNamespace(user_ns=names, kernel=kernel)


def test_a_notebook_of_vs_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """VS Code's name of the notebook is in the namespace, and goes first."""
    monkeypatch.setenv("JPY_SESSION_NAME", "/work/other.ipynb")
    assert notebook_of(shell(__vsc_ipynb_file__="/home/a/mine.ipynb")) == "/home/a/mine.ipynb"


def test_a_notebook_of_jupyter(monkeypatch: pytest.MonkeyPatch) -> None:
    """jupyter_server tells the name in the kernel's environment."""
    monkeypatch.setenv("JPY_SESSION_NAME", "/work/größe.ipynb")
    assert notebook_of(shell("kernel-1.json")) == "/work/größe.ipynb"


@pytest.mark.parametrize("name", [None, ""])
def test_no_notebook(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    """In a terminal, and where nobody says it, there is none."""
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    if name is not None:
        monkeypatch.setenv("JPY_SESSION_NAME", name)
    assert notebook_of(shell()) is None
    assert notebook_of(shell(__vsc_ipynb_file__="")) is None


@pytest.mark.parametrize(
    ("file", "kernel"),
    [
        ("/run/jupyter/kernel-8f14e45f-ceea-467a-9b7c.json", "8f14e45f-ceea-467a-9b7c"),
        ("kernel-4711.json", "4711"),
        ("/tmp/mine.json", "mine"),
    ],
)
def test_a_kernel(file: str, kernel: str) -> None:
    """A kernel's id is in the name of its connection file, which a restart keeps."""
    assert kernel_of(shell(file)) == kernel


def test_no_kernel() -> None:
    """A terminal has none, nor has one inside another program, without a connection file."""
    assert kernel_of(shell()) is None
    assert kernel_of(shell("")) is None
    assert kernel_of(SimpleNamespace(user_ns={}, kernel=SimpleNamespace())) is None
    assert kernel_of(SimpleNamespace(user_ns={})) is None


@pytest.mark.parametrize(
    ("content", "there"),
    [({"allow_stdin": True}, True), ({"allow_stdin": False}, False), ({}, False), (None, False)],
)
def test_somebody_at_a_kernel(content: Any, there: bool) -> None:
    """The front end says with each cell whether it can ask; a request that says nothing cannot."""
    parent = {} if content is None else {"content": content}
    assert (
        somebody_is_there(SimpleNamespace(kernel=SimpleNamespace(get_parent=lambda: parent)))
        is there
    )


def test_somebody_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a kernel it is the terminal that counts; a pipe and no input at all are nobody."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stdin, there in ((Terminal(), True), (io.StringIO(), False), (None, False)):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert somebody_is_there(SimpleNamespace()) is there
