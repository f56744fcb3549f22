"""What a cell names: tools, images, data and types of the answer, in a real shell."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from minimax_magic.errors import ConfigError
from minimax_magic.ipython.namespace import Namespace, last_error
from minimax_magic.messages import ImageBlock
from minimax_magic.simulator import Reply, Simulator
from minimax_magic.tools import functions
from minimax_magic.tools.functions import tool


@pytest.fixture(autouse=True)
def no_other_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "_REGISTERED", {})


@pytest.fixture(autouse=True)
def no_error_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("last_exc", "last_value", "last_type", "last_traceback"):
        monkeypatch.delattr(sys, name, raising=False)


@pytest.fixture
def names(shell: Any, tmp_path: Path) -> Namespace:
    return Namespace(shell.ip, lambda: tmp_path, shell.magics.shown)


def refusal(call: Any, *args: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*args)
    text = str(caught.value)
    assert "\n" not in text
    return text


# ------------------------------------------------------------------------------------------ tools


def test_a_function_of_the_namespace(shell: Any, names: Namespace) -> None:
    """A function is offered as it is at the moment, with its docstring."""
    shell.run("def look(city: str) -> str:\n    'Says how it is there.'\n    return 'old'")
    assert names.tool("look").spec.description == "Says how it is there."
    shell.run("def look(city: str) -> str:\n    return 'new'")
    assert names.tool("look").function("x") == "new"


def test_a_method_by_its_dotted_name(shell: Any, names: Namespace) -> None:
    """`db.query` is the method of that object, offered under its own name."""
    shell.run(
        "class Db:\n    rows = 3\n    def query(self, sql: str) -> int: return self.rows\ndb = Db()"
    )
    offered = names.tool("db.query")
    assert offered.spec.name == "query"
    assert list(offered.spec.parameters["properties"]) == ["sql"]
    assert offered.function("select") == 3
    assert "Db.query is a method without its object" in refusal(names.tool, "Db.query")


def test_the_registered_name_of_a_function(shell: Any, names: Namespace) -> None:
    """`@tool(name=...)` is found by that name and by the function's, and keeps the name it was given."""
    shell.run(
        "from minimax_magic import tool\n"
        "@tool(name='weather', description='The sky.')\ndef look(city: str) -> str:\n    return city"
    )
    for name in ("weather", "look"):
        spec = names.tool(name).spec
        assert (spec.name, spec.description) == ("weather", "The sky.")


def test_a_variable_goes_before_a_registered_tool(shell: Any, names: Namespace) -> None:
    """What the cell's author sees under a name is what is offered."""

    def weather(city: str) -> str:
        """Registered by a library."""
        return "library"

    tool(weather)
    assert names.tool("weather").function("x") == "library"
    shell.run("def weather(city: str) -> str:\n    return 'mine'")
    assert names.tool("weather").function("x") == "mine"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nope", "--tools nope: 'nope' is not defined. Run the cell that defines it first."),
        ("db.nope", "--tools db.nope raised AttributeError"),
        ("n", "A value of type int cannot be a tool."),
        ("Db", "Db is a class and cannot be a tool."),
        ("no python", "--tools no python: that is no Python expression. Nothing was sent."),
        ("1/0", "--tools 1/0 raised ZeroDivisionError: division by zero. Nothing was sent."),
    ],
)
def test_no_tool(shell: Any, names: Namespace, name: str, told: str) -> None:
    """What is not defined or cannot be called is refused in one line."""
    shell.run("n = 3\nclass Db: pass\ndb = Db()")
    assert told in refusal(names.tool, name)


def test_two_tools_of_one_name(shell: Any, sim: Simulator) -> None:
    """Two methods of the same name cannot be told apart by the model, and are not sent."""
    shell.run("class Db:\n    def query(self, sql: str) -> str: return sql\na, b = Db(), Db()")
    ran = shell.run("%%minimax --tools a.query,b.query\nhi")
    assert "query" in ran.out
    assert ran.error is not None
    assert sim.requests == []


def test_only_what_the_cell_names_is_offered(shell: Any, sim: Simulator) -> None:
    """Registered tools go along with no cell that does not name them."""
    shell.run("from minimax_magic import tool\n@tool\ndef look(city: str) -> str:\n    return city")
    shell.run("def other() -> int:\n    return 1")
    shell.run("%%minimax\nhi")
    shell.run("%%minimax --tools other\nhi")
    assert "tools" not in sim.requests[0].body
    assert [t["function"]["name"] for t in sim.requests[1].body["tools"]] == ["other"]


# ----------------------------------------------------------------------------------------- images


def png(colour: str = "red", size: int = 4) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(file, "png")
    return file.getvalue()


def size_of(block: ImageBlock) -> tuple[int, int]:
    assert block.data is not None
    return Image.open(io.BytesIO(base64.b64decode(block.data))).size


def test_images_by_name(shell: Any, names: Namespace, tmp_path: Path) -> None:
    """A variable, what an expression gives, and a file are images; a path in a variable is, too."""
    shell.ns.update(raw=png(size=5), pair=[png(size=6)], path=str(tmp_path / "a b.png"))
    (tmp_path / "a b.png").write_bytes(png(size=7))
    sizes = {"raw": 5, "pair[0]": 6, "path": 7, "a b.png": 7, "./a b.png": 7}
    for name, size in sizes.items():
        assert size_of(names.image(name)) == (size, size)


