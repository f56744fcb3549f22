"""The benchmarks themselves: each runs, on little work, and says finite numbers; no time is judged."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import bench
import pytest
from bench_figures import TINY, Figure, Sizes, median_ratio, take_turns

KERNEL = pytest.mark.kernel
NAMES = [
    "chunks",
    "completions",
    "memory",
    "load_ext",
    pytest.param("iopub", marks=KERNEL),
    pytest.param("first_text", marks=KERNEL),
]


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_reports_finite_numbers(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each benchmark ends with 0, prints a line for each figure and writes the same to JSON."""
    written = tmp_path / "figures.json"
    assert bench.main([name, "--json", str(written)], TINY) == 0
    figures = json.loads(written.read_text())[name]
    printed = capsys.readouterr().out
    assert figures
    for figure in figures:
        assert math.isfinite(figure["value"])
        assert figure["name"] in printed


def test_every_benchmark_is_tried_here() -> None:
    """No benchmark is left out of these tests."""
    tried = {name if isinstance(name, str) else name.values[0] for name in NAMES}
    assert tried == set(bench.BENCHMARKS)


def test_an_unknown_name_is_refused() -> None:
    """A benchmark that does not exist is a usage error that names those that do."""
    with pytest.raises(SystemExit) as ended:
        bench.main(["nonsense"])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("value", "at_least", "verdict"),
    [(2.0, False, "ok"), (2.01, False, "OVER"), (0.7, True, "ok"), (0.69, True, "OVER")],
)
def test_a_line_says_whether_the_bound_is_kept(value: float, at_least: bool, verdict: str) -> None:
    """A figure on its bound is ok; one beyond it, in whichever direction, is OVER."""
    figure = Figure("name", value, "x", bound=0.7 if at_least else 2.0, at_least=at_least)
    assert verdict in figure.line().split()


def test_a_figure_without_a_bound_has_no_verdict() -> None:
    """Lines that are there to compare with are neither ok nor OVER."""
    line = Figure("SDK", 20.0, "x raw").line()
    assert "ok" not in line
    assert "OVER" not in line


def test_candidates_take_turns_and_begin_alternately() -> None:
    """After one run each to warm up, every round runs all, and every other one backwards."""
    ran: list[str] = []
    take_turns([lambda: ran.append("raw"), lambda: ran.append("ours")], rounds=2)
    assert ran == ["raw", "ours", "raw", "ours", "ours", "raw"]


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    """One round in which the machine was busy with something else does not count."""
    assert median_ratio([2.0, 2.0, 90.0], [1.0, 1.0, 1.0]) == 2.0


def test_a_broken_benchmark_is_told_and_the_others_still_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that raises makes the exit code 1 and does not keep the next from running."""

    def breaks(sizes: Sizes) -> Iterator[Figure]:
        yield Figure("before", 1.0, "x")
        raise RuntimeError("no kernel")

    def works(sizes: Sizes) -> Iterator[Figure]:
        yield Figure("after", 2.0, "x")

    monkeypatch.setattr(bench, "BENCHMARKS", {"first": ("1", breaks), "second": ("2", works)})
    assert bench.main([]) == 1
    printed = capsys.readouterr()
    assert "after" in printed.out
    assert "Broken: first." in printed.out
    assert "no kernel" in printed.err
