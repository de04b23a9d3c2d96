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
from gpugrad.simulate.machine.fragment import WARP, Fragment, Grid, merged
from gpugrad.simulate.machine.memory import OUTSIDE, Memory, Segment
from gpugrad.simulate.machine.standstill import Standstill
from gpugrad.simulate.ptx.flatten import GRID_SYNC
from gpugrad.simulate.ptx.syntax import Immediate
from gpugrad.simulate.races.access_log import ATOMIC, READ, STRONG, WRITE
from gpugrad.simulate.races.detector import Conflict, Races
from gpugrad.simulate.report.counts import Counts

if TYPE_CHECKING:
    from gpugrad.simulate.machine.decode import Decoded
    from gpugrad.simulate.ptx.program import Program

CHUNK = 1 << 15  # lanes that run together: more do not stay in a processor's cache
LONELY = 100  # turns of a loop with nobody to give way to, before blocks that wait are let in
PATIENCE = 1 << 16  # turns of any loop, before it gives way once
KINDS = {"load": READ, "store": WRITE, "atomic": ATOMIC}
STRONG_KINDS = {"load": STRONG, "store": ATOMIC, "atomic": ATOMIC}
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
        self.name, self.checks, self.limit = name, checks, limit
        self.threads = grid.threads
        self.shared_bytes = grid.static + grid.dynamic
        self.shared_stride = -(-max(self.shared_bytes, 1) // 128) * 128
        self.local_bytes = decoded.local_bytes
        self.ready: dict[int, list[Fragment]] = {}
        self.parted: dict[int, list[Fragment]] = {}  # lanes at a shuffle that wait for others
        self.barriers = Barriers(self)
        self.standstill = Standstill(self)
        self.patience = PATIENCE
        self.turns = False  # whether some fragment has given way
        self.begun = 0  # blocks
        self.since = 0  # the first of those that share the private memory of now
        self.lonely = 0
        self.effort = 0
        opcodes = self.program.opcodes()
        fences = bool(opcodes & {"membar", "fence"}) and bool(opcodes & {"atom", "red"})
        self.races = None
        if checks:
            self.races = Races(grid.blocks, grid.threads, fences, *_parts_that_meet(self.program))
        self.counts = Counts(len(self.program.code))
        self.lanes = [0] * len(self.program.blocks)
        self.warps = [0] * len(self.program.blocks)
        self.room = [0] * len(self.program.blocks)
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
        steps, ways, checks = self.decoded.steps, self.ways, self.checks
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
                        if checks:
                            self._count(at, f)
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
        if not self.checks:
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

    # Watching

    def _count(self, at: int, f: Fragment) -> None:
        warps = f.warps()
        self.lanes[at] += f.n
        self.warps[at] += len(warps)
        partial = WARP * self.grid.warps - self.threads
        room = WARP * len(warps)
        if partial:
            last = warps.number[warps.begins] % self.grid.warps == self.grid.warps - 1
            room -= partial * int(np.count_nonzero(last))
        self.room[at] += room

    def watch(
        self,
        f: Fragment,
        segment: Segment,
        offset: Any,
        lanes: Any,
        nbytes: int,
        pc: int,
        kind: str,
        storing: tuple[Any, Any, list[Any]] | None,
    ) -> None:
        """Tell the counts and the race detector of an access."""
        if segment is self.local or self.races is None:
            return
        block, thread = f.block, f.thread
        if lanes is not None:
            block, thread = block[lanes], thread[lanes]
        number = f.warps().number if lanes is None else f.warps().number[lanes]
        if segment is self.shared:
            self.counts.shared(pc, number, offset, nbytes, kind, thread & 31)
        else:
            self.counts.memory(pc, number, offset, nbytes, kind)
        same = key = None
        if storing is not None:
            view, first, stored = storing
            same, key = _same(view, first, stored, len(block))
        where = np.broadcast_to(offset, len(block))
        kinds = STRONG_KINDS if pc in self.decoded.strong else KINDS
        try:
            self.races.access(
                segment, where, nbytes, kinds[kind], block, thread, pc, same, value_key=key
            )
        except Conflict as conflict:
            blame.race(self, f, lanes, conflict, segment, where, pc)

    def fence(self, f: Fragment) -> None:
        """These lanes have executed a memory fence."""
        if self.races is not None:
            self.races.fence(f.block, f.thread)

    def warp_synced(self, f: Fragment, masks: Any) -> None:
        """These lanes have met in `bar.warp.sync`."""
        if self.races is not None:
            self.races.syncwarp(f.block, f.thread, masks)

    def finished(self) -> Counts:
        """The counts of the launch, each instruction's own."""
        for k, block in enumerate(self.program.blocks):
            if self.lanes[k]:
                for pc in range(block.begin, block.end):
                    self.counts.executed(pc, self.lanes[k], self.warps[k], self.room[k])
        return self.counts


def _parts_that_meet(program: Program) -> tuple[bool, bool]:
    """Whether parts of a block meet other than at its barriers, and whether parts of a warp do."""
    syncwarps = [i for i in program.code if i.opcode.startswith("bar.warp")]
    counted = any(
        i.opcode.startswith(("bar.", "barrier.")) and "warp" not in i.opcode
        and len(i.operands) > (3 if ".red" in i.opcode else 1)
        for i in program.code
    )  # fmt: skip
    parts = [i for i in syncwarps if i.operands not in ([Immediate(-1)], [Immediate(0xFFFFFFFF)])]
    return bool(syncwarps) or counted, bool(parts) or counted


def _same(view: Any, first: Any, stored: list[Any], n: int) -> tuple[Any, Any]:
    """Whether each lane stores what is there, and the bits that tell lanes' values apart."""
    bits = np.dtype(f"u{view.dtype.itemsize}")
    there, key = np.ones(1, bool), []
    for k, value in enumerate(stored):
        new = np.ascontiguousarray(value).view(bits)
        there = there & (view[first + k].view(bits) == new)
        key.append(np.broadcast_to(new, n))
    return np.broadcast_to(there, n), key[0] if len(key) == 1 else np.stack(key, axis=-1)
