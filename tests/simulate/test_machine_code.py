"""Machine code linked without a GPU: what it uses, for each card."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gpugrad import simulate
from gpugrad.simulate.frontend.cards import CARDS
from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from numba import cuda, float32, types  # noqa: E402

from tests.simulate.kernels.plain import VECTOR  # noqa: E402


@cuda.jit(device=True)
def wave(a):
    return math.sin(a) + float32(1)


@cuda.jit
def waves(x):
    i = cuda.grid(1)
    if i < x.size:
        x[i] = wave(x[i])


@cuda.jit
def literal(x):
    i = cuda.grid(1)
    if i < x.size:
        x[i] = x[i] * 0.1  # float64


@cuda.jit
def shares(x):
    a = cuda.shared.array(100, float32)
    i = cuda.threadIdx.x
    a[i] = x[i]
    cuda.syncthreads()
    x[i] = a[99 - i]


def crowded(x):
    a = cuda.local.array(64, float32)
    for i in range(64):
        a[i] = x[i]
    for j in range(64):
        for i in range(64):
            a[i] = a[i] * a[j] + a[63 - i]
    for i in range(64):
        x[i] = a[i]


@cuda.jit
def halves(x):
    x[0] = x[1] * x[2] + x[3]


@cuda.jit
def synchronises(x):
    x[0] = 1
    cuda.cg.this_grid().sync()


@pytest.mark.parametrize("cc", CARDS)
def test_machine_code_of_each_card(cc):
    code = simulate.compile(waves, VECTOR, cc)
    assert code.cubin[:4] == b"\x7fELF"
    assert code.entry.encode() in code.cubin
    assert 8 <= code.registers <= 40
    assert (code.shared_bytes, code.local_bytes, code.spilled_bytes) == (0, 0, 0)
    assert code.max_threads == 1024
    assert code.cc == cc
    assert code.occupancy(256).fraction == 1
    assert code.occupancy(32, card="T4").blocks == 16


def test_shared_memory_counts():
    code = simulate.compile(shares, VECTOR)
    assert 400 <= code.shared_bytes < 448
    assert code.occupancy(64, shared_bytes=32_000).limits == ("shared memory",)


def test_local_memory_and_spills_count():
    code = simulate.compile(cuda.jit(max_registers=16)(crowded), VECTOR)
    assert code.local_bytes >= 256
    assert code.spilled_bytes > 0
    assert code.registers < simulate.compile(crowded, VECTOR).registers
    bounded = simulate.compile(cuda.jit(launch_bounds=128)(crowded), VECTOR)
    assert bounded.max_threads == 128


def test_float64_is_found_where_it_is_not_meant(line_of):
    file, line = line_of("float64").rsplit(":", 1)
    assert simulate.compile(literal, VECTOR).float64_lines == ((file, int(line)),)
    assert simulate.compile(literal, (types.float64[::1],)).float64_lines == ()
    assert simulate.compile(waves, VECTOR).float64_lines == ()  # sin's own, on its slow path


def test_what_needs_more_than_the_kernel_is_linked_with_it():
    code = simulate.compile(halves, (types.float16[::1],))
    assert code.cubin[:4] == b"\x7fELF"


def test_a_grid_that_synchronises_is_linked_with_the_device_runtime():
    try:
        assert simulate.compile(synchronises, VECTOR).registers > 0
    except simulate.CompileError:
        # CUDA 12 allows a libcudadevrt newer than nvJitLink, which then cannot read it.
        with pytest.raises(simulate.CompileError, match="has to be at least as new as what it"):
            simulate.compile(synchronises, VECTOR)


def test_signatures_in_all_their_forms():
    code = simulate.compile(shares, VECTOR)
    for signature in ("(float32[::1],)", "void(float32[::1])", [np.zeros(3, np.float32)]):
        other = simulate.compile(shares, signature)
        assert other.ptx is code.ptx
        assert other.registers == code.registers


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("(float31,)", r"'\(float31,\)' is no signature"),
        ("(float32", "is no signature"),
        (3, "3 is no signature.*\n  help: write"),
        ("float32(float32[::1])", "a kernel returns nothing, not float32"),
        ("(float32[::1], int32)", r"shares\(x\) takes 1 arguments, and the signature has 2"),
        ([1, 2], r"shares\(x\) takes 1 argument, and 2 were given"),
    ],
    ids=str,
)
def test_signatures_that_are_none(signature, message):
    with pytest.raises(simulate.LaunchError, match=message):
        simulate.compile(shares, signature)


def test_unknown_cards():
    code = simulate.compile(shares, VECTOR)
    with pytest.raises(simulate.LaunchError, match=r"'V100' is no card.*T4, A100, H100"):
        code.occupancy(32, card="V100")
    with pytest.raises(simulate.LaunchError, match="no compute capability that is simulated"):
        simulate.compile(shares, VECTOR, cc=(7, 0))
