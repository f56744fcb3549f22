"""One prompt and all that it takes to answer it: requests, and calls of tools between them.

The loop is here; what it needs is passed in: who sends a request (`ask`), where tools run (`hands`).
Whatever ends it, and at whatever point, what it leaves behind can be sent again: no call is without
its result (the server refuses that, 2013), and assistant turns are complete, thinking included.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from functools import reduce
from operator import add
from typing import Any, TypeVar

from minimax_magic.client.streams import AnswerStream, ClosedWithBlock
from minimax_magic.errors import (
    APIConnectionError,
    ConfigError,
    MinimaxError,
    OutputInvalid,
    ProtocolError,
    StreamInterrupted,
)
from minimax_magic.events import (
    CallBegun,
    CallEnded,
    ChatReply,
    Notice,
    StepBegun,
    TurnEvent,
)
from minimax_magic.messages import Block, ChatRequest, Message, TextBlock, ToolCall
from minimax_magic.structured import NotValid, OutputType
from minimax_magic.tokens import TokenUsage
from minimax_magic.tools.calls import DECLINED, STOPPED, Hands, Outcome, OwnHands
from minimax_magic.tools.functions import ArgumentsInvalid, ToolFunction
from minimax_magic.usage.rows import Booked
from minimax_magic.words import plural

MAX_STEPS = 10
"""Requests of one prompt, unless told otherwise."""

REPAIRS = 2
"""How often an answer that does not validate is sent back, unless told otherwise."""


_NOTHING_SENT, _NO_MORE_SENT = "Nothing was sent.", "No more was sent."


class Conversation(ClosedWithBlock[TurnEvent]):
    """An `AnswerStream` of several requests.

    Args:
        ask: Opens the stream of one request.
        request: The first one, without these tools.
        functions: The tools that are run here. A call of any other tool of the request ends the loop,
            for the caller to answer.
        hands: None: the loop that iterates runs them.
        max_steps: Most requests; None: 10.
        output: What the answer must be; None: text.
        repair: How often an answer that does not validate is sent back; None: twice.
        check: Called before each later request; what it raises ends the loop.
        notices: Said before anything else.

    Attributes:
        request: The first request as it goes out.
        functions: By name.
        called: Whether a tool was run.
    """

    def __init__(
        self,
        ask: Callable[[ChatRequest], AnswerStream],
        request: ChatRequest,
        *,
        functions: Sequence[ToolFunction] = (),
        hands: Hands | None = None,
        max_steps: int | None = None,
        output: OutputType | None = None,
        repair: int | None = None,
        check: Callable[[ChatRequest], None] | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        super().__init__(self._events())
        self.request = with_tools(request, functions, output)
        self._ask = ask
        self.functions = {function.spec.name: function for function in functions}
        self._for_the_caller = {tool.name for tool in request.tools}
        self._hands = hands or OwnHands()
        self._max_steps = MAX_STEPS if max_steps is None else max_steps
        self._output = output
        self._repairs_left = REPAIRS if repair is None else repair
        self._check = check
        self._warnings = [*notices]
        self._said: list[Message] = []  # behind the prompt; every call has its result
        self._open: tuple[ChatReply, dict[int, Outcome]] | None = None  # calls not all answered
        self._scrap: list[Message] = []  # attempts at an answer, and what was said to them
        self._steps: list[AnswerStream] = []
        self._refused = False  # the last step, which then took nothing
        self.called = False
        self._value: Any = None
        self._answered = False
        self._invalid: NotValid | None = None
        self._raw = ""  # what was given in place of a valid answer,
        self._raw_step = 0  # and in which step

    # ---------------------------------------------------------------------- what there is so far

    @property
    def booked(self) -> Booked | None:
        """The figures of all requests together."""
        booked = [each for step in self._steps if (each := step.booked) is not None]
        return reduce(add, booked) if booked else None

    @property
    def reply(self) -> ChatReply:
        """The last answer, with the figures of all requests and what lies before it."""
        steps = [step.reply for step in self._steps] or [ChatReply(model=self.request.model)]
        taken = steps[:-1] if self._refused else steps
        last, history = steps[-1], self.history
        warnings = [*self._warnings, *(text for step in steps for text in step.warnings)]
        return replace(
            last,
            blocks=self._shown(last),
            usage=_total([step.usage for step in taken]),
            cost=_total([step.cost for step in taken]),
            warnings=tuple(dict.fromkeys(warnings)),
            simulated=any(step.simulated for step in steps),
            replayed=all(step.replayed for step in steps),
            avoided=_total([step.avoided for step in steps if step.avoided is not None]),
            turn=tuple(history) if len(history) > 1 else (),
            value=self._value,
        )

    def _shown(self, last: ChatReply) -> tuple[Block, ...]:
        """The blocks of the last answer, with what was given in place of a valid value as its text.

        That may have come as a call, or before a request that has brought no text yet.
        """
        later = self._raw_step < len(self._steps) and last.text
        if self._answered or not self._raw or later:
            return last.blocks
        others = (block for block in last.blocks if not isinstance(block, TextBlock))
        return (*others, TextBlock(text=self._raw))

    @property
    def history(self) -> list[Message]:
        """All behind the prompt that a later request may carry, at any moment.

        Calls that have not returned count as stopped by the user; an answer under way is left out, and
        so are texts that did not validate once there is one that did.
        """
        opened = _with_results(*self._open) if self._open is not None else []
        scrap = self._scrap if self._answered else []
        return [*(m for m in self._said if not any(m is other for other in scrap)), *opened]

    # ------------------------------------------------------------------------------------ the loop

    async def _events(self) -> AsyncGenerator[TurnEvent, None]:
        for text in self._warnings:
            yield Notice(text)
        request = self.request
        while True:
            async with aclosing(self._one_request(request)) as events:
                async for event in events:
                    yield event
            reply = self._steps[-1].reply
            calls = reply.tool_calls
            if any(call.name in self._for_the_caller for call in calls):
                self._said.append(reply.message)
                return
            self._invalid = None
            if calls:
                async with aclosing(self._answer_calls(reply)) as events:
                    async for event in events:
                        yield event
            else:
                self._read_answer(reply)
            if self._answered:
                return
            problem = self._to_repair(reply)
            if len(self._steps) >= self._max_steps:
                yield self._give_up()
                return
            messages = (*self.request.messages, *self._said)
            request = self.request.model_copy(update={"messages": messages})
            if self._check is not None:
                self._check(request)
            yield StepBegun(len(self._steps) + 1, problem)

    async def _one_request(self, request: ChatRequest) -> AsyncGenerator[TurnEvent, None]:
        async with self._ask(request) as stream:
            self._steps.append(stream)
            try:
                async for event in stream:
                    yield event
            except StreamInterrupted as error:
                error.partial = self.reply
                raise
            except (APIConnectionError, ProtocolError):
                raise  # nobody knows what it took
            except MinimaxError as error:
                self._refused = True
                if len(self._steps) > 1:  # the words are of one request
                    error.message = error.message.replace(_NOTHING_SENT, _NO_MORE_SENT)
                    error.hint = error.hint.replace(_NOTHING_SENT, _NO_MORE_SENT)
                raise

    def _read_answer(self, reply: ChatReply) -> None:
        """An answer without calls: the end, unless it must be something that it is not."""
        # a turn of thinking alone is refused when it comes back (2013)
        attempt = [reply.message] if reply.text.strip() else []
        self._said += attempt
        if self._output is None:
            self._answered = True
            return
        try:
            self._value = self._output.read_text(reply.text)
            self._answered = True
        except NotValid as error:
            self._reject(error, reply.text)
            self._scrap += attempt

    def _reject(self, error: NotValid, raw: str) -> None:
        self._invalid = error
        self._raw, self._raw_step = raw, len(self._steps)

    def _to_repair(self, reply: ChatReply) -> str:
        """What was wrong with the answer, if anything, now that the model has been told.

        Raises:
            OutputInvalid: It cannot be mended.
        """
        if self._invalid is None or self._output is None:
            return ""
        problem: str = self._invalid.problem
        cut = reply.finish_reason in ("length", "content_filter")
        if cut or not self._repairs_left:
            label, kept = self._output.label, "What the model wrote is in `.text`."
            if reply.finish_reason == "length":
                raise OutputInvalid(
                    f"The answer was cut off before it was a valid {label}.",
                    text=self._raw,
                    hint=f"Give it more with max_tokens (`--max-tokens`). {kept}",
                )
            if reply.finish_reason == "content_filter":
                raise OutputInvalid(
                    f"The server withheld the answer as sensitive before it was a valid {label}.",
                    text=self._raw,
                    hint=f"Ask in other words. {kept}",
                )
            raise OutputInvalid(
                f"The answer is no valid {label}: {problem.rstrip('.')}.",
                text=self._raw,
                hint=f"Ask more precisely, or allow more attempts with repair (`--repair`). {kept}",
            )
        self._repairs_left -= 1
        if not reply.tool_calls:  # else the call's result says it
            told = Message.model_validate({"role": "user", "content": str(self._invalid)})
            self._said.append(told)
            self._scrap.append(told)
        return problem

    def _give_up(self) -> Notice:
        """The model wants to go on, and may not."""
        most = self._max_steps
        if self._output is not None:
            raise OutputInvalid(
                f"There was no {self._output.label} after {most} {plural(most, 'request')}.",
                text=self._raw,
                hint="Allow more with max_steps (`--max-steps`).",
            )
        text = (
            f"the model still wanted to call tools after {most} {plural(most, 'request')}; "
            "max_steps (`--max-steps`) allows more."
        )
        self._warnings.append(text)
        return Notice(text)

    # --------------------------------------------------------------------------------------- calls

    async def _answer_calls(self, reply: ChatReply) -> AsyncGenerator[TurnEvent, None]:
        """Runs the calls of one turn side by side. Then each has a result, whatever happened."""
        outcomes: dict[int, Outcome] = {}
        self._open = (reply, outcomes)
        news: asyncio.Queue[TurnEvent | BaseException] = asyncio.Queue()
        calls = list(enumerate(reply.tool_calls))
        tasks = [asyncio.create_task(self._answer_call(*call, outcomes, news)) for call in calls]
        try:
            while len(outcomes) < len(calls) or not news.empty():
                event = await news.get()
                if isinstance(event, BaseException):
                    raise event
                yield event
                news.task_done()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._said += _with_results(reply, outcomes)
            self._open = None

    async def _answer_call(
        self,
        number: int,
        call: ToolCall,
        outcomes: dict[int, Outcome],
        news: asyncio.Queue[TurnEvent | BaseException],
    ) -> None:
        try:
            outcome = await self._outcome(call, news)
        except BaseException as error:
            news.put_nowait(error)  # a tool's own errors are outcomes: this ends the turn
            raise
        outcomes[number] = outcome
        news.put_nowait(CallEnded(call.id, outcome.text, outcome.is_error, outcome.duration_s))

    async def _outcome(
        self, call: ToolCall, news: asyncio.Queue[TurnEvent | BaseException]
    ) -> Outcome:
        output = self._output
        if output is not None and output.tool is not None and call.name == output.tool.name:
            return self._read_call(call, output)
        function = self.functions.get(call.name)
        if function is None:
            known = ", ".join(tool.name for tool in self.request.tools) or "none"
            return Outcome(f"There is no tool {call.name!r}. There are: {known}.", True)
        if len(self._steps) >= self._max_steps:
            return Outcome("Not run: there may be no more requests for this prompt.", True)
        try:
            bound = function.bind(call)
        except ArgumentsInvalid as error:
            return Outcome(str(error), True)
        if not await self._hands.allow(call):
            return DECLINED
        self.called = True
        news.put_nowait(CallBegun(call.id))
        await news.join()  # a function that blocks is seen to run: whoever draws has been told
        return await self._hands.run(function, bound)

    def _read_call(self, call: ToolCall, output: OutputType) -> Outcome:
        if self._answered:
            return Outcome("Ignored: the answer was given already.", True)
        try:
            self._value = output.read_call(call)
        except NotValid as error:
            written = call.invalid_arguments
            if written is None:
                written = json.dumps(call.arguments, ensure_ascii=False)
            self._reject(error, written)
            return Outcome(str(error), True)
        self._answered = True
        return Outcome("Accepted.")


def with_tools(
    request: ChatRequest, functions: Sequence[ToolFunction], output: OutputType | None
) -> ChatRequest:
    """The request as it goes out: with the tools, and what the answer must be.

    Raises:
        ConfigError: Two tools have the same name, or one has that of the tool which takes the answer.
    """
    tools = (*request.tools, *(function.spec for function in functions))
    names = [tool.name for tool in tools]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"Two tools are called {name!r}.", hint="Give one another name: `@tool(name=...)`."
            )
    system = request.system
    if output is not None:
        if output.tool is not None:
            if output.tool.name in names:
                raise ConfigError(
                    f"The tool {output.tool.name!r} is called like the one that takes the answer.",
                    hint="Give it another name: `@tool(name=...)`.",
                )
            tools += (output.tool,)
        system = "\n\n".join(filter(None, (system, output.instruction)))
    return request.model_copy(update={"tools": tools, "system": system})


def _with_results(reply: ChatReply, outcomes: dict[int, Outcome]) -> list[Message]:
    """The turn that calls, and the turn that answers it: all results in one message."""
    results = tuple(
        outcomes.get(number, STOPPED).result(call.id)
        for number, call in enumerate(reply.tool_calls)
    )
    return [reply.message, Message(role="tool", content=results)]


T = TypeVar("T", TokenUsage, Decimal)


def _total(parts: Sequence[T | None]) -> T | None:
    """The sum; None if a part is not known, or there is none."""
    known = [part for part in parts if part is not None]
    return reduce(add, known) if known and len(known) == len(parts) else None
