"""What reaches the front end while an answer streams: how often, how much, and in which form.

A display that only notes its messages, and a clock that only moves when it is told to. The cell's loop
is imitated: draws happen when they are due, up to 40 ms late.
"""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from minimax_magic.events import (
    ChatReply,
    Notice,
    Started,
    StreamEvent,
    TextDelta,
    TextWasThinking,
    ThinkingDelta,
    ThinkingDone,
)
from minimax_magic.ipython.live_output import LiveOutput, TerminalOutput
from minimax_magic.messages import TextBlock
from minimax_magic.render.markup import Format
from minimax_magic.render.pacing import MESSAGE_BYTES
from minimax_magic.render.transcript import Phase, Transcript
from minimax_magic.simulator.samples import long_markdown
from minimax_magic.tokens import TokenUsage

LATE_S = 0.04
NOTE = "follow soon"


@dataclass
class Message:
    at: float
    place: int
    bundle: dict[str, str]
    update: bool

    @property
    def size(self) -> int:
        return len(json.dumps(self.bundle, ensure_ascii=False).encode()) + MESSAGE_BYTES

    @property
    def markdown(self) -> str:
        return self.bundle.get("text/markdown", "")


@dataclass
class Screen:
    """Notes what is displayed, at a time that is set from outside."""

    now: float = 1000.0
    messages: list[Message] = field(default_factory=list)
    outputs: list[dict[str, str]] = field(default_factory=list)

    def new_display(self) -> Handle:
        return Handle(self)


class Handle:
    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._place = -1

    def display(self, obj: Any, **kwargs: Any) -> None:
        self._place = len(self._screen.outputs)
        self._screen.outputs.append(obj)
        self._note(obj, update=False)

    def update(self, obj: Any, **kwargs: Any) -> None:
        self._screen.outputs[self._place] = obj
        self._note(obj, update=True)

    def _note(self, obj: Any, *, update: bool) -> None:
        screen = self._screen
        screen.messages.append(Message(screen.now, self._place, obj, update))


class Cell:
    """Streams into a `LiveOutput` as a cell does."""

    def __init__(self, form: Format = "markdown") -> None:
        self.screen = Screen()
        self.transcript = Transcript("MiniMax-M2.5", self.screen.now)
        self.output = LiveOutput(
            self.transcript, form, self.screen.new_display, lambda: self.screen.now
        )
        self._chance = random.Random(7)
        self._due: float | None = None
        self.text_until = 0.0
        self.output.draw()

    def stream(self, events: Iterable[StreamEvent], gap_s: float) -> None:
        """One event after each gap; draws that are due happen in time or a little late."""
        for event in events:
            self.wait(gap_s)
            self.output.feed([event])
        self._draw_if_due()

    def wait(self, seconds: float) -> None:
        until = self.screen.now + seconds
        self._draw_if_due()
        while self._due is not None and self._due <= until:
            self.screen.now = self._due
            self._draw_if_due()
        self.screen.now = until

    def _draw_if_due(self) -> None:
        now = self.screen.now
        if self._due is not None and now >= self._due:
            self.output.draw()
            self._due = None
        due = now + self.output.due_in()
        if self._due is None or due < self._due - LATE_S:
            self._due = due + self._chance.uniform(0, LATE_S)

    def finish(self, phase: Phase = "done") -> None:
        while wait := self.output.settle_in():
            self.screen.now += min(wait, 0.2)
            if self._due is not None and self._due <= self.screen.now:
                self.output.draw()
                self._due = self.screen.now + 0.2
        self.output.finish(phase, _reply(str(self.transcript.text)))


def _reply(text: str) -> ChatReply:
    usage = TokenUsage(input_tokens=12, output_tokens=34)
    return ChatReply((TextBlock(text=text),), usage, Decimal("0.00012"), "stop", "MiniMax-M2.5")


def _pieces(text: str, chars: int) -> Iterator[TextDelta]:
    return (TextDelta(text[at : at + chars]) for at in range(0, len(text), chars))


def _streamed(text: str, chars: int, gap_s: float) -> Cell:
    cell = Cell()
    cell.stream([Started("MiniMax-M2.5", None)], 0.3)
    cell.stream(_pieces(text, chars), gap_s)
    cell.text_until = cell.screen.now
    cell.finish()
    return cell


