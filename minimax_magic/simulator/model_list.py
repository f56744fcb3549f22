"""`GET /v1/models`, in OpenAI's shape."""

from __future__ import annotations

from aiohttp import web

from minimax_magic.simulator.behaviours import Fail
from minimax_magic.simulator.exchange import Exchange
from minimax_magic.simulator.turn import MODEL_IDS

MODELS_PATH = "/v1/models"


def is_models(path: str) -> bool:
    return path == MODELS_PATH or path.startswith(MODELS_PATH + "/")


def answer_models(exchange: Exchange) -> web.Response:
    """The list, or one of it."""
    wanted = exchange.request.path.removeprefix(MODELS_PATH).strip("/")
    models = [
        {"id": model, "object": "model", "created": 1_780_000_000, "owned_by": "minimax-simulated"}
        for model in MODEL_IDS
    ]
    if not wanted:
        return exchange.json({"object": "list", "data": models})
    for model in models:
        if model["id"] == wanted:
            return exchange.json(model)
    return exchange.fail(Fail(404, message=f"model '{wanted}' not found"))
