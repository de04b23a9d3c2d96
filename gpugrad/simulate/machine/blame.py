"""Faults put into words: which thread did what, on which line, and what lies where it reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import numpy as np

from gpugrad.simulate.faults import Fault, HangError, MemoryFault, RaceError, ShuffleError, place
from gpugrad.simulate.machine.fragment import WARP, Fragment, Ints, merged
from gpugrad.simulate.machine.memory import OUTSIDE, Segment
from gpugrad.simulate.ptx.flatten import LEVELS

if TYPE_CHECKING:
    from gpugrad.simulate.machine.machine import Machine
    from gpugrad.simulate.races.detector import Conflict


ACCESS = {"load": "a load", "store": "a store", "atomic": "an atomic"}


def fault(
    m: Machine, kind: type[Fault], f: Fragment, lane: int, pc: int, what: str, details: str = ""
) -> NoReturn:
    """Raise a fault of one lane at one instruction."""
    spot = m.program.place(pc)
    if spot is not None and spot.caller is not None:
        called = f"  called from {place(spot.caller.file, spot.caller.line)}"
        details = f"{called}\n{details}" if details else called
    raise kind(
        what,
        kernel=m.name,
        file=spot.file if spot else None,
        line=spot.line if spot else None,
        block=m.grid.index(int(f.block[lane]), m.grid.grid),
        thread=m.grid.index(int(f.thread[lane]), m.grid.block),
        details=details,
    )


def misaligned(
    m: Machine, f: Fragment, lane: int, pc: int, kind: str, nbytes: int, address: int
) -> NoReturn:
    """Raise a MemoryFault for an address that is no multiple of the access's size."""
    what = f"{ACCESS[kind]} of {nbytes} bytes from an address that is no multiple of {nbytes}"
    fault(m, MemoryFault, f, lane, pc, what, f"  {m.memory.describe(address)}")


def outside(
    m: Machine, f: Fragment, lane: int, pc: int, kind: str, nbytes: int, address: int, space: str
) -> NoReturn:
    """Raise a MemoryFault for an address outside every allocation."""
    if space == "global":
        details = m.memory.describe(address)
    else:
        size = m.shared_bytes if space == "shared" else m.local_bytes
        details = f"byte {address} of {size} bytes of {space} memory"
    what = f"{ACCESS[kind]} of {nbytes} bytes outside its allocation"
    fault(m, MemoryFault, f, lane, pc, what, f"  {details}")


def not_readable(
    m: Machine,
    f: Fragment,
    lane: int,
    pc: int,
    kind: str,
    nbytes: int,
    segment: Segment,
    offset: int,
) -> NoReturn:
    """Raise a MemoryFault for bytes that are unwritten, or in no variable of the segment."""
    assert segment.state is not None
    gone = (segment.state[offset : offset + nbytes] == OUTSIDE).any()
    if segment is m.shared:
        where = f"byte {offset % m.shared_stride} of shared memory"
    elif segment is m.local:
        where = f"byte {offset % m.local_bytes} of local memory"
    else:
        where = m.memory.describe(segment.base + offset)
    if gone:
        what = f"{ACCESS[kind]} of {nbytes} bytes outside its allocation"
        fault(m, MemoryFault, f, lane, pc, what, f"  {where}, between what is allocated there")
    what = f"{ACCESS[kind]} of {nbytes} bytes that nothing has written"
    fault(m, MemoryFault, f, lane, pc, what, f"  {where}")


def race(
    m: Machine,
    f: Fragment,
    lanes: Ints | None,
    conflict: Conflict,
    segment: Segment,
    offset: Ints,
    pc: int,
) -> NoReturn:
    """Raise a RaceError with both accesses."""
    lane = conflict.lane if lanes is None else int(lanes[conflict.lane])
    here, there = m.program.place(pc), m.program.place(conflict.other_pc)
    other_block = m.grid.index(conflict.other[0], m.grid.grid)
    other_thread = m.grid.index(conflict.other[1], m.grid.block)
    at = int(offset[conflict.lane])
    where = f"byte {at} of {segment.name}"
    if segment is m.shared:
        where = f"byte {at % m.shared_stride} of shared memory"
    line = there.line if there else None
    raise RaceError(
        f"a race on {where}: nothing orders this {conflict.this} and the {conflict.other_kind} "
        f"at line {line} by thread {other_thread} of block {other_block}",
        other_line=line,
        other_block=other_block,
        other_thread=other_thread,
        kernel=m.name,
        file=here.file if here else None,
        line=here.line if here else None,
        block=m.grid.index(int(f.block[lane]), m.grid.grid),
        thread=m.grid.index(int(f.thread[lane]), m.grid.block),
        details=_remedy(m, int(f.block[lane]) == conflict.other[0]),
    )


