"""Plausible arguments for an offered tool: the simulator's model reads the prompt a little."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\d)")
PLACE = re.compile(r"\b(?:in|at|for|from|to)\s+([A-Z][\w'-]*(?:\s+[A-Z][\w'-]*)*)")
QUOTED = re.compile(r"[\"“']([^\"”']+)[\"”']")
PLACE_NAMES = ("city", "location", "place", "town", "country", "where")
FREE_TEXT = ("query", "question", "text", "prompt", "q")
# a schema may refer to itself
MAX_DEPTH = 5


class _Prompt:
    """What a prompt offers as values; every number and quoted text is used once, in order."""

    def __init__(self, text: str) -> None:
        self.numbers: Iterator[str] = (match.group() for match in NUMBER.finditer(text))
        self.quoted: Iterator[str] = (match.group(1) for match in QUOTED.finditer(text))
        place = PLACE.search(text)
        self.place = place.group(1) if place else "San Francisco"
        self.text = " ".join(text.split())[:80] or "example"

    def number(self) -> float:
        return float(next(self.numbers, "1"))

    def string(self, name: str) -> str:
        if any(word in name.lower() for word in PLACE_NAMES):
            return self.place
        quoted = next(self.quoted, None)
        if quoted is not None:
            return quoted
        return self.text if name.lower() in FREE_TEXT else "example"


def plausible_arguments(schema: dict[str, Any], prompt: str) -> dict[str, Any]:
    """Arguments that a JSON schema of type object accepts, as far as the simple keywords go.

    Required properties are filled, or all of them when none is said to be required.
    """
    value = _value("", schema, schema, _Prompt(prompt), 0)
    return value if isinstance(value, dict) else {}


def _resolve(schema: Any, root: dict[str, Any]) -> dict[str, Any]:
    """Follow a local `$ref` and take the first branch that is not null."""
    for _ in range(MAX_DEPTH):
        if not isinstance(schema, dict):
            return {}
        if isinstance(ref := schema.get("$ref"), str):
            found: Any = root
            for key in ref.removeprefix("#/").split("/"):
                found = found.get(key, {}) if isinstance(found, dict) else {}
            schema = found
            continue
        branches = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if not branches:
            return schema
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
            count = max(1, schema.get("minItems") or 1)
            items = schema.get("items") or {}
            return [_value(name, items, root, prompt, depth + 1) for _ in range(min(count, 10))]
        case "integer":
            return int(_bounded(prompt.number(), schema))
        case "number":
            number = _bounded(prompt.number(), schema)
            return int(number) if number.is_integer() else number
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return prompt.string(name)


def _bounded(value: float, schema: dict[str, Any]) -> float:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and value < low:
        return float(low)
    return float(high) if high is not None and value > high else value
