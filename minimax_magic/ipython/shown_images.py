"""The images that earlier cells displayed, for `--image _3`.

A kernel sends them away and keeps none, unlike terminal IPython, which has them in its history.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

_MOST = 50
# Together; the last is kept whatever its size. In characters, which is what base64 takes of memory.
_MOST_BYTES = 20_000_000


class ShownImages:
    """Listens to what the cells of a shell display."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._kept: list[tuple[int, dict[str, Any]]] = []

    def install(self) -> None:
        if (register := getattr(self._shell.display_pub, "register_hook", None)) is not None:
            register(self._note)

    def remove(self) -> None:
        if (unregister := getattr(self._shell.display_pub, "unregister_hook", None)) is not None:
            unregister(self._note)
        self._kept.clear()

    def latest(self, since: int, until: int | None = None) -> dict[str, Any] | None:
        """The last image that one of these cells displayed, as a mime bundle; None without one."""
        found = [
            (number, bundle)
            for number, bundle in self._all()
            if number >= since and (until is None or number <= until)
        ]
        # of one cell it is the last, too: `max` alone would take the first
        return max(reversed(found), key=lambda each: each[0])[1] if found else None

    def _all(self) -> Iterator[tuple[int, dict[str, Any]]]:
        outputs = getattr(self._shell.history_manager, "outputs", {})
        for number, shown in outputs.items():
            yield from ((number, each.bundle) for each in shown if _has_image(each.bundle))
        yield from self._kept

    def _note(self, message: dict[str, Any]) -> dict[str, Any]:
        bundle = message.get("content", {}).get("data", {})
        if message.get("msg_type") == "display_data" and _has_image(bundle):
            # `execution_count` goes up before or after a cell, depending on the version of IPython
            history: Any = self._shell.history_manager
            self._kept.append((len(history.input_hist_parsed) - 1, _sized(bundle)))
            self._let_go()
        return message

    def _let_go(self) -> None:
        """Of the oldest, as many as are too many or too large."""
        del self._kept[:-_MOST]
        size = sum(_size(bundle) for _, bundle in self._kept)
        while size > _MOST_BYTES and len(self._kept) > 1:
            size -= _size(self._kept.pop(0)[1])


def _sized(bundle: dict[str, Any]) -> dict[str, Any]:
    """Without JSON, such as a plot's data, whose size nobody knows."""
    return {kind: data for kind, data in bundle.items() if isinstance(data, str | bytes)}


def _size(bundle: dict[str, Any]) -> int:
    return sum(map(len, bundle.values()))


def _has_image(bundle: dict[str, Any]) -> bool:
    return any(kind.startswith("image/") for kind in bundle)
