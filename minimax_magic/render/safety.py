"""Making a model's markdown harmless before a front end draws it.

Front ends trust the output of a cell that was just run, raw HTML included, and a model can be talked
into writing a `<script>`, an image whose address carries your data away, or a `javascript:` link.
Outside of code such things are shown instead of obeyed. Code keeps its `<` only where every renderer
takes it for code (`blocks`), and where JupyterLab, which takes math out of a text before it looks for
code, does so too. Wherever that is in doubt a reader sees `&lt;` instead of `<`, and nothing worse.
"""

from __future__ import annotations

import html
import re

from minimax_magic.render.blocks import BlockScanner, Kind
from minimax_magic.render.dollars import MATH

_SUSPECT = re.compile(
    r"[<\"&]|@\\*@|!\[|\]\(|\]:|\\(?:href|class|style|css|data|unicode|mml|bbox|require|html|include|"
    r"g?def|[ex]def|let|future|(?:re)?new|provide|Declare)"
)
_NEWLINE = re.compile(r"\r\n?|\n")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_AUTOLINK = re.compile(r"<(?:https?://|mailto:)[^\s<>`\"'\\$]*>")
# Where a link says where it goes: inline, or in a definition such as `[1]: https://...`.
_TARGET = re.compile(r"\](?=[(:]\s*<?\s*([^\s)>]{0,300}))")
_SCHEME = re.compile(r"[^/?#]*?:")
_HARMLESS = ("http:", "https:", "mailto:")
# An image; with alt and address if it is of the one form that is certain: no bracket, quote or math
# in it that a renderer could take for its end, or put back into an attribute.
_IMAGE = re.compile(
    r"!\[(?:([^\[\]\\`$<>\"'\n]{0,1000})\]\((https?://[^\s()<>\"'`$\\]{1,2000})\))?", re.IGNORECASE
)
_IS_IMAGE = re.compile(r"!\[[^\]\n]{0,1000}\][(\[]")
# MathJax can make links, styles and classes of these, and macros of one formula hold in all others.
_MACRO = re.compile(
    r"\\(?=(?:href|class|style|cssId|data|unicode|mmlToken|bbox|require|html[A-Z][a-z]+|includegraphics)"
    r"\s*[\[{]|(?:[gex]?def|let|futurelet|(?:re)?newcommand|(?:re)?newenvironment|providecommand|"
    r"DeclareMathOperator|DeclarePairedDelimiters?X?)(?![A-Za-z]))"
)
_NO_MACRO = "\\\u200c"
_DEFINES = re.compile(r"^([ \t>*+\-\d.)]*\[[^\n]*?\]):", re.MULTILINE)
_DEFINITION = re.compile(r"[\s>]*\[[^\[\]\\`]+\]: *[^\s<>\"'()`$\\]+(?: +\"[^\"\\`$]*\")? *$")
_TITLE_BELOW = re.compile(r"[\s>]*[\"'(]")
_PLAIN_OPENING = re.compile(r"[^`~]*[`~]+[\w+#.\-/ ]*")
# Where an address may stand. JupyterLab puts math back in as it was, so in an address it could end the
# attribute of the link.
_ADDRESS = re.compile(r"(?:://|www\.|mailto:|\]\(|\]:)\s*\S*", re.IGNORECASE)
_TITLE = re.compile(r"\]\(\s*+(?:<|[^\s)]{0,1000}+\s+[^\s)]|[^\s)]{1000})")
# What JupyterLab begins or ends math at, in code too.
_MATH_TOKEN = re.compile(r"\$|\\begin\{|\\end\{|\\\\[()\[\]]", re.IGNORECASE)
# What MathJax begins a formula at, which looks at the finished page.
_MATH_SEEN = re.compile(r"\$|\\(?:begin\{|[(\[])", re.IGNORECASE)
# JupyterLab writes `@@0@@` for the first formula while the markdown is parsed. The parser takes
# backslashes out of addresses, titles and languages; what then looks like such a mark becomes a formula
# in an attribute, with its quotes. A formula's own mark may be the end of one: `@@0$x$`.
_AT = r"(?:@|&(?:#0*64|#[xX]0*40|commat);?)"
_FORMULA_MARK = re.compile(rf"{_AT}\\*{_AT}(?=\d|&#)")
_NO_MARK = "@\u200c@"
_ZEROS = re.compile(r"(&#[xX]?)0++(?=[\da-fA-F])")
_LONG_NUMBER = re.compile(r"&#[xX]?[\da-fA-F]{9,}+;?")
_RUN = re.compile(r"\\[\\`]|`+|" + _AUTOLINK.pattern)
_SPACE = re.compile(r"\s+")
# In the word before a code span: an address could swallow its backtick.
_ADDRESS_PART = re.compile(r"[:@<]|www\.", re.IGNORECASE)
_FENCE_LIKE = re.compile(r"^[ \t>*+\-\d.)\[\]xX]*(?:`{3}|~{3})", re.MULTILINE)
# A line that may open a fence, with its language: JupyterLab writes it into an attribute as it is.
_OPENING = re.compile(_FENCE_LIKE.pattern + r"(?:(?<=`)`*+[^`\n]*$|(?<=~)[^\n]*)", re.MULTILINE)


