"""Three ways in which front ends render markdown, for tests: markdown-it (VS Code and Colab are alike),
mistune (nbconvert), and JupyterLab's, which takes math out of a text before it looks for code."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser

import mistune
from markdown_it import MarkdownIt
from markdown_it.token import Token

_PUNCTUATION = re.compile(r"\\([!-/:-@\[-`{-~])")
_commonmark = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_jupyterlab = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_mistune = mistune.create_markdown(escape=False, plugins=["table", "strikethrough", "url"])
_MATH = re.compile(
    r"(\$\$?|\\(?:begin|end)\{[a-z]*\*?\}|\\[{}$]|[{}]|(?:\n\s*)+|@@\d+@@|\\\\[()\[\]])", re.I
)


def commonmark(text: str) -> str:
    return str(_commonmark.render(text))


def exported(text: str) -> str:
    return str(_mistune(text))


def _listing(tokens: Sequence[Token], at: int, *_: object) -> str:
    """A fence as JupyterLab's highlighter writes it: its language as it is."""
    language = _PUNCTUATION.sub(r"\1", tokens[at].info.strip())
    opening = f'<code class="language-{language}">' if language else "<code>"
    return f"<pre>{opening}{html.escape(tokens[at].content)}</code></pre>\n"


_jupyterlab.renderer.rules["fence"] = _listing  # type: ignore[attr-defined]


def jupyterlab(text: str) -> str:
    """What `@jupyterlab/rendermime`'s latex.ts does around the parser."""
    coded = "`" in text or "~~~" in text
    if coded:
        text = text.replace("~", "~T")
        fences = re.compile(r"^(?P<f>`{3,}|(~T){3,})[^`\n]*\n([\s\S]*?)^(?P=f)`*$", re.M)
        spans = re.compile(r"(^|[^\\])(`+)([^\n]*?[^`\n])\2(?!`)", re.M)
        for code in (fences, spans):
            text = code.sub(lambda found: found[0].replace("$", "~D"), text)
    parts = _MATH.split(text)
    math: list[str] = []
    start = last = None
    end, braces = "", 0

    def take(first: int, upto: int) -> None:
        taken = "".join(parts[first : upto + 1])
        for old, new in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            taken = taken.replace(old, new)
        parts[first : upto + 1] = [f"@@{len(math)}@@", *[""] * (upto - first)]
        math.append(taken)

    for at in range(1, len(parts), 2):
        part = parts[at]
        if part.startswith("@"):
            parts[at] = f"@@{len(math)}@@"
            math.append(part)
        elif start is not None:
            if part == end:
                if braces:
                    last = at
                else:
                    take(start, at)
                    start = last = None
            elif re.search(r"\n.*\n", part):
                if last is not None:
                    take(start, last)
                start = last = None
                braces = 0
            elif part == "{":
                braces += 1
            elif part == "}" and braces:
                braces -= 1
        elif part in ("$", "$$"):
            start, end, braces = at, part, 0
        elif part in ("\\\\(", "\\\\["):
            start, end, braces = at, "\\\\)" if part.endswith("(") else "\\\\]", 0
        elif part[1:6] == "begin":
            start, end, braces = at, f"\\end{part[6:]}", 0
    if start is not None and last is not None:
        take(start, last)
    text = "".join(parts)
    if coded:
        text = re.sub("~([TD])", lambda found: "~" if found[1] == "T" else "$", text)
    rendered = str(_jupyterlab.render(text))
    return re.sub(
        r"@@([0-9]+)@@",
        lambda found: dict(enumerate(math)).get(int(found[1]), "undefined"),
        rendered,
    )


RENDERERS: dict[str, Callable[[str], str]] = {
    "commonmark": commonmark,
    "mistune": exported,
    "jupyterlab": jupyterlab,
}

_HARMLESS = {
    "p",
    "em",
    "strong",
    "del",
    "s",
    "code",
    "pre",
    "a",
    "ul",
    "ol",
    "li",
    "blockquote",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "br",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "div",
    "span",
}


# What markdown gives its elements; anything else was smuggled in.
_ATTRIBUTES = {
    "a": {"href", "title"},
    "code": {"class"},
    "ol": {"start"},
    "th": {"style"},
    "td": {"style"},
    "span": {"class"},
}
_ALIGNED = re.compile(r"text-align: ?(?:left|right|center)")


class _Watcher(HTMLParser):
    def __init__(self, *, images: bool, own: bool) -> None:
        super().__init__()
        self.found: list[str] = []
        self._images = images
        self._own = own

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if self._own and tag in ("div", "span"):
            values.pop("class", None)
            values.pop("style", None)
        target = re.sub(r"[\x00-\x20]", "", values.get("href", "")).lower()
        source = values.get("src", "").lower()
        if self._images and tag == "img" and source.startswith(("http://", "https://")):
            if set(values) - {"src", "alt"}:
                self.found.append(self.get_starttag_text() or tag)
        elif (
            tag not in _HARMLESS
            or set(values) - _ATTRIBUTES.get(tag, set())
            or not _ALIGNED.fullmatch(values.get("style", "text-align:left"))
            or target.startswith(("javascript:", "data:", "vbscript:"))
        ):
            self.found.append(self.get_starttag_text() or tag)

    def handle_comment(self, data: str) -> None:
        self.found.append(f"<!--{data}")

    def handle_decl(self, decl: str) -> None:
        self.found.append(f"<!{decl}")

    def unknown_decl(self, data: str) -> None:
        self.found.append(f"<![{data}")

    def handle_pi(self, data: str) -> None:
        self.found.append(f"<?{data}")


def live_tags(page: str, *, images: bool = False, own: bool = False) -> list[str]:
    """What in a rendered page would load or run something, or is at least not of markdown's making.

    Args:
        images: Whether images of the web with nothing but an address and a text are let pass.
        own: Whether `<div>` and `<span>` may have a class and a style, as those around an answer do.
    """
    watcher = _Watcher(images=images, own=own)
    watcher.feed(page)
    watcher.close()
    return watcher.found
