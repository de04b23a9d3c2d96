"""batch_norm: each column brought to mean 0 and variance 1, and the way back.

Arrays    x, normal, g, out (rows, cols); mean, var (cols,); means, vars (parts, cols), sums
          (parts, 2 cols); float32, C-contiguous
Mapping   columns over the lanes of a block, rows over its other axis and over blocks. Each block
          leaves what it has of a column; with several to a column, a second launch combines them
          before the last writes normal or out. Any grid is correct
Traffic   forward reads x three times and writes normal, 16 bytes an element; backward reads g and
          normal twice and writes out, 20. Bound by memory bandwidth
Used by   kernels/standardize.py, along the first axes

The parts' means and variances are combined as by Chan, Golub and LeVeque, "Updating formulae and a
pairwise algorithm for computing sample variances" (1979).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, float32, int32, uint32

from gpugrad.kernels import reduce
from gpugrad.kernels.across_threads import column_sum, tiles
from gpugrad.kernels.launch import launch


@cuda.jit
def _moments(x: Any, means: Any, vars: Any) -> None:
    """The mean and the variance of each column in each share of the rows."""
    rows, cols, parts = int32(x.shape[0]), int32(x.shape[1]), int32(means.shape[0])
    share = int32(uint32(rows + parts - 1) // uint32(parts))
    first = int32(cuda.blockIdx.x * cuda.blockDim.x)
    while first < cols:  # first and part are the same in all of a block: column_sum has barriers
        c, part = int32(first + cuda.threadIdx.x), int32(cuda.blockIdx.y)
        while part < parts:
            begin, end = int32(part * share), min(rows, int32((part + int32(1)) * share))
            total, r = float32(0), int32(begin + cuda.threadIdx.y)
            while r < end and c < cols:
                total += x[r, c]
                r = int32(r + cuda.blockDim.y)
            mean = column_sum(total) / float32(end - begin)
            total, r = float32(0), int32(begin + cuda.threadIdx.y)
            while r < end and c < cols:
                total += (x[r, c] - mean) * (x[r, c] - mean)
                r = int32(r + cuda.blockDim.y)
            var = column_sum(total) / float32(end - begin)
            if c < cols and cuda.threadIdx.y == 0:
                means[part, c] = mean
                vars[part, c] = var
            part = int32(part + cuda.gridDim.y)
        first = int32(first + cuda.gridDim.x * cuda.blockDim.x)


@cuda.jit
def _combined(means: Any, vars: Any, rows: Any, mean: Any, var: Any) -> None:
    """The mean and variance of `rows` rows from those of equal shares of them."""
    parts, cols = int32(means.shape[0]), int32(means.shape[1])
    share = int32(uint32(rows + parts - 1) // uint32(parts))
    first = int32(cuda.blockIdx.x * cuda.blockDim.x)
    while first < cols:
        c = int32(first + cuda.threadIdx.x)
        total, part = float32(0), int32(cuda.threadIdx.y)
        while part < parts and c < cols:
            total += means[part, c] * float32(min(share, int32(rows - part * share)))
            part = int32(part + cuda.blockDim.y)
        average = column_sum(total) / float32(rows)
        total, part = float32(0), int32(cuda.threadIdx.y)
        while part < parts and c < cols:
            off = means[part, c] - average
            total += (vars[part, c] + off * off) * float32(min(share, int32(rows - part * share)))
            part = int32(part + cuda.blockDim.y)
        total = column_sum(total)
        if c < cols and cuda.threadIdx.y == 0:
            mean[c] = average
            var[c] = total / float32(rows)
        first = int32(first + cuda.gridDim.x * cuda.blockDim.x)


@cuda.jit
def _normalize(x: Any, mean: Any, var: Any, eps: Any, normal: Any) -> None:
    rows, cols = int32(x.shape[0]), int32(x.shape[1])
    c = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while c < cols:
        average, scale = mean[c], float32(1) / math.sqrt(var[c] + eps)
        r = int32(cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y)
        while r < rows:
            normal[r, c] = (x[r, c] - average) * scale
            r = int32(r + cuda.gridDim.y * cuda.blockDim.y)
        c = int32(c + cuda.gridDim.x * cuda.blockDim.x)


@cuda.jit
def _sums(g: Any, normal: Any, sums: Any) -> None:
    """The sums of g, and in the right half those of g * normal, in each share of the rows."""
    rows, cols, parts = int32(g.shape[0]), int32(g.shape[1]), int32(sums.shape[0])
    share = int32(uint32(rows + parts - 1) // uint32(parts))
    first = int32(cuda.blockIdx.x * cuda.blockDim.x)
    while first < cols:
        c, part = int32(first + cuda.threadIdx.x), int32(cuda.blockIdx.y)
        while part < parts:
            level, tilt = float32(0), float32(0)
            r = int32(part * share + cuda.threadIdx.y)
            end = min(rows, int32((part + int32(1)) * share))
            while r < end and c < cols:
                level += g[r, c]
                tilt += g[r, c] * normal[r, c]
                r = int32(r + cuda.blockDim.y)
            level, tilt = column_sum(level), column_sum(tilt)
            if c < cols and cuda.threadIdx.y == 0:
                sums[part, c] = level
                sums[part, cols + c] = tilt
            part = int32(part + cuda.gridDim.y)
        first = int32(first + cuda.gridDim.x * cuda.blockDim.x)


@cuda.jit
def _batch_norm_backward(g: Any, normal: Any, sums: Any, var: Any, eps: Any, out: Any) -> None:
    rows, cols = int32(g.shape[0]), int32(g.shape[1])
    c = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while c < cols:
        level, tilt = sums[c] / float32(rows), sums[cols + c] / float32(rows)
        scale = float32(1) / math.sqrt(var[c] + eps)
        r = int32(cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y)
        while r < rows:
            out[r, c] = (g[r, c] - level - normal[r, c] * tilt) * scale
            r = int32(r + cuda.gridDim.y * cuda.blockDim.y)
        c = int32(c + cuda.gridDim.x * cuda.blockDim.x)


def batch_norm(xp: Any, x: Any, eps: float) -> Any:
    """(normal, mean, var) of the columns of x (rows, cols)."""
    rows, cols = x.shape
    blocks, threads = tiles(rows, cols)
    parts = blocks[1]
    means, vars = xp.empty((parts, cols), x.dtype), xp.empty((parts, cols), x.dtype)
    launch(_moments, blocks, threads, x, means, vars)
    mean, var = means.reshape(-1), vars.reshape(-1)
    if parts > 1:
        mean, var = xp.empty((cols,), x.dtype), xp.empty((cols,), x.dtype)
        launch(_combined, blocks[0], threads, means, vars, np.int32(rows), mean, var)
    normal = xp.empty_like(x)
    launch(_normalize, blocks, threads, x, mean, var, np.float32(eps), normal)
    return normal, mean, var


def batch_norm_backward(xp: Any, g: Any, normal: Any, var: Any, eps: float) -> Any:
    """The gradient in x of the columns' normal (rows, cols), whose cotangent is g."""
    rows, cols = g.shape
    blocks, threads = tiles(rows, cols)
    sums, out = xp.empty((blocks[1], 2 * cols), g.dtype), xp.empty_like(g)
    launch(_sums, blocks, threads, g, normal, sums)
    totals = sums.reshape(-1) if blocks[1] == 1 else reduce.sum(xp, sums, 0)
    launch(_batch_norm_backward, blocks, threads, g, normal, totals, var, np.float32(eps), out)
    return out
