"""scatter_add_rows: out = 0; out[index[i]] += v[i]: the gradient of embeddings.

Arrays    v (n, cols) float32 or float64; index (n,) integers; out (rows, cols) of v's dtype
Mapping   a thread an element of out, or of v with atomics; strided both ways: any grid is correct
Traffic   reads v and writes out, 4 bytes an element each; beside that 8 bytes of the order for an
          element of v and up to 16 of the bounds for one of out, shared by neighbours in a row.
          With atomics: reads v, clears out, adds 4 bytes an element of v in the cache
Used by   ops/writing.py scatter_add_rows on "cuda"; its reference is xp.add.at

By default an element's sum is taken in the order of i: a stable sort puts equal indices side by
side, and each thread adds up its stretch, so bits repeat and equal those of np.add.at. One index
that has most of the rows is then one thread's work; atomics do not mind, but their order, and the
last bits, change from run to run. Rows with an index out of range are left out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, int32

from gpugrad.kernels.gather_rows import blocks_of_rows, row_of
from gpugrad.kernels.launch import TOO_MANY, launch, suits


@cuda.jit
def _add_stretches(v: Any, order: Any, bounds: Any, out: Any) -> None:
    rows, cols = int32(out.shape[0]), int32(out.shape[1])
    r = int32(cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y)
    while r < rows:
        begin, end = int32(bounds[r]), int32(bounds[r + 1])
        c = int32(cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x)
        while c < cols:
            total = v.dtype.type(0)
            k = begin
            while k < end:
                total += v[order[k], c]
                k = int32(k + 1)
            out[r, c] = total
            c = int32(c + cuda.gridDim.y * cuda.blockDim.x)
        r = int32(r + cuda.gridDim.x * cuda.blockDim.y)


@cuda.jit
def _add_atomically(v: Any, index: Any, out: Any) -> None:
    n, cols = int32(v.shape[0]), int32(v.shape[1])
    i = int32(cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y)
    while i < n:
        row = row_of(index[i], out.shape[0])
        if row >= int32(0):
            c = int32(cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x)
            while c < cols:
                cuda.atomic.add(out, (row, c), v[i, c])
                c = int32(c + cuda.gridDim.y * cuda.blockDim.x)
        i = int32(i + cuda.gridDim.x * cuda.blockDim.y)


def scatter_add_rows(xp: Any, v: Any, index: Any, rows: int, deterministic: bool = True) -> Any:
    """Zeros (rows, ...) with v[i] added to row index[i], or NotImplemented.

    Args:
        v: index.shape + the shape of a row.
        deterministic: with the same bits every time.
    """
    row_shape = v.shape[index.ndim :]
    cols = math.prod(row_shape)
    v, index = xp.ascontiguousarray(v), xp.ascontiguousarray(index)
    if v.dtype.char not in "fd" or index.dtype.kind not in "iu" or not suits(index):
        return NotImplemented
    if max(v.size, rows * cols) >= TOO_MANY:
        return NotImplemented
    index, values = index.reshape(-1), v.reshape(index.size, cols)
    if not values.size or not rows:
        return xp.zeros((rows, *row_shape), dtype=v.dtype)
    if not deterministic:
        out = xp.zeros((rows, *row_shape), dtype=v.dtype)
        blocks, threads = blocks_of_rows(index.size, cols)
        launch(_add_atomically, blocks, threads, values, index, out.reshape(rows, cols))
        return out
    index = index.astype(np.int64)
    index = xp.where(index < 0, index + rows, index)
    order = xp.argsort(index, kind="stable")
    bounds = xp.searchsorted(index[order], xp.arange(rows + 1))
    out = xp.empty((rows, *row_shape), dtype=v.dtype)
    blocks, threads = blocks_of_rows(rows, cols)
    launch(_add_stretches, blocks, threads, values, order, bounds, out.reshape(rows, cols))
    return out
