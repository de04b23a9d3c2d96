"""One file for each library: the same MLP training step, written as its users would write it.

Each module offers a `Trainer` and `threads()`; what is not timed happens in `batch`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any, Protocol

from benchmarks.cases import Array, Labels

# In the order of the table. gpugrad is what the ratios refer to.
PEERS = ("gpugrad", "numpy", "torch", "jax", "autograd", "mygrad")


class Trainer(Protocol):
    """An MLP with ReLU, softmax cross-entropy, and SGD with momentum."""

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        """Start from weights (in, out) and biases (out,); the arrays are not written to."""

    def batch(self, x: Array, labels: Labels) -> tuple[Any, Any]:
        """The batch in the library's own kind of array, outside the timed part."""

    def step(self, x: Any, labels: Any) -> float:
        """Forward, loss, backward and update; the loss before the update."""


def installed(peer: str) -> bool:
    """Whether the library can be imported, without importing it."""
    return importlib.util.find_spec(peer) is not None


def load(peer: str) -> Any:
    """The module of benchmarks.peers for a library."""
    return importlib.import_module(f"benchmarks.peers.with_{peer}")
