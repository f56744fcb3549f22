"""Which notebook and which kernel this is, as far as the front end tells."""

from __future__ import annotations

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
