"""The training steps that every library runs, and the numbers that they start from.

A case is written `sizes@batch`: `784-128-10@32` is an MLP with one hidden layer, batches of 32.
Weights, biases and batches come from one seed, so every process makes the same ones by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Labels = NDArray[np.int64]

LEARNING_RATE = 0.01
MOMENTUM = 0.9
POOL = 16  # batches made before the clock starts; the steps take them in turn


@dataclass(frozen=True)
class Case:
    """One training step: an MLP, its batch size, and the most it may cost beside NumPy."""

    sizes: tuple[int, ...]
    batch: int
    numpy_limit: float | None = None

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.sizes))}@{self.batch}"


CASES = (
    Case((2, 16, 16, 2), 100, 1.5),
    Case((64, 32, 10), 32, 1.5),
    Case((784, 128, 10), 32, 1.25),
    Case((784, 256, 128, 10), 128, 1.1),
    Case((784, 512, 512, 10), 512, 1.1),
    Case((1024, 1024, 1024, 1024, 10), 256, 1.1),
)


def parse(text: str) -> Case:
    """The case written as `sizes@batch`; for one of `CASES` the sizes are enough."""
    for case in CASES:
        if text in (str(case), str(case).split("@")[0]):
            return case
    if not re.fullmatch(r"\d+(-\d+)+@\d+", text):
        known = ", ".join(map(str, CASES))
        raise ValueError(f"no case {text!r}; write sizes@batch, or one of {known}")
    sizes, batch = text.split("@")
    return Case(tuple(map(int, sizes.split("-"))), int(batch))


def initial(sizes: tuple[int, ...], seed: int = 0) -> tuple[list[Array], list[Array]]:
    """Weights (in, out) and biases (out,) of each layer, uniform in +-1/sqrt(in)."""
    rng = np.random.default_rng(seed)
    weights, biases = [], []
    for fan_in, fan_out in pairwise(sizes):
        bound = fan_in**-0.5
        weights.append(rng.uniform(-bound, bound, (fan_in, fan_out)).astype(np.float32))
        biases.append(rng.uniform(-bound, bound, fan_out).astype(np.float32))
    return weights, biases


def batches(case: Case, seed: int = 1) -> list[tuple[Array, Labels]]:
    """`POOL` batches of standard normal inputs with random labels."""
    rng = np.random.default_rng(seed)
    return [
        (
            rng.standard_normal((case.batch, case.sizes[0]), dtype=np.float32),
            rng.integers(0, case.sizes[-1], case.batch),
        )
        for _ in range(POOL)
    ]
