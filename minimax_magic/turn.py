"""One prepared turn of a cell."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from minimax_magic.chats import Chats, unpaired, whole_turns
from minimax_magic.events import ChatReply, TurnEvent
from minimax_magic.messages import Message
from minimax_magic.usage.rows import Booked

if TYPE_CHECKING:  # a cell that needs one request only does not wait for it
    from minimax_magic.client.conversation import Conversation
    from minimax_magic.client.streams import AnswerStream


class Turn:
    """Nothing was sent yet, and everything that could be wrong was checked.

    Args:
        stream: Answers it.
        chat: Name of the chat that it goes on with; None: the cell stands alone.
        conversation: The same as `stream`, if it may take several requests.

    Attributes:
        model: Who is asked.
        number: Which turn of the chat it is, from 1.
    """

    def __init__(
        self,
        stream: AnswerStream,
        chats: Chats,
        chat: str | None,
        conversation: Conversation | None = None,
    ) -> None:
        self._stream = stream
        self._chats = chats
        self._before = chats.get(chat) if chat is not None else None
        self._conversation = conversation
        self.chat = chat
        self.model = stream.request.model
        self.number = len(whole_turns(stream.request.messages))

    @property
    def has_tools(self) -> bool:
        """Whether the model may call functions."""
        return self._conversation is not None and bool(self._conversation.functions)

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
        elif self._conversation is not None and self._conversation.called:
            said = _until_last_result(self._conversation.history)
        asked = self._stream.request.messages
        messages = (*asked, *said)
        if not said or unpaired(messages) is not None:  # a call that nobody asked for has no result
            return False
        return self._chats.go_on(self.chat, self._before, messages, (asked[-1], *said))


def _until_last_result(messages: Sequence[Message]) -> tuple[Message, ...]:
    """What tools did, without attempts at an answer behind it."""
    ends = [number for number, message in enumerate(messages, 1) if message.role == "tool"]
    return tuple(messages[: ends[-1] if ends else 0])