def _longest_gap(cell: Cell) -> float:
    """Seconds between two messages, from the first text until the last of it arrived."""
    times = [m.at for m in cell.screen.messages if 1000.3 < m.at <= cell.text_until]
    return max(after - before for before, after in pairwise([*times, cell.text_until]))


def _worst_second(messages: list[Message], weigh: Any) -> int:
    return max(
        sum(weigh(other) for other in messages if message.at <= other.at < message.at + 1)
        for message in messages
    )


_CHUNKS = (4, 10, 17, 40)
_bursts: dict[int, Cell] = {}


@pytest.fixture(params=_CHUNKS)
def burst(request: pytest.FixtureRequest) -> Cell:
    """120 KB, so many characters each millisecond."""
    chars: int = request.param
    if chars not in _bursts:
        _bursts[chars] = _streamed(long_markdown(120_000), chars, 0.001)
    return _bursts[chars]


# -------------------------------------------------------------------------------- bounds of a burst


def test_a_burst_costs_at_most_six_times_its_text(burst: Cell) -> None:
    """120 KB at a millisecond a chunk reach the browser in at most 720 KB, final answer included."""
    assert sum(message.size for message in burst.screen.messages) <= 6 * 120_000


def test_no_second_of_a_burst_holds_more_than_150_kb(burst: Cell) -> None:
    """Neither while text arrives nor when the whole answer is drawn do 150 KB go out in a second."""
    assert _worst_second(burst.screen.messages, lambda message: message.size) <= 150_000


def test_there_are_at_most_ten_messages_in_a_second(burst: Cell) -> None:
    """Both displays together are updated at most ten times in any second."""
    assert _worst_second(burst.screen.messages, lambda message: 1) <= 10


def test_something_moves_every_250_ms(burst: Cell) -> None:
    """While text arrives no two draws are 250 ms apart, though each may be 40 ms late."""
    assert _longest_gap(burst) < 0.25


def test_a_burst_uses_two_outputs_and_ends_whole(burst: Cell) -> None:
    """However long, an answer is two outputs: all of its markdown, and what is below it."""
    answer, summary = burst.screen.outputs
    assert answer["text/markdown"] == long_markdown(120_000)
    assert sorted(summary) == ["text/html", "text/plain"]


def test_the_head_of_a_burst_keeps_up(burst: Cell) -> None:
    """The finished part on screen is never far behind: at least half of the text, after the first
    10 KB."""
    heads = [
        len(message.markdown)
        for message in burst.screen.messages[:-2]
        if message.place == 0 and NOTE not in message.markdown
    ]
    assert heads[-1] > 60_000
    assert all(after < 2.2 * before for before, after in pairwise(heads) if before > 10_000)


# --------------------------------------------------------------------------- what a person reads


READABLE = long_markdown(20_000) + "```python\n" + "value = compute(1)\n" * 530 + "```\n\n"
READABLE += long_markdown(40_000 - len(READABLE))


@pytest.fixture(scope="module")
def reading() -> Cell:
    """40 KB at 0.4 KB a second, with a listing of 10 KB in the middle."""
    return _streamed(READABLE, 20, 0.05)


def test_at_reading_speed_everything_is_shown(reading: Cell) -> None:
    """An answer that a model writes at its usual speed is on screen whole at every moment."""
    assert not [m for m in reading.screen.messages if NOTE in m.markdown]


def test_at_reading_speed_the_rate_is_bounded_too(reading: Cell) -> None:
    """A long listing that cannot be cut stays within 150 KB and ten messages a second."""
    messages = reading.screen.messages
    assert _worst_second(messages, lambda message: message.size) <= 150_000
    assert _worst_second(messages, lambda message: 1) <= 10
    assert _longest_gap(reading) < 0.25


def _read(head: str, tail: str) -> str:
    """What a person can read in two outputs, spaces left out, in a browser that knows `:has`."""
    tail = tail.split('<div class="minimax-summary')[0]
    rule = re.match(r"<style>body:not\(:has\(\.(\w+)\)\) \.(\w+)f,.*?</style>", tail)
    if rule:
        tail = tail.removeprefix(rule[0])
        if f"{rule[2]}h " not in head:
            tail = ""
        elif f' {rule[1]}"' not in head:
            tail = re.sub(f'<div class="{rule[2]}f .*?</div>', "", tail, flags=re.DOTALL)
    return re.sub(r'<div class="mm[^>]*>|</div>|\s+', "", head + tail)


