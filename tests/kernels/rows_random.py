"""Rows for the kernels that draw random numbers: bit by bit what gpugrad/random.py draws."""

from __future__ import annotations

import numpy as np

from gpugrad.kernels.dropout import _dropout
from gpugrad.kernels.fill_random import _uniform
from gpugrad.random import Generator, threshold
from tests.kernels.harness import Row, Unwritten

SIZES = ((1000, 0), (1, 5), (0, 1), (257, 2**40 + 7), (8192, 123456789))  # elements, position
SEEDS = (0, 2**64 - 1)
WARPS = ((1, 32), (3, 96), (40, 256))


def generator(seed, position):
    """The generator that has drawn up to `position`."""
    found = Generator(int(seed))
    found.position = int(position)
    return found


def dropout_row(seed, p):
    def arguments(rng, size):
        x = rng.standard_normal(size[0]).astype(np.float32)
        x[:2] = np.array([np.nan, np.inf])[: x.size]
        return {
            "x": x,
            "seed": np.uint64(seed),
            "position": np.uint64(size[1]),
            "below": np.uint64(threshold(p)),
            "scale": np.float32(1.25),
            "out": Unwritten(size[0]),
        }

    def expected(x, seed, position, below, scale, out):
        keep = generator(seed, position).bernoulli(x.shape, p)
        return {"out": np.where(keep, x * scale, 0)}

    def traffic(x, seed, position, below, scale, out):
        kept = generator(seed, position).bernoulli(x.shape, p).sum()
        return 4 * int(kept), 4 * x.size  # what is dropped is not even read

    return Row(f"dropout {p}, seed {seed}", _dropout, arguments, expected, SIZES, WARPS, traffic)


def uniform_row(seed):
    return Row(
        f"uniform, seed {seed}",
        _uniform,
        lambda rng, size: {
            "seed": np.uint64(seed),
            "position": np.uint64(size[1]),
            "out": Unwritten(size[0]),
        },
        lambda seed, position, out: {"out": generator(seed, position).uniform(out.shape)},
        SIZES,
        WARPS,
        lambda out, **rest: (0, 4 * out.size),
        "exact",
        "the same stream on every device",
    )


ROWS = [
    dropout_row(SEEDS[0], 0.8),
    dropout_row(SEEDS[1], 1.0),
    dropout_row(SEEDS[1], 1 - 2.0**-33),
    uniform_row(SEEDS[0]),
    uniform_row(SEEDS[1]),
]
