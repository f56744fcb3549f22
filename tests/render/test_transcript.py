"""What there is to see of an answer, at every moment of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from renderers import RENDERERS

from minimax_magic.events import (
    CallBegun,
    CallEnded,
    ChatReply,
    Finished,
    Notice,
    RetryScheduled,
    Started,
    StepBegun,
    TextDelta,
    TextWasThinking,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    TurnEvent,
)
from minimax_magic.messages import ToolCall
from minimax_magic.render.blocks import without_seams
from minimax_magic.render.markup import drawable
from minimax_magic.render.transcript import Transcript
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.rows import Billing, Booked

USAGE = TokenUsage(input_tokens=1200, output_tokens=345, cache_read_tokens=800)


def _seen(*events: TurnEvent, chat: str | None = None) -> Transcript:
    """A transcript that began at 0 s and saw one event each second from 1 s on."""
    transcript = Transcript("MiniMax-M2.5", 0.0, chat=chat, turn=3)
    for second, event in enumerate(events, 1):
        transcript.apply(event, float(second))
    return transcript


def _booked(
    cost: str | None = "0.0031", *, billing: Billing = "per_token", measured: bool = True
) -> Booked:
    return Booked(USAGE, None if cost is None else Decimal(cost), measured, billing)


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], "MiniMax-M2.5 · waiting 7 s"),
        ([Started("MiniMax-M3", None)], "MiniMax-M3 · waiting 7 s"),
        ([ThinkingDelta("hm")], "MiniMax-M2.5 · thinking 7 s"),
        ([ThinkingDelta("hm"), TextDelta("Hi")], "MiniMax-M2.5 · writing 7 s"),
        ([Started(None, None, simulated=True)], "simulated · MiniMax-M2.5 · waiting 7 s"),
        (
            [RetryScheduled("Too many requests.", 10.0, 2)],
            "MiniMax-M2.5 · Too many requests. Trying again in 4 s (attempt 2)",
        ),
        (
            [RetryScheduled("Overloaded.", 2.0, 3)],
            "MiniMax-M2.5 · Overloaded. Trying again now (attempt 3)",
        ),
        ([RetryScheduled("No.", 2.0, 3), Started(None, None)], "MiniMax-M2.5 · waiting 7 s"),
        ([ToolCallStarted(0, "a", "f")], "MiniMax-M2.5 · calling tools 7 s"),
        ([TextDelta("Hi"), CallBegun("a")], "MiniMax-M2.5 · calling tools 7 s"),
        ([TextDelta("Hi"), StepBegun(2)], "MiniMax-M2.5 · step 2 · waiting 7 s"),
        (
            [StepBegun(2), ThinkingDelta("hm"), StepBegun(3), ThinkingDelta("hm")],
            "MiniMax-M2.5 · step 3 · thinking 7 s",
        ),
        (
            [StepBegun(2), RetryScheduled("Busy.", 9.0, 2)],
            "MiniMax-M2.5 · step 2 · Busy. Trying again in 4 s (attempt 2)",
        ),
        ([Started(None, None, replayed=True)], "replayed · MiniMax-M2.5 · waiting 7 s"),
        (
            [Started(None, None, replayed=True), StepBegun(2), Started("MiniMax-M3", None)],
            "partly replayed · MiniMax-M3 · step 2 · waiting 7 s",
        ),
    ],
)
def test_the_status_says_what_is_happening(events: list[TurnEvent], status: str) -> None:
    """One line tells the model, what it does and for how long, and when a failed try is repeated."""
    assert _seen(*events).status(7.0) == status


def test_the_status_at_the_end_says_what_it_took() -> None:
    """Tokens, cost and time; nothing of it moves any more."""
    transcript = _seen(TextDelta("Hi"), Finished("stop"))
    transcript.end("done", ChatReply(), 2.5, _booked())
    expected = "MiniMax-M2.5 · 2,000 tokens in (40 % cached) · 345 out · $0.0031 · 2.5 s"
    assert transcript.status(2.5) == transcript.status(99.0) == expected


@pytest.mark.parametrize(
    ("fresh", "read", "said"),
    [
        (4, 996, "(99 % cached)"),
        (0, 1000, "(100 % cached)"),
        (600, 400, "(40 % cached)"),
        (996, 4, "(less than 1 % cached)"),
    ],
)
def test_a_share_is_all_only_if_it_is(fresh: int, read: int, said: str) -> None:
    """99.6 % is not 100 %, and what is not nothing is not 0 %."""
    transcript = _seen(TextDelta("Hi"))
    booked = replace(_booked(), usage=TokenUsage(fresh, 5, cache_read_tokens=read))
    transcript.end("done", ChatReply(), 2.5, booked)
    assert said in transcript.status(2.5)


def test_a_simulated_price_says_so() -> None:
    """What a simulator answered is marked first, and its price is what it would have been."""
    transcript = _seen(Started(None, None, simulated=True), TextDelta("Hi"))
    transcript.end("done", ChatReply(), 2.5, _booked())
    assert transcript.marks() == ["simulated"]
    assert "$0.0031 if it were real" in transcript.facts(2.5)


def test_an_unknown_price_is_not_zero() -> None:
    """Without a known price the status says so."""
    transcript = _seen(TextDelta("Hi"))
    transcript.end("done", ChatReply(), 2.5, _booked(None))
    assert "no price known" in transcript.status(2.5)


def test_a_plan_covers_its_price() -> None:
    """What a Token Plan covers is named by its value, and not as money that was spent."""
    transcript = _seen(TextDelta("Hi"))
    transcript.end("done", ChatReply(), 2.5, _booked(billing="plan"))
    assert "$0.0031 in value, covered by the plan" in transcript.status(2.5)


def test_unknown_tokens_are_not_zero() -> None:
    """An answer that was stopped before its usage came did cost something, and the status says that."""
    transcript = _seen(TextDelta("Hi"))
    transcript.end("interrupted", ChatReply(), 2.5)
    assert transcript.status(2.5) == "interrupted · MiniMax-M2.5 · tokens unknown · 2.5 s"


def test_a_request_that_never_began_cost_nothing() -> None:
    """A failure before anything arrived is said without tokens."""
    transcript = _seen()
    transcript.end("failed", ChatReply(), 0.1)
    assert transcript.status(0.1) == "failed · MiniMax-M2.5 · 0.1 s"


def test_estimates_say_so() -> None:
    """Figures that the server did not give have a wave before them, and a word behind."""
    transcript = _seen(TextDelta("Hi"))
    transcript.end("interrupted", ChatReply(), 2.5, _booked(measured=False))
    expected = "~2,000 tokens in (40 % cached) · ~345 out · ~$0.0031 · estimated · 2.5 s"
    assert transcript.status(2.5) == f"interrupted · MiniMax-M2.5 · {expected}"


def test_what_was_refused_has_no_figures() -> None:
    """A request that the server refused took no tokens, and none are shown."""
    transcript = _seen()
    booked = Booked(TokenUsage(), Decimal(0), True, "per_token")
    transcript.end("failed", ChatReply(), 0.1, booked)
    assert transcript.status(0.1) == "failed · MiniMax-M2.5 · 0.1 s"


@pytest.mark.parametrize(
    ("reason", "says"), [("length", "cut off"), ("content_filter", "withheld"), ("stop", "2.5 s")]
)
def test_a_cut_off_answer_says_why(reason: str, says: str) -> None:
    """An answer that ended at its limit says so in a word, one that ended by itself nothing; what to
    change is said by a notice of the client."""
    transcript = _seen(TextDelta("Hi"), Finished(reason))  # type: ignore[arg-type]
    transcript.end("done", ChatReply(), 2.5)
    assert says in transcript.status(2.5).split(" · ")[-1]


def test_a_chat_is_named() -> None:
    """In a conversation the status ends with its name and turn, if the turn counts."""
    transcript = _seen(TextDelta("Hi"), chat="paris")
    transcript.end("done", ChatReply(), 2.5)
    assert transcript.status(2.5).endswith(" · chat paris, turn 3")
    transcript.end("failed", ChatReply(), 2.5)
    assert "paris" not in transcript.status(2.5)


def test_thinking_is_timed_until_text_or_tools() -> None:
    """The time of thinking is that between its first word and what follows, added up."""
    transcript = _seen(ThinkingDelta("a"), ThinkingDelta("b"), TextDelta("c"), ThinkingDelta("d"))
    assert transcript.thought_s == 2.0
    transcript.apply(ToolCallStarted(0, "1", "f"), 5.5)
    assert transcript.thought_s == 3.5
    assert str(transcript.thinking) == "abd"


def test_text_that_was_thinking_changes_sides() -> None:
    """On an orphan closing tag all text so far becomes thinking."""
    transcript = _seen(TextDelta("hm"), TextWasThinking(), TextDelta("Hi"))
    assert (str(transcript.thinking), str(transcript.text)) == ("hm", "Hi")


def test_notices_are_kept_in_order() -> None:
    """What the person should know stays, in the order in which it came."""
    assert _seen(Notice("one"), Notice("two")).notices == ["one", "two"]


# ------------------------------------------------------------------------- turns of several steps


def _call(index: int, call_id: str, name: str = "f", **arguments: object) -> list[TurnEvent]:
    call = ToolCall(id=call_id, name=name, arguments=arguments)
    return [ToolCallStarted(index, call_id, name), ToolCallDone(index, call)]


@pytest.mark.parametrize(
    ("first", "second", "html"),
    [
        ("One", "Two", "<p>One</p><p>Two</p>"),
        ("One\n", "Two", "<p>One</p><p>Two</p>"),
        ("```py\nx = 1", "# Two", '<pre><code class="language-py">x = 1</code></pre><h1>Two</h1>'),
        ("1. a\n2. b", "1. c", "<ol><li>a</li><li>b</li></ol><ol><li>c</li></ol>"),
        ("- a", "- c", "<ul><li>a</li></ul><ul><li>c</li></ul>"),
        ("> a", "b", "<blockquote><p>a</p></blockquote><p>b</p>"),
        (
            "- a\n  ```\n  x",
            "- c",
            "<ul><li>a<pre><code>x</code></pre></li></ul><ul><li>c</li></ul>",
        ),
    ],
)
def test_texts_of_steps_do_not_mix(first: str, second: str, html: str) -> None:
    """What a step wrote ends with it: a fence is closed, a list not continued by the next."""
    transcript = _seen(TextDelta(first), StepBegun(2), TextDelta(second), TextDelta("!"))
    shown = drawable(str(transcript.text))
    for name, render in RENDERERS.items():
        drawn = "".join(render(shown).replace("!", "").split("\n"))
        assert drawn == html, name
    assert transcript.last_text == f"{second}!"
    assert without_seams(str(transcript.text)).endswith(f"\n\n{second}!")


def test_a_step_without_text_leaves_no_gap() -> None:
    """Only what is said is parted: silent steps leave nothing behind."""
    transcript = _seen(StepBegun(2), TextDelta("a"), StepBegun(3), StepBegun(4), TextDelta("b"))
    assert str(transcript.text) == "a\n\nb"
    assert _seen(TextDelta("a"), StepBegun(2)).last_text == "a"


def test_thinking_of_steps_is_joined_and_timed() -> None:
    """Thoughts of several steps are parted by an empty line, and their times are added."""
    transcript = _seen(
        ThinkingDelta("a"), ThinkingDelta("b"), StepBegun(2), ThinkingDelta("c"), TextDelta("d")
    )
    assert str(transcript.thinking) == "ab\n\nc"
    assert transcript.thought_s == 3.0


def test_only_the_text_of_its_step_was_thinking() -> None:
    """An orphan closing tag in a later step takes back that step's text and leaves the earlier."""
    transcript = _seen(
        ThinkingDelta("t"), TextDelta("One"), StepBegun(2), TextDelta("hm"), TextWasThinking()
    )
    assert str(transcript.thinking) == "t\n\nhm"
    transcript.apply(TextDelta("Two"), 9.0)
    assert str(transcript.text) == "One\n\nTwo"
    assert transcript.rewrites == 1


