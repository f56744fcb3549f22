"""Chats: named conversations, their whole turns, and whether they fit a model's context.

A turn is what a person said and all that came of it: calls of tools, their results, the answer. Chats
are cut only between turns, so that no call loses its result, which the server would refuse (2013).
System messages belong to no turn and are never dropped. Files of chats are in `chat_files`.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from minimax_magic.clock import Clock, SystemClock
from minimax_magic.errors import ConfigError
from minimax_magic.messages import ChatRequest, Message, ThinkingBlock, ToolCall, ToolResult
from minimax_magic.models import MODELS, model_info
from minimax_magic.usage.estimate import estimate_input

ANSWER_TOKENS: Final = 4_096
"""Room that is left for an answer: what MiniMax's own command line asks for, thinking included."""


# ---------------------------------------------------------------------------------------- turns


def is_prompt(message: Message) -> bool:
    """Whether a person says it. A `user` message may also carry results of tools."""
    return message.role == "user" and not any(isinstance(b, ToolResult) for b in message.content)


def whole_turns(messages: Sequence[Message]) -> list[tuple[Message, ...]]:
    """The conversation in turns, system messages left out.

    Each begins with what the person said; messages of theirs that follow each other directly are one
    prompt, as they are to the model. What stands before the first prompt, such as a greeting, is a
    turn of its own.
    """
    return [tuple(messages[at] for at in turn) for turn in _places(messages)]


