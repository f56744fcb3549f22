"""Finding JSON in what a model wrote."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minimax_magic import text_json
from minimax_magic.text_json import find_json, json_values, load_json, with_braces

MODEST = settings(max_examples=120, deadline=None, derandomize=True)
ONE = {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        ' \n{"a": 1}\n',
        '\ufeff{"a": 1}',
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}\n```',
        '~~~JSON\n{"a": 1}\n~~~',
        '- so:\n  ```json\n  {"a": 1}\n  ```',
        'Here it is: {"a": 1}. Anything else?',
        'As \\frac{1}{x} shows: {"a": 1}',
        'For x in [0, 1) it is {"a": 1}',
        'He said "[so" and wrote {"a": 1}',
        '<think>\nOr {"b": 2}?\n</think>\n\n{"a": 1}',
        '<think>{"b": 2}</think>Well: {"a": 1}!',
        '<think>x</think><think>{"b": 2}</think>{"a": 1}',
        'Perhaps {"b": 2}.\n</think>\n{"a": 1}',
        '```json\n{"b": 2}\n```\nNo, this:\n```json\n{"a": 1}\n```',
        '```json\n{"a": 1}\n```\nRead it with\n```python\njson.loads(x)\n```',
        '```python\n{"b": 2}\n```\n```json\n{"a": 1}\n```\n```\n{"b": 3}\n```',
        '```json\n{"a": 1}',
        'First {"a": 1}, then {"b": 2}',
        '{not json} but {"a": 1}',
    ],
)
def test_json_is_found_in_what_is_around_it(text: str) -> None:
    """Fences, prose, thinking and other braces are left out."""
    assert find_json(text) == ONE


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('so: {"a": "}\\" {"}', {"a": '}" {'}),
        ('so: ["[", "\\\\"].', ["[", "\\"]),
        ("**So:** [1, 2] ;\nyes", [1, 2]),
        ("As in [1] and [2]\n  [3,\n4],\nyes", [3, 4]),
        ('so: {"a": {"b": [1, {"c": null}]}}', {"a": {"b": [1, {"c": None}]}}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ('so {"a": "the tag </think> ends it"}', {"a": "the tag </think> ends it"}),
        ('{"a": "<think>[1]</think>"}', {"a": "<think>[1]</think>"}),
        ('so: {"code": "```\\nx\\n```"}', {"code": "```\nx\n```"}),
        ("n: [" + "9" * 400 + "]", [int("9" * 400)]),
        ("[1e300, -0.5]", [1e300, -0.5]),
        ("[]", []),
        ("{}", {}),
    ],
)
def test_the_value_is_what_was_written(text: str, value: Any) -> None:
    """Brackets in strings, escapes, nesting and large numbers come through."""
    assert find_json(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON object"),
        ("Sorry, I cannot.", "no JSON object"),
        ("42", "no JSON object"),
        ('"[1]"', "no JSON object"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("so: [Infinity]", "Infinity is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("[1e999]", "1e999 is out of range"),
        ('{"a": [1, 2], "b": ', "breaks off"),
        ('{"a": [1, 2], "b": "x [3]', "breaks off"),
        ('so:\n```json\n{"a": [1, 2], "b": {"c": 1}', "breaks off"),
        ('[ "a": 1}, {"a": 2}]', 'broken near \'\\[ "a": 1}'),
        ("{a: [1, 2]}", "broken near '{a: \\[1, 2\\]}'"),
        ('<think>{"a": 1}', "no JSON object"),
        ("[" * 100_000, "nests too deep"),
        ("Sorry, as [1] says, no.", "that stands by itself"),
        ("- [ ] todo\n- [1] done", "that stands by itself"),
        ("[1] says: no", "that stands by itself"),
        ("a[0] is missing", "that stands by itself"),
        ("The set {} is empty", "that stands by itself"),
        ("Here it is:\n{}\n[]", "that stands by itself"),
    ],
)
def test_no_part_of_a_broken_piece_is_taken(text: str, message: str) -> None:
    """What is cut off or not JSON is an error that says so, though a part of it may be valid."""
    with pytest.raises(ValueError, match=message):
        find_json(text)


def test_all_values_are_told_the_likeliest_first() -> None:
    """A reader that knows the schema can pass by what does not fit."""
    text = 'As in [1]: {"a": 1}\n[2]\n```\n42\n```\n'
    assert list(json_values(text)) == [42, {"a": 1}, [2]]
    assert list(json_values("true")) == [True]


def test_load_json_takes_the_whole_text_only() -> None:
    """Scalars are values; anything behind one is an error."""
    assert load_json(" null ") is None
    with pytest.raises(ValueError, match="Extra data"):
        load_json("1 2")
    with pytest.raises(ValueError, match="too deep"):
        load_json("[" * 100_000)


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ('[ "a": 1}, {"a": 2}]', '[ {"a": 1}, {"a": 2}]'),
        ('[{"a": 1}, "a": 2, "b": [3]}]', '[{"a": 1}, {"a": 2, "b": [3]}]'),
        ('"x": {"items": ["a" : "]"}]}', '"x": {"items": [{"a" : "]"}]}'),
        ('So: ["a": ["b": 1}]}]', 'So: [{"a": [{"b": 1}]}]'),
    ],
)
def test_a_dropped_brace_is_put_back(text: str, mended: str) -> None:
    """A name and a colon inside an array tell where an object begins."""
    assert with_braces(text) == mended
    assert find_json(mended) is not None


@pytest.mark.parametrize("text", ["", "a: [b]", '[{"a": 1}, "b"]', '{"a": ["b", ":"]}', "]}["])
def test_what_lacks_no_brace_is_not_mended(text: str) -> None:
    """There is nothing to try then."""
    assert with_braces(text) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@MODEST
@given(value=JSON, ascii_only=st.booleans(), indent=st.sampled_from([None, 2]))
def test_any_json_is_found_in_a_sentence_and_in_a_fence(
    value: Any, ascii_only: bool, indent: int | None
) -> None:
    """Whatever the strings in it hold, and however it is laid out."""
    written = text_json.json.dumps([value], ensure_ascii=ascii_only, indent=indent)
    assert find_json(written) == [value]
    assert find_json(f"```json\n{written}\n```") == [value]
    if "</think>" not in written:
        assert find_json(f"The answer, as I said, is:\n{written}.\nAnything else?") == [value]
        assert find_json(f'The answer is {{"a": {written}}}, as I said.') == {"a": [value]}


@MODEST
@given(st.text(alphabet='[]{}",:\\ a1`\n', max_size=40))
def test_any_text_gives_a_value_or_a_value_error(text: str) -> None:
    """Nothing a model writes makes it fail otherwise."""
    with contextlib.suppress(ValueError):
        assert isinstance(find_json(text), dict | list)
    with_braces(text)


@pytest.mark.parametrize(
    "unit",
    ["{", "[", "}", "]", "{}x", "[x", '["', '{"', '"\\', '[0,[0,"', "[NaN,", '{"a":', "```\n", "`",
     "<think>", "</think>", "[1)", '[ "a": 1}', "[{]",
     "[1]", "[1]  ", "[1].."],
)  # fmt: skip
def test_many_brackets_cost_no_more_per_character_than_few(unit: str) -> None:
    """Time grows with the length of the text, not with its square."""

    def spent(size: int) -> float:
        text = unit * (size // len(unit))
        begin = time.process_time()
        for _ in json_values(text):
            pass
        with_braces(text)
        return time.process_time() - begin

    # 16 times the text would take 256 times as long
    assert spent(400_000) < 80 * spent(25_000) + 0.2
