"""The README says what the program does."""

from __future__ import annotations

import html
import re
from decimal import Decimal
from pathlib import Path

import pytest

from minimax_magic.auth.bundle_file import BUNDLE_FILE
from minimax_magic.auth.oauth import PORTAL, client_profile
from minimax_magic.auth.regions import resolve_region
from minimax_magic.auth.sources import region_of
from minimax_magic.command_line import main
from minimax_magic.config import load_settings
from minimax_magic.doctor.remedies import TROUBLES
from minimax_magic.errors import ConfigError
from minimax_magic.ipython.arguments import COMMAND_OPTIONS, OPTIONS, SUBCOMMANDS
from minimax_magic.ipython.option_table import MOST_SEEN, filled
from minimax_magic.pricing import BUILT_IN
from minimax_magic.programs.names import PROGRAMS, SHELLS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def rows(pattern: str) -> list[str]:
    return re.findall(pattern, README, re.MULTILINE)


def test_the_tables_are_made_from_the_parser() -> None:
    """The tables of options and commands are what `make tables` writes."""
    assert filled(README) == README
    table = rows(r"^\| `(--[a-z-]+(?: [A-Z]+)?)` \|")
    assert table == [f"{option.flag} {option.metavar}".strip() for option in OPTIONS]


def test_a_text_without_marks_is_refused() -> None:
    """Tables are never written to a place that nobody chose."""
    with pytest.raises(ValueError, match="options"):
        filled("# A readme")


def test_the_troubles_are_those_of_the_doctor() -> None:
    """The troubleshooting section has each trouble's title, and below it what is seen, causes and steps
    as the doctor shows them."""
    folded = re.findall(
        r"<details><summary><b>(.*?)</b></summary>(.*?)</details>", README, re.DOTALL
    )
    shown = {html.unescape(title): html.unescape(text) for title, text in folded}
    for trouble in TROUBLES:
        told = trouble.told()
        text = shown[told.title]
        lines = [
            *told.seen[:MOST_SEEN],
            *(f"{n}. {cause}\n" for n, cause in enumerate(told.causes, 1)),
            *(f"{n}. {step}\n" for n, step in enumerate(told.steps, 1)),
        ]
        places = [text.index(line) for line in lines]
        assert places == sorted(places)


def test_the_settings_shown_are_the_defaults(tmp_path: Path) -> None:
    """The llm.yaml of the README loads, changes nothing, and its agent can be used."""
    bare = load_settings(tmp_path, {}, user_config_dir=tmp_path / "none")
    blocks = dict(
        re.findall(r"```yaml\n# (config/\S+)\n(.*?)```", README, re.DOTALL),
    )
    for name, text in blocks.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shown = load_settings(tmp_path, {}, user_config_dir=tmp_path / "none")
    for field in ("base_url", "model", "requests_per_second", "idle_timeout_s", "retry"):
        assert getattr(shown, field) == getattr(bare, field)
    assert shown.agent("ana").temperature == 0.3


def test_the_settings_of_the_login_are_real(tmp_path: Path) -> None:
    """The `auth` section shown as a comment loads once it is none, and says what is so anyway."""
    (text,) = re.findall(r"```yaml\n# config/llm.yaml\n(.*?)```", README, re.DOTALL)
    (section,) = re.findall(r"^    # auth:\n(?:    #   .*\n)+", text, re.MULTILINE)
    path = tmp_path / "config" / "llm.yaml"
    path.parent.mkdir()
    path.write_text(
        "providers:\n  minimax:\n" + re.sub(r"^    # ", "    ", section, flags=re.MULTILINE)
    )
    settings = load_settings(tmp_path, {}, user_config_dir=tmp_path / "none")
    auth = settings.auth
    assert auth.mode == "auto"
    assert client_profile(auth.client_id, auth.scope) == PORTAL
    assert auth.bundle == tmp_path / "secrets" / BUNDLE_FILE
    assert region_of(settings, auth.region or "") == resolve_region("global")


