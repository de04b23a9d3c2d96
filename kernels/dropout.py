"""dropout: out = x * scale where a random number says so, else 0; the mask is never stored.

Arrays    x, out of any equal shape, float32, C-contiguous
Mapping   a thread makes a block of the stream, eight numbers for eight neighbouring elements; the
          warp hands the bits around so that it reads and writes 32 neighbours at a time. Whole
          warps; any grid is correct
Traffic   reads what it keeps of x and writes out, up to 8 bytes an element; bound by memory
          bandwidth
Used by   dropout on "cuda", and its derivative, which is the same of the cotangent; its reference
          is Generator(seed).bernoulli from `position` on and ops/normalization.py masked_scale
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, int32

from gpugrad.kernels.launch import launch, suits
from gpugrad.kernels.philox import NUMBERS, bit_of_lane, bits_below

THREADS = 256


@cuda.jit
def _dropout(x: Any, seed: Any, position: Any, below: Any, scale: Any, out: Any) -> None:
    n, lane = int32(x.size), int32(cuda.laneid)
    start = int32((int32(cuda.grid(1)) - lane) << 3)
    while start < n:  # the same for all lanes of a warp, which exchange bits
        bits = bits_below(seed, position, int32((start >> 3) + lane), below)
        turn = int32(0)
        while turn < NUMBERS:
            keep = bit_of_lane(bits, turn, lane)
            i = int32(start + (turn << 5) + lane)
            if i < n:
                out[i] = x[i] * scale if keep else float32(0)
            turn = int32(turn + 1)
        start = int32(start + (int32(cuda.gridsize(1)) << 3))


def dropout(xp: Any, x: Any, /, seed: int, start: int, below: int, scale: float) -> Any:
    """x * scale where a number of the stream is < below, else 0: a number for each element.

    Args:
        seed, start: seed and position of the generator, before it draws.
        below: from 0 to 2**32, which keeps all; see threshold() of gpugrad/random.py.
    Returns: out; NotImplemented for arrays that the kernel does not take.
    """
    if x.dtype != "float32" or not suits(x) or start + x.size >= 2**64:
        return NotImplemented
    out = xp.empty_like(x)
    blocks = -(-x.size // (THREADS * NUMBERS))
    launch(
        _dropout, blocks, THREADS,
        x.reshape(-1), np.uint64(seed), np.uint64(start), np.uint64(below),
        np.float32(scale), out.reshape(-1),
    )  # fmt: skip
    return out
