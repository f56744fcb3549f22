"""A text with secrets in it, shown by a button and kept nowhere.

The state of a widget may end up in the notebook file, so the text is in no trait: it goes to the page
in a message when somebody presses the button there, and is gone from the page a minute later.
"""

from __future__ import annotations

from pathlib import Path

import anywidget

from minimax_magic.masked import MaskedStr

_STATIC = Path(__file__).parent / "static"
# shorter than 110 characters, where ipywidgets cuts
_WIDGETLESS = "A button shows the key here, where there are widgets; it is not saved."


class RevealPanel(anywidget.AnyWidget):
    """Displays itself as the last value of a cell.

    Args:
        text: What the button shows.
        hidden_after_s: Seconds for which a page shows it.
    """

    _esm = _STATIC / "reveal_panel.js"
    _css = _STATIC / "reveal_panel.css"

    def __init__(self, text: MaskedStr, *, hidden_after_s: float = 60.0) -> None:
        super().__init__()
        self._text = text
        self._hidden_after_s = hidden_after_s
        self.on_msg(self._received)

    def __repr__(self) -> str:
        """For front ends without widgets."""
        return _WIDGETLESS

    def _received(self, _widget: object, content: object, _buffers: object) -> None:
        match content:
            case {"kind": "show", "page": str(page)}:
                answer = {
                    "kind": "text",
                    "page": page,  # all pages on this kernel get it; the one that asked shows it
                    "text": str(self._text),
                    "hidden_after_s": self._hidden_after_s,
                }
                self.send(answer)