def test_why_an_answer_is_asked_for_again_is_said() -> None:
    """A step that repairs something says what was wrong."""
    assert _seen(StepBegun(2, "age is missing")).notices == ["age is missing; asked again"]
    assert _seen(StepBegun(2, "No JSON.")).notices == ["No JSON. Asked again."]
    assert _seen(StepBegun(2)).notices == []


def test_a_notice_is_said_once() -> None:
    """A notice that every step brings is shown once."""
    assert _seen(Notice("n"), StepBegun(2), Notice("n")).notices == ["n"]


def test_the_end_counts_the_steps() -> None:
    """More than one request is said, beside the figures of all of them."""
    transcript = _seen(TextDelta("a"), Finished("length"), StepBegun(2), TextDelta("b"))
    transcript.end("done", ChatReply(), 9.0, _booked())
    assert transcript.facts(9.0).endswith("$0.0031 · 2 steps · 9.0 s")


@pytest.mark.parametrize(
    ("cost", "avoided", "simulated", "price"),
    [
        ("0", "0.0031", False, "$0 ($0.0031 avoided)"),
        ("0", "0", False, "$0"),
        ("0", "0.0031", True, "$0 ($0.0031 avoided if it were real)"),
        ("0.002", "0.0031", False, "$0.0020 ($0.0031 avoided)"),
    ],
)
def test_a_replayed_answer_cost_nothing(
    cost: str, avoided: str, simulated: bool, price: str
) -> None:
    """Nothing was paid, and what was not is beside it, if a price is known."""
    transcript = _seen(Started(None, None, simulated, replayed=True), TextDelta("a"))
    transcript.end(
        "done", ChatReply(), 1.0, replace(_booked(cost, billing="plan"), avoided=Decimal(avoided))
    )
    parts = transcript.status(1.0).split(" · ")
    if cost == "0":
        assert price in parts
    else:
        assert parts[-2].endswith("($0.0031 avoided)")
    assert "replayed" in parts


