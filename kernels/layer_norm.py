"""layer_norm: each row brought to mean 0 and variance 1, and the way back.

Arrays    x, normal, g, out (rows, cols); mean, var (rows,); float32, C-contiguous
Mapping   a row a warp, or a block of many columns; rows over blocks. Any grid is correct
Traffic   forward reads x three times, twice out of the cache, and writes normal: 16 bytes an
          element; backward reads g and normal twice and writes out, 20. Bound by memory bandwidth
Used by   kernels/standardize.py, along the last axes

The variance is the mean of squared distances from the mean, so it takes no harm from a mean that is
large beside it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, float32, int32

from gpugrad.kernels.across_threads import row_sum
from gpugrad.kernels.launch import launch

THREADS = 256
FEW = 256  # columns of a row that one warp takes


@cuda.jit
def _layer_norm(x: Any, eps: Any, normal: Any, mean: Any, var: Any) -> None:
    rows, cols = int32(x.shape[0]), int32(x.shape[1])
    r = int32(cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y)
    while r < rows:
        total, c = float32(0), int32(cuda.threadIdx.x)
        while c < cols:
            total += x[r, c]
            c = int32(c + cuda.blockDim.x)
        average = row_sum(total) / float32(cols)
        total, c = float32(0), int32(cuda.threadIdx.x)
        while c < cols:
            total += (x[r, c] - average) * (x[r, c] - average)
            c = int32(c + cuda.blockDim.x)
        variance = row_sum(total) / float32(cols)
        scale, c = float32(1) / math.sqrt(variance + eps), int32(cuda.threadIdx.x)
        while c < cols:
            normal[r, c] = (x[r, c] - average) * scale
            c = int32(c + cuda.blockDim.x)
        if cuda.threadIdx.x == 0:
            mean[r] = average
            var[r] = variance
        r = int32(r + cuda.gridDim.x * cuda.blockDim.y)


@cuda.jit
def _layer_norm_backward(g: Any, normal: Any, var: Any, eps: Any, out: Any) -> None:
    rows, cols = int32(g.shape[0]), int32(g.shape[1])
    r = int32(cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y)
    while r < rows:
        level, tilt, c = float32(0), float32(0), int32(cuda.threadIdx.x)
        while c < cols:
            level += g[r, c]
            tilt += g[r, c] * normal[r, c]
            c = int32(c + cuda.blockDim.x)
        level, tilt = row_sum(level) / float32(cols), row_sum(tilt) / float32(cols)
        scale, c = float32(1) / math.sqrt(var[r] + eps), int32(cuda.threadIdx.x)
        while c < cols:
            out[r, c] = (g[r, c] - level - normal[r, c] * tilt) * scale
            c = int32(c + cuda.blockDim.x)
        r = int32(r + cuda.gridDim.x * cuda.blockDim.y)


def _shape(rows: int, cols: int) -> tuple[int, tuple[int, int]]:
    threads = (32, THREADS // 32) if cols <= FEW else (THREADS, 1)
    return -(-rows // threads[1]), threads


def layer_norm(xp: Any, x: Any, eps: float) -> Any:
    """(normal, mean, var) of the rows of x (rows, cols)."""
    normal, mean, var = (
        xp.empty_like(x),
        xp.empty(x.shape[:1], x.dtype),
        xp.empty(x.shape[:1], x.dtype),
    )
    launch(_layer_norm, *_shape(*x.shape), x, np.float32(eps), normal, mean, var)
    return normal, mean, var


def layer_norm_backward(xp: Any, g: Any, normal: Any, var: Any, eps: float) -> Any:
    """The gradient in x of the rows' normal (rows, cols), whose cotangent is g."""
    out = xp.empty_like(g)
    launch(_layer_norm_backward, *_shape(*g.shape), g, normal, var, np.float32(eps), out)
    return out
