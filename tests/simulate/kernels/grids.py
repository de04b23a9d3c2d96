"""Blocks that work together: atomics, fences, a lock, and a barrier of the whole grid."""

from __future__ import annotations

import numpy as np
from numba import cuda, float32, int32, uint32

from tests.simulate.kernels.case import Case, floats

BINS = 16
THREADS = 64


@cuda.jit
def radix_histogram(keys, shift, counts):
    """How often each value of four bits occurs, counted in the block first."""
    mine = cuda.shared.array(BINS, int32)
    t = int32(cuda.threadIdx.x)
    if t < BINS:
        mine[t] = int32(0)
    cuda.syncthreads()
    i = int32(cuda.grid(1))
    while i < int32(keys.size):
        cuda.atomic.add(mine, int32((keys[i] >> shift) & uint32(BINS - 1)), int32(1))
        i = int32(i + int32(cuda.gridsize(1)))
    cuda.syncthreads()
    if t < BINS:
        cuda.atomic.add(counts, t, mine[t])


@cuda.jit
def two_pass_sum(x, parts, done, out):
    """Each block sums its part; the block that finishes last sums the parts."""
    sums = cuda.shared.array(THREADS, float32)
    last = cuda.shared.array(1, int32)
    t = int32(cuda.threadIdx.x)
    i = int32(cuda.grid(1))
    sums[t] = x[i] if i < int32(x.size) else float32(0)
    cuda.syncthreads()
    reach = int32(THREADS // 2)
    while reach > int32(0):
        if t < reach:
            sums[t] += sums[int32(t + reach)]
        cuda.syncthreads()
        reach = int32(reach >> 1)
    if t == 0:
        parts[cuda.blockIdx.x] = sums[0]
        cuda.threadfence()
        last[0] = cuda.atomic.add(done, 0, int32(1))
        cuda.threadfence()
    cuda.syncthreads()
    if last[0] == cuda.gridDim.x - 1 and t == 0:
        total = float32(0)
        for k in range(int32(cuda.gridDim.x)):
            total += parts[k]
        out[0] = total


@cuda.jit
def smooth(x, other, steps):
    """Repeated means of three neighbours; all blocks finish a step before the next."""
    grid = cuda.cg.this_grid()
    i, n = int32(cuda.grid(1)), int32(x.size)
    for _ in range(steps):
        if int32(0) < i and i < int32(n - 1):
            other[i] = (x[int32(i - 1)] + x[i] + x[int32(i + 1)]) * float32(0.25)
        elif i < n:
            other[i] = x[i]
        grid.sync()
        if i < n:
            x[i] = other[i]
        grid.sync()


@cuda.jit
def locked_sum(lock, x, total):
    """One thread of the grid after another adds to `total`, behind a spin lock."""
    i = int32(cuda.grid(1))
    if i < int32(x.size):
        while cuda.atomic.cas(lock, 0, 0, 1) != 0:
            pass
        cuda.threadfence()
        total[0] += x[i]
        cuda.threadfence()
        cuda.atomic.exch(lock, 0, 0)


@cuda.jit
def wide_atomics(x, total, largest, smallest, bits):
    i = int32(cuda.grid(1))
    if i < int32(x.size):
        cuda.atomic.add(total, 0, x[i])
        cuda.atomic.max(largest, 0, x[i])
        cuda.atomic.min(smallest, 0, x[i])
        cuda.atomic.xor(bits, i & 1, x[i])


def _radix_histogram(keys, shift, counts):
    counts += np.bincount((keys >> shift) % BINS, minlength=BINS).astype(np.int32)


def _two_pass_sum(x, parts, done, out):
    values = np.zeros((len(parts), THREADS), np.float32)
    values.ravel()[: len(x)] = x
    reach = THREADS // 2
    while reach:  # in the kernel's order
        values = values[:, :reach] + values[:, reach : 2 * reach]
        reach //= 2
    parts[:] = values[:, 0]
    done[0] = len(parts)
    out[0] = 0
    for part in parts:
        out[0] += part


def _smooth(x, other, steps):
    other[:] = x
    for _ in range(steps):
        other[1:-1] = (x[:-2] + x[1:-1] + x[2:]) * np.float32(0.25)
        x[:] = other


def _locked_sum(lock, x, total):
    total += x.sum(dtype=total.dtype)


def _wide_atomics(x, total, largest, smallest, bits):
    total += x.sum(dtype=x.dtype)
    largest[0], smallest[0] = max(largest[0], x.max()), min(smallest[0], x.min())
    bits ^= [np.bitwise_xor.reduce(x[::2]), np.bitwise_xor.reduce(x[1::2])]


def _wide_arguments(dtype):
    def arguments(generator, n=99):
        limits = np.iinfo(dtype)
        x = generator.integers(limits.min, limits.max, n, dtype)
        return x, *np.zeros((3, 1), dtype), np.zeros(2, dtype)

    return arguments


CASES = [
    Case(
        "radix_histogram",
        radix_histogram,
        3,
        96,
        lambda g: (g.integers(0, 2**32, 501, np.uint32), np.uint32(8), np.zeros(BINS, np.int32)),
        _radix_histogram,
    ),
    Case(
        "two_pass_sum",
        two_pass_sum,
        5,
        THREADS,
        lambda g: (
            floats(g, 301),
            np.zeros(5, np.float32),
            np.zeros(1, np.int32),
            np.zeros(1, np.float32),
        ),
        _two_pass_sum,
    ),
    Case(
        "smooth",
        smooth,
        3,
        64,
        lambda g: (floats(g, 171), np.zeros(171, np.float32), np.int32(4)),
        _smooth,
    ),
    Case(
        "locked_sum",
        locked_sum,
        4,
        64,
        lambda g: (np.zeros(1, np.int32), g.integers(0, 99, 256, np.int32), np.zeros(1, np.int32)),
        _locked_sum,
    ),
    Case("wide_atomics_signed", wide_atomics, 2, 64, _wide_arguments(np.int64), _wide_atomics),
    Case("wide_atomics_unsigned", wide_atomics, 2, 64, _wide_arguments(np.uint64), _wide_atomics),
]
