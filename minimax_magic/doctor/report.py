"""Findings as text: for a terminal, for machines, and for an issue on GitHub.

What servers and files say is masked once more here, and loses what a terminal would obey.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from minimax_magic.doctor.findings import (
    ANSWER,
    COMPLETION,
    MODEL,
    SIMULATED,
    TOKENS,
    Finding,
    State,
    verdict,
)
from minimax_magic.doctor.redacted import Redactor
from minimax_magic.text import whole
from minimax_magic.wire.http import mask

WIDTH: Final = 80
"""Columns of a terminal that is as wide as they have always been."""

MARKS: Final[dict[State, str]] = {
    "ok": "ok",
    "note": "note",
    "warning": "WARN",
    "failed": "FAIL",
    "skipped": "skip",
}
CAUSES: Final = "Likely causes, the likeliest first:"
STEPS: Final = "What to do:"
SUCCESS: Final = "SUCCESS! API is working!"
READY: Final = "Your MiniMax API is ready for Aider!"

_INDENT: Final = " " * 6
_TITLE: Final = 18
_RULE: Final = "-" * 60
_SHORT_LABEL: Final = 24
_LEAST_WIDTH: Final = 40
_CODE: Final = re.compile(r"`[^`]{1,44}`")
_JOINT: Final = "\u00a0"  # no space to break a line at
_SLOW_S: Final = 1.0
# What of a check that went well is told in a terminal below its line: which key of many is used, what is
# left of the plan. Of all others it is enough that they are well.
_TOLD_WHERE_WELL: Final = {"credential", "account", COMPLETION, "environment", "program"}
# What is drawn as the answer of the completion.
_DRAWN: Final = {MODEL, ANSWER, *TOKENS}
# A warning of these speaks against Aider.
_AIDER_CHECKS: Final = {"environment", "program"}
# Signs that move a terminal's cursor, colour its text, or turn the direction of reading.
_OBEYED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


# ---------------------------------------------------------------------------------- for a terminal


def line(finding: Finding, *, width: int = WIDTH) -> str:
    """The finding's own line, `ok    Name resolution   api.minimax.io is 47.1.2.3.`; where that is wider
    than the terminal it goes on below what was said."""
    mark = MARKS[finding.state]
    head = f"{mark:<{len(_INDENT)}}{one_line(finding.title):<{_TITLE}} "
    return "\n".join(_wrapped(said(finding), head, width) or [head.rstrip()])


def said(finding: Finding) -> str:
    """What the check said, with the time it took if that was long and is not told."""
    words = one_line(finding.said)
    if finding.seconds < _SLOW_S or words.endswith((")", ").")):
        return words
    return f"{words.removesuffix('.')} ({finding.seconds:.1f} s)."


def under(finding: Finding, *, width: int = WIDTH) -> str:
    """What stands below its line: facts where they matter, the answer of the completion, causes and
    steps. Empty if there is nothing more to say."""
    parts = []
    if answered(finding):
        parts.append("\n".join(_answer(finding, width)))
    elif (facts := facts_of(finding)) and (
        finding.check in _TOLD_WHERE_WELL or finding.state in ("failed", "warning")
    ):
        parts.append("\n".join(_table(facts, width)))
    if trouble := finding.trouble:
        for heading, items in ((CAUSES, trouble.causes), (STEPS, trouble.steps)):
            if items:
                parts.append("\n".join([_INDENT + heading, *_numbered(items, width)]))
    # air around what is long, none around a table of facts
    airy = finding.trouble is not None or answered(finding)
    return "\n\n".join(["", *parts, ""])[1:-1] if airy else "\n".join(parts)


def closing(findings: Sequence[Finding], *, width: int = WIDTH) -> str:
    """What all of them mean together: the last lines."""
    end = verdict(findings)
    lines = ["", *textwrap.wrap(one_line(end.said), width)]
    if is_ready(findings):
        lines.append(READY)
    if end.exit_code == 1 and findings:
        lines += textwrap.wrap(
            "`--report` gives this without anything private, to be pasted into an issue.", width
        )
    return "\n".join(lines)


def text(findings: Sequence[Finding], *, width: int = WIDTH) -> str:
    """All of it, as it is read in a terminal."""
    parts = []
    for finding in findings:
        parts.append(line(finding, width=width))
        if below := under(finding, width=width):
            parts.append(below)
    return "\n".join([*parts, closing(findings, width=width)])


def is_ready(findings: Sequence[Finding]) -> bool:
    """Whether a request was answered and nothing speaks against using the same with Aider."""
    return any(answered(finding) for finding in findings) and not any(
        finding.state == "failed" or (finding.state == "warning" and finding.check in _AIDER_CHECKS)
        for finding in findings
    )


def answered(finding: Finding) -> bool:
    """Whether it is that of the completion, with an answer."""
    return finding.check == COMPLETION and finding.state == "ok" and bool(finding.fact(ANSWER))


def facts_of(finding: Finding) -> list[tuple[str, str]]:
    """All its facts, each on one line."""
    return [(one_line(label), one_line(value)) for label, value in finding.facts]


def other_facts(finding: Finding) -> list[tuple[str, str]]:
    """Those facts of a completion that are not drawn as its answer."""
    return [(label, value) for label, value in facts_of(finding) if label not in _DRAWN]


def answer_of(finding: Finding) -> str:
    """What the model wrote, as it may be shown."""
    return _clean(finding.fact(ANSWER)).strip()


def tokens_of(finding: Finding) -> list[tuple[str, str]]:
    """Input, output and total tokens, as far as they were told."""
    return [(label, one_line(finding.fact(label))) for label in TOKENS if finding.fact(label)]


def model_of(finding: Finding) -> str:
    """Who answered."""
    return one_line(finding.fact(MODEL)) or "MiniMax"


def one_line(words: str) -> str:
    """Words of anybody as one line, masked, without what a terminal would obey."""
    return " ".join(_clean(words).split())


def _clean(words: str) -> str:
    return mask(_OBEYED.sub(" ", whole(words)))


def _answer(finding: Finding, width: int) -> Iterator[str]:
    """As in the guide's expected result."""
    rule = _RULE[: width - len(_INDENT)]
    yield f"{_INDENT}{SUCCESS}"
    yield ""
    yield f"{_INDENT}Response from {model_of(finding)}:"
    yield _INDENT + rule
    for paragraph in answer_of(finding).splitlines():
        yield from _wrapped(paragraph, _INDENT, width) or [""]
    yield _INDENT + rule
    if tokens := tokens_of(finding):
        yield ""
        yield f"{_INDENT}Token Usage:"
        widest = max(len(label) for label, _ in tokens)
        for label, count in tokens:
            yield f"{_INDENT}  {f'{label}:':<{widest + 1}} {count}"
    if rest := other_facts(finding):
        yield ""
        yield from _table(rest, width)


