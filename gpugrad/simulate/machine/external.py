"""Functions that a kernel calls and a driver provides: `print`, and grids that synchronise."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.simulate.faults import UnsupportedError
from gpugrad.simulate.machine.fragment import Fragment
from gpugrad.simulate.machine.memory import GLOBAL, LOCAL
from gpugrad.simulate.machine.values import Values
from gpugrad.simulate.ptx.syntax import Instruction, Symbol

if TYPE_CHECKING:
    from gpugrad.simulate.machine.machine import Machine

CONVERSION = re.compile(rb"%[-+ #0]*\d*(?:\.\d+)?(?:hh|h|ll|l|j|z|t|L)?([diouxXcspfFeEgGaA%])")


def way(
    values: Values, last: Instruction, k: int
) -> Callable[[Machine, Fragment], Fragment | None]:
    """The way on from a call of one of `program.EXTERNAL`."""
    name = last.opcode.partition(".")[2]
    symbols = [o.name for o in last.operands if isinstance(o, Symbol)]
    place = symbols.index(name)
    numbers = values.program.numbers
    result = numbers[f"{symbols[0]}+0"] if place else None
    given = [numbers[f"{symbol}+0"] for symbol in symbols[place + 1 :]]

    def call(m: Machine, f: Fragment) -> Fragment | None:
        if result is not None:
            wide = np.uint64 if name == "cudaCGGetIntrinsicHandle" else np.uint32
            f.r[result] = np.array([name != "cudaCGSynchronize"], wide)
        if name == "cudaCGSynchronize":
            m.standstill.idle = 0
            m.barriers.grid_sync(f)
            return None
        if name == "vprintf":
            _print(m, f, f.r[given[0]], f.r[given[1]])
        f.at = k + 1
        return f

    return call


def _print(m: Machine, f: Fragment, formats: Any, arguments: Any) -> None:
    """C's printf, a lane at a time: the format and where the arguments lie, eight bytes each."""
    where = np.broadcast_to(formats.view(np.int64), f.n)
    buffers = np.broadcast_to(arguments.view(np.int64), f.n)
    slots = np.broadcast_to(m.slot(f), f.n)
    for lane in range(f.n):
        template = _string(m, int(where[lane]))
        at = int(buffers[lane])
        if LOCAL <= at < GLOBAL:
            private = (int(slots[lane]) * m.threads + int(f.thread[lane])) * m.local_bytes
            data, at = m.local.data, at - LOCAL + private
        else:
            segment = m.memory.holding(at, at + 1)
            data, at = (segment.data, at - segment.base) if segment else (np.zeros(0, "u1"), 0)
        sys.stdout.write(_formatted(m, template, data, at))


def _string(m: Machine, address: int) -> bytes:
    segment = m.memory.holding(address, address + 1)
    if segment is None:
        raise UnsupportedError(f"print: its format lies at 0x{address:x}, in no allocation")
    return bytes(segment.data[address - segment.base :]).split(b"\0")[0]


def _formatted(m: Machine, template: bytes, data: Any, at: int) -> str:
    def one(match: re.Match[bytes]) -> bytes:
        nonlocal at
        kind = match[1].decode()
        if kind == "%":
            return b"%"
        wide = kind in "fFeEgGaAsp" or b"l" in match[0]
        size = 8 if wide else 4
        at = -(-at // size) * size
        raw = bytes(data[at : at + size])
        at += size
        flags = re.sub(rb"[hljztL]", b"", match[0])
        if kind in "fFeEgG":
            return flags % struct.unpack("<d", raw)
        if kind == "s":
            return flags % _string(m, int.from_bytes(raw, "little"))
        value = int.from_bytes(raw, "little", signed=kind in "di")
        if kind == "p":
            return f"0x{value:x}".encode()
        return flags % value

    return CONVERSION.sub(one, template).decode()
