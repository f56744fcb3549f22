"""How often to draw, and how much: pure arithmetic over the time and what was sent so far.

A model writes about 0.4 KB a second: then everything is drawn ten times a second and nobody counts
bytes. Text that comes faster than anybody reads (a burst from a cache, a small local model) must not
drown the browser: what is sent then stays within a multiple of the text, by showing only the last
lines of what is not finished yet. Nothing is lost: it is all there at the next redraw of the head.
"""

from __future__ import annotations

from collections import deque

# One display message without its text: headers, ids and signature, as measured on ipykernel 7.
MESSAGE_BYTES = 700
# Between two draws: never more than 10 a second, never a gap of 250 ms with the kernel busy besides.
_FAST_S, _STEADY_S = 0.1, 0.18
# Above this many bytes of text a second the budget counts.
_READABLE_BYTES_S = 1500.0
# Bytes sent for each byte of text while streaming; the final answer adds about two more.
_FACTOR = 3.6
_HEAD_SHARE = 0.55
_START_BYTES = 6000
# In any second; the promise is 150 KB.
SECOND_BYTES = 140_000
_LEAST_TAIL = 500


class Pacer:
    """Decides for one answer. All sizes are bytes, all times seconds of one clock."""

    def __init__(self) -> None:
        self._sent: deque[tuple[float, int]] = deque()  # of the last second
        self._sent_second = 0
        self._head_total = 0
        self._tail_total = 0
        self._began: float | None = None
        self._last_draw: float | None = None
        self._last_tail = 0

    def due_in(self, now: float) -> float:
        """Seconds until the next draw; 0 if it is time."""
        if self._last_draw is None:
            return 0.0
        interval = (
            _FAST_S if self._last_tail < 2000 and not self._sent_second > 60_000 else _STEADY_S
        )
        return max(0.0, self._last_draw + interval - now)

    def begin(self, now: float) -> None:
        """The first text is there."""
        if self._began is None:
            self._began = now

    def hurried(self, now: float, text: int) -> bool:
        """Whether text comes faster than anybody reads."""
        if self._began is None:
            return False
        return text > _READABLE_BYTES_S * (2 + now - self._began)

    def head_is_worth_it(self, now: float, text: int, head: int, cut: int) -> bool:
        """Whether to send the finished part again.

        Args:
            text: Bytes of all text so far.
            head: Bytes of the finished part as last sent.
            cut: Bytes of the finished part now.
        """
        if cut <= head or cut - head < 600 or cut - head < cut / 8:
            return False
        size = cut + MESSAGE_BYTES
        if self._second(now) + size > SECOND_BYTES - 20_000:
            return False
        if not self.hurried(now, text):
            return True
        return self._head_total + size <= _START_BYTES + _FACTOR * _HEAD_SHARE * text

    def tail_room(self, now: float, text: int) -> int:
        """Most bytes of unfinished text to show now."""
        room = SECOND_BYTES - self._second(now)
        if self.hurried(now, text):
            allowed = _START_BYTES + _FACTOR * (1 - _HEAD_SHARE) * text
            room = min(room, int(allowed - self._tail_total))
        return max(_LEAST_TAIL, room - MESSAGE_BYTES)

    def sent_head(self, now: float, size: int) -> None:
        self._head_total += size + MESSAGE_BYTES
        self._count(now, size)

    def sent_tail(self, now: float, size: int) -> None:
        self._tail_total += size + MESSAGE_BYTES
        self._last_tail = size
        self._last_draw = now
        self._count(now, size)

    def final_in(self, now: float, size: int) -> float:
        """Seconds to wait before the whole answer may be sent; 0 for all but very long ones."""
        if self._second(now) + min(size, SECOND_BYTES - 5000) <= SECOND_BYTES or not self._sent:
            return 0.0
        return max(0.01, self._sent[0][0] + 1.0 - now)

    def _second(self, now: float) -> int:
        while self._sent and self._sent[0][0] <= now - 1.0:
            self._sent_second -= self._sent.popleft()[1]
        return self._sent_second

    def _count(self, now: float, size: int) -> None:
        self._sent.append((now, size + MESSAGE_BYTES))
        self._sent_second += size + MESSAGE_BYTES
