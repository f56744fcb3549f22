"""An image at an address of the simulator, to be loaded by nobody: `Simulator.planted_hits` counts."""

from __future__ import annotations

import base64

from minimax_magic.simulator.behaviours import Raw

PLANTED_PATH = "/planted.png"
# one pixel
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
# a browser must not take it from its cache: every load is to be seen
PLANTED = Raw(200, "image/png", PNG, (("Cache-Control", "no-store"),))
