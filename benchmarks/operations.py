"""Section `operations`: what recording costs, over the same NumPy calls made bare.

A chain of operations on 4x4 arrays, where the arithmetic is nearly free. Per operation:
`forward` is calling and recording it; `training` adds the sum of the result and the backward pass,
against the NumPy calls that a person would write for both.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.processes import Effort, Worker, interleave, summary

LENGTH = 40  # operations in a chain
LIBRARIES = ("numpy", "gpugrad", "torch")
CHAINS = {
    "add": ("add",),
    "multiply": ("multiply",),
    "tanh": ("tanh",),
    "matmul": ("matmul",),
    "mixed": ("multiply", "tanh", "matmul", "add"),
}


def plan(kind: str) -> list[str]:
    """The names of the operations of a chain, in order."""
    pattern = CHAINS[kind]
    return [pattern[i % len(pattern)] for i in range(LENGTH)]


def forward(names: list[str], tanh: Callable[[Any], Any], x: Any, c: Any) -> list[Any]:
    """x and the value after each operation; x and c may belong to any of the libraries."""
    values = [x]
    for name in names:
        if name == "add":
            x = x + c
        elif name == "multiply":
            x = x * c
        elif name == "matmul":
            x = x @ c
        else:
            x = tanh(x)
        values.append(x)
    return values


def backward_by_hand(names: list[str], values: list[Any], c: Any) -> Any:
    """The gradient of the sum of the last value, in bare NumPy."""
    values[-1].sum()
    g = np.ones_like(values[-1])
    for name, y in zip(reversed(names), reversed(values), strict=False):
        if name == "multiply":
            g = g * c
        elif name == "matmul":
            g = g @ c.T
        elif name == "tanh":
            g = g * (1 - y * y)
    return g


class Chain:
    def __init__(self, peer: str, kind: str, training: bool) -> None:
        self.report = None
        names = plan(kind)
        # 40 factors of 0.2 are still a normal float32; rows of the matrix sum to about 1.
        array = np.linspace(0.2, 0.3, 16, dtype=np.float32).reshape(4, 4)
        lib = importlib.import_module(peer)
        if peer == "numpy":
            self.once = bare(names, array, training)
        else:
            self.once = recorded(names, lib, array, training)

    def run(self, count: int) -> None:
        once = self.once
        for _ in range(count):
            once()


def bare(names: list[str], array: Any, training: bool) -> Callable[[], None]:
    def once() -> None:
        values = forward(names, np.tanh, array, array)
        if training:
            backward_by_hand(names, values, array)

    return once


def recorded(names: list[str], lib: Any, array: Any, training: bool) -> Callable[[], None]:
    x, c = lib.tensor(array, requires_grad=True), lib.tensor(array)

    def once() -> None:
        last = forward(names, lib.tanh, x, c)[-1]
        if training:
            x.grad = None
            last.sum().backward()

    return once


def workload(peer: str, kind: str, training: bool) -> Chain:
    return Chain(peer, kind, training)


def measure(workers: Mapping[str, Worker], effort: Effort) -> dict[str, Any]:
    """Microseconds of each operation above bare NumPy, by chain, part and library."""
    chosen = {name: workers[name] for name in LIBRARIES if name in workers}
    effort = replace(effort, pause=0.0)  # nothing here has threads to wait for
    results: dict[str, Any] = {}
    for kind in CHAINS:
        results[kind] = {}
        for part in ("forward", "training"):
            for worker in chosen.values():
                worker.ask("prepare", section="operations", kind=kind, training=part == "training")
            seconds, _ = interleave(chosen, effort)
            times = {name: summary(blocks, 1e6 / LENGTH) for name, blocks in seconds.items()}
            bare = times["numpy"]["median"]
            results[kind][part] = {
                "microseconds": times,
                "over_numpy": {n: t["median"] - bare for n, t in times.items() if n != "numpy"},
            }
    return results
