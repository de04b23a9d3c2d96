"""A CUDA kernel with a mistake, run with no GPU: what the simulated one says; then mended.

Each block adds up a column of a matrix: its threads add some rows each, and then each other's sums.
"""

import numpy as np
from numba import cuda, float32, int32

from gpugrad import simulate

THREADS = 64


@cuda.jit
def hasty(x, sums):
    found = cuda.shared.array(THREADS, float32)
    t = cuda.threadIdx.x
    total, row = float32(0), int32(t)
    while row < x.shape[0]:
        total += x[row, cuda.blockIdx.x]
        row = int32(row + THREADS)
    found[t] = total
    half = int32(THREADS // 2)
    while half > 0:
        if t < half:  # nothing says that thread t + half has stored its sum
            found[t] += found[t + half]
        cuda.syncthreads()
        half = int32(half // 2)
    if t == 0:
        sums[cuda.blockIdx.x] = found[0]


@cuda.jit
def patient(x, sums):
    found = cuda.shared.array(THREADS, float32)
    t = cuda.threadIdx.x
    total, row = float32(0), int32(t)
    while row < x.shape[0]:
        total += x[row, cuda.blockIdx.x]
        row = int32(row + THREADS)
    found[t] = total
    half = int32(THREADS // 2)
    while half > 0:
        cuda.syncthreads()
        if t < half:
            found[t] += found[t + half]
        half = int32(half // 2)
    if t == 0:
        sums[cuda.blockIdx.x] = found[0]


x, sums = np.random.default_rng(0).random((1000, 20), np.float32), np.zeros(20, np.float32)
try:
    simulate.run(hasty, 20, THREADS, x, sums)
except simulate.RaceError as error:
    print(error, end="\n\n")
report = simulate.run(patient, 20, THREADS, x, sums)
print(report.lines(), report.findings[0].text, sep="\n\n")
print(f"\nsums right to {abs(sums / x.sum(0, dtype=np.float64) - 1).max():.0e}")
