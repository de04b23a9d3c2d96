"""scaled_sum: out[i] = factor * x[i] + y[i], the smallest kernel that takes arrays and a number.

Arrays    x, y, out (n,) float32, C-contiguous; factor float32
Mapping   elements over threads, strided: any grid is correct
Traffic   reads x and y, writes out, 12 bytes an element; bound by memory bandwidth
Used by   `gpugrad doctor`, which compares it with NumPy
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, int32

from gpugrad.errors import ShapeError
from gpugrad.kernels.launch import launch

THREADS = 256


@cuda.jit
def _scaled_sum(x: Any, y: Any, factor: Any, out: Any) -> None:
    n = int32(x.size)
    i, step = int32(cuda.grid(1)), int32(cuda.gridsize(1))
    while i < n:
        out[i] = factor * x[i] + y[i]
        i = int32(i + step)


def scaled_sum(xp: Any, x: Any, y: Any, factor: float) -> Any:
    """factor * x + y, of arrays (n,)."""
    if x.shape != y.shape or x.ndim != 1:
        raise ShapeError(f"scaled_sum(x, y, factor): x is {x.shape}, so y cannot be {y.shape}")
    out = xp.empty_like(x)
    blocks = -(-x.size // THREADS)
    launch(_scaled_sum, blocks, THREADS, x, y, np.float32(factor), out)
    return out
