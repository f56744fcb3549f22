"""What there is to see of one turn, folded from its events. Time comes in with each event.

A turn is one request, or several with calls of tools between them, the *steps*. Their texts stand one
below the other; markdown of one step never goes on in the next.
"""

from __future__ import annotations

from typing import Literal

from minimax_magic.events import (
    CallBegun,
    CallEnded,
    ChatReply,
    Finished,
    Notice,
    RetryScheduled,
    Started,
    StepBegun,
    TextDelta,
    TextWasThinking,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    TurnEvent,
)
from minimax_magic.messages import FinishReason
from minimax_magic.render.blocks import seam
from minimax_magic.render.calls import Calls, Card, as_json
from minimax_magic.render.figures import figures
from minimax_magic.text import TextBuffer, whole
from minimax_magic.usage.rows import Booked

Phase = Literal["waiting", "thinking", "answering", "calling", "done", "interrupted", "failed"]

_DOING: dict[Phase, str] = {"answering": "writing", "calling": "calling tools"}
_CUT_OFF = {"length": "cut off", "content_filter": "withheld"}


class Transcript:
    """One turn as a person sees it.

    Args:
        model: The id that was asked for.
        chat: Name of the conversation; None if the cell stands alone.
        turn: Number of this turn in it, from 1.
        now: When the request was made, in seconds of the clock that `apply` is given too.
        sent: The text of the context that goes along with the prompt.
        sent_label: What that is, in short: `df, fig`. Empty with an empty `sent`: none.
        output_tool: Name of the tool that carries structured output. Its arguments are the answer, and
            are shown as its text while they arrive; empty: there is none.

    Attributes:
        rewrites: How often text was taken back.
        steps: Requests so far.
    """

    def __init__(
        self,
        model: str,
        now: float,
        *,
        chat: str | None = None,
        turn: int = 1,
        sent: str = "",
        sent_label: str = "",
        output_tool: str = "",
    ) -> None:
        self.model = model
        self.chat = chat
        self.turn = turn
        self.sent = whole(sent)
        self.sent_label = whole(sent_label)
        self.phase: Phase = "waiting"
        self.text = TextBuffer()
        self.thinking = TextBuffer()
        self.notices: list[str] = []
        self.simulated = False
        self.steps = 1
        self.rewrites = 0
        self.reply: ChatReply | None = None
        self.booked: Booked | None = None
        self._output_tool = output_tool
        self._output_calls: dict[int, int] = {}  # index -> characters of arguments so far
        self._calls = Calls()
        self._text_from = 0  # where the text of this step begins
        self._text_parted = self._thinking_parted = True  # from what earlier steps said
        self._answers = self._replayed = 0
        self._finish_reason: FinishReason | None = None
        self._retry: RetryScheduled | None = None
        self._retry_at = 0.0
        self._began = now
        self._thought_from: float | None = None
        self._thought_s = 0.0
        self._ended: float | None = None

    def apply(self, event: TurnEvent, now: float) -> None:
        if type(event) is TextDelta:
            self._write(event.text, now)
            return
        match event:
            case ThinkingDelta(text):
                self._think(text, now)
            case TextWasThinking():
                self._take_back()
            case Started(model, _, simulated, replayed):
                self.model = model or self.model
                self.simulated = self.simulated or simulated
                self._answers += 1
                self._replayed += replayed
                self._retry = None
            case Notice(text):
                self.note(text)
            case RetryScheduled():
                self._retry, self._retry_at = event, now + event.wait_s
            case Finished(reason):
                self._finish_reason = reason
            case StepBegun(step, reason):
                self._begin_step(step, reason, now)
            case ToolCallStarted(index, call_id, name):
                if name == self._output_tool:
                    self._part_output(index, now)
                else:
                    self._calling(now)
                    self._calls.started(index, call_id, name)
            case ToolCallDelta(index, arguments):
                if index in self._output_calls:
                    self._output_calls[index] += len(arguments)
                    self._write(arguments, now)
                else:
                    self._calls.arrived(index, arguments)
            case ToolCallDone(index, call):
                if call.name == self._output_tool:
                    self._part_output(index, now)
                    if not self._output_calls[index]:
                        self._write(
                            call.invalid_arguments or as_json(call.arguments, indent=2), now
                        )
                else:
                    self._calling(now)
                    self._calls.complete(index, call)
            case CallBegun(call_id):
                self._calling(now)
                self._calls.begun(call_id, now)
            case CallEnded(call_id, result, is_error, duration_s):
                self._calls.ended(call_id, result, is_error=is_error, duration_s=duration_s)
            case _:
                pass  # nothing of it is shown

    def end(self, phase: Phase, reply: ChatReply, now: float, booked: Booked | None = None) -> None:
        """The turn is whole, or as much of it as there will be.

        Args:
            booked: Its figures; None if no request went out, or none is booked.
        """
        self._end_thinking(now)
        self._calls.end()
        self.phase = phase
        self.reply = reply
        self.booked = booked
        self._ended = now

    def note(self, text: str) -> None:
        """Adds a notice, unless it is there: each step may say the same again."""
        if text not in self.notices:
            self.notices.append(whole(text))

    # ---------------------------------------------------------------------------- what is seen

    @property
    def calls(self) -> list[Card]:
        """The calls of tools, in the order in which the model asked for them."""
        return self._calls.cards

    @property
    def last_text(self) -> str:
        """The text of the last step; all of it if that one says nothing."""
        text = str(self.text)
        last = text[self._text_from :]
        return last if last.strip() else text

    @property
    def thought_s(self) -> float:
        """Seconds of thinking, without one that still goes on."""
        return self._thought_s

    def marks(self) -> list[str]:
        """What must be seen first: where it comes from, or that it is not whole."""
        marks = ["simulated"] if self.simulated else []
        if self._replayed:
            marks.append("replayed" if self._replayed == self._answers else "partly replayed")
        if self.phase in ("interrupted", "failed"):
            marks.append(self.phase)
        return marks

    def facts(self, now: float) -> str:
        """One line: what is happening, or what it took."""
        elapsed = (self._ended if self._ended is not None else now) - self._began
        doing = self._took(elapsed) if self._ended is not None else self._doing(now, elapsed)
        return " · ".join([self.model, *doing])

    def status(self, now: float) -> str:
        """Marks and facts in one line of plain text."""
        return " · ".join([*self.marks(), self.facts(now)])

    def _doing(self, now: float, elapsed: float) -> list[str]:
        step = [f"step {self.steps}"] if self.steps > 1 else []
        if self._retry is not None:
            left = max(0.0, self._retry_at - now)
            when = f"in {left:.0f} s" if left else "now"
            again = f"Trying again {when} (attempt {self._retry.attempt})"
            return [*step, f"{self._retry.reason} {again}"]
        return [*step, f"{_DOING.get(self.phase, self.phase)} {elapsed:.0f} s"]

    def _took(self, elapsed: float) -> list[str]:
        if self.booked is not None:
            parts = figures(self.booked, simulated=self.simulated)
        else:
            # it was worked on, so it did cost something
            worked = len(self.text) or len(self.thinking) or self.calls
            parts = ["tokens unknown"] if worked else []
        if self.steps > 1:
            parts.append(f"{self.steps} steps")
        parts.append(f"{elapsed:.1f} s")
        if self.chat is not None and self.phase == "done":
            parts.append(f"chat {self.chat}, turn {self.turn}")
        if warning := _CUT_OFF.get(self._finish_reason or ""):
            parts.append(warning)
        return parts

    # ------------------------------------------------------------------------------ the events

    def _write(self, text: str, now: float) -> None:
        if self.phase != "answering":
            self._end_thinking(now)
            self.phase = "answering"
        if not self._text_parted:
            self._text_parted = True
            self.text.append(seam(str(self.text)))
            self._text_from = len(self.text)
        self.text.append(text)

    def _think(self, text: str, now: float) -> None:
        if self._thought_from is None:
            self._thought_from = now
        if self.phase == "waiting":
            self.phase = "thinking"
        if not self._thinking_parted:
            self._thinking_parted = True
            self.thinking.append("\n\n")
        self.thinking.append(text)

    def _take_back(self) -> None:
        """The text of this step was thinking."""
        text = str(self.text)
        mine = text[self._text_from :]
        if mine:
            if not self._thinking_parted:
                mine = f"\n\n{mine.lstrip()}"
            self._thinking_parted = True
            self.thinking.append(mine)
        self.text = TextBuffer()
        self.text.append(text[: self._text_from])
        self.rewrites += 1

    def _begin_step(self, step: int, reason: str, now: float) -> None:
        self._end_thinking(now)
        self._calls.next_step()
        self._output_calls.clear()
        self.steps = max(step, self.steps + 1)
        self.phase = "waiting"
        self._retry = None
        self._finish_reason = None
        self._text_from = len(self.text)
        self._text_parted, self._thinking_parted = not len(self.text), not len(self.thinking)
        if reason:
            self.note(
                f"{reason} Asked again." if reason[-1:] in ".!?" else f"{reason}; asked again"
            )

    def _part_output(self, index: int, now: float) -> None:
        """Structured output begins, on lines of its own."""
        if index not in self._output_calls:
            self._output_calls[index] = 0
            self._text_parted = not len(self.text)
            self._end_thinking(now)

    def _calling(self, now: float) -> None:
        self._end_thinking(now)
        self.phase = "calling"

    def _end_thinking(self, now: float) -> None:
        if self._thought_from is not None:
            self._thought_s += now - self._thought_from
            self._thought_from = None
