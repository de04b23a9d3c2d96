"""Threads of a block that work together through shared memory."""

from __future__ import annotations

import numpy as np
from numba import cuda, float32, int32

from tests.simulate.kernels.case import Case, floats, fused

TILE = 16
SCAN = 64
SORT = 128


@cuda.jit
def matmul(a, b, out):
    left = cuda.shared.array((TILE, TILE), float32)
    right = cuda.shared.array((TILE, TILE), float32)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    column, row = cuda.grid(2)
    total = float32(0)
    start = int32(0)
    while start < int32(a.shape[1]):
        inside = row < a.shape[0] and start + x < a.shape[1]
        left[y, x] = a[row, start + x] if inside else float32(0)
        inside = start + y < b.shape[0] and column < b.shape[1]
        right[y, x] = b[start + y, column] if inside else float32(0)
        cuda.syncthreads()
        for k in range(int32(TILE)):
            total += left[y, k] * right[k, x]
        cuda.syncthreads()
        start = int32(start + int32(TILE))
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = total


@cuda.jit
def inclusive_scan(x, out):
    """Sums of all up to here, block by block (Hillis and Steele)."""
    sums = cuda.shared.array(SCAN, int32)
    t = int32(cuda.threadIdx.x)
    i = int32(cuda.grid(1))
    sums[t] = x[i] if i < int32(x.size) else int32(0)
    cuda.syncthreads()
    reach = int32(1)
    while reach < int32(SCAN):
        before = sums[int32(t - reach)] if t >= reach else int32(0)
        cuda.syncthreads()
        sums[t] += before
        cuda.syncthreads()
        reach = int32(reach * int32(2))
    if i < int32(x.size):
        out[i] = sums[t]


@cuda.jit
def column_sum(x, out):
    """Of a matrix: 32 columns a block, its rows dealt out to threadIdx.y."""
    parts = cuda.shared.array((8, 32), float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    column = int32(cuda.blockIdx.x * int32(32) + tx)
    total = float32(0)
    if column < int32(x.shape[1]):
        row = int32(ty)
        while row < int32(x.shape[0]):
            total += x[row, column]
            row = int32(row + int32(8))
    parts[ty, tx] = total
    cuda.syncthreads()
    if ty == 0 and column < int32(x.shape[1]):
        for k in range(int32(1), int32(8)):
            total += parts[k, tx]
        out[column] = total


@cuda.jit
def bitonic_sort(x):
    """Each block sorts its SORT elements."""
    keys = cuda.shared.array(SORT, float32)
    t = int32(cuda.threadIdx.x)
    keys[t] = x[cuda.grid(1)]
    cuda.syncthreads()
    size = int32(2)
    while size <= int32(SORT):
        reach = int32(size >> 1)
        while reach > int32(0):
            other = int32(t ^ reach)
            if other > t:
                a, b = keys[t], keys[other]
                if (a > b) == (t & size == 0):
                    keys[t], keys[other] = b, a
            cuda.syncthreads()
            reach = int32(reach >> 1)
        size = int32(size << 1)
    x[cuda.grid(1)] = keys[t]


@cuda.jit
def life(cells, out):
    """A step of Conway's game; beyond the edges nothing lives."""
    tile = cuda.shared.array((10, 34), int32)
    rows, columns = int32(cells.shape[0]), int32(cells.shape[1])
    tx, ty = int32(cuda.threadIdx.x), int32(cuda.threadIdx.y)
    top, left = int32(cuda.blockIdx.y * int32(8) - 1), int32(cuda.blockIdx.x * int32(32) - 1)
    y = ty
    while y < int32(10):
        x = tx
        while x < int32(34):
            r, c = int32(top + y), int32(left + x)
            inside = int32(0) <= r and r < rows and int32(0) <= c and c < columns
            tile[y, x] = cells[r, c] if inside else int32(0)
            x = int32(x + int32(32))
        y = int32(y + int32(8))
    cuda.syncthreads()
    r, c = int32(top + ty + 1), int32(left + tx + 1)
    if r < rows and c < columns:
        around = int32(0)
        for y in range(int32(3)):
            for x in range(int32(3)):
                around = int32(around + tile[ty + y, tx + x])
        alive = tile[ty + 1, tx + 1]
        out[r, c] = int32(1) if around == 3 or (alive == 1 and around == 4) else int32(0)


@cuda.jit
def transpose(x, out):
    tile = cuda.shared.array((32, 33), float32)  # 33, not 32: a column then lies in 32 banks
    tx, ty = int32(cuda.threadIdx.x), int32(cuda.threadIdx.y)
    top, left = int32(cuda.blockIdx.y * int32(32)), int32(cuda.blockIdx.x * int32(32))
    for k in range(int32(0), int32(32), int32(8)):
        if top + ty + k < x.shape[0] and left + tx < x.shape[1]:
            tile[ty + k, tx] = x[top + ty + k, left + tx]
    cuda.syncthreads()
    for k in range(int32(0), int32(32), int32(8)):
        if left + ty + k < x.shape[1] and top + tx < x.shape[0]:
            out[left + ty + k, top + tx] = tile[tx, ty + k]


@cuda.jit
def reverse_blocks(x, out):
    """Dynamic shared memory: the launch says how much."""
    tile = cuda.shared.array(0, float32)
    t, n = cuda.threadIdx.x, cuda.blockDim.x
    tile[t] = x[cuda.grid(1)]
    cuda.syncthreads()
    out[cuda.grid(1)] = tile[n - 1 - t]


def _matmul(a, b, out):
    out[:] = 0
    for k in range(a.shape[1]):  # in the kernel's order, each product fused with its sum
        out[:] = fused(a[:, k : k + 1], b[k : k + 1], out)


def _inclusive_scan(x, out):
    for start in range(0, len(x), SCAN):
        out[start : start + SCAN] = np.cumsum(x[start : start + SCAN])


def _column_sum(x, out):
    parts = np.zeros((8, x.shape[1]), np.float32)
    for row in range(x.shape[0]):
        parts[row % 8] += x[row]
    out[:] = parts[0]
    for part in parts[1:]:
        out += part


def _bitonic_sort(x):
    x.reshape(-1, SORT).sort(axis=1)


def _life(cells, out):
    padded = np.pad(cells, 1)
    rows, columns = cells.shape
    around = sum(padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)) - cells
    out[:] = (around == 3) | ((cells == 1) & (around == 2))


