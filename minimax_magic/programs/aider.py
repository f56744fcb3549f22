"""`python -m minimax_magic aider -- ARGS`: Aider, started so that it reaches MiniMax.

What keeps it from doing so otherwise: no `--model`, or one without `anthropic/`; an address that is not
the Anthropic one; a left-over variable that beats the right one; a `.env` file, which Aider prefers to
its environment; a key in a header that the server does not take; a login's token, which runs out.

The key is in Aider's environment only, never in its arguments or in a file.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shlex
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from minimax_magic.auth.sources import KEY_VARIABLES
from minimax_magic.config import Settings, process_environ
from minimax_magic.errors import ConfigError
from minimax_magic.programs.access import Access, own_access
from minimax_magic.programs.aider_models import (
    PREFIX,
    model_id,
    model_in,
    model_metadata,
    options_of,
)
from minimax_magic.programs.environment import environment_for
from minimax_magic.programs.serve import ending_signals
from minimax_magic.session import Session
from minimax_magic.transport import AiohttpTransport, Transport
from minimax_magic.wire.address import is_loopback

PROGRAM_VARIABLE: Final = "MINIMAX_AIDER"

# A key by this name beats those of `.env` and of configuration files, which beat ANTHROPIC_API_KEY.
_KEY_VARIABLE: Final = "AIDER_ANTHROPIC_API_KEY"
# the same value under a name that no file sets, for the file of variables to refer to
_OWN_VARIABLE: Final = "MINIMAX_MAGIC_AIDER_KEY"


def run(
    session: Session,
    args: Sequence[str],
    *,
    model: str | None = None,
    agent: str | None = None,
    say: Callable[[str], None] = print,
    environ: Mapping[str, str] | None = None,
    make_transport: Callable[[], Transport] = AiohttpTransport,
) -> int:
    """Runs Aider on this terminal; its exit code (128 and the number, if a signal ended it).

    Args:
        args: Aider's own.
        model: None: what `args` name, else the agent's, else that of the settings.
        agent: Whose model it is; None: nobody's.
        say: Gets the lines of the banner.
        environ: What Aider's environment is made of; None: this process's.
        make_transport: Makes what asks the server, and what a gateway sends with.

    Raises:
        ConfigError: Aider is not installed, the model is none of MiniMax's, or settings are wrong.
        AuthError: There is no credential, or the server refuses it.
        InsufficientBalance: Nothing is left, which Aider would take for a fault of the line.
        QuotaExceeded: The same of a plan.
        APIConnectionError: The server cannot be reached.
    """
    environ = process_environ() if environ is None else environ
    program = find_aider(environ)
    model, named = _of_minimax(model) if model else None, model_in(args)
    if named is not None and model is not None and named != model:
        raise ConfigError(
            f"Two models are named: {model} and, for Aider, {PREFIX}{named}.",
            hint="Leave one of them out.",
        )
    with _leaving_signals_to_the_program() as signals:
        return asyncio.run(
            _run(
                session,
                program,
                args,
                environ,
                model or named,
                agent,
                say,
                make_transport,
                signals,
            )
        )


async def _run(
    session: Session,
    program: list[str],
    args: Sequence[str],
    environ: Mapping[str, str],
    model: str | None,
    agent: str | None,
    say: Callable[[str], None],
    make_transport: Callable[[], Transport],
    signals: _Signals,
) -> int:
    settings = session.settings()
    async with own_access(
        session, model=model, agent=agent, make_transport=make_transport
    ) as found:
        found = replace(found, model=_of_minimax(found.model))
        variables = aider_variables(found, environ)
        for line in banner(found):
            say(line)
        sys.stdout.flush()  # before Aider's own lines, also into a file
        with tempfile.TemporaryDirectory(prefix="minimax-aider-") as folder:
            options = _options(Path(folder), options_of(args), found, settings, environ)
            # Before theirs: behind a `--` of theirs there are only files.
            command = [*program, *options, *args]
            async with _started(command, variables) as process:
                signals.process = process
                code = await process.wait()
    return code if code >= 0 else 128 - code


def _of_minimax(model: str) -> str:
    """The id of a model that is named for us, where `anthropic/` may be left out."""
    return model_id(model if "/" in model else PREFIX + model)


# --------------------------------------------------------------------------------- what is run


def find_aider(environ: Mapping[str, str]) -> list[str]:
    """The command that starts Aider: MINIMAX_AIDER, `aider` on PATH, or this Python's own.

    Raises:
        ConfigError: There is none.
    """
    if wanted := environ.get(PROGRAM_VARIABLE, "").strip():
        found = shutil.which(wanted, path=environ.get("PATH"))
        try:
            words = [found] if found else shlex.split(wanted)
        except ValueError:  # a quotation mark of a path
            words = [wanted]
        if shutil.which(words[0], path=environ.get("PATH")) is None:
            raise ConfigError(
                f"{PROGRAM_VARIABLE} names {wanted}, which cannot be started.",
                hint="Set it to the path of aider, or unset it.",
            )
        return words
    if found := shutil.which("aider", path=environ.get("PATH")):
        return [found]
    if _is_installed_here():
        return [sys.executable, "-P", "-m", "aider"]  # of this Python, not of the folder
    raise ConfigError(
        "Aider is not installed.",
        hint="Run `uv tool install --python 3.12 aider-chat`, or `pipx install aider-chat`, or "
        "`python -m pip install aider-chat` with a Python before 3.13.",
    )


def _is_installed_here() -> bool:
    spec = importlib.util.find_spec("aider")
    if spec is None or spec.origin is None:  # a folder that happens to be called so has no origin
        return False
    return Path(spec.origin).with_name("__main__.py").exists()


# ----------------------------------------------------------------------------- what it is given


def aider_variables(found: Access, environ: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of Aider: that of this process without what would defeat ours."""
    ours = environment_for(
        "aider", root=found.root, key=found.key, model=found.model, environ=environ
    )
    variables = ours.applied_to(environ)
    variables.pop("ANTHROPIC_AUTH_TOKEN", None)  # versions of LiteLLM differ on whether it counts
    if found.gateway:
        # what Aider starts for /run sees its variables; the real key is not needed there
        for name in (*KEY_VARIABLES, "MINIMAX_API_KEY"):
            variables.pop(name, None)
    variables[_KEY_VARIABLE] = variables[_OWN_VARIABLE] = found.key
    # the libraries that Aider sends with would ask a proxy for this machine
    others = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    host = urlsplit(found.root).hostname or ""
    if is_loopback(host) and others.strip() != "*":  # which stands for all only if it is alone
        # the lower one beats the other, so that both have to have all
        variables["NO_PROXY"] = variables["no_proxy"] = f"{others},{host}" if others else host
    return variables