def test_the_settings_of_usage_are_real(tmp_path: Path) -> None:
    """The `budget`, `prices` and `ledger` shown as comments load once they are none, and do what they
    say."""
    (text,) = re.findall(r"```yaml\n# config/llm.yaml\n(.*?)```", README, re.DOTALL)
    (section,) = re.findall(r"^# budget:(?:.*\n# )+.*\n", text, re.MULTILINE)
    path = tmp_path / "config" / "llm.yaml"
    path.parent.mkdir()
    path.write_text(re.sub(r"^# ", "", section, flags=re.MULTILINE))
    settings = load_settings(tmp_path, {}, user_config_dir=tmp_path / "none")
    budget = settings.budget
    limits = (budget.cell, budget.kernel, budget.day, budget.month)
    assert limits == (Decimal("0.10"), 1, 5, 50)
    own, known = settings.prices.find("my-own-model"), settings.prices.find("MiniMax-M2.5")
    listed = BUILT_IN.find("MiniMax-M2.5")
    assert own is not None
    assert known is not None
    assert listed is not None
    assert (own.input, own.output) == (Decimal("0.10"), Decimal("0.40"))
    assert (known.input, known.output) == (listed.input, Decimal("1.20"))
    assert Path(settings.ledger).name == "usage.sqlite3"
    assert Path(settings.ledger).is_absolute()


def test_the_commands_are_in_the_table() -> None:
    """The table names every command with exactly the options that it has."""
    table = " ".join(rows(r"^\| (`%minimax .*?) \|"))
    shown = re.findall(r"`%minimax ([^`]*)`", table)
    for name in SUBCOMMANDS:
        (line,) = [line for line in shown if re.sub(r" [\[A-Z-].*", "", line) == name]
        flags = re.findall(r"(--[a-z-]+)(?: ([A-Z]+))?", line)
        assert flags == list(COMMAND_OPTIONS.get(name, {}).items())


@pytest.mark.parametrize(
    "command", sorted(set(rows(r"python -m minimax_magic ([a-z-]+)"))), ids=str
)
def test_the_commands_of_a_terminal_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the README starts with `python -m minimax_magic` is a command with a help of its own."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"python -m minimax_magic {command}" in capsys.readouterr().out


def test_a_person_in_trouble_finds_the_remedies() -> None:
    """The first screen links to the section, which has every trouble of the doctor's table."""
    assert README.index("(#troubleshooting)") < 1500
    section = README.partition("\n## Troubleshooting\n")[2].partition("\n## ")[0]
    assert section.count("<details>") == len(TROUBLES)
    assert 2 <= section.count("\n### ") <= 4
    for words in ("%minimax doctor", "python -m minimax_magic doctor"):
        assert words in section.partition("```")[2].partition("```")[0]


def test_the_other_programs_are_named() -> None:
    """The README names every program and shell that `env` knows."""
    section = README.partition("\n## Aider, LiteLLM, ")[2].partition("\n## ")[0]
    for name in (*PROGRAMS, *SHELLS):
        assert f"`{name}`" in section or f"--shell {name}`" in section, name


def test_variables_of_the_readme_exist(tmp_path: Path) -> None:
    """A variable that the README names is one that is read: nonsense in it is noticed or used."""
    named = set(rows(r"`(MINIMAX_[A-Z_]+)`"))
    source = "".join(path.read_text() for path in (ROOT / "minimax_magic").rglob("*.py"))
    assert named <= set(re.findall(r"MINIMAX_[A-Z_]+", source))
    with pytest.raises(ConfigError, match="MINIMAX_IDLE_TIMEOUT_S"):
        load_settings(tmp_path, {"MINIMAX_IDLE_TIMEOUT_S": "soon"})


def test_every_link_leads_somewhere() -> None:
    """Files that the README links to or shows are in the repository."""
    for target in rows(r"\]\((?!https?:)([^)#]+)\)"):
        assert (ROOT / target).exists(), target
