"""Kernels that compute nothing of interest, for tests of how kernels are compiled and launched."""

from __future__ import annotations

from numba import cuda, float32, types

VECTOR = (types.float32[::1],)


@cuda.jit
def reciprocal(x):
    x[0] = float32(1) / x[0]


@cuda.jit(launch_bounds=(64, 2))
def bounded(x):
    x[0] = 1


@cuda.jit
def shares(x):
    a = cuda.shared.array(100, float32)
    b = cuda.shared.array(3, types.int8)
    c = cuda.shared.array((2, 2), types.float64)
    d = cuda.shared.array(0, types.float64)
    i = cuda.threadIdx.x
    a[i], b[i % 3], c[i % 2, 0], d[i] = x[i], i, x[i], x[i]
    cuda.syncthreads()
    x[i] = a[99 - i] + b[1] + c[0, 0] + d[i]
