"""A local MiniMax for demos, tests and trying things out: both wires over real HTTP and SSE.

Independent of our own codecs on purpose: the official SDKs prove this server, and this server
proves the codecs. `choose` has the table of what a prompt can ask for.

    with Simulator() as sim:
        sim.script(Fail(code=1002, retry_after="1"), Reply(text="Hello"))
        ...  # sim.url, sim.key
        assert sim.requests[0].body["model"] == "MiniMax-M2.5"
        assert sim.images[0].data == picture_that_was_sent
        sim.always = "[[error 1008]]"  # until it is None again

It has an account side too, with MiniMax's OAuth login and a consent page of its own:

        sim.account.auto_approve_after_polls = 2
        ...  # a client logs in at sim.url
        sim.account.expire_access_tokens()
"""

from __future__ import annotations

from minimax_magic.simulator.account import Account
from minimax_magic.simulator.account_checks import PORTAL_CLIENT_ID
from minimax_magic.simulator.account_values import Tokens
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
from minimax_magic.simulator.seen_images import SeenImage
from minimax_magic.simulator.server import DEFAULT_KEY, Simulator

__all__ = [
    "DEFAULT_KEY",
    "PORTAL_CLIENT_ID",
    "Account",
    "Behaviour",
    "Drop",
    "Fail",
    "FailMidStream",
    "Frames",
    "Raw",
    "Received",
    "Reply",
    "SeenImage",
    "Served",
    "Silence",
    "Simulator",
    "Tokens",
    "ToolCall",
    "Usage",
]
