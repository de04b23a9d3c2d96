"""Kernels that the tests of launching launch."""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float32, int32


@cuda.jit
def axpy(x, y, out, a, n):
    i = int32(cuda.grid(1))
    while i < n:
        out[i] = a * x[i] + y[i]
        i = int32(i + cuda.gridsize(1))


@cuda.jit
def transpose(x, out):
    r = int32(cuda.blockIdx.x)
    while r < x.shape[0]:
        c = int32(cuda.threadIdx.x)
        while c < x.shape[1]:
            out[c, r] = x[r, c]
            c = int32(c + cuda.blockDim.x)
        r = int32(r + cuda.gridDim.x)


@cuda.jit
def numbers(flag, small, big, out):
    if flag:
        out[0] = small
        out[1] = big


@cuda.jit
def reversed_by_block(x):
    kept = cuda.shared.array(0, float32)
    t = cuda.threadIdx.x
    kept[t] = x[cuda.grid(1)]
    cuda.syncthreads()
    x[cuda.grid(1)] = kept[int32(cuda.blockDim.x - 1 - t)]


@cuda.jit
def unknown(x):
    i = cuda.grid(1)
    x[i] = np.exp(x[i])  # NumPy's exp


@cuda.jit
def root(x):
    x[cuda.grid(1)] = math.sqrt(x[cuda.grid(1)])
