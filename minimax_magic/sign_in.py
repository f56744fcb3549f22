"""Signing in and out, as the panel and the text commands do it: puts region, file and account together.

What to show is for others; here are the choices, the steps and the words for the result.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
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
    Login,
    bundle_file,
    bundle_files,
    clean_key,
    masked,
    region_of,
    user_secrets_dir,
)
from minimax_magic.auth.store import SecretStore
from minimax_magic.clock import Clock, SystemClock
from minimax_magic.config import Settings, load_settings
from minimax_magic.config_folders import absolute, label_of
from minimax_magic.errors import CredentialInvalid, MinimaxError
from minimax_magic.masked import MaskedStr
from minimax_magic.session import Session
from minimax_magic.text import duration
from minimax_magic.transport import AiohttpTransport, Transport
from minimax_magic.wire.address import checked_url, resolve_endpoint
from minimax_magic.wire.failures import parse_json
from minimax_magic.wire.http import HttpRequest
from minimax_magic.wire.remains import REMAINS_PATH, Quota, read_remains

if TYPE_CHECKING:
    from minimax_magic.session import LocalServer

SIMULATOR: Final = "simulator"
_QUOTA_SILENCE_S: Final = 5.0


async def login(
    region: str = "global",
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
        region: `global`, `china`, or the address of an API root.
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
        pending = await begin_login(_account(settings, region, transport, clock), file, clock)
        (on_code or _print_code)(pending.code)
        return await pending.wait(on_state, timeout_s)
    finally:
        await transport.close()


def _print_code(code: DeviceCode) -> None:
    print(f"Open {code.verification_uri}\nand confirm the code {code.user_code}.")


def _account(settings: Settings, region: str, transport: Transport, clock: Clock) -> AccountClient:
    profile = client_profile(settings.auth.client_id, settings.auth.scope)
    return AccountClient(region_of(settings, region), profile, transport, clock, USER_AGENT)


class SignIn:
    """One session's side of the login panel. Its coroutines may run on the background loop.

    Args:
        start_simulator: Starts it, or gives the one that runs, and makes it the session's server.
        stop_simulator: Ends it.
    """

    def __init__(
        self,
        session: Session,
        start_simulator: Callable[[], LocalServer],
        stop_simulator: Callable[[], None],
    ) -> None:
        self._session = session
        self._start_simulator = start_simulator
        self._stop_simulator = stop_simulator

    # --------------------------------------------------------------------------------- choices

    def regions(self) -> list[Choice]:
        """Where one can sign in; what is configured comes first."""
        known = [
            Choice(name, name.capitalize(), urlsplit(root).netloc)
            for name, root in NAMED_REGIONS.items()
        ]
        simulator = Choice(SIMULATOR, "Simulator", "on this machine, to try it")
        if self._session.simulator is not None:
            return [simulator, *known]
        settings = self._session.real_settings()
        wanted = settings.auth.region
        if wanted is None and settings.sources["base_url"] != "default":
            wanted = settings.base_url
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
        settings = self._session.real_settings()
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
        session = self._session
        settings, address, undo = self._server(region)
        file = (
            bundle_files(settings)[0] if region == SIMULATOR else self._bundle_file(settings, place)
        )
        async with _undone_if_it_fails(undo):
            account = _account(settings, address, session.account_transport, session.clock)
            pending = await begin_login(account, file, session.clock)

        async def wait(on_state: OnState) -> SignedIn:
            async with _undone_if_it_fails(undo):
                bundle = await pending.wait(on_state)
            await self._settle(region)
            return await self._signed_in(file, account.region, bundle)

        return Pending(pending.code, wait)

    async def use_key(self, key: SecretStr, region: str, place: str) -> SignedIn:
        """Checks an API key and keeps it.

        Raises:
            CredentialInvalid: The server does not take it.
            ConfigError: It is no key, or cannot be stored.
            APIConnectionError: The server cannot be reached.
        """
        session = self._session
        key = clean_key(key, "the panel")
        settings, address, undo = self._server(region)
        store = SecretStore(settings.secrets_dir, settings.secrets_label)
        async with _undone_if_it_fails(undo):
            where = region_of(settings, address)
            sure = await self._check(key, where)
            if place == "project":
                store.write(KEY_FILE, key)
        await self._settle(region, key if place == "session" else None)
        notes = [] if sure else ["The server would not say whether the key is right."]
        if region != SIMULATOR and self._configured_root() != where.root:
            session.base_url = where.root
            notes.append(
                f"Other notebooks need `base_url: {where.root}` in {settings.config_label}/llm.yaml."
            )
        facts = (
            ("Region", self._region_words(where)),
            ("Key", masked(key)),
            (
                "Stored in",
                store.label_of(KEY_FILE) if place == "project" else "memory, for this session",
            ),
        )
        usable, more = self._standing(region)
        title = f"The API key for {self._server_words(where)} is ready"
        return SignedIn(title, facts, " ".join([*notes, *more]), usable)

    async def _check(self, key: SecretStr, where: Region) -> bool:
        session, server = self._session, self._session.simulator
        try:
            return await check_key(
                key, where.root, session.account_transport, USER_AGENT, session.clock.time()
            )
        except CredentialInvalid as error:
            if server is not None and self._is_simulator(where):
                error.hint = f"The simulator takes the key {server.key}."
            raise

    def _server(self, region: str) -> tuple[Settings, str, Callable[[], None] | None]:
        """The settings and the address for a region, and how to undo what that took: the simulator is
        started for it."""
        session = self._session
        if region != SIMULATOR:
            return session.real_settings(), region, None
        undo = self._stop_simulator if session.simulator is None else None
        server = self._start_simulator()
        return session.settings(), server.url, undo

    async def log_out(self) -> list[str]:
        """Deletes the login that is in use, or forgets the key of this session; what was done, in
        sentences.

        The token itself ends by its own time: MiniMax has no known way to revoke it earlier.

        Raises:
            ConfigError: The file cannot be deleted.
        """
        session, said = self._session, []
        if session.session_key is not None:
            session.session_key = None
            if session.simulator is None:
                session.base_url = None  # it was that key's
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
        if settings.auth.bundle is not None:
            return bundle_files(settings)[0]
        folder = user_secrets_dir(settings) if place == "user" else settings.secrets_dir
        return bundle_file(settings, folder / BUNDLE_FILE)

    def _configured_root(self) -> str:
        return resolve_endpoint(self._session.real_settings().base_url).root

    async def _settle(self, region: str, session_key: SecretStr | None = None) -> None:
        """Makes the session use what was just signed in with."""
        if region != SIMULATOR and self._session.simulator is not None:
            await asyncio.to_thread(self._stop_simulator)
        self._session.session_key = session_key
        self._session.base_url = None

    async def _signed_in(self, file: BundleFile, region: Region, bundle: TokenBundle) -> SignedIn:
        left = bundle.seconds_left(self._session.clock.time())
        renewed = "renewed by itself" if bundle.refresh_token else "cannot be renewed"
        facts = [
            ("Region", self._region_words(region)),
            ("Token", f"valid for {duration(left)}, {renewed}"),
            ("Server", region.base_url(bundle.resource_url)),
        ]
        quota = await self._quota(region, bundle)
        if quota is not None:
            facts.append(("Plan", quota_words(quota)))
        facts.append(("Stored in", file.label))
        where = SIMULATOR if self._is_simulator(region) else region.root
        usable, notes = self._standing(where, file)
        title = f"Signed in to {self._server_words(region)}"
        return SignedIn(title, tuple(facts), " ".join(notes), usable)

    def _is_simulator(self, region: Region) -> bool:
        server = self._session.simulator
        return server is not None and region.root == server.url

    def _server_words(self, region: Region) -> str:
        return "the simulator" if self._is_simulator(region) else urlsplit(region.root).netloc

    def _region_words(self, region: Region) -> str:
        host = urlsplit(region.root).netloc
        name = "Simulator" if self._is_simulator(region) else region.name
        return f"{name} ({host})" if name != host else host

    def _standing(self, region: str, file: BundleFile | None = None) -> tuple[bool, list[str]]:
        """Whether a cell can be run now, and what may surprise about what it uses.

        Args:
            file: Of a login; None: it was a key.
        """
        if region == SIMULATOR:
            return True, ["Answers are made up; `%minimax simulator off` goes back to MiniMax."]
        static = self._session.real_settings().auth.mode == "static"
        if file is not None and static:
            unused = "It is not used: auth.mode in llm.yaml is static, which means API keys only."
        else:
            places = self._session.status().places
            problem = next((p.problem for p in places if file and p.source == file.label), "")
            unused = f"It is not used yet: {problem}" if problem else ""
        try:
            used = self._session.credential()
        except MinimaxError as error:
            return False, [unused or f"It is not used yet: {error}"]
        if unused:
            return True, [unused]
        if isinstance(used, Login):
            ours = file is not None and used.file.path == file.path
            return True, (
                []
                if ours
                else [f"The login in {used.source} goes first: `%minimax logout` removes it."]
            )
        ours = file is None and (used.source == "this session" or used.source.endswith(KEY_FILE))
        return True, [] if ours else [f"The key from {used.source} goes first: unset it."]

    async def _quota(self, region: Region, bundle: TokenBundle) -> Quota | None:
        """What is left of the plan; None if that cannot be read: the login is good all the same."""
        base_url = region.base_url(bundle.resource_url)
        parts = checked_url(base_url)
        url = f"{parts.scheme}://{parts.netloc}{REMAINS_PATH}"
        headers = {
            "Authorization": MaskedStr(f"Bearer {bundle.access_token.get_secret_value()}"),
            "Accept": "application/json",
            "User-Agent": USER_AGENT,
        }
        try:
            response = await self._session.account_transport.send(
                HttpRequest("GET", url, headers, silence_s=_QUOTA_SILENCE_S)
            )
            try:
                body = await response.read()
            finally:
                response.close()
            return read_remains(parse_json(body), url=url, now=self._session.clock.time())
        except MinimaxError:
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


@asynccontextmanager
async def _undone_if_it_fails(undo: Callable[[], None] | None) -> AsyncGenerator[None, None]:
    """A simulator that was started for a login which comes to nothing is stopped again."""
    try:
        yield
    except BaseException:
        if undo is not None:
            await asyncio.to_thread(undo)
        raise


def quota_words(quota: Quota) -> str:
    """`Token Plan Plus: 5 hours 93 % left, week 70 % left`."""
    parts = [
        f"{window.name} {window.remaining_percent:.0f} % left"
        if window.remaining_percent is not None
        else f"{window.name} without limit"
        for window in quota.windows
        if window.remaining_percent is not None or not window.limited
    ]
    said = ", ".join(parts) or "nothing said of what is left"
    return f"{quota.plan}: {said}" if quota.plan else said