def escape_html(markdown: str, *, remote_images: bool = False) -> str:
    """The markdown without anything that a browser would load or run by itself.

    Raw HTML, images and links to unusual schemes are shown as text; code, `<https://...>` and ordinary
    links stay as they are.

    Args:
        remote_images: Whether `![text](https://...)` may be loaded. Other forms never are.
    """
    return _Escaper(remote_images=remote_images).escape(markdown)


def images_left_out(markdown: str, *, remote_images: bool = False) -> int:
    """How many images `escape_html` makes text of."""
    escaper = _Escaper(remote_images=remote_images)
    escaper.escape(markdown)
    return escaper.images_left_out


def escape_math(latex: str) -> str:
    """LaTeX without what would make a link or style of it, or change other formulas."""
    return _MACRO.sub(lambda macro: _NO_MACRO, latex)


def _kinds(lines: list[str]) -> list[Kind]:
    scanner = BlockScanner()
    kinds: list[Kind] = []
    quote = 0  # where the quote began that the line is in
    for at, line in enumerate(lines):
        kinds.append(scanner.read(line))
        if not scanner.quoted:
            _distrust(lines, kinds, quote, at)
            quote = at + 1
    _distrust(lines, kinds, quote, len(lines))
    return kinds


def _distrust(lines: list[str], kinds: list[Kind], start: int, end: int) -> None:
    """Makes a whole quote with fences text if there is math in it, also below: no empty line can keep
    JupyterLab's math from its fences."""
    if "open" in kinds[start:end] and any(map(_MATH_TOKEN.search, lines[start:end])):
        kinds[start:end] = ["text" if kind != "blank" else kind for kind in kinds[start:end]]


def _fence(lines: list[str], *, closed: bool) -> list[str]:
    """A fenced block. Code that JupyterLab could take for a part of math gets empty lines around it,
    which math cannot cross: else it would swallow the fence, and what follows would be text."""
    lines = [_PLAIN_OPENING.match(lines[0])[0].rstrip(), *lines[1:]]  # type: ignore[index]
    if closed:
        lines[-1] = lines[-1].rstrip()
    if _MATH_TOKEN.search("\n".join(lines)):
        return ["", *lines, ""]
    return lines


# ----------------------------------------------------------------------------------------- prose


class _Escaper:
    """One run over a text.

    Attributes:
        images_left_out: Counted on the way.
    """

    def __init__(self, *, remote_images: bool) -> None:
        self._remote_images = remote_images
        self._math = False  # whether there may be some in the paragraph
        self._typeset = False  # whether MathJax may find some in the page, if not the parser
        self.images_left_out = 0

    def escape(self, markdown: str) -> str:
        if not _SUSPECT.search(markdown):
            return markdown
        lines = [line if line.strip() else "" for line in _NEWLINE.split(markdown)]
        kinds = _kinds(lines)
        out: list[str] = []
        at = 0
        while at < len(lines):
            end = at + 1
            if kinds[at] == "text":
                while end < len(lines) and kinds[end] == "text":
                    end += 1
                out.append(self._prose("\n".join(lines[at:end])))
            elif kinds[at] == "open":
                while end < len(lines) and kinds[end] in ("code", "close"):
                    end += 1
                    if kinds[end - 1] == "close":
                        break
                out += _fence(lines[at:end], closed=kinds[end - 1] == "close")
            else:
                out.append(lines[at].rstrip() if kinds[at] == "blank" else lines[at])
            at = end
        return "\n".join(out)

    def _prose(self, text: str) -> str:
        text = _defuse_definitions(text)
        self._math = _MATH_TOKEN.search(text) is not None
        self._typeset = self._math or (
            "&" in text and _MATH_SEEN.search(_as_seen(text)) is not None
        )
        if _FENCE_LIKE.search(text):
            # it may be a fence after all, whose language is an attribute
            text = (
                _quoted(text) if self._math else _OPENING.sub(lambda line: _quoted(line[0]), text)
            )
        pieces: list[str] = []
        at = 0
        for start, end in _sure_code_spans(text):
            pieces += [self._defuse(text[at:start]), text[start:end]]
            at = end
        pieces.append(self._defuse(text[at:]))
        # at last, since what goes away above can bring two signs together
        return _FORMULA_MARK.sub(_NO_MARK, "".join(pieces))

    def _defuse(self, text: str) -> str:
        """Text outside of code without tags, images and odd links."""
        if self._typeset:
            text = escape_math(text)
            if "&" in text and _MACRO.search(_as_seen(text)):
                text = text.replace("&", "&amp;")
        if self._math:
            text = _TITLE.sub(lambda link: f"]\\\\{link[0][1:]}", text)
            text = _ADDRESS.sub(lambda address: _MATH_TOKEN.sub(_percent, address[0]), text)
        text = _TARGET.sub(lambda target: "]" if _harmless(target[1]) else "]\\", text)
        text = _IMAGE.sub(self._image, text)
        pieces: list[str] = []
        at = 0
        for math in MATH.finditer(text):
            # in math an entity would be shown as it is, and a space means nothing
            pieces += [_escape_tags(text[at : math.start()]), _TAG.sub("< ", math[0])]
            at = math.end()
        pieces.append(_escape_tags(text[at:]))
        return "".join(pieces)

    def _image(self, image: re.Match[str]) -> str:
        if image[2] and self._remote_images:
            # the parser takes emphasis out of the text, which must not bring two of these together
            alt = image[1].replace("@", "@\u200c")
            return f"![{alt}]({image[2]})"
        self.images_left_out += _IS_IMAGE.match(image.string, image.start()) is not None
        if not image[2]:
            return "&#33;["
        return f"{image[1]} (image not loaded: <{image[2]}>)".lstrip()


