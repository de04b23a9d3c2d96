"""Rows for who and where a thread is, and for what the threads of a warp or block do together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, int32

from tests.simulate.kernels.case import Case

FULL = 0xFFFFFFFF
SHUFFLED = (np.int32, np.float32, np.int64, np.float64)


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
def lanes(lane, size, below):
    i = cuda.grid(1)
    lane[i], size[i], below[i] = cuda.laneid, cuda.warpsize, cuda.lanemask_lt()


@cuda.jit
def activemask(out):
    i = cuda.grid(1)
    if i % 3 == 0:
        out[i] = cuda.activemask()


@cuda.jit
def syncthreads_counts(x, count, every, some):
    i = cuda.grid(1)
    count[i] = cuda.syncthreads_count(x[i])
    every[i] = cuda.syncthreads_and(x[i])
    some[i] = cuda.syncthreads_or(x[i])


@cuda.jit
def syncwarp(x, out):
    """Neighbours swap through shared memory, first among all lanes, then among the lower half."""
    tile = cuda.shared.array(32, int32)
    t = cuda.threadIdx.x
    tile[t] = x[t]
    cuda.syncwarp()
    other = tile[t ^ 1]
    if t < 16:
        cuda.syncwarp(0xFFFF)
        tile[t] = other + 1
        cuda.syncwarp(0xFFFF)
        other = tile[t ^ 1]
    out[t] = other


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


@cuda.jit
def shfl_sync(x, lane, out):
    i = cuda.grid(1)
    out[i] = cuda.shfl_sync(FULL, x[i], lane[i])


@cuda.jit
def shfl_up_sync(x, lane, out):
    i = cuda.grid(1)
    out[i] = cuda.shfl_up_sync(FULL, x[i], lane[0])


@cuda.jit
def shfl_down_sync(x, lane, out):
    i = cuda.grid(1)
    out[i] = cuda.shfl_down_sync(FULL, x[i], lane[0])


@cuda.jit
def shfl_xor_sync(x, lane, out):
    i = cuda.grid(1)
    out[i] = cuda.shfl_xor_sync(FULL, x[i], lane[0])


@cuda.jit
def votes(x, every, some, equal, ballot):
    i = cuda.grid(1)
    every[i] = cuda.all_sync(FULL, x[i])
    some[i] = cuda.any_sync(FULL, x[i])
    equal[i] = cuda.eq_sync(FULL, x[i] != 0)
    ballot[i] = cuda.ballot_sync(FULL, x[i])


@cuda.jit
def masked_votes(x, ballot):
    """Of the even lanes only."""
    i = cuda.grid(1)
    if i % 2 == 0:
        ballot[i] = cuda.ballot_sync(0x55555555, x[i])


@cuda.jit
def match_any_sync(x, out):
    i = cuda.grid(1)
    out[i] = cuda.match_any_sync(FULL, x[i])


@cuda.jit
def match_all_sync(x, out, same):
    i = cuda.grid(1)
    out[i], same[i] = cuda.match_all_sync(FULL, x[i])


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


def _lanes(lane, size, below):
    lane[:], size[:] = np.arange(lane.size) % 32, 32
    below[:] = (1 << lane.astype(np.int64)) - 1


def _activemask(out):
    for warp in range(2):
        here = [i for i in range(32 * warp, 32 * warp + 32) if i % 3 == 0]
        out[here] = sum(1 << (i % 32) for i in here)


def _by_block(x):
    return x.reshape(-1, 64)


def _syncthreads_counts(x, count, every, some):
    true = _by_block(x) != 0
    count[:] = np.repeat(true.sum(axis=1), 64)
    every[:], some[:] = np.repeat(true.all(axis=1), 64), np.repeat(true.any(axis=1), 64)


def _syncwarp(x, out):
    out[:] = x[np.arange(32) ^ 1]
    out[:16] = x[:16] + 1  # swapped, one added, and swapped back


def _four_times(x, out):
    out[:] = x


def _shuffle(source):
    """Lane by lane: from where, or from itself if that is outside the warp."""

    def reference(x, lane, out):
        for start in range(0, x.size, 32):
            for own in range(32):
                other = source(own, lane[start + own] if source is _absolute else lane[0])
                out[start + own] = x[start + (other if 0 <= other < 32 else own)]

    return reference


def _absolute(own, lane):
    return lane % 32  # a lane number counts modulo the warp's size


def _warp_masks(x):
    return [int(sum(1 << k for k in np.flatnonzero(part))) for part in x.reshape(-1, 32) != 0]


def _votes(x, every, some, equal, ballot):
    masks = np.repeat(_warp_masks(x), 32)
    every[:], some[:], equal[:] = masks == FULL, masks != 0, (masks == 0) | (masks == FULL)
    ballot[:] = masks.astype(np.uint32).view(np.int32)


def _masked_votes(x, ballot):
    for start, mask in zip(range(0, x.size, 32), _warp_masks(x), strict=True):
        ballot[start : start + 32 : 2] = mask & 0x55555555


def _match_any_sync(x, out):
    for start in range(0, x.size, 32):
        part = x[start : start + 32]
        masks = [sum(1 << k for k in np.flatnonzero(part == value)) for value in part]
        out[start : start + 32] = np.array(masks, np.uint32).view(np.int32)


def _match_all_sync(x, out, same):
    agree = (x.reshape(-1, 32) == x[::32, None]).all(axis=1)
    same[:] = np.repeat(agree, 32)
    out[:] = np.where(same, -1, 0)


def _numbers(generator, dtype: Any, n: int = 64) -> np.ndarray:
    """Bits of every kind: all of a wide number must travel."""
    if np.issubdtype(dtype, np.integer):
        return generator.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, n, dtype)
    return generator.standard_normal(n).astype(dtype)


def _shuffles(kernel, source, offset):
    def arguments(generator, dtype):
        lanes = generator.integers(0, 40, 64, np.int32) if source is _absolute else offset
        return _numbers(generator, dtype), np.full(64, lanes, np.int32), np.zeros(64, dtype)

    return [
        Case(
            f"{kernel.py_func.__name__} {np.dtype(dtype)}",
            kernel,
            1,
            64,
            lambda g, dtype=dtype: arguments(g, dtype),
            _shuffle(source),
        )
        for dtype in SHUFFLED
    ]


def _matches(kernel, reference, outputs):
    def arguments(generator, dtype):
        x = generator.integers(0, 5, 64).astype(dtype)
        x[32:] = x[32]
        return x, *(np.zeros(64, output) for output in outputs)

    return [
        Case(
            f"{kernel.py_func.__name__} {np.dtype(dtype)}",
            kernel,
            1,
            64,
            lambda g, dtype=dtype: arguments(g, dtype),
            reference,
        )
        for dtype in SHUFFLED
    ]


def _zeros(shape, dtype=np.int32, count=2):
    return lambda g: tuple(np.zeros((count, *shape), dtype))


def _bits(generator):
    x = generator.integers(0, 2, 192, np.int32)
    x[:64], x[64:128] = 0, 7
    return x


ROWS = [
    Case("threadIdx blockIdx blockDim gridDim", indices, (2, 3, 2), (4, 2, 3), _zeros((6, 6, 8, 3), count=4), _indices),
    Case("grid(1) gridsize(1)", grid_1, 3, 40, _zeros((120,), np.int64), _grid_1),
    Case("grid(2) gridsize(2)", grid_2, (3, 2), (4, 8), _zeros((12, 16), np.int64), _grid_2),
    Case("grid(3) gridsize(3)", grid_3, (3, 2, 2), (4, 2, 3), _zeros((12, 4, 6), np.int64), _grid_3),
    Case("laneid warpsize lanemask_lt", lanes, 1, 72, lambda g: (*np.zeros((2, 72), np.int32), np.zeros(72, np.uint32)), _lanes),
    Case("activemask", activemask, 1, 64, _zeros((64,), np.uint32, 1), _activemask),
    Case("syncthreads_count _and _or", syncthreads_counts, 3, 64, lambda g: (_bits(g), *np.zeros((3, 192), np.int32)), _syncthreads_counts),
    Case("syncwarp", syncwarp, 1, 32, lambda g: (_numbers(g, np.int32, 32), np.zeros(32, np.int32)), _syncwarp),
    Case("threadfence _block _system", fences, 1, 64, lambda g: (_numbers(g, np.int32), np.zeros((4, 64), np.int32)), _four_times),
    Case("nanosleep", nanosleep, 1, 64, lambda g: (_numbers(g, np.int32), np.zeros(64, np.int32)), _four_times),
    *_shuffles(shfl_sync, _absolute, None),
    *_shuffles(shfl_up_sync, lambda own, offset: own - offset, 5),
    *_shuffles(shfl_down_sync, lambda own, offset: own + offset, 7),
    *_shuffles(shfl_xor_sync, lambda own, offset: own ^ offset, 11),
    Case("all_sync any_sync eq_sync ballot_sync", votes, 1, 192, lambda g: (_bits(g), *np.zeros((3, 192), np.bool_), np.zeros(192, np.int32)), _votes),
    Case("ballot_sync of some lanes", masked_votes, 1, 192, lambda g: (_bits(g), np.zeros(192, np.int32)), _masked_votes),
    *_matches(match_any_sync, _match_any_sync, (np.int32,)),
    *_matches(match_all_sync, _match_all_sync, (np.int32, np.bool_)),
]
