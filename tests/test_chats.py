"""Chats: where turns begin, what is dropped when they grow too long, and which there are."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minimax_magic.chats import (
    ANSWER_TOKENS,
    Chats,
    check_fits,
    is_prompt,
    too_many_tokens,
    trimmed,
    unpaired,
    whole_turns,
    without_last,
)
from minimax_magic.errors import ConfigError
from minimax_magic.messages import (
    ChatRequest,
    ImageBlock,
    Message,
    TextBlock,
    ThinkingBlock,
    Tool,
    ToolCall,
    ToolResult,
)
from minimax_magic.usage.estimate import estimate_input

M25, M3 = "MiniMax-M2.5", "MiniMax-M3"
IMAGE = ImageBlock(data="aGVsbG8=", media_type="image/png")


class FixedClock:
    """Says the time that it is told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def user(text: str) -> Message:
    return Message(role="user", content=text)


def answer(text: str) -> Message:
    return Message(role="assistant", content=text)


def system(text: str = "Be brief.") -> Message:
    return Message(role="system", content=text)


def calls(*ids: str) -> Message:
    return Message(role="assistant", content=tuple(ToolCall(id=id, name="f") for id in ids))


def results(*ids: str, role: Any = "tool", text: str = "7") -> Message:
    blocks = tuple(ToolResult(tool_call_id=id, content=text) for id in ids)
    return Message(role=role, content=blocks)


def long(tokens: int) -> str:
    return "word" * tokens


def request(messages: Sequence[Message], model: str = M25, **more: Any) -> ChatRequest:
    return ChatRequest(messages=tuple(messages), model=model, **more)


def refusal(asked: ChatRequest, chat: str | None = "ana") -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        check_fits(asked, chat=chat)
    return caught.value.message, caught.value.hint


# ---------------------------------------------------------------------------------------- turns

ASKED, SAID, MORE, LAST = user("one"), answer("1"), user("two"), answer("2")

TURNS: dict[str, tuple[list[Message], list[list[int]]]] = {
    "nothing": ([], []),
    "one prompt": ([ASKED], [[0]]),
    "two turns": ([ASKED, SAID, MORE, LAST], [[0, 1], [2, 3]]),
    "a system message first": ([system(), ASKED, SAID, MORE], [[1, 2], [3]]),
    "system messages alone": ([system(), system()], []),
    "a system message between": ([ASKED, system(), SAID, MORE], [[0, 2], [3]]),
    "two prompts in a row": ([ASKED, MORE, LAST, ASKED], [[0, 1, 2], [3]]),
    "two with a system message": ([ASKED, system(), MORE, LAST], [[0, 2, 3]]),
    "calls and results": (
        [ASKED, calls("a", "b"), results("a"), results("b"), SAID, MORE, LAST],
        [[0, 1, 2, 3, 4], [5, 6]],
    ),
    "results in a user message": (
        [ASKED, calls("a"), results("a", role="user"), SAID, MORE],
        [[0, 1, 2, 3], [4]],
    ),
    "stopped after its calls": (
        [ASKED, calls("a"), results("a"), MORE, LAST],
        [[0, 1, 2], [3, 4]],
    ),
    "the turn under way": (
        [ASKED, SAID, MORE, calls("a"), results("a"), calls("b"), results("b")],
        [[0, 1], [2, 3, 4, 5, 6]],
    ),
    "an id used again": (
        [ASKED, calls("a"), results("a"), MORE, calls("a"), results("a")],
        [[0, 1, 2], [3, 4, 5]],
    ),
    "a prompt between call and result": (
        [ASKED, calls("a"), MORE, results("a"), SAID, user("x")],
        [[0, 1, 2, 3, 4], [5]],
    ),
    "a call without a result": ([ASKED, calls("a"), MORE, LAST], [[0, 1], [2, 3]]),
    "a greeting first": ([answer("Hello."), ASKED, SAID], [[0], [1, 2]]),
    "an image": (
        [Message(role="user", content=(IMAGE,)), SAID, MORE],
        [[0, 1], [2]],
    ),
}


@pytest.mark.parametrize("name", TURNS)
def test_turns_begin_with_what_the_person_said(name: str) -> None:
    """Calls, results and answers belong to the prompt before them; system messages to none."""
    messages, expected = TURNS[name]
    assert whole_turns(messages) == [tuple(messages[at] for at in turn) for turn in expected]


def test_without_the_last_turn() -> None:
    """All of the last turn goes, its calls and results too; system messages stay."""
    first = [system(), ASKED, SAID]
    messages = [*first, MORE, calls("a"), results("a"), system("More."), LAST]
    assert without_last(messages) == (*first, system("More."))
    assert without_last([ASKED]) == without_last([]) == ()