def without_last(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation without its last whole turn; system messages stay."""
    return _with_turns(messages, _places(messages)[:-1])


def unpaired(messages: Sequence[Message]) -> tuple[int, str] | None:
    """The first block that a server refuses for where it stands; None if there is none.

    Only the assistant thinks and calls, each call has its result, and all of them stand right behind
    their calls, before anything else is said. System messages count as standing in front.

    Returns:
        Where the message stands, counted from 0, and what is wrong with it, to stand behind a colon.
    """
    open_calls: dict[str, int] = {}  # where each stands that has no result yet
    for at, message in enumerate(messages):
        if message.role == "assistant" and open_calls:
            return _first(open_calls, "has no result right behind it")
        for block in message.content:
            match block:
                case ThinkingBlock() if message.role != "assistant":
                    return at, "the thinking in it is not the assistant's"
                case ToolCall(id=call_id) if message.role != "assistant":
                    return at, f"the call {call_id} is not the assistant's"
                case ToolCall(id=call_id) if call_id in open_calls:
                    return at, f"two calls in it have the id {call_id}"
                case ToolCall(id=call_id):
                    open_calls[call_id] = at
                case ToolResult(tool_call_id=call_id) if message.role in ("system", "assistant"):
                    return at, f"a message of role {message.role} has the result of {call_id}"
                case ToolResult(tool_call_id=call_id) if call_id not in open_calls:
                    return at, f"no call before it has the id {call_id} of this result"
                case ToolResult(tool_call_id=call_id):
                    del open_calls[call_id]
        said = any(not isinstance(block, ToolResult) for block in message.content)
        if message.role in ("user", "tool") and said and open_calls:
            return _first(open_calls, "has no result right behind it")
    return _first(open_calls, "has no result") if open_calls else None


def _first(open_calls: dict[str, int], problem: str) -> tuple[int, str]:
    call_id, at = next(iter(open_calls.items()))
    return at, f"the call {call_id} {problem}"


def _results(messages: Sequence[Message]) -> dict[int, int]:
    """For each message with calls, where the last result of one of them stands."""
    open_calls: dict[str, list[int]] = {}
    found: dict[int, int] = {}
    for at, message in enumerate(messages):
        for block in message.content:
            if isinstance(block, ToolCall):
                # servers may use an id again in a later turn
                open_calls.setdefault(block.id, []).append(at)
            elif isinstance(block, ToolResult) and open_calls.get(block.tool_call_id):
                found[open_calls[block.tool_call_id].pop()] = at
    return found


def _places(messages: Sequence[Message]) -> list[list[int]]:
    """Where the messages of each turn stand."""
    answered = _results(messages)
    turns: list[list[int]] = []
    last_result = -1  # where the last of the results stands that calls so far wait for
    for at, message in enumerate(messages):
        if message.role == "system":
            continue
        asking_on = bool(turns) and is_prompt(messages[turns[-1][-1]])
        if not turns or (is_prompt(message) and not asking_on and at > last_result):
            turns.append([])
        turns[-1].append(at)
        last_result = max(last_result, answered.get(at, -1))
    return turns


def _with_turns(messages: Sequence[Message], turns: Sequence[Sequence[int]]) -> tuple[Message, ...]:
    """The system messages and those of the turns, in their order."""
    kept = {at for turn in turns for at in turn}
    return tuple(m for at, m in enumerate(messages) if m.role == "system" or at in kept)


# -------------------------------------------------------------------------------------- context


def too_many_tokens(request: ChatRequest) -> int:
    """By how many tokens, estimated, the input and room for an answer exceed the model's context.

    The room is ANSWER_TOKENS, or `max_tokens` if that is less. A larger `max_tokens` is a bound and
    not a wish: most answers are shorter, and are not refused here for what they hardly will be.

    Returns:
        0: it fits, or the model is not known.
    """
    info = model_info(request.model)
    if info is None:
        return 0
    room = min(request.max_tokens or ANSWER_TOKENS, ANSWER_TOKENS)
    return max(0, estimate_input(request) + room - info.context_tokens)


def trimmed(request: ChatRequest) -> tuple[ChatRequest, int]:
    """The request without its oldest whole turns, as many as must go for it to fit.

    The last turn stays, even if it is too long by itself.

    Returns:
        The request, and how many turns went.
    """
    excess = too_many_tokens(request)
    turns = _places(request.messages)
    dropped = 0
    while excess > 0 and dropped < len(turns) - 1:
        excess -= _tokens([request.messages[at] for at in turns[dropped]])
        dropped += 1
    if not dropped:
        return request, 0
    messages = _with_turns(request.messages, turns[dropped:])
    return request.model_copy(update={"messages": messages}), dropped


def check_fits(request: ChatRequest, *, chat: str | None) -> None:
    """Nothing, if the request fits the model's context or the model is not known.

    Args:
        chat: Whose messages go along; None: of no named chat.

    Raises:
        ConfigError: By how much it is too long, and what to do.
    """
    excess = too_many_tokens(request)
    info = model_info(request.model)
    if not excess or info is None:
        return
    limit = f"{request.model} ({info.context_tokens:,})"
    shorter, dropped = trimmed(request)
    still = too_many_tokens(shorter)
    if still:
        calls_follow = not is_prompt(whole_turns(request.messages)[-1][-1])
        what = "The turn with what the tools returned" if calls_follow else "The prompt alone"
        raise ConfigError(
            f"{what} is about {_count(estimate_input(shorter), 'token')} long: with room for an "
            f"answer that is about {_rounded(still)} too many for {limit}.",
            hint=_hint(
                ["have the tools return less" if calls_follow else "shorten it"], _larger(shorter)
            ),
        )
    oldest = "the oldest turn" if dropped == 1 else f"the {dropped:,} oldest turns"
    ways = [f"--trim to leave {oldest} out", "--new to begin anew"]
    what = f"The chat {chat}"
    if chat is None:  # a list of messages, in Python
        ways, what = [f"leave {oldest} out"], "The conversation"
    else:
        ways[0] = f"use {ways[0]}"
    raise ConfigError(
        f"{what} is about {_count(excess, 'token')} too long for {limit}.",
        hint=_hint(ways, _larger(request)),
    )


def _hint(ways: list[str], larger: str) -> str:
    """`Use --trim to ..., --new to ..., or --model MiniMax-M3 (1,000,000).`"""
    if larger:
        verb = "" if ways[0].startswith("use ") else "use "
        ways = [*ways, f"{verb}{larger}"]
    text = f"{', '.join(ways[:-1])}, or {ways[-1]}" if len(ways) > 2 else " or ".join(ways)
    return f"{text[0].upper()}{text[1:]}."


def _larger(request: ChatRequest) -> str:
    """`--model MiniMax-M3 (1,000,000)`: the first model that it fits; empty if there is none."""
    for info in MODELS.values():
        if not too_many_tokens(request.model_copy(update={"model": info.id})):
            return f"--model {info.id} ({info.context_tokens:,})"
    return ""


def _tokens(messages: Sequence[Message]) -> int:
    """Their share of `estimate_input`, which is a sum over messages."""
    return estimate_input(ChatRequest.model_construct(messages=tuple(messages)))


def _count(number: int, noun: str) -> str:
    return f"{_rounded(number)} {noun}{'' if number == 1 else 's'}"


def _rounded(number: int) -> str:
    """To three digits, upwards: an estimate knows no more, and people go by it."""
    unit = 10 ** max(0, len(str(number)) - 3)
    return f"{-(-number // unit) * unit:,}"


# ---------------------------------------------------------------------------------------- chats


@dataclass(frozen=True, slots=True)
class ChatSummary:
    """A chat in a list of them.

    Attributes:
        tokens: Estimated, of its messages alone.
        model: Whose context it is compared with.
        context_tokens: Of that model; None: not known.
        used_at: Seconds since 1970 UTC.
        last_prompt: What the person said last; an image in it is not told. Empty: nothing in words.
    """

    name: str
    turns: int
    tokens: int
    model: str
    context_tokens: int | None
    used_at: float
    last_prompt: str


class Chats(MutableMapping[str, tuple[Message, ...]]):
    """The messages of each chat by its name, in order of last use, the latest first.

    Used is a chat when something is put into it. Cells in the background and the commands of other
    cells come from several threads; each method here is one step to them, unlike those that come with
    every mapping (`items`, `pop`).

    Args:
        clock: Says when a chat was used; None: the machine's.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = Lock()
        self._held: dict[str, tuple[float, tuple[Message, ...]]] = {}  # the latest last

    def __repr__(self) -> str:
        return f"Chats({self.names()!r})"  # never what was said

    def __getitem__(self, name: str) -> tuple[Message, ...]:
        with self._lock:
            return self._held[name][1]

    def __setitem__(self, name: str, messages: Sequence[Message]) -> None:
        self.put(name, messages)

    def __delitem__(self, name: str) -> None:
        with self._lock:
            del self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self._held)

    def names(self) -> list[str]:
        """The latest used first."""
        with self._lock:
            return list(reversed(self._held))

    @property
    def last_used(self) -> str | None:
        """Its name; None if there is no chat."""
        with self._lock:
            return next(reversed(self._held), None)

    def used_at(self, name: str) -> float:
        """Seconds since 1970 UTC.

        Raises:
            KeyError: There is no such chat.
        """
        with self._lock:
            return self._held[name][0]

    def put(self, name: str, messages: Sequence[Message]) -> None:
        """Makes these the messages of a chat, new or not, and it the last used."""
        with self._lock:
            self._put(name, tuple(messages))

    def go_on(
        self,
        name: str,
        before: tuple[Message, ...] | None,
        whole: Sequence[Message],
        turn: Sequence[Message],
    ) -> bool:
        """Adds a turn to a chat that others may have gone on with meanwhile, and tells whether it did.

        Args:
            before: What the chat was when the turn began; None: there was none.
            whole: What it is now, if it still is that.
            turn: The turn alone, which is put behind what others have said else. Of a chat that was
                forgotten meanwhile nothing is kept.
        """
        with self._lock:
            now = self._held[name][1] if name in self._held else None
            if now is before:
                self._put(name, tuple(whole))
            elif now is not None:
                self._put(name, (*now, *turn))
            else:
                return False
            return True

    def existing(self, name: str) -> tuple[Message, ...]:
        """The messages of a chat.

        Raises:
            ConfigError: There is no such chat; names those there are.
        """
        with self._lock:
            return self._existing(name)

    def forget(self, name: str) -> int:
        """Removes a chat; gives how many turns it had.

        Raises:
            ConfigError: There is no such chat.
        """
        with self._lock:
            turns = len(whole_turns(self._existing(name)))
            del self._held[name]
            return turns

    def forget_last(self, name: str) -> int:
        """Removes the last turn of a chat, and the chat if it was its only one.

        When and in which order chats were used stays: nothing was said.

        Returns:
            How many turns are left.

        Raises:
            ConfigError: There is no such chat.
        """
        with self._lock:
            left = without_last(self._existing(name))
            turns = len(whole_turns(left))
            if turns:
                self._held[name] = (self._held[name][0], left)
            else:
                del self._held[name]
            return turns

    def summaries(self, model: str) -> list[ChatSummary]:
        """All chats, the latest used first.

        Args:
            model: Whose context they are compared with.
        """
        with self._lock:
            held = list(reversed(self._held.items()))
        info = model_info(model)
        context = info.context_tokens if info is not None else None
        found = []
        for name, (used_at, messages) in held:
            turns, tokens = len(whole_turns(messages)), _tokens(messages)
            said = _last_prompt(messages)
            found.append(ChatSummary(name, turns, tokens, model, context, used_at, said))
        return found

    def _put(self, name: str, messages: tuple[Message, ...]) -> None:
        self._held.pop(name, None)
        self._held[name] = (self._clock.time(), messages)

    def _existing(self, name: str) -> tuple[Message, ...]:
        if name in self._held:
            return self._held[name][1]
        names = sorted(self._held)
        there = "There is none yet: `%%minimax --chat NAME` begins one."
        if names:
            more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
            there = f"There {'is' if len(names) == 1 else 'are'}: {', '.join(names[:10])}{more}."
        raise ConfigError(f"There is no chat {name}.", hint=there)


def _last_prompt(messages: Sequence[Message]) -> str:
    turns = whole_turns(messages)
    if not turns:
        return ""
    return "\n\n".join(filter(None, (m.text.strip() for m in turns[-1] if is_prompt(m))))
