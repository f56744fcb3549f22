"""Text and environments that do not show themselves.

`%xmode Verbose`, pytest and error reporters print the repr of local variables. What may hold a key
is therefore kept in these types from the moment it is read. They protect against being *shown*:
`str()`, f-strings and slices give ordinary text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class MaskedStr(str):
    """A string that behaves like any other, but whose repr is `'***'`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class MaskedEnviron(Mapping[str, str]):
    """A read-only view of environment variables; its repr names none of them.

    Args:
        variables: What to look at, for instance `os.environ`; changes in it are seen.
    """

    __slots__ = ("_variables",)

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        return MaskedStr(self._variables[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __repr__(self) -> str:
        return f"MaskedEnviron({len(self)} variables)"
