"""`%%minimax` and `%minimax`: thin. They parse a line, ask the session, and hand events to an output.

Importing this is all that `%load_ext` costs: what is heavy (aiohttp, pydantic, the simulator) is
imported inside the functions, at the first prompt.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import CodeType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Bool, Enum, Float, Int, Unicode

from minimax_magic.errors import MinimaxError
from minimax_magic.ipython import questions
from minimax_magic.ipython.arguments import (
    SUBCOMMANDS,
    Command,
    Options,
    Values,
    help_text,
    parse_cell_line,
    parse_command,
    parse_line,
    usage_of,
)
from minimax_magic.ipython.cell_errors import CellError, CellInterrupted, LineError
from minimax_magic.ipython.interpolation import interpolate
from minimax_magic.ipython.shown_images import ShownImages
from minimax_magic.ipython.toplevel import TopLevelAwait

if TYPE_CHECKING:
    import asyncio

    from minimax_magic.ask import Ask
    from minimax_magic.config import CacheMode
    from minimax_magic.context.describe import Piece
    from minimax_magic.events import ChatReply
    from minimax_magic.ipython.bridge import BackgroundLoop
    from minimax_magic.ipython.chat_commands import ChatCommands
    from minimax_magic.ipython.doctor_commands import DoctorCommands
    from minimax_magic.ipython.hands import CellHands
    from minimax_magic.ipython.jobs import Jobs, PendingReply
    from minimax_magic.ipython.live_output import Output
    from minimax_magic.ipython.login_commands import LoginCommands
    from minimax_magic.ipython.namespace import Namespace
    from minimax_magic.ipython.program_commands import ProgramCommands
    from minimax_magic.ipython.runner import CellRun
    from minimax_magic.ipython.usage_commands import UsageCommands
    from minimax_magic.session import Session
    from minimax_magic.simulator import Simulator
    from minimax_magic.structured import OutputType
    from minimax_magic.turn import Turn

_CLOSE_S, _REFRESH_S = 2.0, 4.5

F = TypeVar("F", bound=Callable[..., Any])

_CELL_HELP = f"""Ask a MiniMax model; the answer streams into this cell.

    %%minimax [variable] [options]
    prompt, over as many lines as you like

`{{{{expr}}}}` in the prompt becomes the value of that expression. Single braces are left alone, and
--raw leaves all of them alone. The variable, if named, receives the reply: `.text`, `.thinking`,
`.usage`, `.cost`, `.finish_reason`.

Options:

{help_text()}

Defaults can be set with `%config MiniMaxMagics.model = "MiniMax-M3"` and the like.
"""

_LINE_HELP = f"""Ask a MiniMax model in one line, or give a command.

    %minimax [options] prompt          the answer streams; its value is the reply
{chr(10).join(f"    %minimax {usage_of(name):<26}{text}" for name, text in SUBCOMMANDS.items())}
    %minimax                           what would be used: model, server, key
    %minimax -- history Rome           a prompt, although it begins like a command

The options are those of `%%minimax`:

