"""Structured output: types, their schemas, and answers read as values of them."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import sys
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, Generic, Literal, Optional, TypeVar

import pytest
import typing_extensions
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator

from minimax_magic.errors import ConfigError
from minimax_magic.messages import ToolCall
from minimax_magic.render.markup import INSTRUCTIONS
from minimax_magic.structured import ANY_JSON, NotValid, OutputType, output_type

T = TypeVar("T")


class Person(BaseModel):
    """Somebody who lives."""

    name: str = Field(description="In full.")
    age: int
    title: str | None = None


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


class Row(typing.TypedDict):
    """A row of a table."""

    id: int
    note: typing.NotRequired[str]


class Table(typing.TypedDict, total=False):
    rows: list[Row]


class Newer(typing_extensions.TypedDict):
    id: int


class Colour(enum.Enum):
    RED = "red"


class Node(BaseModel):
    value: int
    children: list[Node] = []


class Box(BaseModel, Generic[T]):
    content: T


class Numbers(RootModel[list[int]]):
    """Some numbers."""


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: datetime.date
    colours: set[Colour]
    pair: tuple[int, str]


class Aliased(BaseModel):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)
    first: int = Field(alias="firstName")


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def _even(cls, value: int) -> int:
        if value == 99:
            raise KeyError("no such number")
        if value < 0:
            raise AssertionError("must be positive")
        if value % 2:
            raise ValueError("must be even")
        return value


def call(arguments: dict[str, Any]) -> ToolCall:
    return ToolCall(id="1", name="give_answer", arguments=arguments)


def schema(output: OutputType) -> dict[str, Any]:
    assert output.tool is not None
    return output.tool.parameters


OBJECTS: list[tuple[Any, str, dict[str, Any], Any]] = [
    (Person, "Person", {"name": "Ana", "age": 3}, Person(name="Ana", age=3)),
    (Point, "Point", {"x": 1}, Point(1.0)),
    (Row, "Row", {"id": 1}, {"id": 1}),
    (Table, "Table", {"rows": [{"id": 1, "note": "n"}]}, {"rows": [{"id": 1, "note": "n"}]}),
    (Newer, "Newer", {"id": 1}, {"id": 1}),
    (Box[int], "Box[int]", {"content": 1}, Box[int](content=1)),
    (
        Node,
        "Node",
        {"value": 1, "children": [{"value": 2}]},
        Node(value=1, children=[Node(value=2)]),
    ),
    (
        Strict,
        "Strict",
        {"day": "2026-01-02", "colours": ["red"], "pair": [1, "a"]},
        Strict(day=datetime.date(2026, 1, 2), colours={Colour.RED}, pair=(1, "a")),
    ),
    (Aliased, "Aliased", {"firstName": 1}, Aliased(first=1)),
    (Aliased, "Aliased", {"first": 1}, Aliased(first=1)),
]
OTHERS: list[tuple[Any, str, Any, Any]] = [
    (int, "int", 42, 42),
    (str, "str", "hello", "hello"),
    (bool, "bool", True, True),
    (list[int], "list[int]", [1], [1]),
    (list[Person], "list[Person]", [{"name": "A", "age": 1}], [Person(name="A", age=1)]),
    (list[Row], "list[Row]", [{"id": 1}], [{"id": 1}]),
    (dict[str, Point], "dict[str, Point]", {"a": {"x": 1}}, {"a": Point(1.0)}),
    (dict[str, int], "dict[str, int]", {"answer": 1}, {"answer": 1}),
    (tuple[int, ...], "tuple[int, ...]", [1, 2], (1, 2)),
    (set[int], "set[int]", [1, 1], {1}),
    (Literal["yes", "no"], "Literal['yes', 'no']", "yes", "yes"),
    (Person | Point, "Person | Point", {"x": 2}, Point(2.0)),
    (Optional[Person], "Person | None", None, None),  # noqa: UP045
    (Row | None, "Row | None", {"id": 1}, {"id": 1}),
    (Colour, "Colour", "red", Colour.RED),
    (Numbers, "Numbers", [1, 2], Numbers([1, 2])),
    (datetime.date, "date", "2026-01-02", datetime.date(2026, 1, 2)),
    (typing.Annotated[int, Field(ge=0)], "int", 3, 3),
    (typing.List[Row], "list[Row]", [{"id": 2}], [{"id": 2}]),  # noqa: UP006
]


@pytest.mark.parametrize(("kind", "label", "arguments", "value"), OBJECTS)
def test_an_object_is_the_arguments_themselves(
    kind: Any, label: str, arguments: dict[str, Any], value: Any
) -> None:
    """Models, dataclasses and TypedDicts are read from the call and from text alike."""
    output = output_type(kind)
    assert output.label == label
    assert "answer" not in schema(output)["properties"]
    assert schema(output)["type"] == "object"
    assert output.read_call(call(arguments)) == value
    assert output.read_text(json.dumps(arguments)) == value
    assert output.read_text(f"So:\n```json\n{json.dumps(arguments)}\n```") == value


@pytest.mark.parametrize(("kind", "label", "written", "value"), OTHERS)
def test_anything_else_is_wrapped(kind: Any, label: str, written: Any, value: Any) -> None:
    """Arguments must be an object; in text the bare form is understood, too."""
    output = output_type(kind)
    assert output.label == label
    assert schema(output)["type"] == "object"
    assert schema(output)["required"] == ["answer"]
    assert output.read_call(call({"answer": written})) == value
    assert output.read_text(json.dumps({"answer": written})) == value
    assert output.read_text(json.dumps(written)) == value
    assert output.read_text(f"```\n{json.dumps(written)}\n```") == value
    assert type(output.read_text(json.dumps(written))) is type(value)


def test_the_schema_is_self_contained_and_quiet() -> None:
    """Descriptions stay, titles of classes and fields go, references find their target inside."""
    output = output_type(Person)
    assert schema(output) == {
        "type": "object",
        "description": "Somebody who lives.",
        "properties": {
            "name": {"type": "string", "description": "In full."},
            "age": {"type": "integer"},
            "title": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
        "required": ["name", "age"],
    }
    assert schema(output_type(list[Point])) == {
        "type": "object",
        "properties": {"answer": {"type": "array", "items": {"$ref": "#/$defs/Point"}}},
        "required": ["answer"],
        "$defs": {
            "Point": {
                "type": "object",
                "properties": {"x": {"type": "number"}, "y": {"type": "number", "default": 0.0}},
                "required": ["x"],
            }
        },
    }
    node = schema(output_type(Node))
    assert "$ref" not in node
    assert node["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert "Node" in node["$defs"]


def test_a_title_that_was_set_stays() -> None:
    """It says more than the name."""

    class Titled(BaseModel):
        n: int = Field(title="Number of people")

    assert schema(output_type(Titled))["properties"]["n"]["title"] == "Number of people"


def test_the_tool_is_described_and_its_name_is_free() -> None:
    """The docstring of the type is told; a function of the user's with that name keeps it."""
    output = output_type(Person)
    assert output.tool is not None
    assert output.tool.name == "give_answer"
    assert output.tool.description == "Takes the final answer: Person. Somebody who lives."
    other = output_type(Row, taken={"give_answer", "give_answer_2"})
    assert other.tool is not None
    assert other.tool.name == "give_answer_3"
    assert "give_answer_3" in other.instruction
    assert "A row of a table." in other.tool.description


