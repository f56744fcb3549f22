"""Images: what is taken, what is made smaller, and what is refused with which words."""

from __future__ import annotations

import base64
import io
import os
import random
import sys
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.display import SVG
from IPython.display import Image as ShownImage
from matplotlib.figure import Figure
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from minimax_magic.errors import ConfigError
from minimax_magic.image_encoding import bytes_text
from minimax_magic.image_headers import read_header
from minimax_magic.image_metadata import orientation, without_metadata
from minimax_magic.images import (
    MOST_BYTES,
    MOST_PIXELS,
    figure_of,
    has_image,
    image_block,
)
from minimax_magic.messages import ImageBlock

matplotlib.use("agg")

WIRE_FORMATS = ["PNG", "JPEG", "GIF", "WEBP"]


def picture(size: tuple[int, int] = (40, 20), mode: str = "RGB", color: Any = None) -> Image.Image:
    return Image.new(mode, size, color if color is not None else "red")


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def bytes_of(block: ImageBlock) -> bytes:
    assert block.data is not None
    return base64.b64decode(block.data, validate=True)


def opened(block: ImageBlock) -> Image.Image:
    """The image as a server sees it, its media type checked."""
    image = Image.open(io.BytesIO(bytes_of(block)))
    assert Image.MIME[str(image.format)] == block.media_type
    return image


def noise(size: tuple[int, int]) -> Image.Image:
    data = random.Random(1).randbytes(size[0] * size[1] * 3)
    return Image.frombytes("RGB", size, data)


@pytest.fixture
def no_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)


def refusal(value: Any, name: str = "x", folder: Path | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        image_block(value, name=name, folder=folder)
    assert "\n" not in str(caught.value)
    return caught.value


# ------------------------------------------------------------------------------ what fits already


@pytest.mark.parametrize("form", WIRE_FORMATS)
def test_an_image_within_limits_is_sent_byte_for_byte(form: str, tmp_path: Path) -> None:
    """Nothing is decoded or written anew when format, pixels and bytes are within the limits."""
    data = encoded(picture(), form)
    block = image_block(data, name="x")
    assert bytes_of(block) == data
    assert block.media_type == f"image/{form.lower()}"


@pytest.mark.parametrize("form", WIRE_FORMATS)
def test_without_pillow_fitting_images_are_sent(form: str, no_pillow: None) -> None:
    """What fits needs no Pillow."""
    data = GIVEN[form]
    assert bytes_of(image_block(data, name="x")) == data


GIVEN = {form: encoded(picture((300, 200)), form) for form in WIRE_FORMATS}


@pytest.mark.parametrize(
    "data",
    [
        *GIVEN.values(),
        encoded(picture((300, 200)), "WEBP", lossless=True),
        encoded(picture((300, 200), "RGBA"), "WEBP", exif=b"Exif\0\0"),
        encoded(picture((300, 200)), "JPEG", progressive=True, comment=b"c" * 70, optimize=True),
        GIVEN["JPEG"][:2] + b"\xff" * 5 + GIVEN["JPEG"][3:],  # fill bytes before a marker
    ],
)
def test_the_size_is_read_from_the_header(data: bytes) -> None:
    """Every kind of the four formats tells its size without being decoded."""
    header = read_header(data)
    assert header is not None
    assert (header.width, header.height) == (300, 200)


@pytest.mark.parametrize("form", WIRE_FORMATS)
def test_a_header_may_be_cut_anywhere(form: str) -> None:
    """A cut header gives a size of 0 or the right one, and never raises."""
    for end in range(60):
        header = read_header(GIVEN[form][:end])
        assert header is None or header.width <= 300


def test_the_file_name_is_not_believed(tmp_path: Path) -> None:
    """A JPEG that is called PNG goes out as JPEG."""
    (tmp_path / "photo.png").write_bytes(GIVEN["JPEG"])
    assert image_block("photo.png", name="photo.png", folder=tmp_path).media_type == "image/jpeg"


# ------------------------------------------------------------------------------------ metadata

WHERE = b"Secret Street 7"


def camera(turned: int | None = None) -> Image.Exif:
    """What a camera says: where the photo was taken, the maker, how to turn it."""
    exif = Image.Exif()
    exif[0x010F] = WHERE.decode()
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0)}
    if turned is not None:
        exif[0x0112] = turned
    return exif


