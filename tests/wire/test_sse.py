"""The event stream parser: bytes in any cut, the data of whole events out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_streams import cut

from minimax_magic.errors import ProtocolError
from minimax_magic.wire.sse import SSEParser

MODEST = settings(max_examples=60, deadline=None, derandomize=True)


def parse(*chunks: bytes) -> list[str]:
    parser = SSEParser()
    events = [data for chunk in chunks for data in parser.feed(chunk)]
    return events + parser.close()


CASES = {
    "lf": (b'data: {"a":1}\n\ndata: {"a":2}\n\n', ['{"a":1}', '{"a":2}']),
    "crlf": (b'data: {"a":1}\r\n\r\ndata: {"a":2}\r\n\r\n', ['{"a":1}', '{"a":2}']),
    "cr": (b'data: {"a":1}\r\rdata: {"a":2}\r\r', ['{"a":1}', '{"a":2}']),
    "mixed ends": (b"data: 1\r\n\ndata: 2\r\r\ndata: 3\n\r\n", ["1", "2", "3"]),
    "bom": (b"\xef\xbb\xbfdata: 1\n\n", ["1"]),
    "a second bom is no bom": (b"data: 1\n\n\xef\xbb\xbfdata: 2\n\ndata: 3\n\n", ["1", "3"]),
    "comments": (b": keep-alive\n\n:\n\ndata: 1\n: in between\n\n", ["1"]),
    "other fields": (b"event: x\nid: 7\nretry: 10\ndata: 1\nnonsense\n\nevent: y\n\n", ["1"]),
    "several data lines": (b"data: [1,\ndata:2\ndata:   ]\n\n", ["[1,\n2\n  ]"]),
    "several data lines, crlf": (b"data: 1\r\ndata: 2\r\n\r\n", ["1\n2"]),
    "data without colon": (b"data\ndata: 1\n\n", ["\n1"]),
    "one blank is dropped": (b"data:  1\n\ndata:2\n\n", [" 1", "2"]),
    "field names are exact": (b"data : 1\n data: 2\nDATA: 3\n\ndata: 4\n\n", ["4"]),
    "u+2028 and others": (
        "data: a\u2028b\u2029c\x85d\x0be\n\n".encode(),
        ["a\u2028b\u2029c\x85d\x0be"],
    ),
    "utf-8": ("data: Grüße 🐈 漢\n\n".encode(), ["Grüße 🐈 漢"]),
    "broken utf-8": (b"data: a\xff\xf0\x9f\x90b\n\n", ["a\ufffd\ufffdb"]),
    "no blank line at the end": (b'data: 1\n\ndata: {"b": 2}\n', ["1", '{"b": 2}']),
    "no line end at the end": (b'data: 1\n\ndata: {"b": 2}', ["1", '{"b": 2}']),
    "done without a blank": (b"data: 1\n\ndata:[DONE]", ["1", "[DONE]"]),
    "half a frame at the end": (b'data: 1\n\ndata: {"b": {"c": 2}', ["1"]),
    "half an event of two lines": (b'data: 1\n\ndata: {"b":\ndata: [', ["1"]),
    "half a field name at the end": (b"data: 1\n\ndat", ["1"]),
    "a bom and no more": (b"\xef\xbb\xbf", []),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("stream", "expected"), CASES.values(), ids=CASES)
def test_the_data_of_every_event_is_given(stream: bytes, expected: list[str]) -> None:
    """Whole input, byte by byte, and cut at every position give the same events."""
    assert parse(stream) == expected
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == expected
    for at in range(len(stream) + 1):
        assert parse(stream[:at], b"", stream[at:]) == expected


LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINE = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=12)


@MODEST
@given(
    events=st.lists(st.lists(LINE, min_size=1, max_size=3), max_size=5),
    end=LINE_ENDS,
    noise=st.sampled_from([b"", b": ping", b"event: message", b"id"]),
    places=st.lists(st.integers(0, 500), max_size=8),
)
def test_any_cut_gives_the_same_events(
    events: list[list[str]], end: bytes, noise: bytes, places: list[int]
) -> None:
    """However lines end and the network cuts, each event's lines come back joined by LF."""
    stream = b""
    for lines in events:
        stream += noise + end if noise else b""
        stream += b"".join(b"data: " + line.encode() + end for line in lines) + end
    assert parse(*cut(stream, places)) == ["\n".join(lines) for lines in events]


def test_events_are_given_as_soon_as_they_are_whole() -> None:
    """The blank line gives the event out; what follows waits for its own."""
    parser = SSEParser()
    assert parser.feed(b"data: 1\n") == []
    assert parser.feed(b"\ndata: 2") == ["1"]
    assert parser.feed(b"\r\r") == ["2"]
    assert parser.feed(b"\n") == []


def test_an_event_of_five_megabytes_passes() -> None:
    """Large tool arguments come as one line; reads of 64 KB put it together."""
    line = b'data: {"x":"' + b"y" * 5_000_000 + b'"}\n\n'
    (event,) = parse(*(line[i : i + 65_536] for i in range(0, len(line), 65_536)))
    assert event == line[6:-2].decode()


@pytest.mark.parametrize(
    "stream",
    [
        b"data: " + b"x" * 120 + b"\n\n",
        b"x" * 120,
        b"data: x\n" * 60,
        b"data:\n" * 120,
        b"data\n" * 120,
    ],
    ids=["long line", "no line end", "many lines", "empty lines", "bare lines"],
)
def test_memory_has_a_limit(stream: bytes) -> None:
    """A server that never ends its event is cut off with a ProtocolError, whatever it sends."""
    for size in (1, 7, len(stream)):
        parser = SSEParser(max_event_bytes=100)
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        with pytest.raises(ProtocolError, match="more than 100 bytes"):
            list(map(parser.feed, pieces))


def test_the_limit_is_for_one_event() -> None:
    """Many events of ordinary size never reach it."""
    parser = SSEParser(max_event_bytes=100)
    assert len(parser.feed(b"data: hello\n\n" * 500)) == 500
