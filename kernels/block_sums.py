"""What the threads of a block have together, for kernels to call; each thread gets the result.

The order of the additions is fixed by the shape of the block alone, so results repeat bit by bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, int32

THREADS = 256
ROWS = 32  # of a thread: fewer, and adding up the parts costs more than it saves
MOST_BLOCKS = 1024  # enough for the largest card: 132 multiprocessors with 8 such blocks each
ALL_LANES = 0xFFFFFFFF
LOWEST = np.finfo(np.float32).min
MOST_THREADS = 1024
WARP = 32


@cuda.jit(device=True)
def _add(a: Any, b: Any) -> Any:
    return a + b


@cuda.jit(device=True)
def _larger(a: Any, b: Any) -> Any:
    return a if a > b else b


def _over_row(combine: Any, start: Any) -> Any:
    @cuda.jit(device=True)
    def over_warp(value: Any) -> Any:
        offset = int32(WARP // 2)
        while offset > 0:
            value = combine(value, cuda.shfl_xor_sync(ALL_LANES, value, offset))
            offset = int32(offset >> 1)
        return value

    @cuda.jit(device=True)
    def over_row(value: Any) -> Any:
        value = over_warp(value)
        if cuda.blockDim.x > WARP:
            scratch = cuda.shared.array(WARP, float32)
            x = int32(cuda.threadIdx.x)
            lane, warps = int32(x & int32(WARP - 1)), int32(cuda.blockDim.x >> 5)
            if lane == 0:
                scratch[x >> 5] = value
            cuda.syncthreads()
            value = over_warp(scratch[lane] if lane < warps else start)
            cuda.syncthreads()  # before the next call writes there
        return value

    return over_row


# Of the threads with the same threadIdx.y. A block is one warp wide, or some warps and one high;
# all threads of a row call them.
row_sum = _over_row(_add, np.float32(0))
row_max = _over_row(_larger, LOWEST)  # of numbers only; what it gives for NaN is not said


@cuda.jit(device=True)
def column_sum(value: Any) -> Any:
    """The sum of `value` over the threads with the same threadIdx.x; all of the block call it."""
    scratch = cuda.shared.array(MOST_THREADS, float32)
    width, x, y = int32(cuda.blockDim.x), int32(cuda.threadIdx.x), int32(cuda.threadIdx.y)
    own, left = int32(y * width + x), int32(cuda.blockDim.y)
    scratch[own] = value
    cuda.syncthreads()
    while left > 1:
        half = int32((left + 1) >> 1)
        if y < left - half:
            scratch[own] += scratch[own + half * width]
        cuda.syncthreads()
        left = half
    total = scratch[x]
    cuda.syncthreads()  # before the next call writes there
    return total


def tiles(rows: int, cols: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Blocks and threads for kernels that sum columns, each of blocks[1] shares of the rows.

    They depend on the shape alone, and not on the card, so that every card gets the same bits.
    """
    lanes = min(32, 1 << (cols - 1).bit_length())
    deep, across = THREADS // lanes, -(-cols // lanes)
    parts = min(-(-rows // (ROWS * deep)), max(1, MOST_BLOCKS // across))
    return (across, max(1, parts)), (lanes, deep)