def texts_of_png() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", WHERE.decode())
    info.add_text("Packed", WHERE.decode(), zip=True)
    info.add_itxt("XML:com.adobe.xmp", WHERE.decode())
    return info


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """The JPEG with one more segment at its beginning."""
    length = (len(body) + 2).to_bytes(2, "big")
    return jpeg[:2] + bytes([0xFF, marker]) + length + body + jpeg[2:]


PHOTO = noise((60, 40))
TURNED = encoded(PHOTO, "JPEG", exif=camera(6))
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PHOTOS = {
    "jpeg": encoded(PHOTO, "JPEG", exif=camera(), comment=WHERE),
    "jpeg, upright": encoded(PHOTO, "JPEG", exif=camera(1)),
    "progressive jpeg": encoded(PHOTO, "JPEG", exif=camera(), progressive=True, xmp=WHERE),
    "jpeg with IPTC": with_segment(encoded(PHOTO, "JPEG"), 0xED, b"Photoshop 3.0\0" + WHERE),
    "jpeg with a film behind": encoded(PHOTO, "JPEG") + b"ftypmp42" + WHERE,
    "colours of print": encoded(PHOTO.convert("CMYK"), "JPEG", exif=camera()),
    "png": encoded(PHOTO, exif=camera(), pnginfo=texts_of_png(), dpi=(72, 72)),
    "png with more behind": encoded(PHOTO) + WHERE,
    "clear png": encoded(PHOTO.convert("P"), transparency=3, exif=camera()),
    "webp": encoded(PHOTO, "WEBP", exif=camera(), xmp=WHERE),
    "clear webp": encoded(PHOTO.convert("RGBA"), "WEBP", exif=camera(), lossless=True),
}


@pytest.mark.parametrize("data", PHOTOS.values(), ids=PHOTOS)
@pytest.mark.parametrize("pillow", ["with Pillow", "without"])
def test_where_a_photo_was_taken_is_not_sent(
    data: bytes, pillow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EXIF, XMP, texts and comments are cut out; the pixels are those of the file."""
    assert WHERE in data
    before = Image.open(io.BytesIO(data))
    with monkeypatch.context() as patch:
        if pillow == "without":
            patch.setitem(sys.modules, "PIL", None)
        block = image_block(data, name="x")
    sent = bytes_of(block)
    for trace in (WHERE, b"Exif", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"EXIF", b"XMP"):
        assert trace not in sent
    after = opened(block)
    assert (after.mode, after.size) == (before.mode, before.size)
    assert after.convert("RGBA").tobytes() == before.convert("RGBA").tobytes()
    assert not after.getexif()
    # a WEBP says in its first chunk which others it has
    assert sent[12:16] != b"VP8X" or not sent[20] & 0b1100
    assert without_metadata(sent) == sent


def test_a_jpeg_that_is_cut_off_is_sent_without_metadata() -> None:
    """Its pixels end early, which decoders bear with; what comes before them is as ever."""
    data = PHOTOS["jpeg"][:-90]
    sent = bytes_of(image_block(data, name="x"))
    assert WHERE not in sent
    assert sent[-300:] == data[-300:]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_the_colour_profile_stays(form: str) -> None:
    """What the colours mean is part of the picture."""
    data = encoded(PHOTO, form, exif=camera(), icc_profile=PROFILE)
    assert opened(image_block(data, name="x")).info["icc_profile"] == PROFILE


def test_an_animation_stays_one() -> None:
    """Frames are not metadata."""
    for form in ("PNG", "WEBP"):
        frames = [noise((30, 10)), picture((30, 10), color="lime")]
        data = encoded(
            frames[0], form, save_all=True, append_images=frames[1:], exif=camera().tobytes()
        )
        sent = opened(image_block(data, name="x"))
        assert getattr(sent, "n_frames", 1) == 2
        assert not sent.getexif()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("turned", range(2, 9))
def test_a_small_photo_is_turned_too(form: str, turned: int) -> None:
    """What has to be turned is turned before it is sent, as nobody is told to do it later."""
    image = picture((60, 40))
    image.paste("blue", (0, 0, 30, 20))
    data = encoded(image, form, exif=camera(turned))
    sent = opened(image_block(data, name="x"))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert sent.size == upright.size
    assert sent.format == ("JPEG" if form == "JPEG" else "PNG")
    for corner in ((2, 2), (2, sent.height - 3), (sent.width - 3, 2)):
        assert sent.getpixel(corner) == pytest.approx(upright.getpixel(corner), abs=25)
    assert WHERE not in bytes_of(image_block(data, name="x"))


def test_without_pillow_a_photo_only_says_how_to_turn_it(no_pillow: None) -> None:
    """It stays as it is stored, and of its EXIF nothing but the orientation is left."""
    sent = bytes_of(image_block(TURNED, name="x"))
    assert WHERE not in sent
    assert orientation(sent) == 6


def test_what_is_left_of_exif_can_be_read() -> None:
    """The orientation alone is EXIF as others read it, too."""
    sent = without_metadata(encoded(PHOTO, "JPEG", exif=camera(8)))
    assert sent is not None
    assert dict(Image.open(io.BytesIO(sent)).getexif()) == {0x0112: 8}


def test_a_broken_file_is_written_anew_or_sent_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the parts cannot be told apart, Pillow writes the picture; without it, it stays."""
    data = encoded(picture(), exif=camera())[:-12]  # without its end
    assert without_metadata(data) is None
    assert orientation(data) == 1
    block = image_block(data, name="x")
    assert opened(block).size == (40, 20)
    assert WHERE not in bytes_of(block)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert bytes_of(image_block(data, name="x")) == data


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from([*PHOTOS.values()]),
    st.integers(0, 3000),
    st.binary(max_size=4),
    st.booleans(),
)
def test_damage_anywhere_is_no_crash(data: bytes, at: int, junk: bytes, cut: bool) -> None:
    """Any bytes are taken apart or given up; nothing raises, and nothing becomes larger."""
    damaged = data[:at] + junk + (b"" if cut else data[at + len(junk) :])
    kept = without_metadata(damaged)
    assert kept is None or len(kept) <= len(damaged) + 40
    assert 1 <= orientation(damaged) <= 8


