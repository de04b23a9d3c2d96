"""Kernels broken on purpose in six ways, each of which the harness must report as what it is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.simulate.numba_cuda_needed import needs_numba_cuda

needs_numba_cuda()

from numba import cuda, float32, int32  # noqa: E402

from gpugrad.simulate import MemoryFault, RaceError  # noqa: E402
from tests.kernels.harness import check, rows  # noqa: E402

pytestmark = pytest.mark.once


@cuda.jit
def wrong_index(x, bias, out):
    n, cols = int32(x.size), int32(bias.size)
    i, step = int32(cuda.grid(1)), int32(cuda.gridsize(1))
    while i < n:
        z = x[i] + bias[(i + 1) % cols]
        out[i] = float32(0) if z < float32(0) else z
        i = int32(i + step)


@cuda.jit
def missing_barrier(g, y, dz, sums):
    scratch = cuda.shared.array(1024, float32)
    rows, cols = int32(y.shape[0]), int32(y.shape[1])
    width, column, row = int32(cuda.blockDim.x), int32(cuda.threadIdx.x), int32(cuda.threadIdx.y)
    total, r = float32(0), row
    while r < rows and column < cols:
        dz[r, column] = g[r, column] if y[r, column] > float32(0) else float32(0)
        total += dz[r, column]
        r = int32(r + cuda.blockDim.y)
    scratch[row * width + column] = total
    if row == 0 and column < cols:
        r = int32(1)
        while r < cuda.blockDim.y:
            total += scratch[r * width + column]  # missing barrier
            r = int32(r + 1)
        sums[0, column] = total


@cuda.jit
def float64_literal(x, mean, var, eps, normal):
    rows, cols = int32(x.shape[0]), int32(x.shape[1])
    c = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while c < cols:
        average, scale = mean[c], 1 / math.sqrt(var[c] + 0.001)  # float64 literal
        r = int32(cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y)
        while r < rows:
            normal[r, c] = (x[r, c] - average) * float32(scale)
            r = int32(r + cuda.gridDim.y * cuda.blockDim.y)
        c = int32(c + cuda.gridDim.x * cuda.blockDim.x)


@cuda.jit
def past_the_end(x, bias, out):
    n, cols = int32(x.size), int32(bias.size)
    i, step = int32(cuda.grid(1)), int32(cuda.gridsize(1))
    while i <= n:
        z = x[i] + bias[i % cols]  # past the end
        out[i] = float32(0) if z < float32(0) else z
        i = int32(i + step)


@cuda.jit
def lost_update(values, divisor, out):
    n = int32(values.size)
    i, step = int32(cuda.grid(1)), int32(cuda.gridsize(1))
    if i == 0:
        out[0] = float32(0)
    cuda.syncthreads()
    while i < n:
        out[0] += values[i]  # lost update
        i = int32(i + step)


@cuda.jit
def uncoalesced(x, mean, var, eps, normal):
    rows, cols = int32(x.shape[0]), int32(x.shape[1])
    r = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while r < rows:
        c = int32(cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y)
        while c < cols:
            scale = float32(1) / math.sqrt(var[c] + eps)
            normal[r, c] = (x[r, c] - mean[c]) * scale  # uncoalesced
            c = int32(c + cuda.gridDim.y * cuda.blockDim.y)
        r = int32(r + cuda.gridDim.x * cuda.blockDim.x)


def run(kernel, like, size, launch):
    """The check of the row `like` with another kernel in the place of its own."""
    (row,) = (row for row in rows() if row.name == like)
    check(row, size, launch)  # which its own passes
    return check(replace(row, kernel=kernel), size, launch)


def test_wrong_index():
    with pytest.raises(AssertionError, match=r"out\[\d+\] is .*, not .* elements are wrong"):
        run(wrong_index, "bias_activation relu", (7, 5), (3, 64))


def test_missing_barrier(line_of):
    with pytest.raises(RaceError, match="shared memory") as caught:
        run(missing_barrier, "bias_activation_backward relu", (64, 33, 1), ((1, 1), (64, 4)))
    assert f"{caught.value.file}:{caught.value.line}" == line_of("missing barrier")


def test_float64_literal(line_of):
    line = line_of("float64 literal").rpartition(":")[2]
    with pytest.raises(AssertionError, match=rf"^test_broken.py, line {line}: float64: "):
        run(float64_literal, "batch_norm normalize", (9, 33), ((1, 1), (32, 8)))


def test_read_past_the_end(line_of):
    with pytest.raises(MemoryFault, match="is 0 bytes past the end of x") as caught:
        run(past_the_end, "bias_activation relu", (7, 5), (3, 64))
    assert f"{caught.value.file}:{caught.value.line}" == line_of("past the end")


def test_lost_update(line_of):
    with pytest.raises(RaceError, match="out") as caught:
        run(lost_update, "softmax_cross_entropy total", (64, 1), (1, 64))
    assert f"{caught.value.file}:{caught.value.line}" == line_of("lost update")


def test_uncoalesced(line_of):
    line = line_of("uncoalesced").rpartition(":")[2]
    with pytest.raises(AssertionError, match=rf"^test_broken.py, line {line}: uncoalesced: "):
        run(uncoalesced, "batch_norm normalize", (65, 33), ((1, 1), (32, 8)))
