"""What stands behind `%%minimax` and `%minimax`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from IPython.core.error import UsageError

from minimax_magic.ipython.arguments import (
    OPTIONS,
    Command,
    dollars,
    help_text,
    parse_cell_line,
    parse_command,
    parse_line,
)
from minimax_magic.ipython.cell_errors import LineError


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
        ("--budget 0.05", {"budget": Decimal("0.05")}),
        ("--budget=0.05 x", {"budget": Decimal("0.05"), "into": "x"}),
        ("--budget $0.05", {"budget": Decimal("0.05")}),
        ("--budget=$1", {"budget": Decimal(1)}),
        ("--budget 0", {"budget": Decimal(0)}),
        ("--budget '2.50'", {"budget": Decimal("2.50")}),
        ("x --dry-run", {"dry_run": True, "into": "x"}),
        ("--dry-run --budget 1 x", {"dry_run": True, "budget": Decimal(1), "into": "x"}),
        ("-h", {"help": True}),
        ("--help", {"help": True}),
        ("--tools f,g x", {"tools": ("f", "g"), "into": "x"}),
        ("--tools f --tools=db.query,g", {"tools": ("f", "db.query", "g")}),
        ("--tools 'f, g'", {"tools": ("f", "g")}),
        ("--tools f --max-steps 3 --confirm", {"tools": ("f",), "max_steps": 3, "confirm": True}),
        ("--image a.png --image b", {"image": ("a.png", "b")}),
        ("--image 'my, picture.png'", {"image": ("my, picture.png",)}),
        ("--image=https://x.y/a,b?c=[1", {"image": ("https://x.y/a,b?c=[1",)}),
        ("--image data:image/png;base64,AA==", {"image": ("data:image/png;base64,AA==",)}),
        ("--image Out[3] --image _", {"image": ("Out[3]", "_")}),
        ("--ctx df,fig,_error", {"ctx": ("df", "fig", "_error")}),
        ("--ctx In[3],Out[3] --rows 5", {"ctx": ("In[3]", "Out[3]"), "rows": 5}),
        ("--ctx df[['a','b']],f(1,2),{1:2,3:4}", {"ctx": ("df[['a','b']]", "f(1,2)", "{1:2,3:4}")}),
        ("""--ctx d['a,b'],d["c)"]""", {"ctx": ("d['a,b']", 'd["c)"]')}),
        ("--ctx 'df[0:2], f(1, 2)' x", {"ctx": ("df[0:2]", "f(1, 2)"), "into": "x"}),
        ("--rows 0 --repair 0", {"rows": 0, "repair": 0}),
        ("--as Person who", {"as_": "Person", "into": "who"}),
        ("who --as list[Person]", {"as_": "list[Person]", "into": "who"}),
        ("--as 'dict[str, int]' --repair 1", {"as_": "dict[str, int]", "repair": 1}),
        ("--format html --allow-remote-images", {"format": "html", "allow_remote_images": True}),
        ("--format math", {"format": "math"}),
        ("--chat b --fork a --trim", {"chat": "b", "fork": "a", "trim": True}),
        ("--bg x", {"bg": True, "into": "x"}),
        (
            "--cache replay --cache-file 'my runs/a.json'",
            {"cache": "replay", "cache_file": "my runs/a.json"},
        ),
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
        ("--dry-run hello", {"dry_run": True, "prompt": "hello"}),
        ("--image a.png what is, this?", {"image": ("a.png",), "prompt": "what is, this?"}),
        ("--ctx df,x df, x", {"ctx": ("df", "x"), "prompt": "df, x"}),
        ("--as int 3 + 4", {"as_": "int", "prompt": "3 + 4"}),
        ("-- history trip", {"prompt": "history trip"}),
        ("--budget $2 cost of $5?", {"budget": Decimal(2), "prompt": "cost of $5?"}),
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
        ("--max-tokens 1.5", "--max-tokens takes a whole number from 1 on, not '1.5'"),
        ("--thinking maybe", "--thinking is one of on, off, auto, not 'maybe'"),
        ("--format pdf", "--format is one of markdown, text, code, json, html, math, not 'pdf'"),
        ("--flavor openai", "--flavor is one of openai_compat, anthropic_messages"),
        ("--raw=yes", "--raw takes no value"),
        ("--bg=1", "--bg takes no value"),
        ("--tools", "--tools needs a value: --tools NAMES."),
        ("--tools f, g", "--tools takes names with commas and no blanks between them."),
        ("--tools f,,g", "--tools takes names with commas"),
        ("--ctx ,", "--ctx takes names with commas"),
        ("--ctx ''", "--ctx takes names with commas"),
        ("--ctx 'open", "the quote after --ctx is not closed"),
        ("--image", "--image needs a value: --image IMAGE."),
        ("--as --bg", "--as needs a value: --as TYPE."),
        ("--max-steps 0", "--max-steps takes a whole number from 1 on, not '0'"),
        ("--rows -1", "--rows takes a whole number, not '-1'"),
        ("--repair many", "--repair takes a whole number, not 'many'"),
        ("--cache on", "--cache is one of record, replay, refresh, off, not 'on'"),
        ("--tool f", "Did you mean --tools?"),
        ("--images f", "Did you mean --image?"),
        ("--dry-run=yes", "--dry-run takes no value"),
        ("--dryrun", "unknown option --dryrun. Did you mean --dry-run?"),
        ("--budget", "--budget needs a value: --budget USD."),
        ("--budget --dry-run", "--budget needs a value"),
        ("--budget much", "--budget takes an amount in US dollars, such as 0.05, not 'much'."),
        ("--budget -1", "not '-1'"),
        ("--budget $", "not '$'"),
        ("--budget 0,05", "not '0,05'"),
        ("--budget NaN", "not 'NaN'"),
        ("--budget sNaN", "not 'sNaN'"),
        ("--budget inf", "not 'inf'"),
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


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("usage", Command("usage", {})),
        (" usage  --text ", Command("usage", {"--text": True})),
        ("dashboard", Command("dashboard", {})),
        ("dashboard --csv all.csv", Command("dashboard", {"--csv": "all.csv"})),
        ("dashboard --csv='all.csv'", Command("dashboard", {"--csv": "all.csv"})),
        ("dashboard --text", Command("dashboard", {"--text": True})),
        ("cost", Command("cost", {})),
        ("cost --budget 25", Command("cost", {"--budget": "25"})),
        ("cost --budget=$25", Command("cost", {"--budget": "$25"})),
    ],
)
def test_commands_of_usage(line: str, command: Command) -> None:
    """The commands of usage stand alone, or with options of their own."""
    assert parse_command(line) == command


@pytest.mark.parametrize(
    ("word", "meant"), [("waitt", "wait"), ("Usage", "usage"), ("dashbord", "dashboard")]
)
def test_a_slip_is_no_prompt(word: str, meant: str) -> None:
    """A single word that is nearly a command costs nothing; after ` -- ` it is asked all the same."""
    with pytest.raises(LineError, match=f"mean %minimax {meant}.*%minimax -- {word}"):
        parse_command(word)
    assert parse_line(f"-- {word}").marked


@pytest.mark.parametrize(
    "line",
    [
        "usage of the word however",
        "usage?",
        "cost of living",
        "costs --budget 25",
        "dashboard design --csv or not?",
        "the dashboard",
    ],
)
def test_prompts_about_usage(line: str) -> None:
    """Other words behind a command's name, or another form of it, make it a prompt."""
    assert parse_command(line) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("usage --txt", "%minimax usage has no option --txt. Did you mean --text?"),
        ("usage --budget 5", "no option --budget. There are --text."),
        ("dashboard --csv", "--csv needs a value: --csv FILE."),
        ("dashboard --csv --text", "--csv needs a value"),
        ("dashboard --text=no", "--text takes no value."),
        ("cost --budget", "--budget needs a value: --budget USD."),
        ("cost --budget=", "--budget needs a value"),
        ("cost --budget 5 dollars", "no option dollars"),
    ],
)
def test_wrong_commands_of_usage(line: str, message: str) -> None:
    """A wrong option of a command is one line that names it."""
    with pytest.raises(UsageError) as caught:
        parse_command(line)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("fix", Command("fix", {})),
        ("chats", Command("chats", {})),
        ("history", Command("history", {})),
        ("history trip", Command("history", {}, ("trip",))),
        ("history 'my trip'", Command("history", {}, ("my trip",))),
        ("forget", Command("forget", {})),
        ("forget trip", Command("forget", {}, ("trip",))),
        ("forget --last", Command("forget", {"--last": True})),
        ("forget trip --last", Command("forget", {"--last": True}, ("trip",))),
        ("forget --last trip", Command("forget", {"--last": True}, ("trip",))),
        ("save", Command("save", {})),
        ("save trip a.json", Command("save", {}, ("trip", "a.json"))),
        (r"save trip C:\dir\a.json", Command("save", {}, ("trip", r"C:\dir\a.json"))),
        ("save 'my trip' 'a b.json'", Command("save", {}, ("my trip", "a b.json"))),
        ("load a.json", Command("load", {}, ("a.json",))),
        ("load other ~/a.json", Command("load", {}, ("other", "~/a.json"))),
        ("jobs", Command("jobs", {})),
        ("wait", Command("wait", {})),
        ("wait 2", Command("wait", {}, ("2",))),
        ("cancel", Command("cancel", {})),
        ("cancel 12", Command("cancel", {}, ("12",))),
        ("doctor", Command("doctor", {})),
        (
            "doctor --no-spend --for aider",
            Command("doctor", {"--no-spend": True, "--for": "aider"}),
        ),
        ("doctor --json", Command("doctor", {"--json": True})),
        ("env", Command("env", {})),
        ("env aider", Command("env", {}, ("aider",))),
        ("env aider --shell cmd", Command("env", {"--shell": "cmd"}, ("aider",))),
        ("env --shell=cmd aider", Command("env", {"--shell": "cmd"}, ("aider",))),
        ("env --shell cmd aider", Command("env", {"--shell": "cmd"}, ("aider",))),
        (
            "env llm --model M --reveal",
            Command("env", {"--model": "M", "--reveal": True}, ("llm",)),
        ),
        ("write-script aider --force", Command("write-script", {"--force": True}, ("aider",))),
    ],
)
def test_commands_with_names(line: str, command: Command) -> None:
    """Chats, files, jobs and programs stand behind a command; what holds blanks, in quotes."""
    assert parse_command(line) == command


