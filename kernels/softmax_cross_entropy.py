"""softmax_cross_entropy: loss and gradient of class labels in one kernel, a warp or block a row.

Arrays    logits, gradient (rows, classes) float32; labels (rows,) of any integer dtype; weight
          (classes,) float32 or empty; losses (rows,); all C-contiguous
Mapping   a row a warp, or a block of many classes; rows over blocks. The divisor of "mean" is
          computed before, in a launch of its own, and the losses added up after, so that the host
          waits for nothing. Any grid is correct
Traffic   reads logits twice, the second time out of the cache, and writes gradient: 12 bytes an
          element, and 4 to 8 a time for each weight; bound by memory bandwidth
Used by   ops/losses.py softmax_cross_entropy on "cuda"; its reference is that op's forward

A label out of range reads nothing: its row's loss and gradient are NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, float32, int32, int64, uint32

from gpugrad.kernels.across_threads import larger, row_sum, row_total
from gpugrad.kernels.launch import launch, suits

THREADS = 256
FEW = 256  # classes of a row that one warp takes
SHARE = 8192  # elements that one block adds up
LOWEST, NAN = np.finfo(np.float32).min, np.float32(np.nan)


@cuda.jit(device=True)
def _target(c: Any, own: Any, on: Any, off: Any, weight: Any) -> Any:
    """The factor of the log-probability of class c where `own` is the label."""
    share = on + off if c == own else off
    return share * weight[c] if weight.size > 0 else share


@cuda.jit
def _rows(
    logits: Any,
    labels: Any,
    weight: Any,
    divisor: Any,
    ignore_index: Any,
    on: Any,
    off: Any,
    losses: Any,
    gradient: Any,
) -> None:
    rows, classes = int32(logits.shape[0]), int32(logits.shape[1])
    scale = float32(1)
    if divisor.size > 0:
        scale = float32(1) / divisor[0] if divisor[0] != float32(0) else NAN
    r = int32(cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y)
    while r < rows:
        label, own, hit, miss = int64(labels[r]), int32(-1), on, off
        if label == ignore_index:
            hit = miss = float32(0)
        elif label >= 0 and label < classes:
            own = int32(label)
        else:
            hit = miss = NAN
        # The sum of exp(logit - peak), peak being the largest so far. It starts as a number, for
        # -inf - -inf is NaN; so is inf - inf, and with it the row's sum, as in NumPy.
        peak, total, mass = LOWEST, float32(0), float32(0)
        c = int32(cuda.threadIdx.x)
        while c < classes:
            logit = logits[r, c]
            if logit > peak:
                total = total * math.exp(peak - logit) + float32(1)
                peak = logit
            else:
                total += math.exp(logit - peak)
            mass += _target(c, own, hit, miss, weight)
            c = int32(c + cuda.blockDim.x)
        highest = row_total(peak, larger, LOWEST)
        total = row_sum(total * math.exp(peak - highest))
        mass = row_sum(mass)
        log_total, loss = math.log(total), float32(0)
        c = int32(cuda.threadIdx.x)
        while c < classes:
            shifted = logits[r, c] - highest
            target = _target(c, own, hit, miss, weight)
            if target != float32(0):  # a target of 0 leaves out even an infinite log-probability
                loss -= (shifted - log_total) * target
            gradient[r, c] = (math.exp(shifted) / total * mass - target) * scale
            c = int32(c + cuda.blockDim.x)
        loss = row_sum(loss)
        if cuda.threadIdx.x == 0:
            losses[r] = loss
        r = int32(r + cuda.gridDim.x * cuda.blockDim.y)


@cuda.jit
def _divisors(labels: Any, weight: Any, ignore_index: Any, out: Any) -> None:
    """out[p] = the weights, or the number, of the labels that count in the p-th share of rows."""
    rows, classes, parts = int32(labels.size), int32(weight.size), int32(out.size)
    share = int32(uint32(rows + parts - 1) // uint32(parts))
    part = int32(cuda.blockIdx.x)
    while part < parts:
        r = int32(part * share + cuda.threadIdx.x)
        end, total = min(rows, int32((part + int32(1)) * share)), float32(0)
        while r < end:
            label = int64(labels[r])
            if label != ignore_index:
                if classes == 0:
                    total += float32(1)
                elif label >= 0 and label < classes:
                    total += weight[label]
            r = int32(r + cuda.blockDim.x)
        total = row_sum(total)
        if cuda.threadIdx.x == 0:
            out[part] = total
        part = int32(part + cuda.gridDim.x)


@cuda.jit
def _total(values: Any, divisor: Any, out: Any) -> None:
    """out[p] = the sum of the p-th share of values, over the divisor if there is one."""
    n, parts = int32(values.size), int32(out.size)
    share = int32(uint32(n + parts - 1) // uint32(parts))
    part = int32(cuda.blockIdx.x)
    while part < parts:
        i = int32(part * share + cuda.threadIdx.x)
        end, total = min(n, int32((part + int32(1)) * share)), float32(0)
        while i < end:
            total += values[i]
            i = int32(i + cuda.blockDim.x)
        total = row_sum(total)
        if cuda.threadIdx.x == 0:
            if divisor.size > 0:
                total = total / divisor[0] if divisor[0] != float32(0) else NAN
            out[part] = total
        part = int32(part + cuda.gridDim.x)


def _summed(xp: Any, values: Any, divisor: Any) -> Any:
    """The sum of values (n,) over divisor (1,), if that is not empty: (1,)."""
    parts = -(-values.size // SHARE)
    if parts > 1:
        shares = xp.empty((parts,), values.dtype)
        launch(_total, parts, THREADS, values, xp.empty((0,), values.dtype), shares)
        return _summed(xp, shares, divisor)
    out = xp.empty((1,), values.dtype)
    launch(_total, 1, THREADS, values, divisor, out)
    return out


def softmax_cross_entropy(
    xp: Any,
    logits: Any,
    labels: Any,
    weight: Any = None,
    /,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """(The loss, the gradient in the logits); NotImplemented for what the kernels do not take."""
    if logits.ndim != 2 or not logits.size or labels.shape != logits.shape[:1]:
        return NotImplemented
    if logits.dtype != "float32" or labels.dtype.kind not in "iu":
        return NotImplemented
    if not suits(logits, labels, weight):
        return NotImplemented
    if weight is not None and (weight.dtype != logits.dtype or weight.shape != logits.shape[1:]):
        return NotImplemented
    if reduction not in ("mean", "sum", "none") or not 0.0 <= label_smoothing <= 1.0:
        return NotImplemented
    rows, classes = logits.shape
    nothing = xp.empty((0,), logits.dtype)
    weight = nothing if weight is None else weight
    ignored = np.int64(ignore_index)
    divisor = nothing
    if reduction == "mean":
        parts = -(-rows // SHARE)
        divisor = xp.empty((parts,), logits.dtype)
        launch(_divisors, parts, THREADS, labels, weight, ignored, divisor)
        divisor = divisor if parts == 1 else _summed(xp, divisor, nothing)
    losses, gradient = xp.empty((rows,), logits.dtype), xp.empty_like(logits)
    threads = (32, THREADS // 32) if classes <= FEW else (THREADS, 1)
    on, off = np.float32(1 - label_smoothing), np.float32(label_smoothing / classes)
    launch(
        _rows, -(-rows // threads[1]), threads,
        logits, labels, weight, divisor, ignored, on, off, losses, gradient,
    )  # fmt: skip
    if reduction == "none":
        return losses, gradient
    return _summed(xp, losses, divisor).reshape(()), gradient
