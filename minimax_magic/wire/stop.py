"""Ending an answer at a stop string. The server ignores them, so the client cuts."""

from __future__ import annotations

from collections.abc import Sequence


class StopCutter:
    """Holds back text that may be the beginning of a stop string, and says when one is whole.

    Args:
        stop: The strings; empty ones count for nothing. The one that is whole first wins, as it
            would on a server that looks after every token; so the cut does not depend on how the
            text was dealt out in pieces.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._held = ""
        self.hit = False

    def feed(self, piece: str) -> str:
        """The text to give on. After `hit` there is none."""
        if self.hit:
            return ""
        text = self._held + piece
        ends = [(at + len(stop), at) for stop in self._stop if (at := text.find(stop)) >= 0]
        if ends:
            self.hit, self._held = True, ""
            return text[: min(ends)[1]]
        keep = max((self._overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back, when the answer ended by itself."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        longest = min(len(stop) - 1, len(text))
        return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
