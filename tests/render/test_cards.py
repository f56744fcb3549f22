"""How calls of tools look, and what was sent along."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from renderers import RENDERERS, live_tags

from minimax_magic.events import (
    CallBegun,
    CallEnded,
    ChatReply,
    StepBegun,
    TextDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    TurnEvent,
)
from minimax_magic.messages import ToolCall
from minimax_magic.render.below import below, summary
from minimax_magic.render.calls import Card
from minimax_magic.render.cards import plain_line
from minimax_magic.render.markup import live
from minimax_magic.render.transcript import Transcript

HOSTILE = "</div></details><script>alert(1)</script><img src=x onerror=alert(1)> $x$ \\(y\\) `"
HOSTILE += "\n\n# h\n\n|"


def _transcript(*events: TurnEvent, sent: str = "", sent_label: str = "") -> Transcript:
    transcript = Transcript("M", 0.0, sent=sent, sent_label=sent_label)
    for event in events:
        transcript.apply(event, 1.0)
    return transcript


def _call(call_id: str, name: str = "f", **arguments: object) -> ToolCallDone:
    index = int(call_id) if call_id.isdigit() else 0
    return ToolCallDone(index, ToolCall(id=call_id, name=name, arguments=arguments))


def _final(transcript: Transcript) -> dict[str, str]:
    transcript.end("done", ChatReply(), 2.0)
    return summary(transcript, 2.0)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data


def _text(html: str) -> str:
    parser = _Text()
    parser.feed(html)
    parser.close()
    return parser.text


@pytest.mark.parametrize(
    ("card", "line"),
    [
        (Card("a", "f", 1, "done", {"x": 1}, "ok\nmore", False, 0.3), "f(x=1) → ok · 0.3 s"),
        (Card("a", "f", 1, "done", {}, "", False, 12.0), "f() → 12.0 s"),
        (
            Card("a", "f", 1, "failed", {"a": "é", "b": [1, None]}, "\n KeyError: 'x'", True, 0.0),
            "failed: f(a=\"é\", b=[1, null]) → KeyError: 'x' · 0.0 s",
        ),
        (Card("a", "f", 1, "refused", {}, "No.", True), "refused: f() → No."),
        (Card("a", "f", 1, "not run", {}), "not run: f()"),
        (
            Card("a", "f", 1, "refused", {}, "Not valid:\n- x: is missing\n- y: too", True),
            "refused: f() → Not valid: x: is missing",
        ),
        (Card("a", "f", 1, "waiting", {"x": 1}), "f(x=1) · waiting"),
        (Card("a", "f", 1, "running", {}, began_at=4.0), "f() · running 3 s"),
    ],
)
def test_a_call_is_one_line(card: Card, line: str) -> None:
    """Name, arguments, first line of the result and time; or what became of it."""
    assert plain_line(card, 7.0) == line


def test_long_arguments_and_results_are_shortened() -> None:
    """However much goes in and out, the line stays one that can be read."""
    given = {"text": "word " * 99, "other": "x" * 99, "third": 1}
    card = Card("a", "f", 1, "done", given, "result " * 99, False, 1.0)
    line = plain_line(card, 0.0)
    assert line.startswith('f(text="word word')
    assert "…, …) → result" in line
    assert len(line) < 200


def test_arguments_are_seen_while_they_arrive() -> None:
    """The end of growing arguments is shown; its first word changes seldom."""
    transcript = _transcript(ToolCallStarted(0, "a", "f"))
    lines = set()
    for n in range(300):
        transcript.apply(ToolCallDelta(0, f"w{n} "), 1.0)
        line = plain_line(transcript.calls[0], 1.0)
        assert len(line) < 130
        assert line.endswith(f"w{n}")
        lines.add(line[:12])
    assert len(lines) < 40


def test_live_cards_are_few_and_small() -> None:
    """While an answer streams the newest calls have a line each, and earlier ones are counted."""
    calls = [_call(str(n), "lookup", n=n, text="x" * 500) for n in range(12)]
    html = below(_transcript(*calls), 1.0)
    assert "8 earlier calls" in html
    assert html.count("lookup(") == 4
    assert "lookup(n=11" in html
    assert len(html) < 1500


def test_the_layout_of_cards_is_alike_live_and_saved() -> None:
    """A call has one folded row while it streams and at the end: nothing jumps."""
    transcript = _transcript(
        _call("0", x=1), CallEnded("0", "ok", duration_s=1), sent="text", sent_label="df"
    )
    live_html = below(transcript, 2.0)
    final = _final(transcript)["text/html"]
    assert live_html.count("<details>") == final.count("<details>") == 2
    assert "f(x=1)" in _text(live_html)


def test_a_card_unfolds_to_arguments_and_result() -> None:
    """Inside are the arguments as readable JSON and the whole result, as they are."""
    bundle = _final(
        _transcript(_call("0", city="Köln"), CallEnded("0", "a <b>\nc", duration_s=0.25))
    )
    text = _text(bundle["text/html"])
    assert 'Arguments{\n  "city": "Köln"\n}' in text
    assert "Resulta <b>\nc" in text
    assert bundle["text/plain"].startswith('[f(city="Köln") → a <b> · 0.2 s]\n[M · ')


def test_an_error_is_called_so() -> None:
    """What a failed call gave back is an error, under a badge."""
    html = _final(_transcript(_call("0"), CallEnded("0", "no", True, 0.1)))["text/html"]
    assert ">failed</span>" in html
    assert "Errorno" in _text(html)
    assert "Arguments" not in html


@pytest.mark.parametrize("where", ["name", "key", "value", "result", "invalid", "sent", "arriving"])
def test_nothing_of_a_call_gets_out_of_its_card(where: str) -> None:
    """Names, arguments, results and context are data: no tag, markdown or math comes of them, live or
    saved."""
    events: list[TurnEvent] = []
    if where == "invalid":
        call = ToolCall(id="0", name="f", invalid_arguments=HOSTILE)
        events = [ToolCallDone(0, call), CallEnded("0", "x", True)]
    elif where == "arriving":
        events = [ToolCallStarted(0, "0", HOSTILE), ToolCallDelta(0, HOSTILE)]
    elif where != "sent":
        arguments = {HOSTILE if where == "key" else "x": HOSTILE if where == "value" else 1}
        call = ToolCall(id="0", name=HOSTILE if where == "name" else "f", arguments=arguments)
        events = [ToolCallDone(0, call), CallBegun("0")]
        if where == "result":
            events.append(CallEnded("0", HOSTILE, duration_s=1))
    sent = HOSTILE if where == "sent" else ""
    transcript = _transcript(*events, sent=sent, sent_label=sent)
    drawn = live("", below(transcript, 1.0))["text/markdown"]
    for render in RENDERERS.values():
        html = render(drawn)
        found = live_tags(html, own=True)
        assert not [tag for tag in found if not tag.startswith(("<details", "<summary"))], html
        assert "<h1" not in html
        assert "$" not in html
    found = live_tags(_final(transcript)["text/html"], own=True)
    assert not [tag for tag in found if not tag.startswith(("<details", "<summary"))]


def test_very_much_is_cut_and_said() -> None:
    """What is kept in the notebook is bounded, for one field and for all calls together."""
    events: list[TurnEvent] = [_call("0", x="y" * 9000), CallEnded("0", "z" * 9000, duration_s=1)]
    html = _final(_transcript(*events))["text/html"]
    assert "[... 5,000 more characters]" in html
    assert len(html) < 10_000
    many: list[TurnEvent] = []
    for n in range(150):
        many += [_call(str(n), x="y" * 9000), CallEnded(str(n), "z" * 9000, duration_s=1)]
    bundle = _final(_transcript(*many))
    assert len(bundle["text/html"]) < 50_000
    assert "earlier calls" in bundle["text/html"]
    assert bundle["text/plain"].startswith("[50 earlier calls]")


def test_what_was_sent_along_is_folded_below() -> None:
    """The context can be unfolded, and is named with its size everywhere."""
    bundle = _final(_transcript(TextDelta("Hi"), sent="a <b>\n" * 200, sent_label="df, fig"))
    assert "Sent along: df, fig (1,200 characters)" in bundle["text/html"]
    assert "a &lt;b&gt;\na &lt;b&gt;" in bundle["text/html"]
    assert "[Sent along: df, fig (1,200 characters)]" in bundle["text/plain"].splitlines()


def test_a_very_long_context_is_cut_in_the_notebook_alone() -> None:
    """Of a long context the beginning is kept, and it says that all of it was sent."""
    html = _final(_transcript(sent="x" * 50_000, sent_label="df"))["text/html"]
    assert "Sent along: df (50,000 characters)" in html
    assert "[... 30,000 more characters; all of it was sent]" in html
    assert len(html) < 22_000


def test_context_of_pictures_alone_has_no_size() -> None:
    """A figure has no characters to be counted."""
    assert "[Sent along: fig]" in _final(_transcript(sent_label="fig"))["text/plain"]
    assert "Sent along" not in _final(_transcript())["text/plain"]


def test_calls_of_all_steps_are_kept() -> None:
    """The cards of a turn are those of all its requests, in order."""
    transcript = _transcript(_call("0", "f"), StepBegun(2), _call("0", "g"), StepBegun(3))
    lines = _final(transcript)["text/plain"].splitlines()
    assert lines[:2] == ["[not run: f()]", "[not run: g()]"]
