"""Answers that come from a store where they can, and go into it where they are new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from minimax_magic.client.streams import AnswerStream, ClosedWithBlock
from minimax_magic.clock import Clock, utc
from minimax_magic.config import CacheMode
from minimax_magic.errors import ConfigError
from minimax_magic.events import ChatReply, Notice, ReplyBuilder, TurnEvent
from minimax_magic.messages import ChatRequest
from minimax_magic.replay.recording import Recording, is_whole, request_key
from minimax_magic.replay.store import ReplayStore
from minimax_magic.tokens import TokenUsage
from minimax_magic.usage.meter import Meter, Purpose
from minimax_magic.usage.rows import Booked


@dataclass(frozen=True, slots=True)
class Replayer:
    """Opens answers.

    Attributes:
        store: Where recordings are.
        label: What that is called, for people.
        mode: `record` asks for what is not there and keeps it, `refresh` asks for everything and keeps
            it, `replay` asks for nothing.
        send: Asks; None: nobody can be asked.
        flavor: The wire that is spoken, kept with what is recorded.
        simulated: Which recordings count: only simulated ones, only real ones; None: all, real ones
            first.
        meter: Books what is replayed.
    """

    store: ReplayStore
    label: str
    mode: CacheMode
    send: Callable[[ChatRequest], AnswerStream] | None
    flavor: str
    simulated: bool | None
    meter: Meter
    purpose: Purpose
    clock: Clock

    def open(self, request: ChatRequest) -> AnswerStream:
        return _Answer(self, request)


class _Answer(ClosedWithBlock[TurnEvent]):
    """An `AnswerStream` of one request."""

    def __init__(self, replayer: Replayer, request: ChatRequest) -> None:
        super().__init__(self._stream())
        self.request = request
        self._replayer = replayer
        self._sent: AnswerStream | None = None
        self._builder = ReplyBuilder(request.model)
        self._found: Recording | None = None
        self._avoided: Decimal | None = None
        self._booked: Booked | None = None
        self._lost = ""  # why the answer could not be kept

    @property
    def booked(self) -> Booked | None:
        return self._sent.booked if self._sent is not None else self._booked

    @property
    def reply(self) -> ChatReply:
        if self._sent is not None:
            reply = self._sent.reply
            return replace(reply, warnings=(*reply.warnings, self._lost)) if self._lost else reply
        if self._found is None:
            return ChatReply(model=self.request.model)
        built = self._builder.build(Decimal(0))
        return replace(built, warnings=self._found.reply.warnings, avoided=self._avoided)

    async def _stream(self) -> AsyncGenerator[TurnEvent, None]:
        replayer, key = self._replayer, request_key(self.request)
        if replayer.mode != "refresh":
            # it may wait for a disk, or another process
            self._found = await asyncio.to_thread(
                replayer.store.get, key, simulated=replayer.simulated
            )
        if self._found is not None:
            await self._book(self._found)
            for recorded in self._found.events():
                self._builder.apply(recorded)
                yield recorded
            return
        if replayer.mode == "replay" or replayer.send is None:
            raise ConfigError(
                f"{replayer.label} holds no answer to this request, and with cache replay nothing "
                "is sent.",
                hint="The prompt, an option or what a tool returned is not what it was when the answer "
                "was recorded: ask once with cache record (`--cache record`).",
            )
        local: set[str] = set()  # what is about this machine is not recorded
        async with replayer.send(self.request) as stream:
            self._sent = stream
            async for event in stream:
                if isinstance(event, Notice) and event.local:
                    local.add(event.text)
                yield event
        reply = stream.reply
        if is_whole(reply):
            said = tuple(text for text in reply.warnings if text not in local)
            kept = replace(reply, warnings=said)
            recording = Recording(kept, replayer.flavor, utc(replayer.clock.time()))
            try:
                await asyncio.to_thread(replayer.store.put, key, recording)
            except ConfigError as error:  # the answer is there and paid for
                self._lost = f"this answer was not recorded. {error}"
                yield Notice(self._lost, local=True)

    async def _book(self, found: Recording) -> None:
        replayer, usage = self._replayer, found.reply.usage
        if usage is not None:
            self._avoided = replayer.purpose.prices.cost(
                self.request.model, usage, service_tier=self.request.service_tier
            )
        self._booked = await replayer.meter.replay(
            usage or TokenUsage(),
            self._avoided,
            self.request,
            replayer.purpose,
            simulated=found.reply.simulated,
            recorded_flavor=found.flavor,
        )
