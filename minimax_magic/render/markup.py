"""The forms in which an answer reaches a front end, as mime bundles.

While text streams, markdown only, so that no byte goes twice; at the end every bundle has a
`text/plain` form. What stands below the answer is in `below`.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from minimax_magic.render.below import QUIET
from minimax_magic.render.blocks import Fence, without_seams
from minimax_magic.render.bundle import MOST_BYTES
from minimax_magic.render.bundle import Bundle as Bundle
from minimax_magic.render.calls import as_json
from minimax_magic.render.dollars import dollar_math, plain_money
from minimax_magic.render.formulas import formulas, latex
from minimax_magic.render.html_frame import code_so_far, frame, page_source, remote_images_in
from minimax_magic.render.safety import escape_html, images_left_out
from minimax_magic.render.values import is_json, plain_json, value_bundle
from minimax_magic.text_json import find_json

Format = Literal["markdown", "text", "code", "json", "html", "math"]
"""What is made of an answer at the end."""

PLAIN_WHILE_LIVE: tuple[Format, ...] = ("text", "json")
CODE_WHILE_LIVE: dict[Format, str] = {"html": "html", "math": "latex"}
"""Forms that are shown as a listing until they are whole, and its language."""

_FENCE = re.compile(r"^(`{3,}+|~{3,}+)[^\n]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
# Without what could end the attribute that JupyterLab writes it into, or be math to it.
_LANGUAGE = re.compile(r"[`~]+[ \t]*([\w+#.\-/]*)")
# Of a listing that nobody reads to the end while it is written.
_LISTING_BYTES = 3000

INSTRUCTIONS: dict[Format, str] = {
    "markdown": "",
    "text": "",
    "code": "Answer with one fenced code block and nothing else.",
    "json": "Answer with one JSON value and nothing else: no prose, no code fence.",
    "html": (
        "Answer with one HTML page in one fenced code block and nothing else. It is shown in a frame "
        "without scripts that loads nothing: put styles into it, draw with inline SVG."
    ),
    "math": (
        "Answer with LaTeX formulas and nothing else: no prose, no code fence, each formula between "
        "$$ and $$ on lines of its own."
    ),
}

_WINDOW = "height:16em;overflow:hidden;display:flex;flex-direction:column-reverse"

# ------------------------------------------------------------------------------ while it streams


def live(text: str, below: str, form: Format = "markdown") -> Bundle:
    """Unfinished text, as `visible` returns it, over what `below` returns."""
    if form in PLAIN_WHILE_LIVE and not below:
        return {"text/plain": text}
    return {"text/markdown": "\n\n".join(filter(None, (text, below)))}


def visible(
    text: str,
    *,
    fence: Fence | None,
    room: int,
    finished: int = 0,
    mark: str = "",
    number: int = 0,
    remote_images: bool = False,
) -> str:
    """An unfinished stretch of markdown, fit and safe to be drawn by itself.

    Two outputs cannot be changed at once, so a tail disappears by itself: as a whole where there is no
    head any more, and its finished blocks when a later head brings them. Browsers that do not know
    `:has` show them twice for a moment.

    Args:
        fence: The fence in which the text ends; None if it ends outside of one.
        room: Most bytes; of longer text the last lines are shown, under a note that says so.
        finished: How much of it is finished blocks, the next to go into the head.
        mark: Name of the answer, as in `head`; empty where there is no head.
        number: Which head it continues.
        remote_images: As in `escape_html`.
    """
    close = f"\n{' ' * fence.column}{fence.mark}" if fence is not None else ""
    done = ""
    if len(text.encode()) <= room:
        done = drawable(text[:finished], remote_images=remote_images)
        rest = drawable(f"{text[finished:].rstrip()}{close}", remote_images=remote_images)
    else:
        rest = _last_lines_drawn(text, fence, close, room, remote_images=remote_images)
    if not mark:
        return f"{done}{rest}"
    hide = (
        f"<style>body:not(:has(.{mark}h{number})) .{mark}f,"
        f"body:not(:has(.{mark}h)) .{mark}t{{display:none}}</style>"
    )
    kept = f'<div class="{mark}f {mark}t">\n\n{done.rstrip()}\n\n</div>' if done else ""
    return f'{hide}{kept}<div class="{mark}t">\n\n{rest}\n\n</div>'


def _last_lines_drawn(
    text: str, fence: Fence | None, close: str, room: int, *, remote_images: bool
) -> str:
    shown, hidden = _last_lines(text, room)
    if fence is not None and text.rfind(fence.line) < len(text) - len(shown):
        # the fence opened above
        shown = f"{fence.mark}{fence.line.split(fence.mark, 1)[1].strip()}\n{shown}"
        close = f"\n{fence.mark}"
    note = f'<div style="{QUIET}">⋯ {hidden:,} characters above follow soon</div>'
    shown = drawable(f"{shown.rstrip()}{close}", remote_images=remote_images)
    return f'{note}\n\n<div style="{_WINDOW}"><div>\n\n{shown}\n\n</div></div>'


def visible_code(text: str, form: Format, *, room: int) -> str:
    """The same for a page or formulas: a listing of what was written so far, of a long one the end."""
    code = visible_plain(code_so_far(text), room=min(room, _LISTING_BYTES))
    return _fenced(code.rstrip("\n"), CODE_WHILE_LIVE[form])


def visible_plain(text: str, *, room: int) -> str:
    """The same for text that is not markdown."""
    text = without_seams(text)
    if len(text.encode()) <= room:
        return text
    shown, hidden = _last_lines(text, room)
    return f"[{hidden:,} characters above follow soon]\n{shown}"


def _last_lines(text: str, room: int) -> tuple[str, int]:
    """As much of the end as there is room for, and how many characters are left out."""
    shown = text.encode()[-room:].decode("utf-8", "ignore")
    line_end = shown.find("\n")
    if 0 <= line_end < len(shown) - 1:
        shown = shown[line_end + 1 :]
    return shown, len(text) - len(shown)


def head(text: str, mark: str, number: int, *, remote_images: bool = False) -> Bundle:
    """The finished part of the answer, marked as the one of that number for the tail to know."""
    shown = drawable(text, remote_images=remote_images)
    return {"text/markdown": f'{shown}\n\n<div class="{mark}h {mark}h{number}"></div>'}


def drawable(text: str, *, remote_images: bool = False) -> str:
    """A model's markdown, safe and with its dollar signs right. `remote_images` as in `escape_html`."""
    return plain_money(escape_html(dollar_math(text), remote_images=remote_images))