def test_equal_messages_are_different_turns() -> None:
    """The same prompt and answer twice are two turns, of which only the last goes."""
    assert without_last([ASKED, SAID, ASKED, SAID]) == (ASKED, SAID)


PIECES = [
    ASKED,
    SAID,
    system(),
    calls("a"),
    calls("b"),
    results("a"),
    results("b"),
    results("a", "b"),
]
HISTORIES = st.lists(st.sampled_from(PIECES), max_size=14)


@given(HISTORIES)
def test_turns_hold_all_but_the_system(messages: list[Message]) -> None:
    """Put together again the turns are the conversation, whatever it is like."""
    turns = whole_turns(messages)
    assert [m for turn in turns for m in turn] == [m for m in messages if m.role != "system"]
    assert all(is_prompt(turn[0]) for turn in turns[1:])


@given(HISTORIES)
def test_no_cut_parts_a_call_from_its_result(messages: list[Message]) -> None:
    """A conversation whose calls all have results is still one without any of its last turns."""
    while messages:
        if unpaired(messages) is None:
            assert all(unpaired(turn) is None for turn in whole_turns(messages))
        messages = list(without_last(messages))
        if not whole_turns(messages):
            break


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([ASKED, calls("a", "b"), results("b"), results("a"), SAID], None),
        ([ASKED, calls("a"), results("a"), MORE, calls("a"), results("a")], None),
        ([ASKED, calls("a", "b"), results("a"), system(), results("b", role="user"), MORE], None),
        ([ASKED, calls("a", "b"), results("b")], (1, "the call a has no result")),
        (
            [ASKED, calls("a", "b"), results("b"), MORE],
            (1, "the call a has no result right behind it"),
        ),
        (
            [ASKED, calls("a"), MORE, SAID, results("a", role="user")],
            (1, "the call a has no result right behind it"),
        ),
        (
            [ASKED, calls("a"), SAID, results("a")],
            (1, "the call a has no result right behind it"),
        ),
        ([ASKED, calls("a", "a"), results("a", "a")], (1, "two calls in it have the id a")),
        (
            [ASKED, calls("a"), results("a", role="system")],
            (2, "a message of role system has the result of a"),
        ),
        (
            [ASKED, calls("a"), results("a", role="assistant")],
            (1, "the call a has no result right behind it"),
        ),
        (
            [Message(role="assistant", content=(*calls("a").content, *results("a").content))],
            (0, "a message of role assistant has the result of a"),
        ),
        (
            [Message(role="user", content=(ThinkingBlock(text="so"), *ASKED.content))],
            (0, "the thinking in it is not the assistant's"),
        ),
        ([ASKED, Message(role="assistant", content=(ThinkingBlock(text="so"),))], None),
        ([ASKED, results("a"), calls("a")], (1, "no call before it has the id a of this result")),
        (
            [ASKED, calls("a"), results("a"), results("a")],
            (3, "no call before it has the id a of this result"),
        ),
        (
            [Message(role="user", content=(ToolCall(id="a", name="f"),)), results("a")],
            (0, "the call a is not the assistant's"),
        ),
    ],
)
def test_calls_and_results_are_paired(
    messages: list[Message], found: tuple[int, str] | None
) -> None:
    """The first block that a server would refuse for where it stands is found and its place told."""
    assert unpaired(messages) == found


# -------------------------------------------------------------------------------------- context


def test_room_is_left_for_an_answer() -> None:
    """The input may fill the context but for 4,096 tokens, or fewer if no more are asked for."""
    fitting = 204_800 - ANSWER_TOKENS - 4
    assert too_many_tokens(request([user(long(fitting))])) == 0
    assert too_many_tokens(request([user(long(fitting + 10))])) == 10
    assert too_many_tokens(request([user(long(fitting + 10))], max_tokens=ANSWER_TOKENS - 10)) == 0
    # a bound is no wish
    assert too_many_tokens(request([user(long(fitting))], max_tokens=131_072)) == 0


def test_an_unknown_model_takes_any_length() -> None:
    """Nothing is refused or left out for a model whose context nobody knows."""
    huge = request([user(long(3_000_000)), SAID, MORE], model="own-model")
    assert too_many_tokens(huge) == 0
    assert trimmed(huge) == (huge, 0)
    check_fits(huge, chat="ana")


def test_trimming_leaves_out_the_oldest() -> None:
    """As many of the oldest turns go as must, and not one more; all else of the request stays."""
    turns = [[user(f"{n}"), answer(long(60_000))] for n in range(5)]
    last = [MORE, calls("a"), results("a")]
    whole = request([system(), *(m for turn in turns for m in turn), *last], system="S", top_p=0.5)
    short, dropped = trimmed(whole)
    assert dropped == 2
    assert short.messages == (system(), *(m for turn in turns[2:] for m in turn), *last)
    assert short.model_copy(update={"messages": whole.messages}) == whole
    assert too_many_tokens(short) == 0
    one_more = [m for turn in turns[1:] for m in turn]
    assert too_many_tokens(request([system(), *one_more, *last], system="S")) > 0


