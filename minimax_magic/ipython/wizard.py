"""`%minimax setup`: a few questions, two files. What they say is in `setup_files`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from minimax_magic import setup_files
from minimax_magic.errors import ConfigError
from minimax_magic.models import MODELS, model_info
from minimax_magic.setup_files import REGIONS, Choices

Ask: TypeAlias = Callable[[str, str], str]
Say: TypeAlias = Callable[[str], None]

_NONE: Final = "-"  # nothing at all means the default


def run(
    ask: Ask | None,
    say: Say,
    *,
    settings_folder: Path,
    settings_label: str | None = None,
    force: bool = False,
) -> None:
    """Asks, writes `llm.yaml` and an agent, and says what it did.

    Args:
        ask: Shows a prompt, which ends in the default in brackets and a blank, and gives the
            answer; the default is its second argument, and an empty answer means it. None: nobody
            is there to answer, all defaults apply.
        say: Shows a line.
        settings_folder: `load_settings().config_dir`; need not exist.
        settings_label: `load_settings().config_label`; None: its path from the working folder.
        force: Replace files that exist; the old ones are kept beside them.

    Raises:
        ConfigError: A file cannot be read or written.
    """
    label = settings_label or _label(settings_folder)
    choices = Choices()
    if ask is not None:
        kept = not force and os.path.lexists(settings_folder / "llm.yaml")
        if kept:
            say(f"{label}/llm.yaml exists and is left as it is; the questions are for an agent.")
        try:
            choices = _asked(ask, say, choices, for_agent_only=kept)
        except (EOFError, KeyboardInterrupt):
            say("Nothing was written.")
            return
    outcomes = setup_files.write(choices, settings_folder, label, force=force)
    for outcome in outcomes:
        say(str(outcome))
    if any(outcome.kind == "left" for outcome in outcomes):
        say("To replace what exists, run it with --force: the old files are kept beside the new.")
    say("Next: `%minimax login`, or set MINIMAX_API_KEY in the environment of Jupyter.")
    if setup_files.agent_place(choices.agent_id, settings_folder, label):
        say(f"Then: `%%minimax --agent {choices.agent_id}`, and the prompt below it.")


def _asked(ask: Ask, say: Say, choices: Choices, *, for_agent_only: bool) -> Choices:
    say("Enter takes what is in brackets.")
    if not for_agent_only:
        prompt = f"Region, {' or '.join(REGIONS)}"
        choices = _field(ask, say, choices, "region", prompt, adapt=str.lower)
    say(f"Known models: {', '.join(MODELS)}.")
    choices = _field(ask, say, choices, "model", "Model")
    if model_info(choices.model) is None:
        say(f"{choices.model} is not known here and is sent as it is.")
    choices = _field(ask, say, choices, "agent_id", "Name of the agent")
    prompt = f"System prompt, {_NONE} for none"
    return _field(
        ask, say, choices, "system_prompt", prompt, adapt=lambda a: "" if a == _NONE else a
    )


def _field(
    ask: Ask,
    say: Say,
    choices: Choices,
    name: str,
    prompt: str,
    *,
    adapt: Callable[[str], str] = str,
) -> Choices:
    """`choices` with one of them answered; asks until the answer fits."""
    default = getattr(choices, name)
    while True:
        answer = ask(f"{prompt} [{default}]: ", default).strip()
        chosen: dict[str, Any] = {name: adapt(answer) if answer else default}
        try:
            return replace(choices, **chosen)
        except ConfigError as error:
            say(str(error))


def _label(folder: Path) -> str:
    try:
        return folder.absolute().relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):  # elsewhere, or no working folder any more
        return folder.as_posix()
