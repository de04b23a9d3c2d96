"""What the lanes of a warp do together: shuffles, votes, matches, `syncwarp`.

Each such instruction names the lanes that take part in a mask, and all of them must execute it
together. A lane waits for those that are on their way; where they can no longer come, the machine
raises `ShuffleError`.

Source: NVIDIA, Parallel Thread Execution ISA, sections shfl.sync, vote.sync, match.sync and
redux.sync.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.simulate.faults import ShuffleError, UnsupportedError
from gpugrad.simulate.machine import blame
from gpugrad.simulate.machine.fragment import WARP, Fragment, Ints, Warps
from gpugrad.simulate.machine.values import BOOL, UNSIGNED, Get, Set, Values, dtype_of
from gpugrad.simulate.ptx.syntax import SIZES, Instruction, Operand, Register

if TYPE_CHECKING:
    from gpugrad.simulate.machine.machine import Machine

UINT32 = UNSIGNED[4]
Exchange = Callable[["Machine", Fragment, Any], None]  # the lanes are all there; their masks
# What a lane gets from one that does not take part is undefined; a NaN is easily seen.
NOBODY = 0x7FFFDEAD


def exchange(values: Values, instruction: Instruction) -> tuple[Get, Exchange]:
    """Where the mask stands, and what the lanes do once they are together."""
    words = instruction.opcode.split(".")
    operands = instruction.operands
    make = {"shfl": _shuffle, "vote": _vote, "match": _match, "redux": _reduce, "bar": _sync}
    if "sync" not in words or words[0] not in make:
        raise UnsupportedError(f"PTX instruction: {instruction.text}")
    mask = values.getter(operands[-1], UINT32, instruction)
    return mask, make[words[0]](values, instruction, words)


def gather(m: Machine, f: Fragment, masks: Any, pc: int) -> tuple[Any, Any]:
    """The lanes whose whole mask is here, with the same mask, and those that wait for others.

    A lane that has come with another mask may be at an earlier turn of a loop around this, which
    the others have left: who names it waits until it comes again.

    Raises:
        ShuffleError: a lane is not in its own mask.
    """
    warps = f.warps()
    lane = warps.lane.astype(np.uint32)
    inside = (masks >> lane) & np.uint32(1)
    if not inside.all():
        k = int(np.flatnonzero(inside == 0)[0])
        mask = int(np.broadcast_to(masks, f.n)[k])
        blame.fault(
            m, ShuffleError, f, k, pc,
            f"lane {int(lane[k])} is not in the mask 0x{mask:08x} that it names",
        )  # fmt: skip
    last = np.uint32((1 << (f.grid.threads - 1) % WARP + 1) - 1)
    exist = np.where(f.thread // WARP == f.grid.warps - 1, last, np.uint32(0xFFFFFFFF))
    waiting = (masks & exist & ~warps.present[warps.index]) != 0
    if len(masks) > 1:
        waiting |= _differing(masks, warps).any(axis=1)
    if not waiting.any():
        return None, None
    return np.flatnonzero(~waiting), np.flatnonzero(waiting)


def _differing(masks: Any, warps: Warps) -> Any:
    """(lanes, 32): which lanes a lane names that are here, but with another mask."""
    table = np.zeros((len(warps), WARP), np.uint32)
    table[warps.index, warps.lane] = masks
    theirs = table[warps.index]  # (lanes, 32): the masks of all lanes of one's warp
    named = (masks[:, None] >> np.arange(WARP, dtype=np.uint32)) & np.uint32(1)
    here = (warps.present[warps.index][:, None] >> np.arange(WARP, dtype=np.uint32)) & np.uint32(1)
    return (named & here).astype(bool) & (theirs != masks[:, None])


def _pair(
    values: Values, operand: Operand, dtype: Any, instruction: Instruction
) -> tuple[Set, Set]:
    """Setters of `d|p`; the second does nothing where there is no p."""
    items = values.items(operand)
    first = values.setter(items[0], dtype, instruction)
    second = values.setter(items[1] if len(items) > 1 else Register("_"), BOOL, instruction)
    return first, second


def _shuffle(values: Values, instruction: Instruction, words: list[str]) -> Exchange:
    target, source, distance, clamp, _ = instruction.operands
    write, write_inside = _pair(values, target, UINT32, instruction)
    read = values.getter(source, UINT32, instruction)
    read_distance = values.getter(distance, np.dtype(np.int32), instruction)
    read_clamp = values.getter(clamp, np.dtype(np.int32), instruction)
    mode = next(word for word in words if word in ("up", "down", "bfly", "idx"))

    def shuffle(m: Machine, f: Fragment, masks: Any) -> None:
        warps = f.warps()
        lane = warps.lane.astype(np.int32)
        b, c = read_distance(f) & 31, read_clamp(f)
        segment = c >> 8 & 31
        lowest, highest = lane & segment, (lane & segment) | (c & 31 & ~segment)
        if mode == "up":
            asked = lane - b
            inside = asked >= highest
        else:
            asked = {"down": lane + b, "bfly": lane ^ b, "idx": lowest | (b & ~segment)}[mode]
            inside = asked <= highest
        asked = np.where(inside, asked, lane)
        value = np.broadcast_to(read(f), f.n)
        position = warps.where()[warps.index, asked]
        named = (masks >> asked.astype(np.uint32)) & np.uint32(1)
        known = (position >= 0) & (named == 1)
        write(f, np.where(known, value[position], np.uint32(NOBODY)))
        write_inside(f, inside)

    return shuffle


def _groups(f: Fragment, masks: Any) -> tuple[Ints, int]:
    """A number for each set of lanes that act together, one set per warp and mask."""
    warps = f.warps()
    if len(masks) == 1:
        return warps.index, len(warps)
    keys = warps.index.astype(np.int64) << 32 | masks.astype(np.int64)
    unique, index = np.unique(keys, return_inverse=True)
    return index, len(unique)


def _ballots(f: Fragment, chosen: Any, masks: Any) -> Any:
    """For each lane the mask of the lanes of its group for which `chosen` holds."""
    group, count = _groups(f, masks)
    bits = np.zeros(count, np.uint32)
    lane = f.warps().lane.astype(np.uint32)
    own = np.where(chosen, np.left_shift(np.uint32(1), lane), np.uint32(0))
    np.bitwise_or.at(bits, group, own)
    return bits[group]


def _present(f: Fragment, masks: Any) -> Any:
    return masks & f.warps().present[f.warps().index]


def _vote(values: Values, instruction: Instruction, words: list[str]) -> Exchange:
    target, predicate, _ = instruction.operands
    read = values.getter(predicate, BOOL, instruction)
    ballot = "ballot" in words
    write = values.setter(target, UINT32 if ballot else BOOL, instruction)

    def vote(m: Machine, f: Fragment, masks: Any) -> None:
        votes = _ballots(f, np.broadcast_to(read(f), f.n), masks)
        if ballot:
            write(f, votes)
        elif "any" in words:
            write(f, votes != 0)
        elif "all" in words:
            write(f, votes == _present(f, masks))
        else:  # uni: all or none
            write(f, (votes == 0) | (votes == _present(f, masks)))

    return vote


def _match(values: Values, instruction: Instruction, words: list[str]) -> Exchange:
    target, source, _ = instruction.operands
    read = values.getter(source, dtype_of(words[-1]), instruction)
    write, write_all = _pair(values, target, UINT32, instruction)

    def match(m: Machine, f: Fragment, masks: Any) -> None:
        value = np.broadcast_to(read(f), f.n)
        _, which = np.unique(value, return_inverse=True)
        group, _ = _groups(f, masks)
        keys = group.astype(np.int64) * (int(which.max()) + 1) + which
        unique, index = np.unique(keys, return_inverse=True)
        bits = np.zeros(len(unique), np.uint32)
        lane = f.warps().lane.astype(np.uint32)
        np.bitwise_or.at(bits, index, np.left_shift(np.uint32(1), lane))
        same = bits[index]
        if "any" in words:
            write(f, same)
        else:
            everyone = same == _present(f, masks)
            write(f, np.where(everyone, same, np.uint32(0)))
            write_all(f, everyone)

    return match


def _reduce(values: Values, instruction: Instruction, words: list[str]) -> Exchange:
    target, source, _ = instruction.operands
    dtype = dtype_of(words[-1])
    functions: dict[str, Any] = {
        "add": np.add, "min": np.minimum, "max": np.maximum,
        "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    }  # fmt: skip
    name = next((word for word in words if word in functions), None)
    if name is None or SIZES[words[-1]] != 4:
        raise UnsupportedError(f"PTX instruction: {instruction.text}")
    read = values.getter(source, dtype, instruction)
    write = values.setter(target, dtype, instruction)
    function = functions[name]

    def reduce(m: Machine, f: Fragment, masks: Any) -> None:
        group, count = _groups(f, masks)
        order = np.argsort(group, kind="stable")
        begins = np.searchsorted(group[order], np.arange(count))
        value = np.broadcast_to(read(f), f.n)[order]
        write(f, function.reduceat(value, begins).astype(dtype)[group])

    return reduce


def _sync(values: Values, instruction: Instruction, words: list[str]) -> Exchange:
    def sync(m: Machine, f: Fragment, masks: Any) -> None:
        if m.races is not None:
            m.races.syncwarp(f.block, f.thread, np.broadcast_to(masks, f.n))

    return sync
