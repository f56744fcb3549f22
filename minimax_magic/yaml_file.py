"""YAML in which every value knows its line, with placeholders for environment variables.

`parse_yaml` turns bytes into `YamlNode`s. Nothing is expanded yet, so that a section of another
program can be left alone, unset variables and all. `YamlNode.value` then gives plain data:

- Scalars come as text, numbers too: the schema says what a value is, so that `group_id: 0123` and
  `requests_per_second: "2.0"` both do what was meant. `null`, `~` and nothing at all are None.
- `${VAR}` is the variable, `${VAR:-default}` has a default for unset or empty, `${VAR-default}` for
  unset only. They may stand anywhere inside a scalar, not in keys; `$${` is a literal `${`. What a
  variable holds is not expanded again.
- A plain (unquoted) scalar that is one placeholder and expands to `null` or nothing is None too.

Every problem is a `ConfigError` with label and line. Files may hold keys, variables even more so:
error texts quote neither, and no frame that raises has them in its locals (see `masked`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from minimax_magic.errors import ConfigError
from minimax_magic.masked import MaskedStr

# libyaml parses a config file some ten times faster; some builds of PyYAML come without it
_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_STANDARD_TAG = "tag:yaml.org,2002:"
_NULL_TEXTS = frozenset({"", "~", "null", "Null", "NULL"})

_PLACEHOLDER = re.compile(
    r"""\$\$\{                                            # escaped
      | \$\{ (?P<name>[A-Za-z_][A-Za-z0-9_]*)
             (?: (?P<dash>:?-) (?P<default>(?:(?!\$\{)[^}])*) )? \}
      | \$\{                                              # anything else is a mistake
    """,
    re.VERBOSE,
)

_Content: TypeAlias = "MaskedStr | dict[str, YamlNode] | list[YamlNode] | None"


class YamlNode:
    """One value of a file: a mapping, a list, a text or None.

    Attributes:
        label: The file as errors name it.
        line: Where the value is, from 1; for a value in a mapping, the line of its key.
        content: A dict or list of nodes, the text as written (not expanded), or None.
    """

    __slots__ = ("_plain", "_tag", "content", "label", "line")

    def __init__(
        self, label: str, line: int, content: _Content, *, plain: bool = False, tag: str = ""
    ) -> None:
        self.label = label
        self.line = line
        self.content = content
        self._plain = plain
        self._tag = tag

    def __repr__(self) -> str:
        return f"<{self.place}>"

    @property
    def place(self) -> str:
        """`config/llm.yaml line 4`."""
        return f"{self.label} line {self.line}"

    def get(self, key: str) -> YamlNode | None:
        """The value of `key`; None if there is no such key or this is no mapping."""
        return self.content.get(key) if isinstance(self.content, dict) else None

    def nearest(self, path: tuple[str | int, ...]) -> YamlNode:
        """Follows keys and list positions as far as they exist."""
        node = self
        for step in path:
            match node.content:
                case dict() as entries if step in entries:
                    node = entries[str(step)]
                case list() as items if isinstance(step, int) and step < len(items):
                    node = items[step]
                case _:
                    break
        return node

    def value(self, environ: Mapping[str, str]) -> object:
        """Plain data (dict, list, text, None) with the placeholders filled in.

        Texts are `MaskedStr`, since any of them may be a key.

        Args:
            environ: Environment variables, best as a `MaskedEnviron`.

        Raises:
            ConfigError: A variable is not set, or a placeholder or tag is not understood.
        """
        if self._tag:
            raise ConfigError(
                f"{self.place}: tags such as !env are not supported.",
                hint="Write ${VARIABLE} for an environment variable.",
            )
        match self.content:
            case None:
                return None
            case dict() as entries:
                return {key: node.value(environ) for key, node in entries.items()}
            case list() as items:
                return [node.value(environ) for node in items]
        return self._expanded(environ)

    def _expanded(self, environ: Mapping[str, str]) -> MaskedStr | None:
        written = self.content
        assert isinstance(written, MaskedStr)
        if "${" not in written:
            return written
        if _has_mistake(written):
            raise ConfigError(
                f"{self.place}: a placeholder that begins with ${{ is not understood.",
                hint="Write ${VARIABLE} or ${VARIABLE:-default}, and $${ for a literal ${.",
            )
        unset = next((name for name in _required(written) if name not in environ), None)
        if unset is not None:
            raise ConfigError(
                f"{self.place}: the environment variable {unset} is not set.",
                hint=f"Set it, or give it a default in the file: ${{{unset}:-default}}.",
            )
        text = MaskedStr(_PLACEHOLDER.sub(lambda found: _filled(found, environ), written))
        if self._plain and text in _NULL_TEXTS and _PLACEHOLDER.fullmatch(written):
            return None
        return text


def parse_yaml(data: bytes, label: str) -> YamlNode | None:
    """The document in `data`; None if there is nothing but comments.

    Args:
        label: The file as errors should name it.

    Raises:
        ConfigError: Not UTF-8, not YAML, a key that is given twice or is not plain text.
    """
    parsed = _parsed(data, label)
    data = b""  # a traceback with locals would show it
    if isinstance(parsed, _Mistake):
        raise ConfigError(f"{label} line {parsed.line}: {parsed.problem}", hint=parsed.hint)
    return parsed


@dataclass(frozen=True, slots=True)
class _Mistake:
    line: int
    problem: str
    hint: str = ""


def _parsed(data: bytes, label: str) -> YamlNode | _Mistake | None:
    """Returns mistakes instead of raising them: PyYAML's errors, nodes and frames hold the text."""
    try:
        tree: yaml.Node | None = yaml.compose(data.decode("utf-8-sig"), Loader=_LOADER)
        return None if tree is None else _Converter(label).converted(tree)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return _Mistake(line, "the file is not UTF-8.", "Save it with the encoding UTF-8.")
    except yaml.reader.ReaderError as error:
        line = data.count(b"\n", 0, error.position) + 1
        return _Mistake(line, "there is a control character.", "Remove it.")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        lines = data.splitlines()
        # libyaml's end of file is one line below the last
        line = min(mark.line + 1, len(lines)) if mark else 1
        # libyaml's wording never quotes the file, PyYAML's own may
        problem = re.sub(r"\s'[^']{2,}'", "", error.problem or "something is wrong here")
        if problem == "but found another document":
            problem = "there is a second document"
        hint = "Check indentation, colons and quotes; text with special characters needs quotes."
        if b"${" in lines[line - 1]:
            hint = 'A placeholder inside { } or [ ] needs quotes: "${VARIABLE}".'
        return _Mistake(line, f"not valid YAML, {problem}.", hint)
    except RecursionError:
        return _Mistake(1, "the file is nested too deeply.")


class _Converter:
    """Makes `YamlNode`s of PyYAML's nodes; keeps the first mistake and goes on."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._mistake: _Mistake | None = None
        self._open: set[int] = set()  # ids of nodes being converted: an alias may contain itself

    def converted(self, tree: yaml.Node) -> YamlNode | _Mistake:
        node = self._node(tree, _line(tree))
        return self._mistake or node

    def _note(self, line: int, problem: str, hint: str = "") -> None:
        if self._mistake is None:
            self._mistake = _Mistake(line, problem, hint)

    def _node(self, node: yaml.Node, line: int) -> YamlNode:
        tag = "" if node.tag.startswith(_STANDARD_TAG) else node.tag
        if id(node) in self._open:
            self._note(line, "an alias refers to something that contains it.")
            return YamlNode(self._label, line, None)
        self._open.add(id(node))
        content: _Content = None
        plain = False
        match node:
            case yaml.MappingNode():
                content = self._entries(node)
            case yaml.SequenceNode():
                content = [self._node(item, _line(item)) for item in node.value]
            case yaml.ScalarNode():
                plain = not node.style  # None from PyYAML, "" from libyaml
                if node.tag != _STANDARD_TAG + "null":
                    content = MaskedStr(node.value)
        self._open.discard(id(node))
        return YamlNode(self._label, line, content, plain=plain, tag=tag)

    def _entries(self, node: yaml.MappingNode) -> dict[str, YamlNode]:
        entries: dict[str, YamlNode] = {}
        merged: dict[str, YamlNode] = {}
        for key, value in node.value:
            line = _line(key)
            if key.tag == _STANDARD_TAG + "merge":
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in sources:
                    content = self._node(source, line).content
                    if isinstance(content, dict):
                        merged = content | merged
                    else:
                        self._note(line, "<< must be followed by an alias of a mapping.")
            elif not isinstance(key, yaml.ScalarNode):
                self._note(line, "a key must be plain text.", "Put text with braces into quotes.")
            elif key.value in entries:
                first = entries[key.value].line
                told = f"the key {shown(key.value)} is given twice, first in line {first}."
                self._note(line, told, "Remove one of the two.")
            else:
                entries[MaskedStr(key.value)] = self._node(value, line)
        return merged | entries


def shown(text: str) -> str:
    """Text of a file as an error may quote it: short, in quotes, and nothing that looks like a key."""
    text = re.sub(r"\s+", " ", re.sub(r"(sk-|eyJ)[\w.\-]{4,}", r"\1***", str(text)))
    return f"'{text}'" if len(text) <= 60 else f"'{text[:57]}...'"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _required(written: str) -> list[str]:
    return [
        found["name"]
        for found in _PLACEHOLDER.finditer(written)
        if found["name"] and found["dash"] is None
    ]


def _has_mistake(written: str) -> bool:
    return any(found[0] == "${" for found in _PLACEHOLDER.finditer(written))


def _filled(found: re.Match[str], environ: Mapping[str, str]) -> str:
    name, default = found["name"], found["default"]
    if name is None:
        return "${"
    held = environ.get(name)
    if default is not None and (held is None or (held == "" and found["dash"] == ":-")):
        return default
    return held or ""
