"""An environment as text: what a shell makes of it is what was meant, whatever is in a value."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from minimax_magic.errors import ConfigError
from minimax_magic.masked import MaskedStr
from minimax_magic.programs.environment import ProgramEnvironment, Variable, environment_for
from minimax_magic.programs.names import PROGRAMS, SHELLS, usual_shell
from minimax_magic.programs.shells import written

KEY = "sk-cp-abcdefghijklmnop"
HOSTILE = (
    "plain",
    "two words",
    " edges ",
    "it's",
    'say "hi"',
    "100% %PATH% %%",
    "wow! !x!",
    "$HOME `id` $(id)",
    "back\\slash\\",
    "a&b|c<d>e^f;g#h*?~",
    "\u2018curly\u2019",
    "-n",
)
SHOW = "import json, os, sys; print(json.dumps({n: os.environ.get(n) for n in sys.argv[1:]}))"


def made(program: str = "aider", **options: object) -> ProgramEnvironment:
    given = {"root": "https://api.minimax.io", "key": KEY, "model": "MiniMax-M2.5"}
    return environment_for(program, **{**given, **options})  # type: ignore[arg-type]


def with_values(*values: str) -> ProgramEnvironment:
    variables = tuple(Variable(f"V{i}", value, "A reason.") for i, value in enumerate(values))
    gone = (("GONE", "It would be in the way."),)
    return ProgramEnvironment("aider", "Aider", variables, gone, ("aider", "--model", "x"))


def sourced(shell: str, text: str, *names: str) -> dict[str, str | None]:
    """What a program that is started from a shell sees after the text was evaluated."""
    script = f'eval "$TEXT"; exec "{sys.executable}" -c "$SHOW" "$@"'
    environ = {"TEXT": text, "SHOW": SHOW, "GONE": "still", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [shell, "-c", script, shell, *names],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    result: dict[str, str | None] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh"])
def test_sh_gives_every_value_back(shell: str) -> None:
    """Evaluated in a real shell, hostile values arrive as they were, and what must go is gone."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    text = written(with_values(*HOSTILE), "sh", reveal=True)
    names = [f"V{i}" for i in range(len(HOSTILE))]
    seen = sourced(shell, text, *names, "GONE")
    assert [seen[name] for name in names] == list(HOSTILE)
    assert seen["GONE"] is None


@pytest.mark.parametrize("program", PROGRAMS)
def test_sh_text_of_each_program_can_be_evaluated(program: str) -> None:
    """It sets all variables, and starts nothing."""
    env = made(program)
    names = [variable.name for variable in env.variables]
    seen = sourced("sh", written(env, "sh", reveal=True), *names)
    assert seen == {variable.name: variable.value for variable in env.variables}


