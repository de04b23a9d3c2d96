"""The step of `with_numpy`, by hand, with CuPy's functions in the place of NumPy's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy as cp

from benchmarks.cases import Array, Labels
from benchmarks.peers import with_numpy


def threads() -> str:
    return "none: on the GPU"


class Trainer(with_numpy.Trainer):
    xp = cp

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        super().__init__([*map(cp.asarray, weights)], [*map(cp.asarray, biases)])

    def batch(self, x: Array, labels: Labels) -> tuple[Any, Any]:
        return cp.asarray(x), cp.asarray(labels)
