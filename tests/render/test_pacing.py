"""The arithmetic of drawing: how often, and how much."""

from __future__ import annotations

import pytest

from minimax_magic.render.pacing import MESSAGE_BYTES, SECOND_BYTES, Pacer


def _pacer(now: float = 0.0) -> Pacer:
    pacer = Pacer()
    pacer.begin(now)
    return pacer


def test_the_first_draw_is_due_at_once() -> None:
    """Nothing drawn yet: it is time."""
    assert Pacer().due_in(5.0) == 0


@pytest.mark.parametrize(("text", "size"), [(0, 300), (1000, 2000), (90_000, 2000), (9000, 30_000)])
def test_draws_come_every_200_ms_at_the_latest(text: int, size: int) -> None:
    """Due times leave 50 ms for a busy kernel before a gap of 250 ms, and keep to ten a second."""
    pacer = _pacer()
    pacer.sent_tail(1.0, size, text)
    assert 0.1 < pacer.due_in(1.0) <= 0.2
    assert pacer.due_in(1.1) == pytest.approx(pacer.due_in(1.0) - 0.1)
    assert pacer.due_in(9.0) == 0


def test_text_at_reading_speed_is_never_hurried() -> None:
    """0.4 KB a second, and even 1.4, are not hurried; 40 KB a second is, after its first 3 KB."""
    assert not Pacer().hurried(0.0, 10**6)
    pacer = _pacer()
    assert not any(pacer.hurried(second, 1400 * second) for second in range(600))
    assert not pacer.hurried(0.05, 2000)
    assert pacer.hurried(0.1, 4000)
    assert not pacer.hurried(60.0, 40_000), "a burst that ended long ago"


def test_the_head_waits_for_enough() -> None:
    """A head is redrawn for 600 bytes and an eighth more, a second after the last one."""
    pacer = _pacer()
    assert not pacer.head_is_worth_it(1.0, 5000, 0, 599)
    assert pacer.head_is_worth_it(1.0, 5000, 0, 600)
    assert not pacer.head_is_worth_it(1.0, 99_000, 20_000, 22_000)
    pacer.sent_head(1.0, 600)
    assert not pacer.head_is_worth_it(1.9, 5000, 600, 4000)
    assert pacer.head_is_worth_it(2.1, 5000, 600, 4000)


def test_a_hurried_head_keeps_to_its_budget() -> None:
    """In a burst the head is only redrawn while all that was sent stays near 4.6 times the text."""
    pacer = _pacer()
    assert pacer.head_is_worth_it(1.0, 40_000, 0, 39_000)
    for second in range(4):
        pacer.sent_head(second / 2, 39_000)
    assert not pacer.head_is_worth_it(4.0, 40_000, 0, 39_000)
    assert pacer.head_is_worth_it(4.0, 80_000, 0, 79_000)


def test_no_head_overfills_a_second() -> None:
    """Near the limit of the current second a head waits, so that the tail still has room."""
    pacer = _pacer()
    pacer.sent_tail(10.0, 80_000)
    assert not pacer.head_is_worth_it(10.5, 60_000, 0, 50_000)
    assert pacer.head_is_worth_it(11.1, 60_000, 0, 50_000)


def test_the_tail_has_room_for_a_listing_at_reading_speed() -> None:
    """Unhurried, the tail may take what is left of the second; hurried, no more than can be seen."""
    pacer = _pacer()
    assert pacer.tail_room(60.0, 20_000) == SECOND_BYTES - MESSAGE_BYTES
    pacer.sent_tail(60.0, 100_000, 20_000)
    assert pacer.tail_room(60.5, 20_000) == SECOND_BYTES - 100_000 - MESSAGE_BYTES
    assert 1000 < _pacer().tail_room(1.0, 100_000) < 2500


def test_the_tail_is_never_empty() -> None:
    """However much was sent, the last words are shown."""
    pacer = _pacer()
    pacer.sent_tail(1.0, 500_000, 50_000)
    assert pacer.tail_room(1.1, 50_000) == 400


def test_the_whole_answer_waits_for_its_second() -> None:
    """A long answer goes out when the second it falls into has room for it; a short one at once."""
    pacer = _pacer()
    assert pacer.final_in(1.0, 130_000) == 0
    pacer.sent_tail(1.0, 20_000)
    assert pacer.final_in(1.1, 5000) == 0
    assert pacer.final_in(1.1, 130_000) == pytest.approx(0.9)
    assert pacer.final_in(2.1, 130_000) == 0
    pacer.sent_tail(2.1, 3000)
    assert pacer.final_in(2.2, 10_000_000) == 0, "it will never fit, so it does not wait for ever"


def test_what_was_not_sent_does_not_count() -> None:
    """A draw that changed nothing costs nothing, but the next one is due later all the same."""
    pacer = _pacer()
    pacer.sent_tail(1.0, 0, 5000)
    assert pacer.tail_room(1.0, 1) == SECOND_BYTES - MESSAGE_BYTES
    assert pacer.due_in(1.0) > 0.1
