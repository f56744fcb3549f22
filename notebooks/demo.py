"""Runs a notebook in a real kernel and prints each answer as it streams into its cell.

python notebooks/demo.py notebooks/01_quickstart.ipynb
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

# what is drawn beside the answer while it streams: a status, notes, dimmed
_ASIDE = re.compile(r"<span [^>]*>.*?</span>", re.DOTALL)
# an open code block is closed for display, until its own end comes
_CLOSING_FENCE = re.compile(r"\n*(?:`{3,}|~{3,})$")


class Demo(NotebookClient):
    """Executes cells and follows their display updates."""

    def __init__(self, notebook: Any, **options: Any) -> None:
        super().__init__(notebook, **options)
        self._shown: dict[str, str] = {}
        self._printed = ""
        self._updates = 0
        self._began = 0.0

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        kind, content = msg["msg_type"], msg["content"]
        if kind == "execute_input":
            self._shown, self._printed, self._updates = {}, "", 0
            self._began = time.monotonic()
            lines = "\n".join(f"    {line}" for line in content["code"].splitlines())
            print(f"\nIn [{content['execution_count']}]:\n{lines}\n")
        elif kind in ("display_data", "update_display_data"):
            display_id = content.get("transient", {}).get("display_id", "")
            self._follow(display_id, content["data"])
        elif kind == "stream":
            print(content["text"], end="")
        elif kind == "execute_result":
            print(content["data"]["text/plain"])
        elif kind == "error":
            self._line("".join(content["traceback"]))
        return super().process_message(msg, cell, cell_index)

    def _follow(self, display_id: str, data: dict[str, str]) -> None:
        """Prints what is new of an answer; a finished summary as the line it is."""
        self._updates += 1
        if "text/html" in data and "text/plain" in data:
            self._line(data["text/plain"])
            seconds = time.monotonic() - self._began
            print(f"({self._updates} updates of the output in {seconds:.1f} s)")
            return
        self._shown[display_id] = _ASIDE.sub("", data.get("text/markdown", "")).rstrip()
        text = "\n\n".join(filter(None, (part.strip("\n") for part in self._shown.values())))
        if "text/plain" in data:  # the finished answer
            text = data["text/plain"].rstrip()
            if not text.startswith(self._printed):  # another form than what streamed
                self._line("")
        else:
            text = _CLOSING_FENCE.sub("", text)
        if text.startswith(self._printed):
            print(text[len(self._printed) :], end="", flush=True)
            self._printed = text

    def _line(self, text: str) -> None:
        print(f"\n{text}" if self._printed else text)
        self._printed = ""


def main() -> int:
    path = Path(sys.argv[1])
    notebook = nbformat.read(path, as_version=4)
    try:
        Demo(
            notebook,
            timeout=120,
            resources={"metadata": {"path": str(path.parent)}},
            # a local kernel over TCP warns that it is not encrypted, which is no news here
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        ).execute()
    except CellExecutionError as error:
        print(f"\n{path} failed: {error.ename}: {error.evalue}", file=sys.stderr)
        return 1
    print(f"\n{path}: all cells ran. Open it with `make lab`.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
