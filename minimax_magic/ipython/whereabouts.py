"""Which notebook and which kernel this is, and whether somebody is there, as far as that is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def notebook_of(shell: Any) -> str | None:
    """Path of the notebook; None in a terminal, and where a front end keeps it to itself.

    VS Code puts it into the namespace, jupyter_server into the kernel's environment.
    """
    from minimax_magic.config import process_environ

    named = shell.user_ns.get("__vsc_ipynb_file__") or process_environ().get("JPY_SESSION_NAME")
    return str(named) if named else None


def kernel_of(shell: Any) -> str | None:
    """Jupyter's id of the kernel; None without a kernel."""
    app = getattr(getattr(shell, "kernel", None), "parent", None)
    file = getattr(app, "connection_file", "")
    return Path(file).stem.removeprefix("kernel-") if file else None


def somebody_is_there(shell: Any) -> bool:
    """Whether questions can be answered: notebook runners tell the kernel that they cannot be."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return sys.stdin is not None and sys.stdin.isatty()
    content = kernel.get_parent().get("content", {})
    return bool(content.get("allow_stdin", False))
