"""The README says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minimax_magic.config import load_settings
from minimax_magic.errors import ConfigError
from minimax_magic.ipython.arguments import OPTIONS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def rows(pattern: str) -> list[str]:
    return re.findall(pattern, README, re.MULTILINE)


def test_the_option_table_is_the_parser() -> None:
    """The table of options names exactly those that the parser knows, in its order."""
    table = rows(r"^\| `(--[a-z-]+(?: [A-Z]+)?)` \|")
    assert table == [f"{option.flag} {option.metavar}".strip() for option in OPTIONS]


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.choices], ids=lambda o: o.flag)
def test_the_option_table_names_every_choice(option: object) -> None:
    """Where an option takes one of a few words, the table has them all."""
    flag, choices = option.flag, option.choices  # type: ignore[attr-defined]
    (row,) = rows(rf"^\| `{flag} .*$")
    assert all(f"`{choice}`" in row for choice in choices)


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
