"""The words of a prompt that choose an answer: `[[name rest]]`, and `[[echo]]` before a text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

TRIGGER = re.compile(r"\[\[\s*([a-z_]+)((?:\s+[\w.]+)*)\s*\]\]")
ECHO = re.compile(r"\[\[\s*echo\s*\]\][ \n]?")
# all there are; `choose` says what each does
NAMES = frozenset(
    {
        *("long", "slow", "chunk", "echo", "code", "math", "html", "remoteimage"),
        *("tool", "steps", "badargs", "badjson", "xml", "invalid", "astext"),
        *("length", "thinkonly", "json", "error", "base_resp", "drop", "truncate", "silence"),
    }
)


@dataclass(frozen=True, slots=True)
class Words:
    """What a prompt asks for.

    Attributes:
        said: The prompt without its words and without what is to be echoed.
        echo: The text to be sent back; None if there is none.
        given: What follows each name inside its brackets.
    """

    said: str
    echo: str | None = None
    given: dict[str, list[str]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.given

    def under(self, others: Words) -> Words:
        """These, and others that come first where both say something."""
        echo = self.echo if others.echo is None else others.echo
        # first in the order too: of two faults the first is taken
        given = {**others.given, **self.given, **others.given}
        return replace(self, echo=echo, given=given)

    def number(self, name: str, most: int, default: int | None = None) -> int:
        """The number that follows a name, at most `most`.

        Args:
            default: Where the name stands alone; None if it must have a number.

        Raises:
            ValueError: There is none, or it is no number.
        """
        rest = self.given[name]
        if not rest and default is not None:
            return default
        if not rest or not rest[0].isdecimal():
            raise ValueError(f"`[[{name} …]]` takes a number")
        return min(int(rest[0]), most)

    def times(self, name: str) -> int:
        """How often something is to be done: 0 without the name, 1 if it stands alone."""
        return self.number(name, 1000, 1) if name in self else 0


def read_words(prompt: str) -> Words:
    """The words of a prompt."""
    echo = None
    if found := ECHO.search(prompt):
        prompt, echo = prompt[: found.start()], prompt[found.end() :]
    given = {name: rest.split() for name, rest in TRIGGER.findall(prompt)}
    return Words(TRIGGER.sub("", prompt), echo, given)
