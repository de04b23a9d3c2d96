"""Lanes of a warp that exchange values: shuffles, votes, ballots and matches."""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float32, int32, uint32

from tests.simulate.kernels.case import Case, floats

FULL = 0xFFFFFFFF
THREADS = 128
WARPS = THREADS // 32


@cuda.jit(device=True)
def warp_sum(value):
    """In every lane, the sum of the warp's values."""
    reach = int32(16)
    while reach > int32(0):
        value += cuda.shfl_xor_sync(FULL, value, reach)
        reach = int32(reach >> 1)
    return value


@cuda.jit(device=True)
def warp_max(value):
    reach = int32(16)
    while reach > int32(0):
        value = max(value, cuda.shfl_xor_sync(FULL, value, reach))
        reach = int32(reach >> 1)
    return value


@cuda.jit(device=True)
def block_sum(value, parts):
    """In every thread, the sum of the block's values; `parts` is shared, one element a warp."""
    value = warp_sum(value)
    if cuda.threadIdx.x % 32 == 0:
        parts[cuda.threadIdx.x // 32] = value
    cuda.syncthreads()
    total = float32(0)
    for k in range(int32(WARPS)):
        total += parts[k]
    cuda.syncthreads()
    return total


@cuda.jit
def warp_reduce(x, out):
    i = int32(cuda.grid(1))
    value = x[i] if i < int32(x.size) else float32(0)
    reach = int32(16)
    while reach > int32(0):
        value += cuda.shfl_down_sync(FULL, value, reach)
        reach = int32(reach >> 1)
    if cuda.laneid == 0 and i < int32(x.size):
        out[i // 32] = value


@cuda.jit
def softmax(x, out):
    """Of each row, a warp a row."""
    row = int32(cuda.grid(1) // 32)
    if row >= int32(x.shape[0]):
        return
    columns = int32(x.shape[1])
    lane = int32(cuda.laneid)
    largest = float32(-math.inf)
    c = lane
    while c < columns:
        largest = max(largest, x[row, c])
        c = int32(c + int32(32))
    largest = warp_max(largest)
    total = float32(0)
    c = lane
    while c < columns:
        total += math.exp(x[row, c] - largest)
        c = int32(c + int32(32))
    total = warp_sum(total)
    c = lane
    while c < columns:
        out[row, c] = math.exp(x[row, c] - largest) / total
        c = int32(c + int32(32))


@cuda.jit
def cross_entropy(logits, labels, loss, gradient):
    """Mean of softmax cross-entropy and its gradient, a block of THREADS a row."""
    parts = cuda.shared.array(THREADS, float32)
    row, t = int32(cuda.blockIdx.x), int32(cuda.threadIdx.x)
    rows, columns = int32(logits.shape[0]), int32(logits.shape[1])
    parts[t] = logits[row, t] if t < columns else float32(-math.inf)
    cuda.syncthreads()
    reach = int32(THREADS // 2)
    while reach > int32(0):
        if t < reach:
            parts[t] = max(parts[t], parts[int32(t + reach)])
        cuda.syncthreads()
        reach = int32(reach >> 1)
    largest = parts[0]
    cuda.syncthreads()
    mine = math.exp(logits[row, t] - largest) if t < columns else float32(0)
    total = block_sum(mine, parts)
    if t < columns:
        share = mine / total
        if t == labels[row]:
            cuda.atomic.add(loss, 0, -math.log(share) / float32(rows))
            share -= float32(1)
        gradient[row, t] = share / float32(rows)


@cuda.jit
def layer_norm(x, scale, shift, epsilon, out):
    """Each row to mean 0 and variance 1, then scaled and shifted; a block a row."""
    parts = cuda.shared.array(WARPS, float32)
    row, columns = int32(cuda.blockIdx.x), int32(x.shape[1])
    total = float32(0)
    c = int32(cuda.threadIdx.x)
    while c < columns:
        total += x[row, c]
        c = int32(c + int32(THREADS))
    mean = block_sum(total, parts) / float32(columns)
    total = float32(0)
    c = int32(cuda.threadIdx.x)
    while c < columns:
        total += (x[row, c] - mean) * (x[row, c] - mean)
        c = int32(c + int32(THREADS))
    scaled = float32(1) / math.sqrt(block_sum(total, parts) / float32(columns) + epsilon)
    c = int32(cuda.threadIdx.x)
    while c < columns:
        out[row, c] = (x[row, c] - mean) * scaled * scale[c] + shift[c]
        c = int32(c + int32(THREADS))


@cuda.jit
def compact(x, out, counts):
    """Each block moves its positive elements to the front of its part of `out`."""
    before = cuda.shared.array(WARPS, int32)
    t, lane = int32(cuda.threadIdx.x), int32(cuda.laneid)
    i = int32(cuda.grid(1))
    value = x[i] if i < int32(x.size) else int32(0)
    kept = cuda.ballot_sync(FULL, value > int32(0))
    if lane == 0:
        before[t // 32] = cuda.popc(kept)
    cuda.syncthreads()
    place = int32(cuda.popc(uint32(kept) & cuda.lanemask_lt()))
    for warp in range(int32(t // 32)):
        place = int32(place + before[warp])
    if value > int32(0):
        out[int32(cuda.blockIdx.x * THREADS + place)] = value
    if t == THREADS - 1:
        counts[cuda.blockIdx.x] = place + (int32(1) if value > int32(0) else int32(0))


@cuda.jit
def grouped_histogram(keys, counts, agreed):
    """Lanes with the same key add once; `agreed` says of a warp whether all its keys are even."""
    i = int32(cuda.grid(1))
    key = keys[i]
    peers = uint32(cuda.match_any_sync(FULL, key))
    if int32(cuda.laneid) == int32(cuda.ffs(peers)) - 1:
        cuda.atomic.add(counts, key, int32(cuda.popc(peers)))
    even = cuda.all_sync(FULL, key & 1 == 0)
    odd = cuda.any_sync(FULL, key & 1 == 1)
    if cuda.laneid == 0:
        agreed[i // 32] = int32(1 if even and not odd else 0)


def _warp_reduce(x, out):
    values = np.zeros((len(out), 32), np.float32)
    values.ravel()[: len(x)] = x
    for reach in (16, 8, 4, 2, 1):  # in the kernel's order
        values = values[:, :reach] + values[:, reach : 2 * reach]
    out[:] = values[:, 0]


def _softmax(x, out):
    z = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    out[:] = z / z.sum(axis=1, keepdims=True)


def _cross_entropy(logits, labels, loss, gradient):
    share = np.zeros(logits.shape)
    _softmax(logits, share)
    rows = np.arange(len(labels))
    loss[0] = -np.log(share[rows, labels]).mean()
    share[rows, labels] -= 1
    gradient[:] = share / len(labels)


def _layer_norm(x, scale, shift, epsilon, out):
    z = x.astype(np.float64)
    z -= z.mean(axis=1, keepdims=True)
    out[:] = z / np.sqrt((z**2).mean(axis=1, keepdims=True) + epsilon) * scale + shift


def _compact(x, out, counts):
    for block in range(len(counts)):
        part = x[block * THREADS : (block + 1) * THREADS]
        kept = part[part > 0]
        counts[block] = len(kept)
        out[block * THREADS : block * THREADS + len(kept)] = kept


def _grouped_histogram(keys, counts, agreed):
    counts += np.bincount(keys, minlength=len(counts)).astype(np.int32)
    agreed[:] = (keys.reshape(-1, 32) % 2 == 0).all(axis=1)


def _keys(generator):
    keys = generator.integers(0, 11, 256, np.int32)
    keys[64:96] *= 2
    keys[64:96] %= 10
    return keys, np.zeros(11, np.int32), np.zeros(8, np.int32)


CASES = [
    Case(
        "warp_reduce",
        warp_reduce,
        3,
        64,
        lambda g: (floats(g, 170), np.zeros(6, np.float32)),
        _warp_reduce,
    ),
    Case(
        "softmax",
        softmax,
        3,
        64,
        lambda g: (floats(g, 5, 45), np.zeros((5, 45), np.float32)),
        _softmax,
        relative=1e-6,
        why="exp is good to 2 units in the last place, the sum of 45 terms to a few",
    ),
    Case(
        "cross_entropy",
        cross_entropy,
        5,
        THREADS,
        lambda g: (
            floats(g, 5, 77),
            g.integers(0, 77, 5, np.int32),
            np.zeros(1, np.float32),
            floats(g, 5, 77),
        ),
        _cross_entropy,
        relative=2e-6,
        absolute=1e-7,
        why="exp and log, and a sum of atomics in any order",
    ),
    Case(
        "layer_norm",
        layer_norm,
        3,
        THREADS,
        lambda g: (
            floats(g, 3, 201),
            floats(g, 201),
            floats(g, 201),
            np.float32(1e-5),
            floats(g, 3, 201),
        ),
        _layer_norm,
        relative=2e-6,
        absolute=1e-6,
        why="sums of 201 float32, in the kernel's order and in NumPy's",
    ),
    Case(
        "compact",
        compact,
        3,
        THREADS,
        lambda g: (
            g.integers(-9, 9, 300, np.int32),
            np.zeros(3 * THREADS, np.int32),
            np.zeros(3, np.int32),
        ),
        _compact,
    ),
    Case("grouped_histogram", grouped_histogram, 2, 128, _keys, _grouped_histogram),
]