def _escape_tags(text: str) -> str:
    pieces: list[str] = []
    at = 0
    for link in _AUTOLINK.finditer(text):
        pieces += [_TAG.sub("&lt;", text[at : link.start()]), link[0]]
        at = link.end()
    pieces.append(_TAG.sub("&lt;", text[at:]))
    return "".join(pieces)


def _quoted(text: str) -> str:
    return text.replace('"', "&quot;")


def _as_seen(text: str) -> str:
    """The text with its references as signs; `html.unescape` alone fails for thousands of digits."""
    return html.unescape(_LONG_NUMBER.sub("", _ZEROS.sub(r"\1", text)))


def _percent(token: re.Match[str]) -> str:
    return f"%{ord(token[0][0]):02X}{token[0][1:]}"


def _harmless(target: str) -> bool:
    plain = re.sub(r"[\x00-\x20\\]", "", html.unescape(target)).lower()
    if scheme := _SCHEME.match(plain):
        return scheme[0] in _HARMLESS
    return len(target) < 300 or re.search("[/?#]", plain) is not None


def _defuse_definitions(text: str) -> str:
    """Link definitions are kept if they are whole on their line: with a title that goes on they reach,
    in some renderers, over fences and empty lines."""
    if "]:" not in text:
        return text
    lines = text.split("\n")
    for at, line in enumerate(lines):
        below = lines[at + 1] if at + 1 < len(lines) else ""
        if not _DEFINITION.match(line) or _TITLE_BELOW.match(below):
            lines[at] = _DEFINES.sub(r"\1\\:", line)
    return "\n".join(lines)


def _sure_code_spans(text: str) -> list[tuple[int, int]]:
    """The code spans that hold something to escape and that every renderer takes for code.

    They lie on one line, each line before them pairs up all its backticks, and nothing begins before
    them that could swallow one: a link's target, an address, strikethrough (tildes and backticks side
    by side are one for some). In a table a | would end them.
    """
    if "`" not in text:
        return []
    sure: list[tuple[int, int]] = []
    table = any(map(_is_table_rule, text.split("\n")))
    simple = True  # only single backticks so far, and no backslash before one
    depth = 0  # open brackets
    target = False  # whether a link's parenthesis is open
    address = False  # whether the current word could be an address
    begin = 0
    for line in text.split("\n"):
        runs = [run for run in _RUN.finditer(line) if run[0][0] == "`"]
        at = outside = 0  # the next run, and where the text outside of code spans goes on
        while at < len(runs):
            opening = runs[at]
            mark = opening[0]
            last = next((n for n in range(at + 1, len(runs)) if runs[n][0] == mark), None)
            if last is None:
                return sure
            at = last + 1
            closing = runs[last]
            before = line[outside : opening.start()]
            inside = line[opening.end() : closing.start()]
            outside = closing.end()
            depth += before.count("[") - before.count("]")
            target = _target_open(before, target)
            word = _SPACE.split(before)
            address = (address and len(word) == 1) or _ADDRESS_PART.search(word[-1]) is not None
            simple = simple and len(mark) == 1 and not before.endswith("\\")
            if (
                (target or address or before.endswith("~") or "\\" in inside or "~" in inside)
                or (table and "|" in inside)
                or ("$" in inside and not simple)
            ):
                return sure
            if (
                ("<" in inside or "](" in inside or "![" in inside)
                and "$" not in inside
                and (simple or not set(inside) & set("*_`"))
                and (depth <= 0 or not set(inside) & set("[]"))
            ):
                sure.append((begin + opening.start(), begin + closing.end()))
        after = line[outside:]
        depth += after.count("[") - after.count("]")
        target = _target_open(after, target)
        address = False
        begin += len(line) + 1
    return sure


def _is_table_rule(line: str) -> bool:
    return "-" in line and not "".join(line.split()).strip("|:>-")


def _target_open(text: str, before: bool) -> bool:
    opened, closed = text.rfind("]("), text.rfind(")")
    return opened > closed if max(opened, closed) >= 0 else before