def test_text_never_goes_backwards(reading: Cell) -> None:
    """After every single message the text on screen is the beginning of the answer, once, and not
    shorter than before."""
    whole = re.sub(r"\s+", "", READABLE)
    shown = ["", ""]
    lengths = [0]
    for message in reading.screen.messages[1:-2]:
        shown[message.place] = message.markdown
        text = _read(*shown)
        assert whole.startswith(text.removesuffix("```"))
        lengths.append(len(text))
    assert not [before for before, after in pairwise(lengths) if after < before - len("```")]
    assert lengths[-1] > len(whole) - 200
    assert _read(reading.screen.outputs[0]["text/markdown"], shown[1]) == whole, "the tail hides"


def test_the_first_word_waits_for_nothing() -> None:
    """Text is drawn in the moment the first of it arrives, whatever was drawn just before."""
    cell = Cell()
    cell.stream([ThinkingDelta("hm ")] * 20, 0.01)
    at = cell.screen.now + 0.01
    cell.stream([TextDelta("Hello")], 0.01)
    first = next(m for m in cell.screen.messages if "Hello" in m.markdown)
    assert first.at == pytest.approx(at)


def test_thinking_that_turns_into_text_keeps_the_bounds() -> None:
    """Around the first word, too, there are at most ten messages in a second."""
    for thoughts in range(30, 80, 7):
        cell = Cell()
        cell.stream([ThinkingDelta("I think so. ")] * thoughts, 0.02)
        cell.stream(_pieces(long_markdown(300), 3), 0.02)
        cell.finish()
        assert _worst_second(cell.screen.messages, lambda message: 1) <= 10


def test_while_nothing_arrives_the_clock_goes_on() -> None:
    """Waiting is visible: the seconds count, and are drawn no more than twice a second."""
    cell = Cell()
    for _ in range(60):
        cell.wait(0.1)
    waiting = [m.markdown for m in cell.screen.messages]
    assert any("waiting 5 s" in text for text in waiting)
    assert len(waiting) <= 13


def test_nothing_is_sent_that_is_shown_already() -> None:
    """A draw in which nothing changed sends no message."""
    cell = Cell()
    sent = len(cell.screen.messages)
    cell.output.draw()
    assert len(cell.screen.messages) == sent


# ------------------------------------------------------------------------------------- the forms


def test_the_status_is_below_from_the_first_word_on() -> None:
    """The layout of the end is there as soon as there is text: answer first, status second."""
    cell = Cell()
    cell.stream([ThinkingDelta("Well."), ThinkingDone(), TextDelta("Hello")], 0.2)
    answer, below = cell.screen.outputs
    assert answer == {"text/markdown": "Hello"}
    assert "Thought for 0.4 s" in below["text/markdown"]
    assert "writing" in below["text/markdown"]


def test_thinking_is_seen_while_it_goes_on() -> None:
    """The last of the thinking is shown, escaped, above the status; the text replaces it."""
    cell = Cell()
    cell.stream([ThinkingDelta("Is a <b> a tag? ")] * 20, 0.1)
    (preview,) = cell.screen.outputs
    assert "Is a &lt;b&gt; a tag?" in preview["text/markdown"]
    assert "thinking 2 s" in preview["text/markdown"]
    cell.stream([TextDelta("Yes.")], 0.1)
    assert "Is a" not in "".join(map(str, cell.screen.outputs))
    cell.finish()
    assert "Is a &lt;b&gt; a tag?" in cell.screen.outputs[1]["text/html"]


def test_text_that_was_thinking_moves() -> None:
    """Text that turns out to have been thinking leaves the answer and goes into the fold."""
    cell = Cell()
    cell.stream([TextDelta("secret thought")], 0.1)
    cell.stream([TextWasThinking(), TextDelta("Answer")], 0.3)
    cell.finish()
    answer, summary = cell.screen.outputs
    assert answer["text/markdown"] == "Answer"
    assert "secret thought" in summary["text/html"]


