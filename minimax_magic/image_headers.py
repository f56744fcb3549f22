"""What the first bytes of an image tell: its format and its size. No decoding, no files.

Names and claimed media types are not believed: servers refuse a JPEG that is called PNG.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
# the markers of JPEG that begin a frame and so hold its size; C4, C8 and CC are something else
_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# markers without a length: fill bytes, restarts, start of the image, and TEM
_BARE_MARKERS: Final = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """An image of one of the four formats that are sent as they are.

    Attributes:
        width: In pixels, as stored; an EXIF orientation is not looked at. 0: not to be read.
        height: The same.
    """

    media_type: str
    width: int
    height: int


def read_header(data: bytes) -> ImageHeader | None:
    """Format and size of a PNG, JPEG, GIF or WEBP; None if the bytes are none of these."""
    if data.startswith(_PNG):
        sized = data[12:16] == b"IHDR" and len(data) >= 24
        width, height = (_big(data[16:20]), _big(data[20:24])) if sized else (0, 0)
        return ImageHeader("image/png", width, height)
    if data.startswith(b"\xff\xd8\xff"):
        return ImageHeader("image/jpeg", *_jpeg_size(data))
    if data.startswith((b"GIF87a", b"GIF89a")):
        return ImageHeader("image/gif", _little(data[6:8]), _little(data[8:10]))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return ImageHeader("image/webp", *_webp_size(data))
    return None


def other_format(data: bytes) -> str | None:
    """The name of a format that the server does not take, `SVG` or `TIFF`; None if not known."""
    if _is_svg(data):
        return "SVG"
    if data.startswith(b"%PDF-"):
        return "PDF"
    if data.startswith(b"BM") and data[6:10] == bytes(4):
        return "BMP"
    if data.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    if data.startswith(b"\0\0\1\0"):
        return "ICO"
    if data.startswith((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")):
        return "JPEG 2000"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis"):
        return "AVIF"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return "HEIC"
    return None


def _is_svg(data: bytes) -> bool:
    start = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"<svg") or (
        start.startswith((b"<?xml", b"<!--", b"<!DOCTYPE svg")) and b"<svg" in start
    )


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walks from marker to marker up to the one of the frame; (0, 0) if there is none."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # any number of these may stand before a marker
            at += 1
        elif marker in _BARE_MARKERS:
            at += 2
        elif marker in _FRAME_MARKERS:
            return _big(data[at + 7 : at + 9]), _big(data[at + 5 : at + 7])
        else:
            at += 2 + _big(data[at + 2 : at + 4])
    return 0, 0


def _webp_size(data: bytes) -> tuple[int, int]:
    """The size in the first chunk, which is one of three kinds; (0, 0) if it is none or cut."""
    if len(data) < 30:
        return 0, 0
    match data[12:16]:
        case b"VP8X":
            return _little(data[24:27]) + 1, _little(data[27:30]) + 1
        case b"VP8L":
            bits = _little(data[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF
    return 0, 0


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