def _table(facts: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    """Values below each other if their labels are short, else each behind its label."""
    most = max(len(label) for label, _ in facts)
    for label, value in facts:
        if most <= _SHORT_LABEL:
            yield from _wrapped(value, f"{_INDENT}{label:<{most}}  ", width) or [_INDENT + label]
        else:
            yield from _wrapped(f"{label}: {value}", _INDENT, width, hanging=2)


def _numbered(items: Sequence[str], width: int) -> Iterator[str]:
    for number, item in enumerate(items, 1):
        yield from _wrapped(one_line(item), f"{_INDENT}{number:>2}. ", width)


def _wrapped(words: str, head: str, width: int, *, hanging: int = 0) -> list[str]:
    """Lines that begin with the head, or with so much space; what stands in backticks stays together if
    it fits into a line."""
    lines = textwrap.wrap(
        _CODE.sub(lambda code: code[0].replace(" ", _JOINT), words),
        max(width, _LEAST_WIDTH),
        initial_indent=head,
        subsequent_indent=" " * (len(head) + hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [one.replace(_JOINT, " ") for one in lines]


# ------------------------------------------------------------------------------------ for machines


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The same for machines. Keys are only ever added."""
    end = verdict(findings)
    return {
        "simulated": any(SIMULATED in finding.facts for finding in findings),
        "ok": end.exit_code == 0,
        "exit_code": end.exit_code,
        "said": one_line(end.said),
        "findings": [_plain(finding) for finding in findings],
    }


def _plain(finding: Finding) -> dict[str, Any]:
    trouble = finding.trouble
    return {
        "check": finding.check,
        "title": one_line(finding.title),
        "state": finding.state,
        "said": one_line(finding.said),
        # a list, since several may have the same label
        "facts": [
            {"label": one_line(label), "value": _clean(value)} for label, value in finding.facts
        ],
        "trouble": trouble
        and {
            "name": trouble.name,
            "title": trouble.title,
            "causes": list(trouble.causes),
            "steps": list(trouble.steps),
        },
        "error": finding.error,
        "seconds": round(finding.seconds, 3),
    }


# ------------------------------------------------------------------------------------ for an issue


def markdown(
    findings: Sequence[Finding],
    versions: Sequence[tuple[str, str]] = (),
    *,
    private: Mapping[str, str] | None = None,
) -> str:
    """A report to paste into an issue, folded, and without anything private (`redacted.Redactor`).

    Causes and steps are left out but for the trouble's name: who reads it has the table.

    Args:
        versions: Names and versions of what is installed, if no finding has them.
        private: What is known to be private here, and what is to stand instead: the home folder and
            `~`, a group id and `<id>`.
    """
    words = [one_line(part) for finding in findings for part in _words(finding)]
    words += [one_line(part) for pair in versions for part in pair]
    proxied = [one_line(part) for f in findings if f.check == "proxy" for part in _words(f)]
    redactor = Redactor(words, proxied=proxied, private=private)
    lines = []
    for finding in findings:
        head = f"{MARKS[finding.state]:<{len(_INDENT)}}{one_line(finding.title):<{_TITLE}} "
        about = [finding.error, finding.trouble.name if finding.trouble else ""]
        about = [part for part in about if part]
        more = f" [{', '.join(about)}]" if about else ""
        lines.append(head + redactor.line(said(finding)) + more)
        for label, value in finding.facts:
            told = redactor.value(one_line(label), one_line(value))
            lines.append(f"{_INDENT}{redactor.line(one_line(label))}: {told}")
    lines += [""] if versions else []
    lines += [f"{name} {redactor.line(one_line(version))}" for name, version in versions]
    block = "\n".join(lines)
    longest = max((len(run) for run in re.findall(r"`{3,}", block)), default=2)
    fence = "`" * (longest + 1)
    summary = html.escape(redactor.line(one_line(verdict(findings).said)), quote=False)
    return (
        f"<details>\n<summary>minimax_magic doctor: {summary}</summary>\n\n"
        f"{fence}text\n{block}\n{fence}\n\n</details>\n"
    )


def _words(finding: Finding) -> Iterator[str]:
    yield finding.said
    for pair in finding.facts:
        yield from pair
