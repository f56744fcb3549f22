"""What there is to see of one answer, folded from its events. Time comes in with each event."""

from __future__ import annotations

from typing import Literal

from minimax_magic.events import (
    ChatReply,
    Finished,
    Notice,
    RetryScheduled,
    Started,
    StreamEvent,
    TextDelta,
    TextWasThinking,
    ThinkingDelta,
    ToolCallStarted,
)
from minimax_magic.messages import FinishReason
from minimax_magic.pricing import cached_share, format_usd
from minimax_magic.text import TextBuffer
from minimax_magic.usage.rows import Booked

Phase = Literal["waiting", "thinking", "answering", "done", "interrupted", "failed"]

_DOING: dict[Phase, str] = {"answering": "writing"}

_CUT_OFF = {
    "length": "cut off: the answer needs more --max-tokens (thinking counts too)",
    "content_filter": "withheld by the server as sensitive",
}


class Transcript:
    """One answer as a person sees it.

    Args:
        model: The id that was asked for.
        chat: Name of the conversation; None if the cell stands alone.
        turn: Number of this turn in it, from 1.
        now: When the request was made, in seconds of the clock that `apply` is given too.
    """

    def __init__(self, model: str, now: float, *, chat: str | None = None, turn: int = 1) -> None:
        self.model = model
        self.chat = chat
        self.turn = turn
        self.phase: Phase = "waiting"
        self.text = TextBuffer()
        self.thinking = TextBuffer()
        self.notices: list[str] = []
        self.simulated = False
        self.reply: ChatReply | None = None
        self.booked: Booked | None = None
        self._finish_reason: FinishReason | None = None
        self._retry: RetryScheduled | None = None
        self._retry_at = 0.0
        self._began = now
        self._thought_from: float | None = None
        self._thought_s = 0.0
        self._ended: float | None = None

    def apply(self, event: StreamEvent, now: float) -> None:
        if type(event) is TextDelta:
            if self.phase != "answering":
                self._end_thinking(now)
                self.phase = "answering"
            self.text.append(event.text)
            return
        match event:
            case ThinkingDelta(text):
                if self._thought_from is None:
                    self._thought_from = now
                if self.phase == "waiting":
                    self.phase = "thinking"
                self.thinking.append(text)
            case TextWasThinking():
                self.thinking.append(str(self.text))
                self.text = TextBuffer()
            case Started(model, _, simulated):
                self.model = model or self.model
                self.simulated = self.simulated or simulated
                self._retry = None
            case Notice(text):
                self.notices.append(text)
            case RetryScheduled():
                self._retry, self._retry_at = event, now + event.wait_s
            case Finished(reason):
                self._finish_reason = reason
            case ToolCallStarted():
                self._end_thinking(now)
            case _:
                pass  # nothing of it is shown

    def end(self, phase: Phase, reply: ChatReply, now: float, booked: Booked | None = None) -> None:
        """The answer is whole, or as much of it as there will be.

        Args:
            booked: Its figures; None if no request went out, or none is booked.
        """
        self._end_thinking(now)
        self.phase = phase
        self.reply = reply
        self.booked = booked
        self._ended = now

    @property
    def thought_s(self) -> float:
        """Seconds of thinking, without one that still goes on."""
        return self._thought_s

    def marks(self) -> list[str]:
        """What must be seen first: that it was simulated, or is not whole."""
        marks = ["simulated"] if self.simulated else []
        if self.phase in ("interrupted", "failed"):
            marks.append(self.phase)
        return marks

    def facts(self, now: float) -> str:
        """One line: what is happening, or what it took."""
        elapsed = (self._ended if self._ended is not None else now) - self._began
        doing = self._took(elapsed) if self._ended is not None else [self._doing(now, elapsed)]
        return " · ".join([self.model, *doing])

    def status(self, now: float) -> str:
        """Marks and facts in one line of plain text."""
        return " · ".join([*self.marks(), self.facts(now)])

    def _doing(self, now: float, elapsed: float) -> str:
        if self._retry is not None:
            left = max(0.0, self._retry_at - now)
            when = f"in {left:.0f} s" if left else "now"
            return f"{self._retry.reason} Trying again {when} (attempt {self._retry.attempt})"
        return f"{_DOING.get(self.phase, self.phase)} {elapsed:.0f} s"

    def _took(self, elapsed: float) -> list[str]:
        parts = self._figures()
        parts.append(f"{elapsed:.1f} s")
        if self.chat is not None and self.phase == "done":
            parts.append(f"chat {self.chat}, turn {self.turn}")
        if warning := _CUT_OFF.get(self._finish_reason or ""):
            parts.append(warning)
        return parts

    def _figures(self) -> list[str]:
        """Tokens and cost. A wave before a number says that it is an estimate."""
        if (booked := self.booked) is None:
            # it was worked on, so it did cost something
            return ["tokens unknown"] if len(self.text) or len(self.thinking) else []
        usage = booked.usage
        if not usage.total_tokens:
            return []
        about = "" if booked.measured else "~"
        cached = (
            f" ({_percent(cached_share(usage) or 0)} cached)" if usage.cache_read_tokens else ""
        )
        price = format_usd(booked.cost)
        if booked.cost is not None:
            price = f"{about}{price}"
            if self.simulated:
                price = f"{price} if it were real"
            elif booked.billing == "plan":
                price = f"{price} in value, covered by the plan"
        return [
            f"{about}{usage.total_input_tokens:,} tokens in{cached}",
            f"{about}{usage.output_tokens:,} out",
            price,
            *([] if booked.measured else ["estimated"]),
        ]

    def _end_thinking(self, now: float) -> None:
        if self._thought_from is not None:
            self._thought_s += now - self._thought_from
            self._thought_from = None


def _percent(share: float) -> str:
    """`40 %`. All is said only of all, and nothing only of nothing."""
    if 0 < share < 0.01:
        return "less than 1 %"
    return f"{100 if share == 1 else min(round(100 * share), 99)} %"
