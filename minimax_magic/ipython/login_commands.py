"""`%minimax login`, `logout` and `status`: a panel where there are widgets, text everywhere else.

Where nobody is there to answer (nbclient, papermill, a pipe) nothing prompts: an error says what to set.
"""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from minimax_magic.auth.sources import Login
from minimax_magic.errors import CredentialsMissing, MinimaxError
from minimax_magic.ipython.arguments import Command
from minimax_magic.ipython.cell_errors import CellError, CellInterrupted, LineError
from minimax_magic.ipython.whereabouts import somebody_is_there

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from pydantic import SecretStr

    from minimax_magic.auth.choices import SignedIn, Way
    from minimax_magic.ipython.bridge import BackgroundLoop
    from minimax_magic.session import Session, Status
    from minimax_magic.sign_in import SignIn
    from minimax_magic.widgets.view_models import LoginModel

T = TypeVar("T")


class LoginCommands:
    """The commands, for one shell.

    Args:
        background: Where everything that waits runs.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        session: Session,
        sign_in: SignIn,
        background: BackgroundLoop,
    ) -> None:
        self._shell = shell
        self._session = session
        self._sign_in = sign_in
        self._background = background
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._model: LoginModel | None = None

    def login(self, command: Command) -> None:
        """Shows the panel and returns at once; in text it returns when the login ended.

        Raises:
            CellError: Nobody is there, or the login failed.
            CellInterrupted: It was stopped.
        """
        try:
            if not somebody_is_there(self._shell):
                where = self._sign_in.places("plan")[0].hint
                raise CredentialsMissing(
                    "Nobody is there to sign in: this runs unattended.",
                    hint=f"Set MINIMAX_API_KEY, or log in once by hand: {where} then serves "
                    "unattended runs too.",
                )
            if getattr(self._shell, "kernel", None) is None or command.has("--text"):
                self._login_in_text(command)
            else:
                self._show_panel(command)
        except MinimaxError as error:
            raise CellError(error) from None

    def logout(self, command: Command) -> None:
        try:
            file = self._sign_in.stored_login()
            has_key = self._session.world.session_key is not None
            if file is None and not has_key:
                print(f"There is no login to remove.{self._in_use()}")
                return
            if not command.has("--yes"):
                what = [file.label] if file is not None else []
                if has_key:
                    what.append("the API key of this session")
                print(f"This removes {' and '.join(what)}. Run `%minimax logout --yes` to do it.")
                return
            for sentence in self._wait(self._sign_in.log_out()):
                print(sentence)
        except MinimaxError as error:
            raise CellError(error) from None

    def status(self) -> None:
        print(status_text(self._session.status()))

    # ----------------------------------------------------------------------------------- panel

    def _show_panel(self, command: Command) -> None:
        from IPython.display import display

        from minimax_magic.widgets.login_panel import LoginPanel
        from minimax_magic.widgets.view_models import LoginModel

        region, place, way = self._wishes(command)
        self.stop_waiting()  # an earlier panel would go on asking
        self._model = model = LoginModel(self._sign_in)
        model.choose(way=way, region=region, place=place)
        model.status = self._in_use().strip()
        display(LoginPanel(model, self._background.submit))  # type: ignore[no-untyped-call]

    def stop_waiting(self, region: str | None = None) -> None:
        """Ends the login that a panel waits for, if there is one.

        Args:
            region: Only if it is there; None: wherever it is.
        """
        model = self._model
        if model is not None and region in (None, model.region):
            self._background.loop.call_soon_threadsafe(model.cancel)

    def _in_use(self) -> str:
        """A sentence about the credential that cells use now; empty if there is none."""
        match self._session.status().credential:
            case None:
                return ""
            case Login() as login:
                return f" In use now: the login in {login.source}."
            case key:
                return f" In use now: the API key from {key.source}."

    def _wishes(self, command: Command) -> tuple[str, str, Way]:
        """What the options preset: region, place and way.

        Raises:
            LineError: There is no such region.
        """
        way: Way = "key" if command.has("--key") else "plan"
        regions = self.regions()
        region = command.options.get("--region", regions[0])
        if region not in regions:
            raise LineError(
                f"--region is one of {', '.join(regions)}, not {region!r}. Another server's address "
                "goes into MINIMAX_BASE_URL or llm.yaml."
            )
        places = [choice.value for choice in self._sign_in.places(way)]
        wanted = [place for place in ("user", "session") if command.has(f"--{place}")]
        place = wanted[0] if wanted else places[0]
        if place == "session" and way == "plan":
            raise LineError("--session keeps an API key for this session only: it goes with --key.")
        if place not in places:
            raise LineError(
                "--user keeps a Token Plan login for all notebooks, not a key."
                if way == "key"
                else "--user does not go with auth.bundle or MINIMAX_BUNDLE, which say where it is kept."
            )
        return region, place, way

    def regions(self) -> list[str]:
        """What `--region` takes, the preset one first."""
        return [choice.value for choice in self._sign_in.regions()]

    # ------------------------------------------------------------------------------------ text

    def _login_in_text(self, command: Command) -> None:
        region, place, way = self._wishes(command)
        self._announce(region, place, way)
        if way == "key":
            key = self._ask_key()
            done = self._wait(self._sign_in.use_key(key, region, place))
        else:
            pending = self._wait(self._sign_in.begin(region, place))
            code = pending.code
            until = code.expires_at.astimezone().strftime("%H:%M")
            print(
                f"Open   {code.verification_uri}\nand confirm the code   {code.user_code}\n"
                f"It is good until {until}."
            )
            self._said = queue.SimpleQueue()  # nothing of a login that was cancelled
            try:
                done = self._wait(pending.wait(self._say_later), self._say)
            finally:
                self._forget_code()
        print(signed_in_text(done))

    def _announce(self, region: str, place: str, way: Way) -> None:
        """Where this is going, before anything is asked."""
        where = next(c for c in self._sign_in.regions() if c.value == region)
        kept = next(c for c in self._sign_in.places(way) if c.value == place)
        if where.value == "simulator":
            print("Signing in to the simulator; nothing is kept.")
        else:
            print(f"Signing in to {where.hint}; kept in {kept.hint.removeprefix('in ')}.")

    def _forget_code(self) -> None:
        """In a notebook what was printed is saved; the code has served its purpose."""
        if getattr(self._shell, "kernel", None) is not None:
            from IPython.display import clear_output

            clear_output()  # type: ignore[no-untyped-call]

    def _ask_key(self) -> SecretStr:
        from getpass import getpass

        from pydantic import SecretStr

        try:
            return SecretStr(getpass("MiniMax API key: "))
        except (EOFError, KeyboardInterrupt):
            raise CellInterrupted("no key was entered.") from None

    def _wait(
        self, work: Coroutine[Any, Any, T], meanwhile: Callable[[], None] = lambda: None
    ) -> T:
        """The result of work on the background loop; a stop cancels it."""
        try:
            return self._background.result_of(work, meanwhile)
        except KeyboardInterrupt:
            raise CellInterrupted(
                "it was cancelled; `%minimax status` shows what is stored."
            ) from None

    def _say_later(self, sentence: str) -> None:
        """From the background loop, which must not print."""
        self._said.put(sentence)

    def _say(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                print(self._said.get_nowait(), flush=True)


def signed_in_text(done: SignedIn) -> str:
    """The result of a login in lines."""
    lines = [f"{done.title}.", *_table(done.facts)]
    if done.note:
        lines.append(done.note)
    return "\n".join([*lines, "You can run %%minimax now."] if done.usable else lines)


def status_text(status: Status) -> str:
    """`%minimax status` in lines."""
    rows: list[tuple[str, str]] = []
    settings, endpoint = status.settings, status.endpoint
    if settings is not None:
        rows.append(("Model", settings.model))
    if endpoint is not None:
        rows += [
            ("Server", endpoint.root),
            ("Wire", str(endpoint.flavor)),
            ("Credential", status.described),
        ]
        if isinstance(status.credential, Login):
            region = status.credential.region
            rows += [
                ("Region", f"{region.name} ({region.root})"),
                ("Token until", _local(status.credential.bundle.expires_at)),
            ]
    if settings is not None:
        rows.append(("base_url", f"{settings.base_url} ({settings.sources['base_url']})"))
    lines = _table(rows)
    if status.problem:
        lines += ["", status.problem]
    if status.places:
        lines += ["", "Where a credential was looked for; the first that is found is used:"]
        lines += _places(status)
    return "\n".join(lines).strip("\n")


def _places(status: Status) -> list[str]:
    width = max(len(place.source) for place in status.places)
    lines = []
    for place in status.places:
        what = place.problem or place.shown or "not there"
        mark = "->" if place.used else "  "
        lines.append(f"  {mark} {place.source.ljust(width)}  {what}")
    return lines


def _table(rows: Any) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    return [f"  {name.ljust(width)}  {value}" for name, value in rows]


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M %Z").strip()