# ---------------------------------------------------------------------------------- at the end


def answer(text: str, form: Format, *, remote_images: bool = False, value: Any = None) -> Bundle:
    """The whole answer, as the notebook keeps it.

    What is not of its form is shown as markdown or text; `unfit` says so.

    Args:
        remote_images: Whether images may be loaded from http and https.
        value: Structured output that was validated; it is shown then, and not the text. None: there is
            none.
    """
    if value is not None:
        if form == "json" and isinstance(value, dict | list) and is_json(value):
            return _json(value)
        return value_bundle(value)
    match form:
        case "code":
            code, language = extract_code(without_seams(text))
            return {"text/markdown": _fenced(code, language), "text/plain": code}
        case "json" if (found := parse_json_answer(text)) is not None:
            return _json(found)
        case "text" | "json":
            return {"text/plain": without_seams(text)}
        case "html" if (page := page_source(without_seams(text))) is not None:
            return _page(page, remote_images=remote_images)
        case "math" if found := formulas(without_seams(text)):
            source = latex(found)
            return {"text/latex": source, "text/plain": source}
        case _:
            shown = drawable(text, remote_images=remote_images)
            return {"text/markdown": shown, "text/plain": _plain(without_seams(text), shown)}


def _json(value: Any) -> Bundle:
    tree = plain_json(value)
    return {"application/json": tree, "text/plain": _plain(as_json(tree, indent=2), as_json(tree))}


def _page(source: str, *, remote_images: bool) -> Bundle:
    shown = frame(source, remote_images=remote_images)
    if len(shown.encode()) > MOST_BYTES:
        shown = _fenced(source, "html")
        return {"text/markdown": shown, "text/plain": _plain(source, shown)}
    return {"text/html": shown, "text/plain": _plain(source, shown)}


def _plain(text: str, beside: str) -> str:
    """The plain form beside another one: together they should fit into one message. The beginning if
    they do not, with a line that says so."""
    room = MOST_BYTES - len(beside.encode())
    if len(text.encode()) <= room:
        return text
    kept = text.encode()[: max(0, min(room, 20_000))].decode("utf-8", "ignore")
    return f"{kept}\n\n[... {len(text) - len(kept):,} more characters in the other form]"


def unfit(text: str, form: Format, *, remote_images: bool = False) -> list[str]:
    """Notices: that the answer is not of the form that was asked for and is shown as it is, and how many
    images are not shown."""
    bare = without_seams(text)
    if form == "json" and text and parse_json_answer(text) is None:
        return ["the answer is not JSON; it is shown as it came"]
    if form == "html":
        page = page_source(bare)
        if page is not None:
            return _left_out(0 if remote_images else remote_images_in(page), remote_images=False)
        note = ["the answer is not HTML; it is shown as it came"] if bare.strip() else []
        return note + _left_out(images_left_out(text), remote_images=remote_images)
    if form == "markdown" or (form == "math" and not formulas(bare)):
        count = images_left_out(text, remote_images=remote_images)
        return _left_out(count, remote_images=remote_images)
    return []


def _left_out(count: int, *, remote_images: bool) -> list[str]:
    if not count:
        return []
    images = "1 image was" if count == 1 else f"{count} images were"
    if remote_images:
        return [f"{images} not loaded: only ![text](https://...) is"]
    return [f"{images} not loaded (--allow-remote-images)"]


def parse_json_answer(text: str) -> Any | None:
    """The JSON object or array in an answer, whatever stands around it; None if there is none."""
    try:
        return find_json(without_seams(text))
    except ValueError:
        return None


def extract_code(text: str) -> tuple[str, str]:
    """The first fenced block and its language; all of the text if nothing is fenced."""
    fenced = _FENCE.search(text)
    if fenced is None:
        return text.strip("\n"), ""
    return fenced[2].rstrip("\n"), _LANGUAGE.match(fenced[0])[1]  # type: ignore[index]


def _fenced(code: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    mark = "`" * (longest + 1)
    return f"{mark}{language}\n{code}\n{mark}"
