"""The scripts that start Aider."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import minimax_magic
from minimax_magic.errors import ConfigError
from minimax_magic.programs.scripts import write_scripts

posix = pytest.mark.skipif(os.name != "posix", reason="sh is not everywhere")


def fake_python(folder: Path, name: str = "python3", *, installed: bool = True) -> Path:
    """An interpreter that writes down its arguments; `-c` tells whether minimax_magic is there."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    told = shlex.quote(str(folder / "told"))
    path.write_text(
        f'#!/bin/sh\nif [ "$1 $2" = "-P -c" ]; then exit {0 if installed else 1}; fi\n'
        f'for word in "$@"; do echo "$word" >> {told}; done\nexit 7\n'
    )
    path.chmod(0o755)
    return path


def started(
    script: Path, *args: str, path: str = "/usr/bin:/bin"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script), *args], capture_output=True, text=True, env={"PATH": path}, check=False
    )


def test_two_scripts_are_written(tmp_path: Path) -> None:
    """One for sh, which can be started, and one for Windows with its line ends."""
    shell, batch = write_scripts(tmp_path)
    assert (shell.name, batch.name) == ("start-aider.sh", "start-aider.bat")
    assert sys.executable in shell.read_text()
    assert shell.read_bytes().startswith(b"#!/bin/sh\n")
    assert b"\r" not in shell.read_bytes()
    lines = batch.read_bytes().split(b"\r\n")
    assert lines[0] == b"@echo off"
    assert b"\n" not in b"".join(lines)
    assert f'set "PYTHON_FOR_MINIMAX={sys.executable}"'.encode() in lines
    assert b'"%PYTHON_FOR_MINIMAX%" -P -m minimax_magic aider -- %*' in lines
    if os.name == "posix":
        assert stat.S_IMODE(shell.stat().st_mode) == 0o755


def test_no_key_is_written(tmp_path: Path, env: Callable[..., None]) -> None:
    """The credential of this moment is in neither script."""
    env(api_key="sk-api-very-secret", code_plan_key="sk-cp-very-secret")
    for path in write_scripts(tmp_path):
        assert "very-secret" not in path.read_text()


@posix
def test_the_script_calls_the_command_with_all_arguments(tmp_path: Path) -> None:
    """Arguments arrive as they were given, and the exit code comes back."""
    python = fake_python(tmp_path / "it's a folder")
    shell, _ = write_scripts(tmp_path, python=str(python))
    args = ["--message", "two words", "$HOME", ""]
    done = started(shell, *args)
    assert done.returncode == 7, done.stderr
    told = (python.parent / "told").read_text().split("\n")[:-1]
    assert told == ["-P", "-m", "minimax_magic", "aider", "--", *args]


@posix
def test_code_of_the_folder_is_not_run(tmp_path: Path) -> None:
    """A repository may have a file of the name of a module that Python looks for."""
    for name in ("minimax_magic", "aiohttp", "argparse"):
        (tmp_path / f"{name}.py").write_text("print('CODE OF THE FOLDER')")
    shell, _ = write_scripts(tmp_path)
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MINIMAX_AIDER": "nowhere"}
    environ["PYTHONPATH"] = str(Path(minimax_magic.__file__).parent.parent)
    done = subprocess.run(
        [shell], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    assert done.stderr.startswith("MINIMAX_AIDER names nowhere")


@posix
def test_without_that_interpreter_the_one_on_path_is_taken(tmp_path: Path) -> None:
    """An environment that was deleted is no reason to fail."""
    python = fake_python(tmp_path / "bin")
    shell, _ = write_scripts(tmp_path, python="/gone/python")
    assert started(shell, path=f"{python.parent}:/usr/bin:/bin").returncode == 7


@posix
def test_a_missing_package_is_told_in_one_line(tmp_path: Path) -> None:
    """Where minimax_magic is not installed, it says how to install it."""
    python = fake_python(tmp_path / "bin", installed=False)
    shell, _ = write_scripts(tmp_path, python=str(python))
    done = started(shell)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install minimax-magic" in done.stderr


def test_scripts_that_are_there_stay(tmp_path: Path) -> None:
    """Nothing is overwritten without force, and then nothing at all is written."""
    theirs = tmp_path / "start-aider.bat"
    theirs.write_text("mine")
    with pytest.raises(ConfigError, match=r"start-aider\.bat is there already"):
        write_scripts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["start-aider.bat"]
    assert theirs.read_text() == "mine"
    write_scripts(tmp_path, force=True)
    assert "minimax_magic" in theirs.read_text()


def test_a_batch_file_takes_any_path(tmp_path: Path) -> None:
    """A percent sign in the path is no variable, and letters of any language are read right."""
    _, batch = write_scripts(tmp_path, python="C:\\Ünï\\100%\\python.exe")
    text = batch.read_text(encoding="utf-8")
    assert "C:\\Ünï\\100%%\\python.exe" in text
    assert "chcp 65001" in text


def test_there_is_no_script_for_other_programs(tmp_path: Path) -> None:
    """Only Aider has one."""
    with pytest.raises(ConfigError, match="no script for 'vim'"):
        write_scripts(tmp_path, "vim")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """One line instead of a traceback."""
    with pytest.raises(ConfigError, match="cannot be written"):
        write_scripts(tmp_path / "missing")
