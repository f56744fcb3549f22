"""The login panel without a browser: what it sends, what it shows, and what it must not hold."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fake_backend import ADDRESS, KEY, SIGNED_IN, USER_CODE, FakeBackend, FakeCode
from ipywidgets import Widget
from pydantic import SecretStr

from minimax_magic.auth.choices import SignedIn
from minimax_magic.errors import LoginDenied
from minimax_magic.ipython.bridge import BackgroundLoop
from minimax_magic.widgets.login_panel import CodeCard, KeyField, LoginPanel, _code
from minimax_magic.widgets.view_models import LoginModel

PLANTED = (USER_CODE, "planted=page", KEY)


class Stage:
    """A panel on a real background loop, and the page's side of its messages."""

    def __init__(self) -> None:
        self.background = BackgroundLoop()
        self.backend = self.on_loop(FakeBackend)
        self.model = LoginModel(self.backend)
        self.panel = LoginPanel(self.model, self.background.submit)
        self.shown: list[dict[str, Any]] = []
        self.states: list[str] = []
        card = self.find(CodeCard)
        card.send = self._sent
        self.model.observe(lambda _change: self.states.append(widget_state()), "phase")

    def _sent(self, content: dict[str, Any]) -> None:
        self.shown.append(json.loads(json.dumps(content)))

    def on_loop(self, function: Callable[[], Any]) -> Any:
        async def call() -> Any:
            return function()

        return self.background.submit(call()).result(5)

    def find(self, kind: type[Any]) -> Any:
        """The one widget of a kind."""
        (found,) = [widget for widget in descendants(self.panel) if isinstance(widget, kind)]
        return found

    def button(self, name: str) -> Any:
        (found,) = [w for w in descendants(self.panel) if getattr(w, "description", "") == name]
        return found

    def visible(self) -> set[str]:
        """The names of the controls to be seen."""

        def walk(widget: Any) -> Iterator[str]:
            if widget.layout.display != "none":
                yield getattr(widget, "description", "") or type(widget).__name__
                for child in getattr(widget, "children", ()):
                    yield from walk(child)

        return {*walk(self.panel)} - {"LoginPanel", "VBox", "CodeCard"}

    def page_says(self, widget: Any, content: dict[str, Any], *texts: str) -> None:
        """A custom message, as the kernel hands it over; the texts come as buffers."""
        buffers = [memoryview(text.encode()) for text in texts]
        message = {
            "content": {"data": {"method": "custom", "content": content}},
            "buffers": buffers,
        }
        widget._handle_msg(message)

    def reach(self, phase: str) -> None:
        wait_until(lambda: self.model.phase == phase)
        self.on_loop(lambda: None)  # the observers have run, too

    def answer(self, answer: SignedIn | Exception | None = None) -> None:
        self.background.submit(self.backend.answer(answer)).result(5)

    def sign_in(self) -> None:
        """Until the code is shown."""
        self.button("Sign in").click()
        self.reach("asking")
        self.answer()
        self.reach("waiting")


def descendants(widget: Any) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from descendants(child)


def widget_state() -> str:
    """All that a front end could save of all widgets, and what they print."""
    from ipywidgets.widgets.widget import _instances

    everything = Widget.get_manager_state()
    return json.dumps(everything) + repr(list(_instances.values()))


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.background.stop()
    Widget.close_all()


def test_controls_follow_the_way(stage: Stage) -> None:
    """A Token Plan login has a button to sign in, an API key a field; each has its places."""
    common = {"ToggleButtons", "Region", "Keep it in"}
    assert stage.visible() == {*common, "Sign in"}
    way = stage.panel._way
    way.value = "key"
    wait_until(lambda: stage.model.way == "key")
    stage.on_loop(lambda: None)
    assert stage.visible() == {*common, "KeyField"}


def test_choices_reach_the_backend(stage: Stage) -> None:
    """Region and place are those chosen last, also when the button is pressed right after."""
    stage.panel._region.value = "china"
    stage.panel._places["plan"].value = "user"
    stage.button("Sign in").click()
    stage.reach("asking")
    assert stage.backend.calls == [("begin", "china", "user")]


def test_choices_say_what_they_mean(stage: Stage) -> None:
    """The hint stands beside the label."""
    assert stage.panel._region._options_labels == (
        "Global – api.minimax.io",
        "China – api.minimaxi.com",
    )


def test_places_are_kept_apart(stage: Stage) -> None:
    """A place chosen for a key is not that of a login, and both are remembered."""
    stage.panel._way.value = "key"
    stage.panel._places["key"].value = "session"
    wait_until(lambda: stage.model.place == "session")
    stage.panel._way.value = "plan"
    wait_until(lambda: stage.model.place == "project")
    stage.panel._way.value = "key"
    wait_until(lambda: stage.model.place == "session")


