"""Findings as text and for machines."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from minimax_magic.doctor import report
from minimax_magic.doctor.findings import ANSWER, COMPLETION, MODEL, SIMULATED, TOKENS, Finding
from minimax_magic.doctor.remedies import TROUBLES, trouble

KEY = "sk-api-0123456789abcdefghij"
ANSWERED = Finding(
    COMPLETION,
    "Completion",
    "ok",
    "MiniMax-M2.5 answered.",
    facts=(
        (MODEL, "MiniMax-M2.5"),
        (ANSWER, "API test successful"),
        *zip(TOKENS, ("51", "50", "101"), strict=True),
    ),
    seconds=1.26,
)
REFUSED = Finding(
    "authentication",
    "Authentication",
    "failed",
    "api.minimax.io answered 401: invalid api key (2049).",
    trouble=trouble("unauthorized").told(),
    error="CredentialInvalid",
    seconds=0.2,
)
CONFLICT = Finding(
    "environment",
    "Environment",
    "warning",
    "ANTHROPIC_API_BASE beats ANTHROPIC_BASE_URL.",
    trouble=trouble("base_url_conflict").told(),
)
OPEN_FILE = Finding(
    "bundle",
    "Login",
    "warning",
    "Others may read secrets/minimax_token_plan.json.",
    trouble=trouble("bundle_permissions").told(),
)
RESOLVED = Finding(
    "dns", "Name resolution", "ok", "api.minimax.io is 47.1.2.3.", facts=(("Also", "47.1.2.4"),)
)


def test_success_looks_like_the_guides() -> None:
    """An answer is drawn as the Aider guide's expected result has it, line by line."""
    said = [line.strip() for line in report.text([RESOLVED, ANSWERED]).splitlines()]
    said = [line for line in said if line]
    assert said[2:] == [
        "SUCCESS! API is working!",
        "Response from MiniMax-M2.5:",
        "-" * 60,
        "API test successful",
        "-" * 60,
        "Token Usage:",
        "Input tokens:  51",
        "Output tokens: 50",
        "Total tokens:  101",
        "All is well.",
        "Your MiniMax API is ready for Aider!",
    ]


@pytest.mark.parametrize(
    ("findings", "ready"),
    [
        ([ANSWERED], True),
        ([ANSWERED, OPEN_FILE], True),
        ([ANSWERED, CONFLICT], False),
        ([ANSWERED, REFUSED], False),
        ([RESOLVED], False),
    ],
)
def test_ready_for_aider(findings: list[Finding], ready: bool) -> None:
    """It is said only if a request was answered, and neither a failure nor a variable that Aider obeys
    says otherwise."""
    assert (report.READY in report.text(findings)) is ready


def test_a_line_has_its_mark_without_colour() -> None:
    """State, title and what was said stand in columns; a long check says how long."""
    assert report.line(RESOLVED) == "ok    Name resolution    api.minimax.io is 47.1.2.3."
    assert report.line(REFUSED).startswith("FAIL  Authentication     api.minimax.io answered 401")
    assert report.line(CONFLICT).startswith("WARN  ")
    assert report.line(ANSWERED).endswith("MiniMax-M2.5 answered (1.3 s).")


def test_a_time_that_was_told_is_not_told_twice() -> None:
    """What a check says of times itself is left as it is."""
    slow = Finding("dns", "Name resolution", "ok", "It is 47.1.2.3 (2,100 ms).", seconds=2.1)
    assert report.line(slow).endswith("(2,100 ms).")


def test_causes_and_steps_are_numbered_in_their_order() -> None:
    """Below a failed check stand all causes and all steps of its trouble."""
    flowing = " ".join(report.under(REFUSED).split())
    told = trouble("unauthorized").told()
    expected = [report.CAUSES, *(f"{n}. {text}" for n, text in enumerate(told.causes, 1))]
    expected += [report.STEPS, *(f"{n}. {text}" for n, text in enumerate(told.steps, 1))]
    assert flowing == " ".join(expected)


@pytest.mark.parametrize("one", TROUBLES, ids=lambda one: one.name)
def test_everything_fits_into_80_columns(one: Any) -> None:
    """No line is wider than a terminal, and no command is broken in two."""
    finding = Finding("x", "Quota or balance", "failed", "word " * 40, trouble=one.told())
    lines = report.text([finding]).splitlines()
    assert max(map(len, lines)) <= 80
    for code in re.findall(r"`[^`]{1,44}`", " ".join(one.told().steps)):
        assert any(code in line for line in lines), code


def test_a_narrow_terminal() -> None:
    """Text goes by the width that it is told, and never breaks a word."""
    assert max(map(len, report.text([RESOLVED, REFUSED], width=60).splitlines())) <= 60


