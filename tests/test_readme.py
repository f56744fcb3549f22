"""The README says what the program does."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from minimax_magic.auth.bundle_file import BUNDLE_FILE
from minimax_magic.auth.oauth import PORTAL, client_profile
from minimax_magic.auth.regions import resolve_region
from minimax_magic.auth.sources import region_of
from minimax_magic.config import load_settings
from minimax_magic.errors import ConfigError
from minimax_magic.ipython.arguments import COMMAND_OPTIONS, OPTIONS, SUBCOMMANDS
from minimax_magic.ipython.option_table import filled
from minimax_magic.pricing import BUILT_IN

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
