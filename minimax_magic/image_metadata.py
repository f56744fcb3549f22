"""Metadata cut out of JPEG, PNG and WEBP: places, names, serial numbers, comments.

Pixels are neither decoded nor written anew: the parts that a picture needs are copied byte for
byte, all others are left out, those that nobody knows yet among them. What follows the end of the
picture goes, too: phones keep further pictures and films there. GIF has no place for a camera's
metadata and is left alone.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
# of PNG, besides those whose name begins with a capital: colours, clear parts, animation
_PNG_KEPT: Final = frozenset(
    b"tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT acTL fcTL fdAT".split()
)
_WEBP_KEPT: Final = frozenset([b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"])
# bits in VP8X that say there is EXIF or XMP
_WEBP_FLAGS: Final = 0x08 | 0x04
# a marker within the pixels: not an escaped FF, not a restart, not fill
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_EXIF: Final = b"Exif\0\0"
_ORIENTATION: Final = 0x0112


class _Broken(Exception):
    """The parts of the file do not follow one another as they should."""


def without_metadata(data: bytes) -> bytes | None:
    """The same picture without metadata; None if the file cannot be taken apart.

    A JPEG that is to be turned keeps this one thing of its EXIF.
    """
    try:
        return _taken_apart(data)[0]
    except _Broken:
        return None


def orientation(data: bytes) -> int:
    """How the picture is to be turned, as EXIF counts: 1 is upright, also if nothing is said."""
    try:
        exif = _taken_apart(data)[1]
    except _Broken:
        return 1
    return _orientation_in(exif.removeprefix(_EXIF))


def _taken_apart(data: bytes) -> tuple[bytes, bytes]:
    """What is kept, and the EXIF; empty if there is none."""
    part: Callable[[bytes], tuple[bytes, bytes]] | None = None
    if data.startswith(b"\xff\xd8\xff"):
        part = _jpeg
    elif data.startswith(_PNG):
        part = _png
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        part = _webp
    return part(data) if part is not None else (data, b"")


def _jpeg(data: bytes) -> tuple[bytes, bytes]:
    kept: list[bytes] = []
    exif = b""
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":  # fill before a marker
            at += 1
        if at + 2 > len(data) or data[at] != 0xFF:
            raise _Broken
        marker = data[at + 1]
        if marker == 0xD9:  # the end
            kept.append(data[at : at + 2])
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # without a length
            kept.append(data[at : at + 2])
            at += 2
            continue
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + size
        if size < 2 or end > len(data):
            raise _Broken
        body = data[at + 4 : end]
        if marker == 0xE1 and body.startswith(_EXIF):
            exif = exif or body
        if _is_kept_segment(marker, body):
            kept.append(data[at:end])
        at = end
        if marker == 0xDA:  # pixels follow, up to the next marker
            found = _JPEG_MARKER.search(data, at)
            at = found.start() if found else len(data)
            kept.append(data[end:at])
            if not found:  # cut off; decoders show what there is
                break
    turned = _orientation_in(exif.removeprefix(_EXIF))
    return data[:2] + (_turning_segment(turned) if turned != 1 else b"") + b"".join(kept), exif


def _is_kept_segment(marker: int, body: bytes) -> bool:
    """Of those for applications: the resolution, the colour profile, and how colours are coded."""
    if marker == 0xE0:
        return body.startswith(b"JFIF\0")
    if marker == 0xE2:
        return body.startswith(b"ICC_PROFILE\0")
    if marker == 0xEE:
        return body.startswith(b"Adobe")
    return marker != 0xFE and not 0xE0 <= marker <= 0xEF  # FE: a comment


def _turning_segment(turned: int) -> bytes:
    """An EXIF segment that says how to turn the picture and nothing else."""
    # one entry: tag, type (a short number), count, value
    entry = struct.pack(">HHIHH", _ORIENTATION, 3, 1, turned, 0)
    body = _EXIF + b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def _png(data: bytes) -> tuple[bytes, bytes]:
    kept = [_PNG]
    exif = b""
    at = len(_PNG)
    kind = b""
    while kind != b"IEND":
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if end > len(data):
            raise _Broken
        if kind == b"eXIf":
            exif = data[at + 8 : end - 4]
        if kind in _PNG_KEPT or kind[:1].isupper():
            kept.append(data[at:end])
        at = end
    return b"".join(kept), exif


def _webp(data: bytes) -> tuple[bytes, bytes]:
    kept: list[bytes] = []
    exif = b""
    at = 12
    last = 8 + int.from_bytes(data[4:8], "little")
    if last > len(data):
        raise _Broken
    while at < last:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        kind, end = data[at : at + 4], at + 8 + size
        # some writers leave the last byte of padding out
        if at + 8 > last or end > last:
            raise _Broken
        chunk = data[at:end] + bytes(size % 2)
        if kind == b"EXIF":
            exif = data[at + 8 : end]
        elif kind == b"VP8X" and size:
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_FLAGS]) + chunk[9:]
        if kind in _WEBP_KEPT:
            kept.append(chunk)
        at = end + size % 2
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + len(body).to_bytes(4, "little") + body, exif


def _orientation_in(tiff: bytes) -> int:
    """The orientation in EXIF, which is a TIFF without a picture; 1 if it cannot be read."""
    if not tiff.startswith((b"II*\0", b"MM\0*")):
        return 1

    def number(at: int, size: int) -> int:
        piece = tiff[at : at + size]
        return int.from_bytes(piece, "little" if tiff[:1] == b"I" else "big")

    first = number(4, 4)
    for entry in range(number(first, 2)):
        at = first + 2 + 12 * entry
        if number(at, 2) == _ORIENTATION:
            turned = number(at + 8, 2)
            return turned if 1 <= turned <= 8 else 1
    return 1
