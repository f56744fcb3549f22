"""The list of chats and what was said in one: all of it told, none of it obeyed."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minimax_magic.chats import ChatSummary
from minimax_magic.messages import (
    ImageBlock,
    Message,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
)
from minimax_magic.render.calls import call_words
from minimax_magic.render.history import (
    ago_words,
    chats_bundle,
    history_bundle,
    image_words,
)
from minimax_magic.render.markup import Bundle

NOW = datetime(2026, 11, 21, 14, 2, tzinfo=UTC)
ANA = ChatSummary(
    "ana", 3, 12_345, "MiniMax-M2.5", 204_800, NOW.timestamp() - 130, "Which day has most?"
)
HOSTILE = (
    "</pre></div><script>alert(1)</script><img src=https://evil.invalid/x onerror=alert(1)>"
    '<style>*{background:url(https://evil.invalid)}</style>" onclick="x\' &lt;b&gt;\n```html\n'
    "<iframe src=//evil.invalid></iframe>\n```\n<b>"
)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def answer(text: str) -> Message:
    return Message(role="assistant", content=text)


class Page(HTMLParser):
    """The tags of a page, and the text that is seen."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.open: list[str] = []
        self.feed(bundle["text/html"])
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)
        style = dict(attrs).get("style") or ""
        assert "url(" not in style

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


TABLE_TAGS = {"table", "thead", "tbody", "tr", "th", "td"}
HARMLESS_TAGS = {*TABLE_TAGS, "div", "b", "span", "code", "bdi", "details", "summary", "pre"}
HARMLESS_ATTRIBUTES = {"class", "style", "scope", "open", "dir"}


def seen(bundle: Bundle) -> str:
    """What a browser shows, folded parts too, if there is nothing in it that could load or run."""
    page = Page(bundle)
    assert set(page.tags) <= HARMLESS_TAGS
    assert page.attributes <= HARMLESS_ATTRIBUTES
    return page.text


# --------------------------------------------------------------------------------- all chats


def test_no_chats() -> None:
    """Where there is no chat, one line tells how to begin one."""
    bundle = chats_bundle([], at=NOW)
    assert bundle["text/plain"] == "No chats yet: %%minimax --chat NAME begins one."
    assert seen(bundle) == bundle["text/plain"]


def test_the_list() -> None:
    """A row tells name, turns, estimated tokens, their share, when it was used and the last prompt."""
    bob = ChatSummary("bob-long-name", 1, 2, "MiniMax-M2.5", 204_800, NOW.timestamp(), "Hi")
    lines = chats_bundle([ANA, bob], at=NOW)["text/plain"].splitlines()
    assert lines[:4] == [
        "Chats",
        "chat           turns   tokens  of context  last used  last prompt",
        "ana                3  ~12,345        ~6 %  2 min ago  Which day has most?",
        "bob-long-name      1       ~2        <1 %   just now  Hi",
    ]
    assert "the context is that of MiniMax-M2.5, 204,800 tokens with the answer." in lines[4]
    assert lines[-1].startswith("This is the list of 2026-11-2")


def test_both_forms_of_the_list_tell_the_same() -> None:
    """The table of a browser has every cell of the one in a terminal."""
    bundle = chats_bundle([ANA], at=NOW)
    text = seen(bundle)
    for line in bundle["text/plain"].splitlines():
        for cell in re.split(r"\s{2,}", line):
            assert cell in text


def test_an_unknown_context_is_not_told() -> None:
    """Without a known context there is no share, and none is made up for an empty chat."""
    own = replace(ANA, model="own-model", context_tokens=None)
    text = chats_bundle([own], at=NOW)["text/plain"]
    assert "context" not in text
    assert "%  " not in text
    empty = replace(ANA, turns=0, tokens=0, last_prompt="")
    assert re.search(
        r"^ana +0 +0 +0 % +2 min ago$", chats_bundle([empty], at=NOW)["text/plain"], re.M
    )


def test_a_chat_may_be_too_long() -> None:
    """More than the context is told as it is."""
    assert "~150 %" in chats_bundle([replace(ANA, tokens=307_200)], at=NOW)["text/plain"]


def test_the_simulator_is_told() -> None:
    """Chats with a simulator are marked in both forms."""
    for bundle in (
        chats_bundle([ANA], at=NOW, simulated=True),
        history_bundle("ana", [user("x")], simulated=True),
    ):
        assert "(simulated)" in bundle["text/plain"]
        assert ">simulated</span>" in bundle["text/html"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 min ago"),
        (3_599, "59 min ago"),
        (3_600, "1 h ago"),
        (86_399, "23 h ago"),
        (86_400, "1 day ago"),
        (7 * 86_400 - 1, "6 days ago"),
    ],
)
def test_how_long_ago(seconds: float, words: str) -> None:
    """Times are told in the largest unit that was reached."""
    assert ago_words(seconds, NOW) == words


