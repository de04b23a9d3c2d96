"""python -m benchmarks.simulator: a thread of gpugrad.simulate beside one of Numba's simulator.

Numba's simulator (NUMBA_ENABLE_CUDASIM=1) runs a kernel's Python source, a thread of the operating
system for each thread of the GPU; gpugrad.simulate interprets the PTX on NumPy. Each has its own
process, and they take turns. Compilation and the first launch are not timed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.processes import ROOT, BenchmarkError, rotated, summary

OURS, NUMBA = "gpugrad.simulate", "Numba's simulator"
SMALL, LARGE = 2, 400  # blocks of 256 threads: as in a test, and as the first would like it
ROUNDS = 5

# name: the module of the kernel, its grid for that many blocks, its block, its arguments
Launch = tuple[str, Callable[[int], Any], Any, Callable[[np.random.Generator, int], Any]]


def _vector(blocks: int) -> int:
    return 256 * blocks - 7


def _floats(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return generator.standard_normal(shape, dtype=np.float32)


KERNELS: dict[str, Launch] = {
    "saxpy": (
        "elementwise",
        lambda blocks: blocks,
        256,
        lambda g, blocks: (np.float32(2), *(_floats(g, _vector(blocks)) for _ in range(3))),
    ),
    "bias_relu": (
        "elementwise",
        lambda blocks: (1, blocks),
        (32, 8),
        lambda g, blocks: (_floats(g, 8 * blocks, 32), _floats(g, 32), _floats(g, 8 * blocks, 32)),
    ),
    "gelu": (
        "mathematics",
        lambda blocks: blocks,
        256,
        lambda g, blocks: (_floats(g, _vector(blocks)), _floats(g, _vector(blocks))),
    ),
    "column_sum": (
        "blocks",
        lambda blocks: blocks,
        (32, 8),
        lambda g, blocks: (_floats(g, 40, 32 * blocks), _floats(g, 32 * blocks)),
    ),
    "matmul": (
        "blocks",
        lambda blocks: (1, blocks),
        (16, 16),
        lambda g, blocks: (
            _floats(g, 16 * blocks, 32),
            _floats(g, 32, 16),
            _floats(g, 16 * blocks, 16),
        ),
    ),
}


def serve(side: str) -> None:
    """Launch what each line of stdin asks for; answer with seconds and a sum of the results."""
    from importlib import import_module

    if side == OURS:
        from gpugrad import simulate
    for line in sys.stdin:
        name, blocks, checks = json.loads(line)
        module, grid, block, arguments = KERNELS[name]
        kernel = getattr(import_module(f"tests.simulate.kernels.{module}"), name)
        given = arguments(np.random.default_rng(1), blocks)
        began = time.perf_counter()
        if side == OURS:
            simulate.run(kernel, grid(blocks), block, *given, checks=checks)
        else:
            kernel[grid(blocks), block](*given)
        seconds = time.perf_counter() - began
        print(json.dumps([seconds, float(given[-1].sum(dtype=np.float64))]), flush=True)


class Side:
    """One of the two in a process of its own."""

    def __init__(self, name: str) -> None:
        environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": str(int(name == NUMBA))}
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.simulator", "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )

    def launch(self, kernel: str, blocks: int, checks: bool = True) -> tuple[float, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([kernel, blocks, checks]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise BenchmarkError(f"the process of {self.name} died in {kernel}")
        seconds, total = json.loads(line)
        return seconds, total

    def close(self) -> None:
        with self._process:  # closes both pipes, which ends the process, and waits for it
            pass


def measure(ours: Side, numba: Side, kernel: str, rounds: int) -> dict[str, Any]:
    """Microseconds a thread, and how many times faster this package is on the same launch."""
    launches: dict[str, Callable[[], tuple[float, float]]] = {
        NUMBA: lambda: numba.launch(kernel, SMALL),
        OURS: lambda: ours.launch(kernel, SMALL),
        f"{OURS}, {256 * LARGE:,} threads": lambda: ours.launch(kernel, LARGE),
        f"{OURS}, {256 * LARGE:,} threads, checks off": lambda: ours.launch(kernel, LARGE, False),
    }
    totals = {name: launch()[1] for name, launch in launches.items()}  # compiles and warms up
    if not np.isclose(totals[NUMBA], totals[OURS], rtol=1e-4, atol=1e-3):
        raise BenchmarkError(f"{kernel}: {NUMBA} sums to {totals[NUMBA]}, {OURS} to {totals[OURS]}")
    seconds: dict[str, list[float]] = {name: [] for name in launches}
    for turn in range(rounds):
        for name in rotated(list(launches), turn):
            seconds[name].append(launches[name]()[0])
    threads = {name: 256 * (LARGE if "threads" in name else SMALL) for name in launches}
    times = {name: summary(blocks, 1e6 / threads[name]) for name, blocks in seconds.items()}
    return {
        "microseconds a thread": times,
        "times faster": times[NUMBA]["median"] / times[OURS]["median"],
    }


def show(results: dict[str, Any]) -> None:
    about = results["machine"]
    print(f"{about['processor']}, {about['cores']} cores, Python {about['python']}")
    print(f"microseconds a thread, median of {results['rounds']}; blocks of 256 threads\n")
    columns = [f"{NUMBA}", OURS, "times faster", f"{LARGE} blocks", "checks off"]
    print(f"{'kernel, ' + str(SMALL) + ' blocks':20}" + "".join(f"{c:>20}" for c in columns))
    for kernel, found in results["kernels"].items():
        medians = [time["median"] for time in found["microseconds a thread"].values()]
        cells = [*medians[:2], found["times faster"], *medians[2:]]
        print(f"{kernel:20}" + "".join(f"{cell:>20,.3g}" for cell in cells))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.simulator", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="launches of each, timed")
    parser.add_argument("--kernels", default=",".join(KERNELS), help="some of %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.serve:
        serve(chosen.serve)
        return 0
    names = chosen.kernels.split(",")
    unknown = set(names) - set(KERNELS)
    if unknown or chosen.rounds < 1:
        parser.error(f"kernels are {', '.join(KERNELS)}; rounds at least 1")
    results: dict[str, Any] = {"machine": machine.describe(), "rounds": chosen.rounds}
    warning = machine.busy(results["machine"])
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    try:
        with ExitStack() as stack:
            sides = [Side(OURS), Side(NUMBA)]
            for side in sides:
                stack.callback(side.close)
            results["kernels"] = {name: measure(*sides, name, chosen.rounds) for name in names}
    except BenchmarkError as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    show(results)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