def test_a_plan_login_is_shown_from_code_to_confirmation(stage: Stage) -> None:
    """The code goes to the page in messages, with a Cancel button; then the result, with none."""
    stage.sign_in()
    last = stage.shown[-1]
    assert (last["kind"], last["phase"]) == ("show", "waiting")
    assert last["status"] == "Waiting for you to approve."
    assert (last["user_code"], last["address"]) == (USER_CODE, ADDRESS)
    assert 590 < last["expires_in_s"] <= 600
    assert stage.visible() == {"Cancel"}

    stage.on_loop(lambda: stage.backend.on_state("The connection was lost; trying again."))
    assert stage.shown[-1]["status"] == "The connection was lost; trying again."

    stage.answer()
    stage.reach("done")
    assert stage.shown[-1] == {
        "kind": "show",
        "phase": "done",
        "status": "",
        "error": "",
        "title": SIGNED_IN.title,
        "facts": [list(fact) for fact in SIGNED_IN.facts],
        "note": SIGNED_IN.note,
        "usable": True,
    }
    assert stage.visible() == set()


def test_a_reloaded_page_gets_what_is_to_be_seen(stage: Stage) -> None:
    """A page that says it is ready is answered with the code; after the login, without."""
    card = stage.find(CodeCard)
    stage.sign_in()
    stage.shown.clear()
    stage.page_says(card, {"kind": "ready"})
    wait_until(lambda: bool(stage.shown))
    assert stage.shown[-1]["user_code"] == USER_CODE

    stage.answer()
    stage.reach("done")
    stage.shown.clear()
    stage.page_says(card, {"kind": "ready"})
    wait_until(lambda: bool(stage.shown))
    assert stage.shown[-1]["title"] == SIGNED_IN.title
    assert USER_CODE not in str(stage.shown)


def test_a_failure_is_told_and_can_be_tried_again(stage: Stage) -> None:
    """The sentence, one button, and then the form again."""
    form = stage.visible()
    stage.sign_in()
    stage.answer(LoginDenied("The login was declined.", hint="Start again."))
    stage.reach("failed")
    assert stage.shown[-1]["error"] == "The login was declined. Start again."
    assert "user_code" not in stage.shown[-1]
    assert stage.visible() == {"Try again"}
    stage.button("Try again").click()
    stage.reach("choose")
    assert stage.shown[-1]["error"] == ""
    assert stage.visible() == form


def test_cancel_leads_back(stage: Stage) -> None:
    """The button ends the login; the form says so."""
    stage.sign_in()
    stage.button("Cancel").click()
    stage.reach("choose")
    assert stage.shown[-1]["status"] == "Cancelled."
    assert "Sign in" in stage.visible()
    assert stage.backend.cancelled == ["wait"]
    wait_until(lambda: not stage.panel._running)


def test_pressing_twice_starts_one_login(stage: Stage) -> None:
    """The second click comes before the button is gone."""
    stage.button("Sign in").click()
    stage.button("Sign in").click()
    stage.reach("asking")
    assert [call[0] for call in stage.backend.calls] == ["begin"]


def test_a_key_from_the_page_is_used(stage: Stage) -> None:
    """Without the blanks around it."""
    stage.page_says(stage.find(KeyField), {"kind": "key"}, f" {KEY}\n")
    stage.reach("checking")
    assert stage.backend.calls == [("use_key", KEY, "global", "project")]
    assert stage.visible() == {"Cancel"}
    stage.answer()
    stage.reach("done")


