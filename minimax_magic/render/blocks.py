"""The block structure of a growing markdown text, as far as it is certain.

Two questions are asked of it. Where can the text be cut in two without looking different? Only between
top-level blocks: never in a fence, list, quote, table, indented code or displayed math. And which lines
are surely code? Only those may carry raw HTML to the browser.

Renderers differ in odd cases (lazy lines, code indented less than its fence, tabs). Nothing is guessed
there: the state is *unsure* until an unindented line after a blank one, which is at the top level for
everybody, and while it is, nothing is cut and little is taken for code. Where even that would not
tell, nothing more is taken for code. Both only cost bytes or a visible `&lt;`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["blank", "text", "code", "open", "close"]

_LIST_ITEM = re.compile(r"([-*+]|(\d{1,9})[.)])(?:([ \t]+)|$)")
_RULE = re.compile(r"([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_FENCE = re.compile(r"(`{3,})[^`]*$|(~{3,}).*$")
_FENCE_LIKE = re.compile(r"`{3}|~{3}")
_MATH_LIKE = re.compile(r"[$\\]")
_TASK_FENCE = re.compile(r"\[[ xX]\] *(?:`{3}|~{3})")
_QUOTE = re.compile(r"( *)> ?")
_MATH = re.compile(r"\$\$|\\\[|\\begin\{")
_MATH_END = re.compile(r"\$\$|\\\]|\\end\{")
# A line that begins so can only be a paragraph or heading, whatever follows.
_SURELY_PLAIN = re.compile(r"[^\W\d_]|#{1,6} ")
# Displayed math with more blank lines than this is a stray `$$`.
_MATH_BLANKS = 2
# Quotes in quotes that are looked into.
_MOST_QUOTES = 4
# A paragraph that is not seen: the definition of a link that nobody makes. It ends a list.
_UNSEEN = "[\u2063]: #"


@dataclass(frozen=True, slots=True)
class Fence:
    """An open fence.

    Attributes:
        line: The line that opened it.
        mark: Its run of ` or ~.
        column: Where that run begins.
        base: Indentation of what holds it; None if that is unsure.
    """

    line: str
    mark: str
    column: int
    base: int | None


class BlockScanner:
    """Reads a text line by line.

    Attributes:
        cut: Everything before this offset is finished blocks.
        fence: The fence the text is in; None outside of one.
    """

    def __init__(self, *, sure: bool = True, depth: int = 0) -> None:
        self.cut = 0
        self.fence: Fence | None = None
        self._position = 0  # start of the first line not read yet
        self._columns: list[int] = []  # where the contents of the open list items begin
        self._sure = sure  # whether that is all that is open
        self._depth = depth  # of the quote it reads
        self._murky = False  # unsure, and perhaps inside a fence of a list
        self._lost = False  # nothing is surely code any more
        self._quote: BlockScanner | None = None
        self._quote_indent = 0
        self._inside: Literal["", "list", "quote", "code"] = ""  # what the next line may go on with
        self._math_blanks: int | None = None  # blank lines in the open displayed math
        self._listed = False  # there was a list: for some, indented code may still belong to it
        self._blank = True

    @property
    def quoted(self) -> bool:
        """Whether the line read last belongs to a quote."""
        return self._quote is not None

    @property
    def in_list(self) -> bool:
        """Whether what follows could go on with a list."""
        return self._inside == "list" or bool(self._columns)

    def advance(self, text: str) -> int:
        """Reads the lines that have been completed since the last call and returns `cut`."""
        while (end := text.find("\n", self._position)) >= 0:
            line = text[self._position : end]
            if self._begins_block(line):
                self.cut = self._position
            self.read(line)
            self._position = end + 1
        rest = text[self._position :]
        if _SURELY_PLAIN.match(rest) and self._begins_block(rest):
            self.cut = self._position
        return self.cut

    # ------------------------------------------------------------------------------- one line

    def read(self, line: str) -> Kind:
        """What a complete line is; `code` only where every renderer agrees."""
        if self.fence is not None:
            kind = self._in_fence(line, self.fence)
        elif not line.strip(" \t"):
            return self._empty_line()
        else:
            kind = self._outside(line)
        return "text" if self._lost else kind

    def _outside(self, line: str) -> Kind:
        body = line.lstrip(" \t")
        indent = len(line) - len(body)
        after_blank, self._blank = self._blank, False
        if after_blank and not indent:  # the top level, for everybody
            self._columns.clear()
            self._sure, self._murky, self._inside = True, False, ""
        if self._murky:
            self._lost |= indent <= 3 and _FENCE_LIKE.match(body) is not None
            return "text"
        if "\t" in line[:indent]:
            return self._tab(line[:indent], body, after_blank)
        if quote := _QUOTE.match(line):
            return self._quoted(line, quote, after_blank)
        lazy = self._quote is not None
        self._quote = None
        if fence := _FENCE.match(body):
            return self._open(line, fence[1] or fence[2], indent, after_blank)
        if (_FENCE_LIKE.match(body) and _MATH_LIKE.search(body)) or body.startswith((": ", ":\t")):
            # without its math it is a fence, and so JupyterLab reads it; or it is a definition list
            self._lost = True
        item = None if _RULE.match(body) else _LIST_ITEM.match(body)
        if item is not None and self._is_item(indent):
            return self._item(line, body, item, indent, after_blank)
        if after_blank:
            self._close_items(indent)
        elif lazy or (self._columns and indent < self._columns[-1]):
            self._sure = False
        if not self._columns and self._sure and indent >= 4:
            if after_blank or self._inside == "code":
                self._inside = "code"
                return "text" if self._listed else "code"
        elif self._inside == "code":
            self._inside = ""
        self._math(body)
        return "text"

    def _math(self, body: str) -> None:
        ends = len(_MATH_END.findall(body))
        if self._math_blanks is not None:
            if ends:
                self._math_blanks = None
        elif _MATH.match(body) and ends < (2 if body.startswith("$$") else 1):
            self._math_blanks = 0

    def _empty_line(self) -> Kind:
        self._blank = True
        self._quote = None
        if self._math_blanks is not None:
            self._math_blanks += 1
            if self._math_blanks > _MATH_BLANKS:
                self._math_blanks = None
        return "blank"

    def _tab(self, leading: str, body: str, after_blank: bool) -> Kind:
        if self._columns or not self._sure or self._depth or " " in leading:
            self._murky = True  # renderers count the columns of a tab differently
            self._inside = self._inside or "list"
            return "text"
        if after_blank or self._inside == "code":
            self._inside = "code"
            return "text" if self._listed else "code"
        self._lost |= _FENCE_LIKE.match(body) is not None
        return "text"

    # -------------------------------------------------------------------------------- fences

    def _open(self, line: str, mark: str, column: int, after_blank: bool) -> Kind:
        """`column` is where the mark stands; it may follow the marker of a list item."""
        if self._close_items(column) and column:
            self._lost = True  # for mistune, which exports notebooks, it is a part of the item
        base = self._columns[-1] if self._columns else 0
        if not column:
            self._sure = True
        if self._sure and column - base <= 3:
            if not self._columns:
                self._inside = ""
            self.fence = Fence(line, mark, column, base)
        elif column <= 3:
            self.fence = Fence(line, mark, column, None)
        elif not self._columns and self._sure and not after_blank:
            return "text"  # the paragraph goes on
        elif not self._columns and self._sure:
            self._inside = "code"
            return "text" if self._listed else "code"
        else:
            self._murky = True
            return "text"
        return "open"

    def _in_fence(self, line: str, fence: Fence) -> Kind:
        body = line.strip(" \t")
        if not body:
            self._blank = True
            return "code"
        indent = len(line) - len(line.lstrip(" "))
        if indent < fence.column:
            if fence.base is None or indent < fence.base:
                # a list's fence is over, if not before, where the list is; another may go on for ever
                self.fence = None
                self._murky = True
                self._lost |= not fence.base
                return self.read(line)
            self._lost = True
        self._blank = False
        if not body.startswith(fence.mark):
            return "code"
        rest = line.strip(" ").removeprefix(fence.mark).lstrip(fence.mark[0])
        low = indent - (fence.base if fence.base is not None else fence.column)
        if not rest and (low <= 3 if fence.base is not None else not low):
            self.fence = None
            return "close"
        if not rest.strip("`~ \t") and (fence.base is None or low <= 3):
            self._lost = True  # renderers disagree on whether this closes
        return "code"

    # ---------------------------------------------------------------------- lists and quotes

    def _close_items(self, indent: int) -> bool:
        """Closes what a line with this indentation cannot belong to. Returns whether it did."""
        before = len(self._columns)
        while self._columns and indent < self._columns[-1]:
            self._columns.pop()
        return len(self._columns) < before

    def _is_item(self, indent: int) -> bool:
        outer = [column for column in self._columns if column <= indent]
        return indent - (outer[-1] if outer else 0) <= 3

    def _item(
        self, line: str, body: str, item: re.Match[str], indent: int, after_blank: bool
    ) -> Kind:
        sibling = self._close_items(indent)
        self._inside, self._listed = "list", True
        gap = item[3] or ""
        rest = body[item.end() :]
        interrupts = not after_blank and not sibling and (item[2] or "1") != "1"
        if "\t" in gap or (interrupts and _FENCE_LIKE.match(rest)):
            self._murky = True
            return "text"
        if not rest or len(gap) > 4 or interrupts:
            self._sure = False
        column = indent + item.end() if rest else indent + len(item[1]) + 1
        self._columns.append(column)
        if fence := _FENCE.match(rest):
            return self._open(line, fence[1] or fence[2], column, after_blank)
        if _LIST_ITEM.match(rest) or rest.startswith(">"):
            self._sure = False
        if _FENCE_LIKE.match(rest.lstrip("-*+>0123456789.) ")):
            self._murky = True
        if _TASK_FENCE.match(rest):
            self._lost = True
        return "text"

    def _quoted(self, line: str, quote: re.Match[str], after_blank: bool) -> Kind:
        indent = len(quote[1])
        if self._close_items(indent) and not after_blank:
            self._sure = False
        base = self._columns[-1] if self._columns else 0
        if indent - base > 3 or self._depth == _MOST_QUOTES:
            self._sure = False
            return "text"
        if self._quote is None or indent != self._quote_indent:
            self._quote = BlockScanner(sure=self._sure and after_blank, depth=self._depth + 1)
            self._quote._lost = self._lost or not after_blank
            self._quote_indent = indent
        if not self._columns:
            self._inside = "quote"
        return self._quote.read(line[quote.end() :])

    # --------------------------------------------------------------------------------- cutting

    def _begins_block(self, line: str) -> bool:
        """Whether a new top-level block begins with this line, which is not read yet."""
        body = line.lstrip(" \t")
        if not self._blank or not body:
            return False
        if self.fence is not None or self._math_blanks is not None:
            return False
        if not self._inside:
            return self._sure and not self._murky and not self._columns
        if body != line:
            return False
        if self._inside == "list":
            return _RULE.match(line) is not None or not _LIST_ITEM.match(line)
        return self._inside != "quote" or not line.startswith(">")


def seam(text: str) -> str:
    """What to put behind a text so that another one below it begins with a block of its own.

    An open fence is closed; a list is ended, since a list below would go on with its numbers. Taken out
    again by `without_seams`.
    """
    scanner = BlockScanner()
    scanner.advance(f"{text}\n")
    fence = scanner.fence
    closed = f"\n{' ' * fence.column}{fence.mark}" if fence is not None else ""
    ended = f"\n\n{_UNSEEN}" if scanner.in_list or (fence is not None and fence.column) else ""
    return f"{closed}{ended}\n\n"


def without_seams(text: str) -> str:
    """The text as plain text."""
    return text.replace(f"\n\n{_UNSEEN}\n\n", "\n\n")
