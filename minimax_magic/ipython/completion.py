"""Tab completion of options and their values on `%%minimax` and `%minimax` lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias, cast

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from minimax_magic.ipython.arguments import (
    COMMAND_OPTIONS,
    OPTIONS,
    SUBCOMMANDS,
    Values,
    flags_and_names,
)
from minimax_magic.programs.names import SCRIPTED

_LINE = re.compile(r"^\s*%{1,2}minimax(\s.*)?$")
_BY_FLAG = {option.flag: option for option in OPTIONS}


# What stands behind a command.
_NAMED: dict[str, Values] = {
    "history": "chats",
    "forget": "chats",
    "save": "chats",
    "wait": "jobs",
    "cancel": "jobs",
    "env": "programs",
}
# and behind an option of one
_OPTION_VALUES: dict[str, Values] = {
    "--region": "regions",
    "--for": "programs",
    "--shell": "shells",
    "--model": "models",
}

Matcher: TypeAlias = Callable[[CompletionContext], SimpleMatcherResult]


def make_matcher(names: Callable[[Values], Iterable[str]]) -> Matcher:
    """A matcher for `Completer.custom_matchers`.

    Args:
        names: Gives what there is of a kind: models, chats, variables, tools and others.
    """

    @context_matcher()  # type: ignore[untyped-decorator]
    def minimax_matcher(context: CompletionContext) -> SimpleMatcherResult:
        before = context.line_with_cursor[: context.cursor_position]
        matched = _LINE.match(before)
        if matched is None or matched[1] is None:
            return {"completions": []}
        found = list(candidates(before, names))
        fragment = re.split(r"[\s=,]", before)[-1]
        return {
            "completions": [SimpleCompletion(text=text, type="param") for text in found],
            "matched_fragment": fragment,
            "suppress": bool(found),
        }

    return cast(Matcher, minimax_matcher)


def candidates(before: str, names: Callable[[Values], Iterable[str]]) -> Iterable[str]:
    """What may stand at the end of a line that begins with the magic.

    Args:
        before: The line up to the cursor.
    """
    words = before.split(" ")
    last = words[-1]
    flag, equals, value = last.partition("=")
    if not equals:
        flag, value = words[-2] if len(words) > 1 else "", last
    command = before.lstrip().removeprefix("%minimax").split()
    if command and command[0] in COMMAND_OPTIONS and before.lstrip().startswith("%minimax "):
        if last.startswith("-") and not equals:
            flags = COMMAND_OPTIONS[command[0]]
            return [f for f in flags if f.startswith(last) and f not in words[:-1]]
        if flag in COMMAND_OPTIONS[command[0]] and flag in _OPTION_VALUES:
            return [name for name in names(_OPTION_VALUES[flag]) if name.startswith(value)]
    if command and command[0] == "write-script" and len(command) + (not last) == 2:
        return [name for name in SCRIPTED if name.startswith(last)]
    if command and command[0] in _NAMED and len(command) + (not last) > 1:
        behind = [*command[1:], *([] if last else [""])]
        named = flags_and_names(command[0], behind)[1]
        if len(named) > 1:  # what follows is a file
            return []
        return [name for name in names(_NAMED[command[0]]) if name.startswith(last)]
    option = _BY_FLAG.get(flag)
    if option is not None and option.metavar:
        if option.many:
            value = value.rpartition(",")[2]
        known = option.choices or (names(option.values) if option.values else ())
        return [name for name in known if name.startswith(value)]
    if last.startswith("-"):
        given = {word.partition("=")[0] for word in words[:-1]}
        again = {o.flag for o in OPTIONS if o.many}
        free = [o.flag for o in OPTIONS if o.flag in again or o.flag not in given]
        return [flag for flag in free if flag.startswith(last)]
    if before.lstrip().startswith("%minimax"):
        typed = before.lstrip().removeprefix("%minimax").lstrip()
        place = typed.count(" ")
        fitting = [command.split(" ") for command in SUBCOMMANDS if command.startswith(typed)]
        found = [parts[place] for parts in fitting if typed and len(parts) > place]
        return list(dict.fromkeys(found))
    return []
