"""What reaches the front end while an answer streams: how often, how much, and in which form.

A display that only notes its messages, and a clock that only moves when it is told to. The cell's loop
is imitated: draws happen when they are due, up to 40 ms late.
"""

from __future__ import annotations

import io
import json
import random
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from minimax_magic.events import (
    CallBegun,
    CallEnded,
    ChatReply,
    Notice,
    Started,
    StepBegun,
    TextDelta,
    TextWasThinking,
    ThinkingDelta,
    ThinkingDone,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    TurnEvent,
)
from minimax_magic.ipython.live_output import LiveOutput, TerminalOutput
from minimax_magic.messages import TextBlock, ToolCall
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
    outputs: list[dict[str, Any]] = field(default_factory=list)

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

    def __init__(
        self, form: Format = "markdown", *, remote_images: bool = False, begun: bool = False
    ) -> None:
        self.screen = Screen()
        self.transcript = Transcript("MiniMax-M2.5", self.screen.now)
        self.output = LiveOutput(
            self.transcript,
            form,
            self.screen.new_display,
            lambda: self.screen.now,
            remote_images=remote_images,
        )
        if begun:
            self.output.begin()
        self._chance = random.Random(7)
        self._due: float | None = None
        self.text_until = 0.0
        self.output.draw()

    def stream(self, events: Iterable[TurnEvent], gap_s: float) -> None:
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

    def finish(self, phase: Phase = "done", value: Any = None, *, typed: bool = False) -> None:
        while wait := self.output.settle_in():
            self.screen.now += min(wait, 0.2)
            if self._due is not None and self._due <= self.screen.now:
                self.output.draw()
                self._due = self.screen.now + 0.2
        self.output.finish(phase, _reply(str(self.transcript.text), value), typed=typed)


def _reply(text: str, value: Any = None) -> ChatReply:
    usage = TokenUsage(input_tokens=12, output_tokens=34)
    blocks = (TextBlock(text=text),)
    return ChatReply(blocks, usage, Decimal("0.00012"), "stop", "MiniMax-M2.5", value=value)


def _called(number: int, result: str = "ok", *, pieces: int = 1) -> list[TurnEvent]:
    """A call from its announcement to its end."""
    call = ToolCall(id=str(number), name="look_up", arguments={"text": "word " * pieces})
    return [
        ToolCallStarted(number, call.id, call.name),
        *[ToolCallDelta(number, "word ")] * pieces,
        ToolCallDone(number, call),
        CallBegun(call.id),
        CallEnded(call.id, result, duration_s=0.5),
    ]


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


def test_replayed_thinking_has_no_time() -> None:
    """How long a recorded answer was thought about is not known: no 0.0 s is claimed."""
    cell = Cell()
    cell.stream([Started("M", None, replayed=True), ThinkingDelta("Well."), TextDelta("Hi")], 0.2)
    assert (
        '<summary style="cursor:pointer">Thought</summary>'
        in cell.screen.outputs[1]["text/markdown"]
    )
    cell.finish()
    assert cell.screen.outputs[1]["text/plain"].startswith("[Thought]\n[replayed")


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


# ------------------------------------------------------------------------------ turns of several steps


def test_cards_keep_to_the_byte_rate() -> None:
    """Long arguments that stream, and many calls with large results, cost as little as text does."""
    cell = Cell()
    cell.stream(_pieces(long_markdown(8000), 20), 0.002)
    before = len(cell.screen.messages)
    for number in range(20):
        cell.stream(_called(number, "result " * 3000, pieces=200), 0.005)
    cell.stream([StepBegun(2), *_pieces(long_markdown(30_000), 20)], 0.001)
    messages = cell.screen.messages
    assert _worst_second(messages, lambda message: message.size) <= 150_000
    assert _worst_second(messages, lambda message: 1) <= 10
    assert max(m.size for m in messages[before : before + 50] if m.place == 1) < 6000
    cell.finish()
    assert _worst_second(messages, lambda message: message.size) <= 150_000
    assert cell.screen.outputs[1]["text/html"].count("<details") == 20


