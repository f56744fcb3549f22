"""What all findings mean together."""

from __future__ import annotations

import pytest

from minimax_magic.doctor.findings import COMPLETION, Finding, State, verdict


def found(*states: State) -> list[Finding]:
    titles = ("Name resolution", "TLS", "Authentication", "Streaming")
    return [Finding(f"check{n}", titles[n], state, "So.") for n, state in enumerate(states)]


@pytest.mark.parametrize(
    ("states", "exit_code"),
    [
        (("ok", "note", "ok"), 0),
        (("ok", "skipped"), 0),
        (("ok", "warning"), 3),
        (("warning", "failed", "skipped"), 1),
        ((), 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst(states: tuple[State, ...], exit_code: int) -> None:
    """0 if all is well, 3 if there are only warnings, 1 if anything failed or nothing was checked."""
    assert verdict(found(*states)).exit_code == exit_code


def test_one_problem_is_named() -> None:
    """The verdict says which check failed, and counts warnings apart."""
    assert verdict(found("ok", "failed")).said == "1 problem: TLS."
    said = verdict(found("warning", "failed", "warning")).said
    assert said == "1 problem and 2 warnings: TLS."


def test_of_many_problems_the_first_is_to_be_mended_first() -> None:
    """Later checks often fail for the reason that the first one found."""
    said = verdict(found("ok", "failed", "failed")).said
    assert said == "2 problems: mend TLS first."


def test_what_was_left_out_is_told() -> None:
    """All is well only as far as it was asked."""
    assert verdict(found("ok", "ok")).said == "All is well."
    said = verdict(found("ok", "skipped")).said
    assert said == "All is well, as far as it was checked (1 left out)."


def test_warnings_say_that_it_works_if_it_does() -> None:
    """With warnings alone it works, if the model has answered; else nobody knows."""
    findings = found("ok", "warning")
    assert verdict(findings).said == "1 warning: TLS."
    answered = Finding(COMPLETION, "Completion", "ok", "So.")
    assert verdict([*findings, answered]).said == "It works, with 1 warning: TLS."


def test_a_fact_is_found_by_its_label() -> None:
    """A fact that is not there is empty."""
    finding = Finding("credential", "Credential", "ok", "So.", facts=(("Model", "MiniMax-M2.5"),))
    assert finding.fact("Model") == "MiniMax-M2.5"
    assert finding.fact("Answer") == ""
