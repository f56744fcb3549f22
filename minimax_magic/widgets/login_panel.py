"""The login panel: stock widgets for the choices, two small ones of our own for what must not be saved.

The state of a widget may end up in the notebook file, so nothing that matters is in a trait: what
`CodeCard` shows goes to the page in messages, when the page asks and whenever it changes, and the key
comes from `KeyField` in one. Buttons are pressed on the kernel's thread and only hand work to the
background loop, where the model lives and where this panel is redrawn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import anywidget
import ipywidgets
from pydantic import SecretStr

from minimax_magic.auth.choices import Choice, SignedIn, Way
from minimax_magic.widgets.view_models import DeviceCode, LoginModel

Submit = Callable[[Coroutine[Any, Any, None]], Future[None]]

_STATIC = Path(__file__).parent / "static"
_WIDGETLESS = (
    "Log in to MiniMax: this front end shows no widgets. Run `%minimax login --text` instead."
)
_WAYS: Final[dict[Way, str]] = {"plan": "Token Plan login", "key": "API key"}
_RUNNING = ("asking", "waiting", "checking")

_log = logging.getLogger(__name__)


class CodeCard(anywidget.AnyWidget):
    """The upper part of the panel: what there is to read. Shows nothing until told.

    Args:
        on_ready: Called when a page has drawn the card and wants to know what to show, after every
            reload for example.
    """

    _esm = _STATIC / "code_card.js"
    _css = _STATIC / "login_panel.css"  # of the whole panel

    def __init__(self, on_ready: Callable[[], None]) -> None:
        super().__init__()
        self._on_ready = on_ready
        self.on_msg(self._received)

    def show(self, content: dict[str, Any]) -> None:
        """Replaces what all pages show; `phase` says which other entries there are."""
        self.send({"kind": "show", **content})

    def _received(self, _widget: object, content: object, _buffers: object) -> None:
        match content:
            case {"kind": "ready"}:
                self._on_ready()


class KeyField(anywidget.AnyWidget):
    """A field for the API key that empties itself when the key is used.

    Args:
        on_key: Gets what was entered, never empty.
    """

    _esm = _STATIC / "key_field.js"

    def __init__(self, on_key: Callable[[SecretStr], None]) -> None:
        super().__init__()
        self._on_key = on_key
        self.on_msg(self._received)

    def _received(self, _widget: object, content: object, buffers: Any) -> None:
        match content:
            case {"kind": "key"} if buffers:
                key = SecretStr(bytes(buffers[0]).decode(errors="replace").strip())
                if key:
                    self._on_key(key)


class LoginPanel(ipywidgets.VBox):  # type: ignore[misc]
    """Displays itself as the last value of a cell.

    Args:
        model: What to show; changed and observed on the background loop only.
        submit: Starts a coroutine there.
    """

    def __init__(self, model: LoginModel, submit: Submit) -> None:
        self._login = model
        self._submit = submit
        self._running: set[Future[None]] = set()
        self._card = CodeCard(on_ready=lambda: self._run(self._show_card))
        self._way = ipywidgets.ToggleButtons(
            options=[(label, way) for way, label in _WAYS.items()], value=model.way
        )
        self._way.add_class("mm-login-way")
        self._region = _radio("Region", model.regions, model.region)
        # one for each way: options that never change cannot undo what a person just chose
        self._places = {
            way: _radio("Keep it in", choices, model.place) for way, choices in model.places.items()
        }
        self._key = KeyField(on_key=lambda key: self._start(model.use_key(key)))
        self._sign_in = _button("Sign in", "mm-login-primary")
        self._cancel = _button("Cancel")
        self._again = _button("Try again")
        self._form = ipywidgets.VBox(
            [self._way, self._region, *self._places.values(), self._key, self._sign_in]
        )
        self._form.add_class("mm-login-form")
        super().__init__([self._card, self._form, self._cancel, self._again])
        self.add_class("mm-login")

        for choice in (self._way, self._region, *self._places.values()):
            choice.observe(lambda _change: self._run(self._take_choices), "value")
        self._sign_in.on_click(lambda _button: self._start(model.sign_in()))
        self._cancel.on_click(lambda _button: self._run(model.cancel))
        self._again.on_click(lambda _button: self._run(model.again))
        self._show_controls()
        model.observe(self._changed, ["way", "phase", "status", "error"])

    def __repr__(self) -> str:
        """For front ends without widgets."""
        signed_in = self._login.signed_in
        return _WIDGETLESS if signed_in is None else signed_in.title

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": repr(self)}  # the whole of it; ipywidgets cuts at 110

    # on the kernel's thread

    def _run(self, function: Callable[[], None]) -> None:
        async def call() -> None:
            function()

        self._start(call())

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        future = self._submit(coroutine)
        self._running.add(future)
        future.add_done_callback(self._ended)

    def _ended(self, future: Future[None]) -> None:
        self._running.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            _log.error("The login panel failed: %s.", type(error).__name__)

    # on the background loop

    def _take_choices(self) -> None:
        way = self._way.value
        self._login.choose(way=way, region=self._region.value, place=self._places[way].value)

    def _changed(self, _change: object) -> None:
        self._show_controls()
        self._show_card()

    def _show_controls(self) -> None:
        model = self._login
        _visible(self._form, model.phase == "choose")
        for way, place in self._places.items():
            _visible(place, model.way == way)
        _visible(self._sign_in, model.way == "plan")
        _visible(self._key, model.way == "key")
        _visible(self._cancel, model.phase in _RUNNING)
        _visible(self._again, model.phase == "failed")

    def _show_card(self) -> None:
        model = self._login
        content = {"phase": model.phase, "status": model.status, "error": model.error}
        if model.code is not None:
            content |= _code(model.code, datetime.now(UTC))
        if model.signed_in is not None:
            content |= _result(model.signed_in)
        self._card.show(content)


def _code(code: DeviceCode, now: datetime) -> dict[str, Any]:
    """The code for the page. Seconds that are left, because the page's clock may be another one."""
    address = code.verification_uri
    return {
        "user_code": code.user_code,
        "address": address,
        # nothing that runs in the page, as `javascript:` would
        "is_link": address.lower().startswith(("https://", "http://")),
        "expires_in_s": max(0.0, (code.expires_at - now).total_seconds()),
    }


def _result(signed_in: SignedIn) -> dict[str, Any]:
    return {
        "title": signed_in.title,
        "facts": signed_in.facts,
        "note": signed_in.note,
        "usable": signed_in.usable,
    }


def _radio(name: str, choices: tuple[Choice, ...], value: str) -> Any:
    """All choices at once, because they have something to tell. The first one if the value is none."""
    options = [
        (f"{choice.label} – {choice.hint}" if choice.hint else choice.label, choice.value)
        for choice in choices
    ]
    offered = [choice.value for choice in choices]
    radio = ipywidgets.RadioButtons(
        description=name, options=options, value=value if value in offered else offered[0]
    )
    radio.add_class("mm-login-choice")
    return radio


def _button(name: str, *classes: str) -> Any:
    button = ipywidgets.Button(description=name)
    for css_class in ("mm-login-button", *classes):
        button.add_class(css_class)
    return button


def _visible(widget: Any, visible: bool) -> None:
    widget.layout.display = None if visible else "none"
