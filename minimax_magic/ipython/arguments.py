"""The options of the magics: one table, from which the parser, the help and Tab completion are made."""

from __future__ import annotations

import io
import keyword
import re
import shlex
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from minimax_magic.ipython.cell_errors import LineError

if TYPE_CHECKING:
    from decimal import Decimal

Values = Literal[
    "", "models", "agents", "chats", "regions", "names", "tools", "jobs", "programs", "shells"
]


# `%load_ext` waits for this module, so the two records below are none of the dataclasses used elsewhere:
# those write and compile their methods at import, milliseconds for so many fields.
class Option(NamedTuple):
    """One option.

    Attributes:
        metavar: What its value is called; empty for a flag.
        values: Which names of the session complete it with Tab.
        many: Whether it may be given several times, or several values with commas between them.
    """

    flag: str
    help: str
    metavar: str = ""
    convert: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    values: Values = ""
    many: bool = False

    @property
    def name(self) -> str:
        name = self.flag.removeprefix("--").replace("-", "_")
        return f"{name}_" if keyword.iskeyword(name) else name


def _dollars(text: str) -> Decimal:
    from decimal import Decimal, InvalidOperation

    try:
        usd = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        raise ValueError from None
    if not usd.is_finite() or usd < 0 or (usd and not -12 <= usd.adjusted() <= 9):
        raise ValueError  # nobody means it, and figures of any length would have to be printed
    return usd


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


OPTIONS: tuple[Option, ...] = (
    Option("--model", "model id, for instance MiniMax-M2.5", "ID", values="models"),
    Option(
        "--agent",
        "agent of config/agents.d: model, system prompt, tools, ...",
        "NAME",
        values="agents",
    ),
    Option(
        "--flavor",
        "wire format; told from base_url if not given",
        "WIRE",
        choices=("openai_compat", "anthropic_messages"),
    ),
    Option("--system", "system prompt, in quotes", "TEXT"),
    Option("--temperature", "0 to 2", "T", float),
    Option("--top-p", "0 to 1", "P", float),
    Option("--max-tokens", "most output tokens, thinking included", "N", _positive),
    Option("--thinking", "whether the model thinks first", "WHEN", choices=("on", "off", "auto")),
    Option("--no-stream", "wait for the whole answer"),
    Option(
        "--tools",
        "functions of yours that the model may call",
        "NAMES",
        values="tools",
        many=True,
    ),
    Option("--max-steps", "most requests for this cell: 10 if not given", "N", _positive),
    Option("--confirm", "ask before each call"),
    Option(
        "--image",
        "a variable, file or URL; may be given several times",
        "IMAGE",
        values="names",
        many=True,
    ),
    Option(
        "--ctx",
        "variables, functions, _error, In[3], Out[3] to send along, described",
        "NAMES",
        values="names",
        many=True,
    ),
    Option("--rows", "rows of tables to send along: 0 if not given", "N", _count),
    Option(
        "--as", "type of the answer: the variable receives a valid value", "TYPE", values="names"
    ),
    Option("--repair", "how often an answer that is not valid is sent back: 2", "N", _count),
    Option(
        "--format",
        "how the answer is shown",
        "FORM",
        choices=("markdown", "text", "code", "json", "html", "math"),
    ),
    Option("--allow-remote-images", "load images that the answer links to"),
    Option("--chat", "go on with the conversation of that name", "NAME", values="chats"),
    Option("--new", "begin that conversation anew"),
    Option("--fork", "begin it with a copy of another one", "NAME", values="chats"),
    Option("--trim", "leave out its oldest turns if it is too long for the model"),
    Option("--bg", "answer in the background: the next cells can run"),
    Option(
        "--cache",
        "whether answers are recorded, and replayed without asking again",
        "MODE",
        choices=("record", "replay", "refresh", "off"),
    ),
    Option("--cache-file", "where: a .json file goes well with git", "FILE"),
    Option("--budget", "US dollars that this cell may cost at most", "USD", _dollars),
    Option("--dry-run", "show what would be sent and what it could cost; send nothing"),
    Option("--raw", "send the cell as it is: {{...}} is not evaluated"),
    Option("--help", "show this"),
)
_WORD = re.compile(r"(\S*)\s*(.*)", re.DOTALL)
_BY_FLAG = {option.flag: option for option in OPTIONS}

