"""One file for each library: the same MLP training step, written as its users would write it.

They compute on the CPU, those of ON_GPU also on a GPU: `device` says which. Each module offers a
`Trainer` and `threads()`; what is not timed happens in `batch`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Sequence
from typing import Any, Protocol

from benchmarks.cases import Array, Labels

# In the order of the table. gpugrad is what the ratios refer to.
PEERS = ("gpugrad", "numpy", "torch", "jax", "autograd", "mygrad")
ON_GPU = ("gpugrad", "torch", "torch_compiled", "jax", "cupy")
PACKAGES = {"torch_compiled": "torch"}  # of a peer, where it is not the peer's own name

VARIABLE = "GPUGRAD_BENCHMARK_DEVICE"  # of the environment: what the peers of ON_GPU compute on


class Trainer(Protocol):
    """An MLP with ReLU, softmax cross-entropy, and SGD with momentum."""

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        """Start from weights (in, out) and biases (out,); the arrays are not written to."""

    def batch(self, x: Array, labels: Labels) -> tuple[Any, Any]:
        """The batch in the library's own kind of array, outside the timed part."""

    def step(self, x: Any, labels: Any) -> float:
        """Forward, loss, backward and update; the loss before the update."""


def device() -> str:
    """ "cpu" or "cuda": what this process measures on."""
    return os.environ.get(VARIABLE, "cpu")


def package(peer: str) -> str:
    """The distribution that a peer needs."""
    return PACKAGES.get(peer, peer)


def installed(peer: str) -> bool:
    """Whether the library can be imported, without importing it."""
    return importlib.util.find_spec(package(peer)) is not None


def load(peer: str) -> Any:
    """The module of benchmarks.peers for a library."""
    return importlib.import_module(f"benchmarks.peers.with_{peer}")