def test_an_answer_without_text_is_one_output() -> None:
    """Where nothing was said, only the status is left."""
    cell = Cell()
    cell.stream([ThinkingDelta("hm")], 0.1)
    cell.finish("failed")
    (summary,) = cell.screen.outputs
    assert "failed" in summary["text/plain"]


def test_a_stopped_answer_keeps_what_arrived() -> None:
    """After an interrupt the output is what there was, whole, and says that it was interrupted."""
    cell = Cell()
    cell.stream(_pieces("One two three", 3), 0.001)
    cell.finish("interrupted")
    answer, summary = cell.screen.outputs
    assert answer == {"text/markdown": "One two three", "text/plain": "One two three"}
    assert "interrupted" in summary["text/plain"]


def test_html_is_harmless_at_every_moment() -> None:
    """A tag is escaped in every draw, also while it is still arriving, in head and tail."""
    text = "<img src=x onerror=alert(1)> and `<b>` " * 4 + "\n\n"
    cell = _streamed(text * 60, 7, 0.004)
    drawn = [m.markdown for m in cell.screen.messages]
    assert len(drawn) > 20
    assert not [markdown for markdown in drawn if re.search(r"<img", markdown)]


def test_an_open_fence_is_closed_over_the_status() -> None:
    """The status never ends up inside of a code block that is still being written."""
    cell = Cell()
    text = long_markdown(5000) + "\n\n- item\n  ```python\n  x = 1\n"
    cell.stream(_pieces(text, 200), 0.3)
    cell.wait(0.5)
    tail = cell.screen.outputs[1]["text/markdown"]
    assert "  x = 1\n  ```\n\n</div>\n\n<div" in tail


@pytest.mark.parametrize(
    ("form", "text", "kinds"),
    [
        ("text", "a *b* <c>", ["text/plain"]),
        ("code", "Here:\n```python\nx = 1\n```\n", ["text/markdown", "text/plain"]),
        ("json", '{"a": [1]}', ["application/json", "text/plain"]),
        ("json", "not json", ["text/plain"]),
    ],
)
def test_each_form_ends_as_it_should(form: Format, text: str, kinds: list[str]) -> None:
    """The saved answer has the mime types of its form, and always a plain one."""
    cell = Cell(form)
    cell.stream(_pieces(text, 3), 0.05)
    live = cell.screen.outputs[0]
    assert ("text/plain" in live) is (form in ("text", "json"))
    cell.finish()
    assert sorted(cell.screen.outputs[0]) == kinds


def test_notices_are_shown_while_it_streams_and_after() -> None:
    """A notice stands in the live status and in the saved summary."""
    cell = Cell()
    cell.stream([Notice("top_p is ignored"), TextDelta("Hi")], 0.1)
    assert "Note: top_p is ignored" in cell.screen.outputs[1]["text/markdown"]
    cell.finish()
    assert cell.screen.outputs[1]["text/plain"].startswith("Note: top_p is ignored\n[")


# ---------------------------------------------------------------------------------- in a terminal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_text_as_it_comes() -> None:
    """Text is written piece by piece, then on a line of its own the status, dimmed."""
    out = Terminal()
    transcript = Transcript("MiniMax-M2.5", 0.0)
    output = TerminalOutput(transcript, "markdown", out, lambda: 1.5)
    output.feed([ThinkingDelta("hm"), TextDelta("One ")])
    assert out.getvalue() == "One "
    output.feed([TextDelta("two.")])
    output.draw()
    assert output.settle_in() == 0
    output.finish("done", _reply("One two."))
    text, *rest = out.getvalue().split("\n")
    assert text == "One two."
    assert rest[0] == "\x1b[2m[Thought for 0.0 s]"
    assert rest[1].endswith("1.5 s]\x1b[0m")


def test_a_pipe_gets_no_colours() -> None:
    """Where the output is no terminal there are no escape sequences."""
    out = io.StringIO()
    output = TerminalOutput(Transcript("M", 0.0), "markdown", out, lambda: 0.0)
    output.feed([TextDelta("Hi\n")])
    output.finish("done", _reply("Hi"))
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().startswith("Hi\n[M")
