"""Drawing an answer into the output of a cell while it streams.

At most two displays. The first shows the answer, the second what is below it: the folded thinking and
the status line, from the first word on where they will be at the end. When the answer gets long the
first becomes the *head*, the finished blocks, and is redrawn seldom; the second begins with the
*tail*, what is unfinished. At the end the first is the whole answer again. Only display updates are
used, so this works without widgets and survives export and reload.

The cell's own thread draws. For a background cell it calls `begin`, which makes both displays, and one
other thread does the rest; `redraw` may come from any.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TextIO

from minimax_magic.events import (
    CallBegun,
    CallEnded,
    ChatReply,
    StepBegun,
    TextDelta,
    TurnEvent,
)
from minimax_magic.render import markup
from minimax_magic.render.below import below, plain_summary, summary
from minimax_magic.render.blocks import BlockScanner
from minimax_magic.render.bundle import metadata
from minimax_magic.render.calls import call_words
from minimax_magic.render.cards import plain_line
from minimax_magic.render.markup import Bundle, Format
from minimax_magic.render.pacing import MESSAGE_BYTES, Pacer
from minimax_magic.render.transcript import Phase, Transcript
from minimax_magic.render.values import value_bundle
from minimax_magic.usage.rows import Booked

# Shorter answers than this are not worth a second display while they stream.
_SPLIT_BYTES = 3000
# While nothing arrives the status still counts seconds.
_IDLE_DRAW_S = 0.5
# Of unfinished text this much is shown whatever stands below it.
_LEAST_ROOM = 200
# A draw that comes sooner than it is due is left out, but for rounding.
_EARLY_S = 0.01


class Output(Protocol):
    """Shows one answer.

    `feed` takes events, `due_in` says in how many seconds `draw` is worth calling, `draw_now` does not
    wait for that, `finish` draws the last state; `typed` says that `reply.value` is what was asked for,
    even if that is None. `settle_in` is how long to wait before `finish` to keep to the promised byte
    rate. `note` adds a notice that no event says.

    All of them are called from the cell's own thread. In the background only `begin` is, first of all,
    and what follows from one other thread. `redraw` shows the last state once more and may come from
    any thread.
    """

    def begin(self) -> None: ...

    def feed(self, events: Iterable[TurnEvent]) -> None: ...

    def due_in(self) -> float: ...

    def draw(self) -> None: ...

    def draw_now(self) -> None: ...

    def settle_in(self) -> float: ...

    def finish(
        self,
        phase: Phase,
        reply: ChatReply,
        booked: Booked | None = None,
        *,
        typed: bool = False,
    ) -> None: ...

    def redraw(self) -> None: ...

    def note(self, text: str) -> None: ...


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
        remote_images: Whether images of the answer may be loaded from http and https.
    """

    def __init__(
        self,
        transcript: Transcript,
        form: Format,
        new_display: Callable[[], Display],
        now: Callable[[], float] = time.monotonic,
        *,
        remote_images: bool = False,
    ) -> None:
        self._transcript = transcript
        self._form: Format = form
        self._remote_images = remote_images
        self._lock = threading.RLock()
        self._both = False  # both displays are there from the beginning
        self._rewrites = 0  # of the transcript, as last seen
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

    def begin(self) -> None:
        """Makes both displays now, for an answer that is drawn by another thread later."""
        with self._lock:
            now = self._now()
            self._both = True
            self._show(0, markup.live("", "", self._form))
            self._show(1, markup.live("", below(self._transcript, now)))

    def note(self, text: str) -> None:
        with self._lock:
            self._transcript.note(text)
            self._fresh = True

    def redraw(self) -> None:
        """Sends what is shown once more."""
        with self._lock:
            for display, bundle in zip(self._displays, self._shown, strict=True):
                display.update(bundle, raw=True, metadata=metadata(bundle))

    def feed(self, events: Iterable[TurnEvent]) -> None:
        with self._lock:
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
        with self._lock:
            now = self._now()
            if self._pacer.due_in(now) <= _EARLY_S:
                self._draw(now)

    def draw_now(self) -> None:
        """Draws although it may be early: the thread is about to be blocked."""
        with self._lock:
            if self._fresh:
                self._draw(self._now())

    def _draw(self, now: float) -> None:
        rows = below(self._transcript, now)
        size = 0
        if not self._first_text:
            sent = self._show(int(self._both), markup.live("", rows))
        else:
            text = str(self._transcript.text)
            size = len(text.encode())
            if self._fresh:
                self._draw_text(text, size, size_below=len(rows.encode()), now=now)
            if self._heads:
                sent = self._show(1, markup.live(self._tail, rows))
            else:
                sent = self._show(0, markup.live(self._tail, "", self._form))
                sent += self._show(1, markup.live("", rows))
        if self._first_head is not None:  # the tail is there, and appears with its head
            self._pacer.sent_head(now, self._show(0, self._first_head))
            self._first_head = None
        self._fresh, self._drawn_at = False, now
        self._pacer.sent_tail(now, sent, size)

    def _draw_text(self, text: str, size: int, *, size_below: int, now: float) -> None:
        """Decides what head and tail are now."""
        if self._transcript.rewrites != self._rewrites:
            # what was text turned out to be thinking
            self._rewrites = self._transcript.rewrites
            self._scanner = BlockScanner()
            self._head_chars = self._head_bytes = self._heads = self._finished = 0
            self._first_head = None
        plain = self._form in markup.PLAIN_WHILE_LIVE
        listing = self._form in markup.CODE_WHILE_LIVE
        if not (plain or listing):
            self._draw_head(text, size, now)
        rest = text[self._head_chars :]
        room = max(_LEAST_ROOM, self._pacer.tail_room(now, size) - size_below)
        if plain:
            self._tail = markup.visible_plain(rest, room=room)
            return
        if listing:
            self._tail = markup.visible_code(self._transcript.last_text, self._form, room=room)
            return
        self._finished = max(0, self._scanner.cut - self._head_chars)
        self._tail = markup.visible(
            rest,
            fence=self._scanner.fence,
            room=room,
            finished=self._finished,
            mark=self._mark if self._heads else "",
            number=self._heads,
            remote_images=self._remote_images,
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
            head = markup.head(finished, self._mark, self._heads, remote_images=self._remote_images)
            if self._heads == 1:
                self._first_head = head
            else:
                self._pacer.sent_head(now, self._show(0, head))

    def settle_in(self) -> float:
        """Seconds until the whole answer may go out."""
        now = self._now()
        last = 2 * len(str(self._transcript.text).encode())
        if self._transcript.calls or self._transcript.sent:
            last += sum(len(part.encode()) for part in summary(self._transcript, now).values())
        return self._pacer.final_in(now, last)

    def finish(
        self,
        phase: Phase,
        reply: ChatReply,
        booked: Booked | None = None,
        *,
        typed: bool = False,
    ) -> None:
        with self._lock:
            now = self._now()
            self._transcript.end(phase, reply, now, booked)
            text = _final_text(self._transcript, self._form)
            if not typed:
                notices = markup.unfit(text, self._form, remote_images=self._remote_images)
                self._transcript.notices += notices
            rows = summary(self._transcript, now)
            if text or typed or len(self._displays) > 1:
                self._show(0, self._final(text, reply.value, typed=typed))
                self._show(1, rows)
            else:
                self._show(0, rows)

    def _final(self, text: str, value: Any, *, typed: bool) -> Bundle:
        if typed and value is None:  # where `answer` takes a text
            return value_bundle(None)
        value = value if typed else None
        return markup.answer(text, self._form, remote_images=self._remote_images, value=value)

    def _show(self, place: int, bundle: Bundle) -> int:
        """Shows it, unless it is there already, and returns the bytes of the message."""
        if place == len(self._displays):
            handle = self._new_display()
            handle.display(bundle, raw=True, metadata=metadata(bundle))
            self._displays.append(handle)
            self._shown.append(bundle)
        elif self._shown[place] == bundle:
            return 0
        else:
            self._displays[place].update(bundle, raw=True, metadata=metadata(bundle))
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
        self._wrote = False  # text of this step
        self._gap = False  # an empty line is due before the next text
        self._said: set[int] = set()  # calls, by identity, of which the beginning was said

    def begin(self) -> None:
        """Nothing to do: text is written when it comes."""

    def redraw(self) -> None:
        """Nothing to do: what was written stays."""

    def note(self, text: str) -> None:
        self._transcript.note(text)

    def feed(self, events: Iterable[TurnEvent]) -> None:
        now = self._now()
        pieces: list[str] = []
        for event in events:
            self._transcript.apply(event, now)
            match event:
                case TextDelta(text):
                    pieces.append(text)
                case CallBegun() | CallEnded() | StepBegun():
                    self._write("".join(pieces))
                    pieces.clear()
                    self._gap = self._gap or self._wrote
                    self._wrote = False
                    self._say_calls(now)
                case _:
                    pass
        self._write("".join(pieces))
        self._out.flush()

    def due_in(self) -> float:
        return _IDLE_DRAW_S

    def draw(self) -> None:
        """Nothing to do: text was written when it came."""

    def draw_now(self) -> None:
        """Nothing to do, likewise."""

    def settle_in(self) -> float:
        return 0.0

    def finish(
        self,
        phase: Phase,
        reply: ChatReply,
        booked: Booked | None = None,
        *,
        typed: bool = False,
    ) -> None:
        now = self._now()
        self._transcript.end(phase, reply, now, booked)
        self._say_calls(now)
        if typed:
            if not self._wrote:  # else the text that it was made of stands there
                self._line(value_bundle(reply.value)["text/plain"])
        else:
            text = _final_text(self._transcript, self._form)
            self._transcript.notices += markup.unfit(text, self._form, remote_images=True)
        self._line("\n".join(plain_summary(self._transcript, now, calls=False)), dim=True)
        self._out.flush()

    def _say_calls(self, now: float) -> None:
        """A line for each call that has begun or ended since."""
        for card in self._transcript.calls:
            begun, ended = 2 * id(card), 2 * id(card) + 1
            if card.state == "running" and begun not in self._said:
                self._said.add(begun)
                self._line(f"[{call_words(card)} ...]", dim=True)
            elif card.over and ended not in self._said:
                self._said.add(ended)
                self._line(f"[{plain_line(card, now)}]", dim=True)

    def _write(self, text: str) -> None:
        if not text:
            return
        if self._gap:
            self._out.write("\n" if self._column_0 else "\n\n")
            self._gap = False
        self._out.write(text)
        self._wrote = True
        self._column_0 = text.endswith("\n")

    def _line(self, text: str, *, dim: bool = False) -> None:
        """Something on lines of its own."""
        if not self._column_0:
            self._out.write("\n")
        self._out.write(f"\x1b[2m{text}\x1b[0m\n" if dim and self._out.isatty() else f"{text}\n")
        self._column_0 = True


def _final_text(transcript: Transcript, form: Format) -> str:
    """What the answer is made of: a form is that of the last step, prose may be of all."""
    return str(transcript.text) if form in ("markdown", "text") else transcript.last_text


def show_once(bundle: Bundle, *, rich: bool) -> None:
    """Shows what does not change any more: as it is, or its plain text where there is no front end."""
    if not rich:
        print(bundle["text/plain"])
        return
    from IPython.display import display

    display(bundle, raw=True)  # type: ignore[no-untyped-call]
