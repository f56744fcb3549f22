"""Server-sent events: bytes in any cut go in, the data of whole events comes out.

Lines are split first and decoded after, so that a character cut in two by the network is whole again
and U+2028 inside a line stays what it is. Only CR, LF and CRLF end a line. Event names, ids and retry
times are not kept: MiniMax's frames say what they are in their JSON `type`, and the `event:` line may
be missing.
"""

from __future__ import annotations

import json

from minimax_magic.errors import ProtocolError

# Far above any real event (the 400 KB ones seen hold a whole tool argument), far below what would
# hurt: a server that never ends its line must not eat the notebook's memory.
MAX_EVENT_BYTES = 64 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class SSEParser:
    """Feeds on network reads; gives the `data` of each finished event as text.

    Args:
        max_event_bytes: An event, or a line, longer than this is a `ProtocolError`.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._partial: list[bytes] = []  # pieces of the last line, which has no end yet
        self._partial_size = 0
        self._data: list[bytes] = []  # data lines of the event being read
        self._data_size = 0
        self._skip_lf = False  # the last read ended in CR: a LF that follows belongs to it
        self._at_start = True

    def feed(self, chunk: bytes) -> list[str]:
        """The data of every event that this read completes, in order, perhaps none."""
        if self._skip_lf and chunk:
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        if b"\n" not in chunk and b"\r" not in chunk:
            self._keep(chunk)
            return []
        if self._partial:
            chunk = b"".join((*self._partial, chunk))
            self._partial.clear()
            self._partial_size = 0
        if self._at_start:
            self._at_start = False
            chunk = chunk.removeprefix(_BOM)
        lines = chunk.splitlines()
        if not chunk.endswith(b"\n"):
            if chunk.endswith(b"\r"):
                self._skip_lf = True
            else:
                self._keep(lines.pop())
        return self._read(lines)

    def close(self) -> list[str]:
        """The last event, if the stream ended without the blank line after it.

        It is given only if it is whole: half a frame means that the connection broke, which is for
        the caller to find out, not that the server sent nonsense.
        """
        rest = b"".join(self._partial)
        self._partial.clear()
        if self._at_start:
            rest = rest.removeprefix(_BOM)
        return [data for data in self._read([rest, b""]) if _is_whole(data)]

    def _read(self, lines: list[bytes]) -> list[str]:
        events: list[str] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data:") or line == b"data":
                value = line[6:] if line.startswith(b"data: ") else line[5:]
                data.append(value)
                self._data_size += len(value) + 1  # empty lines fill the memory too
                if self._data_size > self._max:
                    raise _too_long(self._max)
            elif not line and data:
                raw = data[0] if len(data) == 1 else b"\n".join(data)
                data.clear()
                self._data_size = 0
                events.append(raw.decode("utf-8", "replace"))
            # all else is a comment (":") or a field that is of no use here
        return events

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._partial.append(piece)
            self._partial_size += len(piece)
            if self._partial_size > self._max:
                raise _too_long(self._max)


def _is_whole(value: str) -> bool:
    if value.strip() == "[DONE]":
        return True
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


def _too_long(limit: int) -> ProtocolError:
    return ProtocolError(
        f"The server sent an event of more than {limit:,} bytes.",
        hint="Check that base_url points at a MiniMax API.",
    )
