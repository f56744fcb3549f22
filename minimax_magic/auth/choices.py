"""What a login asks and answers, as values that its panel and its text form share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Way = Literal["plan", "key"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to choose.

    Attributes:
        value: `global`, `china`, `simulator`, an address; `project`, `user` or `session` for a place.
        label: What the person reads.
        hint: What it means: a host, a file; may be empty.
    """

    value: str
    label: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What to say about a login that worked. Holds no credential.

    Attributes:
        title: `Signed in to api.minimax.io`.
        facts: Names and values, in the order to show them.
        note: Something to know, for example an environment variable that goes first; may be empty.
        usable: Whether cells use it now; if not, the note says why.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    note: str = ""
    usable: bool = True