@pytest.mark.parametrize(
    "line",
    [
        "history of Rome",
        "chats about cats",
        "fix my code",
        "fix: x = 1 +",
        "forget what I said",
        "save the whales",
        "save money",
        "save 'half",
        "load balancing",
        "load balancing explained",
        "jobs in Berlin",
        "wait what?",
        "wait for it",
        "cancel culture",
        "cancel my job 3",
        "what's the history",
        "History trip",
        "doctor who",
        "env variables in Python",
        "write-script for me please",
        "",
    ],
)
def test_prompts_that_begin_like_commands(line: str) -> None:
    """More words than a command takes, or words that can be no file and no job, are a prompt."""
    assert parse_command(line) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "forget --lst",
            "%minimax forget has no option --lst. Did you mean --last? There are --last.",
        ),
        ("forget trip --last=yes", "--last takes no value."),
        ("history --last", "%minimax history has no option --last."),
        ("save trip a.json --force", "%minimax save has no option --force."),
        ("cancel 1 --now", "%minimax cancel has no option --now."),
        ("doctor --for", "--for needs a value: --for PROGRAM."),
        ("env aider --shell --reveal", "--shell needs a value: --shell SHELL."),
        ("env aider --reveal=yes", "--reveal takes no value."),
    ],
)
def test_wrong_commands_with_names(line: str, message: str) -> None:
    """An option that a command does not have is named, and not sent as a prompt."""
    with pytest.raises(UsageError) as caught:
        parse_command(line)
    assert str(caught.value) == message


def test_dollars_of_a_command() -> None:
    """A command takes amounts as a cell does."""
    assert dollars("--budget", "$25") == dollars("--budget", "25") == 25
    for text in ("-1", "nan", "much", ""):
        with pytest.raises(UsageError, match="--budget takes an amount in US dollars"):
            dollars("--budget", text)
