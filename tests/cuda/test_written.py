"""A kernel that reads memory of the simulated device which nobody wrote is told so."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from numba import cuda  # noqa: E402

from gpugrad.cuda.simulated.backend import SimulatedBackend  # noqa: E402
from gpugrad.cuda.simulated.module import MODULE as CP  # noqa: E402
from gpugrad.kernels import launch as launching  # noqa: E402
from gpugrad.simulate import MemoryFault  # noqa: E402

pytestmark = pytest.mark.once  # it is the device, whichever one the tests compute on


@cuda.jit
def _copy(x, out):
    i = cuda.grid(1)
    if i < out.shape[0]:
        out[i] = x[i]


@pytest.fixture(autouse=True)
def _simulated(monkeypatch):
    simulated = SimulatedBackend()
    monkeypatch.setattr(launching, "backend", lambda: simulated)


def read_by_a_kernel(x):
    """What a kernel reads of an array of four numbers."""
    out = CP.empty(x.size, x.dtype)
    launching.launch(_copy, 1, 32, x, out)
    return out.tolist()


UNWRITTEN = {
    "empty": lambda: CP.empty(4, "float32"),
    "empty_like": lambda: CP.empty_like(CP.ones(4, "float32")),
    "a view of empty": lambda: CP.empty((2, 4), "float32")[1],
    "all but one element": lambda: assigned(slice(0, 3)),
    "all but one of some": lambda: assigned(CP.asarray([0, 1, 3])),
    "the other half": lambda: halves()[0],
}
WRITTEN = {
    "zeros": lambda: CP.zeros(4, "float32"),
    "of a host array": lambda: CP.asarray(np.zeros(4, "float32")),
    "the result of an operation": lambda: CP.ones(4, "float32") * 0,
    "a copy": lambda: CP.zeros(4, "float32").copy(),
    "assigned": lambda: assigned(...),
    "assigned in two parts": lambda: assigned(slice(0, None, 2), slice(1, None, 2)),
    "assigned by indices": lambda: assigned(CP.asarray([3, 0, 1, 2])),
    "assigned by a mask": lambda: assigned(CP.asarray([True] * 4)),
    "assigned by indices out of range": lambda: assigned(CP.asarray([4, -3, 2, 7])),
    "out=": lambda: CP.add(zeros := CP.zeros(4, "float32"), zeros, out=CP.empty(4, "float32")),
    "fill": lambda: filled(lambda x: x.fill(0)),
    "set": lambda: filled(lambda x: x.set(np.zeros(4, "float32"))),
    "a column": lambda: CP.ascontiguousarray(CP.zeros((4, 2), "float32")[:, 1]),
    "the half": lambda: halves()[1],
}


def assigned(*keys):
    x = CP.empty(4, "float32")
    for key in keys:
        x[key] = 0
    return x


def filled(fill):
    x = CP.empty(4, "float32")
    fill(x)
    return x


def halves():
    both = CP.empty((2, 4), "float32")
    both[1] = 0
    return both


@pytest.mark.parametrize("name", UNWRITTEN)
def test_a_kernel_that_reads_what_nobody_wrote_is_stopped(name):
    with pytest.raises(MemoryFault, match="a load of 4 bytes that nothing has written"):
        read_by_a_kernel(UNWRITTEN[name]())


@pytest.mark.parametrize("name", WRITTEN)
def test_an_array_operation_marks_what_it_writes(name):
    assert read_by_a_kernel(WRITTEN[name]()) == [0.0] * 4


def test_what_a_kernel_wrote_is_written():
    first = CP.empty(4, "float32")
    launching.launch(_copy, 1, 32, CP.ones(4, "float32"), first)
    assert read_by_a_kernel(first) == [1.0] * 4
