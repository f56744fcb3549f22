"""The tables of README, made from what the parser and the doctor know.

    python -m minimax_magic.ipython.option_table README.md

writes them between the marks that are there.
"""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path
from typing import Final

from minimax_magic.doctor.remedies import TROUBLES, Trouble
from minimax_magic.doctor.report import CAUSES, STEPS
from minimax_magic.ipython.arguments import (
    COMMAND_NAMES,
    COMMAND_OPTIONS,
    OPTIONS,
    SUBCOMMANDS,
    Option,
)

MOST_SEEN: Final = 3
"""How many of the words by which a trouble is known stand in README."""
# Which trouble each part of the list begins with.
_HEADINGS: Final = {
    "key_missing": "Key, account and network",
    "wrong_wire": "Aider and other programs",
    "stream_broken": "Answers, login and settings",
}


def options() -> str:
    """All options of `%%minimax`."""
    return _table("Option", [(_flag(option), _help(option)) for option in OPTIONS])


def commands() -> str:
    """All commands of `%minimax`."""
    return _table("Command", [(f"%minimax {_usage(n)}", text) for n, text in SUBCOMMANDS.items()])


def troubleshooting() -> str:
    """All troubles with their causes and steps, as the doctor has them, each to be unfolded."""
    parts = []
    for trouble in TROUBLES:
        if heading := _HEADINGS.get(trouble.name):
            parts.append(f"### {heading}\n")
        parts.append(_folded(trouble.told()))
    return "\n".join(parts)


def filled(text: str) -> str:
    """A text with all tables as they are now, each between its mark, such as `<!-- options -->`, and
    `<!-- end -->`."""
    for name, table in (
        ("options", options()),
        ("commands", commands()),
        ("troubleshooting", troubleshooting()),
    ):
        place = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
        if place is None:
            raise ValueError(f"there is no <!-- {name} --> ... <!-- end -->")
        text = text[: place.start(1)] + table + text[place.end(1) :]
    return text


def _folded(trouble: Trouble) -> str:
    seen = " · ".join(f"`{words}`" for words in trouble.seen[:MOST_SEEN])
    lines = [
        f"<details><summary><b>{_prose(trouble.title)}</b></summary>",
        "",
        f"Seen as {seen}",
        "",
    ]
    for heading, items in ((CAUSES, trouble.causes), (STEPS, trouble.steps)):
        lines += [heading, "", *(f"{n}. {_prose(item)}" for n, item in enumerate(items, 1)), ""]
    return "\n".join([*lines, "</details>", ""])


def _prose(text: str) -> str:
    return html.escape(text, quote=False)


def _table(heading: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| {heading} | |", "|---|---|", *(f"| `{left}` | {right} |" for left, right in rows)]
    return "\n".join(lines) + "\n"


def _flag(option: Option) -> str:
    return f"{option.flag} {option.metavar}".strip()


def _help(option: Option) -> str:
    choices = [f"`{choice}`" for choice in option.choices]
    text = f"{option.help}: {', '.join(choices[:-1])} or {choices[-1]}" if choices else option.help
    return text.replace("|", "\\|")


def _usage(command: str) -> str:
    flags = COMMAND_OPTIONS.get(command, {})
    shown = [f"[{flag} {value}".strip() + "]" for flag, value in flags.items()]
    return " ".join([command, *filter(None, [COMMAND_NAMES.get(command)]), *shown])


def main() -> None:
    path = Path(sys.argv[1])
    path.write_text(filled(path.read_text()))


if __name__ == "__main__":
    main()
