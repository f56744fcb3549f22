"""Functions as tools: their schema, and the arguments of a call."""

from __future__ import annotations

import enum
import functools
import inspect
import json
import math
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Literal, Optional

import pandas as pd
import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import TypedDict, Unpack

from minimax_magic.errors import ConfigError
from minimax_magic.messages import ToolCall
from minimax_magic.tools.functions import (
    ArgumentsInvalid,
    ToolFunction,
    as_tool,
    registered,
    tool,
)


class Person(BaseModel):
    """Somebody."""

    title: str = ""
    age: int
    born: date | None = None
    friend: Person | None = None


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Box:
    size: int
    tags: list[str] = field(default_factory=list)


class Options(TypedDict, total=False):
    depth: int
    note: str


class Exact(BaseModel):
    model_config = ConfigDict(strict=True)

    day: date
    colour: Colour


def call(arguments: dict[str, Any]) -> ToolCall:
    return ToolCall(id="1", name="it", arguments=arguments)


def run(function: Callable[..., Any] | ToolFunction, **arguments: Any) -> Any:
    """What the function gives for a model's arguments, by the way the agent goes."""
    made = as_tool(function)
    bound = made.bind(call(json.loads(json.dumps(arguments))))
    return made.function(*bound.args, **bound.kwargs)


def refusal(function: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ArgumentsInvalid) as caught:
        as_tool(function).bind(call(arguments))
    return str(caught.value)


def schema(function: Callable[..., Any]) -> dict[str, Any]:
    return as_tool(function).spec.parameters


def weather(
    city: Annotated[str, "Name of the city"],
    days: Annotated[int, Field(ge=1, le=14, description="How many")] = 3,
    unit: Literal["C", "F"] = "C",
    at: Optional[datetime] = None,  # noqa: UP045  # people write it
) -> dict[str, Any]:
    """Gives the forecast.

    From our own station.

    Args:
        city: Not this text, the hint has one
        unit: Degrees
        at: When

    Returns:
        A dict.
    """
    return {"city": city, "days": days, "unit": unit, "at": at}


def test_a_schema_says_what_hints_and_docstring_say() -> None:
    """Types, limits, choices, defaults and descriptions are in the schema; titles are not."""
    spec = as_tool(weather).spec
    assert spec.name == "weather"
    assert spec.description == "Gives the forecast.\n\nFrom our own station."
    assert spec.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city"},
            "days": {
                "type": "integer",
                "minimum": 1,
                "maximum": 14,
                "description": "How many",
                "default": 3,
            },
            "unit": {
                "type": "string",
                "enum": ["C", "F"],
                "description": "Degrees",
                "default": "C",
            },
            "at": {
                "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
                "description": "When",
            },
        },
        "required": ["city"],
    }


def google(x: int, y: int, *rest: int) -> None:
    """Sums.

    Args:
        x: the first
        y (int): the second
        *rest: others
    """


def numpy_style(x: int, y: int, *rest: int) -> None:
    """Sums.

    Parameters
    ----------
    x : int
        the first
    y
        the second
    *rest
        others
    """


def sphinx(x: int, y: int, *rest: int) -> None:
    """Sums.

    :param x: the first
    :param int y: the second
    :param rest: others
    """


@pytest.mark.parametrize("function", [google, numpy_style, sphinx])
def test_arguments_are_described_in_three_styles(function: Callable[..., Any]) -> None:
    """Google, NumPy and Sphinx docstrings give the same descriptions."""
    spec = as_tool(function).spec
    assert spec.description == "Sums."
    said = {name: part["description"] for name, part in spec.parameters["properties"].items()}
    assert said == {"x": "the first", "y": "the second", "rest": "others"}


@pytest.mark.parametrize(
    "text",
    ["See\n:math:`x` here.\n\nAnd more.", "Note: mind.\n\nExample:\n    >>> f()", "One.\nTwo."],
)
def test_a_docstring_without_arguments_is_kept(text: str) -> None:
    """What only looks like a section stays in the description."""

    def f() -> None: ...

    f.__doc__ = text
    assert as_tool(f).spec.description == text


def test_models_are_in_the_schema_itself() -> None:
    """The schema is complete: each reference leads to its own $defs; names may be 'title'."""

    def f(person: Person, box: Box, colour: Colour, options: Options) -> None: ...

    made = schema(f)
    assert set(made["$defs"]) == {"Person", "Box", "Colour", "Options"}
    assert made["properties"]["person"] == {"$ref": "#/$defs/Person"}
    person = made["$defs"]["Person"]
    assert person["description"] == "Somebody."
    assert person["properties"]["title"] == {"type": "string", "default": ""}
    assert "title" not in person
    assert made["$defs"]["Colour"] == {"type": "string", "enum": ["red", "blue"]}


