"""Signing in as a person does: the panel in JupyterLab, the simulator's consent page, and what is saved.

Screenshots are kept in `.artifacts/screenshots`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser

LOGIN = "%load_ext minimax_magic\n%minimax login"
ASK = "%%minimax\nWhat is streaming good for?"
SAVE_WIDGETS = {"@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True}}
SECRET_BEGINNINGS = ("sim-at-", "sim-rt-", "simulated-key")


def panel(notebook: Any) -> Any:
    return notebook.cell(0).locator(".mm-login")


def choose(notebook: Any, label: str) -> None:
    panel(notebook).locator("label", has_text=label).first.click()


def press(notebook: Any, name: str) -> None:
    panel(notebook).get_by_role("button", name=name, exact=True).click()


def wait(notebook: Any, text: str, timeout_s: float = 30) -> None:
    panel(notebook).get_by_text(text).first.wait_for(timeout=timeout_s * 1000)


def begin(notebook: Any) -> str:
    """From the fresh notebook to the code, which is given."""
    notebook.run(0)
    wait(notebook, "Log in to MiniMax")
    choose(notebook, "Simulator")
    press(notebook, "Sign in")
    code = panel(notebook).locator(".mm-login-code")
    code.wait_for(timeout=30_000)
    return str(code.inner_text())


def decide(notebook: Any, button: str, shot: str = "") -> str:
    """Follows the panel's link and presses a button there; what the page then says."""
    with notebook.page.context.expect_page() as opening:
        panel(notebook).locator("a.mm-login-open").click()
    page = opening.value
    page.locator(button).wait_for()
    if shot:
        notebook.shot(shot, page)
    page.locator(button).click()
    page.locator("#result").wait_for()
    said = str(page.locator("#result").inner_text())
    page.close()
    return said


def assert_clean(saved: Any, *secrets: str) -> None:
    text = json.dumps(saved)
    for secret in (*SECRET_BEGINNINGS, *secrets):
        assert secret not in text, f"{secret[:7]}... is in the saved notebook"


@pytest.mark.parametrize("kind", ["lab", "notebook"])
def test_from_a_fresh_notebook_to_an_answer(open_notebook: Callable[..., Any], kind: str) -> None:
    """With nothing but the panel: sign in, approve, ask. Nothing of it is in the notebook, even with
    widget state saved."""
    notebook = open_notebook(kind, [LOGIN, ASK, "%minimax status"], SAVE_WIDGETS)
    code = begin(notebook)
    notebook.shot(f"login-waiting-{kind}")
    # the kernel is free meanwhile
    notebook.run(2)
    notebook.wait_text(2, "Where a credential was looked for")
    # somebody saves in the middle of it
    assert_clean(notebook.save(), code)

    assert "Approved" in decide(notebook, "#approve", f"login-consent-{kind}")
    wait(notebook, "Signed in to")
    wait(notebook, "You can run %%minimax now.")
    assert code not in panel(notebook).inner_text()
    notebook.shot(f"login-done-{kind}")

    notebook.run(1)
    notebook.wait_text(1, "if it were real")
    notebook.wait_done(1)
    notebook.run(2)
    notebook.wait_text(2, "Token Plan login")
    notebook.shot(f"login-answer-{kind}")
    saved = notebook.save()
    assert "widgets" in saved["metadata"], "the widget state was to be saved"
    assert_clean(saved, code)


def test_denied_then_an_api_key(open_notebook: Callable[..., Any]) -> None:
    """A declined sign-in is one sentence with a way to try again; a key that is typed in works, and is
    nowhere in the notebook."""
    notebook = open_notebook("lab", [LOGIN, ASK], SAVE_WIDGETS)
    begin(notebook)
    decide(notebook, "#deny")
    wait(notebook, "declined")
    notebook.shot("login-denied")
    press(notebook, "Try again")
    press(notebook, "API key")
    field = panel(notebook).locator("input[type=password]")
    field.fill("sk-cp-WRONG-0123456789abcdef")
    notebook.shot("login-key")
    notebook.cell(1).locator(
        ".cm-content"
    ).click()  # keys belong to the field while it has the focus
    assert_clean(notebook.save(), "sk-cp-WRONG")
    press(notebook, "Use this key")
    wait(notebook, "simulated-key")  # the simulator says which key it takes
    assert "sk-cp-WRONG" not in panel(notebook).inner_text()
    press(notebook, "Try again")
    assert field.input_value() == ""
    choose(notebook, "This session only")
    field.fill("simulated-key")
    press(notebook, "Use this key")
    wait(notebook, "is ready")
    notebook.shot("login-key-done")
    notebook.run(1)
    notebook.wait_text(1, "if it were real")
    saved = notebook.save()
    assert "widgets" in saved["metadata"]
    assert_clean({**saved, "cells": saved["cells"][1:]}, "sk-cp-WRONG")
    work = notebook.server.work
    assert not list(work.rglob("minimax_code_plan_key.txt"))


def test_reload_and_restart(open_notebook: Callable[..., Any]) -> None:
    """A page that is reloaded in the middle of a login shows it again and it goes on; a panel whose
    kernel was restarted says that nobody answers."""
    notebook = open_notebook("lab", [LOGIN])
    code = begin(notebook)
    assert_clean(notebook.save(), code)
    notebook.page.reload()
    panel(notebook).locator(".mm-login-code").wait_for(timeout=60_000)
    assert panel(notebook).locator(".mm-login-code").inner_text() == code
    decide(notebook, "#approve")
    wait(notebook, "Signed in to the simulator")
    notebook.page.locator('[data-command="notebook:restart-kernel"]').first.click()
    notebook.page.locator(".jp-Dialog .jp-mod-accept").click()
    notebook.page.wait_for_timeout(8000)
    notebook.shot("login-restarted")
    wait(notebook, "The kernel does not answer")
    notebook.shot("login-restarted")


@pytest.mark.parametrize(("theme", "width"), [("JupyterLab Dark", 1200), ("JupyterLab Light", 560)])
def test_the_panel_fits(open_notebook: Callable[..., Any], theme: str, width: int) -> None:
    """Nothing of the panel sticks out of a narrow window; dark themes get their screenshots."""
    settings = {"@jupyterlab/apputils-extension:themes": {"theme": theme}}
    notebook = open_notebook("lab", [LOGIN], settings, width)
    name = "dark" if "Dark" in theme else "narrow"
    notebook.run(0)
    wait(notebook, "Log in to MiniMax")
    notebook.page.wait_for_timeout(500)
    notebook.shot(f"login-choose-{name}")
    choose(notebook, "Simulator")
    press(notebook, "Sign in")
    panel(notebook).locator(".mm-login-code").wait_for(timeout=30_000)
    notebook.shot(f"login-waiting-{name}")
    frame = panel(notebook).bounding_box()
    for part in (".mm-login-code", ".mm-login-open", ".mm-login-address", ".mm-login-button"):
        for box in (found.bounding_box() for found in panel(notebook).locator(part).all()):
            if box is not None:  # not hidden
                assert box["x"] + box["width"] <= frame["x"] + frame["width"] - 8
