"""YAML with line numbers and placeholders."""

from __future__ import annotations

import sys

import pytest

from minimax_magic.errors import ConfigError
from minimax_magic.masked import MaskedEnviron
from minimax_magic.yaml_file import YamlNode, parse_yaml, shown


def parse(text: str) -> YamlNode:
    node = parse_yaml(text.encode(), "a.yaml")
    assert node is not None
    return node


def value(text: str, **environ: str) -> object:
    return parse(text).value(environ)


def problem(text: str | bytes, **environ: str) -> str:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ConfigError) as caught:
        parse_yaml(data, "a.yaml").value(environ)  # type: ignore[union-attr]
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return str(caught.value)


def test_scalars_come_as_written() -> None:
    """Numbers and dates stay text, so that an id with a leading zero survives; null is None."""
    assert value("a: 0123\nb: 2026-01-01\nc: true\nd: null\ne:\nf: '~'\ng: [1, x]") == {
        "a": "0123",
        "b": "2026-01-01",
        "c": "true",
        "d": None,
        "e": None,
        "f": "~",
        "g": ["1", "x"],
    }


@pytest.mark.parametrize(
    ("written", "result"),
    [
        ("${A}", "one"),
        ("${A:-two}", "one"),
        ("${UNSET:-two}", "two"),
        ("x${UNSET:-}", "x"),
        ("${UNSET:-a-b: c}", None),
        ("'${EMPTY}'", ""),
        ("${EMPTY:-two}", "two"),
        ("'${EMPTY-two}'", ""),
        ("${UNSET-two}", "two"),
        ("https://${A}.example/${B}", "https://one.example/${A}"),
        ("$${A} and ${A}", "${A} and one"),
        ("$A ${A}$", "$A one$"),
        ("'${A}'", "one"),
    ],
)
def test_placeholders(written: str, result: str | None) -> None:
    """A placeholder may stand anywhere in a value, and what it gives is not expanded again."""
    environ = {"A": "one", "B": "${A}", "EMPTY": ""}
    if result is None:
        assert "not valid YAML" in problem(f"a: {written}", **environ)
    else:
        assert value(f"a: {written}", **environ) == {"a": result}


def test_a_plain_placeholder_can_be_null() -> None:
    """`${A}` that expands to null or nothing is None; in quotes, or with text around it, it is text."""
    text = "a: ${A}\nb: '${A}'\nc: x${A}\nd: ${UNSET:-}\ne: '${UNSET:-}'"
    expected = {"a": None, "b": "null", "c": "xnull", "d": None, "e": ""}
    assert value(text, A="null") == expected


def test_placeholders_in_block_scalars() -> None:
    """Multi-line texts are expanded too."""
    assert value("a: |\n  hello ${A}\n  bye\n", A="you") == {"a": "hello you\nbye\n"}


def test_comments_and_keys_are_not_expanded() -> None:
    """A placeholder in a comment or key needs no variable."""
    assert value("# ${NO}\n${NO}: x # ${NO}\n") == {"${NO}": "x"}


def test_an_unset_variable_is_named_with_its_line() -> None:
    """The error says which variable, and where it is wanted."""
    assert problem("a: 1\nb: x${NOT_SET}y") == (
        "a.yaml line 2: the environment variable NOT_SET is not set. "
        "Set it, or give it a default in the file: ${NOT_SET:-default}."
    )


