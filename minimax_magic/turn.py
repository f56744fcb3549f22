"""One prepared turn of a cell."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from minimax_magic.chats import Chats, unpaired, whole_turns
from minimax_magic.client.conversation import AnswerStream, Conversation
from minimax_magic.events import ChatReply, TurnEvent
from minimax_magic.messages import Message
from minimax_magic.usage.rows import Booked


class Turn:
    """Nothing was sent yet, and everything that could be wrong was checked.

    Args:
        stream: Answers it; a `Conversation` if it may take several requests.
        chat: Name of the chat that it goes on with; None: the cell stands alone.

    Attributes:
        model: Who is asked.
        number: Which turn of the chat it is, from 1.
    """

    def __init__(self, stream: AnswerStream, chats: Chats, chat: str | None) -> None:
        self._stream = stream
        self._chats = chats
        self.chat = chat
        self.model = stream.request.model
        self.number = len(whole_turns(stream.request.messages))

    @property
    def has_tools(self) -> bool:
        """Whether the model may call functions."""
        return isinstance(self._stream, Conversation) and bool(self._stream.functions)

    @property
    def reply(self) -> ChatReply:
        """What has been received so far."""
        return self._stream.reply

    @property
    def booked(self) -> Booked | None:
        """The figures of its requests, as the ledger has them; None before the first went out."""
        return self._stream.booked

    async def events(self) -> AsyncGenerator[TurnEvent, None]:
        async with self._stream as stream:
            async for event in stream:
                yield event

    def keep(self, *, whole: bool = True) -> bool:
        """Makes a turn part of its chat, and tells whether it did.

        One that came to no answer is not kept, such as thinking that used up all tokens: the server
        refuses empty turns (2013), and the chat could never go on.

        Args:
            whole: It came to its end. Of one that did not, what tools did is kept, since it happened,
                and nothing if there was none.
        """
        if self.chat is None:
            return False
        reply = self.reply
        said: tuple[Message, ...] = ()
        if whole and (reply.text.strip() or reply.tool_calls):
            said = reply.messages
        elif isinstance(self._stream, Conversation) and self._stream.called:
            said = _until_last_result(self._stream.history)
        messages = (*self._stream.request.messages, *said)
        if not said or unpaired(messages) is not None:  # a call that nobody asked for has no result
            return False
        self._chats[self.chat] = messages
        return True


def _until_last_result(messages: Sequence[Message]) -> tuple[Message, ...]:
    """What tools did, without attempts at an answer behind it."""
    ends = [number for number, message in enumerate(messages, 1) if message.role == "tool"]
    return tuple(messages[: ends[-1] if ends else 0])
