"""What `%load_ext minimax_magic` costs in an IPython that is already up."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench_figures import Figure, Sizes

HEAVY = ("aiohttp", "pydantic", "ipywidgets", "anywidget", "yaml")

# An extension that does nothing is loaded first: IPython's own part is none of ours.
_PROBE = """
import json, sys, time
from {module} import {shell} as Shell
shell = Shell.instance()
shell.run_cell("1 + 1;", silent=True)
shell.run_line_magic("load_ext", "bench_first")
took = []
for name in ("bench_empty", "minimax_magic"):
    began = time.perf_counter()
    shell.run_line_magic("load_ext", name)
    took.append(time.perf_counter() - began)
assert "minimax" in shell.magics_manager.magics["cell"]
print(json.dumps([took, [name for name in {heavy!r} if name in sys.modules]]))
"""
_SHELLS = {
    "terminal IPython": ("IPython.terminal.interactiveshell", "TerminalInteractiveShell"),
    "ipykernel": ("ipykernel.zmqshell", "ZMQInteractiveShell"),
}


def load_ext(sizes: Sizes) -> Iterator[Figure]:
    """The time of each shell, and what it imported that it must not."""
    heavy: set[str] = set()
    with TemporaryDirectory() as folder:
        for name in ("bench_first", "bench_empty"):
            Path(folder, f"{name}.py").write_text("def load_ipython_extension(shell): pass\n")
        environment = _environment(folder)
        for label, (module, shell) in _SHELLS.items():
            probe = _PROBE.format(module=module, shell=shell, heavy=HEAVY)
            if label == "ipykernel":  # its loop has imported asyncio by then
                probe = f"import ipykernel.ipkernel\n{probe}"
            runs = [_run(probe, environment, folder) for _ in range(1 + sizes.starts)][1:]
            beyond = [1000 * (ours - bare) for (bare, ours), _ in runs]
            heavy |= {name for _, names in runs for name in names}
            yield Figure(
                label,
                statistics.median(beyond),
                "ms",
                bound=10,
                detail=f"least {min(beyond):.1f} ms, most {max(beyond):.1f} ms",
            )
    yield Figure(
        "heavy modules imported",
        len(heavy),
        "",
        bound=0,
        detail=", ".join(sorted(heavy)) or f"none of {', '.join(HEAVY)}",
    )


def _environment(folder: str) -> dict[str, str]:
    """Compiled files are written at the first start, as an installation has them."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join(filter(None, (folder, kept.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": folder, "IPYTHONDIR": folder}


def _run(
    probe: str, environment: dict[str, str], folder: str
) -> tuple[tuple[float, float], list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", probe], env=environment, cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])
