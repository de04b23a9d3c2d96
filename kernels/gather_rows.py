"""gather_rows: out[i] = x[index[i]], rows of any type: batches, embeddings.

Arrays    x (rows, cols) of 1, 2, 4 or 8 bytes an element; index (n,) integers; out (n, cols)
Mapping   blocks of several rows by up to 256 columns, strided both ways: any grid is correct
Traffic   an element: reads and writes it once; a row: its index; bound by memory bandwidth
Used by   ops/indexing.py take and data/loader.py on "cuda"; its reference is xp.take

Elements are moved as bits, so that one kernel a size serves all types. A negative index counts from
the end. Nothing is read for an index out of range: its row is NaN, or 0 where the type has none.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, int32

from gpugrad.kernels.launch import launch, suits

BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
THREADS = 256
MAX_GRID_Y = 65535


@cuda.jit(device=True)
def row_of(index: Any, rows: Any) -> Any:
    """The row that an index names, from the end if negative; -1 where there is none."""
    row = index + rows if index < 0 else index
    return int32(row) if 0 <= row < rows else int32(-1)


@cuda.jit
def _gather_rows(x: Any, index: Any, absent: Any, out: Any) -> None:
    n, cols = int32(out.shape[0]), int32(out.shape[1])
    i = int32(cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y)
    while i < n:
        row = row_of(index[i], x.shape[0])
        c = int32(cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x)
        while c < cols:
            if row < int32(0):  # no conditional expression: its type would be float64
                out[i, c] = absent
            else:
                out[i, c] = x[row, c]
            c = int32(c + cuda.gridDim.y * cuda.blockDim.x)
        i = int32(i + cuda.gridDim.x * cuda.blockDim.y)


def blocks_of_rows(rows: int, cols: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Blocks and threads, both (along rows or columns as the kernels take them), an element each.

    Threads lie along the columns, as many as there are up to 256, and the rest along the rows.
    """
    across = min(THREADS, 1 << (cols - 1).bit_length()) if cols else 1
    down = THREADS // across
    return (-(-rows // down), min(-(-cols // across), MAX_GRID_Y)), (across, down)


def gather_rows(xp: Any, x: Any, index: Any) -> Any:
    """x[index] for x (rows, ...) and an index array of any shape: index.shape + x.shape[1:]."""
    shape = (*index.shape, *x.shape[1:])
    if x.ndim == 0 or x.itemsize not in BITS or x.dtype.kind not in "biuf":
        return NotImplemented
    if index.dtype.kind not in "iu" or math.prod(shape) >= 2**31 or not x.flags.c_contiguous:
        return NotImplemented
    bits = x.view(BITS[x.itemsize]).reshape(x.shape[0], math.prod(x.shape[1:]))
    if not suits(bits, index):
        return NotImplemented
    out = xp.empty(shape, dtype=x.dtype)
    if out.size:
        blocks, threads = blocks_of_rows(index.size, bits.shape[1])
        absent = np.int32(-1 if x.dtype.kind == "f" else 0)  # all bits of a float: NaN
        flat = out.view(bits.dtype).reshape(index.size, bits.shape[1])
        launch(_gather_rows, blocks, threads, bits, index.reshape(-1), absent, flat)
    return out


def take(xp: Any, x: Any, indices: Any, axis: int | None = None) -> Any:
    """x's rows at `indices`, or NotImplemented for what the kernel does not take."""
    return gather_rows(xp, x, indices) if axis == 0 else NotImplemented