def test_the_instruction_tells_both_ways() -> None:
    """The call, and JSON of the schema; a schema that is long is not told twice."""
    text = output_type(Person).instruction
    assert "calling the tool give_answer exactly once" in text
    assert '"In full."' in text
    long = output_type(Literal[tuple(f"word {n}" for n in range(1000))])
    assert long.instruction.endswith("that fits the schema of the tool give_answer.")


def wrong(kind: Any, answer: Any) -> NotValid:
    output = output_type(kind)
    with pytest.raises(NotValid) as by_call:
        output.read_call(call(answer))
    with pytest.raises(NotValid) as by_text:
        output.read_text(json.dumps(answer))
    assert str(by_call.value) == str(by_text.value)
    return by_call.value


def test_what_is_wrong_is_told_with_its_path() -> None:
    """Path, what is expected, what was given, and what to do: for the model in full."""
    error = wrong(list[Person], {"answer": [{"name": "A", "age": "old"}, {"name": "B"}]})
    assert str(error) == (
        "The answer is not valid as list[Person]:\n"
        "- [0].age: Input should be a valid integer, unable to parse string as an integer"
        " (got 'old')\n"
        "- [1].age: Field required\n"
        "Call give_answer again with the whole answer, corrected."
    )
    assert error.problem == (
        "[0].age: Input should be a valid integer, unable to parse string as an integer (got 'old')"
        " and 1 more"
    )
    assert wrong(Person, {"name": "A"}).problem == "age: Field required"


