"""What is noted of a launch as it runs: accesses, for races and counts, and what is executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.simulate.machine import blame
from gpugrad.simulate.machine.fragment import Fragment
from gpugrad.simulate.machine.memory import Segment
from gpugrad.simulate.ptx.syntax import Immediate
from gpugrad.simulate.races.access_log import ATOMIC, READ, STRONG, WRITE
from gpugrad.simulate.races.detector import Conflict, Races
from gpugrad.simulate.report.counts import Counts, warps_and_room

if TYPE_CHECKING:
    from gpugrad.simulate.machine.machine import Machine
    from gpugrad.simulate.ptx.program import Program

KINDS = {"load": READ, "store": WRITE, "atomic": ATOMIC}
STRONG_KINDS = {"load": STRONG, "store": ATOMIC, "atomic": ATOMIC}


class Watch:
    """The race detector and the counts of a launch."""

    def __init__(self, machine: Machine) -> None:
        program, grid = machine.program, machine.grid
        opcodes = program.opcodes()
        fences = bool(opcodes & {"membar", "fence"}) and bool(opcodes & {"atom", "red"})
        self.machine = machine
        self.races = Races(grid.blocks, grid.threads, fences, *_parts_that_meet(program))
        self.counts = Counts(len(program.code))
        # Lanes, warps and the room in them, by block of instructions: its own share them all.
        self.executed = [[0, 0, 0] for _ in program.blocks]

    def block(self, at: int, f: Fragment) -> None:
        """These lanes have executed a block of instructions."""
        warps = f.warps()
        count, room = warps_and_room(warps.number[warps.begins], f.grid.threads)
        executed = self.executed[at]
        executed[0] += f.n
        executed[1] += count
        executed[2] += room

    def access(
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
        """These lanes access memory: "load", "store" or "atomic".

        Args:
            lanes: which of the fragment's; None for all.
            storing: the view that is about to be stored to, where in it, and what.
        Raises:
            RaceError: nothing orders this access and one before.
        """
        m = self.machine
        if segment is m.local:
            return
        block, thread, number = f.block, f.thread, f.warps().number
        if lanes is not None:
            block, thread, number = block[lanes], thread[lanes], number[lanes]
        if segment is m.shared:
            self.counts.shared(pc, number, offset, nbytes, kind, thread & 31)
        else:
            self.counts.memory(pc, number, offset, nbytes, kind)
        same = key = None
        if storing is not None:
            same, key = _same(*storing, len(block))
        where = np.broadcast_to(offset, len(block))
        kinds = STRONG_KINDS if pc in m.decoded.strong else KINDS
        try:
            self.races.access(
                segment, where, nbytes, kinds[kind], block, thread, pc, same, value_key=key
            )
        except Conflict as conflict:
            blame.race(m, f, lanes, conflict, segment, where, pc)

    def finished(self) -> Counts:
        """The counts of the launch, each instruction's own."""
        for block, executed in zip(self.machine.program.blocks, self.executed, strict=True):
            if executed[0]:
                for pc in range(block.begin, block.end):
                    self.counts.executed(pc, *executed)
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
