"""chain: out = cotangent * partial, where a cotangent of exactly 0 stays 0 whatever the partial.

Arrays    cotangent, partial, out (elements,) float32, C-contiguous, of one shape
Mapping   elements over threads, strided: any grid is correct
Traffic   reads both, writes out, 12 bytes an element; bound by memory bandwidth
Used by   ops/core.py chain on "cuda"; its reference is that op's forward
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, float32, int32

from gpugrad.kernels.launch import launch, suits

THREADS = 256
ELEMENTS = 4  # of a thread


@cuda.jit
def _chain(cotangent: Any, partial: Any, either: Any, out: Any) -> None:
    n, step = int32(out.size), int32(cuda.gridsize(1))
    i = int32(cuda.grid(1))
    while i < n:
        c, p = cotangent[i], partial[i]
        product = c * p
        # 0 times what is not finite is NaN; no other product has to be looked at.
        if c == float32(0) and not math.isfinite(p):
            product = float32(0)
        if either and p == float32(0) and not math.isfinite(c):
            product = float32(0)
        out[i] = product
        i = int32(i + step)


def chain(xp: Any, cotangent: Any, partial: Any, /, either: bool = False) -> Any:
    """cotangent * partial, or NotImplemented for what the kernel does not take."""
    if not suits(cotangent, partial) or cotangent.shape != partial.shape:
        return NotImplemented
    if cotangent.dtype != "float32" or partial.dtype != "float32":
        return NotImplemented
    out = xp.empty_like(cotangent)
    blocks = -(-out.size // (THREADS * ELEMENTS))
    flat = [array.reshape(-1) for array in (cotangent, partial)]
    launch(_chain, blocks, THREADS, *flat, np.bool_(either), out.reshape(-1))
    return out