def test_a_function_without_arguments_has_properties() -> None:
    """The server refuses a tool whose parameters are empty, so they never are."""
    assert schema(lambda: 1) == {"type": "object", "properties": {}}


def test_values_become_what_the_hints_say() -> None:
    """JSON becomes models, dataclasses, enums, dates and tuples; "3" becomes 3."""

    def f(
        person: Person, box: Box, colour: Colour, options: Options, pair: tuple[int, str], n: int
    ) -> tuple[Any, ...]:
        return person, box, colour, options, pair, n

    got = run(
        f,
        person={"age": "3", "born": "2020-01-31", "friend": {"age": 4}},
        box={"size": 1},
        colour="red",
        options={"depth": 2},
        pair=["1", "a"],
        n="3",
    )
    person = Person(age=3, born=date(2020, 1, 31), friend=Person(age=4))
    assert got == (person, Box(1), Colour.RED, {"depth": 2}, (1, "a"), 3)


def test_a_strict_model_takes_what_json_can_say() -> None:
    """A date as text is right for a strict model, since JSON has no other way to say it."""

    def f(exact: Exact) -> Exact:
        return exact

    exact = run(f, exact={"day": "2020-01-31", "colour": "blue"})
    assert exact == Exact(day=date(2020, 1, 31), colour=Colour.BLUE)


def test_defaults_are_left_to_the_function() -> None:
    """What the model does not give is not passed."""
    bound = as_tool(weather).bind(call({"city": "Bonn"}))
    assert (bound.args, bound.kwargs) == (("Bonn",), {})
    assert run(weather, city="Bonn", unit="F")["days"] == 3


def test_defaults_of_pydantic_are_passed() -> None:
    """A default that stands in a Field is not Python's, so it is given, and a new one each time."""

    def f(
        n: int = Field(3, ge=1),
        items: list[int] = Field(default_factory=list),  # noqa: B008  # pydantic's way
    ) -> tuple[int, list[int]]:
        return n, items

    first, second = run(f), run(f)
    assert first == second == (3, [])
    assert first[1] is not second[1]
    assert "should be greater than or equal to 1" in refusal(f, n=0)
    assert "required" not in schema(f)


def spread(a: int = 1, b: int = 2, /, c: int = 3, *args: int, d: int = 4, **kw: int) -> Any:
    return a, b, c, args, d, kw


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, (1, 2, 3, (), 4, {})),
        ({"b": 5}, (1, 5, 3, (), 4, {})),
        ({"args": ["7", 8]}, (1, 2, 3, (7, 8), 4, {})),
        ({"args": []}, (1, 2, 3, (), 4, {})),
        ({"c": 9, "d": 8}, (1, 2, 9, (), 8, {})),
        ({"z": "6", "kw": 1}, (1, 2, 3, (), 4, {"z": 6, "kw": 1})),
        ({"d": 1, "b": 2, "args": [3], "x": 4}, (1, 2, 3, (3,), 1, {"x": 4})),
    ],
)
def test_every_kind_of_argument_arrives(arguments: dict[str, Any], expected: Any) -> None:
    """Positional-only, *args, keyword-only and **kwargs can be given in any combination."""
    assert run(spread, **arguments) == expected
    assert schema(spread)["additionalProperties"] == {"type": "integer"}


def test_unpacked_options_are_arguments() -> None:
    """The fields of `**options: Unpack[...]` are offered, and others refused."""

    def f(**options: Unpack[Options]) -> Any:
        return options

    assert run(f, depth="2") == {"depth": 2}
    assert "additionalProperties" not in schema(f)
    assert "x: there is no such argument" in refusal(f, x=1)


def test_a_partial_keeps_what_it_fixed() -> None:
    """Fixed arguments are not offered, and the model cannot get at them by their names."""
    fixed = functools.partial(functools.partial(spread, 10), d=8, q=1)
    assert list(schema(fixed)["properties"]) == ["b", "c", "args"]
    assert run(fixed, c=3, x=3) == (10, 2, 3, (), 8, {"q": 1, "x": 3})
    assert "- d: there is no such argument" in refusal(fixed, d=3)
    assert "- q: there is no such argument" in refusal(fixed, q=3)
    assert as_tool(fixed).spec.name == "spread"


class Counter:
    """Counts."""

    def __init__(self) -> None:
        self.total = 0

    def add(self, n: int) -> int:
        """Adds."""
        self.total += n
        return self.total

    async def __call__(self, n: int) -> int:
        return self.add(n)


def test_methods_and_objects_are_tools() -> None:
    """`self` is not an argument; an object with an async `__call__` is async."""
    counter = Counter()
    assert list(schema(counter.add)["properties"]) == ["n"]
    assert run(counter.add, n="2") == 2
    made = as_tool(counter)
    assert (made.spec.name, made.spec.description, made.is_async) == ("Counter", "Counts.", True)