def test_calls_are_seen_at_every_moment() -> None:
    """A call is seen while its arguments arrive, while it runs and when it is over."""
    cell = Cell()
    first, delta, done, begun, ended = _called(0)
    cell.stream([TextDelta("Let me see."), first, delta], 0.3)
    cell.wait(0.3)
    assert "look_up word" in cell.screen.outputs[1]["text/markdown"]
    cell.stream([done, begun], 0.3)
    cell.wait(3)
    assert "running 3&nbsp;s" in cell.screen.outputs[1]["text/markdown"]  # not parted by a line end
    assert "calling tools" in cell.screen.outputs[1]["text/markdown"]
    cell.stream([ended], 0.3)
    cell.wait(0.3)
    assert "→ ok · 0.5&nbsp;s" in cell.screen.outputs[1]["text/markdown"]


def test_a_turn_of_two_steps_is_one_answer() -> None:
    """Texts of steps stand below each other, also when the first left a fence open."""
    cell = Cell()
    cell.stream([TextDelta("```py\nx = 1"), *_called(0), StepBegun(2), TextDelta("# Done")], 0.2)
    cell.wait(0.3)
    assert cell.screen.outputs[0]["text/markdown"] == "```py\nx = 1\n```\n\n# Done"
    cell.finish()
    answer, summary = cell.screen.outputs
    assert answer["text/markdown"] == "```py\nx = 1\n```\n\n# Done"
    assert "2 steps" in summary["text/plain"]
    assert '[look_up(text="word ") → ok · 0.5 s]' in summary["text/plain"]


def test_a_form_is_made_of_the_last_step() -> None:
    """What a model says before it calls tools is no part of the code, value or page it then gives."""
    cell = Cell("json")
    cell.stream([TextDelta("Let me look up [1]."), *_called(0), StepBegun(2)], 0.1)
    cell.stream([TextDelta('{"a": 1}')], 0.1)
    cell.finish()
    assert cell.screen.outputs[0]["application/json"] == {"a": 1}


def test_text_of_a_later_step_that_was_thinking_moves() -> None:
    """What is taken back in a later step leaves the earlier text on the screen as it was."""
    cell = Cell()
    one = long_markdown(6000)
    cell.stream(_pieces(one, 40), 0.05)
    cell.stream([StepBegun(2), TextDelta("secret " * 50)], 0.3)
    cell.stream([TextWasThinking(), TextDelta("Two")], 0.3)
    cell.wait(2)
    assert "secret" not in "".join(m.markdown for m in cell.screen.messages[-3:])
    cell.finish()
    assert cell.screen.outputs[0]["text/markdown"] == f"{one.rstrip()}\n\nTwo".replace(
        one.rstrip(), one
    )
    assert "secret" in cell.screen.outputs[1]["text/html"]


def test_a_head_that_was_thinking_goes() -> None:
    """Text that was long enough for a head and turns out to be thinking leaves the screen whole."""
    cell = Cell()
    cell.stream(_pieces(long_markdown(8000), 40), 0.05)
    assert " mm" in cell.screen.outputs[0]["text/markdown"]
    cell.stream([TextWasThinking(), TextDelta("Answer")], 0.3)
    cell.wait(0.5)
    assert cell.screen.outputs[0]["text/markdown"] == "Answer"
    assert "mm" not in cell.screen.outputs[1]["text/markdown"].split("<div")[0]


def test_much_below_leaves_room_for_text() -> None:
    """Under many calls and notices the end of a fast text is still seen, and not all of it sent."""
    cell = Cell()
    cell.stream([Notice(f"notice {n} " * 40) for n in range(6)], 0.01)
    cell.stream([event for n in range(6) for event in _called(n)], 0.01)
    cell.stream(_pieces("word " * 6000, 40), 0.001)
    cell.wait(0.3)
    tail = cell.screen.outputs[0]["text/markdown"]
    assert 200 <= len(tail) < 3000
    assert tail.count("word") > 20


# ---------------------------------------------------------------------------- values, pages, images


def test_a_value_is_shown_and_not_its_text() -> None:
    """Structured output is shown as the value that it is."""
    cell = Cell("json")
    cell.stream([TextDelta("a is 2")], 0.1)
    cell.finish(value=[{"a": 2}], typed=True)
    assert cell.screen.outputs[0]["application/json"] == [{"a": 2}]
    assert "Note" not in cell.screen.outputs[1]["text/plain"]


def test_a_value_without_text_has_its_place() -> None:
    """A value that came as a call has an output of its own above the status."""
    cell = Cell()
    cell.finish(value=42, typed=True)
    assert cell.screen.outputs[0] == {"text/plain": "42"}
    assert cell.screen.outputs[1]["text/plain"].startswith("[MiniMax-M2.5")


