"""Signing in and out, as the panel and the text commands do it: puts region, file and account together.

What to show is for others; here are the choices, the steps and the words for the result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from minimax_magic.assembly import USER_AGENT
from minimax_magic.auth.bundle import TokenBundle
from minimax_magic.auth.bundle_file import BUNDLE_FILE, BundleFile
from minimax_magic.auth.choices import Choice, SignedIn, Way
from minimax_magic.auth.exchange import AccountClient
from minimax_magic.auth.key_check import check_key
from minimax_magic.auth.login import OnState, begin_login
from minimax_magic.auth.oauth import DeviceCode, client_profile
from minimax_magic.auth.regions import NAMED_REGIONS, Region
from minimax_magic.auth.sources import (
    KEY_FILE,
    Credential,
    Login,
    StaticKey,
    bundle_file,
    bundle_files,
    clean_key,
    masked,
    region_of,
    user_secrets_dir,
)
from minimax_magic.clock import Clock, SystemClock
from minimax_magic.config import Settings, load_settings
from minimax_magic.config_folders import absolute, label_of
from minimax_magic.errors import CredentialInvalid, MinimaxError
from minimax_magic.render.usage_table import percent_words
from minimax_magic.session import Session
from minimax_magic.transport import AiohttpTransport, Transport
from minimax_magic.usage.account import AccountReader
from minimax_magic.wire.address import resolve_endpoint
from minimax_magic.wire.remains import Quota
from minimax_magic.words import duration
from minimax_magic.world import LocalServer, Moved, World

SIMULATOR: Final = "simulator"
_QUOTA_S: Final = 5.0


async def login(
    region: str | None = None,
    bundle: str | Path | None = None,
    on_code: Callable[[DeviceCode], None] | None = None,
    timeout_s: float | None = 900.0,
    *,
    on_state: OnState = lambda state: None,
    transport: Transport | None = None,
    clock: Clock | None = None,
) -> TokenBundle:
    """Signs in with a Token Plan and stores the bundle; for programs, notebooks have `%minimax login`.

    Args:
        region: `global`, `china`, or the address of an API root; None: as configured, global if it is
            not.
        bundle: Where to store it; None: as configured, `./secrets/minimax_token_plan.json` if not.
        on_code: Shows the person `.user_code` and `.verification_uri`, good until `.expires_at`; None:
            prints them.
        timeout_s: Give up after so long, if the code does not expire before; None: no limit.
        on_state: Told in a sentence what goes on.
        transport, clock: For tests.

    Raises:
        LoginDenied, LoginExpired: The person said no, or nothing in time.
        MinimaxError: There is no code to be had, or the bundle cannot be stored.
    """
    settings = load_settings()
    clock, transport = clock or SystemClock(), transport or AiohttpTransport()
    file = (
        bundle_files(settings)[0]
        if bundle is None
        else bundle_file(settings, absolute(bundle, settings.start))
    )
    try:
        region = region or configured_region(settings) or "global"
        pending = await begin_login(_account(settings, region, transport, clock), file, clock)
        (on_code or _print_code)(pending.code)
        return await pending.wait(on_state, timeout_s)
    finally:
        await transport.close()


def configured_region(settings: Settings) -> str | None:
    """The region, or the server, that the settings name; None if they name none."""
    if settings.auth.region is None and settings.sources["base_url"] != "default":
        return settings.base_url
    return settings.auth.region


def _print_code(code: DeviceCode) -> None:
    print(f"Open {code.verification_uri}\nand confirm the code {code.user_code}.")


def _account(settings: Settings, region: str, transport: Transport, clock: Clock) -> AccountClient:
    profile = client_profile(settings.auth.client_id, settings.auth.scope)
    return AccountClient(region_of(settings, region), profile, transport, clock, USER_AGENT)


class SignIn:
    """One session's side of the login panel. Its coroutines may run on the background loop.

    Args:
        start_simulator: Starts it, or gives the one that runs. The session goes on as before until a
            login there has succeeded.
    """

    def __init__(self, session: Session, start_simulator: Callable[[], LocalServer]) -> None:
        self._session = session
        self._start_simulator = start_simulator

    # --------------------------------------------------------------------------------- choices

    def regions(self) -> list[Choice]:
        """Where one can sign in; what is configured comes first."""
        known = [
            Choice(name, name.capitalize(), urlsplit(root).netloc)
            for name, root in NAMED_REGIONS.items()
        ]
        simulator = Choice(SIMULATOR, "Simulator", "on this machine, to try it; keeps nothing")
        if self._session.simulator is not None:
            return [simulator, *known]
        settings = self._session.real.settings()
        wanted = configured_region(settings)
        if wanted is None:
            return [*known, simulator]
        region = region_of(settings, wanted)
        roots = {root: name for name, root in NAMED_REGIONS.items()}
        first = next((c for c in known if c.value == roots.get(region.root)), None)
        if first is None:
            first = Choice(region.root, region.name, urlsplit(region.root).netloc)
        return [first, *(choice for choice in known if choice is not first), simulator]

    def places(self, way: Way) -> list[Choice]:
        """Where a credential can be kept."""
        settings = self._session.real.settings()
        if way == "key":
            return [
                Choice("project", "This project", f"{settings.secrets_label}/{KEY_FILE}"),
                Choice("session", "This session only", "in memory, until the kernel ends"),
            ]
        if settings.auth.bundle is not None:
            return [Choice("project", "As configured", bundle_files(settings)[0].label)]
        return [
            Choice("project", "This project", self._bundle_file(settings, "project").label),
            Choice(
                "user", "All my notebooks", label_of(user_secrets_dir(settings), settings.start)
            ),
        ]

    # ----------------------------------------------------------------------------------- steps

    async def begin(self, region: str, place: str) -> Pending:
        """Gets a code to approve; see `begin_login` for errors."""
        session, (world, address) = self._session, self._target(region)
        settings = world.settings()
        file = self._bundle_file(settings, place)
        account = _account(settings, address, session.account_transport, session.clock)
        pending = await begin_login(account, file, session.clock)

        async def wait(on_state: OnState) -> SignedIn:
            bundle = await pending.wait(on_state)
            notes = self._use(world)
            return await self._signed_in(world, file, account.region, bundle, notes)

        return Pending(pending.code, wait)

    async def use_key(self, key: SecretStr, region: str, place: str) -> SignedIn:
        """Checks an API key and keeps it.

        Raises:
            CredentialInvalid: The server does not take it.
            ConfigError: It is no key, or cannot be stored.
            APIConnectionError: The server cannot be reached.
        """
        key = clean_key(key, "the input")
        world, address = self._target(region)
        settings = world.settings()
        where = region_of(settings, address)
        sure = await self._check(key, where, world)
        store = world.store(settings)
        if place == "project":
            store.write(KEY_FILE, key)
        notes = self._use(world, key if place == "session" else None)
        if not sure:
            notes.append("The server would not say whether the key is right.")
        if self._move_to(world, where, key):
            notes.append(
                f"Other notebooks need `base_url: {where.root}` in {settings.config_label}/llm.yaml."
            )
        source = store.label_of(KEY_FILE) if place == "project" else ""
        usable, more = self._standing(
            world,
            lambda used: isinstance(used, Credential) and used.secret == key,
            source,
            left_out_by="token_plan",
        )
        stored = source if source and world.simulator is None else "memory, until the kernel ends"
        facts = (
            ("Region", _region_words(world, where)),
            ("Key", masked(key)),
            ("Stored in", stored),
        )
        title = f"The API key for {_server_words(world, where)} is ready"
        return SignedIn(title, facts, " ".join([*notes, *more]), usable)

    async def _check(self, key: SecretStr, where: Region, world: World) -> bool:
        session = self._session
        try:
            return await check_key(
                key, where.root, session.account_transport, USER_AGENT, session.clock.time()
            )
        except CredentialInvalid as error:
            if world.simulator is not None:
                error.hint = f"The simulator takes the key {world.simulator.key}."
            raise

    def _target(self, region: str) -> tuple[World, str]:
        """What a region is part of, and its address or name."""
        if region != SIMULATOR:
            return self._session.real, region
        server = self._start_simulator()
        return self._session.world_of(server), server.url

    def _use(self, world: World, session_key: SecretStr | None = None) -> list[str]:
        """Makes the session use what was just signed in with; what there is to say about that."""
        session = self._session
        ended = session.simulator is not None and world is session.real
        session.world = world
        world.session_key = session_key
        world.moved = None
        session.tell_of_account()
        return ["The simulator is not used any more."] if ended else []

    def _move_to(self, world: World, where: Region, key: SecretStr) -> bool:
        """Whether cells now go to another server than the configured one, which they only do with the
        key that was entered for it."""
        if world.simulator is not None or _root(world) == where.root:
            return False
        world.moved = Moved(where.root, key)
        return _root(world) == where.root

    async def log_out(self) -> list[str]:
        """Deletes the login that is in use, or forgets the key of this session; what was done, in
        sentences.

        The token itself ends by its own time: MiniMax has no known way to revoke it earlier.

        Raises:
            ConfigError: The file cannot be deleted.
        """
        session, said = self._session, []
        world = session.world
        world.moved = None  # whatever was entered for another server is over
        if world.session_key is not None:
            world.session_key = None
            said.append("The API key of this session is forgotten.")
        file = self.stored_login()
        if file is not None:
            async with file.lock(session.clock):
                file.remove()
            said.append(
                f"{file.label} is deleted. Its token ends by itself; MiniMax offers no way to end it "
                "earlier."
            )
            if (other := self.stored_login()) is not None:
                said.append(
                    f"There is another login, in {other.label}: log out again to remove it."
                )
        return said

    def stored_login(self) -> BundleFile | None:
        """The file of the login that comes first, damaged or not; None if there is no login."""
        files = bundle_files(self._session.settings())
        return next((file for file in files if file.path.exists()), None)

    # ------------------------------------------------------------------------------- the words

    def _bundle_file(self, settings: Settings, place: str) -> BundleFile:
        if settings.auth.bundle is not None:  # the simulator's is, too
            return bundle_files(settings)[0]
        folder = user_secrets_dir(settings) if place == "user" else settings.secrets_dir
        return bundle_file(settings, folder / BUNDLE_FILE)

    async def _signed_in(
        self, world: World, file: BundleFile, region: Region, bundle: TokenBundle, notes: list[str]
    ) -> SignedIn:
        left = bundle.seconds_left(self._session.clock.time())
        renewed = "renewed by itself" if bundle.refresh_token else "cannot be renewed"
        facts = [
            ("Region", _region_words(world, region)),
            ("Token", f"valid for {duration(left)}, {renewed}"),
            ("Server", region.base_url(bundle.resource_url)),
        ]
        quota = await self._quota(region, bundle)
        if quota is not None:
            facts.append(("Plan", quota_words(quota)))
        stored = file.label if world.simulator is None else "a temporary folder, for this session"
        facts.append(("Stored in", stored))
        usable, more = self._standing(
            world,
            lambda used: isinstance(used, Login) and used.file.path == file.path,
            file.label,
            left_out_by="static",
        )
        title = f"Signed in to {_server_words(world, region)}"
        return SignedIn(title, tuple(facts), " ".join([*notes, *more]), usable)

    def _standing(
        self,
        world: World,
        ours: Callable[[Credential | Login], bool],
        source: str,
        *,
        left_out_by: str,
    ) -> tuple[bool, list[str]]:
        """Whether cells use what was just stored, and what may surprise about that.

        Args:
            ours: Tells it from other credentials.
            source: The place that it was stored in; empty for none.
            left_out_by: The `auth.mode` that does not look there.
        """
        settings = world.settings()
        problem = ""
        try:
            used = world.credential(settings)
        except MinimaxError as error:
            used, problem = None, str(error)
        if used is not None and ours(used):
            if world.simulator is None:
                return True, []
            return True, ["Answers are made up; `%minimax simulator off` goes back to MiniMax."]
        if settings.auth.mode == left_out_by:
            return False, [f"It is not used, since auth.mode in llm.yaml is {left_out_by}."]
        now = self._session.clock.time()
        places = world.places(settings, now)
        problem = next((p.problem for p in places if p.source == source and p.problem), problem)
        if problem or used is None:
            return False, [f"It is not used yet: {problem}"]
        if isinstance(used, Login):
            return False, [
                f"Cells use the login in {used.source} instead: `%minimax logout` removes it."
            ]
        return False, [
            f"Cells use the API key from {used.source} instead: remove it to use this one."
        ]

    async def _quota(self, region: Region, bundle: TokenBundle) -> Quota | None:
        """What is left of the plan; None if that cannot be read: the login is good all the same."""
        session = self._session
        root = resolve_endpoint(region.base_url(bundle.resource_url)).root
        auth = StaticKey(Credential(bundle.access_token, "the login"))
        transport, clock = session.account_transport, session.clock
        reader = AccountReader(root, auth, transport, clock, USER_AGENT, "plan")
        try:
            async with asyncio.timeout(_QUOTA_S):
                return await reader.quota()
        except TimeoutError:
            return None
        except MinimaxError:
            return None
        except asyncio.CancelledError:
            # the login is stored and in use by now: what is cancelled is this question alone
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            return None


@dataclass(frozen=True, slots=True)
class Pending:
    """A login that waits for a person.

    Attributes:
        code: What to show.
        wait: Returns when it was approved, stored and is used; is told what to call with a sentence.
    """

    code: DeviceCode
    wait: Callable[[OnState], Coroutine[Any, Any, SignedIn]] = field(repr=False)


def _root(world: World) -> str:
    return resolve_endpoint(world.settings().base_url).root


def _server_words(world: World, region: Region) -> str:
    return "the simulator" if world.simulator is not None else urlsplit(region.root).netloc


def _region_words(world: World, region: Region) -> str:
    host = urlsplit(region.root).netloc
    name = "Simulator" if world.simulator is not None else region.name
    return f"{name} ({host})" if name != host else host


def quota_words(quota: Quota) -> str:
    """`Token Plan Plus: 5 hours 93 % left, week 70 % left`."""
    said = [
        f"{window.name} {percent_words(window)}"
        for window in quota.windows
        if window.remaining_percent is not None or not window.limited
    ]
    words = ", ".join(said) or "nothing said of what is left"
    return f"{quota.plan}: {words}" if quota.plan else words
