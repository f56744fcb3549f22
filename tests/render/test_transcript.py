"""What there is to see of an answer, at every moment of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from minimax_magic.events import (
    ChatReply,
    Finished,
    Notice,
    RetryScheduled,
    Started,
    StreamEvent,
    TextDelta,
    TextWasThinking,
    ThinkingDelta,
    ToolCallStarted,
)
from minimax_magic.render.transcript import Transcript
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.rows import Billing, Booked

USAGE = TokenUsage(input_tokens=1200, output_tokens=345, cache_read_tokens=800)


def _seen(*events: StreamEvent, chat: str | None = None) -> Transcript:
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
    ],
)
def test_the_status_says_what_is_happening(events: list[StreamEvent], status: str) -> None:
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


@pytest.mark.parametrize(("reason", "says"), [("length", "--max-tokens"), ("stop", "2.5 s")])
def test_a_cut_off_answer_says_why(reason: str, says: str) -> None:
    """An answer that ended at its limit says what to change; one that ended by itself says nothing."""
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
