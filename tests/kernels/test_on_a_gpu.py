"""Each kernel of each table on the device itself, through the launcher, against NumPy.

On a GPU all sizes and launch shapes; on the simulated one, where `test_kernels.py` runs them all,
one of each, to see that this file works.
"""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg

if not gg.cuda.is_available():
    pytest.skip("there is no device", allow_module_level=True)

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from gpugrad.cuda.backend import backend  # noqa: E402
from gpugrad.kernels.launch import launch  # noqa: E402
from tests.kernels.harness import Unwritten, _widened, compare, rows  # noqa: E402

SIMULATED = gg.cuda.is_simulated()


def cases():
    for row in rows():
        for size in row.sizes[:1] if SIMULATED else row.sizes:
            yield pytest.param(row, size, id=f"{row}-{'x'.join(map(str, size))}")


@pytest.mark.parametrize(("row", "size"), list(cases()))
def test_kernel_computes_what_numpy_does(row, size, device):
    if device.kind == "cpu":
        pytest.skip("kernels run on a GPU")
    given = row.drawn(size)
    inputs = {k: _widened(v) for k, v in given.items()}
    with np.errstate(all="ignore"):
        expected = row.expected(**inputs)
    gpu = backend()
    for blocks, threads in row.launches[:1] if SIMULATED else row.launches:
        passed = {name: _on_device(gpu, value) for name, value in given.items()}
        launch(row.kernel, blocks, threads, *passed.values(), shared=row.shared)
        for name, value in passed.items():
            if name in expected:
                compare(name, gpu.get(value), np.asarray(expected[name]), row.tolerance)
            elif isinstance(given[name], np.ndarray):
                assert gpu.get(value).tobytes() == given[name].tobytes(), f"{name} was changed"


def _on_device(gpu, value):
    if isinstance(value, Unwritten):
        # What the launch before has left in freed memory may be right: write over it.
        return gpu.put(np.full(value.shape, 77, value.dtype))
    return gpu.put(value) if isinstance(value, np.ndarray) else value