# ---------------------------------------------------------------------------------- made to fit


@pytest.mark.parametrize(
    ("form", "sent"), [("PNG", "PNG"), ("JPEG", "JPEG"), ("GIF", "PNG"), ("WEBP", "PNG")]
)
def test_large_images_are_made_smaller(form: str, sent: str) -> None:
    """The longer side becomes 2048 pixels, the other keeps its share; JPEG stays JPEG."""
    image = opened(image_block(encoded(picture((3000, 1000)), form), name="x"))
    assert image.format == sent
    assert image.size == (MOST_PIXELS, 683)


def test_an_image_at_the_limit_is_left_alone() -> None:
    """2048 pixels are allowed, 2049 are not."""
    data = encoded(picture((MOST_PIXELS, 8)))
    assert bytes_of(image_block(data, name="x")) == data
    assert opened(image_block(encoded(picture((8, MOST_PIXELS + 1))), name="x")).height == 2048


def test_a_png_with_too_many_bytes_becomes_a_jpeg() -> None:
    """Noise of 2048 x 2048 does not fit as PNG, but does as JPEG."""
    data = encoded(noise((2048, 2048)), compress_level=1)
    assert len(data) > MOST_BYTES
    block = image_block(data, name="x")
    assert block.media_type == "image/jpeg"
    assert len(bytes_of(block)) < MOST_BYTES
    assert opened(block).size == (2048, 2048)