def test_what_fits_is_not_trimmed() -> None:
    """A request that fits is given back as it is."""
    fits = request([ASKED, SAID, MORE])
    assert trimmed(fits) == (fits, 0)
    assert trimmed(fits)[0] is fits


def test_the_last_turn_is_never_trimmed() -> None:
    """The last prompt stays, with the calls and results after it, even if they are too long alone."""
    under_way = [MORE, calls("a"), results("a", text=long(300_000))]
    short, dropped = trimmed(request([ASKED, SAID, system(), *under_way]))
    assert (short.messages, dropped) == ((system(), *under_way), 1)


@given(HISTORIES, st.integers(0, 250_000))
def test_a_trimmed_chat_is_paired_and_fits(messages: list[Message], size: int) -> None:
    """What is left fits or is one turn, and has no call without its result that had one before."""
    messages = [user(long(size)), SAID, *messages, MORE]
    short, dropped = trimmed(request(messages))
    turns = whole_turns(messages)
    assert whole_turns(short.messages) == turns[dropped:]
    assert not too_many_tokens(short) or len(turns) - dropped == 1
    if unpaired(messages) is None:
        assert unpaired(short.messages) is None


def test_a_chat_too_long_says_what_to_do() -> None:
    """The error tells by how much, and names the options and a model that it fits."""
    one = request([ASKED, answer(long(212_950)), MORE])
    excess = too_many_tokens(one)
    assert 12_200 < excess <= 12_300
    assert refusal(one) == (
        "The chat ana is about 12,300 tokens too long for MiniMax-M2.5 (204,800).",
        "Use --trim to leave the oldest turn out, --new to begin anew, or --model MiniMax-M3 "
        "(1,000,000).",
    )


def test_it_says_how_many_turns_would_go() -> None:
    """Where several turns must go, their number is told."""
    several = [m for _ in range(5) for m in (ASKED, answer(long(60_000)))]
    said, hint = refusal(request([*several, MORE]))
    assert said.startswith("The chat ana is about ")
    assert hint.startswith("Use --trim to leave the 2 oldest turns out, --new")


def test_one_token_is_one_token() -> None:
    """The singular is right."""
    text = long(204_800 - ANSWER_TOKENS - 3 - estimate_input(request([ASKED, user("")])))
    asked = request([ASKED, answer(""), user(text)])
    assert too_many_tokens(asked) == 1
    assert "is about 1 token too long for" in refusal(asked)[0]


def test_a_prompt_too_long_by_itself() -> None:
    """Where trimming would not help it is not offered; the error says how long the prompt is."""
    asked = request([ASKED, SAID, user(long(249_996))])
    assert refusal(asked) == (
        "The prompt alone is about 250,000 tokens long: with room for an answer that is about "
        "49,300 too many for MiniMax-M2.5 (204,800).",
        "Shorten it or use --model MiniMax-M3 (1,000,000).",
    )
    assert refusal(request([user(long(3_000_000))], model=M3))[1] == "Shorten it."


def test_results_of_tools_too_long_by_themselves() -> None:
    """In the middle of a turn it is told that the tools returned too much."""
    asked = request([MORE, calls("a"), results("a", text=long(300_000))])
    said, hint = refusal(asked)
    assert said.startswith("The turn with what the tools returned is about 301,000 tokens long")
    assert hint.startswith("Have the tools return less or use --model")


def test_messages_of_no_chat() -> None:
    """A list of messages has no name, and the options of cells are not what helps."""
    asked = request([ASKED, answer(long(300_000)), MORE])
    said, hint = refusal(asked, chat=None)
    assert said.startswith("The conversation is about ")
    assert hint == "Leave the oldest turn out or use --model MiniMax-M3 (1,000,000)."
    assert "--new" in refusal(request([ASKED, answer(long(2_000_000)), MORE], model=M3))[1]


def test_tools_and_system_count_too() -> None:
    """What goes along beside the messages takes room."""
    fitting = request([user(long(204_800 - ANSWER_TOKENS - 4))])
    tool = Tool(name="f", description=long(100))
    assert too_many_tokens(fitting.model_copy(update={"tools": (tool,)})) > 100
    assert too_many_tokens(fitting.model_copy(update={"system": long(100)})) > 100


# ---------------------------------------------------------------------------------------- chats