async def slow(n: int) -> int:
    return n


def numbers(n: int) -> Iterator[int]:
    yield n


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (slow, True),
        (functools.partial(slow, n=1), True),
        (numbers, False),
        (functools.lru_cache(weather), False),
        (math.sqrt, False),
    ],
)
def test_async_functions_are_known(function: Callable[..., Any], is_async: bool) -> None:
    """Whoever runs a tool sees whether it gives a coroutine; a plain generator does not."""
    assert as_tool(function).is_async is is_async


def test_a_decorated_function_is_described_by_what_it_wraps() -> None:
    """functools.wraps keeps schema and description; the decorator is what runs."""

    @functools.wraps(weather)
    def loud(*args: Any, **kwargs: Any) -> Any:
        return [weather(*args, **kwargs)]

    assert schema(loud) == schema(weather)
    assert run(loud, city="Bonn")[0]["city"] == "Bonn"


def test_hints_of_a_notebook_are_resolved_there() -> None:
    """Hints kept as text mean what they mean among the function's globals."""
    cell: dict[str, Any] = {"__name__": "__main__", "Model": Person}
    code = (
        "from __future__ import annotations\ndef f(one: Model, many: list[Model]): return one, many"
    )
    exec(code, cell)
    assert run(cell["f"], one={"age": 1}, many=[]) == (Person(age=1), [])
    del cell["Model"]
    with pytest.raises(ConfigError, match=r"'one' of f .*'Model' is not defined.*earlier cell"):
        as_tool(cell["f"])


def test_without_hints_any_json_will_do() -> None:
    """An argument without a hint takes whatever the model gives."""
    assert schema(lambda x: x)["properties"] == {"x": {}}
    assert run(lambda x: x, x={"a": [1, None]}) == {"a": [1, None]}


def test_a_type_that_json_cannot_say_is_refused() -> None:
    """A DataFrame as argument is an error that names function, argument and a way out."""

    def show(n: int, frame: pd.DataFrame) -> None: ...

    with pytest.raises(ConfigError, match=r"'frame' of show .*pd\.DataFrame") as caught:
        as_tool(show)
    assert "default" in caught.value.hint

    def apply(function: Callable[[int], int]) -> None: ...

    with pytest.raises(ConfigError, match="'function' of apply"):
        as_tool(apply)


def test_such_a_type_with_a_default_is_not_offered() -> None:
    """The function keeps its default, and the model cannot give it through **kwargs."""

    def show(n: int, frame: pd.DataFrame | None = None, **kw: Any) -> Any:
        return n, frame, kw

    assert list(schema(show)["properties"]) == ["n"]
    assert run(show, n=1, z=2) == (1, None, {"z": 2})
    assert "frame: there is no such argument" in refusal(show, n=1, frame="x")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "type int cannot be a tool"),
        (Person, "Person is a class"),
        (max, "does not say which arguments"),
        (Counter.add, "a method without its object"),
    ],
)
def test_what_cannot_be_a_tool_is_refused(value: Any, words: str) -> None:
    """A value, a class, a builtin without signature and an unbound method are errors with a hint."""
    with pytest.raises(ConfigError, match=words) as caught:
        as_tool(value)
    assert caught.value.hint


def test_an_async_generator_is_refused() -> None:
    """It has no value to tell; the hint says to return a list."""

    async def pages() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(ConfigError, match=r"async generator.*list"):
        as_tool(pages)


def test_problems_are_told_with_path_value_and_expectation() -> None:
    """Each line has what a model needs to mend the call; no address of documentation."""

    def f(people: list[Person], colour: Colour, n: int, value: int | str) -> None: ...

    text = refusal(f, people=[{"age": 1}, {"age": "x", "friend": {}}], colour="green", valeu=[])
    assert text.splitlines() == [
        "The arguments of f are not valid:",
        '- people[1].age: got "x"; should be a valid integer, unable to parse string as an integer',
        "- people[1].friend.age: missing",
        "- colour: got \"green\"; should be 'red' or 'blue'",
        "- valeu: there is no such argument; did you mean value?",
        '- n: missing; expected {"type": "integer"}',
        '- value: missing; expected {"anyOf": [{"type": "integer"}, {"type": "string"}]}',
    ]


def test_problems_are_short() -> None:
    """Long values are cut, and of many problems only the first are told."""

    def f(n: list[int]) -> None: ...

    text = refusal(f, n=["x" * 5000] * 100)
    assert len(text) < 3000
    assert text.endswith("- and 92 more problems")


