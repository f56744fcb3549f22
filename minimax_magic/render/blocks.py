"""Where a growing markdown text can be cut in two without looking different.

Only between blocks: after a blank line, outside fences and displayed math, and where the next block is
not a continuation of a list, quote or indented code. Cutting too rarely only costs bytes; cutting in
a wrong place breaks a list in two, so a line whose kind is not yet certain is waited for.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"^ *(?:(?:[-*+]|\d{1,9}[.)]) +)*(`{3,}|~{3,})(.*)$")
_LIST_ITEM = re.compile(r"^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)")
_MATH_OPEN = re.compile(r"\\\[|\\begin\{")
_MATH_CLOSE = re.compile(r"\\\]|\\end\{")
# a line that begins so can only be a paragraph or heading, whatever follows
_SURELY_PLAIN = re.compile(r"^(?:[^\W\d_]|#{1,6} )")


class BlockScanner:
    """Reads a text that only grows.

    Attributes:
        cut: Everything before this offset is finished blocks.
        fence: The line that opened the fence the text is in; empty outside of one.
    """

    def __init__(self) -> None:
        self.cut = 0
        self.fence = ""
        self._position = 0  # start of the first line not read yet
        self._mark = ""  # the run of ` or ~ that opened the fence
        self._math = False
        self._inside = ""  # "", "list" or "quote": what the next line may continue
        self._blank = False  # the line before was blank

    def advance(self, text: str) -> int:
        """Reads the complete lines of the text that are new and returns `cut`."""
        while (end := text.find("\n", self._position)) >= 0:
            self._line(text[self._position : end])
            self._position = end + 1
        rest = text[self._position :]
        if self._can_cut(rest) and _SURELY_PLAIN.match(rest):
            self.cut = self._position
        return self.cut

    def _line(self, line: str) -> None:
        if self.fence:
            stripped = line.strip()
            if set(stripped) == {self._mark[0]} and len(stripped) >= len(self._mark):
                self.fence = self._mark = ""
            self._blank = False
            return
        if self._math:
            self._math = not self._ends_math(line)
            self._blank = False
            return
        if not line.strip():
            self._blank = True
            return
        if self._can_cut(line):
            self.cut = self._position
        if line[:1] not in " \t" or not self._inside:
            self._inside = self._continues(line)
        self._blank = False
        fence = _FENCE.match(line)
        if fence and "`" not in fence[2]:
            self.fence, self._mark = line, fence[1]
        elif line.count("$$") % 2 == 1 or (
            _MATH_OPEN.search(line) and not _MATH_CLOSE.search(line)
        ):
            self._math = True

    def _can_cut(self, line: str) -> bool:
        if not self._blank or self.fence or self._math or not line.strip():
            return False
        if not self._inside:
            return True
        return line[:1] not in " \t" and self._continues(line) != self._inside

    @staticmethod
    def _continues(line: str) -> str:
        if _LIST_ITEM.match(line):
            return "list"
        if line.lstrip(" ").startswith(">"):
            return "quote"
        return "list" if line.startswith(("    ", "\t")) else ""

    @staticmethod
    def _ends_math(line: str) -> bool:
        return line.count("$$") % 2 == 1 or _MATH_CLOSE.search(line) is not None
