"""What tools and answers share: schemas that are the same everywhere, and values read to their end."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

import minimax_magic
from minimax_magic.tools.schemas import plain_default, settled

# what goes into the key of a recorded answer: schemas and texts of results
TOLD = """
import dataclasses, json
from typing import Annotated, Any
import pandas as pd
from pydantic import BaseModel, Field
from minimax_magic.structured import output_type
from minimax_magic.tools.functions import as_tool
from minimax_magic.tools.results import result_text

WORDS = "tree bush herb moss fern vine reed palm".split()

class Plant(BaseModel):
    tags: set[str]
    more: frozenset[str] = frozenset(WORDS)
    deep: dict[str, Any] = {"in": set(WORDS)}
    both: set[frozenset[str]] = {frozenset(WORDS[:2]), frozenset(WORDS[2:])}

class Leaf(BaseModel, frozen=True):
    name: str

class Wood(BaseModel):
    leaves: set[Leaf]

@dataclasses.dataclass
class Box:
    inside: Any

def find(
    kinds: set[str] = set(WORDS),
    odd: set[Any] = {1, *WORDS},
    field: Annotated[set[str], Field(default=set(WORDS))] = None,
    plant: Plant = Plant(tags=set(WORDS)),
    pair: tuple[Any, ...] = (1, set(WORDS)),
): ...

print(json.dumps([as_tool(find).spec.parameters, output_type(Plant).tool.parameters]))
for value in (
    Plant(tags=set(WORDS)),
    [Plant(tags=set(WORDS))],
    Wood(leaves={Leaf(name=word) for word in WORDS}),
    Box({(word, 1) for word in WORDS}),
    {frozenset(WORDS[:2]), frozenset(WORDS[2:4]), frozenset(WORDS[4:]), 1, None},
    {float("nan"), *WORDS, 1.5},
    {f"{word}{n}" for word in WORDS for n in range(9_000)},
    {(f"{word}{n}", None) for word in WORDS for n in range(3_000)},
    pd.DataFrame({"a": [set(WORDS)]}),
):
    print(result_text(value))
"""


def test_schemas_and_results_are_the_same_in_each_process() -> None:
    """Sets, whose order changes with each start of Python, are told in one order or not at all."""
    root = str(Path(minimax_magic.__file__).parent.parent)
    told = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root}
        command = [sys.executable, "-c", TOLD]
        ran = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert ran.returncode == 0, ran.stderr
        told.append(ran.stdout.splitlines())
    assert told[0] == told[1]
    assert '"default": ["bush", "fern", "herb"' in told[0][0]
    assert '"tags": ["bush", "fern", "herb"' in told[0][1]


def test_a_default_without_an_order_has_no_json() -> None:
    """A set is sorted, by what JSON makes of it if need be; what holds one inside is not told."""
    assert plain_default({10, 9}) == [9, 10]
    assert plain_default({"b", 1}) == ["b", 1]
    assert plain_default(frozenset()) == []
    assert plain_default((1, ["a"])) == [1, ["a"]]
    for nested in ([{1}], {"a": {1}}, Tags(words={"a"})):
        with pytest.raises(ValueError, match="no order"):
            plain_default(nested)


class Tags(BaseModel):
    words: set[str]


class Bag(BaseModel, frozen=True):
    items: Iterable[int]


@dataclasses.dataclass(frozen=True)
class Sack:
    items: Iterable[int]
    name: str = "s"


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        (Iterable[int], "[1, 2]", [1, 2]),
        (Optional[Iterable[int]], "[1]", [1]),  # noqa: UP045  # as people write it
        (list[Iterable[int]], "[[1], [2]]", [[1], [2]]),
        (tuple[str, Iterable[int]], '["a", [1]]', ("a", [1])),
        (dict[str, Iterable[Iterable[int]]], '{"a": [[1], []]}', {"a": [[1], []]}),
        (Bag, '{"items": [1, 2]}', Bag.model_construct(items=[1, 2])),
        (list[Sack], '[{"items": [1]}]', [Sack([1])]),
    ],
)
def test_lazy_values_are_read_at_once(kind: Any, written: str, value: Any) -> None:
    """Wherever the iterable stands, there is a list in its place, and what is wrong is told now."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    assert settled(adapter.validate_json(written)) == value
    with pytest.raises(ValidationError):
        settled(adapter.validate_json(written.replace("1", '"x"')))


def test_circles_of_a_validator_are_left() -> None:
    """A value that refers to itself is looked at once."""
    circle: list[Any] = [1]
    circle.append(circle)
    assert settled(circle) is circle