{help_text()}
"""


def _documented(text: str) -> Callable[[F], F]:
    def add(function: F) -> F:
        function.__doc__ = text
        return function

    return add


@magics_class
class MiniMaxMagics(Magics):
    """Defaults for `%%minimax`; empty or None: as in llm.yaml and the environment."""

    model = Unicode("", help="model id").tag(config=True)
    agent = Unicode("", help="agent of config/agents.d").tag(config=True)
    flavor = Enum(["", "openai_compat", "anthropic_messages"], "", help="wire format").tag(
        config=True
    )
    system = Unicode("", help="system prompt").tag(config=True)
    temperature = Float(None, allow_none=True, min=0, max=2, help="0 to 2").tag(config=True)
    top_p = Float(None, allow_none=True, min=0, max=1, help="0 to 1").tag(config=True)
    max_tokens = Int(None, allow_none=True, min=1, help="most output tokens").tag(config=True)
    thinking = Enum(["", "on", "off", "auto"], "", help="whether the model thinks").tag(config=True)
    stream = Bool(True, help="show the answer as it comes").tag(config=True)
    format = Enum(
        ["markdown", "text", "code", "json", "html", "math"],
        "markdown",
        help="how the answer is shown",
    ).tag(config=True)
    chat = Unicode("", help="conversation that every cell goes on with").tag(config=True)
    cache = Enum(
        ["", "off", "record", "replay", "refresh"], "", help="whether answers are replayed"
    ).tag(config=True)
    allow_remote_images = Bool(False, help="load images that answers link to").tag(config=True)

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell=shell)
        self._shell = shell  # the same as `shell`, whose type allows None
        self._session: Session | None = None
        self._background: BackgroundLoop | None = None
        self._simulator: Simulator | None = None
        self._starting = threading.Lock()
        self._logins: LoginCommands | None = None
        self._usage: UsageCommands | None = None
        self._namespace: Namespace | None = None
        self._jobs: Jobs | None = None
        self._drawn: tuple[int, object] | None = None
        self.shown = ShownImages(shell)

    # ------------------------------------------------------------------------------- the magics

    @cell_magic("minimax")  # type: ignore[arg-type]
    @no_var_expand
    @_documented(_CELL_HELP)
    def minimax_cell(self, line: str, cell: str) -> None:
        options = parse_cell_line(line)
        if options.help:
            print(_CELL_HELP)
        elif options.dry_run:
            self._preview(options, cell)
        elif options.bg:
            self._begin_job(options, cell)
        else:
            run = self._prepare(options, cell)
            self._keep(options, run, run.run)

    @line_magic("minimax")  # type: ignore[arg-type]
    @no_var_expand
    @_documented(_LINE_HELP)
    def minimax_line(self, line: str) -> Any:
        options = parse_line(line)
        if options.help:
            print(_LINE_HELP)
        elif not options.marked and (command := parse_command(options.prompt)) is not None:
            return self._command(command, options)
        elif not options.prompt:
            self._introduce()
        elif options.dry_run:
            self._preview(options, options.prompt)
        elif options.bg:
            return self._begin_job(options, options.prompt)
        else:
            run = self._prepare(options, options.prompt)
            return self._keep(options, run, run.run)
        return None

    async def minimax_awaited(self, line: str, cell: str) -> None:
        """What a top-level `%%minimax` cell becomes in a kernel."""
        options = parse_cell_line(line)
        if options.help:
            print(_CELL_HELP)
            return
        if not cell.strip():
            raise LineError("%%minimax: the cell is empty. Write the prompt below the first line.")
        if options.dry_run:
            self._preview(options, cell)
        elif options.bg:
            self._begin_job(options, cell)
        else:
            run = self._prepare(options, cell)
            try:
                await run.run_async()
            finally:
                self._store(options, run)
            self._offer_code(options, run.reply)

    # -------------------------------------------------------------------------------- one cell

    def _prepare(
        self, options: Options, prompt: str, pieces: Sequence[Piece] = (), *, raw: bool = False
    ) -> CellRun:
        """Everything short of sending; arguments as of `_ask`."""
        with _before_sending():
            from minimax_magic.ipython.runner import CellRun

            hands = self._hands(options)
            ask = self._ask(options, prompt, pieces, raw=raw)
            turn = self.session.prepare(ask, hands)
            output = self._output(options, turn, ask)
            typed = ask.output is not None
            return CellRun(self.background, turn, output, hands, typed=typed)

    def _hands(self, options: Options) -> CellHands | None:
        """What runs the tools of a cell; None if it can have none."""
        if not (options.tools or options.agent or self.agent):
            return None
        from minimax_magic.ipython.confirm import may_call
        from minimax_magic.ipython.hands import CellHands

        return CellHands(may_call(self._shell) if options.confirm else None)

    def _begin_job(self, options: Options, prompt: str) -> PendingReply:
        """Answers in the background, into the output of this cell."""
        from minimax_magic.ipython.jobs import KernelHands
        from minimax_magic.ipython.runner import CellRun

        if options.confirm:
            raise LineError("--bg runs while nobody looks: it cannot be combined with --confirm.")
        if not prompt.strip():
            raise LineError("%%minimax: the cell is empty. Write the prompt below the first line.")
        with _before_sending():
            loop = self._kernel_loop()
            hands = KernelHands(loop)
            ask = self._ask(options, prompt)
            turn = self.session.prepare(ask, hands)
            if turn.has_tools and loop is None:
                raise LineError("tools with --bg need a kernel, whose loop runs between cells.")
            output = self._output(options, turn, ask)
        output.begin()
        typed = ask.output is not None
        run = CellRun(self.background, turn, output, typed=typed, alone=True)
        pending = self.jobs.begin(prompt, run, hands)
        if options.into:
            self._shell.user_ns[options.into] = pending
        return pending

    def _kernel_loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that runs between cells; None where there is none, as in a terminal."""
        import asyncio

        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            return None

    def _preview(
        self, options: Options, prompt: str, pieces: Sequence[Piece] = (), *, raw: bool = False
    ) -> None:
        """What `--dry-run` shows; arguments as of `_ask`."""
        from minimax_magic.ipython.live_output import show_once
        from minimax_magic.render.dry_run import preview

        with _before_sending():
            ask = self._ask(options, prompt, pieces, raw=raw)
            bundle = preview(self.session.preview(ask))
        show_once(bundle, rich=getattr(self._shell, "kernel", None) is not None)

    def _keep(self, options: Options, run: CellRun, wait: Callable[[], ChatReply]) -> Any:
        try:
            wait()
        finally:
            self._store(options, run)
        self._offer_code(options, run.reply)
        self._drawn = (self._shell.execution_count, run.result)
        return run.result

    def _store(self, options: Options, run: CellRun) -> None:
        """Gives the variable its reply, or the value that was asked for; of a failed or stopped answer,
        the part that arrived."""
        if options.into:
            self._shell.user_ns[options.into] = run.result

    def _offer_code(self, options: Options, reply: ChatReply) -> None:
        """Puts the code into the next cell, where a front end does that; it is in the output, too."""
        if (options.format or self.format) == "code":
            from minimax_magic.render.markup import extract_code

            code, _ = extract_code(reply.text)
            if code.strip():
                self._shell.set_next_input(code)

    def _ask(
        self, options: Options, prompt: str, pieces: Sequence[Piece] = (), *, raw: bool = False
    ) -> Any:
        """What the session is asked.

        Args:
            pieces: Data that goes along beside what the options name.
            raw: The prompt is ours: nothing in it is evaluated.
        """
        from minimax_magic.ask import Ask
        from minimax_magic.ipython.whereabouts import kernel_of, notebook_of
        from minimax_magic.render.markup import INSTRUCTIONS, Format

        self._check(options)
        if not (raw or options.raw):
            prompt = interpolate(prompt, self._evaluate)
        form = cast("Format", options.format or self.format)
        output: OutputType | None = None
        if options.as_ is not None:
            output = self.namespace.output(options.as_, options.tools)
        elif form == "json":
            from minimax_magic.structured import ANY_JSON

            output = ANY_JSON
        named = self.namespace.pieces(options.ctx, options.rows or 0) if options.ctx else []
        images = [self.namespace.image(name) for name in options.image]
        # an agent that the cell names goes before what is set for the session
        mine = self if options.agent is None else None
        return Ask(
            prompt=prompt,
            model=options.model or getattr(mine, "model", "") or None,
            agent=options.agent or self.agent or None,
            flavor=options.flavor or self.flavor or None,
            system=_first(options.system, getattr(mine, "system", "") or None),
            temperature=_first(options.temperature, getattr(mine, "temperature", None)),
            top_p=_first(options.top_p, getattr(mine, "top_p", None)),
            max_tokens=_first(options.max_tokens, getattr(mine, "max_tokens", None)),
            thinking=options.thinking or self.thinking or None,
            chat=options.chat or (None if raw else self.chat or None),
            new=options.new,
            whole=options.no_stream or not self.stream,
            instruction="" if output is not None else INSTRUCTIONS[form],
            budget=options.budget,
            notebook=notebook_of(self._shell),
            kernel=kernel_of(self._shell),
            cell=os.urandom(8).hex(),
            tools=options.tools or None,
            find_tool=lambda name: self.namespace.tool(name),
            max_steps=options.max_steps,
            images=tuple(images),
            context=(*pieces, *named),
            output=output,
            repair=options.repair,
            fork=options.fork,
            trim=options.trim,
            cache=cast("CacheMode | None", options.cache or self.cache or None),
            cache_file=options.cache_file,
        )

    def _check(self, options: Options) -> None:
        """Options that say nothing without another one are mistakes, and so is a blank between names.

        Raises:
            LineError: Says which.
        """
        calls = options.tools or options.agent or self.agent
        form = options.format or self.format
        for flag, given, partner, needed in (
            ("--rows", options.rows is not None, "--ctx", options.ctx),
            ("--confirm", options.confirm, "--tools", calls),
            ("--max-steps", options.max_steps is not None, "--tools", calls),
            ("--repair", options.repair is not None, "--as", options.as_ or form == "json"),
            ("--new", options.new, "--chat", options.chat or self.chat),
            ("--trim", options.trim, "--chat", options.chat or self.chat),
        ):
            if given and not needed:
                raise LineError(f"{flag} says nothing without {partner}.")
        name = options.into or ""
        if options.into_after and _is_a_thing(self._shell.user_ns.get(name)):
            raise LineError(
                f"{name!r} would be overwritten by the answer. Names behind {options.into_after} have "
                f"commas and no blanks between them; the variable goes first: %%minimax {name} ..."
            )

    def _output(self, options: Options, turn: Turn, ask: Ask) -> Output:
        import time

        from minimax_magic.ipython.live_output import LiveOutput, TerminalOutput
        from minimax_magic.render.markup import Format
        from minimax_magic.render.transcript import Transcript

        sent = ""
        if ask.context:
            from minimax_magic.context.describe import context_text

            sent = context_text(ask.context)
        transcript = Transcript(
            turn.model,
            time.monotonic(),
            chat=turn.chat,
            turn=turn.number,
            sent=sent,
            sent_label=", ".join(piece.name for piece in ask.context),
            output_tool=ask.output.tool.name if ask.output and ask.output.tool else "",
        )
        # a failure says nothing of where it came from; an answer does, in its head
        transcript.simulated = self.session.simulator is not None
        # a typed answer is JSON until it is a value
        form = cast("Format", "json" if options.as_ else options.format or self.format)
        if getattr(self._shell, "kernel", None) is None:
            if not options.bg:
                return TerminalOutput(transcript, form)
            from minimax_magic.ipython.jobs import HeldOutput

            return HeldOutput(transcript, form)
        from IPython.display import DisplayHandle

        remote_images = options.allow_remote_images or self.allow_remote_images
        return LiveOutput(transcript, form, DisplayHandle, remote_images=remote_images)

    def _evaluate(self, code: CodeType) -> Any:
        return eval(code, self._shell.user_global_ns, self._shell.user_ns)  # noqa: S307 - the user's own

    # ------------------------------------------------------------------------------- commands

    def _command(self, command: Command, options: Options) -> Any:
        value = None
        try:
            if command.name == "fix":
                self._fix(options)
            elif command.name == "doctor":
                value = self.doctor_commands.doctor(command)
            else:
                self._obey(command)
        except MinimaxError as error:
            raise CellError(error) from None
        if self._usage is not None and command.name.startswith(("simulator", "logout")):
            self._usage.look_again()
        return value

    def _obey(self, command: Command) -> None:
        match command.name:
            case "login":
                self.logins.login(command)
            case "logout":
                self.logins.logout(command)
            case "status":
                self.logins.status()
            case "usage":
                self.usage.usage(command)
            case "dashboard":
                self.usage.dashboard(command)
            case "cost":
                self.usage.cost(command)
            case "chats":
                self.chat_commands.chats()
            case "history":
                self.chat_commands.history(command)
            case "forget":
                self.chat_commands.forget(command)
            case "save":
                self.chat_commands.save(command)
            case "load":
                self.chat_commands.load(command)
            case "jobs":
                print(self.jobs.text())
            case "wait":
                self._wait(command)
            case "cancel":
                if not command.names:
                    raise LineError("which job? %minimax jobs lists them.")
                self.jobs.find(command.names[0]).cancel()
            case "env":
                self.program_commands.env(command)
            case "write-script":
                self.program_commands.write_script(command)
            case "setup":
                self._set_up(force=command.has("--force"))
            case "simulator":
                simulator = self.session.simulator = self._start_simulator()
                print(
                    f"Simulator at {simulator.url}\n"
                    "Answers are made up here: nothing is sent to MiniMax, nothing is charged.\n"
                    "`%minimax simulator off` ends it."
                )
            case "simulator off":
                running, self._simulator, self.session.simulator = self._simulator, None, None
                if running is None:
                    print("No simulator was running.")
                    return
                if self._logins is not None:
                    self._logins.stop_waiting("simulator")
                running.stop()
                print("The simulator is off: prompts go to the configured server again.")
            case other:
                self._decide(approve=other.endswith("approve"))

    def _fix(self, options: Options) -> None:
        """Explains the last error, and offers the cell as it should be."""
        from minimax_magic.ipython.fix import PROMPT, failed_cell, offer

        if options.bg or options.as_:
            raise LineError("%minimax fix answers here and in words: leave --bg and --as out.")
        options.format = options.format or "markdown"
        if options.dry_run:
            self._preview(options, PROMPT, failed_cell(), raw=True)
            return
        run = self._prepare(options, PROMPT, failed_cell(), raw=True)
        self._keep(options, run, run.run)
        offer(self._shell, run.reply.text)

    def _wait(self, command: Command) -> None:
        jobs = self.jobs
        wanted = [jobs.find(command.names[0])] if command.names else jobs.untold
        try:
            jobs.wait(wanted)
        except KeyboardInterrupt:
            raise CellInterrupted(
                "the jobs that still run go on. `%minimax cancel JOB` stops one."
            ) from None
        for job in wanted:
            # a failed one fails this cell, too; what the person stopped is no surprise
            if command.names or job.state == "failed":
                job.result()

    def _start_simulator(self) -> Simulator:
        """The one that runs, or a new one. From any thread."""
        with self._starting:
            if self._simulator is None:
                from minimax_magic.simulator import Simulator

                # about as fast as a real model writes: slower than it could, or nobody would see it;
                # and with what `%minimax env aider` needs, since no gateway reaches it
                self._simulator = Simulator(delay_s=0.012, accept_x_api_key=True).start()
            return self._simulator

    def _decide(self, *, approve: bool) -> None:
        """What a click on the simulator's consent page does, for browsers that cannot reach it."""
        account = self._simulator.account if self._simulator is not None else None
        try:
            if account is None:
                raise LookupError
            if approve:
                account.approve()
            else:
                account.deny()
        except LookupError:
            raise LineError("no sign-in waits at the simulator.") from None
        print("Approved." if approve else "Denied.")

    @property
    def namespace(self) -> Namespace:
        if self._namespace is None:
            from pathlib import Path

            from minimax_magic.ipython.namespace import Namespace

            self._namespace = Namespace(self._shell, Path.cwd, self.shown)
        return self._namespace

    @property
    def jobs(self) -> Jobs:
        if self._jobs is None:
            from minimax_magic.ipython.jobs import Jobs

            self._jobs = Jobs()
        return self._jobs

    @property
    def chat_commands(self) -> ChatCommands:
        from minimax_magic.ipython.chat_commands import ChatCommands

        return ChatCommands(self._shell, self.session)

    @property
    def doctor_commands(self) -> DoctorCommands:
        from minimax_magic.ipython.doctor_commands import DoctorCommands

        return DoctorCommands(self._shell, self.session, self.background)

    @property
    def program_commands(self) -> ProgramCommands:
        from minimax_magic.ipython.program_commands import ProgramCommands

        return ProgramCommands(self._shell, self.session, self.background)

    @property
    def logins(self) -> LoginCommands:
        if self._logins is None:
            from minimax_magic.ipython.login_commands import LoginCommands
            from minimax_magic.sign_in import SignIn

            sign_in = SignIn(self.session, self._start_simulator)
            self._logins = LoginCommands(self._shell, self.session, sign_in, self.background)
        return self._logins

    @property
    def usage(self) -> UsageCommands:
        if self._usage is None:
            from minimax_magic.ipython.usage_commands import UsageCommands

            self._usage = UsageCommands(self._shell, self.session, self.background)
        return self._usage

    def _set_up(self, *, force: bool) -> None:
        from minimax_magic.ipython import wizard
        from minimax_magic.ipython.whereabouts import somebody_is_there

        try:
            settings = self.session.real.settings()
            wizard.run(
                (lambda prompt, _: input(prompt)) if somebody_is_there(self._shell) else None,
                print,
                settings_folder=settings.config_dir,
                settings_label=settings.config_label,
                force=force,
            )
        except MinimaxError as error:
            raise CellError(error) from None

    def _introduce(self) -> None:
        try:
            print(self.session.describe())
        except MinimaxError as error:
            raise CellError(error) from None
        print(
            "Write `%%minimax` on the first line of a cell and the prompt below it; `%%minimax?` helps."
        )

    # ------------------------------------------------------------------------- what lives longer

    @property
    def session(self) -> Session:
        if self._session is None:
            from minimax_magic.session import Session

            self._session = Session()
        return self._session

    @property
    def background(self) -> BackgroundLoop:
        if self._background is None:
            from minimax_magic.ipython.bridge import BackgroundLoop

            self._background = BackgroundLoop()
        return self._background

    def names(self, values: Values) -> Iterable[str]:
        """What completes an option's value."""
        match values:
            case "models":
                from minimax_magic.models import MODELS

                return list(MODELS)
            case "agents":
                try:
                    return list(self.session.settings().agents)
                except MinimaxError:
                    return []  # a broken file is reported when it is used, not at Tab
            case "chats":
                return list(self.session.chats)
            case "names":
                return self.namespace.names()
            case "tools":
                return self.namespace.tool_names()
            case "jobs":
                return self.jobs.numbers()
            case "programs":
                from minimax_magic.programs.names import PROGRAMS

                return PROGRAMS
            case "shells":
                from minimax_magic.programs.names import SHELLS

                return SHELLS
            case "regions":
                try:
                    return self.logins.regions()
                except MinimaxError:
                    return []
            case _:
                return []

    def shown_already(self, reply: object) -> bool:
        """Whether this reply was drawn by the very cell that now displays it as its value."""
        return self._drawn == (self._shell.execution_count, reply)

    def close(self) -> None:
        """Closes connections and ends the background thread and the simulator."""
        if self._usage is not None:
            self._usage.close()
        if self._jobs is not None:
            self._jobs.close()
        if self._session is not None and self._background is not None:
            # a connection that hangs ends with the thread; new tokens on their way are worth the time
            # that Jupyter gives a kernel to end
            patience_s = _REFRESH_S if self._session.refreshing else _CLOSE_S
            with suppress(TimeoutError):
                self._background.submit(self._session.close()).result(patience_s)
        if self._background is not None:
            self._background.stop()
        if self._simulator is not None:
            self._simulator.stop()
        self._session = self._background = self._simulator = None
        self._logins = self._usage = self._jobs = None


