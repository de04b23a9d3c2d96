"""Sums over the threads of a block, for kernels to call; each thread gets the result.

Their order is fixed by the shape of the block alone, so results repeat bit by bit.
"""

from __future__ import annotations

from typing import Any

from numba import cuda, float32, int32

MOST_THREADS = 1024


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