@pytest.mark.parametrize(
    "written", ["${", "'${A'", "${1A}", "${A:x}", "${A:-${B}}", "${file:k.txt}"]
)
def test_a_wrong_placeholder_is_an_error(written: str) -> None:
    """What begins like a placeholder is never sent as text by mistake."""
    assert "a.yaml line 1: a placeholder that begins with ${ is not" in problem(f"a: {written}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: [1", "line 2: not valid YAML, did not find expected"),
        ("a: 1\nb: {c: ${X}}", "line 2: not valid YAML, did not find expected ',' or '}'. A plac"),
        ("a: 1\n\tb: 2", "line 2: not valid YAML, found a tab character"),
        ("a: b: c", "line 1: not valid YAML, mapping values are not allowed"),
        ("a: 'x", "line 1: not valid YAML"),
        ("a: *nowhere", "line 1: not valid YAML, found undefined alias."),
        ("a: 1\n---\nb: 2", "line 2: not valid YAML, there is a second document."),
        ("a: 1\nb: \x07", "line 2: there is a control character."),
        (b"a: 1\nb: caf\xe9", "line 2: the file is not UTF-8."),
        ("a: 1".encode("utf-16"), "line 1: the file is not UTF-8."),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is given twice, first in line 1."),
        ("x:\n  - b: 1\n    b: 2", "line 3: the key 'b' is given twice"),
        ("a: &a [*a]", "line 1: an alias refers to something that contains it."),
        ("[a]: 1", "line 1: a key must be plain text."),
        ("a: ${X:-}\n{{x}}: 1", "line 2: "),
        ("a: !env X", "line 1: tags such as !env are not supported."),
        ("a: 1\n<<: b", "line 2: << must be followed by an alias of a mapping."),
        ("[" * 5000, "line 1: "),
        ("[" * 900 + "]" * 900, "line 1: the file is nested too deeply."),
    ],
)
def test_mistakes_have_a_line(text: str | bytes, told: str) -> None:
    """Whatever is wrong with a file is one ConfigError with file and line."""
    assert f"a.yaml {told}" in problem(text)


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_both_loaders_quote_nothing(monkeypatch: pytest.MonkeyPatch, loader: str) -> None:
    """A key in a broken file is not in the error, with libyaml and without."""
    import yaml

    if not hasattr(yaml, loader):
        pytest.skip("PyYAML was built without libyaml")
    monkeypatch.setattr("minimax_magic.yaml_file._LOADER", getattr(yaml, loader))
    for text in ("a: *sk-verysecret", "a: !sk-verysecret!x y", "a: [sk-verysecret", "a: @sk-x"):
        told = problem(text)
        assert "a.yaml line " in told
        assert "sk-" not in told


def test_nothing_but_comments_is_none() -> None:
    """An empty file, one with comments, and one with a byte order mark are no document."""
    for data in (b"", b"# x\n", b"\xef\xbb\xbf# x\n", b"\n\n"):
        assert parse_yaml(data, "a.yaml") is None


def test_byte_order_mark_and_crlf_are_fine() -> None:
    """Windows editors may add both."""
    node = parse_yaml(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "a.yaml")
    assert node is not None
    assert node.value({}) == {"a": "1", "b": "2"}
    assert node.nearest(("b",)).line == 2


def test_merge_keys() -> None:
    """`<<` takes what is not given otherwise, and explicit keys win wherever they stand."""
    text = "- &a {x: 1, y: 1}\n- &b {x: 2, z: 2}\n- {y: 3, <<: [*a, *b]}"
    assert value(text)[2] == {"y": "3", "x": "1", "z": "2"}  # type: ignore[index]


def test_nearest_follows_as_far_as_it_can() -> None:
    """A place that is not in the file has the line of what it would be in."""
    node = parse("a:\n  - b: 1\n  - b: 2\n\nc: 3")
    assert node.nearest(("a", 1, "b")).line == 3
    assert node.nearest(("a", 1, "nope", 5)).place == "a.yaml line 3"
    assert node.nearest(("a", 7)).line == 1
    assert node.nearest(("c", "x")).line == 5


def test_a_part_is_expanded_alone() -> None:
    """Unset variables beside the part that is asked for do not matter."""
    part = parse("mine:\n  a: 1\nother:\n  b: ${NOT_SET}").get("mine")
    assert part is not None
    assert part.value({}) == {"a": "1"}


def test_repr_shows_places_and_no_values() -> None:
    """Neither nodes nor expanded values show what the file or the environment hold."""
    node = parse("a: [sk-secret]\nb: ${B}")
    assert repr(node) == "<a.yaml line 1>"
    assert "sk-" not in repr(node.content)
    assert repr(parse("sk-secret: 1").content) == "{'***': <a.yaml line 1>}"
    assert repr(node.value({"B": "sk-other"})) == "{'***': ['***'], '***': '***'}"


def test_shown_is_short_and_masks_keys() -> None:
    """Errors quote a file in one short line without anything that looks like a key."""
    assert shown("fast") == "'fast'"
    assert shown("a\n  b") == "'a b'"
    assert len(shown("x" * 500)) < 70
    assert "verysecret" not in shown("x: sk-verysecret")
    assert "verysecret" not in shown("${X:-sk-cp-verysecret}")


def test_no_frame_of_an_error_holds_the_file() -> None:
    """Locals of a traceback, which `%xmode Verbose` prints, never show a value."""
    for text in ("k: sk-secret\nb: [", "k: sk-secret\nk: 1", "k: sk-secret-${NO}"):
        try:
            parse(text).value(MaskedEnviron({"OTHER": "sk-secret"}))
        except ConfigError:
            trace = sys.exc_info()[2]
        frames = 0
        while trace is not None:
            if trace.tb_frame.f_code.co_filename != __file__:
                frames += 1
                assert "sk-secret" not in repr(trace.tb_frame.f_locals)
            trace = trace.tb_next
        assert frames