def test_long_ago_is_a_day() -> None:
    """From a week on the day is told, in local time, and the year if it was another one."""
    day = NOW.astimezone().day
    assert ago_words(7 * 86_400, NOW) == f"{day - 7} Nov"
    assert ago_words(365 * 86_400, NOW) == f"{day} Nov 2025"


def test_a_long_prompt_is_cut_to_one_line() -> None:
    """Of the last prompt the first words are told, line breaks as spaces."""
    said = chats_bundle([replace(ANA, last_prompt="One\n\ntwo " * 5_000)], at=NOW)["text/plain"]
    row = said.splitlines()[2]
    assert row.endswith(" One two One two One two…")
    assert len(row) < 140


# --------------------------------------------------------------------------------- one chat

PNG = ImageBlock(data=base64.b64encode(b"x" * 12_288).decode(), media_type="image/png")
CHAT = (
    Message(role="system", content="Be brief."),
    user("What is in df?"),
    answer("Readings.\n\n```python\ndf.head()\n```\nThat is all."),
    Message(role="user", content=(TextBlock(text="And now?\nTell me."), PNG)),
    Message(
        role="assistant",
        content=(
            ThinkingBlock(text="I count."),
            TextBlock(text="Let me look."),
            ToolCall(id="a", name="count", arguments={"by": "day", "most": 3}),
            ToolCall(id="b", name="plot"),
        ),
    ),
    Message(role="tool", content=(ToolResult(tool_call_id="a", content="day  n\nTue  44"),)),
    Message(
        role="tool",
        content=(ToolResult(tool_call_id="b", content="KeyError: 'x'", is_error=True),),
    ),
    answer("Tuesday."),
)


def test_the_plain_form_is_complete() -> None:
    """In order: prompts, images, calls with results, answers; of thinking how much there was."""
    assert history_bundle("ana", CHAT)["text/plain"].split("\n\n") == [
        "Chat ana: 2 turns, about 1,081 tokens",
        "System:\nBe brief.",
        "-- 1 --",
        "You:\nWhat is in df?",
        "Answer:\nReadings.",
        "```python\ndf.head()\n```\nThat is all.",
        "-- 2 --",
        "You:\nAnd now?\nTell me.",
        "[image/png, 12 KB]",
        "[thinking, 8 characters]",
        "Answer:\nLet me look.",
        'Call: count(by="day", most=3) -> day n Tue 44',
        "Call: plot() failed: KeyError: 'x'",
        "Answer:\nTuesday.",
    ]


def test_the_page_tells_the_same_and_the_thinking() -> None:
    """All turns but the last are folded, and so are thinking and system message; code is apart."""
    bundle = history_bundle("ana", CHAT)
    text = seen(bundle)
    for said in ("Be brief.", "And now?\nTell me.", "[image/png, 12 KB]", "I count.", "Tuesday."):
        assert said in text
    assert 'count(by="day", most=3) → day n Tue 44' in text
    assert "plot() failed: KeyError: 'x'" in text
    assert ">df.head()</code></pre>" in bundle["text/html"]
    assert "```" not in text
    assert re.findall(r"<details( open)?", bundle["text/html"]) == ["", "", " open", ""]


def test_a_short_prompt_is_told_once() -> None:
    """A prompt that is told whole by the line to unfold is not repeated below it."""
    assert seen(history_bundle("ana", CHAT)).count("What is in df?") == 1


def test_an_empty_chat() -> None:
    """A chat without turns says so."""
    bundle = history_bundle("ana", ())
    assert bundle["text/plain"] == "Chat ana: 0 turns\n\nNothing was said in it yet."
    assert "Nothing was said" in seen(bundle)


def test_hostile_texts_are_shown_and_not_obeyed() -> None:
    """Names, prompts, answers, thinking, calls and results with markup in them are seen as text."""
    hostile = (
        Message(role="system", content=HOSTILE),
        user(HOSTILE),
        Message(
            role="assistant",
            content=(
                ThinkingBlock(text=HOSTILE),
                ToolCall(id="a", name=HOSTILE, arguments={HOSTILE: HOSTILE}),
                ToolCall(id="b", name="f", invalid_arguments=HOSTILE),
                TextBlock(text=HOSTILE),
            ),
        ),
        Message(
            role="tool",
            content=(
                ToolResult(tool_call_id="a", content=HOSTILE),
                ToolResult(tool_call_id="b", content=HOSTILE, is_error=True),
            ),
        ),
        Message(role="user", content=(ImageBlock(data="", media_type=HOSTILE),)),
        Message(role="user", content=(ImageBlock(url=f"https://{HOSTILE}"),)),
    )
    assert seen(history_bundle(HOSTILE, hostile)).count("alert(1)") >= 8
    row = replace(ANA, name=HOSTILE, last_prompt=HOSTILE, model=HOSTILE)
    assert "<script>" in seen(chats_bundle([row], at=NOW))