def test_sh_text_can_be_sourced_from_a_file(tmp_path: Path) -> None:
    """As `. ./minimax.env`, in a shell that stops at the first error and at unset names."""
    file = tmp_path / "env.sh"
    file.write_text(written(made(), "sh", reveal=True), encoding="utf-8")
    done = subprocess.run(
        ["sh", "-eu", "-c", f'. "{file}"; printf %s "$ANTHROPIC_API_KEY"'],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == (KEY, "")


@pytest.mark.parametrize("program", PROGRAMS)
def test_sh_text_can_be_pasted_where_comments_are_none(program: str) -> None:
    """zsh, the usual shell of macOS, takes a comment that is typed or pasted for a command; bash does
    without interactive_comments. Neither complains, and all is set."""
    env = made(program)
    text = written(env, "sh", reveal=True)
    names = [variable.name for variable in env.variables]
    show = f'exec "{sys.executable}" -c "$SHOW" {" ".join(names)}\n'
    environ = {"SHOW": SHOW, "PATH": os.environ["PATH"], "PS1": "", "PS2": "open> "}
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    done = subprocess.run(
        ["bash", "--norc", "--noediting", "-i"],
        input=f"shopt -u interactive_comments\n{text}{show}",
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,  # an interactive shell takes the terminal of these tests otherwise
    )
    assert json.loads(done.stdout) == {one.name: one.value for one in env.variables}
    assert "not found" not in done.stderr
    assert "open>" not in done.stderr


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_comments_have_nothing_special(shell: str, program: str) -> None:
    """No sentence has a quote or the like in it, so that none loses one: shells that have no comments
    where people type would take it, and a batch file looks at remarks, too."""
    env = made(
        program, environ={"LLM_USER_PATH": "/it's", "http_proxy": "x"}, root="http://[::1]:1"
    )
    said = [one.why for one in env.variables] + [why for _, why in env.unset]
    said += [*made(program).notes, *(file.place for file in env.files)]
    assert not [one for one in said if set(one) & set("`'\"$%&|<>^;()[]{}*?!\\")]
    for hostile in ("it's `id` $(id); a & b | %PATH%", "line\nbreak"):
        env = replace(made(), notes=(hostile,))
        (*_, last) = written(env, shell, reveal=True).splitlines()
        assert not set(last) & set("'`$();&|%")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_masked_text_sets_nothing(shell: str, program: str) -> None:
    """All of it is comments: it would set a key to asterisks, or send another key to this address."""
    lines = written(made(program), shell, reveal=False).splitlines()
    assert not [one for one in lines if one and not one.startswith(("# ", "rem "))]
    assert f"{lines[1].split()[0]} The key is masked, so nothing is set here: --reveal" in lines[1]
    told = written(made(program), shell, reveal=False, revealed_by="ask Anna")
    assert "nothing is set here: ask Anna." in told
    assert "--reveal" not in told


def test_one_reason_stands_once() -> None:
    """Variables with the same reason follow each other below it."""
    text = written(made("claude-code"), "sh", reveal=True)
    assert text.count("in every role") == 1
    assert "export ANTHROPIC_MODEL=MiniMax-M2.5\nexport ANTHROPIC_SMALL_FAST_MODEL=" in text


def test_powershell_doubles_every_kind_of_single_quote() -> None:
    """In single quotes nothing else is special, but typographic quotes count as well."""
    text = written(with_values(*HOSTILE), "powershell", reveal=True)
    assert "$env:V3 = 'it''s'" in text
    assert "$env:V4 = 'say \"hi\"'" in text
    assert "$env:V7 = '$HOME `id` $(id)'" in text
    assert "$env:V10 = '\u2018\u2018curly\u2019\u2019'" in text
    assert "Remove-Item Env:GONE -ErrorAction SilentlyContinue" in text


def test_cmd_quotes_for_a_batch_file() -> None:
    """Percent signs are doubled, quotes keep the rest, and a quote inside leaves nothing open."""
    text = written(with_values(*HOSTILE), "cmd", reveal=True)
    assert 'set "V0=plain"\n' in text
    assert 'set "V5=100%% %%PATH%% %%%%"\n' in text
    assert 'set "V6=wow! !x!"\n' in text
    assert 'set "V9=a&b|c<d>e^f;g#h*?~"\n' in text
    assert 'set V4=say ^"hi^"\n' in text
    assert 'set "GONE="\n' in text
    both = written(with_values('a"&calc'), "cmd", reveal=True)
    assert 'set V0=a^"^&calc\n' in both


def dotenv(text: str) -> dict[str, str]:
    """A small reader: what python-dotenv does with lines without interpolation."""
    values = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, value = line.partition("=")
        if value.startswith("'"):
            assert value.endswith("'")
            value = value[1:-1].replace("\\'", "'").replace("\\\\", "\\")
        values[name] = value
    return values


def test_dotenv_gives_every_value_back() -> None:
    """Plain values stand bare, so that readers without quotes take them; others are quoted."""
    values = [value for value in HOSTILE if not value.endswith("\\")] + ["a\\'b"]
    text = written(with_values(*values), "dotenv", reveal=True)
    assert "V0=plain\n" in text
    assert list(dotenv(text).values()) == values
    assert "GONE" not in dotenv(text)
    assert "# GONE must not be set. It would be in the way.\n" in text


def test_dotenv_is_read_by_python_dotenv(tmp_path: Path) -> None:
    """The reader that Aider and LiteLLM use, from LiteLLM's own venv."""
    python = litellm_python()
    file = tmp_path / ".env"
    file.write_text(written(with_values(*HOSTILE), "dotenv", reveal=True), encoding="utf-8")
    code = "import dotenv, json, sys; print(json.dumps(dotenv.dotenv_values(sys.argv[1])))"
    done = subprocess.run(
        [python, "-c", code, str(file)], capture_output=True, text=True, timeout=60, check=True
    )
    assert list(json.loads(done.stdout).values()) == list(HOSTILE)


def litellm_python() -> str:
    found = os.environ.get("MM_LITELLM_PYTHON", "")
    root = Path(__file__).parents[2]
    python = Path(found) if found else root / ".venv-litellm" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{python} does not exist")
    return str(python)


def test_dotenv_refuses_what_readers_would_expand() -> None:
    """${NAME} is expanded even in quotes, and there is no way to escape it."""
    with pytest.raises(ConfigError, match=r"V0 has \$\{ in it.*--shell sh"):
        written(with_values("a${HOME}b"), "dotenv", reveal=True)


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\x00b", "a\x1bb", "a\u2028b"])
@pytest.mark.parametrize("shell", SHELLS)
def test_a_line_break_in_a_value_is_refused(shell: str, bad: str) -> None:
    """It would end the line in some of them, and begin a command."""
    with pytest.raises(ConfigError, match="V0 has a line break"):
        written(with_values(bad), shell, reveal=True)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_key_is_masked_unless_it_is_to_be_shown(shell: str, program: str) -> None:
    """The masked text says that it is, and how to see the key; the other one hides its repr."""
    env = made(program)
    masked, shown = (written(env, shell, reveal=reveal) for reveal in (False, True))
    assert KEY not in masked
    assert "***" in masked
    assert "--reveal" in masked
    assert KEY in shown
    assert "***" not in shown
    assert isinstance(shown, MaskedStr)
    assert masked.isascii()
    assert masked.endswith("\n")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_line_is_a_comment_or_about_one_variable(shell: str, program: str) -> None:
    """Each reason is there, and the command line is, but as a comment."""
    env = made(program)
    text = written(env, shell, reveal=True)
    remark = {"sh": ": #", "cmd": "rem"}.get(shell, "#")
    lines = [line for line in text.splitlines() if line and not line.startswith(remark)]
    names = [variable.name for variable in env.variables]
    if shell != "dotenv":
        names += [name for name, _ in env.unset]
    assert len(lines) == len(names)
    assert all(name in line for name, line in zip(names, lines, strict=True))
    flat = " ".join(text.replace(f"\n{remark} ", " ").split())
    for variable in env.variables:
        assert variable.why in flat
    assert f"{remark}   {env.command[0]}" in text
    for file in env.files:
        assert file.name in flat
    assert all(len(line) <= 110 for line in text.splitlines() if not line.startswith(f"{remark}  "))


def test_the_command_line_is_quoted_for_its_shell() -> None:
    """Only words that need it."""
    assert "#   aider --model anthropic/MiniMax-M2.5\n" in written(made(), "sh", reveal=False)
    for shell in SHELLS:  # Python code, with single quotes in it, reads the same everywhere
        text = written(made("openai-sdk"), shell, reveal=False)
        assert 'python -c "import openai; print(' in text
        assert "(model='MiniMax-M2.5', messages" in text
    for shell in ("sh", "powershell"):  # where double quotes would let something through
        quoted = written(replace(made(), command=("x", "it's $HOME")), shell, reveal=False)
        assert '"it' not in quoted


def test_what_only_one_of_them_needs_to_say() -> None:
    """A batch file is not what is typed, and of these programs only Aider loads a .env itself."""
    assert "rem Aider with MiniMax, for a batch file.\n" in written(made(), "cmd", reveal=True)
    assert "only if something loads" not in written(made(), "dotenv", reveal=True)
    assert "only if something loads" in written(made("openai-sdk"), "dotenv", reveal=True)


def test_the_usual_shell_is_that_of_the_system() -> None:
    """PowerShell on Windows, sh elsewhere; and there are no others than these."""
    assert usual_shell("win32") == "powershell"
    assert usual_shell("linux") == usual_shell("darwin") == "sh"
    with pytest.raises(ConfigError, match=r"no shell 'fish'.*sh, powershell, cmd, dotenv"):
        written(made(), "fish", reveal=False)
