"""Seconds of the device and of the host for the same calls, each in blocks that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.processes import rotated

Run = Callable[[], Any]


def device_seconds(run: Run, runs: int) -> float:
    """Of one run on the device, by events before and after `runs` of them."""
    import cupy

    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    for _ in range(runs):
        run()
    end.record()
    end.synchronize()
    seconds: float = cupy.cuda.get_elapsed_time(start, end) / 1e3 / runs
    return seconds


def host_seconds(run: Run, runs: int) -> float:
    """Of one run on the host: until it has given the device its work, which is not waited for.

    `runs` of them must fit in the driver's queue, of about a thousand launches.
    """
    import cupy

    cupy.cuda.Device().synchronize()
    began = time.perf_counter()
    for _ in range(runs):
        run()
    took = time.perf_counter() - began
    cupy.cuda.Device().synchronize()
    return took / runs


def in_turns(
    runs: Mapping[str, Run], clock: Callable[[Run, int], float], times: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of one run in each block of `times`, by name; the first block of each is untimed."""
    for run in runs.values():
        clock(run, times)
    blocks: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        for name in rotated(list(runs), turn):
            blocks[name].append(clock(runs[name], times))
    return blocks
