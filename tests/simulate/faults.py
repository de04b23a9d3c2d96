"""Twelve mistakes that a GPU hides or only crashes on, and each kernel mended.

The comment `# fault` marks the line that must be reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda, float32, int32

from gpugrad import simulate

Place = tuple[int, int, int]


@dataclass(frozen=True)
class Planted:
    """A faulty kernel, its mended twin, and how the first must be reported.

    `raises` is an exception, or the kind of a finding. `blocks` and `threads` are those that may be
    named: where several make the mistake, any of them. `other` is the line of the other access of
    a race, if it is not the marked one.
    """

    name: str
    faulty: Any
    mended: Any
    grid: int | tuple[int, ...]
    block: int | tuple[int, ...]
    arguments: Callable[[], tuple[Any, ...]]
    raises: type[simulate.Fault] | str
    match: str
    blocks: tuple[Place, ...] = ((0, 0, 0),)
    threads: tuple[Place, ...] = ()
    other: str | None = None

    def __str__(self) -> str:
        return self.name


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
    tile[t] = x[t]  # written
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


def _ramp(*shape: int) -> np.ndarray:
    return np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)


def _threads(*numbers: int) -> tuple[Place, ...]:
    return tuple((number, 0, 0) for number in numbers)


PLANTED = [
    Planted(
        "off-by-one read",
        difference_too_far,
        difference,
        2,
        64,
        lambda: (_ramp(100), _ramp(100)),
        simulate.MemoryFault,
        r"load",
        blocks=((1, 0, 0),),
        threads=_threads(35),
    ),
    Planted(
        "write past the end",
        fill_unguarded,
        fill_guarded,
        2,
        64,
        lambda: (np.float32(7), _ramp(100)),
        simulate.MemoryFault,
        r"store",
        blocks=((1, 0, 0),),
        threads=_threads(*range(36, 64)),
    ),
    Planted(
        "misaligned cast",
        words_from_byte_1,
        words_from_byte_4,
        1,
        32,
        lambda: (np.arange(84, dtype=np.uint8), np.zeros(20, np.int32)),
        simulate.MemoryFault,
        r"align",
        threads=_threads(*range(20)),
    ),
    Planted(
        "missing barrier",
        reverse_unsynchronised,
        reverse,
        1,
        64,
        lambda: (_ramp(64), _ramp(64)),
        simulate.RaceError,
        r"nothing orders",
        threads=_threads(*range(64)),
        other="written",
    ),
    Planted(
        "barrier in a branch",
        shift_with_barrier_in_branch,
        shift_with_barrier_for_all,
        1,
        64,
        lambda: (_ramp(64), _ramp(64)),
        simulate.BarrierError,
        r"barrier",
        threads=_threads(*range(64)),
    ),
    Planted(
        "shared memory read before written",
        neighbours_without_edge,
        neighbours_with_edge,
        1,
        64,
        lambda: (_ramp(64), _ramp(64)),
        simulate.MemoryFault,
        r"written",
        threads=_threads(0, 63),
    ),
    Planted(
        "lost update without an atomic",
        count_plainly,
        count_atomically,
        2,
        32,
        lambda: (np.arange(50, dtype=np.int32) % 7, np.zeros(7, np.int32)),
        simulate.RaceError,
        r"nothing orders",
        blocks=((0, 0, 0), (1, 0, 0)),
        threads=_threads(*range(32)),
    ),
    Planted(
        "two blocks writing one address",
        scale_by_thread_only,
        scale_by_grid,
        2,
        32,
        lambda: (_ramp(64), _ramp(64)),
        simulate.RaceError,
        r"nothing orders",
        blocks=((0, 0, 0), (1, 0, 0)),
        threads=_threads(*range(32)),
    ),
    Planted(
        "shuffle in a diverged warp",
        sum_in_half_a_warp,
        sum_in_a_warp,
        1,
        32,
        lambda: (_ramp(32), _ramp(16)),
        simulate.ShuffleError,
        r"mask",
        threads=_threads(*range(16)),
    ),
    Planted(
        "float64 literal",
        scale_by_double,
        scale_by_single,
        2,
        64,
        lambda: (_ramp(100), _ramp(100)),
        "float64",
        r"mul.f64|float64",
    ),
    Planted(
        "stride that breaks coalescing",
        row_sums_across,
        row_sums_along,
        2,
        32,
        lambda: (_ramp(64, 64), _ramp(64)),
        "uncoalesced",
        r"sectors",
    ),
    Planted(
        "32-way bank conflict",
        transpose_in_one_bank,
        transpose_in_all_banks,
        1,
        (32, 32),
        lambda: (_ramp(32, 32), _ramp(32, 32)),
        "bank conflict",
        r"bank",
    ),
]