@pytest.mark.parametrize(
    ("content", "texts"),
    [({"kind": "key"}, ["  "]), ({"kind": "key"}, []), ({}, [KEY]), ("key", [KEY])],
    ids=str,
)
def test_messages_without_a_key_are_ignored(
    stage: Stage, content: Any, texts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty field, or a message that is none of ours, starts nothing and fails nowhere."""
    stage.page_says(stage.find(KeyField), content, *texts)
    stage.page_says(stage.find(CodeCard), content)
    stage.on_loop(lambda: None)
    assert stage.backend.calls == []
    assert stage.shown == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("end", ["done", "failed", "cancelled", "unexpected"])
def test_no_secret_is_ever_in_the_state_of_a_widget(stage: Stage, end: str) -> None:
    """Neither code, page nor key, in no phase: front ends save this state with the notebook."""

    def finish() -> None:
        match end:
            case "done":
                stage.answer()
            case "failed":
                stage.answer(LoginDenied("No."))
            case "unexpected":
                stage.answer(ValueError(f"{KEY} {USER_CODE}"))
            case "cancelled":
                stage.button("Cancel").click()
        stage.reach("choose" if end == "cancelled" else end.replace("unexpected", "failed"))
        stage.states.append(widget_state())
        stage.on_loop(stage.model.again)

    stage.page_says(stage.find(KeyField), {"kind": "key"}, KEY)
    stage.reach("checking")
    stage.states.append(widget_state())
    finish()
    stage.sign_in()
    stage.states.append(widget_state())
    finish()

    assert len(stage.states) > 8
    assert all("login_panel" in state for state in stage.states)  # they are about our widgets
    assert [word for word in PLANTED for state in stage.states if word in state] == []
    shown = [content for content in stage.shown if content["phase"] != "waiting"]
    assert [word for word in PLANTED if word in json.dumps(shown)] == []


def test_own_widgets_sync_nothing_but_their_code(stage: Stage) -> None:
    """Beyond what every widget has, only the script and the style sheet are in the state."""
    plain = set(Widget.class_traits(sync=True)) | {"layout", "tabbable", "tooltip", "_dom_classes"}
    for kind, own in ((CodeCard, {"_esm", "_css"}), (KeyField, {"_esm"})):
        widget = stage.find(kind)
        assert set(widget.get_state()) - plain == {*own, "_anywidget_id"}
        for name in own:
            assert len(widget.get_state()[name]) > 200


@pytest.mark.parametrize(
    ("address", "is_link"),
    [
        ("https://platform.minimax.io/device", True),
        ("http://127.0.0.1:8000/device", True),
        ("javascript:alert(1)", False),
        ("data:text/html,<script>", False),
        ("platform.minimax.io/device", False),
        ("", False),
        (" javascript:alert('https://')", False),
    ],
)
def test_only_a_web_page_becomes_a_link(address: str, is_link: bool) -> None:
    """The server's address is shown as it is, but is clickable only if it opens a page."""
    content = _code(FakeCode(verification_uri=address), datetime.now(UTC))
    assert (content["address"], content["is_link"]) == (address, is_link)


def test_time_that_is_left_is_counted_from_now() -> None:
    """Seconds, from whatever time zone, and none of them negative."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert _code(FakeCode(expires_at=now + timedelta(seconds=90)), now)["expires_in_s"] == 90
    assert _code(FakeCode(expires_at=now - timedelta(seconds=90)), now)["expires_in_s"] == 0


def test_markup_stays_text(stage: Stage) -> None:
    """What the server says is sent as it came, and the page's scripts never make markup of text."""
    evil = "<img src=x onerror=alert(1)>"
    stage.sign_in()
    stage.answer(SignedIn(evil, ((evil, evil),), note=evil))
    stage.reach("done")
    assert stage.shown[-1]["title"] == evil
    assert stage.shown[-1]["facts"] == [[evil, evil]]
    for kind in (CodeCard, KeyField):
        script = stage.find(kind).get_state()["_esm"]
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way not in script
    assert evil not in json.dumps(Widget.get_manager_state())


def test_the_plain_form_says_what_to_do(stage: Stage) -> None:
    """A front end without widgets names the command that needs none; later, who is signed in."""
    text = (
        "Log in to MiniMax: this front end shows no widgets. Run `%minimax login --text` instead."
    )
    assert repr(stage.panel) == text
    bundle = stage.panel._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == text
    assert "application/vnd.jupyter.widget-view+json" in bundle

    stage.sign_in()
    assert repr(stage.panel) == text
    title = "Signed in to " + "a.very.long.host." * 10
    stage.answer(SignedIn(title, ()))
    stage.reach("done")
    assert stage.panel._repr_mimebundle_()["text/plain"] == title


def test_the_panel_works_from_the_kernels_thread_only_by_handing_over(stage: Stage) -> None:
    """Every change of the model happens on the background loop."""
    threads: set[str] = set()
    stage.model.observe(lambda _change: threads.add(threading.current_thread().name))
    stage.panel._region.value = "china"
    stage.panel._way.value = "key"
    stage.page_says(stage.find(KeyField), {"kind": "key"}, KEY)
    stage.reach("checking")
    stage.button("Cancel").click()
    stage.reach("choose")
    assert threads == {"minimax-magic-loop"}


def test_a_fault_of_the_panel_itself_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong in what was handed over is in the log, without its words."""

    def submit(coroutine: Coroutine[Any, Any, None]) -> Future[None]:
        coroutine.close()
        future: Future[None] = Future()
        future.set_exception(ValueError(KEY))
        return future

    async def make() -> LoginModel:
        return LoginModel(FakeBackend())

    background = BackgroundLoop()
    panel = LoginPanel(background.submit(make()).result(5), submit)
    background.stop()
    with caplog.at_level(logging.ERROR):
        panel._sign_in.click()
    assert "The login panel failed: ValueError." in caplog.text
    assert KEY not in caplog.text
    assert not panel._running


def test_arguments_are_checked() -> None:
    """No widget of the panel takes keywords that it does not know."""
    with pytest.raises(TypeError):
        KeyField(on_key=lambda _key: None, value=SecretStr(KEY))  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        CodeCard(on_ready=lambda: None, code=USER_CODE)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        LoginPanel(LoginModel(FakeBackend()), lambda c: c, title="")  # type: ignore[call-arg]