def test_alpha_is_kept_in_png_and_white_in_jpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is clear stays clear, and becomes white where a format has no alpha."""
    clear = encoded(picture((3000, 10), "RGBA", (255, 0, 0, 0)))
    assert opened(image_block(clear, name="x")).getpixel((5, 2))[3] == 0
    monkeypatch.setattr("minimax_magic.image_encoding.MOST_BYTES", 10)
    image = opened(image_block(clear, name="x"))
    assert image.format == "JPEG"
    assert image.getpixel((5, 2)) == (255, 255, 255)


def test_a_clear_colour_of_a_palette_stays_clear() -> None:
    """A GIF with a transparent colour keeps it when it is made smaller."""
    image = picture((3000, 10), "P", 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    data = encoded(image, "GIF", transparency=0)
    assert opened(image_block(data, name="x")).convert("RGBA").getpixel((5, 2))[3] == 0


def test_the_first_frame_of_an_animation_is_sent() -> None:
    """A large animated GIF becomes a picture of its first frame; a small one stays as it is."""
    for width in (3000, 30):
        frames = [picture((width, 10), color=color) for color in ("red", "lime")]
        data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
        block = image_block(data, name="x")
        if width == 30:
            assert bytes_of(block) == data
        else:
            assert opened(block).convert("RGB").getpixel((5, 2)) == (255, 0, 0)
            assert block.media_type == "image/png"


def test_the_camera_s_orientation_is_honoured() -> None:
    """A photo that was taken on its side stands upright after it was made smaller, tags gone."""
    image = picture((3000, 1000))
    exif = image.getexif()
    exif[0x0112] = 6
    sent = opened(image_block(encoded(image, "JPEG", exif=exif), name="x"))
    assert sent.size == (683, MOST_PIXELS)
    assert not sent.getexif()


@pytest.mark.parametrize("form", ["BMP", "TIFF", "ICO", "PPM", "JPEG2000"])
def test_other_formats_become_png(form: str) -> None:
    """The server takes four formats; others that Pillow reads are sent as PNG."""
    sent = opened(image_block(encoded(picture((32, 32)), form), name="x"))
    assert sent.format == "PNG"
    assert sent.convert("RGB").getpixel((9, 9))[1:] == (0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr", "HSV", "F", "I", "I;16"])
def test_every_kind_of_pixels_can_be_sent(mode: str) -> None:
    """PIL images of any mode become PNG with 8 bits."""
    image = Image.new(mode, (9, 9))
    sent = opened(image_block(image, name="x"))
    assert sent.mode in ("L", "RGB", "RGBA")
    assert image.mode == mode


def test_sixteen_bits_become_eight() -> None:
    """The brightest of 16 bits is white, and numbers without a range are spread over it."""
    image = Image.fromarray(np.array([[0, 65535]], dtype="uint16"))
    assert list(opened(image_block(image, name="x")).tobytes()) == [0, 255]
    image = Image.fromarray(np.array([[-2.0, 0.0, 2.0]], dtype="float32"))
    assert list(opened(image_block(image, name="x")).tobytes()) == [0, 127, 255]


def test_a_pil_image_is_not_changed() -> None:
    """Size, mode and metadata of the user's own image stay."""
    image = picture((3000, 10))
    image.info["note"] = "mine"
    sent = opened(image_block(image, name="x"))
    assert (image.size, image.info) == ((3000, 10), {"note": "mine"})
    assert (sent.width, sent.info) == (MOST_PIXELS, {})


# ------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"hello", "is not an image"),
        (b"%PDF-1.7", "PDF document"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG drawing"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a --><svg/>', "SVG drawing"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC image, which this Pillow cannot read"),
        (b"\x89PNG\r\n\x1a\nrest", "is damaged"),
        (b"\xff\xd8\xff\xe0\0\x04ab", "is damaged"),
        (b"GIF89a", "is damaged"),
        (encoded(picture((3000, 3000)), "JPEG")[:4000], "is damaged"),
        (encoded(noise((3000, 30)))[:9000], "is damaged"),
        (encoded(picture(), "TIFF")[:40], "HEIC|cannot read|damaged"),
    ],
)
def test_what_is_no_image_is_refused(data: bytes, words: str) -> None:
    """Each error is one line that says what the bytes are."""
    error = refusal(data, "logo")
    assert "The image logo" in str(error)
    assert any(word in str(error) for word in words.split("|"))


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unpacks to more pixels than Pillow allows is refused before decoding."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    error = refusal(encoded(picture((3000, 3000), "1", 0)))
    assert "more pixels than can be decoded safely" in str(error)


def test_a_picture_above_pillow_s_warning_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its limit and twice that Pillow warns only; such an image is sent without a word."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000 * 20)
    assert opened(image_block(encoded(picture((3000, 30))), name="x")).width == MOST_PIXELS


@pytest.mark.parametrize(
    "value",
    [
        encoded(picture((3000, 10))),
        encoded(picture(), "BMP"),
        encoded(picture(), "TIFF"),
        np.zeros((4, 4), "uint8"),
    ],
    ids=["large", "bmp", "tiff", "array"],
)
def test_without_pillow_the_error_names_the_extra(value: Any, no_pillow: None) -> None:
    """What would have to be written anew is refused with the command that helps."""
    assert 'pip install "minimax-magic[images]"' in refusal(value).hint


