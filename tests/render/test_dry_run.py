"""What a dry run shows, by itself."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from minimax_magic.render.dry_run import Preview, preview
from minimax_magic.usage.rows import BudgetState

SHOWN = Preview(
    url="https://api.minimax.io/v1/chat/completions",
    model="MiniMax-M2.5",
    body='{\n  "prompt": "is 1 < 2?"\n}',
    notices=(),
    earlier=0,
    input_tokens=1234,
    most_output=500,
    least=Decimal("0.0004"),
    most=Decimal("0.012"),
)


def lines(shown: Preview) -> list[str]:
    return str(preview(shown)["text/plain"]).splitlines()


def test_what_is_said() -> None:
    """First that nothing was sent; then where to, the tokens, the range of the cost, the body."""
    assert lines(SHOWN) == [
        "Dry run: nothing was sent.",
        "It would go to https://api.minimax.io/v1/chat/completions, for MiniMax-M2.5.",
        "Input: about 1,234 tokens (estimated).",
        "Output: 500 tokens at most, thinking included.",
        "Cost: about $0.00040 for the prompt alone, $0.012 at most.",
        "",
        "{",
        '  "prompt": "is 1 < 2?"',
        "}",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"earlier": 1}, "1 earlier message of the chat goes along."),
        ({"earlier": 2}, "2 earlier messages of the chat go along."),
        ({"most_output": None}, "Output: as long as the server lets it be; --max-tokens sets"),
        ({"most": None}, "Cost: about $0.00040 for the prompt alone; at most: unknown."),
        ({"least": None, "most": None}, "Cost: no price known."),
        ({"refused": "too dear."}, "It would be refused: too dear."),
        ({"notices": ("no key.",)}, "Note: no key."),
        (
            {"budgets": (BudgetState("day", Decimal(5), Decimal("1.5"), Decimal("0.5")),)},
            "Budget of this day: $3.00 of $5.00 left.",
        ),
        (
            {"budgets": (BudgetState("day", Decimal(5), Decimal(2), Decimal(0), 1, 1),)},
            "Budget of this day: at most ~$3.00 of $5.00 left.",
        ),
    ],
)
def test_what_is_added(changes: dict[str, object], said: str) -> None:
    """History, open ends, unknown prices, budgets, refusals and notes have a line each."""
    found = lines(replace(SHOWN, **changes))  # type: ignore[arg-type]
    assert any(line.startswith(said) for line in found)
    assert not any(line.startswith(said) for line in lines(SHOWN))


def test_html_is_safe() -> None:
    """Nothing of the body, the address or a note becomes markup, nor a dollar sign mathematics."""
    markup = "<img src=x onerror=alert(1)>"
    shown = replace(SHOWN, body=markup, url=markup, model=markup, notices=(markup,), refused=markup)
    html = str(preview(shown)["text/html"])
    assert "<img" not in html
    assert html.count("&lt;img src=x onerror=alert(1)&gt;") == 5
    assert "tex2jax_ignore" in html
    assert "mathjax_ignore" in html


def test_both_forms_say_the_same() -> None:
    """What the text says the HTML says."""
    html = str(preview(SHOWN)["text/html"])
    for line in lines(SHOWN)[:5]:
        assert line in html
    assert "is 1 &lt; 2?" in html
