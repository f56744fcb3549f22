"""Images of a request: read off either wire, checked as MiniMax does, and what is seen of them.

The simulator's model sees of an image what its header says. Texts of refusals are ours.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

# the types of the blocks, one for each wire
IMAGE_KINDS = ("image", "image_url")
MOST_BYTES = 10 * 1024 * 1024
DATA_URL = re.compile(r"data:([^;,]*);base64,(.*)", re.DOTALL)
MAGIC = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}


@dataclass(frozen=True, slots=True)
class SeenImage:
    """An image as it arrived.

    Attributes:
        media_type: None where only an address came.
        data: The decoded bytes; None where only an address came.
        url: The address; None where the bytes came.
    """

    media_type: str | None = None
    data: bytes | None = field(default=None, repr=False)
    url: str | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels; None where the header does not say (and of WebP)."""
        return None if self.data is None else _size(self.data)

    def __str__(self) -> str:
        if self.data is None:
            return f"an image at {self.url}"
        size = "" if self.size is None else f"{self.size[0]} x {self.size[1]}, "
        digest = hashlib.sha256(self.data).hexdigest()[:12]
        return f"{self.media_type}, {size}{len(self.data)} bytes, sha256 {digest}"


def read_image(block: dict[str, Any]) -> SeenImage:
    """The image of an `image` block (Anthropic) or an `image_url` part (OpenAI).

    Raises:
        ValueError: It would be refused; the text is that of the refusal.
    """
    if block.get("type") == "image_url":
        holder = block.get("image_url")
        url = holder.get("url") if isinstance(holder, dict) else None
        if isinstance(url, str) and (found := DATA_URL.fullmatch(url)):
            return _decoded(found.group(1), found.group(2))
        return _addressed(url)
    source = block.get("source")
    if not isinstance(source, dict):
        raise ValueError("image source is empty")
    if source.get("type") == "url":
        return _addressed(source.get("url"))
    return _decoded(source.get("media_type"), source.get("data"))


def image_problem(block: dict[str, Any]) -> str | None:
    """Why an image would be refused, or None."""
    try:
        read_image(block)
    except ValueError as error:
        return str(error)
    return None


def _addressed(url: Any) -> SeenImage:
    if not isinstance(url, str) or not re.match(r"https?://[^/\s]", url):
        raise ValueError("invalid image url")
    return SeenImage(url=url)


def _decoded(media_type: Any, text: Any) -> SeenImage:
    if media_type not in MAGIC:
        raise ValueError(f"unsupported image type: {media_type}")
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise ValueError("image data is not valid base64") from None
    if not data:
        raise ValueError("image data is empty")
    if len(data) > MOST_BYTES:
        raise ValueError("image is larger than 10 MB")
    if not MAGIC[media_type].match(data):
        found = next((kind for kind, magic in MAGIC.items() if magic.match(data)), "no image")
        raise ValueError(f"image data is {found}, not {media_type}")
    return SeenImage(media_type, data)


def _size(data: bytes) -> tuple[int, int] | None:
    if MAGIC["image/png"].match(data) and len(data) >= 24:
        return _number(data[16:20]), _number(data[20:24])
    if MAGIC["image/gif"].match(data) and len(data) >= 10:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    return _jpeg_size(data) if MAGIC["image/jpeg"].match(data) else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """From the frame header: one of the segments, which follow each other by their lengths."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        # C4, C8 and CC are other things among the frame headers
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _number(data[at + 7 : at + 9]), _number(data[at + 5 : at + 7])
        at += 2 + _number(data[at + 2 : at + 4])
    return None


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
