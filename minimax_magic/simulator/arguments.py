"""Plausible arguments for an offered tool: the simulator's model reads the prompt a little."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\d)")
PLACE = re.compile(r"\b(?:in|at|for|from|to)\s+([A-Z][\w'-]*(?:\s+[A-Z][\w'-]*)*)")
QUOTED = re.compile(r"[\"“']([^\"”']+)[\"”']")
NAME = re.compile(r"\b[A-Z][\w'-]+(?:\s+[A-Z][\w'-]+)*")
NAMES = ("name", "person", "who", "author")
PLACE_NAMES = ("city", "location", "place", "town", "country", "where")
FREE_TEXT = ("query", "question", "text", "prompt", "q")
FORMATS: dict[str, str] = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "email": "someone@example.com",
    "uri": "https://example.com/",
}
# one of each kind that JSON has, the most usual mistake first
WRONG: dict[str, Any] = {"string": "wrong", "array": ["wrong"], "object": {"wrong": True}}
# a schema may refer to itself
MAX_DEPTH = 5


class _Prompt:
    """What a prompt offers as values; every number and quoted text is used once, in order."""

    def __init__(self, text: str) -> None:
        self.numbers = numbers_in(text)
        self.quoted: Iterator[str] = (match.group(1) for match in QUOTED.finditer(text))
        place = PLACE.search(text)
        self.place = place.group(1) if place else "San Francisco"
        names = [name for name in NAME.findall(text) if name != self.place]
        # the word that a sentence begins with seldom is one
        inside = [name for name in names if not text.lstrip().startswith(name)]
        self.name: str = (inside or names or ["example"])[0]
        self.text = " ".join(text.split())[:80] or "example"

    def number(self) -> float:
        return next(self.numbers, 1)

    def string(self, name: str) -> str:
        if any(word in name.lower() for word in PLACE_NAMES):
            return self.place
        quoted = next(self.quoted, None)
        if quoted is not None:
            return quoted
        if any(word in name.lower() for word in NAMES):
            return self.name
        return self.text if name.lower() in FREE_TEXT else "example"


def numbers_in(text: str) -> Iterator[float]:
    """The numbers of a text, whole ones as int."""
    for match in NUMBER.finditer(text):
        yield _number(float(match.group()))


def _number(value: float) -> float:
    return int(value) if value == int(value) else value


def plausible_arguments(schema: dict[str, Any], prompt: str) -> dict[str, Any]:
    """Arguments that a JSON schema of type object accepts, as far as the simple keywords go.

    Required properties are filled, or all of them when none is said to be required.
    """
    value = _value("", schema, schema, _Prompt(prompt), 0)
    return value if isinstance(value, dict) else {}


def wrong_arguments(schema: dict[str, Any], prompt: str) -> dict[str, Any]:
    """The same with one mistake, which the schema does not accept.

    The first property has a wrong type. Where any type is right a required property is missing;
    where none is required there is one too many.
    """
    value = plausible_arguments(schema, prompt)
    properties = _resolve(schema, schema).get("properties") or {}
    for name, of_first in list(properties.items())[:1]:
        allowed = _kinds(of_first, schema)
        for kind, wrong in WRONG.items():
            if allowed and kind not in allowed:
                return {**value, name: wrong}
    required = schema.get("required") or []
    if required:
        return {name: given for name, given in value.items() if name != required[0]}
    return {**value, "unexpected": True}


def _kinds(schema: Any, root: dict[str, Any], depth: int = 0) -> set[str]:
    """The JSON types that a schema takes; none said: any."""
    schema = _followed(schema, root)
    branches = [*(schema.get("anyOf") or ()), *(schema.get("oneOf") or ())]
    if branches and depth < MAX_DEPTH:
        kinds = [_kinds(branch, root, depth + 1) for branch in branches]
        return set().union(*kinds) if all(kinds) else set()
    kind = schema.get("type")
    if kind is None:
        values = [*(schema.get("enum") or ()), *([schema["const"]] if "const" in schema else ())]
        # what is no string is taken for a number: nothing here gives one as a mistake
        return {"string" if isinstance(value, str) else "number" for value in values}
    return set(kind) if isinstance(kind, list) else {str(kind)}


def _followed(schema: Any, root: dict[str, Any]) -> dict[str, Any]:
    """The schema itself where a local `$ref` stands for it."""
    found: dict[str, Any] = schema if isinstance(schema, dict) else {}
    for _ in range(MAX_DEPTH):
        ref = found.get("$ref")
        if not isinstance(ref, str):
            return found
        at: Any = root
        for key in ref.removeprefix("#/").split("/"):
            at = at.get(key) if isinstance(at, dict) else None
        found = at if isinstance(at, dict) else {}
    return {}


def _resolve(schema: Any, root: dict[str, Any]) -> dict[str, Any]:
    """Follow a local `$ref` and take the first branch that is not null."""
    for _ in range(MAX_DEPTH):
        found = _followed(schema, root)
        branches = found.get("anyOf") or found.get("oneOf") or found.get("allOf")
        if not branches:
            return found
        schema = next((b for b in branches if b.get("type") != "null"), branches[0])
    return {}


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if kind is None:
        return "object" if "properties" in schema else "string"
    return str(kind)


def _value(name: str, schema: Any, root: dict[str, Any], prompt: _Prompt, depth: int) -> Any:
    schema = _resolve(schema, root)
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if schema.get("enum"):
        named = (v for v in schema["enum"] if str(v).lower() in prompt.text.lower())
        return next(named, schema["enum"][0])
    match _kind(schema):
        case "object":
            if depth >= MAX_DEPTH:
                return {}
            properties = schema.get("properties") or {}
            wanted = schema.get("required") or list(properties)
            return {
                key: _value(key, properties.get(key, {}), root, prompt, depth + 1) for key in wanted
            }
        case "array":
            if fixed := schema.get("prefixItems"):
                return [_value(name, item, root, prompt, depth + 1) for item in fixed]
            count = max(1, schema.get("minItems") or 1)
            items = schema.get("items") or {}
            return [_value(name, items, root, prompt, depth + 1) for _ in range(min(count, 10))]
        case "integer":
            return int(_bounded(prompt.number(), schema))
        case "number":
            return _number(_bounded(prompt.number(), schema))
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return FORMATS.get(schema.get("format", "")) or prompt.string(name)


def _bounded(value: float, schema: dict[str, Any]) -> float:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and value < low:
        return float(low)
    if high is not None and value > high:
        return float(high)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is not None and value <= above:
        return float(above) + 1
    return float(below) - 1 if below is not None and value >= below else value
