"""Loads and stores: from the addresses in registers to bytes of memory, with every check.

A step of a load or store finds the allocation that the lanes' addresses lie in (usually one), makes
sure that each access is aligned, inside, and of written bytes, tells the race detector and the
counts, and only then moves data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.simulate.faults import UnsupportedError
from gpugrad.simulate.machine import blame
from gpugrad.simulate.machine.fragment import Fragment
from gpugrad.simulate.machine.memory import LOCAL, SHARED, WINDOW, Segment
from gpugrad.simulate.machine.values import SIGNED, Get, Values, dtype_of
from gpugrad.simulate.ptx.syntax import SIZES, Address, Instruction, Register, Symbol

if TYPE_CHECKING:
    from gpugrad.simulate.machine.machine import Machine

Step = Callable[["Machine", Fragment], None]
Part = tuple[Segment, Any, Any]  # an allocation, offsets in it, and the lanes (None: all)
SPACES = ("global", "shared", "local", "const")
INT64 = SIGNED[8]


def space_of(instruction: Instruction) -> str:
    """The state space of an access; "generic" where none is written."""
    words = {word.split("::")[0] for word in instruction.opcode.split(".")[1:]}
    return next((space for space in SPACES if space in words), "generic")


def shape_of(instruction: Instruction) -> tuple[str, int]:
    """The PTX type of one element, and how many a vector access moves."""
    words = instruction.opcode.split(".")
    kind = words[-1]
    if kind not in SIZES:
        raise UnsupportedError(f"PTX access of type {kind}: {instruction.text}")
    vector = [word for word in words if word in ("v2", "v4", "v8")]
    return kind, int(vector[0][1:]) if vector else 1


def address_getter(values: Values, operand: Any, instruction: Instruction) -> Get:
    """The addresses of an operand `[base + offset]` as int64."""
    if not isinstance(operand, Address):
        raise UnsupportedError(f"PTX address of this kind: {instruction.text}")
    base, offset = operand.base, operand.offset
    if isinstance(base, Symbol):
        return values.getter(Symbol(base.name, base.offset + offset), INT64, instruction)
    if isinstance(base, Register) and values.program.types.get(base.name, "b64")[1:] == "32":
        narrow = values.getter(base, np.dtype(np.uint32), instruction)
        return lambda f: narrow(f).astype(INT64) + offset
    read = values.getter(base, INT64, instruction)
    return read if not offset else lambda f: read(f) + offset


def load(values: Values, instruction: Instruction, pc: int) -> Step:
    """The step of `ld`."""
    kind, count = shape_of(instruction)
    dtype, space = dtype_of(kind), space_of(instruction)
    address = address_getter(values, instruction.operands[1], instruction)
    items = values.items(instruction.operands[0])
    setters = [values.setter(item, dtype, instruction) for item in items]
    nbytes = dtype.itemsize * count

    def step(m: Machine, f: Fragment) -> None:
        where = address(f)
        parts = list(located(m, f, space, where, nbytes, pc, "load"))
        loaded = []
        for segment, offset, lanes in parts:
            check(m, f, segment, offset, lanes, nbytes, pc, "load")
            first = offset >> (dtype.itemsize.bit_length() - 1)
            view = segment.view(dtype)
            loaded.append([view[first + k] if k else view[first] for k in range(count)])
        for k, write in enumerate(setters):
            write(f, joined(f, [part[k] for part in loaded], parts, dtype))

    return step


def store(values: Values, instruction: Instruction, pc: int) -> Step:
    """The step of `st`."""
    kind, count = shape_of(instruction)
    dtype, space = dtype_of(kind), space_of(instruction)
    address = address_getter(values, instruction.operands[0], instruction)
    items = values.items(instruction.operands[1])
    getters = [values.getter(item, dtype, instruction) for item in items]
    nbytes = dtype.itemsize * count

    def step(m: Machine, f: Fragment) -> None:
        where = address(f)
        data = [read(f) for read in getters]
        m.standstill.idle = 0
        for segment, offset, lanes in located(m, f, space, where, nbytes, pc, "store"):
            stored = [chosen(value, lanes) for value in data]
            first = offset >> (dtype.itemsize.bit_length() - 1)
            view = segment.view(dtype)
            check(m, f, segment, offset, lanes, nbytes, pc, "store", (view, first, stored))
            for k, value in enumerate(stored):
                view[first + k] = value if len(first) > 1 else value[-1:]
            segment.written(offset, nbytes)

    return step


def located(
    m: Machine, f: Fragment, space: str, address: Any, nbytes: int, pc: int, kind: str
) -> Iterator[Part]:
    """Where each lane's access lies.

    Raises:
        MemoryFault: outside every allocation, or misaligned.
    """
    low, high = int(address.min()), int(address.max())
    if nbytes > 1 and int(np.bitwise_or.reduce(address)) & (nbytes - 1):
        lane = int(np.flatnonzero(address & (nbytes - 1))[0])
        blame.misaligned(m, f, lane, pc, kind, nbytes, int(address[lane % len(address)]))
    if space == "generic":
        if low >= LOCAL + WINDOW or high < SHARED:
            space = "global"
        elif low >= LOCAL and high < LOCAL + WINDOW:
            address, space = address - LOCAL, "local"
        elif low >= SHARED and high < SHARED + WINDOW:
            address, space = address - SHARED, "shared"
        else:
            yield from _mixed(m, f, address, nbytes, pc, kind)
            return
        low, high = int(address.min()), int(address.max())
    if space == "shared":
        segment, stride = m.shared, m.shared_stride
        if low < 0 or high + nbytes > m.shared_bytes:
            lane = int(np.flatnonzero((address < 0) | (address + nbytes > m.shared_bytes))[0])
            blame.outside(m, f, lane, pc, kind, nbytes, int(address[lane]), space)
        yield segment, address + m.slot(f) * stride, None
    elif space == "local":
        if low < 0 or high + nbytes > m.local_bytes:
            lane = int(np.flatnonzero((address < 0) | (address + nbytes > m.local_bytes))[0])
            blame.outside(m, f, lane, pc, kind, nbytes, int(address[lane]), space)
        yield m.local, address + (m.slot(f) * m.threads + f.thread) * m.local_bytes, None
    else:
        home = m.memory.holding(low, high + nbytes)
        if home is not None:
            yield home, address - home.base, None
        else:
            yield from _scattered(m, f, address, nbytes, pc, kind)


def _scattered(
    m: Machine, f: Fragment, address: Any, nbytes: int, pc: int, kind: str
) -> Iterator[Part]:
    """Lanes in several allocations; the first lane that is in none faults."""
    which = np.searchsorted(m.memory.bases, address, side="right") - 1
    parts = []
    for k in np.unique(which):
        lanes = np.flatnonzero(which == k)
        segment = m.memory.segments[k] if k >= 0 else None
        if segment is None or segment.freed:
            blame.outside(m, f, int(lanes[0]), pc, kind, nbytes, int(address[lanes[0]]), "global")
        offset = address[lanes] - segment.base
        outside = np.flatnonzero(offset + nbytes > segment.nbytes)
        if len(outside):
            lane = int(lanes[outside[0]])
            blame.outside(m, f, lane, pc, kind, nbytes, int(address[lane]), "global")
        parts.append((segment, offset, lanes if len(address) > 1 else None))
    yield from parts


def _mixed(
    m: Machine, f: Fragment, address: Any, nbytes: int, pc: int, kind: str
) -> Iterator[Part]:
    """Generic addresses of several spaces in one instruction."""
    space = np.searchsorted((SHARED, LOCAL, LOCAL + WINDOW), address, side="right")
    for k in np.unique(space):
        lanes = np.flatnonzero(space == k)
        few = f.take(lanes, (), f.at)
        parts = located(m, few, "generic", address[lanes], nbytes, pc, kind)
        for segment, offset, some in parts:
            among = lanes if some is None else lanes[some]
            yield segment, np.broadcast_to(offset, len(among)), among


def check(
    m: Machine,
    f: Fragment,
    segment: Segment,
    offset: Any,
    lanes: Any,
    nbytes: int,
    pc: int,
    kind: str,
    storing: tuple[Any, Any, list[Any]] | None = None,
) -> None:
    """Everything that is checked and counted of an access that is inside an allocation."""
    if m.watch is None:
        return
    if segment.state is not None:
        bad = segment.wrong(offset, nbytes, load=kind != "store")
        if bad.any():
            lane = int(np.flatnonzero(bad)[0])
            at = int(offset[lane])
            lane = lane if lanes is None else int(lanes[lane])
            blame.not_readable(m, f, lane, pc, kind, nbytes, segment, at)
    m.watch.access(f, segment, offset, lanes, nbytes, pc, kind, storing)


def chosen(value: Any, lanes: Any) -> Any:
    """A value of the lanes chosen."""
    return value if lanes is None or len(value) == 1 else value[lanes]


def joined(f: Fragment, values: list[Any], parts: list[Part], dtype: Any) -> Any:
    """What parts of the lanes loaded, as one value."""
    if len(parts) == 1:
        return values[0]
    whole = np.zeros(f.n, dtype)
    for value, (_, _, lanes) in zip(values, parts, strict=True):
        whole[lanes] = value
    return whole
