"""column_sums: the sums of the columns of a matrix, by the kernels of `reduce`.

Used by   ops/core.py column_sums on "cuda"; its reference is that op's forward
"""

from __future__ import annotations

from typing import Any

from gpugrad.kernels import reduce


def column_sums(xp: Any, x: Any, /) -> Any:
    """x (rows, cols) summed to (cols,); NotImplemented for what the kernels do not take."""
    return reduce.sum(xp, x, 0) if x.ndim == 2 else NotImplemented