@contextmanager
def _before_sending() -> Iterator[None]:
    """Whatever is wrong is said in one line, and the stop button stops at once."""
    from minimax_magic.ipython import interrupts

    try:
        with interrupts.raised():
            yield
    except MinimaxError as error:
        raise CellError(error) from None
    except KeyboardInterrupt:
        raise CellInterrupted("nothing was sent.") from None


def _is_a_thing(value: object) -> bool:
    """Whether somebody who names it means the thing, and not a place for an answer."""
    return callable(value) or hasattr(value, "shape") or hasattr(value, "savefig")


def _first(value: Any, default: Any) -> Any:
    return default if value is None else value


# ---------------------------------------------------------------------------------- extension


class _Extension:
    """Everything that loading adds to a shell, so that unloading can take it away."""

    def __init__(self, shell: InteractiveShell) -> None:
        from minimax_magic.ipython.completion import make_matcher

        self.shell = shell
        self.magics = MiniMaxMagics(shell)
        self.toplevel = TopLevelAwait(shell, MiniMaxMagics.__name__)
        self.matcher = make_matcher(self.magics.names)
        self.before: dict[str, Any] = {}  # magics of the same name, somebody else's

    def add(self) -> None:
        shell = self.shell
        magics = shell.magics_manager.magics
        self.before = {kind: magics[kind].get("minimax") for kind in ("line", "cell")}
        shell.register_magics(self.magics)
        self.toplevel.install()
        self.magics.shown.install()
        questions.install(shell)
        self._matchers().append(self.matcher)
        for formatter, render in self._renderers():
            formatter.for_type_by_name(*_REPLY, render)
        atexit.register(self.magics.close)

    def remove(self) -> None:
        shell = self.shell
        atexit.unregister(self.magics.close)
        for kind, other in self.before.items():
            shell.magics_manager.magics[kind].pop("minimax", None)
            if other is not None:
                shell.magics_manager.magics[kind]["minimax"] = other
        shell.magics_manager.registry.pop(MiniMaxMagics.__name__, None)
        configurables: list[Any] = shell.configurables
        configurables[:] = [c for c in configurables if c is not self.magics]
        self.toplevel.remove()
        self.magics.shown.remove()
        questions.remove(shell)
        matchers = self._matchers()
        matchers[:] = [matcher for matcher in matchers if matcher is not self.matcher]
        for formatter, _ in self._renderers():
            # found by its class once a reply was displayed, by its name before
            formatter.deferred_printers.pop(_REPLY, None)
            for kind in list(formatter.type_printers):
                if (kind.__module__, kind.__qualname__) == _REPLY:
                    formatter.type_printers.pop(kind)
        self.magics.close()

    def _matchers(self) -> list[Any]:
        """The completer's list of them; a shell without a completer has none to keep."""
        completer = getattr(self.shell, "Completer", None)
        return getattr(completer, "custom_matchers", [])

    def _renderers(self) -> list[tuple[Any, Callable[..., Any]]]:
        """IPython's formatters and how they show a reply: not twice, and as safe markdown."""
        display = cast(DisplayFormatter, self.shell.display_formatter)
        return [
            (display.ipython_display_formatter, self._skip_if_drawn),
            (display.formatters["text/markdown"], _reply_markdown),
        ]

    def _skip_if_drawn(self, reply: object) -> None:
        if not self.magics.shown_already(reply):
            raise NotImplementedError  # IPython's way to say: go on with the other formatters


_REPLY = ("minimax_magic.events", "ChatReply")
_ATTRIBUTE = "_minimax_magic_extension"


def _reply_markdown(reply: ChatReply) -> str:
    from minimax_magic.render.safety import escape_html

    return escape_html(reply.text)


def load(shell: InteractiveShell) -> None:
    """Adds the magics to a shell. Loading twice changes nothing."""
    if getattr(shell, _ATTRIBUTE, None) is None:
        extension = _Extension(shell)
        extension.add()
        setattr(shell, _ATTRIBUTE, extension)


def unload(shell: InteractiveShell) -> None:
    """Takes them away, with all that runs in the background."""
    extension = getattr(shell, _ATTRIBUTE, None)
    if extension is not None:
        setattr(shell, _ATTRIBUTE, None)
        extension.remove()
