"""Rows for the product of the chain rule."""

from __future__ import annotations

from itertools import product

import numpy as np

from gpugrad.kernels.chain import _chain
from tests.kernels.harness import Row, Unwritten

# Each with each: 0 and -0 times what is not finite, and what is not finite times 0 and 1.
FACTORS = np.array(
    list(product([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 1e-40], repeat=2)), np.float32
)


def factors(rng, n):
    pairs = rng.standard_normal((n, 2)).astype(np.float32)
    pairs[: len(FACTORS)] = FACTORS[:n]
    return pairs.T.copy()


def chain_row(either):
    def arguments(rng, size):
        cotangent, partial = factors(rng, *size)
        return {
            "cotangent": cotangent,
            "partial": partial,
            "either": np.bool_(either),
            "out": Unwritten(size),
        }

    def expected(cotangent, partial, either, out):
        zero = (cotangent == 0) & ~np.isfinite(partial)
        if either:
            zero |= (partial == 0) & ~np.isfinite(cotangent)
        return {"out": np.where(zero, 0, cotangent * partial)}

    return Row(
        f"chain{' of either' * either}",
        _chain,
        arguments,
        expected,
        ((1000,), (1,), (0,), (257,)),
        ((4, 256), (1, 32), (40, 64)),
        lambda cotangent, partial, either, out: (8 * out.size, 4 * out.size),
    )


ROWS = [chain_row(False), chain_row(True)]
