"""The environment of another program, with the credential that cells use."""

from __future__ import annotations

from collections.abc import Mapping

from minimax_magic.programs.access import access
from minimax_magic.programs.environment import ProgramEnvironment, environment_for, header_of
from minimax_magic.session import Session


async def environment_of(
    session: Session, program: str, environ: Mapping[str, str], *, model: str | None = None
) -> ProgramEnvironment:
    """What makes a program work.

    Args:
        program: One of `PROGRAMS`.
        environ: The variables that it would see, some of which may have to go.
        model: As of `environment_for`; None: that of the settings.

    Raises:
        ConfigError: The program needs a gateway and none is running, or cannot work like this, or
            settings are wrong.
        AuthError: There is no credential, or the server refuses it.
        APIConnectionError: The server was to be asked and cannot be reached.
    """
    found = await access(session, model=model, header=header_of(program, model or ""))
    return environment_for(
        program, root=found.root, key=found.key, model=found.model, environ=environ
    )
