"""What answers on their way have in common, whoever gives them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from minimax_magic.events import ChatReply, TurnEvent
from minimax_magic.messages import ChatRequest
from minimax_magic.usage.rows import Booked

E = TypeVar("E")


class AnswerStream(Protocol):
    """An answer on its way: iterating gives its events once, leaving the block closes the connection.

    `reply` is what has been received so far, `booked` its figures; None if nothing is booked.
    """

    request: ChatRequest

    @property
    def reply(self) -> ChatReply: ...

    @property
    def booked(self) -> Booked | None: ...

    def __aiter__(self) -> AsyncIterator[TurnEvent]: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class ClosedWithBlock(Generic[E]):
    """The iteration of an `AnswerStream` over one generator.

    Args:
        events: Closed when the block is left.
    """

    def __init__(self, events: AsyncGenerator[E, None]) -> None:
        self._given = events

    def __aiter__(self) -> AsyncIterator[E]:
        return self._given

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._given.aclose()