def banner(found: Access) -> list[str]:
    """What is told before Aider starts: where it goes, with which key and model."""
    if found.gateway:
        why = "renews the login" if found.kind == "login" else "sends the key as it is wanted there"
        place = f"{found.root}/anthropic, a gateway to {found.server} that {why}"
        real = f"{found.shown} from" if found.shown else "login of"
        key = f"the gateway's own, in place of {real} {found.source}"
    else:
        place = f"{found.root}/anthropic"
        key = f"{found.shown} from {found.source}"
    lines = [
        "Starting Aider with MiniMax over its Anthropic-compatible address",
        f"  ANTHROPIC_BASE_URL  {place}",
        f"  ANTHROPIC_API_KEY   {key}",
        f"  model               {PREFIX}{found.model}",
    ]
    rule = "=" * min(72, max(map(len, lines)))
    return [rule, *lines, rule]


def _options(
    folder: Path,
    theirs: Sequence[str],
    found: Access,
    settings: Settings,
    environ: Mapping[str, str],
) -> list[str]:
    """What Aider is to be told on top of its arguments, some of it in files made for this run."""
    options = [] if model_in(theirs) else ["--model", PREFIX + found.model]
    # It comes after all .env files, and in place of what .aider.conf.yml sets: those of a cloned
    # repository could have the key sent anywhere.
    for base in ("ANTHROPIC_API_BASE=", f"ANTHROPIC_BASE_URL={found.root}/anthropic"):
        options += ["--set-env", base]
    metadata = model_metadata(found.model, settings.prices.find(found.model))
    if metadata and not _has(theirs, "--model-metadata-file", "--model-m"):
        file = folder / "models.json"
        file.write_text(json.dumps(metadata, indent=2), encoding="utf-8")
        options += ["--model-metadata-file", str(file)]
    if not _has(theirs, "--env-file", "--env") and not environ.get("AIDER_ENV_FILE"):
        # Aider loads it after every .env, each of which beats the environment. It holds no key.
        file = folder / "minimax.env"
        names = ("ANTHROPIC_API_KEY", _KEY_VARIABLE)
        text = "".join(f"{name}=${{{_OWN_VARIABLE}}}\n" for name in names)
        file.write_text(text, encoding="utf-8")
        options += ["--env-file", str(file)]
    return options


def _has(args: Sequence[str], option: str, shortest: str) -> bool:
    """Whether an option is there, perhaps cut short, as Aider takes it down to `shortest`."""
    names = [arg.partition("=")[0] for arg in args]
    return any(option.startswith(name) and name.startswith(shortest) for name in names)


# ------------------------------------------------------------------------------------- running


class _Signals:
    """Who gets the signals that reach us.

    Attributes:
        process: Aider, once it runs.
    """

    process: asyncio.subprocess.Process | None = None

    def interrupted(self, *_: object) -> None:
        """Ctrl-C reaches Aider by itself, since it is on the same terminal."""
        if self.process is None:
            raise KeyboardInterrupt

    def ended(self, number: int, _: object) -> None:
        if self.process is None:
            raise SystemExit(128 + number)
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


@contextmanager
def _leaving_signals_to_the_program() -> Generator[_Signals, None, None]:
    """Ctrl-C is Aider's, and a termination or hangup goes on to it: we end when it does.

    Handlers, not SIG_IGN: what is ignored stays so in the program that is started.
    """
    signals = _Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signals.interrupted),
        **{number: signal.signal(number, signals.ended) for number in ending_signals()},
    }
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@asynccontextmanager
async def _started(
    command: Sequence[str], variables: Mapping[str, str]
) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """The program, on our terminal; it does not outlive us."""
    try:
        process = await asyncio.create_subprocess_exec(*command, env=dict(variables))
    except OSError as error:
        raise ConfigError(
            f"{command[0]} cannot be started: {error.strerror}.",
            hint=f"Set {PROGRAM_VARIABLE} to the path of aider.",
        ) from None
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
