"""Values that a model gave, as a notebook shows them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, RootModel

from minimax_magic.render.markup import answer
from minimax_magic.render.values import value_bundle


class Size(Enum):
    BIG = "big"


class Person(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str
    age: int = 1
    size: Size | None = None


class People(RootModel[list[Person]]):
    pass


@dataclass
class City:
    name: str
    founded: date
    inhabitants: list[Person] = field(default_factory=list)


@pytest.mark.parametrize(
    ("value", "tree"),
    [
        (Person(name="Ana", size=Size.BIG), {"name": "Ana", "age": 1, "size": "big"}),
        (
            Person.model_validate({"name": "Ana", "extra": 2}),
            {"name": "Ana", "age": 1, "size": None, "extra": 2},
        ),
        (
            [City("Rom", date(1, 2, 3))],
            [{"name": "Rom", "founded": "0001-02-03", "inhabitants": []}],
        ),
        (People([Person(name="A")]), [{"name": "A", "age": 1, "size": None}]),
        ({1: Decimal("1.50"), Size.BIG: (1, 2)}, {"1": "1.50", "big": [1, 2]}),
        ([float("nan"), float("inf"), 1.5, True, 1], ["nan", "inf", 1.5, True, 1]),
        (["\ud83d"], ["\ufffd"]),
        ({3}, [3]),
    ],
)
def test_objects_and_lists_have_a_tree(value: Any, tree: Any) -> None:
    """Models, dataclasses and containers are a tree of JSON, fit for a browser, beside their text."""
    bundle = value_bundle(value)
    assert bundle["application/json"] == tree
    json.dumps(bundle, allow_nan=False).encode("utf-8")
    assert list(bundle) == ["application/json", "text/plain"]


@pytest.mark.parametrize(
    "value", [42, 1.5, "text", True, Size.BIG, date(2026, 1, 2), Decimal("1.5")]
)
def test_scalars_are_text_alone(value: Any) -> None:
    """A number or a word needs no tree."""
    assert value_bundle(value) == {"text/plain": repr(value)}


def test_what_is_too_long_for_a_line_is_written_over_several() -> None:
    """Long values are written as a person would, each part on its line."""
    people = [Person(name="Ana " * 8, age=n) for n in range(2)]
    name = "Ana " * 8
    assert value_bundle(people)["text/plain"] == (
        f"[\n    Person(name={name!r}, age=0, size=None),\n"
        f"    Person(name={name!r}, age=1, size=None),\n]"
    )
    city = City("Rom", date(1, 2, 3), people)
    assert value_bundle(city)["text/plain"].startswith(
        "City(\n    name='Rom',\n    founded=datetime.date(1, 2, 3),\n    inhabitants=[\n        Person("
    )
    assert value_bundle({"a": "b" * 100})["text/plain"] == "{\n    'a': '" + "b" * 100 + "',\n}"


def test_a_huge_value_fits_one_message() -> None:
    """A value too large for a message has no tree, and its text is cut."""
    bundle = value_bundle(["word"] * 40_000)
    assert list(bundle) == ["text/plain"]
    assert "more characters]" in bundle["text/plain"]


def test_a_value_that_contains_itself_ends() -> None:
    """A list in itself is shown to some depth."""
    value: list[Any] = []
    value.append(value)
    assert value_bundle(value)["text/plain"] == "[[...]]"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = object.__str__


def test_a_broken_class_is_shown_by_its_name() -> None:
    """Whatever `repr` of a class does, there is something to see."""
    assert value_bundle(Broken()) == {"text/plain": "<Broken>"}


def test_a_value_goes_before_the_text() -> None:
    """Where there is a value, it is shown, whatever the text was."""
    assert answer('{"name": "Ana"}', "markdown", value=Person(name="Ana")) == value_bundle(
        Person(name="Ana")
    )
    people = [Person(name="Ana")]
    assert answer("text", "json", value=people) == value_bundle(people)
    bundle = answer("text", "json", value={"a": float("nan")})
    assert bundle == {"application/json": {"a": "nan"}, "text/plain": '{\n  "a": "nan"\n}'}
