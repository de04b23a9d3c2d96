"""Section `launches`: what a launch costs on the host, three ways, and a training step of gpugrad.

The kernel is `kernels/scaled_sum.py`, three arrays and a number, on one block, so that the device
is done long before the host. The step is that of section `steps`, but not waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.cases import Case, batches, initial
from benchmarks.cost_model import Work
from benchmarks.gpu.timing import host_seconds, in_turns
from benchmarks.processes import summary
from benchmarks.report import Table

THREADS = 256
TIMES = 200  # launches a block
STEPS = 10  # steps a block
SOURCE = """
extern "C" __global__
void scaled_sum(const float* x, const float* y, float factor, float* out, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        out[i] = factor * x[i] + y[i];
}
"""


def measure(cases: Sequence[Case], rounds: int) -> dict[str, Any]:
    """Microseconds of the host for a launch, by way, and for a step, by case."""
    made = {name: _tried(make) for name, make in OTHERS.items()}
    failed = {name: way for name, way in made.items() if not callable(way)}
    ways = {OURS: _by_gpugrad()}
    ways |= {name: way for name, way in made.items() if callable(way)}
    launched = in_turns(ways, host_seconds, TIMES, rounds)
    stepped = {}
    for case in cases:
        trainer = peers.load("gpugrad").Trainer(*initial(case.sizes))
        x, labels = trainer.batch(*batches(case)[0])
        run = {"step": lambda t=trainer, x=x, labels=labels: t.begin(x, labels)}
        stepped[str(case)] = summary(in_turns(run, host_seconds, STEPS, rounds)["step"], 1e6)
    return {
        "launch_microseconds": {name: summary(blocks, 1e6) for name, blocks in launched.items()},
        "failed": failed,
        "step_host_microseconds": stepped,
    }


def _tried(make: Callable[[], Callable[[], Any]]) -> Callable[[], Any] | str:
    """A way, launched once; or why it does not work here, which is no reason to stop."""
    try:
        way = make()
        way()
        return way
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())


def _arrays() -> Any:
    from gpugrad.cuda.backend import backend

    return [backend().put(np.ones(THREADS, np.float32)) for _ in range(3)]


def _by_gpugrad() -> Callable[[], Any]:
    from gpugrad.kernels.launch import launch
    from gpugrad.kernels.scaled_sum import _scaled_sum

    x, y, out = _arrays()
    return lambda: launch(_scaled_sum, 1, THREADS, x, y, np.float32(3), out)


def _by_raw_kernel() -> Callable[[], Any]:
    import cupy

    kernel = cupy.RawKernel(SOURCE, "scaled_sum")
    x, y, out = _arrays()
    return lambda: kernel((1,), (THREADS,), (x, y, np.float32(3), out, np.int32(THREADS)))


def _by_numba() -> Callable[[], Any]:
    from gpugrad.kernels.scaled_sum import _scaled_sum

    x, y, out = _arrays()
    configured = _scaled_sum[1, THREADS]
    return lambda: configured(x, y, np.float32(3), out)


OURS = "gpugrad.kernels.launch"
OTHERS = {
    "CuPy's RawKernel": _by_raw_kernel,
    "numba-cuda's dispatcher": _by_numba,
}


def tables(found: Mapping[str, Any], predicted: Mapping[str, Sequence[Work]]) -> list[Table]:
    """A launch by each way, and a step with its number of launches."""
    ways = [[n, f"{row['median']:.2f}"] for n, row in found["launch_microseconds"].items()]
    ways += [[name, f"failed: {why}"] for name, why in found["failed"].items()]
    steps = [
        [case, str(sum(w.launches for w in predicted[case])), f"{row['median']:,.0f}"]
        for case, row in found["step_host_microseconds"].items()
    ]
    return [
        Table("a launch on the host, three arrays and a number", ["by", "us"], ways),
        Table("a step of gpugrad on the host", ["MLP@batch", "launches", "host us"], steps),
    ]
