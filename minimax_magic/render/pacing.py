"""How often to draw, and how much: pure arithmetic over the time and what was sent so far.

A model writes about 0.4 KB a second: then all of it is drawn, and nobody counts bytes. Text that comes
faster than anybody reads (a cache, a small local model) must not drown the browser: then what is
sent stays within a multiple of the text, by showing only the last lines of what is not finished.
Nothing is lost: it is all there at the next redraw of the head, and at the end.

The promises, for 120 KB in chunks of a millisecond: at most 10 messages a second, one every 250 ms at
least, 6 bytes for each byte of text, and 150 KB in any second.
"""

from __future__ import annotations

from collections import deque

# One display message without its text: headers, ids and signature, as measured on ipykernel 7.
MESSAGE_BYTES = 700
# Between two draws. 40 ms late, with a busy kernel, the slower one still keeps to 250 ms.
_STEADY_S, _HURRIED_S = 0.15, 0.2
_HEAD_S = 1.0
# In any second, with some room for what was estimated; the promise is 150 KB.
SECOND_BYTES = 140_000
# Text faster than this is not being read.
_READABLE_BYTES_S = 1500.0
# Bytes sent for each byte of text until the answer is whole, which is then sent once more: 1.1 times its
# size if it is long. The tail gets a part of them, and no more than can be seen; the head the rest.
_START_BYTES = 2500
_FACTOR, _TAIL_FACTOR = 4.6, 2.0
_LEAST_TAIL, _MOST_TAIL = 400, 2500


class Pacer:
    """Decides for one answer. All sizes are bytes, of messages with their `MESSAGE_BYTES`; all times are
    seconds of one clock."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, int]] = deque()  # messages of the last second
        self._recent_bytes = 0
        self._text_from: float | None = None
        self._heads = self._tails = 0  # bytes sent since
        self._drawn: float | None = None
        self._head_at: float | None = None
        self._interval = _STEADY_S

    def due_in(self, now: float) -> float:
        """Seconds until the next draw; 0 if it is time."""
        return 0.0 if self._drawn is None else max(0.0, self._drawn + self._interval - now)

    def begin(self, now: float) -> None:
        """The first text is there."""
        self._text_from = now

    def hurried(self, now: float, text: int) -> bool:
        """Whether text comes faster than anybody reads.

        Args:
            text: Bytes of all text so far.
        """
        if self._text_from is None:
            return False
        return text > _READABLE_BYTES_S * (2 + now - self._text_from)

    def head_is_worth_it(self, now: float, text: int, head: int, cut: int) -> bool:
        """Whether to send the finished part again.

        Args:
            text: Bytes of all text so far.
            head: Bytes of the finished part as last sent.
            cut: Bytes of the finished part now.
        """
        if cut - head < max(600, cut / 8):
            return False
        if self._head_at is not None and now < self._head_at + _HEAD_S:
            return False
        size = cut + MESSAGE_BYTES
        if self._second(now) + size > SECOND_BYTES - 20_000:
            return False
        if not self.hurried(now, text):
            return True
        return self._heads + self._tails + size <= _START_BYTES + _FACTOR * text

    def tail_room(self, now: float, text: int) -> int:
        """Most bytes of unfinished text to show now."""
        room = SECOND_BYTES - self._second(now)
        if self.hurried(now, text):
            room = min(room, int(_START_BYTES + _TAIL_FACTOR * text - self._tails), _MOST_TAIL)
        return max(_LEAST_TAIL, room - MESSAGE_BYTES)

    def sent_head(self, now: float, size: int) -> None:
        self._head_at = now
        self._heads += size
        self._count(now, size)

    def sent_tail(self, now: float, size: int, text: int = 0) -> None:
        """A draw is complete. `text` as in `hurried`."""
        if text:
            self._tails += size
        self._count(now, size)
        self._drawn = now
        # a tail that long, an unfinished listing, would not fit into its second more often
        slow = size > 18_000 or self.hurried(now, text)
        self._interval = _HURRIED_S if slow else _STEADY_S

    def final_in(self, now: float, size: int) -> float:
        """Seconds to wait before the whole answer may be sent; 0 for all but very long ones."""
        if not self._recent or self._second(now) + min(size, SECOND_BYTES - 5000) <= SECOND_BYTES:
            return 0.0
        return max(0.01, self._recent[0][0] + 1.0 - now)

    def _second(self, now: float) -> int:
        while self._recent and self._recent[0][0] <= now - 1.0:
            self._recent_bytes -= self._recent.popleft()[1]
        return self._recent_bytes

    def _count(self, now: float, size: int) -> None:
        if size:
            self._recent.append((now, size))
            self._recent_bytes += size
