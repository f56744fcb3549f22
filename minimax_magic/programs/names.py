"""What other programs and shells are called here, for command lines that must not load anything."""

from __future__ import annotations

from typing import Final

PROGRAMS: Final = ("aider", "litellm", "claude-code", "openai-sdk", "anthropic-sdk", "llm")
SHELLS: Final = ("sh", "powershell", "cmd", "dotenv")
SCRIPTED: Final = ("aider",)
"""Programs that there is a start script for."""


def usual_shell(platform: str) -> str:
    """What is typed into most on a platform, which is named as in `sys.platform`."""
    return "powershell" if platform == "win32" else "sh"