@given(st.text(st.sampled_from("<>&\"'`~\n ab/=!-"), max_size=60))
def test_no_text_gets_out_of_its_place(text: str) -> None:
    """Whatever is said, the page has our tags alone, and each is closed."""
    seen(history_bundle(text, [user(text), answer(text)]))
    seen(chats_bundle([replace(ANA, name=text, last_prompt=text)], at=NOW))


def test_dollar_signs_are_no_math() -> None:
    """MathJax passes both by."""
    for bundle in (chats_bundle([ANA], at=NOW), history_bundle("ana", [user("$5 or $6")])):
        assert 'class="minimax-summary mathjax_ignore tex2jax_ignore"' in bundle["text/html"]


def test_what_a_terminal_would_obey_is_left_out() -> None:
    """Escapes, bells and marks that turn a line around are gone; half a character is mended."""
    said = "a\x1b[31mb\x07c\u202ed\r\ne\tf\rg\ud83d"
    odd = Message.model_construct(role="user", content=(TextBlock.model_construct(text=said),))
    odd_system = odd.model_copy(update={"role": "system"})
    bundle = history_bundle("n\x1b\udc00", [odd_system, odd])
    for form in bundle.values():
        assert "a[31mbcd\ne\tf\ng\ufffd" in form
        assert not set(form) & set("\x1b\x07\u202e\r\ud83d\udc00")
        form.encode()


def test_long_texts_are_cut() -> None:
    """Of a text as long as a book the beginning is shown, and how much more there is."""
    bundle = history_bundle("ana", [user("x" * 10_000), answer("y" * 8_000)])
    for form in bundle.values():
        assert "[... 2,000 more characters]" in form
        assert form.count("more characters") == 1
        assert "y" * 8_000 in form


def test_old_turns_are_left_out() -> None:
    """Of a chat of hundreds of pages the newest turns are shown, numbered as they are."""
    turns = [m for n in range(60) for m in (user(f"prompt {n + 1}"), answer("z" * 8_000))]
    bundle = history_bundle("ana", turns)
    plain = bundle["text/plain"]
    assert "[36 earlier turns are not shown; %minimax save keeps the whole chat]" in plain
    assert "-- 37 --\n\nYou:\nprompt 37" in plain
    assert "prompt 36" not in plain
    assert "[36 earlier turns are not shown" in seen(bundle)
    assert plain.startswith("Chat ana: 60 turns")


def test_the_last_turn_is_always_shown() -> None:
    """However long it is."""
    message = Message(
        role="assistant",
        content=tuple(ToolCall(id=f"{n}", name="f", arguments={"n": n}) for n in range(600)),
    )
    plain = history_bundle("ana", [user("old"), answer("x"), user("many"), message])["text/plain"]
    assert "f(n=599)" in plain
    assert "[1 earlier turn is not shown" in plain


def test_a_call_is_one_line() -> None:
    """Long arguments and results are cut; what was no JSON is shown as it was written."""
    call = ToolCall(id="a", name="f", arguments={"text": "é\n" * 500, "n": None})
    assert re.fullmatch(r'f\(text="(é\\n)+\S*…, n=null\)', call_words(call))
    assert call_words(ToolCall(id="a", name="f", invalid_arguments='{"a":\n')) == 'f {"a":'
    result = Message(role="tool", content=(ToolResult(tool_call_id="a", content="r " * 5_000),))
    plain = history_bundle("ana", [user("x"), Message(role="assistant", content=(call,)), result])
    line = next(ln for ln in plain["text/plain"].splitlines() if ln.startswith("Call: "))
    assert len(line) < 440
    assert line.endswith("…")


def test_calls_that_are_not_paired_are_shown() -> None:
    """A call without a result, and a result without a call, are told as such."""
    lonely = Message(role="assistant", content=(ToolCall(id="a", name="f"),))
    result = Message(role="tool", content=(ToolResult(tool_call_id="b", content=""),))
    plain = history_bundle("ana", [user("x"), lonely, result])["text/plain"]
    assert "Call: f() -> no result" in plain
    assert "Call: result without a call -> (nothing)" in plain


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (PNG, "[image/png, 12 KB]"),
        (ImageBlock(data="eHg=", media_type="image/gif"), "[image/gif, 2 bytes]"),
        (ImageBlock(data="A" * 4_000_000, media_type="image/jpeg"), "[image/jpeg, 2.9 MB]"),
        (ImageBlock(url="https://example.org/a.png"), "[image at https://example.org/a.png]"),
        (ImageBlock(url="data:image/webp;base64,eHg="), "[image/webp, 2 bytes]"),
    ],
)
def test_images_are_told_in_words(image: ImageBlock, words: str) -> None:
    """An image is its kind and size, or its address: nothing of it is drawn or loaded."""
    assert image_words(image) == words
    assert words in seen(history_bundle("ana", [Message(role="user", content=(image,))]))


def test_a_chat_may_begin_without_a_prompt() -> None:
    """A greeting of the model's is a turn, and said to be one without a prompt."""
    assert "(begins without a prompt)" in seen(history_bundle("ana", [answer("Hello."), user("x")]))
