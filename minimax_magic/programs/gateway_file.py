"""Where a running gateway says that it runs, so that `env` finds it.

A file in the data folder, for its owner alone, since it holds the gateway's key. A gateway that was
killed leaves its file behind, and its port may be another program's by now: a file counts only if
whoever is at the port gives the id that is in it. The key is not sent to find that out.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
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

NAME: Final = "gateway.json"
ID_HEADER: Final = "x-minimax-gateway"
_ANSWER_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway as its file has it.

    Attributes:
        url: `http://127.0.0.1:49152`.
        root: The server that it sends requests on to.
        pid: Of its process, for people.
        id: What it answers in the header `ID_HEADER`.
        credential: What it sends: `login` or `key`.
    """

    url: str
    key: MaskedStr
    root: str
    pid: int
    id: str
    credential: str


class GatewayFile:
    """The file of one data folder. The last gateway that was started is the one in it."""

    def __init__(self, data_dir: Path, label: str | None = None) -> None:
        self.path = data_dir / NAME
        self.label = label or label_of(self.path, Path.cwd())

    def __repr__(self) -> str:
        return f"GatewayFile({self.label!r})"

    def write(self, *, url: str, key: str, root: str, id: str, credential: str) -> None:  # noqa: A002
        """Says that the gateway of this process runs.

        Raises:
            ConfigError: The file cannot be written.
        """
        told = {
            "url": url,
            "key": MaskedStr(key),
            "root": root,
            "pid": os.getpid(),
            "id": id,
            "credential": credential,
        }
        write_private(self.path, json.dumps(told, indent=2).encode() + b"\n", self.label)

    def remove(self, id: str) -> None:  # noqa: A002 - the name of the field
        """Says that it no longer runs; what another gateway has written since stays."""
        found = self.read()
        if found is not None and found.id == id:
            self.path.unlink(missing_ok=True)

    def read(self) -> RunningGateway | None:
        """What is in the file; None if there is none, or nothing of use in it."""
        try:
            text = SecretStore(self.path.parent, str(Path(self.label).parent)).read(self.path.name)
        except ConfigError:  # no gateway wrote that
            return None
        if text is None:
            return None
        try:
            told = json.loads(text.get_secret_value())
            running = RunningGateway(
                url=str(told["url"]),
                key=MaskedStr(told["key"]),
                root=str(told["root"]),
                pid=int(told["pid"]),
                id=str(told["id"]),
                credential=str(told["credential"]),
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return running if is_loopback(urlsplit(running.url).hostname or "") else None

    async def running(self, transport: Transport) -> RunningGateway | None:
        """The gateway of the file, if it answers; None if there is none, or it is gone."""
        found = self.read()
        if found is None:
            return None
        try:
            # without a key: whoever is at that port now need not be a gateway
            response = await transport.send(
                HttpRequest("HEAD", f"{found.url}/", {}, silence_s=_ANSWER_S)
            )
        except MinimaxError:
            return None
        try:
            return found if response.headers.get(ID_HEADER) == found.id else None
        finally:
            response.close()
