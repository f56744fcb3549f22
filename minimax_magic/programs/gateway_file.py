"""Where running gateways say that they run, so that `env` finds them.

A file for each in the data folder, by its port, for its owner alone, since it holds the gateway's key.
A gateway that was killed leaves its file behind, and its port may be another program's by now: a file
counts only if whoever is at the port proves that it knows the key. The key itself is not sent for that.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from minimax_magic.auth.store import SecretStore, write_private
from minimax_magic.config_folders import label_of
from minimax_magic.errors import ConfigError, MinimaxError
from minimax_magic.masked import MaskedStr
from minimax_magic.transport import Transport
from minimax_magic.wire.address import is_loopback
from minimax_magic.wire.http import HttpRequest

NONCE_HEADER: Final = "x-minimax-nonce"
PROOF_HEADER: Final = "x-minimax-proof"
_ANSWER_S: Final = 2.0


def proof(key: str, nonce: str) -> str:
    """What a gateway answers to a nonce: only who knows its key can."""
    return _digest(key, f"gateway {nonce}")


def _digest(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(errors="replace"), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway as its file has it.

    Attributes:
        url: `http://127.0.0.1:49152`.
        root: The server that it sends requests on to.
        credential: Tells whether it sends a certain credential, see `sends`; nothing else can be
            learned from it.
    """

    url: str
    key: MaskedStr
    root: str
    credential: str

    def sends(self, identity: str) -> bool:
        """Whether it was started with the credential of this identity."""
        return hmac.compare_digest(_of_credential(self.key, identity), self.credential)


def _of_credential(key: str, identity: str) -> str:
    return _digest(key, f"credential {identity}")


class GatewayFiles:
    """The files of one data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir

    def __repr__(self) -> str:
        return f"GatewayFiles({label_of(self.folder, Path.cwd())!r})"

    def path(self, url: str) -> Path:
        """The file of the gateway at an address."""
        return self.folder / f"gateway-{urlsplit(url).port}.json"

    def write(self, url: str, key: str, root: str, identity: str) -> None:
        """Says that a gateway runs.

        Args:
            identity: What tells its credential from others; it is not written.

        Raises:
            ConfigError: The file cannot be written.
        """
        key = MaskedStr(key)
        told = {"url": url, "key": key, "root": root, "credential": _of_credential(key, identity)}
        path = self.path(url)
        write_private(path, json.dumps(told, indent=2).encode() + b"\n", label_of(path, Path.cwd()))

    def remove(self, url: str) -> None:
        """Says that the gateway at this address no longer runs."""
        self.path(url).unlink(missing_ok=True)

    def read(self) -> list[RunningGateway]:
        """What is in the files, the newest first; those with nothing of use in them are left out."""
        written = []
        for path in self.folder.glob("gateway-*.json"):
            try:
                written.append((path.stat().st_mtime, path))
            except FileNotFoundError:  # it has just ended
                continue
        found = (self._read(path) for _, path in sorted(written, reverse=True))
        return [gateway for gateway in found if gateway is not None]

    def _read(self, path: Path) -> RunningGateway | None:
        try:
            text = SecretStore(self.folder, label_of(self.folder, Path.cwd())).read(path.name)
        except ConfigError:  # no gateway wrote that
            return None
        if text is None:
            return None
        try:
            told = json.loads(text.get_secret_value())
            url = str(told["url"])
            gateway = RunningGateway(
                url=url,
                key=MaskedStr(told["key"]),
                root=str(told["root"]),
                credential=str(told["credential"]),
            )
            fits = is_loopback(urlsplit(url).hostname or "") and self.path(url) == path
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return gateway if fits else None

    async def running(self, transport: Transport) -> list[RunningGateway]:
        """The gateways that answer, the newest first."""
        found = self.read()
        return [*compress(found, await _run(found, transport))]

    async def remove_dead(self, transport: Transport) -> None:
        """Removes the files of gateways that no longer answer."""
        found = self.read()
        for gateway, runs in zip(found, await _run(found, transport), strict=True):
            if not runs:
                self.remove(gateway.url)


async def _run(gateways: Sequence[RunningGateway], transport: Transport) -> list[bool]:
    return await asyncio.gather(*(_runs(gateway, transport) for gateway in gateways))


async def _runs(gateway: RunningGateway, transport: Transport) -> bool:
    """Whether the gateway is still what is at its address."""
    nonce = secrets.token_hex(16)
    try:
        async with asyncio.timeout(_ANSWER_S):
            response = await transport.send(
                HttpRequest("HEAD", f"{gateway.url}/", {NONCE_HEADER: nonce})
            )
    except (MinimaxError, TimeoutError):
        return False
    given = response.headers.get(PROOF_HEADER, "")
    response.close()
    return hmac.compare_digest(given.encode(errors="replace"), proof(gateway.key, nonce).encode())
