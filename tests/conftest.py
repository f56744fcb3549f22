"""What tests of several folders use: folders and variables of their own, and aioresponses, mended."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aioresponses.core
import pytest
from aiohttp import ClientResponse

# aiohttp 3.14's ClientResponse wants one more argument than aioresponses gives:
# https://github.com/pnuckowski/aioresponses/issues/289; to be dropped with the release that has it
if "stream_writer" in inspect.signature(ClientResponse.__init__).parameters:

    class _MendedResponse(ClientResponse):
        def __init__(self, *args: Any, **options: Any) -> None:
            options.setdefault("stream_writer", Mock(output_size=0))
            super().__init__(*args, **options)

    aioresponses.core.ClientResponse = _MendedResponse


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Isolates from the machine and gives a function that sets variables of ours."""
    for name in [*os.environ]:
        if name.startswith("MINIMAX_"):
            monkeypatch.delenv(name)
    for name in ("config", "secrets", "data"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"MINIMAX_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.chdir(tmp_path)

    def set_variables(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"MINIMAX_{name.upper()}", value)

    set_variables(requests_per_second="0", ledger=":memory:")
    return set_variables


@pytest.fixture(autouse=True)
def no_ledger_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test asks is not written into the ledger of whoever runs it."""
    monkeypatch.setenv("MINIMAX_LEDGER", ":memory:")