def test_chats_are_a_mapping() -> None:
    """What is put in under a name is had again, as a tuple; a missing one is missing."""
    chats = Chats(FixedClock())
    chats["ana"] = [ASKED, SAID]  # type: ignore[assignment]
    assert chats == {"ana": (ASKED, SAID)}
    assert chats.get("bob", ()) == ()
    with pytest.raises(KeyError):
        chats["bob"]
    del chats["ana"]
    assert (len(chats), list(chats), chats.last_used) == (0, [], None)


def test_the_latest_used_is_first() -> None:
    """A chat that is put again is the last used, whatever the clock says; reading is no use."""
    clock = FixedClock()
    chats = Chats(clock)
    for name in ("a", "b", "c", "a"):
        clock.now -= 1
        chats.put(name, [ASKED])
    assert chats["b"]
    assert list(chats) == chats.names() == ["a", "c", "b"]
    assert (chats.last_used, chats.used_at("a"), chats.used_at("b")) == ("a", 996, 998)


def test_two_turns_at_once_are_both_kept() -> None:
    """A turn that ends after another one of its chat goes behind it, and one whose chat was forgotten
    meanwhile does not bring it back."""
    chats = Chats(FixedClock())
    assert chats.go_on("ana", None, [ASKED, SAID], [ASKED, SAID])
    before = chats["ana"]
    assert chats.go_on("ana", before, [*before, MORE, LAST], [MORE, LAST])
    assert chats.go_on("ana", before, [*before, ASKED, LAST], [ASKED, LAST])
    assert chats["ana"] == (ASKED, SAID, MORE, LAST, ASKED, LAST)
    before = chats["ana"]
    chats.forget("ana")
    assert not chats.go_on("ana", before, [*before, MORE, LAST], [MORE, LAST])
    assert "ana" not in chats


def test_forgetting() -> None:
    """A chat is forgotten as a whole, or its last turn; with the only turn the chat goes."""
    chats = Chats(FixedClock())
    chats.put("ana", [ASKED, calls("a"), results("a"), SAID, MORE, LAST])
    chats.put("bob", [ASKED])
    assert chats.forget_last("ana") == 1
    assert chats["ana"] == (ASKED, calls("a"), results("a"), SAID)
    assert chats.last_used == "bob"
    assert chats.forget_last("ana") == 0
    assert list(chats) == ["bob"]
    assert chats.forget("bob") == 1
    assert chats == {}


@pytest.mark.parametrize("names", [[], ["bob"], ["bob", "cy"], [f"c{n:02}" for n in range(13)]])
def test_a_chat_that_is_not_there(names: list[str]) -> None:
    """The error names the chats there are, or how to begin one."""
    chats = Chats(FixedClock())
    for name in names:
        chats.put(name, [ASKED])
    for ask in (chats.forget, chats.forget_last, chats.existing):
        with pytest.raises(ConfigError) as caught:
            ask("ana")
        assert caught.value.message == "There is no chat ana."
        assert (
            caught.value.hint
            == {
                0: "There is none yet: `%%minimax --chat NAME` begins one.",
                1: "There is: bob.",
                2: "There are: bob, cy.",
                13: "There are: c00, c01, c02, c03, c04, c05, c06, c07, c08, c09 and 3 more.",
            }[len(names)]
        )


def test_summaries() -> None:
    """Each tells its turns, about how many tokens it has, the model's context and the last prompt."""
    clock = FixedClock()
    chats = Chats(clock)
    chats.put("empty", [])
    picture = Message(role="user", content=(TextBlock(text=" Look: "), IMAGE))
    chats.put("ana", [system(), ASKED, SAID, user("What?"), picture, LAST])
    ana, empty = chats.summaries(M25)
    assert (ana.name, ana.turns, ana.last_prompt) == ("ana", 2, "What?\n\nLook:")
    assert ana.tokens == estimate_input(request(chats["ana"]))
    assert (ana.model, ana.context_tokens, ana.used_at) == (M25, 204_800, 1_000.0)
    assert (empty.turns, empty.tokens, empty.last_prompt) == (0, 0, "")
    assert chats.summaries("own-model")[0].context_tokens is None


def test_the_repr_tells_no_secrets() -> None:
    """A traceback may show local variables: names are told, and nothing that was said."""
    chats = Chats(FixedClock())
    chats.put("ana", [user("my password")])
    assert repr(chats) == "Chats(['ana'])"


def test_chats_are_used_by_several_threads() -> None:
    """Cells in the background put, forget and list chats at the same time."""
    chats = Chats(FixedClock())

    def work(number: int) -> None:
        for turn in range(300):
            name = f"{number % 3}"
            chats.put(name, [ASKED, SAID])
            assert set(chats.names()) <= {"0", "1", "2"}
            chats.summaries(M25)
            if turn % 7 == 0:
                with suppress(ConfigError):  # another thread was faster
                    chats.forget_last(name)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert set(chats) <= {"0", "1", "2"}
