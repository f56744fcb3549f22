"""The words of a prompt that choose an answer: `[[name rest]]`, and `[[echo]]` before a text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TRIGGER = re.compile(r"\[\[\s*([a-z_]+)((?:\s+[\w.]+)*)\s*\]\]")
ECHO = re.compile(r"\[\[\s*echo\s*\]\][ \n]?")


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