def _remedy(m: Machine, same_block: bool) -> str:
    """What would order two accesses that race: a barrier, or how threads of two blocks do it."""
    way = "put a barrier between them, or make both atomic"
    if not same_block:
        way = "no barrier orders two blocks: make both atomic, or put them in two launches"
    opcodes = {tuple(i.opcode.split(".")) for i in m.program.code if i.opcode.startswith("atom.")}
    if any({"cas", "exch"} & set(words) for words in opcodes) or (opcodes and not same_block):
        way += (
            "; a lock, flag or counter orders them if cuda.threadfence() comes before the atomic "
            "operation of the thread that is first, and after that of the other"
        )
    return f"  help: {way}"


def stranded(m: Machine) -> NoReturn:
    """Raise a ShuffleError: lanes at a shuffle wait for lanes that cannot come any more."""
    at = min(m.parted)
    f = merged(m.parted[at], m.program.blocks[at].live, m.decoded.dtypes)
    masks = np.broadcast_to(m.ways[at].masks(f), f.n)
    mask, here = int(masks[0]), int(f.warps().present[0])
    missing = [k for k in range(WARP) if mask >> k & 1 and not here >> k & 1]
    pc = m.program.blocks[at].begin
    opcode = m.program.code[pc].opcode
    name = "syncwarp" if opcode.startswith("bar") else opcode.split(".")[0]
    if not missing:
        lanes = np.flatnonzero((f.warps().index == 0) & (masks != mask))
        lane = next(k for k in lanes.tolist() if mask >> int(f.warps().lane[k]) & 1)
        other, came = int(f.warps().lane[lane]), int(masks[lane])
        fault(
            m, ShuffleError, f, 0, pc,
            f"it names lane {other} in the mask 0x{mask:08x}, but that lane came with the mask "
            f"0x{came:08x}",
        )  # fmt: skip
    fault(
        m, ShuffleError, f, 0, pc,
        f"{name} with mask 0x{mask:08x} names lanes that are elsewhere or have ended: "
        f"{', '.join(map(str, missing))}",
        "  help: name only the lanes that reach this line, or move it out of the branch",
    )  # fmt: skip


def hang(m: Machine, f: Fragment, at: int) -> NoReturn:
    """Raise a HangError: the launch took more instructions than it may."""
    fault(
        m, HangError, f, 0, m.program.blocks[at].end - 1,
        f"more than {m.limit:,} instructions: a loop without an end, or threads that wait for "
        "what never comes",
        "  help: if it is meant to take so long, give a higher limit= to run or Device",
    )  # fmt: skip


def standstill(m: Machine, f: Fragment) -> NoReturn:
    """Raise a HangError: all threads go round in loops, and nobody is left to let them out."""
    waiting = sum(each.n for fragments in m.ready.values() for each in fragments)
    who = "1 thread goes" if waiting == 1 else f"{waiting:,} threads go"
    fault(
        m, HangError, f, 0, m.program.blocks[f.at].begin,
        f"{who} round a loop for ever: nobody is left to change what they read there",
        "  help: is a lock never released, or released after the loop by a thread that waits in "
        "it?",
    )  # fmt: skip


def too_deep(m: Machine, f: Fragment, pc: int) -> NoReturn:
    """Raise a HangError: a function calls itself more often than there is room for."""
    fault(
        m, HangError, f, 0, pc, f"a function that calls itself more than {LEVELS} levels deep",
        "  help: if it is meant to go so deep: a card may have the stack for it, the simulator has "
        "not",
    )  # fmt: skip
