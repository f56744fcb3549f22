"""Images made fit to be sent: format, pixels and bytes within what the server takes.

Bytes that fit already go out as they are, but for metadata such as the place where a photo was
taken. All else is decoded and written anew by Pillow, which is an extra and is imported only then.
"""

from __future__ import annotations

import base64
import io
import warnings
from typing import TYPE_CHECKING, Any, Final

from minimax_magic.errors import ConfigError
from minimax_magic.image_headers import other_format, read_header
from minimax_magic.image_metadata import orientation, without_metadata
from minimax_magic.messages import ImageBlock

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BYTES: Final = 10_000_000
"""Of the image itself, before base64. MiniMax says 10 MB; this is the smaller reading of it."""

MOST_PIXELS: Final = 2_048
"""Of the longer side. Larger ones are made smaller by the server in any case."""

# Those that are decoded by libraries made for it. Not among them: EPS and WMF, for which Pillow
# would start other programs.
_READABLE: Final = (
    *("PNG", "JPEG", "MPO", "GIF", "WEBP", "BMP", "DIB", "TIFF", "ICO", "ICNS", "PPM", "TGA"),
    *("JPEG2000", "PCX", "SGI", "QOI", "AVIF", "HEIF"),
)
_JPEG_QUALITY: Final = 90

INSTALL_HINT: Final = '`pip install "minimax-magic[images]"` installs Pillow, which does that.'


def fitting(data: bytes, called: str) -> ImageBlock:
    """The image in these bytes: as it is if it fits, else made smaller or changed to PNG or JPEG.

    Metadata is left out. Only without Pillow it goes along where a file is so damaged that its
    parts cannot be told apart.

    Args:
        called: What errors call the image, `The image plot.png` for example.

    Raises:
        ConfigError: The bytes are no image, a damaged one, or need Pillow, which is not there.
    """
    if not data:
        raise ConfigError(f"{called} is empty: it has no bytes.")
    header = read_header(data)
    if header is None:
        return _converted(data, called)
    if not header.width or not header.height:
        raise _damaged(called)
    jpeg = header.media_type == "image/jpeg"
    clean = without_metadata(data)
    if max(header.width, header.height) <= MOST_PIXELS and len(clean or data) <= MOST_BYTES:
        # a model may not know of the turn that EXIF asks for
        is_final = clean is not None and orientation(data) == 1
        if is_final or not _has_pillow():
            return image_of(clean or data, header.media_type)
        return written(_opened(data, called, ""), called, jpeg=jpeg)
    size = f"{header.width} x {header.height} pixels and {bytes_text(len(data))}"
    picture = _opened(data, called, f"{called} has {size}: too large, it must be made smaller.")
    # a JPEG can be decoded small at once; twice the size that is wanted keeps it sharp
    picture.draft(None, (2 * MOST_PIXELS, 2 * MOST_PIXELS))
    return written(picture, called, jpeg=jpeg)


def written(picture: Image, called: str, *, jpeg: bool = False) -> ImageBlock:
    """A picture of Pillow's as an image that fits; the picture itself stays as it is.

    Args:
        jpeg: Write JPEG at once. Otherwise PNG, and JPEG only if that has too many bytes.

    Raises:
        ConfigError: Its pixels cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bad EXIF and odd palettes: nothing to be done
            plain = _plain(picture)
            if not jpeg:
                data = _saved(plain, "PNG")
                if len(data) <= MOST_BYTES:
                    return image_of(data, "image/png")
            # at 2048 x 2048 even noise has about 5 MB at this quality
            data = _saved(_on_white(plain), "JPEG", quality=_JPEG_QUALITY)
            return image_of(data, "image/jpeg")
    except Exception as error:  # the decoders of some formats raise whatever comes up
        raise _damaged(called) from error


def image_of(data: bytes, media_type: str) -> ImageBlock:
    """The block for bytes that fit."""
    return ImageBlock(data=base64.b64encode(data).decode("ascii"), media_type=media_type)


def bytes_text(count: int) -> str:
    """A number of bytes for people: `340 bytes`, `12 KB`, `3.4 MB`."""
    if count < 1_000:
        return f"{count} bytes"
    return f"{count / 1e6:.1f} MB" if count >= 999_500 else f"{count / 1e3:.0f} KB"


def need_pillow(message: str) -> Any:
    """The module `PIL.Image`.

    Raises:
        ConfigError: It is not installed; with this message, and how to install it.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ConfigError(message, hint=INSTALL_HINT) from None
    return Image


