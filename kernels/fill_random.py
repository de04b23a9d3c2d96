"""fill_random: the numbers of gpugrad/random.py drawn on the device, bit by bit the same.

Arrays    out of any shape, float32, C-contiguous
Mapping   a thread makes a block of the stream, eight numbers for eight neighbouring elements; the
          warp exchanges them so that it writes 32 neighbours at a time. Whole warps, up to 8 a
          block; any grid is correct
Traffic   writes out once, 4 bytes an element; bound by arithmetic
Used by   ops/creation.py rand on "cuda"; its reference is Generator.uniform of gpugrad/random.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, int32, uint32

from gpugrad.kernels.launch import launch, suits
from gpugrad.kernels.philox import NUMBERS, philox

THREADS = 256
PITCH = NUMBERS + 1  # of a thread's numbers in shared memory: odd, so that banks do not conflict
PLACES = THREADS * PITCH
UNIT = np.float32(2.0**-24)


@cuda.jit(device=True)
def _store(numbers: Any, at: Any, word: Any) -> None:
    numbers[at] = uint32(word & 0xFFFFFFFF)
    numbers[at + 1] = uint32(word >> 32)


@cuda.jit
def _uniform(seed: Any, position: Any, out: Any) -> None:
    numbers = cuda.shared.array(PLACES, uint32)
    n, lane = int32(out.size), int32(cuda.laneid)
    own = int32(cuda.threadIdx.x * PITCH)
    warp = int32(own - lane * int32(PITCH))
    start = int32((int32(cuda.grid(1)) - lane) << 3)
    while start < n:  # the same for all lanes of a warp
        a, b, c, d = philox(seed, position, int32((start >> 3) + lane))
        _store(numbers, own, a)
        _store(numbers, int32(own + 2), b)
        _store(numbers, int32(own + 4), c)
        _store(numbers, int32(own + 6), d)
        cuda.syncwarp()
        turn = int32(0)
        while turn < NUMBERS:
            element = int32((turn << 5) + lane)
            number = numbers[warp + element + (element >> 3)] >> uint32(8)
            if start + element < n:
                out[start + element] = float32(uint32(number)) * UNIT
            turn = int32(turn + 1)
        cuda.syncwarp()  # before the next numbers are stored
        start = int32(start + (int32(cuda.gridsize(1)) << 3))


def uniform(xp: Any, shape: tuple[int, ...], seed: int, position: int) -> Any:
    """What Generator.uniform(shape) gives from `position` on, float32, or NotImplemented."""
    out = xp.empty(shape, np.dtype(np.float32))
    if not suits(out) or position + out.size >= 2**64:
        return NotImplemented
    blocks = -(-out.size // (THREADS * NUMBERS))
    launch(_uniform, blocks, THREADS, np.uint64(seed), np.uint64(position), out.reshape(-1))
    return out
