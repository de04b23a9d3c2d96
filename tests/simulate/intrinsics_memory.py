"""Rows for arrays in shared, local and constant memory, and loads and stores with cache hints."""

from __future__ import annotations

import numpy as np
from numba import cuda, float64, int16, int32

from tests.simulate.kernels.case import Case

TABLE = np.arange(12, dtype=np.int32).reshape(3, 4) ** 2
POINT = np.dtype([("x", np.float32), ("n", np.int64)], align=True)
POINTS = np.array([(1.5, 2), (-2.5, 3)], POINT)


@cuda.jit
def shared_array(x, out):
    tile = cuda.shared.array((4, 8), int32)
    small = cuda.shared.array(32, int16)
    aligned = cuda.shared.array(32, float64, alignment=128)
    t = cuda.threadIdx.x
    tile[t // 8, t % 8], small[t], aligned[t] = x[t], x[t], x[t]
    cuda.syncthreads()
    other = 31 - t
    out[0, t], out[1, t], out[2, t] = tile[other // 8, other % 8], small[other], aligned[other]


@cuda.jit
def dynamic_shared_array(x, out):
    """Two arrays in one dynamic allocation: an int32 for each thread, then a float64."""
    n = cuda.blockDim.x
    whole = cuda.shared.array(0, int32)[:n]
    real = cuda.shared.array(0, float64)[n // 2 :]
    t = cuda.threadIdx.x
    whole[t], real[t] = x[t], x[t]
    cuda.syncthreads()
    out[0, t], out[1, t] = whole[n - 1 - t], real[n - 1 - t]


@cuda.jit
def local_array(x, out):
    """Digits in base 4, counted in an array of the thread's own."""
    counts = cuda.local.array((2, 2), int32)
    for k in range(4):
        counts[k // 2, k % 2] = 0
    t = cuda.grid(1)
    value = x[t]
    while value > 0:
        digit = value % 4
        counts[digit // 2, digit % 2] += 1
        value //= 4
    for k in range(4):
        out[k, t] = counts[k // 2, k % 2]


@cuda.jit
def const_array_like(rows, out, places):
    table = cuda.const.array_like(TABLE)
    points = cuda.const.array_like(POINTS)
    t = cuda.grid(1)
    out[t] = table[rows[t], t % 4]
    places[t] = points[rows[t] % 2].x + points[rows[t] % 2].n


@cuda.jit
def ldca(x, out):
    i = cuda.grid(1)
    out[i] = cuda.ldca(x, i)


@cuda.jit
def ldcg(x, out):
    i = cuda.grid(1)
    out[i] = cuda.ldcg(x, i)


@cuda.jit
def ldcs(x, out):
    i = cuda.grid(1)
    out[i] = cuda.ldcs(x, i)


@cuda.jit
def ldlu(x, out):
    i = cuda.grid(1)
    out[i] = cuda.ldlu(x, i)


@cuda.jit
def ldcv(x, out):
    i = cuda.grid(1)
    out[i] = cuda.ldcv(x, i)


@cuda.jit
def stcg(x, out):
    i = cuda.grid(1)
    cuda.stcg(out, i, x[i])


@cuda.jit
def stcs(x, out):
    i = cuda.grid(1)
    cuda.stcs(out, i, x[i])


@cuda.jit
def stwb(x, out):
    i = cuda.grid(1)
    cuda.stwb(out, i, x[i])


@cuda.jit
def stwt(x, out):
    i = cuda.grid(1)
    cuda.stwt(out, i, x[i])


@cuda.jit
def this_grid_sync(x, out):
    i, n = cuda.grid(1), cuda.gridsize(1)
    x[i] *= 2
    cuda.cg.this_grid().sync()
    out[i] = x[n - 1 - i]


def _reversed_copies(x, out):
    out[:] = x[::-1]


def _local_array(x, out):
    for t, value in enumerate(x.tolist()):
        while value:
            out[value % 4, t] += 1
            value //= 4


def _const_array_like(rows, out, places):
    out[:] = TABLE[rows, np.arange(rows.size) % 4]
    places[:] = POINTS["x"][rows % 2] + POINTS["n"][rows % 2]


def _copy(x, out):
    out[:] = x


def _this_grid_sync(x, out):
    x *= 2
    out[:] = x[::-1]


def _hinted(kernel, dtype):
    def arguments(generator):
        x = generator.integers(-99, 99, 64).astype(dtype)
        return x, np.zeros(64, dtype)

    return Case(f"{kernel.py_func.__name__} {np.dtype(dtype)}", kernel, 1, 64, arguments, _copy)


def _integers(generator, n=32):
    return generator.integers(-99, 99, n, np.int32)


ROWS = [
    Case(
        "shared.array syncthreads",
        shared_array,
        1,
        32,
        lambda g: (_integers(g), np.zeros((3, 32), np.int32)),
        _reversed_copies,
    ),
    Case(
        "shared.array of size 0",
        dynamic_shared_array,
        1,
        32,
        lambda g: (_integers(g), np.zeros((2, 32), np.int32)),
        _reversed_copies,
        shared_bytes=32 * 12,
    ),
    Case(
        "local.array",
        local_array,
        1,
        64,
        lambda g: (g.integers(0, 4**9, 64, np.int32), np.zeros((4, 64), np.int32)),
        _local_array,
    ),
    Case(
        "const.array_like",
        const_array_like,
        1,
        64,
        lambda g: (
            g.integers(0, 3, 64, np.int32),
            np.zeros(64, np.int32),
            np.zeros(64, np.float64),
        ),
        _const_array_like,
    ),
    *(
        _hinted(kernel, dtype)
        for kernel in (ldca, ldcg, ldcs, ldlu, ldcv, stcg, stcs, stwb, stwt)
        for dtype in (np.int8, np.int16, np.int32, np.float32, np.float64)
    ),
    Case(
        "cg.this_grid().sync()",
        this_grid_sync,
        3,
        32,
        lambda g: (_integers(g, 96), np.zeros(96, np.int32)),
        _this_grid_sync,
    ),
]