def _has_pillow() -> bool:
    try:
        need_pillow("")
    except ConfigError:
        return False
    return True


def _converted(data: bytes, called: str) -> ImageBlock:
    """An image of a format that the server does not take."""
    kind = other_format(data)
    if kind == "SVG":
        hint = "Give it as PNG; a browser or Inkscape can write one."
        raise ConfigError(f"{called} is an SVG drawing, which MiniMax does not take.", hint=hint)
    if kind == "PDF":
        hint = "Give its page as PNG or JPEG."
        raise ConfigError(f"{called} is a PDF document, not an image.", hint=hint)
    no_image = ConfigError(
        f"{called} is not an image: its bytes are none of PNG, JPEG, GIF, WEBP, BMP or TIFF."
    )
    if kind is None and not _has_pillow():
        raise no_image
    wanted = f"{called} is a {kind} image, which must be changed to PNG before it is sent."
    try:
        picture = _opened(data, called, wanted)
    except _NotKnown:
        if kind is None:
            raise no_image from None
        raise ConfigError(
            f"{called} is a {kind} image, which this Pillow cannot read.",
            hint="Give it as PNG or JPEG.",
        ) from None
    return written(picture, called)


class _NotKnown(Exception):
    """Pillow finds no format that fits the bytes."""


def _opened(data: bytes, called: str, wanted: str) -> Image:
    """The picture in the bytes, not decoded yet.

    Args:
        wanted: What Pillow is needed for, said if it is not installed.

    Raises:
        ConfigError: No Pillow, too many pixels, or damaged.
        _NotKnown: None of the formats that are read.
    """
    pillow = need_pillow(wanted)
    from PIL import UnidentifiedImageError

    pillow.init()
    try:
        with warnings.catch_warnings():
            # between Pillow's limit and twice that it only warns; such a picture still fits memory
            warnings.simplefilter("ignore")
            formats = [name for name in _READABLE if name in pillow.OPEN]
            picture: Image = pillow.open(io.BytesIO(data), formats=formats)
            return picture
    except pillow.DecompressionBombError:
        raise ConfigError(
            f"{called} has more pixels than can be decoded safely.", hint="Make it smaller first."
        ) from None
    except UnidentifiedImageError:
        if read_header(data) is None:
            raise _NotKnown from None
        raise _damaged(called) from None
    except Exception as error:  # see `written`
        raise _damaged(called) from error


def _plain(picture: Image) -> Image:
    """A copy that any format can hold: upright, small enough, 8 bits, no metadata."""
    from PIL import Image, ImageOps

    copy = ImageOps.exif_transpose(picture)
    clear = "transparency" in copy.info or copy.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    if copy.mode.startswith("I;16"):
        copy = copy.convert("F").point(lambda value: value * (1 / 257) + 0).convert("L")
    elif copy.mode in ("I", "F"):
        # no range is given with these: the darkest becomes black, the brightest white
        extremes: Any = copy.getextrema()
        low, high = extremes
        scale = 255 / (high - low) if high > low else 0.0
        copy = copy.convert("F").point(lambda value: value * scale + -low * scale).convert("L")
    elif clear:
        copy = copy.convert("RGBA")
    elif copy.mode in ("1", "L"):
        copy = copy.convert("L")
    else:
        copy = copy.convert("RGB")
    copy.info.clear()
    copy.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.LANCZOS)
    return copy


def _on_white(picture: Image) -> Image:
    from PIL import Image

    if picture.mode != "RGBA":
        return picture
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    return white


def _saved(picture: Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def _damaged(called: str) -> ConfigError:
    return ConfigError(f"{called} is damaged or cut off: it cannot be read.")