SUBCOMMANDS = {
    "login": "sign in with a Token Plan, or enter an API key",
    "logout": "delete the login",
    "status": "which credential is used and why, server, wire",
    "usage": "tokens, cost and what is left of the plan, live",
    "dashboard": "where the money went: charts, tables, CSV",
    "cost": "what a query costs, and how long a budget lasts",
    "fix": "explain the last error and offer a corrected cell",
    "chats": "the conversations there are",
    "history": "what was said in one",
    "forget": "delete one, or its last turn",
    "save": "write one to a file",
    "load": "read it back",
    "jobs": "what runs in the background",
    "wait": "until one is done, or all; shows those that ended since",
    "cancel": "stop it",
    "setup": "write a commented config/llm.yaml and an agent",
    "doctor": "find out what does not work, and how to mend it",
    "env": "what makes Aider, LiteLLM, Claude Code and others work with the same credential",
    "write-script": "write start-aider.sh and start-aider.bat, without the key in them",
    "simulator": "answer from a local simulator: no key, no network, no cost",
    "simulator off": "back to the configured server",
    "simulator approve": "approve the sign-in that waits at the simulator, as its page does",
    "simulator deny": "decline it",
}
# what may stand behind a command, each with the name of its value; empty for a flag
COMMAND_OPTIONS: dict[str, dict[str, str]] = {
    "login": {"--region": "NAME", "--key": "", "--session": "", "--user": "", "--text": ""},
    "logout": {"--yes": ""},
    "usage": {"--text": ""},
    "dashboard": {"--text": "", "--csv": "FILE"},
    "cost": {"--budget": "USD"},
    "forget": {"--last": ""},
    "setup": {"--force": ""},
    "doctor": {"--no-spend": "", "--for": "PROGRAM", "--json": "", "--report": ""},
    "env": {"--shell": "SHELL", "--model": "ID", "--reveal": ""},
    "write-script": {"--force": ""},
}
# the names that may stand behind one; those in brackets may be left out
COMMAND_NAMES: dict[str, str] = {
    "history": "[NAME]",
    "forget": "[NAME]",
    "save": "NAME FILE",
    "load": "[NAME] FILE",
    "wait": "[JOB]",
    "cancel": "JOB",
    "env": "PROGRAM",
    "write-script": "PROGRAM",
}
# no key goes behind these
_KEYLESS = ("login", "logout", "setup", "doctor", "env", "write-script")
# the last is any other token, which has a digit somewhere; long words have none
_KEY_LIKE = re.compile(r"(sk-|eyJ)[\w.-]{8,}|(?=\D*\d)[\w-]{40,}")


class Command(NamedTuple):
    """A command of `%minimax` and what stands behind it.

    Attributes:
        options: By flag; True for one without a value.
        names: The words behind it.
    """

    name: str
    options: dict[str, Any]
    names: tuple[str, ...] = ()

    def has(self, flag: str) -> bool:
        return flag in self.options


def parse_command(prompt: str) -> Command | None:
    """The command in what stands behind `%minimax`; None if it is a prompt.

    Raises:
        LineError: It is a command, but not with these options.
    """
    words = _words(prompt)
    if (name := " ".join(words)) in SUBCOMMANDS:
        return Command(name, {})
    if not words:
        return None
    keyless = words[0] in _KEYLESS
    if keyless and any(_KEY_LIKE.fullmatch(part) for word in words[1:] for part in _parts(word)):
        raise LineError(
            f"%minimax {words[0]} takes no key, and what stands in a cell is saved with the notebook: "
            "remove it, replace that key at MiniMax, and enter the new one in the panel"
            f"{'' if words[0] == 'login' else ' of %minimax login'}."
        )
    if words[0] in COMMAND_NAMES:
        return _command_with_names(words[0], words[1:])
    if len(words) == 1:
        _refuse_near_miss(words[0])
    if words[0] not in COMMAND_OPTIONS:
        return None
    if not words[1].startswith("--"):
        return None
    return Command(words[0], _command_options(words[0], words[1:]))


def _refuse_near_miss(word: str) -> None:
    """A single word that is nearly a command is a slip, and would cost money as a prompt."""
    import difflib  # only a prompt of one word pays for it

    near = difflib.get_close_matches(word.lower(), SUBCOMMANDS, n=1, cutoff=0.8)
    if near and not word.endswith("?"):
        raise LineError(f"did you mean %minimax {near[0]}? To ask {word!r}: %minimax -- {word}")


