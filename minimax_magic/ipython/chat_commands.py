"""`%minimax chats`, `history`, `forget`, `save` and `load`."""

from __future__ import annotations

from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell

from minimax_magic.chat_files import load_chat, save_chat
from minimax_magic.chats import Chats
from minimax_magic.clock import utc
from minimax_magic.config_folders import label_of
from minimax_magic.errors import ConfigError
from minimax_magic.ipython.arguments import Command
from minimax_magic.ipython.cell_errors import LineError
from minimax_magic.ipython.live_output import show_once
from minimax_magic.render.bundle import Bundle
from minimax_magic.render.history import chats_bundle, history_bundle
from minimax_magic.session import Session
from minimax_magic.words import plural

_SUFFIX = ".json"


class ChatCommands:
    """The commands, for one shell."""

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self._shell = shell
        self._session = session

    @property
    def _chats(self) -> Chats:
        return self._session.chats

    def chats(self) -> None:
        rows = self._chats.summaries(self._session.settings().model)
        at = utc(self._session.clock.time())
        self._show(chats_bundle(rows, at=at, simulated=self._session.simulated))

    def history(self, command: Command) -> None:
        name = self._named(command)
        messages = self._chats.existing(name)
        self._show(history_bundle(name, messages, simulated=self._session.simulated))

    def forget(self, command: Command) -> None:
        if not (command.names or command.has("--last")):
            raise LineError(
                "what should be forgotten? `%minimax forget NAME` deletes a chat, "
                "`%minimax forget --last` the last turn of the latest one."
            )
        name = self._named(command)
        if command.has("--last"):
            left = self._chats.forget_last(name)
            print(f"The last turn of {name} is forgotten: {left} {plural(left, 'turn')} left.")
        else:
            turns = self._chats.forget(name)
            print(f"The chat {name} is forgotten, {turns} {plural(turns, 'turn')}.")

    def save(self, command: Command) -> None:
        if len(command.names) != 2:
            raise LineError("a name and a file are needed: %minimax save NAME FILE.json")
        name, path = command.names[0], self._path(command.names[1])
        messages = self._chats.existing(name)
        save_chat(
            name,
            messages,
            path,
            simulated=self._session.simulated,
            clock=self._session.clock,
        )
        print(f"The chat {name} is in {self._label(path)}.")

    def load(self, command: Command) -> None:
        if not command.names:
            raise LineError("a file is needed: %minimax load [NAME] FILE.json")
        path = self._path(command.names[-1])
        saved = load_chat(path)
        if saved.simulated and not self._session.simulated:
            raise ConfigError(
                f"{self._label(path)} holds answers of a simulator, which are not sent to MiniMax.",
                hint="Turn the simulator on with `%minimax simulator` to go on with it.",
            )
        name = command.names[0] if len(command.names) == 2 else saved.name
        replaced = " It replaces the one of that name." if name in self._chats else ""
        self._chats.put(name, saved.messages)
        print(f"The chat {name} is loaded: go on with `%%minimax --chat {name}`.{replaced}")

    def _named(self, command: Command) -> str:
        """The chat that is meant: the last used if none is named."""
        name = command.names[0] if command.names else self._chats.last_used
        if name is None:
            raise ConfigError("There is no chat yet.", hint="`%%minimax --chat NAME` begins one.")
        return name

    def _path(self, word: str) -> Path:
        path = Path(word).expanduser()
        if path.suffix != _SUFFIX:
            raise LineError(f"a chat is kept in a file that ends in {_SUFFIX}, not {word!r}.")
        return path if path.is_absolute() else Path.cwd() / path

    def _label(self, path: Path) -> str:
        return label_of(path, Path.cwd())

    def _show(self, bundle: Bundle) -> None:
        show_once(bundle, rich=getattr(self._shell, "kernel", None) is not None)
