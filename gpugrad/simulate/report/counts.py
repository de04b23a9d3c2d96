"""What a launch did, counted for each instruction: the figures that a profiler of a card gives.

Global memory moves in sectors of 32 bytes: a warp's access costs as many as its lanes touch. Shared
memory has 32 banks of 4 bytes: a warp's access takes as many passes as the bank with the most
different words has of them; lanes that ask for one word share it. An 8-byte access goes by
half-warps and a 16-byte one by quarters, so that a pass never asks for more than 32 words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

Integers = np.ndarray[Any, np.dtype[np.int64]]

WARP = 32  # lanes
SECTOR = 32  # bytes
BANKS, WORD = 32, 4  # of shared memory; bytes

SPACES = {
    "global": "global",
    "shared": "shared",
    "local": "local",
    "const": "constant",
    "param": "parameter",
}
KINDS = {
    "atom": "atomic", "red": "atomic", "bar": "barrier", "barrier": "barrier", "membar": "fence",
    "fence": "fence", "shfl": "shuffle", "vote": "vote", "match": "vote", "activemask": "vote",
    "redux": "vote", "bra": "branch", "brx": "branch", "ret": "branch", "exit": "branch",
    "trap": "branch", "call": "call", "cvt": "conversion", "setp": "comparison",
    "set": "comparison", "testp": "comparison", "selp": "selection", "slct": "selection",
    "mov": "move", "cvta": "move", "nanosleep": "sleep",
}  # fmt: skip
TYPES = {
    "f64": "float64", "f32": "float32", "f32x2": "float32", "f16": "float16", "f16x2": "float16",
    "bf16": "bfloat16", "bf16x2": "bfloat16", "pred": "integer",
}  # fmt: skip
TYPES |= {f"{sign}{bits}": "integer" for sign in "sub" for bits in (8, 16, 32, 64, 128)}


def instruction_kind(opcode: str) -> str:
    """What sort of work an opcode of PTX is.

    Arithmetic is named by its type (logic and shifts count as "integer"), memory by its space,
    the rest by what it does.

    >>> [instruction_kind(opcode) for opcode in ("fma.rn.f32", "and.b32", "ld.global.nc.f32")]
    ['float32', 'integer', 'global load']
    """
    name, *parts = (part.split("::")[0] for part in opcode.split("."))
    if name in ("ld", "ldu", "st"):
        space = next((SPACES[part] for part in parts if part in SPACES), "generic")
        return f"{space} {'store' if name == 'st' else 'load'}"
    if name in KINDS:
        return KINDS[name]
    return next((TYPES[part] for part in reversed(parts) if part in TYPES), "other")


@dataclass(slots=True)
class Figures:
    """What was counted of one instruction, one source line or a whole launch.

    Attributes:
        instructions: executions, one for each lane.
        warps: executions, one for each warp that had a lane in it.
        idle_lanes: lanes that those warps have beyond the executing ones; they were elsewhere in
            the code, or had ended. Lanes that a block's last warp never had are not among them.
        loaded_bytes, stored_bytes: of global memory, as the lanes asked for them: 32 lanes that
            load one float32 are 128 bytes. An atomic counts as both, here and in sectors.
        load_sectors, store_sectors: different sectors of 32 bytes that each warp's access touched.
        ideal_load_sectors, ideal_store_sectors: the fewest that could hold the different bytes
            that each warp's access touched, were they side by side and aligned.
        accesses, requests: of global memory, one for each lane and one for each warp.
        bank_conflicts: passes that accesses of shared memory took beyond their first.
        shared_requests: what takes one pass of shared memory if nothing conflicts: a warp's access,
            a half-warp's of 8-byte or a quarter-warp's of 16-byte elements.
        ways: the most passes that one of those took.
        atomic_collisions: lanes whose atomic met an address of a lower lane of their warp.
        stride: bytes from lane to lane in the first access of global memory, if at least half
            of the steps are so long, else 0.
    """

    instructions: int = 0
    warps: int = 0
    idle_lanes: int = 0
    loaded_bytes: int = 0
    stored_bytes: int = 0
    load_sectors: int = 0
    store_sectors: int = 0
    ideal_load_sectors: int = 0
    ideal_store_sectors: int = 0
    accesses: int = 0
    requests: int = 0
    bank_conflicts: int = 0
    shared_requests: int = 0
    ways: int = 0
    atomic_collisions: int = 0
    stride: int = 0

    def add(self, other: Figures) -> None:
        """Add another's counts to this one's."""
        ways, stride = max(self.ways, other.ways), self.stride or other.stride
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
        self.ways, self.stride = ways, stride


class Counts:
    """The figures of each instruction of a kernel: `counts.at[pc]`.

    In every method `warp` holds each lane's warp, numbered through the grid and nondecreasing;
    `address` each lane's, a multiple of `size`, or one for all of them; `size` the bytes of
    an access, all elements of a vector together; `kind` is "load", "store" or "atomic".
    """

    def __init__(self, instructions: int) -> None:
        self.at = [Figures() for _ in range(instructions)]

    def executed(self, pc: int, lanes: int, warps: int, room: int | None = None) -> None:
        """Count an execution by `lanes` lanes of `warps` warps.

        Args:
            room: the lanes that those warps have, as `warps_and_room` counts them; None says that
                all are full warps of 32.
        """
        figures = self.at[pc]
        figures.instructions += lanes
        figures.warps += warps
        figures.idle_lanes += (WARP * warps if room is None else room) - lanes

    def memory(self, pc: int, warp: Integers, address: Integers, size: int, kind: str) -> None:
        """Count an access of global memory. Local memory is none: cards interleave the lanes'."""
        figures = self.at[pc]
        if not figures.requests:
            figures.stride = _stride(warp, address)
        sectors = ideal = different = 0
        for rows in _rows(warp, address, WARP):
            in_order, counts = _distinct(rows)
            sector = in_order >> 5
            sectors += len(rows) + int(np.count_nonzero(sector[:, 1:] != sector[:, :-1]))
            different += int(counts.sum())
            ideal += int(((counts * size + (SECTOR - 1)) // SECTOR).sum())
            figures.requests += len(rows)
        figures.accesses += len(warp)
        if kind != "store":
            figures.loaded_bytes += len(warp) * size
            figures.load_sectors += sectors
            figures.ideal_load_sectors += ideal
        if kind != "load":
            figures.stored_bytes += len(warp) * size
            figures.store_sectors += sectors
            figures.ideal_store_sectors += ideal
        if kind == "atomic":
            figures.atomic_collisions += len(warp) - different

    def shared(
        self,
        pc: int,
        warp: Integers,
        address: Integers,
        size: int,
        kind: str,
        lane: Integers | None = None,
    ) -> None:
        """Count an access of shared memory; addresses may count from any multiple of 128 bytes.

        Args:
            lane: each lane's number in its warp, which says who is in which half of it. Only
                accesses of 8 and 16 bytes by warps that are not whole look at it; None then
                counts the lanes that are there.
        """
        figures = self.at[pc]
        unit = max(WORD, size)  # an aligned element of two words has a bank of two words, and so on
        words = unit // WORD
        width = WARP // words
        group = warp
        if words > 1 and address.size > 1:
            group = warp * words + (_place(warp) if lane is None else lane) // width
        for rows in _rows(group, address, width):
            ways = _ways(rows // unit, BANKS // words)
            figures.bank_conflicts += int(ways.sum()) - len(rows)
            figures.shared_requests += len(rows)
            figures.ways = max(figures.ways, int(ways.max()))
        if kind == "atomic":
            different = sum(int(_distinct(rows)[1].sum()) for rows in _rows(warp, address, WARP))
            figures.atomic_collisions += len(warp) - different

    def __add__(self, other: Counts) -> Counts:
        both = Counts(len(self.at))
        for figures, own, others in zip(both.at, self.at, other.at, strict=True):
            figures.add(own)
            figures.add(others)
        return both

    def total(self, pcs: Sequence[int] | None = None) -> Figures:
        """The figures of some instructions together; by default of all."""
        total = Figures()
        for figures in self.at if pcs is None else (self.at[pc] for pc in pcs):
            total.add(figures)
        return total


def warps_and_room(warp: Integers, threads: int) -> tuple[int, int]:
    """How many warps some lanes belong to, and how many lanes those warps have in all.

    Args:
        warp: each lane's warp, numbered through the grid and nondecreasing.
        threads: of a block, whose last warp may have fewer than 32 lanes.

    >>> warps_and_room(np.array([0, 0, 1, 3]), threads=40)   # warps 1 and 3 have 8 lanes each
    (3, 48)
    """
    in_block = -(-threads // WARP)
    own = warp[_starts(warp)]
    last = np.count_nonzero(own % in_block == in_block - 1)
    return len(own), WARP * len(own) - (in_block * WARP - threads) * int(last)


def _starts(group: Integers) -> Integers:
    """Where each run of equal numbers starts."""
    return np.flatnonzero(np.r_[True, group[1:] != group[:-1]])


def _place(group: Integers) -> Integers:
    """The place of each element in its run of equal numbers."""
    starts = _starts(group)
    return np.arange(len(group)) - np.repeat(starts, np.diff(starts, append=len(group)))


def _rows(group: Integers, address: Integers, width: int) -> list[Integers]:
    """The addresses as matrices with a row for each group; a short row repeats its last one.

    Whole groups at the front, which is all of them in most accesses, are a view of the addresses.
    """
    if not len(group):
        return []
    if address.size == 1:
        return [np.broadcast_to(address, (len(_starts(group)), 1))]
    whole = len(group) // width * width
    ends = group[:whole].reshape(-1, width)
    if not (ends[:, 0] == ends[:, -1]).all():
        whole = 0
    matrices = [address[:whole].reshape(-1, width)] if whole else []
    if whole < len(group):
        starts = _starts(group[whole:])
        last = np.diff(starts, append=len(group) - whole) - 1
        column = np.minimum(np.arange(last.max() + 1), last[:, None])
        matrices.append(address[whole:][starts[:, None] + column])
    return matrices


def _distinct(rows: Integers) -> tuple[Integers, Integers]:
    """The rows, each in ascending order, and how many different elements each has."""
    if not (rows[:, 1:] >= rows[:, :-1]).all():
        rows = np.sort(rows, axis=1)
    new = rows[:, 1:] != rows[:, :-1]
    if new.all():  # the usual case, and summing rows of 31 takes longer than all else here
        return rows, np.full(len(rows), rows.shape[1])
    return rows, 1 + np.add.reduce(new.view(np.int8), axis=1, dtype=np.int8).astype(np.int64)


def _ways(unit: Integers, banks: int) -> Integers:
    """For each row, the most different elements of one bank."""
    ways = np.ones(len(unit), np.int64)
    apart = unit.max(axis=1) - unit.min(axis=1) >= banks
    if not apart.any():  # neighbours lie in different banks
        return ways
    unit = unit[apart].astype(np.int64, copy=False)
    key = np.sort((unit % banks) << 48 | unit // banks, axis=1)
    new = np.ones(key.shape, np.bool_)
    new[:, 1:] = key[:, 1:] != key[:, :-1]
    bank = (key >> 48) + banks * np.arange(len(key))[:, None]
    ways[apart] = np.bincount(bank[new], minlength=banks * len(key)).reshape(-1, banks).max(axis=1)
    return ways


def _stride(warp: Integers, address: Integers) -> int:
    """The commonest step from lane to lane of the first warp, if half of its steps are that."""
    lanes = int(np.searchsorted(warp, warp[:1], "right")[0]) if address.size > 1 else 1
    if lanes < 2:
        return 0
    steps, counts = np.unique(np.diff(address[:lanes].astype(np.int64)), return_counts=True)
    most = int(counts.argmax())
    return int(steps[most]) if 2 * counts[most] >= lanes - 1 else 0
