"""`{{expr}}` in prompts."""

from __future__ import annotations

from typing import Any

import pytest

from minimax_magic.errors import ConfigError
from minimax_magic.ipython.interpolation import interpolate


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no text")


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def speechless() -> None:
    raise Speechless


def page() -> None:
    raise ValueError("first line\n" + "more and more\n" * 100)


NAMES: dict[str, Any] = {
    "x": 3,
    "name": "Ada",
    "braces": "{{x}} {x}",
    "d": {"a": {"b": 1}},
    "odd": Unprintable(),
    "speechless": speechless,
    "page": page,
}


def fill(text: str) -> str:
    return interpolate(text, lambda code: eval(code, dict(NAMES)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "{x}",
        "{",
        "}}",
        "} }",
        "{ {x} }",
        '{"a": {"b": 1}}',
        "f'{x!r:>{width}}'",
        r"\frac{a}{b} \sqrt{x^{2}}",
        "{'a': {'b': {}}}",
        "def f(): return {}\r\n",
        "größe 🙂 \u2028 end",
        "$x ${x} %(x)s {0}",
    ],
)
def test_single_braces_are_left_alone(text: str) -> None:
    """JSON, LaTeX, f-strings, shell and format strings go through byte for byte."""
    assert fill(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{x}}", "3"),
        ("a {{ x }} b", "a 3 b"),
        ("{{x}}{{x}}", "33"),
        ("{{x}} {x} {{name}}", "3 {x} Ada"),
        ("{{braces}}", "{{x}} {x}"),
        ('{{d["a"]["b"]}}', "1"),
        ('{{ {"a": {"b": 1}} }}', "{'a': {'b': 1}}"),
        ('{{ {"a": {"b": x}}["a"]["b"] }}', "3"),
        ('{{ "}}" }}', "}}"),
        ('{{ "{{" }}', "{{"),
        ("{{ [i for i in range(x)] }}", "[0, 1, 2]"),
        ("{{ (lambda y: y + x)(1) }}", "4"),
        ("{{ f'{x:>3}' }}", "  3"),
        ("{{ sum([\n  1,\n  2]) }}", "3"),
        ("{{{x}}}", "{3}"),
        ("{{'ö'}}🙂{{x}}", "ö🙂3"),
        ("{{x}}\r\n{{x}}", "3\r\n3"),
    ],
)
def test_expressions_become_their_values(text: str, expected: str) -> None:
    """Every `{{expr}}` is evaluated once, in one pass; Python decides where it ends."""
    assert fill(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb {{x", "The '{{' on line 2 of the prompt has no '}}'"),
        ("{{x}} {{", "has no '}}'"),
        ("{{}}", "The '{{}}' on line 1 of the prompt is empty"),
        ("a\n{{ }} and {{x}}", "on line 2 of the prompt is empty"),
        ("{{nope}}", "{{nope}}: 'nope' is not defined"),
        ("{{x + nope.y}}", "'nope' is not defined"),
        ("{{1/0}}", "{{1/0}} raised ZeroDivisionError: division by zero."),
        ("{{d['z']}}", "raised KeyError: 'z'."),
        ("{{odd}}", "{{odd}} raised ValueError: no text"),
        ("{{speechless()}}", "{{speechless()}} raised Speechless."),
        ("{{no python}}", "{{no python}} is not a Python expression"),
        ("{{x = 1}}", "is not a Python expression"),
        ("{{x\0}}", "is not a Python expression"),
        ("{{await x}}", "raised|is not a Python expression"),
        ("{{" + "(" * 5000 + "}}", "is not a Python expression"),
        ("{{" + "-" * 100_000 + "1}}", "is not a Python expression"),
    ],
)
def test_what_cannot_be_evaluated(text: str, message: str) -> None:
    """Each mistake is one line that names the expression, and a hint."""
    with pytest.raises(ConfigError) as caught:
        fill(text)
    assert any(part in caught.value.message for part in message.split("|"))
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_a_long_error_is_cut_to_a_line() -> None:
    """Of an exception that writes pages, the start is shown, in one line."""
    with pytest.raises(ConfigError) as caught:
        fill("{{page()}}")
    assert "first line more and more" in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300


def test_braces_that_are_no_expressions_do_not_hang() -> None:
    """Looking for the end of an expression gives up after some tries."""
    text = "{{ no python " + "}} " * 200_000

    with pytest.raises(ConfigError, match=r"\{\{no python\}\} is not a Python expression"):
        fill(text)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_mistake(raised: type[BaseException]) -> None:
    """What is not an Exception goes through."""

    def evaluate(code: object) -> None:
        raise raised

    with pytest.raises(raised):
        interpolate("{{x}}", evaluate)
