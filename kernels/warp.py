"""How the threads of a block combine a value each: shuffles within warps, then shared memory.

Every thread of the block calls these together. The order of the operations depends on the shape of
the block alone, so bits repeat.
"""

from __future__ import annotations

from typing import Any

from numba import cuda, float32, int32

ALL = 0xFFFFFFFF  # the lanes that take part in a shuffle
WARP = 32


@cuda.jit(device=True)
def add(a: Any, b: Any) -> Any:
    return a + b


@cuda.jit(device=True)
def larger(a: Any, b: Any) -> Any:
    """The larger; NaN wins, as in np.max."""
    return a if a > b or a != a else b


@cuda.jit(device=True)
def lanes_total(value: Any, width: Any, combine: Any) -> Any:
    """In the first of every `width` (1, 2, 4, ..., 32) neighbouring lanes, what they have together.

    The other lanes get something without a meaning.
    """
    reach = width >> int32(1)
    while reach > int32(0):
        value = combine(value, cuda.shfl_down_sync(ALL, value, reach))
        reach = reach >> int32(1)
    return value


@cuda.jit(device=True)
def row_total(value: Any, combine: Any, start: Any) -> Any:
    """In threads with threadIdx.x = 0, what the threads with their threadIdx.y have together.

    A block is 1, 2, 4, 8, 16 or a multiple of 32 threads wide, in whole warps, and its number of
    threads is a multiple of 32. `start` leaves what it is combined with as it is.
    """
    width = int32(cuda.blockDim.x)
    value = lanes_total(value, min(width, int32(WARP)), combine)
    if width > int32(WARP):
        totals = cuda.shared.array(WARP, float32)  # one a warp
        lane = int32(cuda.threadIdx.x) & int32(WARP - 1)
        first = int32(cuda.threadIdx.y * width) >> int32(5)  # the first warp of this row
        if lane == int32(0):
            totals[first + (int32(cuda.threadIdx.x) >> int32(5))] = value
        cuda.syncthreads()
        if cuda.threadIdx.x < WARP:
            value = totals[first + lane] if lane < width >> int32(5) else start
            value = lanes_total(value, int32(WARP), combine)
        cuda.syncthreads()  # before a next call writes
    return value
