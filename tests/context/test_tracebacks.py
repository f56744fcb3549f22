"""What is told about an exception: the user's lines, and little of anybody else's."""

from __future__ import annotations

import functools
import json
import linecache
import ntpath
import posixpath
from collections.abc import Callable
from typing import Any

import pytest

from minimax_magic.context.describe import describe, describe_error
from minimax_magic.context.tracebacks import Folders


def raised(function: Callable[[], Any]) -> BaseException:
    with pytest.raises(BaseException) as caught:
        function()
    return caught.value


def cell_error(source: str, name: str = "<ipython-input-3-abc>") -> BaseException:
    """What a cell with this source raises."""
    return raised(
        lambda: exec(compile(source, name, "exec"), {"__name__": "__main__", "json": json})
    )


def told(error: BaseException, source: str | None = None) -> str:
    return describe_error(error, lambda _file: source).text


CELL = "a = 1\nb = 0\n\ndef divide():\n    return a / b\n\ndivide()\n"


def test_the_lines_of_a_cell_are_told() -> None:
    """Type, message, and each frame with its cell, line number and failing line marked."""
    text = told(cell_error(CELL), CELL)
    assert text.startswith("ZeroDivisionError: division by zero\n")
    assert "In cell In[3], line 7:\n" in text
    assert "-> 7 | divide()" in text
    assert "In cell In[3], line 5, in divide:\n" in text
    assert "   4 | def divide():\n-> 5 |     return a / b\n   6 | \n   7 | divide()" in text


def test_python_s_cache_of_lines_is_asked_too() -> None:
    """Without `source_of`, or where it does not know or raises, linecache has cells of IPython."""
    name = "/tmp/ipykernel_99/1234567.py"
    error = cell_error(CELL, name)
    linecache.cache[name] = (len(CELL), None, CELL.splitlines(keepends=True), name)
    for source_of in (None, lambda _file: None, lambda _file: 1 / 0):
        text = describe_error(error, source_of).text
        assert "In a notebook cell, line 5, in divide:" in text
        assert "-> 5 |     return a / b" in text


def test_a_source_that_is_not_known_is_left_out() -> None:
    """A frame of a text that nobody keeps has its place only."""
    text = describe_error(cell_error("1/0", "<string>")).text
    assert "In <string>, line 1" in text
    assert "->" not in text.split("In <string>")[1]


def test_library_frames_are_one_line_each() -> None:
    """At most the innermost two, without their source."""
    text = told(cell_error('x = 1\njson.loads("{")'), 'x = 1\njson.loads("{")')
    assert '-> 2 | json.loads("{")' in text
    library = [line for line in text.splitlines() if line.startswith("In library")]
    assert len(library) == 2
    assert "json/decoder.py" in library[-1]
    assert "raw_decode" in library[-1] or "decode" in library[-1]


def test_folders_are_known_on_windows_too() -> None:
    """Paths there have backslashes, some slashes, and capitals that mean nothing."""
    folders = Folders([r"C:\Python311\Lib", "D:\\"], ntpath)
    for file in (r"C:\Python311\Lib\json\decoder.py", "c:/python311/lib/json/decoder.py", r"D:\a"):
        assert folders.have(file)
    for file in (r"C:\Python311\Library\a.py", r"C:\work\a.py", "<string>"):
        assert not folders.have(file)
    assert Folders(["/usr/lib/python3"], posixpath).have("/usr/lib/python3/json/decoder.py")
    assert not Folders(["/usr/lib/python3"], posixpath).have("/usr/lib/python3.py")


def test_messages_are_the_same_at_each_run() -> None:
    """Addresses in memory and the order of sets are left out of them."""
    error = ValueError(f"{object()} is none of {{'b', 'a'}}")
    error.add_note(repr(object()))
    text = told(error)
    assert text.startswith("ValueError: <object object> is none of {'a', 'b'}\n")
    assert "Note: <object object>" in text


def test_frames_that_run_the_cell_are_not_told() -> None:
    """What is outside of the user's first frame, IPython for example, says nothing."""
    error = raised(functools.partial(json.loads, "1", object_hook=None, cls=Runs))
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next  # the frame of this test
    text = describe_error(error).text
    assert "In library" not in text
    assert "in Runs.decode" in text


class Runs(json.JSONDecoder):
    def decode(self, s: str, *args: Any) -> Any:
        raise ValueError(s)