# ------------------------------------------------------------------------------------------ calls


def test_a_call_goes_through_its_states() -> None:
    """Arguments arrive, the call waits, runs, and ends with its result and time."""
    transcript = _seen(ToolCallStarted(0, "a", "f"), ToolCallDelta(0, '{"x":'))
    (card,) = transcript.calls
    assert (card.name, card.state, card.arguments) == ("f", "arguments", '{"x":')
    transcript.apply(ToolCallDone(0, ToolCall(id="a", name="f", arguments={"x": 1})), 3.0)
    assert (card.state, card.arguments, card.given) == ("waiting", '{"x": 1}', {"x": 1})
    transcript.apply(CallBegun("a"), 4.0)
    assert (card.state, card.began_at) == ("running", 4.0)
    transcript.apply(CallEnded("a", "ok", duration_s=0.5), 4.5)
    assert (card.state, card.result, card.duration_s) == ("done", "ok", 0.5)


@pytest.mark.parametrize(("duration_s", "state"), [(0.5, "failed"), (None, "refused")])
def test_a_call_with_an_error(duration_s: float | None, state: str) -> None:
    """One that ran and raised has failed; one that was not even run was refused."""
    ended = CallEnded("a", "no", is_error=True, duration_s=duration_s)
    assert _seen(*_call(0, "a"), ended).calls[0].state == state


