"""The interpreter: which threads step next, where they part, where they meet, when they hang.

Fragments of threads wait at blocks of instructions. The one at the lowest place goes on, with all
others that wait at the same place, so that threads that parted meet again at the earliest. Two
things bend that rule: a loop that may be waiting for another thread (it holds an atomic or a fence)
gives way to the others each time around, as cards from 7.0 on guarantee; and a grid that waits for
blocks that have not begun gets them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.simulate.machine import blame
from gpugrad.simulate.machine.barriers import Barriers
from gpugrad.simulate.machine.control import Way
from gpugrad.simulate.machine.fragment import Fragment, Grid, merged
from gpugrad.simulate.machine.memory import OUTSIDE, Memory, Segment
from gpugrad.simulate.machine.standstill import Standstill
from gpugrad.simulate.machine.watch import Watch
from gpugrad.simulate.ptx.flatten import GRID_SYNC

if TYPE_CHECKING:
    from gpugrad.simulate.machine.decode import Decoded

CHUNK = 1 << 15  # lanes that run together: more do not stay in a processor's cache
LONELY = 100  # turns of a loop with nobody to give way to, before blocks that wait are let in
PRIVATE = 1 << 28  # bytes of shared (and of local) memory for blocks that run at the same time


class Machine:
    """One launch of a kernel.

    Args:
        decoded: the kernel.
        memory: the device's.
        parameters: the parameter buffer.
        checks: look for races and unwritten memory, and count.
        limit: how many instructions the blocks that run together may take (`Program.effort`).
    """

    def __init__(
        self,
        decoded: Decoded,
        ways: list[Way],
        grid: Grid,
        memory: Memory,
        parameters: bytes,
        *,
        name: str,
        checks: bool,
        limit: int,
    ) -> None:
        self.decoded, self.ways, self.grid, self.memory = decoded, ways, grid, memory
        self.program, self.parameters = decoded.program, parameters
        self.name, self.limit = name, limit
        self.threads = grid.threads
        self.shared_bytes = grid.static + grid.dynamic
        self.shared_stride = -(-max(self.shared_bytes, 1) // 128) * 128
        self.local_bytes = decoded.local_bytes
        self.ready: dict[int, list[Fragment]] = {}
        self.parted: dict[int, list[Fragment]] = {}  # lanes at a shuffle that wait for others
        self.barriers = Barriers(self)
        self.standstill = Standstill(self)
        self.turns = False  # whether some fragment has given way
        self.begun = 0  # blocks
        self.since = 0  # the first of those that share the private memory of now
        self.lonely = 0
        self.effort = 0
        self.watch = Watch(self) if checks else None
        self.races = self.watch.races if self.watch is not None else None
        private = max(self.shared_stride, self.threads * self.local_bytes)
        self.together = max(1, CHUNK // self.threads)
        if any(i.opcode == f"call.{GRID_SYNC}" for i in self.program.code):
            self.together = grid.blocks
        self.slots = min(grid.blocks, max(PRIVATE // private, self.together))
        self._make_private()

    # Running

    def run(self) -> None:
        """Run every block of the grid to its end.

        Raises:
            Fault: whatever the kernel did wrong.
        """
        steps, ways, watch = self.decoded.steps, self.ways, self.watch
        efforts = [self.program.effort(block) for block in self.program.blocks]
        with np.errstate(all="ignore"):
            while self.begun < self.grid.blocks:
                if self.begun and self.slots < self.grid.blocks:
                    self._make_private()
                self._begin(self.together)
                while True:
                    f = self._next()
                    if f is None:
                        break
                    while f is not None:
                        at = f.at
                        for step in steps[at]:
                            step(self, f)
                        if watch is not None:
                            watch.block(at, f)
                        self.effort += efforts[at]
                        if self.effort > self.limit:
                            blame.hang(self, f, at)
                        f = ways[at](self, f)
                        if f is not None and self.ready and f.at >= min(self.ready):
                            self.add(f)
                            f = None

    def add(self, f: Fragment) -> None:
        """Let a fragment wait for its turn."""
        self.ready.setdefault(f.at, []).append(f)

    def give_way(self, f: Fragment) -> None:
        """Let a fragment wait until all others have had their turn."""
        f.turn += 1
        self.turns = True
        if self.ready:
            self.lonely = 0
        else:
            self.lonely += 1
            if self.lonely > LONELY:
                self.let_in()
        self.add(f)
        self.standstill.look(f)

    def let_in(self) -> bool:
        """Start blocks that those which run may wait for, if there are any and room for them."""
        room = self.slots - (self.begun - self.since)
        if self.begun == self.grid.blocks or not room:
            return False
        self.lonely = 0
        self._begin(min(self.together, room))
        return True

    def _next(self) -> Fragment | None:
        """The fragments at the lowest place, as one; None when every thread has ended."""
        if not self.ready:
            if self.parted:
                blame.stranded(self)
            self.barriers.check_nobody_waits()
            return None
        if self.turns:
            first = min((min(f.turn for f in fs), at) for at, fs in self.ready.items())[1]
        else:
            first = min(self.ready)
        waiting = self.ready.pop(first)
        return merged(waiting, self.program.blocks[first].live, self.decoded.dtypes)

    def _begin(self, blocks: int) -> None:
        """Start the next blocks of the grid."""
        first, last = self.begun, min(self.begun + blocks, self.grid.blocks)
        self.begun, self.effort = last, 0
        block = np.repeat(np.arange(first, last), self.threads)
        thread = np.tile(np.arange(self.threads), last - first)
        self.add(Fragment(self.grid, block, thread, [None] * len(self.program.numbers), 0))

    def _make_private(self) -> None:
        """Fresh, unwritten shared and local memory; what lies between variables is outside."""
        decoded, lanes = self.decoded, self.slots * self.threads
        self.since = self.begun
        self.shared = Segment(0, self.slots * self.shared_stride, "shared memory")
        self.local = Segment(0, lanes * self.local_bytes, "local memory")
        if self.watch is None:
            self.shared.state = self.local.state = None
            return
        for segment, stride, gaps in (
            (self.shared, self.shared_stride, decoded.shared_gaps),
            (self.local, self.local_bytes, decoded.local_gaps),
        ):
            assert segment.state is not None
            for begin, end in gaps:
                if end > begin:
                    segment.state[: segment.nbytes].reshape(-1, stride)[:, begin:end] = OUTSIDE

    def slot(self, f: Fragment) -> Any:
        """Which part of the private memory each lane's block has."""
        if f.block[0] == f.block[-1]:
            return f.block[:1] % self.slots
        return f.block if self.slots == self.grid.blocks else f.block % self.slots