def test_arguments_that_are_no_object_are_told() -> None:
    """What the model wrote instead of an object is quoted."""
    broken = ToolCall(id="1", name="weather", invalid_arguments='{"city": ')
    with pytest.raises(ArgumentsInvalid, match=r'not a JSON object: \{"city":'):
        as_tool(weather).bind(broken)


def check(value: str) -> str:
    raise KeyError(value)


def test_iterables_are_validated_before_the_call() -> None:
    """pydantic would leave it to the function to find what is wrong."""

    def f(numbers: Iterable[int], *more: Iterable[int]) -> None: ...

    made = as_tool(f)
    bound = made.bind(ToolCall(id="1", name="f", arguments={"numbers": ["1"], "more": [[2]]}))
    assert bound.args == ([1], [2])
    with pytest.raises(ArgumentsInvalid, match=r'numbers\[1\]: got "x"; should be a valid integer'):
        made.bind(ToolCall(id="1", name="f", arguments={"numbers": [1, "x"]}))


def test_a_validator_that_raises_is_a_problem_of_the_argument() -> None:
    """An error in the user's own check reaches the model like any other."""

    def f(x: Annotated[str, AfterValidator(check)]) -> None: ...

    assert "- x: got \"a\"; its check failed with KeyError: 'a'" in refusal(f, x="a")


def test_half_a_character_is_replaced() -> None:
    """A lone surrogate cannot be encoded, so no tool gets one."""
    made = as_tool(lambda x: x)
    assert made.bind(call({"x": "a\ud83d"})).args == ("a\ufffd",)


@pytest.mark.parametrize(
    ("own", "fit"),
    [("<lambda>", "lambda"), ("größe", "gro_e"), ("天気", "tool"), ("x" * 99, "x" * 64)],
)
def test_names_are_made_fit(own: str, fit: str) -> None:
    """A function's own name becomes one that the server takes."""

    def f() -> None: ...

    f.__name__ = own
    assert as_tool(f).spec.name == fit


@pytest.mark.parametrize("name", ["", "has blank", "größe", "x" * 65, "a\n"])
def test_a_given_name_must_fit(name: str) -> None:
    """A name that somebody chose is not changed behind their back."""
    with pytest.raises(ConfigError, match="cannot be the name"):
        as_tool(weather, name=name)
    with pytest.raises(ConfigError, match="cannot be the name"):
        tool(name=name)


def test_tool_registers_and_gives_the_function_back() -> None:
    """A decorated function stays an ordinary one; running the cell again replaces it."""

    @tool
    def probe_one(n: int) -> int:
        return n

    @tool(name="probe-two", description="Said here.")
    def probe(n: int) -> int:
        """Not this."""
        return n

    assert inspect.isfunction(probe_one)
    assert probe(2) == 2
    assert registered()["probe_one"].function is probe_one
    assert registered()["probe-two"].spec.description == "Said here."
    tool(weather, name="probe-two")
    assert registered()["probe-two"].function is weather


def test_a_registered_function_keeps_its_description() -> None:
    """Offering a decorated function by its variable's name uses what was registered."""

    @tool(name="probe-three", description="Said here.")
    def probe() -> None: ...

    assert as_tool(probe).spec.name == "probe-three"
    renamed = as_tool(probe, name="variable").spec
    assert (renamed.name, renamed.description) == ("variable", "Said here.")


def test_schemas_are_not_shared() -> None:
    """Whoever changes a schema changes only their own."""
    made = as_tool(weather)
    tool(weather, name="probe-four")
    for other in (as_tool(made), registered()["probe-four"], registered()["probe-four"]):
        other.spec.parameters["properties"]["city"]["type"] = "spoiled"
    assert made.spec.parameters["properties"]["city"]["type"] == "string"
    assert registered()["probe-four"].spec.parameters["properties"]["city"]["type"] == "string"


def test_defaults_that_json_cannot_say_are_left_out() -> None:
    """NaN, objects and long defaults stay out of the schema; the argument is optional all the same."""

    def f(a: float = math.nan, b: Any = print, c: str = "x" * 999, d: float = 0.5) -> None: ...

    made = schema(f)
    assert "required" not in made
    assert [name for name, part in made["properties"].items() if "default" in part] == ["d"]
    json.dumps(made, allow_nan=False)


def test_a_registered_method_is_found_again() -> None:
    """A bound method keeps the name it was registered with, although each access makes another object;
    a table is compared with nothing."""

    class Store:
        def find(self, word: str) -> str:
            return word

    store = Store()
    tool(store.find, name="look_up")
    assert as_tool(store.find).spec.name == "look_up"
    assert as_tool(Store().find).spec.name == "find"
    with pytest.raises(ConfigError, match="cannot be a tool"):
        as_tool(pd.DataFrame({"a": [1]}))
