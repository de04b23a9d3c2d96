"""Section `memory`: peak bytes of one training step above data, parameters and optimizer state.

The definition, the same for all: take every allocation and release from the call of the step until
its loss is a Python float, add them up in order, and take the largest sum. The batch, parameters
and momentum are there before, and the gradients of the step before have been dropped. Gradients
count, the momentum buffer does not. What BLAS keeps for itself is seen by neither meter.

NumPy and gpugrad are metered by `tracemalloc`, which also sees Python's objects; PyTorch by
the memory events of `torch.profiler`, which sees tensors only.
"""

from __future__ import annotations

import gc
import json
import tempfile
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.cases import Case, batches, initial, parse
from benchmarks.processes import Worker, ratios

LIBRARIES = ("gpugrad", "numpy", "torch")
WARM_UP = 3


def traced(step: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        step()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def profiled(step: Callable[[], Any]) -> int:
    """The largest running sum of the profiler's memory events on the CPU."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    changes = [
        (event["ts"], event["args"]["Bytes"])
        for event in events
        if event.get("name") == "[memory]" and event["args"]["Device Type"] == 0
    ]
    current = peak = 0
    for _, change in sorted(changes, key=lambda item: item[0]):
        current += change
        peak = max(peak, current)
    return peak


class Peak:
    """Measured while it is prepared; there is nothing to run."""

    def __init__(self, peer: str, case: Case) -> None:
        trainer = peers.load(peer).Trainer(*initial(case.sizes))
        pool = [trainer.batch(x, labels) for x, labels in batches(case)[: WARM_UP + 1]]
        for x, labels in pool[:-1]:
            trainer.step(x, labels)
        if hasattr(trainer, "optimizer"):
            trainer.optimizer.zero_grad()
        gc.collect()
        meter = profiled if peer == "torch" else traced
        self.report = meter(lambda: trainer.step(*pool[-1]))
        if peer == "numpy":
            self.report += trainer.grad.nbytes  # kept from step to step, but still gradients

    def run(self, count: int) -> None:
        return None


def workload(peer: str, case: str) -> Peak:
    return Peak(peer, parse(case))


def measure(workers: Mapping[str, Worker], cases: Sequence[Case]) -> dict[str, Any]:
    results = {}
    for case in cases:
        peaks = {
            name: workers[name].ask("prepare", section="memory", case=str(case))
            for name in LIBRARIES
            if name in workers
        }
        results[str(case)] = {"bytes": peaks, "ratios": ratios(peaks)}
    return results
