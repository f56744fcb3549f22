"""Answers that show one thing each: code, mathematics, an HTML page, images from elsewhere.

Whatever in them could load something points at the simulator itself, so that a load is seen and
nothing leaves the machine; `planted` answers there.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from minimax_magic.simulator.planted import PLANTED_PATH
from minimax_magic.simulator.prompt_words import Words
from minimax_magic.simulator.samples import FENCE, MAX_LONG_CHARS, long_markdown

# what our magic writes for `%minimax fix`
FIX_WANTED = "corrected cell"
# what people write to see whether anything answers
EXACTLY = re.compile(r"reply with exactly:\s*(\S.*)", re.IGNORECASE | re.DOTALL)


def set_piece(words: Words, origin: str) -> str | None:
    """The text that a prompt asks for by a word; None for none.

    Args:
        origin: `http://host:port` of this server.
    """
    if "long" in words:
        return long_markdown(words.number("long", MAX_LONG_CHARS))
    for name, make in PIECES.items():
        if name in words:
            return make(origin)
    if wanted := EXACTLY.search(words.said):
        return wanted.group(1).strip()
    return FIXED if FIX_WANTED in words.said.lower() else None


FIXED = """\
The simulator has not read the error, but a person would begin at its last line: it names what went
wrong, and the line above it says where.

```python
print("corrected")
```
"""

CODE = f"""\
A function that needs no more than two variables:

{FENCE}
It takes as many steps as its argument says.
"""

MATH = r"""
The mean of the squares is at least the square of the mean: \(\bar{x}^2 \le \overline{x^2}\). For a
sum of powers

\[
\sum_{k=1}^{n} k^2 = \frac{n(n+1)(2n+1)}{6}
\]

and so \(n = 3\) gives \(14\). At $5 a piece, 14 of them are $70.
""".lstrip()


def _remote_images(origin: str) -> str:
    secure = origin.replace("http://", "https://", 1)
    planted = f"{origin}{PLANTED_PATH}?q=secret"
    return f"""\
An image by address: ![x]({planted}) and one by https: ![y]({secure}{PLANTED_PATH}?q=https)

One as HTML: <img src="{planted}-html" alt="z">, and one by reference: ![w][planted]

[planted]: {planted}-reference "A title"
"""


def _page(origin: str) -> str:
    planted = f"{origin}{PLANTED_PATH}"
    return f"""\
```html
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="1; url={planted}?by=refresh">
<title>A simulated page</title>
<style>
  body {{ font-family: sans-serif; margin: 1rem; }}
  table {{ border-collapse: collapse; }}
  th, td {{ border: 1px solid #888; padding: .3rem .6rem; }}
  th {{ background: #def; color: #000; }}
</style>
</head>
<body>
<h1>A simulated page</h1>
<table>
  <tr><th>Harbour</th><th>Ships</th></tr>
  <tr><td>North</td><td>12</td></tr>
  <tr><td>South</td><td>7</td></tr>
</table>
<svg width="120" height="60" viewBox="0 0 120 60" role="img" aria-label="Two bars">
  <rect x="10" y="10" width="40" height="50" fill="#47a"></rect>
  <rect x="70" y="30" width="40" height="30" fill="#a74"></rect>
</svg>
<p><img src="{planted}?by=img" width="1" height="1" alt="planted"></p>
<form action="{planted}" method="get">
  <input type="hidden" name="by" value="form">
  <button type="submit">Send</button>
</form>
<script>document.title = "the script ran";</script>
</body>
</html>
```
"""


PIECES: dict[str, Callable[[str], str]] = {
    "remoteimage": _remote_images,
    "html": _page,
    "math": lambda origin: MATH,
    "code": lambda origin: CODE,
}
