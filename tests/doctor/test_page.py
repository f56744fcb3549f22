"""Findings in a notebook."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from minimax_magic.doctor import report
from minimax_magic.doctor.findings import ANSWER, COMPLETION, MODEL, TOKENS, Finding
from minimax_magic.doctor.page import page
from minimax_magic.doctor.remedies import TROUBLES, Trouble, trouble

RESOLVED = Finding("dns", "Name resolution", "ok", "api.minimax.io is 47.1.2.3.")
REFUSED = Finding(
    "authentication",
    "Authentication",
    "failed",
    "api.minimax.io answered 401.",
    facts=(("api.minimaxi.com", "takes it"),),
    trouble=trouble("unauthorized").told(),
)
ANSWERED = Finding(
    COMPLETION,
    "Completion",
    "ok",
    "It answered.",
    facts=(
        (MODEL, "MiniMax-M2.5"),
        (ANSWER, "API test\nsuccessful"),
        *zip(TOKENS, ("51", "50", "101"), strict=True),
    ),
)


class Tags(HTMLParser):
    """What a browser would make of it: tags, attributes and the text that is seen."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_causes_and_steps_are_lists_in_order() -> None:
    """Below a failed check stand its facts, and causes and steps as numbered lists."""
    shown = Tags(page([RESOLVED, REFUSED])["text/html"])
    assert shown.tags.count("ol") == 2
    told = trouble("unauthorized").told()
    assert shown.tags.count("li") == len(told.causes) + len(told.steps)
    order = ["takes it", report.CAUSES, told.causes[0], report.STEPS, "1 problem: Authentication."]
    places = [shown.text.index(words) for words in order]
    assert places == sorted(places)


def test_the_answer_is_shown_with_its_tokens() -> None:
    """The completion shows success, model, answer and token usage as in the guide."""
    shown = Tags(page([RESOLVED, ANSWERED])["text/html"]).text
    for words in (
        "SUCCESS! API is working!",
        "Response from MiniMax-M2.5:",
        "API test successful",
        "Input tokens 51 Output tokens 50 Total tokens 101",
        report.READY,
    ):
        assert words in shown


def test_while_it_runs_there_is_no_verdict() -> None:
    """The check that runs is named instead, in both forms."""
    shown = page([RESOLVED], "TLS")
    assert "All is well" not in str(shown)
    assert Tags(shown["text/html"]).text.endswith("… TLS")
    assert shown["text/plain"].endswith("...   TLS")
    assert "All is well." in Tags(page([RESOLVED])["text/html"]).text


def test_the_plain_form_is_that_of_the_terminal() -> None:
    """A front end without HTML shows what the terminal does."""
    findings = [RESOLVED, REFUSED, ANSWERED]
    plain = page(findings)["text/plain"]
    assert plain.split() == report.text(findings).split()
    assert page([])["text/plain"].strip() == "Nothing was checked."


@pytest.mark.parametrize(
    "words", ["<script>alert(1)</script>", '"><img src=x onerror=1>', "$x$ & \\(y\\)"]
)
def test_words_of_others_are_only_words(words: str) -> None:
    """Nothing that a server, a file or a model says becomes a tag or an attribute."""
    odd = Trouble("odd", words, (), (words,), (f"`{words}`",))
    finding = Finding("x", words, "failed", words, facts=((words, words),), trouble=odd)
    answer = Finding(COMPLETION, words, "ok", words, facts=((ANSWER, words), (MODEL, words)))
    shown = Tags(page([finding, answer], words)["text/html"])
    assert set(shown.tags) <= {"div", "span", "ol", "li", "code", "details", "summary", "a"}
    assert {name for name, _ in shown.attributes} <= {"class", "style", "role"}
    assert shown.text.count(" ".join(words.split())) >= 8
    assert ("class", "minimax-doctor mathjax_ignore tex2jax_ignore") in shown.attributes


@pytest.mark.parametrize("one", TROUBLES, ids=lambda one: one.name)
def test_only_the_platforms_pages_are_links(one: Trouble) -> None:
    """A link leads to MiniMax's own platform and nowhere else, in a tab of its own."""
    finding = Finding("x", "X", "failed", "No.", trouble=one.told())
    shown = Tags(page([finding])["text/html"])
    targets = [value for name, value in shown.attributes if name == "href"]
    assert set(targets) <= {"https://platform.minimax.io"}
    assert shown.tags.count("a") == len(targets)
    foreign = one.told(console="https://platform.minimax.io.evil.example", root="https://x.example")
    shown = Tags(page([Finding("x", "X", "failed", "No.", trouble=foreign)])["text/html"])
    assert "a" not in shown.tags


def test_colours_show_everywhere() -> None:
    """There is no style sheet, and no colour is a variable, which JupyterLab takes away in a notebook
    that is not trusted; each can be told from black and from white."""
    source = page([RESOLVED, REFUSED, ANSWERED])["text/html"]
    assert "<style" not in source
    assert not re.search(r"(?:background|solid)[: ]var\(", source)
    colours = set(re.findall(r"#[0-9a-f]{6}\b", re.sub(r"&#\w+;", "", source)))
    assert len(colours) >= 2
    for colour in colours:
        linear = [(int(colour[place : place + 2], 16) / 255) ** 2.2 for place in (1, 3, 5)]
        light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert (light + 0.05) / 0.05 > 3
        assert 1.05 / (light + 0.05) > 2.5


def test_the_completions_facts_are_one_table() -> None:
    """Token counts, cost and what else is known of the answer stand below each other."""
    shown = page([replace(ANSWERED, facts=(*ANSWERED.facts, ("Cost", "$0.01")))])["text/html"]
    assert shown.count("grid-template-columns:fit-content") == 1
    assert shown.index("Total tokens") < shown.index("$0.01")


def test_details_of_what_went_well_are_folded() -> None:
    """All sources of a key can be looked at, and are not in the way."""
    facts = (("this session", "nothing"), ("environment", "sk-api-... (used)"))
    credential = Finding("credential", "Credential", "ok", "sk-api-...", facts=facts)
    shown = Tags(page([credential])["text/html"])
    assert shown.tags.count("details") == 1
    assert "environment sk-api-... (used)" in shown.text
    assert "details" not in Tags(page([RESOLVED])["text/html"]).tags