@pytest.mark.parametrize("text", ["", "null", "there is none"])
def test_none_is_a_value(text: str) -> None:
    """A None that was asked for is shown as one, whatever text it was made of, and is no failure."""
    cell = Cell("json")
    if text:
        cell.stream([TextDelta(text)], 0.1)
    cell.finish(typed=True)
    assert cell.screen.outputs[0] == {"text/plain": "None"}
    assert len(cell.screen.outputs) == 2
    assert "Note" not in cell.screen.outputs[1]["text/plain"]


def test_without_a_valid_value_the_text_stays() -> None:
    """Of a typed answer that failed the text is kept, with a note that it is not what was wanted."""
    cell = Cell("json")
    cell.stream([TextDelta("there is none")], 0.1)
    cell.finish("failed")
    assert cell.screen.outputs[0] == {"text/plain": "there is none"}
    assert "not JSON" in cell.screen.outputs[1]["text/plain"]


@pytest.mark.parametrize(
    ("form", "text", "language", "kind"),
    [
        ("html", "```html\n<p>a</p>\n```", "html", "text/html"),
        ("math", "$$x$$", "latex", "text/latex"),
    ],
)
def test_a_page_and_formulas_are_listings_until_they_are_whole(
    form: Format, text: str, language: str, kind: str
) -> None:
    """While it streams the source is seen as code, at the end what it makes."""
    cell = Cell(form)
    cell.stream(_pieces(text, 3), 0.2)
    live = [m.markdown for m in cell.screen.messages if m.place == 0]
    assert all("```" in markdown for markdown in live[1:])
    assert live[-1].startswith(f"```{language}\n")
    assert "<p>" not in re.sub("```.*?```", "", live[-1], flags=re.DOTALL)
    cell.finish()
    assert sorted(cell.screen.outputs[0]) == [kind, "text/plain"]


def test_a_long_page_keeps_the_bounds() -> None:
    """A page that is written faster than anybody reads costs no more than prose."""
    cell = Cell("html")
    page = "<p>word</p>\n" * 8000
    cell.stream(_pieces(page, 20), 0.001)
    cell.finish()
    messages = cell.screen.messages
    assert _worst_second(messages, lambda message: message.size) <= 150_000
    assert sum(message.size for message in messages) <= 6 * len(page)


@pytest.mark.parametrize("allowed", [True, False])
def test_images_are_drawn_only_if_allowed(allowed: bool) -> None:
    """In head, tail and saved answer alike an image of the web is one only with leave, and counted
    without."""
    cell = Cell(remote_images=allowed)
    image = "![a](https://example.invalid/a.png)"
    cell.stream(_pieces(f"{image} and more.\n\n" * 200, 20), 0.02)
    drawn = [m.markdown for m in cell.screen.messages if m.markdown.count("example.invalid") > 1]
    assert len(drawn) > 20
    assert all((image in markdown) is allowed for markdown in drawn)
    cell.finish()
    assert (image in cell.screen.outputs[0]["text/markdown"]) is allowed
    note = "Note: 200 images were not loaded (--allow-remote-images)"
    assert (note in cell.screen.outputs[1]["text/plain"]) is not allowed


def test_no_image_is_asked_for_before_its_address_is_whole() -> None:
    """While an address arrives it is text: half of one is never loaded."""
    cell = Cell(remote_images=True)
    cell.stream(_pieces("See ![a](https://example.invalid/long/path.png) there.", 1), 0.2)
    for markdown in (m.markdown for m in cell.screen.messages if "![" in m.markdown):
        assert "![a](https://example.invalid/long/path.png)" in markdown


# -------------------------------------------------------------------------------- in the background


def test_a_background_cell_makes_both_displays_at_once() -> None:
    """After `begin` nothing is displayed any more, only updated, and each output keeps its place."""
    cell = Cell(begun=True)
    assert [m.update for m in cell.screen.messages[:2]] == [False, False]
    assert cell.screen.outputs[0] == {"text/markdown": ""}
    assert "waiting 0 s" in cell.screen.outputs[1]["text/markdown"]
    cell.wait(2)
    cell.stream([ThinkingDelta("hm"), *_pieces("Hello there", 2)], 0.1)
    cell.finish()
    assert all(m.update for m in cell.screen.messages[2:])
    assert cell.screen.outputs[0]["text/markdown"] == "Hello there"
    assert "text/html" in cell.screen.outputs[1]


