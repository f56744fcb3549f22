"""The texts of the default answers: deterministic, pleasant, and open about being simulated."""

from __future__ import annotations

import random
from functools import lru_cache

from minimax_magic.simulator.turn import Turn

_VOCABULARY = """
stream token cell notebook kernel answer widget buffer frame budget prompt ledger socket parser
event loop cache render window model graph vector matrix signal border metre harbour quiet bright
narrow patient early sudden gentle distant carries follows repeats divides gathers opens returns
measures and while before because slowly often twice
"""
WORDS = _VOCABULARY.split()

MAX_LONG_CHARS = 10_000_000


def excerpt(text: str, chars: int = 90) -> str:
    """The start of a text as inline code, where no mark of markdown means anything."""
    line = " ".join(text.replace("`", "'").split())
    return f"`{line[:chars]}…`" if len(line) > chars else f"`{line}`"


def sample(turn: Turn) -> str:
    """The ordinary answer: one of each thing that markdown can show."""
    asked = f"You wrote {excerpt(turn.prompt)}. " if turn.prompt.strip() else ""
    lines = [
        "## A simulated answer",
        "",
        f"{asked}This text comes from the **MiniMax simulator** on your own machine: no model has "
        f"read your words, and `{turn.model}` is only a name here. The bytes travel as they would "
        "from the real service, so what you see streaming is real.",
        "",
    ]
    if turn.asks[-1].images:
        seen = [f"- {image}" for image in turn.asks[-1].images]
        lines += ["What I see of the images that came with it:", "", *seen, ""]
    if turn.system:
        lines += [f"The system prompt in force begins {excerpt(turn.system)}.", ""]
    if turn.earlier_prompts:
        count = len(turn.earlier_prompts)
        turns = "1 earlier turn" if count == 1 else f"{count} earlier turns"
        last = excerpt(turn.earlier_prompts[-1], 60)
        lines += [f"I remember {turns} of this conversation; before this you wrote {last}.", ""]
    return "\n".join([*lines, REST])


FENCE = """\
```python
def fibonacci(n: int) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a
```
"""

REST = f"""\
What an answer may contain:

- a list with **bold**, *italic* and `code`,
- a link to [MiniMax](https://www.minimax.io),
- inline math such as $e^{{i\\pi}} + 1 = 0$.

{FENCE}
| Wire | Path | Thinking |
|---|---|---|
| Anthropic | `/anthropic/v1/messages` | a block with a signature |
| OpenAI | `/v1/chat/completions` | `<think>` in the content |

Try `[[long 20000]]`, `[[slow 50]]`, `[[error 429 once]]` or `[[drop]]` in a prompt.
"""


def _sentence(chance: random.Random) -> str:
    words = " ".join(chance.choice(WORDS) for _ in range(chance.randint(6, 16)))
    return words.capitalize() + "."


def _paragraph(chance: random.Random) -> str:
    return " ".join(_sentence(chance) for _ in range(chance.randint(2, 5)))


def _block(number: int, chance: random.Random) -> str:
    match number % 7:
        case 0:
            return f"## Part {number // 7 + 1}"
        case 2:
            return "\n".join(f"{item}. {_sentence(chance)}" for item in range(1, 5))
        case 3:
            body = "\n".join(f"    total += {chance.randint(1, 999)}" for _ in range(5))
            return (
                f"```python\ndef part_{number}(total: int) -> int:\n{body}\n    return total\n```"
            )
        case 5:
            rows = "\n".join(
                f"| {chance.choice(WORDS)} | {chance.randint(1, 9999)} |" for _ in range(4)
            )
            return f"| Name | Value |\n|---|---|\n{rows}"
        case 6:
            return f"> {_sentence(chance)} $x_{{{number}}} = {chance.randint(2, 99)}^2$"
        case _:
            return _paragraph(chance)


@lru_cache(maxsize=8)
def long_markdown(chars: int) -> str:
    """Varied markdown of exactly so many characters; whole blocks, then words to fill."""
    chance = random.Random(chars)
    parts: list[str] = []
    left = chars
    number = 0
    while True:
        block = _block(number, chance) + "\n\n"
        if len(block) > left:
            break
        parts.append(block)
        left -= len(block)
        number += 1
    filler = _paragraph(chance)
    while len(filler) < left:
        filler += " " + _paragraph(chance)
    return "".join(parts) + filler[:left]
