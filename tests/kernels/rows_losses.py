"""Rows for softmax_cross_entropy."""

from __future__ import annotations

import numpy as np

from gpugrad.device import as_device
from gpugrad.kernels.softmax_cross_entropy import _divisors, _rows, _total
from gpugrad.namespace import PRIMITIVES
from tests.kernels.harness import Row, Unwritten

XP = as_device("cpu").xp
IGNORED = -100
SIZES = ((7, 5), (1, 1), (33, 10), (5, 65), (20, 2))
BY_WARP = ((1, (32, 2)), (40, (32, 8)), (2, (32, 1)))
BY_BLOCK = ((1, (256, 1)), (5, (96, 1)))
SPECIAL = np.array([np.nan, np.inf, -np.inf], np.float32)


def labels_of(rng, rows, classes, dtype, wrong):
    """Random labels, the second ignored, and the third and fourth wrong if there are to be such."""
    labels = rng.integers(0, classes, rows).astype(dtype)
    if np.dtype(dtype).kind == "i":
        labels[1:2] = IGNORED
    if wrong:
        labels[2:4] = [classes, -1][: max(0, rows - 2)]
    return labels


def loss_row(name, dtype, weighted, smoothing, divided, sizes=SIZES, launches=BY_WARP, wrong=True):
    wrong = wrong and np.dtype(dtype).kind == "i"

    def arguments(rng, size):
        rows, classes = size
        logits = (10 * rng.standard_normal(size)).astype(np.float32)
        if rows > 10 and classes > 2:  # a row of each kind; -inf also where the target is 0
            logits[-3:, 1] = SPECIAL
            logits[-4, :2], logits[-5], logits[-6, :2] = -np.inf, -np.inf, np.inf
        weight = rng.random(classes if weighted else 0).astype(np.float32)
        weight[1:2] = 0
        return {
            "logits": logits,
            "labels": labels_of(rng, rows, classes, dtype, wrong),
            "weight": weight,
            "divisor": np.full(1 if divided else 0, 3.5, np.float32),
            "ignore_index": np.int64(IGNORED),
            "on": np.float32(1 - smoothing),
            "off": np.float32(smoothing / classes),
            "losses": Unwritten(rows),
            "gradient": Unwritten(size),
        }

    def expected(logits, labels, weight, divisor, ignore_index, on, off, losses, gradient):
        known = (labels >= 0) & (labels < logits.shape[1])
        losses, gradient = PRIMITIVES["softmax_cross_entropy"].forward(
            XP, logits, np.where(known, labels, IGNORED).astype(np.int64),
            weight if weight.size else None, IGNORED, smoothing, "none",
        )  # fmt: skip
        lost = ~known & (labels != IGNORED)
        losses[lost] = gradient[lost] = np.nan
        return {"losses": losses, "gradient": gradient / divisor if divisor.size else gradient}

    def traffic(logits, labels, weight, divisor, launch, **rest):
        blocks, (lanes, high) = launch
        loaded = 8 * logits.size + 8 * (weight.size > 0) * logits.size
        loaded += labels.nbytes * lanes  # each lane of a row reads its label
        return loaded + 4 * divisor.size * blocks * lanes * high, 4 * logits.size + 4 * labels.size

    return Row(
        f"softmax_cross_entropy {name}", _rows, arguments, expected, sizes, launches, traffic,
        "sum", "sums along the rows",
    )  # fmt: skip


def counted(labels, weight, ignore_index, out):
    inside = (labels >= 0) & (labels < len(weight))
    counts = weight[np.where(inside, labels, 0)] * inside if len(weight) else np.ones(len(labels))
    return {"out": _shares(counts * (labels != ignore_index), out.shape)}


def _shares(values, parts):
    share = -(-len(values) // parts)
    return np.array([values[part * share : (part + 1) * share].sum() for part in range(parts)])


def divisor_row(name, weighted, dtype):
    return Row(
        f"softmax_cross_entropy divisor{name}",
        _divisors,
        lambda rng, size: {
            "labels": labels_of(rng, size[0], 7, dtype, wrong=weighted),
            "weight": rng.random(7 if weighted else 0).astype(np.float32),
            "ignore_index": np.int64(IGNORED),
            "out": Unwritten(size[1]),
        },
        counted,
        ((5, 1), (1, 1), (300, 4), (64, 3)),
        ((1, 32), (3, 96), (9, 256)),
        None if weighted else lambda labels, out, **rest: (labels.nbytes, out.nbytes),
        "sum",
        "sums over the labels",
    )


def total_row(name, divisor):
    def expected(values, divisor, out):
        totals = _shares(values, out.shape)
        if divisor.size:
            totals = totals / (divisor if divisor[0] else np.nan)
        return {"out": totals}

    return Row(
        f"softmax_cross_entropy total{name}",
        _total,
        lambda rng, size: {
            "values": rng.standard_normal(size[0]).astype(np.float32),
            "divisor": np.array(divisor, np.float32),
            "out": Unwritten(size[1]),
        },
        expected,
        ((5, 1), (1, 1), (300, 4), (64, 3)),
        ((1, 32), (3, 96), (9, 256)),
        lambda values, divisor, out: (4 * values.size + 4 * divisor.size * out.size, 4 * out.size),
        "sum",
        "a sum",
    )


ROWS = [
    loss_row("of int64 labels", "int64", False, 0.0, False),
    loss_row("weighted and smoothed, of int32 labels", "int32", True, 0.1, True),
    loss_row("smoothed, of uint8 labels", "uint8", False, 1.0, True),
    loss_row("of many classes", "int64", False, 0.0, True, ((2, 10_000),), BY_BLOCK),
    divisor_row("", False, "int64"),
    divisor_row(" weighted", True, "int16"),
    total_row("", ()),
    total_row(" divided", (2.5,)),
    total_row(" divided by nothing", (0.0,)),
]
