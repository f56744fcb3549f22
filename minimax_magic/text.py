"""Text that arrives in pieces: collecting it, and mending characters that were cut in two."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
_HIGH_AT_END = re.compile(r"[\ud800-\udbff]\Z")  # not "$", which looks past a newline
# enough pieces to make joining rare, few enough that 20,000 chunks do not leave 20,000 objects
_PIECES = 512


class TextBuffer:
    """Appends in constant time and keeps memory to about the text itself."""

    __slots__ = ("_length", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0

    def append(self, text: str) -> None:
        pieces = self._pieces
        pieces.append(text)
        self._length += len(text)
        if len(pieces) >= _PIECES:
            # the first piece holds all that was joined before: merge the small ones among
            # themselves and only touch the large one when they have grown to a fraction of it
            tail = "".join(pieces[1:])
            if len(tail) * 4 >= len(pieces[0]):
                pieces[:] = [pieces[0] + tail]
            else:
                pieces[1:] = [tail]

    def __len__(self) -> int:
        return self._length

    def __str__(self) -> str:
        # may be asked from another thread than the one that appends, so it changes nothing
        pieces = self._pieces
        return pieces[0] if len(pieces) == 1 else "".join(pieces)


class SurrogateJoiner:
    """Joins the two halves of a character that a server sent in two deltas.

    Some servers cut an emoji into a high and a low surrogate. Apart they cannot be encoded, and one
    of them in a display message stops ipykernel's output thread for good. A half whose partner never
    comes turns into U+FFFD.
    """

    __slots__ = ("_high",)

    def __init__(self) -> None:
        self._high = ""

    def feed(self, text: str) -> str:
        """The text that is whole so far; a trailing half is kept for the next call."""
        if text.isascii() and not self._high:
            return text
        text = self._high + text
        self._high = ""
        if _SURROGATE.search(text) is None:
            return text
        if _HIGH_AT_END.search(text):
            text, self._high = text[:-1], text[-1]
        return whole(text)

    def flush(self) -> str:
        """What is left at the end: nothing, or U+FFFD for half a character."""
        rest, self._high = self._high, ""
        return whole(rest)


def whole(text: str) -> str:
    """The text with surrogate pairs joined and lone halves replaced by U+FFFD."""
    if text.isascii() or _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