def test_a_file_that_reads_like_an_expression(shell: Any, names: Namespace, tmp_path: Path) -> None:
    """`chart.png` is the file if there is one, although there is a variable `chart`."""
    shell.ns["chart"] = png(size=5)
    (tmp_path / "chart.png").write_bytes(png(size=9))
    assert size_of(names.image("chart.png")) == (9, 9)
    assert size_of(names.image("chart")) == (5, 5)


def test_an_address(names: Namespace) -> None:
    """An address goes out as it is, without being fetched here."""
    url = "https://example.com/a,b.png?x=1&y=[2]"
    assert names.image(url).url == url


@pytest.mark.parametrize(
    "name", ["nope.png", "nope", "no such file", "x" * 300, "fig.savefig", "n", "1/0", "(", "_7"]
)
def test_no_image(shell: Any, names: Namespace, name: str) -> None:
    """What is neither is refused in one line that names it."""
    shell.run("n = 3\nfig = 'x'")
    assert name[:20] in refusal(names.image, name)


def show(shell: Any, data: bytes, value: str = "") -> int:
    """Runs a cell that displays an image, as `plt.show()` does, and gives its number."""
    number: int = shell.ip.execution_count
    shell.ns["_data"] = {"image/png": data, "text/plain": "figure"}
    shell.run(f"get_ipython().display_pub.publish(_data)\n{value}")
    return number


def test_the_figure_of_an_earlier_cell(shell: Any, names: Namespace) -> None:
    """`_3` and `Out[3]` are the image that cell displayed, whatever its value, even if it had none."""
    first = show(shell, png(size=5))
    second = show(shell, png(size=6), "[1]")
    shell.run("7")
    for number, size in ((first, 5), (second, 6)):
        for name in (f"_{number}", f"Out[{number}]"):
            assert size_of(names.image(name)) == (size, size)


def test_the_last_output(shell: Any, names: Namespace) -> None:
    """`_` is the value of the last cell; if that is no image, the last figure shown since."""
    shell.ns["data"] = png(size=5)
    shell.run("data")
    assert size_of(names.image("_")) == (5, 5)
    show(shell, png(size=6), "[1]")
    assert size_of(names.image("_")) == (6, 6)
    show(shell, png(size=7))
    assert size_of(names.image("_")) == (7, 7)
    shell.run("[2]")
    refusal(names.image, "_")
    assert size_of(names.image("__")) == (6, 6)


def test_images_go_before_the_prompt_in_their_order(shell: Any, sim: Simulator) -> None:
    """`--image`, given several times, sends several, each to the byte."""
    shell.ns.update(a=png(size=5), b=png(size=6))
    ran = shell.run("%%minimax --image a --image b --model MiniMax-M3\nwhat is it?")
    assert ran.error is None, ran.out
    assert [image.data for image in sim.images] == [png(size=5), png(size=6)]


# ---------------------------------------------------------------------------------------- context


def test_data_by_name(shell: Any, names: Namespace) -> None:
    """`--ctx` takes any expression, In and Out; what is named twice goes along once."""
    shell.run("xs = [1, 2, 3]")
    shell.run("xs[1]")
    told = names.pieces(["xs[0]", "In[1]", "Out[2]", "xs[0]"], 0)
    assert [piece.name for piece in told] == ["xs[0]", "In[1]", "Out[2]"]
    assert "xs = [1, 2, 3]" in told[1].text
    assert "2" in told[2].text


def test_the_last_error(shell: Any, names: Namespace) -> None:
    """`_error` is the exception that ended a cell last, as data."""
    assert "There was no error yet" in refusal(names.piece, "_error", 0)
    shell.run("def f(x):\n    return 1 / x\nf(0)")
    piece = names.piece("_error", 0)
    assert "ZeroDivisionError" in piece.text
    assert "return 1 / x" in piece.text
    shell.ns["_error"] = "mine"
    assert "mine" in names.piece("_error", 0).text


def test_our_own_errors_do_not_hide_it(shell: Any, sim: Simulator) -> None:
    """A cell of ours that fails, however often, leaves the error that is to be asked about."""
    shell.run("{}['key that is missing']")
    shell.run("%%minimax --frobnicate\nhi")
    shell.run("%%minimax\n[[error 401]]")
    shell.run("%%minimax --agent nobody\nhi")
    assert isinstance(last_error(), KeyError)
    shell.run("int('x')")
    assert isinstance(last_error(), ValueError)


def test_only_our_own_error(shell: Any) -> None:
    """Where nothing else has failed, there is no error."""
    shell.run("%%minimax --frobnicate\nhi")
    assert last_error() is None