def test_many_and_large_problems_are_shortened() -> None:
    """A model is told enough to mend it."""
    error = wrong(list[int], {"answer": ["x" * 1000] * 50})
    assert len(str(error)) < 2000
    assert "- and 42 more" in str(error)
    assert error.problem.endswith(" and 49 more")


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (3, "number: must be even (got 3)"),
        (-2, "number: must be positive (got -2)"),
        (99, "a validator failed: KeyError: 'no such number'"),
    ],
)
def test_a_validators_own_words_are_told(number: int, problem: str) -> None:
    """Without pydantic's prefix; an error of another kind is told with its name."""
    assert wrong(Even, {"number": number}).problem == problem


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ('{"name": ', "the arguments are not JSON: Expecting value: line 1 column 10 (char 9)"),
        ("[1]", "the arguments are not a JSON object"),
    ],
)
def test_arguments_that_are_no_object_are_not_valid(written: str, problem: str) -> None:
    """Though the call has arguments, which are then empty."""
    bad = ToolCall(id="1", name="give_answer", invalid_arguments=written)
    with pytest.raises(NotValid) as caught:
        output_type(Table).read_call(bad)
    assert caught.value.problem == problem


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Row, "<think>{'id'}</think>As in [1]: {\"id\": 2}. Done.", {"id": 2}),
        (Row, 'Not {"x": 1} but {"id": 2}', {"id": 2}),
        (list[Row], '[ "id": 1}, {"id": 2}]', [{"id": 1}, {"id": 2}]),
        (list[Row], '```json\n[{"id": 1}, "id": 2}]\n```', [{"id": 1}, {"id": 2}]),
        (list[Row], '{"answer": ["id": 1}]}', [{"id": 1}]),
        (Literal["yes", "no"], " yes\n", "yes"),
        (datetime.date, "2026-01-02", datetime.date(2026, 1, 2)),
        (int, "<think>6 times 7</think>\n42", 42),
        (str, "plain words", "plain words"),
        (str, "as [1] says", "as [1] says"),
        (Iterable[int], "[1, 2]", [1, 2]),
        (str, "42", "42"),
    ],
)
def test_text_is_searched_until_something_fits(kind: Any, text: str, value: Any) -> None:
    """What does not validate is passed by, a dropped brace is put back, quotes may be missing."""
    assert output_type(kind).read_text(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        (Row, "", "the answer is empty"),
        (Row, "I cannot.", "there is no JSON object or array in it"),
        (Row, '{"id": 1', "the JSON is not complete: it breaks off at the end"),
        (Row, "42", "there is no JSON object or array in it"),
        (list[Row], '["id": "x"}]', "[0].id: Input should be a valid integer, unable to parse"),
        (Literal["a"], "b", "Input should be 'a' (got 'b')"),
        (Iterable[int], '[1, "x"]', "[1]: Input should be a valid integer, unable to parse"),
        (list[int], "As [1] says, no.", "Input should be a valid array (got 'As"),
    ],
)
def test_text_without_a_valid_answer_is_not_valid(kind: Any, text: str, problem: str) -> None:
    """A guess never counts that does not validate."""
    with pytest.raises(NotValid) as caught:
        output_type(kind).read_text(text)
    assert caught.value.problem.startswith(problem)


def test_any_json_is_an_object_or_array() -> None:
    """Without a schema; the instruction is that of the format."""
    assert ANY_JSON.tool is None
    assert ANY_JSON.label == "JSON"
    assert ANY_JSON.instruction == INSTRUCTIONS["json"]
    assert ANY_JSON.read_text('so: {"a": [1]}') == {"a": [1]}
    assert ANY_JSON.read_text('[ "a": 1}, {"a": 2}]') == [{"a": 1}, {"a": 2}]
    assert ANY_JSON.read_call(call({"a": 1})) == {"a": 1}
    for text in ("42", "yes", "", "{"):
        with pytest.raises(NotValid, match="Answer again: the whole JSON value"):
            ANY_JSON.read_text(text)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (5, "5 cannot be the form of an answer: Unable to generate"),
        (None, "None is not a type."),
        ("Person", "'Person' is not a type."),
        (len, "len is not a type."),
        (lambda x: x, "<lambda> is not a type."),
        (Callable[[int], int], "cannot be the form of an answer"),
        (types.SimpleNamespace, "SimpleNamespace cannot be the form of an answer"),
        (list["Nowhere"], "cannot be the form of an answer"),  # type: ignore[name-defined]  # noqa: F821
    ],
)
def test_what_has_no_schema_is_refused_in_one_line(kind: Any, message: str) -> None:
    """Before anything is sent; a function would even be called with the answer."""
    with pytest.raises(ConfigError, match="(?s)" + message.replace("(", r"\(")) as caught:
        output_type(kind)
    assert "\n" not in str(caught.value)
    assert "errors.pydantic.dev" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_classes_of_a_cell_find_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their module is `__main__`, annotations may be strings and refer to what comes later."""
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    cell = (
        "from __future__ import annotations\n"
        "import dataclasses, typing\nfrom pydantic import BaseModel\n"
        "class Tree(BaseModel):\n    leaves: list[Leaf]\n    below: Tree | None = None\n"
        "@dataclasses.dataclass\nclass Leaf:\n    size: int\n"
        "class Spot(typing.TypedDict):\n    leaf: Leaf\n    note: typing.NotRequired[str]\n"
    )
    exec(compile(cell, "<cell>", "exec"), main.__dict__)
    tree = output_type(main.Tree).read_text('{"leaves": [{"size": 1}], "below": {"leaves": []}}')
    assert tree == main.Tree(leaves=[main.Leaf(1)], below=main.Tree(leaves=[]))
    assert output_type(main.Spot).read_text('{"leaf": {"size": 2}}') == {"leaf": main.Leaf(2)}


def test_a_default_that_json_cannot_hold_does_not_matter() -> None:
    """It is not told to the model, and no warning is shown."""

    class Odd(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        n: Any = object()

    assert schema(output_type(Odd))["properties"] == {"n": {}}
