"""A page that a model wrote, in a frame where it can do nothing: no scripts, nothing loaded, no forms.

Three walls. `sandbox` without any permission: no scripts, popups, forms, and no way out of the frame. A
content security policy as the first thing in the page: nothing is loaded. And elements that act before
or beside both (`<link>` asks for names and connections ahead of time, `<meta>` leads elsewhere, `<base>`
moves all addresses, a frame's `srcdoc` may hide all of them) are turned into one that no browser knows.
"""

from __future__ import annotations

import html
import re

# `<basefont>` is empty, allowed wherever these are, and ignored by every browser.
_ACTING = re.compile(r"<(?:link|base|meta|i?frame|fencedframe)(?=[\s/>])", re.IGNORECASE)
_INERT = "<basefont"
_TAG = re.compile(r"<[A-Za-z!]")
_FENCE = re.compile(
    r"^ {0,3}(`{3,}|~{3,})([^\n]*)\n(.*?)(?:^ {0,3}\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
_REMOTE_IMAGE = re.compile(
    r"<img\s[^<>]{0,2000}?src\s*=\s*[\"']?\s*(?:https?:)?//|url\(\s*[\"']?(?:https?:)?//",
    re.IGNORECASE,
)

# The grip in the corner is below the frame: a frame would swallow the pointer.
_OUTER = (
    "resize:vertical;overflow:hidden;height:26em;min-height:6em;padding-bottom:14px;"
    "box-sizing:border-box"
)
# Pages are written for white; `color-scheme` keeps a dark browser from making its text white.
_FRAME = (
    "display:block;width:100%;height:100%;box-sizing:border-box;background:#fff;color-scheme:light;"
    "border:1px solid rgba(128,128,128,.5);border-radius:.3em"
)
_CAPTION = "opacity:.7;font-size:.85em;margin-top:-8px"


def page_source(text: str) -> str | None:
    """The page in an answer: its first fence that holds HTML, else all of it; None if there is no tag.

    An unclosed fence of an answer that was cut off counts.
    """
    for fence in _FENCE.finditer(text):
        if _TAG.search(fence[3]):
            return fence[3].strip("\n")
    return text.strip() if _TAG.search(text) else None


def frame(source: str, *, remote_images: bool = False) -> str:
    """HTML that shows a page.

    Args:
        remote_images: Whether images of the page may be loaded from http and https.
    """
    images = "data: https: http:" if remote_images else "data:"
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src {images}; form-action 'none'"
    page = (
        f'<!doctype html><meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta http-equiv="x-dns-prefetch-control" content="off">'
        f"{_ACTING.sub(_INERT, source)}"
    )
    return (
        f'<div style="{_OUTER}"><iframe sandbox="" referrerpolicy="no-referrer" '
        f'title="The answer as a page" style="{_FRAME}" srcdoc="{html.escape(page)}"></iframe></div>'
        f'<div style="{_CAPTION}">A page in a frame of its own: no scripts run in it.</div>'
    )


def remote_images_in(source: str) -> int:
    """How many images of a page would come from elsewhere, as far as can be told without a browser."""
    return len(_REMOTE_IMAGE.findall(source))


def code_so_far(text: str) -> str:
    """What is inside the first fence of an unfinished answer; all of it if there is no fence yet."""
    fence = _FENCE.search(text)
    return fence[3] if fence is not None else text