def test_without_pillow_text_is_no_image(no_pillow: None) -> None:
    """Nobody is sent to install Pillow for what is no image at all."""
    assert "is not an image" in str(refusal(b"hello"))


# -------------------------------------------------------------------------- files and addresses


def test_files_are_found_from_the_folder_and_from_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths begin in the folder, `~` is the home, file: URLs and Paths are paths."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "a b.png"
    path.write_bytes(GIVEN["PNG"])
    for value in ("a b.png", Path("a b.png"), "~/a b.png", str(path), path, path.as_uri()):
        block = image_block(value, name="x", folder=tmp_path)
        assert bytes_of(block) == GIVEN["PNG"]


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    """A name alone is not enough when the working folder is another than thought."""
    error = refusal("plot.png", "plot.png", tmp_path)
    assert error.message == "The image plot.png does not exist."
    assert str(tmp_path) in error.hint
    assert "img (no/plot.png) does not exist" in str(refusal("no/plot.png", "img", tmp_path))


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    """Folders, pipes, names with null characters and over-long texts each get one sentence."""
    os.mkfifo(tmp_path / "pipe")
    assert "is a folder" in str(refusal(str(tmp_path)))
    assert "not an ordinary file" in str(refusal("pipe", folder=tmp_path))
    assert "is not a path" in str(refusal("a\0b"))
    assert len(str(refusal("word " * 2000))) < 400
    assert "empty text" in str(refusal("  "))
    assert "SVG drawing" in str(refusal("<svg></svg>"))


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """A file of a size that no image has is refused by its size alone."""
    with (tmp_path / "film.png").open("wb") as file:
        file.truncate(600_000_000)
    assert "600.0 MB" in str(refusal("film.png", folder=tmp_path))


def test_an_address_is_passed_on_and_not_fetched() -> None:
    """An http(s) URL goes to the server as it is."""
    for url in ("https://example.org/a.png", "HTTP://10.255.255.1/a?b=c"):
        assert image_block(f" {url} ", name="x") == ImageBlock(url=url)


@pytest.mark.parametrize("url", ["https://", "http:///a.png", "https://a b/c", "http://[::1/a"])
def test_an_address_must_be_whole(url: str) -> None:
    """A URL without host or with spaces is refused before it is sent."""
    assert "not a valid URL" in str(refusal(url))


@pytest.mark.parametrize(
    "url",
    [
        "data:image/jpeg;base64," + base64.b64encode(GIVEN["PNG"]).decode(),
        "DATA:;BASE64," + base64.b64encode(GIVEN["PNG"]).decode().replace("=", "%3D"),
        "data:image/png;base64,\n" + base64.encodebytes(GIVEN["PNG"]).decode().rstrip("=\n"),
        "data:image/png," + "".join(f"%{byte:02x}" for byte in GIVEN["PNG"]),
    ],
)
def test_a_data_url_is_decoded_and_checked(url: str) -> None:
    """Its bytes count; the media type that it claims does not."""
    block = image_block(url, name="x")
    assert bytes_of(block) == GIVEN["PNG"]
    assert (block.media_type, block.url) == ("image/png", None)


def test_a_wrong_data_url_is_refused() -> None:
    """Without a comma, with broken base64, or with text inside it is no image."""
    assert "comma" in str(refusal("data:image/png"))
    assert "base64" in str(refusal("data:image/png;base64,@@@@"))
    assert "not an image" in str(refusal("data:image/png;base64,aGVsbG8="))
    assert "SVG" in str(refusal("data:image/svg+xml,%3Csvg%3E"))


# ------------------------------------------------------------------------------------- figures


def a_figure(**options: Any) -> Figure:
    figure = Figure(**options)
    figure.add_subplot().plot([1, 2, 3])
    return figure


def test_a_figure_is_drawn_and_stays_as_it_is() -> None:
    """The picture is a PNG within limits; size, dpi, canvas and place in pyplot are unchanged."""
    figure, axes = plt.subplots()
    try:
        before = (figure.dpi, figure.canvas, figure.stale, *figure.get_size_inches())
        sent = opened(image_block(figure, name="fig"))
        assert sent.format == "PNG"
        assert 600 < sent.width <= MOST_PIXELS
        assert before == (figure.dpi, figure.canvas, figure.stale, *figure.get_size_inches())
        assert plt.get_fignums() == [figure.number]
        assert bytes_of(image_block(axes, name="ax")) == bytes_of(image_block(figure, name="f"))
    finally:
        plt.close(figure)