def test_facts_are_shown_where_they_matter() -> None:
    """All sources of a key are shown; addresses of a name only where something is wrong with them."""
    sources = (("this session", "nothing"), ("environment MINIMAX_API_KEY", "sk-api-... (used)"))
    credential = Finding("credential", "Credential", "ok", "sk-api-...", facts=sources)
    assert report.under(credential).splitlines() == [
        "      this session: nothing",
        "      environment MINIMAX_API_KEY: sk-api-... (used)",
    ]
    assert report.under(RESOLVED) == ""
    broken = Finding("dns", "Name resolution", "failed", "No.", facts=(("Asked", "10.0.0.1"),))
    assert report.under(broken) == "      Asked  10.0.0.1"


def test_what_a_terminal_obeys_is_taken_out() -> None:
    """A server's words cannot colour, clear or turn the terminal, nor begin a line of their own."""
    words = "\x1b[2J\x1b]0;title\x07gone\r\nok    Authentication  all is well \u202etxt.exe\x9b1m"
    finding = Finding("x", words, "failed", words, facts=((words, words),))
    text = report.text([finding])
    assert not re.search(r"[^\n\x20-\x7e]", text)
    assert [line[:2] for line in text.splitlines() if line[:1].strip()].count("ok") == 0


def test_keys_are_masked_once_more() -> None:
    """A key that slipped into a finding is in none of the forms."""
    slip = Finding(
        COMPLETION, KEY, "ok", f"The key {KEY}.", facts=((ANSWER, KEY), (KEY, KEY), (MODEL, KEY))
    )
    for shown in (
        report.text([slip]),
        json.dumps(report.as_json([slip])),
        report.markdown([slip]),
    ):
        assert KEY not in shown
        assert "***" in shown


def test_the_answer_keeps_its_lines() -> None:
    """An answer of several paragraphs is wrapped, and stays several paragraphs."""
    facts = ((ANSWER, "one " * 30 + "\n\ntwo"),)
    lines = report.under(Finding(COMPLETION, "Completion", "ok", "So.", facts=facts)).splitlines()
    start = lines.index("      " + "-" * 60)
    body = lines[start + 1 : lines.index("      " + "-" * 60, start + 1)]
    assert body[-2:] == ["", "      two"]
    assert len(body) == 4


def test_json_is_stable() -> None:
    """The keys that machines read, with all that is known of a trouble."""
    value = report.as_json([ANSWERED, REFUSED])
    assert json.loads(json.dumps(value)) == value
    assert {name: value[name] for name in ("ok", "exit_code", "said")} == {
        "ok": False,
        "exit_code": 1,
        "said": "1 problem: Authentication.",
    }
    done, refused = value["findings"]
    assert list(done) == [
        *("check", "title", "state", "said", "facts", "trouble", "error", "seconds"),
    ]
    assert done["facts"][1] == {"label": ANSWER, "value": "API test successful"}
    assert done["trouble"] is None
    assert done["seconds"] == 1.26
    assert refused["error"] == "CredentialInvalid"
    assert refused["trouble"]["name"] == "unauthorized"
    assert refused["trouble"]["steps"] == list(trouble("unauthorized").told().steps)


def test_json_says_whether_a_simulator_answered() -> None:
    """One finding that says so is enough."""
    told = replace(RESOLVED, facts=(SIMULATED,))
    assert report.as_json([ANSWERED])["simulated"] is False
    assert report.as_json([told, ANSWERED])["simulated"] is True


def test_json_says_ok_only_if_all_is_well() -> None:
    """Warnings are not ok, but are told apart from failures by the exit code."""
    assert report.as_json([ANSWERED])["ok"] is True
    assert report.as_json([ANSWERED, OPEN_FILE])["ok"] is False
    assert report.as_json([ANSWERED, OPEN_FILE])["exit_code"] == 3


def test_the_report_is_folded_and_cannot_be_unfolded_by_a_server() -> None:
    """It is one folded block: no words of a server end the block, make HTML, or call people by @name."""
    words = "</details>\n```\n````\n@torvalds <img src=x> #1"
    found = Finding("x", words, "failed", words, facts=((words, words),))
    lines = report.markdown([found], versions=[("python", words)]).splitlines()
    assert lines[0] == "<details>"
    assert lines[1].startswith("<summary>minimax_magic doctor: 1 problem: &lt;/details&gt;")
    fence = lines[3].removesuffix("text")
    assert set(fence) == {"`"}
    assert lines[-3:] == [fence, "", "</details>"]
    inside = lines[4:-3]
    assert not any(line.lstrip().startswith(fence) for line in inside)
    assert not any(line.startswith("<") for line in inside)


def test_the_report_names_errors_and_troubles() -> None:
    """Whoever reads a report finds the class of the error and the row of the table; not the steps."""
    text = report.markdown([REFUSED], versions=[("python", "3.12.1"), ("aiohttp", "3.14.5")])
    assert "[CredentialInvalid, unauthorized]" in text
    assert "python 3.12.1\naiohttp 3.14.5\n" in text
    assert report.STEPS not in text
