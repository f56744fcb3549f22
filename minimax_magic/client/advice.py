"""What to do about an answer that came, but not as it should have."""

from __future__ import annotations

from minimax_magic.events import ChatReply
from minimax_magic.messages import ChatRequest


def advice_on(reply: ChatReply, request: ChatRequest) -> str:
    """One sentence for the person; empty for a whole answer, and for one that did not end.

    Thinking counts towards `max_tokens`, so that a small one may leave no text at all (facts page,
    section 5).
    """
    nothing = not reply.text.strip() and not reply.tool_calls
    match reply.finish_reason:
        case "length":
            now = "" if request.max_tokens is None else f", which is {request.max_tokens:,} now"
            more = f"raise max_tokens (`--max-tokens`{now})"
            if nothing:
                return (
                    "there is no answer: the model used up all its tokens before it, "
                    f"thinking included. To get one, {more}."
                )
            if reply.tool_calls:
                return f"the model was cut off while it called tools. To prevent that, {more}."
            return f"the answer was cut off. To get all of it, {more}: thinking counts, too."
        case "content_filter":
            what = "the answer" if nothing else "the rest of the answer"
            return f"the server withheld {what} as sensitive. Ask in other words."
        case "stop" | "tool_calls" if nothing:
            did = "thought, but wrote no answer" if reply.thinking else "wrote nothing"
            return f"the model {did}. Ask again, or more precisely."
        case _:
            return ""