@pytest.mark.parametrize("size", [(60, 20), (0.5, 0.5), (300, 1)])
def test_figures_of_any_size_fit(size: tuple[float, float]) -> None:
    """The resolution follows from the size, so that the longer side stays within the limit."""
    assert max(opened(image_block(a_figure(figsize=size), name="x")).size) <= MOST_PIXELS


@pytest.mark.parametrize("away", [3.5, 10_000])
def test_labels_outside_of_the_figure_fit_too(away: float) -> None:
    """What stands over the edge is in the picture, which is made smaller for it if need be."""
    figure = a_figure(figsize=(4, 3))
    figure.text(away, 0.5, "far away")
    sent = opened(image_block(figure, name="x"))
    assert max(sent.size) <= MOST_PIXELS
    assert (sent.width > 3 * sent.height) == (away == 3.5)


def test_a_clear_figure_gets_a_white_ground() -> None:
    """Black lines on nothing would be black on black for a model."""
    figure = a_figure(facecolor="none")
    sent = opened(image_block(figure, name="x")).convert("RGBA")
    assert sent.getpixel((1, 1)) == (255, 255, 255, 255)
    assert figure.get_facecolor()[3] == 0


@pytest.mark.parametrize("backend", ["pdf", "svg", "none", "template"])
def test_any_backend_will_do(backend: str) -> None:
    """A figure whose canvas draws no PNG itself is drawn all the same."""
    figure = a_figure()
    if backend != "none":
        module = __import__(f"matplotlib.backends.backend_{backend}", fromlist=["FigureCanvas"])
        module.FigureCanvas(figure)
    assert opened(image_block(figure, name="x")).format == "PNG"


def test_parts_of_a_figure_stand_for_it() -> None:
    """Axes, lines, arrays of axes and figures in figures lead to the whole figure."""
    figure = Figure()
    inner = figure.subfigures(1, 2)
    axes = inner[0].subplots(2, 2)
    (line,) = axes[0, 0].plot([1, 2])
    for part in (figure, inner[0], axes, axes[1, 1], line):
        assert figure_of(part) is figure
    for other in (None, 3, "figure", np.zeros(3), np.array([], object)):
        assert figure_of(other) is None


def test_a_figure_that_cannot_be_drawn_is_one_line() -> None:
    """An error in a formatter of the user's is told in short."""
    figure = a_figure()

    def wrong(_value: float, _position: int) -> str:
        raise ZeroDivisionError("my\nown")

    figure.axes[0].xaxis.set_major_formatter(wrong)
    assert "could not be drawn: ZeroDivisionError: my own" in str(refusal(figure))


# ------------------------------------------------------------------------------ arrays and outputs


@pytest.mark.parametrize(
    ("shape", "mode"), [((4, 6), "L"), ((4, 6, 1), "L"), ((4, 6, 3), "RGB"), ((4, 6, 4), "RGBA")]
)
def test_arrays_of_bytes_are_pictures(shape: tuple[int, ...], mode: str) -> None:
    """Height first, then width, then colours; views that lie crosswise in memory, too."""
    array = np.random.default_rng(1).integers(0, 255, shape, "uint8")
    for view in (array, array[::-1]):
        sent = opened(image_block(view, name="x"))
        assert (sent.size, sent.mode) == ((6, 4), mode)
        assert sent.tobytes() == view.tobytes()


def test_an_array_of_truth_is_black_and_white() -> None:
    """A mask becomes a picture of 0 and 255."""
    sent = opened(image_block(np.array([[True, False]]), name="x"))
    assert list(sent.tobytes()) == [255, 0]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4)),
        np.zeros(4, "uint8"),
        np.zeros((2, 2, 5), "uint8"),
        np.zeros((0, 3), "uint8"),
    ],
)
def test_other_arrays_are_refused(array: Any) -> None:
    """Type and shape are named, and those that would do."""
    error = refusal(array)
    assert f"array of {array.dtype}" in error.message
    assert "uint8" in error.hint


class Shows:
    """An object that shows itself by one method, as those of many libraries do."""

    def __init__(self, bundle: Any) -> None:
        self.bundle = bundle

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        if isinstance(self.bundle, Exception):
            raise self.bundle
        return self.bundle


