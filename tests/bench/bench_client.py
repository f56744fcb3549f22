"""CPU of a streamed chunk, short completions a second, and memory: our client beside a raw loop."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from bench_figures import Figure, Sizes, median_ratio, take_turns
from bench_server import Order, serving
from bench_wires import ANTHROPIC, WIRES, Booking, Candidate, Ours, Raw, Target, sdk_of

AT_A_TIME = 64
CHARS = 4  # about a token


def chunks(sizes: Sizes) -> Iterator[Figure]:
    """CPU of the client for each chunk of a burst."""
    size = sizes.chunks * CHARS
    text = Order(chars=size, chunk=CHARS)
    thinking = Order(chars=CHARS, chunk=CHARS, thinking=size)
    few = Order(chars=max(1, int(sizes.chunks * sizes.sdk_share)) * CHARS, chunk=CHARS)
    with serving() as url, asyncio.Runner() as runner:
        targets = [Target(url, wire) for wire in WIRES]
        for target in targets:
            for label, order in {"": text, ", thinking": thinking}.items():
                ratio, each, raw = _chunk_cpu(runner, target, Ours, order, sizes.rounds)
                detail = f"{each:.1f} us, raw {raw:.1f} us"
                yield Figure(target.wire + label, ratio, "x raw", bound=2.0, detail=detail)
        for target in targets:
            if sdk_of(target) is not None:
                ratio, each, raw = _chunk_cpu(runner, target, sdk_of, few, 2)
                detail = f"{each:.1f} us, raw {raw:.1f} us"
                yield Figure(_sdk_label(target), ratio, "x raw", detail=detail)


def _chunk_cpu(
    runner: asyncio.Runner,
    target: Target,
    make: Callable[[Target], Candidate | None],
    order: Order,
    rounds: int,
) -> tuple[float, float, float]:
    """CPU as a multiple of raw, and microseconds for each chunk of the candidate and of raw."""
    raw, candidate = _open(runner, Raw, target), _open(runner, make, target)
    size = order.chars + order.thinking
    said = runner.run(raw.stream(order)), runner.run(candidate.stream(order))
    assert said == (size, size), f"not the whole answer: {said}"
    raw_s, took_s = take_turns(
        [
            lambda: _cpu_s(runner, raw.stream, order),
            lambda: _cpu_s(runner, candidate.stream, order),
        ],
        rounds,
    )
    _close(runner, raw, candidate)
    each, raw_each = (
        statistics.median(seconds) * 1e6 * order.chunk / size for seconds in (took_s, raw_s)
    )
    return median_ratio(took_s, raw_s), each, raw_each


def _cpu_s(
    runner: asyncio.Runner, stream: Callable[[Order], Coroutine[Any, Any, int]], order: Order
) -> float:
    gc.collect()
    before = time.process_time()
    runner.run(stream(order))
    return time.process_time() - before


def completions(sizes: Sizes) -> Iterator[Figure]:
    """Short whole answers a second, many at a time."""
    count, few = sizes.completions, max(1, int(sizes.completions * sizes.sdk_share))
    with serving() as url, asyncio.Runner() as runner:
        targets = [Target(url, wire) for wire in WIRES]
        for target in targets:
            ratio, rate, raw_rate = _share(runner, target, Ours, count, sizes.completion_rounds)
            detail = f"{rate:,.0f}/s, raw {raw_rate:,.0f}/s"
            yield Figure(target.wire, ratio, "x raw", bound=0.7, at_least=True, detail=detail)
        for target in targets:
            ratio, rate, _ = _share(runner, target, Booking, count, sizes.completion_rounds)
            yield Figure(f"{target.wire}, in a ledger", ratio, "x raw", detail=f"{rate:,.0f}/s")
        for target in targets:
            if sdk_of(target) is not None:
                ratio, rate, _ = _share(runner, target, sdk_of, few, 1)
                yield Figure(_sdk_label(target), ratio, "x raw", detail=f"{rate:,.0f}/s")


def _share(
    runner: asyncio.Runner,
    target: Target,
    make: Callable[[Target], Candidate | None],
    count: int,
    rounds: int,
) -> tuple[float, float, float]:
    """Requests a second as a share of raw, of the candidate, and of raw."""
    raw, candidate = _open(runner, Raw, target), _open(runner, make, target)
    raw_s, took_s = take_turns(
        [lambda: _chats_s(runner, raw, count), lambda: _chats_s(runner, candidate, count)], rounds
    )
    _close(runner, raw, candidate)
    rate, raw_rate = (count / statistics.median(seconds) for seconds in (took_s, raw_s))
    return 1 / median_ratio(took_s, raw_s), rate, raw_rate


def _chats_s(runner: asyncio.Runner, candidate: Candidate, count: int) -> float:
    order = Order()

    async def all_of_them() -> None:
        left = iter(range(count))

        async def work() -> None:
            for _ in left:
                assert await candidate.chat(order) == order.chars

        await asyncio.gather(*(work() for _ in range(AT_A_TIME)))

    gc.collect()
    before = time.perf_counter()
    runner.run(all_of_them())
    return time.perf_counter() - before


def memory(sizes: Sizes) -> Iterator[Figure]:
    """Peak of what Python allocates while the same text streams in ever smaller chunks."""
    few, some, many = sizes.memory_chunks
    with serving() as url, asyncio.Runner() as runner:
        for wire in WIRES:
            ours = _open(runner, Ours, Target(url, wire))
            beyond = {
                count: _beyond_text(runner, ours, Order(chars=many, chunk=many // count))
                for count in (few, some, many)
            }
            _close(runner, ours)
            yield Figure(
                f"{wire}, {many:,} chars",
                (beyond[many] - beyond[some]) / (many - some),
                "B/chunk",
                bound=0.5,
                detail="beyond the text: "
                + ", ".join(f"{size / 1000:,.0f} kB at {n:,}" for n, size in beyond.items()),
            )


def _beyond_text(runner: asyncio.Runner, ours: Candidate, order: Order) -> float:
    """Bytes of the peak, less the text itself; a first, short answer has warmed everything up."""
    runner.run(ours.stream(Order(chars=100, chunk=10)))
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        assert runner.run(ours.stream(order)) == order.chars
        return tracemalloc.get_traced_memory()[1] - before - len(order.text.encode())
    finally:
        tracemalloc.stop()


def _sdk_label(target: Target) -> str:
    return f"for comparison: {'anthropic' if target.wire == ANTHROPIC else 'openai'} SDK"


def _open(runner: asyncio.Runner, make: Callable[[Target], Any], target: Target) -> Any:
    async def made() -> Any:  # sessions want to be made on their loop
        return make(target)

    return runner.run(made())


def _close(runner: asyncio.Runner, *candidates: Candidate) -> None:
    for candidate in candidates:
        runner.run(candidate.close())
