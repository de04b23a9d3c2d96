"""column_sums: out[p, c] = the sum of column c over the p-th of as many shares of rows.

Arrays    x (rows, cols), out (parts, cols); float32, C-contiguous
Mapping   columns over the lanes of a block, rows over its other axis; blockIdx.y takes a part.
          Any grid is correct
Traffic   reads x, writes out, 4 bytes an element; bound by memory bandwidth
Used by   bias_activation and standardize, to add up what their blocks left
"""

from __future__ import annotations

from typing import Any

from gpugrad.kernels.block_sums import column_sum
from gpugrad.kernels.launch import launch
from numba import cuda, float32, int32, uint32

THREADS = 256
ROWS = 32  # of a thread: fewer, and adding up the parts costs more than it saves
MOST_BLOCKS = 1024


@cuda.jit
def _column_sums(x: Any, out: Any) -> None:
    rows, cols, parts = int32(x.shape[0]), int32(x.shape[1]), int32(out.shape[0])
    share = int32(uint32(rows + parts - 1) // uint32(parts))
    first = int32(cuda.blockIdx.x * cuda.blockDim.x)
    while first < cols:  # first and part are the same in all of a block: column_sum has barriers
        c, part = int32(first + cuda.threadIdx.x), int32(cuda.blockIdx.y)
        while part < parts:
            total = float32(0)
            if c < cols:
                r = int32(part * share + cuda.threadIdx.y)
                end = min(rows, int32((part + int32(1)) * share))
                while r < end:
                    total += x[r, c]
                    r = int32(r + cuda.blockDim.y)
            total = column_sum(total)
            if c < cols and cuda.threadIdx.y == 0:
                out[part, c] = total
            part = int32(part + cuda.gridDim.y)
        first = int32(first + cuda.gridDim.x * cuda.blockDim.x)


def tiles(rows: int, cols: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Blocks and threads for a kernel that sums columns: blocks[1] is the number of parts.

    They depend on the shape alone, and not on the card, so that every card gets the same bits.
    """
    lanes = min(32, 1 << (cols - 1).bit_length())
    deep, across = THREADS // lanes, -(-cols // lanes)
    parts = min(-(-rows // (ROWS * deep)), max(1, MOST_BLOCKS // across))
    return (across, max(1, parts)), (lanes, deep)


def column_sums(xp: Any, x: Any) -> Any:
    """The sums of the columns of x (rows, cols): (cols,)."""
    blocks, threads = tiles(*x.shape)
    while True:
        out = xp.empty((blocks[1], x.shape[1]), x.dtype)
        launch(_column_sums, blocks, threads, x, out)
        if blocks[1] == 1:
            return out.reshape(-1)
        x, (blocks, threads) = out, tiles(*out.shape)
