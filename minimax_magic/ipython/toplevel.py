"""Turning a top-level `%%minimax` cell of a kernel into an `await`.

A blocked kernel runs none of the user's tasks, and on ipykernel 7.4 delivers no widget message either.
An awaited cell has neither fault and is interrupted just as well. But it only works where IPython
itself would await: in a real kernel whose loop runs, on its main thread, with autoawait on, and not
inside another cell (`%%time`, `%%capture`, `run_cell`), which is compiled without `await`. Everywhere
else the ordinary magic runs.
"""

from __future__ import annotations

import re
import threading

from IPython.core.async_helpers import _asyncio_runner
from IPython.core.interactiveshell import InteractiveShell

_FIRST_LINE = re.compile(r"^%%minimax(?:[ \t]+(.*?))?[ \t]*\r?\n?$", re.DOTALL)
_HELP = re.compile(r"(?:^|\s)(?:-h|--help)(?:\s|$)")


class TopLevelAwait:
    """An input transformer, and the events that tell it how deep it is.

    Args:
        magics: Name under which the magics' instance is registered; it has an async
            `minimax_awaited(line, cell)`.
    """

    def __init__(self, shell: InteractiveShell, magics: str) -> None:
        self._shell = shell
        self._magics = magics
        self._open: list[object] = []  # the cells that are running, outermost first

    def install(self) -> None:
        self._shell.input_transformers_cleanup.append(self.transform)
        self._shell.events.register("pre_run_cell", self._entered)
        self._shell.events.register("post_run_cell", self._left)

    def remove(self) -> None:
        transformers = self._shell.input_transformers_cleanup
        transformers[:] = [known for known in transformers if known != self.transform]
        self._shell.events.unregister("pre_run_cell", self._entered)
        self._shell.events.unregister("post_run_cell", self._left)

    def transform(self, lines: list[str]) -> list[str]:
        first = _FIRST_LINE.match(lines[0]) if lines else None
        if first is None:
            return lines
        line, body = first[1] or "", "".join(lines[1:])
        if _HELP.search(line) and not body.strip():
            # IPython refuses a cell magic without a body
            return ["get_ipython().run_cell_magic('minimax', '--help', '\\n')\n"]
        if not self._awaitable():
            return lines
        registry = f"get_ipython().magics_manager.registry[{self._magics!r}]"
        return [f"await {registry}.minimax_awaited({line!r}, {body!r})\n"]

    # else a console that asks whether the cell is complete is told so after its first line
    transform.has_side_effects = True  # type: ignore[attr-defined]

    def _awaitable(self) -> bool:
        shell = self._shell
        if getattr(shell, "kernel", None) is None or not shell.autoawait or self._open:
            return False
        if shell.loop_runner is not _asyncio_runner:  # `%autoawait trio` and the like
            return False
        if threading.current_thread() is not threading.main_thread():
            return False
        import asyncio  # a kernel has it; where there is none, loading the extension need not wait

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    def _entered(self, info: object) -> None:
        self._open.append(info)

    def _left(self, result: object) -> None:
        # Not all that is left was entered: the cell that loaded the extension, and an empty one.
        # A cell that broke off has no result; it is the innermost.
        info = getattr(result, "info", None) or (self._open[-1] if self._open else None)
        self._open = [cell for cell in self._open if cell is not info]
