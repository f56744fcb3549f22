"""A local MiniMax for demos, tests and trying things out: both wires over real HTTP and SSE.

Independent of our own codecs on purpose: the official SDKs prove this server, and this server
proves the codecs. `choose` has the table of what a prompt can ask for.

    with Simulator() as sim:
        sim.script(Fail(code=1002, retry_after="1"), Reply(text="Hello"))
        ...  # sim.url, sim.key
        assert sim.requests[0].body["model"] == "MiniMax-M2.5"
"""

from __future__ import annotations

from minimax_magic.simulator.app import Served
from minimax_magic.simulator.behaviours import (
    Behaviour,
    Drop,
    Fail,
    FailMidStream,
    Frames,
    Raw,
    Reply,
    Silence,
    ToolCall,
    Usage,
)
from minimax_magic.simulator.exchange import Received
from minimax_magic.simulator.server import DEFAULT_KEY, Simulator

__all__ = [
    "DEFAULT_KEY",
    "Behaviour",
    "Drop",
    "Fail",
    "FailMidStream",
    "Frames",
    "Raw",
    "Received",
    "Reply",
    "Served",
    "Silence",
    "Simulator",
    "ToolCall",
    "Usage",
]
