"""Rows for what the lanes of a warp do together: shuffles, votes, matches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, int32

from tests.simulate.kernels.case import Case

FULL = 0xFFFFFFFF
SHUFFLED = (np.int32, np.float32, np.int64, np.float64)


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


def _lanes(lane, size, below):
    lane[:], size[:] = np.arange(lane.size) % 32, 32
    below[:] = (1 << lane.astype(np.int64)) - 1


def _activemask(out):
    for warp in range(2):
        here = [i for i in range(32 * warp, 32 * warp + 32) if i % 3 == 0]
        out[here] = sum(1 << (i % 32) for i in here)


def _syncwarp(x, out):
    out[:] = x[np.arange(32) ^ 1]
    out[:16] = x[:16] + 1  # swapped, one added, and swapped back


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


def numbers(generator, dtype: Any, n: int = 64) -> np.ndarray:
    """Bits of every kind: all of a wide number must travel."""
    if np.issubdtype(dtype, np.integer):
        return generator.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, n, dtype)
    return generator.standard_normal(n).astype(dtype)


def _shuffles(kernel, source, offset):
    def arguments(generator, dtype):
        lanes = generator.integers(0, 40, 64, np.int32) if source is _absolute else offset
        return numbers(generator, dtype), np.full(64, lanes, np.int32), np.zeros(64, dtype)

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


def bits(generator):
    x = generator.integers(0, 2, 192, np.int32)
    x[:64], x[64:128] = 0, 7
    return x


ROWS = [
    Case(
        "laneid warpsize lanemask_lt",
        lanes,
        1,
        72,
        lambda g: (*np.zeros((2, 72), np.int32), np.zeros(72, np.uint32)),
        _lanes,
    ),
    Case("activemask", activemask, 1, 64, lambda g: (np.zeros(64, np.uint32),), _activemask),
    Case(
        "syncwarp",
        syncwarp,
        1,
        32,
        lambda g: (numbers(g, np.int32, 32), np.zeros(32, np.int32)),
        _syncwarp,
    ),
    *_shuffles(shfl_sync, _absolute, None),
    *_shuffles(shfl_up_sync, lambda own, offset: own - offset, 5),
    *_shuffles(shfl_down_sync, lambda own, offset: own + offset, 7),
    *_shuffles(shfl_xor_sync, lambda own, offset: own ^ offset, 11),
    Case(
        "all_sync any_sync eq_sync ballot_sync",
        votes,
        1,
        192,
        lambda g: (bits(g), *np.zeros((3, 192), np.bool_), np.zeros(192, np.int32)),
        _votes,
    ),
    Case(
        "ballot_sync of some lanes",
        masked_votes,
        1,
        192,
        lambda g: (bits(g), np.zeros(192, np.int32)),
        _masked_votes,
    ),
    *_matches(match_any_sync, _match_any_sync, (np.int32,)),
    *_matches(match_all_sync, _match_all_sync, (np.int32, np.bool_)),
]
