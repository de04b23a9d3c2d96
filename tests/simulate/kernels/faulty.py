"""Twelve kernels with a mistake, each before its mended twin.

The comment `# fault` marks the line that must be reported, `# other` the other line of a race.
"""

from __future__ import annotations

import numpy as np
from numba import cuda, float32, int32


@cuda.jit
def difference_too_far(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i + 1] - x[i]  # fault


@cuda.jit
def difference(x, out):
    i = cuda.grid(1)
    if i < out.size - 1:
        out[i] = x[i + 1] - x[i]


@cuda.jit
def fill_unguarded(value, out):
    out[cuda.grid(1)] = value  # fault


@cuda.jit
def fill_guarded(value, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = value


@cuda.jit
def words_from_byte_1(data, out):
    words = data[1:-3].view(np.int32)
    i = cuda.grid(1)
    if i < out.size:
        out[i] = words[i]  # fault


@cuda.jit
def words_from_byte_4(data, out):
    words = data[4:].view(np.int32)
    i = cuda.grid(1)
    if i < out.size:
        out[i] = words[i]


@cuda.jit
def reverse_unsynchronised(x, out):
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]  # other
    out[t] = tile[63 - t]  # fault


@cuda.jit
def reverse(x, out):
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]
    cuda.syncthreads()
    out[t] = tile[63 - t]


@cuda.jit
def shift_with_barrier_in_branch(x, out):
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    if t < 40:
        tile[t] = x[t]
        cuda.syncthreads()  # fault
        out[t] = tile[39 - t]


@cuda.jit
def shift_with_barrier_for_all(x, out):
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    if t < 40:
        tile[t] = x[t]
    cuda.syncthreads()
    if t < 40:
        out[t] = tile[39 - t]


@cuda.jit
def neighbours_without_edge(x, out):
    tile = cuda.shared.array(66, float32)
    t = int32(cuda.threadIdx.x)
    tile[int32(t + 1)] = x[t]
    cuda.syncthreads()
    out[t] = tile[t] + tile[int32(t + 2)]  # fault


@cuda.jit
def neighbours_with_edge(x, out):
    tile = cuda.shared.array(66, float32)
    t = int32(cuda.threadIdx.x)
    tile[int32(t + 1)] = x[t]
    if t == 0:
        tile[0], tile[65] = float32(0), float32(0)
    cuda.syncthreads()
    out[t] = tile[t] + tile[int32(t + 2)]


@cuda.jit
def count_plainly(keys, counts):
    i = cuda.grid(1)
    if i < keys.size:
        counts[keys[i]] += 1  # fault


@cuda.jit
def count_atomically(keys, counts):
    i = cuda.grid(1)
    if i < keys.size:
        cuda.atomic.add(counts, keys[i], 1)


@cuda.jit
def scale_by_thread_only(x, out):
    t = cuda.threadIdx.x
    out[t] = x[cuda.grid(1)] * float32(2)  # fault


@cuda.jit
def scale_by_grid(x, out):
    i = cuda.grid(1)
    out[i] = x[i] * float32(2)


@cuda.jit
def sum_in_half_a_warp(x, out):
    t = int32(cuda.threadIdx.x)
    value = x[t]
    if t < 16:
        value += cuda.shfl_down_sync(0xFFFFFFFF, value, 8)  # fault
        out[t] = value


@cuda.jit
def sum_in_a_warp(x, out):
    t = int32(cuda.threadIdx.x)
    value = x[t]
    value += cuda.shfl_down_sync(0xFFFFFFFF, value, 8)
    if t < 16:
        out[t] = value


@cuda.jit
def scale_by_double(x, out):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = x[i] * 0.1  # fault


@cuda.jit
def scale_by_single(x, out):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = x[i] * float32(0.1)


@cuda.jit
def row_sums_across(x, out):
    r = int32(cuda.grid(1))
    if r < int32(x.shape[0]):
        total = float32(0)
        for c in range(int32(x.shape[1])):
            total += x[r, c]  # fault
        out[r] = total


@cuda.jit
def row_sums_along(x, out):
    """The matrix is transposed: neighbouring threads read neighbouring elements."""
    r = int32(cuda.grid(1))
    if r < int32(x.shape[1]):
        total = float32(0)
        for c in range(int32(x.shape[0])):
            total += x[c, r]
        out[r] = total


@cuda.jit
def transpose_in_one_bank(x, out):
    tile = cuda.shared.array((32, 32), float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    tile[ty, tx] = x[ty, tx]
    cuda.syncthreads()
    out[ty, tx] = tile[tx, ty]  # fault


@cuda.jit
def transpose_in_all_banks(x, out):
    tile = cuda.shared.array((32, 33), float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    tile[ty, tx] = x[ty, tx]
    cuda.syncthreads()
    out[ty, tx] = tile[tx, ty]
