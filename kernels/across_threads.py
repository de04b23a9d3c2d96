"""How the threads of a block combine a value each, for kernels to call; each gets the result.

By shuffles within a warp, and through shared memory beyond. The order of the operations depends on
the shape of the block alone, so results repeat bit by bit.
"""

from __future__ import annotations

from typing import Any

from numba import cuda, float32, int32

WARP = 32
ALL_LANES = 0xFFFFFFFF  # of a warp take part in a shuffle
MOST_THREADS = 1024  # of a block
THREADS = 256
ROWS = 32  # of a thread: fewer, and adding up the parts costs more than it saves
MOST_BLOCKS = 1024  # enough for the largest card: 132 multiprocessors with 8 such blocks each


@cuda.jit(device=True)
def add(a: Any, b: Any) -> Any:
    return a + b


@cuda.jit(device=True)
def larger(a: Any, b: Any) -> Any:
    """The larger; NaN wins, as in np.max."""
    return a if a > b or a != a else b


@cuda.jit(device=True)
def _lanes_total(value: Any, width: Any, combine: Any) -> Any:
    """What every `width` (1, 2, 4, ..., 32) neighbouring lanes have together, in each of them."""
    reach = int32(width >> 1)
    while reach > 0:
        value = combine(value, cuda.shfl_xor_sync(ALL_LANES, value, reach))
        reach = int32(reach >> 1)
    return value


@cuda.jit(device=True)
def row_total(value: Any, combine: Any, start: Any) -> Any:
    """What the threads with the same threadIdx.y have together; `start` changes nothing.

    A row of a block is 1, 2, 4, 8, 16 or a multiple of 32 threads wide. All threads of a warp call
    it together; if a row is wider than a warp, all of the block.
    """
    width = int32(cuda.blockDim.x)
    if width < WARP:
        return _lanes_total(value, width, combine)
    value = _lanes_total(value, int32(WARP), combine)  # a constant: the compiler unrolls it
    if width > WARP:
        totals = cuda.shared.array(WARP, float32)  # one a warp
        x = int32(cuda.threadIdx.x)
        lane, first = int32(x & int32(WARP - 1)), int32(int32(cuda.threadIdx.y * width) >> 5)
        if lane == 0:
            totals[first + (x >> 5)] = value
        cuda.syncthreads()
        value = totals[first + lane] if lane < int32(width >> 5) else start
        value = _lanes_total(value, int32(WARP), combine)
        cuda.syncthreads()  # before the next call writes there
    return value


@cuda.jit(device=True)
def row_sum(value: Any) -> Any:
    return row_total(value, add, float32(0))


@cuda.jit(device=True)
def column_total(value: Any, combine: Any) -> Any:
    """What the threads with the same threadIdx.x have together; all of the block call it."""
    totals = cuda.shared.array(MOST_THREADS, float32)  # one a thread
    width, x, y = int32(cuda.blockDim.x), int32(cuda.threadIdx.x), int32(cuda.threadIdx.y)
    own, left = int32(y * width + x), int32(cuda.blockDim.y)
    totals[own] = value
    cuda.syncthreads()
    while left > 1:
        half = int32((left + 1) >> 1)
        if y < left - half:
            totals[own] = combine(totals[own], totals[own + half * width])
        cuda.syncthreads()
        left = half
    total = totals[x]
    cuda.syncthreads()  # before the next call writes there
    return total


@cuda.jit(device=True)
def column_sum(value: Any) -> Any:
    return column_total(value, add)


def tiles(rows: int, cols: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Blocks and threads for kernels that sum columns, each of blocks[1] shares of the rows.

    They depend on the shape alone, and not on the card, so that every card gets the same bits.
    """
    lanes = min(32, 1 << (cols - 1).bit_length())
    deep, across = THREADS // lanes, -(-cols // lanes)
    parts = min(-(-rows // (ROWS * deep)), max(1, MOST_BLOCKS // across))
    return (across, max(1, parts)), (lanes, deep)
