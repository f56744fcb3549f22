"""`make bench`: what the promises of speed and memory are worth, each beside a raw loop in the same run.

    python tests/bench/bench.py [name ...] [--json FILE]

Not a timed test: it ends with 0 whatever it measures, unless a benchmark itself breaks.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import bench_client
import bench_loading
import bench_notebook
from bench_figures import Figure, Sizes

BENCHMARKS: dict[str, tuple[str, Callable[[Sizes], Iterator[Figure]]]] = {
    "chunks": ("CPU for each streamed chunk of a burst", bench_client.chunks),
    "completions": ("Short completions a second, 64 at a time", bench_client.completions),
    "iopub": ("Bytes to the browser, 1 ms for each chunk", bench_notebook.iopub),
    "first_text": ("From the first byte to visible text", bench_notebook.first_text),
    "load_ext": ("%load_ext minimax_magic, beyond bare IPython", bench_loading.load_ext),
    "memory": ("Peak memory, beyond the text, for each chunk", bench_client.memory),
}


def main(arguments: list[str] | None = None, sizes: Sizes | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(
            f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}"
        )
    print(f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores")
    where = options.json and options.json.absolute()
    results: dict[str, list[Figure]] = {}
    broken: list[str] = []
    with _nobodys_settings():
        for name in options.names or BENCHMARKS:
            title, run = BENCHMARKS[name]
            print(f"\n{title} ({name})", flush=True)
            results[name] = []
            try:
                for figure in run(sizes or Sizes()):
                    print(figure.line(), flush=True)
                    results[name].append(figure)
            except Exception:  # the others are still worth knowing
                traceback.print_exc()
                broken.append(name)
    over = sum(figure.ok is False for figures in results.values() for figure in figures)
    print(f"\n{over} over their bound." if over else "\nAll within their bounds.")
    if where is not None:
        found = {name: [f.as_json() for f in figures] for name, figures in results.items()}
        where.write_text(json.dumps(found, indent=1) + "\n")
    if broken:
        print(f"Broken: {', '.join(broken)}.")
    return 1 if broken else 0


@contextmanager
def _nobodys_settings() -> Iterator[None]:
    """Runs in an empty directory, so that no llm.yaml of this machine has a say."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        yield


if __name__ == "__main__":
    sys.exit(main())
