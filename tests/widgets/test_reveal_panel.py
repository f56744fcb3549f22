"""The panel that shows a key, without a browser: what it sends, and what it must not hold."""

from __future__ import annotations

import json
from typing import Any

from ipywidgets import Widget

from minimax_magic.masked import MaskedStr
from minimax_magic.widgets.reveal_panel import RevealPanel

TEXT = "export ANTHROPIC_API_KEY=sk-cp-PLANTED-0123456789abcdef"


class Page:
    """A panel, and the page's side of its messages."""

    def __init__(self) -> None:
        self.panel = RevealPanel(MaskedStr(TEXT))
        self.sent: list[dict[str, Any]] = []
        self.panel.send = self._sent

    def _sent(self, content: dict[str, Any]) -> None:
        self.sent.append(json.loads(json.dumps(content)))

    def says(self, content: object) -> None:
        """A custom message, as the kernel hands it over."""
        self.panel._handle_msg(
            {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
        )


def test_the_text_goes_to_the_page_that_asks() -> None:
    """A page gets the text when its button is pressed, with its own mark and the time to hide it."""
    page = Page()
    assert page.sent == []
    page.says({"kind": "show", "page": "1-2"})
    assert page.sent == [{"kind": "text", "page": "1-2", "text": TEXT, "hidden_after_s": 60.0}]


def test_messages_that_are_none() -> None:
    """Anything else that a page says is ignored."""
    page = Page()
    for content in ({"kind": "show"}, {"kind": "show", "page": 3}, {"kind": "text"}, "show", None):
        page.says(content)
    assert page.sent == []


def test_the_text_is_in_no_state_and_no_repr() -> None:
    """Neither the state that a notebook can save, nor what a front end without widgets shows, nor
    anything that a debugger prints of the panel holds the text, before and after it was shown."""
    page = Page()
    for _ in range(2):
        state = json.dumps(Widget.get_manager_state(), default=repr)
        bundle = repr(page.panel._repr_mimebundle_())
        for shown in (state, bundle, repr(page.panel), repr(vars(page.panel)["_text"])):
            assert "PLANTED" not in shown
        page.says({"kind": "show", "page": "1"})
    assert "A button shows the key here" in bundle


def test_the_page_keeps_it_in_one_element() -> None:
    """The script puts the text into the page as text, never as markup, and into no storage."""
    source = str(RevealPanel._esm)
    source = source if "render" in source else RevealPanel._esm.read_text()
    assert "innerHTML" not in source
    assert "Storage" not in source
    assert "model.set" not in source
