"""Section `kernels`: each kernel at 2**24 elements beside a copy on the device, in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.cost_model import Card, Work, seconds
from benchmarks.gpu import kernel_cases
from benchmarks.gpu.kernel_cases import COLUMNS, ELEMENTS
from benchmarks.gpu.timing import device_seconds, in_turns
from benchmarks.processes import summary
from benchmarks.report import Table

WANTED = 0.8  # of a copy's bandwidth, for each kernel that is bound by memory
TIMES = 10  # a block


def measure(rounds: int) -> dict[str, Any]:
    """Milliseconds of each kernel and of the copy beside it, and its share of that bandwidth."""
    from gpugrad.cuda.backend import backend

    gpu = backend()
    device = kernel_cases.Device(gpu.module, gpu.put, np.random.default_rng(0))
    copy = kernel_cases.COPY.make(device, ELEMENTS // COLUMNS)
    found = {}
    for case in kernel_cases.CASES:
        run = case.make(device, ELEMENTS // COLUMNS)
        blocks = in_turns({"copy": copy, "kernel": run}, device_seconds, TIMES, rounds)
        copied, taken = (summary(blocks[name], 1e3) for name in ("copy", "kernel"))
        speed = case.element_bytes / taken["median"]
        found[case.name] = {
            "element_bytes": case.element_bytes,
            "memory_bound": case.memory_bound,
            "milliseconds": taken,
            "copy_milliseconds": copied,
            "gigabytes_a_second": speed * ELEMENTS / 1e6,
            "share_of_copy": speed / (kernel_cases.COPY.element_bytes / copied["median"]),
        }
        del run
        gpu.release()
    return found


def table(
    found: Mapping[str, Any], predicted: Mapping[str, Sequence[Work]], card: Card | None
) -> Table:
    """What was measured, and beside it what was predicted for this card."""
    rows = []
    for name, row in found.items():
        time = row["milliseconds"]["median"]
        guess = seconds(predicted[name], card) * 1e3 if card else None
        rows.append(
            [
                name,
                f"{time:.3g}",
                "-" if guess is None else f"{guess:.3g}",
                "-" if guess is None else f"{time / guess:.2f}",
                f"{row['gigabytes_a_second']:,.0f}",
                f"{row['share_of_copy']:.0%}",
                _verdict(row),
            ]
        )
    columns = ["kernel", "ms", "predicted", "times that", "GB/s", "of a copy", f">= {WANTED:.0%}"]
    return Table("kernels at 2**24 elements, beside a copy on the device", columns, rows)


def _verdict(row: Mapping[str, Any]) -> str:
    if not row["memory_bound"]:
        return "-"
    return "yes" if row["share_of_copy"] >= WANTED else "NO"