def test_causes_are_told_in_their_order() -> None:
    """`raise ... from`, errors while handling others, and `from None`."""
    source = "try:\n    try:\n        1/0\n    except Exception as e:\n"
    source += "        raise KeyError('k') from e\nexcept Exception:\n    [][1]\n"
    text = told(cell_error(source), source)
    places = [
        text.index(words)
        for words in (
            "IndexError",
            "It happened while this was being handled:",
            "\nKeyError: 'k'",
            "Its direct cause was:",
            "ZeroDivisionError",
        )
    ]
    assert places == sorted(places)
    quiet = "try:\n    1/0\nexcept Exception:\n    raise KeyError('k') from None\n"
    assert "ZeroDivisionError" not in told(cell_error(quiet), None)


def test_a_circle_of_causes_ends() -> None:
    """An error that is its own cause at some distance is told once."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    text = describe_error(first).text
    assert text.count("ValueError: first") == 1


def test_a_syntax_error_shows_its_line() -> None:
    """The line and a mark below the place, also if the error has no text of its own."""
    error = raised(lambda: compile("a = 1\nb = (2\n", "<ipython-input-4-x>", "exec"))
    text = told(error)
    assert "SyntaxError: '(' was never closed" in text
    assert "In cell In[4], line 2:\n-> 2 | b = (2\n           ^" in text
    bare = SyntaxError("bad", ("<ipython-input-4-x>", 2, 1, None))
    assert "-> 2 | b = (2" in told(bare, "a = 1\nb = (2\n")
    assert told(SyntaxError("bad")).startswith("SyntaxError: bad")


def test_notes_and_groups_are_told() -> None:
    """Notes of an exception, and the headlines of those in a group."""
    error = ExceptionGroup("both", [ValueError("one"), KeyError("two")])
    error.add_note("seen in spring")
    text = describe_error(error).text
    assert "Note: seen in spring" in text
    assert "- ValueError: one\n- KeyError: 'two'" in text


def test_recursion_is_told_once() -> None:
    """A thousand times the same line are one frame with a count."""
    text = told(cell_error("def f():\n    f()\nf()\n"), "def f():\n    f()\nf()\n")
    assert "RecursionError" in text
    assert "times in a row)" in text
    assert len(text) < 2_000


def test_the_whole_has_a_limit() -> None:
    """Many frames, long lines and long messages stay below about 8,000 characters."""
    body = "".join(f"def f{i}():\n    f{i + 1}()  # {'x' * 300}\n\n" for i in range(60))
    source = f"{body}def f60():\n    raise ValueError('y' * 50_000)\nf0()\n"
    text = told(cell_error(source), source)
    assert len(text) < 8_200
    assert "in f60" in text, "the innermost is kept"
    assert "outer frames are left out]" in text
    assert "[cut: " in text


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_error_that_cannot_speak_is_told() -> None:
    """A message that raises does not end the description."""
    assert "Silent: (its message cannot be read)" in describe_error(Silent()).text


def test_nothing_in_a_traceback_is_evaluated() -> None:
    """Braces, templates and code in lines and messages stay text."""
    source = "raise ValueError('{a} {{b}} %s \\\\(x\\\\) `rm` {{ 1/0 }}')  # {x!r} ${HOME}"
    text = told(cell_error(source), source)
    assert "{a} {{b}} %s \\(x\\) `rm` {{ 1/0 }}" in text
    assert "# {x!r} ${HOME}" in text


def test_no_variable_is_told() -> None:
    """Only lines and messages; what the variables hold is the user's."""
    source = "key = ''.join(['se', 'same'])\nraise ValueError\n"
    assert "sesame" not in told(cell_error(source), source)


def test_an_error_as_a_value_is_told_as_an_error() -> None:
    """`describe` of an exception is `describe_error` under the user's name."""
    error = cell_error("1/0")
    piece = describe("caught", error)
    assert piece.name == "caught"
    assert piece.text == describe_error(error).text
    assert describe_error(error).name == "_error"


def test_our_own_frames_count_as_a_library() -> None:
    """What happens within this package is not the user's code."""
    from minimax_magic.images import image_block

    text = describe_error(raised(functools.partial(image_block, b"", name="x"))).text
    assert "In library" in text
    assert "in fitting" in text
    assert "def fitting" not in text