def test_calls_are_found_by_their_id_in_their_step() -> None:
    """Indexes and ids that come again in a later step belong to its calls."""
    transcript = _seen(
        *_call(0, "a", "f"), CallBegun("a"), CallEnded("a", "one", duration_s=1), StepBegun(2)
    )
    transcript.apply(ToolCallStarted(0, "a", "g"), 9.0)
    transcript.apply(ToolCallDelta(0, "{}"), 9.0)
    transcript.apply(CallBegun("a"), 9.0)
    transcript.apply(CallEnded("a", "two", duration_s=1), 9.0)
    transcript.apply(CallEnded("unknown", "three"), 9.0)
    assert [(c.name, c.result, c.step) for c in transcript.calls] == [
        ("f", "one", 1),
        ("g", "two", 2),
    ]


def test_parallel_calls_with_one_id_get_a_result_each() -> None:
    """Where a server gives two calls the same id, each still gets one of the results, in order."""
    ends = [CallEnded("", "one", duration_s=1), CallEnded("", "two", duration_s=1)]
    transcript = _seen(*_call(0, "", "f"), *_call(1, "", "g"), CallBegun(""), CallBegun(""), *ends)
    assert [(c.name, c.result) for c in transcript.calls] == [("f", "one"), ("g", "two")]


