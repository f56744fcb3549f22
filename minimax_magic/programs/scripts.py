"""`start-aider.sh` and `start-aider.bat`: what starts a program with one click, without a key in it.

They call `python -m minimax_magic`, which finds the credential each time anew.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from minimax_magic.errors import ConfigError
from minimax_magic.programs.names import SCRIPTED
from minimax_magic.words import system_reason

_SH: Final = """\
#!/bin/sh
# Starts {title} with MiniMax. There is no key in this file: minimax_magic finds it and says
# which one it took. All arguments go to {title}: ./{name} --message "Fix the typo" README.md
# Call it from the project's folder: settings, key and login are those of where you are.
python={python}
[ -x "$python" ] || python=$(command -v python3 || command -v python)
# -P: no module of the folder where you are is taken for one of Python's
if ! "$python" -P -c "import minimax_magic" 2>/dev/null; then
  echo "minimax_magic is not installed there: run ${{python:-python3}} -m pip install minimax-magic." >&2
  exit 1
fi
exec "$python" -P -m minimax_magic {program} -- "$@"
"""

_BAT: Final = """\
@echo off
{code_page}rem Starts {title} with MiniMax. There is no key in this file: minimax_magic finds it
rem and says which one it took. All arguments go to {title}: {name} --message "Fix the typo" README.md
rem Call it from the project's folder: settings, key and login are those of where you are.
setlocal
set "PYTHON_FOR_MINIMAX={python}"
if not exist "%PYTHON_FOR_MINIMAX%" set "PYTHON_FOR_MINIMAX=python"
rem -P: no module of the folder where you are is taken for one of Python's
"%PYTHON_FOR_MINIMAX%" -P -c "import minimax_magic" >nul 2>nul
if errorlevel 1 (
  echo minimax_magic is not installed for this Python: run python -m pip install minimax-magic. 1>&2
  exit /b 1
)
"%PYTHON_FOR_MINIMAX%" -P -m minimax_magic {program} -- %*
exit /b %ERRORLEVEL%
"""


def write_scripts(
    folder: Path, program: str = "aider", force: bool = False, *, python: str | None = None
) -> list[Path]:
    """Writes both scripts and gives their paths.

    Args:
        folder: Has to exist.
        force: Replace files that are there.
        python: The interpreter that they call; None: this one.

    Raises:
        ConfigError: There is no such script, a file is there already, or cannot be written.
    """
    if program not in SCRIPTED:
        raise ConfigError(
            f"There is no script for {program!r}.", hint=f"There is one for {', '.join(SCRIPTED)}."
        )
    python = python or sys.executable
    shell, batch = folder / f"start-{program}.sh", folder / f"start-{program}.bat"
    if not force:
        for path in (shell, batch):
            if os.path.lexists(path):
                raise ConfigError(f"{path.name} is there already.", hint="Replace it with --force.")
    words = {"program": program, "title": program.capitalize()}
    # in a batch file a percent sign begins a variable
    batch_python = python.replace("%", "%%")
    code_page = "" if python.isascii() else "chcp 65001 >nul\n"
    texts = {
        shell: _SH.format(**words, name=shell.name, python=shlex.quote(python)),
        batch: _BAT.format(
            **words, name=batch.name, python=batch_python, code_page=code_page
        ).replace("\n", "\r\n"),
    }
    for path, text in texts.items():
        try:
            path.write_bytes(text.encode())
            path.chmod(0o755 if path is shell else 0o644)
        except OSError as error:
            raise ConfigError(
                f"{path.name} cannot be written: {system_reason(error)}.",
                hint="Check the folder's permissions.",
            ) from None
    return list(texts)


def written_words(paths: Sequence[Path]) -> str:
    """What to say of scripts that were written."""
    names = " and ".join(path.name for path in paths)
    return f"Written: {names}. They hold no key: the credential is found when they run."
