"""The images of earlier cells where a kernel keeps none, with a made-up publisher."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from minimax_magic.ipython.shown_images import ShownImages


class Publisher:
    """As much of ipykernel's display publisher as is asked."""

    def __init__(self) -> None:
        self.hooks: list[Any] = []

    def register_hook(self, hook: Any) -> None:
        self.hooks.append(hook)

    def unregister_hook(self, hook: Any) -> None:
        self.hooks.remove(hook)

    def show(self, data: dict[str, Any], kind: str = "display_data") -> None:
        message = {"msg_type": kind, "content": {"data": data}}
        for hook in self.hooks:
            assert hook(message) is message  # or it would not be sent


class Kernel:
    def __init__(self) -> None:
        self.display_pub = Publisher()
        self.history_manager = SimpleNamespace(input_hist_parsed=[""], outputs={})
        self.shown = ShownImages(self)  # type: ignore[arg-type]
        self.shown.install()

    def cell(self, *images: str) -> None:
        """Runs a cell that displays these."""
        self.history_manager.input_hist_parsed.append("code")
        for image in images:
            self.display_pub.show({"image/png": image, "text/plain": "figure"})


def test_the_last_image_of_a_cell() -> None:
    """The image of a cell is the last that it displayed; of several cells, that of the last."""
    kernel = Kernel()
    assert kernel.shown.latest(0) is None
    kernel.cell("a", "b")
    kernel.cell()
    kernel.cell("c")
    latest = kernel.shown.latest

    def image(since: int, until: int | None = None) -> Any:
        bundle = latest(since, until)
        return bundle and bundle["image/png"]

    assert (image(1, 1), image(2, 2), image(3, 3)) == ("b", None, "c")
    assert (image(0), image(2), image(4), image(0, 2)) == ("c", "c", None, "b")


def test_only_images_are_kept() -> None:
    """Texts, tables and updates of a display, as answers send them by the hundred, are not kept."""
    kernel = Kernel()
    kernel.cell()
    kernel.display_pub.show({"text/html": "<b>x</b>"})
    kernel.display_pub.show({"image/png": "x"}, "update_display_data")
    assert kernel.shown.latest(0) is None


def test_not_for_ever() -> None:
    """The oldest are let go, so that a long session does not fill the memory."""
    kernel = Kernel()
    for number in range(200):
        kernel.cell(str(number))
    assert kernel.shown.latest(0, 50) is None
    assert kernel.shown.latest(0) == {"image/png": "199", "text/plain": "figure"}


def test_large_ones() -> None:
    """Together they take 20 MB at most, but the last is kept whatever its size."""
    kernel = Kernel()
    for _ in range(5):
        kernel.cell("x" * 9_000_000)
    latest = kernel.shown.latest
    assert [latest(number, number) is not None for number in range(1, 6)] == [False] * 3 + [
        True,
        True,
    ]
    kernel.cell("y" * 30_000_000)
    assert latest(0, 5) is None
    assert (latest(6) or {})["image/png"][0] == "y"


def test_only_what_has_a_size() -> None:
    """Of an image that comes with a plot's data as JSON, the data is not kept."""
    kernel = Kernel()
    kernel.cell()
    kernel.display_pub.show({"image/png": "x", "application/vnd.plotly.v1+json": {"data": []}})
    assert kernel.shown.latest(0) == {"image/png": "x"}


def test_unloading() -> None:
    """Unloaded, it listens no more and holds nothing."""
    kernel = Kernel()
    kernel.cell("a")
    kernel.shown.remove()
    assert kernel.display_pub.hooks == []
    assert kernel.shown.latest(0) is None


def test_a_shell_that_keeps_them_itself() -> None:
    """Where the history has what was displayed, as in terminal IPython, that counts, too."""
    kernel = Kernel()
    kernel.cell("a")
    output = SimpleNamespace(bundle={"image/jpeg": "b"})
    kernel.history_manager.outputs = {2: [output, SimpleNamespace(bundle={"stream": ["x"]})]}
    assert kernel.shown.latest(0) == {"image/jpeg": "b"}
    assert kernel.shown.latest(1, 1) == {"image/png": "a", "text/plain": "figure"}


def test_a_shell_without_a_publisher() -> None:
    """Where nothing can be listened to, there are no images, and no error."""
    shell: Any = SimpleNamespace(history_manager=None, display_pub=None)
    shown = ShownImages(shell)
    shown.install()
    assert shown.latest(0) is None
    shown.remove()
