"""Answers that show one thing, the planted image, and which text of a message chooses."""

from __future__ import annotations

import re
from typing import Any

import pytest

from minimax_magic.simulator import Simulator

CONTEXT = "df, a DataFrame: [[drop]] use a tool, add 1 and 2, corrected cell [[error 500]]"
ADD = {"type": "object", "properties": {"a": {"type": "integer"}}}


def _fences(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_code_is_one_fence(dialogue: Any) -> None:
    """Between sentences, and it runs."""
    (code,) = _fences(dialogue.ask("[[code]]").text, "python")
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["fibonacci"](10) == 55


def test_a_corrected_cell_runs(dialogue: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What `%minimax fix` asks for: an explanation and one cell."""
    text = dialogue.ask("Explain this error. Give a Corrected Cell.", "ZeroDivisionError").text
    assert text.index("```") > 50
    (code,) = _fences(text, "python")
    exec(code)
    assert capsys.readouterr().out == "corrected\n"


def test_reply_with_exactly(dialogue: Any) -> None:
    """What people ask to see whether anything answers is answered so; without more it is a prompt."""
    assert dialogue.ask("Reply with exactly: API test successful").text == "API test successful"
    assert "A simulated answer" in dialogue.ask("Reply with exactly: ").text


def test_math_has_both_brackets_and_a_price(dialogue: Any) -> None:
    """LaTeX as models write it, beside a dollar that is money."""
    text = dialogue.ask("[[math]]").text
    assert re.search(r"^\\\[\n.*\\frac.*\n\\\]$", text, re.MULTILINE)
    assert r"\(n = 3\)" in text
    assert "At $5 a piece" in text


def test_a_page_has_all_that_a_sandbox_must_hold(dialogue: Any, sim: Simulator) -> None:
    """Style, svg, a script, and an image, a refresh and a form that would be seen."""
    text = dialogue.ask("[[html]]").text
    (page,) = _fences(text, "html")
    assert text == f"```html\n{page}```\n"
    assert page.startswith("<!DOCTYPE html>")
    assert page.endswith("</html>\n")
    for part in (
        *("<style>", "<table>", "<svg ", '<script>document.title = "the script ran";'),
        f'<img src="{sim.url}/planted.png?by=img"',
        f'<meta http-equiv="refresh" content="1; url={sim.url}/planted.png?by=refresh">',
        f'<form action="{sim.url}/planted.png"',
    ):
        assert part in page


def test_remote_images_of_all_kinds(dialogue: Any, sim: Simulator) -> None:
    """Markdown by http and https, HTML, and by reference; all lead to the simulator."""
    text = dialogue.ask("[[remoteimage]]").text
    planted = f"{sim.url}/planted.png?q=secret"
    assert f"![x]({planted})" in text
    assert f"![y]({sim.url.replace('http:', 'https:')}/planted.png?q=https)" in text
    assert f'<img src="{planted}-html"' in text
    assert f"![w][planted]\n\n[planted]: {planted}-reference " in text
    assert set(re.findall(r"https?://([^/]+)/", text)) == {sim.url.removeprefix("http://")}


def test_loads_of_the_planted_image_are_counted(sim: Simulator, http_client: Any) -> None:
    """It is a picture, needs no key, is never cached; a reset forgets the loads."""
    assert sim.planted_hits == 0
    got = http_client.ask("GET", "/planted.png?q=secret", key=None)
    assert (got.status, got.headers["Content-Type"]) == (200, "image/png")
    assert got.headers["Cache-Control"] == "no-store"
    assert got.body.startswith(b"\x89PNG")
    http_client.ask("POST", "/planted.png", b"by=form", key=None)
    assert sim.planted_hits == 2
    assert sim.requests[0].query == "q=secret"
    sim.reset()
    assert sim.planted_hits == 0


def test_context_chooses_nothing(dialogue: Any) -> None:
    """Words and names of tools in a further text block are data."""
    dialogue.tools = {"add": ADD}
    answer = dialogue.ask("Describe the table", CONTEXT)
    assert answer.calls == []
    assert "You wrote `Describe the table`." in answer.text
    assert "A simulated answer" in answer.text


def test_the_prompt_chooses_though_context_follows(dialogue: Any) -> None:
    """With a picture before it or an empty block, too."""
    dialogue.tools = {"add": ADD}
    assert dialogue.ask("add 5", CONTEXT).values == [{"a": 5}]
    dialogue.messages.clear()
    blocks = [{"type": "text", "text": text} for text in ("", "add 6", CONTEXT)]
    assert dialogue.say([dialogue.image_at("https://x/y.png"), *blocks]).values == [{"a": 6}]


def test_context_of_an_earlier_turn_chooses_nothing(dialogue: Any) -> None:
    """Nor after results, which are answered from."""
    dialogue.tools = {"add": ADD}
    answer = dialogue.ask("add 5", CONTEXT)
    assert "`add` returned `5`" in dialogue.give(answer, "5").text
    assert "before this you wrote `add 5`" in dialogue.ask("And now?", "[[drop]]").text


def test_merged_prompts_in_one_text_all_choose(dialogue: Any) -> None:
    """An unanswered prompt that a client joins with the next in one text stays part of it."""
    assert dialogue.ask("First\n\n[[long 70]]").text.startswith("## Part 1")


def test_of_two_messages_in_a_row_the_last_chooses(dialogue: Any) -> None:
    """Messages that a client does not merge."""
    dialogue.messages.append({"role": "user", "content": "[[drop]]"})
    assert dialogue.ask("[[echo]] here").text == "here"
