"""When blocks and whole warps last synchronised, and so what comes after what in the shadow."""

from __future__ import annotations

import numpy as np

from gpugrad.simulate.races.access_log import SPAN_BITS, Ints
from gpugrad.simulate.races.shadow import BLOCK, NONE, SPAN, WARP, WARP_BITS, Accessors, Where


class Epochs:
    """When blocks and whole warps last synchronised.

    Args:
        blocks: of the grid.
        bits: of a thread's place in its block.
        syncwarps: whether warps ever do.
    """

    def __init__(self, blocks: int, bits: int, syncwarps: bool) -> None:
        self.bits = bits
        self.any = False
        self.barriers: Ints = np.zeros(blocks, np.int64)
        self.warps: Ints | None = None
        if syncwarps:
            self.warps = np.zeros(blocks << (bits - WARP_BITS), np.int64)

    def late(self, seen: Accessors | None, where: Where, tag: Ints) -> Ints:
        """The positions in `where` and `tag` whose thread comes not after all of a set."""
        if seen is None:
            return NONE
        old = seen.tag[where]
        if not old.any():
            return NONE
        late = np.flatnonzero((old != tag) & (old != 0))
        if late.size and self.any:
            when, old, tag = seen.when[where][late], old[late], tag[late]
            span, apart = old & SPAN, (old ^ tag) >> SPAN_BITS
            after = (apart >> self.bits == 0) & (span <= BLOCK)
            after &= when < self.barriers[tag >> (SPAN_BITS + self.bits)]
            if self.warps is not None:
                together = (apart >> WARP_BITS == 0) & (span <= WARP)
                after |= together & (when < self.warps[tag >> (SPAN_BITS + WARP_BITS)])
            late = late[~after]
        return late
