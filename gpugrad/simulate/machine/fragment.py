"""Threads at one program counter, with their registers as arrays: one element a thread.

A value that is the same for every thread of a fragment has one element. Arrays are never written
once they stand in a register, so they may be shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
WARP = 32


@dataclass(frozen=True)
class Grid:
    """The threads of a launch: `grid` blocks of `block` threads each, as (x, y, z).

    `static` and `dynamic` are the bytes of shared memory that a block has.
    """

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    static: int = 0
    dynamic: int = 0

    @cached_property
    def threads(self) -> int:
        """Threads of a block."""
        return self.block[0] * self.block[1] * self.block[2]

    @cached_property
    def blocks(self) -> int:
        """Blocks of the grid."""
        return self.grid[0] * self.grid[1] * self.grid[2]

    @cached_property
    def warps(self) -> int:
        """Warps of a block, the last perhaps not full."""
        return -(-self.threads // WARP)

    def index(self, number: int, extent: tuple[int, int, int]) -> tuple[int, int, int]:
        """A linear number as (x, y, z)."""
        x, y, _ = extent
        return number % x, number // x % y, number // (x * y)


class Fragment:
    """Lanes sorted by (block, thread), about to execute the block of instructions `at`.

    Attributes:
        block, thread: of each lane: its block in the grid and its place in that, linear.
        r: the registers.
        turn: how often it gave way to others while it waited for them.
    """

    __slots__ = ("_warps", "at", "block", "grid", "loops", "n", "r", "thread", "turn")

    def __init__(
        self,
        grid: Grid,
        block: Ints,
        thread: Ints,
        r: list[Any],
        at: int,
        turn: int = 0,
        loops: int = 0,
    ) -> None:
        self.grid = grid
        self.block, self.thread, self.r, self.at = block, thread, r, at
        self.turn, self.loops = turn, loops
        self.n = len(block)
        self._warps: Warps | None = None

    def take(self, lanes: Any, live: Sequence[int], at: int) -> Fragment:
        """Some of the lanes, as a fragment of their own, with their live registers."""
        r: list[Any] = [None] * len(self.r)
        for k in live:
            value = self.r[k]
            r[k] = value if value is None or len(value) == 1 else value[lanes]
        block, thread = self.block[lanes], self.thread[lanes]
        return Fragment(self.grid, block, thread, r, at, self.turn, self.loops)

    def warps(self) -> Warps:
        """Which lanes of which warps are here."""
        if self._warps is None:
            self._warps = Warps.of(self.block, self.thread, self.grid.warps)
        return self._warps


@dataclass(frozen=True)
class Warps:
    """The warps of a fragment's lanes.

    Attributes:
        number: (n,) the warp of each lane, in the whole grid.
        begins: (warps,) the first lane of each.
        index: (n,) which of these warps a lane is in.
        lane: (n,) its place in its warp, 0 to 31.
        present: (warps,) uint32, a bit for each lane of the warp that is here.
    """

    number: Ints
    begins: Ints
    index: Ints
    lane: Ints
    present: NDArray[np.uint32]

    @classmethod
    def of(cls, block: Ints, thread: Ints, per_block: int) -> Warps:
        number = block * per_block + (thread >> 5)
        starts = np.empty(len(number), bool)
        starts[0] = True
        np.not_equal(number[1:], number[:-1], out=starts[1:])
        begins = np.flatnonzero(starts)
        index = np.cumsum(starts) - 1
        lane = thread & 31
        bits = np.left_shift(np.uint32(1), lane.astype(np.uint32))
        return cls(number, begins, index, lane, np.bitwise_or.reduceat(bits, begins))

    def __len__(self) -> int:
        return len(self.begins)

    def where(self) -> Ints:
        """(warps, 32): the position of each warp's lanes in the fragment, -1 where absent."""
        table = np.full((len(self), WARP), -1, np.int64)
        table[self.index, self.lane] = np.arange(len(self.number))
        return table


def merged(parts: Sequence[Fragment], live: Sequence[int], dtypes: Sequence[Any]) -> Fragment:
    """Fragments at one place as one.

    Args:
        live: the registers whose values are still needed there.
        dtypes: of all registers, as arrays of bits.
    """
    if len(parts) == 1:
        return parts[0]
    block = np.concatenate([part.block for part in parts])
    thread = np.concatenate([part.thread for part in parts])
    order = None
    if any(_before(b, a) for a, b in pairwise(parts)):
        order = np.lexsort((thread, block))
        block, thread = block[order], thread[order]
    r: list[Any] = [None] * len(parts[0].r)
    for k in live:
        values = [_as_bits(part.r[k], dtypes[k]) for part in parts]
        if all(len(v) == 1 for v in values) and all(v[0] == values[0][0] for v in values):
            r[k] = values[0]
            continue
        whole = np.concatenate(
            [np.broadcast_to(v, part.n) for v, part in zip(values, parts, strict=True)]
        )
        r[k] = whole if order is None else whole[order]
    turn, loops = min(part.turn for part in parts), min(part.loops for part in parts)
    return Fragment(parts[0].grid, block, thread, r, parts[0].at, turn, loops)


def _before(later: Fragment, earlier: Fragment) -> bool:
    """Whether the lanes of `later` do not all come after those of `earlier`."""
    first, last = (later.block[0], later.thread[0]), (earlier.block[-1], earlier.thread[-1])
    return bool(first <= last)


def _as_bits(value: Any, dtype: Any) -> Any:
    """`value` as unsigned bits; zero where a register was never written on the way."""
    if value is None:
        return np.zeros(1, dtype)
    return value if value.dtype is dtype else value.view(dtype)
