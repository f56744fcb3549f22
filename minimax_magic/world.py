"""Where requests go: MiniMax as configured, or a simulator.

Each has its own credentials, chats and secrets, so that nothing made up ever goes to MiniMax, and no
real key to a simulator. Whoever does several things with one holds on to it: which one a session uses
may change from another thread.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from minimax_magic.auth.bundle_file import BUNDLE_FILE
from minimax_magic.auth.sources import (
    Candidate,
    Credential,
    Given,
    Login,
    candidates,
    find_credential,
)
from minimax_magic.auth.store import SecretStore
from minimax_magic.chats import Chats
from minimax_magic.config import AuthSettings, Settings
from minimax_magic.errors import CredentialsMissing, MinimaxError


class LocalServer(Protocol):
    """A running simulator: where it is and the key it takes."""

    @property
    def url(self) -> str: ...

    @property
    def key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Moved:
    """A key that was entered for another server than the configured one, and that server."""

    base_url: str
    key: SecretStr


class World:
    """One of them.

    Args:
        load: Reads the settings.
        simulator: None: the real one.

    Attributes:
        chats: The turns of each conversation by its name; complete turns only.
        session_key: An API key for this session alone, never on disk; None: none was entered.
        moved: Where cells go instead of the configured server, for as long as this key is what they
            use: no other is sent there. None: as configured.
    """

    def __init__(self, load: Callable[[], Settings], simulator: LocalServer | None = None) -> None:
        self.simulator = simulator
        self.chats = Chats()
        self.session_key: SecretStr | None = None
        self.moved: Moved | None = None
        self._load = load
        self._stores: dict[Path, SecretStore] = {}
        self._sandbox: Path | None = None
        if simulator is not None:
            # never real secrets, and gone with this process
            self._sandbox = Path(tempfile.mkdtemp(prefix="minimax-simulator-"))
            weakref.finalize(self, shutil.rmtree, self._sandbox, ignore_errors=True)

    def settings(self) -> Settings:
        """The settings as of now, with this server's address and secrets."""
        settings = self._load()
        if self.simulator is not None and self._sandbox is not None:
            folder = self._sandbox / "secrets"
            return replace(
                settings,
                base_url=self.simulator.url,
                sources={**settings.sources, "base_url": "the simulator"},
                auth=AuthSettings(bundle=folder / BUNDLE_FILE, region=self.simulator.url),
                secrets_dir=folder,
                secrets_label="the simulator's secrets",
            )
        moved = self.moved
        if moved is not None:
            sources = {**settings.sources, "base_url": "this session"}
            there = replace(settings, base_url=moved.base_url, sources=sources)
            if self._uses(moved.key, there):
                return there
        return settings

    def credential(self, settings: Settings) -> Credential | Login:
        """What is used now.

        Raises:
            MinimaxError: As of `find_credential`.
        """
        try:
            return find_credential(settings, given=self._given(), store=self.store(settings))
        except CredentialsMissing:
            if self.simulator is None:
                raise
            return Credential(SecretStr(self.simulator.key), "the simulator")

    def places(self, settings: Settings, now: float) -> tuple[Candidate, ...]:
        """Where that was looked for, in order."""
        store = self.store(settings)
        found = tuple(candidates(settings, given=self._given(), store=store, now=now))
        if self.simulator is None:
            return found
        used = not any(place.used or place.problem for place in found)
        own = Candidate("the simulator's own key", found=True, used=used, shown="...")
        return (*found, own)

    def store(self, settings: Settings) -> SecretStore:
        """The secrets folder, kept so that it warns only once."""
        folder = settings.secrets_dir
        return self._stores.setdefault(folder, SecretStore(folder, settings.secrets_label))

    def _uses(self, key: SecretStr, settings: Settings) -> bool:
        try:
            used = self.credential(settings)
        except MinimaxError:
            return False
        return isinstance(used, Credential) and used.secret == key

    def _given(self) -> Given:
        return Given(session_key=self.session_key, files_only=self.simulator is not None)
