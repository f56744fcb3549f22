"""`python -m minimax_magic`: what is useful where there is no notebook.

Every command imports what it needs when it runs, so that the help is there at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from minimax_magic import __version__
from minimax_magic.errors import ConfigError, MinimaxError
from minimax_magic.programs.names import PROGRAMS, SCRIPTED, SHELLS, usual_shell
from minimax_magic.terminal_words import PROGRAM, for_terminal
from minimax_magic.words import meant

if TYPE_CHECKING:
    from minimax_magic.doctor.doctor import Doctor
    from minimax_magic.doctor.findings import Finding
    from minimax_magic.doctor.lines import FindingLines
    from minimax_magic.session import Session

# What shells say of a program that was ended by Ctrl-C, and of one whose reader went away.
_INTERRUPTED: Final = 130
_PIPE_CLOSED: Final = 141
# How soon the name of the next check is seen.
_TICK_S: Final = 0.05
_FOR_AIDER: Final = " (what is for Aider stands behind --: aider -- notes.py)"
_LOOK: Final = f"`{PROGRAM} doctor` looks whether everything works."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The words behind the program's name; None: those of this process.

    Returns:
        The exit code: 0, or what the command says; 1 for an error, which is one line on stderr.

    Raises:
        SystemExit: The command line is wrong (code 2), or help was asked for.
    """
    parser = _parser()
    words = [*(sys.argv[1:] if argv is None else argv)]
    own, rest = _split(words)
    try:
        _prepare_output()
        if own and not own[0].startswith("-"):
            _check_command(parser, own[0])
        options, unknown = parser.parse_known_args(own)
        if unknown:
            wrong = f"unrecognized arguments: {' '.join(unknown)}"
            flags = re.findall(r"--[a-z-]+", options.parser.format_usage())
            more = _FOR_AIDER if options.run is _aider else meant(unknown[0], flags)
            options.parser.error(wrong + more)
        if options.run is None:
            parser.print_help()
            code = 0
        else:
            options.rest = rest
            code = options.run(options)
        sys.stdout.flush()  # here, where a closed pipe is no surprise
        return code
    except MinimaxError as error:
        print(for_terminal(" ".join(str(error).split())), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        # a terminal has written ^C
        print("\nInterrupted." if sys.stderr.isatty() else "Interrupted.", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Python flushes once more at its end, and would complain there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Our words, and what is for the program that `aider` starts."""
    if words[:1] == ["aider"] and "--" in words:
        place = words.index("--")
        return words[:place], words[place + 1 :]
    return words, []


def _check_command(parser: argparse.ArgumentParser, word: str) -> None:
    try:
        _one_of("command", [*parser.get_default("commands")])(word)
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))


def _prepare_output() -> None:
    """A reader of a pipe gets each line at once, and no console fails at a letter it does not have."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True, errors="replace")


# ------------------------------------------------------------------------------------ the words


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="MiniMax outside of the notebook: find out what does not work, and make other "
        "programs work with the same credential.",
        epilog=f"`{PROGRAM} COMMAND --help` tells more of one. Settings are those of the notebook: "
        "config/llm.yaml, MINIMAX_... variables, the login.",
    )
    parser.add_argument("--version", action="version", version=f"minimax_magic {__version__}")
    parser.set_defaults(run=None, parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_doctor(commands)
    _add_env(commands)
    _add_aider(commands)
    _add_gateway(commands)
    _add_write_script(commands)
    _add_sign_in(commands)
    parser.set_defaults(commands=commands.choices)
    return parser


def _command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    help_text: str,
    epilog: str = "",
) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_text,
        description=help_text[0].upper() + help_text[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(run=run, parser=made)
    return made


def _add_doctor(commands: Any) -> None:
    doctor = _command(
        commands,
        "doctor",
        _doctor,
        "find out what does not work, and how to mend it",
        "exit code: 0 all is well, 1 something failed, 3 there are only warnings",
    )
    doctor.add_argument("--no-spend", action="store_true", help="ask for nothing that costs tokens")
    doctor.add_argument(
        "--for",
        dest="program",
        metavar="PROGRAM",
        type=_one_of("program", PROGRAMS),
        help=f"look at what another program would do, too: {_or(PROGRAMS)}",
    )
    shape = doctor.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="one JSON document, for machines")
    shape.add_argument(
        "--report",
        action="store_true",
        help="markdown without anything private, to paste into an issue",
    )
    doctor.add_argument(
        "--simulator",
        action="store_true",
        help="try it with a simulator on this machine: no key, no network, no cost",
    )


def _add_env(commands: Any) -> None:
    env = _command(
        commands,
        "env",
        _env,
        "variables and command line that make another program work with the same credential",
        f'eval "$({PROGRAM} env aider --reveal)"    sets them in this shell',
    )
    env.add_argument(
        "program", metavar="PROGRAM", type=_one_of("program", PROGRAMS), help=_or(PROGRAMS)
    )
    env.add_argument(
        "--shell",
        type=_one_of("shell", SHELLS),
        default=usual_shell(sys.platform),
        metavar="SHELL",
        help=f"how it is written: {_or(SHELLS)} (here: %(default)s)",
    )
    env.add_argument("--model", metavar="ID", help="model id; as configured if not given")
    env.add_argument(
        "--reveal", action="store_true", help="with the key, which is masked otherwise"
    )


def _add_aider(commands: Any) -> None:
    aider = _command(
        commands,
        "aider",
        _aider,
        "start Aider with a MiniMax model",
        f"{PROGRAM} aider -- --yes-always notes.py    what stands behind -- is for Aider",
    )
    aider.usage = f"{PROGRAM} aider [-h] [--model ID] [--agent NAME] [-- ARGUMENTS ...]"
    aider.add_argument("--model", metavar="ID", help="model id; the agent's if not given")
    aider.add_argument(
        "--agent", metavar="NAME", help="agent of config/agents.d, whose model is used"
    )


def _add_gateway(commands: Any) -> None:
    gateway = _command(
        commands,
        "gateway",
        _gateway,
        "serve MiniMax on this machine for programs that cannot sign in; until Ctrl-C",
    )
    gateway.add_argument("--port", type=_port, default=0, metavar="N", help="0: any free one (0)")


def _add_write_script(commands: Any) -> None:
    script = _command(
        commands,
        "write-script",
        _write_script,
        "write start-aider.sh and start-aider.bat, without the key in them",
    )
    script.add_argument(
        "program", metavar="PROGRAM", type=_one_of("script for", SCRIPTED), help=_or(SCRIPTED)
    )
    script.add_argument("--force", action="store_true", help="replace files that exist")


def _add_sign_in(commands: Any) -> None:
    setup = _command(commands, "setup", _setup, "write a commented config/llm.yaml and an agent")
    setup.add_argument("--force", action="store_true", help="replace files that exist")
    login = _command(commands, "login", _login, "sign in with a Token Plan, or enter an API key")
    login.add_argument(
        "--region", metavar="NAME", help="global, china or an address; as configured if not given"
    )
    way = login.add_mutually_exclusive_group()
    way.add_argument("--user", action="store_true", help="keep it for all folders of this user")
    way.add_argument(
        "--key", action="store_true", help="ask for an API key, check it and keep it in this folder"
    )
    _command(commands, "status", _status, "which credential is used and why, server, wire")


def _or(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _one_of(kind: str, known: Sequence[str]) -> Callable[[str], str]:
    """Takes a word that is one of those that are known; of another one the error says which are."""

    def checked(word: str) -> str:
        if word not in known:
            raise argparse.ArgumentTypeError(
                f"there is no {kind} {word!r}{meant(word, known)}; known: {', '.join(known)}"
            )
        return word

    return checked


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


_port.__name__ = "port"  # what argparse calls it: "invalid port value"


# --------------------------------------------------------------------------------- the commands


@asynccontextmanager
async def _session() -> AsyncIterator[Session]:
    """What the notebook would use here, for one command."""
    from minimax_magic.session import Session

    session = Session()
    try:
        yield session
    finally:
        await session.close()


def _doctor(options: argparse.Namespace) -> int:
    return asyncio.run(_diagnose(options))


async def _diagnose(options: argparse.Namespace) -> int:
    from minimax_magic.config import process_environ
    from minimax_magic.doctor import report
    from minimax_magic.doctor.doctor import Doctor
    from minimax_magic.doctor.findings import verdict
    from minimax_magic.doctor.lines import FindingLines
    from minimax_magic.doctor.private import private_words

    environ = process_environ()
    quiet = options.json or options.report
    lines = FindingLines(sys.stderr if quiet else sys.stdout, environ)
    found: list[Finding] = []
    async with _simulator(options.simulator) as simulator, _session() as session:
        session.simulator = simulator
        if simulator is not None and not quiet:
            print(f"Simulator at {simulator.url}: nothing is sent to MiniMax, nothing is charged.")
        doctor = Doctor(
            session, spend=not options.no_spend, program=options.program, environ=environ
        )
        progress = asyncio.create_task(_show_running(doctor, lines))
        try:
            async with aclosing(doctor.findings()) as findings:
                async for finding in findings:
                    finding = finding.worded(for_terminal)
                    found.append(finding)
                    if not quiet:
                        lines.add(finding)
        finally:
            progress.cancel()
            lines.stop()
        private = private_words(session)
    if options.json:
        print(json.dumps(report.as_json(found), indent=2, ensure_ascii=False))
    elif options.report:
        print(report.markdown(found, private=private), end="")
    else:
        lines.end(found)
    return verdict(found).exit_code


async def _show_running(doctor: Doctor, lines: FindingLines) -> None:
    while True:
        lines.running(doctor.running)
        await asyncio.sleep(_TICK_S)


@asynccontextmanager
async def _simulator(wanted: bool) -> AsyncIterator[Any]:
    """A simulator on this loop; None if none is wanted."""
    if not wanted:
        yield None
        return
    from minimax_magic.simulator import Simulator

    async with Simulator() as simulator:
        yield simulator


def _env(options: argparse.Namespace) -> int:
    from minimax_magic.config import process_environ
    from minimax_magic.programs.access import environment_of
    from minimax_magic.programs.shells import written

    async def ask() -> Any:
        async with _session() as session:
            return await environment_of(
                session, options.program, process_environ(), model=options.model
            )

    print(written(asyncio.run(ask()), options.shell, reveal=options.reveal), end="")
    if not options.reveal and not sys.stdout.isatty():
        # for an eval, or a file: what would be read there says so in comments alone
        print("Nothing is set by this: the key is masked. Add --reveal.", file=sys.stderr)
    return 0


def _aider(options: argparse.Namespace) -> int:
    from minimax_magic.programs import aider
    from minimax_magic.session import Session

    return aider.run(Session(), options.rest, model=options.model, agent=options.agent)


def _gateway(options: argparse.Namespace) -> int:
    from minimax_magic.programs.serve import serve
    from minimax_magic.session import Session

    return serve(Session(), port=options.port)


def _write_script(options: argparse.Namespace) -> int:
    from pathlib import Path

    from minimax_magic.programs.scripts import write_scripts, written_words

    print(written_words(write_scripts(Path.cwd(), options.program, options.force)))
    return 0


def _setup(options: argparse.Namespace) -> int:
    from minimax_magic.config import load_settings
    from minimax_magic.ipython import wizard

    settings = load_settings()
    wizard.run(
        (lambda prompt, _: input(prompt)) if sys.stdin.isatty() else None,
        lambda line: print(for_terminal(line)),
        settings_folder=settings.config_dir,
        settings_label=settings.config_label,
        force=options.force,
    )
    return 0


def _login(options: argparse.Namespace) -> int:
    if options.key:
        return asyncio.run(_take_key(options.region))
    from minimax_magic.auth.bundle_file import BUNDLE_FILE
    from minimax_magic.auth.sources import user_secrets_dir
    from minimax_magic.config import load_settings
    from minimax_magic.sign_in import login

    bundle = user_secrets_dir(load_settings()) / BUNDLE_FILE if options.user else None
    asyncio.run(login(options.region, bundle, on_state=print))
    print(f"Signed in. {_LOOK}")
    return 0


async def _take_key(region: str | None) -> int:
    """Asks for an API key, or reads it from a pipe; it is in no command line, which others can see."""
    from getpass import getpass

    from pydantic import SecretStr

    from minimax_magic.sign_in import SignIn

    async with _session() as session:
        sign_in = SignIn(session, _no_simulator)
        where = region or sign_in.regions()[0].value
        try:
            key = SecretStr(
                getpass("MiniMax API key: ") if sys.stdin.isatty() else sys.stdin.readline()
            )
        except EOFError:
            raise KeyboardInterrupt from None
        done = await sign_in.use_key(key, where, "project")
    print(f"{done.title}.")
    for name, value in done.facts:
        print(f"  {name:<10} {value}")
    note = for_terminal(done.note)
    print(" ".join(filter(None, [note, _LOOK if done.usable else ""])))
    return 0 if done.usable else 1


def _no_simulator() -> Any:
    raise ConfigError("The simulator of a command ends with it: there is nothing to sign in to.")


def _status(_options: argparse.Namespace) -> int:
    from minimax_magic.ipython.login_commands import status_text

    async def ask() -> int:
        async with _session() as session:
            status = session.status()
        print(for_terminal(status_text(status)))
        return 1 if status.problem else 0

    return asyncio.run(ask())
