"""Kernels on the simulated device: their PTX is loaded into it and interpreted there."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from gpugrad.cuda.compiler import compiled
from gpugrad.cuda.simulated.memory import POOL
from gpugrad.simulate.frontend.cards import Card, card

if TYPE_CHECKING:
    from gpugrad.simulate.report.report import Report

_reports: ContextVar[list[Report] | None] = ContextVar("gpugrad_reports", default=None)


class SimulatedKernel:
    """A kernel loaded into the simulated device."""

    def __init__(self, kernel: Any, types: tuple[Any, ...]) -> None:
        self.limits: Card = card(POOL.device.cc)
        self.code = compiled(kernel, types, self.limits.cc, "ptx")
        self.entry = POOL.device.load(self.code.code.decode()).entries[self.code.entry]

    def parameters(self, words: ctypes.Array[ctypes.c_int64]) -> memoryview:
        """The parameters that `run` takes: the words as they are at the launch, as bytes."""
        return memoryview(words).cast("B")


def load(kernel: Any, types: tuple[Any, ...]) -> SimulatedKernel:
    """A kernel for arguments of Numba's types, compiled and on the device, ready for `run`."""
    return SimulatedKernel(kernel, types)


def run(
    kernel: SimulatedKernel, grid: Any, block: Any, parameters: memoryview, shared: int
) -> None:
    """Launch a kernel and wait for its end.

    Raises:
        Fault: what the kernel did wrong.
    """
    words = bytes(parameters)
    report = POOL.device.launch(
        kernel.entry,
        grid,
        block,
        [words[k : k + 8] for k in range(0, len(words), 8)],
        shared_bytes=shared,
        name=kernel.code.name,
        source=kernel.code.source,
        float32=kernel.code.float32,
    )
    reports = _reports.get()
    if reports is not None:
        reports.append(report)


@contextmanager
def launches() -> Iterator[list[Report]]:
    """The report of each launch within the block, in order."""
    reports: list[Report] = []
    token = _reports.set(reports)
    try:
        yield reports
    finally:
        _reports.reset(token)
