"""Drawing an answer into the output of a cell while it streams.

At most two displays. The first shows the answer, the second what is below it: the folded thinking and
the status line, from the first word on where they will be at the end. When the answer gets long the
first becomes the *head*, the finished blocks, and is redrawn seldom; the second begins with the
*tail*, what is unfinished. At the end the first is the whole answer again. Only display updates are
used, so this works without widgets and survives export and reload.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TextIO

from minimax_magic.events import ChatReply, StreamEvent, TextDelta
from minimax_magic.render import markup
from minimax_magic.render.blocks import BlockScanner
from minimax_magic.render.markup import Bundle, Format
from minimax_magic.render.pacing import MESSAGE_BYTES, Pacer
from minimax_magic.render.transcript import Phase, Transcript
from minimax_magic.usage.rows import Booked

# Shorter answers than this are not worth a second display while they stream.
_SPLIT_BYTES = 3000
# While nothing arrives the status still counts seconds.
_IDLE_DRAW_S = 0.5
# A draw that comes sooner than it is due is left out, but for rounding.
_EARLY_S = 0.01


class Output(Protocol):
    """Shows one answer. All methods are called from the cell's own thread.

    `feed` takes events, `due_in` says in how many seconds `draw` is worth calling, `finish` draws the
    last state. `settle_in` is how long to wait before `finish` to keep to the promised byte rate.
    """

    def feed(self, events: Iterable[StreamEvent]) -> None: ...

    def due_in(self) -> float: ...

    def draw(self) -> None: ...

    def settle_in(self) -> float: ...

    def finish(self, phase: Phase, reply: ChatReply, booked: Booked | None = None) -> None: ...


class Display(Protocol):
    """One output that can be replaced, as IPython's DisplayHandle."""

    def display(self, obj: Any, **kwargs: Any) -> None: ...

    def update(self, obj: Any, **kwargs: Any) -> None: ...


