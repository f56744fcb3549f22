"""What a front end is given: one thing in several forms, of which it takes the one it likes best."""

from __future__ import annotations

import json
from typing import Any

Bundle = dict[str, Any]
"""Mime type -> content. Every bundle that is kept has a `text/plain`."""

# One message should stay below 140 KB; some servers between kernel and browser limit it.
MOST_BYTES = 136_000
# A tree of so much JSON is shown unfolded.
_UNFOLDED_CHARS = 1500


def metadata(bundle: Bundle) -> dict[str, Any]:
    """What is to be known beside it: JupyterLab folds a tree below its first level if not told so."""
    tree = bundle.get("application/json")
    if tree is None or len(json.dumps(tree)) > _UNFOLDED_CHARS:
        return {}
    return {"application/json": {"expanded": True}}


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and how much is missing. `most` is characters."""
    if len(text) <= most:
        return text
    return f"{text[:most]}\n[... {len(text) - most:,} more characters]"