def test_a_call_that_was_never_announced_is_one() -> None:
    """A call that comes whole, as in an answer that is not streamed, has its card."""
    call = ToolCall(id="a", name="f", invalid_arguments='{"x')
    (card,) = _seen(ToolCallDone(3, call)).calls
    assert (card.name, card.state, card.given, card.arguments) == ("f", "waiting", None, '{"x')


def test_unfinished_calls_are_named_at_the_end() -> None:
    """After an interrupt a running call was stopped, and those that still waited were not run."""
    transcript = _seen(*_call(0, "a"), CallBegun("a"), *_call(1, "b"), ToolCallStarted(2, "c", "g"))
    transcript.end("interrupted", ChatReply(), 9.0)
    assert [card.state for card in transcript.calls] == ["stopped", "not run", "not run"]


def test_a_step_ends_the_calls_of_the_one_before() -> None:
    """A call that a later request passes over is not waited for."""
    assert _seen(*_call(0, "a"), StepBegun(2)).calls[0].state == "not run"


def test_half_characters_in_calls_are_mended() -> None:
    """What a display cannot carry never gets into a card."""
    transcript = _seen(*_call(0, "a", x="\ud83d"), CallEnded("a", "r\ude00", duration_s=1))
    (card,) = transcript.calls
    f"{card.arguments}{card.result}".encode()


def test_structured_output_is_the_answer() -> None:
    """Arguments of the tool that carries structured output are text, and no card."""
    transcript = Transcript("M", 0.0, output_tool="answer")
    events: list[TurnEvent] = [
        TextDelta("Here:"),
        ToolCallStarted(0, "a", "answer"),
        ToolCallDelta(0, '{"a": '),
        ToolCallDelta(0, "1}"),
        ToolCallDone(0, ToolCall(id="a", name="answer", arguments={"a": 1})),
    ]
    for event in events:
        transcript.apply(event, 1.0)
    assert str(transcript.text) == 'Here:\n\n{"a": 1}'
    assert transcript.last_text == '{"a": 1}'
    assert (transcript.calls, transcript.phase) == ([], "answering")


def test_structured_output_that_comes_whole_is_the_answer_too() -> None:
    """Without deltas the arguments are written as JSON."""
    transcript = Transcript("M", 0.0, output_tool="answer")
    transcript.apply(ToolCallDone(0, ToolCall(id="a", name="answer", arguments={"a": 1})), 1.0)
    assert str(transcript.text) == '{\n  "a": 1\n}'