@pytest.mark.parametrize("flavor", ["openai_compat", "anthropic_messages"])
def test_nothing_in_data_is_filled_in(shell: Any, sim: Simulator, flavor: str) -> None:
    """Values, sources and tracebacks go out to the letter, whatever braces they hold."""
    shell.run(
        "calls = []\nlatex = r'\\frac{a}{b} $x_{{i}}$'\njinja = '{% if x %}{{ calls.append(1) }}'"
    )
    shell.run("def f():\n    return f'{{calls.append(1)}} {latex}'")
    shell.run("raise ValueError('{{calls.append(1)}} and {x}')")
    ran = shell.run(
        f"%%minimax --flavor {flavor} --ctx latex,jinja,f,_error\n"
        r"{{latex}} {{jinja}} {x} \(a_{1}\) f'{y}' {% raw %}"
    )
    assert ran.error is None, ran.out
    assert shell.ns["calls"] == []
    (request,) = sim.requests
    content = request.body["messages"][-1]["content"]
    prompt, told = content[0]["text"], content[1]["text"]
    latex, jinja = shell.ns["latex"], shell.ns["jinja"]
    assert prompt.strip() == rf"{latex} {jinja} {{x}} \(a_{{1}}\) f'{{y}}' {{% raw %}}"
    for text in (jinja, "f'{{calls.append(1)}} {latex}'", "{{calls.append(1)}} and {x}"):
        assert text in told
    assert "_{{i}}$" in told


def test_any_bytes_come_back_as_they_went(shell: Any, sim: Simulator) -> None:
    """A prompt with all of it echoed is the prompt, in the request and in the reply."""
    value = "{{x}} {x!r:>{w}} \\frac{1}{2} {# c #} ${HOME} %(a)s \U0001f642 \u200b\t\\n"
    shell.ns["value"] = value
    shell.run("%%minimax answer\n[[echo]] {{value}}")
    assert shell.ns["answer"].text.strip() == value.strip()
    assert f"[[echo]] {value}" in sim.requests[0].body["messages"][-1]["content"]


# --------------------------------------------------------------------------- type of the answer

MODELS = """
from dataclasses import dataclass
from typing import TypedDict
from pydantic import BaseModel
class Person(BaseModel):
    name: str
    age: int
@dataclass
class Point:
    x: int
class Row(TypedDict):
    a: str
"""


@pytest.mark.parametrize(
    ("kind", "answer", "expected"),
    [
        ("Person", '{"name": "Ann", "age": "7"}', "Person(name='Ann', age=7)"),
        ("list[Person]", '[{"name": "A", "age": 1}]', "[Person(name='A', age=1)]"),
        ("Point", '{"x": 3}', "Point(x=3)"),
        ("Row", '{"a": "b"}', "{'a': 'b'}"),
        ("'dict[str, int]'", '{"a": 1}', "{'a': 1}"),
        ("int", "41", "41"),
    ],
)
def test_a_type_by_name(shell: Any, sim: Simulator, kind: str, answer: str, expected: str) -> None:
    """`--as` takes any type of the namespace, and the variable receives a value of it."""
    shell.run(MODELS)
    sim.script(Reply(text=f"Here it is:\n```json\n{answer}\n```"))
    ran = shell.run(f"%%minimax who --as {kind}\nWho?")
    assert ran.error is None, ran.out
    assert shell.run("repr(who)").value == expected


def test_no_type(shell: Any, sim: Simulator) -> None:
    """What is no type is refused before anything is sent, and the variable stays as it was."""
    shell.ns["who"] = "untouched"
    for kind, told in (("Nope", "--as Nope: 'Nope' is not defined"), ("'1 +'", "no Python")):
        ran = shell.run(f"%%minimax who --as {kind}\nWho?")
        assert told in ran.out
        assert len(ran.lines) == 1
    assert shell.ns["who"] == "untouched"
    assert sim.requests == []


def test_json_gives_what_is_in_it(shell: Any, sim: Simulator) -> None:
    """`--format json` gives a dict or a list; an answer that is neither is sent back."""
    sim.script(Reply(text="Sorry, no."), Reply(text='```json\n{"a": [1, 2]}\n```'))
    ran = shell.run("%%minimax d --format json\nGive me some.")
    assert ran.error is None, ran.out
    assert shell.ns["d"] == {"a": [1, 2]}
    assert len(sim.requests) == 2


def test_no_valid_answer(shell: Any, sim: Simulator) -> None:
    """After `--repair` attempts the cell fails, and what was given is the reply's text."""
    sim.script(Reply(text="one"), Reply(text="two"))
    ran = shell.run("%%minimax d --format json --repair 1\nGive me some.")
    assert ran.error is not None
    assert "OutputInvalid" in ran.out
    assert shell.ns["d"].text == "two"
    assert len(sim.requests) == 2


# ------------------------------------------------------------------------------------------- Tab


def test_names_for_tab(shell: Any, names: Namespace) -> None:
    """Tab offers the user's own names: not IPython's, not private ones; tools are functions, and
    those registered."""
    shell.run("def look(): pass\nn = 1\n_hidden = 2")
    tool(lambda city: city, name="far")
    assert {"look", "n"} <= set(names.names())
    assert not {"_hidden", "In", "Out", "get_ipython", "exit"} & set(names.names())
    assert names.tool_names() == ["far", "look"]
