"""Images for the model: whatever a notebook has as a picture becomes an `ImageBlock`.

An address stays an address and is never fetched from here. All else becomes bytes, which
`image_encoding` makes fit. Libraries of the user's are looked up among the loaded modules: an object
of theirs cannot be there without them, so none is imported.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import stat
import sys
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from minimax_magic.errors import ConfigError
from minimax_magic.image_encoding import (
    MOST_BYTES,
    MOST_PIXELS,
    bytes_text,
    fitting,
    need_pillow,
    written,
)
from minimax_magic.image_headers import other_format, read_header
from minimax_magic.messages import ImageBlock
from minimax_magic.words import system_reason

__all__ = ["MOST_BYTES", "MOST_PIXELS", "figure_of", "has_image", "image_block"]

# a file above this is a film or a disk image; nothing larger is read into memory
_MOST_FILE_BYTES: Final = 500_000_000
# more pixels than Pillow itself would decode
_MOST_ARRAY_PIXELS: Final = 178_956_970
# dots per inch of a figure that is small enough: print is readable, files stay below 1 MB
_FIGURE_DPI: Final = 150
# the best first; the server takes no others
_MEDIA_TYPES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")
_TAKEN: Final = (
    "An image is a path, a URL, bytes, a PIL image, a figure, a uint8 array, or an output that "
    "shows one."
)


def image_block(value: Any, *, name: str, folder: Path | None = None) -> ImageBlock:
    """The image that a value is, names or shows, fit to be sent.

    Args:
        value: Path of a file, http(s) or data URL, bytes, PIL image, matplotlib figure or axes,
            numpy array of uint8, output with an image, or an `ImageBlock`.
        name: What the user calls it; for errors.
        folder: Where relative paths begin; None: the working folder.

    Raises:
        ConfigError: It is no image, a damaged one, or one that needs a library that is not there.
    """
    called = f"The image {_short(name)}"
    if isinstance(value, ImageBlock):
        if value.data is None:
            return value
        return fitting(_decoded(value.data, called), called)
    if isinstance(value, str):
        return _of_text(value.strip(), name, folder)
    if isinstance(value, os.PathLike):
        return _of_file(os.fsdecode(value), name, folder)
    if isinstance(value, bytes | bytearray | memoryview):
        return fitting(bytes(value), called)
    if isinstance(value, io.BytesIO):
        return fitting(value.getvalue(), called)
    if _is_instance(value, "PIL.Image", "Image"):
        return written(value, called)
    figure = figure_of(value)
    if figure is not None:
        return fitting(_drawn(figure, called), called)
    if _is_instance(value, "numpy", "ndarray"):
        return _of_array(value, called)
    if _is_instance(value, "IPython.core.display", "Image") and not value.embed and value.url:
        return _of_text(str(value.url), name, folder)
    shown = _shown(value, called)
    if shown is None:
        raise _no_image(value, called)
    return fitting(shown, called)


def has_image(value: Any) -> bool:
    """Whether a value is a picture or has a way to show one; nothing is drawn or encoded.

    A plain string or path may name an image, but is none: False. So is an object whose only way
    is `_repr_mimebundle_`, as widgets have it without a picture.
    """
    if isinstance(value, str | os.PathLike | type):
        return False
    if isinstance(value, ImageBlock) or _is_instance(value, "PIL.Image", "Image"):
        return True
    if isinstance(value, bytes | bytearray):
        return read_header(bytes(value[:64])) is not None
    if _is_instance(value, "numpy", "ndarray") and _is_picture(value):
        return True
    if isinstance(value, Mapping):
        return isinstance(value, dict) and any(kind in value for kind in _MEDIA_TYPES)
    if _method(value, "_repr_png_") or _method(value, "_repr_jpeg_"):
        return True
    return figure_of(value) is not None


def figure_of(value: Any) -> Any:
    """The matplotlib figure that a value is or belongs to (axes, lines, arrays of axes), or None."""
    if "matplotlib.figure" not in sys.modules:
        return None
    if _is_instance(value, "numpy", "ndarray"):
        value = value.flat[0] if value.dtype == object and value.size else None
    for _ in range(4):  # a figure may lie in a figure
        if value is None or _is_instance(value, "matplotlib.figure", "Figure"):
            return value
        try:
            value = getattr(value, "figure", None)
        except Exception:  # a property of the user's may raise anything
            return None
    return None


# ------------------------------------------------------------------------ text, files, addresses


def _of_text(text: str, name: str, folder: Path | None) -> ImageBlock:
    called = f"The image {_short(name)}"
    start = text[:8].lower()
    if start.startswith(("http://", "https://")):
        return ImageBlock(url=_checked_address(text, called))
    if start.startswith("data:"):
        return fitting(_data_of_url(text, called), called)
    if other_format(text[:4096].encode("utf-8", "replace")) == "SVG":
        return fitting(text.encode("utf-8", "replace"), called)  # refuses, and says why
    if start.startswith("file://"):
        text = urllib.request.url2pathname(urllib.parse.urlsplit(text).path)
    if not text:
        raise ConfigError(f"{called} is an empty text.", hint=_TAKEN)
    return _of_file(text, name, folder)


def _checked_address(text: str, called: str) -> str:
    try:
        host = urllib.parse.urlsplit(text).hostname
    except ValueError:
        host = None
    if not host or re.search(r"[\s\x00-\x1f]", text):
        raise ConfigError(f"{called} is not a valid URL: {_short(text)}")
    return text


def _data_of_url(text: str, called: str) -> bytes:
    """The bytes in a data: URL; the media type that it claims is not looked at."""
    head, comma, body = text.partition(",")
    if not comma:
        raise ConfigError(f"{called} is not a valid data: URL: it has no comma.")
    if head.lower().rstrip().endswith(";base64"):
        return _decoded(urllib.parse.unquote(body), called)
    return urllib.parse.unquote_to_bytes(body)


def _of_file(text: str, name: str, folder: Path | None) -> ImageBlock:
    called = f"The image {_short(name)}" + ("" if text == name else f" ({_short(text)})")
    base = folder if folder is not None else Path.cwd()
    try:
        path = base / Path(text).expanduser()
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ConfigError(f"{called} is a folder.", hint="Name the file in it.")
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{called} is not an ordinary file.")
        if status.st_size > _MOST_FILE_BYTES:
            raise ConfigError(
                f"{called} has {bytes_text(status.st_size)}: too large to be read as an image.",
                hint="Make it smaller first.",
            )
        data = path.read_bytes()
    except FileNotFoundError:
        where = "Check the path." if Path(text).is_absolute() else f"Looked in {base}."
        raise ConfigError(f"{called} does not exist.", hint=where) from None
    except OSError as error:
        raise ConfigError(f"{called} cannot be read: {system_reason(error)}.") from None
    except (ValueError, RuntimeError):  # a null character in it; a home that nobody has
        raise ConfigError(f"{called} is not a path.", hint=_TAKEN) from None
    return fitting(data, called)


def _decoded(text: str | bytes, called: str) -> bytes:
    """Base64, with line breaks and without the padding as some write it."""
    if isinstance(text, str):
        text = text.encode("utf-8", "replace")
    packed = b"".join(text.split())
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error:
        raise ConfigError(f"{called} is not valid base64.") from None


# ------------------------------------------------------------------------------ objects of others


def _drawn(figure: Any, called: str) -> bytes:
    """The figure as PNG, its longer side within the limit; the figure stays as it is."""
    try:
        inches, box = _extent(figure)
        dpi = min(_FIGURE_DPI, MOST_PIXELS / max(inches, 1e-3))
        data = _saved_figure(figure, dpi, box)
        header = read_header(data)
        if header is not None and max(header.width, header.height) > MOST_PIXELS:
            # a layout made while drawing has moved labels further out than was reckoned with
            dpi *= 0.98 * MOST_PIXELS / max(header.width, header.height)
            data = _saved_figure(figure, dpi, box)
    except Exception as error:  # drawing runs code of the user's, such as formatters of ticks
        raise _not_drawn(error, called) from error
    return data


def _extent(figure: Any) -> tuple[float, str | None]:
    """The longer side of the picture in inches, and which box to save.

    The box is all that is drawn, as a legend beside the axes is; but the figure alone if something
    lies so far outside that nothing else could be seen.
    """
    own = float(max(figure.get_size_inches()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = figure.get_tightbbox()
    whole = float(max(drawn.width, drawn.height)) + 0.5
    return (whole, "tight") if whole < 4 * own + 4 else (own, None)


def _saved_figure(figure: Any, dpi: float, box: str | None) -> bytes:
    buffer = io.BytesIO()
    # transparent: black on nothing would be black on black for a model
    clear = figure.get_facecolor()[3] == 0
    with warnings.catch_warnings():
        # missing glyphs, layouts that do not fit: the user is told when the figure is shown
        warnings.simplefilter("ignore")
        figure.savefig(
            buffer,
            format="png",
            dpi=dpi,
            bbox_inches=box,
            facecolor="white" if clear else "auto",
            transparent=False,
            metadata={"Software": None},
        )
    return buffer.getvalue()


def _is_picture(array: Any) -> bool:
    """Whether the shape and type of an array are those of a grey or coloured picture."""
    flat = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    return flat and array.size > 0 and str(array.dtype) in ("uint8", "bool")


def _of_array(array: Any, called: str) -> ImageBlock:
    if not _is_picture(array):
        shape = " x ".join(map(str, array.shape)) or "no dimension"
        raise ConfigError(
            f"{called} is an array of {array.dtype}, {shape}.",
            hint="An image is uint8: height x width, or height x width x 3 (RGB) or 4 (RGBA).",
        )
    if array.shape[0] * array.shape[1] > _MOST_ARRAY_PIXELS:
        raise ConfigError(f"{called} has too many pixels.", hint="Make it smaller first.")
    pillow = need_pillow(f"{called} is an array, which must be made a PNG before it is sent.")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if str(array.dtype) == "bool":
        array = array.astype("uint8") * 255
    return written(pillow.fromarray(array), called)


def _shown(value: Any, called: str) -> bytes | None:
    """The bytes that an object shows itself with in a notebook; None: no picture."""
    if isinstance(value, Mapping):
        return _of_bundle(value, called)
    if isinstance(value, type):
        return None
    for name in ("_repr_png_", "_repr_jpeg_"):
        if method := _method(value, name):
            data = _unpacked(_called_for(method, called), called)
            if data:
                return data
    if method := _method(value, "_repr_mimebundle_"):
        bundle = _called_for(partial(method, include=None, exclude=None), called)
        if isinstance(bundle, tuple) and bundle:
            bundle = bundle[0]
        if isinstance(bundle, Mapping):
            return _of_bundle(bundle, called)
    if method := _method(value, "_repr_svg_"):
        drawing = _called_for(method, called)
        return drawing.encode("utf-8", "replace") if isinstance(drawing, str) else None
    return None


def _of_bundle(bundle: Mapping[Any, Any], called: str) -> bytes | None:
    for kind in _MEDIA_TYPES:
        if data := _unpacked(bundle.get(kind), called):
            return data
    drawing = bundle.get("image/svg+xml")
    return drawing.encode("utf-8", "replace") if isinstance(drawing, str) else None


def _unpacked(shown: Any, called: str) -> bytes | None:
    """Raw bytes or base64, alone or before metadata, as IPython allows them all."""
    if isinstance(shown, tuple) and shown:
        shown = shown[0]
    if isinstance(shown, bytes) and read_header(shown) is not None:
        return shown
    return _decoded(shown, called) if isinstance(shown, str | bytes) and shown else None


def _method(value: Any, name: str) -> Callable[..., Any] | None:
    """A method that the type has; objects that answer to every name are not believed."""
    return getattr(value, name, None) if hasattr(type(value), name) else None


def _called_for(method: Callable[[], Any], called: str) -> Any:
    try:
        return method()
    except Exception as error:  # code of others
        raise _not_drawn(error, called) from error


def _is_instance(value: Any, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


# --------------------------------------------------------------------------------------- errors


def _no_image(value: Any, called: str) -> ConfigError:
    hint = _TAKEN
    if callable(getattr(type(value), "to_image", None)):  # plotly
        hint = 'Give it as bytes: `fig.to_image(format="png")`.'
    kind = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
    return ConfigError(f"{called} has no picture: it is of type {kind}.", hint=hint)


def _not_drawn(error: Exception, called: str) -> ConfigError:
    try:
        reason = _short(str(error), 200)
    except Exception:  # an exception of the user's whose text raises
        reason = ""
    return ConfigError(f"{called} could not be drawn: {type(error).__name__}: {reason}")


def _short(text: str, most: int = 100) -> str:
    """One line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