class LiveOutput:
    """The form for front ends that can update a display.

    Args:
        transcript: What is drawn.
        form: How the finished answer is shown.
        new_display: Makes an IPython DisplayHandle.
        now: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        transcript: Transcript,
        form: Format,
        new_display: Callable[[], Display],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transcript = transcript
        self._form = form
        self._new_display = new_display
        self._now = now
        self._mark = f"mm{id(self):x}"
        self._displays: list[Display] = []
        self._shown: list[Bundle] = []
        self._scanner = BlockScanner()
        self._pacer = Pacer()
        self._head_chars = 0
        self._head_bytes = 0
        self._tail = ""  # what was drawn of the unfinished part
        self._finished = 0  # how much of it is finished blocks
        self._heads = 0  # drawn so far
        self._first_head: Bundle | None = None
        self._fresh = True  # something changed since the last draw
        self._drawn_at = now()
        self._first_text = False

    def feed(self, events: Iterable[StreamEvent]) -> None:
        now = self._now()
        apply = self._transcript.apply
        for event in events:
            apply(event, now)
            self._fresh = True
        if not self._first_text and len(self._transcript.text):
            self._first_text = True
            self._pacer.begin(now)
            self._draw(now)  # the first word waits for nothing

    def due_in(self) -> float:
        now = self._now()
        due = self._pacer.due_in(now)
        return due if self._fresh else max(due, self._drawn_at + _IDLE_DRAW_S - now)

    def draw(self) -> None:
        now = self._now()
        if self._pacer.due_in(now) <= _EARLY_S:
            self._draw(now)

    def _draw(self, now: float) -> None:
        below = markup.below(self._transcript, now)
        size = 0
        if not self._first_text:
            sent = self._show(0, markup.live("", below))
        else:
            text = str(self._transcript.text)
            size = len(text.encode())
            if self._fresh:
                self._draw_text(text, size, size_below=len(below), now=now)
            if self._heads:
                sent = self._show(1, markup.live(self._tail, below))
            else:
                sent = self._show(0, markup.live(self._tail, "", self._form))
                sent += self._show(1, markup.live("", below))
        if self._first_head is not None:  # the tail is there, and appears with its head
            self._pacer.sent_head(now, self._show(0, self._first_head))
            self._first_head = None
        self._fresh, self._drawn_at = False, now
        self._pacer.sent_tail(now, sent, size)

    def _draw_text(self, text: str, size: int, *, size_below: int, now: float) -> None:
        """Decides what head and tail are now."""
        if len(text) < self._head_chars or not text:
            # what was text turned out to be thinking
            self._scanner = BlockScanner()
            self._head_chars = self._head_bytes = self._heads = self._finished = 0
        plain = self._form in ("text", "json")
        if not plain:
            self._draw_head(text, size, now)
        rest = text[self._head_chars :]
        room = self._pacer.tail_room(now, size) - size_below
        if plain:
            self._tail = markup.visible_plain(rest, room=room)
            return
        self._finished = max(0, self._scanner.cut - self._head_chars)
        self._tail = markup.visible(
            rest,
            fence=self._scanner.fence,
            room=room,
            finished=self._finished,
            mark=self._mark if self._heads else "",
            number=self._heads,
        )

    def _draw_head(self, text: str, size: int, now: float) -> None:
        cut = self._scanner.advance(text)
        if size <= _SPLIT_BYTES and not self._heads:
            return
        if self._heads and self._finished and not self._pacer.hurried(now, size):
            cut = self._head_chars + self._finished  # what goes over from the tail unseen
        finished = text[:cut]
        cut_bytes = len(finished.encode())
        if self._pacer.head_is_worth_it(now, size, self._head_bytes, cut_bytes):
            self._head_chars, self._head_bytes = cut, cut_bytes
            self._heads += 1
            head = markup.head(finished, self._mark, self._heads)
            if self._heads == 1:
                self._first_head = head
            else:
                self._pacer.sent_head(now, self._show(0, head))

    def settle_in(self) -> float:
        """Seconds until the whole answer may go out."""
        return self._pacer.final_in(self._now(), 2 * len(str(self._transcript.text).encode()))

    def finish(self, phase: Phase, reply: ChatReply, booked: Booked | None = None) -> None:
        now = self._now()
        self._transcript.end(phase, reply, now, booked)
        text = str(self._transcript.text)
        self._transcript.notices += markup.unfit(text, self._form)
        summary = markup.summary(self._transcript, now)
        if text or len(self._displays) > 1:
            self._show(0, markup.answer(text, self._form))
            self._show(1, summary)
        else:
            self._show(0, summary)

    def _show(self, place: int, bundle: Bundle) -> int:
        """Shows it, unless it is there already, and returns the bytes of the message."""
        if place == len(self._displays):
            handle = self._new_display()
            handle.display(bundle, raw=True)
            self._displays.append(handle)
            self._shown.append(bundle)
        elif self._shown[place] == bundle:
            return 0
        else:
            self._displays[place].update(bundle, raw=True)
            self._shown[place] = bundle
        return MESSAGE_BYTES + len(json.dumps(bundle, ensure_ascii=False).encode())


class TerminalOutput:
    """The form for terminal IPython and plain consoles: text as it comes, then the status line.

    Args:
        out: Where to; colours are used only if it is a terminal.
    """

    def __init__(
        self,
        transcript: Transcript,
        form: Format,
        out: TextIO | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transcript = transcript
        self._form = form
        self._out = out or sys.stdout
        self._now = now
        self._column_0 = True

    def feed(self, events: Iterable[StreamEvent]) -> None:
        now = self._now()
        pieces: list[str] = []
        for event in events:
            self._transcript.apply(event, now)
            if isinstance(event, TextDelta):
                pieces.append(event.text)
        if pieces:
            text = "".join(pieces)
            self._out.write(text)
            self._out.flush()
            self._column_0 = text.endswith("\n")

    def due_in(self) -> float:
        return _IDLE_DRAW_S

    def draw(self) -> None:
        """Nothing to do: text was written when it came."""

    def settle_in(self) -> float:
        return 0.0

    def finish(self, phase: Phase, reply: ChatReply, booked: Booked | None = None) -> None:
        now = self._now()
        self._transcript.end(phase, reply, now, booked)
        self._transcript.notices += markup.unfit(str(self._transcript.text), self._form)
        summary = markup.summary(self._transcript, now)["text/plain"]
        if not self._column_0:
            self._out.write("\n")
        tty = self._out.isatty()
        self._out.write(f"\x1b[2m{summary}\x1b[0m\n" if tty else f"{summary}\n")
        self._out.flush()


def show_once(bundle: Bundle, *, rich: bool) -> None:
    """Shows what does not change any more: as it is, or its plain text where there is no front end."""
    if not rich:
        print(bundle["text/plain"])
        return
    from IPython.display import display

    display(bundle, raw=True)  # type: ignore[no-untyped-call]