def test_a_background_cell_without_text_keeps_its_places() -> None:
    """Where nothing was said the first output stays empty and the status is in the second."""
    cell = Cell("text", begun=True)
    cell.output.note("StreamInterrupted: gone")
    cell.finish("failed")
    assert cell.screen.outputs[0] == {"text/plain": ""}
    assert cell.screen.outputs[1]["text/plain"].startswith("Note: StreamInterrupted: gone\n[failed")


def test_the_last_state_can_be_sent_again() -> None:
    """`redraw` sends what is shown, for a front end that missed it, and nothing if nothing is."""
    cell = Cell(begun=True)
    cell.stream(_pieces("Hello", 2), 0.1)
    cell.finish()
    shown = [*cell.screen.outputs]
    count = len(cell.screen.messages)
    cell.output.redraw()
    assert [m.bundle for m in cell.screen.messages[count:]] == shown


def test_redraws_from_another_thread_do_no_harm() -> None:
    """A redraw that comes in the middle of a stream mixes nothing up."""
    cell = Cell(begun=True)
    stop = threading.Event()

    def redraw() -> None:
        while not stop.is_set():
            cell.output.redraw()

    thread = threading.Thread(target=redraw)
    thread.start()
    cell.stream(_pieces(long_markdown(5000), 10), 0.01)
    cell.finish()
    stop.set()
    thread.join()
    assert cell.screen.outputs[0]["text/markdown"] == long_markdown(5000)


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


def _terminal(
    *events: TurnEvent,
    form: Format = "markdown",
    value: Any = None,
    typed: bool = False,
    **sent: str,
) -> str:
    out = io.StringIO()
    transcript = Transcript("M", 0.0, **sent)  # type: ignore[arg-type]
    output = TerminalOutput(transcript, form, out, lambda: 0.0)
    output.begin()
    for event in events:
        output.feed([event])
    output.finish("done", _reply(str(transcript.text), value), typed=typed)
    output.redraw()
    return out.getvalue()


def test_a_terminal_says_when_a_call_begins_and_ends() -> None:
    """A call is a line when it begins and a line when it ends, between the texts, and not once more
    below them."""
    text = _terminal(TextDelta("Let me see."), *_called(0), StepBegun(2), TextDelta("Done."))
    assert text.splitlines() == [
        "Let me see.",
        '[look_up(text="word ") ...]',
        '[look_up(text="word ") → ok · 0.5 s]',
        "",
        "Done.",
        "[M · tokens unknown · 2 steps · 0.0 s]",
    ]


def test_a_terminal_says_what_was_not_run() -> None:
    """Calls that never came to run are named at the end."""
    assert '[not run: look_up(text="word ")]\n[M' in _terminal(*_called(0)[:3])


def test_a_terminal_parts_the_texts_of_steps() -> None:
    """Between texts of two steps is an empty line, whether or not the first ended its last."""
    for text in ("One", "One\n"):
        two = [TextDelta("Tw"), TextDelta("o")]
        shown = _terminal(TextDelta(text), StepBegun(2, "no value"), *two)
        assert shown.startswith("One\n\nTwo\nNote: no value; asked again\n")


def test_a_terminal_says_what_was_sent_along() -> None:
    """What went along with the prompt is named, and not printed."""
    shown = _terminal(TextDelta("Hi"), sent="secret", sent_label="df")
    assert "\n[Sent along: df (6 characters)]\n[M" in shown
    assert "secret" not in shown


def test_a_terminal_prints_a_value_that_was_not_text() -> None:
    """A value that came as a call is printed; one whose text stands there is not printed again."""
    assert _terminal(value={"a": 1}, typed=True).startswith("{'a': 1}\n[M")
    assert "{'a': 1}" not in _terminal(TextDelta('{"a": 1}'), value={"a": 1}, typed=True)
    assert _terminal(form="json", typed=True).startswith("None\n[M")
    assert "Note" not in _terminal(TextDelta("none"), form="json", typed=True)


def test_a_terminal_loads_no_images_and_says_nothing_of_it() -> None:
    """Where nothing is ever rendered, nothing was left out."""
    assert "Note" not in _terminal(TextDelta("![a](https://h/i)"))
