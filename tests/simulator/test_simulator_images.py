"""Images of a request: what is seen of them, what is refused, what a test can look at."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import pytest
from PIL import Image

from minimax_magic.simulator import SeenImage, Simulator
from minimax_magic.simulator.seen_images import image_problem


def _image(kind: str, width: int = 64, height: int = 48, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "options", "size"),
    [
        ("png", {}, "64 x 48, "),
        ("gif", {}, "64 x 48, "),
        ("jpeg", {}, "64 x 48, "),
        ("jpeg", {"progressive": True, "comment": b"\xff\xc0" * 40}, "64 x 48, "),
        ("webp", {}, ""),
    ],
)
def test_the_answer_names_each_image(
    dialogue: Any, sim: Simulator, kind: str, options: Any, size: str
) -> None:
    """Type, pixels, bytes and a digest; the bytes themselves are kept for tests."""
    data = _image(kind, **options)
    picture = dialogue.image(f"image/{kind}", data)
    answer = dialogue.say([picture, {"type": "text", "text": "What is this?"}])
    digest = hashlib.sha256(data).hexdigest()[:12]
    assert f"- image/{kind}, {size}{len(data)} bytes, sha256 {digest}\n" in answer.text
    assert "`What is this?`" in answer.text
    (seen,) = sim.images
    assert seen == SeenImage(f"image/{kind}", data)
    assert sim.requests[0].images == (seen,)


def test_an_address_is_named(dialogue: Any, sim: Simulator) -> None:
    """The simulator loads nothing."""
    answer = dialogue.say(
        [
            {"type": "text", "text": "Look"},
            dialogue.image_at("https://example.com/a.png"),
            dialogue.image("image/png", _image("png", 1, 2)),
        ]
    )
    assert "- an image at https://example.com/a.png\n- image/png, 1 x 2, " in answer.text
    assert [image.url for image in sim.images] == ["https://example.com/a.png", None]
    assert sim.images[0].data is None


def test_an_image_without_text_is_a_prompt(dialogue: Any) -> None:
    """An image alone is answered, and nothing of an earlier prompt is."""
    dialogue.ask("[[echo]] first")
    answer = dialogue.say([dialogue.image("image/png", _image("png"))])
    assert "- image/png, 64 x 48, " in answer.text


def test_images_of_earlier_turns_are_not_named_again(dialogue: Any, sim: Simulator) -> None:
    """They are in the request, and in what a test sees of it."""
    dialogue.say([dialogue.image("image/png", _image("png"))])
    assert "image/png" not in dialogue.ask("Thanks").text
    assert [len(kept.images) for kept in sim.requests] == [1, 1]
    text = dialogue.say([dialogue.image("image/png", _image("png", 5, 5))]).text
    assert text.count("sha256") == text.count("image/png, 5 x 5, ") == 1
    assert len(sim.images) == 4


def test_images_do_not_stop_words_and_tools(dialogue: Any) -> None:
    """What the prompt asks for is done."""
    dialogue.tools = {"look": {"type": "object", "properties": {}}}
    picture = dialogue.image("image/png", _image("png"))
    prompt = {"type": "text", "text": "look at it"}
    assert dialogue.say([picture, prompt]).calls == ["look"]


@pytest.mark.parametrize(
    ("media_type", "data", "text"),
    [
        ("image/bmp", b"BM", "unsupported image type: image/bmp"),
        ("image/png", _image("jpeg"), "image data is image/jpeg, not image/png"),
        ("image/gif", b"<svg>", "image data is no image, not image/gif"),
        ("image/png", b"", "image data is empty"),
        ("image/png", _image("png") + bytes(10 * 1024 * 1024), "image is larger than 10 MB"),
    ],
)
def test_what_is_no_image_is_refused(
    dialogue: Any, sim: Simulator, media_type: str, data: bytes, text: str
) -> None:
    """400 with 2013, and nothing is kept as an image."""
    dialogue.messages = [{"role": "user", "content": [dialogue.image(media_type, data)]}]
    got = dialogue.post()
    assert got.status == 400
    assert got.json["error"]["message"] == f"invalid params, {text} (2013)"
    assert sim.images == []


@pytest.mark.parametrize("text", ["AA=", "iVBOR w0KGgo=", "é", None, 7])
def test_base64_is_read_strictly(text: Any) -> None:
    """Cut data, spaces and letters of no alphabet are refused."""
    source = {"type": "base64", "media_type": "image/png", "data": text}
    assert image_problem({"type": "image", "source": source}) == "image data is not valid base64"


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image"},
        {"type": "image", "source": {"type": "url"}},
        {"type": "image", "source": {"type": "url", "url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "image_url"},
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
        {"type": "image_url", "image_url": {"url": "data:image/png,raw"}},
    ],
)
def test_an_image_needs_a_source(block: Any) -> None:
    """Neither data nor an address that a server could load."""
    assert image_problem(block) in ("invalid image url", "image source is empty")


def test_a_cut_header_has_no_size() -> None:
    """An image that begins as one is taken, whatever follows."""
    for data in (b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff\xe0\x00\x10JF"):
        assert SeenImage("image/png", data).size is None


def test_tables_of_a_jpeg_are_not_its_frame() -> None:
    """Markers of other things lie among those of frames."""
    table = b"\xff\xc4\x00\x09" + bytes(7)
    frame = b"\xff\xc0\x00\x0b\x08" + (48).to_bytes(2, "big") + (64).to_bytes(2, "big")
    assert SeenImage("image/jpeg", b"\xff\xd8\xff\xe0\x00\x02" + table + frame).size == (64, 48)


@pytest.mark.parametrize("wire", ["anthropic", "openai"])
def test_an_image_counts_a_thousand_tokens(http_client: Any, wire: str) -> None:
    """Whatever its size."""
    text = base64.b64encode(_image("png", 900, 900)).decode()
    if wire == "anthropic":
        source = {"type": "base64", "media_type": "image/png", "data": text}
        part: Any = {"type": "image", "source": source}
        path, field = "/anthropic/v1/messages", "input_tokens"
    else:
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}
        path, field = "/v1/chat/completions", "prompt_tokens"
    body = {"model": "MiniMax-M3", "messages": [{"role": "user", "content": [part]}]}
    assert 1000 <= http_client.post(path, body).json["usage"][field] < 1010