def _transpose(x, out):
    out[:] = x.T


def _reverse_blocks(x, out):
    out[:] = x.reshape(3, -1)[:, ::-1].ravel()


CASES = [
    *(
        Case(
            f"matmul_{m}_{k}_{n}",
            matmul,
            (-(-n // TILE), -(-m // TILE)),
            (TILE, TILE),
            lambda g, m=m, k=k, n=n: (floats(g, m, k), floats(g, k, n), floats(g, m, n)),
            _matmul,
        )
        for m, k, n in ((32, 32, 16), (19, 21, 17))
    ),
    Case(
        "inclusive_scan",
        inclusive_scan,
        3,
        SCAN,
        lambda g: (g.integers(-99, 99, 181, np.int32), np.zeros(181, np.int32)),
        _inclusive_scan,
    ),
    Case(
        "column_sum",
        column_sum,
        2,
        (32, 8),
        lambda g: (floats(g, 21, 45), floats(g, 45)),
        _column_sum,
    ),
    Case("bitonic_sort", bitonic_sort, 2, SORT, lambda g: (floats(g, 2 * SORT),), _bitonic_sort),
    Case(
        "life",
        life,
        (2, 3),
        (32, 8),
        lambda g: (g.integers(0, 2, (21, 47), np.int32), np.ones((21, 47), np.int32)),
        _life,
    ),
    Case(
        "transpose",
        transpose,
        (2, 2),
        (32, 8),
        lambda g: (floats(g, 37, 50), np.zeros((50, 37), np.float32)),
        _transpose,
    ),
    Case(
        "reverse_blocks",
        reverse_blocks,
        3,
        45,
        lambda g: (floats(g, 135), np.zeros(135, np.float32)),
        _reverse_blocks,
        shared_bytes=4 * 45,
    ),
]