def _command_with_names(command: str, words: list[str]) -> Command | None:
    """One with as many names as it takes; with more, or with words that can be no file or number of
    a job, it is a prompt that begins like a command."""
    flags, names = flags_and_names(command, words)
    wanted = COMMAND_NAMES[command].split()
    least = sum(not name.startswith("[") for name in wanted)
    if not least <= len(names) <= len(wanted):
        return None
    kind = wanted[-1].strip("[]")
    if names and kind in _LOOKS_LIKE and not _LOOKS_LIKE[kind].search(names[-1]):
        return None
    return Command(command, _command_options(command, flags), names)


def flags_and_names(command: str, words: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Apart: flags with the values behind them, and the names."""
    known = COMMAND_OPTIONS.get(command, {})
    flags: list[str] = []
    names: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("--"):
            names.append(word)
            continue
        flags.append(word)
        if known.get(word) and (value := next(rest, "")):  # none after `--shell=cmd`
            flags.append(value)
    return flags, tuple(names)


# What the last name of a command must look like: `save the whales` and `cancel culture` are prompts.
_LOOKS_LIKE = {"FILE": re.compile(r"[./\\~]"), "JOB": re.compile(r"\d")}


def _words(text: str) -> list[str]:
    """Apart at blanks, but for those in quotes; a backslash is part of a path."""
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = lexer.escape = ""
    try:
        return [*lexer]
    except ValueError:  # an apostrophe: it is a prompt
        return text.split()


def _parts(word: str) -> list[str]:
    """`--key='x'` as `--key` and `x`: what somebody pastes may stand in quotes or behind a flag."""
    return [part.strip("\"'`,;:") for part in word.split("=", 1)]


def _command_options(name: str, words: list[str]) -> dict[str, Any]:
    known = COMMAND_OPTIONS.get(name, {})
    found: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        if flag not in known:
            there = f" There are {', '.join(known)}." if known else ""
            raise LineError(
                f"%minimax {name} has no option {flag}.{_similar(flag, list(known))}{there}"
            )
        if not known[flag]:
            if equals:
                raise LineError(f"{flag} takes no value.")
            found[flag] = True
            continue
        value = value if equals else next(rest, "")
        if not value or value.startswith("--"):
            raise LineError(f"{flag} needs a value: {flag} {known[flag]}.")
        found[flag] = value.strip("\"'")
    return found


class Options:
    """What a magic's line says. None: not said.

    Attributes:
        into: The variable that receives the reply.
        prompt: The rest of a `%minimax` line.
        into_after: The flag before it, if that takes several names; else empty.
        marked: Whether ` -- ` marks that as a prompt, even if it reads like a command.
    """

    into: str | None = None
    into_after: str = ""
    prompt: str = ""
    marked: bool = False
    model: str | None = None
    agent: str | None = None
    flavor: str | None = None
    system: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    thinking: str | None = None
    no_stream: bool = False
    tools: tuple[str, ...] = ()
    max_steps: int | None = None
    confirm: bool = False
    image: tuple[str, ...] = ()
    ctx: tuple[str, ...] = ()
    rows: int | None = None
    as_: str | None = None
    repair: int | None = None
    format: str | None = None
    allow_remote_images: bool = False
    chat: str | None = None
    new: bool = False
    fork: str | None = None
    trim: bool = False
    bg: bool = False
    cache: str | None = None
    cache_file: str | None = None
    budget: Decimal | None = None
    dry_run: bool = False
    raw: bool = False
    help: bool = False

    def __init__(self) -> None:
        self.given: set[str] = set()
        self.last_many = ""  # the flag that was read last, if it takes several names


def parse_cell_line(line: str) -> Options:
    """The line of `%%minimax [variable] [options]`.

    Raises:
        LineError: One sentence that names what is wrong.
    """
    options, rest = _parse(line)
    words = rest.split()
    if words and words[0].isidentifier() and not keyword.iskeyword(words[0]):
        options.into = unicodedata.normalize("NFKC", words[0])  # as Python reads names
        options.into_after = options.last_many
        # options may stand on both sides of the variable
        options, rest = _parse(rest.split(maxsplit=1)[1] if len(words) > 1 else "", options)
    if rest:
        raise LineError(
            f"%%minimax: {rest.split()[0]!r} is neither an option nor a variable name. "
            "The prompt goes below the %%minimax line."
        )
    return options


def parse_line(line: str) -> Options:
    """The line of `%minimax [options] prompt`. The prompt is taken as it is, quotes included.

    Raises:
        LineError: One sentence that names what is wrong.
    """
    options, prompt = _parse(line)
    options.prompt = prompt
    return options


def _parse(line: str, options: Options | None = None) -> tuple[Options, str]:
    """Reads options from the left and returns them with what follows the last one."""
    options = options or Options()
    rest = line.strip()
    while rest.startswith("-"):
        word, rest = _first_word(rest)
        if word == "--":
            options.marked = True
            break
        flag, equals, value = word.partition("=")
        option = _BY_FLAG.get("--help" if flag == "-h" else flag)
        if option is None:
            raise LineError(
                f"unknown option {flag}.{_similar(flag, list(_BY_FLAG))} See %%minimax? "
                "(A %minimax prompt that begins with a dash goes after ` -- `.)"
            )
        options.given.add(option.name)
        options.last_many = option.flag if option.many else ""
        if not option.metavar:
            if equals:
                raise LineError(f"{option.flag} takes no value.")
            setattr(options, option.name, True)
            continue
        # a value in quotes may hold blanks, on either side of an equals sign
        value, rest = _value(option, f"{value} {rest}" if equals else rest)
        if option.many:
            values = (*getattr(options, option.name), *_several(option, value))
            setattr(options, option.name, values)
        else:
            setattr(options, option.name, _convert(option, value))
    return options, rest


def _several(option: Option, text: str) -> list[str]:
    """Values apart at commas, but for those in brackets or quotes: `df, f(1, 2)` are two. A file or an
    address is one, whatever is in it."""
    if option.name == "image":
        return [text]
    found, part, depth, quote = [], "", 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and not depth:
            found.append(part)
            part = ""
            continue
        part += letter
    names = [name.strip() for name in (*found, part)]
    if not all(names):
        raise LineError(f"{option.flag} takes names with commas and no blanks between them.")
    return names


def _value(option: Option, text: str) -> tuple[str, str]:
    if not text.strip() or text[0] == " " or text.startswith("--"):
        raise LineError(f"{option.flag} needs a value: {option.flag} {option.metavar}.")
    if text[0] not in "'\"":
        return _first_word(text)
    stream = io.StringIO(text)
    lexer = shlex.shlex(stream, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        value = lexer.get_token() or ""
    except ValueError:
        raise LineError(f"the quote after {option.flag} is not closed.") from None
    return value, stream.read().lstrip()


def _first_word(text: str) -> tuple[str, str]:
    found = _WORD.match(text)
    assert found is not None  # it matches anything
    return found[1], found[2]


def dollars(flag: str, text: str) -> Decimal:
    """An amount that stands behind an option of a command.

    Raises:
        LineError: It is none.
    """
    try:
        return _dollars(text)
    except ValueError:
        raise LineError(
            f"{flag} takes an amount in US dollars, such as 25, not {text!r}."
        ) from None


def check_program(name: str, said_by: str, hint: str = "") -> None:
    """Does nothing for a program that is known.

    Args:
        said_by: The option or command that the name stands behind.
        hint: What else to say of another one.

    Raises:
        LineError: It is another one.
    """
    from minimax_magic.programs.names import PROGRAMS
    from minimax_magic.words import meant

    if name not in PROGRAMS:
        known = ", ".join(PROGRAMS)
        raise LineError(f"{said_by} knows {known}, not {name!r}{meant(name, PROGRAMS)}.{hint}")


def _convert(option: Option, value: str) -> Any:
    if option.choices and value not in option.choices:
        known = ", ".join(option.choices)
        raise LineError(f"{option.flag} is one of {known}, not {value!r}.")
    try:
        return option.convert(value)
    except ValueError:
        kinds: dict[Callable[[str], Any], str] = {
            _positive: "a whole number from 1 on",
            _count: "a whole number",
            _dollars: "an amount in US dollars, such as 0.05",
        }
        kind = kinds.get(option.convert, "a number")
        raise LineError(f"{option.flag} takes {kind}, not {value!r}.") from None


def _similar(word: str, known: list[str]) -> str:
    import difflib  # only a mistyped option pays for it

    close = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean {close[0]}?" if close else ""


def usage_of(command: str) -> str:
    """A command with the names that stand behind it: `save NAME FILE`."""
    return f"{command} {COMMAND_NAMES.get(command, '')}".rstrip()


def help_text() -> str:
    """The options as a table of plain text, for `?` and `--help`."""
    width = max(len(f"{option.flag} {option.metavar}") for option in OPTIONS)
    lines = []
    for option in OPTIONS:
        choices = f" ({', '.join(option.choices)})" if option.choices else ""
        left = f"{option.flag} {option.metavar}".ljust(width)
        lines.append(f"  {left}  {option.help}{choices}")
    return "\n".join(lines)


assert all(hasattr(Options, option.name) for option in OPTIONS)
