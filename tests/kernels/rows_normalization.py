"""Rows for the kernels that normalise layers and batches."""

from __future__ import annotations

import numpy as np

from gpugrad.kernels import batch_norm as batch
from gpugrad.kernels import layer_norm as layer
from tests.kernels.harness import Row, Unwritten

EPS = np.float32(1e-3)
ROWS_AND_COLS = ((7, 5), (1, 1), (1, 300), (65, 1), (9, 33), (0, 4))
WIDE = (2, 10_000)  # a row a block
BY_WARP = ((1, (32, 2)), (40, (32, 8)), (2, (32, 1)))
BY_BLOCK = ((1, (256, 1)), (5, (96, 1)))
TILES = (((1, 1), (32, 8)), ((3, 2), (16, 4)), ((2, 40), (32, 3)), ((1, 2), (8, 16)))


def far_from_zero(rng, size):
    """Numbers whose mean is large beside their spread; the last row and column are not numbers."""
    x = rng.standard_normal(size).astype(np.float32) + np.float32(100)
    if min(size) > 3:
        x[-1, -1] = np.nan
        x[-2, -2] = np.inf
    return x


def standardized(x, axis):
    mean, var = x.mean(axis), x.var(axis)
    keep = np.expand_dims
    return (x - keep(mean, axis)) / np.sqrt(keep(var, axis) + float(EPS)), mean, var


def shares(values, parts):
    """Neighbouring stretches of rows, the last one shorter."""
    rows = -(-len(values) // parts)
    return [values[part * rows : (part + 1) * rows] for part in range(parts)]


def backward(g, normal, var, axis, level=None, tilt=None):
    level = g.mean(axis, keepdims=True) if level is None else level
    tilt = (g * normal).mean(axis, keepdims=True) if tilt is None else tilt
    return (g - level - normal * tilt) / np.sqrt(np.expand_dims(var, axis) + float(EPS))


def forward_row(name, sizes, launches):
    def arguments(rng, size):
        x = far_from_zero(rng, size)
        lines = Unwritten(size[0])
        return {"x": x, "eps": EPS, "normal": Unwritten(size), "mean": lines, "var": lines}

    return Row(
        f"layer_norm{name}",
        layer._layer_norm,
        arguments,
        lambda x, eps, normal, mean, var: dict(
            zip(("normal", "mean", "var"), standardized(x, 1), strict=True)
        ),
        sizes,
        launches,
        lambda x, eps, normal, mean, var: (12 * x.size, 4 * x.size + 8 * len(x)),
        "far mean",
        "the mean is 100 times the spread",
    )


def layer_backward_row(name, sizes, launches):
    def arguments(rng, size):
        g, normal = rng.standard_normal((2, *size)).astype(np.float32)
        var = rng.random(size[0]).astype(np.float32)
        return {"g": g, "normal": normal, "var": var, "eps": EPS, "out": Unwritten(size)}

    return Row(
        f"layer_norm_backward{name}",
        layer._layer_norm_backward,
        arguments,
        lambda g, normal, var, eps, out: {"out": backward(g, normal, var, 1)},
        sizes,
        launches,
        # Each thread with a column reads its row's variance.
        lambda g, var, launch, **rest: (
            16 * g.size + 4 * var.size * min(launch[1][0], g.shape[1]),
            4 * g.size,
        ),
        "sum",
        "sums along the rows",
    )


def moments(x, means, vars):
    parts = shares(x, means.shape[0])
    return {
        "means": np.stack([p.mean(0) for p in parts]),
        "vars": np.stack([p.var(0) for p in parts]),
    }


def combined(means, vars, rows, mean, var):
    counts = np.array([len(share) for share in shares(np.empty(int(rows)), len(means))])[:, None]
    average = (means * counts).sum(0) / rows
    return {"mean": average, "var": ((vars + (means - average) ** 2) * counts).sum(0) / rows}


def readers(x, launch):
    """How many times a thread reads what belongs to a column: once, if it has rows of it."""
    (_, high), (_, deep) = launch
    return x.shape[1] * min(len(x), high * deep)


def column(rng, size):
    return rng.random(size).astype(np.float32)


PARTED = ((7, 5, 2), (1, 1, 1), (1, 300, 1), (65, 1, 9), (30, 33, 2), (129, 10, 3))

ROWS = [
    forward_row("", ROWS_AND_COLS, BY_WARP),
    forward_row(" of many columns", (WIDE,), BY_BLOCK),
    layer_backward_row("", ROWS_AND_COLS, BY_WARP),
    layer_backward_row(" of many columns", (WIDE,), BY_BLOCK),
    Row(
        "batch_norm moments",
        batch._moments,
        lambda rng, size: {
            "x": far_from_zero(rng, size[:2]),
            "means": Unwritten((size[2], size[1])),
            "vars": Unwritten((size[2], size[1])),
        },
        moments,
        PARTED,
        TILES,
        lambda x, means, vars: (8 * x.size, 8 * means.size),
        "far mean",
        "the mean is 100 times the spread",
    ),
    Row(
        "batch_norm combined",
        batch._combined,
        lambda rng, size: {
            "means": 100 + rng.standard_normal(size[1:]).astype(np.float32),
            "vars": column(rng, size[1:]),
            "rows": np.int32(size[0]),
            "mean": Unwritten(size[2]),
            "var": Unwritten(size[2]),
        },
        combined,
        ((7, 2, 5), (1, 1, 1), (300, 9, 33), (1000, 100, 64)),
        tuple((blocks[0], threads) for blocks, threads in TILES),
        lambda means, vars, rows, mean, var: (12 * means.size, 8 * mean.size),
        "far mean",
        "the mean is 100 times the spread",
    ),
    Row(
        "batch_norm normalize",
        batch._normalize,
        lambda rng, size: {
            "x": far_from_zero(rng, size),
            "mean": column(rng, size[1]),
            "var": column(rng, size[1]),
            "eps": EPS,
            "normal": Unwritten(size),
        },
        lambda x, mean, var, eps, normal: {"normal": (x - mean) / np.sqrt(var + eps)},
        ROWS_AND_COLS,
        TILES,
        lambda x, launch, **rest: (4 * x.size + 8 * readers(x, launch), 4 * x.size),
    ),
    Row(
        "batch_norm backward sums",
        batch._sums,
        lambda rng, size: {
            "g": far_from_zero(rng, size[:2]),
            "normal": rng.standard_normal(size[:2]).astype(np.float32),
            "sums": Unwritten((size[2], 2 * size[1])),
        },
        lambda g, normal, sums: {
            "sums": np.stack(
                [part.sum(0) for part in shares(np.hstack([g, g * normal]), sums.shape[0])]
            )
        },
        PARTED,
        TILES,
        lambda g, normal, sums: (8 * g.size, 4 * sums.size),
        "far mean",
        "sums of numbers of about 100",
    ),
    Row(
        "batch_norm backward",
        batch._batch_norm_backward,
        lambda rng, size: {
            "g": rng.standard_normal(size).astype(np.float32),
            "normal": rng.standard_normal(size).astype(np.float32),
            "sums": column(rng, 2 * size[1]),
            "var": column(rng, size[1]),
            "eps": EPS,
            "out": Unwritten(size),
        },
        lambda g, normal, sums, var, eps, out: {
            "out": backward(g, normal, var, 0, *np.split(sums / max(1, len(g)), 2))
        },
        ROWS_AND_COLS,
        TILES,
        lambda g, launch, **rest: (8 * g.size + 12 * readers(g, launch), 4 * g.size),
    ),
]
