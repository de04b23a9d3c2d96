"""Every intrinsic of Numba CUDA that becomes PTX, with its definition.

ROWS launch a small kernel each; FUNCTIONS, which take and give numbers only, share kernels.
"""

from __future__ import annotations

from tests.simulate import (
    intrinsics_arithmetic,
    intrinsics_atomic,
    intrinsics_half,
    intrinsics_math,
    intrinsics_memory,
    intrinsics_operators,
    intrinsics_random,
    intrinsics_threads,
    intrinsics_warps,
    libdevice,
    libdevice_exact,
)
from tests.simulate.kernels.case import Case
from tests.simulate.packs import Function

# The table was made from the documentation of these; both have the same intrinsics.
OLDEST, NEWEST = "0.22.2", "0.30.4"

ROWS: list[Case] = [
    row
    for module in (
        intrinsics_threads,
        intrinsics_warps,
        intrinsics_atomic,
        intrinsics_arithmetic,
        intrinsics_memory,
        intrinsics_operators,
        intrinsics_random,
    )
    for row in module.ROWS
]
FUNCTIONS: list[Function] = [
    row
    for module in (libdevice, libdevice_exact, intrinsics_half, intrinsics_math)
    for row in module.ROWS
]
