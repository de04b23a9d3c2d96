"""Rows for who and where a thread is, barriers of a block, and fences."""

from __future__ import annotations

import numpy as np
from numba import cuda

from tests.simulate.intrinsics_warps import bits, numbers
from tests.simulate.kernels.case import Case


@cuda.jit
def indices(thread, block, block_size, grid_size):
    x, y, z = cuda.grid(3)
    thread[z, y, x, 0], thread[z, y, x, 1] = cuda.threadIdx.x, cuda.threadIdx.y
    thread[z, y, x, 2] = cuda.threadIdx.z
    block[z, y, x, 0], block[z, y, x, 1] = cuda.blockIdx.x, cuda.blockIdx.y
    block[z, y, x, 2] = cuda.blockIdx.z
    block_size[z, y, x, 0], block_size[z, y, x, 1] = cuda.blockDim.x, cuda.blockDim.y
    block_size[z, y, x, 2] = cuda.blockDim.z
    grid_size[z, y, x, 0], grid_size[z, y, x, 1] = cuda.gridDim.x, cuda.gridDim.y
    grid_size[z, y, x, 2] = cuda.gridDim.z


@cuda.jit
def grid_1(out, size):
    out[cuda.grid(1)] = cuda.grid(1)
    size[cuda.grid(1)] = cuda.gridsize(1)


@cuda.jit
def grid_2(out, size):
    x, y = cuda.grid(2)
    out[x, y] = 100 * x + y
    width, height = cuda.gridsize(2)
    size[x, y] = 100 * width + height


@cuda.jit
def grid_3(out, size):
    x, y, z = cuda.grid(3)
    out[x, y, z] = 10000 * x + 100 * y + z
    width, height, depth = cuda.gridsize(3)
    size[x, y, z] = 10000 * width + 100 * height + depth


@cuda.jit
def syncthreads_counts(x, count, every, some):
    i = cuda.grid(1)
    count[i] = cuda.syncthreads_count(x[i])
    every[i] = cuda.syncthreads_and(x[i])
    some[i] = cuda.syncthreads_or(x[i])


@cuda.jit
def fences(x, out):
    i = cuda.grid(1)
    out[0, i] = x[i]
    cuda.threadfence_block()
    out[1, i] = x[i]
    cuda.threadfence()
    out[2, i] = x[i]
    cuda.threadfence_system()
    out[3, i] = x[i]


@cuda.jit
def nanosleep(x, out):
    cuda.nanosleep(20)
    out[cuda.grid(1)] = x[cuda.grid(1)]


def _indices(thread, block, block_size, grid_size):
    sizes, counts = np.array([4, 2, 3]), np.array([2, 3, 2])
    places = np.moveaxis(np.indices(thread.shape[:3])[::-1], 0, -1)
    thread[:], block[:] = places % sizes, places // sizes
    block_size[:], grid_size[:] = sizes, counts


def _grid_1(out, size):
    out[:], size[:] = np.arange(out.size), out.size


def _grid_2(out, size):
    x, y = np.indices(out.shape)
    out[:], size[:] = 100 * x + y, 100 * out.shape[0] + out.shape[1]


def _grid_3(out, size):
    x, y, z = np.indices(out.shape)
    out[:] = 10000 * x + 100 * y + z
    size[:] = 10000 * out.shape[0] + 100 * out.shape[1] + out.shape[2]


def _by_block(x):
    return x.reshape(-1, 64)


def _syncthreads_counts(x, count, every, some):
    true = _by_block(x) != 0
    count[:] = np.repeat(true.sum(axis=1), 64)
    every[:], some[:] = np.repeat(true.all(axis=1), 64), np.repeat(true.any(axis=1), 64)


def _four_times(x, out):
    out[:] = x


def _zeros(shape, dtype=np.int32, count=2):
    return lambda g: tuple(np.zeros((count, *shape), dtype))


ROWS = [
    Case(
        "threadIdx blockIdx blockDim gridDim",
        indices,
        (2, 3, 2),
        (4, 2, 3),
        _zeros((6, 6, 8, 3), count=4),
        _indices,
    ),
    Case("grid(1) gridsize(1)", grid_1, 3, 40, _zeros((120,), np.int64), _grid_1),
    Case("grid(2) gridsize(2)", grid_2, (3, 2), (4, 8), _zeros((12, 16), np.int64), _grid_2),
    Case(
        "grid(3) gridsize(3)", grid_3, (3, 2, 2), (4, 2, 3), _zeros((12, 4, 6), np.int64), _grid_3
    ),
    Case(
        "syncthreads_count syncthreads_and syncthreads_or",
        syncthreads_counts,
        3,
        64,
        lambda g: (bits(g), *np.zeros((3, 192), np.int32)),
        _syncthreads_counts,
    ),
    Case(
        "threadfence threadfence_block threadfence_system",
        fences,
        1,
        64,
        lambda g: (numbers(g, np.int32), np.zeros((4, 64), np.int32)),
        _four_times,
    ),
    Case(
        "nanosleep",
        nanosleep,
        1,
        64,
        lambda g: (numbers(g, np.int32), np.zeros(64, np.int32)),
        _four_times,
    ),
]
