"""What a check found, and what all of them mean together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from minimax_magic.doctor.remedies import Trouble
from minimax_magic.words import plural

# Check and labels of the one completion, which a report draws as an answer: `facts` holds the model, the
# answer, and input, output and total tokens as plain numbers or with thousands apart (`1,024`).
COMPLETION: Final = "completion"
MODEL: Final = "Model"
ANSWER: Final = "Answer"
TOKENS: Final = ("Input tokens", "Output tokens", "Total tokens")
SIMULATED: Final = ("Simulated", "yes")
"""The fact that a simulator answered."""

State = Literal["ok", "note", "warning", "failed", "skipped"]
"""`note`: nothing is wrong, but it is worth knowing. `warning`: it works here, but something else will
trip over it (Aider, another program). `skipped`: it could not be asked, since something before it
failed, or it was not wanted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: Which one, for machines: `dns`, `authentication`. The same in every version.
        title: The same for people: `Name resolution`.
        said: One line without anything secret in it, with a full stop.
        facts: Label and value of more that is worth knowing: all sources of a key, counts of tokens.
            Without anything secret.
        trouble: Causes and steps; set where the state is `failed` or `warning`.
        error: Name of the error's class, for machines; empty if there was none.
        seconds: How long the check took.
    """

    check: str
    title: str
    state: State
    said: str
    facts: tuple[tuple[str, str], ...] = ()
    trouble: Trouble | None = None
    error: str = ""
    seconds: float = 0.0

    def fact(self, label: str) -> str:
        """The value behind a label; empty if there is none."""
        return dict(self.facts).get(label, "")

    def worded(self, change: Callable[[str], str]) -> Finding:
        """The same in other words: all that was written for people is changed by a function."""
        told = self.trouble
        if told is not None:
            causes, steps = tuple(map(change, told.causes)), tuple(map(change, told.steps))
            told = replace(told, causes=causes, steps=steps)
        facts = tuple((label, change(value)) for label, value in self.facts)
        return replace(self, said=change(self.said), facts=facts, trouble=told)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all findings mean.

    Attributes:
        exit_code: 0: all is well. 1: something failed. 3: there are only warnings. (2 is what programs
            say of a wrong command line.)
        said: One line with a full stop.
    """

    exit_code: int
    said: str


def verdict(findings: Sequence[Finding]) -> Verdict:
    """What the findings mean together; checks that were skipped count for nothing."""
    failed = [finding.title for finding in findings if finding.state == "failed"]
    warned = [finding.title for finding in findings if finding.state == "warning"]
    skipped = sum(finding.state == "skipped" for finding in findings)
    if not findings:
        return Verdict(1, "Nothing was checked.")
    if failed:
        more = f" and {len(warned)} {plural(len(warned), 'warning')}" if warned else ""
        where = f"{failed[0]}." if len(failed) == 1 else f"mend {failed[0]} first."
        return Verdict(1, f"{len(failed)} {plural(len(failed), 'problem')}{more}: {where}")
    if warned:
        where = ", ".join(warned)
        warnings = f"{len(warned)} {plural(len(warned), 'warning')}"
        # only an answer of the model proves that it works
        works = any(one.check == COMPLETION and one.state == "ok" for one in findings)
        return Verdict(3, f"{'It works, with ' if works else ''}{warnings}: {where}.")
    if skipped:
        return Verdict(0, f"All is well, as far as it was checked ({skipped} left out).")
    return Verdict(0, "All is well.")
