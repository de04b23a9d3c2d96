"""All the kernels."""

from __future__ import annotations

from tests.simulate.kernels import (
    blocks,
    elementwise,
    grids,
    integers,
    mathematics,
    storage,
    warps,
)

CASES = [
    case
    for module in (elementwise, mathematics, integers, blocks, warps, grids, storage)
    for case in module.CASES
]
