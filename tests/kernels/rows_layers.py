"""Rows for the kernels of layers and losses."""

from __future__ import annotations

import numpy as np

from gpugrad.kernels.bias_activation import BACKWARD, FORWARD
from tests.kernels.harness import Row, Unwritten

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 88.0, -120.0], np.float32)
FLAT = ((3, 64), (1, 32), (40, 128))  # few threads, one warp, more blocks than work
MATRIX = ((7, 5), (1, 1), (1, 300), (300, 1), (64, 33), (0, 4), (129, 10))
PARTED = tuple((*size, parts) for size, parts in zip(MATRIX, (1, 2, 1, 9, 2, 1, 3), strict=True))
TILES = (((1, 1), (32, 8)), ((3, 2), (16, 4)), ((2, 40), (32, 3)), ((1, 2), (8, 16)))


def matrix(rng, size, special=False):
    """Standard normal numbers, some of them `SPECIAL`."""
    x = rng.standard_normal(size).astype(np.float32)
    if special:
        x.reshape(-1)[: len(SPECIAL)] = SPECIAL[: x.size]
    return x


def shares(x, parts):
    """The sums of the rows of x, for each of `parts` neighbouring stretches of rows."""
    rows = -(-len(x) // parts)
    return np.stack([x[part * rows : (part + 1) * rows].sum(0) for part in range(parts)])


# bias_activation

ACTIVATIONS = {
    None: lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
}
DERIVATIVES = {
    "relu": lambda y: y > 0,
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: y * (1 - y),
}


def bias_row(activation, with_bias):
    def arguments(rng, size):
        bias = rng.standard_normal(size[1] if with_bias else 0).astype(np.float32)
        return {
            "x": matrix(rng, size, True).reshape(-1),
            "bias": bias,
            "out": Unwritten(np.prod(size)),
        }

    def expected(x, bias, out):
        z = (x.reshape(-1, bias.size) + bias).reshape(-1) if bias.size else x
        return {"out": ACTIVATIONS[activation](z)}

    return Row(
        f"bias_activation {activation}" + (" without a bias" * (not with_bias)),
        FORWARD[activation],
        arguments,
        expected,
        (*MATRIX, (2, 10_000), (10_000, 2)) if activation == "relu" else ((64, 33), (7, 5)),
        FLAT,
        lambda x, bias, out: (4 * x.size * (1 + (bias.size > 0)), 4 * x.size),
    )


def bias_backward_row(activation):
    def arguments(rng, size):
        rows, cols, parts = size
        return {
            "g": matrix(rng, (rows, cols)),
            "y": matrix(rng, (rows, cols)),
            "dz": Unwritten((rows, cols)),
            "sums": Unwritten((parts, cols)),
        }

    def expected(g, y, dz, sums):
        dz = g * DERIVATIVES[activation](y)
        return {"dz": dz, "sums": shares(dz, sums.shape[0])}

    return Row(
        f"bias_activation_backward {activation}",
        BACKWARD[activation],
        arguments,
        expected,
        PARTED,
        TILES,
        lambda g, y, dz, sums: (8 * y.size, 4 * y.size + 4 * sums.size),
        "sum",
        "sums over the rows",
    )


ROWS = [
    *(bias_row(activation, True) for activation in ACTIVATIONS),
    bias_row("relu", False),
    *(bias_backward_row(activation) for activation in DERIVATIVES),
]
