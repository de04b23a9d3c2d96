"""The ways out of a block of instructions: on, to a label, to both, to the end, or to a meeting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.simulate.faults import MemoryFault, UnsupportedError
from gpugrad.simulate.machine import blame, external
from gpugrad.simulate.machine.barriers import barrier_way
from gpugrad.simulate.machine.fragment import Fragment, merged
from gpugrad.simulate.machine.values import BOOL, UNSIGNED, Values
from gpugrad.simulate.machine.warp import exchange, gather
from gpugrad.simulate.ptx.flow import LEAVE, MEET
from gpugrad.simulate.ptx.syntax import Instruction, Symbol

if TYPE_CHECKING:
    from gpugrad.simulate.machine.decode import Decoded
    from gpugrad.simulate.machine.machine import Machine

PATIENCE = 1 << 16  # turns of any loop, before it gives way once

Go = Callable[["Machine", Fragment], "Fragment | None"]


class Way:
    """What a fragment does at the end of a block: `way(machine, fragment)` is what goes on at once.

    `masks` reads the lanes that an instruction of a warp names.
    """

    def __init__(self, go: Go, masks: Callable[[Fragment], Any] | None = None) -> None:
        self.go = go
        self._masks = masks

    def __call__(self, m: Machine, f: Fragment) -> Fragment | None:
        return self.go(m, f)

    def masks(self, f: Fragment) -> Any:
        """The mask of each lane, or of all."""
        assert self._masks is not None
        return self._masks(f)


def ways(decoded: Decoded) -> list[Way]:
    """The way out of each block."""
    return [_way(decoded, k) for k in range(len(decoded.program.blocks))]


def _way(decoded: Decoded, k: int) -> Way:
    program = decoded.program
    block = program.blocks[k]
    pc = block.end - 1
    last = program.code[pc]
    head = last.opcode.split(".")[0]
    if head in ("ret", "exit"):
        return Way(lambda m, f: None)
    if head == "too_deep":
        return Way(lambda m, f: blame.too_deep(m, f, pc))
    if head == "trap":
        raise UnsupportedError(f"PTX instruction: {last.text}")
    if head == "bra":
        return Way(_branch(decoded, k, last))
    if head == "brx":
        return Way(_switch(decoded, k, last))
    if head in MEET:
        return _meeting(decoded.values, last, k, pc)
    assert head not in LEAVE
    return Way(_on(k + 1))


def _on(to: int) -> Go:
    def go(m: Machine, f: Fragment) -> Fragment:
        f.at = to
        return f

    return go


def _branch(decoded: Decoded, k: int, last: Instruction) -> Go:
    program = decoded.program
    target = program.blocks[k].following[0]
    live = [program.blocks[b].live for b in program.blocks[k].following]
    back, yields = target <= k, k in decoded.yields

    def jump(m: Machine, f: Fragment) -> Fragment | None:
        f.at = target
        if not back:
            return f
        f.loops += 1
        if yields or f.loops % PATIENCE == 0:
            m.give_way(f)
            return None
        return f

    if last.guard is None:
        return jump
    predicate = decoded.values.getter(last.guard, BOOL, last)

    def branch(m: Machine, f: Fragment) -> Fragment | None:
        taken = predicate(f)
        count = int(np.count_nonzero(taken))
        if count == len(taken):
            return jump(m, f)
        if not count:
            f.at = k + 1
            return f
        jumping = f.take(np.flatnonzero(taken), live[0], target)
        m.add(f.take(np.flatnonzero(~taken), live[1], k + 1))
        return jump(m, jumping)

    return branch


def _switch(decoded: Decoded, k: int, last: Instruction) -> Go:
    program = decoded.program
    following, pc = program.blocks[k].following, program.blocks[k].end - 1
    read = decoded.values.getter(last.operands[0], UNSIGNED[4], last)

    def switch(m: Machine, f: Fragment) -> Fragment | None:
        index = np.broadcast_to(read(f), f.n)
        for which in np.unique(index).tolist():
            if which >= len(following):
                lane = int(np.flatnonzero(index == which)[0])
                what = f"a jump to label {which} of a table of {len(following)}"
                blame.fault(m, MemoryFault, f, lane, pc, what)
            to = following[which]
            lanes = np.flatnonzero(index == which)
            m.add(f.take(lanes, program.blocks[to].live, to))
        return None

    return switch


def _meeting(values: Values, last: Instruction, k: int, pc: int) -> Way:
    words = last.opcode.split(".")
    if words[0] == "call":
        assert isinstance(last.operands[-1], Symbol) or last.operands
        return Way(external.way(values, last, k))
    if words[0] == "activemask":
        write = values.setter(last.operands[0], UNSIGNED[4], last)

        def active(m: Machine, f: Fragment) -> Fragment:
            write(f, f.warps().present[f.warps().index])
            f.at = k + 1
            return f

        return Way(active)
    if words[0] in ("bar", "barrier") and "warp" not in words:
        return Way(barrier_way(values, last, k, pc))
    masks, act = exchange(values, last)

    def meet(m: Machine, f: Fragment) -> Fragment | None:
        waiting = m.parted.pop(k, None)
        live = m.program.blocks[k].live
        if waiting:
            m.standstill.idle = 0
            f = merged([*waiting, f], live, m.decoded.dtypes)
        together, alone = gather(m, f, masks(f), pc)
        if alone is not None:
            m.parted[k] = [f.take(alone, live, k)]
            if not len(together):
                return None
            f = f.take(together, live, k)
        act(m, f, masks(f))
        f.at = k + 1
        return f

    return Way(meet, masks)
