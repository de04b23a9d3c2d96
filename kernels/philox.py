"""Philox 4x64-10 for kernels: the words of numpy.random.Philox(key=seed, counter=position).

A block of the stream is four 64-bit words, taken as eight numbers of 32 bits, the low half of a
word first: the numbers that gpugrad/random.py draws from. Any block can be computed by itself.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
"""

from __future__ import annotations

from typing import Any

from numba import cuda, int32, uint64
from numba.cuda import libdevice

from gpugrad.kernels.across_threads import ALL_LANES

MULTIPLIERS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
WEYL = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
M0, M1 = MULTIPLIERS
W0, W1 = WEYL
ROUNDS = 10
NUMBERS = 8  # of a block


@cuda.jit(device=True)
def _high(a: Any, b: Any) -> Any:
    """The upper 64 bits of a product."""
    return uint64(libdevice.umul64hi(a, b))


@cuda.jit(device=True)
def philox(seed: Any, position: Any, block: Any) -> Any:
    """The four words of a block, counted from 0, of the stream from `position` on."""
    # NumPy counts up before it draws: its first block is that of position + 1.
    c0, c1, c2, c3 = uint64(position + uint64(block) + uint64(1)), uint64(0), uint64(0), uint64(0)
    k0, k1 = uint64(seed), uint64(0)
    turn = int32(0)
    while turn < ROUNDS:
        high0, low0 = _high(uint64(M0), c0), uint64(uint64(M0) * c0)
        high1, low1 = _high(uint64(M1), c2), uint64(uint64(M1) * c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = uint64(k0 + uint64(W0)), uint64(k1 + uint64(W1))
        turn = int32(turn + 1)
    return c0, c1, c2, c3


@cuda.jit(device=True)
def _below(word: Any, below: Any, at: Any) -> Any:
    """Two bits, from bit `at` on: whether the low and the high half of a word are < below."""
    low = int32(1) if uint64(word & uint64(0xFFFFFFFF)) < below else int32(0)
    high = int32(2) if uint64(word >> uint64(32)) < below else int32(0)
    return int32((low | high) << at)


@cuda.jit(device=True)
def bits_below(seed: Any, position: Any, block: Any, below: Any) -> Any:
    """Eight bits: which of a block's numbers are < below, the first one's lowest."""
    a, b, c, d = philox(seed, position, block)
    low = _below(a, below, int32(0)) | _below(b, below, int32(2))
    return int32(low | _below(c, below, int32(4)) | _below(d, below, int32(6)))


@cuda.jit(device=True)
def bit_of_lane(bits: Any, turn: Any, lane: Any) -> Any:
    """Of a warp's 256 bits, eight a lane, the one of element 32 * turn + lane.

    So that lanes that drew eight neighbouring elements each can write them side by side, a warp's
    32 at a time.
    """
    of = cuda.shfl_sync(ALL_LANES, bits, int32((turn << 2) + (lane >> 3)))
    return int32((of >> (lane & int32(7))) & 1)
