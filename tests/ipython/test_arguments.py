"""What stands behind `%%minimax` and `%minimax`."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.error import UsageError

from minimax_magic.ipython.arguments import OPTIONS, help_text, parse_cell_line, parse_line


def said(options: Any) -> dict[str, Any]:
    """What differs from an empty line."""
    empty = parse_cell_line("")
    names = [option.name for option in OPTIONS] + ["into", "prompt"]
    return {n: getattr(options, n) for n in names if getattr(options, n) != getattr(empty, n)}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", {}),
        ("   ", {}),
        ("answer", {"into": "answer"}),
        ("  answer  ", {"into": "answer"}),
        ("ответ", {"into": "ответ"}),
        ("ﬁrst", {"into": "first"}),
        ("answer --model M", {"into": "answer", "model": "M"}),
        ("--model M answer", {"into": "answer", "model": "M"}),
        ("--model M answer --new", {"into": "answer", "model": "M", "new": True}),
        ("--model=M", {"model": "M"}),
        ("--model\tM\tanswer", {"model": "M", "into": "answer"}),
        ("--model  M   --raw", {"model": "M", "raw": True}),
        ("--model M --model N", {"model": "N"}),
        ("--system 'be brief'", {"system": "be brief"}),
        ('--system "it\'s"', {"system": "it's"}),
        ('--system="be brief" x', {"system": "be brief", "into": "x"}),
        (r'--system "a \"b\" C:\dir"', {"system": r'a "b" C:\dir'}),
        ("--system '--model'", {"system": "--model"}),
        ("--system 'größe 🙂 #1'", {"system": "größe 🙂 #1"}),
        ('--system ""', {"system": ""}),
        ("--temperature 0", {"temperature": 0.0}),
        ("--temperature -1", {"temperature": -1.0}),
        ("--top-p .5 --max-tokens 7", {"top_p": 0.5, "max_tokens": 7}),
        ("--flavor anthropic_messages", {"flavor": "anthropic_messages"}),
        ("--thinking off --format json", {"thinking": "off", "format": "json"}),
        ("--no-stream --new --chat c", {"no_stream": True, "new": True, "chat": "c"}),
        ("-h", {"help": True}),
        ("--help", {"help": True}),
    ],
)
def test_cell_lines(line: str, expected: dict[str, Any]) -> None:
    """Options stand on either side of the variable, with a blank or `=`, in quotes if need be."""
    assert said(parse_cell_line(line)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hi there", {"prompt": "hi there"}),
        ("what's 'this' \"here", {"prompt": "what's 'this' \"here"}),
        ("--model M a -- b --raw", {"model": "M", "prompt": "a -- b --raw"}),
        ("-- --model is an option", {"prompt": "--model is an option"}),
        ("--raw {{x}}  {y} $z", {"raw": True, "prompt": "{{x}}  {y} $z"}),
        ("--system 'a b' c d", {"system": "a b", "prompt": "c d"}),
        ("--system 'a b'\tc", {"system": "a b", "prompt": "c"}),
    ],
)
def test_prompt_lines(line: str, expected: dict[str, Any]) -> None:
    """Options come before the prompt, which is taken as it is."""
    assert said(parse_line(line)) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--modle M", "unknown option --modle. Did you mean --model?"),
        ("--frobnicate", "unknown option --frobnicate."),
        ("--model", "--model needs a value"),
        ("--model=", "--model needs a value"),
        ("--model= M", "--model needs a value"),
        ("--model --raw", "--model needs a value"),
        ("--temperature warm", "--temperature takes a number, not 'warm'"),
        ("--max-tokens 1.5", "--max-tokens takes a whole number, not '1.5'"),
        ("--thinking maybe", "--thinking is one of on, off, auto, not 'maybe'"),
        ("--format html", "--format is one of markdown, text, code, json"),
        ("--flavor openai", "--flavor is one of openai_compat, anthropic_messages"),
        ("--raw=yes", "--raw takes no value"),
        ("--system 'open", "the quote after --system is not closed"),
        ("a b", "'b' is neither an option nor a variable name"),
        ("two-words", "'two-words' is neither an option nor a variable name"),
        ("for", "'for' is neither an option nor a variable name"),
        ("None", "'None' is neither an option nor a variable name"),
        ("1st", "'1st' is neither"),
        ("—model M", "'—model' is neither"),
        ("answer # note", "'#' is neither"),
    ],
)
def test_wrong_cell_lines(line: str, message: str) -> None:
    """A wrong line is a usage error of one line that names what is wrong."""
    with pytest.raises(UsageError) as caught:
        parse_cell_line(line)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_prompt_with_a_dash() -> None:
    """A line prompt that begins with a dash is refused, and the refusal says how to send it."""
    with pytest.raises(UsageError, match="goes after ` -- `"):
        parse_line("-5 + 3")
    assert parse_line("-- -5 + 3").prompt == "-5 + 3"


def test_every_option_is_in_the_help() -> None:
    """The help has a line for every option, with the values it may have."""
    text = help_text()
    for option in OPTIONS:
        line = next(line for line in text.splitlines() if line.split()[0] == option.flag)
        assert option.help in line
        assert all(choice in line for choice in option.choices)
