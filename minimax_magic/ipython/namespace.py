"""What a cell hands over by name: tools, images, data, the type of the answer.

A name is any expression of the user's, evaluated once in their namespace, and only because the cell
says it.
"""

from __future__ import annotations

import builtins
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from minimax_magic.context.describe import Piece, describe, describe_error
from minimax_magic.errors import ConfigError
from minimax_magic.images import has_image, image_block
from minimax_magic.ipython.cell_errors import OfOurs
from minimax_magic.ipython.shown_images import ShownImages
from minimax_magic.messages import ImageBlock
from minimax_magic.structured import OutputType, output_type
from minimax_magic.tools.functions import ToolFunction, as_tool, registered

LAST_ERROR = "_error"
# how an earlier output is named
_OUTPUT = re.compile(r"_{1,3}|_\d+|(?:Out|_oh)\[\d+\]")
_MOST_SHOWN = 200


class Namespace:
    """The user's variables, as a cell names them.

    Args:
        folder: Gives what paths of files are relative to.
        shown: What earlier cells displayed.
    """

    def __init__(
        self, shell: InteractiveShell, folder: Callable[[], Path], shown: ShownImages
    ) -> None:
        self._shell = shell
        self._shown = shown
        self._folder_now = folder

    @property
    def _folder(self) -> Path:
        return self._folder_now()

    def tool(self, name: str) -> ToolFunction:
        """The function of that name, or the one that was registered under it.

        Raises:
            ConfigError: There is none, or it cannot be offered.
        """
        known = registered().get(name)
        if known is not None and name not in self._shell.user_ns:
            return known
        value = self.value(name, "--tools")
        if isinstance(value, ToolFunction):
            return value
        if known is not None and getattr(value, "__wrapped__", value) is known.function:
            return known
        return as_tool(value)

    def image(self, name: str) -> ImageBlock:
        """An image: a variable, an earlier output, a file or an address.

        Raises:
            ConfigError: It is none of them, or no image.
        """
        if "://" in name or name.startswith("data:") or not self._is_expression(name):
            return image_block(name, name=name[:_MOST_SHOWN], folder=self._folder)
        output = _OUTPUT.fullmatch(name.strip())
        try:
            value = self.value(name, "--image")
        except ConfigError:
            # a cell without a value may have displayed an image all the same
            if output is None or (shown := self._displayed(output[0])) is None:
                raise
            return image_block(shown, name=name)
        if output is not None and not has_image(value):
            shown = self._displayed(output[0])
            value = value if shown is None else shown
        return image_block(value, name=name, folder=self._folder)

    def piece(self, name: str, rows: int) -> Piece:
        """What is told of it.

        Raises:
            ConfigError: It is not defined, or raised.
        """
        if name == LAST_ERROR and LAST_ERROR not in self._shell.user_ns:
            error = last_error()
            if error is None:
                raise ConfigError("There was no error yet.", hint="`_error` is the last one.")
            return describe_error(error)
        return describe(name, self.value(name, "--ctx"), rows=rows)

    def pieces(self, names: Sequence[str], rows: int) -> list[Piece]:
        return [self.piece(name, rows) for name in dict.fromkeys(names)]

    def output(self, name: str, taken: Sequence[str]) -> OutputType:
        """The type of that name.

        Raises:
            ConfigError: It is none.
        """
        return output_type(self.value(name, "--as"), taken=taken)

    def value(self, name: str, flag: str) -> Any:
        """The value of an expression.

        Raises:
            ConfigError: It is no expression, not defined, or raised.
        """
        try:
            code = compile(name.strip(), f"<{flag}>", "eval")
        except (SyntaxError, ValueError):
            raise ConfigError(
                f"{flag} {_short(name)}: that is no Python expression.", hint="Nothing was sent."
            ) from None
        try:
            return eval(code, self._shell.user_global_ns, self._shell.user_ns)  # noqa: S307 - the user's own
        except NameError as error:
            raise ConfigError(
                f"{flag} {_short(name)}: {error.name or name!r} is not defined.",
                hint="Run the cell that defines it first. Nothing was sent.",
            ) from None
        except Exception as error:
            raised = f"{type(error).__name__}: {_short(str(error))}".rstrip(": ")
            raise ConfigError(
                f"{flag} {_short(name)} raised {raised}.", hint="Nothing was sent."
            ) from None

    def names(self) -> list[str]:
        """The user's own variables, for Tab."""
        hidden = self._shell.user_ns_hidden
        return [
            name
            for name, value in self._shell.user_ns.items()
            if not name.startswith("_") and hidden.get(name, self) is not value
        ]

    def tool_names(self) -> list[str]:
        """What can be a tool, for Tab."""
        own = self._shell.user_ns
        functions = [name for name in self.names() if inspect.isroutine(own[name])]
        return [*dict.fromkeys([*registered(), *functions])]

    def _is_expression(self, name: str) -> bool:
        """Whether it is one of the user's, and not the name of a file or nothing at all."""
        if _OUTPUT.fullmatch(name.strip()):
            return True
        with suppress(OSError):  # too long for one
            if (self._folder / name).is_file() and name not in self._shell.user_ns:
                return False
        try:
            code = compile(name.strip(), "<--image>", "eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
        first = code.co_names[0] if code.co_names else ""
        return first in self._shell.user_ns or hasattr(builtins, first)

    def _displayed(self, name: str) -> Any:
        """The last image that the cell behind `_3`, `Out[3]` or `_` displayed; None without one."""
        until: int | None
        if found := re.search(r"\d+", name):
            since = until = int(found[0])
        else:  # the cell with that value, or a later one, which had none
            values = self._shell.user_ns.get("_oh", {})
            value = self._shell.user_ns.get(name)
            since = max((n for n, other in values.items() if other is value), default=0)
            until = None if name == "_" else since
        bundle = self._shown.latest(since, until)
        return None if bundle is None else _Bundle(bundle)


class _Bundle:
    """What was displayed, as an object that displays it."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return self._data


def last_error() -> BaseException | None:
    """The exception that ended a cell last; None if none did. What our own cells say of themselves, a
    missing key for one, is none."""
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    if isinstance(error, OfOurs):
        error = error.before
    return error if isinstance(error, BaseException) else None


def _short(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _MOST_SHOWN else f"{line[: _MOST_SHOWN - 3]}..."
