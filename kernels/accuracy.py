"""accuracy: in how many rows the largest score is that of the label; and confusion counts.

Arrays    scores (rows, classes) float32; labels (rows,) integers; counts int64
Mapping   a row over up to 32 neighbouring lanes, rows over the rest, strided: any grid is correct
Traffic   reads the scores and labels once, 4 bytes an element; bound by memory bandwidth
Used by   train/metrics.py accuracy on "cuda"; its reference is (argmax == labels).sum()

Counts are added up by integer atomics, whose order does not matter: they repeat.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, float32, int32, int64

from gpugrad.kernels.across_threads import ALL_LANES, WARP
from gpugrad.kernels.launch import launch, suits

THREADS = 256


@cuda.jit(device=True)
def _beats(a: Any, i: Any, b: Any, j: Any) -> Any:
    """Whether np.argmax prefers a at i to b at j: NaN before numbers, then large, then early."""
    if a != a:
        return b == b or i < j
    return a > b or (a == b and i < j)


@cuda.jit
def _count_right(scores: Any, labels: Any, count: Any) -> None:
    rows, classes = int32(scores.shape[0]), int32(scores.shape[1])
    width = int32(cuda.blockDim.x)
    base = int32(cuda.blockIdx.x * cuda.blockDim.y)
    right = int64(0)
    while base < rows:  # the same for all threads of a block, since shuffles need whole warps
        r = int32(base + cuda.threadIdx.y)
        best, at = float32(-math.inf), classes
        if r < rows:
            c = int32(cuda.threadIdx.x)
            while c < classes:
                score = scores[r, c]
                if _beats(score, c, best, at):
                    best, at = score, c
                c = int32(c + width)
        reach = width >> int32(1)
        while reach > int32(0):
            other = cuda.shfl_down_sync(ALL_LANES, best, reach)
            other_at = cuda.shfl_down_sync(ALL_LANES, at, reach)
            if _beats(other, other_at, best, at):
                best, at = other, other_at
            reach = reach >> int32(1)
        if cuda.threadIdx.x == 0 and r < rows and at == labels[r]:
            right += int64(1)
        base = int32(base + cuda.gridDim.x * cuda.blockDim.y)
    if right > int64(0):
        cuda.atomic.add(count, 0, right)


@cuda.jit
def _count_pairs(truth: Any, predicted: Any, counts: Any) -> None:
    n, classes = int32(truth.size), int32(counts.shape[0])
    i = int32(cuda.grid(1))
    while i < n:
        t, p = truth[i], predicted[i]
        if 0 <= t < classes and 0 <= p < classes:
            cuda.atomic.add(counts, (t, p), int64(1))
        i = int32(i + cuda.gridsize(1))


def accuracy(xp: Any, scores: Any, labels: Any) -> Any:
    """How many rows have their first largest score (NaN counts as largest) at the label, () int64.

    Args:
        scores: (rows, classes), at least one class; labels: (rows,).
    Returns: the count on the device, or NotImplemented.
    """
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not scores.shape[1]:
        return NotImplemented
    if scores.dtype != np.float32 or labels.dtype.kind not in "iu" or not suits(scores, labels):
        return NotImplemented
    count = xp.zeros(1, dtype=np.int64)
    rows, classes = scores.shape
    width = min(WARP, 1 << (classes - 1).bit_length())
    threads = width, THREADS // width
    launch(_count_right, -(-rows // threads[1]), threads, scores, labels, count)
    return count.reshape(())


def confusion_counts(xp: Any, truth: Any, predicted: Any, classes: int) -> Any:
    """counts[t, p]: how often class t was taken for p, (classes, classes) int64.

    Args:
        truth, predicted: (n,) integers. Pairs with one out of range are not counted.
    Returns: the counts on the device, or NotImplemented.
    """
    if truth.ndim != 1 or truth.shape != predicted.shape or not suits(truth, predicted):
        return NotImplemented
    if truth.dtype.kind not in "iu" or predicted.dtype.kind not in "iu":
        return NotImplemented
    counts = xp.zeros((classes, classes), dtype=np.int64)
    launch(_count_pairs, -(-truth.size // THREADS), THREADS, truth, predicted, counts)
    return counts
