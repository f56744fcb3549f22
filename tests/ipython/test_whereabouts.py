"""Which notebook and which kernel a shell is in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from minimax_magic.ipython.whereabouts import kernel_of, notebook_of


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
