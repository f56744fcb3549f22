"""Mends aioresponses for aiohttp 3.14, whose ClientResponse wants one more argument.

See https://github.com/pnuckowski/aioresponses/issues/289; to be dropped with the release that has it.
"""

from __future__ import annotations

import inspect
from typing import Any
from unittest.mock import Mock

import aioresponses.core
from aiohttp import ClientResponse

if "stream_writer" in inspect.signature(ClientResponse.__init__).parameters:

    class _MendedResponse(ClientResponse):
        def __init__(self, *args: Any, **options: Any) -> None:
            options.setdefault("stream_writer", Mock(output_size=0))
            super().__init__(*args, **options)

    aioresponses.core.ClientResponse = _MendedResponse