PACKED = base64.b64encode(GIVEN["PNG"]).decode()


class ShowsPng:
    def _repr_png_(self) -> Any:
        return GIVEN["PNG"], {"width": 3}


class ShowsNothingThenJpeg:
    def _repr_png_(self) -> None:
        return None

    def _repr_jpeg_(self) -> str:
        return base64.encodebytes(GIVEN["JPEG"]).decode()


@pytest.mark.parametrize(
    "value",
    [
        GIVEN["PNG"],
        bytearray(GIVEN["PNG"]),
        memoryview(GIVEN["PNG"]),
        io.BytesIO(GIVEN["PNG"]),
        ImageBlock(data=PACKED, media_type="image/jpeg"),
        ShownImage(data=GIVEN["PNG"]),
        ShowsPng(),
        Shows({"image/png": PACKED, "text/plain": "<Shows>"}),
        Shows(({"image/jpeg": b"", "image/png": GIVEN["PNG"]}, {})),
        Shows({"image/gif": PACKED.encode()}),
        {"image/png": PACKED},
    ],
    ids=lambda value: type(value).__name__,
)
def test_outputs_give_their_picture(value: Any) -> None:
    """Bytes and base64, alone, in a bundle or before metadata: the bytes are the same."""
    block = image_block(value, name="_")
    assert bytes_of(block) == GIVEN["PNG"]
    assert block.media_type == "image/png"


def test_a_way_that_gives_nothing_is_passed_over() -> None:
    """IPython lets a method answer None; then the next one counts."""
    assert image_block(ShowsNothingThenJpeg(), name="_").media_type == "image/jpeg"


def test_an_image_of_ipython_by_address_stays_one(tmp_path: Path) -> None:
    """`Image(url=...)` has no bytes: the address is sent, a relative one is a file."""
    shown = ShownImage(url="https://example.org/a.png")
    assert image_block(shown, name="_").url == "https://example.org/a.png"
    (tmp_path / "a.png").write_bytes(GIVEN["PNG"])
    assert image_block(ShownImage(url="a.png"), name="_", folder=tmp_path).data == PACKED


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "of type int"),
        (None, "of type NoneType"),
        (Shows, "the class Shows"),
        (Shows({"text/html": "<p>"}), "of type Shows"),
        (Shows(ValueError("no\nway")), "could not be drawn: ValueError: no way"),
        (Shows({"image/svg+xml": "<svg/>"}), "SVG drawing"),
        (SVG("<svg/>"), "SVG drawing"),
        ({"image/png": "@"}, "base64"),
    ],
    ids=str,
)
def test_values_without_a_picture_are_refused(value: Any, words: str) -> None:
    """The error names the type, or why there is no picture."""
    assert words in str(refusal(value))


def test_a_plotly_like_figure_is_told_its_way() -> None:
    """What can give bytes by itself, but not as an output, is named."""

    class Plot:
        def to_image(self, format: str) -> bytes:
            return b""

    assert "to_image" in refusal(Plot()).hint


class AnswersToAll:
    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: GIVEN["PNG"]


class Raises:
    @property
    def figure(self) -> Any:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (picture(), True),
        (a_figure(), True),
        (GIVEN["WEBP"], True),
        (ShowsPng(), True),
        ({"image/png": PACKED}, True),
        (np.zeros((3, 3), "uint8"), True),
        (ImageBlock(url="https://a/b"), True),
        (np.zeros((3, 3)), False),
        (b"hello", False),
        ("plot.png", False),
        (Path("plot.png"), False),
        (AnswersToAll(), False),
        (Raises(), False),
        (ShowsPng, False),
        ({}, False),
        (None, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_pictures_are_recognised(value: Any, expected: bool) -> None:
    """A look at the type is enough; strings and paths may name an image, but are none."""
    assert has_image(value) is expected


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999 bytes"), (1_000, "1 KB"), (999_499, "999 KB"), (999_500, "1.0 MB")],
)
def test_bytes_are_told_in_the_unit_that_fits(count: int, text: str) -> None:
    """1,000 of one unit are one of the next."""
    assert bytes_text(count) == text


def test_upright_pictures_are_not_turned() -> None:
    """Pillow's own idea of upright is what is sent."""
    image = noise((5, 3))
    assert (
        opened(image_block(image, name="x")).tobytes() == ImageOps.exif_transpose(image).tobytes()
    )
