"""Chats as files: readable JSON, for its owner alone, written whole or not at all.

A file comes from anywhere: all of it is checked before any of it is used, and no error quotes it.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from minimax_magic.auth.store import write_private
from minimax_magic.chats import unpaired
from minimax_magic.clock import Clock, SystemClock, utc
from minimax_magic.errors import ConfigError
from minimax_magic.messages import Message
from minimax_magic.text import whole
from minimax_magic.words import system_reason

VERSION: Final = 1
_MARK = "minimax_magic_chat"
# a context full of images is a few dozen of these; whoever names a larger file has taken the wrong one
_MOST_BYTES = 256 * 1024 * 1024
_NEWER = "Upgrade minimax_magic to read it."
_HOW = "`%minimax save NAME FILE` makes one."


@dataclass(frozen=True, slots=True)
class SavedChat:
    """What a file holds.

    Attributes:
        saved_at: Aware, UTC.
        simulated: Whether a simulator gave the answers.
    """

    name: str
    messages: tuple[Message, ...]
    simulated: bool
    saved_at: datetime


class _File(BaseModel):
    name: str = Field(min_length=1, max_length=200)
    saved_at: AwareDatetime
    simulated: bool
    messages: tuple[Message, ...]


def save_chat(
    name: str,
    messages: Sequence[Message],
    path: Path,
    *,
    simulated: bool,
    clock: Clock | None = None,
) -> None:
    """Writes a chat, images included, to a file that only its owner can read (0600).

    A chat that was saved there before is replaced. A folder that does not exist is made, for its owner
    alone and ignored by git: a chat may hold private data. A link stays one.

    Args:
        clock: Says when that is; None: the machine's.

    Raises:
        ConfigError: There is another file of that name, or it cannot be written.
    """
    label = _label(path)
    target = _free(path, label)
    head = {
        _MARK: VERSION,
        "name": name,
        "saved_at": utc((clock or SystemClock()).time()).isoformat(),
        "simulated": simulated,
    }
    try:
        # not in pydantic's JSON mode, which refuses half a character
        said = [message.model_dump(exclude_none=True) for message in messages]
        text = json.dumps({**head, "messages": said}, indent=2, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        raise ConfigError(
            f"The chat {name} cannot be saved: an argument of a call is no JSON.",
            hint="`%minimax history` shows the calls.",
        ) from None
    write_private(target, f"{whole(text)}\n".encode(), label)


def load_chat(path: Path) -> SavedChat:
    """A chat from its file, checked: what it holds can be sent.

    Raises:
        ConfigError: It cannot be read, is no chat, is of a newer version, or something in it is wrong;
            names the file and the place.
    """
    label = _label(path)
    document = _document(path, label)
    version = document[_MARK]
    if type(version) is int and version > VERSION:
        raise ConfigError(
            f"{label} was saved by a newer minimax_magic (version {version} of the format).",
            hint=_NEWER,
        )
    if type(version) is not int or version < 1:
        raise ConfigError(f"{label}: {_MARK}: not a version.", hint=f"It should be {VERSION}.")
    try:
        file = _File.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"{label}: {_place(first['loc'])}: {said[:1].lower()}{said[1:]}.",
            hint="Nothing was loaded.",
        ) from None
    wrong = unpaired(file.messages)
    if wrong is not None:
        at, problem = wrong
        raise ConfigError(
            f"{label}: messages[{at}]: {_short(problem)}.",
            hint="Nothing was loaded: a server would refuse it.",
        )
    return SavedChat(file.name, file.messages, file.simulated, file.saved_at)


def _free(path: Path, label: str) -> Path:
    """Where to write, links followed.

    Raises:
        ConfigError: Something is there that is no chat of ours.
    """
    try:
        target = Path(os.path.realpath(path))
        taken = os.path.lexists(target)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        raise ConfigError(f"{label} cannot be a file.", hint="Choose another name.") from None
    if taken:
        try:
            _document(target, label)
        except ConfigError:
            raise ConfigError(
                f"{label} exists and is no saved chat: it is left as it is.",
                hint="Choose another name.",
            ) from None
    return target


def _document(path: Path, label: str) -> dict[str, Any]:
    """The JSON object of a file that says it is a chat.

    Raises:
        ConfigError: It cannot be read, or says no such thing.
    """
    data = _bytes(path, label)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{label} is not a text file in UTF-8.", hint=_HOW) from None
    try:
        document = json.loads(text)
        if r"\ud" in text.lower():
            # an escape may stand for half a character, which nothing could send or show
            document = json.loads(whole(json.dumps(document, ensure_ascii=False)))
    except json.JSONDecodeError as error:
        said = f"{error.msg[:1].lower()}{error.msg[1:]}"
        raise ConfigError(f"{label} line {error.lineno} is not JSON: {said}.", hint=_HOW) from None
    except (ValueError, RecursionError):  # a number of thousands of digits; brackets without end
        raise ConfigError(f"{label} is not JSON that can be read.", hint=_HOW) from None
    if not isinstance(document, dict) or _MARK not in document:
        raise ConfigError(f"{label} is no saved chat.", hint=_HOW)
    return document


def _bytes(path: Path, label: str) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading from a pipe would wait for ever
            raise ConfigError(f"{label} is not a file.", hint=_HOW)
        if status.st_size > _MOST_BYTES:
            most = f"{_MOST_BYTES // 1024**2} MB"
            raise ConfigError(f"{label} is larger than {most} and no chat.", hint=_HOW)
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{label} cannot be read: {system_reason(error)}.",
            hint="Check that it is a file you may read.",
        ) from None
    except ValueError:  # a NUL in the name
        raise ConfigError(f"{label} cannot be a file.", hint="Check its name.") from None


def _place(where: tuple[int | str, ...]) -> str:
    """`messages[3].content[0].text`; pydantic also names the kind of block, which is no key."""
    parts: list[str] = []
    for at, part in enumerate(where):
        if isinstance(part, int):
            parts.append(f"[{part}]")
        elif at != 4:
            parts.append(f".{_short(part)}" if parts else _short(part))
    return "".join(parts)


def _label(path: Path) -> str:
    return _short(str(path))


def _short(text: str) -> str:
    """One line: a name or an id from a file may hold anything."""
    line = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return line if len(line) <= 200 else f"{line[:200]}..."
