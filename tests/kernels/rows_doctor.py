"""The row for the kernel that `gpugrad doctor` launches."""

from __future__ import annotations

import numpy as np

from gpugrad.kernels.scaled_sum import _scaled_sum
from tests.kernels.harness import Row, Unwritten


def arguments(rng, size):
    x, y = rng.standard_normal((2, *size)).astype(np.float32)
    return {"x": x, "y": y, "factor": np.float32(1.5), "out": Unwritten(size)}


ROWS = [
    Row(
        name="scaled_sum",
        kernel=_scaled_sum,
        arguments=arguments,
        expected=lambda x, y, factor, out: {"out": factor * x + y},
        sizes=((1000,), (1,), (0,), (257,)),
        launches=((4, 256), (1, 32), (40, 64)),
        traffic=lambda x, y, factor, out: (8 * x.size, 4 * x.size),
    )
]
